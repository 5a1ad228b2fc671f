//! httpd's error log, under our module's tag: to a request's log, the main server's, or the start-up log.
//!
//! The level is tested before anything is formatted, and the text goes in as data, never as a format. httpd has room for 8 KiB in
//! one line, prefix and escapes counted, and cuts what is more, so a longer text becomes several records. httpd itself escapes
//! control characters. Any thread may log to the main server.

use std::ffi::{CString, c_int};
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::server::Server;
use crate::bindings as raw;

/// httpd's levels; a lower number is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub(crate) enum Level {
    Emerg = raw::APLOG_EMERG as c_int,
    Alert = raw::APLOG_ALERT as c_int,
    Crit = raw::APLOG_CRIT as c_int,
    Err = raw::APLOG_ERR as c_int,
    Warning = raw::APLOG_WARNING as c_int,
    Notice = raw::APLOG_NOTICE as c_int,
    Info = raw::APLOG_INFO as c_int,
    Debug = raw::APLOG_DEBUG as c_int,
    Trace1 = raw::APLOG_TRACE1 as c_int,
}

impl Level {
    const fn as_raw(self) -> c_int {
        self as c_int
    }

    /// "Notice" and worse are written whatever `LogLevel` says (http_log.h, APLOG_MODULE_IS_LEVEL).
    fn shown_at(self, configured: impl FnOnce() -> c_int) -> bool {
        self <= Level::Notice || configured() >= self.as_raw()
    }
}

/// Where a record goes.
#[derive(Clone, Copy)]
#[cfg_attr(test, expect(dead_code, reason = "httpd reads it, which is not there in unit tests"))]
enum Target {
    Request(*const raw::request_rec),
    Server(*const raw::server_rec),
    Startup,
}

/// The main server, from post_config (parent) or child_init (child) on; threads that are not httpd's log here.
static MAIN: AtomicPtr<raw::server_rec> = AtomicPtr::new(ptr::null_mut());

/// Remembers the main server until `forget_main`.
pub(super) fn remember_main(server: Server<'_>) {
    MAIN.store(server.as_raw(), Ordering::Release);
}

/// Before the configuration that holds the server goes.
pub(super) fn forget_main() {
    MAIN.store(ptr::null_mut(), Ordering::Release);
}

/// Logs one of our sentences to the main server's log, from any thread of the process; before there is one, to the start-up log.
#[track_caller]
pub(crate) fn log_main(level: Level, text: fmt::Arguments<'_>) {
    write(main(), level, text);
}

/// Logs one of our sentences before the logs are open: to the terminal, or the log of the configuration before.
#[track_caller]
pub(crate) fn log_startup(level: Level, text: fmt::Arguments<'_>) {
    write(Target::Startup, level, text);
}

fn main() -> Target {
    let server = MAIN.load(Ordering::Acquire);
    if server.is_null() { Target::Startup } else { Target::Server(server) }
}

/// Whether `log_main` would write a record of this level.
pub(crate) fn shows_main(level: Level) -> bool {
    main().shows(level)
}

/// Whether the log of a request's server shows records of this level.
///
/// # Safety
/// * `request` is alive.
pub(super) unsafe fn shows_request(request: *const raw::request_rec, level: Level) -> bool {
    Target::Request(request).shows(level)
}

/// The least serious level that the log of a request's server shows.
///
/// # Safety
/// * `request` is alive.
pub(super) unsafe fn request_level(request: *const raw::request_rec) -> c_int {
    httpd::configured_level(Target::Request(request))
}

/// The level from which on our records are shown in this server's log.
pub(super) fn server_level(server: Server<'_>) -> c_int {
    httpd::configured_level(Target::Server(server.as_raw()))
}

/// # Safety
/// `request` is a live request of this thread.
#[track_caller]
pub(super) unsafe fn log_request(request: *const raw::request_rec, level: Level, text: fmt::Arguments<'_>) {
    write(Target::Request(request), level, text);
}

impl Target {
    fn shows(self, level: Level) -> bool {
        level.shown_at(|| httpd::configured_level(self))
    }
}

#[track_caller]
fn write(target: Target, level: Level, text: fmt::Arguments<'_>) {
    if target.shows(level) {
        match text.as_str() {
            Some(text) => write_record(target, level, text.as_bytes()),
            None => write_record(target, level, text.to_string().as_bytes()),
        }
    }
}

#[track_caller]
fn write_record(target: Target, level: Level, text: &[u8]) {
    let place = Location::caller();
    let line = c_int::try_from(place.line()).unwrap_or(0);
    for piece in pieces(text) {
        httpd::emit(target, level, place.file_as_c_str(), line, &piece);
    }
}

/// The calls themselves.
#[cfg(not(test))]
mod httpd {
    use std::ffi::{CStr, c_int};
    use std::ptr;

    use super::super::record;
    use super::{Level, Target};
    use crate::bindings as raw;

    pub(super) fn configured_level(target: Target) -> c_int {
        let index = record::module_index();
        match target {
            // SAFETY: the functions that make a request target promise a live request.
            Target::Request(request) => unsafe { raw::ap_get_request_module_loglevel(request, index) },
            // SAFETY: a `Server` is live while it is lent; MAIN is taken back before the server goes.
            Target::Server(server) => unsafe { raw::ap_get_server_module_loglevel(server, index) },
            // As httpd's macros: with no server there is no configured level.
            Target::Startup => raw::APLOG_TRACE8 as c_int,
        }
    }

    pub(super) fn emit(target: Target, level: Level, file: &CStr, line: c_int, text: &CStr) {
        let (file, index, format, text) = (file.as_ptr(), record::module_index(), c"%s".as_ptr(), text.as_ptr());
        match target {
            // SAFETY: the functions that make a request target promise a live request; one `%s`, one NUL-terminated text.
            Target::Request(request) => unsafe {
                raw::ap_log_rerror_(file, line, index, level.as_raw(), 0, request, format, text);
            },
            // SAFETY: a `Server` is live while it is lent, MAIN is taken back before the server goes; the rest as above.
            Target::Server(server) => unsafe {
                raw::ap_log_error_(file, line, index, level.as_raw(), 0, server, format, text);
            },
            Target::Startup => {
                let level = level.as_raw() | raw::APLOG_STARTUP as c_int;
                let none: *const raw::server_rec = ptr::null();
                // SAFETY: httpd takes NULL for "no server yet"; the rest as above.
                unsafe { raw::ap_log_error_(file, line, index, level, 0, none, format, text) };
            }
        }
    }
}

/// httpd is not there in unit tests: what would be written is kept for the test's thread.
#[cfg(test)]
mod httpd {
    use std::cell::RefCell;
    use std::ffi::{CStr, c_int};

    use super::{Level, Target};

    thread_local! {
        static WRITTEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn configured_level(_: Target) -> c_int {
        Level::Info.as_raw()
    }

    pub(super) fn emit(_: Target, level: Level, _: &CStr, _: c_int, text: &CStr) {
        WRITTEN.with_borrow_mut(|written| written.push(format!("{level:?}: {}", text.to_string_lossy())));
    }

    pub(in super::super) fn written() -> Vec<String> {
        WRITTEN.take()
    }
}

/// What the test's thread would have logged since the last call.
#[cfg(test)]
pub(super) use httpd::written;

/// What one record may hold, escaped: httpd's 8192 less its prefix (time, module, ids, client) and the referer behind it.
const ROOM: usize = 7168;

/// Cuts a text into what one record holds, at ends of UTF-8 characters where there are some; a NUL, which httpd would stop at, is
/// written as `\x00`. An empty text is one empty record.
fn pieces(text: &[u8]) -> impl Iterator<Item = CString> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let (piece, behind) = split(rest?);
        rest = (!behind.is_empty()).then_some(behind);
        Some(for_c(piece))
    })
}

fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let mut room = ROOM;
    let full = text.iter().position(|byte| match room.checked_sub(escaped_length(*byte)) {
        Some(left) => {
            room = left;
            false
        }
        None => true,
    });
    let Some(full) = full else { return (text, &[]) };
    // A character is at most four bytes; what is no UTF-8 is cut where it is full.
    let end = (full.saturating_sub(3)..=full).rev().find(|end| text.get(*end).is_none_or(|byte| byte & 0xC0 != 0x80));
    text.split_at(end.filter(|end| *end > 0).unwrap_or(full))
}

/// How many bytes httpd needs for one (`ap_escape_errorlog_item` writes `\xhh` for what is not printable); a NUL is ours to write,
/// and httpd doubles its backslash.
const fn escaped_length(byte: u8) -> usize {
    match byte {
        0 => 5,
        b'\\' | b'"' => 2,
        b' '..=b'~' => 1,
        _ => 4,
    }
}

fn for_c(piece: &[u8]) -> CString {
    let text = match CString::new(piece) {
        Ok(text) => return text,
        Err(inner_nul) => inner_nul.into_vec(),
    };
    let shown: Vec<u8> = text.split(|byte| *byte == 0).collect::<Vec<_>>().join(&br"\x00"[..]);
    // No NUL is left.
    CString::new(shown).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &[u8]) -> Vec<Vec<u8>> {
        pieces(text).map(CString::into_bytes).collect()
    }

    #[test]
    fn notice_is_always_shown_and_the_rest_as_configured() {
        assert!(Level::Notice.shown_at(|| 0));
        assert!(!Level::Info.shown_at(|| Level::Warning.as_raw()));
        assert!(Level::Info.shown_at(|| Level::Info.as_raw()));
    }

    #[test]
    fn what_is_not_shown_is_not_even_formatted() {
        struct Dear;
        impl fmt::Display for Dear {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("formatted")
            }
        }
        log_main(Level::Debug, format_args!("{Dear}"));
        log_main(Level::Info, format_args!("a{}", 1));
        assert_eq!(written(), ["Info: a1"]);
    }

    #[test]
    fn a_short_text_is_one_record_and_an_empty_one_too() {
        assert_eq!(texts(b"one 100% %s"), [b"one 100% %s".to_vec()]);
        assert_eq!(texts(b""), [b"".to_vec()]);
    }

    #[test]
    fn a_nul_is_shown() {
        assert_eq!(texts(b"a\0b\0"), [br"a\x00b\x00".to_vec()]);
    }

    #[test]
    fn a_long_text_is_cut_but_nothing_is_lost() {
        let long: Vec<u8> = (0..20_000_u32).map(|n| b'a' + u8::try_from(n % 26).unwrap()).collect();
        let pieces = texts(&long);
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [7168, 7168, 5664]);
        assert_eq!(pieces.concat(), long);
    }

    #[test]
    fn escapes_count_and_characters_stay_whole() {
        let long = "€".repeat(3000);
        let pieces = texts(long.as_bytes());
        assert!(pieces.iter().all(|piece| std::str::from_utf8(piece).is_ok()));
        assert!(pieces.iter().all(|piece| piece.len() * 4 <= ROOM));
        assert_eq!(pieces.concat(), long.as_bytes());
        assert_eq!(texts(&[0x80; 4000]).concat(), [0x80; 4000]);
    }
}
