//! What goes out on a connection, and pieces of an answer that are held for a moment so that several go out together.
//!
//! PEP 3333, "Buffering and Streaming": a server must not delay a piece of the answer; it must have sent it before the application goes
//! on, or "guarantee that they will continue transmission even while the application is producing its next block". Sending each piece by
//! itself costs more than most pieces. So of pieces that follow each other quickly ([`Row`]) some are held, up to [`FULL`]; what is not
//! followed by more is sent by a thread of its own (`flush`), within two of its naps.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::flush::Flush;
use crate::os::stream::Stream;
use crate::python::give_way;
use crate::wire::{HEADER, data_header};

/// So much is held at most, headers and all: bytes.
const FULL: usize = 64 * 1024;
/// Larger pieces are worth being sent by themselves: bytes.
const SMALL: usize = 16 * 1024;
/// Pieces that follow within this time are quick.
const QUICK: Duration = Duration::from_micros(100);
/// So many must have been quick before one is held: for a few, it is not worth to have them watched.
const TRUST: u32 = 4;

/// A connection's way out. Used by the thread that has the connection, and the one that flushes.
pub(super) struct Outlet {
    stream: Stream,
    held: Mutex<Held>,
}

/// Frames that wait to be sent, in order.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    /// Where the DATA frame begins that the next piece can be added to.
    open: Option<usize>,
    /// The flushing thread has seen it before.
    old: bool,
    /// The flushing thread looks at it.
    watched: bool,
}

impl Outlet {
    pub(super) fn new(stream: Stream) -> Outlet {
        Outlet { stream, held: Mutex::default() }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Sends what is held and then these parts, as [`Stream::send`] does; gives the interpreter up before it waits.
    ///
    /// # Errors
    /// As there.
    pub(super) fn send(&self, parts: &[&[u8]], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let mut held = self.held();
        if held.bytes.is_empty() {
            return self.stream.send(parts, descriptor, give_way);
        }
        let before = held.take();
        let all: Vec<&[u8]> = std::iter::once(before.as_slice()).chain(parts.iter().copied()).collect();
        // Under the lock: the flushing thread must not come between.
        self.stream.send(&all, descriptor, give_way)
    }

    /// Holds a piece of the answer; false where it is to be sent.
    pub(super) fn hold(self: &Arc<Self>, piece: &[u8], flush: &Flush) -> bool {
        let mut held = self.held();
        if piece.len() > SMALL || held.bytes.len() + HEADER + piece.len() > FULL {
            return false;
        }
        if !held.watched && !flush.watch(Arc::downgrade(self)) {
            return false;
        }
        held.watched = true;
        held.add(piece);
        true
    }

    /// Sends what was here at the last look already, as much as goes without waiting. False where nothing is left to look at.
    ///
    /// Called by the flushing thread.
    pub(super) fn look(&self) -> bool {
        let mut held = match self.held.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // It is being sent.
            Err(TryLockError::WouldBlock) => return true,
        };
        if !held.bytes.is_empty() && std::mem::replace(&mut held.old, true) {
            match self.stream.send_now(&held.bytes) {
                Ok(count) => held.sent(count),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
                // Whoever sends next is told the same.
                Err(_) => drop(held.take()),
            }
        }
        held.watched = !held.bytes.is_empty();
        held.watched
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn add(&mut self, piece: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.reserve_exact(FULL);
            self.old = false;
        }
        let begin = *self.open.get_or_insert(self.bytes.len());
        if begin == self.bytes.len() {
            self.bytes.extend_from_slice(&data_header(0));
        }
        self.bytes.extend_from_slice(piece);
        let header = data_header(self.bytes.len().saturating_sub(begin + HEADER));
        if let Some(place) = self.bytes.get_mut(begin..begin + header.len()) {
            place.copy_from_slice(&header);
        }
    }

    fn take(&mut self) -> Vec<u8> {
        self.open = None;
        std::mem::take(&mut self.bytes)
    }

    /// The first bytes are gone.
    fn sent(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
        self.open = None;
    }
}

/// How quickly the pieces of an answer follow each other.
#[derive(Debug, Default)]
pub(super) struct Row {
    quick: u32,
    last: Option<Instant>,
}

impl Row {
    /// A piece came: may it be held?
    pub(super) fn goes_on(&mut self) -> bool {
        let quick = self.last.is_some_and(|last| last.elapsed() < QUICK);
        self.quick = if quick { self.quick.saturating_add(1) } else { 0 };
        self.quick >= TRUST
    }

    /// The application goes on.
    pub(super) fn passed(&mut self) {
        self.last = Some(Instant::now());
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn outlet() -> (Arc<Outlet>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Arc::new(Outlet::new(Stream::adopt(ours.into()))), theirs)
    }

    fn frame(data: &[u8]) -> Vec<u8> {
        [&data_header(data.len()), data].concat()
    }

    fn came(theirs: &mut UnixStream) -> Vec<u8> {
        theirs.set_nonblocking(true).unwrap();
        let (mut all, mut space) = (Vec::new(), vec![0; 1 << 20]);
        while let Ok(count) = theirs.read(&mut space) {
            all.extend_from_slice(&space[..count]);
        }
        all
    }

    #[test]
    fn what_is_held_goes_out_as_one_frame_before_what_is_sent() {
        let ((outlet, mut theirs), flush) = (outlet(), Flush::default());
        assert!(outlet.hold(b"one", &flush) && outlet.hold(b"two", &flush));
        assert_eq!(came(&mut theirs), b"");
        outlet.send(&[b"th", b"ree"], None).unwrap();
        assert_eq!(came(&mut theirs), [frame(b"onetwo").as_slice(), b"three"].concat());
        assert!(outlet.hold(b"four", &flush));
        outlet.send(&[], None).unwrap();
        assert_eq!(came(&mut theirs), frame(b"four"));
    }

    #[test]
    fn what_was_there_at_the_last_look_is_sent() {
        let ((outlet, mut theirs), flush) = (outlet(), Flush::default());
        for _ in 0..2 {
            assert!(outlet.hold(b"one", &flush));
            assert!(outlet.look() && came(&mut theirs).is_empty());
            assert!(outlet.hold(b"two", &flush));
            assert!(!outlet.look());
            assert_eq!(came(&mut theirs), frame(b"onetwo"));
        }
    }

    #[test]
    fn large_pieces_and_more_than_there_is_room_for_are_not_held() {
        let ((outlet, _theirs), flush) = (outlet(), Flush::default());
        assert!(!outlet.hold(&[b'x'; SMALL + 1], &flush));
        let held = (0..10).take_while(|_| outlet.hold(&[b'x'; SMALL], &flush)).count();
        assert_eq!(held, (FULL - HEADER) / SMALL);
    }

    #[test]
    fn order_is_kept_where_only_a_part_can_be_sent() {
        let ((outlet, mut theirs), flush) = (outlet(), Flush::default());
        outlet.stream().set_buffers(Some(4096), None).unwrap();
        let pieces = [b'a', b'b', b'c'].map(|letter| vec![letter; 15_000]);
        assert!(pieces.iter().all(|piece| outlet.hold(piece, &flush)));
        assert!(outlet.look() && outlet.look());
        let mut got = came(&mut theirs);
        assert!((1..45_000).contains(&got.len()));
        assert!(outlet.hold(b"d", &flush), "there is room for it");
        while outlet.look() {
            got.extend(came(&mut theirs));
        }
        got.extend(came(&mut theirs));
        assert!(got == [frame(&pieces.concat()), frame(b"d")].concat());
    }

    #[test]
    fn nothing_is_left_for_one_that_is_gone() {
        let ((outlet, theirs), flush) = (outlet(), Flush::default());
        drop(theirs);
        assert!(outlet.hold(b"one", &flush) && outlet.look());
        assert!(!outlet.look());
        assert!(outlet.send(&[b"two"], None).is_err());
    }

    #[test]
    fn the_flushing_thread_sends_what_is_not_followed() {
        let ((outlet, mut theirs), flush) = (outlet(), &*Box::leak(Box::new(Flush::default())));
        std::thread::Builder::new().spawn(|| flush.run()).unwrap();
        for _ in 0..3 {
            assert!(outlet.hold(b"one", flush));
            let mut got = vec![0; frame(b"one").len()];
            theirs.read_exact(&mut got).unwrap();
            assert_eq!(got, frame(b"one"));
        }
    }

    #[test]
    fn pieces_are_held_where_some_came_quickly() {
        let mut row = Row::default();
        let mut held = |pause: Duration| {
            row.last = row.last.map(|_| Instant::now().checked_sub(pause).unwrap());
            let held = row.goes_on();
            row.passed();
            held
        };
        let quick: Vec<bool> = (0..7).map(|_| held(Duration::ZERO)).collect();
        assert_eq!(quick, [false, false, false, false, true, true, true]);
        assert!(!held(2 * QUICK) && !held(Duration::ZERO), "it begins again");
    }
}
