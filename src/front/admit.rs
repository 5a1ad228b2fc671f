//! Whether a request is for a WSGI script and may have it, and by which names it is run.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use super::facts::{self, Names, Resolved};
use super::inquiry::is_case_sensitive;
use super::translate;
use crate::apache::{Answer, Level, Request};
use crate::config::{Alias, DirConfig, HandlerScript, HeadMapping};
use crate::wsgi::{
    self, Body, CgiPolicy, HandlerKind, MapHead, Pairs, TrustedProxies, UrlScheme, application_group, callable_object,
    head_is_get, process_group, trust_proxies,
};

/// What `SetHandler` and `AddHandler` may call us; the second by `AddType`.
const HANDLERS: [&[u8]; 2] = [b"wsgi-script", b"application/x-httpd-wsgi"];

/// What is called in a `WSGIHandlerScript`.
const HANDLE_REQUEST: &[u8] = b"handle_request";

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
    /// Whether an alias led here, and nothing asked for an application group: it is the one that an application has by itself.
    pub(crate) group_by_default: bool,
    pub(crate) callable: Vec<u8>,
    /// The script's file and its modification time in microseconds since the epoch.
    pub(crate) script: Vec<u8>,
    pub(crate) script_mtime: i64,
    /// The script is a `WSGIHandlerScript`'s.
    by_handler: bool,
    /// What body the client has announced.
    pub(crate) body: Body,
    /// The client's method.
    pub(crate) client_method: Vec<u8>,
    policy: CgiPolicy,
    /// When the request came: seconds since the epoch.
    pub(crate) arrived: f64,
}

impl Visit {
    /// The method in environ.
    pub(crate) fn method(&self) -> &[u8] {
        if self.policy.head_is_get { b"GET" } else { &self.client_method }
    }

    /// The text entries of environ.
    ///
    /// `root`: the directory that the application's process has for `/`, where it has another than httpd.
    pub(crate) fn environ(&self, request: &Request<'_>, root: Option<&[u8]>) -> (Pairs, UrlScheme) {
        let mut environ = Pairs::with_capacity(64, 4096);
        let resolved = Resolved {
            process_group: &self.process_group,
            application_group: &self.application_group,
            callable_object: Some(&self.callable),
            handler_script: self.handler_script(),
        };
        let environ_of = |facts: &wsgi::RequestFacts<'_>| wsgi::environ(facts, self.policy, &mut environ).url_scheme;
        let scheme = facts::with_facts(request, &resolved, root, environ_of);
        let said = trusted(&self.dir, &mut environ);
        (environ, said.unwrap_or(scheme))
    }

    /// The script, if it is a `WSGIHandlerScript`'s; else empty.
    fn handler_script(&self) -> &[u8] {
        if self.by_handler { &self.script } else { b"" }
    }
}

/// A request that was admitted, and nothing said yet of where it runs.
pub(crate) struct Admitted<'r> {
    dir: DirConfig,
    /// The alias that mapped it to its script, if one did.
    alias: Option<&'r Alias>,
    /// What serves it instead of the file that it was mapped to.
    handler: Option<Arc<HandlerScript>>,
    body: Body,
    policy: CgiPolicy,
}

/// What a dispatch script says of where a request runs; a field is none where it leaves that to the configuration.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    pub(crate) process_group: Option<Vec<u8>>,
    pub(crate) application_group: Option<Vec<u8>>,
    pub(crate) callable_object: Option<Vec<u8>>,
}

impl Admitted<'_> {
    /// The settings of the place.
    pub(crate) fn dir(&self) -> &DirConfig {
        &self.dir
    }

    /// The text entries of environ for a dispatch script that runs in this application group.
    pub(crate) fn dispatch_environ(&self, request: &Request<'_>, application_group: &[u8]) -> Pairs {
        let mut environ = Pairs::with_capacity(64, 4096);
        let handler_script = self.handler.as_ref().map_or(&b""[..], |handler| &handler.path);
        let resolved = Resolved { process_group: b"", application_group, callable_object: None, handler_script };
        facts::with_facts(request, &resolved, None, |facts| {
            wsgi::dispatch_environ(facts, self.policy, &mut environ);
        });
        if let Some(scheme) = trusted(&self.dir, &mut environ) {
            wsgi::set_https(scheme, &mut environ);
        }
        environ
    }
}

/// How the request's handler has us answer it; none where it is another module's.
pub(super) fn service<'r>(request: &'r Request<'_>) -> Option<(HandlerKind, Option<&'r Arc<HandlerScript>>)> {
    let name = request.handler()?;
    if HANDLERS.contains(&name) {
        return Some((HandlerKind::Script, None));
    }
    let script = request.dir_config::<DirConfig>()?.handler_script(name)?;
    Some((HandlerKind::HandlerScript, Some(script)))
}

/// Admits a request.
///
/// # Errors
/// The hook's answer: the handler is not ours, or the request is refused, which is logged.
pub(crate) fn admit<'r>(request: &mut Request<'r>) -> Result<Admitted<'r>, Answer> {
    let (kind, handler) = service(request).ok_or(Answer::DECLINED)?;
    let handler = handler.cloned();
    let dir = request.dir_config::<DirConfig>().cloned().unwrap_or_default();
    let mapped = translate::alias(request);
    let body = match wsgi::admit(&facts::admission(request, kind, mapped.is_some(), dir.chunked_request())) {
        Ok(body) => body,
        Err(refusal) => {
            match refusal.number() {
                Some(number) => request.log(Level::Err, format_args!("WSGI{number:04}: {refusal}")),
                // Of the client's making, and nothing is wrong here: httpd's own level for a body over the limit.
                None => request.log(Level::Info, format_args!("{refusal}")),
            }
            let (status, of_the_body) = (refusal.status(), refusal.is_of_the_body());
            if of_the_body {
                // Else an application that is the error document would be refused it, too.
                request.give_up_body();
            }
            return Err(Answer::status(status));
        }
    };
    // What an alias says is said of its script.
    let alias = mapped.filter(|_| handler.is_none());
    let pass_authorization = match &handler {
        Some(handler) => handler.pass_authorization,
        None => alias.and_then(|alias| alias.pass_authorization),
    };
    let policy = CgiPolicy {
        pass_authorization: pass_authorization.unwrap_or_else(|| dir.pass_authorization()),
        cgi_pass_auth: request.passes_authorization(),
        head_is_get: head_is_get(head_mapping(&dir), request.method(), request.has_content_filter()),
    };
    Ok(Admitted { dir, alias, handler, body, policy })
}

/// Where an admitted request runs: as `chosen`, else as alias or handler say, else as the directives do.
///
/// # Errors
/// The hook's answer: it may not run there, which is logged.
pub(crate) fn visit(request: &Request<'_>, admitted: Admitted<'_>, chosen: Chosen) -> Result<Visit, Answer> {
    let Admitted { dir, alias, handler, body, policy } = admitted;
    let case_sensitive = is_case_sensitive(request);
    let names = Names { request, case_sensitive };
    let handler = handler.as_deref();
    let process = chosen
        .process_group
        .as_deref()
        .or(handler.and_then(|handler| handler.process_group.as_deref()))
        .or(alias.and_then(|alias| alias.process_group.as_deref()))
        .or(dir.process_group.as_deref());
    let application = chosen
        .application_group
        .as_deref()
        .or(handler.and_then(|handler| handler.application_group.as_deref()))
        .or(alias.and_then(|alias| alias.application_group.as_deref()))
        .or(dir.application_group.as_deref());
    let callable = match (&chosen.callable_object, handler, alias.and_then(|alias| alias.callable_object.clone())) {
        (Some(chosen), ..) => callable_object(Some(chosen), &names).into_owned(),
        (None, Some(_), _) => HANDLE_REQUEST.to_vec(),
        // An alias gives a name, never a form.
        (None, None, Some(name)) => name,
        (None, None, None) => callable_object(dir.callable_object.as_deref(), &names).into_owned(),
    };
    let (script, script_mtime) = match handler {
        Some(handler) => (handler.path.clone(), changed(&handler.path)),
        None => (request.filename().unwrap_or_default().to_vec(), request.file().map_or(0, |file| file.modified)),
    };
    let visit = Visit {
        case_sensitive,
        process_group: process_group(process, &names).into_owned(),
        application_group: application_group(application, &names).into_owned(),
        group_by_default: alias.is_some() && application.is_none() && chosen.process_group.is_none(),
        callable,
        script,
        script_mtime,
        by_handler: handler.is_some(),
        body,
        client_method: request.method().to_vec(),
        policy,
        arrived: seconds(request.arrived()),
        dir,
    };
    if !visit.dir.allows_process_group(&visit.process_group) {
        request.log(Level::Err, format_args!("{}", not_listed(&visit.process_group)));
        return Err(Answer::status(500));
    }
    Ok(visit)
}

/// When a file was changed, in microseconds since the epoch; 0 for one that can't be looked at, which loading it will say.
fn changed(path: &[u8]) -> i64 {
    let metadata = std::fs::metadata(OsStr::from_bytes(path));
    metadata.map_or(0, |metadata| metadata.mtime() * 1_000_000 + metadata.mtime_nsec() / 1000)
}

/// `WSGITrustedProxyHeaders` and `WSGITrustedProxies`; the scheme, where a header says it that is believed.
fn trusted(dir: &DirConfig, environ: &mut Pairs) -> Option<UrlScheme> {
    let headers = dir.trusted_proxy_headers.as_ref()?;
    let holds = dir.trusted_proxies.as_ref().map(|networks| {
        let networks = Arc::clone(networks);
        move |address| networks.iter().any(|network| network.contains(address))
    });
    let proxies = holds.as_ref().map(|holds| holds as &dyn Fn(IpAddr) -> bool);
    trust_proxies(environ, &TrustedProxies { headers, proxies })
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
