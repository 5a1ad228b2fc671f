//! What can be known of process groups and application groups before any request.
//!
//! Settings keep names as they are written, `%{...}` forms included: `wsgi::process_group`, `wsgi::application_group` and
//! `wsgi::callable_object` expand them per request, in the child. Here is only what configuration itself must know.

/// The name that a process group or application group as written means in every request; empty for embedded mode and the main
/// interpreter. None where the request decides, and for text with `%{` in it that is no form: nobody means such a name.
pub(super) fn fixed_name(text: &[u8]) -> Option<&[u8]> {
    match text {
        b"%{GLOBAL}" => Some(b""),
        form if form.windows(2).any(|pair| pair == b"%{") => None,
        name => Some(name),
    }
}

/// `x` of `%{ENV:x}`.
pub(super) fn variable(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"%{ENV:")?.strip_suffix(b"}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_without_a_form_are_known_before_the_request() {
        for (text, name) in [
            ("%{GLOBAL}", Some("")),
            ("shop", Some("shop")),
            ("100%", Some("100%")),
            ("%{RESOURCE}", None),
            ("%{SERVER}", None),
            ("%{HOST}", None),
            ("%{ENV:X}", None),
            ("%{GLOBAL}x", None),
            ("a%{X}", None),
        ] {
            assert_eq!(fixed_name(text.as_bytes()), name.map(str::as_bytes), "{text}");
        }
    }
}
