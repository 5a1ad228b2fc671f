//! What the threads of a worker share: settings, requests, connections, and whether it still begins requests.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::sys::signal::Signal;

use super::board::Board;
use super::changes::Changes;
use super::connection::Connections;
use super::flush::Flush;
use super::lobby::Lobby;
use super::log;
use super::requests::Requests;
use super::watch;
use crate::application::Applications;
use crate::os::channel::Channel;
use crate::os::report::{self, Reporter};
use crate::os::wake::Wake;
use crate::python::Pace;
use crate::supervise::worker::{Event, Limits};
use crate::wire::control::{FromWorker, GroupSettings};
use crate::wsgi::Level;

/// This process.
pub(super) struct Process {
    pub(super) group: GroupSettings,
    pub(super) limits: Limits,
    pub(super) applications: Applications,
    pub(super) requests: Requests,
    pub(super) board: Board,
    pub(super) connections: Connections,
    pub(super) lobby: Lobby,
    pub(super) flush: Flush,
    pub(super) pace: Pace,
    /// Says, by its end, that stacks are logged; none were asked for, or somebody waits for them already.
    pub(super) dump: Mutex<Option<Receiver<()>>>,
    /// The supervisor speaks.
    pub(super) channel: Channel,
    /// The supervisor is told.
    pub(super) reporter: Reporter,
    /// Wakes the control thread.
    pub(super) control: Wake,
    /// Wakes the accepting thread.
    pub(super) door: Wake,
    pub(super) watch: OnceLock<Sender<watch::Order>>,
    pub(super) changes: Changes,
    /// Signals for the applications, on their way to the thread that tells them.
    signals: OnceLock<SyncSender<Signal>>,
    events: Mutex<Vec<Event>>,
    /// The supervisor wants requests to be accepted.
    open: AtomicBool,
    stopping: AtomicBool,
    /// Connections that a thread has taken without having begun a request.
    opening: AtomicUsize,
    closed: AtomicBool,
    /// Scripts that were served, by application group.
    served: Mutex<HashMap<Vec<u8>, HashSet<Vec<u8>>>>,
}

/// Path and application group that a message takes, together; only a httpd whose limits were raised has longer ones.
const LONGEST_NAMES: usize = report::LONGEST / 4 - 100;

fn fit(script: &[u8], application_group: &[u8]) -> bool {
    script.len() + application_group.len() <= LONGEST_NAMES
}

/// How many signals wait for an application that is slow with one.
const WAITING_SIGNALS: usize = 64;

impl Process {
    pub(super) fn new(
        group: GroupSettings,
        limits: Limits,
        applications: Applications,
        channel: Channel,
        reporter: Reporter,
        board: Board,
    ) -> std::io::Result<Process> {
        let threads = usize::try_from(group.options.threads()).unwrap_or(0);
        board.open();
        Ok(Process {
            requests: Requests::new(threads),
            board,
            connections: Connections::new()?,
            lobby: Lobby::default(),
            flush: Flush::default(),
            pace: Pace::default(),
            dump: Mutex::default(),
            control: Wake::new()?,
            door: Wake::new()?,
            watch: OnceLock::new(),
            signals: OnceLock::new(),
            events: Mutex::default(),
            changes: Changes::default(),
            open: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            opening: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            served: Mutex::default(),
            group,
            limits,
            applications,
            channel,
            reporter,
        })
    }

    /// Hands a signal on to the applications, on a thread of its own: they may take their time. Those that come in the meantime wait, as
    /// far as there is room.
    pub(super) fn pass_on(&'static self, signal: Signal) {
        let sender = self.signals.get_or_init(|| {
            let (sender, signals) = mpsc::sync_channel::<Signal>(WAITING_SIGNALS);
            let tell = move || {
                for signal in signals {
                    self.applications.publish_signal(Signal::as_str(signal), signal as i32);
                }
            };
            if let Err(cause) = std::thread::Builder::new().name("wsgi:signal".to_owned()).spawn(tell) {
                let text = format!("WSGI0541: no thread can be started for the signals of applications: {cause}");
                log::line(Level::Error, text.as_bytes());
            }
            sender
        });
        let _ = sender.try_send(signal);
    }

    /// Tells the control thread what happened.
    pub(super) fn tell(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        self.control.wake();
    }

    /// What happened since the last call. For the control thread.
    pub(super) fn events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends a message to the supervisor. Never waits.
    pub(super) fn say(&self, message: &FromWorker) {
        match self.reporter.send(message) {
            // The control thread goes on with what the pipe did not take.
            Ok(()) if self.reporter.is_behind() => self.control.wake(),
            Ok(()) => {}
            // The supervisor is gone: the control thread notices for itself.
            Err(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => {}
            Err(cause) => {
                let text = format!("WSGI0402: the supervisor can't be told {message:?}: {cause}");
                log::line(Level::Error, text.as_bytes());
            }
        }
    }

    /// Requests may come.
    pub(super) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
        self.door.wake();
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    /// No request is begun any more.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.changes.stop();
        self.door.wake();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The listening socket is closed, and so are all connections that no request was begun on.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.control.wake();
    }

    /// Whether no request can come any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst) && self.opening.load(Ordering::SeqCst) == 0
    }

    /// A thread has taken a connection: it may hold a request.
    pub(super) fn opening(&self) {
        self.opening.fetch_add(1, Ordering::SeqCst);
    }

    /// It has begun the request, or given the connection back.
    pub(super) fn opened(&self) {
        if self.opening.fetch_sub(1, Ordering::SeqCst) == 1 && self.is_stopping() {
            self.control.wake();
        }
    }

    /// A script was served: the successor loads it before it accepts.
    pub(super) fn note_served(&self, script: &[u8], application_group: &[u8]) {
        let new = {
            let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
            if served.get(application_group).is_some_and(|scripts| scripts.contains(script)) {
                return;
            }
            served.entry(application_group.to_vec()).or_default().insert(script.to_vec())
        };
        if new && fit(script, application_group) {
            let (script, application_group) = (script.to_vec(), application_group.to_vec());
            self.say(&FromWorker::Served { script, application_group });
        }
    }

    /// A script that was served has changed.
    pub(super) fn say_changed(&self, script: &[u8], application_group: &[u8]) {
        // The group is replaced whatever the name; but the other workers can't be kept from loading it there.
        let application_group = if fit(script, application_group) { application_group } else { b"" };
        let (script, application_group) = (script.to_vec(), application_group.to_vec());
        self.say(&FromWorker::Changed { script, application_group });
    }
}
