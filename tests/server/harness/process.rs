//! What /proc tells about processes: which there are below one, what they are called, whether they live.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait::until;

/// The direct children of a process.
pub(crate) fn children_of(id: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// Every process below one.
pub(crate) fn descendants_of(id: u32) -> Vec<u32> {
    let mut all = children_of(id);
    let mut next = 0;
    while let Some(id) = all.get(next) {
        let more = children_of(*id);
        all.extend(more);
        next += 1;
    }
    all
}

/// Whether it still runs; a zombie has ended, its parent has not looked yet. One that was killed and has threads left, which a busy
/// machine does not let end, still has its sockets, too.
pub(crate) fn is_alive(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let threads = || fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count);
    !status.is_empty() && (!status.contains("State:\tZ") || threads() > 1)
}

/// Waits until it has ended.
pub(crate) fn wait_end(id: u32) {
    until(&format!("the end of process {id}"), || (!is_alive(id)).then_some(()));
}

/// The words of its command line, as ps shows them.
pub(crate) fn command_line(id: u32) -> String {
    let bytes = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace('\0', " ")
}

/// The program it runs; None where it has ended or is not ours to look at.
pub(crate) fn program(id: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{id}/exe")).ok()
}

/// Resident memory in bytes.
pub(crate) fn resident(id: u32) -> usize {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Whether every thread of it sleeps at this moment.
pub(crate) fn threads_sleep(id: u32) -> bool {
    threads_are(id, 'S')
}

/// Whether every thread of it was stopped by a signal.
pub(crate) fn is_stopped(id: u32) -> bool {
    threads_are(id, 'T')
}

fn threads_are(id: u32, state: char) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{id}/task")) else { return true };
    tasks.flatten().all(|task| {
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(state))
    })
}

/// How many of its threads have the scheduling policy `SCHED_BATCH` at this moment.
pub(crate) fn batch_threads(id: u32) -> usize {
    // proc_pid_stat(5): the 41st field; the one behind the name is the third.
    let is_batch = |stat: &str| {
        let policy = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(38));
        policy.is_some_and(|policy| policy == libc::SCHED_BATCH.to_string())
    };
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    tasks.filter(|task| is_batch(&fs::read_to_string(task.path().join("stat")).unwrap_or_default())).count()
}

/// Sends a signal; false where the process has ended.
pub(crate) fn send(id: u32, signal: Signal) -> bool {
    kill(Pid::from_raw(i32::try_from(id).unwrap()), signal).is_ok()
}
