//! Memory that a worker fills and one of httpd's children sees ([`SeenWords::bytes`](super::memory::SeenWords::bytes)).
//!
//! A worker makes it, for a connection, and fills it on the thread that has the connection. Neither process can take anything of it away from
//! the other.

use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;

use super::forked;
use super::memory::SharedWords;

/// The end that fills it.
#[derive(Debug)]
pub struct Window(SharedWords);

impl Window {
    /// So many words of 32 bits, which take memory once they are filled; and the descriptor by which another process sees them.
    ///
    /// # Errors
    /// What the system says, such as that the process may have no more memory.
    pub fn new(words: usize) -> io::Result<(Window, OwnedFd)> {
        let (words, descriptor) = SharedWords::with_descriptor(words)?;
        Ok((Window(words), descriptor))
    }

    /// Puts these bytes there. False where there is no room for them, and in processes that an application has forked: the memory is still
    /// the one of the process that they come from.
    pub fn fill(&mut self, offset: usize, bytes: &[u8]) -> bool {
        let words = self.0.words();
        let fits = offset.checked_add(bytes.len()).is_some_and(|end| end <= size_of_val(words));
        if !fits || forked::is_forked() {
            return false;
        }
        // SAFETY: inside the words, as just seen.
        let place = unsafe { NonNull::from(words).cast::<u8>().add(offset) };
        // SAFETY: atomics, which may change behind a shared reference; nobody else in this process has them, so they are not what `bytes` lie
        // in. Other processes only read.
        unsafe { place.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        true
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::ops::Range;
    use std::os::fd::AsFd as _;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::os::memory::SeenWords;

    fn seen(words: &SeenWords, range: Range<usize>) -> Option<Vec<u8>> {
        Some(words.bytes(range)?.iter().map(|byte| byte.load(Ordering::Relaxed)).collect())
    }

    #[test]
    fn what_one_end_fills_the_other_sees() {
        let (mut window, descriptor) = Window::new(2500).unwrap();
        let other = SeenWords::of(descriptor.as_fd(), 2500).unwrap();
        assert!(window.fill(0, b"one") && window.fill(9_997, b"two") && window.fill(10_000, b""));
        assert_eq!(seen(&other, 0..4).unwrap(), b"one\0");
        assert_eq!(seen(&other, 9_997..10_000).unwrap(), b"two");
        drop(window);
        assert_eq!(seen(&other, 9_997..10_000).unwrap(), b"two", "whoever sees it keeps it");
    }

    #[test]
    fn nothing_lies_beyond_its_end() {
        let (mut window, descriptor) = Window::new(25).unwrap();
        assert!(!window.fill(98, b"two") && !window.fill(usize::MAX, b"two"));
        let other = SeenWords::of(descriptor.as_fd(), 25).unwrap();
        assert_eq!((seen(&other, 98..101), seen(&other, 100..100)), (None, Some(Vec::new())));
        assert!(SeenWords::of(descriptor.as_fd(), 26).is_err(), "of which there are fewer");
    }
}
