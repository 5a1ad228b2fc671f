//! A worker alone: the real executable with a control channel and a listening socket, spoken to as the supervisor and httpd's children do.
//!
//! Needs no httpd. `MOD_WSGI_WORKER` names the executable; a build with all features brings its own. Without either the tests are
//! skipped, loudly, unless `REQUIRE_HTTPD` is set.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that fails panics; clippy knows test functions, but not what they call"
)]

mod child;
mod supervisor;

// What it writes into memory that others read.
mod board;
// Python's end.
mod ends;
// Requests, bodies, responses.
mod exchange;
// Interpreters with a GIL of their own.
mod gils;
// Who is not let in, and what is not believed.
mod hostile;
// Timers and limits.
mod limits;
// Beginnings, replacements and ends.
mod lives;
// What applications say.
mod records;
