//! Which Python a group's home is of, as far as the parent can see it: a program for each is built apart.
//!
//! Where nothing is seen (the home is closed to httpd, or missing, or relative) the group has the module's own Python, and its worker
//! looks again as the group's user and says what is wrong (`python/preflight.rs`).

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::{
    DaemonGroup, DaemonOptions, Installation, OLDEST_PYTHON, ProcessConfig, Python, PythonVersion, environment_setting,
    environment_version,
};
use crate::wsgi::Quoted;

/// The version that module and default worker are linked with.
const OWN: &str = env!("WSGI_PYTHON_VERSION");
/// The Python of the build.
const EXECUTABLE: &str = env!("WSGI_PYTHON_EXECUTABLE");

/// Its version with patch level, and its interpreter's size and time of change; empty where the build could not ask.
const RELEASE: &str = env!("WSGI_PYTHON_RELEASE");

/// A Python that is not the module's.
#[derive(Debug)]
pub(super) struct Other {
    version: PythonVersion,
    /// The group and its home, for messages.
    whose: String,
    /// What to build a worker with.
    executable: PathBuf,
}

/// What is known of a group's Python before it starts, for [`config::lint`](crate::config::lint()).
pub(super) fn of_group(group: &DaemonGroup, process: &ProcessConfig) -> Python {
    let home = group.options.python_home.as_deref();
    let home = home.or_else(|| process.python_home.as_ref().map(|home| home.as_os_str().as_bytes()));
    let other = home.and_then(|home| needed(&group.name, &group.options, home).ok()?);
    other.map_or_else(own, |other| Python { version: other.version, free_threaded: false })
}

/// The module's Python.
pub(super) fn own() -> Python {
    // The build asks for it.
    let version = PythonVersion::parse(OWN).unwrap_or(OLDEST_PYTHON);
    Python { version, free_threaded: cfg!(Py_GIL_DISABLED) }
}

/// Where it is, as far as that is certain: a package may have brought another patch level since the build.
pub(super) fn installation() -> Installation {
    let executable = PathBuf::from(EXECUTABLE);
    let folder = executable.canonicalize().ok().and_then(|real| Some(real.parent()?.to_owned()));
    let seen = fs::metadata(&executable).ok().map(|found| format!("{} {}", found.len(), found.mtime()));
    let release = RELEASE.split_once(' ').filter(|(_, mark)| seen.as_deref() == Some(*mark));
    Installation {
        library: folder.and_then(|folder| standard_library(&folder)),
        release: release.map(|(release, _)| release.to_owned()),
        executable,
    }
}

/// The standard library of the module's version beside a folder of executables; links followed.
pub(super) fn standard_library(folder: &Path) -> Option<PathBuf> {
    let prefix = folder.parent()?;
    let places = ["lib", "lib64"].map(|lib| prefix.join(lib).join(format!("python{OWN}")));
    places.into_iter().find(|place| place.join("encodings").is_dir())?.canonicalize().ok()
}

/// The program of the Python that the module was built with, if it is still there and of that version.
pub(super) fn own_executable() -> Option<OwnedFd> {
    let real = Path::new(EXECUTABLE).canonicalize().ok()?;
    let version = PythonVersion::of_name(real.file_name()?.to_str()?)?;
    let open = || OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(&real);
    (version.to_string() == OWN).then(open)?.ok().map(OwnedFd::from)
}

impl Other {
    pub(super) fn program(&self) -> String {
        format!("mod_wsgi-worker{}", self.version)
    }

    /// What to do where the program is `missing` or of another build.
    pub(super) fn refuse(&self, missing: &str) -> String {
        format!(
            "{} is of Python {}, the module of Python {OWN}, and {missing}; build that program where mod_wsgi.so was built, \
             with `make worker PYTHON={}`, and install it with `make install`",
            self.whose,
            self.version,
            self.executable.display()
        )
    }
}

/// The Python that a group with this `home` needs; nothing where it is the module's, or not to be seen.
///
/// # Errors
/// No worker can be built for it: a sentence for the administrator.
pub(super) fn needed(group: &[u8], options: &DaemonOptions, home: &[u8]) -> Result<Option<Other>, String> {
    let Some(seen) = seen(home, options.chroot.as_deref()) else { return Ok(None) };
    let Some(version) = version(&seen).filter(|version| version.to_string() != OWN) else { return Ok(None) };
    let directive = if options.python_home.is_some() { "python-home" } else { "WSGIPythonHome" };
    let whose = format!("the {directive} {} of the daemon process group {}", Quoted(home), Quoted(group));
    if version < OLDEST_PYTHON {
        return Err(format!(
            "WSGI0641: {whose} is of Python {version}, which is too old: {OLDEST_PYTHON} is the first that can be used; make the environment \
             anew with a later one, such as {EXECUTABLE} -m venv, and install its packages again"
        ));
    }
    Ok(Some(Other { version, whose, executable: executable(&seen, version) }))
}

/// A home as the parent has it before it: `prefix:exec_prefix` is looked for at the first, with `chroot=` below that.
fn seen(home: &[u8], root: Option<&[u8]>) -> Option<PathBuf> {
    let prefix = home.split(|byte| *byte == b':').next().unwrap_or_default();
    let path = Path::new(OsStr::from_bytes(prefix));
    let inside = path.strip_prefix("/").ok()?;
    Some(root.map_or_else(|| path.to_owned(), |root| Path::new(OsStr::from_bytes(root)).join(inside)))
}

fn version(home: &Path) -> Option<PythonVersion> {
    match environment(home) {
        Some(text) => environment_version(&text).or_else(|| library(home, "site-packages")).or_else(|| base(&text)),
        None => library(home, "encodings"),
    }
}

pub(super) fn environment(home: &Path) -> Option<String> {
    Some(String::from_utf8_lossy(&fs::read(home.join("pyvenv.cfg")).ok()?).into_owned())
}

/// The version of the libraries there: the module's own if that is among them, else the latest.
fn library(home: &Path, landmark: &str) -> Option<PythonVersion> {
    let folders = fs::read_dir(home.join("lib")).ok()?.flatten();
    let there = folders.filter(|folder| folder.path().join(landmark).is_dir());
    let versions = there.filter_map(|folder| PythonVersion::of_name(folder.file_name().to_str()?));
    versions.max_by_key(|version| (version.to_string() == OWN, *version))
}

/// The version that the name of the environment's base interpreter tells, behind all links.
fn base(text: &str) -> Option<PythonVersion> {
    let real = Path::new(environment_setting(text, "home")?).join("python3").canonicalize().ok()?;
    PythonVersion::of_name(real.file_name()?.to_str()?)
}

/// The interpreter of that version which the home belongs to; its name where it is not to be found.
fn executable(home: &Path, version: PythonVersion) -> PathBuf {
    let name = format!("python{version}");
    let text = environment(home).unwrap_or_default();
    let base = environment_setting(&text, "home").map(|base| Path::new(base).join(&name));
    let found = base.into_iter().chain([home.join("bin").join(&name)]).find(|path| path.is_file());
    found.unwrap_or_else(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folders below one of their own, gone in the end.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Tree {
            let root = std::env::temp_dir().join(format!("wsgi-pythons-{name}-{}", std::process::id()));
            fs::create_dir_all(&root).unwrap();
            Tree(root)
        }

        fn file(&self, path: &str, text: &str) -> PathBuf {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }

        fn version(&self, home: &str) -> Option<String> {
            version(&self.0.join(home)).map(|version| version.to_string())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn group(home: &Path, root: Option<&Path>) -> Result<Option<Other>, String> {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let options = DaemonOptions { chroot: root.map(bytes), ..DaemonOptions::default() };
        needed(b"shop", &options, &bytes(home))
    }

    #[test]
    fn an_environment_is_of_the_version_it_names_or_has_packages_for_or_was_made_with() {
        let tree = Tree::new("environment");
        tree.file("named/pyvenv.cfg", "version = 3.93.1");
        tree.file("named/lib/python3.94/site-packages/x", "");
        assert_eq!(tree.version("named").as_deref(), Some("3.93"));
        tree.file("packages/pyvenv.cfg", "home = /nowhere");
        tree.file("packages/lib/python3.94/site-packages/x", "");
        assert_eq!(tree.version("packages").as_deref(), Some("3.94"));
        let real = tree.file("base/bin/python3.95", "");
        std::os::unix::fs::symlink(&real, tree.0.join("base/bin/python3")).unwrap();
        tree.file("made/pyvenv.cfg", &format!("home = {}", tree.0.join("base/bin").display()));
        assert_eq!(tree.version("made").as_deref(), Some("3.95"));
        tree.file("mute/pyvenv.cfg", "");
        assert_eq!(tree.version("mute"), None);
    }

    #[test]
    fn an_installation_with_several_pythons_is_of_the_modules_or_else_of_the_latest() {
        let tree = Tree::new("prefix");
        assert_eq!(tree.version("prefix"), None);
        // Folders for packages without a standard library, as below /usr/local on Debian.
        tree.file("prefix/lib/python3.99/dist-packages/x", "");
        assert_eq!(tree.version("prefix"), None);
        for version in ["3.9", "3.94", "3.93", "3.95t"] {
            tree.file(&format!("prefix/lib/python{version}/encodings/x"), "");
        }
        assert_eq!(tree.version("prefix").as_deref(), Some("3.94"));
        tree.file(&format!("prefix/lib/python{OWN}/encodings/x"), "");
        assert_eq!(tree.version("prefix").as_deref(), Some(OWN));
    }

    #[test]
    fn a_group_needs_another_worker_only_where_its_home_is_seen_to_be_of_another_version() {
        let tree = Tree::new("needed");
        let program = |home: &str| group(&tree.0.join(home), None).unwrap().map(|other| other.program());
        let python = tree.file("base/bin/python3.93", "");
        let base = python.parent().unwrap().display().to_string();
        tree.file("other/pyvenv.cfg", &format!("home = {base}\nversion = 3.93.0"));
        tree.file("own/pyvenv.cfg", &format!("version = {OWN}.99"));
        assert_eq!(program("other").as_deref(), Some("mod_wsgi-worker3.93"));
        assert_eq!(program("own"), None);
        assert_eq!(program("missing"), None);
        assert!(
            group(Path::new("other"), None).unwrap().is_none(),
            "relative: from the worker's directory, not the parent's"
        );
        let jailed = group(Path::new("/other"), Some(&tree.0)).unwrap();
        assert_eq!(jailed.unwrap().program(), "mod_wsgi-worker3.93");
        let said = group(&tree.0.join("other"), None).unwrap().unwrap().refuse("it is not there");
        assert!(said.contains(&format!("make worker PYTHON={}", python.display())), "{said}");
        tree.file("old/pyvenv.cfg", "version = 3.9.2");
        let said = group(&tree.0.join("old"), None).unwrap_err();
        assert!(said.contains("\"shop\"") && said.contains("3.9,") && said.contains("-m venv"), "{said}");
    }
}
