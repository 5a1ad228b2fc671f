//! Directives about Python itself: how it starts in httpd's children, and what it leaves open to applications.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::super::group::fixed_name;
use super::super::refusal::shown;
use super::super::{
    Arguments, Context, Directive, HashSeed, InterpreterOptions, Kind, Merge, OptionRow, Place, Standing, Words,
};
use super::{APPLICATION_GROUP_OPTION, PROCESS_GROUP_OPTION, seconds};

/// What rows for one On/Off or one value of the whole process share.
const ROW: Directive = Directive {
    name: c"",
    context: Context::Global,
    kind: Kind::Plain,
    arguments: Arguments::One,
    options: &[],
    syntax: "",
    default: "Off",
    merge: Merge::ProcessWide,
    help: c"",
    doc: "",
    standing: Standing::InEffect,
    apply: |_, _| Ok(()),
};

/// What rows share that may stand in `<WSGIInterpreterOptions>`.
const OPTION: Directive = Directive { context: Context::GlobalOrOptions, merge: Merge::NearestInterpreters, ..ROW };

pub(super) const PYTHON_HOME: Directive = Directive {
    name: c"WSGIPythonHome",
    syntax: "WSGIPythonHome directory",
    default: "the Python that the module was built for",
    help: c"Directory of the Python installation or virtual environment",
    doc: "Where Python is: the prefix of an installation, or the root of a virtual environment (a directory with \
          `pyvenv.cfg`). It is the value of `sys.prefix` in that Python, and it must be of the same version (3.11, say) \
          as the Python that the module was built for; in daemon processes it may be another, with a program of its own (`make worker`). The user that httpd's children, or a group's daemon processes, run as \
          must be able to read it. A daemon process group may have another with `python-home`.",
    apply: |place, words| {
        place.process(words)?.python_home = Some(path(words.value()));
        Ok(())
    },
    ..ROW
};

pub(super) const PYTHON_PATH: Directive = Directive {
    name: c"WSGIPythonPath",
    merge: Merge::OuterFirst,
    syntax: "WSGIPythonPath directory[:directory...]",
    default: "Python's own search path",
    help: c"Directories to search for Python modules",
    doc: "Directories that Python searches for modules, parted by `:`. They go in front of Python's own search path, and `.pth` files in \
          them are read. Empty parts are left out. Outside `<WSGIInterpreterOptions>` the line is for embedded mode: daemon processes \
          have the option `python-path` instead. Inside it adds to either; what the nearest section adds is searched first.",
    apply: |place, words| {
        let parts = words.value().split(|byte| *byte == b':').filter(|part| !part.is_empty());
        place.interpreters(words)?.python_path = parts.map(<[u8]>::to_vec).collect();
        Ok(())
    },
    ..OPTION
};

pub(super) const PYTHON_EGGS: Directive = Directive {
    name: c"WSGIPythonEggs",
    syntax: "WSGIPythonEggs directory",
    default: "Python's own",
    help: c"Directory in which Python unpacks eggs in embedded mode",
    doc: "The directory in which Python unpacks packages that came as eggs, in embedded mode: the value of \
          `PYTHON_EGG_CACHE`. The user that httpd's children run as must be able to write to it.",
    apply: |place, words| {
        place.process(words)?.python_eggs = Some(path(words.value()));
        Ok(())
    },
    ..ROW
};

pub(super) const PYTHON_OPTIMIZE: Directive = Directive {
    name: c"WSGIPythonOptimize",
    syntax: "WSGIPythonOptimize 0|1|2",
    default: "0",
    help: c"Level of Python's optimisation: 0, 1 or 2",
    doc: "Python's level of optimisation, as its options `-O` (1) and `-OO` (2). With 1 `assert` statements are left \
          out, with 2 documentation strings too. A negative number means 0, more than 2 means 2. What is no number is \
          refused.",
    apply: |place, words| {
        let level: i64 = words.text().parse().map_err(|_| words.bad_value("write 0, 1 or 2"))?;
        place.process(words)?.python_optimize = match level {
            ..=0 => 0,
            1 => 1,
            2.. => 2,
        };
        Ok(())
    },
    ..ROW
};

pub(super) const PYTHON_WARNINGS: Directive = Directive {
    name: c"WSGIPythonWarnings",
    syntax: "WSGIPythonWarnings action[:message:category:module:line]",
    default: "none",
    merge: Merge::ProcessWideList,
    help: c"Filter for Python's warnings, as python -W",
    doc: "A filter for Python's warnings, written as for `python -W`, for instance `ignore::DeprecationWarning`. May be \
          repeated.",
    apply: |place, words| {
        place.process(words)?.python_warnings.push(words.value().to_vec());
        Ok(())
    },
    ..ROW
};

pub(super) const PYTHON_HASH_SEED: Directive = Directive {
    name: c"WSGIPythonHashSeed",
    syntax: "WSGIPythonHashSeed random|number",
    default: "Python's own: random, unless PYTHONHASHSEED says otherwise",
    help: c"Seed of Python's hash: random, or 0 to 4294967295",
    doc: "The seed of Python's hash of strings: `random` for another one in each process, or a number from 0 to \
          4294967295, where 0 turns the randomness off. A fixed seed makes the order of sets repeatable, and attacks that \
          rely on colliding keys possible.",
    apply: |place, words| {
        place.process(words)?.hash_seed = if words.value().eq_ignore_ascii_case(b"random") {
            HashSeed::Random
        } else {
            let seed = words.text().parse();
            HashSeed::Fixed(seed.map_err(|_| words.bad_value("write random, or a number from 0 to 4294967295"))?)
        };
        Ok(())
    },
    ..ROW
};

pub(super) const DONT_WRITE_BYTECODE: Directive = Directive {
    name: c"WSGIDontWriteBytecode",
    syntax: "WSGIDontWriteBytecode On|Off",
    help: c"On keeps Python from writing .pyc files",
    doc: "With On Python writes no `.pyc` files, as with `python -B`. With Off it does as usual, so `PYTHONDONTWRITEBYTECODE` \
          in httpd's environment still counts.",
    apply: |place, words| {
        place.process(words)?.dont_write_bytecode = words.on_off()?;
        Ok(())
    },
    ..ROW
};

pub(super) const SWITCH_INTERVAL: Directive = Directive {
    name: c"WSGISwitchInterval",
    syntax: "WSGISwitchInterval seconds",
    default: "Python's own, 0.005",
    help: c"Seconds after which a Python thread gives way to another",
    doc: "After how many seconds a thread that runs Python code gives way to another that waits: the value for \
          `sys.setswitchinterval`. A decimal number above 0, for instance `0.001`. The option `switch-interval` of a daemon process group \
          goes before a line outside `<WSGIInterpreterOptions>`. In a section with `application-group=` it holds for the main interpreter, and for \
          those with a GIL of their own; for others it is left out with the warning `WSGI0199`, since all that share a GIL share this.",
    apply: |place, words| {
        let interval = seconds(words.value());
        let interval = interval.ok_or_else(|| words.bad_value("write a number of seconds above 0, such as 0.005"))?;
        place.interpreters(words)?.switch_interval = Some(interval);
        Ok(())
    },
    ..OPTION
};

pub(super) const DESTROY_INTERPRETER: Directive = Directive {
    name: c"WSGIDestroyInterpreter",
    syntax: "WSGIDestroyInterpreter On|Off",
    default: "On",
    help: c"Off ends processes without ending Python first",
    doc: "With On Python's interpreters are ended in order when a process ends: `atexit` functions run and threads are \
          waited for. With Off the process just goes. Use Off for C extensions that crash or hang at the end.",
    apply: |place, words| {
        place.process(words)?.destroy_interpreter = words.on_off()?;
        Ok(())
    },
    ..ROW
};

pub(super) const CASE_SENSITIVITY: Directive = Directive {
    name: c"WSGICaseSensitivity",
    syntax: "WSGICaseSensitivity On|Off",
    default: "On",
    help: c"Off for file systems that ignore upper and lower case",
    doc: "Whether the file system tells upper from lower case. With Off, URLs and script paths that differ only in case \
          lead to the same interpreter and the same loaded script.",
    apply: |place, words| {
        place.process(words)?.case_sensitivity = words.on_off()?;
        Ok(())
    },
    ..ROW
};

pub(super) const RESTRICT_STDIN: Directive = Directive {
    name: c"WSGIRestrictStdin",
    syntax: "WSGIRestrictStdin On|Off",
    help: c"On makes use of sys.stdin an error",
    doc: "With On any use of `sys.stdin` raises `OSError`. A server has no standard input; On finds applications that \
          read from it (the request's body is `environ[\"wsgi.input\"]`).",
    apply: |place, words| {
        place.interpreters(words)?.restrict_stdin = Some(words.on_off()?);
        Ok(())
    },
    ..OPTION
};

pub(super) const RESTRICT_STDOUT: Directive = Directive {
    name: c"WSGIRestrictStdout",
    syntax: "WSGIRestrictStdout On|Off",
    help: c"On makes use of sys.stdout an error; Off sends it to the error log",
    doc: "With On any use of `sys.stdout` raises `OSError`, which finds applications that would not work as CGI. With Off \
          what is printed goes to the error log.",
    apply: |place, words| {
        place.interpreters(words)?.restrict_stdout = Some(words.on_off()?);
        Ok(())
    },
    ..OPTION
};

pub(super) const RESTRICT_SIGNAL: Directive = Directive {
    name: c"WSGIRestrictSignal",
    syntax: "WSGIRestrictSignal On|Off",
    default: "On",
    help: c"On keeps applications from installing signal handlers",
    doc: "With On `signal.signal` installs nothing and logs who called it: signals belong to httpd, which is started and \
          stopped with them. Off lets an application take them, at its own risk.",
    apply: |place, words| {
        place.interpreters(words)?.restrict_signal = Some(words.on_off()?);
        Ok(())
    },
    ..OPTION
};

pub(super) const PER_INTERPRETER_GIL: Directive = Directive {
    name: c"WSGIPerInterpreterGIL",
    syntax: "WSGIPerInterpreterGIL On|Off",
    help: c"On gives each sub-interpreter its own GIL (Python 3.12 and newer)",
    doc: "With On each sub-interpreter has a GIL of its own, so that applications in different application groups of one process run \
          Python code at the same time. The main interpreter (`%{GLOBAL}`, and an application that is alone in its daemon process group) \
          has one anyway. It takes Python 3.12; where processes have an older one, the line loads with the warning `WSGI0198` and changes \
          nothing.\n\n\
          CPython is strict in such an interpreter: C extensions that do not say that they can have their own GIL raise `ImportError`, \
          `os.fork`, `os.exec` and `subprocess` and daemon threads `RuntimeError`. Try the application before it is anybody's site.",
    apply: |place, words| {
        place.interpreters(words)?.per_interpreter_gil = Some(words.on_off()?);
        Ok(())
    },
    ..OPTION
};

pub(super) const FREE_THREADING: Directive = Directive {
    name: c"WSGIFreeThreading",
    syntax: "WSGIFreeThreading On|Off",
    help: c"On runs a free-threaded Python without the GIL",
    doc: "With On processes run without the GIL, if their Python was built for that (PEP 703); with Off such a Python has the GIL like any \
          other. With a usual Python the line loads with the warning `WSGI0200` and changes nothing. It is of whole processes: in a \
          `<WSGIInterpreterOptions>` with `application-group=` it is left out with the warning `WSGI0201`.",
    apply: |place, words| {
        let on = words.on_off()?;
        let options = place.interpreters(words)?;
        options.free_threading = Some(on);
        if options.application_group.is_some() {
            place.surroundings.warn(
                "WSGI0201: WSGIFreeThreading changes nothing in a section with application-group=: processes have the GIL or not, not \
                 interpreters; move the line to a section without that, or outside"
                    .to_owned(),
            );
        }
        Ok(())
    },
    ..OPTION
};

pub(super) const INTERPRETER_OPTIONS: Directive = Directive {
    name: c"<WSGIInterpreterOptions",
    kind: Kind::Section,
    arguments: Arguments::Options(0),
    options: &[
        OptionRow {
            value: "name or %{GLOBAL}",
            doc: "The interpreters in the processes of this daemon process group; `%{GLOBAL}` is embedded mode. Without it: in all.",
            ..PROCESS_GROUP_OPTION
        },
        OptionRow {
            value: "name or %{GLOBAL}",
            doc: "The interpreter of this name, as an application finds it in `mod_wsgi.application_group`; `%{GLOBAL}` is the main one. Without \
                  it: all.",
            ..APPLICATION_GROUP_OPTION
        },
    ],
    syntax: "<WSGIInterpreterOptions [process-group=name|%{GLOBAL}] [application-group=name|%{GLOBAL}]>",
    default: "none",
    merge: Merge::Nothing,
    help: c"Container for settings of single interpreters",
    doc: "Holds lines that are for some interpreters only:\n\n\
          ```apache\n\
          <WSGIInterpreterOptions process-group=shop>\n    \
          WSGIPerInterpreterGIL On\n\
          </WSGIInterpreterOptions>\n\
          <WSGIInterpreterOptions process-group=shop application-group=reports>\n    \
          WSGIPythonPath /srv/shop/reports\n    \
          WSGISwitchInterval 0.02\n\
          </WSGIInterpreterOptions>\n\
          ```\n\n\
          `WSGIFreeThreading`, `WSGIPerInterpreterGIL`, `WSGIPythonPath`, `WSGIRestrictSignal`, `WSGIRestrictStdin`, `WSGIRestrictStdout` and \
          `WSGISwitchInterval` may stand there. A setting is taken from the nearest section that has it: one that names both \
          groups is nearer than one that names one, and that than one without names; of two that are equally near the later counts; \
          what no section sets is as the lines outside say. The names are those of the processes and the interpreter; no `%{...}` form but \
          `%{GLOBAL}` is known there. Other directives load with a warning, if they are of this module, and hold as if they stood outside. \
          Such a section can't stand in another one.",
    apply: |place, words| {
        let process_group = selector(place, words, "process-group");
        let application_group = selector(place, words, "application-group");
        let section = InterpreterOptions { process_group, application_group, ..InterpreterOptions::default() };
        place.process(words)?.interpreters.some.push(section);
        Ok(())
    },
    ..ROW
};

fn selector(place: &mut Place<'_>, words: &Words<'_>, option: &str) -> Option<Vec<u8>> {
    let said = words.option(option)?;
    let fixed = fixed_name(said);
    if fixed.is_none() {
        place.surroundings.warn(format!(
            "{}: {option}=\"{}\" is taken literally, so it is no interpreter's; write a name, or %{{GLOBAL}}",
            words.row().title(),
            shown(said)
        ));
    }
    Some(fixed.unwrap_or(said).to_vec())
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
