//! Settings that may differ from directory to directory, and how an inner place changes an outer one's.
//!
//! httpd merges main server, virtual host, `<Directory>`, `.htaccess`, `<Location>` in its own order, two at a time; so one
//! type and one merge serve them all. Read by children's request threads.

use std::sync::Arc;

use super::{HandlerScript, Network, Script};

/// Settings of a directory. A field is none where nothing was said; the method of the same name, where there is one, gives
/// the value that then holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirConfig {
    /// As written; `wsgi::process_group` expands it per request, and knows what none means.
    pub process_group: Option<Vec<u8>>,
    /// As written; `wsgi::application_group` expands it per request, and knows what none means.
    pub application_group: Option<Vec<u8>>,
    /// As written; `wsgi::callable_object` expands it per request, and knows what none means.
    pub callable_object: Option<Vec<u8>>,
    pub script_reloading: Option<bool>,
    pub pass_authorization: Option<bool>,
    pub error_override: Option<bool>,
    pub chunked_request: Option<bool>,
    pub map_head_to_get: Option<HeadMapping>,
    pub ignore_activity: Option<bool>,
    pub enable_sendfile: Option<bool>,
    /// Names of process groups that may be used here; the empty name is embedded mode.
    pub restrict_process: Option<Vec<Vec<u8>>>,
    pub pass_apache_request: Option<bool>,
    pub access_script: Option<Arc<Script>>,
    pub auth_user_script: Option<Arc<Script>>,
    pub auth_group_script: Option<Arc<Script>>,
    pub dispatch_script: Option<Arc<Script>>,
    /// No name comes twice.
    pub handler_scripts: Vec<Arc<HandlerScript>>,
    /// Of [`PROXY_HEADERS`](super::PROXY_HEADERS), in the order written. Shared: each request has a copy of this record.
    pub trusted_proxy_headers: Option<Arc<Vec<&'static str>>>,
    /// Whose headers are believed; none: everybody's.
    pub trusted_proxies: Option<Arc<Vec<Network>>>,
}

impl DirConfig {
    /// What holds in `inner`, a place inside `outer`.
    pub fn merge(outer: &Self, inner: &Self) -> Self {
        Self {
            process_group: inner.process_group.clone().or_else(|| outer.process_group.clone()),
            application_group: inner.application_group.clone().or_else(|| outer.application_group.clone()),
            callable_object: inner.callable_object.clone().or_else(|| outer.callable_object.clone()),
            script_reloading: inner.script_reloading.or(outer.script_reloading),
            pass_authorization: inner.pass_authorization.or(outer.pass_authorization),
            error_override: inner.error_override.or(outer.error_override),
            chunked_request: inner.chunked_request.or(outer.chunked_request),
            map_head_to_get: inner.map_head_to_get.or(outer.map_head_to_get),
            ignore_activity: inner.ignore_activity.or(outer.ignore_activity),
            enable_sendfile: inner.enable_sendfile.or(outer.enable_sendfile),
            restrict_process: inner.restrict_process.clone().or_else(|| outer.restrict_process.clone()),
            pass_apache_request: inner.pass_apache_request.or(outer.pass_apache_request),
            access_script: inner.access_script.clone().or_else(|| outer.access_script.clone()),
            auth_user_script: inner.auth_user_script.clone().or_else(|| outer.auth_user_script.clone()),
            auth_group_script: inner.auth_group_script.clone().or_else(|| outer.auth_group_script.clone()),
            dispatch_script: inner.dispatch_script.clone().or_else(|| outer.dispatch_script.clone()),
            handler_scripts: {
                let left = outer.handler_scripts.iter().filter(|script| inner.handler_script(&script.name).is_none());
                inner.handler_scripts.iter().chain(left).cloned().collect()
            },
            trusted_proxy_headers: inner.trusted_proxy_headers.clone().or_else(|| outer.trusted_proxy_headers.clone()),
            trusted_proxies: inner.trusted_proxies.clone().or_else(|| outer.trusted_proxies.clone()),
        }
    }

    /// `WSGIScriptReloading`; On if unset.
    pub fn script_reloading(&self) -> bool {
        self.script_reloading.unwrap_or(true)
    }

    /// `WSGIPassAuthorization`; Off if unset.
    pub fn pass_authorization(&self) -> bool {
        self.pass_authorization.unwrap_or(false)
    }

    /// `WSGIErrorOverride`; Off if unset.
    pub fn error_override(&self) -> bool {
        self.error_override.unwrap_or(false)
    }

    /// `WSGIChunkedRequest`; Off if unset.
    pub fn chunked_request(&self) -> bool {
        self.chunked_request.unwrap_or(false)
    }

    /// `WSGIMapHEADToGET`; Auto if unset.
    pub fn map_head_to_get(&self) -> HeadMapping {
        self.map_head_to_get.unwrap_or_default()
    }

    /// `WSGIIgnoreActivity`; Off if unset.
    pub fn ignore_activity(&self) -> bool {
        self.ignore_activity.unwrap_or(false)
    }

    /// `WSGIEnableSendfile`: whether sendfile is used where it can be; On if unset, where C mod_wsgi has Off.
    pub fn enable_sendfile(&self) -> bool {
        self.enable_sendfile.unwrap_or(true)
    }

    /// `WSGIPassApacheRequest`; Off if unset.
    pub fn pass_apache_request(&self) -> bool {
        self.pass_apache_request.unwrap_or(false)
    }

    /// The script behind a handler's name.
    pub fn handler_script(&self, name: &[u8]) -> Option<&Arc<HandlerScript>> {
        self.handler_scripts.iter().find(|script| script.is_called(name))
    }

    /// Gives a handler's name to a script, in place of one that had it.
    pub(super) fn add_handler_script(&mut self, script: HandlerScript) {
        self.handler_scripts.retain(|other| !other.is_called(&script.name));
        self.handler_scripts.push(Arc::new(script));
    }

    /// Whether `WSGIRestrictProcess` lets a request here run in the process group of this name (empty: embedded mode).
    /// Upper and lower case are the same, as administrators know it from C mod_wsgi.
    pub fn allows_process_group(&self, name: &[u8]) -> bool {
        self.restrict_process.as_ref().is_none_or(|names| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
    }
}

/// `WSGIMapHEADToGET`: whether an application sees a HEAD request as GET.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeadMapping {
    On,
    Off,
    /// As GET where an output filter needs the body to get the headers right.
    #[default]
    Auto,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unset_has_the_documented_default() {
        let unset = DirConfig::default();
        assert!(unset.script_reloading());
        assert!(!unset.pass_authorization());
        assert!(!unset.error_override());
        assert!(!unset.chunked_request());
        assert_eq!(unset.map_head_to_get(), HeadMapping::Auto);
        assert!(!unset.ignore_activity());
        assert!(unset.enable_sendfile());
        assert!(!unset.pass_apache_request());
        assert!(unset.allows_process_group(b"") && unset.allows_process_group(b"shop"));
    }

    fn script(path: &str) -> Arc<Script> {
        Arc::new(Script { path: path.into(), application_group: None })
    }

    fn handler(name: &str, path: &str) -> Arc<HandlerScript> {
        Arc::new(HandlerScript {
            name: name.into(),
            path: path.into(),
            process_group: None,
            application_group: None,
            pass_authorization: None,
        })
    }

    /// Every field set, to a value that is not the default.
    fn full() -> DirConfig {
        DirConfig {
            process_group: Some(b"%{ENV:GROUP}".to_vec()),
            application_group: Some(b"%{HOST}".to_vec()),
            callable_object: Some(b"%{ENV:X}".to_vec()),
            script_reloading: Some(false),
            pass_authorization: Some(true),
            error_override: Some(true),
            chunked_request: Some(true),
            map_head_to_get: Some(HeadMapping::On),
            ignore_activity: Some(true),
            enable_sendfile: Some(false),
            restrict_process: Some(vec![b"shop".to_vec()]),
            pass_apache_request: Some(true),
            access_script: Some(script("/outer/access")),
            auth_user_script: Some(script("/outer/users")),
            auth_group_script: Some(script("/outer/groups")),
            dispatch_script: Some(script("/outer/dispatch")),
            handler_scripts: vec![handler("Feed", "/outer/feed")],
            trusted_proxy_headers: Some(Arc::new(vec!["X-Real-IP"])),
            trusted_proxies: Network::parse("10.0.0.0/8").map(|network| Arc::new(vec![network])),
        }
    }

    #[test]
    fn an_inner_place_keeps_what_it_does_not_set() {
        assert_eq!(DirConfig::merge(&full(), &DirConfig::default()), full());
        assert_eq!(DirConfig::merge(&DirConfig::default(), &full()), full());
    }

    #[test]
    fn an_inner_place_wins_and_its_lists_replace() {
        let inner = DirConfig {
            process_group: None,
            application_group: Some(b"%{GLOBAL}".to_vec()),
            callable_object: Some(b"application".to_vec()),
            script_reloading: Some(true),
            pass_authorization: Some(false),
            error_override: Some(false),
            chunked_request: Some(false),
            map_head_to_get: Some(HeadMapping::Off),
            ignore_activity: Some(false),
            enable_sendfile: Some(true),
            restrict_process: Some(vec![b"blog".to_vec()]),
            pass_apache_request: Some(false),
            access_script: Some(script("/inner/access")),
            auth_user_script: Some(script("/inner/users")),
            auth_group_script: Some(script("/inner/groups")),
            dispatch_script: Some(script("/inner/dispatch")),
            handler_scripts: vec![handler("feed", "/inner/feed")],
            trusted_proxy_headers: Some(Arc::new(vec!["X-Forwarded-For"])),
            trusted_proxies: Network::parse("::1").map(|network| Arc::new(vec![network])),
        };
        let merged = DirConfig::merge(&full(), &inner);
        assert_eq!(merged, DirConfig { process_group: Some(b"%{ENV:GROUP}".to_vec()), ..inner });
        assert!(merged.allows_process_group(b"blog") && !merged.allows_process_group(b"shop"));
    }

    #[test]
    fn restricted_groups_are_compared_without_case_and_the_empty_name_is_embedded_mode() {
        let dir = DirConfig { restrict_process: Some(vec![b"Shop".to_vec(), Vec::new()]), ..DirConfig::default() };
        for (name, allowed) in [("shop", true), ("SHOP", true), ("", true), ("sho", false)] {
            assert_eq!(dir.allows_process_group(name.as_bytes()), allowed, "{name}");
        }
        let none = DirConfig { restrict_process: Some(Vec::new()), ..DirConfig::default() };
        assert!(!none.allows_process_group(b""));
    }

    #[test]
    fn handler_scripts_are_merged_by_name() {
        let with = |scripts: &[(&str, &str)]| DirConfig {
            handler_scripts: scripts.iter().map(|(name, path)| handler(name, path)).collect(),
            ..DirConfig::default()
        };
        let merged = DirConfig::merge(&with(&[("a", "/a"), ("b", "/b")]), &with(&[("B", "/inner"), ("c", "/c")]));
        let path = |name: &str| merged.handler_script(name.as_bytes()).map(|script| script.path.as_slice());
        assert_eq!(merged.handler_scripts.len(), 3);
        assert_eq!(
            [path("a"), path("b"), path("C"), path("d")],
            [Some(&b"/a"[..]), Some(b"/inner"), Some(b"/c"), None]
        );
    }
}
