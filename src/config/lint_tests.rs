use super::*;
use crate::config::Level;
use crate::config::testing::Reader;

const SHOP: &str = "WSGIDaemonProcess shop";
const CHOICE: &str = "WSGIProcessGroup shop";
const ALIAS: &str = "WSGIScriptAlias / /srv/shop.wsgi";

/// Where all paths exist but those with "no" in their names, and httpd has one child.
fn facts() -> Facts<'static> {
    Facts {
        look: &look,
        children: Some(1),
        sockets: None,
        python: python(3, 11),
        own: Installation {
            executable: "/usr/bin/python3".into(),
            library: Some("/usr/lib/python3.11".into()),
            release: Some("3.11.2".to_owned()),
        },
        environment: &environment,
        library: &library,
        python_of: &python_of,
    }
}

fn python(major: u32, minor: u32) -> Python {
    Python { version: PythonVersion::parse(&format!("{major}.{minor}")).unwrap(), free_threaded: false }
}

/// The module's, unless `python-home` names another.
fn python_of(group: &DaemonGroup) -> Python {
    let home = group.options.python_home.as_deref().map(|home| String::from_utf8_lossy(home).into_owned());
    let version = home.and_then(|home| home.strip_prefix("/venv/")?.parse().ok());
    version.map_or_else(|| python(3, 11), |minor| python(3, minor))
}

/// That of `/venv/own` and the like.
fn environment(home: &Path) -> Option<String> {
    let lines = match home.to_str()?.strip_prefix("/venv/")? {
        "own" => "home = /usr/bin\nversion = 3.11.2",
        "upgraded" => "home = /usr/bin\nversion = 3.11.1",
        "linked" => "home = /bin\nversion = 3.11.1",
        "copy" => "home = /opt/3.11.2/bin\nversion = 3.11.2",
        "pyenv" => "home = /opt/3.11.7/bin\nversion_info = 3.11.7.final.0",
        "nowhere" => "home = /nowhere/bin\nversion = 3.11.7",
        "silent" => "home = /opt/3.11.7/bin",
        "13" => "home = /opt/3.13.0/bin\nversion = 3.13.0",
        _ => return None,
    };
    Some(lines.to_owned())
}

fn library(folder: &Path) -> Option<PathBuf> {
    match folder.to_str()? {
        "/usr/bin" | "/bin" => Some("/usr/lib/python3.11".into()),
        path => Some(format!("{}/lib/python3.11", path.strip_prefix("/opt/")?.strip_suffix("/bin")?).into()),
    }
}

fn look(path: &Path) -> Seen {
    let text = path.to_str().unwrap();
    match text {
        _ if text.contains("/no-") || text.ends_with("pyvenv.cfg") && !text.contains("venv/") => Seen::Missing,
        _ if text.contains("/empty/") => Seen::Missing,
        _ if text.contains("/locked") => Seen::Unknown,
        _ if text.ends_with(".wsgi") || text.ends_with("python3") => Seen::File,
        _ => Seen::Directory,
    }
}

/// Reads servers, each with its `ServerName` and lines, the main server first. `<path> line` stands in a section.
fn said(servers: &[(&str, &[&str])], facts: &Facts<'_>) -> Vec<String> {
    let mut records: Vec<(Option<&[u8]>, ServerConfig)> = Vec::new();
    for (name, lines) in servers {
        let mut reader = Reader::at(records.is_empty(), Level::Server);
        for line in *lines {
            let inner = line.strip_prefix('<').and_then(|line| line.split_once("> "));
            reader.level = if inner.is_some() { Level::Section } else { Level::Server };
            reader.section = inner.map(|(path, _)| path.to_owned());
            reader = reader.loads(inner.map_or(*line, |(_, line)| line));
        }
        let own = reader.server;
        let record = match records.first() {
            None => own,
            Some((_, main)) => ServerConfig::merge(main, &own),
        };
        records.push((Some(name.as_bytes()), record));
    }
    lint(records.iter().map(|(name, record)| (*name, record)), facts)
}

/// Asserts that one server with these lines is told one thing, with all of `texts` in it; or nothing where there are none.
fn one(lines: &[&str], texts: &[&str]) {
    several(&[("main", lines)], texts);
}

fn several(servers: &[(&str, &[&str])], texts: &[&str]) {
    assert_said(&said(servers, &facts()), texts, &format!("{servers:?}"));
}

fn assert_said(said: &[String], texts: &[&str], about: &str) {
    assert_eq!(said.len(), usize::from(!texts.is_empty()), "{about}: {said:?}");
    for text in texts {
        assert!(said[0].contains(text), "{about}: no {text:?} in {said:?}");
    }
}

#[test]
fn a_group_that_no_line_leads_to_is_named() {
    one(&[SHOP, ALIAS], &["WSGI0580", "\"shop\" of the main server", "WSGIProcessGroup shop"]);
    several(&[("main", &[]), ("blog", &[SHOP, ALIAS])], &["WSGI0580", "the virtual host \"blog\""]);
}

#[test]
fn a_group_that_any_line_may_lead_to_is_not() {
    for line in [
        CHOICE,
        "</srv/> WSGIProcessGroup shop",
        "WSGIProcessGroup %{ENV:GROUP}",
        "</srv/> WSGIProcessGroup %{SERVER}",
        "WSGIScriptAlias /x /srv/x.wsgi process-group=shop",
        "WSGIScriptAlias /x /srv/x.wsgi process-group=%{HOST}",
        "WSGIScriptAliasMatch ^/(x) /srv/$1.wsgi process-group=shop",
        "WSGIImportScript /srv/x.wsgi process-group=shop application-group=%{GLOBAL}",
        "WSGIHandlerScript h /srv/x.wsgi process-group=shop",
        "WSGIDispatchScript /srv/x.wsgi",
    ] {
        one(&[SHOP, line], &[]);
        several(&[("main", &[SHOP]), ("host", &[line])], &[]);
    }
}

#[test]
fn a_line_that_names_no_group_is_named() {
    const NAME: &str = "WSGIProcessGroup Shop";
    let texts = &["WSGI0589", "WSGIProcessGroup Shop in the main server", "WSGI0151", "mean \"shop\"?", "lower case"];
    one(&[SHOP, ALIAS, NAME], texts);
    one(&[ALIAS, "WSGIProcessGroup shop"], &["WSGI0589", "WSGI0150", "%{GLOBAL}"]);
    one(
        &[SHOP, CHOICE, ALIAS, "</srv/wiki/> WSGIProcessGroup wiki"],
        &["WSGI0589", "WSGIProcessGroup wiki, in the section \"/srv/wiki/\" of the main server,", "WSGI0151"],
    );
    one(
        &[SHOP, CHOICE, "WSGIScriptAlias /x /srv/x.wsgi process-group=wiki"],
        &["WSGI0589", "WSGIScriptAlias /x ... process-group=wiki in the main server"],
    );
    one(&[SHOP, CHOICE, "WSGIHandlerScript h /srv/x.wsgi process-group=wiki"], &["WSGI0589", "WSGIHandlerScript"]);
    several(&[("main", &[SHOP]), ("shop", &[ALIAS, NAME])], &["WSGI0589", "the virtual host \"shop\""]);
    // Once for the main server, and not for each host that has its lines.
    several(&[("main", &[SHOP, CHOICE, NAME]), ("a", &[ALIAS]), ("b", &[ALIAS])], &["WSGI0589"]);
    for fine in [
        "WSGIProcessGroup %{GLOBAL}",
        "WSGIProcessGroup %{ENV:GROUP}",
        "WSGIProcessGroup %{HOST}",
        "WSGIScriptAlias /x /srv/x.wsgi process-group=%{SERVER}",
    ] {
        one(&[ALIAS, fine], &[]);
    }
    one(&[NAME, "WSGIDispatchScript /srv/x.wsgi"], &[]);
    several(&[("main", &[CHOICE]), ("shop", &[SHOP, ALIAS])], &[]);
}

#[test]
fn a_line_that_names_the_group_of_another_host_is_named() {
    let shop = ("shop", &[SHOP, CHOICE, ALIAS][..]);
    let texts =
        &["WSGI0590", "WSGIProcessGroup shop in the virtual host \"blog\"", "of the virtual host \"shop\"", "WSGI0152"];
    several(&[("main", &[]), shop, ("blog", &[ALIAS, CHOICE])], texts);
    several(&[("main", &[]), shop, ("blog", &[ALIAS, "</srv/> WSGIProcessGroup shop"])], &["WSGI0590", "\"/srv/\""]);
    let alias = "WSGIScriptAlias /x /srv/x.wsgi process-group=shop";
    several(&[("main", &[]), shop, ("blog", &[alias])], &["WSGI0590", "WSGIScriptAlias /x"]);
    several(&[("main", &[]), shop, ("shop", &[ALIAS, CHOICE])], &[]);
    several(&[("main", &[SHOP]), ("blog", &[ALIAS, CHOICE])], &[]);
    // It holds in the owner, too.
    several(&[("main", &[CHOICE, "</srv/> WSGIProcessGroup shop"]), shop, ("blog", &[])], &[]);
}

#[test]
fn a_line_that_leads_to_a_group_without_threads_is_named() {
    const SERVICE: &str = "WSGIDaemonProcess mail threads=0";
    const IMPORT: &str = "WSGIImportScript /srv/mail.py process-group=mail application-group=%{GLOBAL}";
    one(&[SERVICE, IMPORT], &[]);
    for line in
        ["WSGIProcessGroup mail", "</srv/> WSGIProcessGroup mail", "WSGIScriptAlias /x /srv/x.wsgi process-group=mail"]
    {
        one(&[SERVICE, IMPORT, line], &["WSGI0591", "mail", "threads=0", "WSGI0360"]);
    }
    let both = "WSGIScriptAlias /x /srv/x.wsgi process-group=mail application-group=%{GLOBAL}";
    one(&[SERVICE, IMPORT, both], &["WSGI0591"]);
}

#[test]
fn an_environment_of_another_version_in_embedded_mode_is_named() {
    const HOME: &str = "WSGIPythonHome /venv/13";
    let texts = &[
        "WSGI0593",
        "WSGIPythonHome \"/venv/13\"",
        "of Python 3.13",
        "have Python 3.11",
        "/usr/bin/python3 -m venv",
        "WSGI0303",
    ];
    one(&[HOME], texts);
    one(&[HOME, ALIAS], texts);
    one(&[HOME, SHOP, CHOICE, ALIAS, "WSGIScriptAlias /x /srv/x.wsgi process-group=%{GLOBAL}"], texts);
    one(&[HOME, SHOP, CHOICE, ALIAS], &[]);
    one(&[HOME, ALIAS, "WSGIRestrictEmbedded On"], &[]);
    one(&["WSGIPythonHome /venv/own", ALIAS], &[]);
    one(&["WSGIPythonHome /venv/silent", ALIAS], &[]);
}

#[test]
fn an_environment_with_another_standard_library_is_named() {
    let texts = &[
        "WSGI0594",
        "\"/venv/pyenv\"",
        "of Python 3.11.7 in /opt/3.11.7/bin",
        "is 3.11.2",
        "/usr/lib/python3.11",
        "-m venv",
    ];
    one(&["WSGIPythonHome /venv/pyenv", ALIAS], texts);
    one(&["WSGIPythonHome /venv/pyenv", SHOP, CHOICE, ALIAS], texts);
    one(&["WSGIDaemonProcess shop python-home=/venv/pyenv", CHOICE, ALIAS], &["WSGI0594", "shop: python-home"]);
    for home in ["own", "upgraded", "linked", "copy", "nowhere", "silent", "unknown"] {
        one(&[&format!("WSGIPythonHome /venv/{home}"), ALIAS], &[]);
    }
    // Another version has its own program, and a root directory its own files.
    for options in ["python-home=/venv/13", "chroot=/jail python-home=/venv/pyenv"] {
        one(&[&format!("WSGIDaemonProcess shop {options}"), CHOICE, ALIAS], &[]);
    }
    let uncertain = Facts { own: Installation { release: None, ..facts().own }, ..facts() };
    assert_said(&said(&[("main", &["WSGIPythonHome /venv/pyenv", ALIAS])], &uncertain), &[], "no release");
}

#[test]
fn a_script_in_both_modes_is_named_where_one_is_nobodys_wish() {
    let here = &[SHOP, CHOICE, ALIAS][..];
    let texts = &["WSGI0581", "/srv/shop.wsgi", "WSGIProcessGroup shop", "%{GLOBAL}"];
    several(&[("main", &[]), ("shop", here), ("shop", &[ALIAS])], texts);
    several(&[("main", &[]), ("shop", &[SHOP, ALIAS, "</srv/> WSGIProcessGroup shop"]), ("shop", &[ALIAS])], texts);
    one(&[SHOP, ALIAS, "WSGIScriptAlias /x /srv/shop.wsgi process-group=shop"], texts);
    for fine in [
        &[ALIAS, CHOICE][..],
        &[ALIAS, "WSGIProcessGroup %{GLOBAL}"],
        &[ALIAS, "WSGIProcessGroup %{ENV:X}"],
        &[ALIAS, "</srv/> WSGIProcessGroup shop"],
        &[ALIAS, "<^/s> WSGIProcessGroup shop"],
        &["WSGIScriptAlias / /srv/other.wsgi"],
        &["WSGIScriptAlias / /srv/shop.wsgi process-group=%{GLOBAL}"],
    ] {
        several(&[("main", &[]), ("shop", here), ("shop", fine)], &[]);
    }
    // Its requests can't go to the group of another site.
    several(&[("main", &[]), ("shop", here), ("blog", &[ALIAS])], &[]);
}

#[test]
fn a_section_holds_for_what_is_below_it() {
    for (section, holds) in [
        ("/srv/", Some(true)),
        ("/", Some(true)),
        ("/srv/shop.wsgi", Some(true)),
        ("/mount", Some(true)),
        ("/srv/other/", Some(false)),
        ("/mount/deeper", Some(false)),
        ("/srv/*/", None),
        ("^/srv", None),
        ("shop.wsgi", None),
        ("*If", None),
    ] {
        let lines = ["WSGIScriptAlias /mount /srv/shop.wsgi"];
        let server = lines.iter().fold(Reader::new(), |reader, line| reader.loads(line)).server;
        let section = SectionGroup { path: section.into(), group: b"x".to_vec() };
        assert_eq!(super::holds(&section, &server.aliases[0]), holds, "{section:?}");
    }
}

#[test]
fn two_groups_of_one_site_are_named() {
    let tls = &["WSGIDaemonProcess tls", "WSGIProcessGroup tls", ALIAS][..];
    let plain = &[SHOP, CHOICE, ALIAS][..];
    several(&[("main", &[]), ("shop", plain), ("shop", tls)], &["WSGI0582", "named \"shop\"", "\"shop\" and \"tls\""]);
    several(&[("main", &[]), ("shop", plain), ("test.shop", tls)], &[]);
    several(&[("main", &[]), ("shop", plain), ("shop", &[CHOICE, ALIAS])], &[]);
    let elsewhere = &["WSGIDaemonProcess tls", "WSGIProcessGroup tls", "WSGIScriptAlias /x /srv/shop.wsgi"][..];
    several(&[("main", &[]), ("shop", plain), ("shop", elsewhere)], &[]);
}

#[test]
fn a_missing_script_is_named() {
    for line in [
        "WSGIScriptAlias / /srv/no-app.wsgi",
        "WSGIScriptAlias /x/ /srv/no-scripts/",
        "WSGIImportScript /srv/no-app.wsgi process-group=%{GLOBAL} application-group=x",
        "WSGIHandlerScript h /srv/no-app.wsgi",
        "WSGIDispatchScript /srv/no-app.wsgi",
        "</x/> WSGIAccessScript /srv/no-app.wsgi",
        "</x/> WSGIAuthUserScript /srv/no-app.wsgi",
        "</x/> WSGIAuthGroupScript /srv/no-app.wsgi",
    ] {
        let directive = line.split("> ").last().unwrap().split(' ').next().unwrap();
        one(&[line], &["WSGI0583", directive, "/srv/no-"]);
        several(&[("main", &[line]), ("host", &[])], &["WSGI0583"]);
    }
    for line in [
        "WSGIScriptAliasMatch ^/(x) /srv/no-$1.wsgi",
        "WSGIScriptAlias / /locked/app.wsgi",
        "WSGIScriptAlias /x/ /srv/scripts/",
    ] {
        one(&[line], &[]);
    }
    let import = "WSGIImportScript /srv/no-app.wsgi process-group=shop application-group=x";
    one(&["WSGIDaemonProcess shop chroot=/jail", import], &[]);
}

#[test]
fn a_home_that_can_not_be_one_is_named() {
    for (line, texts) in [
        ("WSGIPythonHome /srv/no-venv", &["WSGI0585", "WSGIPythonHome \"/srv/no-venv\" does not exist"][..]),
        ("WSGIPythonHome /srv/venv/bin/python3", &["WSGI0585", "is not a directory"]),
        ("WSGIPythonHome /srv/empty", &["WSGI0585", "neither a pyvenv.cfg"]),
        ("WSGIPythonHome /srv/venv/", &[]),
        ("WSGIPythonHome /usr:/usr", &[]),
        ("WSGIPythonHome /locked", &[]),
    ] {
        one(&[line], texts);
    }
    for (option, texts) in [
        ("python-home=/srv/no-venv", &["WSGI0585", "WSGIDaemonProcess shop: python-home"][..]),
        ("python-home=/srv/venv", &[]),
        ("home=/srv/no-home", &["WSGI0584", "home \"/srv/no-home\" does not exist"]),
        ("home=/srv/a.wsgi", &["WSGI0584", "is not a directory"]),
        ("home=/srv", &[]),
        ("chroot=/srv/no-root", &["WSGI0584", "chroot"]),
        ("chroot=/srv home=/no-home python-home=/no-home", &[]),
    ] {
        one(&[&format!("{SHOP} {option}"), CHOICE], texts);
    }
}

#[test]
fn a_socket_directory_that_children_can_not_enter_is_named() {
    let run = |access| {
        let step = |path: &str, access| Step { path: path.into(), access };
        let way = vec![step("/", Some((0o755, 0, 0))), step("/run", access)];
        Facts { sockets: Some(SocketDirectory { way, user: 33, groups: vec![33, 40] }), ..facts() }
    };
    let closed = &["WSGI0586", "uid 33", "\"/run\"", "WSGISocketPrefix"][..];
    for (access, texts) in [
        (Some((0o755, 0, 0)), &[][..]),
        (Some((0o711, 0, 0)), &[]),
        (Some((0o700, 0, 0)), closed),
        (Some((0o700, 33, 0)), &[]),
        (Some((0o077, 33, 33)), closed),
        (Some((0o710, 0, 40)), &[]),
        (Some((0o701, 0, 40)), closed),
        (None, &["WSGI0586", "does not exist"]),
    ] {
        assert_said(&said(&[("main", &[SHOP, CHOICE])], &run(access)), texts, &format!("{access:?}"));
        assert_said(&said(&[("main", &[ALIAS])], &run(access)), &[], "no groups");
    }
}

#[test]
fn interpreters_of_all_children_are_counted() {
    let with = |children| Facts { children, ..facts() };
    let other = "WSGIScriptAlias /other /srv/other.wsgi";
    for (children, lines, all) in [
        (Some(256), &[ALIAS][..], Some("256 together")),
        (Some(100), &[ALIAS], None),
        (Some(51), &[other, ALIAS], Some("102 together")),
        (Some(50), &[other, ALIAS], None),
        (None, &[other, ALIAS], None),
        (Some(256), &[], None),
        (Some(256), &[SHOP, CHOICE, ALIAS], None),
        (Some(256), &["WSGIRestrictEmbedded On", ALIAS], None),
        (Some(51), &["WSGIApplicationGroup %{GLOBAL}", other, ALIAS], None),
        (Some(256), &["WSGIProcessGroup %{ENV:X}", ALIAS], None),
    ] {
        let said = said(&[("main", lines)], &with(children));
        let texts: Vec<&str> = all.into_iter().flat_map(|all| ["WSGI0587", all]).collect();
        assert_said(&said, &texts, &format!("{children:?} {lines:?}"));
    }
}

#[test]
fn headers_of_proxies_without_proxies_are_named() {
    const HEADERS: &str = "WSGITrustedProxyHeaders X-Forwarded-For";
    const PROXIES: &str = "WSGITrustedProxies 10.0.0.1";
    one(&[HEADERS], &["WSGI0588", "the main server", "every client", "WSGITrustedProxies 10.0.0.1"]);
    one(&["</shop> WSGITrustedProxyHeaders X-Real-IP"], &["WSGI0588"]);
    one(&[HEADERS, PROXIES], &[]);
    one(&[HEADERS, "</shop> WSGITrustedProxies 10.0.0.1"], &[]);
    one(&[PROXIES], &[]);
    one(&["WSGITrustedProxyHeaders Forwarded"], &[]);
    several(&[("main", &[PROXIES]), ("shop", &[HEADERS])], &[]);
    several(&[("main", &[HEADERS]), ("shop", &[PROXIES])], &[]);
    several(&[("main", &[]), ("shop", &[HEADERS]), ("blog", &[PROXIES])], &["WSGI0588", "the virtual host \"shop\""]);
}

#[test]
fn a_gil_for_each_interpreter_takes_a_python_that_has_it() {
    const ON: &str = "WSGIPerInterpreterGIL On";
    let new = "WSGIDaemonProcess shop python-home=/venv/12";
    one(&[ON, ALIAS], &["WSGI0198", "in httpd's own children (Python 3.11)", "3.12 or later"]);
    one(&[ON], &["WSGI0198"]);
    one(&["WSGIPerInterpreterGIL Off", ALIAS], &[]);
    one(&[ON, SHOP, CHOICE, ALIAS], &["WSGI0198", "in the daemon process group \"shop\" (Python 3.11)"]);
    one(&[ON, new, CHOICE, ALIAS], &[]);
    one(
        &[ON, new, CHOICE, ALIAS, "WSGIScriptAlias /x /srv/x.wsgi process-group=%{GLOBAL}"],
        &["WSGI0198", "httpd's own"],
    );
    let old = "WSGIDaemonProcess old";
    let lines = [ON, new, old, "WSGIScriptAlias /x /srv/x.wsgi process-group=old", CHOICE, ALIAS];
    one(&lines, &["WSGI0198", "nothing in the daemon process group \"old\""]);
}

#[test]
fn free_threading_takes_a_python_that_was_built_for_it() {
    const ON: &str = "WSGIFreeThreading On";
    one(&[ON, ALIAS], &["WSGI0200", "httpd's own children (Python 3.11)", "free-threaded build"]);
    let built = Python { free_threaded: true, ..python(3, 14) };
    let facts = Facts { python: built, ..facts() };
    assert_said(&said(&[("main", &[ON, ALIAS])], &facts), &[], ON);
}

#[test]
fn a_section_for_a_group_that_does_not_exist_is_named() {
    let section = |name: &str| format!("<WSGIInterpreterOptions process-group={name}>");
    one(&[SHOP, CHOICE, &section("Shop"), &section("Shop")], &["WSGI0630", "process-group=Shop>", "%{GLOBAL}"]);
    one(&[SHOP, CHOICE, &section("shop"), &section("%{GLOBAL}"), "<WSGIInterpreterOptions>"], &[]);
    several(&[("main", &[&section("shop")]), ("blog", &[SHOP, CHOICE])], &[]);
}
