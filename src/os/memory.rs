//! Memory that a process shares with those it forks, as atomic numbers, and sleeping until one of them changes.
//!
//! Made by httpd's parent in post_config; httpd's children and workers use it on their request threads.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
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
        let file = File::from(sealed(count)?);
        Ok((SharedWords::map(&file, 0, count)?, file.into()))
    }

    /// The same, where those who get the descriptor can only read them ([`SeenWords::of`]); not even `mprotect` lets them write.
    ///
    /// # Errors
    /// What the system says.
    pub fn for_readers(count: usize) -> io::Result<(SharedWords, OwnedFd)> {
        let file = File::from(of_length(count)?);
        let words = SharedWords::map(&file, 0, count)?;
        // Mappings from before may be written, by forks, too (fcntl(2)).
        let no_writers = SealFlag::from_bits_retain(libc::F_SEAL_FUTURE_WRITE);
        fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS.union(no_writers)))?;
        Ok((words, file.into()))
    }

    /// The numbers behind a descriptor that another process has of [`SharedWords::with_descriptor`].
    ///
    /// # Errors
    /// `InvalidData`: it is not that, or holds fewer numbers. Else what the system says.
    pub fn of(descriptor: OwnedFd, count: usize) -> io::Result<SharedWords> {
        SharedWords::part(descriptor, 0..count)
    }

    /// Some of them only, which begin at a page's beginning: the others are not in this process's memory.
    ///
    /// # Errors
    /// As [`SharedWords::of`].
    pub fn part(descriptor: OwnedFd, words: Range<usize>) -> io::Result<SharedWords> {
        let file = File::from(descriptor);
        check(&file, words.end)?;
        SharedWords::map(&file, words.start, words.len())
    }

    fn map(file: &File, first: usize, count: usize) -> io::Result<SharedWords> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let offset = libc::off_t::try_from(first.saturating_mul(size_of::<AtomicU32>()));
        let offset = offset.map_err(|_| io::ErrorKind::InvalidData)?;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory in use; the file is as long, and sealed so.
        let first = unsafe { mmap(None, length(count), access, MapFlags::MAP_SHARED, file, offset) }?;
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

/// Numbers that others write, and this process can only read.
#[derive(Debug)]
pub struct SeenWords {
    first: NonNull<AtomicU32>,
    count: usize,
}

// SAFETY: the memory is only read, as atomic numbers, and stays mapped until the value is dropped.
unsafe impl Send for SeenWords {}
// SAFETY: as above.
unsafe impl Sync for SeenWords {}

impl SeenWords {
    /// Those behind a descriptor of [`sealed`].
    ///
    /// # Errors
    /// As [`SharedWords::of`].
    pub fn of(descriptor: BorrowedFd<'_>, count: usize) -> io::Result<SeenWords> {
        let file = File::from(descriptor.try_clone_to_owned()?);
        check(&file, count)?;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory in use; the file is as long, and sealed so.
        let first = unsafe { mmap(None, length(count), ProtFlags::PROT_READ, MapFlags::MAP_SHARED, &file, 0) }?;
        Ok(SeenWords { first: first.cast(), count })
    }

    /// One of them, with `Acquire`; 0 where there is none.
    #[must_use]
    pub fn read(&self, place: usize) -> u32 {
        if place >= self.count {
            return 0;
        }
        // SAFETY: inside the mapping, as just seen.
        let word = unsafe { self.first.add(place) };
        // SAFETY: mapped until drop, aligned as its page is, and only read, which atomics of this size allow on memory that can't be
        // written; other processes touch it as atomics too.
        let word = unsafe { word.as_ref() };
        word.load(Ordering::Acquire)
    }

    /// These of their bytes, which others may change at any time; none where not all of them are there.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> Option<&[AtomicU8]> {
        if range.start > range.end || range.end > self.count * size_of::<AtomicU32>() {
            return None;
        }
        // SAFETY: inside the mapping, as just seen.
        let first = unsafe { self.first.cast::<AtomicU8>().add(range.start) };
        // SAFETY: mapped until drop, and only read, as for `read`.
        Some(unsafe { std::slice::from_raw_parts(first.as_ptr(), range.len()) })
    }
}

impl Drop for SeenWords {
    fn drop(&mut self) {
        // SAFETY: mapped with this length; nothing borrows from it.
        let _ = unsafe { munmap(self.first.cast(), length(self.count).get()) };
    }
}

/// Memory for so many numbers, of which nobody can take anything away from those who have it.
///
/// # Errors
/// What the system says.
pub fn sealed(count: usize) -> io::Result<OwnedFd> {
    let file = of_length(count)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS))?;
    Ok(file)
}

fn of_length(count: usize) -> io::Result<OwnedFd> {
    let file = File::from(memfd_create(c"wsgi-words", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
    file.set_len(u64::try_from(length(count).get()).unwrap_or(u64::MAX))?;
    Ok(file.into())
}

/// Is it ordinary memory (huge pages can run out, and are unmapped as a whole), sealed, and long enough?
fn check(file: &File, count: usize) -> io::Result<()> {
    let seals = fcntl(file, FcntlArg::F_GET_SEALS).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut of = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: an open descriptor, and room for the answer.
    if unsafe { libc::fstatfs(file.as_raw_fd(), of.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system has filled it.
    if unsafe { of.assume_init() }.f_type != libc::TMPFS_MAGIC {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let long =
        u64::try_from(length(count).get()).is_ok_and(|length| file.metadata().is_ok_and(|of| of.len() >= length));
    if SealFlag::from_bits_retain(seals).contains(SEALS) && long {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// The time of the clock that all processes share, and that nobody sets.
#[must_use]
pub fn shared_clock() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills the structure; this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let seconds = Duration::from_secs(u64::try_from(now.tv_sec).unwrap_or(0));
    seconds + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// Bytes of so many numbers, at least of one.
fn length(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count.saturating_mul(size_of::<AtomicU32>())).unwrap_or(WORD)
}

const WORD: NonZeroUsize = NonZeroUsize::new(size_of::<AtomicU32>()).unwrap();

/// The last one, because with further seals nobody could write any more.
const SEALS: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_SEAL);

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
    use std::os::fd::AsFd as _;
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
    fn readers_can_only_read() {
        let (ours, descriptor) = SharedWords::for_readers(3).unwrap();
        ours.words()[2].store(9, Ordering::SeqCst);
        let seen = SeenWords::of(descriptor.as_fd(), 3).unwrap();
        assert_eq!(seen.read(2), 9);
        let write = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a mapping of this length, which stays as it is.
        assert_ne!(unsafe { libc::mprotect(seen.first.as_ptr().cast(), length(3).get(), write) }, 0);
        assert!(SharedWords::of(descriptor, 3).is_err());
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
    fn a_part_is_seen_by_who_has_the_whole_and_holds_no_more() {
        const PAGE: usize = 16 * 1024;
        let (whole, descriptor) = SharedWords::with_descriptor(3 * PAGE).unwrap();
        let seen = SeenWords::of(descriptor.as_fd(), 3 * PAGE).unwrap();
        let part = SharedWords::part(descriptor.try_clone().unwrap(), PAGE..2 * PAGE).unwrap();
        assert_eq!(part.words().len(), PAGE);
        part.words()[PAGE - 1].store(8, Ordering::SeqCst);
        assert_eq!(whole.words()[2 * PAGE - 1].load(Ordering::SeqCst), 8);
        assert_eq!((seen.read(2 * PAGE - 1), seen.read(PAGE), seen.read(3 * PAGE)), (8, 0, 0));
        let beyond = SharedWords::part(descriptor.try_clone().unwrap(), 2 * PAGE..4 * PAGE);
        assert_eq!(beyond.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(SeenWords::of(descriptor.as_fd(), 3 * PAGE + 1).unwrap_err().kind(), io::ErrorKind::InvalidData);
        // Nobody can take it away, or be made to believe that there is more.
        let file = File::from(descriptor);
        assert!(file.set_len(4096).is_err() && file.set_len(1 << 20).is_err());
    }

    #[test]
    fn who_has_a_descriptor_changes_neither_size_nor_seals() {
        use std::os::unix::fs::FileExt as _;

        let (shared, descriptor) = SharedWords::with_descriptor(5).unwrap();
        let size = size_of_val(shared.words()) as u64;
        // Opened again, as who may look into /proc does.
        let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
        let again = File::options().read(true).write(true).open(path).unwrap();
        for file in [File::from(descriptor), again] {
            for length in [0, size - 1, size + 1, 1 << 20] {
                assert_eq!(file.set_len(length).unwrap_err().kind(), io::ErrorKind::PermissionDenied, "{length}");
            }
            assert!(file.write_at(b"x", size).is_err());
            for seal in [SealFlag::F_SEAL_WRITE, SealFlag::from_bits_retain(libc::F_SEAL_FUTURE_WRITE)] {
                assert!(fcntl(&file, FcntlArg::F_ADD_SEALS(seal)).is_err(), "{seal:?}");
            }
            assert_eq!(file.metadata().unwrap().len(), size);
        }
        // What anybody could change is not taken.
        let open = File::from(memfd_create(c"open", MFdFlags::MFD_ALLOW_SEALING).unwrap());
        open.set_len(size).unwrap();
        assert_eq!(SharedWords::of(open.into(), 5).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn the_shared_clock_goes_on() {
        let before = shared_clock();
        assert!(before > Duration::ZERO && shared_clock() >= before);
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
