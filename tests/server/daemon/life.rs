//! Ends of processes that are planned: limits, timeouts, signals; and that another one is there at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{act, held, pid, release, replaced};
use crate::harness::process::{is_alive, send, wait_end};
use crate::harness::{Request, Server, Site, until, wait, wsgi_test};

/// Waits until a line of the log has all of `parts`.
fn wait_line(server: &Server, parts: &[&str]) {
    until(&format!("a log line with {parts:?}"), || {
        server.log().iter().any(|line| parts.iter().all(|part| line.message.contains(part))).then_some(())
    });
}

/// The process was ended by force: how its lines may begin.
fn allow_force(server: &Server, id: u32) {
    for text in [format!("pid {id}"), "WSGI0302".to_owned(), "WSGI0411".to_owned(), "WSGI0419".to_owned()] {
        server.allow_log(&text);
    }
}

/// Asks until an answer is 200 and of another process than `old`, whatever comes before.
fn recovered(server: &Server, old: u32) -> u32 {
    until("a new process to answer", || {
        let response = server.get("/pid");
        (response.status == 200).then(|| response.text().parse().unwrap()).filter(|new| *new != old)
    })
}

wsgi_test!(maximum_requests_replaces_the_process, groups, |site| {
    let server = act(site, "threads=2 maximum-requests=20").start();
    let first: u32 = server.get("/atexit").ok().parse().unwrap();
    let mut served = 1;
    let second = until("another process", || {
        let pid = pid(&server);
        served += u32::from(pid == first);
        Some(pid).filter(|pid| *pid != first)
    });
    // Spread by a tenth; it serves on until its successor is ready.
    assert!(served >= 18, "{served}");
    wait_end(first);
    assert!(server.root.join(&format!("var/atexit-{first}")).exists(), "an orderly end");
    assert!(is_alive(second));
    wait_line(&server, &["shop", "maximum"]);
});

wsgi_test!(a_request_that_another_process_gets_keeps_its_body, groups, |site| {
    let script = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [environ['wsgi.input'].read(), b' of %d']\n";
    let text = |version: u32| script.replace("%d", &version.to_string());
    let site = site.file("apps/echo/app.wsgi", text(1)).group("shop", "processes=2");
    let server = site.conf("WSGIScriptAlias / ${APPS}/echo/app.wsgi\nWSGIProcessGroup shop").start();
    assert_eq!(server.post("/", "body").ok(), "body of 1");
    for version in 2..5 {
        // A process that has the old script sends the request away.
        server.root.write("apps/echo/app.wsgi", text(version));
        assert_eq!(server.post("/", "body").ok(), format!("body of {version}"));
    }
});

wsgi_test!(an_idle_process_is_replaced_after_inactivity_timeout, groups, |site| {
    let server = act(site, "inactivity-timeout=1").start();
    let first = pid(&server);
    wait_end(first);
    assert_ne!(pid(&server), first);
});

wsgi_test!(a_process_that_never_served_is_not_inactive, groups, |site| {
    let script = "import os\nVAR = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), 'var')\nwith open(VAR + '/loads', 'a') as file:\n    file.write('x')\ndef application(environ, start_response):\n    pass\n";
    let site = site.file("apps/idle/app.wsgi", script).group("idle", "inactivity-timeout=1");
    let site = site.conf("WSGIScriptAlias /idle ${APPS}/idle/app.wsgi process-group=idle application-group=%{GLOBAL}");
    let server = act(site, "inactivity-timeout=1").start();
    // Meanwhile a group beside it goes through its time twice.
    for _ in 0..2 {
        wait_end(pid(&server));
    }
    assert_eq!(server.root.read("var/loads"), "x");
});

wsgi_test!(requests_can_be_no_activity, groups, |site| {
    let site = act(site, "inactivity-timeout=1 threads=2");
    let server = site.conf("<Location /sleep>\n  WSGIIgnoreActivity On\n</Location>").start();
    let first = pid(&server);
    until("a process that is asked, but idle, to be replaced", || {
        let pid: u32 = server.get("/sleep?0").ok().parse().unwrap();
        (pid != first).then_some(())
    });
});

wsgi_test!(a_request_that_is_too_long_ends_its_process, groups, |site| {
    let server = act(site, "threads=1 request-timeout=1 shutdown-timeout=1 graceful-timeout=1").start();
    let (mut connection, first) = held(&server, "/hold", "long");
    assert_eq!(connection.response("GET").status, 502);
    server.wait_log("WSGI014");
    assert_ne!(recovered(&server, first), first);
    wait_line(&server, &["hold_on"]);
    wait_line(&server, &["WSGI0430: request-timeout", "in progress: GET /hold ("]);
    wait_line(&server, &["WSGI0411", "in progress: GET /hold ("]);
    server.expect_log("WSGI0430");
    assert!(!is_alive(first));
    allow_force(&server, first);
});

wsgi_test!(a_request_that_is_too_long_can_be_interrupted, groups, |site| {
    let server = act(site, "threads=1 request-timeout=1 interrupt-timeout=30").start();
    let (mut connection, first) = held(&server, "/clean-up", "long");
    assert_eq!(connection.response("GET").status, 504);
    assert_eq!(server.root.read("var/raised-long"), "RequestTimeout");
    assert_eq!(pid(&server), first, "the process serves on");
    wait_line(&server, &["WSGI0432", "RequestTimeout is raised", "which serves GET /clean-up ("]);
    server.expect_log("WSGI0432");
    server.expect_log("WSGI0400");
    server.allow_log("RequestTimeout");
});

wsgi_test!(an_interrupt_that_does_not_help_ends_the_process, groups, |site| {
    // A thread in C can't be interrupted.
    let server =
        act(site, "threads=1 request-timeout=1 interrupt-timeout=1 shutdown-timeout=1 graceful-timeout=1").start();
    let first = pid(&server);
    assert_eq!(server.get("/sleep?100").status, 502);
    server.wait_log("WSGI014");
    server.expect_log("WSGI0430");
    server.expect_log("WSGI0432");
    assert_ne!(recovered(&server, first), first);
    allow_force(&server, first);
});

wsgi_test!(a_lock_of_python_that_is_kept_ends_the_process, groups, |site| {
    let server = act(site, "threads=2 deadlock-timeout=2 shutdown-timeout=1").start();
    let (mut connection, first) = held(&server, "/keep-the-gil", "lock");
    assert_eq!(connection.response("GET").status, 502);
    server.wait_log("WSGI014");
    assert_ne!(recovered(&server, first), first);
    wait_line(&server, &["WSGI0430: deadlock-timeout", "in progress: GET /keep-the-gil ("]);
    wait_end(first);
    allow_force(&server, first);
    server.allow_log("eadlock");
});

wsgi_test!(timers_work_without_the_deadlock_timer, groups, |site| {
    let server = act(site, "deadlock-timeout=0 restart-interval=1").start();
    let first = pid(&server);
    replaced(&server, first);
    wait_end(first);
});

wsgi_test!(restart_interval_replaces_the_process, groups, |site| {
    let server = act(site, "restart-interval=1").start();
    let first = pid(&server);
    let second = replaced(&server, first);
    let third = replaced(&server, second);
    assert_ne!(third, first);
    wait_end(first);
});

wsgi_test!(shutdown_timeout_bounds_an_end, groups, |site| {
    let server = act(site, "shutdown-timeout=1").start();
    let first: u32 = server.get("/end-slowly").ok().parse().unwrap();
    send(first, Signal::SIGTERM);
    replaced(&server, first);
    wait_end(first);
    assert!(server.root.join(&format!("var/ending-{first}")).exists(), "atexit began");
    assert!(!server.root.join(&format!("var/ended-{first}")).exists(), "and was not waited for");
    allow_force(&server, first);
});

wsgi_test!(startup_timeout_gives_up_on_a_script_that_does_not_load, groups, |site| {
    let script = "import os, time\nVAR = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), 'var')\nwith open(VAR + '/loading', 'w') as file:\n    file.write(str(os.getpid()))\nwhile not os.path.exists(VAR + '/go'):\n    time.sleep(0.002)\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'loaded']\n";
    let site =
        site.file("apps/slow/app.wsgi", script).conf("WSGIScriptAlias / ${APPS}/slow/app.wsgi\nWSGIProcessGroup shop");
    let server = site.group("shop", "startup-timeout=1 shutdown-timeout=1").start();
    let response = server.get("/");
    assert!((500..505).contains(&response.status), "{}", response.status);
    let first = server.root.read("var/loading").parse().unwrap();
    wait_end(first);
    server.root.write("var/go", "");
    until("the script to be loaded", || (server.get("/").status == 200).then_some(()));
    allow_force(&server, first);
    wait_line(&server, &["WSGI0430: startup-timeout", "in progress: GET / ("]);
    for text in ["WSGI014", "WSGI0322", "WSGI0324", "WSGI0430"] {
        server.allow_log(text);
    }
});

wsgi_test!(processor_time_is_limited, groups, |site| {
    let server = act(site, "cpu-time-limit=1").start();
    let first: u32 = server.get("/compute?1.3").ok().parse().unwrap();
    replaced(&server, first);
    wait_end(first);
    allow_force(&server, first);
});

wsgi_test!(a_kill_for_processor_time_says_so, groups, |site| {
    let server = act(site, "cpu-time-limit=1 graceful-timeout=60 shutdown-timeout=1").start();
    assert_eq!(server.get("/compute?100").status, 502);
    server.wait_log("WSGI0146");
    let text = "ended by signal SIGKILL after cpu_time_limit, with requests in progress: GET /compute (";
    wait_line(&server, &["WSGI0330", text]);
    server.expect_log("WSGI0330");
});

wsgi_test!(memory_limits_are_memory_errors, groups, |site| {
    let setting = site.setting;
    for option in ["memory-limit=900000000", "virtual-memory-limit=4000000000"] {
        let server = act(crate::harness::Site::new("limit", setting).unwrap(), &format!("threads=2 {option}")).start();
        assert_eq!(server.get("/allocate?100000000").status, 200, "{option}");
        let response = server.get("/allocate?5000000000");
        assert_eq!((response.status, response.text().as_str()), (507, "MemoryError"), "{option}");
        assert_eq!(server.get("/pid").status, 200);
    }
});

wsgi_test!(maximum_memory_replaces_the_process, groups, |site| {
    let server = act(site, "maximum-memory=200000000").start();
    let first: u32 = server.get("/keep?250000000").ok().parse().unwrap();
    replaced(&server, first);
    wait_end(first);
    wait_line(&server, &["shop", "maximum"]);
    server.allow_log("WSGI0333");
});

wsgi_test!(a_maximum_memory_below_the_need_is_told_and_starts_nothing_for_ever, groups, |site| {
    let server = act(site, "maximum-memory=512").start();
    let count = |text: &str| server.log().iter().filter(|line| line.message.contains(text)).count();
    let first = pid(&server);
    let second = replaced(&server, first);
    until("the successor to ask for one, too", || {
        assert_eq!(pid(&server), second);
        (count("maximum-memory: a successor is asked for") == 2).then_some(())
    });
    wait_end(first);
    assert_eq!(pid(&server), second);
    assert_eq!((count("WSGI0331"), count("WSGI0333: maximum-memory=512 is less than the ")), (2, 1));
    server.expect_log("WSGI0333");
});

wsgi_test!(a_graceful_signal_lets_requests_finish, groups, |site| {
    let server = act(site, "threads=2").start();
    let (mut connection, first) = held(&server, "/hold", "one");
    send(first, Signal::SIGUSR1);
    wait_line(&server, &["shop"]);
    release(&server, "one");
    assert_eq!(connection.response("GET").ok(), first.to_string());
    wait_end(first);
    assert_ne!(pid(&server), first);
});

wsgi_test!(successors_have_all_their_threads_while_the_old_processes_finish, groups, |site| {
    let server = act(site, "processes=2 threads=1 queue-timeout=20").start();
    let (one, first) = held(&server, "/hold", "one");
    let (two, second) = held(&server, "/hold", "two");
    // No thread is free for this one.
    let mut waiting = server.connect();
    waiting.send_head(&Request::get("/pid"));
    for id in [first, second] {
        send(id, Signal::SIGUSR1);
    }
    let answered: u32 = waiting.response("GET").ok().parse().unwrap();
    assert!(![first, second].contains(&answered));
    let (three, third) = held(&server, "/hold", "three");
    let (four, fourth) = held(&server, "/hold", "four");
    assert_eq!(BTreeSet::from([first, second, third, fourth]).len(), 4);
    let all = [("one", one, first), ("two", two, second), ("three", three, third), ("four", four, fourth)];
    for (name, mut connection, id) in all {
        release(&server, name);
        assert_eq!(connection.response("GET").ok(), id.to_string());
    }
    wait_end(first);
    wait_end(second);
});

wsgi_test!(the_wait_for_requests_is_limited_after_a_graceful_signal, groups, |site| {
    let setting = site.setting;
    for option in ["graceful-timeout=1", "eviction-timeout=1"] {
        let site = crate::harness::Site::new("graceful", setting).unwrap();
        let server = act(site, &format!("threads=2 shutdown-timeout=1 {option}")).start();
        let (mut connection, first) = held(&server, "/hold", "one");
        send(first, Signal::SIGUSR1);
        assert_eq!(connection.response("GET").status, 502, "{option}");
        server.wait_log("WSGI014");
        wait_end(first);
        assert_ne!(recovered(&server, first), first);
        allow_force(&server, first);
    }
});

wsgi_test!(told_to_end_it_ends_in_order, groups, |site| {
    let setting = site.setting;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let server = act(crate::harness::Site::new("term", setting).unwrap(), "threads=2").start();
        let first: u32 = server.get("/atexit").ok().parse().unwrap();
        // The application can't take the signal away.
        server.get("/handler").ok();
        send(first, signal);
        replaced(&server, first);
        wait_end(first);
        assert!(server.root.join(&format!("var/atexit-{first}")).exists(), "{signal}");
    }
});

wsgi_test!(other_signals_do_not_end_it, groups, |site| {
    let server = act(site, "threads=2").start();
    let first = pid(&server);
    for signal in [Signal::SIGHUP, Signal::SIGUSR2, Signal::SIGPIPE] {
        send(first, signal);
        let ended = wait::within(Duration::from_millis(300), || (!is_alive(first)).then_some(()));
        assert!(ended.is_none(), "{signal}");
        assert_eq!(pid(&server), first, "{signal}");
    }
});

wsgi_test!(an_end_joins_threads_within_its_time, groups, |site| {
    let site = site
        .app("exits")
        .group("shop", "shutdown-timeout=1")
        .conf("WSGIProcessGroup shop\nSetEnv demo.var ${ROOT}/var");
    let server = site.start();
    let first: u32 = server.get("/stuck").ok().parse().unwrap();
    send(first, Signal::SIGTERM);
    wait_end(first);
    let second: u32 = server.get("/worker").ok().parse().unwrap();
    server.get("/atexit").ok();
    send(second, Signal::SIGTERM);
    wait_end(second);
    assert!(server.root.join(&format!("var/joined-{second}")).exists(), "joined");
    assert!(server.root.join(&format!("var/atexit-{second}")).exists(), "atexit");
    allow_force(&server, first);
});

/// The process that runs the service.
fn service(server: &Server) -> u32 {
    until("the service", || server.root.read("var/service").parse().ok().filter(|id| is_alive(*id)))
}

const SERVICE: &str = "WSGIImportScript ${APPS}/service/app.wsgi process-group=service application-group=%{GLOBAL}";

wsgi_test!(a_group_without_threads_runs_a_service, groups, |site| {
    let site = site.files("service").group("service", "threads=0").conf(SERVICE).app("where");
    let server = site.start();
    let first = service(&server);
    // It returns: another one is started.
    server.root.write("var/stop-service", "");
    wait_end(first);
    let second = until("the next service", || Some(service(&server)).filter(|id| *id != first));
    send(second, Signal::SIGTERM);
    let told = until("SystemExit", || server.root.read("var/service-told").parse::<u32>().ok());
    assert_eq!(told, second);
    wait_end(second);
    let third = until("the next service", || Some(service(&server)).filter(|id| *id != second));
    server.stop(|root| {
        assert_eq!(root.read("var/service-told"), third.to_string(), "told at the stop");
    });
});

wsgi_test!(a_group_without_threads_takes_no_requests, groups, |site| {
    let site = site.files("service").group("service", "threads=0 socket-timeout=2 queue-timeout=2").conf(SERVICE);
    let server = site.app("where").conf("WSGIProcessGroup service").start();
    service(&server);
    let status = server.get("/").status;
    assert!((500..505).contains(&status), "{status}");
    server.wait_log("service");
});

wsgi_test!(replacements_lose_nothing, groups, |site| {
    let server = act(site, "processes=2 threads=2 maximum-requests=30").start();
    let mut seen: BTreeSet<u32> = BTreeSet::new();
    until("six processes to have served", || {
        let answers = std::thread::scope(|scope| {
            let client =
                || (0..40).map(|_| server.get("/sleep?0.002").ok().parse::<u32>().unwrap()).collect::<Vec<_>>();
            let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(answers.len(), 160);
        seen.extend(answers);
        (seen.len() >= 6).then_some(())
    });
});

wsgi_test!(a_slow_successor_keeps_nobody_waiting, groups, |site| {
    let script = "import os, time\nVAR = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), 'var')\nif os.path.exists(VAR + '/slow'):\n    open(VAR + '/loading', 'w').close()\n    while not os.path.exists(VAR + '/go'):\n        time.sleep(0.002)\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'%d' % os.getpid()]\n";
    let site = site.file("apps/slow/app.wsgi", script).group("shop", "maximum-requests=10");
    let server = site.conf("WSGIScriptAlias / ${APPS}/slow/app.wsgi\nWSGIProcessGroup shop").start();
    let first = pid(&server);
    server.root.write("var/slow", "");
    until("the successor to load", || {
        assert_eq!(pid(&server), first, "the old one serves while the new one loads");
        server.root.join("var/loading").exists().then_some(())
    });
    for _ in 0..10 {
        assert_eq!(server.ask(&Request::get("/")).ok(), first.to_string());
    }
    server.root.write("var/go", "");
    replaced(&server, first);
});

/// What makes a process want to be replaced.
enum Wish {
    Load,
    Request(&'static str),
    Signal(Signal),
}

wsgi_test!(under_load_nobody_waits_for_a_slow_successor_whatever_it_follows, groups, |site| {
    let setting = site.setting;
    let script = "import os, time\nVAR = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), 'var')\nkept = []\nif os.path.exists(VAR + '/slow'):\n    open(VAR + '/loading-%d' % os.getpid(), 'w').close()\n    while os.path.exists(VAR + '/slow'):\n        time.sleep(0.002)\ndef application(environ, start_response):\n    if environ['PATH_INFO'] == '/keep':\n        kept.append(b'x' * int(environ['QUERY_STRING']))\n    start_response('200 OK', [])\n    return [b'%d' % os.getpid()]\n";
    for (options, wish) in [
        ("maximum-requests=60", Wish::Load),
        ("restart-interval=1", Wish::Load),
        ("maximum-memory=200000000", Wish::Request("/keep?250000000")),
        ("", Wish::Signal(Signal::SIGUSR1)),
        ("graceful-timeout=1", Wish::Signal(Signal::SIGUSR1)),
        ("eviction-timeout=1", Wish::Signal(Signal::SIGUSR1)),
    ] {
        let Some(site) = Site::new("wish", setting) else { return };
        // Named statically, it is loaded by each process before it serves.
        let site = site.file("apps/s/app.wsgi", script).group("shop", &format!("threads=4 {options}"));
        let mount = "WSGIScriptAlias / ${APPS}/s/app.wsgi process-group=shop application-group=%{GLOBAL}";
        let server = site.threads(16).conf(mount).start();
        pid(&server);
        server.root.write("var/slow", "");
        let done = AtomicBool::new(false);
        let counts: [AtomicUsize; 8] = Default::default();
        let loading = || {
            let names = std::fs::read_dir(server.root.join("var")).unwrap().flatten().map(|entry| entry.file_name());
            names.filter_map(|name| name.to_str()?.strip_prefix("loading-")?.parse::<u32>().ok()).next()
        };
        std::thread::scope(|scope| {
            let guard = super::restarts::Done(&done);
            for count in &counts {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        pid(&server);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let old = pid(&server);
            match wish {
                Wish::Load => {}
                Wish::Request(path) => drop(server.get(path).ok()),
                Wish::Signal(signal) => drop(send(old, signal)),
            }
            let new = until(&format!("a successor after {options}"), loading);
            let before = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
            // Whoever waited for it would not be answered: its import lasts.
            until(&format!("everybody to be answered meanwhile, {options}"), || {
                counts
                    .iter()
                    .zip(before)
                    .all(|(count, before)| count.load(Ordering::Relaxed) > before + 30)
                    .then_some(())
            });
            assert_ne!(pid(&server), new, "{options}");
            std::fs::remove_file(server.root.join("var/slow")).unwrap();
            until(&format!("the end of the old one, {options}"), || (!is_alive(old)).then_some(()));
            drop(guard);
        });
        server.allow_log("WSGI0333");
    }
});
