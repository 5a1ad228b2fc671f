//! Beginnings, replacements and ends.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mod_wsgi::wire::End;
use mod_wsgi::wire::control::{FromWorker, Reason, ToWorker};
use nix::sys::signal::Signal;

use crate::child::{Answer, Ask, Child, mtime};
use crate::supervisor::{SOON, Worker, start, until};

const APP: &str = r#"
import atexit, os, sys, time
atexit.register(lambda: print("exit functions ran"))
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fork":
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    if path == "/sleep":
        time.sleep(1)
    if path == "/long":
        time.sleep(30)
    if path == "/facts":
        import mod_wsgi
        body = repr([mod_wsgi.process_group, mod_wsgi.maximum_processes, mod_wsgi.threads_per_process, sys.path[0],
                     os.getcwd(), os.environ.get("HOME"), os.environ.get("LOGNAME"), os.environ.get("LANG"),
                     oct(os.umask(0o22)), os.getsid(0) == os.getpid(), issubclass(mod_wsgi.RequestTimeout, Exception),
                     sys.getswitchinterval(), os.nice(0)])
    else:
        body = "done"
    start_response("200 OK", [])
    return [body.encode()]
"#;

#[test]
fn a_worker_becomes_what_its_group_says() {
    let home = fs::canonicalize(std::env::temp_dir()).unwrap().into_os_string().into_encoded_bytes();
    let mut starting = start(APP).options(|options| {
        options.threads = Some(3);
        options.processes = Some(2);
        options.home = Some(home.clone());
        options.lang = Some(b"C.UTF-8".to_vec());
        options.locale = Some(b"xx_XX".to_vec());
        options.umask = Some(0o27);
        options.cpu_priority = Some(3);
        options.stack_size = Some(512 * 1024);
        options.display_name = Some(b"(wsgi:other)".to_vec());
    });
    starting.python.interpreters.all.switch_interval = Some(Duration::from_millis(20));
    starting.identity.home = Some(b"/home/joe".to_vec());
    starting.identity.user = Some(b"joe".to_vec());
    starting.variables = vec![("LOGNAME", "root")];
    let Some(worker) = starting.ready() else { return };
    let answer = worker.connect().ask(&worker.get("/facts"));
    let home = String::from_utf8(home).unwrap();
    let expected =
        format!("['shop', 2, 3, '{home}', '{home}', '/home/joe', 'joe', 'C.UTF-8', '0o27', True, False, 0.02, 3]");
    assert_eq!(answer.text(), expected);
    worker.logs("4|WSGI0079");
    let pid = worker.pid();
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/comm")).unwrap(), "wsgi:other\n");
    assert!(fs::read(format!("/proc/{pid}/cmdline")).unwrap().starts_with(b"(wsgi:other)"));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("SigBlk:\t0000000000000000"), "applications inherit this: {status}");
}

#[test]
fn scripts_are_loaded_before_it_is_ready() {
    let mut starting = start(APP);
    let loud =
        |name: &str| format!("print('loading {name}')\nimport time; time.sleep(0.2)\ndef application(e, s): pass\n");
    starting.files.push(("one.wsgi", loud("one")));
    starting.files.push(("two.wsgi", loud("two")));
    starting.files.push(("bad.wsgi", "raise ValueError('bad')".to_owned()));
    starting.imports = vec![("one.wsgi", ""), ("bad.wsgi", ""), (".", "")];
    starting.preload = vec![("two.wsgi", "sub"), ("gone.wsgi", "")];
    let Some(worker) = starting.run() else { return };
    let two = FromWorker::Served { script: worker.script("two.wsgi"), application_group: b"sub".to_vec() };
    assert_eq!(worker.hear(), Some(two));
    assert_eq!(worker.hear(), Some(FromWorker::Ready));
    worker.say(&ToWorker::Open);
    for line in ["3|loading one", "3|ValueError: bad", "3|loading two"] {
        worker.logs(line);
    }
    assert!(!worker.log().iter().any(|line| line.contains("gone.wsgi") || line.contains("directory")));
    let mut child = worker.connect();
    assert_eq!(child.ask(&worker.get("/")).end, Some(End::Complete));
    let served = FromWorker::Served { script: worker.script("app.wsgi"), application_group: Vec::new() };
    assert_eq!(worker.hear(), Some(served));
    child.ask(&worker.get("/"));
    worker.expect_silence(Duration::from_millis(200));
}

#[test]
fn a_drain_finishes_what_began_and_refuses_what_is_queued() {
    let Some(mut worker) = start(APP).ready() else { return };
    let (mut busy, mut queued, mut idle) = (worker.connect(), worker.connect(), worker.connect());
    assert_eq!(idle.ask(&worker.get("/")).text(), "done");
    let ask = worker.get("/sleep");
    busy.begin(&ask);
    std::thread::sleep(Duration::from_millis(200));
    queued.begin(&ask);
    worker.drain(None);
    assert!(queued.answer(&ask).refused, "another worker gets it");
    assert!(queued.is_closed_silently());
    assert!(idle.is_closed_silently());
    // Who comes now waits for the successor, which has the same listening socket.
    let mut late = worker.connect();
    late.begin(&ask);
    assert_eq!(busy.answer(&ask).end, Some(End::Complete));
    assert_eq!(worker.end(), 0);
    worker.logs("exit functions ran");
    worker.listener.set_nonblocking(true).unwrap();
    assert!(worker.listener.accept().is_ok(), "the late one is still in the backlog");
}

/// What became of a request on a connection whose worker may drain.
#[derive(PartialEq, Debug)]
enum Fate {
    Answered,
    /// Not begun: another worker can have it.
    Elsewhere,
    Lost,
}

fn fate(child: &mut Child, ask: &Ask<'_>) -> Fate {
    if child.stream.write_all(&Child::encoded(ask)).is_err() {
        return Fate::Elsewhere;
    }
    let mut answer = Answer::default();
    while let Some(None) = child.step(&mut answer) {
        match answer.end {
            Some(End::Complete) => return Fate::Answered,
            Some(_) => return Fate::Lost,
            None if answer.refused => return Fate::Elsewhere,
            None => {}
        }
    }
    Fate::Lost
}

#[test]
fn a_drain_under_load_loses_nothing() {
    const CLIENTS: usize = 6;
    for round in 0..12_u64 {
        let Some(mut worker) = start(APP).options(|options| options.threads = Some(3)).ready() else { return };
        let ask = worker.get("/");
        // A connection that the worker has not accepted by then waits for its successor, and here is none.
        let accepted = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let hammer = |mut child: Child| {
                let (ask, accepted) = (&ask, &accepted);
                move || {
                    for answered in 0.. {
                        match fate(&mut child, ask) {
                            Fate::Answered => drop(accepted.fetch_add(usize::from(answered == 0), Ordering::Relaxed)),
                            Fate::Elsewhere => return,
                            Fate::Lost => panic!("a request is lost after {answered}"),
                        }
                    }
                }
            };
            let threads: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(hammer(worker.connect()))).collect();
            // No failure in here: they would go on for ever.
            let begin = Instant::now();
            while accepted.load(Ordering::Relaxed) < CLIENTS && begin.elapsed() < SOON {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(7 * round));
            if round.is_multiple_of(2) {
                worker.drain(None);
            } else {
                worker.signal(Signal::SIGTERM);
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        assert_eq!(accepted.into_inner(), CLIENTS);
        assert_eq!(worker.end(), 0, "{:#?}", worker.log());
    }
}

#[test]
fn a_drain_has_an_end() {
    let Some(mut worker) =
        start(APP).options(|options| options.shutdown_timeout = Some(Duration::from_secs(1))).ready()
    else {
        return;
    };
    let begin = Instant::now();
    let mut child = worker.connect();
    child.begin(&worker.get("/long"));
    std::thread::sleep(Duration::from_millis(200));
    worker.drain(Some(500));
    assert_eq!(worker.end(), 255);
    assert!(begin.elapsed() < Duration::from_secs(4));
    assert!(child.is_cut_off());
}

#[test]
fn a_changed_script_sends_requests_to_the_successor() {
    let Some(mut worker) = start(APP).options(|options| options.threads = Some(2)).ready() else { return };
    let (mut child, mut busy) = (worker.connect(), worker.connect());
    assert_eq!(child.ask(&worker.get("/")).text(), "done");
    let sleep = worker.get("/sleep");
    busy.begin(&sleep);
    // A child that looked at the file before it was loaded here is no change.
    let old = Ask { mtime: Some(mtime(&worker.script("app.wsgi")) - 5), ..worker.get("/") };
    assert_eq!(child.ask(&old).text(), "done");
    change(&worker);
    let again = worker.get("/");
    child.begin(&again);
    let changed = FromWorker::Changed { script: worker.script("app.wsgi"), application_group: Vec::new() };
    worker.expect(&changed);
    assert!(child.is_quiet(Duration::from_millis(100)), "it waits for what the supervisor says");
    worker.drain(Some(15_000));
    assert!(child.answer(&again).refused);
    assert_eq!(busy.answer(&sleep).end, Some(End::Complete));
    assert_eq!(worker.end(), 0);
    worker.logs("exit functions ran");
}

#[test]
fn a_change_is_said_however_long_the_names_are() {
    for (length, said) in [(8_190, true), (20_000, false)] {
        let Some(worker) = start(APP).ready() else { return };
        let mut child = worker.connect();
        let group = "g".repeat(length);
        assert_eq!(child.ask(&Ask { group: &group, ..worker.get("/") }).text(), "done");
        let application_group = if said { group.clone().into_bytes() } else { Vec::new() };
        let script = worker.script("app.wsgi");
        if said {
            let (script, application_group) = (script.clone(), application_group.clone());
            assert_eq!(worker.hear(), Some(FromWorker::Served { script, application_group }));
        }
        change(&worker);
        let ask = Ask { group: &group, ..worker.get("/") };
        child.begin(&ask);
        assert_eq!(worker.hear(), Some(FromWorker::Changed { script, application_group }));
        worker.say(&ToWorker::Bridge);
        assert_eq!(child.answer(&ask).text(), "done");
    }
}

#[test]
fn what_the_supervisor_does_not_read_yet_is_said_later() {
    let Some(worker) = start(APP).ready() else { return };
    let mut child = worker.connect();
    // Together more than a pipe holds.
    let groups: Vec<String> = (0..6).map(|number| format!("{number}{}", "g".repeat(8_000))).collect();
    for group in &groups {
        assert_eq!(child.ask(&Ask { group, ..worker.get("/") }).text(), "done");
    }
    for group in groups {
        let (script, application_group) = (worker.script("app.wsgi"), group.into_bytes());
        assert_eq!(worker.hear(), Some(FromWorker::Served { script, application_group }));
    }
}

/// Touches the script of `APP`.
fn change(worker: &Worker) {
    let file = fs::File::options().append(true).open(worker.folder.join("app.wsgi")).unwrap();
    file.set_modified(std::time::SystemTime::now() + Duration::from_secs(10)).unwrap();
}

#[test]
fn a_changed_script_is_answered_by_what_is_loaded_when_it_takes_long() {
    let Some(worker) = start(APP).options(|options| options.threads = Some(2)).ready() else { return };
    let (mut first, mut second) = (worker.connect(), worker.connect());
    assert_eq!(first.ask(&worker.get("/")).text(), "done");
    // That the script was served is said behind the answer; the other thread may be quicker with the next one.
    assert!(matches!(worker.hear(), Some(FromWorker::Served { .. })));
    change(&worker);
    let ask = worker.get("/");
    first.begin(&ask);
    second.begin(&ask);
    worker.expect(&FromWorker::Changed { script: worker.script("app.wsgi"), application_group: Vec::new() });
    worker.say(&ToWorker::Bridge);
    assert_eq!(first.answer(&ask).text(), "done");
    assert_eq!(second.answer(&ask).text(), "done");
    // From now on at once, and once is said enough.
    let begin = Instant::now();
    assert_eq!(first.ask(&ask).text(), "done");
    assert!(begin.elapsed() < Duration::from_millis(300), "{:?}", begin.elapsed());
    worker.expect_silence(Duration::from_millis(50));
}

#[test]
fn what_changed_elsewhere_and_is_not_loaded_here_is_not_loaded_any_more() {
    let Some(worker) = start(APP).ready() else { return };
    let mut child = worker.connect();
    worker.say(&ToWorker::Changed { script: worker.script("app.wsgi"), application_group: Vec::new() });
    worker.say(&ToWorker::Bridge);
    let answer = child.ask(&worker.get("/"));
    assert!(answer.refused, "{answer:?}");
    // Another application group has not changed.
    let other = Ask { group: "other", ..worker.get("/") };
    assert_eq!(worker.connect().ask(&other).text(), "done");
}

#[test]
fn a_supervisor_that_says_nothing_keeps_no_request_waiting() {
    let Some(worker) = start(APP).ready() else { return };
    let mut child = worker.connect();
    assert_eq!(child.ask(&worker.get("/")).text(), "done");
    change(&worker);
    assert_eq!(child.ask(&worker.get("/")).text(), "done");
}

#[test]
fn nothing_is_accepted_before_the_supervisor_says_so() {
    let Some(worker) = start(APP).run() else { return };
    worker.expect(&FromWorker::Ready);
    let mut child = worker.connect();
    let ask = worker.get("/");
    child.begin(&ask);
    assert!(child.is_quiet(Duration::from_millis(100)));
    worker.say(&ToWorker::Open);
    assert_eq!(child.answer(&ask).text(), "done");
}

#[test]
fn signals_of_an_operator() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let Some(mut worker) = start(APP).ready() else { return };
        assert_eq!(worker.connect().ask(&worker.get("/")).text(), "done");
        worker.signal(signal);
        worker.expect_leaving(Reason::ShutdownSignal);
        assert_eq!(worker.end(), 0);
        worker.logs("exit functions ran");
    }
    let Some(mut worker) = start(APP).ready() else { return };
    for signal in [Signal::SIGHUP, Signal::SIGUSR2] {
        worker.signal(signal);
    }
    worker.expect_silence(Duration::from_millis(300));
    worker.signal(Signal::SIGUSR1);
    worker.expect_replace(Reason::GracefulSignal);
    assert_eq!(worker.connect().ask(&worker.get("/")).text(), "done");
    worker.signal(Signal::SIGTERM);
    worker.expect_leaving(Reason::ShutdownSignal);
    assert_eq!(worker.end(), 0);
}

#[test]
fn an_end_is_forced_in_time() {
    let starting = start(APP).options(|options| options.shutdown_timeout = Some(Duration::from_secs(2)));
    let Some(mut worker) = starting.ready() else { return };
    let mut child = worker.connect();
    child.begin(&worker.get("/long"));
    std::thread::sleep(Duration::from_millis(200));
    let begin = Instant::now();
    worker.signal(Signal::SIGTERM);
    worker.expect_leaving(Reason::ShutdownSignal);
    assert_eq!(worker.end(), 255);
    assert!((1500..3500).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    worker.logs("exit functions ran");
}

#[test]
fn exit_functions_do_not_hold_up_the_end() {
    let app = format!("{APP}\natexit.register(lambda: time.sleep(30))\n");
    let starting = start(&app).options(|options| options.shutdown_timeout = Some(Duration::from_secs(1)));
    let Some(mut worker) = starting.ready() else { return };
    assert_eq!(worker.connect().ask(&worker.get("/")).text(), "done");
    let begin = Instant::now();
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.end(), 255);
    assert!((900..2500).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    worker.logs("4|WSGI0");
}

#[test]
fn a_worker_does_not_outlive_its_supervisor() {
    let Some(mut worker) = start(APP).ready() else { return };
    let mut child = worker.connect();
    let ask = worker.get("/sleep");
    child.begin(&ask);
    std::thread::sleep(Duration::from_millis(200));
    worker.channel = None;
    assert_eq!(child.answer(&ask).end, Some(End::Complete), "what began is finished");
    assert_eq!(worker.end(), 0);
    worker.logs("exit functions ran");
}

#[test]
fn why_it_can_not_start() {
    type Change = fn(&mut mod_wsgi::config::DaemonOptions);
    let cases: [(Change, &str); 3] = [
        (|options| options.python_home = Some(b"/nowhere".to_vec()), "WSGI0100"),
        (|options| options.home = Some(b"/nowhere".to_vec()), "working directory \"/nowhere\""),
        (|options| options.chroot = Some(b"/nowhere".to_vec()), "chroot=\"/nowhere\""),
    ];
    for (change, text) in cases {
        let Some(mut worker) = start(APP).options(change).run() else { return };
        match worker.hear() {
            Some(FromWorker::Unfit { cause }) => assert!(cause.contains(text), "{cause}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(worker.end(), 70);
    }
}

#[test]
fn a_user_is_taken_on_for_good() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    // WORKER_PYTHON: what the worker was built with, where that is not the module's Python.
    let python = std::env::var("WORKER_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    let is_open = |path: &Path| path.metadata().is_ok_and(|data| data.permissions().mode() & 0o5 == 0o5);
    if !Path::new(&python).ancestors().all(is_open) {
        let _ = writeln!(std::io::stderr(), "SKIPPED: a_user_is_taken_on_for_good: {python} is closed to other users");
        return;
    }
    const WHO: &str = r#"
import os
def application(environ, start_response):
    try:
        os.setuid(0)
        back = True
    except PermissionError:
        back = False
    start_response("200 OK", [])
    return [repr([os.getresuid(), os.getresgid(), sorted(os.getgroups()), back, os.getcwd()]).encode()]
"#;
    let mut starting = start(WHO);
    starting.identity.directory = Some(b"/usr".to_vec());
    starting.identity.change = true;
    (starting.identity.uid, starting.identity.gid, starting.identity.groups) = (65534, 65534, vec![65534, 12]);
    let Some(worker) = starting.ready() else { return };
    let answer = worker.connect().ask(&worker.get("/"));
    assert_eq!(answer.text(), "[(65534, 65534, 65534), (65534, 65534, 65534), [12, 65534], False, '/usr']");
}

#[test]
fn what_an_application_forks_has_no_connection() {
    let Some(mut worker) = start(APP).ready() else { return };
    let (mut child, mut idle) = (worker.connect(), worker.connect());
    assert_eq!(idle.ask(&worker.get("/")).text(), "done");
    assert_eq!(child.ask(&worker.get("/fork")).text(), "done");
    let forked = || -> Vec<i32> {
        // Forked by a request thread, and listed with it.
        let tasks = fs::read_dir(format!("/proc/{}/task", worker.pid())).unwrap();
        let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        lists.collect::<String>().split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    };
    until("the application has forked", || !forked().is_empty());
    let grandchild = nix::unistd::Pid::from_raw(forked()[0]);
    worker.signal(Signal::SIGKILL);
    assert_eq!(worker.end(), -9);
    assert!(child.is_closed_silently() && idle.is_closed_silently(), "seen at once, though the forked process lives");
    assert_eq!(worker.hear_of_life(), None);
    // A signal that is meant for the worker ends it.
    nix::sys::signal::kill(grandchild, Signal::SIGUSR1).unwrap();
    until("the forked process ends", || nix::sys::signal::kill(grandchild, None).is_err());
}

const SERVICE: &str = r#"
import os, time
print("service begins")
try:
    if os.path.exists(__file__ + ".short"):
        raise SystemExit
    while True:
        time.sleep(60)
finally:
    print("service ends")
"#;

#[test]
fn a_service_runs_until_it_is_told_to_end() {
    let mut starting = start(APP).options(|options| options.threads = Some(0));
    starting.files.push(("service.wsgi", SERVICE.to_owned()));
    starting.imports = vec![("service.wsgi", "")];
    let Some(mut worker) = starting.ready() else { return };
    worker.logs("3|service begins");
    std::thread::sleep(Duration::from_millis(200));
    let begin = Instant::now();
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.end(), 0);
    assert!(begin.elapsed() < Duration::from_secs(2));
    worker.logs("3|service ends");
    assert!(!worker.log().iter().any(|line| line.contains("SystemExit")), "{:#?}", worker.log());
}

#[test]
fn a_service_that_returns_ends_its_process() {
    let mut starting = start(APP).options(|options| options.threads = Some(0));
    starting.files.push(("service.wsgi", SERVICE.to_owned()));
    starting.files.push(("service.wsgi.short", String::new()));
    starting.imports = vec![("service.wsgi", "")];
    let Some(mut worker) = starting.ready() else { return };
    assert_eq!(worker.end(), 0);
    worker.logs("3|service ends");
}
