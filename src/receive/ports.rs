//! Sockets of the link, one for each path: UDP that is read and never written.
//!
//! The system hands over many datagrams at once: several messages in a call, and in each, where one
//! sender's follow each other, as many as it has put together (generic receive offload).

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Room for the longest datagram of UDP, or as many as the system puts together: one that is longer
/// than the link's is seen to be.
const BUFFER_BYTES: usize = 65_536;
/// Messages of one call.
const BUFFERS: usize = 8;

/// A socket for [`Port::new`] that can't be made to send, and the bytes of datagrams that it can hold
/// back, of the wanted `buffer_bytes`. `interface`: by which they have to come. To be called before the
/// process gives up its rights: with them more can be had than `net.core.rmem_max`.
///
/// # Errors
/// There is no such interface or address, or somebody else has it; the system refuses.
pub fn bound(
    interface: Option<&str>,
    listen: SocketAddrV4,
    buffer_bytes: usize,
) -> io::Result<(UdpSocket, usize)> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    let forced = rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, buffer_bytes);
    if forced.is_err() {
        socket.set_recv_buffer_size(buffer_bytes)?;
    }
    // The kernel takes twice as much, for what it keeps beside them.
    let granted = socket.recv_buffer_size()?.checked_div(2).unwrap_or(0);
    let socket = sandbox::only_receives(UdpSocket::from(socket))?;
    SockRef::from(&socket).bind(&listen.into())?;
    Ok((socket, granted))
}

/// One path.
#[derive(Debug)]
pub struct Port {
    socket: UdpSocket,
    batches: UdpSocketState,
    dropped: u64,
    trouble: Option<io::Error>,
}

impl Port {
    /// A bound socket.
    ///
    /// # Errors
    /// The system refuses to read it without waiting.
    pub fn new(socket: UdpSocket) -> io::Result<Port> {
        let batches = UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(Port { socket, batches, dropped: 0, trouble: None })
    }

    /// Datagrams that its full buffer has dropped so far.
    pub fn dropped(&mut self) -> u64 {
        // The kernel's number has 32 bits, and so has what came since the last.
        if let Ok(now) = sandbox::dropped(&self.socket) {
            let more = now.wrapping_sub(self.dropped as u32);
            self.dropped = self.dropped.saturating_add(more.into());
        }
        self.dropped
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
    buffers: Vec<u8>,
}

impl Ports {
    /// In the order of the configuration.
    pub fn new(ports: Vec<Port>) -> Ports {
        Ports { ports, buffers: vec![0; BUFFER_BYTES.saturating_mul(BUFFERS)] }
    }

    /// Hands over what came, at most about so many datagrams of each path, with the number of its path.
    /// Whether there may be more.
    pub fn read(&mut self, most: usize, mut take: impl FnMut(usize, &mut [u8])) -> bool {
        let mut is_more = false;
        for (path, port) in self.ports.iter_mut().enumerate() {
            let mut count = 0_usize;
            while count < most {
                let mut metas = [RecvMeta::default(); BUFFERS];
                match port.receive(&mut self.buffers, &mut metas) {
                    Ok(messages) => {
                        let buffers = self.buffers.chunks_mut(BUFFER_BYTES);
                        for (buffer, meta) in buffers.zip(&metas).take(messages) {
                            let bytes = buffer.get_mut(..meta.len).unwrap_or_default();
                            count =
                                count.saturating_add(hand_over(bytes, meta.stride, |datagram| {
                                    take(path, datagram);
                                }));
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // An error of the network, or of the interface: the next datagram may come all
                    // the same.
                    Err(error) => {
                        port.trouble = Some(error);
                        count = count.saturating_add(1);
                    }
                }
            }
            is_more |= count >= most;
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

impl Port {
    /// How many messages came.
    fn receive(&self, buffers: &mut [u8], metas: &mut [RecvMeta; BUFFERS]) -> io::Result<usize> {
        let mut places = [const { None }; BUFFERS];
        for (place, buffer) in places.iter_mut().zip(buffers.chunks_mut(BUFFER_BYTES)) {
            *place = Some(buffer);
        }
        let mut slices = places.map(|place| IoSliceMut::new(place.unwrap_or_default()));
        self.batches.recv(UdpSockRef::from(&self.socket), &mut slices, metas)
    }
}

/// Takes a message apart; how many datagrams it had. An empty one is one too.
fn hand_over(bytes: &mut [u8], stride: usize, mut take: impl FnMut(&mut [u8])) -> usize {
    if bytes.is_empty() {
        take(bytes);
        return 1;
    }
    let datagrams = bytes.chunks_mut(stride.max(1));
    let count = datagrams.len();
    datagrams.for_each(take);
    count
}

#[cfg(test)]
mod tests;
