//! The rules of WSGI that need no server and no Python: what `environ` holds, which requests are admitted, what a status and a
//! header may look like, how paths are split and groups are named.
//!
//! Called by `embedded` and `application` for every request, in httpd children and in daemon workers, on any thread. Everything
//! here is a function of its arguments: no clock, no files, no process state. Names no other room.
#![forbid(unsafe_code)]

mod admission;
mod alias;
mod environ;
mod group;
mod head;
mod head_to_get;
mod hints;
mod host;
mod input;
mod length;
mod module_name;
mod pairs;
mod quote;
mod response;
mod script_name;
#[cfg(test)]
mod testing;
mod trusted_proxies;

pub use admission::{Admission, Body, FileKind, HandlerKind, Refusal, admit};
pub use alias::{is_path_info, prefix_match, rest};
pub use environ::{
    AccessFacts, CgiPolicy, Entries, Environ, Previous, RequestFacts, UrlScheme, Visit, access_environ,
    dispatch_environ, environ, is_filesystem_key, set_https,
};
pub use group::{Lookups, application_group, callable_object, process_group, resource_of, script_application_group};
pub use head::{Head, HeaderError, StatusError};
pub use head_to_get::{MapHead, head_is_get};
pub use hints::{HintError, Hints};
pub use host::{Gone, Host, InputError, Level, Then};
pub use input::Input;
pub use length::LengthError;
pub use module_name::module_name;
pub use pairs::Pairs;
pub use quote::Quoted;
pub use response::{Failed, HeadSent, Response, SendError, StartError};
pub use script_name::group_script_name;
pub use trusted_proxies::{TrustedProxies, knows_proxy_header, trust_proxies};
