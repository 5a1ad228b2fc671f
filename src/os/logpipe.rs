//! What a worker writes to its standard output and error, as lines; and lines as httpd's error log has them.
//!
//! The worker's descriptors 1 and 2 are the pipe's writing end. The supervisor reads, parts into lines, and writes records. A line that
//! begins with the byte 1 and a digit has that level, as httpd counts (`2` critical .. `8` trace1); any other is an error. Nothing
//! here waits: a worker that writes faster than the log takes is held up by its own pipe.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// The level of a line that names none: httpd's `error`.
pub const PLAIN_LEVEL: u8 = 3;

/// Longer lines are parted: httpd cuts there (`MAX_STRING_LEN`).
const LONGEST_LINE: usize = 8192;

/// A record is written at once up to this length even where the log is a pipe that others write to as well (`PIPE_BUF`).
const LONGEST_RECORD: usize = 4096;

/// What one call reads at most, so that one noisy worker does not hold up the others.
const BITE: usize = 64 * 1024;

/// The reading end, and the line under way.
#[derive(Debug)]
pub struct LogPipe {
    file: File,
    lines: Lines,
}

/// What a call of [`LogPipe::read`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Something,
    /// Nothing for now.
    Nothing,
    /// Everybody who could write is gone.
    Ended,
}

impl LogPipe {
    /// The reading end, which does not block, and the writing end, which does.
    ///
    /// # Errors
    /// The system's: too many descriptors.
    pub fn new() -> io::Result<(Self, OwnedFd)> {
        let (read, write) = io::pipe()?;
        let flags = OFlag::from_bits_retain(fcntl(&read, FcntlArg::F_GETFL)?);
        fcntl(&read, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok((Self { file: File::from(OwnedFd::from(read)), lines: Lines::default() }, write.into()))
    }

    /// Reads what is there, at most 64 KiB, and hands each line with its level to `take`; at the end also the last one without a
    /// newline.
    ///
    /// # Errors
    /// The system's.
    pub fn read(&mut self, mut take: impl FnMut(u8, &[u8])) -> io::Result<Reading> {
        let mut bytes = vec![0; BITE];
        match self.file.read(&mut bytes) {
            Ok(0) => {
                self.lines.finish(&mut take);
                Ok(Reading::Ended)
            }
            Ok(count) => {
                self.lines.take(bytes.get(..count).unwrap_or_default(), &mut take);
                Ok(Reading::Something)
            }
            Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Reading::Nothing)
            }
            Err(cause) => Err(cause),
        }
    }
}

impl AsFd for LogPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Parts a stream of bytes into lines.
#[derive(Debug, Default)]
struct Lines {
    pending: Vec<u8>,
    /// The level of the line whose beginning was handed on already, because it was too long.
    parted: Option<u8>,
}

impl Lines {
    fn take(&mut self, bytes: &[u8], take: &mut impl FnMut(u8, &[u8])) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, whole) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.pending.extend_from_slice(text);
            while self.pending.len() > LONGEST_LINE {
                let rest = self.pending.split_off(LONGEST_LINE);
                self.hand_on(take);
                self.pending = rest;
            }
            if whole {
                self.hand_on(take);
                self.parted = None;
            }
        }
    }

    fn finish(&mut self, take: &mut impl FnMut(u8, &[u8])) {
        if !self.pending.is_empty() {
            self.hand_on(take);
        }
    }

    fn hand_on(&mut self, take: &mut impl FnMut(u8, &[u8])) {
        let (level, text) = match (self.parted, self.pending.as_slice()) {
            (Some(level), text) => (level, text),
            (None, [1, digit @ b'0'..=b'9', text @ ..]) => (digit - b'0', text),
            (None, text) => (PLAIN_LEVEL, text),
        };
        take(level, text);
        self.parted = Some(level);
        self.pending.clear();
    }
}

/// A line as httpd's error log has it by default (`[time] [wsgi:level] [pid n:tid n] text`, local time), as one or more records of at
/// most 4096 bytes, each to be written at once. Bytes that a terminal could obey are escaped as httpd does.
#[must_use]
pub fn records(level: u8, pid: i32, text: &[u8], now: SystemTime) -> Vec<Vec<u8>> {
    let head = format!("[{}] [wsgi:{}] [pid {pid}:tid {pid}] ", stamp(now), level_name(level)).into_bytes();
    let mut records = Vec::new();
    let mut record = head.clone();
    for byte in text {
        let start = record.len();
        escape(*byte, &mut record);
        if record.len() >= LONGEST_RECORD {
            let letter = record.split_off(start);
            record.push(b'\n');
            records.push(std::mem::replace(&mut record, head.clone()));
            record.extend_from_slice(&letter);
        }
    }
    record.push(b'\n');
    records.push(record);
    records
}

/// `ap_escape_errorlog_item`: a backslash and control characters and everything beyond ASCII.
fn escape(byte: u8, to: &mut Vec<u8>) {
    let short = match byte {
        8 => b'b',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        11 => b'v',
        b'\\' => b'\\',
        b' '..=b'~' => return to.push(byte),
        _ => return to.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
    };
    to.extend_from_slice(&[b'\\', short]);
}

fn level_name(level: u8) -> &'static str {
    const NAMES: [&str; 9] = ["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug", "trace1"];
    NAMES.get(usize::from(level)).copied().unwrap_or("trace2")
}

/// `Fri Nov 20 09:47:01.123456 2026`, in this process's time zone.
fn stamp(now: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = libc::time_t::try_from(since.as_secs()).unwrap_or_default();
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: reads one number and fills the structure; an answer of null leaves the zeros, which are a time as well.
    unsafe { libc::localtime_r(&raw const seconds, parts.as_mut_ptr()) };
    // SAFETY: zeroed above, and all zeros is a value of this structure.
    let parts = unsafe { parts.assume_init() };
    let name = |names: &[&'static str], place: i32| {
        usize::try_from(place).ok().and_then(|place| names.get(place)).copied().unwrap_or("???")
    };
    format!(
        "{} {} {:02} {:02}:{:02}:{:02}.{:06} {}",
        name(&DAYS, parts.tm_wday),
        name(&MONTHS, parts.tm_mon),
        parts.tm_mday,
        parts.tm_hour,
        parts.tm_min,
        parts.tm_sec,
        since.subsec_micros(),
        parts.tm_year + 1900
    )
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use super::*;

    fn parted(pieces: &[&[u8]]) -> Vec<(u8, String)> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        let mut take = |level: u8, text: &[u8]| found.push((level, String::from_utf8_lossy(text).into_owned()));
        for piece in pieces {
            lines.take(piece, &mut take);
        }
        lines.finish(&mut take);
        found
    }

    #[test]
    fn lines_have_levels_however_they_arrive() {
        let wanted = [(3, "plain".to_owned()), (6, "told".to_owned()), (3, String::new()), (3, "rest".to_owned())];
        let text = b"plain\n\x016told\n\nrest";
        assert_eq!(parted(&[text]), wanted);
        for at in 0..text.len() {
            let (one, two) = text.split_at(at);
            assert_eq!(parted(&[one, two]), wanted, "{at}");
        }
        assert_eq!(parted(&[b"\x01x\n\x01"]), [(3, "\x01x".to_owned()), (3, "\x01".to_owned())]);
    }

    #[test]
    fn a_long_line_is_parted_and_keeps_its_level() {
        let text = [b"\x014".as_slice(), &vec![b'x'; 20_000], b"\nnext\n"].concat();
        let found = parted(&[&text]);
        assert_eq!(found.iter().map(|(level, _)| *level).collect::<Vec<_>>(), [4, 4, 4, 3]);
        assert_eq!(found.iter().map(|(_, text)| text.len()).sum::<usize>(), 20_004);
    }

    #[test]
    fn records_look_like_httpds() {
        let now = UNIX_EPOCH + Duration::from_micros(1_795_167_000_123_456);
        let made = records(3, 123, b"a \"b\" \\ \x1b[1m\t\xc3\xa4", now);
        let text = String::from_utf8(made.concat()).unwrap();
        let (time, rest) = text.split_once("] ").unwrap();
        assert!(time.ends_with(".123456 2026"), "{time}");
        assert_eq!(time.len(), "[Fri Nov 20 09:47:01.123456 2026".len());
        assert_eq!(rest, "[wsgi:error] [pid 123:tid 123] a \"b\" \\\\ \\x1b[1m\\t\\xc3\\xa4\n");
        let long = records(6, 1, &[0x80; 3000], now);
        assert_eq!(long.len(), 3);
        assert!(long.iter().all(|record| record.len() <= LONGEST_RECORD && record.ends_with(b"\n")));
        assert!(long.concat().windows(4).filter(|window| window == b"\\x80").count() == 3000);
    }

    #[test]
    fn a_pipe_ends_with_its_writers() {
        let (mut pipe, write) = LogPipe::new().unwrap();
        let mut lines = Vec::new();
        assert_eq!(pipe.read(|_, _| ()).unwrap(), Reading::Nothing);
        File::from(write).write_all(b"one\ntwo").unwrap();
        let mut take = |_: u8, text: &[u8]| lines.push(text.to_vec());
        assert_eq!(pipe.read(&mut take).unwrap(), Reading::Something);
        assert_eq!(pipe.read(&mut take).unwrap(), Reading::Ended);
        assert_eq!(lines, [b"one", b"two"]);
    }
}
