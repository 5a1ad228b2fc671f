//! The supervisor's side: starts a worker, hears what it says, reads its log.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mod_wsgi::board::{BoardLayout, Counts, List, Register, Sight};
use mod_wsgi::config::DaemonOptions;
use mod_wsgi::os::channel::Channel;
use mod_wsgi::os::memory::{SharedWords, shared_clock};
use mod_wsgi::os::report::Reports;
use mod_wsgi::wire::control::{
    Apache, FromWorker, GroupSettings, Identity, LogSettings, PythonSettings, Reason, ToWorker,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::child::Child;

pub(crate) const SECRET: [u8; 32] = [7; 32];

/// Which seat of the board it gets.
const SEAT: usize = 2;
const SLOT: u32 = 0;

/// How long anything may take that should come at once.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A worker process; killed on drop.
pub(crate) struct Worker {
    process: std::process::Child,
    pub(crate) channel: Option<Channel>,
    reports: RefCell<Reports>,
    /// Kept as the supervisor keeps it: what a worker does not accept waits for its successor.
    pub(crate) listener: UnixListener,
    pub(crate) folder: PathBuf,
    board: SharedWords,
    layout: BoardLayout,
    log: Arc<Mutex<Vec<String>>>,
    /// Had by whoever reads its next line.
    reading: Arc<Mutex<()>>,
}

/// What a worker is started with.
pub(crate) struct Start {
    pub(crate) options: DaemonOptions,
    pub(crate) python: PythonSettings,
    pub(crate) identity: Identity,
    /// Scripts by their names in the worker's folder; application groups.
    pub(crate) imports: Vec<(&'static str, &'static str)>,
    pub(crate) preload: Vec<(&'static str, &'static str)>,
    pub(crate) files: Vec<(&'static str, String)>,
    pub(crate) variables: Vec<(&'static str, &'static str)>,
}

/// A group with one thread and an application.
pub(crate) fn start(app: &str) -> Start {
    Start {
        options: DaemonOptions { threads: Some(1), ..DaemonOptions::default() },
        python: PythonSettings {
            destroy_interpreter: true,
            case_sensitivity: true,
            module_version: [6, 1, 1],
            apache: Apache { version: [2, 4, 52], ..Apache::default() },
            ..PythonSettings::default()
        },
        identity: Identity::default(),
        imports: Vec::new(),
        preload: Vec::new(),
        files: vec![("app.wsgi", app.to_owned())],
        variables: Vec::new(),
    }
}

impl Start {
    pub(crate) fn options(mut self, change: impl FnOnce(&mut DaemonOptions)) -> Start {
        change(&mut self.options);
        self
    }

    /// The worker, when it is ready; none where there is no executable to test.
    pub(crate) fn ready(self) -> Option<Worker> {
        let worker = self.run()?;
        worker.expect(&FromWorker::Ready);
        worker.say(&ToWorker::Open);
        Some(worker)
    }

    /// The worker, as soon as it runs.
    pub(crate) fn run(self) -> Option<Worker> {
        let executable = executable()?;
        let folder = folder();
        for (name, text) in &self.files {
            fs::write(folder.join(name), text).unwrap();
        }
        let path = |name: &str| folder.join(name).into_os_string().into_encoded_bytes();
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(Vec<u8>, Vec<u8>)> {
            pairs.iter().map(|(script, group)| (path(script), group.as_bytes().to_vec())).collect()
        };
        let listener = UnixListener::bind(folder.join("socket")).unwrap();
        let (ours, theirs) = Channel::pair().unwrap();
        ours.hear_no_more().unwrap();
        let (reports, reporting) = Reports::pipe().unwrap();
        let group = GroupSettings {
            name: b"shop".to_vec(),
            key: "key".to_owned(),
            secret: SECRET,
            options: self.options,
            identity: self.identity,
            python: self.python,
            imports: pairs(&self.imports),
            scoreboard: None,
            hosted: false,
            alone: None,
            sockets: vec![path("socket")],
            log_level: 6,
            log: LogSettings::default(),
        };
        let layout = BoardLayout::new(group.options.processes(), group.options.threads());
        let (board, memory) = SharedWords::with_descriptor(layout.words()).unwrap();
        let register = Register::new(layout, board.words()).unwrap();
        register.found();
        register.take(SEAT, SLOT);
        let settings =
            ToWorker::Settings { group: Box::new(group), slot: SLOT, seat: Some(SEAT), preload: pairs(&self.preload) };
        ours.send(&settings, &[listener.as_fd(), reporting.as_fd(), memory.as_fd()]).unwrap();
        drop(reporting);
        let (process, read) = spawn(&executable, theirs, &self.variables);
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let reading: Arc<Mutex<()>> = Arc::default();
        let (lines, turn) = (Arc::clone(&log), Arc::clone(&reading));
        let reader = std::thread::Builder::new();
        let reader = reader.spawn(move || {
            for line in BufReader::new(read).split(b'\n') {
                let Ok(line) = line else { break };
                drop(turn.lock().unwrap_or_else(PoisonError::into_inner));
                lines.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        drop(reader.unwrap());
        let reports = reports.into();
        Some(Worker { process, channel: Some(ours), reports, listener, folder, board, layout, log, reading })
    }
}

/// Starts the worker through the shell, which puts the channel where the worker looks for it.
fn spawn(executable: &str, control: Channel, variables: &[(&str, &str)]) -> (std::process::Child, std::io::PipeReader) {
    let (read, write) = std::io::pipe().unwrap();
    let control: std::os::fd::OwnedFd = control.into();
    let process = std::process::Command::new("/bin/sh")
        .args(["-c", "exec 3<&0 </dev/null; exec \"$0\"", executable])
        .envs(variables.iter().copied())
        .stdin(control)
        .stdout(write.try_clone().unwrap())
        .stderr(write)
        .spawn()
        .unwrap();
    (process, read)
}

fn executable() -> Option<String> {
    let found = std::env::var("MOD_WSGI_WORKER").ok();
    let found = found.or_else(|| option_env!("CARGO_BIN_EXE_mod_wsgi-worker").map(str::to_owned));
    if found.is_none() {
        assert!(std::env::var_os("REQUIRE_HTTPD").is_none(), "MOD_WSGI_WORKER names no worker to test");
        eprintln!("SKIPPED: MOD_WSGI_WORKER names no worker to test");
    }
    found
}

fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("wsgi-worker-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Asks until it is so.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < SOON, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Worker {
    fn look<R>(&self, look: impl FnOnce(Sight<'_>) -> R) -> R {
        let read = |place: usize| self.board.words().get(place).map_or(0, |word| word.load(Ordering::Acquire));
        look(Sight::new(self.layout, &read))
    }

    /// What it serves, as its supervisor names it.
    pub(crate) fn running(&self) -> String {
        self.look(|sight| List(&sight.seat(SEAT).unwrap().running(shared_clock())).to_string())
    }

    pub(crate) fn counts(&self) -> Counts {
        self.look(|sight| sight.seat(SEAT).unwrap().counts())
    }

    /// As httpd's children ask when it has closed a connection on which so many requests were sent.
    pub(crate) fn may_have_begun(&self, connection: u64, sent: u32) -> bool {
        self.look(|sight| sight.may_have_begun(SLOT, connection, sent))
    }

    pub(crate) fn script(&self, name: &str) -> Vec<u8> {
        self.folder.join(name).into_os_string().into_encoded_bytes()
    }

    /// The next message of the worker's; none when it has gone.
    pub(crate) fn hear(&self) -> Option<FromWorker> {
        let mut reports = self.reports.borrow_mut();
        loop {
            let ready = mod_wsgi::os::poll::readable(&[reports.as_fd()], Some(SOON)).unwrap();
            assert!(!ready.is_empty(), "the worker says nothing; its log: {:#?}", self.log());
            match reports.receive::<FromWorker>() {
                Err(cause) if cause.kind() == std::io::ErrorKind::WouldBlock => {}
                heard => return heard.unwrap().map(|(message, _)| message),
            }
        }
    }

    /// The next message but for reports of scripts that were served, and of the closed door.
    pub(crate) fn hear_of_life(&self) -> Option<FromWorker> {
        loop {
            match self.hear() {
                Some(FromWorker::Served { .. } | FromWorker::Closed) => {}
                other => return other,
            }
        }
    }

    pub(crate) fn expect(&self, message: &FromWorker) {
        assert_eq!(self.hear_of_life().as_ref(), Some(message), "{:#?}", self.log());
    }

    pub(crate) fn expect_replace(&self, reason: Reason) {
        self.expect(&FromWorker::Replace { reason });
    }

    pub(crate) fn expect_leaving(&self, reason: Reason) {
        self.expect(&FromWorker::Leaving { reason });
    }

    /// Nothing more is said for a moment.
    pub(crate) fn expect_silence(&self, how_long: Duration) {
        let ready = mod_wsgi::os::poll::readable(&[self.reports.borrow().as_fd()], Some(how_long)).unwrap();
        assert!(ready.is_empty(), "{:?}", self.hear());
    }

    pub(crate) fn drain(&self, within: Option<u64>) {
        self.say(&ToWorker::Drain { within });
    }

    pub(crate) fn say(&self, what: &ToWorker) {
        self.channel.as_ref().unwrap().send(what, &[]).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap())
    }

    /// Waits for the end; the status, or the negative signal.
    pub(crate) fn end(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt as _;
        let begin = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code().unwrap_or_else(|| -status.signal().unwrap());
            }
            assert!(begin.elapsed() < SOON, "the worker does not end; its log: {:#?}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The lines so far; the mark of a level is shown as `6|`.
    pub(crate) fn log(&self) -> Vec<String> {
        let mark = |line: &String| match line.strip_prefix('\u{1}') {
            Some(rest) => format!("{}|{}", &rest[..1], &rest[1..]),
            None => line.clone(),
        };
        self.log.lock().unwrap().iter().map(mark).collect()
    }

    pub(crate) fn logs(&self, text: &str) {
        until(&format!("{text} in the log: {:#?}", self.log()), || self.log().iter().any(|line| line.contains(text)));
    }

    /// Nobody reads its log as long as this is kept: as much as a pipe takes can be written.
    pub(crate) fn leave_log(&self) -> MutexGuard<'_, ()> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that has shown the secret.
    pub(crate) fn connect(&self) -> Child {
        let mut child = self.visit();
        child.hello(SECRET);
        child
    }

    /// A connection that has said nothing.
    pub(crate) fn visit(&self) -> Child {
        Child::connect(&self.folder.join("socket"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("{}: {:#?}", self.folder.display(), self.log());
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
