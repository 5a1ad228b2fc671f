//! Pieces of a body, where httpd's filters have put them.

use std::ffi::c_char;
use std::marker::PhantomData;
use std::{ptr, slice};

use crate::bindings as raw;

/// Smaller pieces are copied together: bytes. A bucket that was read from a socket occupies 8,000, however few it holds.
const LEAST: usize = 4 * 1024;

/// Data of a bucket that is in no brigade any more.
///
/// It lasts as long as the allocator of the client's connection, which outlives the request.
pub(super) struct Piece<'r> {
    bucket: *mut raw::apr_bucket,
    data: *const u8,
    length: usize,
    _request: PhantomData<&'r ()>,
}

impl Piece<'_> {
    /// # Safety
    /// A live bucket in a brigade of a request that is there for `'r`, with so much `data`; nobody else uses it from now on.
    pub(super) unsafe fn take(bucket: *mut raw::apr_bucket, data: *const u8, length: usize) -> Self {
        // SAFETY: as the caller says.
        unsafe { raw::wsgi_shim_bucket_remove(bucket) };
        Piece { bucket, data, length, _request: PhantomData }
    }

    /// Has the data last longer than until the filters are called again, which use a buffer of theirs for the next (mod_ssl does). False
    /// where that can't be had.
    fn set_aside(&mut self, pool: *mut raw::apr_pool_t) -> bool {
        // SAFETY: a live bucket, and the pool of its request.
        if unsafe { raw::wsgi_shim_bucket_setaside(self.bucket, pool) } != 0 {
            return false;
        }
        let mut data: *const c_char = ptr::null();
        let mut length = 0;
        // SAFETY: as above, and places for a pointer and a length. What was read once is in memory: nothing is left to be put behind it.
        let status = unsafe { raw::wsgi_shim_bucket_read(self.bucket, &raw mut data, &raw mut length) };
        let kept = status == 0 && length == self.length;
        if kept {
            self.data = data.cast();
        }
        kept
    }

    pub(super) fn bytes(&self) -> &[u8] {
        if self.length == 0 {
            // The pointer need not be one then.
            return &[];
        }
        // SAFETY: APR gave this much data, which stays until the bucket goes.
        unsafe { slice::from_raw_parts(self.data, self.length) }
    }
}

impl Drop for Piece<'_> {
    fn drop(&mut self) {
        // SAFETY: a bucket that is in no brigade, and not used again.
        unsafe { raw::wsgi_shim_bucket_destroy(self.bucket) };
    }
}

/// Where pieces go.
pub(super) trait Sink<'r> {
    /// So many bytes more may come.
    fn room(&self) -> usize;
    fn put(&mut self, piece: Piece<'r>);
    fn copy(&mut self, bytes: &[u8]);
}

/// A buffer that pieces are copied to.
pub(super) struct Buffer<'b> {
    rest: &'b mut [u8],
}

impl Buffer<'_> {
    pub(super) fn new(rest: &mut [u8]) -> Buffer<'_> {
        Buffer { rest }
    }
}

impl<'r> Sink<'r> for Buffer<'_> {
    fn room(&self) -> usize {
        self.rest.len()
    }

    fn put(&mut self, piece: Piece<'r>) {
        self.copy(piece.bytes());
    }

    fn copy(&mut self, bytes: &[u8]) {
        let (room, rest) = std::mem::take(&mut self.rest).split_at_mut(bytes.len());
        room.copy_from_slice(bytes);
        self.rest = rest;
    }
}

/// Pieces of a body, in order: large ones where they lie.
pub(crate) struct Pieces<'r> {
    all: Vec<Kept<'r>>,
    room: usize,
    pool: *mut raw::apr_pool_t,
}

enum Kept<'r> {
    Lent(Piece<'r>),
    Own(Vec<u8>),
}

impl<'r> Pieces<'r> {
    /// Of so many bytes at most, of a request with this pool.
    pub(super) fn new(most: usize, pool: *mut raw::apr_pool_t) -> Pieces<'r> {
        Pieces { all: Vec::new(), room: most, pool }
    }

    /// What they hold; none where they are the end of the body.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.all.iter().map(|kept| match kept {
            Kept::Lent(piece) => piece.bytes(),
            Kept::Own(bytes) => bytes,
        })
    }
}

impl<'r> Sink<'r> for Pieces<'r> {
    fn room(&self) -> usize {
        self.room
    }

    fn put(&mut self, mut piece: Piece<'r>) {
        let length = piece.bytes().len();
        if length < LEAST {
            return self.copy(piece.bytes());
        }
        self.room = self.room.saturating_sub(length);
        if piece.set_aside(self.pool) {
            self.all.push(Kept::Lent(piece));
        } else {
            self.all.push(Kept::Own(piece.bytes().to_vec()));
        }
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.room = self.room.saturating_sub(bytes.len());
        match self.all.last_mut() {
            Some(Kept::Own(own)) => own.extend_from_slice(bytes),
            _ => self.all.push(Kept::Own(bytes.to_vec())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_gathered() {
        let mut pieces = Pieces::new(10, ptr::null_mut());
        pieces.copy(b"one");
        pieces.copy(b"two");
        assert_eq!((pieces.bytes().collect::<Vec<_>>(), pieces.room()), (vec![b"onetwo".as_slice()], 4));
        let mut space = *b"......";
        let mut buffer = Buffer::new(&mut space);
        buffer.copy(b"one");
        buffer.copy(b"tw");
        assert_eq!((buffer.room(), &space), (1, b"onetw."));
    }
}
