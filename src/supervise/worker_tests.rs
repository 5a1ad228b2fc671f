//! The life of a worker under a simulated clock: each timer alone, each signal, each way to the end.

use super::*;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn active(thread: usize, since: u64) -> Active {
    Active { thread, serial: 1, since: secs(since) }
}

/// Everything off: the shortest way to see that one timer works alone.
fn off() -> Limits {
    Limits { threads: 1, shutdown: Some(secs(5)), ..Limits::default() }
}

/// Looks whenever the machine wants to, until `until`; the things done, with their time in milliseconds.
fn run<'a>(life: &mut Life, from: u64, until: u64, sight: impl Fn(Duration) -> Sight<'a>) -> Vec<(u128, Do)> {
    let (mut now, mut did) = (secs(from), Vec::new());
    loop {
        for next in life.step(Event::Look, now, &sight(now)) {
            if !matches!(next, Do::Say(_) | Do::SayClosed | Do::Warn(_)) {
                did.push((now.as_millis(), next));
            }
        }
        match life.next_look(now, &sight(now)) {
            Some(next) if next <= secs(until) => {
                assert!(next > now || did.last().is_some_and(|(_, last)| *last == Do::Exit), "it must not spin");
                now = next;
            }
            _ => return did,
        }
    }
}

fn said(actions: Vec<Do>) -> Vec<Do> {
    actions.into_iter().filter(|next| !matches!(next, Do::Say(_) | Do::SayClosed | Do::Warn(_))).collect()
}

/// A sight after everything was closed, in which Python can run.
fn quiet<'a>(now: Duration) -> Sight<'a> {
    Sight { closed: true, alive: now, ..Sight::default() }
}

const END: Do = Do::EndPython(Some(secs(5)));

#[test]
fn a_worker_without_timers_waits_for_ever() {
    let life = Life::new(off());
    assert_eq!(life.next_look(secs(1), &quiet(secs(1))), None);
}

#[test]
fn each_timer_works_alone() {
    let leaves = |reason, at| vec![(at, Do::Leave(reason)), (at, Do::StopAccepting), (at, END)];
    let inactive =
        |_| Sight { last_activity: Some(secs(3)), first_request: Some(secs(3)), closed: true, ..Sight::default() };
    let mut life = Life::new(Limits { inactivity: Some(secs(10)), ..off() });
    assert_eq!(run(&mut life, 3, 16, inactive)[..3], leaves(Reason::InactivityTimeout, 13_000)[..]);

    let mut life = Life::new(Limits { startup: Some(secs(10)), ..off() });
    assert_eq!(run(&mut life, 3, 16, inactive)[..3], leaves(Reason::StartupTimeout, 13_000)[..]);
    let mut life = Life::new(Limits { startup: Some(secs(10)), ..off() });
    assert_eq!(
        run(&mut life, 3, 99, |now| Sight { loaded: true, ..inactive(now) }),
        [],
        "cancelled by a loaded script"
    );
    assert_eq!(run(&mut life, 3, 99, quiet), [], "no request, no start");

    let mut life = Life::new(Limits { restart: Some(secs(60)), ..off() });
    assert_eq!(run(&mut life, 0, 600, quiet), [(60_000, Do::Replace(Reason::RestartInterval))]);

    let mut life = Life::new(Limits { deadlock: Some(secs(30)), ..off() });
    let stuck = |now: Duration| Sight { closed: true, alive: now.min(secs(7)), ..Sight::default() };
    assert_eq!(run(&mut life, 0, 41, quiet), []);
    let did = run(&mut life, 7, 60, stuck);
    assert_eq!(did[..3], leaves(Reason::DeadlockTimeout, 37_000)[..]);
    assert_eq!(did.last(), Some(&(42_000, Do::Exit)), "nothing orderly can be waited for");

    let mut life = Life::new(Limits { maximum_requests: Some(3), ..off() });
    assert_eq!(run(&mut life, 0, 9, |now| Sight { finished: 2, ..quiet(now) }), []);
    assert_eq!(
        run(&mut life, 0, 9, |now| Sight { finished: 3, ..quiet(now) }),
        [(0, Do::Replace(Reason::MaximumRequests))]
    );

    let mut life = Life::new(Limits { maximum_memory: Some(100), ..off() });
    let grown = |now: Duration| Sight { memory: Some(60 + now.as_secs()), ..Sight { finished: 1, ..inactive(now) } };
    assert_eq!(run(&mut life, 0, 60, grown), [(41_000, Do::Replace(Reason::MaximumMemory))]);

    let mut life = Life::new(Limits { request: Some(secs(10)), ..off() });
    let one = [active(0, 2)];
    let did = run(&mut life, 2, 14, |now| Sight { active: &one, ..quiet(now) });
    assert_eq!(
        did[..3],
        [(12_000, Do::Dump(one[0])), (12_000, Do::Leave(Reason::RequestTimeout)), (12_000, Do::StopAccepting)]
    );
}

/// A successor of one that has done nothing yet would have as much.
#[test]
fn memory_counts_from_the_first_request_on() {
    let limits = Limits { maximum_memory: Some(100), ..off() };
    let mut life = Life::new(limits.clone());
    let loaded = |now| Sight { memory: Some(200), ..quiet(now) };
    assert_eq!(run(&mut life, 0, 600, loaded), []);
    let first = |now| Sight { first_request: Some(secs(600)), ..loaded(now) };
    assert_eq!(run(&mut life, 600, 700, first), [], "it is not answered yet");
    let replaced = Do::Replace(Reason::MaximumMemory);
    assert_eq!(run(&mut life, 700, 800, |now| Sight { finished: 1, ..first(now) }), [(700_000, replaced.clone())]);

    let mut life = Life::new(limits);
    let too_low = Do::SayOutgrown { limit: 100, used: 200, age: secs(2) };
    let answered = |now| Sight { finished: 1, ..first(now) };
    assert_eq!(run(&mut life, 602, 700, answered), [(602_000, too_low), (602_000, replaced)]);
}

#[test]
fn inactivity_waits_for_a_request_that_runs_but_not_for_a_stale_one() {
    let one = [active(0, 0)];
    let sight = |now| Sight { active: &one, last_activity: Some(secs(0)), ..quiet(now) };
    let mut life = Life::new(Limits { inactivity: Some(secs(5)), ..off() });
    assert_eq!(run(&mut life, 0, 100, sight), []);
    // Interrupted at 20 s, and not waited for from then on.
    let limits = Limits { inactivity: Some(secs(5)), request: Some(secs(10)), interrupt: Some(secs(10)), ..off() };
    let mut life = Life::new(limits);
    let did = run(&mut life, 0, 21, sight);
    assert_eq!(did.first(), Some(&(10_000, Do::Interrupt(one[0]))));
    assert!(did.iter().any(|(at, what)| *at == 20_000 && matches!(what, Do::Leave(_))), "{did:?}");
}

#[test]
fn the_limit_of_a_request_grows_with_the_threads() {
    for (threads, scale) in [(0, 1.0), (1, 1.0), (5, 2.61), (10, 3.30), (15, 3.71), (25, 4.22)] {
        let limit = Limits { threads, request: Some(secs(100)), ..off() }.request_limit().unwrap();
        assert!((limit.as_secs_f64() - scale * 100.0).abs() < 0.5, "{threads}: {limit:?}");
    }
}

#[test]
fn late_requests_are_interrupted_one_at_a_time_and_then_given_up() {
    let both = [active(0, 0), active(1, 0)];
    let limits = Limits { request: Some(secs(10)), interrupt: Some(secs(5)), graceful: secs(15), ..off() };
    let mut life = Life::new(limits.clone());
    let did = run(&mut life, 0, 15, |now| Sight { active: &both, ..quiet(now) });
    assert_eq!(did[..2], [(10_000, Do::Interrupt(both[0])), (11_000, Do::Interrupt(both[1]))]);
    assert_eq!(did[2..4], [(15_000, Do::Dump(both[0])), (15_000, Do::Leave(Reason::RequestTimeout))]);

    // The interruption worked: nothing more.
    let mut life = Life::new(limits);
    let one = [active(0, 0)];
    let did = run(&mut life, 0, 99, |now| Sight { active: if now < secs(11) { &one } else { &[] }, ..quiet(now) });
    assert_eq!(did, [(10_000, Do::Interrupt(one[0]))]);
}

#[test]
fn a_stuck_request_leaves_the_others_the_graceful_window() {
    let both = [active(0, 0), active(1, 9)];
    let mut life = Life::new(Limits { request: Some(secs(10)), graceful: secs(4), ..off() });
    // The second one goes on past the window.
    let did = run(&mut life, 0, 40, |now| Sight { active: &both, ..quiet(now) });
    let at = |what: &Do| did.iter().find(|(_, done)| done == what).map(|(at, _)| *at);
    assert_eq!(at(&Do::StopAccepting), Some(10_000));
    // 4 s window; then requests have 4 of the 5 s of the end, of which the rest is for exit functions.
    assert_eq!(
        did.iter().find(|(_, done)| matches!(done, Do::EndPython(_))),
        Some(&(18_000, Do::EndPython(Some(secs(1)))))
    );
    assert_eq!(at(&Do::Exit), Some(19_000));
}

#[test]
fn signals_of_an_operator() {
    let one = [active(0, 0)];
    let sight = Sight { active: &one, ..Sight::default() };
    let mut life = Life::new(Limits { graceful: secs(15), ..off() });
    assert_eq!(said(life.step(Event::Graceful, secs(1), &sight)), [Do::Replace(Reason::GracefulSignal)]);
    assert_eq!(said(life.step(Event::Graceful, secs(2), &sight)), [], "once is enough");
    assert_eq!(
        said(life.step(Event::Terminate, secs(3), &sight)),
        [Do::Leave(Reason::ShutdownSignal), Do::StopAccepting]
    );
    assert_eq!(said(life.step(Event::Terminate, secs(3), &sight)), []);

    let mut life = Life::new(Limits { graceful: secs(15), eviction: Some(secs(3)), ..off() });
    assert_eq!(said(life.step(Event::Graceful, secs(1), &sight)), [Do::Replace(Reason::EvictionSignal)]);
    assert_eq!(said(life.step(Event::Drain(Some(secs(60))), secs(10), &sight)), [Do::StopAccepting]);
    life.step(Event::Look, secs(11), &Sight { closed: true, ..sight });
    assert_eq!(life.next_look(secs(11), &sight), Some(secs(13)), "eviction-timeout is the window of the drain");

    let mut life = Life::new(Limits { graceful: secs(15), ..off() });
    assert_eq!(
        said(life.step(Event::CpuTimeLimit, secs(1), &sight)),
        [Do::Leave(Reason::CpuTimeLimit), Do::StopAccepting]
    );
    let closed = Sight { closed: true, ..sight };
    life.step(Event::Look, secs(2), &closed);
    assert_eq!(life.next_look(secs(2), &closed), Some(secs(16)));
    let mut life = Life::new(off());
    life.step(Event::CpuTimeLimit, secs(1), &sight);
    life.step(Event::Look, secs(2), &closed);
    assert_eq!(life.next_look(secs(2), &closed), Some(secs(5)), "graceful-timeout=0 is a window, not its absence");
}

#[test]
fn a_drain_for_a_changed_script_tells_that_reason() {
    let quiet = Sight::default();
    for (before, word) in [(None, "shutdown_signal"), (Some(Event::ScriptChanged), "script_reload")] {
        let mut life = Life::new(off());
        if let Some(event) = before {
            assert_eq!(said(life.step(event, secs(1), &quiet)), [], "the supervisor decides what follows");
            assert!(life.serves());
        }
        life.step(Event::Drain(Some(secs(0))), secs(2), &Sight { closed: true, ..quiet });
        assert_eq!(life.ending().map(Ending::word), Some(word));
    }
}

#[test]
fn a_drain_ends_with_its_last_request_and_its_last_connection() {
    let one = [active(0, 0)];
    for (sight, ends) in [
        (Sight { active: &one, closed: true, ..Sight::default() }, false),
        (Sight { closed: false, ..Sight::default() }, false),
        (Sight { closed: true, ..Sight::default() }, true),
    ] {
        let mut life = Life::new(off());
        assert_eq!(said(life.step(Event::Drain(None), secs(1), &Sight::default())), [Do::StopAccepting]);
        assert!(!life.serves());
        let did = said(life.step(Event::Look, secs(2), &sight));
        assert_eq!(did, if ends { vec![END] } else { vec![] });
    }
}

/// New code answers when old code has come to rest: what is answered in a moment comes before.
#[test]
fn it_says_when_it_has_closed() {
    let one = [active(0, 0)];
    let (open, busy) =
        (Sight { active: &one, ..Sight::default() }, Sight { active: &one, closed: true, ..Sight::default() });
    let says = |life: &mut Life, now, sight: &Sight<'_>| life.step(Event::Look, now, sight).contains(&Do::SayClosed);
    let begin = || {
        let mut life = Life::new(off());
        assert!(!life.step(Event::Drain(None), secs(1), &open).contains(&Do::SayClosed));
        life
    };
    let mut life = begin();
    assert!(!says(&mut life, secs(1), &busy));
    assert_eq!(life.next_look(secs(1), &busy), Some(secs(1) + SHORT), "what takes long is not waited for");
    assert!(!says(&mut life, secs(2), &open), "a connection may still bring something");
    assert!(says(&mut life, secs(2), &busy));
    assert!(!says(&mut life, secs(3), &quiet(secs(3))), "once");
    assert!(says(&mut begin(), secs(1), &quiet(secs(1))));
    let mut told = Life::new(off());
    assert!(told.step(Event::Terminate, secs(1), &quiet(secs(1))).contains(&Do::SayClosed));
}

#[test]
fn at_the_end_of_everything_exit_functions_keep_their_part() {
    let busy = [active(0, 1)];
    let served = |now| Sight { active: &busy, closed: true, alive: now, ..Sight::default() };
    // TERM may be heard first.
    for events in [&[Event::End(secs(2))][..], &[Event::Terminate, Event::End(secs(2))]] {
        let mut life = Life::new(off());
        for event in events {
            life.step(*event, secs(10), &served(secs(10)));
        }
        let ends: Vec<_> =
            run(&mut life, 10, 20, served).into_iter().filter(|(_, next)| *next != Do::StopAccepting).collect();
        assert_eq!(ends, [(11_500, Do::EndPython(Some(Duration::from_millis(500)))), (12_000, Do::Exit)], "{events:?}");
    }
}

#[test]
fn without_a_shutdown_timeout_nothing_is_forced() {
    let one = [active(0, 0)];
    let sight = Sight { active: &one, closed: true, ..Sight::default() };
    let mut life = Life::new(Limits { shutdown: None, ..off() });
    life.step(Event::Terminate, secs(1), &sight);
    life.step(Event::Look, secs(2), &sight);
    assert_eq!(life.next_look(secs(2), &sight), None);
    assert_eq!(said(life.step(Event::Look, secs(999), &quiet(secs(999)))), [Do::EndPython(None)]);
}

#[test]
fn an_orphan_and_a_service_end_by_themselves() {
    let mut life = Life::new(Limits { graceful: secs(15), ..off() });
    let one = [active(0, 0)];
    let sight = Sight { active: &one, ..Sight::default() };
    assert_eq!(said(life.step(Event::Orphaned, secs(1), &sight)), [Do::StopAccepting]);
    life.step(Event::Look, secs(2), &Sight { closed: true, ..sight });
    assert_eq!(life.next_look(secs(2), &sight), Some(secs(16)));

    let mut life = Life::new(off());
    assert_eq!(said(life.step(Event::Returned, secs(1), &quiet(secs(1)))), [Do::StopAccepting, END]);
}

/// Whatever happens in whatever order: no second successor is asked for, nothing is told after the end, and an end that was begun
/// always comes where shutdown-timeout is set.
#[test]
fn any_order_of_events_comes_to_an_end_once() {
    let mut seed: u64 = 0x2545_F491_4F6C_DD1D;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for _ in 0..2000 {
        let some = |chance: u64| if chance.is_multiple_of(2) { None } else { Some(secs(1 + chance)) };
        let limits = Limits {
            threads: 1 + u32::try_from(random(5)).unwrap(),
            startup: some(random(20)),
            deadlock: some(random(20)),
            inactivity: some(random(20)),
            request: some(random(20)),
            interrupt: some(random(20)),
            graceful: secs(random(4)),
            eviction: some(random(6)),
            restart: some(random(20)),
            shutdown: Some(secs(1 + random(5))),
            maximum_requests: some(random(6)).map(|some| some.as_secs()),
            maximum_memory: None,
        };
        let mut life = Life::new(limits);
        let (mut did, mut now) = (Vec::new(), Duration::ZERO);
        let begun = [active(0, 1), active(1, 2)];
        for turn in 0..400 {
            let event = match random(if turn < 60 { 40 } else { 1 }) {
                1 => Event::Terminate,
                2 => Event::Graceful,
                3 => Event::CpuTimeLimit,
                4 => Event::Drain(some(random(9))),
                5 => Event::Orphaned,
                _ => Event::Look,
            };
            let event = if turn == 200 { Event::Terminate } else { event };
            let count = usize::try_from(random(3)).unwrap();
            let sight = Sight {
                active: &begun[..count],
                finished: random(8),
                first_request: Some(secs(1)),
                last_activity: Some(now.saturating_sub(secs(random(30)))),
                loaded: random(2) == 0,
                alive: now.saturating_sub(secs(random(15))),
                memory: None,
                closed: random(2) == 0,
            };
            did.extend(said(life.step(event, now, &sight)));
            now = life.next_look(now, &sight).unwrap_or(now).max(now + Duration::from_millis(random(700)));
        }
        let count = |wanted: fn(&Do) -> bool| did.iter().filter(|done| wanted(done)).count();
        assert!(count(|done| matches!(done, Do::Replace(_))) <= 1, "{did:?}");
        assert!(count(|done| matches!(done, Do::Leave(_))) <= 1, "{did:?}");
        for once in [count(|done| *done == Do::StopAccepting), count(|done| matches!(done, Do::EndPython(_)))] {
            assert_eq!(once, 1, "{did:?}");
        }
        assert_eq!(did.last(), Some(&Do::Exit));
        let place = |wanted: fn(&Do) -> bool| did.iter().position(wanted);
        assert!(place(|done| *done == Do::StopAccepting) < place(|done| matches!(done, Do::EndPython(_))));
    }
}
