//! What is wrong with a frame, and the names of frames.

use std::fmt;

/// The kinds of frames; the numbers are those on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Hello = 1,
    Request = 2,
    Body = 3,
    BodyEnd = 4,
    BodyError = 5,
    WantBody = 17,
    Refused = 18,
    Head = 19,
    Data = 20,
    File = 21,
    Log = 22,
    End = 23,
    Interim = 24,
    Window = 25,
    Part = 26,
}

impl Kind {
    pub(super) const ALL: [Kind; 15] = [
        Kind::Hello,
        Kind::Request,
        Kind::Body,
        Kind::BodyEnd,
        Kind::BodyError,
        Kind::WantBody,
        Kind::Refused,
        Kind::Head,
        Kind::Data,
        Kind::File,
        Kind::Log,
        Kind::End,
        Kind::Interim,
        Kind::Window,
        Kind::Part,
    ];

    pub(super) const fn number(self) -> u8 {
        self as u8
    }

    pub(super) fn of(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// As `docs/protocol.md` spells them.
impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Kind::Hello => "HELLO",
            Kind::Request => "REQUEST",
            Kind::Body => "BODY",
            Kind::BodyEnd => "BODY_END",
            Kind::BodyError => "BODY_ERROR",
            Kind::WantBody => "WANT_BODY",
            Kind::Refused => "REFUSED",
            Kind::Head => "HEAD",
            Kind::Data => "DATA",
            Kind::File => "FILE",
            Kind::Log => "LOG",
            Kind::End => "END",
            Kind::Interim => "INTERIM",
            Kind::Window => "WINDOW",
            Kind::Part => "PART",
        })
    }
}

/// Why bytes are no frame that may come now, or a frame can't be written. After a reading error nothing more can be read: the place where
/// the next frame would begin is not known, or the peer does not keep to the order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of the unknown kind {kind}")]
    UnknownKind { kind: u8 },
    #[error("a {kind} frame with unknown flags {flags:#04x}")]
    UnknownFlags { kind: Kind, flags: u8 },
    #[error("a {kind} frame whose reserved bytes are not zero")]
    Reserved { kind: Kind },
    /// The peer speaks another version; [`super::VERSION`] is ours.
    #[error("a HELLO frame of version {theirs}, where {ours} is spoken", ours = super::VERSION)]
    Version { theirs: u16 },
    #[error("a {kind} frame where none may come")]
    OutOfOrder { kind: Kind },
    #[error("a {kind} frame of {length} bytes, where at most {limit} are allowed")]
    TooLong { kind: Kind, length: usize, limit: usize },
    #[error("a {kind} frame of {length} bytes, where there must be {expected}")]
    WrongLength { kind: Kind, length: usize, expected: usize },
    /// A length inside the frame runs over its end.
    #[error("a {kind} frame that ends inside its {field}")]
    Truncated { kind: Kind, field: &'static str },
    #[error("a {kind} frame with bytes behind its last field")]
    Surplus { kind: Kind },
    #[error("a {kind} frame with an impossible {field}")]
    Value { kind: Kind, field: &'static str },
    /// A line of a response's head is longer than the reader allows (`header-buffer-size`).
    #[error(
        "the response header \"{name}\" makes a line of {length} bytes, where at most {limit} are allowed (header-buffer-size)"
    )]
    HeaderTooLarge { name: String, length: usize, limit: usize },
}
