//! Sockets of the link, one for each path: unconnected UDP, written and never read.
//!
//! A socket without a peer gets no errors of the network: what a router or a host answers changes
//! nothing. What the system refuses is counted with the path, and is lost for it; the other paths have
//! it all the same.
//!
//! Datagrams of one length, and a shorter one behind them, go to the system in one call (generic
//! segmentation offload); where that or the interface can't, each by itself.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// How long a full queue of an interface is waited for: less than a path may be silent, more than a
/// driver needs to empty it.
const FULL: Duration = Duration::from_millis(5);
/// The most of one call: what UDP carries, and the kernel's `UDP_MAX_SEGMENTS` of old.
const BATCH_BYTES: usize = 65_507;
const BATCH_DATAGRAMS: usize = 64;

/// A socket for [`Path::new`], from any port of `from`, that can't be made to receive. `interface`: by
/// which it leaves, whatever the routes say. To be called before the process gives up its rights.
///
/// # Errors
/// There is no such interface or address; the system refuses.
pub fn bound(
    interface: Option<&str>,
    from: Option<Ipv4Addr>,
    broadcast: bool,
) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    socket.set_broadcast(broadcast)?;
    let socket = sandbox::only_sends(UdpSocket::from(socket))?;
    let from = SocketAddrV4::new(from.unwrap_or(Ipv4Addr::UNSPECIFIED), 0);
    SockRef::from(&socket).bind(&from.into())?;
    Ok(socket)
}

/// One path.
#[derive(Debug)]
pub struct Path {
    socket: UdpSocket,
    batches: UdpSocketState,
    to: SocketAddr,
    counts: PathCounts,
    trouble: Option<io::Error>,
}

/// What was sent over a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathCounts {
    pub datagrams: u64,
    pub bytes: u64,
    /// Datagrams that the system refused.
    pub refused: u64,
}

impl Path {
    /// A bound socket, and where its datagrams go.
    ///
    /// # Errors
    /// The system refuses a time for writing, or datagrams that aren't fragmented.
    pub fn new(socket: UdpSocket, to: SocketAddr) -> io::Result<Path> {
        let batches = UdpSocketState::new(UdpSockRef::from(&socket))?;
        socket.set_nonblocking(false)?;
        socket.set_write_timeout(Some(FULL))?;
        Ok(Path { socket, batches, to, counts: PathCounts::default(), trouble: None })
    }

    /// What was sent so far.
    pub fn counts(&self) -> PathCounts {
        self.counts
    }

    /// The last error since this was asked.
    pub fn take_trouble(&mut self) -> Option<io::Error> {
        self.trouble.take()
    }

    /// Sends all of a batch: at once, or each by itself.
    fn send(&mut self, batch: &Batch) {
        if batch.count > 1 && self.batches.max_gso_segments() >= batch.count {
            match self.transmit(&batch.bytes, Some(batch.longest)) {
                Ok(()) => return self.count(batch.count, batch.bytes.len()),
                // It was waited for long enough.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.refuse(batch.count, error);
                }
                // The interface can't, or one datagram is refused: each by itself says which.
                Err(_) => {}
            }
        }
        for datagram in batch.bytes.chunks(batch.longest.max(1)) {
            match self.transmit(datagram, None) {
                Ok(()) => self.count(1, datagram.len()),
                Err(error) => self.refuse(1, error),
            }
        }
    }

    fn transmit(&self, contents: &[u8], segment_size: Option<usize>) -> io::Result<()> {
        let transmit =
            Transmit { destination: self.to, ecn: None, contents, segment_size, src_ip: None };
        self.batches.try_send(UdpSockRef::from(&self.socket), &transmit)
    }

    fn refuse(&mut self, datagrams: usize, error: io::Error) {
        let datagrams = u64::try_from(datagrams).unwrap_or(u64::MAX);
        self.counts.refused = self.counts.refused.saturating_add(datagrams);
        self.trouble = Some(error);
    }

    fn count(&mut self, datagrams: usize, bytes: usize) {
        let add = |count: &mut u64, more: usize| {
            *count = count.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        };
        add(&mut self.counts.datagrams, datagrams);
        add(&mut self.counts.bytes, bytes);
    }
}

/// Datagrams that go together: the last one may be shorter than the others.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    count: usize,
    longest: usize,
    is_closed: bool,
}

impl Batch {
    fn takes(&self, datagram: &[u8]) -> bool {
        self.count == 0
            || (!self.is_closed
                && self.count < BATCH_DATAGRAMS
                && datagram.len() <= self.longest
                && self.bytes.len().saturating_add(datagram.len()) <= BATCH_BYTES)
    }

    fn add(&mut self, datagram: &[u8]) {
        self.longest = self.longest.max(datagram.len());
        self.is_closed = datagram.len() < self.longest;
        self.bytes.extend_from_slice(datagram);
        self.count = self.count.saturating_add(1);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        (self.count, self.longest, self.is_closed) = (0, 0, false);
    }
}

/// All paths of a link.
#[derive(Debug)]
pub struct Paths {
    paths: Vec<Path>,
    batch: Batch,
}

impl Paths {
    /// In the order of the configuration.
    pub fn new(paths: Vec<Path>) -> Paths {
        Paths { paths, batch: Batch::default() }
    }

    /// The same datagram over each, none of which is empty, at the latest with the next [`Paths::flush`].
    pub fn send(&mut self, datagram: &[u8]) {
        if !self.batch.takes(datagram) {
            self.flush();
        }
        self.batch.add(datagram);
    }

    /// Sends what waits to go together with more.
    pub fn flush(&mut self) {
        if self.batch.count > 0 {
            for path in &mut self.paths {
                path.send(&self.batch);
            }
            self.batch.clear();
        }
    }

    /// Each path.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Path> {
        self.paths.iter_mut()
    }
}

#[cfg(test)]
mod tests;
