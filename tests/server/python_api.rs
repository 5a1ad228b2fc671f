//! What the Python modules `mod_wsgi` and `apache` offer to applications.

use std::collections::BTreeMap;
use std::thread;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::process::{send, wait_end};
use crate::harness::{Interpreter, Mpm, Server, Site, until, wsgi_test};

/// A site whose application follows events; it says so in the log when its process ends.
fn following(site: Site) -> Server {
    let server = site.app("api").variable("SUBSCRIBE", "1").start();
    server.expect_log("event process_stopping");
    server.expect_log("shutdown process_stopping");
    server
}

/// An event: its name, the types and the values of its payload.
struct Event {
    name: String,
    types: BTreeMap<String, String>,
    payload: Value,
}

/// The events since the last call, without those of asking for them.
fn events(server: &Server) -> Vec<Event> {
    let event = |event: &Value| {
        let fields = event[1].as_object().unwrap();
        Event {
            name: event[0].as_str().unwrap().to_owned(),
            types: fields.iter().map(|(key, value)| (key.clone(), value[0].as_str().unwrap().to_owned())).collect(),
            payload: fields.iter().map(|(key, value)| (key.clone(), value[1].clone())).collect(),
        }
    };
    // A process has its own events, and an answer is there before its request has finished.
    let of_asking = |event: &Event| event.payload["request_data"]["path"] == "/events";
    let all: Vec<Event> = server.get("/events").json().as_array().unwrap().iter().map(event).collect();
    all.into_iter().filter(|event| !of_asking(event)).collect()
}

/// The events of one request until it has finished, which may be after its answer is there.
fn whole(server: &Server) -> Vec<Event> {
    let mut seen = Vec::new();
    until("the request to finish", || {
        seen.extend(events(server));
        names(&seen).contains(&"request_finished").then_some(())
    });
    seen
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[track_caller]
fn types(event: &Event, expected: &[(&str, &str)]) {
    let expected = expected.iter().map(|(key, kind)| ((*key).to_owned(), (*kind).to_owned())).collect();
    assert_eq!(event.types, expected, "{}", event.name);
}

wsgi_test!(the_modules_say_where_an_application_is, both_interpreters, |site| {
    let (daemon, main) = (site.setting.mode.is_daemon(), site.setting.interpreter == Interpreter::Main);
    let server = site.mount("/a", "api").start();
    let seen = server.get("/a/facts").json();
    let functions = [
        "process_metrics",
        "request_data",
        "request_metrics",
        "server_metrics",
        "start_recording_metrics",
        "subscribe_events",
        "subscribe_shutdown",
        "subscribe_signals",
    ];
    let mut names = vec!["FileWrapper", "LogHandler", "RequestTimeout", "active_requests", "application_group"];
    names.extend(["event_callbacks", "maximum_processes", "process_group", "shutdown_callbacks", "signal_callbacks"]);
    names.extend(["threads_per_process", "version"]);
    names.extend(functions);
    names.sort_unstable();
    assert_eq!(seen["names"], json!(names));
    for (name, kind) in [
        ("FileWrapper", "type"),
        ("LogHandler", "type"),
        ("RequestTimeout", "type"),
        ("active_requests", "dict"),
        ("event_callbacks", "list"),
        ("shutdown_callbacks", "list"),
        ("signal_callbacks", "list"),
        ("version", "tuple"),
        ("maximum_processes", "int"),
        ("threads_per_process", "int"),
    ] {
        assert_eq!(seen["types"][name], kind, "{name}");
    }
    for name in functions {
        assert!(seen["types"][name].as_str().unwrap().contains("function"), "{name}");
    }
    assert_eq!(seen["version"], json!([6, 1, 1]));
    assert_eq!(seen["process_group"], if daemon { "site" } else { "" });
    let group = if main { String::new() } else { format!("localhost:{}|/a", server.port) };
    assert_eq!(seen["application_group"], group);
    assert_eq!(
        (&seen["maximum_processes"], &seen["threads_per_process"]),
        (&json!(1), &json!(if daemon { 4 } else { 8 }))
    );
    let apache = seen["apache"].as_object().unwrap();
    let keys: Vec<&String> = apache.keys().collect();
    assert_eq!(keys, ["build_date", "description", "maximum_processes", "mpm_name", "threads_per_process", "version"]);
    assert_eq!(apache["mpm_name"], "event");
    // The MPM's figures, in daemon processes, too.
    assert_eq!((&apache["maximum_processes"], &apache["threads_per_process"]), (&json!(1), &json!(8)));
    assert_eq!(apache["version"][0], 2);
    assert!(apache["description"].as_str().unwrap().starts_with("Apache/2."), "{apache:?}");
    assert!(!apache["build_date"].as_str().unwrap().is_empty());
});

wsgi_test!(a_request_has_a_dict_of_its_own, both_interpreters, |site| {
    let seen = site.app("api").start().get("/facts").json();
    assert_eq!(seen["same_data"], true);
    assert_eq!(seen["active"], true);
    assert_eq!(seen["active_count"], 1, "requests that ended are gone");
    assert_eq!(seen["outside"], "RuntimeError: no active request for thread");
});

const LOOKS: &str = r#"
import threading
import mod_wsgi

here, looked = threading.Event(), threading.Event()
hidden = "active_requests" not in vars(mod_wsgi)

def application(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/first":
        # Neither hides the request nor shows it for ever.
        environ["mod_wsgi.request_id"] = "mine"
        here.set()
        looked.wait(20)
        return [repr(mod_wsgi.request_data()).encode()]
    if environ["PATH_INFO"] == "/look":
        here.wait(20)
        for request_id, data in mod_wsgi.active_requests.items():
            data["own"] = request_id == environ["mod_wsgi.request_id"]
        seen = sorted(data["own"] for data in mod_wsgi.active_requests.values())
        seen = repr((hidden, seen, mod_wsgi.request_data()))
        looked.set()
        return [seen.encode()]
    return [repr(list(mod_wsgi.active_requests) == [environ["mod_wsgi.request_id"]]).encode()]
"#;

wsgi_test!(who_looks_sees_requests_that_began_before, both_interpreters, |site| {
    let server = site.file("apps/s/app.wsgi", LOOKS).conf("WSGIScriptAlias / ${APPS}/s/app.wsgi").start();
    thread::scope(|scope| {
        let first = scope.spawn(|| server.get("/first").ok());
        assert_eq!(server.get("/look").ok(), "(True, [False, True], {'own': True})");
        assert_eq!(first.join().unwrap(), "{'own': False}");
    });
    until("both to be over", || (server.get("/").ok() == "True").then_some(()));
});

wsgi_test!(functions_take_what_they_say_and_classes_are_what_they_say, |site| {
    let seen = site.app("api").start().get("/facts").json();
    assert_eq!(seen["handler"], json!(["LogHandler", "Handler", "Filterer", "object"]));
    assert_eq!(seen["handler_is_kept"], true);
    assert_eq!(seen["timeout"], json!(["RequestTimeout", "BaseException", "object"]));
    assert_eq!(seen["unknown"], "AttributeError: module 'mod_wsgi' has no attribute 'nothing'");
    for call in ["keyword", "many", "arguments"] {
        assert_eq!(seen[call], "TypeError", "{call}");
    }
});

wsgi_test!(events_tell_of_a_request_from_its_begin_to_its_end, both_interpreters, |site| {
    let daemon = site.setting.mode.is_daemon();
    let server = following(site);
    events(&server);
    assert_eq!(server.post("/read", "0123456789").text(), "abcde");
    let seen = whole(&server);
    assert_eq!(names(&seen), ["request_started", "response_started", "request_finished"]);
    let [started, response, finished] = seen.as_slice() else { panic!() };
    types(
        started,
        &[
            ("request_id", "str"),
            ("thread_id", "int"),
            ("daemon_connects", "int"),
            ("daemon_restarts", "int"),
            ("server_pid", "int"),
            ("request_start", "float"),
            ("queue_start", "float"),
            ("daemon_start", "float"),
            ("application_object", "function"),
            ("callable_object", "str"),
            ("same_environ", "bool"),
            ("application_start", "float"),
            ("request_data", "dict"),
        ],
    );
    types(
        response,
        &[
            ("request_id", "str"),
            ("response_status", "str"),
            ("response_headers", "list"),
            ("exception_info", "NoneType"),
            ("request_data", "dict"),
        ],
    );
    types(
        finished,
        &[
            ("request_id", "str"),
            ("thread_id", "int"),
            ("server_pid", "int"),
            ("request_start", "float"),
            ("queue_start", "float"),
            ("daemon_start", "float"),
            ("input_reads", "int"),
            ("input_length", "int"),
            ("input_time", "float"),
            ("output_length", "int"),
            ("output_writes", "int"),
            ("cpu_user_time", "float"),
            ("cpu_system_time", "float"),
            ("cpu_time", "float"),
            ("output_time", "float"),
            ("application_finish", "float"),
            ("application_time", "float"),
            ("status", "int"),
            ("gil_wait_time", "float"),
            ("gil_wait_count", "int"),
            ("request_data", "dict"),
        ],
    );
    for event in &seen {
        assert_eq!(event.payload["request_id"], started.payload["request_id"], "{}", event.name);
        assert_eq!(event.payload["request_data"]["path"], "/read", "{}", event.name);
    }
    let (began, ended) = (&started.payload, &finished.payload);
    assert_eq!(began["same_environ"], true);
    assert_eq!(began["callable_object"], "application");
    assert_eq!(began["daemon_connects"], u32::from(daemon));
    assert_eq!(began["queue_start"].as_f64().unwrap() > 0.0, daemon);
    assert_eq!(began["daemon_start"].as_f64().unwrap() > 0.0, daemon);
    assert!(server.children().contains(&u32::try_from(began["server_pid"].as_u64().unwrap()).unwrap()));
    assert_eq!(response.payload["response_status"], "404 Not Found");
    assert_eq!(response.payload["response_headers"], json!([["Content-Length", "5"]]));
    assert_eq!(ended["status"], 404);
    assert_eq!((&ended["input_reads"], &ended["input_length"]), (&json!(2), &json!(10)));
    // What was given, not what was left of it by Content-Length.
    assert_eq!((&ended["output_writes"], &ended["output_length"]), (&json!(3), &json!(8)));
    let time = |payload: &Value, name: &str| payload[name].as_f64().unwrap();
    let between = time(ended, "application_finish") - time(began, "application_start");
    assert!((time(ended, "application_time") - between).abs() < 1e-3, "{ended}");
    assert!(time(ended, "cpu_time") >= time(ended, "cpu_user_time"));
    assert!(ended["gil_wait_count"].as_u64().unwrap() >= 3, "{ended}");
});

wsgi_test!(what_fails_is_an_event_and_what_was_not_started_has_status_500, both_interpreters, |site| {
    let server = following(site);
    events(&server);
    for (path, status, kind, text, all) in [
        ("/raise", 500, "KeyError", "the application failed", &["request_started", "request_exception"][..]),
        ("/text", 200, "TypeError", "must give bytes", &["request_started", "response_started", "request_exception"]),
        ("/unstarted", 500, "RuntimeError", "start_response", &["request_started", "request_exception"]),
        ("/close", 200, "OSError", "close() failed", &["request_started", "response_started", "request_exception"]),
    ] {
        server.expect_log("WSGI0174");
        server.allow_log(kind);
        server.allow_log("Traceback");
        server.allow_log("  ");
        assert_eq!(server.get(path).status, if path == "/close" { 200 } else { 500 }, "{path}");
        let seen = whole(&server);
        let expected: Vec<&str> = all.iter().copied().chain(["request_finished"]).collect();
        assert_eq!(names(&seen), expected, "{path}");
        let exception = &seen[all.len() - 1];
        types(exception, &[("request_id", "str"), ("exception_info", "tuple"), ("request_data", "dict")]);
        let information = &exception.payload["exception_info"];
        assert!(information[0].as_str().unwrap().contains(kind), "{information}");
        assert!(information[1].as_str().unwrap().contains(text), "{information}");
        assert_eq!(seen[all.len()].payload["status"], status, "{path}");
    }
});

wsgi_test!(each_start_of_a_response_is_an_event_before_it_is_checked, |site| {
    let server = following(site);
    events(&server);
    let response = server.get("/bad-status");
    assert_eq!((response.status, response.header("X-Second")), (201, Some("yes")));
    assert!(response.text().starts_with("ValueError"), "{}", response.text());
    let seen = whole(&server);
    let statuses: Vec<&Value> = seen.iter().map(|event| &event.payload["response_status"]).collect();
    assert_eq!(statuses, [&Value::Null, &json!("bad"), &json!("201 Created"), &Value::Null]);
    assert_eq!(seen[3].payload["status"], 201);
});

wsgi_test!(a_callback_may_put_another_application_in_place, both_interpreters, |site| {
    let server = following(site);
    assert_eq!(server.get("/wrapped").ok(), "wrapped plain");
    assert_eq!(server.get("/plain").ok(), "plain");
});

wsgi_test!(a_callback_that_fails_is_logged_and_hurts_nobody, both_interpreters, |site| {
    let server = following(site);
    events(&server);
    assert_eq!(server.get("/failing-callback").ok(), "plain");
    assert_eq!(server.get("/exiting-callback").ok(), "plain");
    for text in ["WSGI0112", "WSGI0190", "ValueError: the callback failed", "SystemExit: the callback wants out"] {
        server.wait_log(text);
    }
    server.allow_log("Traceback");
    server.allow_log("  ");
    assert!(names(&events(&server)).contains(&"response_started"), "other callbacks go on");
});

wsgi_test!(the_end_of_a_child_is_announced_once, embedded, |site| {
    let server = following(site);
    server.get("/plain").ok();
    server.stop(|root| {
        let log = root.read("logs/error.log");
        for text in ["event process_stopping {\"shutdown_reason\": \"\"}", "shutdown process_stopping"] {
            assert_eq!(log.matches(text).count(), 1, "{text} in\n{log}");
        }
    });
});

wsgi_test!(the_end_is_announced_where_interpreters_are_not_destroyed, |site| {
    let site = site.conf("WSGIDestroyInterpreter Off");
    // `following` announces the lines, and the gate misses them where they don't come.
    following(site).get("/plain").ok();
});

/// A group `shop` whose application follows events.
fn shop(site: Site, options: &str) -> Server {
    let site = site.group("shop", &format!("processes=1 {options}"));
    let site = site.conf("WSGIProcessGroup shop\nWSGIApplicationGroup %{GLOBAL}");
    following(site)
}

fn pid(server: &Server) -> u32 {
    u32::try_from(server.get("/facts").json()["pid"].as_u64().unwrap()).unwrap()
}

wsgi_test!(signals_that_are_the_applications_reach_its_subscribers, groups, |site| {
    let server = shop(site, "threads=2");
    let worker = pid(&server);
    send(worker, Signal::SIGHUP);
    send(worker, Signal::SIGUSR2);
    for (name, number) in [("SIGHUP", 1), ("SIGUSR2", 12)] {
        let payload = format!("process_signal {{\"signame\": \"{name}\", \"signum\": {number}}}");
        server.wait_log(&format!("event {payload}"));
        server.wait_log(&format!("signal {payload}"));
    }
    assert_eq!(pid(&server), worker, "it goes on");
});

wsgi_test!(signals_come_in_each_interpreter, groups, |site| {
    let site = site.mount("/two", "api").conf("<Location /two>\nWSGIApplicationGroup two\n</Location>");
    let server = shop(site, "threads=2");
    let worker = pid(&server);
    server.get("/two/plain").ok();
    send(worker, Signal::SIGHUP);
    server.expect_log("event process_signal");
    until("both interpreters to say so", || {
        (server.log_text().matches("signal process_signal").count() == 2).then_some(())
    });
    server.expect_log("signal process_signal");
});

wsgi_test!(subscribing_to_signals_is_in_vain_in_a_child, embedded, |site| {
    let server = following(site);
    server.get("/plain").ok();
    assert!(server.log_text().contains("mod_wsgi.subscribe_signals() has no effect"));
    assert!(server.log_text().contains("app.wsgi"), "and where it was called");
});

wsgi_test!(the_reason_of_an_end_is_told, groups, |site| {
    let server = shop(site, "threads=2 maximum-requests=5");
    let said = |server: &Server, reason: &str| {
        server.wait_log(&format!("event process_stopping {{\"shutdown_reason\": \"{reason}\"}}"));
    };
    let first = pid(&server);
    until("maximum-requests", || (pid(&server) != first).then_some(()));
    said(&server, "maximum_requests");
    let second = pid(&server);
    send(second, Signal::SIGUSR1);
    said(&server, "graceful_signal");
    wait_end(second);
    let third = pid(&server);
    send(third, Signal::SIGTERM);
    said(&server, "shutdown_signal");
    wait_end(third);
});

wsgi_test!(a_changed_script_is_a_reason, groups, |site| {
    let server = shop(site, "threads=2");
    let first = pid(&server);
    let script = server.root.join("apps/api/app.wsgi");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    std::fs::File::options().append(true).open(script).unwrap().set_modified(later).unwrap();
    assert_ne!(pid(&server), first);
    server.wait_log("event process_stopping {\"shutdown_reason\": \"script_reload\"}");
    wait_end(first);
});

wsgi_test!(the_end_is_announced_before_requests_are_waited_for, groups, |site| {
    let server = shop(site, "threads=2");
    let worker = pid(&server);
    let waiting = thread::scope(|scope| {
        let waiting = scope.spawn(|| server.get("/wait").ok());
        until("the request to wait", || {
            server.get("/facts").json()["active_count"].as_u64().filter(|count| *count == 2)
        });
        send(worker, Signal::SIGTERM);
        waiting.join().unwrap()
    });
    assert_eq!(waiting, "told");
    wait_end(worker);
});

fn metrics(server: &Server) -> Value {
    server.get("/metrics").json()
}

const PHASES: [&str; 8] = [
    "server_time",
    "queue_time",
    "daemon_time",
    "application_time",
    "request_time",
    "gil_wait_time",
    "input_read_time",
    "output_write_time",
];

wsgi_test!(figures_are_there_once_they_are_asked_for, both_interpreters, |site| {
    let daemon = site.setting.mode.is_daemon();
    let server = site.app("api").start();
    assert_eq!(metrics(&server), json!({"request": null, "process": null, "server": null}));
    assert_eq!(server.get("/start").json(), json!([null, null, null]));
    metrics(&server);
    server.post("/read", "0123456789");
    // It may end after its answer is there.
    let mut seen = until("the request to be counted", || {
        Some(metrics(&server)).filter(|seen| seen["request"]["status_4xx"].as_u64().unwrap() >= 1)
    });
    let threads = if daemon { 4 } else { 8 };
    let request = seen["request"].take();
    let field = |name: &str| request.get(name).unwrap_or_else(|| panic!("no {name} in {request}"));
    let integers = [
        "pid",
        "memory_max_rss",
        "memory_rss",
        "request_threads_maximum",
        "request_threads_started",
        "request_threads_active",
        "request_count",
        "status_1xx",
        "status_2xx",
        "status_3xx",
        "status_4xx",
        "status_5xx",
        "input_bytes",
        "input_reads",
        "output_bytes",
        "output_writes",
        "gil_wait_count",
    ];
    let floats = [
        "start_time",
        "stop_time",
        "sample_period",
        "cpu_user_utilization",
        "cpu_system_utilization",
        "cpu_utilization",
        "cpu_user_time",
        "cpu_system_time",
        "cpu_time",
        "capacity_utilization",
        "request_throughput",
    ];
    let of_threads = ["busy_time", "cpu_time", "current_elapsed", "max_duration"];
    let mut names: Vec<String> = integers.iter().chain(&floats).map(|name| (*name).to_owned()).collect();
    integers.iter().for_each(|name| assert!(field(name).is_u64(), "{name} in {request}"));
    floats.iter().for_each(|name| assert!(field(name).is_f64(), "{name} in {request}"));
    for phase in PHASES {
        let embedded_only = !daemon && (phase == "queue_time" || phase == "daemon_time");
        assert_eq!(field(phase).is_null(), embedded_only, "{phase}");
        for extreme in ["min_us", "max_us"] {
            assert_eq!(field(&format!("{phase}_{extreme}")).is_null(), embedded_only, "{phase}_{extreme}");
            names.push(format!("{phase}_{extreme}"));
        }
        let buckets = field(&format!("{phase}_buckets")).as_array().unwrap();
        let samples: u64 = buckets.iter().map(|count| count.as_u64().unwrap()).sum();
        let requests = if embedded_only { 0 } else { field("request_count").as_u64().unwrap() };
        assert_eq!((buckets.len(), samples), (65, requests), "{phase}");
        names.extend([phase.to_owned(), format!("{phase}_buckets")]);
    }
    for list in ["completed", "buckets"].into_iter().chain(of_threads) {
        let name = format!("request_threads_{list}");
        assert_eq!(field(&name).as_array().unwrap().len(), threads, "{name}");
        names.push(name);
    }
    names.sort();
    let keys: Vec<&String> = request.as_object().unwrap().keys().collect();
    assert_eq!(keys, names.iter().collect::<Vec<_>>());
    assert_eq!(field("request_threads_maximum"), threads);
    assert!(field("status_4xx").as_u64() == Some(1) && field("input_bytes").as_u64() == Some(10), "{request}");
    assert!(
        field("memory_rss").as_u64().unwrap() > 1 << 20
            && field("memory_max_rss").as_u64() >= field("memory_rss").as_u64()
    );
    assert!(field("request_threads_active").as_u64().unwrap() >= 1, "the one that asks");
    assert_eq!(field("cpu_time"), field("cpu_utilization"));
    let elapsed: f64 =
        field("request_threads_current_elapsed").as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).sum();
    assert!(elapsed > 0.0);
    let process = seen["process"].as_object().unwrap();
    let mut keys: Vec<&str> = process.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "active_requests",
            "cpu_system_time",
            "cpu_time",
            "cpu_user_time",
            "current_time",
            "memory_max_rss",
            "memory_rss",
            "pid",
            "request_busy_time",
            "request_count",
            "request_threads",
            "restart_time",
            "running_time",
            "threads"
        ]
    );
    assert_eq!(process["pid"], *field("pid"));
    assert!(process["request_busy_time"].as_f64().unwrap() > 0.0);
    assert!(process["current_time"].as_f64() >= process["restart_time"].as_f64());
    let counts: u64 =
        process["threads"].as_array().unwrap().iter().map(|one| one["request_count"].as_u64().unwrap()).sum();
    let active = process["active_requests"].as_u64().unwrap();
    assert!(active >= 1, "the one that asks");
    assert_eq!(counts, process["request_count"].as_u64().unwrap() + active);
    assert!(process["threads"].as_array().unwrap().iter().all(|one| one["thread_id"].as_u64().unwrap() >= 1));
});

wsgi_test!(figures_hold_without_threads, embedded_every_mpm, |site| {
    let prefork = site.setting.mpm == Mpm::Prefork;
    let server = site.children(1).app("api").start();
    server.get("/start").ok();
    let seen = metrics(&server);
    let completed = seen["request"]["request_threads_completed"].as_array().unwrap();
    assert_eq!(completed.len(), if prefork { 1 } else { 8 });
    // Of the request that asked for them; it may end after its answer is there.
    let counted = |seen: &Value| {
        let completed = seen["request"]["request_threads_completed"].as_array().unwrap();
        completed.iter().map(|count| count.as_u64().unwrap()).sum::<u64>()
    };
    if counted(&seen) == 0 {
        until("a request to be counted", || Some(counted(&metrics(&server))).filter(|count| *count > 0));
    }
});

wsgi_test!(the_scoreboard_is_shown_where_it_is_allowed, |site| {
    let site = site.daemon("processes=1 threads=4 server-metrics=On");
    let server = site.app("api").children(2).conf("WSGIServerMetrics On").start();
    let seen = metrics(&server)["server"].take();
    let keys: Vec<&String> = seen.as_object().unwrap().keys().collect();
    let all = ["current_time", "processes", "restart_time", "running_generation", "running_time", "server_limit"];
    assert_eq!(keys, all.iter().chain(&["thread_limit"]).collect::<Vec<_>>());
    assert_eq!((&seen["server_limit"], &seen["thread_limit"]), (&json!(8), &json!(8)));
    let processes = seen["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 8);
    let process = processes.iter().find(|process| process["pid"] != 0).unwrap();
    assert!(server.children().iter().any(|child| process["pid"] == *child), "{process}");
    let keys: Vec<&String> = process.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["generation", "pid", "process_num", "quiescing", "workers"]);
    assert_eq!(process["quiescing"], false);
    let workers: Vec<&Value> = processes.iter().flat_map(|one| one["workers"].as_array().unwrap()).collect();
    assert_eq!(workers.len(), 64);
    let mut keys: Vec<&String> = workers[0].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "access_count",
            "bytes_served",
            "client",
            "generation",
            "last_used",
            "request",
            "start_time",
            "status",
            "stop_time",
            "thread_num",
            "vhost"
        ]
    );
    assert_eq!(workers.iter().filter(|worker| worker["status"] == "W").count(), 1, "the one that asks");
    assert!(workers.iter().any(|worker| worker["status"] == "_" || worker["status"] == "."));
});

wsgi_test!(records_of_logging_keep_their_level, both_interpreters, |site| {
    let server = site.app("api").conf("LogLevel debug").start();
    server.allow_log("Traceback");
    server.allow_log("  ");
    assert_eq!(server.get("/log").json()["formatted"], 1);
    for (number, level) in [(5, "debug"), (10, "debug"), (20, "info"), (30, "warn"), (40, "error"), (50, "crit")] {
        let line = until("the record", || {
            server.log().into_iter().find(|line| line.message.contains(&format!("level {number}")))
        });
        assert_eq!(line.level, level, "{number}");
        assert!(!line.message.contains("second line"), "{}", line.message);
        server.allow_log(&format!("level {number}"));
    }
    server.expect_log("second line");
    // What can't be formatted is reported as logging does.
    server.wait_log("--- Logging error ---");
    for text in ["TypeError", "Call stack", "Message:", "Arguments:", "real number", "Logging error"] {
        server.allow_log(text);
    }
});

wsgi_test!(records_below_the_level_of_the_log_are_not_even_formatted, |site| {
    let server = site.app("api").conf("LogLevel warn\n<Location /log>\nLogLevel error\n</Location>").start();
    for text in ["level 40", "level 50", "second line", "Logging error", "Traceback", "  ", "TypeError", "Call stack"] {
        server.allow_log(text);
    }
    for text in ["Message:", "Arguments:", "real number"] {
        server.allow_log(text);
    }
    assert_eq!(server.get("/log").json()["formatted"], 0);
    server.wait_log("level 50");
    assert!(!server.log_text().contains("level 30"), "the request's own level counts");
});

wsgi_test!(a_module_apache_of_the_application_is_the_base_of_ours, embedded, |site| {
    let site = site.file("lib/apache.py", "MARK = 'own'\nversion = 'own'\n").conf("WSGIPythonPath ${ROOT}/lib");
    let apache = site.app("api").start().get("/facts").json()["apache"].take();
    assert_eq!(apache["MARK"], "own");
    assert_eq!(apache["version"][0], 2);
});

wsgi_test!(a_module_apache_that_fails_is_said_and_replaced, embedded, |site| {
    let site = site.file("lib/apache.py", "raise ValueError('broken')\n").conf("WSGIPythonPath ${ROOT}/lib");
    let server = site.app("api").start();
    assert_eq!(server.get("/facts").json()["apache"]["mpm_name"], "event");
    for text in ["WSGI0540", "ValueError: broken"] {
        server.wait_log(text);
    }
    server.allow_log("Traceback");
    server.allow_log("  ");
});

wsgi_test!(requests_of_several_threads_are_active_at_once, |site| {
    let server = site.app("api").start();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| server.get("/wait").ok());
        until("both to be seen", || server.get("/facts").json()["active_count"].as_u64().filter(|count| *count == 2));
        server.get("/release").ok();
        assert_eq!(waiting.join().unwrap(), "told");
    });
    until("one to be left", || server.get("/facts").json()["active_count"].as_u64().filter(|count| *count == 1));
});
