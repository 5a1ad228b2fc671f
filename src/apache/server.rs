//! A server of httpd's configuration, and what httpd says about itself: MPM, state, version line.

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::time::Duration;

use super::boundary::attempt;
use super::config_record::{Typed, slot};
use super::pool::{InnerNul, Pool, bytes};
use crate::bindings as raw;

/// The main server or a virtual host, alive for `'s`. Read only; any thread of the process may read it once the child serves.
#[derive(Clone, Copy)]
pub(crate) struct Server<'s> {
    raw: NonNull<raw::server_rec>,
    life: PhantomData<(&'s (), *mut ())>,
}

/// What httpd as a whole is about (`AP_SQ_MAIN_STATE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MainState {
    /// Reads the configuration for the first time, to be read again.
    ReadsConfigTwice,
    /// Reads the configuration that will be served.
    ReadsConfig,
    /// Runs the MPM.
    Serves,
    /// Anything else: before, between or behind these.
    Other,
}

impl<'s> Server<'s> {
    /// # Safety
    /// * `raw` is NULL or a server that lives for `'s`.
    pub(super) unsafe fn from_raw(raw: *mut raw::server_rec) -> Option<Server<'s>> {
        NonNull::new(raw).map(|raw| Server { raw, life: PhantomData })
    }

    pub(super) fn as_raw(self) -> *mut raw::server_rec {
        self.raw.as_ptr()
    }

    /// This server and those behind it in httpd's list: given the main server, all of them.
    pub(crate) fn and_hosts(self) -> impl Iterator<Item = Server<'s>> {
        std::iter::successors(Some(self), |server| {
            // SAFETY: field invariant: a live server; a plain field read.
            let next = unsafe { (*server.as_raw()).next };
            // SAFETY: NULL or the next server, which lives as long.
            unsafe { Server::from_raw(next) }
        })
    }

    /// Our records of the main server (this one) and of the virtual hosts that have their own: to a host without a line of ours httpd
    /// gives the main server's, which would be met again for each of them.
    pub(crate) fn records<S: Send + Sync + 'static>(self) -> impl Iterator<Item = (Server<'s>, &'s S)> {
        let main = self.config::<S>();
        self.and_hosts().filter_map(move |host| {
            let record = host.config::<S>()?;
            (!host.is_virtual() || !main.is_some_and(|main| std::ptr::eq(main, record))).then_some((host, record))
        })
    }

    /// `ServerName`; `None` where none was given.
    pub(crate) fn hostname(&self) -> Option<&'s [u8]> {
        // SAFETY: field invariant: a live server; a plain field read.
        let name = unsafe { (*self.as_raw()).server_hostname };
        // SAFETY: NULL or NUL-terminated, kept with the configuration.
        unsafe { bytes(name) }
    }

    /// The port in `ServerName`, if one was written.
    pub(crate) fn port(&self) -> Option<u16> {
        // SAFETY: field invariant: a live server; a plain field read.
        let port = unsafe { (*self.as_raw()).port };
        (port != 0).then_some(port)
    }

    /// Is this a `<VirtualHost>`?
    pub(crate) fn is_virtual(&self) -> bool {
        // SAFETY: field invariant: a live server; a plain field read.
        unsafe { (*self.as_raw()).is_virtual != 0 }
    }

    /// `ServerAdmin`.
    pub(crate) fn admin(&self) -> Option<&'s [u8]> {
        // SAFETY: field invariant: a live server; a plain field read.
        let admin = unsafe { (*self.as_raw()).server_admin };
        // SAFETY: NULL or NUL-terminated, kept with the configuration.
        unsafe { bytes(admin) }
    }

    /// Our record of this server.
    pub(crate) fn config<S: Send + Sync + 'static>(&self) -> Option<&'s S> {
        // SAFETY: field invariant: a live server; a plain field read.
        let vector = unsafe { (*self.as_raw()).module_config };
        // SAFETY: httpd's vector of a live server.
        let kept = unsafe { slot(vector) };
        // SAFETY: our slot holds only what `Typed::keep` answered, for as long as the configuration.
        let found = unsafe { Typed::<S>::find(kept) }?;
        // SAFETY: as above; directives change it before the server serves only.
        Some(unsafe { found.as_ref() })
    }

    /// Is this the same server as `other`? By its address, which children have from the parent.
    pub(crate) fn address(&self) -> usize {
        self.raw.as_ptr().addr()
    }

    /// `Timeout`.
    pub(crate) fn timeout(&self) -> Duration {
        // SAFETY: field invariant: a live server; a plain field read.
        let microseconds = unsafe { (*self.as_raw()).timeout };
        Duration::from_micros(u64::try_from(microseconds).unwrap_or(0))
    }

    /// The level from which on this module's records are shown here, as httpd counts: 3 error .. 7 debug, 8 trace1.
    pub(crate) fn log_level(&self) -> u8 {
        u8::try_from(super::log::server_level(*self)).unwrap_or(0)
    }

    /// The pool that lives as long as the parent, over all restarts.
    pub(super) fn process_pool(&self) -> Option<Pool<'s>> {
        // SAFETY: field invariant: a live server; a plain field read.
        let process = unsafe { (*self.as_raw()).process };
        // SAFETY: httpd's record of the process, which lives as long as that; a plain field read.
        let pool = unsafe { (*process).pool };
        // SAFETY: it lives longer than any server, and start-up hooks run on the parent's only thread.
        unsafe { Pool::from_raw(pool) }
    }

    /// The `Server` header's text, as `ServerTokens` allows.
    pub(crate) fn banner(&self) -> &'s [u8] {
        // SAFETY: may be called at any time.
        let banner = unsafe { raw::ap_get_server_banner() };
        // SAFETY: httpd keeps it as long as the configuration, so as long as this server.
        unsafe { bytes(banner) }.unwrap_or_default()
    }
}

/// A path of the configuration, made absolute below `ServerRoot`; `None` where it can't be.
///
/// # Errors
/// A NUL inside.
pub(crate) fn server_root_relative<'p>(pool: Pool<'p>, path: &[u8]) -> Result<Option<&'p [u8]>, InnerNul> {
    let path = pool.copy_cstring(path)?;
    // SAFETY: a live pool and a NUL-terminated text.
    let full = unsafe { raw::ap_server_root_relative(pool.as_raw(), path.as_ptr()) };
    // SAFETY: NULL or NUL-terminated in the pool.
    Ok(unsafe { bytes(full) })
}

/// Adds "name/version" to the `Server` header and banner, from post_config on the configuration's pool, where `ServerTokens` allows.
pub(crate) fn add_version_component(pconf: Pool<'_>, component: &CStr) {
    // SAFETY: a live pool; httpd copies the text.
    unsafe { raw::ap_add_version_component(pconf.as_raw(), component.as_ptr()) };
}

/// The version of httpd whose headers this module was built with.
pub(crate) const BUILT_FOR: (u32, u32, u32) =
    (raw::AP_SERVER_MAJORVERSION_NUMBER, raw::AP_SERVER_MINORVERSION_NUMBER, raw::AP_SERVER_PATCHLEVEL_NUMBER);

/// All that httpd says of itself, whatever `ServerTokens` allows.
pub(crate) fn description() -> Vec<u8> {
    // SAFETY: may be called at any time.
    let description = unsafe { raw::ap_get_server_description() };
    // SAFETY: httpd keeps it as long as the configuration; copied at once.
    unsafe { bytes(description) }.unwrap_or_default().to_vec()
}

/// When httpd was built.
pub(crate) fn built() -> &'static [u8] {
    // SAFETY: may be called at any time.
    let built = unsafe { raw::ap_get_server_built() };
    // SAFETY: a constant of httpd's.
    unsafe { bytes(built) }.unwrap_or_default()
}

/// The name of the MPM.
pub(crate) fn mpm_name() -> &'static [u8] {
    // SAFETY: may be called at any time.
    let name = unsafe { raw::ap_show_mpm() };
    // SAFETY: a constant of the MPM's, which stays loaded while it runs.
    unsafe { bytes(name) }.unwrap_or_default()
}

/// Where httpd is in its life.
pub(crate) fn main_state() -> MainState {
    // SAFETY: may be called at any time.
    let state = unsafe { raw::ap_state_query(raw::AP_SQ_MAIN_STATE as c_int) };
    match u32::try_from(state) {
        Ok(raw::AP_SQ_MS_CREATE_PRE_CONFIG) => MainState::ReadsConfigTwice,
        Ok(raw::AP_SQ_MS_CREATE_CONFIG) => MainState::ReadsConfig,
        Ok(raw::AP_SQ_MS_RUN_MPM) => MainState::Serves,
        _ => MainState::Other,
    }
}

/// Does httpd only test its configuration (`-t`) or print it (`-S`, `-D DUMP_...`)?
pub(crate) fn only_tests_config() -> bool {
    // SAFETY: may be called at any time.
    let mode = unsafe { raw::ap_state_query(raw::AP_SQ_RUN_MODE as c_int) };
    matches!(u32::try_from(mode), Ok(raw::AP_SQ_RM_CONFIG_TEST | raw::AP_SQ_RM_CONFIG_DUMP))
}

/// Is parent and child one process (`httpd -X`)?
pub(crate) fn is_single_process() -> bool {
    // `-X` is `-D DEBUG`, which implies one process.
    [c"ONE_PROCESS", c"DEBUG"].into_iter().any(|define| {
        // SAFETY: looks up a name in httpd's own list.
        unsafe { raw::ap_exists_config_define(define.as_ptr()) != 0 }
    })
}

/// How many children at once the MPM may have; `None` where it does not say, as before the configuration is read.
pub(crate) fn max_daemons() -> Option<u32> {
    query(raw::AP_MPMQ_MAX_DAEMONS).and_then(|count| u32::try_from(count).ok())
}

/// How many children may live at once, those that are still ending counted.
pub(crate) fn child_limit() -> Option<u32> {
    query(raw::AP_MPMQ_HARD_LIMIT_DAEMONS).and_then(|count| u32::try_from(count).ok())
}

/// How many threads a child may have, in any configuration until httpd is started anew.
pub(crate) fn thread_limit() -> Option<u32> {
    query(raw::AP_MPMQ_HARD_LIMIT_THREADS).and_then(|count| u32::try_from(count).ok())
}

/// How many request threads a child has; 0 where the MPM has no threads.
pub(crate) fn max_threads() -> Option<u32> {
    query(raw::AP_MPMQ_MAX_THREADS).and_then(|count| u32::try_from(count).ok())
}

/// Does a child serve several requests at once, in threads?
pub(crate) fn is_threaded() -> bool {
    query(raw::AP_MPMQ_IS_THREADED).is_some_and(|kind| u32::try_from(kind) != Ok(raw::AP_MPMQ_NOT_SUPPORTED))
}

/// Does the MPM keep connections, between requests, without a thread for each?
pub(crate) fn is_async() -> bool {
    query(raw::AP_MPMQ_IS_ASYNC).is_some_and(|kind| kind != 0)
}

/// Has a thread of the MPM's run `work` after about so long. False where the MPM has no timers (worker, prefork). What is still to come when
/// the child ends is not run. For any thread of a child that serves.
pub(crate) fn after(delay: Duration, work: fn()) -> bool {
    let delay = raw::apr_time_t::try_from(delay.as_micros()).unwrap_or(raw::apr_time_t::MAX);
    let baton = Box::into_raw(Box::new(work));
    // SAFETY: `run_timer` takes the baton, once, or nobody does.
    let status = unsafe { raw::ap_mpm_register_timed_callback(delay, Some(run_timer), baton.cast()) };
    if status != 0 {
        // SAFETY: made above, and not taken.
        drop(unsafe { Box::from_raw(baton) });
    }
    status == 0
}

unsafe extern "C" fn run_timer(baton: *mut c_void) {
    // SAFETY: what `after` has made; the MPM gives it once.
    let work = unsafe { Box::from_raw(baton.cast::<fn()>()) };
    attempt("timer", *work);
}

fn query(code: u32) -> Option<c_int> {
    let mut answer: c_int = 0;
    // SAFETY: `answer` is a place for one number.
    let status = unsafe { raw::ap_mpm_query(code as c_int, &raw mut answer) };
    (status == 0).then_some(answer)
}
