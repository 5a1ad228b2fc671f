//! What a worker says to httpd's child.

use super::entries::Headers;
use super::fields::{Fields, put_counted};
use super::frame::{HEADER, Header, LOG_MOST, WINDOW_MOST, append, header};
use super::{FrameError, Kind};

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All of it was sent.
    Complete,
    /// It can't be completed: the child must let the client see that it was cut off. The cause is logged.
    Aborted,
    /// No head was sent: an error page with this status (400 to 599) is due. The cause is logged.
    Status(u16),
}

const COMPLETE: u8 = 0;
const ABORTED: u8 = 1;
const STATUS: u8 = 2;

/// A frame from a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromWorker<'a> {
    /// Asks for up to so many bytes of the body. 0: only begin to read it (`100 Continue`).
    WantBody(u32),
    /// The request was not begun and will not be: send it elsewhere.
    Refused,
    /// Headers of a 103, to be sent ahead of the response. Made by [`encode_interim`] where they are not decoded ones.
    Interim {
        headers: Headers<'a>,
    },
    /// Status line and headers. Made by [`encode_head`] where the headers are not decoded ones.
    Head {
        status_line: &'a [u8],
        headers: Headers<'a>,
    },
    /// Bytes of the answer's body, at most [`super::DATA_MOST`].
    Data(&'a [u8]),
    /// So many bytes of a regular file from an offset; the descriptor travels beside the frame's first byte.
    File {
        offset: u64,
        length: u64,
    },
    /// The memory behind the descriptor that travels beside the frame is the connection's window from now on: so many bytes, at most
    /// [`super::WINDOW_MOST`]. Once on a connection.
    Window {
        size: u32,
    },
    /// Bytes of the answer's body: these of the window, at least one. They stay as they are until the next REQUEST. Made by [`part`] as well.
    Part {
        offset: u32,
        length: u32,
    },
    /// A record for the log of the request's virtual host: httpd's number of the level (2 crit to 8 trace1) and a line without its end.
    Log {
        level: u8,
        line: &'a [u8],
    },
    End(End),
}

impl FromWorker<'_> {
    /// Appends the frame; several may be gathered for one write. A long log line becomes several LOG frames, so several records.
    ///
    /// # Errors
    /// Where the child would refuse it: a head or data over its limit, a file's end beyond `i64::MAX`, a level or a status outside of its
    /// range. Nothing is appended then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        match self {
            FromWorker::WantBody(bytes) => append(out, Kind::WantBody, 0, |out| {
                out.extend_from_slice(&bytes.to_le_bytes());
                Ok(())
            }),
            FromWorker::Refused => append(out, Kind::Refused, 0, |_| Ok(())),
            FromWorker::Interim { headers } => encode_interim(out, headers.clone()),
            FromWorker::Head { status_line, headers } => encode_head(out, status_line, headers.clone()),
            FromWorker::Data(bytes) => append(out, Kind::Data, 0, |out| {
                out.extend_from_slice(bytes);
                Ok(())
            }),
            FromWorker::File { offset, length } => append(out, Kind::File, 0, |out| {
                check_range(*offset, *length)?;
                out.extend_from_slice(&offset.to_le_bytes());
                out.extend_from_slice(&length.to_le_bytes());
                Ok(())
            }),
            FromWorker::Window { size } => append(out, Kind::Window, 0, |out| {
                check_window(*size)?;
                out.extend_from_slice(&size.to_le_bytes());
                Ok(())
            }),
            FromWorker::Part { offset, length } => {
                check_part(*offset, *length)?;
                out.extend_from_slice(&part(*offset, *length));
                Ok(())
            }
            FromWorker::Log { level, line } => {
                check_level(*level)?;
                let mut rest = *line;
                loop {
                    let (piece, more) = rest.split_at(cut(rest, LOG_MOST - 1));
                    append(out, Kind::Log, 0, |out| {
                        out.push(*level);
                        out.extend_from_slice(piece);
                        Ok(())
                    })?;
                    rest = more;
                    if rest.is_empty() {
                        return Ok(());
                    }
                }
            }
            FromWorker::End(end) => append(out, Kind::End, 0, |out| {
                let (code, status) = match end {
                    End::Complete => (COMPLETE, 0),
                    End::Aborted => (ABORTED, 0),
                    End::Status(status) => (STATUS, check_status(*status)?),
                };
                out.push(code);
                out.extend_from_slice(&status.to_le_bytes());
                Ok(())
            }),
        }
    }
}

/// Appends a HEAD with headers from any iterator.
///
/// # Errors
/// Where it is longer than [`super::HEAD_MOST`]. Nothing is appended then.
pub fn encode_head<'h>(
    out: &mut Vec<u8>,
    status_line: &[u8],
    headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
) -> Result<(), FrameError> {
    append(out, Kind::Head, 0, |out| {
        put_counted(out, status_line);
        put_headers(out, headers);
        Ok(())
    })
}

/// Appends an INTERIM with headers from any iterator.
///
/// # Errors
/// Where it is longer than [`super::INTERIM_MOST`]. Nothing is appended then.
pub fn encode_interim<'h>(
    out: &mut Vec<u8>,
    headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
) -> Result<(), FrameError> {
    append(out, Kind::Interim, 0, |out| {
        put_headers(out, headers);
        Ok(())
    })
}

fn put_headers<'h>(out: &mut Vec<u8>, headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>) {
    for (name, value) in headers {
        put_counted(out, name);
        put_counted(out, value);
    }
}

/// The header alone of a DATA frame with so many bytes (at most [`super::DATA_MOST`], else the child refuses it): for `writev`, where the
/// bytes go out from where they lie.
#[must_use]
pub fn data_header(length: usize) -> [u8; 8] {
    const { assert!(HEADER == 8) };
    header(Kind::Data, 0, length)
}

/// Bytes of a PART.
pub const PART: usize = HEADER + 8;

/// A PART; one whose length is 0, or that ends beyond [`super::WINDOW_MOST`], the child refuses.
#[must_use]
pub fn part(offset: u32, length: u32) -> [u8; PART] {
    let mut frame = [0; PART];
    let (front, numbers) = frame.split_at_mut(HEADER);
    front.copy_from_slice(&header(Kind::Part, 0, PART - HEADER));
    let (first, second) = numbers.split_at_mut(4);
    first.copy_from_slice(&offset.to_le_bytes());
    second.copy_from_slice(&length.to_le_bytes());
    frame
}

/// The frame with this header and payload, which has the header's length. A line of a HEAD may have `header_line` bytes less two, as
/// mod_wsgi's buffer of that size could hold.
pub(super) fn decode<'a>(header: Header, payload: &'a [u8], header_line: usize) -> Result<FromWorker<'a>, FrameError> {
    let kind = header.kind;
    let mut fields = Fields::new(kind, payload);
    let frame = match kind {
        Kind::WantBody => FromWorker::WantBody(u32::from_le_bytes(fields.array("size")?)),
        Kind::Refused => FromWorker::Refused,
        Kind::Interim => return Ok(FromWorker::Interim { headers: Headers::parse(kind, fields.rest())? }),
        Kind::Head => {
            let status_line = fields.counted("status line")?;
            let headers = Headers::parse(kind, fields.rest())?;
            check_line(b"Status", status_line, header_line)?;
            headers.clone().try_for_each(|(name, value)| check_line(name, value, header_line))?;
            return Ok(FromWorker::Head { status_line, headers });
        }
        Kind::Data => return Ok(FromWorker::Data(payload)),
        Kind::File => {
            let offset = u64::from_le_bytes(fields.array("offset")?);
            let length = u64::from_le_bytes(fields.array("length")?);
            check_range(offset, length)?;
            FromWorker::File { offset, length }
        }
        Kind::Window => {
            let size = u32::from_le_bytes(fields.array("size")?);
            check_window(size)?;
            FromWorker::Window { size }
        }
        Kind::Part => {
            let offset = u32::from_le_bytes(fields.array("offset")?);
            let length = u32::from_le_bytes(fields.array("length")?);
            check_part(offset, length)?;
            FromWorker::Part { offset, length }
        }
        Kind::Log => {
            let [level] = fields.array("level")?;
            check_level(level)?;
            return Ok(FromWorker::Log { level, line: fields.rest() });
        }
        Kind::End => {
            let [code] = fields.array("outcome")?;
            FromWorker::End(match (code, u16::from_le_bytes(fields.array("status")?)) {
                (COMPLETE, 0) => End::Complete,
                (ABORTED, 0) => End::Aborted,
                (STATUS, status) => End::Status(check_status(status)?),
                _ => return Err(FrameError::Value { kind, field: "outcome" }),
            })
        }
        _ => return Err(FrameError::OutOfOrder { kind }),
    };
    fields.end()?;
    Ok(frame)
}

fn check_line(name: &[u8], value: &[u8], header_line: usize) -> Result<(), FrameError> {
    let (length, limit) = (name.len() + ": ".len() + value.len(), header_line.saturating_sub(2));
    if length <= limit {
        return Ok(());
    }
    // The name may be what is too long.
    let name = String::from_utf8_lossy(name.get(..name.len().min(128)).unwrap_or_default()).into_owned();
    Err(FrameError::HeaderTooLarge { name, length, limit })
}

/// Offsets in files are signed for the system.
fn check_range(offset: u64, length: u64) -> Result<(), FrameError> {
    let end = offset.checked_add(length).and_then(|end| i64::try_from(end).ok());
    end.map(|_| ()).ok_or(FrameError::Value { kind: Kind::File, field: "range" })
}

fn check_window(size: u32) -> Result<(), FrameError> {
    let possible = size > 0 && usize::try_from(size).is_ok_and(|size| size <= WINDOW_MOST);
    if possible { Ok(()) } else { Err(FrameError::Value { kind: Kind::Window, field: "size" }) }
}

fn check_part(offset: u32, length: u32) -> Result<(), FrameError> {
    let end = offset.checked_add(length).and_then(|end| usize::try_from(end).ok());
    let possible = length > 0 && end.is_some_and(|end| end <= WINDOW_MOST);
    if possible { Ok(()) } else { Err(FrameError::Value { kind: Kind::Part, field: "range" }) }
}

fn check_level(level: u8) -> Result<(), FrameError> {
    if (2..=8).contains(&level) { Ok(()) } else { Err(FrameError::Value { kind: Kind::Log, field: "level" }) }
}

fn check_status(status: u16) -> Result<u16, FrameError> {
    if (400..=599).contains(&status) { Ok(status) } else { Err(FrameError::Value { kind: Kind::End, field: "status" }) }
}

/// Where to cut a line that is longer than `most`: not inside a character, where it is UTF-8.
fn cut(line: &[u8], most: usize) -> usize {
    if line.len() <= most {
        return line.len();
    }
    let inside = |at: usize| line.get(at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    (most.saturating_sub(3)..=most).rev().find(|at| !inside(*at)).unwrap_or(most)
}
