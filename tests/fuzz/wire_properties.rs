//! What holds for any bytes that a `wire::Reader` is given. Tried by the fuzz targets, and by the unit tests of room `wire`, which both
//! include this file beside their name `wire`.

use super::wire::{FrameError, FromChild, FromWorker, HEADER_LINE, REQUEST_MOST, Reader};

/// Whose frames the bytes are taken for.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "each fuzz target plays one of the two, the unit tests play both")]
pub(crate) enum Sender {
    Child,
    Worker,
}

/// How frames are taken out of the reader.
#[derive(Clone, Copy, Debug)]
enum Way {
    Borrowed,
    /// Of a child: moved to memory of the caller's.
    Moved,
    /// The bytes of BODY frames without their frame, past the reader where it holds none; those of DATA frames several at a time.
    Bare,
}

/// How a reading ended: the frames that came out, encoded again, and the error, if there was one.
#[derive(Debug, PartialEq)]
struct Outcome {
    frames: Vec<Vec<u8>>,
    error: Option<FrameError>,
}

/// Panics where a property does not hold:
/// * frames do not depend on the pieces in which the bytes come, nor on the way in which they are taken;
/// * a frame encoded again is the bytes that it was read from;
/// * `lacks` says 0 exactly where a frame or an error is there; `space` has room for what is lacking, and no more than a frame's worth;
/// * an error stays.
pub(crate) fn hold(sender: Sender, bytes: &[u8]) {
    let whole = read(sender, bytes, usize::MAX, Way::Borrowed);
    let again = whole.frames.concat();
    assert_eq!(Some(again.as_slice()), bytes.get(..again.len()), "frames encoded again differ from what was read");
    for piece in [1, 7, usize::MAX] {
        for way in [Way::Borrowed, Way::Moved, Way::Bare] {
            assert_eq!(read(sender, bytes, piece, way), whole, "in pieces of {piece}, {way:?}");
        }
    }
}

fn read(sender: Sender, mut bytes: &[u8], piece: usize, way: Way) -> Outcome {
    let mut reader = match sender {
        Sender::Child => Reader::of_child(),
        Sender::Worker => Reader::of_worker(HEADER_LINE),
    };
    let (mut own, mut frames) = (Vec::new(), Vec::new());
    loop {
        if matches!(way, Way::Bare) {
            frames.extend(reader.take_data(2).into_iter().map(|data| encoded_again_worker(&FromWorker::Data(data))));
            if matches!(reader.open_body(), Ok(true)) {
                let Some(body) = bare_body(&mut reader, &mut bytes, piece) else {
                    return Outcome { frames, error: None };
                };
                frames.push(encoded_again_child(&FromChild::Body(&body)));
                continue;
            }
        }
        let lacks = reader.lacks();
        match next(sender, &mut reader, matches!(way, Way::Moved).then_some(&mut own)) {
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
                let now = next_piece(&mut bytes, piece, space.len());
                space[..now.len()].copy_from_slice(now);
                reader.filled(now.len());
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

/// What comes next of the bytes.
fn next_piece<'b>(bytes: &mut &'b [u8], piece: usize, room: usize) -> &'b [u8] {
    let (now, later) = bytes.split_at(bytes.len().min(room).min(piece));
    *bytes = later;
    now
}

/// The bytes of a BODY that was opened: those that the reader holds, then those that come. None where they end before.
fn bare_body(reader: &mut Reader, bytes: &mut &[u8], piece: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while reader.body_left() > 0 {
        let mut room = [0; 5];
        let count = match reader.take_body(&mut room) {
            0 => {
                let now = next_piece(bytes, piece, reader.body_left());
                body.extend_from_slice(now);
                reader.body_passed(now.len());
                now.len()
            }
            held => {
                body.extend_from_slice(&room[..held]);
                held
            }
        };
        if count == 0 {
            return None;
        }
    }
    Some(body)
}

fn next(sender: Sender, reader: &mut Reader, own: Option<&mut Vec<u8>>) -> Result<Option<Vec<u8>>, FrameError> {
    Ok(match (sender, own) {
        (Sender::Child, None) => reader.next_child()?.map(|frame| encoded_again_child(&frame)),
        (Sender::Child, Some(own)) => reader.take_child(own)?.map(|frame| encoded_again_child(&frame)),
        (Sender::Worker, _) => reader.next_worker()?.map(|frame| encoded_again_worker(&frame)),
    })
}

fn encoded_again_child(frame: &FromChild<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(frame.encode(&mut out), Ok(()), "what was read can be written");
    out
}

fn encoded_again_worker(frame: &FromWorker<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(frame.encode(&mut out), Ok(()), "what was read can be written");
    out
}
