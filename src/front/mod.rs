//! What both modes do to a request before somebody runs it: from URL to script, who is admitted, which groups are meant, what
//! environ says; and how a body and the head of an answer pass between application and httpd.
//!
//! Called by `hooks` on the MPM's threads of a child. `embedded` and `proxy` get what came out, a [`Visit`], and run the application,
//! here or in a daemon process. Nothing here starts Python or talks to another process.

mod admit;
mod again;
mod answer;
mod facts;
mod inquiry;
mod translate;

pub(crate) use admit::{Admitted, Chosen, Visit, admit, visit};
pub(crate) use again::{before_handler, expect_next, expect_nothing};
pub(crate) use answer::{hint, lend_body, log_level, put_head, read_body};
pub(crate) use facts::seen_from;
pub(crate) use inquiry::{access_environ, is_case_sensitive, script_group};
pub(crate) use translate::translate;

/// The mod_wsgi whose behaviour this module has: what applications find as `mod_wsgi.version`.
pub(crate) const VERSION: [u32; 3] = [6, 1, 1];
