//! Registers plain functions for httpd's hooks; each runs inside a panic boundary with its arguments lent for the call.
//!
//! Called from `Module::register`, in the parent, at each load of the module. Start-up hooks run in the parent (and
//! post_config twice), `child_init` on a child's main thread, the rest on the request's thread. httpd keeps the order of hooks by module names.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

use super::boundary::{Answer, Broken, Started, attempt, boundary, watch_panics};
use super::entry::{ByType, by_type};
use super::log;
use super::pool::Pool;
use super::process;
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
    pub(crate) const LAST: Place = Place::at(raw::APR_HOOK_REALLY_LAST as c_int);

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
pub(crate) struct Pools<'c> {
    /// Lives as long as this configuration.
    pub(crate) config: Pool<'c>,
}

/// What a start-up hook gets.
pub(crate) struct Startup<'c> {
    pub(crate) pools: Pools<'c>,
    /// The main server; virtual hosts are behind it.
    pub(crate) server: Server<'c>,
}

macro_rules! request_hooks {
    ($($(#[$doc:meta])* $name:ident $entry:ident $register:path;)*) => {$(
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
            unsafe { $register(Some($entry::<F>), place.after, place.before, place.order) };
        }
    )*};
}

request_hooks! {
    /// From URL to file name: the first that answers OK decides.
    translate_name on_translate_name raw::ap_hook_translate_name;
    /// The last phase before the response is made: all are asked, unless one fails.
    fixups on_fixups raw::ap_hook_fixups;
    /// Makes the response: the first that does not decline.
    handler on_handler raw::ap_hook_handler;
    /// May this client have this resource, whoever the user is? All are asked until one says no. Internal requests count by their URI: what is
    /// asked may look at it, so httpd must not take the answer for another one.
    check_access on_check_access register_check_access;
}

/// # Safety
/// * As `ap_hook_check_access`: httpd keeps what it is given.
unsafe fn register_check_access(
    f: raw::ap_HOOK_access_checker_t,
    after: *const *const c_char,
    before: *const *const c_char,
    order: c_int,
) {
    // SAFETY: this function's contract.
    unsafe { raw::ap_hook_check_access(f, after, before, order, raw::AP_AUTH_INTERNAL_PER_URI as c_int) };
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

/// Before the configuration is read. In the parent, for both readings at start and again at each restart.
pub(super) fn pre_config<F: Fn() -> Started + ByType>(_f: F, place: Place) {
    unsafe extern "C" fn on_pre_config<F: Fn() -> Started + ByType>(
        _config: *mut raw::apr_pool_t,
        _log: *mut raw::apr_pool_t,
        _temp: *mut raw::apr_pool_t,
    ) -> c_int {
        boundary("pre_config", || {
            // SAFETY: a value of `F` was given to register this.
            let f = unsafe { by_type::<F>() };
            f()
        })
        .into_raw()
    }
    // SAFETY: httpd copies all but the lists of names, which are static (`Place`).
    unsafe { raw::ap_hook_pre_config(Some(on_pre_config::<F>), place.after, place.before, place.order) };
}

/// With logs open, before children start: twice at start (`server::main_state` tells), once at each restart.
/// From here on `log_main` writes to the main server.
pub(crate) fn post_config<F: Fn(&Startup<'_>) -> Started + ByType>(_f: F, place: Place) {
    unsafe extern "C" fn on_post_config<F: Fn(&Startup<'_>) -> Started + ByType>(
        config: *mut raw::apr_pool_t,
        _log: *mut raw::apr_pool_t,
        _temp: *mut raw::apr_pool_t,
        server: *mut raw::server_rec,
    ) -> c_int {
        boundary("post_config", || {
            // SAFETY: httpd lends a live pool for the call, on the parent's only thread.
            let config = unsafe { Pool::from_raw(config) };
            // SAFETY: httpd lends the main server for the call.
            let server = unsafe { Server::from_raw(server) };
            // SAFETY: a value of `F` was given to register this.
            let f = unsafe { by_type::<F>() };
            let (Some(config), Some(server)) = (config, server) else { return Started::Refused };
            log::remember_main(server);
            process::remember_pools(server, config);
            config.on_cleanup(log::forget_main);
            f(&Startup { pools: Pools { config }, server })
        })
        .into_raw()
    }
    // SAFETY: httpd copies all but the lists of names, which are static (`Place`).
    unsafe { raw::ap_hook_post_config(Some(on_post_config::<F>), place.after, place.before, place.order) };
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

/// With the configuration read, before logs are open: the last word on whether its parts fit together. In the parent, for both readings at
/// start, at each restart, and for `-t`.
pub(crate) fn check_config<F: Fn(&Server<'_>) -> Started + ByType>(_f: F, place: Place) {
    unsafe extern "C" fn on_check_config<F: Fn(&Server<'_>) -> Started + ByType>(
        _config: *mut raw::apr_pool_t,
        _log: *mut raw::apr_pool_t,
        _temp: *mut raw::apr_pool_t,
        server: *mut raw::server_rec,
    ) -> c_int {
        boundary("check_config", || {
            // SAFETY: a value of `F` was given to register this.
            let f = unsafe { by_type::<F>() };
            // SAFETY: httpd lends the main server for the call.
            let Some(server) = (unsafe { Server::from_raw(server) }) else { return Started::Refused };
            process::remember_pool(server);
            f(&server)
        })
        .into_raw()
    }
    // SAFETY: httpd copies all but the lists of names, which are static (`Place`).
    unsafe { raw::ap_hook_check_config(Some(on_check_config::<F>), place.after, place.before, place.order) };
}

/// `httpd -t` and `-S`, once the configuration has been read and checked: in place of `post_config`. Logs are not open.
pub(crate) fn test_config<F: Fn(&Startup<'_>) + ByType>(_f: F, place: Place) {
    unsafe extern "C" fn on_test_config<F: Fn(&Startup<'_>) + ByType>(
        config: *mut raw::apr_pool_t,
        server: *mut raw::server_rec,
    ) {
        boundary("test_config", || {
            // SAFETY: a value of `F` was given to register this.
            let f = unsafe { by_type::<F>() };
            // SAFETY: httpd lends a live pool for the call, on its only thread.
            let config = unsafe { Pool::from_raw(config) };
            // SAFETY: httpd lends the main server for the call.
            let server = unsafe { Server::from_raw(server) };
            if let (Some(config), Some(server)) = (config, server) {
                f(&Startup { pools: Pools { config }, server });
            }
        });
    }
    // SAFETY: httpd copies all but the lists of names, which are static (`Place`).
    unsafe { raw::ap_hook_test_config(Some(on_test_config::<F>), place.after, place.before, place.order) };
}

/// A child is told to end: with its requests finished (`true`), or at once. On a thread of the MPM's, requests being served.
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

/// Every ten seconds or so while the parent serves, on its only thread.
pub(crate) fn monitor<F: Fn() + ByType>(_f: F, place: Place) {
    unsafe extern "C" fn on_monitor<F: Fn() + ByType>(
        _pool: *mut raw::apr_pool_t,
        _server: *mut raw::server_rec,
    ) -> c_int {
        boundary("monitor", || {
            // SAFETY: a value of `F` was given to register this.
            let f = unsafe { by_type::<F>() };
            f();
        });
        raw::DECLINED
    }
    // SAFETY: httpd copies all but the lists of names, which are static (`Place`).
    unsafe { raw::ap_hook_monitor(Some(on_monitor::<F>), place.after, place.before, place.order) };
}
