//! What a worker reads from whoever connects to its socket.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mod_wsgi::wire;

#[path = "../wire_properties.rs"]
mod properties;

fuzz_target!(|bytes: &[u8]| properties::hold(properties::Sender::Child, bytes));
