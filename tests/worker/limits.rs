//! Timers and limits of a group, in a real process; their arithmetic is tested in `supervise::worker`.

use std::time::{Duration, Instant};

use mod_wsgi::wire::End;
use mod_wsgi::wire::control::{FromWorker, Reason};
use nix::sys::signal::Signal;

use crate::child::Ask;
use crate::supervisor::start;

const APP: &str = r#"
import time, atexit, threading
atexit.register(lambda: print("exit functions ran"))
hoard = []
def application(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [])
    if path == "/sleep":
        for _ in range(80):
            time.sleep(0.1)
    if path == "/short":
        time.sleep(0.8)
    if path == "/stuck":
        time.sleep(30)
    if path == "/spin":
        while True:
            pass
    if path == "/late":
        def late():
            yield b"begun"
            while True:
                time.sleep(0.05)
        return late()
    if path == "/hoard":
        hoard.append(bytearray(80 << 20))
    if path == "/gil":
        import ctypes
        ctypes.PyDLL(None).sleep(30)
    return [b"done"]
"#;

const fn secs(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn the_maximum_of_requests_asks_for_a_successor_and_serves_on() {
    let Some(mut worker) = start(APP).options(|options| options.maximum_requests = Some(3)).ready() else { return };
    let mut child = worker.connect();
    for _ in 0..3 {
        assert_eq!(child.ask(&worker.get("/")).text(), "done");
    }
    worker.expect_replace(Reason::MaximumRequests);
    for _ in 0..5 {
        assert_eq!(child.ask(&worker.get("/")).text(), "done");
    }
    worker.expect_silence(Duration::from_millis(200));
    worker.drain(None);
    assert!(child.is_closed_silently());
    assert_eq!(worker.end(), 0);
    worker.logs("exit functions ran");
}

#[test]
fn memory_and_age_ask_for_a_successor() {
    let starting = start(APP).options(|options| options.maximum_memory = Some(70 << 20));
    let Some(worker) = starting.ready() else { return };
    let mut child = worker.connect();
    assert_eq!(child.ask(&worker.get("/")).text(), "done");
    worker.hear();
    worker.expect_silence(Duration::from_millis(1500));
    assert_eq!(child.ask(&worker.get("/hoard")).text(), "done");
    let said = worker.hear_of_life();
    let young =
        matches!(said, Some(FromWorker::Outgrown { limit: 73_400_320, used, age }) if used > 80 << 20 && age < 30_000);
    assert!(young, "{said:?}");
    worker.expect_replace(Reason::MaximumMemory);

    // What loading takes alone is no reason: a successor would have as much.
    let Some(worker) = start(APP).options(|options| options.maximum_memory = Some(512)).ready() else { return };
    worker.expect_silence(Duration::from_millis(1500));
    assert_eq!(worker.connect().ask(&worker.get("/")).text(), "done");
    assert!(matches!(worker.hear_of_life(), Some(FromWorker::Outgrown { limit: 512, .. })));
    worker.expect_replace(Reason::MaximumMemory);

    let Some(worker) = start(APP).options(|options| options.restart_interval = secs(1)).ready() else { return };
    worker.expect_replace(Reason::RestartInterval);
    assert_eq!(worker.connect().ask(&worker.get("/")).text(), "done");
}

#[test]
fn a_request_that_takes_too_long_is_interrupted() {
    let starting = start(APP).options(|options| {
        options.request_timeout = secs(1);
        options.interrupt_timeout = secs(5);
        options.deadlock_timeout = Some(Duration::ZERO);
    });
    let Some(worker) = starting.ready() else { return };
    let mut child = worker.connect();
    for path in ["/sleep", "/spin"] {
        let begin = Instant::now();
        let answer = child.ask(&worker.get(path));
        assert_eq!(answer.end, Some(End::Status(504)), "{path} {answer:?}");
        assert!((1..4).contains(&begin.elapsed().as_secs()));
        assert!(answer.logs.iter().any(|(level, line)| *level == 4 && line.contains("WSGI0400")), "{answer:?}");
        assert!(answer.logs.iter().any(|(level, line)| *level == 6 && line.contains("RequestTimeout")), "{answer:?}");
    }
    worker.logs("6|thread ");
    worker.logs("4|WSGI0432: request-timeout: RequestTimeout is raised in the thread which serves GET /spin (");
    let answer = child.ask(&worker.get("/late"));
    assert_eq!((answer.text().as_str(), answer.end), ("begun", Some(End::Aborted)));
    assert_eq!(child.ask(&worker.get("/")).text(), "done", "the process goes on");
    worker.hear();
    worker.expect_silence(Duration::from_millis(200));
}

#[test]
fn a_request_that_can_not_be_interrupted_ends_the_process() {
    let starting = start(APP).options(|options| {
        options.threads = Some(2);
        options.request_timeout = Some(Duration::from_millis(600));
        options.shutdown_timeout = secs(1);
    });
    let Some(mut worker) = starting.ready() else { return };
    let (mut stuck, mut other) = (worker.connect(), worker.connect());
    assert_eq!(other.ask(&worker.get("/")).text(), "done");
    stuck.begin(&worker.get("/stuck"));
    std::thread::sleep(Duration::from_millis(600));
    let ask = worker.get("/short");
    other.begin(&ask);
    worker.expect_leaving(Reason::RequestTimeout);
    assert_eq!(other.answer(&ask).text(), "done", "requests that run may finish");
    worker.logs("time.sleep(30)");
    assert_eq!(worker.end(), 255);
    worker.logs("WSGI0411");
}

#[test]
fn nothing_happening_ends_the_process() {
    let Some(mut worker) = start(APP).options(|options| options.inactivity_timeout = secs(1)).ready() else { return };
    worker.expect_silence(Duration::from_millis(1500));
    let mut child = worker.connect();
    assert_eq!(child.ask(&Ask { ignore_activity: true, ..worker.get("/") }).text(), "done");
    worker.hear();
    worker.expect_silence(Duration::from_millis(1500));
    for _ in 0..3 {
        assert_eq!(child.ask(&worker.get("/short")).text(), "done");
    }
    worker.expect_leaving(Reason::InactivityTimeout);
    assert_eq!(worker.end(), 0);
}

#[test]
fn a_script_that_can_not_be_loaded_in_time_ends_the_process() {
    let starting = start("raise ValueError('never')").options(|options| options.startup_timeout = secs(1));
    let Some(mut worker) = starting.ready() else { return };
    let mut child = worker.connect();
    assert_eq!(child.ask(&worker.get("/")).end, Some(End::Status(500)));
    worker.expect_leaving(Reason::StartupTimeout);
    assert_eq!(worker.end(), 0);

    let Some(worker) = start(APP).options(|options| options.startup_timeout = secs(1)).ready() else { return };
    assert_eq!(worker.connect().ask(&worker.get("/")).end, Some(End::Complete));
    worker.hear();
    worker.expect_silence(Duration::from_millis(1500));
}

#[test]
fn a_lock_that_nobody_gets_ends_the_process() {
    let starting = start(APP).options(|options| {
        options.deadlock_timeout = secs(2);
        options.shutdown_timeout = secs(1);
    });
    let Some(mut worker) = starting.ready() else { return };
    worker.expect_silence(Duration::from_millis(2500));
    let mut child = worker.connect();
    child.begin(&worker.get("/gil"));
    let begin = Instant::now();
    worker.expect_leaving(Reason::DeadlockTimeout);
    assert_eq!(worker.end(), 255);
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    assert!(child.is_cut_off());
}

#[test]
fn processor_time_is_limited() {
    let starting = start(APP).options(|options| {
        options.cpu_time_limit = secs(1);
        options.shutdown_timeout = secs(1);
        options.graceful_timeout = secs(1);
    });
    let Some(mut worker) = starting.ready() else { return };
    worker.connect().begin(&worker.get("/spin"));
    worker.expect_leaving(Reason::CpuTimeLimit);
    assert!([255, -(Signal::SIGKILL as i32)].contains(&worker.end()));
}

#[test]
fn too_little_memory_for_the_threads_is_told_with_its_remedy() {
    // Not one stack fits, and all else does: with little left, whatever else needs memory may be what fails.
    for (memory, space) in [(Some(200 << 20), None), (None, Some(1 << 30))] {
        let starting = start(APP).options(|options| {
            (options.threads, options.stack_size) = (Some(50), Some(1 << 30));
            (options.memory_limit, options.virtual_memory_limit) = (memory, space);
        });
        let Some(worker) = starting.run() else { return };
        let Some(FromWorker::Unfit { cause }) = worker.hear_of_life() else { panic!("{:#?}", worker.log()) };
        let begin = "WSGI0407: the worker can't serve: threads can't be started (50 with stacks of 1024 MiB): ";
        assert!(cause.starts_with(begin), "{cause}");
        let option = if memory.is_some() { "memory-limit" } else { "virtual-memory-limit" };
        let end = format!("; raise {option}, or have fewer threads or a smaller stack-size");
        assert!(cause.ends_with(&end), "{cause}");
    }
}

#[test]
fn memory_is_limited_by_the_system() {
    let Some(worker) = start(APP).options(|options| options.memory_limit = Some(60 << 20)).ready() else { return };
    let answer = worker.connect().ask(&worker.get("/hoard"));
    assert_eq!(answer.end, Some(End::Status(500)));
    assert!(answer.logs.iter().any(|(_, line)| line.contains("MemoryError")), "{answer:?}");
}
