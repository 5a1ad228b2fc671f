//! From configuration to what supervisor and workers are told about each group.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use md5::{Digest as _, Md5};

use super::identity::{self, Httpd};
use super::pythons;
use crate::apache::{Server, server};
use crate::board::Notice;
use crate::config::{
    self, DaemonGroup, HashSeed, ImportOrigin, InterpreterOptions, Interpreters, ProcessConfig, ServerConfig,
};
use crate::front::{VERSION, seen_from};
use crate::proxy::group::Home;
use crate::proxy::owner::Owner;
use crate::wire;
use crate::wire::control::{Apache, GroupSettings, LogSettings, PythonSettings};
use crate::wsgi::{Quoted, group_script_name, resource_of};

/// A group as configured, before it has sockets.
pub(super) struct Wanted<'s> {
    /// Without secret, sockets and log.
    pub(super) settings: GroupSettings,
    pub(super) server: Server<'s>,
    /// Where it is not the module's.
    pub(super) python: Option<pythons::Other>,
    pub(super) home: Home,
    pub(super) socket_owner: Option<u32>,
    pub(super) script_owner: Option<Owner>,
}

/// All groups of all servers, in the order defined, the main server's first.
///
/// # Errors
/// A sentence for the administrator: names that can't be resolved, a Python that is too old.
pub(super) fn wanted<'s>(main: Server<'s>, httpd: Httpd) -> Result<Vec<Wanted<'s>>, String> {
    let records = || main.records::<ServerConfig>().map(|(_, record)| record);
    let process = records().next().map(|main| main.process.clone()).unwrap_or_default();
    let mut found = Vec::new();
    for (host, config) in main.records::<ServerConfig>() {
        for group in &config.daemons {
            let imports = imports(group, records());
            let alone = alone(group, main);
            let mut wanted = one(group, host, httpd, &process, imports, alone)
                .map_err(|cause| format!("the WSGIDaemonProcess group {} {cause}", Quoted(&group.name)))?;
            if let Some(home) = &wanted.settings.python.home {
                wanted.python = pythons::needed(&group.name, &group.options, home)?;
            }
            found.push(wanted);
        }
    }
    Ok(found)
}

fn one<'s>(
    group: &DaemonGroup,
    host: Server<'s>,
    httpd: Httpd,
    process: &ProcessConfig,
    imports: Vec<(Vec<u8>, Vec<u8>)>,
    alone: Option<Vec<u8>>,
) -> Result<Wanted<'s>, String> {
    let options = &group.options;
    if options.chroot.is_some() && !httpd.is_root {
        return Err("has chroot=, for which httpd must be started by root".to_owned());
    }
    let socket_owner = identity::socket_owner(options, httpd)?;
    let mut settings = GroupSettings {
        name: group.name.clone(),
        key: String::new(),
        secret: [0; 32],
        options: options.clone(),
        identity: identity::identity(options, httpd)?,
        python: python(process, group),
        imports,
        alone,
        sockets: Vec::new(),
        scoreboard: options.server_metrics().then(scoreboard_words),
        // Not in the key: whoever runs may go on.
        hosted: false,
        log_level: host.log_level(),
        log: LogSettings::default(),
    };
    settings.key = key(&settings, socket_owner)?;
    let home = Home {
        address: host.address(),
        is_main: !host.is_virtual(),
        name: host.hostname().map(<[u8]>::to_vec),
        timeout: host.timeout(),
    };
    let script_owner = identity::script_owner(options)?;
    Ok(Wanted { settings, server: host, python: None, home, socket_owner, script_owner })
}

/// What must be equal where sockets are used on: everything, and the language that is spoken over them. That of the build, since the
/// frames' version tells nothing of boards and settings.
fn key(settings: &GroupSettings, socket_owner: Option<u32>) -> Result<String, String> {
    let all = serde_json::to_vec(&(settings, socket_owner, wire::LANGUAGE))
        .map_err(|error| format!("has settings that can't be written down: {error}"))?;
    Ok(Md5::digest(&all).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The scripts that a process loads when it starts, as it sees their paths.
fn imports<'a>(group: &DaemonGroup, records: impl Iterator<Item = &'a ServerConfig>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let due = config::imports_of(&group.name, records).into_iter().filter(|script| match script.origin {
        ImportOrigin::Directive => true,
        // Its target may turn out to be a directory.
        ImportOrigin::Alias => script.path.is_file(),
    });
    due.map(|script| {
        let path = script.path.as_os_str().as_bytes();
        let seen = group.options.chroot.as_deref().and_then(|root| seen_from(root, path)).unwrap_or(path);
        (seen.to_vec(), script.application_group.clone())
    })
    .collect()
}

/// The application group of the application that is alone in a group: the one it has by itself. A port that only clients say is not
/// in it.
fn alone(group: &DaemonGroup, main: Server<'_>) -> Option<Vec<u8>> {
    let servers = || main.and_hosts().filter_map(|host| Some((host, host.config::<ServerConfig>()?)));
    let records: Vec<_> = servers().map(|(host, config)| (host.hostname(), config)).collect();
    let found = config::alone(group, records)?;
    let (host, config) = servers().nth(found.server)?;
    // A directory of scripts, written without a slash at its end.
    if Path::new(OsStr::from_bytes(found.target)).is_dir() {
        return None;
    }
    let mount = found.mount.strip_suffix(b"/").unwrap_or(found.mount);
    let script_name = group_script_name(mount, b"", config.process.case_sensitivity);
    Some(resource_of(host.hostname().unwrap_or_default(), host.port().unwrap_or(80), &script_name))
}

fn python(process: &ProcessConfig, group: &DaemonGroup) -> PythonSettings {
    let home = group.options.python_home.clone();
    let (major, minor, patch) = server::BUILT_FOR;
    PythonSettings {
        home: home.or_else(|| process.python_home.clone().map(|home| home.into_os_string().into_vec())),
        optimize: process.python_optimize,
        warnings: process.python_warnings.clone(),
        hash_seed: match process.hash_seed {
            HashSeed::Unset => None,
            HashSeed::Random => Some(None),
            HashSeed::Fixed(seed) => Some(Some(seed)),
        },
        dont_write_bytecode: process.dont_write_bytecode,
        interpreters: interpreters(process, group),
        destroy_interpreter: process.destroy_interpreter,
        case_sensitivity: process.case_sensitivity,
        module_version: VERSION,
        apache: Apache {
            version: [major, minor, patch],
            description: server::description(),
            build_date: server::built().to_vec(),
            mpm_name: server::mpm_name().to_vec(),
            processes: server::max_daemons().unwrap_or(1).max(1),
            threads: server::max_threads().unwrap_or(1).max(1),
        },
    }
}

/// What the text about httpd's scoreboard takes at most, far more than usual: pages that are not written to are none.
fn scoreboard_words() -> usize {
    const THREAD: usize = 1500;
    const MOST: usize = 64 << 20;
    let limit = |count: Option<u32>| usize::try_from(count.unwrap_or(1).max(1)).unwrap_or(usize::MAX);
    let threads = limit(server::child_limit()).saturating_mul(limit(server::thread_limit()).saturating_add(1));
    Notice::words(threads.saturating_mul(THREAD).min(MOST))
}

/// The group's part, with its own options in place of lines for all.
fn interpreters(process: &ProcessConfig, group: &DaemonGroup) -> Interpreters {
    let Interpreters { all, some } = process.interpreters.of_processes(&group.name);
    let switch_interval = group.options.switch_interval.or(all.switch_interval);
    let all = InterpreterOptions { python_path: group.options.python_path.clone(), switch_interval, ..all };
    Interpreters { all, some }
}
