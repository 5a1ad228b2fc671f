//! Whether a thread that wakes takes the processor at once from one that runs.
//!
//! Linux lets it, in general: who slept waits less. Between threads that hand short requests to each other that is a loss: whoever is in the
//! midst of something is set aside for a few microseconds' work, and with him the lock that he holds. `SCHED_BATCH` is for "a
//! deterministic scheduling policy without interactivity causing extra preemptions (between the workload's tasks)" (sched(7)).
//! A thread has the same part of the processor with either.

use std::cell::Cell;

use libc::{SCHED_BATCH, SCHED_OTHER};

/// How the calling thread is scheduled.
#[derive(Debug)]
pub struct Policy {
    /// Nobody has chosen another one for this process.
    is_ours: bool,
    waits: Cell<bool>,
}

impl Policy {
    /// The calling thread's, which uses this alone. Where the system or an administrator has chosen one, or `keep` is said, it stays.
    #[must_use]
    pub fn of_this_thread(keep: bool) -> Policy {
        // SAFETY: asks for a number.
        let now = unsafe { libc::sched_getscheduler(0) };
        Policy { is_ours: !keep && now == SCHED_OTHER, waits: Cell::new(false) }
    }

    /// Does the thread wait for others?
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits.get()
    }

    /// From now on the thread waits, when it wakes, until a processor is free or its time is up; or it does not. Costs a system call where that is a
    /// change. What the thread starts meanwhile is scheduled as it is.
    pub fn wait_for_others(&self, wait: bool) {
        if !self.is_ours || self.waits.replace(wait) == wait {
            return;
        }
        let policy = if wait { SCHED_BATCH } else { SCHED_OTHER };
        let none = libc::sched_param { sched_priority: 0 };
        // SAFETY: the calling thread's own policy; reads one structure. Where that is forbidden, all is as before.
        unsafe { libc::sched_setscheduler(0, policy, &raw const none) };
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::thread;

    use super::*;

    fn policy() -> i32 {
        // SAFETY: asks for a number.
        unsafe { libc::sched_getscheduler(0) }
    }

    fn on_its_own<R: Send>(work: impl FnOnce() -> R + Send) -> R {
        thread::scope(|scope| scope.spawn(work).join().unwrap())
    }

    #[test]
    fn a_thread_waits_for_others_as_long_as_it_is_to() {
        let policies = on_its_own(|| {
            let own = Policy::of_this_thread(false);
            [false, true, true, false].map(|wait| {
                own.wait_for_others(wait);
                policy()
            })
        });
        assert_eq!(policies, [SCHED_OTHER, SCHED_BATCH, SCHED_BATCH, SCHED_OTHER]);
    }

    #[test]
    fn a_policy_that_was_chosen_stays() {
        let policies = on_its_own(|| {
            let kept = Policy::of_this_thread(true);
            kept.wait_for_others(true);
            let ordinary = policy();
            let none = libc::sched_param { sched_priority: 0 };
            // SAFETY: the calling thread's own policy; reads one structure.
            unsafe { libc::sched_setscheduler(0, SCHED_BATCH, &raw const none) };
            let chosen = Policy::of_this_thread(false);
            chosen.wait_for_others(true);
            chosen.wait_for_others(false);
            [ordinary, policy()]
        });
        assert_eq!(policies, [SCHED_OTHER, SCHED_BATCH]);
    }
}
