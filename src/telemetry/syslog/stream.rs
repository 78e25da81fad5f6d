//! TCP with octet counting (RFC 6587 §3.4.1), plain or in TLS (RFC 5425).

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConnection;
use rustls_pki_types::ServerName;
use sandbox::Peer;
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tls::{FIRST_BYTES, Source};

use super::carrier::{CONNECT_WITHIN, Carrier, SERVER, WRITE_WITHIN, is_end, pick};
use super::line::{Lines, Numbered};

/// Size of the socket's send buffer: what it holds is lost with the server, and is sent again.
const SEND_BUFFER_BYTES: usize = 32 * 1024;
/// A server that refuses our certificate says so after its side of the handshake (TLS 1.3): lines
/// that were sent before would be lost. It is waited that long for a word.
const SETTLE_WITHIN: Duration = Duration::from_millis(200);
/// A connection on which nothing is heard for this long is probed, so that one that a firewall
/// has forgotten is noticed before a line is lost on it.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// A connection, and how it is made.
pub(super) struct Stream {
    addresses: Vec<SocketAddr>,
    next: usize,
    lines: Lines,
    tls: Option<(Arc<Source>, ServerName<'static>)>,
    link: Option<Link>,
}

struct Link {
    socket: TcpStream,
    tls: Option<ClientConnection>,
    /// The server has said in TLS that it ends the connection; what is left to come is the end.
    goodbye: bool,
}

impl Stream {
    pub(super) fn plain(addresses: Vec<SocketAddr>, lines: Lines) -> Stream {
        Stream { addresses, next: 0, lines, tls: None, link: None }
    }

    pub(super) fn tls(
        addresses: Vec<SocketAddr>,
        lines: Lines,
        source: Arc<Source>,
        server_name: ServerName<'static>,
    ) -> Stream {
        Stream { addresses, next: 0, lines, tls: Some((source, server_name)), link: None }
    }
}

impl Carrier for Stream {
    fn connect(&mut self) -> io::Result<()> {
        self.link = None;
        let address = pick(&self.addresses, &mut self.next)?;
        let dialled = sandbox::dial(Peer::TcpWaiting(address)).transpose()?;
        let is_dialled = dialled.is_some();
        let socket = match dialled {
            Some(dialled) => Socket::from(dialled),
            None => Socket::new(Domain::for_address(address), Type::STREAM, None)?,
        };
        socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE))?;
        socket.set_tcp_nodelay(true)?;
        // Linux takes this for a limit of the connection attempt too, which needs no other
        // system call that way.
        socket.set_write_timeout(Some(CONNECT_WITHIN))?;
        let connected = match is_dialled {
            // Nothing is sent, and that waits until the connection stands, or doesn't.
            true => socket.send(&[]).map(drop),
            false => socket.connect(&address.into()),
        };
        connected.map_err(timed_out)?;
        socket.set_write_timeout(Some(WRITE_WITHIN))?;
        let socket = TcpStream::from(socket);
        let mut link = Link { socket, tls: None, goodbye: false };
        if let Some((source, name)) = &self.tls {
            let connection =
                ClientConnection::new(source.client(), name.clone()).map_err(io::Error::other)?;
            link.tls = Some(connection);
            link.shake_hands()?;
        }
        self.link = Some(link);
        Ok(())
    }

    fn check(&mut self) -> io::Result<()> {
        match &mut self.link {
            Some(link) => link.check(),
            None => Err(ErrorKind::NotConnected.into()),
        }
    }

    fn send(&mut self, line: Numbered<'_>) -> io::Result<()> {
        let Some(link) = &mut self.link else { return Err(ErrorKind::NotConnected.into()) };
        let line = self.lines.rfc5424(line);
        let mut framed = line.len().to_string().into_bytes();
        framed.push(b' ');
        framed.extend_from_slice(&line);
        let sent = link.write(&framed);
        if sent.is_err() {
            self.link = None;
        }
        sent
    }

    fn is_stream(&self) -> bool {
        true
    }

    fn end(&mut self) -> io::Result<()> {
        self.link.as_mut().map_or(Ok(()), Link::end)
    }

    fn has_ended(&mut self, within: Duration) -> io::Result<bool> {
        match &mut self.link {
            Some(link) => link.has_ended(within),
            None => Err(ErrorKind::NotConnected.into()),
        }
    }

    fn close(&mut self) {
        self.link = None;
    }
}

/// A socket of which is kept what came first.
struct Overheard<'a> {
    socket: &'a TcpStream,
    first: Vec<u8>,
}

impl Read for Overheard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.socket.read(buffer)?;
        let kept = buffer.get(..bytes.min(FIRST_BYTES)).unwrap_or_default();
        if self.first.is_empty() {
            self.first.extend_from_slice(kept);
        }
        Ok(bytes)
    }
}

impl Write for Overheard<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// An error of the TLS handshake, of which `first` came first.
fn in_handshake(error: io::Error, first: &[u8]) -> io::Error {
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
        let seconds = CONNECT_WITHIN.as_secs();
        let port = if first.is_empty() { ": is that a port for TLS?" } else { "" };
        let text = format!("no answer to our TLS handshake for {seconds} s{port}");
        return io::Error::new(ErrorKind::TimedOut, text);
    }
    tls::in_handshake(error, first, SERVER)
}

/// What the kernel says of a connection attempt that took too long.
fn timed_out(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EINPROGRESS | libc::EAGAIN) => {
            io::Error::new(ErrorKind::TimedOut, "no answer in time")
        }
        _ => error,
    }
}

impl Link {
    fn shake_hands(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        self.socket.set_read_timeout(Some(CONNECT_WITHIN))?;
        let mut overheard = Overheard { socket: &self.socket, first: Vec::new() };
        while tls.is_handshaking() {
            tls.complete_io(&mut overheard)
                .map_err(|error| in_handshake(error, &overheard.first))?;
        }
        self.socket.set_read_timeout(Some(SETTLE_WITHIN))?;
        self.read_once()
    }

    /// Takes what the server says, if anything, without waiting. A syslog server says nothing of
    /// meaning; but unread bytes would make the end of the connection a reset, which throws away
    /// what the server hasn't read.
    fn check(&mut self) -> io::Result<()> {
        let peek = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        let mut byte = [MaybeUninit::uninit()];
        match SockRef::from(&self.socket).recv_with_flags(&mut byte, peek) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
            // There is something, so this doesn't wait.
            Ok(_) => self.read_once(),
        }
    }

    /// One read, with the socket's patience. Fails if the server has ended the connection.
    fn read_once(&mut self) -> io::Result<()> {
        let read = match &mut self.tls {
            None => self.socket.read(&mut [0; 4_096]),
            Some(tls) => match tls.read_tls(&mut self.socket) {
                Ok(bytes @ 1..) => {
                    let closed = take_in(tls)?;
                    // An answer that TLS itself asks for, such as to a new key.
                    while tls.wants_write() {
                        tls.write_tls(&mut self.socket)?;
                    }
                    if closed { Ok(0) } else { Ok(bytes) }
                }
                read => read,
            },
        };
        if is_end(read)? {
            return Err(io::Error::new(
                ErrorKind::ConnectionAborted,
                "the server has ended the connection",
            ));
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => self.socket.write_all(bytes),
            Some(tls) => {
                tls.writer().write_all(bytes)?;
                while tls.wants_write() {
                    tls.write_tls(&mut self.socket)?;
                }
                Ok(())
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            while tls.wants_write() {
                tls.write_tls(&mut self.socket)?;
            }
        }
        self.socket.shutdown(Shutdown::Write)
    }

    /// The end of the connection is the kernel's word that nothing was left unread: else it would
    /// be a reset. In TLS somebody in between could forge that; but rsyslog ends a connection
    /// without a word of TLS, so no more than that can be asked for.
    fn has_ended(&mut self, within: Duration) -> io::Result<bool> {
        self.socket.set_read_timeout(Some(within))?;
        let Some(tls) = self.tls.as_mut().filter(|_| !self.goodbye) else {
            return is_end(self.socket.read(&mut [0; 4_096]));
        };
        let ended = is_end(tls.read_tls(&mut self.socket))?;
        // Fails where the server complains, and what it complains about it hasn't taken.
        self.goodbye = take_in(tls)?;
        Ok(ended)
    }
}

/// Takes what was read, and throws away what it says; whether the server ends the connection.
fn take_in(tls: &mut ClientConnection) -> io::Result<bool> {
    let state = tls.process_new_packets().map_err(io::Error::other)?;
    let mut left = state.plaintext_bytes_to_read();
    while left > 0 {
        left = left.saturating_sub(tls.reader().read(&mut [0; 4_096])?.max(1));
    }
    Ok(state.peer_has_closed())
}
