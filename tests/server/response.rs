//! How a response leaves: `start_response`, the iterable, `write`, `close`, and what a broken application costs.

use serde_json::{Value, json};

use crate::harness::{Request, Response, Server, until, wsgi_test};

/// Asks the `scripted` application for a response.
fn scripted(server: &Server, plan: &Value) -> Response {
    server.post("/", plan.to_string())
}

wsgi_test!(start_response_checks_its_arguments_at_once, both_interpreters, |site| {
    let server = site.app("start_response").start();
    for (arguments, raised) in [
        ("'200 OK', []", None),
        ("'200 OK', [], None", None),
        ("'200', []", None),
        ("'200 ', []", None),
        ("'999 Odd', []", None),
        ("'100 Go on', []", None),
        ("'200 caf\\xe9', []", None),
        ("'200 OK', MyList()", None),
        ("'200 OK', [('X', 'a\\tb')]", None),
        ("'200 OK', [('X', 'caf\\xe9')]", None),
        ("'200 OK', [('X', '')]", None),
        ("'200 OK', [('Connection', 'close')]", None),
        ("", Some("TypeError")),
        ("'200 OK'", Some("TypeError")),
        ("'200 OK', [], None, None", Some("TypeError")),
        ("status='200 OK', response_headers=[]", Some("TypeError")),
        ("b'200 OK', []", Some("TypeError")),
        ("200, []", Some("TypeError")),
        ("None, []", Some("TypeError")),
        ("'200 OK', ()", Some("TypeError")),
        ("'200 OK', {}", Some("TypeError")),
        ("'200 OK', 'X: y'", Some("TypeError")),
        ("'', []", Some("ValueError")),
        ("'20 OK', []", Some("ValueError")),
        ("'2000 OK', []", Some("ValueError")),
        ("'200OK', []", Some("ValueError")),
        ("' 200 OK', []", Some("ValueError")),
        ("'abc OK', []", Some("ValueError")),
        ("'200 O\\nK', []", Some("ValueError")),
        ("'200 OK\\r\\nX: y', []", Some("ValueError")),
        ("'200 \\u20ac', []", Some("UnicodeEncodeError")),
        ("'200 OK', [['X', 'y']]", Some("TypeError")),
        ("'200 OK', ['X: y']", Some("TypeError")),
        ("'200 OK', [('X',)]", Some("ValueError")),
        ("'200 OK', [('X', 'y', 'z')]", Some("ValueError")),
        ("'200 OK', [(b'X', 'y')]", Some("TypeError")),
        ("'200 OK', [('X', b'y')]", Some("TypeError")),
        ("'200 OK', [('X', 1)]", Some("TypeError")),
        ("'200 OK', [('', 'y')]", Some("ValueError")),
        ("'200 OK', [('X Y', 'z')]", Some("ValueError")),
        ("'200 OK', [('X\\t', 'z')]", Some("ValueError")),
        ("'200 OK', [('X\\r\\n', 'z')]", Some("ValueError")),
        ("'200 OK', [('X', 'y\\r\\nSet-Cookie: z')]", Some("ValueError")),
        ("'200 OK', [('X', 'y\\n')]", Some("ValueError")),
        ("'200 OK', [('X', '\\u20ac')]", Some("UnicodeEncodeError")),
        ("'200 OK', [('\\u20ac', 'y')]", Some("UnicodeEncodeError")),
        ("'200 OK', [], 1", Some("RuntimeError")),
        ("'200 OK', [], [None, None, None]", Some("RuntimeError")),
        ("'200 OK', [], ()", None),
        ("'200 OK', [], (None, None)", None),
    ] {
        let seen = server.post("/", arguments).json();
        assert_eq!(seen["raised"].as_str(), raised, "start_response({arguments}): {seen}");
    }
});

wsgi_test!(a_nul_is_refused_in_status_and_headers, |site| {
    let server = site.app("start_response").start();
    for arguments in ["'200 O\\0K', []", "'200 OK', [('X', 'a\\0b')]", "'200 OK', [('X\\0', 'y')]"] {
        assert_eq!(server.post("/", arguments).json()["raised"], "ValueError", "{arguments}");
    }
});

wsgi_test!(a_refused_header_is_named, |site| {
    let server = site.app("start_response").start();
    let seen = server.post("/", "'200 OK', [('X-Broken', 'a\\nb')]").json();
    assert!(seen["text"].as_str().unwrap().contains("X-Broken"), "{seen}");
});

wsgi_test!(start_response_may_be_called_again_until_the_head_has_gone, |site| {
    let server = site.app("twice").start();
    for (path, status, body) in [
        ("/before-without", 404, "second"),
        ("/before-with", 503, "second"),
        ("/empty-items-first", 404, "second"),
        ("/after-without", 200, "first RuntimeError"),
        ("/after-with", 200, "first ValueError"),
        ("/empty-write", 200, "RuntimeError"),
    ] {
        let response = server.get(path);
        assert_eq!((response.status, response.text().as_str(), response.complete), (status, body, true), "{path}");
        assert_eq!(response.header("X-First").is_some(), status == 200, "{path}");
    }
});

wsgi_test!(whatever_stands_in_exc_info_is_raised_or_refused, both_interpreters, |site| {
    let server = site.app("exc_info").start();
    for (exc_info, raised) in [
        ("()", "TypeError"),
        ("(None, None)", "TypeError"),
        ("(ValueError, None, None, None)", "TypeError"),
        ("(None, None, None)", "TypeError"),
        ("(5, 6, 7)", "TypeError"),
        ("(int, 5, None)", "TypeError"),
        ("(ValueError, ValueError('x'), 'no traceback')", "TypeError"),
        ("(ValueError, None, None)", "ValueError"),
        ("(ValueError, 'x', None)", "ValueError"),
        ("(None, ValueError('x'), None)", "ValueError"),
        ("(ValueError, KeyError('x'), None)", "KeyError"),
    ] {
        let response = server.post("/", exc_info);
        assert_eq!((response.ok().as_str(), response.complete), (raised, true), "{exc_info}");
    }
    assert_eq!(server.post("/", "sys.exc_info()").ok(), "LookupError application");
});

wsgi_test!(an_empty_item_needs_no_start_response, |site| {
    let text = "def application(environ, start_response):\n    yield b''\n    start_response('200 OK', [])\n    yield b'later'\n";
    let server = site.file("apps/s/app.wsgi", text).conf("WSGIScriptAlias / ${APPS}/s/app.wsgi").start();
    assert_eq!(server.get("/").ok(), "later");
});

wsgi_test!(a_reason_is_sent_as_given, |site| {
    let server = site.app("scripted").start();
    for (status, code, reason) in [
        ("404 Nicht da", 404, "Nicht da"),
        ("200 OK", 200, "OK"),
        ("999 Odd", 999, "Odd"),
        ("418 I'm a teapot", 418, "I'm a teapot"),
    ] {
        let response = scripted(&server, &json!({"status": status, "items": ["x"]}));
        assert_eq!((response.status, response.reason.as_str(), response.text().as_str()), (code, reason, "x"));
    }
});

wsgi_test!(the_length_of_an_answer_in_memory_is_computed, |site| {
    // Of other answers httpd computes it where all of the body is there in time, as it may be in daemon mode.
    let daemon = site.setting.mode.is_daemon();
    let server = site.app("scripted").start();
    for (kind, items, length) in [
        ("list", json!(["hello"]), Some("5")),
        ("tuple", json!(["hello"]), Some("5")),
        ("list", json!(["hello ", "", "world"]), Some("11")),
        ("list", json!([]), Some("0")),
        ("generator", json!(["hello ", "world"]), None),
    ] {
        let response = scripted(&server, &json!({"kind": kind, "items": items}));
        let text: String = items.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect();
        assert_eq!(response.ok(), text);
        if !daemon || length.is_some() {
            assert_eq!(response.header("Content-Length"), length, "{kind} {items}");
        }
    }
});

wsgi_test!(a_declared_length_is_kept_and_more_is_not_sent, |site| {
    let server = site.app("scripted").start();
    for kind in ["list", "generator"] {
        let plan = json!({"kind": kind, "headers": [["Content-Length", "5"]], "items": ["hel", "lo, wor", "ld"]});
        let mut connection = server.connect();
        let response = connection.ask(&Request::post("/", plan.to_string()).keep_alive());
        assert_eq!(response.ok(), "hello");
        assert_eq!(connection.ask(&Request::post("/", "{}")).status, 200, "the connection is still in step");
    }
    let twice = json!({"headers": [["Content-Length", "2"], ["Content-Length", "5"]], "items": ["hello"]});
    assert_eq!(scripted(&server, &twice).ok(), "hello", "the last one counts");
});

wsgi_test!(a_body_shorter_than_declared_ends_the_connection, |site| {
    let server = site.app("scripted").expect_log("Content-Length").start();
    for kind in ["list", "generator"] {
        let plan = json!({"kind": kind, "headers": [["Content-Length", "10"]], "items": ["short"]});
        let response = server.connect().ask(&Request::post("/", plan.to_string()).keep_alive());
        assert_eq!((response.text().as_str(), response.complete), ("short", false), "{kind}");
    }
});

wsgi_test!(answers_without_a_body_have_none, |site| {
    let server = site.app("scripted").start();
    for status in ["204 No Content", "304 Not Modified"] {
        let mut connection = server.connect();
        let plan = json!({"status": status, "items": ["must not be seen"]}).to_string();
        let response = connection.ask(&Request::post("/", &plan).keep_alive());
        assert_eq!(response.header("Transfer-Encoding"), None, "{status}");
        assert_eq!(response.header("Content-Length"), None, "{status}");
        assert_eq!(connection.ask(&Request::post("/", r#"{"items": ["next"]}"#)).ok(), "next", "{status}");
    }
});

wsgi_test!(an_interim_status_is_no_answer_that_hangs, |site| {
    let server = site.app("scripted").start();
    let plan = json!({"status": "100 Continue", "items": ["x"]}).to_string();
    let mut connection = server.connect();
    connection.send_head(&Request::post("/", &plan));
    connection.send(&plan);
    // HTTP does not allow it as the end of an exchange; as C mod_wsgi, the application gets what it asked for, and what
    // matters is that the connection ends.
    assert!(connection.rest().starts_with("HTTP/1.1 100 "));
});

wsgi_test!(a_head_request_gets_headers_only, |site| {
    let server = site.app("scripted").start();
    let mut connection = server.connect();
    let plan = json!({"headers": [["Content-Length", "5"], ["X-Mine", "1"]], "items": ["hello"]}).to_string();
    let response = connection.ask(&Request::new("HEAD", "/").body(&plan).keep_alive());
    assert_eq!(
        (response.status, response.header("Content-Length"), response.header("X-Mine")),
        (200, Some("5"), Some("1"))
    );
    assert_eq!(connection.ask(&Request::post("/", r#"{"items": ["next"]}"#)).ok(), "next");
});

wsgi_test!(headers_leave_as_given_also_twice, |site| {
    let server = site.app("scripted").start();
    let headers = json!([
        ["Content-Type", "Text/Plain; charset=X"],
        ["Set-Cookie", "a=1"],
        ["Set-Cookie", "b=2"],
        ["X-Two", "1"],
        ["X-Two", "2"],
        ["Location", "http://elsewhere.example/"],
        ["WWW-Authenticate", "Basic realm=x"],
        ["X-Latin", "caf\u{e9}"],
        ["Last-Modified", "not a date"],
        ["Status", "404 ignored"],
    ]);
    let response = scripted(&server, &json!({"headers": headers, "items": ["x"]}));
    assert_eq!(response.status, 200);
    assert_eq!(response.all("Set-Cookie"), ["a=1", "b=2"]);
    assert_eq!(response.all("X-Two").join(", "), "1, 2");
    assert_eq!(response.header("Content-Type"), Some("Text/Plain; charset=X"));
    assert_eq!(response.header("Location"), Some("http://elsewhere.example/"));
    assert_eq!(response.header("X-Latin"), Some("caf\u{e9}"));
    assert_eq!(response.header("Last-Modified"), Some("not a date"));
    let denied = scripted(
        &server,
        &json!({"status": "401 Who", "headers": [["WWW-Authenticate", "Basic realm=x"]], "items": ["own page"]}),
    );
    assert_eq!((denied.status, denied.all("WWW-Authenticate")), (401, vec!["Basic realm=x"]));
    assert_eq!(denied.text(), "own page");
});

wsgi_test!(a_local_location_with_status_200_is_followed_by_httpd_in_daemon_mode_only, |site| {
    let daemon = site.setting.mode.is_daemon();
    let site = site.app("scripted").file("htdocs/page.txt", "static").conf("Alias /page.txt ${ROOT}/htdocs/page.txt");
    let server = site.start();
    for (status, location, followed) in
        [("200 OK", "/page.txt", daemon), ("302 Found", "/page.txt", false), ("200 OK", "http://a.example/", false)]
    {
        let response =
            scripted(&server, &json!({"status": status, "headers": [["Location", location]], "items": ["own"]}));
        assert_eq!(response.text(), if followed { "static" } else { "own" }, "{status} {location}");
        assert_eq!(response.header("Location"), (!followed).then_some(location), "{status} {location}");
    }
});

wsgi_test!(write_and_the_iterable_come_in_order, |site| {
    let server = site.app("scripted").start();
    let plan = json!({"write": ["one ", "", "two "], "items": ["three ", "", "four"], "kind": "generator"});
    assert_eq!(scripted(&server, &plan).ok(), "one two three four");
    assert_eq!(scripted(&server, &json!({"write": ["only"], "items": []})).ok(), "only");
    let plan = json!({"kind": "generator", "items": ["", "a", "", "b", ""]});
    assert_eq!(scripted(&server, &plan).ok(), "ab", "an empty item is not the last chunk");
    assert_eq!(scripted(&server, &json!({"kind": "sequence", "items": ["a", "b"]})).ok(), "ab");
});

wsgi_test!(each_piece_is_sent_at_once, every_mpm, |site| {
    let server = site.app("stepwise").conf("SetEnv demo.var ${ROOT}/var").start();
    let mut connection = server.connect();
    connection.send_head(&Request::get("/"));
    connection.head().unwrap();
    assert!(String::from_utf8_lossy(connection.peek()).contains("first"));
    server.root.write("var/go", "");
    assert!(connection.rest().ends_with("second\r\n0\r\n\r\n"));
});

wsgi_test!(pieces_that_follow_each_other_quickly_wait_for_no_further_one, |site| {
    let server = site.app("stepwise").conf("SetEnv demo.var ${ROOT}/var").start();
    for lines in [10, 1000, 30_000] {
        let mut connection = server.connect();
        // Without chunks in between.
        connection.send_head(&Request::get(&format!("/?{lines}")).version("HTTP/1.0"));
        until("the first piece", || connection.gathered().ends_with("first").then_some(()));
        server.root.write("var/go", "");
        let text = connection.rest();
        let expected: String = (0..lines).map(|number| format!("line {number:07}\n")).collect();
        assert!(text.ends_with(&format!("\r\n\r\n{expected}firstsecond")), "{lines}");
        std::fs::remove_file(server.root.join("var/go")).unwrap();
    }
});

/// What the application `bulk` answers.
fn bulk(lines: u32, first: u32) -> String {
    (first..first + lines).map(|number| format!("line {number:010}\n")).collect()
}

wsgi_test!(large_answers_come_whole_one_after_the_other, every_mpm, |site| {
    let server = site.app("bulk").start();
    let ask = |lines, piece, first| Request::get(&format!("/?{lines},{piece},{first}")).keep_alive();
    // One that does not read: what lies there for it must not become another's.
    let mut late = server.connect();
    late.send_head(&ask(60_000, 60_000, 900_000));
    let mut connections = [server.connect(), server.connect()];
    let shapes = [(65_000, 65_000), (200_000, 200_000), (5, 1), (200_000, 500), (66_000, 600), (70_000, 5_000)];
    for (round, (lines, piece)) in (0..).zip(shapes.repeat(2)) {
        let connection = &mut connections[round as usize % 2];
        let response = connection.ask(&ask(lines, piece, 1_000_000 * round));
        assert!(response.ok() == bulk(lines, 1_000_000 * round), "{lines} lines in pieces of {piece}");
    }
    assert!(late.response("GET").ok() == bulk(60_000, 900_000));
});

wsgi_test!(http_1_0_gets_an_answer_it_understands, |site| {
    let server = site.app("scripted").start();
    let plan = json!({"kind": "generator", "items": ["hello ", "world"]}).to_string();
    let response = server.ask(&Request::post("/", plan).version("HTTP/1.0"));
    assert_eq!(response.header("Transfer-Encoding"), None);
    assert_eq!(response.ok(), "hello world");
});

wsgi_test!(an_exception_before_the_head_is_a_500, both_interpreters, |site| {
    let server = site.app("scripted").expect_log("WSGI0174").expect_log("ValueError: failed at once").start();
    server.expect_log("ValueError: failed after start_response");
    server.expect_log("ValueError: failed in the generator");
    for (fail, kind) in [("at once", "list"), ("after start_response", "list"), ("in the generator", "generator")] {
        let mut connection = server.connect();
        let plan = json!({"fail": fail, "kind": kind, "headers": [["X-Mine", "1"]]}).to_string();
        let response = connection.ask(&Request::post("/", &plan).keep_alive());
        assert_eq!((response.status, response.complete), (500, true), "{fail}");
        assert_eq!(response.reason, "Internal Server Error");
        assert_eq!(response.header("X-Mine"), None, "the application's headers are gone");
        assert!(response.text().contains("Internal Server Error"), "httpd's error page");
        assert!(!response.text().contains("ValueError"), "no traceback for the client");
        // httpd may close after an error; if it does not, the connection must be in step.
        if response.header("Connection") != Some("close") {
            assert_eq!(connection.ask(&Request::post("/", r#"{"items": ["next"]}"#)).ok(), "next");
        }
    }
});

wsgi_test!(an_exception_after_the_head_is_seen_as_a_cut_off_answer, every_mpm, |site| {
    // What an application has sent, it has sent, however soon it fails after that.
    let server = site.app("scripted").expect_log("WSGI0174").expect_log("ValueError: failed in the generator").start();
    server.expect_log("ValueError: failed after write");
    for plan in [
        json!({"fail": "in the generator", "kind": "generator", "items": ["some "]}),
        json!({"fail": "after write", "write": ["some "]}),
        json!({"fail": "in the generator", "kind": "generator", "items": ["some "], "headers": [["Content-Length", "100"]]}),
    ] {
        let response = server.connect().ask(&Request::post("/", plan.to_string()).keep_alive());
        assert_eq!((response.status, response.text().as_str(), response.complete), (200, "some ", false), "{plan}");
    }
    let plan = json!({"fail": "after write", "write": [""]}).to_string();
    let response = server.connect().ask(&Request::post("/", plan).keep_alive());
    assert_eq!((response.status, response.text().as_str(), response.complete), (200, "", false), "a head alone");
});

wsgi_test!(system_exit_ends_the_request_only, |site| {
    let site = site.app("wrong").expect_log("WSGI0175").expect_log("SystemExit");
    let server = site.expect_log("KeyboardInterrupt: from the application").expect_log("WSGI0174").start();
    let before = server.children();
    assert_eq!(server.get("/exit").status, 500);
    assert_eq!(server.get("/interrupt").status, 500);
    assert_eq!(server.get("/").ok(), "fine");
    assert_eq!(server.children(), before);
});

wsgi_test!(a_wrong_result_is_a_500_that_says_why, |site| {
    let server = site.app("wrong").start();
    for (path, log) in [
        ("/none", "NoneType"),
        ("/not-iterable", "int"),
        ("/str-item", ".encode()"),
        ("/str-result", "str"),
        ("/bytearray-item", "bytearray"),
        ("/object-item", "NotBytes"),
        ("/write-str", "str"),
        ("/write-bytearray", "bytearray"),
        ("/bad-length", "Content-Length"),
        ("/negative-length", "Content-Length"),
        ("/no-start-response", "start_response"),
        ("/no-start-response-empty", "start_response"),
    ] {
        let before = server.log().len();
        let response = server.get(path);
        assert_eq!((response.status, response.header("X-Mine")), (500, None), "{path}");
        let new: Vec<String> = server.log().into_iter().skip(before).map(|line| line.message).collect();
        assert!(new.iter().any(|message| message.contains("Error: ") && message.contains(log)), "{path}: {new:?}");
    }
    server.expect_log("WSGI0174");
    server.expect_log("TypeError: ");
    server.expect_log("ValueError: ");
    server.expect_log("RuntimeError: ");
});

wsgi_test!(close_is_called_exactly_once, |site| {
    let site = site.app("closing").expect_log("ValueError: failed").expect_log("WSGI0174");
    let server = site.expect_log("RuntimeError: ").start();
    let paths = ["/fine", "/wrapped", "/raise-first", "/raise-later", "/raise-in-close", "/no-start-response"];
    for path in paths {
        let response = server.get(path);
        let good = ["/fine", "/wrapped", "/raise-in-close"].contains(&path);
        assert_eq!(response.status == 200 && response.complete, good, "{path}");
        if good {
            assert_eq!(response.text(), "item item item ", "{path}");
        }
    }
    // A client may have its answer, and send its next request, before close() is called.
    let sorted = |text: &str| {
        let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        words.sort_unstable();
        words
    };
    until("every close()", || (sorted(&server.get("/count").ok()) == sorted(&paths.join(" "))).then_some(()));
});

wsgi_test!(a_client_that_goes_ends_the_iteration, every_mpm, |site| {
    let server = site.app("endless").conf("SetEnv demo.var ${ROOT}/var").start();
    let mut connection = server.connect();
    connection.send_head(&Request::get("/"));
    connection.peek();
    drop(connection);
    let seen = until("close() to be called", || Some(server.root.read("var/end")).filter(|text| !text.is_empty()));
    assert_eq!(seen, "closed 1");
});

wsgi_test!(a_client_that_goes_makes_write_raise, |site| {
    let server = site.app("endless").conf("SetEnv demo.var ${ROOT}/var").start();
    let mut connection = server.connect();
    connection.send_head(&Request::get("/write"));
    connection.peek();
    drop(connection);
    let seen = until("write() to raise", || Some(server.root.read("var/end")).filter(|text| !text.is_empty()));
    assert_eq!(seen, "OSError");
});

wsgi_test!(many_requests_on_one_connection, every_mpm, |site| {
    let server = site.app("scripted").start();
    let mut connection = server.connect();
    for number in 0..300 {
        let kind = if number % 2 == 0 { "list" } else { "generator" };
        let plan = json!({"kind": kind, "items": [number.to_string()]}).to_string();
        assert_eq!(connection.ask(&Request::post("/", plan).keep_alive()).ok(), number.to_string());
    }
});

wsgi_test!(an_error_document_replaces_a_500, |site| {
    let site = site.app("scripted").file("htdocs/sorry.txt", "sorry").conf("Alias /sorry.txt ${ROOT}/htdocs/sorry.txt");
    let site =
        site.conf("ErrorDocument 500 /sorry.txt").expect_log("WSGI0174").expect_log("ValueError: failed at once");
    let response = scripted(&site.start(), &json!({"fail": "at once"}));
    assert_eq!((response.status, response.text().as_str()), (500, "sorry"));
});
