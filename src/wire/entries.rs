//! Lists of keys and values inside a payload: the entries of environ, the headers of a response.
//!
//! Checked once, when the frame is decoded; reading them afterwards can't fail.

use super::fields::{counted, length, put_counted};
use super::{FrameError, Kind};

/// The length that stands for "no value".
const NO_VALUE: u32 = u32::MAX;

type Entry<'a> = (&'a [u8], Option<&'a [u8]>);
type Line<'a> = (&'a [u8], &'a [u8]);

/// Entries of environ in order; a missing value is shown as `None` in Python. Keys may repeat: the last wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    pub(super) fn parse(kind: Kind, bytes: &'a [u8]) -> Result<Entries<'a>, FrameError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            (_, rest) = entry(rest).ok_or(FrameError::Truncated { kind, field: "environ" })?;
        }
        Ok(Entries { rest: bytes })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (found, rest) = entry(self.rest)?;
        self.rest = rest;
        Some(found)
    }
}

fn entry(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (key, rest) = counted(bytes)?;
    if let Some((NO_VALUE, rest)) = length(rest) {
        return Some(((key, None), rest));
    }
    let (value, rest) = counted(rest)?;
    Some(((key, Some(value)), rest))
}

pub(super) fn put_entry(out: &mut Vec<u8>, (key, value): Entry<'_>) {
    put_counted(out, key);
    match value {
        Some(value) => put_counted(out, value),
        None => out.extend_from_slice(&NO_VALUE.to_le_bytes()),
    }
}

/// Headers of a response in order, name and value; names may repeat. Only lengths are checked: what a name and a value may hold is
/// `wsgi::Head`'s matter, and the child must ask it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    pub(super) fn parse(kind: Kind, bytes: &'a [u8]) -> Result<Headers<'a>, FrameError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            (_, rest) = line(rest).ok_or(FrameError::Truncated { kind, field: "headers" })?;
        }
        Ok(Headers { rest: bytes })
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let (found, rest) = line(self.rest)?;
        self.rest = rest;
        Some(found)
    }
}

fn line(bytes: &[u8]) -> Option<(Line<'_>, &[u8])> {
    let (name, rest) = counted(bytes)?;
    let (value, rest) = counted(rest)?;
    Some(((name, value), rest))
}
