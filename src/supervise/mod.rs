//! Lives of workers, of their places in a group, and of whole configurations as state machines: given an event and the time, what next.
//!
//! Pure: no clock, no process, no descriptor. The `supervisor` room feeds [`Fleet`] with what happens and does what it answers, one
//! event after the other on its only thread. A [`slot`] is one place of a group: at most one worker accepts requests in it and at most
//! one is being started. A [`group`] is all places under one key; a [`change`] takes all of them over to a script's new code at once. A [`Fleet`] is all groups of one httpd: which configuration holds, how many may start at once, when all
//! is over.

mod backoff;
mod cause;
mod change;
mod event;
mod fleet;
mod group;
mod life;
mod plan;
mod scripts;
mod slot;
pub mod worker;

#[cfg(test)]
mod simulation;

pub use cause::Cause;
pub use event::{Action, Event, GroupId, Level, Script, Signal, Time, WorkerId};
pub use fleet::Fleet;
pub use plan::Plan;
