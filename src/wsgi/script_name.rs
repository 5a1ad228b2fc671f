//! Splits the path of a request into SCRIPT_NAME and PATH_INFO.
//!
//! httpd finds the script by walking directories and leaves the rest as path info; SCRIPT_NAME is what remains of the URI without
//! that tail. The two can differ in their slashes (`MergeSlashes Off`, a rewrite), so the tail is compared with each run of
//! slashes counted as one. Called for every request to build `environ` and to name `%{RESOURCE}`.

use std::borrow::Cow;

/// SCRIPT_NAME and PATH_INFO of a request, runs of slashes reduced to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SplitPath<'a> {
    /// What selected the application; empty for an application mounted at the root.
    pub(super) script_name: Cow<'a, [u8]>,
    /// What is left for the application; may be empty.
    pub(super) path_info: Cow<'a, [u8]>,
}

/// Splits the decoded `uri` into SCRIPT_NAME and PATH_INFO.
///
/// `path_info` is httpd's; `included` says that this is an SSI subrequest (protocol `INCLUDED`), whose path info belongs to the
/// including page: then SCRIPT_NAME is the whole URI, as httpd does for every CGI-like handler.
///
/// PEP 3333, "environ Variables": "SCRIPT_NAME: The initial portion of the request URL's "path" that corresponds to the
/// application object ... This may be an empty string, if the application corresponds to the "root" of the server."
pub(super) fn split<'a>(uri: &'a [u8], path_info: &'a [u8], included: bool) -> SplitPath<'a> {
    let (script_name, path_info) = split_as_is(uri, path_info, included);
    SplitPath { script_name: collapse_slashes(script_name), path_info: collapse_slashes(path_info) }
}

/// As [`split`], with all slashes as they are.
pub(super) fn split_as_is<'a>(uri: &'a [u8], path_info: &'a [u8], included: bool) -> (&'a [u8], &'a [u8]) {
    let end = if included || path_info.is_empty() { uri.len() } else { script_name_len(uri, path_info) };
    (uri.get(..end).unwrap_or_default(), path_info)
}

/// The script name as it appears in `%{RESOURCE}`: split off as for `environ`, in lower case when `WSGICaseSensitivity` is Off.
#[must_use]
pub fn group_script_name<'a>(uri: &'a [u8], path_info: &'a [u8], case_sensitive: bool) -> Cow<'a, [u8]> {
    let name = split(uri, path_info, false).script_name;
    if case_sensitive || !name.iter().any(u8::is_ascii_uppercase) {
        return name;
    }
    Cow::Owned(name.to_ascii_lowercase())
}

/// Reduces every run of `/` to one; borrows when there is none.
fn collapse_slashes(path: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = path.windows(2).position(|pair| pair == b"//") else {
        return Cow::Borrowed(path);
    };
    let (clean, rest) = path.split_at(first);
    let mut out = Vec::with_capacity(path.len());
    out.extend_from_slice(clean);
    let mut after_slash = false;
    for &byte in rest {
        if byte != b'/' || !after_slash {
            out.push(byte);
        }
        after_slash = byte == b'/';
    }
    Cow::Owned(out)
}

/// How many bytes of `uri` stand before the tail that equals `path_info`.
///
/// When the tail does not match (a rewrite changed one of them) the cut falls on the next slash after the part that does match,
/// or on the end of the URI, so a path element is never cut in two.
fn script_name_len(uri: &[u8], path_info: &[u8]) -> usize {
    let (mut head, mut tail) = (uri, path_info);
    while let ([head_rest @ .., left], [tail_rest @ .., right]) = (head, tail)
        && left == right
    {
        (head, tail) =
            if *left == b'/' { (trim_slashes(head_rest), trim_slashes(tail_rest)) } else { (head_rest, tail_rest) };
    }
    let from = head.len().saturating_sub(1);
    let rest = uri.get(from..).unwrap_or_default();
    rest.iter().position(|&byte| byte == b'/').map_or(uri.len(), |offset| from + offset)
}

fn trim_slashes(mut path: &[u8]) -> &[u8] {
    while let [rest @ .., b'/'] = path {
        path = rest;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uri: &str, path_info: &str, script_name: &str, shown_path_info: &str) {
        let parts = split(uri.as_bytes(), path_info.as_bytes(), false);
        let got = (String::from_utf8_lossy(&parts.script_name), String::from_utf8_lossy(&parts.path_info));
        assert_eq!(got, (script_name.into(), shown_path_info.into()), "{uri} with {path_info}");
    }

    #[test]
    fn script_name_is_the_uri_without_its_path_info() {
        check("/shop/cart", "/cart", "/shop", "/cart");
        check("/shop", "", "/shop", "");
        check("/shop/", "/", "/shop", "/");
        check("/apps/one.wsgi/x/y", "/x/y", "/apps/one.wsgi", "/x/y");
        check("/a/a/a", "/a", "/a/a", "/a");
        check("/caf\u{e9}/\u{fc}", "/\u{fc}", "/caf\u{e9}", "/\u{fc}");
    }

    #[test]
    fn an_application_at_the_root_has_an_empty_script_name() {
        check("/", "/", "", "/");
        check("/foo/bar", "/foo/bar", "", "/foo/bar");
        check("//foo", "/foo", "", "/foo");
    }

    #[test]
    fn slashes_are_collapsed_after_the_split() {
        check("/env/a//b", "/a//b", "/env", "/a/b");
        check("/env/a//b", "/a/b", "/env", "/a/b");
        check("/env/a/b", "/a//b", "/env", "/a/b");
        check("//dbl///x//y", "//y", "/dbl/x", "/y");
        check("///", "/", "", "/");
        check("/env//", "", "/env/", "");
    }

    #[test]
    fn a_tail_that_does_not_match_never_cuts_an_element() {
        check("/shop/cart", "/other", "/shop/cart", "/other");
        check("/shop/mycart", "/cart", "/shop/mycart", "/cart");
        check("/x/a", "ba", "/x", "ba");
        check("/xa", "a", "/xa", "a");
        check("/x/a", "a", "/x", "a");
        check("/a", "/x/a", "", "/x/a");
        check("", "/x", "", "/x");
        check("*", "/x", "*", "/x");
    }

    #[test]
    fn an_included_page_keeps_its_whole_uri() {
        let parts = split(b"/inc//part.wsgi", b"/page//tail", true);
        assert_eq!(&*parts.script_name, b"/inc/part.wsgi");
        assert_eq!(&*parts.path_info, b"/page/tail");
    }

    #[test]
    fn paths_without_double_slashes_are_borrowed() {
        let parts = split(b"/shop/cart", b"/cart", false);
        assert!(matches!(parts.script_name, Cow::Borrowed(_)));
        assert!(matches!(parts.path_info, Cow::Borrowed(_)));
    }

    #[test]
    fn long_runs_of_slashes_collapse_to_one() {
        let cases: [(&[u8], &[u8]); 6] =
            [(b"", b""), (b"/", b"/"), (b"//", b"/"), (b"a//", b"a/"), (b"//a///b/c//", b"/a/b/c/"), (b"ab", b"ab")];
        for (path, collapsed) in cases {
            assert_eq!(&*collapse_slashes(path), collapsed);
        }
        assert_eq!(&*collapse_slashes(&vec![b'/'; 100_000]), b"/");
    }

    #[test]
    fn the_group_name_is_lower_case_only_when_case_does_not_matter() {
        assert_eq!(&*group_script_name(b"/Shop//App/x", b"/x", true), b"/Shop/App");
        assert_eq!(&*group_script_name(b"/Shop//App/x", b"/x", false), b"/shop/app");
    }
}
