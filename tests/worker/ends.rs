//! What Python's end must survive.

use std::fs;

use nix::sys::signal::Signal;

use crate::supervisor::{start, until};

/// A thread of the application that ends while the state of a thread of ours is cleared: destructors run Python code.
const LOCALS: &str = r#"
import os, threading, time
stop, done = threading.Event(), threading.Event()
thread = threading.Thread(target=stop.wait, daemon=True)
local = threading.local()

class Connection:
    """As one to a database, which is closed with its thread."""
    def __del__(self):
        stop.set()
        thread.join()
        while os.path.exists(f"/proc/self/task/{thread.native_id}"):
            time.sleep(0.001)
        os.write(2, b"the other thread is gone\n")

def application(environ, start_response):
    if environ["PATH_INFO"] == "/thread":
        thread.start()
        os.write(2, b"the other thread runs\n")
        done.wait()
    else:
        local.connection = Connection()
        done.set()
    start_response("200 OK", [])
    return [b"done"]
"#;

#[test]
fn a_thread_may_end_while_those_of_the_worker_are_cleared() {
    let mut starting = start(LOCALS).options(|options| options.threads = Some(2));
    // Memory that is freed is overwritten.
    starting.variables = vec![("PYTHONMALLOC", "debug")];
    let Some(mut worker) = starting.ready() else { return };
    let (mut one, mut two) = (worker.connect(), worker.connect());
    let ask = worker.get("/thread");
    one.begin(&ask);
    worker.logs("the other thread runs");
    // On the other thread of the worker, which gets its state behind that of the application's.
    assert_eq!(two.ask(&worker.get("/connection")).text(), "done");
    assert_eq!(one.answer(&ask).text(), "done");
    worker.drain(None);
    assert_eq!(worker.end(), 0);
    worker.logs("the other thread is gone");
}

/// Has C code call back when hardly anything of Python is left, by way of `PyGILState_Ensure`.
const CALLBACK: &str = r#"
import ctypes, os, sys
def callback(called):
    def compare(one, two):
        called.append(1)
        return 0
    return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(compare)

class Last:
    def __init__(self):
        called = []
        self.parts = ctypes.PyDLL(None), (ctypes.c_int * 2)(2, 1), callback(called), called, os.write

    def __del__(self):
        library, numbers, compare, called, write = self.parts
        library.qsort(numbers, 2, 4, compare)
        write(2, b"called back\n" if called else b"not called back\n")

sys.modules["last"] = Last()

def application(environ, start_response):
    start_response("200 OK", [])
    return [b"done"]
"#;

#[test]
fn c_code_calls_back_to_the_very_end() {
    let Some(mut worker) = start(CALLBACK).options(|options| options.threads = Some(2)).ready() else { return };
    assert_eq!(worker.connect().ask(&worker.get("/")).text(), "done");
    worker.drain(None);
    assert_eq!(worker.end(), 0);
    assert!(worker.log().iter().any(|line| line == "called back"), "{:#?}", worker.log());
}

/// Waits in each interpreter that is made while there is a file of that name.
const SLOWLY: &str = r#"
import os, time
here = os.path.dirname(__file__)
if os.path.exists(here + "/wait"):
    open(here + "/waiting", "w").close()
    while os.path.exists(here + "/wait"):
        time.sleep(0.002)
"#;

#[test]
fn the_end_does_not_overlook_an_interpreter_that_is_being_made() {
    let path = std::env::temp_dir().join(format!("wsgi-slowly-{}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("slowly.py"), SLOWLY).unwrap();
    fs::write(path.join("slowly.pth"), "import slowly\n").unwrap();
    let mut starting =
        start(LOCALS).options(|options| options.shutdown_timeout = Some(std::time::Duration::from_secs(1)));
    starting.python.interpreters.all.python_path = vec![path.clone().into_os_string().into_encoded_bytes()];
    let Some(mut worker) = starting.ready() else { return };
    fs::write(path.join("wait"), "").unwrap();
    let mut child = worker.connect();
    child.begin(&crate::child::Ask { group: "sub", ..worker.get("/") });
    until("the interpreter to be made", || path.join("waiting").exists());
    worker.signal(Signal::SIGTERM);
    let status = worker.end();
    fs::remove_dir_all(&path).unwrap();
    assert_eq!(status, 255, "{:#?}", worker.log());
}
