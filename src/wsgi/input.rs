//! The request body as PEP 3333 wants it read: by size, by line, to the end.
//!
//! `wsgi.input` (room `python`) calls this, holding no interpreter; the bytes come from a [`Host`]. The state outlives single calls
//! because a line read takes more from the host than it returns.

use super::{Host, InputError};

/// Taken from the host at a time while a line's end is looked for.
const LINE_PIECE: usize = 8 * 1024;
/// The first step of a read to the end.
const PIECE: usize = 64 * 1024;

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
    /// Fills `space`, less only at the end of the body; answers how much.
    ///
    /// Nothing to fill as the very first call still asks the client for the body (`100 Continue`), as applications use `read(0)` for.
    ///
    /// # Errors
    /// What the host says; again for every later call.
    pub fn fill(&mut self, host: &mut dyn Host, space: &mut [u8]) -> Result<usize, InputError> {
        self.usable()?;
        if space.is_empty() && !self.asked {
            return self.fetch(host, space);
        }
        let mut held = self.buffered(space);
        while let Some(room) = space.get_mut(held..).filter(|room| !room.is_empty() && !self.ended) {
            held += self.fetch(host, room)?;
        }
        Ok(held)
    }

    /// Reads up to `size` bytes, less only at the end of the body; without a size, all that is left. Takes memory as bytes come.
    ///
    /// # Errors
    /// As [`Input::fill`].
    pub fn read(&mut self, host: &mut dyn Host, size: Option<usize>) -> Result<Vec<u8>, InputError> {
        let size = size.unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        loop {
            let held = bytes.len();
            let wanted = (size - held).min(PIECE.max(held));
            bytes.resize(held + wanted, 0);
            let got = self.fill(host, bytes.get_mut(held..).unwrap_or_default())?;
            bytes.truncate(held + got);
            if got < wanted || bytes.len() == size {
                return Ok(bytes);
            }
        }
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
                let mut line = vec![0; end.min(limit)];
                self.buffered(&mut line);
                return Ok(line);
            }
            searched = unread.len();
            self.buffer.drain(..self.start);
            self.start = 0;
            let held = self.buffer.len();
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize(held + LINE_PIECE, 0);
            let got = self.fetch(host, buffer.get_mut(held..).unwrap_or_default());
            buffer.truncate(held + got.as_ref().copied().unwrap_or(0));
            self.buffer = buffer;
            got?;
        }
    }

    /// Takes of what was read ahead as much as there is room for.
    fn buffered(&mut self, room: &mut [u8]) -> usize {
        let unread = self.buffer.get(self.start..).unwrap_or_default();
        let count = unread.len().min(room.len());
        if let Some((to, from)) = room.get_mut(..count).zip(unread.get(..count)) {
            to.copy_from_slice(from);
        }
        self.start += count;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
        count
    }

    fn fetch(&mut self, host: &mut dyn Host, space: &mut [u8]) -> Result<usize, InputError> {
        self.asked = true;
        let got = host.read(space).inspect_err(|error| self.failed = Some(error.clone()))?;
        self.ended = got == 0 && !space.is_empty();
        Ok(got)
    }

    fn usable(&self) -> Result<(), InputError> {
        self.failed.clone().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wsgi::testing::Scripted;

    fn read(input: &mut Input, host: &mut Scripted, size: Option<usize>) -> String {
        String::from_utf8(input.read(host, size).unwrap()).unwrap()
    }

    fn line(input: &mut Input, host: &mut Scripted, limit: Option<usize>) -> String {
        String::from_utf8(input.line(host, limit).unwrap()).unwrap()
    }

    #[test]
    fn a_read_gathers_pieces_until_it_has_its_size() {
        let (mut input, mut host) = (Input::default(), Scripted::body(&["ab", "c", "defg", "h"]));
        assert_eq!(read(&mut input, &mut host, Some(5)), "abcde");
        assert_eq!(read(&mut input, &mut host, Some(1)), "f");
        assert_eq!(read(&mut input, &mut host, None), "gh");
        assert_eq!(read(&mut input, &mut host, Some(5)), "");
        assert_eq!(read(&mut input, &mut host, None), "");
    }

    #[test]
    fn room_is_filled_but_at_the_end() {
        let (mut input, mut host) = (Input::default(), Scripted::body(&["li", "ne\nab", "c", "de"]));
        assert_eq!(line(&mut input, &mut host, None), "line\n");
        let mut room = [0; 4];
        assert_eq!((input.fill(&mut host, &mut room), &room), (Ok(4), b"abcd"));
        assert_eq!((input.fill(&mut host, &mut room), &room), (Ok(1), b"ebcd"));
        let reads = host.reads;
        assert_eq!(input.fill(&mut host, &mut room), Ok(0));
        assert_eq!(host.reads, reads);
    }

    #[test]
    fn the_end_is_asked_for_once() {
        let (mut input, mut host) = (Input::default(), Scripted::body(&["ab"]));
        assert_eq!(read(&mut input, &mut host, None), "ab");
        let reads = host.reads;
        assert_eq!(read(&mut input, &mut host, None), "");
        assert_eq!(line(&mut input, &mut host, None), "");
        assert_eq!(host.reads, reads);
    }

    #[test]
    fn a_read_of_nothing_asks_for_the_body_only_as_the_first_call() {
        let (mut input, mut host) = (Input::default(), Scripted::body(&["ab"]));
        assert_eq!(read(&mut input, &mut host, Some(0)), "");
        assert_eq!(host.reads, 1);
        assert_eq!(read(&mut input, &mut host, Some(0)), "");
        assert_eq!(host.reads, 1);
        assert_eq!(read(&mut input, &mut host, None), "ab");
    }

    #[test]
    fn lines_end_where_they_should_however_they_come() {
        for pieces in [&["one\ntwo\n\nlast"][..], &["o", "ne", "\nt", "wo\n", "\n", "la", "st"][..]] {
            let (mut input, mut host) = (Input::default(), Scripted::body(pieces));
            for expected in ["one\n", "two\n", "\n", "last", ""] {
                assert_eq!(line(&mut input, &mut host, None), expected, "{pieces:?}");
            }
        }
    }

    #[test]
    fn a_limited_line_is_continued_by_the_next_call() {
        let (mut input, mut host) = (Input::default(), Scripted::body(&["abc", "de\nfg"]));
        assert_eq!(line(&mut input, &mut host, Some(0)), "");
        for (limit, expected) in [(2, "ab"), (3, "cde"), (9, "\n"), (9, "fg"), (9, "")] {
            assert_eq!(line(&mut input, &mut host, Some(limit)), expected);
        }
    }

    #[test]
    fn reads_and_lines_may_alternate() {
        let (mut input, mut host) = (Input::default(), Scripted::body(&["one\ntwo\nthree\nfour"]));
        assert_eq!(line(&mut input, &mut host, None), "one\n");
        assert_eq!(read(&mut input, &mut host, Some(2)), "tw");
        assert_eq!(line(&mut input, &mut host, None), "o\n");
        assert_eq!(read(&mut input, &mut host, None), "three\nfour");
    }

    #[test]
    fn a_long_line_is_found_across_many_pieces() {
        let long = "x".repeat(3 * LINE_PIECE);
        let (mut input, mut host) = (Input::default(), Scripted::body(&[&long, "y\n", "z"]));
        assert_eq!(line(&mut input, &mut host, None), format!("{long}y\n"));
        assert_eq!(line(&mut input, &mut host, None), "z");
    }

    #[test]
    fn an_error_comes_again_at_every_later_call() {
        let (mut input, mut host) = (Input::default(), Scripted::body(&["ab"]));
        host.body.push_back(Err(InputError::Timeout));
        assert_eq!(input.read(&mut host, Some(9)), Err(InputError::Timeout));
        assert_eq!(input.line(&mut host, None), Err(InputError::Timeout));
        assert_eq!(input.read(&mut host, Some(0)), Err(InputError::Timeout));
    }

    #[test]
    fn a_huge_size_does_not_allocate_ahead() {
        let (mut input, mut host) = (Input::default(), Scripted::body(&["ab"]));
        let bytes = input.read(&mut host, Some(usize::MAX)).unwrap();
        assert_eq!((bytes.as_slice(), bytes.capacity() <= PIECE), (&b"ab"[..], true));
    }
}
