//! Daemon mode: what is not the same in both modes. Groups are configured by the tests; their application is mostly `act`.

// What the log says of a process's requests when it ends, and what becomes of them.
mod board;
// Scripts that change.
mod changes;
// What an application starts: programs, forks, threads.
mod children;
// httpd -t: options of WSGIDaemonProcess.
mod config;
// Workers and processes that die, and what clients see of it.
mod failures;
// Which group serves a request, and which may not.
mod groups;
// Ends that are planned: limits, timeouts, signals.
mod life;
// How a process is set up.
mod process;
// Processes in Python's own executable.
mod hosted;
// Interpreters with a GIL of their own.
mod own_gil;
// Groups of other Python versions.
pub(crate) mod pythons;
// Between child and worker: time limits, sizes, bodies both ways.
mod relay;
// Restarts, stops, and ends of httpd's own processes.
pub(crate) mod restarts;
// What applications know of httpd's children.
mod scoreboard;
// Service manager, logrotate, package manager.
mod service;
// The socket's other guests.
mod sockets;

use nix::unistd::{Group, User};

use crate::harness::client::Connection;
use crate::harness::{Request, Server, Site, until};

/// `act` at the root of the site, in a daemon process group `shop`.
fn act(site: Site, options: &str) -> Site {
    let site = site.group("shop", options).conf("WSGIProcessGroup shop\nSetEnv demo.var ${ROOT}/var");
    site.app("act")
}

/// The process that answers.
fn pid(server: &Server) -> u32 {
    server.get("/pid").ok().parse().unwrap()
}

/// Asks until another process than `old` answers; every request must be answered.
fn replaced(server: &Server, old: u32) -> u32 {
    until(&format!("another process than {old}"), || Some(pid(server)).filter(|new| *new != old))
}

/// Sends a request for `path?name`, one that waits in the application, and waits until it does; the process it is in.
fn held(server: &Server, path: &str, name: &str) -> (Connection, u32) {
    let mut connection = server.connect();
    connection.send_head(&Request::get(&format!("{path}?{name}")));
    (connection, holder(server, name))
}

/// The process that holds a request.
fn holder(server: &Server, name: &str) -> u32 {
    until(&format!("{name} to be held"), || server.root.read(&format!("var/held-{name}")).parse().ok())
}

/// Changes the configuration.
fn edit(server: &Server, from: &str, to: &str) {
    let text = server.root.read("conf/httpd.conf");
    assert!(text.contains(from));
    server.root.write("conf/httpd.conf", text.replace(from, to));
}

/// Lets a held request go on.
fn release(server: &Server, name: &str) {
    server.root.write(&format!("var/go-{name}"), "");
}

/// Whether the tests are run by root; said loudly if not.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: only root can start processes of other users");
    }
    root
}

/// Two users of this machine, neither root nor httpd's own, with a home directory.
pub(crate) fn two_users() -> Option<[User; 2]> {
    if !is_root() {
        return None;
    }
    let known = ["games", "bin", "mail", "daemon", "sys", "lp", "operator"].into_iter().filter_map(|name| {
        let user = User::from_name(name).ok()??;
        let usable = user.uid.as_raw() != 0 && user.gid.as_raw() != 0 && user.dir.is_dir();
        (usable && matches!(Group::from_gid(user.gid), Ok(Some(_)))).then_some(user)
    });
    let found: Vec<User> = known.take(2).collect();
    if found.len() < 2 {
        eprintln!("SKIPPED: this machine has no two users to try");
    }
    found.try_into().ok()
}

/// The name of a user's own group.
pub(crate) fn group_of(user: &User) -> String {
    Group::from_gid(user.gid).unwrap().unwrap().name
}
