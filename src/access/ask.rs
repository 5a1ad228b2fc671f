//! Puts questions to a script over a live request.

use std::fs::File;
use std::num::NonZero;

use crate::apache::{Level as LogLevel, Request};
use crate::application::{Inquiry, Question, Unanswered, Value, Wanted};
use crate::config::{DirConfig, Script};
use crate::embedded;
use crate::front::{self, log_level};
use crate::wsgi::{Gone, Head, Host, InputError, Level, Pairs, Then};

/// Asks a script that decides about access for what its `function` returns; nothing where it has none.
///
/// # Errors
/// [`Unanswered`].
pub(super) fn ask(
    request: &Request<'_>,
    script: &Script,
    function: &'static str,
    arguments: &[&[u8]],
    wanted: Wanted,
) -> Result<Option<Value>, Unanswered> {
    let group = front::script_group(request, script);
    let environ = front::access_environ(request, &group);
    let question = Question { function, arguments, wanted };
    let answers = put(request, script, &group, &environ, true, &[question])?;
    Ok(answers.into_iter().next().flatten())
}

/// Asks a script all of `questions`.
///
/// # Errors
/// [`Unanswered`].
pub(super) fn put(
    request: &Request<'_>,
    script: &Script,
    group: &[u8],
    environ: &Pairs,
    tells_tls: bool,
    questions: &[Question<'_>],
) -> Result<Vec<Option<Value>>, Unanswered> {
    let applications = embedded::applications().map_err(|error| {
        request.log(LogLevel::Err, format_args!("{error}"));
        Unanswered
    })?;
    let dir = request.dir_config::<DirConfig>();
    let inquiry = Inquiry {
        group,
        script: &script.path,
        reloading: dir.is_none_or(DirConfig::script_reloading),
        case_sensitive: front::is_case_sensitive(request),
        environ,
        tells_tls,
    };
    let passes_record = dir.is_some_and(DirConfig::pass_apache_request);
    applications.ask(&inquiry, questions, &mut Asked { request, passes_record })
}

/// The request as a script has it that is asked about it: there is no body to read and nothing to answer.
struct Asked<'a, 'r> {
    request: &'a Request<'r>,
    passes_record: bool,
}

impl Host for Asked<'_, '_> {
    fn read(&mut self, _buffer: &mut [u8]) -> Result<usize, InputError> {
        Ok(0)
    }

    fn head(&mut self, _head: &Head) {}

    fn send(&mut self, _data: &[u8], _then: Then) -> Result<(), Gone> {
        Err(Gone)
    }

    fn send_file(&mut self, _file: File, _offset: u64, _length: u64, _then: Then) -> Result<(), Gone> {
        Err(Gone)
    }

    fn abort(&mut self) {}

    fn record(&self) -> Option<NonZero<usize>> {
        if self.passes_record { self.request.address() } else { None }
    }

    fn is_https(&mut self) -> bool {
        self.request.is_https()
    }

    fn ssl_variable(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        self.request.ssl_variable(name).map(<[u8]>::to_vec)
    }

    fn logs(&self, level: Level) -> bool {
        self.request.logs(log_level(level))
    }

    fn log(&mut self, level: Level, line: &[u8]) {
        self.request.log(log_level(level), format_args!("{}", String::from_utf8_lossy(line)));
    }
}
