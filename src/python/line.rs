//! The line in front of a GIL.
//!
//! CPython has every thread that waits for its GIL wake up after 5 ms to ask for it, and again after 5 ms. Where a hundred threads of
//! a child have a request each, they mostly wake for nothing. So only a few of those that begin something wait for the GIL itself; the others stand
//! in line for that, asleep. Who comes back from waiting in the middle of something does not stand in line.
//!
//! Where all is over in a moment ([`Pace::is_very_short`]), whoever has had his turn keeps it until he gives the GIL back: nobody waits
//! for the GIL itself then. And who comes just when it is free goes first, since those in line have to wake before. To wake one for each
//! turn would cost more than the turn; so one is woken, and no other until he has.
//!
//! It is a courtesy, no lock: after [`PATIENCE`] (or [`MOMENT`]) a thread goes ahead, whatever those before it do.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::pace::Pace;

/// So many wait for the GIL itself. With fewer it would be free at times while the next one wakes.
const AHEAD: usize = 3;
const PATIENCE: Duration = Duration::from_secs(1);
/// The same where all is quick.
const MOMENT: Duration = Duration::from_millis(5);

/// And this long, where others have gone first: who has waited for longer, and wakes in vain, goes on to wait for the GIL itself, and is next.
const FAIR: Duration = Duration::from_millis(1);
/// Who has the GIL for longer may be waiting for something, and have given it up meanwhile.
const LONG: Duration = Duration::from_millis(1);
/// So many turns without such a one make the line a quick one again.
const PROBATION: u32 = 500;

/// Threads that are about to attach for something new.
#[derive(Debug)]
pub(super) struct Line {
    ahead: AtomicUsize,
    behind: AtomicUsize,
    /// How many have left; it begins again at 0.
    turns: AtomicU32,
    /// One of those behind was woken, and is not awake yet.
    waking: AtomicBool,
    waiting: Mutex<()>,
    next: Condvar,
    pace: Pace,
    probation: AtomicU32,
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
        let (ahead, behind) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (waking, waiting, next) = (AtomicBool::new(false), Mutex::new(()), Condvar::new());
        let (turns, probation) = (AtomicU32::new(0), AtomicU32::new(PROBATION));
        Line { ahead, behind, turns, waking, waiting, next, pace: Pace::new(), probation }
    }

    /// Waits for a turn. The thread says when it has the GIL ([`Line::arrived`]).
    pub(super) fn stand(&self) {
        let may_pass = self.is_quick() || self.behind.load(Ordering::SeqCst) == 0;
        if !(may_pass && self.step_ahead()) {
            self.wait();
            // Two may have left while one woke.
            self.wake_next();
        }
    }

    fn wait(&self) {
        self.behind.fetch_add(1, Ordering::SeqCst);
        let (began, turns) = (Instant::now(), self.turns.load(Ordering::Relaxed));
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut woken = false;
        while !self.step_ahead() {
            let (patience, waited) = (if self.is_quick() { MOMENT } else { PATIENCE }, began.elapsed());
            let passed_over = woken && self.is_quick() && waited > FAIR;
            if passed_over || waited >= patience {
                if self.turns.load(Ordering::Relaxed) == turns {
                    // Whoever is ahead does not go on.
                    self.probation.store(PROBATION, Ordering::Relaxed);
                }
                self.ahead.fetch_add(1, Ordering::SeqCst);
                break;
            }
            let left = patience.saturating_sub(waited);
            waiting = self.next.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
            // Before it looks: whoever leaves after that wakes the next one.
            self.waking.store(false, Ordering::SeqCst);
            woken = true;
        }
        drop(waiting);
        self.behind.fetch_sub(1, Ordering::SeqCst);
    }

    fn wake_next(&self) {
        if self.behind.load(Ordering::SeqCst) > 0
            && self.ahead.load(Ordering::SeqCst) < self.most()
            && !self.waking.swap(true, Ordering::SeqCst)
        {
            // Whoever found no room holds this until it sleeps.
            drop(self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            self.next.notify_one();
        }
    }

    fn step_ahead(&self) -> bool {
        let most = self.most();
        let more = |ahead| (ahead < most).then_some(ahead + 1);
        self.ahead.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    /// So many may be ahead.
    fn most(&self) -> usize {
        if self.is_quick() { 1 } else { AHEAD }
    }

    /// Is all over before another thread has woken?
    fn is_quick(&self) -> bool {
        self.probation.load(Ordering::Relaxed) == 0 && self.pace.is_very_short()
    }

    /// The thread that stood in line has the GIL. It keeps its turn, if what it has begun is as quick as the others.
    pub(super) fn arrived(&self, keeps: bool) -> Turn {
        let kept = keeps && self.is_quick();
        if !kept {
            self.leave();
        }
        Turn { since: Instant::now(), kept }
    }

    /// The thread has given the GIL back.
    pub(super) fn over(&self, turn: &Turn) {
        let took = turn.since.elapsed();
        self.pace.note(took);
        let left = self.probation.load(Ordering::Relaxed);
        if took > LONG {
            self.probation.store(PROBATION, Ordering::Relaxed);
        } else if left > 0 {
            self.probation.store(left - 1, Ordering::Relaxed);
        }
        if turn.kept {
            self.leave();
        }
    }

    fn leave(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.ahead.fetch_sub(1, Ordering::SeqCst);
        self.wake_next();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn quick() -> Line {
        let line = Line::new();
        for _ in 0..PROBATION {
            line.stand();
            line.over(&line.arrived(true));
        }
        assert!(line.is_quick());
        line
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
    fn a_long_one_puts_the_line_on_probation() {
        let line = quick();
        line.stand();
        let turn = Turn { since: Instant::now().checked_sub(2 * LONG).unwrap(), ..line.arrived(true) };
        line.over(&turn);
        assert_eq!((line.is_quick(), ended(&line)), (false, [0, 0]));
        line.stand();
        assert!(line.step_ahead(), "several wait for the GIL again");
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
