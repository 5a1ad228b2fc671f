//! What holds for any bytes that a `wire::Reader` is given. Tried by the fuzz targets, and by the unit tests of room `wire`, which both
//! include this file beside their name `wire`.

use super::wire::{FrameError, HEADER_LINE, REQUEST_MOST, Reader};

/// Whose frames the bytes are taken for.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "each fuzz target plays one of the two, the unit tests play both")]
pub(crate) enum Sender {
    Child,
    Worker,
}

/// How a reading ended: the frames that came out, encoded again, and the error, if there was one.
#[derive(Debug, PartialEq)]
struct Outcome {
    frames: Vec<Vec<u8>>,
    error: Option<FrameError>,
}

/// Panics where a property does not hold:
/// * frames do not depend on the pieces in which the bytes come, nor on whether a frame is borrowed or moved out;
/// * a frame encoded again is the bytes that it was read from;
/// * `lacks` says 0 exactly where a frame or an error is there; `space` has room for what is lacking, and no more than a frame's worth;
/// * an error stays.
pub(crate) fn hold(sender: Sender, bytes: &[u8]) {
    let whole = read(sender, bytes, usize::MAX, false);
    let again = whole.frames.concat();
    assert_eq!(Some(again.as_slice()), bytes.get(..again.len()), "frames encoded again differ from what was read");
    for (piece, moved) in [(1, false), (7, true), (usize::MAX, true)] {
        assert_eq!(read(sender, bytes, piece, moved), whole, "in pieces of {piece}, moved: {moved}");
    }
}

fn read(sender: Sender, mut bytes: &[u8], piece: usize, moved: bool) -> Outcome {
    let mut reader = match sender {
        Sender::Child => Reader::of_child(),
        Sender::Worker => Reader::of_worker(HEADER_LINE),
    };
    let (mut own, mut frames) = (Vec::new(), Vec::new());
    loop {
        let lacks = reader.lacks();
        match next(sender, &mut reader, moved.then_some(&mut own)) {
            Ok(Some(frame)) => {
                assert_eq!(lacks, 0);
                frames.push(frame);
            }
            Ok(None) if bytes.is_empty() => {
                assert!(lacks > 0);
                return Outcome { frames, error: None };
            }
            Ok(None) => {
                assert!(lacks > 0);
                let space = reader.space();
                assert!((lacks..=REQUEST_MOST + 8).contains(&space.len()));
                let (now, later) = bytes.split_at(bytes.len().min(space.len()).min(piece));
                space[..now.len()].copy_from_slice(now);
                reader.filled(now.len());
                bytes = later;
            }
            Err(error) => {
                assert_eq!(lacks, 0);
                assert_eq!(next(sender, &mut reader, None), Err(error.clone()));
                assert!(!reader.space().is_empty());
                return Outcome { frames, error: Some(error) };
            }
        }
    }
}

fn next(sender: Sender, reader: &mut Reader, own: Option<&mut Vec<u8>>) -> Result<Option<Vec<u8>>, FrameError> {
    let mut out = Vec::new();
    let frame = match (sender, own) {
        (Sender::Child, None) => reader.next_child()?.map(|frame| frame.encode(&mut out)),
        (Sender::Child, Some(own)) => reader.take_child(own)?.map(|frame| frame.encode(&mut out)),
        (Sender::Worker, _) => reader.next_worker()?.map(|frame| frame.encode(&mut out)),
    };
    Ok(frame.map(|encoded| {
        assert_eq!(encoded, Ok(()), "what was read can be written");
        out
    }))
}
