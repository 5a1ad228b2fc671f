//! The life of one worker, seen from inside: when it asks for a successor, when it stops, what it interrupts.
//!
//! A state machine without clock, threads or system: the worker's control thread gives it events, the time since the process began,
//! and a [`Sight`] of the requests; it answers with what to do, and with the time of its next look. Every timer of
//! `WSGIDaemonProcess` is here (reference 6.5 and 6.6), and none depends on another being set.

use std::time::Duration;

use crate::wire::control::Reason;

/// The timers and limits of a worker. None is off.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    pub threads: u32,
    /// From the first request to the first script that was loaded.
    pub startup: Option<Duration>,
    /// How long the interpreter lock may be out of reach.
    pub deadlock: Option<Duration>,
    /// How long nothing may happen, once there was a request.
    pub inactivity: Option<Duration>,
    /// How long a request may take, before it is stretched by the number of threads.
    pub request: Option<Duration>,
    /// How long a request that was interrupted may go on.
    pub interrupt: Option<Duration>,
    /// How long requests may go on when the worker has decided to end. Zero: not at all.
    pub graceful: Duration,
    /// The same when an operator's signal asked for it; none: as `graceful`.
    pub eviction: Option<Duration>,
    /// The age at which it asks for a successor.
    pub restart: Option<Duration>,
    /// How long the end itself may take; none: as long as it takes.
    pub shutdown: Option<Duration>,
    pub maximum_requests: Option<u64>,
    /// Resident bytes.
    pub maximum_memory: Option<u64>,
}

impl Limits {
    /// How long a request may take: the option times 1 + ln(threads), since few threads are blocked sooner by one stuck request.
    #[must_use]
    pub fn request_limit(&self) -> Option<Duration> {
        let scale = 1.0 + f64::from(self.threads.max(1)).ln();
        self.request.map(|limit| limit.mul_f64(scale))
    }

    /// The age from which a request no longer counts as active: nobody waits for it.
    fn stale_age(&self) -> Option<Duration> {
        match (self.request, self.interrupt) {
            (None, None) => None,
            (request, interrupt) => Some(request.unwrap_or_default() + interrupt.unwrap_or_default()),
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time has passed, or requests have ended.
    Look,
    /// TERM or INT.
    Terminate,
    /// USR1: an operator wants fresh processes.
    Graceful,
    /// A script that was loaded here, or in another worker of the group, has changed: the supervisor will want a drain.
    ScriptChanged,
    /// XCPU: the limit of processor time is reached.
    CpuTimeLimit,
    /// The supervisor has a successor that is ready, or wants none: requests may go on this long.
    Drain(Option<Duration>),
    /// The supervisor ends everything: all that is left to do has this long, or `shutdown-timeout` if that is less.
    End(Duration),
    /// The supervisor is gone.
    Orphaned,
    /// The service scripts of a group without threads have returned.
    Returned,
}

/// A request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// Which thread serves it.
    pub thread: usize,
    /// Which request of this thread: an interruption must not hit the next one.
    pub serial: u64,
    pub since: Duration,
}

/// What there is to see. Times are counted from the start of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sight<'a> {
    pub active: &'a [Active],
    /// Requests that have ended.
    pub finished: u64,
    pub first_request: Option<Duration>,
    /// The last sign of life of a request that counts for `inactivity-timeout`.
    pub last_activity: Option<Duration>,
    /// Whether a script was loaded.
    pub loaded: bool,
    /// When the interpreter lock was last taken by the prober.
    pub alive: Duration,
    /// Resident bytes, where they are watched.
    pub memory: Option<u64>,
    /// After [`Do::StopAccepting`]: no connection is left that could hold a request not yet begun.
    pub closed: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Do {
    /// Ask the supervisor for a successor; serve on.
    Replace(Reason),
    /// Tell the supervisor that `maximum-memory` is most likely less than the application needs.
    SayOutgrown {
        limit: u64,
        used: u64,
        /// Since the first request.
        age: Duration,
    },
    /// Tell the supervisor that the place is free from now on.
    Leave(Reason),
    /// Take no connection and begin no request any more; what is queued is refused.
    StopAccepting,
    /// Tell the supervisor that no request is begun any more, nor is one under way that would be answered in a moment.
    SayClosed,
    /// Log the stack of this thread and raise `RequestTimeout` in it.
    Interrupt(Active),
    /// Log the stacks of all threads of this request's interpreter.
    Dump(Active),
    /// End Python, in at most this time.
    EndPython(Option<Duration>),
    /// End the process at once.
    Exit,
    /// A line for the log, level info.
    Say(String),
    /// A warning that the requests in progress belong to: one of them is why.
    Warn(String),
}

/// Why a worker ends; nothing where its service scripts have returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending(Option<Reason>);

impl Ending {
    /// The word for it in `process_stopping`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self.0 {
            None => "",
            Some(Reason::ShutdownSignal) => "shutdown_signal",
            Some(Reason::GracefulSignal) => "graceful_signal",
            Some(Reason::EvictionSignal) => "eviction_signal",
            Some(Reason::MaximumRequests) => "maximum_requests",
            Some(Reason::MaximumMemory) => "maximum_memory",
            Some(Reason::RestartInterval) => "restart_interval",
            Some(Reason::InactivityTimeout) => "inactivity_timeout",
            Some(Reason::RequestTimeout) => "request_timeout",
            Some(Reason::StartupTimeout) => "startup_timeout",
            Some(Reason::DeadlockTimeout) => "deadlock_timeout",
            Some(Reason::CpuTimeLimit) => "cpu_time_limit",
            Some(Reason::ScriptReload) => "script_reload",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Asked for a successor, serving on.
    Replaceable,
    /// Finishing what was begun, at most until then.
    Draining(Option<Duration>),
    /// Requests are waited for until the first, Python's end until the second.
    Ending {
        requests: Option<Duration>,
        all: Option<Duration>,
    },
    /// Python is being ended.
    Finishing(Option<Duration>),
    Exited,
}

/// One worker's life.
#[derive(Debug)]
pub struct Life {
    limits: Limits,
    phase: Phase,
    /// An operator's signal asked for the successor: its own window holds for the drain.
    evicted: bool,
    /// Since when nothing is accepted; none before, and when [`Do::SayClosed`] was done.
    closing: Option<Duration>,
    /// What first made it end, or ask for a successor.
    reason: Option<Reason>,
    /// Requests that were interrupted, and when.
    interrupted: Vec<(Active, Duration)>,
}

/// Without a window of its own a process that can't run Python code any more gets this long.
const STUCK: Duration = Duration::from_secs(5);

/// Answers of old code that come in this time come before those of new code.
const SHORT: Duration = Duration::from_millis(100);

/// Whoever exceeds `maximum-memory` so soon after its first request has not grown in the course of time: the limit is too low.
const YOUNG: Duration = Duration::from_secs(30);

/// How often requests and memory are looked at where they are limited.
const GLANCE: Duration = Duration::from_secs(1);

impl Life {
    #[must_use]
    pub fn new(limits: Limits) -> Life {
        Life { limits, phase: Phase::Serving, evicted: false, reason: None, closing: None, interrupted: Vec::new() }
    }

    /// Whether requests are begun.
    #[must_use]
    pub fn serves(&self) -> bool {
        matches!(self.phase, Phase::Serving | Phase::Replaceable)
    }

    /// Why it ends, once it does, and requests under way have only as long as the end may take.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        match self.phase {
            Phase::Serving | Phase::Replaceable | Phase::Draining(_) => None,
            Phase::Ending { .. } | Phase::Finishing(_) | Phase::Exited => Some(Ending(self.reason)),
        }
    }

    /// What to do now that this happened.
    pub fn step(&mut self, event: Event, now: Duration, sight: &Sight<'_>) -> Vec<Do> {
        let mut out = Vec::new();
        match event {
            Event::Look => {}
            Event::Terminate => self.leave(Reason::ShutdownSignal, now, &mut out),
            Event::Returned => self.end(now, &mut out),
            Event::Graceful => {
                self.evicted = self.serves() && self.limits.eviction.is_some();
                self.replace(
                    if self.evicted { Reason::EvictionSignal } else { Reason::GracefulSignal },
                    "signal USR1",
                    &mut out,
                );
            }
            Event::CpuTimeLimit => self.retire(Reason::CpuTimeLimit, "cpu-time-limit", now, sight, &mut out),
            Event::ScriptChanged => self.because(Reason::ScriptReload),
            Event::Drain(within) if self.serves() => {
                self.because(Reason::ShutdownSignal);
                let within = if self.evicted { self.limits.eviction.or(within) } else { within };
                self.drain(within.map(|within| now + within), now, &mut out);
            }
            Event::End(within) => {
                self.limits.shutdown = Some(self.limits.shutdown.map_or(within, |limit| limit.min(within)));
                self.leave(Reason::ShutdownSignal, now, &mut out);
                self.hurry(now);
            }
            Event::Orphaned if self.serves() => {
                self.because(Reason::ShutdownSignal);
                out.push(Do::Say("the supervisor is gone; finishing what was begun".to_owned()));
                self.drain(Some(now + self.limits.graceful), now, &mut out);
            }
            Event::Drain(_) | Event::Orphaned => {}
        }
        self.watch(now, sight, &mut out);
        self.advance(now, sight, &mut out);
        out
    }

    /// When to look again, if nothing happens before.
    #[must_use]
    pub fn next_look(&self, now: Duration, sight: &Sight<'_>) -> Option<Duration> {
        let limits = &self.limits;
        let mut due = Vec::new();
        // The start of a request is not told: where one may run out of time there is a look every second.
        let glance = Some(now + GLANCE);
        if self.serves() {
            let startup = limits.startup.filter(|_| !sight.loaded);
            let watched = startup.is_some() || limits.inactivity.is_some() || limits.maximum_memory.is_some();
            due.push(glance.filter(|_| watched));
            due.push(limits.deadlock.map(|limit| sight.alive + limit));
            due.push(limits.restart.filter(|_| self.phase == Phase::Serving));
        }
        if self.serves() || matches!(self.phase, Phase::Draining(_)) {
            due.push(glance.filter(|_| limits.request.is_some() || !self.interrupted.is_empty()));
        }
        due.push(self.closing.map(|since| since + SHORT).filter(|at| *at > now));
        match self.phase {
            Phase::Draining(until) => {
                due.push(until);
                due.push(glance.filter(|_| limits.stale_age().is_some()));
            }
            Phase::Ending { requests, all } => due.extend([requests, all]),
            Phase::Finishing(until) => due.push(until),
            Phase::Serving | Phase::Replaceable | Phase::Exited => {}
        }
        due.into_iter().flatten().min()
    }

    /// The timers of a worker that serves.
    fn watch(&mut self, now: Duration, sight: &Sight<'_>, out: &mut Vec<Do>) {
        self.watch_requests(now, sight, out);
        if !self.serves() {
            return;
        }
        let passed = |start: Option<Duration>, limit: Option<Duration>| {
            start.zip(limit).is_some_and(|(start, limit)| now >= start + limit)
        };
        let limits = self.limits.clone();
        if passed(Some(sight.alive), limits.deadlock) {
            out.push(Do::Warn(
                "deadlock-timeout: no thread could run Python code for too long; the process ends".into(),
            ));
            self.leave_stuck(Reason::DeadlockTimeout, now, out);
        } else if !sight.loaded && passed(sight.first_request, limits.startup) {
            out.push(Do::Warn("startup-timeout: no script could be loaded in time; the process ends".into()));
            self.leave(Reason::StartupTimeout, now, out);
        } else if passed(sight.last_activity, limits.inactivity) && self.busy(now, sight) == 0 {
            out.push(Do::Say("inactivity-timeout: nothing happened for too long; the process ends".into()));
            self.leave(Reason::InactivityTimeout, now, out);
        } else if passed(Some(Duration::ZERO), limits.restart) {
            self.replace(Reason::RestartInterval, "restart-interval", out);
        } else if limits.maximum_requests.is_some_and(|most| sight.finished >= most) {
            self.replace(Reason::MaximumRequests, "maximum-requests", out);
        } else if let Some((limit, used)) = limits.maximum_memory.zip(sight.memory) {
            self.watch_memory(limit, used, now, sight, out);
        }
    }

    /// `maximum-memory`. Before a request was answered a successor would have as much.
    fn watch_memory(&mut self, limit: u64, used: u64, now: Duration, sight: &Sight<'_>, out: &mut Vec<Do>) {
        if used <= limit || sight.finished == 0 || self.phase != Phase::Serving {
            return;
        }
        let age = now.saturating_sub(sight.first_request.unwrap_or_default());
        if age < YOUNG {
            out.push(Do::SayOutgrown { limit, used, age });
        }
        self.replace(Reason::MaximumMemory, "maximum-memory", out);
    }

    /// `request-timeout` and `interrupt-timeout`; at most one interruption in a look.
    fn watch_requests(&mut self, now: Duration, sight: &Sight<'_>, out: &mut Vec<Do>) {
        let Some(limit) = self.limits.request_limit() else { return };
        if matches!(self.phase, Phase::Ending { .. } | Phase::Finishing(_) | Phase::Exited) {
            return;
        }
        self.interrupted.retain(|(active, _)| sight.active.contains(active));
        let late = |active: &&Active| now >= active.since + limit;
        let Some(grace) = self.limits.interrupt else {
            if let Some(active) = sight.active.iter().find(late).copied() {
                self.give_up(active, now, sight, out);
            }
            return;
        };
        if let Some((active, _)) = self.interrupted.iter().find(|(_, when)| now >= *when + grace).copied() {
            self.give_up(active, now, sight, out);
            return;
        }
        let known = |active: &Active| self.interrupted.iter().any(|(known, _)| known == active);
        if let Some(active) = sight.active.iter().filter(late).find(|active| !known(active)).copied() {
            self.interrupted.push((active, now));
            out.push(Do::Interrupt(active));
        }
    }

    /// A request that can't be stopped: the others finish, then the process ends.
    fn give_up(&mut self, active: Active, now: Duration, sight: &Sight<'_>, out: &mut Vec<Do>) {
        if self.serves() {
            out.push(Do::Dump(active));
            self.retire(Reason::RequestTimeout, "request-timeout", now, sight, out);
        }
    }

    /// How many requests are waited for.
    fn busy(&self, now: Duration, sight: &Sight<'_>) -> usize {
        let stale = self.limits.stale_age();
        sight.active.iter().filter(|active| stale.is_none_or(|age| now < active.since + age)).count()
    }

    /// The first reason stays.
    fn because(&mut self, reason: Reason) {
        self.reason.get_or_insert(reason);
    }

    fn replace(&mut self, reason: Reason, why: &str, out: &mut Vec<Do>) {
        if self.phase == Phase::Serving {
            self.because(reason);
            self.phase = Phase::Replaceable;
            out.push(Do::Say(format!("{why}: a successor is asked for")));
            out.push(Do::Replace(reason));
        }
    }

    /// Ends without waiting for a successor, but lets requests finish.
    fn retire(&mut self, reason: Reason, why: &str, now: Duration, sight: &Sight<'_>, out: &mut Vec<Do>) {
        if !self.serves() {
            return;
        }
        self.because(reason);
        let text = format!("{why}: the process ends");
        out.push(if reason == Reason::RequestTimeout { Do::Warn(text) } else { Do::Say(text) });
        out.push(Do::Leave(reason));
        if self.limits.graceful.is_zero() || self.busy(now, sight) == 0 {
            self.drain(Some(now), now, out);
        } else {
            self.drain(Some(now + self.limits.graceful), now, out);
        }
    }

    /// Ends now: requests have as long as the end may take.
    fn leave(&mut self, reason: Reason, now: Duration, out: &mut Vec<Do>) {
        self.because(reason);
        if self.serves() {
            out.push(Do::Leave(reason));
        }
        self.end(now, out);
    }

    /// Ends a process in which no Python code can run any more.
    fn leave_stuck(&mut self, reason: Reason, now: Duration, out: &mut Vec<Do>) {
        self.leave(reason, now, out);
        let until = now + self.limits.shutdown.unwrap_or(STUCK).min(STUCK);
        self.phase = Phase::Finishing(Some(until));
        out.push(Do::EndPython(Some(until - now)));
    }

    fn drain(&mut self, until: Option<Duration>, now: Duration, out: &mut Vec<Do>) {
        if self.serves() {
            self.closing = Some(now);
            out.push(Do::StopAccepting);
            self.phase = Phase::Draining(until);
        }
    }

    fn end(&mut self, now: Duration, out: &mut Vec<Do>) {
        match self.phase {
            Phase::Serving | Phase::Replaceable => {
                self.closing = Some(now);
                out.push(Do::StopAccepting);
            }
            Phase::Draining(_) => {}
            Phase::Ending { .. } | Phase::Finishing(_) | Phase::Exited => return,
        }
        self.phase = self.last_phase(now);
    }

    fn last_phase(&self, now: Duration) -> Phase {
        // A part of it is kept for exit functions, so that one slow request does not cost them.
        let kept = self.limits.shutdown.map(|within| (within / 4).min(Duration::from_secs(1)));
        let all = self.limits.shutdown.map(|within| now + within);
        Phase::Ending { requests: all.zip(kept).map(|(all, kept)| all - kept), all }
    }

    /// What is on its way to the end has no longer than what `limits` say by now.
    fn hurry(&mut self, now: Duration) {
        let sooner = |before: Option<Duration>, limit: Option<Duration>| before.into_iter().chain(limit).min();
        let next = self.last_phase(now);
        if let (Phase::Ending { requests, all }, Phase::Ending { requests: its_requests, all: its_all }) =
            (&mut self.phase, next)
        {
            *requests = sooner(*requests, its_requests);
            *all = sooner(*all, its_all);
        }
    }

    /// Goes on from phase to phase as far as time and requests allow.
    fn advance(&mut self, now: Duration, sight: &Sight<'_>, out: &mut Vec<Do>) {
        let over = |until: Option<Duration>| until.is_some_and(|until| now >= until);
        if sight.closed && self.closing.is_some_and(|since| self.busy(now, sight) == 0 || now >= since + SHORT) {
            self.closing = None;
            out.push(Do::SayClosed);
        }
        if let Phase::Draining(until) = self.phase
            && ((self.busy(now, sight) == 0 && sight.closed) || over(until))
        {
            self.end(now, out);
        }
        if let Phase::Ending { requests, all } = self.phase
            && ((self.busy(now, sight) == 0 && sight.closed) || over(requests))
        {
            self.phase = Phase::Finishing(all);
            out.push(Do::EndPython(all.map(|all| all.saturating_sub(now))));
        }
        if let Phase::Finishing(until) = self.phase
            && over(until)
        {
            self.phase = Phase::Exited;
            out.push(Do::Exit);
        }
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
