//! The sockets of daemon processes: who may reach them, and what somebody gets who has no business there.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use nix::unistd::User;
use serde_json::{Value, json};

use super::restarts::under_load;
use super::{act, edit, is_root, pid, replaced, two_users};
use crate::harness::process::resident;
use crate::harness::{Request, Server, Site, until, wsgi_test};

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

/// Answers with files, as applications do and as those do that mean harm: the frames HEAD and FILE, and descriptors beside them, from the
/// process's own connection.
const FILES: &str = r#"
import array, os, socket, stat, struct, tempfile

def frame(kind, payload):
    return struct.pack('<BBHI', kind, 0, 0, len(payload)) + payload

def connection():
    for number in sorted(map(int, os.listdir('/proc/self/fd'))):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                found = socket.socket(fileno=os.dup(number))
                if (found.family, found.type) == (socket.AF_UNIX, socket.SOCK_STREAM):
                    found.getpeername()
                    return found
        except OSError:
            pass

def say(length, *descriptors):
    frames = frame(19, struct.pack('<I', 6) + b'200 OK') + frame(21, struct.pack('<QQ', 0, length))
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', descriptors))
    connection().sendmsg([frames], [rights])

def application(environ, start_response):
    what, path = environ['PATH_INFO'], environ['QUERY_STRING']
    if what == '/private':
        file = tempfile.TemporaryFile()
        file.write(b'only mine')
        file.seek(5)
        start_response('200 OK', [])
        return environ['wsgi.file_wrapper'](file)
    if what == '/unreadable':
        try:
            open(path)
        except PermissionError:
            say(6, os.open(path, os.O_PATH))
    elif what == '/written':
        say(9, os.open(tempfile.mkstemp()[1], os.O_WRONLY))
    elif what == '/endless':
        say(1 << 62, os.open(path, os.O_RDONLY))
    elif what == '/many':
        reader, writer = os.pipe()
        say(1, *[os.dup(writer) for _ in range(int(path))])
    start_response('200 OK', [])
    return [b'']
"#;

wsgi_test!(a_file_that_only_the_groups_user_may_read_is_sent, groups, |site| {
    let Some([one, _]) = two_users() else { return };
    let options = format!("user={} home=/", one.name);
    let site = site.file("apps/files/app.wsgi", FILES).group("shop", &options);
    let server = site.conf("WSGIProcessGroup shop\nWSGIScriptAlias / ${APPS}/files/app.wsgi").start();
    assert_eq!(server.get("/private").ok(), "mine");
});

wsgi_test!(a_worker_gets_no_file_sent_that_its_user_may_not_read, groups, |site| {
    let Some([one, _]) = two_users() else { return };
    let Some(httpd) = own(&site) else { return };
    let options = format!("user={} home=/ threads=1", one.name);
    let site = site.file("apps/files/app.wsgi", FILES).group("shop", &options);
    let site = site.file("secret", "secret").file("open", "open");
    let secret = site.root.join("secret");
    std::os::unix::fs::chown(&secret, Some(httpd.uid.as_raw()), None).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (secret, open) = (secret.display().to_string(), site.root.join("open").display().to_string());
    let server = site.conf("WSGIProcessGroup shop\nWSGIScriptAlias / ${APPS}/files/app.wsgi").start();
    for (target, cause) in [
        (format!("/unreadable?{secret}"), "it is not open for reading"),
        ("/written".to_owned(), "it is not open for reading"),
        (format!("/endless?{open}"), "it is shorter than what is to be sent of it"),
        ("/many?3".to_owned(), "more descriptors than frames that have one"),
        ("/many?200".to_owned(), "more descriptors than frames that have one"),
    ] {
        let mut connection = server.connect();
        connection.send_head(&Request::get(&target));
        let rest = connection.rest();
        assert!(!rest.contains("secret") && !rest.contains("open"), "{target}: {rest}");
        server.wait_log(cause);
    }
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

wsgi_test!(a_corrected_prefix_counts_from_a_graceful_restart_on, groups, |site| {
    if !is_root() {
        return;
    }
    let site = site.file("locked/readme", "");
    site.root.chmod("locked", 0o700);
    let server = act(site.conf("WSGISocketPrefix locked/w").expect_log("WSGI0586"), "").start();
    assert_eq!(server.get("/pid").status, 503);
    assert!(server.wait_log("WSGI0117").message.contains("name another one in WSGISocketPrefix and reload"));
    edit(&server, "WSGISocketPrefix locked/w", "");
    server.graceful();
    until("an answer", || (server.get("/pid").status == 200).then_some(()));
    assert_eq!(sockets(&server, "run").len(), 1);
});

wsgi_test!(another_prefix_loses_no_request, groups, |site| {
    let site = site.file("one/readme", "").file("two/readme", "").conf("WSGISocketPrefix one/w");
    let server = act(site, "processes=2 threads=4").threads(16).children(2).start();
    under_load(&server, || {
        let before = pid(&server);
        edit(&server, "one/w", "two/w");
        server.graceful();
        replaced(&server, before);
        assert_eq!(sockets(&server, "two").len(), 2);
        // Children of before may connect to the old ones still.
        assert_eq!(sockets(&server, "one").len(), 2);
    });
    let root = server.root.path().to_owned();
    server.stop(|_| {
        for folder in ["one", "two"] {
            let left = std::fs::read_dir(root.join(folder)).unwrap().flatten().map(|entry| entry.file_name());
            assert_eq!(left.collect::<Vec<_>>(), ["readme"], "in {folder}");
        }
    });
});

wsgi_test!(a_prefix_that_can_not_be_is_said_and_changes_nothing, groups, |site| {
    let server = act(site.conf("# prefix"), "").start();
    pid(&server);
    edit(&server, "# prefix", "WSGISocketPrefix nowhere/w");
    server.allow_log("WSGI0586");
    server.graceful();
    let said = server.wait_log("can't bind the socket").message;
    assert!(said.contains("nowhere/w.") && said.contains("httpd would not start"), "{said}");
    for _ in 0..10 {
        pid(&server);
    }
    // The next one begins where this one was.
    edit(&server, "WSGISocketPrefix nowhere/w", "");
    server.graceful();
    pid(&server);
    assert_eq!(server.log().iter().filter(|line| line.message.contains("can't bind the socket")).count(), 1);
});

wsgi_test!(removed_sockets_are_made_anew_by_a_graceful_restart, groups, |site| {
    let server = act(site, "processes=2").start();
    let before = pid(&server);
    let old = sockets(&server, "run");
    old.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    server.graceful();
    replaced(&server, before);
    let new = sockets(&server, "run");
    assert!(new.len() == 2 && !old.contains(&new[0]), "{old:?} {new:?}");
    // Another file in its place is as good as none.
    let before = pid(&server);
    std::fs::remove_file(&new[0]).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&new[0]).unwrap());
    server.graceful();
    replaced(&server, before);
    server.allow_log("WSGI0117");
});
