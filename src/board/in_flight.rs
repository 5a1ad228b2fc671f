//! Requests in flight per worker process, over all children, with a row per child so that a dead child's share is taken back.
//!
//! A *place* is a slot of a group, numbered over all groups. Its workers follow each other, and one that serves no more may have requests
//! for as long as these last; so each has a tally of its own, and its successor begins with none. `totals` decides who gets a request; the
//! rows only remember whose it is. A child that dies between the two leaves at most one too few in a total, never one too many: a worker
//! may get one request more than meant, but none stays unused for ever.

use std::sync::atomic::{AtomicU32, Ordering};

/// How the numbers lie in memory. The parent makes it with the configuration; its children inherit both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    groups: usize,
    tallies: usize,
    rows: usize,
}

/// So many tallies has a place. Eight of its workers may finish what they have (`supervise` hurries those beyond) while one serves, so
/// whose turn comes round again finds its tally empty; else the two share it.
pub const TURNS: u32 = 10;

/// What the requests of one worker count in: of the one that serves in this place after `turn` others have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    pub place: usize,
    pub turn: u32,
}

impl Tally {
    fn number(self) -> usize {
        self.place.saturating_mul(count(TURNS)).saturating_add(count(self.turn % TURNS))
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Layout {
    /// `places`: those of all groups together. `rows`: as many children as may live at a time.
    #[must_use]
    pub fn new(groups: usize, places: usize, rows: usize) -> Layout {
        Layout { groups, tallies: places.saturating_mul(count(TURNS)), rows }
    }

    /// The same for a process that counts alone.
    #[must_use]
    pub const fn of_one_row(&self) -> Layout {
        Layout { rows: 1, ..*self }
    }

    /// How many numbers the memory holds; all begin as 0.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.totals() + self.tallies + self.rows * self.row_words()
    }

    /// A row is a process id (0: free) and its part of each tally.
    const fn row_words(&self) -> usize {
        1 + self.tallies
    }

    /// In front of them is for each group how many wait.
    const fn totals(&self) -> usize {
        self.groups
    }

    const fn row(&self, row: usize) -> usize {
        self.totals() + self.tallies + row * self.row_words()
    }
}

/// The row of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row(usize);

/// The memory, as one process sees it.
#[derive(Clone, Copy, Debug)]
pub struct InFlight<'m> {
    layout: Layout,
    words: &'m [AtomicU32],
}

impl<'m> InFlight<'m> {
    /// `None` where the memory is too small for the layout.
    #[must_use]
    pub fn new(layout: Layout, words: &'m [AtomicU32]) -> Option<InFlight<'m>> {
        (words.len() >= layout.words()).then_some(InFlight { layout, words })
    }

    /// Takes a free row for the process `pid`, or the row of one that is dead, whose share of the totals goes back first. `None` where all
    /// rows belong to the living.
    #[must_use]
    pub fn claim(&self, pid: u32, is_alive: impl Fn(u32) -> bool) -> Option<Row> {
        let rows = || (0..self.layout.rows).map(Row);
        let take = |row: &Row, owner: u32| {
            let word = self.words.get(self.layout.row(row.0));
            word.is_some_and(|word| word.compare_exchange(owner, pid, Ordering::SeqCst, Ordering::SeqCst).is_ok())
        };
        // A dead child's share counts until it is given back, so look at the dead first.
        for row in rows() {
            let owner = self.owner(row);
            // Its own number: the child that had it before is dead.
            let dead = owner != 0 && (owner == pid || !is_alive(owner));
            if dead && take(&row, owner) {
                self.give_back_row(row);
                return Some(row);
            }
        }
        rows().find(|row| take(row, 0))
    }

    /// Ends a child's part: what it still has goes back, the row is free.
    pub fn release(&self, row: Row) {
        self.give_back_row(row);
        if let Some(word) = self.words.get(self.layout.row(row.0)) {
            word.store(0, Ordering::SeqCst);
        }
    }

    /// Gives back what dead children still count, on behalf of the living child `pid`. Needed where no child will come that
    /// takes their rows: new ones of httpd's have the next configuration, and another memory.
    pub fn bury(&self, pid: u32, is_alive: impl Fn(u32) -> bool) {
        for row in (0..self.layout.rows).map(Row) {
            let owner = self.owner(row);
            let dead = owner != 0 && owner != pid && !is_alive(owner);
            let word = self.words.get(self.layout.row(row.0)).filter(|_| dead);
            // As an owner, so that it happens once; if we die meanwhile, the row is a dead child's again.
            if word.is_some_and(|word| word.compare_exchange(owner, pid, Ordering::SeqCst, Ordering::SeqCst).is_ok()) {
                self.release(row);
            }
        }
    }

    /// Counts one more in the least of these tallies, if that has fewer than `limit`; in the first of equals.
    #[must_use]
    pub fn take(&self, row: Row, limit: u32, tallies: impl Iterator<Item = Tally> + Clone) -> Option<Tally> {
        loop {
            let loads = tallies.clone().map(|tally| (self.load(tally), tally));
            let (load, tally) = loads.min_by_key(|(load, _)| *load)?;
            if load >= limit {
                return None;
            }
            let total = self.total(tally.number())?;
            let mine = self.mine(row, tally.number())?;
            mine.fetch_add(1, Ordering::SeqCst);
            if total.compare_exchange(load, load + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                return Some(tally);
            }
            less(mine, 1);
        }
    }

    /// Takes back what `take` counted: in the same tally, whoever has the turn by now.
    pub fn give_back(&self, row: Row, tally: Tally) {
        // Totals first: dying in between leaves too few.
        if let (Some(total), Some(mine)) = (self.total(tally.number()), self.mine(row, tally.number())) {
            less(total, 1);
            less(mine, 1);
        }
    }

    /// Requests in flight at a worker.
    #[must_use]
    pub fn load(&self, tally: Tally) -> u32 {
        self.total(tally.number()).map_or(u32::MAX, |total| total.load(Ordering::SeqCst))
    }

    /// How many wait for a place of the group. A child that died waiting stays counted, which costs a system call per request only.
    #[must_use]
    pub fn waiting(&self, group: usize) -> Option<&'m AtomicU32> {
        self.words.get(..self.layout.totals())?.get(group)
    }

    fn owner(&self, row: Row) -> u32 {
        self.words.get(self.layout.row(row.0)).map_or(0, |word| word.load(Ordering::SeqCst))
    }

    fn give_back_row(&self, row: Row) {
        for tally in 0..self.layout.tallies {
            if let (Some(total), Some(mine)) = (self.total(tally), self.mine(row, tally)) {
                less(total, mine.swap(0, Ordering::SeqCst));
            }
        }
    }

    fn total(&self, tally: usize) -> Option<&'m AtomicU32> {
        (tally < self.layout.tallies).then(|| self.words.get(self.layout.totals() + tally))?
    }

    fn mine(&self, row: Row, tally: usize) -> Option<&'m AtomicU32> {
        let inside = tally < self.layout.tallies && row.0 < self.layout.rows;
        inside.then(|| self.words.get(self.layout.row(row.0) + 1 + tally))?
    }
}

/// Subtracts, but never below 0: what another process left behind is not trusted.
fn less(word: &AtomicU32, by: u32) {
    // The closure always answers, so this can't fail.
    let _ = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| Some(count.saturating_sub(by)));
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    fn memory(layout: Layout) -> Vec<AtomicU32> {
        (0..layout.words()).map(|_| AtomicU32::new(0)).collect()
    }

    fn alive(_: u32) -> bool {
        true
    }

    /// Those of the first workers.
    fn tallies(places: Range<usize>) -> impl Iterator<Item = Tally> + Clone {
        places.map(|place| Tally { place, turn: 0 })
    }

    fn take(board: &InFlight<'_>, row: Row, places: Range<usize>, limit: u32) -> Option<usize> {
        board.take(row, limit, tallies(places)).map(|tally| tally.place)
    }

    fn give_back(board: &InFlight<'_>, row: Row, place: usize) {
        board.give_back(row, Tally { place, turn: 0 });
    }

    fn loads(board: &InFlight<'_>, places: Range<usize>) -> Vec<u32> {
        tallies(places).map(|tally| board.load(tally)).collect()
    }

    #[test]
    fn the_least_loaded_place_below_the_limit_is_taken() {
        let layout = Layout::new(1, 3, 2);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        let row = board.claim(7, alive).unwrap();
        let taken: Vec<_> = (0..7).map(|_| take(&board, row, 0..3, 2)).collect();
        assert_eq!(taken, [Some(0), Some(1), Some(2), Some(0), Some(1), Some(2), None]);
        give_back(&board, row, 1);
        assert_eq!(take(&board, row, 0..3, 2), Some(1));
        assert_eq!(loads(&board, 0..3), [2, 2, 2]);
    }

    #[test]
    fn groups_have_places_of_their_own() {
        let layout = Layout::new(2, 3, 1);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        let row = board.claim(7, alive).unwrap();
        assert_eq!(take(&board, row, 1..3, 1), Some(1));
        assert_eq!(take(&board, row, 1..3, 1), Some(2));
        assert_eq!(take(&board, row, 1..3, 1), None);
        assert_eq!(take(&board, row, 0..1, 1), Some(0));
    }

    #[test]
    fn no_places_and_those_that_are_not_there_are_none() {
        let layout = Layout::new(1, 2, 1);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        let row = board.claim(7, alive).unwrap();
        assert_eq!(take(&board, row, 0..0, 9), None);
        assert_eq!(take(&board, row, 5..6, 9), None);
        assert_eq!(board.take(row, 9, std::iter::once(Tally { place: usize::MAX, turn: u32::MAX })), None);
    }

    #[test]
    fn a_successor_begins_with_none_and_what_is_given_back_is_the_old_workers() {
        let layout = Layout::new(1, 2, 1);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        let row = board.claim(7, alive).unwrap();
        let turn = |turn| Tally { place: 0, turn };
        let one = |turn| std::iter::once(Tally { place: 0, turn });
        let old = board.take(row, 1, one(3)).unwrap();
        assert_eq!(board.take(row, 1, one(3)), None);
        // As many as may have requests at a time, beside it.
        let taken: Vec<_> = (4..3 + TURNS).map(|turn| board.take(row, 1, one(turn)).unwrap()).collect();
        assert_eq!((board.load(turn(3)), loads(&board, 1..2)), (1, vec![0]));
        taken.into_iter().for_each(|tally| board.give_back(row, tally));
        assert_eq!(board.load(turn(3)), 1, "its own only");
        assert_eq!(board.take(row, 1, one(3 + TURNS)), None, "it has not ended yet");
        board.give_back(row, old);
        assert_eq!(board.take(row, 1, one(3 + TURNS)).map(|tally| tally.turn), Some(3 + TURNS));
    }

    #[test]
    fn a_dead_childs_share_is_taken_back_by_who_takes_its_row() {
        let layout = Layout::new(1, 2, 2);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        let (dead, other) = (board.claim(7, alive).unwrap(), board.claim(8, alive).unwrap());
        assert_ne!(dead, other);
        for row in [dead, dead, dead, other] {
            take(&board, row, 0..2, 9).unwrap();
        }
        assert_eq!(loads(&board, 0..2), [2, 2]);
        assert_eq!(board.claim(9, alive), None);
        assert_eq!(board.claim(9, |pid| pid != 7), Some(dead));
        assert_eq!(loads(&board, 0..2), [0, 1]);
        // The number of a dead child came round again.
        assert_eq!(board.claim(8, alive), Some(other));
        assert_eq!(loads(&board, 0..2), [0, 0]);
    }

    #[test]
    fn a_dead_childs_share_is_taken_back_by_the_living() {
        let layout = Layout::new(1, 2, 3);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        let rows = [7, 8, 9].map(|pid| board.claim(pid, alive).unwrap());
        for row in rows {
            take(&board, row, 0..1, 9).unwrap();
        }
        board.bury(8, alive);
        assert_eq!(loads(&board, 0..2), [3, 0]);
        board.bury(8, |pid| pid == 9);
        assert_eq!(loads(&board, 0..2), [2, 0], "its own share stays");
        board.bury(8, |pid| pid == 9);
        assert_eq!(loads(&board, 0..2), [2, 0]);
        assert_eq!(board.claim(10, alive), Some(rows[0]), "the row is free");
    }

    #[test]
    fn a_child_that_ends_frees_its_row() {
        let layout = Layout::new(1, 1, 1);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        let row = board.claim(7, alive).unwrap();
        take(&board, row, 0..1, 9).unwrap();
        board.release(row);
        assert_eq!(loads(&board, 0..1), [0]);
        assert_eq!(board.claim(8, alive), Some(row));
    }

    #[test]
    fn numbers_never_go_below_zero() {
        let layout = Layout::new(1, 1, 1);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        let row = board.claim(7, alive).unwrap();
        give_back(&board, row, 0);
        assert_eq!(loads(&board, 0..1), [0]);
    }

    #[test]
    fn every_group_has_those_who_wait_and_there_are_no_more() {
        let layout = Layout::new(2, 1, 1);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        board.waiting(1).unwrap().store(6, Ordering::SeqCst);
        assert_eq!((board.waiting(0).unwrap().load(Ordering::SeqCst), loads(&board, 0..1)), (0, vec![0]));
        assert!(board.waiting(2).is_none());
    }

    #[test]
    fn too_little_memory_is_refused() {
        let layout = Layout::new(1, 2, 3);
        assert_eq!(layout.words(), 1 + 20 + 3 * 21);
        let memory = memory(layout);
        assert!(InFlight::new(layout, &memory[1..]).is_none());
    }

    #[test]
    fn many_threads_never_pass_the_limit_and_leave_nothing_behind() {
        let layout = Layout::new(1, 3, 8);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        let over = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for pid in 1..=8 {
                let over = &over;
                scope.spawn(move || {
                    let row = board.claim(pid, alive).unwrap();
                    for _ in 0..2000 {
                        if let Some(tally) = board.take(row, 2, tallies(0..3)) {
                            over.fetch_add(u32::from(board.load(tally) > 2), Ordering::SeqCst);
                            board.give_back(row, tally);
                        }
                    }
                });
            }
        });
        assert_eq!((over.into_inner(), loads(&board, 0..3)), (0, vec![0, 0, 0]));
    }
}
