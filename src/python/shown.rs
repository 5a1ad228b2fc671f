//! Requests as the Python module `mod_wsgi` shows them: to `request_data()` on their threads, and in `active_requests`.
//!
//! Few applications look. So a request is only noted; its dict is made when it is asked for, and `active_requests` is kept from the first
//! time on that somebody in the interpreter looks at it.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::Raised;
use super::interpreter::Interpreter;
use super::native::Native;
use super::object::{Object, Stored};
use super::runtime::Runtime;
use super::state::Py;

/// The requests that run in one interpreter. Its lock is never held while Python code can run.
#[derive(Default)]
pub(super) struct Requests {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Vec<Running>,
    /// The last one's number.
    serial: u64,
}

struct Running {
    serial: u64,
    /// `mod_wsgi.request_id`, which the application may change in its environ.
    id: Option<Stored>,
    /// `mod_wsgi.request_data()`, once it was asked for.
    data: Option<Stored>,
}

impl Requests {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The data of a request; nothing once it has ended.
    fn data<'py>(&self, py: Py<'py>, serial: u64) -> Result<Option<Object<'py>>, Raised<'py>> {
        let known = |state: &State| {
            let running = state.running.iter().find(|running| running.serial == serial)?;
            Some(running.data.as_ref().map(|data| data.get(py)))
        };
        let found = known(&self.lock());
        match found {
            None => return Ok(None),
            Some(Some(data)) => return Ok(Some(data)),
            Some(None) => {}
        }
        // Making an object may run Python code, which may ask for the same.
        let fresh = Object::dict(py)?;
        let mut state = self.lock();
        let Some(running) = state.running.iter_mut().find(|running| running.serial == serial) else { return Ok(None) };
        Ok(Some(running.data.get_or_insert_with(|| fresh.another().store()).get(py)))
    }
}

/// The request that a thread runs Python code for.
struct Current {
    interpreter: Arc<Interpreter>,
    serial: u64,
    thread: u32,
    begin: f64,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

fn replace(current: Option<Current>) -> Option<Current> {
    CURRENT.try_with(|place| std::mem::replace(&mut *place.borrow_mut(), current)).ok().flatten()
}

/// A request that is shown until this is dropped.
pub(crate) struct Shown<'py> {
    py: Py<'py>,
    interpreter: Arc<Interpreter>,
    serial: u64,
    /// What was current before: a sub-request may be served within a request.
    _before: Hidden,
}

/// What was current on this thread before, and is again when this is dropped.
pub(crate) struct Hidden(Option<Current>);

/// The thread runs Python code for no request, or another one: what is asked about a sub-request is not asked by what serves the request.
pub(crate) fn hide() -> Hidden {
    Hidden(replace(None))
}

impl Drop for Hidden {
    fn drop(&mut self) {
        replace(self.0.take());
    }
}

impl<'py> Shown<'py> {
    /// `mod_wsgi.request_data()`.
    pub(crate) fn data(&self) -> Result<Object<'py>, Raised<'py>> {
        let data = self.interpreter.native().map(|native| native.requests.data(self.py, self.serial)).transpose()?;
        data.flatten().map_or_else(|| Object::dict(self.py), Ok)
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        let Some(native) = self.interpreter.native() else { return };
        let mut state = native.requests.lock();
        let place = state.running.iter().position(|running| running.serial == self.serial);
        let own = place.map(|place| state.running.swap_remove(place));
        drop(state);
        let Some(Running { id, data, .. }) = own else { return };
        if let Some(id) = &id
            && native.lists_requests(self.py)
        {
            native.active_requests.get(self.py).remove_item(&id.get(self.py));
        }
        [id, data].into_iter().flatten().for_each(|object| object.release(self.py));
    }
}

impl Native {
    /// Whether `active_requests` is kept.
    fn lists_requests(&self, py: Py<'_>) -> bool {
        !self.watched.get(py).is_empty_list()
    }
}

impl Interpreter {
    /// The request of this environ begins to run Python code on this thread.
    pub(crate) fn show<'py>(
        self: &Arc<Self>,
        py: Py<'py>,
        environ: &Object<'py>,
        thread: u32,
        begin: f64,
    ) -> Result<Shown<'py>, Raised<'py>> {
        let Some(native) = self.native() else { return Err(Raised::fetch(py)) };
        let id = environ.get_item(&self.key(py, b"mod_wsgi.request_id")?)?;
        let mut state = native.requests.lock();
        let serial = state.serial + 1;
        state.serial = serial;
        let noted = id.as_ref().map(|id| id.another().store());
        state.running.push(Running { serial, id: noted, data: None });
        drop(state);
        let current = Current { interpreter: Arc::clone(self), serial, thread, begin };
        let _before = Hidden(replace(Some(current)));
        let shown = Shown { py, interpreter: Arc::clone(self), serial, _before };
        if native.lists_requests(py) {
            list(py, native, serial, id)?;
        }
        Ok(shown)
    }
}

/// Puts a request that runs into `active_requests`.
fn list<'py>(py: Py<'py>, native: &Native, serial: u64, id: Option<Object<'py>>) -> Result<(), Raised<'py>> {
    match (id, native.requests.data(py, serial)?) {
        (Some(id), Some(data)) => native.active_requests.get(py).set_item(&id, &data),
        _ => Ok(()),
    }
}

/// Puts all requests that run into `active_requests`, which is kept from now on.
pub(super) fn list_all(py: Py<'_>) -> Result<(), Raised<'_>> {
    // No request runs in an interpreter that is still being made.
    let Some(interpreter) = Runtime::running().and_then(|runtime| runtime.attached(py)) else { return Ok(()) };
    let Some(native) = interpreter.native() else { return Ok(()) };
    let state = native.requests.lock();
    let running: Vec<_> =
        state.running.iter().map(|running| (running.serial, running.id.as_ref().map(|id| id.get(py)))).collect();
    drop(state);
    running.into_iter().try_for_each(|(serial, id)| list(py, native, serial, id))
}

/// `mod_wsgi.request_data()` of the request that this thread serves, if it serves one.
pub(super) fn current_data(py: Py<'_>) -> Result<Option<Object<'_>>, Raised<'_>> {
    let current = CURRENT.try_with(|current| {
        current.borrow().as_ref().map(|current| (Arc::clone(&current.interpreter), current.serial))
    });
    let Some((interpreter, serial)) = current.ok().flatten() else { return Ok(None) };
    interpreter.native().map_or(Ok(None), |native| native.requests.data(py, serial))
}

/// The number of this thread and when its request began, if it serves one.
pub(super) fn current_begin() -> Option<(u32, f64)> {
    CURRENT.try_with(|current| current.borrow().as_ref().map(|current| (current.thread, current.begin))).ok().flatten()
}
