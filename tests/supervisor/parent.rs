//! What httpd's parent does for its supervisor, and what tests ask it.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mod_wsgi::board::{BoardLayout, Sight, States};
use mod_wsgi::config::DaemonOptions;
use mod_wsgi::os::channel::Channel;
use mod_wsgi::os::memory::{SeenWords, SharedWords, sealed};
use mod_wsgi::os::pidfd::{Exit, PidFd};
use mod_wsgi::os::poll;
use mod_wsgi::os::spawn::{Child, Streams, spawn};
use mod_wsgi::wire::control::{FromSupervisor, GroupSettings, Identity, LogSettings, PythonSettings, ToSupervisor};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Longer than anything takes here, even beside other builds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Parent {
    pub(crate) home: PathBuf,
    pub(crate) supervisor: Child,
    channel: Channel,
    generation: Cell<u32>,
    sockets: Cell<u32>,
    logs: RefCell<Vec<PathBuf>>,
    /// What the supervisor tells children by, of each configuration.
    told: RefCell<Vec<SharedWords>>,
}

/// A group and its sockets, which the parent keeps as long as the key stays.
pub(crate) struct Group {
    name: String,
    key: String,
    pub(crate) options: DaemonOptions,
    paths: Vec<PathBuf>,
    listeners: Vec<UnixListener>,
    /// Memory of the group's board.
    board: OwnedFd,
}

impl Parent {
    pub(crate) fn new(test: &str) -> Self {
        let home = std::env::temp_dir().join(format!("wsgi-supervisor-{}-{test}", std::process::id()));
        // Left over from a process of the same number.
        let _gone = fs::remove_dir_all(&home);
        fs::create_dir(&home).unwrap();
        let (channel, there) = Channel::pair().unwrap();
        let program = File::open(env!("CARGO_BIN_EXE_mod_wsgi-supervisor")).unwrap();
        let nothing = File::open("/dev/null").unwrap();
        let errors = append(&home.join("stderr"));
        let streams = Streams { stdin: nothing.as_fd(), stdout: errors.as_fd(), stderr: errors.as_fd() };
        let supervisor = spawn(program.as_fd(), c"mod_wsgi-supervisor", streams, there.into()).unwrap();
        Self {
            home,
            supervisor,
            channel,
            generation: Cell::new(0),
            sockets: Cell::new(0),
            logs: RefCell::default(),
            told: RefCell::default(),
        }
    }

    pub(crate) fn group(&self, name: &str, key: &str, slots: usize) -> Group {
        self.sockets.set(self.sockets.get() + 1);
        let path = |slot| self.home.join(format!("{}.{slot}.sock", self.sockets.get()));
        let paths: Vec<PathBuf> = (0..slots).map(path).collect();
        let listeners = paths.iter().map(|path| UnixListener::bind(path).unwrap()).collect();
        let options = DaemonOptions { processes: u32::try_from(slots).ok(), ..DaemonOptions::default() };
        let board = sealed(BoardLayout::new(options.processes(), options.threads()).words()).unwrap();
        Group { name: name.to_owned(), key: key.to_owned(), options, paths, listeners, board }
    }

    /// Sends a configuration and waits until it is in force. Each has its own error log, as after a rotation.
    pub(crate) fn configure(&self, groups: &[&Group]) {
        self.configure_with(groups, &std::env::current_exe().unwrap());
    }

    pub(crate) fn configure_with(&self, groups: &[&Group], worker: &Path) {
        let generation = self.generation.get() + 1;
        self.generation.set(generation);
        let path = self.home.join(format!("log.{generation}"));
        let (log, worker) = (append(&path), File::open(worker).unwrap());
        self.logs.borrow_mut().push(path);
        let places = groups.iter().map(|group| group.listeners.len()).sum();
        let (told, memory) = SharedWords::with_descriptor(States::words(places)).unwrap();
        self.told.borrow_mut().push(told);
        self.say(&ToSupervisor::Begin { generation }, &[memory.as_fd()]);
        for group in groups {
            let mut descriptors: Vec<BorrowedFd<'_>> =
                group.listeners.iter().map(|listener| listener.as_fd()).collect();
            descriptors.extend([group.board.as_fd(), log.as_fd(), worker.as_fd()]);
            self.say(&ToSupervisor::Group(Box::new(group.settings())), &descriptors);
        }
        self.say(&ToSupervisor::Commit, &[]);
        let answered = poll::readable(&[self.channel.as_fd()], Some(PATIENCE)).unwrap();
        assert_eq!(answered, [0], "the supervisor does not answer");
        let (answer, _) = self.channel.receive::<FromSupervisor>().unwrap().unwrap();
        assert_eq!(answer, FromSupervisor::Committed { generation });
    }

    /// What children of a configuration, counted from 1, sleep on who wait for its first group.
    pub(crate) fn bell(&self, generation: usize) -> u32 {
        let told = self.told.borrow();
        States::new(told[generation - 1].words()).bell(0).unwrap().load(Ordering::SeqCst)
    }

    pub(crate) fn say(&self, what: &ToSupervisor, descriptors: &[BorrowedFd<'_>]) {
        self.channel.send(what, descriptors).unwrap();
    }

    /// All that was logged, in all error logs.
    pub(crate) fn log(&self) -> String {
        self.logs.borrow().iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    pub(crate) fn last_log(&self) -> String {
        fs::read_to_string(self.logs.borrow().last().unwrap()).unwrap()
    }

    pub(crate) fn logged(&self, text: &str) {
        until(|| self.log().contains(text), || format!("{text:?} in the log:\n{}", self.log()));
    }

    pub(crate) fn times(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    /// Says stop and answers how long that took.
    pub(crate) fn stop(&self, within: Duration) -> Duration {
        let begun = Instant::now();
        self.say(&ToSupervisor::Stop { within: u64::try_from(within.as_millis()).unwrap() }, &[]);
        assert_eq!(self.end(), Exit::Status(0));
        begun.elapsed()
    }

    pub(crate) fn end(&self) -> Exit {
        gone(&self.supervisor.pidfd);
        self.supervisor.pidfd.wait().unwrap().unwrap()
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.home.display(), self.log());
        }
        // By its descriptor: a supervisor that has ended is no error. Workers end with it.
        let _sent = self.supervisor.pidfd.kill(Signal::SIGTERM);
        let _files = fs::remove_dir_all(&self.home);
    }
}

impl Group {
    fn settings(&self) -> GroupSettings {
        GroupSettings {
            name: self.name.clone().into_bytes(),
            key: self.key.clone(),
            secret: [7; 32],
            options: self.options.clone(),
            identity: Identity::default(),
            python: PythonSettings::default(),
            imports: Vec::new(),
            alone: None,
            sockets: Vec::new(),
            scoreboard: None,
            hosted: false,
            log_level: 6,
            log: LogSettings::default(),
        }
    }

    /// Whose turn it is in a slot, as children see it.
    pub(crate) fn turn(&self, slot: usize) -> u32 {
        let layout = BoardLayout::new(self.options.processes(), self.options.threads());
        let board = SeenWords::of(self.board.as_fd(), layout.words()).unwrap();
        Sight::new(layout, &|place| board.read(place)).turn(slot)
    }

    /// Gives the worker of a slot a command, once one accepts; answers its process id and how many scripts it was to preload.
    pub(crate) fn ask(&self, slot: usize, command: &str) -> (i32, usize) {
        let answer = self.try_ask(slot, command).unwrap();
        let (pid, preload) = answer.trim().split_once(' ').unwrap();
        (pid.parse().unwrap(), preload.parse().unwrap())
    }

    /// The same without insisting on an answer.
    pub(crate) fn try_ask(&self, slot: usize, command: &str) -> Option<String> {
        let mut connection = UnixStream::connect(&self.paths[slot]).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(connection, "{command}").ok()?;
        let mut answer = String::new();
        BufReader::new(connection).read_line(&mut answer).ok().filter(|length| *length > 0)?;
        Some(answer)
    }

    pub(crate) fn path(&self, slot: usize) -> &Path {
        &self.paths[slot]
    }

    pub(crate) fn pid(&self, slot: usize) -> i32 {
        self.ask(slot, "who").0
    }

    /// Asks until another process than `before` answers.
    pub(crate) fn successor(&self, slot: usize, before: i32) -> (i32, usize) {
        let begun = Instant::now();
        loop {
            // What the old one has accepted last may stay unanswered: it is made up.
            let answer = self.try_ask(slot, "who");
            let answer = answer.as_deref().and_then(|answer| answer.trim().split_once(' '));
            if let Some((pid, preload)) = answer.filter(|(pid, _)| *pid != before.to_string()) {
                return (pid.parse().unwrap(), preload.parse().unwrap());
            }
            assert!(begun.elapsed() < PATIENCE, "still {before}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A process that is not ours to wait for.
pub(crate) fn watch(pid: i32) -> PidFd {
    PidFd::open(Pid::from_raw(pid)).unwrap()
}

pub(crate) fn gone(process: &PidFd) {
    assert_eq!(poll::readable(&[process.as_fd()], Some(PATIENCE)).unwrap(), [0], "it is still there");
}

pub(crate) fn lives(process: &PidFd) -> bool {
    poll::readable(&[process.as_fd()], Some(Duration::ZERO)).unwrap().is_empty()
}

pub(crate) fn until(condition: impl Fn() -> bool, what: impl Fn() -> String) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {}", what());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// The part of a parent that is killed: it starts a supervisor with one group, tells the test who is who, and waits.
pub(crate) fn doomed() -> ExitCode {
    let test = Channel::inherited().unwrap();
    let parent = Parent::new("doomed");
    let group = parent.group("shop", "a", 1);
    parent.configure(&[&group]);
    let supervisor = parent.supervisor.pid.as_raw();
    test.send(&(supervisor, group.pid(0), &parent.home), &[]).unwrap();
    let _never = test.receive::<u8>();
    ExitCode::FAILURE
}
