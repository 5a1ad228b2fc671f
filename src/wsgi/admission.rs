//! Which requests reach a WSGI script, and what the others are told.
//!
//! Called once per request in the httpd child, before any Python. The order of the checks is part of the behaviour: the first that
//! fails decides status and message. Message numbers are those of C mod_wsgi 6, so that operators' filters go on working.

use crate::wsgi::quote::Quoted;

/// What kind of handler runs the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandlerKind {
    /// The mapped file is the script (`wsgi-script`, `application/x-httpd-wsgi`).
    Script,
    /// A script registered by `WSGIHandlerScript`; the mapped file is only a resource and need not exist.
    HandlerScript,
}

/// What httpd's directory walk found at the file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Nothing, or nothing that httpd may see.
    Missing,
    /// A directory.
    Directory,
    /// Anything else.
    File,
}

/// The facts the checks need.
#[derive(Debug, Clone, Copy)]
pub struct Admission<'a> {
    /// Which checks of the file apply.
    pub handler: HandlerKind,
    /// `Options ExecCGI` is on here.
    pub exec_cgi: bool,
    /// `WSGIScriptAlias` or `WSGIScriptAliasMatch` mapped this request.
    pub mapped_by_alias: bool,
    /// What the file name leads to.
    pub file: FileKind,
    /// The mapped file, for messages.
    pub filename: &'a [u8],
    /// False only for `AcceptPathInfo Off`.
    pub accept_path_info: bool,
    /// httpd's path info; empty when there is none.
    pub path_info: &'a [u8],
    /// Request header `Transfer-Encoding`.
    pub transfer_encoding: Option<&'a [u8]>,
    /// Request header `Content-Length`.
    pub content_length: Option<&'a [u8]>,
    /// `WSGIChunkedRequest On`.
    pub chunked_request: bool,
    /// `LimitRequestBody` in bytes; 0 is no limit.
    pub limit_request_body: u64,
}

/// What body an admitted request declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// None.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunked, length unknown; httpd's input filter enforces `LimitRequestBody` while it is read.
    Chunked,
}

/// Why a request is not admitted. The text is for the error log; [`Refusal::status`] is for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal<'a> {
    /// Check 1.
    #[error(
        "script {} may not run here; add \"Options +ExecCGI\" to its <Directory> section or map it with WSGIScriptAlias",
        Quoted(filename)
    )]
    ExecCgiOff { filename: &'a [u8] },
    /// Check 2.
    #[error(
        "script {} does not exist or httpd's user cannot see it; check the path in WSGIScriptAlias and the directories above it",
        Quoted(filename)
    )]
    Missing { filename: &'a [u8] },
    /// Check 3.
    #[error(
        "{} is a directory, not a script; name a file in WSGIScriptAlias, or end both its arguments with \"/\"",
        Quoted(filename)
    )]
    Directory { filename: &'a [u8] },
    /// Check 4.
    #[error(
        "script {} gets the extra path {} but AcceptPathInfo is Off here; set AcceptPathInfo On to pass it",
        Quoted(filename),
        Quoted(path_info)
    )]
    PathInfo { filename: &'a [u8], path_info: &'a [u8] },
    /// Check 5.
    #[error(
        "request for {} has Transfer-Encoding {}, only \"chunked\" can be decoded",
        Quoted(filename),
        Quoted(transfer_encoding)
    )]
    TransferEncoding { filename: &'a [u8], transfer_encoding: &'a [u8] },
    /// Check 6.
    #[error(
        "request for {} has a chunked body of unknown length; set WSGIChunkedRequest On to accept such requests",
        Quoted(filename)
    )]
    ChunkedOff { filename: &'a [u8] },
    /// Check 7.
    #[error(
        "request for {} has both Transfer-Encoding chunked and Content-Length {}, which may hide a second request",
        Quoted(filename),
        Quoted(content_length)
    )]
    TwoLengths { filename: &'a [u8], content_length: &'a [u8] },
    /// Check 8.
    #[error(
        "request for {} has Content-Length {}, which is not a number of bytes",
        Quoted(filename),
        Quoted(content_length)
    )]
    ContentLength { filename: &'a [u8], content_length: &'a [u8] },
    /// Check 9.
    #[error(
        "request for {} has a body of {length} bytes, more than the {limit} of LimitRequestBody; raise it for this location",
        Quoted(filename)
    )]
    TooLarge { filename: &'a [u8], length: u64, limit: u64 },
}

impl Refusal<'_> {
    /// The HTTP status of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::ExecCgiOff { .. } | Self::Directory { .. } => 403,
            Self::Missing { .. } | Self::PathInfo { .. } => 404,
            Self::TransferEncoding { .. } => 501,
            Self::ChunkedOff { .. } => 411,
            Self::TwoLengths { .. } | Self::ContentLength { .. } => 400,
            Self::TooLarge { .. } => 413,
        }
    }

    /// Whether it is the body that is refused, and not the request.
    #[must_use]
    pub const fn is_of_the_body(&self) -> bool {
        !matches!(self.status(), 403 | 404)
    }

    /// The number of the message (134 is `WSGI0134`); `None` where C mod_wsgi leaves the message to httpd.
    #[must_use]
    pub const fn number(&self) -> Option<u16> {
        match self {
            Self::ExecCgiOff { .. } => Some(134),
            Self::Missing { .. } => Some(135),
            Self::Directory { .. } => Some(136),
            Self::PathInfo { .. } => Some(137),
            Self::TransferEncoding { .. } => Some(138),
            Self::ChunkedOff { .. } => Some(139),
            Self::TwoLengths { .. } => Some(140),
            Self::ContentLength { .. } => Some(141),
            Self::TooLarge { .. } => None,
        }
    }
}

/// Decides whether the request may run, and what body it has.
///
/// # Errors
/// The first check that fails.
pub fn admit<'a>(facts: &Admission<'a>) -> Result<Body, Refusal<'a>> {
    let filename = facts.filename;
    if facts.handler == HandlerKind::Script {
        if !facts.exec_cgi && !facts.mapped_by_alias {
            return Err(Refusal::ExecCgiOff { filename });
        }
        match facts.file {
            FileKind::Missing => return Err(Refusal::Missing { filename }),
            FileKind::Directory => return Err(Refusal::Directory { filename }),
            FileKind::File => {}
        }
    }
    if !facts.accept_path_info && !facts.path_info.is_empty() {
        return Err(Refusal::PathInfo { filename, path_info: facts.path_info });
    }
    body(facts)
}

fn body<'a>(facts: &Admission<'a>) -> Result<Body, Refusal<'a>> {
    let filename = facts.filename;
    if let Some(transfer_encoding) = facts.transfer_encoding {
        if !transfer_encoding.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::TransferEncoding { filename, transfer_encoding });
        }
        if !facts.chunked_request {
            return Err(Refusal::ChunkedOff { filename });
        }
        // RFC 9112 section 6.1: "A server MAY reject a request that contains both Content-Length and Transfer-Encoding". httpd drops
        // the length of such a request, so seeing both means that something between rewrote the headers.
        return match facts.content_length {
            Some(content_length) => Err(Refusal::TwoLengths { filename, content_length }),
            None => Ok(Body::Chunked),
        };
    }
    let Some(content_length) = facts.content_length else { return Ok(Body::None) };
    let Some(length) = byte_count(content_length) else {
        return Err(Refusal::ContentLength { filename, content_length });
    };
    if facts.limit_request_body != 0 && length > facts.limit_request_body {
        return Err(Refusal::TooLarge { filename, length, limit: facts.limit_request_body });
    }
    Ok(Body::Length(length))
}

/// Reads a Content-Length: digits only, within httpd's signed 64 bit offsets.
///
/// RFC 9110 section 8.6: "Content-Length = 1*DIGIT".
pub(in crate::wsgi) fn byte_count(text: &[u8]) -> Option<u64> {
    const LARGEST: u64 = i64::MAX.unsigned_abs();
    if text.is_empty() {
        return None;
    }
    let mut count: u64 = 0;
    for byte in text {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        count = count.checked_mul(10)?.checked_add(digit)?;
    }
    (count <= LARGEST).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Admission<'static> = Admission {
        handler: HandlerKind::Script,
        exec_cgi: true,
        mapped_by_alias: false,
        file: FileKind::File,
        filename: b"/srv/app.wsgi",
        accept_path_info: true,
        path_info: b"/x",
        transfer_encoding: None,
        content_length: None,
        chunked_request: false,
        limit_request_body: 0,
    };

    #[track_caller]
    fn refused(facts: Admission<'_>, status: u16, number: Option<u16>, words: &[&str]) {
        let refusal = admit(&facts).unwrap_err();
        assert_eq!((refusal.status(), refusal.number()), (status, number));
        let text = refusal.to_string();
        for word in words {
            assert!(text.contains(word), "{text:?} lacks {word:?}");
        }
        assert!(!text.contains('\n'));
    }

    #[test]
    fn each_check_has_its_status_and_number() {
        refused(
            Admission { exec_cgi: false, ..FINE },
            403,
            Some(134),
            &["/srv/app.wsgi", "ExecCGI", "WSGIScriptAlias"],
        );
        refused(Admission { file: FileKind::Missing, ..FINE }, 404, Some(135), &["/srv/app.wsgi", "does not exist"]);
        refused(Admission { file: FileKind::Directory, ..FINE }, 403, Some(136), &["/srv/app.wsgi", "directory"]);
        refused(Admission { accept_path_info: false, ..FINE }, 404, Some(137), &["AcceptPathInfo", "\"/x\""]);
        refused(
            Admission { transfer_encoding: Some(b"gzip"), ..FINE },
            501,
            Some(138),
            &["Transfer-Encoding \"gzip\""],
        );
        refused(Admission { transfer_encoding: Some(b"chunked"), ..FINE }, 411, Some(139), &["WSGIChunkedRequest On"]);
        refused(Admission { content_length: Some(b"-1"), ..FINE }, 400, Some(141), &["Content-Length \"-1\""]);
        refused(
            Admission { content_length: Some(b"11"), limit_request_body: 10, ..FINE },
            413,
            None,
            &["LimitRequestBody", "11", "10"],
        );
    }

    #[test]
    fn chunked_together_with_a_length_is_refused() {
        let both = Admission {
            transfer_encoding: Some(b"chunked"),
            content_length: Some(b"5"),
            chunked_request: true,
            ..FINE
        };
        refused(both, 400, Some(140), &["Transfer-Encoding", "Content-Length \"5\""]);
    }

    #[test]
    fn an_alias_needs_no_exec_cgi() {
        assert_eq!(admit(&Admission { exec_cgi: false, mapped_by_alias: true, ..FINE }), Ok(Body::None));
    }

    #[test]
    fn a_handler_script_needs_no_file_but_the_other_checks_hold() {
        let handler =
            Admission { handler: HandlerKind::HandlerScript, exec_cgi: false, file: FileKind::Missing, ..FINE };
        assert_eq!(admit(&handler), Ok(Body::None));
        assert_eq!(admit(&Admission { file: FileKind::Directory, ..handler }), Ok(Body::None));
        refused(Admission { accept_path_info: false, ..handler }, 404, Some(137), &[]);
        refused(Admission { content_length: Some(b"x"), ..handler }, 400, Some(141), &[]);
    }

    #[test]
    fn the_first_failing_check_decides() {
        let all_wrong = Admission {
            exec_cgi: false,
            file: FileKind::Missing,
            accept_path_info: false,
            transfer_encoding: Some(b"x"),
            content_length: Some(b"x"),
            ..FINE
        };
        refused(all_wrong, 403, Some(134), &[]);
        refused(Admission { exec_cgi: true, ..all_wrong }, 404, Some(135), &[]);
        refused(Admission { exec_cgi: true, file: FileKind::File, ..all_wrong }, 404, Some(137), &[]);
    }

    #[test]
    fn path_info_off_refuses_only_a_path() {
        assert_eq!(admit(&Admission { accept_path_info: false, path_info: b"", ..FINE }), Ok(Body::None));
    }

    #[test]
    fn bodies_are_recognised() {
        let chunked = Admission { chunked_request: true, ..FINE };
        for coding in [&b"chunked"[..], b"Chunked", b"CHUNKED"] {
            assert_eq!(admit(&Admission { transfer_encoding: Some(coding), ..chunked }), Ok(Body::Chunked));
        }
        for coding in [&b"gzip, chunked"[..], b"chunked ", b"", b"identity", b"chunked, chunked"] {
            refused(Admission { transfer_encoding: Some(coding), ..chunked }, 501, Some(138), &[]);
        }
        assert_eq!(admit(&Admission { content_length: Some(b"0"), ..FINE }), Ok(Body::Length(0)));
        assert_eq!(
            admit(&Admission { content_length: Some(b"10"), limit_request_body: 10, ..FINE }),
            Ok(Body::Length(10))
        );
    }

    #[test]
    fn hostile_content_lengths_are_refused() {
        for length in [
            &b""[..],
            b" ",
            b"+5",
            b" 5",
            b"5 ",
            b"5,5",
            b"0x5",
            b"5.0",
            b"1e3",
            b"5\0",
            b"\xb2",
            b"9223372036854775808",
            b"18446744073709551616",
            b"99999999999999999999999999",
        ] {
            refused(Admission { content_length: Some(length), ..FINE }, 400, Some(141), &[]);
        }
        assert_eq!(byte_count(b"9223372036854775807"), Some(i64::MAX.unsigned_abs()));
        assert_eq!(byte_count(b"0000000000000000000000000000007"), Some(7));
    }

    #[test]
    fn a_message_cannot_be_broken_by_the_client() {
        let text = admit(&Admission { content_length: Some(b"1\r\n[error] forged"), ..FINE }).unwrap_err().to_string();
        assert!(text.contains("\\r\\n[error] forged"));
    }
}
