//! HTTP/1.0, and what httpd makes of ranges.

use serde_json::{Value, json};

use crate::harness::{Request, wsgi_test};

fn plan(kind: &str) -> String {
    json!({"kind": kind, "items": ["hello ", "world"], "headers": [["Content-Type", "text/plain"]]}).to_string()
}

wsgi_test!(http_1_0_keeps_a_connection_where_it_is_asked_to_and_can, every_mpm, |site| {
    let server = site.mount("/file", "file").app("scripted").conf("SetEnv demo.var ${ROOT}/var").start();
    server.root.write("var/data", "some data");
    let keep = |request: Request| request.version("HTTP/1.0").header("Connection", "keep-alive");
    let mut connection = server.connect();
    for _ in 0..3 {
        let response = connection.ask(&keep(Request::post("/", plan("list"))));
        assert_eq!(response.header("Connection").map(str::to_lowercase).as_deref(), Some("keep-alive"));
        assert_eq!((response.header("Content-Length"), response.ok().as_str()), (Some("11"), "hello world"));
        let response = connection.ask(&keep(Request::get("/file")));
        assert_eq!((response.header("Content-Length"), response.ok().as_str()), (Some("9"), "some data"));
    }
    let response = connection.ask(&Request::post("/", plan("list")).version("HTTP/1.0"));
    assert_eq!(response.ok(), "hello world");
    assert!(connection.is_closed(), "nobody asked to keep it");
});

wsgi_test!(http_1_0_gets_a_body_of_unknown_length_by_the_end_of_the_connection, every_mpm, |site| {
    let server = site.app("stepwise").conf("SetEnv demo.var ${ROOT}/var").start();
    let mut connection = server.connect();
    connection.send_head(&Request::get("/").version("HTTP/1.0").header("Connection", "keep-alive"));
    let (status, _, headers) = connection.head().unwrap();
    let has = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    assert_eq!((status, has("Transfer-Encoding"), has("Content-Length")), (200, false, false));
    assert!(String::from_utf8_lossy(connection.peek()).starts_with("first"), "no chunks");
    server.root.write("var/go", "");
    assert_eq!(connection.rest(), "firstsecond");
});

wsgi_test!(an_exception_behind_the_head_is_not_seen_as_whole_where_a_length_was_promised_to_http_1_0, |site| {
    let server = site.app("scripted").expect_log("WSGI0174").expect_log("ValueError: failed").start();
    let plan = json!({"fail": "after write", "write": ["some"], "headers": [["Content-Length", "100"]]});
    let response = server.ask(&Request::post("/", plan.to_string()).version("HTTP/1.0"));
    assert_eq!((response.status, response.text().as_str(), response.complete), (200, "some", false));
});

wsgi_test!(ranges_of_an_answer_in_memory, |site| {
    let server = site.app("scripted").start();
    for (range, status, text) in [
        ("bytes=0-4", 206, "hello"),
        ("bytes=-5", 206, "world"),
        ("bytes=6-", 206, "world"),
        ("bytes=20-", 416, ""),
        ("lines=1-", 200, "hello world"),
    ] {
        let response = server.ask(&Request::post("/", plan("list")).header("Range", range));
        assert_eq!(response.status, status, "{range}");
        if status < 400 {
            assert_eq!(response.text(), text, "{range}");
        }
    }
    let both = server.ask(&Request::post("/", plan("list")).header("Range", "bytes=0-1,9-10"));
    assert_eq!(both.status, 206);
    assert!(both.header("Content-Type").unwrap().starts_with("multipart/byteranges"), "{both:?}");
});

/// Answers by the client's conditions, as frameworks do.
const CONDITIONAL: &str = "import os
def application(environ, start_response):
    path = environ['demo.var'] + '/data'
    headers = [('Last-Modified', 'Tue, 15 Nov 1994 12:45:26 GMT'), ('ETag', '\"v1\"'), ('Content-Type', 'text/plain')]
    if environ.get('HTTP_IF_NONE_MATCH') == '\"v1\"' or environ.get('HTTP_IF_MODIFIED_SINCE') == headers[0][1]:
        start_response('304 Not Modified', headers)
        return []
    start_response('200 OK', headers)
    return environ['wsgi.file_wrapper'](open(path, 'rb'))
";

wsgi_test!(conditions_reach_the_application_and_its_304_the_client, |site| {
    let site = site.file("apps/s/app.wsgi", CONDITIONAL).file("var/data", "some data");
    let server = site.conf("WSGIScriptAlias / ${APPS}/s/app.wsgi\nSetEnv demo.var ${ROOT}/var").start();
    let mut connection = server.connect();
    for (name, value, status) in [
        ("If-Modified-Since", "Tue, 15 Nov 1994 12:45:26 GMT", 304),
        ("If-None-Match", "\"v1\"", 304),
        ("If-None-Match", "\"v2\"", 200),
        ("If-Range", "\"v1\"", 206),
        ("If-Range", "\"v2\"", 200),
    ] {
        let request = Request::get("/").header(name, value).keep_alive();
        let request = if name == "If-Range" { request.header("Range", "bytes=5-") } else { request };
        let response = connection.ask(&request);
        assert_eq!(response.status, status, "{name}: {value}");
        assert_eq!((response.header("ETag"), response.header("Last-Modified").is_some()), (Some("\"v1\""), true));
        let text = [(304, ""), (206, "data"), (200, "some data")].into_iter().find(|(of, _)| *of == status).unwrap().1;
        assert_eq!(response.text(), text, "{name}: {value}");
    }
});

wsgi_test!(the_protocol_of_a_request_is_in_environ, |site| {
    let server = site.app("environ").start();
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let seen: Value = server.ask(&Request::get("/").version(version)).json();
        assert_eq!(seen["environ"]["SERVER_PROTOCOL"], version);
    }
});
