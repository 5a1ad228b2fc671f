//! Linux, as far as processes of ours need it: channels with descriptors, starting and watching processes, signals, waiting, log pipes
//! and records.
//!
//! Used by httpd's parent and children (`proxy`), the supervisor and the workers. Nothing here knows what a message means: bytes,
//! descriptors and process ids go in and out. Every descriptor made here is close-on-exec and owned by a value that closes it.
//! One of the rooms that may hold `unsafe`; `nix`'s safe wrappers come first.

pub mod channel;
pub mod connect;
pub mod epoll;
pub mod farewell;
pub mod forked;
pub mod handlers;
#[cfg(feature = "hosted")]
pub mod hosted;
pub mod identity;
pub mod limits;
pub mod listen;
pub mod logpipe;
pub mod memory;
pub mod pidfd;
pub mod policy;
pub mod poll;
pub mod record;
pub mod report;
mod rights;
pub mod signals;
pub mod spawn;
pub mod stream;
pub mod title;
pub mod wake;
pub mod window;
