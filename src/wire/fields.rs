//! The fields inside a payload: numbers in little endian, bytes behind their u32 length.

use super::{FrameError, Kind};

/// Takes fields off the front of a payload.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    kind: Kind,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn new(kind: Kind, payload: &'a [u8]) -> Fields<'a> {
        Fields { kind, rest: payload }
    }

    /// So many bytes.
    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], FrameError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(self.truncated(field))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// So many bytes, as they lie there.
    pub(super) fn bytes(&mut self, field: &'static str, length: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(self.truncated(field))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Bytes behind their length.
    pub(super) fn counted(&mut self, field: &'static str) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = counted(self.rest).ok_or(self.truncated(field))?;
        self.rest = rest;
        Ok(taken)
    }

    /// A time or duration in seconds: never negative, never endless.
    pub(super) fn seconds(&mut self, field: &'static str) -> Result<f64, FrameError> {
        check_seconds(self.kind, field, f64::from_le_bytes(self.array(field)?))
    }

    /// All that is left.
    pub(super) const fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Fails where anything is left.
    pub(super) const fn end(&self) -> Result<(), FrameError> {
        if self.rest.is_empty() { Ok(()) } else { Err(FrameError::Surplus { kind: self.kind }) }
    }

    const fn truncated(&self, field: &'static str) -> FrameError {
        FrameError::Truncated { kind: self.kind, field }
    }
}

/// Bytes behind their length, and what follows them; none where `bytes` is too short for it.
pub(super) fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = length(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// A length, and what follows it.
pub(super) fn length(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*length), rest))
}

/// Appends bytes behind their length. Longer ones than a u32 can say make the frame too long anyway.
pub(super) fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes);
    out.extend_from_slice(bytes);
}

fn put_length(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
}

/// The rule for seconds, the same for both directions: `Duration` could not hold others.
pub(super) fn check_seconds(kind: Kind, field: &'static str, seconds: f64) -> Result<f64, FrameError> {
    if seconds.is_finite() && seconds.is_sign_positive() { Ok(seconds) } else { Err(FrameError::Value { kind, field }) }
}
