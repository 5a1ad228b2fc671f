//! Answers a request by a daemon process: which group, which process, and again elsewhere while nobody has begun with it.

use super::child::Child;
use super::client::{Client, Live, asked};
use super::connection::Broken;
use super::failure::Failure;
use super::group::Group;
use super::permission::{Asker, permitted};
use super::relay::{Outcome, Rules, relay};
use super::search::{Found, Search};
use crate::apache::{Answer, Level, Request};
use crate::front::{Visit, seen_from};
use crate::wire;
use crate::wsgi::{Body, UrlScheme};

/// Answers a request that was admitted and names a daemon process group. `scoreboard` reads httpd's, for applications.
pub(crate) fn serve(request: &mut Request<'_>, visit: &Visit, scoreboard: fn() -> Option<Vec<u8>>) -> Answer {
    let child = Child::this();
    let group = {
        let server = request.server();
        let asker = Asker { address: server.address(), name: server.hostname() };
        permitted(child.map(|child| &*child.groups), &visit.process_group, asker)
    };
    let (child, group) = match (child, group) {
        (Some(child), Ok(group)) => (child, group),
        (None, Ok(_)) => return Answer::status(500),
        (_, Err(failure)) => return failed(request, &failure),
    };
    if let Some(owner) = group.script_owner
        && let Err(distrust) = owner.check(&visit.script)
    {
        request.log(Level::Err, format_args!("{distrust}"));
        return Answer::status(403);
    }
    if group.options.server_metrics() {
        child.groups.put_up(scoreboard);
    }
    let content = content(request, visit.body);
    let frame = match encoded(request, visit, group, content.as_deref()) {
        Ok(frame) => frame,
        Err(failure) => return failed(request, &failure),
    };
    let outcome = {
        let timeout = group.options.response_socket_timeout();
        let mut client = Live::new(request, visit.dir.enable_sendfile(), timeout);
        exchange(child, group, visit.dir.error_override(), &frame, &mut client)
    };
    // By now the process has been given back: the redirect may need one of the same group.
    match outcome {
        Outcome::Done => Answer::OK,
        Outcome::Status(status) => Answer::status(status),
        Outcome::Failed(failure) => failed(request, &failure),
        Outcome::Redirect(path) => match request.redirect_within(&path) {
            Ok(()) => Answer::OK,
            Err(_) => Answer::status(500),
        },
        // `exchange` sends those elsewhere.
        Outcome::Refused => Answer::status(503),
    }
}

fn failed(request: &Request<'_>, failure: &Failure) -> Answer {
    // Where httpd stops, nothing is wrong.
    let level = if matches!(failure, Failure::Stopping { .. }) { Level::Info } else { Level::Err };
    request.log(level, format_args!("{failure} (request: {})", asked(request)));
    Answer::status(failure.status())
}

/// A small body that came with the head, as most do: the worker need not ask for it.
fn content(request: &mut Request<'_>, body: Body) -> Option<Vec<u8>> {
    let Body::Length(length) = body else { return None };
    let length = usize::try_from(length).ok().filter(|length| *length <= wire::WHOLE_MOST)?;
    request.body_that_came(length)
}

/// The REQUEST frame.
fn encoded(request: &Request<'_>, visit: &Visit, group: &Group, content: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
    let root = group.options.chroot.as_deref();
    let script = match root {
        None => visit.script.as_slice(),
        Some(root) => seen_from(root, &visit.script).ok_or_else(|| Failure::OutsideChroot {
            script: visit.script.clone(),
            group: group.name.clone(),
            chroot: root.to_vec(),
        })?,
    };
    let (environ, url_scheme) = visit.environ(request, root);
    let mut frame = Vec::with_capacity(8 * 1024);
    let encoded = wire::Request {
        application_group: if group.alone && visit.group_by_default { b"" } else { &visit.application_group },
        script,
        script_mtime: visit.script_mtime,
        callable: &visit.callable,
        reloading: visit.dir.script_reloading(),
        case_sensitive: visit.case_sensitive,
        sendfile: visit.dir.enable_sendfile(),
        ignore_activity: visit.dir.ignore_activity(),
        https: url_scheme == UrlScheme::Https,
        client_method: &visit.client_method,
        method: visit.method(),
        log_level: request.log_level(),
        request_start: visit.arrived,
        queue_start: now(),
        body: match (visit.body, content) {
            (_, Some(content)) => wire::Body::Whole(content),
            (Body::None, None) => wire::Body::None,
            (Body::Length(length), None) => wire::Body::Length(length),
            (Body::Chunked, None) => wire::Body::Chunked,
        },
        environ: environ.entries(),
    }
    .encode(&mut frame);
    match encoded {
        Ok(()) => Ok(frame),
        Err(cause) => Err(Failure::NotEncoded { group: group.name.clone(), cause }),
    }
}

/// Sends a request to a process of the group and relays its answer. A request that nobody has begun with goes to another.
pub(super) fn exchange(
    child: &Child,
    group: &Group,
    error_override: bool,
    request: &[u8],
    client: &mut dyn Client,
) -> Outcome {
    let stopping = || child.is_stopping();
    let rules = Rules {
        group: &group.name,
        error_override,
        flush_delay: group.options.response_flush_delay(),
        buffer: group.options.response_buffer_size(),
        timeout: group.socket_timeout(),
        stopping: &stopping,
        may_have_begun: &|_| true,
    };
    let mut search = Search::new(child, group);
    loop {
        let Found { place, mut connection, kept } = match search.find() {
            Ok(found) => found,
            Err(failure) => return Outcome::Failed(failure),
        };
        let outcome = match connection.ask(request) {
            Ok(()) => {
                let may_have_begun = |asked| group.may_have_begun(place.column(), asked);
                let rules = Rules { may_have_begun: &may_have_begun, ..rules };
                let (outcome, usable) = relay(&mut connection, client, rules);
                // A refusal ends the connection: marks count what was begun, and the child what it sent.
                let usable = usable && !matches!(outcome, Outcome::Refused);
                if usable {
                    child.keep(connection, &place);
                }
                outcome
            }
            // A kept connection whose process has ended since: no try counts.
            Err(Broken::Unread) if kept => continue,
            Err(Broken::Unread) => Outcome::Refused,
            Err(Broken::Timeout) => {
                Outcome::Failed(Failure::AnswerTimeout { group: group.name.clone(), limit: group.socket_timeout() })
            }
            Err(broken) => {
                let cause = std::io::Error::other(broken.to_string());
                Outcome::Failed(Failure::NotSent { group: group.name.clone(), cause })
            }
        };
        let Outcome::Refused = outcome else {
            return match outcome {
                Outcome::Failed(_) if child.is_stopping() => {
                    Outcome::Failed(Failure::Stopping { group: group.name.clone() })
                }
                outcome => outcome,
            };
        };
        let column = place.column();
        drop(place);
        if let Err(failure) = search.refused(column) {
            return Outcome::Failed(failure);
        }
    }
}

/// Seconds since the epoch.
fn now() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0.0, |since| since.as_secs_f64())
}
