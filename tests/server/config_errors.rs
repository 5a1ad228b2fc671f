//! `httpd -t`: a wrong line is refused with a sentence that names the directive, what is wrong and what to do.

use crate::harness::{Site, wsgi_test};

/// Tests one site per line: it must be refused and the answer name all of `texts`.
pub(crate) fn refused(site: &Site, table: &[(&str, &[&str])]) {
    for (lines, texts) in table {
        let (passed, output) = Site::new("config", site.setting).unwrap().conf(lines).test();
        assert!(!passed, "loads: {lines}");
        for text in *texts {
            assert!(output.contains(text), "{lines}: no {text:?} in:\n{output}");
        }
    }
}

/// Tests one site per line: it must load and the answer name all of `texts`.
pub(crate) fn loads(site: &Site, table: &[(&str, &[&str])]) {
    for (lines, texts) in table {
        let (passed, output) = Site::new("config", site.setting).unwrap().conf(lines).test();
        assert!(passed, "{lines} is refused:\n{output}");
        for text in *texts {
            assert!(output.contains(text), "{lines}: no {text:?} in:\n{output}");
        }
    }
}

wsgi_test!(wrong_arguments_are_refused, embedded, |site| {
    refused(
        &site,
        &[
            ("WSGIScriptAlias /x", &["WSGIScriptAlias"]),
            ("WSGIScriptAlias /x /y process-group", &["WSGIScriptAlias", "process-group"]),
            ("WSGIScriptAlias /x /y pass-authorization=maybe", &["pass-authorization", "maybe"]),
            ("WSGIScriptAlias /x /y application-group=", &["application-group"]),
            ("WSGIScriptAliasMatch ( /y", &["WSGIScriptAliasMatch"]),
            ("WSGIScriptReloading maybe", &["WSGIScriptReloading", "On", "Off"]),
            ("WSGIMapHEADToGET maybe", &["WSGIMapHEADToGET", "Auto"]),
            ("WSGISwitchInterval 0", &["WSGISwitchInterval"]),
            ("WSGISwitchInterval 0.1x", &["WSGISwitchInterval"]),
            ("WSGIPythonHashSeed 5x", &["WSGIPythonHashSeed"]),
            ("WSGIPythonHashSeed 4294967296", &["WSGIPythonHashSeed"]),
            ("WSGIImportScript /x", &["WSGIImportScript", "process-group"]),
            ("WSGIImportScript /x process-group=%{GLOBAL}", &["WSGIImportScript", "application-group"]),
            ("WSGIPythonHome", &["WSGIPythonHome"]),
            ("WSGIPythonHome /a /b", &["WSGIPythonHome"]),
        ],
    );
});

wsgi_test!(a_mistyped_option_names_the_nearest, embedded, |site| {
    refused(
        &site,
        &[
            ("WSGIScriptAlias /x /y process-grup=%{GLOBAL}", &["process-grup", "process-group"]),
            ("WSGIScriptAlias /x /y callable=app", &["callable", "callable-object"]),
            (
                "WSGIImportScript /x process-group=%{GLOBAL} aplication-group=y",
                &["aplication-group", "application-group"],
            ),
        ],
    );
});

wsgi_test!(a_directive_in_the_wrong_place_is_refused, embedded, |site| {
    refused(
        &site,
        &[
            ("<VirtualHost *:80>\nWSGIPythonHome /usr\n</VirtualHost>", &["WSGIPythonHome"]),
            ("<VirtualHost *:80>\nWSGIRestrictEmbedded On\n</VirtualHost>", &["WSGIRestrictEmbedded"]),
            ("<Directory /x>\nWSGIPythonPath /y\n</Directory>", &["WSGIPythonPath"]),
            ("<Location /x>\nWSGIScriptAlias /x /y\n</Location>", &["WSGIScriptAlias"]),
            ("WSGIAccessScript /x", &["WSGIAccessScript"]),
            ("<VirtualHost *:80>\nWSGIAuthUserScript /x\n</VirtualHost>", &["WSGIAuthUserScript"]),
        ],
    );
});

wsgi_test!(what_comes_with_a_later_version_is_refused_by_name, embedded, |site| {
    refused(&site, &[("WSGIReloadMechanism Interpreter", &["WSGIReloadMechanism"])]);
});

wsgi_test!(what_has_no_effect_loads, embedded, |site| {
    loads(
        &site,
        &[
            ("WSGIProcessGroup %{GLOBAL}", &[]),
            ("WSGIScriptAlias /x /y process-group=%{GLOBAL} application-group=%{GLOBAL}", &[]),
            ("WSGISocketPrefix run/wsgi\nWSGISocketRotation Off\nWSGIAcceptMutex default", &[]),
            ("WSGIServerMetrics Off\nWSGIPerInterpreterGIL Off", &[]),
            ("<Directory /x>\nWSGIGroupAuthoritative On\n</Directory>", &[]),
            ("WSGITelemetryService unix:/run/t\nWSGISlowRequests 1\nWSGITelemetryOptions All", &["sends no telemetry"]),
            ("WSGITrustedProxyHeaders Forwarded X-Real-IP", &["Forwarded", "changes nothing"]),
            ("WSGIErrorOverride On\nWSGIIgnoreActivity On\nWSGIVerboseDebugging On", &[]),
            ("<Directory /x>\nWSGIRestrictProcess %{GLOBAL}\n</Directory>", &[]),
        ],
    );
});

wsgi_test!(old_spellings_load_with_a_notice, embedded, |site| {
    loads(
        &site,
        &[
            ("WSGIScriptAlias /x /y callable_object=app", &["callable-object"]),
            ("WSGIReloadMechanism Process", &["WSGIReloadMechanism"]),
            ("WSGILazyInitialization On", &["WSGILazyInitialization"]),
        ],
    );
});

/// Tests the lines, which must load; what `httpd -t` said.
fn tested(site: Site) -> String {
    let (passed, output) = site.test();
    assert!(passed, "refused:\n{output}");
    let made: Vec<_> =
        ["run", "logs"].iter().flat_map(|folder| std::fs::read_dir(site.root.join(folder)).unwrap()).collect();
    assert!(made.is_empty(), "-t made {made:?}");
    output
}

wsgi_test!(doubtful_lines_are_named_at_the_test, embedded, |site| {
    loads(
        &site,
        &[
            ("WSGIScriptAlias / app.wsgi", &["httpd.conf:", "\"app.wsgi\"", "below ServerRoot"]),
            ("WSGIScriptAliasMatch ^/x/(.*)/srv/x.wsgi process-group=%{GLOBAL}", &["run together"]),
            ("WSGIProcessGroup a\nWSGIProcessGroup b", &["set twice", "\"a\"", "\"b\""]),
            ("<Directory /srv>\nWSGIProcessGroup a\nWSGIProcessGroup b\n</Directory>", &["set twice"]),
        ],
    );
    refused(&site, &[("WSGIScriptAliasMatch ^/x/(.*)/srv/x.wsgi", &["WSGIScriptAliasMatch", "2 values"])]);
});

wsgi_test!(what_can_not_be_meant_is_named_at_the_test, embedded, |site| {
    let host = |lines: &str| format!("<VirtualHost *:80>\nServerName shop.example\n{lines}\n</VirtualHost>\n");
    let alias = "WSGIScriptAlias / ${APPS}/environ/app.wsgi\n";
    let shop = format!("WSGIDaemonProcess shop\n{}", host(&format!("WSGIProcessGroup shop\n{alias}")));
    for (lines, texts) in [
        ("WSGIDaemonProcess shop".to_owned(), &["WSGI0580", "\"shop\"", "WSGIProcessGroup shop"][..]),
        (format!("{shop}{}", host(alias)), &["WSGI0581", "WSGIProcessGroup shop"]),
        (
            format!(
                "WSGIDaemonProcess shop\n{}{}",
                host(&format!("{alias}<Directory ${{APPS}}/environ>\nWSGIProcessGroup shop\n</Directory>")),
                host(alias)
            ),
            &["WSGI0581"],
        ),
        (
            format!("{shop}WSGIDaemonProcess tls\n{}", host(&format!("WSGIProcessGroup tls\n{alias}"))),
            &["WSGI0582", "shop.example"],
        ),
        ("WSGIScriptAlias / /nowhere/app.wsgi".to_owned(), &["WSGI0583", "/nowhere/app.wsgi"]),
        ("WSGIDaemonProcess shop home=/nowhere\nWSGIProcessGroup shop".to_owned(), &["WSGI0584", "home \"/nowhere\""]),
        ("WSGIPythonHome /nowhere/venv".to_owned(), &["WSGI0585", "/nowhere/venv"]),
        (
            format!("WSGIDaemonProcess shop\n{}", host("WSGIProcessGroup Shop")),
            &["WSGI0589", "WSGIProcessGroup Shop in the virtual host \"shop.example\"", "mean \"shop\"?"],
        ),
        (
            format!(
                "{}<VirtualHost *:80>\nServerName b\nWSGIProcessGroup own\n</VirtualHost>",
                host("WSGIDaemonProcess own")
            ),
            &["WSGI0590", "the virtual host \"b\"", "of the virtual host \"shop.example\""],
        ),
        ("WSGIDaemonProcess mail threads=0\nWSGIProcessGroup mail".to_owned(), &["WSGI0591", "mail"]),
        ("WSGIApplicationGroup %{GLOABL}".to_owned(), &["WSGI0592", "httpd.conf:", "mean %{GLOBAL}?"]),
        ("WSGIPythonHome ${ROOT}/venv".to_owned(), &["WSGI0593", "/venv\"", "of Python 3.99", "-m venv"]),
        (host("WSGITrustedProxyHeaders X-Forwarded-For"), &["WSGI0588", "shop.example", "every client"]),
    ] {
        let site = Site::new("advice", site.setting).unwrap().file("venv/pyvenv.cfg", "version = 3.99.1\n");
        let output = tested(site.files("environ").conf(&lines));
        for text in texts {
            assert!(output.contains(text), "{lines}: no {text:?} in:\n{output}");
        }
        assert_eq!(output.matches("WSGI05").count(), 1, "{lines}:\n{output}");
    }
    let fine = tested(
        Site::new("advice", site.setting)
            .unwrap()
            .files("environ")
            .conf(&format!("{shop}{}", host("WSGICallableObject app"))),
    );
    assert!(!fine.contains("WSGI05"), "{fine}");
});

wsgi_test!(an_environment_of_another_installation_is_named_at_the_test, embedded, |site| {
    let python = std::env::var("PYO3_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    let ask = |what: &str| {
        let said =
            std::process::Command::new(&python).args(["-c", &format!("import sys; print({what})")]).output().unwrap();
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    };
    let (version, own) = (ask("'%d.%d' % sys.version_info[:2]"), ask("sys.base_prefix"));
    let root = site.root.path().display().to_string();
    for (prefix, patch, named) in [
        (format!("{root}/other"), "99", true),
        // The same folders, by another name.
        (format!("{root}/linked"), "99", false),
        (own.clone(), "99", false),
        (format!("{root}/nowhere"), "99", false),
        (format!("{root}/other"), &ask("sys.version_info[2]"), false),
    ] {
        let text = format!("home = {prefix}/bin\nversion = {version}.{patch}\n");
        let site = Site::new("advice", site.setting).unwrap().file("venv/pyvenv.cfg", text);
        site.root.write("venv/lib/readme", "");
        std::fs::create_dir_all(format!("{root}/other/lib/python{version}/encodings")).unwrap();
        std::os::unix::fs::symlink(&own, format!("{root}/linked"))
            .or_else(|_| std::fs::metadata(format!("{root}/linked")).map(drop))
            .unwrap();
        let output = tested(site.conf("WSGIDaemonProcess shop python-home=${ROOT}/venv\nWSGIProcessGroup shop"));
        assert_eq!(output.contains("WSGI05"), named, "{prefix}: {output}");
        if named {
            for text in ["WSGI0594", &format!("of Python {version}.99 in {prefix}/bin"), "shop: python-home", "-m venv"]
            {
                assert!(output.contains(text), "no {text} in:\n{output}");
            }
        }
    }
});

wsgi_test!(a_socket_directory_that_children_can_not_enter_is_named, groups, |site| {
    if site.httpd.user.is_none() {
        return;
    }
    let lines = "WSGISocketPrefix ${ROOT}/closed/wsgi\nWSGIDaemonProcess shop\nWSGIProcessGroup shop";
    let site = site.file("closed/file", "").conf(lines);
    site.root.chmod("closed", 0o700);
    let output = tested(site);
    assert!(output.contains("WSGI0586") && output.contains("mode 0700"), "{output}");
});

wsgi_test!(embedded_interpreters_in_all_children_are_counted, embedded, |site| {
    let limits =
        "ServerLimit 101\nThreadsPerChild 1\nMaxRequestWorkers 101\nWSGIScriptAlias / ${APPS}/environ/app.wsgi";
    let output = tested(site.files("environ").conf(limits));
    assert!(output.contains("WSGI0587") && output.contains("101 together"), "{output}");
});

wsgi_test!(a_start_says_in_the_error_log_what_a_test_does, groups, |site| {
    let site = site.app("environ").group("idle", "processes=1").expect_log("WSGI0580");
    let server = site.start();
    server.get("/").ok();
    assert_eq!(server.root.read("logs/error.log").matches("WSGI0580").count(), 1);
});

wsgi_test!(slashes_on_one_side_only_are_warned_about, embedded, |site| {
    loads(
        &site,
        &[
            ("WSGIScriptAlias /x/ ${APPS}", &["WSGIScriptAlias", "slash"]),
            ("WSGIScriptAlias /x ${APPS}/", &["WSGIScriptAlias", "slash"]),
        ],
    );
});
