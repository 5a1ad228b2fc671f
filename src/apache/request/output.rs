//! The body of the response on its way through the request's output filters.
//!
//! One brigade per request is filled and passed. Passing blocks while the client reads slowly; httpd writes the head
//! ahead of the first that passes. A response that breaks in its middle is cut off so that the client sees it (`abort`).

use std::ffi::c_int;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::ptr;
use std::sync::atomic::AtomicU8;

use super::{Request, field};
use crate::bindings as raw;

/// Nothing more reaches the client: it went, or a filter refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client closed the connection")]
pub(crate) struct ClientGone;

/// What goes behind the bytes of `Output::send_borrowed` and `Output::send_shared`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// More will come soon: httpd may keep them until then.
    More,
    /// httpd writes them out now.
    Flush,
    /// The response is complete.
    End,
}

/// What is kept between passes.
pub(super) struct State {
    brigade: *mut raw::apr_bucket_brigade,
    /// The brigade holds the end of the response.
    ends: bool,
    progress: Progress,
}

/// How far the response is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Nothing,
    /// Something was passed, so the head may be out.
    Begun,
    /// Its end was passed.
    Complete,
    /// httpd has answered in our place.
    Answered,
}

impl Default for State {
    fn default() -> State {
        State { brigade: ptr::null_mut(), ends: false, progress: Progress::Nothing }
    }
}

/// APR's own limit of one bucket, below what sendfile takes in a call.
const LARGEST_BUCKET: u64 = 1 << 30;

impl<'r> Request<'r> {
    /// The way out.
    pub(crate) fn output<'a>(&'a mut self) -> Output<'a, 'r> {
        if self.output.brigade.is_null() {
            // SAFETY: a live pool and the connection's allocator, which outlives the request.
            self.output.brigade = unsafe { raw::apr_brigade_create(self.pool().as_raw(), self.bucket_alloc()) };
        }
        Output { request: self }
    }

    /// Has anything been passed to the filters, so that the head may be out?
    pub(crate) fn has_begun_output(&self) -> bool {
        self.output.progress != Progress::Nothing
    }

    /// Has httpd answered in our place, as it does when it refuses the body? What is sent then is dropped, and the handler's answer does
    /// not count.
    pub(crate) fn is_answered(&self) -> bool {
        self.output.progress == Progress::Answered
    }

    /// Was the end of the response passed?
    pub(super) fn is_complete(&self) -> bool {
        self.output.progress == Progress::Complete
    }

    /// A filter of httpd's has sent its own response, with the end behind it.
    pub(super) fn note_answered(&mut self) {
        self.output.progress = Progress::Answered;
    }

    /// Ends a response that broke: the client sees that it is not whole.
    pub(crate) fn cut_off(&mut self) {
        let mut output = self.output();
        output.abort();
        // The client being gone is as good.
        let _: Result<(), ClientGone> = output.pass();
    }
}

/// Collects what is to be sent; `pass` sends it.
pub(crate) struct Output<'a, 'r> {
    request: &'a mut Request<'r>,
}

impl Output<'_, '_> {
    /// Sends what was collected and then these parts without a copy of ours; they may change once it returns.
    ///
    /// # Errors
    /// The client is gone.
    pub(crate) fn send_borrowed(&mut self, parts: &[&[u8]], then: Then) -> Result<(), ClientGone> {
        for bytes in parts.iter().filter(|bytes| !bytes.is_empty()) {
            // SAFETY: the connection's allocator. A transient bucket's data lives for the pass: filters that keep it must copy it (APR's
            // rule for setting aside), and `pass` empties the brigade before this borrow ends.
            let bucket =
                unsafe { raw::apr_bucket_transient_create(bytes.as_ptr().cast(), bytes.len(), self.allocator()) };
            self.append(bucket);
        }
        self.pass_then(then)
    }

    /// Sends what was collected and then this, which another process may change meanwhile: what the client gets of it then is that
    /// process's affair.
    ///
    /// # Errors
    /// The client is gone.
    pub(crate) fn send_shared(&mut self, part: &[AtomicU8], then: Then) -> Result<(), ClientGone> {
        // SAFETY: as for `send_borrowed`; only C code reads it, and takes each byte for what it is when it is read.
        let bucket = unsafe { raw::apr_bucket_transient_create(part.as_ptr().cast(), part.len(), self.allocator()) };
        self.append(bucket);
        self.pass_then(then)
    }

    fn pass_then(&mut self, then: Then) -> Result<(), ClientGone> {
        match then {
            Then::More => {}
            Then::Flush => self.flush(),
            Then::End => self.end(),
        }
        self.pass()
    }

    /// Adds a copy of these bytes.
    pub(crate) fn copy(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            // SAFETY: the connection's allocator; without a function to free them, APR copies the bytes.
            let bucket =
                unsafe { raw::apr_bucket_heap_create(bytes.as_ptr().cast(), bytes.len(), None, self.allocator()) };
            self.append(bucket);
        }
    }

    /// Adds `length` bytes of a regular file from `offset` on. The descriptor's position is moved. It is never mapped into memory: a file cut
    /// meanwhile would kill the process. Never opened again either: who sent the descriptor may not have been allowed to read the file.
    ///
    /// # Errors
    /// It is no regular file, not open for reading, or has no such range; nothing is added.
    pub(crate) fn file(&mut self, file: File, offset: u64, length: u64, sendfile: bool) -> Result<(), std::io::Error> {
        let impossible = |cause| std::io::Error::new(std::io::ErrorKind::InvalidInput, cause);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(impossible("it is no regular file"));
        }
        if !is_readable(&file)? {
            return Err(impossible("it is not open for reading"));
        }
        if offset.checked_add(length).is_none_or(|end| end > metadata.len()) {
            return Err(impossible("it is shorter than what is to be sent of it"));
        }
        let mut offset = raw::apr_off_t::try_from(offset).map_err(|_| impossible("it is too long"))?;
        let file = self.adopt(&file, sendfile)?;
        let Some(first) = self.file_bucket(file, offset, length.min(LARGEST_BUCKET)) else {
            return Err(impossible("it is too long"));
        };
        let mut left = length.saturating_sub(LARGEST_BUCKET);
        self.append(first);
        while left > 0 {
            offset = offset.saturating_add_unsigned(LARGEST_BUCKET);
            let size = left.min(LARGEST_BUCKET);
            let mut bucket = ptr::null_mut();
            // SAFETY: a live file bucket, which APR can copy, and a place for one pointer.
            unsafe { raw::wsgi_shim_bucket_copy(first, &raw mut bucket) };
            // SAFETY: a bucket of our own, not passed yet.
            unsafe { (*bucket).start = offset };
            // SAFETY: as above.
            unsafe { (*bucket).length = usize::try_from(size).unwrap_or(usize::MAX) };
            self.append(bucket);
            left -= size;
        }
        Ok(())
    }

    /// httpd is to write out what stands before.
    pub(crate) fn flush(&mut self) {
        // SAFETY: the connection's allocator.
        let bucket = unsafe { raw::apr_bucket_flush_create(self.allocator()) };
        self.append(bucket);
    }

    /// The response is complete.
    pub(crate) fn end(&mut self) {
        // SAFETY: the connection's allocator.
        let bucket = unsafe { raw::apr_bucket_eos_create(self.allocator()) };
        self.append(bucket);
        self.request.output.ends = true;
    }

    /// The response stays incomplete, and the client is to see it: no last chunk, the connection closed, an HTTP/2 stream reset, nothing
    /// kept by a cache. Before the head is out it becomes httpd's 502.
    fn abort(&mut self) {
        let raw = self.request.raw.as_ptr();
        // SAFETY: `lend` promised a live request_rec; plain fields.
        unsafe { (*raw).no_cache = 1 };
        // SAFETY: as above.
        unsafe { (*raw).no_local_copy = 1 };
        // SAFETY: the request's pool and the connection's allocator. httpd's chunk filter knows this very status (http_protocol.h).
        let bucket = unsafe {
            raw::ap_bucket_error_create(
                raw::HTTP_BAD_GATEWAY as c_int,
                ptr::null(),
                self.request.pool().as_raw(),
                self.allocator(),
            )
        };
        self.append(bucket);
        self.end();
        self.request.close_connection();
    }

    /// Sends what was collected through the filters. Blocks as long as httpd does.
    ///
    /// # Errors
    /// The client is gone, a filter failed, or the response has its end already: there is no use in sending more.
    pub(crate) fn pass(&mut self) -> Result<(), ClientGone> {
        let brigade = self.brigade();
        if matches!(self.request.output.progress, Progress::Complete | Progress::Answered) {
            // Filters would put it behind a whole response.
            // SAFETY: a live brigade.
            unsafe { raw::apr_brigade_cleanup(brigade.cast()) };
            return Err(ClientGone);
        }
        self.request.output.progress = if self.request.output.ends { Progress::Complete } else { Progress::Begun };
        let filters = {
            let request = &*self.request;
            field!(request.output_filters)
        };
        // SAFETY: the live request's own filters and a brigade of its pool.
        let status = unsafe { raw::ap_pass_brigade(filters, brigade) };
        // SAFETY: a live brigade; filters may have left buckets in it.
        unsafe { raw::apr_brigade_cleanup(brigade.cast()) };
        if status != 0 || self.request.is_client_gone() { Err(ClientGone) } else { Ok(()) }
    }

    fn brigade(&self) -> *mut raw::apr_bucket_brigade {
        self.request.output.brigade
    }

    fn allocator(&self) -> *mut raw::apr_bucket_alloc_t {
        self.request.bucket_alloc()
    }

    fn append(&mut self, bucket: *mut raw::apr_bucket) {
        // SAFETY: a live brigade, and a bucket of the same allocator that is in none.
        unsafe { raw::wsgi_shim_brigade_append(self.brigade(), bucket) };
    }

    /// httpd's own descriptor of the file, closed with the request's pool unless a filter takes it along.
    fn adopt(&self, file: &File, sendfile: bool) -> Result<*mut raw::apr_file_t, std::io::Error> {
        let pool = self.request.pool().as_raw();
        let sendfile = if sendfile { raw::APR_FOPEN_SENDFILE_ENABLED } else { 0 };
        let flags = (raw::APR_FOPEN_READ | raw::APR_FOPEN_BINARY | sendfile) as raw::apr_int32_t;
        let (mut ours, mut theirs) = (ptr::null_mut(), ptr::null_mut());
        let mut descriptor = file.as_raw_fd();
        // SAFETY: a place for one pointer, an open descriptor, a live pool.
        let status = unsafe { raw::apr_os_file_put(&raw mut ours, &raw mut descriptor, flags, pool) };
        if status != 0 {
            return Err(std::io::Error::from_raw_os_error(status));
        }
        // What APR is given it does not close; a duplicate of that it does (`apr_file_dup`).
        // SAFETY: a place for one pointer, the live file from above and pool.
        let status = unsafe { raw::apr_file_dup(&raw mut theirs, ours, pool) };
        if status == 0 { Ok(theirs) } else { Err(std::io::Error::from_raw_os_error(status)) }
    }

    fn file_bucket(
        &self,
        file: *mut raw::apr_file_t,
        offset: raw::apr_off_t,
        length: u64,
    ) -> Option<*mut raw::apr_bucket> {
        let length = usize::try_from(length).ok()?;
        // SAFETY: a live file and pool, the connection's allocator.
        let bucket = unsafe {
            raw::apr_bucket_file_create(file, offset, length, self.request.pool().as_raw(), self.allocator())
        };
        // SAFETY: a file bucket made above.
        unsafe { raw::apr_bucket_file_enable_mmap(bucket, 0) };
        Some(bucket)
    }
}

/// Not so where it was opened for writing only, or by `O_PATH`, which needs no right to read it.
fn is_readable(file: &File) -> Result<bool, std::io::Error> {
    // SAFETY: an open descriptor.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(flags & libc::O_ACCMODE != libc::O_WRONLY && flags & libc::O_PATH == 0)
}
