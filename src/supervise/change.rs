//! A changed script in a group: how long requests for it wait, who answers then, and when all workers go over to new code at once.
//!
//! | phase | requests for it | next |
//! |---|---|---|
//! | `Hold` | wait, in the workers | 0.4 s since it was seen: `Bridge` |
//! | `Bridge` | are answered by old code | – |
//! | both | | a worker that was started since is warm: all old ones are told to close; `Switch` |
//! | `Switch` | wait, in httpd's children | all old ones have closed, or 0.3 s: the new one opens, and the change is over |
//!
//! One new worker is enough to switch: no more than one is warmed beside those that serve, so memory is bounded, and new code answers
//! after the time of one import. The other places are filled then. `tests` prints every transition.

use std::collections::BTreeSet;
use std::time::Duration;

use super::event::{Script, Time, WorkerId};
use super::scripts::Scripts;

/// Requests wait for new code so long, once for each change.
pub(super) const HOLD: Duration = Duration::from_millis(400);
/// Old workers have so long to close, which takes moments; one that hangs must not keep new code from answering.
pub(super) const CLOSING: Duration = Duration::from_millis(300);
/// More changed scripts are not told to the other workers.
const MOST_SCRIPTS: usize = 100;

#[derive(Debug)]
pub(super) struct Change {
    phase: Phase,
    scripts: Scripts,
}

#[derive(Debug)]
enum Phase {
    Hold { until: Time },
    Bridge,
    Switch { until: Time, closing: BTreeSet<WorkerId>, warm: Vec<WorkerId> },
}

/// What a worker that found a change, again, is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// To wait.
    Wait,
    Bridge,
}

impl Change {
    /// A change is seen for the first time. What had not become ready until then must not any more.
    pub(super) fn seen(script: &Script, now: Time) -> Self {
        let mut scripts = Scripts::default();
        scripts.add(script, MOST_SCRIPTS);
        Self { phase: Phase::Hold { until: now.saturating_add(HOLD) }, scripts }
    }

    /// Whether it is one more script, that the others have to be told of.
    pub(super) fn add(&mut self, script: &Script) -> bool {
        self.scripts.add(script, MOST_SCRIPTS)
    }

    pub(super) fn answer(&self) -> Answer {
        if matches!(self.phase, Phase::Bridge) { Answer::Bridge } else { Answer::Wait }
    }

    /// A worker is warm. Answers whether the old ones have to close now.
    pub(super) fn warm(&mut self, worker: WorkerId) -> bool {
        let Phase::Switch { warm, .. } = &mut self.phase else { return true };
        warm.push(worker);
        false
    }

    /// The old ones were told to close: `worker` opens when they have.
    pub(super) fn switch(&mut self, worker: WorkerId, closing: BTreeSet<WorkerId>, now: Time) {
        self.phase = Phase::Switch { until: now.saturating_add(CLOSING), closing, warm: vec![worker] };
    }

    pub(super) fn closed(&mut self, worker: WorkerId) {
        if let Phase::Switch { closing, .. } = &mut self.phase {
            closing.remove(&worker);
        }
    }

    /// The time is over in which requests wait: answers whether workers have to be told.
    pub(super) fn bridge(&mut self, now: Time) -> bool {
        let due = matches!(self.phase, Phase::Hold { until } if until <= now);
        if due {
            self.phase = Phase::Bridge;
        }
        due
    }

    /// Who opens now, where the change is over.
    pub(super) fn over(&mut self, now: Time) -> Option<Vec<WorkerId>> {
        match &mut self.phase {
            Phase::Switch { until, closing, warm } if closing.is_empty() || *until <= now => Some(std::mem::take(warm)),
            _ => None,
        }
    }

    /// Whether this worker is warm and waits for the old ones to close.
    pub(super) fn keeps_back(&self, worker: WorkerId) -> bool {
        matches!(&self.phase, Phase::Switch { warm, .. } if warm.contains(&worker))
    }

    pub(super) fn next(&self) -> Option<Time> {
        match &self.phase {
            Phase::Hold { until } | Phase::Switch { until, .. } => Some(*until),
            Phase::Bridge => None,
        }
    }
}

#[cfg(test)]
mod tests;
