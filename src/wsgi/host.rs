//! What an application is served by, as a trait: the request's body, the way back to the client, the request's log.
//!
//! `embedded` implements it over a live httpd request, the daemon worker will over frames; tests use a scripted one.
//! Every call may block and is made without holding any interpreter, but see [`Host::gives_way`]. Calls come from one thread at a time.

use std::fs::File;

use super::{Head, Hints};

/// How serious a log record is; httpd's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Crit,
    Error,
    Warn,
    Notice,
    Info,
    Debug,
    Trace1,
}

/// Why the request's body can't be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The body is larger than `LimitRequestBody` allows (seen only while reading a chunked body).
    #[error("the request body is larger than LimitRequestBody allows")]
    TooLarge,
    /// The client sent nothing for httpd's `Timeout`, or slower than mod_reqtimeout asks for.
    #[error("the client did not send the request body in time")]
    Timeout,
    /// The client closed the connection before the body was complete.
    #[error("the client closed the connection before the request body was complete")]
    ClientGone,
    /// Anything else, in the server's words.
    #[error("the request body can't be read: {0}")]
    Failed(String),
}

/// The response can't be sent on: the client is gone, or the connection to it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client closed the connection before the response was complete")]
pub struct Gone;

/// What follows the bytes of one [`Host::send`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// More may come, at some time: what is there goes to the client now, or in a moment without a further call.
    Flush,
    /// The response is complete.
    End,
}

/// The server side of one request.
pub trait Host {
    /// Whether the calls other than `read` give the interpreter up by themselves before they wait, so that they may be made holding it.
    fn gives_way(&self) -> bool {
        false
    }

    /// Reads some of the body into `buffer`; 0 is the end. An empty buffer only asks for the body (`100 Continue`).
    ///
    /// # Errors
    /// [`InputError`]; the same error comes again for every later call.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, InputError>;

    /// Sends these ahead of the response, at once; not at all where the client can't take them, or is gone. Only before `head`.
    fn hint(&mut self, _hints: &Hints) {}

    /// Sets status and headers of the response, once, before the first `send`. Nothing is sent by it.
    fn head(&mut self, head: &Head);

    /// Sends body bytes (and the head before the first); an empty slice with [`Then::Flush`] sends the head alone.
    ///
    /// # Errors
    /// [`Gone`] where nobody listens any more.
    fn send(&mut self, data: &[u8], then: Then) -> Result<(), Gone>;

    /// Sends `length` bytes of a regular file from `offset`.
    ///
    /// # Errors
    /// [`Gone`] where nobody listens any more.
    fn send_file(&mut self, file: File, offset: u64, length: u64, then: Then) -> Result<(), Gone>;

    /// Gives the response up after its head went out: the client must see that it was cut off.
    fn abort(&mut self);

    /// The address of the server's own record of this request, for C code that knows it; none where it is not to be passed on.
    fn record(&self) -> Option<std::num::NonZero<usize>> {
        None
    }

    /// Whether the client speaks TLS to the server. Asked by scripts that decide about access.
    fn is_https(&mut self) -> bool {
        false
    }

    /// A variable of the server's TLS module. Asked by scripts that decide about access.
    fn ssl_variable(&mut self, _name: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// Whether that log shows records of this level: what it does not show need not be formatted.
    fn logs(&self, level: Level) -> bool;

    /// Writes one record, a line without its newline, to the log of the request's virtual host.
    fn log(&mut self, level: Level, line: &[u8]);
}
