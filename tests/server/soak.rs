//! Everything at once: graceful restarts under load, processes killed, stopped and told to go, scripts touched, slow and
//! vanishing clients, more of them than there are threads. Every answer is accounted for, and nothing grows.
//!
//! A few seconds long in `make test`; `make soak` sets `SOAK` to the number of restarts. `SOAK_SEED` asks for the random
//! numbers of an earlier run (what happens when is the machine's affair all the same).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::harness::{Mpm, Server, Site, until, wsgi_test};

use chaos::Chaos;
use client::{Client, Record, block};
use held::Held;
use ledger::{Ledger, Tally};

// What is done to the processes.
mod chaos;
// What clients ask for, and what they make of the answers.
mod client;
// What processes hold that must not grow.
mod held;
// Which request may have failed, and why.
mod ledger;

const CLIENTS: u64 = 32;
/// Of each process of both groups.
const THREADS: usize = 3;
const WORKERS: usize = 4;
const CHILDREN: usize = 2;

/// How much is done. The processes are left in peace after each phase, so that they can be compared.
struct Extent {
    phases: usize,
    restarts: usize,
}

impl Extent {
    fn of(mpm: Mpm) -> Option<Extent> {
        let asked = std::env::var("SOAK").ok().map(|text| text.parse::<usize>().unwrap());
        match (asked, mpm) {
            (Some(all), Mpm::Event) => Some(Extent { phases: 12, restarts: all.div_ceil(12) }),
            (Some(all), _) => Some(Extent { phases: 3, restarts: all.div_ceil(30) }),
            (None, Mpm::Event) => Some(Extent { phases: 2, restarts: 4 }),
            (None, _) => None,
        }
    }
}

/// SplitMix64: good enough for dice, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ (number >> 31)) % sides
    }
}

fn seed() -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    std::env::var("SOAK_SEED").map_or_else(|_| now(), |text| text.parse().unwrap())
}

fn site(site: Site) -> Site {
    let file: Vec<u8> = (0..48).flat_map(|place| block(0, place)).collect();
    // The embedded application is the daemons' one.
    let site = site.expect_log("WSGI0581");
    let site = site.files("soak").file("var/begun", "").file("var/file", file).children(2).threads(12);
    site.root.chmod("var/begun", 0o666);
    // More clients than threads, and a short queue, so that it is full; children that finish need room beside the new ones.
    let prefork = site.setting.mpm == Mpm::Prefork;
    let limit = if prefork { "MaxRequestWorkers 24\nServerLimit 100" } else { "ServerLimit 24" };
    let usual = format!("threads={THREADS} connect-timeout=60 graceful-timeout=60");
    site.group("one", &format!("processes=2 listen-backlog=2 {usual}"))
        .group("two", &format!("processes=2 maximum-requests=300 queue-timeout=60 {usual}"))
        .conf(&format!("{limit}\nSendBufferSize 65536\nSetEnv demo.var ${{ROOT}}/var"))
        // The event MPM of 2.4.71 may cut off what it still has to write when a restart comes (one in 5,000 large static
        // files, without this module). So nothing is left to it, and files go through memory.
        .load(&["buffer"])
        .conf("FlushMaxThreshold 1\n<LocationMatch /file/>\n  SetOutputFilter BUFFER\n</LocationMatch>")
        .conf("WSGIScriptAlias /one ${APPS}/soak/app.wsgi process-group=one")
        .conf("WSGIScriptAlias /two ${APPS}/soak/app.wsgi process-group=two application-group=%{GLOBAL}")
        .conf("WSGIScriptAlias /here ${APPS}/soak/app.wsgi")
}

wsgi_test!(soak_with_everything_at_once_loses_nothing, groups_every_mpm, |given| {
    let mpm = given.setting.mpm;
    let Some(extent) = Extent::of(mpm) else { return };
    let seed = seed();
    eprintln!("{} restarts, SOAK_SEED={seed}", extent.phases * extent.restarts);
    let server = site(given).start();
    let (numbers, mut ledger, mut dice) = (AtomicU64::new(1), Ledger::default(), Dice(seed));
    let mut chaos = Chaos::new(&server, Dice(dice.roll(u64::MAX)));
    let (mut table, mut first) = (vec![Tally::TITLE.to_owned() + Held::TITLE], None);
    for phase in 0..extent.phases {
        // Memory of one that has only begun can't be compared, so the supervisor dies in the first third only.
        chaos.supervisors = phase * 3 < extent.phases;
        // httpd takes ten seconds to stop when it has lost count of them.
        chaos.children = extent.phases > 2;
        let mut records = under_load(&server, &numbers, &mut dice, |done| chaos.rage(extent.restarts, done));
        let strays = chaos.kill_strays();
        // prefork has as many children as it likes.
        let lost = chaos.has_killed_children() || mpm == Mpm::Prefork;
        assert!(strays == 0 || lost, "{strays} children of httpd do not end");
        Held::when_all_is_calm(&server, lost);
        records.extend(all_places(&server, &numbers));
        chaos.wait_for_orphans();
        let now = Held::when_all_is_calm(&server, lost);
        let next = numbers.load(Ordering::Relaxed);
        let tally = ledger.judge(records, next, &chaos.kills, &server.root.read("var/begun"));
        chaos.kills.clear();
        table.push(format!("{:8} {tally}{strays:4}{now}", (phase + 1) * extent.restarts));
        eprintln!("{}\n{}", table[0], table[phase + 1]);
        assert!(ledger.complaints.is_empty(), "SOAK_SEED={seed}:\n  {}", ledger.complaints.join("\n  "));
        if (phase + 1) * 3 >= extent.phases {
            now.assert_flat(first.get_or_insert_with(|| now.clone()));
        }
    }
    eprintln!("{mpm:?}, SOAK_SEED={seed}\n{}\n{}", table.join("\n"), ledger.sum());
    let root = server.root.path().display().to_string();
    server.stop(|_| {
        let left: Vec<String> = held::unix_sockets(&root);
        assert!(left.is_empty(), "{left:?}");
    });
});

/// Clients ask for one thing after the other while `work` is done, each time on a connection of its own: one that httpd
/// keeps open it may close at any time.
fn under_load(server: &Server, numbers: &AtomicU64, dice: &mut Dice, work: impl FnOnce(&AtomicBool)) -> Vec<Record> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let mut client = Client { server, numbers, dice: Dice(dice.roll(u64::MAX)) };
                let done = &done;
                scope.spawn(move || {
                    let mut records = Vec::new();
                    while !done.load(Ordering::Relaxed) {
                        records.push(client.ask());
                    }
                    records
                })
            })
            .collect();
        let guard = Done(&done);
        work(&done);
        drop(guard);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// Ends the load, also where the work panics.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// As many requests at the same time as the group has threads: no place is still counted as taken by somebody who died.
/// Of the group with `queue-timeout`, in which no request waits at one worker while another has a thread for it.
fn all_places(server: &Server, numbers: &AtomicU64) -> Vec<Record> {
    let go = server.root.join("var/go");
    let records = std::thread::scope(|scope| {
        let hold = |_| {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            (number, scope.spawn(move || client::hold(server, "/two", number)))
        };
        let (held, threads): (Vec<_>, Vec<_>) = (0..2 * THREADS).map(hold).unzip();
        until("as many requests as there are threads to be begun", || {
            let begun = server.root.read("var/begun");
            held.iter().all(|number| begun.contains(&format!("\n{number} "))).then_some(())
        });
        server.root.write("var/go", "");
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    std::fs::remove_file(go).unwrap();
    records
}

/// A time in which something was done.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Instant,
    to: Instant,
}

impl Span {
    fn of(work: impl FnOnce()) -> Span {
        let from = Instant::now();
        work();
        Span { from, to: Instant::now() }
    }

    fn meets(self, other: Span) -> bool {
        self.from <= other.to && other.from <= self.to
    }

    fn length(self) -> Duration {
        self.to - self.from
    }
}
