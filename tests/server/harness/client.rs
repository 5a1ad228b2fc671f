//! A raw HTTP/1 client: exact bytes out, and every detail of what comes back, also of a response that was cut off.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::RcvBuf};

use super::wait::DEADLINE;

/// A request as it will be on the wire.
#[derive(Clone)]
pub(crate) struct Request {
    method: String,
    target: String,
    version: &'static str,
    headers: Vec<(String, String)>,
    body: Body,
    keep: bool,
}

#[derive(Clone)]
enum Body {
    None,
    Sized(Vec<u8>),
    Chunked(Vec<Vec<u8>>),
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Request {
        Request {
            method: method.to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1",
            headers: Vec::new(),
            body: Body::None,
            keep: false,
        }
    }

    pub(crate) fn get(target: &str) -> Request {
        Request::new("GET", target)
    }

    pub(crate) fn post(target: &str, body: impl AsRef<[u8]>) -> Request {
        Request::new("POST", target).body(body)
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Request {
        self.body = Body::Sized(body.as_ref().to_vec());
        self
    }

    /// Sends the body chunked, one chunk per piece.
    pub(crate) fn chunks(mut self, pieces: &[&[u8]]) -> Request {
        self.body = Body::Chunked(pieces.iter().map(|piece| piece.to_vec()).collect());
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn version(mut self, version: &'static str) -> Request {
        self.version = version;
        self
    }

    /// Leaves the connection open after the response.
    pub(crate) fn keep_alive(mut self) -> Request {
        self.keep = true;
        self
    }

    /// Everything up to and including the empty line.
    pub(crate) fn head_bytes(&self, port: u16) -> Vec<u8> {
        let mut head = format!("{} {} {}\r\n", self.method, self.target, self.version);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("Host: localhost:{port}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        match &self.body {
            Body::None => {}
            Body::Sized(body) => head += &format!("Content-Length: {}\r\n", body.len()),
            Body::Chunked(_) => head += "Transfer-Encoding: chunked\r\n",
        }
        if !self.keep && self.version == "HTTP/1.1" {
            head += "Connection: close\r\n";
        }
        // Latin-1, so that a test can put any byte into a header.
        let mut bytes: Vec<u8> = head.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect();
        bytes.extend(b"\r\n");
        bytes
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    fn bytes(&self, port: u16) -> Vec<u8> {
        let mut bytes = self.head_bytes(port);
        match &self.body {
            Body::None => {}
            Body::Sized(body) => bytes.extend(body),
            Body::Chunked(pieces) => {
                for piece in pieces {
                    bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                    bytes.extend(piece);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            }
        }
        bytes
    }
}

/// A response as it came.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(super) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as its framing says; false for a response that was cut off.
    pub(crate) complete: bool,
    /// Status codes of interim responses (100, 103) that came before.
    pub(crate) interim: Vec<u16>,
    /// Their headers.
    pub(crate) hints: Vec<(String, String)>,
}

impl Response {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Every header of that name, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON of a 200 answer.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|cause| panic!("{cause}: {:?}", self.text()))
    }

    /// The text of a complete answer with status 200.
    pub(crate) fn ok(&self) -> String {
        assert_eq!((self.status, self.complete), (200, true), "{}", self.text());
        self.text()
    }
}

/// A status line and headers: code, reason, names with values.
type Head = (u16, String, Vec<(String, String)>);

/// One connection to httpd.
pub(crate) struct Connection {
    stream: TcpStream,
    port: u16,
    unread: Vec<u8>,
    /// Before each read.
    pause: Duration,
}

impl Connection {
    pub(crate) fn open(port: u16) -> Connection {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { stream, port, unread: Vec::new(), pause: Duration::ZERO }
    }

    /// Sends exactly these bytes; false when the server has gone.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// The same connection for another thread that sends while this one reads.
    pub(crate) fn sender(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// Sends only the head of a request, whatever its body.
    pub(crate) fn send_head(&mut self, request: &Request) {
        assert!(self.send(request.head_bytes(self.port)));
    }

    /// Sends a request and reads its response.
    pub(crate) fn ask(&mut self, request: &Request) -> Response {
        // A server may answer and close before it has read all of the body: then the answer counts.
        self.send(request.bytes(self.port));
        self.response(&request.method)
    }

    /// As [`Connection::ask`], reading while the body is still being sent; None where the connection ends before a whole
    /// head.
    pub(crate) fn ask_both_ways(&mut self, request: &Request) -> Option<Response> {
        let (mut sender, bytes) = (self.sender(), request.bytes(self.port));
        std::thread::scope(|scope| {
            if bytes.len() < 65536 {
                self.send(bytes);
            } else {
                scope.spawn(move || sender.write_all(&bytes));
            }
            self.try_response(&request.method)
        })
    }

    /// From now on takes little at a time, with a pause before each read.
    pub(crate) fn read_slowly(&mut self, pause: Duration) {
        setsockopt(&self.stream, RcvBuf, &16384).unwrap();
        self.pause = pause;
    }

    pub(crate) fn local_port(&self) -> u16 {
        self.stream.local_addr().unwrap().port()
    }

    /// Reads the response to a request of that method.
    pub(crate) fn response(&mut self, method: &str) -> Response {
        self.try_response(method).unwrap_or_else(|| panic!("the connection ended without a response"))
    }

    /// As [`Connection::response`]; None where the connection ends before a whole head.
    pub(crate) fn try_response(&mut self, method: &str) -> Option<Response> {
        let (mut interim, mut hints) = (Vec::new(), Vec::new());
        let (status, reason, headers) = loop {
            let head = self.head()?;
            if (100..200).contains(&head.0) {
                interim.push(head.0);
                hints.extend(head.2);
            } else {
                break head;
            }
        };
        let mut response = Response { status, reason, headers, body: Vec::new(), complete: true, interim, hints };
        let bodyless = method == "HEAD" || status == 204 || status == 304;
        if bodyless {
            return Some(response);
        }
        if response.header("Transfer-Encoding") == Some("chunked") {
            response.complete = self.chunks(&mut response.body);
        } else if let Some(length) = response.header("Content-Length") {
            let length = length.parse().unwrap();
            response.complete = self.fill(length);
            let length = length.min(self.unread.len());
            response.body = self.unread.drain(..length).collect();
        } else {
            response.complete = self.read_to_end();
            response.body = std::mem::take(&mut self.unread);
        }
        Some(response)
    }

    /// Reads one head, interim or final.
    pub(crate) fn head(&mut self) -> Option<Head> {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at;
            }
            if !self.more() {
                return None;
            }
        };
        let head: String = self.unread.drain(..end + 4).map(char::from).collect();
        let mut lines = head.trim_end().split("\r\n");
        let mut words = lines.next().unwrap().splitn(3, ' ').skip(1);
        let status = words.next().unwrap().parse().unwrap();
        let reason = words.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        Some((status, reason, headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()))
    }

    /// Reads chunks to the last one; false if the connection ends before it.
    fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let Some(line) = self.line() else { return false };
            let Ok(length) = usize::from_str_radix(line.trim(), 16) else { return false };
            if !self.fill(length + 2) {
                let part = length.min(self.unread.len());
                body.extend(self.unread.drain(..part));
                return false;
            }
            body.extend(self.unread.drain(..length));
            self.unread.drain(..2);
            if length == 0 {
                return true;
            }
        }
    }

    /// Reads at least one chunk's worth of whatever came; what is unread so far.
    pub(crate) fn peek(&mut self) -> &[u8] {
        if self.unread.is_empty() {
            self.more();
        }
        &self.unread
    }

    /// Everything that came up to now, framing and all; waits for something first.
    pub(crate) fn gathered(&mut self) -> String {
        self.more();
        String::from_utf8_lossy(&self.unread).into_owned()
    }

    /// Everything to the end of the connection, framing and all.
    pub(crate) fn rest(&mut self) -> String {
        self.read_to_end();
        String::from_utf8_lossy(&std::mem::take(&mut self.unread)).into_owned()
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = find(&self.unread, b"\r\n") {
                let line = self.unread.drain(..at + 2).map(char::from).collect();
                return Some(line);
            }
            if !self.more() {
                return None;
            }
        }
    }

    fn fill(&mut self, length: usize) -> bool {
        while self.unread.len() < length {
            if !self.more() {
                return false;
            }
        }
        true
    }

    /// Reads to the end of the connection; false when it ended by a reset.
    fn read_to_end(&mut self) -> bool {
        loop {
            let mut piece = [0; 65536];
            match self.stream.read(&mut piece) {
                Ok(0) => return true,
                Ok(count) => self.unread.extend(&piece[..count]),
                Err(cause) if cause.kind() == ErrorKind::ConnectionReset => return false,
                Err(cause) => panic!("reading from httpd: {cause}"),
            }
        }
    }

    /// Whether the server has closed the connection and sends nothing more.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && !self.more()
    }

    /// Tells the server that nothing more comes, while still reading.
    pub(crate) fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    fn more(&mut self) -> bool {
        std::thread::sleep(self.pause);
        let mut piece = [0; 65536];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(count) => {
                self.unread.extend(&piece[..count]);
                true
            }
            Err(cause) if matches!(cause.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => false,
            Err(cause) => panic!("reading from httpd: {cause}"),
        }
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
