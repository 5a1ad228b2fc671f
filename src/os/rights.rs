//! Bytes from a UNIX socket, and the descriptors that came along with them (unix(7), `SCM_RIGHTS`).

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::{ptr, slice};

/// Room for the descriptors of one message: a header, and the 253 numbers that the kernel allows (`SCM_MAX_FD`). It is aligned for headers.
type Control = [MaybeUninit<u64>; 130];

/// Reads once. Every descriptor that the kernel has made is handed to `take`, also where it has cut some off since the process may not have
/// so many.
///
/// # Errors
/// `InvalidData`: descriptors were cut off. Else what the system says, `Interrupted` too.
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    space: &mut [u8],
    flags: libc::c_int,
    mut take: impl FnMut(OwnedFd),
) -> io::Result<usize> {
    let mut control: Control = [MaybeUninit::uninit(); _];
    let mut part = libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: space.len() };
    // SAFETY: plain data, of which zero is a value.
    let mut message: libc::msghdr = unsafe { zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    (message.msg_control, message.msg_controllen) = (control.as_mut_ptr().cast(), size_of_val(&control));
    // SAFETY: an open socket, and places of the lengths that are named, which outlive the call.
    let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags | libc::MSG_CMSG_CLOEXEC) };
    let Ok(got) = usize::try_from(got) else { return Err(io::Error::last_os_error()) };
    // SAFETY: as the kernel has filled it.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !header.is_null() {
        // SAFETY: a header inside of what the kernel has filled.
        let now = unsafe { ptr::read_unaligned(header) };
        if (now.cmsg_level, now.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            // SAFETY: a number only.
            let before = unsafe { libc::CMSG_LEN(0) } as usize;
            // SAFETY: as above.
            let data = unsafe { libc::CMSG_DATA(header) };
            // SAFETY: so many bytes are behind the header.
            let numbers = unsafe { slice::from_raw_parts(data, now.cmsg_len.saturating_sub(before)) };
            for number in numbers.as_chunks().0 {
                // SAFETY: made by the kernel for this process just now, and nobody else knows it.
                take(unsafe { OwnedFd::from_raw_fd(RawFd::from_ne_bytes(*number)) });
            }
        }
        // SAFETY: as for the first one.
        header = unsafe { libc::CMSG_NXTHDR(&raw const message, header) };
    }
    if message.msg_flags & libc::MSG_CTRUNC != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "descriptors were sent that can't be had"));
    }
    Ok(got)
}
