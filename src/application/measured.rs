//! What is measured of one request, where somebody wants to know: a look at a flag, at its begin and at its end, where nobody does.

use super::{Job, Outcome};
use crate::metrics::Times;
use crate::python::{Exchange, Meter, Used, now};

/// One request, from the moment that this process has it.
pub(super) struct Measured {
    thread: u32,
    meter: Option<Meter>,
    pub(super) times: Times,
}

impl Measured {
    pub(super) fn begin(job: &Job<'_>) -> Measured {
        let times = Times {
            request_start: job.request_start,
            queue_start: job.queue_start,
            daemon_start: job.daemon_start,
            ..Times::default()
        };
        Measured { thread: job.thread_id, meter: Meter::begin(job.thread_id), times }
    }

    /// What the request has used so far, where that is measured.
    pub(super) fn used(&self) -> Option<Used> {
        self.meter.as_ref().map(Meter::used)
    }

    /// The request has ended.
    pub(super) fn finish(mut self, outcome: Outcome, exchange: &Exchange) {
        let begin = self.times.application_start;
        // Somebody may have asked for figures while it ran.
        let late = || Meter::late(self.thread, begin).filter(|_| begin > 0.0);
        let Some(meter) = self.meter.take().or_else(late) else { return };
        if begin > 0.0 {
            self.times.application_finish = now();
        }
        let status = match outcome {
            Outcome::Status(status) => status,
            Outcome::Done => exchange.status(),
            // Sent elsewhere, or asked again.
            Outcome::Changed => return meter.withdraw(),
        };
        meter.finish(&self.times, status, exchange.transfer());
    }
}
