//! Registers plain functions for httpd's hooks; each runs inside a panic boundary with its arguments lent for the call.
//!
//! Called from `Module::register`, in the parent, at each load of the module. Start-up hooks run in the parent (and post_config twice), `child_init` and
//! `child_stopping` on a child's main thread, the rest on the request's thread. httpd keeps the order of hooks by module names.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

use super::boundary::{Answer, Broken, Started, attempt, boundary, watch_panics};
use super::entry::{ByType, by_type};
use super::log;
use super::pool::Pool;
use super::request::Request;
use super::server::Server;
use crate::bindings as raw;

/// Source names of modules: `static AFTER: Names<1> = Names::new([c"mod_alias.c"]);`
///
/// httpd keeps the pointer until it sorts the hooks, so it must be a static.
#[repr(C)]
pub(crate) struct Names<const N: usize> {
    names: [*const c_char; N],
    end: *const c_char,
}

// SAFETY: pointers to constants, never written.
unsafe impl<const N: usize> Sync for Names<N> {}

impl<const N: usize> Names<N> {
    #[expect(clippy::indexing_slicing, reason = "bounded by the same N; iterators are not const")]
    pub(crate) const fn new(names: [&'static CStr; N]) -> Names<N> {
        let mut list = Names { names: [ptr::null(); N], end: ptr::null() };
        let mut index = 0;
        while index < N {
            list.names[index] = names[index].as_ptr();
            index += 1;
        }
        list
    }

    /// The names with the NULL behind them.
    const fn as_list(&'static self) -> *const *const c_char {
        ptr::from_ref(self).cast()
    }
}

/// When among the modules' functions for a hook ours is called.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    after: *const *const c_char,
    before: *const *const c_char,
    order: c_int,
}

impl Place {
    const fn at(order: c_int) -> Place {
        Place { after: ptr::null(), before: ptr::null(), order }
    }

    pub(crate) const FIRST: Place = Place::at(raw::APR_HOOK_FIRST as c_int);
    pub(crate) const MIDDLE: Place = Place::at(raw::APR_HOOK_MIDDLE as c_int);
    pub(crate) const LAST: Place = Place::at(raw::APR_HOOK_LAST as c_int);

    /// Behind these, where they are loaded.
    pub(crate) const fn after<const N: usize>(self, names: &'static Names<N>) -> Place {
        Place { after: names.as_list(), ..self }
    }

    /// Ahead of these, where they are loaded.
    pub(crate) const fn before<const N: usize>(self, names: &'static Names<N>) -> Place {
        Place { before: names.as_list(), ..self }
    }
}

/// The pools of a start-up hook.
#[derive(Clone, Copy)]
pub(crate) struct Pools<'c> {
    /// Lives as long as this configuration.
    pub(crate) config: Pool<'c>,
    /// Lives as long as the logs that this configuration opens.
    pub(crate) log: Pool<'c>,
    /// Gone once httpd has started.
    pub(crate) temp: Pool<'c>,
}

impl<'c> Pools<'c> {
    /// # Safety
    /// * Each is NULL or lives for `'c`, used by this thread only.
    unsafe fn from_raw(
        config: *mut raw::apr_pool_t,
        log: *mut raw::apr_pool_t,
        temp: *mut raw::apr_pool_t,
    ) -> Option<Pools<'c>> {
        // SAFETY: this function's contract.
        let config = unsafe { Pool::from_raw(config) };
        // SAFETY: this function's contract.
        let log = unsafe { Pool::from_raw(log) };
        // SAFETY: this function's contract.
        let temp = unsafe { Pool::from_raw(temp) };
        Some(Pools { config: config?, log: log?, temp: temp? })
    }
}

/// What a start-up hook gets.
pub(crate) struct Startup<'c> {
    pub(crate) pools: Pools<'c>,
    /// The main server.
    pub(crate) server: Server<'c>,
}

macro_rules! request_hooks {
    ($($(#[$doc:meta])* $name:ident $entry:ident $register:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name<F: Fn(&mut Request<'_>) -> Answer + ByType>(_f: F, place: Place) {
            unsafe extern "C" fn $entry<F: Fn(&mut Request<'_>) -> Answer + ByType>(request: *mut raw::request_rec) -> c_int {
                boundary(stringify!($name), || {
                    // SAFETY: httpd lends a live request for the call, and a value of `F` was given to register this.
                    unsafe { serve::<F>(stringify!($name), request) }
                })
                .into_raw()
            }
            // SAFETY: httpd copies all but the lists of names, which are static (`Place`).
            unsafe { raw::$register(Some($entry::<F>), place.after, place.before, place.order) };
        }
    )*};
}

request_hooks! {
    /// From URL to file name: the first that answers OK decides.
    translate_name on_translate_name ap_hook_translate_name;
    /// From file name to what is there (the directory walk).
    map_to_storage on_map_to_storage ap_hook_map_to_storage;
    /// Which type and handler: the first that answers OK decides.
    type_checker on_type_checker ap_hook_type_checker;
    /// Last changes before the handler; all run.
    fixups on_fixups ap_hook_fixups;
    /// Makes the response: the first that does not decline.
    handler on_handler ap_hook_handler;
}

/// # Safety
/// * `request` is NULL or a live request of this thread.
/// * `F` has a value.
unsafe fn serve<F: Fn(&mut Request<'_>) -> Answer + ByType>(
    hook: &'static str,
    request: *mut raw::request_rec,
) -> Answer {
    // SAFETY: this function's contract.
    let f = unsafe { by_type::<F>() };
    let serve = |request: &mut Request<'_>| {
        let answer = attempt(hook, || f(request));
        if request.is_answered() {
            return Answer::ANSWERED;
        }
        if let Some(answer) = answer {
            return answer;
        }
        if request.has_begun_output() {
            // An error document behind half a response would look like a whole one.
            request.cut_off();
            return Answer::OK;
        }
        Answer::ANSWER
    };
    // SAFETY: this function's contract.
    unsafe { Request::lend(request, serve) }.unwrap_or(Answer::ANSWER)
}

/// After each request, in the order of the modules' names; nothing it does can change the response.
pub(crate) fn log_transaction<F: Fn(&mut Request<'_>) + ByType>(_f: F, place: Place) {
    unsafe extern "C" fn on_log_transaction<F: Fn(&mut Request<'_>) + ByType>(request: *mut raw::request_rec) -> c_int {
        boundary("log_transaction", || {
            // SAFETY: a value of `F` was given to register this.
            let f = unsafe { by_type::<F>() };
            // SAFETY: httpd lends a live request for the call.
            let _: Option<()> = unsafe { Request::lend(request, |request| f(request)) };
        });
        Answer::DECLINED.into_raw()
    }
    // SAFETY: httpd copies all but the lists of names, which are static (`Place`).
    unsafe { raw::ap_hook_log_transaction(Some(on_log_transaction::<F>), place.after, place.before, place.order) };
}

/// Before the configuration is read. In the parent, for both readings at start and again at each restart.
pub(crate) fn pre_config<F: Fn(&Pools<'_>) -> Started + ByType>(_f: F, place: Place) {
    unsafe extern "C" fn on_pre_config<F: Fn(&Pools<'_>) -> Started + ByType>(
        config: *mut raw::apr_pool_t,
        log: *mut raw::apr_pool_t,
        temp: *mut raw::apr_pool_t,
    ) -> c_int {
        boundary("pre_config", || {
            // SAFETY: httpd lends live pools for the call, on the parent's only thread.
            let pools = unsafe { Pools::from_raw(config, log, temp) };
            // SAFETY: a value of `F` was given to register this.
            let f = unsafe { by_type::<F>() };
            pools.map_or(Started::Refused, |pools| f(&pools))
        })
        .into_raw()
    }
    // SAFETY: httpd copies all but the lists of names, which are static (`Place`).
    unsafe { raw::ap_hook_pre_config(Some(on_pre_config::<F>), place.after, place.before, place.order) };
}

macro_rules! startup_hooks {
    ($($(#[$doc:meta])* $name:ident $entry:ident $register:ident $prepare:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name<F: Fn(&Startup<'_>) -> Started + ByType>(_f: F, place: Place) {
            unsafe extern "C" fn $entry<F: Fn(&Startup<'_>) -> Started + ByType>(
                config: *mut raw::apr_pool_t,
                log: *mut raw::apr_pool_t,
                temp: *mut raw::apr_pool_t,
                server: *mut raw::server_rec,
            ) -> c_int {
                boundary(stringify!($name), || {
                    // SAFETY: httpd lends live pools for the call, on the parent's only thread.
                    let pools = unsafe { Pools::from_raw(config, log, temp) };
                    // SAFETY: httpd lends the main server for the call.
                    let server = unsafe { Server::from_raw(server) };
                    // SAFETY: a value of `F` was given to register this.
                    let f = unsafe { by_type::<F>() };
                    match (pools, server) {
                        (Some(pools), Some(server)) => {
                            let startup = Startup { pools, server };
                            $prepare(&startup);
                            f(&startup)
                        }
                        _ => Started::Refused,
                    }
                })
                .into_raw()
            }
            // SAFETY: httpd copies all but the lists of names, which are static (`Place`).
            unsafe { raw::$register(Some($entry::<F>), place.after, place.before, place.order) };
        }
    )*};
}

startup_hooks! {
    /// Once the configuration is read: is it whole? Messages still go to the terminal.
    check_config on_check_config ap_hook_check_config |_: &Startup<'_>| ();
    /// When the logs are opened.
    open_logs on_open_logs ap_hook_open_logs |_: &Startup<'_>| ();
    /// With logs open, before children start: twice at start (`server::main_state` tells), once at each restart.
    /// From here on `log_main` writes to the main server.
    post_config on_post_config ap_hook_post_config serve_main;
}

/// `log_main` writes to this start-up's main server until its configuration goes.
fn serve_main(startup: &Startup<'_>) {
    log::remember_main(startup.server);
    startup.pools.config.on_cleanup(log::forget_main);
}

/// `httpd -t`, behind the configuration: may print what it makes of it.
pub(crate) fn test_config<F: Fn(&Server<'_>) + ByType>(_f: F, place: Place) {
    unsafe extern "C" fn on_test_config<F: Fn(&Server<'_>) + ByType>(
        _config: *mut raw::apr_pool_t,
        server: *mut raw::server_rec,
    ) {
        boundary("test_config", || {
            // SAFETY: a value of `F` was given to register this.
            let f = unsafe { by_type::<F>() };
            // SAFETY: httpd lends the main server for the call.
            if let Some(server) = unsafe { Server::from_raw(server) } {
                f(&server);
            }
        });
    }
    // SAFETY: httpd copies all but the lists of names, which are static (`Place`).
    unsafe { raw::ap_hook_test_config(Some(on_test_config::<F>), place.after, place.before, place.order) };
}

/// A child begins, before it serves: its pool, whose clean-ups are the child's end, and the main server. From here on panics are
/// logged with their line.
pub(crate) fn child_init<F: Fn(Pool<'_>, &Server<'_>) + ByType>(_f: F, place: Place) {
    unsafe extern "C" fn on_child_init<F: Fn(Pool<'_>, &Server<'_>) + ByType>(
        child: *mut raw::apr_pool_t,
        server: *mut raw::server_rec,
    ) {
        boundary("child_init", || {
            // SAFETY: a value of `F` was given to register this.
            let f = unsafe { by_type::<F>() };
            // SAFETY: httpd lends a pool that lives as long as the child, on its main thread.
            let child = unsafe { Pool::from_raw(child) };
            // SAFETY: httpd lends the main server, which lives as long as the child.
            let server = unsafe { Server::from_raw(server) };
            if let (Some(child), Some(server)) = (child, server) {
                log::remember_main(server);
                watch_panics();
                f(child, &server);
            }
        });
    }
    // SAFETY: httpd copies all but the lists of names, which are static (`Place`).
    unsafe { raw::ap_hook_child_init(Some(on_child_init::<F>), place.after, place.before, place.order) };
}

/// A child is told to stop; `true`: gracefully, requests in flight go on.
pub(crate) fn child_stopping<F: Fn(bool) + ByType>(_f: F, place: Place) {
    unsafe extern "C" fn on_child_stopping<F: Fn(bool) + ByType>(_child: *mut raw::apr_pool_t, graceful: c_int) {
        boundary("child_stopping", || {
            // SAFETY: a value of `F` was given to register this.
            let f = unsafe { by_type::<F>() };
            f(graceful != 0);
        });
    }
    // SAFETY: httpd copies all but the lists of names, which are static (`Place`).
    unsafe { raw::ap_hook_child_stopping(Some(on_child_stopping::<F>), place.after, place.before, place.order) };
}
