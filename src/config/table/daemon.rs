//! Directives about processes: daemon mode (which comes later), and which processes may run applications.

use super::super::{AcceptMutex, Arguments, Context, Directive, Kind, Merge, Standing};
use super::{later, process_group};

const NO_DAEMONS: Standing = Standing::LoadsWithoutEffect("it concerns daemon mode, which comes with a later version");

/// What the rows of this theme share.
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

pub(super) const DAEMON_PROCESS: Directive = Directive {
    name: c"WSGIDaemonProcess",
    context: Context::Server,
    arguments: Arguments::List,
    syntax: "WSGIDaemonProcess name [option=value ...]",
    default: "none",
    merge: Merge::Nothing,
    help: c"Group of daemon processes that run applications (not yet)",
    doc: "Will define a group of processes of its own for applications: with its own user, Python, number of processes and \
          threads, limits and restarts.",
    standing: Standing::Later(
        "defines a daemon process group, and daemon mode comes with a later version of this module; remove the line, and the \
         WSGIProcessGroup lines and process-group= options that use it, to serve the application in embedded mode",
    ),
    ..ROW
};

pub(super) const PROCESS_GROUP: Directive = Directive {
    name: c"WSGIProcessGroup",
    context: Context::ServerOrDirectory,
    syntax: "WSGIProcessGroup %{GLOBAL}",
    default: "%{GLOBAL}",
    merge: Merge::InnerWins,
    help: c"Name of the process group that runs the application",
    doc: "Which processes run the application. `%{GLOBAL}` is embedded mode: httpd's own children. Names of daemon process \
          groups and the forms that choose one for each request (`%{ENV:variable}` and so on) come with daemon mode, in a \
          later version; until then they are refused.",
    apply: |place, words| {
        place.dir.process_group = Some(process_group(words, words.value())?);
        Ok(())
    },
    ..ROW
};

pub(super) const RESTRICT_PROCESS: Directive = Directive {
    name: c"WSGIRestrictProcess",
    context: Context::ServerOrDirectory,
    arguments: Arguments::List,
    syntax: "WSGIRestrictProcess [name|%{GLOBAL} ...]",
    default: "no restriction",
    merge: Merge::InnerWins,
    help: c"Process groups that applications here may use",
    doc: "The process groups that may run applications here; a request for any other is answered with 500. `%{GLOBAL}` is \
          embedded mode: leave it out to forbid that. Without any name nothing may run here. Upper and lower case are the \
          same.",
    apply: |place, words| {
        let name = |word: &Vec<u8>| if word == b"%{GLOBAL}" { Vec::new() } else { word.clone() };
        place.dir.restrict_process = Some(words.all().iter().map(name).collect());
        Ok(())
    },
    ..ROW
};

pub(super) const RESTRICT_EMBEDDED: Directive = Directive {
    name: c"WSGIRestrictEmbedded",
    syntax: "WSGIRestrictEmbedded On|Off",
    help: c"On keeps applications out of httpd's own children",
    doc: "With On requests in embedded mode are answered with 500, so that no application runs in httpd's own children by \
          mistake. As long as daemon mode is to come, that means all applications.",
    apply: |place, words| {
        place.process(words)?.restrict_embedded = words.on_off()?;
        Ok(())
    },
    ..ROW
};

pub(super) const SOCKET_PREFIX: Directive = Directive {
    name: c"WSGISocketPrefix",
    syntax: "WSGISocketPrefix path",
    default: "wsgi in httpd's runtime directory",
    help: c"Path and first part of the name of daemon sockets",
    doc: "Where the sockets between httpd and its daemon processes are made, and how their names begin. A path that does not \
          start with `/` is taken below `ServerRoot`.",
    standing: NO_DAEMONS,
    apply: |place, words| {
        let path = place.surroundings.server_root_relative(words.value());
        let path = path.ok_or_else(|| words.bad_value("the path can't be put below ServerRoot; write it from / on"))?;
        place.process(words)?.socket_prefix = Some(path);
        Ok(())
    },
    ..ROW
};

pub(super) const SOCKET_ROTATION: Directive = Directive {
    name: c"WSGISocketRotation",
    syntax: "WSGISocketRotation On|Off",
    default: "On",
    help: c"Whether daemon sockets get new names at a restart",
    doc: "In C mod_wsgi: whether the sockets of daemon processes get new names at each restart of httpd.",
    standing: NO_DAEMONS,
    apply: |place, words| {
        place.process(words)?.socket_rotation = words.on_off()?;
        Ok(())
    },
    ..ROW
};

pub(super) const ACCEPT_MUTEX: Directive = Directive {
    name: c"WSGIAcceptMutex",
    syntax: "WSGIAcceptMutex Default|flock|fcntl|sysvsem|posixsem|pthread",
    default: "Default",
    help: c"Lock with which daemon processes take turns",
    doc: "In C mod_wsgi: the lock with which the processes of a daemon group take turns at accepting connections.",
    standing: NO_DAEMONS,
    apply: |place, words| {
        let allowed = "write Default, flock, fcntl, sysvsem, posixsem or pthread";
        place.process(words)?.accept_mutex = match words.text().to_ascii_lowercase().as_str() {
            "default" => AcceptMutex::Default,
            "flock" => AcceptMutex::Flock,
            "fcntl" => AcceptMutex::Fcntl,
            "sysvsem" => AcceptMutex::SysVSem,
            "posixsem" => AcceptMutex::PosixSem,
            "pthread" => AcceptMutex::PThread,
            _ => return Err(words.bad_value(allowed)),
        };
        Ok(())
    },
    ..ROW
};
