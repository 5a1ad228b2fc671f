//! All daemon groups of one httpd: which configuration holds, what starts next, when all is over.

use std::collections::VecDeque;
use std::time::Duration;

use super::event::{Action, Event, GroupId, Level, Time, WorkerId};
use super::plan::Plan;
use super::slot::{End, Scene, Slot};
use crate::board::{CAUSES, Stage};
use crate::wire::control::FromWorker;

/// A worker that has been starting for longer than this most likely waits for something and leaves the processors to others.
const BUSY: Duration = Duration::from_secs(5);

/// The machine that [the supervisor](crate::supervise) asks. After every call of [`Self::configure`], [`Self::event`], [`Self::stop`]
/// and [`Self::tick`] the caller does what [`Self::next_action`] answers until it answers nothing, and calls [`Self::tick`] again at
/// [`Self::wake`].
#[derive(Debug)]
pub struct Fleet {
    groups: Vec<Group>,
    most_starting: usize,
    last_number: u64,
    stopping: bool,
    finished: bool,
    actions: VecDeque<Action>,
}

#[derive(Debug)]
struct Group {
    id: GroupId,
    plan: Plan,
    slots: Vec<Slot>,
    retired: bool,
    /// Why it can't start, as it was logged.
    complaint: Option<String>,
}

impl Fleet {
    /// `processors`: so many workers, and at least two, may be starting at once.
    #[must_use]
    pub fn new(processors: usize) -> Self {
        Self {
            groups: Vec::new(),
            most_starting: processors.max(2),
            last_number: 0,
            stopping: false,
            finished: false,
            actions: VecDeque::new(),
        }
    }

    /// Puts a configuration in force; answers the groups' ids in the order of the plans. What has the same name, key and number of
    /// slots is renewed worker by worker; other groups start at once, and what is in no plan drains.
    pub fn configure(&mut self, plans: Vec<Plan>, now: Time) -> Vec<GroupId> {
        let mut ids = Vec::new();
        for plan in plans {
            let same = |group: &Group| {
                !group.retired
                    && (&group.plan.name, &group.plan.key, group.plan.slots) == (&plan.name, &plan.key, plan.slots)
            };
            if let Some(group) = self.groups.iter_mut().find(|group| same(group) && !ids.contains(&group.id)) {
                ids.push(group.id);
                group.plan = plan;
                group.complaint = None;
                group.each(now, &mut self.actions, Slot::renew);
            } else {
                let id = GroupId(self.number());
                let slots = (0..plan.slots).map(|slot| Slot::new(slot, now)).collect();
                ids.push(id);
                self.groups.push(Group { id, plan, slots, retired: false, complaint: None });
            }
        }
        for group in self.groups.iter_mut().filter(|group| !ids.contains(&group.id) && !group.retired) {
            group.retired = true;
            group.each(now, &mut self.actions, Slot::retire);
        }
        if self.stopping {
            self.stop(Duration::ZERO, now);
        }
        self.settle(now);
        ids
    }

    pub fn event(&mut self, event: Event, now: Time) {
        let worker = match &event {
            Event::Started { worker, .. }
            | Event::NotStarted { worker, .. }
            | Event::Said { worker, .. }
            | Event::Lost { worker }
            | Event::Ended { worker, .. } => *worker,
        };
        let found = self.groups.iter_mut().find_map(|group| {
            let place = group.slots.iter().position(|slot| slot.lives().any(|life| life.id == worker))?;
            Some((group, place))
        });
        if let Some((group, place)) = found {
            group.event(place, worker, event, now, &mut self.actions);
        }
        self.settle(now);
    }

    /// TERM to all, KILL to what is left after `within`; [`Action::Finish`] when nothing is.
    pub fn stop(&mut self, within: Duration, now: Time) {
        self.stopping = true;
        for group in &mut self.groups {
            group.retired = true;
            group.each(now, &mut self.actions, |slot, scene| slot.stop(within, scene));
        }
        self.settle(now);
    }

    /// Does what the time asks for.
    pub fn tick(&mut self, now: Time) {
        for group in &mut self.groups {
            group.each(now, &mut self.actions, Slot::tick);
        }
        self.settle(now);
    }

    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::tick`] is to be called next, if nothing happens before; may be in the past.
    #[must_use]
    pub fn wake(&self, now: Time) -> Option<Time> {
        let slots = || self.groups.iter().flat_map(|group| group.slots.iter().map(move |slot| (group, slot)));
        let timers = slots().filter_map(|(group, slot)| slot.next(&group.plan));
        let wishes = slots().filter_map(|(_, slot)| slot.wish).map(|wish| wish.not_before).filter(|at| *at > now);
        // A wish whose time has come waits for a place in the limit, or for an end, which is an event.
        let waits = slots().any(|(_, slot)| slot.wish.is_some_and(|wish| wish.not_before <= now));
        let places = slots().filter_map(|(_, slot)| slot.starting.as_ref()).filter(|_| waits);
        let places = places.map(|life| life.begun.saturating_add(BUSY)).filter(|at| *at > now);
        timers.chain(wishes).chain(places).min()
    }

    /// Which places of a group have no worker that serves, and can't get one; empty for a group that is gone.
    pub fn failing(&self, group: GroupId) -> impl Iterator<Item = bool> {
        let found = self.groups.iter().find(|one| one.id == group && !one.retired);
        found.into_iter().flat_map(|group| group.slots.iter().map(Slot::is_failing))
    }

    /// How far a worker is; nothing of one that is gone.
    #[must_use]
    pub fn stage(&self, worker: WorkerId) -> Option<Stage> {
        self.groups.iter().flat_map(|group| &group.slots).find_map(|slot| slot.stage_of(worker))
    }

    /// For each place of a group, how often each cause had its worker followed by another; in the order of [`super::Cause`].
    pub fn causes(&self, group: GroupId) -> impl Iterator<Item = &[u32; CAUSES]> {
        let found = self.groups.iter().find(|one| one.id == group);
        found.into_iter().flat_map(|group| group.slots.iter().map(Slot::causes))
    }

    /// How many workers there are, in whatever stage.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.groups.iter().map(Group::workers).sum()
    }

    /// Starts what may start, forgets what is gone.
    fn settle(&mut self, now: Time) {
        while let Some((group, place)) = self.choose(now) {
            let worker = WorkerId(self.number());
            let Some(group) = self.groups.get_mut(group) else { break };
            let Some(slot) = group.slots.get_mut(place) else { break };
            let mut actions = Vec::new();
            let preload = slot.start(worker, &Scene { group: group.id, plan: &group.plan, now, actions: &mut actions });
            let slot = u32::try_from(place).unwrap_or(u32::MAX);
            self.actions.push_back(Action::Start { worker, group: group.id, slot, preload });
        }
        let actions = &mut self.actions;
        self.groups.retain(|group| {
            let gone = group.retired && group.workers() == 0;
            if gone {
                actions.push_back(Action::Forget { group: group.id });
            }
            !gone
        });
        if self.stopping && !self.finished && self.groups.is_empty() {
            self.finished = true;
            self.actions.push_back(Action::Finish);
        }
    }

    /// Which place is to be filled next, if one may be: first where nobody serves, then who has waited longest.
    fn choose(&self, now: Time) -> Option<(usize, usize)> {
        let all = || self.groups.iter().flat_map(|group| &group.slots);
        let starting = all().filter_map(|slot| slot.starting.as_ref());
        let busy = starting.filter(|life| life.begun.saturating_add(BUSY) > now).count();
        if busy >= self.most_starting {
            return None;
        }
        let places = self.groups.iter().enumerate().flat_map(|(number, group)| {
            group.slots.iter().enumerate().map(move |(place, slot)| (number, group, place, slot))
        });
        places
            .filter_map(|(number, group, place, slot)| {
                let wish = slot.wish.filter(|wish| wish.not_before <= now)?;
                (!self.blocked(group, slot)).then_some(((slot.serving.is_some(), wish.since), (number, place)))
            })
            .min()
            .map(|(_, place)| place)
    }

    /// Whether somebody must end before: in groups of which two workers may not be there at once, under whatever key.
    fn blocked(&self, group: &Group, slot: &Slot) -> bool {
        let namesakes = self.groups.iter().filter(|other| other.id != group.id && other.plan.name == group.plan.name);
        let before = namesakes.filter(|other| other.retired && (group.plan.exclusive || other.plan.exclusive));
        (group.plan.exclusive && !slot.ending.is_empty()) || before.map(Group::workers).sum::<usize>() > 0
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

impl Group {
    fn workers(&self) -> usize {
        self.slots.iter().map(|slot| slot.lives().count()).sum()
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

    fn event(&mut self, place: usize, worker: WorkerId, event: Event, now: Time, actions: &mut VecDeque<Action>) {
        let mut answers = Vec::new();
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
                    if slot.ready(worker, &mut scene) && self.complaint.take().is_some() {
                        let text = format!("WSGI0323: daemon group \"{}\" starts again.", self.plan.name);
                        scene.log(Level::Notice, text);
                    }
                }
                FromWorker::Unfit { cause } => {
                    if slot.unfit(worker, &mut scene) {
                        complain(&mut self.complaint, cause, &mut scene);
                    }
                }
                FromWorker::Replace { reason } => slot.replace(worker, reason, &mut scene),
                FromWorker::Leaving { reason } => slot.leaving(worker, reason, &mut scene),
                FromWorker::Served { script, application_group } => {
                    if let Some(life) = slot.life(worker) {
                        life.remember((script, application_group));
                    }
                }
            },
            Event::Lost { .. } => slot.lost(worker, &mut scene),
            Event::Ended { how, clean, serving, .. } => {
                slot.ended(worker, &End { how: &how, clean, serving: serving.as_deref() }, &mut scene);
            }
        }
        actions.extend(answers);
    }
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

#[cfg(test)]
mod tests;
