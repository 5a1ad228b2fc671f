//! Scripts that httpd asks about a request before it is served: may this client have it, who is the user, in which groups, where
//! does it run.
//!
//! Called by `hooks` on the MPM's threads of a child, in httpd's access, authentication, authorization and handler phases. All of them
//! run here, in the child's own Python, also where applications run in daemon processes. Whatever goes wrong says no: a refusal, or an
//! error that httpd answers with 500, never a yes.

mod ask;
mod dispatch;
mod groups;
mod hosts;
mod users;
mod verdict;

pub(crate) use dispatch::dispatch;
pub(crate) use groups::is_member;
pub(crate) use hosts::check_access;
pub(crate) use users::{check_password, realm_hash};
