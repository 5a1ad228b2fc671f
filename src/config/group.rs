//! What can be known of process groups and application groups before any request.
//!
//! Settings keep names as they are written, `%{...}` forms included: `wsgi::process_group`, `wsgi::application_group` and
//! `wsgi::callable_object` expand them per request, in the child. Here is only what configuration itself must know.

use super::refusal::{nearest, shown};

/// The name that a process group or application group as written means in every request; empty for embedded mode and the main
/// interpreter. None where the request decides, and for text with `%{` in it that is no form: nobody means such a name.
pub(super) fn fixed_name(text: &[u8]) -> Option<&[u8]> {
    match text {
        b"%{GLOBAL}" => Some(b""),
        form if form.windows(2).any(|pair| pair == b"%{") => None,
        name => Some(name),
    }
}

/// The forms that a process group or application group may have, for messages.
const FORMS: [&str; 5] = ["%{GLOBAL}", "%{RESOURCE}", "%{SERVER}", "%{HOST}", "%{ENV:variable}"];

/// What is to be said of a name that looks like a form and is none, so that it stands for itself; nothing of all others.
pub(super) fn no_form(text: &[u8]) -> Option<String> {
    let known = |form: &&str| form.as_bytes() == text;
    let names_variable = || variable(text).is_some_and(|name| !name.is_empty());
    if fixed_name(text).is_some() || FORMS.iter().take(4).any(known) || names_variable() {
        return None;
    }
    let begins =
        |start: &str| text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start.as_bytes()));
    let meant = if begins("%{ENV") { FORMS.last().copied() } else { nearest(text, FORMS.into_iter()) };
    let remedy = match meant {
        Some(form) => format!("did you mean {form}?"),
        None => format!("the forms are {}", FORMS.join(", ")),
    };
    Some(format!(
        "\"{}\" is none of the forms that are expanded, and is taken as a name, literally; {remedy}",
        shown(text)
    ))
}

/// `x` of `%{ENV:x}`.
pub(super) fn variable(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"%{ENV:")?.strip_suffix(b"}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_form_and_is_none_is_told_from_names_and_forms() {
        for fine in ["", "shop", "100%", "%{GLOBAL}", "%{RESOURCE}", "%{SERVER}", "%{HOST}", "%{ENV:X}", "%{ENV:X:Y}"] {
            assert_eq!(no_form(fine.as_bytes()), None, "{fine}");
        }
        for (text, end) in [
            ("%{GLOABL}", "mean %{GLOBAL}?"),
            ("%{global}", "mean %{GLOBAL}?"),
            ("%{GLOBAL}x", "mean %{GLOBAL}?"),
            ("%{GLOBAL", "mean %{GLOBAL}?"),
            ("%{RESSOURCE}", "mean %{RESOURCE}?"),
            ("%{ENV:GROUP", "mean %{ENV:variable}?"),
            ("%{ENV:}", "mean %{ENV:variable}?"),
            ("%{Env:X}", "mean %{ENV:variable}?"),
            ("%{SERVER_NAME}", "forms are %{GLOBAL}, %{RESOURCE}, %{SERVER}, %{HOST}, %{ENV:variable}"),
            ("%{GROUP}", "forms are %{GLOBAL}, %{RESOURCE}, %{SERVER}, %{HOST}, %{ENV:variable}"),
            ("x%{ENV:X}", "forms are %{GLOBAL}, %{RESOURCE}, %{SERVER}, %{HOST}, %{ENV:variable}"),
        ] {
            let said = no_form(text.as_bytes()).unwrap();
            assert!(said.ends_with(end) && said.starts_with(&format!("\"{text}\" is none")), "{said}");
        }
    }

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
