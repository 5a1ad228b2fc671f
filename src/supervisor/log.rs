//! A group's error log: records go in, at once where it can take them, later where it can't.
//!
//! The descriptor is httpd's own, a file or a pipe to a program such as rotatelogs. One that takes nothing must not stop the
//! supervisor: records wait here up to a limit, and meanwhile the group's workers are not read, so that they wait as well.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime};

use nix::poll::PollFlags;

use crate::os::{logpipe, poll};

/// Bytes that wait at most.
const MOST_WAITING: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Log {
    file: File,
    /// Up to which httpd's level lines are written.
    level: u8,
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    lost: u64,
}

impl Log {
    pub(super) fn new(descriptor: OwnedFd, level: u8) -> Self {
        Self { file: File::from(descriptor), level, waiting: VecDeque::new(), bytes: 0, lost: 0 }
    }

    /// After a restart of httpd: what waits goes to the new file.
    pub(super) fn reopen(&mut self, descriptor: OwnedFd, level: u8) {
        self.file = File::from(descriptor);
        self.level = level;
        self.flush();
    }

    /// Adds a line that the process `pid` wrote.
    pub(super) fn write(&mut self, level: u8, pid: i32, text: &[u8]) {
        if level > self.level {
            return;
        }
        for record in logpipe::records(level, pid, text, SystemTime::now()) {
            if self.bytes.saturating_add(record.len()) > MOST_WAITING {
                self.lost = self.lost.saturating_add(1);
            } else {
                self.bytes += record.len();
                self.waiting.push_back(record);
            }
        }
        self.flush();
    }

    pub(super) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Writes as long as the log takes something without waiting.
    pub(super) fn flush(&mut self) {
        while let Some(record) = self.waiting.front() {
            let takes = poll::wait(&[(self.file.as_fd(), PollFlags::POLLOUT)], Some(Duration::ZERO));
            if takes.is_ok_and(|ready| ready.is_empty()) {
                return;
            }
            // One write each, so that records of other processes stay whole. What a full disk or a dead reader of the pipe refuses is
            // gone, as it is for httpd.
            if let Err(cause) = self.file.write(record)
                && matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
            {
                return;
            }
            self.bytes = self.bytes.saturating_sub(record.len());
            self.waiting.pop_front();
            if self.waiting.is_empty() && self.lost > 0 {
                let text = format!("WSGI0341: {} lines are lost: the error log takes them too slowly.", self.lost);
                self.lost = 0;
                let pid = nix::unistd::getpid().as_raw();
                self.waiting.extend(logpipe::records(logpipe::PLAIN_LEVEL, pid, text.as_bytes(), SystemTime::now()));
                self.bytes = self.waiting.iter().map(Vec::len).sum();
            }
        }
    }
}

impl AsFd for Log {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_log_that_takes_nothing_stops_nobody() {
        let (mut read, write) = io::pipe().unwrap();
        let mut log = Log::new(write.into(), 6);
        log.write(7, 1, b"not asked for");
        assert!(!log.is_behind());
        for _ in 0..1000 {
            log.write(3, 1, &[b'x'; 1000]);
        }
        assert!(log.is_behind());
        assert!(log.bytes <= MOST_WAITING && log.lost > 0);
        let reader = std::thread::Builder::new().spawn(move || {
            let mut text = String::new();
            read.read_to_string(&mut text).map(|_| text)
        });
        while log.is_behind() {
            poll::wait(&[(log.as_fd(), PollFlags::POLLOUT)], None).unwrap();
            log.flush();
        }
        drop(log);
        let text = reader.unwrap().join().unwrap().unwrap();
        assert!(text.lines().all(|line| line.contains("[wsgi:error] [pid ")));
        assert!(text.lines().last().unwrap().ends_with("lines are lost: the error log takes them too slowly."));
    }

    #[test]
    fn a_log_that_nobody_reads_is_no_end() {
        let (read, write) = io::pipe().unwrap();
        drop(read);
        let mut log = Log::new(write.into(), 6);
        log.write(3, 1, b"gone");
        assert!(!log.is_behind());
    }
}
