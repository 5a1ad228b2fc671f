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
