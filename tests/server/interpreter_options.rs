//! `<WSGIInterpreterOptions>`, and lines about the GIL where Python has one for all.

use serde_json::{Value, json};

use crate::config_errors::{loads, refused};
use crate::harness::{Server, Site, wsgi_test};

/// Answers what holds in its interpreter.
const SCRIPT: &str = "\
import json, os, signal, sys

def application(environ, start_response):
    seen = {
        'group': environ['mod_wsgi.application_group'],
        'path': [os.path.basename(entry) for entry in sys.path if entry.startswith(environ['demo.paths'])],
        'stdin': type(sys.stdin).__name__,
        'stdout': type(sys.stdout).__name__,
        'signal': signal.signal.__name__,
        'interval': sys.getswitchinterval(),
    }
    body = json.dumps(seen).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

/// `/one`, `/two` and `/main`, each in the application group of that name.
fn three(site: Site) -> Site {
    let site = site.file("apps/seen/app.wsgi", SCRIPT).conf("SetEnv demo.paths ${ROOT}/paths");
    ["one", "two", "main"].into_iter().fold(site, |site, name| {
        let group = if name == "main" { "%{GLOBAL}" } else { name };
        site.conf(&format!("WSGIScriptAlias /{name} ${{APPS}}/seen/app.wsgi application-group={group}"))
    })
}

fn seen(server: &Server, target: &str) -> Value {
    server.get(target).json()
}

/// The processes that the setting's requests go to, as a selector names them.
fn own(site: &Site) -> &'static str {
    if site.setting.mode.is_daemon() { "site" } else { "%{GLOBAL}" }
}

wsgi_test!(a_section_is_for_the_interpreters_that_it_names, |site| {
    let own = own(&site);
    let site = ["all", "named", "other"].iter().fold(site, |site, name| site.file(&format!("paths/{name}/x"), ""));
    let site = site.file("apps/other/app.wsgi", SCRIPT);
    let site = three(site).group("other", "processes=1 threads=1").conf(&format!(
        "WSGIScriptAlias /other ${{APPS}}/other/app.wsgi process-group=other application-group=one
         WSGIRestrictStdout On
         <WSGIInterpreterOptions Process-Group={own} application-group=one>
             WSGIRestrictStdin Off
             WSGIRestrictSignal Off
             WSGIPythonPath ${{ROOT}}/paths/named
         </WSGIInterpreterOptions>
         <WSGIInterpreterOptions>
             <IfModule wsgi_module>
                 WSGIRestrictStdin On
             </IfModule>
             WSGIPythonPath ${{ROOT}}/paths/all
         </WSGIInterpreterOptions>
         <WSGIInterpreterOptions process-group=other>
             WSGIRestrictStdout Off
             WSGIPythonPath ${{ROOT}}/paths/other
         </WSGIInterpreterOptions>
         <WSGIInterpreterOptions application-group=%{{GLOBAL}}>
             WSGIRestrictStdout Off
         </WSGIInterpreterOptions>"
    ));
    let server = site.start();
    for (target, path, stdin, stdout, signal) in [
        ("/one", json!(["named", "all"]), "TextIOWrapper", "Restricted", "signal"),
        ("/two", json!(["all"]), "Restricted", "Restricted", "intercepted"),
        ("/main", json!(["all"]), "Restricted", "TextIOWrapper", "intercepted"),
        ("/other", json!(["other", "all"]), "Restricted", "TextIOWrapper", "intercepted"),
    ] {
        let seen = seen(&server, target);
        let [in_path, in_stdin, in_stdout, in_signal] = ["path", "stdin", "stdout", "signal"].map(|name| &seen[name]);
        assert_eq!(
            (in_path, in_stdin, in_stdout, in_signal),
            (&path, &json!(stdin), &json!(stdout), &json!(signal)),
            "{target}"
        );
    }
});

wsgi_test!(paths_of_a_section_go_before_those_of_the_group_or_of_embedded_mode, |site| {
    let daemon = site.setting.mode.is_daemon();
    let site = ["outer", "inner"].iter().fold(site, |site, name| site.file(&format!("paths/{name}/x"), ""));
    let site = site.daemon("processes=1 threads=4 python-path=${ROOT}/paths/outer");
    let site = if daemon { site } else { site.conf("WSGIPythonPath ${ROOT}/paths/outer") };
    let server = three(site)
        .conf("<WSGIInterpreterOptions application-group=two>\nWSGIPythonPath ${ROOT}/paths/inner\n</WSGIInterpreterOptions>")
        .start();
    assert_eq!(seen(&server, "/one")["path"], json!(["outer"]));
    assert_eq!(seen(&server, "/two")["path"], json!(["inner", "outer"]));
});

wsgi_test!(a_section_may_name_an_application_that_is_alone_by_the_group_it_shows, |site| {
    let site = site.app("python_facts").file("paths/alone/marker.py", "WHERE = 'alone'\n");
    let port = "localhost:${PORT}|";
    let server = site
        .conf("ServerName localhost:${PORT}")
        .conf(&format!(
            "<WSGIInterpreterOptions application-group={port}>\nWSGIPythonPath ${{ROOT}}/paths/alone\n</WSGIInterpreterOptions>"
        ))
        .start();
    assert_eq!(seen(&server, "/")["marker"], "alone");
});

wsgi_test!(a_switch_interval_for_one_of_those_that_share_a_gil_is_left_out, |site| {
    let server = three(site)
        .conf(
            "<WSGIInterpreterOptions application-group=one>\nWSGISwitchInterval 0.5\n</WSGIInterpreterOptions>\n\
             <WSGIInterpreterOptions application-group=%{GLOBAL}>\nWSGISwitchInterval 0.0125\n</WSGIInterpreterOptions>",
        )
        .expect_log("WSGI0199: WSGISwitchInterval 0.5 for the application group \"one\"")
        .start();
    for target in ["/two", "/one", "/main"] {
        assert_eq!(seen(&server, target)["interval"], 0.0125, "{target}");
    }
});

wsgi_test!(a_graceful_restart_brings_changed_sections, |site| {
    let section = "<WSGIInterpreterOptions application-group=one>\nWSGIRestrictStdin On\n</WSGIInterpreterOptions>";
    let server = three(site).conf(section).start();
    assert_eq!(seen(&server, "/one")["stdin"], "Restricted");
    let conf = server.root.read("conf/httpd.conf");
    server.root.write("conf/httpd.conf", conf.replace("WSGIRestrictStdin On", "WSGIRestrictStdin Off"));
    server.graceful();
    crate::harness::until("the changed section to hold", || {
        (seen(&server, "/one")["stdin"] == "TextIOWrapper").then_some(())
    });
});

wsgi_test!(what_is_wrong_with_a_section_is_refused, embedded, |site| {
    let section = |lines: &str| format!("<WSGIInterpreterOptions>\n{lines}\n</WSGIInterpreterOptions>");
    let within = |outer: &str| format!("<{outer}>\n{}\n</{}>", section(""), outer.split(' ').next().unwrap());
    refused(
        &site,
        &[
            (
                "<WSGIInterpreterOptions process-grup=shop>\n</WSGIInterpreterOptions>",
                &["process-grup", "process-group"],
            ),
            ("<WSGIInterpreterOptions shop>\n</WSGIInterpreterOptions>", &["\"shop\"", "name=value"]),
            (
                "<WSGIInterpreterOptions process-group=a process-group=b>\n</WSGIInterpreterOptions>",
                &["process-group", "already"],
            ),
            (&section("WSGIRestrictStdin maybe"), &["WSGIRestrictStdin can't be \"maybe\""]),
            (&section(&section("")), &["can't stand in another one"]),
            (&within("VirtualHost *:80"), &["move it outside <VirtualHost>"]),
            (&within("Directory /x"), &["WSGIInterpreterOptions", "not allowed"]),
        ],
    );
    // The line that is wrong is named, not the section's first.
    let site = site.conf(&section("\n\nWSGIRestrictStdin maybe"));
    let (passed, output) = site.test();
    let conf = site.root.read("conf/httpd.conf");
    let number = conf.lines().position(|line| line.contains("maybe")).unwrap() + 1;
    assert!(!passed && output.contains(&format!("line {number} of")), "{output}");
});

wsgi_test!(what_changes_nothing_is_named_at_the_test, embedded, |site| {
    let section = |selectors: &str, lines: &str| {
        format!("<WSGIInterpreterOptions {selectors}>\n{lines}\n</WSGIInterpreterOptions>")
    };
    loads(
        &site,
        &[
            (&section("application-group=one", "WSGIFreeThreading On"), &["httpd.conf:", "WSGI0201"]),
            (&section("process-group=shop", ""), &["WSGI0630", "process-group=shop"]),
            (&section("application-group=%{HOST}", ""), &["httpd.conf:", "%{HOST}", "taken literally"]),
            (&section("", "WSGIDontWriteBytecode On"), &["httpd.conf:", "WSGIDontWriteBytecode stands in"]),
            ("WSGIFreeThreading On", &["WSGI0200", "httpd's own children"]),
            ("WSGIPerInterpreterGIL Off\nWSGIFreeThreading Off", &["Syntax OK"]),
        ],
    );
});

/// Whether the module's Python has one GIL for all interpreters.
fn shares_a_gil() -> bool {
    let python = std::env::var("PYO3_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    let asked = "import sys; raise SystemExit(sys.version_info >= (3, 12))";
    std::process::Command::new(python).args(["-c", asked]).status().unwrap().success()
}

wsgi_test!(a_python_with_one_gil_for_all_goes_on_with_it_and_says_so_once, |site| {
    if !shares_a_gil() {
        return eprintln!("SKIPPED: the module's Python has a GIL for each interpreter");
    }
    let server = three(site).conf("WSGIPerInterpreterGIL On").expect_log("WSGI0198: WSGIPerInterpreterGIL On").start();
    for (target, group) in [("/one", "one"), ("/main", "")] {
        assert_eq!(seen(&server, target)["group"], group);
    }
    assert_eq!(server.log_text().matches("WSGI0198").count(), 1);
});
