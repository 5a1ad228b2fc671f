//! Finding a process for a request: a free one, with a kept connection or a new one that it has accepted.
//!
//! A listening socket outlives its process, so a connection may wait in its backlog for a process that is only starting. Nothing but
//! the greeting is sent before a process has taken that, so until then the request can go elsewhere.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::child::{Child, Place};
use super::connection::Connection;
use super::failure::Failure;
use super::group::Group;
use crate::os::poll;

/// So long one process is given to accept before another is tried beside it.
const HEAD_START: Duration = Duration::from_millis(20);
/// Looking again whether a connection was accepted: at first, and at most.
const FIRST_LOOK: Duration = Duration::from_micros(50);
const LAST_LOOK: Duration = Duration::from_millis(10);
/// Between rounds in which all processes refused: at first, at most for two seconds, and later.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(125);
const SOON: Duration = Duration::from_secs(2);
const LATE_PAUSE: Duration = Duration::from_millis(250);
/// How long a process may take to start where `startup-timeout` is not set, as the supervisor has it.
const STARTUP: Duration = Duration::from_secs(60);
/// The longest sleep on a bell: another child may have died without ringing.
const BELL: Duration = Duration::from_secs(1);

/// The search of one request.
pub(super) struct Search<'c> {
    child: &'c Child,
    group: &'c Group,
    began: Instant,
    /// Columns that refused in this round.
    refused: Vec<usize>,
    pause: Duration,
    pub(super) tries: u32,
}

/// A process that has the next request of this connection.
pub(super) struct Found<'c> {
    pub(super) place: Place<'c>,
    pub(super) connection: Connection,
    /// It was kept from a request before, so the process may be gone since.
    pub(super) kept: bool,
}

/// A connection in a backlog.
struct Pending<'c> {
    place: Place<'c>,
    connection: Connection,
}

impl<'c> Search<'c> {
    pub(super) fn new(child: &'c Child, group: &'c Group) -> Search<'c> {
        Search { child, group, began: Instant::now(), refused: Vec::new(), pause: FIRST_PAUSE, tries: 0 }
    }

    /// The process of this column does not take the request; the next search begins with others.
    ///
    /// # Errors
    /// It was refused too often: 2 x processes + 1 times, and for `connect-timeout`.
    pub(super) fn refused(&mut self, column: usize) -> Result<(), Failure> {
        if let Some(idle) = self.child.idle(column) {
            // Of a process that ends.
            idle.clear();
        }
        self.tries += 1;
        self.note(column);
        let most = self.group.options.processes().saturating_mul(2).saturating_add(1);
        if self.tries > most && self.began.elapsed() >= self.group.options.connect_timeout() {
            return Err(Failure::AllLeaving { group: self.group.name.clone(), tries: self.tries });
        }
        Ok(())
    }

    /// Finds a process. Blocks.
    ///
    /// # Errors
    /// None within the times of the group's options.
    pub(super) fn find(&mut self) -> Result<Found<'c>, Failure> {
        let mut pending: Vec<Pending<'c>> = Vec::new();
        let (mut last_opened, mut look) = (Instant::now(), FIRST_LOOK);
        loop {
            self.check_time()?;
            if self.group.columns.clone().all(|column| self.child.groups.is_failing(column)) {
                return Err(Failure::CantStart { group: self.group.name.clone() });
            }
            if pending.is_empty() || last_opened.elapsed() >= HEAD_START {
                let used = |column: usize| pending.iter().any(|one| one.place.column() == column);
                let groups = &self.child.groups;
                let out = |column: usize| used(column) || self.refused.contains(&column) || groups.is_failing(column);
                let served = self.child.take(self.group, |column| out(column) || groups.is_vacant(column));
                let place = served.or_else(|| self.child.take(self.group, out));
                match place {
                    Some(place) => {
                        let idle = self.child.idle(place.column());
                        if let Some(connection) = idle.and_then(|idle| idle.take(place.turn())) {
                            return Ok(Found { place, connection, kept: true });
                        }
                        (last_opened, look) = (Instant::now(), FIRST_LOOK);
                        if let Some(connection) = self.open(place.column())? {
                            pending.push(Pending { place, connection });
                        }
                        continue;
                    }
                    None if pending.is_empty() => {
                        self.rest()?;
                        continue;
                    }
                    None => {}
                }
            }
            if let Some(found) = self.settle(&mut pending) {
                return Ok(found);
            }
            if pending.is_empty() {
                continue;
            }
            self.check_start()?;
            let connections: Vec<_> = pending.iter().map(|one| one.connection.as_fd()).collect();
            // Nobody speaks before a request, so what is readable is closed, and `settle` sees to it.
            let _ = poll::readable(&connections, Some(look));
            look = (look * 2).min(LAST_LOOK);
        }
    }

    /// Connects to the process of a column; `None` where it refuses.
    fn open(&mut self, column: usize) -> Result<Option<Connection>, Failure> {
        let group = self.group;
        let Some(path) = group.socket(column) else {
            self.note(column);
            return Ok(None);
        };
        let cause = match Connection::open(path, group, &self.child.open) {
            Ok(connection) => return Ok(Some(connection)),
            Err(cause) => cause,
        };
        match cause.kind() {
            io::ErrorKind::WouldBlock
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => {
                self.note(column);
                Ok(None)
            }
            _ if is_shortage(&cause) => Err(Failure::NoSocket { group: group.name.clone(), cause }),
            _ => {
                use std::os::unix::ffi::OsStrExt as _;
                let path = path.as_os_str().as_bytes().to_vec();
                Err(Failure::Unreachable { group: group.name.clone(), path, cause })
            }
        }
    }

    /// Takes the first connection that was accepted. Others that were are kept for later requests.
    fn settle(&mut self, pending: &mut Vec<Pending<'c>>) -> Option<Found<'c>> {
        let mut found = None;
        for one in std::mem::take(pending) {
            let accepted = one.connection.is_accepted().unwrap_or(false);
            // An end where nothing was asked: the process closed it.
            let closed = one.connection.is_readable(Duration::ZERO).unwrap_or(true);
            let Pending { place, connection } = one;
            if closed {
                self.note(place.column());
            } else if !accepted {
                pending.push(Pending { place, connection });
            } else if found.is_none() {
                found = Some(Found { place, connection, kept: false });
            } else if let Some(idle) = self.child.idle(place.column()) {
                idle.keep(connection, place.turn());
            }
        }
        found
    }

    /// Waits where no process can be asked now: all are full, or refused in this round.
    fn rest(&mut self) -> Result<(), Failure> {
        let out = |column: usize| self.refused.contains(&column) || self.child.groups.is_failing(column);
        let full = self.group.columns.clone().any(|column| !out(column));
        if full {
            let left = self.group.options.queue_timeout().map(|limit| limit.saturating_sub(self.began.elapsed()));
            // Those that refused may be back by then.
            let most = if self.refused.is_empty() { BELL } else { self.pause };
            self.child.wait_for_place(self.group, left.unwrap_or(most).min(most), out);
            self.refused.clear();
            return Ok(());
        }
        let (waited, limit) = (self.began.elapsed(), self.group.options.connect_timeout());
        if waited >= limit {
            return Err(self.no_process());
        }
        let left = self.group.options.queue_timeout().unwrap_or(limit).min(limit).saturating_sub(waited);
        sleep(self.pause.min(left));
        self.pause = if waited < SOON { (self.pause * 2).min(LAST_PAUSE) } else { LATE_PAUSE };
        self.refused.clear();
        Ok(())
    }

    fn check_time(&self) -> Result<(), Failure> {
        if self.child.is_stopping() {
            return Err(Failure::Stopping { group: self.group.name.clone() });
        }
        match self.group.options.queue_timeout() {
            Some(limit) if self.began.elapsed() >= limit => {
                Err(Failure::QueueTimeout { group: self.group.name.clone(), limit })
            }
            _ => Ok(()),
        }
    }

    /// A process that starts may take its time, but not for ever.
    fn check_start(&self) -> Result<(), Failure> {
        let options = &self.group.options;
        let limit = options.connect_timeout() + options.startup_timeout().unwrap_or(STARTUP);
        if self.began.elapsed() < limit { Ok(()) } else { Err(self.no_process()) }
    }

    fn no_process(&self) -> Failure {
        let (waited, limit) = (self.began.elapsed(), self.group.options.connect_timeout());
        Failure::NoProcess { group: self.group.name.clone(), waited, limit }
    }

    fn note(&mut self, column: usize) {
        if !self.refused.contains(&column) {
            self.refused.push(column);
        }
    }
}

/// Is this process, or the machine, short of something?
fn is_shortage(cause: &io::Error) -> bool {
    let short = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    cause.raw_os_error().is_some_and(|number| short.contains(&number))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::board::{State, States};
    use crate::config::DaemonOptions;
    use crate::proxy::relay::Outcome;
    use crate::proxy::testing::{Peer, Scripted, Site, hello, request};
    use crate::wire::Body;

    fn options(processes: u32) -> DaemonOptions {
        DaemonOptions { processes: Some(processes), threads: Some(1), ..DaemonOptions::default() }
    }

    fn number(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Failed(failure) => failure.to_string().split(':').next().unwrap().to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_process_that_does_not_accept_is_passed_by() {
        let (site, mut client) = (Site::new(options(2)), Scripted::default());
        let began = Instant::now();
        // Nobody is at the first.
        let outcome = site.exchange(Body::None, &mut client, |listeners| Peer::asked(&listeners[1]).say(&hello()));
        assert_eq!(number(&outcome), "Done");
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!((site.load(0), site.load(1)), (0, 0));
    }

    #[test]
    fn a_process_that_starts_is_waited_for() {
        let (site, mut client) = (Site::new(options(1)), Scripted::default());
        let outcome = site.exchange(Body::None, &mut client, |listeners| {
            std::thread::sleep(Duration::from_millis(100));
            Peer::asked(&listeners[0]).say(&hello());
        });
        assert_eq!(number(&outcome), "Done");
    }

    #[test]
    fn the_time_in_the_queue_is_limited_where_asked() {
        let options = DaemonOptions { queue_timeout: Some(Duration::from_millis(150)), ..options(1) };
        let (site, mut client) = (Site::new(options), Scripted::default());
        let _busy = site.child.take(site.group(), |_| false).unwrap();
        let began = Instant::now();
        let outcome = site.exchange(Body::None, &mut client, |_| {});
        assert_eq!(number(&outcome), "WSGI0084");
        let took = began.elapsed();
        assert!((Duration::from_millis(150)..Duration::from_millis(600)).contains(&took), "{took:?}");
    }

    #[test]
    fn nobody_there_is_told_after_connect_timeout_and_a_missing_socket_at_once() {
        let options = DaemonOptions { connect_timeout: Some(Duration::from_millis(150)), ..options(2) };
        let (mut site, mut client) = (Site::new(options), Scripted::default());
        site.listeners.clear();
        let began = Instant::now();
        assert_eq!(number(&site.exchange(Body::None, &mut client, |_| {})), "WSGI0116");
        assert!((Duration::from_millis(150)..Duration::from_secs(5)).contains(&began.elapsed()));
        for path in &site.group().sockets {
            std::fs::remove_file(path).unwrap();
        }
        assert_eq!(number(&site.exchange(Body::None, &mut client, |_| {})), "WSGI0117");
    }

    #[test]
    fn what_cant_start_is_told_at_once_and_passed_by_where_another_can() {
        let site = Site::new(options(2));
        let states = States::new(site.child.groups.states.words());
        states.set(0, State::Failing);
        let mut client = Scripted::default();
        let outcome = site.exchange(Body::None, &mut client, |listeners| Peer::asked(&listeners[1]).say(&hello()));
        assert_eq!(number(&outcome), "Done");
        states.set(1, State::Failing);
        let began = Instant::now();
        assert_eq!(number(&site.exchange(Body::None, &mut client, |_| {})), "WSGI0364");
        assert!(began.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn a_successor_has_connections_of_its_own() {
        let (site, mut client) = (Site::new(options(1)), Scripted::default());
        let mut old = None;
        let outcome = site.exchange(Body::None, &mut client, |listeners| {
            let mut peer = Peer::asked(&listeners[0]);
            peer.say(&hello());
            old = Some(peer);
        });
        assert_eq!((number(&outcome).as_str(), site.idle()), ("Done", 1));
        site.turn(0, 1);
        let outcome = site.exchange(Body::None, &mut client, |listeners| {
            listeners[0].set_nonblocking(true).unwrap();
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(10) {
                let Ok((stream, _)) = listeners[0].accept() else {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                let mut peer = Peer::of(stream);
                peer.greeting();
                peer.request();
                return peer.say(&hello());
            }
        });
        assert_eq!(number(&outcome), "Done");
        assert!(old.unwrap().is_left());
    }

    #[test]
    fn a_child_that_stops_waits_for_nobody() {
        let site = Site::new(options(1));
        let ready = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut client = Scripted::default();
                        let frame = request(Body::None);
                        let outcome =
                            crate::proxy::serve::exchange(&site.child, site.group(), false, &frame, &mut client);
                        number(&outcome)
                    })
                })
                .collect();
            // One is being served, others have a connection in the backlog, the rest wait for a place.
            scope.spawn(|| {
                let mut peer = Peer::asked(&site.listeners[0]);
                ready.store(true, Ordering::SeqCst);
                assert!(peer.is_left());
            });
            while !ready.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(30));
            let began = Instant::now();
            site.child.stop();
            for one in running {
                assert_eq!(one.join().unwrap(), "WSGI0361");
            }
            assert!(began.elapsed() < Duration::from_secs(2));
        });
        assert_eq!(site.load(0), 0);
    }

    #[test]
    fn many_requests_share_few_threads() {
        let site = Site::new(DaemonOptions { queue_timeout: Some(Duration::from_secs(30)), ..options(2) });
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for listener in &site.listeners {
                scope.spawn(|| {
                    // With one thread there is one connection at a time, kept; new ones come where two began at once.
                    listener.set_nonblocking(true).unwrap();
                    while !over.load(Ordering::SeqCst) {
                        let Ok((stream, _)) = listener.accept() else {
                            std::thread::sleep(Duration::from_millis(1));
                            continue;
                        };
                        stream.set_nonblocking(false).unwrap();
                        scope.spawn(|| {
                            let mut peer = Peer::of(stream);
                            peer.greeting();
                            while peer.hear(|_| true) {
                                peer.say(&hello());
                            }
                        });
                    }
                });
            }
            let clients: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            let mut client = Scripted::default();
                            let frame = request(Body::None);
                            let outcome =
                                crate::proxy::serve::exchange(&site.child, site.group(), false, &frame, &mut client);
                            assert_eq!(number(&outcome), "Done");
                        }
                    })
                })
                .collect();
            for one in clients {
                one.join().unwrap();
            }
            assert_eq!((site.load(0), site.load(1)), (0, 0));
            over.store(true, Ordering::SeqCst);
            site.child.stop();
        });
    }
}
