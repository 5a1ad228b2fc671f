//! `WSGIDispatchScript`: where is a WSGI request to run?

use std::sync::Arc;

use super::ask::put;
use super::verdict;
use crate::apache::{Answer, Level, Request};
use crate::application::{Question, Wanted};
use crate::front::{self, Admitted, Chosen};

/// The functions in the order in which they are asked; each is optional.
const FUNCTIONS: [&str; 3] = ["process_group", "application_group", "callable_object"];

/// Asks the script of this place, if it has one.
///
/// # Errors
/// The hook's answer, where it can't be said; the cause is logged.
pub(crate) fn dispatch(request: &Request<'_>, admitted: &Admitted<'_>) -> Result<Chosen, Answer> {
    let Some(script) = admitted.dir().dispatch_script.as_ref().map(Arc::clone) else { return Ok(Chosen::default()) };
    let group = front::script_group(request, &script);
    let environ = admitted.dispatch_environ(request, &group);
    let questions = FUNCTIONS.map(|function| Question { function, arguments: &[], wanted: Wanted::One });
    let answers = put(request, &script, &group, &environ, false, &questions).map_err(|_| Answer::status(500))?;
    let mut names = FUNCTIONS.iter().zip(answers).map(|(function, value)| {
        verdict::chosen(&script.path, function, value).map_err(|fault| {
            request.log(Level::Err, format_args!("{fault}"));
            Answer::status(500)
        })
    });
    let mut next = || names.next().unwrap_or(Ok(None));
    Ok(Chosen { process_group: next()?, application_group: next()?, callable_object: next()? })
}
