//! Arithmetic over shared memory: how many requests each worker process has in flight, whether it can be had at all, and
//! what it serves; and what workers are told of children.
//!
//! Called by `proxy` on the request threads of children, several processes at a time, by workers on theirs, and by the supervisor; the
//! parent makes the memory. Pure: it sees atomic numbers and knows neither mappings nor processes. Nothing here blocks.
#![forbid(unsafe_code)]

mod group;
mod in_flight;
mod notice;
mod states;

pub use group::{
    BoardLayout, CAUSES, Counts, List, MARKS, Read, Register, Running, Seat, SeatSight, Sight, Stage, Task,
};
pub use in_flight::{InFlight, Layout, Row, TURNS, Tally};
pub use notice::{Notice, read_notice};
pub use states::{State, States};
