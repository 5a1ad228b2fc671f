//! The header that each frame begins with, the lengths that each kind may have, and which kind may follow which.

use super::{End, FrameError, FromChild, FromWorker, Kind};

/// Bytes of a frame's header: kind, flags, two zero bytes, length of the rest (u32, little endian).
pub const HEADER: usize = 8;

/// The most payload bytes of a REQUEST; httpd's own limits for request heads end long before.
pub const REQUEST_MOST: usize = 16 * 1024 * 1024;
/// The most bytes of a body that travels with its REQUEST.
pub const WHOLE_MOST: usize = 16 * 1024;
/// The most payload bytes of a BODY.
pub const BODY_MOST: usize = 1024 * 1024;
/// The most payload bytes of a HEAD, status line and lengths included.
pub const HEAD_MOST: usize = 1024 * 1024;
/// The most payload bytes of an INTERIM; `wsgi::Hints` end before.
pub const INTERIM_MOST: usize = 16 * 1024;
/// The most payload bytes of a DATA.
pub const DATA_MOST: usize = 1024 * 1024;
/// The most bytes of a window.
pub const WINDOW_MOST: usize = 1024 * 1024;
/// The most payload bytes of a LOG, its level included.
pub const LOG_MOST: usize = 8 * 1024;
/// The most payload bytes of a BODY_ERROR, its code included.
pub(super) const BODY_ERROR_MOST: usize = 8 * 1024;

pub(super) const REQUEST_FLAGS: u8 = 0b1_1111;

/// How long the payload of a kind may be.
enum Length {
    Exactly(usize),
    AtMost(usize),
}

impl Kind {
    const fn length(self) -> Length {
        match self {
            Kind::Hello => Length::Exactly(42),
            Kind::Request => Length::AtMost(REQUEST_MOST),
            Kind::Body => Length::AtMost(BODY_MOST),
            Kind::BodyError => Length::AtMost(BODY_ERROR_MOST),
            Kind::BodyEnd | Kind::Refused => Length::Exactly(0),
            Kind::WantBody | Kind::Window => Length::Exactly(4),
            Kind::Part => Length::Exactly(8),
            Kind::Head => Length::AtMost(HEAD_MOST),
            Kind::Interim => Length::AtMost(INTERIM_MOST),
            Kind::Data => Length::AtMost(DATA_MOST),
            Kind::File => Length::Exactly(16),
            Kind::Log => Length::AtMost(LOG_MOST),
            Kind::End => Length::Exactly(3),
        }
    }

    const fn flags(self) -> u8 {
        if matches!(self, Kind::Request) { REQUEST_FLAGS } else { 0 }
    }
}

/// Fails for a payload length that the kind can't have.
pub(super) fn check_length(kind: Kind, length: usize) -> Result<(), FrameError> {
    match kind.length() {
        Length::Exactly(expected) if length != expected => Err(FrameError::WrongLength { kind, length, expected }),
        Length::AtMost(limit) if length > limit => Err(FrameError::TooLong { kind, length, limit }),
        Length::Exactly(_) | Length::AtMost(_) => Ok(()),
    }
}

/// A frame's header whose every field is known to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) length: usize,
}

impl Header {
    pub(super) fn parse(bytes: [u8; HEADER]) -> Result<Header, FrameError> {
        let [number, flags, zero @ .., a, b, c, d] = bytes;
        let kind = Kind::of(number).ok_or(FrameError::UnknownKind { kind: number })?;
        if flags & !kind.flags() != 0 {
            return Err(FrameError::UnknownFlags { kind, flags });
        }
        if zero != [0; 2] {
            return Err(FrameError::Reserved { kind });
        }
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        check_length(kind, length)?;
        Ok(Header { kind, flags, length })
    }
}

/// The header of a frame; of a length that no frame may have the reader will complain.
pub(super) fn header(kind: Kind, flags: u8, length: usize) -> [u8; HEADER] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    [kind.number(), flags, 0, 0, a, b, c, d]
}

/// Appends a frame whose payload the closure writes; nothing at all where that fails, or the payload is longer than the kind allows.
pub(super) fn append(
    out: &mut Vec<u8>,
    kind: Kind,
    flags: u8,
    payload: impl FnOnce(&mut Vec<u8>) -> Result<(), FrameError>,
) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&header(kind, flags, 0));
    let written = payload(out).and_then(|()| {
        let length = out.len() - start - HEADER;
        check_length(kind, length)?;
        if let Some(place) = out.get_mut(start..start + HEADER) {
            place.copy_from_slice(&header(kind, flags, length));
        }
        Ok(())
    });
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// How far a conversation is, as seen from the frames of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A child's: nothing was said yet.
    Greeting,
    /// A child's: no body is under way.
    Between,
    /// A child's: the body of its request may come.
    Body,
    /// A worker's: it has not begun to answer.
    Waiting,
    /// A worker's: it has begun, the head is not sent.
    Begun,
    /// A worker's: behind the head.
    Answering,
}

impl Stage {
    /// Whether a frame of this kind may come now.
    pub(super) const fn admits(self, kind: Kind) -> bool {
        match self {
            Stage::Greeting => matches!(kind, Kind::Hello),
            Stage::Between => matches!(kind, Kind::Request),
            Stage::Body => matches!(kind, Kind::Request | Kind::Body | Kind::BodyEnd | Kind::BodyError),
            Stage::Waiting => {
                matches!(kind, Kind::WantBody | Kind::Refused | Kind::Interim | Kind::Head | Kind::Log | Kind::End)
            }
            Stage::Begun => matches!(kind, Kind::WantBody | Kind::Interim | Kind::Head | Kind::Log | Kind::End),
            Stage::Answering => {
                matches!(
                    kind,
                    Kind::WantBody | Kind::Window | Kind::Part | Kind::Data | Kind::File | Kind::Log | Kind::End
                )
            }
        }
    }

    /// The stage behind a child's frame.
    pub(super) const fn after_child(self, frame: &FromChild<'_>) -> Stage {
        match frame {
            FromChild::Hello(_) | FromChild::BodyEnd | FromChild::BodyError(_) => Stage::Between,
            FromChild::Request(request) if !request.body.follows() => Stage::Between,
            FromChild::Request(_) | FromChild::Body(_) => Stage::Body,
        }
    }

    /// The stage behind a worker's frame.
    ///
    /// # Errors
    /// An END whose outcome can't be: complete without a head, or an error page behind one.
    pub(super) const fn after_worker(self, frame: &FromWorker<'_>) -> Result<Stage, FrameError> {
        let headed = matches!(self, Stage::Answering);
        Ok(match frame {
            FromWorker::End(End::Complete) if !headed => return Err(IMPOSSIBLE_END),
            FromWorker::End(End::Status(_)) if headed => return Err(IMPOSSIBLE_END),
            FromWorker::End(_) | FromWorker::Refused => Stage::Waiting,
            FromWorker::Head { .. } => Stage::Answering,
            FromWorker::Interim { .. } => Stage::Begun,
            FromWorker::WantBody(_) if !headed => Stage::Begun,
            FromWorker::WantBody(_)
            | FromWorker::Window { .. }
            | FromWorker::Part { .. }
            | FromWorker::Data(_)
            | FromWorker::File { .. }
            | FromWorker::Log { .. } => self,
        })
    }
}

const IMPOSSIBLE_END: FrameError = FrameError::Value { kind: Kind::End, field: "outcome at this place" };

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole order at a glance; `docs/protocol.md` tells it in words.
    #[test]
    fn what_may_come_at_each_stage() {
        let rows: Vec<String> =
            [Stage::Greeting, Stage::Between, Stage::Body, Stage::Waiting, Stage::Begun, Stage::Answering]
                .into_iter()
                .map(|stage| {
                    let kinds: Vec<String> =
                        Kind::ALL.into_iter().filter(|kind| stage.admits(*kind)).map(|kind| kind.to_string()).collect();
                    format!("{stage:?}: {}", kinds.join(" "))
                })
                .collect();
        assert_eq!(
            rows,
            [
                "Greeting: HELLO",
                "Between: REQUEST",
                "Body: REQUEST BODY BODY_END BODY_ERROR",
                "Waiting: WANT_BODY REFUSED HEAD LOG END INTERIM",
                "Begun: WANT_BODY HEAD LOG END INTERIM",
                "Answering: WANT_BODY DATA FILE LOG END WINDOW PART",
            ]
        );
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        for kind in Kind::ALL {
            let length = match kind.length() {
                Length::Exactly(length) | Length::AtMost(length) => length,
            };
            let read = Header::parse(header(kind, kind.flags(), length));
            assert_eq!(read, Ok(Header { kind, flags: kind.flags(), length }));
        }
    }

    #[test]
    fn a_header_with_anything_unknown_is_refused() {
        for kind in Kind::ALL {
            let (length, over) = match kind.length() {
                Length::Exactly(expected) => {
                    (expected, FrameError::WrongLength { kind, length: expected + 1, expected })
                }
                Length::AtMost(limit) => (limit, FrameError::TooLong { kind, length: limit + 1, limit }),
            };
            assert_eq!(Header::parse(header(kind, 0, length + 1)), Err(over));
            for bit in (0..8).map(|bit| 1 << bit).filter(|bit| bit & kind.flags() == 0) {
                let read = Header::parse(header(kind, bit, length));
                assert_eq!(read, Err(FrameError::UnknownFlags { kind, flags: bit }));
            }
            for place in [2, 3] {
                let mut bytes = header(kind, 0, length);
                bytes[place] = 1;
                assert_eq!(Header::parse(bytes), Err(FrameError::Reserved { kind }));
            }
        }
        for kind in (0..=u8::MAX).filter(|number| Kind::of(*number).is_none()) {
            assert_eq!(Header::parse([kind, 0, 0, 0, 0, 0, 0, 0]), Err(FrameError::UnknownKind { kind }));
        }
    }

    #[test]
    fn a_frame_that_fails_leaves_nothing() {
        let mut out = b"before".to_vec();
        let failed = append(&mut out, Kind::WantBody, 0, |out| {
            out.push(1);
            Ok(())
        });
        assert_eq!(failed, Err(FrameError::WrongLength { kind: Kind::WantBody, length: 1, expected: 4 }));
        assert_eq!(out, b"before");
    }
}
