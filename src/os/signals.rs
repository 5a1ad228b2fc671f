//! Signals as something to read in a loop (`signalfd`), instead of handlers that may run anywhere.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals asked for, blocked for the calling thread and threads that it starts later; processes started by `os::spawn` begin
/// with none blocked. Made before the process starts a thread.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    /// # Errors
    /// The system's.
    pub fn block(wanted: &[Signal]) -> io::Result<Self> {
        let set: SigSet = wanted.iter().copied().collect();
        set.thread_block()?;
        Ok(Self { descriptor: SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)? })
    }

    /// The next one that has come; none when there is no more. Never waits.
    ///
    /// # Errors
    /// The system's.
    pub fn next(&self) -> io::Result<Option<Signal>> {
        let Some(information) = self.descriptor.read_signal()? else { return Ok(None) };
        let number = i32::try_from(information.ssi_signo).map_err(io::Error::other)?;
        Ok(Some(Signal::try_from(number)?))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// From now on SIGSEGV and SIGBUS end the process, whoever sends them. Rust's runtime begins with a handler that looks for overflown
/// stacks and lets the first signal that is sent by another process go by. Called before applications run, which may install theirs.
///
/// # Errors
/// The system's.
pub fn crash_by_default() -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGSEGV, Signal::SIGBUS] {
        // SAFETY: no code of this process runs for a signal at its default.
        unsafe { sigaction(signal, &default) }?;
    }
    Ok(())
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::*;
    use crate::os::poll;

    #[test]
    fn a_signal_is_read_once() {
        let signals = Signals::block(&[Signal::SIGUSR2]).unwrap();
        assert_eq!(signals.next().unwrap(), None);
        nix::sys::signal::raise(Signal::SIGUSR2).unwrap();
        assert_eq!(poll::readable(&[signals.as_fd()], None).unwrap(), [0]);
        assert_eq!(signals.next().unwrap(), Some(Signal::SIGUSR2));
        assert_eq!(signals.next().unwrap(), None);
    }
}
