//! The head of the response. httpd writes it as the first of the body passes its filters, and changes nothing of it after that.

use std::ffi::c_int;

use super::{Request, field};
use crate::apache::pool::InnerNul;
use crate::apache::table::TableMut;
use crate::bindings as raw;

impl Request<'_> {
    /// The status, and the text behind it: `line` is the whole "200 OK" as sent to HTTP/1 clients, or `None` for httpd's own.
    ///
    /// # Errors
    /// A NUL inside; nothing is changed.
    pub(crate) fn set_status(&mut self, status: u16, line: Option<&[u8]>) -> Result<(), InnerNul> {
        let line = match line {
            Some(line) => self.copied(line)?.cast_const(),
            None => std::ptr::null(),
        };
        // SAFETY: `lend` promised a live request_rec; a plain field.
        unsafe { (*self.raw.as_ptr()).status = i32::from(status) };
        // SAFETY: as above; the text lives in the request's pool.
        unsafe { (*self.raw.as_ptr()).status_line = line };
        Ok(())
    }

    /// The status that will be or was sent.
    pub(crate) fn status(&self) -> u16 {
        u16::try_from(field!(self.status)).unwrap_or(0)
    }

    /// Sends a 103 with these headers ahead of the response (RFC 8297), at once. Does nothing where the client can't take it: one of
    /// HTTP/1.0, a page that this response becomes a part of (mod_include), one whose response has begun. Nothing of the response to come
    /// changes.
    ///
    /// # Errors
    /// A NUL inside; nothing is sent.
    pub(crate) fn send_early_hints<'h>(
        &mut self,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) -> Result<(), InnerNul> {
        if self.has_begun_output() || !field!(self.main).is_null() {
            return Ok(());
        }
        // SAFETY: the request's pool.
        let table = unsafe { raw::apr_table_make(self.pool().as_raw(), 4) };
        let mut hints = self.table_mut(table);
        headers.into_iter().try_for_each(|(name, value)| hints.add(name, value))?;
        let (status, line, headers) = (field!(self.status), field!(self.status_line), field!(self.headers_out));
        let expecting = field!(self.expecting_100);
        let raw = self.raw.as_ptr();
        // httpd takes status and headers from the request's own fields, and thinks that a client that waits for a 100 has it now.
        // SAFETY: `lend` promised a live request_rec; a plain field, as those below.
        unsafe { (*raw).status = raw::HTTP_EARLY_HINTS as c_int };
        // SAFETY: a constant text.
        unsafe { (*raw).status_line = c"103 Early Hints".as_ptr() };
        // SAFETY: a table in the request's pool.
        unsafe { (*raw).headers_out = table };
        // SAFETY: a live request whose response has not begun; writes to the connection's own filters, and lets HTTP/1.0 be.
        unsafe { raw::ap_send_interim_response(raw, 1) };
        // SAFETY: what was there before.
        unsafe { (*raw).status = status };
        // SAFETY: as above.
        unsafe { (*raw).status_line = line };
        // SAFETY: as above.
        unsafe { (*raw).headers_out = headers };
        // SAFETY: as above.
        unsafe { (*raw).expecting_100 = expecting };
        Ok(())
    }

    /// Sets the content type; this may bring in filters (`AddOutputFilterByType`).
    ///
    /// # Errors
    /// A NUL inside; nothing is changed.
    pub(crate) fn set_content_type(&mut self, content_type: &[u8]) -> Result<(), InnerNul> {
        let content_type = self.copied(content_type)?;
        // SAFETY: `lend` promised a live request; the text lives in its pool.
        unsafe { raw::ap_set_content_type(self.raw.as_ptr(), content_type) };
        Ok(())
    }

    /// Answers as a GET of `path` here would, in place of this request, whatever its method was: the rest of its body is read and dropped.
    /// Runs the other request's handler to its end.
    ///
    /// # Errors
    /// A NUL inside; nothing is changed.
    pub(crate) fn redirect_within(&mut self, path: &[u8]) -> Result<(), InnerNul> {
        let path = self.copied(path)?;
        let raw = self.raw.as_ptr();
        // SAFETY: `lend` promised a live request. Whatever it answers, what is left of the body is not the next request's: httpd closes
        // the connection then.
        unsafe { raw::ap_discard_request_body(raw) };
        self.forget_body();
        // SAFETY: as above; a plain field, and a constant text.
        unsafe { (*raw).method = c"GET".as_ptr() };
        // SAFETY: as above.
        unsafe { (*raw).method_number = raw::M_GET as c_int };
        // SAFETY: a live request that no part of a response was sent for, and a text in its pool.
        unsafe { raw::ap_internal_redirect_handler(path, raw) };
        Ok(())
    }

    /// Sent with a success; an error document of httpd's drops them.
    pub(crate) fn headers_out_mut(&mut self) -> TableMut<'_> {
        self.table_mut(field!(self.headers_out))
    }

    /// Sent whatever becomes of the response, also behind an internal redirect.
    pub(crate) fn err_headers_out_mut(&mut self) -> TableMut<'_> {
        self.table_mut(field!(self.err_headers_out))
    }
}
