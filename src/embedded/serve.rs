//! Runs a request's application in this process.

use super::child::{Child, thread_id};
use super::host::Live;
use crate::apache::{Answer, Level, Request};
use crate::application::{Job, Outcome};
use crate::front::Visit;

/// Answers a request that was admitted and names no daemon process group.
pub(crate) fn serve(request: &mut Request<'_>, visit: &Visit) -> Answer {
    let Some(child) = Child::this() else { return Answer::status(500) };
    if child.settings().restrict_embedded {
        request.log(
            Level::Err,
            format_args!(
                "WSGI0143: WSGIRestrictEmbedded is On, so no application may run in httpd's own processes; give the \
                 application a daemon process group, or remove the line"
            ),
        );
        return Answer::status(500);
    }
    match run(request, child, visit) {
        Outcome::Done => Answer::OK,
        Outcome::Status(status) => Answer::status(status),
        // Said by processes that are replaced, which no child is.
        Outcome::Changed => Answer::status(500),
    }
}

fn run(request: &mut Request<'_>, child: &Child, visit: &Visit) -> Outcome {
    let applications = match child.applications() {
        Ok(applications) => applications,
        Err(error) => {
            request.log(Level::Err, format_args!("{error}"));
            return Outcome::Status(500);
        }
    };
    let (environ, url_scheme) = visit.environ(request, None);
    let job = Job {
        group: &visit.application_group,
        script: &visit.script,
        script_mtime: visit.script_mtime,
        reloading: visit.dir.script_reloading(),
        as_loaded: false,
        case_sensitive: visit.case_sensitive,
        callable: &visit.callable,
        environ: &environ,
        url_scheme,
        method: visit.method(),
        client_method: &visit.client_method,
        thread_id: thread_id(),
        request_start: visit.arrived,
        queue_start: 0.0,
        daemon_start: 0.0,
        watch: None,
    };
    let (sendfile, passes_record) = (visit.dir.enable_sendfile(), visit.dir.pass_apache_request());
    applications.serve(&job, &mut Live::new(request, sendfile, passes_record))
}
