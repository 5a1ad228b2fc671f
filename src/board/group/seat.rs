//! A worker's own part of the board. On the threads that serve, for each request: plain stores and nothing else.

use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

use super::{BoardLayout, MARKS, VERSION, parts};

/// The version; when the process began, in nanoseconds of the clock that all processes share; how many marks were ever used.
pub(super) const HEAD: usize = 16;
pub(super) const BEGAN: usize = 1;
pub(super) const MARKS_USED: usize = 3;

/// Of a thread.
pub(super) const ROW: usize = 64;
/// Odd while the rest is written.
pub(super) const SEQUENCE: usize = 0;
/// 1: a request is under way.
pub(super) const BUSY: usize = 1;
pub(super) const BEGUN: usize = 2;
pub(super) const FINISHED: usize = 3;
/// Since when, in nanoseconds after `BEGAN`.
pub(super) const SINCE: usize = 4;
/// Lengths: method and id in a byte each, then the path's, which may be more than what is there of it.
pub(super) const LENGTHS: usize = 6;
pub(super) const METHOD: usize = 7;
pub(super) const METHOD_MOST: usize = 16;
pub(super) const PATH: usize = METHOD + METHOD_MOST / 4;
pub(super) const PATH_MOST: usize = 120;
pub(super) const ID: usize = PATH + PATH_MOST / 4;
pub(super) const ID_MOST: usize = 32;
/// How many answers took less than 2^8, 2^9, ... microseconds, and in the last how many took longer.
pub(super) const TIMES: usize = ID + ID_MOST / 4;
pub(super) const TIMES_COUNT: usize = ROW - TIMES;
const FIRST_TIME: u32 = 8;

/// Of a connection: its number (two words), and how many requests were begun on it.
pub(super) const MARK: usize = 4;
pub(super) const MARK_BEGUN: usize = 2;

/// What a thread serves, as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Task<'t> {
    pub method: &'t [u8],
    /// `SCRIPT_NAME` and `PATH_INFO`, so no query string: that holds secrets.
    pub path: [&'t [u8]; 2],
    /// `mod_wsgi.request_id`, or else `UNIQUE_ID`; empty where there is none.
    pub id: &'t [u8],
}

/// The worker's sight of its own seat.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'m> {
    layout: BoardLayout,
    words: &'m [AtomicU32],
}

impl<'m> Seat<'m> {
    /// `None` where the memory is too small for the layout.
    #[must_use]
    pub fn new(layout: BoardLayout, words: &'m [AtomicU32]) -> Option<Seat<'m>> {
        (words.len() >= layout.seat_words()).then_some(Seat { layout, words })
    }

    /// The process began at this time of the clock that all processes share.
    pub fn open(&self, began: Duration) {
        let (low, high) = parts(nanoseconds(began));
        self.put(BEGAN, low, Ordering::Relaxed);
        self.put(BEGAN + 1, high, Ordering::Relaxed);
        self.put(0, VERSION, Ordering::Release);
    }

    /// A thread begins a request; `since` counts from the process's begin.
    pub fn begin(&self, thread: usize, since: Duration, task: &Task<'_>) {
        let Some(row) = self.row(thread) else { return };
        let sequence = row.get(SEQUENCE) | 1;
        row.put(SEQUENCE, sequence, Ordering::Relaxed);
        // Whoever sees one of the stores below sees the odd number as well.
        fence(Ordering::Release);
        let (low, high) = parts(nanoseconds(since));
        row.put(SINCE, low, Ordering::Relaxed);
        row.put(SINCE + 1, high, Ordering::Relaxed);
        row.put(LENGTHS, lengths(task), Ordering::Relaxed);
        row.text::<METHOD_MOST>(METHOD, [task.method, b""]);
        row.text::<PATH_MOST>(PATH, task.path);
        row.text::<ID_MOST>(ID, [task.id, b""]);
        row.put(BEGUN, row.get(BEGUN).wrapping_add(1), Ordering::Relaxed);
        row.put(BUSY, 1, Ordering::Relaxed);
        row.put(SEQUENCE, sequence.wrapping_add(1), Ordering::Release);
    }

    /// It has ended; `took`: until its answer was complete, where it was.
    pub fn end(&self, thread: usize, took: Option<Duration>) {
        let Some(row) = self.row(thread) else { return };
        if let Some(took) = took {
            let place = TIMES + bucket(took);
            row.put(place, row.get(place).wrapping_add(1), Ordering::Relaxed);
        }
        row.put(FINISHED, row.get(FINISHED).wrapping_add(1), Ordering::Relaxed);
        row.put(BUSY, 0, Ordering::Release);
    }

    /// What began was none after all.
    pub fn undo(&self, thread: usize) {
        let Some(row) = self.row(thread) else { return };
        row.put(BEGUN, row.get(BEGUN).wrapping_sub(1), Ordering::Relaxed);
        row.put(BUSY, 0, Ordering::Release);
    }

    /// A connection of this number has the mark from now on. One at a time.
    pub fn connect(&self, mark: usize, connection: u64) {
        if mark >= MARKS {
            return;
        }
        let place = self.layout.mark(mark);
        let (low, high) = parts(connection);
        self.put(place + MARK_BEGUN, 0, Ordering::Relaxed);
        self.put(place, low, Ordering::Relaxed);
        self.put(place + 1, high, Ordering::Release);
        let used = u32::try_from(mark + 1).unwrap_or(u32::MAX);
        if self.get(MARKS_USED) < used {
            self.put(MARKS_USED, used, Ordering::Release);
        }
    }

    /// A request begins on the connection that has this mark: before anything of the application's runs.
    pub fn begin_on(&self, mark: usize) {
        if mark < MARKS {
            let place = self.layout.mark(mark) + MARK_BEGUN;
            self.put(place, self.get(place).wrapping_add(1), Ordering::Release);
        }
    }

    /// The connection has ended.
    pub fn disconnect(&self, mark: usize) {
        if mark < MARKS {
            let place = self.layout.mark(mark);
            self.put(place + 1, 0, Ordering::Release);
            self.put(place, 0, Ordering::Release);
        }
    }

    fn row(&self, thread: usize) -> Option<Row<'m>> {
        let first = self.layout.row(thread);
        let words = (thread < self.layout.threads).then(|| self.words.get(first..first + ROW))??;
        Some(Row(words))
    }

    fn get(&self, place: usize) -> u32 {
        self.words.get(place).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn put(&self, place: usize, value: u32, order: Ordering) {
        if let Some(word) = self.words.get(place) {
            word.store(value, order);
        }
    }
}

/// The words of a thread, which alone writes them.
#[derive(Clone, Copy)]
struct Row<'m>(&'m [AtomicU32]);

impl Row<'_> {
    fn get(&self, place: usize) -> u32 {
        self.0.get(place).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn put(&self, place: usize, value: u32, order: Ordering) {
        if let Some(word) = self.0.get(place) {
            word.store(value, order);
        }
    }

    /// As much of both parts as there is room for; what lies behind it is of no meaning.
    fn text<const MOST: usize>(&self, place: usize, [one, two]: [&[u8]; 2]) {
        let mut text = [0; MOST];
        let (first, rest) = text.split_at_mut(one.len().min(MOST));
        first.copy_from_slice(one.get(..first.len()).unwrap_or_default());
        let count = two.len().min(rest.len());
        if let (Some(rest), Some(two)) = (rest.get_mut(..count), two.get(..count)) {
            rest.copy_from_slice(two);
        }
        let used = (one.len().saturating_add(two.len())).min(MOST).div_ceil(4);
        let words = self.0.get(place..place + used).unwrap_or_default();
        for (word, bytes) in words.iter().zip(text.as_chunks::<4>().0) {
            word.store(u32::from_le_bytes(*bytes), Ordering::Relaxed);
        }
    }
}

fn lengths(task: &Task<'_>) -> u32 {
    let [one, two] = task.path;
    let path = u16::try_from(one.len().saturating_add(two.len())).unwrap_or(u16::MAX);
    let short = |text: &[u8], most: usize| u8::try_from(text.len().min(most)).unwrap_or(u8::MAX);
    let (method, id) = (short(task.method, METHOD_MOST), short(task.id, ID_MOST));
    u32::from(method) | u32::from(id) << 8 | u32::from(path) << 16
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let bits = u64::BITS - micros.leading_zeros();
    usize::try_from(bits.saturating_sub(FIRST_TIME)).unwrap_or(0).min(TIMES_COUNT - 1)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
