//! Keeps a response to the Content-Length it declares, and says when one can be computed.
//!
//! Called by `application` while a body goes out, on the request's thread. A surplus is dropped as C mod_wsgi does; a shortfall is
//! reported so that the caller warns and aborts the connection, because a client must not take half a body for the whole.

use crate::wsgi::admission::byte_count;
use crate::wsgi::head::Head;
use crate::wsgi::quote::Quoted;

/// The application's Content-Length is not a length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header \"Content-Length\" has the value {}, which is not a number of bytes", Quoted(.value))]
pub struct LengthError {
    /// What the application sent.
    pub value: Box<[u8]>,
}

impl Head {
    /// The declared Content-Length in bytes; of several the last counts. Checked when the head is sent, not in `start_response`,
    /// as in C mod_wsgi.
    ///
    /// # Errors
    /// The value is not a non-negative integer. Spaces and tabs around it are allowed (RFC 9110 section 5.5 excludes them from a
    /// field value); a sign, which C mod_wsgi accepts, is not.
    pub(super) fn content_length(&self) -> Result<Option<u64>, LengthError> {
        let Some(value) = self.header(b"content-length") else { return Ok(None) };
        match byte_count(trim_blanks(value)) {
            Some(length) => Ok(Some(length)),
            None => Err(LengthError { value: value.into() }),
        }
    }
}

fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether a response with this status to this method has content at all; `method` is the client's, not what the application saw.
///
/// RFC 9110 section 6.4.1: "Responses to the HEAD request method (Section 9.3.2) never include content"; "2xx (Successful) responses
/// to a CONNECT request method (Section 9.3.6) switch the connection to tunnel mode instead of having content"; "All 1xx
/// (Informational), 204 (No Content), and 304 (Not Modified) responses do not include content."
pub(super) fn may_have_content(method: &[u8], code: u16) -> bool {
    let tunnel = method == b"CONNECT" && (200..300).contains(&code);
    method != b"HEAD" && !tunnel && !matches!(code, 100..=199 | 204 | 304)
}

/// The Content-Length to add to a response that declares none, or `None` to leave it out.
///
/// `total` is the sum of all pieces when they are known before the head is sent: the result is a list or tuple (not a subclass,
/// whose iteration may differ from its items), each item is bytes, and `write()` was not called. `method` is the one in
/// `environ`: a HEAD that the application saw as GET has GET's length, one it saw as HEAD may have left the body out.
///
/// PEP 3333, "Handling the Content-Length Header": "If the application does not call the write() callable, and returns an iterable
/// whose len() is 1, then the server can automatically determine Content-Length by taking the length of the first bytestring
/// yielded by the iterable."
pub(super) fn computed_length(method: &[u8], head: &Head, total: Option<u64>) -> Option<u64> {
    // RFC 9110 section 8.6: "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx
    // (Informational) or 204 (No Content)"; RFC 9112 section 6.2: "A sender MUST NOT send a Content-Length header field in any
    // message that contains a Transfer-Encoding header field."
    let refused = head.header(b"content-length").is_some()
        || head.header(b"transfer-encoding").is_some()
        || !may_have_content(method, head.code());
    if refused { None } else { total }
}

/// Counts a body against its declared length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LengthGuard {
    declared: Option<u64>,
    content: bool,
    sent: u64,
    dropped: u64,
}

/// How a body compares with its declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// All there, or nothing was declared, or the response has no content.
    Complete,
    /// So many bytes are missing: warn, and abort the connection.
    Short(u64),
}

impl LengthGuard {
    /// Starts counting. `declared` is the Content-Length that goes out, if any; `content` is [`may_have_content`]: without content
    /// no body is expected whatever is declared.
    pub(super) const fn new(declared: Option<u64>, content: bool) -> Self {
        Self { declared, content, sent: 0, dropped: 0 }
    }

    /// How many bytes of the next piece, from its start, may go out; the rest is dropped.
    ///
    /// PEP 3333, "Handling the Content-Length Header": "the server should not transmit more bytes to the client than the header
    /// allows".
    #[must_use = "the bytes beyond the answer must not go out"]
    pub(super) fn allow(&mut self, piece: usize) -> usize {
        let allowed = match self.left() {
            // More left than usize can say means that all of the piece fits.
            Some(left) => usize::try_from(left).map_or(piece, |left| left.min(piece)),
            None => piece,
        };
        self.sent = self.sent.saturating_add(u64::try_from(allowed).unwrap_or(u64::MAX));
        self.dropped = self.dropped.saturating_add(u64::try_from(piece - allowed).unwrap_or(u64::MAX));
        allowed
    }

    /// How many bytes may still go out; `None` when nothing was declared.
    fn left(&self) -> Option<u64> {
        self.declared.map(|declared| declared.saturating_sub(self.sent))
    }

    /// How many bytes have been dropped so far.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Judges the body when the application has given its last piece.
    ///
    /// PEP 3333, "Handling the Content-Length Header": "if the application does not provide enough data to meet its stated
    /// Content-Length, the server should close the connection and log or otherwise report the error."
    pub(super) fn end(&self) -> Ending {
        match self.left() {
            Some(missing) if missing > 0 && self.content => Ending::Short(missing),
            _ => Ending::Complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: &str, headers: &[(&str, &str)]) -> Head {
        let mut head = Head::new(status.as_bytes()).unwrap();
        for (name, value) in headers {
            head.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        head
    }

    #[test]
    fn the_last_content_length_counts() {
        assert_eq!(head("200 OK", &[]).content_length(), Ok(None));
        assert_eq!(head("200 OK", &[("Content-Length", "3"), ("content-length", "5")]).content_length(), Ok(Some(5)));
        assert_eq!(head("200 OK", &[("CONTENT-LENGTH", " \t5 ")]).content_length(), Ok(Some(5)));
        assert_eq!(head("200 OK", &[("Content-Length", "x"), ("Content-Length", "0")]).content_length(), Ok(Some(0)));
    }

    #[test]
    fn a_content_length_that_is_no_length_is_refused_by_name() {
        for value in ["", " ", "-5", "+5", "0x5", "5x", "5,5", "5 5", "9223372036854775808"] {
            let text = head("200 OK", &[("Content-Length", value)]).content_length().unwrap_err().to_string();
            assert!(text.contains("Content-Length") && text.contains(value.trim()), "{text}");
        }
    }

    #[test]
    fn a_surplus_is_dropped() {
        let mut guard = LengthGuard::new(Some(5), true);
        assert_eq!([guard.allow(3), guard.allow(3), guard.allow(3)], [3, 2, 0]);
        assert_eq!((guard.dropped(), guard.left(), guard.end()), (4, Some(0), Ending::Complete));
    }

    #[test]
    fn a_shortfall_is_reported() {
        let mut guard = LengthGuard::new(Some(5), true);
        assert_eq!([guard.allow(0), guard.allow(2)], [0, 2]);
        assert_eq!(guard.end(), Ending::Short(3));
        assert_eq!(LengthGuard::new(Some(1), true).end(), Ending::Short(1));
        assert_eq!(LengthGuard::new(Some(0), true).end(), Ending::Complete);
    }

    #[test]
    fn without_a_declaration_all_goes_out() {
        let mut guard = LengthGuard::new(None, true);
        assert_eq!([guard.allow(usize::MAX), guard.allow(usize::MAX)], [usize::MAX; 2]);
        assert_eq!((guard.left(), guard.end()), (None, Ending::Complete));
    }

    #[test]
    fn an_answer_without_content_is_never_short() {
        assert_eq!(LengthGuard::new(Some(5), may_have_content(b"HEAD", 200)).end(), Ending::Complete);
        assert_eq!(LengthGuard::new(Some(5), may_have_content(b"GET", 304)).end(), Ending::Complete);
        assert_eq!(LengthGuard::new(Some(5), may_have_content(b"GET", 200)).end(), Ending::Short(5));
    }

    #[test]
    fn huge_declarations_do_not_overflow() {
        let mut guard = LengthGuard::new(Some(u64::MAX), true);
        assert_eq!(guard.allow(usize::MAX), usize::MAX);
        assert_eq!(guard.allow(usize::MAX), 0);
        assert_eq!(guard.end(), Ending::Complete);
    }

    #[test]
    fn a_length_is_computed_only_where_it_is_true_and_allowed() {
        let cases = [
            ("GET", "200 OK", None, Some(7), Some(7)),
            ("GET", "200 OK", None, Some(0), Some(0)),
            ("GET", "200 OK", None, None, None),
            ("POST", "500 Oops", None, Some(7), Some(7)),
            ("HEAD", "200 OK", None, Some(7), None),
            ("GET", "204 No Content", None, Some(0), None),
            ("GET", "304 Not Modified", None, Some(0), None),
            ("GET", "100 Continue", None, Some(0), None),
            ("GET", "199 X", None, Some(0), None),
            ("GET", "205 Reset Content", None, Some(0), Some(0)),
            ("CONNECT", "200 OK", None, Some(7), None),
            ("CONNECT", "404 Not Found", None, Some(7), Some(7)),
            ("GET", "200 OK", Some(("content-LENGTH", "9")), Some(7), None),
            ("GET", "200 OK", Some(("Transfer-Encoding", "chunked")), Some(7), None),
        ];
        for (method, status, header, total, computed) in cases {
            let head = head(status, header.as_slice());
            assert_eq!(computed_length(method.as_bytes(), &head, total), computed, "{method} {status} {header:?}");
        }
    }
}
