//! httpd's regular expressions (PCRE) with `$0` to `$9` in a template, as `WSGIScriptAliasMatch` needs them.

use std::ffi::{CString, c_char, c_int};
use std::mem::MaybeUninit;
use std::ptr;

use super::pool::{Pool, bytes};
use crate::bindings as raw;

/// A compiled pattern; free of any pool, for any thread.
pub(crate) struct Regex {
    // Boxed: PCRE's data hangs from this record, whose address httpd was given.
    compiled: Box<raw::ap_regex_t>,
}

// SAFETY: `ap_regexec` only reads a compiled pattern, as httpd does from all its threads; it is freed once, by its owner.
unsafe impl Send for Regex {}
// SAFETY: as above.
unsafe impl Sync for Regex {}

/// `$0` to `$9`.
const GROUPS: usize = raw::AP_MAX_REG_MATCH as usize;

impl Regex {
    /// Compiles an extended pattern, by httpd's defaults (`RegexDefaultOptions`). In the parent, while it reads its configuration.
    ///
    /// # Errors
    /// httpd's own words about what is wrong with it.
    pub(crate) fn compile(pattern: &[u8]) -> Result<Regex, String> {
        let pattern = CString::new(pattern).map_err(|_| "it holds a NUL byte".to_owned())?;
        let mut compiled = Box::new(MaybeUninit::<raw::ap_regex_t>::zeroed());
        // SAFETY: room for one pattern, and a NUL-terminated text.
        let code = unsafe { raw::ap_regcomp(compiled.as_mut_ptr(), pattern.as_ptr(), raw::AP_REG_EXTENDED as c_int) };
        if code != 0 {
            return Err(explain(code, compiled.as_ptr()));
        }
        // SAFETY: httpd has filled it.
        Ok(Regex { compiled: unsafe { compiled.assume_init() } })
    }

    /// Searches `subject`; answers where the first match ends, and `template` with `$0` to `$9` put in by httpd's rules
    /// (`ap_pregsub`: `\$` is a dollar). `None` where nothing matches, a NUL is inside, or the outcome passes httpd's 64 KiB.
    pub(crate) fn matches(&self, subject: &[u8], template: &[u8]) -> Option<(usize, Vec<u8>)> {
        let subject = CString::new(subject).ok()?;
        let template = CString::new(template).ok()?;
        let mut groups = [raw::ap_regmatch_t { rm_so: -1, rm_eo: -1 }; GROUPS];
        // SAFETY: a compiled pattern, a NUL-terminated text, and as many places as said.
        let code =
            unsafe { raw::ap_regexec(&raw const *self.compiled, subject.as_ptr(), GROUPS, groups.as_mut_ptr(), 0) };
        if code != 0 {
            return None;
        }
        let end = usize::try_from(groups.first()?.rm_eo).ok()?;
        let filled = Scratch::new()?.substitute(&template, &subject, &mut groups)?;
        Some((end, filled))
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: compiled in `compile`, freed here only.
        unsafe { raw::ap_regfree(&raw mut *self.compiled) };
    }
}

fn explain(code: c_int, compiled: *const raw::ap_regex_t) -> String {
    let mut text = [0_u8; 256];
    let start: *mut c_char = text.as_mut_ptr().cast();
    // SAFETY: room of the length said; httpd ends the text with a NUL in it.
    unsafe { raw::ap_regerror(code, compiled, start, text.len()) };
    // SAFETY: as above; the last byte stays NUL at any rate.
    String::from_utf8_lossy(unsafe { bytes(start) }.unwrap_or_default()).trim().to_owned()
}

/// A pool of its own for one substitution: no other thread's allocator is touched, and no request's memory grows.
struct Scratch(*mut raw::apr_pool_t);

impl Scratch {
    fn new() -> Option<Scratch> {
        let mut pool = ptr::null_mut();
        // SAFETY: a place for one pointer; NULL asks for the defaults and an allocator of its own.
        let status = unsafe { raw::apr_pool_create_unmanaged_ex(&raw mut pool, None, ptr::null_mut()) };
        (status == 0).then_some(Scratch(pool))
    }

    fn substitute(&self, template: &CString, subject: &CString, groups: &mut [raw::ap_regmatch_t]) -> Option<Vec<u8>> {
        // SAFETY: made in `new`, used here only.
        let pool = unsafe { Pool::from_raw(self.0) }?;
        // SAFETY: a live pool, two NUL-terminated texts, and groups that lie inside the second.
        let filled = unsafe {
            raw::ap_pregsub(pool.as_raw(), template.as_ptr(), subject.as_ptr(), groups.len(), groups.as_mut_ptr())
        };
        // SAFETY: NULL or NUL-terminated in the pool.
        unsafe { bytes(filled) }.map(<[u8]>::to_vec)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed here only; nothing of it is left.
        unsafe { raw::apr_pool_destroy(self.0) };
    }
}
