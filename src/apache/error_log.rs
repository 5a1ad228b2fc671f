//! Where the records of a server go, and how they look: what others need that write into the same log.

use std::ffi::{CStr, c_char, c_int};
use std::os::fd::BorrowedFd;

use super::pool::{InnerNul, Pool, bytes};
use super::server::Server;
use crate::bindings as raw;

impl<'s> Server<'s> {
    /// The open error log: a file, or the way to a program; `None` where records go to syslog.
    pub(crate) fn error_log(&self) -> Option<BorrowedFd<'s>> {
        // SAFETY: field invariant: a live server; a plain field read.
        let log = unsafe { (*self.as_raw()).error_log };
        if log.is_null() {
            return None;
        }
        let mut descriptor: c_int = -1;
        // SAFETY: httpd's open file, and a place for one number.
        let status = unsafe { raw::apr_os_file_get(&raw mut descriptor, log) };
        // SAFETY: httpd keeps its logs open as long as the configuration, so as long as this server.
        (status == 0 && descriptor >= 0).then(|| unsafe { BorrowedFd::borrow_raw(descriptor) })
    }

    /// What `ErrorLog` says here; `None` where a virtual host has the main server's.
    pub(crate) fn error_log_name(&self) -> Option<&'s [u8]> {
        // SAFETY: field invariant: a live server; a plain field read.
        let name = unsafe { (*self.as_raw()).error_fname };
        // SAFETY: NULL or NUL-terminated, kept with the configuration.
        unsafe { bytes(name) }
    }

    /// `ErrorLogFormat` of this server, else the main one's. httpd keeps it as functions that want a record, so it is read off the lines of the
    /// configuration.
    ///
    /// # Errors
    /// A NUL inside, which no line of a file holds.
    pub(crate) fn error_log_format(&self, temp: Pool<'_>) -> Result<Option<Vec<u8>>, InnerNul> {
        // SAFETY: httpd's own, written by the parent's only thread before post_config hooks run.
        let tree: *const raw::ap_directive_t = unsafe { raw::ap_conftree };
        // SAFETY: NULL or the tree's first node, kept with the configuration.
        let main = unsafe { Lines::of(tree) };
        // SAFETY: field invariant: a live server; a plain field read.
        let file = unsafe { (*self.as_raw()).defn_name };
        // SAFETY: as above.
        let line = unsafe { (*self.as_raw()).defn_line_number };
        let is_own = |node: &raw::ap_directive_t| {
            node.filename == file && u32::try_from(node.line_num) == Ok(line) && named(node, b"<VirtualHost")
        };
        let own = main.filter(|node| self.is_virtual() && is_own(node)).last();
        // SAFETY: the children of a live node live as long.
        let own = own.and_then(|host| format_among(unsafe { Lines::of(host.first_child) }));
        // SAFETY: as for `main`.
        let found = own.or_else(|| format_among(unsafe { Lines::of(tree) }));
        found.map(|format| first_word(temp, format)).transpose()
    }
}

/// The name that httpd was called by, without its path: its tag in syslog.
pub(crate) fn program_name() -> &'static [u8] {
    // SAFETY: httpd's own, set once before anything of ours runs.
    let name = unsafe { raw::ap_server_argv0 };
    // SAFETY: NUL-terminated, as long as the process.
    unsafe { bytes(name) }.unwrap_or(b"httpd")
}

/// The last line that sets the format of whole records (with two words it is one for connections or requests).
fn format_among(lines: Lines<'_>) -> Option<&CStr> {
    let formats = lines.filter(|node| named(node, b"ErrorLogFormat")).filter_map(|node| {
        // SAFETY: a directive's arguments are NULL or NUL-terminated, kept with the configuration.
        unsafe { (!node.args.is_null()).then(|| CStr::from_ptr(node.args)) }
    });
    let is_other = |format: &&CStr| {
        let text = format.to_bytes().to_ascii_lowercase();
        [&b"connection"[..], b"request"]
            .iter()
            .any(|word| text.strip_prefix(*word).is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_whitespace)))
    };
    formats.filter(|format| !is_other(format)).last()
}

/// The first word, quoted or not, as httpd reads words.
fn first_word(temp: Pool<'_>, line: &CStr) -> Result<Vec<u8>, InnerNul> {
    let copy = temp.copy_cstring(line.to_bytes())?;
    let mut rest: *const c_char = copy.as_ptr();
    // SAFETY: a live pool, and a NUL-terminated text that `rest` moves along.
    let word = unsafe { raw::ap_getword_conf(temp.as_raw(), &raw mut rest) };
    // SAFETY: NUL-terminated in the pool.
    Ok(unsafe { bytes(word) }.unwrap_or_default().to_vec())
}

fn named(node: &raw::ap_directive_t, name: &[u8]) -> bool {
    // SAFETY: a directive's name is NUL-terminated, kept with the configuration.
    unsafe { bytes(node.directive) }.is_some_and(|own| own.eq_ignore_ascii_case(name))
}

/// The lines of a section, one behind the other.
struct Lines<'t> {
    next: Option<&'t raw::ap_directive_t>,
}

impl<'t> Lines<'t> {
    /// # Safety
    /// * `first` is NULL or a node of httpd's tree of the configuration, which nobody changes during `'t`.
    unsafe fn of(first: *const raw::ap_directive_t) -> Lines<'t> {
        // SAFETY: this function's contract.
        Lines { next: unsafe { first.as_ref() } }
    }
}

impl<'t> Iterator for Lines<'t> {
    type Item = &'t raw::ap_directive_t;

    fn next(&mut self) -> Option<&'t raw::ap_directive_t> {
        let node = self.next?;
        // SAFETY: NULL or the next node of the same tree.
        self.next = unsafe { node.next.as_ref() };
        Some(node)
    }
}
