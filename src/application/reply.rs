//! Calls the application and turns what it returns into a response (PEP 3333, "Specification Details").

use std::fs::File;
use std::sync::Arc;

use super::environ::Bound;
use super::measured::Measured;
use super::{Group, Job, Outcome, environ, report};
use crate::python::{Exchange, Lent, Object, Py, Raised, RequestEnded, Shown, now};
use crate::wsgi::{Failed, Level, Quoted, SendError};

/// What is left to do when the interpreter is given up.
pub(super) enum Reply {
    Outcome(Outcome),
    /// A body that was in memory as a whole, to be sent while others have the interpreter.
    Whole(Vec<u8>),
}

/// A body up to here is copied, so that everything is sent after the interpreter was given up once; larger ones are sent from
/// Python's memory.
const COPIED: usize = 64 * 1024;

/// What an application was doing when it failed, for the log.
const CALLING: &str = "calling the WSGI application in";
const ITERATING: &str = "iterating over what was returned by the WSGI application in";
const PUBLISHING: &str = "telling the subscribers to request_finished of the WSGI application in";
const CLOSING: &str = "calling close() of what was returned by the WSGI application in";

/// Why a response is not complete.
enum Trouble<'py> {
    /// An exception of the application's, in what it was doing.
    Raised(&'static str, Raised<'py>),
    /// A rule of PEP 3333 was broken.
    Rule(String),
    /// The client is gone; nobody is told.
    Gone,
}

impl From<SendError> for Trouble<'_> {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Gone(_) => Trouble::Gone,
            error => Trouble::Rule(rule(&error)),
        }
    }
}

/// As Python would say it, since that is where an administrator's searches lead.
fn rule(error: &SendError) -> String {
    match error {
        SendError::Length(error) => format!("ValueError: {error}"),
        error @ (SendError::NotStarted | SendError::Gone(_)) => format!("RuntimeError: {error}"),
    }
}

impl From<RequestEnded> for Trouble<'_> {
    fn from(ended: RequestEnded) -> Self {
        Trouble::Rule(ended.to_string())
    }
}

/// Runs the application object of `module` for a request.
pub(super) fn reply<'py>(
    py: Py<'py>,
    group: &Group,
    job: &Job<'_>,
    exchange: &Arc<Exchange>,
    module: &Object<'py>,
    measured: &mut Measured,
) -> Reply {
    let interpreter = &group.interpreter;
    let named = interpreter.key(py, job.callable).and_then(|name| module.get_item(&name));
    let Ok(Some(application)) = named else {
        let text = format!(
            "WSGI0089: the WSGI script {} has no {}; name its callable in WSGICallableObject, or call it \"application\"",
            Quoted(job.script),
            Quoted(job.callable)
        );
        let _ = exchange.log(py, Level::Error, text.as_bytes());
        return Reply::Outcome(Outcome::Status(500));
    };
    let mut call = Call { bound: Bound::default(), shown: None, events: None };
    measured.times.application_start = now();
    let called = call.application(py, group, job, exchange, application, measured.times.application_start);
    let answer = match called {
        Ok(result) => {
            let answer = respond(py, group, exchange, &result, call.events.is_none());
            close(py, group, job, exchange, &result, &call);
            answer
        }
        Err(raised) => Err(Trouble::Raised(CALLING, raised)),
    };
    let reply = answer.unwrap_or_else(|trouble| Reply::Outcome(give_up(py, group, job, exchange, trouble, &call)));
    if let Some(events) = &call.events {
        measured.times.application_finish = now();
        let told = interpreter.publish_finished(py, events, &measured.times, measured.used(), exchange);
        if let Err(raised) = told {
            report::exception(py, interpreter, exchange.as_ref(), job.script, PUBLISHING, &raised);
        }
    }
    drop(call.shown);
    call.bound.end(py, interpreter);
    reply
}

/// What a call of an application leaves behind.
struct Call<'py> {
    bound: Bound<'py>,
    shown: Option<Shown<'py>>,
    /// What `request_started` made, where somebody has subscribed to events.
    events: Option<Object<'py>>,
}

impl<'py> Call<'py> {
    /// `application(environ, start_response)`.
    fn application(
        &mut self,
        py: Py<'py>,
        group: &Group,
        job: &Job<'_>,
        exchange: &Arc<Exchange>,
        mut application: Object<'py>,
        begin: f64,
    ) -> Result<Object<'py>, Raised<'py>> {
        let interpreter = &group.interpreter;
        let input = interpreter.input(py, exchange)?;
        let (kept, stream) = interpreter.errors(py, &input)?;
        self.bound.errors = Some(kept);
        let environ = group.environs.build(py, interpreter, job, begin, &input, &stream)?;
        self.bound.record = environ::pass_record(py, interpreter, &environ, exchange)?;
        let mut start_response = interpreter.start_response(&input)?;
        let shown = self.shown.insert(interpreter.show(py, &environ, job.thread_id, begin)?);
        if interpreter.has_subscribers(py) {
            let parts = [&environ, &application, &shown.data()?, &start_response];
            let parts = interpreter.call(py, c"request_started", &parts)?.exact_sequence().unwrap_or_default();
            let mut parts = parts.into_iter();
            if let (Some(events), Some(called), Some(watched)) = (parts.next(), parts.next(), parts.next()) {
                self.events = Some(events);
                (application, start_response) = (called, watched);
            }
        }
        application.call(&[&environ, &start_response])
    }

    /// `request_exception` for those who have subscribed.
    fn publish_exception(&self, py: Py<'py>, group: &Group, exception: &Object<'py>) {
        if let Some(events) = &self.events {
            drop(group.interpreter.call(py, c"request_exception", &[events, exception]));
        }
    }
}

/// `later`: what is small goes out when the interpreter was given up; nobody is told then when it was sent.
fn respond<'py>(
    py: Py<'py>,
    group: &Group,
    exchange: &Exchange,
    result: &Object<'py>,
    later: bool,
) -> Result<Reply, Trouble<'py>> {
    let done = Ok(Reply::Outcome(Outcome::Done));
    if let Some(items) = result.exact_sequence() {
        let bytes: Option<Vec<&[u8]>> = items.iter().map(Object::as_bytes).collect();
        if let Some(bytes) = bytes {
            let total = bytes.iter().map(|item| item.len()).sum();
            return match bytes.as_slice() {
                _ if total <= COPIED && later => Ok(Reply::Whole(bytes.concat())),
                _ if total <= COPIED => exchange.whole(py, &bytes.concat())?.map_err(Trouble::from).and(done),
                [whole] => exchange.whole(py, whole)?.map_err(Trouble::from).and(done),
                _ => {
                    exchange.announce(py, total)?;
                    send_items(py, exchange, result)
                }
            };
        }
    } else if let Some((file, offset, available)) = regular_file(py, group, exchange, result) {
        return exchange.file(py, file, offset, available)?.map_err(Trouble::from).and(done);
    }
    send_items(py, exchange, result)
}

/// Iterates. Each item goes to the host, which sees to it that it is sent, before the next is asked for: PEP 3333, "Middleware and servers must
/// not delay the transmission of any block".
fn send_items<'py>(py: Py<'py>, exchange: &Exchange, result: &Object<'py>) -> Result<Reply, Trouble<'py>> {
    let items = result.iterate().map_err(|raised| Trouble::Raised(ITERATING, raised))?;
    while let Some(item) = items.next().map_err(|raised| Trouble::Raised(ITERATING, raised))? {
        let Some(bytes) = item.as_bytes() else { return Err(Trouble::Rule(not_bytes(&item))) };
        exchange.item(py, bytes)??;
    }
    exchange.finish(py)??;
    Ok(Reply::Outcome(Outcome::Done))
}

fn not_bytes(item: &Object<'_>) -> String {
    let kind = item.type_name();
    let remedy = if kind == "str" { "; encode it with .encode()" } else { "" };
    format!("TypeError: the iterable that a WSGI application returns must give bytes, not {kind}{remedy}")
}

/// The file behind a `wsgi.file_wrapper`, opened again: the application may close or move its own, and httpd may send ours after the
/// request. Nothing where it is no regular file, or output began; it is iterated then, as are subclasses, which may do so in their own way.
fn regular_file<'py>(
    py: Py<'py>,
    group: &Group,
    exchange: &Exchange,
    result: &Object<'py>,
) -> Option<(File, u64, u64)> {
    if !result.is_exactly(&group.interpreter.file_wrapper(py)?) || exchange.sent(py) {
        return None;
    }
    let parts = group.interpreter.call(py, c"regular_file", &[result]).ok()?.exact_sequence()?;
    let part = |index: usize| u64::try_from(parts.get(index)?.as_i64()?).ok();
    let (descriptor, offset, available) = (part(0)?, part(1)?, part(2)?);
    let file = File::open(format!("/proc/self/fd/{descriptor}")).ok()?;
    Some((file, offset, available))
}

/// PEP 3333: "If the iterable returned by the application has a close() method, the server or gateway must call that method upon
/// completion of the current request, whether the request was completed normally, or terminated early".
fn close<'py>(py: Py<'py>, group: &Group, job: &Job<'_>, exchange: &Exchange, result: &Object<'py>, call: &Call<'py>) {
    if result.is_exact_sequence() {
        return;
    }
    let closed = match result.optional_attribute(c"close") {
        Ok(Some(close)) => close.call0().map(drop),
        Ok(None) => Ok(()),
        Err(raised) => Err(raised),
    };
    if let Err(raised) = closed {
        report::exception(py, &group.interpreter, exchange, job.script, CLOSING, &raised);
        call.publish_exception(py, group, raised.exception());
    }
}

/// Logs the cause; an error page is due where nothing was sent.
fn give_up<'py>(
    py: Py<'py>,
    group: &Group,
    job: &Job<'_>,
    exchange: &Exchange,
    trouble: Trouble<'py>,
    call: &Call<'py>,
) -> Outcome {
    let status = match trouble {
        Trouble::Gone => return Outcome::Done,
        Trouble::Raised(doing, raised) => {
            let status = report::exception(py, &group.interpreter, exchange, job.script, doing, &raised);
            call.publish_exception(py, group, raised.exception());
            status
        }
        Trouble::Rule(text) => {
            for line in [&report::failure(ITERATING, job.script), &text] {
                let _ = exchange.log(py, Level::Error, line.as_bytes());
            }
            if let Some(events) = &call.events
                && let Ok(text) = Object::text(py, text.as_bytes())
            {
                drop(group.interpreter.call(py, c"rule_broken", &[events, &text]));
            }
            500
        }
    };
    match exchange.fail(py) {
        Failed::BeforeHead => Outcome::Status(status),
        Failed::AfterHead => Outcome::Done,
    }
}

/// Sends a body that is in memory, on a thread that is no longer attached.
pub(super) fn send_whole(lent: &Lent<'_>, job: &Job<'_>, body: &[u8]) -> Outcome {
    let error = match lent.whole(body) {
        Ok(Ok(()) | Err(SendError::Gone(_))) | Err(RequestEnded) => return Outcome::Done,
        Ok(Err(error)) => error,
    };
    let failed = lent.with(|host, response| {
        for line in [report::failure(ITERATING, job.script), rule(&error)] {
            host.log(Level::Error, line.as_bytes());
        }
        match response.fail(host) {
            Failed::BeforeHead => Outcome::Status(500),
            Failed::AfterHead => Outcome::Done,
        }
    });
    failed.unwrap_or(Outcome::Done)
}
