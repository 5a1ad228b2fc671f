//! `WSGIAccessScript`.

use std::fs::File;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{BASIC, BROKEN, UNLOADABLE, asked, basic, calls, kept};
use crate::harness::{Request, Server, Site, wsgi_test};

const EVERYWHERE: &str = "<Location />\n  WSGIAccessScript ${APPS}/asked/asked.py\n</Location>";

wsgi_test!(true_and_none_let_a_host_in_and_nothing_else_does, both_interpreters, |site| {
    let server = asked(site).conf(EVERYWHERE).start();
    for (answer, status) in [("true", 200), ("none", 200), ("false", 403)] {
        assert_eq!(server.get(&format!("/?{answer}")).status, status, "{answer}");
    }
    server.expect_log("WSGI0057: ");
    server.expect_log("WSGI0055: allow_access() of");
    for answer in ["one", "zero", "odd", "name", "empty", "bytes", "list"] {
        assert_eq!(server.get(&format!("/?{answer}")).status, 403, "{answer}");
    }
    for (answer, cause) in BROKEN {
        assert_eq!(server.get(&format!("/?{answer}")).status, 403, "{answer}");
        server.expect_log(cause);
    }
    server.expect_log("allow_access() of the WSGI script");
    let asked = calls(&server);
    assert_eq!(asked.len(), 13);
    assert_eq!(asked[0], "true '127.0.0.1'");
});

wsgi_test!(a_script_that_cannot_be_loaded_lets_no_host_in_until_it_can, |site| {
    for (text, cause) in UNLOADABLE {
        let site = asked(Site::new("lets-no-host-in", site.setting).unwrap());
        let site = match text {
            Some(text) => site.file("apps/broken.py", text),
            None => site,
        };
        let server = site.conf("<Location />\n  WSGIAccessScript ${APPS}/broken.py\n</Location>").start();
        for _ in 0..2 {
            assert_eq!(server.get("/").status, 403, "{cause}");
        }
        assert!(server.log().iter().filter(|line| line.message.contains(cause)).count() >= 2, "logged each time");
        for text in [cause, "loading the WSGI script", "broken.py", "WSGI0057: "] {
            server.expect_log(text);
        }
        server.root.write("apps/broken.py", "x = 1\n");
        set_age(&server, "apps/broken.py", 20);
        assert_eq!(server.get("/").status, 403);
        server.expect_log("WSGI0056: the script");
        server.root.write("apps/broken.py", "def allow_access(environ, host):\n    return True\n");
        set_age(&server, "apps/broken.py", 10);
        assert_eq!(server.get("/").status, 200);
    }
});

/// Makes a file's time of modification that many seconds before a fixed one.
fn set_age(server: &Server, path: &str, age: u64) {
    let file = File::options().write(true).open(server.root.join(path)).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 - age)).unwrap();
}

wsgi_test!(a_changed_access_script_counts_at_once_unless_reloading_is_off, |site| {
    let says = |what: &str| format!("def allow_access(environ, host):\n    return {what}\n");
    let site = asked(site).file("apps/on.py", says("True")).file("apps/off.py", says("True"));
    let site = site.conf("<Location />\n  WSGIAccessScript ${APPS}/on.py\n</Location>");
    let site = site.conf("<Location /off>\n  WSGIAccessScript ${APPS}/off.py\n  WSGIScriptReloading Off\n</Location>");
    let server = site.expect_log("WSGI0057: ").start();
    assert_eq!((server.get("/").status, server.get("/off").status), (200, 200));
    for name in ["on", "off"] {
        server.root.write(&format!("apps/{name}.py"), says("False"));
        set_age(&server, &format!("apps/{name}.py"), 10);
    }
    assert_eq!((server.get("/").status, server.get("/off").status), (403, 200));
});

wsgi_test!(static_files_are_guarded_too_and_an_inner_script_replaces_an_outer_one, |site| {
    let site = site.files("asked").file("htdocs/page.txt", "static").file("htdocs/inner/page.txt", "inner");
    let site = site.file("apps/no.py", "def allow_access(environ, host):\n    return False\n");
    let site = site.conf("<Directory ${ROOT}/htdocs>\n  WSGIAccessScript ${APPS}/no.py\n</Directory>");
    let site = site.conf("<Directory ${ROOT}/htdocs/inner>\n  WSGIAccessScript ${APPS}/asked/asked.py\n</Directory>");
    let server = site.expect_log("WSGI0057: ").start();
    assert_eq!(server.get("/page.txt").status, 403);
    assert_eq!(server.get("/inner/page.txt").ok(), "inner");
});

wsgi_test!(an_access_script_sees_the_request_but_no_secrets, both_interpreters, |site| {
    let site = asked(site).conf(EVERYWHERE).conf("SetEnv SECRET x\nServerAdmin me@example.com");
    let server = site.conf("WSGITrustedProxyHeaders X-Real-IP\nWSGITrustedProxies 127.0.0.1").start();
    let request = Request::post("//a//b/?environ", "body").header("X-Ask", "1").header("X_Ask", "2");
    let request = request.header("X-Real-IP", "192.0.2.7");
    let request = request.header("Authorization", "Bearer x").header("Proxy-Authorization", "Bearer y");
    assert_eq!(server.ask(&request.header("Proxy", "http://evil").header("Content-Type", "text/x")).status, 200);
    let kept = kept(&server, "environ");
    let environ = kept["environ"].as_object().unwrap();
    let mut keys: Vec<&str> = environ.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "CONTENT_LENGTH",
            "CONTENT_TYPE",
            "DOCUMENT_ROOT",
            "HTTP_CONNECTION",
            "HTTP_HOST",
            "HTTP_X_ASK",
            "HTTP_X_REAL_IP",
            "PATH_INFO",
            "QUERY_STRING",
            "REMOTE_ADDR",
            "REMOTE_PORT",
            "REQUEST_METHOD",
            "REQUEST_URI",
            "SCRIPT_NAME",
            "SERVER_ADDR",
            "SERVER_ADMIN",
            "SERVER_NAME",
            "SERVER_PORT",
            "SERVER_PROTOCOL",
            "SERVER_SIGNATURE",
            "SERVER_SOFTWARE",
            "apache.version",
            "mod_ssl.is_https",
            "mod_ssl.var_lookup",
            "mod_wsgi.application_group",
            "mod_wsgi.process_group",
            "mod_wsgi.version",
            "wsgi.errors",
        ]
    );
    assert_eq!(environ["HTTP_X_ASK"], "1");
    assert_eq!(environ["REMOTE_ADDR"], "127.0.0.1", "who is asked about the peer is told of the peer, proxy or not");
    assert_eq!((&environ["REQUEST_METHOD"], &environ["REQUEST_URI"]), (&json!("POST"), &json!("//a//b/?environ")));
    assert_eq!((&environ["mod_wsgi.process_group"], &environ["mod_wsgi.application_group"]), (&json!(""), &json!("")));
    assert_eq!(environ["mod_wsgi.version"], json!([6, 1, 1]));
    assert_eq!(kept["tls"]["is_https"], 0);
    assert_eq!((&kept["tls"]["of_str"], &kept["tls"]["of_bytes"]), (&json!(null), &json!(null)));
    assert!(kept["tls"]["wrong"].as_str().unwrap().starts_with("TypeError: "));
});

wsgi_test!(what_a_script_was_given_ends_with_its_call, |site| {
    let server = asked(site).conf(EVERYWHERE).children(1).threads(1).start();
    assert_eq!((server.get("/?environ").status, server.get("/?after").status), (200, 200));
    let left = kept(&server, "after");
    for index in 0..3 {
        assert!(left[index].as_str().unwrap().starts_with("RuntimeError: "), "{left}");
    }
});

wsgi_test!(an_access_script_runs_in_the_interpreter_that_its_line_names, |site| {
    for (option, group) in [
        ("", ""),
        ("application-group=%{GLOBAL}", ""),
        ("application-group=gate", "gate"),
        ("application-group=%{SERVER}", "www.example.com"),
    ] {
        let site = asked(Site::new("interpreter-of-access", site.setting).unwrap());
        let line = format!("<Location />\n  WSGIAccessScript ${{APPS}}/asked/asked.py {option}\n</Location>");
        let server = site.conf("ServerName www.example.com:80\nUseCanonicalName On").conf(&line).start();
        assert_eq!(server.get("/?environ").status, 200);
        let kept = kept(&server, "environ");
        assert_eq!(kept["group"], group, "{option}");
        assert_eq!(kept["environ"]["mod_wsgi.application_group"], group, "{option}");
    }
});

wsgi_test!(htaccess_may_name_an_access_script_where_it_may_override_authentication, |site| {
    let site = site.files("asked");
    for name in ["may", "may_not"] {
        let script = site.root.join("apps/asked/asked.py");
        site.root.write(&format!("htdocs/{name}/.htaccess"), format!("WSGIAccessScript {}\n", script.display()));
        site.root.write(&format!("htdocs/{name}/page.txt"), "static");
    }
    let site = site.conf("<Directory ${ROOT}/htdocs/may>\n  AllowOverride AuthConfig\n</Directory>");
    let site = site.conf("<Directory ${ROOT}/htdocs/may_not>\n  AllowOverride FileInfo\n</Directory>");
    let server = site.expect_log("WSGI0057: ").expect_log("WSGIAccessScript not allowed here").start();
    assert_eq!(server.get("/may/page.txt?true").ok(), "static");
    assert_eq!(server.get("/may/page.txt?false").status, 403);
    assert_eq!(server.get("/may_not/page.txt?true").status, 500);
});

wsgi_test!(a_refused_host_may_be_let_in_as_a_user_where_either_satisfies, |site| {
    let lines = format!("<Location />\n{BASIC}Require valid-user\nSatisfy Any\n</Location>");
    let server = asked(site).conf(EVERYWHERE).conf(&lines).start();
    assert_eq!(server.get("/?true").status, 200);
    assert_eq!(server.get("/?false").status, 401);
    assert_eq!(basic(&server, "/?false", "joe", "true").status, 200);
    // A refusal that is not the last word is no error.
    assert!(!server.log_text().contains("WSGI0057"));
});

wsgi_test!(access_scripts_run_where_applications_may_not, groups, |site| {
    let site = asked(site.conf("WSGIRestrictEmbedded On").group("shop", "")).conf("WSGIProcessGroup shop");
    let server = site.conf(EVERYWHERE).expect_log("WSGI0057: ").start();
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.get("/?false").status, 403);
});

const INCLUDES: &str = "import mod_wsgi\n\ndef application(environ, start_response):\n    mod_wsgi.request_data()\n    \
                        start_response('200 OK', [('Content-Type', 'text/html')])\n    \
                        yield b'<!--#include virtual=\"/page.txt\" -->'\n";
const ASKED: &str = "import mod_wsgi\n\ndef allow_access(environ, host):\n    try:\n        mod_wsgi.request_data()\n    \
                     except RuntimeError:\n        return True\n    return False\n";

wsgi_test!(a_script_that_is_asked_about_a_sub_request_has_no_request_data, embedded, |site| {
    let site = site.load(&["include"]).file("htdocs/page.txt", "included").file("apps/s/app.wsgi", INCLUDES);
    let site = site.file("apps/asked.py", ASKED).conf("WSGIScriptAlias /app ${APPS}/s/app.wsgi");
    let site = site.conf("<Location /page.txt>\n  WSGIAccessScript ${APPS}/asked.py\n</Location>");
    let site = site.conf("<Location /app>\n  Options +Includes\n  SetOutputFilter INCLUDES\n</Location>");
    // The script that is asked has the main interpreter: the application's own, and another one.
    let site = site.conf("<Location /app/main>\n  WSGIApplicationGroup %{GLOBAL}\n</Location>");
    let server = site.conf("<Location /app/other>\n  WSGIApplicationGroup other\n</Location>").start();
    for target in ["/app/main", "/app/other"] {
        assert_eq!(server.get(target).ok(), "included", "{target}");
    }
});
