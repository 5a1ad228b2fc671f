//! What a service manager, logrotate and a package manager do to a server: stops, reloads, new log files, new programs.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::Signal;

use super::restarts::{supervisor, under_load};
use super::{act, edit, group_of, held, pid, release, replaced, two_users};
use crate::harness::folder::Folder;
use crate::harness::httpd::Httpd;
use crate::harness::process::{command_line, descendants_of, is_alive, program, send, wait_end};
use crate::harness::service::Apachectl;
use crate::harness::{Mpm, Server, Site, until, wsgi_test};

/// The workers of this moment.
fn workers(server: &Server) -> Vec<u32> {
    supervisor(server).map(descendants_of).unwrap_or_default()
}

wsgi_test!(a_graceful_stop_answers_what_was_begun_and_leaves_nothing, groups_every_mpm, |site| {
    let event = site.setting.mpm == Mpm::Event;
    let server = act(site, "processes=2 threads=2").children(2).start();
    let (mut connection, _) = held(&server, "/hold", "one");
    let all = server.descendants();
    // What `apachectl graceful-stop` sends, which is ExecStop of Debian's unit. Whatever is left when the parent has ended is killed.
    server.signal(Signal::SIGWINCH);
    until("httpd to stop listening", || server_refuses(&server).then_some(()));
    release(&server, "one");
    assert_eq!(connection.response("GET").status, 200);
    server.ended(event);
    for id in all {
        wait_end(id);
    }
});

fn server_refuses(server: &Server) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", server.port)).is_err()
}

wsgi_test!(a_new_log_file_gets_the_lines_of_workers_that_drain, groups, |site| {
    let script = "import atexit, os, sys, time\nVAR = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), 'var')\natexit.register(lambda: print('the old one goes', file=sys.stderr))\ndef application(environ, start_response):\n    if environ['QUERY_STRING']:\n        open(VAR + '/held', 'w').close()\n        while not os.path.exists(VAR + '/go'):\n            time.sleep(0.002)\n    start_response('200 OK', [])\n    return [b'%d' % os.getpid()]\n";
    let site = site.file("apps/s/app.wsgi", script).group("shop", "threads=2");
    let server = site.conf("WSGIProcessGroup shop\nWSGIScriptAlias / ${APPS}/s/app.wsgi").children(2).start();
    let old = pid(&server);
    let mut connection = server.connect();
    connection.send_head(&crate::harness::Request::get("/?hold"));
    until("the request to be held", || server.root.join("var/held").exists().then_some(()));
    server.gate_also("logs/error.log.1");
    fs::rename(server.root.join("logs/error.log"), server.root.join("logs/error.log.1")).unwrap();
    server.graceful();
    replaced(&server, old);
    assert!(is_alive(old), "it drains");
    assert!(server.log_text().contains("is ready"), "the supervisor writes into the new file at once");
    server.root.write("var/go", "");
    assert_eq!(connection.response("GET").ok(), old.to_string());
    server.wait_log("the old one goes");
    assert!(!server.root.read("logs/error.log.1").contains("the old one goes"));
    wait_end(old);
    // At the end all others say the same.
    server.stop(|_| {});
});

/// Module and programs.
const FILES: [&str; 4] = ["mod_wsgi.so", "mod_wsgi-supervisor", "mod_wsgi-worker", "mod_wsgi-worker.so"];

/// Module and programs are replaced by others under load; whether these speak another language, and so have sockets of their own.
fn upgrade(site: Site, renew: impl FnOnce(&Folder), speaks_otherwise: bool) {
    let site = site.own_module();
    let server = act(site, "processes=2 threads=4").threads(16).children(2).start();
    let before = pid(&server);
    let (mut connection, holder) = held(&server, "/hold", "one");
    let old = supervisor(&server).unwrap();
    let all = workers(&server);
    let sockets = || {
        let entries = fs::read_dir(server.root.join("run")).unwrap().flatten().map(|entry| entry.file_name());
        entries.filter(|name| name.to_string_lossy().ends_with(".sock")).collect::<BTreeSet<_>>()
    };
    let known = sockets();
    under_load(&server, || {
        renew(&server.root);
        server.graceful();
        replaced(&server, before);
    });
    until("another supervisor", || supervisor(&server).filter(|new| *new != old));
    let fresh: BTreeSet<_> = sockets().difference(&known).cloned().collect();
    assert_eq!(fresh.len(), if speaks_otherwise { 2 } else { 0 }, "{known:?}, {fresh:?}");
    release(&server, "one");
    assert_eq!(connection.response("GET").ok(), holder.to_string(), "what was begun is finished");
    all.into_iter().chain([before, old]).for_each(wait_end);
    assert!(server.log_text().contains("mod_wsgi has changed"));
    let new = |name| fs::canonicalize(server.root.join("modules").join(name)).unwrap();
    assert_eq!(program(supervisor(&server).unwrap()), Some(new(FILES[1])), "the new program");
    let library = new(FILES[3]).display().to_string();
    for id in workers(&server) {
        let maps = fs::read_to_string(format!("/proc/{id}/maps")).unwrap();
        // One that was replaced has " (deleted)" behind its name.
        assert!(maps.lines().any(|line| line.ends_with(&library)), "the new library: {maps}");
    }
}

wsgi_test!(an_upgrade_loses_no_request, groups, |site| {
    upgrade(site, Folder::renew_module, false);
});

wsgi_test!(an_upgrade_to_a_build_that_speaks_otherwise_loses_no_request, groups, |site| {
    upgrade(site, |root| root.renew_as_another_build(FILES), true);
});

wsgi_test!(programs_of_another_build_than_the_module_do_not_end_a_server, groups, |site| {
    let server = act(site.own_module(), "processes=2 threads=4").threads(16).children(2).start();
    let before = pid(&server);
    let old = supervisor(&server).unwrap();
    server.root.renew_as_another_build(FILES.into_iter().skip(1));
    // What `apachectl graceful` asks first, and then leaves the server alone.
    let mut test = std::process::Command::new(&Httpd::find().unwrap().program);
    let test = test.arg("-d").arg(server.root.path()).args(["-f", "conf/httpd.conf", "-t"]).output().unwrap();
    let said = String::from_utf8_lossy(&test.stderr);
    assert!(!test.status.success() && said.contains("mod_wsgi-supervisor") && said.contains("another build"), "{said}");
    // A signal asks nobody.
    under_load(&server, || {
        for _ in 0..2 {
            let before = pid(&server);
            server.graceful();
            replaced(&server, before);
        }
    });
    let line = server.wait_log("WSGI0480").message;
    assert!(line.contains("modules/mod_wsgi-supervisor") && line.contains("another build"), "{line}");
    assert!(is_alive(old), "it serves on");
    wait_end(before);
    // The rest of the upgrade.
    under_load(&server, || {
        let before = pid(&server);
        server.root.renew_as_another_build([FILES[0]]);
        server.graceful();
        replaced(&server, before);
    });
    wait_end(old);
    until("another supervisor", || supervisor(&server));
});

wsgi_test!(the_commands_of_debians_unit_lose_nothing_and_leave_nothing, groups_every_mpm, |site| {
    let Some(apachectl) = Apachectl::find() else { return };
    let event = site.setting.mpm == Mpm::Event;
    let server = act(site, "processes=2 threads=4").threads(16).children(4).start_by(&apachectl);
    let command = |command: &str| {
        let (done, said) = apachectl.run(&server.root, command);
        assert!(done, "{command}: {said}");
    };
    let (mut reloaded, first) = held(&server, "/hold", "reload");
    if event {
        under_load(&server, || {
            command("graceful");
            replaced(&server, first);
        });
    } else {
        command("graceful");
        replaced(&server, first);
    }
    release(&server, "reload");
    assert_eq!(reloaded.response("GET").ok(), first.to_string());
    wait_end(first);
    let (mut stopped, last) = held(&server, "/hold", "stop");
    let all = server.descendants();
    assert!(all.contains(&last) && all.contains(&supervisor(&server).unwrap()));
    let httpd = program(server.parent());
    let daemons: Vec<u32> = all.into_iter().filter(|id| program(*id) != httpd).collect();
    command("graceful-stop");
    until("httpd to stop listening", || server_refuses(&server).then_some(()));
    release(&server, "stop");
    assert_eq!(stopped.response("GET").ok(), last.to_string());
    wait_end(server.parent());
    // systemd kills what is left by then.
    let left: Vec<String> = daemons.into_iter().filter(|id| is_alive(*id)).map(command_line).collect();
    assert!(left.is_empty(), "{left:?}");
    server.ended(event);
});

wsgi_test!(a_graceful_restart_renames_a_group_and_changes_its_user, groups, |site| {
    let Some([one, two]) = two_users() else { return };
    let site = site.group("shop", &format!("user={} group={}", one.name, group_of(&one)));
    let server = site.mount_with("/", "process", "process-group=shop").start();
    let seen = || server.get("/").json();
    let uid = |seen: &serde_json::Value| seen["uids"][0].as_u64().unwrap();
    let first = seen();
    assert_eq!(uid(&first), u64::from(one.uid.as_raw()));
    edit(
        &server,
        &format!("user={} group={}", one.name, group_of(&one)),
        &format!("user={} group={}", two.name, group_of(&two)),
    );
    server.graceful();
    until("the other user", || (uid(&seen()) == u64::from(two.uid.as_raw())).then_some(()));
    wait_end(u32::try_from(first["pid"].as_u64().unwrap()).unwrap());
    let second = seen();
    let text = server.root.read("conf/httpd.conf");
    server.root.write(
        "conf/httpd.conf",
        text.replace("WSGIDaemonProcess shop", "WSGIDaemonProcess store")
            .replace("process-group=shop", "process-group=store"),
    );
    server.graceful();
    until("the other name", || (seen()["process_group"] == "store").then_some(()));
    wait_end(u32::try_from(second["pid"].as_u64().unwrap()).unwrap());
});

wsgi_test!(signals_to_all_workers_at_once_lose_nothing, groups, |site| {
    let server = act(site, "processes=2 threads=4").threads(16).children(2).start();
    pid(&server);
    server.allow_log("WSGI0326");
    // One that has only just begun has no handlers yet.
    server.allow_log("before it was ready; another is started at once");
    for signal in [Signal::SIGUSR1, Signal::SIGTERM, Signal::SIGINT, Signal::SIGXCPU] {
        let old = until("two workers", || Some(workers(&server)).filter(|all| all.len() == 2));
        under_load(&server, || {
            old.iter().for_each(|id| {
                send(*id, signal);
            });
            old.iter().copied().for_each(wait_end);
        });
        let new = until("two workers", || Some(workers(&server)).filter(|all| all.len() == 2));
        assert!(new.iter().all(|id| !old.contains(id)), "{signal}");
    }
});

wsgi_test!(a_supervisor_that_is_told_to_end_under_load_loses_nothing, groups, |site| {
    let server = act(site, "processes=2 threads=4").threads(16).children(2).start();
    let before = pid(&server);
    let old = supervisor(&server).unwrap();
    server.allow_log("upervisor");
    under_load(&server, || {
        send(old, Signal::SIGTERM);
        until("another supervisor", || supervisor(&server).filter(|new| *new != old));
        replaced(&server, before);
    });
});

wsgi_test!(a_child_that_is_killed_leaves_no_place_taken, groups, |site| {
    // More requests than the process has places would wait for ever.
    let server = act(site, "threads=1").start();
    let httpd = program(server.parent());
    server.allow_log("exit signal Killed");
    for round in 0..5 {
        let (connection, _) = held(&server, "/hold", &format!("r{round}"));
        let own = |id: &u32| program(*id) == httpd;
        for child in server.children().into_iter().filter(own) {
            send(child, Signal::SIGKILL);
            wait_end(child);
        }
        release(&server, &format!("r{round}"));
        drop(connection);
        until("another child", || server_answers(&server).then_some(()));
    }
    pid(&server);
});

/// A connection that was open to a child that died is no answer.
fn server_answers(server: &Server) -> bool {
    let mut connection = server.connect();
    connection.send_head(&crate::harness::Request::get("/pid"));
    connection.try_response("GET").is_some_and(|response| response.status == 200)
}
