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

/// An exception that came out of an application or its script while it was `doing` something; the status of the answer, where one is
/// due.
pub(super) fn exception(
    py: Py<'_>,
    interpreter: &Interpreter,
    log: &dyn Log,
    script: &[u8],
    doing: &str,
    raised: &Raised<'_>,
) -> u16 {
    let (head, level, status) = if raised.is_system_exit() && interpreter.is_service() {
        return 500;
    } else if raised.is_system_exit() {
        let text =
            format!("WSGI0175: {doing} {} raised SystemExit, which ends nothing here and is ignored:", Quoted(script));
        (text, Level::Error, 500)
    } else if interpreter.is_request_timeout(py, raised.exception()) {
        let text = format!(
            "WSGI0400: {doing} {} took longer than request-timeout and was interrupted; where it was is logged at level info",
            Quoted(script)
        );
        (text, Level::Warn, 504)
    } else {
        (failure(doing, script), Level::Error, 500)
    };
    log.line(py, level, head.as_bytes());
    let level = if level == Level::Warn { Level::Info } else { level };
    match interpreter.call(py, c"describe", &[raised.exception()]) {
        Ok(lines) => {
            for line in lines.exact_sequence().unwrap_or_default() {
                log.line(py, level, line.utf8_lossy().unwrap_or_default().as_bytes());
            }
        }
        Err(_) => log.line(py, level, raised.to_string().as_bytes()),
    }
    status
}
