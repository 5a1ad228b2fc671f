//! Kept connections whose client asks again at once.

use serde_json::json;

use crate::harness::{Request, until, wsgi_test};

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
