//! The supervisor as httpd's parent sees it: started, told the configuration, ended.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};
use nix::unistd::Pid;

use crate::os::channel::Channel;
use crate::os::pidfd::PidFd;
use crate::os::poll;
use crate::os::spawn::{Executable, Streams, spawn};
use crate::wire::control::{FromSupervisor, GroupSettings, ToSupervisor};

/// Workers have so long to end when httpd stops, as httpd gives its own children.
const STOP: Duration = Duration::from_millis(3000);
/// The supervisor has a little more, to see it through.
const PATIENCE: Duration = Duration::from_millis(3500);
/// So long it waits for the next configuration: reading one is a matter of milliseconds, unless names must be looked up or programs
/// asked for passwords.
const BETWEEN: Duration = Duration::from_secs(30);
/// A supervisor that does not read for so long is broken.
const SEND_SECONDS: i64 = 5;

/// A running supervisor.
#[derive(Debug)]
pub(super) struct Supervisor {
    pid: Pid,
    process: PidFd,
    channel: Channel,
}

/// A group with its descriptors, as it is sent.
pub(super) struct Sent<'p> {
    pub(super) settings: GroupSettings,
    pub(super) listening: Vec<BorrowedFd<'p>>,
    pub(super) board: BorrowedFd<'p>,
    pub(super) log: BorrowedFd<'p>,
    pub(super) worker: Executable<'p>,
    pub(super) scoreboard: Option<BorrowedFd<'p>>,
}

impl Supervisor {
    /// Starts one.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn start(program: BorrowedFd<'_>) -> io::Result<Supervisor> {
        let (ours, theirs) = Channel::pair()?;
        let nothing = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        // httpd has its main error log there.
        let errors = io::stderr();
        let streams = Streams { stdin: nothing.as_fd(), stdout: nothing.as_fd(), stderr: errors.as_fd() };
        let child = spawn(program, c"mod_wsgi-supervisor", streams, theirs.into())?;
        Supervisor::of(child.pid, child.pidfd, ours)
    }

    /// One that was started before this image of the module was loaded; nothing if it has ended.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn again(pid: i32, channel: OwnedFd) -> io::Result<Option<Supervisor>> {
        let pid = Pid::from_raw(pid);
        // Its number is not given away before this process has waited for it, which httpd does while it serves only.
        let process = match PidFd::open(pid) {
            Ok(process) => process,
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            Err(error) => return Err(error),
        };
        let supervisor = Supervisor::of(pid, process, Channel::from_fd(channel))?;
        // While the module was not loaded it may have ended, and another process have its number.
        Ok((supervisor.is_alive() && supervisor.listens()).then_some(supervisor))
    }

    fn of(pid: Pid, process: PidFd, channel: Channel) -> io::Result<Supervisor> {
        setsockopt(&channel.as_fd(), sockopt::SendTimeout, &TimeVal::seconds(SEND_SECONDS))?;
        Ok(Supervisor { pid, process, channel })
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// What must be kept to know it `again`.
    pub(super) fn into_kept(self) -> (i32, OwnedFd) {
        (self.pid.as_raw(), self.channel.into())
    }

    /// Whether it has not closed its end of the channel.
    fn listens(&self) -> bool {
        // An end is told in any case, what it has said is not asked for.
        poll::wait(&[(self.channel.as_fd(), PollFlags::empty())], Some(Duration::ZERO))
            .is_ok_and(|ended| ended.is_empty())
    }

    fn is_alive(&self) -> bool {
        poll::readable(&[self.process.as_fd()], Some(Duration::ZERO)).is_ok_and(|ready| ready.is_empty())
    }

    /// Puts a configuration in force.
    ///
    /// # Errors
    /// It is gone, or does not read.
    pub(super) fn configure(&self, generation: u32, states: BorrowedFd<'_>, groups: Vec<Sent<'_>>) -> io::Result<()> {
        self.forget_answers()?;
        self.channel.send(&ToSupervisor::Begin { generation }, &[states])?;
        for group in groups {
            let mut descriptors = group.listening;
            descriptors.extend([group.board, group.log, group.worker.program]);
            descriptors.extend(group.scoreboard);
            descriptors.extend(group.worker.preload);
            self.channel.send(&ToSupervisor::Group(Box::new(group.settings)), &descriptors)?;
        }
        self.channel.send(&ToSupervisor::Commit, &[])
    }

    /// What it said is of no consequence here, but must not pile up.
    fn forget_answers(&self) -> io::Result<()> {
        self.channel.set_nonblocking(true)?;
        while let Ok(Some((FromSupervisor::Committed { .. }, _))) = self.channel.receive::<FromSupervisor>() {}
        self.channel.set_nonblocking(false)
    }

    /// Has it wait for the next configuration, which may be one without the module: then nobody else would end it, nor remove these sockets.
    pub(super) fn await_next<'p>(&self, sockets: impl Iterator<Item = &'p PathBuf>) {
        let sockets = sockets.map(|path| path.as_os_str().as_bytes().to_vec()).collect();
        let within = u64::try_from(BETWEEN.as_millis()).unwrap_or(u64::MAX);
        // One that is broken is found so when it is told the next.
        let _sent = self.channel.send(&ToSupervisor::Wait { within, sockets }, &[]);
    }

    /// Leaves it to itself: its workers finish what they have begun, and it ends.
    pub(super) fn let_go(self) -> i32 {
        self.pid()
    }

    /// Ends it and all workers: in order within three seconds, by force after that.
    ///
    /// # Errors
    /// A line about what was not in order.
    pub(super) fn stop(self) -> Result<(), String> {
        let within = u64::try_from(STOP.as_millis()).unwrap_or(u64::MAX);
        // Where it reads no more, its end is all that is left to wait for.
        let told = self.channel.send(&ToSupervisor::Stop { within }, &[]);
        let until = Instant::now() + PATIENCE;
        while !self.has_ended() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let killed = self.process.kill(Signal::SIGKILL);
                let _ = poll::readable(&[self.process.as_fd()], Some(Duration::from_secs(1)));
                let _ = self.has_ended();
                return Err(match killed {
                    Ok(()) => format!("mod_wsgi-supervisor ({}) did not end in time and was killed", self.pid),
                    Err(error) => {
                        format!("mod_wsgi-supervisor ({}) did not end and can't be killed: {error}", self.pid)
                    }
                });
            }
            let _ = poll::readable(&[self.process.as_fd()], Some(left));
        }
        told.or_else(|error| match error.raw_os_error() {
            // It was gone already.
            Some(libc::EPIPE | libc::ECONNRESET) => Ok(()),
            _ => Err(format!("mod_wsgi-supervisor ({}) could not be told to stop: {error}", self.pid)),
        })
    }

    /// Has it ended? Waits for the process, once.
    fn has_ended(&self) -> bool {
        match self.process.wait() {
            Ok(exit) => exit.is_some(),
            // httpd was quicker.
            Err(error) => error.raw_os_error() == Some(Errno::ECHILD as i32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_is_known_again_by_its_channel_and_not_by_its_number_alone() {
        let own = nix::unistd::getpid().as_raw();
        let (ours, theirs) = Channel::pair().unwrap();
        let known = Supervisor::again(own, ours.into()).unwrap().unwrap();
        // What it has said is no end.
        theirs.send(&FromSupervisor::Committed { generation: 1 }, &[]).unwrap();
        assert!(known.listens());
        let (pid, channel) = known.into_kept();
        drop(theirs);
        assert!(Supervisor::again(pid, channel).unwrap().is_none());
    }
}
