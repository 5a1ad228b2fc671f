use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mod_wsgi::os::channel::Channel;
use mod_wsgi::os::pidfd::Exit;
use mod_wsgi::os::spawn::{Streams, spawn};
use mod_wsgi::wire::control::ToSupervisor;
use nix::sys::signal::Signal;

use crate::parent::{Group, Parent, gone, lives, until, watch};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("starts_and_stops", starts_and_stops),
    ("a_crash_is_followed_at_once", a_crash_is_followed_at_once),
    ("a_replacement_is_warm", a_replacement_is_warm),
    ("who_waits_hears_of_a_successor", who_waits_hears_of_a_successor),
    ("who_leaves_is_followed", who_leaves_is_followed),
    ("a_change_replaces_the_group_at_once", a_change_replaces_the_group_at_once),
    ("a_change_is_bridged", a_change_is_bridged),
    ("a_restart_replaces_everybody", a_restart_replaces_everybody),
    ("another_key_is_another_group", another_key_is_another_group),
    ("without_overlap_one_ends_before_the_next", without_overlap_one_ends_before_the_next),
    ("who_is_unfit_says_so_once", who_is_unfit_says_so_once),
    ("who_breaks_is_tried_again", who_breaks_is_tried_again),
    ("who_is_never_ready_is_given_up", who_is_never_ready_is_given_up),
    ("what_is_no_program_is_said", what_is_no_program_is_said),
    ("lines_keep_their_levels", lines_keep_their_levels),
    ("who_talks_nonsense_is_ended", who_talks_nonsense_is_ended),
    ("who_says_half_is_not_waited_for", who_says_half_is_not_waited_for),
    ("who_sends_descriptors_stops_nobody", who_sends_descriptors_stops_nobody),
    ("what_waits_in_a_socket_stops_nobody", what_waits_in_a_socket_stops_nobody),
    ("who_says_much_takes_no_memory", who_says_much_takes_no_memory),
    ("who_does_not_listen_is_killed", who_does_not_listen_is_killed),
    ("a_signal_ends_everything", a_signal_ends_everything),
    ("httpd_may_close_the_channel", httpd_may_close_the_channel),
    ("httpd_may_have_another_configuration_without_us", httpd_may_have_another_configuration_without_us),
    ("a_configuration_that_is_waited_for_changes_nothing", a_configuration_that_is_waited_for_changes_nothing),
    ("a_configuration_may_come_late", a_configuration_may_come_late),
    ("httpd_may_be_killed", httpd_may_be_killed),
    ("nonsense_from_httpd_ends_everything", nonsense_from_httpd_ends_everything),
];

const STOP: Duration = Duration::from_secs(3);

fn starts_and_stops() {
    let parent = Parent::new("start");
    let (shop, blog) = (parent.group("shop", "a", 2), parent.group("the blog", "b", 1));
    parent.configure(&[&shop, &blog]);
    let pids = [shop.pid(0), shop.pid(1), blog.pid(0)];
    let workers = pids.map(watch);
    assert_eq!(fs::read_to_string(format!("/proc/{}/cmdline", pids[2])).unwrap(), "(wsgi:the blog)\0");
    assert!(parent.stop(STOP) < Duration::from_secs(2));
    assert!(!workers.iter().any(lives));
    assert_eq!(parent.times("starts (pid"), 3);
    assert_eq!(parent.times("is ready."), 3);
    assert_eq!(parent.times("ended by signal SIGTERM."), 3);
    assert!(!parent.log().contains("wsgi:error"), "{}", parent.log());
}

fn a_crash_is_followed_at_once() {
    let parent = Parent::new("crash");
    let shop = parent.group("shop", "a", 1);
    parent.configure(&[&shop]);
    let before = shop.pid(0);
    assert_eq!(shop.try_ask(0, "crash"), None);
    let (after, _) = shop.successor(0, before);
    assert_ne!(before, after);
    parent.logged(&format!("worker 1 of daemon group \"shop\" (pid {before}) ended by signal SIGKILL while it served, with no request in progress; another is started at once."));
}

fn a_replacement_is_warm() {
    let parent = Parent::new("replace");
    let shop = parent.group("shop", "a", 1);
    parent.configure(&[&shop]);
    for script in ["served a", "served b", "served a"] {
        shop.ask(0, script);
    }
    // Watched first: what is replaced may be gone at once.
    let old = watch(shop.pid(0));
    let (before, _) = shop.ask(0, "replace");
    let (after, preload) = shop.successor(0, before);
    assert_eq!(preload, 2);
    gone(&old);
    assert_eq!(shop.pid(0), after);
    parent.logged(&format!("(pid {before}) is to be replaced: maximum_requests."));
    parent.logged(&format!("(pid {before}) ended with status 0."));
    assert!(!parent.log().contains("wsgi:error"), "{}", parent.log());
}

fn who_waits_hears_of_a_successor() {
    let parent = Parent::new("turn");
    let shop = parent.group("shop", "a", 2);
    parent.configure(&[&shop]);
    shop.pid(0);
    let (first, bell) = (shop.turn(0), parent.bell(1));
    let other = shop.turn(1);
    let (before, _) = shop.ask(0, "replace");
    let heard = |generation, bell| until(|| parent.bell(generation) != bell, || "the bell".to_owned());
    heard(1, bell);
    // Whoever is woken sees it.
    assert_eq!((shop.turn(0), shop.turn(1)), (first + 1, other));
    shop.successor(0, before);
    // A graceful restart: requests may still wait in children of before.
    let bell = parent.bell(1);
    parent.configure(&[&shop]);
    heard(1, bell);
    until(|| (shop.turn(0), shop.turn(1)) == (first + 2, other + 1), || "two successors".to_owned());
    assert!(parent.bell(2) > 0);
}

fn who_leaves_is_followed() {
    let parent = Parent::new("leave");
    let shop = parent.group("shop", "a", 1);
    parent.configure(&[&shop]);
    let (before, _) = shop.ask(0, "served a");
    assert_eq!(shop.try_ask(0, "leave"), None);
    assert_eq!(shop.successor(0, before).1, 1);
    parent.logged("leaves: script_reload.");
}

fn a_change_replaces_the_group_at_once() {
    let parent = Parent::new("change");
    let shop = parent.group("shop", "a", 3);
    parent.configure(&[&shop]);
    let before = [shop.pid(0), shop.pid(1), shop.pid(2)];
    let old = before.map(watch);
    for slot in 0..3 {
        shop.ask(slot, &format!("served {slot}"));
    }
    shop.ask(1, "changed a");
    let preloads = [0, 1, 2].map(|slot| shop.successor(slot, before[slot]).1);
    assert!(preloads.contains(&3), "the first one is as warm as all of them were: {preloads:?}");
    old.iter().for_each(gone);
    parent.logged("WSGI0470: a has changed: all workers of daemon group \"shop\" are replaced.");
    assert!(!parent.log().contains("wsgi:error"), "{}", parent.log());
}

fn a_change_is_bridged() {
    let parent = Parent::new("bridge");
    let slow = parent.home.join("slow");
    let shop = parent.group(&format!("slow if {}", slow.display()), "a", 2);
    parent.configure(&[&shop]);
    let before = [shop.pid(0), shop.pid(1)];
    File::create(&slow).unwrap();
    shop.ask(0, "changed a");
    // 0.4 s later both are told.
    until(|| parent.times("bridges") == 2, || parent.log());
    // Whoever asks again is told again.
    shop.ask(1, "changed b");
    until(|| parent.times("bridges") == 3, || parent.log());
    assert_eq!([shop.pid(0), shop.pid(1)], before);
    assert_eq!(parent.times("starts (pid"), 3, "one is warmed beside two");
    fs::remove_file(&slow).unwrap();
    shop.successor(0, before[0]);
    shop.successor(1, before[1]);
    assert_eq!(parent.times("starts (pid"), 4);
}

fn a_restart_replaces_everybody() {
    let parent = Parent::new("restart");
    let shop = parent.group("shop", "a", 2);
    parent.configure(&[&shop]);
    let before = [shop.pid(0), shop.pid(1)];
    let old = before.map(watch);
    shop.ask(1, "served a");
    parent.configure(&[&shop]);
    shop.successor(0, before[0]);
    assert_eq!(shop.successor(1, before[1]).1, 1);
    old.iter().for_each(gone);
    until(|| parent.last_log().matches("ended with status 0.").count() == 2, || parent.last_log());
    assert!(!parent.log().contains("wsgi:error"), "{}", parent.log());
}

fn another_key_is_another_group() {
    let parent = Parent::new("key");
    let (old, same, gone_group) =
        (parent.group("shop", "a", 1), parent.group("blog", "a", 1), parent.group("wiki1", "a", 1));
    parent.configure(&[&old, &same, &gone_group]);
    let (before, leaver) = (watch(old.pid(0)), watch(gone_group.pid(0)));
    let new = parent.group("shop", "b", 1);
    parent.configure(&[&new, &same]);
    // Children of the last configuration may still have something for them.
    new.pid(0);
    assert!(lives(&before) && lives(&leaver));
    old.pid(0);
    gone(&before);
    gone(&leaver);
    parent.stop(STOP);
}

fn without_overlap_one_ends_before_the_next() {
    let parent = Parent::new("overlap");
    let mut shop = parent.group("shop", "a", 1);
    shop.options.overlap = Some(false);
    parent.configure(&[&shop]);
    let before = shop.pid(0);
    parent.configure(&[&shop]);
    shop.successor(0, before);
    let log = parent.last_log();
    let place = |text: &str| log.find(text).unwrap_or(usize::MAX);
    assert!(place("ended with status 0.") < place("starts (pid"), "{log}");
}

fn who_is_unfit_says_so_once() {
    let parent = Parent::new("unfit");
    let full_moon = parent.home.join("moon");
    let shop = parent.group(&format!("unfit until {}", full_moon.display()), "a", 2);
    parent.configure(&[&shop]);
    // The second attempts come after a second.
    until(|| parent.times("starts (pid") >= 4, || parent.log());
    parent.logged("can't start; it is tried again, at most every 20 s: the moon is not full.");
    File::create(full_moon).unwrap();
    shop.pid(0);
    parent.logged("starts again.");
    assert_eq!(parent.times("can't start"), 1);
    assert_eq!(parent.times("wsgi:error"), 1, "{}", parent.log());
}

fn who_breaks_is_tried_again() {
    let parent = Parent::new("break");
    let repaired = parent.home.join("repaired");
    let shop = parent.group(&format!("breaks until {}", repaired.display()), "a", 1);
    parent.configure(&[&shop]);
    parent.logged("ended with status 3 before it was ready; another is started at once.");
    parent.logged("ended with status 3 before it was ready; another is started in 0.25 s.");
    File::create(repaired).unwrap();
    shop.pid(0);
    // What a process wrote last comes before what is said of its end.
    let log = parent.log();
    assert!(log.find("] last words\n") < log.find("ended with status 3"), "{log}");
}

fn who_is_never_ready_is_given_up() {
    let parent = Parent::new("hang");
    let mut shop = parent.group("hangs", "a", 1);
    shop.options.startup_timeout = Some(Duration::from_millis(200));
    parent.configure(&[&shop]);
    parent.logged("was not ready within 0.2 s and is given up; another is started at once.");
    parent.logged("ended by signal SIGKILL.");
    parent.stop(STOP);
}

fn what_is_no_program_is_said() {
    let parent = Parent::new("program");
    let shop = parent.group("shop", "a", 1);
    let file = parent.home.join("text");
    fs::write(&file, "junk").unwrap();
    parent.configure_with(&[&shop], &file);
    parent.logged("can't start; it is tried again, at most every 20 s: its program can't be run: Permission denied");
    // The remedy is a restart of httpd.
    parent.configure(&[&shop]);
    shop.pid(0);
}

fn lines_keep_their_levels() {
    let parent = Parent::new("lines");
    let shop = parent.group("shop", "a", 1);
    parent.configure(&[&shop]);
    let (pid, _) = shop.ask(0, "print plain");
    for line in ["~6told", "~7not wanted", "~4\x1b[31mred", "end"] {
        shop.ask(0, &format!("print {line}"));
    }
    parent.logged(&format!("] [wsgi:error] [pid {pid}:tid {pid}] end\n"));
    let log = parent.log();
    assert!(log.contains(&format!("] [wsgi:error] [pid {pid}:tid {pid}] plain\n")), "{log}");
    assert!(log.contains(&format!("] [wsgi:info] [pid {pid}:tid {pid}] told\n")), "{log}");
    assert!(log.contains(&format!("] [wsgi:warn] [pid {pid}:tid {pid}] \\x1b[31mred\n")), "{log}");
    assert!(!log.contains("not wanted"), "{log}");
}

fn who_talks_nonsense_is_ended() {
    let parent = Parent::new("nonsense");
    let shop = parent.group("shop", "a", 1);
    parent.configure(&[&shop]);
    let (before, _) = shop.ask(0, "junk Ready or not");
    shop.successor(0, before);
    parent.logged(&format!("a worker (pid {before}) says what can't be understood"));
    let (before, _) = shop.ask(0, "shout");
    shop.successor(0, before);
    parent.logged(&format!("a worker (pid {before}) says what can't be understood: a message that is too long."));
}

/// The supervisor answers its parent, for another group, and at once.
fn answers_soon(parent: &Parent, groups: &[&Group]) {
    let begun = Instant::now();
    parent.configure(groups);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

fn who_says_half_is_not_waited_for() {
    let parent = Parent::new("half");
    let (shop, blog) = (parent.group("shop", "a", 1), parent.group("blog", "a", 1));
    parent.configure(&[&shop, &blog]);
    shop.ask(0, "announce");
    answers_soon(&parent, &[&shop, &blog]);
}

fn who_sends_descriptors_stops_nobody() {
    let parent = Parent::new("linger");
    let (shop, blog) = (parent.group("shop", "a", 1), parent.group("blog", "a", 1));
    parent.configure(&[&shop, &blog]);
    let (_silent, address) = silent();
    shop.ask(0, &format!("linger {address}"));
    answers_soon(&parent, &[&shop, &blog]);
    // Nor when what it sent it over is closed.
    let worker = watch(blog.pid(0));
    answers_soon(&parent, &[&blog]);
    gone(&worker);
    parent.stop(STOP);
}

/// Whoever connects there is never read from.
fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn what_waits_in_a_socket_stops_nobody() {
    let parent = Parent::new("visit");
    let (shop, blog) = (parent.group("shop", "a", 1), parent.group("blog", "a", 1));
    parent.configure(&[&shop, &blog]);
    let (_silent, address) = silent();
    let worker = watch(shop.ask(0, &format!("visit {address}")).0);
    parent.configure(&[&blog]);
    // The supervisor's is the last, when the worker has drained.
    drop(shop);
    gone(&worker);
    answers_soon(&parent, &[&blog]);
    parent.stop(STOP);
}

fn who_says_much_takes_no_memory() {
    let parent = Parent::new("much");
    let shop = parent.group("shop", "a", 1);
    parent.configure(&[&shop]);
    let before = memory(&parent);
    shop.ask(0, "boast");
    let used = memory(&parent) - before;
    assert!(used < 4 << 20, "{used}");
}

/// What the supervisor has in memory.
fn memory(parent: &Parent) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/statm", parent.supervisor.pid)).unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn who_does_not_listen_is_killed() {
    let parent = Parent::new("deaf");
    let shop = parent.group("shop", "a", 2);
    parent.configure(&[&shop]);
    let deaf = watch(shop.ask(1, "deaf").0);
    let took = parent.stop(Duration::from_millis(300));
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
    assert!(!lives(&deaf));
    parent.logged("has not ended in time and is killed; no request is in progress.");
    assert_eq!(parent.times("SIGKILL"), 1);
}

fn a_signal_ends_everything() {
    let parent = Parent::new("signal");
    let shop = parent.group("shop", "a", 1);
    parent.configure(&[&shop]);
    let worker = watch(shop.pid(0));
    // Meant for httpd.
    for signal in [Signal::SIGHUP, Signal::SIGUSR1] {
        parent.supervisor.pidfd.kill(signal).unwrap();
    }
    parent.configure(&[&shop]);
    parent.supervisor.pidfd.kill(Signal::SIGTERM).unwrap();
    assert_eq!(parent.end(), Exit::Status(0));
    assert!(!lives(&worker));
}

fn httpd_may_close_the_channel() {
    let (channel, there) = Channel::pair().unwrap();
    let program = File::open(env!("CARGO_BIN_EXE_mod_wsgi-supervisor")).unwrap();
    let nothing = File::open("/dev/null").unwrap();
    let streams = Streams { stdin: nothing.as_fd(), stdout: nothing.as_fd(), stderr: nothing.as_fd() };
    let child = spawn(program.as_fd(), c"mod_wsgi-supervisor", streams, there.into()).unwrap();
    drop(channel);
    gone(&child.pidfd);
    assert_eq!(child.pidfd.wait().unwrap(), Some(Exit::Status(0)));
}

fn wait(parent: &Parent, within: Duration, sockets: &[&Path]) {
    let sockets = sockets.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect();
    parent.say(&ToSupervisor::Wait { within: u64::try_from(within.as_millis()).unwrap(), sockets }, &[]);
}

fn httpd_may_have_another_configuration_without_us() {
    let parent = Parent::new("unloaded");
    let (shop, gone_group) = (parent.group("shop", "a", 2), parent.group("blog", "a", 1));
    parent.configure(&[&shop, &gone_group]);
    let workers = [shop.pid(0), shop.pid(1)].map(watch);
    parent.configure(&[&shop]);
    let retired = parent.home.join("retired.sock");
    File::create(&retired).unwrap();
    wait(&parent, Duration::from_millis(100), &[shop.path(0), shop.path(1), &retired]);
    assert_eq!(parent.end(), Exit::Status(0));
    assert!(!workers.iter().any(lives));
    assert!(!shop.path(0).exists() && !shop.path(1).exists() && !retired.exists());
    parent.logged("WSGI0344: httpd was restarted, and nothing came for daemon group \"shop\"");
    // In order, as a group that is gone.
    assert_eq!(parent.times("WSGI0344"), 1, "{}", parent.log());
    assert!(!parent.log().contains("wsgi:error"), "{}", parent.log());
}

fn a_configuration_that_is_waited_for_changes_nothing() {
    let parent = Parent::new("between");
    let shop = parent.group("shop", "a", 1);
    parent.configure(&[&shop]);
    let before = shop.pid(0);
    wait(&parent, Duration::from_secs(3600), &[shop.path(0)]);
    assert_eq!(shop.pid(0), before);
    parent.configure(&[&shop]);
    let (after, _) = shop.successor(0, before);
    let begun = Instant::now();
    let within = Duration::from_millis(300);
    wait(&parent, within, &[shop.path(0)]);
    parent.configure(&[&shop]);
    let (last, _) = shop.successor(0, after);
    // It has come, so nothing ends when that time is over.
    while begun.elapsed() < 2 * within {
        assert_eq!(shop.pid(0), last);
    }
    assert!(shop.path(0).exists());
    assert!(!parent.log().contains("WSGI0344"), "{}", parent.log());
    parent.stop(STOP);
}

fn a_configuration_may_come_late() {
    let parent = Parent::new("late");
    let shop = parent.group("shop", "a", 1);
    parent.configure(&[&shop]);
    let before = shop.pid(0);
    let old = watch(before);
    wait(&parent, Duration::ZERO, &[shop.path(0)]);
    parent.logged("WSGI0344");
    // While the old worker drains.
    parent.configure(&[&shop]);
    shop.successor(0, before);
    gone(&old);
    assert!(shop.path(0).exists());
    parent.stop(STOP);
}

fn httpd_may_be_killed() {
    let (channel, there) = Channel::pair().unwrap();
    let program = File::open(std::env::current_exe().unwrap()).unwrap();
    let nothing = File::open("/dev/null").unwrap();
    let (input, errors) = (nothing.as_fd(), std::io::stderr());
    let streams = Streams { stdin: input, stdout: input, stderr: errors.as_fd() };
    let doomed = spawn(program.as_fd(), c"parent", streams, there.into()).unwrap();
    let ((supervisor, worker, home), _) = channel.receive::<(i32, i32, PathBuf)>().unwrap().unwrap();
    let left = [watch(supervisor), watch(worker)];
    doomed.pidfd.kill(Signal::SIGKILL).unwrap();
    gone(&doomed.pidfd);
    doomed.pidfd.wait().unwrap();
    left.iter().for_each(gone);
    tidy_up(&home);
}

fn tidy_up(home: &Path) {
    assert!(home.starts_with(std::env::temp_dir()));
    fs::remove_dir_all(home).unwrap();
}

fn nonsense_from_httpd_ends_everything() {
    let parent = Parent::new("broken");
    let shop = parent.group("shop", "a", 1);
    parent.configure(&[&shop]);
    let worker = watch(shop.pid(0));
    parent.say(&ToSupervisor::Commit, &[]);
    assert_eq!(parent.end(), Exit::Status(0));
    assert!(!lives(&worker));
    let errors = fs::read_to_string(parent.home.join("stderr")).unwrap();
    assert!(errors.contains("an end without a beginning; all of them end."), "{errors}");
}
