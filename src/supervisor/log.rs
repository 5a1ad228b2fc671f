//! A group's error log: records go in, at once where it can take them, later where it can't.
//!
//! The descriptor is httpd's own, a file or a pipe to a program such as rotatelogs; or records go to syslog. One that takes nothing must not stop the
//! supervisor: records wait here up to a limit, and meanwhile the group's workers are not read, so that they wait as well.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime};

use nix::poll::PollFlags;

use super::syslog::Syslog;
use crate::os::record::{Format, Line};
use crate::os::{logpipe, poll};
use crate::wire::control::{GroupSettings, LogSettings};

/// Bytes that wait at most.
const MOST_WAITING: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Log {
    file: File,
    /// Where records go to, if it is there; else to the file.
    syslog: Option<Syslog>,
    format: Format,
    server_name: Vec<u8>,
    /// Up to which httpd's level lines are written.
    level: u8,
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    lost: u64,
}

impl Log {
    pub(super) fn new(descriptor: OwnedFd, settings: &GroupSettings) -> Self {
        let LogSettings { format, server_name, syslog } = &settings.log;
        Self {
            file: File::from(descriptor),
            syslog: syslog.as_ref().map(Syslog::new),
            format: match (syslog, format) {
                (Some(_), format) => Format::for_syslog(format.as_deref()),
                (None, Some(format)) => Format::given(format),
                (None, None) => Format::usual(),
            },
            server_name: server_name.clone(),
            level: settings.log_level,
            waiting: VecDeque::new(),
            bytes: 0,
            lost: 0,
        }
    }

    /// After a restart of httpd: what waits goes to the new file.
    pub(super) fn reopen(&mut self, descriptor: OwnedFd, settings: &GroupSettings) {
        let (waiting, bytes, lost) = (std::mem::take(&mut self.waiting), self.bytes, self.lost);
        *self = Self { waiting, bytes, lost, ..Self::new(descriptor, settings) };
        self.flush();
    }

    /// Adds a line that the process `pid` wrote.
    pub(super) fn write(&mut self, level: u8, pid: i32, text: &[u8]) {
        if level > self.level {
            return;
        }
        for record in self.records(level, pid, text) {
            if self.bytes.saturating_add(record.len()) > MOST_WAITING {
                self.lost = self.lost.saturating_add(1);
            } else {
                self.bytes += record.len();
                self.waiting.push_back(record);
            }
        }
        self.flush();
    }

    fn records(&self, level: u8, pid: i32, text: &[u8]) -> Vec<Vec<u8>> {
        let now = SystemTime::now();
        let records = self.format.records(&Line { level, pid, now, server_name: &self.server_name, text });
        match &self.syslog {
            None => records,
            Some(syslog) => records.iter().map(|record| syslog.message(level, pid, now, record)).collect(),
        }
    }

    pub(super) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Writes as long as the log takes something without waiting.
    pub(super) fn flush(&mut self) {
        while let Some(record) = self.waiting.front() {
            // What a full disk or a dead reader of the pipe refuses is gone, as it is for httpd.
            if let Err(cause) = put(&mut self.file, self.syslog.as_mut(), record)
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
                self.waiting.extend(self.records(logpipe::PLAIN_LEVEL, pid, text.as_bytes()));
                self.bytes = self.waiting.iter().map(Vec::len).sum();
            }
        }
    }
}

/// One write each, so that records of other processes stay whole.
fn put(file: &mut File, syslog: Option<&mut Syslog>, record: &[u8]) -> io::Result<()> {
    let is_syslog = syslog.is_some();
    if let Some(syslog) = syslog {
        match syslog.send(record) {
            Err(cause) if cause.kind() != io::ErrorKind::WouldBlock => {}
            sent => return sent,
        }
    }
    if poll::wait(&[(file.as_fd(), PollFlags::POLLOUT)], Some(Duration::ZERO)).is_ok_and(|ready| ready.is_empty()) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    if is_syslog {
        return file.write(&[record, b"\n"].concat()).map(drop);
    }
    file.write(record).map(drop)
}

impl AsFd for Log {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.syslog.as_ref().and_then(Syslog::as_fd).unwrap_or(self.file.as_fd())
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::io::Read as _;

    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::wire::control;

    fn log(file: OwnedFd) -> Log {
        Log {
            file: File::from(file),
            syslog: None,
            format: Format::usual(),
            server_name: Vec::new(),
            level: 6,
            waiting: VecDeque::new(),
            bytes: 0,
            lost: 0,
        }
    }

    #[test]
    fn syslog_gets_what_httpd_would_write_and_the_file_what_syslog_does_not_take() {
        let path = std::env::temp_dir().join(format!("mod_wsgi-syslog-{}", std::process::id()));
        let _gone = std::fs::remove_file(&path);
        let (mut read, write) = io::pipe().unwrap();
        let settings = control::Syslog { facility: 1, tag: b"shop".to_vec() };
        let mut log = Log {
            syslog: Some(Syslog::at(path.clone(), &settings)),
            format: Format::for_syslog(None),
            level: 8,
            ..log(write.into())
        };
        log.write(3, 42, b"nobody there");
        for round in 0..2 {
            // The second time it was started anew.
            let socket = UnixDatagram::bind(&path).unwrap();
            log.write(4, 42, b"there");
            log.write(8, 42, b"fine");
            let mut text = [0; 200];
            for (priority, level, said) in [(12, "warn", "there"), (15, "trace1", "fine")] {
                let length = socket.recv(&mut text).unwrap();
                let text = std::str::from_utf8(&text[..length]).unwrap();
                let (front, rest) = text.split_at(format!("<{priority}>Nov 20 09:47:01 ").len());
                assert!(front.starts_with(&format!("<{priority}>")), "{round}: {text}");
                assert_eq!(rest, format!("shop[42]: [wsgi:{level}] [pid 42:tid 42] {said}"));
            }
            std::fs::remove_file(&path).unwrap();
        }
        log.write(3, 42, b"gone again");
        drop(log);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        let ends: Vec<&str> = text.lines().filter_map(|line| line.split_once("tid 42] ")).map(|(_, end)| end).collect();
        assert_eq!(ends, ["nobody there", "gone again"]);
    }

    #[test]
    fn a_syslog_that_takes_nothing_is_waited_for() {
        let path = std::env::temp_dir().join(format!("mod_wsgi-syslog-full-{}", std::process::id()));
        let _gone = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        let settings = control::Syslog { facility: 1, tag: b"shop".to_vec() };
        let (_read, write) = io::pipe().unwrap();
        let mut log = Log { syslog: Some(Syslog::at(path.clone(), &settings)), ..log(write.into()) };
        while !log.is_behind() {
            log.write(3, 42, b"one of many");
        }
        let mut text = [0; 200];
        socket.recv(&mut text).unwrap();
        let ready = poll::wait(&[(log.as_fd(), PollFlags::POLLOUT)], Some(Duration::from_secs(9))).unwrap();
        assert_eq!(ready.len(), 1);
        log.flush();
        assert!(!log.is_behind());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_log_that_takes_nothing_stops_nobody() {
        let (mut read, write) = io::pipe().unwrap();
        let mut log = log(write.into());
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
        let mut log = log(write.into());
        log.write(3, 1, b"gone");
        assert!(!log.is_behind());
    }
}
