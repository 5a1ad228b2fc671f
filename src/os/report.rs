//! What a worker says to its supervisor: small messages through a pipe of its own.
//!
//! A worker runs other people's code. On a socket it could send descriptors, and who takes them off, or closes a socket that they wait in,
//! closes them: that lasts as long as their maker likes (`SO_LINGER`), seen by the receiver or not. A pipe has bytes only. A message is
//! JSON with its length (u32) in front. Neither end ever waits for the other: the supervisor keeps what has come of a message, at most
//! [`LONGEST`], and a worker what the pipe does not take yet.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::forked::Withheld;
use super::stream::moved_up;

/// A longer message is refused. Paths have up to 4 KiB, names of application groups what httpd takes of a URL or a header, 8 KiB where
/// nobody has raised it; JSON writes a byte in up to four.
pub const LONGEST: usize = 64 * 1024;

/// A worker keeps no more for a supervisor that does not read.
const MOST_WAITING: usize = 1 << 20;

const PREFIX: usize = 4;

/// The supervisor's end.
#[derive(Debug)]
pub struct Reports {
    pipe: File,
    /// What has come of the next message.
    begun: Vec<u8>,
}

/// The worker's end. Any thread may use it.
#[derive(Debug)]
pub struct Reporter {
    // Goes before what it is about.
    _withheld: Withheld,
    pipe: File,
    /// What the pipe did not take yet.
    waiting: Mutex<Vec<u8>>,
}

impl Reports {
    /// The supervisor's end, and what becomes the worker's by [`Reporter::adopt`]; close-on-exec, and neither blocks.
    ///
    /// # Errors
    /// The system's: too many descriptors.
    pub fn pipe() -> io::Result<(Self, OwnedFd)> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        Ok((Self { pipe: read.into(), begun: Vec::new() }, write))
    }

    /// The next message, and how many bytes it took; none when everybody who could write is gone.
    ///
    /// # Errors
    /// `WouldBlock` when it is not all there yet. Any other when what comes is no message of this type: nothing is to be read any more.
    pub fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, usize)>> {
        loop {
            let missing = self.missing()?;
            if missing == 0 {
                let message = std::mem::take(&mut self.begun);
                let text = message.get(PREFIX..).unwrap_or_default();
                return Ok(Some((serde_json::from_slice(text)?, message.len())));
            }
            // What came before an error is kept.
            let come = (&self.pipe).take(missing).read_to_end(&mut self.begun)?;
            if u64::try_from(come).is_ok_and(|come| come < missing) {
                return Ok(None);
            }
        }
    }

    /// How much has to come until the length is known, or the message whole.
    fn missing(&self) -> io::Result<u64> {
        let Some((prefix, text)) = self.begun.split_first_chunk::<PREFIX>() else {
            return Ok((PREFIX - self.begun.len()) as u64);
        };
        let length = u32::from_ne_bytes(*prefix) as usize;
        if length > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is too long"));
        }
        // No text at all is no JSON.
        Ok((length - text.len().min(length)) as u64)
    }
}

impl AsFd for Reports {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Reporter {
    /// Takes over the writing end. Processes that an application forks don't get it.
    #[must_use]
    pub fn adopt(pipe: OwnedFd) -> Self {
        let pipe = moved_up(pipe);
        Self { _withheld: Withheld::new(pipe.as_fd()), pipe: pipe.into(), waiting: Mutex::default() }
    }

    /// Says it, or keeps it for [`Self::go_on`] where the pipe is full.
    ///
    /// # Errors
    /// `BrokenPipe` when the supervisor is gone (`SIGPIPE` is ignored in workers), `WouldBlock` when it has not read for long,
    /// `InvalidInput` for a message that it would not take. Nothing of the message is said then.
    pub fn send(&self, message: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let prefix = u32::try_from(text.len()).ok().filter(|_| text.len() <= LONGEST);
        let prefix = prefix.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a message that is too long"))?;
        let mut waiting = self.waiting();
        if waiting.len() > MOST_WAITING {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        waiting.extend_from_slice(&prefix.to_ne_bytes());
        waiting.extend_from_slice(&text);
        self.write(&mut waiting)
    }

    /// Whether something waits for room in the pipe, which can be polled for.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.waiting().is_empty()
    }

    /// Says what waits, as far as there is room.
    ///
    /// # Errors
    /// `BrokenPipe` when the supervisor is gone.
    pub fn go_on(&self) -> io::Result<()> {
        self.write(&mut self.waiting())
    }

    fn write(&self, waiting: &mut Vec<u8>) -> io::Result<()> {
        while !waiting.is_empty() {
            match (&self.pipe).write(waiting) {
                Ok(count) => drop(waiting.drain(..count)),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(cause) => {
                    waiting.clear();
                    return Err(cause);
                }
            }
        }
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<u8>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Reporter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::*;

    fn pair() -> (Reports, Reporter) {
        let (reports, pipe) = Reports::pipe().unwrap();
        (reports, Reporter::adopt(pipe))
    }

    fn kind<T>(answer: io::Result<T>) -> Option<io::ErrorKind> {
        answer.err().map(|cause| cause.kind())
    }

    #[test]
    fn messages_keep_their_borders() {
        let (mut reports, reporter) = pair();
        assert_eq!(kind(reports.receive::<String>()), Some(io::ErrorKind::WouldBlock));
        for text in ["first", "", "third"] {
            reporter.send(&text).unwrap();
        }
        for (text, bytes) in [("first", 11), ("", 6), ("third", 11)] {
            assert_eq!(reports.receive::<String>().unwrap(), Some((text.to_owned(), bytes)));
        }
        drop(reporter);
        assert_eq!(reports.receive::<String>().unwrap(), None);
        let (reports, reporter) = pair();
        drop(reports);
        assert_eq!(kind(reporter.send(&1)), Some(io::ErrorKind::BrokenPipe));
        assert!(!reporter.is_behind());
    }

    #[test]
    fn half_a_message_is_not_waited_for() {
        let (mut reports, reporter) = pair();
        let message = [7u32.to_ne_bytes().as_slice(), b"\"piece\""].concat();
        for piece in message.chunks(1) {
            assert_eq!(kind(reports.receive::<String>()), Some(io::ErrorKind::WouldBlock));
            (&reporter.pipe).write_all(piece).unwrap();
        }
        assert_eq!(reports.receive::<String>().unwrap(), Some(("piece".to_owned(), 11)));
        (&reporter.pipe).write_all(&message[..6]).unwrap();
        drop(reporter);
        assert_eq!(reports.receive::<String>().unwrap(), None);
    }

    #[test]
    fn a_full_pipe_keeps_nobody_waiting_and_loses_nothing() {
        let (mut reports, reporter) = pair();
        let text = |number: usize| format!("{number}{}", "x".repeat(20_000));
        let mut sent = 0;
        while !reporter.is_behind() || sent < 10 {
            reporter.send(&text(sent)).unwrap();
            sent += 1;
        }
        for number in 0..sent {
            let (message, _) = loop {
                match reports.receive::<String>() {
                    Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => reporter.go_on().unwrap(),
                    other => break other.unwrap().unwrap(),
                }
            };
            assert_eq!(message, text(number));
        }
        assert!(!reporter.is_behind());
        let refused = (0..1000).find_map(|number| kind(reporter.send(&text(number))));
        assert_eq!(refused, Some(io::ErrorKind::WouldBlock));
    }

    #[test]
    fn what_is_too_long_or_no_message_is_refused() {
        let (mut reports, reporter) = pair();
        assert_eq!(kind(reporter.send(&"x".repeat(LONGEST))), Some(io::ErrorKind::InvalidInput));
        reporter.send(&"x".repeat(LONGEST - 2)).unwrap();
        while reporter.is_behind() {
            assert_eq!(kind(reports.receive::<String>()), Some(io::ErrorKind::WouldBlock));
            reporter.go_on().unwrap();
        }
        assert_eq!(reports.receive::<String>().unwrap().unwrap().0.len(), LONGEST - 2);
        reporter.send(&"text").unwrap();
        assert_eq!(kind(reports.receive::<u8>()), Some(io::ErrorKind::InvalidData));
        for (length, text) in [(0, ""), (1, "x"), (u32::MAX, "")] {
            let (mut reports, reporter) = pair();
            (&reporter.pipe).write_all(&[length.to_ne_bytes().as_slice(), text.as_bytes()].concat()).unwrap();
            assert!(kind(reports.receive::<u8>()).is_some_and(|kind| kind != io::ErrorKind::WouldBlock), "{length}");
            assert!(reports.begun.len() < 8);
        }
    }
}
