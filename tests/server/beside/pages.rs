//! Modules that change a request or its answer as a whole: error documents, mod_headers, mod_expires, mod_cache_disk, mod_remoteip,
//! mod_rewrite, mod_xsendfile.

use serde_json::{Value, json};

use crate::harness::{Request, Response, Server, Site, wsgi_test};

/// Answers an error as an application: what it was told of the request that failed, with its status.
const SORRY: &str = "import json
def application(environ, start_response):
    names = ['REDIRECT_STATUS', 'REDIRECT_URL', 'REQUEST_METHOD', 'PATH_INFO']
    said = {name: environ.get(name) for name in names}
    said['read'] = len(environ['wsgi.input'].read())
    body = json.dumps(said).encode()
    if environ['PATH_INFO'] == '/broken':
        raise ValueError('sorry, too')
    start_response(environ['REDIRECT_STATUS'] + ' Sorry', [('Content-Type', 'application/json'), ('X-Sorry', '1')])
    return [body]
";

/// Puts `SORRY` at /sorry, in a group of its own where there are groups.
fn with_sorry(site: Site, statuses: &[u16]) -> Site {
    let site = site.file("apps/sorry/app.wsgi", SORRY);
    let site = if site.setting.mode.is_daemon() {
        site.conf("WSGIDaemonProcess sorry threads=2\n<Location /sorry>\n  WSGIProcessGroup sorry\n</Location>")
    } else {
        site
    };
    let lines: String = statuses.iter().map(|status| format!("ErrorDocument {status} /sorry/{status}\n")).collect();
    site.conf("WSGIScriptAlias /sorry ${APPS}/sorry/app.wsgi").conf(&lines)
}

fn assert_sorry(response: &Response, status: u16, url: &str) {
    assert_eq!((response.status, response.header("X-Sorry")), (status, Some("1")), "{}", response.text());
    let seen: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(
        (&seen["REDIRECT_STATUS"], &seen["REDIRECT_URL"], &seen["PATH_INFO"], &seen["REQUEST_METHOD"]),
        (&json!(status.to_string()), &json!(url), &json!(format!("/{status}")), &json!("GET")),
    );
}

wsgi_test!(an_application_answers_our_errors, every_mpm, |site| {
    let site = with_sorry(site, &[404, 411, 413, 500]).mount("/scripted", "scripted");
    let site = site.conf("LimitRequestBody 5000\nWSGIScriptAlias /gone ${APPS}/gone/app.wsgi\n<Directory ${APPS}/gone>\n  Require all granted\n</Directory>");
    let server = site.start();
    for text in ["WSGI0174", "ValueError: failed at once", "WSGI0139", "WSGI0131", "WSGI0135", "WSGI0583"] {
        server.allow_log(text);
    }
    let mut connection = server.connect();
    let failing = json!({"fail": "at once"}).to_string();
    let response = connection.ask(&Request::post("/scripted", &failing).keep_alive());
    assert_sorry(&response, 500, "/scripted");
    assert_sorry(&server.get("/gone/x"), 404, "/gone/x");
    // The body is refused: it is neither the error document's nor the next request's.
    for (request, status) in [
        (Request::post("/scripted", "x".repeat(5001)), 413),
        (Request::new("POST", "/scripted").chunks(&[b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"]), 411),
    ] {
        let mut connection = server.connect();
        connection.send_head(&request.clone().keep_alive());
        assert_sorry(&connection.response("POST"), status, "/scripted");
        assert!(connection.is_closed());
        let response = server.ask(&request);
        assert_sorry(&response, status, "/scripted");
    }
    // An application's own page is its own, whatever its status.
    let response = server.post("/scripted", json!({"status": "404 Own", "items": ["own page"]}).to_string());
    assert_eq!((response.status, response.text().as_str()), (404, "own page"));
});

wsgi_test!(an_error_document_that_fails_itself_is_httpds_page, |site| {
    let site = with_sorry(site, &[]).conf("ErrorDocument 500 /sorry/broken").app("scripted");
    let server = site.expect_log("WSGI0174").expect_log("ValueError: failed at once").start();
    server.expect_log("ValueError: sorry, too");
    let response = server.post("/", json!({"fail": "at once"}).to_string());
    assert_eq!((response.status, response.header("X-Sorry")), (500, None));
    assert!(response.text().contains("Internal Server Error"), "{}", response.text());
});

wsgi_test!(an_application_answers_for_a_process_that_can_not, groups, |site| {
    let site = with_sorry(site, &[502, 503, 504]).mount("/none", "act").mount("/act", "act").mount("/slow", "act");
    let site = site.group("dies", "threads=2").group("none", "threads=0").group("slow", "threads=2 socket-timeout=1");
    let lines = "<Location /act>\n  WSGIProcessGroup dies\n</Location>\n<Location /none>\n  WSGIProcessGroup none\n</Location>\n<Location /slow>\n  WSGIProcessGroup slow\n</Location>\nSetEnv demo.var ${ROOT}/var";
    let server = site.conf(lines).expect_log("WSGI0591").start();
    assert_sorry(&server.get("/act/exit?3"), 502, "/act/exit");
    server.wait_log("WSGI0146");
    server.allow_log("WSGI0324");
    server.allow_log("dies");
    assert_sorry(&server.get("/none/pid"), 503, "/none/pid");
    server.wait_log("WSGI0360: ");
    let response = server.get("/slow/hold?one");
    server.root.write("var/go-one", "");
    assert_sorry(&response, 504, "/slow/hold");
    server.wait_log("WSGI0145");
});

wsgi_test!(error_override_gives_errors_of_applications_to_httpd_in_daemon_mode, |site| {
    let daemon = site.setting.mode.is_daemon();
    let server = with_sorry(site, &[404, 503]).mount("/scripted", "scripted");
    let server = server.conf("<Location /scripted>\n  WSGIErrorOverride On\n</Location>").start();
    for (status, code) in [("404 Own", 404), ("503 Own", 503)] {
        let headers = json!([["Content-Type", "text/plain"], ["X-Own", "1"]]);
        let plan = json!({"status": status, "headers": headers, "items": ["own page"]}).to_string();
        let response = server.post("/scripted", plan);
        if daemon {
            assert_sorry(&response, code, "/scripted");
            assert_eq!(response.header("X-Own"), None);
        } else {
            assert_eq!((response.status, response.text().as_str()), (code, "own page"));
        }
    }
    assert_eq!(server.post("/scripted", json!({"items": ["fine"]}).to_string()).ok(), "fine");
});

wsgi_test!(headers_are_changed_by_mod_headers_and_mod_expires, |site| {
    let site = site.load(&["headers", "expires"]).mount("/environ", "environ").app("scripted");
    let lines = "Header set X-Added yes\nHeader always set X-Always yes\nHeader unset X-Own\nHeader edit X-Edit old new\nHeader add X-Two 3\nRequestHeader set X-In given\nRequestHeader unset X-Out\nExpiresActive On\nExpiresByType text/plain \"access plus 1 hour\"";
    let server = site.conf(lines).start();
    server.allow_log("WSGI0174");
    server.allow_log("ValueError: failed at once");
    let headers =
        json!([["Content-Type", "text/plain"], ["X-Own", "1"], ["X-Edit", "old"], ["X-Two", "1"], ["X-Two", "2"]]);
    for kind in ["list", "generator"] {
        let response = server.post("/", json!({"kind": kind, "headers": headers, "items": ["x"]}).to_string());
        let seen = ["X-Added", "X-Always", "X-Own", "X-Edit"].map(|name| response.header(name));
        assert_eq!(seen, [Some("yes"), Some("yes"), None, Some("new")], "{kind}");
        assert_eq!(response.all("X-Two").join(", "), "1, 2, 3", "{kind}");
        assert_eq!(response.header("Cache-Control"), Some("max-age=3600"), "{kind}");
        assert!(response.header("Expires").is_some(), "{kind}");
    }
    let response = server.post("/", json!({"fail": "at once"}).to_string());
    assert_eq!((response.status, response.header("X-Always"), response.header("X-Added")), (500, Some("yes"), None));
    let seen = server.ask(&Request::get("/environ").header("X-Out", "1")).json()["environ"].take();
    assert_eq!((&seen["HTTP_X_IN"], seen.get("HTTP_X_OUT")), (&json!("given"), None));
});

wsgi_test!(mod_remoteip_says_who_the_client_is, |site| {
    let site = site.load(&["remoteip"]).app("environ");
    let server = site.conf("RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.1").start();
    let ask = |value: &str| server.ask(&Request::get("/").header("X-Forwarded-For", value)).json()["environ"].take();
    let seen = ask("192.0.2.66, 192.0.2.7");
    assert_eq!(seen["REMOTE_ADDR"], "192.0.2.7");
    assert_eq!(seen["HTTP_X_FORWARDED_FOR"], "192.0.2.66", "what it believed is taken away");
    let seen = ask("2001:db8::1");
    assert_eq!((&seen["REMOTE_ADDR"], seen.get("HTTP_X_FORWARDED_FOR")), (&json!("2001:db8::1"), None));
    assert_eq!(server.get("/").json()["environ"]["REMOTE_ADDR"], "127.0.0.1");
});

wsgi_test!(mod_rewrite_leads_to_an_application, |site| {
    let site = site.load(&["rewrite"]).mount("/app", "environ");
    let lines = "RewriteEngine On\nRewriteRule ^/old/(.*)$ /app/$1 [PT,QSA,E=demo.rewritten:yes]\nRewriteRule ^/away$ http://elsewhere.example/ [R=302,L]";
    let server = site.conf(lines).start();
    let seen = server.get("/old/a%20b?c=d").json()["environ"].take();
    assert_eq!((&seen["SCRIPT_NAME"], &seen["PATH_INFO"]), (&json!("/app"), &json!("/a b")));
    assert_eq!((&seen["QUERY_STRING"], &seen["demo.rewritten"]), (&json!("c=d"), &json!("yes")));
    assert_eq!(seen["REQUEST_URI"], "/old/a%20b?c=d");
    assert_eq!(server.get("/away").status, 302);
});

/// Counts its calls; may be kept for a minute.
const KEPT: &str = "calls = 0
def application(environ, start_response):
    global calls
    calls += 1
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Cache-Control', 'max-age=600')])
    def pieces():
        yield b'call %d' % calls
        if environ['PATH_INFO'] == '/broken':
            raise ValueError('broken off')
    return pieces()
";

wsgi_test!(mod_cache_keeps_whole_answers_only, |site| {
    let site = site.load(&["cache", "cache_disk"]).file("apps/s/app.wsgi", KEPT);
    let lines = "CacheEnable disk /\nCacheRoot ${ROOT}/var\nCacheHeader on\nWSGIScriptAlias / ${APPS}/s/app.wsgi";
    let server = site.conf(lines).expect_log("WSGI0174").expect_log("ValueError: broken off").start();
    let ask = |path: &str| {
        let response = server.get(path);
        (response.text(), response.complete, response.header("X-Cache").unwrap_or_default().starts_with("HIT"))
    };
    assert_eq!(ask("/broken"), ("call 1".to_owned(), false, false));
    assert_eq!(ask("/broken"), ("call 2".to_owned(), false, false), "half an answer is not kept");
    assert_eq!(ask("/a"), ("call 3".to_owned(), true, false));
    assert_eq!(ask("/a"), ("call 3".to_owned(), true, true));
    assert_eq!(ask("/b"), ("call 4".to_owned(), true, false));
});

fn sending(site: Site) -> Option<Server> {
    let site = site.load_other("xsendfile", "mod_xsendfile", ".so")?;
    let lines = "XSendFile On\nXSendFilePath ${ROOT}/files";
    Some(site.file("files/data", "some data").file("other/data", "secret").app("scripted").conf(lines).start())
}

wsgi_test!(mod_xsendfile_sends_the_file_that_an_application_names, |site| {
    let Some(server) = sending(site) else { return };
    let plan = |path: &str| {
        let path = server.root.join(path).display().to_string();
        let headers = json!([["Content-Type", "text/plain"], ["X-Sendfile", path], ["X-Own", "1"]]);
        json!({"headers": headers, "items": ["the application's own"]}).to_string()
    };
    let mut connection = server.connect();
    for _ in 0..3 {
        let response = connection.ask(&Request::post("/", plan("files/data")).keep_alive());
        assert_eq!((response.header("X-Sendfile"), response.header("X-Own")), (None, Some("1")));
        assert_eq!((response.header("Content-Length"), response.ok().as_str()), (Some("9"), "some data"));
    }
    let part = server.ask(&Request::post("/", plan("files/data")).header("Range", "bytes=5-"));
    assert_eq!((part.status, part.text().as_str()), (206, "data"));
    assert_eq!(server.post("/", json!({"items": ["own"]}).to_string()).ok(), "own");
    server.allow_log("xsendfile");
    let response = server.post("/", plan("other/data"));
    assert_eq!((response.status, response.text().contains("secret")), (404, false));
});
