//! A Python exception as a value.

use pyo3_ffi as ffi;

use super::object::Object;
use super::state::Py;

/// An exception that was raised, taken off the thread's error indicator.
pub(crate) struct Raised<'py> {
    exception: Object<'py>,
}

impl<'py> Raised<'py> {
    /// Takes the exception that a C function says it set.
    pub(super) fn fetch(py: Py<'py>) -> Raised<'py> {
        Raised::pending(py).unwrap_or_else(|| Raised { exception: Object::none(py) })
    }

    /// Takes the exception that is set, if one is.
    pub(super) fn pending(py: Py<'py>) -> Option<Raised<'py>> {
        #[cfg(Py_3_12)]
        // SAFETY: attached by `py`; a new reference or NULL.
        let raw = unsafe { ffi::PyErr_GetRaisedException() };
        #[cfg(not(Py_3_12))]
        let raw = normalized();
        std::ptr::NonNull::new(raw).map(|raw| Raised { exception: Object::owned(py, raw) })
    }

    /// Sets the exception again, for a return to C that says so.
    pub(super) fn restore(self) {
        let exception = self.exception.into_ptr();
        #[cfg(Py_3_12)]
        // SAFETY: attached; the reference is handed over.
        unsafe {
            ffi::PyErr_SetRaisedException(exception);
        }
        #[cfg(not(Py_3_12))]
        {
            // SAFETY: attached; any object has a type.
            let kind = unsafe { ffi::PyObject_Type(exception) };
            // SAFETY: attached; an exception object may be asked for its traceback.
            let traceback = unsafe { ffi::PyException_GetTraceback(exception) };
            // SAFETY: attached; all three references are handed over.
            unsafe { ffi::PyErr_Restore(kind, exception, traceback) };
        }
    }

    /// The exception object; `None` where C reported a failure without one.
    pub(crate) fn exception(&self) -> &Object<'py> {
        &self.exception
    }

    pub(crate) fn is_attribute_error(&self) -> bool {
        // SAFETY: a static of CPython's, valid in every interpreter.
        self.is(unsafe { ffi::PyExc_AttributeError })
    }

    pub(crate) fn is_system_exit(&self) -> bool {
        // SAFETY: a static of CPython's, valid in every interpreter.
        self.is(unsafe { ffi::PyExc_SystemExit })
    }

    fn is(&self, class: *mut ffi::PyObject) -> bool {
        // SAFETY: attached, since an `Object` exists; any object may be compared.
        unsafe { ffi::PyErr_GivenExceptionMatches(self.exception.as_ptr(), class) != 0 }
    }
}

impl std::fmt::Display for Raised<'_> {
    /// Type and text, for a log that has no room for a traceback.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.exception.type_name(), self.exception.display().unwrap_or_default())
    }
}

/// The exception that is set as an instance with its traceback, as 3.12 keeps it.
#[cfg(not(Py_3_12))]
fn normalized() -> *mut ffi::PyObject {
    let (mut kind, mut value, mut traceback) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: callers are attached; three valid places.
    unsafe { ffi::PyErr_Fetch(&raw mut kind, &raw mut value, &raw mut traceback) };
    if kind.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: what was just fetched.
    unsafe { ffi::PyErr_NormalizeException(&raw mut kind, &raw mut value, &raw mut traceback) };
    if !traceback.is_null() {
        // SAFETY: a normalised exception takes its traceback; both are live.
        unsafe { ffi::PyException_SetTraceback(value, traceback) };
        // SAFETY: ours from the fetch.
        unsafe { ffi::Py_DECREF(traceback) };
    }
    // SAFETY: ours from the fetch.
    unsafe { ffi::Py_DECREF(kind) };
    value
}
