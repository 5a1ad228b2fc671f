//! From one request of a client's connection to the next: a record of ours that outlives the request, and a moment's wait behind it.

use std::ffi::c_int;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::connection::connection_field;
use super::{Request, field};
use crate::apache::config_record::{Typed, slot};
use crate::apache::pool::Pool;
use crate::apache::record;
use crate::bindings as raw;

/// The connection of a client whose request is over.
pub(crate) struct Client<'c>(&'c Connection);

/// Lives longer than its requests, each of which is in a pool inside the connection's.
struct Connection(NonNull<raw::conn_rec>);

// SAFETY: goes with the request's pool; httpd hands both from one thread to the next, and one at a time works on them.
unsafe impl Send for Connection {}

impl Request<'_> {
    /// May the client's next request follow on the same connection, as far as httpd has decided, and is this one answered so that only
    /// httpd's own end of it is left? Not for subrequests, nor for streams of HTTP/2, which do not follow each other.
    pub(crate) fn may_be_followed(&self) -> bool {
        self.is_complete() && !self.is_stream() && self.stays_connected() && field!(self.main).is_null()
    }

    /// Bytes of the body that filters have passed on to the connection.
    pub(crate) fn bytes_sent(&self) -> u64 {
        u64::try_from(field!(self.bytes_sent)).unwrap_or(0)
    }

    /// Our record of the client's connection, made by the first call. All calls are for the same type.
    pub(crate) fn of_connection<T: Default + Send + 'static>(&mut self) -> Option<&mut T> {
        let connection = Connection(NonNull::new(self.connection())?);
        if connection.record::<T>().is_none() {
            connection.keep(T::default());
        }
        let record = connection.record()?;
        // SAFETY: it lives with the connection, on which one thread works at a time; the answer borrows the only `Request` that this has.
        Some(unsafe { &mut *record.as_ptr() })
    }

    /// Has everything that was passed written to the client, now. Blocks while it reads slowly.
    pub(crate) fn flush_connection(&mut self) {
        let allocator = self.bucket_alloc();
        // SAFETY: a live pool, and the connection's allocator.
        let brigade = unsafe { raw::apr_brigade_create(self.pool().as_raw(), allocator) };
        // SAFETY: the connection's allocator.
        let flush = unsafe { raw::apr_bucket_flush_create(allocator) };
        // SAFETY: both made above.
        unsafe { raw::wsgi_shim_brigade_append(brigade, flush) };
        let filters = connection_field!(self.output_filters);
        // SAFETY: a live connection's filters, behind the request's own, which have seen the end. What fails is seen by httpd, too.
        unsafe { raw::ap_pass_brigade(filters, brigade) };
        // SAFETY: a live brigade; filters may have left the bucket in it.
        unsafe { raw::apr_brigade_cleanup(brigade.cast()) };
    }

    /// Runs `then` with our record of the connection when httpd is done with the request: it is logged, and the connection is looked at next
    /// for what the client has sent meanwhile.
    pub(crate) fn when_over<T: Send + 'static>(&mut self, then: fn(&mut T, &Client<'_>)) {
        let Some(connection) = NonNull::new(self.connection()).map(Connection) else { return };
        self.pool().on_cleanup(move || {
            // The whole of it, not its field.
            let connection = connection;
            let Some(mut record) = connection.record() else { return };
            // SAFETY: it lives with the connection, on which this thread works alone; the request's own borrow has ended with its handler.
            then(unsafe { record.as_mut() }, &Client(&connection));
        });
    }
}

impl Connection {
    /// Our record of it, if there is one of this type.
    fn record<T: Send + 'static>(&self) -> Option<NonNull<T>> {
        let vector = connection_field!(self.conn_config);
        // SAFETY: a live vector of httpd.
        let kept = unsafe { slot(vector) };
        // SAFETY: our slot holds only what `keep` put there.
        unsafe { Typed::find(kept) }
    }

    fn keep<T: Send + 'static>(&self, value: T) {
        let (pool, vector) = (connection_field!(self.pool), connection_field!(self.conn_config));
        // SAFETY: a live connection has a live pool, used by this thread.
        let pool = unsafe { Pool::from_raw(pool) };
        if let (Some(pool), Some(module)) = (pool, record::loaded()) {
            // SAFETY: a live connection's vector and our loaded record.
            unsafe { raw::ap_set_module_config(vector, module, Typed::keep(pool, value)) };
        }
    }

    /// Its record; live, since it lives longer than its requests.
    fn connection(&self) -> *mut raw::conn_rec {
        self.0.as_ptr()
    }
}

impl Client<'_> {
    /// Waits until the client sends something; false when it goes, or the time is over. httpd's scoreboard shows the thread as one that keeps
    /// a connection alive, as it does.
    pub(crate) fn sends_within(&self, most: Duration) -> bool {
        let connection = self.0;
        if connection_field!(connection.aborted) != 0 {
            return false;
        }
        let scoreboard = connection_field!(connection.sbh).cast();
        // SAFETY: the connection's own handle of the scoreboard, and no request.
        unsafe { raw::ap_update_child_status(scoreboard, raw::SERVER_BUSY_KEEPALIVE as c_int, ptr::null_mut()) };
        // SAFETY: a live connection of this thread.
        let socket = unsafe { raw::ap_get_conn_socket(connection.connection()) };
        let mut descriptor = -1;
        // SAFETY: the connection's own socket, and a place for one number.
        if socket.is_null() || unsafe { raw::apr_os_sock_get(&raw mut descriptor, socket) } != 0 || descriptor < 0 {
            return false;
        }
        // SAFETY: open as long as the connection, which is not closed while this thread works on it.
        let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
        // What else is found is that it goes.
        let sends_or_goes = PollFlags::POLLIN | PollFlags::from_bits_retain(libc::POLLRDHUP);
        let mut polled = [PollFd::new(descriptor, sends_or_goes)];
        let found = ppoll(&mut polled, Some(TimeSpec::from_duration(most)), None);
        let [polled] = polled;
        found.is_ok() && polled.revents() == Some(PollFlags::POLLIN)
    }
}
