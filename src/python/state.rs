//! Which interpreter this thread is attached to, and the thread states it keeps for that.
//!
//! A thread state belongs to one thread and one interpreter. Making one costs 10-16 us once Python code runs in it, switching to
//! a kept one 0.1 us, so threads keep theirs until they end. Up to Python 3.11 a thread keeps only one: CPython remembers the
//! first one that a thread made, and an extension's `PyGILState_Ensure` would wait for ever for it while another is attached
//! (sqlite3's callbacks do that). From 3.12 on CPython follows the attached one.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use pyo3_ffi as ffi;

use super::figures;
use super::interpreter::Interpreter;
use super::line::Turn;
use super::object::Object;

/// Proof that this thread is attached to an interpreter (holds its GIL, where it has one).
#[derive(Clone, Copy)]
pub(crate) struct Py<'py>(PhantomData<(&'py (), *mut ())>);

/// Python has ended in this process, or is about to: no thread may attach any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Python is being shut down in this process")]
pub(crate) struct Closed;

/// A thread state; the pointer alone may travel between threads.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ThreadState(pub(super) NonNull<ffi::PyThreadState>);

// SAFETY: only the address travels; using it takes an unsafe call, whose conditions name the thread.
unsafe impl Send for ThreadState {}
// SAFETY: as for `Send`.
unsafe impl Sync for ThreadState {}

/// How many thread states a thread keeps while it uses none of them (see the top of this file).
const KEPT: usize = if cfg!(Py_3_12) { 16 } else { 1 };

thread_local! {
    static STATES: RefCell<States> = const { RefCell::new(States { held: Vec::new() }) };
    /// How often this thread is inside the gate.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
    static LATE: Cell<Late> = const { Cell::new(Late::No) };
    /// See [`was_quick`].
    static QUICK: Cell<bool> = const { Cell::new(true) };
    static LINGER: RefCell<Linger> = const { RefCell::new(Linger { allowed: false, attachment: None }) };
}

/// The calling thread's states; its `Drop` runs when the thread ends.
struct States {
    held: Vec<Held>,
}

struct Held {
    interpreter: Arc<Interpreter>,
    state: ThreadState,
    /// How many `enter`s of this thread are under way in it: a response may pass a filter that runs a sub-request.
    depth: usize,
}

impl<'py> Py<'py> {
    /// # Safety
    /// The thread is attached, and stays so for `'py`.
    pub(super) unsafe fn assume() -> Py<'py> {
        Py(PhantomData)
    }

    /// An object can only be reached by an attached thread.
    pub(super) fn of_object(_object: &Object<'py>) -> Py<'py> {
        Py(PhantomData)
    }

    /// Lets other threads have the interpreter while `work` blocks. `work` can hold no [`Object`]: they are not `Send`.
    pub(crate) fn detach<R: Send>(self, work: impl FnOnce() -> R + Send) -> R {
        /// Attaches again on every way out, a panic included.
        struct Reattach(*mut ffi::PyThreadState);
        impl Drop for Reattach {
            fn drop(&mut self) {
                // SAFETY: this thread's own state, given up by `PyEval_SaveThread` just before.
                figures::waiting(|| unsafe { ffi::PyEval_RestoreThread(self.0) });
            }
        }
        // SAFETY: attached by `self`.
        let _again = Reattach(unsafe { ffi::PyEval_SaveThread() });
        work()
    }
}

impl Py<'_> {
    /// As [`Py::detach`], for work that calls [`give_way`] before it waits: most often it does not, and keeps the interpreter.
    pub(crate) fn detach_late<R: Send>(self, work: impl FnOnce() -> R + Send) -> R {
        /// Attaches again, if need be, on every way out, a panic included.
        struct Reattach;
        impl Drop for Reattach {
            fn drop(&mut self) {
                if let Late::Detached(state) = LATE.replace(Late::No) {
                    // SAFETY: this thread's own state, given up by `give_way`.
                    figures::waiting(|| unsafe { ffi::PyEval_RestoreThread(state) });
                }
            }
        }
        let _again = Reattach;
        LATE.set(Late::Attached);
        work()
    }
}

/// How far the calling thread's [`Py::detach_late`] is.
#[derive(Clone, Copy)]
enum Late {
    /// There is none.
    No,
    /// It has not waited yet.
    Attached,
    Detached(*mut ffi::PyThreadState),
}

/// The calling thread is about to wait, so others can have the interpreter, if it kept that: it comes from [`Py::detach_late`], or
/// [`linger`]s. From then on it may wait.
pub(crate) fn give_way() {
    if let Late::Attached = LATE.get() {
        // SAFETY: attached: `detach_late` was called with a `Py`, and has given nothing up since.
        LATE.set(Late::Detached(unsafe { ffi::PyEval_SaveThread() }));
    } else {
        rest();
    }
}

/// Runs `work` attached to `interpreter` with a thread state that this thread keeps for the next time.
pub(super) fn enter<R>(interpreter: &Arc<Interpreter>, work: impl for<'py> FnOnce(Py<'py>) -> R) -> Result<R, Closed> {
    let attachment = match lingering(interpreter) {
        Some(attachment) if GATE.closed.load(Ordering::SeqCst) => {
            drop(attachment);
            return Err(Closed);
        }
        Some(attachment) => attachment,
        None => Attachment::new(interpreter)?,
    };
    let _within = Within::new();
    // SAFETY: attached until `attachment` drops.
    let result = work(unsafe { Py::assume() });
    attachment.end();
    Ok(result)
}

/// How many threads have an [`enter`] under way and were attached in it, wherever they are now: running, waiting for something, or for
/// the interpreter.
static WITHIN: AtomicUsize = AtomicUsize::new(0);

/// The calling thread is one of them until this drops.
struct Within;

impl Within {
    fn new() -> Within {
        WITHIN.fetch_add(1, Ordering::Relaxed);
        Within
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        WITHIN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many threads are in the middle of something in an interpreter, perhaps the calling one among them; they may wait for it by now.
pub(crate) fn within() -> usize {
    WITHIN.load(Ordering::Relaxed)
}

/// The calling thread is attached to an interpreter; detaches on every way out, a panic included.
struct Attachment {
    interpreter: Arc<Interpreter>,
    /// None where an outer one stands for it.
    turn: Option<Turn>,
    _inside: Inside,
}

impl Attachment {
    /// Attaches. May block for the GIL.
    fn new(interpreter: &Arc<Interpreter>) -> Result<Attachment, Closed> {
        let inside = GATE.pass()?;
        let state = state_for(interpreter);
        let turn = figures::waiting(|| {
            // Who has detached in the middle of something may have the turn.
            let line = (INSIDE.get() == 1).then(|| interpreter.line());
            if let Some(line) = line {
                line.stand();
            }
            // SAFETY: this thread's own state of a live interpreter, not attached now.
            unsafe { ffi::PyEval_RestoreThread(state.0.as_ptr()) };
            let lingers = LINGER.try_with(|linger| linger.borrow().allowed).unwrap_or(false);
            line.map(|line| line.arrived(!lingers))
        });
        Ok(Attachment { interpreter: Arc::clone(interpreter), turn, _inside: inside })
    }

    /// Detaches, or stays attached where the thread is about to come back.
    fn end(self) {
        // Not where an outer `enter` has only detached for a while.
        let outermost = INSIDE.get() == 1;
        let ended = LINGER.try_with(|linger| {
            let mut linger = linger.borrow_mut();
            if !linger.allowed || !outermost {
                return Some(self);
            }
            linger.attachment.replace(self)
        });
        // Detaching may run Python code, so not while `LINGER` is borrowed.
        drop(ended);
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: attached since `new`; whatever ran in between has put that back.
        unsafe { ffi::PyEval_SaveThread() };
        if let Some(turn) = &self.turn {
            let line = self.interpreter.line();
            line.over(turn);
            QUICK.set(line.is_quick());
        }
        leave(&self.interpreter);
    }
}

/// A thread that serves one request after the other may stay attached in between: giving the GIL up and taking it again costs a
/// thread that waits for it a wake-up, and both a change of processor.
struct Linger {
    allowed: bool,
    attachment: Option<Attachment>,
}

/// From now on the calling thread stays attached when it leaves an interpreter, until [`give_way`].
pub(crate) fn linger() {
    LINGER.with(|linger| linger.borrow_mut().allowed = true);
}

/// Whether turns are over in a moment in the interpreter that the calling thread has last detached from, if any.
pub(crate) fn was_quick() -> bool {
    QUICK.get()
}

/// Whether the calling thread has stayed attached.
pub(crate) fn is_lingering() -> bool {
    LINGER.try_with(|linger| linger.borrow().attachment.is_some()).unwrap_or(false)
}

/// Ends what [`linger`] began.
fn rest() {
    let attachment = LINGER.try_with(|linger| {
        let mut linger = linger.borrow_mut();
        linger.allowed = false;
        linger.attachment.take()
    });
    drop(attachment);
}

/// What the thread stayed attached with, if it is for this interpreter. Else it is detached now.
fn lingering(interpreter: &Arc<Interpreter>) -> Option<Attachment> {
    let attachment = LINGER.try_with(|linger| linger.borrow_mut().attachment.take()).ok().flatten()?;
    Arc::ptr_eq(&attachment.interpreter, interpreter).then_some(attachment)
}

/// The kept state for `interpreter`, or a fresh one; marks it as in use.
fn state_for(interpreter: &Arc<Interpreter>) -> ThreadState {
    let kept = with_states(|held| {
        let found = held.iter_mut().find(|one| Arc::ptr_eq(&one.interpreter, interpreter))?;
        found.depth += 1;
        Some(found.state)
    });
    if let Some(Some(state)) = kept {
        return state;
    }
    while let Some(old) = with_states(|held| take_idle(held, KEPT)).flatten() {
        old.interpreter.delete_state(old.state);
    }
    let state = interpreter.new_state();
    with_states(|held| held.push(Held { interpreter: Arc::clone(interpreter), state, depth: 1 }));
    state
}

fn leave(interpreter: &Arc<Interpreter>) {
    with_states(|held| {
        if let Some(one) = held.iter_mut().find(|one| Arc::ptr_eq(&one.interpreter, interpreter)) {
            one.depth = one.depth.saturating_sub(1);
        }
    });
    while let Some(old) = with_states(|held| take_idle(held, KEPT + 1)).flatten() {
        old.interpreter.delete_state(old.state);
    }
}

/// Takes out a state that is not in use, where there are as many as `most`. It is deleted by the caller, when `STATES` is no longer
/// borrowed: deleting runs Python code.
fn take_idle(held: &mut Vec<Held>, most: usize) -> Option<Held> {
    let idle = held.iter().position(|one| one.depth == 0)?;
    (held.len() >= most).then(|| held.remove(idle))
}

/// `None` while the thread ends and its states are gone.
fn with_states<R>(work: impl FnOnce(&mut Vec<Held>) -> R) -> Option<R> {
    STATES.try_with(|states| work(&mut states.borrow_mut().held)).ok()
}

impl Drop for States {
    fn drop(&mut self) {
        // `exit` ends the threads that call it wherever they are, in an application's forked child, too, where no other thread lives
        // that could give up the GIL.
        if self.held.iter().any(|one| one.depth > 0) {
            return;
        }
        for one in self.held.drain(..) {
            if let Ok(_inside) = GATE.pass() {
                one.interpreter.delete_state(one.state);
            }
        }
    }
}

/// Counts the threads that are attached or about to be, so that Python ends with none of them inside.
static GATE: Gate =
    Gate { closed: AtomicBool::new(false), inside: AtomicUsize::new(0), waiting: Mutex::new(()), left: Condvar::new() };

struct Gate {
    closed: AtomicBool,
    inside: AtomicUsize,
    waiting: Mutex<()>,
    left: Condvar,
}

/// One thread inside; leaves on drop.
pub(super) struct Inside;

impl Gate {
    fn pass(&self) -> Result<Inside, Closed> {
        self.inside.fetch_add(1, Ordering::SeqCst);
        INSIDE.set(INSIDE.get() + 1);
        let inside = Inside;
        if self.closed.load(Ordering::SeqCst) { Err(Closed) } else { Ok(inside) }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get().saturating_sub(1));
        GATE.inside.fetch_sub(1, Ordering::SeqCst);
        if GATE.closed.load(Ordering::SeqCst) {
            drop(GATE.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            GATE.left.notify_all();
        }
    }
}

/// Counts the calling thread as one inside though it does not attach itself: it has others make something that the end must know of.
///
/// # Errors
/// [`Closed`] once the process is ending.
pub(super) fn pass() -> Result<Inside, Closed> {
    GATE.pass()
}

/// Whether the calling thread is attached or about to be: it is when prefork ends a child from a signal handler in the middle of a
/// request. Then there is no waiting for anything.
pub(super) fn is_inside() -> bool {
    INSIDE.get() > 0
}

/// Lets no thread in any more and waits for those inside; false where some still are at the deadline (none: waits as long as it takes).
///
/// Called once, by the thread that ends the process.
pub(super) fn close(deadline: Option<Instant>) -> bool {
    GATE.closed.store(true, Ordering::SeqCst);
    let mut waiting = GATE.waiting.lock().unwrap_or_else(PoisonError::into_inner);
    while GATE.inside.load(Ordering::SeqCst) > 0 {
        let Some(deadline) = deadline else {
            waiting = GATE.left.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
        waiting = GATE.left.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    true
}
