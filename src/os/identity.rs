//! Who a process is: user and groups, root directory, session, priority, environment. For a worker's first steps, when it has one thread.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;
use std::{fs, io, thread};

use nix::unistd::{Gid, Uid, chdir, setgid, setgroups, setsid, setuid};

/// Gives root's rights up for good: the supplementary groups, then the group, then the user.
///
/// # Errors
/// The system's, or that root's rights could be had back.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups)?;
    setgid(Gid::from_raw(gid))?;
    setuid(Uid::from_raw(uid))?;
    if uid != 0 && setuid(Uid::from_raw(0)).is_ok() {
        return Err(io::Error::other("the rights of root could be had back"));
    }
    Ok(())
}

/// Makes `root` the directory that `/` means, and goes there.
///
/// # Errors
/// The system's.
pub fn change_root(root: &[u8]) -> io::Result<()> {
    nix::unistd::chroot(OsStr::from_bytes(root))?;
    Ok(chdir("/")?)
}

/// Goes to a directory.
///
/// # Errors
/// The system's.
pub fn change_directory(directory: &[u8]) -> io::Result<()> {
    Ok(chdir(OsStr::from_bytes(directory))?)
}

/// Leaves the terminal and the process group that it was started in.
///
/// # Errors
/// The system's.
pub fn new_session() -> io::Result<()> {
    setsid().map(drop).map_err(io::Error::from)
}

/// Why a nice value could not be set.
#[derive(Debug, thiserror::Error)]
pub enum PriorityError {
    #[error("it can't be set: {0}; the process runs without it")]
    Process(io::Error),
    #[error("it is set for the process and not for its session: /proc/self/autogroup can't be written: {0}")]
    Session(io::Error),
}

/// The nice value of the process, and of its session: where the kernel shares processors out by session, that of a process counts only
/// among those of its own (sched(7), "The autogroup feature").
///
/// # Errors
/// The system's.
pub fn set_priority(priority: i32) -> Result<(), PriorityError> {
    // SAFETY: three numbers; 0 is the calling process.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, priority) } != 0 {
        return Err(PriorityError::Process(io::Error::last_os_error()));
    }
    let priority = priority.clamp(-20, 19).to_string();
    for _ in 0..SESSION_TRIES {
        match fs::write("/proc/self/autogroup", &priority) {
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => thread::sleep(SESSION_PAUSE),
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(PriorityError::Session(cause)),
            _ => return Ok(()),
        }
    }
    Err(PriorityError::Session(io::ErrorKind::WouldBlock.into()))
}

/// Without privileges that may be done once in so long, by all processes of the machine together.
const SESSION_PAUSE: Duration = Duration::from_millis(100);
const SESSION_TRIES: u32 = 20;

/// Sets a variable of the environment. Only while the process has one thread.
#[expect(
    clippy::disallowed_methods,
    reason = "a worker's environment is made by its options, before it has a second thread"
)]
pub fn set_variable(name: &str, value: &[u8]) {
    // SAFETY: callers have one thread, as the function asks; nobody else reads or writes the environment meanwhile.
    unsafe { std::env::set_var(name, OsStr::from_bytes(value)) };
}

/// Takes a variable out of the environment. Only while the process has one thread.
#[cfg(feature = "hosted")]
pub(super) fn remove_variable(name: &str) {
    // SAFETY: as above.
    unsafe { std::env::remove_var(name) };
}

/// Sets all categories of the locale, as `LC_ALL` would; false where the system does not have it. Only while the process has one thread.
#[must_use]
pub fn set_locale(locale: &[u8]) -> bool {
    let Ok(locale) = CString::new(locale) else { return false };
    // SAFETY: NUL-terminated; callers have one thread. What it returns is only looked at for NULL.
    !unsafe { libc::setlocale(libc::LC_ALL, locale.as_ptr()) }.is_null()
}

/// The process's mask for the modes of new files.
pub fn set_umask(mask: u32) {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
}
