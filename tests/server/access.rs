//! Scripts that httpd asks about a request, and handlers that are scripts. `tests/apps/asked` answers as it is told to.

// WSGIDispatchScript.
mod dispatch;
// WSGIAuthGroupScript, Require wsgi-group.
mod groups;
// WSGIHandlerScript, Action.
mod handlers;
// WSGIAccessScript.
mod hosts;
// WSGIAuthUserScript: Basic and Digest.
mod users;

use md5::{Digest as _, Md5};
use serde_json::Value;

use crate::harness::{Request, Response, Server, Site};

/// The answers of a script that break its call, and what the log then says.
const BROKEN: [(&str, &str); 3] =
    [("raise", "ValueError: told to"), ("exit", "SystemExit: 3"), ("interrupt", "KeyboardInterrupt")];

/// What is wrong with a script that can't be loaded, and what the log then says.
const UNLOADABLE: [(Option<&str>, &str); 4] = [
    (None, "FileNotFoundError"),
    (Some("def f(:\n"), "SyntaxError: "),
    (Some("raise SystemExit(1)\n"), "SystemExit: 1"),
    (Some("import not_there_at_all\n"), "ModuleNotFoundError"),
];

/// `where` at the root of the site, `environ` beside it, the script `asked`, and what users need in httpd.
fn asked(site: Site) -> Site {
    let site = site.load(&["auth_basic", "auth_digest", "authn_file", "authz_user", "access_compat"]);
    site.files("asked").mount("/environ", "environ").app("where")
}

/// The lines of a place with Basic authentication by `asked`.
const BASIC: &str =
    "AuthType Basic\nAuthName area\nAuthBasicProvider wsgi\nWSGIAuthUserScript ${APPS}/asked/asked.py\n";

/// What was asked so far, and lets it begin anew.
fn calls(server: &Server) -> Vec<String> {
    let calls = server.root.read("var/calls").lines().map(str::to_owned).collect();
    // The script makes it anew.
    drop(std::fs::remove_file(server.root.join("var/calls")));
    calls
}

/// What the script kept as `var/<name>.json`.
fn kept(server: &Server, name: &str) -> Value {
    serde_json::from_str(&server.root.read(&format!("var/{name}.json"))).unwrap()
}

fn basic(server: &Server, target: &str, user: &str, password: &str) -> Response {
    // As latin-1, so that a test may send any byte.
    let credentials: Vec<u8> =
        format!("{user}:{password}").chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect();
    server.ask(&Request::get(target).header("Authorization", &format!("Basic {}", base64(&credentials))))
}

/// As `Authorization: Basic` wants it.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = (0..3).fold(0, |number, at| number << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

fn md5(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(server: &Server, target: &str, user: &str, password: &str) -> Response {
    digest_of(server, "localhost", target, user, password)
}

/// A client of RFC 7616 with MD5: asks `host`, is challenged, and answers the challenge.
pub(crate) fn digest_of(server: &Server, host: &str, target: &str, user: &str, password: &str) -> Response {
    let request = Request::get(target).header("Host", host);
    let challenge = server.ask(&request);
    assert_eq!(challenge.status, 401, "{}", challenge.text());
    let challenge = challenge.header("WWW-Authenticate").unwrap().to_owned();
    let part = |name: &str| challenge.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap();
    let (realm, nonce) = (part("realm"), part("nonce"));
    let secret = md5(&format!("{user}:{realm}:{password}"));
    let what = md5(&format!("GET:{target}"));
    let response = md5(&format!("{secret}:{nonce}:00000001:0a4f113b:auth:{what}"));
    let header = format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{target}\", algorithm=MD5, qop=auth, nc=00000001, \
         cnonce=\"0a4f113b\", response=\"{response}\""
    );
    server.ask(&request.header("Authorization", &header))
}
