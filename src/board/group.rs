//! The board of a daemon process group: which worker serves what, so that its end can be told and its requests be sent elsewhere.
//!
//! One memory for each group under one key. First comes the *register*, written by the supervisor alone; then *seats*, each written by
//! the one worker that has it. A seat begins at a page's beginning, and a worker has no more than its own in its memory, so that a stray
//! write of an application can't hit another worker's. Children of httpd read. What a worker writes is never believed: it is numbers
//! that are compared with their limits, and text that is shown escaped; whatever is wrong with it is wrong in the lines about this
//! worker only.

mod register;
mod running;
mod seat;
mod sight;

use std::ops::Range;

pub use register::{CAUSES, Register, Stage};
pub use running::{List, Running};
pub use seat::{Seat, Task};
pub use sight::{Counts, Read, SeatSight, Sight};

/// The form of what is below; another one is not read.
const VERSION: u32 = 2;

/// The largest page that Linux has where httpd runs, in words: seats begin at multiples of it.
const PAGE: usize = 64 * 1024 / 4;

/// Connections of a worker that have a mark. Of those beyond, a request that was cut off counts as begun.
pub const MARKS: usize = 512;

/// How the words of a group's board lie. Whoever knows the group's options knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoardLayout {
    slots: usize,
    threads: usize,
}

impl BoardLayout {
    /// How many `processes` the group has, and how many threads each.
    #[must_use]
    pub fn new(processes: u32, threads: u32) -> BoardLayout {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        BoardLayout { slots: count(processes), threads: count(threads) }
    }

    /// All words; they begin as 0.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.first_seat().saturating_add(self.seats().saturating_mul(self.stride()))
    }

    /// How many places there are.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.slots
    }

    /// Of each place one worker serves while one starts and one ends, and there is some room for more that end.
    #[must_use]
    pub const fn seats(&self) -> usize {
        self.slots.saturating_mul(3).saturating_add(4)
    }

    #[must_use]
    pub const fn seat_words(&self) -> usize {
        self.mark(MARKS)
    }

    /// Where the words of a seat are.
    #[must_use]
    pub fn seat(&self, seat: usize) -> Option<Range<usize>> {
        let first = self.first_seat().checked_add(seat.checked_mul(self.stride())?)?;
        (seat < self.seats()).then_some(first..first.checked_add(self.seat_words())?)
    }

    const fn first_seat(&self) -> usize {
        pages(self.causes(self.slots))
    }

    const fn stride(&self) -> usize {
        pages(self.seat_words())
    }

    /// In the register: how many workers have ceased to serve in a place.
    const fn turn(&self, slot: usize) -> usize {
        register::HEAD.saturating_add(slot)
    }

    /// In the register: what is known of the worker in a seat, behind all turns.
    const fn entry(&self, seat: usize) -> usize {
        self.turn(self.slots).saturating_add(seat.saturating_mul(register::ENTRY))
    }

    /// In the register: the causes of ends in a place, behind all entries.
    const fn causes(&self, slot: usize) -> usize {
        self.entry(self.seats()).saturating_add(slot.saturating_mul(CAUSES))
    }

    /// In a seat: what a thread serves.
    const fn row(&self, thread: usize) -> usize {
        seat::HEAD.saturating_add(thread.saturating_mul(seat::ROW))
    }

    /// In a seat: a connection's mark, behind all rows.
    const fn mark(&self, mark: usize) -> usize {
        self.row(self.threads).saturating_add(mark.saturating_mul(seat::MARK))
    }
}

const fn pages(words: usize) -> usize {
    words.div_ceil(PAGE).saturating_mul(PAGE)
}

/// The number of two words.
fn wide(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// The two words of a number, the lower first.
fn parts(number: u64) -> (u32, u32) {
    let [a, b, c, d, rest @ ..] = number.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(rest))
}

#[cfg(test)]
mod tests;
