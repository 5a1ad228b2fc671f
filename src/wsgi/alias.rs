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

/// What of a matched URI follows the alias's second argument, for `WSGIScriptAliasMatch` with its `$1` replaced, in the name of the file.
///
/// The alias `/` is special: the whole URI follows, so that `WSGIScriptAlias / /srv/app.wsgi` names `/srv/app.wsgi/path`;
/// `WSGIScriptAliasMatch /` does the same in C mod_wsgi 6.1.1 (seen). httpd's directory walk then finds where the file ends and path
/// info starts.
#[must_use]
pub fn rest<'u>(alias: &[u8], uri: &'u [u8], matched: usize) -> &'u [u8] {
    let skipped = if alias == b"/" { 0 } else { matched };
    uri.get(skipped..).unwrap_or_default()
}

/// Whether httpd's directory walk would find path info to be exactly `rest`, if `file` is a file: it would have nothing to put in order.
#[must_use]
pub fn is_path_info(file: &[u8], rest: &[u8]) -> bool {
    in_order(file) && !file.ends_with(b"/") && (rest.is_empty() || in_order(rest))
}

/// An absolute path without `//`, `/./` and `/../`.
fn in_order(path: &[u8]) -> bool {
    let Some(path) = path.strip_prefix(b"/") else { return false };
    // A slash at the end is no empty part.
    let mut parts = path.strip_suffix(b"/").unwrap_or(path).split(|byte| *byte == b'/');
    path.is_empty() || parts.all(|part| !matches!(part, b"" | b"." | b".."))
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
        format!("{to}{}", std::str::from_utf8(rest(alias.as_bytes(), uri.as_bytes(), matched)).unwrap())
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
        assert_eq!(rest(b"/", b"/foo", 1), b"/foo");
    }

    #[test]
    fn a_match_length_beyond_the_uri_leaves_nothing_over() {
        assert_eq!(rest(b"^/x", b"/x", 99), b"");
        assert_eq!(rest(b"^/m(.)", b"/ma/foo", 3), b"/foo");
    }

    #[test]
    fn path_info_is_known_where_nothing_is_to_be_put_in_order() {
        let known =
            [("/srv/a.wsgi", ""), ("/srv/a.wsgi", "/"), ("/srv/.venv/a.wsgi", "/x/.y/..z"), ("/srv/a.wsgi", "/x/")];
        for (file, rest) in known {
            assert!(is_path_info(file.as_bytes(), rest.as_bytes()), "{file} {rest}");
        }
        let unknown = [
            ("/srv/a.wsgi", "x"),
            ("/srv/apps/", ""),
            ("srv/a.wsgi", ""),
            ("", "/x"),
            ("/srv//a.wsgi", ""),
            ("/srv/../a.wsgi", ""),
            ("/srv/./a.wsgi", ""),
            ("/srv/a.wsgi", "//"),
            ("/srv/a.wsgi", "/x//y"),
            ("/srv/a.wsgi", "/x/.."),
            ("/srv/a.wsgi", "/./x"),
        ];
        for (file, rest) in unknown {
            assert!(!is_path_info(file.as_bytes(), rest.as_bytes()), "{file} {rest}");
        }
    }
}
