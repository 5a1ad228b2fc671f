//! Builds the text part of `environ` from the facts of a request.
//!
//! Called in the httpd child for each request, embedded or not, before Python is touched; `application` turns the pairs into the
//! dict and adds what is not text (`wsgi.*`, versions, times, thread number). Order is precedence: the subprocess environment
//! (`SetEnv` and friends) comes first, so that whatever we compute replaces it when the last of equal keys wins.

use crate::wsgi::pairs::{Appender, Pairs};
use crate::wsgi::script_name::{split, split_as_is};

/// Receives one entry: its name, and its value unless that is missing.
pub type Visit<'v> = dyn FnMut(&[u8], Option<&[u8]>) + 'v;

/// A list of names and values that httpd holds: headers, the subprocess environment.
pub trait Entries {
    /// Shows each entry in order; a value that is missing is `None`.
    fn for_each(&self, visit: &mut Visit<'_>);
}

/// Everything about a request that `environ` shows, borrowed from httpd.
#[derive(Clone, Copy)]
pub struct RequestFacts<'a> {
    /// `r->method`.
    pub method: &'a [u8],
    /// `r->uri`: the decoded path.
    pub uri: &'a [u8],
    /// The URI as CGI shows it: the request line's second word, or the current one where `CGIVar REQUEST_URI current-uri` is set.
    pub request_uri: &'a [u8],
    /// `r->protocol`, for example `HTTP/1.1`.
    pub protocol: &'a [u8],
    /// `r->args`: the raw query, without `?`.
    pub args: Option<&'a [u8]>,
    /// `r->path_info`; empty when there is none.
    pub path_info: &'a [u8],
    /// `r->filename`: the mapped file (in the view of a chroot, if any).
    pub filename: &'a [u8],
    /// The connection's scheme as httpd says, `http` or `https`.
    pub scheme: &'a [u8],
    /// `ap_get_server_name_for_url`, not yet escaped.
    pub server_name: &'a [u8],
    /// `ap_get_server_port`.
    pub server_port: u16,
    /// The connection's local address.
    pub server_addr: &'a [u8],
    /// The user agent's address (`r->useragent_ip`).
    pub remote_addr: &'a [u8],
    /// The peer's port.
    pub remote_port: u16,
    /// httpd's banner.
    pub server_software: &'a [u8],
    /// `ServerAdmin`, if set.
    pub server_admin: Option<&'a [u8]>,
    /// `ap_document_root` (in the view of a chroot, if any).
    pub document_root: &'a [u8],
    /// `ap_context_prefix`; may be empty.
    pub context_prefix: &'a [u8],
    /// `ap_context_document_root`.
    pub context_document_root: &'a [u8],
    /// `r->user`.
    pub user: Option<&'a [u8]>,
    /// `r->ap_auth_type`.
    pub auth_type: Option<&'a [u8]>,
    /// The request that was internally redirected to this one.
    pub previous: Option<Previous<'a>>,
    /// This is an SSI subrequest.
    pub included: bool,
    /// `r->handler`.
    pub handler: &'a [u8],
    /// The script registered by `WSGIHandlerScript`; empty for an ordinary WSGI script.
    pub handler_script: &'a [u8],
    /// The resolved process group; empty in embedded mode.
    pub process_group: &'a [u8],
    /// The resolved application group; empty for the main interpreter.
    pub application_group: &'a [u8],
    /// The resolved name of the application object; none where it is not known yet.
    pub callable_object: Option<&'a [u8]>,
    /// `r->log_id`; the caller has httpd make one when there is none yet.
    pub request_id: Option<&'a [u8]>,
    /// The connection's log id, if httpd made one.
    pub connection_id: Option<&'a [u8]>,
    /// Host text of the listener's address; may be empty.
    pub listener_host: &'a [u8],
    /// The listener's port.
    pub listener_port: u16,
    /// Process id of the httpd child.
    pub server_pid: u32,
    /// `r->headers_in`.
    pub headers: &'a dyn Entries,
    /// `r->subprocess_env`.
    pub subprocess_env: &'a dyn Entries,
}

/// An earlier request of an internal redirect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Previous<'a> {
    /// The previous request's URI, absolute when `QualifyRedirectURL` is On.
    pub url: Option<&'a [u8]>,
    /// The previous request's query.
    pub query: Option<&'a [u8]>,
    /// The user of the nearest earlier request that had one.
    pub user: Option<&'a [u8]>,
}

/// What configuration decides about `environ`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CgiPolicy {
    /// `WSGIPassAuthorization On` (or the option of the alias): show `Authorization`.
    pub pass_authorization: bool,
    /// `CGIPassAuth On`: show `Authorization` and `Proxy-Authorization`.
    pub cgi_pass_auth: bool,
    /// The result of [`head_is_get`](crate::wsgi::head_is_get).
    pub head_is_get: bool,
}

/// `wsgi.url_scheme`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlScheme {
    /// Plain.
    Http,
    /// The subprocess environment has `HTTPS` as `on` or `1`.
    Https,
}

impl UrlScheme {
    /// The text for `wsgi.url_scheme`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What the Python side needs beside the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Environ {
    /// `wsgi.url_scheme`.
    pub url_scheme: UrlScheme,
}

/// Appends every text entry of `environ` to `out`; where a key repeats, the last is the one that holds.
///
/// Values are bytes to be decoded as ISO-8859-1 (PEP 3333, "Unicode Issues"), except those of [`is_filesystem_key`]. What CGI has
/// and WSGI does not need (`GATEWAY_INTERFACE`, `PATH_TRANSLATED`, `SERVER_SIGNATURE`, `REMOTE_HOST`, library paths of the server) is
/// not made; if an administrator sets it, it stays, except `PATH`.
pub fn environ(facts: &RequestFacts<'_>, policy: CgiPolicy, out: &mut Pairs) -> Environ {
    let url_scheme = push_subprocess_env(facts.subprocess_env, out);
    facts.headers.for_each(&mut |name, value| push_header(name, value, policy, out));
    let path = split(facts.uri, facts.path_info, facts.included);
    push_server(facts, out);
    push_request(facts, policy, out);
    out.push(b"SCRIPT_NAME", &path.script_name);
    out.push(b"PATH_INFO", &path.path_info);
    push_own(facts, out);
    out.push(b"mod_wsgi.script_name", &path.script_name);
    out.push(b"mod_wsgi.path_info", &path.path_info);
    Environ { url_scheme }
}

/// Appends the environ of a dispatch script: what the application will find, but for what the script is asked for, and with `HTTPS`.
pub fn dispatch_environ(facts: &RequestFacts<'_>, policy: CgiPolicy, out: &mut Pairs) {
    environ(facts, policy, out);
    facts.subprocess_env.for_each(&mut |key, value| {
        if key.eq_ignore_ascii_case(b"HTTPS") {
            out.push_optional(b"HTTPS", value);
        }
    });
}

/// Has `HTTPS`, which only dispatch scripts see, say what a trusted proxy said of the scheme.
pub fn set_https(scheme: UrlScheme, out: &mut Pairs) {
    match scheme {
        UrlScheme::Https => out.push(b"HTTPS", b"1"),
        UrlScheme::Http => out.remove(|key| key == b"HTTPS"),
    }
}

/// What only scripts see that are asked about access.
#[derive(Debug, Clone, Copy, Default)]
pub struct AccessFacts<'a> {
    /// `ServerSignature` as httpd shows it; may be empty.
    pub server_signature: &'a [u8],
    /// The client's host name, where httpd knows it.
    pub remote_host: Option<&'a [u8]>,
}

/// Appends the environ of a script that decides about access: of what comes with the request and the connection, nothing that is
/// only found out later. `Authorization` is never shown; `Proxy` is as hidden as it is for applications.
pub fn access_environ(facts: &RequestFacts<'_>, access: AccessFacts<'_>, out: &mut Pairs) {
    facts.headers.for_each(&mut |name, value| push_header(name, value, CgiPolicy::default(), out));
    out.push(b"SERVER_SIGNATURE", access.server_signature);
    push_peers(facts, out);
    push_some(b"REMOTE_HOST", access.remote_host, out);
    out.push(b"DOCUMENT_ROOT", facts.document_root);
    push_line(facts, facts.method, out);
    let (script_name, path_info) = split_as_is(facts.uri, facts.path_info, facts.included);
    out.push(b"SCRIPT_NAME", script_name);
    out.push(b"PATH_INFO", path_info);
    out.push(b"mod_wsgi.process_group", facts.process_group);
    out.push(b"mod_wsgi.application_group", facts.application_group);
}

/// Whether this key's value is a path on this machine: decoded with the filesystem encoding, ISO-8859-1 if that fails.
#[must_use]
pub fn is_filesystem_key(key: &[u8]) -> bool {
    key == b"DOCUMENT_ROOT" || key == b"SCRIPT_FILENAME"
}

/// What room `application` puts into every environ, as objects: an application may rely on their types.
const CONSTANT: [&[u8]; 8] = [
    b"wsgi.version",
    b"wsgi.multithread",
    b"wsgi.multiprocess",
    b"wsgi.run_once",
    b"wsgi.input_terminated",
    b"wsgi.file_wrapper",
    b"mod_wsgi.version",
    b"apache.version",
];

/// Names are compared as httpd's tables do, without case, so that `SetEnv https on` counts.
fn push_subprocess_env(env: &dyn Entries, out: &mut Pairs) -> UrlScheme {
    let mut scheme = None;
    env.for_each(&mut |key, value| {
        if key.eq_ignore_ascii_case(b"HTTPS") {
            // A look-up in an httpd table finds the first of equal names.
            scheme.get_or_insert(if value.is_some_and(says_on) { UrlScheme::Https } else { UrlScheme::Http });
        } else if !key.eq_ignore_ascii_case(b"PATH") && !key.starts_with(b"mod_wsgi.x-") && !CONSTANT.contains(&key) {
            out.push_optional(key, value);
        }
    });
    scheme.unwrap_or(UrlScheme::Http)
}

fn says_on(value: &[u8]) -> bool {
    value == b"1" || value.eq_ignore_ascii_case(b"on")
}

/// RFC 3875 section 4.1.18: "The HTTP header field name is converted to upper case, has all occurrences of "-" replaced with "_" and
/// has "HTTP_" prepended to give the meta-variable name."
///
/// A name with another character than letters, digits and `-` is hidden: `X_User` would become the same variable as `X-User`.
/// `Proxy` is hidden because HTTP_PROXY configures the clients that an application uses (CVE-2016-5385 and others, "httpoxy").
fn push_header(name: &[u8], value: Option<&[u8]>, policy: CgiPolicy, out: &mut Pairs) {
    if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
        return;
    }
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    if is(b"Content-Type") {
        return out.push_optional(b"CONTENT_TYPE", value);
    }
    if is(b"Content-Length") {
        return out.push_optional(b"CONTENT_LENGTH", value);
    }
    let hidden = is(b"Proxy")
        || is(b"Authorization") && !(policy.pass_authorization || policy.cgi_pass_auth)
        || is(b"Proxy-Authorization") && !policy.cgi_pass_auth;
    if hidden {
        return;
    }
    let key = |key: &mut Appender<'_>| {
        key.bytes(b"HTTP_");
        key.each(name.iter().map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }));
    };
    match value {
        Some(value) => out.push_built(key, |out| out.bytes(value)),
        None => out.push_valueless(key),
    }
}

fn push_some(key: &[u8], value: Option<&[u8]>, out: &mut Pairs) {
    if let Some(value) = value {
        out.push(key, value);
    }
}

fn push_number(key: &[u8], number: impl Into<u64>, out: &mut Pairs) {
    out.push_built(|out| out.bytes(key), |out| out.number(number));
}

/// What describes server and connection.
fn push_server(facts: &RequestFacts<'_>, out: &mut Pairs) {
    out.push(b"REQUEST_SCHEME", facts.scheme);
    push_peers(facts, out);
    out.push(b"DOCUMENT_ROOT", facts.document_root);
    out.push(b"CONTEXT_PREFIX", facts.context_prefix);
    out.push(b"CONTEXT_DOCUMENT_ROOT", facts.context_document_root);
}

/// What describes both ends of the connection.
fn push_peers(facts: &RequestFacts<'_>, out: &mut Pairs) {
    out.push_built(|key| key.bytes(b"SERVER_NAME"), |value| escape_html(facts.server_name, value));
    push_number(b"SERVER_PORT", facts.server_port, out);
    out.push(b"SERVER_ADDR", facts.server_addr);
    out.push(b"REMOTE_ADDR", facts.remote_addr);
    push_number(b"REMOTE_PORT", facts.remote_port, out);
    out.push(b"SERVER_SOFTWARE", facts.server_software);
    push_some(b"SERVER_ADMIN", facts.server_admin, out);
}

/// What describes the request.
fn push_request(facts: &RequestFacts<'_>, policy: CgiPolicy, out: &mut Pairs) {
    out.push(b"SCRIPT_FILENAME", facts.filename);
    let previous = facts.previous.unwrap_or_default();
    match facts.user {
        Some(user) => out.push(b"REMOTE_USER", user),
        None => push_some(b"REDIRECT_REMOTE_USER", previous.user, out),
    }
    push_some(b"AUTH_TYPE", facts.auth_type, out);
    push_some(b"REDIRECT_URL", previous.url, out);
    push_some(b"REDIRECT_QUERY_STRING", previous.query, out);
    push_line(facts, if policy.head_is_get { b"GET" } else { facts.method }, out);
}

/// What the request line says.
fn push_line(facts: &RequestFacts<'_>, method: &[u8], out: &mut Pairs) {
    out.push(b"SERVER_PROTOCOL", facts.protocol);
    out.push(b"REQUEST_METHOD", method);
    // PEP 3333, "environ Variables": QUERY_STRING "May be empty or absent." Applications of C mod_wsgi count on it.
    out.push(b"QUERY_STRING", facts.args.unwrap_or_default());
    out.push(b"REQUEST_URI", facts.request_uri);
}

/// Our own keys.
fn push_own(facts: &RequestFacts<'_>, out: &mut Pairs) {
    out.push(b"mod_wsgi.process_group", facts.process_group);
    out.push(b"mod_wsgi.application_group", facts.application_group);
    push_some(b"mod_wsgi.callable_object", facts.callable_object, out);
    out.push(b"mod_wsgi.request_handler", facts.handler);
    out.push(b"mod_wsgi.handler_script", facts.handler_script);
    out.push(b"mod_wsgi.listener_host", facts.listener_host);
    push_number(b"mod_wsgi.listener_port", facts.listener_port, out);
    push_number(b"mod_wsgi.server_pid", facts.server_pid, out);
    push_some(b"mod_wsgi.request_id", facts.request_id, out);
    push_some(b"mod_wsgi.connection_id", facts.connection_id, out);
}

/// httpd escapes SERVER_NAME for HTML because it may be the client's Host header, and so do we.
fn escape_html(text: &[u8], out: &mut Appender<'_>) {
    for piece in text.split_inclusive(|byte| matches!(byte, b'<' | b'>' | b'&' | b'"')) {
        let (plain, entity): (&[u8], &[u8]) = match piece {
            [plain @ .., b'<'] => (plain, b"&lt;"),
            [plain @ .., b'>'] => (plain, b"&gt;"),
            [plain @ .., b'&'] => (plain, b"&amp;"),
            [plain @ .., b'"'] => (plain, b"&quot;"),
            plain => (plain, b""),
        };
        out.bytes(plain);
        out.bytes(entity);
    }
}

#[cfg(test)]
mod tests;
