//! Where a directive stands, what it may write there, and what it may ask of the server around it.
//!
//! `hooks` builds a [`Place`] from httpd's `cmd_parms` for each line; nothing keeps one.

use std::path::PathBuf;
use std::sync::Arc;

use super::{DirConfig, InterpreterOptions, Interpreters, ProcessConfig, Refusal, ServerConfig, Words};

/// A compiled regular expression of httpd's kind. The `apache` room implements it over `ap_regex`.
pub trait Pattern: Send + Sync {
    /// Matches `subject`; answers the offset where the match ends, and `template` with `$0` to `$9` substituted.
    /// Called in a child's request threads, several at a time.
    fn matches(&self, subject: &[u8], template: &[u8]) -> Option<(usize, Vec<u8>)>;
}

/// What directives need from httpd while it reads its configuration.
pub trait Surroundings {
    /// Compiles a regular expression.
    ///
    /// # Errors
    /// The library's own words on what is wrong.
    fn compile(&mut self, regex: &[u8]) -> Result<Arc<dyn Pattern>, String>;

    /// The path made absolute under `ServerRoot`; nothing where that can't be done.
    fn server_root_relative(&self, path: &[u8]) -> Option<PathBuf>;

    /// One line at level notice in the error log.
    fn notice(&mut self, line: String);

    /// One line at level warn in the error log.
    fn warn(&mut self, line: String);
}

/// How deep in the configuration a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Outside every section but `<VirtualHost>` (and those that only select, such as `<IfModule>`).
    Server,
    /// In `<Directory>`, `<Location>`, `<Files>`, `<If>` or their Match forms.
    Section,
    /// In `<Limit>` or `<LimitExcept>`.
    Limit,
    /// In an `.htaccess` file.
    Htaccess,
}

/// Where one line stands.
pub struct Place<'a> {
    /// Whether this is the main server, not a virtual host.
    pub main_server: bool,
    pub level: Level,
    /// The path, URL or pattern of the section around it; none outside sections.
    pub section: Option<&'a [u8]>,
    /// Directly inside `<WSGIInterpreterOptions>`, which was applied before.
    pub in_options: bool,
    /// Settings of this server or virtual host. None where they can't be written any more: in `.htaccess`.
    pub server: Option<&'a mut ServerConfig>,
    /// Settings of this section; at [`Level::Server`] those of the server's default directory configuration.
    pub dir: &'a mut DirConfig,
    pub surroundings: &'a mut dyn Surroundings,
}

impl Place<'_> {
    /// The settings of this server.
    ///
    /// # Errors
    /// [`Refusal::NotHere`] where the caller gave none.
    pub(super) fn server(&mut self, words: &Words<'_>) -> Result<&mut ServerConfig, Refusal> {
        self.server.as_deref_mut().ok_or(Refusal::NotHere {
            directive: words.directive(),
            remedy: "changes settings of a server, which are fixed by now; move it to the server's configuration",
        })
    }

    /// The settings of the process.
    ///
    /// # Errors
    /// As [`Place::server`].
    pub(super) fn process(&mut self, words: &Words<'_>) -> Result<&mut ProcessConfig, Refusal> {
        self.server(words).map(|server| &mut server.process)
    }

    /// The settings of all interpreters, or of those that the `<WSGIInterpreterOptions>` around the line names.
    ///
    /// # Errors
    /// As [`Place::server`].
    pub(super) fn interpreters(&mut self, words: &Words<'_>) -> Result<&mut InterpreterOptions, Refusal> {
        let in_options = self.in_options;
        let Interpreters { all, some } = &mut self.process(words)?.interpreters;
        Ok(if in_options { some.last_mut().unwrap_or(all) } else { all })
    }
}
