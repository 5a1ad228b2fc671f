//! Requests in flight per worker process, over all children, with a row per child so that a dead child's share is taken back.
//!
//! A *column* is one worker process (a slot of a group). `totals` decides who gets a request; the rows only remember whose it is.
//! A child that dies between the two leaves at most one too few in a total, never one too many: a worker may get one request more than
//! meant, but none stays unused for ever.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// How the numbers lie in memory. The parent makes it with the configuration; its children inherit both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    groups: usize,
    columns: usize,
    rows: usize,
}

/// Words of a group: what its waiters sleep on, and how many they are.
const GROUP_WORDS: usize = 2;

impl Layout {
    /// `columns`: worker processes of all groups together. `rows`: as many children as may live at a time.
    #[must_use]
    pub const fn new(groups: usize, columns: usize, rows: usize) -> Layout {
        Layout { groups, columns, rows }
    }

    /// The same for a process that counts alone.
    #[must_use]
    pub const fn of_one_row(&self) -> Layout {
        Layout { rows: 1, ..*self }
    }

    /// How many numbers the memory holds; all begin as 0.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.groups * GROUP_WORDS + self.columns + self.rows * self.row_words()
    }

    /// A row is a process id (0: free) and a count for each column.
    const fn row_words(&self) -> usize {
        1 + self.columns
    }

    const fn totals(&self) -> usize {
        self.groups * GROUP_WORDS
    }

    const fn row(&self, row: usize) -> usize {
        self.totals() + self.columns + row * self.row_words()
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

    /// Takes a place at the least loaded of these columns that has fewer than `limit` requests and is not passed over; the first of equals.
    #[must_use]
    pub fn take(
        &self,
        row: Row,
        columns: Range<usize>,
        limit: u32,
        pass_over: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        loop {
            let candidates = columns.clone().filter(|column| !pass_over(*column));
            let (load, column) = candidates.map(|column| (self.load(column), column)).min()?;
            if load >= limit {
                return None;
            }
            let total = self.total(column)?;
            let mine = self.mine(row, column)?;
            mine.fetch_add(1, Ordering::SeqCst);
            if total.compare_exchange(load, load + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                return Some(column);
            }
            less(mine, 1);
        }
    }

    /// Gives a place back that `take` gave.
    pub fn give_back(&self, row: Row, column: usize) {
        // Totals first: dying in between leaves too few.
        if let (Some(total), Some(mine)) = (self.total(column), self.mine(row, column)) {
            less(total, 1);
            less(mine, 1);
        }
    }

    /// Requests in flight at a column.
    #[must_use]
    pub fn load(&self, column: usize) -> u32 {
        self.total(column).map_or(u32::MAX, |total| total.load(Ordering::SeqCst))
    }

    /// What waiters of a group sleep on: it changes whenever a place may be free.
    #[must_use]
    pub fn bell(&self, group: usize) -> Option<&'m AtomicU32> {
        self.words.get(..self.layout.totals())?.get(group * GROUP_WORDS)
    }

    /// How many wait for a place of the group. A child that died waiting stays counted, which costs a system call per request only.
    #[must_use]
    pub fn waiting(&self, group: usize) -> Option<&'m AtomicU32> {
        self.words.get(..self.layout.totals())?.get(group * GROUP_WORDS + 1)
    }

    fn owner(&self, row: Row) -> u32 {
        self.words.get(self.layout.row(row.0)).map_or(0, |word| word.load(Ordering::SeqCst))
    }

    fn give_back_row(&self, row: Row) {
        for column in 0..self.layout.columns {
            if let (Some(total), Some(mine)) = (self.total(column), self.mine(row, column)) {
                less(total, mine.swap(0, Ordering::SeqCst));
            }
        }
    }

    fn total(&self, column: usize) -> Option<&'m AtomicU32> {
        (column < self.layout.columns).then(|| self.words.get(self.layout.totals() + column))?
    }

    fn mine(&self, row: Row, column: usize) -> Option<&'m AtomicU32> {
        let inside = column < self.layout.columns && row.0 < self.layout.rows;
        inside.then(|| self.words.get(self.layout.row(row.0) + 1 + column))?
    }
}

/// Subtracts, but never below 0: what another process left behind is not trusted.
fn less(word: &AtomicU32, by: u32) {
    // The closure always answers, so this can't fail.
    let _ = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| Some(count.saturating_sub(by)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(layout: Layout) -> Vec<AtomicU32> {
        (0..layout.words()).map(|_| AtomicU32::new(0)).collect()
    }

    fn alive(_: u32) -> bool {
        true
    }

    fn loads(board: &InFlight<'_>, columns: Range<usize>) -> Vec<u32> {
        columns.map(|column| board.load(column)).collect()
    }

    #[test]
    fn the_least_loaded_column_below_the_limit_is_taken() {
        let layout = Layout::new(1, 3, 2);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        let row = board.claim(7, alive).unwrap();
        let taken: Vec<_> = (0..7).map(|_| board.take(row, 0..3, 2, |_| false)).collect();
        assert_eq!(taken, [Some(0), Some(1), Some(2), Some(0), Some(1), Some(2), None]);
        board.give_back(row, 1);
        assert_eq!(board.take(row, 0..3, 2, |_| false), Some(1));
        assert_eq!(loads(&board, 0..3), [2, 2, 2]);
    }

    #[test]
    fn groups_have_columns_of_their_own() {
        let layout = Layout::new(2, 3, 1);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        let row = board.claim(7, alive).unwrap();
        assert_eq!(board.take(row, 1..3, 1, |_| false), Some(1));
        assert_eq!(board.take(row, 1..3, 1, |_| false), Some(2));
        assert_eq!(board.take(row, 1..3, 1, |_| false), None);
        assert_eq!(board.take(row, 0..1, 1, |_| false), Some(0));
    }

    #[test]
    fn columns_can_be_passed_over_and_no_columns_are_none() {
        let layout = Layout::new(1, 2, 1);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        let row = board.claim(7, alive).unwrap();
        assert_eq!(board.take(row, 0..2, 9, |column| column == 0), Some(1));
        assert_eq!(board.take(row, 0..2, 9, |_| true), None);
        assert_eq!(board.take(row, 0..0, 9, |_| false), None);
        assert_eq!(board.take(row, 5..6, 9, |_| false), None);
    }

    #[test]
    fn a_dead_childs_share_is_taken_back_by_who_takes_its_row() {
        let layout = Layout::new(1, 2, 2);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        let (dead, other) = (board.claim(7, alive).unwrap(), board.claim(8, alive).unwrap());
        assert_ne!(dead, other);
        for row in [dead, dead, dead, other] {
            board.take(row, 0..2, 9, |_| false).unwrap();
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
            board.take(row, 0..1, 9, |_| false).unwrap();
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
        board.take(row, 0..1, 9, |_| false).unwrap();
        board.release(row);
        assert_eq!(board.load(0), 0);
        assert_eq!(board.claim(8, alive), Some(row));
    }

    #[test]
    fn numbers_never_go_below_zero() {
        let layout = Layout::new(1, 1, 1);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        let row = board.claim(7, alive).unwrap();
        board.give_back(row, 0);
        assert_eq!(board.load(0), 0);
    }

    #[test]
    fn every_group_has_a_bell_and_there_are_no_more() {
        let layout = Layout::new(2, 1, 1);
        let memory = memory(layout);
        let board = InFlight::new(layout, &memory).unwrap();
        board.bell(1).unwrap().store(5, Ordering::SeqCst);
        board.waiting(1).unwrap().store(6, Ordering::SeqCst);
        assert_eq!((board.bell(0).unwrap().load(Ordering::SeqCst), board.load(0)), (0, 0));
        assert!(board.bell(2).is_none() && board.waiting(2).is_none());
    }

    #[test]
    fn too_little_memory_is_refused() {
        let layout = Layout::new(1, 2, 3);
        assert_eq!(layout.words(), 2 + 2 + 3 * 3);
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
                        if let Some(column) = board.take(row, 0..3, 2, |_| false) {
                            over.fetch_add(u32::from(board.load(column) > 2), Ordering::SeqCst);
                            board.give_back(row, column);
                        }
                    }
                });
            }
        });
        assert_eq!((over.into_inner(), loads(&board, 0..3)), (0, vec![0, 0, 0]));
    }
}
