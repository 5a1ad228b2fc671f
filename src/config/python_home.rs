//! What a Python home says about its version. Only text and names: the parent and the processes that run Python read the files.

use std::fmt;

/// Major and minor: what a library, an environment and its packages are made for. Patch levels may differ, as long as the standard
/// library is that of the library that is linked ([`Installation`](super::Installation)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PythonVersion {
    major: u32,
    minor: u32,
}

/// The oldest Python that the sources can be built for.
pub const OLDEST_PYTHON: PythonVersion = PythonVersion { major: 3, minor: 11 };

/// The first whose sub-interpreters can have a GIL of their own.
pub(super) const OWN_GIL: PythonVersion = PythonVersion { major: 3, minor: 12 };

impl PythonVersion {
    /// 3.13 of `3.13`, `3.13.0` or `3.13.0.final.0`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(str::parse);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some(Self { major, minor }),
            _ => None,
        }
    }

    /// 3.13 of `python3.13`, the name of an executable or of a folder of libraries. Another ABI has another name, `python3.13t`.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::parse(name.strip_prefix("python")?)
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)
    }
}

/// The value of a setting in the text of a `pyvenv.cfg`.
#[must_use]
pub fn environment_setting<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The version that a `pyvenv.cfg` names: PEP 405 has `version`, virtualenv and uv `version_info`.
#[must_use]
pub fn environment_version(text: &str) -> Option<PythonVersion> {
    ["version_info", "version"].into_iter().find_map(|name| PythonVersion::parse(environment_setting(text, name)?))
}

/// The same with its patch level, `3.13.5`; nothing where that is not said.
pub(super) fn environment_release(text: &str) -> Option<String> {
    let said = ["version_info", "version"].into_iter().find_map(|name| environment_setting(text, name))?;
    let parts: Vec<&str> = said.split('.').take(3).collect();
    let is_release =
        parts.len() == 3 && parts.iter().all(|part| part.starts_with(|digit: char| digit.is_ascii_digit()));
    is_release.then(|| parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_major_and_minor_whatever_follows() {
        for text in ["3.13", "3.13.0", "3.13.0.final.0", "3.13.0rc1"] {
            assert_eq!(PythonVersion::parse(text), Some(PythonVersion { major: 3, minor: 13 }), "{text}");
        }
        for text in ["", "3", "3.", "x.y", "3.13t", "-3.13", "3 .13"] {
            assert_eq!(PythonVersion::parse(text), None, "{text}");
        }
        let of_name = |name| PythonVersion::of_name(name).map(|version| version.to_string());
        assert_eq!(of_name("python3.13").as_deref(), Some("3.13"));
        for name in ["python3", "python3.13t", "Python3.13", "libpython3.13", "3.13"] {
            assert_eq!(of_name(name), None, "{name}");
        }
    }

    #[test]
    fn minors_are_compared_as_numbers() {
        let version = |text| PythonVersion::parse(text).unwrap();
        assert!(version("3.9") < OLDEST_PYTHON && version("2.7") < OLDEST_PYTHON);
        assert!(version("3.11") == OLDEST_PYTHON && version("3.100") > version("3.13"));
    }

    #[test]
    fn an_environment_names_its_version_as_the_tool_does_that_made_it() {
        for text in [
            "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.13.5\nexecutable = /usr/bin/python3.13\n",
            "home = /usr/bin\nimplementation = CPython\nversion_info = 3.13.5.final.0\nvirtualenv = 20.1\nversion = 3.12.1\n",
            "home=/usr/bin\r\nversion_info=3.13.0\r\n",
            "version_info = unknown\nversion = 3.13.0",
        ] {
            assert_eq!(environment_version(text).unwrap().to_string(), "3.13", "{text}");
        }
        assert_eq!(environment_version("home = /opt/python3.13/bin\n"), None);
        for (text, release) in [
            ("version = 3.13.5", Some("3.13.5")),
            ("version_info = 3.13.5.final.0", Some("3.13.5")),
            ("version = 3.13", None),
            ("version = 3.13.x", None),
            ("", None),
        ] {
            assert_eq!(environment_release(text).as_deref(), release, "{text}");
        }
        assert_eq!(environment_setting("a = 1\nhome = /opt/x = y/bin \n", "home"), Some("/opt/x = y/bin"));
    }
}
