//! A stream to a UNIX socket as httpd's children use it: blocking with a time limit, descriptors come along with bytes.
//!
//! One thread has a stream at a time; only `Closer` may be used beside it, to wake a thread that waits.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Shutdown, SockFlag, SockType, UnixAddr, connect, setsockopt, shutdown, socket, sockopt,
};

use super::rights;
use super::stream::{moved_up, send_parts, set_limit};

/// So many descriptors wait for the bytes that they belong to, at most: a worker's answer has two.
const MOST_DESCRIPTORS: usize = 2;

/// A connected stream; closed on drop.
#[derive(Debug)]
pub struct Stream {
    socket: Arc<OwnedFd>,
    limit: Option<Duration>,
}

/// Whether [`Stream::receive`] waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Up to the stream's limit.
    Limited,
    No,
}

/// Ends a stream from another thread.
#[derive(Debug)]
pub struct Closer(Arc<OwnedFd>);

impl Stream {
    /// Connects without waiting, with buffers of so many bytes for what is sent and received; `None` leaves the kernel's own.
    ///
    /// # Errors
    /// `WouldBlock`: the backlog is full. `ConnectionRefused`: nobody listens. Others: no such file, no permission.
    pub fn connect(path: &Path, send: Option<usize>, receive: Option<usize>) -> io::Result<Stream> {
        let address = UnixAddr::new(path)?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        if let Some(bytes) = send {
            setsockopt(&socket, sockopt::SndBuf, &bytes)?;
        }
        if let Some(bytes) = receive {
            setsockopt(&socket, sockopt::RcvBuf, &bytes)?;
        }
        connect(socket.as_raw_fd(), &address)?;
        Stream::adopt(socket)
    }

    /// A connected socket as a stream: blocking, its descriptor moved out of the way.
    ///
    /// # Errors
    /// What the system says.
    pub fn adopt(socket: OwnedFd) -> io::Result<Stream> {
        let socket = moved_up(socket);
        let flags = OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL)?);
        fcntl(&socket, FcntlArg::F_SETFL(flags & !OFlag::O_NONBLOCK))?;
        Ok(Stream { socket: Arc::new(socket), limit: None })
    }

    /// The longest that one `send` or `receive` may wait; zero is no limit.
    ///
    /// # Errors
    /// What the system says.
    pub fn limit(&mut self, limit: Duration) -> io::Result<()> {
        if self.limit == Some(limit) {
            return Ok(());
        }
        set_limit(&*self.socket, limit)?;
        self.limit = Some(limit);
        Ok(())
    }

    /// Sends all parts, in order.
    ///
    /// # Errors
    /// `WouldBlock`: not within the limit. `BrokenPipe`, `ConnectionReset`: the other end is closed, or reads no more.
    pub fn send(&self, parts: &[&[u8]]) -> io::Result<()> {
        send_parts(&self.socket, parts, None, None)
    }

    /// Reads what is there, or waits for the first of it; 0 is the end. Descriptors that come along are put behind those in `descriptors`.
    ///
    /// # Errors
    /// `WouldBlock`: nothing came within the limit, or is there. `ConnectionReset`: the other end closed and had not read all that was sent.
    /// `InvalidData`: it has sent more descriptors than can be had, or are waited for.
    pub fn receive(&self, space: &mut [u8], descriptors: &mut VecDeque<OwnedFd>, wait: Wait) -> io::Result<usize> {
        let flags = match wait {
            Wait::Limited => 0,
            Wait::No => libc::MSG_DONTWAIT,
        };
        loop {
            match rights::receive(self.as_fd(), space, flags, |descriptor| descriptors.push_back(descriptor)) {
                Ok(_) if descriptors.len() > MOST_DESCRIPTORS => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "more descriptors than frames that have one",
                    ));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Is there something to read, or an end to see, within this time?
    ///
    /// # Errors
    /// What the system says.
    pub fn is_readable(&self, within: Duration) -> io::Result<bool> {
        let within = PollTimeout::try_from(within.as_millis()).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], within) {
            Ok(ready) => Ok(ready > 0),
            Err(nix::errno::Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Has the other end read everything that was sent? It can't have, before it accepted the connection.
    ///
    /// # Errors
    /// What the system says.
    pub fn is_all_read(&self) -> io::Result<bool> {
        let mut unread: libc::c_int = 0;
        // SAFETY: an open socket, and a place for one number. For UNIX sockets the kernel answers what the peer has not read yet,
        // with its own overhead (net/unix, SIOCOUTQ), so only zero is exact.
        let answer = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut unread) };
        if answer == 0 { Ok(unread == 0) } else { Err(io::Error::last_os_error()) }
    }

    /// A way to end this stream from another thread.
    pub fn closer(&self) -> Closer {
        Closer(Arc::clone(&self.socket))
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Closer {
    /// Whoever waits on the stream sees its end.
    pub fn close(&self) {
        // The other end may have done so.
        let _ = shutdown(self.0.as_raw_fd(), Shutdown::Both);
    }

    /// Is this the closer of `stream`?
    pub fn is_of(&self, stream: &Stream) -> bool {
        Arc::ptr_eq(&self.0, &stream.socket)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::time::Instant;

    use super::super::stream::FIRST_DESCRIPTOR;
    use super::*;

    fn pair() -> (Stream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Stream::adopt(ours.into()).unwrap(), theirs)
    }

    fn receive(stream: &Stream) -> io::Result<Vec<u8>> {
        let mut space = [0; 100];
        stream.receive(&mut space, &mut VecDeque::new(), Wait::Limited).map(|got| space[..got].to_vec())
    }

    #[test]
    fn bytes_go_both_ways_and_the_end_is_seen() {
        let (stream, mut theirs) = pair();
        stream.send(&[b"hello"]).unwrap();
        let mut buffer = [0; 5];
        theirs.read_exact(&mut buffer).unwrap();
        theirs.write_all(b"answer").unwrap();
        assert_eq!((&buffer, receive(&stream).unwrap()), (b"hello", b"answer".to_vec()));
        drop(theirs);
        assert_eq!(receive(&stream).unwrap(), b"");
        assert_eq!(stream.send(&[b"more"]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_peer_that_leaves_with_bytes_unread_resets() {
        let (stream, theirs) = pair();
        stream.send(&[b"unread"]).unwrap();
        drop(theirs);
        assert_eq!(receive(&stream).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn descriptors_that_are_too_many_are_closed() {
        use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

        for count in [3, 100] {
            let (stream, theirs) = pair();
            let (mut reader, writer) = io::pipe().unwrap();
            let rights = vec![writer.as_raw_fd(); count];
            let parts = [io::IoSlice::new(b"bytes")];
            sendmsg::<()>(theirs.as_raw_fd(), &parts, &[ControlMessage::ScmRights(&rights)], MsgFlags::empty(), None)
                .unwrap();
            drop(writer);
            assert_eq!(receive(&stream).unwrap_err().kind(), io::ErrorKind::InvalidData, "{count}");
            // Ends when nobody has a writing end any more.
            assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        }
    }

    #[test]
    fn waiting_ends_with_the_limit() {
        let (mut stream, _theirs) = pair();
        stream.limit(Duration::from_millis(30)).unwrap();
        let began = Instant::now();
        assert_eq!(receive(&stream).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(began.elapsed() >= Duration::from_millis(25));
        assert!(!stream.is_readable(Duration::from_millis(1)).unwrap());
    }

    #[test]
    fn descriptors_are_out_of_the_way_of_select() {
        assert!(pair().0.as_fd().as_raw_fd() >= FIRST_DESCRIPTOR);
    }

    #[test]
    fn a_closer_wakes_who_waits() {
        let (stream, _theirs) = pair();
        let closer = stream.closer();
        assert!(closer.is_of(&stream) && !closer.is_of(&pair().0));
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(receive(&stream).unwrap(), b""));
            std::thread::sleep(Duration::from_millis(20));
            closer.close();
        });
    }

    #[test]
    fn unread_bytes_are_known_even_before_the_connection_is_accepted() {
        let folder = std::env::temp_dir().join(format!("mod_wsgi-connect-{}", std::process::id()));
        let listener = UnixListener::bind(&folder).unwrap();
        let stream = Stream::connect(&folder, None, None).unwrap();
        stream.send(&[b"hello"]).unwrap();
        assert!(!stream.is_all_read().unwrap());
        let (mut theirs, _) = listener.accept().unwrap();
        assert!(!stream.is_all_read().unwrap());
        theirs.read_exact(&mut [0; 4]).unwrap();
        assert!(!stream.is_all_read().unwrap());
        theirs.read_exact(&mut [0; 1]).unwrap();
        assert!(stream.is_all_read().unwrap());
        drop(listener);
        assert_eq!(Stream::connect(&folder, None, None).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        std::fs::remove_file(&folder).unwrap();
        assert_eq!(Stream::connect(&folder, None, None).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_full_backlog_does_not_block() {
        let path = std::env::temp_dir().join(format!("mod_wsgi-backlog-{}", std::process::id()));
        let how = super::super::listen::Listening { backlog: 1, ..Default::default() };
        let _listening = super::super::listen::listen_at(&path, how).unwrap();
        let full: Vec<_> = (0..5).map(|_| Stream::connect(&path, None, None).map_err(|error| error.kind())).collect();
        std::fs::remove_file(&path).unwrap();
        assert!(full.iter().any(|one| matches!(one, Err(io::ErrorKind::WouldBlock))), "{full:?}");
    }
}
