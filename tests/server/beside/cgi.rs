//! mod_cgid (under prefork mod_cgi) and mod_proxy: other programs that answer in the same server.

use serde_json::json;

use super::{bulk, md5};
use crate::harness::{Mpm, Request, Server, Site, wsgi_test};

const SCRIPT: &str = "#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n%s %s ' \"$REQUEST_METHOD\" \"$PATH_INFO\"
cat
";

/// `/cgi/echo` is a program, `/app` and `/far` are applications, `/near` is what a proxy gets from `/far`.
fn start(site: Site) -> Server {
    let cgi = if site.setting.mpm == Mpm::Prefork { "cgi" } else { "cgid" };
    let site = site.load(&[cgi, "proxy", "proxy_http"]).file("cgi/echo", SCRIPT);
    site.root.chmod("cgi/echo", 0o755);
    let lines = "ScriptAlias /cgi/ ${ROOT}/cgi/\n<Directory ${ROOT}/cgi>\n  Require all granted\n</Directory>\nProxyPass /near/ http://127.0.0.1:${PORT}/far/ disablereuse=On";
    let sock = if cgi == "cgid" { "ScriptSock cgid" } else { "" };
    let site = site.mount("/app", "environ").mount("/far/upload", "upload").mount("/far/hints", "hints");
    site.mount("/far", "environ").conf(lines).conf(sock).threads(16).start()
}

fn ask_all(server: &Server) {
    assert_eq!(server.post("/cgi/echo/a", "from a client").ok(), "POST /a from a client");
    assert_eq!(server.get("/app/b").json()["environ"]["PATH_INFO"], "/b");
    let seen = server.get("/near/c?d=e").json()["environ"].take();
    assert_eq!((&seen["PATH_INFO"], &seen["QUERY_STRING"]), (&json!("/c"), &json!("d=e")));
    assert_eq!(seen["HTTP_X_FORWARDED_FOR"], "127.0.0.1");
}

wsgi_test!(programs_a_proxy_and_applications_share_a_server, every_mpm, |site| {
    let server = start(site);
    for _ in 0..5 {
        ask_all(&server);
    }
    server.graceful();
    ask_all(&server);
    let mut connection = server.connect();
    for (path, text) in [("/cgi/echo", "GET  "), ("/cgi/echo/2", "GET /2 ")] {
        assert_eq!(connection.ask(&Request::get(path).keep_alive()).ok(), text);
        assert_eq!(connection.ask(&Request::get("/app").keep_alive()).status, 200, "on the same connection");
    }
});

wsgi_test!(a_proxy_passes_large_bodies_and_early_hints_on, |site| {
    let server = start(site);
    let body = bulk(3_000_003);
    let seen = server.post("/near/upload", &body).json();
    assert_eq!((&seen["length"], &seen["md5"]), (&json!(body.len()), &json!(md5(&body))));
    let response = server.post("/near/hints", "four");
    assert_eq!((response.interim.as_slice(), response.json()), ([103, 103].as_slice(), json!([null, null])));
    assert_eq!(response.hints.len(), 3, "{:?}", response.hints);
});
