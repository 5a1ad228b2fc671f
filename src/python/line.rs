//! The line in front of a GIL.
//!
//! CPython has every thread that waits for its GIL wake up after 5 ms to ask for it, and again after 5 ms. Where a hundred threads of
//! a child have a request each, they mostly wake for nothing. So only a few of those that begin something wait for the GIL itself; the others stand
//! in line for that, asleep. Who comes back from waiting in the middle of something does not stand in line.
//!
//! It is a courtesy, no lock: after [`PATIENCE`] a thread goes ahead, whatever those before it do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// So many wait for the GIL itself. With fewer it would be free at times while the next one wakes.
const AHEAD: usize = 3;
const PATIENCE: Duration = Duration::from_secs(1);

/// Threads that are about to attach for something new.
#[derive(Debug)]
pub(super) struct Line {
    ahead: AtomicUsize,
    behind: AtomicUsize,
    waiting: Mutex<()>,
    next: Condvar,
}

/// A thread that waits for the GIL itself, until this drops.
#[derive(Debug)]
pub(super) struct Turn<'l>(&'l Line);

impl Line {
    pub(super) const fn new() -> Line {
        let (ahead, behind) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Line { ahead, behind, waiting: Mutex::new(()), next: Condvar::new() }
    }

    /// Waits for a turn.
    pub(super) fn stand(&self) -> Turn<'_> {
        if self.behind.load(Ordering::SeqCst) > 0 || !self.step_ahead() {
            self.behind.fetch_add(1, Ordering::SeqCst);
            let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let full = |(): &mut ()| !self.step_ahead();
            let waited = self.next.wait_timeout_while(waiting, PATIENCE, full);
            if waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
                self.ahead.fetch_add(1, Ordering::SeqCst);
            }
            self.behind.fetch_sub(1, Ordering::SeqCst);
        }
        Turn(self)
    }

    fn step_ahead(&self) -> bool {
        let more = |ahead| (ahead < AHEAD).then_some(ahead + 1);
        self.ahead.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.ahead.fetch_sub(1, Ordering::SeqCst);
        if self.0.behind.load(Ordering::SeqCst) > 0 {
            // Whoever found no room holds this until it sleeps.
            drop(self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            self.0.next.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn few_are_ahead_and_all_have_their_turn() {
        let (line, most, done) = (Line::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _turn = line.stand();
                        most.fetch_max(line.ahead.load(Ordering::SeqCst), Ordering::SeqCst);
                        thread::yield_now();
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        assert!((1..=AHEAD).contains(&most.into_inner()));
        assert_eq!(done.into_inner(), 8);
        assert_eq!((line.ahead.into_inner(), line.behind.into_inner()), (0, 0));
    }

    #[test]
    fn nobody_waits_for_ever_behind_one_that_does_not_go_on() {
        let line = Line::new();
        let _stuck: Vec<_> = (0..AHEAD).map(|_| line.stand()).collect();
        let began = Instant::now();
        let _turn = line.stand();
        assert!((PATIENCE..20 * PATIENCE).contains(&began.elapsed()));
    }
}
