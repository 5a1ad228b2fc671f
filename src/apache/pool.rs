//! APR's pools, lent: memory and clean-ups that live as long as a request, a configuration or a process.
//!
//! Two things go in: bytes (copied) and Rust values (adopted: their `Drop` runs as a clean-up). Clean-ups run last-in-first-out, child
//! pools first, perhaps on another thread of the process, so what goes in is `Send + 'static` and a clean-up touches only its own value.
//! A pool belongs to one thread at a time, so `Pool` is neither `Send` nor `Sync`.

use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

use super::boundary::boundary;
use crate::bindings as raw;

/// A pool that lives at least for `'p`.
#[derive(Clone, Copy)]
pub(crate) struct Pool<'p> {
    raw: NonNull<raw::apr_pool_t>,
    life: PhantomData<(&'p (), *mut ())>,
}

/// Bytes for C with a NUL inside: C would see them cut there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a NUL byte where httpd takes none")]
pub(crate) struct InnerNul;

impl<'p> Pool<'p> {
    /// # Safety
    /// * `raw` is NULL or a pool that lives for all of `'p`.
    /// * No other thread uses it meanwhile.
    pub(super) unsafe fn from_raw(raw: *mut raw::apr_pool_t) -> Option<Pool<'p>> {
        NonNull::new(raw).map(|raw| Pool { raw, life: PhantomData })
    }

    pub(super) fn as_raw(self) -> *mut raw::apr_pool_t {
        self.raw.as_ptr()
    }

    /// Copies bytes into the pool.
    pub(crate) fn copy_bytes(self, bytes: &[u8]) -> &'p [u8] {
        self.copy(bytes).to_bytes()
    }

    /// Copies a text for C into the pool.
    ///
    /// # Errors
    /// `InnerNul` rather than a cut text.
    pub(crate) fn copy_cstring(self, text: &[u8]) -> Result<&'p CStr, InnerNul> {
        if text.contains(&0) { Err(InnerNul) } else { Ok(self.copy(text).as_cstr()) }
    }

    fn copy(self, bytes: &[u8]) -> Copied<'p> {
        // SAFETY: field invariant of Pool; APR copies exactly this length and adds a NUL. Out of memory ends the process, as httpd has set APR up.
        let start = unsafe { raw::apr_pstrmemdup(self.as_raw(), bytes.as_ptr().cast(), bytes.len()) };
        Copied { start, length: bytes.len(), life: PhantomData }
    }

    /// Keeps a value until the pool goes, then drops it.
    pub(crate) fn adopt<T: Send + Sync + 'static>(self, value: T) -> &'p T {
        // SAFETY: `keep` answers a value that lives as long as the pool and that only its clean-up takes back.
        unsafe { self.keep(value).as_ref() }
    }

    /// As `adopt`, for a holder that hands out access itself.
    pub(super) fn keep<T: Send + 'static>(self, value: T) -> NonNull<T> {
        let value = NonNull::from(Box::leak(Box::new(value)));
        // SAFETY: field invariant of Pool; `drop_kept::<T>` gets exactly the box made above, once, since APR runs a clean-up once.
        // An exec'd child has no use for it: nothing runs there.
        unsafe {
            raw::apr_pool_cleanup_register(
                self.as_raw(),
                value.as_ptr().cast(),
                Some(drop_kept::<T>),
                Some(raw::apr_pool_cleanup_null),
            );
        }
        value
    }

    /// Runs `f` once, when the pool goes, inside a panic boundary.
    pub(crate) fn on_cleanup(self, f: impl FnOnce() + Send + 'static) {
        let _: NonNull<OnDrop<_>> = self.keep(OnDrop(Some(f)));
    }

    /// Keeps plain bytes under a name, in place of what was there. On the process pool they outlive the module's own unloading at a
    /// restart; each call costs its bytes until the pool goes.
    pub(crate) fn set_userdata(self, key: &CStr, bytes: &[u8]) {
        let length = bytes.len().to_ne_bytes();
        let block = self.copy(&[&length, bytes].concat());
        // SAFETY: field invariant of Pool; APR copies the key, and the block lives in the same pool. No clean-up: it would point into our code.
        let _: raw::apr_status_t =
            unsafe { raw::apr_pool_userdata_set(block.start.cast(), key.as_ptr(), None, self.as_raw()) };
    }

    /// What `set_userdata` kept under this name.
    pub(crate) fn userdata(self, key: &CStr) -> Option<&'p [u8]> {
        let mut block: *mut c_void = ptr::null_mut();
        // SAFETY: field invariant of Pool; `block` is a place for one pointer.
        let _: raw::apr_status_t = unsafe { raw::apr_pool_userdata_get(&raw mut block, key.as_ptr(), self.as_raw()) };
        let block = NonNull::new(block.cast::<u8>())?;
        // SAFETY: `set_userdata` wrote a length first; APR's alignment of 8 is not asked for.
        let length = unsafe { block.cast::<usize>().read_unaligned() };
        // SAFETY: `set_userdata` wrote one block of both.
        let bytes = unsafe { block.add(size_of::<usize>()) };
        // SAFETY: as above; the block is never written again and lives as long as the pool.
        Some(unsafe { slice::from_raw_parts(bytes.as_ptr(), length) })
    }
}

/// Bytes in a pool with a NUL behind them.
struct Copied<'p> {
    start: *mut c_char,
    length: usize,
    life: PhantomData<&'p ()>,
}

impl<'p> Copied<'p> {
    fn to_bytes(&self) -> &'p [u8] {
        // SAFETY: `Pool::copy` made this block, which is never written again and lives for `'p`.
        unsafe { slice::from_raw_parts(self.start.cast::<u8>().cast_const(), self.length) }
    }

    fn as_cstr(&self) -> &'p CStr {
        // SAFETY: as above; APR put a NUL behind.
        unsafe { CStr::from_ptr(self.start) }
    }
}

struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

/// # Safety
/// `value` comes from `Pool::keep::<T>` and was not dropped yet.
unsafe extern "C" fn drop_kept<T: Send + 'static>(value: *mut c_void) -> raw::apr_status_t {
    boundary("pool cleanup", || {
        // SAFETY: this function's contract.
        drop(unsafe { Box::from_raw(value.cast::<T>()) });
    });
    0
}

/// The bytes of a C string that lives for `'a`; `None` for NULL.
///
/// # Safety
/// `text` is NULL or NUL-terminated, and neither changed nor freed for `'a`.
pub(super) unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    if text.is_null() {
        return None;
    }
    // SAFETY: this function's contract.
    Some(unsafe { CStr::from_ptr(text) }.to_bytes())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Lends a fresh pool of APR's own; destroyed behind the call.
    pub(crate) fn with_pool<A>(f: impl FnOnce(Pool<'_>) -> A) -> A {
        // SAFETY: may be called any number of times.
        unsafe { raw::apr_initialize() };
        let mut pool = ptr::null_mut();
        // SAFETY: `pool` is a place for one pointer; the rest are defaults.
        unsafe { raw::apr_pool_create_ex(&raw mut pool, ptr::null_mut(), None, ptr::null_mut()) };
        // SAFETY: made above, used by this thread only, destroyed below.
        let answer = f(unsafe { Pool::from_raw(pool) }.unwrap());
        // SAFETY: made above; `f` could keep nothing of it.
        unsafe { raw::apr_pool_destroy(pool) };
        answer
    }

    #[test]
    fn bytes_and_texts_are_copied() {
        with_pool(|pool| {
            assert_eq!(pool.copy_bytes(b"a\0b"), b"a\0b");
            assert_eq!(pool.copy_bytes(b""), b"");
            assert_eq!(pool.copy_cstring(b"text"), Ok(c"text"));
            assert_eq!(pool.copy_cstring(b"a\0b"), Err(InnerNul));
        });
    }

    #[test]
    fn adopted_values_drop_with_the_pool_in_reverse_order() {
        let order = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new([AtomicUsize::new(9), AtomicUsize::new(9)]);
        let counter = Arc::clone(&order);
        with_pool(|pool| {
            for index in 0..2 {
                let (order, seen) = (Arc::clone(&order), Arc::clone(&seen));
                pool.on_cleanup(move || seen[index].store(order.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst));
            }
            assert_eq!(pool.adopt(Arc::clone(&counter)).load(Ordering::SeqCst), 0);
            assert_eq!(Arc::strong_count(&counter), 5);
        });
        assert_eq!(seen[1].load(Ordering::SeqCst), 0);
        assert_eq!(seen[0].load(Ordering::SeqCst), 1);
        assert_eq!(Arc::strong_count(&counter), 2);
    }

    #[test]
    fn userdata_is_found_by_name_and_the_latest_counts() {
        with_pool(|pool| {
            assert_eq!(pool.userdata(c"wsgi"), None);
            pool.set_userdata(c"wsgi", b"one");
            pool.set_userdata(c"wsgi", b"two\0three");
            pool.set_userdata(c"empty", b"");
            assert_eq!(pool.userdata(c"wsgi"), Some(&b"two\0three"[..]));
            assert_eq!(pool.userdata(c"empty"), Some(&b""[..]));
        });
    }
}
