//! Requests and answers as frames.

use mod_wsgi::wire::{BodyError, End, FromChild, WHOLE_MOST};

use crate::child::{Answer, Ask, Child};
use crate::supervisor::{start, until};

const ECHO: &str = r#"
import json, time
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/environ":
        seen = {k: v for k, v in environ.items() if isinstance(v, (str, int, float, bool, type(None)))}
        body = json.dumps(seen).encode()
    elif path == "/lines":
        body = repr(environ["wsgi.input"].readlines()).encode()
    elif path == "/zero":
        body = environ["wsgi.input"].read(0) + environ["wsgi.input"].read()
    elif path == "/continue":
        environ["wsgi.input"].read(0)
        body = b"asked"
    elif path == "/unread":
        body = b"unread"
    elif path == "/begin":
        body = environ["wsgi.input"].read(10) * 300_000
    elif path == "/pieces":
        body = b"".join(iter(lambda: environ["wsgi.input"].read(65536), b""))
    else:
        body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Two", "1"), ("X-Two", "2")])
    return [body]
"#;

#[test]
fn a_small_answer_and_its_environ() {
    let Some(worker) = start(ECHO).ready() else { return };
    let mut child = worker.connect();
    for _ in 0..3 {
        let answer = child.ask(&worker.get("/environ"));
        assert_eq!((answer.status.as_str(), answer.end), ("200 OK", Some(End::Complete)), "{answer:?}");
        assert_eq!(answer.header("Content-Length").unwrap(), answer.body.len().to_string());
        let twice: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "X-Two").collect();
        assert_eq!((twice.len(), answer.pieces.len()), (2, 1));
        let environ: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(environ["PATH_INFO"], "/environ");
        assert_eq!(environ["mod_wsgi.process_group"], "shop");
        assert_eq!(environ["mod_wsgi.thread_id"], 1);
        assert_eq!(environ["nothing"], serde_json::Value::Null);
        assert_eq!(environ["wsgi.multithread"], false);
        assert_eq!(environ["wsgi.multiprocess"], false);
        assert_eq!(environ["wsgi.run_once"], false);
        let time = |key: &str| environ[key].as_f64().unwrap();
        let times = ["request_start", "queue_start", "daemon_start", "application_start"];
        let times = times.map(|name| time(&format!("mod_wsgi.{name}")));
        assert!(times.is_sorted() && times[0] > 1e9, "{times:?}");
    }
}

#[test]
fn early_hints_go_out_before_the_application_goes_on() {
    const APP: &str = r#"
def application(environ, start_response):
    hint = environ["wsgi.early_hints"]
    hint([("Link", "</a.css>; rel=preload"), ("X-Two", "1"), ("X-Two", "caf\xe9")])
    hint([])
    body = environ["wsgi.input"].read()
    hint([("Link", "</b.css>")])
    write = start_response("200 OK", [("Link", "</c.css>")])
    write(body)
    try:
        hint([("Link", "</d.css>")])
    except RuntimeError as failure:
        write(str(failure).encode())
    return []
"#;
    let Some(worker) = start(APP).ready() else { return };
    let mut child = worker.connect();
    for body in [&b"body "[..], b""] {
        let answer = child.ask(&Ask { method: "POST", body: Some(body), ..worker.get("/") });
        let names: Vec<Vec<&str>> =
            answer.hints.iter().map(|hint| hint.iter().map(|(_, value)| value.as_str()).collect()).collect();
        assert_eq!(names, [vec!["</a.css>; rel=preload", "1", "caf\u{fffd}"], vec!["</b.css>"]]);
        assert_eq!((answer.header("Link"), answer.end), (Some("</c.css>"), Some(End::Complete)));
        assert!(answer.text().ends_with("whose headers were sent already"), "{answer:?}");
    }
}

#[test]
fn the_flags_of_the_group() {
    for (threads, processes, most, expected) in
        [(15, None, None, [true, false, false]), (1, Some(1), Some(1), [false, true, true])]
    {
        let starting = start(ECHO).options(|options| {
            options.threads = Some(threads);
            options.processes = processes;
            options.maximum_requests = most;
        });
        let Some(worker) = starting.ready() else { return };
        let environ = worker.connect().ask(&worker.get("/environ"));
        let environ: serde_json::Value = serde_json::from_slice(&environ.body).unwrap();
        let flags = ["multithread", "multiprocess", "run_once"];
        assert_eq!(flags.map(|flag| environ[format!("wsgi.{flag}")] == true), expected);
    }
}

#[test]
fn a_forked_process_changes_nothing_of_an_answer() {
    const APP: &str = r#"
import ctypes, os
def application(environ, start_response):
    start_response("200 OK", [])
    return forks() if environ["PATH_INFO"] == "/forks" else [b"b" * 100000]
def forks():
    child = os.fork()
    if child == 0:
        # It comes back to the worker's code; when its only thread is over, so shall the process be.
        libc = ctypes.CDLL(None)
        libc.__cxa_atexit(libc._exit, None, None)
        os.read(go[0], 1)
        yield b"c" * 100000
        return
    yield b"p" * 100000
    os.write(go[1], b"x")
    os.waitpid(child, 0)
    open(os.path.join(os.path.dirname(__file__), "over"), "w").close()
    yield b"end"
go = os.pipe()
"#;
    let Some(worker) = start(APP).ready() else { return };
    let (mut child, ask) = (worker.connect(), worker.get("/forks"));
    assert_eq!(child.ask(&worker.get("/")).pieces, [100_000]);
    child.begin(&ask);
    until("the forked process has answered, too", || worker.folder.join("over").exists());
    let answer = child.answer(&ask);
    assert!(answer.text() == format!("{}end", "p".repeat(100_000)));
}

#[test]
fn large_answers_lie_in_memory_that_the_connection_keeps() {
    const APP: &str = r#"
def application(environ, start_response):
    start_response("200 OK", [])
    return [environ["PATH_INFO"][1:].encode() * 300000]
"#;
    let Some(worker) = start(APP).ready() else { return };
    let mut child = worker.connect();
    for (path, pieces) in
        [("/a", vec![300_000]), ("/bcde", vec![1 << 20, 65_536, 65_536, 20_352]), ("/f", vec![300_000])]
    {
        let answer = child.ask(&worker.get(path));
        assert!(answer.text() == path[1..].repeat(300_000));
        assert_eq!((answer.pieces, answer.end), (pieces, Some(End::Complete)));
    }
}

#[test]
fn so_many_connections_have_memory_for_answers_and_others_when_one_is_closed() {
    const APP: &str = r#"
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"x" * 100000]
"#;
    let Some(worker) = start(APP).ready() else { return };
    let in_memory = |child: &mut Child| child.ask(&worker.get("/")).pieces == [100_000];
    let mut children: Vec<Child> = (0..50).map(|_| worker.connect()).collect();
    let had: Vec<bool> = children.iter_mut().map(in_memory).collect();
    assert_eq!(had, [[true; 48].as_slice(), &[false; 2]].concat());
    assert!(in_memory(&mut children[0]) && !in_memory(&mut children[49]));
    children.remove(0);
    let last = children.last_mut().unwrap();
    until("the memory of the one that left is another's", || in_memory(last));
}

#[test]
fn bodies_are_asked_for() {
    let Some(worker) = start(ECHO).ready() else { return };
    let mut child = worker.connect();
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    for chunked in [false, true] {
        for path in ["/", "/pieces"] {
            for body in [&b""[..], b"x", b"a\nb\nc", &large] {
                let ask = Ask { method: "POST", body: Some(body), chunked, ..worker.get(path) };
                let answer = child.ask(&ask);
                assert!(answer.body == body, "{path}: {} bytes, not {}", answer.body.len(), body.len());
                assert_eq!(answer.end, Some(End::Complete));
            }
        }
    }
    let post = |path, body| Ask { method: "POST", body: Some(body), ..worker.get(path) };
    assert_eq!(child.ask(&post("/lines", b"a\nbc\n\nd")).text(), r"[b'a\n', b'bc\n', b'\n', b'd']");
    let answer = child.ask(&post("/unread", b"body"));
    assert_eq!((answer.wants.len(), answer.text().as_str()), (0, "unread"), "nobody asked, so nobody continued");
    let answer = child.ask(&post("/zero", b"body"));
    assert_eq!((answer.wants.first(), answer.text().as_str()), (Some(&0), "body"));
    let answer = child.ask(&post("/continue", b"body"));
    assert_eq!((answer.wants.as_slice(), answer.text().as_str()), ([0].as_slice(), "asked"));
    let answer = child.ask(&Ask { ..worker.get("/") });
    assert_eq!((answer.wants.len(), answer.text().as_str()), (0, ""), "a request without a body is not asked for one");
}

#[test]
fn what_is_left_of_a_body_is_not_the_next_request() {
    let Some(worker) = start(ECHO).ready() else { return };
    let mut child = worker.connect();
    let body = vec![b'x'; 1_000_000];
    for chunked in [false, true] {
        for path in ["/begin", "/begin", "/pieces"] {
            let answer = child.ask(&Ask { method: "POST", body: Some(&body), chunked, ..worker.get(path) });
            // More than either end takes before the other one reads.
            let expected = if path == "/begin" { 3_000_000 } else { body.len() };
            assert_eq!((answer.body.len(), answer.end), (expected, Some(End::Complete)), "{path}");
        }
    }
    // No more is asked for than the client has said.
    let answer = child.ask(&Ask { method: "POST", body: Some(&body[..50_000]), ..worker.get("/pieces") });
    assert_eq!((answer.wants.first(), answer.body.len()), (Some(&50_000), 50_000));
}

#[test]
fn a_body_that_comes_with_its_request_is_not_asked_for() {
    let Some(worker) = start(ECHO).ready() else { return };
    let mut child = worker.connect();
    let body = vec![b'x'; WHOLE_MOST];
    for (path, body, seen) in [
        ("/", &b"some body"[..], "some body"),
        ("/", b"", ""),
        ("/", &body, std::str::from_utf8(&body).unwrap()),
        ("/lines", b"a\nbc\n\nd", r"[b'a\n', b'bc\n', b'\n', b'd']"),
        ("/zero", b"body", "body"),
        ("/continue", b"body", "asked"),
        ("/unread", b"body", "unread"),
    ] {
        let answer = child.ask(&Ask { method: "POST", body: Some(body), whole: true, ..worker.get(path) });
        assert_eq!((answer.text().as_str(), answer.end), (seen, Some(End::Complete)), "{path}");
        assert_eq!(answer.wants, [0_u32; 0], "{path}");
    }
}

#[test]
fn a_body_that_fails_is_an_os_error() {
    const APP: &str = r#"
def application(environ, start_response):
    try:
        environ["wsgi.input"].read()
        body = "read"
    except OSError as failure:
        body = str(failure)
    start_response("200 OK", [])
    return [body.encode()]
"#;
    let Some(worker) = start(APP).ready() else { return };
    let mut child = worker.connect();
    for (error, text) in [
        (BodyError::TooLarge, "LimitRequestBody"),
        (BodyError::Timeout, "in time"),
        (BodyError::ClientGone, "closed the connection"),
        (BodyError::Failed("odd"), "odd"),
    ] {
        let ask = Ask { method: "POST", body_error: Some(error), ..worker.get("/") };
        let answer = child.ask(&ask);
        assert!(answer.text().contains(text), "{answer:?}");
    }
    assert_eq!(child.ask(&worker.get("/")).text(), "read", "the connection is still good");
}

const SENDS: &str = r#"
import os, sys, threading
class Closing:
    def __init__(self, items): self.items = items
    def __iter__(self): return iter(self.items)
    def close(self): raise ValueError("in close")
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raise":
        raise ValueError("before the head")
    if path == "/length":
        start_response("200 OK", [("Content-Length", "9")])
        return [b"short"]
    start_response("200 OK", [])
    if path == "/stream":
        def stream():
            yield b"one"
            yield b""
            yield b"two"
        return stream()
    if path == "/halfway":
        def halfway():
            yield b"one"
            raise ValueError("behind the head")
        return halfway()
    if path == "/large":
        return [b"x" * 3_000_000]
    if path == "/file":
        file = open(__file__, "rb")
        file.seek(1)
        return environ["wsgi.file_wrapper"](file)
    if path == "/empty":
        return []
    if path == "/closing":
        return Closing([b"body"])
    if path == "/log":
        print("to the request", file=environ["wsgi.errors"])
        print("long " + "y" * 20000, file=sys.stderr)
        thread = threading.Thread(target=lambda: print("to the group", file=sys.stderr))
        thread.start(); thread.join()
        return [b"logged"]
    if path == "/head":
        start_response("200 OK", [("X-Large", "z" * 2_000_000)])
        return [b"never"]
    return [b"?"]
"#;

#[test]
fn answers_of_every_kind() {
    let Some(worker) = start(SENDS).ready() else { return };
    let mut child = worker.connect();
    let complete = Some(End::Complete);
    let answer = child.ask(&worker.get("/stream"));
    assert_eq!((answer.pieces.as_slice(), answer.text().as_str(), answer.end), ([3, 3].as_slice(), "onetwo", complete));
    let answer = child.ask(&worker.get("/large"));
    assert_eq!((answer.body.len(), answer.end), (3_000_000, complete));
    let answer = child.ask(&worker.get("/file"));
    assert_eq!((answer.pieces.as_slice(), answer.text().as_str()), ([0].as_slice(), &SENDS[1..]));
    assert_eq!(
        (answer.header("Content-Length").unwrap(), answer.end),
        ((SENDS.len() - 1).to_string().as_str(), complete)
    );
    let answer = child.ask(&worker.get("/empty"));
    assert_eq!((answer.status.as_str(), answer.body.len(), answer.end), ("200 OK", 0, complete));
}

#[test]
fn answers_that_fail() {
    let Some(worker) = start(SENDS).ready() else { return };
    let mut child = worker.connect();
    let answer = child.ask(&worker.get("/raise"));
    assert_eq!((answer.status.as_str(), answer.end), ("", Some(End::Status(500))));
    assert!(answer.logs.iter().any(|(level, line)| *level == 3 && line == "ValueError: before the head"), "{answer:?}");
    let answer = child.ask(&worker.get("/halfway"));
    assert_eq!((answer.status.as_str(), answer.text().as_str(), answer.end), ("200 OK", "one", Some(End::Aborted)));
    let answer = child.ask(&worker.get("/length"));
    assert_eq!((answer.text().as_str(), answer.end), ("short", Some(End::Aborted)));
    assert!(answer.logs.iter().any(|(level, line)| *level == 4 && line.contains("WSGI0301")), "{answer:?}");
    let answer = child.ask(&worker.get("/head"));
    assert_eq!((answer.status.as_str(), answer.end), ("", Some(End::Status(500))), "a head that no frame can hold");
    assert!(answer.logs.iter().any(|(_, line)| line.contains("WSGI0405")), "{answer:?}");
    // What is said behind the end is the group's.
    let answer = child.ask(&worker.get("/closing"));
    assert_eq!((answer.text().as_str(), answer.end), ("body", Some(End::Complete)));
    worker.logs("in close");
    assert_eq!(child.ask(&worker.get("/empty")).end, Some(End::Complete), "and not the next request's");
}

#[test]
fn records_go_to_the_request_or_to_the_group() {
    let Some(worker) = start(SENDS).ready() else { return };
    let answer = worker.connect().ask(&worker.get("/log"));
    let lines: Vec<&str> = answer.logs.iter().map(|(_, line)| line.as_str()).collect();
    assert!(lines.contains(&"to the request"), "{lines:?}");
    let long: usize = lines.iter().filter(|line| line.contains("yyy")).map(|line| line.len()).sum();
    assert_eq!(long, 20_005);
    worker.logs("3|to the group");
}

#[test]
fn threads_serve_side_by_side_and_connections_outnumber_them() {
    const APP: &str = r#"
import threading
both = threading.Barrier(2, timeout=8)
def application(environ, start_response):
    if environ["PATH_INFO"] == "/both":
        both.wait()
    start_response("200 OK", [])
    return [str(environ["mod_wsgi.thread_id"]).encode()]
"#;
    let Some(worker) = start(APP).options(|options| options.threads = Some(2)).ready() else { return };
    let mut children: Vec<_> = (0..8).map(|_| worker.connect()).collect();
    for round in 0..4 {
        let (one, two) = children.split_at_mut(round + 1);
        let (one, two) = (&mut one[round], &mut two[0]);
        let ask = worker.get("/both");
        one.begin(&ask);
        two.begin(&ask);
        let mut threads = [one.answer(&ask).text(), two.answer(&ask).text()];
        threads.sort();
        assert_eq!(threads, ["1", "2"]);
    }
    for child in &mut children {
        assert_eq!(child.ask(&worker.get("/")).end, Some(End::Complete));
    }
}

/// A thread of the application that waits for the body has its request for itself: the thread that serves it must not wait for that with
/// the interpreter held.
#[test]
fn a_thread_that_reads_a_body_holds_up_no_other_request() {
    const APP: &str = r#"
import threading
go = threading.Event()
def application(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/behind":
        threading.Thread(target=environ["wsgi.input"].read, args=(1,), daemon=True).start()
        assert go.wait(8)
    elif environ["PATH_INFO"] == "/go":
        go.set()
    return [b"done"]
"#;
    let Some(worker) = start(APP).options(|options| options.threads = Some(3)).ready() else { return };
    let (mut one, mut two) = (worker.connect(), worker.connect());
    // The script is there when it matters.
    assert_eq!(two.ask(&worker.get("/")).text(), "done");
    let behind = Ask { method: "POST", body: Some(b"x"), ..worker.get("/behind") };
    one.begin(&behind);
    let mut answer = Answer::default();
    assert!(matches!(one.step(&mut answer), Some(Some(1..))), "it reads");
    two.ask(&worker.get("/go"));
    // Some of them come when the other one has returned.
    for _ in 0..500 {
        assert_eq!(two.ask(&worker.get("/")).text(), "done");
    }
    one.send(&FromChild::Body(b"x"));
    while answer.end.is_none() && one.step(&mut answer).is_some() {}
    assert_eq!((answer.text().as_str(), answer.end), ("done", Some(End::Complete)));
}

#[test]
fn an_answer_frees_its_connection_before_close_is_done() {
    const APP: &str = r#"
import threading
go = threading.Event()
class Slow:
    def __iter__(self): return iter([b"body"])
    def close(self): assert go.wait(8)
def application(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/slow":
        return Slow()
    go.set()
    return [b"quick"]
"#;
    let Some(worker) = start(APP).options(|options| options.threads = Some(2)).ready() else { return };
    let mut child = worker.connect();
    assert_eq!(child.ask(&worker.get("/slow")).text(), "body");
    assert_eq!(child.ask(&worker.get("/")).text(), "quick");
}

#[test]
fn a_child_that_goes_is_noticed_by_the_application() {
    const APP: &str = r#"
import time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/read":
        try:
            environ["wsgi.input"].read()
        except OSError as failure:
            print("read:", failure)
        return []
    write = start_response("200 OK", [])
    try:
        for number in range(1000):
            write(b"x" * 10000)
            time.sleep(0.001)
    except OSError as failure:
        print("write:", failure)
    return []
"#;
    let Some(worker) = start(APP).ready() else { return };
    let mut child = worker.connect();
    child.begin(&Ask { method: "POST", body: Some(b"never sent"), ..worker.get("/read") });
    child.step(&mut Answer::default());
    drop(child);
    worker.logs("3|read: the client closed the connection");
    let mut child = worker.connect();
    child.begin(&worker.get("/write"));
    child.step(&mut Answer::default());
    drop(child);
    worker.logs("3|write: the client closed the connection");
}
