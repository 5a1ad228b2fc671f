//! Kept connections whose client asks again at once.

use serde_json::json;

use crate::harness::{Request, until, wsgi_test};

fn plan(number: usize) -> String {
    json!({"items": [format!("answer {number}")], "headers": [["Content-Type", "text/plain"]]}).to_string()
}

/// The longest run of requests, one after the other, that the same thread of httpd has answered.
fn longest_run(log: &str) -> usize {
    let threads: Vec<&str> = log.lines().collect();
    threads.chunk_by(|one, next| one == next).map(<[&str]>::len).max().unwrap_or(0)
}

wsgi_test!(a_client_that_asks_again_at_once_keeps_its_thread, usual, |site| {
    let server = site.app("scripted").conf("LogFormat \"%{tid}P\" threads\nCustomLog logs/threads.log threads").start();
    let mut connection = server.connect();
    // On a busy machine a client may seem to pause.
    until("eight requests in a row of one thread", || {
        for number in 0..50 {
            assert_eq!(connection.ask(&Request::post("/", plan(number)).keep_alive()).ok(), format!("answer {number}"));
        }
        (longest_run(&server.root.read("logs/threads.log")) >= 8).then_some(())
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
