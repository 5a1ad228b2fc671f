//! The request body as PEP 3333 wants it read: by size, by line, to the end.
//!
//! `wsgi.input` (room `python`) calls this, holding no interpreter; the bytes come from a [`Host`]. The state outlives single calls
//! because a line read takes more from the host than it returns.

use super::{Host, InputError};

/// Taken from the host at a time while a line's end is looked for.
const LINE_PIECE: usize = 8 * 1024;
/// The most that one call asks the host for, and the first step of a read to the end.
const PIECE: usize = 64 * 1024;
/// A size that an application asks for is only believed up to here before bytes have come.
const TRUSTED: usize = 1024 * 1024;

/// How far the body has been read.
#[derive(Debug, Default)]
pub struct Input {
    /// Read from the host, not yet by the application: `buffer[start..]`.
    buffer: Vec<u8>,
    start: usize,
    asked: bool,
    ended: bool,
    failed: Option<InputError>,
}

impl Input {
    /// Reads up to `size` bytes, less only at the end of the body; without a size, all that is left.
    ///
    /// `read(0)` as the very first call still asks the client for the body (`100 Continue`), as applications use it for.
    ///
    /// # Errors
    /// What the host says; again for every later call.
    pub fn read(&mut self, host: &mut dyn Host, size: Option<usize>) -> Result<Vec<u8>, InputError> {
        self.usable()?;
        if size == Some(0) {
            if !self.asked {
                self.fill(host, &mut [])?;
            }
            return Ok(Vec::new());
        }
        let mut bytes = self.buffered(size.unwrap_or(usize::MAX));
        bytes.reserve(size.unwrap_or(0).min(TRUSTED).saturating_sub(bytes.len()));
        while !self.ended {
            let wanted = size.map_or(PIECE, |size| size - bytes.len().min(size)).min(PIECE.max(bytes.len()));
            if wanted == 0 {
                break;
            }
            let held = bytes.len();
            bytes.resize(held + wanted, 0);
            let got = self.fill(host, bytes.get_mut(held..).unwrap_or_default());
            bytes.truncate(held + got.as_ref().copied().unwrap_or(0));
            got?;
        }
        Ok(bytes)
    }

    /// Reads to the next newline, that included; at most `limit` bytes; to the end of the body where there is no newline.
    ///
    /// # Errors
    /// What the host says; again for every later call.
    pub fn line(&mut self, host: &mut dyn Host, limit: Option<usize>) -> Result<Vec<u8>, InputError> {
        self.usable()?;
        let limit = limit.unwrap_or(usize::MAX);
        let mut searched = 0;
        loop {
            let unread = self.buffer.get(self.start..).unwrap_or_default();
            let newline = unread.iter().skip(searched).position(|byte| *byte == b'\n').map(|at| searched + at + 1);
            if let Some(end) = newline.or((unread.len() >= limit || self.ended).then_some(unread.len())) {
                return Ok(self.buffered(end.min(limit)));
            }
            searched = unread.len();
            self.buffer.drain(..self.start);
            self.start = 0;
            let held = self.buffer.len();
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize(held + LINE_PIECE, 0);
            let got = self.fill(host, buffer.get_mut(held..).unwrap_or_default());
            buffer.truncate(held + got.as_ref().copied().unwrap_or(0));
            self.buffer = buffer;
            got?;
        }
    }

    /// Takes up to `most` bytes out of what was read ahead.
    fn buffered(&mut self, most: usize) -> Vec<u8> {
        let unread = self.buffer.get(self.start..).unwrap_or_default();
        let taken = unread.get(..most.min(unread.len())).unwrap_or_default().to_vec();
        self.start += taken.len();
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
        taken
    }

    fn fill(&mut self, host: &mut dyn Host, space: &mut [u8]) -> Result<usize, InputError> {
        self.asked = true;
        let got = host.read(space).inspect_err(|error| self.failed = Some(error.clone()))?;
        self.ended = got == 0 && !space.is_empty();
        Ok(got)
    }

    fn usable(&self) -> Result<(), InputError> {
        self.failed.clone().map_or(Ok(()), Err)
    }
}
