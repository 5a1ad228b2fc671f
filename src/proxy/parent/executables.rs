//! The programs of daemon mode: beside the module's own file, or where httpd has its modules.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::pythons::{self, Other};
use crate::apache::{Level, log_main, process};
use crate::os::spawn::Executable;
use crate::wire;

/// All that a configuration needs, opened, so that a later upgrade can't mix versions.
#[derive(Debug)]
pub(super) struct Executables {
    pub(super) supervisor: OwnedFd,
    /// Python's own, for [`LIBRARY`].
    python: Option<Arc<OwnedFd>>,
    /// Those that were asked for, by name, and [`LIBRARY`], if it is there.
    workers: BTreeMap<String, Arc<OwnedFd>>,
    /// Where to look for more.
    homes: Vec<PathBuf>,
    before: Programs,
    /// The module's own file as it is now: a supervisor that was started beside another is another build.
    pub(super) build: String,
}

/// What a group's workers run.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) program: Arc<OwnedFd>,
    /// What makes it ours, where it is Python's.
    pub(super) preload: Option<Arc<OwnedFd>>,
}

/// Programs by name, opened for the configuration before.
pub(super) type Programs = BTreeMap<String, OwnedFd>;

const SUPERVISOR: &str = "mod_wsgi-supervisor";
const WORKER: &str = "mod_wsgi-worker";
/// The same as a library, for Python's own executable (`os::hosted`).
const LIBRARY: &str = "mod_wsgi-worker.so";

/// Where httpd has its modules, as the build found it.
const MODULES: &str = env!("WSGI_LIBEXECDIR");

/// So much of a program is read at once: bytes.
const PIECE: u64 = 64 * 1024;

/// Finds the folders, and opens the supervisor and the worker of the module's Python; those of `before` where the ones there do not fit.
///
/// # Errors
/// A sentence for the administrator.
pub(super) fn open(mut before: Programs) -> Result<Executables, String> {
    let own = process::own_file();
    let build = build(own.as_deref());
    let mut homes: Vec<PathBuf> = Vec::new();
    let real = own.as_ref().and_then(|path| path.canonicalize().ok());
    for file in [own, real].into_iter().flatten() {
        homes.extend(file.parent().map(PathBuf::from));
    }
    homes.push(MODULES.into());
    homes.dedup();
    // Of the same installation: another one's would be of another build.
    let has_library =
        homes.iter().find(|home| home.join(WORKER).is_file()).is_some_and(|home| home.join(LIBRARY).is_file());
    let python = has_library.then(pythons::own_executable).flatten();
    let own = [WORKER].into_iter().chain(python.as_ref().map(|_| LIBRARY));
    let supervisor = program(&homes, &mut before, SUPERVISOR, incomplete)?;
    // Also where no group runs them: the next configuration may need one, and have only programs of before.
    let open = |name: &str| Ok((name.to_owned(), Arc::new(program(&homes, &mut before, name, incomplete)?)));
    let workers = own.map(open).collect::<Result<_, String>>()?;
    Ok(Executables { supervisor, python: python.map(Arc::new), workers, homes, before, build })
}

fn build(own: Option<&Path>) -> String {
    let found = own.and_then(|path| path.metadata().ok());
    found.map_or_else(String::new, |found| {
        format!("{}:{}:{}.{}", found.dev(), found.ino(), found.mtime(), found.mtime_nsec())
    })
}

impl Executables {
    /// The worker for a group whose Python is this other one, or the module's.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub(super) fn worker(&mut self, python: Option<&Other>) -> Result<Worker, String> {
        let hosted = self.python.as_ref().zip(self.workers.get(LIBRARY)).filter(|_| python.is_none());
        if let Some((program, library)) = hosted {
            return Ok(Worker { program: Arc::clone(program), preload: Some(Arc::clone(library)) });
        }
        Ok(Worker { program: self.program(python)?, preload: None })
    }

    fn program(&mut self, python: Option<&Other>) -> Result<Arc<OwnedFd>, String> {
        let name = python.map_or_else(|| WORKER.to_owned(), Other::program);
        if let Some(open) = self.workers.get(&name) {
            return Ok(Arc::clone(open));
        }
        let refuse = |lacking: &str| python.map_or_else(|| incomplete(lacking), |python| python.refuse(lacking));
        let open = Arc::new(
            program(&self.homes, &mut self.before, &name, refuse)
                .map_err(|text| if python.is_some() { format!("WSGI0640: {text}") } else { text })?,
        );
        self.workers.insert(name, Arc::clone(&open));
        Ok(open)
    }

    /// For the next configuration. Nobody else may have a worker any more.
    pub(super) fn into_programs(self) -> Programs {
        let workers = self.workers.into_iter().filter_map(|(name, worker)| Some((name, Arc::into_inner(worker)?)));
        workers.chain([(SUPERVISOR.to_owned(), self.supervisor)]).collect()
    }
}

impl Worker {
    pub(super) fn executable(&self) -> Executable<'_> {
        Executable { program: self.program.as_fd(), preload: self.preload.as_deref().map(OwnedFd::as_fd) }
    }
}

/// What `make install` puts in place is not there as it should be.
fn incomplete(lacking: &str) -> String {
    format!("{lacking}; install mod_wsgi.so and its programs together")
}

/// A program beside the module. Where that is of another build or gone, since somebody is in the midst of an upgrade, the one that
/// serves now, if it is of this build.
fn program(
    homes: &[PathBuf],
    before: &mut Programs,
    name: &str,
    refuse: impl FnOnce(&str) -> String,
) -> Result<OwnedFd, String> {
    find(homes, name).or_else(|lacking| {
        let text = refuse(&lacking);
        let again = again(before, name);
        if again.is_some() {
            log_main(
                Level::Alert,
                format_args!("WSGI0480: {text}; until then daemon processes run the program of before"),
            );
        }
        again.ok_or(text)
    })
}

fn again(before: &mut Programs, name: &str) -> Option<OwnedFd> {
    let program = File::from(before.remove(name)?);
    speaks(&program, wire::LANGUAGE.as_bytes()).unwrap_or(false).then(|| program.into())
}

/// # Errors
/// What is wrong with the program.
fn find(homes: &[PathBuf], name: &str) -> Result<OwnedFd, String> {
    for home in homes {
        let path = home.join(name);
        if let Ok(file) = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(&path)
            && is_program(&file)
        {
            return match speaks(&file, wire::LANGUAGE.as_bytes()) {
                Ok(true) => Ok(file.into()),
                Ok(false) => Err(format!(
                    "the program {}, which WSGIDaemonProcess needs, is of another build than mod_wsgi.so",
                    path.display()
                )),
                Err(cause) => Err(format!(
                    "the program {}, which WSGIDaemonProcess needs, can't be read: {cause}",
                    path.display()
                )),
            };
        }
    }
    let places: Vec<String> = homes.iter().map(|home| home.display().to_string()).collect();
    Err(format!("the program {name}, which WSGIDaemonProcess needs, is not in {}", places.join(", nor in ")))
}

fn is_program(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
}

/// Whether the program has these bytes somewhere. It is the opened file that is read, whatever its path names by now; piece by piece, since
/// what httpd's parent has ever allocated each of its children has, too.
fn speaks(program: &File, language: &[u8]) -> io::Result<bool> {
    let mut file = File::open(format!("/proc/self/fd/{}", program.as_raw_fd()))?;
    let mut window = Vec::new();
    loop {
        // What may be the begin of it stays.
        window.drain(..window.len().saturating_sub(language.len().saturating_sub(1)));
        if file.by_ref().take(PIECE).read_to_end(&mut window)? == 0 {
            return Ok(false);
        }
        if contains(&window, language) {
            return Ok(true);
        }
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some(first) = wanted.first() else { return true };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(wanted) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_program_is_executable_of_this_build_and_the_first_that_is_there() {
        let root = std::env::temp_dir().join(format!("wsgi-executables-{}", std::process::id()));
        let homes = [root.join("one"), root.join("two")];
        let put = |home: &PathBuf, text: &[u8], mode| {
            fs::create_dir_all(home).unwrap();
            fs::write(home.join("x"), text).unwrap();
            fs::set_permissions(home.join("x"), fs::Permissions::from_mode(mode)).unwrap();
        };
        let found = || find(&homes, "x").map(drop);
        let lacking = found().unwrap_err();
        assert!(homes.iter().all(|home| lacking.contains(home.to_str().unwrap())), "{lacking}");
        let own = [b"\x7fELF mmod_wsgi", wire::LANGUAGE.as_bytes(), b"more"].concat();
        put(&homes[0], &own, 0o644);
        assert_eq!(found().unwrap_err(), lacking);
        put(&homes[1], &own, 0o755);
        assert_eq!(found(), Ok(()));
        put(&homes[0], b"mod_wsgi-rs speaks otherwise", 0o755);
        let other = found().unwrap_err();
        assert!(other.contains("one/x") && other.contains("another build"), "{other}");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_mark_of_the_build_is_found_wherever_it_stands() {
        let path = std::env::temp_dir().join(format!("wsgi-executables-mark-{}", std::process::id()));
        let mark = wire::LANGUAGE.as_bytes();
        let piece = usize::try_from(PIECE).unwrap();
        for at in [0, piece - mark.len(), piece - mark.len() + 1, piece - 1, piece, 3 * piece - 5] {
            for (text, found) in [(mark, true), (&mark[..mark.len() - 1], false)] {
                fs::write(&path, [&vec![mark[0]; at], text, b"more"].concat()).unwrap();
                assert_eq!(speaks(&File::open(&path).unwrap(), mark).unwrap(), found, "at {at}");
            }
        }
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_program_of_before_is_used_again_by_its_name_if_it_is_of_this_build() {
        let path = std::env::temp_dir().join(format!("wsgi-executables-again-{}", std::process::id()));
        let open = |text: &[u8]| {
            fs::write(&path, text).unwrap();
            let file = File::open(&path).unwrap();
            fs::remove_file(&path).unwrap();
            file.into()
        };
        let own = open(&[b"more", wire::LANGUAGE.as_bytes()].concat());
        let mut before = Programs::from([("own".to_owned(), own), ("other".to_owned(), open(b"otherwise"))]);
        assert!(again(&mut before, "missing").is_none());
        assert!(again(&mut before, "other").is_none());
        assert!(again(&mut before, "own").is_some());
    }
}
