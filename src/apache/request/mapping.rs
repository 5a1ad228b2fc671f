//! Where the URL was mapped to: file, handler, options and limits of the place, and what the environ tells of it.

use std::ffi::CStr;
use std::mem::MaybeUninit;

use super::{Request, field, text};
use crate::apache::pool::{InnerNul, bytes};
use crate::bindings as raw;

/// What httpd found at `filename` in its directory walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) kind: FileKind,
    /// Microseconds since the epoch.
    pub(crate) modified: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Regular,
    Directory,
    Other,
}

/// `AcceptPathInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathInfo {
    Accept,
    Reject,
    /// Not said: the handler decides.
    Default,
}

impl Request<'_> {
    /// The file that the URL was mapped to.
    pub(crate) fn filename(&self) -> Option<&[u8]> {
        text!(self.filename)
    }

    /// What of the URL's path is behind the file.
    pub(crate) fn path_info(&self) -> Option<&[u8]> {
        text!(self.path_info)
    }

    /// What is at `filename`; `None` where nothing is.
    pub(crate) fn file(&self) -> Option<File> {
        let raw = self.raw.as_ptr();
        // SAFETY: `lend` promised a live request_rec; a plain field read.
        let kind = match unsafe { (*raw).finfo.filetype } {
            raw::APR_NOFILE => return None,
            raw::APR_REG => FileKind::Regular,
            raw::APR_DIR => FileKind::Directory,
            _ => FileKind::Other,
        };
        // SAFETY: as above.
        let modified = unsafe { (*raw).finfo.mtime };
        Some(File { kind, modified })
    }

    /// The handler by `SetHandler` and the like; where there is none, httpd takes the content type as its name.
    pub(crate) fn handler(&self) -> Option<&[u8]> {
        text!(self.handler)
    }

    /// Maps the URL to this file.
    ///
    /// # Errors
    /// A NUL inside; nothing is changed.
    pub(crate) fn set_filename(&mut self, filename: &[u8]) -> Result<(), InnerNul> {
        let filename = self.copied(filename)?;
        // SAFETY: `lend` promised a live request_rec; the text lives in its pool.
        unsafe { (*self.raw.as_ptr()).filename = filename };
        Ok(())
    }

    /// Maps the URL to this file, with the rest as path info, if it is a regular file: false where it is not, and nothing is changed. httpd's
    /// directory walk then takes both as they are, without a look at each directory where `Options FollowSymLinks` allows that.
    ///
    /// # Errors
    /// A NUL inside; nothing is changed.
    pub(crate) fn set_regular_file(&mut self, filename: &[u8], path_info: &[u8]) -> Result<bool, InnerNul> {
        let (filename, path_info) = (self.copied(filename)?, self.copied(path_info)?);
        let mut found = MaybeUninit::<raw::apr_finfo_t>::zeroed();
        let wanted = raw::APR_FINFO_MIN as i32;
        // SAFETY: a record for the answer, a NUL-terminated text in a live pool.
        let status = unsafe { raw::apr_stat(found.as_mut_ptr(), filename, wanted, self.pool().as_raw()) };
        // SAFETY: plain data, all zero bits is a value of it (`APR_NOFILE`).
        let found = unsafe { found.assume_init() };
        if status != 0 || found.filetype != raw::APR_REG {
            return Ok(false);
        }
        let request = self.raw.as_ptr();
        // SAFETY: `lend` promised a live request_rec; the text lives in its pool.
        unsafe { (*request).filename = filename };
        // SAFETY: as above.
        unsafe { (*request).path_info = path_info };
        // SAFETY: as above; the name in it is that text.
        unsafe { (*request).finfo = found };
        Ok(true)
    }

    /// Names the handler.
    ///
    /// # Errors
    /// A NUL inside; nothing is changed.
    pub(crate) fn set_handler(&mut self, handler: &[u8]) -> Result<(), InnerNul> {
        let handler = self.copied(handler)?;
        // SAFETY: `lend` promised a live request_rec; the text lives in its pool.
        unsafe { (*self.raw.as_ptr()).handler = handler };
        Ok(())
    }

    /// `AcceptPathInfo` as it holds here.
    pub(crate) fn accepts_path_info(&self) -> PathInfo {
        match u32::try_from(field!(self.used_path_info)) {
            Ok(raw::AP_REQ_ACCEPT_PATH_INFO) => PathInfo::Accept,
            Ok(raw::AP_REQ_REJECT_PATH_INFO) => PathInfo::Reject,
            _ => PathInfo::Default,
        }
    }

    /// `Options ExecCGI`?
    pub(crate) fn allows_exec_cgi(&self) -> bool {
        // SAFETY: `lend` promised a live request.
        let options = unsafe { raw::ap_allow_options(self.raw.as_ptr()) };
        u32::try_from(options).is_ok_and(|options| options & raw::OPT_EXECCGI != 0)
    }

    /// `LimitRequestBody` in bytes; `None`: no limit.
    pub(crate) fn limit_request_body(&self) -> Option<u64> {
        // SAFETY: `lend` promised a live request.
        let limit = unsafe { raw::ap_get_limit_req_body(self.raw.as_ptr()) };
        u64::try_from(limit).ok().filter(|limit| *limit > 0)
    }

    /// `CGIPassAuth On`?
    pub(crate) fn passes_authorization(&self) -> bool {
        // SAFETY: `lend` promised a live request, and core has its record for each.
        unsafe { raw::wsgi_shim_cgi_pass_auth(self.raw.as_ptr()) != 0 }
    }

    /// `REQUEST_URI` by CGI's custom: the second word of the request line; the URI of now where `CGIVar REQUEST_URI current-uri`.
    pub(crate) fn request_uri(&self) -> &[u8] {
        // SAFETY: `lend` promised a live request, and core has its record for each.
        let rule = unsafe { raw::wsgi_shim_cgi_var_rule(self.raw.as_ptr(), c"REQUEST_URI".as_ptr()) };
        // SAFETY: NULL or NUL-terminated in httpd's configuration.
        match unsafe { bytes(rule) } {
            Some(b"current-uri") => self.uri(),
            _ => self.request_line().map_or(b"", second_word),
        }
    }

    /// `REDIRECT_URL` for a request that was redirected here within httpd: its path, or the whole URL where `QualifyRedirectURL On`.
    pub(crate) fn redirect_url(&self) -> Option<&[u8]> {
        let previous = field!(self.prev);
        if previous.is_null() {
            return None;
        }
        // SAFETY: `lend` promised a live request, and core has its record for each.
        if unsafe { raw::wsgi_shim_qualify_redirect_url(self.raw.as_ptr()) } == 0 {
            // SAFETY: httpd keeps the chain of redirects as long as its last request; a plain field read.
            let uri = unsafe { (*previous).uri };
            // SAFETY: NUL-terminated in the request's pool.
            return unsafe { bytes(uri) };
        }
        // A copy: the previous request's own stays as it was parsed.
        // SAFETY: as above; plain data.
        let mut uri = unsafe { (*previous).parsed_uri };
        if uri.scheme.is_null() {
            // SAFETY: as above, a live request.
            uri.scheme = unsafe { raw::ap_run_http_scheme(previous) }.cast_mut();
        }
        if uri.hostname.is_null() {
            // SAFETY: as above, a live request.
            uri.hostname = unsafe { raw::ap_get_server_name_for_url(previous) }.cast_mut();
        }
        if uri.port == 0 {
            // SAFETY: as above, a live request.
            uri.port = unsafe { raw::ap_get_server_port(previous) };
            uri.port_str = self.copied(uri.port.to_string().as_bytes()).ok()?;
        }
        // SAFETY: a live pool, and a record whose texts live with the requests; it is only read.
        let url = unsafe { raw::apr_uri_unparse(self.pool().as_raw(), &raw const uri, 0) };
        // SAFETY: NUL-terminated in the request's pool.
        unsafe { bytes(url) }
    }

    /// `DocumentRoot`, or what a module put in its place.
    pub(crate) fn document_root(&self) -> &[u8] {
        // SAFETY: httpd answers a text in the request's pool or its configuration.
        unsafe { self.ask(raw::ap_document_root) }.unwrap_or_default()
    }

    /// The part of the URL that `Alias` and the like took.
    pub(crate) fn context_prefix(&self) -> &[u8] {
        // SAFETY: httpd answers a text in the request's pool or its configuration.
        unsafe { self.ask(raw::ap_context_prefix) }.unwrap_or_default()
    }

    /// The directory that `context_prefix` stands for.
    pub(crate) fn context_document_root(&self) -> &[u8] {
        // SAFETY: httpd answers a text in the request's pool or its configuration.
        unsafe { self.ask(raw::ap_context_document_root) }.unwrap_or_default()
    }

    /// Is a filter of a type before the protocol level the first on the way out, say DEFLATE, which wants to see a HEAD's body?
    pub(crate) fn has_content_filter(&self) -> bool {
        let filter = field!(self.output_filters);
        if filter.is_null() {
            return false;
        }
        // SAFETY: httpd's chain of a live request; a plain field read.
        let kind = unsafe { (*filter).frec };
        if kind.is_null() {
            return false;
        }
        // SAFETY: registered filters stay as long as the process; a plain field read.
        unsafe { (*kind).ftype < raw::AP_FTYPE_PROTOCOL }
    }

    /// A header that the client sent.
    pub(crate) fn header(&self, name: &CStr) -> Option<&[u8]> {
        self.headers_in().get(name)
    }
}

/// As httpd's own CGI: between the first white space and the next.
fn second_word(line: &[u8]) -> &[u8] {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_uri_is_the_second_word_as_sent() {
        assert_eq!(second_word(b"GET /a%2Fb//c?d=e HTTP/1.1"), b"/a%2Fb//c?d=e");
        assert_eq!(second_word(b"GET http://h/x HTTP/1.1"), b"http://h/x");
        assert_eq!(second_word(b"GET /only"), b"/only");
        assert_eq!(second_word(b"GET"), b"");
    }
}
