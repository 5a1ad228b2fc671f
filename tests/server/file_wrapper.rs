//! `wsgi.file_wrapper`: files that httpd sends itself, and everything else it must not break.

use std::fs::File;
use std::io::Write as _;

use md5::{Digest as _, Md5};
use serde_json::json;

use crate::harness::{Mpm, Request, Server, Site, until, wsgi_test};

const DATA: &str = "The quick brown fox jumps over the lazy dog";

fn start(site: Site) -> Server {
    site.app("file").file("var/data", DATA).file("var/empty", "").conf("SetEnv demo.var ${ROOT}/var").start()
}

/// Waits for what the application has closed so far: close() comes after the client has everything.
fn expect_closed(server: &Server, closed: &str) {
    until(&format!("{closed:?} to be closed"), || (server.get("/closed").ok() == closed).then_some(()));
}

wsgi_test!(a_file_is_sent_whole_with_its_length, both_interpreters, |site| {
    let server = start(site);
    let response = server.get("/file");
    assert_eq!(response.header("Content-Length"), Some("43"));
    assert_eq!(response.ok(), DATA);
    expect_closed(&server, "file");
});

wsgi_test!(a_file_starts_where_it_stands, |site| {
    let server = start(site);
    let response = server.get("/file?offset=40");
    assert_eq!(response.header("Content-Length"), Some("3"));
    assert_eq!(response.ok(), "dog");
    assert_eq!(server.get("/file?offset=43").ok(), "", "at its end");
});

wsgi_test!(a_declared_length_limits_a_file, |site| {
    let server = start(site);
    assert_eq!(server.get("/file?length=9").ok(), "The quick");
    assert_eq!(server.get("/file?offset=4&length=5").ok(), "quick");
});

wsgi_test!(a_declared_length_beyond_the_file_ends_the_connection, |site| {
    let server = start(site);
    server.expect_log("Content-Length");
    let mut connection = server.connect();
    connection.send_head(&Request::get("/file?offset=40&length=5"));
    // The head may have gone or not; what came of the body is no whole answer.
    if let Some(response) = connection.try_response("GET") {
        assert!(!response.complete, "{}", response.text());
    }
});

wsgi_test!(an_empty_file_is_an_empty_answer, |site| {
    let server = start(site);
    let mut connection = server.connect();
    let response = connection.ask(&Request::get("/file?name=empty").keep_alive());
    assert_eq!(response.header("Content-Length"), Some("0"));
    assert_eq!(response.ok(), "");
    assert_eq!(connection.ask(&Request::get("/file")).ok(), DATA);
});

wsgi_test!(what_is_no_regular_file_is_iterated, |site| {
    let server = start(site);
    let response = server.get("/reader");
    assert_eq!(response.ok().len(), 10_000);
    assert_eq!(response.header("Content-Length"), None);
    assert_eq!(server.get("/reader?block=7").ok(), "0123456789".repeat(1000));
    assert_eq!(server.get("/pipe").ok(), "through a pipe");
    expect_closed(&server, "reader reader");
    assert_eq!(server.get("/iterated").ok(), DATA);
    assert_eq!(server.get("/subclass").ok(), DATA);
    assert_eq!(server.get("/temporary").ok(), "short lived");
    assert_eq!(server.get("/after-write").ok(), format!("before {DATA}"));
});

wsgi_test!(files_are_known_behind_what_only_passes_them_on, |site| {
    let server = start(site);
    for (kind, data) in
        [("open", DATA), ("unbuffered", DATA), ("random", "short lived"), ("named", "short lived"), ("proxy", DATA)]
    {
        let response = server.get(&format!("/plain/{kind}"));
        assert_eq!(response.header("Content-Length"), Some(data.len().to_string().as_str()), "{kind}");
        assert_eq!(response.ok(), data, "{kind}");
    }
});

// PEP 3333: "Apart from the handling of close(), the semantics of returning a file wrapper from the application should be the same as if
// the application had returned iter(filelike.read, '')".
wsgi_test!(what_read_gives_is_sent_not_what_the_descriptor_has, |site| {
    let server = start(site);
    for (kind, data) in [
        ("gzip", "unpacked"),
        ("gzip-proxy", "unpacked"),
        ("raw", &DATA.to_uppercase()),
        ("buffered", &DATA.to_uppercase()),
        ("method", &DATA.to_uppercase()),
        ("patched", &DATA.to_uppercase()),
    ] {
        assert_eq!(server.get(&format!("/read/{kind}")).ok(), data, "{kind}");
    }
    assert!(!server.get("/read/process").ok().is_empty(), "its size is 0");
    assert_eq!(server.get("/overridden").ok(), DATA.to_uppercase());
});

wsgi_test!(a_text_file_is_a_500, |site| {
    let server = start(site);
    server.expect_log("WSGI0174");
    server.expect_log("TypeError: ");
    assert_eq!(server.get("/text").status, 500);
    assert_eq!(server.get("/read/text").status, 500, "with a descriptor, too");
});

wsgi_test!(the_wrapper_type_behaves, both_interpreters, |site| {
    let seen = site.app("wrapper_type").start().get("/").json();
    assert_eq!(
        seen,
        json!({
            "blksize": 4, "default": 8192, "keywords": 7, "filelike": true, "negative": "ValueError",
            "read_only": "AttributeError", "items": ["0123", "4567", "89"], "closed": true,
            "after_close": "ValueError", "iterate_after_close": "ValueError", "text": "TypeError",
            "fraction": "TypeError", "other": "AttributeError", "nothing": "AttributeError",
        })
    );
});

wsgi_test!(a_large_file_arrives_unharmed, every_mpm, |site| {
    let event = site.setting.mpm == Mpm::Event;
    let site = site.mount("/on", "file").mount("/off", "file").conf("SetEnv demo.var ${ROOT}/var");
    let server = site.conf("<Location /on>\n  WSGIEnableSendfile On\n</Location>\nEnableSendfile On").start();
    let mut digest = Md5::new();
    let mut file = File::create(server.root.join("var/large")).unwrap();
    let piece: Vec<u8> = (0..1_000_003_u32).map(|index| u8::try_from(index % 253).unwrap()).collect();
    let pieces = if event { 100 } else { 10 };
    for _ in 0..pieces {
        file.write_all(&piece).unwrap();
        digest.update(&piece);
    }
    let expected = digest.finalize();
    for path in ["/on", "/off"] {
        let response = server.get(&format!("{path}?name=large"));
        assert_eq!(
            (response.status, response.complete, response.body.len()),
            (200, true, pieces * piece.len()),
            "{path}"
        );
        assert_eq!(Md5::digest(&response.body), expected, "{path}");
    }
});

wsgi_test!(httpd_answers_ranges_of_a_file, |site| {
    let server = start(site);
    let response = server.ask(&Request::get("/file").header("Range", "bytes=4-8"));
    assert_eq!((response.status, response.text().as_str()), (206, "quick"));
    assert_eq!(response.header("Content-Range"), Some("bytes 4-8/43"));
});

wsgi_test!(filters_of_httpd_apply_to_a_file, |site| {
    let site = site.load(&["filter", "deflate"]).conf("SetOutputFilter DEFLATE");
    let server = start(site);
    // mod_deflate leaves very small answers alone.
    server.root.write("var/long", "long ".repeat(10_000));
    let response = server.ask(&Request::get("/file?name=long").header("Accept-Encoding", "gzip"));
    assert_eq!((response.status, response.header("Content-Encoding")), (200, Some("gzip")));
    assert_eq!(response.body[..2], [0x1f, 0x8b]);
});

wsgi_test!(head_of_a_file_is_its_length, |site| {
    let server = start(site);
    let mut connection = server.connect();
    let response = connection.ask(&Request::new("HEAD", "/file").keep_alive());
    assert_eq!((response.status, response.header("Content-Length")), (200, Some("43")));
    assert_eq!(connection.ask(&Request::get("/file")).ok(), DATA);
});

wsgi_test!(a_client_that_goes_leaves_no_descriptor_behind, |site| {
    let server = start(site);
    std::fs::write(server.root.join("var/large"), vec![b'x'; 20_000_000]).unwrap();
    let open = || {
        let folders = server.descendants().into_iter().map(|id| std::fs::read_dir(format!("/proc/{id}/fd")));
        let links = folders.flatten().flatten().flatten();
        links.filter(|link| std::fs::read_link(link.path()).is_ok_and(|to| to.ends_with("large"))).count()
    };
    for _ in 0..20 {
        let mut connection = server.connect();
        connection.send_head(&Request::get("/file?name=large"));
        connection.peek();
    }
    until("the files to be closed", || (open() == 0).then_some(()));
});

wsgi_test!(a_file_that_is_cut_while_it_is_sent_is_an_answer_cut_off, every_mpm, |site| {
    let site = site.mount("/file", "file").conf("SetEnv demo.var ${ROOT}/var");
    let mut site = site.file("var/data", DATA);
    let cases = [("On", "On"), ("On", "Off"), ("Off", "On"), ("Off", "Off")];
    for (number, (httpd, wsgi)) in cases.iter().enumerate() {
        let lines = format!("EnableSendfile {httpd}\n  WSGIEnableSendfile {wsgi}\n  EnableMMAP On");
        site = site.mount(&format!("/{number}"), "file").conf(&format!("<Location /{number}>\n  {lines}\n</Location>"));
    }
    let server = site.start();
    assert_eq!(server.get("/file").ok(), DATA);
    let before = server.descendants();
    for (number, (httpd, wsgi)) in cases.iter().enumerate() {
        for keep in [0, 4097] {
            let name = format!("large-{number}-{keep}");
            let file = File::create(server.root.join(&format!("var/{name}"))).unwrap();
            file.set_len(60_000_000).unwrap();
            let mut connection = server.connect();
            connection.read_slowly(std::time::Duration::ZERO);
            connection.send_head(&Request::get(&format!("/{number}?name={name}")).keep_alive());
            // It is being sent, and most of it waits for the client.
            connection.peek();
            file.set_len(keep).unwrap();
            let response = connection.response("GET");
            assert_eq!(
                (response.status, response.complete),
                (200, false),
                "EnableSendfile {httpd}, WSGI {wsgi}, {keep}"
            );
            assert!(response.body.len() < 50_000_000);
            assert_eq!(server.get("/file").ok(), DATA, "EnableSendfile {httpd}, WSGI {wsgi}, {keep}");
        }
    }
    let now = server.descendants();
    assert!(before.iter().all(|id| now.contains(id)), "who served goes on: {before:?}, {now:?}");
});
