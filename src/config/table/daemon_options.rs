//! The options of `WSGIDaemonProcess`: one row each, which both the reader of the line and the manual page follow.

use super::super::{DaemonOptions, OptionRow, Range, Refusal, Words};
use super::daemon_values::Value::{
    self, Absolute, Account, Accounts, Count, Interval, Milliseconds, Octal, Paths, Seconds, Signed, Size, Switch, Text,
};
use super::daemon_values::{INT, LARGE, PRIORITY, PROCESSES, THREADS, zero_or_from};

#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    /// The value as the page shows it.
    shown: &'static str,
    /// What holds if it is not given; nothing where `doc` says it.
    default: Option<&'static str>,
    value: Value,
    doc: &'static str,
}

const fn row(name: &'static str, shown: &'static str, value: Value, doc: &'static str) -> Row {
    Row { name, shown, default: None, value, doc }
}

const fn with_default(
    name: &'static str,
    shown: &'static str,
    default: &'static str,
    value: Value,
    doc: &'static str,
) -> Row {
    Row { name, shown, default: Some(default), value, doc }
}

const ROWS: [Row; 46] = [
    // Who the processes are.
    with_default(
        "user",
        "name or #number",
        "httpd's User",
        Account(|set| &mut set.user),
        "The user that the processes run as. It counts only where httpd is started as root; root itself is refused \
         there.",
    ),
    with_default(
        "group",
        "name or #number",
        "httpd's Group",
        Account(|set| &mut set.group),
        "The processes' primary group. It counts only where httpd is started as root.",
    ),
    row(
        "supplementary-groups",
        "name or #number[,...]",
        Accounts(|set| &mut set.supplementary_groups),
        "Further groups of the processes, instead of those that the system lists for the user. Parted by commas, \
         without white space.",
    ),
    with_default(
        "processes",
        "number",
        "1",
        Count(PROCESSES, |set| &mut set.processes),
        "How many processes the group has. Writing it, even as 1, makes `wsgi.multiprocess` true.",
    ),
    with_default(
        "threads",
        "number",
        "15",
        Count(THREADS, |set| &mut set.threads),
        "How many requests a process serves at once. 0 is for processes that serve none, and only run their \
         `WSGIImportScript`.",
    ),
    row(
        "display-name",
        "text or %{GROUP}",
        Text(|set| &mut set.display_name),
        "What lists of processes show. `%{GROUP}`, or nothing said, is `(wsgi:name)` with the group's name.",
    ),
    row(
        "script-user",
        "name or #number",
        Account(|set| &mut set.script_user),
        "Who must own a script and its directory; neither may then be writable for its group or all. Other scripts \
         are answered with 403. Not together with `script-group`.",
    ),
    row(
        "script-group",
        "name or #number",
        Account(|set| &mut set.script_group),
        "The group that a script and its directory must have; neither may then be writable for all. Other scripts \
         are answered with 403. Not together with `script-user`.",
    ),
    // Their surroundings.
    row(
        "home",
        "directory",
        Absolute(|set| &mut set.home),
        "The processes' working directory, from `/` on, which Python also searches first for modules. Without it: \
         the home directory of the user, if it is not httpd's own `User`.",
    ),
    row(
        "chroot",
        "directory",
        Absolute(|set| &mut set.chroot),
        "The directory, from `/` on, that the processes see as `/`. Scripts, and everything that Python needs, must \
         lie in it. It needs an httpd that is started as root.",
    ),
    with_default(
        "umask",
        "octal",
        "httpd's own",
        Octal(|set| &mut set.umask),
        "Which permissions new files do not get, for instance `0027`.",
    ),
    row("lang", "text", Text(|set| &mut set.lang), "The environment variable `LANG`."),
    row(
        "locale",
        "text",
        Text(|set| &mut set.locale),
        "The environment variable `LC_ALL`, and the locale that is set, for instance `C.UTF-8`. One that the system \
         does not have is warned about.",
    ),
    // Python.
    with_default(
        "python-home",
        "directory",
        "WSGIPythonHome",
        Text(|set| &mut set.python_home),
        "Where Python is: the prefix of an installation, or the root of a virtual environment. One of another version than \
         the module's needs a program of its own (`make worker`), or httpd does not start.",
    ),
    row(
        "python-path",
        "directory[:directory...]",
        Paths(|set| &mut set.python_path),
        "Directories that Python searches for modules, in front of its own search path; `.pth` files in them are \
         read. `WSGIPythonPath` does not concern daemon processes.",
    ),
    row(
        "python-eggs",
        "directory",
        Text(|set| &mut set.python_eggs),
        "The directory in which Python unpacks eggs: the value of `PYTHON_EGG_CACHE`.",
    ),
    with_default(
        "switch-interval",
        "seconds",
        "WSGISwitchInterval",
        Interval(|set| &mut set.switch_interval),
        "The value for `sys.setswitchinterval`: a decimal number above 0.",
    ),
    row(
        "stack-size",
        "bytes",
        Size(Range { least: 1, ..INT }, |set| &mut set.stack_size),
        "The size of the stack of each request thread; the system's own if unset.",
    ),
    // When a process is replaced.
    with_default(
        "maximum-requests",
        "number",
        "0",
        Size(INT, |set| &mut set.maximum_requests),
        "After so many requests a process is replaced; 0 is never. The processes' numbers are spread by up to a \
         tenth, so that they do not all go at once.",
    ),
    with_default(
        "maximum-memory",
        "bytes",
        "0",
        Size(LARGE, |set| &mut set.maximum_memory),
        "Above so much resident memory a process that has answered a request is replaced, at most once in 30 seconds; 0 is never. \
         Not in C mod_wsgi.",
    ),
    with_default(
        "restart-interval",
        "seconds",
        "0",
        Seconds(|set| &mut set.restart_interval),
        "After so long a process is replaced; 0 is never.",
    ),
    with_default(
        "inactivity-timeout",
        "seconds",
        "0",
        Seconds(|set| &mut set.inactivity_timeout),
        "After so long without requests, input and output a process that has served any is replaced by an empty one, \
         to give memory back; 0 is never. See `WSGIIgnoreActivity`.",
    ),
    with_default(
        "request-timeout",
        "seconds",
        "0",
        Seconds(|set| &mut set.request_timeout),
        "How long a request may take before its process is replaced; 0 is for ever. The time is stretched by 1 + \
         ln(`threads`): to 3.7 times for 15 threads. The threads' Python stacks are logged.",
    ),
    with_default(
        "interrupt-timeout",
        "seconds",
        "0",
        Seconds(|set| &mut set.interrupt_timeout),
        "With it a request over `request-timeout` first has `mod_wsgi.RequestTimeout` raised in it; only if it still \
         runs after this time is the process replaced.",
    ),
    with_default(
        "startup-timeout",
        "seconds",
        "0",
        Seconds(|set| &mut set.startup_timeout),
        "Within this time from its first request a process must have loaded a script, or it is replaced; 0 is for \
         ever. It is also the time from its start in which a process must be ready to serve, with all that it loads before its \
         first request. If it is 0 that is 60 seconds for one that replaces another, which serves on meanwhile; others are waited \
         for.",
    ),
    with_default(
        "deadlock-timeout",
        "seconds",
        "300",
        Seconds(|set| &mut set.deadlock_timeout),
        "A process in which no other thread got Python's lock (GIL) for so long is replaced; 0 is never.",
    ),
    with_default(
        "cpu-time-limit",
        "seconds",
        "0",
        Seconds(|set| &mut set.cpu_time_limit),
        "After so much processor time a process is replaced, and soon after killed; 0 is no limit.",
    ),
    with_default(
        "overlap",
        "On|Off",
        "On",
        Switch(|set| &mut set.overlap),
        "With On a process that is replaced serves on until its successor has loaded what it needs, so for a moment \
         there is one more than `processes`. Off lets it end first: for applications that hold a port or a lock. Not \
         in C mod_wsgi.",
    ),
    // How a process ends.
    with_default(
        "graceful-timeout",
        "seconds",
        "15",
        Seconds(|set| &mut set.graceful_timeout),
        "How long a process that ends may finish requests which it has begun; 0 is not at all. Where its successor serves \
         already (graceful restart of httpd, recycling, USR1) there is no limit unless this option is written.",
    ),
    with_default(
        "eviction-timeout",
        "seconds",
        "0",
        Seconds(|set| &mut set.eviction_timeout),
        "The same for a process that got the signal USR1; 0 is as `graceful-timeout`.",
    ),
    with_default(
        "shutdown-timeout",
        "seconds",
        "5",
        Seconds(|set| &mut set.shutdown_timeout),
        "How long a process that ends may take for its `atexit` functions and threads before it is killed; 0 is for \
         ever. When httpd itself stops, 3 seconds are the most.",
    ),
    // Between httpd's children and the processes.
    with_default(
        "connect-timeout",
        "seconds",
        "15",
        Seconds(|set| &mut set.connect_timeout),
        "How long a request tries to reach a process before it is answered with 503.",
    ),
    with_default(
        "queue-timeout",
        "seconds",
        "0",
        Seconds(|set| &mut set.queue_timeout),
        "How long a request may wait for a free thread before it is answered with 504; 0 is for ever.",
    ),
    with_default(
        "socket-timeout",
        "seconds",
        "0",
        Seconds(|set| &mut set.socket_timeout),
        "How long each read and write between httpd and the process may take, so also how long an application may be \
         silent; 0 is httpd's `Timeout`.",
    ),
    with_default(
        "response-socket-timeout",
        "seconds",
        "0",
        Seconds(|set| &mut set.response_socket_timeout),
        "How long each write to the client may take; 0 is as `socket-timeout`, or else as httpd has it.",
    ),
    with_default(
        "response-flush-delay",
        "milliseconds",
        "5",
        Milliseconds(|set| &mut set.response_flush_delay),
        "How long httpd waits for more of a response before it sends the client what is there; 0 is not at all.",
    ),
    with_default(
        "response-buffer-size",
        "bytes",
        "0",
        Size(zero_or_from(65_536), |set| &mut set.response_buffer_size),
        "After so much of a response it is sent to the client in any case; 0 is 8388608.",
    ),
    with_default(
        "header-buffer-size",
        "bytes",
        "0",
        Size(zero_or_from(8_192), |set| &mut set.header_buffer_size),
        "How long a line of a response's head may be; longer ones are answered with 500; 0 is 32768.",
    ),
    with_default(
        "send-buffer-size",
        "bytes",
        "0",
        Size(zero_or_from(512), |set| &mut set.send_buffer_size),
        "The sending buffer of the sockets; 0 is the system's own, for httpd's end 262144 or the system's limit.",
    ),
    with_default(
        "receive-buffer-size",
        "bytes",
        "0",
        Size(zero_or_from(512), |set| &mut set.receive_buffer_size),
        "The receiving buffer of the sockets; 0 is the system's own.",
    ),
    with_default(
        "listen-backlog",
        "number",
        "100",
        Count(INT, |set| &mut set.listen_backlog),
        "How many connections may wait at each socket.",
    ),
    with_default(
        "socket-user",
        "name or #number",
        "httpd's User",
        Account(|set| &mut set.socket_user),
        "Who owns the sockets, and so may connect to the processes.",
    ),
    // Limits.
    with_default(
        "cpu-priority",
        "number",
        "0",
        Signed(PRIORITY, |set| &mut set.cpu_priority),
        "The processes' nice value, -20 to 19, and that of their sessions: the higher, the more they give way. Numbers outside count as the \
         nearest; below 0 needs an httpd that is started as root.",
    ),
    with_default(
        "memory-limit",
        "bytes",
        "0",
        Size(LARGE, |set| &mut set.memory_limit),
        "How much data memory a process may have (`RLIMIT_DATA`); beyond it Python raises `MemoryError`. 0 is no \
         limit.",
    ),
    with_default(
        "virtual-memory-limit",
        "bytes",
        "0",
        Size(LARGE, |set| &mut set.virtual_memory_limit),
        "How much address space a process may have (`RLIMIT_AS`); 0 is no limit.",
    ),
    with_default(
        "server-metrics",
        "On|Off",
        "Off",
        Switch(|set| &mut set.server_metrics),
        "With On the applications may ask `mod_wsgi.server_metrics()` what each thread of httpd's children does; with Off it answers `None`. \
         The answer has addresses of clients and first lines of requests, of all virtual hosts. It is as it was when a request last came to \
         a group with this option, or up to a second older.",
    ),
];

/// What the directive's row shows and [`Words`] knows.
pub(super) const OPTIONS: [OptionRow; ROWS.len()] = options();

#[expect(clippy::indexing_slicing, reason = "bounded by the same length; iterators are not const")]
const fn options() -> [OptionRow; ROWS.len()] {
    let mut options = [super::PROCESS_GROUP_OPTION; ROWS.len()];
    let mut at = 0;
    while at < ROWS.len() {
        let Row { name, shown, default, value, doc } = ROWS[at];
        let (range, may_be_empty) = (value.range(), value.may_be_empty());
        options[at] = OptionRow { name, value: shown, required: false, may_be_empty, default, range, doc };
        at += 1;
    }
    options
}

/// Reads the options of a line.
///
/// # Errors
/// The first value that can't stand; two options that exclude each other.
pub(super) fn read(words: &Words<'_>) -> Result<DaemonOptions, Refusal> {
    let mut options = DaemonOptions::default();
    for row in &ROWS {
        let Some(value) = words.option(row.name) else { continue };
        row.value.read(value, &mut options).map_err(|allowed| words.bad_option(row.name, value, allowed))?;
    }
    if let (Some(_), Some(group)) = (&options.script_user, &options.script_group) {
        let allowed = "the line has script-user, and only one of the two can hold; remove one";
        return Err(words.bad_option("script-group", group, allowed.to_owned()));
    }
    Ok(options)
}
