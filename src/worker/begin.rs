//! The first steps of a worker, on its only thread: who it is, what it may use, Python, then the other threads.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::board::Board;
use super::process::Process;
use super::{acceptor, control, log, scoreboard, serve, watch};
use crate::application::{Applications, Constants, Reload};
use crate::board::BoardLayout;
use crate::config::DaemonOptions;
use crate::os::channel::Channel;
use crate::os::report::Reporter;
use crate::os::stream::Listener;
use crate::os::{forked, handlers, identity, limits, signals, title};
use crate::python::{Apache, HashSeed, MainThread, Runtime, Settings, deliver_signal};
use crate::supervise::worker::Limits;
use crate::wire::control::{FromWorker, GroupSettings, ToWorker};
use crate::wsgi::{Level, Quoted};

/// The worker can't start; the supervisor knows why.
pub(super) struct Unfit;

/// All of it. Python's main thread comes back, to live on; nothing where nobody wants a worker.
pub(super) fn begin() -> Result<Option<MainThread>, Unfit> {
    log::catch_panics();
    let Ok(channel) = Channel::inherited() else {
        log::line(Level::Error, b"WSGI0412: mod_wsgi-worker is started by mod_wsgi-supervisor only");
        return Err(Unfit);
    };
    forked::withhold(channel.as_fd());
    let Said { group, preload, listener, reporter, place, scoreboard } = match settings(&channel) {
        Ok(Some(said)) => said,
        Ok(None) => return Ok(None),
        Err(cause) => {
            // There is nothing yet to tell the supervisor by.
            let text = format!("WSGI0413: the settings of the worker can't be read: {cause}");
            log::line(Level::Error, text.as_bytes());
            return Err(Unfit);
        }
    };
    log::set_level(group.log_level);
    title::set(&group.options.display_name(&group.name));
    signals::crash_by_default().map_err(|cause| unfit(&reporter, cannot_start(&cause)))?;
    // Before chroot=: it needs /dev/null.
    forked::keep_from_children().map_err(|cause| unfit(&reporter, cannot_start(&cause)))?;
    let layout = BoardLayout::new(group.options.processes(), group.options.threads());
    let board = Board::take(layout, place).map_err(|cause| {
        unfit(&reporter, format!("WSGI0431: the memory that the worker shares with httpd can't be used: {cause}"))
    })?;
    scoreboard::look_at(scoreboard, group.scoreboard).map_err(|cause| unfit(&reporter, cannot_start(&cause)))?;
    become_worker(&group).map_err(|cause| unfit(&reporter, cause))?;
    let (python, process, arrivals) = start_python(group, channel, reporter, board)?;
    let started = start_threads(process, listener, preload, arrivals);
    started.map_err(|cause| {
        let remedy = room_for_threads(&process.group.options);
        unfit(&process.reporter, format!("WSGI0414: the worker's threads can't be started: {cause}; {remedy}"))
    })?;
    Ok(Some(python))
}

fn unfit(reporter: &Reporter, cause: String) -> Unfit {
    if reporter.send(&FromWorker::Unfit { cause: cause.clone() }).is_err() {
        log::line(Level::Error, cause.as_bytes());
    }
    Unfit
}

fn cannot_start(cause: &io::Error) -> String {
    format!("WSGI0417: a worker of the daemon process group can't start: {cause}")
}

/// What the supervisor said.
struct Said {
    group: GroupSettings,
    preload: Vec<(Vec<u8>, Vec<u8>)>,
    listener: OwnedFd,
    reporter: Reporter,
    /// The group's board, and the seat there.
    place: Option<(OwnedFd, usize)>,
    /// What children put up about httpd's scoreboard.
    scoreboard: Option<OwnedFd>,
}

/// The first message; nothing where the supervisor has gone.
fn settings(channel: &Channel) -> io::Result<Option<Said>> {
    match channel.receive::<ToWorker>()? {
        Some((ToWorker::Settings { group, seat, preload, .. }, descriptors)) => {
            let mut descriptors = descriptors.into_iter();
            let listener = descriptors.next().ok_or_else(|| io::Error::other("no listening socket came"))?;
            let reporter = descriptors.next().map(Reporter::adopt);
            let reporter = reporter.ok_or_else(|| io::Error::other("no pipe for reports came"))?;
            let place = seat.and_then(|seat| Some((descriptors.next()?, seat)));
            Ok(Some(Said { group: *group, preload, listener, reporter, place, scoreboard: descriptors.next() }))
        }
        Some((other, _)) => Err(io::Error::other(format!("{other:?} came first"))),
        None => Ok(None),
    }
}

/// Steps that change the process, in their order; each needs what the ones before have left it.
fn become_worker(group: &GroupSettings) -> Result<(), String> {
    let (options, identity) = (&group.options, &group.identity);
    let failed = |step: &str, remedy: &str| {
        let (step, remedy) = (step.to_owned(), remedy.to_owned());
        move |cause: io::Error| {
            format!("WSGI0415: a worker of the daemon process group can't start: {step}: {cause}; {remedy}")
        }
    };
    identity::new_session().map_err(failed("a session of its own", "the system refuses it"))?;
    if let Some(priority) = options.cpu_priority()
        && let Err(cause) = identity::set_priority(priority)
    {
        let text = format!("WSGI0416: cpu-priority={priority}: {cause}");
        log::line(Level::Warn, text.as_bytes());
    }
    if let Some(root) = &options.chroot {
        let step = format!("chroot={}", Quoted(root));
        identity::change_root(root).map_err(failed(&step, "httpd must be started by root, and the folder exist"))?;
    }
    if identity.change {
        let step = format!("user {} and group {}", identity.uid, identity.gid);
        identity::become_user(identity.uid, identity.gid, &identity.groups)
            .map_err(failed(&step, "httpd must be started by root for user= and group="))?;
    }
    limit(group)
        .map_err(failed("limits of resources", "correct the limits of the group's options, or of the system"))?;
    if let Some(mask) = options.umask {
        identity::set_umask(mask);
    }
    if let Some(home) = options.home.as_ref().or(identity.directory.as_ref()) {
        let step = format!("working directory {}", Quoted(home));
        identity::change_directory(home).map_err(failed(&step, "name a folder that its user may enter with home="))?;
    }
    set_environment(group);
    Ok(())
}

fn limit(group: &GroupSettings) -> io::Result<()> {
    let options = &group.options;
    if let Some(time) = options.cpu_time_limit() {
        let end = options.shutdown_timeout().unwrap_or_default();
        limits::limit_processor_time(time.as_secs(), time.as_secs() + 1 + end.as_secs())?;
    }
    options.memory_limit().map_or(Ok(()), limits::limit_data)?;
    options.virtual_memory_limit().map_or(Ok(()), limits::limit_address_space)
}

fn set_environment(group: &GroupSettings) {
    if let Some(home) = &group.identity.home {
        identity::set_variable("HOME", home);
    }
    for name in ["USER", "USERNAME", "LOGNAME"] {
        if let Some(user) = &group.identity.user
            && std::env::var_os(name).is_some()
        {
            identity::set_variable(name, user);
        }
    }
    if let Some(lang) = &group.options.lang {
        identity::set_variable("LANG", lang);
    }
    if let Some(locale) = &group.options.locale {
        identity::set_variable("LC_ALL", locale);
        if !identity::set_locale(locale) {
            let text = format!(
                "WSGI0079: the system does not have the locale {}; name one that `locale -a` shows",
                Quoted(locale)
            );
            log::line(Level::Warn, text.as_bytes());
        }
    }
}

fn start_python(
    group: GroupSettings,
    channel: Channel,
    reporter: Reporter,
    board: Board,
) -> Result<(MainThread, &'static Process, handlers::Arrivals), Unfit> {
    const WATCHED: [Signal; 6] =
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGHUP, Signal::SIGXCPU];
    let options = &group.options;
    let service = options.threads() == 0;
    let constants = Constants {
        multithread: options.threads() != 1,
        multiprocess: options.processes_given(),
        run_once: options.threads() == 1 && options.maximum_requests() == Some(1),
        reload: Reload::NewProcess,
        apache_version: group.python.apache.version,
    };
    let failed = |cause: &dyn std::fmt::Display| unfit(&reporter, cause.to_string());
    let system = |cause: io::Error| failed(&cannot_start(&cause));
    let arrivals = handlers::install(&WATCHED).map_err(system)?;
    let (main_thread, runtime) = Runtime::start_here(python(&group)).map_err(|error| failed(&error))?;
    if service {
        handlers::also_on_term(deliver_signal).map_err(system)?;
    }
    let applications = Applications::of(runtime, constants);
    channel.set_nonblocking(true).map_err(system)?;
    let limits = limits_of(&group);
    let process = Process::new(group, limits, applications, channel, reporter, board);
    let process = process.map_err(|cause| {
        log::line(Level::Error, format!("WSGI0418: the worker can't start: {cause}").as_bytes());
        Unfit
    })?;
    // It lives as long as the process, and all threads have it.
    Ok((main_thread, Box::leak(Box::new(process)), arrivals))
}

fn python(group: &GroupSettings) -> Settings {
    let (options, python) = (&group.options, &group.python);
    let path = |bytes: &Vec<u8>| PathBuf::from(OsString::from_vec(bytes.clone()));
    let service = options.threads() == 0;
    Settings {
        home: options.python_home.as_ref().or(python.home.as_ref()).map(path),
        home_from: if options.python_home.is_some() { "python-home" } else { "WSGIPythonHome" },
        eggs: options.python_eggs.as_ref().map(path),
        front: options.home.as_ref().map(path),
        optimize: python.optimize.into(),
        warnings: python.warnings.clone(),
        hash_seed: python.hash_seed.map(|seed| seed.map_or(HashSeed::Random, HashSeed::Fixed)),
        dont_write_bytecode: python.dont_write_bytecode,
        interpreters: python.interpreters.clone(),
        destroy: python.destroy_interpreter,
        service,
        shutdown: options.shutdown_timeout(),
        single_process: false,
        process_group: group.name.clone(),
        main_group: group.alone.clone().unwrap_or_default(),
        processes: options.processes(),
        threads: options.threads(),
        version: python.module_version,
        apache: Apache {
            version: python.apache.version,
            description: python.apache.description.clone(),
            build_date: python.apache.build_date.clone(),
            mpm_name: python.apache.mpm_name.clone(),
            processes: python.apache.processes,
            threads: python.apache.threads,
        },
        log: log::line,
        logs: log::shows,
        server_metrics: options.server_metrics().then_some(scoreboard::read),
    }
}

fn limits_of(group: &GroupSettings) -> Limits {
    let options = &group.options;
    if options.threads() == 0 {
        // Nothing of a service is timed but its end.
        return Limits { shutdown: options.shutdown_timeout(), ..Limits::default() };
    }
    Limits {
        threads: options.threads(),
        startup: options.startup_timeout(),
        deadlock: options.deadlock_timeout(),
        inactivity: options.inactivity_timeout(),
        request: options.request_timeout(),
        interrupt: options.interrupt_timeout(),
        graceful: options.graceful_timeout(),
        eviction: options.eviction_timeout.filter(|window| *window > Duration::ZERO),
        restart: options.restart_interval(),
        shutdown: options.shutdown_timeout(),
        maximum_requests: options.maximum_requests().map(|most| spread(most, options.processes())),
        maximum_memory: options.maximum_memory(),
    }
}

/// Up to a tenth less, so that the processes of a group are not replaced all at once.
fn spread(most: u64, processes: u32) -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    if processes < 2 {
        return most;
    }
    // The standard library's hashers begin with random keys.
    let random = std::hash::RandomState::new().build_hasher().finish();
    most - random % (most / 10 + 1)
}

/// What Linux gives a thread; the standard library's own is a quarter of it, and Python code may be deep.
const STACK: usize = 8 * 1024 * 1024;

fn start_threads(
    process: &'static Process,
    listener: OwnedFd,
    preload: Vec<(Vec<u8>, Vec<u8>)>,
    arrivals: handlers::Arrivals,
) -> io::Result<()> {
    let named = |name: String| std::thread::Builder::new().name(name);
    let listener = Listener::adopt(listener)?;
    let (orders, received) = mpsc::channel();
    let _ = process.watch.set(orders);
    named("wsgi:control".to_owned()).spawn(move || control::run(process, arrivals))?;
    named("wsgi:watch".to_owned()).spawn(move || watch::run(process, &received))?;
    let serving = move || {
        let options = &process.group.options;
        let (threads, stack) = (options.threads(), options.stack_size().unwrap_or(STACK));
        let start = || {
            if threads > 0 {
                named("wsgi:flush".to_owned()).spawn(|| process.flush.run())?;
            }
            for thread in 0..usize::try_from(threads).unwrap_or(0) {
                named(format!("wsgi:{}", thread + 1)).stack_size(stack).spawn(move || serve::run(process, thread))?;
            }
            Ok(())
        };
        start().map_err(|cause: io::Error| {
            let (size, remedy) = (mebibytes(stack), room_for_threads(options));
            format!("threads can't be started ({threads} with stacks of {size}): {cause}; {remedy}")
        })
    };
    named("wsgi:accept".to_owned()).spawn(move || acceptor::run(process, listener, &preload, serving))?;
    Ok(())
}

/// What an administrator can do where threads can't be started: whatever the cause, the system only says that it can't now.
fn room_for_threads(options: &DaemonOptions) -> String {
    let set = [("memory-limit", options.memory_limit()), ("virtual-memory-limit", options.virtual_memory_limit())];
    let set: Vec<&str> = set.iter().filter(|(_, limit)| limit.is_some()).map(|(name, _)| *name).collect();
    let limits = if set.is_empty() {
        "the limits of the system (ulimit -u of the user, TasksMax of httpd's service)".to_owned()
    } else {
        set.join(" or ")
    };
    format!("raise {limits}, or have fewer threads or a smaller stack-size")
}

fn mebibytes(bytes: usize) -> String {
    match bytes >> 20 {
        whole if whole > 0 && whole << 20 == bytes => format!("{whole} MiB"),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_names_what_is_set() {
        let remedy = |memory, space| {
            let (memory_limit, virtual_memory_limit) = (memory, space);
            room_for_threads(&DaemonOptions { memory_limit, virtual_memory_limit, ..DaemonOptions::default() })
        };
        let rest = ", or have fewer threads or a smaller stack-size";
        assert_eq!(remedy(Some(1), None), format!("raise memory-limit{rest}"));
        assert_eq!(remedy(Some(1), Some(1)), format!("raise memory-limit or virtual-memory-limit{rest}"));
        assert!(remedy(None, None).contains("TasksMax"));
        assert_eq!((mebibytes(STACK), mebibytes(524_288)), ("8 MiB".to_owned(), "524288 bytes".to_owned()));
    }
}
