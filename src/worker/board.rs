//! This process's seat on its group's board: what is written there with each request, and read again for lines of the log.
//!
//! The supervisor reads it when the process has ended, httpd's children when an answer does not come.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use crate::board::{BoardLayout, List, Seat, SeatSight};
use crate::os::forked;
use crate::os::memory::{SharedWords, shared_clock};

/// The seat.
pub(super) struct Board {
    words: &'static SharedWords,
    layout: BoardLayout,
    pub(super) seat: Seat<'static>,
}

impl Board {
    /// `place`: the group's memory, and which seat of it; without, nobody but this process sees what is written. Called once, before
    /// applications run: the memory stays for the life of the process, and its descriptor does not.
    ///
    /// # Errors
    /// The system's, or it is no such memory.
    pub(super) fn take(layout: BoardLayout, place: Option<(OwnedFd, usize)>) -> io::Result<Board> {
        let words = match place {
            Some((memory, seat)) => SharedWords::part(memory, layout.seat(seat).ok_or(io::ErrorKind::InvalidData)?),
            None => SharedWords::new(layout.seat_words()),
        }?;
        let words: &SharedWords = Box::leak(Box::new(words));
        forked::keep_memory_from_children(words);
        let seat = Seat::new(layout, words.words()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Board { words, layout, seat })
    }

    /// Times count from now.
    pub(super) fn open(&self) {
        self.seat.open(shared_clock());
    }

    /// For the end of a line: the requests under way.
    pub(super) fn in_progress(&self) -> String {
        let running = self.look(|seat| seat.running(shared_clock()));
        if running.is_empty() {
            "no request is in progress".to_owned()
        } else {
            format!("in progress: {}", List(&running))
        }
    }

    /// For a line about one thread: what it serves.
    pub(super) fn served_by(&self, thread: usize) -> String {
        let running = self.look(|seat| seat.running_on(thread, shared_clock()));
        running.map_or_else(|| "a request that has just ended".to_owned(), |running| running.to_string())
    }

    fn look<R>(&self, look: impl FnOnce(SeatSight<'_>) -> R) -> R {
        let read = |place: usize| self.words.words().get(place).map_or(0, |word| word.load(Ordering::Acquire));
        look(SeatSight::new(self.layout, &read))
    }
}
