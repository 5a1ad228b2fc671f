//! REQUEST: everything that a worker has to know to serve a request, but for the bytes of a body that is long or still to come.

use super::entries::put_entry;
use super::fields::{Fields, check_seconds, put_counted};
use super::frame::{Header, append};
use super::{Entries, FrameError, Kind, WHOLE_MOST};

/// A request's body, as the child knows it when it sends the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// There is none: WANT_BODY may not be sent.
    None,
    /// The `Content-Length` of the client. An input filter of httpd may make the body shorter or longer.
    Length(u64),
    /// The client sends it in chunks; its length is not known.
    Chunked,
    /// All of it, at most [`super::WHOLE_MOST`] bytes: WANT_BODY may not be sent.
    Whole(&'a [u8]),
}

impl Body<'_> {
    /// Whether it travels in frames of its own.
    pub(super) const fn follows(self) -> bool {
        matches!(self, Body::Length(_) | Body::Chunked)
    }
}

/// A request. `E` gives the entries of environ: [`Entries`] when decoded, any iterator to be encoded. Made in httpd's child from the live
/// request, read by an application thread of the worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a, E = Entries<'a>> {
    /// The application group; empty for the main interpreter.
    pub application_group: &'a [u8],
    /// The script file, and its modification time in microseconds since the epoch as the child found it.
    pub script: &'a [u8],
    pub script_mtime: i64,
    /// `WSGICallableObject`.
    pub callable: &'a [u8],
    /// `WSGIScriptReloading`.
    pub reloading: bool,
    /// `WSGICaseSensitivity`.
    pub case_sensitive: bool,
    /// Whether files may be sent as descriptors (`WSGIEnableSendfile`).
    pub sendfile: bool,
    /// `WSGIIgnoreActivity`: the request does not count for `inactivity-timeout`.
    pub ignore_activity: bool,
    /// Whether `wsgi.url_scheme` is `https`.
    pub https: bool,
    /// The least serious level that the request's log shows, as httpd counts: records below it need not be made.
    pub log_level: u8,
    /// The method of the client, and the one in environ (`WSGIMapHEADToGET`).
    pub client_method: &'a [u8],
    pub method: &'a [u8],
    /// When the request came, and when the child began to look for a worker: seconds since the epoch.
    pub request_start: f64,
    pub queue_start: f64,
    pub body: Body<'a>,
    pub environ: E,
}

const RELOADING: u8 = 1;
const CASE_SENSITIVE: u8 = 2;
const SENDFILE: u8 = 4;
const IGNORE_ACTIVITY: u8 = 8;
const HTTPS: u8 = 16;

const BODY_NONE: u8 = 0;
const BODY_LENGTH: u8 = 1;
const BODY_CHUNKED: u8 = 2;
const BODY_WHOLE: u8 = 3;

impl<'e, E: IntoIterator<Item = (&'e [u8], Option<&'e [u8]>)>> Request<'_, E> {
    /// Appends the frame.
    ///
    /// # Errors
    /// Where the worker would refuse it: longer than [`super::REQUEST_MOST`], a whole body longer than [`super::WHOLE_MOST`], or an
    /// impossible time. Nothing is appended then.
    pub fn encode(self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        let flags = [
            (self.reloading, RELOADING),
            (self.case_sensitive, CASE_SENSITIVE),
            (self.sendfile, SENDFILE),
            (self.ignore_activity, IGNORE_ACTIVITY),
            (self.https, HTTPS),
        ];
        let flags = flags.into_iter().filter_map(|(set, flag)| set.then_some(flag)).sum();
        append(out, Kind::Request, flags, |out| {
            out.extend_from_slice(&self.script_mtime.to_le_bytes());
            for (field, seconds) in [("request_start", self.request_start), ("queue_start", self.queue_start)] {
                out.extend_from_slice(&check_seconds(Kind::Request, field, seconds)?.to_le_bytes());
            }
            let (code, length, whole) = match self.body {
                Body::None => (BODY_NONE, 0, &[][..]),
                Body::Length(length) => (BODY_LENGTH, length, &[][..]),
                Body::Chunked => (BODY_CHUNKED, 0, &[][..]),
                Body::Whole(bytes) if bytes.len() <= WHOLE_MOST => (BODY_WHOLE, bytes.len() as u64, bytes),
                Body::Whole(_) => return Err(FrameError::Value { kind: Kind::Request, field: "body" }),
            };
            out.push(code);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(whole);
            out.push(self.log_level);
            for text in [self.application_group, self.script, self.callable, self.client_method, self.method] {
                put_counted(out, text);
            }
            self.environ.into_iter().for_each(|entry| put_entry(out, entry));
            Ok(())
        })
    }
}

pub(super) fn decode<'a>(header: Header, payload: &'a [u8]) -> Result<Request<'a>, FrameError> {
    let set = |flag: u8| header.flags & flag != 0;
    let mut fields = Fields::new(header.kind, payload);
    Ok(Request {
        script_mtime: i64::from_le_bytes(fields.array("script_mtime")?),
        request_start: fields.seconds("request_start")?,
        queue_start: fields.seconds("queue_start")?,
        body: {
            let [code] = fields.array("body")?;
            let length = u64::from_le_bytes(fields.array("body")?);
            match (code, usize::try_from(length)) {
                (BODY_NONE, Ok(0)) => Body::None,
                (BODY_LENGTH, _) => Body::Length(length),
                (BODY_CHUNKED, Ok(0)) => Body::Chunked,
                (BODY_WHOLE, Ok(length @ ..=WHOLE_MOST)) => Body::Whole(fields.bytes("body", length)?),
                _ => return Err(FrameError::Value { kind: header.kind, field: "body" }),
            }
        },
        log_level: {
            let [level] = fields.array("log_level")?;
            level
        },
        application_group: fields.counted("application_group")?,
        script: fields.counted("script")?,
        callable: fields.counted("callable")?,
        client_method: fields.counted("client_method")?,
        method: fields.counted("method")?,
        environ: Entries::parse(header.kind, fields.rest())?,
        reloading: set(RELOADING),
        case_sensitive: set(CASE_SENSITIVE),
        sendfile: set(SENDFILE),
        ignore_activity: set(IGNORE_ACTIVITY),
        https: set(HTTPS),
    })
}
