//! The boards of groups: gives seats to workers, says in the register who has them, reads what a worker was doing when it ended.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::board::{BoardLayout, CAUSES, List, Register, Sight, Stage};
use crate::os::memory::{SharedWords, shared_clock};

/// The board of one group. It outlives restarts of httpd as the group's sockets do.
#[derive(Debug)]
pub(super) struct Board {
    words: SharedWords,
    descriptor: OwnedFd,
    layout: BoardLayout,
    /// By slot, where our turns begin: workers of a supervisor before this one may finish what they have.
    first_turns: Vec<u32>,
    /// The seats that no worker of ours has; whose worker ended first is given first, so that httpd's children can look what it did.
    free: RefCell<VecDeque<usize>>,
}

/// A worker's seat, until its process has ended.
#[derive(Debug)]
pub(super) struct Seat {
    board: Rc<Board>,
    pub(super) number: usize,
}

impl Board {
    /// `descriptor`: memory that the parent made for it.
    ///
    /// # Errors
    /// It is no such memory, or too small.
    pub(super) fn new(descriptor: OwnedFd, layout: BoardLayout) -> io::Result<Rc<Board>> {
        let words = SharedWords::of(descriptor.try_clone()?, layout.words())?;
        let free = RefCell::new((0..layout.seats()).collect());
        let mut board = Board { words, descriptor, layout, first_turns: Vec::new(), free };
        // Where there was none, children may have begun to count already, for our first ones.
        let before = u32::from(board.register().is_some_and(|register| register.found()));
        let next = |slot| board.look(|sight| sight.turn(slot).wrapping_add(before));
        board.first_turns = (0..layout.slots()).map(next).collect();
        (0..layout.slots()).for_each(|slot| board.set_turn(slot, 0));
        Ok(Rc::new(board))
    }

    /// A seat for a worker that is about to start; none where too many others have not ended.
    pub(super) fn seat(self: &Rc<Board>, slot: u32) -> Option<Seat> {
        let mut free = self.free.borrow_mut();
        // A supervisor before this one may have left workers that finish what they have.
        let place = free.iter().position(|seat| !self.is_taken(*seat))?;
        let number = free.remove(place)?;
        self.register()?.take(number, slot);
        Some(Seat { board: Rc::clone(self), number })
    }

    /// So many workers of ours have ceased to serve in this place.
    pub(super) fn set_turn(&self, slot: usize, turn: u32) {
        if let (Some(register), Some(first)) = (self.register(), self.first_turns.get(slot)) {
            register.set_turn(slot, first.wrapping_add(turn));
        }
    }

    pub(super) fn set_causes(&self, slot: usize, causes: &[u32; CAUSES]) {
        if let Some(register) = self.register() {
            register.set_causes(slot, causes);
        }
    }

    fn is_taken(&self, seat: usize) -> bool {
        let worker = self.look(|sight| sight.worker(seat));
        worker.is_some_and(|(_, pid, stage)| stage != Stage::Ended && is_alive(pid))
    }

    fn register(&self) -> Option<Register<'_>> {
        Register::new(self.layout, self.words.words())
    }

    fn look<R>(&self, look: impl FnOnce(Sight<'_>) -> R) -> R {
        let read = |place: usize| self.words.words().get(place).map_or(0, |word| word.load(Ordering::Acquire));
        look(Sight::new(self.layout, &read))
    }
}

impl Seat {
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.board.descriptor.as_fd()
    }

    pub(super) fn set_pid(&self, pid: i32) {
        if let (Some(register), Ok(pid)) = (self.board.register(), u32::try_from(pid)) {
            register.set_pid(self.number, pid);
        }
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        if let Some(register) = self.board.register() {
            register.set_stage(self.number, stage);
        }
    }

    /// The requests under way, as a line names them; nothing where there are none.
    pub(super) fn running(&self) -> Option<String> {
        let running = self.board.look(|sight| Some(sight.seat(self.number)?.running(shared_clock())));
        running.filter(|running| !running.is_empty()).map(|running| List(&running).to_string())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.set_stage(Stage::Ended);
        self.board.free.borrow_mut().push_back(self.number);
    }
}

/// Is there such a process?
fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| pid > 0 && kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::board::{self, Task};
    use crate::os::memory::sealed;

    fn board(layout: BoardLayout) -> Rc<Board> {
        Board::new(sealed(layout.words()).unwrap(), layout).unwrap()
    }

    #[test]
    fn a_seat_is_given_again_after_all_others() {
        let board = board(BoardLayout::new(1, 1));
        let first = board.seat(0).unwrap();
        assert_eq!(first.number, 0);
        drop(first);
        let seats: Vec<_> = std::iter::from_fn(|| board.seat(0)).collect();
        let numbers: Vec<_> = seats.iter().map(|seat| seat.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 0]);
        assert!(board.seat(0).is_none());
        drop(seats);
        assert_eq!(board.seat(0).unwrap().number, 1);
    }

    #[test]
    fn what_a_worker_did_is_there_until_another_has_its_seat() {
        let layout = BoardLayout::new(1, 1);
        let board = board(layout);
        let seat = board.seat(0).unwrap();
        seat.set_pid(4711);
        assert_eq!((seat.running(), board.look(|sight| sight.worker(0))), (None, Some((0, 4711, Stage::Starting))));
        let words = &board.words.words()[layout.seat(0).unwrap()];
        let worker = board::Seat::new(layout, words).unwrap();
        worker.open(shared_clock());
        worker.begin(0, Duration::ZERO, &Task { method: b"GET", path: [b"", b"/a"], id: b"" });
        assert!(seat.running().unwrap().starts_with("GET /a ("));
        drop(seat);
        assert_eq!(board.look(|sight| sight.worker(0)), Some((0, 4711, Stage::Ended)));
        let seats: Vec<_> = std::iter::from_fn(|| board.seat(0)).collect();
        assert_eq!(seats.last().map(|last| (last.number, last.running())), Some((0, None)));
    }

    #[test]
    fn another_supervisors_worker_keeps_its_seat_while_it_lives() {
        let layout = BoardLayout::new(1, 1);
        let memory = sealed(layout.words()).unwrap();
        let before = Board::new(memory.try_clone().unwrap(), layout).unwrap();
        let (alive, gone) = (before.seat(0).unwrap(), before.seat(0).unwrap());
        alive.set_pid(nix::unistd::getpid().as_raw());
        // No process has such a number.
        gone.set_pid(i32::MAX);
        let after = Board::new(memory, layout).unwrap();
        let numbers: Vec<_> = std::iter::from_fn(|| after.seat(0)).map(|seat| seat.number).take(6).collect();
        assert!(numbers.contains(&gone.number) && !numbers.contains(&alive.number), "{numbers:?}");
    }

    #[test]
    fn turns_go_on_where_another_supervisor_has_left_them() {
        let layout = BoardLayout::new(2, 1);
        let memory = sealed(layout.words()).unwrap();
        let turns = |board: &Board| [0, 1, 2].map(|slot| board.look(|sight| sight.turn(slot)));
        let before = Board::new(memory.try_clone().unwrap(), layout).unwrap();
        assert_eq!(turns(&before), [0, 0, 0], "as where nobody has said anything");
        before.set_turn(1, 4);
        before.set_turn(2, 4);
        assert_eq!(turns(&before), [0, 4, 0]);
        // Workers of before may still have requests.
        let after = Board::new(memory, layout).unwrap();
        assert_eq!(turns(&after), [1, 5, 0]);
        after.set_turn(1, 1);
        assert_eq!(turns(&after), [1, 6, 0]);
    }

    #[test]
    fn other_memory_is_refused() {
        let layout = BoardLayout::new(1, 1);
        assert!(Board::new(sealed(layout.words() - 1).unwrap(), layout).is_err());
        assert!(Board::new(std::fs::File::open("/dev/zero").unwrap().into(), layout).is_err());
    }
}
