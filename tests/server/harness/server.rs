//! A running httpd: asking it, reading its logs, restarting and ending it.

use std::fs;
use std::process::Child;
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::client::{Connection, Request, Response};
use super::folder::Folder;
use super::log::{Line, complaints};
use super::process::{children_of, command_line, descendants_of, is_alive, send, threads_sleep};
use super::wait::{DEADLINE, until, within};

/// What each MPM says when it begins to serve, at start and after every restart.
pub(super) const SERVING: &str = "resuming normal operations";

/// httpd's parent process: a child of the test's, or of nobody's, by its id.
pub(crate) enum Parent {
    Own(Child),
    Other(u32),
}

impl Parent {
    fn id(&self) -> u32 {
        match self {
            Parent::Own(child) => child.id(),
            Parent::Other(id) => *id,
        }
    }

    fn has_ended(&mut self) -> bool {
        match self {
            Parent::Own(child) => child.try_wait().unwrap().is_some(),
            Parent::Other(id) => !is_alive(*id),
        }
    }
}

/// An httpd that serves, until dropped; then the log gate judges.
pub(crate) struct Server {
    httpd: Parent,
    pub(crate) root: Folder,
    pub(crate) port: u16,
    announced: Mutex<Vec<String>>,
    allowed: Mutex<Vec<String>>,
    logs: Mutex<Vec<String>>,
}

impl Server {
    /// Waits until a just started httpd serves, as it says or as `serves` sees; what it wrote if it ended instead.
    pub(crate) fn wait_for(mut child: Child, root: &Folder, serves: impl Fn() -> bool) -> Result<Child, String> {
        let served = within(DEADLINE, || {
            if root.read("logs/error.log").contains(SERVING) || serves() {
                return Some(true);
            }
            child.try_wait().unwrap().map(|_| false)
        });
        if served.is_none() {
            send(child.id(), Signal::SIGTERM);
        }
        if served == Some(true) {
            Ok(child)
        } else {
            Err(format!("{}{}", root.read("logs/stderr"), root.read("logs/error.log")))
        }
    }

    pub(crate) fn new(httpd: Parent, root: Folder, port: u16, announced: Vec<String>) -> Server {
        let logs = vec!["logs/stderr".to_owned(), "logs/error.log".to_owned()];
        Server {
            httpd,
            root,
            port,
            announced: Mutex::new(announced),
            allowed: Mutex::default(),
            logs: Mutex::new(logs),
        }
    }

    /// Opens a connection.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.port)
    }

    /// Sends one request on a connection of its own.
    pub(crate) fn ask(&self, request: &Request) -> Response {
        self.connect().ask(request)
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.ask(&Request::get(target))
    }

    pub(crate) fn post(&self, target: &str, body: impl AsRef<[u8]>) -> Response {
        self.ask(&Request::post(target, body))
    }

    /// Announces a line of level warn or worse by a part of it; it must be in the log at the end.
    pub(crate) fn expect_log(&self, text: &str) {
        self.announced.lock().unwrap().push(text.to_owned());
    }

    /// Announces a line that may or may not come.
    pub(crate) fn allow_log(&self, text: &str) {
        self.allowed.lock().unwrap().push(text.to_owned());
    }

    /// Waits for a line with this part in the main error log, and announces it.
    pub(crate) fn wait_log(&self, text: &str) -> Line {
        self.expect_log(text);
        until(&format!("a log line with {text:?}"), || self.log().into_iter().find(|line| line.message.contains(text)))
    }

    /// Makes another error log of this site (below its root) pass the gate, too.
    pub(crate) fn gate_also(&self, path: &str) {
        self.logs.lock().unwrap().push(path.to_owned());
    }

    /// The main error log so far.
    pub(crate) fn log(&self) -> Vec<Line> {
        self.log_at("logs/error.log")
    }

    pub(crate) fn log_at(&self, path: &str) -> Vec<Line> {
        self.root.read(path).lines().map(Line::parse).collect()
    }

    /// The messages of the main error log, one per line.
    pub(crate) fn log_text(&self) -> String {
        self.log().into_iter().map(|line| line.message + "\n").collect()
    }

    /// httpd's parent process.
    pub(crate) fn parent(&self) -> u32 {
        self.httpd.id()
    }

    /// The direct children of httpd's parent at this moment: its own, and those that look after daemon processes.
    pub(crate) fn children(&self) -> Vec<u32> {
        children_of(self.parent())
    }

    /// Every process below httpd's parent at this moment.
    pub(crate) fn descendants(&self) -> Vec<u32> {
        descendants_of(self.parent())
    }

    /// Sends a signal to httpd's parent.
    pub(crate) fn signal(&self, signal: Signal) {
        assert!(send(self.parent(), signal), "httpd has ended");
    }

    /// `apachectl graceful`, and waits until the new configuration serves.
    pub(crate) fn graceful(&self) {
        self.again(Signal::SIGUSR1);
    }

    /// `apachectl restart`, and waits until the new configuration serves.
    pub(crate) fn restart(&self) {
        self.again(Signal::SIGHUP);
    }

    fn again(&self, signal: Signal) {
        let before = fs::metadata(self.root.join("logs/error.log")).map_or(0, |file| file.len());
        if signal == Signal::SIGHUP {
            self.settle();
        }
        self.signal(signal);
        until("httpd to serve again", || self.root.read_from("logs/error.log", before).contains(SERVING).then_some(()));
    }

    /// Waits until an httpd that was told to end, with requests in flight, has ended. `may_crash`: under the event MPM,
    /// for the reason of `settle`.
    pub(crate) fn ended(mut self, may_crash: bool) {
        until("the end of httpd", || self.httpd.has_ended().then_some(()));
        if may_crash && self.log_text().contains("exit signal Segmentation fault") {
            self.expect_log("exit signal Segmentation fault");
        }
    }

    /// `apachectl stop`; then `look` sees what is left, and the gate judges.
    pub(crate) fn stop(mut self, look: impl FnOnce(&Folder)) {
        let left = self.end();
        assert!(left.is_empty(), "{left:?}");
        look(&self.root);
    }

    /// Waits a while until no connection is open and no thread runs. The event MPM, told to stop while a thread of it is
    /// closing a connection, may use the socket after that thread has freed it: httpd's crash, which would be taken for
    /// one of ours.
    fn settle(&self) {
        let port = format!("0100007F:{:04X}", self.port);
        within(Duration::from_secs(2), || {
            let sockets = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
            let open = sockets.lines().any(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                fields.get(1) == Some(&port.as_str()) && fields[3] != LISTENING && fields[9] != "0"
            });
            let busy = self.children().into_iter().any(|child| !threads_sleep(child));
            (!open && !busy).then_some(())
        });
    }

    /// Ends httpd if it still runs: TERM, then KILL for it and its children, by pid. What is wrong afterwards.
    fn end(&mut self) -> Vec<String> {
        let mut wrong = Vec::new();
        if !self.httpd.has_ended() {
            self.settle();
            let all = self.descendants();
            self.signal(Signal::SIGTERM);
            if within(Duration::from_secs(30), || self.httpd.has_ended().then_some(())).is_none() {
                wrong.push("httpd did not end within 30 s after SIGTERM and was killed".to_owned());
                // It may have ended by itself meanwhile.
                send(self.parent(), Signal::SIGKILL);
                until("its end", || self.httpd.has_ended().then_some(()));
            }
            wrong.extend(left(&all));
        }
        let sockets = fs::read_dir(self.root.join("run")).into_iter().flatten().flatten();
        let names = sockets.map(|entry| entry.file_name().to_string_lossy().into_owned());
        wrong.extend(names.filter(|name| name.ends_with(".sock")).map(|name| format!("left in run/: {name}")));
        wrong
    }
}

/// Kills what lives on after its httpd; one sentence for each.
fn left(all: &[u32]) -> Vec<String> {
    let gone = within(Duration::from_secs(5), || all.iter().all(|id| !is_alive(*id)).then_some(()));
    if gone.is_some() {
        return Vec::new();
    }
    let alive = all.iter().filter(|id| is_alive(**id));
    let report = |id: &u32| {
        let name = command_line(*id);
        send(*id, Signal::SIGKILL);
        format!("process {id} ({name}) outlived httpd and was killed")
    };
    alive.map(report).collect()
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.end();
        if std::thread::panicking() {
            eprintln!("---- the end of the error log\n{}", tail(&self.root.read("logs/error.log")));
            return;
        }
        let lines: Vec<Line> = self.logs.lock().unwrap().iter().flat_map(|path| self.log_at(path)).collect();
        let mut found = complaints(&lines, &self.announced.lock().unwrap(), &self.allowed.lock().unwrap());
        found.extend(ended);
        assert!(found.is_empty(), "the log gate:\n  {}", found.join("\n  "));
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// The state in /proc/net/tcp of a socket that listens.
const LISTENING: &str = "0A";
