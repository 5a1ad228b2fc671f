//! Memory that one process fills and another one sees.
//!
//! A worker makes it, for a connection, and fills it on the thread that has the connection; httpd's child sees it on the thread that has the
//! request. Neither can take anything of it away from the other: it is sealed.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU8;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::forked;
use super::memory::{check, sealed};

/// The end that fills it.
#[derive(Debug)]
pub struct Window(Mapping);

// SAFETY: the memory stays mapped until the value is dropped, and belongs to no thread.
unsafe impl Send for Window {}

impl Window {
    /// `size` bytes, at least one, which take memory once they are filled; and the descriptor by which another process sees them.
    ///
    /// # Errors
    /// What the system says, such as that the process may have no more memory.
    pub fn new(size: usize) -> io::Result<(Window, OwnedFd)> {
        let file = File::from(sealed(size.div_ceil(size_of::<u32>()))?);
        let mapping = Mapping::new(&file, size, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)?;
        Ok((Window(mapping), file.into()))
    }

    /// Puts these bytes there. False where there is no room for them, and in processes that an application has forked: the memory is still
    /// the one of the process that they come from.
    pub fn fill(&mut self, offset: usize, bytes: &[u8]) -> bool {
        let fits = offset.checked_add(bytes.len()).is_some_and(|end| end <= self.0.size);
        if !fits || forked::is_forked() {
            return false;
        }
        // SAFETY: inside the mapping, as just seen.
        let place = unsafe { self.0.first.add(offset) };
        // SAFETY: mapped for writing as long as `self`, and of no other value of this process, so not what `bytes` lie in; others only read.
        unsafe { place.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        true
    }
}

/// The end that sees it.
#[derive(Debug)]
pub struct SeenWindow(Mapping);

// SAFETY: the memory is only read, as atomic numbers, and stays mapped until the value is dropped.
unsafe impl Send for SeenWindow {}

impl SeenWindow {
    /// The memory behind a descriptor that another process has of [`Window::new`].
    ///
    /// # Errors
    /// `InvalidData`: it is not that, or smaller. Else what the system says.
    pub fn of(descriptor: OwnedFd, size: usize) -> io::Result<SeenWindow> {
        let file = File::from(descriptor);
        check(&file, size.div_ceil(size_of::<u32>()))?;
        Ok(SeenWindow(Mapping::new(&file, size, ProtFlags::PROT_READ)?))
    }

    /// These bytes, which the other process may change at any time; none where they are not all of the window.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> Option<&[AtomicU8]> {
        if range.start > range.end || range.end > self.0.size {
            return None;
        }
        // SAFETY: inside the mapping, as just seen.
        let first = unsafe { self.0.first.add(range.start) };
        // SAFETY: mapped as long as `self`; atomics of this size may be loaded from memory that can't be written, and written by others.
        Some(unsafe { std::slice::from_raw_parts(first.cast::<AtomicU8>().as_ptr(), range.len()) })
    }
}

#[derive(Debug)]
struct Mapping {
    first: NonNull<u8>,
    size: usize,
}

impl Mapping {
    fn new(file: &File, size: usize, access: ProtFlags) -> io::Result<Mapping> {
        let length = NonZeroUsize::new(size).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory in use; the file is as long, and sealed so.
        let first = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, file, 0) }?;
        Ok(Mapping { first: first.cast(), size })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped with this length; nothing borrows from it.
        let _ = unsafe { munmap(self.first.cast(), self.size) };
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    fn seen(window: &SeenWindow, range: Range<usize>) -> Option<Vec<u8>> {
        Some(window.bytes(range)?.iter().map(|byte| byte.load(Ordering::Relaxed)).collect())
    }

    #[test]
    fn what_one_end_fills_the_other_sees() {
        let (mut window, descriptor) = Window::new(10_000).unwrap();
        let other = SeenWindow::of(descriptor, 10_000).unwrap();
        assert!(window.fill(0, b"one") && window.fill(9_997, b"two") && window.fill(10_000, b""));
        assert_eq!(seen(&other, 0..4).unwrap(), b"one\0");
        assert_eq!(seen(&other, 9_997..10_000).unwrap(), b"two");
        drop(window);
        assert_eq!(seen(&other, 9_997..10_000).unwrap(), b"two", "whoever sees it keeps it");
    }

    #[test]
    fn nothing_lies_beyond_its_end() {
        let (mut window, descriptor) = Window::new(100).unwrap();
        assert!(!window.fill(98, b"two") && !window.fill(usize::MAX, b"two"));
        let other = SeenWindow::of(descriptor, 100).unwrap();
        assert_eq!((seen(&other, 98..101), seen(&other, 100..100)), (None, Some(Vec::new())));
    }

    #[test]
    fn what_is_no_window_or_a_smaller_one_is_refused() {
        let (_window, descriptor) = Window::new(4096).unwrap();
        assert!(SeenWindow::of(descriptor.try_clone().unwrap(), 4096).is_ok());
        let file = File::open("/proc/self/exe").unwrap();
        for (descriptor, size) in [(descriptor, 4100), (file.into(), 1)] {
            assert_eq!(SeenWindow::of(descriptor, size).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        assert!(Window::new(0).is_err());
    }
}
