//! Between child and worker: time limits and their status codes, sizes, bodies both ways.

use std::io::Write as _;
use std::process::Command;
use std::sync::mpsc;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{act, held, is_root, pid, release};
use crate::harness::process::{is_stopped, program, send};
use crate::harness::{Request, Server, Site, until, wsgi_test};

wsgi_test!(an_answer_that_does_not_come_is_a_504, groups, |site| {
    let server = act(site, "threads=2 socket-timeout=1").start();
    let (mut connection, first) = held(&server, "/hold", "one");
    assert_eq!(connection.response("GET").status, 504);
    let line = server.wait_log("WSGI0145").message;
    assert!(line.contains("\"shop\"") && line.ends_with("(request: GET \"/hold\")"), "{line}");
    assert_eq!(pid(&server), first, "the process is none the worse");
    release(&server, "one");
});

wsgi_test!(an_answer_that_stops_in_the_middle_is_cut_off, groups, |site| {
    let server = act(site, "threads=2 socket-timeout=1").start();
    let (mut connection, first) = held(&server, "/begun", "one");
    let response = connection.response("GET");
    assert_eq!((response.status, response.complete), (200, false));
    assert_eq!(response.text(), format!("{first} "));
    release(&server, "one");
    server.wait_log("shop");
});

wsgi_test!(the_servers_timeout_is_the_socket_timeout_if_there_is_none, groups, |site| {
    let server = act(site, "threads=2").conf("Timeout 1").expect_log("WSGI0145").start();
    let (mut connection, _) = held(&server, "/hold", "one");
    assert_eq!(connection.response("GET").status, 504);
    release(&server, "one");
});

wsgi_test!(a_request_that_waits_too_long_for_a_thread_is_a_504, groups, |site| {
    let server = act(site, "threads=1 queue-timeout=1").start();
    let (mut first, _) = held(&server, "/hold", "one");
    // The first is still held when the second is given up.
    assert_eq!(server.get("/hold?two").status, 504);
    let line = server.wait_log("WSGI0084").message;
    assert!(line.contains("\"shop\"") && line.ends_with("(request: GET \"/hold\")"), "{line}");
    release(&server, "one");
    first.response("GET").ok();
    pid(&server);
    assert!(!server.root.join("var/held-two").exists(), "the application was called for it");
});

wsgi_test!(requests_wait_for_a_thread_as_long_as_it_takes, groups, |site| {
    let server = act(site, "processes=2 threads=2").threads(40).start();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..30).map(|_| scope.spawn(|| server.get("/sleep?0.05").status)).collect();
        clients.into_iter().for_each(|client| assert_eq!(client.join().unwrap(), 200));
    });
});

wsgi_test!(a_process_that_takes_no_connection_is_a_503, groups, |site| {
    let server = act(site, "threads=12 listen-backlog=1 connect-timeout=1").threads(16).start();
    let first = pid(&server);
    send(first, Signal::SIGSTOP);
    until("it to stand still", || is_stopped(first).then_some(()));
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (server, tell) = (&server, tell.clone());
            scope.spawn(move || tell.send(server.get("/pid").status).unwrap());
        }
        // Those that have found a place wait; the first answer is of one that has not.
        assert_eq!(told.recv().unwrap(), 503);
        send(first, Signal::SIGCONT);
    });
    drop(tell);
    assert!(told.iter().all(|status| [200, 503].contains(&status)));
    let line = server.wait_log("WSGI0116");
    assert!(line.message.contains("shop"), "{}", line.message);
    assert_eq!(pid(&server), first);
});

wsgi_test!(a_header_that_is_too_long_is_a_500, groups, |site| {
    let setting = site.setting;
    for (options, passes, fails) in [("header-buffer-size=8192", 8000, 8300), ("", 32_000, 33_000)] {
        let server = act(Site::new("header", setting).unwrap(), options).start();
        let response = server.get(&format!("/header?{passes}"));
        assert_eq!((response.status, response.header("X-Long").map(str::len)), (200, Some(passes)), "{options}");
        assert_eq!(server.get(&format!("/header?{fails}")).status, 500, "{options}");
        let line = server.wait_log("WSGI0144");
        assert!(line.message.contains("shop"), "{}", line.message);
        assert_eq!(server.get("/pid").status, 200);
    }
});

/// Sends `one`, is held where `demo.steps` says so, sends `two`, is held again; then ends.
const PIECES: &str = "import os, time
def application(environ, start_response):
    var = environ['demo.var']
    def pieces():
        yield b'one'
        if 'demo.steps' in environ:
            wait('/next')
        yield b'two'
        wait('/go')
    def wait(name):
        while not os.path.exists(var + name):
            time.sleep(0.002)
    start_response('200 OK', [])
    return pieces()
";

wsgi_test!(pieces_wait_for_more_as_long_as_the_flush_delay, groups, |site| {
    let setting = site.setting;
    for (options, steps) in [("response-flush-delay=0", true), ("", true), ("response-flush-delay=1000", false)] {
        let site = Site::new("pieces", setting).unwrap().file("apps/s/app.wsgi", PIECES).group("shop", options);
        let site = site.conf("WSGIProcessGroup shop\nSetEnv demo.var ${ROOT}/var");
        let site = if steps { site.conf("SetEnv demo.steps 1") } else { site };
        let server = site.conf("WSGIScriptAlias / ${APPS}/s/app.wsgi").start();
        let mut connection = server.connect();
        connection.send_head(&Request::get("/"));
        // The application is held until they have come.
        let mut came = |what: &str| {
            until(what, || {
                let text = connection.gathered();
                text.contains(what).then(|| text.split_once("\r\n\r\n").unwrap().1.to_owned())
            })
        };
        if steps {
            assert_eq!(came("one"), "3\r\none\r\n", "{options}");
            server.root.write("var/next", "");
            assert_eq!(came("two"), "3\r\none\r\n3\r\ntwo\r\n", "{options}");
        } else {
            assert_eq!(came("two"), "6\r\nonetwo\r\n", "{options}");
        }
        server.root.write("var/go", "");
        assert!(connection.rest().ends_with("0\r\n\r\n"), "{options}");
    }
});

wsgi_test!(much_of_a_response_is_sent_after_the_buffer_size, groups, |site| {
    let script = PIECES.replace("b'one'", "b'1' * 50000").replace("b'two'", "b'2' * 50000 + b'two'");
    let options = "response-flush-delay=60000 response-buffer-size=65536";
    let site = site.file("apps/s/app.wsgi", script).group("shop", options);
    let site = site.conf("WSGIProcessGroup shop\nSetEnv demo.var ${ROOT}/var");
    // Else httpd itself writes out what is more than this.
    let site = site.conf("FlushMaxThreshold 10000000\nWSGIScriptAlias / ${APPS}/s/app.wsgi");
    let server = site.start();
    let mut connection = server.connect();
    connection.send_head(&Request::get("/"));
    until("all of it, before the delay is over", || connection.gathered().contains("two").then_some(()));
    server.root.write("var/go", "");
    assert!(connection.rest().ends_with("0\r\n\r\n"));
});

wsgi_test!(a_client_that_does_not_read_is_given_up, groups, |site| {
    let site = site.app("endless").group("shop", "response-socket-timeout=1");
    let server = site.conf("WSGIProcessGroup shop\nSetEnv demo.var ${ROOT}/var").start();
    let mut connection = server.connect();
    connection.send_head(&Request::get("/"));
    connection.peek();
    // The connection stays open, but nothing more is read.
    let seen = until("close() to be called", || Some(server.root.read("var/end")).filter(|text| !text.is_empty()));
    assert_eq!(seen, "closed 1");
    for number in ["WSGI0118", "WSGI0120"] {
        server.allow_log(number);
    }
});

wsgi_test!(large_bodies_both_ways_do_not_block_each_other, groups, |site| {
    let setting = site.setting;
    for options in
        ["", "send-buffer-size=4096 receive-buffer-size=4096 response-buffer-size=65536 response-flush-delay=0"]
    {
        let server = act(Site::new("both-ways", setting).unwrap(), options).start();
        let body = vec![b'u'; 5_000_000];
        let mut connection = server.connect();
        connection.send_head(&Request::post("/stream?5000000", &body));
        let mut sender = connection.sender();
        let response = std::thread::scope(|scope| {
            // httpd may close the connection before it has read what nobody wants.
            scope.spawn(move || drop(sender.write_all(&body)));
            connection.response("POST")
        });
        let seen = (response.status, response.complete, response.body.len());
        assert_eq!(seen, (200, true, 5_000_000), "{options}");
        assert_eq!(server.get("/pid").status, 200);
    }
});

wsgi_test!(the_memory_of_large_answers_is_given_back_where_nobody_asks_any_more, groups, |site| {
    const APP: &str = "\
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'x' * int(environ['QUERY_STRING'])]
";
    let site = site.file("apps/size/app.wsgi", APP).group("shop", "");
    let server = site.conf("WSGIProcessGroup shop\nWSGIScriptAlias / ${APPS}/size/app.wsgi").start();
    let shared = || {
        let maps = |child| std::fs::read_to_string(format!("/proc/{child}/maps")).unwrap();
        server.children().into_iter().map(|child| maps(child).matches("memfd:wsgi-words").count()).sum::<usize>()
    };
    server.get("/?1").ok();
    let before = shared();
    assert_eq!(server.get("/?500000").ok().len(), 500_000);
    assert_eq!(shared(), before + 1);
    until("the memory is given back", || (shared() == before).then_some(()));
    assert_eq!(server.get("/?500000").ok().len(), 500_000);
});

wsgi_test!(error_pages_can_be_httpds, groups, |site| {
    let site = site.group("shop", "").conf("WSGIProcessGroup shop").mount("/on", "scripted").mount("/off", "scripted");
    let site = site.file("htdocs/sorry.txt", "sorry").conf("Alias /sorry.txt ${ROOT}/htdocs/sorry.txt");
    let server = site.conf("ErrorDocument 404 /sorry.txt\n<Location /on>\n  WSGIErrorOverride On\n</Location>").start();
    for (path, status, text) in [
        ("/on", "404 Gone missing", "sorry"),
        ("/off", "404 Gone missing", "own"),
        ("/on", "200 OK", "own"),
        ("/on", "399 Odd", "own"),
    ] {
        let response = server.post(path, json!({"status": status, "items": ["own"]}).to_string());
        assert_eq!(
            (response.status.to_string().as_str(), response.text().as_str()),
            (&status[..3], text),
            "{path} {status}"
        );
    }
});

/// Answers the sizes of the buffers of its UNIX stream sockets.
const BUFFERS: &str = "import json, os, socket
def application(environ, start_response):
    found = []
    for name in os.listdir('/proc/self/fd'):
        try:
            with socket.socket(fileno=os.dup(int(name))) as s:
                if s.family == socket.AF_UNIX and s.type == socket.SOCK_STREAM and 'shop' not in str(s.getpeername()):
                    found.append([s.getsockopt(socket.SOL_SOCKET, o) for o in (socket.SO_SNDBUF, socket.SO_RCVBUF)])
        except OSError:
            pass
    body = json.dumps(found).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

/// The same of another process's sockets, from outside: argument 1 is its id.
const OTHER_BUFFERS: &str = "import ctypes, json, os, socket, sys
call, found = ctypes.CDLL(None, use_errno=True).syscall, []
process = os.pidfd_open(int(sys.argv[1]))
for name in os.listdir('/proc/%s/fd' % sys.argv[1]):
    copy = call(438, process, int(name), 0)
    if copy < 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    try:
        with socket.socket(fileno=copy) as s:
            if s.family == socket.AF_UNIX and s.type == socket.SOCK_STREAM:
                s.getpeername()
                found.append([s.getsockopt(socket.SOL_SOCKET, o) for o in (socket.SO_SNDBUF, socket.SO_RCVBUF)])
    except OSError:
        pass
print(json.dumps(found))
";

wsgi_test!(buffers_of_both_ends_have_the_sizes_asked_for, groups, |site| {
    let options = "threads=1 send-buffer-size=32768 receive-buffer-size=65536";
    let site = site.file("apps/s/app.wsgi", BUFFERS).group("shop", options);
    let server = site.conf("WSGIProcessGroup shop\nWSGIScriptAlias / ${APPS}/s/app.wsgi").start();
    // The kernel counts its own needs in and doubles what is asked for.
    let expected = json!([65536, 131_072]);
    let seen = server.get("/").json();
    assert!(seen.as_array().unwrap().contains(&expected), "the worker's end: {seen}");
    if !is_root() {
        return;
    }
    let httpd = program(server.parent());
    let children = server.children().into_iter().filter(|id| program(*id) == httpd);
    let mut seen = Vec::new();
    for child in children {
        let output = Command::new("python3").args(["-c", OTHER_BUFFERS, &child.to_string()]).output().unwrap();
        if !output.status.success() {
            eprintln!(
                "SKIPPED: this root may not look into other processes: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            return;
        }
        seen.extend(serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap());
    }
    assert!(seen.contains(&expected), "the child's end: {seen:?}");
});

fn lines(server: &Server, number: &str) -> usize {
    server.log().iter().filter(|line| line.message.contains(number)).count()
}

wsgi_test!(a_client_that_goes_while_it_waits_frees_its_place, groups, |site| {
    let server = act(site, "threads=1").start();
    let (held, first) = held(&server, "/hold", "one");
    drop(held);
    release(&server, "one");
    for _ in 0..20 {
        assert_eq!(pid(&server), first);
    }
    assert_eq!(lines(&server, "WSGI0174"), 0, "no error of the application");
});
