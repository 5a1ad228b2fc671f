//! `script-user` and `script-group`: whose the scripts of a group must be. Looked at for each request, in the child.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::wsgi::Quoted;

/// Who must own scripts and their directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    User(u32),
    Group(u32),
}

/// What speaks against a script; each answers 403.
#[derive(Debug, thiserror::Error)]
pub(super) enum Distrust {
    #[error("WSGI0153: the script {} can't be looked at for script-user or script-group: {cause}", Quoted(path))]
    NoScript { path: Vec<u8>, cause: io::Error },
    #[error("WSGI0154: the directory {} can't be looked at for script-user or script-group: {cause}", Quoted(path))]
    NoDirectory { path: Vec<u8>, cause: io::Error },
    #[error("WSGI0155: the script {} is of the user {found}, not of {wanted} as script-user says", Quoted(path))]
    ScriptUser { path: Vec<u8>, found: u32, wanted: u32 },
    #[error("WSGI0156: the directory {} is of the user {found}, not of {wanted} as script-user says", Quoted(path))]
    DirectoryUser { path: Vec<u8>, found: u32, wanted: u32 },
    #[error("WSGI0157: the script {} is of the group {found}, not of {wanted} as script-group says", Quoted(path))]
    ScriptGroup { path: Vec<u8>, found: u32, wanted: u32 },
    #[error("WSGI0158: the directory {} is of the group {found}, not of {wanted} as script-group says", Quoted(path))]
    DirectoryGroup { path: Vec<u8>, found: u32, wanted: u32 },
    #[error("WSGI0159: the script {} may be written by its group, which script-user forbids", Quoted(path))]
    ScriptGroupWrites { path: Vec<u8> },
    #[error("WSGI0160: the directory {} may be written by its group, which script-user forbids", Quoted(path))]
    DirectoryGroupWrites { path: Vec<u8> },
    #[error(
        "WSGI0161: the script {} may be written by everybody, which script-user and script-group forbid",
        Quoted(path)
    )]
    ScriptAllWrite { path: Vec<u8> },
    #[error(
        "WSGI0162: the directory {} may be written by everybody, which script-user and script-group forbid",
        Quoted(path)
    )]
    DirectoryAllWrite { path: Vec<u8> },
}

const GROUP_WRITES: u32 = 0o020;
const ALL_WRITE: u32 = 0o002;

impl Owner {
    /// Looks at the script and the directory that it is in.
    ///
    /// # Errors
    /// The first that speaks against it.
    pub(super) fn check(self, script: &[u8]) -> Result<(), Distrust> {
        let path = Path::new(OsStr::from_bytes(script));
        let directory = path.parent().unwrap_or(Path::new("/"));
        let own = || script.to_vec();
        let around = || directory.as_os_str().as_bytes().to_vec();
        let file = path.metadata().map_err(|cause| Distrust::NoScript { path: own(), cause })?;
        let folder = directory.metadata().map_err(|cause| Distrust::NoDirectory { path: around(), cause })?;
        match self {
            Owner::User(wanted) if file.uid() != wanted => {
                return Err(Distrust::ScriptUser { path: own(), found: file.uid(), wanted });
            }
            Owner::User(wanted) if folder.uid() != wanted => {
                return Err(Distrust::DirectoryUser { path: around(), found: folder.uid(), wanted });
            }
            Owner::User(_) if file.mode() & GROUP_WRITES != 0 => {
                return Err(Distrust::ScriptGroupWrites { path: own() });
            }
            Owner::User(_) if folder.mode() & GROUP_WRITES != 0 => {
                return Err(Distrust::DirectoryGroupWrites { path: around() });
            }
            Owner::Group(wanted) if file.gid() != wanted => {
                return Err(Distrust::ScriptGroup { path: own(), found: file.gid(), wanted });
            }
            Owner::Group(wanted) if folder.gid() != wanted => {
                return Err(Distrust::DirectoryGroup { path: around(), found: folder.gid(), wanted });
            }
            Owner::User(_) | Owner::Group(_) => {}
        }
        if file.mode() & ALL_WRITE != 0 {
            return Err(Distrust::ScriptAllWrite { path: own() });
        }
        if folder.mode() & ALL_WRITE != 0 {
            return Err(Distrust::DirectoryAllWrite { path: around() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn owner_and_permissions_of_script_and_directory_count() {
        let folder = std::env::temp_dir().join(format!("mod_wsgi-owner-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let script = folder.join("app.wsgi");
        fs::write(&script, "").unwrap();
        let meta = script.metadata().unwrap();
        let (user, group) = (Owner::User(meta.uid()), Owner::Group(meta.gid()));
        let check = |owner: Owner, directory: u32, file: u32| {
            fs::set_permissions(&folder, Permissions::from_mode(directory)).unwrap();
            fs::set_permissions(&script, Permissions::from_mode(file)).unwrap();
            let answer = owner.check(script.as_os_str().as_bytes());
            answer.map_err(|distrust| distrust.to_string().split(':').next().unwrap().to_owned())
        };
        let no = |number: &str| Err(format!("WSGI{number}"));
        assert_eq!(check(user, 0o755, 0o644), Ok(()));
        assert_eq!(check(group, 0o775, 0o664), Ok(()));
        assert_eq!(check(user, 0o755, 0o664), no("0159"));
        assert_eq!(check(user, 0o775, 0o644), no("0160"));
        assert_eq!(check(group, 0o755, 0o646), no("0161"));
        assert_eq!(check(group, 0o757, 0o644), no("0162"));
        assert_eq!(check(Owner::User(meta.uid() + 1), 0o755, 0o644), no("0155"));
        assert_eq!(check(Owner::Group(meta.gid() + 1), 0o755, 0o644), no("0157"));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(check_gone(user, &script), no("0153"));
    }

    fn check_gone(owner: Owner, script: &Path) -> Result<(), String> {
        let answer = owner.check(script.as_os_str().as_bytes());
        answer.map_err(|distrust| distrust.to_string().split(':').next().unwrap().to_owned())
    }
}
