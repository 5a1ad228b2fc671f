//! Which daemon process group serves a request, which may not, and where it writes its log.

use serde_json::{Value, json};

use super::{act, edit, group_of, two_users};
use crate::harness::wait::DEADLINE;
use crate::harness::{Request, Server, Site, until, wsgi_test};

fn ask(server: &Server, host: &str, target: &str) -> Value {
    server.ask(&Request::get(target).header("Host", host)).json()
}

/// Mounts `process` below `/NAME` with the lines in its `<Location>`.
fn mount(site: Site, name: &str, lines: &str) -> Site {
    site.mount(&format!("/{name}"), "process").conf(&format!("<Location /{name}>\n{lines}\n</Location>"))
}

wsgi_test!(virtual_hosts_have_groups_of_their_own, groups, |site| {
    let Some(users) = two_users() else { return };
    let mut site = site.files("process").files("act");
    for (name, user) in ["one", "two"].iter().zip(&users) {
        site = site.conf(&format!(
            "<VirtualHost *:${{PORT}}>\n  ServerName {name}.example\n  ErrorLog logs/{name}.log\n  WSGIDaemonProcess {name} user={} group={} threads=2\n  WSGIProcessGroup {name}\n  SetEnv demo.var ${{ROOT}}/var\n  WSGIScriptAlias /act ${{APPS}}/act/app.wsgi\n  WSGIScriptAlias / ${{APPS}}/process/app.wsgi\n</VirtualHost>",
            user.name,
            group_of(user)
        ));
    }
    let server = site.start();
    server.gate_also("logs/one.log");
    server.gate_also("logs/two.log");
    for (name, user) in ["one", "two"].iter().zip(&users) {
        let seen = ask(&server, &format!("{name}.example"), "/");
        let id = user.uid.as_raw();
        assert_eq!((&seen["uids"], &seen["process_group"]), (&json!([id, id, id]), &json!(name)));
        let request = Request::get(&format!("/act/print?from-{name}")).header("Host", &format!("{name}.example"));
        server.ask(&request).ok();
        let text = format!("from-{name}");
        until(&text, || server.root.read(&format!("logs/{name}.log")).contains(&text).then_some(()));
        let other = if *name == "one" { "two" } else { "one" };
        assert!(!server.root.read(&format!("logs/{other}.log")).contains(&text));
        assert!(!server.root.read("logs/error.log").contains(&text));
        server.expect_log(&text);
    }
    assert_ne!(ask(&server, "one.example", "/")["pid"], ask(&server, "two.example", "/")["pid"]);
});

/// An application that says something outside of a request, and one that does so in each.
const SPEAKS: &str = "import sys, threading
def speak():
    print('from a thread', file=sys.stderr)
def application(environ, start_response):
    thread = threading.Thread(target=speak)
    thread.start()
    thread.join()
    start_response('200 OK', [])
    return []
";

wsgi_test!(lines_of_processes_look_as_error_log_format_says, groups, |site| {
    let host = |name: &str, format: &str| {
        format!(
            "<VirtualHost *:${{PORT}}>\n  ServerName {name}.example\n  ErrorLog logs/{name}.log\n  {format}\n  \
             WSGIDaemonProcess {name}\n  WSGIScriptAlias / ${{APPS}}/s/app.wsgi process-group={name} \
             application-group=%{{GLOBAL}}\n</VirtualHost>"
        )
    };
    let site = site.file("apps/s/app.wsgi", SPEAKS);
    let own = "ErrorLogFormat request \"of %a\"\n<IfModule wsgi_module>\n  ErrorLogFormat \"own %v %-L [client\\ %a] %m:%l %M\"\n</IfModule>";
    let server = site.conf(&host("one", own)).conf(&host("two", "LogLevel info")).start();
    for (name, start) in [("one", "own one.example - wsgi:error from a thread"), ("two", "error wsgi ")] {
        assert_eq!(server.ask(&Request::get("/").header("Host", &format!("{name}.example"))).status, 200);
        let log = || server.root.read(&format!("logs/{name}.log"));
        let is = |line: &str| line.starts_with(start) && line.ends_with(" from a thread");
        until(&format!("{start:?}"), || log().lines().any(is).then_some(()));
    }
});

/// Mounts a small `/dev` of one's own, with a folder of the site for `/dev/log`, where it binds; then goes on with the command.
const OWN_DEVICES: &str = r#"
set -e
mkdir "$0" && mount -t tmpfs none "$0" && chmod 755 "$0"
for name in null zero random urandom; do touch "$0/$name"; mount --bind "/dev/$name" "$0/$name"; done
mkdir "$0/shm" && mount -t tmpfs none "$0/shm"
ln -s "$0.log" "$0/log"
mount --rbind "$0" /dev
exec "$@"
"#;

wsgi_test!(lines_of_processes_go_to_syslog_as_httpds_do, groups, |site| {
    let possible = std::process::Command::new("unshare").args(["-m", "true"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        return eprintln!("SKIPPED: no mount namespace can be made for a /dev/log of one's own");
    }
    let devices = site.root.join("var/dev").display().to_string();
    let syslog = std::os::unix::net::UnixDatagram::bind(format!("{devices}.log")).unwrap();
    site.root.chmod("var/dev.log", 0o666);
    syslog.set_read_timeout(Some(DEADLINE)).unwrap();
    let site = site.file("apps/s/app.wsgi", SPEAKS).conf(
        "<VirtualHost *:${PORT}>\n  ServerName shop.example\n  ErrorLog syslog:user:shop\n  WSGIDaemonProcess shop\n  \
         WSGIScriptAlias /s ${APPS}/s/app.wsgi process-group=shop application-group=%{GLOBAL}\n  \
         Alias /denied /etc\n</VirtualHost>",
    );
    let server = site.within(&["unshare", "-m", "sh", "-c", OWN_DEVICES, &devices]).start();
    assert_eq!((server.get("/denied").status, server.get("/s").status), (403, 200));
    let next = |wanted: &str| loop {
        let mut text = [0; 9000];
        let length = syslog.recv(&mut text).unwrap();
        let text = String::from_utf8_lossy(&text[..length]).into_owned();
        if text.contains(wanted) {
            break text;
        }
    };
    // httpd's own, and one like it: priority, time, tag, process id, and the site's format.
    for (wanted, module) in [("AH01630", "authz_core"), ("from a thread", "wsgi")] {
        let line = next(wanted);
        let (front, message) = line.split_once("]: ").unwrap();
        let (front, pid) = front.rsplit_once('[').unwrap();
        let (time, tag) = front.rsplit_once(' ').unwrap();
        assert_eq!((tag, time.len()), ("shop", "<13>Nov 20 11:56:55".len()), "{line}");
        assert!(time.starts_with("<11>"), "{line}");
        assert!(message.starts_with(&format!("error {module} {pid} ")), "{line}");
    }
});

wsgi_test!(what_a_process_says_by_itself_goes_to_the_log_of_its_virtual_host, groups, |site| {
    let script = "import sys, threading\ndef speak():\n    print('from a thread', file=sys.stderr)\nthreading.Thread(target=speak).start()\nprint('from an import', file=sys.stderr)\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return []\n";
    let site = site.file("apps/s/app.wsgi", script);
    let server = site.conf("<VirtualHost *:${PORT}>\n  ServerName one.example\n  ErrorLog logs/one.log\n  WSGIDaemonProcess one\n  WSGIScriptAlias / ${APPS}/s/app.wsgi process-group=one application-group=%{GLOBAL}\n</VirtualHost>").start();
    server.gate_also("logs/one.log");
    for text in ["from an import", "from a thread"] {
        // Loaded at its start: no request is needed.
        until(text, || server.log_at("logs/one.log").iter().any(|line| line.message == text).then_some(()));
        server.expect_log(text);
        assert!(!server.log_text().contains(text), "in the main log");
    }
    let line = server.log_at("logs/one.log").into_iter().find(|line| line.message == "from a thread").unwrap();
    assert_eq!((line.module.as_str(), line.level.as_str()), ("wsgi", "error"));
});

wsgi_test!(a_group_of_the_main_server_is_for_every_virtual_host, groups, |site| {
    let mut site = site.files("process").group("shared", "");
    for name in ["one", "two"] {
        site = site.conf(&format!(
            "<VirtualHost *:${{PORT}}>\n  ServerName {name}.example\n  WSGIProcessGroup shared\n  WSGIScriptAlias / ${{APPS}}/process/app.wsgi\n</VirtualHost>"
        ));
    }
    let server = site.start();
    let (one, two) = (ask(&server, "one.example", "/"), ask(&server, "two.example", "/"));
    assert_eq!(one["pid"], two["pid"]);
    assert_ne!(one["application_group"], two["application_group"]);
});

wsgi_test!(two_applications_of_one_process_are_apart, groups, |site| {
    let site = site.group("shared", "").conf("WSGIProcessGroup shared");
    let server = site.mount("/one", "interpreter").mount("/two", "interpreter").start();
    for expected in 1..4 {
        assert_eq!(server.get("/one").json()["calls"], expected);
    }
    let (one, two) = (server.get("/one").json(), server.get("/two").json());
    assert_eq!((&one["pid"], &two["calls"]), (&two["pid"], &json!(1)));
});

/// A virtual host `NAME.example` with a daemon process group of its own and these lines.
fn host(site: Site, name: &str, lines: &str) -> Site {
    site.conf(&format!(
        "<VirtualHost *:${{PORT}}>\n  ServerName {name}.example\n  WSGIDaemonProcess {name}\n  {lines}\n</VirtualHost>"
    ))
}

wsgi_test!(an_application_alone_in_its_group_has_the_main_interpreter, groups, |site| {
    let site = site.files("process").file(
        "apps/beside.wsgi",
        "from pathlib import Path\nexec(Path(__file__).with_name('process').joinpath('app.wsgi').read_text())\n",
    );
    let site = host(site, "plain", "WSGIProcessGroup plain\nWSGIScriptAlias /x ${APPS}/process/app.wsgi");
    let site = host(site, "option", "WSGIScriptAlias / ${APPS}/process/app.wsgi process-group=option");
    let site = host(
        site,
        "section",
        "WSGIScriptAlias / ${APPS}/process/app.wsgi\n<Directory ${APPS}>\nWSGIProcessGroup section\n</Directory>",
    );
    // The same site on another port, and a second one that has the name only.
    let site = host(site, "twice", "WSGIProcessGroup twice\nWSGIScriptAlias /x ${APPS}/process/app.wsgi");
    let site = site.conf("<VirtualHost 127.0.0.2:1>\n  ServerName twice.example\n  WSGIProcessGroup twice\n  WSGIScriptAlias /x ${APPS}/process/app.wsgi\n</VirtualHost>");
    let site = host(
        site,
        "imported",
        "WSGIImportScript ${APPS}/process/app.wsgi process-group=imported application-group=%{GLOBAL}\nWSGIProcessGroup imported\nWSGIScriptAlias /x ${APPS}/process/app.wsgi",
    );
    let site = host(
        site,
        "handler",
        "WSGIProcessGroup handler\nWSGIScriptAlias /x ${APPS}/process/app.wsgi\nAlias /other ${APPS}/beside.wsgi\n<Location /other>\nOptions ExecCGI\nSetHandler wsgi-script\n</Location>",
    );
    let server = site.start();
    let mounts =
        [("plain", "/x"), ("option", ""), ("section", ""), ("twice", "/x"), ("imported", "/x"), ("handler", "/x")];
    let check = |name: &str, mount: &str| {
        let seen = ask(&server, &format!("{name}.example"), &format!("{mount}/"));
        let group = json!(format!("{name}.example|{mount}"));
        assert_eq!((&seen["process_group"], &seen["main_interpreter"]), (&json!(name), &json!(true)), "{name}");
        assert_eq!((&seen["application_group"], &seen["group_of_module"]), (&group, &group), "{name}");
        seen["pid"].clone()
    };
    let before = mounts.map(|(name, mount)| check(name, mount));
    // One application, by whatever port its client calls it.
    let seen = ask(&server, "plain.example:9", "/x");
    assert_eq!((&seen["main_interpreter"], &seen["application_group"]), (&json!(true), &json!("plain.example:9|/x")));
    // What comes by another way is another application.
    let seen = ask(&server, "handler.example", "/other");
    assert_eq!((&seen["process_group"], &seen["main_interpreter"]), (&json!("handler"), &json!(false)));
    assert_eq!(seen["application_group"], "handler.example|/other");
    // Successors have it there, too.
    server.graceful();
    for ((name, mount), before) in mounts.into_iter().zip(&before) {
        until("a successor", || (check(name, mount) != *before).then_some(()));
    }
});

wsgi_test!(an_application_that_is_not_alone_or_has_a_group_keeps_its_own_interpreter, groups, |site| {
    let alias = "WSGIScriptAlias /x ${APPS}/process/app.wsgi";
    let cases = [
        ("resource", format!("WSGIProcessGroup resource\n{alias}\nWSGIApplicationGroup %{{RESOURCE}}")),
        ("place", format!("WSGIProcessGroup place\n{alias}\n<Location /y>\nWSGIApplicationGroup y\n</Location>")),
        ("option", format!("{alias} process-group=option application-group=%{{RESOURCE}}")),
        ("two", format!("WSGIProcessGroup two\n{alias}\nWSGIScriptAlias /y ${{APPS}}/act/app.wsgi")),
        ("mounts", format!("WSGIProcessGroup mounts\n{alias}\nWSGIScriptAlias /y ${{APPS}}/process/app.wsgi")),
        ("match", "WSGIProcessGroup match\nWSGIScriptAliasMatch ^/x ${APPS}/process/app.wsgi".to_owned()),
        ("folder", "WSGIProcessGroup folder\nWSGIScriptAlias /x ${APPS}/x".to_owned()),
        ("slash", "WSGIProcessGroup slash\nWSGIScriptAlias /x/ ${APPS}/x/".to_owned()),
        ("variable", format!("SetEnv G variable\n{alias} process-group=%{{ENV:G}}")),
        ("imported", format!("WSGIProcessGroup imported\n{alias}\nWSGIImportScript ${{APPS}}/act/app.wsgi process-group=imported application-group=%{{GLOBAL}}")),
        ("handled", "WSGIProcessGroup handled\nAlias /x ${APPS}/process/app.wsgi\n<Location /x>\nOptions ExecCGI\nSetHandler wsgi-script\n</Location>".to_owned()),
    ];
    let mut site = site.files("process").files("act");
    let script = site.root.read("apps/process/app.wsgi");
    site = site.file("apps/x/app.wsgi", script);
    for (name, lines) in &cases {
        site = host(site, name, lines);
    }
    // Two names are two application groups, whose applications C mod_wsgi keeps apart.
    site = site.group("shared", "");
    for name in ["one", "other"] {
        site = site.conf(&format!("<VirtualHost *:${{PORT}}>\n  ServerName {name}.example\n  WSGIProcessGroup shared\n  {alias}\n</VirtualHost>"));
    }
    let server = site.start();
    let hosts = cases.iter().map(|(name, _)| (*name, *name)).chain([("one", "shared"), ("other", "shared")]);
    for (name, group) in hosts {
        let path = if matches!(name, "folder" | "slash") { "/x/app.wsgi" } else { "/x" };
        let seen = ask(&server, &format!("{name}.example"), path);
        let expected = format!("{name}.example|{path}");
        assert_eq!((&seen["process_group"], &seen["main_interpreter"]), (&json!(group), &json!(false)), "{name}");
        assert_eq!(
            (&seen["application_group"], &seen["group_of_module"]),
            (&json!(expected), &json!(expected)),
            "{name}"
        );
    }
});

wsgi_test!(a_group_that_is_no_longer_alone_gets_new_processes, groups, |site| {
    let script = "import os, mod_wsgi\nwith open(os.path.join(os.path.dirname(__file__), '../../var/loads'), 'a') as file:\n    file.write('%d %s\\n' % (os.getpid(), mod_wsgi.application_group))\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'%d' % os.getpid()]\n";
    let site = site.file("apps/s/app.wsgi", script).files("act").group("shop", "");
    let site = site.conf("WSGIProcessGroup shop\nWSGIScriptAlias /x ${APPS}/s/app.wsgi\n# more");
    let server = site.start();
    let old = server.get("/x").ok();
    edit(&server, "# more", "WSGIScriptAlias /y ${APPS}/act/app.wsgi");
    server.graceful();
    let new = until("another process", || Some(server.get("/x").ok()).filter(|id| *id != old));
    // The old one had it in the main interpreter; nobody is told to load it there.
    let group = format!("localhost:{}|/x", server.port);
    assert_eq!(server.root.read("var/loads"), format!("{old} localhost|/x\n{new} {group}\n"));
});

wsgi_test!(groups_that_may_not_be_used_are_a_500, groups, |site| {
    let site = site.files("process").group("main", "");
    let site = site.conf("<VirtualHost *:${PORT}>\n  ServerName one.example\n  WSGIDaemonProcess one\n  WSGIProcessGroup one\n  WSGIScriptAlias / ${APPS}/process/app.wsgi\n</VirtualHost>");
    let site = site.conf("<VirtualHost *:${PORT}>\n  ServerName two.example\n  WSGIScriptAlias / ${APPS}/process/app.wsgi\n  <Location /foreign>\n    WSGIProcessGroup one\n  </Location>\n  <Location /unknown>\n    WSGIProcessGroup nowhere\n  </Location>\n  <Location /case>\n    WSGIProcessGroup Main\n  </Location>\n  <Location /main>\n    WSGIProcessGroup main\n  </Location>\n</VirtualHost>");
    let server = site.expect_log("WSGI0589").expect_log("WSGI0590").start();
    assert_eq!(ask(&server, "one.example", "/")["process_group"], "one");
    assert_eq!(ask(&server, "two.example", "/main")["process_group"], "main");
    for (target, number) in [("/foreign", "WSGI0152"), ("/unknown", "WSGI0151"), ("/case", "WSGI0151")] {
        assert_eq!(server.ask(&Request::get(target).header("Host", "two.example")).status, 500, "{target}");
        server.wait_log(&format!("{number}: "));
    }
});

wsgi_test!(without_any_group_a_group_is_a_500, groups, |site| {
    let site = site.app("process").conf("WSGIProcessGroup nowhere");
    let server = site.expect_log("WSGI0589").expect_log("WSGI0150: ").start();
    assert_eq!(server.get("/").status, 500);
});

wsgi_test!(virtual_hosts_of_one_name_share_their_groups, groups, |site| {
    // As http and https do; only the first of the two is ever asked here.
    let site = site.files("process");
    let site = site.conf("<VirtualHost *:${PORT}>\n  ServerName one.example\n  WSGIProcessGroup one\n  WSGIScriptAlias / ${APPS}/process/app.wsgi\n</VirtualHost>");
    let server =
        site.conf("<VirtualHost *:${PORT}>\n  ServerName one.example\n  WSGIDaemonProcess one\n</VirtualHost>").start();
    assert_eq!(ask(&server, "one.example", "/")["process_group"], "one");
});

wsgi_test!(a_place_can_restrict_groups, groups, |site| {
    let site = site.group("one", "").group("two", "");
    let site = mount(site, "allowed", "WSGIRestrictProcess one two\nWSGIProcessGroup one");
    let site = mount(site, "denied", "WSGIRestrictProcess one\nWSGIProcessGroup two");
    let site = mount(site, "embedded", "WSGIRestrictProcess %{GLOBAL}\nWSGIProcessGroup %{GLOBAL}");
    let site = mount(site, "embedded-denied", "WSGIRestrictProcess one\nWSGIProcessGroup %{GLOBAL}");
    let server = site.expect_log("WSGI0149").start();
    assert_eq!(server.get("/allowed").json()["process_group"], "one");
    assert_eq!(server.get("/denied").status, 500);
    assert_eq!(server.get("/embedded").json()["process_group"], "");
    assert_eq!(server.get("/embedded-denied").status, 500);
});

wsgi_test!(variables_choose_the_group, groups, |site| {
    let site = site.group("one", "").group("two", "").variable("FROM_SERVER", "two").load(&["rewrite"]);
    let site = site.conf("SetEnvIf Request_URI ^/one CHOSEN=one\nSetEnvIf Request_URI ^/back CHOSEN=%{GLOBAL}");
    let site = site.conf("RewriteEngine On\nRewriteRule ^/two - [E=CHOSEN:two]");
    let mut site = site;
    for name in ["one", "two", "back"] {
        site = mount(site, name, "WSGIProcessGroup %{ENV:CHOSEN}");
    }
    let server = mount(site, "server", "WSGIProcessGroup %{ENV:FROM_SERVER}").start();
    for (name, group) in [("one", "one"), ("two", "two"), ("back", ""), ("server", "two")] {
        assert_eq!(server.get(&format!("/{name}")).json()["process_group"], group, "{name}");
    }
});

wsgi_test!(options_of_an_alias_choose_the_groups, groups, |site| {
    let site = site.group("one", "").group("two", "").conf("WSGIProcessGroup two\nWSGIApplicationGroup outer");
    let site = site.mount_with("/both", "process", "process-group=one application-group=mine");
    let site = site.mount_with("/main", "process", "process-group=one application-group=%{GLOBAL}");
    let site = site.mount_with("/embedded", "process", "process-group=%{GLOBAL}");
    let server = site.mount("/neither", "process").start();
    for (name, process, application, main) in [
        ("both", "one", "mine", false),
        ("main", "one", "", true),
        ("embedded", "", "outer", false),
        ("neither", "two", "outer", false),
    ] {
        let seen = server.get(&format!("/{name}")).json();
        assert_eq!(
            (&seen["process_group"], &seen["application_group"], &seen["main_interpreter"]),
            (&json!(process), &json!(application), &json!(main)),
            "{name}"
        );
    }
});

wsgi_test!(daemon_groups_work_where_embedded_mode_is_forbidden, groups, |site| {
    let site = site.group("one", "").conf("WSGIRestrictEmbedded On").expect_log("WSGIRestrictEmbedded");
    let site = mount(site.expect_log("WSGI0581"), "daemon", "WSGIProcessGroup one");
    let server = mount(site, "embedded", "").start();
    assert_eq!(server.get("/daemon").json()["process_group"], "one");
    assert_eq!(server.get("/embedded").status, 500);
});

wsgi_test!(children_that_only_pass_requests_on_have_no_python, groups, |site| {
    let server = act(site, "").start();
    let worker = super::pid(&server);
    let child: u32 = server
        .children()
        .into_iter()
        .find(|id| {
            crate::harness::process::program(*id) == crate::harness::process::program(server.parent()) && *id != worker
        })
        .unwrap();
    let maps = |id: u32| std::fs::read_to_string(format!("/proc/{id}/maps")).unwrap();
    let library = |text: &str| text.lines().any(|line| line.contains("lib-dynload") || line.contains("/encodings"));
    let threads = std::fs::read_dir(format!("/proc/{child}/task")).unwrap().count();
    assert!(!library(&maps(child)));
    assert!(threads <= 8 + 3, "httpd's own threads only: {threads}");
});

wsgi_test!(scripts_are_loaded_when_their_group_starts, groups, |site| {
    let script = "import os\nVAR = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), 'var')\nwith open(VAR + '/' + os.path.basename(__file__), 'a') as file:\n    file.write('x')\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [environ['mod_wsgi.process_group'].encode()]\n";
    let mut site = site.group("shop", "");
    for name in ["imported", "aliased", "lazy"] {
        site = site.file(&format!("apps/s/{name}.wsgi"), script);
    }
    let site = site.conf("WSGIImportScript ${APPS}/s/imported.wsgi process-group=shop application-group=mine");
    let site = site.conf("WSGIScriptAlias /imported ${APPS}/s/imported.wsgi process-group=shop application-group=mine");
    let site = site.conf("WSGIScriptAlias /aliased ${APPS}/s/aliased.wsgi process-group=shop application-group=%{GLOBAL}\nWSGIScriptAlias /lazy ${APPS}/s/lazy.wsgi process-group=shop");
    let server = site.start();
    for name in ["imported", "aliased"] {
        until(&format!("{name} to be loaded"), || server.root.join(&format!("var/{name}.wsgi")).exists().then_some(()));
    }
    assert!(!server.root.join("var/lazy.wsgi").exists());
    for name in ["imported", "aliased", "lazy"] {
        assert_eq!(server.get(&format!("/{name}")).ok(), "shop");
        assert_eq!(server.root.read(&format!("var/{name}.wsgi")), "x", "{name} is loaded once");
    }
});

wsgi_test!(an_import_that_fails_does_not_stop_the_group, groups, |site| {
    let site = site.file("apps/bad.wsgi", "raise ValueError('too early')\n").group("shop", "");
    let site = site.conf("WSGIImportScript ${APPS}/bad.wsgi process-group=shop application-group=%{GLOBAL}");
    let server = site.app("process").conf("WSGIProcessGroup shop").expect_log("bad.wsgi").start();
    server.wait_log("ValueError: too early");
    let first = server.get("/").json()["pid"].take();
    assert_eq!(server.get("/").json()["pid"], first, "no respawn loop");
});

wsgi_test!(scripts_must_be_of_the_owner_asked_for, groups, |site| {
    let Some([one, two]) = two_users() else { return };
    let own = |site: &Site, path: &str| {
        std::os::unix::fs::chown(site.root.join(path), Some(one.uid.as_raw()), Some(one.gid.as_raw())).unwrap();
    };
    let (name, other) = (group_of(&one), group_of(&two));
    let mut site = site
        .group("user", &format!("script-user={}", one.name))
        .group("group", &format!("script-group={name}"))
        .group("wrong-user", &format!("script-user={}", two.name))
        .group("wrong-group", &format!("script-group={other}"));
    let script = include_str!("../../apps/where/app.wsgi");
    for folder in ["good", "foreign", "open", "open-folder"] {
        site = site.file(&format!("apps/{folder}/app.wsgi"), script);
        if folder != "foreign" {
            own(&site, &format!("apps/{folder}"));
            own(&site, &format!("apps/{folder}/app.wsgi"));
        }
        for group in ["user", "group", "wrong-user", "wrong-group"] {
            site = site
                .conf(&format!("WSGIScriptAlias /{group}/{folder} ${{APPS}}/{folder}/app.wsgi process-group={group}"));
        }
    }
    site.root.chmod("apps/open/app.wsgi", 0o666);
    site.root.chmod("apps/open-folder", 0o777);
    let server = site.start();
    for (group, folder, status) in [
        ("user", "good", 200),
        ("group", "good", 200),
        ("wrong-user", "good", 403),
        ("wrong-group", "good", 403),
        ("user", "foreign", 403),
        ("group", "foreign", 403),
        ("user", "open", 403),
        ("group", "open", 403),
        ("user", "open-folder", 403),
        ("group", "open-folder", 403),
    ] {
        assert_eq!(server.get(&format!("/{group}/{folder}")).status, status, "{group} {folder}");
    }
    server.expect_log("WSGI01");
});
