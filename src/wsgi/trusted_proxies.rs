//! What the headers of a trusted proxy change in `environ`, and which of them the application gets to see.
//!
//! Called in the httpd child where `WSGITrustedProxyHeaders` is set, when all else of `environ` is there. A proxy that appends
//! writes the address of its own peer at the right end of `X-Forwarded-For`, so the list is believed from the right, as far as
//! those who wrote it are trusted: what stands further left may be the client's invention.

use std::net::{IpAddr, Ipv6Addr};

use crate::wsgi::environ::UrlScheme;
use crate::wsgi::pairs::Pairs;

/// What is believed, as configured.
#[derive(Clone, Copy)]
pub struct TrustedProxies<'a> {
    /// Names of headers, in the order in which they are looked at. What is no name of [`knows_proxy_header`] is passed over.
    pub headers: &'a [&'a str],
    /// Whether a proxy with this address is believed; none: everybody is.
    pub proxies: Option<&'a dyn Fn(IpAddr) -> bool>,
}

/// What a header speaks of. Headers of one subject compete: the last one that is configured and there is the winner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Client,
    Host,
    Server,
    Port,
    ScriptName,
    Scheme,
}

/// How a header's value is used.
#[derive(Clone, Copy)]
enum Meaning {
    /// A list of addresses, the farthest first.
    Addresses,
    /// The value becomes the value of this key.
    Value(&'static str),
    ScriptName,
    /// `http` or `https`.
    SchemeName,
    /// Whether it is `https`.
    Https,
}

struct Header {
    name: &'static str,
    /// As a key of environ.
    key: &'static str,
    subject: Subject,
    meaning: Meaning,
}

const fn header(name: &'static str, key: &'static str, subject: Subject, meaning: Meaning) -> Header {
    Header { name, key, subject, meaning }
}

const FORWARDED_FOR: &str = "HTTP_X_FORWARDED_FOR";

static HEADERS: [Header; 15] = [
    header("X-Forwarded-For", FORWARDED_FOR, Subject::Client, Meaning::Addresses),
    header("X-Client-IP", "HTTP_X_CLIENT_IP", Subject::Client, Meaning::Value("REMOTE_ADDR")),
    header("X-Real-IP", "HTTP_X_REAL_IP", Subject::Client, Meaning::Value("REMOTE_ADDR")),
    header("X-Forwarded-Host", "HTTP_X_FORWARDED_HOST", Subject::Host, Meaning::Value("HTTP_HOST")),
    header("X-Host", "HTTP_X_HOST", Subject::Host, Meaning::Value("HTTP_HOST")),
    header("X-Forwarded-Server", "HTTP_X_FORWARDED_SERVER", Subject::Server, Meaning::Value("SERVER_NAME")),
    header("X-Forwarded-Port", "HTTP_X_FORWARDED_PORT", Subject::Port, Meaning::Value("SERVER_PORT")),
    header("X-Script-Name", "HTTP_X_SCRIPT_NAME", Subject::ScriptName, Meaning::ScriptName),
    header("X-Forwarded-Script-Name", "HTTP_X_FORWARDED_SCRIPT_NAME", Subject::ScriptName, Meaning::ScriptName),
    header("X-Forwarded-Proto", "HTTP_X_FORWARDED_PROTO", Subject::Scheme, Meaning::SchemeName),
    header("X-Forwarded-Scheme", "HTTP_X_FORWARDED_SCHEME", Subject::Scheme, Meaning::SchemeName),
    header("X-Scheme", "HTTP_X_SCHEME", Subject::Scheme, Meaning::SchemeName),
    header("X-Forwarded-HTTPS", "HTTP_X_FORWARDED_HTTPS", Subject::Scheme, Meaning::Https),
    header("X-Forwarded-SSL", "HTTP_X_FORWARDED_SSL", Subject::Scheme, Meaning::Https),
    header("X-HTTPS", "HTTP_X_HTTPS", Subject::Scheme, Meaning::Https),
];

fn named(name: &str) -> Option<&'static Header> {
    HEADERS.iter().find(|header| header.name.eq_ignore_ascii_case(name))
}

/// Whether this header has a meaning here.
#[must_use]
pub fn knows_proxy_header(name: &str) -> bool {
    named(name).is_some()
}

/// Applies what a trusted peer says and removes what could be mistaken for it. Answers the scheme, where it says something of that.
pub fn trust_proxies(environ: &mut Pairs, trusted: &TrustedProxies<'_>) -> Option<UrlScheme> {
    let believed = match trusted.proxies {
        None => true,
        Some(holds) => environ.get(b"REMOTE_ADDR").and_then(address).is_some_and(holds),
    };
    let mut said = None;
    // For each configured subject the header that won.
    let mut subjects: Vec<(Subject, Option<&str>)> = Vec::new();
    for header in trusted.headers.iter().filter_map(|name| named(name)) {
        let mark = match subjects.iter().position(|(subject, _)| *subject == header.subject) {
            Some(mark) => mark,
            None => {
                subjects.push((header.subject, None));
                subjects.len() - 1
            }
        };
        let value = environ.get(header.key.as_bytes()).map(<[u8]>::to_vec).filter(|_| believed);
        if let (Some(value), Some((_, winner))) = (value, subjects.get_mut(mark)) {
            *winner = Some(header.key);
            apply(header.meaning, &value, environ, trusted, &mut said);
        }
    }
    let loses = |header: &Header| {
        let mark = subjects.iter().find(|(subject, _)| *subject == header.subject);
        mark.is_some_and(|(_, winner)| *winner != Some(header.key))
    };
    environ.remove(|key| {
        // A variable set in other letters is no header, but somebody may take it for one.
        HEADERS.iter().any(|header| key.eq_ignore_ascii_case(header.key.as_bytes()) && loses(header))
    });
    said
}

fn apply(
    meaning: Meaning,
    value: &[u8],
    environ: &mut Pairs,
    trusted: &TrustedProxies<'_>,
    said: &mut Option<UrlScheme>,
) {
    let is_one_of = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
    match meaning {
        Meaning::Value(key) => environ.push(key.as_bytes(), value),
        Meaning::ScriptName => {
            environ.push(b"SCRIPT_NAME", value);
            environ.push(b"mod_wsgi.mount_point", value);
        }
        Meaning::SchemeName if is_one_of(&["https"]) => *said = Some(UrlScheme::Https),
        Meaning::SchemeName if is_one_of(&["http"]) => *said = Some(UrlScheme::Http),
        Meaning::Https if is_one_of(&["on", "true", "1"]) => *said = Some(UrlScheme::Https),
        Meaning::Https if is_one_of(&["off", "false", "0"]) => *said = Some(UrlScheme::Http),
        Meaning::SchemeName | Meaning::Https => {}
        Meaning::Addresses => forwarded_for(value, environ, trusted.proxies),
    }
}

fn forwarded_for(value: &[u8], environ: &mut Pairs, proxies: Option<&dyn Fn(IpAddr) -> bool>) {
    let elements: Vec<&[u8]> =
        value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty()).collect();
    let Some(first) = elements.first() else { return };
    let Some(holds) = proxies else {
        return environ.push(b"REMOTE_ADDR", first);
    };
    let untrusted = elements.iter().rposition(|element| !address(element).is_some_and(holds));
    // Where all of them are proxies, the farthest speaks for itself.
    let known = elements.get(untrusted.unwrap_or(0)..).unwrap_or_default();
    environ.push(b"REMOTE_ADDR", known.first().copied().unwrap_or_default());
    environ.push(FORWARDED_FOR.as_bytes(), &known.join(&b", "[..]));
}

/// The address in a text, never by a look-up of a name: the text may be the client's. An IPv4 address written as IPv6 is the IPv4 one; the
/// zone of a link-local address does not count.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    match text.split_once('%') {
        None => text.parse().ok().map(|address: IpAddr| address.to_canonical()),
        Some((address, zone)) => {
            let address: Ipv6Addr = address.parse().ok()?;
            (address.is_unicast_link_local() && !zone.is_empty()).then_some(address.into())
        }
    }
}

#[cfg(test)]
mod tests;
