//! Server tests: a real httpd with the real module, each test with its own few lines of configuration.
//!
//! Run by `make test`, or `cargo test --no-default-features --test server` once the module is built. `MOD_WSGI_SO` names
//! another module to test, `HTTPD` and `APXS` another httpd; without any httpd the tests are skipped, loudly, unless
//! `REQUIRE_HTTPD` is set. A failed test keeps its folder and prints the path.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that fails panics; clippy knows test functions, but not what they call"
)]

mod harness;

// Scripts that httpd asks, handlers that are scripts.
mod access;

// Kept connections whose client asks again at once.
mod again;

// mod_ssl, mod_http2, mod_php and others in the same server.
mod beside;

// What httpd -t refuses.
mod config_errors;
// What daemon mode has of its own.
mod daemon;
// What an application finds in environ.
mod environ;
// wsgi.errors, sys.stderr, logging: which log, which record.
mod errors_log;
// conf-examples/.
mod examples;
// C extensions in several interpreters.
mod extensions;
// wsgi.file_wrapper.
mod file_wrapper;
// Flask, Django, Werkzeug, wsgiref.
mod frameworks;
// Request bodies.
mod input;
// Settings of single interpreters.
mod interpreter_options;
// Application groups.
mod interpreters;
// Starts, restarts and ends.
mod lifecycle;
// From URL to script.
mod mapping;
// The Python modules mod_wsgi and apache.
mod python_api;
// Which Python, set up how.
mod python_setup;
// What users start from: a table of configurations, and tests of those that no other module has.
mod recipes;
// Responses, good and broken.
mod response;
// Scripts as modules.
mod scripts;
// Everything at once.
mod soak;
// Headers of a proxy in front.
mod trusted_proxies;
