//! `WSGIScriptAlias`: does the URI lie under the alias, and which file does it then name.
//!
//! Called in the translate-name hook of a child for each configured alias until one matches. Regular expressions of
//! `WSGIScriptAliasMatch` are httpd's; their match length comes here only to build the file name.

/// How many bytes of `uri` the alias covers, or `None` when the URI does not lie under it.
///
/// As `Alias` of mod_alias does: a run of `/` in the alias matches a run of `/` of any length in the URI, other bytes are compared
/// exactly, and unless the alias ends with `/` the URI must end there or go on with `/`. An empty alias matches nothing.
#[must_use]
pub fn prefix_match(alias: &[u8], uri: &[u8]) -> Option<usize> {
    if alias.is_empty() {
        return None;
    }
    let (mut wanted, mut rest) = (alias, uri);
    while let [first, wanted_rest @ ..] = wanted {
        let [next, uri_rest @ ..] = rest else { return None };
        if first != next {
            return None;
        }
        (wanted, rest) =
            if *first == b'/' { (skip_slashes(wanted_rest), skip_slashes(uri_rest)) } else { (wanted_rest, uri_rest) };
    }
    let ends_whole = alias.ends_with(b"/") || rest.is_empty() || rest.starts_with(b"/");
    ends_whole.then(|| uri.len() - rest.len())
}

/// The file name of a matched URI: `target` and what of `uri` follows the `matched` bytes.
///
/// `target` is the alias's second argument, for `WSGIScriptAliasMatch` with its `$1` replaced. The alias `/` is special: the whole
/// URI follows, so that `WSGIScriptAlias / /srv/app.wsgi` names `/srv/app.wsgi/path`; `WSGIScriptAliasMatch /` does the same in C
/// mod_wsgi 6.1.1 (seen). httpd's directory walk then finds where the file ends and path info starts.
#[must_use]
pub fn target(alias: &[u8], target: &[u8], uri: &[u8], matched: usize) -> Vec<u8> {
    let skipped = if alias == b"/" { 0 } else { matched };
    let rest = uri.get(skipped..).unwrap_or_default();
    let mut file = Vec::with_capacity(target.len() + rest.len());
    file.extend_from_slice(target);
    file.extend_from_slice(rest);
    file
}

fn skip_slashes(mut path: &[u8]) -> &[u8] {
    while let [b'/', rest @ ..] = path {
        path = rest;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_matches_whole_path_elements_only() {
        let cases: [(&str, &str, Option<usize>); 16] = [
            ("/shop", "/shop", Some(5)),
            ("/shop", "/shop/cart", Some(5)),
            ("/shop", "/shopping", None),
            ("/shop", "/sho", None),
            ("/shop", "/Shop", None),
            ("/shop/", "/shop/cart", Some(6)),
            ("/shop/", "/shop", None),
            ("/", "/", Some(1)),
            ("/", "/anything", Some(1)),
            ("/", "", None),
            ("/", "*", None),
            ("", "/x", None),
            ("/a/b", "/a", None),
            ("/a", "a", None),
            ("/caf\u{e9}", "/caf\u{e9}/x", Some(6)),
            ("shop", "shop", Some(4)),
        ];
        for (alias, uri, matched) in cases {
            assert_eq!(prefix_match(alias.as_bytes(), uri.as_bytes()), matched, "{alias} on {uri}");
        }
    }

    #[test]
    fn runs_of_slashes_match_runs_of_any_length() {
        let cases: [(&str, &str, Option<usize>); 6] = [
            ("//dbl//x", "/dbl/x/y", Some(6)),
            ("//dbl//x", "//dbl///x//y", Some(9)),
            ("/a/b", "/a//b", Some(5)),
            ("/shop/", "/shop///cart", Some(8)),
            ("/", "///x", Some(3)),
            ("/dbl/x", "/dbl/xy", None),
        ];
        for (alias, uri, matched) in cases {
            assert_eq!(prefix_match(alias.as_bytes(), uri.as_bytes()), matched, "{alias} on {uri}");
        }
    }

    #[track_caller]
    fn file(alias: &str, to: &str, uri: &str) -> String {
        let matched = prefix_match(alias.as_bytes(), uri.as_bytes()).unwrap();
        String::from_utf8(target(alias.as_bytes(), to.as_bytes(), uri.as_bytes(), matched)).unwrap()
    }

    #[test]
    fn the_file_is_the_target_and_the_rest_of_the_uri() {
        assert_eq!(file("/shop", "/srv/shop.wsgi", "/shop/cart"), "/srv/shop.wsgi/cart");
        assert_eq!(file("/shop", "/srv/shop.wsgi", "/shop"), "/srv/shop.wsgi");
        assert_eq!(file("/apps/", "/srv/apps/", "/apps//one.wsgi/x"), "/srv/apps/one.wsgi/x");
        assert_eq!(file("/apps/", "/srv/apps", "/apps/one"), "/srv/appsone");
    }

    #[test]
    fn the_root_alias_keeps_the_whole_uri() {
        assert_eq!(file("/", "/srv/app.wsgi", "/foo/bar"), "/srv/app.wsgi/foo/bar");
        assert_eq!(file("/", "/srv/app.wsgi", "//foo"), "/srv/app.wsgi//foo");
        assert_eq!(target(b"/", b"/srv/app.wsgi", b"/foo", 1), b"/srv/app.wsgi/foo");
    }

    #[test]
    fn a_match_length_beyond_the_uri_leaves_nothing_over() {
        assert_eq!(target(b"^/x", b"/srv/x", b"/x", 99), b"/srv/x");
        assert_eq!(target(b"^/m(.)", b"/srv/a", b"/ma/foo", 3), b"/srv/a/foo");
    }
}
