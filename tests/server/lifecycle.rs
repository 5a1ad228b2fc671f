//! From LoadModule to the end of the last child: starts, restarts, children that end, and what the application sees of it.

use std::path::Path;
use std::time::Duration;

use crate::harness::process::{is_alive, wait_end};
use crate::harness::{Mpm, Request, Server, Site, until, wait, wsgi_test};

fn site_with_exits(site: Site) -> Site {
    site.app("exits").conf("SetEnv demo.var ${ROOT}/var")
}

/// The process that answered.
fn pid(server: &Server, path: &str) -> u32 {
    server.get(path).ok().parse().unwrap()
}

wsgi_test!(the_module_has_the_names_administrators_test_for, |site| {
    let site = site.conf("<IfModule !mod_wsgi.c>\n  Error \"no mod_wsgi.c\"\n</IfModule>\n<IfModule !wsgi_module>\n  Error \"no wsgi_module\"\n</IfModule>");
    let site = site.conf("<IfModule mod_wsgi.c>\n  WSGIScriptAlias /a ${APPS}/where/app.wsgi\n</IfModule>\n<IfModule wsgi_module>\n  WSGIScriptAlias /b ${APPS}/where/app.wsgi\n</IfModule>");
    let server = site.files("where").start();
    assert_eq!((server.get("/a").status, server.get("/b").status), (200, 200));
});

wsgi_test!(the_server_token_names_the_module, embedded, |site| {
    let setting = site.setting;
    let server = site.app("where").conf("ServerTokens Full").start();
    let response = server.get("/");
    let token = response.header("Server").unwrap();
    assert!(token.contains("mod_wsgi") && token.contains("Python/3."), "{token}");
    drop(server);
    let server = Site::new("token", setting).unwrap().app("where").conf("ServerTokens Prod").start();
    assert_eq!(server.get("/").header("Server"), Some("Apache"));
});

wsgi_test!(a_hundred_graceful_restarts_keep_serving, every_mpm, |site| {
    // worker and prefork look for a restart once a second only: there are more of them in the soak.
    let event = site.setting.mpm == Mpm::Event;
    let server = site.mount("/one", "interpreter").mount("/two", "sqlite_callbacks").children(2).threads(4).start();
    for round in 0..if event { 100 } else { 25 } {
        assert_eq!(server.get("/one").status, 200, "round {round}");
        if round % 10 == 0 {
            assert_eq!(server.get("/two").status, 200, "round {round}");
        }
        server.graceful();
    }
    assert_eq!(server.get("/one").status, 200);
});

wsgi_test!(ten_hard_restarts_keep_serving, every_mpm, |site| {
    let server = site.app("interpreter").children(2).threads(4).start();
    for _ in 0..10 {
        assert_eq!(server.get("/").status, 200);
        server.restart();
    }
    assert_eq!(server.get("/").json()["calls"], 1);
});

wsgi_test!(restarts_right_after_the_start_do_no_harm, every_mpm, |site| {
    let server = site.app("interpreter").children(2).threads(4).start();
    for _ in 0..10 {
        server.graceful();
    }
    assert_eq!(server.get("/").status, 200);
});

wsgi_test!(a_child_that_served_its_share_runs_atexit, embedded_every_mpm, |site| {
    let prefork = site.setting.mpm == Mpm::Prefork;
    let server = site_with_exits(site).children(1).conf("MaxConnectionsPerChild 50").start();
    let first = pid(&server, "/atexit");
    for number in 0..120 {
        assert_eq!(server.get("/atexit").status, 200, "request {number}");
    }
    until("atexit of the first child", || server.root.join(&format!("var/atexit-{first}")).exists().then_some(()));
    wait_end(first);
    assert_ne!(pid(&server, "/atexit"), first, "prefork: {prefork}");
});

wsgi_test!(a_graceful_restart_runs_atexit, every_mpm, |site| {
    let server = site_with_exits(site).children(1).start();
    let first = pid(&server, "/atexit");
    server.graceful();
    until("atexit of the first child", || server.root.join(&format!("var/atexit-{first}")).exists().then_some(()));
    assert_ne!(pid(&server, "/atexit"), first);
});

/// Asks for `path`, stops httpd, and tells which process it was and what is left in `var/`.
fn stopped(site: Site, path: &str, look: impl FnOnce(u32, &Path)) {
    let server = site_with_exits(site).children(1).start();
    let id = pid(&server, path);
    server.stop(|root| {
        assert!(!is_alive(id));
        look(id, &root.join("var"));
    });
}

wsgi_test!(a_stop_runs_atexit, every_mpm, |site| {
    stopped(site, "/atexit", |id, var| assert!(var.join(format!("atexit-{id}")).exists()));
});

wsgi_test!(a_stop_runs_atexit_in_each_interpreter, both_interpreters, |site| {
    stopped(site, "/atexit", |id, var| assert!(var.join(format!("atexit-{id}")).exists()));
});

wsgi_test!(a_stop_joins_threads_of_the_application, both_interpreters, |site| {
    stopped(site, "/worker", |id, var| {
        assert!(var.join(format!("joined-{id}")).exists(), "joined");
        assert!(var.join(format!("atexit-{id}")).exists(), "atexit");
    });
});

wsgi_test!(daemon_threads_do_not_hold_the_end_up, every_mpm, |site| {
    stopped(site, "/daemon", |id, var| assert!(var.join(format!("atexit-{id}")).exists()));
});

wsgi_test!(daemon_threads_do_not_hold_the_end_up_in_the_main_interpreter, |site| {
    let site = site.conf("WSGIApplicationGroup %{GLOBAL}");
    stopped(site, "/daemon", |id, var| assert!(var.join(format!("atexit-{id}")).exists()));
});

wsgi_test!(a_thread_that_never_ends_is_left_behind, embedded_every_mpm, |site| {
    // A warning names the application; the child does not wait for ever.
    let server = site_with_exits(site).children(1).expect_log("WSGI0302").start();
    let first = pid(&server, "/stuck");
    server.graceful();
    let ended = wait::within(Duration::from_secs(30), || (!is_alive(first)).then_some(()));
    assert!(ended.is_some(), "a child with a thread that never ends does not end itself");
});

wsgi_test!(interpreters_can_be_left_undestroyed, every_mpm, |site| {
    let site = site.conf("WSGIDestroyInterpreter Off");
    stopped(site, "/atexit", |id, var| assert!(!var.join(format!("atexit-{id}")).exists()));
});

wsgi_test!(signal_handlers_of_applications_are_not_installed, every_mpm, |site| {
    let server = site.app("signals").start();
    assert_eq!(server.get("/").ok(), "handler");
});

wsgi_test!(signal_handlers_are_pythons_business_when_unrestricted, |site| {
    // The usual rule of Python: only the main thread of the main interpreter may.
    let server = site.app("signals").conf("WSGIRestrictSignal Off").start();
    assert_eq!(server.get("/").ok(), "ValueError");
});

wsgi_test!(a_stop_with_requests_in_flight_is_prompt, every_mpm, |site| {
    let event = site.setting.mpm == Mpm::Event;
    let server = site.app("stepwise").conf("SetEnv demo.var ${ROOT}/var").children(2).start();
    // Which of the two ends first is open in daemon mode.
    server.allow_log("WSGI0119");
    server.allow_log("WSGI0361");
    let mut connection = server.connect();
    connection.send_head(&Request::get("/"));
    connection.head().unwrap();
    // The application waits for a file that comes only now, so that the stop finds it running.
    server.signal(nix::sys::signal::Signal::SIGTERM);
    server.root.write("var/go", "");
    server.ended(event);
});

wsgi_test!(processes_without_wsgi_requests_end_cleanly, every_mpm, |site| {
    let site = site.app("where").file("htdocs/page.txt", "static").conf("Alias /page.txt ${ROOT}/htdocs/page.txt");
    let server = site.children(2).start();
    assert_eq!(server.get("/page.txt").ok(), "static");
});
