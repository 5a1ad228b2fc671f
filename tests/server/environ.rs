//! What an application finds in its environ: PEP 3333 and the CGI variables behind it.

use serde_json::{Value, json};

use crate::harness::{Interpreter, Mpm, Request, Response, until, wsgi_test};

/// The environ that the application saw.
fn environ(response: &Response) -> Value {
    response.json()["environ"].take()
}

fn types(response: &Response) -> Value {
    response.json()["types"].take()
}

wsgi_test!(cgi_variables_describe_the_request, both_interpreters, |site| {
    let server = site.mount("/shop", "environ").conf("ServerAdmin admin@example.com").start();
    let port = server.port;
    let seen = environ(&server.get("/shop/cart/7?a=%2F&b=&b"));
    assert_eq!(seen["REQUEST_METHOD"], "GET");
    assert_eq!(seen["SCRIPT_NAME"], "/shop");
    assert_eq!(seen["PATH_INFO"], "/cart/7");
    assert_eq!(seen["QUERY_STRING"], "a=%2F&b=&b");
    assert_eq!(seen["REQUEST_URI"], "/shop/cart/7?a=%2F&b=&b");
    assert_eq!(seen["SERVER_PROTOCOL"], "HTTP/1.1");
    assert_eq!(seen["REQUEST_SCHEME"], "http");
    assert_eq!(seen["SERVER_NAME"], "localhost");
    assert_eq!(seen["SERVER_PORT"], port.to_string());
    assert_eq!(seen["SERVER_ADDR"], "127.0.0.1");
    assert_eq!(seen["REMOTE_ADDR"], "127.0.0.1");
    assert!(seen["REMOTE_PORT"].as_str().unwrap().parse::<u16>().unwrap() > 0);
    assert!(seen["SERVER_SOFTWARE"].as_str().unwrap().starts_with("Apache"));
    assert_eq!(seen["SERVER_ADMIN"], "admin@example.com");
    assert_eq!(seen["DOCUMENT_ROOT"], server.root.join("htdocs").to_str().unwrap());
    assert_eq!(seen["CONTEXT_PREFIX"], "");
    assert_eq!(seen["CONTEXT_DOCUMENT_ROOT"], server.root.join("htdocs").to_str().unwrap());
    assert_eq!(seen["SCRIPT_FILENAME"], server.root.join("apps/environ/app.wsgi").to_str().unwrap());
    assert_eq!(seen["HTTP_HOST"], format!("localhost:{port}"));
});

wsgi_test!(variables_of_plain_cgi_that_leak_the_server_are_absent, |site| {
    let server = site.app("environ").variable("LD_LIBRARY_PATH", "/nowhere").conf("PassEnv PATH").start();
    let seen = environ(&server.get("/"));
    for name in [
        "GATEWAY_INTERFACE",
        "PATH_TRANSLATED",
        "SERVER_SIGNATURE",
        "REMOTE_HOST",
        "REMOTE_IDENT",
        "PATH",
        "LD_LIBRARY_PATH",
        "CONTENT_TYPE",
        "CONTENT_LENGTH",
        "REMOTE_USER",
        "AUTH_TYPE",
        "REDIRECT_URL",
        "HTTPS",
    ] {
        assert_eq!(seen.get(name), None, "{name}");
    }
});

wsgi_test!(wsgi_keys_have_the_types_of_pep_3333, |site| {
    // To say processes=1 tells applications to expect more of them.
    let multiprocess = site.setting.mode.is_daemon();
    let server = site.app("environ").start();
    let response = server.get("/");
    let answer = response.json();
    let (seen, types) = (&answer["environ"], &answer["types"]);
    assert_eq!(answer["container"], "dict");
    assert_eq!(answer["same_wrapper"], true);
    assert_eq!(answer["argv"], json!(["mod_wsgi"]));
    assert_eq!(seen["wsgi.version"], json!([1, 0]));
    assert_eq!(types["wsgi.version"], "tuple");
    assert_eq!(seen["wsgi.url_scheme"], "http");
    assert_eq!(seen["wsgi.multithread"], true);
    assert_eq!(seen["wsgi.multiprocess"], multiprocess);
    assert_eq!(seen["wsgi.run_once"], false);
    assert_eq!(seen["wsgi.input_terminated"], true);
    for name in ["wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once", "wsgi.input_terminated"] {
        assert_eq!(types[name], "bool", "{name}");
    }
    assert_eq!(types["wsgi.file_wrapper"], "type");
    for (name, of) in types.as_object().unwrap() {
        if name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_') {
            assert_eq!(of, "str", "{name}");
        }
    }
});

wsgi_test!(multithread_and_multiprocess_follow_the_mpm, embedded_every_mpm, |site| {
    let threads = site.setting.mpm != Mpm::Prefork;
    let seen = environ(&site.app("environ").children(2).start().get("/"));
    assert_eq!((&seen["wsgi.multithread"], &seen["wsgi.multiprocess"]), (&json!(threads), &json!(true)));
});

wsgi_test!(mod_wsgi_keys_describe_the_dispatch, both_interpreters, |site| {
    let main = site.setting.interpreter == Interpreter::Main;
    let daemon = site.setting.mode.is_daemon();
    let server = site.mount("/shop", "environ").start();
    let response = server.get("/shop/x");
    let (seen, types) = (environ(&response), types(&response));
    let group = if main { String::new() } else { format!("localhost:{}|/shop", server.port) };
    assert_eq!(seen["mod_wsgi.application_group"], group);
    assert_eq!(seen["mod_wsgi.process_group"], if daemon { "site" } else { "" });
    assert_eq!(seen["mod_wsgi.callable_object"], "application");
    assert_eq!(seen["mod_wsgi.request_handler"], "wsgi-script");
    assert_eq!(seen["mod_wsgi.handler_script"], "");
    assert_eq!(seen["mod_wsgi.script_name"], "/shop");
    assert_eq!(seen["mod_wsgi.path_info"], "/x");
    assert_eq!(seen.get("mod_wsgi.mount_point"), None);
    assert_eq!(seen["mod_wsgi.listener_port"], server.port.to_string());
    assert!(seen["mod_wsgi.listener_host"].is_string());
    assert!(server.children().contains(&seen["mod_wsgi.server_pid"].as_str().unwrap().parse().unwrap()));
    assert!(!seen["mod_wsgi.request_id"].as_str().unwrap().is_empty());
    assert_eq!(types["mod_wsgi.thread_id"], "int");
    for name in ["request_start", "queue_start", "daemon_start", "application_start"] {
        assert_eq!(types[format!("mod_wsgi.{name}")], "float", "{name}");
    }
    assert_eq!(types["mod_wsgi.version"], "tuple");
    assert_eq!(seen["mod_wsgi.version"].as_array().unwrap().len(), 3);
    assert_eq!(seen["apache.version"].as_array().unwrap()[0], 2);
    let time = |name: &str| seen[format!("mod_wsgi.{name}")].as_f64().unwrap();
    assert!(time("request_start") <= time("application_start"));
    if daemon {
        assert!(time("request_start") <= time("queue_start"));
        assert!(time("queue_start") <= time("daemon_start"));
        assert!(time("daemon_start") <= time("application_start"));
    } else {
        assert_eq!((time("queue_start"), time("daemon_start")), (0.0, 0.0));
    }
    assert!(!seen.as_object().unwrap().keys().any(|name| name.starts_with("mod_wsgi.x-")));
});

wsgi_test!(path_info_is_decoded_and_its_slashes_are_single, |site| {
    let server = site.mount("/shop", "environ").conf("MergeSlashes Off").start();
    let seen = environ(&server.get("/shop/a%20b//c/%C3%A9"));
    assert_eq!(seen["PATH_INFO"], "/a b/c/\u{c3}\u{a9}");
    assert_eq!(seen["SCRIPT_NAME"], "/shop");
    assert_eq!(seen["REQUEST_URI"], "/shop/a%20b//c/%C3%A9");
    assert_eq!(server.get("/shop/a%2Fb").status, 404);
});

wsgi_test!(encoded_slashes_reach_the_application_when_httpd_allows_them, |site| {
    let server = site.app("environ").conf("AllowEncodedSlashes NoDecode").start();
    assert_eq!(environ(&server.get("/a%2Fb"))["PATH_INFO"], "/a%2Fb");
});

wsgi_test!(a_root_mount_has_no_script_name, |site| {
    let server = site.app("environ").start();
    let seen = environ(&server.get("/"));
    assert_eq!(
        (&seen["SCRIPT_NAME"], &seen["PATH_INFO"], &seen["QUERY_STRING"]),
        (&json!(""), &json!("/"), &json!(""))
    );
    let port = server.port;
    let group = seen["mod_wsgi.application_group"].as_str().unwrap();
    assert_eq!(group, format!("localhost:{port}|"));
});

wsgi_test!(a_mount_without_a_tail_has_no_path_info, |site| {
    let server = site.mount("/shop", "environ").start();
    let seen = environ(&server.get("/shop"));
    assert_eq!((&seen["SCRIPT_NAME"], &seen["PATH_INFO"]), (&json!("/shop"), &json!("")));
});

wsgi_test!(headers_become_http_keys, |site| {
    let server = site.app("environ").start();
    let request = Request::post("/", "x=1")
        .header("X-Forwarded-For", "10.0.0.1")
        .header("X-Two", "a")
        .header("X-Two", "b")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Cookie", "a=b")
        .header("X-Latin", "caf\u{e9}")
        .header("Proxy", "http://evil.example/")
        .header("X_Under", "1")
        .header("X.Dot", "1")
        .header("Authorization", "Basic am9lOnNlY3JldA==")
        .header("Proxy-Authorization", "Basic am9lOnNlY3JldA==");
    let seen = environ(&server.ask(&request));
    assert_eq!(seen["HTTP_X_FORWARDED_FOR"], "10.0.0.1");
    assert_eq!(seen["HTTP_X_TWO"], "a, b");
    assert_eq!(seen["CONTENT_TYPE"], "application/x-www-form-urlencoded");
    assert_eq!(seen["CONTENT_LENGTH"], "3");
    assert_eq!(seen["HTTP_COOKIE"], "a=b");
    assert_eq!(seen["HTTP_X_LATIN"], "caf\u{e9}");
    for name in [
        "HTTP_CONTENT_TYPE",
        "HTTP_CONTENT_LENGTH",
        "HTTP_PROXY",
        "HTTP_X_UNDER",
        "HTTP_X_DOT",
        "HTTP_AUTHORIZATION",
        "HTTP_PROXY_AUTHORIZATION",
    ] {
        assert_eq!(seen.get(name), None, "{name}");
    }
});

wsgi_test!(a_header_with_an_odd_name_is_hidden_from_the_application_only, |site| {
    let server = site.app("environ").conf("LogFormat %{X_Under}i odd\nCustomLog logs/odd.log odd").start();
    assert_eq!(environ(&server.ask(&Request::get("/").header("X_Under", "kept"))).get("HTTP_X_UNDER"), None);
    let logged = until("the access log", || Some(server.root.read("logs/odd.log")).filter(|text| !text.is_empty()));
    assert_eq!(logged, "kept\n");
});

wsgi_test!(authorization_is_passed_when_told_to, |site| {
    let site = site.mount("/on", "environ").mount_with("/option", "environ", "pass-authorization=On");
    let site = site.mount("/cgi", "environ").mount("/off", "environ");
    let site = site.conf("<Location /on>\n  WSGIPassAuthorization On\n</Location>");
    let server = site.conf("<Location /cgi>\n  CGIPassAuth On\n</Location>").start();
    let ask = |target: &str| {
        let request =
            Request::get(target).header("Authorization", "Bearer x").header("Proxy-Authorization", "Bearer y");
        environ(&server.ask(&request))
    };
    for target in ["/on", "/option"] {
        let seen = ask(target);
        assert_eq!(seen["HTTP_AUTHORIZATION"], "Bearer x", "{target}");
        assert_eq!(seen.get("HTTP_PROXY_AUTHORIZATION"), None, "{target}");
    }
    let seen = ask("/cgi");
    assert_eq!(seen["HTTP_AUTHORIZATION"], "Bearer x");
    assert_eq!(seen["HTTP_PROXY_AUTHORIZATION"], "Bearer y");
    assert_eq!(ask("/off").get("HTTP_AUTHORIZATION"), None);
});

wsgi_test!(httpd_authenticates_and_the_application_reads_the_user, |site| {
    let site = site.load(&["auth_basic", "authn_file", "authz_user"]).app("environ");
    // joe:secret
    let site = site.file("conf/users", "joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n");
    let site = site.conf(
        "<Location />\n  AuthType Basic\n  AuthName x\n  AuthUserFile conf/users\n  Require valid-user\n</Location>",
    );
    let server = site.expect_log("AH01617").start();
    let denied = server.ask(&Request::get("/").header("Authorization", "Basic am9lOndyb25n"));
    assert_eq!(denied.status, 401);
    let seen = environ(&server.ask(&Request::get("/").header("Authorization", "Basic am9lOnNlY3JldA==")));
    assert_eq!((&seen["REMOTE_USER"], &seen["AUTH_TYPE"]), (&json!("joe"), &json!("Basic")));
    assert_eq!(seen.get("HTTP_AUTHORIZATION"), None);
});

wsgi_test!(an_internal_redirect_tells_where_it_came_from, |site| {
    let server = site.mount("/sorry", "environ").conf("ErrorDocument 404 /sorry").start();
    let response = server.get("/not/there?q=1");
    assert_eq!(response.status, 200);
    let seen = environ(&response);
    assert_eq!(seen["REDIRECT_URL"], "/not/there");
    assert_eq!(seen["REDIRECT_QUERY_STRING"], "q=1");
    assert_eq!(seen["REDIRECT_STATUS"], "404");
    assert_eq!(seen["REQUEST_URI"], "/not/there?q=1");
    assert_eq!(seen["SCRIPT_NAME"], "/sorry");
});

wsgi_test!(variables_of_other_modules_arrive_as_text, |site| {
    let site = site.load(&["rewrite"]).app("environ").conf("SetEnv demo.templates /x\nSetEnv demo.debugging 0");
    let site = site.conf("SetEnv REQUEST_METHOD FAKE\nSetEnvIf Request_URI ^ seen_by=setenvif\nSetEnv PATH /evil");
    let site =
        site.conf("RewriteEngine On\nRewriteCond %{REMOTE_ADDR} ^127.0.0.1$\nRewriteRule . - [E=demo.rewritten:1]");
    let response = site.start().get("/");
    let answer = response.json();
    let seen = &answer["environ"];
    assert_eq!(seen["demo.templates"], "/x");
    assert_eq!(seen["demo.debugging"], "0");
    assert_eq!(seen["demo.rewritten"], "1");
    assert_eq!(seen["seen_by"], "setenvif");
    assert_eq!(seen["REQUEST_METHOD"], "GET", "a computed key wins");
    assert_eq!(seen.get("PATH"), None);
    let process = answer["os_environ"].as_object().unwrap();
    assert!(!process.keys().any(|name| name.starts_with("demo.")), "nothing of it in os.environ");
});

wsgi_test!(the_variable_https_decides_the_scheme_and_is_consumed, |site| {
    let mut site = site;
    for (path, value) in [("on", "on"), ("upper", "ON"), ("one", "1"), ("off", "off"), ("odd", "yes")] {
        site =
            site.mount(&format!("/{path}"), "environ").conf(&format!("SetEnvIf Request_URI ^/{path}$ HTTPS={value}"));
    }
    let server = site.mount("/none", "environ").start();
    for (path, scheme) in
        [("on", "https"), ("upper", "https"), ("one", "https"), ("off", "http"), ("odd", "http"), ("none", "http")]
    {
        let seen = environ(&server.get(&format!("/{path}")));
        assert_eq!(seen["wsgi.url_scheme"], scheme, "{path}");
        assert_eq!(seen["REQUEST_SCHEME"], "http");
        assert_eq!(seen.get("HTTPS"), None, "{path}");
    }
});

wsgi_test!(head_is_reported_as_the_directive_says, |site| {
    let site = site.load(&["filter", "deflate"]).mount("/on", "environ").mount("/off", "environ");
    let site = site.mount("/auto", "environ").mount("/filtered", "environ").mount("/filtered-off", "environ");
    let site = site.conf(
        "<Location /on>\n  WSGIMapHEADToGET On\n</Location>\n<Location /off>\n  WSGIMapHEADToGET Off\n</Location>",
    );
    let site = site.conf("<LocationMatch ^/filtered>\n  SetOutputFilter DEFLATE\n</LocationMatch>\n<Location /filtered-off>\n  WSGIMapHEADToGET Off\n</Location>");
    let server = site.start();
    for (target, method) in
        [("/on", "GET"), ("/off", "HEAD"), ("/auto", "HEAD"), ("/filtered", "GET"), ("/filtered-off", "HEAD")]
    {
        let response = server.ask(&Request::new("HEAD", target).header("Accept-Encoding", "gzip"));
        assert_eq!((response.status, response.body.len()), (200, 0), "{target}");
        assert_eq!(response.header("X-Method"), Some(method), "{target}");
    }
});

wsgi_test!(any_method_reaches_the_application, |site| {
    let server = site.app("environ").start();
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "BREW"] {
        assert_eq!(environ(&server.ask(&Request::new(method, "/")))["REQUEST_METHOD"], method);
    }
});

wsgi_test!(cgivar_chooses_the_request_uri, |site| {
    let site = site.load(&["rewrite"]).mount("/app", "environ");
    let site =
        site.conf("RewriteEngine On\nRewriteRule ^/short/(.*)$ /app/$1 [PT]\nRewriteRule ^/current/(.*)$ /app/$1 [PT]");
    let server = site.conf("<Location /app/now>\n  CGIVar REQUEST_URI current-uri\n</Location>").start();
    assert_eq!(environ(&server.get("/short/x"))["REQUEST_URI"], "/short/x");
    assert_eq!(environ(&server.get("/current/now"))["REQUEST_URI"], "/app/now");
});

wsgi_test!(server_name_follows_the_virtual_host, |site| {
    let site = site.conf("<VirtualHost *:${PORT}>\n  ServerName one.example\n  WSGIScriptAlias / ${APPS}/environ/app.wsgi\n</VirtualHost>");
    let site = site.conf("<VirtualHost *:${PORT}>\n  ServerName two.example\n  ServerAlias other.example\n  UseCanonicalName On\n  WSGIScriptAlias / ${APPS}/environ/app.wsgi\n</VirtualHost>");
    let server = site.files("environ").start();
    let ask = |host: &str| environ(&server.ask(&Request::get("/").header("Host", host)));
    let one = ask("one.example");
    assert_eq!(
        (&one["SERVER_NAME"], &one["HTTP_HOST"], &one["SERVER_PORT"]),
        (&json!("one.example"), &json!("one.example"), &json!("80"))
    );
    assert_eq!(ask("other.example")["SERVER_NAME"], "two.example");
});

wsgi_test!(each_request_says_its_own_however_like_the_one_before, both_interpreters, |site| {
    let lines = "SetEnvIf X-Own (.+) HTTP_X_TWICE=$1\nSetEnvIf X-Own own wsgi.run_once=$0 mod_wsgi.thread_id=$0";
    let server = site.app("environ").conf(lines).start();
    let long = "long".repeat(500);
    // Kinds of requests in turns, and values that stay, come back, and go.
    for round in 0..40 {
        let value = |number: usize| ["", "one", "two", long.as_str(), "three"][(number * number / 7) % 5];
        let query = value(round);
        let mut request = Request::get(&format!("/path{}?{query}", round / 10)).header("X-First", value(round + 1));
        if round % 3 != 0 {
            request = request.header("X-Second", value(round / 2));
        }
        // What the server says, too, and what it says in place of its own.
        let twice = (round % 4 == 1).then(|| value(round));
        if let Some(twice) = twice {
            request = request.header("X-Twice", twice).header("X-Own", if round % 8 == 1 { "own" } else { "other" });
        }
        let (plain, response) = (environ(&server.get("/plain")), server.ask(&request));
        let (seen, types) = (environ(&response), types(&response));
        assert_eq!(
            (&seen["QUERY_STRING"], &seen["PATH_INFO"]),
            (&json!(query), &json!(format!("/path{}", round / 10)))
        );
        assert_eq!(seen["HTTP_X_FIRST"], value(round + 1));
        assert_eq!(seen.get("HTTP_X_SECOND"), (round % 3 != 0).then(|| json!(value(round / 2))).as_ref());
        assert_eq!(seen.get("HTTP_X_TWICE").and_then(Value::as_str), twice);
        assert_eq!((&types["wsgi.run_once"], &types["mod_wsgi.thread_id"]), (&json!("bool"), &json!("int")));
        assert!(plain.get("HTTP_X_FIRST").is_none() && plain["QUERY_STRING"] == "", "{plain}");
        let times = ["mod_wsgi.request_start", "mod_wsgi.application_start"].map(|name| seen[name].as_f64().unwrap());
        assert!(plain["mod_wsgi.application_start"].as_f64().unwrap() <= times[0] && times[0] <= times[1], "{seen}");
    }
});

wsgi_test!(what_an_application_does_to_its_environ_ends_with_the_request, |site| {
    let script = "\
def application(environ, start_response):
    seen = repr(sorted(environ)) + repr([environ.get('HTTP_X'), environ['PATH_INFO'], 'mine' in environ])
    environ['mine'], environ['HTTP_X'], environ['PATH_INFO'] = [], 'changed', 'changed'
    del environ['SERVER_NAME'], environ['wsgi.input']
    environ.pop('wsgi.version')
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [seen.encode()]
";
    let server = site.file("apps/changes/app.wsgi", script).conf("WSGIScriptAlias / ${APPS}/changes/app.wsgi").start();
    let ask = || server.ask(&Request::get("/here").header("X", "header")).ok();
    let first = ask();
    assert!(first.contains("'SERVER_NAME'") && first.ends_with("['header', '/here', False]"), "{first}");
    (0..10).for_each(|_| assert_eq!(ask(), first));
});
