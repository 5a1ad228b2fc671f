//! What httpd's child says to a worker.

use std::fmt;

use super::fields::Fields;
use super::frame::{BODY_ERROR_MOST, HEADER, Header, append, header};
use super::request;
use super::{FrameError, Kind, Request, VERSION};

/// The header alone of a BODY frame with so many bytes (at most [`super::BODY_MOST`], else the worker refuses it), where they stay in the
/// memory that they were read into.
#[must_use]
pub fn body_header(length: usize) -> [u8; 8] {
    const { assert!(HEADER == 8) };
    header(Kind::Body, 0, length)
}

/// The first frame on each connection: shows that the peer is a child of the httpd that started the worker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The secret of the group, known to httpd's processes and the group's workers.
    pub secret: [u8; 32],
    /// The connection's own among all that the group's workers know: by it the child finds its mark on the board.
    pub connection: u64,
}

impl Hello {
    /// Whether the secret is this one. How long it takes does not depend on where they differ.
    #[must_use]
    pub fn shows(&self, secret: &[u8; 32]) -> bool {
        let differing = self.secret.iter().zip(secret).fold(0, |seen, (theirs, ours)| seen | (theirs ^ ours));
        std::hint::black_box(differing) == 0
    }
}

/// Does not show the secret: debug output ends in logs.
impl fmt::Debug for Hello {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Hello").finish_non_exhaustive()
    }
}

/// Why the body can't be read on: `wsgi::InputError` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError<'a> {
    TooLarge,
    Timeout,
    ClientGone,
    /// Anything else, in httpd's words.
    Failed(&'a str),
}

const TOO_LARGE: u8 = 1;
const TIMEOUT: u8 = 2;
const CLIENT_GONE: u8 = 3;
const FAILED: u8 = 4;

/// A frame from httpd's child.
#[derive(Clone, Debug, PartialEq)]
pub enum FromChild<'a> {
    Hello(Hello),
    Request(Request<'a>),
    /// Bytes of the body, the answer to WANT_BODY; at most as many as it asked for and [`super::BODY_MOST`].
    Body(&'a [u8]),
    /// The body has no more bytes.
    BodyEnd,
    BodyError(BodyError<'a>),
}

impl FromChild<'_> {
    /// Appends the frame; several may be gathered for one write. The text of a [`BodyError::Failed`] is cut where it is too long.
    ///
    /// # Errors
    /// Where the worker would refuse it: a `Request` or `Body` over its limit. Nothing is appended then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        match self {
            FromChild::Hello(hello) => append(out, Kind::Hello, 0, |out| {
                out.extend_from_slice(&VERSION.to_le_bytes());
                out.extend_from_slice(&hello.secret);
                out.extend_from_slice(&hello.connection.to_le_bytes());
                Ok(())
            }),
            FromChild::Request(request) => request.clone().encode(out),
            FromChild::Body(bytes) => append(out, Kind::Body, 0, |out| {
                out.extend_from_slice(bytes);
                Ok(())
            }),
            FromChild::BodyEnd => append(out, Kind::BodyEnd, 0, |_| Ok(())),
            FromChild::BodyError(error) => append(out, Kind::BodyError, 0, |out| {
                let (code, text) = match error {
                    BodyError::TooLarge => (TOO_LARGE, ""),
                    BodyError::Timeout => (TIMEOUT, ""),
                    BodyError::ClientGone => (CLIENT_GONE, ""),
                    BodyError::Failed(text) => (FAILED, *text),
                };
                out.push(code);
                let fits = text.floor_char_boundary(BODY_ERROR_MOST - 1);
                out.extend_from_slice(text.get(..fits).unwrap_or_default().as_bytes());
                Ok(())
            }),
        }
    }
}

/// The frame with this header and payload, which has the header's length.
pub(super) fn decode<'a>(header: Header, payload: &'a [u8]) -> Result<FromChild<'a>, FrameError> {
    let kind = header.kind;
    let mut fields = Fields::new(kind, payload);
    let frame = match kind {
        Kind::Hello => {
            let theirs = u16::from_le_bytes(fields.array("version")?);
            if theirs != VERSION {
                return Err(FrameError::Version { theirs });
            }
            FromChild::Hello(Hello {
                secret: fields.array("secret")?,
                connection: u64::from_le_bytes(fields.array("connection")?),
            })
        }
        Kind::Request => return request::decode(header, payload).map(FromChild::Request),
        Kind::Body => return Ok(FromChild::Body(payload)),
        Kind::BodyEnd => FromChild::BodyEnd,
        Kind::BodyError => {
            let [code] = fields.array("code")?;
            FromChild::BodyError(match code {
                TOO_LARGE => BodyError::TooLarge,
                TIMEOUT => BodyError::Timeout,
                CLIENT_GONE => BodyError::ClientGone,
                FAILED => {
                    let text = std::str::from_utf8(fields.rest());
                    let text = text.map_err(|_| FrameError::Value { kind, field: "text" })?;
                    return Ok(FromChild::BodyError(BodyError::Failed(text)));
                }
                _ => return Err(FrameError::Value { kind, field: "code" }),
            })
        }
        _ => return Err(FrameError::OutOfOrder { kind }),
    };
    fields.end()?;
    Ok(frame)
}
