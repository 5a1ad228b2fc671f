//! One place in a group: who serves it, who is being started for it, who is still ending.
//!
//! | stage | serving | being started | wanted | next |
//! |---|---|---|---|---|
//! | `Idle` | – | – | – | only in a group that is gone: nothing |
//! | `Waiting` | – | – | yes | a start, when its time has come and the limit of starts allows it |
//! | `Starting` | – | yes | – | Ready, or given up after `startup-timeout` if that is set |
//! | `Serving` | yes | – | – | an event |
//! | `Due` | yes | – | yes | a start |
//! | `Replacing` | yes | yes | – | Ready: then the old one drains; or given up after `startup-timeout`, 60 s if unset |
//!
//! Any number of workers may be ending beside that. `tests` prints every transition.

use std::time::Duration;

use super::backoff::Backoff;
use super::cause::{Cause, Causes};
use super::event::{Action, GroupId, Level, Script, Signal, Time, WorkerId, finishes_requests, word};
use super::life::Life;
use super::plan::{Plan, STARTUP};
use crate::board::{self, CAUSES};
use crate::wire::control::Reason;

/// More workers of one slot may not be ending at once: those told first are hurried.
const MOST_ENDING: usize = 8;
/// How long a process may live on that can't be talked to.
const LOST: Duration = Duration::from_secs(1);
/// How long a worker that called itself unfit may take to exit.
const UNFIT: Duration = Duration::from_secs(5);
/// Children of httpd that are told to end may still send what they have begun to read to the workers of a group that is gone.
const LINGER: Duration = Duration::from_secs(2);
/// Between replacements for `maximum-memory`: one that is less than what the application needs must not keep the machine busy.
const OUTGROWN: Duration = Duration::from_secs(30);
/// So many tenths of the time until it is killed a worker may use to end in order.
const ORDERLY: u32 = 9;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Idle,
    Waiting,
    Starting,
    Serving,
    Due,
    Replacing,
}

/// A start is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) since: Time,
    pub(super) not_before: Time,
}

#[derive(Clone, Debug)]
pub(super) struct Slot {
    number: u32,
    pub(super) serving: Option<Life>,
    pub(super) starting: Option<Life>,
    pub(super) ending: Vec<Life>,
    pub(super) wish: Option<Wish>,
    backoff: Backoff,
    causes: Causes,
    memory: Memory,
    /// Who was said to take long to be ready.
    late: Option<WorkerId>,
    /// For the next start, from a worker that left.
    inherited: Vec<Script>,
    /// The group is gone: nothing starts any more, and what serves drains at this time.
    retiring: Option<Time>,
}

/// What `maximum-memory` did since the last configuration.
#[derive(Clone, Debug, Default)]
struct Memory {
    replaced: Option<Time>,
    /// Asked for a successor too soon after that, and when it is to have it.
    waiting: Option<(WorkerId, Time)>,
    /// The limit was said to be too low.
    said: bool,
}

/// How a process ended; as [`super::Event::Ended`] says.
#[derive(Clone, Copy)]
pub(super) struct End<'e> {
    pub(super) how: &'e str,
    pub(super) clean: bool,
    pub(super) serving: Option<&'e str>,
}

/// What a slot needs of its surroundings, and where its answers go.
pub(super) struct Scene<'s> {
    pub(super) group: GroupId,
    pub(super) plan: &'s Plan,
    pub(super) now: Time,
    pub(super) actions: &'s mut Vec<Action>,
}

impl Scene<'_> {
    pub(super) fn log(&mut self, level: Level, text: String) {
        self.actions.push(Action::Log { group: self.group, level, text });
    }

    /// A warning whose end is what the worker serves.
    fn log_serving(&mut self, worker: WorkerId, text: String) {
        self.actions.push(Action::LogServing { group: self.group, worker, level: Level::Warning, text });
    }
}

impl Slot {
    /// An empty place that is to be filled.
    pub(super) fn new(number: u32, now: Time) -> Self {
        Self {
            number,
            serving: None,
            starting: None,
            ending: Vec::new(),
            wish: Some(Wish { since: now, not_before: now }),
            backoff: Backoff::default(),
            causes: Causes::default(),
            memory: Memory::default(),
            late: None,
            inherited: Vec::new(),
            retiring: None,
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match (&self.serving, &self.starting, &self.wish) {
            (None, None, None) => Stage::Idle,
            (None, None, Some(_)) => Stage::Waiting,
            (None, Some(_), _) => Stage::Starting,
            (Some(_), None, None) => Stage::Serving,
            (Some(_), None, Some(_)) => Stage::Due,
            (Some(_), Some(_), _) => Stage::Replacing,
        }
    }

    pub(super) fn lives(&self) -> impl Iterator<Item = &Life> {
        self.serving.iter().chain(&self.starting).chain(&self.ending)
    }

    pub(super) fn life(&mut self, id: WorkerId) -> Option<&mut Life> {
        self.serving.iter_mut().chain(&mut self.starting).chain(&mut self.ending).find(|life| life.id == id)
    }

    /// Nobody serves, and the next start is not expected to help.
    pub(super) fn is_failing(&self) -> bool {
        self.serving.is_none() && self.backoff.is_hopeless()
    }

    pub(super) fn causes(&self) -> &[u32; CAUSES] {
        &self.causes.0
    }

    pub(super) fn stage_of(&self, id: WorkerId) -> Option<board::Stage> {
        let is = |life: &Life| life.id == id;
        if self.serving.as_ref().is_some_and(is) {
            Some(board::Stage::Serving)
        } else if self.starting.as_ref().is_some_and(is) {
            Some(board::Stage::Starting)
        } else {
            self.ending.iter().any(is).then_some(board::Stage::Ending)
        }
    }

    pub(super) fn is_serving(&self, id: WorkerId) -> bool {
        self.serving.as_ref().is_some_and(|life| life.id == id)
    }

    fn retired(&self) -> bool {
        self.retiring.is_some()
    }

    /// Takes up a start that [`super::Fleet`] allowed; answers what the new worker shall load.
    pub(super) fn start(&mut self, id: WorkerId, scene: &Scene<'_>) -> Vec<Script> {
        self.wish = None;
        self.starting = Some(Life::new(id, scene.now));
        match &self.serving {
            Some(serving) => serving.preload(),
            // What it loads may be why the last one failed.
            None if self.backoff.has_failed() || scene.plan.service => Vec::new(),
            None => std::mem::take(&mut self.inherited),
        }
    }

    /// Answers whether the group works now.
    pub(super) fn ready(&mut self, id: WorkerId, scene: &mut Scene<'_>) -> bool {
        let Some(mut life) = self.starting.take_if(|life| life.id == id) else { return false };
        life.ready = Some(scene.now);
        self.backoff.ready();
        self.inherited.clear();
        scene.log(Level::Info, format!("WSGI0327: {} is ready.", self.name(&life, scene)));
        let (stale, asked) = (life.stale, life.asked);
        if let Some(old) = self.serving.replace(life) {
            self.dismiss(old, scene);
        }
        if let Some(reason) = asked {
            self.replace(id, reason, scene);
        } else if stale {
            self.give_way(Duration::ZERO, scene);
        }
        self.retire_if_due(scene);
        true
    }

    /// It can't start, and knows why. Answers whether it was one that was being started.
    pub(super) fn unfit(&mut self, id: WorkerId, scene: &mut Scene<'_>) -> bool {
        let Some(mut life) = self.starting.take_if(|life| life.id == id) else { return false };
        self.causes.count(Cause::NotStarted);
        life.unfit = true;
        life.kill_within(Some(UNFIT), scene.now);
        self.ending.push(life);
        let wait = self.backoff.unfit();
        self.want(wait, scene);
        true
    }

    /// Its program could not be run. Answers whether it was one that was being started.
    pub(super) fn not_started(&mut self, id: WorkerId, scene: &mut Scene<'_>) -> bool {
        if self.starting.take_if(|life| life.id == id).is_none() {
            return false;
        }
        self.causes.count(Cause::NotStarted);
        let wait = self.backoff.failed();
        self.want(wait, scene);
        true
    }

    /// It asks for a successor, and serves until that is ready. One that is not ready itself, as when an operator's signal comes early, has
    /// it after that.
    pub(super) fn replace(&mut self, id: WorkerId, reason: Reason, scene: &mut Scene<'_>) {
        if let Some(starting) = self.starting.as_mut().filter(|life| life.id == id) {
            starting.asked = Some(reason);
        }
        if !self.is_serving(id) || self.retired() {
            return;
        }
        if reason == Reason::MaximumMemory {
            let next = self.memory.replaced.map(|last| last.saturating_add(OUTGROWN));
            if let Some(next) = next.filter(|next| *next > scene.now) {
                self.memory.waiting = Some((id, next));
                return;
            }
            self.memory.replaced = Some(scene.now);
        }
        if let Some(serving) = &mut self.serving {
            serving.reason = Some(reason);
            let text = format!("WSGI0328: {} is to be replaced: {}.", name(self.number, serving, scene), word(reason));
            scene.log(Level::Info, text);
        }
        self.causes.count(reason);
        self.give_way(Duration::ZERO, scene);
    }

    /// Whether [`Self::outgrown`] has warned.
    pub(super) fn has_outgrown(&self) -> bool {
        self.memory.said
    }

    /// A worker had `used` bytes of memory so soon after its first request: more than `maximum-memory`.
    pub(super) fn outgrown(&mut self, id: WorkerId, limit: u64, used: u64, age: Duration, scene: &mut Scene<'_>) {
        let Some(life) = self.serving.as_ref().filter(|life| life.id == id) else { return };
        let text = format!(
            "WSGI0333: maximum-memory={limit} is less than the {used} bytes that {} had {} after its first request; raise it: \
             what needs more is replaced again and again, every {} at most.",
            self.name(life, scene),
            seconds(age),
            seconds(OUTGROWN),
        );
        scene.log(Level::Warning, text);
        self.memory.said = true;
    }

    /// Its script has changed: somebody with new code is to take its place.
    pub(super) fn renew_code(&mut self, scene: &mut Scene<'_>) {
        let Some(serving) = &mut self.serving else { return };
        serving.reason = Some(Reason::ScriptReload);
        let wait = self.backoff.left(serving.ready.unwrap_or(serving.begun), scene.now);
        self.give_way(wait, scene);
    }

    /// What is not ready may have loaded old code: another one is started in its place.
    pub(super) fn start_anew(&mut self, scene: &mut Scene<'_>) {
        if let Some(mut unready) = self.starting.take() {
            scene.actions.push(unready.kill());
            self.ending.push(unready);
            self.want(Duration::ZERO, scene);
        }
    }

    /// New code is there, in this place or in another one of the group: nothing old is answered any more.
    pub(super) fn yield_to_new_code(&mut self, scene: &mut Scene<'_>) -> Option<WorkerId> {
        let mut old = self.serving.take()?;
        let id = old.id;
        old.reason = Some(Reason::ScriptReload);
        self.inherited = old.preload();
        self.dismiss(old, scene);
        self.want(Duration::ZERO, scene);
        Some(id)
    }

    pub(super) fn leaving(&mut self, id: WorkerId, reason: Reason, scene: &mut Scene<'_>) {
        let (mut life, wait) = if let Some(life) = self.serving.take_if(|life| life.id == id) {
            let wait = self.backoff.left(life.ready.unwrap_or(life.begun), scene.now);
            (life, wait)
        } else if let Some(life) = self.starting.take_if(|life| life.id == id) {
            (life, self.backoff.failed())
        } else {
            return;
        };
        life.reason = Some(reason);
        self.causes.count(reason);
        scene.log(Level::Info, format!("WSGI0329: {} leaves: {}.", self.name(&life, scene), word(reason)));
        life.watch_leaving(scene.plan, finishes_requests(reason), scene.now);
        if reason == Reason::InactivityTimeout {
            self.inherited.clear();
        } else {
            self.inherited = life.preload();
        }
        self.push_ending(life, scene);
        self.want(wait, scene);
    }

    /// Nothing can be said to it any more: most likely it is about to be gone.
    pub(super) fn lost(&mut self, id: WorkerId, scene: &mut Scene<'_>) {
        let now = scene.now;
        if let Some(life) = self.life(id) {
            life.term_within(Some(LOST), now);
        }
    }

    pub(super) fn ended(&mut self, id: WorkerId, end: &End<'_>, scene: &mut Scene<'_>) {
        let End { how, clean, serving } = *end;
        if let Some(life) = self.serving.take_if(|life| life.id == id) {
            let wait = self.backoff.left(life.ready.unwrap_or(life.begun), scene.now);
            self.inherited.clear();
            self.causes.count(Cause::Died);
            self.want(wait, scene);
            let next = self.prospect(scene);
            let level = if clean && scene.plan.service { Level::Info } else { Level::Error };
            let what = match serving {
                Some(requests) => format!(" while it served: {requests}"),
                None if scene.plan.service => " while it served".to_owned(),
                None => " while it served, with no request in progress".to_owned(),
            };
            scene.log(level, format!("WSGI0320: {} ended {how}{what}; {next}.", self.name(&life, scene)));
        } else if let Some(life) = self.starting.take_if(|life| life.id == id) {
            self.causes.count(Cause::NotStarted);
            let wait = self.backoff.failed();
            self.want(wait, scene);
            let next = self.prospect(scene);
            scene.log(
                Level::Error,
                format!("WSGI0321: {} ended {how} before it was ready; {next}.", self.name(&life, scene)),
            );
        } else if let Some(place) = self.ending.iter().position(|life| life.id == id) {
            let life = self.ending.remove(place);
            let cut = serving.map(|requests| format!(", with requests in progress: {requests}")).unwrap_or_default();
            let expected = clean || life.unfit || life.was_told_to_end();
            // Else it looks as if a stranger had killed it.
            let why = life.reason.filter(|_| !expected).map(|reason| format!(" after {}", word(reason)));
            let why = why.unwrap_or_default();
            let text = format!("WSGI0330: {} ended {how}{why}{cut}.", self.name(&life, scene));
            scene.log(if expected { Level::Info } else { Level::Error }, text);
        }
    }

    /// A newer configuration with the same key: new code must come, nothing that serves may go before it is there.
    pub(super) fn renew(&mut self, scene: &mut Scene<'_>) {
        self.backoff = Backoff::default();
        self.memory = Memory::default();
        match (&mut self.serving, &mut self.starting) {
            (Some(serving), _) => {
                serving.stale = true;
                self.causes.count(Cause::Configuration);
                if let Some(mut unready) = self.starting.take() {
                    scene.actions.push(unready.kill());
                    self.ending.push(unready);
                }
                self.wish = None;
                self.give_way(Duration::ZERO, scene);
            }
            // Better old code than none; it is replaced when it is ready.
            (None, Some(starting)) => starting.stale = true,
            (None, None) => {
                self.wish = None;
                self.want(Duration::ZERO, scene);
            }
        }
    }

    /// The group is in no configuration any more.
    pub(super) fn retire(&mut self, scene: &mut Scene<'_>) {
        self.wish = None;
        self.retiring = Some(if scene.plan.exclusive { scene.now } else { scene.now + LINGER });
        // Where nobody serves, the one that is coming may have requests in its queue.
        if (self.serving.is_some() || scene.plan.exclusive)
            && let Some(mut unready) = self.starting.take()
        {
            scene.actions.push(unready.kill());
            self.ending.push(unready);
        }
        self.retire_if_due(scene);
    }

    /// Everything ends, at once.
    pub(super) fn stop(&mut self, within: Duration, scene: &mut Scene<'_>) {
        self.wish = None;
        self.retiring.get_or_insert(scene.now);
        let lives = self.serving.take().into_iter().chain(self.starting.take());
        self.ending.extend(lives);
        for life in &mut self.ending {
            life.kill_within(Some(within), scene.now);
            // TERM alone would leave it `shutdown-timeout`, which may be longer.
            scene.actions.push(Action::End { worker: life.id, within: within * ORDERLY / 10 });
            scene.actions.push(life.term(scene.plan, scene.now));
        }
    }

    /// What the time asks for.
    pub(super) fn tick(&mut self, scene: &mut Scene<'_>) {
        if let Some(limit) = scene.plan.startup(self.serving.is_some())
            && let Some(mut life) = self.starting.take_if(|life| life.begun.saturating_add(limit) <= scene.now)
        {
            let wait = self.backoff.failed();
            self.causes.count(Cause::NotStarted);
            scene.actions.push(life.kill());
            self.want(wait, scene);
            let (who, next) = (self.name(&life, scene), self.prospect(scene));
            let limit = seconds(limit);
            scene.log(Level::Error, format!("WSGI0324: {who} was not ready within {limit} and is given up; {next}."));
            self.ending.push(life);
        }
        if let Some(life) = &self.starting
            && self.late_at(scene.plan).is_some_and(|at| at <= scene.now)
        {
            let (who, limit) = (self.name(life, scene), seconds(STARTUP));
            self.late = Some(life.id);
            let text = format!(
                "WSGI0332: {who} is not ready after {limit}; it is waited for, as nobody else serves in its place."
            );
            scene.log(Level::Warning, text);
        }
        if let Some((id, _)) = self.memory.waiting.take_if(|(_, at)| *at <= scene.now)
            && self.stage() == Stage::Serving
        {
            self.replace(id, Reason::MaximumMemory, scene);
        }
        // Lost, and to be ended before it is: it counts no more.
        if let Some(life) = self.serving.take_if(|life| life.due(scene.now).is_some()) {
            let wait = self.backoff.left(life.ready.unwrap_or(life.begun), scene.now);
            self.push_ending(life, scene);
            self.want(wait, scene);
        }
        if let Some(life) = self.starting.take_if(|life| life.due(scene.now).is_some()) {
            let wait = self.backoff.failed();
            self.push_ending(life, scene);
            self.want(wait, scene);
        }
        let number = self.number;
        for life in &mut self.ending {
            match life.due(scene.now) {
                None => {}
                Some(Signal::Term) => scene.actions.push(life.term(scene.plan, scene.now)),
                Some(Signal::Kill) => {
                    let who = name(number, life, scene);
                    scene.actions.push(life.kill());
                    scene.log_serving(life.id, format!("WSGI0325: {who} has not ended in time and is killed"));
                }
            }
        }
        self.retire_if_due(scene);
    }

    /// When [`Self::tick`] has something to do; a wish is the fleet's.
    pub(super) fn next(&self, plan: &Plan) -> Option<Time> {
        let limit = plan.startup(self.serving.is_some());
        let startup = self.starting.as_ref().zip(limit).map(|(life, limit)| life.begun.saturating_add(limit));
        let retiring = self.retiring.filter(|_| self.serving.is_some());
        let memory = self.memory.waiting.map(|(_, at)| at);
        self.lives().map(Life::next).chain([startup, self.late_at(plan), memory, retiring]).flatten().min()
    }

    /// When it is to be said that a worker takes long which is waited for.
    fn late_at(&self, plan: &Plan) -> Option<Time> {
        let life = self.starting.as_ref().filter(|life| self.late != Some(life.id))?;
        plan.startup(self.serving.is_some()).is_none().then(|| life.begun.saturating_add(STARTUP))
    }

    /// Somebody must take the place of what serves: beside it, or after it where two may not be.
    fn give_way(&mut self, wait: Duration, scene: &mut Scene<'_>) {
        if scene.plan.exclusive
            && let Some(old) = self.serving.take()
        {
            self.inherited = old.preload();
            self.dismiss(old, scene);
        }
        self.want(wait, scene);
    }

    fn want(&mut self, wait: Duration, scene: &Scene<'_>) {
        if self.starting.is_none() && self.wish.is_none() && !self.retired() {
            self.wish = Some(Wish { since: scene.now, not_before: scene.now.saturating_add(wait) });
        }
    }

    fn dismiss(&mut self, mut life: Life, scene: &mut Scene<'_>) {
        scene.actions.push(life.drain(scene.plan, scene.now));
        self.push_ending(life, scene);
    }

    fn push_ending(&mut self, life: Life, scene: &mut Scene<'_>) {
        self.ending.push(life);
        if self.ending.len() > MOST_ENDING
            && let Some(oldest) = self.ending.iter_mut().find(|life| !life.was_told_to_end())
        {
            scene.actions.push(oldest.term(scene.plan, scene.now));
            let text = format!(
                "WSGI0326: {} still has requests while {MOST_ENDING} others of its place end as well; it is told to stop.",
                name(self.number, oldest, scene)
            );
            scene.log(Level::Warning, text);
        }
    }

    fn retire_if_due(&mut self, scene: &mut Scene<'_>) {
        if self.retiring.is_some_and(|at| at <= scene.now)
            && let Some(life) = self.serving.take()
        {
            self.dismiss(life, scene);
        }
    }

    /// Half a sentence: what follows.
    fn prospect(&self, scene: &Scene<'_>) -> String {
        match (self.stage(), self.wish) {
            (Stage::Starting | Stage::Replacing, _) => "its successor is being started".to_owned(),
            (Stage::Due, Some(wish)) => format!("the old one serves on, {}", again(wish, scene.now)),
            (_, Some(wish)) => again(wish, scene.now),
            (_, None) => "nothing follows".to_owned(),
        }
    }

    fn name(&self, life: &Life, scene: &Scene<'_>) -> String {
        name(self.number, life, scene)
    }
}

fn again(wish: Wish, now: Time) -> String {
    match wish.not_before.saturating_sub(now) {
        Duration::ZERO => "another is started at once".to_owned(),
        wait => format!("another is started in {}", seconds(wait)),
    }
}

fn name(number: u32, life: &Life, scene: &Scene<'_>) -> String {
    let number = number.saturating_add(1);
    match life.pid {
        Some(pid) => format!("worker {number} of daemon group \"{}\" (pid {pid})", scene.plan.name),
        None => format!("worker {number} of daemon group \"{}\"", scene.plan.name),
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests;
