//! mod_ssl: what environ says of it, certificates of clients, large bodies both ways.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{bulk, md5};
use crate::harness::curl::curl;
use crate::harness::{Response, Server, Site, wsgi_test};

/// The server's certificate, which clients trust, and a client's, which the server trusts; keys beside them.
pub(super) const CERTIFICATE: &str = "conf/server.pem";
const CLIENT: &str = "conf/client.pem";

/// The folder of a file in the site, for curl.
pub(super) fn path(server: &Server, name: &str) -> String {
    server.root.join(name).display().to_string()
}

/// Makes the whole server one of TLS.
pub(super) fn secured(site: Site) -> Site {
    for (name, subject, more) in [
        (CERTIFICATE, "/CN=localhost", &["-addext", "subjectAltName=DNS:localhost"][..]),
        (CLIENT, "/CN=Jo Client/O=Shop", &[]),
    ] {
        let file = site.root.join(name).display().to_string();
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        command.args(["-days", "2", "-subj", subject, "-addext", "basicConstraints=critical,CA:FALSE"]).args(more);
        command.args(["-keyout", &format!("{file}.key"), "-out", &file]);
        let output = command.stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|cause| panic!("openssl, which the tests need: {cause}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let lines = format!(
        "SSLEngine On\nSSLSessionCache shmcb:${{ROOT}}/run/sessions(65536)\nSSLCertificateFile {CERTIFICATE}\nSSLCertificateKeyFile {CERTIFICATE}.key\nSSLCACertificateFile {CLIENT}"
    );
    site.load(&["ssl", "socache_shmcb"]).conf(&lines)
}

fn ask(server: &Server, target: &str, arguments: &[&str]) -> Response {
    let trusted = path(server, CERTIFICATE);
    curl(
        server,
        &format!("https://localhost:${{PORT}}{target}"),
        &[&["--cacert", &trusted, "--http1.1"], arguments].concat(),
    )
}

fn environ(server: &Server, target: &str, arguments: &[&str]) -> Value {
    ask(server, target, arguments).json()["environ"].take()
}

wsgi_test!(an_application_sees_that_the_client_speaks_tls, every_mpm, |site| {
    let site = secured(site).app("environ");
    let server = site.conf("<Location /std>\n  SSLOptions +StdEnvVars\n</Location>").start();
    let seen = environ(&server, "/plain", &[]);
    assert_eq!((&seen["wsgi.url_scheme"], &seen["REQUEST_SCHEME"]), (&json!("https"), &json!("https")));
    assert_eq!(seen["SERVER_PORT"], server.port.to_string());
    assert_eq!(seen.get("HTTPS"), None, "wsgi.url_scheme says it");
    assert_eq!(seen.get("SSL_PROTOCOL"), None, "only where it is asked for");
    let seen = environ(&server, "/std", &[]);
    assert_eq!((&seen["wsgi.url_scheme"], seen.get("HTTPS")), (&json!("https"), None));
    assert!(seen["SSL_PROTOCOL"].as_str().unwrap().starts_with("TLSv1."), "{seen}");
    assert!(seen["SSL_CIPHER"].is_string() && seen["SSL_VERSION_LIBRARY"].is_string(), "{seen}");
    assert_eq!((&seen["SSL_SERVER_S_DN"], &seen["SSL_CLIENT_VERIFY"]), (&json!("CN=localhost"), &json!("NONE")));
    assert_eq!(seen.get("SSL_SERVER_CERT"), None);
});

wsgi_test!(a_certificate_of_a_client_is_in_environ, |site| {
    let site = secured(site).app("environ").conf("SSLVerifyClient optional");
    let server = site.conf("SSLOptions +StdEnvVars +ExportCertData").start();
    let own = path(&server, CLIENT);
    let key = format!("{own}.key");
    let seen = environ(&server, "/", &["--cert", &own, "--key", &key]);
    assert_eq!((&seen["SSL_CLIENT_VERIFY"], &seen["SSL_CLIENT_S_DN_CN"]), (&json!("SUCCESS"), &json!("Jo Client")));
    for (name, file) in [("SSL_CLIENT_CERT", CLIENT), ("SSL_SERVER_CERT", CERTIFICATE)] {
        // Several lines in one value.
        assert_eq!(seen[name].as_str().unwrap().trim(), server.root.read(file).trim(), "{name}");
    }
    let seen = environ(&server, "/", &[]);
    assert_eq!((&seen["SSL_CLIENT_VERIFY"], seen.get("SSL_CLIENT_S_DN")), (&json!("NONE"), None));
});

wsgi_test!(a_place_may_require_a_certificate, |site| {
    let site = secured(site).mount("/secret", "environ").mount("/upload", "upload").app("unread");
    let lines = "<LocationMatch ^/(secret|upload)>\n  SSLVerifyClient require\n  SSLVerifyDepth 1\n  SSLOptions +StdEnvVars +FakeBasicAuth\n</LocationMatch>";
    let server = site.conf(&format!("SSLProtocol -all +TLSv1.2\n{lines}")).start();
    let own = path(&server, CLIENT);
    let key = format!("{own}.key");
    let with = ["--cert", own.as_str(), "--key", key.as_str()];
    let seen = environ(&server, "/secret", &with);
    assert_eq!(seen["SSL_CLIENT_S_DN"], "O=Shop,CN=Jo Client");
    assert_eq!(ask(&server, "/", &[]).ok(), "1", "elsewhere none is needed");
    // httpd asks for the certificate in the middle of the request, and keeps the body meanwhile (SSLRenegBufferSize).
    let body = "x".repeat(100_000);
    server.root.write("var/body", &body);
    let from = format!("@{}", server.root.join("var/body").display());
    let seen = ask(&server, "/upload", &[&with[..], &["--data-binary", &from]].concat()).json();
    assert_eq!((&seen["length"], &seen["md5"]), (&json!(body.len()), &json!(md5(body.as_bytes()))));
    server.allow_log("AH02261: ");
    server.allow_log("peer did not return a certificate");
    let refused = ask_maybe(&server, "/secret");
    assert!(refused.is_none_or(|response| response.status == 403), "without one");
});

/// Where the connection may end instead of an answer.
fn ask_maybe(server: &Server, target: &str) -> Option<Response> {
    let trusted = path(server, CERTIFICATE);
    crate::harness::curl::try_curl(
        server,
        &format!("https://localhost:${{PORT}}{target}"),
        &["--cacert", &trusted, "--http1.1"],
    )
    .ok()
}

wsgi_test!(large_bodies_pass_tls_both_ways, every_mpm, |site| {
    let site = secured(site).mount("/file", "file").mount("/upload", "upload").mount("/pieces", "scripted");
    let server = site.conf("SetEnv demo.var ${ROOT}/var\nWSGIEnableSendfile On\nEnableSendfile On").start();
    let content = bulk(6_000_003);
    server.root.write("var/large", &content);
    let from = format!("@{}", path(&server, "var/large"));
    let seen = ask(&server, "/upload", &["--data-binary", &from]).json();
    assert_eq!(seen, json!({"length": content.len(), "md5": md5(&content), "declared": content.len().to_string()}));
    let response = ask(&server, "/file?name=large", &[]);
    assert_eq!((response.complete, response.body.len(), md5(&response.body)), (true, content.len(), md5(&content)));
    let part = ask(&server, "/file?name=large", &["-H", "Range: bytes=-5"]);
    assert_eq!((part.status, part.body.as_slice()), (206, &content[content.len() - 5..]));
    let plan = json!({"kind": "generator", "items": vec!["piece ".repeat(1000); 200]}).to_string();
    server.root.write("var/plan", plan);
    let from = format!("@{}", path(&server, "var/plan"));
    assert_eq!(ask(&server, "/pieces", &["--data-binary", &from]).ok(), "piece ".repeat(200_000));
});

wsgi_test!(a_response_that_breaks_off_is_seen_over_tls, |site| {
    let server = secured(site).app("scripted").expect_log("WSGI0174").expect_log("ValueError: failed").start();
    for plan in [
        json!({"fail": "in the generator", "kind": "generator", "items": ["some "]}),
        json!({"fail": "after write", "write": ["some "], "headers": [["Content-Length", "100"]]}),
    ] {
        let response = ask(&server, "/", &["--data-binary", &plan.to_string()]);
        assert_eq!((response.status, response.text().as_str(), response.complete), (200, "some ", false), "{plan}");
    }
});

wsgi_test!(early_hints_pass_tls, |site| {
    let server = secured(site).app("hints").start();
    let response = ask(&server, "/", &["--data-binary", "four"]);
    assert_eq!((response.interim.as_slice(), response.json()), ([103, 103].as_slice(), json!([null, null])));
});
