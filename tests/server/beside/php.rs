//! mod_php, which needs the prefork MPM: PHP and Python in one process.

use crate::harness::{Request, Server, Site, wsgi_test};

const PAGE: &str = r#"<?php
header("X-Pid: " . getmypid());
echo "php ", $_SERVER["REQUEST_METHOD"], " ", strlen(file_get_contents("php://input")), "\n";
if (isset($_GET["virtual"])) {
    flush();
    virtual("/app/inside");
}
"#;

/// Answers its process, method, path and how much it read.
const APP: &str = "import os
def application(environ, start_response):
    length = len(environ['wsgi.input'].read())
    text = 'wsgi %s %s %d' % (environ['REQUEST_METHOD'], environ['PATH_INFO'], length)
    start_response('200 OK', [('X-Pid', environ['mod_wsgi.server_pid'])])
    return [text.encode()]
";

/// A site with both, loaded in this order; None where there is no PHP.
fn site(site: Site, php_first: bool) -> Option<Site> {
    let site = site.load_other("php", "libphp", ".so")?;
    let site = if php_first { site } else { site.load_late() };
    let lines = "PHPIniDir ${ROOT}/conf\n<FilesMatch \\.php$>\n  SetHandler application/x-httpd-php\n</FilesMatch>\nWSGIScriptAlias /app ${APPS}/s/app.wsgi";
    Some(site.file("htdocs/page.php", PAGE).file("apps/s/app.wsgi", APP).conf(lines))
}

fn ask_both(server: &Server, rounds: usize) {
    let body = "x".repeat(100_000);
    for round in 0..rounds {
        let mut connection = server.connect();
        let requests = [
            (Request::post("/page.php", &body), "php POST 100000\n"),
            (Request::post("/app/a", &body), "wsgi POST /a 100000"),
            (Request::get("/page.php"), "php GET 0\n"),
            (Request::get("/app"), "wsgi GET  0"),
            (Request::get("/page.php?virtual"), "php GET 0\nwsgi GET /inside 0"),
        ];
        // One connection is one process, so each has both; in turns one or the other comes first.
        let mut processes: Vec<String> = Vec::new();
        for index in 0..requests.len() {
            let (request, text) = &requests[(index + round) % requests.len()];
            let response = connection.ask(&request.clone().keep_alive());
            assert_eq!(response.ok(), *text);
            processes.extend(response.header("X-Pid").map(str::to_owned));
        }
        processes.dedup();
        assert_eq!(processes.len(), 1, "{processes:?}");
    }
}

wsgi_test!(php_and_python_share_a_server, prefork, |s| {
    let setting = s.setting;
    for php_first in [true, false] {
        let name = if php_first { "php-first" } else { "php-last" };
        let Some(site) = site(Site::new(name, setting).unwrap(), php_first) else { return };
        let server = site.children(2).start();
        ask_both(&server, 6);
        server.graceful();
        ask_both(&server, 3);
        server.restart();
        ask_both(&server, 3);
        server.stop(|_| {});
    }
});
