//! Apache's WSGI module in Rust: `mod_wsgi.so`.
//!
//! The rooms, lowest floor first; a room names only rooms below it (`docs/ARCHITECTURE.md`, checked by `tests/tidy.rs`).
//!
//! | room | what | may hold `unsafe` |
//! |---|---|---|
//! | [`config`] | directive table, what was typed, merge rules | no |
//! | [`wsgi`] | environ rules, status and header checks, path splitting | no |
//! | `bindings` | bindgen's output, the C shim, layout checks | yes |
//! | `apache` | panic boundary, pool, request, brigade, server, log, command | yes |
//! | `python` | runtime, interpreters, thread states, objects, streams | yes |
//! | `application` | loads scripts, builds environ, calls, iterates, reports; talks to a `Host` | no |
//! | `embedded` | `Host` over a live request in an httpd child | no |
//! | `hooks` | thin: adopt the C arguments, delegate, answer | record only |

pub mod board;
pub mod config;
pub mod wire;
pub mod wsgi;

#[cfg(feature = "module")]
mod apache;
#[cfg(feature = "module")]
mod application;
#[cfg(feature = "module")]
mod bindings;
#[cfg(feature = "module")]
mod embedded;
#[cfg(feature = "module")]
mod front;
#[cfg(feature = "module")]
mod hooks;
#[cfg(feature = "module")]
mod os;
#[cfg(feature = "module")]
mod python;
