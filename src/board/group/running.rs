//! Requests under way, as lines of a log name them.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// A request that a thread of a worker serves. All of it is the worker's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// None: the worker was just writing it down.
    pub(super) age: Option<Duration>,
    pub(super) method: Vec<u8>,
    pub(super) path: Vec<u8>,
    /// There was more of the path.
    pub(super) is_cut: bool,
    pub(super) id: Vec<u8>,
}

impl Running {
    pub(super) fn beginning() -> Running {
        Running { age: None, method: Vec::new(), path: Vec::new(), is_cut: false, id: Vec::new() }
    }
}

/// So many are named; of the others there is the number.
const NAMED: usize = 5;

/// `GET /a (3.2 s), POST /b (0.1 s) and 12 more`.
#[derive(Clone, Copy, Debug)]
pub struct List<'r>(pub &'r [Running]);

impl Display for List<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for (place, one) in self.0.iter().take(NAMED).enumerate() {
            if place > 0 {
                out.write_str(", ")?;
            }
            write!(out, "{one}")?;
        }
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(out, " and {more} more"),
        }
    }
}

impl Display for Running {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Some(age) = self.age else { return out.write_str("a request that was just beginning") };
        let cut = if self.is_cut { "..." } else { "" };
        write!(out, "{} {}{cut} ({:.1} s", Escaped(&self.method), Escaped(&self.path), age.as_secs_f64())?;
        if !self.id.is_empty() {
            write!(out, ", request {}", Escaped(&self.id))?;
        }
        out.write_str(")")
    }
}

/// As in a URL: what could break a line, or pass for a part of it, is percent-encoded.
struct Escaped<'t>(&'t [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => write!(out, "{}", char::from(*byte))?,
                byte if b"-._~/:@!$&'*+=".contains(byte) => write!(out, "{}", char::from(*byte))?,
                byte => write!(out, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}
