//! What the soak does to the processes, one thing after the other, while httpd is restarted beside it.

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;

use super::{Dice, Span};
use crate::harness::process::{command_line, descendants_of, is_alive, is_stopped, program, send, wait_end};
use crate::harness::wait::within;
use crate::harness::{Server, until};

/// A process that was killed with requests in it.
pub(super) struct Kill {
    pub(super) id: u32,
    pub(super) time: Span,
    /// Of a child of httpd's: the ports of the clients whose connections it had.
    pub(super) ports: Option<HashSet<u16>>,
}

pub(super) struct Chaos<'a> {
    server: &'a Server,
    dice: Dice,
    /// Whether it kills supervisors, and children of httpd's.
    pub(super) supervisors: bool,
    pub(super) children: bool,
    pub(super) kills: Vec<Kill>,
    /// Workers whose supervisor was killed: they have to end by themselves.
    orphans: Vec<u32>,
    children_killed: usize,
    /// Held over each restart: the children of before.
    before: Arc<Mutex<Vec<u32>>>,
}

impl<'a> Chaos<'a> {
    pub(super) fn new(server: &'a Server, dice: Dice) -> Chaos<'a> {
        // Of requests whose worker was killed.
        for text in ["WSGI0146", "WSGI0119"] {
            server.allow_log(text);
        }
        Chaos {
            server,
            dice,
            supervisors: false,
            children: false,
            kills: Vec::new(),
            orphans: Vec::new(),
            children_killed: 0,
            before: Arc::default(),
        }
    }

    /// Does one thing after the other until httpd has been restarted so many times.
    pub(super) fn rage(&mut self, restarts: usize, over: &AtomicBool) {
        let (server, before, mut dice) = (self.server, Arc::clone(&self.before), Dice(self.dice.roll(u64::MAX)));
        std::thread::scope(|scope| {
            let restarting = scope.spawn(move || {
                for _ in 0..restarts {
                    pause(dice.roll(800));
                    let mut before = before.lock().unwrap();
                    *before = children(server);
                    server.graceful();
                }
            });
            while !restarting.is_finished() && !over.load(Ordering::Relaxed) {
                self.something();
                pause(20 + self.dice.roll(200));
            }
            restarting.join().unwrap();
        });
    }

    fn something(&mut self) {
        match self.dice.roll(13) {
            0..3 => self.kill_worker(),
            3..6 => self.touch(),
            6..8 => self.stall_worker(),
            8..11 => self.evict_worker(),
            11 if self.children => self.kill_child(),
            12 if self.supervisors => self.kill_supervisor(),
            _ => {}
        }
    }

    fn one_of(&mut self, ids: &[u32]) -> Option<u32> {
        let number = self.dice.roll(u64::try_from(ids.len().max(1)).unwrap());
        ids.get(usize::try_from(number).unwrap()).copied()
    }

    /// Any worker: one that serves, starts or drains.
    fn worker(&mut self) -> Option<u32> {
        let all: Vec<u32> = self.server.descendants().into_iter().filter(|id| is_worker(*id)).collect();
        self.one_of(&all)
    }

    fn kill_worker(&mut self) {
        let Some(id) = self.worker() else { return };
        self.kill(id, None);
    }

    fn evict_worker(&mut self) {
        let Some(id) = self.worker() else { return };
        // One that has only begun to start dies of it.
        self.server.allow_log(&format!("(pid {id}) ended by signal SIGUSR1"));
        send(id, Signal::SIGUSR1);
    }

    fn kill_child(&mut self) {
        let server = self.server;
        let lock = Arc::clone(&self.before);
        let before = lock.lock().unwrap();
        // Of the newest, since httpd is easily lost here: see `kill_strays`.
        let all: Vec<u32> = children(server).into_iter().filter(|id| !before.contains(id)).collect();
        let Some(id) = self.one_of(&all) else { return };
        // It must accept no more connections once we have looked.
        if stop(id) {
            self.children_killed += 1;
            for text in ["AH00045", "AH00046", "AH10392"] {
                server.allow_log(text);
            }
            let ports = clients_of(id, server.port);
            self.kill(id, Some(ports));
        }
    }

    /// Waits until the workers without a supervisor have ended. A process of the same number may be a later one.
    pub(super) fn wait_for_orphans(&mut self) {
        let server = self.server;
        for id in self.orphans.drain(..) {
            let gone = || !is_worker(id) || server.descendants().contains(&id);
            until("a worker whose supervisor was killed to end", || gone().then_some(()));
        }
    }

    pub(super) fn has_killed_children(&self) -> bool {
        self.children_killed > 0
    }

    /// httpd tells its children to end by as many bytes in a pipe as it thinks there are, and after one was killed it may
    /// think of one too few: then a child of an older configuration serves on, and does not hear of a stop either. (So
    /// seen without this module, with the event MPM of 2.4.71.) Ends them; how many there were.
    pub(super) fn kill_strays(&self) -> usize {
        let before = self.before.lock().unwrap();
        let alive = || before.iter().copied().filter(|id| is_alive(*id)).collect::<Vec<u32>>();
        if within(Duration::from_secs(5), || alive().is_empty().then_some(())).is_some() {
            return 0;
        }
        let strays = alive();
        for id in &strays {
            send(*id, Signal::SIGKILL);
            wait_end(*id);
        }
        strays.len()
    }

    fn kill(&mut self, id: u32, ports: Option<HashSet<u16>>) {
        self.server.allow_log(&format!("(pid {id})"));
        let time = Span::of(|| {
            send(id, Signal::SIGKILL);
            wait_end(id);
        });
        self.kills.push(Kill { id, time, ports });
    }

    fn kill_supervisor(&mut self) {
        let Some(id) = supervisor(self.server) else { return };
        // It must start no more workers once we have looked.
        if stop(id) {
            self.orphans.extend(descendants_of(id));
            self.server.allow_log(&format!("pid {id}"));
            self.server.allow_log("upervisor");
            send(id, Signal::SIGKILL);
            wait_end(id);
        }
    }

    fn touch(&mut self) {
        let script = fs::File::options().append(true).open(self.server.root.join("apps/soak/app.wsgi")).unwrap();
        script.set_modified(SystemTime::now()).unwrap();
    }

    /// A worker that does nothing for a while: what was sent to it waits, and its queue fills.
    fn stall_worker(&mut self) {
        let Some(id) = self.worker() else { return };
        if stop(id) {
            pause(self.dice.roll(400));
            send(id, Signal::SIGCONT);
        }
    }
}

/// Not to wait for anything: the pace of the mischief.
fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// The children of httpd's own.
pub(super) fn children(server: &Server) -> Vec<u32> {
    let httpd = program(server.parent());
    server.children().into_iter().filter(|id| program(*id) == httpd).collect()
}

/// The process that looks after the workers.
pub(super) fn supervisor(server: &Server) -> Option<u32> {
    let is_supervisor = |id: &u32| program(*id).is_some_and(|path| path.ends_with("mod_wsgi-supervisor"));
    server.children().into_iter().find(is_supervisor)
}

/// By its name: whose executable it runs in is not the same everywhere.
pub(super) fn is_worker(id: u32) -> bool {
    command_line(id).starts_with("(wsgi:")
}

/// Stops a process and waits until it stands still; false where it has ended.
fn stop(id: u32) -> bool {
    send(id, Signal::SIGSTOP);
    until("a process to stop", || (!is_alive(id) || is_stopped(id)).then_some(()));
    is_alive(id)
}

/// The ports of the clients whose connections a process has.
fn clients_of(id: u32, port: u16) -> HashSet<u16> {
    let links = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
    let links: HashSet<String> =
        links.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned())).collect();
    let local = format!("0100007F:{port:04X}");
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    let client = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let own = fields[1] == local && links.contains(&format!("socket:[{}]", fields[9]));
        own.then(|| u16::from_str_radix(fields[2].rsplit_once(':').unwrap().1, 16).unwrap())
    };
    sockets.lines().skip(1).filter_map(client).collect()
}
