//! The processes that run now: starting one, what it says, what it writes, how it ended.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::sys::signal::Signal;

use super::board::Seat;
use super::groups::{Groups, nothing_to_read};
use super::memory::Memory;
use crate::os::channel::Channel;
use crate::os::logpipe::{LogPipe, Reading};
use crate::os::pidfd::Exit;
use crate::os::report::Reports;
use crate::os::spawn::{Child, Streams, spawn};
use crate::supervise::{self, Event, Fleet, GroupId, Script, WorkerId};
use crate::wire::control::{FromWorker, ToWorker};

/// What a process may have written before it ended, in bites of 64 KiB; the rest, if its children still write, comes later.
const LAST_WORDS: usize = 32;
/// Messages taken from one worker in a turn of the loop, and their bytes: a worker that never stops must not keep the others waiting.
const TURN: usize = 64;
const TURN_BYTES: usize = 64 * 1024;
/// And after its end: more than one that means well leaves.
const LAST_TURNS: usize = 16;

#[derive(Debug)]
struct Running {
    child: Child,
    seat: Option<Seat>,
    /// None once nothing can be said any more.
    line: Option<Line>,
}

/// What it is told through, and what it says itself.
#[derive(Debug)]
struct Line {
    channel: Channel,
    reports: Reports,
}

/// What the processes of one worker write: it may have left children that still do.
#[derive(Debug)]
struct Writer {
    group: GroupId,
    worker: WorkerId,
    pid: i32,
    pipe: LogPipe,
}

#[derive(Debug)]
pub(super) struct Workers {
    running: BTreeMap<WorkerId, Running>,
    writers: Vec<Writer>,
    nothing: File,
    memory: Memory,
}

/// Something of a worker's that can be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Process(WorkerId),
    Reports(WorkerId),
    Pipe(WorkerId),
}

impl Workers {
    pub(super) fn new() -> io::Result<Self> {
        let (running, writers) = (BTreeMap::new(), Vec::new());
        Ok(Self { running, writers, nothing: nothing_to_read()?, memory: Memory::watch() })
    }

    /// Starts a worker and gives it its settings; answers what came of it.
    pub(super) fn start(
        &mut self,
        worker: WorkerId,
        id: GroupId,
        slot: u32,
        preload: Vec<Script>,
        groups: &Groups,
    ) -> Event {
        match self.try_start(worker, id, slot, preload, groups) {
            Ok(pid) => Event::Started { worker, pid },
            Err(cause) => Event::NotStarted { worker, cause: format!("its program can't be run: {cause}.") },
        }
    }

    fn try_start(
        &mut self,
        worker: WorkerId,
        id: GroupId,
        slot: u32,
        preload: Vec<Script>,
        groups: &Groups,
    ) -> io::Result<i32> {
        let group = groups.get(id).ok_or_else(|| io::Error::other("the group is gone"))?;
        let listener = group.listener(slot).ok_or_else(|| io::Error::other("it has no socket"))?;
        let settings = &group.settings;
        let name = CString::new(settings.options.display_name(&settings.name))?;
        let seat = group.board.seat(slot);
        let (here, there) = Channel::pair()?;
        let (pipe, output) = LogPipe::new()?;
        // A worker that reads nothing must not hold up the others, nor what it might send.
        here.set_nonblocking(true)?;
        here.hear_no_more()?;
        let (reports, reporting) = Reports::pipe()?;
        // Sent first: there is room for it, and a worker that can't be told is not started.
        let scoreboard = group.scoreboard.as_ref().map(OwnedFd::as_fd);
        let descriptors: Vec<_> = [listener, reporting.as_fd()]
            .into_iter()
            .chain(seat.as_ref().map(Seat::descriptor))
            .chain(scoreboard)
            .collect();
        let number = seat.as_ref().map(|seat| seat.number);
        here.send(
            &ToWorker::Settings { group: Box::new(settings.clone()), slot, seat: number, preload },
            &descriptors,
        )?;
        let streams = Streams { stdin: self.nothing.as_fd(), stdout: output.as_fd(), stderr: output.as_fd() };
        let child = spawn(group.executable(), &name, streams, there.into())?;
        let pid = child.pid.as_raw();
        // Whoever was killed before this one began was another.
        self.memory.look();
        self.writers.push(Writer { group: id, worker, pid, pipe });
        if let Some(seat) = &seat {
            seat.set_pid(pid);
        }
        self.running.insert(worker, Running { child, seat, line: Some(Line { channel: here, reports }) });
        Ok(pid)
    }

    /// Answers an event where it can't be told.
    pub(super) fn say(&mut self, worker: WorkerId, what: &ToWorker) -> Option<Event> {
        let running = self.running.get_mut(&worker)?;
        if running.line.as_ref().is_some_and(|line| line.channel.send(what, &[]).is_ok()) {
            return None;
        }
        running.line = None;
        Some(Event::Lost { worker })
    }

    pub(super) fn kill(&mut self, worker: WorkerId, signal: supervise::Signal) {
        let signal = match signal {
            supervise::Signal::Term => Signal::SIGTERM,
            supervise::Signal::Kill => Signal::SIGKILL,
        };
        if let Some(running) = self.running.get(&worker) {
            // It is our child: the only failure left is that it has ended, which is known soon.
            let _sent = running.child.pidfd.kill(signal);
        }
    }

    /// What is to be waited for; the pipes of a group whose log is behind are left alone.
    pub(super) fn sources(&self, groups: &Groups) -> Vec<(Source, BorrowedFd<'_>)> {
        let mut sources = Vec::new();
        for (worker, running) in &self.running {
            sources.push((Source::Process(*worker), running.child.pidfd.as_fd()));
            sources.extend(running.line.as_ref().map(|line| (Source::Reports(*worker), line.reports.as_fd())));
        }
        let written = self.writers.iter().filter(|writer| !groups.is_behind(writer.group));
        sources.extend(written.map(|writer| (Source::Pipe(writer.worker), writer.pipe.as_fd())));
        sources
    }

    /// Takes what a source has; answers what happened, in order.
    pub(super) fn ready(&mut self, source: Source, groups: &mut Groups) -> Vec<Event> {
        match source {
            Source::Pipe(worker) => {
                self.read(worker, 1, groups);
                Vec::new()
            }
            Source::Reports(worker) => self.listen(worker, groups),
            Source::Process(worker) => {
                let Some(exit) = self.running.get(&worker).map(|running| running.child.pidfd.wait()) else {
                    return Vec::new();
                };
                let (how, clean) = match exit {
                    Ok(None) => return Vec::new(),
                    Ok(Some(exit)) => (self.describe(exit), exit == Exit::Status(0)),
                    Err(cause) => (format!("in an unknown way ({cause})"), false),
                };
                // What it said before it went comes before that it went.
                let mut events = Vec::new();
                for _ in 0..LAST_TURNS {
                    let said = self.listen(worker, groups);
                    if said.is_empty() {
                        break;
                    }
                    events.extend(said);
                }
                events.retain(|event| !matches!(event, Event::Lost { .. }));
                self.read(worker, LAST_WORDS, groups);
                let serving = self.serving(worker);
                self.running.remove(&worker);
                events.push(Event::Ended { worker, how, clean, serving });
                events
            }
        }
    }

    /// The requests that a worker has under way, as it wrote them down.
    pub(super) fn serving(&self, worker: WorkerId) -> Option<String> {
        self.running.get(&worker)?.seat.as_ref()?.running()
    }

    /// Says in the registers how far each worker is.
    pub(super) fn tell(&self, fleet: &Fleet) {
        for (worker, running) in &self.running {
            if let (Some(seat), Some(stage)) = (&running.seat, fleet.stage(*worker)) {
                seat.set_stage(stage);
            }
        }
    }

    /// Whether a process still writes for this group.
    pub(super) fn write_for(&self, group: GroupId) -> bool {
        self.writers.iter().any(|writer| writer.group == group)
    }

    fn describe(&mut self, exit: Exit) -> String {
        match exit {
            Exit::Signal { signal: Signal::SIGKILL, .. } if self.memory.has_run_out() => {
                format!("{exit}, out of memory (its control group has reached its limit)")
            }
            exit => exit.to_string(),
        }
    }

    fn listen(&mut self, worker: WorkerId, groups: &mut Groups) -> Vec<Event> {
        let mut events = Vec::new();
        let Some(running) = self.running.get_mut(&worker) else { return events };
        let mut bytes = 0;
        while let Some(line) = running.line.as_mut().filter(|_| events.len() < TURN && bytes < TURN_BYTES) {
            match line.reports.receive::<FromWorker>() {
                Ok(Some((what, length))) => {
                    bytes += length;
                    events.push(Event::Said { worker, what });
                }
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => break,
                Ok(None) => {
                    running.line = None;
                    events.push(Event::Lost { worker });
                }
                Err(cause) => {
                    let pid = running.child.pid.as_raw();
                    let writer = self.writers.iter().find(|writer| writer.worker == worker);
                    if let Some(log) = writer.and_then(|writer| groups.log(writer.group)) {
                        let text = format!("WSGI0342: a worker (pid {pid}) says what can't be understood: {cause}.");
                        log.write(supervise::Level::Error as u8, nix::unistd::getpid().as_raw(), text.as_bytes());
                    }
                    running.line = None;
                    events.push(Event::Lost { worker });
                }
            }
        }
        events
    }

    /// Passes lines on to the group's log.
    fn read(&mut self, worker: WorkerId, bites: usize, groups: &mut Groups) {
        let Some(place) = self.writers.iter().position(|writer| writer.worker == worker) else { return };
        let Some(writer) = self.writers.get_mut(place) else { return };
        for _ in 0..bites {
            let read = writer.pipe.read(|level, line| {
                if let Some(log) = groups.log(writer.group) {
                    log.write(level, writer.pid, line);
                }
            });
            match read {
                Ok(Reading::Something) => {}
                Ok(Reading::Nothing) => return,
                Ok(Reading::Ended) | Err(_) => {
                    self.writers.swap_remove(place);
                    return;
                }
            }
        }
    }
}
