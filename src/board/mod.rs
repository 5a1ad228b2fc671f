//! Arithmetic over shared memory: how many requests each worker process has in flight, and whether it can be had at all.
//!
//! Called by `proxy` on the request threads of children, several processes at a time, and by the supervisor; the parent makes the memory. Pure: it sees
//! a slice of atomic numbers and knows neither mappings nor processes. Nothing here blocks.
#![forbid(unsafe_code)]

mod in_flight;
mod states;

pub use in_flight::{InFlight, Layout, Row};
pub use states::{State, States};
