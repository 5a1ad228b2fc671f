//! Why workers had to be followed by others, counted for each place.

use crate::board::CAUSES;
use crate::wire::control::Reason;

/// A cause; the number is its place on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It ended unasked.
    Died = 0,
    NotStarted = 1,
    /// A restart of httpd.
    Configuration = 2,
    ShutdownSignal = 3,
    GracefulSignal = 4,
    EvictionSignal = 5,
    MaximumRequests = 6,
    MaximumMemory = 7,
    RestartInterval = 8,
    InactivityTimeout = 9,
    RequestTimeout = 10,
    StartupTimeout = 11,
    DeadlockTimeout = 12,
    CpuTimeLimit = 13,
    ScriptReload = 14,
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Cause {
        match reason {
            Reason::ShutdownSignal => Cause::ShutdownSignal,
            Reason::GracefulSignal => Cause::GracefulSignal,
            Reason::EvictionSignal => Cause::EvictionSignal,
            Reason::MaximumRequests => Cause::MaximumRequests,
            Reason::MaximumMemory => Cause::MaximumMemory,
            Reason::RestartInterval => Cause::RestartInterval,
            Reason::InactivityTimeout => Cause::InactivityTimeout,
            Reason::RequestTimeout => Cause::RequestTimeout,
            Reason::StartupTimeout => Cause::StartupTimeout,
            Reason::DeadlockTimeout => Cause::DeadlockTimeout,
            Reason::CpuTimeLimit => Cause::CpuTimeLimit,
            Reason::ScriptReload => Cause::ScriptReload,
        }
    }
}

/// How often each was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Causes(pub(super) [u32; CAUSES]);

impl Causes {
    pub(super) fn count(&mut self, cause: impl Into<Cause>) {
        if let Some(count) = self.0.get_mut(cause.into() as usize) {
            *count = count.wrapping_add(1);
        }
    }
}
