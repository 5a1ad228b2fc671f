//! Where a panic stops: every entry from C runs its Rust inside `boundary`, which logs and answers for what broke.
//!
//! An unwinding `extern "C"` function ends the whole process, which here is a child with all its requests, or the parent. The panic
//! hook that adds the source line is installed in a child at child_init; the parent never gets one, since httpd unloads the module
//! from it. A broken per-request value is dropped, never used again.

use std::any::Any;
use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::sync::atomic::{AtomicBool, Ordering};

use super::log::{Level, log_main};
use crate::bindings as raw;

/// What httpd hears from a hook of this kind when its Rust panicked.
pub(super) trait Broken {
    const ANSWER: Self;
}

/// What a request hook answers: `OK`, `DECLINED`, or the HTTP status that ends the request.
///
/// A broken one answers 500, which also denies where access was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Answer(c_int);

impl Answer {
    /// Done, here; in a "run all" hook: go on.
    pub(crate) const OK: Answer = Answer(raw::OK as c_int);
    /// Not ours; the next module's turn.
    pub(crate) const DECLINED: Answer = Answer(raw::DECLINED);

    /// httpd has sent its own response while it refused the body ("cleanly passed through", http_protocol.h).
    pub(super) const ANSWERED: Answer = Answer(raw::AP_FILTER_ERROR);

    /// Ends the request with this status and httpd's error document for it.
    pub(crate) fn status(status: u16) -> Answer {
        Answer(c_int::from(status))
    }

    pub(super) const fn into_raw(self) -> c_int {
        self.0
    }
}

impl Broken for Answer {
    const ANSWER: Answer = Answer(raw::HTTP_INTERNAL_SERVER_ERROR as c_int);
}

/// What a start-up hook answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Started {
    Ok,
    /// httpd must not start, or on a restart must end; the reason was logged.
    Refused,
}

impl Started {
    pub(super) const fn into_raw(self) -> c_int {
        match self {
            Started::Ok => raw::OK as c_int,
            Started::Refused => raw::HTTP_INTERNAL_SERVER_ERROR as c_int,
        }
    }
}

impl Broken for Started {
    const ANSWER: Started = Started::Refused;
}

/// Cleanups, child hooks, loggers: logged, and life goes on.
impl Broken for () {
    const ANSWER: () = ();
}

/// A directive's error text: refuses the configuration.
impl Broken for *const c_char {
    const ANSWER: *const c_char = c"internal error in mod_wsgi while it read this directive; please report it".as_ptr();
}

/// A configuration record that could not be made: NULL is read as "none", and start-up asks for it again and refuses.
impl Broken for *mut c_void {
    const ANSWER: *mut c_void = std::ptr::null_mut();
}

/// Runs `f`; a panic is logged and answered as `A` says. `hook` names the entry in the log.
///
/// Every `extern "C"` function of this crate's httpd side has this call as its only statement. Any process, any thread.
pub(super) fn boundary<A: Broken>(hook: &'static str, f: impl FnOnce() -> A) -> A {
    attempt(hook, f).unwrap_or(A::ANSWER)
}

/// As `boundary`, for an entry that answers by what it had already done: `None` after a panic.
pub(super) fn attempt<A>(hook: &'static str, f: impl FnOnce() -> A) -> Option<A> {
    let payload = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(answer) => return Some(answer),
        Err(payload) => payload,
    };
    // Formatting or logging may panic once more, and so may the payload's own Drop.
    let reported = catch_unwind(AssertUnwindSafe(|| report(hook, &*payload)));
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    for again in [reported, dropped].into_iter().filter_map(Result::err) {
        leak(again);
    }
    None
}

fn report(hook: &'static str, payload: &(dyn Any + Send)) {
    if WATCHING.load(Ordering::Relaxed) {
        log_main(
            Level::Crit,
            format_args!("internal error in mod_wsgi's `{hook}` hook, please report it with the line before"),
        );
    } else {
        let message = message(payload);
        log_main(Level::Crit, format_args!("internal error in mod_wsgi's `{hook}` hook, please report it: {message}"));
    }
}

#[expect(clippy::mem_forget, reason = "its Drop is what panicked; a second try could end the process")]
fn leak(payload: Box<dyn Any + Send>) {
    std::mem::forget(payload);
}

static WATCHING: AtomicBool = AtomicBool::new(false);

/// Sends the message and source line of every later panic in this process to httpd's error log instead of stderr.
///
/// Called once in each child by the child_init hook, never in the parent. Also covers threads that are not httpd's.
pub(super) fn watch_panics() {
    if !WATCHING.swap(true, Ordering::Relaxed) {
        set_hook(Box::new(log_panic));
    }
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let message = message(info.payload());
    match info.location() {
        Some(place) => log_main(Level::Crit, format_args!("panic at {}:{}: {message}", place.file(), place.line())),
        None => log_main(Level::Crit, format_args!("panic: {message}")),
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::super::log::written;
    use super::*;

    #[test]
    fn each_kind_of_hook_has_its_answer() {
        assert_eq!(Answer::ANSWER.into_raw(), 500);
        assert_eq!(Started::ANSWER.into_raw(), 500);
        assert_eq!(Answer::DECLINED.into_raw(), -1);
    }

    #[test]
    fn what_did_not_panic_is_answered_as_it_is() {
        assert_eq!(boundary("test", || Answer::status(404)), Answer::status(404));
    }

    #[test]
    fn a_panic_is_logged_and_answered() {
        assert_eq!(boundary("handler", || -> Answer { panic!("what broke") }), Answer::status(500));
        let log = written();
        assert_eq!(log.len(), 1);
        assert!(log[0].starts_with("Crit: internal error in mod_wsgi's `handler` hook"), "{log:?}");
        assert!(log[0].ends_with("what broke"), "{log:?}");
    }

    #[test]
    fn a_payload_that_panics_as_it_goes_stops_here_too() {
        struct Bad;
        impl Drop for Bad {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        boundary::<()>("cleanup", || std::panic::panic_any(Bad));
        assert!(written()[0].ends_with("no message"));
    }

    #[test]
    fn the_message_of_a_panic_is_found_in_both_shapes() {
        assert_eq!(message(&"text"), "text");
        assert_eq!(message(&"owned".to_owned()), "owned");
        assert_eq!(message(&7_u8), "no message");
    }
}
