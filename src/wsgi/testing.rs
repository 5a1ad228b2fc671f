//! A [`Host`] with a script, for unit tests: gives the body in the pieces it is told, notes what it is asked to send.

use std::collections::VecDeque;
use std::fs::File;

use super::{Gone, Head, Hints, Host, InputError, Level, Then};

/// What was done to the host, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Did {
    Hint(usize),
    Head(u16, Vec<(String, String)>),
    Send(String, Then),
    File(u64, u64, Then),
    Abort,
    Log(Level, String),
}

/// Plays a client: its body comes in pieces; it goes after so many sends, if told so.
#[derive(Default)]
pub(super) struct Scripted {
    pub(super) body: VecDeque<Result<Vec<u8>, InputError>>,
    pub(super) reads: usize,
    pub(super) sends_until_gone: Option<usize>,
    pub(super) did: Vec<Did>,
}

impl Scripted {
    pub(super) fn body(pieces: &[&str]) -> Scripted {
        let body = pieces.iter().map(|piece| Ok(piece.as_bytes().to_vec())).collect();
        Scripted { body, ..Scripted::default() }
    }

    fn count_send(&mut self) -> Result<(), Gone> {
        match &mut self.sends_until_gone {
            Some(0) => Err(Gone),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Host for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, InputError> {
        self.reads += 1;
        let Some(piece) = self.body.pop_front() else { return Ok(0) };
        let mut piece = piece?;
        let taken = piece.len().min(buffer.len());
        let rest = piece.split_off(taken);
        buffer[..taken].copy_from_slice(&piece);
        if !rest.is_empty() {
            self.body.push_front(Ok(rest));
        }
        Ok(taken)
    }

    fn hint(&mut self, hints: &Hints) {
        self.did.push(Did::Hint(hints.headers().iter().count()));
    }

    fn head(&mut self, head: &Head) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = head.headers().iter().map(|(name, value)| (text(name), text(value))).collect();
        self.did.push(Did::Head(head.code(), headers));
    }

    fn send(&mut self, data: &[u8], then: Then) -> Result<(), Gone> {
        self.count_send()?;
        self.did.push(Did::Send(String::from_utf8_lossy(data).into_owned(), then));
        Ok(())
    }

    fn send_file(&mut self, _file: File, offset: u64, length: u64, then: Then) -> Result<(), Gone> {
        self.count_send()?;
        self.did.push(Did::File(offset, length, then));
        Ok(())
    }

    fn abort(&mut self) {
        self.did.push(Did::Abort);
    }

    fn logs(&self, _: Level) -> bool {
        true
    }

    fn log(&mut self, level: Level, line: &[u8]) {
        self.did.push(Did::Log(level, String::from_utf8_lossy(line).into_owned()));
    }
}
