//! One client of the soak: rolls what it asks for, and says whether the answer is the right one, byte for byte.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Dice, Span};
use crate::harness::client::Connection;
use crate::harness::{Request, Response, Server};

/// What the application has in its answers and asks for in bodies.
pub(super) fn block(number: u64, place: u64) -> Vec<u8> {
    format!("{number:08}{place:07}\n").repeat(4096).into_bytes()
}

fn blocks(number: u64, size: u64) -> Vec<u8> {
    (0..size).flat_map(|place| block(number, place)).collect()
}

/// One request, and what became of it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) number: u64,
    /// What was asked for.
    pub(super) target: String,
    /// The client's port.
    pub(super) port: u16,
    pub(super) time: Span,
    pub(super) outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Outcome {
    /// Answered, completely, with what was asked for.
    Right,
    /// Anything else; with the status, where there was one.
    Wrong(Option<u16>, String),
    /// The client left before the answer was whole.
    Left,
    /// The client left before its request was whole, so that nobody may begin it.
    LeftInHead,
}

pub(super) struct Client<'a> {
    pub(super) server: &'a Server,
    pub(super) numbers: &'a AtomicU64,
    pub(super) dice: Dice,
}

impl Client<'_> {
    /// Asks for something, on a connection of its own.
    pub(super) fn ask(&mut self) -> Record {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let mount = ["/one", "/two", "/here"][usize::try_from(self.dice.roll(3)).unwrap()];
        let target = |work: &str, size: u64| format!("{mount}/{work}/{number}/{size}");
        let get = |work: &str, size: u64| Request::get(&target(work, size));
        let post = |work: &str, size: u64| Request::post(&target(work, size), blocks(number, size));
        let small = number.to_string();
        let server = self.server;
        match self.dice.roll(100) {
            0..35 => asked(server, number, get("quick", 0), |_| {}, small.as_bytes()),
            35..60 => asked(server, number, get("wait", self.dice.roll(40)), |_| {}, small.as_bytes()),
            60..70 => {
                let whole = format!("{number} whole");
                asked(server, number, post("up", self.dice.roll(16)), |_| {}, whole.as_bytes())
            }
            70..75 => {
                let size = self.dice.roll(16);
                asked(server, number, post("echo", size), |_| {}, &blocks(number, size))
            }
            75..80 => {
                let size = self.dice.roll(16);
                asked(server, number, get("down", size), |_| {}, &blocks(number, size))
            }
            80..85 => {
                let size = self.dice.roll(16);
                asked(server, number, get("large", size), |_| {}, &blocks(number, size))
            }
            85..88 => asked(server, number, get("file", 48), |_| {}, &blocks(0, 48)),
            88..92 => {
                let slow = |connection: &mut Connection| connection.read_slowly(Duration::from_millis(15));
                let work = ["down", "large"][usize::try_from(self.dice.roll(2)).unwrap()];
                asked(server, number, get(work, 24), slow, &blocks(number, 24))
            }
            92..94 => left(server, number, &get("quick", 0), Outcome::LeftInHead, |connection, head| {
                connection.send(&head[..head.len() / 2]);
            }),
            94..96 => left(server, number, &post("up", 8), Outcome::Left, |connection, head| {
                connection.send(head);
                connection.send(blocks(number, 3));
            }),
            96..98 => left(server, number, &get("wait", 30), Outcome::Left, |connection, head| {
                connection.send(head);
            }),
            _ => left(server, number, &get("down", 24), Outcome::Left, |connection, head| {
                connection.send(head);
                connection.peek();
            }),
        }
    }
}

/// A request that is in the application until `var/go` is there.
pub(super) fn hold(server: &Server, mount: &str, number: u64) -> Record {
    let request = Request::get(&format!("{mount}/hold/{number}/0"));
    asked(server, number, request, |_| {}, number.to_string().as_bytes())
}

fn asked(
    server: &Server,
    number: u64,
    request: Request,
    prepare: impl FnOnce(&mut Connection),
    expected: &[u8],
) -> Record {
    record(server, number, request.target().to_owned(), |connection| {
        prepare(connection);
        judge(number, connection.ask_both_ways(&request), expected)
    })
}

fn judge(number: u64, response: Option<Response>, expected: &[u8]) -> Outcome {
    let Some(response) = response else { return Outcome::Wrong(None, "no answer".to_owned()) };
    let wrong = |text: String| Outcome::Wrong(Some(response.status), text);
    if response.status != 200 {
        return wrong(format!("status {}", response.status));
    }
    let named = response.header("X-Number").unwrap_or("none").to_owned();
    if named != number.to_string() {
        return wrong(format!("the answer to request {named}"));
    }
    if !response.complete {
        return wrong(format!("cut off after {} of {} bytes", response.body.len(), expected.len()));
    }
    if response.body != expected {
        let from = response.body.iter().zip(expected).take_while(|(one, other)| one == other).count();
        return wrong(format!("{} bytes for {}, other ones from {from} on", response.body.len(), expected.len()));
    }
    Outcome::Right
}

/// Sends some of a request and closes the connection.
fn left(
    server: &Server,
    number: u64,
    request: &Request,
    outcome: Outcome,
    send: impl FnOnce(&mut Connection, &[u8]),
) -> Record {
    record(server, number, request.target().to_owned(), |connection| {
        send(connection, &request.head_bytes(server.port));
        outcome
    })
}

fn record(server: &Server, number: u64, target: String, work: impl FnOnce(&mut Connection) -> Outcome) -> Record {
    let from = Instant::now();
    let mut connection = server.connect();
    let port = connection.local_port();
    // A client that waits in vain panics; which request it was is for the ledger to tell.
    let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut connection)))
        .unwrap_or_else(|_| Outcome::Wrong(None, "the client gave up".to_owned()));
    drop(connection);
    Record { number, target, port, time: Span { from, to: Instant::now() }, outcome }
}
