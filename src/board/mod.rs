//! Arithmetic over the memory that httpd's children share: how many requests each worker process has in flight.
//!
//! Called by `proxy` on the request threads of children, several processes at a time; the parent makes the memory. Pure: it sees
//! a slice of atomic numbers and knows neither mappings nor processes. Nothing here blocks.
#![forbid(unsafe_code)]

mod in_flight;

pub use in_flight::{InFlight, Layout, Row};
