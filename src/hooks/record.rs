//! What the exported record says: name, configuration records, directives, hooks. The static itself stands in `lib.rs`.

use std::ffi::CStr;

use super::commands::COMMANDS;
use crate::apache::{DirRecord, Module, Pool, Record, Server, ServerRecord};
use crate::config::{DirConfig, ServerConfig};

/// The module as httpd knows it; other modules and `<IfModule>` know it as `mod_wsgi.c`.
struct Wsgi;

pub(crate) const fn record() -> Record {
    Record::new::<Wsgi, _>(&COMMANDS)
}

impl Module for Wsgi {
    const NAME: &'static CStr = c"mod_wsgi.c";
    type Dir = DirConfig;
    type Server = ServerConfig;

    fn register(pool: Pool<'_>) {
        super::register(pool);
    }

    fn record() -> &'static Record {
        &crate::wsgi_module
    }
}

impl DirRecord for DirConfig {
    fn create(_dir: Option<&[u8]>) -> Self {
        DirConfig::default()
    }

    fn merge(outer: &Self, inner: &Self) -> Self {
        DirConfig::merge(outer, inner)
    }
}

impl ServerRecord for ServerConfig {
    fn create(_server: &Server<'_>) -> Self {
        ServerConfig::default()
    }

    fn merge(main: &Self, host: &Self) -> Self {
        ServerConfig::merge(main, host)
    }
}
