//! Whether a process can be had at all in a place of a group: written by the supervisor, read by children.
//!
//! Without it a child could not tell a process that is only starting, which is waited for, from one that can't start.

use std::sync::atomic::{AtomicU32, Ordering};

/// No process serves in this place, and the last ones could not even start. Any other number: there is one, or one is expected.
const FAILING: u32 = 1;

/// One number for each process of each group, in the order of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct States<'m>(&'m [AtomicU32]);

impl<'m> States<'m> {
    #[must_use]
    pub const fn new(words: &'m [AtomicU32]) -> States<'m> {
        States(words)
    }

    /// Says how it is at a place. One that is not there is passed over.
    pub fn set_failing(&self, column: usize, failing: bool) {
        if let Some(word) = self.0.get(column) {
            word.store(if failing { FAILING } else { 0 }, Ordering::Relaxed);
        }
    }

    /// Is there no use in waiting for a process at this place?
    #[must_use]
    pub fn is_failing(&self, column: usize) -> bool {
        self.0.get(column).is_some_and(|word| word.load(Ordering::Relaxed) == FAILING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_fails_until_it_is_said_not_to() {
        let words = [AtomicU32::new(0), AtomicU32::new(77)];
        let states = States::new(&words);
        assert!(!states.is_failing(0) && !states.is_failing(1) && !states.is_failing(2));
        states.set_failing(1, true);
        states.set_failing(2, true);
        assert!(!states.is_failing(0) && states.is_failing(1) && !states.is_failing(2));
        states.set_failing(1, false);
        assert!(!states.is_failing(1));
    }
}
