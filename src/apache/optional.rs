//! What another module offers: TLS, by httpd's own question to whichever module speaks it.

use crate::bindings as raw;

/// Is this connection over TLS?
///
/// # Safety
/// `connection` is a live connection of this thread.
pub(super) unsafe fn is_tls(connection: *mut raw::conn_rec) -> bool {
    // SAFETY: this function's contract. httpd answers 0 where no module speaks TLS (http_ssl.h, since 2.4.47).
    unsafe { raw::ap_ssl_conn_is_ssl(connection) != 0 }
}
