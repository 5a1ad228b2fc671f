//! The thread that sends what is held of answers (`outlet`) when the application does not go on.

use std::sync::{Condvar, Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::Duration;

use super::outlet::Outlet;

/// The time from one look to the next; what is seen twice is sent.
const NAP: Duration = Duration::from_millis(1);
/// After so many naps without anything to look at the thread sleeps until there is; to wake it costs more than a nap.
const REST: u32 = 20;

/// What the thread looks at.
#[derive(Default)]
pub(super) struct Flush {
    watched: Mutex<Watched>,
    some: Condvar,
}

#[derive(Default)]
struct Watched {
    outlets: Vec<Weak<Outlet>>,
    asleep: bool,
}

impl Flush {
    /// Looks at this one from now on, until [`Outlet::look`] says that there is nothing more. False where that can't be had at once.
    pub(super) fn watch(&self, outlet: Weak<Outlet>) -> bool {
        // In a process that an application forked, nobody may be there to unlock it.
        let Ok(mut watched) = self.watched.try_lock() else { return false };
        watched.outlets.push(outlet);
        if std::mem::take(&mut watched.asleep) {
            self.some.notify_one();
        }
        true
    }

    /// The thread's life.
    pub(super) fn run(&self) {
        let mut idle = 0;
        loop {
            if idle >= REST {
                self.wait();
            }
            sleep(NAP);
            idle = if self.look() { 0 } else { idle + 1 };
        }
    }

    fn wait(&self) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        while watched.outlets.is_empty() {
            watched.asleep = true;
            watched = self.some.wait(watched).unwrap_or_else(PoisonError::into_inner);
        }
        watched.asleep = false;
    }

    /// Looks once at all; false where there was nothing.
    fn look(&self) -> bool {
        let mut outlets = {
            let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut watched.outlets)
        };
        let some = !outlets.is_empty();
        outlets.retain(|outlet| outlet.upgrade().is_some_and(|outlet| outlet.look()));
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.outlets.append(&mut outlets);
        some
    }
}
