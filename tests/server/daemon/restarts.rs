//! Restarts and stops of httpd, and ends of its own processes: no request is lost, no process and no socket is left.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::sys::signal::Signal;

use super::{act, edit, held, pid, release, replaced};
use crate::harness::process::{command_line, descendants_of, is_alive, program, send, wait_end};
use crate::harness::{Mpm, Request, Server, Setting, Site, until, wsgi_test};

/// Eight clients ask for requests of ten milliseconds while `work` is done; every one must be answered.
pub(super) fn under_load(server: &Server, work: impl FnOnce()) {
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Its own connection each: one that httpd keeps open it may close at any time.
                    let response = server.get("/sleep?0.01");
                    assert_eq!((response.status, response.complete), (200, true), "{}", response.text());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let guard = Done(&done);
        until("the load to begin", || (answered.load(Ordering::Relaxed) > 20).then_some(()));
        work();
        drop(guard);
    });
}

/// Ends the load, also where the work panics.
pub(crate) struct Done<'a>(pub(crate) &'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

wsgi_test!(no_request_is_lost_by_graceful_restarts, groups_every_mpm, |site| {
    // worker and prefork look for a restart once a second only.
    let rounds = if site.setting.mpm == Mpm::Event { 10 } else { 3 };
    let children = if site.setting.mpm == Mpm::Prefork { 10 } else { 2 };
    let server = act(site, "processes=2 threads=4").threads(16).children(children).start();
    under_load(&server, || {
        for _ in 0..rounds {
            let before = pid(&server);
            server.graceful();
            replaced(&server, before);
        }
    });
});

wsgi_test!(a_request_that_waits_in_an_old_child_is_served_by_the_successor, groups, |site| {
    let server = act(site, "threads=1 queue-timeout=20").children(1).start();
    let (mut held_one, first) = held(&server, "/hold", "one");
    let mut waiting = server.connect();
    waiting.send_head(&Request::get("/pid"));
    // The only child has taken that one when it says no to this one.
    let mut next = server.connect();
    next.send("nonsense\r\n\r\n");
    assert!(next.rest().contains("400"));
    server.graceful();
    assert_ne!(waiting.response("GET").ok(), first.to_string());
    release(&server, "one");
    assert_eq!(held_one.response("GET").ok(), first.to_string());
    wait_end(first);
});

wsgi_test!(a_graceful_restart_brings_new_code_everywhere, groups, |site| {
    let site =
        site.file("code/goods.py", "PRICE = 1\n").group("shop", "processes=2 threads=2 python-path=${ROOT}/code");
    let script = "import goods, os\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'%d' % goods.PRICE]\n";
    let site = site.file("apps/s/app.wsgi", script).variable("PYTHONDONTWRITEBYTECODE", "1");
    let server = site.conf("WSGIProcessGroup shop\nWSGIScriptAlias / ${APPS}/s/app.wsgi").start();
    for _ in 0..10 {
        assert_eq!(server.get("/").ok(), "1");
    }
    server.root.write("code/goods.py", "PRICE = 22\n");
    server.graceful();
    until("the new code", || (server.get("/").ok() == "22").then_some(()));
    until("nothing but the new code", || (0..20).all(|_| server.get("/").ok() == "22").then_some(()));
});

wsgi_test!(a_graceful_restart_brings_new_settings_groups_and_ends, groups, |site| {
    let site = site.group("shop", "lang=one").mount_with("/shop", "process", "process-group=shop");
    let site = site.group("old", "").mount_with("/old", "process", "process-group=old").conf("# more");
    let server = site.start();
    let old = u32::try_from(server.get("/old").json()["pid"].as_u64().unwrap()).unwrap();
    assert_eq!(server.get("/shop").json()["environ"]["LANG"], "one");
    edit(&server, "lang=one", "lang=two threads=3");
    edit(&server, "WSGIDaemonProcess old", "");
    edit(&server, "process-group=old", "process-group=new");
    edit(&server, "# more", "WSGIDaemonProcess new");
    server.graceful();
    // httpd's old children finish what they have; a new one answers with the new group.
    until("the new group", || (server.get("/old").json()["process_group"] == "new").then_some(()));
    until("the new settings", || (server.get("/shop").json()["environ"]["LANG"] == "two").then_some(()));
    wait_end(old);
});

wsgi_test!(requests_in_flight_survive_a_graceful_restart, groups_every_mpm, |site| {
    let server = act(site, "threads=2").children(4).start();
    let (mut hold, first) = held(&server, "/hold", "one");
    let (mut begun, _) = held(&server, "/begun", "two");
    server.graceful();
    replaced(&server, first);
    release(&server, "one");
    release(&server, "two");
    assert_eq!(hold.response("GET").ok(), first.to_string());
    assert_eq!(begun.response("GET").ok(), format!("{first} whole"));
    wait_end(first);
});

wsgi_test!(an_old_child_keeps_the_sockets_of_a_group_whose_settings_change, groups_every_mpm, |site| {
    let site = site.group("shop", "lang=one").conf("WSGIProcessGroup shop").app("process").children(4);
    let server = site.start();
    let old = u32::try_from(server.get("/").json()["pid"].as_u64().unwrap()).unwrap();
    // Half a head: the child that has it reads on after the restart.
    let mut waiting = server.connect();
    assert!(waiting.send("GET / HTTP/1.1\r\nHost: local"));
    until("a thread of httpd to have it", || {
        // The next connections are answered, so this one was accepted before.
        (0..8).all(|_| server.get("/").status == 200).then_some(())
    });
    edit(&server, "lang=one", "lang=two");
    server.graceful();
    assert!(waiting.send("host\r\nConnection: close\r\n\r\n"));
    let seen = waiting.response("GET").json();
    assert!(["one", "two"].contains(&seen["environ"]["LANG"].as_str().unwrap()), "{seen}");
    until("the new settings", || (server.get("/").json()["environ"]["LANG"] == "two").then_some(()));
    wait_end(old);
});

wsgi_test!(a_hard_restart_starts_afresh, groups_every_mpm, |site| {
    let server = act(site, "processes=2 threads=2").start();
    for _ in 0..3 {
        let first = pid(&server);
        server.restart();
        assert_ne!(pid(&server), first);
        wait_end(first);
    }
});

wsgi_test!(a_hard_restart_and_a_stop_wait_for_no_request, groups_every_mpm, |site| {
    let event = site.setting.mpm == Mpm::Event;
    let server = act(site, "threads=2 shutdown-timeout=1").children(2).start();
    let (mut connection, first) = held(&server, "/hold", "one");
    server.restart();
    assert!(connection.try_response("GET").is_none_or(|response| response.status >= 500));
    wait_end(first);
    let (_connection, second) = held(&server, "/hold", "two");
    for text in
        ["WSGI014", "WSGI0321", &format!("pid {first}"), &format!("pid {second}"), "AH00045", "WSGI0361", "WSGI0411"]
    {
        server.allow_log(text);
    }
    server.signal(Signal::SIGTERM);
    server.ended(event);
    wait_end(second);
});

wsgi_test!(exit_functions_run_at_a_stop_whatever_is_under_way, groups, |site| {
    let event = site.setting.mpm == Mpm::Event;
    // Longer than httpd waits.
    let server = act(site, "threads=2 shutdown-timeout=60").children(2).start();
    let first: u32 = server.get("/atexit").ok().parse().unwrap();
    let (_connection, _) = held(&server, "/hold", "one");
    let trace = server.root.join(&format!("var/atexit-{first}"));
    for text in ["WSGI014", "WSGI0361", "WSGI0411", "AH00045"] {
        server.allow_log(text);
    }
    server.signal(Signal::SIGTERM);
    wait_end(first);
    assert!(trace.exists());
    server.ended(event);
});

wsgi_test!(a_stop_leaves_no_process_and_no_socket, groups_every_mpm, |site| {
    let server = act(site, "processes=2 threads=2").group("other", "").expect_log("WSGI0580").start();
    let first = pid(&server);
    let all = server.descendants();
    assert!(all.contains(&first));
    server.stop(|root| {
        for id in all {
            assert!(!is_alive(id), "{}", command_line(id));
        }
        // Only what was there before any request: httpd removes its own pid file.
        let left: Vec<_> =
            std::fs::read_dir(root.join("run")).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert!(left.is_empty(), "{left:?}");
    });
});

wsgi_test!(nothing_outlives_a_parent_that_is_killed, groups_every_mpm, |site| {
    let server = act(site, "processes=2 threads=2").start();
    let first = pid(&server);
    let httpd = program(server.parent());
    let (own, daemons): (Vec<u32>, Vec<u32>) =
        descendants_of(server.parent()).into_iter().partition(|id| program(*id) == httpd);
    assert!(daemons.contains(&first), "workers are another program");
    // One that would have 3 s at a stop.
    let (_connection, _) = held(&server, "/hold", "long");
    server.signal(Signal::SIGKILL);
    let begun = std::time::Instant::now();
    daemons.into_iter().for_each(wait_end);
    // Within a second, and what a busy machine adds.
    assert!(begun.elapsed() < std::time::Duration::from_millis(2500), "{:?}", begun.elapsed());
    let names = || std::fs::read_dir(server.root.join("run")).unwrap().flatten().map(|entry| entry.file_name());
    assert!(!names().any(|name| name.to_string_lossy().ends_with(".sock")), "{:?}", names().collect::<Vec<_>>());
    // httpd's own children are httpd's business.
    for id in own {
        send(id, Signal::SIGKILL);
        wait_end(id);
    }
    std::fs::read_dir(server.root.join("run")).unwrap().flatten().for_each(|entry| {
        std::fs::remove_file(entry.path()).unwrap();
    });
    for text in ["pid", "WSGI014", "WSGI0411"] {
        server.allow_log(text);
    }
});

/// The process that looks after the workers.
pub(super) fn supervisor(server: &Server) -> Option<u32> {
    let named = |id: &u32| program(*id).is_some_and(|path| path.ends_with("mod_wsgi-supervisor"));
    server.children().into_iter().find(named)
}

wsgi_test!(a_supervisor_that_dies_is_there_again_and_nothing_is_lost, groups, |site| {
    let server = act(site, "processes=2 threads=4").threads(16).children(2).start();
    let before = pid(&server);
    let old = supervisor(&server).unwrap();
    server.allow_log("upervisor");
    server.allow_log(&format!("pid {old}"));
    under_load(&server, || {
        send(old, Signal::SIGKILL);
        until("another supervisor", || supervisor(&server).filter(|new| *new != old));
        replaced(&server, before);
    });
    let workers = |id: u32| descendants_of(id).len();
    until("its two workers", || (workers(supervisor(&server)?) == 2).then_some(()));
    wait_end(before);
});

wsgi_test!(a_supervisor_that_is_told_to_end_is_followed_by_one_that_serves, groups, |site| {
    let server = act(site, "threads=4").start();
    let before = pid(&server);
    let old = supervisor(&server).unwrap();
    server.allow_log("upervisor");
    send(old, Signal::SIGTERM);
    until("another supervisor", || supervisor(&server).filter(|new| *new != old));
    wait_end(before);
    // At the sockets of before: httpd's children know no others.
    assert_ne!(pid(&server), before);
});

wsgi_test!(without_the_module_its_processes_end_and_with_it_there_are_new_ones, groups, |site| {
    let server = act(site, "processes=2").start();
    pid(&server);
    let old = descendants_of(supervisor(&server).unwrap());
    let with = server.root.read("conf/httpd.conf");
    // As `a2dismod wsgi` has it.
    let without: Vec<&str> =
        with.lines().filter(|line| !line.starts_with("WSGI") && !line.contains("wsgi_module")).collect();
    server.root.write("conf/httpd.conf", without.join("\n"));
    // What httpd says of the end of a process that nobody told it about.
    server.allow_log("long lost child came home");
    server.graceful();
    assert!(supervisor(&server).is_some(), "it gives httpd some time to read its configuration");
    until("the end of the supervisor", || supervisor(&server).is_none().then_some(()));
    assert!(!old.iter().any(|id| is_alive(*id)));
    let names = || std::fs::read_dir(server.root.join("run")).unwrap().flatten().map(|entry| entry.file_name());
    assert!(!names().any(|name| name.to_string_lossy().ends_with(".sock")), "{:?}", names().collect::<Vec<_>>());
    assert!(server.log_text().contains("WSGI0344"), "{}", server.log_text());
    server.root.write("conf/httpd.conf", with);
    server.graceful();
    assert!(!old.contains(&pid(&server)));
});

wsgi_test!(groups_that_nobody_asks_are_there_and_gone_again, groups, |site| {
    let setting: Setting = site.setting;
    for number in [1, 20] {
        let mut site = Site::new("many", setting).unwrap().app("where").expect_log("WSGI0580");
        for group in 0..number {
            site = site.group(&format!("group{group}"), "threads=1");
        }
        let server = site.start();
        server.graceful();
        assert_eq!(server.get("/").status, 200);
    }
});

wsgi_test!(a_server_in_one_process_serves_groups, groups, |site| {
    let setting = site.setting;
    for unprivileged in [true, false] {
        let site = act(Site::new("single", setting).unwrap(), "threads=2").single();
        let server = if unprivileged { site.unprivileged() } else { site }.start();
        let first = pid(&server);
        assert_ne!(first, server.parent());
        assert_eq!(pid(&server), first);
        let all = server.descendants();
        server.stop(|_| all.into_iter().for_each(wait_end));
    }
});
