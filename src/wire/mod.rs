//! What travels between httpd's children, workers, supervisor and parent: frames of requests, and messages about processes.
//!
//! Frames ([`FromChild`], [`FromWorker`], [`Reader`]) are the language of children and workers on their UNIX stream sockets; who may say
//! what when is in `docs/protocol.md`. This room only turns frames into bytes and back: it reads and writes no descriptor and knows no
//! clock. Both ends hold the other for a peer, not a friend: every length is checked before memory is taken for it, and what is not
//! known is an error, after which the connection is closed.
#![forbid(unsafe_code)]

pub mod control;

mod child;
mod entries;
mod error;
mod fields;
mod frame;
mod reader;
mod request;
mod worker;

#[cfg(test)]
mod tests;

pub use child::{BodyError, FromChild, Hello, body_header};
pub use entries::{Entries, Headers};
pub use error::{FrameError, Kind};
pub use frame::{
    BODY_MOST, DATA_MOST, HEAD_MOST, HEADER, INTERIM_MOST, LOG_MOST, REQUEST_MOST, WHOLE_MOST, WINDOW_MOST,
};
pub use reader::{HEADER_LINE, Reader};
pub use request::{Body, Request};
pub use worker::{End, FromWorker, PART, data_header, encode_head, encode_interim, part};

/// The version of the frames; a peer of another version is refused at its HELLO. Raised with every change of the frames.
pub const VERSION: u16 = 4;

/// Stands in the bytes of the module and of each program: all must be of one build, and the module looks for it before it starts them.
pub const LANGUAGE: &str = concat!("mod_wsgi-rs speaks ", env!("WSGI_LANGUAGE"), ".");
