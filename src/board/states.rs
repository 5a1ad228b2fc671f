//! Whether a process can be had in a place of a group: written by the supervisor, read by children; and what those sleep on who wait
//! for one, because whoever gives a place back wakes them, and the supervisor when there is another worker.
//!
//! Without the first a child could not tell a process that is only starting, which is waited for, from one that can't start; nor one that
//! starts from one that accepts, and would knock at each in turn.

use std::sync::atomic::{AtomicU32, Ordering};

/// How it is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A process accepts requests. Also where nobody said anything.
    Served,
    /// No process serves in this place, and the last ones could not even start.
    Failing,
    /// None accepts now, but one is expected.
    Vacant,
}

const SERVED: u32 = 0;
const FAILING: u32 = 1;
const VACANT: u32 = 2;

/// Words of a place: its state, and the bell of a group whose first place it is.
const PLACE: usize = 2;

/// Of each place of each group, in the order of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct States<'m>(&'m [AtomicU32]);

impl<'m> States<'m> {
    #[must_use]
    pub const fn new(words: &'m [AtomicU32]) -> States<'m> {
        States(words)
    }

    /// How many numbers the memory holds for so many places; all begin as 0.
    #[must_use]
    pub const fn words(places: usize) -> usize {
        places.saturating_mul(PLACE)
    }

    /// Says how it is at a place. One that is not there is passed over.
    pub fn set(&self, column: usize, state: State) {
        if let Some(word) = self.word(column, 0) {
            let number = match state {
                State::Served => SERVED,
                State::Failing => FAILING,
                State::Vacant => VACANT,
            };
            word.store(number, Ordering::Relaxed);
        }
    }

    /// Is there no use in waiting for a process at this place?
    #[must_use]
    pub fn is_failing(&self, column: usize) -> bool {
        self.get(column) == State::Failing
    }

    /// Is another place better, if there is one?
    #[must_use]
    pub fn is_vacant(&self, column: usize) -> bool {
        self.get(column) == State::Vacant
    }

    /// What waiters of a group sleep on: it changes whenever a place may be free.
    #[must_use]
    pub fn bell(&self, first_column: usize) -> Option<&'m AtomicU32> {
        self.word(first_column, 1)
    }

    fn word(&self, column: usize, word: usize) -> Option<&'m AtomicU32> {
        self.0.get(column.checked_mul(PLACE)? + word)
    }

    fn get(&self, column: usize) -> State {
        match self.word(column, 0).map(|word| word.load(Ordering::Relaxed)) {
            Some(FAILING) => State::Failing,
            Some(VACANT) => State::Vacant,
            _ => State::Served,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_as_it_was_said_to_be() {
        let words = [0, 5, 77, 6].map(AtomicU32::new);
        assert_eq!(States::words(2), words.len());
        let states = States::new(&words);
        assert!((0..3).all(|column| !states.is_failing(column) && !states.is_vacant(column)));
        states.set(1, State::Failing);
        states.set(2, State::Failing);
        assert!(!states.is_failing(0) && states.is_failing(1) && !states.is_failing(2));
        states.set(1, State::Vacant);
        assert!(!states.is_failing(1) && states.is_vacant(1));
        let bells: Vec<_> = (0..3).map(|column| states.bell(column).map(|bell| bell.load(Ordering::SeqCst))).collect();
        assert_eq!(bells, [Some(5), Some(6), None]);
        states.set(1, State::Served);
        assert!(!states.is_failing(1) && !states.is_vacant(1));
    }
}
