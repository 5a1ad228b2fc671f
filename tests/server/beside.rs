//! Other modules in the same server: none of them loses what it does, nor takes anything from the applications.

// mod_cgi, mod_cgid, mod_proxy.
mod cgi;
// wsgi.early_hints.
mod early_hints;
// Filters: mod_deflate, mod_include, mod_ratelimit, mod_substitute.
mod filters;
// mod_http2.
mod http2;
// HTTP/1.0, ranges, conditions.
mod http1;
// ErrorDocument, mod_headers, mod_expires, mod_cache, mod_remoteip, mod_rewrite, mod_xsendfile.
mod pages;
// mod_php.
mod php;
// A client of HTTP/2 that may misbehave.
mod streams;
// mod_ssl.
mod tls;

use md5::{Digest as _, Md5};

/// Bytes that are not all alike.
fn bulk(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
