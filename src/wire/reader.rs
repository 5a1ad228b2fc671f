//! `Reader`: from bytes as they come to frames, in one direction of one connection.

use std::ops::Range;

use super::frame::{HEADER, Header, Stage};
use super::{FrameError, FromChild, FromWorker, Kind, child, worker};

/// The longest line of a response's head where `header-buffer-size` is not set, as mod_wsgi counts: two bytes less are let through.
pub const HEADER_LINE: usize = 32 * 1024;

/// Taken at first; the heads of most requests fit.
const FIRST: usize = 16 * 1024;
/// Where all of that is filled at once, up to here.
const FULL: usize = 64 * 1024;
/// A larger buffer is given back as soon as it is empty.
const KEPT: usize = 128 * 1024;

/// Gathers the bytes of one direction of a connection and cuts them into frames. The owner of the connection reads into
/// [`space`](Reader::space), says how much came ([`filled`](Reader::filled)), and takes frames until there is none.
///
/// Frames borrow from the buffer. Memory is taken for a frame only when its header is in order: known kind, admitted at this point of the
/// conversation, length within the limit of the kind.
#[derive(Debug)]
pub struct Reader {
    /// Bytes that came and are not taken yet are `buffer[start..end]`; the rest is space.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The last read filled all the space there was: more is waiting, most likely.
    brimful: bool,
    /// Bytes of a BODY that was opened ([`Reader::open_body`]) and not taken yet. They come next.
    left: usize,
    stage: Stage,
    header_line: usize,
    failed: Option<FrameError>,
}

impl Reader {
    /// For a worker: reads what a child sends on a fresh connection.
    #[must_use]
    pub const fn of_child() -> Reader {
        Reader::at(Stage::Greeting, HEADER_LINE)
    }

    /// For a child: reads what a worker sends. `header_line` is `header-buffer-size` in bytes, [`HEADER_LINE`] if that is not set.
    #[must_use]
    pub const fn of_worker(header_line: usize) -> Reader {
        Reader::at(Stage::Waiting, header_line)
    }

    const fn at(stage: Stage, header_line: usize) -> Reader {
        Reader { buffer: Vec::new(), start: 0, end: 0, brimful: false, left: 0, stage, header_line, failed: None }
    }

    /// Where to read into: never empty, and large enough for the frame under way. May hold more than that frame lacks: what else is
    /// there is read in advance.
    pub fn space(&mut self) -> &mut [u8] {
        if self.failed.is_some() {
            // Whoever reads on, to see the peer close, keeps nothing of it.
            (self.start, self.brimful) = (self.end, false);
        }
        self.give_back();
        let lacks = self.lacks();
        let more = if self.brimful { (2 * self.buffer.len()).min(FULL) } else { 0 };
        let wanted = lacks.max(1).max(more.saturating_sub(self.end - self.start));
        if self.buffer.len() - self.end < wanted {
            let held = self.end - self.start;
            if self.buffer.len() - held < wanted {
                // Who reads in advance of frames that are there gets twice as much, lest each byte move all.
                let ahead = if lacks == 0 { 2 * held } else { 0 };
                // A fresh one, since large memory comes zeroed from the system, and only what is held has to move.
                let mut larger = vec![0; (held + wanted).max(FIRST).max(ahead)];
                if let Some((to, from)) = larger.get_mut(..held).zip(self.buffer.get(self.start..self.end)) {
                    to.copy_from_slice(from);
                }
                self.buffer = larger;
            } else {
                self.buffer.copy_within(self.start..self.end, 0);
            }
            (self.start, self.end) = (0, held);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that so many bytes were read into [`space`](Reader::space).
    pub fn filled(&mut self, bytes: usize) {
        self.end = self.buffer.len().min(self.end + bytes);
        self.brimful = self.end == self.buffer.len();
    }

    /// How many bytes the frame under way lacks, as far as is known: of its header first, then of the rest. 0: the next frame is there, or
    /// the error that stands in its place.
    #[must_use]
    pub fn lacks(&self) -> usize {
        let held = self.end - self.start;
        match self.under_way() {
            Ok(None) => HEADER - held,
            Ok(Some((begin, header))) => (begin + header.length).saturating_sub(held),
            Err(_) => 0,
        }
    }

    /// Whether bytes are held that no frame was made of yet. Where the connection ends, or a request is over: something is cut off, or
    /// came unasked.
    #[must_use]
    pub const fn has_partial(&self) -> bool {
        self.start < self.end
    }

    /// The next frame of a child; none where more bytes are needed.
    ///
    /// # Errors
    /// What is wrong with the bytes; the same again at every later call.
    pub fn next_child(&mut self) -> Result<Option<FromChild<'_>>, FrameError> {
        let Some((header, payload)) = self.take()? else { return Ok(None) };
        let frame = child::decode(header, self.buffer.get(payload).unwrap_or_default());
        settle_child(&mut self.stage, &mut self.failed, frame)
    }

    /// Where the next frame is a BODY of which the header is here: takes the header. The payload comes next, by
    /// [`take_body`](Reader::take_body), or past this reader ([`body_passed`](Reader::body_passed)); what nobody takes is the next
    /// frame, a BODY of so much. Answers whether it is one.
    ///
    /// # Errors
    /// As [`next_child`](Reader::next_child).
    pub fn open_body(&mut self) -> Result<bool, FrameError> {
        let under_way = self.under_way().inspect_err(|error| self.failed = Some(error.clone()))?;
        let Some((HEADER, Header { kind: Kind::Body, length, .. })) = under_way else { return Ok(false) };
        self.start += HEADER;
        self.left = length;
        self.stage = Stage::Body;
        Ok(true)
    }

    /// How much of the opened BODY is not taken yet.
    #[must_use]
    pub const fn body_left(&self) -> usize {
        self.left
    }

    /// Takes what is held of the opened BODY, as much as there is room for.
    pub fn take_body(&mut self, room: &mut [u8]) -> usize {
        let count = self.left.min(self.end - self.start).min(room.len());
        if let Some((to, from)) = room.get_mut(..count).zip(self.buffer.get(self.start..self.start + count)) {
            to.copy_from_slice(from);
        }
        self.start += count;
        self.left -= count;
        count
    }

    /// So many bytes of the opened BODY were read by the owner of the connection to where they are wanted. Only where nothing is held.
    pub const fn body_passed(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count);
    }

    /// As [`next_child`](Reader::next_child), with the frame's bytes moved to `own`, so that reading can go on while the frame is in use:
    /// for a REQUEST, during which BODY frames come. `own` may be used again and again.
    ///
    /// # Errors
    /// As there.
    pub fn take_child<'o>(&mut self, own: &'o mut Vec<u8>) -> Result<Option<FromChild<'o>>, FrameError> {
        let Some((header, payload)) = self.take()? else { return Ok(None) };
        own.clear();
        own.shrink_to(KEPT);
        own.extend_from_slice(self.buffer.get(payload).unwrap_or_default());
        settle_child(&mut self.stage, &mut self.failed, child::decode(header, own))
    }

    /// The next frame of a worker; none where more bytes are needed.
    ///
    /// # Errors
    /// What is wrong with the bytes; the same again at every later call.
    pub fn next_worker(&mut self) -> Result<Option<FromWorker<'_>>, FrameError> {
        let Some((header, payload)) = self.take()? else { return Ok(None) };
        let frame = worker::decode(header, self.buffer.get(payload).unwrap_or_default(), self.header_line);
        let frame = frame.and_then(|frame| {
            self.stage = self.stage.after_worker(&frame)?;
            Ok(frame)
        });
        if let Err(error) = &frame {
            self.failed = Some(error.clone());
        }
        frame.map(Some)
    }

    /// The payloads of the DATA frames that are here as a whole, as long as each has at least so many bytes. They are taken.
    pub fn take_data(&mut self, least: usize) -> Vec<&[u8]> {
        let mut payloads = Vec::new();
        while let Ok(Some((begin, Header { kind: Kind::Data, length, .. }))) = self.under_way()
            && length >= least
            && begin + length <= self.end - self.start
        {
            payloads.push(self.start + begin..self.start + begin + length);
            self.start += begin + length;
        }
        payloads.into_iter().filter_map(|payload| self.buffer.get(payload)).collect()
    }

    /// Takes the next frame out of what came, if it is whole: its header, and where its payload lies until the next
    /// [`space`](Reader::space).
    fn take(&mut self) -> Result<Option<(Header, Range<usize>)>, FrameError> {
        let under_way = self.under_way().inspect_err(|error| self.failed = Some(error.clone()))?;
        match under_way {
            Some((begin, header)) if begin + header.length <= self.end - self.start => {
                let payload = self.start + begin..self.start + begin + header.length;
                (self.start, self.left) = (payload.end, 0);
                Ok(Some((header, payload)))
            }
            Some(_) | None => {
                self.give_back();
                Ok(None)
            }
        }
    }

    /// The frame under way, once all of its header came: where its payload begins, behind `start`, and its header.
    fn under_way(&self) -> Result<Option<(usize, Header)>, FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.left > 0 {
            return Ok(Some((0, Header { kind: Kind::Body, flags: 0, length: self.left })));
        }
        let held = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some(bytes) = held.first_chunk() else { return Ok(None) };
        let header = Header::parse(*bytes)?;
        if self.stage.admits(header.kind) {
            Ok(Some((HEADER, header)))
        } else {
            Err(FrameError::OutOfOrder { kind: header.kind })
        }
    }

    /// Begins again at the front of the buffer where nothing is held, and frees one that a large frame left.
    fn give_back(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > KEPT {
                self.buffer = Vec::new();
            }
        }
    }
}

fn settle_child<'a>(
    stage: &mut Stage,
    failed: &mut Option<FrameError>,
    frame: Result<FromChild<'a>, FrameError>,
) -> Result<Option<FromChild<'a>>, FrameError> {
    match &frame {
        Ok(frame) => *stage = stage.after_child(frame),
        Err(error) => *failed = Some(error.clone()),
    }
    frame.map(Some)
}
