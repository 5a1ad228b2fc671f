//! Tells httpd's children which places of groups have no worker, or can't get one, in memory that the parent gave with the configuration;
//! and wakes those who wait for a place when somebody new can be had.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use crate::board::{State, States};
use crate::os::memory::{SharedWords, ring};
use crate::supervise::{Fleet, GroupId};

/// The memory of a configuration: of that in force, or of the one before.
#[derive(Debug)]
pub(super) struct Told {
    words: SharedWords,
    /// In the order of the configuration.
    groups: Vec<Places>,
    in_force: bool,
}

#[derive(Debug)]
struct Places {
    group: GroupId,
    count: usize,
    /// All turns of the group together, as its waiters know; none where they may know those of another supervisor.
    turns: Option<u32>,
}

impl Told {
    /// `descriptor` is that of `ToSupervisor::Begin`; the groups have so many places each.
    ///
    /// # Errors
    /// It is no such memory, or too small.
    pub(super) fn new(descriptor: OwnedFd, groups: Vec<(GroupId, usize)>) -> io::Result<Told> {
        let places = groups.iter().map(|(_, places)| places).sum();
        let words = SharedWords::of(descriptor, States::words(places))?;
        let groups = groups.into_iter().map(|(group, count)| Places { group, count, turns: None });
        Ok(Told { words, groups: groups.collect(), in_force: true })
    }

    /// Says how it is now. Whose turn it is says the group's board, before.
    pub(super) fn tell(&mut self, fleet: &Fleet) {
        let states = States::new(self.words.words());
        let mut first = 0;
        for Places { group, count, turns } in &mut self.groups {
            if self.in_force {
                for (slot, state) in fleet.places(*group).enumerate().take(*count) {
                    states.set(first + slot, state);
                }
            }
            let now = Some(fleet.turns(*group).fold(0, u32::wrapping_add));
            if now != *turns
                && let Some(bell) = states.bell(first)
            {
                *turns = now;
                bell.fetch_add(1, Ordering::SeqCst);
                ring(bell, i32::MAX);
            }
            first += *count;
        }
    }

    /// Another configuration is in force. Children of this one that end may still have requests which wait: they are woken, but of states
    /// they hear no more, so nothing is said to fail, or to be empty.
    pub(super) fn succeeded(mut self) -> Told {
        self.in_force = false;
        self.all_served();
        self
    }

    fn all_served(&self) {
        let states = States::new(self.words.words());
        let places = self.groups.iter().map(|places| places.count).sum();
        (0..places).for_each(|place| states.set(place, State::Served));
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.all_served();
    }
}
