//! Interrupting a request from outside: `mod_wsgi.RequestTimeout`, raised in the thread that serves it; and stacks for the log.
//!
//! CPython raises such an exception when the thread next runs Python code; what blocks in C goes on. Both ends hold the GIL while they
//! look at [`Running`], so an interruption hits the request that it was meant for, or none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pyo3_ffi as ffi;

use super::interpreter::Interpreter;
use super::object::Object;
use super::state::{Closed, Py};

/// What a thread serves at the moment, for another one to interrupt. Made by the thread itself.
#[derive(Debug)]
pub(crate) struct Running {
    /// The thread's number in Python (`threading.get_ident()`).
    thread: std::ffi::c_ulong,
    /// The request that runs Python code now; 0 is none.
    serial: AtomicU64,
    interrupted: AtomicBool,
}

/// A request runs Python code; ends on drop, which takes an interruption back that came too late to be raised.
pub(crate) struct Within<'r, 'py> {
    running: &'r Running,
    py: Py<'py>,
}

impl Running {
    /// For the calling thread.
    pub(crate) fn here() -> Running {
        // SAFETY: asks for the calling thread's number; needs no interpreter.
        let thread = unsafe { ffi::PyThread_get_thread_ident() };
        Running { thread, serial: AtomicU64::new(0), interrupted: AtomicBool::new(false) }
    }

    /// Request `serial` (not 0) begins to run Python code on this thread, which made the value.
    pub(crate) fn begin<'r, 'py>(&'r self, py: Py<'py>, serial: u64) -> Within<'r, 'py> {
        self.serial.store(serial, Ordering::SeqCst);
        Within { running: self, py }
    }

    fn raise(&self, _py: Py<'_>, class: *mut ffi::PyObject) {
        // The number is an unsigned one that CPython declares as signed here.
        let thread = std::ffi::c_long::from_ne_bytes(self.thread.to_ne_bytes());
        // SAFETY: attached by `_py`; a class of this interpreter, or NULL, which takes an exception back.
        unsafe { ffi::PyThreadState_SetAsyncExc(thread, class) };
    }
}

impl Drop for Within<'_, '_> {
    fn drop(&mut self) {
        self.running.serial.store(0, Ordering::SeqCst);
        if self.running.interrupted.swap(false, Ordering::SeqCst) {
            self.running.raise(self.py, std::ptr::null_mut());
        }
    }
}

impl Interpreter {
    /// Logs the stack of the thread that serves request `serial`, then raises `RequestTimeout` in it; neither if it serves another one.
    /// Waits for the GIL.
    ///
    /// # Errors
    /// [`Closed`] once the process is ending.
    pub(crate) fn interrupt(self: &Arc<Self>, running: &Running, serial: u64) -> Result<bool, Closed> {
        self.enter(|py| {
            if running.serial.load(Ordering::SeqCst) != serial {
                return false;
            }
            if let Ok(thread) = Object::int(py, i64::from_ne_bytes(running.thread.to_ne_bytes())) {
                drop(self.call(py, c"stacks", &[&thread]));
            }
            // Looking at stacks ran Python code, during which the request may have ended.
            let Some(native) = self.native() else { return false };
            let there = running.serial.load(Ordering::SeqCst) == serial;
            if there {
                running.interrupted.store(true, Ordering::SeqCst);
                running.raise(py, native.request_timeout.as_ptr());
            }
            there
        })
    }

    /// Logs the stacks of all threads of this interpreter. Waits for the GIL.
    ///
    /// # Errors
    /// [`Closed`] once the process is ending.
    pub(crate) fn log_stacks(self: &Arc<Self>) -> Result<(), Closed> {
        self.enter(|py| drop(self.call(py, c"stacks", &[&Object::none(py)])))
    }

    /// Whether this is the exception that [`Interpreter::interrupt`] raises.
    pub(crate) fn is_request_timeout<'py>(&self, py: Py<'py>, exception: &Object<'py>) -> bool {
        self.native().is_some_and(|native| exception.is_instance(&native.request_timeout.get(py)))
    }
}

/// Calls Python's handler of this signal, as if the signal had come. May be called by a signal handler, on any thread.
pub(crate) extern "C" fn deliver_signal(signal: std::ffi::c_int) {
    // SAFETY: CPython documents it as safe in signal handlers and without a thread state; it only marks the signal as arrived.
    unsafe { ffi::PyErr_SetInterruptEx(signal) };
}
