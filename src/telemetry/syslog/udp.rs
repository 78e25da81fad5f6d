//! Carrier over UDP (RFC 5426): a datagram a line.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use sandbox::Peer;
use socket2::{Domain, Socket, Type};

use super::carrier::{Carrier, WRITE_WITHIN, pick};
use super::line::{Lines, Numbered};

/// How long a datagram to a port that refused before is watched for another refusal.
const REFUSAL_WITHIN: Duration = Duration::from_millis(50);

/// Where the datagrams go.
pub(super) struct Udp {
    addresses: Vec<SocketAddr>,
    next: usize,
    lines: Lines,
    socket: Option<UdpSocket>,
    /// The port refused the last datagram: the next ones are watched.
    refused: bool,
}

impl Udp {
    pub(super) fn new(addresses: Vec<SocketAddr>, lines: Lines) -> Udp {
        Udp { addresses, next: 0, lines, socket: None, refused: false }
    }
}

impl Carrier for Udp {
    fn connect(&mut self) -> io::Result<()> {
        let address = pick(&self.addresses, &mut self.next)?;
        // Connected, so that the kernel reports a port where nobody listens.
        let socket = match sandbox::dial(Peer::Udp(address)) {
            Some(dialled) => Socket::from(dialled?),
            None => {
                let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
                socket.connect(&address.into())?;
                socket
            }
        };
        socket.set_write_timeout(Some(WRITE_WITHIN))?;
        socket.set_read_timeout(Some(REFUSAL_WITHIN))?;
        self.socket = Some(socket.into());
        Ok(())
    }

    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn send(&mut self, line: Numbered<'_>) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Err(ErrorKind::NotConnected.into()) };
        let bytes = self.lines.rfc5424(line);
        // A refusal of an earlier datagram comes with the next call; then this one wasn't sent.
        let sent = match socket.send(&bytes) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused && !self.refused => {
                self.refused = true;
                socket.send(&bytes)
            }
            sent => sent,
        };
        // On this machine a refusal is there at once, on a network a little later: that long is
        // waited only for a target that has refused before.
        let refusal = match sent {
            Err(error) => Some(error),
            Ok(_) if self.refused => match socket.recv(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => Some(error),
                _ => None,
            },
            Ok(_) => socket.take_error()?,
        };
        self.refused = refusal.is_some();
        refusal.map_or(Ok(()), Err)
    }

    fn is_stream(&self) -> bool {
        false
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn has_ended(&mut self, _: Duration) -> io::Result<bool> {
        Ok(true)
    }

    fn close(&mut self) {
        self.socket = None;
    }
}
