//! The module record that httpd finds in the shared object by name, and its index once httpd has loaded it.
//!
//! httpd writes into the record while it loads the module (parent, one thread) and only reads it later. It may unload and reload the
//! module at each restart, with statics fresh or not, so what is remembered here is set anew by each register_hooks.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_int, c_ulong};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::boundary::{Started, boundary};
use super::command::Commands;
use super::config_record::{DirRecord, ServerRecord, create_dir, create_server, merge_dir, merge_server};
use super::hook;
use super::log::{self, Level};
use super::pool::Pool;
use crate::bindings::{self, self as raw};

/// What httpd calls a module.
pub(crate) trait Module: 'static {
    /// The source name that other modules order their hooks by.
    const NAME: &'static CStr;
    /// Our configuration of a directory, and of the server's top level.
    type Dir: DirRecord;
    /// Our configuration of a server.
    type Server: ServerRecord;

    /// Registers the hooks (`hook`) and providers (`provider`). In the parent, at each load of the module; the pool lives as long as that.
    fn register(pool: Pool<'_>);

    /// The exported record.
    fn record() -> &'static Record;
}

/// The exported record: `#[unsafe(no_mangle)] static wsgi_module: Record = Record::new::<Wsgi, _>(&COMMANDS);`
#[repr(transparent)]
pub(crate) struct Record(UnsafeCell<raw::module>);

// SAFETY: httpd writes the record while it is the only thread; we read `module_index` only, after that.
unsafe impl Sync for Record {}

impl Record {
    /// A record as httpd's STANDARD20_MODULE_STUFF and its fields make it (http_config.h).
    pub(crate) const fn new<M: Module, const N: usize>(commands: &'static Commands<N>) -> Record {
        Record(UnsafeCell::new(raw::module {
            version: raw::MODULE_MAGIC_NUMBER_MAJOR as c_int,
            minor_version: raw::MODULE_MAGIC_NUMBER_MINOR as c_int,
            module_index: -1,
            name: M::NAME.as_ptr(),
            dynamic_load_handle: ptr::null_mut(),
            next: ptr::null_mut(),
            magic: raw::MODULE_MAGIC_COOKIE as c_ulong,
            rewrite_args: None,
            create_dir_config: Some(create_dir::<M::Dir>),
            merge_dir_config: Some(merge_dir::<M::Dir>),
            create_server_config: Some(create_server::<M::Server>),
            merge_server_config: Some(merge_server::<M::Server>),
            cmds: commands.as_ptr(),
            register_hooks: Some(register::<M>),
            flags: 0,
        }))
    }
}

/// Our record once httpd has loaded it. Statics may survive a reload or not, so each load sets it.
static LOADED: AtomicPtr<raw::module> = AtomicPtr::new(ptr::null_mut());

unsafe extern "C" fn register<M: Module>(pool: *mut raw::apr_pool_t) {
    boundary("register_hooks", || {
        log::forget_main();
        LOADED.store(M::record().0.get(), Ordering::Release);
        match bindings::check() {
            Ok(()) => {
                REFUSAL.store(ptr::null_mut(), Ordering::Release);
                // SAFETY: httpd lends a live pool for the call, on the parent's only thread.
                if let Some(pool) = unsafe { Pool::from_raw(pool) } {
                    M::register(pool);
                }
            }
            Err(reason) => {
                REFUSAL.store(Box::leak(Box::new(reason)), Ordering::Release);
                hook::pre_config(refuse, hook::Place::FIRST);
            }
        }
    });
}

/// Why not, where the running httpd is none that this module was built for. Nothing of its records is read then, and it ends.
static REFUSAL: AtomicPtr<String> = AtomicPtr::new(ptr::null_mut());

/// Why this module does not work in the running httpd, for the administrator; `None` where it does.
pub(super) fn refusal() -> Option<&'static str> {
    // SAFETY: NULL, or a string that `register` leaked.
    unsafe { REFUSAL.load(Ordering::Acquire).as_ref() }.map(String::as_str)
}

fn refuse() -> Started {
    if let Some(reason) = refusal() {
        log::log_startup(Level::Emerg, format_args!("{reason}"));
    }
    Started::Refused
}

/// The record's address for httpd; `None` before httpd has loaded the module, say in a unit test.
pub(super) fn loaded() -> Option<*const raw::module> {
    let module = LOADED.load(Ordering::Acquire);
    (!module.is_null()).then_some(module.cast_const())
}

/// Our index in httpd's tables, which also names us in its log.
#[cfg(not(test))]
pub(super) fn module_index() -> c_int {
    match loaded() {
        // SAFETY: the record is a static of this image, which httpd does not write any more.
        Some(module) => unsafe { (*module).module_index },
        None => raw::APLOG_NO_MODULE,
    }
}
