//! A client of HTTP/2 on one plain connection: streams that are opened, held, and reset as a test says. It reads no header of an
//! answer; what has those asks with curl.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::wait::DEADLINE;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const CANCEL: u32 = 8;

/// What came for a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A head, interim or final; whether the stream ends with it.
    Head(u32, bool),
    Data(u32, Vec<u8>, bool),
    Reset(u32),
}

/// A connection with prior knowledge.
pub(super) struct Streams {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Streams {
    pub(super) fn open(port: u16) -> Streams {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        let mut streams = Streams { stream, unread: Vec::new() };
        streams.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        streams.send(SETTINGS, 0, 0, &[]);
        streams
    }

    /// Asks; `body`: whether one follows.
    pub(super) fn ask(&mut self, stream: u32, method: &str, path: &str, body: bool) {
        let mut block = Vec::new();
        for (name, value) in [(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")] {
            // A literal that is not indexed, its lengths below 127 (RFC 7541, section 6.2.2).
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).unwrap());
                block.extend(text.as_bytes());
            }
        }
        self.send(HEADERS, END_HEADERS | if body { 0 } else { END_STREAM }, stream, &block);
    }

    /// Sends some of a body; the window is the caller's to keep to.
    pub(super) fn body(&mut self, stream: u32, bytes: &[u8], end: bool) {
        self.send(DATA, if end { END_STREAM } else { 0 }, stream, bytes);
    }

    /// Takes so many more bytes of a stream, and of the connection.
    pub(super) fn widen(&mut self, stream: u32, bytes: u32) {
        for stream in [0, stream] {
            self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
        }
    }

    /// RST_STREAM: the client wants no more of it.
    pub(super) fn reset(&mut self, stream: u32) {
        self.send(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
    }

    /// What comes next for any stream.
    pub(super) fn next(&mut self) -> Event {
        loop {
            let (kind, flags, stream, payload) = self.frame();
            match kind {
                HEADERS => return Event::Head(stream, flags & END_STREAM != 0),
                DATA => return Event::Data(stream, payload, flags & END_STREAM != 0),
                RST_STREAM => return Event::Reset(stream),
                SETTINGS | PING if flags & ACK == 0 => {
                    let answer = if kind == PING { payload } else { Vec::new() };
                    self.send(kind, ACK, 0, &answer);
                }
                GOAWAY => panic!("httpd gives the connection up: {payload:?}"),
                _ => {}
            }
        }
    }

    /// Asks and reads to the end of the answer: its body, None where the stream was reset.
    pub(super) fn get(&mut self, stream: u32, path: &str) -> Option<Vec<u8>> {
        self.ask(stream, "GET", path, false);
        self.answer(stream)
    }

    /// Reads to the end of an answer: its body, None where the stream was reset. What comes for others is dropped.
    pub(super) fn answer(&mut self, stream: u32) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            match self.next() {
                Event::Head(of, true) if of == stream => return Some(body),
                Event::Data(of, bytes, end) if of == stream => {
                    body.extend(bytes);
                    if end {
                        return Some(body);
                    }
                }
                Event::Reset(of) if of == stream => return None,
                _ => {}
            }
        }
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length.to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame).unwrap();
    }

    fn frame(&mut self) -> (u8, u8, u32, Vec<u8>) {
        self.fill(9);
        let [a, b, c, kind, flags, stream @ ..] = *self.unread.first_chunk::<9>().unwrap();
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
        self.fill(9 + length);
        let payload = self.unread.drain(..9 + length).skip(9).collect();
        (kind, flags, u32::from_be_bytes(stream) & 0x7fff_ffff, payload)
    }

    fn fill(&mut self, length: usize) {
        while self.unread.len() < length {
            let mut piece = [0; 65536];
            let count = self.stream.read(&mut piece).unwrap();
            assert!(count > 0, "httpd closed the connection");
            self.unread.extend(&piece[..count]);
        }
    }
}
