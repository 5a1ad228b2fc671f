//! Says in the log what went wrong in an application: a line with the cause, then the traceback, a record per line.

use crate::python::{Exchange, Interpreter, Py, Raised};
use crate::wsgi::{Level, Quoted};

/// Where a report goes.
pub(super) trait Log {
    fn line(&self, py: Py<'_>, level: Level, line: &[u8]);
}

impl Log for Exchange {
    fn line(&self, py: Py<'_>, level: Level, line: &[u8]) {
        // The request has ended meanwhile: there is nobody to tell.
        let _ = self.log(py, level, line);
    }
}

impl Log for fn(Level, &[u8]) {
    fn line(&self, py: Py<'_>, level: Level, line: &[u8]) {
        py.detach(|| self(level, line));
    }
}

/// The line before the cause: `doing` says what failed in which script.
pub(super) fn failure(doing: &str, script: &[u8]) -> String {
    format!("WSGI0174: {doing} {} failed:", Quoted(script))
}

/// An exception that came out of an application or its script while it was `doing` something.
pub(super) fn exception(
    py: Py<'_>,
    interpreter: &Interpreter,
    log: &dyn Log,
    script: &[u8],
    doing: &str,
    raised: &Raised<'_>,
) {
    let head = if raised.is_system_exit() {
        format!("WSGI0175: {doing} {} raised SystemExit, which ends nothing here and is ignored:", Quoted(script))
    } else {
        failure(doing, script)
    };
    log.line(py, Level::Error, head.as_bytes());
    match interpreter.call(py, c"describe", &[raised.exception()]) {
        Ok(lines) => {
            for line in lines.exact_sequence().unwrap_or_default() {
                log.line(py, Level::Error, line.utf8_lossy().unwrap_or_default().as_bytes());
            }
        }
        Err(_) => log.line(py, Level::Error, raised.to_string().as_bytes()),
    }
}
