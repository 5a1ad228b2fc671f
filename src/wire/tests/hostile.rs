//! What a lying peer may try, and what the encoder therefore never writes.

use super::*;

#[test]
fn a_claimed_length_takes_no_memory_before_it_is_checked() {
    for kind in Kind::ALL {
        let bytes = header(kind, 0, usize::MAX);
        for (mut reader, before) in
            [(Reader::of_child(), child_stream(&[HELLO])), (Reader::of_worker(HEADER_LINE), Vec::new())]
        {
            give(&mut reader, &before);
            while !before.is_empty() && reader.next_child().unwrap().is_some() {}
            give(&mut reader, &bytes);
            assert_eq!(reader.lacks(), 0, "{kind}");
            assert!(reader.space().len() <= 16 * 1024, "{kind}");
            let error = if before.is_empty() { reader.next_worker().err() } else { reader.next_child().err() };
            assert!(matches!(error, Some(FrameError::TooLong { .. } | FrameError::WrongLength { .. })), "{error:?}");
        }
    }
    // An allowed length counts only where the frame may come.
    let mut reader = Reader::of_child();
    give(&mut reader, &header(Kind::Request, 0, REQUEST_MOST));
    assert!(reader.space().len() <= 16 * 1024);
}

#[test]
fn a_length_inside_a_request_never_reaches_beyond_it() {
    let payload = request_payload();
    let whole = ENVIRON.len();
    for cut in 0..payload.len() {
        let mut reader = Reader::of_child();
        give(&mut reader, &raw_request(&payload[..cut]));
        reader.next_child().unwrap();
        match reader.next_child() {
            Ok(Some(FromChild::Request(request))) => assert!(request.environ.count() < whole, "cut at {cut}"),
            Err(FrameError::Truncated { kind: Kind::Request, .. }) => {}
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
    let first_text = 34;
    for length in [u32::MAX, u32::MAX - 1, u32::MAX / 2, 1000] {
        let mut lying = payload.clone();
        lying[first_text..first_text + 4].copy_from_slice(&length.to_le_bytes());
        let error = FrameError::Truncated { kind: Kind::Request, field: "application_group" };
        assert_eq!(child_error(&raw_request(&lying)), error);
    }
}

#[test]
fn a_length_inside_a_head_never_reaches_beyond_it() {
    let payload = encoded_head().split_off(8);
    for cut in 0..payload.len() {
        let mut reader = Reader::of_worker(HEADER_LINE);
        give(&mut reader, &raw(Kind::Head, &payload[..cut]));
        match reader.next_worker() {
            Ok(Some(FromWorker::Head { headers, .. })) => assert!(headers.count() < HEADERS.len(), "cut at {cut}"),
            Err(FrameError::Truncated { kind: Kind::Head, .. }) => {}
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
    let no_value = [&payload[..10], &[1, 0, 0, 0, b'A', 255, 255, 255, 255]].concat();
    let error = FrameError::Truncated { kind: Kind::Head, field: "headers" };
    assert_eq!(worker_error(&raw(Kind::Head, &no_value)), error, "only environ knows missing values");
    let error = FrameError::Truncated { kind: Kind::Interim, field: "headers" };
    assert_eq!(worker_error(&raw(Kind::Interim, &no_value[10..])), error);
    assert_eq!(worker_error(&raw(Kind::Interim, &[9, 0, 0, 0, b'A'])), error);
}

#[test]
fn impossible_values_are_refused() {
    let body_at = |at: usize, bytes: &[u8]| {
        let mut payload = request_payload();
        payload[at..at + bytes.len()].copy_from_slice(bytes);
        raw_request(&payload)
    };
    let request_value = |field| FrameError::Value { kind: Kind::Request, field };
    for seconds in [f64::NAN, f64::INFINITY, -1.0, -0.0] {
        assert_eq!(child_error(&body_at(8, &seconds.to_le_bytes())), request_value("request_start"));
        assert_eq!(child_error(&body_at(16, &seconds.to_le_bytes())), request_value("queue_start"));
    }
    assert_eq!(child_error(&body_at(24, &[4])), request_value("body"));
    let over = [&[3][..], &u64::try_from(WHOLE_MOST + 1).unwrap().to_le_bytes()].concat();
    assert_eq!(child_error(&body_at(24, &over)), request_value("body"));
    let lying = [&[3][..], &u64::try_from(WHOLE_MOST).unwrap().to_le_bytes()].concat();
    assert_eq!(child_error(&body_at(24, &lying)), FrameError::Truncated { kind: Kind::Request, field: "body" });
    assert_eq!(child_error(&body_at(24, &[3, 255, 255, 255, 255, 255, 255, 255, 255])), request_value("body"));
    assert_eq!(child_error(&body_at(25, &[1])), request_value("body"), "no chunked body has a length");
    assert_eq!(child_error(&body_at(24, &[0, 1])), request_value("body"), "nor has none");

    let child = |payload: &[u8]| {
        let chunked = FromChild::Request(request(Body::Chunked, Entries::default()));
        child_error(&[child_stream(&[HELLO, chunked]), raw(Kind::BodyError, payload)].concat())
    };
    let kind = Kind::BodyError;
    assert_eq!(child(&[]), FrameError::Truncated { kind, field: "code" });
    assert_eq!(child(&[0]), FrameError::Value { kind, field: "code" });
    assert_eq!(child(&[4, 0xff]), FrameError::Value { kind, field: "text" });
    assert_eq!(child(&[1, b'x']), FrameError::Surplus { kind });

    let worker = |kind, payload: &[u8]| worker_error(&[encoded_head(), raw(kind, payload)].concat());
    let value = |kind, field| FrameError::Value { kind, field };
    assert_eq!(worker(Kind::End, &[3, 0, 0]), value(Kind::End, "outcome"));
    assert_eq!(worker(Kind::End, &[0, 1, 0]), value(Kind::End, "outcome"));
    for status in [0_u16, 200, 399, 600, u16::MAX] {
        let [low, high] = status.to_le_bytes();
        assert_eq!(worker(Kind::End, &[2, low, high]), value(Kind::End, "status"));
    }
    for level in [0, 1, 9, 255] {
        assert_eq!(worker(Kind::Log, &[level, b'x']), value(Kind::Log, "level"));
    }
    assert_eq!(worker(Kind::Log, &[]), FrameError::Truncated { kind: Kind::Log, field: "level" });
    for (offset, length) in [(u64::MAX, 1), (i64::MAX as u64, 1), (1, i64::MAX as u64)] {
        let payload = [offset.to_le_bytes(), length.to_le_bytes()].concat();
        assert_eq!(worker(Kind::File, &payload), value(Kind::File, "range"));
    }
    for size in [0, (1 << 20) + 1, u32::MAX] {
        assert_eq!(worker(Kind::Window, &size.to_le_bytes()), value(Kind::Window, "size"));
    }
    for (offset, length) in [(0, 0), (1_u32, 1 << 20), (u32::MAX, 1), (1 << 20, u32::MAX)] {
        assert_eq!(worker(Kind::Part, &part(offset, length)[8..]), value(Kind::Part, "range"));
    }
}

#[test]
fn a_header_over_the_limit_is_named() {
    let read = |status: &[u8], name: &[u8], value: &[u8]| {
        let mut bytes = Vec::new();
        encode_head(&mut bytes, status, [(&b"X"[..], &b"y"[..]), (name, value)]).unwrap();
        let mut reader = Reader::of_worker(8192);
        give(&mut reader, &bytes);
        reader.next_worker().map(|frame| frame.is_some())
    };
    let long = vec![b'x'; 8190];
    assert_eq!(read(b"200 OK", b"Cookie", &long[..8190 - 8]), Ok(true));
    let too_large = |name: &str, length| Err(FrameError::HeaderTooLarge { name: name.to_owned(), length, limit: 8190 });
    assert_eq!(read(b"200 OK", b"Cookie", &long[..8190 - 7]), too_large("Cookie", 8191));
    assert_eq!(read(&long, b"Cookie", b""), too_large("Status", 8198));
    assert_eq!(read(b"200 OK", &long, b""), too_large(&"x".repeat(128), 8192));
}

static LONG: [u8; WHOLE_MOST + 1] = [b'x'; WHOLE_MOST + 1];

#[test]
fn what_the_other_side_would_refuse_is_not_written() {
    let long = vec![b'x'; DATA_MOST + 1];
    let mut out = b"before".to_vec();
    let too_long = |kind, limit| Err(FrameError::TooLong { kind, length: limit + 1, limit });
    assert_eq!(FromChild::Body(&long).encode(&mut out), too_long(Kind::Body, BODY_MOST));
    assert_eq!(FromWorker::Data(&long).encode(&mut out), too_long(Kind::Data, DATA_MOST));
    let head = encode_head(&mut out, b"", [(&b"A"[..], &long[..HEAD_MOST - 12])]);
    assert_eq!(head, too_long(Kind::Head, HEAD_MOST));
    let interim = encode_interim(&mut out, [(&b"A"[..], &long[..INTERIM_MOST - 8])]);
    assert_eq!(interim, too_long(Kind::Interim, INTERIM_MOST));
    let huge = vec![b'x'; REQUEST_MOST];
    let sent = request(Body::None, [(&b"A"[..], Some(&huge[..]))]).encode(&mut out);
    assert!(matches!(sent, Err(FrameError::TooLong { kind: Kind::Request, limit: REQUEST_MOST, .. })));
    let whole = request(Body::Whole(&LONG[..WHOLE_MOST + 1]), Entries::default()).encode(&mut out);
    assert_eq!(whole, Err(FrameError::Value { kind: Kind::Request, field: "body" }));
    let late = Request { queue_start: f64::NAN, ..request(Body::None, Entries::default()) };
    assert_eq!(late.encode(&mut out), Err(FrameError::Value { kind: Kind::Request, field: "queue_start" }));
    for frame in [
        FromWorker::End(End::Status(200)),
        FromWorker::Log { level: 1, line: b"x" },
        FromWorker::File { offset: u64::MAX, length: 1 },
        FromWorker::Window { size: 0 },
        FromWorker::Part { offset: 1 << 20, length: 1 },
    ] {
        assert!(matches!(frame.encode(&mut out), Err(FrameError::Value { .. })), "{frame:?}");
    }
    assert_eq!(out, b"before");
}

#[test]
fn frames_at_their_limit_pass() {
    let long = vec![b'x'; REQUEST_MOST - 34 - 5 * 4 - 15 - 14 - 11 - 4 - 3 - 4 - 1 - 4];
    let mut bytes = child_stream(&[HELLO]);
    request(Body::Chunked, [(&b"A"[..], Some(&long[..]))]).encode(&mut bytes).unwrap();
    FromChild::Body(&long[..BODY_MOST]).encode(&mut bytes).unwrap();
    request(Body::Whole(&LONG[..WHOLE_MOST]), Entries::default()).encode(&mut bytes).unwrap();
    let mut reader = Reader::of_child();
    give(&mut reader, &bytes);
    reader.next_child().unwrap();
    assert!(matches!(reader.next_child(), Ok(Some(FromChild::Request(_)))));
    assert_eq!(reader.next_child(), Ok(Some(FromChild::Body(&long[..BODY_MOST]))));
    let Ok(Some(FromChild::Request(whole))) = reader.next_child() else { panic!("no request") };
    assert_eq!(whole.body, Body::Whole(&LONG[..WHOLE_MOST]));

    let mut bytes = Vec::new();
    encode_head(&mut bytes, &[], [(&b"A"[..], &long[..HEAD_MOST - 13])]).unwrap();
    FromWorker::Data(&long[..DATA_MOST]).encode(&mut bytes).unwrap();
    let mut reader = Reader::of_worker(usize::MAX);
    give(&mut reader, &bytes);
    assert!(matches!(reader.next_worker(), Ok(Some(FromWorker::Head { .. }))));
    assert_eq!(reader.next_worker(), Ok(Some(FromWorker::Data(&long[..DATA_MOST]))));
}

#[test]
fn a_long_log_line_becomes_records_and_no_character_is_torn() {
    for line in ["x".repeat(3 * LOG_MOST), "\u{20ac}".repeat(LOG_MOST), format!("x{}", "\u{1f600}".repeat(LOG_MOST))] {
        let bytes = worker_stream(&[FromWorker::Log { level: 4, line: line.as_bytes() }]);
        let mut reader = Reader::of_worker(HEADER_LINE);
        give(&mut reader, &bytes);
        let mut joined = String::new();
        while let Some(frame) = reader.next_worker().unwrap() {
            let FromWorker::Log { level: 4, line } = frame else { panic!("{frame:?}") };
            joined.push_str(std::str::from_utf8(line).unwrap());
        }
        assert_eq!(joined, line);
    }
    let bytes = worker_stream(&[FromWorker::Log { level: 4, line: &[0x80; 2 * LOG_MOST] }]);
    assert_eq!(bytes.len(), 2 * LOG_MOST + 3 * 9, "what is no UTF-8 is cut anywhere");
}

#[test]
fn a_long_cause_is_cut_at_a_character() {
    let text = "\u{20ac}".repeat(LOG_MOST);
    let chunked = FromChild::Request(request(Body::Chunked, Entries::default()));
    let mut reader = Reader::of_child();
    give(&mut reader, &child_stream(&[HELLO, chunked, FromChild::BodyError(BodyError::Failed(&text))]));
    reader.next_child().unwrap();
    reader.next_child().unwrap();
    let Ok(Some(FromChild::BodyError(BodyError::Failed(cut)))) = reader.next_child() else { panic!("no error") };
    assert!(text.starts_with(cut) && cut.len() > LOG_MOST - 5);
}
