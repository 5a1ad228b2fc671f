//! A made-up worker: what it does is in its group's name, and in commands that come in on its listening socket.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IoSlice, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, IntoRawFd as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use mod_wsgi::os::channel::Channel;
use mod_wsgi::os::poll;
use mod_wsgi::os::report::Reporter;
use mod_wsgi::wire::control::{FromWorker, Reason, ToWorker};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg, setsockopt, sockopt};

use crate::parent::until;

/// Has the supervisor read everything that was said?
fn is_all_read(reporter: &Reporter) -> bool {
    let mut unread: libc::c_int = 0;
    // SAFETY: an open pipe, and a place for one number.
    let answer = unsafe { libc::ioctl(reporter.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut unread) };
    answer == 0 && unread == 0
}

/// Begins a message of many descriptors, of which only the first packet comes.
fn announce(channel: &Channel) {
    let nothing = File::open("/dev/null").unwrap();
    send_raw(channel, 1000, nothing.as_fd());
}

/// Sends a connection that waits at its end, for somebody who reads nothing: whoever closes it last is held up for ten minutes.
fn send_lingering(socket: &impl AsFd, address: &str) {
    let connection = TcpStream::connect(address).unwrap();
    setsockopt(&connection, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 600 }).unwrap();
    connection.set_nonblocking(true).unwrap();
    while (&connection).write(&[0; 65536]).is_ok() {}
    if !send_raw(socket, 0, connection.as_fd()) {
        // It is this process that would wait.
        let _open = connection.into_raw_fd();
    }
}

/// The same in the pipe: so much is to come.
fn write_raw(reporter: &Reporter, length: u32, text: &[u8]) {
    let mut pipe = File::from(reporter.as_fd().try_clone_to_owned().unwrap());
    pipe.write_all(&[length.to_ne_bytes().as_slice(), text].concat()).unwrap();
}

/// A packet of our own making; whether it went off.
fn send_raw(socket: &impl AsFd, follow: u32, descriptor: BorrowedFd<'_>) -> bool {
    let (follow, descriptors) = (follow.to_ne_bytes(), [descriptor.as_raw_fd()]);
    let control = [ControlMessage::ScmRights(&descriptors)];
    let parts = [IoSlice::new(&follow)];
    sendmsg::<()>(socket.as_fd().as_raw_fd(), &parts, &control, MsgFlags::MSG_NOSIGNAL, None).is_ok()
}

pub(crate) fn main() -> ExitCode {
    let channel = Channel::inherited().unwrap();
    let Some((ToWorker::Settings { group, preload, .. }, descriptors)) = channel.receive::<ToWorker>().unwrap() else {
        return ExitCode::FAILURE;
    };
    let mut descriptors = descriptors.into_iter();
    let mut closed = Some(UnixListener::from(descriptors.next().unwrap()));
    let reporter = Reporter::adopt(descriptors.next().unwrap());
    let name = String::from_utf8(group.name).unwrap();
    let say = |what: &FromWorker| reporter.send(what).unwrap();
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
                until(|| is_all_read(&reporter), || "the supervisor reads nothing".to_owned());
            }
            "boast" => {
                for number in 0..600u32 {
                    let script = [&[b'x'; 16_000], number.to_ne_bytes().as_slice()].concat();
                    say(&FromWorker::Served { script, application_group: Vec::new() });
                    until(|| is_all_read(&reporter), || "the supervisor reads nothing".to_owned());
                }
            }
            "shout" => write_raw(&reporter, u32::MAX, b"endless"),
            "replace" => say(&FromWorker::Replace { reason: Reason::MaximumRequests }),
            "changed" => say(&FromWorker::Changed { script: rest.into(), application_group: Vec::new() }),
            "print" => println!("{}", rest.replace('~', "\x01")),
            "junk" => reporter.send(&rest).unwrap(),
            "announce" => {
                announce(&channel);
                write_raw(&reporter, 1000, b"half");
            }
            // It waits there: nobody accepts it.
            "visit" => {
                let address = open.local_addr().unwrap();
                send_lingering(&UnixStream::connect(address.as_pathname().unwrap()).unwrap(), rest);
                listener = None;
            }
            "linger" => send_lingering(&channel, rest),
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
