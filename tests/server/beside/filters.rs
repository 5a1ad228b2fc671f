//! Filters of other modules on what goes in and out: mod_deflate, mod_include, mod_substitute, mod_ratelimit.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{bulk, md5};
use crate::harness::curl::curl;
use crate::harness::{Request, Response, Server, Site, wsgi_test};

const URL: &str = "http://localhost:${PORT}";

/// Asks `scripted` for an answer, which comes compressed and is unpacked.
fn unpacked(server: &Server, plan: &Value) -> Response {
    server.root.write("var/plan", plan.to_string());
    let from = format!("@{}", server.root.join("var/plan").display());
    curl(server, URL, &["--compressed", "--data-binary", &from])
}

/// Bytes that gzip makes shorter, but not by so much that mod_deflate takes them for an attack.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0] & 0x3f
    };
    (0..length).map(|_| next()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut packed) = (child.stdin.take().unwrap(), Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(bytes).unwrap());
        child.stdout.take().unwrap().read_to_end(&mut packed).unwrap();
    });
    assert!(child.wait().unwrap().success());
    packed
}

fn deflating(site: Site) -> Site {
    site.load(&["filter", "deflate"]).conf("AddOutputFilterByType DEFLATE text/plain text/html")
}

wsgi_test!(answers_are_compressed_by_their_type, every_mpm, |site| {
    let server = deflating(site).app("scripted").start();
    let long = "some text ".repeat(20_000);
    for kind in ["list", "generator"] {
        let plan = json!({"kind": kind, "items": [long, "end"], "headers": [["Content-Type", "text/plain"], ["ETag", "\"a\""]]});
        let response = unpacked(&server, &plan);
        assert_eq!(response.header("Content-Encoding"), Some("gzip"), "{kind}");
        assert_eq!(response.header("Vary"), Some("Accept-Encoding"), "{kind}");
        assert_eq!(response.header("ETag"), Some("\"a-gzip\""), "{kind}");
        assert_eq!(response.ok(), format!("{long}end"), "{kind}");
        // The length that the application or we gave is not the one that is sent.
        assert_ne!(response.header("Content-Length"), Some((long.len() + 3).to_string().as_str()), "{kind}");
    }
    let plan = json!({"headers": [["Content-Type", "image/png"]], "items": [long]});
    let response = unpacked(&server, &plan);
    assert_eq!((response.header("Content-Encoding"), response.ok()), (None, long));
});

wsgi_test!(answers_without_a_body_stay_without_one_when_compressed, |site| {
    let server = deflating(site).app("scripted").start();
    let mut connection = server.connect();
    for (method, status, code) in
        [("POST", "304 Not Modified", 304), ("POST", "204 No Content", 204), ("HEAD", "200 OK", 200)]
    {
        let headers = json!([["Content-Type", "text/plain"], ["ETag", "\"a\""]]);
        let plan = json!({"status": status, "headers": headers, "items": ["x".repeat(5000)]}).to_string();
        let request = Request::new(method, "/").body(plan).header("Accept-Encoding", "gzip").keep_alive();
        assert_eq!(connection.ask(&request).status, code);
        let next = connection.ask(&Request::post("/", r#"{"items": ["next"]}"#).keep_alive());
        assert_eq!(next.ok(), "next", "behind {method} {status}: the connection is in step");
    }
});

wsgi_test!(pieces_that_are_compressed_come_in_time, |site| {
    let server = deflating(site).app("stepwise").conf("SetEnv demo.var ${ROOT}/var").start();
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--no-buffer", "--compressed", "--max-time", "120", "--noproxy", "*"]);
    let url = URL.replace("${PORT}", &server.port.to_string());
    let mut child = command.arg(url).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0; 5];
    stdout.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"first");
    server.root.write("var/go", "");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), child.wait().unwrap().success()), ("second", true));
});

wsgi_test!(compressed_uploads_are_unpacked, every_mpm, |site| {
    let site = site.load(&["filter", "deflate"]).mount("/upload", "upload").mount("/input", "input");
    let server = site.conf("SetInputFilter DEFLATE\nWSGIChunkedRequest On").start();
    for plain in [noise(10), noise(600_003)] {
        let packed = gzip(&plain);
        let expected = json!({"length": plain.len(), "md5": md5(&plain), "declared": packed.len().to_string()});
        let seen = server.ask(&Request::post("/upload", &packed).header("Content-Encoding", "gzip")).json();
        assert_eq!(seen, expected, "the length is the client's, the bytes are the filter's");
        let (first, second) = packed.split_at(packed.len() / 2);
        let chunked = Request::new("POST", "/upload").chunks(&[first, second]).header("Content-Encoding", "gzip");
        let seen = server.ask(&chunked).json();
        assert_eq!(seen, json!({"length": plain.len(), "md5": md5(&plain), "declared": null}));
        let seen = server.post("/upload", &plain).json();
        assert_eq!(seen["md5"], md5(&plain), "what is not compressed passes");
    }
});

wsgi_test!(an_upload_that_does_not_unpack_is_an_os_error, |site| {
    let server = site.load(&["filter", "deflate"]).app("input").conf("SetInputFilter DEFLATE").start();
    for text in ["WSGI0126", "AH01392: Zlib error", "AH02649: Inflated content ratio"] {
        server.allow_log(text);
    }
    let mut broken = gzip(&noise(100_000));
    let middle = broken.len() / 2;
    broken[middle..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    for packed in [broken, gzip(&bulk(10_000_000))] {
        let request = Request::post("/?call=read()", &packed).header("Content-Encoding", "gzip");
        assert_eq!(server.ask(&request).json(), json!([{"raised": "OSError"}]));
    }
    assert_eq!(server.post("/?call=read()", "plain").json(), json!(["plain"]));
});

/// An application whose answer mod_include reads, and those whose answers are put into pages.
const PARTS: &str = "def application(environ, start_response):
    path = environ['PATH_INFO']
    environ['wsgi.early_hints']([('Link', '</a.css>')])
    headers = [('Content-Type', 'text/html')]
    if path == '/fail':
        raise ValueError('told to')
    if path == '/outer':
        def pieces():
            yield b'<!--#set var=\"a\" value=\"1\" -->outer '
            yield b'(<!--#include virtual=\"/part/inner?x=1\" -->)'
            yield b' <!--#echo var=\"QUERY_STRING\" -->'
        start_response('200 OK', headers)
        return pieces()
    if path == '/large':
        start_response('200 OK', headers)
        return (b'large ' * 1000 for _ in range(100))
    text = 'part of %s %s %s' % (environ['REQUEST_METHOD'], path, environ['QUERY_STRING'])
    start_response('200 OK', headers + [('X-Part', '1')])
    return [text.encode()]
";

fn including(site: Site) -> Site {
    let lines = "AddOutputFilter INCLUDES .shtml\nAddType text/html .shtml\n<Directory ${ROOT}/htdocs>\n  Options +Includes\n</Directory>\nWSGIScriptAlias /part ${APPS}/s/app.wsgi\n<Location /part/outer>\n  Options +Includes\n  SetOutputFilter INCLUDES\n</Location>";
    site.load(&["include"]).file("apps/s/app.wsgi", PARTS).conf(lines)
}

wsgi_test!(a_page_includes_what_applications_answer, every_mpm, |site| {
    let site = including(site).file(
        "htdocs/page.shtml",
        "<p><!--#include virtual=\"/part/one?a=b\" --> and <!--#include virtual=\"/part/two\" --></p>",
    );
    let site = site.file("htdocs/large.shtml", "[<!--#include virtual=\"/part/large\" -->]");
    let server = site.start();
    let mut connection = server.connect();
    for _ in 0..3 {
        let response = connection.ask(&Request::get("/page.shtml").keep_alive());
        assert_eq!((response.interim.len(), response.header("X-Part")), (0, None), "they are of the parts");
        assert_eq!(response.ok(), "<p>part of GET /one a=b and part of GET /two </p>");
        let response = connection.ask(&Request::get("/large.shtml").keep_alive());
        assert_eq!(response.ok(), format!("[{}]", "large ".repeat(100_000)));
    }
});

wsgi_test!(what_an_application_answers_may_include_another, every_mpm, |site| {
    let server = including(site).start();
    let mut connection = server.connect();
    for _ in 0..3 {
        let response = connection.ask(&Request::get("/part/outer?q").keep_alive());
        assert_eq!(response.interim, [103]);
        assert_eq!(response.ok(), "outer (part of GET /inner x=1) q");
    }
});

wsgi_test!(a_part_that_fails_leaves_the_page, |site| {
    let page = "before <!--#include virtual=\"/part/fail\" --> after";
    let server = including(site).file("htdocs/page.shtml", page).conf("SSIErrorMsg (sorry)").start();
    for text in ["WSGI0174", "ValueError: told to", "AH02667", "unable to include"] {
        server.allow_log(text);
    }
    let text = server.get("/page.shtml").ok();
    assert!(text.starts_with("before ") && text.ends_with(" after"), "{text}");
    assert!(!text.contains("told to"), "{text}");
});

wsgi_test!(answers_pass_filters_that_change_or_slow_them, |site| {
    let site = site.load(&["filter", "substitute", "ratelimit"]).mount("/text", "scripted").mount("/slow", "file");
    let lines = "<Location /text>\n  AddOutputFilterByType SUBSTITUTE text/plain\n  Substitute s/cat/dog/n\n</Location>\n<Location /slow>\n  SetOutputFilter RATE_LIMIT\n  SetEnv rate-limit 4000\n</Location>\nSetEnv demo.var ${ROOT}/var";
    let server = site.conf(lines).start();
    for kind in ["list", "generator"] {
        let plan = json!({"kind": kind, "items": ["a cat and\n", "a cat\n"]}).to_string();
        assert_eq!(server.post("/text", plan).ok(), "a dog and\na dog\n", "{kind}");
    }
    let content = bulk(1_000_003);
    server.root.write("var/large", &content);
    let response = server.get("/slow?name=large");
    assert_eq!((response.status, response.complete, md5(&response.body)), (200, true, md5(&content)));
});
