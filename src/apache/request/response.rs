//! The head of the response. httpd writes it as the first of the body passes its filters, and changes nothing of it after that.

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

    /// Sent with a success; an error document of httpd's drops them.
    pub(crate) fn headers_out_mut(&mut self) -> TableMut<'_> {
        self.table_mut(field!(self.headers_out))
    }

    /// Sent whatever becomes of the response, also behind an internal redirect.
    pub(crate) fn err_headers_out_mut(&mut self) -> TableMut<'_> {
        self.table_mut(field!(self.err_headers_out))
    }
}
