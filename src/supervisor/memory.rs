//! Whether the kernel killed somebody for lack of memory: the counter of this process's control group (cgroup v2).

use std::fs;
use std::path::PathBuf;

/// Watches `oom_kill` of `memory.events`, which counts workers' ends too: they are in the supervisor's group or below.
#[derive(Debug)]
pub(super) struct Memory {
    events: Option<PathBuf>,
    seen: u64,
}

impl Memory {
    pub(super) fn watch() -> Self {
        let events = fs::read_to_string("/proc/self/cgroup").ok().as_deref().and_then(events_file);
        let mut memory = Self { events, seen: 0 };
        memory.seen = memory.count().unwrap_or_default();
        memory
    }

    /// Whether the counter has risen since it was looked at last.
    pub(super) fn has_run_out(&mut self) -> bool {
        let now = self.count().unwrap_or(self.seen);
        let before = std::mem::replace(&mut self.seen, now);
        now > before
    }

    fn count(&self) -> Option<u64> {
        kills(&fs::read_to_string(self.events.as_ref()?).ok()?)
    }
}

/// The line of cgroup v2 begins with `0::`, then the path from where the hierarchy is mounted.
fn events_file(groups: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(["/sys/fs/cgroup", path, "memory.events"].iter().collect())
}

fn kills(events: &str) -> Option<u64> {
    events.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let path = events_file("12:cpu:/x\n0::/system.slice/apache2.service\n").unwrap();
        assert_eq!(path, PathBuf::from("/sys/fs/cgroup/system.slice/apache2.service/memory.events"));
        assert_eq!(events_file("12:memory:/x\n"), None);
        assert_eq!(kills("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(kills("low 0\n"), None);
    }
}
