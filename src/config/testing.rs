//! What tests of this room put around a line of configuration.

use std::path::PathBuf;
use std::sync::Arc;

use super::{DIRECTIVES, DirConfig, Level, Pattern, Place, Refusal, ServerConfig, Surroundings, apply};

/// A server that keeps what is said to it. It knows `/etc/httpd` as its root, and no expression with `(` alone.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) notices: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) rootless: bool,
}

struct Literal;

impl Pattern for Literal {
    fn matches(&self, _: &[u8], _: &[u8]) -> Option<(usize, Vec<u8>)> {
        None
    }
}

impl Surroundings for Fake {
    fn compile(&mut self, regex: &[u8]) -> Result<Arc<dyn Pattern>, String> {
        if regex == b"(" { Err("missing )".to_owned()) } else { Ok(Arc::new(Literal)) }
    }

    fn server_root_relative(&self, path: &[u8]) -> Option<PathBuf> {
        let path = std::str::from_utf8(path).unwrap().trim_end_matches('/');
        (!self.rootless).then(|| PathBuf::from("/etc/httpd").join(path))
    }

    fn notice(&mut self, line: String) {
        self.notices.push(line);
    }

    fn warn(&mut self, line: String) {
        self.warnings.push(line);
    }
}

/// A configuration being read, one line after the other, in one place.
pub(super) struct Reader {
    pub(super) main_server: bool,
    pub(super) level: Level,
    /// The path of the section around the lines.
    pub(super) section: Option<String>,
    /// Whether `<WSGIInterpreterOptions>` is around the lines.
    pub(super) in_options: bool,
    pub(super) server: ServerConfig,
    pub(super) dir: DirConfig,
    pub(super) around: Fake,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self::at(true, Level::Server)
    }

    pub(super) fn at(main_server: bool, level: Level) -> Self {
        let (section, in_options, server, dir, around) = Default::default();
        Self { main_server, level, section, in_options, server, dir, around }
    }

    /// Reads one line: a directive's name and the rest.
    pub(super) fn line(&mut self, line: &str) -> Result<(), Refusal> {
        if line.is_empty() {
            return Ok(());
        }
        let (name, raw) = line.split_once(' ').unwrap_or((line, ""));
        let name = if name.starts_with('<') { name.trim_end_matches('>') } else { name };
        let directive = DIRECTIVES.iter().find(|row| row.name() == name).unwrap_or_else(|| panic!("no {name}"));
        let mut place = Place {
            main_server: self.main_server,
            level: self.level,
            section: self.section.as_deref().map(str::as_bytes),
            in_options: self.in_options,
            server: (self.level != Level::Htaccess).then_some(&mut self.server),
            dir: &mut self.dir,
            surroundings: &mut self.around,
        };
        apply(directive, raw.as_bytes(), &mut place)
    }

    /// Reads one line that must load.
    pub(super) fn loads(mut self, line: &str) -> Self {
        if let Err(refusal) = self.line(line) {
            panic!("{line}: {refusal}");
        }
        self
    }
}

/// The sentence with which a line alone in the main server is refused.
pub(super) fn refusal(line: &str) -> String {
    match Reader::new().line(line) {
        Err(refusal) => refusal.to_string(),
        Ok(()) => panic!("{line} loads"),
    }
}
