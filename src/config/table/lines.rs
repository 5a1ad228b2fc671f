//! What single lines do, and with which words others are refused.

use std::path::Path;
use std::time::Duration;

use crate::config::testing::{Reader, refusal};
use crate::config::{
    AliasPattern, DIRECTIVES, DirConfig, HashSeed, HeadMapping, ImportOrigin, InterpreterOptions, Level, ProcessConfig,
};

/// Reads `line` and says whether `was` holds for the process's settings.
fn process(line: &str, was: fn(&ProcessConfig) -> bool) {
    let reader = Reader::new().loads(line);
    assert!(was(&reader.server.process), "{line}");
}

/// The same for a directory's settings.
fn dir(line: &str, was: fn(&DirConfig) -> bool) {
    let reader = Reader::new().loads(line);
    assert!(was(&reader.dir), "{line}");
}

#[test]
fn lines_about_python_set_the_process() {
    process("WSGIPythonHome /opt/env", |set| set.python_home.as_deref() == Some(Path::new("/opt/env")));
    process("WSGIPythonHome \"/opt/my env\"", |set| set.python_home.as_deref() == Some(Path::new("/opt/my env")));
    process("WSGIPythonPath /a:/b", |set| set.interpreters.all.python_path == [b"/a", b"/b"]);
    process("WSGIPythonPath :/a::", |set| set.interpreters.all.python_path == [b"/a"]);
    process("WSGIPythonEggs /var/eggs", |set| set.python_eggs.as_deref() == Some(Path::new("/var/eggs")));
    process("WSGIDontWriteBytecode on", |set| set.dont_write_bytecode);
    process("WSGIDestroyInterpreter Off", |set| !set.destroy_interpreter);
    process("WSGIRestrictEmbedded On", |set| set.restrict_embedded);
    process("WSGIRestrictStdin On", |set| set.interpreters.all.restrict_stdin == Some(true));
    process("WSGIRestrictStdout ON", |set| set.interpreters.all.restrict_stdout == Some(true));
    process("WSGIRestrictSignal oFF", |set| set.interpreters.all.restrict_signal == Some(false));
    process("WSGICaseSensitivity Off", |set| !set.case_sensitivity);
}

#[test]
fn levels_of_optimisation_are_bounded() {
    for (value, level) in [("-1", 0), ("0", 0), ("1", 1), ("2", 2), ("7", 2)] {
        let reader = Reader::new().loads(&format!("WSGIPythonOptimize {value}"));
        assert_eq!(reader.server.process.python_optimize, level, "{value}");
    }
}

#[test]
fn a_hash_seed_of_random_is_random() {
    process("WSGIPythonHashSeed random", |set| set.hash_seed == HashSeed::Random);
    process("WSGIPythonHashSeed 0", |set| set.hash_seed == HashSeed::Fixed(0));
    process("WSGIPythonHashSeed 4294967295", |set| set.hash_seed == HashSeed::Fixed(u32::MAX));
    process("WSGIPythonWarnings error", |set| set.hash_seed == HashSeed::Unset);
}

#[test]
fn switch_intervals_are_seconds() {
    for (value, interval) in
        [("0.005", Duration::from_millis(5)), ("2", Duration::from_secs(2)), ("1e-9", Duration::from_micros(1))]
    {
        let reader = Reader::new().loads(&format!("WSGISwitchInterval {value}"));
        assert_eq!(reader.server.process.interpreters.all.switch_interval, Some(interval), "{value}");
    }
}

#[test]
fn filters_for_warnings_add_up_in_order() {
    let reader = Reader::new().loads("WSGIPythonWarnings error").loads("WSGIPythonWarnings ignore::DeprecationWarning");
    assert_eq!(reader.server.process.python_warnings, [&b"error"[..], b"ignore::DeprecationWarning"]);
}

#[test]
fn settings_of_daemon_mode_load() {
    process("WSGISocketPrefix run/wsgi", |set| set.socket_prefix.as_deref() == Some(Path::new("/etc/httpd/run/wsgi")));
    for line in ["WSGISocketRotation Off", "WSGIAcceptMutex FLOCK", "WSGIAcceptMutex default"] {
        process(line, |set| *set == ProcessConfig::default());
    }
    dir("WSGIErrorOverride On", DirConfig::error_override);
    dir("WSGIIgnoreActivity On", DirConfig::ignore_activity);
}

#[test]
fn lines_about_requests_set_the_directory() {
    dir("WSGIProcessGroup %{GLOBAL}", |set| set.process_group.as_deref() == Some(b"%{GLOBAL}"));
    dir("WSGIProcessGroup %{ENV:X}", |set| set.process_group.as_deref() == Some(b"%{ENV:X}"));
    dir("WSGIProcessGroup 'my shop'", |set| set.process_group.as_deref() == Some(b"my shop"));
    dir("WSGIApplicationGroup %{GLOBAL}", |set| set.application_group.as_deref() == Some(b"%{GLOBAL}"));
    dir("WSGIApplicationGroup 'my group'", |set| set.application_group.as_deref() == Some(b"my group"));
    dir("WSGICallableObject app", |set| set.callable_object.as_deref() == Some(b"app"));
    dir("WSGICallableObject %{ENV:X}", |set| set.callable_object.as_deref() == Some(b"%{ENV:X}"));
    dir("WSGIScriptReloading Off", |set| !set.script_reloading());
    dir("WSGIPassAuthorization On", DirConfig::pass_authorization);
    dir("WSGIChunkedRequest On", DirConfig::chunked_request);
    dir("WSGIEnableSendfile On", |set| set.enable_sendfile == Some(true));
    dir("WSGIEnableSendfile Off", |set| !set.enable_sendfile());
    dir("WSGIMapHEADToGET auto", |set| set.map_head_to_get == Some(HeadMapping::Auto));
    dir("WSGIMapHEADToGET ON", |set| set.map_head_to_get == Some(HeadMapping::On));
    dir("WSGIMapHEADToGET off", |set| set.map_head_to_get == Some(HeadMapping::Off));
    dir("WSGIRestrictProcess %{GLOBAL} shop", |set| set.allows_process_group(b"") && set.allows_process_group(b"shop"));
    dir("WSGIRestrictProcess", |set| !set.allows_process_group(b""));
}

#[test]
fn a_callable_that_is_no_name_is_warned_about() {
    let warnings = |line| Reader::new().loads(line).around.warnings.len();
    assert_eq!(warnings("WSGICallableObject %{HOST}"), 1);
    assert_eq!(warnings("WSGICallableObject %{GLOBAL}"), 0);
    assert_eq!(warnings("WSGICallableObject %{ENV:X}"), 0);
}

#[test]
fn a_name_that_looks_like_a_form_and_is_none_is_warned_about() {
    for (line, begin) in [
        ("WSGIProcessGroup %{GLOABL}", "WSGIProcessGroup \"%{GLOABL}\" is none"),
        ("WSGIApplicationGroup %{global}", "WSGIApplicationGroup \"%{global}\" is none"),
        ("WSGIScriptAlias /x /a.wsgi process-group=%{GLOBL}", "WSGIScriptAlias /x: process-group=\"%{GLOBL}\""),
        ("WSGIScriptAliasMatch ^/x /a.wsgi application-group=%{X}", "WSGIScriptAliasMatch ^/x: application-group="),
        ("WSGIHandlerScript h /a.wsgi process-group=%{X}", "WSGIHandlerScript h: process-group="),
    ] {
        let warnings = Reader::new().loads(line).around.warnings;
        let named = |said: &String| said.starts_with("WSGI0592") && said.contains(begin);
        assert!(warnings.len() == 1 && named(&warnings[0]), "{line}: {warnings:?}");
    }
    for line in [
        "WSGIProcessGroup %{RESOURCE}",
        "WSGIApplicationGroup %{ENV:X}",
        "WSGIScriptAlias /x /a.wsgi process-group=%{SERVER} application-group=%{HOST}",
    ] {
        assert_eq!(Reader::new().loads(line).around.warnings, [""; 0], "{line}");
    }
}

#[test]
fn an_alias_keeps_its_words_and_options() {
    let reader = Reader::new().loads(
        "WSGIScriptAlias /shop \"/srv/my shop/app.wsgi\" process-group=%{GLOBAL} application-group=\"%{RESOURCE}\" \
         callable-object=%{ENV:X} pass-authorization=on",
    );
    let [alias] = reader.server.aliases.as_slice() else { panic!("one alias") };
    assert!(matches!(&alias.pattern, AliasPattern::Prefix(prefix) if prefix == b"/shop"));
    assert_eq!(alias.target, b"/srv/my shop/app.wsgi");
    assert_eq!(alias.process_group.as_deref(), Some(&b"%{GLOBAL}"[..]));
    assert_eq!(alias.application_group.as_deref(), Some(&b"%{RESOURCE}"[..]));
    assert_eq!(alias.callable_object.as_deref(), Some(&b"%{ENV:X}"[..]));
    assert_eq!(alias.pass_authorization, Some(true));
    assert!(reader.server.process.imports.is_empty());
    assert!(reader.around.warnings.is_empty() && reader.around.notices.is_empty());
}

#[test]
fn the_last_of_two_equal_options_counts() {
    let reader = Reader::new().loads("WSGIScriptAlias / /a application-group=x application-group=y");
    assert_eq!(reader.server.aliases[0].application_group.as_deref(), Some(&b"y"[..]));
}

#[test]
fn an_expression_is_compiled_and_keeps_its_template() {
    let reader = Reader::new().loads("WSGIScriptAliasMatch ^/wsgi/([^/]+) /srv/scripts/$1.wsgi");
    let alias = &reader.server.aliases[0];
    assert!(matches!(&alias.pattern, AliasPattern::Regex(_, source) if source == b"^/wsgi/([^/]+)"));
    assert_eq!(alias.target, b"/srv/scripts/$1.wsgi");
    assert_eq!(
        refusal("WSGIScriptAliasMatch ( /x"),
        "WSGIScriptAliasMatch can't use the regular expression \"(\": missing )"
    );
}

#[test]
fn relative_scripts_lie_below_the_server_root() {
    for (line, target) in [
        ("WSGIScriptAlias / app.wsgi", "/etc/httpd/app.wsgi"),
        ("WSGIScriptAlias /s/ scripts/", "/etc/httpd/scripts/"),
        ("WSGIScriptAlias /s/ /srv/scripts/", "/srv/scripts/"),
        ("WSGIScriptAliasMatch (.*) $1.wsgi", "$1.wsgi"),
    ] {
        assert_eq!(Reader::new().loads(line).server.aliases[0].target, target.as_bytes(), "{line}");
    }
    let mut reader = Reader::new();
    reader.around.rootless = true;
    for line in ["WSGIScriptAlias / app.wsgi", "WSGISocketPrefix run/wsgi"] {
        assert!(reader.line(line).unwrap_err().to_string().contains("below ServerRoot"), "{line}");
    }
}

#[test]
fn aliases_with_both_groups_fixed_are_loaded_at_the_start() {
    for (line, groups) in [
        ("WSGIScriptAlias / /a.wsgi process-group=%{GLOBAL} application-group=%{GLOBAL}", Some(("", ""))),
        ("WSGIScriptAlias / /a.wsgi process-group=%{GLOBAL} application-group=shop", Some(("", "shop"))),
        ("WSGIScriptAlias / /a.wsgi process-group=blog application-group=%{GLOBAL}", Some(("blog", ""))),
        ("WSGIScriptAlias / /a.wsgi process-group=%{ENV:X} application-group=%{GLOBAL}", None),
        ("WSGIScriptAlias / /a.wsgi process-group=blog application-group=%{RESOURCE}", None),
        ("WSGIScriptAlias / /a.wsgi process-group=%{GLOBAL} application-group=%{ENV:X}", None),
        ("WSGIScriptAlias / /a.wsgi process-group=%{GLOBAL}", None),
        ("WSGIScriptAlias / /a.wsgi application-group=%{GLOBAL}", None),
        ("WSGIScriptAlias /d/ /dir/ process-group=%{GLOBAL} application-group=%{GLOBAL}", None),
        ("WSGIScriptAliasMatch ^/x /a.wsgi process-group=%{GLOBAL} application-group=%{GLOBAL}", Some(("", ""))),
        ("WSGIScriptAliasMatch ^/(x) /$1 process-group=%{GLOBAL} application-group=%{GLOBAL}", None),
    ] {
        let reader = Reader::new().loads(line);
        let found = reader.server.process.imports.first();
        let names = found.map(|import| (import.process_group.as_slice(), import.application_group.as_slice()));
        assert_eq!(names, groups.map(|(process, application)| (process.as_bytes(), application.as_bytes())), "{line}");
        assert!(found.is_none_or(|import| import.origin == ImportOrigin::Alias), "{line}");
    }
}

#[test]
fn aliases_that_cannot_do_what_they_say_are_warned_about() {
    for (lines, warning) in [
        (&["WSGIScriptAlias /s/ /dir/"][..], ""),
        (&["WSGIScriptAlias / /dir/"], ""),
        (&["WSGIScriptAlias /s/ /dir"], "both end in"),
        (&["WSGIScriptAlias /s /dir/"], "both end in"),
        (&["WSGIScriptAlias s /a.wsgi"], "because it does not start with"),
        (&["WSGIScriptAlias / app.wsgi"], "below ServerRoot, as \"/etc/httpd/app.wsgi\""),
        (&["WSGIScriptAliasMatch ^/(x) $1.wsgi"], ""),
        (&["WSGIScriptAliasMatch ^/x/(.*)$/srv/$1 /srv/x.wsgi"], "run together"),
        (&["WSGIScriptAliasMatch ^/x\\\\$1 /srv/x.wsgi"], ""),
        (&["WSGIScriptAliasMatch ^/(x)$ /srv/$1.wsgi process-group=shop"], ""),
        (&["WSGIHandlerScript h scripts/h.py"], "below ServerRoot"),
        (&["WSGIDispatchScript scripts/d.py"], "below ServerRoot"),
        (&["WSGIProcessGroup shop", "WSGIProcessGroup blog"], "set twice here, to \"shop\" and now to \"blog\""),
        (&["WSGIProcessGroup shop", "WSGIProcessGroup shop"], ""),
        (&["WSGIScriptAlias / /a.wsgi", "WSGIScriptAlias /wiki /b.wsgi"], "never reached, because \"/\""),
        (&["WSGIScriptAlias /wiki /b.wsgi", "WSGIScriptAlias / /a.wsgi"], ""),
    ] {
        let reader = lines.iter().fold(Reader::new(), |reader, line| reader.loads(line));
        match (reader.around.warnings.as_slice(), warning) {
            ([], "") => {}
            ([found], _) if !warning.is_empty() && found.contains(warning) => {}
            (found, _) => panic!("{lines:?}: {found:?}"),
        }
    }
}

#[test]
fn an_option_in_place_of_the_path_is_warned_about() {
    for (line, warned) in [
        ("WSGIScriptAliasMatch ^/x/(.*)/srv/x.wsgi process-group=shop", true),
        ("WSGIScriptAlias /x/srv/x.wsgi application-group=%{GLOBAL}", true),
        ("WSGIScriptAlias /x srv/process-group=shop", false),
        ("WSGIScriptAlias /x group=shop", false),
    ] {
        let warnings = Reader::new().loads(line).around.warnings;
        let found =
            warnings.iter().any(|warning| warning.contains("is an option, and no path") && warning.contains("space"));
        assert_eq!(found, warned, "{line}: {warnings:?}");
    }
}

#[test]
fn a_section_keeps_its_own_process_group() {
    let mut reader = Reader::at(true, Level::Section);
    reader.section = Some("/srv/".to_owned());
    let reader = reader.loads("WSGIProcessGroup shop");
    let section = super::super::SectionGroup { path: b"/srv/".to_vec(), group: b"shop".to_vec() };
    assert_eq!(reader.server.chosen.sections, [section]);
    assert_eq!(reader.server.chosen.process_group, None);
}

#[test]
fn import_scripts_need_both_groups() {
    let reader = Reader::new().loads("WSGIImportScript /a.wsgi process-group=%{GLOBAL} application-group=%{GLOBAL}");
    let import = &reader.server.process.imports[0];
    assert_eq!((import.path.as_path(), import.application_group.as_slice()), (Path::new("/a.wsgi"), &b""[..]));
    assert_eq!(import.origin, ImportOrigin::Directive);
    assert_eq!(import.process_group, b"");
    assert!(refusal("WSGIImportScript /a application-group=x").contains("needs the option process-group="));
    assert!(refusal("WSGIImportScript /a process-group=%{GLOBAL}").contains("needs the option application-group="));
    let reader = Reader::new().loads("WSGIImportScript /a process-group=%{GLOBAL} application-group=%{SERVER}");
    assert_eq!(reader.server.process.imports[0].application_group, b"%{SERVER}");
    assert_eq!(reader.around.warnings.len(), 1);
}

#[test]
fn import_scripts_name_a_group_and_no_form() {
    let reader = Reader::new().loads("WSGIImportScript /a process-group=shop application-group=y");
    assert_eq!(reader.server.process.imports[0].process_group, b"shop");
    assert_eq!(
        refusal("WSGIImportScript /a process-group=%{ENV:X} application-group=y"),
        "WSGIImportScript can't have the option process-group=\"%{ENV:X}\"; a script is loaded before any request; write the \
         name of a daemon process group, or %{GLOBAL}"
    );
}

#[test]
fn a_section_for_interpreters_holds_the_lines_in_it() {
    let mut reader = Reader::new();
    for line in [
        "<WSGIInterpreterOptions Process-Group='my shop' application-group=%{GLOBAL} >",
        "<WSGIInterpreterOptions process_group=%{GLOBAL}>",
        "<WSGIInterpreterOptions>",
    ] {
        reader = reader.loads(line);
        reader.in_options = true;
        for line in ["WSGIPythonPath /a", "WSGIRestrictStdin On", "WSGIPerInterpreterGIL On", "WSGISwitchInterval 1"] {
            reader = reader.loads(line);
        }
        reader.in_options = false;
    }
    assert!(reader.around.warnings.is_empty());
    let read = &reader.server.process.interpreters;
    let names: Vec<_> =
        read.some.iter().map(|one| (one.process_group.as_deref(), one.application_group.as_deref())).collect();
    assert_eq!(names, [(Some(&b"my shop"[..]), Some(&b""[..])), (Some(b""), None), (None, None)]);
    assert!(read.some.iter().all(|one| one.restrict_stdin == Some(true) && one.per_interpreter_gil == Some(true)));
    assert_eq!(read.all, InterpreterOptions::default());
}

#[test]
fn what_a_section_for_interpreters_can_not_be_is_refused() {
    for (line, texts) in [
        ("<WSGIInterpreterOptions process-group=a", &["has no \">\" at its end"][..]),
        ("<WSGIInterpreterOptions process-grup=a>", &["process-grup", "\"process-group\""]),
        ("<WSGIInterpreterOptions shop>", &["\"shop\""]),
        ("<WSGIInterpreterOptions process-group=>", &["process-group=\"\""]),
        ("<WSGIInterpreterOptions process-group=a PROCESS-GROUP=b>", &["\"b\"", "already"]),
    ] {
        let sentence = refusal(line);
        assert!(texts.iter().all(|text| sentence.contains(text)), "{line}: {sentence}");
    }
    let mut reader = Reader::new().loads("<WSGIInterpreterOptions>");
    reader.in_options = true;
    assert!(reader.line("<WSGIInterpreterOptions>").unwrap_err().to_string().contains("in another one"));
}

#[test]
fn what_changes_nothing_about_interpreters_is_warned_about() {
    let mut reader = Reader::new().loads("<WSGIInterpreterOptions process-group=%{HOST} application-group=x>");
    reader.in_options = true;
    let reader = reader.loads("WSGIFreeThreading On").loads("WSGIRestrictEmbedded On");
    let [form, threading, outside] = reader.around.warnings.as_slice() else { panic!("three warnings") };
    assert!(form.contains("process-group=\"%{HOST}\" is taken literally"), "{form}");
    assert!(threading.contains("WSGI0201"), "{threading}");
    assert!(outside.contains("WSGIRestrictEmbedded stands in"), "{outside}");
    assert!(reader.server.process.restrict_embedded);
}

#[test]
fn harmless_old_names_load_with_one_notice() {
    for line in [
        "WSGILazyInitialization On",
        "WSGILazyInitialization off",
        "WSGIVerboseDebugging On",
        "WSGIReloadMechanism Process",
        "WSGIReloadMechanism module",
        "WSGIPy3kWarningFlag On",
        "WSGIOutputBuffering Off",
        "WSGIApacheExtensions Off",
    ] {
        let reader = Reader::new().loads(line);
        assert_eq!(reader.around.notices.len(), 1, "{line}");
    }
    let reader = Reader::at(true, Level::Section).loads("WSGIGroupAuthoritative Off");
    assert!(reader.around.notices.is_empty());
}

#[test]
fn other_old_names_are_refused_with_the_modern_one() {
    for (line, modern) in [
        ("WSGIReloadMechanism Interpreter", "remove the line"),
        ("WSGIPythonExecutable /usr/bin/python", "WSGIPythonHome"),
        ("WSGIServerGroup x", "application-group="),
        ("WSGIUserAuthoritative Off", "AuthBasicAuthoritative"),
        ("WSGIApacheExtensions On", "WSGIPassApacheRequest"),
        ("WSGIOutputBuffering On", "in the application"),
        ("WSGINewRelicConfigFile /x", "newrelic.agent.initialize"),
        ("WSGINewRelicEnvironment x", "newrelic.agent.initialize"),
    ] {
        let sentence = refusal(line);
        assert!(sentence.contains("is not used any more") && sentence.contains(modern), "{sentence}");
    }
}

#[test]
fn refusals_name_directive_value_and_remedy() {
    for (line, sentence) in [
        ("WSGIScriptReloading yes", "WSGIScriptReloading can't be \"yes\"; write On or Off"),
        ("WSGIMapHEADToGET maybe", "WSGIMapHEADToGET can't be \"maybe\"; write On, Off or Auto"),
        ("WSGIPythonOptimize On", "WSGIPythonOptimize can't be \"On\"; write 0, 1 or 2"),
        ("WSGIPythonOptimize 1x", "WSGIPythonOptimize can't be \"1x\"; write 0, 1 or 2"),
        (
            "WSGIPythonHashSeed 4294967296",
            "WSGIPythonHashSeed can't be \"4294967296\"; write random, or a number from 0 to 4294967295",
        ),
        ("WSGISwitchInterval 0", "WSGISwitchInterval can't be \"0\"; write a number of seconds above 0, such as 0.005"),
        (
            "WSGIAcceptMutex futex",
            "WSGIAcceptMutex can't be \"futex\"; write Default, flock, fcntl, sysvsem, posixsem or pthread",
        ),
        (
            "WSGIProcessGroup a b",
            "WSGIProcessGroup takes exactly one value, and this line has 2; write: WSGIProcessGroup name|%{GLOBAL}|\
             %{RESOURCE}|%{SERVER}|%{HOST}|%{ENV:variable}",
        ),
        (
            "WSGIPythonHome \"\"",
            "WSGIPythonHome takes exactly one value, and this line has 1; write: WSGIPythonHome directory",
        ),
        (
            "WSGIScriptAlias /",
            "WSGIScriptAlias takes 2 values before its options, and this line has 1; write: WSGIScriptAlias url-path \
             file-path|directory-path [option=value ...]",
        ),
        (
            "WSGIScriptAlias / /a proces-group=x",
            "WSGIScriptAlias has no option \"proces-group\"; did you mean \"process-group\"?",
        ),
        (
            "WSGIScriptAlias / /a threads=5",
            "WSGIScriptAlias has no option \"threads\"; it has: process-group, application-group, callable-object, \
             pass-authorization",
        ),
        (
            "WSGIScriptAlias / /a pass-authorization=yes",
            "WSGIScriptAlias can't have the option pass-authorization=\"yes\"; write On or Off",
        ),
        (
            "WSGIScriptAlias / /a application-group=\"\"",
            "WSGIScriptAlias can't have the option application-group=\"\"; give it a value: name or %{...}",
        ),
    ] {
        assert_eq!(refusal(line), sentence, "{line}");
    }
    for line in ["WSGIScriptAlias / /a process-group", "WSGIScriptAlias / /a process-group =x"] {
        assert!(refusal(line).contains("\"process-group\" is none"), "{line}");
    }
    for value in ["-1", "inf", "nan", "0x1p-3", "1s", "1e300"] {
        assert!(refusal(&format!("WSGISwitchInterval {value}")).contains("can't be"), "{value}");
    }
}

#[test]
fn options_in_the_old_spelling_load_with_a_notice() {
    let reader = Reader::new().loads("WSGIScriptAlias / /a callable_object=app");
    assert_eq!(reader.server.aliases[0].callable_object.as_deref(), Some(&b"app"[..]));
    assert_eq!(
        reader.around.notices,
        [
            "WSGIScriptAlias: the option \"callable_object\" is accepted for old configurations; write \"callable-object\""
        ]
    );
}

#[test]
fn directives_stand_only_where_their_context_allows() {
    let places = [
        (true, Level::Server),
        (false, Level::Server),
        (true, Level::Section),
        (true, Level::Limit),
        (false, Level::Htaccess),
    ];
    for (line, allowed) in [
        ("WSGIRestrictStdin On", [true, false, false, false, false]),
        ("WSGIPythonEggs /x", [true, false, false, false, false]),
        ("WSGIScriptAlias / /x", [true, true, false, false, false]),
        ("WSGIImportScript /x process-group=%{GLOBAL} application-group=x", [true, true, false, false, false]),
        ("WSGIApplicationGroup x", [true, true, true, true, false]),
        ("WSGIRestrictProcess x", [true, true, true, true, false]),
        ("WSGIScriptReloading On", [true, true, true, true, true]),
        ("WSGIGroupAuthoritative On", [false, false, true, true, true]),
    ] {
        for ((main_server, level), allowed) in places.into_iter().zip(allowed) {
            let done = Reader::at(main_server, level).line(line);
            assert_eq!(done.is_ok(), allowed, "{line} at {level:?}, main server: {main_server}: {done:?}");
        }
    }
}

#[test]
fn names_and_paths_need_not_be_text() {
    use crate::config::{Place, apply};
    let directive = DIRECTIVES.iter().find(|row| row.name() == "WSGIScriptAlias").unwrap();
    let mut reader = Reader::new();
    let mut place = Place {
        main_server: true,
        level: Level::Server,
        section: None,
        in_options: false,
        server: Some(&mut reader.server),
        dir: &mut reader.dir,
        surroundings: &mut reader.around,
    };
    apply(directive, b"/\xe9 /srv/\xff application-group=\xfe", &mut place).unwrap();
    assert_eq!(reader.server.aliases[0].target, b"/srv/\xff");
    assert_eq!(reader.server.aliases[0].application_group.as_deref(), Some(&b"\xfe"[..]));
}
