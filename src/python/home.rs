//! The home thread of an interpreter: makes it, runs its start-up scripts, ends it.
//!
//! Python has a notion of a main thread per interpreter (`threading.main_thread()`, joins at exit). httpd's threads come and go, so
//! each interpreter gets a thread of ours, which otherwise sleeps. It is made on first need, in a child, never in the parent.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use pyo3_ffi as ffi;

use super::interpreter::Interpreter;
use super::native;
use super::runtime::Settings;
use super::state::{Closed, Py, ThreadState};
use crate::config::InterpreterSettings;

type Work = Box<dyn for<'py> FnOnce(Py<'py>) + Send>;

enum Order {
    Run(Work),
    /// End the interpreter; `teardown`: fully, where no thread of the application goes on in it.
    End {
        teardown: Teardown,
        done: Sender<Ended>,
    },
}

/// How far an interpreter is taken down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Teardown {
    /// `WSGIDestroyInterpreter Off`.
    Nothing,
    /// Threads are joined and `atexit` functions run, but the interpreter stays: somebody may still be inside.
    ExitFunctions,
    Full,
}

/// How an interpreter ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing of it is left.
    Gone,
    /// Its exit functions ran; threads of the application are left in it.
    Left,
}

/// The way to a home thread.
pub(super) struct Home {
    orders: Mutex<Sender<Order>>,
}

impl Home {
    /// Runs `work` there and waits for it.
    pub(super) fn run<R: Send + 'static>(
        &self,
        work: impl for<'py> FnOnce(Py<'py>) -> R + Send + 'static,
    ) -> Result<R, Closed> {
        let (answer, answered) = mpsc::channel();
        let work: Work = Box::new(move |py| drop(answer.send(work(py))));
        self.order(Order::Run(work))?;
        answered.recv().map_err(|_| Closed)
    }

    /// Has `work` run there, later; not at all once the interpreter has ended.
    pub(super) fn post(&self, work: impl for<'py> FnOnce(Py<'py>) + Send + 'static) {
        let _ = self.order(Order::Run(Box::new(work)));
    }

    /// Orders the end; the answer comes on the channel.
    pub(super) fn end(&self, teardown: Teardown) -> Result<Receiver<Ended>, Closed> {
        let (done, answered) = mpsc::channel();
        self.order(Order::End { teardown, done })?;
        Ok(answered)
    }

    fn order(&self, order: Order) -> Result<(), Closed> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).send(order).map_err(|_| Closed)
    }
}

/// Starts Python in this process, on a thread of its own, which becomes the main interpreter's home.
///
/// # Errors
/// CPython's words.
pub(super) fn start_main(settings: Arc<Settings>) -> Result<Arc<Interpreter>, String> {
    on_new_thread(c"wsgi:main", Some(SignalsBlocked::new()), move |home, orders, started| {
        let made = start_python(&settings, home);
        if let Some(made) = report(made, started) {
            live_as_main(made, orders);
        }
    })
}

/// Starts Python in this process on the calling thread, which becomes the main interpreter's home.
///
/// # Errors
/// CPython's words.
pub(super) fn start_main_here(settings: &Settings) -> Result<MainThread, String> {
    let (orders, received) = mpsc::channel();
    let home = Home { orders: Mutex::new(orders) };
    let made = start_python(settings, home)?;
    Ok(MainThread { made, orders: received, _stays: PhantomData })
}

fn start_python(settings: &Settings, home: Home) -> Result<Made, String> {
    settings.initialize()?;
    let name = settings.main_group.clone();
    let own = settings.interpreter(&name, true);
    adopt_current(name, own, home, settings)
}

/// The thread that Python was started on, which is the process's own main thread; stays on it.
pub(crate) struct MainThread {
    made: Made,
    orders: Receiver<Order>,
    _stays: PhantomData<*mut ()>,
}

impl MainThread {
    pub(super) fn interpreter(&self) -> Arc<Interpreter> {
        Arc::clone(&self.made.interpreter)
    }

    /// Works for the main interpreter until Python has ended. Does not return where something of Python is left then: whoever ended
    /// it ends the process.
    pub(crate) fn live(self) {
        live_as_main(self.made, &self.orders);
    }
}

fn live_as_main(made: Made, orders: &Receiver<Order>) {
    let left = live(made, orders, |own| {
        // SAFETY: the state that this thread started Python with, not attached now; no other is left in any interpreter.
        unsafe { ffi::PyEval_RestoreThread(own.0.as_ptr()) };
        // SAFETY: as above. What it returns says only whether standard streams could be flushed.
        unsafe { ffi::Py_FinalizeEx() };
    });
    if let Some(left) = left {
        freeze(left);
    }
}

/// Keeps the GIL until the process is gone: threads of the application that are left must not run while libraries are torn down.
fn freeze(own: ThreadState) -> ! {
    // SAFETY: this thread's own state, not attached now.
    unsafe { ffi::PyEval_RestoreThread(own.0.as_ptr()) };
    loop {
        thread::park();
    }
}

/// Makes the sub-interpreter of an application group, on a thread of its own.
///
/// # Errors
/// CPython's words.
pub(super) fn start_sub(
    main: &Arc<Interpreter>,
    name: &[u8],
    settings: Arc<Settings>,
) -> Result<Arc<Interpreter>, String> {
    // The thread's first state must be the new interpreter's own (see state.rs): the one that making it takes comes from elsewhere.
    let lender = Arc::clone(main);
    let ladder = main.home().run(move |_| lender.lend_state()).map_err(|closed| closed.to_string())?;
    let ladder = ladder.ok_or("out of memory")?;
    let name = name.to_vec();
    // In httpd's children signals are the MPM's. A daemon process's are the application's: what it starts there inherits the mask.
    let masked = settings.process_group.is_empty().then(SignalsBlocked::new);
    on_new_thread(c"wsgi:home", masked, move |home, orders, started| {
        let own = settings.interpreter(&name, false);
        let made = new_interpreter(ladder, own.own_gil).and_then(|()| adopt_current(name, own, home, &settings));
        let Some(made) = report(made, started) else { return };
        live(made, orders, |own| {
            // SAFETY: this thread's own state of the interpreter, not attached now, and the only one left in it.
            unsafe { ffi::PyEval_RestoreThread(own.0.as_ptr()) };
            // SAFETY: as above.
            unsafe { ffi::Py_EndInterpreter(own.0.as_ptr()) };
            #[cfg(not(Py_3_12))]
            release_gil();
        });
    })
}

/// Up to 3.11 `Py_EndInterpreter` returns with the GIL held and no thread state.
#[cfg(not(Py_3_12))]
fn release_gil() {
    // SAFETY: the main interpreter outlives all others.
    let main = unsafe { ffi::PyInterpreterState_Main() };
    // SAFETY: as above.
    let state = unsafe { ffi::PyThreadState_New(main) };
    // SAFETY: the GIL is held, by no state.
    unsafe { ffi::PyThreadState_Swap(state) };
    // SAFETY: attached with it just before.
    unsafe { ffi::PyThreadState_Clear(state) };
    // SAFETY: cleared just before; releases the GIL.
    unsafe { ffi::PyThreadState_DeleteCurrent() };
}

/// Makes a sub-interpreter and leaves the thread attached to it; `ladder` is a state of the main one, used up here.
fn new_interpreter(ladder: ThreadState, own_gil: bool) -> Result<(), String> {
    // SAFETY: a fresh state of the main interpreter that nobody else uses.
    unsafe { ffi::PyEval_RestoreThread(ladder.0.as_ptr()) };
    let made = match own_gil {
        true => isolated_interpreter(),
        // SAFETY: attached to the main interpreter. Shares its GIL; any extension module may be imported.
        false => NonNull::new(unsafe { ffi::Py_NewInterpreter() })
            .ok_or_else(|| "CPython could not make another interpreter".to_owned()),
    };
    if made.is_ok() {
        // SAFETY: attached to the new interpreter; where making failed it is the main one.
        unsafe { ffi::PyEval_SaveThread() };
        // SAFETY: this thread's state of the main interpreter, not attached now.
        unsafe { ffi::PyEval_RestoreThread(ladder.0.as_ptr()) };
    }
    // SAFETY: attached with it.
    unsafe { ffi::PyThreadState_Clear(ladder.0.as_ptr()) };
    // SAFETY: the attached one, cleared just before; detaches.
    unsafe { ffi::PyThreadState_DeleteCurrent() };
    // SAFETY: this thread's state of the new interpreter, not attached now.
    unsafe { ffi::PyEval_RestoreThread(made?.as_ptr()) };
    Ok(())
}

/// An interpreter with a GIL of its own, which CPython isolates: no `fork`, no daemon threads, no extension module that does not say
/// that it can be there. The thread is attached to the main one before, and to the new one afterwards, if it is made.
#[cfg(Py_3_12)]
fn isolated_interpreter() -> Result<NonNull<ffi::PyThreadState>, String> {
    let config = ffi::_PyInterpreterConfig_INIT;
    let mut made = std::ptr::null_mut();
    // SAFETY: attached to the main interpreter, whose GIL it gives up; a place for the answer and a filled configuration.
    let status = unsafe { ffi::Py_NewInterpreterFromConfig(&raw mut made, &raw const config) };
    super::runtime::checked(status)?;
    NonNull::new(made).ok_or_else(|| "CPython made no interpreter".to_owned())
}

/// Settings never ask for one here.
#[cfg(not(Py_3_12))]
fn isolated_interpreter() -> Result<NonNull<ffi::PyThreadState>, String> {
    Err("a GIL of its own takes Python 3.12".to_owned())
}

/// What a home thread lives with.
struct Made {
    interpreter: Arc<Interpreter>,
    state: ThreadState,
}

/// Sets the interpreter up that this thread is attached to, and detaches.
fn adopt_current(name: Vec<u8>, own: InterpreterSettings, home: Home, settings: &Settings) -> Result<Made, String> {
    // SAFETY: attached, by the function that started the interpreter.
    let raw = NonNull::new(unsafe { ffi::PyInterpreterState_Get() }).ok_or("no interpreter")?;
    let interpreter = Arc::new(Interpreter::new(name, raw, own, home, settings.service));
    // SAFETY: attached until the end of this function.
    let py = unsafe { Py::assume() };
    let prepared = native::prepare(py, &interpreter, settings);
    // SAFETY: attached; detaches.
    let state = unsafe { ffi::PyEval_SaveThread() };
    prepared?;
    let state = NonNull::new(state).map(ThreadState).ok_or("no thread state")?;
    Ok(Made { interpreter, state })
}

/// Reports the interpreter that this thread made; nothing to live for where it was not made.
fn report(made: Result<Made, String>, started: &Sender<Result<Arc<Interpreter>, String>>) -> Option<Made> {
    let answer = made.as_ref().map(|made| Arc::clone(&made.interpreter)).map_err(String::clone);
    drop(started.send(answer));
    made.ok()
}

/// Carries out orders until the interpreter's end. Returns the thread's state where the interpreter is left.
fn live(made: Made, orders: &Receiver<Order>, destroy: impl FnOnce(ThreadState)) -> Option<ThreadState> {
    while let Ok(order) = orders.recv() {
        match order {
            Order::Run(work) => made.attached(work),
            Order::End { teardown, done } => {
                let alone = made.end(teardown);
                if alone {
                    destroy(made.state);
                }
                // Nobody waits any longer where the deadline has passed.
                let _ = done.send(if alone { Ended::Gone } else { Ended::Left });
                return (!alone).then_some(made.state);
            }
        }
    }
    None
}

impl Made {
    fn attached<R>(&self, work: impl for<'py> FnOnce(Py<'py>) -> R) -> R {
        /// Detaches on every way out, a panic included.
        struct Detach;
        impl Drop for Detach {
            fn drop(&mut self) {
                // SAFETY: attached since `attached`; whatever ran in between has put that back.
                unsafe { ffi::PyEval_SaveThread() };
            }
        }
        // SAFETY: this thread's own state, not attached now.
        unsafe { ffi::PyEval_RestoreThread(self.state.0.as_ptr()) };
        let _detach = Detach;
        // SAFETY: attached until `_detach` drops.
        work(unsafe { Py::assume() })
    }

    /// Joins threads and runs exit functions; true where nothing but this thread's state is left, and the rest may go, too.
    fn end(&self, teardown: Teardown) -> bool {
        match teardown {
            Teardown::Nothing => {
                self.attached(|py| native::announce_end(py, &self.interpreter));
                false
            }
            Teardown::ExitFunctions => {
                self.attached(|py| native::shut_down(py, &self.interpreter));
                false
            }
            Teardown::Full => self.attached(|py| {
                native::shut_down(py, &self.interpreter);
                !self.interpreter.clear(py, self.state)
            }),
        }
    }
}

/// Starts a thread and waits until it reports. `masked`: it takes no signals.
fn on_new_thread(
    name: &std::ffi::CStr,
    masked: Option<SignalsBlocked>,
    body: impl FnOnce(Home, &Receiver<Order>, &Sender<Result<Arc<Interpreter>, String>>) + Send + 'static,
) -> Result<Arc<Interpreter>, String> {
    let (orders, received) = mpsc::channel();
    let (started, answer) = mpsc::channel();
    let home = Home { orders: Mutex::new(orders) };
    let spawned = thread::Builder::new()
        .name(name.to_string_lossy().into_owned())
        .stack_size(STACK)
        .spawn(move || body(home, &received, &started));
    drop(masked);
    spawned.map_err(|cause| format!("a thread can't be started: {cause}"))?;
    answer.recv().map_err(|_| "the thread that starts Python ended".to_owned())?
}

/// Python's own default for the main thread on Linux (`ulimit -s`).
const STACK: usize = 8 * 1024 * 1024;

/// All signals blocked for the calling thread; as before on drop. A new thread inherits it.
struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    fn new() -> SignalsBlocked {
        // SAFETY: plain data, filled by the calls below.
        let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: a valid place.
        unsafe { libc::sigfillset(&raw mut all) };
        let mut before = all;
        // SAFETY: two valid places.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
        SignalsBlocked(before)
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: a mask that the system gave.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}
