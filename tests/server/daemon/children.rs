//! What an application starts from a daemon process: programs, forks, pools, threads. They are the application's alone.

use crate::harness::{Server, Site, until, wsgi_test};

fn family(site: Site) -> Server {
    let site = site.mount_with("/sub", "family", "application-group=another").app("family").group("shop", "threads=2");
    // Python forks in the main interpreter only.
    site.conf("WSGIProcessGroup shop\nWSGIApplicationGroup %{GLOBAL}\nSetEnv demo.var ${ROOT}/var").start()
}

/// The process that `path` starts has no blocked signal, and of these kinds no descriptor.
fn alone(server: &Server, path: &str, kinds: &[&str]) {
    // The process has connections and waits on them.
    server.get("/subprocess").json();
    let seen = server.get(path).json();
    assert_eq!((&seen["blocked"], &seen["status"]), (&0.into(), &3.into()), "{path}: {seen}");
    assert_ne!(seen["pid"], seen["own"], "{path}");
    let links = seen["links"].as_array().unwrap();
    for link in links.iter().map(|link| link.as_str().unwrap()) {
        assert!(!kinds.iter().any(|kind| link.starts_with(kind)), "{path}: {link} of {links:?}");
    }
}

const OURS: [&str; 3] = ["socket:", "anon_inode:", "/memfd:"];

wsgi_test!(a_program_has_nothing_of_the_process, groups, |site| {
    let server = family(site);
    for path in ["/subprocess", "/sub/subprocess"] {
        alone(&server, path, &OURS);
    }
});

wsgi_test!(a_fork_has_no_connection_of_the_process, groups, |site| {
    alone(&family(site), "/fork", &OURS);
});

wsgi_test!(multiprocessing_works_by_fork_and_by_spawn, groups, |site| {
    let server = family(site);
    // multiprocessing itself has pipes only.
    alone(&server, "/pool-fork", &OURS);
    alone(&server, "/pool-spawn", &OURS);
});

wsgi_test!(a_thread_may_outlive_its_request, groups, |site| {
    let server = family(site);
    let first = server.get("/thread").json()["own"].clone();
    assert_eq!(server.get("/subprocess").json()["own"], first, "the process serves on");
    assert!(!server.root.join("var/outlived").exists());
    server.root.write("var/go", "");
    until("the thread to go on", || server.root.join("var/outlived").exists().then_some(()));
});

wsgi_test!(faulthandler_says_where_a_crash_was, groups, |site| {
    let server = family(site);
    assert_eq!(server.get("/crash").status, 502);
    server.wait_log("WSGI0146");
    server.wait_log("Fatal Python error: Segmentation fault");
    until("the stack", || {
        server
            .log()
            .iter()
            .any(|line| line.message.contains("app.wsgi\", line") && line.message.contains("application"))
            .then_some(())
    });
    let line = server.wait_log("WSGI0320").message;
    assert!(line.contains("SIGSEGV") && line.contains("shop"), "{line}");
    for text in ["Current thread", "Thread 0x", "File \"", "Extension modules", "<no Python frame>"] {
        server.allow_log(text);
    }
});
