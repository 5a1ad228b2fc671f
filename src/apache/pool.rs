//! APR's pools, lent: memory and clean-ups that live as long as a request, a configuration or a process.
//!
//! Two things go in: texts (copied) and Rust values (kept: their `Drop` runs as a clean-up). Clean-ups run last-in-first-out, child
//! pools first, perhaps on another thread of the process, so what goes in is `Send + 'static` and a clean-up touches only its own value.
//! A pool belongs to one thread at a time, so `Pool` is neither `Send` nor `Sync`.

use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;

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

    /// Copies a text for C into the pool.
    ///
    /// # Errors
    /// `InnerNul` rather than a cut text.
    pub(crate) fn copy_cstring(self, text: &[u8]) -> Result<&'p CStr, InnerNul> {
        if text.contains(&0) {
            return Err(InnerNul);
        }
        // SAFETY: field invariant of Pool; APR copies exactly this length and adds a NUL. Out of memory ends the process, as httpd has set APR up.
        let copy = unsafe { raw::apr_pstrmemdup(self.as_raw(), text.as_ptr().cast(), text.len()) };
        // SAFETY: APR put a NUL behind; nobody writes the copy, and it lives as long as the pool.
        Ok(unsafe { CStr::from_ptr(copy) })
    }

    /// Keeps a value until the pool goes, then drops it. Who holds the answer sees to it that it is lent rightly.
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
    use std::ptr;
    use std::sync::{Arc, Mutex};

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
    fn texts_are_copied() {
        with_pool(|pool| {
            assert_eq!(pool.copy_cstring(b"text"), Ok(c"text"));
            assert_eq!(pool.copy_cstring(b""), Ok(c""));
            assert_eq!(pool.copy_cstring(b"a\0b"), Err(InnerNul));
        });
    }

    #[test]
    fn what_was_kept_drops_with_the_pool_in_reverse_order() {
        let order = Arc::new(Mutex::new(Vec::new()));
        with_pool(|pool| {
            for number in [1, 2] {
                let order = Arc::clone(&order);
                pool.on_cleanup(move || order.lock().unwrap().push(number));
            }
            pool.keep(Arc::clone(&order));
            assert_eq!((Arc::strong_count(&order), order.lock().unwrap().len()), (4, 0));
        });
        assert_eq!((Arc::strong_count(&order), &order.lock().unwrap()[..]), (1, &[2, 1][..]));
    }
}
