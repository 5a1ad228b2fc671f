//! httpd's parent as a process: what it keeps over restarts, whom it is, how it ends, and the children that are not the MPM's.
//!
//! All of it in the parent, on its only thread. httpd unloads the module at each restart, so what is kept is bytes and descriptors, never
//! values with functions behind them.

use std::ffi::{CStr, OsStr, c_int, c_void};
use std::os::fd::{AsRawFd as _, FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use super::boundary::boundary;
use super::entry::{ByType, by_type};
use super::pool::{InnerNul, Pool, bytes};
use super::server::Server;
use crate::bindings as raw;

/// Our entry in the process's pool.
const KEPT: &CStr = c"mod_wsgi-rs";

/// The process's pool, from check_config on.
static POOL: AtomicPtr<raw::apr_pool_t> = AtomicPtr::new(ptr::null_mut());

/// The configuration's pool, from post_config until it goes.
static CONFIG: AtomicPtr<raw::apr_pool_t> = AtomicPtr::new(ptr::null_mut());

/// Remembers the pool that outlives all configurations.
pub(super) fn remember_pool(server: Server<'_>) {
    if let Some(pool) = server.process_pool() {
        POOL.store(pool.as_raw(), Ordering::Release);
    }
}

/// The same, and for as long as it lives that of this configuration.
pub(super) fn remember_pools(server: Server<'_>, config: Pool<'_>) {
    remember_pool(server);
    CONFIG.store(config.as_raw(), Ordering::Release);
    config.on_cleanup(|| CONFIG.store(ptr::null_mut(), Ordering::Release));
}

/// What outlives the configuration.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// Takes out what `keep` kept; nothing the first time. From check_config on, in the parent.
pub(crate) fn take_kept() -> Option<Kept> {
    let pool = pool()?;
    let block = block(pool)?;
    set(pool, ptr::null_mut());
    // SAFETY: our entry holds only what `keep` put there, and it holds that no more.
    Some(unsafe { unpack(block) })
}

/// Whether there is something that `keep` kept: a restart, then.
pub(crate) fn has_kept() -> bool {
    pool().and_then(block).is_some()
}

fn block(pool: Pool<'_>) -> Option<NonNull<u8>> {
    let mut found: *mut c_void = ptr::null_mut();
    // SAFETY: a live pool, and a place for one pointer.
    unsafe { raw::apr_pool_userdata_get(&raw mut found, KEPT.as_ptr(), pool.as_raw()) };
    NonNull::new(found.cast())
}

/// Keeps it until `take_kept`, for as long as this parent lives. At the end of a configuration, in the parent.
pub(crate) fn keep(kept: Kept) {
    let Some(pool) = pool() else { return };
    drop(take_kept());
    if let Some(block) = pack(kept) {
        set(pool, block.as_ptr());
    }
}

fn pool() -> Option<Pool<'static>> {
    // SAFETY: NULL, or the process's pool, which lives as long as the process; start-up and clean-ups run on the parent's only thread.
    unsafe { Pool::from_raw(POOL.load(Ordering::Acquire)) }
}

fn set(pool: Pool<'_>, block: *mut u8) {
    // SAFETY: a live pool, which copies the key; without a clean-up, so that nothing of this image is called later.
    unsafe { raw::apr_pool_userdata_set(block.cast(), KEPT.as_ptr(), None, pool.as_raw()) };
}

const WORD: usize = size_of::<usize>();

/// In C's memory, since Rust's values end with the image: length of all, number of descriptors, these, the bytes.
fn pack(kept: Kept) -> Option<NonNull<u8>> {
    let numbers: Vec<u8> =
        kept.descriptors.iter().flat_map(|descriptor| descriptor.as_raw_fd().to_ne_bytes()).collect();
    let length = 2 * WORD + numbers.len() + kept.bytes.len();
    let whole = [&length.to_ne_bytes()[..], &kept.descriptors.len().to_ne_bytes(), &numbers, &kept.bytes].concat();
    // SAFETY: asks for memory.
    let block: *mut u8 = unsafe { libc::malloc(whole.len()) }.cast();
    let block = NonNull::new(block)?;
    // SAFETY: room for that was asked for.
    unsafe { ptr::copy_nonoverlapping(whole.as_ptr(), block.as_ptr(), whole.len()) };
    // The block owns them now.
    for descriptor in kept.descriptors {
        let _ = descriptor.into_raw_fd();
    }
    Some(block)
}

/// # Safety
/// * `block` comes from `pack`, of this image or one before, and is used no more.
unsafe fn unpack(block: NonNull<u8>) -> Kept {
    let mut length = [0; WORD];
    // SAFETY: this function's contract: each block begins with its length.
    unsafe { ptr::copy_nonoverlapping(block.as_ptr(), length.as_mut_ptr(), WORD) };
    // SAFETY: this function's contract: so long is the block.
    let whole = unsafe { std::slice::from_raw_parts(block.as_ptr(), usize::from_ne_bytes(length)) }.to_vec();
    // SAFETY: this function's contract; the copy is ours.
    unsafe { libc::free(block.as_ptr().cast()) };
    let rest = whole.get(WORD..).unwrap_or_default();
    let Some((count, rest)) = rest.split_first_chunk() else { return Kept::default() };
    let (numbers, bytes) = rest.split_at((usize::from_ne_bytes(*count) * size_of::<i32>()).min(rest.len()));
    let (numbers, _) = numbers.as_chunks();
    let descriptors = numbers.iter().map(|number| {
        // SAFETY: `pack` gave the block these descriptors to own, and no other value has them.
        unsafe { OwnedFd::from_raw_fd(i32::from_ne_bytes(*number)) }
    });
    Kept { descriptors: descriptors.collect(), bytes: bytes.to_vec() }
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
    // SAFETY: as above.
    let pending = unsafe { &raw const (*retained).restart_pending };
    // SAFETY: as above; signal handlers write it, so it is read once and as it is.
    let pending = unsafe { pending.read_volatile() } != 0;
    // SAFETY: as above.
    let ungraceful = unsafe { &raw const (*retained).is_ungraceful };
    // SAFETY: as above.
    let ungraceful = unsafe { ungraceful.read_volatile() } != 0;
    // SAFETY: as above; a plain field.
    let was_graceful = unsafe { (*retained).was_graceful } != 0;
    // httpd's own clean-up of the configuration, which runs ahead of ours, moves the answer (os/unix/unixd.c).
    if pending { !ungraceful } else { was_graceful }
}

/// Has httpd been told to stop or restart, and is about to? With some MPMs our children get the same signal.
pub(crate) fn is_ending() -> bool {
    // SAFETY: httpd's own record, which lives as long as the process.
    let retained = unsafe { raw::ap_unixd_mpm_get_retained_data() };
    if retained.is_null() {
        return false;
    }
    // SAFETY: as above.
    let stop = unsafe { &raw const (*retained).shutdown_pending };
    // SAFETY: as above.
    let restart = unsafe { &raw const (*retained).restart_pending };
    [stop, restart].into_iter().any(|pending| {
        // SAFETY: as above; signal handlers write it, so it is read as it is.
        unsafe { pending.read_volatile() != 0 }
    })
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
pub(crate) fn on_end_of<F: Fn() + ByType>(_f: F, pid: i32) {
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
    // SAFETY: NULL, or the pool of the configuration, which takes itself back before it goes; the parent has one thread.
    let Some(config) = (unsafe { Pool::from_raw(CONFIG.load(Ordering::Acquire)) }) else { return };
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
    fn a_block_holds_bytes_and_descriptors() {
        for (content, count) in [(&b""[..], 0), (b"one", 1), (&[0; 5000], 3)] {
            let descriptors = (0..count).map(|_| std::fs::File::open("/dev/null").unwrap().into()).collect();
            let block = pack(Kept { bytes: content.to_vec(), descriptors }).unwrap();
            // SAFETY: from `pack`.
            let kept = unsafe { unpack(block) };
            assert_eq!((kept.bytes.as_slice(), kept.descriptors.len()), (content, count));
            assert!(kept.descriptors.into_iter().all(|one| std::fs::File::from(one).metadata().is_ok()));
        }
    }

    #[test]
    fn what_is_kept_is_taken_once() {
        with_pool(|pool| {
            POOL.store(pool.as_raw(), Ordering::Release);
            assert!(take_kept().is_none() && !has_kept());
            keep(Kept { bytes: b"first".to_vec(), descriptors: Vec::new() });
            keep(Kept { bytes: b"second".to_vec(), descriptors: Vec::new() });
            assert!(has_kept());
            assert_eq!(take_kept().unwrap().bytes, b"second");
            assert!(take_kept().is_none());
            POOL.store(ptr::null_mut(), Ordering::Release);
        });
    }

    #[test]
    fn the_image_knows_its_file() {
        assert!(own_file().unwrap().is_file());
    }
}
