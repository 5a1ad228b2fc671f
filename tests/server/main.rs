//! Server tests: a real httpd with the real module, each test with its own few lines of configuration.
//!
//! Run by `make test`, or `cargo test --no-default-features --test server` once the module is built. `MOD_WSGI_SO` names
//! another module to test, `HTTPD` and `APXS` another httpd; without any httpd the tests are skipped, loudly, unless
//! `REQUIRE_HTTPD` is set. A failed test keeps its folder and prints the path.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that fails panics; clippy knows test functions, but not what they call"
)]

mod harness;

// What an application finds in environ.
mod environ;
// Request bodies.
mod input;
// wsgi.errors, sys.stderr, logging: which log, which record.
mod errors_log;
// wsgi.file_wrapper.
mod file_wrapper;
// Application groups.
mod interpreters;
// From URL to script.
mod mapping;
// Responses, good and broken.
mod response;
