//! What can be known of process groups and application groups before any request.
//!
//! Settings keep names as they are written, `%{...}` forms included: `wsgi::application_group` and
//! `wsgi::callable_object` expand them per request, in the child. Here is only what configuration itself must know.

/// Which processes run a request. Embedded mode knows one answer; daemon groups come with a later version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProcessGroup {
    /// The httpd child itself, `%{GLOBAL}`; the empty name in environ.
    #[default]
    Global,
}

/// The interpreter's name that an application group as written means in every request; empty for the main interpreter.
/// None where the request decides, and for text with `%{` in it that is no form: nobody means such a name.
pub(super) fn fixed_interpreter(text: &[u8]) -> Option<&[u8]> {
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
            assert_eq!(fixed_interpreter(text.as_bytes()), name.map(str::as_bytes), "{text}");
        }
    }
}
