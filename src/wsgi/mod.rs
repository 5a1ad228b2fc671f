//! (room being furnished)
#![forbid(unsafe_code)]
