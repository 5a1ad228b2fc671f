//! Apache's WSGI module in Rust: `mod_wsgi.so`.
//!
//! The rooms, lowest floor first; a room names only rooms below it (`docs/ARCHITECTURE.md`, checked by `tests/tidy.rs`).
//!
//! | room | what | may hold `unsafe` |
//! |---|---|---|
//! | [`config`] | directive table, what was typed, merge rules | no |
//! | [`wsgi`] | environ rules, status and header checks, path splitting | no |
//! | [`metrics`] | figures about requests, of an interval and of a process | no |
//! | [`wire`] | frames of requests, messages about processes | no |
//! | [`board`] | counts of requests in flight, in memory that children share | no |
//! | [`supervise`] | lives of workers and groups as state machines | no |
//! | [`os`] | channels, processes, signals, log pipes of Linux | yes |
//! | `bindings` | bindgen's output, the C shim, layout checks | yes |
//! | `apache` | panic boundary, pool, request, brigade, server, log, command | yes |
//! | `python` | runtime, interpreters, thread states, objects, streams | yes |
//! | `application` | loads scripts, builds environ, calls, iterates, reports; talks to a `Host` | no |
//! | `front` | what both modes do to a request: map, admit, name groups, describe it | no |
//! | `worker` | a daemon process: serves requests that come as frames, with a `Host` over them | no |
//! | `embedded` | `Host` over a live request in an httpd child | no |
//! | `access` | scripts that httpd asks about hosts, users, groups, and where a request runs | no |
//! | `proxy` | daemon mode in httpd: the parent starts it, children send requests to workers | no |
//! | [`supervisor`] | the process that starts, watches, replaces and ends daemon workers | no |
//! | `hooks` | thin: adopt the C arguments, delegate, answer | no |
//!
//! Here stands only the record that httpd loads.

#![cfg_attr(
    all(feature = "worker", not(feature = "module")),
    expect(dead_code, unused_imports, reason = "what httpd's children alone use of `application` and `python`")
)]

pub mod board;
pub mod config;
pub mod metrics;
pub mod os;
pub mod supervise;
pub mod supervisor;
pub mod wire;
pub mod wsgi;

#[cfg(feature = "module")]
mod access;
#[cfg(feature = "module")]
mod apache;
#[cfg(feature = "worker")]
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
mod proxy;
#[cfg(feature = "worker")]
mod python;
#[cfg(feature = "worker")]
pub mod worker;

/// What `LoadModule wsgi_module` looks for: the one symbol that this library exports.
#[cfg(feature = "module")]
#[unsafe(no_mangle)]
static wsgi_module: apache::Record = hooks::record();

/// What the C library begins Python's executable with, where this library is loaded in front of it ([`os::hosted`]).
///
/// # Safety
/// For that beginning alone.
#[cfg(feature = "hosted")]
#[unsafe(no_mangle)]
unsafe extern "C" fn __libc_start_main(
    _main: os::hosted::Main,
    count: std::ffi::c_int,
    arguments: *mut *mut std::ffi::c_char,
    init: *mut std::ffi::c_void,
    fini: *mut std::ffi::c_void,
    end_of_loader: *mut std::ffi::c_void,
    stack: *mut std::ffi::c_void,
) -> std::ffi::c_int {
    let (start, main) = os::hosted::instead(worker::main);
    // SAFETY: what the program's first instructions passed, but for `main`.
    unsafe { start(main, count, arguments, init, fini, end_of_loader, stack) }
}
