//! Groups of other Python versions than the module's: each has a program of its own, and it must be there.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Server, Site, until, wsgi_test};

/// A Python of another version than the module's, with its worker beside the module.
pub(crate) struct Other {
    /// Everybody may read it.
    prefix: PathBuf,
    pub(crate) version: String,
}

/// What the tests of several Pythons need; said loudly where it is missing.
pub(crate) fn other(site: &Site) -> Option<Other> {
    let Some(python) = std::env::var_os("OTHER_PYTHON").filter(|python| !python.is_empty()) else {
        // Past the harness, which shows what a test prints only where it fails.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no second Python: set OTHER_PYTHON to one of 3.11 to 3.14 that is not of the module's version and has a \
             shared library, and build its worker with `make worker PYTHON=...`"
        );
        return None;
    };
    let asked = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.base_prefix)";
    let output = Command::new(&python).args(["-c", asked]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let (version, prefix) = told.trim().split_once('\n').unwrap();
    let worker = site.httpd.wsgi.with_file_name(format!("mod_wsgi-worker{version}"));
    assert!(worker.is_file(), "{} is not there: make worker PYTHON={}", worker.display(), python.display());
    let there = PathBuf::from(prefix);
    let version = version.to_owned();
    let is_open = |path: &Path| path.metadata().is_ok_and(|data| data.permissions().mode() & 0o5 == 0o5);
    if there.ancestors().all(is_open) {
        return Some(Other { prefix: there, version });
    }
    // Somebody's private installation: daemon processes are another user's.
    let prefix = site.root.join("python");
    let name = format!("python{version}");
    copy_library(&there.join("lib").join(&name), &prefix.join("lib").join(&name));
    fs::create_dir(prefix.join("bin")).unwrap();
    // By another process: what a test beside this one starts would have a copy of our descriptor for a moment, and a file that is open
    // to be written can't be run.
    let copied = Command::new("cp").arg(there.join("bin").join(&name)).arg(prefix.join("bin")).status().unwrap();
    assert!(copied.success());
    Some(Other { prefix, version })
}

/// The standard library without what is large and not needed to run.
fn copy_library(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let (path, target) = (entry.path(), to.join(&name));
        let unneeded = ["test", "idlelib", "ensurepip", "tkinter", "site-packages", "__pycache__"];
        if unneeded.contains(&name.as_str()) || name.starts_with("config-") {
            continue;
        }
        if path.is_dir() {
            copy_library(&path, &target);
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}

impl Other {
    pub(crate) fn environment(&self, home: &Path) {
        let python = self.prefix.join("bin").join(format!("python{}", self.version));
        environment(&python, home);
    }
}

/// A virtual environment with a module `marker` in it.
fn environment(python: &Path, home: &Path) {
    let made = Command::new(python).args(["-m", "venv", "--without-pip"]).arg(home).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let lib = fs::read_dir(home.join("lib")).unwrap().next().unwrap().unwrap().path();
    fs::write(lib.join("site-packages/marker.py"), "WHERE = 'environment'\n").unwrap();
}

/// Answers which Python this is, from which program.
const SCRIPT: &str = "\
import json, os, sys
try:
    import marker
except ImportError:
    marker = None

def application(environ, start_response):
    seen = {
        'version': '%d.%d' % sys.version_info[:2],
        'prefix': sys.prefix,
        'marker': marker and marker.WHERE,
        'program': os.path.basename(os.readlink('/proc/self/exe')),
        'group': environ['mod_wsgi.application_group'],
        'body': environ['wsgi.input'].read().decode(),
        'pid': os.getpid(),
    }
    body = json.dumps(seen).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

/// A mount point `/<group>` for each group, with `options`.
fn versions(site: Site, groups: &[(&str, &str)]) -> Site {
    let site = site.file("apps/version/app.wsgi", SCRIPT);
    groups.iter().fold(site, |site, (name, options)| {
        site.group(name, options).conf(&format!(
            "WSGIScriptAlias /{name} ${{APPS}}/version/app.wsgi process-group={name} application-group=%{{GLOBAL}}\n\
             WSGIScriptAlias /sub-{name} ${{APPS}}/version/app.wsgi process-group={name} application-group=sub"
        ))
    })
}

/// The executable of the module's Python, whose version was `seen`.
fn own_program(seen: &Value) -> Value {
    format!("python{}", seen["version"].as_str().unwrap()).into()
}

fn ask(server: &Server, target: &str) -> Value {
    server.post(target, "some body").json()
}

wsgi_test!(groups_of_two_pythons_run_side_by_side, groups_every_mpm, |site| {
    let Some(other) = other(&site) else { return };
    other.environment(&site.root.join("env"));
    let prefix = format!("python-home={}", other.prefix.display());
    let groups = [("own", ""), ("env", "python-home=${ROOT}/env"), ("prefix", prefix.as_str())];
    let server = versions(site, &groups).start();
    let program = format!("mod_wsgi-worker{}", other.version);
    let environment = server.root.join("env").display().to_string();
    for sub in ["", "sub-"] {
        let own = ask(&server, &format!("/{sub}own"));
        assert_eq!(own["program"], own_program(&own));
        assert_ne!(own["version"], other.version.as_str());
        let env = ask(&server, &format!("/{sub}env"));
        assert_eq!(
            (&env["version"], &env["program"]),
            (&Value::from(other.version.as_str()), &Value::from(program.as_str()))
        );
        assert_eq!((&env["prefix"], &env["marker"]), (&Value::from(environment.as_str()), &Value::from("environment")));
        assert_eq!(env["body"], "some body");
        let prefix = ask(&server, &format!("/{sub}prefix"));
        assert_eq!((&prefix["version"], &prefix["marker"]), (&Value::from(other.version.as_str()), &Value::Null));
    }
});

wsgi_test!(a_home_that_changes_its_version_brings_another_program_at_a_graceful_restart, groups, |site| {
    let Some(other) = other(&site) else { return };
    let own = std::env::var("PYO3_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    environment(Path::new(&own), &site.root.join("first"));
    other.environment(&site.root.join("second"));
    let link = site.root.join("env");
    std::os::unix::fs::symlink("first", &link).unwrap();
    let server = versions(site, &[("shop", "python-home=${ROOT}/env")]).start();
    let before = ask(&server, "/shop");
    assert_eq!((&before["program"], &before["marker"]), (&own_program(&before), &Value::from("environment")));
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("second", &link).unwrap();
    server.graceful();
    until("the other Python answers", || (ask(&server, "/shop")["version"] == other.version.as_str()).then_some(()));
});

/// `httpd -t` and a start, which both refuse with these texts.
fn refused(site: Site, texts: &[&str]) {
    let (passed, tested) = site.test();
    assert!(!passed, "{tested}");
    let started = site.try_start().err().unwrap();
    for text in texts {
        assert!(tested.contains(text) && started.contains(text), "no {text:?} in\n{tested}\nor\n{started}");
    }
}

wsgi_test!(a_python_without_its_worker_is_refused_with_what_to_build, groups, |site| {
    let site = site.file("base/bin/python3.99", "").file("env/lib/python3.99/site-packages/x", "");
    let base = site.root.join("base/bin").display().to_string();
    let site = site.file("env/pyvenv.cfg", format!("home = {base}\nversion = 3.99.1\n"));
    let build = format!("make worker PYTHON={base}/python3.99");
    let texts = ["WSGI0640", "python-home", "/env\"", "\"own\"", "mod_wsgi-worker3.99", "make install", &build];
    refused(versions(site, &[("own", "python-home=${ROOT}/env")]), &texts);
});

wsgi_test!(the_home_of_the_whole_server_needs_its_worker_too, groups, |site| {
    let site = site.file("prefix/lib/python3.99/encodings/__init__.py", "").conf("WSGIPythonHome ${ROOT}/prefix");
    refused(versions(site, &[("own", "")]), &["WSGI0640", "WSGIPythonHome", "make worker PYTHON=python3.99"]);
});

wsgi_test!(a_worker_of_another_build_is_refused, groups, |site| {
    let site = site.own_module().file("env/pyvenv.cfg", "version = 3.99.1\n");
    let site = site.file("modules/mod_wsgi-worker3.99", "mod_wsgi-rs speaks another language");
    site.root.chmod("modules/mod_wsgi-worker3.99", 0o755);
    let texts = ["WSGI0640", "modules/mod_wsgi-worker3.99", "another build", "make worker PYTHON=python3.99"];
    refused(versions(site, &[("own", "python-home=${ROOT}/env")]), &texts);
});

wsgi_test!(another_pythons_worker_that_becomes_one_of_another_build_does_not_end_a_server, groups, |site| {
    let Some(other) = other(&site) else { return };
    let name = format!("mod_wsgi-worker{}", other.version);
    let site = site.own_module();
    fs::copy(site.httpd.wsgi.with_file_name(&name), site.root.join("modules").join(&name)).unwrap();
    other.environment(&site.root.join("env"));
    let server = versions(site, &[("own", ""), ("env", "python-home=${ROOT}/env")]).start();
    server.root.renew_as_another_build([&name]);
    // The second time they are those that the first one kept.
    for _ in 0..2 {
        let before = ["/own", "/env"].map(|target| ask(&server, target)["pid"].clone());
        server.graceful();
        until("other processes", || {
            ["/own", "/env"].iter().zip(&before).all(|(target, pid)| ask(&server, target)["pid"] != *pid).then_some(())
        });
    }
    assert_eq!(ask(&server, "/env")["version"], other.version.as_str());
    let line = server.wait_log("WSGI0480").message;
    assert!(line.contains(&format!("modules/{name}")) && line.contains("make worker"), "{line}");
});

wsgi_test!(a_python_that_is_too_old_is_refused_with_what_to_do, groups, |site| {
    let site = site.file("env/pyvenv.cfg", "home = /usr/bin\nversion = 3.9.2\n");
    let texts = ["WSGI0641", "\"own\"", "/env\"", "Python 3.9,", "too old", "3.11", "-m venv"];
    refused(versions(site, &[("own", "python-home=${ROOT}/env")]), &texts);
});
