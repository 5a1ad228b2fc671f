//! The rest of a configuration line, split into words and options as httpd splits it.
//!
//! httpd's rule (`ap_getword_conf`, seen from outside with `httpd -t`): words are parted by white space. A word that starts
//! with `"` or `'` runs to the next one of these, across white space; inside, a backslash before that quote or before a
//! backslash is taken away. In any other word only `\\` becomes `\`; `\` before a space means nothing, and quotes in the
//! middle stay. A quote that is never closed takes the rest of the line; what follows a closing quote is a new word.

use super::refusal::{nearest, shown};
use super::{Arguments, Directive, Kind, OptionRow, Refusal, Surroundings};

/// The words and options of one line, counted and with known names.
pub struct Words<'d> {
    directive: &'d Directive,
    words: Vec<Vec<u8>>,
    options: Vec<(&'static str, Vec<u8>)>,
}

impl<'d> Words<'d> {
    /// Splits `raw` as the directive's row says.
    ///
    /// # Errors
    /// Too few or too many words; an option that is not `name=value`, has no such name, is empty, or is missing.
    pub(super) fn split(
        directive: &'d Directive,
        raw: &[u8],
        surroundings: &mut dyn Surroundings,
    ) -> Result<Self, Refusal> {
        let mut words = Self { directive, words: Vec::new(), options: Vec::new() };
        let mut rest = match directive.kind {
            Kind::Plain => raw,
            // httpd has taken the end off the name.
            Kind::Section if raw.trim_ascii().is_empty() => raw,
            Kind::Section => raw.trim_ascii_end().strip_suffix(b">").ok_or_else(|| words.not_closed())?,
        };
        let most = match directive.arguments {
            Arguments::One | Arguments::List => usize::MAX,
            Arguments::Options(positional) => positional,
        };
        while words.words.len() < most
            && let Some((word, tail)) = next_word(rest)
        {
            words.words.push(word);
            rest = tail;
        }
        words.count()?;
        if matches!(directive.arguments, Arguments::Options(_)) {
            words.read_options(rest, surroundings)?;
        }
        Ok(words)
    }

    fn not_closed(&self) -> Refusal {
        Refusal::NotClosed { directive: self.directive(), syntax: self.directive.syntax }
    }

    fn count(&self) -> Result<(), Refusal> {
        let found = self.words.len();
        let refuse = |wanted: String| {
            Err(Refusal::Count { directive: self.directive(), wanted, found, syntax: self.directive.syntax })
        };
        match self.directive.arguments {
            // An empty word counts as none, as with httpd's TAKE1.
            Arguments::One if found != 1 || self.value().is_empty() => refuse("exactly one value".to_owned()),
            Arguments::Options(wanted) if found < wanted || self.words.iter().any(Vec::is_empty) => {
                refuse(match wanted {
                    1 => "one value before its options".to_owned(),
                    many => format!("{many} values before its options"),
                })
            }
            Arguments::One | Arguments::List | Arguments::Options(_) => Ok(()),
        }
    }

    fn read_options(&mut self, mut rest: &[u8], surroundings: &mut dyn Surroundings) -> Result<(), Refusal> {
        loop {
            rest = skip_space(rest);
            if rest.is_empty() {
                break;
            }
            let Some((name, tail)) = option_name(rest) else {
                let word = next_word(rest).map(|(word, _)| shown(&word)).unwrap_or_default();
                return Err(Refusal::NotAnOption { directive: self.directive(), word, syntax: self.directive.syntax });
            };
            let row = self.known(name, surroundings)?;
            let is_empty = row.may_be_empty && self.is_before_option(tail);
            let (value, tail) = if is_empty { (Vec::new(), tail) } else { next_word(tail).unwrap_or_default() };
            if value.is_empty() && !row.may_be_empty {
                return Err(self.bad_option(row.name, b"", format!("give it a value: {}", row.value)));
            }
            if self.is_section() && self.option(row.name).is_some() {
                return Err(self.bad_option(
                    row.name,
                    &value,
                    "the line has it already; write one section for each".into(),
                ));
            }
            // The last one counts; keeping one entry per name makes that so for every reader.
            self.options.retain(|(given, _)| *given != row.name);
            if !value.is_empty() {
                self.options.push((row.name, value));
            }
            rest = tail;
        }
        let missing = self.directive.options.iter().find(|row| row.required && self.option(row.name).is_none());
        match missing {
            None => Ok(()),
            Some(row) => Err(Refusal::MissingOption {
                directive: self.directive(),
                option: row.name,
                syntax: self.directive.syntax,
            }),
        }
    }

    /// White space, then an option by its name: what stands before has no value. Else white space is passed over, as C mod_wsgi does.
    fn is_before_option(&self, rest: &[u8]) -> bool {
        let next = skip_space(rest);
        let is_row = |name: &[u8]| self.directive.options.iter().any(|row| row.name.as_bytes() == name);
        next.len() < rest.len() && option_name(next).is_some_and(|(name, _)| is_row(name))
    }

    /// C mod_wsgi reads what stands in `<...>` otherwise: names in any case, none of them twice.
    fn is_section(&self) -> bool {
        self.directive.kind == Kind::Section
    }

    /// The row of an option, also when it is written the old way with `_`.
    fn known(&self, typed: &[u8], surroundings: &mut dyn Surroundings) -> Result<&'static OptionRow, Refusal> {
        let rows = self.directive.options;
        let is_typed = |row: &&OptionRow| {
            let name = row.name.as_bytes();
            name == typed || self.is_section() && name.eq_ignore_ascii_case(typed)
        };
        if let Some(row) = rows.iter().find(is_typed) {
            return Ok(row);
        }
        let modern: Vec<u8> = typed.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
        if let Some(row) = rows.iter().find(|row| row.name.as_bytes() == modern) {
            surroundings.notice(format!(
                "{}: the option \"{}\" is accepted for old configurations; write \"{}\"",
                self.directive(),
                shown(typed),
                row.name
            ));
            return Ok(row);
        }
        let hint = match nearest(typed, rows.iter().map(|row| row.name)) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => format!("it has: {}", rows.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")),
        };
        Err(Refusal::UnknownOption { directive: self.directive(), option: shown(typed), hint })
    }

    /// The directive's name.
    pub fn directive(&self) -> &'static str {
        self.directive.name()
    }

    /// The directive's row.
    pub(super) fn row(&self) -> &Directive {
        self.directive
    }

    /// The first word; of a directive with [`Arguments::One`], the value. Empty if there is none.
    pub fn value(&self) -> &[u8] {
        self.word(0)
    }

    /// One word, counted from 0; empty if there is none.
    pub fn word(&self, number: usize) -> &[u8] {
        self.words.get(number).map_or(&[], Vec::as_slice)
    }

    /// All words.
    pub fn all(&self) -> &[Vec<u8>] {
        &self.words
    }

    /// The value of an option, if the line has it.
    pub fn option(&self, name: &str) -> Option<&[u8]> {
        self.options.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_slice())
    }

    /// The value as On or Off, in any case.
    pub(super) fn on_off(&self) -> Result<bool, Refusal> {
        on_off(self.value()).ok_or_else(|| self.bad_value("write On or Off"))
    }

    /// An option's value as On or Off, in any case.
    pub(super) fn option_on_off(&self, name: &'static str) -> Result<Option<bool>, Refusal> {
        self.option(name)
            .map(|value| on_off(value).ok_or_else(|| self.bad_option(name, value, "write On or Off".to_owned())))
            .transpose()
    }

    /// The value as text, for numbers and fixed words. What is not UTF-8 is no number: empty.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(self.value()).unwrap_or_default()
    }

    /// Refuses the value; `allowed` says what may stand there.
    pub(super) fn bad_value(&self, allowed: &str) -> Refusal {
        Refusal::Value { directive: self.directive(), value: shown(self.value()), allowed: allowed.to_owned() }
    }

    /// Refuses one word of a list.
    pub(super) fn bad_word(&self, word: &[u8], allowed: &str) -> Refusal {
        Refusal::Value { directive: self.directive(), value: shown(word), allowed: allowed.to_owned() }
    }

    /// Refuses an option's value.
    pub(super) fn bad_option(&self, option: &'static str, value: &[u8], allowed: String) -> Refusal {
        Refusal::OptionValue { directive: self.directive(), option, value: shown(value), allowed }
    }
}

/// On or Off, in any case.
pub(super) fn on_off(value: &[u8]) -> Option<bool> {
    if value.eq_ignore_ascii_case(b"on") {
        Some(true)
    } else if value.eq_ignore_ascii_case(b"off") {
        Some(false)
    } else {
        None
    }
}

/// The words of a line that is no directive of ours, such as what follows a provider's name in `Require`.
pub fn split(line: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = line;
    let mut words = Vec::new();
    while let Some((word, tail)) = next_word(rest) {
        words.push(word);
        rest = tail;
    }
    words
}

/// The name before `=`, and what follows the `=`. The value may be quoted, so options are not ordinary words.
fn option_name(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = rest.iter().position(|byte| *byte == b'=' || is_space(*byte))?;
    match rest.split_at_checked(end)? {
        (name, [b'=', tail @ ..]) => Some((name, tail)),
        _ => None,
    }
}

/// The next word and the rest of the line after it and its white space; nothing at the end of the line.
fn next_word(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = skip_space(line);
    let quote = match rest {
        [] => return None,
        [quote @ (b'"' | b'\''), tail @ ..] => {
            rest = tail;
            Some(*quote)
        }
        _ => None,
    };
    let mut word = Vec::new();
    loop {
        rest = match (rest, quote) {
            ([], _) => break,
            ([b'\\', b'\\', tail @ ..], _) => {
                word.push(b'\\');
                tail
            }
            ([b'\\', next, tail @ ..], Some(quote)) if *next == quote => {
                word.push(quote);
                tail
            }
            ([next, tail @ ..], Some(quote)) if *next == quote => {
                rest = tail;
                break;
            }
            ([next, ..], None) if is_space(*next) => break,
            ([next, tail @ ..], _) => {
                word.push(*next);
                tail
            }
        };
    }
    Some((word, skip_space(rest)))
}

fn skip_space(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| !is_space(*byte)).unwrap_or(line.len());
    line.split_at_checked(start).map_or(&[], |(_, rest)| rest)
}

/// C's `isspace` in the C locale; Rust's own leaves out the vertical tab.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_httpd_splits_them() {
        for (line, words) in [
            ("", &[][..]),
            ("  \t ", &[]),
            ("a b", &["a", "b"]),
            ("  a \t\x0b b  ", &["a", "b"]),
            (r#""a b" c"#, &["a b", "c"]),
            (r#"'a "b' c"#, &[r#"a "b"#, "c"]),
            (r#""/no such\"x\\y\z""#, &[r#"/no such"x\y\z"#]),
            (r#"'/no\'x"y'"#, &[r#"/no'x"y"#]),
            (r"/a\ b", &[r"/a\", "b"]),
            (r#"/a\\b\"c"#, &[r#"/a\b\"c"#]),
            (r#"/a"b"#, &[r#"/a"b"#]),
            (r#""/abc"#, &["/abc"]),
            (r#""/abc"/def"#, &["/abc", "/def"]),
            (r#""""#, &[""]),
            (r"\", &[r"\"]),
            (r#""a\"#, &[r"a\"]),
        ] {
            let found =
                split(line.as_bytes()).into_iter().map(String::from_utf8).collect::<Result<Vec<_>, _>>().unwrap();
            assert_eq!(found, words, "{line}");
        }
    }

    #[test]
    fn the_name_of_an_option_ends_at_the_equals_sign() {
        for (line, name) in
            [("a=b", Some("a")), ("a= b", Some("a")), ("a =b", None), ("a", None), ("a b=c", None), ("=x", Some(""))]
        {
            let found = option_name(line.as_bytes()).map(|(name, _)| std::str::from_utf8(name).unwrap());
            assert_eq!(found, name, "{line}");
        }
    }
}
