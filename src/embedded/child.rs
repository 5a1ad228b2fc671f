//! What an httpd child has for all its requests: the settings of the process, its applications once there are any.

use std::cell::Cell;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::scoreboard;
use crate::apache::{Level as LogLevel, Pool, Server, log_main, server, shows_main};
use crate::application::{Applications, Constants, Reload};
use crate::config::{self, HashSeed, ImportOrigin, ImportScript, ProcessConfig, ServerConfig};
use crate::front::{self, log_level};
use crate::python::{Apache, Runtime, Settings, StartError};

/// How long the end of a child waits for exit functions and threads of applications: mod_wsgi's default `shutdown-timeout`.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// This process, if it is a child.
static CHILD: OnceLock<Child> = OnceLock::new();

/// A child of httpd.
pub(super) struct Child {
    settings: ProcessConfig,
    /// Made by the first request that needs Python. Held while Python starts, so that others wait for it.
    applications: OnceLock<Applications>,
    starting: Mutex<()>,
}

/// A child begins (`child_init`): on its main thread, before it serves.
pub(crate) fn start(pool: Pool<'_>, main_server: &Server<'_>) {
    let records = || main_server.records::<ServerConfig>().map(|(_, record)| record);
    let settings = records().next().map(|main| main.process.clone()).unwrap_or_default();
    let imports: Vec<ImportScript> = config::imports_of(b"", records()).into_iter().cloned().collect();
    let child = CHILD.get_or_init(|| Child { settings, applications: OnceLock::new(), starting: Mutex::new(()) });
    // The pool goes when the child has ended its requests and threads.
    pool.on_cleanup(Runtime::shut_down);
    child.import(&imports);
}

/// The applications of this child, for scripts that httpd asks; starts Python if it is not running, whatever `WSGIRestrictEmbedded` says
/// of applications.
///
/// # Errors
/// A line for the administrator.
pub(crate) fn applications() -> Result<&'static Applications, String> {
    let child = Child::this().ok_or("scripts are asked in httpd's children only")?;
    child.applications().map_err(|error| error.to_string())
}

impl Child {
    /// This process; nothing in the parent.
    pub(super) fn this() -> Option<&'static Child> {
        CHILD.get()
    }

    pub(super) fn settings(&self) -> &ProcessConfig {
        &self.settings
    }

    /// The applications; starts Python if it is not running.
    ///
    /// # Errors
    /// A line for the administrator.
    pub(super) fn applications(&self) -> Result<&Applications, StartError> {
        if let Some(applications) = self.applications.get() {
            return Ok(applications);
        }
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(applications) = self.applications.get() {
            return Ok(applications);
        }
        let threads = server::max_threads().unwrap_or(1).max(1);
        let processes = server::max_daemons().unwrap_or(1).max(1);
        let constants = Constants {
            multithread: threads > 1,
            multiprocess: processes > 1,
            run_once: false,
            reload: Reload::InPlace,
            apache_version: server::BUILT_FOR.into(),
        };
        let applications = Applications::new(constants, || self.python(threads, processes))?;
        Ok(self.applications.get_or_init(|| applications))
    }

    /// Loads scripts before the first request. What aliases ask for is in vain where no request may run them; a
    /// `WSGIImportScript` may have another purpose.
    fn import(&self, imports: &[ImportScript]) {
        let due = |script: &&ImportScript| match script.origin {
            ImportOrigin::Directive => true,
            // Its target may turn out to be a directory.
            ImportOrigin::Alias => !self.settings.restrict_embedded && script.path.is_file(),
        };
        let imports: Vec<&ImportScript> = imports.iter().filter(due).collect();
        if imports.is_empty() {
            return;
        }
        let applications = match self.applications() {
            Ok(applications) => applications,
            Err(error) => return log_main(LogLevel::Crit, format_args!("{error}")),
        };
        for script in imports {
            let path = script.path.clone().into_os_string().into_vec();
            applications.import(&script.application_group, &path, self.settings.case_sensitivity);
        }
    }

    fn python(&self, threads: u32, processes: u32) -> Settings {
        let settings = &self.settings;
        Settings {
            home: settings.python_home.clone(),
            home_from: "WSGIPythonHome",
            eggs: settings.python_eggs.clone(),
            optimize: settings.python_optimize.into(),
            warnings: settings.python_warnings.clone(),
            hash_seed: match settings.hash_seed {
                HashSeed::Unset => None,
                HashSeed::Random => Some(crate::python::HashSeed::Random),
                HashSeed::Fixed(seed) => Some(crate::python::HashSeed::Fixed(seed)),
            },
            dont_write_bytecode: settings.dont_write_bytecode,
            interpreters: settings.interpreters.clone(),
            destroy: settings.destroy_interpreter,
            front: None,
            service: false,
            shutdown: Some(SHUTDOWN),
            single_process: server::is_single_process(),
            process_group: Vec::new(),
            main_group: Vec::new(),
            processes,
            threads,
            version: front::VERSION,
            apache: Apache {
                version: server::BUILT_FOR.into(),
                description: server::description(),
                build_date: server::built().to_vec(),
                mpm_name: server::mpm_name().to_vec(),
                processes,
                threads,
            },
            log: |level, line| log_main(log_level(level), format_args!("{}", String::from_utf8_lossy(line))),
            logs: |level| shows_main(log_level(level)),
            server_metrics: settings.server_metrics.then_some(scoreboard::read),
        }
    }
}

/// The number of the calling thread in its process (`mod_wsgi.thread_id`): from 1 in the order of first use; 0 is the thread that
/// began the process, which serves requests only where the MPM has no threads.
pub(super) fn thread_id() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    thread_local! {
        static ID: Cell<u32> = const { Cell::new(0) };
    }
    if !server::is_threaded() {
        return 0;
    }
    ID.with(|id| {
        if id.get() == 0 {
            id.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        id.get()
    })
}
