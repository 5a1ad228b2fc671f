//! What the values of `WSGIDaemonProcess` options may be: read strictly, with the sentence for those that can't stand.

use std::time::Duration;

use super::super::words::on_off;
use super::super::{DaemonOptions, Range};
use super::seconds;

/// Where an option is kept.
pub(super) type Of<T> = fn(&mut DaemonOptions) -> &mut T;

/// What may stand after `=`, and where it goes.
#[derive(Clone, Copy)]
pub(super) enum Value {
    Text(Of<Option<Vec<u8>>>),
    /// A path from `/` on.
    Absolute(Of<Option<Vec<u8>>>),
    /// A user or group: a name, or `#` and a number.
    Account(Of<Option<Vec<u8>>>),
    /// The same, parted by commas.
    Accounts(Of<Vec<Vec<u8>>>),
    /// Paths parted by `:`.
    Paths(Of<Vec<Vec<u8>>>),
    Switch(Of<Option<bool>>),
    Count(Range, Of<Option<u32>>),
    Signed(Range, Of<Option<i32>>),
    Size(Range, Of<Option<u64>>),
    Seconds(Of<Option<Duration>>),
    Milliseconds(Of<Option<Duration>>),
    /// Seconds with a fraction, above 0.
    Interval(Of<Option<Duration>>),
    /// Digits from 0 to 7.
    Octal(Of<Option<u32>>),
}

/// What an `int` of C takes from 0 on; the limit of C mod_wsgi's times and counts.
pub(super) const INT: Range = Range { least: 0, most: 2_147_483_647, or_zero: false };
pub(super) const LARGE: Range = Range { most: i64::MAX, ..INT };
/// Each process has a socket that httpd's parent and children keep open: more than this is a slip.
pub(super) const PROCESSES: Range = Range { least: 1, most: 65_535, ..INT };
pub(super) const THREADS: Range = Range { most: 65_533, ..INT };
pub(super) const PRIORITY: Range = Range { least: -2_147_483_648, ..INT };
/// The kernel's `NGROUPS_MAX` without the primary group.
const MOST_GROUPS: usize = 65_535;

pub(super) const fn zero_or_from(least: i64) -> Range {
    Range { least, or_zero: true, ..INT }
}

impl Value {
    /// Those that C mod_wsgi takes as they are (reference 2.2).
    pub(super) const fn may_be_empty(self) -> bool {
        matches!(self, Self::Text(_) | Self::Paths(_) | Self::Accounts(_))
    }

    /// The numbers that may stand.
    pub(super) const fn range(self) -> Option<Range> {
        match self {
            Self::Count(range, _) | Self::Signed(range, _) | Self::Size(range, _) => Some(range),
            Self::Seconds(_) | Self::Milliseconds(_) => Some(INT),
            Self::Text(_)
            | Self::Absolute(_)
            | Self::Account(_)
            | Self::Accounts(_)
            | Self::Paths(_)
            | Self::Switch(_)
            | Self::Interval(_)
            | Self::Octal(_) => None,
        }
    }

    /// Puts what is written where it belongs, or says what may be written.
    pub(super) fn read(self, text: &[u8], set: &mut DaemonOptions) -> Result<(), String> {
        match self {
            Self::Text(of) => *of(set) = Some(text.to_vec()),
            Self::Absolute(of) if text.starts_with(b"/") => *of(set) = Some(text.to_vec()),
            Self::Absolute(_) => return Err("write the path from / on".to_owned()),
            Self::Account(of) => *of(set) = Some(account(text)?),
            Self::Accounts(of) => *of(set) = accounts(text)?,
            Self::Paths(of) => *of(set) = parts(text, b':').map(<[u8]>::to_vec).collect(),
            Self::Switch(of) => *of(set) = Some(on_off(text).ok_or("write On or Off")?),
            Self::Count(range, of) => *of(set) = Some(number(text, range)?),
            Self::Signed(range, of) => *of(set) = Some(number(text, range)?),
            Self::Size(range, of) => *of(set) = Some(number(text, range)?),
            Self::Seconds(of) => *of(set) = Some(Duration::from_secs(number(text, INT)?)),
            Self::Milliseconds(of) => *of(set) = Some(Duration::from_millis(number(text, INT)?)),
            Self::Interval(of) => {
                *of(set) = Some(seconds(text).ok_or("write a number of seconds above 0, such as 0.005")?);
            }
            Self::Octal(of) => *of(set) = Some(octal(text).ok_or("write an octal number up to 7777, such as 0022")?),
        }
        Ok(())
    }
}

/// A user or group as written.
fn account(text: &[u8]) -> Result<Vec<u8>, String> {
    let fits = match text.strip_prefix(b"#") {
        None => !text.is_empty(),
        // The greatest number means "leave it as it is" to the system's calls.
        Some(digits) => whole(digits).is_some_and(|id| (0..i64::from(u32::MAX)).contains(&id)),
    };
    if fits { Ok(text.to_vec()) } else { Err("write a name, or # and a number, such as #1000".to_owned()) }
}

/// Users or groups parted by commas. Empty parts are left out, as C mod_wsgi does; but a list says something.
fn accounts(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let names: Vec<Vec<u8>> = parts(text, b',').map(account).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err("write names, parted by commas".to_owned());
    }
    if names.len() > MOST_GROUPS { Err(format!("the system takes at most {MOST_GROUPS}")) } else { Ok(names) }
}

/// What stands between the separators, without empty parts.
fn parts(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    text.split(move |byte| *byte == separator).filter(|part| !part.is_empty())
}

/// A number taken whole and in its range, as the field has it.
fn number<N: TryFrom<i64>>(text: &[u8], range: Range) -> Result<N, String> {
    whole(text)
        .filter(|number| range.holds(*number))
        .and_then(|number| N::try_from(number).ok())
        .ok_or_else(|| format!("write a whole number: {range}"))
}

fn whole(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Permission bits; the kernel leaves out those above 0777.
fn octal(text: &[u8]) -> Option<u32> {
    if !text.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(text).ok()?, 8).ok().filter(|bits| *bits <= 0o7777)
}
