//! What applications say, and where it goes.

use crate::supervisor::start;

const APP: &str = r#"
import io, weakref
kept, seen = [], [lambda: None]

class Closing:
    """Says more than the log takes when its answer is out."""
    def __init__(self):
        self.items = iter([b"closing"])

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.items)

    def close(self):
        for _ in range(400):
            print("x" * 1000)

def application(environ, start_response):
    path, errors = environ["PATH_INFO"], environ["wsgi.errors"]
    start_response("200 OK", [])
    if path == "/closing":
        return Closing()
    if path == "/surrogate":
        raise ValueError("a lone \ud83d")
    if path == "/detach":
        errors.detach()
    elif path == "/detach-and-keep":
        kept.append(errors.detach())
    elif path == "/encoding":
        errors.reconfigure(encoding="utf-16")
    elif path == "/newline":
        errors.reconfigure(newline="\r\n")
    elif path == "/attribute":
        errors.mine = True
    elif path == "/buffer":
        kept.append(errors.buffer)
    elif path == "/unfinished":
        errors.write("unfinished")
    elif path == "/other":
        errors.__init__(io.BytesIO())
    elif path == "/closed":
        errors.close()
    elif path == "/":
        for one in kept:
            try:
                one.write(b"of another request\n")
            except RuntimeError:
                pass
        errors.write(f"a line {hasattr(errors, 'mine')}\n")
        return [b"the same" if seen[0]() is errors else b"another"]
    seen[0] = weakref.ref(errors)
    return [b"done"]
"#;

#[test]
fn a_log_that_takes_no_lines_keeps_no_other_request_waiting() {
    let Some(worker) = start(APP).options(|options| options.threads = Some(3)).ready() else { return };
    let (mut one, mut two) = (worker.connect(), worker.connect());
    // Requests are short: threads keep the interpreter from one to the next.
    for _ in 0..200 {
        assert_eq!(one.ask(&worker.get("/nothing")).text(), "done");
    }
    let unread = worker.leave_log();
    assert_eq!(one.ask(&worker.get("/closing")).text(), "closing");
    assert_eq!(two.ask(&worker.get("/nothing")).text(), "done");
    drop(unread);
    assert_eq!(one.ask(&worker.get("/nothing")).text(), "done");
}

#[test]
fn a_lone_surrogate_costs_no_line_of_a_traceback() {
    let Some(worker) = start(APP).ready() else { return };
    let answer = worker.connect().ask(&worker.get("/surrogate"));
    let last = answer.logs.last().map(|(_, line)| line.as_str());
    assert_eq!(last, Some(r"ValueError: a lone \ud83d"), "{:#?}", answer.logs);
}

#[test]
fn what_a_request_does_to_its_errors_is_its_own_business() {
    let (kept, changed) = (
        ["/nothing", "/unfinished"],
        ["/closed", "/detach", "/detach-and-keep", "/encoding", "/newline", "/attribute", "/buffer", "/other"],
    );
    for path in kept.into_iter().chain(changed) {
        let Some(worker) = start(APP).ready() else { return };
        let mut child = worker.connect();
        let stream = if kept.contains(&path) { "the same" } else { "another" };
        for _ in 0..2 {
            assert_eq!(child.ask(&worker.get(path)).text(), "done", "{path}");
            let answer = child.ask(&worker.get("/"));
            let lines: Vec<&str> = answer.logs.iter().map(|(_, line)| line.as_str()).collect();
            assert_eq!((answer.text().as_str(), lines), (stream, vec!["a line False"]), "{path}");
        }
    }
}
