//! Script files as modules: loaded on first use, again when they change, by one thread while others wait.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::extensions::Looks;
use super::gate::Gate;
use super::report::{self, Log};
use super::{Inquiry, Job, Reload};
use crate::python::{Exchange, Interpreter, Object, Py, Raised};
use crate::wsgi::{Level, Quoted, module_name};

/// The scripts of one interpreter, by path.
pub(super) struct Scripts {
    known: Mutex<HashMap<Vec<u8>, Arc<Script>>>,
    reload: Reload,
    pub(super) looks: Looks,
}

struct Script {
    /// `_mod_wsgi_` and the MD5 of the path.
    module: Vec<u8>,
    loading: Gate,
    /// A request of this process has found it loaded.
    used: AtomicBool,
}

/// There is no module to call.
pub(super) enum Unusable {
    /// The answer is this status; the cause is logged.
    Failed(u16),
    /// There is one, but its script has changed, and a fresh process is due.
    Changed,
}

const NO_MODULE: Unusable = Unusable::Failed(500);

/// Where a script is, and when it was last changed, in microseconds since the epoch.
#[derive(Clone, Copy)]
struct Source<'a> {
    path: &'a [u8],
    mtime: i64,
}

impl Scripts {
    pub(super) fn new(reload: Reload) -> Scripts {
        Scripts { known: Mutex::default(), reload, looks: Looks::default() }
    }

    /// The namespace of a request's script, loaded now if it is not or has changed.
    pub(super) fn for_request<'py>(
        &self,
        py: Py<'py>,
        interpreter: &Interpreter,
        job: &Job<'_>,
        exchange: &Exchange,
    ) -> Result<Object<'py>, Unusable> {
        let script = self.script(job.script, job.case_sensitive);
        let source = Source { path: job.script, mtime: job.script_mtime };
        if job.as_loaded {
            let there = script.loaded(py, interpreter);
            return there.and_then(|module| module.namespace()).ok_or(Unusable::Changed);
        }
        let asks = |module: &Module<'_>| module.asks_for_reload(py, interpreter, job, exchange);
        self.current(py, interpreter, &script, source, job.reloading, asks, exchange)
    }

    /// The namespace of a script that is asked about a request, loaded now if it is not or has changed. It can't ask for that itself.
    pub(super) fn for_inquiry<'py>(
        &self,
        py: Py<'py>,
        interpreter: &Interpreter,
        inquiry: &Inquiry<'_>,
        exchange: &Exchange,
    ) -> Result<Object<'py>, Unusable> {
        let script = self.script(inquiry.script, inquiry.case_sensitive);
        let source = Source { path: inquiry.script, mtime: 0 }.now();
        self.current(py, interpreter, &script, source, inquiry.reloading, |_| false, exchange)
    }

    /// The namespace of a script, loaded now if it is not, has changed, or `asks` for it.
    #[expect(clippy::too_many_arguments, reason = "all of it is the caller's, and kept nowhere")]
    fn current<'py>(
        &self,
        py: Py<'py>,
        interpreter: &Interpreter,
        script: &Script,
        source: Source<'_>,
        reloading: bool,
        asks: impl Fn(&Module<'py>) -> bool,
        exchange: &Exchange,
    ) -> Result<Object<'py>, Unusable> {
        let there = script.loaded(py, interpreter);
        if let Some(module) = &there {
            // A process that was made because the script asked for it serves at least one request before it is asked again.
            let used = script.used.swap(true, Ordering::Relaxed) || self.reload == Reload::InPlace;
            if !reloading || (self.unchanged(py, module, source) && !(used && asks(module))) {
                return module.namespace().ok_or(NO_MODULE);
            }
            if self.reload == Reload::NewProcess {
                return Err(Unusable::Changed);
            }
        }
        let _inside = py.detach(|| script.loading.enter());
        let source = source.now();
        // Another thread may have loaded it meanwhile, then it is as new as can be.
        if let Some(module) = script.loaded(py, interpreter)
            && !there.is_some_and(|before| before.is(&module))
            && (!reloading || module.mtime(py) == Some(source.mtime))
        {
            return module.namespace().ok_or(NO_MODULE);
        }
        self.looks.renew();
        script.load(py, interpreter, source, exchange)?.namespace().ok_or(NO_MODULE)
    }

    /// Loads a script outside any request; whether it is there now.
    pub(super) fn import(
        &self,
        py: Py<'_>,
        interpreter: &Interpreter,
        path: &[u8],
        case_sensitive: bool,
        log: fn(Level, &[u8]),
    ) -> bool {
        let script = self.script(path, case_sensitive);
        let _inside = py.detach(|| script.loading.enter());
        let source = Source { path, mtime: 0 }.now();
        script.loaded(py, interpreter).is_some_and(|module| module.mtime(py) == Some(source.mtime)) || {
            self.looks.renew();
            script.load(py, interpreter, source, &log).is_ok()
        }
    }

    fn unchanged(&self, py: Py<'_>, module: &Module<'_>, source: Source<'_>) -> bool {
        let loaded = module.mtime(py);
        match self.reload {
            Reload::InPlace => loaded == Some(source.mtime),
            // The child may have looked at the file before it changed, and this process have loaded it after. A script that hides its
            // time would have every process replaced.
            Reload::NewProcess => loaded.is_none_or(|loaded| loaded == source.mtime || loaded == source.now().mtime),
        }
    }

    fn script(&self, path: &[u8], case_sensitive: bool) -> Arc<Script> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(script) = known.get(path) {
            return Arc::clone(script);
        }
        let module = module_name(path, case_sensitive).into_bytes();
        let script = Arc::new(Script { module, loading: Gate::default(), used: AtomicBool::new(false) });
        known.insert(path.to_vec(), Arc::clone(&script));
        script
    }
}

impl Source<'_> {
    /// With the modification time of this moment; as it was where the file can't be asked (loading it will say why).
    fn now(self) -> Self {
        let metadata = std::fs::metadata(OsStr::from_bytes(self.path));
        let mtime = metadata.map_or(self.mtime, |metadata| metadata.mtime() * 1_000_000 + metadata.mtime_nsec() / 1000);
        Source { mtime, ..self }
    }
}

/// A script's module that was executed to its end.
struct Module<'py>(Object<'py>);

impl Script {
    /// The module, if it is in `sys.modules` and no longer being executed.
    fn loaded<'py>(&self, py: Py<'py>, interpreter: &Interpreter) -> Option<Module<'py>> {
        let name = interpreter.key(py, &self.module).ok()?;
        let module = interpreter.loaded_module(py, &name)?;
        let complete = module.module_dict()?.get_item(&interpreter.key(py, b"__mtime__").ok()?).ok()?.is_some();
        complete.then_some(Module(module))
    }

    fn load<'py>(
        &self,
        py: Py<'py>,
        interpreter: &Interpreter,
        source: Source<'_>,
        log: &dyn Log,
    ) -> Result<Module<'py>, Unusable> {
        log.line(py, Level::Info, format!("loading the WSGI script {}", Quoted(source.path)).as_bytes());
        self.execute(py, interpreter, source).map(Module).map_err(|raised| {
            Unusable::Failed(report::exception(py, interpreter, log, source.path, "loading the WSGI script", &raised))
        })
    }

    fn execute<'py>(
        &self,
        py: Py<'py>,
        interpreter: &Interpreter,
        source: Source<'_>,
    ) -> Result<Object<'py>, Raised<'py>> {
        let name = interpreter.key(py, &self.module)?;
        let path = Object::path(py, source.path)?;
        interpreter.call(py, c"load_script", &[&name, &path, &Object::int(py, source.mtime)?])
    }
}

impl<'py> Module<'py> {
    fn namespace(&self) -> Option<Object<'py>> {
        self.0.module_dict()
    }

    fn is(&self, other: &Module<'py>) -> bool {
        self.0.is(&other.0)
    }

    /// When the file that it was loaded from was changed; nothing where the script has overwritten that with something else.
    fn mtime(&self, _py: Py<'py>) -> Option<i64> {
        self.0.attribute(c"__mtime__").ok()?.as_i64()
    }

    /// The script's own `reload_required(path)`; an exception in it is logged and means no.
    fn asks_for_reload(&self, py: Py<'py>, interpreter: &Interpreter, job: &Job<'_>, log: &dyn Log) -> bool {
        let function = self.namespace().and_then(|names| {
            let name = interpreter.key(py, b"reload_required").ok()?;
            names.get_item(&name).ok().flatten()
        });
        let Some(function) = function else { return false };
        let asked = Object::path(py, job.script).and_then(|path| function.call(&[&path]));
        match asked {
            Ok(answer) => answer.is_true(),
            Err(raised) => {
                report::exception(py, interpreter, log, job.script, "reload_required() of the WSGI script", &raised);
                false
            }
        }
    }
}
