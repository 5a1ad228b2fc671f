//! `environ` as a dict (PEP 3333, "environ Variables": "must be a builtin Python dictionary").

use super::prototype::{Found, Prototype, Prototypes};
use super::{Constants, Job};
use crate::python::{Entry, Errors, Exchange, Interpreter, Object, Py, Raised, Stored, version};
use crate::wsgi::{Pairs, is_filesystem_key};

/// What an application group's environs are made with.
pub(super) struct Environs {
    /// The entries that never change.
    template: Stored,
    prototypes: Prototypes,
    /// The keys of [`BOUND`].
    bound: Vec<Stored>,
}

/// The entries that are the same for every request of an interpreter.
fn template<'py>(
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
        match value {
            Some(value) => {
                let entry = value_of(py, interpreter, name, value)?;
                dict.set_item(&entry.key, &entry.value)?;
            }
            None => dict.set_item(&interpreter.key(py, name)?, &Object::none(py))?,
        }
    }
    Ok(())
}

/// A text entry.
pub(super) fn value_of<'py>(
    py: Py<'py>,
    interpreter: &Interpreter,
    name: &[u8],
    value: &[u8],
) -> Result<Entry<'py>, Raised<'py>> {
    interpreter.entry(py, name, value, || {
        if is_filesystem_key(name) {
            return Object::path(py, value).or_else(|_| Object::latin1(py, value));
        }
        Object::latin1(py, value)
    })
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

/// What [`Environs::build`] adds to the text entries and the template.
pub(super) const BOUND: [&[u8]; 9] = [
    b"wsgi.url_scheme",
    b"wsgi.input",
    b"wsgi.errors",
    b"wsgi.early_hints",
    b"mod_wsgi.thread_id",
    b"mod_wsgi.request_start",
    b"mod_wsgi.queue_start",
    b"mod_wsgi.daemon_start",
    b"mod_wsgi.application_start",
];

impl Environs {
    pub(super) fn new(
        py: Py<'_>,
        interpreter: &Interpreter,
        constants: Constants,
        module_version: [u32; 3],
    ) -> Result<Environs, String> {
        let template = template(py, interpreter, constants, module_version);
        let bound = BOUND.iter().map(|name| Ok(interpreter.key(py, name)?.store()));
        let made = template.and_then(|template| Ok((template.store(), bound.collect::<Result<_, Raised<'_>>>()?)));
        let (template, bound) = made.map_err(|raised| raised.to_string())?;
        Ok(Environs { template, prototypes: Prototypes::default(), bound })
    }

    /// The environ of a request.
    pub(super) fn build<'py>(
        &self,
        py: Py<'py>,
        interpreter: &Interpreter,
        job: &Job<'_>,
        application_start: f64,
        input: &Object<'py>,
        errors: &Object<'py>,
    ) -> Result<Object<'py>, Raised<'py>> {
        let entries = job.environ;
        let found = self.prototypes.take(entries);
        let is_wanted = matches!(found, Found::Wanted);
        let environ = if let Found::Prototype(number, mut prototype) = found {
            let environ = prototype.environ(py, interpreter, entries);
            self.prototypes.put(py, number, prototype);
            environ?
        } else {
            let environ = self.template.get(py).copy_dict()?;
            fill(py, interpreter, &environ, entries)?;
            environ
        };
        let scheme = interpreter.key(py, job.url_scheme.as_str().as_bytes())?;
        let (hints, thread) = (interpreter.early_hints(input)?, Object::int(py, job.thread_id.into())?);
        let time = |seconds| Object::float(py, seconds);
        let times =
            [time(job.request_start)?, time(job.queue_start)?, time(job.daemon_start)?, time(application_start)?];
        let values = [&scheme, input, errors, &hints, &thread].into_iter().chain(&times);
        for (key, value) in self.bound.iter().zip(values) {
            environ.set_item(&key.get(py), value)?;
        }
        // Not where an entry stands there twice, or in place of one of ours: what counts then is their order.
        let apart = self.template.get(py).dict_len() + entries.iter().len() + BOUND.len();
        if is_wanted && environ.dict_len() == apart {
            self.prototypes.keep(py, entries, Prototype::of(py, interpreter, &environ, entries)?);
        }
        Ok(environ)
    }
}
