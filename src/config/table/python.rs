//! Directives about Python itself: how it starts in httpd's children, and what it leaves open to applications.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::super::{Arguments, Context, Directive, HashSeed, Kind, Merge, Standing};
use super::{later, later_unless_off, seconds};

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
    apply: later,
};

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
    context: Context::GlobalOrOptions,
    syntax: "WSGIPythonPath directory[:directory...]",
    default: "Python's own search path",
    help: c"Directories to search for Python modules in embedded mode",
    doc: "Directories that Python searches for modules in embedded mode, parted by `:`. They go in front of Python's own \
          search path, and `.pth` files in them are read. Empty parts are left out.",
    apply: |place, words| {
        place.process(words)?.python_path =
            words.value().split(|byte| *byte == b':').filter(|part| !part.is_empty()).map(path).collect();
        Ok(())
    },
    ..ROW
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
    context: Context::GlobalOrOptions,
    syntax: "WSGISwitchInterval seconds",
    default: "Python's own, 0.005",
    help: c"Seconds after which a Python thread gives way to another",
    doc: "After how many seconds a thread that runs Python code gives way to another that waits: the value for \
          `sys.setswitchinterval`. A decimal number above 0, for instance `0.001`.",
    apply: |place, words| {
        let interval = seconds(words.value());
        let interval = interval.ok_or_else(|| words.bad_value("write a number of seconds above 0, such as 0.005"))?;
        place.process(words)?.switch_interval = Some(interval);
        Ok(())
    },
    ..ROW
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
    context: Context::GlobalOrOptions,
    syntax: "WSGIRestrictStdin On|Off",
    help: c"On makes use of sys.stdin an error",
    doc: "With On any use of `sys.stdin` raises `OSError`. A server has no standard input; On finds applications that \
          read from it (the request's body is `environ[\"wsgi.input\"]`).",
    apply: |place, words| {
        place.process(words)?.restrict_stdin = words.on_off()?;
        Ok(())
    },
    ..ROW
};

pub(super) const RESTRICT_STDOUT: Directive = Directive {
    name: c"WSGIRestrictStdout",
    context: Context::GlobalOrOptions,
    syntax: "WSGIRestrictStdout On|Off",
    help: c"On makes use of sys.stdout an error; Off sends it to the error log",
    doc: "With On any use of `sys.stdout` raises `OSError`, which finds applications that would not work as CGI. With Off \
          what is printed goes to the error log.",
    apply: |place, words| {
        place.process(words)?.restrict_stdout = words.on_off()?;
        Ok(())
    },
    ..ROW
};

pub(super) const RESTRICT_SIGNAL: Directive = Directive {
    name: c"WSGIRestrictSignal",
    context: Context::GlobalOrOptions,
    syntax: "WSGIRestrictSignal On|Off",
    default: "On",
    help: c"On keeps applications from installing signal handlers",
    doc: "With On `signal.signal` installs nothing and logs who called it: signals belong to httpd, which is started and \
          stopped with them. Off lets an application take them, at its own risk.",
    apply: |place, words| {
        place.process(words)?.restrict_signal = words.on_off()?;
        Ok(())
    },
    ..ROW
};

pub(super) const PER_INTERPRETER_GIL: Directive = Directive {
    name: c"WSGIPerInterpreterGIL",
    context: Context::GlobalOrOptions,
    syntax: "WSGIPerInterpreterGIL On|Off",
    help: c"On gives each sub-interpreter its own GIL (not yet)",
    doc: "On will give each sub-interpreter a GIL of its own, so that applications in different application groups run \
          Python code at the same time (Python 3.12 and newer).",
    standing: Standing::Later(
        "On comes with a later version of this module; remove the line, or write Off: all interpreters of a process then \
         share one GIL",
    ),
    apply: later_unless_off,
    ..ROW
};

pub(super) const FREE_THREADING: Directive = Directive {
    name: c"WSGIFreeThreading",
    context: Context::GlobalOrOptions,
    syntax: "WSGIFreeThreading On|Off",
    help: c"On runs a free-threaded Python without the GIL (not yet)",
    doc: "On will let a free-threaded build of Python run without the GIL.",
    standing: Standing::Later(
        "On comes with a later version of this module; remove the line, or write Off: Python then runs with the GIL",
    ),
    apply: later_unless_off,
    ..ROW
};

pub(super) const INTERPRETER_OPTIONS: Directive = Directive {
    name: c"<WSGIInterpreterOptions",
    kind: Kind::Section,
    arguments: Arguments::List,
    syntax: "<WSGIInterpreterOptions [process-group=name] [application-group=name]>",
    default: "none",
    merge: Merge::Nothing,
    help: c"Container for settings of single interpreters (not yet)",
    doc: "Will hold directives that apply to the interpreters of one process group or application group only.",
    standing: Standing::Later(
        "comes with a later version of this module; remove the section, and set what all interpreters may share outside it",
    ),
    ..ROW
};

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
