//! Closing listening sockets without waiting for what lies in them.
//!
//! Who closes a listening socket last closes what nobody accepted, and with it descriptors that were sent on it, which may last as
//! long as who made them likes (`SO_LINGER`): a stranger's connection would hold up whoever serves others, too. A process that ends
//! waits for none of that. For the supervisor, which has one thread.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::unistd::{ForkResult, fork};

use super::pidfd::PidFd;

/// Closes them by the end of another process, to be waited for when it has ended.
///
/// # Errors
/// The system's, when no process can be made; they are closed here then.
pub fn close(descriptors: Vec<OwnedFd>) -> io::Result<PidFd> {
    let (wait, done) = io::pipe()?;
    // SAFETY: the child makes system calls only.
    match unsafe { fork() }? {
        ForkResult::Child => {
            // SAFETY: a number of this process's own table; nothing uses it any more.
            unsafe { libc::close(done.as_raw_fd()) };
            let mut end = 0u8;
            // SAFETY: writes one byte of this frame at most; answers when the parent has closed its descriptors, or is gone.
            unsafe { libc::read(wait.as_raw_fd(), (&raw mut end).cast(), 1) };
            // SAFETY: ends the process without running what the parent registered for its exit.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            // The last ones are the child's.
            drop((descriptors, done));
            PidFd::open(child)
        }
    }
}
