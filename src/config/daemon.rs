//! `WSGIDaemonProcess`: a daemon process group and its options.
//!
//! Fields hold what was written, or nothing; the method of a field's name gives what then holds. Times and sizes of which 0 means
//! "off" or "not set" come out of methods as nothing. Names of users and paths are bytes: the parent makes numbers of the first
//! (`user`, `group`, `socket-user` ...), the second need not be UTF-8. Written by the parent while it reads its configuration; the
//! supervisor and the workers get it with their settings, children by fork.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A daemon process group, where it is defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonGroup {
    /// Unique in the whole server, upper and lower case being different; see [`check_groups`](super::check_groups).
    pub name: Vec<u8>,
    pub options: DaemonOptions,
}

/// The options of a daemon process group, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonOptions {
    /// A name, or `#` and a number; none is httpd's `User`.
    pub user: Option<Vec<u8>>,
    /// A name, or `#` and a number; none is httpd's `Group`.
    pub group: Option<Vec<u8>>,
    /// Names, or `#` and numbers. None leaves it to the system's list for the user; what is written takes its place.
    pub supplementary_groups: Vec<Vec<u8>>,
    pub processes: Option<u32>,
    pub threads: Option<u32>,
    pub umask: Option<u32>,
    /// Absolute.
    pub chroot: Option<Vec<u8>>,
    /// Absolute.
    pub home: Option<Vec<u8>>,
    pub lang: Option<Vec<u8>>,
    pub locale: Option<Vec<u8>>,
    /// None is `WSGIPythonHome`.
    pub python_home: Option<Vec<u8>>,
    /// Split at `:`, in order, without empty parts.
    pub python_path: Vec<Vec<u8>>,
    pub python_eggs: Option<Vec<u8>>,
    /// None leaves Python's own, or `WSGISwitchInterval`.
    pub switch_interval: Option<Duration>,
    pub stack_size: Option<u64>,
    pub maximum_requests: Option<u64>,
    /// Bytes of resident memory.
    pub maximum_memory: Option<u64>,
    pub overlap: Option<bool>,
    pub startup_timeout: Option<Duration>,
    pub shutdown_timeout: Option<Duration>,
    pub deadlock_timeout: Option<Duration>,
    pub inactivity_timeout: Option<Duration>,
    pub request_timeout: Option<Duration>,
    pub interrupt_timeout: Option<Duration>,
    pub graceful_timeout: Option<Duration>,
    pub eviction_timeout: Option<Duration>,
    pub restart_interval: Option<Duration>,
    pub connect_timeout: Option<Duration>,
    pub socket_timeout: Option<Duration>,
    pub queue_timeout: Option<Duration>,
    /// A name, or `#` and a number; none is httpd's `User`.
    pub socket_user: Option<Vec<u8>>,
    pub listen_backlog: Option<u32>,
    pub display_name: Option<Vec<u8>>,
    pub send_buffer_size: Option<u64>,
    pub receive_buffer_size: Option<u64>,
    pub header_buffer_size: Option<u64>,
    pub response_buffer_size: Option<u64>,
    pub response_socket_timeout: Option<Duration>,
    pub response_flush_delay: Option<Duration>,
    /// A name, or `#` and a number. Never together with `script_group`.
    pub script_user: Option<Vec<u8>>,
    /// A name, or `#` and a number.
    pub script_group: Option<Vec<u8>>,
    pub cpu_time_limit: Option<Duration>,
    pub cpu_priority: Option<i32>,
    pub memory_limit: Option<u64>,
    pub virtual_memory_limit: Option<u64>,
    pub server_metrics: Option<bool>,
}

impl DaemonOptions {
    /// `processes`, one slot each; 1 if unset.
    pub fn processes(&self) -> u32 {
        self.processes.unwrap_or(1)
    }

    /// Whether `processes` is written at all, even as 1: what `wsgi.multiprocess` says.
    pub fn processes_given(&self) -> bool {
        self.processes.is_some()
    }

    /// `threads` that serve requests in each process; 15 if unset, 0 for a group that only runs its import scripts.
    pub fn threads(&self) -> u32 {
        self.threads.unwrap_or(15)
    }

    /// `overlap`: whether a process's successor may run beside it; On if unset, and never in a group without request threads.
    pub fn overlap(&self) -> bool {
        self.overlap.unwrap_or(true) && self.threads() > 0
    }

    /// What the processes of the group `name` are called in lists of processes: `display-name`, of which `%{GROUP}` means the
    /// same as nothing.
    pub fn display_name(&self, name: &[u8]) -> Vec<u8> {
        match self.display_name.as_deref() {
            None | Some(b"%{GROUP}") => [b"(wsgi:", name, b")"].concat(),
            Some(text) => text.to_vec(),
        }
    }

    /// `server-metrics`: whether applications may know what httpd's children do; Off if unset.
    pub fn server_metrics(&self) -> bool {
        self.server_metrics.unwrap_or(false)
    }

    /// `maximum-requests` after which a process is replaced.
    pub fn maximum_requests(&self) -> Option<u64> {
        self.maximum_requests.filter(|count| *count > 0)
    }

    /// `maximum-memory`: bytes of resident memory above which a process is replaced.
    pub fn maximum_memory(&self) -> Option<u64> {
        self.maximum_memory.filter(|bytes| *bytes > 0)
    }

    /// `startup-timeout`.
    pub fn startup_timeout(&self) -> Option<Duration> {
        on(self.startup_timeout)
    }

    /// `shutdown-timeout`; 5 s if unset, nothing if a process that ends is never forced to.
    pub fn shutdown_timeout(&self) -> Option<Duration> {
        on_or(self.shutdown_timeout, 5)
    }

    /// `deadlock-timeout`; 300 s if unset.
    pub fn deadlock_timeout(&self) -> Option<Duration> {
        on_or(self.deadlock_timeout, 300)
    }

    /// `inactivity-timeout`.
    pub fn inactivity_timeout(&self) -> Option<Duration> {
        on(self.inactivity_timeout)
    }

    /// `request-timeout`, as written: not yet stretched by the number of threads.
    pub fn request_timeout(&self) -> Option<Duration> {
        on(self.request_timeout)
    }

    /// `interrupt-timeout`.
    pub fn interrupt_timeout(&self) -> Option<Duration> {
        on(self.interrupt_timeout)
    }

    /// `graceful-timeout`, the time for begun requests; 15 s if unset, zero for none.
    pub fn graceful_timeout(&self) -> Duration {
        self.graceful_timeout.unwrap_or(Duration::from_secs(15))
    }

    /// `eviction-timeout`, the time for begun requests after SIGUSR1; `graceful-timeout` if unset or 0.
    pub fn eviction_timeout(&self) -> Duration {
        on(self.eviction_timeout).unwrap_or_else(|| self.graceful_timeout())
    }

    /// `restart-interval`.
    pub fn restart_interval(&self) -> Option<Duration> {
        on(self.restart_interval)
    }

    /// `connect-timeout`, in which a child tries again; 15 s if unset, zero for one attempt.
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout.unwrap_or(Duration::from_secs(15))
    }

    /// `socket-timeout` of each read and write between child and worker; nothing is httpd's `Timeout`.
    pub fn socket_timeout(&self) -> Option<Duration> {
        on(self.socket_timeout)
    }

    /// `queue-timeout`.
    pub fn queue_timeout(&self) -> Option<Duration> {
        on(self.queue_timeout)
    }

    /// `response-socket-timeout` of writes to the client: else `socket-timeout`; nothing leaves the connection's own.
    pub fn response_socket_timeout(&self) -> Option<Duration> {
        on(self.response_socket_timeout).or_else(|| self.socket_timeout())
    }

    /// `response-flush-delay`: how long a child waits for more before it flushes; 5 ms if unset, zero for not at all.
    pub fn response_flush_delay(&self) -> Duration {
        self.response_flush_delay.unwrap_or(Duration::from_millis(5))
    }

    /// `listen-backlog`; 100 if unset.
    pub fn listen_backlog(&self) -> u32 {
        self.listen_backlog.unwrap_or(100)
    }

    /// `stack-size` of request threads, in bytes; nothing leaves the system's.
    pub fn stack_size(&self) -> Option<usize> {
        self.stack_size.map(size)
    }

    /// `send-buffer-size` of sockets, in bytes; nothing leaves the system's.
    pub fn send_buffer_size(&self) -> Option<usize> {
        self.send_buffer_size.filter(|bytes| *bytes > 0).map(size)
    }

    /// `receive-buffer-size` of sockets, in bytes; nothing leaves the system's.
    pub fn receive_buffer_size(&self) -> Option<usize> {
        self.receive_buffer_size.filter(|bytes| *bytes > 0).map(size)
    }

    /// `header-buffer-size`: the longest line of a response's head, in bytes; 32768 if unset or 0.
    pub fn header_buffer_size(&self) -> usize {
        size(self.header_buffer_size.filter(|bytes| *bytes > 0).unwrap_or(32_768))
    }

    /// `response-buffer-size`: after so many bytes of a response a child flushes; 8 MiB if unset or 0.
    pub fn response_buffer_size(&self) -> usize {
        size(self.response_buffer_size.filter(|bytes| *bytes > 0).unwrap_or(8_388_608))
    }

    /// `cpu-time-limit` of a process.
    pub fn cpu_time_limit(&self) -> Option<Duration> {
        on(self.cpu_time_limit)
    }

    /// `cpu-priority`; nothing leaves the one inherited, 0 too.
    pub fn cpu_priority(&self) -> Option<i32> {
        self.cpu_priority.filter(|priority| *priority != 0)
    }

    /// `memory-limit`, in bytes of data.
    pub fn memory_limit(&self) -> Option<u64> {
        self.memory_limit.filter(|bytes| *bytes > 0)
    }

    /// `virtual-memory-limit`, in bytes of address space.
    pub fn virtual_memory_limit(&self) -> Option<u64> {
        self.virtual_memory_limit.filter(|bytes| *bytes > 0)
    }
}

/// A time of which 0 means "off".
fn on(time: Option<Duration>) -> Option<Duration> {
    time.filter(|time| !time.is_zero())
}

/// The same, with what holds if it is unset, in seconds.
fn on_or(time: Option<Duration>, unset: u64) -> Option<Duration> {
    on(Some(time.unwrap_or(Duration::from_secs(unset))))
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_TIME: Option<Duration> = Some(Duration::ZERO);

    fn seconds(count: u64) -> Option<Duration> {
        Some(Duration::from_secs(count))
    }

    #[test]
    fn what_is_unset_has_the_documented_default() {
        let unset = DaemonOptions::default();
        assert_eq!((unset.processes(), unset.processes_given(), unset.threads()), (1, false, 15));
        assert!(unset.overlap());
        assert_eq!(unset.display_name(b"shop"), b"(wsgi:shop)");
        assert_eq!((unset.shutdown_timeout(), unset.deadlock_timeout()), (seconds(5), seconds(300)));
        assert_eq!(Some(unset.graceful_timeout()), seconds(15));
        assert_eq!(Some(unset.eviction_timeout()), seconds(15));
        assert_eq!(Some(unset.connect_timeout()), seconds(15));
        assert_eq!(unset.response_flush_delay(), Duration::from_millis(5));
        assert_eq!((unset.listen_backlog(), unset.header_buffer_size()), (100, 32_768));
        assert_eq!(unset.response_buffer_size(), 8_388_608);
        let off = [
            unset.startup_timeout(),
            unset.inactivity_timeout(),
            unset.request_timeout(),
            unset.interrupt_timeout(),
            unset.restart_interval(),
            unset.socket_timeout(),
            unset.queue_timeout(),
            unset.response_socket_timeout(),
            unset.cpu_time_limit(),
        ];
        assert_eq!(off, [None; 9]);
        let none =
            [unset.maximum_requests(), unset.maximum_memory(), unset.memory_limit(), unset.virtual_memory_limit()];
        assert_eq!(none, [None; 4]);
        assert_eq!([unset.stack_size(), unset.send_buffer_size(), unset.receive_buffer_size()], [None; 3]);
        assert_eq!(unset.cpu_priority(), None);
    }

    #[test]
    fn zero_switches_off() {
        let zero = DaemonOptions {
            maximum_requests: Some(0),
            maximum_memory: Some(0),
            shutdown_timeout: NO_TIME,
            deadlock_timeout: NO_TIME,
            graceful_timeout: NO_TIME,
            connect_timeout: NO_TIME,
            queue_timeout: NO_TIME,
            socket_timeout: NO_TIME,
            response_flush_delay: NO_TIME,
            send_buffer_size: Some(0),
            header_buffer_size: Some(0),
            cpu_priority: Some(0),
            ..DaemonOptions::default()
        };
        assert_eq!((zero.maximum_requests(), zero.maximum_memory()), (None, None));
        assert_eq!((zero.shutdown_timeout(), zero.deadlock_timeout(), zero.queue_timeout()), (None, None, None));
        assert_eq!((zero.graceful_timeout(), zero.connect_timeout()), (Duration::ZERO, Duration::ZERO));
        assert_eq!((zero.response_flush_delay(), zero.socket_timeout()), (Duration::ZERO, None));
        assert_eq!((zero.send_buffer_size(), zero.header_buffer_size(), zero.cpu_priority()), (None, 32_768, None));
    }

    #[test]
    fn some_times_stand_in_for_others() {
        let given = DaemonOptions {
            graceful_timeout: seconds(7),
            eviction_timeout: NO_TIME,
            socket_timeout: seconds(8),
            ..DaemonOptions::default()
        };
        assert_eq!((Some(given.eviction_timeout()), given.response_socket_timeout()), (seconds(7), seconds(8)));
        let given = DaemonOptions { eviction_timeout: seconds(9), response_socket_timeout: seconds(10), ..given };
        assert_eq!((Some(given.eviction_timeout()), given.response_socket_timeout()), (seconds(9), seconds(10)));
    }

    #[test]
    fn processes_are_called_as_asked() {
        for (written, shown) in [("%{GROUP}", "(wsgi:shop)"), ("my shop", "my shop"), ("x%{GROUP}", "x%{GROUP}")] {
            let options = DaemonOptions { display_name: Some(written.into()), ..DaemonOptions::default() };
            assert_eq!(options.display_name(b"shop"), shown.as_bytes(), "{written}");
        }
    }

    #[test]
    fn one_process_that_is_asked_for_counts_as_several() {
        let options = DaemonOptions { processes: Some(1), ..DaemonOptions::default() };
        assert_eq!((options.processes(), options.processes_given()), (1, true));
    }

    #[test]
    fn a_group_without_request_threads_never_overlaps() {
        let options = DaemonOptions { threads: Some(0), ..DaemonOptions::default() };
        assert!(!options.overlap());
        assert!(!DaemonOptions { overlap: Some(false), ..DaemonOptions::default() }.overlap());
    }

    #[test]
    fn options_travel_as_json_whatever_their_bytes() {
        let options = DaemonOptions {
            user: Some(b"jo\xff".to_vec()),
            python_path: vec![b"/srv/\xe9".to_vec()],
            switch_interval: Some(Duration::from_micros(5)),
            cpu_priority: Some(-3),
            ..DaemonOptions::default()
        };
        let json = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<DaemonOptions>(&json).unwrap(), options);
    }
}
