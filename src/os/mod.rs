//! The system below the processes: descriptors, memory, processes.

pub(crate) mod connect;
pub(crate) mod listen;
pub(crate) mod memory;
