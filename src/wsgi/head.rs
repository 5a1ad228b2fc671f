//! The head of a response: what `start_response` may be given, and what is kept of it.
//!
//! Called by `application` inside `start_response`, on the request's thread, with the strings already encoded as ISO-8859-1. A new
//! head is built apart and replaces the old one only when all of it is right. Hop-by-hop headers and the range of the status are
//! not checked, as in C mod_wsgi: applications rely on it, and httpd has the last word on both.

use crate::wsgi::pairs::Pairs;
use crate::wsgi::quote::Quoted;

/// Why a status is refused; a `ValueError` in Python.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// It does not start with a code.
    #[error("status {} does not start with exactly three digits", Quoted(.0))]
    Code(Box<[u8]>),
    /// The code runs into the reason.
    #[error("status {} has no space after its code", Quoted(.0))]
    Space(Box<[u8]>),
    /// The reason would break the status line.
    #[error("status {} has a control character in its reason", Quoted(.0))]
    Control(Box<[u8]>),
}

/// Why a header is refused; a `ValueError` in Python.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// No name.
    #[error("header name is empty (its value is {})", Quoted(.value))]
    EmptyName { value: Box<[u8]> },
    /// A space in the name.
    #[error("header name {} has a space in it", Quoted(.name))]
    SpaceInName { name: Box<[u8]> },
    /// A control character in the name.
    #[error("header name {} has a control character in it", Quoted(.name))]
    ControlInName { name: Box<[u8]> },
    /// The value would end the header and begin another, or be cut off.
    #[error("value {} of header {} has a carriage return, line feed or NUL in it", Quoted(.value), Quoted(.name))]
    BreakInValue { name: Box<[u8]>, value: Box<[u8]> },
}

/// A checked status and checked headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    code: u16,
    status_line: Vec<u8>,
    headers: Pairs,
}

impl Head {
    /// A head with this status and no headers yet.
    ///
    /// Three digits alone are enough, and the reason may be empty: C mod_wsgi accepts `"200"` and `"200 "`.
    ///
    /// # Errors
    /// What is wrong with the status.
    pub fn new(status: &[u8]) -> Result<Self, StatusError> {
        let code = check_status(status)?;
        // Typical heads have a handful of short headers.
        Ok(Self { code, status_line: status.to_vec(), headers: Pairs::with_capacity(8, 256) })
    }

    /// Adds a header after checking it; order and repeats are kept.
    ///
    /// # Errors
    /// What is wrong with the header; the head is unchanged.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        check_name(name, value)?;
        check_value(name, value)?;
        self.headers.push(name, value);
        Ok(())
    }

    /// The status code, 0 to 999.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The status as the application gave it: the code and, if any, a space and the reason.
    #[must_use]
    pub fn status_line(&self) -> &[u8] {
        &self.status_line
    }

    /// All headers in the application's order.
    #[must_use]
    pub const fn headers(&self) -> &Pairs {
        &self.headers
    }

    /// The value of the last header of this name, letter case ignored: what counts for `Content-Type` and `Content-Length`.
    #[must_use]
    pub fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.headers.get_ignore_case(name)
    }
}

/// PEP 3333, "The start_response() Callable": "it is a string consisting of a Status-Code and a Reason-Phrase, in that order and
/// separated by a single space, with no surrounding whitespace or other characters. ... The string must not contain control
/// characters, and must not be terminated with a carriage return, linefeed, or combination thereof."
fn check_status(status: &[u8]) -> Result<u16, StatusError> {
    let [hundreds @ b'0'..=b'9', tens @ b'0'..=b'9', units @ b'0'..=b'9', rest @ ..] = status else {
        return Err(StatusError::Code(status.into()));
    };
    match rest {
        [] => {}
        [b' ', reason @ ..] => {
            if reason.iter().any(u8::is_ascii_control) {
                return Err(StatusError::Control(status.into()));
            }
        }
        [b'0'..=b'9', ..] => return Err(StatusError::Code(status.into())),
        _ => return Err(StatusError::Space(status.into())),
    }
    let digit = |byte: &u8| u16::from(byte - b'0');
    Ok(digit(hundreds) * 100 + digit(tens) * 10 + digit(units))
}

/// PEP 3333, "The start_response() Callable": "Each header_name must be a valid HTTP header field-name (as defined by RFC 2616,
/// Section 4.2), without a trailing colon or other punctuation." Other separators are left to httpd, which answers 500 to them
/// under `HttpProtocolOptions Strict`.
fn check_name(name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
    if name.is_empty() {
        return Err(HeaderError::EmptyName { value: value.into() });
    }
    match name.iter().find(|byte| **byte == b' ' || byte.is_ascii_control()) {
        None => Ok(()),
        Some(b' ') => Err(HeaderError::SpaceInName { name: name.into() }),
        Some(_) => Err(HeaderError::ControlInName { name: name.into() }),
    }
}

/// PEP 3333, "The start_response() Callable": "Each header_value must not include any control characters, including carriage
/// returns or linefeeds, either embedded or at the end." Only the three that change the message are refused: C mod_wsgi lets the
/// others pass, and a tab is a legal part of a value (RFC 9110 section 5.5).
fn check_value(name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
    if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(HeaderError::BreakInValue { name: name.into(), value: value.into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_three_digits_and_an_optional_reason() {
        let cases: [(&[u8], u16); 9] = [
            (b"200 OK", 200),
            (b"200", 200),
            (b"200 ", 200),
            (b"200  OK", 200),
            (b"404 Not Found", 404),
            (b"999 Odd", 999),
            (b"100 Continue", 100),
            (b"000 X", 0),
            (b"200 caf\xe9 \x80", 200),
        ];
        for (status, code) in cases {
            let head = Head::new(status).unwrap();
            assert_eq!((head.code(), head.status_line()), (code, status));
        }
    }

    #[test]
    fn a_status_that_could_break_the_status_line_is_refused() {
        let code =
            ["", "2", "20", "20 OK", "2000 OK", "2000", " 200 OK", "OK", "+20 OK", "-20", "2 0 OK", "\u{0662}00 OK"];
        for status in code {
            assert_eq!(Head::new(status.as_bytes()), Err(StatusError::Code(status.as_bytes().into())), "{status:?}");
        }
        for status in ["200OK", "200\tOK", "200\0", "200\n", "200\u{a0}OK"] {
            assert_eq!(Head::new(status.as_bytes()), Err(StatusError::Space(status.as_bytes().into())), "{status:?}");
        }
        for status in ["200 OK\r\n", "200 OK\n", "200 a\tb", "200 a\x7fb", "200 a\x01", "200 OK\0tail", "200 \0"] {
            assert_eq!(Head::new(status.as_bytes()), Err(StatusError::Control(status.as_bytes().into())), "{status:?}");
        }
    }

    #[test]
    fn headers_keep_their_order_case_and_repeats() {
        let mut head = Head::new(b"200 OK").unwrap();
        for (name, value) in [("Set-Cookie", "a=1"), ("X", ""), ("set-cookie", "b=2"), ("X:Y(", " a\tb\x01\x7f\u{e9} ")]
        {
            head.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        let names: Vec<_> = head.headers().iter().map(|(name, _)| name).collect();
        assert_eq!(names, [&b"Set-Cookie"[..], b"X", b"set-cookie", b"X:Y("]);
        assert_eq!(head.header(b"SET-COOKIE"), Some(&b"b=2"[..]));
        assert_eq!(head.header(b"X:Y("), Some(" a\tb\x01\x7f\u{e9} ".as_bytes()));
    }

    #[test]
    fn hop_by_hop_headers_are_not_refused() {
        let mut head = Head::new(b"200 OK").unwrap();
        for name in ["Connection", "Transfer-Encoding", "Upgrade"] {
            assert_eq!(head.push(name.as_bytes(), b"x"), Ok(()));
        }
    }

    #[test]
    fn a_header_that_could_break_the_message_is_refused_and_not_kept() {
        let cases: [(&str, &str, &str); 12] = [
            ("", "v", "header name is empty (its value is \"v\")"),
            ("X Y", "v", "header name \"X Y\" has a space in it"),
            (" X", "v", "header name \" X\" has a space in it"),
            ("X\tY", "v", "header name \"X\\tY\" has a control character in it"),
            ("X\r\n", "v", "header name \"X\\r\\n\" has a control character in it"),
            ("X\x7f", "v", "header name \"X\\u{7f}\" has a control character in it"),
            ("X\0", "v", "header name \"X\\u{0}\" has a control character in it"),
            ("X", "a\nb", "value \"a\\nb\" of header \"X\" has a carriage return, line feed or NUL in it"),
            ("X", "a\rb", "value \"a\\rb\" of header \"X\" has a carriage return, line feed or NUL in it"),
            ("X", "a\r\n", "value \"a\\r\\n\" of header \"X\" has a carriage return, line feed or NUL in it"),
            ("X", "a\0b", "value \"a\\u{0}b\" of header \"X\" has a carriage return, line feed or NUL in it"),
            ("X", "\n", "value \"\\n\" of header \"X\" has a carriage return, line feed or NUL in it"),
        ];
        for (name, value, text) in cases {
            let mut head = Head::new(b"200 OK").unwrap();
            assert_eq!(head.push(name.as_bytes(), value.as_bytes()).unwrap_err().to_string(), text);
            assert_eq!(head.headers().iter().next(), None);
        }
    }

    #[test]
    fn messages_name_the_status() {
        assert_eq!(
            Head::new(b"20 OK").unwrap_err().to_string(),
            "status \"20 OK\" does not start with exactly three digits"
        );
        assert_eq!(Head::new(b"200OK").unwrap_err().to_string(), "status \"200OK\" has no space after its code");
        assert_eq!(
            Head::new(b"200 a\nb").unwrap_err().to_string(),
            "status \"200 a\\nb\" has a control character in its reason"
        );
    }
}
