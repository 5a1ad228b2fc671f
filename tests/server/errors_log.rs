//! What applications write reaches httpd's error logs: the right one, one record per line.

use serde_json::json;

use crate::harness::{Request, Server, until, wsgi_test};

/// Messages of the application's records in a log, in order.
fn records(server: &Server, log: &str) -> Vec<String> {
    let lines = server.log_at(log).into_iter();
    lines.filter(|line| line.module == "wsgi" && line.level == "error").map(|line| line.message).collect()
}

/// Asks for `path` and gives the records it caused; each must contain the text at its place.
fn expect_records(server: &Server, path: &str, expected: &[&str]) {
    let before = records(server, "logs/error.log").len();
    assert_eq!(server.get(path).ok(), "ok", "{path}");
    // A partial line is written when the request ends, which the client may see before.
    until(&format!("{} records of {path}", expected.len()), || {
        (records(server, "logs/error.log").len() >= before + expected.len()).then_some(())
    });
    let new: Vec<String> = records(server, "logs/error.log").split_off(before);
    assert_eq!(new.len(), expected.len(), "{path}: {new:?}");
    for (message, text) in new.iter().zip(expected) {
        assert!(message.contains(text), "{path}: {message:?} without {text:?}");
        server.expect_log(text);
    }
}

wsgi_test!(every_stream_of_python_reaches_the_log, both_interpreters, |site| {
    let server = site.app("errors").start();
    for (path, expected) in [
        ("/wsgi-errors", &["errors one", "errors two", "errors three", "errors four", "errors five"][..]),
        ("/stderr", &["from stderr", "stderr in two parts"]),
        ("/stdout", &["from stdout"]),
        ("/flushed", &["flushed part"]),
        ("/partial", &["no newline at the end"]),
        ("/logging", &["ERROR:from logging", "WARNING:two", "lines"]),
        ("/not-str", &["bytes are refused"]),
        ("/nul", &["before"]),
    ] {
        expect_records(&server, path, expected);
    }
});

wsgi_test!(a_partial_line_of_stderr_is_not_lost, |site| {
    let server = site.app("errors").start();
    assert_eq!(server.get("/partial-stderr").ok(), "ok");
    server.wait_log("stderr without newline");
});

wsgi_test!(text_beyond_ascii_arrives_as_utf_8, |site| {
    let server = site.app("errors").start();
    server.get("/unicode").ok();
    // httpd escapes bytes beyond ASCII in its log; an unpaired surrogate is replaced, never an exception.
    let line = server.wait_log(" end");
    assert!(line.message.starts_with(r"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x8d ?"), "{}", line.message);
});

wsgi_test!(a_long_line_is_cut_not_lost, |site| {
    let server = site.app("errors").start();
    server.get("/long").ok();
    let line = server.wait_log("AAAAAAAA");
    assert!(line.message.len() > 4000);
    assert_eq!(server.get("/stdout").ok(), "ok");
    server.wait_log("from stdout");
});

wsgi_test!(warnings_and_tracebacks_are_logged, |site| {
    let server = site.app("errors").start();
    server.get("/warnings").ok();
    server.wait_log("UserWarning: from warnings");
    server.get("/traceback").ok();
    server.wait_log("ValueError: printed by the application");
    assert_eq!(server.get("/raise").status, 500);
    server.wait_log("WSGI0174");
    server.wait_log("ValueError: not caught");
    let log = server.log_text();
    let traceback: Vec<&str> = log.lines().skip_while(|line| !line.contains("WSGI0174")).collect();
    assert!(traceback.iter().any(|line| line.contains("Traceback (most recent call last):")));
    assert!(traceback.iter().any(|line| line.contains("app.wsgi\", line") && line.contains("in application")));
    assert!(traceback.iter().any(|line| line.contains("raise ValueError(\"not caught\")")));
});

wsgi_test!(records_go_to_the_log_of_the_virtual_host, |site| {
    let mut site = site.files("errors");
    for name in ["one", "two"] {
        site = site.conf(&format!(
            "<VirtualHost *:${{PORT}}>\n  ServerName {name}.example\n  ErrorLog logs/{name}.log\n  WSGIScriptAlias / ${{APPS}}/errors/app.wsgi\n  WSGIApplicationGroup %{{GLOBAL}}\n</VirtualHost>"
        ));
    }
    let server = site.start();
    server.gate_also("logs/one.log");
    server.gate_also("logs/two.log");
    let ask =
        |host: &str, path: &str| server.ask(&Request::get(path).header("Host", &format!("{host}.example"))).status;
    for (host, path, text) in [
        ("one", "/stderr", "from stderr"),
        ("two", "/stdout", "from stdout"),
        ("one", "/wsgi-errors", "errors one"),
        ("two", "/raise", "ValueError: not caught"),
        ("two", "/logging", "ERROR:from logging"),
    ] {
        assert_eq!(ask(host, path), if path == "/raise" { 500 } else { 200 });
        let (own, other) =
            if host == "one" { ("logs/one.log", "logs/two.log") } else { ("logs/two.log", "logs/one.log") };
        for (log, count) in [(own, 1), (other, 0), ("logs/error.log", 0)] {
            let found = || records(&server, log).iter().filter(|message| message.contains(text)).count();
            until(text, || (found() >= count).then_some(()));
            assert_eq!(found(), count, "{text} in {log}");
        }
        server.expect_log(text);
    }
    ask("one", "/thread");
    server.wait_log("from a background thread");
    for text in ["stderr in two parts", "errors ", "WSGI0174", "WARNING:two", "lines"] {
        server.expect_log(text);
    }
});

wsgi_test!(streams_can_be_restricted, |site| {
    let server = site.app("restricted").conf("WSGIRestrictStdin On\nWSGIRestrictStdout On").start();
    server.expect_log("to stderr");
    let seen = server.get("/").json();
    assert_eq!(seen, json!({"print": "OSError", "stdin": "OSError", "input": "OSError", "stderr": null}));
});

wsgi_test!(streams_are_open_by_default, |site| {
    let server = site.app("restricted").start();
    server.expect_log("to stderr");
    server.expect_log("printed");
    let seen = server.get("/").json();
    assert_eq!((&seen["print"], &seen["stderr"]), (&json!(null), &json!(null)));
});

wsgi_test!(the_streams_have_the_usual_attributes, |site| {
    let seen = site.app("errors").start().get("/attributes").ok();
    assert_eq!(seen, "['utf-8', 'replace', False, False, True, False, False, 'utf-8', 'utf-8', True]");
});

wsgi_test!(log_level_of_the_module_can_be_set, |site| {
    let server = site.app("errors").conf("LogLevel warn wsgi:crit").start();
    server.get("/stderr").ok();
    assert_eq!(records(&server, "logs/error.log"), [""; 0]);
});
