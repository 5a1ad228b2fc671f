//! The one harness of the server tests: starts an Apache with a few lines of configuration on a free port, waits for it,
//! gates its error log and ends what it started.
//!
//! A test is written once with [`wsgi_test!`] and run for every mode (and, where it says so, every MPM or both kinds of
//! interpreter). Nothing here knows about WSGI applications beyond where they lie; nothing sleeps for a fixed time.

pub(crate) mod client;
pub(crate) mod folder;
pub(crate) mod httpd;
pub(crate) mod log;
pub(crate) mod server;
pub(crate) mod setting;
pub(crate) mod site;
pub(crate) mod wait;

pub(crate) use client::{Connection, Request, Response};
pub(crate) use server::Server;
pub(crate) use setting::{Interpreter, Mode, Mpm, Setting};
pub(crate) use site::Site;
pub(crate) use wait::until;

/// Declares a server test: its name, how often it runs, and a body that gets a [`Site`] to configure and start.
///
/// `usual` (default) is the event MPM and the default interpreter; `every_mpm` repeats the body under event, worker and
/// prefork; `both_interpreters` repeats it in a sub-interpreter and in the main one. A new mode is a new line in each arm.
macro_rules! wsgi_test {
    ($name:ident, |$site:ident| $body:block) => {
        wsgi_test!($name, usual, |$site| $body);
    };
    ($name:ident, usual, |$site:ident| $body:block) => {
        wsgi_test!(@settings $name, |$site| $body, {
            embedded: Setting::EMBEDDED,
        });
    };
    ($name:ident, every_mpm, |$site:ident| $body:block) => {
        wsgi_test!(@settings $name, |$site| $body, {
            embedded_event: Setting::EMBEDDED,
            embedded_worker: Setting::EMBEDDED.under(Mpm::Worker),
            embedded_prefork: Setting::EMBEDDED.under(Mpm::Prefork),
        });
    };
    ($name:ident, both_interpreters, |$site:ident| $body:block) => {
        wsgi_test!(@settings $name, |$site| $body, {
            embedded_sub: Setting::EMBEDDED,
            embedded_main: Setting::EMBEDDED.in_main(),
        });
    };
    (@settings $name:ident, |$site:ident| $body:block, { $($setting:ident: $value:expr,)+ }) => {
        mod $name {
            use super::*;
            fn body($site: Site) $body
            $(
                #[test]
                fn $setting() {
                    if let Some(site) = Site::new(concat!(stringify!($name), "-", stringify!($setting)), $value) {
                        body(site);
                    }
                }
            )+
        }
    };
}
pub(crate) use wsgi_test;
