//! The parent's side: from configuration to sockets, supervisor and what children inherit. On the parent's only thread.
//!
//! httpd unloads the module at each restart, so what outlives a configuration is bytes and descriptors in httpd's keeping (`Memory`);
//! in between it is in `PARENT`. Starting fails with one line. On a restart the server stays up: what can't be made is logged, and the
//! requests to that group fail.

mod advice;
mod executables;
mod identity;
mod log;
mod pythons;
mod settings;
mod sockets;
mod state;
mod supervisor;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

pub(crate) use advice::{advise, advise_test};
use executables::{Executables, Programs, Worker};
use identity::Httpd;
use settings::{Wanted, wanted};
use sockets::{Retired, Sockets};
use state::{Memory, Remembered};
use supervisor::{Sent, Supervisor};

use super::group::{Group, Groups};
use crate::apache::hook::Startup;
use crate::apache::{Level, MainState, Pool, Server, Started, log_main, log_startup, process, server};
use crate::board::{BoardLayout, Layout, States};
use crate::config::{ServerConfig, check_groups};
use crate::os::memory::{SeenWords, SharedWords, sealed};
use crate::wire::control::GroupSettings;

/// Daemon mode, while a configuration serves.
static PARENT: Mutex<Option<Parent>> = Mutex::new(None);

/// A supervisor that lived shorter died young.
const SHORT_LIFE: Duration = Duration::from_secs(5);
/// After so many in a row that died young, the next is not started at once.
const YOUNG_DEATHS: u32 = 3;

struct Parent {
    /// This process: a forked one has nothing to end.
    pid: u32,
    generation: u32,
    next_ordinal: u64,
    groups: Vec<Ready>,
    children: Arc<Groups>,
    retired: Vec<Retired>,
    executables: Executables,
    supervisor: Option<Supervisor>,
    /// What the supervisor tells children by, as `Groups::states`.
    states: OwnedFd,
    /// What children tell workers by, as `Groups::scoreboard`.
    scoreboard: Option<OwnedFd>,
    started: Instant,
    young_deaths: u32,
}

/// A group with its sockets.
struct Ready {
    /// Digest of what is configured: under the same one it keeps its sockets.
    digest: String,
    /// Their key is of these sockets, too.
    settings: GroupSettings,
    sockets: Sockets,
    board: OwnedFd,
    log: OwnedFd,
    /// The program of its processes.
    worker: Worker,
}

/// Checks what `prepare` will need, so that `configtest` finds what is wrong, and not a graceful restart, which httpd would not
/// survive (`check_config`): that groups and what names them fit together, that users and programs exist. At a restart there may be
/// programs of before.
pub(crate) fn check(main: &Server<'_>) -> Started {
    let servers = main.records::<ServerConfig>().map(|(host, record)| (host.hostname(), record));
    let checked = check_groups(servers)
        .and_then(|()| wanted(*main, Httpd::new(process::user_and_group())))
        .and_then(|wanted| if process::has_kept() { Ok(()) } else { find_programs(&wanted) });
    match checked {
        Ok(()) => Started::Ok,
        Err(text) => {
            log_startup(Level::Emerg, format_args!("{text}"));
            Started::Refused
        }
    }
}

fn find_programs(wanted: &[Wanted<'_>]) -> Result<(), String> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut executables = executables::open(Programs::new())?;
    wanted.iter().try_for_each(|one| executables.worker(one.python.as_ref()).map(drop))
}

/// Makes everything that a configuration needs (post_config).
pub(crate) fn prepare(startup: &Startup<'_>) -> Started {
    if server::only_tests_config() || server::main_state() != MainState::ReadsConfig {
        return Started::Ok;
    }
    let memory = Memory::take();
    match build(startup, memory) {
        Ok(None) => Started::Ok,
        Ok(Some(parent)) => {
            startup.pools.config.on_cleanup(end);
            *locked() = Some(parent);
            configure();
            if locked().as_ref().is_some_and(|parent| parent.generation == 1 && parent.supervisor.is_none()) {
                return Started::Refused;
            }
            Started::Ok
        }
        Err(text) => {
            log_main(Level::Emerg, format_args!("{text}"));
            Started::Refused
        }
    }
}

/// What a child has from its parent: the groups, if there are any. The rest is the parent's: its descriptors are closed here, or a
/// child would keep listening sockets alive whose processes are gone.
pub(super) fn inherited() -> Option<Arc<Groups>> {
    let mut guard = locked();
    let groups = guard.as_ref().map(|parent| Arc::clone(&parent.children));
    // With `-X`, parent and child are one.
    if guard.as_ref().is_some_and(|parent| parent.pid != std::process::id()) {
        *guard = None;
    }
    groups.filter(|groups| !groups.list.is_empty())
}

/// Every few seconds: a supervisor that could not be started, or died young too often, is started.
pub(crate) fn monitor() {
    if locked().as_ref().is_some_and(|parent| parent.supervisor.is_none() && !parent.groups.is_empty()) {
        configure();
    }
}

/// httpd has waited for the supervisor: it is dead.
fn supervisor_ended() {
    let mut guard = locked();
    let Some(parent) = guard.as_mut() else { return };
    parent.supervisor = None;
    if process::is_ending() {
        // It got the signal too.
        return;
    }
    log_main(
        Level::Alert,
        format_args!(
            "mod_wsgi-supervisor has ended unasked; its daemon processes finish what they have, new ones follow"
        ),
    );
    parent.young_deaths = if parent.started.elapsed() < SHORT_LIFE { parent.young_deaths + 1 } else { 0 };
    let again = parent.young_deaths < YOUNG_DEATHS;
    drop(guard);
    if again {
        configure();
    }
}

/// The supervisor of another build: nothing follows, but httpd must know whose process it was.
fn predecessor_ended() {}

/// The configuration goes: on a graceful restart what serves is kept for the next, else all ends. Nothing in a forked child.
pub(super) fn end() {
    let Some(parent) = locked().take().filter(|parent| parent.pid == std::process::id()) else { return };
    let retired = parent.retired.iter().map(|one| &one.path);
    let paths = parent.groups.iter().flat_map(|group| &group.sockets.paths).chain(retired);
    if process::is_graceful_restart() {
        if let Some(supervisor) = &parent.supervisor {
            supervisor.await_next(paths);
        }
        parent.into_memory().keep();
        return;
    }
    let paths: Vec<PathBuf> = paths.cloned().collect();
    if let Some(supervisor) = parent.supervisor
        && let Err(text) = supervisor.stop()
    {
        log_main(Level::Warning, format_args!("{text}"));
    }
    paths.iter().for_each(|path| sockets::remove(path));
}

fn locked() -> MutexGuard<'static, Option<Parent>> {
    PARENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything but the supervisor's configuration. Nothing where there are no groups, nor were any.
fn build(startup: &Startup<'_>, memory: Memory) -> Result<Option<Parent>, String> {
    let main = startup.server;
    let httpd = Httpd::new(process::user_and_group());
    let wanted = wanted(main, httpd)?;
    if wanted.is_empty() && memory.is_empty() {
        return Ok(None);
    }
    let mut executables = executables::open(memory.programs)?;
    let prefix = prefix(startup.pools.config, main)?;
    let now = SystemTime::now();
    let Memory { generation, mut next_ordinal, supervisor, groups: mut known, retired, build, programs: _ } = memory;
    let first = generation == 0;
    let same_build = build == executables.build;
    let mut groups = Vec::with_capacity(wanted.len());
    let mut children = Vec::with_capacity(wanted.len());
    let mut columns = 0;
    for (number, Wanted { settings, server, python, home, socket_owner, script_owner }) in
        wanted.into_iter().enumerate()
    {
        let worker = executables.worker(python.as_ref())?;
        let same = known.iter().position(|one| one.name == settings.name && one.digest == settings.key);
        let one_where = |fits: &dyn Fn(&Sockets) -> bool| {
            same.filter(|place| known.get(*place).is_some_and(|one| fits(&one.sockets)))
        };
        let (sockets, board) = match one_where(&|sockets| sockets.are_those_of(&prefix, socket_owner)) {
            Some(place) => known.swap_remove(place).used_on(same_build),
            None => {
                let made = sockets::make(&prefix, next_ordinal, &settings.options, socket_owner);
                next_ordinal += 1;
                match (made, one_where(&|sockets| sockets.are_there(socket_owner))) {
                    (Ok(sockets), _) => (sockets, None),
                    (Err(text), _) if first => return Err(text),
                    (Err(text), Some(place)) => {
                        log_main(
                            Level::Alert,
                            format_args!("{text}; those of before are used on, but httpd would not start like this"),
                        );
                        known.swap_remove(place).used_on(same_build)
                    }
                    (Err(text), None) => {
                        log_main(Level::Alert, format_args!("{text}; requests to this daemon process group fail"));
                        (Sockets::none(), None)
                    }
                }
            }
        };
        let (board, seen) = board_of(board, &settings).map_err(no_memory)?;
        let end = columns + sockets.paths.len();
        children.push(Group {
            number,
            name: settings.name.clone(),
            options: settings.options.clone(),
            secret: sockets.secret,
            sockets: sockets.paths.clone(),
            columns: columns..end,
            home,
            board: seen,
            script_owner,
            alone: settings.alone.is_some(),
        });
        columns = end;
        if !sockets.paths.is_empty() {
            groups.push(ready(settings, sockets, board, worker, server, main, startup.pools.config)?);
        }
    }
    let mut retired = sockets::still_retiring(retired, now);
    let gone = known.into_iter().flat_map(|one| one.sockets.paths);
    retired.extend(gone.map(|path| Retired { path, since: now }));
    let layout = Layout::new(children.len(), columns, rows());
    let shared = SharedWords::new(layout.words()).map_err(no_memory)?;
    let scoreboard = groups.iter().find_map(|group| group.settings.scoreboard);
    let scoreboard = scoreboard.map(SharedWords::for_readers).transpose().map_err(no_memory)?;
    let (scoreboard, scoreboard_descriptor) = scoreboard.unzip();
    let (states, states_descriptor) = SharedWords::with_descriptor(States::words(columns)).map_err(no_memory)?;
    let supervisor = match supervisor {
        // Settings have the form of this build.
        Some(other) if !same_build => {
            log_main(
                Level::Notice,
                format_args!("mod_wsgi has changed: daemon processes of before finish what they have, new ones follow"),
            );
            process::on_end_of(predecessor_ended, other.let_go());
            None
        }
        supervisor => supervisor,
    };
    Ok(Some(Parent {
        pid: std::process::id(),
        generation: generation + 1,
        next_ordinal,
        groups,
        children: Arc::new(Groups { list: children, shared, layout, states, scoreboard }),
        retired,
        executables,
        supervisor,
        states: states_descriptor,
        scoreboard: scoreboard_descriptor,
        started: Instant::now(),
        young_deaths: 0,
    }))
}

fn no_memory(error: io::Error) -> String {
    format!("no memory to share with children: {error}")
}

/// The memory of a group's board, the one that it had if it had one, and this process's and its children's sight of it.
fn board_of(known: Option<OwnedFd>, settings: &GroupSettings) -> io::Result<(OwnedFd, SeenWords)> {
    let words = BoardLayout::new(settings.options.processes(), settings.options.threads()).words();
    let memory = known.map_or_else(|| sealed(words), Ok)?;
    let seen = SeenWords::of(memory.as_fd(), words)?;
    Ok((memory, seen))
}

fn ready(
    mut settings: GroupSettings,
    sockets: Sockets,
    board: OwnedFd,
    worker: Worker,
    server: Server<'_>,
    main: Server<'_>,
    config: Pool<'_>,
) -> Result<Ready, String> {
    use std::os::unix::ffi::OsStrExt as _;
    let digest = settings.key;
    // A worker serves one socket: with others the group is another one to the supervisor, and drains.
    settings.key = format!("{digest}.{}", sockets.ordinal);
    settings.hosted = worker.preload.is_some();
    settings.secret = sockets.secret;
    settings.sockets = sockets.paths.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect();
    settings.log = log::settings(server, main, config);
    // Where syslog is not to be reached, lines have httpd's stderr.
    let log = match server.error_log() {
        Some(log) => log.try_clone_to_owned(),
        None => io::stderr().as_fd().try_clone_to_owned(),
    };
    let log = log.map_err(|error| format!("an error log can't be handed to daemon processes: {error}"))?;
    Ok(Ready { digest, settings, sockets, board, log, worker })
}

/// How the paths of sockets begin: `WSGISocketPrefix` and the number of this process.
fn prefix(config: Pool<'_>, main: Server<'_>) -> Result<PathBuf, String> {
    let given = main.config::<ServerConfig>().and_then(|config| config.process.socket_prefix.clone());
    let prefix = given.or_else(|| process::in_runtime_dir(config, b"wsgi").ok().flatten());
    let mut prefix = prefix.ok_or("httpd has no directory for run-time files; set WSGISocketPrefix")?.into_os_string();
    prefix.push(format!(".{}", std::process::id()));
    Ok(prefix.into())
}

/// Rows for children: those of this configuration that live at once, and a few for those that died unseen.
fn rows() -> usize {
    let children = server::child_limit().or_else(server::max_daemons).unwrap_or(1).max(1);
    usize::try_from(children).unwrap_or(1).saturating_add(4)
}

/// Puts the configuration in force at the supervisor; starts one where there is none, or none that listens.
fn configure() {
    let mut guard = locked();
    let Some(parent) = guard.as_mut() else { return };
    if let Some(supervisor) = &parent.supervisor {
        match parent.tell(supervisor) {
            Ok(()) => return watch(supervisor.pid()),
            Err(error) => {
                log_main(
                    Level::Alert,
                    format_args!("mod_wsgi-supervisor takes no settings ({error}); another is started"),
                );
            }
        }
    }
    if let Some(deaf) = parent.supervisor.take()
        && let Err(text) = deaf.stop()
    {
        log_main(Level::Warning, format_args!("{text}"));
    }
    if parent.groups.is_empty() {
        return;
    }
    parent.started = Instant::now();
    let started = Supervisor::start(parent.executables.supervisor.as_fd());
    match started.and_then(|supervisor| parent.tell(&supervisor).map(|()| supervisor)) {
        Ok(supervisor) => {
            let pid = supervisor.pid();
            parent.supervisor = Some(supervisor);
            watch(pid);
        }
        Err(error) => log_main(
            Level::Alert,
            format_args!("mod_wsgi-supervisor can't be started, so no daemon process is: {error}; it is tried again"),
        ),
    }
}

fn watch(pid: i32) {
    process::on_end_of(supervisor_ended, pid);
}

impl Parent {
    fn tell(&self, supervisor: &Supervisor) -> io::Result<()> {
        let groups = self.groups.iter().map(|group| Sent {
            settings: group.settings.clone(),
            listening: group.sockets.listening.iter().map(|socket| socket.as_fd()).collect(),
            board: group.board.as_fd(),
            log: group.log.as_fd(),
            worker: group.worker.executable(),
            scoreboard: self.scoreboard.as_ref().filter(|_| group.settings.scoreboard.is_some()).map(OwnedFd::as_fd),
        });
        supervisor.configure(self.generation, self.states.as_fd(), groups.collect())
    }

    fn into_memory(self) -> Memory {
        let groups = self.groups.into_iter().map(|group| Remembered {
            name: group.settings.name,
            digest: group.digest,
            sockets: group.sockets,
            board: group.board,
        });
        Memory {
            generation: self.generation,
            next_ordinal: self.next_ordinal,
            supervisor: self.supervisor,
            groups: groups.collect(),
            retired: self.retired,
            build: self.executables.build.clone(),
            programs: self.executables.into_programs(),
        }
    }
}
