//! Starting a program of ours by its descriptor, or Python's with a library of ours in front, with a channel to it as descriptor 3.
//!
//! Used by httpd's parent for the supervisor and by the supervisor for workers; both have one thread. fork, then exec without anything
//! in between that allocates or locks, so what the parent's libraries hold at that moment does not matter.

use std::ffi::{CStr, CString};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork};

use super::pidfd::PidFd;

/// What a started program finds as 0, 1 and 2.
#[derive(Clone, Copy, Debug)]
pub struct Streams<'d> {
    pub stdin: BorrowedFd<'d>,
    pub stdout: BorrowedFd<'d>,
    pub stderr: BorrowedFd<'d>,
}

/// What is started.
#[derive(Clone, Copy, Debug)]
pub struct Executable<'d> {
    pub program: BorrowedFd<'d>,
    /// A library for the loader to load in front of the program's own (`super::hosted`), where that is what makes it ours.
    pub preload: Option<BorrowedFd<'d>>,
}

impl<'d> From<BorrowedFd<'d>> for Executable<'d> {
    fn from(program: BorrowedFd<'d>) -> Self {
        Self { program, preload: None }
    }
}

/// A process that runs the program by now.
#[derive(Debug)]
pub struct Child {
    pub pid: Pid,
    pub pidfd: PidFd,
}

/// The channel's number in the started program.
pub(super) const CONTROL: i32 = 3;
/// Where the child tells why exec failed; closed by exec.
const FAILURE: i32 = 4;
/// The number of the library that the loader is to load in front, in the started program, which closes it.
pub(super) const PRELOADED: i32 = 5;
/// Tells the loader which libraries to load in front, with colons in between (ld.so(8)).
pub(super) const PRELOAD: &str = "LD_PRELOAD";

/// Copies for the child lie above the numbers that they are to get.
const ABOVE: i32 = 10;

/// The soft limit of descriptors before [`raise_descriptor_limit`]: what started programs get back.
static DESCRIPTOR_LIMIT: OnceLock<libc::rlimit> = OnceLock::new();

/// Raises this process's limit of descriptors as far as it may; programs started from now on have the old one. For the supervisor,
/// which holds five for each worker.
///
/// # Errors
/// The system's.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    DESCRIPTOR_LIMIT.get_or_init(|| libc::rlimit { rlim_cur: soft, rlim_max: hard });
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// Starts the program with `argv0` as its only argument, the environment of this process, `control` as descriptor 3, all signals at
/// their defaults and none blocked, and no other descriptor. Answers when it runs.
///
/// # Errors
/// The system's: no more processes or descriptors, or why exec failed (no permission, a file system mounted `noexec`, a missing
/// loader, a file that is no program).
pub fn spawn<'d>(
    executable: impl Into<Executable<'d>>,
    argv0: &CStr,
    streams: Streams<'_>,
    control: OwnedFd,
) -> io::Result<Child> {
    let executable = executable.into();
    let (mut failure, to_parent) = io::pipe()?;
    let copies = [
        above(streams.stdin)?,
        above(streams.stdout)?,
        above(streams.stderr)?,
        above(control.as_fd())?,
        above(to_parent.as_fd())?,
        above(executable.program)?,
    ];
    let preload = executable.preload.map(above).transpose()?;
    drop((control, to_parent));
    let settings = environment(preload.is_some())?;
    let environment: Vec<_> = settings.iter().map(|setting| setting.as_ptr()).chain([std::ptr::null()]).collect();
    let program = Program {
        descriptors: copies.each_ref().map(|copy| copy.as_raw_fd()),
        preload: preload.as_ref().map(OwnedFd::as_raw_fd),
        arguments: [argv0.as_ptr(), std::ptr::null()],
        environment: &environment,
        limit: DESCRIPTOR_LIMIT.get(),
    };
    // The parent's handlers must not run in the child.
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut before))?;
    // SAFETY: the child does nothing but `Program::run`, which makes system calls only.
    let forked = unsafe { fork() };
    if let Ok(ForkResult::Child) = forked {
        program.run()
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    let Ok(ForkResult::Parent { child: pid }) = forked else {
        return Err(forked.err().unwrap_or(Errno::EAGAIN).into());
    };
    drop((copies, preload));
    let mut cause = [0; 4];
    match failure.read_exact(&mut cause) {
        // Closed by exec.
        Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => match PidFd::open(pid) {
            Ok(pidfd) => Ok(Child { pid, pidfd }),
            Err(cause) => {
                // Nobody could watch it.
                let _sent = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
                let _gone = nix::sys::wait::waitpid(pid, None);
                Err(cause)
            }
        },
        Err(cause) => Err(cause),
        Ok(()) => {
            // It has ended or is about to; its number must be given back.
            let _gone = nix::sys::wait::waitpid(pid, None);
            Err(io::Error::from_raw_os_error(i32::from_ne_bytes(cause)))
        }
    }
}

/// This process's environment; with the setting that has the loader load [`PRELOADED`], before what is to be loaded in front anyway.
fn environment(preload: bool) -> io::Result<Vec<CString>> {
    let others = std::env::vars_os().filter(|(name, _)| !(preload && name == PRELOAD));
    let mut settings: Vec<_> = others.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect();
    if preload {
        let mut in_front = format!("{PRELOAD}=/proc/self/fd/{PRELOADED}").into_bytes();
        if let Some(others) = std::env::var_os(PRELOAD) {
            in_front.push(b':');
            in_front.extend(others.as_bytes());
        }
        settings.push(in_front);
    }
    settings.into_iter().map(|setting| Ok(CString::new(setting)?)).collect()
}

fn above(descriptor: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd as _;

    let number = fcntl(descriptor, FcntlArg::F_DUPFD_CLOEXEC(ABOVE))?;
    // SAFETY: the kernel has just made this descriptor for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// All that the child needs, ready before the fork.
struct Program<'p> {
    /// What becomes 0, 1, 2, 3 and 4, and the executable.
    descriptors: [i32; 6],
    preload: Option<i32>,
    arguments: [*const libc::c_char; 2],
    environment: &'p [*const libc::c_char],
    limit: Option<&'p libc::rlimit>,
}

impl Program<'_> {
    /// In the child. Async-signal-safe calls only (signal-safety(7)).
    fn run(&self) -> ! {
        let [stdin, stdout, stderr, control, failure, executable] = self.descriptors;
        for (from, to) in [(stdin, 0), (stdout, 1), (stderr, 2), (control, CONTROL)] {
            // SAFETY: a system call on numbers; all sources are above the targets.
            if unsafe { libc::dup2(from, to) } < 0 {
                give_up(failure);
            }
        }
        // SAFETY: as above.
        if unsafe { libc::dup3(failure, FAILURE, libc::O_CLOEXEC) } < 0 {
            give_up(failure);
        }
        let mut kept = FAILURE;
        if let Some(preload) = self.preload {
            // SAFETY: as above.
            if unsafe { libc::dup2(preload, PRELOADED) } < 0 {
                give_up(FAILURE);
            }
            kept = PRELOADED;
        }
        // Two ranges, because CLOSE_RANGE_CLOEXEC is younger than Linux 5.10.
        for (first, last) in [(kept + 1, executable - 1), (executable + 1, i32::MAX)] {
            // SAFETY: closes descriptors that nothing in this process uses any more.
            if first <= last && unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } < 0 {
                give_up(FAILURE);
            }
        }
        if let Some(limit) = self.limit {
            // SAFETY: reads one structure that lives in this copy of the parent's memory.
            if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, limit) } < 0 {
                give_up(FAILURE);
            }
        }
        reset_signals();
        // SAFETY: paths and arguments are terminated strings that live until exec replaces this memory.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                executable,
                c"".as_ptr(),
                self.arguments.as_ptr(),
                self.environment.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        };
        give_up(FAILURE)
    }
}

/// exec keeps what is ignored and blocked: httpd ignores some signals, the supervisor blocks some.
fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: sets a default; the C library refuses its own two signals and KILL and STOP, which are never ignored.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: fills the set.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: reads the set filled above.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
}

/// Tells the parent `errno` and ends.
fn give_up(failure: i32) -> ! {
    let cause = Errno::last_raw().to_ne_bytes();
    // SAFETY: writes four bytes of this frame.
    unsafe { libc::write(failure, cause.as_ptr().cast(), cause.len()) };
    // SAFETY: ends the process without running what the parent registered for its exit.
    unsafe { libc::_exit(127) }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::fs::{self, File};
    use std::io::Write as _;

    use nix::sys::signal::Signal;

    use super::*;
    use crate::os::channel::Channel;
    use crate::os::pidfd::Exit;
    use crate::os::poll;

    fn end(child: &Child) -> Exit {
        poll::readable(&[child.pidfd.as_fd()], None).unwrap();
        child.pidfd.wait().unwrap().unwrap()
    }

    fn start(program: &File, input: BorrowedFd<'_>, output: BorrowedFd<'_>) -> io::Result<(Child, Channel)> {
        let (here, there) = Channel::pair()?;
        let streams = Streams { stdin: input, stdout: output, stderr: output };
        Ok((spawn(program.as_fd(), c"(wsgi:shell)", streams, there.into())?, here))
    }

    #[test]
    fn a_program_gets_its_four_descriptors_and_no_more() {
        let shell = File::open("/bin/sh").unwrap();
        let (script, mut type_in) = io::pipe().unwrap();
        let (mut printed, output) = io::pipe().unwrap();
        let _noise = [File::open("/dev/null").unwrap(), File::open("/dev/null").unwrap()];
        let (child, channel) = start(&shell, script.as_fd(), output.as_fd()).unwrap();
        drop(output);
        // The mask is read without a further process: while a shell starts one, it blocks signals itself.
        let blocked = "while read -r line; do case $line in SigBlk*) echo $line;; esac; done </proc/$$/status";
        writeln!(type_in, "echo $0; ls -l /proc/$$/fd | wc -l; {blocked}; exit 7").unwrap();
        drop(type_in);
        let mut text = String::new();
        printed.read_to_string(&mut text).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        // "total 0", then 0 to 3; a shell that keeps its script elsewhere has one more.
        assert_eq!(lines[0], "(wsgi:shell)");
        assert!(["5", "6"].contains(&lines[1].trim()), "{text}");
        assert!(lines[2].ends_with("0000000000000000"), "{text}");
        assert_eq!(end(&child), Exit::Status(7));
        assert!(channel.receive::<u8>().unwrap().is_none());
        assert!(child.pidfd.kill(Signal::SIGTERM).is_ok());
    }

    #[test]
    fn signals_name_themselves() {
        let shell = File::open("/bin/sh").unwrap();
        let (script, _type_in) = io::pipe().unwrap();
        let (_printed, output) = io::pipe().unwrap();
        let (child, _channel) = start(&shell, script.as_fd(), output.as_fd()).unwrap();
        assert_eq!(child.pidfd.wait().unwrap(), None);
        child.pidfd.kill(Signal::SIGKILL).unwrap();
        assert_eq!(end(&child).to_string(), "by signal SIGKILL");
        assert!(child.pidfd.wait().is_err());
    }

    #[test]
    fn why_a_program_does_not_run() {
        let path = std::env::temp_dir().join(format!("mod_wsgi-not-a-program-{}", std::process::id()));
        fs::write(&path, "junk").unwrap();
        let file = File::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let null = File::open("/dev/null").unwrap();
        let refused = start(&file, null.as_fd(), null.as_fd()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }
}
