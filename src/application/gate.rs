//! One loader at a time while others wait: an import may take seconds, and must happen once.

use std::sync::{Condvar, Mutex, PoisonError};

/// Lets one thread in at a time. Unlike a mutex's, its guard may be held across Python code: waiting for it needs no interpreter,
/// and holding it keeps no lock.
#[derive(Default)]
pub(super) struct Gate {
    busy: Mutex<bool>,
    free: Condvar,
}

/// One thread inside; leaves on drop.
pub(super) struct Inside<'g>(&'g Gate);

impl Gate {
    /// Blocks until nobody is inside. For detached threads.
    pub(super) fn enter(&self) -> Inside<'_> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while *busy {
            busy = self.free.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        *busy = true;
        Inside(self)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.0.busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.free.notify_one();
    }
}
