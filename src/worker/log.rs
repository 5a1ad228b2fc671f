//! Lines for the group's error log: through the pipe to the supervisor, which knows the format and the log. For all threads.

use std::io::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::python::give_way;
use crate::wsgi::Level;

/// What the group's `LogLevel` lets through.
static MOST: AtomicU8 = AtomicU8::new(8);

/// Sets the least serious level that is written at all.
pub(super) fn set_level(most: u8) {
    MOST.store(most, Ordering::Relaxed);
}

/// Whether a line of this level would be written.
pub(super) fn shows(level: Level) -> bool {
    number(level) <= MOST.load(Ordering::Relaxed)
}

/// Writes one line. Waits where the log takes none; a thread that has stayed attached to an interpreter gives that up before.
pub(super) fn line(level: Level, text: &[u8]) {
    let number = number(level);
    if number <= MOST.load(Ordering::Relaxed) {
        give_way();
        // One write, so that lines of several threads stay whole. Nobody reads it any more: there is nowhere to say so.
        let _ = std::io::stderr().lock().write_all(&[&[1, b'0' + number], text, b"\n"].concat());
    }
}

/// httpd's number of a level (`APLOG_CRIT` .. `APLOG_TRACE1`).
pub(super) const fn number(level: Level) -> u8 {
    match level {
        Level::Crit => 2,
        Level::Error => 3,
        Level::Warn => 4,
        Level::Notice => 5,
        Level::Info => 6,
        Level::Debug => 7,
        Level::Trace1 => 8,
    }
}

/// Panics become one line instead of a report on several.
pub(super) fn catch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        let said = panic.payload_as_str().unwrap_or("no text");
        line(Level::Crit, format!("WSGI0401: mod_wsgi failed at {place}: {said}").as_bytes());
    }));
}
