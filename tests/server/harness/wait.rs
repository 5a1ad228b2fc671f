//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up; generous, since a loaded machine is not a failure.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Looks again and again until `condition` gives a value; fails the test, naming `what`, at the deadline.
pub(crate) fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, condition).unwrap_or_else(|| panic!("waited {DEADLINE:?} in vain for {what}"))
}

/// As [`until`], with its own deadline and no failure.
pub(crate) fn within<T>(deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}
