//! Application groups: which interpreter serves a request, and that interpreters keep out of each other's way.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::harness::process::resident;
use crate::harness::{Request, Server, Site, wsgi_test};

fn group(server: &Server, target: &str, host: &str) -> Value {
    server.ask(&Request::get(target).header("Host", host)).json()["group"].take()
}

wsgi_test!(each_form_of_group_is_resolved, |site| {
    let mut site =
        site.variable("FROM_SERVER", "by-server").conf("SetEnv FROM_SUBPROCESS by-subprocess\nSetEnv AGAIN %{GLOBAL}");
    for (path, form) in [
        ("global", "%{GLOBAL}"),
        ("resource", "%{RESOURCE}"),
        ("server", "%{SERVER}"),
        ("host", "%{HOST}"),
        ("literal", "some-name"),
        ("percent", "%odd"),
        ("subprocess", "%{ENV:FROM_SUBPROCESS}"),
        ("process", "%{ENV:FROM_SERVER}"),
        ("again", "%{ENV:AGAIN}"),
        ("missing", "%{ENV:NOT_THERE}"),
    ] {
        site = site.mount(&format!("/{path}"), "interpreter");
        site = site.conf(&format!("<Location /{path}>\n  WSGIApplicationGroup {form}\n</Location>"));
    }
    let server = site.mount("/unset", "interpreter").start();
    let port = server.port;
    let ask = |path: &str| group(&server, &format!("/{path}"), &format!("Other.example:{port}"));
    assert_eq!(ask("global"), "");
    assert_eq!(ask("resource"), format!("localhost:{port}|/resource"));
    assert_eq!(ask("unset"), format!("localhost:{port}|/unset"));
    assert_eq!(ask("server"), format!("localhost:{port}"));
    assert_eq!(ask("host"), format!("other.example:{port}"));
    assert_eq!(ask("literal"), "some-name");
    assert_eq!(ask("percent"), "%odd");
    assert_eq!(ask("subprocess"), "by-subprocess");
    assert_eq!(ask("process"), "by-server");
    assert_eq!(ask("again"), "");
    assert_eq!(ask("missing"), "%{ENV:NOT_THERE}");
});

wsgi_test!(env_looks_at_notes_then_subprocess_environment_then_process, |site| {
    let lua = "function note(r)\n  if r.uri == '/note' then r.notes['WHERE'] = 'by-note' end\n  return apache2.DECLINED\nend\n";
    let site = site.load(&["lua"]).file("conf/note.lua", lua).variable("WHERE", "by-process");
    let site = site
        .conf("LuaHookFixups ${ROOT}/conf/note.lua note\nSetEnvIf Request_URI ^/(note|subprocess) WHERE=by-subprocess");
    let site = site.conf("WSGIApplicationGroup %{ENV:WHERE}").mount("/note", "interpreter");
    let server = site.mount("/subprocess", "interpreter").mount("/process", "interpreter").start();
    for name in ["note", "subprocess", "process"] {
        assert_eq!(group(&server, &format!("/{name}"), "localhost"), format!("by-{name}"));
    }
});

wsgi_test!(default_ports_are_not_part_of_a_group_name, |site| {
    let site = site.mount("/x", "interpreter").conf("UseCanonicalName Off");
    let server = site.start();
    let port = server.port;
    for (host, name) in [
        ("localhost:80", "localhost|/x".to_owned()),
        ("localhost:443", "localhost|/x".to_owned()),
        ("localhost:8080", "localhost:8080|/x".to_owned()),
        (&format!("localhost:{port}"), format!("localhost:{port}|/x")),
    ] {
        assert_eq!(group(&server, "/x", host), name, "{host}");
    }
});

wsgi_test!(applications_do_not_share_module_globals, |site| {
    let site = site.mount("/one", "interpreter").mount("/two", "interpreter");
    let server = site.start();
    for expected in 1..4 {
        assert_eq!(server.get("/one").json()["calls"], expected);
    }
    assert_eq!(server.get("/two").json()["calls"], 1);
});

wsgi_test!(scripts_of_one_group_share_an_interpreter, |site| {
    let site = site.mount("/one", "interpreter").mount("/two", "interpreter");
    let server = site.conf("<Directory ${APPS}>\n  WSGIApplicationGroup admin-scripts\n</Directory>").start();
    assert_eq!(server.get("/one").json()["calls"], 1);
    assert_eq!(server.get("/two").json()["calls"], 2, "the same script in the same interpreter is one module");
});

wsgi_test!(each_user_has_an_interpreter, |site| {
    let script = include_str!("../apps/interpreter/app.wsgi");
    let mut site = site.load(&["rewrite", "userdir"]);
    for user in ["joe", "bob"] {
        site = site.file(&format!("home/{user}/public_html/wsgi-scripts/a.wsgi"), script);
        site = site.file(&format!("home/{user}/public_html/wsgi-scripts/b.wsgi"), script);
    }
    let site = site.conf("UserDir ${ROOT}/home/*/public_html\nRewriteEngine On\nRewriteCond %{REQUEST_URI} ^/~([^/]+)\nRewriteRule . - [E=APPLICATION_GROUP:~%1]");
    let site = site.conf("<Directory ${ROOT}/home/*/public_html/wsgi-scripts/>\n  Options ExecCGI\n  SetHandler wsgi-script\n  WSGIApplicationGroup %{ENV:APPLICATION_GROUP}\n  Require all granted\n</Directory>");
    let server = site.start();
    for (target, name) in [
        ("/~joe/wsgi-scripts/a.wsgi", "~joe"),
        ("/~joe/wsgi-scripts/b.wsgi", "~joe"),
        ("/~bob/wsgi-scripts/a.wsgi/x", "~bob"),
    ] {
        assert_eq!(group(&server, target, "localhost"), name, "{target}");
    }
});

wsgi_test!(the_main_interpreter_serves_the_global_group, |site| {
    let site = site.conf("WSGIApplicationGroup %{GLOBAL}").app("sqlite_callbacks");
    assert_eq!(site.start().get("/").ok(), "TWO! THREE! ONE! three");
});

wsgi_test!(a_forked_child_ends_in_any_interpreter, both_interpreters, |site| {
    // CPython 3.11 has no fork in a sub-interpreter: it ends the child with a report, by way of `exit`.
    let server = site.app("forks").start();
    let seen = server.get("/").json();
    assert!(seen["status"] == 7 || (seen["status"] == 1 && seen["main"] == false), "{seen}");
    if seen["status"] == 1 {
        server.expect_log("Fatal Python error");
        server.allow_log("");
    }
    assert_eq!(server.get("/").json(), seen, "and the process goes on");
});

wsgi_test!(thread_locals_survive_between_requests, both_interpreters, |site| {
    let server = site.app("interpreter").threads(1).daemon("threads=1").start();
    for expected in 1..20 {
        let seen = server.get("/").json();
        assert_eq!((&seen["thread_calls"], &seen["same_thread"]), (&json!(expected), &json!(true)));
    }
});

/// Extensions that find their thread state through PyGILState (sqlite3 in its callbacks) hang on CPython up to 3.11 when
/// a thread has one of another interpreter as well.
fn sqlite_beside(site: Site, others: &[&str]) {
    let mut site = site.mount("/sqlite", "sqlite_callbacks");
    for other in others {
        site = site.mount(&format!("/{other}"), "interpreter");
    }
    let server = site
        .conf("<Location /global>\n  WSGIApplicationGroup %{GLOBAL}\n</Location>")
        .threads(2)
        .daemon("threads=2")
        .start();
    for round in 0..20 {
        for other in others {
            assert_eq!(server.get(&format!("/{other}")).status, 200, "{other} in round {round}");
            assert_eq!(server.get("/sqlite").ok(), "TWO! THREE! ONE! three", "beside {other} in round {round}");
        }
    }
}

wsgi_test!(sqlite_calls_back_beside_another_sub_interpreter, every_mpm, |site| {
    sqlite_beside(site.children(1), &["one", "two"]);
});

wsgi_test!(sqlite_calls_back_beside_the_main_interpreter, |site| {
    sqlite_beside(site, &["global"]);
});

wsgi_test!(fifty_clients_in_three_interpreters_lose_nothing, |site| {
    let site = site.mount("/one", "interpreter").mount("/two", "interpreter").mount("/three", "interpreter");
    let site = site.conf("<Location /three>\n  WSGIApplicationGroup %{GLOBAL}\n</Location>");
    // More threads than clients: when all threads are busy the event MPM closes idle connections.
    let server = site.threads(64).start();
    let paths = ["/one", "/two", "/three"];
    let counts = [const { AtomicU64::new(0) }; 3];
    let run = |clients: usize, each: usize| {
        std::thread::scope(|scope| {
            for client in 0..clients {
                let (server, counts) = (&server, &counts);
                scope.spawn(move || {
                    let mut connection = server.connect();
                    for number in 0..each {
                        let which = (client + number) % 3;
                        let seen = connection.ask(&Request::get(paths[which]).keep_alive()).json();
                        assert_eq!(seen["group"] == "", which == 2);
                        assert_eq!(seen["group"], seen["home"], "a request ran in another interpreter");
                        counts[which].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
    };
    let pid = || u32::try_from(server.get("/one").json()["pid"].as_u64().unwrap()).unwrap();
    let process = pid();
    run(50, 100);
    let before = resident(process);
    run(50, 400);
    let after = resident(process);
    assert_eq!(pid(), process);
    counts[0].fetch_add(2, Ordering::Relaxed);
    let seen = paths.map(|path| server.get(path).json()["calls"].as_u64().unwrap());
    let sent = counts.map(|count| count.into_inner() + 1);
    assert_eq!(seen, sent, "calls that each interpreter counted");
    // Allocators and caches may still grow a little; a leak of 500 bytes per request would be 10 MB.
    assert!(after < before + 6_000_000, "resident memory grew from {before} to {after} bytes");
});
