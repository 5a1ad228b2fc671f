//! Scripts as modules: loading, failing to load, reloading.

use std::fs::File;
use std::time::{Duration, SystemTime};

use md5::{Digest as _, Md5};
use serde_json::json;

use crate::harness::process::wait_end;
use crate::harness::{Request, Server, Site, until, wsgi_test};

/// An application that answers with `text`, after some lines at module level.
fn answering(text: &str, before: &str) -> String {
    format!(
        "{before}\ndef application(environ, start_response):\n    body = {text:?}.encode()\n    start_response('200 OK', [('Content-Length', str(len(body)))])\n    return [body]\n"
    )
}

/// Mounts a script with this text at the root.
fn script(site: Site, text: &str) -> Site {
    site.file("apps/s/app.wsgi", text).conf("WSGIScriptAlias / ${APPS}/s/app.wsgi")
}

/// Replaces the script; its time of modification becomes `age` seconds ago.
fn replace(server: &Server, text: &str, age: u64) {
    server.root.write("apps/s/app.wsgi", text);
    let file = File::options().write(true).open(server.root.join("apps/s/app.wsgi")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 - age)).unwrap();
}

wsgi_test!(a_missing_script_is_a_404, |site| {
    let server =
        site.conf("WSGIScriptAlias / ${APPS}/not-there.wsgi").expect_log("WSGI0135").expect_log("WSGI0583").start();
    assert_eq!(server.get("/").status, 404);
});

wsgi_test!(a_script_that_cannot_be_loaded_is_a_500_until_it_can, both_interpreters, |site| {
    for (text, cause) in [
        ("def application(:\n", "SyntaxError: "),
        ("import not_there_at_all\n", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("raise ValueError('at import')\n", "ValueError: at import"),
        ("import sys\nsys.exit(1)\n", "SystemExit"),
    ] {
        let again = Site::new("cannot-be-loaded", site.setting).unwrap();
        // Whatever the message is, it names the script.
        let server = script(again, text).expect_log(cause).expect_log("s/app.wsgi").start();
        let before = server.children();
        assert_eq!(server.get("/").status, 500, "{text}");
        assert_eq!(server.get("/").status, 500, "{text}: tried again");
        assert!(
            server.log().iter().filter(|line| line.message.contains(cause)).count() >= 2,
            "{text}: logged each time"
        );
        replace(&server, &answering("mended", ""), 10);
        assert_eq!(server.get("/").ok(), "mended");
        assert_eq!(server.children(), before);
    }
});

wsgi_test!(a_script_has_what_an_imported_module_has, both_interpreters, |site| {
    let text = "import importlib.util, inspect, os\ndef application(environ, start_response):\n    spec = importlib.util.find_spec(__name__)\n    facts = spec.origin == __file__ == __loader__.path, spec.has_location, spec.name == __name__, inspect.getsource(application)[:15], __cached__\n    start_response('200 OK', [])\n    return [repr(facts).encode()]\n";
    let server = script(site, text).start();
    assert_eq!(server.get("/").ok(), "(True, True, True, 'def application', None)");
});

wsgi_test!(a_script_without_the_callable_is_a_500, |site| {
    let server = script(site, "x = 1\n").expect_log("WSGI0089").start();
    assert_eq!(server.get("/").status, 500);
});

wsgi_test!(a_callable_that_is_none_is_a_500, |site| {
    let server = script(site, "application = 42\n").expect_log("WSGI0174").expect_log("TypeError: ").start();
    assert_eq!(server.get("/").status, 500);
});

wsgi_test!(the_callable_can_have_another_name, |site| {
    let text = answering("mine", "") + "shop = application\ndel application\n";
    let site = script(site, &text).conf("WSGICallableObject shop");
    assert_eq!(site.start().get("/").ok(), "mine");
});

wsgi_test!(a_script_is_a_module_with_a_name_of_its_own, both_interpreters, |site| {
    let server = site.app("module_facts").start();
    let path = server.root.join("apps/module_facts/app.wsgi");
    let digest: String = Md5::digest(path.to_str().unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    let seen = server.get("/").json();
    assert_eq!(seen["name"], format!("_mod_wsgi_{digest}"));
    assert_eq!(seen["file"], path.to_str().unwrap());
    assert_eq!(seen["registered"], true);
    let modified = path.metadata().unwrap().modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(seen["mtime"], json!(u64::try_from(modified.as_micros()).unwrap()));
});

wsgi_test!(the_declared_encoding_of_a_script_holds, |site| {
    let mut text = b"# -*- coding: latin-1 -*-\nTEXT = '".to_vec();
    text.extend(b"caf\xe9'\n");
    text.extend(answering("x", "").replace("\"x\"", "TEXT").into_bytes());
    let site = site.file("apps/s/app.wsgi", text).conf("WSGIScriptAlias / ${APPS}/s/app.wsgi");
    assert_eq!(site.start().get("/").ok(), "café");
});

/// The next answer is of the new code. Where a daemon process must start first, on a machine that is too busy to do so at once, old code
/// answers until it has; but never after.
fn comes(server: &Server, daemon: bool, old: &str, new: &str) {
    if daemon {
        until(new, || {
            let answer = server.get("/").ok();
            assert!(answer == new || answer == old, "{answer}");
            (answer == new).then_some(())
        });
    }
    assert_eq!(server.get("/").ok(), new);
}

wsgi_test!(a_changed_script_is_loaded_again, both_interpreters, |site| {
    let daemon = site.setting.mode.is_daemon();
    let server = script(site, &answering("first", "")).start();
    replace(&server, &answering("first", ""), 1000);
    assert_eq!(server.get("/").ok(), "first");
    replace(&server, &answering("newer", ""), 500);
    comes(&server, daemon, "first", "newer");
    replace(&server, &answering("older counts, too", ""), 2000);
    comes(&server, daemon, "newer", "older counts, too");
    replace(&server, &answering("same time", ""), 2000);
    assert_eq!(server.get("/").ok(), "older counts, too", "only the time tells");
});

wsgi_test!(reloading_leaves_other_modules_alone, embedded, |site| {
    let site = site.file("apps/s/counted.py", "count = 0\n");
    let before = "import sys, os\nsys.path.insert(0, os.path.dirname(__file__))\nimport counted\ncounted.count += 1\n";
    let text = |word: &str| answering("x", before).replace("\"x\"", &format!("('{word} %d' % counted.count)"));
    let server = script(site, &text("first")).start();
    assert_eq!(server.get("/").ok(), "first 1");
    replace(&server, &text("second"), 5);
    assert_eq!(server.get("/").ok(), "second 2");
});

wsgi_test!(a_changed_script_gets_a_new_process, groups, |site| {
    let before = "import os\n";
    let text = |word: &str| answering("x", before).replace("\"x\"", &format!("('{word} %d' % os.getpid())"));
    let site = script(site, &text("first")).group("site", "threads=4");
    let server = site.conf("WSGIProcessGroup site").start();
    let pid = |word: &str| -> u32 { server.get("/").ok().strip_prefix(word).unwrap().trim().parse().unwrap() };
    let first = pid("first");
    assert_eq!(pid("first"), first);
    replace(&server, &text("second"), 5);
    until("the new code", || server.get("/").ok().starts_with("second").then_some(()));
    // From its first answer on there is no old one.
    for _ in 0..20 {
        assert_ne!(pid("second"), first);
    }
    wait_end(first);
});

wsgi_test!(reloading_can_be_switched_off, |site| {
    let server = script(site, &answering("first", "")).conf("WSGIScriptReloading Off").start();
    assert_eq!(server.get("/").ok(), "first");
    replace(&server, &answering("second", ""), 1000);
    assert_eq!(server.get("/").ok(), "first");
});

wsgi_test!(a_script_can_ask_to_be_loaded_again, |site| {
    let before = "import os\nFOLDER = os.path.dirname(__file__)\ndef reload_required(path):\n    if os.path.exists(FOLDER + '/broken'):\n        raise ValueError('in reload_required')\n    return path == __file__ and os.path.exists(FOLDER + '/wanted')\nwith open(FOLDER + '/loads', 'a') as file:\n    file.write('x')\n";
    let daemon = site.setting.mode.is_daemon();
    let server = script(site, &answering("x", before)).start();
    server.root.chmod("apps/s", 0o777);
    server.get("/").ok();
    server.get("/").ok();
    assert_eq!(server.root.read("apps/s/loads"), "x");
    server.root.write("apps/s/wanted", "");
    server.get("/").ok();
    // A daemon process is replaced, and nothing says how often the next one loads before it answers.
    let loads = until("another load", || Some(server.root.read("apps/s/loads")).filter(|loads| loads.len() > 1));
    assert!(if daemon { loads.len() >= 2 } else { loads == "xx" }, "{loads}");
    server.root.write("apps/s/broken", "");
    server.expect_log("ValueError: in reload_required");
    server.expect_log("s/app.wsgi");
    until("it to be asked", || {
        server.get("/").ok();
        server.log_text().contains("ValueError").then_some(())
    });
    assert_eq!(server.root.read("apps/s/loads"), loads, "an exception is logged and no reason to reload");
});

wsgi_test!(one_thread_imports_while_others_wait, |site| {
    let before = "import os, time\nROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))\nwith open(ROOT + '/var/imports', 'a') as file:\n    file.write('x')\nend = time.monotonic() + 60\nwhile not os.path.exists(ROOT + '/var/go') and time.monotonic() < end:\n    time.sleep(0.002)\n";
    let server = script(site, &answering("ready", before)).start();
    let mut first = server.connect();
    first.send_head(&Request::get("/"));
    until("the import to begin", || (server.root.read("var/imports") == "x").then_some(()));
    let mut others: Vec<_> = (0..7).map(|_| server.connect()).collect();
    for other in &mut others {
        other.send_head(&Request::get("/"));
    }
    server.root.write("var/go", "");
    assert_eq!(first.response("GET").ok(), "ready");
    for other in &mut others {
        assert_eq!(other.response("GET").ok(), "ready");
    }
    assert_eq!(server.root.read("var/imports"), "x");
});

wsgi_test!(a_slow_import_does_not_stop_other_content, |site| {
    let before = "import os, time\nROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))\nopen(ROOT + '/var/begun', 'w').close()\nend = time.monotonic() + 60\nwhile not os.path.exists(ROOT + '/var/go') and time.monotonic() < end:\n    time.sleep(0.002)\n";
    let site = site.file("htdocs/page.txt", "static").conf("Alias /page.txt ${ROOT}/htdocs/page.txt");
    let server = script(site, &answering("ready", before)).start();
    let mut first = server.connect();
    first.send_head(&Request::get("/"));
    until("the import to begin", || server.root.join("var/begun").exists().then_some(()));
    assert_eq!(server.get("/page.txt").ok(), "static");
    server.root.write("var/go", "");
    assert_eq!(first.response("GET").ok(), "ready");
});

wsgi_test!(an_import_script_runs_before_the_first_request, embedded, |site| {
    let before = "import os\nROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))\nwith open(ROOT + '/var/imports', 'a') as file:\n    file.write('x')\n";
    let site = site.conf("WSGIImportScript ${APPS}/s/app.wsgi process-group=%{GLOBAL} application-group=early");
    let server = script(site, &answering("ready", before)).conf("WSGIApplicationGroup early").start();
    until("the import at start", || (server.root.read("var/imports") == "x").then_some(()));
    assert_eq!(server.get("/").ok(), "ready");
    assert_eq!(server.root.read("var/imports"), "x", "the request finds it loaded");
});

wsgi_test!(an_alias_with_both_groups_is_loaded_at_start, embedded, |site| {
    let before = "import os\nROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))\nopen(ROOT + '/var/loaded', 'w').close()\n";
    let site = site.file("apps/s/app.wsgi", answering("ready", before));
    let server =
        site.conf("WSGIScriptAlias / ${APPS}/s/app.wsgi process-group=%{GLOBAL} application-group=%{GLOBAL}").start();
    // Literal %{GLOBAL} holds a %{ in the words of the rule, so this alias waits for its first request.
    assert_eq!(server.get("/").ok(), "ready");
    assert!(server.root.join("var/loaded").exists());
});

wsgi_test!(an_import_script_that_fails_does_not_stop_the_child, embedded, |site| {
    let site = site.file("apps/bad.wsgi", "raise ValueError('too early')\n").app("where");
    let site = site.conf("WSGIImportScript ${APPS}/bad.wsgi process-group=%{GLOBAL} application-group=%{GLOBAL}");
    let server = site.expect_log("bad.wsgi").start();
    server.wait_log("ValueError: too early");
    assert_eq!(server.get("/").status, 200);
});
