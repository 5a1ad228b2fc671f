//! Who is not let in, and what is not believed.

use std::io::Write as _;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mod_wsgi::wire::{End, FromChild, Hello};

use crate::child::{Answer, Ask, Child};
use crate::supervisor::{SECRET, start};

const HELLO: &str = r#"
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
"#;

#[test]
fn a_wrong_secret_gets_nothing() {
    let Some(worker) = start(HELLO).ready() else { return };
    for at in [0, 15, 31] {
        let mut wrong = SECRET;
        wrong[at] ^= 1;
        let mut stranger = worker.visit();
        let mut bytes = Vec::new();
        FromChild::Hello(Hello { secret: wrong, connection: 1 }).encode(&mut bytes).unwrap();
        bytes.extend(Child::encoded(&worker.get("/")));
        stranger.stream.write_all(&bytes).unwrap();
        assert!(stranger.is_closed_silently());
    }
    worker.logs("4|WSGI0034");
    assert_eq!(worker.connect().ask(&worker.get("/")).text(), "hello");
}

#[test]
fn junk_is_turned_away_at_once() {
    let Some(worker) = start(HELLO).ready() else { return };
    let mut huge = Vec::new();
    FromChild::Hello(Hello { secret: SECRET, connection: 1 }).encode(&mut huge).unwrap();
    huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut version = Vec::new();
    FromChild::Hello(Hello { secret: SECRET, connection: 1 }).encode(&mut version).unwrap();
    version[8] = 99;
    let request = Child::encoded(&worker.get("/"));
    for junk in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[255; 64], &huge, &version, &request] {
        let mut stranger = worker.visit();
        let begin = Instant::now();
        // It may have been closed before all of it was taken.
        let _ = stranger.stream.write_all(junk);
        assert!(stranger.is_closed_silently(), "{junk:?}");
        assert!(begin.elapsed() < Duration::from_secs(3), "{junk:?}");
    }
    assert_eq!(worker.connect().ask(&worker.get("/")).text(), "hello");
}

#[test]
fn what_can_not_be_behind_a_hello_ends_the_connection() {
    let Some(worker) = start(HELLO).ready() else { return };
    let hello = |worker: &crate::supervisor::Worker| worker.connect();
    let mut again = hello(&worker);
    again.hello(SECRET);
    assert!(again.is_closed_silently(), "a second HELLO");
    let mut body = hello(&worker);
    body.send(&FromChild::Body(b"x"));
    assert!(body.is_closed_silently(), "a body without a request");
    let mut huge = hello(&worker);
    let mut bytes = Child::encoded(&worker.get("/"));
    bytes[4..8].copy_from_slice(&(64_u32 << 20).to_le_bytes());
    huge.stream.write_all(&bytes).unwrap();
    assert!(huge.is_closed_silently(), "a request of 64 MiB");
    let mut cut = hello(&worker);
    let mut bytes = Child::encoded(&worker.get("/"));
    let last = bytes.len() - 1;
    bytes[last - 3..].copy_from_slice(b"\xff\xff\xff\x7f");
    cut.stream.write_all(&bytes).unwrap();
    assert!(cut.is_closed_silently(), "a length that runs over the end");
    worker.logs("WSGI0406");
    assert_eq!(worker.connect().ask(&worker.get("/")).text(), "hello");
}

#[test]
fn half_a_frame_and_silence_hold_up_nobody() {
    let Some(worker) = start(HELLO).ready() else { return };
    let begin = Instant::now();
    let mut silent = worker.visit();
    let mut halves: Vec<_> = (0..3).map(|_| worker.visit()).collect();
    let mut hello = Vec::new();
    FromChild::Hello(Hello { secret: SECRET, connection: 1 }).encode(&mut hello).unwrap();
    for half in &mut halves {
        half.stream.write_all(&hello[..20]).unwrap();
    }
    // Half a request: the only thread must not wait for the rest.
    let request = Child::encoded(&worker.get("/"));
    let mut requests: Vec<_> = (0..3).map(|_| worker.connect()).collect();
    for half in &mut requests {
        half.stream.write_all(&request[..request.len() / 2]).unwrap();
    }
    let mut child = worker.connect();
    for _ in 0..20 {
        assert_eq!(child.ask(&worker.get("/")).text(), "hello");
    }
    assert!(begin.elapsed() < Duration::from_secs(4));
    // One gets the other half, byte by byte; another is cut off.
    for byte in &request[request.len() / 2..] {
        requests[0].stream.write_all(&[*byte]).unwrap();
    }
    let ask = worker.get("/");
    assert_eq!(requests[0].answer(&ask).end, Some(End::Complete));
    requests[1].stream.shutdown(Shutdown::Write).unwrap();
    assert!(requests[1].is_closed_silently());
    // Who does not show the secret has 5 s.
    for half in halves.iter_mut().chain([&mut silent]) {
        assert!(half.is_closed_silently());
    }
    assert!((4..8).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}

#[test]
fn many_strangers_do_not_lock_children_out() {
    let Some(worker) = start(HELLO).ready() else { return };
    let strangers: Vec<_> = (0..300).map(|_| worker.visit()).collect();
    let mut child = worker.connect();
    assert_eq!(child.ask(&worker.get("/")).text(), "hello");
    drop(strangers);
}

#[test]
fn a_body_out_of_order_fails_the_request_alone() {
    const READS: &str = r#"
def application(environ, start_response):
    try:
        body = environ["wsgi.input"].read()
    except OSError as failure:
        print("failed:", failure)
        raise
    start_response("200 OK", [])
    return [body]
"#;
    let Some(worker) = start(READS).ready() else { return };
    let mut child = worker.connect();
    child.begin(&Ask { method: "POST", body: Some(b"body"), ..worker.get("/") });
    child.step(&mut Answer::default());
    child.begin(&worker.get("/"));
    assert!(child.is_cut_off());
    worker.logs("failed: ");
    assert_eq!(worker.connect().ask(&worker.get("/")).end, Some(End::Complete));
}
