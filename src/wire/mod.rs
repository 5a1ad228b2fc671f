//! What travels between httpd's children, workers, supervisor and parent: frames of requests, and messages about processes.
#![forbid(unsafe_code)]

pub mod control;
