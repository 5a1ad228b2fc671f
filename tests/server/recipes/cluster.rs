//! A cluster: an httpd in front of three that run the application. Under load one of them goes and comes back.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};

use nix::sys::signal::Signal;

use crate::daemon::restarts::Done;
use crate::harness::client::Connection;
use crate::harness::httpd::tree;
use crate::harness::process::{children_of, program, send, wait_end};
use crate::harness::{Request, Server, Setting, Site, until, wsgi_test};

const CLIENTS: usize = 6;

/// Answers which back end it is, and how it sees the client.
const APPLICATION: &str = "import time
def application(environ, start_response):
    if environ['PATH_INFO'] != '/health':
        time.sleep(0.01)
    environ['wsgi.input'].read()
    names = ['demo.name', 'HTTP_HOST', 'HTTP_X_FORWARDED_FOR', 'REQUEST_METHOD']
    body = ' '.join(environ.get(name, '-') for name in names).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

/// Where a back end listens, so that it can come back there: an address of the loopback network that no other test uses.
#[derive(Clone)]
struct Place {
    name: &'static str,
    address: String,
    port: u16,
}

impl Place {
    fn new(name: &'static str) -> Place {
        static NEXT: AtomicU16 = AtomicU16::new(20000);
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        let address = format!("127.{}.{middle}.{low}", 64 + high % 64);
        Place { name, address, port: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// Starts it: the example, in embedded mode without its lines about groups.
    fn start(&self, setting: Setting) -> Server {
        let Place { name, address, port } = self;
        let mut example = std::fs::read_to_string(tree().join("conf-examples/cluster-back-end.conf")).unwrap();
        if !setting.mode.is_daemon() {
            let lines = example.lines().filter(|line| {
                !["WSGIDaemonProcess", "WSGIProcessGroup"].iter().any(|start| line.trim_start().starts_with(start))
            });
            example = lines.map(|line| format!("{line}\n")).collect();
        }
        let site = Site::new(name, if setting.mode.is_daemon() { Setting::GROUPS } else { setting }).unwrap();
        let site = site.load(&["rewrite"]).file("site/shop.wsgi", APPLICATION).file("conf/example.conf", example);
        let site = site.conf(&format!("Listen {address}:{port}\nDefine PORT {port}\nSetEnv demo.name {name}"));
        let site = site.conf("Define SITE ${ROOT}/site\nDefine HOST shop.example\nDefine FRONT 127.0.0.1");
        site.threads(16).conf("Include conf/example.conf").start()
    }
}

fn front(places: &[Place]) -> Server {
    let mut site = Site::new("front", Setting::EMBEDDED).unwrap().threads(16);
    site = site.load(&["proxy", "proxy_http", "proxy_balancer", "lbmethod_byrequests", "slotmem_shm", "watchdog"]);
    site = site.load(&["proxy_hcheck", "headers"]);
    for (number, Place { address, port, .. }) in (1..).zip(places) {
        site = site.conf(&format!("Define BACK_END{number} {address}:{port}"));
    }
    let server = site
        .conf("Define HOST shop.example\nDefine INTERVAL 1")
        .conf("Include ${TREE}/conf-examples/cluster-front.conf")
        .start();
    // Connections that are refused, and those that end without an answer.
    for text in ["AH00957", "AH00959", "AH01114", "AH01102", "AH00898"] {
        server.allow_log(text);
    }
    server
}

/// What the clients of the front have got.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    /// How many requests of each client have ended.
    rounds: [AtomicUsize; CLIENTS],
    /// From whom answers came since this was emptied.
    names: Mutex<BTreeSet<String>>,
    /// Client, round and what it got in place of an answer.
    failed: Mutex<Vec<(usize, usize, String)>>,
}

impl Load {
    /// Asks the front again and again: GET and POST, on connections of their own and on one that is kept.
    fn client(&self, front: &Server, number: usize) {
        let mut connection = None;
        while !self.over.load(Ordering::Relaxed) {
            let round = self.rounds[number].load(Ordering::Relaxed);
            let method = if number.is_multiple_of(2) { "GET" } else { "POST" };
            let mut request = Request::new(method, "/x").header("Host", "shop.example");
            if method == "POST" {
                request = request.body("some");
            }
            if number < CLIENTS / 2 {
                request = request.keep_alive();
            }
            let mut open: Connection = connection.take().unwrap_or_else(|| front.connect());
            let response = open.ask_both_ways(&request);
            let text = response.as_ref().map(|response| response.text()).unwrap_or_default();
            match (text.split_once(' '), response) {
                (Some((name, rest)), Some(response)) if response.status == 200 => {
                    // One header of the front, whoever was tried before.
                    assert_eq!(rest, format!("shop.example 127.0.0.1 {method}"));
                    self.names.lock().unwrap().insert(name.to_owned());
                    connection = (response.header("Connection") != Some("close")).then_some(open);
                }
                (_, response) => {
                    let status = response.map_or("no answer".to_owned(), |response| response.status.to_string());
                    self.failed.lock().unwrap().push((number, round, format!("{method}: {status}")));
                }
            }
            self.rounds[number].store(round + 1, Ordering::Relaxed);
        }
    }

    /// Waits until every request that has begun by now has its answer.
    fn settle(&self) {
        let before = self.rounds.each_ref().map(|round| round.load(Ordering::Relaxed));
        until("every client's next answer", || {
            let done = self.rounds.iter().zip(before).all(|(round, before)| round.load(Ordering::Relaxed) > before);
            done.then_some(())
        });
    }

    /// Waits until these and no others answer.
    fn answered_by(&self, names: &[&str]) {
        until(&format!("answers of {names:?} only"), || {
            self.settle();
            self.names.lock().unwrap().clear();
            until("a few rounds", || {
                self.settle();
                (self.names.lock().unwrap().len() >= names.len()).then_some(())
            });
            let found = self.names.lock().unwrap();
            found.iter().eq(names).then_some(())
        });
    }
}

/// Does `work` while the clients ask; what they have got.
fn under_load(front: &Server, work: impl FnOnce(&Load)) -> Load {
    let load = Load::default();
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let load = &load;
            scope.spawn(move || load.client(front, number));
        }
        let guard = Done(&load.over);
        work(&load);
        drop(guard);
    });
    load
}

wsgi_test!(a_back_end_that_is_stopped_is_missed_by_nobody, |site| {
    let places = ["one", "two", "three"].map(Place::new);
    let mut back_ends = places.each_ref().map(|place| Some(place.start(site.setting)));
    let front = front(&places);
    let load = under_load(&front, |load| {
        load.answered_by(&["one", "three", "two"]);
        // As the example says.
        let two = back_ends[1].take().unwrap();
        two.root.write("site/leaving", "");
        until("the front to know", || front.log_text().contains("Health check DISABLING").then_some(()));
        load.answered_by(&["one", "three"]);
        stop(two);
        back_ends[1] = Some(places[1].start(site.setting));
        load.answered_by(&["one", "three", "two"]);
    });
    assert_eq!(load.failed.into_inner().unwrap(), []);
});

fn stop(server: Server) {
    server.signal(Signal::SIGWINCH);
    server.ended(true);
}

wsgi_test!(a_back_end_that_is_killed_costs_what_it_had_begun, |site| {
    let places = ["one", "two", "three"].map(Place::new);
    let mut back_ends = places.each_ref().map(|place| Some(place.start(site.setting)));
    let front = front(&places);
    let mut before = [0; CLIENTS];
    let load = under_load(&front, |load| {
        load.answered_by(&["one", "three", "two"]);
        kill(back_ends[1].take().unwrap());
        before = load.rounds.each_ref().map(|round| round.load(Ordering::Relaxed));
        load.answered_by(&["one", "three"]);
        back_ends[1] = Some(places[1].start(site.setting));
        load.answered_by(&["one", "three", "two"]);
    });
    let failed = load.failed.into_inner().unwrap();
    // One each at most: the one that was under way. Another that is sent in its place is answered by another back end.
    let others: Vec<_> = failed.iter().filter(|(number, round, _)| *round > before[*number]).collect();
    assert!(others.is_empty() && failed.len() <= CLIENTS, "{failed:?}");
});

/// Kills all processes of a back end at once, as far as that goes.
fn kill(server: Server) {
    // So that it replaces no child meanwhile.
    server.signal(Signal::SIGSTOP);
    let (parent, all) = (server.parent(), server.descendants());
    let httpd = program(parent);
    let own = children_of(parent).into_iter().filter(|id| program(*id) == httpd);
    for id in own.chain([parent]).collect::<Vec<_>>() {
        send(id, Signal::SIGKILL);
    }
    all.into_iter().for_each(wait_end);
    for text in ["pid", "WSGI014", "WSGI0411", "WSGI0419"] {
        server.allow_log(text);
    }
    server.ended(false);
}
