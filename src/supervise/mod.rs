//! The lives of workers, groups and restarts as state machines: given an event and the time, what next. (Being furnished.)
#![forbid(unsafe_code)]

pub mod worker;
