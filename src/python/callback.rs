//! What CPython calls of ours: every such function is one [`guard`], so that no panic crosses into C.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use pyo3_ffi as ffi;

use super::error::Raised;
use super::object::{Object, unsigned};
use super::state::Py;

/// A result for C: a new reference, or NULL with the exception set.
pub(super) type Answer<'py> = Result<Object<'py>, Failure<'py>>;

/// Why a function of ours can't answer.
pub(super) enum Failure<'py> {
    /// An exception of Python's, passed on.
    Raised(Raised<'py>),
    /// An exception of ours: its class and text.
    New(Class, String),
}

/// Built-in exception classes that PEP 3333 servers raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Os,
    Runtime,
    Type,
    Value,
}

impl<'py> From<Raised<'py>> for Failure<'py> {
    fn from(raised: Raised<'py>) -> Self {
        Failure::Raised(raised)
    }
}

impl Failure<'_> {
    pub(super) fn new(class: Class, text: impl ToString) -> Self {
        Failure::New(class, text.to_string())
    }
}

/// Runs the body of a function that CPython called, on a thread that is attached.
pub(super) fn guard<'py>(py: Py<'py>, name: &'static str, body: impl FnOnce() -> Answer<'py>) -> *mut ffi::PyObject {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(object)) => return object.into_ptr(),
        Ok(Err(Failure::Raised(raised))) => raised.restore(),
        Ok(Err(Failure::New(class, text))) => raise(py, class, &text),
        Err(_panic) => raise(py, Class::Runtime, &format!("mod_wsgi failed in {name}; the error log has more")),
    }
    std::ptr::null_mut()
}

/// Sets an exception of ours.
pub(super) fn raise(_py: Py<'_>, class: Class, text: &str) {
    let class = match class {
        // SAFETY: a static of CPython's, valid in every interpreter.
        Class::Os => unsafe { ffi::PyExc_OSError },
        // SAFETY: as above.
        Class::Runtime => unsafe { ffi::PyExc_RuntimeError },
        // SAFETY: as above.
        Class::Type => unsafe { ffi::PyExc_TypeError },
        // SAFETY: as above.
        Class::Value => unsafe { ffi::PyExc_ValueError },
    };
    let text = std::ffi::CString::new(text.replace('\0', "\\0")).unwrap_or_default();
    // SAFETY: attached by `_py`; a class and NUL-terminated UTF-8.
    unsafe { ffi::PyErr_SetString(class, text.as_ptr()) };
}

/// The positional arguments of a METH_FASTCALL function.
#[derive(Clone, Copy)]
pub(super) struct Arguments<'py> {
    py: Py<'py>,
    items: &'py [Option<NonNull<ffi::PyObject>>],
}

impl<'py> Arguments<'py> {
    /// # Safety
    /// `items` and `count` are what CPython called with, for `'py`.
    pub(super) unsafe fn new(py: Py<'py>, items: *mut *mut ffi::PyObject, count: ffi::Py_ssize_t) -> Arguments<'py> {
        let items = match NonNull::new(items) {
            // SAFETY: the caller's promise; a nullable pointer is an Option of a non-null one.
            Some(items) => unsafe { std::slice::from_raw_parts(items.as_ptr().cast(), unsigned(count)) },
            None => &[],
        };
        Arguments { py, items }
    }

    /// Refuses a call with fewer or more arguments.
    pub(super) fn between(&self, name: &str, least: usize, most: usize) -> Result<(), Failure<'py>> {
        let given = self.items.len();
        if (least..=most).contains(&given) {
            return Ok(());
        }
        let range = if least == most { least.to_string() } else { format!("{least} to {most}") };
        Err(Failure::new(Class::Type, format!("{name} takes {range} positional arguments ({given} given)")))
    }

    pub(super) fn get(&self, index: usize) -> Option<Object<'py>> {
        self.items.get(index).copied().flatten().map(|raw| Object::borrowed(self.py, raw))
    }
}

/// A method table entry with a fixed address, as CPython keeps pointers to them.
#[repr(transparent)]
pub(super) struct Method(ffi::PyMethodDef);

// SAFETY: never written after it is made; CPython only reads it.
unsafe impl Sync for Method {}

impl Method {
    pub(super) const fn fast(name: &'static std::ffi::CStr, function: ffi::PyCFunctionFast) -> Method {
        Method(ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: function },
            ml_flags: ffi::METH_FASTCALL,
            ml_doc: std::ptr::null(),
        })
    }

    pub(super) const fn end() -> Method {
        Method(ffi::PyMethodDef::zeroed())
    }

    /// A function object bound to `this`.
    pub(super) fn bind<'py>(&'static self, this: &Object<'py>) -> Result<Object<'py>, Raised<'py>> {
        let method = (&raw const self.0).cast_mut();
        // SAFETY: attached, since an `Object` exists; CPython reads the entry, which lives for ever.
        let function = unsafe { ffi::PyCFunction_NewEx(method, this.as_ptr(), std::ptr::null_mut()) };
        Object::returned(this.py(), function)
    }

    /// A function object bound to nothing.
    pub(super) fn function<'py>(&'static self, py: Py<'py>) -> Result<Object<'py>, Raised<'py>> {
        let method = (&raw const self.0).cast_mut();
        // SAFETY: attached by `py`; CPython reads the entry, which lives for ever.
        let function = unsafe { ffi::PyCFunction_NewEx(method, std::ptr::null_mut(), std::ptr::null_mut()) };
        Object::returned(py, function)
    }
}
