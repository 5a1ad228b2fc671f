//! `WSGIPerInterpreterGIL`, in a group whose Python has it: what runs in one interpreter keeps no other one waiting.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::pythons::other;
use crate::harness::process::{send, wait_end};
use crate::harness::{Request, Server, Site, until, wsgi_test};

/// Computes without giving its GIL up, until another request has written into memory that both have.
const SCRIPT: &str = "\
import json, mmap, os, sys, threading

def gil():
    try:
        import _interpreters
    except ImportError:
        return None
    return _interpreters.get_config(_interpreters.get_current()[0]).gil

def refused(work):
    try:
        work()
    except RuntimeError:
        return True
    return False

def application(environ, start_response):
    path = environ['PATH_INFO']
    answer = None
    if path.startswith('/spin'):
        mine, wanted = int(path[5]), int(path[6])
        with open(environ['demo.memory'], 'r+b') as file:
            memory = mmap.mmap(file.fileno(), 16)
        sys.setswitchinterval(1000)
        memory[mine] = 1
        while not memory[wanted]:
            pass
        answer = mine
    elif path == '/facts':
        answer = {
            'gil': gil(),
            'pid': os.getpid(),
            'interval': sys.getswitchinterval(),
            'daemon refused': refused(lambda: threading.Thread(target=int, daemon=True)),
            'group': environ['mod_wsgi.application_group'],
        }
    elif path == '/fork':
        answer = refused(os.fork)
    elif path == '/count':
        application.count += 1
        answer = application.count
    body = json.dumps(answer).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]

application.count = 0
";

/// A group `shop` of a Python with several GILs and `/one`, `/two` and `/main` in it.
fn shop(site: Site, options: &str) -> Option<Site> {
    let other = other(&site)?;
    if other.version == "3.11" {
        eprintln!("SKIPPED: the second Python has one GIL for all interpreters");
        return None;
    }
    other.environment(&site.root.join("env"));
    let site = site.file("apps/shop/app.wsgi", SCRIPT).file("var/memory", [0; 16]);
    site.root.chmod("var/memory", 0o666);
    let site = site.group("shop", &format!("python-home=${{ROOT}}/env {options}"));
    let site = site.conf("WSGIProcessGroup shop\nSetEnv demo.memory ${ROOT}/var/memory");
    Some(["one", "two", "main"].into_iter().fold(site, |site, name| {
        let group = if name == "main" { "%{GLOBAL}" } else { name };
        site.conf(&format!("WSGIScriptAlias /{name} ${{APPS}}/shop/app.wsgi application-group={group}"))
    }))
}

fn facts(server: &Server, target: &str) -> Value {
    server.get(target).json()
}

fn pid(server: &Server) -> u32 {
    facts(server, "/main/facts")["pid"].as_u64().unwrap().try_into().unwrap()
}

/// Waits until the request that counts here computes.
fn computes(server: &Server, place: usize) {
    until("the request to compute", || {
        let memory = std::fs::read(server.root.join("var/memory")).unwrap();
        (memory[place] == 1).then_some(())
    });
}

wsgi_test!(three_interpreters_compute_at_once, groups_every_mpm, |site| {
    let Some(site) = shop(site, "threads=4") else { return };
    let server = site.conf("WSGIPerInterpreterGIL On").start();
    let (mut one, mut two) = (server.connect(), server.connect());
    one.send_head(&Request::get("/one/spin12"));
    computes(&server, 1);
    two.send_head(&Request::get("/two/spin23"));
    computes(&server, 2);
    // Both may go on: the first waited for the second, and that for this one.
    assert_eq!(server.get("/main/spin32").json(), json!(3));
    assert_eq!(two.response("GET").json(), json!(2));
    assert_eq!(one.response("GET").json(), json!(1));
});

wsgi_test!(a_section_gives_one_interpreter_its_own_gil, groups, |site| {
    let Some(site) = shop(site, "threads=4") else { return };
    let server = site
        .conf(
            "<WSGIInterpreterOptions process-group=shop application-group=one>\nWSGIPerInterpreterGIL On\nWSGISwitchInterval 0.5\n\
             </WSGIInterpreterOptions>\nWSGISwitchInterval 0.0125",
        )
        .start();
    let (one, two, main) = (facts(&server, "/one/facts"), facts(&server, "/two/facts"), facts(&server, "/main/facts"));
    // CPython isolates it, and only it.
    assert_eq!(server.get("/one/fork").json(), json!(true));
    let [of_one, of_two, of_main] = [&one, &two, &main].map(|seen| seen["daemon refused"] == true);
    assert_eq!((of_one, of_two, of_main), (true, false, false));
    assert_eq!((&one["interval"], &two["interval"], &main["interval"]), (&json!(0.5), &json!(0.0125), &json!(0.0125)));
    if !one["gil"].is_null() {
        assert_eq!((&one["gil"], &two["gil"]), (&json!("own"), &json!("shared")));
    }
});

wsgi_test!(requests_in_turn_on_the_same_threads_are_each_in_their_interpreter, groups, |site| {
    let Some(site) = shop(site, "threads=2 maximum-requests=1000000") else { return };
    let server = site.conf("WSGIPerInterpreterGIL On").start();
    let names = ["one", "two", "main"];
    let each = 200;
    std::thread::scope(|scope| {
        for client in 0..6 {
            let server = &server;
            scope.spawn(move || {
                let mut connection = server.connect();
                for number in 0..each {
                    let target = format!("/{}/count", names[(client + number) % 3]);
                    connection.ask(&Request::get(&target).keep_alive()).ok();
                }
            });
        }
    });
    for name in names {
        assert_eq!(server.get(&format!("/{name}/count")).json(), json!(6 * each / 3 + 1), "{name}");
    }
    let first = pid(&server);
    send(first, Signal::SIGUSR1);
    until("another process", || (pid(&server) != first).then_some(()));
    wait_end(first);
});

wsgi_test!(a_gil_of_ones_own_that_is_kept_ends_the_process_too, groups, |site| {
    let Some(site) = shop(site, "threads=2 deadlock-timeout=2 shutdown-timeout=1") else { return };
    let server = site.conf("WSGIPerInterpreterGIL On").start();
    let first = pid(&server);
    let mut connection = server.connect();
    connection.send_head(&Request::get("/one/spin10"));
    assert_eq!(connection.response("GET").status, 502);
    server.wait_log("WSGI0430: deadlock-timeout");
    until("a new process to answer", || {
        let response = server.get("/main/facts");
        (response.status == 200 && response.json()["pid"] != first).then_some(())
    });
    wait_end(first);
    for text in [&format!("pid {first}"), "WSGI0302", "WSGI0411", "WSGI0419", "WSGI014", "eadlock"] {
        server.allow_log(text);
    }
});
