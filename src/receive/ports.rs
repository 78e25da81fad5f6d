//! Sockets of the link, one for each path: UDP that is read and never written.

use std::io::{self, ErrorKind};
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

/// Room for the longest datagram of UDP: one that is longer than the link's is seen to be.
const BUFFER_BYTES: usize = 65_536;

/// A socket that datagrams of the link come by, and how many bytes of them it holds.
///
/// # Errors
/// The system refuses one, or to bind it.
pub fn bound(
    interface: Option<&str>,
    listen: SocketAddrV4,
    buffer_bytes: usize,
) -> io::Result<(UdpSocket, usize)> {
    let socket = UdpSocket::bind(listen)?;
    match interface {
        Some(_) => Err(ErrorKind::Unsupported.into()),
        None => Ok((socket, buffer_bytes)),
    }
}

/// One path.
#[derive(Debug)]
pub struct Port {
    socket: UdpSocket,
    trouble: Option<io::Error>,
}

impl Port {
    /// A bound socket.
    ///
    /// # Errors
    /// The system refuses to read it without waiting.
    pub fn new(socket: UdpSocket) -> io::Result<Port> {
        socket.set_nonblocking(true)?;
        Ok(Port { socket, trouble: None })
    }

    /// The last error since this was asked.
    pub fn take_trouble(&mut self) -> Option<io::Error> {
        self.trouble.take()
    }
}

/// All paths of a link.
#[derive(Debug)]
pub struct Ports {
    ports: Vec<Port>,
    buffer: Vec<u8>,
}

impl Ports {
    /// In the order of the configuration.
    pub fn new(ports: Vec<Port>) -> Ports {
        Ports { ports, buffer: vec![0; BUFFER_BYTES] }
    }

    /// Hands over what came, at most so many datagrams of each path, with the number of its path.
    /// Whether there may be more.
    pub fn read(&mut self, most: usize, mut take: impl FnMut(usize, &mut [u8])) -> bool {
        let mut is_more = false;
        for (path, port) in self.ports.iter_mut().enumerate() {
            let mut count = 0_usize;
            while count < most {
                match port.socket.recv(&mut self.buffer) {
                    Ok(length) => take(path, self.buffer.get_mut(..length).unwrap_or_default()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // An error of the network, or of the interface: the next datagram may come all
                    // the same.
                    Err(error) => port.trouble = Some(error),
                }
                count = count.saturating_add(1);
            }
            is_more |= count == most;
        }
        is_more
    }

    /// For whoever waits until something came by one of them.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.ports.iter().map(|port| port.socket.as_fd())
    }

    /// Each path.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Port> {
        self.ports.iter_mut()
    }
}
