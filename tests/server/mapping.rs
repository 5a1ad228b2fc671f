//! How URLs reach scripts: the configurations that administrators start from.

use serde_json::{Value, json};

use crate::harness::{Mpm, Request, Server, Site, until, wsgi_test};

/// SCRIPT_NAME, PATH_INFO and file name of the script that answered.
fn place(server: &Server, target: &str) -> Value {
    let seen = server.get(target).json();
    json!([seen["script_name"], seen["path_info"], seen["file"]])
}

/// A folder `scripts` with two scripts, a CGI program and a static file; no mount yet.
fn scripts(site: Site) -> Site {
    let script = include_str!("../apps/where/app.wsgi");
    let site =
        site.file("scripts/one.wsgi", script).file("scripts/two.wsgi", script).file("scripts/page.txt", "static");
    let site = site.file("scripts/old.cgi", "#!/bin/sh\necho 'Content-Type: text/plain'\necho\necho from cgi\n");
    site.root.chmod("scripts/old.cgi", 0o755);
    site
}

const GRANT: &str = "<Directory ${ROOT}/scripts>\n  Require all granted\n</Directory>";

wsgi_test!(a_script_alias_mounts_one_script, |site| {
    let server = site.mount("/myapp", "where").start();
    assert_eq!(place(&server, "/myapp"), json!(["/myapp", "", "app.wsgi"]));
    assert_eq!(place(&server, "/myapp/a/b"), json!(["/myapp", "/a/b", "app.wsgi"]));
    assert_eq!(server.get("/myapplication").status, 404);
    assert_eq!(server.get("/MyApp").status, 404);
});

wsgi_test!(without_a_grant_the_script_is_forbidden, |site| {
    let site = scripts(site).conf("WSGIScriptAlias / ${ROOT}/scripts/one.wsgi").expect_log("AH01630");
    assert_eq!(site.start().get("/").status, 403);
});

wsgi_test!(a_script_behind_a_symlink_needs_options_that_follow_it, |site| {
    let mut site = scripts(site).conf(GRANT);
    for (folder, options) in [("open", "+FollowSymLinks"), ("closed", "-FollowSymLinks")] {
        site = site.file(&format!("{folder}/page.txt"), "static");
        for (link, to) in [("link.wsgi", "scripts/one.wsgi"), ("inner", "scripts")] {
            std::os::unix::fs::symlink(site.root.join(to), site.root.join(&format!("{folder}/{link}"))).unwrap();
        }
        let grant = format!("<Directory ${{ROOT}}/{folder}>\n  Options {options}\n  Require all granted\n</Directory>");
        let aliases = ["link.wsgi", "inner/two.wsgi"]
            .map(|file| format!("WSGIScriptAlias /{folder}/{file} ${{ROOT}}/{folder}/{file}"));
        site = site.conf(&grant).conf(&aliases.join("\n"));
    }
    let server = site.expect_log("AH00037").start();
    assert_eq!(place(&server, "/open/link.wsgi/x/y"), json!(["/open/link.wsgi", "/x/y", "link.wsgi"]));
    assert_eq!(place(&server, "/open/inner/two.wsgi"), json!(["/open/inner/two.wsgi", "", "two.wsgi"]));
    assert_eq!(server.get("/closed/link.wsgi/x/y").status, 403);
    assert_eq!(server.get("/closed/inner/two.wsgi").status, 403);
});

wsgi_test!(a_script_that_comes_and_goes_is_found_and_missed, |site| {
    let server = scripts(site).conf(GRANT).conf("WSGIScriptAlias / ${ROOT}/scripts/later.wsgi").expect_log("WSGI0583");
    let server = server.start();
    assert_eq!(server.get("/x").status, 404);
    server.root.write("scripts/later.wsgi", include_str!("../apps/where/app.wsgi"));
    assert_eq!(place(&server, "/x"), json!(["", "/x", "later.wsgi"]));
    std::fs::remove_file(server.root.join("scripts/later.wsgi")).unwrap();
    std::fs::create_dir(server.root.join("scripts/later.wsgi")).unwrap();
    server.allow_log("WSGI01");
    assert_ne!(server.get("/x").status, 200);
});

wsgi_test!(the_first_matching_alias_wins, |site| {
    let site = site.mount("/wiki", "where").mount("/blog", "environ").mount("/", "unread").mount("/late", "where");
    let server = site.expect_log("WSGIScriptAlias /late: never reached").start();
    assert_eq!(place(&server, "/wiki/x"), json!(["/wiki", "/x", "app.wsgi"]));
    assert_eq!(server.get("/blog/x").json()["environ"]["SCRIPT_NAME"], "/blog");
    assert_eq!(server.get("/wikipedia").ok(), "1");
    assert_eq!(server.get("/late").ok(), "2", "a longer one after / is never reached");
});

wsgi_test!(a_virtual_host_is_asked_before_the_main_server, |site| {
    let site = site.files("where").mount("/", "unread");
    let site = site.conf("<VirtualHost *:${PORT}>\n  ServerName one.example\n  WSGIScriptAlias /own ${APPS}/where/app.wsgi\n</VirtualHost>");
    let server = site.start();
    assert_eq!(place(&server, "/own/x"), json!(["/own", "/x", "app.wsgi"]));
    assert_eq!(server.get("/other").ok(), "1", "the main server's alias holds in the virtual host, too");
});

wsgi_test!(a_directory_alias_names_scripts_by_the_url, |site| {
    let site = scripts(site).conf("WSGIScriptAlias /wsgi/ ${ROOT}/scripts/").conf(GRANT).expect_log("WSGI0135");
    let server = site.start();
    assert_eq!(place(&server, "/wsgi/one.wsgi/x/y"), json!(["/wsgi/one.wsgi", "/x/y", "one.wsgi"]));
    assert_eq!(place(&server, "/wsgi/two.wsgi"), json!(["/wsgi/two.wsgi", "", "two.wsgi"]));
    assert_eq!(server.get("/wsgi/three.wsgi").status, 404);
    assert_eq!(server.get("/wsgi").status, 404);
});

wsgi_test!(a_directory_is_not_a_script, |site| {
    let site = scripts(site).conf("WSGIScriptAlias /wsgi/ ${ROOT}/scripts/").conf(GRANT).expect_log("WSGI0136");
    assert_eq!(site.start().get("/wsgi/").status, 403);
});

wsgi_test!(an_alias_by_pattern_hides_the_extension, |site| {
    let site = scripts(site).conf("WSGIScriptAliasMatch ^/wsgi/([^/]+) ${ROOT}/scripts/$1.wsgi").conf(GRANT);
    let server = site.expect_log("WSGI0135").start();
    assert_eq!(place(&server, "/wsgi/one/x"), json!(["/wsgi/one", "/x", "one.wsgi"]));
    assert_eq!(place(&server, "/wsgi/two"), json!(["/wsgi/two", "", "two.wsgi"]));
    assert_eq!(server.get("/wsgi/three").status, 404);
});

wsgi_test!(slashes_of_alias_and_url_may_differ_in_number, |site| {
    let server = site.mount("/a//b", "where").conf("MergeSlashes Off").start();
    assert_eq!(place(&server, "/a/b/c"), json!(["/a/b", "/c", "app.wsgi"]));
    assert_eq!(place(&server, "//a///b/c"), json!(["/a/b", "/c", "app.wsgi"]));
});

wsgi_test!(set_handler_needs_exec_cgi, |site| {
    let site = scripts(site).conf("Alias /wsgi/ ${ROOT}/scripts/\nAlias /off/ ${ROOT}/scripts/").conf(GRANT);
    let site = site.conf("<Location /wsgi>\n  Options ExecCGI\n  SetHandler wsgi-script\n</Location>");
    let site =
        site.conf("<Location /off>\n  Options None\n  SetHandler wsgi-script\n</Location>").expect_log("WSGI0134");
    let server = site.start();
    assert_eq!(place(&server, "/wsgi/one.wsgi/x"), json!(["/wsgi/one.wsgi", "/x", "one.wsgi"]));
    assert_eq!(server.get("/off/one.wsgi").status, 403);
});

wsgi_test!(the_handler_may_be_named_by_its_media_type, |site| {
    let site = scripts(site).conf("Alias /s/ ${ROOT}/scripts/").conf(GRANT);
    let site = site.conf("<Location /s>\n  Options ExecCGI\n  AddType application/x-httpd-wsgi .wsgi\n</Location>");
    assert_eq!(place(&site.start(), "/s/one.wsgi/x"), json!(["/s/one.wsgi", "/x", "one.wsgi"]));
});

wsgi_test!(accept_path_info_off_refuses_the_rest, |site| {
    let site =
        site.mount("/a", "where").conf("<Location /a>\n  AcceptPathInfo Off\n</Location>").expect_log("WSGI0137");
    let server = site.start();
    assert_eq!(server.get("/a/rest").status, 404);
    assert_eq!(place(&server, "/a"), json!(["/a", "", "app.wsgi"]));
});

/// Rows 8 to 10: scripts, CGI programs and static files in one directory.
fn mixed(site: Site, options: &str) -> Server {
    let cgi = if site.setting.mpm == Mpm::Prefork { "cgi" } else { "cgid" };
    let site = scripts(site).load(&[cgi, "negotiation", "autoindex"]).conf("Alias /s/ ${ROOT}/scripts/").conf(GRANT);
    let lines = "AddHandler cgi-script .cgi\n  AddHandler wsgi-script .wsgi\n";
    site.conf(&format!("<Directory ${{ROOT}}/scripts>\n  {lines}  {options}\n</Directory>")).start()
}

wsgi_test!(scripts_live_beside_cgi_and_static_files, every_mpm, |site| {
    let server = mixed(site, "Options ExecCGI");
    assert_eq!(place(&server, "/s/one.wsgi/x"), json!(["/s/one.wsgi", "/x", "one.wsgi"]));
    assert_eq!(server.get("/s/old.cgi").ok(), "from cgi\n");
    assert_eq!(server.get("/s/page.txt").ok(), "static");
});

wsgi_test!(multi_views_leaves_the_extension_out, |site| {
    let server = mixed(site, "Options ExecCGI MultiViews\n  MultiviewsMatch Handlers");
    assert_eq!(place(&server, "/s/one/x")[1], "/x");
    assert_eq!(server.get("/s/one/x").json()["file"], "one.wsgi");
    assert_eq!(server.get("/s/old").ok(), "from cgi\n");
});

wsgi_test!(a_directory_index_may_be_a_script, |site| {
    let site = site.file("scripts/index.wsgi", include_str!("../apps/where/app.wsgi"));
    let site = site.file("scripts/plain/readme.txt", "x");
    let server = mixed(site, "Options ExecCGI Indexes\n  DirectoryIndex index.html index.wsgi index.cgi");
    assert_eq!(server.get("/s/").json()["file"], "index.wsgi");
    assert!(server.get("/s/plain/").ok().contains("readme.txt"), "a listing where there is no index");
});

wsgi_test!(a_directory_index_and_a_fallback_may_lead_to_an_alias_with_its_options, |site| {
    const APP: &str = "\
def named(environ, start_response):
    start_response('200 OK', [])
    words = environ['mod_wsgi.application_group'], environ.get('HTTP_AUTHORIZATION', '-')
    return [' '.join(words).encode()]
";
    let mut site = site.file("apps/index/app.wsgi", APP).file("www/x/readme.txt", "x");
    for (folder, line) in [("index", "DirectoryIndex /app"), ("fallback", "FallbackResource /app")] {
        site = site.conf(&format!(
            "Alias /{folder} ${{ROOT}}/www\n<Location /{folder}>\n  Require all granted\n  {line}\n</Location>"
        ));
    }
    let alias = "WSGIScriptAlias /other ${APPS}/index/app.wsgi application-group=other\n\
                 WSGIScriptAlias /app ${APPS}/index/app.wsgi application-group=one callable-object=named pass-authorization=On\n\
                 LogFormat \"%{mod_wsgi.application_group}n %{mod_wsgi.callable_object}n %{mod_wsgi.pass_authorization}n\" notes\n\
                 CustomLog logs/notes.log notes";
    let server = site.conf(alias).start();
    for target in ["/index/", "/fallback/x/none"] {
        let response = server.ask(&Request::get(target).header("Authorization", "Basic eA=="));
        assert_eq!(response.ok(), "one Basic eA==", "{target}");
    }
    until("both lines", || (server.root.read("logs/notes.log") == "one named 1\none named 1\n").then_some(()));
});

wsgi_test!(htaccess_works_where_it_is_allowed, |site| {
    let htaccess = "DirectoryIndex index.wsgi\nAddHandler cgi-script .cgi\nAddHandler wsgi-script .wsgi\n";
    let script = include_str!("../apps/where/app.wsgi");
    let mut site = site.files("where").load(&["cgid"]);
    for (folder, allow) in [("on", "FileInfo Indexes"), ("off", "None")] {
        site = site.file(&format!("{folder}/.htaccess"), htaccess).file(&format!("{folder}/index.wsgi"), script);
        site = site.conf(&format!(
            "Alias /{folder}/ ${{ROOT}}/{folder}/\n<Directory ${{ROOT}}/{folder}>\n  Require all granted\n  Options ExecCGI\n  AllowOverride {allow}\n</Directory>"
        ));
    }
    let server = site.start();
    assert_eq!(server.get("/on/").json()["file"], "index.wsgi");
    assert_eq!(server.get("/off/index.wsgi").ok(), script, "as any file");
});

wsgi_test!(file_info_directives_are_allowed_in_htaccess_and_others_are_not, |site| {
    let script = include_str!("../apps/where/app.wsgi");
    let mut site = site.load(&["rewrite"]).expect_log("not allowed here");
    for (folder, line) in [("good", "WSGICallableObject hidden"), ("bad", "WSGIApplicationGroup x")] {
        site = site.file(&format!("apps/{folder}/app.wsgi"), script).file(&format!("apps/{folder}/.htaccess"), line);
        site = site.conf(&format!("WSGIScriptAlias /{folder} ${{APPS}}/{folder}/app.wsgi"));
    }
    let server = site.conf("<Directory ${APPS}>\n  AllowOverride FileInfo\n</Directory>").start();
    assert_eq!(server.get("/good/x").json()["script_name"], "");
    assert_eq!(server.get("/bad/x").status, 500);
});

/// Row 12, with the lines in a virtual host or in a directory.
fn rewritten(site: Site, inside: &str, callable: &str) -> Server {
    let script = include_str!("../apps/where/app.wsgi");
    let site = site.load(&["rewrite", "negotiation"]).file("site/site.wsgi", script).file("site/page.txt", "static");
    let lines =
        "RewriteEngine On\n  RewriteCond %{REQUEST_FILENAME} !-f\n  RewriteRule ^(.*)$ /site.wsgi/$1 [QSA,PT,L]";
    let options = format!(
        "Options MultiViews ExecCGI SymLinksIfOwnerMatch\n  AddHandler wsgi-script .wsgi\n  Require all granted\n  WSGICallableObject {callable}"
    );
    let (outside, within) = if inside == "directory" { ("", lines) } else { (lines, "") };
    // In a virtual host the file name is not known yet: it is the URL below the document root.
    let outside = outside.replace("%{REQUEST_FILENAME}", "%{DOCUMENT_ROOT}%{REQUEST_URI}").replace("^(.*)$", "^/(.*)$");
    site.conf(&format!(
        "<VirtualHost *:${{PORT}}>\n  ServerName localhost\n  DocumentRoot ${{ROOT}}/site\n  {outside}\n  <Directory ${{ROOT}}/site>\n  {options}\n  {within}\n  </Directory>\n</VirtualHost>"
    ))
    .start()
}

wsgi_test!(a_rewrite_puts_a_script_at_the_root_from_a_virtual_host, |site| {
    let server = rewritten(site, "host", "application");
    assert_eq!(place(&server, "/shop/cart"), json!(["/site.wsgi", "/shop/cart", "site.wsgi"]));
    assert_eq!(server.get("/shop?a=1").json()["query"], "a=1");
    assert_eq!(server.get("/page.txt").ok(), "static", "files win");
});

wsgi_test!(a_rewrite_puts_a_script_at_the_root_from_a_directory, |site| {
    let server = rewritten(site, "directory", "application");
    assert_eq!(place(&server, "/shop/cart"), json!(["/site.wsgi", "/shop/cart", "site.wsgi"]));
    assert_eq!(place(&server, "/"), json!(["/site.wsgi", "/", "site.wsgi"]));
    assert_eq!(server.get("/page.txt").ok(), "static", "files win");
});

wsgi_test!(an_application_can_hide_the_script_it_was_rewritten_to, |site| {
    let server = rewritten(site, "directory", "hidden");
    assert_eq!(place(&server, "/shop"), json!(["", "/shop", "site.wsgi"]));
});

wsgi_test!(static_files_live_beside_a_root_mount, |site| {
    let site =
        site.file("static/robots.txt", "robots").file("static/site.css", "css").file("static/media/a.txt", "media");
    let site = site.conf("Alias /robots.txt ${ROOT}/static/robots.txt").app("where");
    let site = site.conf("AliasMatch /([^/]*\\.css) ${ROOT}/static/$1\nAlias /media/ ${ROOT}/static/media/");
    let server = site.conf("<Directory ${ROOT}/static>\n  Require all granted\n</Directory>").start();
    assert_eq!(server.get("/robots.txt").ok(), "robots");
    assert_eq!(server.get("/site.css").ok(), "css");
    assert_eq!(server.get("/media/a.txt").ok(), "media");
    assert_eq!(place(&server, "/else"), json!(["", "/else", "app.wsgi"]));
});

wsgi_test!(old_and_new_access_lines_load_by_version, |site| {
    let site = scripts(site).load(&["version"]).conf("WSGIScriptAlias / ${ROOT}/scripts/one.wsgi");
    let site = site.conf("<Directory ${ROOT}/scripts>\n<IfVersion < 2.4>\n  Order allow,deny\n  Allow from all\n</IfVersion>\n<IfVersion >= 2.4>\n  Require all granted\n</IfVersion>\n</Directory>");
    assert_eq!(site.start().get("/").status, 200);
});

wsgi_test!(a_rewrite_onto_an_alias_passes_through, |site| {
    let site = site.load(&["rewrite"]).mount("/app", "where");
    let server = site.conf("RewriteEngine On\nRewriteRule ^/old/(.*) /app/$1 [PT]").start();
    assert_eq!(place(&server, "/old/x"), json!(["/app", "/x", "app.wsgi"]));
});

wsgi_test!(options_of_an_alias_win_over_directives_around_it, |site| {
    let options = "application-group=mine callable-object=hidden";
    let site =
        site.mount_with("/dir/app", "where", options).conf("WSGIApplicationGroup outer\nWSGICallableObject nothing");
    let seen = site.start().ask(&Request::get("/dir/app/x")).json();
    assert_eq!((&seen["group"], &seen["script_name"]), (&json!("mine"), &json!("/dir")));
});
