//! What belongs to a group: its settings, its descriptors, its log; and the configuration that is on its way.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::rc::Rc;

use super::board::Board;
use super::log::Log;
use crate::board::BoardLayout;
use crate::os::farewell;
use crate::os::pidfd::PidFd;
use crate::os::spawn::Executable;
use crate::supervise::{GroupId, Plan};
use crate::wire::control::GroupSettings;

/// The latest settings of one group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) settings: GroupSettings,
    /// By slot.
    listeners: Vec<OwnedFd>,
    pub(super) board: Rc<Board>,
    executable: OwnedFd,
    preload: Option<OwnedFd>,
    /// Only with `server-metrics`.
    pub(super) scoreboard: Option<OwnedFd>,
}

/// `Begin` and its groups, until `Commit`.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) generation: u32,
    /// Memory for [`super::states`].
    pub(super) states: Option<OwnedFd>,
    groups: Vec<Coming>,
}

/// A group of it, which may have been there before, with its board.
#[derive(Debug)]
struct Coming {
    settings: GroupSettings,
    listeners: Vec<OwnedFd>,
    board: OwnedFd,
    log: OwnedFd,
    executable: OwnedFd,
    preload: Option<OwnedFd>,
    scoreboard: Option<OwnedFd>,
}

/// All groups that have workers or are to have some.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<GroupId, Group>,
    /// Outlives its group as long as a process holds a log pipe: `super::workers` asks for that.
    logs: BTreeMap<GroupId, Log>,
    /// Processes that close sockets.
    leaving: Vec<PidFd>,
}

impl Group {
    /// What its workers run.
    pub(super) fn executable(&self) -> Executable<'_> {
        Executable { program: self.executable.as_fd(), preload: self.preload.as_ref().map(OwnedFd::as_fd) }
    }
}

impl Configuration {
    /// `descriptors` as `ToSupervisor::Begin` says.
    pub(super) fn new(generation: u32, mut descriptors: Vec<OwnedFd>) -> Self {
        Self { generation, states: descriptors.pop(), groups: Vec::new() }
    }

    /// `descriptors` as `ToSupervisor::Group` says: the listening sockets, the board, the error log, the worker's executable, the
    /// memory about httpd's scoreboard and the library to load in front where the group has them.
    pub(super) fn add(&mut self, settings: GroupSettings, mut descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let preload = settings.hosted.then(|| descriptors.pop()).flatten();
        let scoreboard = settings.scoreboard.and_then(|_| descriptors.pop());
        let (executable, log, board) = (descriptors.pop(), descriptors.pop(), descriptors.pop());
        let (Some(executable), Some(log), Some(board), false) = (executable, log, board, descriptors.is_empty()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a daemon group without its descriptors"));
        };
        self.groups.push(Coming { settings, listeners: descriptors, board, log, executable, preload, scoreboard });
        Ok(())
    }

    /// How many places each group has.
    pub(super) fn places(&self) -> Vec<usize> {
        self.groups.iter().map(|group| group.listeners.len()).collect()
    }

    pub(super) fn plans(&self) -> Vec<Plan> {
        let slots = |group: &Coming| u32::try_from(group.listeners.len()).unwrap_or(u32::MAX);
        self.groups.iter().map(|group| Plan::new(&group.settings, slots(group))).collect()
    }
}

impl Groups {
    /// `ids` in the order of the plans.
    ///
    /// # Errors
    /// A board is none.
    pub(super) fn adopt(&mut self, configuration: Configuration, ids: Vec<GroupId>) -> io::Result<()> {
        for (id, coming) in ids.into_iter().zip(configuration.groups) {
            let Coming { settings, listeners, board, log, executable, preload, scoreboard } = coming;
            // The same group has the same memory; who has which seat is known here.
            let board = match self.groups.get(&id) {
                Some(known) => Rc::clone(&known.board),
                None => Board::new(board, BoardLayout::new(settings.options.processes(), settings.options.threads()))?,
            };
            let group = Group { settings, listeners, board, executable, preload, scoreboard };
            match self.logs.get_mut(&id) {
                Some(open) => open.reopen(log, &group.settings),
                None => drop(self.logs.insert(id, Log::new(log, &group.settings))),
            }
            self.groups.insert(id, group);
        }
        Ok(())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        self.groups.iter().map(|(id, group)| (*id, group))
    }

    pub(super) fn get(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id)
    }

    pub(super) fn log(&mut self, id: GroupId) -> Option<&mut Log> {
        self.logs.get_mut(&id)
    }

    pub(super) fn is_behind(&self, id: GroupId) -> bool {
        self.logs.get(&id).is_some_and(Log::is_behind)
    }

    /// The logs that wait to be written to.
    pub(super) fn logs_behind(&self) -> impl Iterator<Item = (GroupId, BorrowedFd<'_>)> {
        self.logs.iter().filter(|(_, log)| log.is_behind()).map(|(id, log)| (*id, log.as_fd()))
    }

    pub(super) fn forget(&mut self, id: GroupId) {
        if let Some(group) = self.groups.remove(&id) {
            // Workers may have left something in them.
            self.leaving.extend(farewell::close(group.listeners));
        }
        self.leaving.retain(|process| matches!(process.wait(), Ok(None)));
    }

    /// Closes logs that no group and no process writes to any more.
    pub(super) fn close_logs(&mut self, in_use: impl Fn(GroupId) -> bool) {
        let groups = &self.groups;
        self.logs.retain(|id, log| groups.contains_key(id) || log.is_behind() || in_use(*id));
    }
}

/// Removes the name of a socket.
pub(super) fn unlink(path: &[u8]) {
    let _gone = std::fs::remove_file(OsStr::from_bytes(path));
}

impl Group {
    /// Removes the names of its sockets. Whoever made them may have no right to by now (`httpd -X`).
    pub(super) fn unlink(&self) {
        self.settings.sockets.iter().for_each(|path| unlink(path));
    }

    pub(super) fn listener(&self, slot: u32) -> Option<BorrowedFd<'_>> {
        Some(self.listeners.get(usize::try_from(slot).ok()?)?.as_fd())
    }
}

/// What workers have as standard input.
pub(super) fn nothing_to_read() -> io::Result<File> {
    File::open("/dev/null")
}
