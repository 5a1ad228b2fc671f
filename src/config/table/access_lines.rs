//! What lines do that name scripts for httpd to ask, and handlers.

use crate::config::testing::{Reader, refusal};
use crate::config::{HandlerScript, Level, Script};

fn script(path: &str, application_group: Option<&str>) -> Script {
    Script { path: path.into(), application_group: application_group.map(|name| name.as_bytes().to_vec()) }
}

#[test]
fn each_script_that_httpd_asks_has_a_path_and_an_interpreter() {
    for level in [Level::Section, Level::Htaccess] {
        let mut reader = Reader::at(true, level);
        for line in [
            "WSGIAccessScript /a",
            "WSGIAuthUserScript /b application-group=%{SERVER}",
            "WSGIAuthGroupScript scripts/c application-group=%{GLOBAL}",
        ] {
            reader = reader.loads(line);
        }
        let found = |script: Option<std::sync::Arc<Script>>| script.as_deref().cloned();
        assert_eq!(found(reader.dir.access_script), Some(script("/a", None)));
        assert_eq!(found(reader.dir.auth_user_script), Some(script("/b", Some("%{SERVER}"))));
        assert_eq!(found(reader.dir.auth_group_script), Some(script("/etc/httpd/scripts/c", Some("%{GLOBAL}"))));
        // An `.htaccess` file is read for each request.
        assert_eq!(reader.around.warnings.len(), usize::from(level == Level::Section));
    }
    let reader = Reader::new().loads("WSGIDispatchScript \"/my d\" application-group=x");
    assert_eq!(reader.dir.dispatch_script.as_deref(), Some(&script("/my d", Some("x"))));
}

#[test]
fn an_interpreter_that_depends_on_the_resource_is_warned_about_but_not_at_each_request() {
    for (level, warnings) in [(Level::Section, 1), (Level::Htaccess, 0)] {
        let reader = Reader::at(true, level).loads("WSGIAccessScript /a application-group=%{RESOURCE}");
        assert_eq!(reader.around.warnings.len(), warnings, "{level:?}");
    }
}

#[test]
fn a_handler_script_has_a_name_and_options_and_the_last_line_counts() {
    let reader = Reader::new()
        .loads("WSGIHandlerScript Feed /old")
        .loads("WSGIHandlerScript feed /new process-group=shop application-group=%{GLOBAL} pass-authorization=On");
    let wanted = HandlerScript {
        name: b"feed".to_vec(),
        path: b"/new".to_vec(),
        process_group: Some(b"shop".to_vec()),
        application_group: Some(b"%{GLOBAL}".to_vec()),
        pass_authorization: Some(true),
    };
    assert_eq!(reader.dir.handler_scripts.iter().map(|script| (**script).clone()).collect::<Vec<_>>(), [wanted]);
    assert!(reader.dir.handler_script(b"FEED").is_some());
}

#[test]
fn scripts_in_the_wrong_place_or_without_what_they_need_are_refused() {
    for (line, words) in [
        ("WSGIAccessScript /a", "belongs to a part of the site"),
        ("WSGIDispatchScript", "takes one value before its options"),
        ("WSGIDispatchScript /a process-group=x", "has no option \"process-group\""),
        ("WSGIHandlerScript name", "takes 2 values before its options"),
        ("WSGIHandlerScript name /a callable-object=x", "has no option \"callable-object\""),
        ("WSGIHandlerScript name /a pass-authorization=x", "write On or Off"),
    ] {
        let sentence = refusal(line);
        assert!(sentence.contains(words), "{line}: {sentence}");
    }
    let htaccess = Reader::at(true, Level::Htaccess).line("WSGIDispatchScript /a");
    assert!(htaccess.unwrap_err().to_string().contains("not open to .htaccess"));
}

#[test]
fn the_request_record_is_passed_where_a_line_says_so() {
    assert!(Reader::new().loads("WSGIPassApacheRequest On").dir.pass_apache_request());
    assert!(!Reader::new().loads("WSGIPassApacheRequest off").dir.pass_apache_request());
}
