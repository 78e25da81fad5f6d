//! The dialling process: on a kernel whose Landlock can't bound where sockets go, it makes every socket of
//! a half, to the ports and sockets of the configuration alone, and hands it over. The half itself
//! has no system call that makes, connects or binds one.
//!
//! ```text
//!  half ── 24 bytes: kind, port, address, or which socket ──> dialling process
//!       <── an error number, or 0 and the socket, connected or about to be ──
//! ```
//!
//! The ends of the link have one at every level, if they log to a daemon of this machine: it makes no
//! other sockets for them.
//!
//! It is a copy of the half, made before the half is sealed; it reads nothing but requests of this one
//! length, has no files, and ends with the half. It never waits for a network: a connection is begun, and
//! the half sees whether it comes about.

use std::io::{self, IoSlice, IoSliceMut, PipeReader, PipeWriter};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use super::error::os;
use super::profile::Profile;
use super::seccomp::{Filters, Otherwise};
use super::{Grants, Layer, Role, SandboxError, landlock};

/// Bytes of a request.
const REQUEST: usize = 24;
/// Bytes of an answer: an error number.
const ANSWER: usize = 4;
/// Longest wait for the dialling process, which itself waits for nothing.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// What it is called in lists of processes.
const NAME: &std::ffi::CStr = c"sparkdiode-dial";

/// Whom a socket is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer<'a> {
    /// Over TCP. Reading and writing return at once, as asynchronous programs want it.
    Tcp(SocketAddr),
    /// Over TCP. Reading and writing wait; the first writing waits for the connection as well.
    TcpWaiting(SocketAddr),
    Udp(SocketAddr),
    /// A datagram socket of this machine.
    Local(&'a Path),
}

/// The way to the dialling process.
#[derive(Debug)]
struct Way {
    /// One request at a time; `None` once it didn't answer: what came later would be the answer to
    /// another request.
    channel: Mutex<Option<OwnedFd>>,
    sockets: Vec<PathBuf>,
    #[cfg(feature = "raw")]
    process: i32,
}

static WAY: OnceLock<Way> = OnceLock::new();

/// A socket to `peer` from the dialling process, connected or, over TCP, about to be. `None`: this
/// process has none, and makes its sockets itself.
pub fn dial(peer: Peer<'_>) -> Option<io::Result<OwnedFd>> {
    WAY.get().map(|way| way.ask(peer))
}

/// As an intruder asks: whatever bytes he likes. `None`: there is no dialling process.
#[cfg(feature = "raw")]
pub fn ask_dialler(request: &[u8]) -> Option<io::Result<OwnedFd>> {
    let channel = WAY.get()?.channel.lock().unwrap_or_else(PoisonError::into_inner);
    let gone = || Err(io::ErrorKind::BrokenPipe.into());
    Some(exchange(channel.as_ref()?.as_fd(), request).unwrap_or_else(gone))
}

/// The number of the dialling process, for an intruder.
#[cfg(feature = "raw")]
pub fn dialler_process() -> Option<i32> {
    WAY.get().map(|way| way.process)
}

/// Makes the dialling process, and has this process's sockets come from it; what ends when it does.
/// There must be one thread.
pub(super) fn leave(
    role: Role,
    grants: &Grants,
    waived: &[Layer],
    abi: i32,
) -> Result<PipeReader, SandboxError> {
    let flags = SocketFlags::CLOEXEC;
    let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    let (ours, theirs) = pair.map_err(os("make a pair of sockets"))?;
    let (end, alive) = io::pipe().map_err(os("make a pipe"))?;
    // SAFETY: there is one thread, so no lock of another is held in the copy; the copy goes on with
    // plain Rust and never returns.
    #[expect(unsafe_code, reason = "no safe call makes a process that runs no other program")]
    let child = unsafe { libc::fork() };
    match child {
        -1 => Err(os("make the dialling process")(io::Error::last_os_error())),
        0 => {
            drop((ours, end));
            let code = match Dialler::seal(role, grants, waived, abi, theirs, &alive) {
                Ok(dialler) => dialler.serve(),
                // The half reads it instead of the word that it waits for.
                Err(error) => {
                    let _ = io::Write::write_all(&mut &alive, error.to_string().as_bytes());
                    1
                }
            };
            // SAFETY: ends this copy at once: what the half has registered for its end isn't for it.
            #[expect(unsafe_code, reason = "no safe call ends a process without more ado")]
            unsafe {
                libc::_exit(code)
            }
        }
        _ => {
            drop((theirs, alive));
            let limit = Some(ANSWERS_WITHIN);
            for timeout in [Timeout::Recv, Timeout::Send] {
                set_socket_timeout(&ours, timeout, limit).map_err(os("limit a wait"))?;
            }
            wait_for_word(&end)?;
            let way = Way {
                channel: Mutex::new(Some(ours)),
                sockets: grants.sockets.clone(),
                #[cfg(feature = "raw")]
                process: child,
            };
            WAY.set(way).map_err(|_| SandboxError::Threads)?;
            Ok(end)
        }
    }
}

/// Waits until the dialling process is sealed.
fn wait_for_word(mut end: &PipeReader) -> Result<(), SandboxError> {
    let mut said = [0; 1_024];
    let bytes = io::Read::read(&mut end, &mut said).map_err(os("wait for the dialling process"))?;
    match said.get(..bytes) {
        Some(b"!") => Ok(()),
        said => {
            let said = String::from_utf8_lossy(said.unwrap_or_default()).into_owned();
            let said = if said.is_empty() { "it ended".to_owned() } else { said };
            Err(os("start the dialling process")(io::Error::other(said)))
        }
    }
}

impl Way {
    fn ask(&self, peer: Peer<'_>) -> io::Result<OwnedFd> {
        let request = self.request(peer)?;
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = channel.as_ref().and_then(|channel| exchange(channel.as_fd(), &request));
        answer.unwrap_or_else(|| {
            *channel = None;
            let why = "the dialling process, which makes this half's connections, has ended";
            Err(io::Error::new(io::ErrorKind::BrokenPipe, why))
        })
    }

    fn request(&self, peer: Peer<'_>) -> io::Result<[u8; REQUEST]> {
        let (kind, address, which) = match peer {
            Peer::Tcp(address) => (0, Some(address), 0),
            Peer::TcpWaiting(address) => (1, Some(address), 0),
            Peer::Udp(address) => (2, Some(address), 0),
            Peer::Local(path) => {
                let which = self.sockets.iter().position(|known| known == path);
                let which = which.and_then(|which| u8::try_from(which).ok());
                (3, None, which.ok_or(io::ErrorKind::PermissionDenied)?)
            }
        };
        let mut request = [0; REQUEST];
        let [first, second, ports @ ..] = &mut request;
        (*first, *second) = (kind, which);
        if let Some(address) = address {
            let scope = match address {
                SocketAddr::V6(address) => address.scope_id(),
                SocketAddr::V4(_) => 0,
            };
            let ip = match address.ip() {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            let parts = address.port().to_be_bytes().into_iter();
            let parts = parts.chain(ip.octets()).chain(scope.to_be_bytes());
            ports.iter_mut().zip(parts).for_each(|(place, byte)| *place = byte);
        }
        Ok(request)
    }
}

/// What the dialling process says to a request; `None`: it doesn't, and won't.
fn exchange(channel: BorrowedFd<'_>, request: &[u8]) -> Option<io::Result<OwnedFd>> {
    // No `sendto`, which the ends of the link haven't. It ended: a signal that is ignored.
    rustix::io::write(channel, request).ok()?;
    let mut answer = [0; ANSWER];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut place = [IoSliceMut::new(&mut answer)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = loop {
        match rustix::net::recvmsg(channel, &mut place, &mut control, flags) {
            Err(Errno::INTR) => {}
            received => break received.ok()?,
        }
    };
    if received.bytes != ANSWER {
        return None;
    }
    let socket = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    match (i32::from_be_bytes(answer), socket) {
        (0, Some(socket)) => Some(Ok(socket)),
        // It was handed over, and this process may have no more files open.
        (0, None) => Some(Err(io::Error::from_raw_os_error(libc::EMFILE))),
        (number, _) => Some(Err(io::Error::from_raw_os_error(number))),
    }
}

/// The dialling process, sealed.
struct Dialler<'a> {
    channel: OwnedFd,
    grants: &'a Grants,
}

impl<'a> Dialler<'a> {
    fn seal(
        role: Role,
        grants: &'a Grants,
        waived: &[Layer],
        abi: i32,
        channel: OwnedFd,
        alive: &PipeWriter,
    ) -> Result<Dialler<'a>, SandboxError> {
        // Signals for the half, from a terminal or a service manager that stops the unit, aren't for
        // this process: it ends with the half.
        ignore_signals();
        let _ = rustix::thread::set_name(NAME);
        close_all_but(channel.as_fd(), alive.as_fd())?;
        // Neither files nor ports but the granted ones, as far as Landlock goes.
        let own = Grants { tcp_ports: grants.tcp_ports.clone(), ..Grants::default() };
        landlock::restrict(&own, waived, abi)?;
        let missing = |why: String| SandboxError::Missing { layer: Layer::Seccomp, why };
        let filters = Filters::compile(Profile::Dialler { role }, &grants.needs, Otherwise::Kill);
        let filters = filters.map_err(|error| missing(error.to_string()))?;
        filters.install().map_err(|error| missing(error.to_string()))?;
        // Only now: what the half waits for is that it is sealed.
        rustix::io::write(alive, b"!").map_err(os("say that it is sealed"))?;
        Ok(Dialler { channel, grants })
    }

    /// Answers until the half has ended; an exit code. From here on nothing is allocated.
    fn serve(self) -> i32 {
        loop {
            let mut request = [0; REQUEST + 1];
            let received = rustix::net::recv(&self.channel, &mut request, RecvFlags::empty());
            let dialled = match received {
                Ok((0, _)) => return 0,
                Ok((REQUEST, _)) => self.dial(&request),
                Ok(_) => Err(Errno::INVAL),
                Err(Errno::INTR) => continue,
                Err(_) => return 1,
            };
            let (number, socket) = match dialled {
                Ok(socket) => (0, Some(socket)),
                Err(error) => (error.raw_os_error(), None),
            };
            let handed = socket.as_ref().map(|socket| [socket.as_fd()]);
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if let Some(handed) = &handed {
                let _ = control.push(SendAncillaryMessage::ScmRights(handed));
            }
            let answer = number.to_be_bytes();
            let sent = rustix::net::sendmsg(
                &self.channel,
                &[IoSlice::new(&answer)],
                &mut control,
                SendFlags::NOSIGNAL,
            );
            if sent.is_err() {
                return 0;
            }
        }
    }

    fn dial(&self, request: &[u8; REQUEST + 1]) -> Result<OwnedFd, Errno> {
        let [kind, which, port @ .., _] = request;
        let [high, low, rest @ ..] = port;
        let port = u16::from_be_bytes([*high, *low]);
        let address = || address(rest, port);
        match kind {
            0 | 1 if self.grants.tcp_ports.contains(&port) => {
                connected(address(), SocketType::STREAM, *kind == 1)
            }
            2 if self.grants.udp_ports.contains(&port) => {
                connected(address(), SocketType::DGRAM, true)
            }
            3 => {
                let path = self.grants.sockets.get(usize::from(*which)).ok_or(Errno::ACCESS)?;
                let address = SocketAddrUnix::new(path.as_path())?;
                let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
                let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
                rustix::net::connect(&socket, &address)?;
                Ok(socket)
            }
            _ => Err(Errno::ACCESS),
        }
    }
}

/// The address of a request; `rest` has 16 bytes of address and 4 of a scope.
fn address(rest: &[u8], port: u16) -> SocketAddr {
    let (ip, scope) = rest.split_at_checked(16).unwrap_or_default();
    let ip = <[u8; 16]>::try_from(ip).map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from);
    let scope = <[u8; 4]>::try_from(scope).map_or(0, u32::from_be_bytes);
    match ip.to_ipv4_mapped() {
        Some(ip) => SocketAddr::from((ip, port)),
        None => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope)),
    }
}

/// A socket that is connected, or will be. `waits`: whether the half's calls on it wait.
fn connected(address: SocketAddr, kind: SocketType, waits: bool) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error),
    }
    if waits {
        rustix::fs::fcntl_setfl(&socket, OFlags::empty())?;
    }
    Ok(socket)
}

fn ignore_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
        // SAFETY: sets no handler: the signal is ignored.
        #[expect(unsafe_code, reason = "no safe call ignores a signal")]
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}

/// Closes what came from the half: its journal, its state, its standard streams.
fn close_all_but(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Result<(), SandboxError> {
    let mut kept = [one.as_raw_fd(), other.as_raw_fd()].map(|number| number.unsigned_abs());
    kept.sort_unstable();
    let [low, high] = kept;
    let gaps = [
        (0, low.checked_sub(1)),
        (low.saturating_add(1), high.checked_sub(1)),
        (high.saturating_add(1), Some(u32::MAX)),
    ];
    for (first, last) in gaps {
        let Some(last) = last.filter(|last| first <= *last) else { continue };
        // SAFETY: closes descriptors that nothing in this copy uses any more; the values that own them
        // are never dropped, since it never returns.
        #[expect(unsafe_code, reason = "no safe call closes descriptors that somebody owns")]
        let closed = unsafe { libc::close_range(first, last, 0) };
        if closed != 0 {
            return Err(os("close the half's files")(io::Error::last_os_error()));
        }
    }
    Ok(())
}
