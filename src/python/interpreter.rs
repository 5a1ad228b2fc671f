//! One interpreter: its name, its thread states, what we keep in it.

use std::collections::HashSet;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyo3_ffi as ffi;

use super::error::Raised;
use super::home::Home;
use super::keys::Keys;
use super::line::Line;
use super::native::Native;
use super::object::Object;
use super::state::{self, Closed, Py, ThreadState};
use crate::config::InterpreterSettings;

/// The main interpreter or a sub-interpreter of this process; lives until the process ends.
pub(crate) struct Interpreter {
    /// The application group; for the main interpreter `Settings::main_group`, in general empty.
    name: Vec<u8>,
    raw: NonNull<ffi::PyInterpreterState>,
    settings: InterpreterSettings,
    home: Home,
    /// The thread states of ours, other than the home thread's: idle ones may be deleted at the end, an application's may not.
    states: Mutex<HashSet<ThreadState>>,
    native: OnceLock<Native>,
    /// Scripts are the purpose of the process, which ends with them (`threads=0`).
    service: bool,
    /// Environ keys as interned `str`.
    keys: Mutex<Keys>,
    /// In front of its own GIL, where it has one.
    line: Line,
}

/// An entry of an environ.
pub(crate) struct Entry<'py> {
    /// The same object each time, so that Python finds it by identity.
    pub(crate) key: Object<'py>,
    pub(crate) value: Object<'py>,
    /// The interpreter keeps the value: requests say the same again and again.
    pub(crate) is_kept: bool,
}

/// In front of the GIL that interpreters share.
static SHARED: Line = Line::new();

// SAFETY: `raw` is only passed to functions that any thread may call (PyThreadState_New) or that need a `Py`.
unsafe impl Send for Interpreter {}
// SAFETY: as for `Send`.
unsafe impl Sync for Interpreter {}

impl Interpreter {
    pub(super) fn new(
        name: Vec<u8>,
        raw: NonNull<ffi::PyInterpreterState>,
        settings: InterpreterSettings,
        home: Home,
        service: bool,
    ) -> Interpreter {
        let (states, keys) = (Mutex::default(), Mutex::default());
        let (native, line) = (OnceLock::new(), Line::new());
        Interpreter { name, raw, settings, home, states, native, service, keys, line }
    }

    /// What holds in it.
    pub(super) fn settings(&self) -> &InterpreterSettings {
        &self.settings
    }

    /// Where threads stand that want to attach.
    pub(super) fn line(&self) -> &Line {
        if self.settings.own_gil { &self.line } else { &SHARED }
    }

    /// Whether `SystemExit` of a script is an orderly end.
    pub(crate) fn is_service(&self) -> bool {
        self.service
    }

    /// The application group that it is shown as.
    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether the calling thread is attached to this one.
    pub(super) fn is_attached(&self, _py: Py<'_>) -> bool {
        // SAFETY: attached by `_py`; only the address is used.
        self.raw.as_ptr() == unsafe { ffi::PyInterpreterState_Get() }
    }

    /// Attaches the calling thread for as long as `work` runs. May block for the GIL.
    ///
    /// # Errors
    /// [`Closed`] once the process is ending.
    pub(crate) fn enter<R>(self: &Arc<Self>, work: impl for<'py> FnOnce(Py<'py>) -> R) -> Result<R, Closed> {
        state::enter(self, work)
    }

    /// Runs `work` on the interpreter's home thread, its main thread in Python's eyes, and waits for it.
    ///
    /// # Errors
    /// [`Closed`] once the process is ending.
    pub(crate) fn at_home<R: Send + 'static>(
        &self,
        work: impl for<'py> FnOnce(Py<'py>) -> R + Send + 'static,
    ) -> Result<R, Closed> {
        self.home.run(work)
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// What every interpreter has of ours.
    pub(super) fn native(&self) -> Option<&Native> {
        self.native.get()
    }

    pub(super) fn set_native(&self, native: Native) {
        drop(self.native.set(native));
    }

    /// The class that `wsgi.file_wrapper` is.
    pub(crate) fn file_wrapper<'py>(&self, py: Py<'py>) -> Option<Object<'py>> {
        self.native().map(|native| native.file_wrapper.get(py))
    }

    /// A function of `bootstrap.py`, with arguments.
    pub(crate) fn call<'py>(
        &self,
        py: Py<'py>,
        function: &std::ffi::CStr,
        arguments: &[&Object<'py>],
    ) -> Result<Object<'py>, Raised<'py>> {
        let Some(native) = self.native() else { return Err(Raised::fetch(py)) };
        native.bootstrap.get(py).attribute(function)?.call(arguments)
    }

    /// The `str` for an environ key: the same object each time, so that Python finds it by identity.
    pub(crate) fn key<'py>(&self, py: Py<'py>, name: &[u8]) -> Result<Object<'py>, Raised<'py>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(name) {
            return Ok(key.get(py));
        }
        let key = Object::text(py, name)?;
        keys.keep(name, || Object::borrowed(py, non_null(&key)).store());
        Ok(key)
    }

    /// An environ key and its value of these bytes, which `make` makes where it is not kept. `make` runs no Python code: the keys are
    /// locked.
    pub(crate) fn entry<'py>(
        &self,
        py: Py<'py>,
        name: &[u8],
        value: &[u8],
        make: impl FnOnce() -> Result<Object<'py>, Raised<'py>>,
    ) -> Result<Entry<'py>, Raised<'py>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = keys.entry(name) else {
            drop(keys);
            return Ok(Entry { key: self.key(py, name)?, value: make()?, is_kept: false });
        };
        let key = entry.key().get(py);
        if let Some(value) = entry.value(value) {
            return Ok(Entry { key, value: value.get(py), is_kept: true });
        }
        let object = make()?;
        let is_kept = entry.is_again(value);
        if is_kept && let Some(before) = entry.keep(value, Object::borrowed(py, non_null(&object)).store()) {
            before.release(py);
        }
        Ok(Entry { key, value: object, is_kept })
    }

    /// `sys.modules[name]`.
    pub(crate) fn loaded_module<'py>(&self, py: Py<'py>, name: &Object<'py>) -> Option<Object<'py>> {
        // SAFETY: attached by `py`; borrowed from the interpreter, which keeps it while it lives.
        let modules = NonNull::new(unsafe { ffi::PyImport_GetModuleDict() })?;
        Object::borrowed(py, modules).get_item(name).ok().flatten()
    }

    /// A fresh thread state for the calling thread.
    pub(super) fn new_state(&self) -> ThreadState {
        // SAFETY: a live interpreter; needs no GIL.
        let state = unsafe { ffi::PyThreadState_New(self.raw.as_ptr()) };
        let state = NonNull::new(state).map_or_else(|| unreachable!("out of memory"), ThreadState);
        self.states.lock().unwrap_or_else(PoisonError::into_inner).insert(state);
        state
    }

    /// Deletes a state of the calling thread, which is not attached.
    pub(super) fn delete_state(&self, state: ThreadState) {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).remove(&state);
        // SAFETY: this thread's own, not attached now.
        unsafe { ffi::PyEval_RestoreThread(state.0.as_ptr()) };
        // SAFETY: attached just before. Runs Python code (`threading.local` values end).
        unsafe { ffi::PyThreadState_Clear(state.0.as_ptr()) };
        // SAFETY: the attached one, cleared just before; detaches.
        unsafe { ffi::PyThreadState_DeleteCurrent() };
    }

    /// A state that is not in the list of ours, for a home thread that makes another interpreter ([`super::home`]), or takes this one down.
    pub(super) fn lend_state(&self) -> Option<ThreadState> {
        // SAFETY: a live interpreter; needs no GIL.
        NonNull::new(unsafe { ffi::PyThreadState_New(self.raw.as_ptr()) }).map(ThreadState)
    }

    /// Gives back what we keep, deletes idle states of ours; says whether any other thread state is left (a thread that the
    /// application started and that goes on). Called at the end by the home thread, attached with `own`, when [`state::close`] let
    /// nobody in any more.
    pub(super) fn clear(&self, py: Py<'_>, own: ThreadState) -> bool {
        let keys = std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner));
        keys.into_values().for_each(|key| key.release(py));
        let ours = std::mem::take(&mut *self.states.lock().unwrap_or_else(PoisonError::into_inner));
        for state in &ours {
            // SAFETY: kept by a thread that can't use it any more, since the gate is closed and nobody was inside; live, since nobody
            // else deletes it. Runs Python code (`threading.local` values end): threads of the application may come and go meanwhile.
            unsafe { ffi::PyThreadState_Clear(state.0.as_ptr()) };
        }
        self.delete_cleared(&ours, own);
        self.has_others(own)
    }

    /// Deletes cleared states of other threads. The caller is attached with `own`.
    ///
    /// From Python 3.12 on that takes from the calling thread what `PyGILState_Ensure` knows it by, until it attaches anew: so it is
    /// another state that is attached meanwhile.
    #[cfg(Py_3_12)]
    fn delete_cleared(&self, states: &HashSet<ThreadState>, own: ThreadState) {
        let Some(stand_in) = self.lend_state() else {
            // Out of memory: then that is lost.
            return delete(states);
        };
        // SAFETY: attached with `own`.
        unsafe { ffi::PyEval_SaveThread() };
        // SAFETY: a fresh state that nobody else uses.
        unsafe { ffi::PyEval_RestoreThread(stand_in.0.as_ptr()) };
        delete(states);
        // SAFETY: attached with it. No Python code ran in it.
        unsafe { ffi::PyThreadState_Clear(stand_in.0.as_ptr()) };
        // SAFETY: the attached one, cleared just before; detaches.
        unsafe { ffi::PyThreadState_DeleteCurrent() };
        // SAFETY: this thread's own state, given up above.
        unsafe { ffi::PyEval_RestoreThread(own.0.as_ptr()) };
    }

    #[cfg(not(Py_3_12))]
    #[expect(clippy::unused_self, reason = "newer versions need the interpreter")]
    fn delete_cleared(&self, states: &HashSet<ThreadState>, _own: ThreadState) {
        delete(states);
    }

    /// Whether there is a state beside `own`, with which the caller is attached.
    fn has_others(&self, own: ThreadState) -> bool {
        let mut found = false;
        // SAFETY: attached, and no Python code runs in here: states are unlinked by threads that have the GIL, new ones come first.
        let mut next = unsafe { ffi::PyInterpreterState_ThreadHead(self.raw.as_ptr()) };
        while let Some(state) = NonNull::new(next).map(ThreadState) {
            found |= state != own;
            // SAFETY: in the list, as above.
            next = unsafe { ffi::PyThreadState_Next(state.0.as_ptr()) };
        }
        found
    }
}

/// Runs no Python code.
fn delete(states: &HashSet<ThreadState>) {
    for state in states {
        // SAFETY: cleared by the caller, which is attached with another one; nobody else uses it.
        unsafe { ffi::PyThreadState_Delete(state.0.as_ptr()) };
    }
}

fn non_null(object: &Object<'_>) -> NonNull<ffi::PyObject> {
    NonNull::new(object.as_ptr()).unwrap_or_else(|| unreachable!("an object has an address"))
}
