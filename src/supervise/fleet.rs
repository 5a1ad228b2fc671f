//! All daemon groups of one httpd: which configuration holds, what starts next, when all is over.

use std::collections::VecDeque;
use std::time::Duration;

use super::event::{Action, Event, GroupId, Time, WorkerId};
use super::group::Group;
use super::plan::Plan;
use super::slot::Slot;
use crate::board::{CAUSES, Stage, State};

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
                group.renew(plan, now, &mut self.actions);
            } else {
                let id = GroupId(self.number());
                ids.push(id);
                self.groups.push(Group::new(id, plan, now));
            }
        }
        for group in self.groups.iter_mut().filter(|group| !ids.contains(&group.id) && !group.retired) {
            group.retire(now, &mut self.actions);
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
            group.stop(within, now, &mut self.actions);
        }
        self.settle(now);
    }

    /// Does what the time asks for.
    pub fn tick(&mut self, now: Time) {
        for group in &mut self.groups {
            group.tick(now, &mut self.actions);
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
        let changes = self.groups.iter().filter_map(Group::next_of_change);
        timers.chain(wishes).chain(places).chain(changes).min()
    }

    /// How it is at each place of a group; empty for a group that is gone.
    pub fn places(&self, group: GroupId) -> impl Iterator<Item = State> {
        let found = self.groups.iter().find(|one| one.id == group && !one.retired);
        found.into_iter().flat_map(Group::places)
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

    /// For each place of a group, how many workers have ceased to serve there; one that goes on with what it has begun is one of them.
    pub fn turns(&self, group: GroupId) -> impl Iterator<Item = u32> {
        let found = self.groups.iter().find(|one| one.id == group);
        found.into_iter().flat_map(Group::turns)
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
            let preload = group.start(place, worker, now);
            let slot = u32::try_from(place).unwrap_or(u32::MAX);
            self.actions.push_back(Action::Start { worker, group: group.id, slot, preload });
        }
        self.groups.iter_mut().for_each(Group::count_turns);
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

    /// Which place is to be filled next, if one may be: first where nobody serves; of those first in a group that has nobody at all, unless
    /// its starts keep failing; then who has waited longest.
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
                let can_wait = slot.is_failing() || group.has_somebody();
                (!group.is_replacing(slot) && !self.blocked(group, slot))
                    .then_some(((slot.serving.is_some(), can_wait, wish.since), (number, place)))
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

#[cfg(test)]
mod tests;
