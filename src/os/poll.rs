//! Waiting for descriptors, with a time limit.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// Waits until one of the descriptors can be read, has ended or is broken, or the time is over (none: no limit). Answers the places
/// in `descriptors` of those that are, in order; empty when the time was over or a signal was handled.
///
/// # Errors
/// The system's: no memory, more descriptors than the process may have.
pub fn readable(descriptors: &[BorrowedFd<'_>], within: Option<Duration>) -> io::Result<Vec<usize>> {
    let wanted: Vec<_> = descriptors.iter().map(|descriptor| (*descriptor, PollFlags::POLLIN)).collect();
    wait(&wanted, within)
}

/// As [`readable`], but each descriptor with what it is waited for (reading, writing).
///
/// # Errors
/// As [`readable`].
pub fn wait(wanted: &[(BorrowedFd<'_>, PollFlags)], within: Option<Duration>) -> io::Result<Vec<usize>> {
    let mut polled: Vec<PollFd<'_>> =
        wanted.iter().map(|(descriptor, flags)| PollFd::new(*descriptor, *flags)).collect();
    match ppoll(&mut polled, within.map(TimeSpec::from_duration), None) {
        Ok(0) | Err(Errno::EINTR) => return Ok(Vec::new()),
        Ok(_) => {}
        Err(cause) => return Err(cause.into()),
    }
    let ready = |polled: &PollFd<'_>| polled.revents().is_none_or(|events| !events.is_empty());
    Ok(polled.iter().enumerate().filter(|(_, polled)| ready(polled)).map(|(place, _)| place).collect())
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn tells_which_are_ready() {
        let (one, mut to_one) = io::pipe().unwrap();
        let (two, to_two) = io::pipe().unwrap();
        let both = [one.as_fd(), two.as_fd()];
        assert!(readable(&both, Some(Duration::from_millis(1))).unwrap().is_empty());
        to_one.write_all(b"x").unwrap();
        assert_eq!(readable(&both, None).unwrap(), [0]);
        drop(to_two);
        assert_eq!(readable(&both, None).unwrap(), [0, 1]);
        assert_eq!(wait(&[(to_one.as_fd(), PollFlags::POLLOUT)], None).unwrap(), [0]);
    }
}
