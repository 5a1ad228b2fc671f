//! The one harness of the server tests: starts an Apache with a few lines of configuration on a free port, waits for it,
//! gates its error log and ends what it started.
//!
//! A test is written once with [`wsgi_test!`] and run for every mode (and, where it says so, every MPM or both kinds of
//! interpreter). Nothing here knows about WSGI applications beyond where they lie; nothing sleeps for a fixed time.

pub(crate) mod client;
pub(crate) mod curl;
pub(crate) mod folder;
pub(crate) mod httpd;
pub(crate) mod log;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod service;
pub(crate) mod setting;
pub(crate) mod site;
pub(crate) mod wait;

pub(crate) use client::{Request, Response};
pub(crate) use server::Server;
pub(crate) use setting::{Interpreter, Mpm, Setting};
pub(crate) use site::Site;
pub(crate) use wait::until;

/// Declares a server test: its name, how often it runs, and a body that gets a [`Site`] to configure and start.
///
/// | kind | embedded mode | daemon mode |
/// |---|---|---|
/// | `usual` (default) | event MPM | event MPM |
/// | `every_mpm` | event, worker, prefork | event, worker, prefork |
/// | `both_interpreters` | a sub-interpreter, the main one | a sub-interpreter, the main one |
/// | `threaded` | event, worker | event, worker |
/// | `prefork` | prefork | prefork |
/// | `embedded`, `embedded_every_mpm` | as above | not at all |
/// | `groups`, `groups_every_mpm` | not at all | as above, with groups that the test configures |
macro_rules! wsgi_test {
    ($name:ident, |$site:ident| $body:block) => {
        wsgi_test!($name, usual, |$site| $body);
    };
    ($name:ident, usual, |$site:ident| $body:block) => {
        wsgi_test!(@settings $name, |$site| $body, {
            embedded: $crate::harness::Setting::EMBEDDED,
            daemon_event: $crate::harness::Setting::DAEMON,
        });
    };
    ($name:ident, every_mpm, |$site:ident| $body:block) => {
        wsgi_test!(@settings $name, |$site| $body, {
            embedded_event: $crate::harness::Setting::EMBEDDED,
            embedded_worker: $crate::harness::Setting::EMBEDDED.under($crate::harness::Mpm::Worker),
            embedded_prefork: $crate::harness::Setting::EMBEDDED.under($crate::harness::Mpm::Prefork),
            daemon_event: $crate::harness::Setting::DAEMON,
            daemon_worker: $crate::harness::Setting::DAEMON.under($crate::harness::Mpm::Worker),
            daemon_prefork: $crate::harness::Setting::DAEMON.under($crate::harness::Mpm::Prefork),
        });
    };
    ($name:ident, threaded, |$site:ident| $body:block) => {
        wsgi_test!(@settings $name, |$site| $body, {
            embedded_event: $crate::harness::Setting::EMBEDDED,
            embedded_worker: $crate::harness::Setting::EMBEDDED.under($crate::harness::Mpm::Worker),
            daemon_event: $crate::harness::Setting::DAEMON,
            daemon_worker: $crate::harness::Setting::DAEMON.under($crate::harness::Mpm::Worker),
        });
    };
    ($name:ident, prefork, |$site:ident| $body:block) => {
        wsgi_test!(@settings $name, |$site| $body, {
            embedded_prefork: $crate::harness::Setting::EMBEDDED.under($crate::harness::Mpm::Prefork),
            daemon_prefork: $crate::harness::Setting::DAEMON.under($crate::harness::Mpm::Prefork),
        });
    };
    ($name:ident, both_interpreters, |$site:ident| $body:block) => {
        wsgi_test!(@settings $name, |$site| $body, {
            embedded_sub: $crate::harness::Setting::EMBEDDED,
            embedded_main: $crate::harness::Setting::EMBEDDED.in_main(),
            daemon_sub: $crate::harness::Setting::DAEMON.in_sub(),
            daemon_main: $crate::harness::Setting::DAEMON.in_main(),
        });
    };
    ($name:ident, embedded, |$site:ident| $body:block) => {
        wsgi_test!(@settings $name, |$site| $body, {
            embedded: $crate::harness::Setting::EMBEDDED,
        });
    };
    ($name:ident, embedded_every_mpm, |$site:ident| $body:block) => {
        wsgi_test!(@settings $name, |$site| $body, {
            embedded_event: $crate::harness::Setting::EMBEDDED,
            embedded_worker: $crate::harness::Setting::EMBEDDED.under($crate::harness::Mpm::Worker),
            embedded_prefork: $crate::harness::Setting::EMBEDDED.under($crate::harness::Mpm::Prefork),
        });
    };
    ($name:ident, groups, |$site:ident| $body:block) => {
        wsgi_test!(@settings $name, |$site| $body, {
            daemon_event: $crate::harness::Setting::GROUPS,
        });
    };
    ($name:ident, groups_every_mpm, |$site:ident| $body:block) => {
        wsgi_test!(@settings $name, |$site| $body, {
            daemon_event: $crate::harness::Setting::GROUPS,
            daemon_worker: $crate::harness::Setting::GROUPS.under($crate::harness::Mpm::Worker),
            daemon_prefork: $crate::harness::Setting::GROUPS.under($crate::harness::Mpm::Prefork),
        });
    };
    (@settings $name:ident, |$site:ident| $body:block, { $($setting:ident: $value:expr,)+ }) => {
        fn $name($site: $crate::harness::Site) $body
        mod $name {
            $(
                #[test]
                fn $setting() {
                    let name = concat!(stringify!($setting), "-", stringify!($name));
                    if let Some(site) = $crate::harness::Site::new(name, $value) {
                        super::$name(site);
                    }
                }
            )+
        }
    };
}
pub(crate) use wsgi_test;
