//! Our configuration records in httpd's vectors: made, merged and found by type.
//!
//! httpd makes and merges them in the parent while it reads its configuration, and merges directory records again for each request
//! (`<Location>`, `.htaccess`) on that request's thread. A record is adopted by the pool it is made for. What httpd hands back is
//! an untyped pointer, so each record begins with its type, and reading it as another type answers `None`.

use std::any::TypeId;
use std::ffi::{c_char, c_void};
use std::ptr::{self, NonNull};

use super::boundary::boundary;
use super::pool::{Pool, bytes};
use super::record;
use super::server::Server;
use crate::bindings as raw;

/// Our configuration of a directory, location, file or `.htaccess`; and of a server outside all of these.
pub(crate) trait DirRecord: Send + Sync + Sized + 'static {
    /// An empty one. `dir` is the section's name; `None` at the server's top level.
    fn create(dir: Option<&[u8]>) -> Self;
    /// What holds where `inner` stands inside `outer`.
    fn merge(outer: &Self, inner: &Self) -> Self;
}

/// Our configuration of the main server or of a virtual host.
pub(crate) trait ServerRecord: Send + Sync + Sized + 'static {
    /// An empty one for this server.
    fn create(server: &Server<'_>) -> Self;
    /// What holds in a virtual host, given the main server's.
    fn merge(main: &Self, host: &Self) -> Self;
}

/// A value that knows its type behind an untyped pointer.
#[repr(C)]
pub(super) struct Typed<T> {
    kind: TypeId,
    value: T,
}

impl<T: Send + 'static> Typed<T> {
    /// Gives a value to a pool and answers what httpd keeps.
    pub(super) fn keep(pool: Pool<'_>, value: T) -> *mut c_void {
        pool.keep(Typed { kind: TypeId::of::<T>(), value }).as_ptr().cast()
    }

    /// # Safety
    /// * `kept` is NULL or came from `Typed::<_>::keep`, of any type, and its pool is alive.
    pub(super) unsafe fn find(kept: *mut c_void) -> Option<NonNull<T>> {
        let kind = NonNull::new(kept.cast::<TypeId>())?;
        // SAFETY: every `Typed` begins with its type (repr(C)).
        if unsafe { kind.read() } != TypeId::of::<T>() {
            return None;
        }
        let typed = kept.cast::<Typed<T>>();
        // SAFETY: the type is right, so the value is there.
        NonNull::new(unsafe { &raw mut (*typed).value })
    }
}

/// Our slot in one of httpd's vectors; NULL where there is none.
///
/// # Safety
/// `vector` is NULL or a live configuration vector of httpd.
pub(super) unsafe fn slot(vector: *const raw::ap_conf_vector_t) -> *mut c_void {
    match record::loaded() {
        // SAFETY: a live vector and our loaded record.
        Some(module) if !vector.is_null() => unsafe { raw::ap_get_module_config(vector, module) },
        _ => ptr::null_mut(),
    }
}

pub(super) unsafe extern "C" fn create_dir<D: DirRecord>(pool: *mut raw::apr_pool_t, dir: *mut c_char) -> *mut c_void {
    boundary("create directory configuration", || {
        if record::refusal().is_some() {
            return ptr::null_mut();
        }
        // SAFETY: httpd lends a live pool for the call, on this thread.
        let Some(pool) = (unsafe { Pool::from_raw(pool) }) else { return ptr::null_mut() };
        // SAFETY: httpd gives NULL or the section's name, alive for the call.
        let dir = unsafe { bytes(dir) };
        Typed::keep(pool, D::create(dir))
    })
}

pub(super) unsafe extern "C" fn create_server<S: ServerRecord>(
    pool: *mut raw::apr_pool_t,
    server: *mut raw::server_rec,
) -> *mut c_void {
    boundary("create server configuration", || {
        if record::refusal().is_some() {
            return ptr::null_mut();
        }
        // SAFETY: httpd lends a live pool for the call, on this thread.
        let pool = unsafe { Pool::from_raw(pool) };
        // SAFETY: httpd lends a live server for the call.
        let server = unsafe { Server::from_raw(server) };
        match (pool, server) {
            (Some(pool), Some(server)) => Typed::keep(pool, S::create(&server)),
            _ => ptr::null_mut(),
        }
    })
}

pub(super) unsafe extern "C" fn merge_dir<D: DirRecord>(
    pool: *mut raw::apr_pool_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_void {
    boundary("merge directory configuration", || {
        // SAFETY: httpd lends a live pool, and both are what `create_dir::<D>` or this function answered.
        unsafe { merge(pool, outer, inner, D::merge) }
    })
}

pub(super) unsafe extern "C" fn merge_server<S: ServerRecord>(
    pool: *mut raw::apr_pool_t,
    main: *mut c_void,
    host: *mut c_void,
) -> *mut c_void {
    boundary("merge server configuration", || {
        // SAFETY: httpd lends a live pool, and both are what `create_server::<S>` or this function answered.
        unsafe { merge(pool, main, host, S::merge) }
    })
}

/// # Safety
/// * `pool` is NULL or lives, on this thread, for the call.
/// * `outer` and `inner` are as for `Typed::find`, and not changed meanwhile.
unsafe fn merge<T: Send + 'static>(
    pool: *mut raw::apr_pool_t,
    outer: *mut c_void,
    inner: *mut c_void,
    merge: impl FnOnce(&T, &T) -> T,
) -> *mut c_void {
    // SAFETY: this function's contract.
    let pool = unsafe { Pool::from_raw(pool) };
    // SAFETY: this function's contract.
    let outer_value = unsafe { Typed::<T>::find(outer) };
    // SAFETY: this function's contract.
    let inner_value = unsafe { Typed::<T>::find(inner) };
    match (pool, outer_value, inner_value) {
        (Some(pool), Some(outer), Some(inner)) => {
            // SAFETY: `find` answers a live value; nobody changes it while httpd merges.
            let outer = unsafe { outer.as_ref() };
            // SAFETY: as above.
            let inner = unsafe { inner.as_ref() };
            Typed::keep(pool, merge(outer, inner))
        }
        // Only where making one of them broke: the other holds.
        (_, Some(_), _) => outer,
        _ => inner,
    }
}

#[cfg(test)]
mod tests {
    use super::super::pool::tests::with_pool;
    use super::*;

    struct Dir(Vec<u8>);

    impl DirRecord for Dir {
        fn create(dir: Option<&[u8]>) -> Dir {
            Dir(dir.unwrap_or(b"top").to_vec())
        }

        fn merge(outer: &Dir, inner: &Dir) -> Dir {
            Dir([&outer.0[..], b">", &inner.0].concat())
        }
    }

    #[test]
    fn records_are_made_merged_and_found_by_their_type_only() {
        with_pool(|pool| {
            // SAFETY: a live pool; NULL stands for the top level.
            let outer = unsafe { create_dir::<Dir>(pool.as_raw(), ptr::null_mut()) };
            // SAFETY: a live pool; httpd does not write the name either.
            let inner = unsafe { create_dir::<Dir>(pool.as_raw(), c"/x".as_ptr().cast_mut()) };
            // SAFETY: both made above.
            let merged = unsafe { merge_dir::<Dir>(pool.as_raw(), outer, inner) };
            // SAFETY: made above.
            let found = unsafe { Typed::<Dir>::find(merged) }.unwrap();
            // SAFETY: the pool is alive.
            assert_eq!(unsafe { found.as_ref() }.0, b"top>/x");
            // SAFETY: made above, of another type.
            assert!(unsafe { Typed::<u8>::find(merged) }.is_none());
            // SAFETY: NULL is allowed.
            assert!(unsafe { Typed::<Dir>::find(ptr::null_mut()) }.is_none());
        });
    }
}
