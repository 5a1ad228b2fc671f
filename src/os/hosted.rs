//! A daemon process in Python's own executable.
//!
//! Distributions compile Python twice, for `python3` and for libpython, which a program of ours must link, and Debian's libpython takes about a
//! tenth longer for the same Python code. So where it can, the supervisor executes `python3`, with this library loaded in front
//! (`LD_PRELOAD`, ld.so(8)). The C library begins every program by `__libc_start_main`: ours comes first in the search for it, and has
//! the C library run the worker's `main` in place of Python's. Extensions find Python where they do under `python3`.
//!
//! On the only thread of a process that has just begun.

use std::ffi::{c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::OnceLock;

use super::identity;
use super::spawn::{PRELOAD, PRELOADED};

/// A program's `main`.
pub type Main = extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;

/// `__libc_start_main` as the Linux Standard Base has it: `main`, its arguments, three functions to run around it, the end of the stack.
pub type Start =
    unsafe extern "C" fn(Main, c_int, *mut *mut c_char, *mut c_void, *mut c_void, *mut c_void, *mut c_void) -> c_int;

/// The process's real life; answers its exit status.
static LIFE: OnceLock<fn() -> u8> = OnceLock::new();

/// The C library's `__libc_start_main`, and what it is to run: `life`, in a process like one whose program is ours.
pub fn instead(life: fn() -> u8) -> (Start, Main) {
    LIFE.get_or_init(|| life);
    // SAFETY: a terminated name; asks for the one behind this library's.
    let start = unsafe { libc::dlsym(libc::RTLD_NEXT, c"__libc_start_main".as_ptr()) };
    if start.is_null() {
        // Nothing has begun that could say more.
        std::process::abort();
    }
    // SAFETY: the C library's function of this name is of this type.
    (unsafe { std::mem::transmute::<*mut c_void, Start>(start) }, main)
}

extern "C" fn main(_count: c_int, _arguments: *mut *mut c_char, _environment: *mut *mut c_char) -> c_int {
    // SAFETY: ignores a signal, as Rust's own beginning does.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // SAFETY: loaded by now, and of no other use.
    unsafe { libc::close(PRELOADED) };
    forget_preload();
    LIFE.get().map_or(1, |life| life().into())
}

/// What the process starts in its turn does without us, and has what was asked for otherwise.
fn forget_preload() {
    let value = std::env::var_os(PRELOAD).unwrap_or_default();
    let rest = value.as_bytes().iter().position(|byte| *byte == b':');
    match rest.and_then(|colon| value.as_bytes().get(colon + 1..)) {
        Some(rest) => identity::set_variable(PRELOAD, rest),
        None => identity::remove_variable(PRELOAD),
    }
}
