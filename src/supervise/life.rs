//! One worker's process, from the decision to start it until it is gone.

use std::time::Duration;

use super::event::{Action, Script, Signal, Time, WorkerId};
use super::plan::Plan;
use super::scripts::Scripts;
use crate::wire::control::Reason;

/// The worker itself keeps `shutdown-timeout` and the drain's limit, and knows better what it was doing: it goes first.
const MARGIN: Duration = Duration::from_secs(1);
/// More are not remembered for a successor.
pub(super) const MOST_SCRIPTS: usize = 1000;

#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) id: WorkerId,
    pub(super) pid: Option<i32>,
    pub(super) begun: Time,
    pub(super) ready: Option<Time>,
    /// Of an older configuration: to be replaced.
    pub(super) stale: bool,
    /// Asked for a successor before it was ready.
    pub(super) asked: Option<Reason>,
    /// Said that it can't start.
    pub(super) unfit: bool,
    pub(super) reason: Option<Reason>,
    served: Scripts,
    term_at: Option<Time>,
    kill_at: Option<Time>,
    termed: bool,
    killed: bool,
}

impl Life {
    pub(super) fn new(id: WorkerId, now: Time) -> Self {
        Self {
            id,
            pid: None,
            begun: now,
            ready: None,
            stale: false,
            asked: None,
            unfit: false,
            reason: None,
            served: Scripts::default(),
            term_at: None,
            kill_at: None,
            termed: false,
            killed: false,
        }
    }

    pub(super) fn remember(&mut self, script: &Script) {
        self.served.add(script, MOST_SCRIPTS);
    }

    pub(super) fn preload(&self) -> Vec<Script> {
        self.served.to_vec()
    }

    /// Whether its end by a signal was our wish.
    pub(super) fn was_told_to_end(&self) -> bool {
        self.termed || self.killed
    }

    pub(super) fn drain(&mut self, plan: &Plan, now: Time) -> Action {
        if plan.service {
            return self.term(plan, now);
        }
        let within = plan.drain(self.reason);
        self.term_within(within, now);
        Action::Drain { worker: self.id, within }
    }

    /// TERM when the time is over, if it is still there then.
    pub(super) fn term_within(&mut self, within: Option<Duration>, now: Time) {
        if let Some(within) = within {
            let at = now.saturating_add(within).saturating_add(MARGIN);
            self.term_at = Some(self.term_at.map_or(at, |before| before.min(at)));
        }
    }

    pub(super) fn term(&mut self, plan: &Plan, now: Time) -> Action {
        self.term_at = None;
        self.termed = true;
        self.kill_within(plan.shutdown.map(|limit| limit.saturating_add(MARGIN)), now);
        Action::Kill { worker: self.id, signal: Signal::Term }
    }

    pub(super) fn kill_within(&mut self, within: Option<Duration>, now: Time) {
        if let Some(within) = within {
            let at = now.saturating_add(within);
            self.kill_at = Some(self.kill_at.map_or(at, |before| before.min(at)));
        }
    }

    pub(super) fn kill(&mut self) -> Action {
        (self.term_at, self.kill_at, self.killed) = (None, None, true);
        Action::Kill { worker: self.id, signal: Signal::Kill }
    }

    /// It is leaving by itself: seen to from outside only when it takes too long.
    pub(super) fn watch_leaving(&mut self, plan: &Plan, graceful: bool, now: Time) {
        if graceful {
            self.term_within(plan.drain(self.reason), now);
        } else {
            self.kill_within(plan.shutdown.map(|limit| limit.saturating_add(MARGIN)), now);
        }
    }

    /// What its time limits ask for now: nothing, TERM, or KILL.
    pub(super) fn due(&self, now: Time) -> Option<Signal> {
        if self.kill_at.is_some_and(|at| at <= now) {
            return Some(Signal::Kill);
        }
        self.term_at.is_some_and(|at| at <= now).then_some(Signal::Term)
    }

    pub(super) fn next(&self) -> Option<Time> {
        [self.term_at, self.kill_at].into_iter().flatten().min()
    }
}
