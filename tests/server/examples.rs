//! Every configuration in `conf-examples/` starts and serves what it says.

use crate::frameworks::environment;
use crate::harness::folder::copy;
use crate::harness::httpd::tree;
use crate::harness::process::command_line;
use crate::harness::{Request, Response, Server, Site, wsgi_test};

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

wsgi_test!(flask_venv_conf, embedded, |site| {
    let home = environment(&site);
    std::fs::create_dir(site.root.join("site")).unwrap();
    std::os::unix::fs::symlink(home, site.root.join("site/venv")).unwrap();
    copy(&tree().join("tests/frameworks/flask_shop"), &site.root.join("site/app"));
    let server = example(site, "flask-venv.conf").start();
    assert_eq!(ask(&server, "/").ok(), "Welcome to the shop");
    assert_eq!(named(&server, "(wsgi:shop)"), 2);
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
