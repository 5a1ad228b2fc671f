//! The rules of WSGI that need no server and no Python: what `environ` holds, which requests are admitted, what a status and a
//! header may look like, how paths are split and groups are named.
//!
//! Called by `embedded` and `application` for every request, in httpd children and in daemon workers, on any thread. Everything
//! here is a function of its arguments: no clock, no files, no process state. Names no other room.
#![forbid(unsafe_code)]

pub mod admission;
pub mod alias;
pub mod environ;
pub mod group;
pub mod head;
pub mod head_to_get;
pub mod host;
pub mod input;
pub mod length;
pub mod module_name;
pub mod pairs;
pub mod quote;
pub mod response;
pub mod script_name;
#[cfg(test)]
mod testing;

pub use admission::{Admission, Body, FileKind, HandlerKind, Refusal, admit};
pub use alias::{prefix_match, target};
pub use environ::{CgiPolicy, Entries, Environ, Previous, RequestFacts, UrlScheme, Visit, environ, is_filesystem_key};
pub use group::{Lookups, application_group, callable_object, process_group, script_application_group};
pub use head::{Head, HeaderError, StatusError};
pub use head_to_get::{MapHead, head_is_get};
pub use host::{Gone, Host, InputError, Level, Then};
pub use input::Input;
pub use length::{Ending, LengthError, LengthGuard, computed_length, may_have_content};
pub use module_name::module_name;
pub use pairs::{Appender, Pairs};
pub use quote::Quoted;
pub use response::{Failed, Response, SendError, StartError};
pub use script_name::{SplitPath, collapse_slashes, group_script_name, split};
