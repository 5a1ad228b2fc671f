//! C extensions in several interpreters of one process: most were never made for that, and the newer ones of PyO3 do not even
//! refuse, but give wrong answers (an `isinstance` that is true in one application is false in the other). So one line in the log
//! says which, where, and what to do.
//!
//! Looked for when a script was loaded and after the first request that it served, by when its imports are there; never again.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use super::report::Log;
use crate::python::{Extension, Interpreter, Py, Support, extensions};
use crate::wsgi::{Level, Quoted};

/// The extension files of this process.
#[derive(Default)]
pub(super) struct Extensions {
    /// Where a file was met first, and what its module said there.
    known: Mutex<HashMap<Vec<u8>, Met>>,
    warned: AtomicBool,
}

#[derive(Clone)]
struct Met {
    group: Vec<u8>,
    support: Support,
}

/// How often an interpreter is still to be looked at: a script that was loaded makes it two times.
#[derive(Default)]
pub(super) struct Looks(AtomicU8);

impl Looks {
    /// A script was loaded.
    pub(super) fn renew(&self) {
        self.0.store(2, Ordering::Relaxed);
    }

    /// Whether `left` or more are due; takes one. The usual answer costs one load.
    fn take(&self, left: u8) -> bool {
        let due = |looks: u8| if looks >= left { looks.checked_sub(1) } else { None };
        self.0.load(Ordering::Relaxed) != 0 && self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok()
    }
}

impl Extensions {
    /// Behind the loading of a script.
    pub(super) fn look_after_load(&self, py: Py<'_>, interpreter: &Interpreter, looks: &Looks, log: &dyn Log) {
        if looks.take(2) {
            self.look(py, interpreter, log);
        }
    }

    /// Behind a request.
    pub(super) fn look_after_request(&self, py: Py<'_>, interpreter: &Interpreter, looks: &Looks, log: &dyn Log) {
        if looks.take(1) {
            self.look(py, interpreter, log);
        }
    }

    fn look(&self, py: Py<'_>, interpreter: &Interpreter, log: &dyn Log) {
        if self.warned.load(Ordering::Relaxed) {
            return;
        }
        // It is advice: what Python can't tell now is no failure of the request.
        let Ok(found) = extensions(py, interpreter) else { return };
        let shared = self.shared(found, interpreter.name());
        let shared = shared.into_iter().filter(|(extension, met)| is_doubtful(py, extension, met));
        let shared: Vec<(Extension, Met)> = shared.collect();
        if let Some((first, met)) = shared.first()
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            log.line(py, Level::Warn, sentence(&shared, first, met, interpreter.name()).as_bytes());
        }
    }

    /// Of these, those that another interpreter has, too.
    fn shared(&self, found: Vec<Extension>, group: &[u8]) -> Vec<(Extension, Met)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let other = |extension: Extension| {
            let here = || Met { group: group.to_vec(), support: extension.support };
            let met = known.entry(extension.file.clone()).or_insert_with(here).clone();
            (met.group != group).then_some((extension, met))
        };
        found.into_iter().filter_map(other).collect()
    }
}

/// Whether nothing says that the extension can be in two interpreters.
fn is_doubtful(py: Py<'_>, extension: &Extension, met: &Met) -> bool {
    match (extension.support, met.support) {
        (Support::Declared, _) | (_, Support::Declared) => false,
        (Support::No, _) | (_, Support::No) => true,
        (Support::Unsaid, _) | (_, Support::Unsaid) => py.detach(|| is_written_by_a_tool(&extension.file)),
        (Support::Unknown, Support::Unknown) => false,
    }
}

/// Texts in the extensions that PyO3, pybind11 and Cython write. All of them use multi-phase initialisation, and keep objects in
/// statics all the same.
const TOOLS: [&[u8]; 3] = [b"pyo3_runtime", b"pybind11_", b"cython_runtime"];

/// Looks into the file. A file that can't be read speaks for nothing.
fn is_written_by_a_tool(file: &[u8]) -> bool {
    const PART: usize = 256 * 1024;
    let longest = TOOLS.iter().map(|text| text.len()).max().unwrap_or(0);
    let Ok(mut file) = File::open(Path::new(std::ffi::OsStr::from_bytes(file))) else { return false };
    let mut part: Vec<u8> = Vec::with_capacity(PART + longest);
    loop {
        // The end of the part before stays: a text may lie across.
        part.drain(..part.len().saturating_sub(longest));
        match file.by_ref().take(PART as u64).read_to_end(&mut part) {
            Ok(0) | Err(_) => return false,
            Ok(_) if TOOLS.iter().any(|text| part.windows(text.len()).any(|window| window == *text)) => return true,
            Ok(_) => {}
        }
    }
}

fn sentence(shared: &[(Extension, Met)], first: &Extension, met: &Met, group: &[u8]) -> String {
    let mut packages: Vec<&str> = Vec::new();
    for (extension, _) in shared {
        let package = extension.name.split('.').next().unwrap_or_default();
        if !packages.contains(&package) {
            packages.push(package);
        }
    }
    let also = match packages.get(1..) {
        None | Some([]) => String::new(),
        Some(others) => format!(" (so are those of {})", others.join(", ")),
    };
    format!(
        "WSGI0600: the C extension of the package \"{}\" ({}, {}) is loaded in the application groups {} and {} of this process{also}, and does \
         not say that it can be in two interpreters: what it keeps for the process mixes them up, with wrong answers or crashes; give both \
         application-group=%{{GLOBAL}} (WSGIApplicationGroup %{{GLOBAL}}), or each a daemon process group of its own",
        packages.first().unwrap_or(&""),
        first.name,
        Quoted(&first.file),
        shown(&met.group),
        shown(group)
    )
}

fn shown(group: &[u8]) -> String {
    if group.is_empty() { "%{GLOBAL}".to_owned() } else { Quoted(group).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_looked_at_after_the_load_and_after_the_first_request() {
        let looks = Looks::default();
        assert!(!looks.take(2) && !looks.take(1));
        looks.renew();
        assert_eq!((looks.take(2), looks.take(2), looks.take(1), looks.take(1)), (true, false, true, false));
    }

    #[test]
    fn a_file_in_a_second_interpreter_is_shared() {
        let extensions = Extensions::default();
        let file = |name: &str| Extension { name: name.to_owned(), file: name.into(), support: Support::No };
        assert!(extensions.shared(vec![file("a"), file("b")], b"one").is_empty());
        assert!(extensions.shared(vec![file("a")], b"one").is_empty());
        let shared = extensions.shared(vec![file("c"), file("b")], b"two");
        assert_eq!(shared.len(), 1);
        let (extension, met) = &shared[0];
        assert_eq!((extension.name.as_str(), met.group.as_slice()), ("b", &b"one"[..]));
        let text = sentence(&shared, extension, met, b"");
        assert!(text.contains("\"b\"") && text.contains("one") && text.contains("%{GLOBAL} of this"), "{text}");
    }

    #[test]
    fn a_text_of_a_tool_is_found_across_parts() {
        let path = std::env::temp_dir().join(format!("wsgi-extension-{}", std::process::id()));
        for (before, text, found) in [
            (0, "pyo3_runtime", true),
            (256 * 1024 - 3, "pybind11_x", true),
            (600_000, "cython_runtime", true),
            (9, "pyo3", false),
        ] {
            std::fs::write(&path, [vec![b'x'; before], text.into(), vec![b'y'; 40]].concat()).unwrap();
            assert_eq!(is_written_by_a_tool(path.as_os_str().as_bytes()), found, "{before} {text}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(!is_written_by_a_tool(b"/nowhere"));
    }
}
