//! Signals of a process that runs applications: handlers that only write the signal's number into a pipe.
//!
//! Blocking them and reading a `signalfd` (`signals`) would not do: programs that an application starts would inherit the blocked
//! signals. A handler is forgotten by exec. In a process that an application forked, these signals end that process at once: they were
//! meant for the worker, or to end it.

use std::ffi::c_int;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd as _};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::forked::withhold;

static PIPE: AtomicI32 = AtomicI32::new(-1);
static PROCESS: AtomicI32 = AtomicI32::new(-1);
/// What else is called when TERM comes; a function pointer, 0 is none.
static ALSO: AtomicUsize = AtomicUsize::new(0);

/// The signals that came, to be read by one thread.
#[derive(Debug)]
pub struct Arrivals(io::PipeReader);

/// Installs handlers for these signals.
///
/// # Errors
/// The system's.
pub fn install(wanted: &[Signal]) -> io::Result<Arrivals> {
    let (reader, writer) = io::pipe()?;
    for end in [reader.as_fd(), writer.as_fd()] {
        let flags = OFlag::from_bits_retain(fcntl(end, FcntlArg::F_GETFL)?);
        fcntl(end, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        withhold(end);
    }
    PIPE.store(writer.into_raw_fd(), Ordering::SeqCst);
    PROCESS.store(nix::unistd::getpid().as_raw(), Ordering::SeqCst);
    for signal in wanted {
        handle(*signal, SaFlags::SA_RESTART)?;
    }
    Ok(Arrivals(reader))
}

/// When TERM comes, `function` is called, too: in the handler, so it may do only what is allowed there. System calls that wait on the main
/// thread are interrupted by it. Also puts the handler back where a library has installed its own.
///
/// # Errors
/// The system's.
pub fn also_on_term(function: extern "C" fn(c_int)) -> io::Result<()> {
    ALSO.store(function as usize, Ordering::SeqCst);
    handle(Signal::SIGTERM, SaFlags::empty())
}

/// Ends the process now: no exit handlers, which would tear down libraries under running threads.
pub fn exit_now(status: c_int) -> ! {
    // SAFETY: ends the process; always possible.
    unsafe { libc::_exit(status) }
}

fn handle(signal: Signal, flags: SaFlags) -> io::Result<()> {
    let action = SigAction::new(SigHandler::Handler(arrived), flags, SigSet::empty());
    // SAFETY: the handler does only what is allowed in one.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

extern "C" fn arrived(signal: c_int) {
    // SAFETY: gives the location of a number of this thread's, which the calls below may change.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: a valid place, as just said.
    let before = unsafe { *errno };
    // SAFETY: always possible.
    if unsafe { libc::getpid() } != PROCESS.load(Ordering::SeqCst) {
        exit_now(255);
    }
    let number = u8::try_from(signal).unwrap_or(0);
    // SAFETY: one byte that lives here; a full pipe drops it, since as many are waiting to be read.
    unsafe { libc::write(PIPE.load(Ordering::SeqCst), (&raw const number).cast(), 1) };
    let also = ALSO.load(Ordering::SeqCst);
    if signal == libc::SIGTERM && also != 0 {
        // SAFETY: stored by `also_on_term`, which takes such functions only.
        let also: extern "C" fn(c_int) = unsafe { std::mem::transmute(also) };
        also(signal);
    }
    // SAFETY: a valid place, as above.
    unsafe { *errno = before };
}

impl Arrivals {
    /// The signals that came since the last call. Never waits.
    pub fn take(&mut self) -> Vec<Signal> {
        let mut numbers = [0; 64];
        let count = self.0.read(&mut numbers).unwrap_or(0);
        let numbers = numbers.get(..count).unwrap_or_default();
        numbers.iter().filter_map(|number| Signal::try_from(i32::from(*number)).ok()).collect()
    }
}

impl AsFd for Arrivals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
