//! Script files as modules: loaded on first use, again when they change, by one thread while others wait.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use super::Job;
use super::gate::Gate;
use super::report::{self, Log};
use crate::python::{Exchange, Interpreter, Object, Py, Raised};
use crate::wsgi::{Level, Quoted, module_name};

/// The scripts of one interpreter, by path.
#[derive(Default)]
pub(super) struct Scripts {
    known: Mutex<HashMap<Vec<u8>, Arc<Script>>>,
}

struct Script {
    /// `_mod_wsgi_` and the MD5 of the path.
    module: Vec<u8>,
    loading: Gate,
}

/// There is no module to call; the cause is logged.
pub(super) struct Unusable;

/// Where a script is, and when it was last changed, in microseconds since the epoch.
#[derive(Clone, Copy)]
struct Source<'a> {
    path: &'a [u8],
    mtime: i64,
}

impl Scripts {
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
        let there = script.loaded(py, interpreter);
        if let Some(module) = &there
            && (!job.reloading
                || (module.mtime(py) == Some(source.mtime) && !module.asks_for_reload(py, interpreter, job, exchange)))
        {
            return module.namespace().ok_or(Unusable);
        }
        let _inside = py.detach(|| script.loading.enter());
        let source = source.now();
        // Another thread may have loaded it meanwhile, then it is as new as can be.
        if let Some(module) = script.loaded(py, interpreter)
            && !there.is_some_and(|before| before.is(&module))
            && (!job.reloading || module.mtime(py) == Some(source.mtime))
        {
            return module.namespace().ok_or(Unusable);
        }
        script.load(py, interpreter, source, exchange)?.namespace().ok_or(Unusable)
    }

    /// Loads a script outside any request.
    pub(super) fn import(
        &self,
        py: Py<'_>,
        interpreter: &Interpreter,
        path: &[u8],
        case_sensitive: bool,
        log: fn(Level, &[u8]),
    ) {
        let script = self.script(path, case_sensitive);
        let _inside = py.detach(|| script.loading.enter());
        let source = Source { path, mtime: 0 }.now();
        if script.loaded(py, interpreter).is_none_or(|module| module.mtime(py) != Some(source.mtime)) {
            drop(script.load(py, interpreter, source, &log));
        }
    }

    fn script(&self, path: &[u8], case_sensitive: bool) -> Arc<Script> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(script) = known.get(path) {
            return Arc::clone(script);
        }
        let module = module_name(path, case_sensitive).into_bytes();
        let script = Arc::new(Script { module, loading: Gate::default() });
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
            report::exception(py, interpreter, log, source.path, "loading the WSGI script", &raised);
            Unusable
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
