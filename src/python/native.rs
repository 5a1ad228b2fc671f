//! What an interpreter has of ours: the functions and classes of `bootstrap.py`, the class of `wsgi.input`.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3_ffi as ffi;

use super::callback::{Arguments, Method, guard};
use super::error::Raised;
use super::exchange::{self, Exchange};
use super::interpreter::Interpreter;
use super::module;
use super::object::{Object, Stored};
use super::runtime::{Settings, emit};
use super::shown::Requests;
use super::state::Py;

/// Executed in this order, in one namespace.
const SOURCES: [&str; 2] = [include_str!("bootstrap.py"), include_str!("api.py")];

/// Kept for the life of the interpreter.
pub(super) struct Native {
    pub(super) bootstrap: Stored,
    pub(super) file_wrapper: Stored,
    pub(super) input_class: Stored,
    /// The class `mod_wsgi.RequestTimeout`.
    pub(super) request_timeout: Stored,
    /// The lists and dict of that name in `mod_wsgi`.
    pub(super) event_callbacks: Stored,
    pub(super) active_requests: Stored,
    /// Empty until `active_requests` is looked at.
    pub(super) watched: Stored,
    pub(super) requests: Requests,
    unfinished: Stored,
    /// `wsgi.errors` streams that no request uses at the moment.
    errors: Mutex<Vec<Errors>>,
}

/// A `wsgi.errors`: the text stream, its binary end, the lines that it holds back, the attributes that the application has set.
pub(crate) struct Errors {
    stream: Stored,
    log: Stored,
    pending: Stored,
    attributes: Stored,
}

impl Errors {
    /// Whether nobody holds the stream, which has its binary end, and nothing else does. The caller is attached.
    fn is_free(&self) -> bool {
        // SAFETY: attached; a live object.
        let stream = unsafe { ffi::Py_REFCNT(self.stream.as_ptr()) };
        // SAFETY: as above.
        let log = unsafe { ffi::Py_REFCNT(self.log.as_ptr()) };
        // One of each is `self`'s.
        (stream, log) == (1, 2)
    }
}

/// More idle `wsgi.errors` are not kept: one for each thread that is likely to be busy at once.
const IDLE_ERRORS: usize = 64;

/// Sets up the interpreter that this thread is attached to.
pub(super) fn prepare(py: Py<'_>, interpreter: &Interpreter, settings: &Settings) -> Result<(), String> {
    let native =
        make(py, interpreter, settings).map_err(|raised| format!("the interpreter can't be set up: {raised}"))?;
    interpreter.set_native(native);
    Ok(())
}

fn make<'py>(py: Py<'py>, interpreter: &Interpreter, settings: &Settings) -> Result<Native, Raised<'py>> {
    let bootstrap = execute_bootstrap(py)?;
    let settings = settings_dict(py, interpreter, settings)?;
    let emitter = EMIT.function(py)?;
    bootstrap.attribute(c"prepare")?.call(&[&settings, &emitter, &module::functions(py)?])?;
    Ok(Native {
        file_wrapper: bootstrap.attribute(c"FileWrapper")?.store(),
        event_callbacks: bootstrap.attribute(c"event_callbacks")?.store(),
        active_requests: bootstrap.attribute(c"active_requests")?.store(),
        watched: bootstrap.attribute(c"watched")?.store(),
        requests: Requests::default(),
        unfinished: bootstrap.attribute(c"UNFINISHED")?.store(),
        request_timeout: bootstrap.attribute(c"RequestTimeout")?.store(),
        input_class: exchange::class(py)?.store(),
        bootstrap: bootstrap.store(),
        errors: Mutex::default(),
    })
}

fn execute_bootstrap(py: Py<'_>) -> Result<Object<'_>, Raised<'_>> {
    // SAFETY: attached by `py`; NUL-terminated.
    let module = Object::returned(py, unsafe { ffi::PyModule_New(c"_mod_wsgi_bootstrap".as_ptr()) })?;
    let globals = module.module_dict().unwrap_or_else(|| unreachable!("a module was just made"));
    for source in SOURCES {
        let source = CString::new(source).unwrap_or_default();
        // SAFETY: attached; both strings are NUL-terminated; a new reference or NULL.
        let code = unsafe { ffi::Py_CompileString(source.as_ptr(), c"<mod_wsgi>".as_ptr(), ffi::Py_file_input) };
        let code = Object::returned(py, code)?;
        // SAFETY: attached; a code object and a dict.
        let done = unsafe { ffi::PyEval_EvalCode(code.as_ptr(), globals.as_ptr(), globals.as_ptr()) };
        Object::returned(py, done)?;
    }
    Ok(module)
}

fn settings_dict<'py>(py: Py<'py>, interpreter: &Interpreter, settings: &Settings) -> Result<Object<'py>, Raised<'py>> {
    let dict = Object::dict(py)?;
    let own = interpreter.settings();
    let path = |entries: &Vec<Vec<u8>>| {
        let entries: Result<Vec<_>, _> = entries.iter().map(|entry| Object::path(py, entry)).collect();
        Object::list(py, entries?)
    };
    let paths: Result<Vec<_>, _> = own.paths.iter().map(path).collect();
    dict.set_key(c"paths", &Object::list(py, paths?)?)?;
    let eggs = match &settings.eggs {
        Some(eggs) => Object::path(py, eggs.as_os_str().as_bytes())?,
        None => Object::none(py),
    };
    dict.set_key(c"eggs", &eggs)?;
    let switch_interval = match own.switch_interval {
        Some(interval) => Object::float(py, interval.as_secs_f64())?,
        None => Object::none(py),
    };
    dict.set_key(c"switch_interval", &switch_interval)?;
    dict.set_key(c"restrict_stdin", &Object::bool(py, own.restrict_stdin))?;
    dict.set_key(c"restrict_stdout", &Object::bool(py, own.restrict_stdout))?;
    dict.set_key(c"restrict_signal", &Object::bool(py, own.restrict_signal && !settings.service))?;
    dict.set_key(c"single_process", &Object::bool(py, settings.single_process))?;
    dict.set_key(c"service", &Object::bool(py, settings.service))?;
    let front = match &settings.front {
        Some(front) => Object::path(py, front.as_os_str().as_bytes())?,
        None => Object::none(py),
    };
    dict.set_key(c"front", &front)?;
    dict.set_key(c"process_group", &Object::latin1(py, &settings.process_group)?)?;
    dict.set_key(c"application_group", &Object::latin1(py, interpreter.name())?)?;
    dict.set_key(c"maximum_processes", &Object::int(py, settings.processes.into())?)?;
    dict.set_key(c"threads_per_process", &Object::int(py, settings.threads.into())?)?;
    dict.set_key(c"version", &version(py, settings.version)?)?;
    let apache = Object::dict(py)?;
    apache.set_key(c"version", &version(py, settings.apache.version)?)?;
    apache.set_key(c"description", &Object::latin1(py, &settings.apache.description)?)?;
    apache.set_key(c"build_date", &Object::latin1(py, &settings.apache.build_date)?)?;
    apache.set_key(c"mpm_name", &Object::latin1(py, &settings.apache.mpm_name)?)?;
    apache.set_key(c"maximum_processes", &Object::int(py, settings.apache.processes.into())?)?;
    apache.set_key(c"threads_per_process", &Object::int(py, settings.apache.threads.into())?)?;
    dict.set_key(c"apache", &apache)?;
    Ok(dict)
}

/// A version as Python code compares them: a tuple of integers.
pub(crate) fn version(py: Py<'_>, parts: [u32; 3]) -> Result<Object<'_>, Raised<'_>> {
    let parts: Result<Vec<_>, _> = parts.into_iter().map(|part| Object::int(py, part.into())).collect();
    Object::tuple(py, parts?)
}

/// Tells subscribers of the end, if nobody has; no more. Called at the end, on the home thread.
pub(super) fn announce_end(py: Py<'_>, interpreter: &Interpreter) {
    drop(module::tell_end(py, interpreter, ""));
}

/// Tells subscribers of the end, joins threads and runs exit functions. Called at the end, on the home thread.
pub(super) fn shut_down(py: Py<'_>, interpreter: &Interpreter) {
    drop(interpreter.call(py, c"shut_down", &[]));
}

impl Interpreter {
    /// `wsgi.input` for a request.
    pub(crate) fn input<'py>(&self, py: Py<'py>, exchange: &Arc<Exchange>) -> Result<Object<'py>, Raised<'py>> {
        let Some(native) = self.native() else { return Err(Raised::fetch(py)) };
        exchange::input(py, &native.input_class.get(py), exchange)
    }

    /// `start_response` for a request, bound to its `wsgi.input`.
    pub(crate) fn start_response<'py>(&self, input: &Object<'py>) -> Result<Object<'py>, Raised<'py>> {
        exchange::start_response_of(input)
    }

    /// `wsgi.early_hints` for a request, bound to its `wsgi.input`.
    pub(crate) fn early_hints<'py>(&self, input: &Object<'py>) -> Result<Object<'py>, Raised<'py>> {
        exchange::early_hints_of(input)
    }

    /// `mod_ssl.is_https` and `mod_ssl.var_lookup` for a request, bound to its `wsgi.input`.
    pub(crate) fn tls_functions<'py>(&self, input: &Object<'py>) -> Result<[Object<'py>; 2], Raised<'py>> {
        Ok([exchange::is_https_of(input)?, exchange::ssl_variable_of(input)?])
    }

    /// A `wsgi.errors` whose lines go to the request of `input`.
    pub(crate) fn errors<'py>(&self, py: Py<'py>, input: &Object<'py>) -> Result<(Errors, Object<'py>), Raised<'py>> {
        let idle = self.native().and_then(|native| native.errors.lock().unwrap_or_else(PoisonError::into_inner).pop());
        let errors = match idle {
            Some(errors) => errors,
            None => {
                let parts = self.call(py, c"errors_stream", &[])?.exact_sequence().unwrap_or_default();
                let mut parts = parts.into_iter().map(Object::store);
                let mut part = || parts.next();
                let (Some(stream), Some(log), Some(pending), Some(attributes)) = (part(), part(), part(), part())
                else {
                    return Err(Raised::fetch(py));
                };
                Errors { stream, log, pending, attributes }
            }
        };
        errors.log.get(py).set_attribute(c"target", &exchange::log_of(input)?)?;
        let stream = errors.stream.get(py);
        Ok((errors, stream))
    }

    /// The request is about to end: unfinished lines become records, and the stream is kept for another request, unless the
    /// application still holds it, or may have changed it.
    pub(crate) fn give_back(&self, py: Py<'_>, errors: Errors) {
        let untouched = errors.pending.get(py).is_empty_dict() || {
            let flushed = errors.log.get(py).attribute(c"flush_all").and_then(|flush| flush.call0());
            flushed.is_ok_and(|untouched| untouched.is_true())
        };
        if let Some(native) = self.native()
            && untouched
            && errors.attributes.get(py).is_empty_dict()
            && errors.is_free()
        {
            let mut idle = native.errors.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_ERRORS {
                idle.push(errors);
                return;
            }
        }
        let Errors { stream, log, pending, attributes } = errors;
        [stream, log, pending, attributes].into_iter().for_each(|part| part.release(py));
    }

    /// A request ends on this thread: what it left unfinished on a standard stream becomes a record.
    pub(crate) fn flush_thread(&self, py: Py<'_>) {
        if let Some(native) = self.native()
            && !native.unfinished.get(py).is_empty_dict()
        {
            drop(self.call(py, c"flush_thread", &[]));
        }
    }
}

static EMIT: Method = Method::fast(c"emit", emit_function);

/// `emit(level, line)`: one record to the log of the request that this thread serves, else to the server's.
unsafe extern "C" fn emit_function(
    _this: *mut ffi::PyObject,
    items: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this on an attached thread.
    let py = unsafe { Py::assume() };
    // SAFETY: CPython calls with its own arguments, which live until we return.
    let arguments = unsafe { Arguments::new(py, items, count) };
    guard(py, "emit", || {
        arguments.between("emit()", 2, 2)?;
        let level = module::level(arguments.get(0).and_then(|level| level.as_i64()));
        if let Some(line) = arguments.get(1) {
            emit(py, level, line.as_bytes().unwrap_or_default());
        }
        Ok(Object::none(py))
    })
}
