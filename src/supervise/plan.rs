//! What the machines know of a group's settings.

use std::time::Duration;

use crate::wire::control::{GroupSettings, Reason};

/// `startup-timeout` where it is not set: a worker that is not ready by then is given up if another one serves meanwhile.
pub(super) const STARTUP: Duration = Duration::from_secs(60);
/// mod_wsgi's `graceful-timeout`: for groups that nothing may take the place of before they have ended, and for old code.
const BOUNDED_DRAIN: Duration = Duration::from_secs(15);

/// A group of one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// As it is shown.
    pub name: String,
    /// Running workers of the same name and key serve this plan right.
    pub key: String,
    pub slots: u32,
    /// `startup-timeout`, where it is set.
    pub startup: Option<Duration>,
    /// `graceful-timeout`, where it is set.
    pub graceful: Option<Duration>,
    /// `eviction-timeout`, where it is set.
    pub eviction: Option<Duration>,
    /// From TERM to KILL; none: never.
    pub shutdown: Option<Duration>,
    /// `threads=0`: its workers run a script of their own and know no draining.
    pub service: bool,
    /// `overlap=Off` or `threads=0`: the old worker must have ended before the new one starts.
    pub exclusive: bool,
}

impl Plan {
    /// `slots` is the number of listening sockets that came with the settings.
    #[must_use]
    pub fn new(settings: &GroupSettings, slots: u32) -> Self {
        let options = &settings.options;
        let set = |time: Option<Duration>| time.filter(|time| !time.is_zero());
        let service = options.threads() == 0;
        Self {
            name: String::from_utf8_lossy(&settings.name).into_owned(),
            key: settings.key.clone(),
            slots,
            startup: options.startup_timeout(),
            graceful: options.graceful_timeout,
            eviction: set(options.eviction_timeout),
            shutdown: options.shutdown_timeout(),
            service,
            exclusive: service || !options.overlap(),
        }
    }

    /// How long a worker may take until it is ready; none: as long as it takes. An older one serving in its place can wait for another try;
    /// without, nothing is gained by beginning anew.
    pub(super) fn startup(&self, served: bool) -> Option<Duration> {
        self.startup.or(served.then_some(STARTUP))
    }

    /// How long a worker may finish what it has begun.
    pub(super) fn drain(&self, reason: Option<Reason>) -> Option<Duration> {
        match reason {
            Some(Reason::EvictionSignal) if self.eviction.is_some() => self.eviction,
            Some(Reason::ScriptReload) => Some(self.graceful.unwrap_or(BOUNDED_DRAIN)),
            _ if self.exclusive => Some(self.graceful.unwrap_or(BOUNDED_DRAIN)),
            _ => self.graceful,
        }
    }
}
