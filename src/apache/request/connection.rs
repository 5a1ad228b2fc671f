//! Who is at both ends: addresses, ports, names, and whether the client is still there.

use std::ffi::c_char;
use std::time::Duration;

use super::{Request, field, text};
use crate::apache::pool::bytes;
use crate::bindings as raw;

/// A field of the request's connection.
macro_rules! connection_field {
    ($request:ident . $field:ident) => {{
        // SAFETY: a live request has a live connection; a plain field read.
        unsafe { (*$request.connection()).$field }
    }};
}

pub(super) use connection_field;

impl Request<'_> {
    pub(super) fn connection(&self) -> *mut raw::conn_rec {
        field!(self.connection)
    }

    /// The address of the user agent: the client's, or what mod_remoteip found behind a proxy.
    pub(crate) fn useragent_ip(&self) -> Option<&[u8]> {
        text!(self.useragent_ip)
    }

    /// The port at the other end of the connection.
    pub(crate) fn client_port(&self) -> Option<u16> {
        port_of(connection_field!(self.client_addr))
    }

    /// Our address on this connection.
    pub(crate) fn local_ip(&self) -> Option<&[u8]> {
        self.connection_text(connection_field!(self.local_ip))
    }

    /// Our port on this connection.
    pub(crate) fn local_port(&self) -> Option<u16> {
        port_of(connection_field!(self.local_addr))
    }

    /// The host that the listener's address was given by, where it was one.
    pub(crate) fn local_host(&self) -> Option<&[u8]> {
        let address = connection_field!(self.local_addr);
        if address.is_null() {
            return None;
        }
        // SAFETY: APR's address lives with the connection; a plain field read.
        self.connection_text(unsafe { (*address).hostname })
    }

    /// The id that httpd's error log uses for the connection (`%{c}L`), where it made one.
    pub(crate) fn connection_log_id(&self) -> Option<&[u8]> {
        self.connection_text(connection_field!(self.log_id))
    }

    fn connection_text(&self, text: *const c_char) -> Option<&[u8]> {
        // SAFETY: httpd keeps these NUL-terminated as long as the connection, so longer than the request.
        unsafe { bytes(text) }
    }

    /// `http` or `https`, by the connection.
    pub(crate) fn scheme(&self) -> &[u8] {
        // SAFETY: `lend` promised a live request.
        let scheme = unsafe { raw::ap_run_http_scheme(self.raw.as_ptr()) };
        // SAFETY: modules answer constants.
        unsafe { bytes(scheme) }.unwrap_or(b"http")
    }

    /// The server's name by `UseCanonicalName`, an IPv6 address in brackets: for URLs. Not escaped.
    pub(crate) fn server_name_for_url(&self) -> &[u8] {
        // SAFETY: httpd answers a text in the request's pool or its configuration.
        unsafe { self.ask(raw::ap_get_server_name_for_url) }.unwrap_or_default()
    }

    /// The server's port by `UseCanonicalName` and `UseCanonicalPhysicalPort`.
    pub(crate) fn server_port(&self) -> u16 {
        // SAFETY: `lend` promised a live request.
        unsafe { raw::ap_get_server_port(self.raw.as_ptr()) }
    }

    /// Has httpd seen the client go?
    pub(crate) fn is_client_gone(&self) -> bool {
        connection_field!(self.aborted) != 0
    }

    /// Is it one of several streams on the client's connection (HTTP/2)?
    pub(super) fn is_stream(&self) -> bool {
        !connection_field!(self.master).is_null()
    }

    /// Lets writes to the client wait no longer than this, until the answer is given back to `restore_client_timeout`. `None`: nothing was
    /// changed, as for a stream of HTTP/2, whose connection belongs to others too.
    pub(crate) fn limit_client_timeout(&mut self, limit: Duration) -> Option<ClientTimeout> {
        let connection = self.connection();
        if self.is_stream() {
            return None;
        }
        // SAFETY: a live connection of this thread.
        let socket = unsafe { raw::ap_get_conn_socket(connection) };
        if socket.is_null() {
            return None;
        }
        let mut before = 0;
        // SAFETY: the connection's own socket, and a place for one number.
        if unsafe { raw::apr_socket_timeout_get(socket, &raw mut before) } != 0 {
            return None;
        }
        let limit = raw::apr_interval_time_t::try_from(limit.as_micros()).unwrap_or(raw::apr_interval_time_t::MAX);
        // SAFETY: the connection's own socket.
        (unsafe { raw::apr_socket_timeout_set(socket, limit) } == 0).then_some(ClientTimeout(before))
    }

    /// As it was before `limit_client_timeout`.
    pub(crate) fn restore_client_timeout(&mut self, before: ClientTimeout) {
        // SAFETY: a live connection of this thread.
        let socket = unsafe { raw::ap_get_conn_socket(self.connection()) };
        if !socket.is_null() {
            // SAFETY: the connection's own socket.
            unsafe { raw::apr_socket_timeout_set(socket, before.0) };
        }
    }

    /// The connection ends with this response.
    pub(crate) fn close_connection(&mut self) {
        // SAFETY: a live request has a live connection of this thread.
        unsafe { (*self.connection()).keepalive = raw::AP_CONN_CLOSE };
    }

    /// Has httpd decided, for this request, whether the connection stays? It does so as it writes the head.
    pub(super) fn is_head_written(&self) -> bool {
        connection_field!(self.keepalive) != raw::AP_CONN_UNKNOWN
    }

    /// Has httpd decided that the connection stays?
    pub(super) fn stays_connected(&self) -> bool {
        connection_field!(self.keepalive) == raw::AP_CONN_KEEPALIVE
    }

    pub(super) fn bucket_alloc(&self) -> *mut raw::apr_bucket_alloc_t {
        connection_field!(self.bucket_alloc)
    }
}

/// The timeout that a client's connection had.
#[derive(Debug)]
pub(crate) struct ClientTimeout(raw::apr_interval_time_t);

fn port_of(address: *const raw::apr_sockaddr_t) -> Option<u16> {
    if address.is_null() {
        return None;
    }
    // SAFETY: APR's addresses live with the connection; a plain field read.
    Some(unsafe { (*address).port })
}
