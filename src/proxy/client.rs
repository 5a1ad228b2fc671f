//! The client's side of a request in daemon mode, as a trait, so that the relay can be tested without httpd; and httpd's request as one.

use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU8;

use crate::apache::{self, ClientTimeout, Level as LogLevel, Request};
use crate::front::{hint, lend_body, put_head};
use crate::wsgi::{Gone, Head, Hints, InputError, Quoted};

/// What follows the bytes of one [`Client::send`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Soon more.
    More,
    /// Nothing for a while: what is there is written out.
    Flush,
    /// Nothing: the response is complete.
    End,
}

impl From<Then> for apache::Then {
    fn from(then: Then) -> apache::Then {
        match then {
            Then::More => apache::Then::More,
            Then::Flush => apache::Then::Flush,
            Then::End => apache::Then::End,
        }
    }
}

/// The client of one request.
pub(super) trait Client {
    /// Reads some of the body, at most so many bytes, and passes it on in parts; none are the end. With 0 it only asks for the body
    /// (`100 Continue`).
    ///
    /// # Errors
    /// [`InputError`]; again for every later call. Nothing is passed on then.
    fn read(&mut self, most: usize, pass: &mut dyn FnMut(&[&[u8]])) -> Result<(), InputError>;

    /// Sends these ahead of the response, if the client can take them.
    fn hint(&mut self, hints: &Hints);

    /// Sets status and headers. Nothing is sent by it.
    fn head(&mut self, head: &Head);

    /// Sets those headers that stay where httpd answers in place of the application.
    fn keep_of(&mut self, head: &Head);

    /// Takes a copy of bytes that go out with the next [`Client::send`].
    fn collect(&mut self, bytes: &[u8]);

    /// Takes a part of a regular file that goes out with the next [`Client::send`].
    ///
    /// # Errors
    /// It can't be sent, in words.
    fn file(&mut self, file: OwnedFd, offset: u64, length: u64) -> Result<(), String>;

    /// Passes on what was collected, and then these parts.
    ///
    /// # Errors
    /// [`Gone`]: nobody listens any more.
    fn send(&mut self, parts: &[&[u8]], then: Then) -> Result<(), Gone>;

    /// The same with bytes that another process may change at any time.
    ///
    /// # Errors
    /// As [`Client::send`].
    fn send_shared(&mut self, part: &[AtomicU8], then: Then) -> Result<(), Gone>;

    /// Ends a response that is not whole, so that the client sees it.
    fn cut_off(&mut self);

    /// A record for the request's log.
    fn log(&mut self, level: LogLevel, line: &str);

    /// What was asked for, as lines about failures name it.
    fn asked(&self) -> String;
}

/// A live request; on the MPM's thread that has it.
pub(super) struct Live<'a, 'r> {
    request: &'a mut Request<'r>,
    sendfile: bool,
    /// To be given back.
    timeout: Option<ClientTimeout>,
}

impl<'a, 'r> Live<'a, 'r> {
    /// `timeout`: the longest that a write to the client may wait; nothing leaves the connection's own.
    pub(super) fn new(
        request: &'a mut Request<'r>,
        sendfile: bool,
        timeout: Option<std::time::Duration>,
    ) -> Live<'a, 'r> {
        let timeout = timeout.and_then(|limit| request.limit_client_timeout(limit));
        Live { request, sendfile, timeout }
    }
}

/// Method and path: the query may hold secrets.
pub(super) fn asked(request: &Request<'_>) -> String {
    format!("{} {}", String::from_utf8_lossy(request.method()), Quoted(request.uri()))
}

impl Drop for Live<'_, '_> {
    fn drop(&mut self) {
        if let Some(before) = self.timeout.take() {
            self.request.restore_client_timeout(before);
        }
    }
}

impl Client for Live<'_, '_> {
    fn read(&mut self, most: usize, pass: &mut dyn FnMut(&[&[u8]])) -> Result<(), InputError> {
        let pieces = lend_body(self.request, most)?;
        pass(&pieces.bytes().collect::<Vec<_>>());
        Ok(())
    }

    fn hint(&mut self, hints: &Hints) {
        hint(self.request, hints);
    }

    fn head(&mut self, head: &Head) {
        put_head(self.request, head);
    }

    fn keep_of(&mut self, head: &Head) {
        for (name, value) in head.headers().iter() {
            if name.eq_ignore_ascii_case(b"www-authenticate") || name.eq_ignore_ascii_case(b"set-cookie") {
                // Nothing of a `Head` holds a NUL.
                let _ = self.request.err_headers_out_mut().add(name, value);
            }
        }
    }

    fn collect(&mut self, bytes: &[u8]) {
        self.request.output().copy(bytes);
    }

    fn file(&mut self, file: OwnedFd, offset: u64, length: u64) -> Result<(), String> {
        if length == 0 {
            return Ok(());
        }
        let sendfile = self.sendfile;
        self.request.output().file(file.into(), offset, length, sendfile).map_err(|error| error.to_string())
    }

    fn send(&mut self, parts: &[&[u8]], then: Then) -> Result<(), Gone> {
        self.request.output().send_borrowed(parts, then.into()).map_err(|_| Gone)
    }

    fn send_shared(&mut self, part: &[AtomicU8], then: Then) -> Result<(), Gone> {
        self.request.output().send_shared(part, then.into()).map_err(|_| Gone)
    }

    fn cut_off(&mut self) {
        self.request.cut_off();
    }

    fn log(&mut self, level: LogLevel, line: &str) {
        self.request.log(level, format_args!("{line}"));
    }

    fn asked(&self) -> String {
        asked(self.request)
    }
}
