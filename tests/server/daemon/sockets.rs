//! The sockets of daemon processes: who may reach them, and what somebody gets who has no business there.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use nix::unistd::User;
use serde_json::{Value, json};

use super::{act, is_root, pid, two_users};
use crate::harness::process::resident;
use crate::harness::{Server, Site, wsgi_test};

/// The sockets in a folder of the site.
fn sockets(server: &Server, folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(server.root.join(folder)).unwrap().flatten();
    entries.filter(|entry| entry.file_type().unwrap().is_socket()).map(|entry| entry.path()).collect()
}

/// What `guest.py`, run by that user, gets from every socket of the site; while it tries, `work` is done.
fn guest(server: &Server, user: Option<&User>, work: impl FnOnce()) -> Vec<(String, Value)> {
    let mut command = Command::new("python3");
    command.args(["-c", include_str!("guest.py")]).args(sockets(server, "run"));
    if let Some(user) = user {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    let child = command.current_dir("/").stdout(std::process::Stdio::piped()).spawn().unwrap();
    work();
    let output = child.wait_with_output().unwrap();
    results(&serde_json::from_slice(&output.stdout).unwrap())
}

/// What `guest.py` says: for each case the error, the bytes received, and whether the other end closed.
fn results(found: &Value) -> Vec<(String, Value)> {
    let found = found.as_array().unwrap();
    assert!(!found.is_empty());
    found.iter().map(|item| (item[0].as_str().unwrap().to_owned(), json!([item[1], item[2], item[3]]))).collect()
}

/// The user that httpd's children are, where that is another one.
fn own(site: &Site) -> Option<User> {
    let (name, _) = site.httpd.user.clone()?;
    User::from_name(&name).unwrap()
}

wsgi_test!(a_guest_gets_nothing_and_harms_nobody, groups, |site| {
    let user = own(&site);
    let server = act(site, "processes=2 threads=2").start();
    let first = pid(&server);
    let before = resident(first);
    let found = guest(&server, user.as_ref(), || {
        for _ in 0..200 {
            pid(&server);
        }
    });
    for (case, result) in found {
        assert_eq!(result, json!([null, 0, true]), "{case}: error, bytes received, closed");
    }
    pid(&server);
    assert!(resident(first) < before + 20_000_000);
    server.expect_log("WSGI0034");
});

wsgi_test!(the_application_of_another_group_gets_nothing_and_harms_nobody, groups, |site| {
    // Of the same user: it may connect.
    let script = "import glob\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [attempts(glob.glob(environ['demo.var'] + '/../run/*.sock')).encode()]\n";
    let site = site.file("apps/thief/app.wsgi", [include_str!("guest.py"), script].concat()).group("thief", "");
    let site = site.conf("WSGIScriptAlias /thief ${APPS}/thief/app.wsgi process-group=thief");
    let server = act(site, "processes=2 threads=2").start();
    let first = pid(&server);
    let before = resident(first);
    let found = std::thread::scope(|scope| {
        let thief = scope.spawn(|| server.get("/thief").json());
        while !thief.is_finished() {
            pid(&server);
        }
        thief.join().unwrap()
    });
    // Those of both groups.
    assert_eq!(sockets(&server, "run").len(), 3);
    let found = results(&found);
    assert_eq!(found.len() % 3, 0);
    for (case, result) in found {
        assert_eq!(result, json!([null, 0, true]), "{case}: error, bytes received, closed");
    }
    assert!(resident(first) < before + 20_000_000);
    server.expect_log("WSGI0034");
});

wsgi_test!(shared_memory_can_be_cut_and_stretched_by_no_application, usual, |site| {
    // httpd is of the application's user, so that it can reach what the parent and the supervisor have.
    let script = r#"import fcntl, glob, json, os
def application(environ, start_response):
    found, done = 0, []
    for path in glob.glob('/proc/[0-9]*/fd/*') + glob.glob('/proc/self/map_files/*'):
        try:
            if not os.readlink(path).startswith('/memfd:wsgi-words'):
                continue
            descriptor = os.open(path, os.O_RDWR)
        except OSError:
            continue
        found += 1
        size = os.fstat(descriptor).st_size
        for what, change in [
            ('cut', lambda: os.ftruncate(descriptor, size // 2)),
            ('stretched', lambda: os.ftruncate(descriptor, size * 2)),
            ('written behind its end', lambda: os.pwrite(descriptor, b'x', size)),
            # F_SEAL_FUTURE_WRITE: no later process could map it.
            ('sealed', lambda: fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, 16)),
        ]:
            try:
                change()
                done.append(what + ' ' + path)
            except OSError:
                pass
        os.close(descriptor)
    own = sum('/memfd:wsgi-words' in os.path.realpath(path) for path in glob.glob('/proc/self/fd/*'))
    start_response('200 OK', [])
    return [json.dumps([found > 0, own, done]).encode()]
"#;
    let site = site
        .file("apps/s/app.wsgi", script)
        .conf("WSGIScriptAlias / ${APPS}/s/app.wsgi")
        .group("other", "")
        .expect_log("WSGI0580");
    let server = site.unprivileged().start();
    assert_eq!(server.get("/").json(), json!([true, 0, []]), "whether any was found, its own descriptors, what it did");
});

wsgi_test!(other_users_cannot_even_connect, groups, |site| {
    let Some([one, _]) = two_users() else { return };
    let server = act(site, "").start();
    pid(&server);
    for (case, result) in guest(&server, Some(&one), || ()) {
        assert_eq!(result, json!(["PermissionError", 0, false]), "{case}");
    }
});

wsgi_test!(a_socket_is_for_httpds_user_only, groups, |site| {
    let user = own(&site);
    let server = act(site, "processes=2").start();
    pid(&server);
    let found = sockets(&server, "run");
    assert!(!found.is_empty());
    for socket in found {
        let data = socket.metadata().unwrap();
        assert_eq!(data.permissions().mode() & 0o777, 0o600, "{}", socket.display());
        if let Some(user) = &user {
            assert_eq!(data.uid(), user.uid.as_raw());
        }
    }
});

wsgi_test!(a_socket_can_be_given_to_another_user, groups, |site| {
    let Some([one, _]) = two_users() else { return };
    let server = act(site, &format!("socket-user={}", one.name)).start();
    for socket in sockets(&server, "run") {
        assert_eq!(socket.metadata().unwrap().uid(), one.uid.as_raw());
    }
    // httpd's own user can't reach it then, which is what was asked for.
    assert_eq!(server.get("/pid").status, 503);
    server.wait_log("WSGI0117");
});

wsgi_test!(sockets_are_where_the_prefix_says, groups, |site| {
    let site = site.file("elsewhere/readme", "").conf("WSGISocketPrefix elsewhere/w");
    let server = act(site, "").start();
    pid(&server);
    let names: Vec<String> = sockets(&server, "elsewhere").iter().map(|path| path.display().to_string()).collect();
    assert!(!names.is_empty() && sockets(&server, "run").is_empty());
    let start = server.root.join(&format!("elsewhere/w.{}.", server.parent())).display().to_string();
    assert!(names.iter().all(|name| name.starts_with(&start) && name.ends_with(".sock")), "{names:?}");
});

wsgi_test!(a_socket_nobody_may_reach_is_a_503, groups, |site| {
    if !is_root() {
        return;
    }
    let site = site.file("locked/readme", "");
    site.root.chmod("locked", 0o700);
    let server = act(site.conf("WSGISocketPrefix locked/w").expect_log("WSGI0586"), "").start();
    assert_eq!(server.get("/pid").status, 503);
    let line = server.wait_log("WSGI0117");
    assert!(line.message.contains("locked/w"), "{}", line.message);
});

wsgi_test!(a_path_too_long_for_a_socket_is_refused, groups, |site| {
    let long = "a-folder-with-a-name-of-fifty-letters-or-some-more";
    let folder = format!("{long}/{long}");
    let site = site.file(&format!("{folder}/readme"), "").conf(&format!("WSGISocketPrefix {folder}/w"));
    let said = act(site, "").try_start().err().unwrap_or_else(|| panic!("it starts"));
    assert!(said.contains("WSGISocketPrefix"), "{said}");
});

wsgi_test!(sockets_keep_their_place_over_graceful_restarts, groups, |site| {
    let server = act(site, "processes=2").start();
    let inodes = || {
        let mut found: Vec<u64> = sockets(&server, "run").iter().map(|path| path.metadata().unwrap().ino()).collect();
        found.sort_unstable();
        found
    };
    let before = inodes();
    for _ in 0..3 {
        server.graceful();
        assert_eq!(server.get("/pid").status, 200);
        assert_eq!(inodes(), before);
    }
});
