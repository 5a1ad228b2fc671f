//! The memory in which a large answer lies for httpd's child to see, in place of being copied into the socket and out of it.
//!
//! One for a connection that has large answers, for the first [`SIZE`] bytes of each: the child is done with them when it asks for the
//! next. It is kept as long as the connection, which the child closes where it does not need it for a while.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::os::window;
use crate::wire::WINDOW_MOST;

pub(super) const SIZE: u32 = 1024 * 1024;
const _: () = assert!(SIZE as usize <= WINDOW_MOST);

/// So many a process has at most. What answers have filled takes memory.
const MOST: usize = 48;

/// How many there are.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The window of a connection.
pub(super) struct Window {
    memory: window::Window,
    /// Bytes of the answer under way, from the beginning.
    used: u32,
    _counted: Counted,
}

/// Gives the place of a window back when it drops.
struct Counted;

impl Window {
    /// With the descriptor that the child needs; none where the process has many already, or may have no more memory.
    pub(super) fn open() -> Option<(Window, OwnedFd)> {
        let before = COUNT.fetch_add(1, Ordering::Relaxed);
        let counted = Counted;
        if before >= MOST {
            return None;
        }
        let (memory, descriptor) = window::Window::new(SIZE as usize / size_of::<u32>()).ok()?;
        Some((Window { memory, used: 0, _counted: counted }, descriptor))
    }

    /// Another answer begins: the child has done with the last one.
    pub(super) fn begin(&mut self) {
        self.used = 0;
    }

    /// How many more bytes there is room for.
    pub(super) fn room(&self) -> usize {
        (SIZE - self.used) as usize
    }

    /// Puts the first of these bytes there, as many as there is room for: where they lie, and how many.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Option<(u32, u32)> {
        let bytes = bytes.get(..bytes.len().min(self.room()))?;
        let count = u32::try_from(bytes.len()).ok().filter(|count| *count > 0)?;
        let offset = self.used;
        if !self.memory.fill(offset as usize, bytes) {
            return None;
        }
        self.used += count;
        Some((offset, count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}
