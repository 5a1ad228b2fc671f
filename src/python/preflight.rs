//! Looks at a Python home before Python is started with it.
//!
//! CPython answers most mistakes with `No module named 'encodings'`, and can't be started twice in a process. So each thing that
//! goes wrong in practice is looked for first, as the user who will run Python, and said in one line: cause and remedy.

use std::ffi::CString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::{OLDEST_PYTHON, PythonVersion, environment_version};

/// The version that the module is linked with: an environment of another one can't be used (of another patch level: `config::lint`).
const VERSION: &str = env!("WSGI_PYTHON_VERSION");
/// The Python that the module was built with: names the installation whose library is linked.
const EXECUTABLE: &str = env!("WSGI_PYTHON_EXECUTABLE");

/// What a home is to Python.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// None is configured: the installation of this executable, where it still is.
    Default(Option<PathBuf>),
    /// A virtual environment, by its executable. (Its folder as Python's *home* does not work: it has no standard library.)
    Environment(PathBuf),
    /// An installation prefix.
    Prefix(PathBuf),
}

/// Why a home can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("WSGI0100: {home}: \"{element}\" does not exist; create the environment there or correct the path")]
    Missing { home: String, element: String },
    #[error(
        "WSGI0101: {home}: \"{element}\" is not a directory; name the folder that holds bin/, not the python in it"
    )]
    NotDirectory { home: String, element: String },
    #[error(
        "WSGI0102: {home}: the user that runs Python here (uid {uid}) may not enter \"{element}\" \
         (mode {mode:04o}, owner uid {owner}); give it search permission (chmod o+x) or move the environment"
    )]
    Locked { home: String, element: String, uid: u32, mode: u32, owner: u32 },
    #[error(
        "WSGI0303: {home} is a virtual environment of Python {found}, but this module is linked with \
         Python {VERSION}; make the environment anew with {EXECUTABLE} -m venv{}",
        or_build(*found)
    )]
    Version { home: String, found: PythonVersion },
    #[error(
        "WSGI0304: {home} holds no Python {VERSION}: there is neither a pyvenv.cfg (virtual environment) nor \
         {landmark}{instead}; name a virtual environment made with {EXECUTABLE} -m venv, or an installation prefix such as /usr"
    )]
    NoLibrary { home: String, landmark: String, instead: String },
    #[error("WSGI0305: {home}: {file} can't be read: {cause}; make it readable for the user that runs Python")]
    Unreadable { home: String, file: String, cause: String },
}

/// What Python is to be told about this home.
pub(super) fn kind(home: Option<&Path>) -> Home {
    let Some(home) = home else {
        let executable = Path::new(EXECUTABLE);
        return Home::Default(executable.is_file().then(|| executable.to_owned()));
    };
    if !home.join("pyvenv.cfg").is_file() {
        return Home::Prefix(home.to_owned());
    }
    let python3 = home.join("bin/python3");
    Home::Environment(if python3.exists() { python3 } else { home.join("bin/python") })
}

/// Looks for what would keep Python from starting with this home, which `directive` names.
///
/// # Errors
/// The first thing found.
pub(super) fn check(home: Option<&Path>, directive: &str) -> Result<(), Unfit> {
    let Some(home) = home else { return Ok(()) };
    let named = format!("{directive} \"{}\"", home.display());
    // `prefix:exec_prefix` is passed on as it is; only the first can be looked at.
    let prefix = home.as_os_str().as_bytes().split(|byte| *byte == b':').next().unwrap_or_default();
    let prefix = PathBuf::from(std::ffi::OsStr::from_bytes(prefix));
    enter_all(&named, &prefix)?;
    match read(&named, &prefix.join("pyvenv.cfg"))? {
        Some(settings) => check_environment(&named, &settings),
        None => check_prefix(&named, &prefix),
    }
}

/// Every folder on the way must be there and be searchable.
fn enter_all(named: &str, home: &Path) -> Result<(), Unfit> {
    let mut way: Vec<&Path> = home.ancestors().filter(|element| !element.as_os_str().is_empty()).collect();
    way.reverse();
    for element in way {
        let (home, shown) = (named.to_owned(), element.display().to_string());
        let metadata = match fs::metadata(element) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                return Err(Unfit::NotDirectory { home, element: shown });
            }
            Err(_) => return Err(Unfit::Missing { home, element: shown }),
        };
        if !metadata.is_dir() {
            return Err(Unfit::NotDirectory { home, element: shown });
        }
        if !searchable(element) {
            // SAFETY: always succeeds.
            let uid = unsafe { libc::geteuid() };
            let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
            return Err(Unfit::Locked { home, element: shown, uid, mode, owner });
        }
    }
    Ok(())
}

fn searchable(folder: &Path) -> bool {
    let Ok(path) = CString::new(folder.as_os_str().as_bytes()) else { return false };
    // SAFETY: NUL-terminated; asks for the effective user, as an httpd child has changed it.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) == 0 }
}

/// The text of a file; nothing where it is not there.
fn read(named: &str, file: &Path) -> Result<Option<String>, Unfit> {
    match fs::read(file) {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Unfit::Unreadable {
            home: named.to_owned(),
            file: file.display().to_string(),
            cause: error.to_string(),
        }),
    }
}

fn check_environment(named: &str, settings: &str) -> Result<(), Unfit> {
    match environment_version(settings) {
        Some(found) if found.to_string() != VERSION => Err(Unfit::Version { home: named.to_owned(), found }),
        _ => Ok(()),
    }
}

/// What else can be done about an environment of this version.
fn or_build(found: PythonVersion) -> String {
    if found < OLDEST_PYTHON {
        return format!(" (Python {found} is too old: {OLDEST_PYTHON} is the first that can be used)");
    }
    format!(
        ", or build the module for Python {found}, or run the application in a daemon process group with this python-home, for which \
         `make worker PYTHON=python{found}` builds the program"
    )
}

fn check_prefix(named: &str, prefix: &Path) -> Result<(), Unfit> {
    let landmark = format!("lib/python{VERSION}/encodings");
    let zipped = format!("lib/python{}.zip", VERSION.replace('.', ""));
    if prefix.join(&landmark).is_dir() || prefix.join(zipped).is_file() {
        return Ok(());
    }
    let others: Vec<String> = fs::read_dir(prefix.join("lib"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("encodings").is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let instead = if others.is_empty() { String::new() } else { format!(" (but {})", others.join(", ")) };
    Err(Unfit::NoLibrary { home: named.to_owned(), landmark, instead })
}
