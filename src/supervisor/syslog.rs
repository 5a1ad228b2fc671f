//! The system's log, by its socket: what httpd's records go through where `ErrorLog` says `syslog`.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::os::record::syslog_stamp;
use crate::wire::control;

#[derive(Debug)]
pub(super) struct Syslog {
    path: PathBuf,
    facility: u8,
    tag: Vec<u8>,
    /// None until it is reached, and after it went.
    socket: Option<UnixDatagram>,
}

impl Syslog {
    pub(super) fn new(settings: &control::Syslog) -> Self {
        Self::at("/dev/log".into(), settings)
    }

    pub(super) fn at(path: PathBuf, settings: &control::Syslog) -> Self {
        Self { path, facility: settings.facility, tag: settings.tag.clone(), socket: None }
    }

    /// A record as the C library's `syslog` writes it (RFC 3164, section 4.1), with the process id as httpd asks for it.
    pub(super) fn message(&self, level: u8, pid: i32, now: SystemTime, record: &[u8]) -> Vec<u8> {
        // Finer levels than `debug` are httpd's own.
        let priority = u16::from(self.facility) * 8 + u16::from(level.min(7));
        let mut message = format!("<{priority}>{} ", syslog_stamp(now)).into_bytes();
        message.extend_from_slice(&self.tag);
        message.extend_from_slice(format!("[{pid}]: ").as_bytes());
        message.extend_from_slice(record);
        message
    }

    /// Never waits.
    ///
    /// # Errors
    /// `WouldBlock`: it takes nothing for now. Others: it is not there.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        // A second time where it was started anew meanwhile.
        if let Some(socket) = &self.socket {
            match socket.send(message) {
                Ok(_) => return Ok(()),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Err(cause),
                Err(_) => self.socket = None,
            }
        }
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(&self.path)?;
        let sent = socket.send(message).map(drop);
        self.socket = Some(socket);
        sent
    }

    /// What becomes writable when it takes something again.
    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(|socket| socket.as_fd())
    }
}
