//! The programs of daemon mode: beside the module's own file, or where httpd has its modules.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use crate::apache::process;

/// Both, opened, so that a later upgrade can't mix versions.
#[derive(Debug)]
pub(super) struct Executables {
    pub(super) supervisor: OwnedFd,
    pub(super) worker: OwnedFd,
    /// The module's own file as it is now: a supervisor that was started beside another is another build.
    pub(super) build: String,
}

/// Where httpd has its modules, as the build found it.
const MODULES: &str = env!("WSGI_LIBEXECDIR");

/// Finds and opens them.
///
/// # Errors
/// A sentence for the administrator.
pub(super) fn open() -> Result<Executables, String> {
    let own = process::own_file();
    let build = own
        .as_ref()
        .and_then(|path| path.metadata().ok())
        .map(|found| format!("{}:{}:{}.{}", found.dev(), found.ino(), found.mtime(), found.mtime_nsec()));
    let mut homes: Vec<PathBuf> = Vec::new();
    let real = own.as_ref().and_then(|path| path.canonicalize().ok());
    for file in [own, real].into_iter().flatten() {
        homes.extend(file.parent().map(PathBuf::from));
    }
    homes.push(MODULES.into());
    homes.dedup();
    Ok(Executables {
        supervisor: find(&homes, "mod_wsgi-supervisor")?,
        worker: find(&homes, "mod_wsgi-worker")?,
        build: build.unwrap_or_default(),
    })
}

fn find(homes: &[PathBuf], name: &str) -> Result<OwnedFd, String> {
    for home in homes {
        let path = home.join(name);
        if let Ok(file) = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(&path)
            && is_program(&file)
        {
            return Ok(file.into());
        }
    }
    let places: Vec<String> = homes.iter().map(|home| home.display().to_string()).collect();
    Err(format!(
        "the program {name}, which WSGIDaemonProcess needs, is not in {}: install it beside mod_wsgi.so",
        places.join(", nor in ")
    ))
}

fn is_program(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
}
