//! Descriptors that a process forked by an application must not have.
//!
//! An application may fork and never exec (`multiprocessing`). Its child would keep our connections open, so that the other end never saw
//! them end, and could write on them. In such a child each descriptor of ours becomes `/dev/null`: its number stays taken, since code of
//! ours that still runs there knows it.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::memory::SharedWords;

/// Descriptors below this are looked after; what has more has an unusual limit, and is closed by its owner alone.
const WATCHED: usize = 64 * 1024;

/// One bit for each descriptor of ours.
static OURS: [AtomicU64; WATCHED / 64] = [const { AtomicU64::new(0) }; WATCHED / 64];
static NULL: AtomicI32 = AtomicI32::new(-1);

/// An application has forked this process.
static FORKED: AtomicBool = AtomicBool::new(false);

/// Memory of ours that is shared with other processes, and its bytes.
static MEMORY: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// A descriptor that processes forked by applications don't get.
#[derive(Debug)]
pub struct Ours {
    // Goes first: its number is soon another's.
    _withheld: Withheld,
    descriptor: OwnedFd,
}

impl Ours {
    #[must_use]
    pub fn new(descriptor: OwnedFd) -> Ours {
        Ours { _withheld: Withheld::new(descriptor.as_fd()), descriptor }
    }
}

impl AsFd for Ours {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The same for a descriptor that somebody else owns: to be dropped before that is closed.
#[derive(Debug)]
pub(super) struct Withheld(RawFd);

impl Withheld {
    pub(super) fn new(descriptor: BorrowedFd<'_>) -> Withheld {
        withhold(descriptor);
        Withheld(descriptor.as_raw_fd())
    }
}

impl Drop for Withheld {
    fn drop(&mut self) {
        mark(self.0, false);
    }
}

/// The same for a descriptor that stays open as long as the process.
pub fn withhold(descriptor: BorrowedFd<'_>) {
    mark(descriptor.as_raw_fd(), true);
}

/// From now on, what processes that this one forks write there is seen by themselves only. For one memory of the process.
pub fn keep_memory_from_children(memory: &'static SharedWords) {
    BYTES.store(size_of_val(memory.words()), Ordering::SeqCst);
    MEMORY.store(memory.words().as_ptr().cast_mut(), Ordering::SeqCst);
}

fn mark(number: RawFd, ours: bool) {
    let Ok(number) = usize::try_from(number) else { return };
    let Some(word) = OURS.get(number / 64) else { return };
    let bit = 1 << (number % 64);
    if ours {
        word.fetch_or(bit, Ordering::SeqCst);
    } else {
        word.fetch_and(!bit, Ordering::SeqCst);
    }
}

/// From now on, processes that this one forks have no [`Ours`]. Called once, before applications run.
///
/// # Errors
/// The system's.
pub fn keep_from_children() -> io::Result<()> {
    use std::os::fd::IntoRawFd as _;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    NULL.store(null.into_raw_fd(), Ordering::SeqCst);
    // SAFETY: a function that lives as long as the process and keeps to what is allowed between fork and exec.
    match unsafe { libc::pthread_atfork(None, None, Some(give_up)) } {
        0 => Ok(()),
        cause => Err(io::Error::from_raw_os_error(cause)),
    }
}

/// Has an application forked this process? One that was begun by `exec` is none of those.
pub(super) fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// In the forked process, on its only thread.
unsafe extern "C" fn give_up() {
    FORKED.store(true, Ordering::SeqCst);
    let memory = MEMORY.load(Ordering::SeqCst);
    if !memory.is_null() {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: takes the place of a mapping of this length that is kept as long as the process lives, and may be written by anybody at
        // any time; safe between fork and exec.
        unsafe { libc::mmap(memory.cast(), BYTES.load(Ordering::SeqCst), access, kind, -1, 0) };
    }
    let null = NULL.load(Ordering::SeqCst);
    for (index, word) in OURS.iter().enumerate() {
        let mut bits = word.load(Ordering::SeqCst);
        while bits != 0 {
            let number = index * 64 + usize::try_from(bits.trailing_zeros()).unwrap_or(0);
            bits &= bits - 1;
            if let Ok(number) = RawFd::try_from(number) {
                // SAFETY: two numbers; safe between fork and exec.
                unsafe { libc::dup3(null, number, libc::O_CLOEXEC) };
            }
        }
    }
}
