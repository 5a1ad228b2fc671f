//! Between what an application says and what httpd knows: the body of its request, the head of its response, the levels of its log
//! records.

use crate::apache::{BodyError, Level as LogLevel, Pieces, Request};
use crate::wsgi::{Head, Hints, InputError, Level};

/// Reads some of the request's body; 0 is its end, an empty buffer only asks for it. Blocks.
///
/// # Errors
/// What keeps the rest away, again at each later call; the connection is closed behind the answer.
pub(crate) fn read_body(request: &mut Request<'_>, buffer: &mut [u8]) -> Result<usize, InputError> {
    let read = request.read_body(buffer);
    read.map_err(|error| unread(request, error))
}

/// As [`read_body`], of at most so many bytes that stay where they are.
///
/// # Errors
/// As there.
pub(crate) fn lend_body<'r>(request: &mut Request<'r>, most: usize) -> Result<Pieces<'r>, InputError> {
    let read = request.lend_body(most);
    read.map_err(|error| unread(request, error))
}

fn unread(request: &mut Request<'_>, error: BodyError) -> InputError {
    // What is left of the body would be taken for the next request.
    request.close_connection();
    match error {
        BodyError::TooLarge => InputError::TooLarge,
        BodyError::Timeout => InputError::Timeout,
        BodyError::ClientGone => InputError::ClientGone,
        BodyError::Other { text, .. } => InputError::Failed(text),
    }
}

/// Sends early hints ahead of the response.
pub(crate) fn hint(request: &mut Request<'_>, hints: &Hints) {
    // Nothing of them holds a NUL.
    let _ = request.send_early_hints(hints.headers().iter());
}

/// Makes this head the request's. Nothing is sent by it.
pub(crate) fn put_head(request: &mut Request<'_>, head: &Head) {
    // Nothing of a `Head` holds a NUL.
    let _ = request.set_status(head.code(), Some(head.status_line()));
    for (name, value) in head.headers().iter() {
        let _ = if name.eq_ignore_ascii_case(b"content-type") {
            request.set_content_type(value)
        } else if name.eq_ignore_ascii_case(b"content-length") {
            request.headers_out_mut().set(name, value)
        } else if name.eq_ignore_ascii_case(b"www-authenticate") {
            // Kept where an error document replaces the response.
            request.err_headers_out_mut().add(name, value)
        } else {
            request.headers_out_mut().add(name, value)
        };
    }
}

/// httpd's name for a level.
pub(crate) fn log_level(level: Level) -> LogLevel {
    match level {
        Level::Crit => LogLevel::Crit,
        Level::Error => LogLevel::Err,
        Level::Warn => LogLevel::Warning,
        Level::Notice => LogLevel::Notice,
        Level::Info => LogLevel::Info,
        Level::Debug => LogLevel::Debug,
        Level::Trace1 => LogLevel::Trace1,
    }
}
