//! What the pure rooms need to know of a request, read off httpd.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::ffi::OsStringExt as _;

use crate::apache::{PathInfo, Request, Table};
use crate::wsgi::{
    Admission, Entries, FileKind, HandlerKind, Lookups, Previous, RequestFacts, Visit, group_script_name,
};

/// A table of httpd's as the pure rooms walk it.
struct Walk<'a>(Table<'a>);

impl Entries for Walk<'_> {
    fn for_each(&self, visit: &mut Visit<'_>) {
        self.0.iter().for_each(|(name, value)| visit(name, value));
    }
}

/// What the `%{...}` forms of group names stand for.
pub(super) struct Names<'a, 'r> {
    pub(super) request: &'a Request<'r>,
    pub(super) case_sensitive: bool,
}

impl Lookups for Names<'_, '_> {
    fn env(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let name = std::ffi::CString::new(name).ok()?;
        if let Some(value) = self.request.notes().get(&name).or_else(|| self.request.environment().get(&name)) {
            return Some(Cow::Borrowed(value));
        }
        let value = std::env::var_os(std::ffi::OsStr::from_bytes(name.as_bytes()))?;
        Some(Cow::Owned(value.into_vec()))
    }

    fn server_name(&self) -> &[u8] {
        self.request.server().hostname().unwrap_or_default()
    }

    fn host(&self) -> Option<&[u8]> {
        self.request.host()
    }

    fn port(&self) -> u16 {
        self.request.server_port()
    }

    fn script_name(&self) -> Cow<'_, [u8]> {
        group_script_name(self.request.uri(), path_info(self.request), self.case_sensitive)
    }
}

/// What decides whether a request is admitted.
pub(super) fn admission<'a>(
    request: &'a Request<'_>,
    handler: HandlerKind,
    mapped_by_alias: bool,
    chunked_request: bool,
) -> Admission<'a> {
    Admission {
        handler,
        exec_cgi: request.allows_exec_cgi(),
        mapped_by_alias,
        file: match request.file() {
            None => FileKind::Missing,
            Some(file) if file.kind == crate::apache::FileKind::Directory => FileKind::Directory,
            Some(_) => FileKind::File,
        },
        filename: request.filename().unwrap_or_default(),
        accept_path_info: request.accepts_path_info() != PathInfo::Reject,
        path_info: path_info(request),
        transfer_encoding: request.header(c"Transfer-Encoding"),
        content_length: request.header(c"Content-Length"),
        chunked_request,
        limit_request_body: request.limit_request_body().unwrap_or(0),
    }
}

/// Names that were resolved before environ is made.
pub(super) struct Resolved<'a> {
    pub(super) process_group: &'a [u8],
    pub(super) application_group: &'a [u8],
    pub(super) callable_object: Option<&'a [u8]>,
    pub(super) handler_script: &'a [u8],
}

/// A path as a process sees it whose `/` is `root`; `None` for what is not below that.
pub(crate) fn seen_from<'p>(root: &[u8], path: &'p [u8]) -> Option<&'p [u8]> {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    path.strip_prefix(root).filter(|rest| rest.starts_with(b"/"))
}

/// Shows everything that environ is made of to `work`. `root`: what is `/` for the application's process, if that is another.
pub(super) fn with_facts<R>(
    request: &Request<'_>,
    resolved: &Resolved<'_>,
    root: Option<&[u8]>,
    work: impl FnOnce(&RequestFacts<'_>) -> R,
) -> R {
    let (headers, subprocess_env) = (Walk(request.headers_in()), Walk(request.environment()));
    let server = request.server();
    let previous = request.previous();
    let seen = |path| match root {
        Some(root) => seen_from(root, path).unwrap_or_default(),
        None => path,
    };
    work(&RequestFacts {
        method: request.method(),
        uri: request.uri(),
        request_uri: request.request_uri(),
        protocol: request.protocol(),
        args: request.query(),
        path_info: path_info(request),
        filename: seen(request.filename().unwrap_or_default()),
        scheme: request.scheme(),
        server_name: request.server_name_for_url(),
        server_port: request.server_port(),
        server_addr: request.local_ip().unwrap_or_default(),
        remote_addr: request.useragent_ip().unwrap_or_default(),
        remote_port: request.client_port().unwrap_or(0),
        server_software: server.banner(),
        server_admin: server.admin(),
        document_root: seen(request.document_root()),
        context_prefix: request.context_prefix(),
        context_document_root: request.context_document_root(),
        user: request.user(),
        auth_type: request.auth_type(),
        previous: previous.as_ref().map(|previous| Previous {
            url: request.redirect_url(),
            query: previous.query(),
            user: previous.user(),
        }),
        included: request.is_included(),
        handler: request.handler().unwrap_or_default(),
        handler_script: resolved.handler_script,
        process_group: resolved.process_group,
        application_group: resolved.application_group,
        callable_object: resolved.callable_object,
        request_id: request.log_id(),
        connection_id: request.connection_log_id(),
        listener_host: request.local_host().unwrap_or_default(),
        listener_port: request.local_port().unwrap_or(0),
        server_pid: std::process::id(),
        headers: &headers,
        subprocess_env: &subprocess_env,
    })
}

fn path_info<'a>(request: &'a Request<'_>) -> &'a [u8] {
    request.path_info().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::seen_from;

    #[test]
    fn paths_are_seen_from_the_root_of_the_process() {
        for (root, path, seen) in [
            ("/jail", "/jail/srv/app.wsgi", Some("/srv/app.wsgi")),
            ("/jail/", "/jail/srv/app.wsgi", Some("/srv/app.wsgi")),
            ("/jail", "/jailer/app.wsgi", None),
            ("/jail", "/jail", None),
            ("/jail", "/srv/app.wsgi", None),
            ("/", "/srv/app.wsgi", Some("/srv/app.wsgi")),
        ] {
            assert_eq!(seen_from(root.as_bytes(), path.as_bytes()), seen.map(str::as_bytes), "{root} {path}");
        }
    }
}
