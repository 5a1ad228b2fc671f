//! `environ` as a dict (PEP 3333, "environ Variables": "must be a builtin Python dictionary").

use super::{Constants, Job};
use crate::python::{Errors, Exchange, Interpreter, Object, Py, Raised, version};
use crate::wsgi::{Pairs, is_filesystem_key};

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
    versions(py, interpreter, &dict, constants, module_version)?;
    Ok(dict)
}

/// The text entries of an environ.
pub(super) fn fill<'py>(
    py: Py<'py>,
    interpreter: &Interpreter,
    dict: &Object<'py>,
    entries: &Pairs,
) -> Result<(), Raised<'py>> {
    for (name, value) in entries.entries() {
        let (key, value) = match value {
            Some(value) => interpreter.entry(py, name, value, || {
                if is_filesystem_key(name) {
                    return Object::path(py, value).or_else(|_| Object::latin1(py, value));
                }
                Object::latin1(py, value)
            })?,
            None => (interpreter.key(py, name)?, Object::none(py)),
        };
        dict.set_item(&key, &value)?;
    }
    Ok(())
}

/// The versions of us and of httpd, as Python code compares them.
fn versions<'py>(
    py: Py<'py>,
    interpreter: &Interpreter,
    dict: &Object<'py>,
    constants: Constants,
    module_version: [u32; 3],
) -> Result<(), Raised<'py>> {
    dict.set_item(&interpreter.key(py, b"mod_wsgi.version")?, &version(py, module_version)?)?;
    dict.set_item(&interpreter.key(py, b"apache.version")?, &version(py, constants.apache_version)?)
}

/// The environ of a script that is asked about a request, without what is bound to the request.
pub(super) fn inquiry<'py>(
    py: Py<'py>,
    interpreter: &Interpreter,
    entries: &Pairs,
    constants: Constants,
    module_version: [u32; 3],
) -> Result<Object<'py>, Raised<'py>> {
    let dict = Object::dict(py)?;
    fill(py, interpreter, &dict, entries)?;
    versions(py, interpreter, &dict, constants, module_version)?;
    Ok(dict)
}

/// What whoever gets an environ may keep of it, though it ends with the request.
#[derive(Default)]
pub(super) struct Bound<'py> {
    /// `wsgi.errors`.
    pub(super) errors: Option<Errors>,
    /// `apache.request_rec`.
    pub(super) record: Option<Object<'py>>,
}

impl<'py> Bound<'py> {
    pub(super) fn end(self, py: Py<'py>, interpreter: &Interpreter) {
        if let Some(errors) = self.errors {
            interpreter.give_back(py, errors);
        }
        if let Some(record) = self.record {
            record.expire_capsule();
        }
    }
}

/// httpd's record of the request as `apache.request_rec`, where it is passed on.
pub(super) fn pass_record<'py>(
    py: Py<'py>,
    interpreter: &Interpreter,
    dict: &Object<'py>,
    exchange: &Exchange,
) -> Result<Option<Object<'py>>, Raised<'py>> {
    let Some(address) = exchange.record() else { return Ok(None) };
    let capsule = Object::capsule(py, address)?;
    dict.set_item(&interpreter.key(py, b"apache.request_rec")?, &capsule)?;
    Ok(Some(capsule))
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
    fill(py, interpreter, &dict, job.environ)?;
    let set = |name: &[u8], value: &Object<'py>| dict.set_item(&interpreter.key(py, name)?, value);
    set(b"wsgi.url_scheme", &interpreter.key(py, job.url_scheme.as_str().as_bytes())?)?;
    set(b"wsgi.input", input)?;
    set(b"wsgi.errors", errors)?;
    set(b"wsgi.early_hints", &interpreter.early_hints(input)?)?;
    set(b"mod_wsgi.thread_id", &Object::int(py, job.thread_id.into())?)?;
    set(b"mod_wsgi.request_start", &Object::float(py, job.request_start)?)?;
    set(b"mod_wsgi.queue_start", &Object::float(py, job.queue_start)?)?;
    set(b"mod_wsgi.daemon_start", &Object::float(py, job.daemon_start)?)?;
    set(b"mod_wsgi.application_start", &Object::float(py, application_start)?)?;
    Ok(dict)
}
