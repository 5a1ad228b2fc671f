//! Daemon mode, httpd's side: the parent starts supervisor and sockets, children send requests to workers and answers to clients.
//!
//! `parent` runs in httpd's parent (post_config, clean-ups, the end of the supervisor); all else in children, on the MPM's request threads.
//! A child holds kept connections to each worker process and counts its requests in memory shared with the other children (`board`).
//! No Python runs here. The worker is a peer, not a friend: what it sends is checked before httpd sees it.

mod child;
mod client;
mod connection;
mod failure;
mod group;
mod owner;
mod parent;
mod permission;
mod relay;
mod search;
mod serve;
#[cfg(test)]
mod testing;

pub(crate) use child::{start, stopping};
pub(crate) use parent::{advise, advise_test, check, monitor, prepare};
pub(crate) use serve::serve;
