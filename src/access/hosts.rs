//! `WSGIAccessScript`: may a client have this resource, whoever its user is?

use std::sync::Arc;

use super::ask::ask;
use super::verdict::{self, Allowed};
use crate::apache::{Answer, Level, Request};
use crate::application::Wanted;
use crate::config::DirConfig;
use crate::wsgi::Quoted;

/// Asks the script of this place, if it has one. What can't be answered is a refusal.
pub(crate) fn check_access(request: &mut Request<'_>) -> Answer {
    let script = request.dir_config::<DirConfig>().and_then(|dir| dir.access_script.as_ref());
    let Some(script) = script.map(Arc::clone) else { return Answer::DECLINED };
    let host = request.remote_host().or_else(|| request.useragent_ip()).unwrap_or_default();
    let answer = ask(request, &script, "allow_access", &[host], Wanted::One);
    let allowed = match answer.map(|value| verdict::allowed(&script.path, value)) {
        Ok(Ok(allowed)) => allowed,
        Ok(Err(fault)) => {
            request.log(Level::Err, format_args!("{fault}"));
            Allowed::No
        }
        Err(_unanswered) => Allowed::No,
    };
    match allowed {
        Allowed::Yes => Answer::OK,
        Allowed::Undecided => Answer::DECLINED,
        Allowed::No => {
            if !request.may_be_let_in_as_user() {
                let resource = request.filename().unwrap_or_else(|| request.uri());
                request.log(
                    Level::Err,
                    format_args!(
                        "WSGI0057: {} is refused to this client by the WSGIAccessScript {}",
                        Quoted(resource),
                        Quoted(&script.path)
                    ),
                );
            }
            Answer::status(403)
        }
    }
}
