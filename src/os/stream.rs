//! A worker's end of a connection, and the socket that connections come from.
//!
//! Blocking with a time limit, except where a method says that it does not wait. The descriptor lies above those that `select()` can
//! handle, which stay free for applications, and is closed in processes that an application forks (`forked`).

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    ControlMessage, MsgFlags, Shutdown, SockFlag, accept4, recv, send, sendmsg, setsockopt, shutdown, sockopt,
};
use nix::sys::time::TimeVal;
use nix::sys::uio::readv;

use super::forked::Ours;

/// Descriptors below are left to applications: `select()` knows 1024, and a process may have no more than that in all.
pub(super) const FIRST_DESCRIPTOR: RawFd = 512;

/// Parts that the kernel takes at once (`UIO_MAXIOV`).
const MOST_PARTS: usize = 1024;

/// A listening UNIX socket.
#[derive(Debug)]
pub struct Listener(Ours);

impl Listener {
    /// Takes over a socket that others may accept from as well, so that accepting must not wait.
    ///
    /// # Errors
    /// The system's.
    pub fn adopt(socket: OwnedFd) -> io::Result<Listener> {
        let flags = OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL)?);
        fcntl(&socket, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Listener(Ours::new(socket)))
    }

    /// The next connection; none where there is none now. Never waits.
    ///
    /// # Errors
    /// The system's, such as too many descriptors.
    pub fn accept(&self) -> io::Result<Option<Stream>> {
        match accept4(self.0.as_fd().as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
            // SAFETY: made by the kernel just now, and nobody else knows its number.
            Ok(number) => Ok(Some(Stream::adopt(unsafe { OwnedFd::from_raw_fd(number) }))),
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNABORTED) => Ok(None),
            Err(cause) => Err(cause.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A connected UNIX stream. Any thread may use it.
#[derive(Debug)]
pub struct Stream(Ours);

impl Stream {
    /// Takes over a connected, blocking socket.
    #[must_use]
    pub fn adopt(socket: OwnedFd) -> Stream {
        Stream(Ours::new(moved_up(socket)))
    }

    /// Gives the connection buffers of so many bytes for what is sent and received; `None` leaves the kernel's own. (Those of the
    /// listening socket are not inherited.)
    ///
    /// # Errors
    /// The system's.
    pub fn set_buffers(&self, send: Option<usize>, receive: Option<usize>) -> io::Result<()> {
        send.map_or(Ok(()), |bytes| setsockopt(&self.0, sockopt::SndBuf, &bytes))?;
        receive.map_or(Ok(()), |bytes| setsockopt(&self.0, sockopt::RcvBuf, &bytes))?;
        Ok(())
    }

    /// The longest that one read or write may wait.
    ///
    /// # Errors
    /// The system's.
    pub fn limit(&self, limit: Duration) -> io::Result<()> {
        set_limit(&self.0, limit)
    }

    /// Reads what is there, or waits for the first of it; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock`: nothing came in time. Others: the connection is broken.
    pub fn read(&self, space: &mut [u8]) -> io::Result<usize> {
        self.receive(space, MsgFlags::empty())
    }

    /// Reads what is there into the first of these, and what is more into the second, or waits for the first of it; 0 is the end.
    ///
    /// # Errors
    /// As [`Stream::read`].
    pub fn read_two(&self, first: &mut [u8], second: &mut [u8]) -> io::Result<usize> {
        let mut both = [IoSliceMut::new(first), IoSliceMut::new(second)];
        loop {
            match readv(&self.0, &mut both) {
                Err(Errno::EINTR) => {}
                answer => return Ok(answer?),
            }
        }
    }

    /// Reads what is there; 0 is the end. Never waits.
    ///
    /// # Errors
    /// `WouldBlock`: nothing is there. Others: the connection is broken.
    pub fn read_now(&self, space: &mut [u8]) -> io::Result<usize> {
        self.receive(space, MsgFlags::MSG_DONTWAIT)
    }

    fn receive(&self, space: &mut [u8], flags: MsgFlags) -> io::Result<usize> {
        loop {
            match recv(self.0.as_fd().as_raw_fd(), space, flags) {
                Err(Errno::EINTR) => {}
                answer => return Ok(answer?),
            }
        }
    }

    /// Sends all parts, in order, as few times as the system allows; `descriptor` goes with the first byte. `wait` is called once,
    /// before the first time that the thread has to wait.
    ///
    /// # Errors
    /// `WouldBlock`: the other end did not read in time. Others: it is gone.
    pub fn send(&self, parts: &[&[u8]], descriptor: Option<BorrowedFd<'_>>, wait: fn()) -> io::Result<()> {
        send_parts(&self.0, parts, descriptor, Some(wait))
    }

    /// Sends as much of this as goes without waiting.
    ///
    /// # Errors
    /// `WouldBlock`: nothing does. Others: the other end is gone.
    pub fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match send(self.0.as_fd().as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EINTR) => {}
                answer => return Ok(answer?),
            }
        }
    }

    /// Nothing more can be sent to this end; what was sent can still be read.
    pub fn stop_reading(&self) {
        // Fails only where the other end is gone.
        let _ = shutdown(self.0.as_fd().as_raw_fd(), Shutdown::Read);
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sends all parts, in order; `descriptor` goes with the first byte. `wait` is called once, before the first time that the thread has to wait.
pub(super) fn send_parts(
    socket: &impl AsFd,
    parts: &[&[u8]],
    descriptor: Option<BorrowedFd<'_>>,
    mut wait: Option<fn()>,
) -> io::Result<()> {
    let numbers: Vec<RawFd> = descriptor.iter().map(|descriptor| descriptor.as_raw_fd()).collect();
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    let mut first = true;
    while !rest.is_empty() {
        let flags = MsgFlags::MSG_NOSIGNAL | wait.map_or(MsgFlags::empty(), |_| MsgFlags::MSG_DONTWAIT);
        let rights = [ControlMessage::ScmRights(&numbers)];
        let control = if first && !numbers.is_empty() { rights.as_slice() } else { &[] };
        let now = rest.get(..rest.len().min(MOST_PARTS)).unwrap_or_default();
        match sendmsg::<()>(socket.as_fd().as_raw_fd(), now, control, flags, None) {
            Ok(sent) => {
                first = false;
                IoSlice::advance_slices(&mut rest, sent);
            }
            Err(Errno::EINTR) => {}
            Err(cause) => match wait.take() {
                Some(wait) if cause == Errno::EAGAIN => wait(),
                _ => return Err(cause.into()),
            },
        }
    }
    Ok(())
}

/// The longest that one read or write on this socket may wait; zero is no limit.
pub(super) fn set_limit(socket: &impl AsFd, limit: Duration) -> io::Result<()> {
    let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
    let time = TimeVal::new(seconds, i64::from(i32::try_from(limit.subsec_micros()).unwrap_or(0)));
    setsockopt(socket, sockopt::ReceiveTimeout, &time)?;
    setsockopt(socket, sockopt::SendTimeout, &time)?;
    Ok(())
}

/// The same socket at a higher number; where it was if the limit of descriptors is too low for that.
pub(super) fn moved_up(socket: OwnedFd) -> OwnedFd {
    if socket.as_raw_fd() >= FIRST_DESCRIPTOR {
        return socket;
    }
    match fcntl(&socket, FcntlArg::F_DUPFD_CLOEXEC(FIRST_DESCRIPTOR)) {
        // SAFETY: made by the kernel just now, and nobody else knows its number.
        Ok(moved) => unsafe { OwnedFd::from_raw_fd(moved) },
        Err(_) => socket,
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (Stream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Stream::adopt(ours.into()), theirs)
    }

    #[test]
    fn what_comes_is_read_to_two_places() {
        let (ours, mut theirs) = pair();
        let (mut first, mut second) = ([0; 3], [0; 4]);
        for (sent, count) in [(b"abcde".as_slice(), 5), (b"xy", 2), (b"1234567", 7)] {
            theirs.write_all(sent).unwrap();
            assert_eq!(ours.read_two(&mut first, &mut second).unwrap(), count);
        }
        assert_eq!((&first, &second), (b"123", b"4567"));
        ours.limit(Duration::from_millis(10)).unwrap();
        let late = ours.read_two(&mut first, &mut second).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::WouldBlock);
        drop(theirs);
        assert_eq!(ours.read_two(&mut first, &mut []).unwrap(), 0);
    }

    #[test]
    fn parts_go_out_in_order_however_large() {
        let (ours, mut theirs) = pair();
        assert!(ours.as_fd().as_raw_fd() >= FIRST_DESCRIPTOR);
        let large = vec![7; 3_000_000];
        let reader = std::thread::Builder::new();
        let reader = reader
            .spawn(move || {
                let mut got = Vec::new();
                theirs.read_to_end(&mut got).unwrap();
                got
            })
            .unwrap();
        let null = File::open("/dev/null").unwrap();
        ours.send(&[b"a", b"", &large, b"z"], Some(null.as_fd()), || {}).unwrap();
        ours.send(&[], None, || {}).unwrap();
        ours.send(&[b""], None, || {}).unwrap();
        drop(ours);
        assert_eq!(reader.join().unwrap(), [b"a".as_slice(), &large, b"z"].concat());
    }

    #[test]
    fn more_parts_than_the_kernel_takes_at_once() {
        let (ours, mut theirs) = pair();
        ours.send(&[b"x".as_slice(); 3000], None, || {}).unwrap();
        drop(ours);
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), 3000);
    }

    #[test]
    fn a_stream_that_reads_no_more_still_has_what_was_sent() {
        let (ours, mut theirs) = pair();
        let mut space = [0; 10];
        assert_eq!(ours.read_now(&mut space).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        theirs.write_all(b"queued").unwrap();
        ours.stop_reading();
        assert_eq!(theirs.write_all(b"late").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(ours.read_now(&mut space).unwrap(), 6);
        assert_eq!(ours.read_now(&mut space).unwrap(), 0);
        ours.send(&[b"answer"], None, || {}).unwrap();
        assert_eq!(theirs.read(&mut space).unwrap(), 6);
    }

    #[test]
    fn waiting_has_a_limit() {
        let (ours, _theirs) = pair();
        ours.limit(Duration::from_millis(20)).unwrap();
        assert_eq!(ours.read(&mut [0; 4]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let full = ours.send(&[&vec![0; 3_000_000]], None, || {}).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    }
}
