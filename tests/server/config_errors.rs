//! `httpd -t`: a wrong line is refused with a sentence that names the directive, what is wrong and what to do.

use crate::harness::{Site, wsgi_test};

/// Tests one site per line: it must be refused and the answer name all of `texts`.
fn refused(site: &Site, table: &[(&str, &[&str])]) {
    for (lines, texts) in table {
        let (passed, output) = Site::new("config", site.setting).unwrap().conf(lines).test();
        assert!(!passed, "loads: {lines}");
        for text in *texts {
            assert!(output.contains(text), "{lines}: no {text:?} in:\n{output}");
        }
    }
}

/// Tests one site per line: it must load and the answer name all of `texts`.
fn loads(site: &Site, table: &[(&str, &[&str])]) {
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

wsgi_test!(slashes_on_one_side_only_are_warned_about, embedded, |site| {
    loads(
        &site,
        &[
            ("WSGIScriptAlias /x/ ${APPS}", &["WSGIScriptAlias", "slash"]),
            ("WSGIScriptAlias /x ${APPS}/", &["WSGIScriptAlias", "slash"]),
        ],
    );
});
