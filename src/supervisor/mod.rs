//! `mod_wsgi-supervisor`: starts, watches, replaces and ends all daemon workers of one httpd.
//!
//! One process with one thread and one loop for the life of httpd's parent, as its user (root, mostly); no Python, nothing of httpd's.
//! What to do is decided in `supervise`; here is what it is done with: processes, channels, log pipes, signals, time. It outlives
//! graceful restarts. When the parent is gone, however that came about, it ends all workers and itself. From workers it takes messages
//! of a known form, log lines, and numbers and names from their board; whatever else they send has them ended.

mod board;
mod groups;
mod log;
mod memory;
mod run;
mod states;
mod syslog;
mod workers;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::SystemTime;

use crate::os::logpipe::PLAIN_LEVEL;
use crate::os::record::{Format, Line};
use crate::wire::LANGUAGE;

/// The whole program. Standard error is the main server's error log.
#[must_use]
pub fn main() -> ExitCode {
    std::hint::black_box(LANGUAGE);
    match run::Supervisor::adopt().and_then(run::Supervisor::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            complain(&format!("WSGI0340: the supervisor of daemon processes can't go on: {cause}."));
            ExitCode::FAILURE
        }
    }
}

/// For what concerns no group.
fn complain(text: &str) {
    let pid = nix::unistd::getpid().as_raw();
    let line = Line { level: PLAIN_LEVEL, pid, now: SystemTime::now(), server_name: b"", text: text.as_bytes() };
    for record in Format::usual().records(&line) {
        // Where this fails there is nobody left to be told.
        let _written = std::io::stderr().write_all(&record);
    }
}
