//! Names that older releases of C mod_wsgi had. httpd would say "Invalid command"; we say what to write today.
//!
//! A value that asks for what happens anyway, or whose loss harms nobody, loads with a notice.

use super::super::{Arguments, Context, Directive, Kind, Merge, Place, Refusal, Standing, Words};

/// What the rows of this theme share. The widest context, because the answer is the same everywhere.
const ROW: Directive = Directive {
    name: c"",
    context: Context::FileInfo,
    kind: Kind::Plain,
    arguments: Arguments::List,
    options: &[],
    syntax: "",
    default: "none",
    merge: Merge::Nothing,
    help: c"",
    doc: "",
    standing: Standing::InEffect,
    apply: refuse,
};

fn instead(words: &Words<'_>) -> &'static str {
    match words.row().standing {
        Standing::Obsolete(instead) | Standing::LoadsWithoutEffect(instead) => instead,
        Standing::InEffect => "remove the line",
    }
}

fn refuse(_: &mut Place<'_>, words: &Words<'_>) -> Result<(), Refusal> {
    Err(Refusal::Obsolete { directive: words.directive(), instead: instead(words) })
}

/// Accepts a harmless line with one notice.
fn pass_over(place: &mut Place<'_>, words: &Words<'_>) {
    place.surroundings.notice(format!(
        "{} is not used any more and changes nothing: {}",
        words.directive(),
        instead(words)
    ));
}

/// Accepts either On or Off.
fn either(place: &mut Place<'_>, words: &Words<'_>) -> Result<(), Refusal> {
    words.on_off()?;
    pass_over(place, words);
    Ok(())
}

/// Accepts Off, which asks for what happens anyway.
fn off_only(place: &mut Place<'_>, words: &Words<'_>) -> Result<(), Refusal> {
    if words.on_off()? {
        return refuse(place, words);
    }
    pass_over(place, words);
    Ok(())
}

pub(super) const RELOAD_MECHANISM: Directive = Directive {
    name: c"WSGIReloadMechanism",
    arguments: Arguments::One,
    syntax: "WSGIReloadMechanism Process|Module",
    help: c"Not used any more: scripts reload as their mode asks",
    doc: "Chose how a changed script was loaded again. `Process` and `Module` load with a notice; `Interpreter` is refused.",
    standing: Standing::Obsolete(
        "a changed script renews the processes in daemon mode and reloads the script alone in embedded mode; remove the line",
    ),
    apply: |place, words| {
        let value = words.value();
        if value.eq_ignore_ascii_case(b"process") || value.eq_ignore_ascii_case(b"module") {
            pass_over(place, words);
            Ok(())
        } else if value.eq_ignore_ascii_case(b"interpreter") {
            refuse(place, words)
        } else {
            Err(words.bad_value("remove the line; Process and Module still load"))
        }
    },
    ..ROW
};

pub(super) const VERBOSE_DEBUGGING: Directive = Directive {
    name: c"WSGIVerboseDebugging",
    context: Context::Global,
    arguments: Arguments::One,
    syntax: "WSGIVerboseDebugging On|Off",
    default: "Off",
    help: c"Not used any more: see LogLevel wsgi:debug",
    doc: "Made the module say more in the error log. Loads with a notice.",
    standing: Standing::Obsolete("write \"LogLevel wsgi:debug\" to see more in the error log"),
    apply: either,
    ..ROW
};

pub(super) const LAZY_INITIALIZATION: Directive = Directive {
    name: c"WSGILazyInitialization",
    context: Context::Global,
    arguments: Arguments::One,
    syntax: "WSGILazyInitialization On|Off",
    default: "On",
    help: c"Not used any more: Python never starts in httpd's parent",
    doc: "Off started Python in httpd's parent process. Both values load with a notice.",
    standing: Standing::Obsolete("Python starts only in the processes that need it; remove the line"),
    apply: either,
    ..ROW
};

pub(super) const PY3K_WARNING_FLAG: Directive = Directive {
    name: c"WSGIPy3kWarningFlag",
    context: Context::Global,
    arguments: Arguments::One,
    syntax: "WSGIPy3kWarningFlag On|Off",
    default: "Off",
    help: c"Not used any more: it was for Python 2.6",
    doc: "Made Python 2.6 warn of what Python 3 does otherwise. Both values load with a notice.",
    standing: Standing::Obsolete("it was for Python 2.6; remove the line"),
    apply: either,
    ..ROW
};

pub(super) const OUTPUT_BUFFERING: Directive = Directive {
    name: c"WSGIOutputBuffering",
    arguments: Arguments::One,
    syntax: "WSGIOutputBuffering Off",
    default: "Off",
    help: c"Not used any more: responses are never held back",
    doc: "On held responses back until they were complete. Off loads with a notice; On is refused, because applications could \
          rely on it.",
    standing: Standing::Obsolete(
        "responses go out as the application gives them; collect the parts in the application",
    ),
    apply: off_only,
    ..ROW
};

pub(super) const APACHE_EXTENSIONS: Directive = Directive {
    name: c"WSGIApacheExtensions",
    arguments: Arguments::One,
    syntax: "WSGIApacheExtensions Off",
    default: "Off",
    help: c"Not used any more: see WSGIPassApacheRequest",
    doc: "On put httpd's request record into environ. Off loads with a notice, On is refused.",
    standing: Standing::Obsolete("the directive is WSGIPassApacheRequest today"),
    apply: off_only,
    ..ROW
};

pub(super) const PYTHON_EXECUTABLE: Directive = Directive {
    name: c"WSGIPythonExecutable",
    syntax: "WSGIPythonExecutable path",
    help: c"Not used any more: see WSGIPythonHome",
    doc: "Named the program `python`. Refused, because another Python could be meant than the one that starts.",
    standing: Standing::Obsolete("name the directory of the installation or virtual environment with WSGIPythonHome"),
    ..ROW
};

pub(super) const SERVER_GROUP: Directive = Directive {
    name: c"WSGIServerGroup",
    syntax: "WSGIServerGroup name",
    help: c"Not used any more: see the option application-group",
    doc: "Named the interpreter of access and authentication scripts. Refused.",
    standing: Standing::Obsolete("give the script's own directive the option application-group="),
    ..ROW
};

pub(super) const USER_AUTHORITATIVE: Directive = Directive {
    name: c"WSGIUserAuthoritative",
    syntax: "WSGIUserAuthoritative On|Off",
    help: c"Not used any more: see AuthBasicAuthoritative",
    doc: "Decided whether other modules were asked after a user script. Refused, because it decides who gets in.",
    standing: Standing::Obsolete("httpd decides it: AuthBasicAuthoritative, and the order of AuthBasicProvider"),
    ..ROW
};

pub(super) const NEW_RELIC_CONFIG_FILE: Directive = Directive {
    name: c"WSGINewRelicConfigFile",
    syntax: "WSGINewRelicConfigFile path",
    help: c"Not used any more: start the agent in the script",
    doc: "Started the New Relic agent. Refused, because monitoring would be missed silently.",
    standing: Standing::Obsolete("start the agent at the top of the WSGI script: newrelic.agent.initialize(path)"),
    ..ROW
};

pub(super) const NEW_RELIC_ENVIRONMENT: Directive = Directive {
    name: c"WSGINewRelicEnvironment",
    syntax: "WSGINewRelicEnvironment name",
    help: c"Not used any more: start the agent in the script",
    doc: "Chose a section of the New Relic agent's settings. Refused, because monitoring would be missed silently.",
    standing: Standing::Obsolete(
        "start the agent at the top of the WSGI script: newrelic.agent.initialize(path, environment)",
    ),
    ..ROW
};
