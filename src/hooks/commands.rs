//! httpd's command table, computed from ours, and the one function behind all its rows.

use std::path::PathBuf;
use std::sync::Arc;

use crate::apache::{
    Command, Commands, END, Level as LogLevel, MainState, Overrides, Pool, Regex, Row, log_startup, raw, server,
};
use crate::config::{self, Context, DIRECTIVES, DirConfig, Kind, Level, Pattern, Place, ServerConfig, Surroundings};

const ROWS: usize = DIRECTIVES.len() + 1;

pub(super) static COMMANDS: Commands<ROWS> = Commands::new(rows());

#[expect(clippy::indexing_slicing, reason = "bounded by the same length; iterators are not const")]
const fn rows() -> [Row; ROWS] {
    let mut rows = [END; ROWS];
    let mut row = 0;
    while row < DIRECTIVES.len() {
        let directive = &DIRECTIVES[row];
        rows[row] = raw(directive.name, directive.help, overrides(directive.context), on_directive);
        row += 1;
    }
    rows
}

/// httpd's bits for where a directive may stand. What they can't say (main server only) is checked when it is applied.
const fn overrides(context: Context) -> Overrides {
    match context {
        Context::Global | Context::GlobalOrOptions | Context::Server => Overrides::SERVER,
        Context::ServerOrDirectory => Overrides::SERVER.or(Overrides::SECTION),
        Context::FileInfo => Overrides::FILE_INFO,
        Context::AuthConfig => Overrides::AUTH_CONFIG,
    }
}

/// httpd has read one of our directives.
fn on_directive(command: &mut Command<'_>, arguments: &[u8]) -> Result<(), String> {
    let Some(directive) = DIRECTIVES.iter().find(|row| row.name.to_bytes() == command.name()) else {
        return Err("this directive is in no table of mod_wsgi's".to_owned());
    };
    let level = level(command);
    let main_server = command.server().is_some_and(|server| !server.is_virtual());
    let place = command.origin().map(|(file, line)| format!("{}:{line}", String::from_utf8_lossy(file)));
    let temp_pool = command.temp_pool();
    let around = command.parent_name().unwrap_or_default();
    // The only section of ours.
    let in_options =
        DIRECTIVES.iter().any(|row| row.kind == Kind::Section && row.name.to_bytes().eq_ignore_ascii_case(around));
    let section = command.section_path().map(<[u8]>::to_vec);
    let mut surroundings = Httpd { temp_pool, place: place.unwrap_or_default() };
    let (dir, server) = command.records::<DirConfig, ServerConfig>();
    let Some(dir) = dir else { return Err("httpd gave no configuration to write to".to_owned()) };
    let section = section.as_deref();
    let mut place = Place { main_server, level, section, in_options, server, dir, surroundings: &mut surroundings };
    config::apply(directive, arguments, &mut place).map_err(|refusal| refusal.to_string())?;
    match directive.kind {
        Kind::Plain => Ok(()),
        Kind::Section => command.read_inside(),
    }
}

fn level(command: &Command<'_>) -> Level {
    if command.is_htaccess() {
        Level::Htaccess
    } else if command.is_limited() {
        Level::Limit
    } else if command.section_path().is_some() {
        Level::Section
    } else {
        Level::Server
    }
}

/// What directives may ask of httpd.
struct Httpd<'c> {
    temp_pool: Option<Pool<'c>>,
    /// File and line of the directive.
    place: String,
}

impl Httpd<'_> {
    /// httpd reads its configuration twice when it starts; one notice is enough.
    fn say(&self, level: LogLevel, line: &str) {
        if server::main_state() != MainState::ReadsConfigTwice || server::only_tests_config() {
            log_startup(level, format_args!("{}: {line}", self.place));
        }
    }
}

impl Surroundings for Httpd<'_> {
    fn compile(&mut self, regex: &[u8]) -> Result<Arc<dyn Pattern>, String> {
        Ok(Arc::new(Regex::compile(regex)?))
    }

    fn server_root_relative(&self, path: &[u8]) -> Option<PathBuf> {
        use std::os::unix::ffi::OsStrExt as _;
        let path = server::server_root_relative(self.temp_pool?, path).ok()??;
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(path)))
    }

    fn notice(&mut self, line: String) {
        self.say(LogLevel::Notice, &line);
    }

    fn warn(&mut self, line: String) {
        self.say(LogLevel::Warning, &line);
    }
}

impl Pattern for Regex {
    fn matches(&self, subject: &[u8], template: &[u8]) -> Option<(usize, Vec<u8>)> {
        Regex::matches(self, subject, template)
    }
}
