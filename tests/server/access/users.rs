//! `WSGIAuthUserScript`, behind `AuthBasicProvider wsgi` and `AuthDigestProvider wsgi`.

use super::{BASIC, BROKEN, UNLOADABLE, asked, basic, calls, digest, kept};
use crate::harness::{Server, Site, wsgi_test};

/// A site that shows its environ to users whom `asked` lets in.
fn guarded(site: Site, lines: &str) -> Server {
    asked(site).conf(&format!("<Location />\n{lines}Require valid-user\n</Location>")).start()
}

const DIGEST: &str =
    "AuthType Digest\nAuthName area\nAuthDigestProvider wsgi\nWSGIAuthUserScript ${APPS}/asked/asked.py\n";

wsgi_test!(a_password_is_right_by_true_or_a_name, both_interpreters, |site| {
    let server = guarded(site, BASIC);
    let challenge = server.get("/");
    assert_eq!((challenge.status, challenge.header("WWW-Authenticate")), (401, Some("Basic realm=\"area\"")));
    let user = |password: &str| {
        let response = basic(&server, "/environ", "joe", password);
        let user = (response.status == 200).then(|| response.json()["environ"]["REMOTE_USER"].clone());
        (response.status, user.map(|user| user.as_str().unwrap().to_owned()))
    };
    assert_eq!(user("true"), (200, Some("joe".to_owned())));
    assert_eq!(user("name"), (200, Some("jane".to_owned())));
    // UTF-8, as latin-1 shows it.
    assert_eq!(user("latin"), (200, Some("jÃ¤ne".to_owned())));
    assert_eq!(user("wide"), (200, Some("jâ\u{82}¬ne".to_owned())));
    for (log, password) in [("AH01617", "false"), ("AH01618", "none")] {
        server.expect_log(log);
        assert_eq!(user(password).0, 401, "{password}");
    }
    server.expect_log("WSGI0176: ");
    server.expect_log("WSGI0177: check_password() of");
    for password in ["one", "zero", "odd", "empty", "nul", "surrogate", "bytes", "nobytes", "list"] {
        assert_eq!(user(password).0, 500, "{password}");
    }
    server.expect_log("check_password() of the WSGI script");
    for (password, cause) in BROKEN {
        assert_eq!(user(password).0, 500, "{password}");
        server.expect_log(cause);
    }
});

wsgi_test!(users_and_passwords_come_as_latin_1, |site| {
    let server = guarded(site, BASIC);
    assert_eq!(basic(&server, "/", "j\u{e9}\u{ff}", "true").status, 200);
    assert_eq!(calls(&server), ["true 'j\\xe9\\xff'"]);
});

wsgi_test!(a_digest_is_made_of_the_hash_that_the_script_knows, both_interpreters, |site| {
    let server = guarded(site, DIGEST);
    for user in ["hash", "hashbytes"] {
        let response = digest(&server, "/environ", user, "pw");
        assert_eq!(response.json()["environ"]["REMOTE_USER"], user);
    }
    server.expect_log("AH01794");
    assert_eq!(digest(&server, "/", "hash", "wrong").status, 401);
    server.expect_log("AH01790");
    assert_eq!(digest(&server, "/", "none", "pw").status, 401);
    server.expect_log("WSGI0178: ");
    server.expect_log("WSGI0179: get_realm_hash() of");
    for user in ["empty", "nobytes", "true", "false", "one", "odd", "nul", "wide", "surrogate", "list"] {
        assert_eq!(digest(&server, "/", user, "pw").status, 500, "{user}");
    }
    server.expect_log("get_realm_hash() of the WSGI script");
    for (user, cause) in BROKEN {
        assert_eq!(digest(&server, "/", user, "pw").status, 500, "{user}");
        server.expect_log(cause);
    }
    assert_eq!(calls(&server)[0], "hash 'area'");
});

wsgi_test!(a_script_that_cannot_be_loaded_lets_no_user_in, |site| {
    for (text, cause) in UNLOADABLE {
        let site = asked(Site::new("lets-no-user-in", site.setting).unwrap());
        let site = match text {
            Some(text) => site.file("apps/broken.py", text),
            None => site.expect_log("WSGI0583"),
        };
        let lines = |lines: &str| lines.replace("asked/asked.py", "broken.py") + "Require valid-user\n";
        let site = site.conf(&format!("<Location />\n{}</Location>", lines(BASIC)));
        let site = site.conf(&format!("<Location /digest>\n{}</Location>", lines(DIGEST)));
        let server = site.expect_log(cause).expect_log("loading the WSGI script").start();
        assert_eq!(basic(&server, "/", "joe", "true").status, 500, "{cause}");
        assert_eq!(digest(&server, "/digest", "hash", "pw").status, 500, "{cause}");
    }
});

wsgi_test!(without_a_script_or_its_function_no_user_is_let_in, |site| {
    let site = asked(site).file("apps/empty.py", "");
    let without = |lines: &str, path: &str| {
        let lines: String =
            lines.lines().filter(|line| !line.starts_with("WSGI")).map(|line| format!("{line}\n")).collect();
        format!("<Location {path}>\n{lines}Require valid-user\n</Location>")
    };
    let empty = |lines: &str, path: &str| {
        format!("<Location {path}>\n{}Require valid-user\n</Location>", lines.replace("asked/asked.py", "empty.py"))
    };
    let site = site.conf(&without(BASIC, "/1")).conf(&without(DIGEST, "/2"));
    let server = site.conf(&empty(BASIC, "/3")).conf(&empty(DIGEST, "/4")).start();
    for number in ["WSGI0041: ", "WSGI0044: ", "WSGI0043: ", "WSGI0046: "] {
        server.expect_log(number);
    }
    for path in ["/1", "/3"] {
        assert_eq!(basic(&server, path, "joe", "true").status, 500, "{path}");
    }
    for path in ["/2", "/4"] {
        assert_eq!(digest(&server, path, "hash", "pw").status, 500, "{path}");
    }
});

wsgi_test!(providers_follow_each_other_until_one_knows_the_user, |site| {
    // joe:none
    let site = asked(site).file("conf/users", "joe:{SHA}cfjnl25MvEVhydYvsoPn94ggKss=\n");
    let place = |path: &str, providers: &str| {
        let lines = BASIC.replace("AuthBasicProvider wsgi", &format!("AuthBasicProvider {providers}"));
        format!("<Location {path}>\n{lines}AuthUserFile conf/users\nRequire valid-user\n</Location>")
    };
    let server = site.conf(&place("/first", "wsgi file")).conf(&place("/last", "file wsgi")).start();
    assert_eq!(basic(&server, "/first", "joe", "none").status, 200, "the script does not know joe, the file does");
    assert_eq!(basic(&server, "/last", "ann", "true").status, 200, "the file does not know ann, the script does");
    server.expect_log("AH01617");
    assert_eq!(basic(&server, "/first", "joe", "false").status, 401, "the script's no is the last word");
    assert_eq!(calls(&server), ["none 'joe'", "true 'ann'", "false 'joe'"]);
    server.expect_log("told to");
    server.expect_log("check_password() of the WSGI script");
    assert_eq!(basic(&server, "/first", "joe", "raise").status, 500, "nobody is asked behind an error");
});

wsgi_test!(what_users_scripts_found_is_cached_where_httpd_is_told_to, |site| {
    let site = asked(site).load(&["socache_shmcb", "authn_socache"]);
    let site = site.conf("AuthnCacheSOCache shmcb\nAuthnCacheEnable");
    let cached = |path: &str, lines: &str| {
        let lines =
            lines.replace("Provider wsgi", "Provider socache wsgi") + "AuthnCacheProvideFor wsgi\nAuthnCacheContext ";
        format!("<Location {path}>\n{lines}{path}\nRequire valid-user\n</Location>")
    };
    let server = site.conf(&cached("/environ", BASIC)).conf(&cached("/digest", DIGEST)).start();
    for _ in 0..2 {
        assert_eq!(basic(&server, "/environ", "joe", "true").status, 200);
    }
    assert_eq!(calls(&server), ["true 'joe'"]);
    server.expect_log("AH01617");
    assert_eq!(basic(&server, "/environ", "joe", "name").status, 401, "another password than the cached one");
    assert!(calls(&server).is_empty());
    for _ in 0..2 {
        let user = basic(&server, "/environ", "ann", "name").json()["environ"]["REMOTE_USER"].clone();
        assert_eq!(user, "jane", "a name that the script gave is not lost to the cache");
    }
    assert_eq!(calls(&server).len(), 2);
    for _ in 0..2 {
        assert_eq!(digest(&server, "/digest", "hash", "pw").status, 200);
    }
    assert_eq!(calls(&server), ["hash 'area'"]);
});

wsgi_test!(a_users_script_sees_what_an_access_script_sees, |site| {
    let server = guarded(site, BASIC);
    assert_eq!(basic(&server, "/x?y", "joe", "environ").status, 200);
    let kept = kept(&server, "environ");
    assert_eq!(kept["environ"]["QUERY_STRING"], "y");
    assert_eq!(kept["environ"].get("HTTP_AUTHORIZATION"), None);
    assert_eq!(kept["tls"]["is_https"], 0);
});

wsgi_test!(an_internal_request_for_another_file_is_asked_about_by_itself, embedded, |site| {
    let site =
        site.load(&["auth_basic", "authz_user", "autoindex"]).files("asked").file("htdocs/mine/page.txt", "static");
    let lines = format!("<Directory ${{ROOT}}/htdocs/mine>\n{BASIC}Require valid-user\nOptions +Indexes\n</Directory>");
    let server = site.conf(&lines).start();
    assert!(basic(&server, "/mine/", "joe", "true").ok().contains("page.txt"));
    // For the folder, and for an index.html in it.
    assert_eq!(calls(&server), ["true 'joe'", "true 'joe'"]);
});

wsgi_test!(htaccess_may_ask_for_users, |site| {
    let site = site.load(&["auth_basic", "authz_user"]).files("asked");
    let script = site.root.join("apps/asked/asked.py");
    let lines = BASIC.replace("${APPS}/asked/asked.py", &script.display().to_string());
    let site =
        site.file("htdocs/mine/.htaccess", lines + "Require valid-user\n").file("htdocs/mine/page.txt", "static");
    let site = site.conf("<Directory ${ROOT}/htdocs/mine>\n  AllowOverride AuthConfig\n</Directory>");
    let server = site.start();
    assert_eq!(server.get("/mine/page.txt").status, 401);
    assert_eq!(basic(&server, "/mine/page.txt", "joe", "true").ok(), "static");
});
