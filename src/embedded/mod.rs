//! Embedded mode: WSGI applications inside httpd's children, over live requests.
//!
//! Runs in children only: on their main thread at start and end, on the MPM's threads for requests. Python starts with the first
//! request that needs it, or with the child where scripts are to be imported at its start.

mod child;
mod host;
mod scoreboard;
mod serve;

pub(crate) use child::{applications, start};
pub(crate) use scoreboard::text as scoreboard;
pub(crate) use serve::serve;
