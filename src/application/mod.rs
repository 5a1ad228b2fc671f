//! Runs WSGI applications: loads their scripts, builds `environ`, calls, iterates, closes, reports.
//!
//! Knows no server: a request comes as a [`Job`] with its [`Host`], which `embedded` and the daemon worker implement. Called
//! on the thread that serves the request, which holds no interpreter before and after. The rules of PEP 3333 are in `wsgi`.

mod environ;
mod extensions;
mod gate;
mod inquiry;
mod measured;
mod prototype;
mod reply;
mod report;
mod script;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::python::{
    Closed, Exchange, Interpreter, Lent, Py, Running, Runtime, Serving, Settings, StartError, give_way,
};
use crate::wsgi::{Host, Level, Pairs, UrlScheme};

use environ::Environs;
use extensions::Extensions;
pub(crate) use inquiry::{Inquiry, Question, Unanswered, Value, Wanted};
use measured::Measured;
use reply::Reply;
use report::Log;
use script::{Scripts, Unusable};

/// A request to be served by an application.
pub(crate) struct Job<'a> {
    /// The application group; empty for the main interpreter.
    pub(crate) group: &'a [u8],
    /// The script file, and its modification time in microseconds as this request found it.
    pub(crate) script: &'a [u8],
    pub(crate) script_mtime: i64,
    /// `WSGIScriptReloading`.
    pub(crate) reloading: bool,
    /// Only what is loaded may answer, whether the script has changed or not; else [`Outcome::Changed`].
    pub(crate) as_loaded: bool,
    /// `WSGICaseSensitivity`.
    pub(crate) case_sensitive: bool,
    /// `WSGICallableObject`.
    pub(crate) callable: &'a [u8],
    /// The text entries of environ, and what was found out while they were made.
    pub(crate) environ: &'a Pairs,
    pub(crate) url_scheme: UrlScheme,
    /// The method of the client, and the one in environ.
    pub(crate) client_method: &'a [u8],
    pub(crate) method: &'a [u8],
    /// Number of the thread in its process (`mod_wsgi.thread_id`).
    pub(crate) thread_id: u32,
    /// When the request arrived, seconds since the epoch.
    pub(crate) request_start: f64,
    /// When a child began to look for a worker, and when the worker had the request; 0 in an httpd child.
    pub(crate) queue_start: f64,
    pub(crate) daemon_start: f64,
    /// Who else has an eye on the request.
    pub(crate) watch: Option<Watch<'a>>,
}

/// What a daemon worker wants to know of a request while it runs.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    /// The thread that serves it, and the request's number on it.
    pub(crate) running: &'a Running,
    pub(crate) serial: u64,
    /// Called as soon as the thread is attached: it must not block.
    pub(crate) attached: &'a dyn Fn(),
    /// Called when the script is there, with the interpreter held: it must not block.
    pub(crate) loaded: &'a dyn Fn(),
}

/// What is left to do for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The response is complete, or given up with the connection.
    Done,
    /// Nothing was sent: an error page with this status is due. The cause is logged.
    Status(u16),
    /// Nothing was begun: the script has changed, and only a fresh process can serve it ([`Reload::NewProcess`]).
    Changed,
}

/// What a changed script needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    /// It is loaded again, beside whatever else the process has loaded: in httpd's children.
    InPlace,
    /// Another process: in daemon workers.
    NewProcess,
}

/// What is the same for all requests of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Constants {
    pub(crate) multithread: bool,
    pub(crate) multiprocess: bool,
    pub(crate) run_once: bool,
    pub(crate) reload: Reload,
    /// `apache.version`: the httpd that the module was built for.
    pub(crate) apache_version: [u32; 3],
}

/// The applications of this process.
pub(crate) struct Applications {
    runtime: &'static Runtime,
    constants: Constants,
    groups: RwLock<HashMap<Vec<u8>, Arc<Group>>>,
    extensions: Arc<Extensions>,
}

/// An application group: an interpreter and what is kept for it.
struct Group {
    interpreter: Arc<Interpreter>,
    environs: Environs,
    scripts: Scripts,
    /// Of the whole process.
    extensions: Arc<Extensions>,
}

impl Applications {
    /// Starts Python in this process, if it is not running.
    ///
    /// # Errors
    /// A line for the administrator.
    pub(crate) fn new(constants: Constants, settings: impl FnOnce() -> Settings) -> Result<Applications, StartError> {
        Ok(Applications::of(Runtime::get(settings)?, constants))
    }

    /// The applications of a Python that runs.
    pub(crate) fn of(runtime: &'static Runtime, constants: Constants) -> Applications {
        Applications { runtime, constants, groups: RwLock::default(), extensions: Arc::default() }
    }

    /// Serves one request. Blocks until the response is sent, or given up.
    pub(crate) fn serve(&self, job: &Job<'_>, host: &mut dyn Host) -> Outcome {
        let group = match self.group(job.group) {
            Ok(group) => group,
            Err(error) => {
                host.log(error.level(), error.to_string().as_bytes());
                return Outcome::Status(if matches!(error, StartError::Closed(_)) { 503 } else { 500 });
            }
        };
        let lent = Lent::new(host, job.client_method, job.method);
        let mut measured = Measured::begin(job);
        let reply = group.interpreter.enter(|py| {
            if let Some(watch) = job.watch {
                (watch.attached)();
            }
            let _serving = Serving::new(Arc::clone(lent.exchange()));
            group.run(py, job, lent.exchange(), &mut measured)
        });
        let outcome = match reply {
            Ok(Reply::Outcome(outcome)) => outcome,
            Ok(Reply::Whole(body)) => reply::send_whole(&lent, job, &body),
            Err(Closed) => {
                let _ = lent.with(|host, _| host.log(Level::Info, Closed.to_string().as_bytes()));
                Outcome::Status(503)
            }
        };
        measured.finish(outcome, lent.exchange());
        outcome
    }

    /// Whether requests may wait for one interpreter while another has nothing to do.
    pub(crate) fn several_gils(&self) -> bool {
        self.runtime.settings().several_gils()
    }

    /// The process is about to end: applications that have subscribed are told, later, on their home threads. Never waits.
    pub(crate) fn announce_end(&self, reason: &'static str) {
        for group in self.all() {
            group.interpreter.announce_end(reason);
        }
    }

    /// A signal came that is the applications': those that have subscribed are told, on the calling thread.
    pub(crate) fn publish_signal(&self, name: &'static str, number: i32) {
        for group in self.all() {
            let _ = group.interpreter.publish_signal(name, number);
        }
    }

    fn all(&self) -> Vec<Arc<Group>> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }

    /// Loads a script on the home thread of its interpreter, as `WSGIImportScript` asks for; whether it is there now. Failures are logged.
    pub(crate) fn import(&self, group: &[u8], path: &[u8], case_sensitive: bool) -> bool {
        let log = self.runtime.settings().log;
        let group = match self.group(group) {
            Ok(group) => group,
            Err(error) => {
                log(error.level(), error.to_string().as_bytes());
                return false;
            }
        };
        let interpreter = Arc::clone(&group.interpreter);
        let path = path.to_vec();
        interpreter.at_home(move |py| group.import(py, &path, case_sensitive, log)).unwrap_or(false)
    }

    /// Interrupts the request `serial` of a thread in this application group; see [`Interpreter::interrupt`]. False where it is over.
    pub(crate) fn interrupt(&self, group: &[u8], running: &Running, serial: u64) -> bool {
        let group = self.made(group);
        group.is_some_and(|group| group.interpreter.interrupt(running, serial).unwrap_or(false))
    }

    /// Logs where the threads of an application group are, level info.
    pub(crate) fn log_stacks(&self, group: &[u8]) {
        if let Some(group) = self.made(group) {
            let _ = group.interpreter.log_stacks();
        }
    }

    fn made(&self, name: &[u8]) -> Option<Arc<Group>> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    fn group(&self, name: &[u8]) -> Result<Arc<Group>, StartError> {
        if let Some(group) = self.made(name) {
            return Ok(group);
        }
        // Made by another thread, which needs the GIL for it.
        give_way();
        let interpreter = self.runtime.interpreter(name)?;
        let constants = self.constants;
        let version = self.runtime.settings().version;
        let unusable = |cause: String| StartError::Interpreter { group: String::from_utf8_lossy(name).into(), cause };
        let environs =
            interpreter.enter(|py| Environs::new(py, &interpreter, constants, version))?.map_err(unusable)?;
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        let (scripts, extensions) = (Scripts::new(constants.reload), Arc::clone(&self.extensions));
        let made = groups
            .entry(name.to_vec())
            .or_insert_with(|| Arc::new(Group { interpreter, environs, scripts, extensions }));
        Ok(Arc::clone(made))
    }
}

impl Group {
    fn run(&self, py: Py<'_>, job: &Job<'_>, exchange: &Arc<Exchange>, measured: &mut Measured) -> Reply {
        let _within = job.watch.map(|watch| watch.running.begin(py, watch.serial));
        let loaded = self.scripts.for_request(py, &self.interpreter, job, exchange);
        self.extensions.look_after_load(py, &self.interpreter, &self.scripts.looks, &**exchange);
        let module = match loaded {
            Ok(module) => module,
            Err(Unusable::Failed(status)) => return Reply::Outcome(Outcome::Status(status)),
            Err(Unusable::Changed) => return Reply::Outcome(Outcome::Changed),
        };
        if let Some(watch) = job.watch {
            (watch.loaded)();
        }
        let reply = reply::reply(py, self, job, exchange, &module, measured);
        self.extensions.look_after_request(py, &self.interpreter, &self.scripts.looks, &**exchange);
        self.interpreter.flush_thread(py);
        reply
    }

    fn import(&self, py: Py<'_>, path: &[u8], case_sensitive: bool, log: fn(Level, &[u8])) -> bool {
        let there = self.scripts.import(py, &self.interpreter, path, case_sensitive, log);
        self.extensions.look_after_load(py, &self.interpreter, &self.scripts.looks, &log as &dyn Log);
        self.interpreter.flush_thread(py);
        there
    }
}
