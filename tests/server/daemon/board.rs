//! The board: lines about the end of a process name what it was serving, and what it had not begun goes to another.

use nix::sys::signal::Signal;

use super::{act, held, holder, pid, release, replaced};
use crate::harness::process::{is_stopped, send, wait_end};
use crate::harness::{Request, Server, until, wsgi_test};

/// The line about the end of a process that served.
fn end_of(server: &Server, id: u32) -> String {
    server.allow_log(&format!("pid {id}"));
    until(&format!("a line about the end of {id}"), || {
        let is_it =
            |message: &str| message.starts_with("WSGI0320") && message.contains(&format!("\"shop\" (pid {id}) ended"));
        server.log().into_iter().map(|line| line.message).find(|message| is_it(message))
    })
}

/// The process that was started last, once it is ready.
fn ready(server: &Server) -> u32 {
    let line = server.wait_log("WSGI0327").message;
    let (_, rest) = line.split_once("(pid ").unwrap();
    rest.split_once(')').unwrap().0.parse().unwrap()
}

/// Whether a child waits for a worker to answer.
fn waits_for_a_worker(server: &Server) -> bool {
    let tasks = |child: u32| std::fs::read_dir(format!("/proc/{child}/task")).into_iter().flatten().flatten();
    let tasks = server.children().into_iter().flat_map(tasks);
    let mut places = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("wchan")).ok());
    places.any(|place| place.starts_with("unix_stream"))
}

wsgi_test!(the_end_of_a_process_is_told_with_the_requests_it_cuts_off, groups, |site| {
    let server = act(site, "threads=3").start();
    let (mut one, first) = held(&server, "/hold", "one");
    let mut two = server.connect();
    two.send_head(&Request::new("DELETE", "/hold?two"));
    assert_eq!(holder(&server, "two"), first);
    assert_eq!(server.get("/crash").status, 502);
    assert_eq!((one.response("GET").status, two.response("DELETE").status), (502, 502));
    let line = end_of(&server, first);
    assert!(line.contains(") ended by signal SIGSEGV while it served: GET /hold ("), "{line}");
    assert!(line.contains("), DELETE /hold (") && line.contains("), GET /crash ("), "{line}");
    assert!(!line.contains("?") && !line.contains("two"), "no query string: {line}");
    server.wait_log("WSGI0146");
    assert_ne!(pid(&server), first);
});

wsgi_test!(every_way_to_end_is_told_so, groups, |site| {
    let server = act(site, "threads=2").start();
    let first = ready(&server);
    send(first, Signal::SIGKILL);
    let line = end_of(&server, first);
    assert!(line.contains(") ended by signal SIGKILL while it served, with no request in progress; "), "{line}");
    wait_end(first);
    let (mut held_one, second) = held(&server, "/hold", "one");
    send(second, Signal::SIGKILL);
    assert_eq!(held_one.response("GET").status, 502);
    let line = end_of(&server, second);
    assert!(line.contains(") ended by signal SIGKILL while it served: GET /hold ("), "{line}");
    wait_end(second);
    // With all its might, and with a path that would like to be a line of its own.
    let third = pid(&server);
    // The supervisor is told of a script that was served, behind the first answer: until then that request is in progress.
    assert_eq!((pid(&server), pid(&server)), (third, third));
    assert_eq!(server.get("/exit/%0A(9.9%20s),%20GET%20/x?3").status, 502);
    let line = end_of(&server, third);
    // Beside the one before, perhaps: it is answered a moment before its thread is through with it.
    let path = "GET /exit/%0A%289.9%20s%29%2C%20GET%20/x (";
    assert!(line.contains(") ended with status 3 while it served: GET /") && line.contains(path), "{line}");
    server.wait_log("WSGI0146");
});

wsgi_test!(a_request_that_was_sent_and_not_read_goes_to_another_process, groups_every_mpm, |site| {
    let server = act(site, "threads=2").children(1).start();
    let first = pid(&server);
    send(first, Signal::SIGSTOP);
    until("the worker to stop", || is_stopped(first).then_some(()));
    // The connection is a kept one, so the request is written at once, whatever its process does.
    let mut connection = server.connect();
    connection.send_head(&Request::get("/pid"));
    until("the request to be sent", || waits_for_a_worker(&server).then_some(()));
    send(first, Signal::SIGKILL);
    assert_ne!(connection.response("GET").ok(), first.to_string());
    end_of(&server, first);
});

wsgi_test!(a_request_that_was_begun_is_never_sent_twice, groups, |site| {
    let server = act(site, "processes=2 threads=2").children(1).start();
    let (mut connection, first) = held(&server, "/hold", "one");
    // Stopped first, so that it can't say anything at its end.
    send(first, Signal::SIGSTOP);
    until("the worker to stop", || is_stopped(first).then_some(()));
    send(first, Signal::SIGKILL);
    assert_eq!(connection.response("GET").status, 502);
    server.wait_log("WSGI0146");
    let line = end_of(&server, first);
    assert!(line.contains("while it served: GET /hold ("), "{line}");
    assert_eq!(holder(&server, "one"), first, "no other process has begun it");
});

wsgi_test!(the_board_stays_over_a_graceful_restart, groups, |site| {
    let server = act(site, "threads=2").start();
    let (mut old, first) = held(&server, "/hold", "old");
    server.graceful();
    let second = replaced(&server, first);
    let (mut new, id) = held(&server, "/hold", "new");
    assert_eq!(id, second);
    send(second, Signal::SIGKILL);
    assert_eq!(new.response("GET").status, 502);
    let line = end_of(&server, second);
    assert!(line.contains("while it served: GET /hold ("), "{line}");
    release(&server, "old");
    assert_eq!(old.response("GET").ok(), first.to_string());
    server.wait_log("WSGI0146");
});
