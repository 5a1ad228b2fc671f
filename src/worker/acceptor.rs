//! The door: loads scripts before it opens, lets children in who show the secret, turns everybody away when it closes.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::log;
use super::process::Process;
use crate::os::epoll::Epoll;
use crate::os::stream::{Listener, Stream};
use crate::supervise::worker::Event;
use crate::wire::control::FromWorker;
use crate::wire::{FromChild, Reader};
use crate::wsgi::Level;

/// How long a connection may take to show the secret.
const GREETING: Duration = Duration::from_secs(5);
/// How many may be about to at a time; further ones wait in the backlog.
const GUESTS: usize = 256;
/// Where descriptors are short: how long until the next try.
const PAUSE: Duration = Duration::from_millis(100);

const LISTENER: u64 = 0;
const WAKE: u64 = 1;
const FIRST_GUEST: u64 = 2;

/// The thread's life. `ready` starts the threads that serve.
pub(super) fn run(
    process: &'static Process,
    listener: Listener,
    preload: &[(Vec<u8>, Vec<u8>)],
    ready: impl FnOnce() -> Result<(), String>,
) {
    load(process, preload);
    if process.group.options.threads() == 0 {
        drop(listener);
        process.close();
        return process.tell(Event::Returned);
    }
    let opened = ready().and_then(|()| Door::open(process, listener).map_err(|cause| cause.to_string()));
    match opened {
        Ok(mut door) => {
            process.say(&FromWorker::Ready);
            door.open_if_told();
            while !process.is_stopping() {
                door.wait();
            }
            door.shut();
        }
        Err(cause) => {
            let cause = format!("WSGI0407: the worker can't serve: {cause}");
            process.say(&FromWorker::Unfit { cause });
            process.tell(Event::Terminate);
        }
    }
    process.connections.take_idle(process).into_iter().for_each(super::connection::Taken::refuse);
    process.close();
}

/// Import scripts, then what the outgoing worker served. In a group without threads they are all there is to do.
fn load(process: &Process, preload: &[(Vec<u8>, Vec<u8>)]) {
    let group = &process.group;
    if group.options.threads() == 0 {
        // A service is as good as it will be: it does not return.
        process.say(&FromWorker::Ready);
    }
    for (number, (script, application_group)) in group.imports.iter().chain(preload).enumerate() {
        if process.is_stopping() {
            return;
        }
        let path = Path::new(OsStr::from_bytes(script));
        let preloaded = number >= group.imports.len();
        // An alias may name a folder of scripts; a script that was served may have been deleted.
        if path.is_dir() || (preloaded && !path.is_file()) {
            continue;
        }
        if process.applications.import(application_group, script, group.python.case_sensitivity) {
            process.requests.loaded();
        }
        if preloaded {
            process.note_served(script, application_group);
        }
    }
}

struct Door {
    process: &'static Process,
    listener: Listener,
    epoll: Epoll,
    guests: HashMap<u64, Guest>,
    next: u64,
    /// It was told to open.
    listening: bool,
    /// When the listener is waited on again, after it was not.
    resting: Option<Instant>,
}

/// A connection that has not shown the secret yet.
struct Guest {
    stream: Stream,
    reader: Reader,
    until: Instant,
}

enum Greeting {
    /// More must come.
    Wait,
    /// It is a child of our httpd, which calls the connection so.
    Welcome { connection: u64 },
    /// It has ended, or is none.
    Leave,
}

impl Door {
    fn open(process: &'static Process, listener: Listener) -> io::Result<Door> {
        let epoll = Epoll::new()?;
        epoll.add(process.door.as_fd(), WAKE)?;
        Ok(Door {
            process,
            listener,
            epoll,
            guests: HashMap::new(),
            next: FIRST_GUEST,
            listening: false,
            resting: None,
        })
    }

    /// Waits for what comes next, and sees to it.
    fn wait(&mut self) {
        let now = Instant::now();
        let ends = self.guests.values().map(|guest| guest.until).chain(self.resting).min();
        match self.epoll.wait(ends.map(|end| end.saturating_duration_since(now))) {
            Ok(Some(LISTENER)) => self.accept(),
            Ok(Some(WAKE)) => {
                self.process.door.clear();
                self.open_if_told();
            }
            Ok(Some(number)) => self.greet(number),
            Ok(None) => {}
            // Only where memory is short.
            Err(_) => std::thread::sleep(PAUSE),
        }
        let now = Instant::now();
        self.guests.retain(|_, guest| now < guest.until);
        if self.resting.is_some_and(|until| now >= until) && self.epoll.add(self.listener.as_fd(), LISTENER).is_ok() {
            self.resting = None;
        }
    }

    fn open_if_told(&mut self) {
        if !self.listening && self.process.is_open() {
            self.listening = true;
            // Added below, again and again where the system does not take it.
            self.resting = Some(Instant::now());
        }
    }

    fn accept(&mut self) {
        match self.listener.accept() {
            Ok(Some(stream)) => {
                let number = self.next;
                self.next += 1;
                if self.epoll.add(stream.as_fd(), number).is_ok() {
                    let until = Instant::now() + GREETING;
                    self.guests.insert(number, Guest { stream, reader: Reader::of_child(), until });
                }
                if self.guests.len() >= GUESTS {
                    self.rest();
                }
            }
            Ok(None) => {}
            Err(cause) => {
                log::line(Level::Error, format!("WSGI0408: a connection can't be accepted: {cause}").as_bytes());
                self.rest();
            }
        }
    }

    /// Lets connections wait in the backlog for a while.
    fn rest(&mut self) {
        self.epoll.forget(self.listener.as_fd());
        self.resting = Some(Instant::now() + PAUSE);
    }

    fn greet(&mut self, number: u64) {
        let Some(guest) = self.guests.get_mut(&number) else { return };
        match guest.hear(&self.process.group.secret) {
            Greeting::Wait => {}
            Greeting::Leave => drop(self.guests.remove(&number)),
            Greeting::Welcome { connection } => {
                let Some(Guest { stream, reader, .. }) = self.guests.remove(&number) else { return };
                self.epoll.forget(stream.as_fd());
                let options = &self.process.group.options;
                let buffers = stream.set_buffers(options.send_buffer_size(), options.receive_buffer_size());
                let limit = options.socket_timeout().unwrap_or(TIMEOUT);
                let added = buffers
                    .and_then(|()| stream.limit(limit))
                    .and_then(|()| self.process.connections.add(&self.process.board, stream, reader, connection));
                if let Err(cause) = added {
                    let text = format!("WSGI0409: a connection can't be kept: {cause}");
                    log::line(Level::Error, text.as_bytes());
                }
            }
        }
    }

    /// Accepts no more. Who has just shown the secret joins those that are refused; who has not is none of ours.
    fn shut(mut self) {
        for number in self.guests.keys().copied().collect::<Vec<_>>() {
            self.greet(number);
        }
    }
}

/// Where `socket-timeout` is not set: httpd's default `Timeout` of old.
const TIMEOUT: Duration = Duration::from_secs(300);

impl Guest {
    /// Reads no further than the HELLO: what follows is for the threads that serve.
    fn hear(&mut self, secret: &[u8; 32]) -> Greeting {
        loop {
            let lacks = self.reader.lacks();
            if lacks == 0 {
                break;
            }
            let space = self.reader.space();
            let most = lacks.min(space.len());
            match self.stream.read_now(space.get_mut(..most).unwrap_or_default()) {
                Ok(0) => return Greeting::Leave,
                Ok(count) => self.reader.filled(count),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Greeting::Wait,
                Err(_) => return Greeting::Leave,
            }
        }
        let text = match self.reader.next_child() {
            Ok(Some(FromChild::Hello(hello))) if hello.shows(secret) => {
                return Greeting::Welcome { connection: hello.connection };
            }
            Ok(None) => return Greeting::Wait,
            Ok(Some(_)) => "did not show the secret of the group".to_owned(),
            Err(error) => format!("sent {error}"),
        };
        let text = format!("WSGI0034: a process that connected to the group's socket {text}; it is turned away");
        log::line(Level::Warn, text.as_bytes());
        Greeting::Leave
    }
}
