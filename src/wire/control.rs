//! What parent, supervisor and workers tell each other about groups and processes: rare messages, as JSON.
//!
//! Both ends of each channel are of one build (the executables are opened by the parent that sends the settings), so the form may change
//! at will. A message travels as one sealed memory file with the descriptors that it names (`os::channel`); what workers say, which run
//! other people's code, by a pipe (`os::report`).

use serde::{Deserialize, Serialize};

use crate::config::{DaemonOptions, Interpreters};

/// Parent to supervisor. A configuration is `Begin`, its groups, `Commit`; nothing changes before `Commit`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToSupervisor {
    /// A configuration follows, the parent's n-th. Descriptor: memory with a number for each process of each group, in their order,
    /// where the supervisor says which can't be started (`board::States`); read by children.
    Begin { generation: u32 },
    /// One group. Descriptors: a listening socket for each process, in the order of their slots; then the group's board
    /// (`board::BoardLayout`); then its error log; then the worker's executable; then, if there is one, the memory of `scoreboard`;
    /// then, if there is one, the library that makes the executable, which is Python's own then, a worker.
    Group(Box<GroupSettings>),
    /// The configuration is whole. Groups that it does not name drain and end.
    Commit,
    /// httpd has given its configuration up for another. If that has not come after so many milliseconds, it is one without this module,
    /// in which nobody speaks to the supervisor any more: all groups drain, it removes these sockets and ends. What comes later counts.
    Wait { within: u64, sockets: Vec<Vec<u8>> },
    /// httpd stops: TERM to all workers, KILL after the time given (milliseconds), then the supervisor ends.
    Stop { within: u64 },
}

/// Supervisor to parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromSupervisor {
    /// The configuration of this generation is in force; its workers are being started.
    Committed { generation: u32 },
}

/// A daemon process group as the parent resolved it: names are numbers, paths absolute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupSettings {
    pub name: Vec<u8>,
    /// Digest of everything below, and the number of its sockets: the same key means that running workers serve it right.
    pub key: String,
    /// Shown to children in HELLO; 32 random bytes, kept over restarts with an unchanged key.
    pub secret: [u8; 32],
    pub options: DaemonOptions,
    pub identity: Identity,
    pub python: PythonSettings,
    /// Scripts to load before the first request: file and application group (empty: the main interpreter).
    pub imports: Vec<(Vec<u8>, Vec<u8>)>,
    /// The name of the application group whose one application is alone in the daemon process group (`config::alone`): it has the
    /// main interpreter, under this name. Children ask for the main interpreter then.
    pub alone: Option<Vec<u8>>,
    /// The paths of the listening sockets, by slot; for messages.
    pub sockets: Vec<Vec<u8>>,
    /// With `server-metrics`: how many numbers the memory has in which children put up what httpd's scoreboard shows (`board::Notice`).
    pub scoreboard: Option<usize>,
    /// Workers run in Python's own executable.
    pub hosted: bool,
    /// httpd's effective LogLevel for our module in the group's server, as httpd counts (3 error .. 7 debug, 8 trace1).
    pub log_level: u8,
    /// What is not the workers' to know, nor in the key.
    pub log: LogSettings,
}

/// How the supervisor writes a group's records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSettings {
    /// `ErrorLogFormat`; none: httpd's default.
    pub format: Option<Vec<u8>>,
    /// `ServerName`, which the format may ask for.
    pub server_name: Vec<u8>,
    /// Where `ErrorLog` names syslog; the descriptor is httpd's standard error then.
    pub syslog: Option<Syslog>,
}

/// The facility as in syslog's header, and the tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Syslog {
    pub facility: u8,
    pub tag: Vec<u8>,
}

/// Who a worker becomes. Nothing is changed where the parent is not root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub change: bool,
    pub uid: u32,
    pub gid: u32,
    /// The whole supplementary list.
    pub groups: Vec<u32>,
    /// Name and home directory of the user, where passwd knows it: HOME, USER, LOGNAME.
    pub user: Option<Vec<u8>>,
    pub home: Option<Vec<u8>>,
    /// The working directory, where no `home=` names one; else it stays httpd's.
    pub directory: Option<Vec<u8>>,
}

/// The G directives about Python that hold in daemon processes (reference 1.7), and what applications are told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PythonSettings {
    pub home: Option<Vec<u8>>,
    pub optimize: u8,
    pub warnings: Vec<Vec<u8>>,
    /// None: Python decides. Some(None): random. Some(Some(n)): fixed.
    pub hash_seed: Option<Option<u32>>,
    pub dont_write_bytecode: bool,
    /// The group's part.
    pub interpreters: Interpreters,
    pub destroy_interpreter: bool,
    pub case_sensitivity: bool,
    pub module_version: [u32; 3],
    pub apache: Apache,
}

/// The server, as the Python module `apache` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apache {
    pub version: [u32; 3],
    pub description: Vec<u8>,
    pub build_date: Vec<u8>,
    pub mpm_name: Vec<u8>,
    /// How many children there may be, and how many threads each has.
    pub processes: u32,
    pub threads: u32,
}

/// Supervisor to worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// The first message. Descriptors: the listening socket; the pipe for [`FromWorker`]; where the worker has a `seat` on it, the group's board;
    /// if there is one, the memory of `GroupSettings::scoreboard`. `preload`: scripts that
    /// the outgoing worker served, to be loaded before `Ready`.
    Settings { group: Box<GroupSettings>, slot: u32, seat: Option<usize>, preload: Vec<(Vec<u8>, Vec<u8>)> },
    /// It has said `Ready`: it accepts from now on.
    Open,
    /// A script (file and application group) has changed for another worker: what is not loaded yet must not be.
    Changed { script: Vec<u8>, application_group: Vec<u8> },
    /// Requests for changed scripts have waited long enough: they are answered by what is loaded.
    Bridge,
    /// Stop accepting, finish what was begun (at most so many milliseconds; none: no limit), then end.
    Drain { within: Option<u64> },
    /// End now: requests, exit functions and all have so many milliseconds.
    End { within: u64 },
}

/// Worker to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromWorker {
    /// Imports are done: it accepts when it is told `Open`.
    Ready,
    /// It can't start; the text is a line for the administrator. It exits.
    Unfit { cause: String },
    /// Somebody should take its place: it serves on until it is told to drain.
    Replace { reason: Reason },
    /// Soon after its first request (milliseconds) it had `used` bytes of memory, more than `maximum-memory`; it asks for a successor next.
    Outgrown { limit: u64, used: u64, age: u64 },
    /// Its place must be taken at once: it accepts no more and ends (signals TERM, INT; timeouts).
    Leaving { reason: Reason },
    /// A request found its script (file and application group) changed, and waits for `Bridge` or `Drain`.
    Changed { script: Vec<u8>, application_group: Vec<u8> },
    /// It begins no request any more; what it had begun is answered, or takes long.
    Closed,
    /// A script that it has served: file and application group. For the preload of its successor.
    Served { script: Vec<u8>, application_group: Vec<u8> },
}

/// Why a worker is replaced; the words are mod_wsgi's (reference 6.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    ShutdownSignal,
    GracefulSignal,
    EvictionSignal,
    MaximumRequests,
    MaximumMemory,
    RestartInterval,
    InactivityTimeout,
    RequestTimeout,
    StartupTimeout,
    DeadlockTimeout,
    CpuTimeLimit,
    ScriptReload,
}
