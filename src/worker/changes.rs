//! Scripts that have changed since they were loaded here: their requests wait for a successor, for a while.
//!
//! The supervisor decides for how long and tells all workers of the group (`supervise::change`); the threads that serve wait here.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A supervisor that says nothing for so long hangs: then old code is better than none.
const PATIENCE: Duration = Duration::from_millis(450);

#[derive(Default)]
pub(super) struct Changes {
    /// Whether there is any, without the lock.
    any: AtomicBool,
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Default)]
struct State {
    /// File and application group.
    scripts: HashSet<(Vec<u8>, Vec<u8>)>,
    stance: Stance,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stance {
    /// Requests wait.
    #[default]
    Hold,
    /// What is loaded answers.
    Bridge,
    /// Nothing is begun here any more.
    Stop,
}

impl Changes {
    /// Another worker found this script changed: it must not be loaded here.
    pub(super) fn tell(&self, script: Vec<u8>, group: Vec<u8>) {
        self.state().scripts.insert((script, group));
        self.any.store(true, Ordering::SeqCst);
    }

    /// Whether this script is known to have changed.
    pub(super) fn has(&self, script: &[u8], group: &[u8]) -> bool {
        self.any.load(Ordering::SeqCst) && self.state().scripts.contains(&(script.to_vec(), group.to_vec()))
    }

    /// A request found this script changed; whether that is new here.
    pub(super) fn find(&self, script: &[u8], group: &[u8]) -> bool {
        let new = self.state().scripts.insert((script.to_vec(), group.to_vec()));
        self.any.store(true, Ordering::SeqCst);
        new
    }

    /// Waits until the supervisor says what to do; whether old code answers. For detached threads.
    pub(super) fn wait(&self) -> bool {
        let wait = self.told.wait_timeout_while(self.state(), PATIENCE, |state| state.stance == Stance::Hold);
        let (state, _) = wait.unwrap_or_else(PoisonError::into_inner);
        state.stance != Stance::Stop
    }

    pub(super) fn bridge(&self) {
        self.take(Stance::Bridge);
    }

    pub(super) fn stop(&self) {
        self.take(Stance::Stop);
    }

    fn take(&self, stance: Stance) {
        let mut state = self.state();
        if state.stance != Stance::Stop {
            state.stance = stance;
        }
        drop(state);
        self.told.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_wait_until_they_are_told() {
        let changes = Changes::default();
        assert!(!changes.has(b"a", b""));
        assert!(changes.find(b"a", b"") && !changes.find(b"a", b""));
        changes.tell(b"b".to_vec(), b"x".to_vec());
        assert!(changes.has(b"a", b"") && changes.has(b"b", b"x") && !changes.has(b"b", b""));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| changes.wait());
            changes.bridge();
            assert!(waits.join().unwrap());
        });
        changes.stop();
        changes.bridge();
        assert!(!changes.wait(), "what ends does not come back");
    }

    #[test]
    fn a_supervisor_that_says_nothing_is_not_waited_for() {
        assert!(Changes::default().wait());
    }
}
