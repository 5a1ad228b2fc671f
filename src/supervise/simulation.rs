//! A made-up host that goes wrong in every way, for a long time, and what must hold whatever happens.

use std::collections::BTreeMap;
use std::time::Duration;

use super::change::{CLOSING, HOLD};
use super::event::{Action, Event, GroupId, Signal, Time, WorkerId};
use super::fleet::Fleet;
use super::plan::Plan;
use crate::board::{self, TURNS};
use crate::wire::control::{FromWorker, Reason};

/// xorshift64*: the same run for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    fn place(&mut self, of: usize) -> usize {
        usize::try_from(self.below(u64::try_from(of).unwrap())).unwrap()
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Doing {
    Starting,
    /// Its imports are done.
    Warm,
    Accepting,
    /// Told to drain or leaving by itself: may take for ever.
    Finishing,
    /// Told to stop; some don't listen.
    Stopping,
    Killed,
}

struct Process {
    group: GroupId,
    slot: u32,
    doing: Doing,
    /// Of the code that it has loaded.
    version: u64,
    /// Requests for a changed script wait in it, since then.
    holds: Option<Time>,
    /// It was told to answer them by what it has.
    bridges: bool,
    /// When it was told to drain, until it said that it has closed.
    closing: Option<Time>,
    /// Whose turn it was when it served.
    turn: Option<u32>,
}

struct World {
    dice: Dice,
    fleet: Fleet,
    now: Time,
    processes: BTreeMap<WorkerId, Process>,
    plans: BTreeMap<GroupId, Plan>,
    /// In the configuration in force.
    current: Vec<GroupId>,
    starts: usize,
    /// Things that may be followed by a start.
    causes: usize,
    most_at_once: usize,
    /// Scripts are changed all the time; all groups have the same.
    version: u64,
    /// When each group's change was seen that is not over yet.
    seen: BTreeMap<GroupId, Time>,
    switches: usize,
    bridged: usize,
    stopping: bool,
    finished: usize,
}

const NAMES: [&str; 3] = ["shop", "blog", "service"];

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            fleet: Fleet::new(3),
            now: Time::ZERO,
            processes: BTreeMap::new(),
            plans: BTreeMap::new(),
            current: Vec::new(),
            starts: 0,
            causes: 0,
            most_at_once: 0,
            version: 0,
            seen: BTreeMap::new(),
            switches: 0,
            bridged: 0,
            stopping: false,
            finished: 0,
        };
        world.configure();
        world
    }

    fn plan(&mut self, name: &str) -> Plan {
        let key = self.dice.below(2);
        let some = |dice: &mut Dice| (!dice.one_in(2)).then(|| Duration::from_secs(dice.below(30)));
        let exclusive = name != "shop" && key == 1;
        Plan {
            name: name.to_owned(),
            key: key.to_string(),
            slots: u32::try_from(1 + self.dice.below(3)).unwrap(),
            startup: (!self.dice.one_in(4)).then(|| Duration::from_secs(1 + self.dice.below(60))),
            graceful: some(&mut self.dice),
            eviction: some(&mut self.dice),
            shutdown: some(&mut self.dice),
            service: exclusive && name == "service",
            exclusive,
        }
    }

    fn configure(&mut self) {
        let plans: Vec<Plan> =
            NAMES.iter().filter_map(|name| if self.dice.one_in(4) { None } else { Some(self.plan(name)) }).collect();
        self.causes += plans.iter().map(|plan| 2 * usize::try_from(plan.slots).unwrap()).sum::<usize>();
        self.current = self.fleet.configure(plans.clone(), self.now);
        // A group that goes takes over no new code.
        self.seen.retain(|group, _| self.current.contains(group));
        self.plans.extend(self.current.iter().copied().zip(plans));
        self.act();
    }

    fn act(&mut self) {
        while let Some(action) = self.fleet.next_action() {
            match action {
                Action::Start { worker, group, slot, .. } => {
                    assert!(!self.stopping, "a start after the stop");
                    assert!(self.current.contains(&group), "a start in a group that is gone");
                    self.starts += 1;
                    if self.dice.one_in(20) {
                        self.causes += 1;
                        let cause = self.dice.below(2).to_string();
                        self.fleet.event(Event::NotStarted { worker, cause }, self.now);
                    } else {
                        let process = Process {
                            group,
                            slot,
                            doing: Doing::Starting,
                            version: 0,
                            holds: None,
                            bridges: false,
                            closing: None,
                            turn: None,
                        };
                        let other = self.processes.insert(worker, process);
                        assert!(other.is_none(), "a number used again");
                        self.fleet.event(Event::Started { worker, pid: 1 }, self.now);
                    }
                }
                Action::Open { worker } => self.open(worker),
                Action::Tell { worker, .. } => {
                    let process = self.processes.get(&worker).expect("tells what is there");
                    assert_eq!(process.doing, Doing::Accepting);
                }
                Action::Bridge { worker } => {
                    let process = self.processes.get_mut(&worker).expect("tells what is there");
                    (process.bridges, process.holds) = (true, None);
                    self.bridged += 1;
                }
                Action::Drain { worker, .. } => {
                    let process = self.processes.get_mut(&worker).expect("drains what is there");
                    assert!(matches!(process.doing, Doing::Accepting | Doing::Warm), "{:?}", process.doing);
                    (process.doing, process.holds, process.closing) = (Doing::Finishing, None, Some(self.now));
                }
                Action::End { worker, .. } => assert!(self.processes.contains_key(&worker), "ends what is there"),
                Action::Kill { worker, signal } => {
                    self.causes += 1;
                    let process = self.processes.get_mut(&worker).expect("signals what is there");
                    process.doing = match signal {
                        Signal::Kill => Doing::Killed,
                        Signal::Term if process.doing == Doing::Killed => Doing::Killed,
                        Signal::Term => Doing::Stopping,
                    };
                    process.holds = None;
                }
                Action::Log { group, .. } | Action::LogServing { group, .. } => {
                    assert!(self.plans.contains_key(&group));
                }
                Action::Forget { group } => {
                    assert!(self.processes.values().all(|process| process.group != group));
                    self.plans.remove(&group).expect("forgets what is known, once");
                }
                Action::Finish => self.finished += 1,
            }
        }
    }

    /// From now on its code answers: no other code of its group may, where that was seen to be old.
    fn open(&mut self, worker: WorkerId) {
        let opened = self.processes.get_mut(&worker).expect("opens what is there");
        assert_eq!(opened.doing, Doing::Warm, "opens once");
        opened.doing = Doing::Accepting;
        let (group, version) = (opened.group, opened.version);
        if self.seen.remove(&group).is_none() {
            return;
        }
        self.switches += 1;
        for other in self.processes.values().filter(|other| other.group == group) {
            assert!(other.doing != Doing::Accepting || other.version >= version, "old code accepts beside new code");
            let closed = other.closing.is_none_or(|since| self.now >= since + CLOSING);
            assert!(other.version >= version || closed, "old code may still begin a request");
        }
    }

    fn say(&mut self, worker: WorkerId, what: FromWorker) {
        self.fleet.event(Event::Said { worker, what }, self.now);
    }

    fn end(&mut self, worker: WorkerId) {
        self.causes += 1;
        self.processes.remove(&worker);
        self.fleet.event(
            Event::Ended { worker, how: "somehow".to_owned(), clean: self.dice.one_in(2), serving: None },
            self.now,
        );
    }

    /// One process does something.
    fn something(&mut self) {
        if self.processes.is_empty() {
            return;
        }
        let place = self.dice.place(self.processes.len());
        let (worker, doing) =
            self.processes.iter().nth(place).map(|(worker, process)| (*worker, process.doing)).unwrap();
        let reason = REASONS[self.dice.place(REASONS.len())];
        match (doing, self.dice.below(12)) {
            (Doing::Starting, 0..6) => {
                let process = self.processes.get_mut(&worker).unwrap();
                (process.doing, process.version) = (Doing::Warm, self.version);
                self.say(worker, FromWorker::Ready);
            }
            (Doing::Accepting, 11) => self.find_change(worker),
            (Doing::Finishing | Doing::Stopping, 6..9) => {
                self.processes.get_mut(&worker).unwrap().closing = None;
                self.say(worker, FromWorker::Closed);
            }
            (Doing::Starting, 6) => {
                self.causes += 1;
                let cause = self.dice.below(2).to_string();
                self.processes.get_mut(&worker).unwrap().doing = Doing::Finishing;
                self.say(worker, FromWorker::Unfit { cause });
            }
            (Doing::Accepting, 0..3) => {
                self.causes += 1;
                self.say(worker, FromWorker::Replace { reason });
            }
            (Doing::Starting, 7) | (Doing::Accepting | Doing::Warm, 3..6) => {
                self.causes += 1;
                let process = self.processes.get_mut(&worker).unwrap();
                (process.doing, process.holds) = (Doing::Finishing, None);
                self.say(worker, FromWorker::Leaving { reason });
            }
            (Doing::Accepting, 6..9) => {
                let script = vec![b'a'; self.dice.place(4)];
                self.say(worker, FromWorker::Served { script, application_group: Vec::new() });
            }
            (_, 9) if doing != Doing::Killed => self.fleet.event(Event::Lost { worker }, self.now),
            // Said too late, or by a liar.
            (Doing::Finishing | Doing::Stopping, 0) => self.say(worker, FromWorker::Ready),
            (Doing::Finishing | Doing::Stopping, 1) => self.say(worker, FromWorker::Replace { reason }),
            (Doing::Finishing | Doing::Stopping, 2) => self.say(worker, FromWorker::Leaving { reason }),
            (Doing::Killed, _)
            | (Doing::Starting | Doing::Accepting | Doing::Warm, 10)
            | (Doing::Finishing | Doing::Stopping, 3..6) => {
                self.end(worker);
            }
            _ => {}
        }
        self.act();
    }

    /// A request at this process finds its script changed.
    fn find_change(&mut self, worker: WorkerId) {
        let process = self.processes.get_mut(&worker).unwrap();
        if process.version == self.version {
            self.version += 1;
        }
        let (group, current) = (process.group, self.current.contains(&process.group));
        process.holds = Some(self.now);
        let plan = &self.plans[&group];
        // What was being started, too, and all places when the change is over.
        self.causes += 3 * usize::try_from(plan.slots).unwrap();
        if current && !plan.exclusive {
            self.seen.entry(group).or_insert(self.now);
        }
        let script = vec![b'a'; self.dice.place(4)];
        self.say(worker, FromWorker::Changed { script, application_group: Vec::new() });
    }

    fn pass(&mut self) {
        let time = Duration::from_millis(match self.dice.below(4) {
            0 => 0,
            1 => self.dice.below(50),
            2 => self.dice.below(2000),
            _ => self.dice.below(30_000),
        });
        let until = self.now + time;
        while let Some(at) = self.fleet.wake(self.now).filter(|at| *at <= until) {
            assert!(at > self.now || self.fleet.wake(self.now).is_some());
            let before = (self.fleet.wake(self.now), self.now);
            self.now = self.now.max(at);
            self.fleet.tick(self.now);
            self.act();
            self.check();
            assert_ne!(
                (self.fleet.wake(self.now), self.now),
                before,
                "a tick that changes nothing comes again for ever"
            );
        }
        self.now = until;
    }

    fn check(&mut self) {
        for group in self.plans.keys() {
            let plan = &self.plans[group];
            for slot in 0..plan.slots {
                let here: Vec<&Process> =
                    self.processes.values().filter(|process| (process.group, process.slot) == (*group, slot)).collect();
                let count = |doing: Doing| here.iter().filter(|process| process.doing == doing).count();
                assert!(count(Doing::Accepting) + count(Doing::Warm) <= 1, "two have one place");
                assert!(count(Doing::Starting) <= 1, "two are being started");
                if plan.exclusive {
                    assert!(here.len() <= 1, "two where two may not be");
                }
                self.most_at_once = self.most_at_once.max(here.len());
                if self.current.contains(group) && !self.stopping {
                    // Or somebody must end first, in this group or in one of its name.
                    let before = |process: &Process| {
                        self.namesake(process.group, plan) && (plan.exclusive || self.plans[&process.group].exclusive)
                    };
                    let next = self.fleet.wake(self.now).is_some() || self.processes.values().any(before);
                    let there = count(Doing::Accepting) + count(Doing::Warm) + count(Doing::Starting) > 0;
                    assert!(there || next, "nothing follows in a slot");
                }
            }
            let of_group = || self.processes.values().filter(|process| process.group == *group);
            let serves = |slot: u32| of_group().any(|one| one.slot == slot && one.doing == Doing::Accepting);
            let replacements = of_group().filter(|one| one.doing == Doing::Starting && serves(one.slot)).count();
            assert!(replacements <= 1, "{replacements} replacements at a time");
            for held in of_group().filter_map(|process| process.holds) {
                let seen = self.seen.get(group).map_or(held, |seen| held.min(*seen));
                assert!(
                    self.now <= held.max(seen + HOLD),
                    "requests wait for more than 0.4 s since the change was seen"
                );
            }
            let elsewhere = |process: &&Process| process.group != *group && self.namesake(process.group, plan);
            let here = self.processes.values().any(|process| process.group == *group);
            if plan.exclusive && here && self.current.contains(group) {
                assert_eq!(self.processes.values().filter(elsewhere).count(), 0, "beside its predecessor");
            }
        }
        self.check_turns();
        assert!(self.starts <= self.causes, "{} starts for {} causes", self.starts, self.causes);
    }

    /// Requests to a worker that serves count at it alone, whatever others of its place still have.
    fn check_turns(&mut self) {
        for (worker, process) in &mut self.processes {
            let place = usize::try_from(process.slot).unwrap();
            let Some(now) = self.fleet.turns(process.group).nth(place) else { continue };
            if self.fleet.stage(*worker) == Some(board::Stage::Serving) {
                assert_eq!(*process.turn.get_or_insert(now), now, "another has the turn of one that serves");
            } else if let Some(turn) = process.turn {
                let hurried = matches!(process.doing, Doing::Stopping | Doing::Killed);
                assert_ne!(turn, now, "it has the turn, and does not serve");
                assert!(hurried || turn % TURNS != now % TURNS, "two count in one tally");
            }
        }
    }

    fn namesake(&self, group: GroupId, plan: &Plan) -> bool {
        self.plans.get(&group).is_some_and(|other| other.name == plan.name)
    }

    fn run(mut self, steps: usize) -> Self {
        for _ in 0..steps {
            match self.dice.below(40) {
                0 => self.configure(),
                1..10 => self.pass(),
                _ => self.something(),
            }
            self.check();
        }
        self.stop();
        self
    }

    fn stop(&mut self) {
        self.stopping = true;
        let within = Duration::from_millis(self.dice.below(5000));
        self.fleet.stop(within, self.now);
        self.act();
        let until = self.now + within;
        while let Some(at) = self.fleet.wake(self.now).filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.fleet.tick(self.now);
            self.act();
            self.something();
        }
        assert!(self.processes.values().all(|process| process.doing == Doing::Killed), "somebody lives on");
        for worker in self.processes.keys().copied().collect::<Vec<_>>() {
            self.end(worker);
        }
        self.act();
        assert_eq!((self.finished, self.fleet.workers(), self.plans.len()), (1, 0, 0));
    }
}

const REASONS: [Reason; 12] = [
    Reason::ShutdownSignal,
    Reason::GracefulSignal,
    Reason::EvictionSignal,
    Reason::MaximumRequests,
    Reason::MaximumMemory,
    Reason::RestartInterval,
    Reason::InactivityTimeout,
    Reason::RequestTimeout,
    Reason::StartupTimeout,
    Reason::DeadlockTimeout,
    Reason::CpuTimeLimit,
    Reason::ScriptReload,
];

#[test]
fn whatever_happens_the_rules_hold() {
    let (mut starts, mut most, mut switches, mut bridged) = (0, 0, 0, 0);
    for seed in 0..40 {
        let world = World::new(seed).run(if cfg!(miri) { 20 } else { 500 });
        starts += world.starts;
        most = most.max(world.most_at_once);
        switches += world.switches;
        bridged += world.bridged;
    }
    assert!(cfg!(miri) || (starts > 1000 && most > 3), "the dice are loaded: {starts} starts, at most {most} at once");
    assert!(cfg!(miri) || (switches > 30 && bridged > 100), "{switches} changes, {bridged} bridges");
    assert!(most <= 12, "{most} processes of one slot");
}
