//! A request, lent by a hook for the length of one call, on the request's thread in a child.
//!
//! Other modules hold pointers to the same record, so there is never a reference to it: fields are read through the raw pointer. What a
//! getter gives is tied to `&self`, setters take `&mut self`: nothing read is used after a change. `Request` leaves neither its
//! thread nor the call.

mod access;
mod connection;
mod input;
mod mapping;
mod next;
mod output;
mod pieces;
mod response;

use std::ffi::{CStr, c_char};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

use super::config_record::{Typed, slot};
use super::log::{self, Level};
use super::pool::{InnerNul, Pool, bytes};
use super::server::Server;
use super::table::{Table, TableMut};
use crate::bindings as raw;

pub(crate) use connection::ClientTimeout;
pub(crate) use input::BodyError;
pub(crate) use mapping::{FileKind, PathInfo};
pub(crate) use output::Then;
pub(crate) use pieces::Pieces;

/// A live request.
pub(crate) struct Request<'r> {
    raw: NonNull<raw::request_rec>,
    input: input::State,
    output: output::State,
    life: PhantomData<(&'r (), *mut ())>,
}

/// A field of the request.
macro_rules! field {
    ($request:ident . $field:ident) => {{
        // SAFETY: `lend` promised a live request_rec; a plain field read.
        unsafe { (*$request.raw.as_ptr()).$field }
    }};
}

/// A field that is a text or NULL.
macro_rules! text {
    ($request:ident . $field:ident) => {{
        let text = $crate::apache::request::field!($request.$field);
        // SAFETY: httpd keeps its texts NUL-terminated in the request's pool; tied to `&self` by the getter's signature.
        unsafe { $crate::apache::pool::bytes(text) }
    }};
}

use field;
use text;

impl<'r> Request<'r> {
    /// Lends a request to `f`; `None` for NULL.
    ///
    /// # Safety
    /// * `raw` is NULL or a live request for the whole call.
    /// * This thread is the one that works on it, and no other `Request` for it is in use.
    pub(super) unsafe fn lend<A>(raw: *mut raw::request_rec, f: impl FnOnce(&mut Request<'_>) -> A) -> Option<A> {
        // SAFETY: this function's contract.
        unsafe { Request::from_raw(raw) }.map(|mut request| f(&mut request))
    }

    /// # Safety
    /// * `raw` is NULL or a live request for `'r`, worked on by this thread.
    unsafe fn from_raw(raw: *mut raw::request_rec) -> Option<Request<'r>> {
        let raw = NonNull::new(raw)?;
        Some(Request { raw, input: input::State::default(), output: output::State::default(), life: PhantomData })
    }

    /// The request's pool: what goes in lives as long as the request.
    pub(crate) fn pool(&self) -> Pool<'r> {
        let pool = field!(self.pool);
        // SAFETY: httpd's request lives in its pool; one thread works on both.
        match unsafe { Pool::from_raw(pool) } {
            Some(pool) => pool,
            None => unreachable!("httpd makes each request in a pool of its own"),
        }
    }

    /// The server that it was sent to.
    pub(crate) fn server(&self) -> Server<'r> {
        let server = field!(self.server);
        // SAFETY: a request's server lives as long as the configuration, so longer than the request.
        match unsafe { Server::from_raw(server) } {
            Some(server) => server,
            None => unreachable!("httpd gives each request a server"),
        }
    }

    /// `GET`, or what the client sent.
    pub(crate) fn method(&self) -> &[u8] {
        text!(self.method).unwrap_or(b"GET")
    }

    /// The first line as sent: method, URI, protocol.
    pub(crate) fn request_line(&self) -> Option<&[u8]> {
        text!(self.the_request)
    }

    /// `HTTP/1.1` and the like; `INCLUDED` where mod_include asks.
    pub(crate) fn protocol(&self) -> &[u8] {
        text!(self.protocol).unwrap_or(b"HTTP/1.0")
    }

    /// Is the answer to be put into a page by mod_include?
    pub(crate) fn is_included(&self) -> bool {
        self.protocol() == b"INCLUDED"
    }

    /// The path of the URI, decoded by httpd.
    pub(crate) fn uri(&self) -> &[u8] {
        text!(self.uri).unwrap_or_default()
    }

    /// The query without its `?`; `None` where there is no `?`.
    pub(crate) fn query(&self) -> Option<&[u8]> {
        text!(self.args)
    }

    /// What httpd calls the `Host`: from the header or an absolute URI.
    pub(crate) fn host(&self) -> Option<&[u8]> {
        text!(self.hostname)
    }

    /// The authenticated user.
    pub(crate) fn user(&self) -> Option<&[u8]> {
        text!(self.user)
    }

    /// How the user was authenticated.
    pub(crate) fn auth_type(&self) -> Option<&[u8]> {
        text!(self.ap_auth_type)
    }

    /// When it arrived: microseconds since the epoch.
    pub(crate) fn arrived(&self) -> i64 {
        field!(self.request_time)
    }

    /// The request that was redirected here within httpd, to read.
    pub(crate) fn previous(&self) -> Option<Previous<'_>> {
        let previous = field!(self.prev);
        // SAFETY: httpd keeps the chain of redirects as long as its last request, on the same thread.
        unsafe { Request::from_raw(previous) }.map(|request| Previous { request, life: PhantomData })
    }

    /// The id that httpd's error log uses for this request (`%L`), made now where no record was written yet.
    pub(crate) fn log_id(&self) -> Option<&[u8]> {
        if field!(self.log_id).is_null() {
            let mut id: *const c_char = std::ptr::null();
            let connection: *const raw::conn_rec = self.connection();
            // SAFETY: `lend` promised a live request; `id` is a place for one pointer.
            let answer = unsafe { raw::ap_run_generate_log_id(connection, self.raw.as_ptr(), &raw mut id) };
            if u32::try_from(answer) == Ok(raw::OK) && !id.is_null() {
                // SAFETY: as above; httpd's log writes the same field, and nothing of the old value (NULL) was lent.
                unsafe { (*self.raw.as_ptr()).log_id = id };
            }
        }
        text!(self.log_id)
    }

    /// What the client sent.
    pub(crate) fn headers_in(&self) -> Table<'_> {
        self.table(field!(self.headers_in))
    }

    /// What `SetEnv` and others gave for CGI.
    pub(crate) fn environment(&self) -> Table<'_> {
        self.table(field!(self.subprocess_env))
    }

    /// What modules tell each other.
    pub(crate) fn notes(&self) -> Table<'_> {
        self.table(field!(self.notes))
    }

    pub(crate) fn notes_mut(&mut self) -> TableMut<'_> {
        self.table_mut(field!(self.notes))
    }

    fn table(&self, table: *mut raw::apr_table_t) -> Table<'_> {
        // SAFETY: one of the live request's own tables, changed by this thread and through `&mut self` only.
        match unsafe { Table::from_raw(table) } {
            Some(table) => table,
            None => unreachable!("httpd makes each request's tables with it"),
        }
    }

    fn table_mut(&mut self, table: *mut raw::apr_table_t) -> TableMut<'_> {
        // SAFETY: as in `table`; `&mut self` ends what was lent before.
        match unsafe { TableMut::from_raw(table) } {
            Some(table) => table,
            None => unreachable!("httpd makes each request's tables with it"),
        }
    }

    /// Our record of where this request was mapped to, as merged by httpd so far.
    pub(crate) fn dir_config<D: Send + Sync + 'static>(&self) -> Option<&D> {
        let vector = field!(self.per_dir_config);
        // SAFETY: a live vector of httpd.
        let kept = unsafe { slot(vector) };
        // SAFETY: our slot holds only what `create_dir` or `merge_dir` answered.
        let found = unsafe { Typed::<D>::find(kept) }?;
        // SAFETY: httpd merges into new records and keeps them as long as the request.
        Some(unsafe { found.as_ref() })
    }

    /// Logs one of our sentences with the request's client, in its server's error log.
    #[track_caller]
    pub(crate) fn log(&self, level: Level, text: fmt::Arguments<'_>) {
        // SAFETY: `lend` promised a live request of this thread.
        unsafe { log::log_request(self.raw.as_ptr(), level, text) };
    }

    /// Whether that log shows records of this level.
    pub(crate) fn logs(&self, level: Level) -> bool {
        // SAFETY: `lend` promised a live request of this thread.
        unsafe { log::shows_request(self.raw.as_ptr(), level) }
    }

    /// The least serious level that it shows, as httpd counts.
    pub(crate) fn log_level(&self) -> u8 {
        // SAFETY: `lend` promised a live request of this thread.
        u8::try_from(unsafe { log::request_level(self.raw.as_ptr()) }).unwrap_or(0)
    }

    /// A text for a field of the request.
    pub(in crate::apache) fn copied(&self, text: &[u8]) -> Result<*mut c_char, InnerNul> {
        self.pool().copy_cstring(text).map(|text: &CStr| text.as_ptr().cast_mut())
    }

    /// What one of httpd's functions on this request answers.
    ///
    /// # Safety
    /// * `f` answers NULL or a text that stays until the request is changed.
    unsafe fn ask(&self, f: unsafe extern "C" fn(*mut raw::request_rec) -> *const c_char) -> Option<&[u8]> {
        // SAFETY: `lend` promised a live request, which is all that such a function asks.
        let text = unsafe { f(self.raw.as_ptr()) };
        // SAFETY: this function's contract.
        unsafe { bytes(text) }
    }
}

/// The request before an internal redirect, to read only: it is answered by the one that has it.
pub(crate) struct Previous<'a> {
    request: Request<'a>,
    life: PhantomData<&'a ()>,
}

impl<'a> Deref for Previous<'a> {
    type Target = Request<'a>;

    fn deref(&self) -> &Request<'a> {
        &self.request
    }
}
