//! Connections from httpd's children: kept between requests, waited on by all free threads together, had by one at a time.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::board::Board;
use super::outlet::{Outlet, Share};
use super::process::Process;
use crate::board::MARKS;
use crate::os::epoll::Epoll;
use crate::os::stream::Stream;
use crate::python::give_way;
use crate::wire::{FrameError, FromChild, FromWorker, Reader, Request};

/// The connections of a worker whose children have shown the secret.
pub(super) struct Connections {
    ready: Epoll,
    open: Mutex<Open>,
    next: AtomicU64,
}

struct Open {
    all: HashMap<u64, Arc<Connection>>,
    /// Marks that no connection has; those at the end are given first.
    free_marks: Vec<usize>,
}

struct Connection {
    number: u64,
    outlet: Arc<Outlet>,
    /// On the board: how many requests were begun on it. None where more are open than there are marks.
    mark: Option<usize>,
    /// What was read and not used yet; none while a thread has the connection.
    reader: Mutex<Option<Reader>>,
}

/// A connection that one thread has. Dropped without [`Taken::give_back`] it is closed.
pub(super) struct Taken {
    process: &'static Process,
    connection: Arc<Connection>,
    /// None when the connection was given back.
    reader: Option<Reader>,
    /// A request was begun on it, so the process knows that it is busy.
    begun: bool,
}

/// What there is to do with a connection that can be read.
pub(super) enum Next<'o> {
    Request(Request<'o>),
    /// A piece of a body that nobody waits for any more.
    Stray,
    /// Not all of it came yet.
    Wait,
    /// It has ended, or is broken.
    Gone,
}

impl Connections {
    pub(super) fn new() -> io::Result<Connections> {
        let ready = Epoll::new()?;
        let open = Open { all: HashMap::new(), free_marks: (0..MARKS).rev().collect() };
        Ok(Connections { ready, open: Mutex::new(open), next: AtomicU64::new(1) })
    }

    /// Waits for requests on this connection from now on; the child knows it by the number `its`.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn add(&self, board: &Board, stream: Stream, reader: Reader, its: u64) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = {
            let mut open = self.lock();
            let mark = open.free_marks.pop().inspect(|mark| board.seat.connect(*mark, its));
            let (outlet, reader) = (Arc::new(Outlet::new(stream)), Mutex::new(Some(reader)));
            let connection = Arc::new(Connection { number, outlet, mark, reader });
            open.all.insert(number, Arc::clone(&connection));
            connection
        };
        self.ready.add_once(connection.outlet.stream().as_fd(), number).inspect_err(|_| self.forget(board, number))
    }

    /// Waits for a connection that can be read, so long if that is limited, and takes it; none where there is none, another thread did, or
    /// it has ended meanwhile.
    ///
    /// # Errors
    /// The system's: there is nothing to wait on any more.
    pub(super) fn wait(&self, process: &'static Process, within: Option<Duration>) -> io::Result<Option<Taken>> {
        let Some(number) = self.ready.wait(within)? else { return Ok(None) };
        let connection = self.lock().all.get(&number).map(Arc::clone);
        Ok(connection.and_then(|connection| Taken::take(process, connection)))
    }

    /// Takes every connection that no thread has. For the accepting thread, at the end.
    pub(super) fn take_idle(&self, process: &'static Process) -> Vec<Taken> {
        let all: Vec<Arc<Connection>> = self.lock().all.values().map(Arc::clone).collect();
        all.into_iter().filter_map(|connection| Taken::take(process, connection)).collect()
    }

    fn forget(&self, board: &Board, number: u64) {
        let gone = {
            let mut open = self.lock();
            let gone = open.all.remove(&number);
            if let Some(mark) = gone.as_ref().and_then(|connection| connection.mark) {
                board.seat.disconnect(mark);
                open.free_marks.push(mark);
            }
            gone
        };
        if let Some(connection) = gone {
            // Its descriptor may live on in a thread, or in a process that an application forked.
            self.ready.forget(connection.outlet.stream().as_fd());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn take(process: &'static Process, connection: Arc<Connection>) -> Option<Taken> {
        // Counted before it is looked at: a process that ends must not overlook a request.
        process.opening();
        let reader = connection.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        if reader.is_none() {
            process.opened();
            return None;
        }
        Some(Taken { process, connection, reader, begun: false })
    }

    /// Sends what is held and then these parts, in order; see [`Outlet::send`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn send(&self, parts: &[&[u8]], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        self.connection.outlet.send(parts, descriptor)
    }

    /// Holds a piece of the answer for a moment; false where it is to be sent.
    pub(super) fn hold(&self, piece: &[u8]) -> bool {
        self.connection.outlet.hold(piece, &self.process.flush)
    }

    /// Puts a piece of the answer into the window, as far as that is worth it.
    pub(super) fn share(&self, piece: &[u8]) -> Share {
        self.connection.outlet.share(piece)
    }

    /// Its mark on the board.
    pub(super) fn mark(&self) -> Option<usize> {
        self.connection.mark
    }

    /// The stream, and what was read from it.
    pub(super) fn parts(&mut self) -> Option<(&Stream, &mut Reader)> {
        Some((self.connection.outlet.stream(), self.reader.as_mut()?))
    }

    /// The next request; `own` gets its bytes. Never waits.
    ///
    /// # Errors
    /// The child said what can't be.
    pub(super) fn next<'o>(&mut self, own: &'o mut Vec<u8>) -> Result<Next<'o>, FrameError> {
        let Some(reader) = &mut self.reader else { return Ok(Next::Gone) };
        while reader.lacks() > 0 {
            match self.connection.outlet.stream().read_now(reader.space()) {
                Ok(0) => return Ok(Next::Gone),
                Ok(count) => reader.filled(count),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(Next::Wait),
                Err(_) => return Ok(Next::Gone),
            }
        }
        Ok(match reader.take_child(own)? {
            Some(FromChild::Request(request)) => Next::Request(request),
            Some(_) => Next::Stray,
            None => Next::Wait,
        })
    }

    /// The request that was taken from it has begun.
    pub(super) fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.process.opened();
            self.connection.outlet.begin();
        }
    }

    /// Waits for further requests, with the threads that are free.
    pub(super) fn give_back(mut self) {
        if self.process.is_stopping() {
            return self.refuse();
        }
        let connections = &self.process.connections;
        *self.connection.reader.lock().unwrap_or_else(PoisonError::into_inner) = self.reader.take();
        if connections.ready.arm(self.connection.outlet.stream().as_fd(), self.connection.number).is_err() {
            connections.forget(&self.process.board, self.connection.number);
        }
        // Who stops the process looks at connections once: one that came back after that is ours to refuse.
        if self.process.is_stopping()
            && let Some(again) = Taken::take(self.process, Arc::clone(&self.connection))
        {
            again.refuse();
        }
    }

    /// Closes the connection. A request that was sent on it is refused: the child sends it elsewhere.
    pub(super) fn refuse(mut self) {
        let stream = self.connection.outlet.stream();
        // From now on the child can't send any more, which tells it the same.
        stream.stop_reading();
        let Some(reader) = &mut self.reader else { return };
        while let Ok(count @ 1..) = stream.read_now(reader.space()) {
            reader.filled(count);
        }
        if reader.has_partial() {
            let mut refused = Vec::new();
            let _ = FromWorker::Refused.encode(&mut refused);
            let _ = stream.send(&[&refused], None, give_way);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.reader.is_some() {
            self.process.connections.forget(&self.process.board, self.connection.number);
        }
        if !self.begun {
            self.process.opened();
        }
    }
}
