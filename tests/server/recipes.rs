//! The configurations that users start from: what documents, questions and answers about mod_wsgi have told people to write.
//!
//! | # | configuration or statement | tests |
//! |---|---|---|
//! | 1 | a script at a URL | `a_script_alias_mounts_one_script` |
//! | 1 | without a grant | `without_a_grant_the_script_is_forbidden` |
//! | 2 | a script at the root | `a_root_mount_has_no_script_name` |
//! | 3 | three aliases in this order | `the_first_matching_alias_wins` |
//! | 4 | a folder of scripts | `a_directory_alias_names_scripts_by_the_url` |
//! | 4 | a slash on one side only | `slashes_on_one_side_only_are_warned_about` |
//! | 5 | an alias by pattern | `an_alias_by_pattern_hides_the_extension` |
//! | 6 | no Options | `a_script_alias_needs_no_options` |
//! | 7 | Alias and SetHandler, with and without ExecCGI | `set_handler_needs_exec_cgi` |
//! | 8 | CGI programs and static files beside scripts | `scripts_live_beside_cgi_and_static_files` |
//! | 9 | MultiViews | `multi_views_leaves_the_extension_out`, `mixed_folder_conf` |
//! | 10 | Indexes, DirectoryIndex | `a_directory_index_may_be_a_script`, `mixed_folder_conf` |
//! | 11 | a `.htaccess` file | `htaccess_works_where_it_is_allowed`, `htaccess_conf` |
//! | 12 | everything but files is rewritten to a script, in a virtual host | `a_rewrite_puts_a_script_at_the_root_from_a_virtual_host` |
//! | 12 | in a Directory | `a_rewrite_puts_a_script_at_the_root_from_a_directory`, `rewrite_root_conf` |
//! | 12 | a wrapper that hides the script | `an_application_can_hide_the_script_it_was_rewritten_to` |
//! | 13 | SetEnv and RewriteRule | `variables_of_other_modules_arrive_as_text` |
//! | 13 | both of one name | `set_env_stands_over_a_rewritten_variable_and_set_env_if_does_not` |
//! | 14 | Authorization | `authorization_is_passed_when_told_to` |
//! | 14 | httpd authenticates | `httpd_authenticates_and_the_application_reads_the_user` |
//! | 15 | static files beside a root mount | `static_files_live_beside_a_root_mount`, `static_files_conf` |
//! | 16 | LimitRequestBody | `a_body_over_the_limit_is_refused_at_once` |
//! | 17 | an interpreter for each application | `applications_do_not_share_module_globals` |
//! | 18 | one for a folder | `scripts_of_one_group_share_an_interpreter` |
//! | 19 | the first interpreter | `the_main_interpreter_serves_the_global_group`, `an_extension_in_one_interpreter_is_not_named` |
//! | 20 | mod_userdir | `each_user_has_an_interpreter`, `userdir_conf` |
//! | 21 | `%{ENV:x}` | `env_looks_at_notes_then_subprocess_environment_then_process` |
//! | 22 | a group of the site's name, static files by Alias | `a_site_has_a_group_of_its_name_and_static_files`, `static_files_conf` |
//! | 23 | two sites, two users | `virtual_hosts_have_groups_of_their_own`, `two_sites_conf` |
//! | 24 | a name twice, a foreign group | `names_are_unique_in_the_whole_server`, `groups_that_may_not_be_used_are_a_500` |
//! | 25 | one group for two sites | `a_group_of_the_main_server_is_for_every_virtual_host` |
//! | 26 | a group by RewriteMap | `a_map_of_whole_urls_chooses_the_process_group`, `rewrite_map_conf` |
//! | 27 | processes=1 or not | `processes_and_threads_are_told_to_applications` |
//! | 27 | a debugger in the browser | `werkzeugs_debugger_evaluates_in_a_group_of_one_process` |
//! | 28 | `maximum_requests`, `WSGIReloadMechanism Process` | `old_notes_still_load_and_a_changed_script_renews_the_process` |
//! | 29 | Flask with an environment and SQLite | `a_flask_application_writes_its_sqlite_file`, `flask_venv_conf` |
//! | 30 | `user=#uid`, `group=#gid` | `user_and_group_are_by_name_or_number` |
//! | 30 | `umask`, `home` | `folders_and_umask_are_set` |
//! | 30 | `python-path`, `python-eggs` | `python_options_set_its_python_up` |
//! | 30 | `stack-size` | `threads_have_the_stack_asked_for` |
//! | 30 | `display-name` | `processes_are_shown_by_their_name` |
//! | 30 | buffer sizes | `buffers_of_both_ends_have_the_sizes_asked_for` |
//! | 30 | `inactivity-timeout` | `an_idle_process_is_replaced_after_inactivity_timeout` |
//! | 30 | `deadlock-timeout` | `a_lock_of_python_that_is_kept_ends_the_process` |
//! | 30 | `shutdown-timeout` | `shutdown_timeout_bounds_an_end` |
//! | 31 | httpd asks for passwords | `httpd_authenticates_and_the_application_reads_the_user` |
//! | 32 | lines for httpd 2.2 and 2.4 | `old_and_new_access_lines_load_by_version` |
//! | 33 | `apachectl graceful`, systemd | `the_commands_of_debians_unit_lose_nothing_and_leave_nothing` |
//! | 33 | `a2enmod wsgi` | `make_install_puts_all_in_place_and_uninstall_takes_it_away` |
//! | 34 | an old example that returns text | `a_wrong_result_is_a_500_that_says_why` |
//!
//! `tests/tidy.rs` looks whether the table is whole and its tests are there.

// One httpd in front of three.
mod cluster;
// An application behind the methods of WebDAV.
pub(crate) mod webdav;

use std::fs::File;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::frameworks::environment;
use crate::harness::process::wait_end;
use crate::harness::{Response, Site, until, wsgi_test};

wsgi_test!(a_script_alias_needs_no_options, |site| {
    let site = site.app("where").conf("<Directory ${APPS}>\n  Options None\n</Directory>");
    assert_eq!(site.start().get("/").json()["file"], "app.wsgi");
});

// httpd's mod_env comes last, for CGI programs, for C mod_wsgi and here.
wsgi_test!(set_env_stands_over_a_rewritten_variable_and_set_env_if_does_not, |site| {
    let site = site.load(&["rewrite"]).app("environ").conf("SetEnv demo.templates /x\nSetEnv demo.debugging 0");
    let site =
        site.conf("SetEnvIf Request_URI ^ demo.tracing=0\nRewriteEngine On\nRewriteCond %{REMOTE_ADDR} ^127.0.0.1$");
    let answer = site.conf("RewriteRule . - [E=demo.debugging:1,E=demo.tracing:1]").start().get("/").json();
    let seen = &answer["environ"];
    assert_eq!(
        (&seen["demo.templates"], &seen["demo.debugging"], &seen["demo.tracing"]),
        (&json!("/x"), &json!("0"), &json!("1"))
    );
    assert!(!answer["os_environ"].as_object().unwrap().keys().any(|name| name.starts_with("demo.")));
});

/// Whether httpd itself has served it, from a file.
pub(crate) fn is_static(response: &Response) -> bool {
    response.status == 200 && response.header("Last-Modified").is_some()
}

wsgi_test!(a_site_has_a_group_of_its_name_and_static_files, groups, |site| {
    let site = site.files("process").file("static/favicon.ico", "icon").file("static/media/a.txt", "media");
    let server = site
        .conf(
            "<VirtualHost *:${PORT}>\n  ServerName www.site.com\n  \
             WSGIDaemonProcess www.site.com threads=15 maximum-requests=10000\n  WSGIProcessGroup www.site.com\n  \
             Alias /favicon.ico ${ROOT}/static/favicon.ico\n  AliasMatch /([^/]*\\.css) ${ROOT}/static/$1\n  \
             Alias /media/ ${ROOT}/static/media/\n  WSGIScriptAlias / ${APPS}/process/app.wsgi\n  \
             <Directory ${ROOT}/static>\n    Require all granted\n  </Directory>\n</VirtualHost>",
        )
        .start();
    assert_eq!(server.get("/").json()["process_group"], "www.site.com");
    for (target, text) in [("/favicon.ico", "icon"), ("/media/a.txt", "media")] {
        let response = server.get(target);
        assert!(is_static(&response) && response.text() == text, "{target}: {response:?}");
    }
});

/// Makes the databases of a map from its text.
pub(crate) fn httxt2dbm(site: &Site, text: &str, database: &str) -> bool {
    let mut command = Command::new("httxt2dbm");
    command.args(["-f", "SDBM", "-i"]).arg(site.root.join(text)).arg("-o").arg(site.root.join(database));
    match command.output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(cause) => {
            eprintln!("SKIPPED: a map that is a database: httxt2dbm: {cause}");
            false
        }
    }
}

wsgi_test!(a_map_of_whole_urls_chooses_the_process_group, groups, |site| {
    let setting = site.setting;
    for kind in ["txt", "dbm=sdbm"] {
        let site =
            Site::new("map", setting).unwrap().load(&["rewrite"]).group("shop", "").group("blog", "").app("place");
        let site = site.file("conf/map.txt", "/shop shop\n/blog/today blog\n/here %{GLOBAL}\n");
        let file = if kind == "txt" { "conf/map.txt" } else { "conf/map.dbm" };
        if kind != "txt" && !httxt2dbm(&site, "conf/map.txt", file) {
            return;
        }
        let site = site.conf(&format!("RewriteEngine On\nRewriteMap wsgiprocmap {kind}:${{ROOT}}/{file}"));
        let site = site.conf("RewriteRule . - [E=PROCESS_GROUP:${wsgiprocmap:%{REQUEST_URI}}]");
        let server = site.conf("WSGIProcessGroup %{ENV:PROCESS_GROUP}").start();
        // What the map does not know runs where everything does without the line: in httpd's own processes.
        for (path, group) in [("/shop", "shop"), ("/blog/today", "blog"), ("/here", ""), ("/shop/x", "")] {
            assert_eq!(server.get(path).json()["mod_wsgi.process_group"], group, "{kind}: {path}");
        }
    }
});

wsgi_test!(old_notes_still_load_and_a_changed_script_renews_the_process, groups, |site| {
    let site = site.conf("WSGIReloadMechanism Process").group("shop", "threads=4 maximum_requests=10000");
    let site = site.expect_log("WSGIReloadMechanism is not used any more").expect_log("write \"maximum-requests\"");
    let server = site.conf("WSGIProcessGroup shop").app("act").conf("SetEnv demo.var ${ROOT}/var").start();
    let pid = || -> u32 { server.get("/pid").ok().parse().unwrap() };
    let first = pid();
    let script = File::options().write(true).open(server.root.join("apps/act/app.wsgi")).unwrap();
    script.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    until("another process", || (pid() != first).then_some(()));
    wait_end(first);
});

const FLASK: &str = "import os, sqlite3
from flask import Flask
app = Flask(__name__)
file = os.path.join(os.path.dirname(__file__), 'data', 'visits.sqlite3')

@app.route('/')
def visit():
    with sqlite3.connect(file) as database:
        database.execute('insert into visits values (1)')
        return str(database.execute('select sum(number) from visits').fetchone()[0])
";

wsgi_test!(a_flask_application_writes_its_sqlite_file, groups, |site| {
    let home = environment(&site);
    let site = site.file("site/yourapplication.py", FLASK).file(
        "site/yourapplication.wsgi",
        "import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\nfrom yourapplication import app as application\n",
    );
    // Another user than the test's where that is root: nobody else may write.
    std::fs::create_dir(site.root.join("site/data")).unwrap();
    let file = site.root.join("site/data/visits.sqlite3");
    let made = Command::new(home.join("bin/python"))
        .args(["-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('create table visits (number)')"])
        .arg(&file)
        .status();
    assert!(made.unwrap().success());
    if let Some((user, _)) = &site.httpd.user {
        let user = nix::unistd::User::from_name(user).unwrap().unwrap();
        for path in [site.root.join("site/data"), file] {
            std::os::unix::fs::chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
    }
    site.root.chmod("site/data", 0o700);
    site.root.chmod("site/data/visits.sqlite3", 0o600);
    let server = site
        .conf(&format!(
            "WSGIPythonHome \"/usr\"\n<VirtualHost *:${{PORT}}>\n  ServerName example.com\n  \
             WSGIDaemonProcess yourapplication python-home={}/\n  \
             WSGIScriptAlias / ${{ROOT}}/site/yourapplication.wsgi\n  <Directory ${{ROOT}}/site>\n    \
             WSGIProcessGroup yourapplication\n    WSGIApplicationGroup %{{GLOBAL}}\n    Require all granted\n  \
             </Directory>\n</VirtualHost>",
            home.display()
        ))
        .start();
    for visits in ["1", "2", "3"] {
        assert_eq!(server.get("/").ok(), visits);
    }
});
