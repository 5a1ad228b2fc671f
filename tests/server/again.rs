//! Kept connections whose client asks again at once.

use serde_json::json;

use crate::harness::process::batch_threads;
use crate::harness::{Request, Response, Server, until, wsgi_test};

fn plan(number: usize) -> String {
    json!({"items": [format!("answer {number}")], "headers": [["Content-Type", "text/plain"]]}).to_string()
}

/// How many of the last requests were answered by the thread of httpd that answered the one before.
fn kept_threads(log: &str, last: usize) -> usize {
    let threads: Vec<&str> = log.lines().collect();
    threads[threads.len() - last..].windows(2).filter(|pair| pair[0] == pair[1]).count()
}

wsgi_test!(a_client_that_asks_again_at_once_keeps_its_thread, usual, |site| {
    let server = site.app("scripted").conf("LogFormat \"%{tid}P\" threads\nCustomLog logs/threads.log threads").start();
    let mut connection = server.connect();
    let mut asked = 0;
    // On a busy machine a client may seem to pause.
    until("requests that mostly stay with their thread", || {
        for number in 0..60 {
            assert_eq!(connection.ask(&Request::post("/", plan(number)).keep_alive()).ok(), format!("answer {number}"));
        }
        asked += 60;
        let log = || Some(server.root.read("logs/threads.log")).filter(|log| log.lines().count() >= asked);
        (kept_threads(&until("the log", log), 60) >= 35).then_some(())
    });
    assert_eq!(server.ask(&Request::post("/", plan(7))).ok(), "answer 7", "others are served");
});

wsgi_test!(requests_that_were_sent_together_are_answered_in_their_order, every_mpm, |site| {
    let server = site.app("scripted").start();
    let mut connection = server.connect();
    for round in 0..3 {
        let numbers = || (0..30).map(|number| 100 * round + number);
        let requests = numbers().map(|number| {
            let plan = plan(number);
            [Request::post("/", &plan).keep_alive().head_bytes(server.port), plan.into_bytes()].concat()
        });
        assert!(connection.send(requests.collect::<Vec<_>>().concat()));
        for number in numbers() {
            assert_eq!(connection.response("POST").ok(), format!("answer {number}"));
        }
    }
});

wsgi_test!(a_large_answer_behind_quick_ones_waits_for_its_client_without_harm, usual, |site| {
    let server = site.app("scripted").start();
    let mut connection = server.connect();
    let large =
        json!({"items": vec!["x".repeat(10_000); 400], "headers": [["Content-Type", "text/plain"]]}).to_string();
    for number in 0..20 {
        connection.ask(&Request::post("/", plan(number)).keep_alive()).ok();
    }
    connection.send_head(&Request::post("/", &large).keep_alive());
    connection.send(&large);
    assert_eq!(server.ask(&Request::post("/", plan(1))).ok(), "answer 1", "while nobody reads");
    assert_eq!(connection.response("POST").ok().len(), 4_000_000);
    assert_eq!(connection.ask(&Request::post("/", plan(2)).keep_alive()).ok(), "answer 2");
});

/// How many threads of httpd's children wait for others when they wake.
fn waiting_for_others(server: &Server) -> usize {
    server.children().into_iter().map(batch_threads).sum()
}

wsgi_test!(a_thread_waits_for_others_while_its_client_is_expected_and_only_for_very_short_requests, usual, |site| {
    const APP: &str = "\
import time

def application(environ, start_response):
    end = time.monotonic() + 1e-6 * int(environ['QUERY_STRING'] or 0)
    while time.monotonic() < end:
        pass
    start_response('200 OK', [('Content-Length', '2')])
    return [b'ok']
";
    let is_embedded = !site.setting.mode.is_daemon();
    let site = site.file("apps/spin/app.wsgi", APP).file("htdocs/plain.txt", "plain");
    let mounts = "WSGIScriptAlias /gone ${APPS}/gone.wsgi\nAlias /plain.txt ${ROOT}/htdocs/plain.txt\nWSGIScriptAlias / ${APPS}/spin/app.wsgi";
    let server = site.conf(mounts).expect_log("WSGI0583").expect_log("WSGI0135").start();
    let mut connection = server.connect();
    let mut ask = |target: &str| connection.ask(&Request::get(target).keep_alive());
    // On a busy machine a client may seem to pause, and short requests seem long.
    let waits = |ask: &mut dyn FnMut(&str) -> Response| {
        until("a thread that waits for others", || {
            ask("/").ok();
            (waiting_for_others(&server) == 1).then_some(())
        });
    };
    waits(&mut ask);
    assert_eq!((ask("/plain.txt").ok(), waiting_for_others(&server)), ("plain".to_owned(), 0), "another handler");
    waits(&mut ask);
    assert_eq!((ask("/gone").status, waiting_for_others(&server)), (404, 0), "a refusal");
    waits(&mut ask);
    until("one whose client pauses", || (waiting_for_others(&server) == 0).then_some(()));
    let mut other = server.connect();
    waits(&mut |target| other.ask(&Request::get(target).keep_alive()));
    drop(other);
    until("one whose client has gone", || (waiting_for_others(&server) == 0).then_some(()));
    if is_embedded {
        until("the pace of longer requests", || {
            let found = (0..5).map(|_| {
                ask("/?1000").ok();
                waiting_for_others(&server)
            });
            (found.sum::<usize>() == 0).then_some(())
        });
        for _ in 0..20 {
            ask("/?1000").ok();
            assert_eq!(waiting_for_others(&server), 0);
        }
        waits(&mut ask);
    }
});
