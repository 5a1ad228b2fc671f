//! Many connections, several threads that wait for the next one to be readable: each readiness wakes one thread, once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll as Inner, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::forked::Mark;

/// A set of descriptors, each with a number of the caller's.
#[derive(Debug)]
pub struct Epoll {
    /// A process that an application forks would take what is ready away from this one. Dropped before the descriptor is closed.
    _ours: Mark,
    inner: Inner,
}

impl Epoll {
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Epoll> {
        let inner = Inner::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Epoll { _ours: Mark::new(inner.0.as_fd()), inner })
    }

    /// Waits on this descriptor from now on; every time until it is forgotten.
    ///
    /// # Errors
    /// The system's.
    pub fn add(&self, descriptor: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        Ok(self.inner.add(descriptor, EpollEvent::new(EpollFlags::EPOLLIN, number))?)
    }

    /// Waits on this descriptor from now on; after it woke a thread only when it is [armed](Epoll::arm) again.
    ///
    /// # Errors
    /// The system's.
    pub fn add_once(&self, descriptor: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        Ok(self.inner.add(descriptor, once(number))?)
    }

    /// Waits again on a descriptor that was added for one time.
    ///
    /// # Errors
    /// The system's.
    pub fn arm(&self, descriptor: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        Ok(self.inner.modify(descriptor, &mut once(number))?)
    }

    /// Waits on this descriptor no more.
    pub fn forget(&self, descriptor: BorrowedFd<'_>) {
        let _ = self.inner.delete(descriptor);
    }

    /// The number of a descriptor that can be read, has ended or is broken; none when the time is over (no time: no limit).
    ///
    /// # Errors
    /// The system's: the set is not one any more (in a forked process).
    pub fn wait(&self, within: Option<Duration>) -> io::Result<Option<u64>> {
        let within = match within {
            None => EpollTimeout::NONE,
            // Rounded up, so that a wait that ends has lasted.
            Some(within) => EpollTimeout::try_from(within + Duration::from_micros(999)).unwrap_or(EpollTimeout::MAX),
        };
        let mut events = [EpollEvent::empty()];
        match self.inner.wait(&mut events, within) {
            Ok(0) | Err(Errno::EINTR) => Ok(None),
            Ok(_) => Ok(events.first().map(EpollEvent::data)),
            Err(cause) => Err(cause.into()),
        }
    }
}

fn once(number: u64) -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLONESHOT, number)
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.0.as_fd()
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_descriptor_wakes_once_until_it_is_armed_again() {
        let soon = Some(Duration::from_millis(1));
        let epoll = Epoll::new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        epoll.add_once(reader.as_fd(), 7).unwrap();
        assert_eq!(epoll.wait(soon).unwrap(), None);
        writer.write_all(b"x").unwrap();
        assert_eq!(epoll.wait(soon).unwrap(), Some(7));
        assert_eq!(epoll.wait(soon).unwrap(), None);
        epoll.arm(reader.as_fd(), 8).unwrap();
        assert_eq!(epoll.wait(None).unwrap(), Some(8));
        epoll.forget(reader.as_fd());
        assert!(epoll.arm(reader.as_fd(), 9).is_err());
    }
}
