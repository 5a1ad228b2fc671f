//! The listening sockets of groups: made once for a key, kept over restarts with the same key as long as they are where they belong,
//! removed when nobody uses them.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::apache::{Level, log_main};
use crate::config::DaemonOptions;
use crate::os::listen::{LONGEST_PATH, Listening, listen_at};

/// A socket's file stays so long behind its last configuration: children of that may still connect for requests that came before.
const RETIREMENT: Duration = Duration::from_secs(60);

/// The sockets of a group, one for each process, and the secret that is shown on them.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) secret: [u8; 32],
    /// The number in their names.
    pub(super) ordinal: u64,
    pub(super) paths: Vec<PathBuf>,
    /// What was made at each path: device and inode, which nobody else gets while the socket is open.
    pub(super) files: Vec<(u64, u64)>,
    pub(super) listening: Vec<OwnedFd>,
}

impl Sockets {
    /// None, with which requests fail.
    pub(super) fn none() -> Sockets {
        Sockets { secret: [0; 32], ordinal: 0, paths: Vec::new(), files: Vec::new(), listening: Vec::new() }
    }

    /// Whether `make` would put them where they are, and they are still there.
    pub(super) fn are_those_of(&self, prefix: &Path, owner: Option<u32>) -> bool {
        let belongs = |(slot, path): (u32, &PathBuf)| *path == path_of(prefix, self.ordinal, slot);
        (1..).zip(&self.paths).all(belongs) && self.are_there(owner)
    }

    /// Whether each path leads to what was made there, and that is the owner's. Somebody who tidies up may have removed it.
    pub(super) fn are_there(&self, owner: Option<u32>) -> bool {
        let found = |path: &PathBuf| path.symlink_metadata().ok();
        let is_there = |(path, file): (&PathBuf, &(u64, u64))| {
            found(path).is_some_and(|found| {
                (found.dev(), found.ino()) == *file && owner.is_none_or(|owner| found.uid() == owner)
            })
        };
        self.files.len() == self.paths.len() && self.paths.iter().zip(&self.files).all(is_there)
    }
}

fn path_of(prefix: &Path, ordinal: u64, slot: u32) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(format!(".{ordinal}.{slot}.sock"));
    path.into()
}

/// A path whose group is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Retired {
    pub(super) path: PathBuf,
    pub(super) since: SystemTime,
}

/// Makes the sockets of a group: `<prefix>.<ordinal>.<slot>.sock`. An ordinal is never used twice by one parent, so that old children and
/// new ones each find their own.
///
/// # Errors
/// A sentence for the administrator; what was made is removed.
pub(super) fn make(
    prefix: &Path,
    ordinal: u64,
    options: &DaemonOptions,
    owner: Option<u32>,
) -> Result<Sockets, String> {
    let how = Listening {
        owner,
        backlog: options.listen_backlog(),
        send_buffer: options.send_buffer_size(),
        receive_buffer: options.receive_buffer_size(),
    };
    let mut sockets = Sockets { secret: secret()?, ordinal, ..Sockets::none() };
    for slot in 1..=options.processes() {
        let path = path_of(prefix, ordinal, slot);
        match one(&path, how) {
            Ok((listening, file)) => {
                sockets.paths.push(path);
                sockets.files.push(file);
                sockets.listening.push(listening);
            }
            Err(text) => {
                sockets.paths.iter().for_each(|path| remove(path));
                return Err(text);
            }
        }
    }
    Ok(sockets)
}

/// The socket, and its file's device and inode.
fn one(path: &Path, how: Listening) -> Result<(OwnedFd, (u64, u64)), String> {
    let length = path.as_os_str().len();
    if length > LONGEST_PATH {
        return Err(format!(
            "the socket's path {} has {length} bytes, and the system allows {LONGEST_PATH}; set a shorter WSGISocketPrefix",
            path.display()
        ));
    }
    let mut made = listen_at(path, how);
    if made.as_ref().is_err_and(|(_, error)| error.kind() == io::ErrorKind::AddrInUse) {
        // The name holds this process's number, so it is of a parent long dead.
        log_main(
            Level::Warning,
            format_args!("WSGI0065: the socket {} was left behind and is removed", path.display()),
        );
        remove(path);
        made = listen_at(path, how);
    }
    let file = |listening| match path.symlink_metadata() {
        Ok(found) => Ok((listening, (found.dev(), found.ino()))),
        Err(error) => Err(("look at", error)),
    };
    made.and_then(file).map_err(|(step, error)| {
        format!("can't {step} the socket {}: {error}; WSGISocketPrefix says where sockets are", path.display())
    })
}

fn secret() -> Result<[u8; 32], String> {
    let mut secret = [0; 32];
    let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut secret));
    read.map(|()| secret).map_err(|error| format!("no random numbers can be had: {error}"))
}

/// Removes a socket's file, if it is there.
pub(super) fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        // With `-X` this process is no longer who made it; the next parent of this number removes it.
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            log_main(Level::Warning, format_args!("WSGI0073: the socket {} can't be removed: {error}", path.display()));
        }
        Ok(()) | Err(_) => {}
    }
}

/// Removes what nobody uses any more, and answers the rest.
pub(super) fn still_retiring(retired: Vec<Retired>, now: SystemTime) -> Vec<Retired> {
    let old = |one: &Retired| now.duration_since(one.since).is_ok_and(|age| age >= RETIREMENT);
    let (gone, rest): (Vec<_>, Vec<_>) = retired.into_iter().partition(old);
    gone.iter().for_each(|one| remove(&one.path));
    rest
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

    use super::*;

    fn prefix(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("mod_wsgi-{name}-{}", std::process::id()))
    }

    #[test]
    fn each_process_has_a_socket_that_only_its_owner_may_use() {
        let options = DaemonOptions { processes: Some(2), ..DaemonOptions::default() };
        let sockets = make(&prefix("sockets"), 3, &options, None).unwrap();
        let names: Vec<_> = sockets.paths.iter().map(|path| path.to_str().unwrap().to_owned()).collect();
        assert!(names[0].ends_with(".3.1.sock") && names[1].ends_with(".3.2.sock"), "{names:?}");
        for path in &sockets.paths {
            let found = path.metadata().unwrap();
            assert!(found.file_type().is_socket());
            assert_eq!(found.permissions().mode() & 0o777, 0o600);
        }
        assert_ne!(sockets.secret, [0; 32]);
        // Left behind by a parent of the same number: removed and made anew.
        let again = make(&prefix("sockets"), 3, &options, None).unwrap();
        assert_ne!(again.secret, sockets.secret);
        again.paths.iter().for_each(|path| remove(path));
        assert!(!again.paths[0].exists());
    }

    #[test]
    fn sockets_are_known_again_by_prefix_owner_and_inode() {
        let here = prefix("known");
        let sockets = make(&here, 7, &DaemonOptions::default(), None).unwrap();
        let own = nix::unistd::geteuid().as_raw();
        assert!(sockets.are_those_of(&here, None) && sockets.are_those_of(&here, Some(own)));
        assert!(!sockets.are_those_of(&here, Some(own + 1)));
        assert!(!sockets.are_those_of(&prefix("kno"), None) && !sockets.are_those_of(&prefix("elsewhere"), None));
        assert!(sockets.are_there(None));
        std::fs::remove_file(&sockets.paths[0]).unwrap();
        assert!(!sockets.are_there(None));
        // Another one's: not reached by who connects there.
        let other = make(&here, 7, &DaemonOptions::default(), None).unwrap();
        assert!(!sockets.are_those_of(&here, None) && other.are_those_of(&here, None));
        other.paths.iter().for_each(|path| remove(path));
        // As a build wrote them that did not know the files.
        assert!(!Sockets { files: Vec::new(), ..other }.are_there(None));
    }

    #[test]
    fn a_long_path_and_a_missing_directory_are_said() {
        let options = DaemonOptions::default();
        let text = make(&prefix(&"x".repeat(200)), 1, &options, None).unwrap_err();
        assert!(text.contains("the system allows 107") && text.contains("WSGISocketPrefix"), "{text}");
        let text = make(Path::new("/nonexistent/wsgi"), 1, &options, None).unwrap_err();
        assert!(text.starts_with("can't bind the socket /nonexistent/wsgi.1.1.sock"), "{text}");
    }

    #[test]
    fn a_retired_socket_stays_for_a_while() {
        let now = SystemTime::now();
        let of = |seconds: u64| Retired { path: prefix("gone"), since: now - Duration::from_secs(seconds) };
        assert_eq!(still_retiring(vec![of(100), of(5)], now), [of(5)]);
    }
}
