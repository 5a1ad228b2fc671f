//! Whether requests are so short that a thread should keep the interpreter from one to the next.
//!
//! Giving it to another thread costs a wake-up, which takes longer than a short request. Keeping it means that nobody runs Python while the
//! thread sends the answer and reads the next request, which after a longer one costs more than it saves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Shorter ones are short.
const SHORT: Duration = Duration::from_micros(100);
/// Shorter ones are over before another thread has woken.
const VERY_SHORT: Duration = Duration::from_micros(40);
/// A single one counts for no more, so that a slow one in twenty makes the others no slower.
const MOST: Duration = Duration::from_micros(250);
/// The last one's part of the average.
const PART: u64 = 8;

/// How long the requests of a process took with the interpreter, on average: nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU64);

impl Pace {
    pub(crate) const fn new() -> Pace {
        Pace(AtomicU64::new(0))
    }

    pub(crate) fn is_short(&self) -> bool {
        u128::from(self.0.load(Ordering::Relaxed)) < SHORT.as_nanos()
    }

    pub(crate) fn is_very_short(&self) -> bool {
        u128::from(self.0.load(Ordering::Relaxed)) < VERY_SHORT.as_nanos()
    }

    /// Two threads at once may lose one of their figures.
    pub(crate) fn note(&self, took: Duration) {
        let took = u64::try_from(took.min(MOST).as_nanos()).unwrap_or_default();
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before - before / PART + took / PART, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(requests: impl IntoIterator<Item = u64>) -> bool {
        let pace = Pace::default();
        requests.into_iter().for_each(|took| pace.note(Duration::from_micros(took)));
        pace.is_short()
    }

    #[test]
    fn short_requests_are_short_and_long_ones_are_not() {
        assert!(after([]));
        assert!(after([20; 100]));
        assert!(!after([150; 100]));
        assert!(!after([20_000; 6]));
        assert!(after([20_000; 6].into_iter().chain([20; 30])), "it follows what comes");
    }

    #[test]
    fn a_slow_one_now_and_then_changes_nothing() {
        let requests = (0..200).map(|number| if number % 20 == 0 { 1_000_000 } else { 15 });
        let pace = Pace::default();
        let short = requests.filter(|took| {
            pace.note(Duration::from_micros(*took));
            pace.is_short()
        });
        assert!(short.count() > 190);
    }
}
