//! Early hints: headers of a response that is still being made, sent ahead of it (RFC 8297, status 103).
//!
//! Checked once where Python says them and once where a worker's reach httpd's child. httpd writes an interim response as it is given,
//! past the checks that it makes of a final head: so these are stricter than those of a `Head`.

use crate::wsgi::pairs::Pairs;
use crate::wsgi::quote::Quoted;

/// The most bytes of one interim response's headers, as HTTP/1 writes them: mod_http2 reads lines of up to 8 KiB, and so do many clients.
const MOST: usize = 8000;

/// Names that say how this very message ends, or speak of the connection. RFC 9110, section 8.6: "A server MUST NOT send a Content-Length
/// header field in any response with a status code of 1xx"; 6.1 of RFC 9112 says the same of Transfer-Encoding; 8.2.2 of RFC 9113 forbids
/// the others.
const REFUSED: [&str; 6] =
    ["content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade"];

/// Why a header is no early hint; a `ValueError` in Python.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HintError {
    /// RFC 9110, section 5.1: "field-name = token".
    #[error("the name {} of an early hint is not the name of a header", Quoted(.0))]
    Name(Box<[u8]>),
    /// It is about the message or the connection.
    #[error("the header {} can't be an early hint: it is about the response itself", Quoted(.0))]
    OfTheResponse(Box<[u8]>),
    /// RFC 9110, section 5.5: "field values containing CR, LF, or NUL characters are invalid and dangerous"; other control characters but
    /// the tab are invalid, too.
    #[error("value {} of the early hint {} has a control character in it", Quoted(.value), Quoted(.name))]
    Value { name: Box<[u8]>, value: Box<[u8]> },
    /// All of them together.
    #[error("early hints may have {MOST} bytes at a time; these have more")]
    TooLong,
}

/// Checked headers of one interim response.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Hints {
    headers: Pairs,
    length: usize,
}

impl Hints {
    /// Adds a header after checking it; order and repeats are kept.
    ///
    /// # Errors
    /// What is wrong with the header; the hints are unchanged.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), HintError> {
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(HintError::Name(name.into()));
        }
        if REFUSED.iter().any(|refused| name.eq_ignore_ascii_case(refused.as_bytes())) {
            return Err(HintError::OfTheResponse(name.into()));
        }
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(HintError::Value { name: name.into(), value: value.into() });
        }
        let length = self.length.saturating_add(name.len()).saturating_add(value.len()).saturating_add(": \r\n".len());
        if length > MOST {
            return Err(HintError::TooLong);
        }
        self.length = length;
        self.headers.push(name, value);
        Ok(())
    }

    /// All headers in the application's order.
    #[must_use]
    pub const fn headers(&self) -> &Pairs {
        &self.headers
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// RFC 9110, section 5.6.2: "any VCHAR, except delimiters".
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_keep_their_order_case_and_repeats() {
        let mut hints = Hints::default();
        assert!(hints.is_empty());
        for (name, value) in [("Link", "</a.css>; rel=preload"), ("X-Odd_1!", ""), ("link", "</b\t\u{e9}>")] {
            hints.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        let names: Vec<_> = hints.headers().iter().map(|(name, _)| name).collect();
        assert_eq!(names, [&b"Link"[..], b"X-Odd_1!", b"link"]);
        assert!(!hints.is_empty());
    }

    #[test]
    fn what_httpd_would_write_unchecked_is_refused_and_not_kept() {
        let mut hints = Hints::default();
        for (name, value, text) in [
            ("", "v", "the name \"\" of an early hint is not the name of a header"),
            ("X Y", "v", "the name \"X Y\" of an early hint is not the name of a header"),
            ("X:", "v", "the name \"X:\" of an early hint is not the name of a header"),
            ("X\r\nY", "v", "the name \"X\\r\\nY\" of an early hint is not the name of a header"),
            ("X\u{e9}", "v", "the name \"X\u{e9}\" of an early hint is not the name of a header"),
            (
                "Content-LENGTH",
                "5",
                "the header \"Content-LENGTH\" can't be an early hint: it is about the response itself",
            ),
            (
                "Transfer-Encoding",
                "chunked",
                "the header \"Transfer-Encoding\" can't be an early hint: it is about the response itself",
            ),
            ("Link", "a\r\nX: y", "value \"a\\r\\nX: y\" of the early hint \"Link\" has a control character in it"),
            ("Link", "a\0", "value \"a\\u{0}\" of the early hint \"Link\" has a control character in it"),
            ("Link", "\x7f", "value \"\\u{7f}\" of the early hint \"Link\" has a control character in it"),
        ] {
            assert_eq!(hints.push(name.as_bytes(), value.as_bytes()).unwrap_err().to_string(), text);
        }
        assert!(hints.is_empty() && hints.headers().iter().next().is_none());
    }

    #[test]
    fn hints_have_a_limit_together() {
        let mut hints = Hints::default();
        let half = vec![b'x'; MOST / 2 - 5];
        hints.push(b"A", &half).unwrap();
        assert_eq!(hints.push(b"A", &[&half[..], b"x"].concat()), Err(HintError::TooLong));
        hints.push(b"A", &half).unwrap();
        assert_eq!(hints.push(b"A", b""), Err(HintError::TooLong));
        assert_eq!(hints.headers().iter().count(), 2);
    }
}
