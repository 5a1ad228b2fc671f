//! The board: what is written there while requests are served, and by whom.

use std::fs;

use mod_wsgi::wire::End;
use mod_wsgi::wire::control::FromWorker;

use crate::supervisor::{start, until};

const APP: &str = r#"
import ctypes, os, time

def hold(name):
    folder = os.path.dirname(__file__)
    open(os.path.join(folder, "held-" + name), "w").close()
    while not os.path.exists(os.path.join(folder, "go-" + name)):
        time.sleep(0.002)

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fork":
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            hold("fork")
        else:
            # It comes back to the worker's code; when its only thread is over, so shall the process be.
            libc = ctypes.CDLL(None)
            libc.__cxa_atexit(libc._exit, None, None)
    elif path == "/file":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    elif path != "/":
        hold(path.strip("/"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"#;

fn held(worker: &crate::supervisor::Worker, name: &str) {
    until(name, || worker.folder.join(format!("held-{name}")).exists());
}

fn release(worker: &crate::supervisor::Worker, name: &str) {
    fs::write(worker.folder.join(format!("go-{name}")), "").unwrap();
}

#[test]
fn requests_are_named_while_they_run_and_counted_when_they_end() {
    let Some(worker) = start(APP).options(|options| options.threads = Some(2)).ready() else { return };
    assert_eq!((worker.running().as_str(), worker.counts().begun), ("", 0));
    let (mut one, mut two) = (worker.connect(), worker.connect());
    let (first, second) = (worker.get("/one"), crate::child::Ask { method: "POST", ..worker.get("/two") });
    one.begin(&first);
    held(&worker, "one");
    two.begin(&second);
    held(&worker, "two");
    let text = worker.running();
    let (older, newer) = text.split_once(", POST").unwrap();
    assert!(older.starts_with("GET /one (") && older.ends_with(" s, request of-httpd)"), "{text}");
    assert!(newer.starts_with(" /two (") && !text.contains("secret"), "{text}");
    let counts = worker.counts();
    assert_eq!((counts.begun, counts.finished), (2, 0));
    release(&worker, "one");
    assert_eq!(one.answer(&first).text(), "done");
    until("the end of the first", || worker.counts().finished == 1);
    assert!(worker.running().starts_with("POST /two ("));
    release(&worker, "two");
    assert_eq!(two.answer(&second).text(), "done");
    until("the end of the second", || worker.counts().finished == 2);
    let counts = worker.counts();
    assert_eq!((counts.begun, counts.times.iter().sum::<u32>(), worker.running().as_str()), (2, 2, ""));
}

#[test]
fn a_file_has_its_time_like_any_answer() {
    let Some(worker) = start(APP).ready() else { return };
    let answer = worker.connect().ask(&worker.get("/file"));
    assert_eq!((answer.pieces.as_slice(), answer.end), (&[0][..], Some(End::Complete)));
    until("the end", || worker.counts().finished == 1);
    assert_eq!(worker.counts().times.iter().sum::<u32>(), 1);
}

#[test]
fn a_mark_is_there_before_the_application_is_and_goes_with_the_connection() {
    let Some(worker) = start(APP).options(|options| options.threads = Some(1)).ready() else { return };
    let mut child = worker.connect();
    let number = child.number;
    until("a mark", || !worker.may_have_begun(number, 1));
    let ask = worker.get("/one");
    child.begin(&ask);
    held(&worker, "one");
    assert!(worker.may_have_begun(number, 1));
    // The only thread is busy: what is sent now is read by nobody.
    let mut waiting = worker.connect();
    until("a mark", || !worker.may_have_begun(waiting.number, 1));
    waiting.begin(&worker.get("/"));
    release(&worker, "one");
    assert_eq!(child.answer(&ask).end, Some(End::Complete));
    assert!(!worker.may_have_begun(number, 2));
    assert_eq!(waiting.answer(&worker.get("/")).end, Some(End::Complete));
    assert!(worker.may_have_begun(waiting.number, 1));
    drop(child);
    until("the end of the mark", || worker.may_have_begun(number, 2));
}

#[test]
fn a_process_that_an_application_forks_writes_nothing() {
    let Some(worker) = start(APP).ready() else { return };
    let mut child = worker.connect();
    let ask = worker.get("/fork");
    child.begin(&ask);
    held(&worker, "fork");
    assert!(worker.running().starts_with("GET /fork ("), "{}", worker.running());
    assert_eq!((worker.counts().begun, worker.counts().finished), (1, 0));
    release(&worker, "fork");
    assert_eq!(child.answer(&ask).text(), "done");
    until("the end", || worker.counts().finished == 1);
    // Its pipe to the supervisor is /dev/null as well: of the two that served the script one is heard.
    worker.drain(Some(0));
    let heard: Vec<_> = std::iter::from_fn(|| worker.hear()).collect();
    let served = heard.iter().filter(|message| matches!(message, FromWorker::Served { .. })).count();
    assert_eq!(served, 1, "{heard:?}");
}

#[test]
fn a_worker_has_no_more_of_the_board_than_its_seat() {
    let Some(worker) = start(APP).ready() else { return };
    let process = format!("/proc/{}", worker.pid());
    let maps = fs::read_to_string(format!("{process}/maps")).unwrap();
    let shared: Vec<&str> = maps.lines().filter(|line| line.contains("memfd:wsgi-words")).collect();
    let [line] = shared[..] else { panic!("{shared:?}") };
    let (range, rest) = line.split_once(' ').unwrap();
    let (first, end) = range.split_once('-').unwrap();
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
    assert!(number(end) - number(first) <= 64 * 1024, "{line}");
    let offset = number(rest.split(' ').nth(1).unwrap());
    assert!(offset > 0 && offset % (64 * 1024) == 0, "{line}");
    let open = fs::read_dir(format!("{process}/fd")).unwrap().flatten();
    let links: Vec<_> = open.filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
    assert!(!links.iter().any(|link| link.to_string_lossy().contains("memfd:wsgi-words")), "{links:?}");
}
