//! httpd's parent as a process: what it keeps over restarts, whom it is, how it ends, and the children that are not the MPM's.
//!
//! All of it in the parent, on its only thread. httpd unloads the module at each restart, so what is kept is bytes, never values with
//! functions behind them.

use std::ffi::{CStr, OsStr, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::ptr;

use super::boundary::boundary;
use super::entry::{ByType, by_type};
use super::pool::{InnerNul, Pool, bytes};
use super::server::Server;
use crate::bindings as raw;

/// Our entry in the process's pool.
const KEPT: &CStr = c"mod_wsgi-rs";

/// Bytes that outlive the configuration, as `keep` left them; nothing before the first time.
pub(crate) fn kept(server: Server<'_>) -> Option<Vec<u8>> {
    let pool = server.process_pool()?;
    let kept = Block::find(pool)?;
    Some(kept.bytes())
}

/// Keeps bytes for as long as this parent lives, in place of those before.
pub(crate) fn keep(server: Server<'_>, kept: &[u8]) {
    let Some(pool) = server.process_pool() else { return };
    let before = Block::find(pool);
    let Some(block) = Block::of(kept) else { return };
    // SAFETY: a live pool, which copies the key; without a clean-up, so nothing of this image is called later.
    let status = unsafe { raw::apr_pool_userdata_set(block.0.cast(), KEPT.as_ptr(), None, pool.as_raw()) };
    match (status, before) {
        // SAFETY: from `of`, and nobody knows it any more: the pool has another now.
        (0, Some(before)) => unsafe { libc::free(before.0.cast()) },
        (0, None) => {}
        // SAFETY: from `of`, and the pool did not take it.
        _ => unsafe { libc::free(block.0.cast()) },
    }
}

/// A length and so many bytes behind it, in C's memory, since Rust's statics and values end with the image.
struct Block(*mut u8);

const LENGTH: usize = size_of::<usize>();

impl Block {
    fn find(pool: Pool<'_>) -> Option<Block> {
        let mut found: *mut c_void = ptr::null_mut();
        // SAFETY: a live pool, and a place for one pointer.
        unsafe { raw::apr_pool_userdata_get(&raw mut found, KEPT.as_ptr(), pool.as_raw()) };
        (!found.is_null()).then_some(Block(found.cast()))
    }

    fn of(content: &[u8]) -> Option<Block> {
        // SAFETY: asks for memory.
        let block: *mut u8 = unsafe { libc::malloc(LENGTH + content.len()) }.cast();
        if block.is_null() {
            return None;
        }
        let length = content.len().to_ne_bytes();
        // SAFETY: room for the length was asked for.
        unsafe { ptr::copy_nonoverlapping(length.as_ptr(), block, LENGTH) };
        // SAFETY: the block is longer than its length's place.
        let behind = unsafe { block.add(LENGTH) };
        // SAFETY: room for the content was asked for, behind the length.
        unsafe { ptr::copy_nonoverlapping(content.as_ptr(), behind, content.len()) };
        Some(Block(block))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut length = [0; LENGTH];
        // SAFETY: each block begins with its length.
        unsafe { ptr::copy_nonoverlapping(self.0, length.as_mut_ptr(), LENGTH) };
        // SAFETY: the block is longer than its length's place.
        let behind = unsafe { self.0.add(LENGTH) };
        // SAFETY: so many bytes are behind it.
        unsafe { std::slice::from_raw_parts(behind, usize::from_ne_bytes(length)) }.to_vec()
    }
}

/// Is what ends now a configuration only, to be followed by the next while children finish their requests (graceful)? Otherwise httpd
/// stops, or restarts at once.
pub(crate) fn is_graceful_restart() -> bool {
    // SAFETY: may be called at any time.
    let state = unsafe { raw::ap_state_query(raw::AP_SQ_MAIN_STATE as c_int) };
    // SAFETY: httpd's own record, which lives as long as the process.
    let retained = unsafe { raw::ap_unixd_mpm_get_retained_data() };
    if u32::try_from(state) != Ok(raw::AP_SQ_MS_DESTROY_CONFIG) || retained.is_null() {
        return false;
    }
    // SAFETY: as above; signal handlers write it, so it is read once and as it is.
    unsafe { (&raw const (*retained).is_ungraceful).read_volatile() == 0 }
}

/// `User` and `Group` of the whole server, as numbers.
pub(crate) fn user_and_group() -> (u32, u32) {
    let config = &raw const raw::ap_unixd_config;
    // SAFETY: httpd's own record; directives wrote it in the same thread.
    let user = unsafe { (*config).user_id };
    // SAFETY: as above.
    let group = unsafe { (*config).group_id };
    (user, group)
}

/// A path below httpd's directory for run-time files.
///
/// # Errors
/// A NUL inside.
pub(crate) fn in_runtime_dir(pool: Pool<'_>, name: &[u8]) -> Result<Option<PathBuf>, InnerNul> {
    let name = pool.copy_cstring(name)?;
    // SAFETY: a live pool and a NUL-terminated text.
    let path = unsafe { raw::ap_runtime_dir_relative(pool.as_raw(), name.as_ptr()) };
    // SAFETY: NULL or NUL-terminated in the pool.
    Ok(unsafe { bytes(path) }.map(path_of))
}

/// The file that this module was loaded from.
pub(crate) fn own_file() -> Option<PathBuf> {
    let here: *const c_void = (own_file as fn() -> Option<PathBuf> as *const ()).cast();
    let mut found = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: an address of this image, and room for the answer.
    if unsafe { libc::dladdr(here, found.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: the loader has filled it.
    let found = unsafe { found.assume_init() };
    // SAFETY: the loader's own text, which lives as long as the image.
    unsafe { bytes(found.dli_fname) }.map(path_of)
}

fn path_of(path: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path))
}

/// Calls `f` when the process `pid`, a child of this one, has ended while this configuration serves. httpd does the waiting.
pub(crate) fn on_end_of<F: Fn() + ByType>(_f: F, pid: i32, config: Pool<'_>) {
    unsafe extern "C" fn on_other_child<F: Fn() + ByType>(reason: c_int, _data: *mut c_void, _status: c_int) {
        boundary("other_child", || {
            // Not at a restart, and not when the configuration goes: the process may outlive both.
            if matches!(u32::try_from(reason), Ok(raw::APR_OC_REASON_DEATH | raw::APR_OC_REASON_LOST)) {
                // SAFETY: a value of `F` was given to register this.
                let f = unsafe { by_type::<F>() };
                f();
            }
        });
    }
    // SAFETY: a live pool; there is memory, or httpd ends, as it has set APR up.
    let process: *mut raw::apr_proc_t =
        unsafe { raw::apr_palloc(config.as_raw(), size_of::<raw::apr_proc_t>()) }.cast();
    // SAFETY: a record of C's, which may be all zero.
    let mut record: raw::apr_proc_t = unsafe { std::mem::zeroed() };
    record.pid = pid;
    // SAFETY: room for one was asked for.
    unsafe { process.write(record) };
    // SAFETY: the record lives in the pool with which APR forgets it, before httpd unloads this image.
    unsafe {
        raw::apr_proc_other_child_register(
            process,
            Some(on_other_child::<F>),
            process.cast(),
            ptr::null_mut(),
            config.as_raw(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::pool::tests::with_pool;
    use super::*;

    #[test]
    fn blocks_hold_their_bytes() {
        for content in [&b""[..], b"one", &[0; 5000]] {
            let block = Block::of(content).unwrap();
            assert_eq!(block.bytes(), content);
            // SAFETY: from `of`.
            unsafe { libc::free(block.0.cast()) };
        }
    }

    #[test]
    fn a_pool_without_our_entry_has_none() {
        with_pool(|pool| assert!(Block::find(pool).is_none()));
    }

    #[test]
    fn the_image_knows_its_file() {
        assert!(own_file().unwrap().is_file());
    }
}
