//! The httpd of this machine and the module under test, found once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where things are.
pub(crate) struct Httpd {
    pub(crate) program: PathBuf,
    pub(crate) modules: PathBuf,
    /// `mod_x.c` names compiled in, which need no LoadModule.
    pub(crate) built_in: String,
    /// `mod_wsgi.so`: `MOD_WSGI_SO`, or what `cargo build --release` leaves.
    pub(crate) wsgi: PathBuf,
    /// httpd's children must not be root; then they run as this user and group.
    pub(crate) user: Option<(String, String)>,
}

impl Httpd {
    /// None, said loudly, where httpd or the module is missing; with `REQUIRE_HTTPD` set that fails the test.
    pub(crate) fn find() -> Option<&'static Httpd> {
        static FOUND: OnceLock<Result<Httpd, String>> = OnceLock::new();
        match FOUND.get_or_init(look) {
            Ok(httpd) => Some(httpd),
            Err(missing) if std::env::var_os("REQUIRE_HTTPD").is_some() => panic!("{missing}"),
            Err(missing) => {
                eprintln!("SKIPPED: {missing}");
                None
            }
        }
    }

    /// A `LoadModule` line for `name` (as in `alias`), unless it is compiled in or not there at all.
    pub(crate) fn load(&self, name: &str) -> String {
        let file = self.modules.join(format!("mod_{name}.so"));
        if self.built_in.contains(&format!("mod_{name}.c")) || !file.is_file() {
            return String::new();
        }
        format!("LoadModule {name}_module \"{}\"\n", file.display())
    }
}

fn look() -> Result<Httpd, String> {
    let program = match std::env::var_os("HTTPD") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(apxs("SBINDIR")?).join(apxs("PROGNAME")?),
    };
    let modules = PathBuf::from(apxs("LIBEXECDIR")?);
    let built_in = answer(&program, &["-l"])?;
    let wsgi = std::env::var_os("MOD_WSGI_SO").map_or_else(built, PathBuf::from);
    if !wsgi.is_file() {
        return Err(format!("{} is not there: cargo build --release, or set MOD_WSGI_SO", wsgi.display()));
    }
    let user = nix::unistd::geteuid().is_root().then(unprivileged);
    Ok(Httpd { program, modules, built_in, wsgi: wsgi.canonicalize().map_err(|cause| cause.to_string())?, user })
}

fn built() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tree().join("target"), PathBuf::from);
    target.join("release").join("libmod_wsgi.so")
}

/// The top of the source tree.
pub(crate) fn tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Debian's `www-data`, elsewhere `apache` or `nobody`.
fn unprivileged() -> (String, String) {
    for name in ["www-data", "apache"] {
        if matches!(nix::unistd::User::from_name(name), Ok(Some(_))) {
            return (name.to_owned(), name.to_owned());
        }
    }
    ("nobody".to_owned(), "nogroup".to_owned())
}

fn apxs(name: &str) -> Result<String, String> {
    let program = std::env::var("APXS").unwrap_or_else(|_| "apxs".to_owned());
    answer(Path::new(&program), &["-q", name]).map(|text| text.trim().to_owned())
}

fn answer(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|cause| format!("{} {}: {cause}", program.display(), arguments.join(" ")))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
