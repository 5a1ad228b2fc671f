//! One row of the directive table, and how a line of the configuration is brought to it.
//!
//! `hooks` turns rows into httpd's command table at compile time, so all of a row is readable in a const context.
//! Every directive is registered as RAW_ARGS: httpd hands over the rest of the line, and [`apply`] splits and counts.

use std::ffi::CStr;
use std::fmt;

use super::{Level, Place, Refusal, Words};

/// Where httpd lets a directive stand (`hooks` maps this to httpd's override bits; [`apply`] checks it once more,
/// because httpd has no bit for "the main server only").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Once for the whole server: outside every section, the virtual host's too.
    Global,
    /// As [`Context::Global`], and inside `<WSGIInterpreterOptions>`.
    GlobalOrOptions,
    /// Main server and virtual hosts.
    Server,
    /// Main server, virtual hosts, and sections such as `<Directory>`; never `.htaccess`.
    ServerOrDirectory,
    /// Everywhere; in `.htaccess` with `AllowOverride FileInfo`.
    FileInfo,
    /// Sections such as `<Directory>`, and `.htaccess` with `AllowOverride AuthConfig`.
    AuthConfig,
}

impl Context {
    /// The place in the words of httpd's own manual.
    pub fn in_httpd_words(self) -> &'static str {
        match self {
            Self::Global => "server config",
            Self::GlobalOrOptions => "server config, `<WSGIInterpreterOptions>`",
            Self::Server => "server config, virtual host",
            Self::ServerOrDirectory => "server config, virtual host, directory",
            Self::FileInfo => "server config, virtual host, directory, .htaccess",
            Self::AuthConfig => "directory, .htaccess",
        }
    }

    /// The `AllowOverride` class that opens `.htaccess` to the directive.
    pub fn override_class(self) -> Option<&'static str> {
        match self {
            Self::FileInfo => Some("FileInfo"),
            Self::AuthConfig => Some("AuthConfig"),
            Self::Global | Self::GlobalOrOptions | Self::Server | Self::ServerOrDirectory => None,
        }
    }
}

/// A line of its own, or a container with `</...>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain,
    /// The name starts with `<`, as httpd wants it in its command table.
    Section,
}

/// How many words a directive takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Exactly one word, not empty (httpd's TAKE1).
    One,
    /// Any number of words.
    List,
    /// This many words, then `name=value` options from the row's list.
    Options(usize),
}

/// What happens where a directive stands in several places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// One value for the whole server; the last line counts.
    ProcessWide,
    /// One list for the whole server, in the order of the lines.
    ProcessWideList,
    /// The virtual host's entries are tried first, then the main server's; the first match counts.
    VirtualHostFirst,
    /// The innermost place that says anything counts.
    InnerWins,
    /// Lines in one place add up; an inner place's list replaces an outer one's.
    InnerList,
    /// The nearest `<WSGIInterpreterOptions>` that has it, else the last line outside.
    NearestInterpreters,
    /// All lists that are for an interpreter; the nearest one's entries are searched first.
    OuterFirst,
    /// Merged by name; an inner entry replaces the outer one of that name.
    ByName,
    /// Nothing to merge.
    Nothing,
}

impl Merge {
    /// One sentence for the reference.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::ProcessWide => "one value for the whole server; the last line counts",
            Self::ProcessWideList => "one list for the whole server; each line adds to it, in order",
            Self::VirtualHostFirst => {
                "a virtual host's entries are tried first, then the main server's, each in the order written; the first match counts"
            }
            Self::InnerWins => {
                "the innermost place that sets it counts: directory, then virtual host, then main server; in one place the last line counts"
            }
            Self::InnerList => "lines in one place add up; an inner place's list replaces the outer one's",
            Self::NearestInterpreters => {
                "the nearest `<WSGIInterpreterOptions>` that sets it counts, else the line outside; in one place the last line counts"
            }
            Self::OuterFirst => {
                "the lists of all `<WSGIInterpreterOptions>` that are for an interpreter add up; in one place the last line counts"
            }
            Self::ByName => "merged by name; an inner entry replaces an outer one of the same name",
            Self::Nothing => "nothing to merge",
        }
    }
}

/// What this version does with a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    InEffect,
    /// Checked and accepted; the text says why it changes nothing.
    LoadsWithoutEffect(&'static str),
    /// A name of older releases; the text says what to write today. `apply` accepts harmless values with a notice.
    Obsolete(&'static str),
}

/// One `name=value` option of a directive.
#[derive(Clone, Copy, Debug)]
pub struct OptionRow {
    pub name: &'static str,
    /// What may stand after `=`, for the reference.
    pub value: &'static str,
    pub required: bool,
    /// With an empty value it counts as not given, as templates write it. Else that is refused.
    pub may_be_empty: bool,
    /// What holds if it is not given; nothing where `doc` says it.
    pub default: Option<&'static str>,
    /// Which numbers may stand after `=`, where it is a number.
    pub range: Option<Range>,
    pub doc: &'static str,
}

/// Whole numbers that an option may have, both ends counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub least: i64,
    pub most: i64,
    /// 0 may stand, too, though it is below `least`: "leave it".
    pub or_zero: bool,
}

impl Range {
    /// Whether this number may stand.
    pub fn holds(self, number: i64) -> bool {
        (self.least..=self.most).contains(&number) || (self.or_zero && number == 0)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.or_zero {
            write!(out, "0, or ")?;
        }
        if self.most == i64::MAX {
            write!(out, "{} or more", self.least)
        } else {
            write!(out, "{} to {}", self.least, self.most)
        }
    }
}

/// One directive.
#[derive(Clone, Copy)]
pub struct Directive {
    /// As httpd's command table wants it (a container's name starts with `<`).
    pub name: &'static CStr,
    pub context: Context,
    pub kind: Kind,
    pub arguments: Arguments,
    pub options: &'static [OptionRow],
    /// A line as it is written, with placeholders.
    pub syntax: &'static str,
    /// What holds when the directive is absent.
    pub default: &'static str,
    pub merge: Merge,
    /// One line, shown by `httpd -L`.
    pub help: &'static CStr,
    /// Paragraphs for the reference, in Markdown.
    pub doc: &'static str,
    pub standing: Standing,
    /// Checks the values and writes them; the words are already split and counted.
    pub apply: fn(&mut Place<'_>, &Words<'_>) -> Result<(), Refusal>,
}

impl Directive {
    /// The name as text, a container's with its `<`.
    pub fn name(&self) -> &'static str {
        self.name.to_str().unwrap_or("(a directive whose name is not UTF-8)")
    }

    /// The name as it stands in prose and headings.
    pub fn title(&self) -> String {
        match self.kind {
            Kind::Plain => self.name().to_owned(),
            Kind::Section => format!("{}>", self.name()),
        }
    }
}

/// Does what one line says: splits `raw` (the line after the directive's name) as httpd does, counts the words, and
/// writes into `place`.
///
/// Called by `hooks`: in the httpd parent for the server's files, in a child's request thread for `.htaccess`.
///
/// # Errors
/// A [`Refusal`], one sentence for the administrator. The settings in `place` are then not to be used.
pub fn apply(directive: &Directive, raw: &[u8], place: &mut Place<'_>) -> Result<(), Refusal> {
    check_place(directive, place)?;
    let words = Words::split(directive, raw, place.surroundings)?;
    if place.in_options && directive.context != Context::GlobalOrOptions {
        place.surroundings.warn(format!(
            "{} stands in <WSGIInterpreterOptions>, where it holds for all as if it stood outside; move it there",
            directive.title()
        ));
    }
    (directive.apply)(place, &words)
}

fn check_place(directive: &Directive, place: &Place<'_>) -> Result<(), Refusal> {
    let wrong = |remedy: &'static str| Err(Refusal::NotHere { directive: directive.name(), remedy });
    let in_server = place.level == Level::Server;
    match directive.context {
        _ if directive.kind == Kind::Section && place.in_options => {
            wrong("can't stand in another one; close that first, and write both names into one line if both are meant")
        }
        Context::Global | Context::GlobalOrOptions if !in_server || !place.main_server => {
            wrong("is set once for the whole server; move it outside <VirtualHost> and all other sections")
        }
        Context::Server if !in_server => {
            wrong("belongs to a server; move it outside <Directory>, <Location>, <Files>, <If>, <Limit> and .htaccess")
        }
        Context::ServerOrDirectory if place.level == Level::Htaccess => {
            wrong("is not open to .htaccess files; move it to the server's configuration")
        }
        Context::AuthConfig if in_server => {
            wrong("belongs to a part of the site; move it into <Directory>, <Location>, <Files> or .htaccess")
        }
        Context::Global
        | Context::GlobalOrOptions
        | Context::Server
        | Context::ServerOrDirectory
        | Context::FileInfo
        | Context::AuthConfig => Ok(()),
    }
}
