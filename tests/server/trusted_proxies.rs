//! What an application believes of the headers of a proxy in front.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::harness::{Request, Server, Site, wsgi_test};

const HEADERS: &str = "WSGITrustedProxyHeaders X-Forwarded-For X-Forwarded-Host X-Forwarded-Server X-Forwarded-Port \
                       X-Script-Name X-Forwarded-Proto";

const PROXY: &str = "WSGITrustedProxies 127.0.0.1";

/// A site whose environ is looked at.
fn site(site: Site, lines: &[&str]) -> Server {
    site.mount("/shop", "environ").conf(&lines.join("\n")).start()
}

fn environ(server: &Server, target: &str, headers: &[(&str, &str)]) -> Value {
    let request = headers.iter().fold(Request::get(target), |request, (name, value)| request.header(name, value));
    server.ask(&request).json()["environ"].take()
}

wsgi_test!(a_trusted_proxy_changes_what_the_application_sees, both_interpreters, |s| {
    let server = site(s, &[HEADERS, PROXY]);
    let sent = [
        ("x-forwarded-for", "203.0.113.66, 192.0.2.7, 127.0.0.1"),
        ("X-Forwarded-Host", "www.example.com"),
        ("X-Forwarded-Server", "front.example.com"),
        ("X-Forwarded-Port", "443"),
        ("X-Script-Name", "/outer/shop"),
        ("X-Forwarded-Proto", "https"),
        ("X-Real-IP", "203.0.113.66"),
        ("X-Forwarded-SSL", "off"),
    ];
    let seen = environ(&server, "/shop/cart", &sent);
    for (key, value) in [
        ("REMOTE_ADDR", json!("192.0.2.7")),
        ("HTTP_X_FORWARDED_FOR", json!("192.0.2.7, 127.0.0.1")),
        ("HTTP_HOST", json!("www.example.com")),
        ("SERVER_NAME", json!("front.example.com")),
        ("SERVER_PORT", json!("443")),
        ("SCRIPT_NAME", json!("/outer/shop")),
        ("PATH_INFO", json!("/cart")),
        ("mod_wsgi.mount_point", json!("/outer/shop")),
        ("mod_wsgi.script_name", json!("/shop")),
        ("mod_wsgi.path_info", json!("/cart")),
        ("wsgi.url_scheme", json!("https")),
        ("REQUEST_SCHEME", json!("http")),
        ("HTTP_X_REAL_IP", Value::Null),
        ("HTTP_X_FORWARDED_SSL", Value::Null),
        ("HTTP_X_FORWARDED_PROTO", json!("https")),
    ] {
        assert_eq!(seen.get(key).unwrap_or(&Value::Null), &value, "{key}");
    }
});

wsgi_test!(a_peer_that_is_not_listed_is_not_believed, |s| {
    let server = site(s, &[HEADERS, "WSGITrustedProxies 192.0.2.0/24 ::1"]);
    let sent = [
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Script-Name", "/evil"),
        ("X-Forwarded-Proto", "https"),
        ("X-HTTPS", "on"),
        ("X-Other", "stays"),
    ];
    let seen = environ(&server, "/shop/cart", &sent);
    assert_eq!(seen["REMOTE_ADDR"], "127.0.0.1");
    assert_eq!(seen["HTTP_HOST"], format!("localhost:{}", server.port));
    assert_eq!(seen["SCRIPT_NAME"], "/shop");
    assert_eq!(seen["wsgi.url_scheme"], "http");
    assert_eq!(seen["HTTP_X_OTHER"], "stays");
    let names = ["X_FORWARDED_FOR", "X_FORWARDED_HOST", "X_SCRIPT_NAME", "X_FORWARDED_PROTO", "X_HTTPS"];
    for name in names {
        assert_eq!(seen.get(format!("HTTP_{name}")), None, "{name}");
    }
});

wsgi_test!(without_a_list_of_proxies_everybody_is_believed, |s| {
    let s = s.expect_log("WSGI0588: the main server has WSGITrustedProxyHeaders without WSGITrustedProxies");
    let server = site(s, &["WSGITrustedProxyHeaders X-Forwarded-For"]);
    assert_eq!(server.log_text().matches("WSGI0588").count(), 1);
    let seen = environ(&server, "/shop", &[("X-Forwarded-For", "203.0.113.5, 192.0.2.7")]);
    assert_eq!(seen["REMOTE_ADDR"], "203.0.113.5");
    assert_eq!(seen["HTTP_X_FORWARDED_FOR"], "203.0.113.5, 192.0.2.7");
});

wsgi_test!(repeated_headers_are_one_list_and_headers_with_an_underscore_are_none, |s| {
    let server = site(s, &[HEADERS, PROXY]);
    let sent =
        [("X-Forwarded-For", "203.0.113.5"), ("X_Forwarded_For", "203.0.113.66"), ("x-forwarded-for", "192.0.2.7")];
    let seen = environ(&server, "/shop", &sent);
    assert_eq!(seen["REMOTE_ADDR"], "192.0.2.7");
    assert_eq!(seen["HTTP_X_FORWARDED_FOR"], "192.0.2.7");
});

wsgi_test!(mod_ssl_decides_where_no_trusted_header_speaks_of_the_scheme, |s| {
    let server = site(s, &[HEADERS, PROXY, "SetEnv HTTPS on"]);
    assert_eq!(environ(&server, "/shop", &[])["wsgi.url_scheme"], "https");
    assert_eq!(environ(&server, "/shop", &[("X-Forwarded-Proto", "ftp")])["wsgi.url_scheme"], "https");
    assert_eq!(environ(&server, "/shop", &[("X-Forwarded-Proto", "http")])["wsgi.url_scheme"], "http");
});

wsgi_test!(an_inner_list_replaces_an_outer_one, |s| {
    let inner = "<Location /shop/inner>\nWSGITrustedProxyHeaders X-Real-IP\n</Location>\n<Location /shop/closed>\n\
                 WSGITrustedProxies 192.0.2.1\n</Location>";
    let server = site(s, &["WSGITrustedProxyHeaders X-Forwarded-For", PROXY, inner]);
    let sent = [("X-Forwarded-For", "192.0.2.7"), ("X-Real-IP", "192.0.2.8")];
    for (target, address) in [("/shop", "192.0.2.7"), ("/shop/inner", "192.0.2.8"), ("/shop/closed", "127.0.0.1")] {
        assert_eq!(environ(&server, target, &sent)["REMOTE_ADDR"], address, "{target}");
    }
});

wsgi_test!(htaccess_files_may_name_headers, |s| {
    let s = s.file("apps/environ/.htaccess", "WSGITrustedProxyHeaders X-Real-IP\n");
    let server = site(s, &[PROXY, "<Directory ${APPS}>\nAllowOverride FileInfo\n</Directory>"]);
    assert_eq!(environ(&server, "/shop", &[("X-Real-IP", "192.0.2.8")])["REMOTE_ADDR"], "192.0.2.8");
});

wsgi_test!(what_mod_remoteip_found_out_is_the_peer, |s| {
    let s = s.load(&["remoteip"]);
    let server = site(s, &["RemoteIPHeader X-Real-IP\nRemoteIPTrustedProxy 127.0.0.1/8", HEADERS, PROXY]);
    let seen = environ(&server, "/shop", &[("X-Real-IP", "192.0.2.8"), ("X-Forwarded-For", "192.0.2.7")]);
    assert_eq!(seen["REMOTE_ADDR"], "192.0.2.8");
    assert_eq!(seen.get("HTTP_X_FORWARDED_FOR"), None);
});

wsgi_test!(a_proxy_may_come_by_ipv6, |s| {
    let server = site(s, &["Listen [::1]:${PORT}", HEADERS, "WSGITrustedProxies ::1"]);
    let request = Request::get("/shop").header("X-Forwarded-For", "2001:DB8::7, ::1");
    let mut stream = TcpStream::connect(("::1", server.port)).unwrap();
    stream.write_all(&request.head_bytes(server.port)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let seen: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(seen["environ"]["REMOTE_ADDR"], "2001:DB8::7");
    // The same server's clients by IPv4 are not believed.
    let seen = environ(&server, "/shop", &[("X-Forwarded-For", "2001:DB8::7, ::1")]);
    assert_eq!(seen["REMOTE_ADDR"], "127.0.0.1");
});
