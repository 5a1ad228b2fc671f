//! The manual page of all directives, made from the table, so that it cannot say anything else than the module does.
//!
//! `docs/directives.md` is this text; `tests/directives.rs` compares the two. Nothing calls it while httpd runs.

use std::fmt::{self, Write as _};

use super::{DIRECTIVES, Directive, OptionRow, Standing};

const INTRODUCTION: &str = "\
# Directives

Every directive of the module, in alphabetical order. This page is made from the table in `src/config/table/`: change that, then
run `BLESS=1 cargo test --no-default-features --test directives`.

A minimal configuration:

```apache
LoadModule wsgi_module modules/mod_wsgi.so
WSGIScriptAlias / /srv/www/shop/shop.wsgi
<Directory /srv/www/shop>
    Require all granted
</Directory>
```

**How lines are read.** As everywhere in httpd: words are parted by white space; a word with white space in it is put in `\"` or `'`.
Inside quotes `\\` before the quote or before another `\\` is taken away. Options are written `name=value`, without white space before
the `=`; the value may be quoted. Names of options are written exactly as here; where an option comes twice, the last one
counts. Old spellings with `_` for `-` load with a notice. On and Off, and other fixed words, may be written in any case. Numbers are
taken whole or refused.

**Where lines may stand.** *server config* is outside all sections; *directory* is `<Directory>`, `<Location>`, `<Files>`, `<If>` and
their Match forms. A line in another place is an error: httpd does not start, or answers 500 where it is in an `.htaccess` file. In
`.htaccess` a directive also needs its *Override* class in `AllowOverride`.

**What \"standing\" means.** *In effect*: it does what is said here. *Loads without effect*: checked and accepted, so that existing
configurations load. *Old name*: from earlier releases of mod_wsgi; refused or accepted with a notice, as said.

`%{GLOBAL}` as a process group is embedded mode, httpd's own children; as an application group it is Python's main interpreter.
";

/// All of `docs/directives.md`.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    for directive in &DIRECTIVES {
        // Writing to a String cannot fail.
        let _ = section(&mut page, directive);
    }
    page
}

fn section(page: &mut String, directive: &Directive) -> fmt::Result {
    writeln!(page, "\n## {}\n", escaped(&directive.title()))?;
    writeln!(page, "- Syntax: `{}`", directive.syntax)?;
    writeln!(page, "- Context: {}", directive.context.in_httpd_words())?;
    if let Some(class) = directive.context.override_class() {
        writeln!(page, "- Override: {class}")?;
    }
    writeln!(page, "- Default: {}", directive.default)?;
    writeln!(page, "- Merging: {}", directive.merge.sentence())?;
    writeln!(page, "- Standing: {}", standing(directive.standing))?;
    writeln!(page, "\n{}", directive.doc)?;
    if directive.options.is_empty() {
        return Ok(());
    }
    writeln!(page, "\nOptions:\n")?;
    for option in directive.options {
        writeln!(page, "- `{}={}`{}: {}", option.name, option.value, terms(option), option.doc)?;
    }
    Ok(())
}

/// What stands in parentheses behind an option: whether it must be given, its default, its range.
fn terms(option: &OptionRow) -> String {
    let terms: Vec<String> = [
        option.required.then(|| "required".to_owned()),
        option.default.map(|default| format!("default: {default}")),
        option.range.map(|range| range.to_string()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if terms.is_empty() { String::new() } else { format!(" ({})", terms.join("; ")) }
}

fn standing(standing: Standing) -> String {
    match standing {
        Standing::InEffect => "in effect".to_owned(),
        Standing::LoadsWithoutEffect(why) => format!("loads without effect: {why}"),
        Standing::Obsolete(instead) => format!("old name: {instead}"),
    }
}

/// A container's name in a heading: Markdown would take it for an HTML element.
fn escaped(title: &str) -> String {
    title.replace('<', "\\<").replace('>', "\\>")
}
