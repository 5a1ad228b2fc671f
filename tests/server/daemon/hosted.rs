//! Processes of the module's Python run in that Python's executable, with a library of ours in front, where both are there.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Server, Site, until, wsgi_test};

/// Answers what a process runs in, and what it and its own children see of how it was begun.
const SCRIPT: &str = "\
import json, os, signal, subprocess, sys

def application(environ, start_response):
    links = []
    for name in os.listdir('/proc/self/fd'):
        try:
            links.append(os.readlink('/proc/self/fd/' + name))
        except OSError:
            pass  # The one of the listing itself.
    seen = {
        'program': os.readlink('/proc/self/exe'),
        'python': os.path.realpath(os.path.join(sys.base_prefix, 'bin', 'python%d.%d' % sys.version_info[:2])),
        'preload': os.environ.get('LD_PRELOAD'),
        'child': subprocess.run(['/bin/sh', '-c', 'echo $LD_PRELOAD'], stdout=subprocess.PIPE).stdout.decode().strip(),
        'open': [link for link in links if link.endswith('.so')],
        'executable': sys.executable,
        'pipe': signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN,
        'arguments': sys.argv,
        'command': open('/proc/self/cmdline').read().rstrip(chr(0)),
        'pid': os.getpid(),
    }
    body = json.dumps(seen).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

fn hosted(site: Site) -> Site {
    let site = site.file("apps/hosted/app.wsgi", SCRIPT).group("shop", "");
    site.conf("WSGIProcessGroup shop\nWSGIScriptAlias / ${APPS}/hosted/app.wsgi")
}

fn ask(server: &Server) -> Value {
    server.get("/").json()
}

wsgi_test!(a_process_runs_in_pythons_own_executable_and_does_not_show_it, groups_every_mpm, |site| {
    let server = hosted(site).start();
    let seen = ask(&server);
    assert_eq!(seen["program"], seen["python"]);
    assert_eq!((&seen["preload"], &seen["child"], &seen["open"]), (&Value::Null, &json!(""), &json!([])));
    assert_eq!((&seen["pipe"], &seen["command"]), (&json!(true), &json!("(wsgi:shop)")));
});

wsgi_test!(what_is_to_be_loaded_in_front_otherwise_is_so, groups, |site| {
    let server = hosted(site.variable("LD_PRELOAD", "libm.so.6:libdl.so.2")).start();
    let seen = ask(&server);
    assert_eq!(seen["program"], seen["python"]);
    assert_eq!((&seen["preload"], &seen["child"]), (&json!("libm.so.6:libdl.so.2"), &json!("libm.so.6:libdl.so.2")));
});

wsgi_test!(without_the_library_the_program_runs_the_same, groups, |site| {
    let site = hosted(site.own_module());
    let built = site.httpd.wsgi.with_file_name("mod_wsgi-worker.so");
    fs::remove_file(site.root.join("modules/mod_wsgi-worker.so")).unwrap();
    let server = site.start();
    let seen = ask(&server);
    assert!(seen["program"].as_str().unwrap().ends_with("/mod_wsgi-worker"), "{seen}");
    assert_eq!((&seen["preload"], &seen["pipe"]), (&Value::Null, &json!(true)));
    // And the other way round, from one configuration to the next.
    let library = server.root.join("modules/mod_wsgi-worker.so");
    fs::copy(built, library).unwrap();
    server.graceful();
    let other =
        until("a process in Python's executable", || Some(ask(&server)).filter(|now| now["program"] == now["python"]));
    for same in ["executable", "arguments", "command"] {
        assert_eq!(seen[same], other[same], "{same}");
    }
});

wsgi_test!(a_library_of_another_build_is_refused, groups, |site| {
    let site = hosted(site.own_module()).file("modules/mod_wsgi-worker.so", "mod_wsgi-rs speaks another language");
    site.root.chmod("modules/mod_wsgi-worker.so", 0o755);
    let (passed, tested) = site.test();
    let started = site.try_start().err().unwrap();
    for text in ["modules/mod_wsgi-worker.so", "another build", "together"] {
        assert!(!passed && tested.contains(text) && started.contains(text), "{tested}\n{started}");
    }
});
