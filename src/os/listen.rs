//! Listening UNIX sockets, made in httpd's parent: one for each worker process.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, setsockopt, socket, sockopt,
};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, chown};

/// How a listening socket is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// Who may connect, beside root; `None`: who makes it.
    pub owner: Option<u32>,
    /// Connections that wait for the process; the kernel has a limit of its own (`net.core.somaxconn`).
    pub backlog: u32,
    /// Bytes; `None` leaves the kernel's own.
    pub send_buffer: Option<usize>,
    pub receive_buffer: Option<usize>,
}

/// Makes a socket at `path`, mode 0600. For the parent only: it changes the process's umask for a moment.
///
/// # Errors
/// The step that failed and what the system says: `AddrInUse` where something is at `path` already.
pub fn listen_at(path: &Path, how: Listening) -> Result<OwnedFd, (&'static str, io::Error)> {
    let address = UnixAddr::new(path).map_err(|error| ("name", error.into()))?;
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|error| ("make", error.into()))?;
    if let Some(bytes) = how.send_buffer {
        setsockopt(&socket, sockopt::SndBuf, &bytes).map_err(|error| ("set send-buffer-size of", error.into()))?;
    }
    if let Some(bytes) = how.receive_buffer {
        setsockopt(&socket, sockopt::RcvBuf, &bytes).map_err(|error| ("set receive-buffer-size of", error.into()))?;
    }
    // Nobody else may connect even for a moment, so the mode can't come behind.
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = bind(socket.as_raw_fd(), &address);
    umask(before);
    bound.map_err(|error| ("bind", error.into()))?;
    let rest = || {
        if let Some(owner) = how.owner {
            chown(path, Some(Uid::from_raw(owner)), None::<Gid>)
                .map_err(|error| ("change the owner of", error.into()))?;
        }
        let most = i32::try_from(how.backlog).unwrap_or(i32::MAX);
        let backlog = Backlog::new(most.min(Backlog::MAXCONN.into())).unwrap_or(Backlog::MAXCONN);
        listen(&socket, backlog).map_err(|error| ("listen at", io::Error::from(error)))
    };
    match rest() {
        Ok(()) => Ok(socket),
        Err(error) => {
            // Best effort: the reason is reported, not this.
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}

/// How long a socket's path may be: `sun_path` has 108 bytes, one of them for the NUL (unix(7)).
pub const LONGEST_PATH: usize = 107;
