//! Sockets of the link, one for each path: unconnected UDP, written and never read.
//!
//! A socket without a peer gets no errors of the network: what a router or a host answers changes
//! nothing. What the system refuses is counted with the path, and is lost for it; the other paths have
//! it all the same.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// How long a full queue of an interface is waited for: less than a path may be silent, more than a
/// driver needs to empty it.
const FULL: Duration = Duration::from_millis(5);

/// A socket that datagrams of the link leave by.
///
/// # Errors
/// The system refuses one, or to bind it.
pub fn bound(
    interface: Option<&str>,
    from: Option<Ipv4Addr>,
    broadcast: bool,
) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((from.unwrap_or(Ipv4Addr::UNSPECIFIED), 0))?;
    socket.set_broadcast(broadcast)?;
    match interface {
        Some(_) => Err(io::ErrorKind::Unsupported.into()),
        None => Ok(socket),
    }
}

/// One path.
#[derive(Debug)]
pub struct Path {
    socket: UdpSocket,
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
    /// The system refuses a time for writing.
    pub fn new(socket: UdpSocket, to: SocketAddr) -> io::Result<Path> {
        socket.set_write_timeout(Some(FULL))?;
        Ok(Path { socket, to, counts: PathCounts::default(), trouble: None })
    }

    /// What was sent so far.
    pub fn counts(&self) -> PathCounts {
        self.counts
    }

    /// The last error since this was asked.
    pub fn take_trouble(&mut self) -> Option<io::Error> {
        self.trouble.take()
    }

    fn send(&mut self, datagram: &[u8]) {
        match self.socket.send_to(datagram, self.to) {
            Ok(bytes) => {
                self.counts.datagrams = self.counts.datagrams.saturating_add(1);
                let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                self.counts.bytes = self.counts.bytes.saturating_add(bytes);
            }
            Err(error) => {
                self.counts.refused = self.counts.refused.saturating_add(1);
                self.trouble = Some(error);
            }
        }
    }
}

/// All paths of a link.
#[derive(Debug)]
pub struct Paths(Vec<Path>);

impl Paths {
    /// In the order of the configuration.
    pub fn new(paths: Vec<Path>) -> Paths {
        Paths(paths)
    }

    /// The same datagram over each.
    pub fn send(&mut self, datagram: &[u8]) {
        for path in &mut self.0 {
            path.send(datagram);
        }
    }

    /// Each path.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Path> {
        self.0.iter_mut()
    }
}

#[cfg(test)]
mod tests;
