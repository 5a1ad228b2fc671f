//! Whether requests are measured in this process, and what was measured. Nothing is, until an application subscribes to events or asks
//! for figures: then one look at a flag is all that it costs.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::metrics::{Fields, Finished, Moment, Recorder, Times, Transfer};

static WANTED: AtomicBool = AtomicBool::new(false);
/// There once an application has asked for figures.
static RECORDER: Mutex<Option<Recorder>> = Mutex::new(None);
/// When Python was started in this process, and how many threads serve requests.
static PROCESS: OnceLock<(f64, u32)> = OnceLock::new();

thread_local! {
    static WAITED: Cell<Waited> = const { Cell::new(Waited { time: Duration::ZERO, count: 0 }) };
}

/// How long this thread has waited for interpreters, and how often it took one.
#[derive(Clone, Copy)]
struct Waited {
    time: Duration,
    count: u64,
}

/// Seconds since the epoch.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Whether requests are measured.
pub(crate) fn wanted() -> bool {
    WANTED.load(Ordering::Relaxed)
}

/// Requests are measured from now on.
pub(super) fn want() {
    WANTED.store(true, Ordering::Relaxed);
}

/// Python was started.
pub(super) fn process_began(threads: u32) {
    let _ = PROCESS.set((now(), threads));
}

/// Takes an interpreter by `take`, with a look at the clock where somebody wants to know.
pub(super) fn waiting<R>(take: impl FnOnce() -> R) -> R {
    if !wanted() {
        return take();
    }
    let begin = Instant::now();
    let taken = take();
    let _ = WAITED.try_with(|waited| {
        let Waited { time, count } = waited.get();
        waited.set(Waited { time: time + begin.elapsed(), count: count + 1 });
    });
    taken
}

/// Figures for this interpreter from now on. `current`: the request that this thread serves, by its thread's number and its begin.
pub(super) fn record(interpreter: usize, moment: Moment, current: Option<(u32, f64)>) {
    let mut recorder = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    let fresh = recorder.is_none();
    let (start, threads) = PROCESS.get().copied().unwrap_or((moment.now, 1));
    let recorder = recorder.get_or_insert_with(|| Recorder::new(start, threads));
    recorder.subscribe(interpreter, moment);
    if let Some((thread, begin)) = current.filter(|_| fresh) {
        recorder.begin(thread, begin);
    }
    want();
}

/// See [`Recorder::request_metrics`].
pub(super) fn of_requests(interpreter: usize, moment: Moment) -> Option<Fields> {
    RECORDER.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.request_metrics(interpreter, moment)
}

/// See [`Recorder::process_metrics`].
pub(super) fn of_process(now: f64) -> Option<Fields> {
    Some(RECORDER.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.process_metrics(now))
}

/// Measures the request that the calling thread serves.
pub(crate) struct Meter {
    thread: u32,
    begin: f64,
    processor: Processor,
    waited: Waited,
}

/// What a request has used so far; times in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) user: f64,
    pub(crate) system: f64,
    pub(crate) gil_wait: f64,
    pub(crate) gil_waits: u64,
}

impl Meter {
    /// A request begins on this thread, which has this number; nothing where nobody wants to know.
    pub(crate) fn begin(thread: u32) -> Option<Meter> {
        let meter = wanted().then(|| Meter::at(thread, now()))?;
        if let Some(recorder) = RECORDER.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            recorder.begin(thread, meter.begin);
        }
        Some(meter)
    }

    /// For a request that has begun before somebody wanted to know; nothing where still nobody does.
    pub(crate) fn late(thread: u32, begin: f64) -> Option<Meter> {
        wanted().then(|| Meter::at(thread, begin))
    }

    fn at(thread: u32, begin: f64) -> Meter {
        let waited = WAITED.try_with(Cell::get).unwrap_or(Waited { time: Duration::ZERO, count: 0 });
        Meter { thread, begin, processor: Processor::of_thread(), waited }
    }

    pub(crate) fn used(&self) -> Used {
        let processor = Processor::of_thread();
        let waited = WAITED.try_with(Cell::get).unwrap_or(self.waited);
        Used {
            user: (processor.user - self.processor.user).max(0.0),
            system: (processor.system - self.processor.system).max(0.0),
            gil_wait: waited.time.saturating_sub(self.waited.time).as_secs_f64(),
            gil_waits: waited.count.saturating_sub(self.waited.count),
        }
    }

    /// The request was not begun after all.
    pub(crate) fn withdraw(self) {
        if let Some(recorder) = RECORDER.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            recorder.withdraw(self.thread);
        }
    }

    /// The request has ended.
    pub(crate) fn finish(self, times: &Times, status: u16, transfer: Transfer) {
        let mut recorder = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(recorder) = recorder.as_mut() else { return };
        let used = self.used();
        recorder.finish(&Finished {
            thread: self.thread,
            begin: self.begin,
            end: now(),
            cpu: used.user + used.system,
            status,
            phases: times.phases(used.gil_wait, &transfer),
            gil_waits: used.gil_waits,
            transfer,
        });
    }
}

/// Processor time of the calling thread, seconds.
#[derive(Clone, Copy)]
struct Processor {
    user: f64,
    system: f64,
}

impl Processor {
    fn of_thread() -> Processor {
        // SAFETY: plain data, for which zeros are a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: a place for the answer; a failure leaves zeros.
        unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
        #[expect(clippy::cast_precision_loss, reason = "seconds and microseconds of a thread's life are small")]
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        Processor { user: seconds(usage.ru_utime), system: seconds(usage.ru_stime) }
    }
}
