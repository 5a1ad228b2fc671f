//! A connection to a worker, and those that are kept between requests.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::group::Group;
use crate::os::connect::{Closer, Stream, Wait};
use crate::os::memory::SeenWords;
use crate::os::poll;
use crate::wire::{FrameError, FromChild, FromWorker, Hello, Reader};

/// Where `send-buffer-size` says nothing: a large piece of a body goes out in one go. The kernel takes it for a wish that
/// `net.core.wmem_max` limits, and doubles it for its own needs (socket(7), `SO_SNDBUF`); it takes memory for what waits only.
const SEND_BUFFER: usize = 256 * 1024;

/// A window takes memory: a connection that has one is closed where it is not needed for so long.
pub(super) const WINDOW_KEPT: Duration = Duration::from_secs(5);

/// A connection that has greeted. One request at a time.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    reader: Reader,
    /// Came along with bytes and belong to FILE and WINDOW frames, in order.
    descriptors: VecDeque<OwnedFd>,
    /// Where PART frames point to.
    window: Option<SeenWords>,
    /// Since when nobody needs it, where it has a window.
    unused: Option<Instant>,
    open: Arc<Open>,
    /// Its own in this group; what the worker's mark is found by.
    number: u64,
    /// Requests sent on it, of which none was refused.
    sent: u32,
}

/// Why no more comes on a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// Nothing came, or could be sent, within the limit.
    #[error("it was silent for too long")]
    Timeout,
    /// The process closed it, having read everything.
    #[error("the process ended")]
    Closed,
    /// The process closed it and has not read all that was sent.
    #[error("the process ended")]
    Unread,
    #[error(transparent)]
    System(io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Broken::Timeout,
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Broken::Unread,
            io::ErrorKind::UnexpectedEof => Broken::Closed,
            _ => Broken::System(error),
        }
    }
}

impl Connection {
    /// Connects and greets; whether somebody is there shows later ([`Connection::is_accepted`]).
    ///
    /// # Errors
    /// As `Stream::connect`.
    pub(super) fn open(path: &Path, group: &Group, open: &Arc<Open>) -> io::Result<Connection> {
        let options = &group.options;
        let mut stream =
            Stream::connect(path, options.send_buffer_size().or(Some(SEND_BUFFER)), options.receive_buffer_size())?;
        stream.limit(group.socket_timeout())?;
        let mut hello = Vec::with_capacity(64);
        let number = open.number();
        FromChild::Hello(Hello { secret: group.secret, connection: number })
            .encode(&mut hello)
            .map_err(io::Error::other)?;
        stream.send(&[&hello])?;
        open.note(stream.closer());
        Ok(Connection {
            stream,
            reader: Reader::of_worker(options.header_buffer_size()),
            descriptors: VecDeque::new(),
            window: None,
            unused: None,
            open: Arc::clone(open),
            number,
            sent: 0,
        })
    }

    /// Has the worker taken the greeting? Before that nobody knows of this connection.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn is_accepted(&self) -> io::Result<bool> {
        self.stream.is_all_read()
    }

    /// Sends a REQUEST.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub(super) fn ask(&mut self, request: &[u8]) -> Result<(), Broken> {
        self.sent = self.sent.wrapping_add(1);
        self.send(&[request])
    }

    /// Its number, and how many requests were sent on it: what its mark on the board is looked up with.
    pub(super) fn asked(&self) -> (u64, u32) {
        (self.number, self.sent)
    }

    /// Sends parts that together are whole frames.
    ///
    /// # Errors
    /// [`Broken::Unread`]: the worker is gone, or reads no more.
    pub(super) fn send(&self, parts: &[&[u8]]) -> Result<(), Broken> {
        Ok(self.stream.send(parts)?)
    }

    /// Is the next frame here already?
    pub(super) fn has_frame(&self) -> bool {
        self.reader.lacks() == 0
    }

    /// Has nothing come since the last frame that was taken?
    pub(super) fn is_empty(&self) -> bool {
        !self.reader.has_partial() && self.descriptors.is_empty()
    }

    /// Will there be more within this time, or an end to see?
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn is_readable(&self, within: Duration) -> Result<bool, Broken> {
        Ok(!poll::readable(&[self.stream.as_fd()], Some(within))?.is_empty())
    }

    /// Has something come by now? It is read.
    ///
    /// # Errors
    /// [`Broken`]; the connection is of no more use.
    pub(super) fn has_more(&mut self) -> Result<bool, Broken> {
        match self.stream.receive(self.reader.space(), &mut self.descriptors, Wait::No) {
            Ok(0) => Err(Broken::Closed),
            Ok(got) => {
                self.reader.filled(got);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The bytes of the DATA frames that come next, as long as each has at least `least`: those that are here as a whole when the next frame
    /// is, for which this waits up to the limit. None where the next frame is something else.
    ///
    /// # Errors
    /// [`Broken`]; the connection is of no more use.
    pub(super) fn data(&mut self, least: usize) -> Result<Vec<&[u8]>, Broken> {
        self.wait()?;
        Ok(self.reader.take_data(least))
    }

    /// The next frame; waits for it up to the limit.
    ///
    /// # Errors
    /// [`Broken`]; the connection is of no more use.
    pub(super) fn next(&mut self) -> Result<FromWorker<'_>, Broken> {
        self.wait()?;
        // There is one, so this is never "none".
        self.reader.next_worker()?.ok_or(Broken::Closed)
    }

    /// Waits until the next frame is here.
    fn wait(&mut self) -> Result<(), Broken> {
        while self.reader.lacks() > 0 {
            let got = self.stream.receive(self.reader.space(), &mut self.descriptors, Wait::Limited)?;
            if got == 0 {
                return Err(Broken::Closed);
            }
            self.reader.filled(got);
        }
        Ok(())
    }

    /// From now on the connection has the window of a WINDOW frame.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn open_window(&mut self, size: u32) -> Result<(), String> {
        if self.window.is_some() {
            return Err("a second WINDOW frame".to_owned());
        }
        let descriptor = self.descriptors.pop_front().ok_or("a WINDOW frame without its memory")?;
        let words = usize::try_from(size).unwrap_or(usize::MAX).div_ceil(size_of::<u32>());
        let window = SeenWords::of(descriptor.as_fd(), words);
        self.window = Some(window.map_err(|cause| format!("a WINDOW frame whose memory can't be had: {cause}"))?);
        Ok(())
    }

    /// The bytes of a PART frame, which its worker may change at any time.
    ///
    /// # Errors
    /// There are none, in words.
    pub(super) fn part(&self, offset: u32, length: u32) -> Result<&[AtomicU8], String> {
        let (offset, length) =
            (usize::try_from(offset).unwrap_or(usize::MAX), usize::try_from(length).unwrap_or(usize::MAX));
        let bytes = self.window.as_ref().and_then(|window| window.bytes(offset..offset.saturating_add(length)));
        bytes.ok_or_else(|| "a PART frame that is none of its window".to_owned())
    }

    pub(super) fn has_window(&self) -> bool {
        self.window.is_some()
    }

    /// The descriptor of a FILE frame.
    pub(super) fn descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.forget(&self.stream);
    }
}

/// All connections of a child, so that all waits can be ended at once.
#[derive(Debug, Default)]
pub(super) struct Open {
    closers: Mutex<Closers>,
    opened: AtomicU32,
}

#[derive(Debug, Default)]
struct Closers {
    list: Vec<Closer>,
    ended: bool,
}

impl Open {
    /// A number that no other connection has, of whatever child: this process's and a count.
    fn number(&self) -> u64 {
        u64::from(std::process::id()) << 32 | u64::from(self.opened.fetch_add(1, Ordering::Relaxed))
    }

    fn note(&self, closer: Closer) {
        let mut closers = self.closers();
        if closers.ended {
            closer.close();
        }
        closers.list.push(closer);
    }

    fn forget(&self, stream: &Stream) {
        self.closers().list.retain(|closer| !closer.is_of(stream));
    }

    /// Ends all connections, those to come too.
    pub(super) fn end(&self) {
        let mut closers = self.closers();
        closers.ended = true;
        closers.list.iter().for_each(Closer::close);
    }

    fn closers(&self) -> MutexGuard<'_, Closers> {
        self.closers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The idle connections to the process of one place; the one used last is used next.
#[derive(Debug)]
pub(super) struct Idle {
    connections: Mutex<Kept>,
    most: usize,
}

/// Of one process only: those to its predecessor are of no use, and would be counted at the wrong one.
#[derive(Debug, Default)]
struct Kept {
    /// Whose turn it was when they were opened.
    turn: u32,
    list: Vec<Connection>,
}

impl Kept {
    /// Answers whether these are of this turn. Those of a turn before are over, and added to `over`.
    fn is_of(&mut self, turn: u32, over: &mut Vec<Connection>) -> bool {
        // Turns only grow. A thread that waited in between comes with an old one.
        if turn != self.turn && turn.wrapping_sub(self.turn) < u32::MAX / 2 {
            self.turn = turn;
            over.append(&mut self.list);
        }
        turn == self.turn
    }

    /// Takes those out whose window was not needed for long.
    fn unneeded(&mut self) -> impl Iterator<Item = Connection> {
        self.list.extract_if(.., |one| one.unused.is_some_and(|since| since.elapsed() > WINDOW_KEPT))
    }
}

impl Idle {
    /// Keeps at most so many.
    pub(super) fn new(most: usize) -> Idle {
        Idle { connections: Mutex::default(), most }
    }

    /// One to the process that has this turn.
    pub(super) fn take(&self, turn: u32) -> Option<Connection> {
        let mut over = Vec::new();
        // Closing takes another lock, so it comes after this one.
        let mut kept = self.connections();
        let taken = if kept.is_of(turn, &mut over) { kept.list.pop() } else { None };
        drop(kept);
        taken
    }

    /// Keeps a connection whose request is over, to the process that has this turn.
    pub(super) fn keep(&self, mut connection: Connection, turn: u32) {
        connection.unused = connection.has_window().then(Instant::now);
        let mut surplus = Vec::new();
        let mut kept = self.connections();
        let of_turn = kept.is_of(turn, &mut surplus);
        surplus.extend(kept.unneeded());
        if of_turn && kept.list.len() < self.most && connection.is_empty() {
            kept.list.push(connection);
        } else {
            surplus.push(connection);
        }
        drop(kept);
        // Closing takes another lock.
        drop(surplus);
    }

    /// Closes those whose window nobody needs; answers whether others with one are left.
    pub(super) fn tidy(&self) -> bool {
        let mut kept = self.connections();
        let surplus: Vec<Connection> = kept.unneeded().collect();
        let left = kept.list.iter().any(Connection::has_window);
        drop(kept);
        // As above.
        drop(surplus);
        left
    }

    /// Closes them all: their process is ending.
    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut self.connections().list);
        drop(all);
    }

    fn connections(&self) -> MutexGuard<'_, Kept> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::*;
    use crate::config::DaemonOptions;
    use crate::os::window::Window;
    use crate::proxy::testing::Site;

    #[test]
    fn a_connection_with_a_window_is_closed_where_it_is_not_needed_for_long() {
        let (site, open, idle) = (Site::new(DaemonOptions::default()), Arc::default(), Idle::new(9));
        let connect = || Connection::open(&site.group().sockets[0], site.group(), &open).unwrap();
        let mut with_window = connect();
        with_window.window = Some(SeenWords::of(Window::new(9).unwrap().1.as_fd(), 9).unwrap());
        idle.keep(with_window, 0);
        idle.keep(connect(), 0);
        assert_eq!(idle.connections().list.len(), 2);
        let age = |since: Instant| since.checked_sub(2 * WINDOW_KEPT).unwrap();
        idle.connections().list.iter_mut().for_each(|one| one.unused = one.unused.map(age));
        idle.keep(connect(), 0);
        let left: Vec<bool> = idle.connections().list.iter().map(|one| one.window.is_some()).collect();
        assert_eq!(left, [false, false]);
    }

    #[test]
    fn connections_to_a_predecessor_are_not_kept() {
        let (site, open, idle) = (Site::new(DaemonOptions::default()), Arc::default(), Idle::new(9));
        let connect = || Connection::open(&site.group().sockets[0], site.group(), &open).unwrap();
        idle.keep(connect(), 5);
        idle.keep(connect(), 5);
        // A request of before those ends late.
        idle.keep(connect(), 4);
        assert!(idle.take(4).is_none() && idle.take(5).is_some());
        assert_eq!(open.closers().list.len(), 1);
        assert!(idle.take(6).is_none());
        assert_eq!(open.closers().list.len(), 0, "closed");
        idle.keep(connect(), 6);
        idle.keep(connect(), 5);
        assert!(idle.take(6).is_some() && idle.take(6).is_none());
    }
}
