//! What goes out on a connection, and pieces of an answer that are held for a moment so that several go out together.
//!
//! PEP 3333, "Buffering and Streaming": a server must not delay a piece of the answer; it must have sent it before the application goes
//! on, or "guarantee that they will continue transmission even while the application is producing its next block". Sending each piece by
//! itself costs more than most pieces. So of pieces that follow each other quickly ([`Row`]) some are held, up to [`FULL`]; what is not
//! followed by more is sent by a thread of its own (`flush`), within two of its naps.
//!
//! Of a large answer the bytes themselves lie in the connection's window (`window`), and frames say which.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::flush::Flush;
use super::window::{self, Window};
use crate::os::stream::Stream;
use crate::python::give_way;
use crate::wire::{FromWorker, HEADER, PART, data_header, part};

/// So much is held at most, headers and what lies in the window among it: bytes.
const FULL: usize = 64 * 1024;
/// Larger pieces are worth being sent by themselves: bytes.
const SMALL: usize = 16 * 1024;
/// Pieces that follow within this time are quick.
const QUICK: Duration = Duration::from_micros(100);
/// So many must have been quick before one is held: for a few, it is not worth to have them watched.
const TRUST: u32 = 4;

/// A piece of so much opens a window: bytes.
const LARGE: usize = 64 * 1024;
/// With a window, smaller ones go through the socket all the same, unless they are held: bytes.
const LEAST: usize = 4 * 1024;

/// A connection's way out. Used by the thread that has the connection, and the one that flushes.
pub(super) struct Outlet {
    stream: Stream,
    held: Mutex<Held>,
}

/// Frames that wait to be sent, in order.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    /// How much lies in the window for them.
    in_window: usize,
    /// The frame that the next piece can be added to.
    open: Option<Open>,
    window: Option<Window>,
    /// More has come than can be held.
    overflowed: bool,
    /// The flushing thread has seen it before.
    old: bool,
    /// The flushing thread looks at it.
    watched: bool,
}

/// A frame among those that wait, by where it begins.
enum Open {
    Data { begin: usize },
    Part { begin: usize, offset: u32, length: u32 },
}

/// What lies in the window for a piece of an answer.
#[derive(Default)]
pub(super) struct Share {
    /// To be sent, with the descriptor, behind what was there before.
    pub(super) frames: Vec<u8>,
    pub(super) descriptor: Option<OwnedFd>,
    /// So many of the first bytes are in it.
    pub(super) count: usize,
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

    /// Another answer begins.
    pub(super) fn begin(&self) {
        let mut held = self.held();
        held.overflowed = false;
        if let Some(window) = &mut held.window {
            window.begin();
        }
    }

    /// Puts as much of a piece of the answer into the window as is worth it and has room. A head was sent, or is before the frames.
    pub(super) fn share(&self, piece: &[u8]) -> Share {
        let mut share = Share::default();
        if piece.len() < LEAST {
            return share;
        }
        let mut held = self.held();
        if piece.len() >= LARGE {
            (share.frames, share.descriptor) = held.open_window();
        }
        if let Some(window) = &mut held.window
            && piece.len().min(window.room()) >= LEAST
            && let Some((offset, length)) = window.put(piece)
        {
            share.frames.extend_from_slice(&part(offset, length));
            share.count = length as usize;
        }
        share
    }

    /// Holds a piece of the answer, whose head was sent; false where it is to be sent.
    pub(super) fn hold(self: &Arc<Self>, piece: &[u8], flush: &Flush) -> bool {
        let mut held = self.held();
        if piece.len() > SMALL {
            return false;
        }
        if held.bytes.len() + held.in_window + PART + piece.len() > FULL {
            held.overflowed = true;
            return false;
        }
        if held.overflowed && held.bytes.is_empty() {
            let (frames, descriptor) = held.open_window();
            // Whoever sends next is told that nobody is there.
            if let Some(descriptor) = descriptor
                && self.stream.send(&[&frames], Some(descriptor.as_fd()), give_way).is_err()
            {
                return false;
            }
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
        if !self.add_part(piece) {
            self.add_data(piece);
        }
    }

    fn add_data(&mut self, piece: &[u8]) {
        let begin = match self.open {
            Some(Open::Data { begin }) => begin,
            _ => self.bytes.len(),
        };
        if begin == self.bytes.len() {
            self.bytes.extend_from_slice(&data_header(0));
        }
        self.bytes.extend_from_slice(piece);
        let header = data_header(self.bytes.len().saturating_sub(begin + HEADER));
        self.put(begin, &header);
        self.open = Some(Open::Data { begin });
    }

    /// False where it does not go into the window as a whole.
    fn add_part(&mut self, piece: &[u8]) -> bool {
        let window = self.window.as_mut().filter(|window| window.room() >= piece.len());
        let Some((offset, length)) = window.and_then(|window| window.put(piece)) else { return false };
        self.in_window += piece.len();
        let (begin, offset, length) = match self.open {
            // Nothing else was put there since.
            Some(Open::Part { begin, offset: first, length: before }) if first + before == offset => {
                (begin, first, before + length)
            }
            _ => (self.bytes.len(), offset, length),
        };
        self.bytes.resize(begin + PART, 0);
        self.put(begin, &part(offset, length));
        self.open = Some(Open::Part { begin, offset, length });
        true
    }

    fn put(&mut self, begin: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(begin..begin + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// The frame that makes a window known, and the descriptor that goes along; nothing where there is one, or none can be had.
    fn open_window(&mut self) -> (Vec<u8>, Option<OwnedFd>) {
        let mut frame = Vec::new();
        if self.window.is_none()
            && let Some((window, descriptor)) = Window::open()
            && (FromWorker::Window { size: window::SIZE }).encode(&mut frame).is_ok()
        {
            self.window = Some(window);
            return (frame, Some(descriptor));
        }
        (Vec::new(), None)
    }

    fn take(&mut self) -> Vec<u8> {
        (self.open, self.in_window) = (None, 0);
        std::mem::take(&mut self.bytes)
    }

    /// The first bytes are gone.
    fn sent(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
        self.open = None;
        if self.bytes.is_empty() {
            self.in_window = 0;
        }
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

    /// Fills what can be held once, so that the next piece opens a window.
    fn overflow(outlet: &Arc<Outlet>, theirs: &mut UnixStream, flush: &Flush) {
        while outlet.hold(&[b'x'; SMALL], flush) {}
        outlet.send(&[], None).unwrap();
        came(theirs);
    }

    fn window_frame() -> Vec<u8> {
        let mut frame = Vec::new();
        FromWorker::Window { size: window::SIZE }.encode(&mut frame).unwrap();
        frame
    }

    #[test]
    fn more_than_can_be_held_goes_by_a_window_and_what_lies_there_together_is_one_part() {
        let ((outlet, mut theirs), flush) = (outlet(), Flush::default());
        overflow(&outlet, &mut theirs, &flush);
        assert!(outlet.hold(b"one", &flush) && outlet.hold(b"two", &flush));
        assert_eq!(came(&mut theirs), window_frame(), "at once, with its descriptor");
        let share = outlet.share(&[b'y'; LEAST]);
        assert!(share.descriptor.is_none());
        assert_eq!((share.count, share.frames.as_slice()), (LEAST, part(6, 4096).as_slice()));
        assert!(outlet.hold(b"three", &flush));
        outlet.send(&[b"rest"], None).unwrap();
        let after = part(6 + 4096, 5);
        assert_eq!(came(&mut theirs), [part(0, 6).as_slice(), &after, b"rest"].concat());
        outlet.begin();
        assert!(outlet.hold(b"four", &flush));
        outlet.send(&[], None).unwrap();
        assert_eq!(came(&mut theirs), part(0, 4), "the next answer begins at the front");
    }

    #[test]
    fn so_much_is_held_with_a_window_too_and_behind_its_end_as_data() {
        let ((outlet, mut theirs), flush) = (outlet(), Flush::default());
        overflow(&outlet, &mut theirs, &flush);
        let held = (0..10).take_while(|_| outlet.hold(&[b'x'; SMALL], &flush)).count();
        assert_eq!(held, (FULL - PART) / SMALL);
        outlet.send(&[], None).unwrap();
        let rest = window::SIZE as usize - held * SMALL;
        assert_eq!(outlet.share(&vec![b'x'; rest - 2]).count, rest - 2);
        assert_eq!(outlet.share(&[b'x'; LARGE]).count, 0, "for less than it is worth");
        came(&mut theirs);
        assert!(outlet.hold(b"no", &flush) && outlet.hold(b"one", &flush));
        outlet.send(&[], None).unwrap();
        assert_eq!(came(&mut theirs), [part(window::SIZE - 2, 2).as_slice(), &frame(b"one")].concat());
    }

    #[test]
    fn a_large_piece_opens_a_window_and_a_small_one_does_not() {
        let (outlet, _theirs) = outlet();
        assert_eq!(outlet.share(&[b'x'; LARGE - 1]).count, 0);
        let share = outlet.share(&vec![b'x'; window::SIZE as usize + 5]);
        assert!(share.descriptor.is_some());
        assert_eq!(share.count, window::SIZE as usize);
        assert_eq!(share.frames, [window_frame().as_slice(), &part(0, window::SIZE)].concat());
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
