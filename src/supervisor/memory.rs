//! Whether the kernel killed somebody for lack of memory: the counter of this process's control group.

use std::fs;
use std::path::{Path, PathBuf};

/// Watches the counter `oom_kill`, which has workers' ends too: they are in the supervisor's group, or (cgroup v2 only) below.
#[derive(Debug)]
pub(super) struct Memory {
    events: Option<PathBuf>,
    seen: u64,
}

impl Memory {
    pub(super) fn watch() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let events = events_file(&text("/proc/self/cgroup"), &text("/proc/self/mountinfo"));
        let mut memory = Self { events, seen: 0 };
        memory.look();
        memory
    }

    /// What was counted up to now was nobody that is still to end.
    pub(super) fn look(&mut self) {
        self.seen = self.count().unwrap_or(self.seen);
    }

    /// Whether the counter has risen since it was looked at last.
    pub(super) fn has_run_out(&mut self) -> bool {
        let before = self.seen;
        self.look();
        self.seen > before
    }

    fn count(&self) -> Option<u64> {
        kills(&fs::read_to_string(self.events.as_ref()?).ok()?)
    }
}

/// Where the counter is, by what `/proc/self/cgroup` and `/proc/self/mountinfo` say: `memory.oom_control` where the controller of memory
/// has a hierarchy of its own (cgroup v1), else `memory.events` (v2).
fn events_file(groups: &str, mounts: &str) -> Option<PathBuf> {
    let line = |wanted: &dyn Fn(&str) -> bool| {
        groups.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            wanted(controllers).then_some(path)
        })
    };
    let folder = |path, is: &dyn Fn(&str) -> bool| mounts.lines().find_map(|mount| below(mount, path, is));
    match line(&|controllers| controllers.split(',').any(|name| name == "memory")) {
        Some(path) => Some(folder(path, &|kind| is_memory(kind))?.join("memory.oom_control")),
        None => {
            let path = line(&str::is_empty)?;
            Some(folder(path, &|kind| kind.starts_with("cgroup2 "))?.join("memory.events"))
        }
    }
}

/// What stands behind the `-` of a mount: type, source, options of the file system.
fn is_memory(kind: &str) -> bool {
    let mut words = kind.split(' ');
    words.next() == Some("cgroup")
        && words.nth(1).is_some_and(|options| options.split(',').any(|name| name == "memory"))
}

/// The group's folder in this mount (proc_pid_mountinfo(5)), if it is of the kind asked for. In a container the mount may show but a part of
/// the tree, its root.
fn below(mount: &str, path: &str, is: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let (place, kind) = mount.split_once(" - ")?;
    let mut words = place.split(' ').skip(3);
    let (root, point) = (words.next()?, words.next()?);
    let inner = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
    is(kind).then(|| Path::new(point).join(inner))
}

fn kills(events: &str) -> Option<u64> {
    events.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str =
        "24 23 0:22 / /proc rw - proc proc rw\n35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
    const V1: &str = "40 30 0:36 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n41 30 0:37 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      48 30 0:44 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    fn found(groups: &str, mounts: &str) -> Option<String> {
        events_file(groups, mounts).map(|path| path.display().to_string())
    }

    #[test]
    fn the_counter_is_found_in_both_versions() {
        assert_eq!(
            found("0::/system.slice/apache2.service\n", V2).unwrap(),
            "/sys/fs/cgroup/system.slice/apache2.service/memory.events"
        );
        assert_eq!(found("0::/\n", V2).unwrap(), "/sys/fs/cgroup/memory.events");
        let both = "4:cpuset,memory:/apache\n3:cpu:/x\n1:name=systemd:/y\n0::/z\n";
        assert_eq!(found(both, V1).unwrap(), "/sys/fs/cgroup/memory/apache/memory.oom_control");
        assert_eq!(found("3:cpu:/x\n", V1), None);
        assert_eq!(found(both, ""), None);
        // A container that sees its own part of the tree, by its path outside.
        let part = "41 30 0:37 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        assert_eq!(found("4:memory:/docker/1\n", part).unwrap(), "/sys/fs/cgroup/memory/memory.oom_control");
        assert_eq!(found("4:memory:/docker/1/in\n", part).unwrap(), "/sys/fs/cgroup/memory/in/memory.oom_control");
    }

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(kills("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), Some(5));
        assert_eq!(kills("low 0\n"), None);
    }
}
