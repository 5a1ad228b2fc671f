//! Groups for tests, and a worker that does what a script says.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use super::child::Child;
use super::client::{Client, Then};
use super::group::{Group, Groups, Home};
use super::relay::Outcome;
use super::serve::exchange;
use crate::apache::Level;
use crate::board::{BoardLayout, Layout, Register, Seat, States, Tally};
use crate::config::DaemonOptions;
use crate::os::memory::{SeenWords, SharedWords, ring, sealed};
use crate::wire::{self, Body, End, FromChild, FromWorker, Reader, encode_head};
use crate::wsgi::{Gone, Head, Hints, InputError};

/// Groups of these names; sockets are not there until a test says where.
pub(super) fn groups(given: Vec<(&str, DaemonOptions, Home)>) -> Groups {
    let mut columns = 0;
    let list: Vec<Group> = given
        .into_iter()
        .enumerate()
        .map(|(number, (name, options, home))| {
            let first = columns;
            columns += usize::try_from(options.processes()).unwrap();
            let words = board_layout(&options).words();
            Group {
                number,
                name: name.into(),
                secret: [7; 32],
                sockets: (first..columns).map(|column| format!("/nonexistent/{column}").into()).collect(),
                columns: first..columns,
                options,
                home,
                board: SeenWords::of(sealed(words).unwrap().as_fd(), words).unwrap(),
                script_owner: None,
                alone: false,
            }
        })
        .collect();
    let layout = Layout::new(list.len(), columns, 4);
    let states = SharedWords::new(States::words(columns)).unwrap();
    Groups { list, shared: SharedWords::new(layout.words()).unwrap(), layout, states, scoreboard: None }
}

fn board_layout(options: &DaemonOptions) -> BoardLayout {
    BoardLayout::new(options.processes(), options.threads())
}

/// A child with one group whose processes listen in a fresh directory; the group's options are the test's.
pub(super) struct Site {
    pub(super) child: Child,
    pub(super) listeners: Vec<UnixListener>,
    board: SharedWords,
    folder: PathBuf,
}

impl Site {
    pub(super) fn new(options: DaemonOptions) -> Site {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let folder = std::env::temp_dir().join(format!("mod_wsgi-proxy-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let home = Home { timeout: Duration::from_secs(20), ..Home::default() };
        let mut groups = groups(vec![("shop", options, home)]);
        let sockets = &mut groups.list[0].sockets;
        for (slot, path) in sockets.iter_mut().enumerate() {
            *path = folder.join(slot.to_string());
        }
        let listeners: Vec<_> = sockets.iter().map(|path| UnixListener::bind(path).unwrap()).collect();
        let group = &mut groups.list[0];
        let (board, memory) = SharedWords::with_descriptor(board_layout(&group.options).words()).unwrap();
        group.board = SeenWords::of(memory.as_fd(), board.words().len()).unwrap();
        Site { child: Child::new(Arc::new(groups)).unwrap(), listeners, board, folder }
    }

    pub(super) fn group(&self) -> &Group {
        &self.child.groups.list[0]
    }

    /// Sends a request with this body to come and answers the outcome, while the workers run; `work` has the listeners.
    pub(super) fn exchange(
        &self,
        body: Body<'_>,
        client: &mut Scripted,
        work: impl FnOnce(&[UnixListener]) + Send,
    ) -> Outcome {
        std::thread::scope(|scope| {
            let working = scope.spawn(|| work(&self.listeners));
            let outcome = exchange(&self.child, self.group(), client.error_override, &request(body), client);
            working.join().unwrap();
            outcome
        })
    }

    /// The seat of a worker of the first process.
    pub(super) fn seat(&self) -> Seat<'_> {
        let (layout, words) = (board_layout(&self.group().options), self.board.words());
        let register = Register::new(layout, words).unwrap();
        register.found();
        register.take(0, 0);
        Seat::new(layout, &words[layout.seat(0).unwrap()]).unwrap()
    }

    /// Idle connections to the first process.
    pub(super) fn idle(&self) -> usize {
        let idle = self.child.idle(0).unwrap();
        let all: Vec<_> = std::iter::from_fn(|| idle.take(0)).collect();
        let count = all.len();
        all.into_iter().for_each(|one| idle.keep(one, 0));
        count
    }

    /// Requests that count at the first process of a place.
    pub(super) fn load(&self, place: usize) -> u32 {
        self.child.board().unwrap().load(Tally { place, turn: 0 })
    }

    /// The supervisor tells that in this place so many processes have ceased to serve.
    pub(super) fn turn(&self, slot: usize, turn: u32) {
        Register::new(board_layout(&self.group().options), self.board.words()).unwrap().set_turn(slot, turn);
        let bell = States::new(self.child.groups.states.words()).bell(self.group().columns.start).unwrap();
        bell.fetch_add(1, Ordering::SeqCst);
        ring(bell, i32::MAX);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The frame of a small request.
pub(super) fn request(body: Body<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    let request = wire::Request {
        application_group: b"",
        script: b"/srv/app.wsgi",
        script_mtime: 1,
        callable: b"application",
        reloading: true,
        case_sensitive: true,
        sendfile: true,
        ignore_activity: false,
        https: false,
        client_method: b"GET",
        method: b"GET",
        log_level: 6,
        request_start: 1.0,
        queue_start: 2.0,
        body,
        environ: [(&b"KEY"[..], Some(&b"value"[..]))],
    };
    request.encode(&mut frame).unwrap();
    frame
}

/// A worker's end of a connection.
pub(super) struct Peer {
    pub(super) stream: UnixStream,
    reader: Reader,
    /// What the child calls the connection.
    pub(super) connection: u64,
}

impl Peer {
    /// The next connection, its greeting read.
    pub(super) fn accept(listener: &UnixListener) -> Peer {
        let mut peer = Peer::of(listener.accept().unwrap().0);
        peer.greeting();
        peer
    }

    pub(super) fn of(stream: UnixStream) -> Peer {
        Peer { stream, reader: Reader::of_child(), connection: 0 }
    }

    pub(super) fn greeting(&mut self) {
        let mut connection = 0;
        let heard = self.hear(|frame| {
            let FromChild::Hello(hello) = frame else { return false };
            connection = hello.connection;
            hello.shows(&[7; 32])
        });
        assert!(heard, "no greeting");
        self.connection = connection;
    }

    /// The same with its first request read.
    pub(super) fn asked(listener: &UnixListener) -> Peer {
        let mut peer = Peer::accept(listener);
        peer.request();
        peer
    }

    pub(super) fn request(&mut self) {
        assert!(self.hear(|frame| matches!(frame, FromChild::Request(_))), "no request");
    }

    /// Shows the next frame; false at the end.
    pub(super) fn hear(&mut self, look: impl FnOnce(FromChild<'_>) -> bool) -> bool {
        while self.reader.lacks() > 0 {
            match self.stream.read(self.reader.space()) {
                Ok(got) if got > 0 => self.reader.filled(got),
                _ => return false,
            }
        }
        look(self.reader.next_child().unwrap().unwrap())
    }

    /// Nothing more comes: the child has closed it.
    pub(super) fn is_left(&mut self) -> bool {
        !self.hear(|_| true)
    }

    pub(super) fn say(&mut self, frames: &[u8]) {
        self.stream.write_all(frames).unwrap();
    }
}

/// The frames of an answer.
#[derive(Default)]
pub(super) struct Answer(pub(super) Vec<u8>);

impl Answer {
    pub(super) fn head(status: &str, headers: &[(&str, &str)]) -> Answer {
        let mut out = Vec::new();
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        encode_head(&mut out, status.as_bytes(), headers).unwrap();
        Answer(out)
    }

    pub(super) fn and(mut self, frame: &FromWorker<'_>) -> Answer {
        frame.encode(&mut self.0).unwrap();
        self
    }

    pub(super) fn data(self, bytes: &[u8]) -> Answer {
        self.and(&FromWorker::Data(bytes))
    }

    pub(super) fn end(self) -> Vec<u8> {
        self.and(&FromWorker::End(End::Complete)).0
    }
}

/// A small whole answer.
pub(super) fn hello() -> Vec<u8> {
    Answer::head("200 OK", &[("Content-Type", "text/plain"), ("Content-Length", "5")]).data(b"hello").end()
}

/// A client that notes what it gets.
#[derive(Default)]
pub(super) struct Scripted {
    pub(super) body: VecDeque<Result<Vec<u8>, InputError>>,
    /// What came, in order.
    pub(super) got: Vec<String>,
    pub(super) collected: Vec<u8>,
    pub(super) gone: bool,
    pub(super) error_override: bool,
}

impl Scripted {
    pub(super) fn body(pieces: &[&str]) -> Scripted {
        Scripted { body: pieces.iter().map(|piece| Ok(piece.as_bytes().to_vec())).collect(), ..Scripted::default() }
    }

    /// The number of the first line that was logged.
    pub(super) fn logged(&self) -> Vec<&str> {
        self.got.iter().filter_map(|line| line.strip_prefix("log ")).collect()
    }
}

impl Client for Scripted {
    fn read(&mut self, most: usize, pass: &mut dyn FnMut(&[&[u8]])) -> Result<(), InputError> {
        if most == 0 {
            self.got.push("continue".to_owned());
            pass(&[]);
            return Ok(());
        }
        let piece = self.body.pop_front().unwrap_or(Ok(Vec::new()))?;
        assert!(piece.len() <= most);
        match piece.as_slice() {
            [] => pass(&[]),
            [first, rest @ ..] => pass(&[&[*first], rest]),
        }
        Ok(())
    }

    fn hint(&mut self, hints: &Hints) {
        self.got.push(format!("hint {}", hints.headers().iter().count()));
    }

    fn head(&mut self, head: &Head) {
        self.got.push(format!("head {} {}", head.code(), head.headers().iter().count()));
    }

    fn keep_of(&mut self, head: &Head) {
        self.got.push(format!("keep {}", head.code()));
    }

    fn collect(&mut self, bytes: &[u8]) {
        self.collected.extend_from_slice(bytes);
    }

    fn file(&mut self, file: OwnedFd, offset: u64, length: u64) -> Result<(), String> {
        let mut content = vec![0; usize::try_from(length).unwrap()];
        File::from(file).read_exact_at(&mut content, offset).map_err(|error| error.to_string())?;
        self.collected.extend_from_slice(&content);
        Ok(())
    }

    fn send(&mut self, parts: &[&[u8]], then: Then) -> Result<(), Gone> {
        if self.gone {
            return Err(Gone);
        }
        self.collected.extend(parts.concat());
        let sent = String::from_utf8(std::mem::take(&mut self.collected)).unwrap();
        let shown = if sent.len() > 100 { format!("{} bytes", sent.len()) } else { sent };
        self.got.push(format!("{then:?} {shown}").to_lowercase().trim().to_owned());
        Ok(())
    }

    fn send_shared(&mut self, part: &[AtomicU8], then: Then) -> Result<(), Gone> {
        let bytes: Vec<u8> = part.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
        self.send(&[&bytes], then)
    }

    fn cut_off(&mut self) {
        self.got.push("cut".to_owned());
    }

    fn asked(&self) -> String {
        "GET \"/asked\"".to_owned()
    }

    fn log(&mut self, _: Level, line: &str) {
        self.got.push(format!("log {}", line.split(':').next().unwrap()));
    }
}
