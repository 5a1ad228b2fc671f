//! What loads but does not do what its author wants: rules over the whole configuration, once all lines are read.
//!
//! Called by the parent, at `httpd -t` and at each start. What is outside the configuration comes in as [`Facts`]. A rule
//! speaks only where it is sure: what a request may decide otherwise (`%{...}` forms, dispatch scripts, patterns) silences it.
//! Every sentence names the line, what happens, and what to write instead. What a single line shows by itself is said
//! where that line is read, in `table`.

mod homes;
mod named;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

pub use homes::Installation;

use super::check::{Server, all, line_of, own_aliases};
use super::group::fixed_name;
use super::python_home::OWN_GIL;
use super::refusal::shown;
use super::{Alias, AliasPattern, DaemonGroup, ImportOrigin, PythonVersion, SectionGroup, ServerConfig};

/// So many interpreters in httpd's children, each with a copy of its application, are no longer what somebody means: at some 30 MB for a
/// small application they are 3 GB. httpd's defaults are below that with the event MPM (16 children) and six applications, and above it
/// with the prefork MPM (256 children) and one.
const MOST_INTERPRETERS: usize = 100;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Missing,
    File,
    Directory,
    /// It can't be looked at.
    Unknown,
}

/// A directory on the way to the sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub path: PathBuf,
    /// Permission bits, owner and group; none where it does not exist.
    pub access: Option<(u32, u32, u32)>,
}

/// Where the sockets of daemon processes are made, and who must get there.
#[derive(Clone, Debug)]
pub struct SocketDirectory {
    /// From `/` on.
    pub way: Vec<Step>,
    /// Whom httpd's children are.
    pub user: u32,
    pub groups: Vec<u32>,
}

/// A Python that runs applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Python {
    pub version: PythonVersion,
    /// Built to run without the GIL.
    pub free_threaded: bool,
}

/// What the rules must know of the world outside.
pub struct Facts<'f> {
    pub look: &'f dyn Fn(&Path) -> Seen,
    /// The most children that httpd may have at once; none where the MPM does not say.
    pub children: Option<u32>,
    /// None where children are who the parent is.
    pub sockets: Option<SocketDirectory>,
    /// The module's own Python.
    pub python: Python,
    pub own: Installation,
    /// The text of the `pyvenv.cfg` in a home; none where it can't be read.
    pub environment: &'f dyn Fn(&Path) -> Option<String>,
    /// The standard library, of the module's version, of the installation whose interpreter is in this folder; links followed.
    pub library: &'f dyn Fn(&Path) -> Option<PathBuf>,
    /// The Python of a group's processes, as far as it is known.
    pub python_of: &'f dyn Fn(&DaemonGroup) -> Python,
}

/// What is to be warned about, a sentence each. Pass each server's `ServerName` and merged record, the main server first.
pub fn lint<'a>(
    servers: impl IntoIterator<Item = (Option<&'a [u8]>, &'a ServerConfig)>,
    facts: &Facts<'_>,
) -> Vec<String> {
    let servers = all(servers);
    let mounts = mounts(&servers);
    let (failing, meant) = named::groups_that_fail(&servers);
    let mut found = unused_groups(&servers, &meant);
    found.extend(failing);
    found.extend(both_modes(&servers, &mounts));
    found.extend(two_groups(&mounts));
    found.extend(missing_scripts(&servers, &mounts, facts.look));
    found.extend(missing_directories(&servers, facts.look));
    found.extend(homes::foreign_homes(&servers, &mounts, facts));
    if servers.iter().any(|server| !server.config.daemons.is_empty()) {
        found.extend(facts.sockets.as_ref().and_then(closed_directory));
    }
    found.extend(too_many_interpreters(&servers, &mounts, facts.children));
    found.extend(everybody_is_believed(&servers));
    found.extend(vain_gil(&servers, &mounts, facts));
    found.extend(sections_of_no_group(&servers));
    found
}

/// An alias where it is written.
struct Mount<'a> {
    server: Server<'a>,
    alias: &'a Alias,
    processes: Processes<'a>,
}

/// Which processes run what comes by an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Processes<'a> {
    /// No line says anything: embedded mode.
    Unsaid,
    /// This group; the empty name is embedded mode.
    Group(&'a [u8]),
    /// Only requests know.
    Open,
}

fn mounts<'a>(servers: &[Server<'a>]) -> Vec<Mount<'a>> {
    let Some(main) = servers.first() else { return Vec::new() };
    let dispatches = servers.iter().any(|server| server.config.chosen.dispatches);
    let of = |server: Server<'a>| {
        own_aliases(server, Some(main)).map(move |alias| {
            let processes = if dispatches { Processes::Open } else { processes(alias, server, *main) };
            Mount { server, alias, processes }
        })
    };
    servers.iter().flat_map(|server| of(*server)).collect()
}

fn processes<'a>(alias: &'a Alias, server: Server<'a>, main: Server<'a>) -> Processes<'a> {
    let group = |said| fixed_name(said).map_or(Processes::Open, Processes::Group);
    if let Some(said) = &alias.process_group {
        return group(said);
    }
    let outer = &main.config.chosen;
    let own = &server.config.chosen;
    let outer_sections: &[SectionGroup] = if server.number == main.number { &[] } else { &outer.sections };
    let mut holding: Option<&[u8]> = None;
    for section in own.sections.iter().chain(outer_sections) {
        match holds(section, alias) {
            Some(false) => {}
            Some(true) if holding.is_none_or(|other| other == section.group) => holding = Some(&section.group),
            Some(true) | None => return Processes::Open,
        }
    }
    let said = holding.or(own.process_group.as_deref()).or(outer.process_group.as_deref());
    said.map_or(Processes::Unsaid, group)
}

/// Whether a section is around all requests by an alias. None where that can't be said.
fn holds(section: &SectionGroup, alias: &Alias) -> Option<bool> {
    let AliasPattern::Prefix(mount) = &alias.pattern else { return None };
    if !section.path.starts_with(b"/") || section.path.iter().any(|byte| b"*?[](){}^$|\\~+".contains(byte)) {
        return None;
    }
    // A directory's path and a URL look alike; one is compared with the script, the other with the mount point.
    Some(is_below(&section.path, &alias.target) || is_below(&section.path, mount))
}

fn is_below(outer: &[u8], path: &[u8]) -> bool {
    let outer = outer.strip_suffix(b"/").unwrap_or(outer);
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// `meant`: those that a mistyped name stands for.
fn unused_groups(servers: &[Server<'_>], meant: &[&[u8]]) -> Vec<String> {
    let mut named: Vec<&[u8]> = meant.to_vec();
    for ServerConfig { chosen, aliases, process, .. } in servers.iter().map(|server| server.config) {
        if chosen.dispatches {
            return Vec::new();
        }
        let by_lines = chosen.process_group.iter().chain(chosen.sections.iter().map(|section| &section.group));
        let by_lines = by_lines.chain(&chosen.handler_groups);
        for said in by_lines.chain(aliases.iter().filter_map(|alias| alias.process_group.as_ref())) {
            match fixed_name(said) {
                Some(name) => named.push(name),
                // It may lead anywhere.
                None => return Vec::new(),
            }
        }
        named.extend(process.imports.iter().map(|import| import.process_group.as_slice()));
    }
    let unused = |group: &&DaemonGroup| !named.contains(&group.name.as_slice());
    let sentence = |server: &Server<'_>, group: &DaemonGroup| {
        let name = shown(&group.name);
        format!(
            "WSGI0580: nothing uses the daemon process group \"{name}\" of {}, so its processes only wait, and what they were meant for may \
             run elsewhere; write \"WSGIProcessGroup {name}\" where its application is, or remove the WSGIDaemonProcess line",
            server.shown()
        )
    };
    let of = |server: &Server<'_>| -> Vec<String> {
        server.config.daemons.iter().filter(unused).map(|group| sentence(server, group)).collect()
    };
    servers.iter().flat_map(of).collect()
}

/// A script that a daemon group has by one alias, and nobody in particular by another one. `%{GLOBAL}` says that it is meant.
fn both_modes(servers: &[Server<'_>], mounts: &[Mount<'_>]) -> Vec<String> {
    let opens = |name: &[u8], server: Server<'_>| {
        let owner = servers.iter().find(|owner| owner.config.daemons.iter().any(|group| group.name == name));
        owner.is_some_and(|owner| owner.opens_to(server))
    };
    let mut found: Vec<(&[u8], String)> = Vec::new();
    for embedded in mounts.iter().filter(|mount| mount.processes == Processes::Unsaid) {
        let target = embedded.alias.target.as_slice();
        let daemon =
            mounts.iter().filter(|mount| mount.alias.target == target).find_map(|mount| match mount.processes {
                Processes::Group(name) if opens(name, embedded.server) => Some((mount, name)),
                Processes::Group(_) | Processes::Unsaid | Processes::Open => None,
            });
        if let Some((mount, name)) = daemon
            && !target.contains(&b'$')
            && !found.iter().any(|(known, _)| *known == target)
        {
            let (name, script) = (shown(name), shown(target));
            let sentence = format!(
                "WSGI0581: {script} runs in the daemon process group \"{name}\" by {} in {}, but in httpd's own children by {} in {}, where no \
                 line names a process group; write \"WSGIProcessGroup {name}\" there too, or \"WSGIProcessGroup %{{GLOBAL}}\" if both are meant",
                line_of(mount.alias),
                mount.server.shown(),
                line_of(embedded.alias),
                embedded.server.shown()
            );
            found.push((target, sentence));
        }
    }
    found.into_iter().map(|(_, sentence)| sentence).collect()
}

/// One site, with and without TLS, whose two servers have a group each.
fn two_groups(mounts: &[Mount<'_>]) -> Vec<String> {
    let mut found = Vec::new();
    for (index, one) in mounts.iter().enumerate() {
        for other in mounts.iter().skip(index + 1) {
            let same_site = one.server.number != other.server.number
                && one.server.name.is_some()
                && one.server.name == other.server.name
                && line_of(one.alias) == line_of(other.alias)
                && one.alias.target == other.alias.target;
            if let (true, Processes::Group(first), Processes::Group(second)) =
                (same_site, one.processes, other.processes)
                && !first.is_empty()
                && !second.is_empty()
                && first != second
            {
                found.push(format!(
                    "WSGI0582: the two servers named \"{}\" run {} in different daemon process groups, \"{}\" and \"{}\", so there are twice as many \
                     processes, with separate caches; name one group in both (a group is open to all servers of its ServerName)",
                    shown(one.server.name.unwrap_or_default()),
                    shown(&one.alias.target),
                    shown(first),
                    shown(second)
                ));
            }
        }
    }
    found
}

fn missing_scripts(servers: &[Server<'_>], mounts: &[Mount<'_>], look: &dyn Fn(&Path) -> Seen) -> Vec<String> {
    let mut named: Vec<(String, &[u8])> = Vec::new();
    for mount in mounts.iter().filter(|mount| matches!(mount.alias.pattern, AliasPattern::Prefix(_))) {
        named.push((line_of(mount.alias), &mount.alias.target));
    }
    for server in servers {
        for (directive, path) in &server.config.chosen.scripts {
            named.push(((*directive).to_owned(), path));
        }
        for import in server.config.process.imports.iter().filter(|import| import.origin == ImportOrigin::Directive) {
            // Inside another root directory it is what the process sees.
            if group_of(servers, &import.process_group).is_none_or(|group| group.options.chroot.is_none()) {
                named.push(("WSGIImportScript".to_owned(), import.path.as_os_str().as_bytes()));
            }
        }
    }
    let mut found: Vec<String> = Vec::new();
    for (line, path) in named {
        if look(path_of(path)) == Seen::Missing {
            let what = if path.ends_with(b"/") { "directory" } else { "file" };
            let sentence =
                format!("WSGI0583: {line}: there is no {what} \"{}\"; correct the path, or put it there", shown(path));
            if !found.contains(&sentence) {
                found.push(sentence);
            }
        }
    }
    found
}

fn group_of<'a>(servers: &[Server<'a>], name: &[u8]) -> Option<&'a DaemonGroup> {
    servers.iter().flat_map(|server| &server.config.daemons).find(|group| group.name == name)
}

fn missing_directories(servers: &[Server<'_>], look: &dyn Fn(&Path) -> Seen) -> Vec<String> {
    let mut found = Vec::new();
    let home = servers.first().and_then(|main| main.config.process.python_home.as_ref());
    found.extend(home.and_then(|home| unfit_home("WSGIPythonHome", home.as_os_str().as_bytes(), look)));
    for group in servers.iter().flat_map(|server| &server.config.daemons) {
        let line = |option: &str| format!("WSGIDaemonProcess {}: {option}", shown(&group.name));
        if let Some(root) = &group.options.chroot {
            // The rest is below that, as the processes will see it.
            found.extend(no_directory(&line("chroot"), root, look));
            continue;
        }
        found.extend(group.options.home.as_ref().and_then(|home| no_directory(&line("home"), home, look)));
        found.extend(group.options.python_home.as_ref().and_then(|home| unfit_home(&line("python-home"), home, look)));
    }
    found
}

fn no_directory(line: &str, path: &[u8], look: &dyn Fn(&Path) -> Seen) -> Option<String> {
    let wrong = match look(path_of(path)) {
        Seen::Missing => "does not exist",
        Seen::File => "is not a directory",
        Seen::Directory | Seen::Unknown => return None,
    };
    Some(format!("WSGI0584: {line} \"{}\" {wrong}; correct the path, or make the directory", shown(path)))
}

/// A home of Python that can't be one: a virtual environment has `pyvenv.cfg`, an installation has libraries.
fn unfit_home(line: &str, home: &[u8], look: &dyn Fn(&Path) -> Seen) -> Option<String> {
    // `prefix:exec_prefix` is allowed.
    let prefix = home.split(|byte| *byte == b':').next().unwrap_or_default();
    let wrong = match look(path_of(prefix)) {
        Seen::Unknown => return None,
        Seen::Missing => "does not exist",
        Seen::File => "is not a directory (name the folder that holds bin/, not the python in it)",
        Seen::Directory => {
            let lacks = |name: &str| look(&path_of(prefix).join(name)) == Seen::Missing;
            if !["pyvenv.cfg", "lib", "lib64"].into_iter().all(lacks) {
                return None;
            }
            "has neither a pyvenv.cfg nor libraries"
        }
    };
    Some(format!(
        "WSGI0585: {line} \"{}\" {wrong}, so no Python can start there; name a virtual environment (python3 -m venv makes one), or an \
         installation's prefix such as /usr",
        shown(home)
    ))
}

fn closed_directory(sockets: &SocketDirectory) -> Option<String> {
    if sockets.user == 0 {
        return None;
    }
    let closed = |step: &&Step| step.access.is_none_or(|access| !may_enter(access, sockets));
    let Step { path, access } = sockets.way.iter().find(closed)?;
    let path = path.display();
    let (wrong, remedy) = match access {
        None => (format!("\"{path}\" does not exist"), "make it"),
        Some((mode, ..)) => {
            let user = sockets.user;
            (
                format!("httpd's children (uid {user}) may not enter \"{path}\" (mode {mode:04o})"),
                "allow it (chmod o+x)",
            )
        }
    };
    Some(format!(
        "WSGI0586: the sockets of daemon processes can't be reached: {wrong}; {remedy}, or name another directory by WSGISocketPrefix"
    ))
}

/// As the kernel decides it: who owns the directory has the owner's bits, and never the others'.
fn may_enter((mode, owner, group): (u32, u32, u32), who: &SocketDirectory) -> bool {
    if owner == who.user {
        mode & 0o100 != 0
    } else if who.groups.contains(&group) {
        mode & 0o010 != 0
    } else {
        mode & 0o001 != 0
    }
}

fn too_many_interpreters(servers: &[Server<'_>], mounts: &[Mount<'_>], children: Option<u32>) -> Option<String> {
    let children = usize::try_from(children?).ok()?;
    if servers.first()?.config.process.restrict_embedded {
        return None;
    }
    let asked = servers.iter().any(|server| server.config.chosen.application_group);
    let mut interpreters: Vec<String> = Vec::new();
    for mount in mounts.iter().filter(|mount| matches!(mount.processes, Processes::Unsaid | Processes::Group(b""))) {
        let name = match &mount.alias.application_group {
            Some(said) => fixed_name(said).map(shown),
            // Which line holds is not asked: all of them may come to one.
            None if asked => None,
            None => Some(format!("{}|{}", shown(mount.server.name.unwrap_or_default()), line_of(mount.alias))),
        };
        let name = name.unwrap_or_default();
        if !interpreters.contains(&name) {
            interpreters.push(name);
        }
    }
    let all = interpreters.len().saturating_mul(children);
    (all > MOST_INTERPRETERS).then(|| {
        format!(
            "WSGI0587: httpd may start {children} children, and each loads {} application(s) in an interpreter of its own, {all} together (over \
             {MOST_INTERPRETERS}); lower MaxRequestWorkers, use the event MPM, or run them in a daemon process group (WSGIDaemonProcess)",
            interpreters.len()
        )
    })
}

/// Headers of proxies, and no word anywhere of who these are. What virtual hosts have from the main server they may add to.
fn everybody_is_believed(servers: &[Server<'_>]) -> Vec<String> {
    let names_proxies = |server: &Server<'_>| server.config.chosen.trusted_proxies;
    let is_open = |server: &&Server<'_>| {
        let chosen = &server.config.chosen;
        let named = if server.number == 0 {
            servers.iter().any(names_proxies)
        } else {
            names_proxies(server) || servers.first().is_some_and(names_proxies)
        };
        chosen.proxy_headers && !named
    };
    let sentence = |server: &Server<'_>| {
        format!(
            "WSGI0588: {} has WSGITrustedProxyHeaders without WSGITrustedProxies, so every client is believed: it can give itself another address, \
             host name or scheme; name the proxies, as in \"WSGITrustedProxies 10.0.0.1\"",
            server.shown()
        )
    };
    servers.iter().filter(is_open).map(sentence).collect()
}

/// Whether httpd's own children run applications, if there are any.
fn runs_embedded(servers: &[Server<'_>], mounts: &[Mount<'_>]) -> bool {
    let restricted = servers.first().is_some_and(|main| main.config.process.restrict_embedded);
    let has_groups = servers.iter().any(|server| !server.config.daemons.is_empty());
    let runs_here = |mount: &Mount<'_>| matches!(mount.processes, Processes::Unsaid | Processes::Group(b""));
    !restricted && (!has_groups || mounts.iter().any(runs_here))
}

/// Lines about the GIL for processes whose Python can't do that. Children of httpd count where they may run applications.
fn vain_gil(servers: &[Server<'_>], mounts: &[Mount<'_>], facts: &Facts<'_>) -> Vec<String> {
    let Some(main) = servers.first() else { return Vec::new() };
    let process = &main.config.process;
    let groups = || servers.iter().flat_map(|server| &server.config.daemons);
    let children = runs_embedded(servers, mounts).then_some((&b""[..], facts.python));
    let daemons = groups().map(|group| (group.name.as_slice(), (facts.python_of)(group)));
    let all: Vec<(&[u8], Python)> = children.into_iter().chain(daemons).collect();
    let named = |is_vain: &dyn Fn(&[u8], Python) -> bool| {
        let vain = all.iter().filter(|(name, python)| is_vain(name, *python));
        let named: Vec<String> = vain.map(|(name, python)| processes_shown(name, *python)).collect();
        (!named.is_empty()).then(|| named.join(", "))
    };
    let own = named(&|name, python| process.interpreters.per_interpreter_gil(name) && python.version < OWN_GIL);
    let own = own.map(|named| {
        format!(
            "WSGI0198: WSGIPerInterpreterGIL On changes nothing in {named}: their interpreters share one GIL up to Python 3.11; remove the line, or use \
             {OWN_GIL} or later"
        )
    });
    let none = named(&|name, python| process.interpreters.free_threading(name) && !python.free_threaded);
    let none = none.map(|named| {
        format!(
            "WSGI0200: WSGIFreeThreading On changes nothing in {named}: that was not built for it (PEP 703); remove the line, or use a free-threaded build"
        )
    });
    own.into_iter().chain(none).collect()
}

/// `<WSGIInterpreterOptions>` for processes that there are none of.
fn sections_of_no_group(servers: &[Server<'_>]) -> Vec<String> {
    let sections = servers.first().map_or(&[][..], |main| &main.config.process.interpreters.some);
    let missing = |name: &&Vec<u8>| !name.is_empty() && group_of(servers, name).is_none();
    let mut names: Vec<&Vec<u8>> =
        sections.iter().filter_map(|one| one.process_group.as_ref()).filter(missing).collect();
    names.sort();
    names.dedup();
    let sentence = |name: &Vec<u8>| {
        format!(
            "WSGI0630: <WSGIInterpreterOptions process-group={}> is for no process: there is no daemon process group of that name; correct it \
             (upper and lower case count), or write %{{GLOBAL}} for httpd's own children",
            shown(name)
        )
    };
    names.into_iter().map(sentence).collect()
}

fn processes_shown(name: &[u8], python: Python) -> String {
    let version = python.version;
    if name.is_empty() {
        format!("httpd's own children (Python {version})")
    } else {
        format!("the daemon process group \"{}\" (Python {version})", shown(name))
    }
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
