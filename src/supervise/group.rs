//! A group under one key: its places, and what concerns all of them at once.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::change::{Answer, Change};
use super::event::{Action, Event, GroupId, Level, Script, Time, WorkerId};
use super::life::{Life, MOST_SCRIPTS};
use super::plan::Plan;
use super::scripts::Scripts;
use super::slot::{End, Scene, Slot, Stage};
use crate::board::State;
use crate::wire::control::FromWorker;

#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: GroupId,
    pub(super) plan: Plan,
    pub(super) slots: Vec<Slot>,
    /// By slot.
    turns: Vec<Turn>,
    pub(super) retired: bool,
    /// Why it can't start, as it was logged.
    pub(super) complaint: Option<String>,
    /// A script has changed, and old code is still there.
    pub(super) change: Option<Change>,
}

/// Whose turn it is in a slot.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// Workers that have ceased to serve.
    count: u32,
    serving: Option<WorkerId>,
}

impl Group {
    /// All its places are to be filled.
    pub(super) fn new(id: GroupId, plan: Plan, now: Time) -> Self {
        let slots: Vec<Slot> = (0..plan.slots).map(|slot| Slot::new(slot, now)).collect();
        let turns = vec![Turn::default(); slots.len()];
        Self { id, plan, slots, turns, retired: false, complaint: None, change: None }
    }

    /// Counts the workers that have ceased to serve, after whatever has happened.
    pub(super) fn count_turns(&mut self) {
        for (turn, slot) in self.turns.iter_mut().zip(&self.slots) {
            let serving = slot.serving.as_ref().map(|life| life.id);
            if turn.serving.is_some() && turn.serving != serving {
                turn.count = turn.count.wrapping_add(1);
            }
            turn.serving = serving;
        }
    }

    /// How many workers have ceased to serve in each place. Requests to one of them don't count at those that follow.
    pub(super) fn turns(&self) -> impl Iterator<Item = u32> {
        self.turns.iter().map(|turn| turn.count)
    }

    pub(super) fn workers(&self) -> usize {
        self.slots.iter().map(|slot| slot.lives().count()).sum()
    }

    /// How it is at each place.
    pub(super) fn places(&self) -> impl Iterator<Item = State> {
        self.slots.iter().map(|slot| match &slot.serving {
            Some(life) if !self.change.as_ref().is_some_and(|change| change.keeps_back(life.id)) => State::Served,
            None if slot.is_failing() => State::Failing,
            _ => State::Vacant,
        })
    }

    /// Whether a start in this place would be a second replacement at a time. Places where nobody serves are another matter.
    pub(super) fn is_replacing(&self, slot: &Slot) -> bool {
        slot.serving.is_some() && self.slots.iter().any(|slot| slot.stage() == Stage::Replacing)
    }

    /// Serving or being started, in whatever place.
    pub(super) fn has_somebody(&self) -> bool {
        self.slots.iter().any(|slot| slot.serving.is_some() || slot.starting.is_some())
    }

    pub(super) fn next_of_change(&self) -> Option<Time> {
        self.change.as_ref().and_then(Change::next)
    }

    /// A newer configuration with the same key.
    pub(super) fn renew(&mut self, plan: Plan, now: Time, actions: &mut VecDeque<Action>) {
        self.plan = plan;
        self.complaint = None;
        if self.change.is_some() {
            self.each(now, actions, Slot::start_anew);
        }
        self.each(now, actions, Slot::renew);
    }

    /// It is in no configuration any more.
    pub(super) fn retire(&mut self, now: Time, actions: &mut VecDeque<Action>) {
        self.retired = true;
        self.forget_change(now, actions);
        self.each(now, actions, Slot::retire);
    }

    /// Everything ends, at once.
    pub(super) fn stop(&mut self, within: Duration, now: Time, actions: &mut VecDeque<Action>) {
        self.retired = true;
        self.change = None;
        self.each(now, actions, |slot, scene| slot.stop(within, scene));
    }

    /// What the time asks for.
    pub(super) fn tick(&mut self, now: Time, actions: &mut VecDeque<Action>) {
        self.each(now, actions, Slot::tick);
        if self.change.as_mut().is_some_and(|change| change.bridge(now)) {
            actions.extend(self.serving().map(|worker| Action::Bridge { worker }));
        }
        self.finish_change(now, actions);
    }

    pub(super) fn event(
        &mut self,
        place: usize,
        worker: WorkerId,
        event: Event,
        now: Time,
        actions: &mut VecDeque<Action>,
    ) {
        let mut answers = Vec::new();
        let outgrown = self.slots.iter().any(Slot::has_outgrown);
        let mut scene = Scene { group: self.id, plan: &self.plan, now, actions: &mut answers };
        let Some(slot) = self.slots.get_mut(place) else { return };
        match event {
            Event::Started { pid, .. } => {
                if let Some(life) = slot.life(worker) {
                    life.pid = Some(pid);
                }
                let name = &self.plan.name;
                let text = format!("WSGI0331: worker {} of daemon group \"{name}\" starts (pid {pid}).", place + 1);
                scene.log(Level::Info, text);
            }
            Event::NotStarted { cause, .. } => {
                if slot.not_started(worker, &mut scene) {
                    complain(&mut self.complaint, cause, &mut scene);
                }
            }
            Event::Said { what, .. } => match what {
                FromWorker::Ready => {
                    let old = slot.serving.as_ref().map(|life| life.id);
                    if slot.ready(worker, &mut scene) {
                        if self.complaint.take().is_some() {
                            let text = format!("WSGI0323: daemon group \"{}\" starts again.", self.plan.name);
                            scene.log(Level::Notice, text);
                        }
                        self.warm(worker, old, now, &mut answers);
                    }
                }
                FromWorker::Unfit { cause } => {
                    if slot.unfit(worker, &mut scene) {
                        complain(&mut self.complaint, cause, &mut scene);
                    }
                }
                FromWorker::Replace { reason } => slot.replace(worker, reason, &mut scene),
                // The same is true of all, and of their successors.
                FromWorker::Outgrown { .. } if outgrown => {}
                FromWorker::Outgrown { limit, used, age } => {
                    slot.outgrown(worker, limit, used, Duration::from_millis(age), &mut scene);
                }
                FromWorker::Leaving { reason } => slot.leaving(worker, reason, &mut scene),
                FromWorker::Served { script, application_group } => {
                    if let Some(life) = slot.life(worker) {
                        life.remember(&(script, application_group));
                    }
                }
                FromWorker::Changed { script, application_group } => {
                    if slot.is_serving(worker) {
                        self.changed(place, worker, (script, application_group), now, &mut answers);
                    }
                }
                FromWorker::Closed => self.closed(worker),
            },
            Event::Lost { .. } => slot.lost(worker, &mut scene),
            Event::Ended { how, clean, serving, .. } => {
                slot.ended(worker, &End { how: &how, clean, serving: serving.as_deref() }, &mut scene);
                self.closed(worker);
            }
        }
        actions.extend(answers);
        self.finish_change(now, actions);
    }

    /// What a start in this place shall load.
    pub(super) fn start(&mut self, place: usize, worker: WorkerId, now: Time) -> Vec<Script> {
        let scene = Scene { group: self.id, plan: &self.plan, now, actions: &mut Vec::new() };
        let Some(slot) = self.slots.get_mut(place) else { return Vec::new() };
        let own = slot.start(worker, &scene);
        if self.change.is_none() {
            return own;
        }
        // It takes over from all of them.
        let serving = self.slots.iter().filter_map(|slot| slot.serving.as_ref());
        let mut all = Scripts::default();
        for script in own.into_iter().chain(serving.flat_map(Life::preload)) {
            all.add(&script, MOST_SCRIPTS);
        }
        all.to_vec()
    }

    /// A worker that serves found this script changed.
    fn changed(&mut self, place: usize, worker: WorkerId, script: Script, now: Time, answers: &mut Vec<Action>) {
        let others: Vec<WorkerId> = self.serving().filter(|other| *other != worker).collect();
        let mut scene = Scene { group: self.id, plan: &self.plan, now, actions: answers };
        if self.retired {
            // New code is another group's business.
            answers.push(Action::Bridge { worker });
            return;
        }
        let path = String::from_utf8_lossy(&script.0).into_owned();
        if self.plan.exclusive {
            scene.log(Level::Info, said(&self.plan, &path));
            self.slots.iter_mut().for_each(|slot| slot.renew_code(&mut scene));
            return;
        }
        let new = match &mut self.change {
            None => {
                scene.log(Level::Info, said(&self.plan, &path));
                self.slots.iter_mut().for_each(|slot| slot.start_anew(&mut scene));
                if let Some(slot) = self.slots.get_mut(place) {
                    slot.renew_code(&mut scene);
                }
                self.change = Some(Change::seen(&script, now));
                true
            }
            Some(change) => {
                if change.answer() == Answer::Bridge {
                    answers.push(Action::Bridge { worker });
                }
                change.add(&script)
            }
        };
        if new {
            let tell = |worker| Action::Tell { worker, changed: script.clone() };
            answers.extend(others.into_iter().map(tell));
        }
    }

    /// This worker has taken its place, that of `old`: it accepts, unless old code must have come to rest before.
    fn warm(&mut self, worker: WorkerId, old: Option<WorkerId>, now: Time, answers: &mut Vec<Action>) {
        let Some(change) = &mut self.change else {
            self.open(&[worker], answers);
            return;
        };
        if !change.warm(worker) {
            return;
        }
        let mut closing: BTreeSet<WorkerId> = old.into_iter().collect();
        let mut scene = Scene { group: self.id, plan: &self.plan, now, actions: answers };
        for slot in self.slots.iter_mut().filter(|slot| !slot.is_serving(worker)) {
            closing.extend(slot.yield_to_new_code(&mut scene));
        }
        change.switch(worker, closing, now);
    }

    /// A worker begins no request any more.
    fn closed(&mut self, worker: WorkerId) {
        if let Some(change) = &mut self.change {
            change.closed(worker);
        }
    }

    /// Opens the new ones when the old ones have closed.
    fn finish_change(&mut self, now: Time, actions: &mut VecDeque<Action>) {
        if let Some(warm) = self.change.as_mut().and_then(|change| change.over(now)) {
            self.change = None;
            self.open(&warm, actions);
        }
    }

    /// Nothing new follows: who waits is answered by what there is.
    fn forget_change(&mut self, now: Time, actions: &mut VecDeque<Action>) {
        let Some(mut change) = self.change.take() else { return };
        match change.over(Time::MAX) {
            Some(warm) => self.open(&warm, actions),
            None => {
                change.bridge(now);
                actions.extend(self.serving().map(|worker| Action::Bridge { worker }));
            }
        }
    }

    /// Those of them that were not told to go meanwhile.
    fn open(&self, warm: &[WorkerId], actions: &mut impl Extend<Action>) {
        actions.extend(self.serving().filter(|worker| warm.contains(worker)).map(|worker| Action::Open { worker }));
    }

    fn serving(&self) -> impl Iterator<Item = WorkerId> {
        self.slots.iter().filter_map(|slot| slot.serving.as_ref()).map(|life| life.id)
    }

    /// Does something in every slot.
    fn each(&mut self, now: Time, actions: &mut VecDeque<Action>, mut work: impl FnMut(&mut Slot, &mut Scene<'_>)) {
        let mut answers = Vec::new();
        let mut scene = Scene { group: self.id, plan: &self.plan, now, actions: &mut answers };
        for slot in &mut self.slots {
            work(slot, &mut scene);
        }
        actions.extend(answers);
    }
}

fn said(plan: &Plan, script: &str) -> String {
    format!("WSGI0470: {script} has changed: all workers of daemon group \"{}\" are replaced.", plan.name)
}

/// Once for each cause: all workers of a group fail in the same way, again and again.
fn complain(said: &mut Option<String>, cause: String, scene: &mut Scene<'_>) {
    if said.as_ref() != Some(&cause) {
        let text = format!(
            "WSGI0322: daemon group \"{}\" can't start; it is tried again, at most every 20 s: {cause}",
            scene.plan.name
        );
        scene.log(Level::Error, text);
        *said = Some(cause);
    }
}
