//! Waking a thread that waits for descriptors.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::forked::Withheld;

/// Readable from a [`wake`](Wake::wake) to the next [`clear`](Wake::clear). Any thread may do either.
#[derive(Debug)]
pub struct Wake {
    // Goes before what it is about.
    _withheld: Withheld,
    event: EventFd,
}

impl Wake {
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Wake> {
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Wake { _withheld: Withheld::new(event.as_fd()), event })
    }

    pub fn wake(&self) {
        // Fails only where it was woken 2^64 times and never cleared.
        let _ = self.event.write(1);
    }

    pub fn clear(&self) {
        // Fails only where it was not woken.
        let _ = self.event.read();
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
