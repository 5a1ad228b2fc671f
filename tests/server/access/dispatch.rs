//! `WSGIDispatchScript`, and other ways to say where a request runs.

use serde_json::{Value, json};

use super::{UNLOADABLE, kept};
use crate::harness::{Request, Server, Site, wsgi_test};

const EVERYWHERE: &str = "WSGIDispatchScript ${APPS}/dispatch/dispatch.py";

/// `place` at the root of the site, and the script that sends requests elsewhere.
fn dispatched(site: Site) -> Site {
    site.files("dispatch").app("place").conf("ServerName localhost\nUseCanonicalName On\nUseCanonicalPhysicalPort Off")
}

/// Process group, application group, and callable of a request.
fn place(server: &Server, query: &str) -> [Value; 3] {
    let answer = server.get(&format!("/?{query}")).json();
    ["mod_wsgi.process_group", "mod_wsgi.application_group", "called"].map(|key| answer[key].clone())
}

wsgi_test!(a_dispatch_script_chooses_interpreter_and_callable, |site| {
    let server = dispatched(site).conf(EVERYWHERE).conf("SetEnv CHOSEN %{GLOBAL}").start();
    let [process_group, own, _] = place(&server, "");
    assert_eq!(own, "localhost|");
    for (query, application_group, called) in [
        ("application_group=blue", "blue", "application"),
        ("application_group=!bytes", "of_bytes", "application"),
        ("application_group=!empty", "", "application"),
        ("application_group=%25{GLOBAL}", "", "application"),
        ("application_group=%25{SERVER}", "localhost", "application"),
        ("application_group=%25{ENV:CHOSEN}", "", "application"),
        ("application_group=!none", own.as_str().unwrap(), "application"),
        ("callable_object=other", own.as_str().unwrap(), "other"),
        ("callable_object=%25", own.as_str().unwrap(), "application"),
        ("callable_object=!none&application_group=blue", "blue", "application"),
    ] {
        assert_eq!(place(&server, query), [process_group.clone(), json!(application_group), json!(called)], "{query}");
    }
    server.expect_log("WSGI0089");
    assert_eq!(server.get("/?callable_object=not_there").status, 500);
});

wsgi_test!(an_error_in_a_dispatch_script_is_a_500, |site| {
    let server = dispatched(site).conf(EVERYWHERE).start();
    for number in ["process_group() of", "application_group() of", "callable_object() of"] {
        server.expect_log(&format!("WSGI0500: {number}"));
    }
    for function in ["process_group", "application_group", "callable_object"] {
        for answer in ["!int", "!true", "!list", "!wide", "!nul"] {
            assert_eq!(server.get(&format!("/?{function}={answer}")).status, 500, "{function} {answer}");
        }
        for (answer, cause) in [("!raise", "ValueError: told to"), ("!exit", "SystemExit: 3")] {
            assert_eq!(server.get(&format!("/?{function}={answer}")).status, 500, "{function} {answer}");
            server.expect_log(cause);
        }
        server.expect_log(&format!("{function}() of the WSGI script"));
    }
});

wsgi_test!(a_dispatch_script_that_cannot_be_loaded_is_a_500_and_one_without_functions_says_nothing, |site| {
    for (text, cause) in UNLOADABLE {
        let site = dispatched(Site::new("dispatch-cannot-be-loaded", site.setting).unwrap());
        let site = match text {
            Some(text) => site.file("apps/broken.py", text),
            None => site.expect_log("WSGI0583"),
        };
        let site = site.conf("<Location />\n  WSGIDispatchScript ${APPS}/broken.py\n</Location>");
        let server = site.expect_log(cause).expect_log("loading the WSGI script").start();
        assert_eq!(server.get("/").status, 500, "{cause}");
    }
    let server = dispatched(site).file("apps/empty.py", "").conf("WSGIDispatchScript ${APPS}/empty.py").start();
    assert_eq!(place(&server, "callable_object=other")[2], "application");
});

wsgi_test!(a_dispatch_script_chooses_among_the_groups_that_are_open_here, groups, |site| {
    let aliased = "WSGIScriptAlias /aliased ${APPS}/place/app.wsgi process-group=blog callable-object=other";
    let site = dispatched(site.conf(aliased)).group("shop", "").group("blog", "").conf(EVERYWHERE);
    let site = site.conf("<Location /some>\n  WSGIRestrictProcess shop\n</Location>");
    let server = site.conf("WSGIProcessGroup blog").start();
    for (query, group) in [
        ("", "blog"),
        ("process_group=shop", "shop"),
        ("process_group=!empty", ""),
        ("process_group=%25{GLOBAL}", ""),
        ("process_group=!none", "blog"),
    ] {
        assert_eq!(place(&server, query)[0], group, "{query}");
    }
    let at = |target: &str| server.get(target).json();
    assert_eq!(at("/aliased?process_group=shop&callable_object=application")["mod_wsgi.process_group"], "shop");
    assert_eq!(at("/aliased?application_group=x")["called"], "other");
    server.expect_log("WSGI0151");
    assert_eq!(server.get("/?process_group=nosuch").status, 500);
    server.expect_log("WSGI0149");
    assert_eq!(server.get("/some?process_group=blog").status, 500);
    assert_eq!(at("/some?process_group=shop")["mod_wsgi.process_group"], "shop");
});

wsgi_test!(a_dispatch_script_sees_what_the_application_will_and_changes_nothing_of_it, |site| {
    let site = dispatched(site)
        .conf("<Location />\n  WSGIDispatchScript ${APPS}/dispatch/dispatch.py application-group=desk\n</Location>");
    let server = site.conf("SetEnv HTTPS on\nSetEnv SHOP x\nWSGIPassAuthorization On").start();
    let request =
        Request::get("/path?process_group=!environ&callable_object=!change").header("Authorization", "Bearer x");
    let answer = server.ask(&request).json();
    assert_eq!(answer["QUERY_STRING"], "process_group=!environ&callable_object=!change");
    assert_eq!(answer["PATH_INFO"], "/path");
    let seen = kept(&server, "environ");
    let seen = seen.as_object().unwrap();
    for (key, value) in [
        ("HTTPS", "on"),
        ("SHOP", "x"),
        ("PATH_INFO", "/path"),
        ("HTTP_AUTHORIZATION", "Bearer x"),
        ("mod_wsgi.process_group", ""),
        ("mod_wsgi.application_group", "desk"),
        ("mod_wsgi.request_handler", "wsgi-script"),
    ] {
        assert_eq!(seen[key], value, "{key}");
    }
    let own: Vec<&str> = seen.keys().map(String::as_str).filter(|key| key.starts_with("wsgi.")).collect();
    assert_eq!(own, ["wsgi.errors"]);
    assert!(!seen.contains_key("mod_wsgi.callable_object") && !seen.contains_key("apache.request_rec"));
});

wsgi_test!(a_dispatch_script_sees_what_trusted_proxies_say, |site| {
    let site = dispatched(site)
        .conf("<Location />\n  WSGIDispatchScript ${APPS}/dispatch/dispatch.py application-group=desk\n</Location>");
    let server = site
        .conf(
            "WSGITrustedProxies 127.0.0.1\nWSGITrustedProxyHeaders X-Forwarded-For X-Forwarded-Proto\nSetEnv HTTPS on",
        )
        .start();
    for (scheme, https) in [("https", json!("1")), ("http", Value::Null), ("neither", json!("on"))] {
        let request = Request::get("/?process_group=!environ").header("X-Forwarded-For", "192.0.2.7");
        let answer = server.ask(&request.header("X-Forwarded-Proto", scheme)).json();
        let seen = kept(&server, "environ");
        assert_eq!(seen["REMOTE_ADDR"], "192.0.2.7");
        assert_eq!(seen["REMOTE_ADDR"], answer["REMOTE_ADDR"]);
        assert_eq!(seen.get("HTTPS").unwrap_or(&Value::Null), &https, "{scheme}");
    }
});

wsgi_test!(the_request_record_is_passed_in_embedded_mode_only_and_ends_with_the_request, |site| {
    let embedded = !site.setting.mode.is_daemon();
    let site = dispatched(site).conf(EVERYWHERE).threads(1).children(1).daemon("processes=1 threads=1");
    let server =
        site.conf("WSGIPassApacheRequest On\n<Location /not>\n  WSGIPassApacheRequest Off\n</Location>").start();
    let ask = |path: &str| {
        server.get(&format!("{path}?callable_object=record&process_group=!environ&application_group=x")).json()
    };
    let (first, second) = (ask("/"), ask("/"));
    assert_eq!(kept(&server, "environ")["apache.request_rec"], "PyCapsule", "the script runs in the child");
    if embedded {
        assert_eq!((&first["record"], &second["record"]), (&json!(true), &json!(true)));
        assert!(second["before"].as_str().unwrap().starts_with("ValueError: "), "{second}");
    } else {
        assert_eq!((&first["record"], &second["before"]), (&json!(null), &json!(null)));
    }
    assert_eq!(ask("/not")["record"], json!(null));
});

wsgi_test!(a_rewrite_map_chooses_the_process_group, groups, |site| {
    let site = site.load(&["rewrite"]).group("shop", "").group("blog", "").app("place");
    let site = site.file("conf/groups.txt", "/shop shop\n/blog blog\n/here %{GLOBAL}\n");
    let site = site.conf("RewriteEngine On\nRewriteMap groups txt:${ROOT}/conf/groups.txt");
    let site = site.conf("RewriteRule ^(/[^/]*) - [E=GROUP:${groups:$1|blog}]\nWSGIProcessGroup %{ENV:GROUP}");
    let server = site.start();
    for (path, group) in [("/shop/x", "shop"), ("/blog", "blog"), ("/here", ""), ("/else", "blog")] {
        assert_eq!(server.get(path).json()["mod_wsgi.process_group"], group, "{path}");
    }
});
