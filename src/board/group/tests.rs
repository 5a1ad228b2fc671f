use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;

const LAYOUT: BoardLayout = BoardLayout { slots: 2, threads: 3 };
const BEGAN: Duration = Duration::from_secs(1000);

struct Memory(Vec<AtomicU32>);

impl Memory {
    fn new() -> Memory {
        let memory = Memory((0..LAYOUT.words()).map(|_| AtomicU32::new(0)).collect());
        memory.register().found();
        memory
    }

    fn register(&self) -> Register<'_> {
        Register::new(LAYOUT, &self.0).unwrap()
    }

    /// The seat as its worker has it.
    fn seat(&self, seat: usize) -> Seat<'_> {
        Seat::new(LAYOUT, &self.0[LAYOUT.seat(seat).unwrap()]).unwrap()
    }

    /// A worker of this place that has begun.
    fn worker(&self, seat: usize, slot: u32) -> Seat<'_> {
        self.register().take(seat, slot);
        self.seat(seat).open(BEGAN);
        self.seat(seat)
    }

    fn look<R>(&self, look: impl FnOnce(Sight<'_>) -> R) -> R {
        let read = |place: usize| self.0.get(place).map_or(0, |word| word.load(Ordering::Acquire));
        look(Sight::new(LAYOUT, &read))
    }

    fn running(&self, seat: usize, now: f64) -> String {
        let now = BEGAN + Duration::from_secs_f64(now);
        self.look(|sight| List(&sight.seat(seat).unwrap().running(now)).to_string())
    }
}

fn task<'t>(method: &'t str, path: &'t str, id: &'t str) -> Task<'t> {
    let (script, rest) = path.split_at(path.len() / 2);
    Task { method: method.as_bytes(), path: [script.as_bytes(), rest.as_bytes()], id: id.as_bytes() }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn parts_lie_behind_each_other_and_seats_on_pages_of_their_own() {
    assert_eq!(
        (LAYOUT.seats(), LAYOUT.turn(1), LAYOUT.entry(0), LAYOUT.entry(10), LAYOUT.causes(2)),
        (10, 5, 6, 46, 78)
    );
    assert_eq!(LAYOUT.seat_words(), 16 + 3 * 64 + 512 * 4);
    assert_eq!(LAYOUT.seat(0), Some(PAGE..PAGE + LAYOUT.seat_words()));
    assert_eq!(LAYOUT.seat(9).map(|range| range.start), Some(10 * PAGE));
    assert_eq!((LAYOUT.seat(10), LAYOUT.words()), (None, 11 * PAGE));
    let large = BoardLayout::new(100, 1000);
    for seat in 1..large.seats() {
        let (before, here) = (large.seat(seat - 1).unwrap(), large.seat(seat).unwrap());
        assert!(before.end <= here.start && here.start % PAGE == 0 && here.end <= large.words());
    }
    assert!(large.causes(100) <= large.seat(0).unwrap().start);
    // The last text ends before the times begin, and the last of those at the end of the row.
    assert_eq!((seat::TIMES, seat::TIMES_COUNT), (49, 15));
}

#[test]
fn too_little_memory_is_refused_and_options_beyond_all_bounds_are_too_much() {
    let memory = Memory::new();
    assert!(Register::new(LAYOUT, &memory.0[1..]).is_none());
    assert!(Seat::new(LAYOUT, &memory.0[..LAYOUT.seat_words() - 1]).is_none());
    let most = BoardLayout { slots: usize::MAX, threads: usize::MAX };
    assert_eq!(most.words(), usize::MAX);
    assert!(Register::new(most, &memory.0).is_none() && Seat::new(most, &memory.0).is_none());
}

#[test]
fn requests_are_named_from_their_begin_to_their_end_the_oldest_first() {
    let memory = Memory::new();
    let seat = memory.worker(1, 0);
    assert_eq!(memory.running(1, 1.0), "");
    seat.begin(2, ms(1900), &task("POST", "/b", "id-7"));
    seat.begin(0, ms(100), &task("GET", "/a", ""));
    assert_eq!(memory.running(1, 2.0), "GET /a (1.9 s), POST /b (0.1 s, request id-7)");
    assert_eq!(memory.running(0, 2.0), "");
    seat.end(0, Some(ms(1)));
    assert_eq!(memory.running(1, 2.0), "POST /b (0.1 s, request id-7)");
    seat.undo(2);
    assert_eq!(memory.running(1, 2.0), "");
    let counts = memory.look(|sight| sight.seat(1).unwrap().counts());
    assert_eq!((counts.begun, counts.finished), (1, 1));
    seat.begin(3, ms(1), &task("GET", "/no such thread", ""));
    assert_eq!(memory.running(1, 2.0), "");
}

#[test]
fn only_a_few_are_named() {
    let layout = BoardLayout::new(1, 17);
    let words: Vec<_> = (0..layout.seat_words()).map(|_| AtomicU32::new(0)).collect();
    let seat = Seat::new(layout, &words).unwrap();
    seat.open(BEGAN);
    for thread in 0..17 {
        seat.begin(thread, ms(0), &task("GET", "/a", ""));
    }
    let read = |place: usize| words[place].load(Ordering::Acquire);
    let text = List(&SeatSight::new(layout, &read).running(BEGAN)).to_string();
    assert_eq!(text, format!("{} and 12 more", ["GET /a (0.0 s)"; 5].join(", ")));
}

#[test]
fn text_is_bounded_and_can_break_no_line() {
    let memory = Memory::new();
    let seat = memory.worker(0, 0);
    let long = "/x".repeat(100);
    seat.begin(0, ms(0), &task(&"M".repeat(40), &long, &"i".repeat(40)));
    let shown = format!("{} {}... (0.0 s, request {})", "M".repeat(16), &long[..120], "i".repeat(32));
    assert_eq!(memory.running(0, 0.0), shown);
    // Of the one before nothing is left.
    seat.begin(0, ms(0), &task("GET", "/é\n (9.9 s), GET /%\\\"", "\x1b\0"));
    assert_eq!(memory.running(0, 0.0), "GET /%C3%A9%0A%20%289.9%20s%29%2C%20GET%20/%25%5C%22 (0.0 s, request %1B%00)");
}

#[test]
fn a_worker_that_ends_while_it_writes_leaves_a_request_without_a_name() {
    let memory = Memory::new();
    let seat = memory.worker(0, 0);
    seat.begin(0, ms(0), &task("GET", "/before", ""));
    seat.end(0, None);
    let row = LAYOUT.seat(0).unwrap().start + LAYOUT.row(0);
    memory.0[row + seat::SEQUENCE].fetch_add(1, Ordering::SeqCst);
    assert_eq!(memory.running(0, 0.0), "a request that was just beginning");
    seat.begin(0, ms(0), &task("GET", "/next", ""));
    assert_eq!(memory.running(0, 0.0), "GET /next (0.0 s)");
}

#[test]
fn junk_in_a_seat_stays_in_what_is_said_of_it() {
    let memory = Memory::new();
    let other = memory.worker(1, 1);
    other.connect(0, 77);
    other.begin(0, ms(0), &task("GET", "/fine", ""));
    for junk in [u32::MAX, 1, 2, 0x8000_0000, 0xff00_ff00] {
        memory.worker(0, 0);
        for word in &memory.0[LAYOUT.seat(0).unwrap()] {
            word.store(junk, Ordering::SeqCst);
        }
        for version in [VERSION, junk] {
            memory.0[LAYOUT.seat(0).unwrap().start].store(version, Ordering::SeqCst);
            let text = memory.running(0, 5.0);
            assert!(text.len() < 5 * 600 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
            memory.look(|sight| {
                let _counts = sight.seat(0).unwrap().counts();
                assert!(sight.may_have_begun(0, 77, 1));
                assert!(!sight.may_have_begun(1, 77, 1));
                assert_eq!(sight.worker(0), Some((0, 0, Stage::Starting)));
            });
            assert_eq!(memory.running(1, 1.0), "GET /fine (1.0 s)");
        }
    }
}

#[test]
fn a_request_may_have_begun_unless_its_mark_says_no() {
    let memory = Memory::new();
    let begun =
        |slot: u32, connection: u64, sent: u32| memory.look(|sight| sight.may_have_begun(slot, connection, sent));
    let (this, other) = (7 << 32 | 1, 7 << 32 | 2);
    let seat = memory.worker(3, 1);
    assert!(begun(1, this, 1), "nobody knows the connection");
    seat.connect(0, other);
    seat.connect(1, this);
    assert!(!begun(1, this, 1));
    assert!(begun(0, this, 1), "a worker of another place");
    seat.begin_on(1);
    assert!(begun(1, this, 1));
    assert!(!begun(1, this, 2), "the next on the same connection");
    assert!(begun(1, this, 3), "one was neither begun nor refused");
    assert!(!begun(1, other, 1));
    // What an ended worker has left says it as well, until its seat is another's.
    memory.register().set_stage(3, Stage::Ended);
    assert!(!begun(1, this, 2));
    seat.disconnect(1);
    assert!(begun(1, this, 2), "the worker closed it");
    memory.worker(3, 1);
    assert!(begun(1, other, 1));
    // Marks beyond the last are none.
    memory.seat(3).connect(MARKS, other);
    memory.seat(3).begin_on(MARKS);
    memory.seat(3).disconnect(MARKS);
    assert!(begun(1, other, 1));
}

#[test]
fn two_workers_that_know_a_connection_are_one_too_many() {
    let memory = Memory::new();
    memory.worker(0, 0).connect(5, 99);
    assert!(!memory.look(|sight| sight.may_have_begun(0, 99, 1)));
    let second = memory.worker(1, 0);
    second.connect(0, 99);
    second.begin_on(0);
    assert!(memory.look(|sight| sight.may_have_begun(0, 99, 1)));
}

#[test]
fn another_form_is_not_read() {
    let memory = Memory::new();
    memory.worker(0, 0).connect(0, 99);
    memory.0[0].store(VERSION + 1, Ordering::SeqCst);
    memory.look(|sight| {
        assert!(sight.may_have_begun(0, 99, 1));
        assert_eq!(sight.worker(0), None);
    });
}

#[test]
fn the_register_tells_who_has_a_seat_and_why_others_had_to_follow() {
    let memory = Memory::new();
    let register = memory.register();
    assert_eq!(memory.look(|sight| sight.worker(4)), None);
    register.take(4, 1);
    register.set_pid(4, 4711);
    register.set_stage(4, Stage::Serving);
    assert_eq!(memory.look(|sight| sight.worker(4)), Some((1, 4711, Stage::Serving)));
    let causes = std::array::from_fn(|cause| u32::try_from(cause).unwrap());
    register.set_causes(1, &causes);
    assert_eq!(memory.look(|sight| (sight.causes(0), sight.causes(1), sight.causes(2))), ([0; 16], causes, [0; 16]));
    // Nothing beyond: not into the first seat either.
    register.set_causes(2, &[9; 16]);
    register.set_stage(10, Stage::Serving);
    register.set_pid(10, 1);
    register.take(10, 0);
    assert_eq!(memory.look(|sight| (sight.worker(10), sight.causes(0))), (None, [0; 16]));
}

#[test]
fn times_fall_into_powers_of_two() {
    let memory = Memory::new();
    let seat = memory.worker(0, 0);
    for micros in [0, 255, 256, 511, 512, 1 << 21, (1 << 22) - 1, u64::MAX] {
        seat.begin(1, ms(0), &task("GET", "/", ""));
        seat.end(1, Some(Duration::from_micros(micros)));
    }
    let counts = memory.look(|sight| sight.seat(0).unwrap().counts());
    assert_eq!(counts.times, [2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    assert_eq!((counts.begun, counts.finished), (8, 8));
}

#[test]
fn what_is_read_while_it_is_written_is_never_of_two_requests() {
    let memory = Memory::new();
    let seat = memory.worker(0, 0);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..20_000_usize {
                let letter = ["aaaaaaaa", "bbbbbbbb"][round % 2];
                seat.begin(0, ms(0), &task(letter, letter, letter));
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            let text = memory.running(0, 0.0);
            let mixed = text.contains('a') && text.contains("bb") || text.contains("aab") || text.contains("bba");
            assert!(!mixed || text.contains("just beginning"), "{text}");
        }
    });
}
