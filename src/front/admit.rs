//! Whether a request is for a WSGI script and may have it, and by which names it is run.

use std::net::IpAddr;
use std::sync::Arc;

use super::facts::{self, Names, Resolved};
use super::translate::Mapped;
use crate::apache::{Answer, Level, Request};
use crate::config::{DirConfig, HeadMapping, ServerConfig};
use crate::wsgi::{
    self, Body, CgiPolicy, MapHead, Pairs, TrustedProxies, UrlScheme, application_group, callable_object, head_is_get,
    process_group, trust_proxies,
};

/// What `SetHandler` and `AddHandler` may call us; the second by `AddType`.
const HANDLERS: [&[u8]; 2] = [b"wsgi-script", b"application/x-httpd-wsgi"];

/// A request that was admitted. Everything is owned: what httpd holds may change while the application runs.
pub(crate) struct Visit {
    /// The settings of the place.
    pub(crate) dir: DirConfig,
    /// `WSGICaseSensitivity`.
    pub(crate) case_sensitive: bool,
    /// The daemon process group; empty for embedded mode.
    pub(crate) process_group: Vec<u8>,
    /// Empty for the main interpreter.
    pub(crate) application_group: Vec<u8>,
    pub(crate) callable: Vec<u8>,
    /// The script's file and its modification time in microseconds since the epoch.
    pub(crate) script: Vec<u8>,
    pub(crate) script_mtime: i64,
    /// What body the client has announced.
    pub(crate) body: Body,
    /// The client's method, and whether a HEAD is shown as GET.
    pub(crate) client_method: Vec<u8>,
    head_is_get: bool,
    policy: CgiPolicy,
    /// When the request came: seconds since the epoch.
    pub(crate) arrived: f64,
}

impl Visit {
    /// The method in environ.
    pub(crate) fn method(&self) -> &[u8] {
        if self.head_is_get { b"GET" } else { &self.client_method }
    }

    /// The text entries of environ.
    ///
    /// `root`: the directory that the application's process has for `/`, where it has another than httpd.
    pub(crate) fn environ(&self, request: &Request<'_>, root: Option<&[u8]>) -> (Pairs, UrlScheme) {
        let mut environ = Pairs::with_capacity(64, 4096);
        let resolved = Resolved {
            process_group: &self.process_group,
            application_group: &self.application_group,
            callable_object: &self.callable,
        };
        let environ_of = |facts: &wsgi::RequestFacts<'_>| wsgi::environ(facts, self.policy, &mut environ).url_scheme;
        let scheme = facts::with_facts(request, &resolved, root, environ_of);
        let scheme = trusted(&self.dir, &mut environ, scheme);
        (environ, scheme)
    }
}

/// Admits a request.
///
/// # Errors
/// The hook's answer: the handler is not ours, or the request is refused, which is logged.
pub(crate) fn admit(request: &Request<'_>) -> Result<Visit, Answer> {
    if !request.handler().is_some_and(|name| HANDLERS.contains(&name)) {
        return Err(Answer::DECLINED);
    }
    let mapped = request.kept::<Mapped>().cloned();
    let dir = request.dir_config::<DirConfig>().cloned().unwrap_or_default();
    let body = match wsgi::admit(&facts::admission(request, mapped.is_some(), dir.chunked_request())) {
        Ok(body) => body,
        Err(refusal) => {
            match refusal.number() {
                Some(number) => request.log(Level::Err, format_args!("WSGI{number:04}: {refusal}")),
                // Of the client's making, and nothing is wrong here: httpd's own level for a body over the limit.
                None => request.log(Level::Info, format_args!("{refusal}")),
            }
            return Err(Answer::status(refusal.status()));
        }
    };
    let visit = visit(request, mapped.unwrap_or_default(), dir, body);
    if !visit.dir.allows_process_group(&visit.process_group) {
        request.log(Level::Err, format_args!("{}", not_listed(&visit.process_group)));
        return Err(Answer::status(500));
    }
    Ok(visit)
}

fn visit(request: &Request<'_>, mapped: Mapped, dir: DirConfig, body: Body) -> Visit {
    let case_sensitive = request.server().config::<ServerConfig>().is_none_or(|server| server.process.case_sensitivity);
    let head_is_get = head_is_get(head_mapping(&dir), request.method(), request.has_content_filter());
    let names = Names { request, case_sensitive };
    let process = mapped.process_group.as_deref().or(dir.process_group.as_deref());
    let application = mapped.application_group.as_deref().or(dir.application_group.as_deref());
    Visit {
        case_sensitive,
        process_group: process_group(process, &names).into_owned(),
        application_group: application_group(application, &names).into_owned(),
        callable: match mapped.callable_object {
            // An alias gives a name, never a form.
            Some(name) => name,
            None => callable_object(dir.callable_object.as_deref(), &names).into_owned(),
        },
        script: request.filename().unwrap_or_default().to_vec(),
        script_mtime: request.file().map_or(0, |file| file.modified),
        body,
        client_method: request.method().to_vec(),
        head_is_get,
        policy: CgiPolicy {
            pass_authorization: mapped.pass_authorization.unwrap_or_else(|| dir.pass_authorization()),
            cgi_pass_auth: request.passes_authorization(),
            head_is_get,
        },
        arrived: seconds(request.arrived()),
        dir,
    }
}

/// `WSGITrustedProxyHeaders` and `WSGITrustedProxies`.
fn trusted(dir: &DirConfig, environ: &mut Pairs, scheme: UrlScheme) -> UrlScheme {
    let Some(headers) = &dir.trusted_proxy_headers else { return scheme };
    let holds = dir.trusted_proxies.as_ref().map(|networks| {
        let networks = Arc::clone(networks);
        move |address| networks.iter().any(|network| network.contains(address))
    });
    let proxies = holds.as_ref().map(|holds| holds as &dyn Fn(IpAddr) -> bool);
    trust_proxies(environ, scheme, &TrustedProxies { headers, proxies })
}

fn not_listed(process_group: &[u8]) -> String {
    let shown = match process_group {
        b"" => "%{GLOBAL}, httpd's own processes".to_owned(),
        name => format!("the process group {}", wsgi::Quoted(name)),
    };
    format!(
        "WSGI0149: WSGIRestrictProcess here does not list {shown}; add it there, or name another in WSGIProcessGroup"
    )
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

#[cfg(test)]
mod tests {
    #[test]
    fn configuration_and_rules_know_the_same_headers() {
        for name in crate::config::PROXY_HEADERS {
            assert!(crate::wsgi::knows_proxy_header(name), "{name}");
        }
    }
}
