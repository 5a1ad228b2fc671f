//! The line in front of a GIL.
//!
//! CPython has every thread that waits for its GIL wake up after 5 ms to ask for it, and again after 5 ms. Where a hundred threads of
//! a child have a request each, they mostly wake for nothing. So only a few of those that begin something wait for the GIL itself; the others stand
//! in line for that, asleep. Who comes back from waiting in the middle of something does not stand in line.
//!
//! Where all is over in a moment ([`Pace::is_very_short`]), whoever has had his turn keeps it until he gives the GIL back: nobody waits
//! for the GIL itself then. And who comes just when it is free goes first, since those in line have to wake before; only
//! those who have waited for long go before him. Else the line is kept to the letter.
//!
//! It is a courtesy, no lock: after [`PATIENCE`] (or [`MOMENT`]) a thread goes ahead, whatever those before it do.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::pace::Pace;

/// So many wait for the GIL itself. With fewer it would be free at times while the next one wakes.
const AHEAD: usize = 3;
const PATIENCE: Duration = Duration::from_secs(1);
/// The same where all is quick.
const MOMENT: Duration = Duration::from_millis(5);

/// Where all is quick, so many are woken before the first of them is awake. To wake one for each turn would cost more than the turn.
const WAKING: usize = 8;
/// Who has waited for longer, and wakes in vain there, goes on to wait for the GIL itself, and is next.
const FAIR: Duration = Duration::from_millis(1);

/// Who has the GIL for longer may be waiting for something, and have given it up meanwhile: if he keeps his turn, all others wait with him.
const LONG: Duration = Duration::from_millis(1);
/// That may cost so much for each turn: microseconds. A processor that is taken away in the middle of a turn, as happens to one in 300 where
/// a hundred threads are busy, costs less.
const MAY_COST: u32 = 30;
/// Where it has cost that much more, lately, turns are not kept: microseconds.
const TOO_MUCH: u32 = 10_000;
/// After more than this is forgotten: microseconds.
const MOST: u32 = 2 * TOO_MUCH;

/// Threads that are about to attach for something new.
#[derive(Debug)]
pub(super) struct Line {
    /// How many have left; it begins again at 0.
    turns: AtomicU32,
    ahead: AtomicUsize,
    /// So many of those ahead have the GIL, or had it, and keep their turn.
    keepers: AtomicUsize,
    /// So many of them did not go on while others waited; nobody waits for them.
    stuck: AtomicUsize,
    behind: AtomicUsize,
    /// Those of them that are asleep.
    sleepers: Mutex<VecDeque<Arc<Sleeper>>>,
    /// So many were woken, and have not noticed yet.
    waking: AtomicUsize,
    pace: Pace,
    /// What long turns have cost lately: microseconds.
    cost: AtomicU32,
}

#[derive(Debug)]
struct Sleeper {
    thread: Thread,
    woken: AtomicBool,
}

/// What a thread has had to wait for.
#[derive(Debug)]
pub(super) struct Turn {
    /// When it had the GIL.
    since: Instant,
    /// Nobody else has his turn.
    kept: bool,
}

impl Line {
    pub(super) const fn new() -> Line {
        Line {
            turns: AtomicU32::new(0),
            ahead: AtomicUsize::new(0),
            keepers: AtomicUsize::new(0),
            stuck: AtomicUsize::new(0),
            behind: AtomicUsize::new(0),
            sleepers: Mutex::new(VecDeque::new()),
            waking: AtomicUsize::new(0),
            pace: Pace::new(),
            cost: AtomicU32::new(MOST),
        }
    }

    /// Waits for a turn. The thread says when it has the GIL ([`Line::arrived`]).
    pub(super) fn stand(&self) {
        let may_pass = self.is_quick() || self.behind.load(Ordering::SeqCst) == 0;
        if !(may_pass && self.step_ahead()) {
            self.wait();
            // There may be room for another one.
            self.wake_next();
        }
    }

    fn wait(&self) {
        self.behind.fetch_add(1, Ordering::SeqCst);
        self.wait_behind();
        self.behind.fetch_sub(1, Ordering::SeqCst);
    }

    fn wait_behind(&self) {
        let (began, mut turns) = (Instant::now(), self.turns.load(Ordering::Relaxed));
        // Whoever leaves from now on finds this thread asleep.
        let mut sleepers = self.sleepers();
        if (self.is_quick() || sleepers.is_empty()) && self.step_ahead() {
            return;
        }
        let this = Arc::new(Sleeper::this());
        sleepers.push_back(Arc::clone(&this));
        drop(sleepers);
        loop {
            let woken = this.sleep(if self.is_quick() { MOMENT } else { PATIENCE });
            let mut sleepers = self.sleepers();
            // One that wakes by itself may be woken before it is here.
            if woken || this.is_woken() {
                self.waking.fetch_sub(1, Ordering::SeqCst);
                let passed_over = self.is_quick() && began.elapsed() > FAIR;
                if self.step_ahead_of(if passed_over { self.most_at_the_gil() } else { self.most() }) {
                    return;
                }
                this.woken.store(false, Ordering::Release);
                sleepers.push_front(Arc::clone(&this));
                continue;
            }
            let before = std::mem::replace(&mut turns, self.turns.load(Ordering::Relaxed));
            if before == turns {
                // Whoever is ahead does not go on.
                sleepers.retain(|one| !Arc::ptr_eq(one, &this));
                self.stuck.store(self.keepers.load(Ordering::SeqCst), Ordering::SeqCst);
                self.cost.store(MOST, Ordering::Relaxed);
                self.ahead.fetch_add(1, Ordering::SeqCst);
                return;
            }
        }
    }

    fn sleepers(&self) -> MutexGuard<'_, VecDeque<Arc<Sleeper>>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the first of those asleep, where there is room for it.
    fn wake_next(&self) {
        if self.behind.load(Ordering::SeqCst) == 0 || !self.has_room() {
            return;
        }
        let mut sleepers = self.sleepers();
        if !self.has_room() {
            return;
        }
        let Some(first) = sleepers.pop_front() else { return };
        self.waking.fetch_add(1, Ordering::SeqCst);
        // Together: it is asleep for whoever has the lock, or it was woken.
        first.woken.store(true, Ordering::Release);
        drop(sleepers);
        first.thread.unpark();
    }

    /// Is there room for one more, beside those that are waking?
    fn has_room(&self) -> bool {
        let (ahead, waking) = (self.ahead.load(Ordering::SeqCst), self.waking.load(Ordering::SeqCst));
        let most = self.most();
        if self.is_quick() { ahead < most && waking < WAKING } else { ahead + waking < most }
    }

    fn step_ahead(&self) -> bool {
        self.step_ahead_of(self.most())
    }

    /// So many may be ahead.
    fn most(&self) -> usize {
        if self.is_quick() { 1 + self.stuck.load(Ordering::SeqCst) } else { self.most_at_the_gil() }
    }

    /// So many may be ahead where [`AHEAD`] wait for the GIL: who keeps his turn does not.
    fn most_at_the_gil(&self) -> usize {
        AHEAD + self.keepers.load(Ordering::SeqCst)
    }

    /// Where fewer than so many are ahead.
    fn step_ahead_of(&self, most: usize) -> bool {
        let more = |ahead| (ahead < most).then_some(ahead + 1);
        self.ahead.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    /// Is all over before another thread has woken?
    pub(super) fn is_quick(&self) -> bool {
        self.cost.load(Ordering::Relaxed) <= TOO_MUCH && self.pace.is_very_short()
    }

    /// The thread that stood in line has the GIL. It keeps its turn, if what it has begun is as quick as the others.
    pub(super) fn arrived(&self, keeps: bool) -> Turn {
        let kept = keeps && self.is_quick();
        if kept {
            self.keepers.fetch_add(1, Ordering::SeqCst);
        } else {
            self.leave();
        }
        Turn { since: Instant::now(), kept }
    }

    /// The thread has given the GIL back.
    pub(super) fn over(&self, turn: &Turn) {
        let took = turn.since.elapsed();
        self.pace.note(took);
        self.note_cost(took);
        if turn.kept {
            let keepers = self.keepers.fetch_sub(1, Ordering::SeqCst).saturating_sub(1);
            if self.stuck.load(Ordering::SeqCst) > keepers {
                self.stuck.fetch_min(keepers, Ordering::SeqCst);
            }
            self.leave();
        }
    }

    fn note_cost(&self, took: Duration) {
        // Nobody waits for longer.
        let wasted = if took > LONG { took.min(MOMENT) } else { Duration::ZERO };
        let before = self.cost.load(Ordering::Relaxed);
        let wasted = u32::try_from(wasted.as_micros()).unwrap_or(MOST);
        let after = before.saturating_add(wasted).saturating_sub(MAY_COST).min(MOST);
        if after != before {
            self.cost.store(after, Ordering::Relaxed);
        }
    }

    fn leave(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.ahead.fetch_sub(1, Ordering::SeqCst);
        self.wake_next();
    }
}

impl Sleeper {
    /// The calling thread.
    fn this() -> Sleeper {
        Sleeper { thread: thread::current(), woken: AtomicBool::new(false) }
    }

    fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }

    /// False where nobody woke it in that time.
    fn sleep(&self, most: Duration) -> bool {
        let began = Instant::now();
        while !self.is_woken() {
            let Some(left) = most.checked_sub(began.elapsed()) else { return false };
            thread::park_timeout(left);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick() -> Line {
        let line = Line::new();
        pass(&line, MOST / MAY_COST, Duration::ZERO);
        assert!(line.is_quick());
        line
    }

    /// So many turns, each of which takes so long.
    fn pass(line: &Line, turns: u32, took: Duration) {
        for _ in 0..turns {
            line.stand();
            let turn = line.arrived(true);
            line.over(&Turn { since: Instant::now().checked_sub(took).unwrap(), ..turn });
        }
    }

    fn ended(line: &Line) -> [usize; 2] {
        [line.ahead.load(Ordering::SeqCst), line.behind.load(Ordering::SeqCst)]
    }

    /// Eight threads have 50 turns each, and do `work` with the GIL.
    fn crowd(line: &Line, work: impl Fn() + Sync) {
        let done = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        line.stand();
                        let turn = line.arrived(true);
                        work();
                        line.over(&turn);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((done.into_inner(), ended(line)), (400, [0, 0]));
    }

    #[test]
    fn all_have_their_turn() {
        crowd(&Line::new(), thread::yield_now);
        crowd(&quick(), thread::yield_now);
    }

    #[test]
    fn few_wait_for_the_gil_and_one_where_all_is_quick() {
        for (line, most) in [(Line::new(), AHEAD), (quick(), 1)] {
            let ahead = (0..10).take_while(|_| line.step_ahead()).count();
            assert_eq!(ahead, most);
        }
    }

    #[test]
    fn a_turn_is_kept_where_all_is_quick() {
        let line = quick();
        line.stand();
        let turn = line.arrived(true);
        assert!(!line.step_ahead());
        line.over(&turn);
        line.stand();
        let long = line.arrived(false);
        assert!(line.step_ahead(), "it said that it stays");
        line.leave();
        line.over(&long);
        assert_eq!(ended(&line), [0, 0]);
    }

    #[test]
    fn who_came_first_goes_first_where_not_all_is_quick() {
        let (line, order) = (Line::new(), Mutex::new(Vec::new()));
        (0..AHEAD).for_each(|_| line.stand());
        thread::scope(|scope| {
            for number in 0..5 {
                let (line, order) = (&line, &order);
                scope.spawn(move || {
                    line.stand();
                    order.lock().unwrap().push(number);
                    line.leave();
                });
                while line.sleepers().len() <= number {
                    thread::yield_now();
                }
            }
            line.leave();
        });
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(ended(&line), [AHEAD - 1, 0]);
    }

    #[test]
    fn turns_are_kept_unless_many_are_long() {
        let line = quick();
        for _ in 0..10 {
            pass(&line, 1, 2 * LONG);
            pass(&line, 299, Duration::ZERO);
        }
        assert!(line.is_quick(), "one in 300 is");
        pass(&line, 50, 2 * LONG);
        pass(&line, 100, Duration::ZERO);
        assert_eq!((line.is_quick(), ended(&line)), (false, [0, 0]));
        line.stand();
        assert!(line.step_ahead(), "several wait for the GIL again");
    }

    #[test]
    fn those_that_keep_their_turn_and_do_not_go_on_hold_up_others_once() {
        let line = quick();
        let keepers: Vec<Turn> = (0..2 * AHEAD)
            .map(|_| {
                line.ahead.fetch_add(1, Ordering::SeqCst);
                line.arrived(true)
            })
            .collect();
        pass(&line, 1, Duration::ZERO);
        assert!(!line.is_quick() && line.step_ahead(), "others wait for the GIL");
        line.leave();
        pass(&line, MOST / MAY_COST, Duration::ZERO);
        assert!(line.is_quick() && line.step_ahead() && !line.step_ahead(), "one in a turn, as without them");
        line.leave();
        keepers.iter().for_each(|turn| line.over(turn));
        assert_eq!((ended(&line), line.most_at_the_gil(), line.stuck.load(Ordering::SeqCst)), ([0, 0], AHEAD, 0));
    }

    #[test]
    fn nobody_waits_for_ever_behind_one_that_does_not_go_on() {
        let line = quick();
        line.stand();
        let stuck = line.arrived(true);
        let began = Instant::now();
        line.stand();
        assert!((MOMENT..1000 * MOMENT).contains(&began.elapsed()));
        assert!(!line.is_quick(), "so the next one need not wait");
        line.over(&line.arrived(true));
        line.over(&stuck);
        assert_eq!(ended(&line), [0, 0]);
    }
}
