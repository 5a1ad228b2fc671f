//! Interpreters that have a GIL of their own.

use std::fs;
use std::os::unix::fs::FileExt as _;

use crate::child::Ask;
use crate::supervisor::{start, until};

/// Computes, and gives its GIL up never, until a byte of a file is set.
const APP: &str = r#"
import mmap, os, sys
def application(environ, start_response):
    if environ["PATH_INFO"] == "/spin":
        with open(os.path.join(os.path.dirname(__file__), "memory"), "r+b") as file:
            memory = mmap.mmap(file.fileno(), 2)
        sys.setswitchinterval(1000)
        memory[0] = 1
        while not memory[1]:
            pass
    start_response("200 OK", [])
    return [b"shared" if sys.version_info < (3, 12) else b"own"]
"#;

#[test]
fn requests_that_wait_for_one_interpreter_keep_none_from_another() {
    for (first, second) in [("one", "two"), ("one", ""), ("", "one")] {
        let mut starting = start(APP).options(|options| options.threads = Some(6));
        starting.files.push(("memory", "\0\0".to_owned()));
        starting.python.interpreters.all.per_interpreter_gil = Some(true);
        let Some(worker) = starting.ready() else { return };
        let ask = |path, group| Ask { group, ..worker.get(path) };
        let mut child = worker.connect();
        for group in [first, second] {
            if child.ask(&ask("/", group)).text() == "shared" {
                eprintln!("SKIPPED: this Python has one GIL for all interpreters");
                return;
            }
        }
        let (spin, other) = (ask("/spin", first), ask("/", first));
        let mut busy = worker.connect();
        busy.begin(&spin);
        until("the request to compute", || fs::read(worker.folder.join("memory")).unwrap()[0] == 1);
        let mut waiting: Vec<_> = (0..3).map(|_| worker.connect()).collect();
        waiting.iter_mut().for_each(|one| one.begin(&other));
        assert_eq!(child.ask(&ask("/", second)).text(), "own");
        let memory = fs::File::options().write(true).open(worker.folder.join("memory")).unwrap();
        memory.write_at(&[1], 1).unwrap();
        assert_eq!(busy.answer(&spin).text(), "own");
        waiting.iter_mut().for_each(|one| assert_eq!(one.answer(&other).text(), "own"));
    }
}
