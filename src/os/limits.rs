//! Limits of a process's resources, and what it uses.

use std::io;

use nix::sys::resource::{Resource, setrlimit};

/// Seconds of processor time: at the first SIGXCPU comes, at the second SIGKILL.
///
/// # Errors
/// The system's.
pub fn limit_processor_time(soft: u64, hard: u64) -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_CPU, soft, hard)?)
}

/// Bytes of data: heap and private mappings.
///
/// # Errors
/// The system's.
pub fn limit_data(bytes: u64) -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_DATA, bytes, bytes)?)
}

/// Bytes of address space.
///
/// # Errors
/// The system's.
pub fn limit_address_space(bytes: u64) -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_AS, bytes, bytes)?)
}

/// Bytes of this process that are in memory now; none where `/proc` can't be asked (a chroot without it).
#[must_use]
pub fn resident_memory() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: asks for a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page).ok()?)
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    #[test]
    fn memory_is_counted_in_bytes() {
        let used = super::resident_memory().unwrap();
        assert!(used > 1 << 20 && used < 1 << 40, "{used}");
    }
}
