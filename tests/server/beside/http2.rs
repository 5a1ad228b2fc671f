//! mod_http2: h2 over TLS, h2c, many streams at once, streams that a client resets.

use serde_json::{Value, json};

use super::streams::{Event, Streams};
use super::tls::{self, CERTIFICATE};
use super::{bulk, md5};
use crate::harness::curl::{curl, try_curl};
use crate::harness::{Response, Server, Site, until, wsgi_test};

/// A server that speaks h2c.
fn plain(site: Site) -> Site {
    site.load(&["http2"]).conf("Protocols h2c http/1.1\nSetEnv demo.var ${ROOT}/var")
}

const PRIOR: &[&str] = &["--http2-prior-knowledge"];

fn ask(server: &Server, path: &str, arguments: &[&str]) -> Response {
    curl(server, &format!("http://localhost:${{PORT}}{path}"), &[PRIOR, arguments].concat())
}

fn protocol(seen: &Value) -> (Value, Value) {
    (seen["environ"]["SERVER_PROTOCOL"].clone(), seen["environ"]["wsgi.url_scheme"].clone())
}

wsgi_test!(http_2_by_prior_knowledge_and_by_upgrade, threaded, |site| {
    let server = plain(site).app("environ").start();
    let seen = ask(&server, "/a?b=c", &[]).json();
    assert_eq!(protocol(&seen), (json!("HTTP/2.0"), json!("http")));
    let environ = &seen["environ"];
    assert_eq!((&environ["PATH_INFO"], &environ["QUERY_STRING"]), (&json!("/a"), &json!("b=c")));
    assert_eq!(environ["HTTP_HOST"], format!("localhost:{}", server.port));
    let upgraded = curl(&server, "http://localhost:${PORT}/", &["--http2"]);
    assert_eq!(upgraded.interim, [101]);
    assert_eq!(protocol(&upgraded.json()), (json!("HTTP/2.0"), json!("http")));
    assert_eq!(protocol(&server.get("/").json()), (json!("HTTP/1.1"), json!("http")), "HTTP/1.1 is served as before");
});

wsgi_test!(http_2_over_tls, threaded, |site| {
    let server = tls::secured(site).load(&["http2"]).conf("Protocols h2 http/1.1").app("environ").start();
    let arguments = ["--cacert", &tls::path(&server, CERTIFICATE), "--http2"];
    let seen = curl(&server, "https://localhost:${PORT}/", &arguments).json();
    assert_eq!(protocol(&seen), (json!("HTTP/2.0"), json!("https")));
    assert_eq!(seen["environ"]["REQUEST_SCHEME"], "https");
});

wsgi_test!(an_upload_may_be_larger_than_the_windows_of_http_2, threaded, |site| {
    let site = plain(site).mount("/read", "upload").mount("/unread", "unread");
    let server = site.conf("WSGIChunkedRequest On").start();
    let body = bulk(2_000_003);
    server.root.write("var/body", &body);
    let from = format!("@{}", server.root.join("var/body").display());
    let seen = ask(&server, "/read", &["--data-binary", &from]).json();
    assert_eq!(seen, json!({"length": body.len(), "md5": md5(&body), "declared": body.len().to_string()}));
    // What nobody reads is not waited for, and does not stand in the way of other streams. (curl fails where an answer is complete before
    // its upload.)
    let mut streams = Streams::open(server.port);
    for round in 0..3 {
        let stream = 1 + 4 * round;
        streams.ask(stream, "POST", "/unread", true);
        streams.body(stream, &body[..16_000], false);
        assert_eq!(streams.answer(stream).unwrap(), (round + 1).to_string().into_bytes());
        streams.ask(stream + 2, "POST", "/read", true);
        streams.body(stream + 2, b"four", true);
        let seen: Value = serde_json::from_slice(&streams.answer(stream + 2).unwrap()).unwrap();
        assert_eq!(seen["length"], 4);
    }
});

wsgi_test!(an_upload_of_unknown_length_over_http_2_is_a_body_of_unknown_length, |site| {
    let server = plain(site).mount("/", "upload").conf("WSGIChunkedRequest On").start();
    let mut streams = Streams::open(server.port);
    for (stream, pieces) in [(1, vec![&b"one "[..], b"two "]), (3, vec![]), (5, vec![&bulk(16_000), &bulk(16_000)])] {
        streams.ask(stream, "POST", "/", true);
        pieces.iter().for_each(|piece| streams.body(stream, piece, false));
        streams.body(stream, b"", true);
        let whole = pieces.concat();
        let seen: Value = serde_json::from_slice(&streams.answer(stream).unwrap()).unwrap();
        assert_eq!(seen, json!({"length": whole.len(), "md5": md5(&whole), "declared": null}), "stream {stream}");
    }
});

wsgi_test!(a_client_of_http_2_that_waits_for_100_gets_it_at_the_first_read, |site| {
    let server = plain(site).mount("/read", "upload").start();
    let body = "x".repeat(300_000);
    server.root.write("var/body", &body);
    let from = format!("@{}", server.root.join("var/body").display());
    let arguments = ["--data-binary", &from, "-H", "Expect: 100-continue", "--expect100-timeout", "100"];
    let response = ask(&server, "/read", &arguments);
    assert_eq!(response.json()["length"], body.len());
    assert_eq!(response.interim, [100]);
});

wsgi_test!(many_streams_at_once, threaded, |site| {
    // More than the group has threads, or httpd for each connection.
    let server = plain(site).mount("/slow", "scripted").app("environ").threads(16).start();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut streams = Streams::open(server.port);
                for round in 0..5 {
                    let numbers: Vec<u32> = (0..20).map(|index| 1 + 2 * (round * 20 + index)).collect();
                    for number in &numbers {
                        streams.ask(*number, "GET", &format!("/{number}?of=stream"), false);
                    }
                    let mut bodies: std::collections::HashMap<u32, Vec<u8>> = std::collections::HashMap::new();
                    let mut ended = 0;
                    while ended < numbers.len() {
                        match streams.next() {
                            Event::Data(stream, bytes, end) => {
                                streams.widen(stream, 65_535);
                                bodies.entry(stream).or_default().extend(bytes);
                                ended += usize::from(end);
                            }
                            Event::Head(_, false) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                    for number in numbers {
                        let seen: Value = serde_json::from_slice(&bodies[&number]).unwrap();
                        assert_eq!(seen["environ"]["PATH_INFO"], format!("/{number}"));
                    }
                }
            });
        }
    });
});

wsgi_test!(a_large_answer_over_http_2_arrives_unharmed, threaded, |site| {
    let site = plain(site).mount("/file", "file").mount("/pieces", "scripted");
    let server = site.conf("WSGIEnableSendfile On").start();
    let content = bulk(3_000_003);
    server.root.write("var/large", &content);
    let response = ask(&server, "/file?name=large", &[]);
    assert_eq!((response.complete, response.body.len(), md5(&response.body)), (true, content.len(), md5(&content)));
    let part = ask(&server, "/file?name=large", &["-H", "Range: bytes=1000-1999"]);
    assert_eq!((part.status, part.body.as_slice()), (206, &content[1000..2000]));
    let plan = json!({"kind": "generator", "items": vec!["piece ".repeat(1000); 50]}).to_string();
    server.root.write("var/plan", plan);
    let from = format!("@{}", server.root.join("var/plan").display());
    assert_eq!(ask(&server, "/pieces", &["--data-binary", &from]).ok(), "piece ".repeat(50_000));
});

wsgi_test!(a_response_that_breaks_off_is_a_stream_that_is_reset, threaded, |site| {
    let server = plain(site).app("scripted").expect_log("WSGI0174").expect_log("ValueError: failed").start();
    for plan in [
        json!({"fail": "in the generator", "kind": "generator", "items": ["some "]}),
        json!({"fail": "after write", "write": ["some "]}),
    ] {
        // What was sent may be dropped by httpd with the rest, its head too.
        let url = "http://localhost:${PORT}/";
        let response = try_curl(&server, url, &[PRIOR, &["--data-binary", &plan.to_string()]].concat());
        match response {
            Ok(response) => assert_eq!((response.status, response.complete), (200, false), "{plan}"),
            Err(said) => assert!(said.contains("not closed cleanly"), "{plan}: {said}"),
        }
    }
    let plan = json!({"fail": "at once"}).to_string();
    let response = ask(&server, "/", &["--data-binary", &plan]);
    assert_eq!((response.status, response.complete), (500, true));
    assert_eq!(ask(&server, "/", &["--data-binary", r#"{"items": ["fine"]}"#]).ok(), "fine");
});

/// Sends until the stream is reset; notes its end in var/end-NAME.
const ENDLESS: &str = "import os
def note(path, text):
    with open(path + '.new', 'w') as file:
        file.write(text)
    os.rename(path + '.new', path)
class Endless:
    def __init__(self, path):
        self.path = path
    def __iter__(self):
        return self
    def __next__(self):
        return b'x' * 4096
    def close(self):
        note(self.path, 'closed')
def application(environ, start_response):
    path = environ['demo.var'] + '/end-' + environ['PATH_INFO'][1:]
    if environ['PATH_INFO'] == '/fine':
        start_response('200 OK', [])
        return [b'fine']
    if environ['PATH_INFO'].startswith('/read'):
        try:
            note(path, '%d bytes' % len(environ['wsgi.input'].read()))
        except OSError:
            note(path, 'OSError')
        start_response('200 OK', [])
        return [b'']
    start_response('200 OK', [])
    return Endless(path)
";

wsgi_test!(a_stream_that_is_reset_ends_its_request, threaded, |site| {
    let site = plain(site).file("apps/s/app.wsgi", ENDLESS).conf("WSGIScriptAlias / ${APPS}/s/app.wsgi");
    let server = site.threads(4).conf("H2MinWorkers 2\nH2MaxWorkers 4").start();
    let mut streams = Streams::open(server.port);
    // More than there are threads of any kind: each must come back.
    let mut stream = 1;
    for number in 0..12 {
        streams.ask(stream, "GET", &format!("/{number}"), false);
        loop {
            match streams.next() {
                Event::Data(of, bytes, _) if of == stream && !bytes.is_empty() => break,
                Event::Reset(of) if of == stream => panic!("reset by httpd"),
                _ => {}
            }
        }
        streams.reset(stream);
        until("the application to be closed", || server.root.join(&format!("var/end-{number}")).exists().then_some(()));
        // What of it is on its way was counted as taken.
        streams.widen(0, 1_000_000);
        stream += 2;
        assert_eq!(streams.get(stream, "/fine").unwrap(), b"fine");
        stream += 2;
    }
    assert_eq!(server.get("/fine").ok(), "fine");
});

wsgi_test!(an_upload_that_is_reset_is_an_os_error, threaded, |site| {
    let site = plain(site).file("apps/s/app.wsgi", ENDLESS).conf("WSGIScriptAlias / ${APPS}/s/app.wsgi");
    let server = site.conf("WSGIChunkedRequest On").start();
    server.allow_log("WSGI0126");
    let mut streams = Streams::open(server.port);
    for number in 0..6_u32 {
        let stream = number * 4 + 1;
        streams.ask(stream, "POST", &format!("/read-{number}"), true);
        streams.body(stream, b"half of it", false);
        // It is read while it comes.
        assert_eq!(streams.get(stream + 2, "/fine").unwrap(), b"fine");
        streams.reset(stream);
        let path = format!("var/end-read-{number}");
        let note = until("the application's note", || Some(server.root.read(&path)).filter(|text| !text.is_empty()));
        assert_eq!(note, "OSError");
    }
});

wsgi_test!(early_hints_over_http_2_need_its_directive, threaded, |site| {
    let setting = site.setting;
    let server = plain(Site::new("hints-off", setting).unwrap()).app("hints").start();
    let response = ask(&server, "/", &["--data-binary", "four"]);
    assert_eq!((response.json(), response.interim.len()), (json!([null, null]), 0), "mod_http2 sends none by default");
    assert_eq!(server.get("/").interim, [103, 103], "HTTP/1.1 needs no directive");
    let server = plain(site).app("hints").conf("H2EarlyHints on").start();
    let response = ask(&server, "/", &["--data-binary", "four"]);
    assert_eq!((response.json(), response.interim.as_slice()), (json!([null, null]), [103, 103].as_slice()));
    let seen: Vec<(&str, &str)> = response.hints.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let links = "</style.css>; rel=preload; as=style, </app.js>; rel=preload; as=script";
    assert_eq!(seen, [("link", links), ("x-read", "4")]);
    assert_eq!(response.header("x-own"), Some("1"));
});
