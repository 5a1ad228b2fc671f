//! Reads the sources and fails on what the compiler does not see: arrows between rooms, `unsafe` outside its rooms, missing
//! SAFETY comments and documents, files that grew too long.
//!
//! Needs the standard library only. The table of floors comes first; each rule is a function from sources to complaints, so
//! that it can be tried on made-up sources (at the end) as well as on ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What a room may name (`crate::room`) and whether it may hold `unsafe`. A room may always name itself.
/// `docs/ARCHITECTURE.md` says why; a new arrow here is a decision, not a repair.
const ROOMS: &[(&str, &[&str], Unsafe)] = &[
    // Pure: no httpd, no Python, no system.
    ("config", &[], Unsafe::Never),
    ("wsgi", &[], Unsafe::Never),
    ("metrics", &[], Unsafe::Never),
    ("wire", &["config"], Unsafe::Never),
    ("board", &[], Unsafe::Never),
    ("supervise", &["wire", "board", "config"], Unsafe::Never),
    // Wrappers of C.
    ("bindings", &[], Unsafe::Here),
    ("apache", &["bindings", "config", "wsgi"], Unsafe::Here),
    ("python", &["config", "wsgi", "metrics"], Unsafe::Here),
    ("os", &[], Unsafe::Here),
    // Work.
    ("application", &["python", "wsgi", "metrics", "config"], Unsafe::Never),
    ("front", &["apache", "os", "wsgi", "config"], Unsafe::Never),
    ("embedded", &["front", "apache", "application", "python", "wsgi", "metrics", "config"], Unsafe::Never),
    ("proxy", &["front", "apache", "os", "wire", "board", "wsgi", "config"], Unsafe::Never),
    (
        "worker",
        &["application", "python", "os", "supervise", "wire", "board", "wsgi", "metrics", "config"],
        Unsafe::Never,
    ),
    ("supervisor", &["os", "supervise", "wire", "board", "config"], Unsafe::Never),
    ("access", &["embedded", "front", "apache", "application", "wsgi", "config"], Unsafe::Never),
    ("express", &["os", "config"], Unsafe::Never),
    // What calls us.
    ("hooks", &[EVERYTHING], Unsafe::Never),
    ("bin", &["worker", "supervisor", "express", "config"], Unsafe::Never),
];

const EVERYTHING: &str = "every room";

/// Single files that may hold `unsafe` though their room may not: httpd finds the module by a static of this kind.
const UNSAFE_FILES: &[&str] = &["src/lib.rs"];

const MOST_LINES: usize = 700;
const MOST_BYTES: usize = 36 * 1024;

#[derive(Clone, Copy, PartialEq)]
enum Unsafe {
    Here,
    Never,
}

// --- the rules on our own tree ---

#[test]
fn rooms_name_only_what_their_floor_allows() {
    none(sources("src").iter().flat_map(arrows));
}

#[test]
fn unsafe_stays_in_its_rooms() {
    none(sources("src").iter().flat_map(misplaced_unsafe));
}

#[test]
fn unsafe_blocks_say_why_they_are_sound() {
    none(sources("src").iter().flat_map(unexplained_unsafe));
}

#[test]
fn every_directive_has_its_section() {
    let names: Vec<String> = sources("src/config/table").iter().flat_map(directive_names).collect();
    assert!(names.len() > 40, "only {} rows found: has the form of the table changed?", names.len());
    none(undocumented(&names, &read("docs/directives.md")));
}

#[test]
fn files_stay_short() {
    none(
        ["src", "tests", "apache-headers"].iter().flat_map(|home| sources(home)).filter_map(|source| too_long(&source)),
    );
}

#[test]
fn a_log_number_means_one_thing() {
    none(reused_numbers(&sources("src")));
}

#[test]
fn every_log_number_is_on_the_troubleshooting_page() {
    none(unexplained_numbers(&sources("src"), &read("docs/troubleshooting.md")));
}

#[test]
fn every_example_is_tried_by_a_server_test() {
    let tests: String = sources("tests/server").into_iter().map(|source| source.text).collect();
    let examples = files("conf-examples").into_iter().filter(|path| path.ends_with(".conf"));
    none(examples.filter_map(|path| {
        let name = path.rsplit('/').next().unwrap_or(&path);
        (!tests.contains(name)).then(|| format!("{path}: no file under tests/server names it"))
    }));
}

#[test]
fn every_recipe_has_its_tests() {
    let tests: String = sources("tests/server").into_iter().map(|source| source.code).collect();
    none(untested_recipes(&read("tests/server/recipes.rs"), 34, &tests));
}

#[test]
fn the_architecture_page_names_every_room() {
    let page = read("docs/ARCHITECTURE.md");
    let mut rooms: Vec<String> = sources("src").iter().filter_map(Source::room).map(str::to_owned).collect();
    rooms.sort();
    rooms.dedup();
    none(unmentioned(&rooms, &page));
}

/// Fails with all complaints at once.
fn none(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<String> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

// --- files ---

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file's text; empty if there is none, which the rule that needs it then complains about.
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// All files below a directory, as paths from the root with `/`, sorted.
fn files(home: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![root().join(home)];
    while let Some(next) = open.pop() {
        if next.is_dir() {
            // tests/fuzz is a package of its own, with build products of its own.
            if next.file_name().is_some_and(|name| name == "target") {
                continue;
            }
            let entries = fs::read_dir(&next).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()));
        } else if let Ok(path) = next.strip_prefix(root())
            && next.is_file()
        {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    found.sort();
    found
}

fn sources(home: &str) -> Vec<Source> {
    let code = |path: &String| [".rs", ".c", ".h"].iter().any(|end| path.ends_with(end));
    files(home)
        .into_iter()
        .filter(code)
        .map(|path| {
            let text = read(&path);
            Source::new(path, text)
        })
        .collect()
}

// --- a source, parted into code, comments and literals ---

struct Source {
    path: String,
    text: String,
    /// The text with all but code blanked, line by line as in the file.
    code: String,
    /// The text with all but comments blanked.
    comments: String,
    /// String literals with the line where each begins, counted from 1.
    literals: Vec<(usize, String)>,
}

impl Source {
    fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let mut source = Self {
            path: path.into(),
            text: text.into(),
            code: String::new(),
            comments: String::new(),
            literals: Vec::new(),
        };
        let text = source.text.clone();
        let (mut rest, mut before, mut line) = (text.as_str(), ' ', 1);
        while let Some(next) = rest.chars().next() {
            let (length, piece) = piece(rest, before);
            let (taken, tail) = rest.split_at(length);
            let blank: String = taken.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }).collect();
            let (code, comment) = match piece {
                Piece::Code => (taken, blank.as_str()),
                Piece::Comment => (blank.as_str(), taken),
                Piece::Letter => (blank.as_str(), blank.as_str()),
                Piece::Text(literal) => {
                    source.literals.push((line, literal));
                    (blank.as_str(), blank.as_str())
                }
            };
            source.code.push_str(code);
            source.comments.push_str(comment);
            line += taken.matches('\n').count();
            before = next;
            rest = tail;
        }
        source
    }

    /// The room of a file below `src`; none for `src/lib.rs`, the map, which names them all.
    fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        match inside.split_once('/') {
            Some((room, _)) => Some(room),
            None => inside.strip_suffix(".rs").filter(|room| *room != "lib"),
        }
    }

    /// How many `super` lead from the file's own module to the crate's root.
    fn depth(&self) -> usize {
        let names = self.path.split('/').count().saturating_sub(1);
        if self.path.ends_with("/mod.rs") { names - 1 } else { names }
    }

    fn complain(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }

    fn tokens(&self) -> Vec<Token<'_>> {
        let mut tokens = Vec::new();
        for (number, line) in self.code.lines().enumerate() {
            let mut rest = line.trim_start();
            while !rest.is_empty() {
                let word = rest.find(|letter| !in_name(letter)).unwrap_or(rest.len());
                let length = match word {
                    0 if rest.starts_with("::") => 2,
                    0 => rest.chars().next().map_or(1, char::len_utf8),
                    word => word,
                };
                let (token, tail) = rest.split_at(length);
                tokens.push((number + 1, token));
                rest = tail.trim_start();
            }
        }
        tokens
    }
}

/// A word or sign of the code, and its line.
type Token<'s> = (usize, &'s str);

enum Piece {
    Code,
    Comment,
    Text(String),
    Letter,
}

fn in_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The piece at the start of `rest`: its length and what it is.
fn piece(rest: &str, before: char) -> (usize, Piece) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Piece::Comment);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), Piece::Comment);
    }
    if !in_name(before)
        && let Some((length, text)) = string(rest)
    {
        return (length, Piece::Text(text));
    }
    if let Some(length) = letter(rest) {
        return (length, Piece::Letter);
    }
    (rest.chars().next().map_or(1, char::len_utf8), Piece::Code)
}

/// Block comments nest in Rust.
fn block_comment(rest: &str) -> usize {
    let (mut open, mut at) = (0usize, rest);
    loop {
        if let Some(tail) = at.strip_prefix("/*") {
            (open, at) = (open + 1, tail);
        } else if let Some(tail) = at.strip_prefix("*/") {
            (open, at) = (open - 1, tail);
        } else {
            let mut letters = at.chars();
            if letters.next().is_none() {
                break;
            }
            at = letters.as_str();
        }
        if open == 0 {
            break;
        }
    }
    rest.len() - at.len()
}

/// A string literal of any kind: its length with prefix and quotes, and what stands between them.
fn string(rest: &str) -> Option<(usize, String)> {
    let plain = rest.strip_prefix(['b', 'c']).unwrap_or(rest);
    if let Some(raw) = plain.strip_prefix('r') {
        let marks = raw.len() - raw.trim_start_matches('#').len();
        let inside = raw.trim_start_matches('#').strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(marks));
        let text = inside.split(&end).next().unwrap_or(inside);
        let tail = inside.strip_prefix(text)?.strip_prefix(&end).unwrap_or_default();
        return Some((rest.len() - tail.len(), text.to_owned()));
    }
    let inside = plain.strip_prefix('"')?;
    let mut escaped = false;
    let end = inside.find(|letter| {
        let closes = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        closes
    });
    let end = end.unwrap_or(inside.len());
    let (text, tail) = inside.split_at(end);
    Some((rest.len() - tail.strip_prefix('"').unwrap_or(tail).len(), text.to_owned()))
}

/// A character literal; none for a lifetime.
fn letter(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let mut letters = inside.chars();
    if letters.next()? == '\\' {
        letters.next();
        let tail = letters.as_str();
        return Some(rest.len() - tail.len() + tail.find('\'')? + 1);
    }
    letters.as_str().starts_with('\'').then(|| rest.len() - letters.as_str().len() + 1)
}

// --- rules ---

/// (a) Names of rooms that the file's room may not name, by `crate::` or by climbing to the root with `super::`.
fn arrows(source: &Source) -> Vec<String> {
    let Some(room) = source.room() else { return Vec::new() };
    let Some((_, allowed, _)) = ROOMS.iter().find(|(name, ..)| *name == room) else {
        return vec![
            source.complain(1, &format!("the room `{room}` has no floor: put it into the table of this test")),
        ];
    };
    let mut complaints = Vec::new();
    // The exported record stands in the crate's root; `hooks` tells httpd which one it is.
    let paths = root_paths(source).into_iter().filter(|(_, named)| !(room == "hooks" && *named == "wsgi_module"));
    for (line, named) in paths {
        let known = ROOMS.iter().any(|(name, ..)| *name == named);
        if named == "as" || named == "*" || named == "self" {
            complaints.push(source.complain(line, "the crate's root under another name hides which room is meant"));
        } else if !known {
            complaints.push(source.complain(line, &format!("`crate::{named}` is no room of the table of this test")));
        } else if named != room && !allowed.contains(&EVERYTHING) && !allowed.contains(&named) {
            complaints.push(source.complain(line, &format!("the room `{room}` may not name the room `{named}`")));
        }
    }
    complaints
}

/// The first names of all paths from the crate's root.
fn root_paths(source: &Source) -> Vec<Token<'_>> {
    let tokens = source.tokens();
    let at = |number: usize| tokens.get(number).map_or("", |(_, token)| *token);
    let mut found = Vec::new();
    // Modules written inside the file, by the depth of braces at which each began.
    let (mut braces, mut inner) = (0usize, Vec::new());
    for (number, (line, token)) in tokens.iter().enumerate() {
        match *token {
            "{" => {
                if number >= 2 && at(number - 2) == "mod" {
                    inner.push(braces);
                }
                braces += 1;
            }
            "}" => {
                braces = braces.saturating_sub(1);
                if inner.last() == Some(&braces) {
                    inner.pop();
                }
            }
            "crate" if at(number + 1) == "as" => found.push((*line, "as")),
            // A program in src/bin sees the rooms through the library.
            "crate" | "mod_wsgi" if at(number + 1) == "::" => found.extend(first_names(&tokens, number + 2)),
            "super" if number < 2 || at(number - 1) != "::" || at(number - 2) != "super" => {
                let climbed = (0..).take_while(|step| at(number + 2 * step) == "super").count();
                let end = number + 2 * climbed;
                if climbed >= source.depth() + inner.len() && at(end - 1) == "::" {
                    found.extend(first_names(&tokens, end));
                }
            }
            _ => {}
        }
    }
    found
}

/// The name at `number`; of a group in braces, the first name of each part.
fn first_names<'s>(tokens: &[Token<'s>], number: usize) -> Vec<Token<'s>> {
    let mut rest = tokens.iter().skip(number).copied();
    let Some(first) = rest.next() else { return Vec::new() };
    if first.1 != "{" {
        return vec![first];
    }
    let (mut found, mut open, mut begins) = (Vec::new(), 1usize, true);
    for token in rest {
        match token.1 {
            "{" => open += 1,
            "}" => open -= 1,
            "," => begins = open == 1,
            _ if begins => {
                found.push(token);
                begins = false;
            }
            _ => {}
        }
        if open == 0 {
            break;
        }
    }
    found
}

/// (b) The word `unsafe` in code of a room that may not hold it.
fn misplaced_unsafe(source: &Source) -> Vec<String> {
    let here = ROOMS.iter().any(|(name, _, kind)| source.room() == Some(*name) && *kind == Unsafe::Here);
    if here || UNSAFE_FILES.contains(&source.path.as_str()) || !source.path.ends_with(".rs") {
        return Vec::new();
    }
    let found = source.tokens().into_iter().filter(|(_, token)| *token == "unsafe");
    found.map(|(line, _)| source.complain(line, "`unsafe` belongs into a wrapper room")).collect()
}

/// (e) `unsafe {` and `unsafe impl` without a SAFETY comment on the lines right above, or on the line itself.
fn unexplained_unsafe(source: &Source) -> Vec<String> {
    let tokens = source.tokens();
    let pairs = tokens.iter().zip(tokens.iter().skip(1));
    pairs
        .filter(|((_, token), (_, next))| *token == "unsafe" && (*next == "{" || *next == "impl"))
        .filter(|((line, _), _)| !explained(source, *line))
        .map(|((line, _), _)| source.complain(*line, "no `// SAFETY:` comment above this `unsafe`"))
        .collect()
}

/// Climbs from a line over attributes, the first lines of the same statement, and the comment above.
fn explained(source: &Source, line: usize) -> bool {
    let lines: Vec<(&str, &str)> = source.code.lines().zip(source.comments.lines()).take(line).collect();
    let mut in_comment = false;
    for (above, (code, comment)) in lines.iter().rev().enumerate() {
        let (code, comment) = (code.trim(), comment.trim());
        if comment.contains("SAFETY:") {
            return true;
        }
        in_comment |= code.is_empty() && !comment.is_empty();
        let ends_before = code.ends_with([';', '{', '}']) && !code.starts_with("#[");
        let empty = code.is_empty() && comment.is_empty();
        if above > 0 && (empty || ends_before || (in_comment && !code.is_empty())) {
            return false;
        }
    }
    false
}

/// (c) The names of the rows in one file of the table.
fn directive_names(source: &Source) -> Vec<String> {
    let rows = source.text.split("name: c\"").skip(1);
    rows.filter_map(|row| row.split('"').next()).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn undocumented(names: &[String], page: &str) -> Vec<String> {
    let bare = |title: &str| title.trim_matches(['<', '>', '\\', ' ']).replace('\\', "");
    let headings: Vec<String> = page.lines().filter_map(|line| line.strip_prefix("## ")).map(bare).collect();
    let missing = names.iter().filter(|name| !headings.contains(&bare(name)));
    missing.map(|name| format!("docs/directives.md has no section \"## {name}\"")).collect()
}

/// (d)
fn too_long(source: &Source) -> Option<String> {
    let (lines, bytes) = (source.text.lines().count(), source.text.len());
    (lines > MOST_LINES || bytes > MOST_BYTES)
        .then(|| format!("{}: {lines} lines, {bytes} bytes; part it by theme", source.path))
}

/// (f) A number such as `WSGI0107:` that begins two different messages. What follows a `#[cfg(test)]` does not count.
fn reused_numbers(sources: &[Source]) -> Vec<String> {
    let mut known: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    let mut complaints = Vec::new();
    for source in sources {
        let tests = source.code.lines().position(|line| line.trim() == "#[cfg(test)]").unwrap_or(usize::MAX);
        for (line, text) in source.literals.iter().filter(|(line, _)| *line <= tests) {
            let Some(number) = log_number(text) else { continue };
            match known.get(number) {
                Some((other, path)) if *other != text.as_str() => {
                    complaints.push(source.complain(*line, &format!("{number} has another text in {path}")));
                }
                Some(_) => {}
                None => {
                    known.insert(number.to_owned(), (text, &source.path));
                }
            }
        }
    }
    complaints
}

/// `WSGI0107` of a text that begins with `WSGI0107:`.
fn log_number(text: &str) -> Option<&str> {
    let (number, _) = text.split_once(':')?;
    let digits = number.strip_prefix("WSGI")?;
    (digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

/// (g) Numbers that lines of the log begin with, and that a page does not have as `` `WSGI0107` ``.
fn unexplained_numbers(sources: &[Source], page: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let tests = source.code.lines().position(|line| line.trim() == "#[cfg(test)]").unwrap_or(usize::MAX);
        let said = source.literals.iter().filter(|(line, _)| *line <= tests);
        let numbers = said.filter_map(|(line, text)| Some((line, log_number(text)?)));
        complaints.extend(numbers.filter(|(_, number)| !page.contains(&format!("`{number}`"))).map(
            |(line, number)| source.complain(*line, &format!("docs/troubleshooting.md does not explain {number}")),
        ));
    }
    complaints
}

/// (h) Rooms that a page names neither as `` `room` `` nor as `room/`.
fn unmentioned(rooms: &[String], page: &str) -> Vec<String> {
    let named = |room: &&String| page.contains(&format!("`{room}`")) || page.contains(&format!("{room}/"));
    rooms
        .iter()
        .filter(|room| !named(room))
        .map(|room| format!("docs/ARCHITECTURE.md does not name `{room}`"))
        .collect()
}

/// (i) Rows of the table of recipes, `//! | number | what | tests |`: each number has one, and each test in it is there.
fn untested_recipes(table: &str, last: usize, tests: &str) -> Vec<String> {
    let rows: Vec<Vec<&str>> =
        table.lines().filter_map(|line| Some(line.strip_prefix("//! | ")?.split(" | ").collect())).collect();
    let numbers: Vec<usize> = rows.iter().filter_map(|row| row.first()?.parse().ok()).collect();
    let missing = (1..=last).filter(|number| !numbers.contains(number)).map(|number| format!("no row {number}"));
    let names = rows.iter().filter_map(|row| row.get(2)).flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let unknown = names
        .filter(|name| !tests.contains(&format!("wsgi_test!({name},")))
        .map(|name| format!("no server test is called {name}"));
    missing.chain(unknown).map(|what| format!("the table of tests/server/recipes.rs: {what}")).collect()
}

// --- the rules on made-up sources ---

#[test]
fn comments_and_literals_are_no_code() {
    for text in [
        "// unsafe",
        "/* unsafe /* nested */ unsafe */",
        "\"unsafe\"",
        r#""\"unsafe""#,
        "r#\"a \" unsafe\"#",
        "b\"unsafe\"",
        "c\"unsafe\"",
        "'\"' /* unsafe */ '\"'",
        "'\\'' // unsafe '",
        "'\\u{41}' // unsafe",
        "#![forbid(unsafe_code)]",
        "let r#unsafe_name = 1;",
    ] {
        assert!(misplaced_unsafe(&Source::new("src/wsgi/mod.rs", text)).is_empty(), "{text}");
    }
    for text in ["unsafe {}", "fn f<'a>(x: &'a str) { unsafe {} }", "\"a\" unsafe", "'a' unsafe", "/* */ unsafe"] {
        assert_eq!(misplaced_unsafe(&Source::new("src/wsgi/mod.rs", text)).len(), 1, "{text}");
    }
    assert!(misplaced_unsafe(&Source::new("src/python/mod.rs", "unsafe {}")).is_empty());
    assert!(misplaced_unsafe(&Source::new("src/lib.rs", "#[unsafe(no_mangle)]")).is_empty());
}

#[test]
fn forbidden_arrows_are_seen_in_every_spelling() {
    for (path, text, bad) in [
        ("src/config/mod.rs", "use crate::config::x;", 0),
        ("src/config/mod.rs", "use crate::wsgi;", 1),
        ("src/config/mod.rs", "// crate::wsgi\nlet x = \"crate::wsgi\";", 0),
        ("src/config/words.rs", "use super::wsgi;", 0),
        ("src/config/words.rs", "use super::super::wsgi;", 1),
        ("src/config/mod.rs", "mod tests { use super::wsgi; }", 0),
        ("src/config/mod.rs", "mod tests { use super::super::wsgi; } use super::wsgi;", 2),
        ("src/config/table/mod.rs", "use super::super::{wsgi::{a, b}, config};", 1),
        ("src/config/table/python.rs", "use super::super::{config, wsgi};", 0),
        ("src/config/mod.rs", "pub(in super) fn x() {}", 0),
        ("src/embedded/mod.rs", "use crate::{apache::{A, B}, python, wsgi::c};", 0),
        ("src/embedded/mod.rs", "use crate::{bindings::{A, B}, python, hooks};", 2),
        ("src/hooks/mod.rs", "use crate::{bindings, embedded};", 0),
        ("src/python/mod.rs", "fn f() { crate::apache::log(crate::config::X) }", 1),
        ("src/application/mod.rs", "use crate as root;", 1),
        ("src/application/mod.rs", "use crate::*;", 1),
        ("src/application/mod.rs", "use crate::Macro;", 1),
        ("src/bin/worker.rs", "use mod_wsgi::{worker, apache};", 1),
        ("src/pantry/mod.rs", "", 1),
        ("src/lib.rs", "use crate::hooks;", 0),
    ] {
        let complaints = arrows(&Source::new(path, text));
        assert_eq!(complaints.len(), bad, "{path}: {text}: {complaints:?}");
    }
}

#[test]
fn arrows_point_downwards_only() {
    let place = |room: &str| ROOMS.iter().position(|(name, ..)| *name == room);
    for (room, allowed, _) in ROOMS {
        for below in allowed.iter().filter(|below| **below != EVERYTHING) {
            assert!(place(below).is_some() && place(below) < place(room), "{room} to {below}");
        }
    }
}

#[test]
fn a_safety_comment_stands_right_above() {
    for (text, good) in [
        ("// SAFETY: x\nunsafe { y() }", true),
        ("// SAFETY: x\n// and more\nunsafe { y() }", true),
        ("// SAFETY: x\nlet a =\n    unsafe { y() };", true),
        ("// SAFETY: x\n#[attribute]\nunsafe impl Send for X {}", true),
        ("unsafe { y() } // SAFETY: x", true),
        ("unsafe { y() }", false),
        ("// SAFETY: x\nlet a = 1;\nunsafe { y() }", false),
        ("// SAFETY: x\n\nunsafe { y() }", false),
        ("// why\nunsafe impl Send for X {}", false),
        ("// SAFETY: x\nlet a = 1;\n// why\nunsafe { y() }", false),
        ("fn a() {\n    unsafe { y() }", false),
        ("\"SAFETY:\"\n; unsafe { y() }", false),
        ("unsafe fn y() {}", true),
        ("unsafe extern \"C\" { fn y(); }", true),
    ] {
        assert_eq!(unexplained_unsafe(&Source::new("src/os/mod.rs", text)).is_empty(), good, "{text}");
    }
}

#[test]
fn other_rules_see_what_they_look_for() {
    let table = Source::new("t.rs", "Directive { name: c\"WSGIX\", ..R }\nname: c\"<WSGIY\",\nname: c\"\",");
    let names = directive_names(&table);
    assert_eq!(names, ["WSGIX", "<WSGIY"]);
    assert!(undocumented(&names, "## WSGIX\ntext\n## \\<WSGIY\\>").is_empty());
    assert_eq!(undocumented(&names, "WSGIX").len(), 2);

    assert!(too_long(&Source::new("a.rs", "x\n".repeat(MOST_LINES))).is_none());
    assert!(too_long(&Source::new("a.rs", "x\n".repeat(MOST_LINES + 1))).is_some());
    assert!(too_long(&Source::new("a.rs", "x".repeat(MOST_BYTES + 1))).is_some());

    let log = |path: &str, text: &str| Source::new(path, format!("log(\"{text}\");"));
    assert!(reused_numbers(&[log("a.rs", "WSGI0001: x"), log("b.rs", "WSGI0001: x")]).is_empty());
    assert_eq!(reused_numbers(&[log("a.rs", "WSGI0001: x"), log("b.rs", "WSGI0001: y")]).len(), 1);
    let tests = Source::new("b.rs", "#[cfg(test)]\nmod tests { fn f() { \"WSGI0001: z\"; } }");
    assert!(reused_numbers(&[log("a.rs", "WSGI0001: x"), tests]).is_empty());

    let explained = |page: &str| unexplained_numbers(&[log("a.rs", "WSGI0001: x")], page).is_empty();
    assert!(explained("| `WSGI0001`, `WSGI0002` | x |") && !explained("WSGI0001") && !explained("`WSGI0002`"));

    let rooms = ["config".to_owned(), "os".to_owned()];
    assert!(unmentioned(&rooms, "`config` and os/").is_empty());
    assert_eq!(unmentioned(&rooms, "configuration, cosy").len(), 2);

    let table = "//! | # | what | tests |\n//! | 1 | `x` | `one`, `two` |\n//! | 2 | y | `one` |";
    assert!(untested_recipes(table, 2, "wsgi_test!(one, |site| {}); wsgi_test!(two, groups, |site| {});").is_empty());
    assert_eq!(untested_recipes(table, 3, "wsgi_test!(one, |site| {});").len(), 2);
}
