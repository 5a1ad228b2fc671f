//! The system below the processes: descriptors, memory, processes.

pub mod connect;
pub mod listen;
pub mod memory;
