//! Memory that a process shares with those it forks, as atomic numbers, and sleeping until one of them changes.
//!
//! Made by httpd's parent in post_config; httpd's children use it on their request threads.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

/// Numbers that begin as 0, shared over fork, gone with the last process that has them.
#[derive(Debug)]
pub struct SharedWords {
    first: NonNull<AtomicU32>,
    count: usize,
}

// SAFETY: the memory is only reached as atomic numbers, and stays mapped until the value is dropped.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// `count` numbers; none at all are one.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(count: usize) -> io::Result<SharedWords> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory in use.
        let first = unsafe { mmap_anonymous(None, length(count), access, MapFlags::MAP_SHARED) }?;
        Ok(SharedWords { first: first.cast(), count: count.max(1) })
    }

    /// The same with a descriptor, by which a process that is no fork of this one can share them ([`SharedWords::of`]).
    ///
    /// # Errors
    /// What the system says.
    pub fn with_descriptor(count: usize) -> io::Result<(SharedWords, OwnedFd)> {
        let file = File::from(memfd_create(c"wsgi-words", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
        file.set_len(u64::try_from(length(count).get()).unwrap_or(u64::MAX))?;
        // Nobody can take memory away from those who have it.
        fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS))?;
        Ok((SharedWords::map(&file, count)?, file.into()))
    }

    /// The numbers behind a descriptor that another process has of [`SharedWords::with_descriptor`].
    ///
    /// # Errors
    /// `InvalidData`: it is not that, or holds fewer numbers. Else what the system says.
    pub fn of(descriptor: OwnedFd, count: usize) -> io::Result<SharedWords> {
        let file = File::from(descriptor);
        let seals = fcntl(&file, FcntlArg::F_GET_SEALS).map_err(|_| io::ErrorKind::InvalidData)?;
        let long =
            u64::try_from(length(count).get()).is_ok_and(|length| file.metadata().is_ok_and(|of| of.len() >= length));
        if !SealFlag::from_bits_retain(seals).contains(SEALS) || !long {
            return Err(io::ErrorKind::InvalidData.into());
        }
        SharedWords::map(&file, count)
    }

    fn map(file: &File, count: usize) -> io::Result<SharedWords> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory in use; the file is as long, and sealed so.
        let first = unsafe { mmap(None, length(count), access, MapFlags::MAP_SHARED, file, 0) }?;
        Ok(SharedWords { first: first.cast(), count: count.max(1) })
    }

    /// The numbers.
    pub fn words(&self) -> &[AtomicU32] {
        // SAFETY: a mapping of this length, at a page's beginning and zeroed by the kernel, kept until drop; other processes touch it
        // as atomics too.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: mapped with this length; `words` can't be borrowed any more.
        let _ = unsafe { munmap(self.first.cast(), length(self.count).get()) };
    }
}

/// Bytes of so many numbers, at least of one.
fn length(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count.saturating_mul(size_of::<AtomicU32>())).unwrap_or(WORD)
}

const WORD: NonZeroUsize = NonZeroUsize::new(size_of::<AtomicU32>()).unwrap();

const SEALS: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW);

/// Sleeps while `word` holds `seen`: until it is rung, or the time is over, or for no reason at all.
pub fn sleep_on(word: &AtomicU32, seen: u32, within: Duration) {
    let within = libc::timespec {
        tv_sec: libc::time_t::try_from(within.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(i32::try_from(within.subsec_nanos()).unwrap_or(0)),
    };
    // SAFETY: a live, aligned number and a live time; the kernel only reads them. Every answer means: look again.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, seen, &raw const within);
    }
}

/// Wakes up to so many of those who sleep on `word`, in all processes that share it. The caller has changed it.
pub fn ring(word: &AtomicU32, sleepers: i32) {
    // SAFETY: a live, aligned number, which the kernel uses as an address only.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, sleepers);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Instant;

    use super::*;

    #[test]
    fn numbers_begin_as_zero_and_keep_what_is_stored() {
        let shared = SharedWords::new(5000).unwrap();
        assert_eq!(shared.words().len(), 5000);
        assert!(shared.words().iter().all(|word| word.load(Ordering::SeqCst) == 0));
        shared.words()[4999].store(7, Ordering::SeqCst);
        assert_eq!(shared.words()[4999].load(Ordering::SeqCst), 7);
        assert_eq!(SharedWords::new(0).unwrap().words().len(), 1);
    }

    #[test]
    fn a_descriptor_leads_to_the_same_numbers() {
        let (ours, descriptor) = SharedWords::with_descriptor(3).unwrap();
        let theirs = SharedWords::of(descriptor.try_clone().unwrap(), 3).unwrap();
        theirs.words()[2].store(9, Ordering::SeqCst);
        assert_eq!(ours.words()[2].load(Ordering::SeqCst), 9);
        assert_eq!(SharedWords::of(descriptor, 4).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let other = File::open("/dev/zero").unwrap().into();
        assert_eq!(SharedWords::of(other, 1).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_sleeper_wakes_when_rung_when_late_and_when_the_number_has_changed() {
        let shared = SharedWords::new(1).unwrap();
        let word = &shared.words()[0];
        let began = Instant::now();
        sleep_on(word, 1, Duration::from_secs(60));
        sleep_on(word, 0, Duration::from_millis(20));
        assert!(began.elapsed() >= Duration::from_millis(20));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while word.load(Ordering::SeqCst) == 0 {
                    sleep_on(word, 0, Duration::from_secs(60));
                }
            });
            std::thread::sleep(Duration::from_millis(20));
            word.store(1, Ordering::SeqCst);
            ring(word, i32::MAX);
        });
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
