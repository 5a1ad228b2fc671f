//! A daemon worker: one process of a daemon group, with Python and the applications of its users. `mod_wsgi-worker` is this room.
//!
//! | thread | what |
//! |---|---|
//! | main | Python's main thread: starts it, imports scripts of the main interpreter, ends it |
//! | `wsgi:control` | what the supervisor says, signals, timers (`supervise::worker`); never waits for Python |
//! | `wsgi:accept` | loads scripts first, then accepts connections, asks for HELLO, refuses what is left at the end |
//! | `wsgi:1` .. | serve requests: whichever is free takes the next connection that can be read |
//! | `wsgi:flush` | sends pieces of answers that are held, where the application does not go on |
//! | `wsgi:watch` | what needs the interpreter lock: the probe of `deadlock-timeout`, interruptions, stacks for the log |
//!
//! Started by the supervisor with the control channel as descriptor 3 and a log pipe as 1 and 2. Knows neither httpd nor its memory.

mod acceptor;
mod begin;
mod board;
mod body;
mod changes;
mod connection;
mod control;
mod flush;
mod host;
mod lobby;
mod log;
mod outlet;
mod process;
mod requests;
mod scoreboard;
mod serve;
mod watch;
mod window;

use crate::wire::LANGUAGE;

/// The whole life of the process; answers its exit status.
#[must_use]
pub fn main() -> u8 {
    std::hint::black_box(LANGUAGE);
    match begin::begin() {
        Ok(Some(python)) => {
            python.live();
            0
        }
        // The supervisor went before it said what to do.
        Ok(None) => 0,
        Err(begin::Unfit) => UNFIT,
    }
}

/// The status of a worker that can't start; it has said why.
const UNFIT: u8 = 70;
