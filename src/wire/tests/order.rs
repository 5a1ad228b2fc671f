//! What may come when: HELLO first, bodies behind requests, one head before the bytes of an answer.

use super::*;

#[test]
fn only_the_right_secret_is_right() {
    let hello = Hello { secret: [7; 32], connection: 9 };
    assert!(hello.shows(&[7; 32]));
    for place in 0..32 {
        let mut other = [7; 32];
        other[place] ^= 0x80;
        assert!(!hello.shows(&other), "byte {place}");
    }
    assert!(!format!("{hello:?}").contains('7'));
}

#[test]
fn nothing_is_read_before_a_hello_of_our_version() {
    for frame in &child_frames(&environ_bytes())[1..] {
        let error = child_error(&child_stream(std::slice::from_ref(frame)));
        assert!(matches!(error, FrameError::OutOfOrder { .. }), "{frame:?}: {error}");
    }
    let mut other = child_stream(&[HELLO]);
    other[8] = 9;
    assert_eq!(child_error(&other), FrameError::Version { theirs: 9 });
    assert_eq!(child_error(b"GET / HTTP/1.1\r\n\r\n"), FrameError::UnknownKind { kind: b'G' });
    let twice = child_stream(&[HELLO, HELLO]);
    assert_eq!(child_error(&twice), FrameError::OutOfOrder { kind: Kind::Hello });
}

#[test]
fn body_frames_need_a_request_whose_body_is_under_way() {
    let none = FromChild::Request(request(Body::None, Entries::default()));
    let chunked = FromChild::Request(request(Body::Chunked, Entries::default()));
    let whole = FromChild::Request(request(Body::Whole(b"x"), Entries::default()));
    let (body, end) = (FromChild::Body(b"x"), FromChild::BodyEnd);
    let failed = FromChild::BodyError(BodyError::Timeout);
    for (frames, kind) in [
        (vec![HELLO, body.clone()], Kind::Body),
        (vec![HELLO, end.clone()], Kind::BodyEnd),
        (vec![HELLO, none.clone(), body.clone()], Kind::Body),
        (vec![HELLO, none.clone(), failed.clone()], Kind::BodyError),
        (vec![HELLO, whole.clone(), body.clone()], Kind::Body),
        (vec![HELLO, whole, end.clone()], Kind::BodyEnd),
        (vec![HELLO, chunked.clone(), end.clone(), body.clone()], Kind::Body),
        (vec![HELLO, chunked.clone(), failed.clone(), end.clone()], Kind::BodyEnd),
        (vec![HELLO, chunked, body, none, end], Kind::BodyEnd),
    ] {
        assert_eq!(child_error(&child_stream(&frames)), FrameError::OutOfOrder { kind }, "{frames:?}");
    }
}

#[test]
fn an_answer_has_one_head_before_its_bytes_and_one_end() {
    let bytes = encoded_head();
    let head = || worker_frames(&bytes)[3].clone();
    let (data, want) = (FromWorker::Data(b"x"), FromWorker::WantBody(1));
    let interim = FromWorker::Interim { headers: Headers::default() };
    let end = FromWorker::End(End::Complete);
    let out_of_order = |kind| FrameError::OutOfOrder { kind };
    let outcome = FrameError::Value { kind: Kind::End, field: "outcome at this place" };
    for (frames, error) in [
        (vec![data.clone()], out_of_order(Kind::Data)),
        (vec![FromWorker::File { offset: 0, length: 0 }], out_of_order(Kind::File)),
        (vec![FromWorker::Window { size: 1 }], out_of_order(Kind::Window)),
        (vec![FromWorker::Part { offset: 0, length: 1 }], out_of_order(Kind::Part)),
        (vec![head(), head()], out_of_order(Kind::Head)),
        (vec![head(), FromWorker::Refused], out_of_order(Kind::Refused)),
        (vec![want.clone(), FromWorker::Refused], out_of_order(Kind::Refused)),
        (vec![want, data.clone()], out_of_order(Kind::Data)),
        (vec![interim.clone(), FromWorker::Refused], out_of_order(Kind::Refused)),
        (vec![interim.clone(), end.clone()], outcome.clone()),
        (vec![head(), interim], out_of_order(Kind::Interim)),
        (vec![head(), end.clone(), data], out_of_order(Kind::Data)),
        (vec![end.clone()], outcome.clone()),
        (vec![head(), end.clone(), end], outcome.clone()),
        (vec![head(), FromWorker::End(End::Status(500))], outcome),
    ] {
        assert_eq!(worker_error(&worker_stream(&frames)), error, "{frames:?}");
    }
}

#[test]
fn frames_of_the_other_direction_are_refused() {
    for frame in worker_frames(&encoded_head()) {
        let mut bytes = child_stream(&[HELLO]);
        frame.encode(&mut bytes).unwrap();
        assert!(matches!(child_error(&bytes), FrameError::OutOfOrder { .. }));
    }
    for frame in child_frames(&environ_bytes()) {
        assert!(matches!(worker_error(&child_stream(&[frame])), FrameError::OutOfOrder { .. }));
    }
}

#[test]
fn a_reader_asked_for_the_other_side_refuses() {
    let mut reader = Reader::of_child();
    give(&mut reader, &child_stream(&[HELLO]));
    assert_eq!(reader.next_worker(), Err(FrameError::OutOfOrder { kind: Kind::Hello }));
    let mut reader = Reader::of_worker(HEADER_LINE);
    give(&mut reader, &encoded_head());
    assert_eq!(reader.next_child(), Err(FrameError::OutOfOrder { kind: Kind::Head }));
    assert_eq!(reader.next_worker(), Err(FrameError::OutOfOrder { kind: Kind::Head }), "it stays broken");
}
