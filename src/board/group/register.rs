//! The part of the board that the supervisor writes: who has which seat, how many workers have ceased to serve in a place, and why they had
//! to be followed by others.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{BoardLayout, VERSION};

/// The version, and how many places and threads there are.
pub(super) const HEAD: usize = 4;
/// Stage, place, process id.
pub(super) const ENTRY: usize = 4;
/// As many causes are told apart.
pub const CAUSES: usize = 16;

/// How far the worker of a seat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Starting = 1,
    Serving = 2,
    Ending = 3,
    /// Its process is gone; what it wrote stays until the seat is given to another.
    Ended = 4,
}

impl Stage {
    pub(super) fn of(word: u32) -> Option<Stage> {
        [Stage::Starting, Stage::Serving, Stage::Ending, Stage::Ended].into_iter().find(|stage| *stage as u32 == word)
    }
}

/// The supervisor's sight of the whole memory.
#[derive(Clone, Copy, Debug)]
pub struct Register<'m> {
    layout: BoardLayout,
    words: &'m [AtomicU32],
}

impl<'m> Register<'m> {
    /// `None` where the memory is too small for the layout.
    #[must_use]
    pub fn new(layout: BoardLayout, words: &'m [AtomicU32]) -> Option<Register<'m>> {
        (words.len() >= layout.words()).then_some(Register { layout, words })
    }

    /// Says whose form this is. Before, nothing is read of who has which seat. Answers whether it was said before.
    pub fn found(&self) -> bool {
        let before = self.words.first().is_some_and(|word| word.load(Ordering::Acquire) == VERSION);
        self.put(2, u32::try_from(self.layout.threads).unwrap_or(u32::MAX));
        self.put(1, u32::try_from(self.layout.slots).unwrap_or(u32::MAX));
        self.put(0, VERSION);
        before
    }

    /// Gives a seat to a worker that is about to start in this place: what its last one wrote is gone.
    pub fn take(&self, seat: usize, slot: u32) {
        let Some(range) = self.layout.seat(seat) else { return };
        let entry = self.layout.entry(seat);
        self.put(entry, 0);
        for word in self.words.get(range).unwrap_or_default() {
            word.store(0, Ordering::Relaxed);
        }
        self.put(entry + 1, slot);
        self.put(entry + 2, 0);
        self.put(entry, Stage::Starting as u32);
    }

    pub fn set_pid(&self, seat: usize, pid: u32) {
        if seat < self.layout.seats() {
            self.put(self.layout.entry(seat) + 2, pid);
        }
    }

    pub fn set_stage(&self, seat: usize, stage: Stage) {
        if seat < self.layout.seats() {
            self.put(self.layout.entry(seat), stage as u32);
        }
    }

    /// How many workers have ceased to serve in a place: whose turn it is.
    pub fn set_turn(&self, slot: usize, turn: u32) {
        if slot < self.layout.slots {
            self.put(self.layout.turn(slot), turn);
        }
    }

    /// How often each cause had the worker of a place followed by another.
    pub fn set_causes(&self, slot: usize, causes: &[u32; CAUSES]) {
        if slot < self.layout.slots {
            (self.layout.causes(slot)..).zip(causes).for_each(|(place, count)| self.put(place, *count));
        }
    }

    fn put(&self, place: usize, value: u32) {
        if let Some(word) = self.words.get(place) {
            word.store(value, Ordering::Release);
        }
    }
}
