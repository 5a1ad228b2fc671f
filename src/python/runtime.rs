//! Python in this process: started on first need, its interpreters by application group, ended with the process.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use pyo3_ffi as ffi;

use super::exchange::Exchange;
use super::figures;
use super::home::{self, Ended, MainThread, Teardown};
use super::interpreter::Interpreter;
use super::preflight::{self, Home};
use super::state::{self, Closed, Py};
use crate::config::{Gil, InterpreterSettings, Interpreters};
use crate::metrics::Value;
use crate::wsgi::{Level, Quoted};

/// How Python is started in a process, and what its interpreters are told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `WSGIPythonHome`: a virtual environment or an installation prefix.
    pub(crate) home: Option<PathBuf>,
    /// The directive or option that names it, for messages.
    pub(crate) home_from: &'static str,
    /// `WSGIPythonEggs`.
    pub(crate) eggs: Option<PathBuf>,
    /// `WSGIPythonOptimize`; 0 is none.
    pub(crate) optimize: i32,
    /// `WSGIPythonWarnings`, in their order.
    pub(crate) warnings: Vec<Vec<u8>>,
    /// `WSGIPythonHashSeed`; nothing leaves it to Python (`PYTHONHASHSEED`, else random).
    pub(crate) hash_seed: Option<HashSeed>,
    pub(crate) dont_write_bytecode: bool,
    /// What single interpreters may have otherwise.
    pub(crate) interpreters: Interpreters,
    /// `WSGIDestroyInterpreter`.
    pub(crate) destroy: bool,
    /// Put at `sys.path[0]`: the `home` of a daemon process.
    pub(crate) front: Option<PathBuf>,
    /// The process exists for its import scripts (`threads=0`): they may take signals, and SIGTERM raises `SystemExit` in them, on the main
    /// thread.
    pub(crate) service: bool,
    /// How long the end of Python may take; none: as long as it takes.
    pub(crate) shutdown: Option<Duration>,
    /// `httpd -X`: standard input and output are the developer's.
    pub(crate) single_process: bool,
    /// Empty in httpd's children.
    pub(crate) process_group: Vec<u8>,
    /// The application group that the main interpreter is shown as: empty, but for an application that is alone in its process group.
    pub(crate) main_group: Vec<u8>,
    pub(crate) processes: u32,
    pub(crate) threads: u32,
    /// What `mod_wsgi.version` says.
    pub(crate) version: [u32; 3],
    /// What the Python module `apache` says.
    pub(crate) apache: Apache,
    /// Writes a record that belongs to no request. Called from any thread, holding no interpreter.
    pub(crate) log: fn(Level, &[u8]),
    /// Whether such a record would be written.
    pub(crate) logs: fn(Level) -> bool,
    /// What httpd's children do at the moment (`mod_wsgi.server_metrics()`), where applications may know. Called as `log`.
    pub(crate) server_metrics: Option<fn() -> Option<Value>>,
}

/// The server, for applications.
#[derive(Clone, Debug, Default)]
pub(crate) struct Apache {
    /// The version that the module was built for.
    pub(crate) version: [u32; 3],
    pub(crate) description: Vec<u8>,
    pub(crate) build_date: Vec<u8>,
    pub(crate) mpm_name: Vec<u8>,
    /// How many children there may be, and how many threads each has; at least 1.
    pub(crate) processes: u32,
    pub(crate) threads: u32,
}

/// How the hashes of strings are seeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HashSeed {
    Random,
    Fixed(u32),
}

/// Why there is no Python, or not the interpreter asked for. Each text is a line for the administrator: cause and remedy.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("{0}")]
    Preflight(#[from] preflight::Unfit),
    #[error("WSGI0036: Python can't be started in this process: {0}")]
    Python(String),
    #[error("WSGI0035: the interpreter of application group \"{group}\" can't be made: {cause}")]
    Interpreter { group: String, cause: String },
    /// Nobody need do anything about it.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl StartError {
    /// How serious it is.
    pub(crate) fn level(&self) -> Level {
        match self {
            StartError::Closed(_) => Level::Info,
            StartError::Preflight(_) | StartError::Python(_) | StartError::Interpreter { .. } => Level::Error,
        }
    }
}

/// Python, running in this process.
pub(crate) struct Runtime {
    settings: Arc<Settings>,
    main: Arc<Interpreter>,
    others: RwLock<HashMap<Vec<u8>, Arc<Interpreter>>>,
    making: Mutex<()>,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
/// Held while Python is started; keeps the cause when CPython itself refused, since that can't be tried twice in a process.
static START: Mutex<Option<StartError>> = Mutex::new(None);
static LOG: OnceLock<fn(Level, &[u8])> = OnceLock::new();

impl Runtime {
    /// Python in this process, started now if it is not. Blocks while another thread starts it; never called in the parent.
    ///
    /// # Errors
    /// [`StartError`], for the log. What was found before Python started is looked at again by the next call.
    pub(crate) fn get(settings: impl FnOnce() -> Settings) -> Result<&'static Runtime, StartError> {
        if let Some(runtime) = RUNTIME.get() {
            return Ok(runtime);
        }
        let mut failed = START.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = RUNTIME.get() {
            return Ok(runtime);
        }
        if let Some(failed) = failed.as_ref() {
            return Err(failed.clone());
        }
        let settings = Arc::new(settings());
        preflight::check(settings.home.as_deref(), settings.home_from)?;
        let _ = LOG.set(settings.log);
        pin();
        let main = home::start_main(Arc::clone(&settings)).map_err(|cause| {
            let error = StartError::Python(cause);
            *failed = Some(error.clone());
            error
        })?;
        Ok(Runtime::keep(settings, main))
    }

    /// Starts Python on the calling thread, which is Python's main thread from now on and must go on with [`MainThread::live`]: what
    /// others ask the main interpreter's home thread for is done there. Called once, by the main thread of a process of ours.
    ///
    /// # Errors
    /// [`StartError`], for the administrator.
    pub(crate) fn start_here(settings: Settings) -> Result<(MainThread, &'static Runtime), StartError> {
        preflight::check(settings.home.as_deref(), settings.home_from)?;
        let settings = Arc::new(settings);
        let _ = LOG.set(settings.log);
        let main = home::start_main_here(&settings).map_err(StartError::Python)?;
        let runtime = Runtime::keep(settings, main.interpreter());
        Ok((main, runtime))
    }

    fn keep(settings: Arc<Settings>, main: Arc<Interpreter>) -> &'static Runtime {
        figures::process_began(settings.threads);
        RUNTIME.get_or_init(|| Runtime { settings, main, others: RwLock::default(), making: Mutex::default() })
    }

    /// The Python of this process, if it was started.
    pub(crate) fn running() -> Option<&'static Runtime> {
        RUNTIME.get()
    }

    /// Takes each GIL and gives it back; may block as long as a thread keeps one.
    ///
    /// # Errors
    /// [`Closed`] once the process is ending.
    pub(crate) fn probe(&self) -> Result<(), Closed> {
        let others = self.others();
        let others = others.iter().filter(|other| other.settings().own_gil);
        std::iter::once(&self.main).chain(others).try_for_each(|one| one.enter(|_| ()))
    }

    fn others(&self) -> Vec<Arc<Interpreter>> {
        self.others.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The interpreter of an application group (empty: the main one), made now if it is not there. The caller is not attached.
    ///
    /// # Errors
    /// [`StartError::Interpreter`]; the next call tries again. [`StartError::Closed`] once the process is ending.
    pub(crate) fn interpreter(&self, group: &[u8]) -> Result<Arc<Interpreter>, StartError> {
        if group.is_empty() {
            return Ok(Arc::clone(&self.main));
        }
        if let Some(there) = self.made(group) {
            return Ok(there);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = self.made(group) {
            return Ok(there);
        }
        // Until `others` has it: the end looks there when nobody is inside any more.
        let _inside = state::pass()?;
        let made = home::start_sub(&self.main, group, Arc::clone(&self.settings)).map_err(|cause| {
            let group = String::from_utf8_lossy(group).into_owned();
            StartError::Interpreter { group, cause }
        })?;
        self.others.write().unwrap_or_else(PoisonError::into_inner).insert(group.to_vec(), Arc::clone(&made));
        Ok(made)
    }

    /// The interpreter that the calling thread is attached to; none while it is being made.
    pub(super) fn attached(&self, py: Py<'_>) -> Option<Arc<Interpreter>> {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        std::iter::once(&self.main).chain(others.values()).find(|one| one.is_attached(py)).map(Arc::clone)
    }

    fn made(&self, group: &[u8]) -> Option<Arc<Interpreter>> {
        self.others.read().unwrap_or_else(PoisonError::into_inner).get(group).map(Arc::clone)
    }

    /// Ends Python in this process, where it runs: threads are joined, exit functions run, interpreters end; bounded by
    /// [`Settings::shutdown`]. Called once, by the thread that ends the process, when no request is served any more.
    ///
    /// Where threads of an application are left (or a request, which prefork cuts off by a signal), the process will end without running exit handlers of C, which would tear
    /// libraries down under them.
    pub(crate) fn shut_down() {
        let Some(runtime) = RUNTIME.get() else { return };
        if state::is_inside() || !runtime.end(runtime.settings.shutdown, runtime.settings.shutdown) {
            exit_without_handlers();
        }
    }

    /// The same for a caller who ends the process itself, at once where the answer is false: something of Python is left then. Of the
    /// time that it may take, threads that are still inside have this much to leave.
    pub(crate) fn end(&self, within: Option<Duration>, inside: Option<Duration>) -> bool {
        let begin = Instant::now();
        let deadline = within.map(|within| begin + within);
        let empty = state::close(inside.map(|inside| begin + inside));
        let teardown = match (self.settings.destroy, empty) {
            (false, _) => Teardown::Nothing,
            (true, false) => Teardown::ExitFunctions,
            (true, true) => Teardown::Full,
        };
        let others = self.others();
        let ending: Vec<_> = others.iter().map(|one| (one, one.home().end(teardown))).collect();
        let mut all_gone = empty;
        for (interpreter, end) in ending {
            all_gone &= ended(interpreter, end.ok(), deadline);
        }
        let teardown = if all_gone { teardown } else { teardown.without_destruction() };
        let grace = deadline.map(|deadline| deadline.max(Instant::now() + Duration::from_millis(500)));
        ended(&self.main, self.main.home().end(teardown).ok(), grace) && all_gone
    }
}

/// Waits for an interpreter's end; false where anything of it is left.
fn ended(interpreter: &Interpreter, end: Option<std::sync::mpsc::Receiver<Ended>>, deadline: Option<Instant>) -> bool {
    let Some(end) = end else { return true };
    let answer = match deadline {
        Some(deadline) => end.recv_timeout(deadline.saturating_duration_since(Instant::now())).map_err(drop),
        None => end.recv().map_err(drop),
    };
    match answer {
        Ok(ended) => ended == Ended::Gone,
        Err(_) => {
            let name = String::from_utf8_lossy(interpreter.name());
            log(
                Level::Warn,
                format!(
                    "WSGI0302: application group \"{name}\" did not end in time: a thread that is not a daemon or an \
                     atexit function of the application goes on; the process ends without it"
                )
                .as_bytes(),
            );
            false
        }
    }
}

/// Makes `exit()` end the process at once, with the status that it was called with.
fn exit_without_handlers() {
    unsafe extern "C" fn leave(status: c_int, _nothing: *mut c_void) {
        // SAFETY: ends the process; always possible.
        unsafe { libc::_exit(status) }
    }
    unsafe extern "C" {
        /// glibc's: like `atexit`, with the status; last registered, first called.
        fn on_exit(function: unsafe extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
    }
    // SAFETY: a function of this library, which stays loaded (`pin`).
    unsafe { on_exit(leave, std::ptr::null_mut()) };
}

/// Keeps this library in memory until the process is gone: httpd unloads modules while threads of Python may still be in it.
fn pin() {
    let mut found = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let here: fn() = pin;
    // SAFETY: an address of this library and a place for the answer.
    if unsafe { libc::dladdr(here as *const c_void, found.as_mut_ptr()) } == 0 {
        return;
    }
    // SAFETY: zeroed, or filled just before.
    let name = unsafe { found.assume_init() }.dli_fname;
    // SAFETY: the name of a loaded library; a further reference to it, never given back.
    unsafe { libc::dlopen(name, libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) };
}

impl Teardown {
    fn without_destruction(self) -> Teardown {
        if self == Teardown::Full { Teardown::ExitFunctions } else { self }
    }
}

/// Writes a record that belongs to no request.
fn log(level: Level, line: &[u8]) {
    if let Some(log) = LOG.get() {
        log(level, line);
    }
}

thread_local! {
    /// The request that this thread serves.
    static SERVING: RefCell<Option<Arc<Exchange>>> = const { RefCell::new(None) };
}

/// Binds the thread's standard streams to a request; back to what was before on drop (a sub-request may be served within one).
pub(crate) struct Serving(Option<Arc<Exchange>>);

impl Serving {
    pub(crate) fn new(exchange: Arc<Exchange>) -> Serving {
        Serving(SERVING.try_with(|serving| serving.borrow_mut().replace(exchange)).ok().flatten())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let before = self.0.take();
        drop(SERVING.try_with(|serving| std::mem::replace(&mut *serving.borrow_mut(), before)));
    }
}

/// Writes a record to the log of the request that this thread serves, else to the server's.
pub(super) fn emit(py: Py<'_>, level: Level, line: &[u8]) {
    let serving = SERVING.try_with(|serving| serving.borrow().clone()).ok().flatten();
    let left = match serving {
        Some(exchange) => exchange.log(py, level, line).is_err(),
        None => true,
    };
    if left {
        py.detach(|| log(level, line));
    }
}

/// Whether a record of this level would be written by [`emit`].
pub(super) fn logs(py: Py<'_>, level: Level) -> bool {
    let serving = SERVING.try_with(|serving| serving.borrow().clone()).ok().flatten();
    let request = serving.and_then(|exchange| exchange.logs(py, level).ok());
    request.unwrap_or_else(|| RUNTIME.get().is_none_or(|runtime| (runtime.settings.logs)(level)))
}

/// `mod_wsgi.server_metrics()`.
pub(super) fn server_metrics(py: Py<'_>) -> Option<Value> {
    let ask = RUNTIME.get()?.settings.server_metrics?;
    py.detach(ask)
}

impl Settings {
    /// What holds in the interpreter of this name. What can't be is said in the log.
    pub(super) fn interpreter(&self, name: &[u8], is_main: bool) -> InterpreterSettings {
        let gil = match is_main {
            true => Gil::Main,
            false if cfg!(Py_3_12) && !self.is_free_threaded() => Gil::Possible,
            false => Gil::Shared,
        };
        let found = self.interpreters.settings(&self.process_group, name, gil);
        if let Some(interval) = found.unusable_switch_interval {
            let line = format!(
                "WSGI0199: WSGISwitchInterval {} for the application group {} is left out: the interpreter shares its GIL with others, for \
                 which it would hold, too; give it one of its own by WSGIPerInterpreterGIL (Python 3.12 and newer), or set the interval \
                 without application-group=",
                interval.as_secs_f64(),
                Quoted(name)
            );
            (self.log)(Level::Warn, line.as_bytes());
        }
        found
    }

    /// Whether an interpreter of this process may have a GIL that is not the others'.
    pub(crate) fn several_gils(&self) -> bool {
        cfg!(Py_3_12) && !self.is_free_threaded() && self.interpreters.per_interpreter_gil(&self.process_group)
    }

    /// Whether this process runs without the GIL.
    fn is_free_threaded(&self) -> bool {
        cfg!(Py_GIL_DISABLED) && self.interpreters.free_threading(&self.process_group)
    }

    /// Starts Python on the calling thread, which is attached to the main interpreter afterwards.
    pub(super) fn initialize(&self) -> Result<(), String> {
        let mut preconfig = std::mem::MaybeUninit::<ffi::PyPreConfig>::uninit();
        // SAFETY: fills the place.
        unsafe { ffi::PyPreConfig_InitPythonConfig(preconfig.as_mut_ptr()) };
        // SAFETY: filled just before; Python was not started in this process.
        checked(unsafe { ffi::Py_PreInitialize(preconfig.as_ptr()) })?;
        let mut config = Config::new();
        let raw = &mut config.0;
        raw.parse_argv = 0;
        // Signals are httpd's.
        raw.install_signal_handlers = 0;
        #[cfg(Py_GIL_DISABLED)]
        {
            raw.enable_gil = i32::from(!self.is_free_threaded());
        }
        raw.optimization_level = self.optimize.max(0);
        if self.dont_write_bytecode {
            raw.write_bytecode = 0;
        }
        match self.hash_seed {
            None => {}
            Some(HashSeed::Random) => raw.use_hash_seed = 0,
            Some(HashSeed::Fixed(seed)) => {
                raw.use_hash_seed = 1;
                raw.hash_seed = seed.into();
            }
        }
        for warning in &self.warnings {
            config.warn(warning)?;
        }
        match preflight::kind(self.home.as_deref()) {
            Home::Default(executable) => {
                if let Some(executable) = executable {
                    config.set(Field::ProgramName, executable.as_os_str().as_bytes())?;
                }
            }
            Home::Environment(executable) => config.set(Field::Executable, executable.as_os_str().as_bytes())?,
            Home::Prefix(prefix) => config.set(Field::Home, prefix.as_os_str().as_bytes())?,
        }
        // SAFETY: a filled configuration; the thread becomes the main one.
        checked(unsafe { ffi::Py_InitializeFromConfig(&raw const config.0) })
    }
}

/// A `PyConfig`, cleared on drop.
struct Config(ffi::PyConfig);

/// The strings of a `PyConfig` that we set.
#[derive(Clone, Copy)]
enum Field {
    Executable,
    Home,
    ProgramName,
}

impl Config {
    fn new() -> Config {
        let mut config = std::mem::MaybeUninit::<ffi::PyConfig>::uninit();
        // SAFETY: fills the place. Not isolated: `PYTHON*` variables of httpd's environment are honoured, as mod_wsgi's users expect.
        unsafe { ffi::PyConfig_InitPythonConfig(config.as_mut_ptr()) };
        // SAFETY: filled just before.
        Config(unsafe { config.assume_init() })
    }

    fn set(&mut self, field: Field, value: &[u8]) -> Result<(), String> {
        let value = CString::new(value).map_err(|_| "a path holds a NUL".to_owned())?;
        let config = &raw mut self.0;
        let place = match field {
            Field::Executable => &raw mut self.0.executable,
            Field::Home => &raw mut self.0.home,
            Field::ProgramName => &raw mut self.0.program_name,
        };
        // SAFETY: a field of this configuration, and a NUL-terminated string.
        checked(unsafe { ffi::PyConfig_SetBytesString(config, place, value.as_ptr()) })
    }

    fn warn(&mut self, option: &[u8]) -> Result<(), String> {
        let option = CString::new(option).map_err(|_| "a warning option holds a NUL".to_owned())?;
        // SAFETY: NUL-terminated; the answer is freed below.
        let wide = unsafe { ffi::Py_DecodeLocale(option.as_ptr(), std::ptr::null_mut()) };
        // SAFETY: a list of this configuration, and a wide string (NULL is refused by it).
        let status = unsafe { ffi::PyWideStringList_Append(&raw mut self.0.warnoptions, wide) };
        // SAFETY: from Py_DecodeLocale.
        unsafe { ffi::PyMem_RawFree(wide.cast()) };
        checked(status)
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: filled by `new`.
        unsafe { ffi::PyConfig_Clear(&raw mut self.0) };
    }
}

/// What CPython says of a step of its start.
pub(super) fn checked(status: ffi::PyStatus) -> Result<(), String> {
    // SAFETY: plain data.
    if unsafe { ffi::PyStatus_Exception(status) } == 0 {
        return Ok(());
    }
    let text = |pointer: *const std::ffi::c_char| {
        // SAFETY: NULL or a static string of CPython's.
        (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
    };
    let cause = text(status.err_msg).unwrap_or_else(|| format!("it asked to exit with {}", status.exitcode));
    Err(text(status.func).map_or(cause.clone(), |function| format!("{cause} ({function})")))
}
