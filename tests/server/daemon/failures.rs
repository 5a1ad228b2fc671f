//! Workers that die, hang or can't start: what their clients see, and that nobody else notices.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use super::{act, held, holder, pid, release, replaced, two_users};
use crate::harness::process::{is_alive, send, wait_end};
use crate::harness::{Request, Server, Site, until, wsgi_test};

/// The end of a process must be logged with its group and its id.
fn expect_end(server: &Server, id: u32) {
    let id = id.to_string();
    server.allow_log(&id);
    until(&format!("a line about the end of {id}"), || {
        let end = |message: &str| ["ended", "died", "terminated"].iter().any(|word| message.contains(word));
        let told = |message: &str| message.contains("shop") && message.contains(&id) && end(message);
        server.log().iter().any(|line| told(&line.message)).then_some(())
    });
}

wsgi_test!(a_worker_that_is_killed_costs_its_request_only, groups_every_mpm, |site| {
    let server = act(site, "threads=2").start();
    let (mut connection, first) = held(&server, "/hold", "one");
    send(first, Signal::SIGKILL);
    assert_eq!(connection.response("GET").status, 502);
    let line = server.wait_log("WSGI0146");
    assert!(line.message.contains("\"shop\" that had the request ended before it answered"), "{}", line.message);
    assert!(line.message.ends_with("(request: GET \"/hold\")"), "{}", line.message);
    assert_ne!(pid(&server), first, "the very next request is answered");
    expect_end(&server, first);
});

wsgi_test!(a_worker_that_crashes_is_a_502, groups, |site| {
    let setting = site.setting;
    for path in ["/crash", "/kill?6", "/kill?9"] {
        let server = act(Site::new("crash", setting).unwrap(), "threads=2").start();
        let first = pid(&server);
        assert_eq!(server.get(path).status, 502, "{path}");
        server.wait_log("WSGI014");
        assert_ne!(pid(&server), first, "{path}");
        expect_end(&server, first);
    }
});

wsgi_test!(a_crash_signal_of_another_process_ends_a_worker, groups, |site| {
    let script = "import faulthandler, os\ndef application(environ, start_response):\n    if environ['QUERY_STRING']:\n        faulthandler.enable(file=2)\n    start_response('200 OK', [])\n    return [b'%d' % os.getpid()]\n";
    let site = site.file("apps/s/app.wsgi", script).group("shop", "threads=2");
    let server = site.conf("WSGIProcessGroup shop\nWSGIScriptAlias / ${APPS}/s/app.wsgi").start();
    for signal in [Signal::SIGSEGV, Signal::SIGBUS] {
        for query in ["", "?faulthandler"] {
            let id: u32 = server.get(&format!("/{query}")).ok().parse().unwrap();
            send(id, signal);
            wait_end(id);
            expect_end(&server, id);
            let line =
                server.log().into_iter().find(|line| line.message.contains(&format!("(pid {id}) ended"))).unwrap();
            assert!(line.message.contains(&format!("by signal {signal}")), "{}", line.message);
        }
    }
    for text in ["Segmentation fault", "Bus error"] {
        server.wait_log(text);
    }
    for text in ["Current thread", "Thread 0x", "File \"", "Extension modules", "<no Python frame>"] {
        server.allow_log(text);
    }
    pid(&server);
});

wsgi_test!(an_answer_that_a_crash_cuts_off_looks_cut_off, groups_every_mpm, |site| {
    let server = act(site, "threads=2").start();
    let (mut connection, first) = held(&server, "/begun", "one");
    connection.peek();
    send(first, Signal::SIGKILL);
    let response = connection.response("GET");
    assert_eq!((response.status, response.complete), (200, false));
    assert_eq!(response.text(), format!("{first} "));
    assert_ne!(pid(&server), first);
    expect_end(&server, first);
    let line = server.wait_log("WSGI0119").message;
    assert!(line.contains("\"shop\"") && line.ends_with("(request: GET \"/begun\")"), "{line}");
});

wsgi_test!(a_crash_disturbs_no_other_process, groups, |site| {
    let server = act(site, "processes=2 threads=2").start();
    let (mut one, first) = held(&server, "/hold", "one");
    // The least loaded process takes the second one, once it is ready.
    let mut names = (0..).map(|number| format!("two{number}"));
    let (mut two, second, name) = until("requests in both processes", || {
        let name = names.next().unwrap();
        let (mut connection, id) = held(&server, "/hold", &name);
        if id != first {
            return Some((connection, id, name));
        }
        release(&server, &name);
        assert_eq!(connection.response("GET").ok(), first.to_string());
        None
    });
    send(first, Signal::SIGKILL);
    assert_eq!(one.response("GET").status, 502);
    server.wait_log("WSGI014");
    for _ in 0..20 {
        assert_ne!(pid(&server), first);
    }
    release(&server, &name);
    assert_eq!(two.response("GET").ok(), second.to_string());
    expect_end(&server, first);
});

wsgi_test!(no_request_waits_behind_a_stuck_process, groups, |site| {
    let server = act(site, "processes=2 threads=2").threads(16).start();
    // Of three requests two are in the same process, and it has two threads.
    let names = ["one", "two", "three"];
    let mut connections: Vec<_> = names.iter().map(|name| held(&server, "/hold", name)).collect();
    let ids: Vec<u32> = names.iter().map(|name| holder(&server, name)).collect();
    let stuck = *ids.iter().find(|id| ids.iter().filter(|other| other == id).count() == 2).unwrap();
    // More clients than the other process has threads; all are answered before a held one is released.
    std::thread::scope(|scope| {
        let client = || (0..25).map(|_| pid(&server)).collect::<Vec<_>>();
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        for client in clients {
            assert!(client.join().unwrap().iter().all(|id| *id != stuck));
        }
    });
    for (name, (connection, id)) in names.iter().zip(&mut connections) {
        release(&server, name);
        assert_eq!(connection.response("GET").ok(), id.to_string());
    }
});

/// A memory control group below the one that this process is in, so that nobody else's limits are changed.
struct Cage(PathBuf);

impl Cage {
    /// With so many bytes. None, said loudly, where none can be made.
    fn new(name: &str, bytes: u64) -> Option<Cage> {
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let path = |wanted: &str| {
            let line =
                groups.lines().find_map(|line| line.split_once(':')?.1.split_once(':').filter(|at| at.0 == wanted));
            line.map(|(_, path)| path.trim_start_matches('/').to_owned())
        };
        let (folder, limit) = match (path("memory"), path("")) {
            (Some(path), _) => (Path::new("/sys/fs/cgroup/memory").join(path), "memory.limit_in_bytes"),
            (None, Some(path)) => (Path::new("/sys/fs/cgroup").join(path), "memory.max"),
            (None, None) => (PathBuf::new(), ""),
        };
        let folder = folder.join(format!("{name}-{}", std::process::id()));
        let made = std::fs::create_dir(&folder).and_then(|()| {
            let cage = Cage(folder);
            std::fs::write(cage.0.join(limit), bytes.to_string()).map(|()| cage)
        });
        made.inspect_err(|cause| eprintln!("SKIPPED: no control group with a limit of memory can be made: {cause}"))
            .ok()
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        drop(std::fs::remove_dir(&self.0));
    }
}

wsgi_test!(who_is_killed_for_lack_of_memory_is_said_to_be, groups, |site| {
    let Some(cage) = Cage::new("wsgi-test", 300_000_000) else { return };
    let enter = format!("echo $$ > '{}/cgroup.procs' || exit 1; exec \"$@\"", cage.0.display());
    let server = act(site.within(&["sh", "-c", &enter, "sh"]), "threads=2").start();
    let first = pid(&server);
    assert_eq!(server.get("/keep?1000000000").status, 502);
    server.wait_log("WSGI014");
    let line = server.wait_log("out of memory").message;
    assert!(["shop", &first.to_string(), "SIGKILL"].iter().all(|part| line.contains(part)), "{line}");
    let second = pid(&server);
    assert_ne!(second, first);
    // The next one is killed by somebody else.
    send(second, Signal::SIGKILL);
    wait_end(second);
    assert_ne!(pid(&server), second);
    expect_end(&server, second);
    let lines = server.log().into_iter().filter(|line| line.message.contains("out of memory"));
    assert_eq!(lines.count(), 1);
    drop(server);
});

/// With a group that can't start: every request gets an error, one line says why; with `mended` it recovers.
fn unfit(site: Site, options: &str, texts: &[&str], mend: impl FnOnce(&Server)) {
    let site = site.file("htdocs/page.txt", "static").conf("Alias /page.txt ${ROOT}/htdocs/page.txt");
    let server = act(site, options).start();
    for _ in 0..5 {
        let status = server.get("/pid").status;
        assert!([500, 503].contains(&status), "{status}");
    }
    assert_eq!(server.get("/page.txt").ok(), "static");
    let told = || server.log().into_iter().filter(|line| texts.iter().all(|text| line.message.contains(text)));
    until(&format!("a line with {texts:?}"), || told().next());
    let serious = told().filter(|line| ["error", "crit", "alert", "emerg"].contains(&line.level.as_str())).count();
    assert_eq!(serious, 1, "one line says it");
    for text in texts {
        server.allow_log(text);
    }
    // Each refused request, and the recovery.
    server.allow_log("shop");
    mend(&server);
    until("the group to serve", || (server.get("/pid").status == 200).then_some(()));
}

wsgi_test!(a_python_home_that_is_not_there_is_named_and_may_come, groups, |site| {
    unfit(site, "connect-timeout=1 python-home=${ROOT}/venv", &["python-home", "/venv"], |server| {
        let python = std::env::var("PYO3_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
        let home = server.root.join("venv");
        let made = std::process::Command::new(python).args(["-m", "venv", "--without-pip"]).arg(home).status();
        assert!(made.unwrap().success());
    });
});

wsgi_test!(a_home_that_is_not_there_is_named_and_may_come, groups, |site| {
    unfit(site, "connect-timeout=1 home=${ROOT}/folder", &["home", "/folder"], |server| {
        std::fs::create_dir(server.root.join("folder")).unwrap();
    });
});

wsgi_test!(a_script_that_the_worker_may_not_read_is_a_500, groups, |site| {
    let Some([one, _]) = two_users() else { return };
    let (name, _) = site.httpd.user.clone().unwrap();
    let own = nix::unistd::User::from_name(&name).unwrap().unwrap();
    let server = act(site, &format!("user={}", one.name)).start();
    let folder = server.root.join("apps/act");
    std::os::unix::fs::chown(&folder, Some(own.uid.as_raw()), Some(own.gid.as_raw())).unwrap();
    server.root.chmod("apps/act", 0o700);
    assert_eq!(server.get("/pid").status, 500);
    server.wait_log("act/app.wsgi");
    server.allow_log("PermissionError");
    server.root.chmod("apps/act", 0o755);
    assert_eq!(server.get("/pid").status, 200);
});

wsgi_test!(processes_that_an_application_starts_keep_no_request_alive, groups, |site| {
    let script = "import os, time\ndef application(environ, start_response):\n    var = environ['demo.var']\n    child = os.fork()\n    if child == 0:\n        time.sleep(100)\n        os._exit(0)\n    with open(var + '/forked.new', 'w') as file:\n        file.write('%d %d' % (os.getpid(), child))\n    os.rename(var + '/forked.new', var + '/forked')\n    time.sleep(100)\n";
    let site = site.file("apps/s/app.wsgi", script).group("shop", "");
    let site = site.conf("WSGIProcessGroup shop\nSetEnv demo.var ${ROOT}/var\nWSGIScriptAlias / ${APPS}/s/app.wsgi");
    // Python forks in the main interpreter only.
    let server = site.conf("WSGIApplicationGroup %{GLOBAL}").start();
    let mut connection = server.connect();
    connection.send_head(&Request::get("/"));
    let text = until("the fork", || Some(server.root.read("var/forked")).filter(|text| !text.is_empty()));
    let (worker, child) = text.split_once(' ').unwrap();
    let (worker, child) = (worker.parse().unwrap(), child.parse().unwrap());
    send(worker, Signal::SIGKILL);
    // The copy of the worker has everything the worker had, were it not for us.
    let response = connection.response("GET");
    let alive = is_alive(child);
    send(child, Signal::SIGKILL);
    assert!(alive);
    assert_eq!(response.status, 502);
    server.wait_log("WSGI014");
    expect_end(&server, worker);
});

wsgi_test!(a_worker_that_dies_again_and_again_is_there_again_each_time, groups, |site| {
    let server = act(site, "threads=2").start();
    for _ in 0..5 {
        let id = pid(&server);
        send(id, Signal::SIGKILL);
        wait_end(id);
        assert_ne!(replaced(&server, id), id);
        expect_end(&server, id);
    }
    server.allow_log("WSGI014");
});
