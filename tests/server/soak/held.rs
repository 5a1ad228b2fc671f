//! What the processes that live through all restarts hold, and how many processes and sockets there are: none of it grows.

use std::fmt;
use std::fs;

use super::chaos::{children, is_worker, supervisor};
use super::{CHILDREN, WORKERS};
use crate::harness::Server;
use crate::harness::process::{command_line, descendants_of, resident};
use crate::harness::wait::{DEADLINE, within};

/// Of one process.
#[derive(Clone, Debug)]
struct Process {
    id: u32,
    resident: usize,
    descriptors: usize,
    mappings: usize,
    /// Mappings of memory that processes share.
    shared: usize,
    threads: usize,
}

impl Process {
    fn of(id: u32) -> Process {
        let maps = fs::read_to_string(format!("/proc/{id}/maps")).unwrap();
        Process {
            id,
            resident: resident(id),
            descriptors: fs::read_dir(format!("/proc/{id}/fd")).unwrap().count(),
            mappings: maps.lines().count(),
            shared: maps.lines().filter(|line| line.contains("/memfd:")).count(),
            threads: fs::read_dir(format!("/proc/{id}/task")).unwrap().count(),
        }
    }

    fn assert_flat(&self, first: &Process, memory: usize) {
        assert!(self.resident <= first.resident + memory, "memory: {first:?}, then {self:?}");
        assert!(self.mappings <= first.mappings + 20, "mappings: {first:?}, then {self:?}");
        assert_eq!(self.descriptors, first.descriptors, "descriptors: {first:?}, then {self:?}");
        assert_eq!(self.shared, first.shared, "shared memory: {first:?}, then {self:?}");
        assert_eq!(self.threads, 1, "neither of them starts a thread");
    }
}

impl fmt::Display for Process {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kilobytes = self.resident / 1024;
        write!(out, "{kilobytes:7} kB{:4} fd{:5}/{} maps", self.descriptors, self.mappings, self.shared)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Held {
    parent: Process,
    supervisor: Process,
    sockets: usize,
}

impl Held {
    pub(super) const TITLE: &str = "  parent: memory, fd, maps/shared   supervisor                      sockets";

    /// Waits until only those processes and sockets are left that a server at rest has.
    /// `lost`: httpd has lost count of its own children.
    pub(super) fn when_all_is_calm(server: &Server, lost: bool) -> Held {
        let root = server.root.path().display().to_string();
        let rest = within(DEADLINE, || {
            let id = supervisor(server)?;
            let below = descendants_of(id);
            let workers = below.iter().filter(|id| is_worker(**id)).count();
            let files = fs::read_dir(server.root.join("run")).unwrap().flatten();
            let files = files.filter(|entry| entry.file_name().to_string_lossy().ends_with(".sock")).count();
            let rest = [below.len(), workers, files] == [WORKERS; 3];
            let rest = rest && (lost || (1..=CHILDREN).contains(&children(server).len()));
            rest.then(|| (id, unix_sockets(&root).len()))
        });
        let (id, sockets) = rest.unwrap_or_else(|| {
            let all = server.descendants().into_iter().map(|id| format!("{id} {}", command_line(id)));
            panic!("no rest within {DEADLINE:?}:\n  {}", all.collect::<Vec<_>>().join("\n  "))
        });
        Held { parent: Process::of(server.parent()), supervisor: Process::of(id), sockets }
    }

    pub(super) fn assert_flat(&self, first: &Held) {
        assert_eq!(self.supervisor.id, first.supervisor.id, "nobody has killed this one");
        self.parent.assert_flat(&first.parent, 8_000_000);
        self.supervisor.assert_flat(&first.supervisor, 2_000_000);
    }
}

impl fmt::Display for Held {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "  {}  {}{:4}", self.parent, self.supervisor, self.sockets)
    }
}

/// The UNIX sockets that are bound below a folder.
pub(super) fn unix_sockets(root: &str) -> Vec<String> {
    let text = fs::read_to_string("/proc/net/unix").unwrap();
    text.lines().filter(|line| line.contains(root)).map(str::to_owned).collect()
}
