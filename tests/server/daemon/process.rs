//! How a daemon process is set up before the application sees it: identity, folders, environment, limits, Python.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use serde_json::{Value, json};

use super::{group_of, is_root, two_users};
use crate::harness::folder::copy;
use crate::harness::process::command_line;
use crate::harness::{Server, Site, until, wsgi_test};

/// A site whose application tells about its process, in a group `shop`.
fn shop(site: Site, options: &str) -> Site {
    site.app("process").group("shop", options).conf("WSGIProcessGroup shop")
}

fn facts(site: Site, options: &str) -> Value {
    shop(site, options).start().get("/").json()
}

fn id(seen: &Value) -> u32 {
    u32::try_from(seen["pid"].as_u64().unwrap()).unwrap()
}

/// Real, effective and saved id, all the same.
fn thrice(id: u32) -> Value {
    json!([id, id, id])
}

/// The groups that the system lists for a user, this one among them.
fn system_groups(user: &str, group: nix::unistd::Gid) -> Value {
    let name = std::ffi::CString::new(user).unwrap();
    let listed = nix::unistd::getgrouplist(&name, group).unwrap();
    json!(listed.into_iter().map(nix::unistd::Gid::as_raw).collect::<BTreeSet<u32>>())
}

wsgi_test!(threads_of_very_short_requests_wait_for_a_processor_and_others_do_not, groups, |site| {
    let script = "\
import os, time

def application(environ, start_response):
    end = time.monotonic() + .001 * int(environ['QUERY_STRING'])
    while time.monotonic() < end:
        pass
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [str(os.sched_getscheduler(0)).encode()]
";
    let site = site.file("apps/policy/app.wsgi", script).group("shop", "threads=2").group("chosen", "cpu-priority=1");
    let mount = "WSGIScriptAlias /NAME ${APPS}/policy/app.wsgi process-group=NAME application-group=%{GLOBAL}\n";
    let server = site.conf(&["shop", "chosen"].map(|name| mount.replace("NAME", name)).concat()).start();
    // On a busy machine some take long.
    let becomes = |target: &str, policy: libc::c_int| {
        until(target, || (server.get(target).ok() == policy.to_string()).then_some(()));
    };
    becomes("/shop?0", libc::SCHED_BATCH);
    becomes("/shop?3", libc::SCHED_OTHER);
    becomes("/shop?0", libc::SCHED_BATCH);
    for _ in 0..20 {
        assert_eq!(server.get("/chosen?0").ok(), libc::SCHED_OTHER.to_string());
    }
});

wsgi_test!(without_options_it_is_httpds_user, groups, |site| {
    if !is_root() {
        return;
    }
    let (name, _) = site.httpd.user.clone().unwrap();
    let user = nix::unistd::User::from_name(&name).unwrap().unwrap();
    let server = shop(site, "").start();
    let seen = server.get("/").json();
    assert_eq!(seen["uids"], thrice(user.uid.as_raw()));
    assert_eq!(seen["gids"], thrice(user.gid.as_raw()));
    assert_eq!(seen["groups"], system_groups(&name, user.gid), "none of root's");
    assert!(server.descendants().contains(&id(&seen)));
});

wsgi_test!(user_and_group_are_by_name_or_number, groups, |site| {
    let Some([one, two]) = two_users() else { return };
    let setting = site.setting;
    let (name, number) = (group_of(&two), format!("#{}", one.uid));
    for (user, group, gid) in [
        (one.name.clone(), None, one.gid),
        (one.name.clone(), Some(name.clone()), two.gid),
        (number.clone(), Some(format!("#{}", two.gid)), two.gid),
    ] {
        let mut options = format!("user={user}");
        if let Some(group) = &group {
            options += &format!(" group={group}");
        }
        let seen = facts(Site::new("user", setting).unwrap(), &options);
        assert_eq!(seen["uids"], thrice(one.uid.as_raw()), "{options}");
        if group.is_some() {
            assert_eq!(seen["gids"], thrice(gid.as_raw()), "{options}");
            assert_eq!(seen["groups"], system_groups(&one.name, gid), "{options}");
        }
        assert_eq!(seen["environ"]["HOME"], one.dir.to_str().unwrap(), "{options}");
        assert_eq!(seen["cwd"], one.dir.canonicalize().unwrap().to_str().unwrap(), "{options}");
    }
});

wsgi_test!(user_names_of_the_environment_follow_the_user, groups, |site| {
    let Some([one, _]) = two_users() else { return };
    let site = site.variable("USER", "somebody").variable("LOGNAME", "somebody").variable("HOME", "/nowhere");
    let seen = facts(site, &format!("user={}", one.name));
    assert_eq!(seen["environ"]["USER"], one.name);
    assert_eq!(seen["environ"]["LOGNAME"], one.name);
    assert_eq!(seen["environ"]["HOME"], one.dir.to_str().unwrap());
});

wsgi_test!(supplementary_groups_are_those_written, groups, |site| {
    let Some([one, two]) = two_users() else { return };
    let (own, other) = (group_of(&one), group_of(&two));
    let seen = facts(site, &format!("user={} group={own} supplementary-groups={other},#{}", one.name, one.gid));
    let expected: BTreeSet<u32> = [one.gid.as_raw(), two.gid.as_raw()].into();
    let found: BTreeSet<u32> = serde_json::from_value(seen["groups"].clone()).unwrap();
    assert_eq!(found, expected);
});

wsgi_test!(without_root_user_and_group_are_ignored, groups, |site| {
    let Some([one, _]) = two_users() else { return };
    let (name, _) = site.httpd.user.clone().unwrap();
    let user = nix::unistd::User::from_name(&name).unwrap().unwrap();
    let options = format!("user={} group={} cpu-priority=19", one.name, group_of(&one));
    let seen = facts(site.unprivileged(), &options);
    assert_eq!(seen["uids"], thrice(user.uid.as_raw()));
    assert_eq!(seen["priority"], 19);
});

wsgi_test!(a_priority_counts_beside_other_sessions, groups, |site| {
    let server = shop(site, "cpu-priority=7").start();
    let path = format!("/proc/{}/autogroup", id(&server.get("/").json()));
    // Not with every kernel.
    if let Ok(group) = std::fs::read_to_string(path) {
        assert!(group.trim_end().ends_with("nice 7"), "{group}");
    }
});

wsgi_test!(chroot_without_root_is_refused, groups, |site| {
    if !is_root() {
        return;
    }
    let said = shop(site, "chroot=/").unprivileged().try_start().err().unwrap();
    assert!(said.contains("chroot"), "{said}");
});

/// The large folders of Python's library that no application needs.
const UNUSED: [&str; 9] = [
    "__pycache__",
    "dist-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tkinter",
];

wsgi_test!(a_chroot_holds_the_process, groups, |site| {
    let Some([one, _]) = two_users() else { return };
    // What Python needs, in the jail; the script is at the same path inside and outside.
    let jail = site.root.join("jail");
    let python = std::env::var("PYO3_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    let output = Command::new(python).args(["-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]).output();
    let library = String::from_utf8(output.unwrap().stdout).unwrap();
    let library = std::path::Path::new(library.trim());
    let inside = jail.join(library.strip_prefix("/").unwrap());
    std::fs::create_dir_all(&inside).unwrap();
    for entry in std::fs::read_dir(library).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_file() {
            std::fs::copy(entry.path(), inside.join(name)).unwrap();
        } else if !UNUSED.contains(&name.as_str()) {
            copy(&entry.path(), &inside.join(name));
        }
    }
    let script = "import os\ndef application(environ, start_response):\n    body = ' '.join(sorted(os.listdir('/'))).encode()\n    start_response('200 OK', [('Content-Length', str(len(body)))])\n    return [body]\n";
    let site = site.file("jail/app.wsgi", script).conf("<Directory ${ROOT}/jail>\n  Require all granted\n</Directory>");
    let site = site.group("shop", &format!("chroot=${{ROOT}}/jail home=/ user={}", one.name));
    let server = site.conf("WSGIProcessGroup shop\nWSGIScriptAlias / ${ROOT}/jail/app.wsgi").start();
    // The C library says so where it is not in the jail, and does without.
    server.allow_log("libgcc_s.so.1");
    let top = library.components().nth(1).unwrap().as_os_str().to_str().unwrap();
    assert_eq!(server.get("/").ok(), format!("app.wsgi {top}"));
});

wsgi_test!(root_may_not_be_asked_for, groups, |site| {
    if !is_root() {
        return;
    }
    let setting = site.setting;
    for user in ["root", "#0"] {
        let said = shop(Site::new("root", setting).unwrap(), &format!("user={user}")).try_start().err().unwrap();
        assert!(said.contains("user"), "{said}");
    }
});

wsgi_test!(unknown_users_and_groups_are_refused, groups, |site| {
    if !is_root() {
        return;
    }
    let setting = site.setting;
    for option in ["user=nobody-of-that-name", "group=no-group-of-that-name", "supplementary-groups=no-such-group"] {
        let said = shop(Site::new("unknown", setting).unwrap(), option).try_start().err().unwrap();
        assert!(said.contains(option.split_once('=').unwrap().1), "{option}: {said}");
    }
});

wsgi_test!(folders_and_umask_are_set, groups, |site| {
    let home = site.root.join("apps").display().to_string();
    let seen = facts(site, &format!("home={home} umask=0027"));
    assert_eq!(seen["cwd"], home);
    assert_eq!(seen["path"][0], home);
    assert_eq!(seen["umask"], 0o027);
});

wsgi_test!(the_servers_environment_arrives_as_today, groups, |site| {
    let site = site.variable("SHOP_SETTING", "from envvars").variable("LANG", "C.UTF-8").conf("SetEnv shop.request 1");
    let seen = facts(site, "");
    assert_eq!(seen["environ"]["SHOP_SETTING"], "from envvars");
    assert_eq!(seen["environ"]["LANG"], "C.UTF-8");
    assert_eq!(seen["environ"].get("shop.request"), None);
});

wsgi_test!(lang_and_locale_are_set, groups, |site| {
    let seen = facts(site, "lang=de_DE.UTF-8 locale=C.UTF-8");
    assert_eq!((&seen["environ"]["LANG"], &seen["environ"]["LC_ALL"]), (&json!("de_DE.UTF-8"), &json!("C.UTF-8")));
    assert_eq!(seen["locale"], "C.UTF-8");
});

wsgi_test!(an_unknown_locale_is_warned_about, groups, |site| {
    let server = shop(site, "locale=xx_XX.not-there").start();
    assert_eq!(server.get("/").json()["environ"]["LC_ALL"], "xx_XX.not-there");
    server.wait_log("WSGI0079");
});

wsgi_test!(python_options_set_its_python_up, groups, |site| {
    let site = site.file("first/marker.py", "WHERE = 'first'\n").file("second/marker.py", "WHERE = 'second'\n");
    let more = site.root.join("more").display().to_string();
    let site = site.file("first/more.pth", format!("{more}\n")).file("more/x.py", "").app("python_facts");
    let options = "python-path=${ROOT}/first:${ROOT}/second python-eggs=${ROOT}/var/eggs switch-interval=0.0125";
    let server = site.group("shop", options).conf("WSGIProcessGroup shop\nWSGIPythonPath /not/for/daemons").start();
    let seen = server.get("/").json();
    assert_eq!((&seen["marker"], &seen["switch_interval"]), (&json!("first"), &json!(0.0125)));
    assert_eq!(seen["egg_cache"], server.root.join("var/eggs").to_str().unwrap());
    let path: Vec<&str> = seen["path"].as_array().unwrap().iter().map(|entry| entry.as_str().unwrap()).collect();
    let at = |end: &str| path.iter().position(|entry| entry.ends_with(end));
    assert!(at("/first") < at("/second") && at("/first").is_some() && at("/more").is_some(), "{path:?}");
    assert_eq!(at("/not/for/daemons"), None);
});

wsgi_test!(a_folder_that_is_missing_in_python_path_takes_no_other_with_it, groups, |site| {
    let site = site.file("first/marker.py", "WHERE = 'first'\n").app("python_facts");
    let server = site.group("shop", "python-path=${ROOT}/none:${ROOT}/first").conf("WSGIProcessGroup shop").start();
    assert_eq!(server.get("/").json()["marker"], "first");
    server.wait_log("WSGI0091");
});

wsgi_test!(what_a_script_starts_while_it_is_loaded_has_no_signal_blocked, groups, |site| {
    const APP: &str = "\
import signal

blocked = sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, [])))

def application(environ, start_response):
    start_response('200 OK', [])
    return [repr(blocked).encode()]
";
    let site = site.file("apps/blocked/app.wsgi", APP).group("shop", "");
    let mount = |group: &str| {
        format!("WSGIScriptAlias /{group} ${{APPS}}/blocked/app.wsgi process-group=shop application-group={group}\n")
    };
    let server = site.conf(&(mount("one") + &mount("two"))).start();
    assert_eq!(
        ["/one", "/two"].map(|target| server.get(target).ok()),
        ["[]", "[]"],
        "on the home thread of an interpreter"
    );
});

wsgi_test!(each_group_has_its_own_virtual_environment, groups, |site| {
    let python = std::env::var("PYO3_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    let mut site = site.files("python_facts");
    for name in ["one", "two", "default"] {
        let home = site.root.join(name);
        let made = Command::new(&python).args(["-m", "venv", "--without-pip"]).arg(&home).status().unwrap();
        assert!(made.success());
        let option = if name == "default" { String::new() } else { format!("python-home=${{ROOT}}/{name}") };
        site =
            site.group(name, &option).mount_with(&format!("/{name}"), "python_facts", &format!("process-group={name}"));
    }
    let server = site.conf("WSGIPythonHome ${ROOT}/default").start();
    for name in ["one", "two", "default"] {
        let seen = server.get(&format!("/{name}")).json();
        assert_eq!(seen["prefix"], server.root.join(name).to_str().unwrap());
    }
});

wsgi_test!(processes_and_threads_are_told_to_applications, groups, |site| {
    let setting = site.setting;
    for (options, multithread, multiprocess, run_once) in [
        ("", true, false, false),
        ("threads=25", true, false, false),
        ("processes=1 threads=25", true, true, false),
        ("processes=2", true, true, false),
        ("processes=5 threads=1", false, true, false),
        ("threads=1", false, false, false),
        ("threads=1 maximum-requests=1", false, false, true),
    ] {
        let seen = facts(Site::new("threads", setting).unwrap(), options);
        let found = [&seen["multithread"], &seen["multiprocess"], &seen["run_once"]];
        assert_eq!(found, [multithread, multiprocess, run_once], "{options}");
        assert_eq!(seen["process_group"], "shop");
    }
});

wsgi_test!(processes_are_shown_by_their_name, groups, |site| {
    let setting = site.setting;
    for (option, shown) in
        [("", "(wsgi:shop)"), ("display-name=%{GROUP}", "(wsgi:shop)"), ("display-name=my-shop", "my-shop")]
    {
        let server = shop(Site::new("name", setting).unwrap(), option).start();
        let seen = server.get("/").json();
        assert_eq!(command_line(id(&seen)).trim(), shown, "{option}");
    }
});

wsgi_test!(the_supervisor_is_shown_by_its_own_name, groups, |site| {
    let server = shop(site, "").start();
    let seen = server.get("/").json();
    let parent = u32::try_from(seen["parent"].as_u64().unwrap()).unwrap();
    assert!(server.children().contains(&parent), "{parent} is no child of httpd's parent");
    assert!(command_line(parent).contains("mod_wsgi-supervisor"), "{}", command_line(parent));
    assert_eq!(seen["session"], seen["pid"], "a session of its own");
});

wsgi_test!(limits_and_priority_are_set, groups, |site| {
    let options =
        "cpu-time-limit=100 memory-limit=900000000 virtual-memory-limit=4000000000 cpu-priority=19 shutdown-timeout=7";
    let seen = facts(site, options);
    assert_eq!(seen["limits"]["CPU"], json!([100, 108]));
    assert_eq!(seen["limits"]["DATA"], json!([900_000_000, 900_000_000]));
    assert_eq!(seen["limits"]["AS"], json!([4_000_000_000_u64, 4_000_000_000_u64]));
    assert_eq!(seen["priority"], 19);
});

wsgi_test!(a_priority_that_it_may_not_have_is_done_without, groups, |site| {
    let own = facts(Site::new("priority", site.setting).unwrap(), "")["priority"].as_i64().unwrap();
    let server = shop(site, &format!("cpu-priority={}", own - 1)).unprivileged().start();
    assert_eq!(server.get("/").json()["priority"], own);
    server.wait_log("WSGI0416");
});

wsgi_test!(threads_have_the_stack_asked_for, groups, |site| {
    let seen = facts(site, "stack-size=1048576");
    let size = seen["stack"].as_u64().unwrap();
    assert!((1_048_576..1_300_000).contains(&size), "{size}");
});

wsgi_test!(a_process_holds_no_descriptor_it_does_not_need, groups, |site| {
    // More of them in the parent: logs of its own, other groups, other modules.
    let site = site
        .group("other", "")
        .expect_log("WSGI0580")
        .conf("CustomLog logs/access.log common")
        .load(&["cgid", "status"]);
    let server = shop(site, "").start();
    let seen = server.get("/").json();
    let links: Vec<&str> =
        seen["descriptors"].as_object().unwrap().values().map(|link| link.as_str().unwrap()).collect();
    let root = server.root.path().to_str().unwrap();
    assert!(!links.iter().any(|link| link.starts_with(root)), "files of the site: {links:?}");
    assert_eq!(seen["families"], json!(["AF_UNIX"]), "no socket of httpd's");
    for link in links {
        let known =
            ["socket:", "pipe:", "anon_inode:", "/memfd:", "/proc/"].iter().any(|start| link.starts_with(start));
        assert!(known || link == "/dev/null" || link == "/dev/urandom", "{link}");
    }
});

/// Whether a text is anywhere in the memory of a process.
fn remembers(id: u32, text: &str) -> bool {
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{id}/mem")).unwrap();
    maps.lines().filter(|line| line.contains(" rw")).any(|line| {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [from, to] = [from, to].map(|number| u64::from_str_radix(number, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        let read = memory.read_at(&mut bytes, from).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..read]).contains(text)
    })
}

wsgi_test!(a_process_has_nothing_of_its_parents_memory, groups, |site| {
    if !is_root() {
        return;
    }
    // Such as the key of another site.
    let server =
        shop(site.conf("<Location /other>\nSetEnv OTHER_SITES_SECRET 4f1d-22aa\n</Location>"), "threads=1").start();
    let seen = server.get("/").json();
    let supervisor = u32::try_from(seen["parent"].as_u64().unwrap()).unwrap();
    assert!(remembers(server.parent(), "4f1d-22aa"));
    assert!(!remembers(id(&seen), "4f1d-22aa"));
    assert!(!remembers(supervisor, "4f1d-22aa"));
});

/// The process ids that have answered.
fn answering(server: &Server, wanted: usize) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    until(&format!("{wanted} processes to answer"), || {
        std::thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| id(&server.get("/").json()))).collect();
            found.extend(asking.into_iter().map(|asked| asked.join().unwrap()));
        });
        (found.len() >= wanted).then_some(())
    });
    found
}

wsgi_test!(a_group_has_the_processes_asked_for, groups, |site| {
    let server = shop(site, "processes=3 threads=1").start();
    let found = answering(&server, 3);
    assert_eq!(found.len(), 3);
    assert!(found.is_subset(&server.descendants().into_iter().collect()));
});
