//! What the machines are told and what they answer.

use std::time::Duration;

use crate::wire::control::{FromWorker, Reason};

/// Since some moment that is the same for the whole life of a supervisor; never goes back.
pub type Time = Duration;

/// A group under one key. The same name under another key is another group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId(pub(super) u64);

/// One process, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkerId(pub(super) u64);

/// File and application group of a script that a worker has served.
pub type Script = (Vec<u8>, Vec<u8>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The program that [`Action::Start`] asked for runs.
    Started {
        worker: WorkerId,
        pid: i32,
    },
    /// It could not be run.
    NotStarted {
        worker: WorkerId,
        cause: String,
    },
    Said {
        worker: WorkerId,
        what: FromWorker,
    },
    /// Nothing can be said to it any more, or it said what can't be understood, though it runs.
    Lost {
        worker: WorkerId,
    },
    /// Its process is gone: `how` continues "it ended" ("by signal SIGKILL"); `clean` is status 0. `serving`: the requests that it had under
    /// way, if there were any.
    Ended {
        worker: WorkerId,
        how: String,
        clean: bool,
        serving: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answered by [`Event::Started`] or [`Event::NotStarted`].
    Start {
        worker: WorkerId,
        group: GroupId,
        /// Counted from 0.
        slot: u32,
        preload: Vec<Script>,
    },
    /// It is warm and accepts from now on.
    Open {
        worker: WorkerId,
    },
    /// This script has changed for another worker of its group.
    Tell {
        worker: WorkerId,
        changed: Script,
    },
    /// It answers requests for changed scripts by what it has loaded.
    Bridge {
        worker: WorkerId,
    },
    Drain {
        worker: WorkerId,
        within: Option<Duration>,
    },
    Kill {
        worker: WorkerId,
        signal: Signal,
    },
    Log {
        group: GroupId,
        level: Level,
        text: String,
    },
    /// The same, and the requests that this worker has under way belong to its end.
    LogServing {
        group: GroupId,
        worker: WorkerId,
        level: Level,
        text: String,
    },
    /// Nothing of the group is left; nothing names it any more.
    Forget {
        group: GroupId,
    },
    /// [`super::Fleet::stop`] is done: no worker is left.
    Finish,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Term,
    Kill,
}

/// As httpd counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
}

/// mod_wsgi's word for a reason.
pub(super) fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::ShutdownSignal => "shutdown_signal",
        Reason::GracefulSignal => "graceful_signal",
        Reason::EvictionSignal => "eviction_signal",
        Reason::MaximumRequests => "maximum_requests",
        Reason::MaximumMemory => "maximum_memory",
        Reason::RestartInterval => "restart_interval",
        Reason::InactivityTimeout => "inactivity_timeout",
        Reason::RequestTimeout => "request_timeout",
        Reason::StartupTimeout => "startup_timeout",
        Reason::DeadlockTimeout => "deadlock_timeout",
        Reason::CpuTimeLimit => "cpu_time_limit",
        Reason::ScriptReload => "script_reload",
    }
}

/// Whether a worker that leaves for this reason answers what it has begun, however long that takes; else it is given
/// `shutdown-timeout` only.
pub(super) fn finishes_requests(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::ShutdownSignal | Reason::StartupTimeout | Reason::DeadlockTimeout | Reason::InactivityTimeout
    )
}
