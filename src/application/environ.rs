//! `environ` as a dict (PEP 3333, "environ Variables": "must be a builtin Python dictionary").

use super::{Constants, Job};
use crate::python::{Interpreter, Object, Py, Raised, version};
use crate::wsgi::is_filesystem_key;

/// The entries that are the same for every request of an interpreter.
pub(super) fn template<'py>(
    py: Py<'py>,
    interpreter: &Interpreter,
    constants: Constants,
    module_version: [u32; 3],
) -> Result<Object<'py>, Raised<'py>> {
    let dict = Object::dict(py)?;
    let set = |name: &[u8], value: &Object<'py>| dict.set_item(&interpreter.key(py, name)?, value);
    let one = Object::int(py, 1)?;
    set(b"wsgi.version", &Object::tuple(py, vec![one, Object::int(py, 0)?])?)?;
    set(b"wsgi.multithread", &Object::bool(py, constants.multithread))?;
    set(b"wsgi.multiprocess", &Object::bool(py, constants.multiprocess))?;
    set(b"wsgi.run_once", &Object::bool(py, constants.run_once))?;
    set(b"wsgi.input_terminated", &Object::bool(py, true))?;
    if let Some(file_wrapper) = interpreter.file_wrapper(py) {
        set(b"wsgi.file_wrapper", &file_wrapper)?;
    }
    set(b"mod_wsgi.version", &version(py, module_version)?)?;
    set(b"apache.version", &version(py, constants.apache_version)?)?;
    Ok(dict)
}

/// The environ of a request.
pub(super) fn build<'py>(
    py: Py<'py>,
    interpreter: &Interpreter,
    template: &Object<'py>,
    job: &Job<'_>,
    application_start: f64,
    input: &Object<'py>,
    errors: &Object<'py>,
) -> Result<Object<'py>, Raised<'py>> {
    let dict = template.copy_dict()?;
    for (name, value) in job.environ.entries() {
        let value = match value {
            Some(value) if is_filesystem_key(name) => Object::path(py, value).or_else(|_| Object::latin1(py, value))?,
            Some(value) => Object::latin1(py, value)?,
            None => Object::none(py),
        };
        dict.set_item(&interpreter.key(py, name)?, &value)?;
    }
    let set = |name: &[u8], value: &Object<'py>| dict.set_item(&interpreter.key(py, name)?, value);
    set(b"wsgi.url_scheme", &interpreter.key(py, job.url_scheme.as_str().as_bytes())?)?;
    set(b"wsgi.input", input)?;
    set(b"wsgi.errors", errors)?;
    set(b"mod_wsgi.thread_id", &Object::int(py, job.thread_id.into())?)?;
    set(b"mod_wsgi.request_start", &Object::float(py, job.request_start)?)?;
    set(b"mod_wsgi.queue_start", &Object::float(py, job.queue_start)?)?;
    set(b"mod_wsgi.daemon_start", &Object::float(py, job.daemon_start)?)?;
    set(b"mod_wsgi.application_start", &Object::float(py, application_start)?)?;
    Ok(dict)
}
