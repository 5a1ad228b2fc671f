//! What httpd's child reads from a worker, which runs other people's code.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mod_wsgi::wire;

#[path = "../wire_properties.rs"]
mod properties;

fuzz_target!(|bytes: &[u8]| properties::hold(properties::Sender::Worker, bytes));
