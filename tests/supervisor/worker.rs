//! A made-up worker: what it does is in its group's name, and in commands that come in on its listening socket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use mod_wsgi::os::channel::Channel;
use mod_wsgi::os::poll;
use mod_wsgi::wire::control::{FromWorker, Reason, ToWorker};
use nix::sys::signal::{SigSet, Signal, raise};

use crate::parent::until;

/// Has the supervisor read everything that was said?
fn is_all_read(channel: &Channel) -> bool {
    let mut unread: libc::c_int = 0;
    // SAFETY: an open socket, and a place for one number.
    let answer = unsafe { libc::ioctl(channel.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut unread) };
    answer == 0 && unread == 0
}

pub(crate) fn main() -> ExitCode {
    let channel = Channel::inherited().unwrap();
    let Some((ToWorker::Settings { group, preload, .. }, descriptors)) = channel.receive::<ToWorker>().unwrap() else {
        return ExitCode::FAILURE;
    };
    let mut closed = Some(UnixListener::from(descriptors.into_iter().next().unwrap()));
    let name = String::from_utf8(group.name).unwrap();
    let say = |what: &FromWorker| channel.send(what, &[]).unwrap();
    if let Some(path) = name.strip_prefix("unfit until ")
        && !Path::new(path).exists()
    {
        say(&FromWorker::Unfit { cause: "the moon is not full.".to_owned() });
        return ExitCode::FAILURE;
    }
    if let Some(path) = name.strip_prefix("breaks until ")
        && !Path::new(path).exists()
    {
        eprint!("last words");
        return ExitCode::from(3);
    }
    if let Some(path) = name.strip_prefix("slow if ")
        && Path::new(path).exists()
    {
        // As long as it is there.
        while Path::new(path).exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    if name.starts_with("hangs") {
        std::thread::sleep(Duration::from_secs(3600));
    }
    say(&FromWorker::Ready);
    let mut listener: Option<UnixListener> = None;
    loop {
        let mut wanted = vec![channel.as_fd()];
        wanted.extend(listener.as_ref().map(|listener| listener.as_fd()));
        let ready = poll::readable(&wanted, None).unwrap();
        if ready.contains(&0) {
            match channel.receive::<ToWorker>() {
                Ok(Some((ToWorker::Open, _))) => {
                    listener = closed.take();
                    continue;
                }
                // TERM follows.
                Ok(Some((ToWorker::Changed { .. } | ToWorker::End { .. }, _))) => continue,
                Ok(Some((ToWorker::Bridge, _))) => {
                    eprintln!("bridges");
                    continue;
                }
                Ok(Some((ToWorker::Drain { .. }, _))) => {
                    (listener, closed) = (None, None);
                    say(&FromWorker::Closed);
                }
                _ => return ExitCode::from(9),
            }
            if !name.starts_with("long") {
                return ExitCode::SUCCESS;
            }
        }
        let Some(open) = listener.as_ref().filter(|_| ready.contains(&1)) else { continue };
        let (mut connection, _) = open.accept().unwrap();
        let mut command = String::new();
        BufReader::new(&connection).read_line(&mut command).unwrap();
        let (command, rest) = command.trim_end().split_once(' ').unwrap_or((command.trim_end(), ""));
        match command {
            "who" => {}
            "served" => {
                say(&FromWorker::Served { script: rest.into(), application_group: Vec::new() });
                // What another worker says when this is answered comes after it.
                until(|| is_all_read(&channel), || "the supervisor reads nothing".to_owned());
            }
            "replace" => say(&FromWorker::Replace { reason: Reason::MaximumRequests }),
            "changed" => say(&FromWorker::Changed { script: rest.into(), application_group: Vec::new() }),
            "print" => println!("{}", rest.replace('~', "\x01")),
            "junk" => channel.send(&rest, &[]).unwrap(),
            "deaf" => SigSet::all().thread_block().unwrap(),
            "crash" => raise(Signal::SIGKILL).unwrap(),
            "leave" => {
                say(&FromWorker::Leaving { reason: Reason::ScriptReload });
                return ExitCode::SUCCESS;
            }
            _ => return ExitCode::from(8),
        }
        writeln!(connection, "{} {}", std::process::id(), preload.len()).unwrap();
    }
}
