//! The content handler: whether a request is for a WSGI script, what is asked of it first, and who answers.

use super::child::{Child, thread_id};
use super::facts::{self, Names, Resolved};
use super::host::Live;
use super::translate::Mapped;
use crate::apache::{Answer, Level, Request};
use crate::application::{Job, Outcome};
use crate::config::{DirConfig, HeadMapping};
use crate::wsgi::{self, CgiPolicy, MapHead, Pairs, admit, application_group, callable_object, head_is_get};

/// What `SetHandler` and `AddHandler` may call us; the second by `AddType`.
const HANDLERS: [&[u8]; 2] = [b"wsgi-script", b"application/x-httpd-wsgi"];

/// Answers a request whose handler is ours.
pub(crate) fn handle(request: &mut Request<'_>) -> Answer {
    if !request.handler().is_some_and(|name| HANDLERS.contains(&name)) {
        return Answer::DECLINED;
    }
    let Some(child) = Child::this() else { return Answer::status(500) };
    let mapped = request.kept::<Mapped>().cloned();
    let dir = request.dir_config::<DirConfig>().cloned().unwrap_or_default();
    if let Err(refusal) = admit(&facts::admission(request, mapped.is_some(), dir.chunked_request())) {
        let status = refusal.status();
        match refusal.number() {
            Some(number) => request.log(Level::Err, format_args!("WSGI{number:04}: {refusal}")),
            // Of the client's making, and nothing is wrong here: httpd's own level for a body over the limit.
            None => request.log(Level::Info, format_args!("{refusal}")),
        }
        return Answer::status(status);
    }
    if let Err(refusal) = may_run(child, &dir) {
        request.log(Level::Err, format_args!("{refusal}"));
        return Answer::status(500);
    }
    match run(request, child, &mapped.unwrap_or_default(), &dir) {
        Outcome::Done => Answer::OK,
        Outcome::Status(status) => Answer::status(status),
        // Said by processes that are replaced, which no child is.
        Outcome::Changed => Answer::status(500),
    }
}

/// Whether WSGI applications may run in this process for this place.
fn may_run(child: &Child, dir: &DirConfig) -> Result<(), &'static str> {
    if !dir.allows_process_group(b"") {
        return Err(
            "WSGI0149: WSGIRestrictProcess here does not list %{GLOBAL}, so no application may run in httpd's own processes",
        );
    }
    if child.settings().restrict_embedded {
        return Err(
            "WSGI0143: WSGIRestrictEmbedded is On, so no application may run in httpd's own processes; give the application a \
             daemon process group, or remove the line",
        );
    }
    Ok(())
}

fn run(request: &mut Request<'_>, child: &Child, mapped: &Mapped, dir: &DirConfig) -> Outcome {
    let applications = match child.applications() {
        Ok(applications) => applications,
        Err(error) => {
            request.log(Level::Err, format_args!("{error}"));
            return Outcome::Status(500);
        }
    };
    let case_sensitive = child.settings().case_sensitivity;
    let head_is_get = head_is_get(head_mapping(dir), request.method(), request.has_content_filter());
    let policy = CgiPolicy {
        pass_authorization: mapped.pass_authorization.unwrap_or_else(|| dir.pass_authorization()),
        cgi_pass_auth: request.passes_authorization(),
        head_is_get,
    };
    // Owned: what httpd holds may change while the application runs.
    let (group, callable) = {
        let names = Names { request, case_sensitive };
        let group = mapped.application_group.as_deref().or(dir.application_group.as_deref());
        let group = application_group(group, &names).into_owned();
        let callable = match &mapped.callable_object {
            // An alias gives a name, never a form.
            Some(name) => name.clone(),
            None => callable_object(dir.callable_object.as_deref(), &names).into_owned(),
        };
        (group, callable)
    };
    let mut environ = Pairs::with_capacity(64, 4096);
    let resolved = Resolved { application_group: &group, callable_object: &callable };
    let url_scheme =
        facts::with_facts(request, &resolved, |facts| wsgi::environ(facts, policy, &mut environ).url_scheme);
    let (script, client_method) = (request.filename().unwrap_or_default().to_vec(), request.method().to_vec());
    let job = Job {
        group: &group,
        script: &script,
        script_mtime: request.file().map_or(0, |file| file.modified),
        reloading: dir.script_reloading(),
        case_sensitive,
        callable: &callable,
        environ: &environ,
        url_scheme,
        method: if head_is_get { b"GET" } else { &client_method },
        client_method: &client_method,
        thread_id: thread_id(),
        request_start: seconds(request.arrived()),
        queue_start: 0.0,
        daemon_start: 0.0,
        watch: None,
    };
    applications.serve(&job, &mut Live::new(request, dir.enable_sendfile()))
}

fn head_mapping(dir: &DirConfig) -> MapHead {
    match dir.map_head_to_get() {
        HeadMapping::On => MapHead::On,
        HeadMapping::Off => MapHead::Off,
        HeadMapping::Auto => MapHead::Auto,
    }
}

/// Microseconds as Python has time.
#[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 stay below 2^53 until the year 2255")]
fn seconds(microseconds: i64) -> f64 {
    microseconds as f64 / 1e6
}
