//! What `config::lint` must know of files, users and the MPM, and where its sentences go. Looks only: opens no socket, starts nothing.

use std::ffi::CString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User, getgrouplist};

use super::identity::Httpd;
use super::pythons;
use crate::apache::hook::Startup;
use crate::apache::{Level, MainState, log_main, log_startup, process, server};
use crate::config::{Facts, Seen, ServerConfig, SocketDirectory, Step, lint};

/// `httpd -t`: warns on the terminal.
pub(crate) fn advise_test(startup: &Startup<'_>) {
    for sentence in sentences(startup) {
        log_startup(Level::Warning, format_args!("{sentence}"));
    }
}

/// At a start or restart: warns in the error log, which is open by now, once for the two readings.
pub(crate) fn advise(startup: &Startup<'_>) {
    if server::only_tests_config() || server::main_state() != MainState::ReadsConfig {
        return;
    }
    for sentence in sentences(startup) {
        log_main(Level::Warning, format_args!("{sentence}"));
    }
}

fn sentences(startup: &Startup<'_>) -> Vec<String> {
    let servers = startup.server.records::<ServerConfig>().map(|(host, record)| (host.hostname(), record));
    let process = startup.server.config::<ServerConfig>().map(|main| main.process.clone()).unwrap_or_default();
    let facts = Facts {
        look: &look,
        children: server::max_daemons(),
        sockets: sockets(startup),
        python: pythons::own(),
        own: pythons::installation(),
        environment: &pythons::environment,
        library: &pythons::standard_library,
        python_of: &|group| pythons::of_group(group, &process),
    };
    lint(servers, &facts)
}

fn look(path: &Path) -> Seen {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Seen::Directory,
        Ok(_) => Seen::File,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Seen::Missing,
        Err(_) => Seen::Unknown,
    }
}

/// None where httpd is not root, so that its children are who it is itself; and where the way can't be looked at.
fn sockets(startup: &Startup<'_>) -> Option<SocketDirectory> {
    let httpd = Httpd::new(process::user_and_group());
    if !httpd.is_root {
        return None;
    }
    let prefix = super::prefix(startup.pools.config, startup.server).ok()?;
    let mut way: Vec<Step> = Vec::new();
    for path in prefix.parent()?.ancestors().collect::<Vec<_>>().into_iter().rev() {
        way.push(Step { path: PathBuf::from(path), access: access(path)? });
    }
    let mut groups = vec![httpd.group];
    if let Some(user) = User::from_uid(Uid::from_raw(httpd.user)).ok().flatten()
        && let Ok(name) = CString::new(user.name)
    {
        let listed = getgrouplist(&name, Gid::from_raw(httpd.group)).unwrap_or_default();
        groups.extend(listed.into_iter().map(Gid::as_raw));
    }
    Some(SocketDirectory { way, user: httpd.user, groups })
}

/// Permission bits, owner and group; inside, none for what does not exist.
fn access(path: &Path) -> Option<Option<(u32, u32, u32)>> {
    match fs::metadata(path) {
        Ok(found) => Some(Some((found.mode() & 0o7777, found.uid(), found.gid()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(None),
        Err(_) => None,
    }
}
