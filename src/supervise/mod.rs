//! Lives of workers, groups and restarts as state machines.
