//! The requests of a worker as its timers see them: written by the threads that serve, read by the control thread, without a lock in
//! between where it matters.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::python::Running;
use crate::supervise::worker::{Active, Sight};

/// Times in nanoseconds since the process began, 0 for never.
pub(super) struct Requests {
    began: Instant,
    slots: Vec<Slot>,
    finished: AtomicU64,
    first: AtomicU64,
    activity: AtomicU64,
    loaded: AtomicBool,
    alive: AtomicU64,
}

/// What one thread serves.
pub(super) struct Slot {
    /// When the request began; 0 is none.
    since: AtomicU64,
    serial: AtomicU64,
    running: OnceLock<Running>,
    group: Mutex<Vec<u8>>,
}

impl Requests {
    pub(super) fn new(threads: usize) -> Requests {
        let slot = || Slot {
            since: AtomicU64::new(0),
            serial: AtomicU64::new(0),
            running: OnceLock::new(),
            group: Mutex::default(),
        };
        Requests {
            began: Instant::now(),
            slots: (0..threads).map(|_| slot()).collect(),
            finished: AtomicU64::new(0),
            first: AtomicU64::new(0),
            activity: AtomicU64::new(0),
            loaded: AtomicBool::new(false),
            alive: AtomicU64::new(0),
        }
    }

    /// The time since the process began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn stamp(&self) -> u64 {
        u64::try_from(self.now().as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    pub(super) fn slot(&self, thread: usize) -> Option<&Slot> {
        self.slots.get(thread)
    }

    /// A request begins on this thread; its number there.
    pub(super) fn begin(&self, slot: &Slot, group: &[u8]) -> u64 {
        let now = self.stamp();
        {
            let mut place = slot.group.lock().unwrap_or_else(PoisonError::into_inner);
            place.clear();
            place.extend_from_slice(group);
        }
        let serial = slot.serial.fetch_add(1, Ordering::SeqCst) + 1;
        slot.since.store(now, Ordering::SeqCst);
        // The first one stays.
        let _ = self.first.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
        serial
    }

    /// The request that began on this thread has ended; how many have by now.
    pub(super) fn end(&self, slot: &Slot) -> u64 {
        slot.since.store(0, Ordering::SeqCst);
        self.finished.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// How many are finished.
    pub(super) fn finished(&self) -> u64 {
        self.finished.load(Ordering::SeqCst)
    }

    /// What began was none after all.
    pub(super) fn undo(&self, slot: &Slot) {
        slot.since.store(0, Ordering::SeqCst);
    }

    /// Something happened that `inactivity-timeout` counts; when.
    pub(super) fn touch(&self) -> Duration {
        let now = self.stamp();
        self.activity.store(now, Ordering::Relaxed);
        Duration::from_nanos(now)
    }

    /// A script was loaded.
    pub(super) fn loaded(&self) {
        self.loaded.store(true, Ordering::Relaxed);
    }

    /// The interpreter lock could be taken.
    pub(super) fn alive(&self) {
        self.alive.store(self.stamp(), Ordering::Relaxed);
    }

    /// The requests under way.
    pub(super) fn active(&self) -> Vec<Active> {
        let seen = |(thread, slot): (usize, &Slot)| {
            let (serial, since) = (slot.serial.load(Ordering::SeqCst), slot.since.load(Ordering::SeqCst));
            // The two belong together if the number is still the same.
            (since != 0 && serial == slot.serial.load(Ordering::SeqCst)).then_some(Active {
                thread,
                serial,
                since: Duration::from_nanos(since),
            })
        };
        self.slots.iter().enumerate().filter_map(seen).collect()
    }

    /// What the timers look at, with the requests under way.
    pub(super) fn sight<'a>(&self, active: &'a [Active], closed: bool, memory: Option<u64>) -> Sight<'a> {
        let time = |stamp: &AtomicU64| {
            let stamp = stamp.load(Ordering::SeqCst);
            (stamp != 0).then_some(Duration::from_nanos(stamp))
        };
        Sight {
            active,
            finished: self.finished.load(Ordering::SeqCst),
            first_request: time(&self.first),
            last_activity: time(&self.activity),
            loaded: self.loaded.load(Ordering::Relaxed),
            alive: time(&self.alive).unwrap_or_default(),
            memory,
            closed,
        }
    }
}

impl Slot {
    /// When its request began, counted from the process's begin.
    pub(super) fn since(&self) -> Duration {
        Duration::from_nanos(self.since.load(Ordering::Relaxed))
    }

    /// The calling thread is the slot's from now on.
    pub(super) fn settle(&self) -> &Running {
        self.running.get_or_init(Running::here)
    }

    /// The thread as another one can interrupt it, and the application group that it serves.
    pub(super) fn running(&self) -> Option<(&Running, Vec<u8>)> {
        let group = self.group.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some((self.running.get()?, group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_seen_from_its_begin_to_its_end() {
        let requests = Requests::new(2);
        let slot = requests.slot(1).unwrap();
        assert_eq!(requests.sight(&[], false, None).first_request, None);
        assert_eq!(requests.begin(slot, b"shop"), 1);
        let active = requests.active();
        assert_eq!(active.iter().map(|one| (one.thread, one.serial)).collect::<Vec<_>>(), [(1, 1)]);
        let sight = requests.sight(&active, true, Some(7));
        assert_eq!(sight.first_request, Some(active[0].since));
        assert_eq!((sight.finished, sight.last_activity, sight.closed), (0, None, true));
        requests.touch();
        assert!(requests.sight(&[], false, None).last_activity.is_some());
        assert_eq!(requests.end(slot), 1);
        assert_eq!(requests.active(), []);
        assert_eq!(requests.begin(slot, b""), 2);
        requests.undo(slot);
        assert_eq!((requests.active(), requests.sight(&[], false, None).finished), (vec![], 1));
    }
}
