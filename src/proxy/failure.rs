//! Why a request got no answer from a worker: what the client sees and what the log says. The numbers are C mod_wsgi's.

use std::io;
use std::time::Duration;

use crate::wire::FrameError;
use crate::wsgi::Quoted;

/// The text is for the request's error log, [`Failure::status`] for the client.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(
        "WSGI0081: the script {} is not below the chroot of the daemon process group {}, {}",
        Quoted(script),
        Quoted(group),
        Quoted(chroot)
    )]
    OutsideChroot { script: Vec<u8>, group: Vec<u8>, chroot: Vec<u8> },
    #[error("WSGI0084: no process of the daemon process group {} was free within queue-timeout ({} s)", Quoted(group), limit.as_secs_f32())]
    QueueTimeout { group: Vec<u8>, limit: Duration },
    #[error("WSGI0115: no socket could be made to reach the daemon process group {}: {cause}", Quoted(group))]
    NoSocket { group: Vec<u8>, cause: io::Error },
    #[error(
        "WSGI0116: no process of the daemon process group {} takes requests: tried for {} s (connect-timeout is {} s); look for \
         its lines in its error log",
        Quoted(group),
        waited.as_secs(),
        limit.as_secs()
    )]
    NoProcess { group: Vec<u8>, waited: Duration, limit: Duration },
    #[error("WSGI0364: the daemon process group {} can't start; its own lines in the error log say why", Quoted(group))]
    CantStart { group: Vec<u8> },
    #[error(
        "WSGI0117: the socket {} of the daemon process group {} can't be reached: {cause}; {}",
        Quoted(path),
        Quoted(group),
        remedy(cause)
    )]
    Unreachable { group: Vec<u8>, path: Vec<u8>, cause: io::Error },
    #[error("WSGI0121: the request can't be sent to the daemon process group {}: {cause}", Quoted(group))]
    NotSent { group: Vec<u8>, cause: io::Error },
    #[error("WSGI0125: the request can't be sent to the daemon process group {}: it would be {cause}", Quoted(group))]
    NotEncoded { group: Vec<u8>, cause: FrameError },
    #[error("WSGI0124: {tries} processes of the daemon process group {} in a row were just ending", Quoted(group))]
    AllLeaving { group: Vec<u8>, tries: u32 },
    #[error("WSGI0144: the daemon process group {} sent {cause}", Quoted(group))]
    HeadTooLong { group: Vec<u8>, cause: FrameError },
    #[error("WSGI0145: the application in the daemon process group {} did not answer within socket-timeout ({} s)", Quoted(group), limit.as_secs())]
    AnswerTimeout { group: Vec<u8>, limit: Duration },
    #[error(
        "WSGI0146: the process of the daemon process group {} that had the request ended before it answered; look for its end in \
         the error log",
        Quoted(group)
    )]
    Vanished { group: Vec<u8> },
    #[error("WSGI0147: the answer of the daemon process group {} can't be read: {cause}", Quoted(group))]
    NotRead { group: Vec<u8>, cause: io::Error },
    #[error("WSGI0148: the daemon process group {} answered with {cause}", Quoted(group))]
    Malformed { group: Vec<u8>, cause: String },
    #[error(
        "WSGI0150: there is no daemon process group {}, nor any other; add a WSGIDaemonProcess line",
        Quoted(group)
    )]
    NoGroups { group: Vec<u8> },
    #[error(
        "WSGI0151: there is no daemon process group {}; add a WSGIDaemonProcess line of this name, or correct it where it is asked for",
        Quoted(group)
    )]
    UnknownGroup { group: Vec<u8> },
    #[error(
        "WSGI0152: the daemon process group {} belongs to another virtual host; move its WSGIDaemonProcess line to the main server, \
         or give both hosts one ServerName",
        Quoted(group)
    )]
    ForeignGroup { group: Vec<u8> },
    #[error(
        "WSGI0360: the daemon process group {} has threads=0, so it runs its import scripts only and serves no requests",
        Quoted(group)
    )]
    NoThreads { group: Vec<u8> },
    #[error("WSGI0361: httpd is stopping, the request to the daemon process group {} is given up", Quoted(group))]
    Stopping { group: Vec<u8> },
}

/// What makes a socket reachable again.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::NotFound => {
            "somebody has removed its file; reload httpd (apachectl graceful), which makes it anew"
        }
        io::ErrorKind::PermissionDenied => {
            "let httpd's user enter its folder, or name another one in WSGISocketPrefix and reload httpd (apachectl graceful)"
        }
        _ => "see WSGISocketPrefix; a reload of httpd (apachectl graceful) makes missing sockets anew",
    }
}

impl Failure {
    /// The HTTP status of the answer.
    pub(super) const fn status(&self) -> u16 {
        match self {
            Failure::NoProcess { .. }
            | Failure::Unreachable { .. }
            | Failure::AllLeaving { .. }
            | Failure::NoThreads { .. }
            | Failure::CantStart { .. }
            | Failure::Stopping { .. } => 503,
            Failure::QueueTimeout { .. } | Failure::AnswerTimeout { .. } => 504,
            Failure::Vanished { .. } | Failure::NotRead { .. } => 502,
            Failure::OutsideChroot { .. }
            | Failure::NoSocket { .. }
            | Failure::NotSent { .. }
            | Failure::NotEncoded { .. }
            | Failure::HeadTooLong { .. }
            | Failure::Malformed { .. }
            | Failure::NoGroups { .. }
            | Failure::UnknownGroup { .. }
            | Failure::ForeignGroup { .. } => 500,
        }
    }
}
