//! How the reader takes memory and gives it back.

use super::*;

#[test]
fn a_caller_can_read_exactly_one_frame() {
    let bytes = child_stream(&[HELLO, FromChild::Request(request(Body::None, Entries::default()))]);
    let (mut reader, mut rest) = (Reader::of_child(), bytes.as_slice());
    let mut lacked = Vec::new();
    for _ in 0..2 {
        while reader.lacks() > 0 {
            let lacks = reader.lacks();
            lacked.push(lacks);
            give(&mut reader, &rest[..lacks]);
            rest = &rest[lacks..];
        }
        assert!(reader.next_child().unwrap().is_some());
        assert!(!reader.has_partial());
    }
    assert_eq!((lacked, rest.len()), (vec![8, 42, 8, bytes.len() - 8 - 42 - 8], 0));
}

#[test]
fn a_large_frame_leaves_no_large_buffer() {
    let long = vec![b'x'; DATA_MOST];
    let mut reader = Reader::of_worker(HEADER_LINE);
    give(&mut reader, &encoded_head());
    reader.next_worker().unwrap();
    give(&mut reader, &worker_stream(&[FromWorker::Data(&long)]));
    assert_eq!(reader.next_worker(), Ok(Some(FromWorker::Data(&long))));
    assert_eq!(reader.next_worker(), Ok(None));
    assert!(reader.space().len() <= 16 * 1024);

    let mut own = Vec::new();
    let chunked = FromChild::Request(request(Body::Chunked, Entries::default()));
    let mut reader = Reader::of_child();
    give(&mut reader, &child_stream(&[HELLO, chunked, FromChild::Body(&long), FromChild::Body(b"x")]));
    while reader.take_child(&mut own).unwrap().is_some() {}
    assert!(own.capacity() < DATA_MOST);
}

#[test]
fn what_follows_an_error_is_not_kept() {
    let mut reader = Reader::of_child();
    give(&mut reader, b"GET / HTTP/1.1\r\n\r\n");
    let error = FrameError::UnknownKind { kind: b'G' };
    assert_eq!(reader.next_child(), Err(error.clone()));
    give(&mut reader, &vec![b'x'; DATA_MOST]);
    assert!(reader.space().len() <= 16 * 1024);
    assert_eq!(reader.next_child(), Err(error));
}

#[test]
fn a_body_can_be_taken_as_it_comes() {
    let mut reader = Reader::of_child();
    let chunked = || FromChild::Request(request(Body::Chunked, Entries::default()));
    let bytes = child_stream(&[HELLO, chunked(), FromChild::Body(b"0123456789"), FromChild::BodyEnd, chunked()]);
    let mut own = Vec::new();
    give(&mut reader, &bytes);
    assert_eq!(reader.open_body(), Ok(false), "the greeting");
    for _ in 0..2 {
        assert!(reader.take_child(&mut own).unwrap().is_some());
    }
    assert_eq!((reader.open_body(), reader.body_left()), (Ok(true), 10));
    let mut room = [0; 4];
    assert_eq!((reader.take_body(&mut room), &room, reader.body_left()), (4, b"0123", 6));
    assert_eq!((reader.open_body(), reader.lacks()), (Ok(false), 0), "it is open");
    // Whom the rest does not interest gets it as a frame.
    assert_eq!(reader.next_child(), Ok(Some(FromChild::Body(b"456789"))));
    assert_eq!(reader.next_child(), Ok(Some(FromChild::BodyEnd)));
    assert!(matches!(reader.next_child(), Ok(Some(FromChild::Request(_)))));
    assert_eq!(reader.next_child(), Ok(None));
    assert_eq!(reader.body_left(), 0);
}

#[test]
fn a_body_can_pass_by() {
    let mut reader = Reader::of_child();
    let chunked = FromChild::Request(request(Body::Chunked, Entries::default()));
    give(&mut reader, &child_stream(&[HELLO, chunked]));
    let mut own = Vec::new();
    while reader.take_child(&mut own).unwrap().is_some() {}
    let body = child_stream(&[FromChild::Body(&[b'x'; 100_000]), FromChild::BodyEnd]);
    assert_eq!((reader.open_body(), reader.lacks()), (Ok(false), 8));
    give(&mut reader, &body[..8]);
    assert_eq!((reader.open_body(), reader.lacks()), (Ok(true), 100_000));
    reader.body_passed(99_990);
    assert_eq!((reader.body_left(), reader.take_body(&mut [0; 20]), reader.lacks()), (10, 0, 10));
    give(&mut reader, &body[8 + 99_990..]);
    let mut room = [0; 20];
    assert_eq!((reader.take_body(&mut room), reader.next_child()), (10, Ok(Some(FromChild::BodyEnd))));
    assert_eq!(room, *b"xxxxxxxxxx\0\0\0\0\0\0\0\0\0\0");
    give(&mut reader, &header(Kind::Body, 0, 1));
    assert!(matches!(reader.open_body(), Err(FrameError::OutOfOrder { .. })), "behind the end");
    assert!(reader.next_child().is_err());
}

#[test]
fn data_that_came_together_is_taken_together() {
    let mut reader = Reader::of_worker(HEADER_LINE);
    let data = FromWorker::Data;
    give(&mut reader, &encoded_head());
    assert_eq!(reader.take_data(0), [b""; 0], "the head is no data");
    reader.next_worker().unwrap();
    let bytes =
        worker_stream(&[data(b"one"), data(b"three"), data(b"2"), data(b"four"), FromWorker::End(End::Complete)]);
    // The last frame of data is not there as a whole.
    give(&mut reader, &bytes[..bytes.len() - 11 - 1]);
    assert_eq!(reader.take_data(2), [b"one".as_slice(), b"three"]);
    assert_eq!(reader.take_data(2), [b""; 0], "too small");
    assert_eq!(reader.next_worker(), Ok(Some(data(b"2"))));
    assert_eq!(reader.take_data(2), [b""; 0]);
    assert_eq!(reader.lacks(), 1);
    give(&mut reader, &bytes[bytes.len() - 11 - 1..]);
    assert_eq!(reader.take_data(2), [b"four"]);
    assert_eq!(reader.take_data(0), [b""; 0]);
    assert_eq!(reader.next_worker(), Ok(Some(FromWorker::End(End::Complete))));
}

#[test]
fn who_has_much_to_say_gets_a_larger_buffer() {
    let mut reader = Reader::of_worker(HEADER_LINE);
    give(&mut reader, &encoded_head());
    reader.next_worker().unwrap();
    let bytes = worker_stream(&vec![FromWorker::Data(&[b'x'; 10_240]); 40]);
    let (mut rest, mut most, mut taken) = (bytes.as_slice(), 0, 0);
    while !rest.is_empty() {
        let space = reader.space().len();
        most = most.max(space);
        let (now, later) = rest.split_at(space.min(rest.len()));
        give(&mut reader, now);
        rest = later;
        taken += reader.take_data(0).len();
    }
    assert_eq!(taken, 40);
    assert!((48 * 1024..=64 * 1024).contains(&most), "{most}");
}
