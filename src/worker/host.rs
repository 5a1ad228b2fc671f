//! A request that came as frames, as the [`Host`] of an application: its body and its answer travel on the connection it came by.
//!
//! Used by the thread that serves the request, or for moments by one of the application's; never attached to Python. When the answer is
//! complete the connection is given back at once: what the application still does (`close()`) must not hold up the child's next request.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use super::body::{Came, Trouble};
use super::connection::Taken;
use super::log;
use super::outlet::Row;
use super::process::Process;
use crate::wire::{self, Body, End, FrameError, FromWorker};
use crate::wsgi::{Gone, Head, Hints, Host, InputError, Level, Then};

/// How much of an answer one DATA carries: the client gets it when all of the frame is there.
const DATA: usize = 64 * 1024;

/// A request being answered.
pub(super) struct Frames<'q> {
    process: &'static Process,
    /// None when the answer is complete, or nobody is there to get it.
    connection: Option<Taken>,
    /// Frames that wait for the first bytes of the answer: its head.
    waiting: Vec<u8>,
    headed: bool,
    pieces: Row,
    body: Input<'q>,
    ignore_activity: bool,
    /// When something was sent last, where the request counts for `inactivity-timeout`.
    last: Option<Duration>,
    complete: bool,
    /// The thread keeps the interpreter while it sends.
    short: bool,
    /// The least serious level that the request's log shows.
    log_level: u8,
}

/// How far the body is read.
enum Input<'q> {
    /// What is left of a body that came with its request.
    Here(&'q [u8]),
    /// Whether the child was asked for it, and so the client; and how much is still to come, by what the client has said.
    Open {
        asked: bool,
        left: Option<u64>,
    },
    Ended,
    Failed(InputError),
}

impl<'q> Frames<'q> {
    pub(super) fn new(process: &'static Process, connection: Taken, request: &wire::Request<'q>) -> Frames<'q> {
        let body = match request.body {
            Body::None => Input::Ended,
            Body::Whole(bytes) => Input::Here(bytes),
            Body::Length(length) => Input::Open { asked: false, left: Some(length) },
            Body::Chunked => Input::Open { asked: false, left: None },
        };
        Frames {
            process,
            connection: Some(connection),
            waiting: Vec::new(),
            headed: false,
            pieces: Row::default(),
            body,
            ignore_activity: request.ignore_activity,
            last: None,
            complete: false,
            short: process.pace.is_short(),
            log_level: request.log_level,
        }
    }

    /// An error page with this status is due, where nothing was sent; nothing is left to do otherwise.
    pub(super) fn end(&mut self, status: Option<u16>) {
        let end = match status {
            Some(status) if !self.headed => End::Status(status.clamp(400, 599)),
            // An answer that is complete has let its connection go.
            _ => End::Aborted,
        };
        let _ = self.finish(end);
    }

    /// When the answer was complete, where it was, and the request counts for `inactivity-timeout`.
    pub(super) fn complete(&self) -> Option<Duration> {
        self.last.filter(|_| self.complete)
    }

    /// The request was not begun: another worker gets it.
    pub(super) fn refuse(&mut self) {
        if let Some(connection) = self.connection.take() {
            let mut frame = Vec::new();
            let _ = FromWorker::Refused.encode(&mut frame);
            // Not given back: whoever refuses is about to end.
            let _ = connection.send(&[&frame], None);
        }
    }

    fn finish(&mut self, end: End) -> Result<(), Gone> {
        let mut last = Vec::new();
        FromWorker::End(end).encode(&mut last).map_err(|error| self.broken(&error))?;
        self.transmit(&[&last], None)?;
        self.let_go();
        Ok(())
    }

    fn let_go(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.give_back();
        }
    }

    /// Sends what waits and then these parts, in one go where the system takes it.
    fn transmit(&mut self, parts: &[&[u8]], descriptor: Option<BorrowedFd<'_>>) -> Result<(), Gone> {
        let waiting = std::mem::take(&mut self.waiting);
        let sent = if waiting.is_empty() {
            self.pass(parts, descriptor)
        } else {
            let all: Vec<&[u8]> = std::iter::once(waiting.as_slice()).chain(parts.iter().copied()).collect();
            self.pass(&all, descriptor)
        };
        if let Err(cause) = sent {
            self.lose(&cause);
            return Err(Gone);
        }
        self.last = self.touch();
        Ok(())
    }

    /// Holds a piece of the answer for a moment; false where it is to be sent.
    fn hold(&mut self, data: &[u8]) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        // Nobody may be there to do it when the piece is sent.
        let held = connection.hold_body().is_ok() && connection.hold(data);
        if held {
            self.last = self.touch();
        }
        held
    }

    fn pass(&mut self, parts: &[&[u8]], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let connection = self.connection.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        connection.hold_body()?;
        connection.send(parts, descriptor)
    }

    /// The child is gone, or stuck.
    fn lose(&mut self, cause: &io::Error) {
        if cause.kind() == io::ErrorKind::WouldBlock {
            let text = "WSGI0403: httpd did not take the response within socket-timeout; it is given up";
            log::line(Level::Warn, text.as_bytes());
        }
        self.connection = None;
    }

    /// The answer can't be put into frames.
    fn broken(&mut self, error: &FrameError) -> Gone {
        let text = format!("WSGI0404: the response can't be passed on to httpd: {error}");
        self.log(Level::Error, text.as_bytes());
        self.connection = None;
        Gone
    }

    fn touch(&self) -> Option<Duration> {
        (!self.ignore_activity).then(|| self.process.requests.touch())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, InputError> {
        let (asked, left) = match &mut self.body {
            Input::Ended => return Ok(0),
            Input::Failed(error) => return Err(error.clone()),
            Input::Here(bytes) => {
                let (taken, rest) = bytes.split_at(bytes.len().min(buffer.len()));
                buffer.iter_mut().zip(taken).for_each(|(place, byte)| *place = *byte);
                *bytes = rest;
                return Ok(taken.len());
            }
            Input::Open { asked, left } => (asked, left),
        };
        if std::mem::replace(asked, true) && buffer.is_empty() {
            return Ok(0);
        }
        let Some(connection) = &mut self.connection else { return Err(InputError::ClientGone) };
        let trouble = match connection.read_body(buffer, *left) {
            Ok(Came::Bytes(count)) => {
                *left = left.map(|left| left.saturating_sub(u64::try_from(count).unwrap_or(0)));
                return Ok(count);
            }
            Ok(Came::End) => {
                self.body = Input::Ended;
                return Ok(0);
            }
            Ok(Came::Failed(error)) => return Err(error),
            Err(trouble) => trouble,
        };
        self.connection = None;
        Err(match trouble {
            Trouble::Closed | Trouble::System => InputError::ClientGone,
            Trouble::Silent => InputError::Timeout,
            Trouble::Strange => InputError::Failed("httpd's process sent something else in its place".to_owned()),
        })
    }
}

impl Host for Frames<'_> {
    fn gives_way(&self) -> bool {
        self.short
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, InputError> {
        let read = self.receive(buffer);
        match &read {
            Ok(_) => drop(self.touch()),
            Err(error) => self.body = Input::Failed(error.clone()),
        }
        read
    }

    fn hint(&mut self, hints: &Hints) {
        let mut frame = Vec::new();
        // The limit of hints is below that of their frame.
        if wire::encode_interim(&mut frame, hints.headers().iter()).is_ok() {
            // That the child is gone shows with the response.
            let _ = self.transmit(&[&frame], None);
        }
    }

    fn head(&mut self, head: &Head) {
        let encoded = wire::encode_head(&mut self.waiting, head.status_line(), head.headers().iter());
        match encoded {
            Ok(()) => self.headed = true,
            Err(error) => {
                let text = format!("WSGI0405: the head of the response can't be passed on to httpd: {error}");
                self.log(Level::Error, text.as_bytes());
                let _ = self.finish(End::Status(500));
            }
        }
    }

    fn send(&mut self, data: &[u8], then: Then) -> Result<(), Gone> {
        if then == Then::Flush && self.pieces.goes_on() && self.hold(data) {
            self.pieces.passed();
            return Ok(());
        }
        let mut last = Vec::new();
        if then == Then::End {
            let ended = FromWorker::End(End::Complete).encode(&mut last);
            ended.map_err(|error| self.broken(&error))?;
        }
        let share = self.connection.as_ref().map(|connection| connection.share(data)).unwrap_or_default();
        let rest = data.get(share.count..).unwrap_or_default();
        let headers: Vec<[u8; 8]> = rest.chunks(DATA).map(|piece| wire::data_header(piece.len())).collect();
        let mut parts: Vec<&[u8]> = Vec::with_capacity(headers.len() * 2 + 2);
        parts.push(&share.frames);
        for (header, piece) in headers.iter().zip(rest.chunks(DATA)) {
            parts.extend([header.as_slice(), piece]);
        }
        parts.push(&last);
        self.transmit(&parts, share.descriptor.as_ref().map(|descriptor| descriptor.as_fd()))?;
        match then {
            Then::Flush => self.pieces.passed(),
            Then::End => {
                self.complete = true;
                self.let_go();
            }
        }
        Ok(())
    }

    fn send_file(&mut self, file: File, offset: u64, length: u64, then: Then) -> Result<(), Gone> {
        if length == 0 {
            return self.send(&[], then);
        }
        // In one go with the head before it and the end behind it: httpd answers ranges, and HEAD, of what it sees whole.
        let mut frames = Vec::new();
        let encoded = FromWorker::File { offset, length }.encode(&mut frames);
        let encoded = encoded.and_then(|()| match then {
            Then::End => FromWorker::End(End::Complete).encode(&mut frames),
            Then::Flush => Ok(()),
        });
        encoded.map_err(|error| self.broken(&error))?;
        self.transmit(&[&frames], Some(file.as_fd()))?;
        if then == Then::End {
            self.complete = true;
            self.let_go();
        }
        Ok(())
    }

    fn abort(&mut self) {
        let _ = self.finish(End::Aborted);
    }

    fn logs(&self, level: Level) -> bool {
        // Notices and worse are always shown.
        level <= Level::Notice || log::number(level) <= self.log_level
    }

    fn log(&mut self, level: Level, line: &[u8]) {
        let mut frame = Vec::new();
        let encoded = FromWorker::Log { level: log::number(level), line }.encode(&mut frame);
        let sent = encoded.is_ok() && self.pass(&[&frame], None).is_ok();
        if !sent {
            // The answer is complete, or its child is gone: what is still said is the group's.
            log::line(level, line);
        }
    }
}
