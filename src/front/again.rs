//! A client that asks again at once is answered by the same thread.
//!
//! Between two requests of a connection the event MPM gives it to its listener, and another thread takes it from there: two wake-ups,
//! which cost more than a short request itself. A proxy that keeps its connections busy asks again within microseconds. So where the
//! last requests of a connection did, its thread writes the answer out, lets httpd end and log the request, and waits a moment for the
//! next one, which httpd then takes up like one that was sent together with the one before.
//!
//! Such a thread takes the processor from nobody when it wakes ([`Policy`]): what wakes it, a client or a daemon process, is in the midst of sending to
//! others, too.
//!
//! In a child, on the thread that has the connection.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::admit::service;
use crate::apache::{Answer, Request, server};
use crate::os::policy::Policy;

/// What is at once: microseconds. On a busy machine most of it is the way through the listener.
const AT_ONCE: i64 = 5_000;
/// So many requests in a row must have come at once before the next one is waited for.
const TRUST: u32 = 2;
/// So many a thread takes in a row, at most: clients that come by way of the listener have their turn.
const TURN: u32 = 256;
/// The same while no other client is waited for: a single client is answered sooner with a change of thread now and then, by measurement.
const ALONE: u32 = 64;
/// A request that took longer is not worth it: microseconds.
const SHORT: i64 = 5_000;
/// How long a thread waits. Not shorter than from one of the kernel's ticks to the next (4 ms with Debian's): the processor's own clock would have to be
/// set for each wait and set back after it; `docs/performance.md` has what that costs on a virtual machine.
const PATIENCE: Duration = Duration::from_millis(5);
/// Larger answers are left to the MPM, which needs no thread while a client reads them: bytes.
const SMALL: u64 = 16 * 1024;
/// Of the threads of a child so many may wait at a time, as a part of all.
const PART: u32 = 2;

thread_local! {
    static POLICY: Policy = Policy::of_this_thread(false);
}

/// Sees to a request that has its whole answer: where its client may be expected to ask again at once, this thread will wait for that.
/// `was_quick`: what Python ran on this thread is over in a moment; hardly anything is started then that inherits how the thread is scheduled.
pub(crate) fn expect_next(request: &mut Request<'_>, was_quick: bool) {
    let expected = is_expected(request);
    POLICY.with(|policy| policy.wait_for_others(expected && was_quick));
    if expected {
        request.flush_connection();
        request.when_over(|habit: &mut Habit, client| {
            let came = Seat::take().is_some_and(|_seat| client.sends_within(PATIENCE));
            if !came {
                habit.quick = 0;
                expect_nothing();
            }
        });
    }
}

fn is_expected(request: &mut Request<'_>) -> bool {
    if *SEATS == 0 || !request.may_be_followed() || request.bytes_sent() > SMALL {
        return false;
    }
    let (asked, answered) = (request.arrived(), now());
    request.of_connection::<Habit>().is_some_and(|habit| habit.asks_again(asked, answered, Seat::all_free()))
}

/// The calling thread is scheduled as httpd made it: its client is not waited for.
pub(crate) fn expect_nothing() {
    POLICY.with(|policy| policy.wait_for_others(false));
}

/// A request comes to its handler (`fixups`). Those of others find the thread as httpd made it.
pub(crate) fn before_handler(request: &mut Request<'_>) -> Answer {
    if POLICY.with(Policy::waits) && service(request).is_none() {
        expect_nothing();
    }
    Answer::DECLINED
}

/// How a client asks.
#[derive(Debug, Default)]
struct Habit {
    /// When it had its last answer: microseconds since the epoch.
    answered: i64,
    /// So many requests in a row came at once.
    quick: u32,
}

impl Habit {
    /// Is its next request to be waited for, now that it has an answer? Times are microseconds since the epoch; `alone`: no other client is.
    fn asks_again(&mut self, asked: i64, answered: i64, alone: bool) -> bool {
        let quick = (0..=AT_ONCE).contains(&asked.saturating_sub(self.answered));
        self.quick = if quick { self.quick.saturating_add(1) } else { 0 };
        self.answered = answered;
        let turn = if alone { ALONE } else { TURN };
        self.quick >= TRUST && !self.quick.is_multiple_of(turn) && answered.saturating_sub(asked) <= SHORT
    }
}

/// How many threads of this process may wait for clients. None where a connection keeps its thread anyway.
static SEATS: LazyLock<u32> =
    LazyLock::new(|| if server::is_async() { server::max_threads().unwrap_or(0) / PART } else { 0 });

/// How many do.
static TAKEN: AtomicU32 = AtomicU32::new(0);

/// A thread that waits; another one may when it drops.
struct Seat;

impl Seat {
    fn all_free() -> bool {
        TAKEN.load(Ordering::Relaxed) == 0
    }

    fn take() -> Option<Seat> {
        // Where there was none left, the drop takes the count back.
        let (taken, seat) = (TAKEN.fetch_add(1, Ordering::Relaxed), Seat);
        (taken < *SEATS).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Microseconds since the epoch, as httpd counts.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks again so many microseconds after each answer, which takes so long; tells after which answers it was waited for.
    fn waited_for(took: i64, alone: bool, pauses: impl IntoIterator<Item = i64>) -> Vec<bool> {
        let (mut habit, mut time) = (Habit::default(), 1_000_000_000);
        let ask = |pause: i64| {
            let asked = time + pause;
            time = asked + took;
            habit.asks_again(asked, time, alone)
        };
        pauses.into_iter().map(ask).collect()
    }

    #[test]
    fn a_client_that_has_asked_at_once_is_waited_for() {
        assert_eq!(waited_for(100, false, [50_000, 20, 20, 20]), [false, false, true, true]);
        assert_eq!(waited_for(100, false, [50_000, 20, 20, 50_000, 20, 20]), [false, false, true, false, false, true]);
    }

    #[test]
    fn one_that_pauses_is_not() {
        assert!(!waited_for(100, false, [50_000; 50]).contains(&true));
        assert!(!waited_for(100, false, [-50_000; 50]).contains(&true), "a clock that was put back");
    }

    #[test]
    fn nor_is_one_whose_requests_take_long() {
        assert!(!waited_for(100_000, false, [20; 50]).contains(&true));
    }

    #[test]
    fn others_have_their_turn() {
        for (alone, most) in [(false, TURN), (true, ALONE)] {
            let turns = waited_for(100, alone, [20; 1000]);
            let longest = turns.split(|waited| !waited).map(<[bool]>::len).max();
            assert_eq!(longest, Some(most as usize - 1));
        }
    }
}
