//! Figures of the requests that ended in an interval.

use super::value::{Fields, Value};
use super::{Finished, Moment};

/// How many phases a request has.
pub const PHASES: usize = 8;

/// How many entries a histogram has: 16 octaves from 1 ms on in four parts each, and one for all above.
pub const HISTOGRAM: usize = 65;

/// A part of a request's time, in the order of `Finished::phases`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    name: &'static str,
    minimum: &'static str,
    maximum: &'static str,
    buckets: &'static str,
}

macro_rules! phase {
    ($name:literal) => {
        Phase {
            name: $name,
            minimum: concat!($name, "_min_us"),
            maximum: concat!($name, "_max_us"),
            buckets: concat!($name, "_buckets"),
        }
    };
}

const NAMES: [Phase; PHASES] = [
    phase!("server_time"),
    phase!("queue_time"),
    phase!("daemon_time"),
    phase!("application_time"),
    phase!("request_time"),
    phase!("gil_wait_time"),
    phase!("input_read_time"),
    phase!("output_write_time"),
];

#[derive(Clone, Debug)]
struct Spread {
    count: u64,
    sum: f64,
    minimum: f64,
    maximum: f64,
    buckets: [u64; HISTOGRAM],
}

#[derive(Clone, Copy, Debug, Default)]
struct OfThread {
    id: u32,
    completed: u64,
    busy: f64,
    cpu: f64,
    longest: f64,
}

/// The requests that ended since it began.
#[derive(Debug)]
pub(super) struct Interval {
    begin: Moment,
    count: u64,
    statuses: [u64; 5],
    spreads: [Spread; PHASES],
    gil_waits: u64,
    input_bytes: u64,
    input_reads: u64,
    output_bytes: u64,
    output_writes: u64,
    threads: Vec<OfThread>,
}

impl Interval {
    pub(super) fn new(begin: Moment) -> Interval {
        Interval {
            begin,
            count: 0,
            statuses: [0; 5],
            spreads: std::array::from_fn(|_| Spread::new()),
            gil_waits: 0,
            input_bytes: 0,
            input_reads: 0,
            output_bytes: 0,
            output_writes: 0,
            threads: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, request: &Finished) {
        self.count += 1;
        let class = usize::from(request.status / 100).checked_sub(1);
        if let Some(status) = class.and_then(|class| self.statuses.get_mut(class)) {
            *status += 1;
        }
        for (spread, time) in self.spreads.iter_mut().zip(request.phases) {
            if let Some(time) = time {
                spread.add(time);
            }
        }
        self.gil_waits += request.gil_waits;
        let transfer = &request.transfer;
        self.input_bytes += transfer.input_length;
        self.input_reads += transfer.input_reads;
        self.output_bytes += transfer.output_length;
        self.output_writes += transfer.output_writes;
        let begin = self.begin.now;
        let thread = self.thread(request.thread);
        thread.completed += 1;
        thread.busy += (request.end - request.begin.max(begin)).max(0.0);
        thread.cpu += request.cpu;
        thread.longest = thread.longest.max(request.end - request.begin);
    }

    fn thread(&mut self, id: u32) -> &mut OfThread {
        let place = self.threads.iter().position(|thread| thread.id == id).unwrap_or_else(|| {
            self.threads.push(OfThread { id, ..OfThread::default() });
            self.threads.len() - 1
        });
        // It was found or pushed just before.
        match self.threads.get_mut(place) {
            Some(thread) => thread,
            None => unreachable!("a thread without a place"),
        }
    }

    /// What is to be told at its end. `slots`: the threads that have served, and since when they serve a request.
    pub(super) fn fields(&self, end: Moment, maximum: u32, slots: &[(u32, Option<f64>)]) -> Fields {
        let period = (end.now - self.begin.now).max(0.0);
        let per_second = |amount: f64| if period > 0.0 { amount / period } else { 0.0 };
        let (user, system) =
            (per_second(end.cpu_user - self.begin.cpu_user), per_second(end.cpu_system - self.begin.cpu_system));
        let lists = self.lists(end, maximum, slots);
        let all_busy: f64 = lists.iter().map(|thread| thread.busy).sum();
        let mut out = vec![
            ("start_time", Value::Float(self.begin.now)),
            ("stop_time", Value::Float(end.now)),
            ("sample_period", Value::Float(period)),
        ];
        for (new, old, value) in [
            ("cpu_user_utilization", "cpu_user_time", user),
            ("cpu_system_utilization", "cpu_system_time", system),
            ("cpu_utilization", "cpu_time", user + system),
        ] {
            out.extend([(new, Value::Float(value)), (old, Value::Float(value))]);
        }
        out.extend([
            ("request_threads_maximum", Value::number(u64::from(maximum))),
            ("request_threads_started", Value::count(slots.len())),
            ("request_threads_active", Value::count(slots.iter().filter(|(_, since)| since.is_some()).count())),
            ("capacity_utilization", Value::Float(per_second(all_busy) / f64::from(maximum.max(1)))),
            ("request_count", Value::number(self.count)),
            ("request_throughput", Value::Float(per_second(float(self.count)))),
        ]);
        let classes = ["status_1xx", "status_2xx", "status_3xx", "status_4xx", "status_5xx"];
        out.extend(classes.into_iter().zip(self.statuses).map(|(name, count)| (name, Value::number(count))));
        out.extend([
            ("input_bytes", Value::number(self.input_bytes)),
            ("input_reads", Value::number(self.input_reads)),
            ("output_bytes", Value::number(self.output_bytes)),
            ("output_writes", Value::number(self.output_writes)),
            ("gil_wait_count", Value::number(self.gil_waits)),
        ]);
        for (phase, spread) in NAMES.iter().zip(&self.spreads) {
            out.extend(spread.fields(*phase));
        }
        let integers = |of: fn(&OfThread) -> u64| Value::List(lists.iter().map(|one| Value::number(of(one))).collect());
        let floats = |of: &dyn Fn(usize, &OfThread) -> f64| {
            Value::List(lists.iter().enumerate().map(|(place, one)| Value::Float(of(place, one))).collect())
        };
        let elapsed = |place: usize| current(place, slots).map_or(0.0, |since| (end.now - since).max(0.0));
        out.extend([
            ("request_threads_completed", integers(|one| one.completed)),
            ("request_threads_buckets", integers(|one| one.completed)),
            ("request_threads_busy_time", floats(&|_, one| one.busy)),
            ("request_threads_cpu_time", floats(&|_, one| one.cpu)),
            ("request_threads_current_elapsed", floats(&|place, _| elapsed(place))),
            ("request_threads_max_duration", floats(&|place, one| one.longest.max(elapsed(place)))),
        ]);
        out
    }

    /// A figure for each thread that there may be, in the order of their numbers; requests under way count up to now.
    fn lists(&self, end: Moment, maximum: u32, slots: &[(u32, Option<f64>)]) -> Vec<OfThread> {
        let length = usize::try_from(maximum).unwrap_or(0).max(1);
        let mut lists = vec![OfThread::default(); length];
        for thread in &self.threads {
            if let Some(one) = lists.get_mut(place_of(thread.id)) {
                *one = *thread;
            }
        }
        for (place, one) in lists.iter_mut().enumerate() {
            if let Some(since) = current(place, slots) {
                one.busy += (end.now - since.max(self.begin.now)).max(0.0);
            }
        }
        lists
    }
}

/// Threads count from 1; 0 is the only one of a process without threads.
fn place_of(id: u32) -> usize {
    usize::try_from(id.saturating_sub(1)).unwrap_or(usize::MAX)
}

fn current(place: usize, slots: &[(u32, Option<f64>)]) -> Option<f64> {
    slots.iter().find(|(id, since)| place_of(*id) == place && since.is_some()).and_then(|(_, since)| *since)
}

impl Spread {
    fn new() -> Spread {
        Spread { count: 0, sum: 0.0, minimum: f64::INFINITY, maximum: 0.0, buckets: [0; HISTOGRAM] }
    }

    fn add(&mut self, seconds: f64) {
        self.count += 1;
        self.sum += seconds;
        self.minimum = self.minimum.min(seconds);
        self.maximum = self.maximum.max(seconds);
        if let Some(bucket) = self.buckets.get_mut(bucket(seconds * 1000.0)) {
            *bucket += 1;
        }
    }

    /// Without a sample there is no mean; the phases that every request has say 0 then.
    fn fields(&self, phase: Phase) -> [(&'static str, Value); 4] {
        let some = self.count > 0;
        let mean = match some {
            true => Value::Float(self.sum / float(self.count)),
            false if phase.name == "queue_time" || phase.name == "daemon_time" => Value::None,
            false => Value::Float(0.0),
        };
        let extreme = |time: f64| if some { Value::whole(time * 1e6) } else { Value::None };
        let buckets = self.buckets.iter().map(|count| Value::number(*count)).collect();
        [
            (phase.name, mean),
            (phase.minimum, extreme(self.minimum)),
            (phase.maximum, extreme(self.maximum)),
            (phase.buckets, Value::List(buckets)),
        ]
    }
}

/// The entry of a histogram: four for each octave from 1 ms on; what is shorter is in the first.
fn bucket(milliseconds: f64) -> usize {
    if milliseconds < 1.0 {
        return 0;
    }
    let mut lower = 1.0;
    for octave in 0..16 {
        if milliseconds < lower * 2.0 {
            let part = (1..4).filter(|part| milliseconds >= lower * (1.0 + f64::from(*part) / 4.0)).count();
            return 4 * octave + part;
        }
        lower *= 2.0;
    }
    HISTOGRAM - 1
}

#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_quarters_of_octaves() {
        for (milliseconds, entry) in [
            (0.0, 0),
            (0.999, 0),
            (1.0, 0),
            (1.249, 0),
            (1.25, 1),
            (1.5, 2),
            (1.75, 3),
            (1.999, 3),
            (2.0, 4),
            (2.5, 5),
            (1024.0, 40),
            (65_535.9, 63),
            (65_536.0, 64),
            (1e12, 64),
        ] {
            assert_eq!(bucket(milliseconds), entry, "{milliseconds}");
        }
    }
}
