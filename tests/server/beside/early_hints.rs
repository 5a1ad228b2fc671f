//! `wsgi.early_hints`: what a 103 has, who gets it, and that the response is the same with it.

use serde_json::{Value, json};

use crate::harness::{Request, Response, Server, wsgi_test};

fn hint(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// What the application `hints` says before its response, with a body of so many bytes.
fn expected(length: usize) -> Vec<(String, String)> {
    vec![
        hint("Link", "</style.css>; rel=preload; as=style"),
        hint("Link", "</app.js>; rel=preload; as=script"),
        hint("X-Read", &length.to_string()),
    ]
}

fn late(response: &Response) -> Value {
    response.json().as_array().unwrap().last().unwrap().clone()
}

wsgi_test!(early_hints_come_before_the_response, every_mpm, |site| {
    let server = site.app("hints").start();
    let mut connection = server.connect();
    for body in ["", "some body", &"large".repeat(20_000)] {
        let response = connection.ask(&Request::post("/", body).keep_alive());
        assert_eq!((response.interim.as_slice(), &response.hints), ([103, 103].as_slice(), &expected(body.len())));
        assert_eq!((response.json(), response.reason.as_str()), (json!([null, null]), "OK"));
        assert_eq!((response.header("X-Own"), response.header("Link")), (Some("1"), None));
    }
    let head = connection.ask(&Request::new("HEAD", "/").keep_alive());
    assert_eq!((head.status, head.interim.len(), head.header("X-Own")), (200, 2, Some("1")));
    let odd = connection.ask(&Request::get("/odd").keep_alive());
    assert_eq!((odd.status, odd.reason.as_str(), odd.interim.len()), (404, "Odd", 2));
});

wsgi_test!(early_hints_are_there_while_the_application_is_still_at_work, |site| {
    const SLOW: &str = "import os, time
def application(environ, start_response):
    environ['wsgi.early_hints']([('Link', '</a.css>; rel=preload')])
    end = time.monotonic() + 60
    while not os.path.exists(environ['demo.var'] + '/go') and time.monotonic() < end:
        time.sleep(0.002)
    start_response('200 OK', [])
    return [b'whole' if os.path.exists(environ['demo.var'] + '/go') else b'never told']
";
    let site = site.file("apps/s/app.wsgi", SLOW).conf("WSGIScriptAlias / ${APPS}/s/app.wsgi");
    let server = site.conf("SetEnv demo.var ${ROOT}/var").start();
    let mut connection = server.connect();
    connection.send_head(&Request::get("/"));
    let (status, reason, headers) = connection.head().unwrap();
    assert_eq!((status, reason.as_str()), (103, "Early Hints"));
    assert_eq!(headers, [hint("Link", "</a.css>; rel=preload")]);
    server.root.write("var/go", "");
    assert_eq!(connection.response("GET").ok(), "whole");
});

wsgi_test!(a_client_of_http_1_0_gets_no_early_hints, |site| {
    let server = site.app("hints").start();
    let response = server.ask(&Request::get("/").version("HTTP/1.0"));
    assert_eq!((response.json(), response.interim.len()), (json!([null, null]), 0));
});

wsgi_test!(early_hints_behind_the_head_are_a_runtime_error, |site| {
    let server = site.app("hints").start();
    let response = server.get("/late");
    assert_eq!(response.interim, [103, 103]);
    assert_eq!(late(&response), "RuntimeError: early hints come before the response, whose headers were sent already");
});

wsgi_test!(early_hints_do_not_take_the_place_of_a_100, |site| {
    let server = site.app("hints").start();
    let mut connection = server.connect();
    connection.send_head(&Request::post("/", "hello").header("Expect", "100-continue"));
    let statuses = [connection.head().unwrap().0, connection.head().unwrap().0];
    assert_eq!(statuses, [103, 100], "the application hints, then reads");
    connection.send("hello");
    let response = connection.response("POST");
    assert_eq!((response.interim.as_slice(), &response.hints), ([103].as_slice(), &expected(5)[2..].to_vec()));
});

wsgi_test!(an_error_behind_early_hints_is_an_ordinary_error_page, |site| {
    let site = site.app("hints").file("htdocs/sorry.txt", "sorry").conf("Alias /sorry.txt ${ROOT}/htdocs/sorry.txt");
    let server = site.conf("ErrorDocument 500 /sorry.txt").start();
    for text in ["WSGI0174", "ValueError: failed behind its hints"] {
        server.expect_log(text);
    }
    let response = server.get("/raise");
    assert_eq!((response.status, response.interim.len(), response.text().as_str()), (500, 2, "sorry"));
    assert_eq!(response.header("Link"), None);
});

/// Calls `early_hints` with each of these arguments; what each raises.
fn arguments(server: &Server, list: &[&str]) -> Response {
    server.post("/arguments", list.join("\n"))
}

wsgi_test!(early_hints_check_their_arguments_at_once, both_interpreters, |site| {
    let server = site.app("hints").start();
    let table = [
        ("[]", None),
        ("()", None),
        ("[('Link', '</a>')]", None),
        ("(pair for pair in [('Link', '</b>')])", None),
        ("[('X-Latin', 'caf\\xe9')]", None),
        ("", Some("TypeError")),
        ("None", Some("TypeError")),
        ("[], []", Some("TypeError")),
        ("{'Link': '</a>'}", Some("TypeError")),
        ("['Link: </a>']", Some("TypeError")),
        ("[['Link', '</a>']]", Some("TypeError")),
        ("[(b'Link', '</a>')]", Some("TypeError")),
        ("[('Link', b'</a>')]", Some("TypeError")),
        ("[('Link', None)]", Some("TypeError")),
        ("[('Link',)]", Some("ValueError")),
        ("[('', 'x')]", Some("ValueError")),
        ("[('Link:', 'x')]", Some("ValueError")),
        ("[('Li nk', 'x')]", Some("ValueError")),
        ("[('Link\\r\\n', 'x')]", Some("ValueError")),
        ("[('Link', 'x\\r\\nSet-Cookie: y')]", Some("ValueError")),
        ("[('Link', 'x\\n')]", Some("ValueError")),
        ("[('Link', 'x\\0')]", Some("ValueError")),
        ("[('Link', 'fine'), ('Content-Length', '5')]", Some("ValueError")),
        ("[('transfer-encoding', 'chunked')]", Some("ValueError")),
        ("[('Link', 'x' * 8000)]", Some("ValueError")),
        ("[('Link', '\\u20ac')]", Some("UnicodeEncodeError")),
    ];
    let list: Vec<&str> = table.iter().map(|(argument, _)| *argument).collect();
    let response = arguments(&server, &list);
    let seen = response.json();
    for ((argument, raised), seen) in table.iter().zip(seen.as_array().unwrap()) {
        assert_eq!(seen.as_str(), *raised, "early_hints({argument})");
    }
    let values: Vec<&str> = response.hints.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["</a>", "</b>", "caf\u{e9}"], "what is refused is not sent, not even a part of it");
});

wsgi_test!(early_hints_of_a_request_that_has_ended_are_a_runtime_error, |site| {
    const KEPT: &str = "kept = []
def application(environ, start_response):
    body = b'kept'
    if kept:
        try:
            kept[0]([('Link', '</a>')])
            body = b'nothing raised'
        except RuntimeError:
            body = b'RuntimeError'
    kept.append(environ['wsgi.early_hints'])
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";
    let site = site.file("apps/s/app.wsgi", KEPT).conf("WSGIScriptAlias / ${APPS}/s/app.wsgi");
    let server = site.start();
    let mut connection = server.connect();
    assert_eq!(connection.ask(&Request::get("/")).ok(), "kept");
    // httpd closes after the handler has returned; the answer alone may come before.
    assert!(connection.is_closed());
    let response = server.get("/");
    assert_eq!((response.text().as_str(), response.interim.len()), ("RuntimeError", 0));
});
