//! A changed script: requests wait a little, then old code answers while new code loads, and from its first answer on there is no old one.
//!
//! An import lasts as long as a file is there, so nothing depends on how fast the machine is.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;

use crate::harness::process::{is_alive, send, wait_end};
use crate::harness::{Server, Site, until, wsgi_test};

/// Requests wait for new code so long, as the documentation says.
const HOLD: Duration = Duration::from_millis(400);

/// A script that answers its version and its process. Its import leaves a mark, and lasts as long as `var/slow` is there.
fn text(version: &str) -> String {
    format!(
        "import os, time\n\
         VAR = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), 'var')\n\
         open(VAR + '/load-{version}-%d' % os.getpid(), 'w').close()\n\
         while os.path.exists(VAR + '/slow'):\n    time.sleep(0.002)\n\
         def application(environ, start_response):\n    \
             time.sleep(float(environ['QUERY_STRING'] or 0))\n    \
             start_response('200 OK', [])\n    \
             return [b'{version} %d' % os.getpid()]\n"
    )
}

/// The script at `/`, in a group with these options.
fn site(site: Site, options: &str) -> Site {
    let site = site.file("apps/s/app.wsgi", text("one")).group("shop", options);
    site.conf("WSGIProcessGroup shop\nWSGIScriptAlias / ${APPS}/s/app.wsgi")
}

/// Changes the script; each change has a time of its own.
fn change(server: &Server, version: &str, second: u64) {
    write(server, &text(version), second);
}

fn write(server: &Server, text: &str, second: u64) {
    // The time and the text come at once.
    server.root.write("apps/s/next", text);
    let (next, script) = (server.root.join("apps/s/next"), server.root.join("apps/s/app.wsgi"));
    let file = File::options().write(true).open(&next).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + second)).unwrap();
    std::fs::rename(next, script).unwrap();
}

fn imports_last(server: &Server, slow: bool) {
    if slow {
        server.root.write("var/slow", "");
    } else {
        std::fs::remove_file(server.root.join("var/slow")).unwrap();
    }
}

/// Processes that have begun to load this version.
fn loaders(server: &Server, version: &str) -> BTreeSet<u32> {
    let start = format!("load-{version}-");
    let names = std::fs::read_dir(server.root.join("var")).unwrap().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.strip_prefix(&start)?.parse().ok()).collect()
}

/// The version that answers, and the process.
fn ask(server: &Server, path: &str) -> (String, u32) {
    let answer = server.get(path).ok();
    let (version, pid) = answer.split_once(' ').unwrap();
    (version.to_owned(), pid.parse().unwrap())
}

fn version(server: &Server) -> String {
    ask(server, "/").0
}

/// Waits for this version; what came before is in `before`, and nothing else comes after.
fn comes(server: &Server, wanted: &str, before: &[&str]) {
    until(&format!("version {wanted}"), || {
        let seen = version(server);
        assert!(seen == wanted || before.contains(&seen.as_str()), "{seen}");
        (seen == wanted).then_some(())
    });
    for _ in 0..20 {
        assert_eq!(version(server), wanted);
    }
}

/// Asks all group's processes; they are these.
fn asked(server: &Server, processes: usize) -> BTreeSet<u32> {
    until("all processes to answer", || {
        let pids: BTreeSet<u32> = std::thread::scope(|scope| {
            let asks: Vec<_> = (0..2 * processes).map(|_| scope.spawn(|| ask(server, "/?0.05").1)).collect();
            asks.into_iter().map(|one| one.join().unwrap()).collect()
        });
        (pids.len() == processes).then_some(pids)
    })
}

wsgi_test!(under_load_old_code_answers_until_new_code_is_there_and_never_after, groups, |s| {
    let server = site(s, "processes=2 threads=10").threads(32).children(2).start();
    let old = asked(&server, 2);
    // When each request began and ended, and its version.
    let seen: Mutex<Vec<(Instant, Instant, String)>> = Mutex::default();
    let done = AtomicBool::new(false);
    let answers = |version: &str, after: Instant| {
        seen.lock().unwrap().iter().filter(|(begun, _, seen)| *begun > after && seen == version).count()
    };
    std::thread::scope(|scope| {
        let _guard = super::restarts::Done(&done);
        for _ in 0..16 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let (version, _) = ask(&server, "/?0.01");
                    seen.lock().unwrap().push((begun, Instant::now(), version));
                }
            });
        }
        let start = Instant::now();
        until("the load to begin", || (answers("one", start) > 50).then_some(()));
        imports_last(&server, true);
        change(&server, "two", 1);
        until("new code to be loaded", || (!loaders(&server, "two").is_empty()).then_some(()));
        let loading = Instant::now();
        until("old code to answer meanwhile", || (answers("one", loading) > 100).then_some(()));
        assert_eq!(loaders(&server, "two").len(), 1, "one replacement at a time");
        imports_last(&server, false);
        until("new code", || (answers("two", loading) > 200).then_some(()));
    });
    let seen = seen.into_inner().unwrap();
    let first = seen.iter().filter(|(_, _, version)| version == "two").map(|(_, end, _)| *end).min().unwrap();
    let late: Vec<_> = seen.iter().filter(|(begun, _, version)| *begun > first && version == "one").collect();
    assert!(late.is_empty(), "{} old answers after the first new one", late.len());
    let slowest = seen.iter().map(|(begun, end, _)| *end - *begun).max().unwrap();
    // For whoever asks with --nocapture: how long it takes on a busy machine is no test.
    eprintln!("{} answers, the slowest in {slowest:?}", seen.len());
    old.into_iter().for_each(wait_end);
    assert_eq!(asked(&server, 2).len(), 2, "all places are filled again");
});

wsgi_test!(a_quick_import_answers_next, groups, |s| {
    let server = site(s, "processes=2 threads=4").start();
    asked(&server, 2);
    for (number, version) in [(1, "two"), (2, "three")] {
        let old = if number == 1 { "one" } else { "two" };
        change(&server, version, number);
        let begun = Instant::now();
        let next = self::version(&server);
        // A machine may be so busy that even this takes long.
        assert!(next == version || (next == old && begun.elapsed() >= HOLD), "{next} after {:?}", begun.elapsed());
        comes(&server, version, &[old]);
        asked(&server, 2);
    }
});

wsgi_test!(requests_wait_once_for_each_change, groups, |s| {
    let server = site(s, "processes=2 threads=4").start();
    asked(&server, 2);
    imports_last(&server, true);
    change(&server, "two", 1);
    let begun = Instant::now();
    assert_eq!(version(&server), "one");
    assert!(begun.elapsed() >= HOLD, "{:?}", begun.elapsed());
    // Both processes know by now: so many waits would be longer than any machine is slow.
    let begun = Instant::now();
    for _ in 0..40 {
        assert_eq!(version(&server), "one");
    }
    assert!(begun.elapsed() < 20 * HOLD, "{:?}", begun.elapsed());
    imports_last(&server, false);
    comes(&server, "two", &["one"]);
});

wsgi_test!(code_that_cant_be_loaded_answers_500_and_no_old_code_does, groups, |s| {
    let server =
        site(s, "processes=2 threads=4").expect_log("ValueError: new and broken").expect_log("app.wsgi").start();
    asked(&server, 2);
    write(&server, "raise ValueError('new and broken')\n", 1);
    until("the new code to fail", || (server.get("/").status == 500).then_some(()));
    for _ in 0..10 {
        assert_eq!(server.get("/").status, 500);
    }
    // Nothing is loaded, so nothing is to be replaced: the next request loads it.
    change(&server, "three", 2);
    comes(&server, "three", &[]);
});

wsgi_test!(a_second_change_follows_the_first, groups, |s| {
    let server = site(s, "processes=2 threads=4").start();
    asked(&server, 2);
    imports_last(&server, true);
    change(&server, "two", 1);
    assert_eq!(version(&server), "one");
    until("the second version to be loaded", || (!loaders(&server, "two").is_empty()).then_some(()));
    change(&server, "three", 2);
    assert_eq!(version(&server), "one");
    imports_last(&server, false);
    // The second one may answer while the third is loaded.
    comes(&server, "three", &["one", "two"]);
});

wsgi_test!(a_change_taken_back_is_none, groups, |s| {
    let server = site(s, "processes=1 threads=4").start();
    change(&server, "zero", 1);
    comes(&server, "zero", &["one"]);
    imports_last(&server, true);
    change(&server, "two", 2);
    assert_eq!(version(&server), "zero");
    change(&server, "zero", 1);
    assert_eq!(version(&server), "zero");
    imports_last(&server, false);
    // The replacement began with the second version, or with the first one again.
    comes(&server, "zero", &["two"]);
});

wsgi_test!(a_deleted_script_is_missing_and_comes_back, groups, |s| {
    let server = site(s, "processes=2 threads=4").start();
    asked(&server, 2);
    imports_last(&server, true);
    change(&server, "two", 1);
    assert_eq!(version(&server), "one");
    std::fs::remove_file(server.root.join("apps/s/app.wsgi")).unwrap();
    server.expect_log("WSGI0135");
    assert_eq!(server.get("/").status, 404);
    imports_last(&server, false);
    change(&server, "three", 3);
    // The replacement may have loaded the second version before it was deleted.
    comes(&server, "three", &["one", "two"]);
});

wsgi_test!(another_script_of_the_group_is_served_on, groups, |s| {
    let s = s.file("apps/other/app.wsgi", text("other")).conf("WSGIScriptAlias /other ${APPS}/other/app.wsgi");
    let server = site(s, "processes=1 threads=4").start();
    let (_, old) = ask(&server, "/other");
    assert_eq!(ask(&server, "/").1, old);
    imports_last(&server, true);
    change(&server, "two", 1);
    let mut waiting = server.connect();
    waiting.send_head(&crate::harness::Request::get("/"));
    // One thread may wait; the others are there for whoever has not changed.
    for _ in 0..10 {
        assert_eq!(ask(&server, "/other"), ("other".to_owned(), old));
    }
    assert!(waiting.response("GET").ok().starts_with("one"));
    imports_last(&server, false);
    comes(&server, "two", &["one"]);
    let (_, new) = ask(&server, "/");
    assert_ne!(new, old);
    assert!(loaders(&server, "other").contains(&new), "loaded before it took over");
    assert_eq!(ask(&server, "/other").1, new);
});

wsgi_test!(a_script_that_asks_for_it_has_all_processes_replaced, groups, |s| {
    let asks = "def reload_required(path):\n    return os.path.exists(VAR + '/wanted-%d' % os.getpid())\n";
    let server = site(s, "processes=3 threads=4").file("apps/s/app.wsgi", text("one") + asks).start();
    let old = asked(&server, 3);
    // One of them wants to.
    server.root.write(&format!("var/wanted-{}", old.first().unwrap()), "");
    until("another process", || (!old.contains(&ask(&server, "/?0.01").1)).then_some(()));
    for _ in 0..20 {
        assert!(!old.contains(&ask(&server, "/").1), "old code after new code");
    }
    old.into_iter().for_each(wait_end);
});

wsgi_test!(without_reloading_nobody_is_replaced, groups, |s| {
    let server = site(s, "processes=2 threads=4").conf("WSGIScriptReloading Off").start();
    let old = asked(&server, 2);
    change(&server, "two", 1);
    for _ in 0..10 {
        assert_eq!(version(&server), "one");
    }
    assert_eq!(asked(&server, 2), old);
});

wsgi_test!(without_overlap_requests_wait_for_the_successor, groups, |s| {
    let server = site(s, "processes=1 threads=4 overlap=Off").start();
    let (_, old) = ask(&server, "/");
    change(&server, "two", 1);
    let (version, _) = ask(&server, "/");
    assert_eq!(version, "two");
    assert!(!is_alive(old), "it ended before the new one began");
    let log = server.log_text();
    assert!(log.contains("WSGI0470"), "{log}");
});

wsgi_test!(a_replacement_that_dies_is_tried_again_and_old_code_serves, groups, |s| {
    let server = site(s, "processes=2 threads=4").start();
    asked(&server, 2);
    imports_last(&server, true);
    change(&server, "two", 1);
    assert_eq!(version(&server), "one");
    let first = until("new code to be loaded", || loaders(&server, "two").first().copied());
    send(first, Signal::SIGKILL);
    server.wait_log("WSGI0321");
    until("another try", || (loaders(&server, "two").len() > 1).then_some(()));
    assert_eq!(version(&server), "one");
    imports_last(&server, false);
    comes(&server, "two", &["one"]);
});

wsgi_test!(a_graceful_restart_in_the_middle_ends_with_new_code, groups, |s| {
    let server = site(s, "processes=2 threads=4").start();
    let old = asked(&server, 2);
    imports_last(&server, true);
    change(&server, "two", 1);
    assert_eq!(version(&server), "one");
    server.graceful();
    assert_eq!(version(&server), "one");
    imports_last(&server, false);
    comes(&server, "two", &["one"]);
    old.into_iter().for_each(wait_end);
});
