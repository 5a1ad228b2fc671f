//! The table of directives, in alphabetical order. Each row stands beside the code that applies it, by theme.
//!
//! Read at compile time by `hooks`, which makes httpd's command table of it, and by [`reference`](super::reference()).

mod access;
mod daemon;
mod daemon_options;
mod daemon_values;
mod obsolete;
mod proxies;
mod python;
mod requests;
mod scripts;
mod telemetry;

#[cfg(test)]
mod access_lines;
#[cfg(test)]
mod daemon_lines;
#[cfg(test)]
mod lines;

use std::time::Duration;

use super::group::no_form;
use super::refusal::shown;
use super::{Directive, OptionRow, Place, Words};

/// Every directive that the module registers with httpd, by name.
pub static DIRECTIVES: [Directive; 59] = [
    daemon::ACCEPT_MUTEX,
    access::ACCESS_SCRIPT,
    obsolete::APACHE_EXTENSIONS,
    requests::APPLICATION_GROUP,
    access::AUTH_GROUP_SCRIPT,
    access::AUTH_USER_SCRIPT,
    requests::CALLABLE_OBJECT,
    python::CASE_SENSITIVITY,
    requests::CHUNKED_REQUEST,
    daemon::DAEMON_PROCESS,
    python::DESTROY_INTERPRETER,
    scripts::DISPATCH_SCRIPT,
    python::DONT_WRITE_BYTECODE,
    requests::ENABLE_SENDFILE,
    requests::ERROR_OVERRIDE,
    python::FREE_THREADING,
    access::GROUP_AUTHORITATIVE,
    scripts::HANDLER_SCRIPT,
    requests::IGNORE_ACTIVITY,
    scripts::IMPORT_SCRIPT,
    python::INTERPRETER_OPTIONS,
    obsolete::LAZY_INITIALIZATION,
    requests::MAP_HEAD_TO_GET,
    obsolete::NEW_RELIC_CONFIG_FILE,
    obsolete::NEW_RELIC_ENVIRONMENT,
    obsolete::OUTPUT_BUFFERING,
    requests::PASS_APACHE_REQUEST,
    requests::PASS_AUTHORIZATION,
    python::PER_INTERPRETER_GIL,
    daemon::PROCESS_GROUP,
    obsolete::PY3K_WARNING_FLAG,
    python::PYTHON_EGGS,
    obsolete::PYTHON_EXECUTABLE,
    python::PYTHON_HASH_SEED,
    python::PYTHON_HOME,
    python::PYTHON_OPTIMIZE,
    python::PYTHON_PATH,
    python::PYTHON_WARNINGS,
    obsolete::RELOAD_MECHANISM,
    daemon::RESTRICT_EMBEDDED,
    daemon::RESTRICT_PROCESS,
    python::RESTRICT_SIGNAL,
    python::RESTRICT_STDIN,
    python::RESTRICT_STDOUT,
    scripts::SCRIPT_ALIAS,
    scripts::SCRIPT_ALIAS_MATCH,
    requests::SCRIPT_RELOADING,
    obsolete::SERVER_GROUP,
    telemetry::SERVER_METRICS,
    telemetry::SLOW_REQUESTS,
    daemon::SOCKET_PREFIX,
    daemon::SOCKET_ROTATION,
    python::SWITCH_INTERVAL,
    telemetry::TELEMETRY_OPTIONS,
    telemetry::TELEMETRY_SERVICE,
    proxies::TRUSTED_PROXIES,
    proxies::TRUSTED_PROXY_HEADERS,
    obsolete::USER_AUTHORITATIVE,
    obsolete::VERBOSE_DEBUGGING,
];

/// `process-group=` of the directives that map or load scripts.
const PROCESS_GROUP_OPTION: OptionRow = OptionRow {
    name: "process-group",
    value: "name or %{...}",
    required: false,
    may_be_empty: false,
    default: None,
    range: None,
    doc: "The processes that run the script, for requests through this alias instead of `WSGIProcessGroup`: a daemon process group, or one of \
          the forms that `WSGIProcessGroup` knows.",
};

/// `application-group=` of the directives that map scripts.
const APPLICATION_GROUP_OPTION: OptionRow = OptionRow {
    name: "application-group",
    value: "name or %{...}",
    required: false,
    may_be_empty: false,
    default: None,
    range: None,
    doc: "The interpreter: a name of your own, or one of the forms that `WSGIApplicationGroup` knows.",
};

/// Warns where the name of a group is written like one of the forms, and is none. `line`: how it begins.
fn warn_of_no_form(place: &mut Place<'_>, line: &str, name: &[u8]) {
    if let Some(why) = no_form(name) {
        place.surroundings.warn(format!("WSGI0592: {line}{why}"));
    }
}

/// The same for both options of a line that names a script.
fn warn_of_no_forms(place: &mut Place<'_>, words: &Words<'_>) {
    for option in ["process-group", "application-group"] {
        if let Some(name) = words.option(option) {
            warn_of_no_form(place, &format!("{} {}: {option}=", words.directive(), shown(words.word(0))), name);
        }
    }
}

/// Seconds as a strict decimal number above zero; Python itself counts in whole microseconds, at least one.
fn seconds(text: &[u8]) -> Option<Duration> {
    let seconds: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let interval = Duration::try_from_secs_f64(seconds).ok().filter(|_| seconds > 0.0)?;
    Some(interval.max(Duration::from_micros(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Arguments, Kind};

    /// What `hooks` does: a table made at compile time.
    const fn names() -> [&'static std::ffi::CStr; DIRECTIVES.len()] {
        let mut names = [c""; DIRECTIVES.len()];
        let mut row = 0;
        while row < DIRECTIVES.len() {
            names[row] = DIRECTIVES[row].name;
            row += 1;
        }
        names
    }

    static NAMES: [&std::ffi::CStr; DIRECTIVES.len()] = names();

    #[test]
    fn rows_are_readable_at_compile_time() {
        assert_eq!(NAMES[0], c"WSGIAcceptMutex");
    }

    #[test]
    fn rows_are_in_alphabetical_order_and_no_name_comes_twice() {
        let names: Vec<String> =
            DIRECTIVES.iter().map(|row| row.title().trim_matches(['<', '>']).to_ascii_lowercase()).collect();
        for pair in names.windows(2) {
            assert!(pair[0] < pair[1], "{} before {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn every_name_is_one_that_httpd_can_find() {
        for row in &DIRECTIVES {
            let bare = row.name().trim_start_matches('<');
            assert!(bare.starts_with("WSGI") && bare.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{bare}");
            assert_eq!(row.name().starts_with('<'), row.kind == Kind::Section, "{bare}");
            assert!(row.syntax.trim_start_matches('<').starts_with(bare), "{bare}: {}", row.syntax);
        }
    }

    #[test]
    fn every_row_explains_itself() {
        for row in &DIRECTIVES {
            let help = row.help.to_str().unwrap();
            assert!(!help.is_empty() && help.len() < 100 && !help.contains('\n'), "{}: {help}", row.name());
            assert!(row.doc.len() > 40 && row.doc.ends_with(['.', '`']), "{}", row.name());
            assert!(!row.default.is_empty(), "{}", row.name());
            let takes_options = matches!(row.arguments, Arguments::Options(_));
            assert!(takes_options || row.options.is_empty(), "{}", row.name());
        }
    }
}
