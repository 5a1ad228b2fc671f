//! A live httpd request as the [`Host`] of an application.

use std::fs::File;
use std::num::NonZero;

use crate::apache::{self, Request};
use crate::front::{hint, log_level, put_head, read_body};
use crate::wsgi::{Gone, Head, Hints, Host, InputError, Level, Then};

/// A request that is being answered; on the MPM's thread that has it, or for moments on one of the application's.
pub(super) struct Live<'a, 'r> {
    request: &'a mut Request<'r>,
    /// Whether files may go out by sendfile.
    sendfile: bool,
    /// Whether the application gets httpd's record of the request.
    passes_record: bool,
}

impl<'a, 'r> Live<'a, 'r> {
    pub(super) fn new(request: &'a mut Request<'r>, sendfile: bool, passes_record: bool) -> Live<'a, 'r> {
        Live { request, sendfile, passes_record }
    }
}

impl Host for Live<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, InputError> {
        read_body(self.request, buffer)
    }

    fn hint(&mut self, hints: &Hints) {
        hint(self.request, hints);
    }

    fn head(&mut self, head: &Head) {
        put_head(self.request, head);
    }

    fn send(&mut self, data: &[u8], then: Then) -> Result<(), Gone> {
        let then = match then {
            Then::Flush => apache::Then::Flush,
            Then::End => apache::Then::End,
        };
        self.request.output().send_borrowed(&[data], then).map_err(|_| Gone)
    }

    fn send_file(&mut self, file: File, offset: u64, length: u64, then: Then) -> Result<(), Gone> {
        let mut output = self.request.output();
        if length > 0
            && let Err(error) = output.file(file, offset, length, self.sendfile)
        {
            let text = format!("WSGI0306: the file of a wsgi.file_wrapper can't be sent: {error}");
            self.log(Level::Error, text.as_bytes());
            self.abort();
            return Ok(());
        }
        match then {
            Then::Flush => output.flush(),
            Then::End => output.end(),
        }
        output.pass().map_err(|_| Gone)
    }

    fn abort(&mut self) {
        self.request.cut_off();
    }

    fn record(&self) -> Option<NonZero<usize>> {
        if self.passes_record { self.request.address() } else { None }
    }

    fn logs(&self, level: Level) -> bool {
        self.request.logs(log_level(level))
    }

    fn log(&mut self, level: Level, line: &[u8]) {
        self.request.log(log_level(level), format_args!("{}", String::from_utf8_lossy(line)));
    }
}
