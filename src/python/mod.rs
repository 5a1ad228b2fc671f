//! CPython, embedded: the only room that speaks its C API (`pyo3_ffi`).
//!
//! Runs in httpd's children and in daemon workers, never in the parent. [`Runtime`] starts Python in a process,
//! [`Interpreter::enter`] attaches the calling thread to one interpreter for as long as a closure runs, and hands it a
//! [`Py`]: proof of being attached, which every operation on an [`Object`] needs. `PyGILState_*` is never used: it knows one
//! interpreter only (CPython documentation, "Sub-interpreter support").
//!
//! Lock order: a Rust lock that is held across Python code does not exist. A lock may be waited for only while detached,
//! or be one that is never held over blocking work.

mod callback;
mod error;
mod exchange;
mod extension;
mod figures;
mod headers;
mod home;
mod interpreter;
mod interrupt;
mod keys;
mod line;
mod module;
mod native;
mod object;
mod pace;
mod preflight;
mod runtime;
mod shown;
mod state;

pub(crate) use error::Raised;
pub(crate) use exchange::{Exchange, Lent, RequestEnded};
pub(crate) use extension::{Extension, Support, extensions};
pub(crate) use figures::{Meter, Used, now};
pub(crate) use home::MainThread;
pub(crate) use interpreter::{Entry, Interpreter};
pub(crate) use interrupt::{Running, deliver_signal};
pub(crate) use native::{Errors, version};
pub(crate) use object::{Object, Stored};
pub(crate) use pace::Pace;
pub(crate) use runtime::{Apache, HashSeed, Runtime, Serving, Settings, StartError};
pub(crate) use shown::{Shown, hide};
pub(crate) use state::{Closed, Py, give_way, is_lingering, linger, was_quick, within};
