//! Real frameworks, driven by a real HTTP client: Flask, Django with its admin, Werkzeug's debugger, wsgiref's validator.
//!
//! Their packages come from `.env/tests` (`make env`).

use std::path::PathBuf;
use std::process::Command;

use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use crate::harness::folder::copy;
use crate::harness::httpd::tree;
use crate::harness::{Request, Server, Site, wsgi_test};

/// The virtual environment with the frameworks, where httpd's children can read it, too.
pub(crate) fn environment(site: &Site) -> PathBuf {
    let own = tree().join(".env/tests");
    assert!(own.join("pyvenv.cfg").is_file(), "{} is not there: run `make env`", own.display());
    if !nix::unistd::geteuid().is_root() || own.ancestors().all(is_open_to_all) {
        return own;
    }
    // Root's tests of a tree in a private folder: httpd's children are another user.
    let copied = site.root.join("environment");
    copy(&own, &copied);
    copied
}

fn is_open_to_all(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|data| data.permissions().mode() & 0o5 == 0o5)
}

fn framework(site: &Site, name: &str) {
    copy(&tree().join("tests/frameworks").join(name), &site.root.join("apps").join(name));
}

fn flask(site: Site) -> Server {
    framework(&site, "flask_shop");
    let home = environment(&site);
    site.conf(&format!("WSGIPythonHome {}", home.display()))
        .conf("WSGIScriptAlias / ${APPS}/flask_shop/app.wsgi")
        .start()
}

/// A Django project with its database and static files made; `lines` come before its mount.
fn django(site: Site, lines: &str) -> Server {
    framework(&site, "django_site");
    let project = site.root.join("apps/django_site");
    let home = environment(&site);
    let made = Command::new(home.join("bin/python")).arg(project.join("prepare.py")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // SQLite writes its journal beside the database.
    site.root.chmod("apps/django_site/data", 0o777);
    site.root.chmod("apps/django_site/data/db.sqlite3", 0o666);
    site.conf(&format!("WSGIPythonHome {}", home.display()))
        .conf(lines)
        .conf("Alias /static/ ${APPS}/django_site/static/\nWSGIScriptAlias / ${APPS}/django_site/app.wsgi")
        .start()
}

/// A browser: keeps cookies, follows redirects.
struct Browser {
    agent: ureq::Agent,
    base: String,
}

impl Browser {
    fn new(server: &Server) -> Browser {
        let config = ureq::Agent::config_builder().http_status_as_error(false).save_redirect_history(true).build();
        Browser { agent: config.into(), base: format!("http://localhost:{}", server.port) }
    }

    fn get(&self, path: &str) -> (u16, String) {
        text(self.agent.get(format!("{}{path}", self.base)).call())
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, String) {
        let url = format!("{}{path}", self.base);
        text(self.agent.post(&url).header("Referer", &url).send_form(form.iter().copied()))
    }
}

fn text(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, String) {
    let mut response = response.unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

/// What stands in `text` between two marks.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {text}"));
    rest.split_once(after).unwrap().0
}

wsgi_test!(flask_routes_forms_and_sessions, every_mpm, |site| {
    let server = flask(site);
    let browser = Browser::new(&server);
    assert_eq!(browser.get("/"), (200, "Welcome to the shop".to_owned()));
    let item = browser.json("/item/7?a=1&a=%C3%A9&b=");
    assert_eq!(item, json!({"number": 7, "url": "/item/7", "query": {"a": ["1", "é"], "b": [""]}}));
    assert_eq!(browser.get("/item/101").0, 404);
    assert_eq!(browser.get("/not/there").0, 404);
    assert_eq!(browser.get("/login").0, 405);
    let (_, form) = browser.post("/form", &[("a", "1"), ("b", "é & ü"), ("a", "2")]);
    assert_eq!(serde_json::from_str::<Value>(&form).unwrap(), json!({"a": ["1", "2"], "b": ["é & ü"]}));
    let put = browser.agent.put(format!("{}/json", browser.base)).header("Content-Type", "application/json");
    assert_eq!(text(put.send(r#"{"x": [1, null]}"#)), (200, "{\"got\":{\"x\":[1,null]}}\n".to_owned()));
    assert_eq!(browser.get("/me").1, "nobody");
    assert_eq!(browser.post("/login", &[("user", "joe")]), (200, "joe".to_owned()), "through the redirect");
    assert_eq!(browser.get("/me").1, "joe");
    assert_eq!(Browser::new(&server).get("/me").1, "nobody", "another browser");
    assert_eq!(browser.get("/logout").1, "nobody");
});

wsgi_test!(flask_takes_uploads_and_streams, every_mpm, |site| {
    let server = flask(site);
    let data: Vec<u8> = (0..3_000_017_u32).map(|index| u8::try_from(index % 249).unwrap()).collect();
    let mut body = b"--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"holiday.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n".to_vec();
    body.extend(&data);
    body.extend(b"\r\n--b0undary--\r\n");
    let request = Request::post("/upload", body).header("Content-Type", "multipart/form-data; boundary=b0undary");
    let md5: String = Md5::digest(&data).iter().map(|byte| format!("{byte:02x}")).collect();
    let seen = server.ask(&request).json();
    assert_eq!(seen, json!({"name": "holiday.jpg", "type": "image/jpeg", "length": data.len(), "md5": md5}));
    let response = server.get("/stream");
    assert_eq!(response.header("Content-Length"), None);
    let lines: String = (0..1000).map(|number| format!("line {number}\n")).collect();
    assert_eq!(response.ok(), lines);
});

wsgi_test!(flask_reports_its_crash_to_the_log, |site| {
    let server = flask(site);
    assert_eq!(server.get("/crash").status, 500);
    server.wait_log("RuntimeError: crashed with 20");
    server.expect_log("Exception on /crash [GET]");
});

wsgi_test!(werkzeugs_debugger_evaluates_in_a_frame, every_mpm, |site| {
    debugger(site);
});

// Where `wsgi.multiprocess` is false.
wsgi_test!(werkzeugs_debugger_evaluates_in_a_group_of_one_process, groups_every_mpm, |site| {
    debugger(site.group("shop", "").conf("WSGIProcessGroup shop"));
});

fn debugger(site: Site) {
    framework(&site, "flask_shop");
    let home = environment(&site);
    let site = site.conf(&format!("WSGIPythonHome {}", home.display())).children(1);
    let server = site.conf("WSGIScriptAlias / ${APPS}/flask_shop/debug.wsgi").start();
    let (status, page) = Browser::new(&server).get("/crash");
    assert_eq!(status, 500);
    server.wait_log("RuntimeError: crashed with 20");
    let secret = between(&page, "SECRET = \"", "\"");
    // The innermost frame is the view's.
    let (_, frame) = page.rsplit_once("id=\"frame-").unwrap();
    let frame = frame.split_once('"').unwrap().0;
    let target = format!("/crash?__debugger__=yes&cmd=secret_number+%2B+22&frm={frame}&s={secret}");
    let (status, answer) = Browser::new(&server).get(&target);
    assert_eq!(status, 200);
    assert!(answer.contains("42"), "{answer}");
}

wsgi_test!(django_serves_pages_and_its_admin, every_mpm, |site| {
    let server = django(site, "");
    let browser = Browser::new(&server);
    assert_eq!(browser.json("/items/"), json!({"items": ["the first item"]}));
    let (_, login) = browser.get("/admin/login/?next=/admin/");
    let token = between(&login, "name=\"csrfmiddlewaretoken\" value=\"", "\"");
    let form = [("username", "joe"), ("password", "secret"), ("next", "/admin/"), ("csrfmiddlewaretoken", token)];
    let forged = [("username", "joe"), ("password", "secret"), ("csrfmiddlewaretoken", "forged")];
    assert_eq!(browser.post("/admin/login/", &forged).0, 403);
    let (status, page) = browser.post("/admin/login/?next=/admin/", &form);
    assert_eq!(status, 200);
    assert!(page.contains("Site administration"), "{page}");
    let (_, page) = browser.get("/admin/shop/item/add/");
    let token = between(&page, "name=\"csrfmiddlewaretoken\" value=\"", "\"");
    let (status, page) =
        browser.post("/admin/shop/item/add/", &[("name", "Zweites Stück"), ("csrfmiddlewaretoken", token)]);
    assert_eq!(status, 200);
    assert!(page.contains("was added successfully"), "{page}");
    assert_eq!(browser.json("/items/?match=ST%C3%9CCK"), json!({"items": ["Zweites Stück"]}));
    let (status, css) = browser.get("/static/admin/css/base.css");
    assert_eq!((status, css.contains("body")), (200, true), "static files by Alias");
    assert!(!Browser::new(&server).get("/admin/").1.contains("Site administration"), "not logged in");
});

wsgi_test!(django_works_beside_a_second_interpreter_on_the_same_threads, every_mpm, |site| {
    let site = site.threads(2).children(1).mount("/other", "sqlite_callbacks").mount("/third", "interpreter");
    let server = django(site, "<Location /third>\n  WSGIApplicationGroup %{GLOBAL}\n</Location>");
    for round in 0..15 {
        assert_eq!(server.get("/items/?match=FIRST").json(), json!({"items": ["the first item"]}), "round {round}");
        assert_eq!(server.get("/other").ok(), "TWO! THREE! ONE! three", "round {round}");
        assert_eq!(server.get("/third").status, 200, "round {round}");
    }
});

wsgi_test!(django_in_the_main_interpreter, |site| {
    let server = django(site, "WSGIApplicationGroup %{GLOBAL}");
    assert_eq!(Browser::new(&server).json("/items/?match=FIRST"), json!({"items": ["the first item"]}));
});

wsgi_test!(applications_pass_under_wsgirefs_validator, every_mpm, |site| {
    let server = site.app("validated").expect_log("logged under validation").start();
    for (path, expected) in [
        ("/in_a_list", "in a list"),
        ("/generated", "generated"),
        ("/written", "written"),
        ("/logged", "logged"),
        ("/echoed", ""),
        ("/lines", "0 lines"),
        ("/chunks", ""),
    ] {
        assert_eq!(server.get(path).ok(), expected, "{path}");
    }
    for (path, expected) in [("/echoed", "a\nb\nc"), ("/lines", "3 lines"), ("/chunks", "a\nb\nc")] {
        assert_eq!(server.post(path, "a\nb\nc").ok(), expected, "{path}");
    }
    assert_eq!(server.get("/empty").status, 204);
    assert_eq!(server.ask(&Request::new("HEAD", "/in_a_list")).status, 200);
});
