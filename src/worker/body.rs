//! The body of a request that did not come with it: asked for in pieces, and read to where the application wants it.

use std::io;

use super::connection::Taken;
use crate::python::give_way;
use crate::wire::{BodyError, FrameError, FromChild, FromWorker};
use crate::wsgi::InputError;

/// So much is asked for at a time, at most; what the application has not asked for yet waits in the connection. The child sends what came,
/// and waits only for the first of it.
const PIECE: usize = 512 * 1024;
/// And at least: a filter of httpd's may make more of the body than the client has said.
const LEAST: usize = 16 * 1024;

/// What came of it.
pub(super) enum Came {
    /// So many bytes; none where nothing was asked for.
    Bytes(usize),
    End,
    /// The child can't read on.
    Failed(InputError),
}

/// Why nothing more comes on the connection.
pub(super) enum Trouble {
    Closed,
    /// The child was silent for `socket-timeout`.
    Silent,
    /// The system said so.
    System,
    /// The child said something else.
    Strange,
}

impl From<io::Error> for Trouble {
    fn from(cause: io::Error) -> Trouble {
        if cause.kind() == io::ErrorKind::WouldBlock { Trouble::Silent } else { Trouble::System }
    }
}

impl From<FrameError> for Trouble {
    fn from(_: FrameError) -> Trouble {
        Trouble::Strange
    }
}

impl Taken {
    /// Reads some of the body, at least a byte; into no room at all nothing, but the child asks the client to send. So much is `expected`,
    /// where that is known: the child takes memory for what it is asked for.
    ///
    /// # Errors
    /// [`Trouble`]: the connection is of no more use.
    pub(super) fn read_body(&mut self, room: &mut [u8], expected: Option<u64>) -> Result<Came, Trouble> {
        if self.parts().is_some_and(|(_, reader)| reader.body_left() > 0) {
            return self.read_on(room);
        }
        let expected = expected.map_or(PIECE, |expected| usize::try_from(expected).unwrap_or(PIECE));
        let asked = if room.is_empty() { 0 } else { expected.clamp(LEAST, PIECE) };
        let mut want = Vec::new();
        FromWorker::WantBody(u32::try_from(asked).unwrap_or(u32::MAX)).encode(&mut want)?;
        self.send(&[&want], None)?;
        self.answer(room, asked)
    }

    /// What is left of the piece that was asked for last.
    fn read_on(&mut self, room: &mut [u8]) -> Result<Came, Trouble> {
        let Some((stream, reader)) = self.parts() else { return Err(Trouble::Closed) };
        let held = reader.take_body(room);
        if held > 0 || room.is_empty() {
            return Ok(Came::Bytes(held));
        }
        let most = room.len().min(reader.body_left());
        match stream.read(room.get_mut(..most).unwrap_or_default())? {
            0 => Err(Trouble::Closed),
            count => {
                reader.body_passed(count);
                Ok(Came::Bytes(count))
            }
        }
    }

    /// Takes what is left of the piece that was asked for last, for whoever reads on. Before anything is sent: the child reads nothing as
    /// long as it is sending that.
    ///
    /// # Errors
    /// As [`Stream::read`](crate::os::stream::Stream::read).
    pub(super) fn hold_body(&mut self) -> io::Result<()> {
        let Some((stream, reader)) = self.parts() else { return Ok(()) };
        while reader.body_left() > 0 && reader.lacks() > 0 {
            give_way();
            match stream.read(reader.space())? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => reader.filled(count),
            }
        }
        Ok(())
    }

    /// Waits for the answer to WANT_BODY.
    fn answer(&mut self, room: &mut [u8], asked: usize) -> Result<Came, Trouble> {
        loop {
            let Some((stream, reader)) = self.parts() else { return Err(Trouble::Closed) };
            let mut beyond = 0;
            let lacks = reader.lacks();
            if lacks > 0 {
                // The header alone; what comes behind it is most likely what the application waits for.
                let count = stream.read_two(reader.space().get_mut(..lacks).unwrap_or_default(), room)?;
                if count == 0 {
                    return Err(Trouble::Closed);
                }
                reader.filled(count.min(lacks));
                beyond = count.saturating_sub(lacks);
            }
            if reader.open_body()? {
                let length = reader.body_left();
                // As much as was asked for, or less; nothing only where nothing was.
                if length > asked || beyond > length || (length == 0) != (asked == 0) {
                    return Err(Trouble::Strange);
                }
                reader.body_passed(beyond);
                return if beyond > 0 || length == 0 { Ok(Came::Bytes(beyond)) } else { self.read_on(room) };
            }
            for bytes in room.get(..beyond).unwrap_or_default().chunks(1024) {
                if let Some(space) = reader.space().get_mut(..bytes.len()) {
                    space.copy_from_slice(bytes);
                }
                reader.filled(bytes.len());
            }
            match reader.next_child()? {
                Some(FromChild::BodyEnd) => return Ok(Came::End),
                Some(FromChild::BodyError(error)) => {
                    return Ok(Came::Failed(match error {
                        BodyError::TooLarge => InputError::TooLarge,
                        BodyError::Timeout => InputError::Timeout,
                        BodyError::ClientGone => InputError::ClientGone,
                        BodyError::Failed(text) => InputError::Failed(text.to_owned()),
                    }));
                }
                Some(FromChild::Body(_) | FromChild::Hello(_) | FromChild::Request(_)) => return Err(Trouble::Strange),
                None => {}
            }
        }
    }
}
