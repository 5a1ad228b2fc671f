//! `wsgi.input`: how a request body reaches the application, and which requests never do.

use md5::{Digest, Md5};
use serde_json::{Value, json};

use crate::harness::{Request, Response, until, wsgi_test};

/// Bytes that repeat at no power of two.
fn bulk(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn calls(list: &[&str]) -> String {
    format!("/?call={}", list.join("&call="))
}

fn results(response: &Response) -> Value {
    response.json()
}

wsgi_test!(every_way_to_read_gives_the_bytes, both_interpreters, |site| {
    let server = site.app("input").start();
    let body = "one\ntwo\r\n\nlast";
    let table: &[(&[&str], Value)] = &[
        (&["read()", "read()"], json!([body, ""])),
        (&["read(-1)", "read(5)"], json!([body, ""])),
        (&["read(3)", "read(100)", "read(1)"], json!(["one", "\ntwo\r\n\nlast", ""])),
        (&["read(0)", "read()"], json!(["", body])),
        (
            &["readline()", "readline()", "readline()", "readline()", "readline()"],
            json!(["one\n", "two\r\n", "\n", "last", ""]),
        ),
        (&["readline(2)", "readline(2)", "readline()"], json!(["on", "e\n", "two\r\n"])),
        (&["readline(0)", "readline(-1)"], json!(["", "one\n"])),
        (&["readlines()"], json!([["one\n", "two\r\n", "\n", "last"]])),
        (&["readlines(5)", "read()"], json!([["one\n", "two\r\n"], "\nlast"])),
        (&["list(stream)"], json!([["one\n", "two\r\n", "\n", "last"]])),
        (&["next(stream)", "read()"], json!(["one\n", "two\r\n\nlast"])),
        (&["readline()", "read(4)", "readline()"], json!(["one\n", "two\r", "\n"])),
        (&["close()", "read(3)"], json!([null, "one"])),
        (&["read('x')", "readline(None,1)"], json!([{"raised": "TypeError"}, {"raised": "TypeError"}])),
    ];
    for (list, expected) in table {
        assert_eq!(&results(&server.post(&calls(list), body)), expected, "{list:?}");
    }
});

wsgi_test!(without_a_body_reading_gives_nothing, |site| {
    let server = site.app("input").start();
    let list = ["read()", "readline()", "readlines()", "read(0)", "next(stream)"];
    let expected = json!(["", "", [], "", {"raised": "StopIteration"}]);
    assert_eq!(results(&server.get(&calls(&list))), expected);
    assert_eq!(results(&server.post(&calls(&list), "")), expected);
});

wsgi_test!(a_body_arrives_whether_or_not_it_came_with_the_head, every_mpm, |site| {
    let server = site.app("upload").start();
    for length in [1, 100, 8000, 16_384, 16_385, 20_000] {
        let body = bulk(length);
        let expected = json!({"length": length, "md5": md5(&body), "declared": length.to_string()});
        for version in ["HTTP/1.0", "HTTP/1.1"] {
            let request = Request::post("/", &body).version(version);
            assert_eq!(server.ask(&request).json(), expected, "{length} {version}");
            for at in [0, 1, length / 2, length - 1] {
                let mut connection = server.connect();
                connection.send_head(&request);
                connection.send(&body[..at]);
                // Lets httpd see that much alone, mostly.
                std::thread::yield_now();
                connection.send(&body[at..]);
                assert_eq!(connection.response("POST").json(), expected, "{length} {version}, cut at {at}");
            }
        }
    }
});

wsgi_test!(what_follows_a_body_is_the_next_request, |site| {
    let server = site.mount("/read", "upload").mount("/unread", "unread").start();
    for path in ["/read", "/unread"] {
        let mut connection = server.connect();
        let head = |length| format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        connection.send(format!("{}hello{}{}four", head(5), head(0), head(4)));
        for length in [5, 0, 4] {
            let text = connection.response("POST").ok();
            assert!(path == "/unread" || text.contains(&format!("\"length\": {length},")), "{text}");
        }
    }
});

/// `hello hello hello ... ` fifty times, by gzip.
const GZIPPED: &str = "1f8b0800000000000203cb48cdc9c957c81825892001c14842592c010000";

wsgi_test!(a_filter_may_change_the_body, |site| {
    let site = site.load(&["deflate", "filter"]).app("upload").conf("SetInputFilter DEFLATE");
    let server = site.start();
    let plain = "hello ".repeat(50).into_bytes();
    let packed: Vec<u8> =
        (0..GZIPPED.len()).step_by(2).map(|at| u8::from_str_radix(&GZIPPED[at..at + 2], 16).unwrap()).collect();
    let request = Request::post("/", &packed).header("Content-Encoding", "gzip");
    for at in [packed.len(), 0, 5, packed.len() - 1] {
        let mut connection = server.connect();
        connection.send_head(&request);
        connection.send(&packed[..at]);
        std::thread::yield_now();
        connection.send(&packed[at..]);
        let seen = connection.response("POST").json();
        assert_eq!((&seen["length"], &seen["md5"]), (&json!(plain.len()), &json!(md5(&plain))), "cut at {at}");
    }
});

wsgi_test!(a_body_that_comes_too_slowly_is_an_os_error, |site| {
    let site = site.load(&["reqtimeout"]).app("input").conf("RequestReadTimeout body=1");
    let server = site.start();
    server.allow_log("WSGI0126");
    for sent in ["", "hel"] {
        let mut connection = server.connect();
        connection.send_head(&Request::post(&calls(&["read()", "read()"]), "hello"));
        connection.send(sent);
        let response = connection.response("POST");
        assert_eq!(results(&response), json!([{"raised": "OSError"}, {"raised": "OSError"}]), "{sent:?}");
    }
    assert_eq!(results(&server.post(&calls(&["read()"]), "hello")), json!(["hello"]));
});

wsgi_test!(a_long_line_comes_whole, |site| {
    let server = site.app("input").start();
    let line = "x".repeat(300_000);
    let seen = results(&server.post(&calls(&["readline()", "read()"]), format!("{line}\nrest")));
    assert_eq!(seen, json!([format!("{line}\n"), "rest"]));
});

wsgi_test!(a_large_upload_arrives_unharmed, every_mpm, |site| {
    let server = site.app("upload").start();
    let body = bulk(20_000_003);
    for size in ["", "1000003"] {
        let seen = server.post(&format!("/?{size}"), &body).json();
        assert_eq!(seen, json!({"length": body.len(), "md5": md5(&body), "declared": body.len().to_string()}));
    }
});

wsgi_test!(chunked_bodies_need_the_directive, |site| {
    let site = site.mount("/on", "upload").mount("/off", "unread").expect_log("WSGI0139");
    let server = site.conf("<Location /on>\n  WSGIChunkedRequest On\n</Location>").start();
    let body = bulk(100_000);
    let request = |target: &str| Request::new("POST", target).chunks(&[&body[..7], &body[7..60_000], &body[60_000..]]);
    let seen = server.ask(&request("/on")).json();
    assert_eq!(seen, json!({"length": body.len(), "md5": md5(&body), "declared": null}));
    assert_eq!(server.ask(&request("/off")).status, 411);
    assert_eq!(server.get("/off").ok(), "1", "the application was not called for the refused one");
});

wsgi_test!(unknown_transfer_encodings_and_bad_lengths_are_refused, |site| {
    let server = site.app("unread").start();
    let refused = |header: &str| {
        let mut connection = server.connect();
        connection.send(format!("POST / HTTP/1.1\r\nHost: localhost\r\n{header}\r\nConnection: close\r\n\r\n"));
        connection.response("POST").status
    };
    // httpd itself answers some of these with 400 before any handler runs.
    assert!([400, 501].contains(&refused("Transfer-Encoding: gzip")));
    for length in ["-1", "abc", "1 2", "99999999999999999999999"] {
        assert_eq!(refused(&format!("Content-Length: {length}")), 400, "{length}");
    }
    assert_eq!(server.get("/").ok(), "1");
});

wsgi_test!(a_client_that_waits_for_100_gets_it_at_the_first_read, |site| {
    let server = site.app("input").start();
    for list in [&["read(0)", "read()"][..], &["read()"], &["readline()"]] {
        let mut connection = server.connect();
        let request = Request::post(&calls(list), "hello").header("Expect", "100-continue");
        connection.send_head(&request);
        let (status, ..) = connection.head().unwrap();
        assert_eq!(status, 100, "{list:?}");
        connection.send("hello");
        let response = connection.response("POST");
        let seen = results(&response);
        assert_eq!(seen.as_array().unwrap().last().unwrap(), "hello");
        assert_eq!(response.interim, [0_u16; 0], "only one 100");
    }
});

wsgi_test!(no_100_when_the_application_does_not_read, |site| {
    let server = site.app("unread").start();
    let mut connection = server.connect();
    connection.send_head(&Request::post("/", "hello").header("Expect", "100-continue"));
    let response = connection.response("POST");
    assert_eq!((response.status, response.interim.len()), (200, 0));
});

wsgi_test!(an_unread_body_does_not_disturb_the_next_request, |site| {
    let server = site.app("unread").start();
    let mut connection = server.connect();
    assert_eq!(connection.ask(&Request::post("/", bulk(200_000)).keep_alive()).ok(), "1");
    assert_eq!(connection.ask(&Request::get("/")).ok(), "2");
});

wsgi_test!(a_body_over_the_limit_is_refused_at_once, |site| {
    let site = site.app("unread").file("htdocs/big.txt", "too big").conf("Alias /big.txt ${ROOT}/htdocs/big.txt");
    let site = site.conf("LimitRequestBody 1000\nErrorDocument 413 /big.txt");
    let server = site.start();
    let mut connection = server.connect();
    // Only the head is sent: the answer must not wait for the body.
    connection.send_head(&Request::post("/", bulk(1001)).keep_alive());
    let response = connection.response("POST");
    assert_eq!((response.status, response.text()), (413, "too big".to_owned()));
    assert!(connection.is_closed());
    assert_eq!(server.post("/", bulk(1000)).ok(), "1", "the limit itself passes; the larger one was no call");
});

wsgi_test!(a_chunked_body_over_the_limit_is_an_error_while_reading, |site| {
    let site = site.app("input").conf("LimitRequestBody 1000\nWSGIChunkedRequest On");
    let server = site.start();
    // Daemon mode says it, too.
    server.allow_log("WSGI0126");
    let body = bulk(3000);
    let response = server.ask(&Request::new("POST", &calls(&["read()", "read()"])).chunks(&[&body]));
    // The application may go on and answer, or httpd's 413 stands already; never a short body that looks whole.
    if response.status == 200 {
        assert_eq!(results(&response), json!([{"raised": "OSError"}, {"raised": "OSError"}]));
    } else {
        assert_eq!(response.status, 413);
    }
});

wsgi_test!(a_client_that_goes_in_mid_body_is_an_os_error, |site| {
    let server = site.app("gone_reader").conf("SetEnv demo.var ${ROOT}/var").start();
    for reads_on in [false, true] {
        let mut connection = server.connect();
        connection.send_head(&Request::post("/", bulk(1000)));
        connection.send("half");
        if reads_on {
            connection.finish_sending();
        } else {
            drop(connection);
        }
        let seen =
            until("the application's note", || Some(server.root.read("var/gone")).filter(|text| !text.is_empty()));
        assert_eq!(seen, "OSError OSError", "reads on: {reads_on}");
        std::fs::remove_file(server.root.join("var/gone")).unwrap();
    }
});

wsgi_test!(what_belongs_to_a_request_raises_after_its_end, both_interpreters, |site| {
    let server = site.app("kept").start();
    let mut connection = server.connect();
    connection.ask(&Request::get("/keep")).ok();
    // httpd closes after the handler has returned; the answer alone may come before.
    assert!(connection.is_closed());
    let seen = server.get("/use").json();
    for (name, raised) in seen.as_object().unwrap() {
        assert_eq!(raised, "RuntimeError", "{name}");
    }
    assert_eq!(seen.as_object().unwrap().len(), 7);
});

wsgi_test!(a_slowly_sent_body_is_waited_for, |site| {
    let server = site.app("input").start();
    let mut connection = server.connect();
    connection.send_head(&Request::post(&calls(&["read(6)", "read()"]), "abcdef!"));
    for piece in ["a", "bc", "def!"] {
        connection.send(piece);
    }
    assert_eq!(results(&connection.response("POST")), json!(["abcdef", "!"]));
});
