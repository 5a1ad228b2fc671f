//! Sample frames and their way there and back; below, by theme, frames out of order, hostile ones, buffers, and anything at all.

use super::entries::put_entry;
use super::frame::header;
use super::*;
use crate::wire;

mod anything;
mod buffer;
mod hostile;
mod order;

#[path = "../../tests/fuzz/wire_properties.rs"]
mod properties;

use properties::Sender;

const HELLO: FromChild<'static> = FromChild::Hello(Hello { secret: [7; 32], connection: 9 });

const ENVIRON: [(&[u8], Option<&[u8]>); 4] =
    [(b"PATH_INFO", Some(b"/caf\xc3\xa9")), (b"REMOTE_USER", None), (b"", Some(b"")), (b"PATH_INFO", Some(b"/again"))];

const HEADERS: [(&[u8], &[u8]); 3] = [(b"Content-Type", b"text/plain"), (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"")];

fn request<E>(body: Body<'static>, environ: E) -> Request<'static, E> {
    Request {
        application_group: b"localhost|/shop",
        script: b"/srv/shop.wsgi",
        script_mtime: -1_700_000_000_000_001,
        callable: b"application",
        reloading: true,
        case_sensitive: false,
        sendfile: true,
        ignore_activity: false,
        https: true,
        client_method: b"HEAD",
        method: b"GET",
        log_level: 6,
        request_start: 1_700_000_000.25,
        queue_start: 0.0,
        body,
        environ,
    }
}

/// The bytes of ENVIRON, for `Entries` outside of a frame.
fn environ_bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    ENVIRON.into_iter().for_each(|entry| put_entry(&mut bytes, entry));
    bytes
}

fn encoded_head() -> Vec<u8> {
    let mut out = Vec::new();
    encode_head(&mut out, b"200 OK", HEADERS).unwrap();
    out
}

/// One connection's frames of a child, with every kind and every form of body.
fn child_frames(environ: &[u8]) -> Vec<FromChild<'_>> {
    let environ = Entries::parse(Kind::Request, environ).unwrap();
    let request = |body| FromChild::Request(request(body, environ.clone()));
    vec![
        HELLO,
        request(Body::None),
        request(Body::Length(u64::MAX)),
        FromChild::Body(b"some bytes"),
        FromChild::Body(b""),
        FromChild::BodyEnd,
        request(Body::Whole(b"name=value")),
        request(Body::Whole(b"")),
        request(Body::Chunked),
        FromChild::BodyError(BodyError::TooLarge),
        request(Body::Chunked),
        FromChild::BodyError(BodyError::Timeout),
        request(Body::Length(0)),
        FromChild::BodyError(BodyError::ClientGone),
        request(Body::Chunked),
        FromChild::Body(b"unread rest is left behind"),
        request(Body::Chunked),
        FromChild::BodyError(BodyError::Failed("caf\u{e9}")),
    ]
}

/// One connection's frames of a worker, with every kind and every outcome.
fn worker_frames(head: &[u8]) -> Vec<FromWorker<'_>> {
    let headers = Headers::parse(Kind::Head, &head[8 + 4 + 6..]).unwrap();
    let head = || FromWorker::Head { status_line: b"200 OK", headers: headers.clone() };
    let interim = || FromWorker::Interim { headers: headers.clone() };
    vec![
        FromWorker::Log { level: 3, line: b"before the head \xff" },
        FromWorker::WantBody(u32::MAX),
        interim(),
        head(),
        FromWorker::Data(b"Hello"),
        FromWorker::WantBody(0),
        FromWorker::File { offset: 4096, length: 1 << 40 },
        FromWorker::Window { size: 1 << 20 },
        FromWorker::Part { offset: 1, length: (1 << 20) - 1 },
        FromWorker::Log { level: 8, line: b"" },
        FromWorker::Data(b""),
        FromWorker::End(End::Complete),
        FromWorker::Log { level: 6, line: b"the script changed" },
        FromWorker::Refused,
        FromWorker::End(End::Status(504)),
        FromWorker::Interim { headers: Headers::default() },
        interim(),
        head(),
        FromWorker::End(End::Aborted),
        FromWorker::WantBody(1),
        FromWorker::End(End::Aborted),
        FromWorker::End(End::Status(400)),
    ]
}

fn child_stream(frames: &[FromChild<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    frames.iter().for_each(|frame| frame.encode(&mut out).unwrap());
    out
}

fn worker_stream(frames: &[FromWorker<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    frames.iter().for_each(|frame| frame.encode(&mut out).unwrap());
    out
}

fn give(reader: &mut Reader, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let space = reader.space();
        let now = bytes.len().min(space.len());
        space[..now].copy_from_slice(&bytes[..now]);
        reader.filled(now);
        bytes = &bytes[now..];
    }
}

/// The error that a child's stream ends with.
fn child_error(bytes: &[u8]) -> FrameError {
    let mut reader = Reader::of_child();
    give(&mut reader, bytes);
    loop {
        match reader.next_child() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error in {bytes:?}"),
            Err(error) => return error,
        }
    }
}

fn worker_error(bytes: &[u8]) -> FrameError {
    let mut reader = Reader::of_worker(HEADER_LINE);
    give(&mut reader, bytes);
    loop {
        match reader.next_worker() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error in {bytes:?}"),
            Err(error) => return error,
        }
    }
}

/// A frame with a payload that no encoder makes.
fn raw(kind: Kind, payload: &[u8]) -> Vec<u8> {
    [&header(kind, 0, payload.len())[..], payload].concat()
}

/// A REQUEST's payload behind a HELLO.
fn raw_request(payload: &[u8]) -> Vec<u8> {
    [child_stream(&[HELLO]), raw(Kind::Request, payload)].concat()
}

fn request_payload() -> Vec<u8> {
    let mut out = Vec::new();
    request(Body::Chunked, ENVIRON).encode(&mut out).unwrap();
    out.split_off(8)
}

#[test]
fn every_frame_of_a_child_is_read_as_it_was_written_wherever_it_is_cut() {
    let environ = environ_bytes();
    let frames = child_frames(&environ);
    let bytes = child_stream(&frames);
    for cut in 0..=bytes.len() {
        let mut reader = Reader::of_child();
        let mut read = 0;
        for part in [&bytes[..cut], &bytes[cut..]] {
            give(&mut reader, part);
            while let Some(frame) = reader.next_child().unwrap() {
                assert_eq!(frame, frames[read], "cut at {cut}");
                read += 1;
            }
        }
        assert_eq!((read, reader.has_partial()), (frames.len(), false), "cut at {cut}");
    }
    properties::hold(Sender::Child, &bytes);
}

#[test]
fn every_frame_of_a_worker_is_read_as_it_was_written_wherever_it_is_cut() {
    let head = encoded_head();
    let frames = worker_frames(&head);
    let bytes = worker_stream(&frames);
    for cut in 0..=bytes.len() {
        let mut reader = Reader::of_worker(HEADER_LINE);
        let mut read = 0;
        for part in [&bytes[..cut], &bytes[cut..]] {
            give(&mut reader, part);
            while let Some(frame) = reader.next_worker().unwrap() {
                assert_eq!(frame, frames[read], "cut at {cut}");
                read += 1;
            }
        }
        assert_eq!((read, reader.has_partial()), (frames.len(), false), "cut at {cut}");
    }
    properties::hold(Sender::Worker, &bytes);
}

#[test]
fn entries_and_headers_come_out_in_order_with_repeats_and_missing_values() {
    let mut bytes = child_stream(&[HELLO]);
    request(Body::None, ENVIRON).encode(&mut bytes).unwrap();
    let mut reader = Reader::of_child();
    give(&mut reader, &bytes);
    reader.next_child().unwrap();
    let Ok(Some(FromChild::Request(read))) = reader.next_child() else { panic!("no request") };
    assert_eq!(read.environ.clone().collect::<Vec<_>>(), ENVIRON);

    let mut reader = Reader::of_worker(HEADER_LINE);
    give(&mut reader, &encoded_head());
    let Ok(Some(FromWorker::Head { headers, .. })) = reader.next_worker() else { panic!("no head") };
    assert_eq!(headers.collect::<Vec<_>>(), HEADERS);
}

#[test]
fn every_flag_of_a_request_stands_for_itself() {
    for set in 0..5 {
        let mut one = request(Body::None, Entries::default());
        let flags =
            [&mut one.reloading, &mut one.case_sensitive, &mut one.sendfile, &mut one.ignore_activity, &mut one.https];
        flags.into_iter().enumerate().for_each(|(at, flag)| *flag = at == set);
        let frames = [HELLO, FromChild::Request(one)];
        let mut reader = Reader::of_child();
        give(&mut reader, &child_stream(&frames));
        reader.next_child().unwrap();
        assert_eq!(reader.next_child().unwrap(), Some(frames[1].clone()));
    }
}

/// The bytes of docs/protocol.md: a change here is a new `VERSION`.
#[test]
fn the_bytes_are_those_of_the_page() {
    let mut hello = vec![1, 0, 0, 0, 42, 0, 0, 0, 4, 0];
    hello.extend([7; 32]);
    hello.extend([9, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(child_stream(&[HELLO]), hello);
    assert_eq!(child_stream(&[FromChild::BodyEnd]), [4, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(worker_stream(&[FromWorker::WantBody(0x0102)]), [17, 0, 0, 0, 4, 0, 0, 0, 2, 1, 0, 0]);
    assert_eq!(worker_stream(&[FromWorker::End(End::Status(504))]), [23, 0, 0, 0, 3, 0, 0, 0, 2, 248, 1]);
    assert_eq!(worker_stream(&[FromWorker::Log { level: 3, line: b"x" }]), [22, 0, 0, 0, 2, 0, 0, 0, 3, b'x']);
    assert_eq!(worker_stream(&[FromWorker::Window { size: 4096 }]), [25, 0, 0, 0, 4, 0, 0, 0, 0, 16, 0, 0]);
    let part = worker_stream(&[FromWorker::Part { offset: 1, length: 2 }]);
    assert_eq!(part, [26, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
    let mut head = Vec::new();
    encode_head(&mut head, b"200", [(&b"A"[..], &b""[..])]).unwrap();
    assert_eq!(head, [19, 0, 0, 0, 16, 0, 0, 0, 3, 0, 0, 0, b'2', b'0', b'0', 1, 0, 0, 0, b'A', 0, 0, 0, 0]);
    let mut interim = Vec::new();
    encode_interim(&mut interim, [(&b"A"[..], &b"b"[..])]).unwrap();
    assert_eq!(interim, [24, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, b'A', 1, 0, 0, 0, b'b']);
    let mut sent = Vec::new();
    request(Body::Length(5), [(&b"k"[..], None)]).encode(&mut sent).unwrap();
    let (fixed, texts) = sent.split_at(8 + 34);
    assert_eq!(fixed[..8], [2, 0b1_0101, 0, 0, 110, 0, 0, 0]);
    assert_eq!(fixed[8..16], (-1_700_000_000_000_001_i64).to_le_bytes());
    assert_eq!(fixed[16..24], 1_700_000_000.25_f64.to_le_bytes());
    assert_eq!(fixed[24..], [0, 0, 0, 0, 0, 0, 0, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0, 6]);
    assert_eq!(texts[..19], *b"\x0f\0\0\0localhost|/shop");
    assert_eq!(texts[texts.len() - 9..], *b"\x01\0\0\0k\xff\xff\xff\xff");
    let mut whole = Vec::new();
    request(Body::Whole(b"a=b"), [(&b"k"[..], None)]).encode(&mut whole).unwrap();
    assert_eq!(whole[8 + 24..][..12], *b"\x03\x03\0\0\0\0\0\0\0a=b");
    assert_eq!((whole[8 + 33 + 3], &whole[8 + 34 + 3..]), (6, texts));
}

#[test]
fn a_header_for_writev_is_that_of_the_frame() {
    let data = [b'x'; 300];
    let whole = worker_stream(&[FromWorker::Data(&data)]);
    assert_eq!([&data_header(300)[..], &data].concat(), whole);
    let refused = worker_error(&[encoded_head(), data_header(usize::MAX).to_vec()].concat());
    assert!(matches!(refused, FrameError::TooLong { kind: Kind::Data, .. }));
}

#[test]
fn a_request_moved_out_leaves_the_reader_free() {
    let mut bytes = child_stream(&[HELLO]);
    request(Body::Chunked, ENVIRON).encode(&mut bytes).unwrap();
    FromChild::Body(b"more").encode(&mut bytes).unwrap();
    let (mut reader, mut own) = (Reader::of_child(), b"old".to_vec());
    give(&mut reader, &bytes);
    assert_eq!(reader.take_child(&mut own).unwrap(), Some(HELLO));
    let Ok(Some(FromChild::Request(read))) = reader.take_child(&mut own) else { panic!("no request") };
    assert_eq!(reader.next_child().unwrap(), Some(FromChild::Body(b"more")));
    assert_eq!(read.environ.collect::<Vec<_>>(), ENVIRON);
}
