//! Behaviour of `environ`, one sentence each.

use super::*;

/// Names and values as a test writes them.
type List<'l> = &'l [(&'l str, Option<&'l str>)];

impl Entries for Pairs {
    fn for_each(&self, visit: &mut Visit<'_>) {
        self.entries().for_each(|(key, value)| visit(key, value));
    }
}

fn entries(list: List<'_>) -> Pairs {
    let mut pairs = Pairs::default();
    for (key, value) in list {
        pairs.push_optional(key.as_bytes(), value.map(str::as_bytes));
    }
    pairs
}

fn facts<'a>(headers: &'a Pairs, subprocess_env: &'a Pairs) -> RequestFacts<'a> {
    RequestFacts {
        method: b"GET",
        uri: b"/shop//cart",
        request_uri: b"/shop//cart?a=%2F&b",
        protocol: b"HTTP/1.1",
        args: Some(b"a=%2F&b"),
        path_info: b"/cart",
        filename: b"/srv/shop.wsgi",
        scheme: b"http",
        server_name: b"www.example.com",
        server_port: 8080,
        server_addr: b"127.0.0.1",
        remote_addr: b"192.0.2.7",
        remote_port: 50_000,
        server_software: b"Apache",
        server_admin: None,
        document_root: b"/srv/www",
        context_prefix: b"",
        context_document_root: b"/srv/www",
        user: None,
        auth_type: None,
        previous: None,
        included: false,
        handler: b"wsgi-script",
        handler_script: b"",
        process_group: b"",
        application_group: b"www.example.com:8080|/shop",
        callable_object: Some(b"application"),
        request_id: Some(b"id1"),
        connection_id: None,
        listener_host: b"",
        listener_port: 8080,
        server_pid: 4321,
        headers,
        subprocess_env,
    }
}

fn build(facts: &RequestFacts<'_>, policy: CgiPolicy) -> Pairs {
    let mut out = Pairs::default();
    environ(facts, policy, &mut out);
    out
}

/// The environ of these headers and no subprocess environment.
fn of_headers(headers: List<'_>, policy: CgiPolicy) -> Pairs {
    build(&facts(&entries(headers), &Pairs::default()), policy)
}

/// The environ of this subprocess environment and no headers.
fn of_env(env: List<'_>) -> (Pairs, UrlScheme) {
    let (headers, env) = (Pairs::default(), entries(env));
    let mut out = Pairs::default();
    let scheme = environ(&facts(&headers, &env), CgiPolicy::default(), &mut out).url_scheme;
    (out, scheme)
}

#[track_caller]
fn check(pairs: &Pairs, cases: List<'_>) {
    for (key, value) in cases {
        let got = pairs.get(key.as_bytes()).map(String::from_utf8_lossy);
        assert_eq!(got.as_deref(), *value, "{key}");
    }
}

#[test]
fn a_plain_request_has_exactly_these_keys() {
    let none = Pairs::default();
    let out = build(&facts(&none, &none), CgiPolicy::default());
    let got: Vec<_> = out.iter().map(|(k, v)| (str::from_utf8(k).unwrap(), str::from_utf8(v).unwrap())).collect();
    let expected = [
        ("REQUEST_SCHEME", "http"),
        ("SERVER_NAME", "www.example.com"),
        ("SERVER_PORT", "8080"),
        ("SERVER_ADDR", "127.0.0.1"),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("REMOTE_PORT", "50000"),
        ("SERVER_SOFTWARE", "Apache"),
        ("DOCUMENT_ROOT", "/srv/www"),
        ("CONTEXT_PREFIX", ""),
        ("CONTEXT_DOCUMENT_ROOT", "/srv/www"),
        ("SCRIPT_FILENAME", "/srv/shop.wsgi"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_METHOD", "GET"),
        ("QUERY_STRING", "a=%2F&b"),
        ("REQUEST_URI", "/shop//cart?a=%2F&b"),
        ("SCRIPT_NAME", "/shop"),
        ("PATH_INFO", "/cart"),
        ("mod_wsgi.process_group", ""),
        ("mod_wsgi.application_group", "www.example.com:8080|/shop"),
        ("mod_wsgi.callable_object", "application"),
        ("mod_wsgi.request_handler", "wsgi-script"),
        ("mod_wsgi.handler_script", ""),
        ("mod_wsgi.listener_host", ""),
        ("mod_wsgi.listener_port", "8080"),
        ("mod_wsgi.server_pid", "4321"),
        ("mod_wsgi.request_id", "id1"),
        ("mod_wsgi.script_name", "/shop"),
        ("mod_wsgi.path_info", "/cart"),
    ];
    assert_eq!(got, expected);
}

#[test]
fn optional_keys_appear_when_there_is_something_to_say() {
    let none = Pairs::default();
    let full = RequestFacts {
        server_admin: Some(b"root@example.com"),
        user: Some(b"joe"),
        auth_type: Some(b"Basic"),
        connection_id: Some(b"c1"),
        previous: Some(Previous { url: Some(b"/old"), query: Some(b"q=1"), user: Some(b"ann") }),
        ..facts(&none, &none)
    };
    check(
        &build(&full, CgiPolicy::default()),
        &[
            ("SERVER_ADMIN", Some("root@example.com")),
            ("REMOTE_USER", Some("joe")),
            ("REDIRECT_REMOTE_USER", None),
            ("AUTH_TYPE", Some("Basic")),
            ("REDIRECT_URL", Some("/old")),
            ("REDIRECT_QUERY_STRING", Some("q=1")),
            ("mod_wsgi.connection_id", Some("c1")),
        ],
    );
}

#[test]
fn the_user_of_an_earlier_request_is_shown_only_when_this_one_has_none() {
    let none = Pairs::default();
    let previous = Some(Previous { user: Some(b"ann"), ..Previous::default() });
    check(
        &build(&RequestFacts { previous, ..facts(&none, &none) }, CgiPolicy::default()),
        &[("REMOTE_USER", None), ("REDIRECT_REMOTE_USER", Some("ann")), ("REDIRECT_URL", None)],
    );
}

#[test]
fn headers_become_http_variables() {
    let headers = [
        ("Host", Some("www.example.com:8080")),
        ("accept-language", Some("de, en")),
        ("X-Forwarded-For2", Some("")),
        ("Cookie", Some("a=1; b=2")),
        ("X-None", None),
        ("Connection", Some("close")),
    ];
    let out = of_headers(&headers, CgiPolicy::default());
    check(
        &out,
        &[
            ("HTTP_HOST", Some("www.example.com:8080")),
            ("HTTP_ACCEPT_LANGUAGE", Some("de, en")),
            ("HTTP_X_FORWARDED_FOR2", Some("")),
            ("HTTP_COOKIE", Some("a=1; b=2")),
            ("HTTP_CONNECTION", Some("close")),
        ],
    );
    assert!(out.entries().any(|entry| entry == (b"HTTP_X_NONE", None)));
}

#[test]
fn content_type_and_length_have_no_prefix_and_only_appear_when_sent() {
    let out = of_headers(&[("content-type", Some("text/plain")), ("CONTENT-LENGTH", Some("5"))], CgiPolicy::default());
    check(
        &out,
        &[
            ("CONTENT_TYPE", Some("text/plain")),
            ("CONTENT_LENGTH", Some("5")),
            ("HTTP_CONTENT_TYPE", None),
            ("HTTP_CONTENT_LENGTH", None),
        ],
    );
    check(&of_headers(&[], CgiPolicy::default()), &[("CONTENT_TYPE", None), ("CONTENT_LENGTH", None)]);
}

#[test]
fn names_that_could_imitate_another_header_are_hidden() {
    let odd = ["X_User", "X.User", "X User", "X-\u{fc}", "", "X\0Y", "X/Y", "Content_Length", "X:"];
    for name in odd {
        let out = of_headers(&[(name, Some("spoof"))], CgiPolicy::default());
        assert!(out.iter().all(|(key, value)| !key.starts_with(b"HTTP_") && value != b"spoof"), "{name:?}");
    }
    let both = [("X-User", Some("real")), ("X_User", Some("spoof"))];
    check(&of_headers(&both, CgiPolicy::default()), &[("HTTP_X_USER", Some("real"))]);
}

#[test]
fn a_proxy_header_never_reaches_the_application() {
    for name in ["Proxy", "proxy", "PROXY"] {
        let all = CgiPolicy { pass_authorization: true, cgi_pass_auth: true, ..CgiPolicy::default() };
        check(&of_headers(&[(name, Some("http://evil"))], all), &[("HTTP_PROXY", None)]);
    }
}

#[test]
fn credentials_are_hidden_unless_asked_for() {
    let headers = [("Authorization", Some("Basic x")), ("proxy-authorization", Some("Basic y"))];
    let cases = [
        (false, false, None, None),
        (true, false, Some("Basic x"), None),
        (false, true, Some("Basic x"), Some("Basic y")),
        (true, true, Some("Basic x"), Some("Basic y")),
    ];
    for (pass_authorization, cgi_pass_auth, authorization, proxy) in cases {
        let policy = CgiPolicy { pass_authorization, cgi_pass_auth, ..CgiPolicy::default() };
        let out = of_headers(&headers, policy);
        check(&out, &[("HTTP_AUTHORIZATION", authorization), ("HTTP_PROXY_AUTHORIZATION", proxy)]);
    }
}

#[test]
fn the_subprocess_environment_is_passed_on() {
    let (out, scheme) = of_env(&[
        ("SSL_CIPHER", Some("x")),
        ("UNIQUE_ID", Some("u")),
        ("GATEWAY_INTERFACE", Some("set")),
        ("LD_LIBRARY_PATH", Some("set")),
        ("none", None),
    ]);
    assert_eq!(scheme, UrlScheme::Http);
    let expected = [
        (&b"SSL_CIPHER"[..], Some(&b"x"[..])),
        (b"UNIQUE_ID", Some(b"u")),
        (b"GATEWAY_INTERFACE", Some(b"set")),
        (b"LD_LIBRARY_PATH", Some(b"set")),
        (b"none", None),
    ];
    assert_eq!(out.entries().take(5).collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_computed_replaces_what_was_set() {
    let env = entries(&[
        ("PATH_INFO", Some("spoof")),
        ("SCRIPT_NAME", Some("spoof")),
        ("HTTP_HOST", Some("spoof")),
        ("REMOTE_ADDR", Some("spoof")),
        ("mod_wsgi.process_group", Some("spoof")),
        ("mod_wsgi.path_info", Some("spoof")),
        ("REMOTE_USER", Some("kept")),
    ]);
    let headers = entries(&[("Host", Some("real"))]);
    let request = RequestFacts { uri: b"/shop", path_info: b"", ..facts(&headers, &env) };
    check(
        &build(&request, CgiPolicy::default()),
        &[
            ("PATH_INFO", Some("")),
            ("SCRIPT_NAME", Some("/shop")),
            ("HTTP_HOST", Some("real")),
            ("REMOTE_ADDR", Some("192.0.2.7")),
            ("mod_wsgi.process_group", Some("")),
            ("mod_wsgi.path_info", Some("")),
            ("REMOTE_USER", Some("kept")),
        ],
    );
}

#[test]
fn path_private_and_constant_keys_are_not_passed_on() {
    let (out, _) = of_env(&[
        ("PATH", Some("/bin")),
        ("Path", Some("/bin")),
        ("mod_wsgi.x-magic", Some("secret")),
        ("mod_wsgi.other", Some("kept")),
        ("PATHS", Some("kept")),
        ("wsgi.input_terminated", Some("1")),
        ("wsgi.other", Some("kept")),
    ]);
    check(&out, &[("PATH", None), ("Path", None), ("mod_wsgi.x-magic", None), ("mod_wsgi.other", Some("kept"))]);
    check(&out, &[("wsgi.input_terminated", None), ("wsgi.other", Some("kept"))]);
    check(&out, &[("PATHS", Some("kept"))]);
}

#[test]
fn the_https_variable_sets_the_scheme_and_is_consumed() {
    let cases: [(List<'_>, UrlScheme); 10] = [
        (&[], UrlScheme::Http),
        (&[("HTTPS", Some("on"))], UrlScheme::Https),
        (&[("HTTPS", Some("ON"))], UrlScheme::Https),
        (&[("HTTPS", Some("1"))], UrlScheme::Https),
        (&[("https", Some("on"))], UrlScheme::Https),
        (&[("HTTPS", Some("off"))], UrlScheme::Http),
        (&[("HTTPS", Some("11"))], UrlScheme::Http),
        (&[("HTTPS", Some(""))], UrlScheme::Http),
        (&[("HTTPS", None)], UrlScheme::Http),
        (&[("HTTPS", Some("off")), ("HTTPS", Some("on"))], UrlScheme::Http),
    ];
    for (env, expected) in cases {
        let (out, scheme) = of_env(env);
        assert_eq!(scheme, expected, "{env:?}");
        assert!(out.iter().all(|(key, _)| !key.eq_ignore_ascii_case(b"HTTPS")));
    }
    assert_eq!((UrlScheme::Http.as_str(), UrlScheme::Https.as_str()), ("http", "https"));
}

#[test]
fn an_https_header_of_the_client_does_not_make_it_https() {
    let headers = entries(&[("HTTPS", Some("on"))]);
    let none = Pairs::default();
    let mut out = Pairs::default();
    assert_eq!(environ(&facts(&headers, &none), CgiPolicy::default(), &mut out).url_scheme, UrlScheme::Http);
    check(&out, &[("HTTPS", None), ("HTTP_HTTPS", Some("on"))]);
}

#[test]
fn a_mapped_head_is_shown_as_get() {
    let none = Pairs::default();
    let head = RequestFacts { method: b"HEAD", ..facts(&none, &none) };
    let mapped = CgiPolicy { head_is_get: true, ..CgiPolicy::default() };
    check(&build(&head, mapped), &[("REQUEST_METHOD", Some("GET"))]);
    check(&build(&head, CgiPolicy::default()), &[("REQUEST_METHOD", Some("HEAD"))]);
}

#[test]
fn no_query_is_an_empty_query_string() {
    let none = Pairs::default();
    check(
        &build(&RequestFacts { args: None, ..facts(&none, &none) }, CgiPolicy::default()),
        &[("QUERY_STRING", Some(""))],
    );
}

#[test]
fn the_server_name_is_escaped_for_html() {
    let none = Pairs::default();
    let cases: [(&[u8], &str); 5] = [
        (b"www.example.com", "www.example.com"),
        (b"<a href=\"x\">&</a>", "&lt;a href=&quot;x&quot;&gt;&amp;&lt;/a&gt;"),
        (b"&", "&amp;"),
        (b"[::1]", "[::1]"),
        (b"", ""),
    ];
    for (server_name, shown) in cases {
        let out = build(&RequestFacts { server_name, ..facts(&none, &none) }, CgiPolicy::default());
        check(&out, &[("SERVER_NAME", Some(shown))]);
    }
}

#[test]
fn an_included_page_has_its_whole_uri_as_script_name() {
    let none = Pairs::default();
    let included = RequestFacts { uri: b"/inc.wsgi", path_info: b"/page", included: true, ..facts(&none, &none) };
    let out = build(&included, CgiPolicy::default());
    check(&out, &[("SCRIPT_NAME", Some("/inc.wsgi")), ("PATH_INFO", Some("/page"))]);
}

#[test]
fn bytes_that_are_not_text_pass_unchanged() {
    let mut headers = Pairs::default();
    headers.push(b"X-Raw", b"\xff\x80\x01");
    let none = Pairs::default();
    let request = RequestFacts { uri: b"/\xff/\xfe", path_info: b"/\xfe", ..facts(&headers, &none) };
    let out = build(&request, CgiPolicy::default());
    assert_eq!(out.get(b"HTTP_X_RAW"), Some(&b"\xff\x80\x01"[..]));
    assert_eq!(out.get(b"SCRIPT_NAME"), Some(&b"/\xff"[..]));
    assert_eq!(out.get(b"PATH_INFO"), Some(&b"/\xfe"[..]));
}

#[test]
fn only_file_names_are_decoded_as_file_names() {
    for (key, expected) in [("DOCUMENT_ROOT", true), ("SCRIPT_FILENAME", true), ("CONTEXT_DOCUMENT_ROOT", false)] {
        assert_eq!(is_filesystem_key(key.as_bytes()), expected);
    }
}

#[test]
fn a_dispatch_script_sees_no_callable_but_https() {
    let (headers, env) = (Pairs::default(), entries(&[("https", Some("on")), ("SHOP", Some("x"))]));
    let mut out = Pairs::default();
    dispatch_environ(&RequestFacts { callable_object: None, ..facts(&headers, &env) }, CgiPolicy::default(), &mut out);
    check(
        &out,
        &[
            ("HTTPS", Some("on")),
            ("SHOP", Some("x")),
            ("mod_wsgi.callable_object", None),
            ("SCRIPT_NAME", Some("/shop")),
        ],
    );
}

#[test]
fn an_access_script_has_exactly_these_keys() {
    let headers = entries(&[
        ("Host", Some("www.example.com")),
        ("Content-Type", Some("text/plain")),
        ("Authorization", Some("Basic eA==")),
        ("Proxy-Authorization", Some("Basic eA==")),
        ("Proxy", Some("http://evil")),
        ("X_User", Some("root")),
    ]);
    let env = entries(&[("SECRET", Some("x")), ("HTTPS", Some("on"))]);
    let (uri, path_info) = (b"/a//b/c//d", b"/c//d");
    let facts = RequestFacts { user: Some(b"joe"), server_admin: Some(b"me"), uri, path_info, ..facts(&headers, &env) };
    let mut out = Pairs::default();
    access_environ(&facts, AccessFacts { server_signature: b"<i/>", remote_host: Some(b"client.example") }, &mut out);
    let mut keys: Vec<_> = out.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect();
    keys.sort();
    let wanted = "CONTENT_TYPE DOCUMENT_ROOT HTTP_HOST PATH_INFO QUERY_STRING REMOTE_ADDR REMOTE_HOST REMOTE_PORT REQUEST_METHOD \
                  REQUEST_URI SCRIPT_NAME SERVER_ADDR SERVER_ADMIN SERVER_NAME SERVER_PORT SERVER_PROTOCOL SERVER_SIGNATURE \
                  SERVER_SOFTWARE mod_wsgi.application_group mod_wsgi.process_group";
    assert_eq!(keys.join(" "), wanted);
    // What is decided about is the path as it was sent.
    check(&out, &[("SCRIPT_NAME", Some("/a//b")), ("PATH_INFO", Some("/c//d")), ("SERVER_SIGNATURE", Some("<i/>"))]);
}
