//! How long to wait before a place is filled again.

use std::time::Duration;

use super::event::Time;

const LONGEST: Duration = Duration::from_secs(20);
const SHORTEST: Duration = Duration::from_millis(250);
const UNFIT: Duration = Duration::from_secs(1);

/// A worker that served for less than this was of little use.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// So many short lives are followed at once: a script that is touched a few times in a second is no fault.
const FREE: u32 = 4;

/// Of one slot. A worker that never became ready is followed after 0, 0.25, 0.5, 1 .. 20 s, one that said that it is unfit after
/// 1, 2, 4 .. 20 s; one that was ready is followed at once, but not more than four times a second for ever.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    short_lives: u32,
    /// The last one said that it is unfit.
    unfit: bool,
}

impl Backoff {
    /// It ended, or was given up, before it was ready.
    pub(super) fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.unfit = false;
        match self.failures {
            1 => Duration::ZERO,
            more => doubled(SHORTEST, more - 2),
        }
    }

    /// It knows that the next one will not do better until somebody repairs something.
    pub(super) fn unfit(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.unfit = true;
        doubled(UNFIT, self.failures - 1)
    }

    pub(super) fn ready(&mut self) {
        self.failures = 0;
        self.unfit = false;
    }

    /// One that was ready ended or stopped accepting.
    pub(super) fn left(&mut self, ready: Time, now: Time) -> Duration {
        if now.saturating_sub(ready) >= SHORT_LIFE {
            self.short_lives = 0;
            return Duration::ZERO;
        }
        self.short_lives = self.short_lives.saturating_add(1);
        if self.short_lives > FREE { SHORTEST } else { Duration::ZERO }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Is a good start not to be expected? One failure may be chance.
    pub(super) fn is_hopeless(&self) -> bool {
        self.unfit || self.failures > 1
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(times)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_leaves_hope() {
        let mut backoff = Backoff::default();
        backoff.failed();
        assert!(!backoff.is_hopeless());
        backoff.failed();
        assert!(backoff.is_hopeless());
        backoff.ready();
        assert!(!backoff.is_hopeless());
        backoff.unfit();
        assert!(backoff.is_hopeless());
    }

    #[test]
    fn waits_grow_and_end() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..10).map(|_| backoff.failed().as_millis()).collect();
        assert_eq!(waits, [0, 250, 500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]);
        backoff.ready();
        let waits: Vec<u64> = (0..7).map(|_| backoff.unfit().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 20, 20]);
        backoff.failures = u32::MAX;
        assert_eq!((backoff.failed(), backoff.unfit()), (LONGEST, LONGEST));
    }

    #[test]
    fn who_was_ready_is_followed_at_once() {
        let mut backoff = Backoff::default();
        let second = Duration::from_secs(1);
        let waits: Vec<u128> = (0..6).map(|_| backoff.left(second, second).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 250, 250]);
        assert_eq!(backoff.left(second, 2 * second), Duration::ZERO);
        assert_eq!(backoff.left(second, second), Duration::ZERO);
    }
}
