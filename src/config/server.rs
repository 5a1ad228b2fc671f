//! Settings of a main server or virtual host: its script aliases and daemon process groups, and the process's.
//!
//! Written while httpd reads its configuration; read by children's request threads, which share it unchanged.

use std::fmt;
use std::sync::Arc;

use super::refusal::shown;
use super::{DaemonGroup, ImportScript, Pattern, ProcessConfig};

/// Settings of one server.
#[derive(Clone, Debug, Default)]
pub struct ServerConfig {
    pub process: ProcessConfig,
    /// In the order in which they are tried; the first match counts.
    pub aliases: Vec<Alias>,
    /// The groups that are defined here, in the order written. A virtual host's record holds its own only: collect them with
    /// [`all_daemons`].
    pub daemons: Vec<DaemonGroup>,
    /// A virtual host's record holds its own only.
    pub chosen: Chosen,
}

/// What lines of a server say about the groups of its requests, in which sections ever. What holds for a request is in its
/// [`DirConfig`](super::DirConfig); this is for those who must know before any request ([`alone`](super::alone())).
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// `WSGIProcessGroup` outside sections, as written; the last one counts.
    pub process_group: Option<Vec<u8>>,
    /// The same inside sections: each may hold for a request.
    pub sections: Vec<SectionGroup>,
    /// Whether there is any `WSGIApplicationGroup`.
    pub application_group: bool,
    /// `process-group=` of `WSGIHandlerScript`, as written.
    pub handler_groups: Vec<Vec<u8>>,
    /// Whether there is any `WSGIDispatchScript`.
    pub dispatches: bool,
    /// Whether there is any `WSGITrustedProxyHeaders` that names a header which the module knows, and any `WSGITrustedProxies`.
    pub proxy_headers: bool,
    pub trusted_proxies: bool,
    /// Scripts that other lines than aliases and imports name, each with its directive.
    pub scripts: Vec<(&'static str, Vec<u8>)>,
}

/// A `WSGIProcessGroup` in a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionGroup {
    /// The section's path, URL or pattern, as httpd has it: a directory's ends in a slash.
    pub path: Vec<u8>,
    /// As written.
    pub group: Vec<u8>,
}

impl ServerConfig {
    /// The settings of a virtual host inside its main server, as httpd asks for them after reading its configuration.
    ///
    /// The host's aliases come first. Settings of the process are the main server's, but `imports`, `daemons` and
    /// `chosen` stay the host's own, so that walking all servers meets each once.
    pub fn merge(base: &Self, host: &Self) -> Self {
        Self {
            process: ProcessConfig { imports: host.process.imports.clone(), ..base.process.clone() },
            aliases: host.aliases.iter().chain(&base.aliases).cloned().collect(),
            daemons: host.daemons.clone(),
            chosen: host.chosen.clone(),
        }
    }
}

/// All daemon process groups: the main server's first, then each virtual host's. Pass the merged records, main server first.
pub fn all_daemons<'a>(servers: impl IntoIterator<Item = &'a ServerConfig>) -> impl Iterator<Item = &'a DaemonGroup> {
    servers.into_iter().flat_map(|server| &server.daemons)
}

/// The scripts to load when a process of the group starts (the empty name: embedded mode, a child of httpd): the main server's
/// first, then each virtual host's. Pass the merged records, main server first. A script that is named twice for one
/// interpreter is kept once.
pub fn imports_of<'a>(
    process_group: &[u8],
    servers: impl IntoIterator<Item = &'a ServerConfig>,
) -> Vec<&'a ImportScript> {
    let mut imports: Vec<&ImportScript> = Vec::new();
    let named = servers.into_iter().flat_map(|server| &server.process.imports);
    for import in named.filter(|import| import.process_group == process_group) {
        let known = imports
            .iter()
            .any(|other| other.path == import.path && other.application_group == import.application_group);
        if !known {
            imports.push(import);
        }
    }
    imports
}

/// One `WSGIScriptAlias` or `WSGIScriptAliasMatch`.
#[derive(Clone, Debug)]
pub struct Alias {
    pub pattern: AliasPattern,
    /// The script or directory; with a regular expression, a template with `$0` to `$9`. What follows the match in the
    /// URI is appended.
    pub target: Vec<u8>,
    /// As written, `%{GLOBAL}` too; `wsgi::process_group` expands it. None leaves it to `WSGIProcessGroup`.
    pub process_group: Option<Vec<u8>>,
    /// As written, `%{GLOBAL}` too; `wsgi::application_group` expands it. None leaves it to `WSGIApplicationGroup`.
    pub application_group: Option<Vec<u8>>,
    /// As written, and a name as it is: never to be expanded, unlike that of `WSGICallableObject`. None leaves it to
    /// `WSGICallableObject`.
    pub callable_object: Option<Vec<u8>>,
    /// None leaves it to `WSGIPassAuthorization`.
    pub pass_authorization: Option<bool>,
}

/// Which URIs an alias takes.
#[derive(Clone)]
pub enum AliasPattern {
    /// A prefix that ends where a part of the path ends; runs of slashes match runs of slashes.
    Prefix(Vec<u8>),
    /// A regular expression and its source. It is not anchored.
    Regex(Arc<dyn Pattern>, Vec<u8>),
}

impl fmt::Debug for AliasPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => write!(out, "Prefix({:?})", shown(prefix)),
            Self::Regex(_, source) => write!(out, "Regex({:?})", shown(source)),
        }
    }
}

/// Whether every URI under the alias `inner` is also under `outer`, so that `inner` is never reached behind it.
pub(super) fn covers(outer: &[u8], inner: &[u8]) -> bool {
    let (outer, inner) = (one_slash(outer), one_slash(inner));
    match inner.strip_prefix(outer.as_slice()) {
        None => false,
        Some(rest) => outer.ends_with(b"/") || rest.is_empty() || rest.starts_with(b"/"),
    }
}

/// The path with runs of slashes made one.
fn one_slash(path: &[u8]) -> Vec<u8> {
    let mut short = path.to_vec();
    short.dedup_by(|next, before| *next == b'/' && *before == b'/');
    short
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{DaemonOptions, ImportOrigin};

    fn alias(prefix: &str) -> Alias {
        Alias {
            pattern: AliasPattern::Prefix(prefix.as_bytes().to_vec()),
            target: b"/srv/app.wsgi".to_vec(),
            process_group: None,
            application_group: None,
            callable_object: None,
            pass_authorization: None,
        }
    }

    fn import(path: &str, group: &str) -> ImportScript {
        ImportScript {
            path: path.into(),
            process_group: Vec::new(),
            application_group: group.as_bytes().to_vec(),
            origin: ImportOrigin::Directive,
        }
    }

    fn server(aliases: &[&str], imports: &[ImportScript]) -> ServerConfig {
        ServerConfig {
            process: ProcessConfig { imports: imports.to_vec(), ..ProcessConfig::default() },
            aliases: aliases.iter().map(|prefix| alias(prefix)).collect(),
            ..ServerConfig::default()
        }
    }

    #[test]
    fn a_virtual_hosts_aliases_are_tried_before_the_main_servers() {
        let merged = ServerConfig::merge(&server(&["/m1", "/m2"], &[]), &server(&["/v1", "/v2"], &[]));
        let order: Vec<_> = merged.aliases.iter().map(|alias| format!("{:?}", alias.pattern)).collect();
        assert_eq!(order, [r#"Prefix("/v1")"#, r#"Prefix("/v2")"#, r#"Prefix("/m1")"#, r#"Prefix("/m2")"#]);
    }

    #[test]
    fn settings_of_the_process_are_the_main_servers_in_every_virtual_host() {
        let mut main = server(&[], &[]);
        main.process.interpreters.all.restrict_stdin = Some(true);
        main.process.python_optimize = 2;
        let merged = ServerConfig::merge(&main, &server(&[], &[]));
        assert_eq!(merged.process.interpreters, main.process.interpreters);
        assert_eq!(merged.process.python_optimize, 2);
    }

    #[test]
    fn imports_of_all_servers_are_met_once_and_the_main_servers_first() {
        let main = server(&[], &[import("/a", ""), import("/b", "x")]);
        let host = server(&[], &[import("/c", ""), import("/a", ""), import("/a", "x")]);
        let merged = ServerConfig::merge(&main, &host);
        let all: Vec<_> = imports_of(b"", [&main, &merged]).into_iter().cloned().collect();
        assert_eq!(all, [import("/a", ""), import("/b", "x"), import("/c", ""), import("/a", "x")]);
    }

    #[test]
    fn each_process_group_has_imports_of_its_own() {
        let of = |group: &str, path: &str| ImportScript { process_group: group.into(), ..import(path, "") };
        let main = server(&[], &[of("shop", "/a"), of("", "/a"), of("blog", "/a"), of("shop", "/b"), of("shop", "/a")]);
        let paths =
            |group: &[u8]| imports_of(group, [&main]).iter().map(|import| import.path.clone()).collect::<Vec<_>>();
        assert_eq!(paths(b"shop"), [Path::new("/a"), Path::new("/b")]);
        assert_eq!(paths(b"blog"), [Path::new("/a")]);
        assert_eq!(paths(b""), [Path::new("/a")]);
        assert_eq!(paths(b"Shop"), [] as [&Path; 0]);
    }

    #[test]
    fn daemon_groups_of_all_servers_are_met_once_in_order() {
        let with = |names: &[&str]| {
            let group = |name: &&str| DaemonGroup { name: name.as_bytes().to_vec(), options: DaemonOptions::default() };
            ServerConfig { daemons: names.iter().map(group).collect(), ..ServerConfig::default() }
        };
        let main = with(&["a", "b"]);
        let merged = ServerConfig::merge(&main, &with(&["c"]));
        let names: Vec<&[u8]> = all_daemons([&main, &merged]).map(|group| group.name.as_slice()).collect();
        assert_eq!(names, [b"a", b"b", b"c"]);
    }

    #[test]
    fn an_alias_covers_what_lies_below_it() {
        for (outer, inner, answer) in [
            ("/", "/wiki", true),
            ("/", "/", true),
            ("/wiki", "/wiki", true),
            ("/wiki", "/wiki/", true),
            ("/wiki", "/wiki/x", true),
            ("/wiki", "//wiki", true),
            ("/wiki", "/wikis", false),
            ("/wiki/", "/wiki", false),
            ("/wiki/", "/wiki//x", true),
            ("/wiki", "/", false),
        ] {
            assert_eq!(covers(outer.as_bytes(), inner.as_bytes()), answer, "{outer} over {inner}");
        }
    }
}
