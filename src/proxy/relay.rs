//! Hands on what a worker answers: body bytes to it when it asks, head, data and files to the client, records to the log.
//!
//! Small answers go to httpd in one pass; a long one in passes as it comes, flushed when the worker has no more for the moment. A response
//! that does not reach its END is cut off, so that the client sees it.

use std::sync::atomic::AtomicU8;
use std::time::Duration;

use super::client::{Client, Then};
use super::connection::{Broken, Connection};
use super::failure::Failure;
use crate::apache::Level;
use crate::wire::{self, BODY_MOST, BodyError, End, FrameError, FromChild, FromWorker, Headers};
use crate::wsgi::{Gone, Head, Hints, InputError, Quoted};

/// What configuration says about the relay.
#[derive(Clone, Copy)]
pub(super) struct Rules<'g> {
    pub(super) group: &'g [u8],
    /// `WSGIErrorOverride`.
    pub(super) error_override: bool,
    /// `response-flush-delay`.
    pub(super) flush_delay: Duration,
    /// `response-buffer-size`.
    pub(super) buffer: usize,
    /// `socket-timeout`, for messages.
    pub(super) timeout: Duration,
    /// Is this child told to end at once?
    pub(super) stopping: &'g dyn Fn() -> bool,
    /// May a worker that has read the request, and has gone without a word, have begun it? Asked with what [`Connection::asked`] says.
    pub(super) may_have_begun: &'g dyn Fn((u64, u32)) -> bool,
}

/// What is left to do for httpd.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The response is complete, or cut off, or nobody listens.
    Done,
    /// Nothing was sent: httpd's own page with this status.
    Status(u16),
    /// Nothing was sent: answer as a GET of this local path would.
    Redirect(Vec<u8>),
    /// Nothing was sent, for this reason.
    Failed(Failure),
    /// The worker has not begun and will not: send it elsewhere.
    Refused,
}

/// What came of data together is gathered up to here, above it goes straight from the connection's buffer.
const SMALL: usize = 32 * 1024;
/// A smaller piece is worth less than a part of its own.
const LEAST_PART: usize = 4 * 1024;
/// So much is gathered before it is passed on.
const GATHERED: usize = 64 * 1024;
/// So much of a body is read at a time, at most.
const PIECE: usize = 512 * 1024;
/// So much of an answer that is not wanted is read to its end, to keep the connection.
const UNWANTED: usize = 1024 * 1024;

/// Relays one answer, whose request was sent. True: the connection can have the next request.
pub(super) fn relay(connection: &mut Connection, client: &mut dyn Client, rules: Rules<'_>) -> (Outcome, bool) {
    let mut relay = Relay {
        connection,
        client,
        rules,
        begun: false,
        pieces: false,
        waiting: 0,
        unflushed: 0,
        body: None,
        has_file: false,
        heard: false,
    };
    match relay.run() {
        Ok((outcome, whole)) => (outcome, whole && relay.connection.is_empty()),
        Err(stop) => (relay.stopped(stop), false),
    }
}

struct Relay<'a, 'g> {
    connection: &'a mut Connection,
    client: &'a mut dyn Client,
    rules: Rules<'g>,
    /// The head is the request's.
    begun: bool,
    /// The body comes in pieces whose length together nobody has said.
    pieces: bool,
    /// Bytes gathered and not passed on.
    waiting: usize,
    /// Passed on since the last flush, and 1 for a head.
    unflushed: usize,
    /// Why the body could not be read.
    body: Option<InputError>,
    /// A FILE frame came: httpd has the file open until the answer is out, so there is one in an answer.
    has_file: bool,
    /// A frame came.
    heard: bool,
}

/// Data on its way to the client.
struct Passing<'a> {
    client: &'a mut dyn Client,
    waiting: &'a mut usize,
    unflushed: &'a mut usize,
    /// So many bytes without a flush are enough.
    most: usize,
}

impl Passing<'_> {
    /// Gathers what came together, or passes it on.
    fn data(&mut self, data: &[&[u8]]) -> Result<(), Gone> {
        let length: usize = data.iter().map(|bytes| bytes.len()).sum();
        *self.waiting += length;
        let parts = if length <= SMALL {
            data.iter().for_each(|bytes| self.client.collect(bytes));
            &[]
        } else {
            data
        };
        if parts.is_empty() && *self.waiting < GATHERED {
            return Ok(());
        }
        let then = self.passed();
        self.client.send(parts, then)
    }

    /// Passes a part of the window on, with what was gathered before it.
    fn part(&mut self, part: &[AtomicU8]) -> Result<(), Gone> {
        *self.waiting += part.len();
        let then = self.passed();
        self.client.send_shared(part, then)
    }

    /// What follows when all is passed on now.
    fn passed(&mut self) -> Then {
        *self.unflushed += std::mem::take(self.waiting);
        if *self.unflushed < self.most {
            return Then::More;
        }
        *self.unflushed = 0;
        Then::Flush
    }
}

/// Why a relay ends before the answer does.
enum Stop {
    Broken(Broken),
    Gone,
    /// The worker's answer can't be passed on.
    Bad(String),
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Stop {
        Stop::Broken(broken)
    }
}

impl From<Gone> for Stop {
    fn from(Gone: Gone) -> Stop {
        Stop::Gone
    }
}

/// A frame without what it borrows.
enum Step {
    On,
    Want(usize),
    File { offset: u64, length: u64 },
    Window { size: u32 },
    Part { offset: u32, length: u32 },
    Finish(Outcome),
    Unwanted(Outcome),
}

impl Relay<'_, '_> {
    /// The outcome, and whether the answer was read to its end.
    fn run(&mut self) -> Result<(Outcome, bool), Stop> {
        loop {
            if !self.connection.has_frame() {
                self.before_waiting()?;
            }
            match self.step()? {
                Step::On => {}
                Step::Want(most) => self.send_body(most)?,
                Step::File { offset, length } => self.file(offset, length)?,
                Step::Window { size } => self.connection.open_window(size).map_err(Stop::Bad)?,
                Step::Part { offset, length } => self.part(offset, length)?,
                Step::Finish(outcome) => return Ok((outcome, true)),
                Step::Unwanted(outcome) => {
                    let whole = self.skip().is_ok();
                    return Ok((outcome, whole));
                }
            }
            self.heard = true;
        }
    }

    /// Nothing is here: if there is nothing for a while, what was gathered goes out.
    fn before_waiting(&mut self) -> Result<(), Stop> {
        if (self.waiting > 0 || self.unflushed > 0)
            && !self.connection.has_more()?
            && !self.connection.is_readable(self.rules.flush_delay)?
        {
            self.flush()?;
        }
        Ok(())
    }

    fn part(&mut self, offset: u32, length: u32) -> Result<(), Stop> {
        let Relay { connection, client, rules, waiting, unflushed, .. } = self;
        let mut passing = Passing { client: &mut **client, waiting, unflushed, most: rules.buffer };
        Ok(passing.part(connection.part(offset, length).map_err(Stop::Bad)?)?)
    }

    fn step(&mut self) -> Result<Step, Stop> {
        let Relay { connection, client, rules, begun, pieces, waiting, unflushed, body, .. } = self;
        let mut passing = Passing { client: &mut **client, waiting, unflushed, most: rules.buffer };
        let large = connection.data(LEAST_PART)?;
        if !large.is_empty() {
            passing.data(&large)?;
            return Ok(Step::On);
        }
        Ok(match connection.next()? {
            FromWorker::WantBody(most) => Step::Want(usize::try_from(most).unwrap_or(usize::MAX)),
            FromWorker::Refused => Step::Finish(Outcome::Refused),
            FromWorker::Log { level, line } => {
                client.log(level_of(level), &String::from_utf8_lossy(line));
                Step::On
            }
            FromWorker::Interim { headers } => {
                client.hint(&hints(headers).map_err(Stop::Bad)?);
                Step::On
            }
            FromWorker::Head { status_line, headers } => {
                let head = head(status_line, headers).map_err(Stop::Bad)?;
                if rules.error_override && head.code() >= 400 {
                    client.keep_of(&head);
                    return Ok(Step::Unwanted(Outcome::Status(head.code())));
                }
                if let Some(path) = local_redirect(&head) {
                    client.keep_of(&head);
                    return Ok(Step::Unwanted(Outcome::Redirect(path.to_vec())));
                }
                *pieces = head.header(b"content-length").is_none();
                client.head(&head);
                (*begun, *unflushed) = (true, 1);
                Step::On
            }
            FromWorker::Data(bytes) => {
                passing.data(&[bytes])?;
                Step::On
            }
            FromWorker::File { offset, length } => Step::File { offset, length },
            FromWorker::Window { size } => Step::Window { size },
            FromWorker::Part { offset, length } => Step::Part { offset, length },
            FromWorker::End(End::Complete) => {
                // httpd computes a length for what comes with its end. Whether a body in pieces has one must not depend on how fast they come;
                // a file is one piece.
                if *pieces && *waiting > 0 {
                    client.send(&[], Then::More)?;
                }
                client.send(&[], Then::End)?;
                Step::Finish(Outcome::Done)
            }
            FromWorker::End(End::Aborted) if *begun => {
                // The application has sent this much.
                client.send(&[], Then::Flush)?;
                client.cut_off();
                Step::Finish(Outcome::Done)
            }
            FromWorker::End(End::Aborted) => Step::Finish(Outcome::Status(body_status(body.as_ref()).unwrap_or(500))),
            FromWorker::End(End::Status(status)) => {
                Step::Finish(Outcome::Status(body_status(body.as_ref()).unwrap_or(status)))
            }
        })
    }

    fn flush(&mut self) -> Result<(), Gone> {
        (self.waiting, self.unflushed) = (0, 0);
        self.client.send(&[], Then::Flush)
    }

    fn file(&mut self, offset: u64, length: u64) -> Result<(), Stop> {
        if std::mem::replace(&mut self.has_file, true) {
            return Err(Stop::Bad("a second FILE frame".to_owned()));
        }
        let file = self.connection.descriptor().ok_or_else(|| Stop::Bad("a FILE frame without its file".to_owned()))?;
        self.client
            .file(file, offset, length)
            .map_err(|error| Stop::Bad(format!("a file that can't be sent: {error}")))?;
        // What follows is the END, most likely, so it goes out with that: httpd answers ranges of what it sees whole.
        self.pieces = self.pieces && (self.waiting > 0 || self.unflushed > 1);
        self.waiting += usize::try_from(length).unwrap_or(usize::MAX).min(GATHERED);
        Ok(())
    }

    /// The answer to WANT_BODY.
    fn send_body(&mut self, most: usize) -> Result<(), Stop> {
        // The application may answer while it reads; what it said must not wait for the client's body.
        if self.unflushed > 0 || self.waiting > 0 {
            self.flush()?;
        }
        let Relay { client, connection, .. } = self;
        let mut sent = Ok(());
        // The bytes stay where httpd has put them.
        let read = client.read(most.min(PIECE).min(BODY_MOST), &mut |parts| {
            let length = parts.iter().map(|part| part.len()).sum();
            let header = wire::body_header(length);
            sent = if length > 0 || most == 0 {
                connection.send(&[&[header.as_slice()], parts].concat())
            } else {
                say(connection, FromChild::BodyEnd)
            };
        });
        if let Err(error) = &read {
            sent = say(
                connection,
                FromChild::BodyError(match error {
                    InputError::TooLarge => BodyError::TooLarge,
                    InputError::Timeout => BodyError::Timeout,
                    InputError::ClientGone => BodyError::ClientGone,
                    InputError::Failed(text) => BodyError::Failed(text),
                }),
            );
        }
        if let Err(error) = read
            && self.body.is_none()
        {
            // A client that leaves, or sends more than it may, is nothing to be told of.
            let level = match error {
                InputError::ClientGone | InputError::TooLarge => Level::Info,
                InputError::Timeout | InputError::Failed(_) => Level::Err,
            };
            let (group, asked) = (Quoted(self.rules.group), self.client.asked());
            let line = format!("WSGI0126: {error} (daemon process group {group}, request: {asked})");
            self.client.log(level, &line);
            self.body = Some(error);
        }
        match sent {
            // It reads no more; what it still says counts.
            Err(Broken::Unread) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Reads an answer that is not wanted to its end.
    ///
    /// # Errors
    /// It is too long, or breaks: the connection is given up, and with it the rest.
    fn skip(&mut self) -> Result<(), Broken> {
        let mut room = UNWANTED;
        loop {
            let length = match self.connection.next()? {
                FromWorker::Data(bytes) => bytes.len(),
                FromWorker::Part { length, .. } => usize::try_from(length).unwrap_or(usize::MAX),
                FromWorker::Log { level, line } => {
                    self.client.log(level_of(level), &String::from_utf8_lossy(line));
                    continue;
                }
                FromWorker::End(_) => return Ok(()),
                FromWorker::File { .. } => {
                    drop(self.connection.descriptor());
                    continue;
                }
                FromWorker::Window { size } => {
                    self.connection.open_window(size).map_err(|_| Broken::Closed)?;
                    continue;
                }
                FromWorker::WantBody(_)
                | FromWorker::Refused
                | FromWorker::Interim { .. }
                | FromWorker::Head { .. } => return Err(Broken::Closed),
            };
            room = room.checked_sub(length).ok_or(Broken::Closed)?;
        }
    }

    /// The answer can't be relayed to its end.
    fn stopped(&mut self, stop: Stop) -> Outcome {
        if self.begun {
            return self.stopped_inside(stop);
        }
        let group = self.rules.group.to_vec();
        // What is unread to the last byte was not begun: a worker begins with the whole of a request.
        let unheard = !self.heard && self.connection.is_empty();
        Outcome::Failed(match stop {
            Stop::Gone => return Outcome::Done,
            Stop::Broken(Broken::Unread) if unheard => return Outcome::Refused,
            Stop::Broken(Broken::Closed) if unheard && !(self.rules.may_have_begun)(self.connection.asked()) => {
                return Outcome::Refused;
            }
            Stop::Bad(cause) => Failure::Malformed { group, cause },
            Stop::Broken(Broken::Timeout) => Failure::AnswerTimeout { group, limit: self.rules.timeout },
            Stop::Broken(Broken::Closed | Broken::Unread) => Failure::Vanished { group },
            Stop::Broken(Broken::System(cause)) => Failure::NotRead { group, cause },
            Stop::Broken(Broken::Frame(cause @ FrameError::HeaderTooLarge { .. })) => {
                Failure::HeadTooLong { group, cause }
            }
            Stop::Broken(Broken::Frame(cause)) => Failure::Malformed { group, cause: cause.to_string() },
        })
    }

    /// The same behind the head, which may be out.
    fn stopped_inside(&mut self, stop: Stop) -> Outcome {
        let group = Quoted(self.rules.group);
        let line = match stop {
            Stop::Gone => return Outcome::Done,
            Stop::Broken(Broken::Timeout) => format!(
                "WSGI0118: the daemon process group {group} was silent for socket-timeout ({} s) in the middle of a response; it is cut off",
                self.rules.timeout.as_secs()
            ),
            Stop::Broken(Broken::Closed | Broken::Unread) => format!(
                "WSGI0119: the process of the daemon process group {group} ended in the middle of a response, which is cut off; look \
                 for its end in the error log"
            ),
            Stop::Broken(Broken::System(cause)) => {
                format!(
                    "WSGI0120: a response of the daemon process group {group} can't be read on, and is cut off: {cause}"
                )
            }
            Stop::Broken(Broken::Frame(cause)) => bad(&group, &cause.to_string()),
            Stop::Bad(cause) => bad(&group, &cause),
        };
        if (self.rules.stopping)() {
            // That is why; nobody needs to look for a cause.
            self.client.log(Level::Info, &format!("WSGI0363: httpd is stopping, a response of {group} is cut off"));
        } else {
            let asked = self.client.asked();
            self.client.log(Level::Err, &format!("{line} (request: {asked})"));
        }
        // The application has sent this much. The client being gone is as good.
        let _: Result<(), Gone> = self.flush();
        self.client.cut_off();
        Outcome::Done
    }
}

fn say(connection: &Connection, said: FromChild<'_>) -> Result<(), Broken> {
    let mut frame = Vec::new();
    said.encode(&mut frame)?;
    connection.send(&[&frame])
}

fn bad(group: &Quoted<'_>, cause: &str) -> String {
    format!("WSGI0362: the daemon process group {group} went on with {cause}; its response is cut off")
}

/// The head as httpd may have it: it comes from another process, so it is checked again.
fn head(status_line: &[u8], headers: Headers<'_>) -> Result<Head, String> {
    let mut head = Head::new(status_line).map_err(|error| error.to_string())?;
    for (name, value) in headers {
        head.push(name, value).map_err(|error| error.to_string())?;
    }
    Ok(head)
}

/// The same for early hints.
fn hints(headers: Headers<'_>) -> Result<Hints, String> {
    let mut hints = Hints::default();
    for (name, value) in headers {
        hints.push(name, value).map_err(|error| error.to_string())?;
    }
    Ok(hints)
}

/// As CGI: status 200 with a path as `Location` is answered with what is at the path (RFC 3875, section 6.2.2: "the server MUST generate the
/// response that it would have produced in response to a request containing the URL").
fn local_redirect(head: &Head) -> Option<&[u8]> {
    head.header(b"location").filter(|path| head.code() == 200 && path.starts_with(b"/"))
}

/// What a request whose body could not be read is answered, where the application has no answer of its own.
fn body_status(error: Option<&InputError>) -> Option<u16> {
    match error? {
        InputError::TooLarge => Some(413),
        InputError::Timeout => Some(408),
        // Nobody sees it; as httpd's access log has it.
        InputError::ClientGone => Some(400),
        InputError::Failed(_) => None,
    }
}

/// httpd's level by its number.
fn level_of(number: u8) -> Level {
    match number {
        0..=2 => Level::Crit,
        3 => Level::Err,
        4 => Level::Warning,
        5 => Level::Notice,
        6 => Level::Info,
        7 => Level::Debug,
        _ => Level::Trace1,
    }
}

#[cfg(test)]
mod tests;
