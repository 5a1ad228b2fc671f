//! `httpd -t`: what is wrong with a group is said with the option's name.

use crate::harness::{Site, wsgi_test};

fn refused(site: &Site, lines: &str, texts: &[&str]) {
    let (passed, output) = Site::new("config", site.setting).unwrap().files("where").conf(lines).test();
    assert!(!passed, "loads: {lines}");
    for text in texts {
        assert!(output.contains(text), "{lines}: no {text:?} in:\n{output}");
    }
}

fn loads(site: &Site, lines: &str, texts: &[&str]) {
    let (passed, output) = Site::new("config", site.setting).unwrap().files("where").conf(lines).test();
    assert!(passed, "{lines} is refused:\n{output}");
    for text in texts {
        assert!(output.contains(text), "{lines}: no {text:?} in:\n{output}");
    }
}

wsgi_test!(wrong_options_are_refused_by_name, groups, |site| {
    for option in [
        "processes=0",
        "threads=-1",
        "threads=65534",
        "umask=8",
        "home=relative",
        "chroot=relative",
        "stack-size=0",
        "switch-interval=0",
        "maximum-requests=-1",
        "shutdown-timeout=-1",
        "send-buffer-size=511",
        "receive-buffer-size=1",
        "header-buffer-size=8191",
        "response-buffer-size=65535",
        "user=",
        "group=",
    ] {
        let name = option.split_once('=').unwrap().0;
        refused(&site, &format!("WSGIDaemonProcess shop {option}"), &["WSGIDaemonProcess", name]);
    }
    refused(&site, "WSGIDaemonProcess", &["WSGIDaemonProcess"]);
    refused(&site, "WSGIDaemonProcess shop script-user=bin script-group=bin", &["script-user", "script-group"]);
});

wsgi_test!(numbers_are_strict, groups, |site| {
    for option in ["threads=5x", "processes=many", "maximum-requests=1e3", "socket-timeout=1m"] {
        let (name, value) = option.split_once('=').unwrap();
        refused(&site, &format!("WSGIDaemonProcess shop {option}"), &[name, value]);
    }
});

wsgi_test!(a_mistyped_option_names_the_nearest, groups, |site| {
    refused(&site, "WSGIDaemonProcess shop procesess=2", &["procesess", "processes"]);
    refused(&site, "WSGIDaemonProcess shop thread=2", &["thread", "threads"]);
    refused(&site, "WSGIDaemonProcess shop pythonpath=/x", &["pythonpath", "python-path"]);
});

wsgi_test!(names_are_unique_in_the_whole_server, groups, |site| {
    let twice = "WSGIDaemonProcess shop\nWSGIDaemonProcess shop threads=2";
    refused(&site, twice, &["WSGIDaemonProcess", "shop"]);
    let apart = "<VirtualHost *:80>\nServerName one\nWSGIDaemonProcess shop\n</VirtualHost>\n<VirtualHost *:80>\nServerName two\nWSGIDaemonProcess shop\n</VirtualHost>";
    refused(&site, apart, &["WSGIDaemonProcess", "shop"]);
    loads(&site, "WSGIDaemonProcess shop\nWSGIDaemonProcess Shop", &[]);
    // httpd gives a host without lines of ours the main server's record.
    loads(&site, "WSGIDaemonProcess shop\n<VirtualHost *:80>\nServerName plain\n</VirtualHost>", &[]);
});

wsgi_test!(groups_named_by_other_directives_must_be_there, groups, |site| {
    refused(
        &site,
        "WSGIScriptAlias / ${APPS}/where/app.wsgi process-group=nowhere application-group=%{GLOBAL}",
        &["WSGIScriptAlias", "nowhere"],
    );
    refused(
        &site,
        "WSGIImportScript ${APPS}/where/app.wsgi process-group=nowhere application-group=%{GLOBAL}",
        &["WSGIImportScript", "nowhere"],
    );
    refused(
        &site,
        "<VirtualHost *:80>\nServerName one\nWSGIDaemonProcess one\n</VirtualHost>\n<VirtualHost *:80>\nServerName two\nWSGIScriptAlias / ${APPS}/where/app.wsgi process-group=one application-group=%{GLOBAL}\n</VirtualHost>",
        &["WSGIScriptAlias", "one"],
    );
    // Which group a WSGIProcessGroup line means may depend on the request.
    loads(&site, "WSGIProcessGroup nowhere", &[]);
});

wsgi_test!(the_order_of_lines_does_not_matter, groups, |site| {
    let alias = "WSGIScriptAlias / ${APPS}/where/app.wsgi process-group=shop application-group=%{GLOBAL}";
    loads(&site, &format!("{alias}\nWSGIDaemonProcess shop"), &[]);
});

wsgi_test!(old_spellings_load_with_a_notice, groups, |site| {
    loads(&site, "WSGIDaemonProcess shop maximum_requests=10", &["maximum-requests"]);
    loads(&site, "WSGIDaemonProcess shop display-name=%{GROUP} inactivity_timeout=5", &["inactivity-timeout"]);
});

wsgi_test!(what_the_seeds_use_loads, groups, |site| {
    loads(
        &site,
        "WSGISocketPrefix run/wsgi\nWSGIDaemonProcess example.com processes=2 threads=15 display-name=%{GROUP} maximum-requests=1000 umask=0007 python-path=/a:/b inactivity-timeout=60 deadlock-timeout=60 shutdown-timeout=3 stack-size=524288 receive-buffer-size=65536 send-buffer-size=65536",
        &[],
    );
});

wsgi_test!(a_test_of_the_configuration_opens_nothing, groups, |site| {
    let site = site.group("shop", "").app("where").conf("WSGIProcessGroup shop");
    let (passed, output) = site.test();
    assert!(passed, "{output}");
    assert_eq!(std::fs::read_dir(site.root.join("run")).unwrap().count(), 0);
});

wsgi_test!(programs_beside_the_module_must_be_of_its_build, groups, |site| {
    let setting = site.setting;
    let installed = |other: Option<&str>| {
        let site = Site::new("programs", setting).unwrap();
        let own = site.httpd.wsgi.parent().unwrap();
        std::fs::create_dir(site.root.join("modules")).unwrap();
        std::fs::copy(&site.httpd.wsgi, site.root.join("modules/mod_wsgi.so")).unwrap();
        for name in ["mod_wsgi-supervisor", "mod_wsgi-worker"] {
            let copy = site.root.join("modules").join(name);
            std::fs::copy(own.join(name), &copy).unwrap();
            if other == Some(name) {
                let mut bytes = std::fs::read(&copy).unwrap();
                let mark = b"mod_wsgi-rs speaks ";
                for at in 0..bytes.len() - mark.len() {
                    if bytes[at..].starts_with(mark) {
                        bytes[at + mark.len()] ^= 1;
                    }
                }
                std::fs::write(&copy, bytes).unwrap();
            }
        }
        site.module("modules/mod_wsgi.so").group("shop", "").app("where").conf("WSGIProcessGroup shop")
    };
    for name in ["mod_wsgi-supervisor", "mod_wsgi-worker"] {
        let site = installed(Some(name));
        let place = site.root.join("modules").join(name).display().to_string();
        let (passed, output) = site.test();
        assert!(!passed && output.contains(&place) && output.contains("another build"), "{output}");
        let said = site.try_start().err().unwrap();
        assert!(said.contains(&place), "{said}");
    }
    assert_eq!(installed(None).start().get("/").status, 200);
});

wsgi_test!(users_and_groups_are_looked_up_by_a_test_of_the_configuration, groups, |site| {
    for option in ["user=nobody-of-that-name", "group=no-group-of-that-name", "supplementary-groups=no-such-group"] {
        refused(&site, &format!("WSGIDaemonProcess shop {option}"), &["shop", option.split_once('=').unwrap().1]);
    }
});
