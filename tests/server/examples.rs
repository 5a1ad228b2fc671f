//! Every configuration in `conf-examples/` starts and serves what it says.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::access::{base64, digest_of as digest};
use crate::daemon::{group_of, pythons, two_users};
use crate::frameworks::environment;
use crate::harness::folder::copy;
use crate::harness::httpd::tree;
use crate::harness::process::command_line;
use crate::harness::{Mpm, Request, Response, Server, Site, until, wsgi_test};
use crate::recipes::{httxt2dbm, is_static, webdav};

/// The site of an example: its folder, and the values an administrator would change.
fn example(site: Site, name: &str) -> Site {
    let lines = format!("Define SITE ${{ROOT}}/site\nDefine HOST shop.example\nInclude ${{TREE}}/conf-examples/{name}");
    site.conf(&lines)
}

fn ask(server: &Server, target: &str) -> Response {
    server.ask(&Request::get(target).header("Host", "shop.example"))
}

/// How many processes ps shows under that name.
fn named(server: &Server, name: &str) -> usize {
    server.descendants().into_iter().filter(|id| command_line(*id).trim() == name).count()
}

fn script(text: &str) -> String {
    format!(
        "def application(environ, start_response):\n    start_response('200 OK', [('X-Group', environ['mod_wsgi.application_group'])])\n    return [b'{text} ' + environ['PATH_INFO'].encode()]\n"
    )
}

wsgi_test!(hello_conf_serves_the_demo, embedded, |site| {
    let site = site.standalone("hello.conf");
    copy(&tree().join("conf-examples/demo"), &site.root.join("apps/demo"));
    let server = site.start();
    let page = server.get("/").ok();
    assert!(page.contains("mod_wsgi works") && page.contains("embedded"), "{page}");
    assert_eq!(server.get("/else").status, 404);
});

wsgi_test!(hello_conf_serves_a_script_of_any_name_with_its_environment, embedded, |site| {
    let home = environment(&site);
    let script = site.root.join("shop's site/wsgi.py");
    copy(&tree().join("tests/frameworks/flask_shop"), script.parent().unwrap());
    std::fs::rename(script.with_file_name("app.wsgi"), &script).unwrap();
    let server = site.standalone("hello.conf").define("APP", &script).define("VENV", &home).start();
    assert_eq!(server.get("/").ok(), "Welcome to the shop");
});

wsgi_test!(flask_venv_conf, embedded, |site| {
    let home = environment(&site);
    std::fs::create_dir(site.root.join("site")).unwrap();
    std::os::unix::fs::symlink(home, site.root.join("site/venv")).unwrap();
    copy(&tree().join("tests/frameworks/flask_shop"), &site.root.join("site/app"));
    let server = example(site, "flask-venv.conf").start();
    assert_eq!(ask(&server, "/").ok(), "Welcome to the shop");
    assert_eq!(named(&server, "(wsgi:shop)"), 2);
});

wsgi_test!(several_pythons_conf, embedded, |site| {
    let Some(other) = pythons::other(&site) else { return };
    std::fs::create_dir(site.root.join("site")).unwrap();
    std::os::unix::fs::symlink(environment(&site), site.root.join("site/shop-env")).unwrap();
    other.environment(&site.root.join("site/blog-env"));
    let script = "import sys\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [('%d.%d' % sys.version_info[:2]).encode()]\n";
    let site = site.file("site/shop/app.wsgi", script).file("site/blog/app.wsgi", script);
    let server = example(site, "several-pythons.conf").start();
    assert_eq!(ask(&server, "/blog").ok(), other.version);
    let own = ask(&server, "/shop").ok();
    assert!(own.starts_with("3.") && own != other.version, "{own}");
});

wsgi_test!(django_conf, embedded, |site| {
    let home = environment(&site);
    std::fs::create_dir(site.root.join("site")).unwrap();
    copy(&tree().join("tests/frameworks/django_site"), &site.root.join("site/project"));
    std::os::unix::fs::symlink(&home, site.root.join("site/venv")).unwrap();
    let python = home.join("bin/python");
    let made = std::process::Command::new(python).arg(site.root.join("site/project/prepare.py")).status().unwrap();
    assert!(made.success());
    site.root.chmod("site/project/data", 0o777);
    site.root.chmod("site/project/data/db.sqlite3", 0o666);
    let site = site.file("site/project/media/a.wsgi", "never run");
    let server = example(site, "django.conf").start();
    let local = |target: &str| server.ask(&Request::get(target).header("Host", "localhost"));
    assert_eq!(local("/items/").json()["items"][0], "the first item");
    assert_eq!(named(&server, "(wsgi:blog)"), 2);
    assert!(local("/static/admin/css/base.css").ok().contains("body"));
    assert_eq!(local("/media/a.wsgi").ok(), "never run");
});

wsgi_test!(directory_of_scripts_conf, embedded, |site| {
    let site = site
        .load(&["negotiation"])
        .file("site/htdocs/index.html", "front")
        .file("site/scripts/one.wsgi", script("one"));
    let site = site.file("site/scripts/index.wsgi", script("index"));
    let server = example(site, "directory-of-scripts.conf").start();
    assert_eq!(ask(&server, "/").ok(), "front");
    assert_eq!(ask(&server, "/scripts/one.wsgi/x").ok(), "one /x");
    let response = ask(&server, "/scripts/one/x");
    assert_eq!(response.header("X-Group"), Some("scripts"));
    assert_eq!(response.ok(), "one /x");
    assert_eq!(ask(&server, "/scripts/").ok().trim(), "index");
    assert_eq!(ask(&server, "/direct/one/x").ok(), "one /x");
});

wsgi_test!(rewrite_root_conf, embedded, |site| {
    let site =
        site.load(&["rewrite"]).file("site/htdocs/page.txt", "static").file("site/htdocs/site.wsgi", script("site"));
    let server = example(site, "rewrite-root.conf").start();
    assert_eq!(ask(&server, "/page.txt").ok(), "static");
    assert_eq!(ask(&server, "/anything/else").ok(), "site /anything/else");
});

wsgi_test!(mixed_folder_conf, embedded_every_mpm, |site| {
    let cgi = "#!/bin/sh\necho 'Content-Type: text/plain'\necho\necho from cgi\n";
    let modules = ["negotiation", "autoindex", if site.setting.mpm == Mpm::Prefork { "cgi" } else { "cgid" }];
    let site = site
        .load(&modules)
        .file("site/htdocs/one.wsgi", script("one"))
        .file("site/htdocs/index.wsgi", script("index"))
        .file("site/htdocs/old.cgi", cgi)
        .file("site/htdocs/page.txt", "static")
        .file("site/htdocs/pages/index.html", "page")
        .file("site/htdocs/pages/index.wsgi", "never run")
        .file("site/htdocs/plain/readme.txt", "x");
    site.root.chmod("site/htdocs/old.cgi", 0o755);
    let server = example(site, "mixed-folder.conf").start();
    for target in ["/one.wsgi/x", "/one/x"] {
        assert_eq!(ask(&server, target).ok(), "one /x");
    }
    for target in ["/old.cgi", "/old"] {
        assert_eq!(ask(&server, target).ok(), "from cgi\n");
    }
    for (target, text) in [("/page.txt", "static"), ("/page", "static"), ("/pages/", "page")] {
        let response = ask(&server, target);
        assert!(is_static(&response) && response.text() == text, "{target}: {response:?}");
    }
    assert_eq!(ask(&server, "/").ok().trim(), "index");
    assert!(ask(&server, "/plain/").ok().contains("readme.txt"));
});

wsgi_test!(htaccess_conf, embedded, |site| {
    let cgi = "#!/bin/sh\necho 'Content-Type: text/plain'\necho\necho from cgi\n";
    copy(&tree().join("conf-examples/htaccess"), &site.root.join("site/htdocs"));
    let site = site.load(&["cgid"]).file("site/htdocs/one.wsgi", script("one"));
    let site = site.file("site/htdocs/index.wsgi", script("index")).file("site/htdocs/old.cgi", cgi);
    site.root.chmod("site/htdocs/old.cgi", 0o755);
    let server = example(site, "htaccess.conf").start();
    assert_eq!(ask(&server, "/").ok().trim(), "index");
    assert_eq!(ask(&server, "/one.wsgi/x").ok(), "one /x");
    assert_eq!(ask(&server, "/old.cgi").ok(), "from cgi\n");
    // It is the file that decides, and the server's configuration what the file may.
    std::fs::remove_file(server.root.join("site/htdocs/.htaccess")).unwrap();
    assert_eq!(ask(&server, "/one.wsgi").ok(), script("one"));
    server.root.write("site/htdocs/.htaccess", "WSGIProcessGroup %{GLOBAL}");
    assert_eq!(ask(&server, "/one.wsgi").status, 500);
    server.expect_log("WSGIProcessGroup not allowed here");
});

wsgi_test!(static_files_conf, embedded, |site| {
    let mut site = site.file("site/scripts/site.wsgi", script("site"));
    let files = ["static/robots.txt", "static/favicon.ico", "static/styles/site.css", "media/a.txt", "media/a.wsgi"];
    for file in files {
        site = site.file(&format!("site/{file}"), file);
    }
    let server = example(site, "static-files.conf").start();
    for (target, file) in
        ["/robots.txt", "/favicon.ico", "/site.css", "/media/a.txt", "/media/a.wsgi"].iter().zip(files)
    {
        let response = ask(&server, target);
        assert!(is_static(&response) && response.text() == file, "{target}: {response:?}");
    }
    assert_eq!(ask(&server, "/").ok(), "site /");
    assert_eq!(ask(&server, "/more/site.css").ok(), "site /more/site.css");
    assert_eq!(named(&server, "(wsgi:shop.example)"), 1);
});

wsgi_test!(two_sites_conf, embedded, |site| {
    let Some(users) = two_users() else { return };
    let text = "import os, sys\ndef application(environ, start_response):\n    \
                print(environ['QUERY_STRING'], file=sys.stderr)\n    start_response('200 OK', [])\n    \
                return [('%d %d %s' % (os.getuid(), os.getgid(), os.getcwd())).encode()]\n";
    let mut site = site;
    for (number, user) in (1..).zip(&users) {
        site = site.file(&format!("site{number}/site.wsgi"), text).conf(&format!(
            "Define SITE{number} ${{ROOT}}/site{number}\nDefine HOST{number} site{number}.example\n\
             Define USER{number} {}\nDefine GROUP{number} {}",
            user.name,
            group_of(user)
        ));
        for path in [format!("site{number}"), format!("site{number}/site.wsgi")] {
            std::os::unix::fs::chown(site.root.join(&path), Some(user.uid.as_raw()), None).unwrap();
        }
    }
    let server = site.conf("Define LOGS ${ROOT}/logs\nInclude ${TREE}/conf-examples/two-sites.conf").start();
    for (number, user) in (1..).zip(&users) {
        let target = format!("/?asked-{number}");
        let response = server.ask(&Request::get(&target).header("Host", &format!("site{number}.example")));
        let folder = server.root.join(&format!("site{number}"));
        assert_eq!(response.ok(), format!("{} {} {}", user.uid, user.gid, folder.display()));
        assert_eq!(named(&server, &format!("(wsgi:site{number}.example)")), 2);
        for kind in ["error", "access"] {
            let log = |number: usize| server.root.read(&format!("logs/site{number}-{kind}.log"));
            until("its line", || log(number).contains(&target[2..]).then_some(()));
            assert!(!log(3 - number).contains(&target[2..]), "{kind} log of the other site");
        }
    }
});

wsgi_test!(userdir_conf, embedded, |site| {
    let mut site = site.load(&["rewrite", "userdir"]);
    for user in ["joe", "bob", "root"] {
        let folder = format!("home/{user}/public_html");
        site =
            site.file(&format!("{folder}/wsgi-scripts/a.wsgi"), script("a")).file(&format!("{folder}/a.wsgi"), "text");
    }
    let site = site.file("home/joe/public_html/wsgi-scripts/b.wsgi", script("b"));
    let site = site.conf("Define HOMES ${ROOT}/home\nDefine HOST shop.example");
    let server = site.conf("Include ${TREE}/conf-examples/userdir.conf").start();
    for (target, text, group) in [
        ("/~joe/wsgi-scripts/a.wsgi/x", "a /x", "~joe"),
        ("/~joe/wsgi-scripts/b.wsgi", "b ", "~joe"),
        ("/~bob/wsgi-scripts/a.wsgi", "a ", "~bob"),
    ] {
        let response = ask(&server, target);
        assert_eq!((response.ok().as_str(), response.header("X-Group")), (text, Some(group)), "{target}");
    }
    assert_eq!(ask(&server, "/~joe/a.wsgi").ok(), "text");
    assert_eq!(ask(&server, "/~root/wsgi-scripts/a.wsgi").status, 404);
});

wsgi_test!(rewrite_map_conf, embedded, |site| {
    let setting = site.setting;
    let text = "def application(environ, start_response):\n    start_response('200 OK', [])\n    \
                return [environ['mod_wsgi.process_group'].encode()]\n";
    let start = |lines: &str, database: bool| {
        let site = Site::new("rewrite-map", setting).unwrap().load(&["rewrite"]).file("site/site.wsgi", text);
        let site = site.file("site/groups.txt", "/shop shop\n/blog blog\n/wrong %{GLOBAL}\n");
        if database && !httxt2dbm(&site, "site/groups.txt", "site/groups.dbm") {
            return None;
        }
        Some(example(site.conf(lines), "rewrite-map.conf").start())
    };
    for server in [start("", false), start("Define DBM", true)].into_iter().flatten() {
        for (target, group) in [("/shop/x", "shop"), ("/blog", "blog"), ("/", "others"), ("/shopping", "others")] {
            assert_eq!(ask(&server, target).ok(), group, "{target}");
        }
        assert_eq!(ask(&server, "/wrong").status, 500);
        server.expect_log("WSGI0149");
    }
    // The file is read again when it has changed.
    let server = start("", false).unwrap();
    assert_eq!(ask(&server, "/shop").ok(), "shop");
    server.root.write("site/new", "/shop blog\n");
    let new = std::fs::File::options().write(true).open(server.root.join("site/new")).unwrap();
    new.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(5)).unwrap();
    std::fs::rename(server.root.join("site/new"), server.root.join("site/groups.txt")).unwrap();
    assert_eq!(ask(&server, "/shop").ok(), "blog");
});

wsgi_test!(webdav_conf, embedded, |site| {
    let elsewhere = webdav::files(Site::new("webdav-elsewhere", site.setting).unwrap());
    let server = example(webdav::files(site).conf("Define OFFICE 127.0.0.1"), "webdav.conf").start();
    webdav::session(&server);
    assert_eq!(named(&server, "(wsgi:files)"), 1);
    // From another address files can be read only.
    let server = example(elsewhere.file("site/data/old.txt", "old"), "webdav.conf").expect_log("AH01630").start();
    let ask = |method: &str, target: &str| {
        let request = Request::new(method, target).header("Host", "shop.example");
        server.ask(&request.header("Authorization", &webdav::joe()))
    };
    assert_eq!(ask("GET", "/old.txt").ok(), "old");
    assert_eq!(ask("PROPFIND", "/").status, 207);
    for method in ["PUT", "DELETE", "MKCOL", "LOCK", "PROPPATCH", "MOVE", "POST", "BREW"] {
        assert_eq!(ask(method, "/old.txt").status, 403, "{method}");
    }
    assert_eq!(server.root.read("site/data/old.txt"), "old");
});

/// A site whose users are told by `auth/users.py`: joe in the group staff, ann in that and in admins.
fn with_users(site: Site, modules: &[&str]) -> Site {
    copy(&tree().join("conf-examples/auth"), &site.root.join("site/auth"));
    for (user, groups) in [("joe", &["staff"][..]), ("ann", &["staff", "admins"])] {
        let mut adds = std::process::Command::new("/usr/bin/python3")
            .arg(site.root.join("site/auth/users.py"))
            .arg(user)
            .args(groups)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(adds.stdin.take().unwrap(), "{user}'s secret é").unwrap();
        assert!(adds.wait().unwrap().success());
    }
    site.load(modules).load(&["authz_user"]).file(
        "site/app/app.wsgi",
        "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [environ.get('REMOTE_USER', 'nobody').encode()]\n",
    )
}

wsgi_test!(basic_auth_conf, embedded, |site| {
    let server = example(with_users(site, &["auth_basic"]), "basic-auth.conf").start();
    let ask = |target: &str, credentials: &str| {
        let header = format!("Basic {}", base64(credentials.as_bytes()));
        server.ask(&Request::get(target).header("Host", "shop.example").header("Authorization", &header))
    };
    assert_eq!(server.ask(&Request::get("/").header("Host", "shop.example")).status, 401);
    assert_eq!(ask("/", "joe:joe's secret é").ok(), "joe");
    assert_eq!(ask("/admin", "ann:ann's secret é").ok(), "ann");
    assert_eq!(server.ask(&Request::get("/about").header("Host", "shop.example")).ok(), "nobody");
    for (log, target, credentials) in
        [("AH01617", "/", "joe:wrong"), ("AH01618", "/", "eve:x"), ("AH01631", "/admin", "joe:joe's secret é")]
    {
        server.expect_log(log);
        assert_eq!(ask(target, credentials).status, 401, "{credentials}");
    }
    server.expect_log("WSGI0060: ");
});

wsgi_test!(digest_auth_conf, embedded, |site| {
    let server = example(with_users(site, &["auth_digest"]), "digest-auth.conf").start();
    let ask = |user: &str, password: &str| digest(&server, "shop.example", "/", user, password);
    assert_eq!(ask("joe", "joe's secret é").ok(), "joe");
    for (log, user, password) in [("AH01794", "joe", "wrong"), ("AH01790", "eve", "x")] {
        server.expect_log(log);
        assert_eq!(ask(user, password).status, 401, "{user}");
    }
});

/// A front server in the same httpd: what it adds to a request is mod_proxy's own.
const FRONT: &str = "<VirtualHost *:${PORT}>\nServerName front.example\nProxyPass / http://127.0.0.1:${PORT}/\n\
                     RequestHeader set X-Forwarded-Proto https\nRequestHeader set X-Forwarded-Port 443\n</VirtualHost>";

wsgi_test!(behind_a_load_balancer_conf, embedded, |site| {
    let text = "import json\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    \
                names = ['REMOTE_ADDR', 'wsgi.url_scheme', 'HTTP_HOST', 'SERVER_PORT', 'mod_wsgi.process_group']\n    \
                return [json.dumps([environ[name] for name in names]).encode()]\n";
    let site = site.load(&["proxy", "proxy_http", "headers"]).file("site/shop.wsgi", text);
    let site = example(site.conf("Define BALANCERS 127.0.0.1/32"), "behind-a-load-balancer.conf").conf(FRONT);
    let server = site.start();
    let through = Request::get("/").header("Host", "front.example").header("X-Forwarded-For", "10.6.6.6, 192.0.2.7");
    assert_eq!(server.ask(&through).json(), serde_json::json!(["192.0.2.7", "https", "front.example", "443", "shop"]));
});

wsgi_test!(debian_wsgi_conf, embedded, |site| {
    let site = site.conf("Include ${TREE}/conf-examples/debian/wsgi.conf").app("where");
    assert_eq!(site.start().get("/").status, 200);
});

/// The files below a folder, by their paths from there.
fn files(folder: &Path, from: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<String> = entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files(&path, from),
            path => vec![path.strip_prefix(from).unwrap().to_str().unwrap().to_owned()],
        })
        .collect();
    found.sort();
    found
}

wsgi_test!(make_install_puts_all_in_place_and_uninstall_takes_it_away, groups, |site| {
    // As make leaves it, with a worker for another Python.
    let (target, built) = (site.root.join("target"), site.httpd.wsgi.parent().unwrap());
    let release = target.join("release");
    std::fs::create_dir_all(&release).unwrap();
    std::fs::copy(&site.httpd.wsgi, release.join("libmod_wsgi.so")).unwrap();
    for (from, to) in [
        ("mod_wsgi-supervisor", "mod_wsgi-supervisor"),
        ("mod_wsgi-worker", "mod_wsgi-worker"),
        ("mod_wsgi-worker", "mod_wsgi-worker3.99"),
        ("mod_wsgi-worker.so", "mod_wsgi-worker.so"),
    ] {
        std::fs::copy(built.join(from), release.join(to)).unwrap();
    }
    let package = site.root.join("package");
    let make = |goal: &str| {
        let mut command = Command::new("make");
        command.arg("--no-print-directory").current_dir(tree()).arg(goal);
        command.arg(format!("TARGET={}", target.display())).arg(format!("DESTDIR={}", package.display()));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    make("install");
    let all = files(&package, &package);
    let one = |name: &str| {
        let found: Vec<&String> = all.iter().filter(|path| path.ends_with(name)).collect();
        assert_eq!(found.len(), 1, "{name} in {all:?}");
        found[0].clone()
    };
    let programs = ["/mod_wsgi-supervisor", "/mod_wsgi-worker", "/mod_wsgi-worker3.99", "/mod_wsgi-worker.so"].map(one);
    let module = one("/mod_wsgi.so");
    // Debian's `a2enmod` takes two more.
    let settings: Vec<&String> = all.iter().filter(|path| *path != &module && !programs.contains(path)).collect();
    if !settings.is_empty() {
        let (conf, load) = (one("/mods-available/wsgi.conf"), one("/mods-available/wsgi.load"));
        assert_eq!(settings, [&conf, &load]);
        let line = std::fs::read_to_string(package.join(load)).unwrap();
        assert_eq!(line, format!("LoadModule wsgi_module /{module}\n"));
    }
    let server =
        site.module(&format!("package/{module}")).group("shop", "").conf("WSGIProcessGroup shop").app("where").start();
    assert_eq!(server.get("/").status, 200);
    server.stop(|_| {
        make("install");
        make("uninstall");
        let left = files(&package, &package);
        assert!(left.iter().all(|path| path.ends_with("/wsgi.conf")), "{left:?}");
    });
});
