//! One request as the application sees it: `wsgi.input`, `start_response`, `write`, and the log behind `wsgi.errors`.
//!
//! Python holds an object that holds an [`Exchange`]; the exchange is lent the [`Host`] while the request lasts. An application may
//! keep the object, or use it from threads of its own: the host is then reached by one of them at a time, and by none once the
//! request has ended (`RuntimeError`). The lock is waited for only by detached threads.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::num::NonZero;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use pyo3_ffi as ffi;

use super::callback::{Answer, Arguments, Class, Failure, Method, guard};
use super::error::Raised;
use super::figures;
use super::headers::{head, hints};
use super::object::Object;
use super::state::{Py, give_way};
use crate::metrics::Transfer;
use crate::wsgi::{Failed, Head, Host, Input, InputError, Level, Response, SendError, StartError};

/// A size that an application asks for is only believed up to here before bytes have come.
const TRUSTED: usize = 1024 * 1024;

/// A request and its host, as long as it lasts.
pub(crate) struct Exchange {
    /// [`Host::record`].
    record: Option<NonZero<usize>>,
    state: Mutex<State>,
    /// What `start_response` said last; 0 before.
    status: AtomicU16,
    measured: Measured,
}

/// What went through, where somebody wants to know; times in nanoseconds.
#[derive(Default)]
struct Measured {
    input: Direction,
    output: Direction,
}

#[derive(Default)]
struct Direction {
    calls: AtomicU64,
    bytes: AtomicU64,
    time: AtomicU64,
}

impl Direction {
    /// Does `work`, with a look at the clock where figures are wanted; `length` tells the bytes.
    fn measure<R>(&self, work: impl FnOnce() -> R, length: impl FnOnce(&R) -> usize) -> R {
        if !figures::wanted() {
            return work();
        }
        let begin = Instant::now();
        let result = work();
        let time = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(u64::try_from(length(&result)).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.time.fetch_add(time, Ordering::Relaxed);
        result
    }

    fn seconds(&self) -> f64 {
        Duration::from_nanos(self.time.load(Ordering::Relaxed)).as_secs_f64()
    }
}

struct State {
    host: Option<HostPointer>,
    input: Input,
    response: Response,
}

/// A host that [`Lent`] promises to take back before it is gone.
struct HostPointer(NonNull<dyn Host + 'static>);

// SAFETY: reached by one thread at a time, through the exchange's lock; a `Host` is called by whichever thread that is.
unsafe impl Send for HostPointer {}

/// The request has ended, and with it what the object stood for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request that this object belongs to has ended")]
pub(crate) struct RequestEnded;

impl Exchange {
    /// Reads the next bytes of the body: so many, less only at its end; without a size, all that is left.
    fn read<'py>(&self, py: Py<'py>, size: Option<usize>) -> Result<Object<'py>, Failure<'py>> {
        let Some(size) = size.filter(|size| *size <= TRUSTED) else {
            let bytes = self.input(py, |host, input| input.read(host, size), Vec::len)?;
            return Ok(Object::bytes(py, &bytes)?);
        };
        Object::bytes_of(py, size, |room| self.input(py, |host, input| input.fill(host, room), |got| *got))?
    }

    /// Reads the next line of the body.
    fn line(&self, py: Py<'_>, limit: Option<usize>) -> Result<Vec<u8>, Failure<'static>> {
        self.input(py, |host, input| input.line(host, limit), Vec::len)
    }

    fn input<R: Send>(
        &self,
        py: Py<'_>,
        work: impl FnOnce(&mut dyn Host, &mut Input) -> Result<R, InputError> + Send,
        length: fn(&R) -> usize,
    ) -> Result<R, Failure<'static>> {
        let measured = &self.measured.input;
        let read = self.detached(py, |host, input, _| {
            measured.measure(|| work(host, input), |read| read.as_ref().map_or(0, length))
        });
        Ok(read.map_err(|ended| Failure::new(Class::Runtime, ended))??)
    }

    /// Sends one item of the application's iterable.
    ///
    /// # Errors
    /// [`RequestEnded`], else what the response says.
    pub(crate) fn item(&self, py: Py<'_>, data: &[u8]) -> Result<Result<(), SendError>, RequestEnded> {
        let output = &self.measured.output;
        self.promptly(py, |host, _, response| output.measure(|| response.item(host, data), |_| data.len()))
    }

    /// Sends a body that is a single `bytes`, from Python's memory, and ends the response.
    ///
    /// # Errors
    /// As [`Exchange::item`].
    pub(crate) fn whole(&self, py: Py<'_>, data: &[u8]) -> Result<Result<(), SendError>, RequestEnded> {
        let output = &self.measured.output;
        self.promptly(py, |host, _, response| output.measure(|| response.whole(host, data), |_| data.len()))
    }

    /// Says how long the items to come are together.
    ///
    /// # Errors
    /// [`RequestEnded`].
    pub(crate) fn announce(&self, py: Py<'_>, total: usize) -> Result<(), RequestEnded> {
        self.quickly(py, |response| response.announce(total))
    }

    /// Sends a regular file as the body and ends the response.
    ///
    /// # Errors
    /// As [`Exchange::item`].
    pub(crate) fn file(
        &self,
        py: Py<'_>,
        file: File,
        offset: u64,
        available: u64,
    ) -> Result<Result<(), SendError>, RequestEnded> {
        let output = &self.measured.output;
        let length = usize::try_from(available).unwrap_or(usize::MAX);
        self.promptly(py, |host, _, response| {
            output.measure(|| response.file(host, file, offset, available), |_| length)
        })
    }

    /// Ends the response after its last item.
    ///
    /// # Errors
    /// As [`Exchange::item`].
    pub(crate) fn finish(&self, py: Py<'_>) -> Result<Result<(), SendError>, RequestEnded> {
        self.promptly(py, |host, _, response| response.finish(host))
    }

    /// The application failed: the response is given up, if it began.
    pub(crate) fn fail(&self, py: Py<'_>) -> Failed {
        self.detached(py, |host, _, response| response.fail(host)).unwrap_or(Failed::AfterHead)
    }

    /// Whether the head was sent.
    pub(crate) fn sent(&self, py: Py<'_>) -> bool {
        self.quickly(py, |response| response.sent()).unwrap_or(true)
    }

    /// Writes one record to the request's log.
    ///
    /// # Errors
    /// [`RequestEnded`].
    pub(crate) fn log(&self, py: Py<'_>, level: Level, line: &[u8]) -> Result<(), RequestEnded> {
        self.promptly(py, |host, _, _| host.log(level, line))
    }

    /// The address of the server's record of the request, where it is to be passed on.
    pub(crate) fn record(&self) -> Option<NonZero<usize>> {
        self.record
    }

    /// Whether the request's log would show a record of this level.
    ///
    /// # Errors
    /// [`RequestEnded`].
    pub(super) fn logs(&self, py: Py<'_>, level: Level) -> Result<bool, RequestEnded> {
        match self.free() {
            Some(mut state) => state.with_host(|host, _, _| host.logs(level)),
            None => self.detached(py, |host, _, _| host.logs(level)),
        }
    }

    /// The status that the application gave; 0 where it has not.
    pub(crate) fn status(&self) -> u16 {
        self.status.load(Ordering::Relaxed)
    }

    /// What has gone through since figures are wanted.
    pub(crate) fn transfer(&self) -> Transfer {
        let Measured { input, output } = &self.measured;
        Transfer {
            input_reads: input.calls.load(Ordering::Relaxed),
            input_length: input.bytes.load(Ordering::Relaxed),
            input_time: input.seconds(),
            output_writes: output.calls.load(Ordering::Relaxed),
            output_length: output.bytes.load(Ordering::Relaxed),
            output_time: output.seconds(),
        }
    }

    fn start(&self, py: Py<'_>, head: Head, with_exc_info: bool) -> Result<Result<(), StartError>, RequestEnded> {
        self.status.store(head.code(), Ordering::Relaxed);
        self.quickly(py, |response| response.start(head, with_exc_info))
    }

    /// Runs `work`, which can't block, without giving the interpreter up, unless another thread is at the exchange.
    fn quickly<R: Send>(&self, py: Py<'_>, work: impl FnOnce(&mut Response) -> R + Send) -> Result<R, RequestEnded> {
        match self.free() {
            Some(mut state) if state.host.is_some() => Ok(work(&mut state.response)),
            Some(_) => Err(RequestEnded),
            None => self.detached(py, |_, _, response| work(response)),
        }
    }

    /// Runs `work` with the host, which gives the interpreter up before it waits, if it can tell; else holding no interpreter.
    fn promptly<R: Send>(
        &self,
        py: Py<'_>,
        work: impl FnOnce(&mut dyn Host, &mut Input, &mut Response) -> R + Send,
    ) -> Result<R, RequestEnded> {
        if let Some(mut state) = self.free() {
            let state = &mut *state;
            if state.with_host(|host, _, _| host.gives_way())? {
                return py.detach_late(|| state.with_host(work));
            }
        }
        self.detached(py, work)
    }

    /// The state, where no other thread is at the exchange.
    fn free(&self) -> Option<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Runs `work` with the host, holding no interpreter.
    fn detached<R: Send>(
        &self,
        py: Py<'_>,
        work: impl FnOnce(&mut dyn Host, &mut Input, &mut Response) -> R + Send,
    ) -> Result<R, RequestEnded> {
        py.detach(|| self.with_host(work))
    }

    fn with_host<R>(
        &self,
        work: impl FnOnce(&mut dyn Host, &mut Input, &mut Response) -> R,
    ) -> Result<R, RequestEnded> {
        self.lock().with_host(work)
    }

    /// Waits for other threads. One of them may be waiting for the client, or for the interpreter: a thread that has stayed attached
    /// gives that up first.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.free().unwrap_or_else(|| {
            give_way();
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        })
    }
}

impl State {
    fn with_host<R>(
        &mut self,
        work: impl FnOnce(&mut dyn Host, &mut Input, &mut Response) -> R,
    ) -> Result<R, RequestEnded> {
        let Some(host) = &mut self.host else { return Err(RequestEnded) };
        // SAFETY: `Lent` takes the pointer away, under the exchange's lock, before its host is gone.
        let host = unsafe { host.0.as_mut() };
        Ok(work(host, &mut self.input, &mut self.response))
    }
}

/// A host lent to an exchange; taken back on drop, when no thread uses it any more.
pub(crate) struct Lent<'h> {
    exchange: Arc<Exchange>,
    /// Keeps the host borrowed as long as the exchange may reach it.
    _host: std::marker::PhantomData<&'h mut dyn Host>,
}

impl<'h> Lent<'h> {
    /// Lends `host` until the value is dropped. `method` is what the application sees in place of `client_method`.
    pub(crate) fn new(host: &'h mut (dyn Host + 'h), client_method: &[u8], method: &[u8]) -> Lent<'h> {
        let record = host.record();
        let host: NonNull<dyn Host + 'h> = NonNull::from(host);
        // SAFETY: only the lifetime changes; `drop` below ends every use before 'h does. (A `Lent` that is leaked keeps no request:
        // it is made and dropped on the stack of one function, in this crate.)
        let host: NonNull<dyn Host + 'static> = unsafe { std::mem::transmute(host) };
        let response = Response::new(client_method, method);
        let state = State { host: Some(HostPointer(host)), input: Input::default(), response };
        let exchange =
            Exchange { record, state: Mutex::new(state), status: AtomicU16::new(0), measured: Measured::default() };
        Lent { exchange: Arc::new(exchange), _host: std::marker::PhantomData }
    }

    pub(crate) fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// Sends a body that was in memory as a whole. For a thread that is not attached.
    ///
    /// # Errors
    /// [`RequestEnded`], else what the response says.
    pub(crate) fn whole(&self, body: &[u8]) -> Result<Result<(), SendError>, RequestEnded> {
        let output = &self.exchange.measured.output;
        self.with(|host, response| output.measure(|| response.whole(host, body), |_| body.len()))
    }

    /// Runs `work` with the host. For a thread that is not attached.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut dyn Host, &mut Response) -> R) -> Result<R, RequestEnded> {
        self.exchange.with_host(|host, _, response| work(host, response))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.exchange.lock().host = None;
    }
}

impl From<InputError> for Failure<'_> {
    fn from(error: InputError) -> Self {
        Failure::new(Class::Os, error)
    }
}

/// What Python sees of an exchange: an instance of `mod_wsgi.Input`.
#[repr(C)]
struct InputObject {
    base: ffi::PyObject,
    /// From `Arc::into_raw`; given back by `dealloc`.
    exchange: *const Exchange,
}

static METHODS: [Method; 5] = [
    Method::fast(c"read", read),
    Method::fast(c"readline", readline),
    Method::fast(c"readlines", readlines),
    Method::fast(c"close", close),
    Method::end(),
];
static START_RESPONSE: Method = Method::fast(c"start_response", start_response);
static EARLY_HINTS: Method = Method::fast(c"early_hints", early_hints);
static WRITE: Method = Method::fast(c"write", write);
static LOG: Method = Method::fast(c"log", log);
static IS_HTTPS: Method = Method::fast(c"is_https", is_https);
static SSL_VARIABLE: Method = Method::fast(c"var_lookup", ssl_variable);

/// Makes the class, for the interpreter that this thread is attached to.
pub(super) fn class(py: Py<'_>) -> Result<Object<'_>, Raised<'_>> {
    let slot = |slot: c_int, function: *mut c_void| ffi::PyType_Slot { slot, pfunc: function };
    let methods = (&raw const METHODS).cast_mut().cast();
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_iter, iter as *mut c_void),
        slot(ffi::Py_tp_iternext, iternext as *mut c_void),
        slot(ffi::Py_tp_methods, methods),
        slot(0, std::ptr::null_mut()),
    ];
    let basicsize = c_int::try_from(size_of::<InputObject>()).unwrap_or(c_int::MAX);
    let flags = u32::try_from(ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION).unwrap_or_default();
    let mut spec =
        ffi::PyType_Spec { name: c"mod_wsgi.Input".as_ptr(), basicsize, itemsize: 0, flags, slots: slots.as_mut_ptr() };
    // SAFETY: attached by `py`; the description is complete, and what CPython keeps of it (name, methods) is static.
    Object::returned(py, unsafe { ffi::PyType_FromSpec(&raw mut spec) })
}

/// `wsgi.input` for a request.
pub(super) fn input<'py>(
    py: Py<'py>,
    class: &Object<'py>,
    exchange: &Arc<Exchange>,
) -> Result<Object<'py>, Raised<'py>> {
    // SAFETY: attached; our class, whose instances have no Python-visible constructor.
    let raw = unsafe { ffi::PyType_GenericAlloc(class.as_ptr().cast(), 0) };
    let object = Object::returned(py, raw)?;
    // SAFETY: a fresh instance of our class, laid out as InputObject.
    unsafe { (*raw.cast::<InputObject>()).exchange = Arc::into_raw(Arc::clone(exchange)) };
    Ok(object)
}

/// Writes a line to the log of a request, bound to its `wsgi.input`.
pub(super) fn log_of<'py>(input: &Object<'py>) -> Result<Object<'py>, Raised<'py>> {
    LOG.bind(input)
}

/// `mod_ssl.is_https` for a request, bound to its `wsgi.input`.
pub(super) fn is_https_of<'py>(input: &Object<'py>) -> Result<Object<'py>, Raised<'py>> {
    IS_HTTPS.bind(input)
}

/// `mod_ssl.var_lookup` for a request, bound to its `wsgi.input`.
pub(super) fn ssl_variable_of<'py>(input: &Object<'py>) -> Result<Object<'py>, Raised<'py>> {
    SSL_VARIABLE.bind(input)
}

/// `start_response` for a request, bound to its `wsgi.input`.
pub(super) fn start_response_of<'py>(input: &Object<'py>) -> Result<Object<'py>, Raised<'py>> {
    START_RESPONSE.bind(input)
}

/// `wsgi.early_hints` for a request, bound to its `wsgi.input`.
pub(super) fn early_hints_of<'py>(input: &Object<'py>) -> Result<Object<'py>, Raised<'py>> {
    EARLY_HINTS.bind(input)
}

/// The exchange behind `this`.
///
/// # Safety
/// `this` is an instance of our class, alive for `'a`.
unsafe fn exchange_of<'a>(this: *mut ffi::PyObject) -> &'a Exchange {
    // SAFETY: the caller's promise; the field is set by `input` before anybody else sees the object.
    let exchange = unsafe { (*this.cast::<InputObject>()).exchange };
    // SAFETY: from `Arc::into_raw`, given back only by `dealloc`.
    unsafe { &*exchange }
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, with an instance of our class.
    let exchange = unsafe { (*this.cast::<InputObject>()).exchange };
    // SAFETY: as above.
    let class = unsafe { ffi::Py_TYPE(this) };
    if !exchange.is_null() {
        // SAFETY: from `Arc::into_raw`; the state that it may free holds nothing of Python's, and dropping it can't panic.
        drop(unsafe { Arc::from_raw(exchange) });
    }
    // SAFETY: allocated by PyType_GenericAlloc of this class, which is not garbage-collected.
    unsafe { ffi::PyObject_Free(this.cast()) };
    // SAFETY: an instance of a heap type owns a reference to it.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

unsafe extern "C" fn iter(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls with a live object; the reference is the caller's.
    unsafe { ffi::Py_NewRef(this) }
}

unsafe extern "C" fn iternext(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls with an instance of our class.
    let exchange = unsafe { exchange_of(this) };
    // SAFETY: CPython calls this on an attached thread.
    let py = unsafe { Py::assume() };
    let mut ended = false;
    let line = guard(py, "wsgi.input iteration", || {
        let line = exchange.line(py, None)?;
        ended = line.is_empty();
        Ok(Object::bytes(py, &line)?)
    });
    if ended {
        // SAFETY: ours; NULL without an exception is the end (`tp_iternext`).
        unsafe { ffi::Py_XDECREF(line) };
        return std::ptr::null_mut();
    }
    line
}

/// A METH_FASTCALL function of the class: the exchange and the arguments to `body`.
macro_rules! method {
    ($function:ident, $name:literal, $least:literal..=$most:literal, $body:expr) => {
        unsafe extern "C" fn $function(
            this: *mut ffi::PyObject,
            items: *mut *mut ffi::PyObject,
            count: ffi::Py_ssize_t,
        ) -> *mut ffi::PyObject {
            // SAFETY: CPython calls with an instance of our class.
            let exchange = unsafe { exchange_of(this) };
            let body: for<'py> fn(Py<'py>, *mut ffi::PyObject, &Exchange, Arguments<'py>) -> Answer<'py> = $body;
            // SAFETY: CPython calls this on an attached thread.
            let py = unsafe { Py::assume() };
            // SAFETY: CPython calls with its own arguments, which live until we return.
            let arguments = unsafe { Arguments::new(py, items, count) };
            guard(py, $name, || {
                arguments.between($name, $least, $most)?;
                body(py, this, exchange, arguments)
            })
        }
    };
}

method!(read, "read()", 0..=1, |py, _, exchange, arguments| {
    let size = size(arguments.get(0))?;
    exchange.read(py, size)
});

method!(readline, "readline()", 0..=1, |py, _, exchange, arguments| {
    let size = size(arguments.get(0))?;
    Ok(Object::bytes(py, &exchange.line(py, size)?)?)
});

method!(readlines, "readlines()", 0..=1, |py, _, exchange, arguments| {
    let hint = size(arguments.get(0))?.filter(|hint| *hint > 0);
    let (mut lines, mut total) = (Vec::new(), 0);
    loop {
        let line = exchange.line(py, None)?;
        if line.is_empty() {
            break;
        }
        total += line.len();
        lines.push(Object::bytes(py, &line)?);
        if hint.is_some_and(|hint| total >= hint) {
            break;
        }
    }
    Ok(Object::list(py, lines)?)
});

method!(close, "close()", 0..=0, |py, _, exchange, _| {
    exchange.quickly(py, |_| ()).map_err(|ended| Failure::new(Class::Runtime, ended))?;
    Ok(Object::none(py))
});

method!(log, "log()", 1..=1, |py, _, exchange, arguments| {
    if let Some(line) = arguments.get(0) {
        let logged = exchange.log(py, Level::Error, line.as_bytes().unwrap_or_default());
        logged.map_err(|ended| Failure::new(Class::Runtime, ended))?;
    }
    Ok(Object::none(py))
});

method!(is_https, "is_https()", 0..=0, |py, _, exchange, _| {
    let https = exchange.detached(py, |host, _, _| host.is_https());
    Ok(Object::int(py, https.map_err(|ended| Failure::new(Class::Runtime, ended))?.into())?)
});

method!(ssl_variable, "var_lookup()", 1..=1, |py, _, exchange, arguments| {
    let name = arguments.get(0);
    let name = name.as_ref().and_then(|name| name.as_bytes().map(<[u8]>::to_vec).or_else(|| name.encode_latin1()));
    let Some(name) = name else {
        return Err(Failure::new(Class::Type, "var_lookup() takes the name of a variable, a str or bytes"));
    };
    let value = exchange.detached(py, |host, _, _| host.ssl_variable(&name));
    match value.map_err(|ended| Failure::new(Class::Runtime, ended))? {
        Some(value) => Ok(Object::latin1(py, &value)?),
        None => Ok(Object::none(py)),
    }
});

method!(write, "write()", 1..=1, |py, _, exchange, arguments| {
    let data = arguments.get(0);
    let Some(bytes) = data.as_ref().and_then(Object::as_bytes) else {
        let given = data.map_or_else(|| "nothing".to_owned(), |data| data.type_name());
        return Err(Failure::new(Class::Type, format!("write() takes bytes, not {given}")));
    };
    let output = &exchange.measured.output;
    let written =
        exchange.promptly(py, |host, _, response| output.measure(|| response.write(host, bytes), |_| bytes.len()));
    match written.map_err(|ended| Failure::new(Class::Runtime, ended))? {
        Ok(()) => Ok(Object::none(py)),
        Err(SendError::Gone(gone)) => Err(Failure::new(Class::Os, gone)),
        Err(SendError::Length(error)) => Err(Failure::new(Class::Value, error)),
        Err(error @ SendError::NotStarted) => Err(Failure::new(Class::Runtime, error)),
    }
});

method!(start_response, "start_response()", 2..=3, |py, this, exchange, arguments| {
    let head = head(&arguments)?;
    let exc_info = arguments.get(2).filter(|exc_info| !exc_info.is_none());
    // SAFETY: attached; any object may be asked.
    if exc_info.as_ref().is_some_and(|exc_info| unsafe { ffi::PyTuple_Check(exc_info.as_ptr()) } == 0) {
        return Err(Failure::new(
            Class::Runtime,
            "start_response()'s exc_info must be a tuple, as sys.exc_info() gives",
        ));
    }
    match exchange.start(py, head, exc_info.is_some()).map_err(|ended| Failure::new(Class::Runtime, ended))? {
        Ok(()) => {}
        Err(error @ StartError::HeadSent) => return Err(Failure::new(Class::Runtime, error)),
        Err(StartError::Reraise) => return Err(reraise(py, exc_info)),
    }
    let Some(this) = NonNull::new(this) else { return Ok(Object::none(py)) };
    Ok(WRITE.bind(&Object::borrowed(py, this))?)
});

method!(early_hints, "early_hints()", 1..=1, |py, _, exchange, arguments| {
    let hints = hints(&arguments)?;
    let sent = exchange.promptly(py, |host, _, response| response.hint(host, &hints));
    let sent = sent.map_err(|ended| Failure::new(Class::Runtime, ended))?;
    sent.map_err(|late| Failure::new(Class::Runtime, late))?;
    Ok(Object::none(py))
});

/// The exception of an `exc_info`, raised again. The application may have put anything into it.
fn reraise<'py>(py: Py<'py>, exc_info: Option<Object<'py>>) -> Failure<'py> {
    let parts = exc_info.and_then(|exc_info| exc_info.exact_sequence()).unwrap_or_default();
    let [kind, value, traceback] = parts.as_slice() else {
        return Failure::new(Class::Type, "start_response()'s exc_info must have three items, as sys.exc_info() gives");
    };
    // SAFETY: attached by `py`; any object may be asked.
    let is_instance = unsafe { ffi::PyExceptionInstance_Check(value.as_ptr()) } != 0;
    // SAFETY: as above.
    let is_class = unsafe { ffi::PyExceptionClass_Check(kind.as_ptr()) } != 0;
    if is_instance {
        // SAFETY: attached; an exception, as just checked. What is no traceback is refused with an exception, which is passed on.
        if !traceback.is_none() && unsafe { ffi::PyException_SetTraceback(value.as_ptr(), traceback.as_ptr()) } != 0 {
            return Raised::fetch(py).into();
        }
        // SAFETY: any object has a type.
        let class = unsafe { ffi::Py_TYPE(value.as_ptr()) };
        // SAFETY: attached; an exception and its own class, both borrowed.
        unsafe { ffi::PyErr_SetObject(class.cast(), value.as_ptr()) };
    } else if is_class {
        // SAFETY: attached; a class of exceptions, and what it is called with; both borrowed.
        unsafe { ffi::PyErr_SetObject(kind.as_ptr(), value.as_ptr()) };
    } else {
        return Failure::new(Class::Type, "start_response()'s exc_info holds no exception");
    }
    Raised::fetch(py).into()
}

/// A size argument: absent, `None` or negative mean no limit.
fn size(argument: Option<Object<'_>>) -> Result<Option<usize>, Failure<'_>> {
    let Some(argument) = argument.filter(|argument| !argument.is_none()) else { return Ok(None) };
    // SAFETY: a static of CPython's, valid in every interpreter.
    let overflow = unsafe { ffi::PyExc_OverflowError };
    // SAFETY: attached; raises TypeError or OverflowError where it is no index. (`__index__` of the application's may run.)
    let size = unsafe { ffi::PyNumber_AsSsize_t(argument.as_ptr(), overflow) };
    match Raised::pending(argument.py()) {
        Some(raised) => Err(raised.into()),
        None => Ok(usize::try_from(size).ok()),
    }
}
