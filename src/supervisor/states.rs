//! Tells httpd's children which places of groups have no worker, or can't get one, in memory that the parent gave with the configuration.

use std::io;
use std::os::fd::OwnedFd;

use crate::board::{State, States};
use crate::os::memory::SharedWords;
use crate::supervise::{Fleet, GroupId};

/// The memory of the configuration in force.
#[derive(Debug)]
pub(super) struct Told {
    words: SharedWords,
    /// In the order of the configuration, with their number of places.
    groups: Vec<(GroupId, usize)>,
}

impl Told {
    /// `descriptor` is that of `ToSupervisor::Begin`.
    ///
    /// # Errors
    /// It is no such memory, or too small.
    pub(super) fn new(descriptor: OwnedFd, groups: Vec<(GroupId, usize)>) -> io::Result<Told> {
        let places = groups.iter().map(|(_, places)| places).sum();
        Ok(Told { words: SharedWords::of(descriptor, places)?, groups })
    }

    /// Says how it is now.
    pub(super) fn tell(&self, fleet: &Fleet) {
        let states = States::new(self.words.words());
        let mut first = 0;
        for (group, places) in &self.groups {
            for (slot, state) in fleet.places(*group).enumerate().take(*places) {
                states.set(first + slot, state);
            }
            first += places;
        }
    }
}

impl Drop for Told {
    /// Children of this configuration hear no more: nothing is said to fail, or to be empty.
    fn drop(&mut self) {
        let states = States::new(self.words.words());
        (0..self.words.words().len()).for_each(|place| states.set(place, State::Served));
    }
}
