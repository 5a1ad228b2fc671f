//! What scripts are told that httpd asks about a request.

use super::facts::{self, Names, Resolved};
use crate::apache::Request;
use crate::config::{Script, ServerConfig};
use crate::wsgi::{self, AccessFacts, Pairs};

/// The application group of a script that httpd asks.
pub(crate) fn script_group(request: &Request<'_>, script: &Script) -> Vec<u8> {
    let names = Names { request, case_sensitive: is_case_sensitive(request) };
    wsgi::script_application_group(script.application_group.as_deref(), &names).into_owned()
}

/// `WSGICaseSensitivity`.
pub(crate) fn is_case_sensitive(request: &Request<'_>) -> bool {
    request.server().config::<ServerConfig>().is_none_or(|server| server.process.case_sensitivity)
}

/// The environ of a script in this application group that decides about access.
pub(crate) fn access_environ(request: &Request<'_>, application_group: &[u8]) -> Pairs {
    let mut environ = Pairs::with_capacity(32, 2048);
    let access = AccessFacts { server_signature: request.server_signature(), remote_host: request.remote_host() };
    let resolved = Resolved { process_group: b"", application_group, callable_object: None, handler_script: b"" };
    facts::with_facts(request, &resolved, None, |facts| wsgi::access_environ(facts, access, &mut environ));
    environ
}
