//! Virtual environments that are of another Python than the one that runs them.

use std::path::{Path, PathBuf};

use super::super::check::Server;
use super::super::python_home::{environment_release, environment_setting, environment_version};
use super::super::refusal::shown;
use super::{Facts, Mount, path_of, runs_embedded};

/// Where the module's own Python is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installation {
    /// Its interpreter.
    pub executable: PathBuf,
    /// Its standard library, links followed; none where it is not seen.
    pub library: Option<PathBuf>,
    /// With patch level, `3.11.2`; none where that is not certain.
    pub release: Option<String>,
}

pub(super) fn foreign_homes(servers: &[Server<'_>], mounts: &[Mount<'_>], facts: &Facts<'_>) -> Vec<String> {
    let Some(main) = servers.first() else { return Vec::new() };
    let groups = || servers.iter().flat_map(|server| &server.config.daemons);
    let process = &main.config.process;
    // From the directory of whoever looks, others would be seen.
    let environment = |home: &Path| (facts.environment)(home).filter(|_| home.is_absolute());
    let mut found = Vec::new();
    if let Some(home) = &process.python_home {
        let text = environment(home);
        let embedded = runs_embedded(servers, mounts);
        found.extend(text.as_deref().filter(|_| embedded).and_then(|text| other_version(home, text, facts)));
        // It is that of groups without one, too.
        if embedded || groups().any(|group| group.options.python_home.is_none()) {
            found.extend(text.and_then(|text| other_library("WSGIPythonHome", home, &text, facts)));
        }
    }
    // Inside another root directory things look otherwise.
    for group in groups().filter(|group| group.options.chroot.is_none()) {
        let line = format!("WSGIDaemonProcess {}: python-home", shown(&group.name));
        let home = group.options.python_home.as_deref().map(path_of);
        found.extend(home.and_then(|home| other_library(&line, home, &environment(home)?, facts)));
    }
    found
}

/// Embedded mode has one Python.
fn other_version(home: &Path, text: &str, facts: &Facts<'_>) -> Option<String> {
    let own = facts.python.version;
    let version = environment_version(text).filter(|version| *version != own)?;
    Some(format!(
        "WSGI0593: WSGIPythonHome \"{}\" is a virtual environment of Python {version}, and httpd's own children, which run applications here, \
         have Python {own}, so requests to these are answered with 500 (WSGI0303); make it anew with {} -m venv, or give the applications a daemon \
         process group",
        home.display(),
        facts.own.executable.display()
    ))
}

/// Such an environment has its standard library from the Python that made it, whose extension modules are for that one's patch level.
fn other_library(line: &str, home: &Path, text: &str, facts: &Facts<'_>) -> Option<String> {
    environment_version(text).filter(|version| *version == facts.python.version)?;
    let release = environment_release(text)?;
    let own = facts.own.release.as_deref().filter(|own| **own != release)?;
    let (base, library) = (environment_setting(text, "home")?, facts.own.library.as_ref()?);
    (facts.library)(Path::new(base)).filter(|found| found != library)?;
    Some(format!(
        "WSGI0594: {line} \"{}\" is a virtual environment of Python {release} in {base}, and the module's Python is {own}, with its own standard \
         library in {}: extension modules of the other one, such as ssl, may not load here (undefined symbol); make it anew with {} -m venv, and \
         install its packages again",
        home.display(),
        library.display(),
        facts.own.executable.display()
    ))
}
