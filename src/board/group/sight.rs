//! The board as it is read, by whom it was not written: nothing in a seat is believed.

use std::time::Duration;

use super::running::Running;
use super::seat::{
    BEGAN, BEGUN, BUSY, FINISHED, ID, ID_MOST, LENGTHS, MARK_BEGUN, MARKS_USED, METHOD, METHOD_MOST, PATH, PATH_MOST,
    SEQUENCE, SINCE, TIMES, TIMES_COUNT,
};
use super::{BoardLayout, CAUSES, MARKS, Stage, VERSION, wide};

/// Reads a word, with `Acquire`; 0 where there is none. The memory may be one that this process can't write.
pub type Read<'m> = &'m dyn Fn(usize) -> u32;

/// The whole memory of a group.
#[derive(Clone, Copy)]
pub struct Sight<'m> {
    layout: BoardLayout,
    read: Read<'m>,
}

/// A seat; its words count from its first.
#[derive(Clone, Copy)]
pub struct SeatSight<'m> {
    layout: BoardLayout,
    first: usize,
    read: Read<'m>,
}

/// What a worker has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub begun: u32,
    pub finished: u32,
    /// How many complete answers took less than 2^8, 2^9, ... microseconds; in the last, longer.
    pub times: [u32; TIMES_COUNT],
}

impl<'m> Sight<'m> {
    #[must_use]
    pub fn new(layout: BoardLayout, read: Read<'m>) -> Sight<'m> {
        Sight { layout, read }
    }

    /// Place, process and stage of the worker that has a seat, or had it last.
    #[must_use]
    pub fn worker(&self, seat: usize) -> Option<(u32, u32, Stage)> {
        let entry = self.layout.entry(seat);
        let known = seat < self.layout.seats() && (self.read)(0) == VERSION;
        let stage = known.then(|| Stage::of((self.read)(entry)))??;
        Some(((self.read)(entry + 1), (self.read)(entry + 2), stage))
    }

    /// How many workers have ceased to serve in a place.
    #[must_use]
    pub fn turn(&self, slot: usize) -> u32 {
        if slot < self.layout.slots { (self.read)(self.layout.turn(slot)) } else { 0 }
    }

    /// How often each cause had the worker of a place followed by another.
    #[must_use]
    pub fn causes(&self, slot: usize) -> [u32; CAUSES] {
        std::array::from_fn(
            |cause| {
                if slot < self.layout.slots { (self.read)(self.layout.causes(slot) + cause) } else { 0 }
            },
        )
    }

    #[must_use]
    pub fn seat(&self, seat: usize) -> Option<SeatSight<'m>> {
        let range = self.layout.seat(seat)?;
        Some(SeatSight { layout: self.layout, first: range.start, read: self.read })
    }

    /// May a worker of this place have begun the last of the `sent` requests on this connection? True unless the board shows that it has
    /// begun those before and not this one.
    #[must_use]
    pub fn may_have_begun(&self, slot: u32, connection: u64, sent: u32) -> bool {
        let of_slot = |seat: &usize| self.worker(*seat).is_some_and(|(place, _, _)| place == slot);
        let seats = (0..self.layout.seats()).filter(of_slot).filter_map(|seat| self.seat(seat));
        let mut marks = seats.flat_map(|seat| seat.marks(connection).collect::<Vec<_>>()).peekable();
        marks.peek().is_none() || marks.any(|begun| begun != Some(sent.wrapping_sub(1)))
    }
}

impl<'m> SeatSight<'m> {
    /// A worker's sight of its own seat.
    #[must_use]
    pub fn new(layout: BoardLayout, read: Read<'m>) -> SeatSight<'m> {
        SeatSight { layout, first: 0, read }
    }

    /// The requests under way, those first that began first. `now` is the time of the clock that all processes share.
    #[must_use]
    pub fn running(&self, now: Duration) -> Vec<Running> {
        let threads = 0..self.layout.threads;
        let mut running: Vec<_> = threads.filter_map(|thread| self.running_on(thread, now)).collect();
        running.sort_by_key(|one| std::cmp::Reverse(one.age));
        running
    }

    /// The request that a thread serves.
    #[must_use]
    pub fn running_on(&self, thread: usize, now: Duration) -> Option<Running> {
        (thread < self.layout.threads && self.get(0) == VERSION).then(|| self.of_thread(thread, now))?
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for row in (0..self.layout.threads).map(|thread| self.layout.row(thread)) {
            counts.begun = counts.begun.wrapping_add(self.get(row + BEGUN));
            counts.finished = counts.finished.wrapping_add(self.get(row + FINISHED));
            for (time, place) in counts.times.iter_mut().zip(row + TIMES..) {
                *time = time.wrapping_add(self.get(place));
            }
        }
        counts
    }

    fn of_thread(&self, thread: usize, now: Duration) -> Option<Running> {
        const TRIES: usize = 8;
        let row = self.layout.row(thread);
        for _ in 0..TRIES {
            let sequence = self.get(row + SEQUENCE);
            let busy = self.get(row + BUSY) == 1;
            let found = self.task(row, now);
            // Each word was read with `Acquire`: none of them is newer than this one.
            if sequence.is_multiple_of(2) && sequence == self.get(row + SEQUENCE) {
                return busy.then_some(found);
            }
        }
        // It was ended while it wrote this down.
        Some(Running::beginning())
    }

    fn task(&self, row: usize, now: Duration) -> Running {
        let lengths = self.get(row + LENGTHS).to_le_bytes();
        let [method, id, path @ ..] = lengths;
        let path = usize::from(u16::from_le_bytes(path));
        let wide_at = |place: usize| Duration::from_nanos(wide(self.get(place), self.get(place + 1)));
        let since = wide_at(BEGAN).saturating_add(wide_at(row + SINCE));
        Running {
            age: Some(now.saturating_sub(since)),
            method: self.text(row + METHOD, usize::from(method).min(METHOD_MOST)),
            path: self.text(row + PATH, path.min(PATH_MOST)),
            is_cut: path > PATH_MOST,
            id: self.text(row + ID, usize::from(id).min(ID_MOST)),
        }
    }

    fn text(&self, place: usize, length: usize) -> Vec<u8> {
        let words = (place..).take(length.div_ceil(4));
        let mut text: Vec<u8> = words.flat_map(|word| self.get(word).to_le_bytes()).collect();
        text.truncate(length);
        text
    }

    /// How many requests were begun on a connection of this number; none where the mark is just given away.
    fn marks(&self, connection: u64) -> impl Iterator<Item = Option<u32>> {
        let used = usize::try_from(self.get(MARKS_USED)).unwrap_or(MARKS).min(MARKS);
        let is_its = move |place: usize| wide(self.get(place), self.get(place + 1)) == connection;
        let places = (0..used).map(|mark| self.layout.mark(mark)).filter(move |place| is_its(*place));
        places.map(move |place| {
            let begun = self.get(place + MARK_BEGUN);
            is_its(place).then_some(begun)
        })
    }

    fn get(&self, place: usize) -> u32 {
        (self.read)(self.first + place)
    }
}
