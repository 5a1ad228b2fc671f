//! The thread that decides: hears the supervisor, signals and requests, asks `supervise::worker` what follows, and does it.
//!
//! It never waits for Python, nor for a thread that does.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::{PoisonError, mpsc};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::signal::Signal;

use super::log;
use super::process::Process;
use super::watch::Order;
use crate::os::handlers::{Arrivals, exit_now};
use crate::os::{limits, poll};
use crate::python::Runtime;
use crate::supervise::worker::{Do, Event, Life};
use crate::wire::control::{FromWorker, ToWorker};
use crate::wsgi::Level;

/// The status of a process that was ended by force.
const FORCED: i32 = 255;
/// So long Python's end waits for stacks to be logged, or a quarter of its time if that is less.
const DUMP: Duration = Duration::from_secs(1);

/// The thread's life, which ends with the process.
pub(super) fn run(process: &'static Process, mut arrivals: Arrivals) {
    let mut life = Life::new(process.limits.clone());
    let mut supervised = true;
    let mut announced = false;
    loop {
        let mut heard = Vec::new();
        if supervised {
            supervised = hear(process, &mut heard);
        }
        // After what the supervisor said: what it answers was told here before.
        let mut happened = process.events();
        for signal in arrivals.take() {
            match meaning(signal) {
                Some(event) => happened.push(event),
                None => process.pass_on(signal),
            }
        }
        happened.extend(heard);
        happened.push(Event::Look);
        for event in happened {
            let active = process.requests.active();
            let sight = process.requests.sight(&active, process.is_closed(), memory(process));
            let steps = life.step(event, process.requests.now(), &sight);
            if let Some(ending) = life.ending()
                && !std::mem::replace(&mut announced, true)
            {
                // Before requests are waited for: one of them may wait for this.
                process.applications.announce_end(ending.word());
            }
            for next in steps {
                carry_out(process, next);
            }
        }
        let active = process.requests.active();
        let now = process.requests.now();
        let next = life.next_look(now, &process.requests.sight(&active, process.is_closed(), None));
        let mut sources = vec![(process.control.as_fd(), PollFlags::POLLIN), (arrivals.as_fd(), PollFlags::POLLIN)];
        if supervised {
            sources.push((process.channel.as_fd(), PollFlags::POLLIN));
        }
        if process.reporter.is_behind() {
            sources.push((process.reporter.as_fd(), PollFlags::POLLOUT));
        }
        if let Err(cause) = poll::wait(&sources, next.map(|next| next.saturating_sub(now))) {
            log::line(Level::Crit, format!("WSGI0410: the worker can't wait for signals: {cause}").as_bytes());
            exit_now(FORCED);
        }
        process.control.clear();
        // If the supervisor is gone the channel tells.
        let _ = process.reporter.go_on();
    }
}

/// What a signal means here.
fn meaning(signal: Signal) -> Option<Event> {
    match signal {
        Signal::SIGTERM | Signal::SIGINT => Some(Event::Terminate),
        Signal::SIGUSR1 => Some(Event::Graceful),
        Signal::SIGXCPU => Some(Event::CpuTimeLimit),
        // HUP and USR2 are the applications'.
        _ => None,
    }
}

/// Everything that the supervisor said; whether it is still there.
fn hear(process: &Process, happened: &mut Vec<Event>) -> bool {
    loop {
        match process.channel.receive::<ToWorker>() {
            Ok(Some((ToWorker::Drain { within }, _))) => {
                happened.push(Event::Drain(within.map(std::time::Duration::from_millis)));
            }
            Ok(Some((ToWorker::End { within }, _))) => {
                happened.push(Event::End(Duration::from_millis(within)));
            }
            Ok(Some((ToWorker::Open, _))) => process.open(),
            Ok(Some((ToWorker::Changed { script, application_group }, _))) => {
                process.changes.tell(script, application_group);
                happened.push(Event::ScriptChanged);
            }
            Ok(Some((ToWorker::Bridge, _))) => process.changes.bridge(),
            // Said once, at the start.
            Ok(Some((ToWorker::Settings { .. }, _))) => {}
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return true,
            Ok(None) | Err(_) => {
                happened.push(Event::Orphaned);
                return false;
            }
        }
    }
}

/// Asked for only where it is limited.
fn memory(process: &Process) -> Option<u64> {
    process.limits.maximum_memory.and_then(|_| limits::resident_memory())
}

fn carry_out(process: &'static Process, next: Do) {
    match next {
        Do::Say(text) => log::line(Level::Info, text.as_bytes()),
        Do::Warn(text) => {
            let text = format!("WSGI0430: {text}; {}", process.board.in_progress());
            log::line(Level::Warn, text.as_bytes());
        }
        Do::Replace(reason) => process.say(&FromWorker::Replace { reason }),
        Do::SayOutgrown { limit, used, age } => {
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            process.say(&FromWorker::Outgrown { limit, used, age });
        }
        Do::Leave(reason) => process.say(&FromWorker::Leaving { reason }),
        Do::StopAccepting => process.stop(),
        Do::SayClosed => process.say(&FromWorker::Closed),
        Do::Interrupt(active) => order(process, Order::Interrupt(active)),
        Do::Dump(active) => {
            let (doing, done) = mpsc::channel();
            *process.dump.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            order(process, Order::Dump(active, doing));
        }
        Do::EndPython(within) => {
            let end = move || {
                let begin = Instant::now();
                // What holds it up is worth knowing, and can't be said when Python has ended.
                let dump = process.dump.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(done) = dump {
                    let _ = done.recv_timeout(within.map_or(DUMP, |within| DUMP.min(within / 4)));
                }
                let left = within.map(|within| within.saturating_sub(begin.elapsed()));
                // Requests had their time before. The main thread returns where nothing of Python is left, and the process ends with it.
                if !Runtime::running().is_some_and(|runtime| runtime.end(left, left.map(|left| left / 4))) {
                    let late = within.is_some_and(|within| begin.elapsed() >= within);
                    cut_off(process, if late { FORCED } else { 0 });
                }
            };
            if std::thread::Builder::new().name("wsgi:end".to_owned()).spawn(end).is_err() {
                exit_now(FORCED);
            }
        }
        Do::Exit => {
            if process.requests.active().is_empty() {
                let text = b"WSGI0419: shutdown-timeout is over, and the process ends while exit functions go on";
                log::line(Level::Warn, text);
            }
            cut_off(process, FORCED);
        }
    }
}

/// Ends the process with what is left in it: requests, or threads and exit functions of the application.
fn cut_off(process: &Process, status: i32) -> ! {
    let unfinished = process.requests.active().len();
    if unfinished == 0 {
        exit_now(status);
    }
    let text = format!(
        "WSGI0411: shutdown-timeout is over, and the process ends with requests unfinished: {unfinished}; {}",
        process.board.in_progress()
    );
    log::line(Level::Warn, text.as_bytes());
    exit_now(FORCED);
}

fn order(process: &Process, order: Order) {
    if let Some(watch) = process.watch.get() {
        let _ = watch.send(order);
    }
}
