//! The loop.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use super::complain;
use super::groups::{self, Configuration, Groups};
use super::states::Told;
use super::workers::{Source, Workers};
use crate::os::channel::Channel;
use crate::os::pidfd::PidFd;
use crate::os::signals::Signals;
use crate::os::{poll, spawn};
use crate::supervise::{Action, Event, Fleet, GroupId, Level, Time, WorkerId};
use crate::wire::control::{FromSupervisor, ToSupervisor, ToWorker};

/// What workers are given where nobody says how long: httpd's own patience with its children.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same where httpd is dead: nobody asks any more, and whoever starts it again must not find them.
const ORPHANED: Duration = Duration::from_millis(800);
/// A process that dies closes its descriptors first.
const DYING: Duration = Duration::from_millis(100);
/// Lines that still wait when all is over.
const LAST_LINES: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Supervisor {
    began: Instant,
    /// None once the parent is gone, told us to stop, or has forgotten us.
    parent: Option<Channel>,
    /// Its process; none once all is to end.
    httpd: Option<PidFd>,
    /// No configuration is in force: what was begun is finished. Another supervisor has taken over, or the module is gone from httpd.
    forgotten: bool,
    /// Until when httpd is given for its next configuration; none while one is in force.
    expected: Option<Time>,
    /// Sockets that nobody else removes if it does not come.
    left: Vec<Vec<u8>>,
    signals: Signals,
    fleet: Fleet,
    groups: Groups,
    workers: Workers,
    coming: Option<Configuration>,
    told: Option<Told>,
    /// Of the configuration before.
    told_before: Option<Told>,
    finished: bool,
}

/// What the loop waits for.
#[derive(Clone, Copy, Debug)]
enum Ready {
    Parent,
    ParentEnded,
    Signal,
    Log(GroupId),
    Worker(Source),
}

impl Supervisor {
    /// Takes over what the parent gave this process, before anything else is opened.
    pub(super) fn adopt() -> io::Result<Self> {
        let channel = Channel::inherited().map_err(|cause| {
            io::Error::new(
                cause.kind(),
                format!("descriptor 3 is no channel to httpd, which starts this program ({cause})"),
            )
        })?;
        channel.set_nonblocking(true)?;
        // If the parent is gone already this is another process; the end of the channel tells.
        let parent = PidFd::open(getppid())?;
        // The last four would end it, and are meant for httpd.
        let signals = Signals::block(&[
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
            Signal::SIGQUIT,
        ])?;
        // httpd's prefork signals its whole process group when it stops; what that means here comes by the channel.
        nix::unistd::setsid()?;
        nix::sys::prctl::set_name(c"wsgi-supervisor")?;
        spawn::raise_descriptor_limit()?;
        let processors = available_parallelism().map_or(2, usize::from);
        Ok(Self {
            began: Instant::now(),
            parent: Some(channel),
            httpd: Some(parent),
            forgotten: false,
            expected: None,
            left: Vec::new(),
            signals,
            fleet: Fleet::new(processors),
            groups: Groups::default(),
            workers: Workers::new()?,
            coming: None,
            told: None,
            told_before: None,
            finished: false,
        })
    }

    /// Until the parent says stop or is gone, and no worker is left.
    pub(super) fn run(mut self) -> io::Result<()> {
        while !self.finished {
            for ready in self.wait()? {
                self.take(ready);
            }
            self.fleet.tick(self.now());
            self.act();
            if self.expected.is_some_and(|until| until <= self.now()) {
                self.give_up();
            }
            if self.forgotten && self.fleet.workers() == 0 {
                self.unlink();
                self.leave(Duration::ZERO);
            }
            let workers = &self.workers;
            self.groups.close_logs(|group| workers.write_for(group));
        }
        self.last_lines()
    }

    fn now(&self) -> Time {
        self.began.elapsed()
    }

    fn wait(&self) -> io::Result<Vec<Ready>> {
        let mut all: Vec<(Ready, (BorrowedFd<'_>, PollFlags))> = Vec::new();
        let mut read = |ready, descriptor| all.push((ready, (descriptor, PollFlags::POLLIN)));
        read(Ready::Signal, self.signals.as_fd());
        for (source, descriptor) in self.workers.sources(&self.groups) {
            read(Ready::Worker(source), descriptor);
        }
        // After the workers: a new configuration shall know what they said before it came.
        if let Some(channel) = &self.parent {
            read(Ready::Parent, channel.as_fd());
        }
        if let Some(process) = &self.httpd {
            read(Ready::ParentEnded, process.as_fd());
        }
        all.extend(self.groups.logs_behind().map(|(id, log)| (Ready::Log(id), (log, PollFlags::POLLOUT))));
        let now = self.now();
        let wake = [self.fleet.wake(now), self.expected].into_iter().flatten().min();
        let within = wake.map(|at| at.saturating_sub(now));
        let descriptors: Vec<_> = all.iter().map(|(_, wanted)| *wanted).collect();
        let places = poll::wait(&descriptors, within)?;
        Ok(places.into_iter().filter_map(|place| all.get(place)).map(|(ready, _)| *ready).collect())
    }

    fn take(&mut self, ready: Ready) {
        match ready {
            Ready::Parent => self.hear_parent(),
            Ready::ParentEnded => {
                self.unlink();
                self.leave(ORPHANED);
            }
            Ready::Signal => self.take_signals(),
            Ready::Log(group) => {
                if let Some(log) = self.groups.log(group) {
                    log.flush();
                }
            }
            Ready::Worker(source) => {
                for event in self.workers.ready(source, &mut self.groups) {
                    self.tell(event);
                }
            }
        }
    }

    fn tell(&mut self, event: Event) {
        self.fleet.event(event, self.now());
        self.act();
    }

    /// Does what the fleet asks for.
    fn act(&mut self) {
        while let Some(action) = self.fleet.next_action() {
            match action {
                Action::Start { worker, group, slot, preload } => {
                    let event = self.workers.start(worker, group, slot, preload, &self.groups);
                    self.fleet.event(event, self.now());
                }
                Action::Open { worker } => self.say(worker, &ToWorker::Open),
                Action::Tell { worker, changed: (script, application_group) } => {
                    self.say(worker, &ToWorker::Changed { script, application_group });
                }
                Action::Bridge { worker } => self.say(worker, &ToWorker::Bridge),
                Action::End { worker, within } => {
                    let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
                    self.say(worker, &ToWorker::End { within });
                }
                Action::Drain { worker, within } => {
                    let within = within.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
                    self.say(worker, &ToWorker::Drain { within });
                }
                Action::Kill { worker, signal } => self.workers.kill(worker, signal),
                Action::Log { group, level, text } => {
                    if let Some(log) = self.groups.log(group) {
                        log.write(level as u8, nix::unistd::getpid().as_raw(), text.as_bytes());
                    }
                }
                Action::LogServing { group, worker, level, text } => {
                    let serving = self.workers.serving(worker);
                    let serving =
                        serving.map_or("no request is in progress".into(), |named| format!("in progress: {named}"));
                    if let Some(log) = self.groups.log(group) {
                        let text = format!("{text}; {serving}.");
                        log.write(level as u8, nix::unistd::getpid().as_raw(), text.as_bytes());
                    }
                }
                Action::Forget { group } => self.groups.forget(group),
                Action::Finish => self.finished = true,
            }
        }
        self.workers.tell(&self.fleet);
        for (id, group) in self.groups.all() {
            for (slot, causes) in self.fleet.causes(id).enumerate() {
                group.board.set_causes(slot, causes);
            }
            for (slot, turn) in self.fleet.turns(id).enumerate() {
                group.board.set_turn(slot, turn);
            }
        }
        // Who is woken by this looks at the boards.
        for told in self.told.iter_mut().chain(&mut self.told_before) {
            told.tell(&self.fleet);
        }
    }

    fn say(&mut self, worker: WorkerId, what: &ToWorker) {
        if let Some(event) = self.workers.say(worker, what) {
            self.fleet.event(event, self.now());
        }
    }

    fn hear_parent(&mut self) {
        while let Some(channel) = &self.parent {
            match channel.receive::<ToSupervisor>() {
                Ok(Some((ToSupervisor::Wait { within, sockets }, _))) => {
                    self.left = sockets;
                    self.expected = Some(self.now().saturating_add(Duration::from_millis(within)));
                }
                Ok(Some((ToSupervisor::Begin { generation }, descriptors))) => {
                    self.expected = None;
                    self.coming = Some(Configuration::new(generation, descriptors));
                }
                Ok(Some((ToSupervisor::Group(settings), descriptors))) => {
                    let added = match &mut self.coming {
                        Some(coming) => coming.add(*settings, descriptors),
                        None => Err(io::Error::new(io::ErrorKind::InvalidData, "a daemon group without a beginning")),
                    };
                    if let Err(cause) = added {
                        return self.misunderstood(&cause);
                    }
                }
                Ok(Some((ToSupervisor::Commit, _))) => {
                    let Some(coming) = self.coming.take() else {
                        return self.misunderstood(&io::Error::other("an end without a beginning"));
                    };
                    self.commit(coming);
                }
                Ok(Some((ToSupervisor::Stop { within }, _))) => {
                    self.unlink();
                    return self.leave(Duration::from_millis(within));
                }
                Ok(None) => return self.lose_parent(),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return,
                Err(cause) => return self.misunderstood(&cause),
            }
        }
    }

    fn commit(&mut self, mut coming: Configuration) {
        let generation = coming.generation;
        (self.forgotten, self.left) = (false, Vec::new());
        let ids = self.fleet.configure(coming.plans(), self.now());
        let places = ids.iter().copied().zip(coming.places()).collect();
        let told = match coming.states.take().map(|memory| Told::new(memory, places)).transpose() {
            Ok(told) => told,
            Err(cause) => return self.misunderstood(&cause),
        };
        let before = std::mem::replace(&mut self.told, told).map(Told::succeeded);
        self.told_before = before.or(self.told_before.take());
        if let Err(cause) = self.groups.adopt(coming, ids) {
            return self.misunderstood(&cause);
        }
        self.act();
        if let Some(channel) = &self.parent {
            // A parent that does not listen is gone, and the loop hears of that.
            let _sent = channel.send(&FromSupervisor::Committed { generation }, &[]);
        }
    }

    /// The channel has ended: httpd is dead, or another build of the module has a supervisor of its own.
    fn lose_parent(&mut self) {
        let dies = |process: &PidFd| {
            poll::wait(&[(process.as_fd(), PollFlags::POLLIN)], Some(DYING)).is_ok_and(|ready| !ready.is_empty())
        };
        if self.httpd.as_ref().is_some_and(dies) {
            self.unlink();
            return self.leave(ORPHANED);
        }
        (self.parent, self.coming, self.left) = (None, None, Vec::new());
        self.retire();
    }

    /// httpd has a configuration without this module, it seems. If it only took its time, there will be new groups at the same sockets.
    fn give_up(&mut self) {
        let level = Level::Notice;
        for id in self.groups.all().map(|(id, _)| id).collect::<Vec<_>>() {
            // Those that drain already are another matter.
            let Some(group) = self.groups.get(id).filter(|_| self.fleet.places(id).next().is_some()) else { continue };
            let name = String::from_utf8_lossy(&group.settings.name).into_owned();
            if let Some(log) = self.groups.log(id) {
                let text = format!(
                    "WSGI0344: httpd was restarted, and nothing came for daemon group \"{name}\", so mod_wsgi is not loaded any more: its \
                     processes finish what they have and end."
                );
                log.write(level as u8, nix::unistd::getpid().as_raw(), text.as_bytes());
            }
        }
        self.retire();
    }

    /// No configuration holds any more.
    fn retire(&mut self) {
        (self.expected, self.forgotten) = (None, true);
        self.told_before = self.told.take().map(Told::succeeded);
        self.fleet.configure(Vec::new(), self.now());
        self.act();
    }

    /// Both programs are of one build: what can't be understood is no parent of ours.
    fn misunderstood(&mut self, cause: &io::Error) {
        complain(&format!(
            "WSGI0343: httpd says what the supervisor of daemon processes can't understand: {cause}; all of them end."
        ));
        self.leave(PATIENCE);
    }

    fn take_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.next() {
            if matches!(signal, Signal::SIGTERM | Signal::SIGINT) {
                self.leave(PATIENCE);
            }
        }
    }

    /// Ends everything. The parent is heard no more: what it could still say is "stop".
    fn leave(&mut self, within: Duration) {
        (self.parent, self.httpd, self.coming) = (None, None, None);
        (self.forgotten, self.expected) = (false, None);
        self.fleet.stop(within, self.now());
        self.act();
    }

    /// httpd is at its end, or done with us. While it goes on, the next supervisor's workers listen at the same paths.
    fn unlink(&self) {
        self.groups.all().for_each(|(_, group)| group.unlink());
        self.left.iter().for_each(|path| groups::unlink(path));
    }

    fn last_lines(mut self) -> io::Result<()> {
        let end = Instant::now() + LAST_LINES;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let behind: Vec<_> = self.groups.logs_behind().map(|(id, log)| (id, (log, PollFlags::POLLOUT))).collect();
            if behind.is_empty() || left.is_zero() {
                return Ok(());
            }
            let waiting: Vec<_> = behind.iter().map(|(_, wanted)| *wanted).collect();
            poll::wait(&waiting, Some(left))?;
            let ids: Vec<_> = behind.into_iter().map(|(id, _)| id).collect();
            for id in ids {
                if let Some(log) = self.groups.log(id) {
                    log.flush();
                }
            }
        }
    }
}
