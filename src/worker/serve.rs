//! The threads that serve: each takes the next connection that can be read, and answers the request on it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::connection::{Next, Taken};
use super::host::Frames;
use super::lobby::Seat;
use super::log;
use super::process::Process;
use super::requests::Slot;
use crate::application::{Job, Outcome, Watch};
use crate::board::Task;
use crate::os::policy::Policy;
use crate::python::{give_way, is_lingering, linger, within};
use crate::supervise::worker::Event;
use crate::wire::Request;
use crate::wsgi::{Host as _, Level, Pairs, UrlScheme};

/// So many requests a thread answers at most before another one has its turn.
const TURN: usize = 16;
/// And so long.
const TURN_TIME: Duration = Duration::from_millis(1);

/// How long a thread that is not needed looks away: so long, at most, the next request waits where the one that was being served blocks. Each nap sets
/// the processor's clock, which costs much on virtual machines.
const NAP: Duration = Duration::from_millis(1);

/// The life of one thread that serves requests; `thread` counts from 0.
pub(super) fn run(process: &'static Process, thread: usize) {
    let Some(slot) = process.requests.slot(thread) else { return };
    let several_gils = process.applications.several_gils();
    let server = Server { process, slot, thread, number: u32::try_from(thread + 1).unwrap_or(u32::MAX), several_gils };
    slot.settle();
    // Whoever gives the group a priority of its own wants it.
    let policy = Policy::of_this_thread(process.group.options.cpu_priority().is_some());
    let (mut own, mut busy) = (Vec::new(), false);
    loop {
        // Not where requests are long enough to start threads or programs, which would inherit it.
        policy.wait_for_others(process.pace.is_very_short());
        let seat = process.lobby.enter();
        if busy {
            server.stand_by();
        }
        // Fails only in a process that the application forked and that came back here: it has no connections.
        let Ok(taken) = process.connections.wait(process, None) else { return };
        let Some(taken) = taken else { continue };
        server.answer(taken, &seat, &mut own);
        busy = server.go_on(&seat, &mut own);
        give_way();
    }
}

/// A thread that serves.
struct Server {
    process: &'static Process,
    slot: &'static Slot,
    thread: usize,
    /// `mod_wsgi.thread_id`: the thread that began the process is 0.
    number: u32,
    /// Who waits for one interpreter keeps no seat: the next request may be for another one.
    several_gils: bool,
}

/// How a request goes.
struct Course<'s> {
    /// Its number on this thread.
    serial: u64,
    /// Where the board counts the requests of its connection.
    mark: Option<usize>,
    /// Left by the thread once it has the interpreter, or before it waits for one of several.
    seat: &'s Seat<'s>,
    /// It stands on the board.
    written: Cell<bool>,
}

impl Server {
    /// Stays out of the way as long as another thread gets on with very short requests: that one takes the next sooner than this one would
    /// wake. Not where requests wait for something, as those that are `within` besides do.
    fn stand_by(&self) {
        let process = self.process;
        let alone = || within() <= 1 && process.pace.is_very_short() && !process.is_stopping();
        if !alone() {
            return;
        }
        let served = within() == 1;
        let Some(_standby) = process.lobby.stand_by(served) else { return };
        loop {
            let before = process.requests.finished();
            sleep(NAP);
            if process.requests.finished() == before || !alone() {
                return;
            }
        }
    }

    /// Answers further requests that are there, as long as the thread still has the interpreter and its turn lasts; false where there was
    /// none.
    fn go_on(&self, seat: &Seat<'_>, own: &mut Vec<u8>) -> bool {
        let began = Instant::now();
        for number in 1..TURN {
            // Who comes back from waiting in the middle of a request goes before the next one.
            if !is_lingering() || within() > 0 || began.elapsed() >= TURN_TIME {
                return number > 1;
            }
            let taken = self.process.connections.wait(self.process, Some(Duration::ZERO));
            let Ok(Some(taken)) = taken else { return number > 1 };
            self.answer(taken, seat, own);
        }
        true
    }

    /// Answers the request that came on this connection, if all of it did.
    fn answer(&self, mut connection: Taken, seat: &Seat<'_>, own: &mut Vec<u8>) {
        loop {
            match connection.next(own) {
                Ok(Next::Request(request)) => return self.begin(connection, seat, &request),
                Ok(Next::Stray) => {}
                Ok(Next::Wait) => return connection.give_back(),
                Ok(Next::Gone) => return,
                Err(error) => {
                    let text = format!("WSGI0406: a process of httpd sent {error}; the connection is closed");
                    return log::line(Level::Error, text.as_bytes());
                }
            }
        }
    }

    fn begin(&self, mut connection: Taken, seat: &Seat<'_>, request: &Request<'_>) {
        let requests = &self.process.requests;
        let serial = requests.begin(self.slot, request.application_group);
        connection.begin();
        let course = Course { serial, mark: connection.mark(), seat, written: Cell::new(false) };
        let mut host = Frames::new(self.process, connection, request);
        if self.process.is_stopping() {
            host.refuse();
            requests.undo(self.slot);
            return self.process.control.wake();
        }
        if !request.ignore_activity {
            requests.touch();
        }
        let changes = &self.process.changes;
        let known = changes.has(request.script, request.application_group);
        let mut answer =
            |as_loaded| catch_unwind(AssertUnwindSafe(|| self.serve(request, &course, as_loaded, &mut host)));
        let wait = || {
            // Others run Python meanwhile, and take requests.
            give_way();
            seat.leave();
            changes.wait()
        };
        let outcome = if known && request.reloading {
            if wait() { answer(true) } else { Ok(Outcome::Changed) }
        } else {
            match answer(known) {
                Ok(Outcome::Changed) if !known => {
                    self.say_changed(request);
                    if wait() { answer(true) } else { Ok(Outcome::Changed) }
                }
                outcome => outcome,
            }
        };
        if !matches!(outcome, Ok(Outcome::Done)) {
            give_way();
        }
        match outcome {
            Ok(Outcome::Done) => host.end(None),
            Ok(Outcome::Status(status)) => host.end(Some(status)),
            Ok(Outcome::Changed) => {
                // Counted as under way until it is sent away, so that the process does not end before.
                host.refuse();
                self.process.board.seat.undo(self.thread);
                requests.undo(self.slot);
                return self.process.control.wake();
            }
            // Said by the panic hook.
            Err(_panic) => host.end(Some(500)),
        }
        let took = host.complete().map(|end| end.saturating_sub(self.slot.since()));
        drop(host);
        self.process.board.seat.end(self.thread, took);
        let finished = requests.end(self.slot);
        if self.process.is_stopping() || self.process.limits.maximum_requests.is_some_and(|most| finished >= most) {
            self.process.control.wake();
        }
    }

    /// The script has changed since it was loaded: the supervisor has all workers of the group replaced.
    fn say_changed(&self, request: &Request<'_>) {
        if self.process.changes.find(request.script, request.application_group) {
            let text = format!("the WSGI script {} has changed", String::from_utf8_lossy(request.script));
            log::line(Level::Info, text.as_bytes());
            self.process.tell(Event::ScriptChanged);
            self.process.say_changed(request.script, request.application_group);
        }
    }

    fn serve(&self, request: &Request<'_>, course: &Course<'_>, as_loaded: bool, host: &mut Frames<'_>) -> Outcome {
        let daemon_start = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let mut environ = Pairs::with_capacity(64, 4096);
        let mut task = Task { method: request.client_method, path: [b"", b""], id: b"" };
        for (key, value) in request.environ.clone() {
            match (key, value) {
                (b"SCRIPT_NAME", Some(value)) => task.path[0] = value,
                (b"PATH_INFO", Some(value)) => task.path[1] = value,
                (b"mod_wsgi.request_id", Some(value)) => task.id = value,
                (b"UNIQUE_ID", Some(value)) if task.id.is_empty() => task.id = value,
                _ => {}
            }
            environ.push_optional(key, value);
        }
        // Once, though it may be tried again by other code.
        if !course.written.replace(true) {
            let board = &self.process.board;
            board.seat.begin(self.thread, self.slot.since(), &task);
            if let Some(mark) = course.mark {
                board.seat.begin_on(mark);
            }
        }
        let loaded = || self.process.requests.loaded();
        let attached = Cell::new(None::<Instant>);
        let job = Job {
            group: request.application_group,
            script: request.script,
            script_mtime: request.script_mtime,
            reloading: request.reloading,
            as_loaded,
            case_sensitive: request.case_sensitive,
            callable: request.callable,
            environ: &environ,
            url_scheme: if request.https { UrlScheme::Https } else { UrlScheme::Http },
            client_method: request.client_method,
            method: request.method,
            thread_id: self.number,
            request_start: request.request_start,
            queue_start: request.queue_start,
            daemon_start,
            watch: Some(Watch {
                running: self.slot.settle(),
                serial: course.serial,
                attached: &|| {
                    attached.set(Some(Instant::now()));
                    course.seat.leave();
                },
                loaded: &loaded,
            }),
        };
        if host.gives_way() {
            linger();
        }
        if self.several_gils {
            course.seat.leave();
        }
        let outcome = self.process.applications.serve(&job, host);
        if let Some(since) = attached.get() {
            self.process.pace.note(since.elapsed());
        }
        if outcome != Outcome::Changed {
            self.process.note_served(request.script, request.application_group);
        }
        outcome
    }
}
