//! Directives about processes: daemon process groups, and which processes may run applications.

use super::super::refusal::shown;
use super::super::{Arguments, Context, DaemonGroup, Directive, Kind, Level, Merge, SectionGroup, Standing};
use super::{daemon_options, warn_of_no_form};

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
    apply: |_, _| Ok(()),
};

pub(super) const DAEMON_PROCESS: Directive = Directive {
    name: c"WSGIDaemonProcess",
    context: Context::Server,
    arguments: Arguments::Options(1),
    options: &daemon_options::OPTIONS,
    syntax: "WSGIDaemonProcess name [option=value ...]",
    default: "none",
    merge: Merge::Nothing,
    help: c"Group of daemon processes that run applications: name, options",
    doc: "Defines a group of processes of its own for applications: with its own user, Python, number of processes and \
          threads, limits and restarts. `WSGIProcessGroup`, or `process-group=` of an alias, sends requests there.\n\n\
          A name is given once in all of httpd, upper and lower case being different. A group that is defined outside \
          `<VirtualHost>` is open to all servers; one in a virtual host to that host and to those of the same \
          `ServerName` (upper and lower case being different), whatever their ports. Requests of others are answered \
          with 500.\n\n\
          The order of lines does not matter: a `WSGIImportScript`, or an alias with both groups given, may stand before \
          the group that it names. (C mod_wsgi wants the group first.)\n\n\
          Numbers are whole and without units: `threads=5x` is refused, as is what lies outside the range. Each option of \
          time works by itself; none needs another to be set.",
    apply: |place, words| {
        let name = words.word(0);
        let options = daemon_options::read(words)?;
        // Such a name can be defined, but what asks for it is given another.
        if name.starts_with(b"%{") {
            place.surroundings.warn(format!(
                "WSGIDaemonProcess: the name \"{}\" looks like one of the forms that are expanded, so requests may never \
                 lead to this group; give it a plain name",
                shown(name)
            ));
        }
        let server = place.server(words)?;
        if server.daemons.iter().any(|group| group.name == name) {
            return Err(words.bad_value("this server has a group of that name; rename one, or remove one of the lines"));
        }
        server.daemons.push(DaemonGroup { name: name.to_vec(), options });
        Ok(())
    },
    ..ROW
};

pub(super) const PROCESS_GROUP: Directive = Directive {
    name: c"WSGIProcessGroup",
    context: Context::ServerOrDirectory,
    syntax: "WSGIProcessGroup name|%{GLOBAL}|%{RESOURCE}|%{SERVER}|%{HOST}|%{ENV:variable}",
    default: "%{GLOBAL}",
    merge: Merge::InnerWins,
    help: c"Name of the process group that runs the application",
    doc: "Which processes run the application: those of a `WSGIDaemonProcess` of this name, which may be defined before or \
          after this line. `%{GLOBAL}` is embedded mode: httpd's own children. The other forms choose a name for each \
          request, as with `WSGIApplicationGroup`; `%{ENV:variable}` may hold `%{GLOBAL}`, too.\n\n\
          A request whose group is not defined, not open to its server (see `WSGIDaemonProcess`), or not listed in \
          `WSGIRestrictProcess` is answered with 500.",
    apply: |place, words| {
        let group = words.value().to_vec();
        if let Some(earlier) = place.dir.process_group.as_ref().filter(|earlier| **earlier != group) {
            place.surroundings.warn(format!(
                "WSGIProcessGroup is set twice here, to \"{}\" and now to \"{}\", which is the one that counts; remove one of the lines",
                shown(earlier),
                shown(&group)
            ));
        }
        warn_of_no_form(place, "WSGIProcessGroup ", &group);
        let path = place.section.unwrap_or_default().to_vec();
        if let Some(server) = place.server.as_deref_mut() {
            match place.level {
                Level::Server => server.chosen.process_group = Some(group.clone()),
                Level::Section | Level::Limit | Level::Htaccess => {
                    server.chosen.sections.push(SectionGroup { path, group: group.clone() });
                }
            }
        }
        place.dir.process_group = Some(group);
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
          mistake, and all run in daemon processes.",
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
          start with `/` is taken below `ServerRoot`. httpd's children connect to them, so their user must be able to \
          search the directory; and a socket's whole path is at most 107 bytes long.\n\n\
          Another path counts from the next graceful restart on: the sockets are made anew, and new workers behind them. So are those whose \
          files somebody has removed. Where they can't be made, the old ones are used on, and the error log says so.",
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
    doc: "In C mod_wsgi: whether the sockets of daemon processes get new names at each restart of httpd, which cuts children \
          that finish their last requests off from them.",
    standing: Standing::LoadsWithoutEffect(
        "sockets stay over a restart as long as their group's settings and their places do, and old children keep theirs in any case",
    ),
    apply: |_, words| words.on_off().map(|_| ()),
    ..ROW
};

pub(super) const ACCEPT_MUTEX: Directive = Directive {
    name: c"WSGIAcceptMutex",
    syntax: "WSGIAcceptMutex Default|flock|fcntl|sysvsem|posixsem|pthread",
    default: "Default",
    help: c"Lock with which daemon processes take turns",
    doc: "In C mod_wsgi: the lock with which the processes of a daemon group take turns at accepting connections.",
    standing: Standing::LoadsWithoutEffect(
        "each daemon process has a socket of its own, so there are no turns to take",
    ),
    apply: |_, words| match words.text().to_ascii_lowercase().as_str() {
        "default" | "flock" | "fcntl" | "sysvsem" | "posixsem" | "pthread" => Ok(()),
        _ => Err(words.bad_value("write Default, flock, fcntl, sysvsem, posixsem or pthread")),
    },
    ..ROW
};
