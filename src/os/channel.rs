//! A channel between two processes of ours: whole messages with descriptors, for rare things such as settings and "drain".
//!
//! A message is JSON in a sealed memory file, sent as the first descriptor of a packet (`AF_UNIX`, `SOCK_SEQPACKET`): so its size
//! has no limit of the socket's, and it can't change under the reader, who may trust the other end less than itself. More
//! descriptors than the kernel takes at once follow in further packets. Httpd's parent and the supervisor speak over it in both directions, the
//! supervisor to workers in one: what they say comes by `super::report`.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::sockopt::SockType as SocketType;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, Shutdown, SockFlag, SockType, sendmsg, shutdown, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::poll;
use super::rights;
use super::spawn::CONTROL;

/// The kernel's limit for one packet is 253 (`SCM_MAX_FD`).
const MOST_IN_PACKET: usize = 250;

/// A larger message is refused: settings of a group are some kilobytes.
const MOST_BYTES: u64 = 16 << 20;

/// More descriptors are refused: a group has one for each process and few more.
const MOST_DESCRIPTORS: usize = 4096;

/// How long a reader waits for the further packets of a message that has begun.
const PATIENCE: Duration = Duration::from_secs(5);

/// Nobody may change the message any more, nor its size.
const SEALS: SealFlag =
    SealFlag::F_SEAL_SEAL.union(SealFlag::F_SEAL_SHRINK).union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_WRITE);

/// One end. Any thread may use it; two that receive at once would share the messages out.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Both ends, close-on-exec and blocking.
    ///
    /// # Errors
    /// The system's, such as too many descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Self { socket: one }, Self { socket: other }))
    }

    /// An end that came as a descriptor.
    #[must_use]
    pub fn from_fd(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// The end that `os::spawn` gave this process as descriptor 3. To be called once, before the process opens anything.
    ///
    /// # Errors
    /// When there is no such socket, because somebody else started the program, and when it is asked for again.
    pub fn inherited() -> io::Result<Self> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Err(io::Error::other("the channel was taken already"));
        }
        // SAFETY: borrowed for two calls that only ask about it; what number 3 is, if anything, does not matter to them.
        let borrowed = unsafe { BorrowedFd::borrow_raw(CONTROL) };
        fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        let kind = nix::sys::socket::getsockopt(&borrowed, SocketType)?;
        if kind != SockType::SeqPacket {
            return Err(invalid("not a channel"));
        }
        // SAFETY: a socket of our kind under that number is the one that `os::spawn` put there, for this process alone; taken once.
        Ok(Self { socket: unsafe { OwnedFd::from_raw_fd(CONTROL) } })
    }

    /// Whether [`Self::receive`] and [`Self::send`] answer `WouldBlock` instead of waiting.
    ///
    /// # Errors
    /// The system's.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        let flags = OFlag::from_bits_retain(fcntl(&self.socket, FcntlArg::F_GETFL)?);
        let flags = if on { flags | OFlag::O_NONBLOCK } else { flags & !OFlag::O_NONBLOCK };
        fcntl(&self.socket, FcntlArg::F_SETFL(flags))?;
        Ok(())
    }

    /// From now on the other end can send nothing: what it tries fails there (`BrokenPipe`). For the end of a process that must not trust
    /// the other one: messages that wait in a socket are closed with it, and so are the descriptors in them, which may last as long as
    /// who made them likes. Can't be undone from either end.
    ///
    /// # Errors
    /// The system's.
    pub fn hear_no_more(&self) -> io::Result<()> {
        Ok(shutdown(self.socket.as_raw_fd(), Shutdown::Read)?)
    }

    /// Sends a message and copies of descriptors.
    ///
    /// # Errors
    /// `BrokenPipe` or `ConnectionReset` when the other end is gone (no signal is raised), `WouldBlock` when it doesn't read and the
    /// channel doesn't block, `InvalidInput` for more descriptors or bytes than a reader takes. After another error than
    /// `InvalidInput` in the middle of a message the channel is of no more use.
    pub fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        if descriptors.len() > MOST_DESCRIPTORS {
            return Err(invalid("more descriptors than a message may carry"));
        }
        let sealed = seal(&serde_json::to_vec(message)?)?;
        let all: Vec<i32> = std::iter::once(sealed.as_fd()).chain(descriptors.iter().copied()).map(raw).collect();
        let mut rest = all.len();
        for packet in all.chunks(MOST_IN_PACKET) {
            rest -= packet.len();
            let follow = u32::try_from(rest).map_err(|_| invalid("too many descriptors"))?.to_ne_bytes();
            let control = [ControlMessage::ScmRights(packet)];
            again(|| {
                sendmsg::<()>(
                    self.socket.as_fd().as_raw_fd(),
                    &[IoSlice::new(&follow)],
                    &control,
                    MsgFlags::MSG_NOSIGNAL,
                    None,
                )
            })?;
        }
        Ok(())
    }

    /// The next message and its descriptors (close-on-exec); none when the other end is gone.
    ///
    /// # Errors
    /// `WouldBlock` when there is none yet and the channel doesn't block. `InvalidData` when the other end sends what is no message of
    /// this type: it is then not to be talked to any more.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let Some((mut follow, mut descriptors)) = self.packet()? else { return Ok(None) };
        while follow > 0 {
            if descriptors.len() > MOST_DESCRIPTORS {
                return Err(malformed("more descriptors than a message may carry"));
            }
            if poll::readable(&[self.as_fd()], Some(PATIENCE))?.is_empty() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let Some((still, more)) = self.packet()? else { return Ok(None) };
            if more.is_empty() || still >= follow {
                return Err(malformed("a message that does not end"));
            }
            follow = still;
            descriptors.extend(more);
        }
        if descriptors.is_empty() {
            return Err(malformed("a packet without a message"));
        }
        let text = read_sealed(descriptors.remove(0))?;
        Ok(Some((serde_json::from_slice(&text)?, descriptors)))
    }

    /// One packet: how many descriptors follow it, and its own.
    fn packet(&self) -> io::Result<Option<(u32, Vec<OwnedFd>)>> {
        let (mut follow, mut descriptors) = ([0; 4], Vec::new());
        let bytes = loop {
            match rights::receive(self.as_fd(), &mut follow, 0, |descriptor| descriptors.push(descriptor)) {
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) if cause.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                done => break done?,
            }
        };
        match bytes {
            0 => Ok(None),
            4 => Ok(Some((u32::from_ne_bytes(follow), descriptors))),
            _ => Err(malformed("a packet of another length")),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.socket
    }
}

fn seal(text: &[u8]) -> io::Result<OwnedFd> {
    if u64::try_from(text.len()).map_or(true, |length| length > MOST_BYTES) {
        return Err(invalid("a message that is too long"));
    }
    let mut file = File::from(memfd_create(c"wsgi-message", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
    file.write_all(text)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS))?;
    Ok(file.into())
}

fn read_sealed(descriptor: OwnedFd) -> io::Result<Vec<u8>> {
    // Only memory files know seals, so this also keeps a lying peer from handing in a pipe that blocks the reader.
    let seals = fcntl(&descriptor, FcntlArg::F_GET_SEALS).map_err(|_| malformed("a message that is no memory file"))?;
    if !SealFlag::from_bits_retain(seals).contains(SEALS) {
        return Err(malformed("a message that is not sealed"));
    }
    let file = File::from(descriptor);
    let length = file.metadata()?.len();
    if length > MOST_BYTES {
        return Err(malformed("a message that is too long"));
    }
    let mut text = vec![0; usize::try_from(length).map_err(|_| malformed("a message that is too long"))?];
    file.read_exact_at(&mut text, 0)?;
    Ok(text)
}

fn again<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            answer => return answer,
        }
    }
}

fn raw(descriptor: BorrowedFd<'_>) -> i32 {
    descriptor.as_raw_fd()
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::io::Read as _;

    use nix::sys::socket::{setsockopt, sockopt};

    use super::*;

    #[test]
    fn messages_keep_their_borders_and_descriptors() {
        let (here, there) = Channel::pair().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        here.send(&"first", &[reader.as_fd()]).unwrap();
        here.send(&vec![7u8; 3_000_000], &[]).unwrap();
        drop(reader);
        let (text, mut descriptors) = there.receive::<String>().unwrap().unwrap();
        assert_eq!((text.as_str(), descriptors.len()), ("first", 1));
        writer.write_all(b"through").unwrap();
        drop(writer);
        let mut read = String::new();
        File::from(descriptors.remove(0)).read_to_string(&mut read).unwrap();
        assert_eq!(read, "through");
        assert_eq!(there.receive::<Vec<u8>>().unwrap().unwrap().0.len(), 3_000_000);
        drop(here);
        assert!(there.receive::<String>().unwrap().is_none());
        assert_eq!(there.send(&1, &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn more_descriptors_than_a_packet_takes() {
        let (here, there) = Channel::pair().unwrap();
        let null = File::open("/dev/null").unwrap();
        for count in [0, 1, 249, 250, 251, 300] {
            here.send(&count, &vec![null.as_fd(); count]).unwrap();
            let (said, descriptors) = there.receive::<usize>().unwrap().unwrap();
            assert_eq!((said, descriptors.len()), (count, count));
        }
        assert_eq!(here.send(&0, &vec![null.as_fd(); 5000]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn who_hears_no_more_is_sent_nothing() {
        let (here, there) = Channel::pair().unwrap();
        here.hear_no_more().unwrap();
        let null = File::open("/dev/null").unwrap();
        assert_eq!(there.send(&1, &[null.as_fd()]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        here.send(&2, &[null.as_fd()]).unwrap();
        assert_eq!(there.receive::<u8>().unwrap().map(|(said, descriptors)| (said, descriptors.len())), Some((2, 1)));
        there.set_nonblocking(true).unwrap();
        assert_eq!(there.receive::<u8>().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(here);
        assert!(there.receive::<u8>().unwrap().is_none());
    }

    #[test]
    fn descriptors_of_a_packet_that_was_cut_are_closed() {
        let (here, there) = Channel::pair().unwrap();
        // Who the sender is takes the room of some.
        setsockopt(&there, sockopt::PassCred, &true).unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        here.send(&1, &[writer.as_fd(); MOST_IN_PACKET - 1]).unwrap();
        drop(writer);
        assert!(there.receive::<u8>().is_err());
        assert_eq!(poll::readable(&[reader.as_fd()], Some(PATIENCE)).unwrap(), [0], "one is still open");
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let (here, there) = Channel::pair().unwrap();
        there.set_nonblocking(true).unwrap();
        assert_eq!(there.receive::<u8>().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        here.send(&"text", &[]).unwrap();
        assert_eq!(there.receive::<u8>().unwrap_err().kind(), io::ErrorKind::InvalidData);

        let packet = |bytes: &[u8], descriptors: &[i32]| {
            let control = [ControlMessage::ScmRights(descriptors)];
            let control = if descriptors.is_empty() { &control[..0] } else { &control[..] };
            let socket = here.as_fd().as_raw_fd();
            sendmsg::<()>(socket, &[IoSlice::new(bytes)], control, MsgFlags::empty(), None).unwrap();
            there.receive::<u8>().unwrap_err().kind()
        };
        assert_eq!(packet(&[0; 4], &[]), io::ErrorKind::InvalidData);
        assert_eq!(packet(&[0; 3], &[]), io::ErrorKind::InvalidData);
        let (pipe, _writer) = io::pipe().unwrap();
        assert_eq!(packet(&[0; 4], &[pipe.as_raw_fd()]), io::ErrorKind::InvalidData);
        let open = File::from(memfd_create(c"open", MFdFlags::MFD_ALLOW_SEALING).unwrap());
        (&open).write_all(b"7").unwrap();
        assert_eq!(packet(&[0; 4], &[open.as_raw_fd()]), io::ErrorKind::InvalidData);
        fcntl(&open, FcntlArg::F_ADD_SEALS(SEALS)).unwrap();
        here.send(&8, &[]).unwrap();
        assert_eq!(there.receive::<u8>().unwrap().unwrap().0, 8);
    }
}
