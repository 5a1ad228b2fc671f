//! Why a line can't be used: one sentence that names the directive, the value, what is allowed, and the remedy.
//!
//! httpd prints it after "Syntax error on line N of FILE:"; in `.htaccess` it goes to the error log and the client gets a 500.

use thiserror::Error;

/// Why a line of the configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("{directive} {remedy}")]
    NotHere { directive: &'static str, remedy: &'static str },
    #[error("{directive} takes {wanted}, and this line has {found}; write: {syntax}")]
    Count { directive: &'static str, wanted: String, found: usize, syntax: &'static str },
    #[error("{directive} can't be \"{value}\"; {allowed}")]
    Value { directive: &'static str, value: String, allowed: String },
    #[error("{directive} can't have the option {option}=\"{value}\"; {allowed}")]
    OptionValue { directive: &'static str, option: &'static str, value: String, allowed: String },
    #[error(
        "{directive} takes options written name=value without white space before \"=\", and \"{word}\" is none; write: {syntax}"
    )]
    NotAnOption { directive: &'static str, word: String, syntax: &'static str },
    #[error("{directive} has no option \"{option}\"; {hint}")]
    UnknownOption { directive: &'static str, option: String, hint: String },
    #[error("{directive} needs the option {option}=...; write: {syntax}")]
    MissingOption { directive: &'static str, option: &'static str, syntax: &'static str },
    #[error("{directive} has no \">\" at its end; write: {syntax}")]
    NotClosed { directive: &'static str, syntax: &'static str },
    #[error("{directive} can't use the regular expression \"{regex}\": {cause}")]
    Pattern { directive: &'static str, regex: String, cause: String },
    /// A name of older releases.
    #[error("{directive} is not used any more: {instead}")]
    Obsolete { directive: &'static str, instead: &'static str },
}

/// Bytes from the configuration as text for a log line: control characters and what is not UTF-8 are escaped.
pub(super) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() {
                text.extend(letter.escape_default());
            } else {
                text.push(letter);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The name nearest to what was typed: few letters differ, or it begins so.
pub(super) fn nearest<'n>(typed: &[u8], names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let typed = typed.to_ascii_lowercase();
    // Above a third of the letters a guess misleads more than it helps.
    let limit = (typed.len() / 3).clamp(1, 3);
    names
        .map(|name| {
            let letters = name.to_ascii_lowercase().into_bytes();
            let begins = typed.len() >= 3 && letters.starts_with(&typed);
            (if begins { 0 } else { distance(&typed, &letters) }, name)
        })
        .filter(|(far, _)| *far <= limit)
        .min_by_key(|(far, _)| *far)
        .map(|(_, name)| name)
}

/// How many letters must be put in, taken out or changed to turn one word into the other.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (done, have) in from.iter().enumerate() {
        let mut diagonal = done;
        let mut left = done + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, want) in row.iter_mut().skip(1).zip(to) {
            let above = *cell;
            left = (diagonal + usize::from(have != want)).min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_between_words_counts_letters() {
        for (from, to, far) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("process-group", "process-group", 0),
            ("proces-group", "process-group", 1),
            ("procss-gruop", "process-group", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from.as_bytes(), to.as_bytes()), far, "{from} to {to}");
        }
    }

    #[test]
    fn a_guess_is_made_only_where_it_is_near() {
        let names = ["process-group", "application-group", "callable-object", "pass-authorization"];
        for (typed, guess) in [
            ("proces-group", Some("process-group")),
            ("Process-Group", Some("process-group")),
            ("application-grp", Some("application-group")),
            ("callable", Some("callable-object")),
            ("threads", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed.as_bytes(), names.into_iter()), guess, "{typed}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_escaped() {
        assert_eq!(shown("a b é".as_bytes()), "a b é");
        assert_eq!(shown(b"a\nb\xffc"), "a\\nb\\xffc");
    }
}
