//! `server-metrics`: what daemon processes know of httpd's children.

use serde_json::{Value, json};

use crate::harness::{until, wsgi_test};

/// Answers what this process knows of httpd's children.
const SCOREBOARD: &str = "\
import json, mod_wsgi

def application(environ, start_response):
    board = mod_wsgi.server_metrics()
    if board is not None:
        requests = [worker['request'] for process in board['processes'] for worker in process['workers']]
        board = {'generation': board['running_generation'], 'time': board['current_time'], 'requests': requests}
    body = json.dumps(board).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

wsgi_test!(daemon_processes_see_the_scoreboard_as_requests_bring_it, groups_every_mpm, |site| {
    let site = site.file("apps/open/app.wsgi", SCOREBOARD).file("apps/closed/app.wsgi", SCOREBOARD);
    let server = site
        .group("open", "processes=2 threads=2 server-metrics=On")
        .group("closed", "processes=1 threads=2")
        .conf(
            "ExtendedStatus On\nWSGIServerMetrics On\nWSGIScriptAlias /open ${APPS}/open/app.wsgi process-group=open\n\
             WSGIScriptAlias /closed ${APPS}/closed/app.wsgi process-group=closed",
        )
        .start();
    let first = server.get("/open/first").json();
    let requests = first["requests"].as_array().unwrap();
    assert!(requests.contains(&json!("GET /open/first HTTP/1.1")), "{requests:?}");
    assert_eq!(first["generation"], 0);
    until("a later look", || (server.get("/open").json()["time"].as_f64() > first["time"].as_f64()).then_some(()));
    assert_eq!(server.get("/closed").json(), Value::Null);
    server.graceful();
    until("the next generation's", || (server.get("/open").json()["generation"] == 1).then_some(()));
});
