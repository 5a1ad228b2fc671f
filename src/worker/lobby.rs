//! Where threads wait that have nothing to do.
//!
//! Only one thread at a time can run Python, so only few need to be ready for the next request: [`SEATS`] of them wait for connections,
//! or with a request for the interpreter; the others sleep. A thread leaves its seat when it has the interpreter, and the one that leaves
//! the last seat wakes a sleeper. So as long as requests only compute, one thread answers them one after the other while nobody else
//! wakes; and as soon as one of them waits for something, the interpreter goes to a thread that has the next one in its hands.
//!
//! Where interpreters have GILs of their own, more than one thread can: a thread leaves its seat before it waits for an interpreter.
//!
//! Where requests are over before a thread could wake, the second seat's thread stands by: it looks only now and then whether the other one
//! still gets on.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// One that has the next request, and one that the request after that wakes: with a single seat every request that comes alone would have
/// to wake a sleeper.
const SEATS: usize = 2;

/// The seats of a process.
#[derive(Default)]
pub(super) struct Lobby {
    taken: Mutex<usize>,
    free: Condvar,
    /// Somebody with a seat stands by.
    standby: AtomicBool,
}

/// A thread with a seat that does not wait for connections for now.
pub(super) struct Standby<'l>(&'l Lobby);

/// A seat that a thread has.
pub(super) struct Seat<'l> {
    lobby: &'l Lobby,
    taken: Cell<bool>,
}

impl Lobby {
    /// Takes a seat; sleeps while there is none.
    pub(super) fn enter(&self) -> Seat<'_> {
        let taken = self.taken();
        let mut taken = self.free.wait_while(taken, |taken| *taken >= SEATS).unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Seat { lobby: self, taken: Cell::new(true) }
    }

    /// Lets a thread with a seat look away, if nobody else does and somebody has another seat, or (`served`) a request.
    pub(super) fn stand_by(&self, served: bool) -> Option<Standby<'_>> {
        let safe = served || *self.taken() > 1;
        (safe && !self.standby.swap(true, Ordering::SeqCst)).then(|| Standby(self))
    }

    fn taken(&self) -> MutexGuard<'_, usize> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Standby<'_> {
    fn drop(&mut self) {
        self.0.standby.store(false, Ordering::SeqCst);
    }
}

impl Seat<'_> {
    /// Leaves the seat, if that was not done before.
    pub(super) fn leave(&self) {
        if !self.taken.replace(false) {
            return;
        }
        let mut taken = self.lobby.taken();
        *taken = taken.saturating_sub(1);
        let empty = *taken == 0;
        drop(taken);
        if empty {
            self.lobby.free.notify_one();
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_stands_by_where_no_other_thread_serves() {
        let lobby = Lobby::default();
        let _seat = lobby.enter();
        assert!(lobby.stand_by(false).is_none());
        let _other = lobby.enter();
        assert!(lobby.stand_by(false).is_some());
    }

    #[test]
    fn only_one_stands_by() {
        let lobby = Lobby::default();
        let _seat = lobby.enter();
        let standby = lobby.stand_by(true);
        assert!(standby.is_some() && lobby.stand_by(true).is_none());
        drop(standby);
        assert!(lobby.stand_by(true).is_some());
    }
}
