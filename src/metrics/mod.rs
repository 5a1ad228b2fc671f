//! Figures about the requests of a process: what applications are told by `mod_wsgi.request_metrics()` and `process_metrics()`.
//!
//! `python` keeps one [`Recorder`] for the process from the moment an application asks for it; `application` tells it of each request. A
//! function of its arguments, like all pure rooms: times come in as seconds since the epoch. Names no other room.
#![forbid(unsafe_code)]

mod interval;
mod value;

pub use interval::{HISTOGRAM, PHASES, Phase};
pub use value::{Fields, SCOREBOARD, Value};

use interval::Interval;

/// A request that has ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finished {
    /// The number of its thread (`mod_wsgi.thread_id`).
    pub thread: u32,
    /// When the thread began with it and was done with it.
    pub begin: f64,
    pub end: f64,
    /// Processor time of the thread, seconds.
    pub cpu: f64,
    pub status: u16,
    /// How long each of its phases took, where it had them.
    pub phases: [Option<f64>; PHASES],
    pub gil_waits: u64,
    pub transfer: Transfer,
}

/// What went between the application and the server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Transfer {
    pub input_reads: u64,
    pub input_length: u64,
    /// Seconds.
    pub input_time: f64,
    pub output_writes: u64,
    /// What the application gave, before it was cut to its `Content-Length`.
    pub output_length: u64,
    pub output_time: f64,
}

/// When a request was where; 0 where it never was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// It came to httpd.
    pub request_start: f64,
    /// The child began to look for a daemon process, and the process had it.
    pub queue_start: f64,
    pub daemon_start: f64,
    /// The application was called.
    pub application_start: f64,
    /// It was done.
    pub application_finish: f64,
}

impl Times {
    /// How long each phase took; `gil_wait` and `transfer` were measured while it ran.
    #[must_use]
    pub fn phases(&self, gil_wait: f64, transfer: &Transfer) -> [Option<f64>; PHASES] {
        let between = |from: f64, to: f64| (from > 0.0 && to > 0.0).then(|| (to - from).max(0.0));
        let in_daemon = self.daemon_start > 0.0;
        let server = between(self.request_start, if in_daemon { self.queue_start } else { self.application_start });
        let queue = between(self.queue_start, self.daemon_start);
        let daemon = between(self.daemon_start, self.application_start);
        let application = between(self.application_start, self.application_finish);
        let parts = [server, queue, daemon, application];
        let request = application.map(|_| parts.into_iter().flatten().sum());
        let [server, queue, daemon, application] = parts;
        let within = |time: f64| application.map(|_| time);
        [
            server,
            queue,
            daemon,
            application,
            request,
            within(gil_wait),
            within(transfer.input_time),
            within(transfer.output_time),
        ]
    }
}

/// What the system says of the process at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    pub now: f64,
    /// Processor time of the process so far, seconds.
    pub cpu_user: f64,
    pub cpu_system: f64,
}

/// A thread that has served a request since the recording began.
#[derive(Clone, Copy, Debug)]
struct Thread {
    id: u32,
    requests: u64,
    since: Option<f64>,
}

/// The figures of a process.
#[derive(Debug)]
pub struct Recorder {
    /// When the process began.
    start: f64,
    /// How many threads serve requests at most.
    maximum: u32,
    threads: Vec<Thread>,
    finished: u64,
    busy: f64,
    /// One for each interpreter that asks, so that they do not take figures from each other.
    intervals: Vec<(usize, Interval)>,
}

impl Recorder {
    /// For a process that began at `start` and has `maximum` threads for requests.
    #[must_use]
    pub fn new(start: f64, maximum: u32) -> Recorder {
        Recorder { start, maximum, threads: Vec::new(), finished: 0, busy: 0.0, intervals: Vec::new() }
    }

    /// An interpreter wants figures from now on; again is no harm.
    pub fn subscribe(&mut self, interpreter: usize, moment: Moment) {
        if !self.intervals.iter().any(|(known, _)| *known == interpreter) {
            self.intervals.push((interpreter, Interval::new(moment)));
        }
    }

    /// A thread begins with a request (or began with it before the recording).
    pub fn begin(&mut self, thread: u32, since: f64) {
        match self.threads.iter_mut().find(|known| known.id == thread) {
            Some(known) => (known.requests, known.since) = (known.requests + 1, Some(since)),
            None => {
                self.threads.push(Thread { id: thread, requests: 1, since: Some(since) });
                self.threads.sort_by_key(|known| known.id);
            }
        }
    }

    /// What a thread has begun with is no request of this process after all.
    pub fn withdraw(&mut self, thread: u32) {
        if let Some(known) = self.threads.iter_mut().find(|known| known.id == thread && known.since.is_some()) {
            (known.requests, known.since) = (known.requests.saturating_sub(1), None);
        }
    }

    /// A request has ended. One whose begin was not told counts as well.
    pub fn finish(&mut self, request: &Finished) {
        match self.threads.iter_mut().find(|known| known.id == request.thread && known.since.is_some()) {
            Some(known) => known.since = None,
            None => {
                self.begin(request.thread, request.begin);
                return self.finish(request);
            }
        }
        self.finished += 1;
        self.busy += (request.end - request.begin).max(0.0);
        for (_, interval) in &mut self.intervals {
            interval.add(request);
        }
    }

    /// `mod_wsgi.request_metrics()`, but for what the system says; a new interval begins. Nothing for who never asked before.
    pub fn request_metrics(&mut self, interpreter: usize, moment: Moment) -> Option<Fields> {
        let slots: Vec<(u32, Option<f64>)> = self.threads.iter().map(|thread| (thread.id, thread.since)).collect();
        let (_, interval) = self.intervals.iter_mut().find(|(known, _)| *known == interpreter)?;
        let before = std::mem::replace(interval, Interval::new(moment));
        Some(before.fields(moment, self.maximum, &slots))
    }

    /// `mod_wsgi.process_metrics()`, but for what the system says.
    #[must_use]
    pub fn process_metrics(&self, now: f64) -> Fields {
        let running = self.threads.iter().filter_map(|thread| thread.since);
        let busy = self.busy + running.clone().map(|since| (now - since).max(0.0)).sum::<f64>();
        let thread = |thread: &Thread| {
            Value::Map(vec![
                ("thread_id", Value::number(u64::from(thread.id))),
                ("request_count", Value::number(thread.requests)),
            ])
        };
        vec![
            ("request_busy_time", Value::Float(busy)),
            ("request_count", Value::number(self.finished)),
            ("restart_time", Value::Float(self.start)),
            ("current_time", Value::Float(now)),
            ("running_time", Value::whole(now - self.start)),
            ("request_threads", Value::count(self.threads.len())),
            ("active_requests", Value::count(running.count())),
            ("threads", Value::List(self.threads.iter().map(thread).collect())),
        ]
    }
}

#[cfg(test)]
mod tests;
