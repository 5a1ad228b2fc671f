//! Another process, by a descriptor that can't come to mean a third one: watching it, signalling it, how it ended.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

/// A process. Readable, for `os::poll`, from when it has ended.
#[derive(Debug)]
pub struct PidFd {
    descriptor: OwnedFd,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Status(i32),
    Signal {
        signal: Signal,
        core: bool,
    },
    /// By a signal that has a number only.
    RealTimeSignal,
}

impl PidFd {
    /// The process that has this number now: the caller's child that is not yet waited for, its parent, or itself.
    ///
    /// # Errors
    /// `ESRCH` when there is none.
    pub fn open(pid: Pid) -> io::Result<Self> {
        // SAFETY: pidfd_open(2) takes two numbers and answers one.
        let number = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
        let number = i32::try_from(Errno::result(number)?).map_err(io::Error::other)?;
        // SAFETY: the kernel has just made this descriptor (close-on-exec) for this process.
        let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
        Ok(Self { descriptor })
    }

    /// Sends a signal. A process that has ended already is no error.
    ///
    /// # Errors
    /// The system's: no permission.
    pub fn kill(&self, signal: Signal) -> io::Result<()> {
        // SAFETY: pidfd_send_signal(2) reads nothing where the information is null.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.descriptor.as_raw_fd(),
                signal as i32,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match Errno::result(answer) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(cause) => Err(cause.into()),
        }
    }

    /// How the caller's child ended, and forgets it; none while it runs. Never waits.
    ///
    /// # Errors
    /// `ECHILD` when it is no child of the caller, or was waited for before.
    pub fn wait(&self) -> io::Result<Option<Exit>> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
        loop {
            return match waitid(Id::PIDFd(self.descriptor.as_fd()), flags) {
                Err(Errno::EINTR) => continue,
                // The call itself is right: it is `nix` that knows no such signal, after the kernel gave the process up.
                Err(Errno::EINVAL) => Ok(Some(Exit::RealTimeSignal)),
                Err(cause) => Err(cause.into()),
                Ok(WaitStatus::Exited(_, status)) => Ok(Some(Exit::Status(status))),
                Ok(WaitStatus::Signaled(_, signal, core)) => Ok(Some(Exit::Signal { signal, core })),
                Ok(_) => Ok(None),
            };
        }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl fmt::Display for Exit {
    /// Follows "it ended": `with status 1`, `by signal SIGSEGV (core dumped)`.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(to, "with status {status}"),
            Self::Signal { signal, core: false } => write!(to, "by signal {signal}"),
            Self::RealTimeSignal => write!(to, "by a real-time signal"),
            Self::Signal { signal, core: true } => write!(to, "by signal {signal} (core dumped)"),
        }
    }
}
