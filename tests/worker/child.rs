//! The side of httpd's child: sends requests, gives bodies when asked, gathers answers.

use std::fs::File;
use std::io::{self, IoSliceMut, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mod_wsgi::os::memory::SeenWords;
use mod_wsgi::wire::{Body, BodyError, End, FromChild, FromWorker, HEADER_LINE, Hello, Reader, Request};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::supervisor::{SOON, Worker};

/// A connection to a worker.
pub(crate) struct Child {
    pub(crate) stream: UnixStream,
    reader: Reader,
    files: Vec<File>,
    window: Option<SeenWords>,
    /// What the worker is told that the connection is called.
    pub(crate) number: u64,
}

/// A request to be made.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) script: Vec<u8>,
    pub(crate) mtime: Option<i64>,
    pub(crate) group: &'a str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) chunked: bool,
    /// The body travels with the request.
    pub(crate) whole: bool,
    pub(crate) body_error: Option<BodyError<'a>>,
    pub(crate) ignore_activity: bool,
}

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Those of each INTERIM.
    pub(crate) hints: Vec<Vec<(String, String)>>,
    pub(crate) body: Vec<u8>,
    pub(crate) logs: Vec<(u8, String)>,
    /// How often the body was asked for, and with how much.
    pub(crate) wants: Vec<u32>,
    /// Pieces of the body as they came: lengths of DATA and PART, or FILE as 0.
    pub(crate) pieces: Vec<usize>,
    pub(crate) end: Option<End>,
    pub(crate) refused: bool,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Worker {
    /// A GET of the application.
    pub(crate) fn get(&self, path: &'static str) -> Ask<'static> {
        Ask {
            script: self.script("app.wsgi"),
            mtime: None,
            group: "",
            method: "GET",
            path,
            body: None,
            chunked: false,
            whole: false,
            body_error: None,
            ignore_activity: false,
        }
    }
}

pub(crate) fn mtime(script: &[u8]) -> i64 {
    use std::os::unix::fs::MetadataExt as _;
    let path = String::from_utf8(script.to_vec()).unwrap();
    let metadata = std::fs::metadata(path).unwrap();
    metadata.mtime() * 1_000_000 + metadata.mtime_nsec() / 1000
}

impl Child {
    pub(crate) fn connect(path: &Path) -> Child {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Child { stream, reader: Reader::of_worker(HEADER_LINE), files: Vec::new(), window: None, number }
    }

    pub(crate) fn hello(&mut self, secret: [u8; 32]) {
        self.send(&FromChild::Hello(Hello { secret, connection: self.number }));
    }

    pub(crate) fn send(&mut self, frame: &FromChild<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// Sends a request, and gives its body when asked for it.
    pub(crate) fn ask(&mut self, ask: &Ask<'_>) -> Answer {
        self.begin(ask);
        self.answer(ask)
    }

    /// The bytes of a request.
    pub(crate) fn encoded(ask: &Ask<'_>) -> Vec<u8> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let length = ask.body.map(|body| body.len().to_string());
        let mut environ: Vec<(&[u8], Option<&[u8]>)> = vec![
            (b"REQUEST_METHOD", Some(ask.method.as_bytes())),
            (b"SCRIPT_NAME", Some(b"")),
            (b"PATH_INFO", Some(ask.path.as_bytes())),
            (b"QUERY_STRING", Some(b"secret=1")),
            (b"UNIQUE_ID", Some(b"of-httpd")),
            (b"SERVER_NAME", Some(b"localhost")),
            (b"SERVER_PORT", Some(b"80")),
            (b"SERVER_PROTOCOL", Some(b"HTTP/1.1")),
            (b"mod_wsgi.process_group", Some(b"shop")),
            (b"nothing", None),
        ];
        if let Some(length) = length.as_ref().filter(|_| !ask.chunked) {
            environ.push((b"CONTENT_LENGTH", Some(length.as_bytes())));
        }
        let body = match ask.body {
            None if ask.body_error.is_none() => Body::None,
            None => Body::Chunked,
            Some(_) if ask.chunked => Body::Chunked,
            Some(body) if ask.whole => Body::Whole(body),
            Some(body) => Body::Length(u64::try_from(body.len()).unwrap()),
        };
        let request = Request {
            application_group: ask.group.as_bytes(),
            script: &ask.script,
            script_mtime: ask.mtime.unwrap_or_else(|| mtime(&ask.script)),
            callable: b"application",
            reloading: true,
            case_sensitive: true,
            sendfile: true,
            ignore_activity: ask.ignore_activity,
            https: false,
            client_method: ask.method.as_bytes(),
            method: ask.method.as_bytes(),
            log_level: 6,
            request_start: now,
            queue_start: now,
            body,
            environ: environ.into_iter(),
        };
        let mut bytes = Vec::new();
        request.encode(&mut bytes).unwrap();
        bytes
    }

    pub(crate) fn begin(&mut self, ask: &Ask<'_>) {
        self.stream.write_all(&Child::encoded(ask)).unwrap();
    }

    /// Gathers the answer to its end.
    pub(crate) fn answer(&mut self, ask: &Ask<'_>) -> Answer {
        let mut answer = Answer::default();
        let mut rest = ask.body.unwrap_or_default();
        while answer.end.is_none() && !answer.refused {
            let Some(next) = self.step(&mut answer) else { panic!("the worker closed the connection: {answer:?}") };
            if let Some(want) = next {
                let most = usize::try_from(want).unwrap();
                let (piece, after) = rest.split_at(rest.len().min(most));
                rest = after;
                match ask.body_error {
                    Some(error) if piece.is_empty() => self.send(&FromChild::BodyError(error)),
                    _ if piece.is_empty() && want > 0 => self.send(&FromChild::BodyEnd),
                    _ => self.send(&FromChild::Body(piece)),
                }
            }
        }
        answer
    }

    /// Nothing comes for so long.
    pub(crate) fn is_quiet(&self, how_long: Duration) -> bool {
        mod_wsgi::os::poll::readable(&[self.stream.as_fd()], Some(how_long)).unwrap().is_empty()
    }

    /// One frame; what WANT_BODY asks for. None at the end of the connection.
    pub(crate) fn step(&mut self, answer: &mut Answer) -> Option<Option<u32>> {
        loop {
            match self.reader.next_worker().unwrap() {
                None => {}
                Some(frame) => {
                    match frame {
                        FromWorker::WantBody(want) => {
                            answer.wants.push(want);
                            return Some(Some(want));
                        }
                        FromWorker::Refused => answer.refused = true,
                        FromWorker::Interim { headers } => {
                            answer.hints.push(headers.map(|(name, value)| (text(name), text(value))).collect());
                        }
                        FromWorker::Head { status_line, headers } => {
                            answer.status = text(status_line);
                            answer.headers = headers.map(|(name, value)| (text(name), text(value))).collect();
                        }
                        FromWorker::Data(bytes) => {
                            answer.body.extend_from_slice(bytes);
                            answer.pieces.push(bytes.len());
                        }
                        FromWorker::File { offset, length } => {
                            let mut bytes = vec![0; usize::try_from(length).unwrap()];
                            self.files.remove(0).read_exact_at(&mut bytes, offset).unwrap();
                            answer.body.extend_from_slice(&bytes);
                            answer.pieces.push(0);
                        }
                        FromWorker::Window { size } => {
                            self.window = Some(SeenWords::of(self.files.remove(0).as_fd(), size as usize / 4).unwrap());
                        }
                        FromWorker::Part { offset, length } => {
                            let range = offset as usize..(offset + length) as usize;
                            let bytes = self.window.as_ref().unwrap().bytes(range).unwrap();
                            answer.body.extend(bytes.iter().map(|byte| byte.load(Ordering::Relaxed)));
                            answer.pieces.push(bytes.len());
                        }
                        FromWorker::Log { level, line } => answer.logs.push((level, text(line))),
                        FromWorker::End(end) => answer.end = Some(end),
                    }
                    return Some(None);
                }
            }
            if self.fill().unwrap() == 0 {
                return None;
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut room = nix::cmsg_space!([i32; 4]);
        let mut parts = [IoSliceMut::new(self.reader.space())];
        let got = recvmsg::<()>(self.stream.as_raw_fd(), &mut parts, Some(&mut room), MsgFlags::MSG_CMSG_CLOEXEC)?;
        for message in got.cmsgs()? {
            if let ControlMessageOwned::ScmRights(numbers) = message {
                // SAFETY: made by the kernel just now, and nobody else knows their numbers.
                self.files
                    .extend(numbers.into_iter().map(|number| File::from(unsafe { OwnedFd::from_raw_fd(number) })));
            }
        }
        let count = got.bytes;
        self.reader.filled(count);
        Ok(count)
    }

    /// Whether the worker closes the connection without an answer, or with half of one; waits for it.
    pub(crate) fn is_cut_off(&mut self) -> bool {
        loop {
            match self.reader.next_worker().unwrap() {
                Some(FromWorker::End(_) | FromWorker::Refused) => return false,
                Some(_) => {}
                None => match self.fill() {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(cause) => return cause.kind() == io::ErrorKind::ConnectionReset,
                },
            }
        }
    }

    /// Whether the worker closes the connection without having said anything; waits for it.
    pub(crate) fn is_closed_silently(&mut self) -> bool {
        match self.fill() {
            Ok(count) => count == 0,
            Err(cause) => cause.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
