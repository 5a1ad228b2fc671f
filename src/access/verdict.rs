//! What an answer of a script's function means. Only what is listed here is a yes.

use crate::application::Value;
use crate::wsgi::Quoted;

/// An answer that means nothing, for the administrator. Each numbered as C mod_wsgi has it, where it has it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("{}: the script {} has no function {function}()", number(function), Quoted(script))]
    NoFunction { script: Vec<u8>, function: &'static str },
    #[error("WSGI0055: allow_access() of {} must return True, False or None, not {found}", Quoted(script))]
    Allowed { script: Vec<u8>, found: String },
    #[error("WSGI0176: check_password() of {} returned an empty name for the user", Quoted(script))]
    EmptyUser { script: Vec<u8> },
    #[error(
        "WSGI0177: check_password() of {} must return True, False, None, or the user's name as a str, not {found}",
        Quoted(script)
    )]
    Checked { script: Vec<u8>, found: String },
    #[error("WSGI0178: get_realm_hash() of {} returned an empty hash", Quoted(script))]
    EmptyHash { script: Vec<u8> },
    #[error(
        "WSGI0179: get_realm_hash() of {} must return None, or the MD5 of user:realm:password as a str or bytes of hexadecimal \
         digits, not {found}",
        Quoted(script)
    )]
    Hash { script: Vec<u8>, found: String },
    #[error(
        "WSGI0051: groups_for_user() of {} must return a list of names, or what gives names, not {found}",
        Quoted(script)
    )]
    Groups { script: Vec<u8>, found: String },
    #[error(
        "WSGI0050: groups_for_user() of {} must give each group's name as a str or bytes, not {found}",
        Quoted(script)
    )]
    Group { script: Vec<u8>, found: String },
    #[error("WSGI0500: {function}() of {} must return None, or a name as a str or bytes, not {found}", Quoted(script))]
    Chosen { script: Vec<u8>, function: String, found: String },
}

/// The number for a function that is missing.
fn number(function: &str) -> &'static str {
    match function {
        "check_password" => "WSGI0043",
        "get_realm_hash" => "WSGI0046",
        "groups_for_user" => "WSGI0052",
        _ => "WSGI0056",
    }
}

/// What `allow_access` said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    Yes,
    No,
    /// Others decide.
    Undecided,
}

pub(super) fn allowed(script: &[u8], value: Option<Value>) -> Result<Allowed, Fault> {
    match there(script, "allow_access", value)? {
        Value::Bool(true) => Ok(Allowed::Yes),
        Value::Bool(false) => Ok(Allowed::No),
        Value::None => Ok(Allowed::Undecided),
        other => Err(Fault::Allowed { script: script.to_vec(), found: shown(&other) }),
    }
}

/// What `check_password` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    Right,
    /// Right, and this is the user's name.
    RightAs(Vec<u8>),
    Wrong,
    Unknown,
}

pub(super) fn checked(script: &[u8], value: Option<Value>) -> Result<Checked, Fault> {
    match there(script, "check_password", value)? {
        Value::Bool(true) => Ok(Checked::Right),
        Value::Bool(false) => Ok(Checked::Wrong),
        Value::None => Ok(Checked::Unknown),
        Value::Text { utf8: Some(name), .. } if name.is_empty() => Err(Fault::EmptyUser { script: script.to_vec() }),
        // C would see a name with a NUL cut there: another user.
        Value::Text { utf8: Some(name), .. } if !name.contains(&0) => Ok(Checked::RightAs(name)),
        other => Err(Fault::Checked { script: script.to_vec(), found: shown(&other) }),
    }
}

/// The hash that `get_realm_hash` returned; nothing where there is no such user.
pub(super) fn realm_hash(script: &[u8], value: Option<Value>) -> Result<Option<Vec<u8>>, Fault> {
    match there(script, "get_realm_hash", value)? {
        Value::None => Ok(None),
        Value::Text { latin1: Some(hash), .. } | Value::Bytes(hash) if hash.is_empty() => {
            Err(Fault::EmptyHash { script: script.to_vec() })
        }
        Value::Text { latin1: Some(hash), .. } | Value::Bytes(hash) if !hash.contains(&0) => Ok(Some(hash)),
        other => Err(Fault::Hash { script: script.to_vec(), found: shown(&other) }),
    }
}

/// The names that `groups_for_user` gave.
pub(super) fn groups(script: &[u8], value: Option<Value>) -> Result<Vec<Vec<u8>>, Fault> {
    match there(script, "groups_for_user", value)? {
        Value::Many(items) => items.into_iter().map(|item| group(script, item)).collect(),
        other => Err(Fault::Groups { script: script.to_vec(), found: shown(&other) }),
    }
}

fn group(script: &[u8], item: Value) -> Result<Vec<u8>, Fault> {
    match item {
        Value::Text { latin1: Some(name), .. } | Value::Bytes(name) => Ok(name),
        other => Err(Fault::Group { script: script.to_vec(), found: shown(&other) }),
    }
}

/// Whether one of the groups is one that was asked for. Upper and lower case are the same, as administrators know it from C mod_wsgi.
pub(super) fn shares(groups: &[Vec<u8>], wanted: &[Vec<u8>]) -> bool {
    groups.iter().any(|group| wanted.iter().any(|name| name.eq_ignore_ascii_case(group)))
}

/// The name that a dispatch script's function returned; nothing where it leaves that to the configuration, or is not there.
pub(super) fn chosen(script: &[u8], function: &str, value: Option<Value>) -> Result<Option<Vec<u8>>, Fault> {
    match value {
        None | Some(Value::None) => Ok(None),
        Some(Value::Text { latin1: Some(name), .. } | Value::Bytes(name)) if !name.contains(&0) => Ok(Some(name)),
        Some(other) => {
            Err(Fault::Chosen { script: script.to_vec(), function: function.to_owned(), found: shown(&other) })
        }
    }
}

fn there(script: &[u8], function: &'static str, value: Option<Value>) -> Result<Value, Fault> {
    value.ok_or_else(|| Fault::NoFunction { script: script.to_vec(), function })
}

/// What came instead, without showing it: it may be a secret.
fn shown(value: &Value) -> String {
    match value {
        Value::None => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Text { latin1: Some(text), .. } | Value::Bytes(text) if text.contains(&0) => "one with a NUL".to_owned(),
        Value::Text { utf8: Some(_), latin1: None } => "a str with other characters than latin-1".to_owned(),
        Value::Text { utf8: None, .. } => "a str with surrogates".to_owned(),
        Value::Text { .. } => "str".to_owned(),
        Value::Bytes(_) => "bytes".to_owned(),
        Value::Many(_) => "a sequence".to_owned(),
        Value::Other(kind) => kind.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &[u8] = b"/srv/auth.wsgi";

    fn text(text: &str) -> Value {
        let latin1 = text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect();
        Value::Text { latin1, utf8: Some(text.as_bytes().to_vec()) }
    }

    fn bytes(bytes: &[u8]) -> Value {
        Value::Bytes(bytes.to_vec())
    }

    fn other() -> Value {
        Value::Other("int".to_owned())
    }

    /// Every kind of answer.
    fn all() -> Vec<Option<Value>> {
        let surrogates = Value::Text { latin1: None, utf8: None };
        let values = [
            Value::None,
            Value::Bool(true),
            Value::Bool(false),
            text("joe"),
            text(""),
            text("jo\0e"),
            text("€"),
            surrogates,
            bytes(b"joe"),
            bytes(b""),
            bytes(b"jo\0e"),
            Value::Many(vec![text("joe")]),
            other(),
        ];
        std::iter::once(None).chain(values.into_iter().map(Some)).collect()
    }

    /// The number of a fault, as its text has it.
    fn number_of(fault: &Fault) -> String {
        fault.to_string().chars().take(8).collect()
    }

    #[track_caller]
    fn check<A: std::fmt::Debug + PartialEq>(
        of: fn(&[u8], Option<Value>) -> Result<A, Fault>,
        good: &[(Value, A)],
        faults: &[(Option<Value>, &str)],
        rest: &str,
    ) {
        for value in all() {
            let answer = of(SCRIPT, value.clone());
            if let Some((_, wanted)) = good.iter().find(|(given, _)| Some(given) == value.as_ref()) {
                assert_eq!(answer.as_ref().ok(), Some(wanted), "{value:?}");
            } else {
                let number = faults.iter().find(|(given, _)| *given == value).map_or(rest, |(_, number)| number);
                assert_eq!(answer.as_ref().err().map(number_of).as_deref(), Some(number), "{value:?}");
            }
        }
    }

    #[test]
    fn a_host_is_let_in_by_true_and_by_nothing_else() {
        let good =
            [(Value::Bool(true), Allowed::Yes), (Value::Bool(false), Allowed::No), (Value::None, Allowed::Undecided)];
        check(allowed, &good, &[(None, "WSGI0056")], "WSGI0055");
    }

    #[test]
    fn a_user_is_let_in_by_true_or_a_name() {
        let good = [
            (Value::Bool(true), Checked::Right),
            (Value::Bool(false), Checked::Wrong),
            (Value::None, Checked::Unknown),
            (text("joe"), Checked::RightAs(b"joe".to_vec())),
            (text("€"), Checked::RightAs("€".as_bytes().to_vec())),
        ];
        check(checked, &good, &[(None, "WSGI0043"), (Some(text("")), "WSGI0176")], "WSGI0177");
    }

    #[test]
    fn a_hash_is_text_that_is_not_empty() {
        let good = [(Value::None, None), (text("joe"), Some(b"joe".to_vec())), (bytes(b"joe"), Some(b"joe".to_vec()))];
        let faults = [(None, "WSGI0046"), (Some(text("")), "WSGI0178"), (Some(bytes(b"")), "WSGI0178")];
        check(realm_hash, &good, &faults, "WSGI0179");
    }

    #[test]
    fn groups_are_many_names_and_one_that_is_none_spoils_all() {
        check(groups, &[(Value::Many(vec![text("joe")]), vec![b"joe".to_vec()])], &[(None, "WSGI0052")], "WSGI0051");
        let many = |items: Vec<Value>| groups(SCRIPT, Some(Value::Many(items))).map_err(|fault| number_of(&fault));
        assert_eq!(many(vec![]), Ok(vec![]));
        assert_eq!(many(vec![text("a"), bytes(b"b")]), Ok(vec![b"a".to_vec(), b"b".to_vec()]));
        for item in [other(), Value::None, text("€"), Value::Many(vec![])] {
            assert_eq!(many(vec![text("a"), item]), Err("WSGI0050".to_owned()));
        }
    }

    #[test]
    fn a_group_is_shared_whole_and_without_case() {
        let names = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
        for (groups, wanted, shared) in [
            (&["a", "b"][..], &["b"][..], true),
            (&["Staff"], &["sTAFF"], true),
            (&["b c"], &["b c"], true),
            (&["a\0b"], &["a"], false),
            (&["ab"], &["a"], false),
            (&["a"], &[], false),
            (&[""], &["a"], false),
        ] {
            assert_eq!(shares(&names(groups), &names(wanted)), shared, "{groups:?} {wanted:?}");
        }
    }

    #[test]
    fn a_dispatch_script_gives_names_or_leaves_them() {
        let of = |script: &[u8], value| chosen(script, "process_group", value);
        assert_eq!(of(SCRIPT, None), Ok(None));
        for value in all().into_iter().flatten() {
            let answer = of(SCRIPT, Some(value.clone())).map_err(|fault| number_of(&fault));
            let wanted = match &value {
                Value::None => Ok(None),
                Value::Text { latin1: Some(name), .. } | Value::Bytes(name) if !name.contains(&0) => {
                    Ok(Some(name.clone()))
                }
                _ => Err("WSGI0500".to_owned()),
            };
            assert_eq!(answer, wanted, "{value:?}");
        }
    }

    #[test]
    fn what_came_instead_is_named_by_its_kind_and_never_shown() {
        let fault = checked(SCRIPT, Some(bytes(b"secret"))).unwrap_err().to_string();
        assert!(fault.contains("\"/srv/auth.wsgi\"") && fault.ends_with("not bytes"), "{fault}");
        let fault = realm_hash(SCRIPT, Some(text("secret\0"))).unwrap_err().to_string();
        assert!(!fault.contains("secret") && fault.contains("a NUL"), "{fault}");
    }
}
