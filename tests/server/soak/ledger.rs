//! The accounts of the soak: each request is answered right, or has a reason of its own not to be; none is run twice.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use super::THREADS;
use super::chaos::Kill;
use super::client::{Outcome, Record};

/// The requests of one phase, counted.
#[derive(Default)]
pub(super) struct Tally {
    asked: usize,
    right: usize,
    left: usize,
    /// Failed with their child of httpd's, or their worker.
    with_child: usize,
    with_worker: usize,
    children: usize,
    workers: usize,
    longest: Duration,
}

impl Tally {
    pub(super) const TITLE: &str =
        "restarts   asked   right    left  killed with child/of  with worker/of  slowest  strays";
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { asked, right, left, with_child, with_worker, children, workers, longest } = self;
        let seconds = longest.as_secs_f32();
        write!(
            out,
            "{asked:7} {right:7} {left:7} {with_child:17}/{children:<3}{with_worker:12}/{workers:<3}{seconds:7.1}s"
        )
    }
}

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) complaints: Vec<String>,
    all: Tally,
    /// How much of the application's notes has been read, and what they said: the processes that ran each request.
    read: usize,
    runs: HashMap<u64, Vec<u32>>,
    /// Requests that nobody may run.
    not_whole: HashSet<u64>,
}

impl Ledger {
    /// Counts the requests of a phase against what was killed in it and what the application has noted. One whose client
    /// has left may be run in the next phase; `next` is the first number that nobody has sent.
    pub(super) fn judge(&mut self, records: Vec<Record>, next: u64, kills: &[Kill], notes: &str) -> Tally {
        let not_whole = records.iter().filter(|record| matches!(record.outcome, Outcome::LeftInHead));
        self.not_whole.extend(not_whole.map(|record| record.number));
        self.read_notes(next, notes);
        let children = kills.iter().filter(|kill| kill.ports.is_some()).count();
        let mut tally = Tally { asked: records.len(), children, workers: kills.len() - children, ..Tally::default() };
        let mut cost = vec![0; kills.len()];
        for record in records {
            let runs = self.runs.get(&record.number).map_or(&[][..], Vec::as_slice);
            tally.longest = tally.longest.max(record.time.length());
            let wrong = match &record.outcome {
                Outcome::Right if runs.is_empty() => "answered, and never run",
                Outcome::Right => {
                    tally.right += 1;
                    continue;
                }
                Outcome::Left | Outcome::LeftInHead => {
                    tally.left += 1;
                    continue;
                }
                Outcome::Wrong(status, text) => match excuse(&record, *status, runs, kills, &mut cost) {
                    Some(Victim::Child) => {
                        tally.with_child += 1;
                        continue;
                    }
                    Some(Victim::Worker) => {
                        tally.with_worker += 1;
                        continue;
                    }
                    None => text,
                },
            };
            self.complaints.push(format!(
                "{} (run in {runs:?}): {wrong}, after {:?}",
                record.target,
                record.time.length()
            ));
        }
        self.all.add(&tally);
        tally
    }

    fn read_notes(&mut self, next: u64, notes: &str) {
        for line in notes[self.read..].lines() {
            let (number, id) = line.split_once(' ').unwrap();
            let number = number.parse().unwrap();
            let runs = self.runs.entry(number).or_default();
            runs.push(id.parse().unwrap());
            if runs.len() > 1 {
                self.complaints.push(format!("request {number} was run {} times, in {runs:?}", runs.len()));
            }
            if self.not_whole.contains(&number) {
                self.complaints.push(format!("request {number} was run, though it was not whole"));
            }
            if number >= next {
                self.complaints.push(format!("request {number} was run, and never sent"));
            }
        }
        self.read = notes.len();
    }

    pub(super) fn sum(&self) -> String {
        format!("     all {}", self.all)
    }
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.asked += other.asked;
        self.right += other.right;
        self.left += other.left;
        self.with_child += other.with_child;
        self.with_worker += other.with_worker;
        self.children += other.children;
        self.workers += other.workers;
        self.longest = self.longest.max(other.longest);
    }
}

/// Whose end a request may have failed with.
enum Victim {
    /// The child of httpd's that had its connection.
    Child,
    /// The worker that had begun it.
    Worker,
}

/// Why a request may have failed. A worker may be killed after it has read a request and before the application has noted
/// it, so such a 502 counts, too, as long as there are no more of them than the worker had threads.
fn excuse(record: &Record, status: Option<u16>, runs: &[u32], kills: &[Kill], cost: &mut [usize]) -> Option<Victim> {
    let met = |kill: &Kill| kill.time.meets(record.time);
    let of_child = |kill: &Kill| kill.ports.as_ref().is_some_and(|ports| ports.contains(&record.port));
    if kills.iter().any(|kill| met(kill) && of_child(kill)) {
        return Some(Victim::Child);
    }
    let unnoted = runs.is_empty() && status == Some(502);
    let (_, cost) = kills.iter().zip(cost).find(|(kill, cost)| {
        let of_worker = kill.ports.is_none() && (runs == [kill.id] || unnoted);
        of_worker && met(kill) && **cost < THREADS
    })?;
    *cost += 1;
    Some(Victim::Worker)
}
