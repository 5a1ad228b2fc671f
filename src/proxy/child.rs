//! What a child of httpd has for all its requests: the groups, its row of counts, its connections.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::connection::{Connection, Idle, Open, WINDOW_KEPT};
use super::group::{Group, Groups};
use super::parent;
use crate::apache::{Level, Pool, Server, log_main, server};
use crate::board::{InFlight, Layout, Row, States, Tally};
use crate::os::memory::{SharedWords, ring, sleep_on};

/// This process, if it is a child.
static CHILD: OnceLock<Child> = OnceLock::new();

/// A child of httpd.
pub(super) struct Child {
    pub(super) groups: Arc<Groups>,
    /// Idle connections, by column.
    idle: Vec<Idle>,
    pub(super) open: Arc<Open>,
    counts: Counts,
    stopping: AtomicBool,
    /// The MPM's timers.
    later: Option<Later>,
    /// One is set, to close connections whose windows nobody needs.
    tidies: AtomicBool,
}

/// Has something run after so long; false where that can't be.
type Later = fn(Duration, fn()) -> bool;

/// Its part in the counts of requests in flight.
struct Counts {
    /// Where there was no row left for it; then it counts its own requests only.
    own: Option<Own>,
    layout: Layout,
    row: Row,
}

/// As `Groups::shared`, and for the bells in `Groups::states`.
struct Own {
    counts: SharedWords,
    bells: SharedWords,
}

/// A child begins (`child_init`): on its main thread, before it serves.
pub(crate) fn start(pool: Pool<'_>, _main: &Server<'_>) {
    let Some(groups) = parent::inherited() else { return };
    match Child::new(groups) {
        Ok(child) => {
            CHILD.get_or_init(|| Child { later: Some(server::after), ..child });
            // The pool goes when the child has ended its requests and threads.
            pool.on_cleanup(|| {
                if let Some(child) = CHILD.get() {
                    child.leave();
                }
                // With `-X` httpd ends without clearing the configuration.
                parent::end();
            });
        }
        Err(error) => log_main(Level::Crit, format_args!("daemon mode can't begin in this process of httpd: {error}")),
    }
}

/// The child is told to end (`child_stopping`). Where it is to end at once, nothing waits for a worker any more.
pub(crate) fn stopping(graceful: bool) {
    if let Some(child) = CHILD.get().filter(|_| !graceful) {
        child.stop();
    }
}

impl Child {
    /// This process; nothing in the parent, and where there are no groups.
    pub(super) fn this() -> Option<&'static Child> {
        CHILD.get()
    }

    pub(super) fn new(groups: Arc<Groups>) -> std::io::Result<Child> {
        let counts = Counts::new(&groups)?;
        let idle = groups.list.iter().flat_map(|group| {
            let most = usize::try_from(group.limit()).unwrap_or(usize::MAX).saturating_add(4);
            group.sockets.iter().map(move |_| Idle::new(most))
        });
        Ok(Child {
            idle: idle.collect(),
            open: Arc::default(),
            counts,
            stopping: AtomicBool::new(false),
            later: None,
            tidies: AtomicBool::new(false),
            groups,
        })
    }

    /// Keeps a connection whose request, counted at this place, is over.
    pub(super) fn keep(&self, connection: Connection, place: &Place<'_>) {
        let Some(idle) = self.idle(place.column()) else { return };
        let has_window = connection.has_window();
        idle.keep(connection, place.turn());
        if has_window {
            self.tidy_later();
        }
    }

    /// Requests that come later tidy, too; but memory is to be given back where none come. Not every MPM has timers.
    fn tidy_later(&self) {
        let Some(later) = self.later.filter(|_| !self.tidies.swap(true, Ordering::Relaxed)) else { return };
        later(WINDOW_KEPT + Duration::from_millis(500), || {
            let Some(child) = CHILD.get() else { return };
            child.tidies.store(false, Ordering::Relaxed);
            if child.idle.iter().filter(|idle| idle.tidy()).count() > 0 {
                child.tidy_later();
            }
        });
    }

    /// The idle connections of a column.
    pub(super) fn idle(&self, column: usize) -> Option<&Idle> {
        self.idle.get(column)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Counts a request at the least loaded process of a group that may have one more and is not passed over; given back with the answer.
    pub(super) fn take<'c>(&'c self, group: &'c Group, pass_over: impl Fn(usize) -> bool) -> Option<Place<'c>> {
        let tally = self.board()?.take(self.counts.row, group.limit(), group.tallies(&pass_over))?;
        Some(Place { child: self, group, tally })
    }

    /// Waits until a place may be free at a process that is not passed over, or the time is over.
    pub(super) fn wait_for_place(&self, group: &Group, within: Duration, pass_over: impl Fn(usize) -> bool) {
        let Some(board) = self.board() else { return };
        let (Some(bell), Some(waiting)) = (self.bell(group), board.waiting(group.number)) else { return };
        let seen = bell.load(Ordering::SeqCst);
        waiting.fetch_add(1, Ordering::SeqCst);
        // A place that was given back before this process was counted did not ring, nor does another worker that is here by now.
        let free = group.tallies(&pass_over).any(|tally| board.load(tally) < group.limit());
        if !free && !self.is_stopping() {
            let began = Instant::now();
            sleep_on(bell, seen, within);
            if began.elapsed() >= within {
                board.bury(std::process::id(), is_alive);
            }
        }
        waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Ends all waits, those to come too.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.open.end();
        for group in &self.groups.list {
            self.ring(group, i32::MAX);
        }
    }

    fn leave(&self) {
        for idle in &self.idle {
            idle.clear();
        }
        if let Some(board) = self.board() {
            board.release(self.counts.row);
        }
    }

    pub(super) fn board(&self) -> Option<InFlight<'_>> {
        let words = self.counts.own.as_ref().map_or(&self.groups.shared, |own| &own.counts);
        InFlight::new(self.counts.layout, words.words())
    }

    /// What those sleep on who wait for this group, with those who count with this child.
    fn bell(&self, group: &Group) -> Option<&AtomicU32> {
        let words = self.counts.own.as_ref().map_or(&self.groups.states, |own| &own.bells);
        States::new(words.words()).bell(group.columns.start)
    }

    fn ring(&self, group: &Group, sleepers: i32) {
        if let Some(bell) = self.bell(group) {
            bell.fetch_add(1, Ordering::SeqCst);
            ring(bell, sleepers);
        }
    }
}

impl Counts {
    fn new(groups: &Groups) -> std::io::Result<Counts> {
        let pid = std::process::id();
        let shared = InFlight::new(groups.layout, groups.shared.words()).and_then(|board| board.claim(pid, is_alive));
        if let Some(row) = shared {
            return Ok(Counts { own: None, layout: groups.layout, row });
        }
        let layout = groups.layout.of_one_row();
        let bells = SharedWords::new(groups.states.words().len())?;
        let own = Own { counts: SharedWords::new(layout.words())?, bells };
        let row = InFlight::new(layout, own.counts.words()).and_then(|board| board.claim(pid, is_alive));
        let row = row.ok_or(std::io::ErrorKind::OutOfMemory)?;
        log_main(
            Level::Warning,
            format_args!(
                "more processes of httpd than counted on: process {pid} can't see how many requests the others have at the daemon \
                 process groups"
            ),
        );
        Ok(Counts { own: Some(own), layout, row })
    }
}

/// Is there such a process?
fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| nix::sys::signal::kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
}

/// A request that counts at a process. Dropped when the process has it no more.
pub(super) struct Place<'c> {
    child: &'c Child,
    group: &'c Group,
    tally: Tally,
}

impl Place<'_> {
    pub(super) fn column(&self) -> usize {
        self.tally.place
    }

    /// How many processes had ceased to serve there.
    pub(super) fn turn(&self) -> u32 {
        self.tally.turn
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(board) = self.child.board() else { return };
        board.give_back(self.child.counts.row, self.tally);
        let anybody = board.waiting(self.group.number).is_some_and(|waiting| waiting.load(Ordering::SeqCst) > 0);
        if anybody {
            self.child.ring(self.group, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DaemonOptions;
    use crate::proxy::testing::{self, Site};

    fn child(threads: u32, queue: bool) -> Child {
        let options = DaemonOptions {
            threads: Some(threads),
            queue_timeout: queue.then_some(Duration::from_secs(9)),
            ..DaemonOptions::default()
        };
        Child::new(Arc::new(testing::groups(vec![("one", options, Default::default())]))).unwrap()
    }

    #[test]
    fn a_process_has_its_threads_and_a_little_more() {
        for (queue, limit) in [(true, 1), (false, 33)] {
            let child = child(1, queue);
            let group = &child.groups.list[0];
            let places: Vec<_> = std::iter::from_fn(|| child.take(group, |_| false)).collect();
            assert_eq!(places.len(), limit);
            drop(places);
            assert!(child.take(group, |_| false).is_some());
        }
    }

    #[test]
    fn a_waiter_wakes_when_a_place_is_free_and_when_the_child_stops() {
        let child = child(1, true);
        let group = &child.groups.list[0];
        let began = Instant::now();
        let place = child.take(group, |_| false).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                loop {
                    match child.take(group, |_| false) {
                        Some(place) => return place,
                        None => child.wait_for_place(group, Duration::from_secs(60), |_| false),
                    }
                }
            });
            std::thread::sleep(Duration::from_millis(20));
            drop(place);
            let place = waiter.join().unwrap();
            scope.spawn(|| child.wait_for_place(group, Duration::from_secs(60), |_| false));
            std::thread::sleep(Duration::from_millis(20));
            child.stop();
            drop(place);
        });
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    /// A child with two processes of one thread, and all threads taken.
    fn full() -> Site {
        let options = DaemonOptions {
            processes: Some(2),
            threads: Some(1),
            queue_timeout: Some(Duration::from_secs(9)),
            ..DaemonOptions::default()
        };
        Site::new(options)
    }

    #[test]
    fn a_successor_has_all_its_threads_while_the_old_process_finishes() {
        let site = full();
        let take = || site.child.take(site.group(), |_| false);
        let (first, second) = (take().unwrap(), take().unwrap());
        assert!(take().is_none());
        site.turn(0, 1);
        let third = take().unwrap();
        assert_eq!((third.column(), third.turn(), take().is_none()), (0, 1, true));
        // The old one's is the old one's.
        drop(first);
        assert!(take().is_none());
        drop(third);
        assert_eq!(take().map(|place| (place.column(), place.turn())), Some((0, 1)));
        drop(second);
        assert_eq!(take().map(|place| place.column()), Some(0));
    }

    #[test]
    fn a_waiter_wakes_when_another_process_has_the_turn() {
        let site = full();
        let (child, group) = (&site.child, site.group());
        let _taken: Vec<_> = std::iter::from_fn(|| child.take(group, |_| false)).collect();
        let began = Instant::now();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                loop {
                    match child.take(group, |_| false) {
                        Some(place) => return Some(place.column()),
                        None if began.elapsed() > Duration::from_secs(20) => return None,
                        None => child.wait_for_place(group, Duration::from_secs(60), |_| false),
                    }
                }
            });
            let waiting = child.board().unwrap().waiting(group.number).unwrap();
            while waiting.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            site.turn(1, 1);
            assert_eq!(waiter.join().unwrap(), Some(1));
        });
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_waiter_gets_the_places_of_a_child_that_died() {
        let child = child(1, true);
        let group = &child.groups.list[0];
        let mut process = std::process::Command::new("true").spawn().unwrap();
        let board = child.board().unwrap();
        let row = board.claim(process.id(), |_| true).unwrap();
        while board.take(row, group.limit(), group.tallies(&|_| false)).is_some() {}
        assert!(child.take(group, |_| false).is_none());
        process.wait().unwrap();
        child.wait_for_place(group, Duration::from_millis(10), |_| false);
        assert!(child.take(group, |_| false).is_some());
    }

    #[test]
    fn a_child_without_a_row_counts_for_itself() {
        let mut groups = testing::groups(vec![("one", DaemonOptions::default(), Default::default())]);
        groups.layout = Layout::new(1, 1, 0);
        let child = Child::new(Arc::new(groups)).unwrap();
        let group = &child.groups.list[0];
        let place = child.take(group, |_| false).unwrap();
        assert_eq!(child.board().unwrap().load(place.tally), 1);
    }
}
