//! The daemon process groups as the parent made them; children have them by fork.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use super::owner::Owner;
use crate::board::{BoardLayout, Layout, Notice, Sight, States, Tally};
use crate::config::DaemonOptions;
use crate::os::memory::{SeenWords, SharedWords, shared_clock};

/// All groups of a configuration.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) list: Vec<Group>,
    /// Requests in flight, shared by the configuration's children.
    pub(super) shared: SharedWords,
    pub(super) layout: Layout,
    /// Which processes can't be started, as the supervisor knows, and the groups' bells.
    pub(super) states: SharedWords,
    /// Where workers of groups with `server-metrics` look what httpd's scoreboard shows.
    pub(super) scoreboard: Option<SharedWords>,
}

/// A group, as far as children need it.
#[derive(Debug)]
pub(super) struct Group {
    /// Its place among all groups.
    pub(super) number: usize,
    pub(super) name: Vec<u8>,
    pub(super) options: DaemonOptions,
    pub(super) secret: [u8; 32],
    /// The listening sockets, one for each process; their columns among all processes of all groups.
    pub(super) sockets: Vec<PathBuf>,
    pub(super) columns: Range<usize>,
    pub(super) home: Home,
    /// What its workers serve.
    pub(super) board: SeenWords,
    /// Whose the scripts must be.
    pub(super) script_owner: Option<Owner>,
    /// Whether one application is alone in it, and so has the main interpreter.
    pub(super) alone: bool,
}

/// The server that a group is defined in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Home {
    /// Where httpd's record of it lies, the same in parent and children.
    pub(super) address: usize,
    pub(super) is_main: bool,
    /// `ServerName`.
    pub(super) name: Option<Vec<u8>>,
    /// `Timeout`.
    pub(super) timeout: Duration,
}

impl Groups {
    /// Puts up what `read` tells of httpd's scoreboard, if it is a second since somebody did.
    pub(super) fn put_up(&self, read: impl FnOnce() -> Option<Vec<u8>>) {
        let Some(notice) = self.scoreboard.as_ref().map(|memory| Notice::new(memory.words())) else { return };
        if notice.is_due(shared_clock())
            && let Some(text) = read()
        {
            notice.write(&text);
        }
    }

    /// Is there no use in waiting for the process of this column?
    pub(super) fn is_failing(&self, column: usize) -> bool {
        States::new(self.states.words()).is_failing(column)
    }

    /// Is another process better than that of this column, if there is one?
    pub(super) fn is_vacant(&self, column: usize) -> bool {
        States::new(self.states.words()).is_vacant(column)
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<&Group> {
        self.list.iter().find(|group| group.name == name)
    }
}

/// So many requests may wait in the connections to a process.
const WAITING: u32 = 32;

impl Group {
    /// How many requests a process may have at once, over all children. Further ones wait at a single process, unread, so that a thread
    /// that becomes free has the next at hand, and nobody has to wake who sends it. Not where another process may be free first, or the time
    /// in the queue is limited, which is watched here.
    pub(super) fn limit(&self) -> u32 {
        let waiting = if self.columns.len() > 1 || self.options.queue_timeout().is_some() { 0 } else { WAITING };
        self.options.threads().saturating_add(waiting)
    }

    /// The longest that one read from a process, or write to it, may wait.
    pub(super) fn socket_timeout(&self) -> Duration {
        self.options.socket_timeout().unwrap_or(self.home.timeout)
    }

    /// May the process of this column have begun the last of `sent` requests on a connection that it closed?
    pub(super) fn may_have_begun(&self, column: usize, (connection, sent): (u64, u32)) -> bool {
        let slot = self.slot(column).and_then(|slot| u32::try_from(slot).ok());
        slot.is_none_or(|slot| self.look(|sight| sight.may_have_begun(slot, connection, sent)))
    }

    /// Where requests to its processes count now, but for those that are passed over.
    pub(super) fn tallies(&self, pass_over: impl Fn(usize) -> bool + Copy) -> impl Iterator<Item = Tally> + Clone {
        let columns = self.columns.clone().filter(move |column| !pass_over(*column));
        columns.map(|place| Tally { place, turn: self.turn(place) })
    }

    /// How many processes have ceased to serve in the place of this column.
    fn turn(&self, column: usize) -> u32 {
        self.slot(column).map_or(0, |slot| self.look(|sight| sight.turn(slot)))
    }

    /// The socket of a column.
    pub(super) fn socket(&self, column: usize) -> Option<&PathBuf> {
        self.sockets.get(self.slot(column)?)
    }

    fn slot(&self, column: usize) -> Option<usize> {
        column.checked_sub(self.columns.start)
    }

    fn look<R>(&self, look: impl FnOnce(Sight<'_>) -> R) -> R {
        let layout = BoardLayout::new(self.options.processes(), self.options.threads());
        look(Sight::new(layout, &|place| self.board.read(place)))
    }
}
