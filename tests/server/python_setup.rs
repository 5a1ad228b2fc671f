//! Where Python comes from and how it is set up, and what a wrong set-up says.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Server, Site, wsgi_test};

/// Makes a virtual environment below the site's root with a module `marker` in it; the folder of its packages.
fn venv(site: &Site, name: &str) -> PathBuf {
    let home = site.root.join(name);
    let python = std::env::var("PYO3_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    let made = Command::new(python).args(["-m", "venv", "--without-pip"]).arg(&home).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let lib = std::fs::read_dir(home.join("lib")).unwrap().next().unwrap().unwrap().path();
    let packages = lib.join("site-packages");
    std::fs::write(packages.join("marker.py"), "WHERE = 'venv'\n").unwrap();
    packages
}

fn facts(server: &Server) -> Value {
    server.get("/").json()
}

wsgi_test!(a_virtual_environment_is_used, both_interpreters, |site| {
    let packages = venv(&site, "venv");
    std::fs::write(packages.join("more.pth"), format!("{}\n", site.root.join("var").display())).unwrap();
    for home in ["${ROOT}/venv", "${ROOT}/venv/"] {
        let site = Site::new("venv", site.setting).unwrap().app("python_facts");
        let home = home.replace("${ROOT}", packages.ancestors().nth(4).unwrap().to_str().unwrap());
        let server = site.conf(&format!("WSGIPythonHome {home}")).start();
        let seen = facts(&server);
        assert_eq!(seen["marker"], "venv");
        assert_eq!(seen["prefix"], packages.ancestors().nth(3).unwrap().to_str().unwrap());
        assert!(
            seen["path"].as_array().unwrap().iter().any(|entry| entry.as_str().unwrap().ends_with("/var")),
            ".pth files"
        );
        assert_eq!(seen["isolated"], 0);
    }
});

wsgi_test!(python_path_comes_first_and_reads_pth_files, embedded, |site| {
    let site = site.file("first/marker.py", "WHERE = 'first'\n").file("second/marker.py", "WHERE = 'second'\n");
    let more = site.root.join("more").display().to_string();
    let site = site.file("first/more.pth", format!("{more}\n")).file("more/x.py", "").app("python_facts");
    let server = site.conf("WSGIPythonPath ${ROOT}/first:${ROOT}/second").start();
    let seen = facts(&server);
    assert_eq!(seen["marker"], "first");
    let path: Vec<&str> = seen["path"].as_array().unwrap().iter().map(|entry| entry.as_str().unwrap()).collect();
    let at =
        |end: &str| path.iter().position(|entry| entry.ends_with(end)).unwrap_or_else(|| panic!("{end} in {path:?}"));
    assert!(at("/first") < at("/second"));
    assert!(at("/second") < path.iter().position(|entry| entry.contains("/lib/python3")).unwrap());
    at("/more");
});

wsgi_test!(directives_set_python_up, both_interpreters, |site| {
    let daemon = site.setting.mode.is_daemon();
    let site = site.app("python_facts").conf(
        "WSGIPythonOptimize 2\nWSGIPythonWarnings error::UserWarning\nWSGIPythonWarnings ignore::DeprecationWarning",
    );
    let site = site.conf(
        "WSGIDontWriteBytecode On\nWSGISwitchInterval 0.0125\nWSGIPythonEggs ${ROOT}/var/eggs\nWSGIPythonHashSeed 42",
    );
    let server = site.start();
    let seen = facts(&server);
    assert_eq!(seen["optimize"], 2);
    assert_eq!(seen["warnings"], json!(["error::UserWarning", "ignore::DeprecationWarning"]));
    assert_eq!(seen["dont_write_bytecode"], true);
    assert_eq!(seen["switch_interval"], 0.0125);
    // In a daemon process that is the option python-eggs.
    let eggs = server.root.join("var/eggs");
    assert_eq!(seen["egg_cache"].as_str(), (!daemon).then_some(eggs.to_str().unwrap()));
    assert_eq!(seen["argv"], json!(["mod_wsgi"]));
});

wsgi_test!(a_fixed_hash_seed_gives_the_same_hashes, |site| {
    let setting = site.setting;
    let hash = |seed: &str| {
        let site = Site::new("hash", setting).unwrap().app("python_facts");
        facts(&site.conf(&format!("WSGIPythonHashSeed {seed}")).start())["hash"].clone()
    };
    drop(site);
    assert_eq!(hash("42"), hash("42"));
    assert_ne!(hash("random"), hash("random"));
});

wsgi_test!(variables_of_python_are_honoured, |site| {
    let site = site.file("extra/marker.py", "WHERE = 'extra'\n").app("python_facts");
    let extra = site.root.join("extra").display().to_string();
    let site = site
        .variable("PYTHONPATH", &extra)
        .variable("PYTHONDONTWRITEBYTECODE", "1")
        .variable("PYTHONWARNINGS", "always");
    let seen = facts(&site.start());
    assert_eq!(seen["marker"], "extra");
    assert_eq!(seen["dont_write_bytecode"], true);
    assert_eq!(seen["warnings"], json!(["always"]));
});

wsgi_test!(modules_leave_bytecode_unless_told_not_to, embedded, |site| {
    for (value, expected) in [("Off", true), ("On", false)] {
        let site = Site::new("bytecode", site.setting).unwrap().file("extra/marker.py", "WHERE = 'extra'\n");
        site.root.chmod("extra", 0o777);
        let site = site.conf(&format!("WSGIPythonPath ${{ROOT}}/extra\nWSGIDontWriteBytecode {value}"));
        let server = site.app("python_facts").start();
        assert_eq!(facts(&server)["marker"], "extra");
        assert_eq!(server.root.join("extra/__pycache__").exists(), expected, "WSGIDontWriteBytecode {value}");
    }
});

/// With a home that can't work: 500 for the application, one kind of line that names directive and cause, and everything
/// else is served by the same child.
fn broken(site: Site, home: &str, cause: &str) {
    let site = site.file("htdocs/page.txt", "static").conf("Alias /page.txt ${ROOT}/htdocs/page.txt").app("where");
    let server = site.conf(&format!("WSGIPythonHome {home}")).start();
    assert_eq!(server.get("/").status, 500);
    // The reason is in the log before the client has its answer.
    let of_request = |message: &str| message.contains("WSGIPythonHome") && !message.starts_with("WSGI05");
    let line = server.log().into_iter().find(|line| of_request(&line.message));
    let line = line.unwrap_or_else(|| panic!("no line names WSGIPythonHome"));
    assert!(line.message.contains(cause), "{:?} without {cause:?}", line.message);
    let before = server.children();
    assert_eq!(server.get("/page.txt").ok(), "static");
    assert_eq!(server.get("/").status, 500);
    assert_eq!(server.get("/page.txt").ok(), "static");
    assert_eq!(server.children(), before, "no respawn loop");
    server.expect_log("Python");
}

wsgi_test!(a_home_that_is_not_there_is_named, embedded, |site| {
    broken(site, "${ROOT}/not-there", "not-there");
});

wsgi_test!(a_home_that_is_a_file_is_named, embedded, |site| {
    broken(site.file("var/file", ""), "${ROOT}/var/file", "var/file");
});

wsgi_test!(a_home_without_python_in_it_is_named, embedded, |site| {
    broken(site.file("empty/readme", ""), "${ROOT}/empty", "empty");
});

wsgi_test!(a_home_without_the_standard_library_is_named, embedded, |site| {
    let version = venv(&site, "model").ancestors().nth(1).unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    broken(site.file(&format!("hollow/lib/{version}/readme"), ""), "${ROOT}/hollow", "hollow");
});

/// An environment that says that it is of another version.
fn of_version(site: Site, version: &str, text: &str) {
    venv(&site, "venv");
    let settings = std::fs::read_to_string(site.root.join("venv/pyvenv.cfg")).unwrap();
    let line =
        |line: &str| if line.starts_with("version") { format!("version = {version}\n") } else { format!("{line}\n") };
    let other: String = settings.lines().map(line).collect();
    broken(site.file("venv/pyvenv.cfg", other), "${ROOT}/venv", text);
}

wsgi_test!(an_environment_of_another_version_is_named_with_what_to_build, embedded, |site| {
    of_version(site, "3.99.1", "make worker PYTHON=python3.99");
});

wsgi_test!(an_environment_of_too_old_a_version_is_named, embedded, |site| {
    of_version(site, "3.6.1", "Python 3.6 is too old");
});

wsgi_test!(a_home_that_cannot_be_read_is_named, embedded, |site| {
    venv(&site, "locked/venv");
    site.root.chmod("locked", 0o000);
    broken(site, "${ROOT}/locked/venv", "locked");
});

wsgi_test!(embedded_mode_can_be_forbidden, embedded, |site| {
    let site = site.app("where").conf("WSGIRestrictEmbedded On").expect_log("WSGIRestrictEmbedded");
    let site = site.file("htdocs/page.txt", "static").conf("Alias /page.txt ${ROOT}/htdocs/page.txt");
    let server = site.start();
    assert_eq!(server.get("/").status, 500);
    assert_eq!(server.get("/page.txt").ok(), "static");
});
