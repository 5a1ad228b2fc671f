use super::*;
use crate::wire::control::{FromWorker, Reason};

const SECOND: Duration = Duration::from_secs(1);

/// A fleet with a clock, and what it asked for.
struct Stage {
    fleet: Fleet,
    now: Time,
    asked: Vec<Action>,
}

fn plan(name: &str, key: &str, slots: u32) -> Plan {
    Plan {
        name: name.to_owned(),
        key: key.to_owned(),
        slots,
        startup: None,
        graceful: None,
        eviction: None,
        shutdown: Some(5 * SECOND),
        service: false,
        exclusive: false,
    }
}

impl Stage {
    fn new(processors: usize, plans: Vec<Plan>) -> Self {
        let mut stage = Self { fleet: Fleet::new(processors), now: Time::ZERO, asked: Vec::new() };
        stage.configure(plans);
        stage
    }

    fn configure(&mut self, plans: Vec<Plan>) -> Vec<GroupId> {
        let ids = self.fleet.configure(plans, self.now);
        self.take();
        ids
    }

    fn take(&mut self) {
        while let Some(action) = self.fleet.next_action() {
            self.asked.push(action);
        }
    }

    fn event(&mut self, event: Event) {
        self.fleet.event(event, self.now);
        self.take();
    }

    fn say(&mut self, worker: u64, what: FromWorker) {
        self.event(Event::Said { worker: WorkerId(worker), what });
    }

    fn ready(&mut self, worker: u64) {
        self.say(worker, FromWorker::Ready);
    }

    fn end(&mut self, worker: u64) {
        self.event(Event::Ended {
            worker: WorkerId(worker),
            how: "with status 0".to_owned(),
            clean: true,
            serving: None,
        });
    }

    /// Lets time pass, with a tick whenever one is due.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.fleet.wake(self.now).filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.fleet.tick(self.now);
            self.take();
        }
        self.now = end;
    }

    /// What was asked since the last call, without log lines: `start 3 in 0`, `drain 1`, `Term 1`.
    fn asked(&mut self) -> Vec<String> {
        let all = std::mem::take(&mut self.asked);
        all.into_iter().filter_map(|action| short(&action)).collect()
    }

    /// The starts since the last call: group and slot.
    fn starts(&mut self) -> Vec<(u64, u32)> {
        let all = std::mem::take(&mut self.asked);
        let start = |action| match action {
            Action::Start { group, slot, .. } => Some((group.0, slot)),
            _ => None,
        };
        all.into_iter().filter_map(start).collect()
    }

    fn said(&mut self) -> Vec<String> {
        let all = std::mem::take(&mut self.asked);
        let line = |action| match action {
            Action::Log { text, .. } | Action::LogServing { text, .. } => Some(text),
            _ => None,
        };
        all.into_iter().filter_map(line).collect()
    }
}

fn short(action: &Action) -> Option<String> {
    match action {
        Action::Start { worker, slot, preload, .. } if preload.is_empty() => {
            Some(format!("start {} in {slot}", worker.0))
        }
        Action::Start { worker, slot, preload, .. } => {
            Some(format!("start {} in {slot} with {}", worker.0, preload.len()))
        }
        // Who is ready opens at once, but for changes of scripts. Who has to end gets TERM, too.
        Action::Open { .. } | Action::End { .. } => None,
        Action::Tell { worker, .. } => Some(format!("tell {}", worker.0)),
        Action::Bridge { worker } => Some(format!("bridge {}", worker.0)),
        Action::Drain { worker, .. } => Some(format!("drain {}", worker.0)),
        Action::Kill { worker, signal } => Some(format!("{signal:?} {}", worker.0)),
        Action::Log { .. } | Action::LogServing { .. } => None,
        Action::Forget { .. } => Some("forget".to_owned()),
        Action::Finish => Some("finish".to_owned()),
    }
}

// Ids: a group takes one when it is new, a worker when it starts.

#[test]
fn no_more_start_at_once_than_allowed() {
    let mut stage = Stage::new(2, vec![plan("shop", "a", 4)]);
    assert_eq!(stage.asked(), ["start 2 in 0", "start 3 in 1"]);
    stage.ready(2);
    assert_eq!(stage.asked(), ["start 4 in 2"]);
    // What takes long leaves its place to others.
    stage.pass(BUSY);
    assert_eq!(stage.asked(), ["start 5 in 3"]);
}

#[test]
fn each_group_has_its_first_worker_before_another_has_its_second() {
    // All of the first group hang while they start.
    let mut stage = Stage::new(2, vec![plan("slow", "a", 20), plan("shop", "a", 2), plan("blog", "a", 1)]);
    assert_eq!(stage.starts(), [(1, 0), (2, 0)]);
    stage.ready(5);
    assert_eq!(stage.starts(), [(3, 0)]);
    stage.ready(6);
    assert_eq!(stage.starts(), [(1, 1)], "from then on as they came");
    // A group whose only worker is gone waits for no place of the others.
    stage.end(6);
    stage.pass(BUSY);
    assert_eq!(stage.starts(), [(3, 0), (1, 2)]);
}

#[test]
fn a_group_that_cant_start_does_not_go_before_others_again_and_again() {
    let mut stage = Stage::new(2, vec![plan("broken", "a", 1), plan("shop", "a", 4)]);
    assert_eq!(stage.starts(), [(1, 0), (2, 0)]);
    stage.end(3);
    assert_eq!(stage.starts(), [(1, 0)], "once may be chance");
    stage.ready(4);
    assert_eq!(stage.starts(), [(2, 1)]);
    // Its next start is due before there is room for one.
    stage.now += SECOND;
    stage.end(5);
    stage.now += SECOND;
    stage.ready(6);
    assert_eq!(stage.starts(), [(2, 2), (2, 3)]);
    stage.ready(7);
    assert_eq!(stage.starts(), [(1, 0)]);
}

#[test]
fn an_empty_place_goes_before_a_replacement() {
    let mut stage = Stage::new(2, vec![plan("shop", "a", 3)]);
    for worker in 2..=4 {
        stage.ready(worker);
    }
    stage.configure(vec![plan("shop", "a", 3), plan("blog", "b", 1)]);
    assert_eq!(stage.asked(), ["start 2 in 0", "start 3 in 1", "start 4 in 2", "start 6 in 0", "start 7 in 0"]);
    stage.ready(6);
    // One replacement at a time, whatever the limit would allow.
    assert_eq!(stage.asked(), Vec::<String>::new());
    stage.ready(7);
    assert_eq!(stage.asked(), ["drain 2", "start 8 in 1"]);
    // Nobody serves in the second place by now: what starts there is no replacement any more.
    stage.end(3);
    assert_eq!(stage.asked(), ["start 9 in 2"]);
}

#[test]
fn graceful_replaces_every_worker_warm() {
    let mut stage = Stage::new(2, vec![plan("shop", "a", 2)]);
    stage.ready(2);
    stage.ready(3);
    let script = FromWorker::Served { script: b"/app.wsgi".to_vec(), application_group: Vec::new() };
    stage.say(2, script.clone());
    stage.say(2, script);
    stage.asked();
    stage.configure(vec![plan("shop", "a", 2)]);
    assert_eq!(stage.asked(), ["start 4 in 0 with 1"]);
    stage.pass(30 * SECOND);
    assert_eq!(stage.asked(), Vec::<String>::new(), "one at a time");
    stage.ready(4);
    assert_eq!(stage.asked(), ["drain 2", "start 5 in 1"]);
    stage.ready(5);
    stage.end(2);
    stage.end(3);
    // No limit on a drain where graceful-timeout is not given.
    stage.pass(3600 * SECOND);
    assert_eq!(stage.asked(), ["drain 3"]);
    assert_eq!(stage.fleet.wake(stage.now), None);
}

#[test]
fn a_newer_restart_ends_what_is_not_warm_yet() {
    let mut stage = Stage::new(2, vec![plan("shop", "a", 1)]);
    stage.ready(2);
    stage.configure(vec![plan("shop", "a", 1)]);
    stage.configure(vec![plan("shop", "a", 1)]);
    assert_eq!(stage.asked(), ["start 2 in 0", "start 3 in 0", "Kill 3", "start 4 in 0"]);
    stage.ready(3);
    stage.end(3);
    assert_eq!(stage.asked(), Vec::<String>::new());
    // One that is the only one may become ready; its successor follows.
    stage.end(2);
    stage.configure(vec![plan("shop", "a", 1)]);
    assert_eq!(stage.asked(), Vec::<String>::new());
    stage.ready(4);
    assert_eq!(stage.asked(), ["start 5 in 0"]);
    stage.ready(5);
    assert_eq!(stage.asked(), ["drain 4"]);
}

#[test]
fn another_key_starts_at_once_and_the_old_one_drains_a_little_later() {
    let mut stage = Stage::new(2, vec![plan("shop", "a", 1), plan("gone", "a", 1)]);
    stage.ready(3);
    stage.ready(4);
    stage.asked();
    let ids = stage.configure(vec![plan("shop", "b", 1)]);
    assert_eq!(ids, [GroupId(5)]);
    assert_eq!(stage.asked(), ["start 6 in 0"]);
    stage.pass(3 * SECOND);
    assert_eq!(stage.asked(), ["drain 3", "drain 4"]);
    stage.end(3);
    assert_eq!(stage.asked(), ["forget"]);
    // What is going does not come back under its old key: its sockets are gone.
    assert_eq!(stage.configure(vec![plan("shop", "a", 1)]), [GroupId(7)]);
}

#[test]
fn where_two_may_not_be_the_old_one_ends_first() {
    let alone = |key: &str| Plan { exclusive: true, ..plan("shop", key, 1) };
    let mut stage = Stage::new(2, vec![alone("a")]);
    stage.ready(2);
    stage.asked();
    stage.configure(vec![alone("a")]);
    assert_eq!(stage.asked(), ["drain 2"]);
    stage.end(2);
    assert_eq!(stage.asked(), ["start 3 in 0"]);
    stage.ready(3);
    stage.configure(vec![alone("b")]);
    assert_eq!(stage.asked(), ["drain 3"]);
    // A drain without an end would leave the site without a worker: TERM after 15 s, KILL 5 s after that, a second more for each.
    stage.pass(15 * SECOND);
    assert_eq!(stage.asked(), Vec::<String>::new());
    stage.pass(SECOND);
    assert_eq!(stage.asked(), ["Term 3"]);
    stage.pass(6 * SECOND);
    assert_eq!(stage.asked(), ["Kill 3"]);
    stage.end(3);
    assert_eq!(stage.asked(), ["start 5 in 0", "forget"]);
}

#[test]
fn a_service_is_told_by_signal() {
    let service = Plan { exclusive: true, service: true, ..plan("shop", "a", 1) };
    let mut stage = Stage::new(2, vec![service.clone()]);
    stage.ready(2);
    stage.asked();
    stage.configure(vec![service]);
    assert_eq!(stage.asked(), ["Term 2"]);
    stage.end(2);
    assert_eq!(stage.asked(), ["start 3 in 0"]);
    stage.ready(3);
    stage.pass(SECOND);
    stage.end(3);
    assert_eq!(stage.asked(), ["start 4 in 0"]);
}

#[test]
fn timeouts_hold_where_they_are_given() {
    let strict = Plan { graceful: Some(3 * SECOND), eviction: Some(7 * SECOND), ..plan("shop", "a", 1) };
    let mut stage = Stage::new(2, vec![strict]);
    for (reason, seconds) in [(Reason::EvictionSignal, 8), (Reason::GracefulSignal, 4)] {
        let worker = stage.fleet.last_number;
        stage.ready(worker);
        stage.asked();
        stage.say(worker, FromWorker::Replace { reason });
        stage.ready(worker + 1);
        stage.asked();
        stage.pass(seconds * SECOND - SECOND / 10);
        assert_eq!(stage.asked(), Vec::<String>::new());
        stage.pass(SECOND / 10);
        assert_eq!(stage.asked(), [format!("Term {worker}")]);
        stage.end(worker);
        stage.say(worker + 1, FromWorker::Leaving { reason: Reason::ScriptReload });
        stage.end(worker + 1);
    }
}

#[test]
fn who_leaves_at_once_has_shutdown_timeout() {
    let mut stage = Stage::new(2, vec![plan("shop", "a", 1), Plan { shutdown: None, ..plan("slow", "a", 1) }]);
    stage.ready(3);
    stage.ready(4);
    stage.asked();
    for worker in [3, 4] {
        stage.say(worker, FromWorker::Leaving { reason: Reason::DeadlockTimeout });
    }
    stage.pass(6 * SECOND);
    assert_eq!(stage.asked(), ["start 5 in 0", "start 6 in 0", "Kill 3"]);
    stage.pass(40 * SECOND);
    assert_eq!(stage.asked(), Vec::<String>::new());
}

#[test]
fn no_place_collects_workers_that_never_end() {
    let mut stage = Stage::new(2, vec![plan("shop", "a", 1)]);
    for worker in 2..=10 {
        stage.ready(worker);
        stage.pass(2 * SECOND);
        stage.asked();
        stage.say(worker, FromWorker::Leaving { reason: Reason::CpuTimeLimit });
    }
    assert_eq!(stage.asked(), ["Term 2", "start 11 in 0"]);
}

impl Stage {
    fn turns(&self, group: u64) -> Vec<u32> {
        self.fleet.turns(GroupId(group)).collect()
    }
}

#[test]
fn a_turn_is_over_when_a_worker_serves_no_more_however_that_comes() {
    let mut stage = Stage::new(2, vec![plan("shop", "a", 2)]);
    stage.ready(2);
    stage.ready(3);
    assert_eq!(stage.turns(1), [0, 0], "the first two");
    stage.say(2, FromWorker::Replace { reason: Reason::MaximumRequests });
    assert_eq!(stage.turns(1), [0, 0], "it serves on");
    stage.ready(4);
    assert_eq!(stage.turns(1), [1, 0]);
    // It drains meanwhile, and ends.
    stage.end(2);
    assert_eq!(stage.turns(1), [1, 0]);
    stage.say(3, FromWorker::Leaving { reason: Reason::RequestTimeout });
    assert_eq!(stage.turns(1), [1, 1], "nobody serves: who is next counts its own");
    stage.end(5);
    stage.ready(6);
    assert_eq!(stage.turns(1), [1, 1]);
    stage.end(6);
    assert_eq!(stage.turns(1), [1, 2]);
    stage.configure(Vec::new());
    stage.pass(3 * SECOND);
    assert_eq!(stage.turns(1), [2, 2], "nobody follows");
    assert_eq!(stage.turns(99), Vec::<u32>::new());
}

#[test]
fn whose_tally_comes_round_again_has_ended_or_was_told_to() {
    let mut stage = Stage::new(2, vec![plan("shop", "a", 1)]);
    stage.ready(2);
    let worker = |turn: u32| u64::from(turn) + 2;
    for turn in 0..crate::board::TURNS {
        stage.say(worker(turn), FromWorker::Replace { reason: Reason::RestartInterval });
        stage.ready(worker(turn) + 1);
        stage.pass(2 * SECOND);
    }
    assert_eq!(stage.turns(1), [crate::board::TURNS]);
    assert!(stage.asked().contains(&"Term 2".to_owned()));
}

#[test]
fn an_unfit_group_complains_once() {
    let mut stage = Stage::new(4, vec![plan("shop", "a", 2)]);
    let unfit = || FromWorker::Unfit { cause: "no Python".to_owned() };
    let mut lines = Vec::new();
    for _ in 0..4 {
        for worker in stage.fleet.last_number - 1..=stage.fleet.last_number {
            stage.say(worker, unfit());
            stage.end(worker);
        }
        stage.pass(20 * SECOND);
        lines.extend(stage.said());
    }
    lines.retain(|line| line.contains("can't start"));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with("no Python"), "{lines:?}");
    stage.ready(stage.fleet.last_number);
    assert!(stage.said().iter().any(|line| line.ends_with("daemon group \"shop\" starts again.")));
    // Another cause is another line.
    let worker = stage.fleet.last_number - 1;
    stage.event(Event::NotStarted { worker: WorkerId(worker), cause: "no memory".to_owned() });
    assert!(stage.said()[0].ends_with("no memory"));
}

#[test]
fn a_group_that_crashes_while_it_starts_is_no_storm() {
    let mut stage = Stage::new(2, vec![plan("shop", "a", 1)]);
    let mut starts = 0;
    for _ in 0..2000 {
        starts += stage.asked().iter().filter(|action| action.starts_with("start")).count();
        stage.end(stage.fleet.last_number);
        stage.pass(SECOND / 20);
    }
    assert_eq!(starts, 12, "at 0, 0, 0.25, 0.75, 1.75, 3.75, 7.75, 15.75, 31.75, 51.75, 71.75, 91.75 s");
}

#[test]
fn preload_does_not_follow_a_crash() {
    let mut stage = Stage::new(2, vec![plan("shop", "a", 1)]);
    let served = |name: &str| FromWorker::Served { script: name.into(), application_group: Vec::new() };
    let leave = |reason| FromWorker::Leaving { reason };
    stage.ready(2);
    stage.say(2, served("a"));
    stage.say(2, leave(Reason::ScriptReload));
    stage.ready(3);
    stage.say(3, served("a"));
    stage.say(3, served("b"));
    stage.say(3, leave(Reason::InactivityTimeout));
    stage.ready(4);
    stage.say(4, served("a"));
    stage.end(4);
    assert_eq!(stage.asked(), ["start 2 in 0", "start 3 in 0 with 1", "start 4 in 0", "start 5 in 0"]);
    // A preload that may be why the start failed is tried once.
    stage.ready(5);
    stage.say(5, served("a"));
    stage.say(5, leave(Reason::ScriptReload));
    stage.end(6);
    assert_eq!(stage.asked(), ["start 6 in 0 with 1", "start 7 in 0"]);
}

#[test]
fn who_can_not_be_talked_to_is_ended() {
    let mut stage = Stage::new(2, vec![plan("shop", "a", 1)]);
    stage.ready(2);
    stage.event(Event::Lost { worker: WorkerId(2) });
    stage.asked();
    stage.pass(2 * SECOND);
    assert_eq!(stage.asked(), ["Term 2", "start 3 in 0"]);
    stage.pass(6 * SECOND);
    assert_eq!(stage.asked(), ["Kill 2"]);
    stage.event(Event::Lost { worker: WorkerId(3) });
    stage.pass(2 * SECOND);
    assert_eq!(stage.asked(), ["Term 3", "start 4 in 0"]);
}

#[test]
fn stop_ends_all_and_starts_nothing() {
    let mut stage = Stage::new(2, vec![plan("shop", "a", 3), plan("old", "a", 1)]);
    stage.ready(3);
    stage.ready(4);
    stage.configure(vec![plan("shop", "a", 3)]);
    stage.asked();
    stage.fleet.stop(3 * SECOND, stage.now);
    stage.take();
    let told = stage.asked();
    assert_eq!(told.len(), stage.fleet.workers(), "{told:?}");
    assert!(told.iter().all(|action| action.starts_with("Term")), "{told:?}");
    stage.end(3);
    stage.pass(3 * SECOND);
    let killed = stage.asked();
    assert_eq!(killed.len(), told.len() - 1, "{killed:?}");
    assert!(killed.iter().all(|action| action.starts_with("Kill")), "{killed:?}");
    stage.configure(vec![plan("late", "a", 1)]);
    for worker in 1..=stage.fleet.last_number {
        stage.end(worker);
    }
    assert_eq!(stage.asked().iter().filter(|action| *action == "finish").count(), 1);
    stage.fleet.stop(SECOND, stage.now);
    stage.take();
    assert_eq!(stage.asked(), Vec::<String>::new());
}

#[test]
fn without_groups_a_stop_is_done_at_once() {
    let mut stage = Stage::new(2, Vec::new());
    stage.fleet.stop(SECOND, stage.now);
    stage.take();
    assert_eq!(stage.asked(), ["finish"]);
}
