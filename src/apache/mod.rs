//! Safe Rust over httpd 2.4: the only room that talks to `bindings`, and the only door of the other rooms to httpd.
//!
//! C's entries (`hook`, `command`, `config_record`) lend what they were given to a plain Rust function for the length of the call:
//! `Request`, `Server`, `Pool`, `Command`. Each call runs inside a panic boundary. All of it runs in httpd's processes: start-up, directives and
//! configuration records in the single-threaded parent, requests on the MPM's threads of a child. Nothing here knows Python or WSGI,
//! starts a thread, keeps a lock, or has a thread-local.

mod boundary;
mod command;
mod config_record;
mod entry;
mod error_log;
pub(crate) mod hook;
mod log;
mod pool;
pub(crate) mod process;
mod provider;
mod record;
mod regex;
mod request;
pub(crate) mod scoreboard;
pub(crate) mod server;
mod table;

pub(crate) use boundary::{Answer, Started};
pub(crate) use command::{Command, Commands, END, Overrides, Row, raw};
pub(crate) use config_record::{DirRecord, ServerRecord};
pub(crate) use error_log::program_name;
pub(crate) use hook::{Names, Place};
pub(crate) use log::{Level, log_main, log_startup, shows_main};
pub(crate) use pool::{InnerNul, Pool};
pub(crate) use provider::{Membership, Password, RealmHash, authn_provider, authz_provider};
pub(crate) use record::{Module, Record};
pub(crate) use regex::Regex;
pub(crate) use request::{BodyError, ClientTimeout, FileKind, PathInfo, Pieces, Request, Then};
pub(crate) use server::{MainState, Server};
pub(crate) use table::{Table, TableMut};
