//! APR's tables: headers, environment, notes. Names compare without case; a name may stand several times.

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::slice;

use super::pool::{InnerNul, Pool, bytes};
use crate::bindings as raw;

/// A table to read.
pub(crate) struct Table<'a> {
    raw: NonNull<raw::apr_table_t>,
    life: PhantomData<(&'a (), *mut ())>,
}

impl<'a> Table<'a> {
    /// # Safety
    /// * `raw` is NULL or a table that lives for `'a`.
    /// * Nobody changes it for `'a`, but through this value.
    pub(super) unsafe fn from_raw(raw: *mut raw::apr_table_t) -> Option<Table<'a>> {
        NonNull::new(raw).map(|raw| Table { raw, life: PhantomData })
    }

    /// The first value of this name.
    pub(crate) fn get(&self, name: &CStr) -> Option<&'a [u8]> {
        // SAFETY: field invariant: a live table.
        let value = unsafe { raw::apr_table_get(self.raw.as_ptr(), name.as_ptr()) };
        // SAFETY: values are NUL-terminated and stay while the table does not change.
        unsafe { bytes(value) }
    }

    /// All entries in their order; a value may be absent. Entries that httpd blanked (no name) are skipped.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        self.entries().iter().filter_map(|entry| {
            // SAFETY: keys and values are NULL or NUL-terminated and stay while the table does not change.
            let key = unsafe { bytes::<'a>(entry.key) };
            // SAFETY: as above.
            let value = unsafe { bytes::<'a>(entry.val) };
            key.map(|key| (key, value))
        })
    }

    fn entries(&self) -> &'a [raw::apr_table_entry_t] {
        // SAFETY: field invariant: a live table; APR answers its own array.
        let array = unsafe { raw::apr_table_elts(self.raw.as_ptr()) };
        // SAFETY: APR's array lives with the table.
        let count = usize::try_from(unsafe { (*array).nelts }).unwrap_or(0);
        // SAFETY: as above.
        let first = unsafe { (*array).elts };
        if count == 0 || first.is_null() {
            return &[];
        }
        #[expect(clippy::cast_ptr_alignment, reason = "APR allocated the elements as entries")]
        // SAFETY: APR wrote `nelts` entries there, which stay while the table does not change.
        unsafe {
            slice::from_raw_parts(first.cast::<raw::apr_table_entry_t>().cast_const(), count)
        }
    }

    /// The pool that the table and its texts live in.
    fn pool(&self) -> Option<Pool<'a>> {
        // SAFETY: field invariant: a live table.
        let array = unsafe { raw::apr_table_elts(self.raw.as_ptr()) };
        // SAFETY: APR's array lives with the table.
        let pool = unsafe { (*array).pool };
        // SAFETY: the pool holds the table, so it lives for `'a`, and belongs to the same thread.
        unsafe { Pool::from_raw(pool) }
    }
}

/// A table to change.
pub(crate) struct TableMut<'a>(Table<'a>);

impl<'a> TableMut<'a> {
    /// # Safety
    /// As `Table::from_raw`, and what was read from this table before is not used again.
    pub(super) unsafe fn from_raw(raw: *mut raw::apr_table_t) -> Option<TableMut<'a>> {
        // SAFETY: this function's contract.
        unsafe { Table::from_raw(raw) }.map(TableMut)
    }

    /// One value for this name, in place of all others.
    ///
    /// # Errors
    /// A NUL inside; nothing is changed.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), InnerNul> {
        let (name, value) = self.copied(name, value)?;
        // SAFETY: field invariant: a live table; both texts live in its pool.
        unsafe { raw::apr_table_setn(self.0.raw.as_ptr(), name, value) };
        Ok(())
    }

    /// One more value for this name.
    ///
    /// # Errors
    /// A NUL inside; nothing is changed.
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), InnerNul> {
        let (name, value) = self.copied(name, value)?;
        // SAFETY: field invariant: a live table; both texts live in its pool.
        unsafe { raw::apr_table_addn(self.0.raw.as_ptr(), name, value) };
        Ok(())
    }

    fn copied(&self, name: &[u8], value: &[u8]) -> Result<(*const c_char, *const c_char), InnerNul> {
        // Every table of httpd has its pool.
        let pool = self.0.pool().ok_or(InnerNul)?;
        Ok((pool.copy_cstring(name)?.as_ptr(), pool.copy_cstring(value)?.as_ptr()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::pool::tests::with_pool;
    use super::*;

    fn with_table(f: impl FnOnce(TableMut<'_>)) {
        with_pool(|pool| {
            // SAFETY: a live pool.
            let table = unsafe { raw::apr_table_make(pool.as_raw(), 2) };
            // SAFETY: made above, nobody else knows it.
            f(unsafe { TableMut::from_raw(table) }.unwrap());
        });
    }

    #[test]
    fn names_compare_without_case_and_may_repeat() {
        with_table(|mut table| {
            table.add(b"Set-Cookie", b"a=1").unwrap();
            table.add(b"set-cookie", b"b=2").unwrap();
            table.set(b"X-One", b"1").unwrap();
            table.set(b"x-one", b"2").unwrap();
            let all: Vec<_> = table.0.iter().map(|(name, value)| (name.to_vec(), value.unwrap().to_vec())).collect();
            assert_eq!(
                all,
                [
                    (b"Set-Cookie".to_vec(), b"a=1".to_vec()),
                    (b"set-cookie".to_vec(), b"b=2".to_vec()),
                    (b"X-One".to_vec(), b"2".to_vec())
                ]
            );
            assert_eq!(table.0.get(c"SET-COOKIE"), Some(&b"a=1"[..]));
            assert_eq!(table.0.get(c"X-Two"), None);
        });
    }

    #[test]
    fn a_nul_is_refused_and_changes_nothing() {
        with_table(|mut table| {
            assert_eq!(table.set(b"X", b"a\0b"), Err(InnerNul));
            assert_eq!(table.add(b"X\0", b"a"), Err(InnerNul));
            assert_eq!(table.0.iter().count(), 0);
        });
    }
}
