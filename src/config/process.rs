//! Settings of the whole server: how Python starts, what applications may do there, what is loaded when a process starts.
//!
//! Only the main server's record counts. Read by `embedded` in children, and by the parent, which hands daemon groups their part.

use std::path::PathBuf;

use super::Interpreters;

/// Settings that hold for a whole process. `Default` is what holds when no directive is given.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessConfig {
    /// `WSGIPythonHome`: Python's prefix, or the root of a virtual environment; as written.
    pub python_home: Option<PathBuf>,
    /// `WSGIPythonEggs`: the directory for `PYTHON_EGG_CACHE`.
    pub python_eggs: Option<PathBuf>,
    /// `WSGIPythonOptimize`: 0, 1 or 2.
    pub python_optimize: u8,
    /// `WSGIPythonWarnings`, one for each line, in order; as for `python -W`.
    pub python_warnings: Vec<Vec<u8>>,
    pub hash_seed: HashSeed,
    pub dont_write_bytecode: bool,
    /// What single interpreters may have otherwise.
    pub interpreters: Interpreters,
    /// Whether interpreters are ended in order when the process ends.
    pub destroy_interpreter: bool,
    /// Whether WSGI requests in httpd's own children are refused.
    pub restrict_embedded: bool,
    /// Whether paths of scripts that differ only in case are different scripts.
    pub case_sensitivity: bool,
    /// Whether applications in httpd's children may read its scoreboard.
    pub server_metrics: bool,
    /// A line about telemetry was met, and warned about.
    pub telemetry: bool,
    /// `WSGISocketPrefix`: how the paths of daemon sockets begin; absolute. None leaves it to `wsgi` in httpd's runtime directory.
    pub socket_prefix: Option<PathBuf>,
    /// Scripts to load before the first request, in the order written. A virtual host's record holds its own only:
    /// collect them with [`imports_of`](super::imports_of).
    pub imports: Vec<ImportScript>,
}

impl Default for ProcessConfig {
    fn default() -> Self {
        Self {
            python_home: None,
            python_eggs: None,
            python_optimize: 0,
            python_warnings: Vec::new(),
            hash_seed: HashSeed::Unset,
            dont_write_bytecode: false,
            interpreters: Interpreters::default(),
            destroy_interpreter: true,
            restrict_embedded: false,
            server_metrics: false,
            telemetry: false,
            case_sensitivity: true,
            socket_prefix: None,
            imports: Vec::new(),
        }
    }
}

/// `WSGIPythonHashSeed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashSeed {
    /// Python decides, `PYTHONHASHSEED` included.
    #[default]
    Unset,
    /// Random in each process, whatever `PYTHONHASHSEED` says.
    Random,
    Fixed(u32),
}

/// A script that is loaded when a process starts, before its first request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportScript {
    pub path: PathBuf,
    /// The daemon process group's name, never expanded; empty for embedded mode, so httpd's children.
    pub process_group: Vec<u8>,
    /// The interpreter's name, never expanded; empty for the main interpreter.
    pub application_group: Vec<u8>,
    pub origin: ImportOrigin,
}

/// Which line asks for an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportOrigin {
    /// `WSGIImportScript`: the administrator named this file, a failure deserves an error line.
    Directive,
    /// An alias with both groups given. Its target may turn out to be a directory, which is then passed over.
    Alias,
}
