//! `WSGIHandlerScript`, by `SetHandler`, `AddHandler`, `RewriteRule` and `Action`.

use crate::harness::{Request, Site, wsgi_test};

/// `place` as the handler `placed`.
fn handled(site: Site) -> Site {
    site.files("place").conf("WSGIHandlerScript Placed ${APPS}/place/app.wsgi application-group=handlers")
}

wsgi_test!(a_handler_script_serves_resources_that_need_not_exist, both_interpreters, |site| {
    let site = handled(site).file("htdocs/docs/page.placed", "never read").file("htdocs/docs/page.txt", "static");
    let site = site.conf("<Directory ${ROOT}/htdocs>\n  AddHandler placed .placed\n</Directory>");
    let server = site.conf("<Location /set>\n  SetHandler PLACED\n</Location>").start();
    let group = server.get("/set").json()["mod_wsgi.process_group"].clone();
    for (target, script_name, path_info) in [
        ("/docs/page.placed", "/docs/page.placed", ""),
        ("/docs/page.placed/x", "/docs/page.placed", "/x"),
        ("/set/a/b?q", "/set", "/a/b"),
    ] {
        let answer = server.get(target).json();
        assert_eq!(
            (&answer["called"], &answer["mod_wsgi.callable_object"]),
            (&"handle_request".into(), &"handle_request".into())
        );
        assert_eq!(
            (&answer["SCRIPT_NAME"], &answer["PATH_INFO"]),
            (&script_name.into(), &path_info.into()),
            "{target}"
        );
        assert_eq!(answer["mod_wsgi.request_handler"], "placed");
        assert!(answer["mod_wsgi.handler_script"].as_str().unwrap().ends_with("/apps/place/app.wsgi"), "{answer}");
        assert!(answer["SCRIPT_FILENAME"].as_str().unwrap().contains("/htdocs/"), "{answer}");
        assert_eq!(
            (&answer["mod_wsgi.application_group"], &answer["mod_wsgi.process_group"]),
            (&"handlers".into(), &group)
        );
    }
    assert_eq!(server.get("/docs/page.txt").ok(), "static");
    let body = server.post("/set", "some body").json();
    assert_eq!((&body["REQUEST_METHOD"], &body["CONTENT_LENGTH"]), (&"POST".into(), &"9".into()));
});

wsgi_test!(an_inner_handler_script_of_the_same_name_replaces_the_outer_one, |site| {
    let inner =
        "def handle_request(environ, start_response):\n    start_response('200 OK', [])\n    return [b'inner']\n";
    let site = handled(site).file("apps/inner.wsgi", inner).conf("<Location />\n  SetHandler placed\n</Location>");
    let site = site.conf("<Location /inner>\n  WSGIHandlerScript placed ${APPS}/inner.wsgi\n</Location>");
    let server = site.start();
    assert_eq!(server.get("/").json()["called"], "handle_request");
    assert_eq!(server.get("/inner").ok(), "inner");
});

wsgi_test!(a_handler_script_has_options_of_its_own, groups, |site| {
    let site = site.files("place").group("shop", "").group("blog", "").conf("WSGIProcessGroup blog");
    let site = site.conf("WSGIHandlerScript one ${APPS}/place/app.wsgi process-group=shop pass-authorization=On");
    let site = site.conf("WSGIHandlerScript two ${APPS}/place/app.wsgi process-group=%{GLOBAL} application-group=x");
    let site = site.conf("WSGIHandlerScript three ${APPS}/place/app.wsgi");
    let names = ["one", "two", "three"];
    let site = names
        .iter()
        .fold(site, |site, name| site.conf(&format!("<Location /{name}>\n  SetHandler {name}\n</Location>")));
    let server = site.start();
    let ask = |name: &str| {
        let answer = server.ask(&Request::get(&format!("/{name}")).header("Authorization", "Bearer x")).json();
        [answer["mod_wsgi.process_group"].clone(), answer["HTTP_AUTHORIZATION"].clone()]
    };
    assert_eq!(ask("one"), ["shop".into(), serde_json::json!("Bearer x")]);
    assert_eq!(ask("two"), ["".into(), serde_json::Value::Null]);
    assert_eq!(ask("three"), ["blog".into(), serde_json::Value::Null]);
});

wsgi_test!(a_handler_script_that_is_missing_or_has_no_function_is_a_500, |site| {
    let site = site.file("apps/empty.wsgi", "x = 1\n").conf("WSGIHandlerScript gone ${APPS}/gone.wsgi");
    let site = site.conf("WSGIHandlerScript empty ${APPS}/empty.wsgi");
    let site = site
        .conf("<Location /gone>\n  SetHandler gone\n</Location>\n<Location /empty>\n  SetHandler empty\n</Location>");
    let server = site.expect_log("FileNotFoundError").expect_log("gone.wsgi").expect_log("WSGI0089").start();
    assert_eq!((server.get("/gone").status, server.get("/empty").status), (500, 500));
});

wsgi_test!(rewriting_may_name_a_handler_script, |site| {
    let site = handled(site.load(&["rewrite"])).file("htdocs/page.txt", "static");
    let rules = "RewriteEngine On\nRewriteCond %{REQUEST_FILENAME} !-f\nRewriteRule . - [H=placed]";
    let server = site.conf(&format!("<Directory ${{ROOT}}/htdocs>\n{rules}\n</Directory>")).start();
    assert_eq!(server.get("/page.txt").ok(), "static");
    assert_eq!(server.get("/other").json()["called"], "handle_request");
});

wsgi_test!(an_action_leads_to_an_application, |site| {
    let site = site.load(&["actions"]).mount("/see", "place").file("htdocs/page.seen", "never read");
    let site = site.conf("Action seen /see\n<Directory ${ROOT}/htdocs>\n  AddHandler seen .seen\n</Directory>");
    let answer = site.start().get("/page.seen?q").json();
    assert_eq!((&answer["SCRIPT_NAME"], &answer["PATH_INFO"]), (&"/see".into(), &"/page.seen".into()));
    assert_eq!((&answer["REDIRECT_URL"], &answer["QUERY_STRING"]), (&"/page.seen".into(), &"q".into()));
});
