//! `WSGIAuthGroupScript`, behind `Require wsgi-group`.

use super::{BASIC, BROKEN, UNLOADABLE, asked, basic, calls};
use crate::harness::{Server, Site, wsgi_test};

const GROUPS: &str = "WSGIAuthGroupScript ${APPS}/asked/asked.py\n";

/// A place for whom `require` lets in.
fn place(path: &str, groups: &str, require: &str) -> String {
    format!("<Location {path}>\n{BASIC}{groups}{require}\n</Location>")
}

fn status(server: &Server, target: &str) -> u16 {
    basic(server, target, "joe", "true").status
}

wsgi_test!(who_is_in_one_of_the_groups_is_let_in, both_interpreters, |site| {
    let server = asked(site).conf(&place("/", GROUPS, "Require wsgi-group a \"b c\"")).start();
    assert_eq!(server.get("/").status, 401);
    for groups in ["list", "upper", "listbytes", "tuple", "set", "dict", "iterator", "spaced"] {
        assert_eq!(status(&server, &format!("/?{groups}")), 200, "{groups}");
    }
    server.expect_log("AH01631");
    for (groups, number) in [("nothing", "WSGI0059: "), ("others", "WSGI0060: "), ("nuls", "WSGI0060: ")] {
        assert_eq!(status(&server, &format!("/?{groups}")), 401, "{groups}");
        server.expect_log(number);
    }
    server.expect_log("WSGI0051: groups_for_user() of");
    for groups in ["none", "true", "a", "name", "bytes"] {
        assert_eq!(status(&server, &format!("/?{groups}")), 500, "{groups}");
    }
    server.expect_log("WSGI0050: groups_for_user() of");
    for groups in ["ints", "wides"] {
        assert_eq!(status(&server, &format!("/?{groups}")), 500, "{groups}");
    }
    server.expect_log("groups_for_user() of the WSGI script");
    for (groups, cause) in [
        ("one", "TypeError: 'int' object is not iterable"),
        ("odd", "ValueError: not to be iterated over"),
        ("several", "ValueError: in the middle"),
    ]
    .into_iter()
    .chain(BROKEN)
    {
        assert_eq!(status(&server, &format!("/?{groups}")), 500, "{groups}");
        server.expect_log(cause);
    }
});

wsgi_test!(an_error_is_no_yes_behind_require_not, |site| {
    for (text, cause) in UNLOADABLE {
        let site = asked(Site::new("behind-require-not", site.setting).unwrap());
        let site = match text {
            Some(text) => site.file("apps/broken.py", text),
            None => site.expect_log("WSGI0583"),
        };
        let broken = "WSGIAuthGroupScript ${APPS}/broken.py\n";
        let not = "<RequireAll>\nRequire valid-user\nRequire not wsgi-group x\n</RequireAll>";
        let site = site.conf(&place("/", broken, "Require wsgi-group a")).conf(&place("/not", broken, not));
        let server = site.expect_log(cause).expect_log("loading the WSGI script").start();
        assert_eq!((status(&server, "/"), status(&server, "/not")), (500, 500), "{cause}");
    }
    let not = "<RequireAll>\nRequire valid-user\nRequire not wsgi-group a\n</RequireAll>";
    let server = asked(site).conf(&place("/", GROUPS, not)).start();
    server.expect_log("WSGI0060: ");
    assert_eq!(status(&server, "/?others"), 200);
    server.expect_log("AH01631");
    assert_eq!(status(&server, "/?list"), 401);
    server.expect_log("told to");
    server.expect_log("groups_for_user() of the WSGI script");
    assert_eq!(status(&server, "/?raise"), 500);
});

wsgi_test!(without_a_script_or_its_function_nobody_is_in_a_group, |site| {
    let site = asked(site).file("apps/empty.py", "");
    let site = site.conf(&place("/none", "", "Require wsgi-group a"));
    let site = site.conf(&place("/empty", "WSGIAuthGroupScript ${APPS}/empty.py\n", "Require wsgi-group a"));
    let server = site.conf(&place("/nobody", GROUPS, "Require wsgi-group")).start();
    for number in ["WSGI0058: ", "WSGI0052: ", "WSGI0060: ", "AH01631"] {
        server.expect_log(number);
    }
    assert_eq!((status(&server, "/none"), status(&server, "/empty")), (500, 500));
    assert_eq!(status(&server, "/nobody"), 401);
});

wsgi_test!(each_line_asks_and_a_renamed_user_is_asked_about_by_the_new_name, |site| {
    let lines = place("/", GROUPS, "Require wsgi-group x\nRequire wsgi-group a");
    let server = asked(site).conf(&lines).start();
    assert_eq!(basic(&server, "/?tuple", "joe", "name").status, 200);
    assert_eq!(calls(&server), ["name 'joe'", "tuple 'jane'", "tuple 'jane'"]);
    server.expect_log("WSGI0060: ");
});
