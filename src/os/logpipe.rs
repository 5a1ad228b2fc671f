//! What a worker writes to its standard output and error, as lines.
//!
//! The worker's descriptors 1 and 2 are the pipe's writing end. The supervisor reads, parts into lines, and writes records (`record`). A line
//! that begins with the byte 1 and a digit has that level, as httpd counts (`2` critical .. `8` trace1); any other is an error. Nothing
//! here waits: a worker that writes faster than the log takes is held up by its own pipe.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// The level of a line that names none: httpd's `error`.
pub const PLAIN_LEVEL: u8 = 3;

/// Longer lines are parted: httpd cuts there (`MAX_STRING_LEN`).
const LONGEST_LINE: usize = 8192;

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

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::io::Write as _;

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
