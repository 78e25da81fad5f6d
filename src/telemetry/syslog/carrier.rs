//! Carriers: how a line gets to a target. Every call has a limit in time; only workers call them.

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::line::{Lines, Numbered};
use super::stream::Stream;
use super::{LocalFormat, Target, Transport};

/// Longest wait for a connection, and for each step of a TLS handshake.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Longest wait for room in a socket. A target that takes nothing for that long is given up and
/// tried anew; its queue takes what comes meanwhile.
pub(super) const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How long a datagram to a port that refused before is watched for another refusal.
const REFUSAL_WITHIN: Duration = Duration::from_millis(50);

/// What a worker does with a target.
pub trait Carrier: Send {
    /// Opens what lines are sent through.
    ///
    /// # Errors
    /// The operating system's, or of TLS.
    fn connect(&mut self) -> io::Result<()>;

    /// Fails if the target is known to have gone.
    ///
    /// # Errors
    /// As above.
    fn check(&mut self) -> io::Result<()>;

    /// Sends one line. After an error it may have arrived all the same.
    ///
    /// # Errors
    /// As above; the connection is of no use any more.
    fn send(&mut self, line: Numbered<'_>) -> io::Result<()>;

    /// Whether lines that were sent can be lost when the connection breaks, so that they are
    /// sent again.
    fn is_stream(&self) -> bool;

    /// Says that nothing more comes. A server that has read everything answers by ending the
    /// connection too: the only word that syslog has for it.
    ///
    /// # Errors
    /// As above.
    fn end(&mut self) -> io::Result<()>;

    /// Whether the server has answered to [`Carrier::end`]: then it has read everything that was
    /// sent. Waits at most `within`, and may return before that.
    ///
    /// # Errors
    /// As above; what the server had not read is lost.
    fn has_ended(&mut self, within: Duration) -> io::Result<bool>;

    /// Gives the connection up.
    fn close(&mut self);
}

/// The carrier for a target.
pub(super) fn carrier(target: &Target, lines: Lines) -> Box<dyn Carrier> {
    match &target.transport {
        Transport::Journald { path } => {
            Box::new(Local { path: path.clone(), form: Form::Journald, lines, socket: None })
        }
        Transport::Local { path, format } => {
            let form = match format {
                LocalFormat::Rfc3164 => Form::Rfc3164,
                LocalFormat::Rfc5424 => Form::Rfc5424,
            };
            Box::new(Local { path: path.clone(), form, lines, socket: None })
        }
        Transport::Udp { addresses } => {
            let addresses = addresses.clone();
            Box::new(Udp { addresses, next: 0, lines, socket: None, refused: false })
        }
        Transport::Tcp { addresses } => Box::new(Stream::plain(addresses.clone(), lines)),
        Transport::Tls { addresses, config, server_name } => {
            Box::new(Stream::tls(addresses.clone(), lines, config.clone(), server_name.clone()))
        }
    }
}

/// A socket of this machine. Datagrams are either taken by the daemon's socket or refused at
/// once.
struct Local {
    path: PathBuf,
    form: Form,
    lines: Lines,
    socket: Option<LocalSocket>,
}

#[derive(Clone, Copy)]
enum Form {
    Journald,
    Rfc3164,
    Rfc5424,
}

enum LocalSocket {
    Datagram(UnixDatagram),
    /// Some daemons listen so; lines end with a zero byte then, as in every C library.
    Stream(UnixStream),
}

impl Carrier for Local {
    fn connect(&mut self) -> io::Result<()> {
        self.socket = None;
        let datagram = UnixDatagram::unbound()?;
        self.socket = Some(match datagram.connect(&self.path) {
            Ok(()) => {
                datagram.set_write_timeout(Some(WRITE_WITHIN))?;
                LocalSocket::Datagram(datagram)
            }
            Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => {
                let stream = UnixStream::connect(&self.path)?;
                stream.set_write_timeout(Some(WRITE_WITHIN))?;
                LocalSocket::Stream(stream)
            }
            Err(error) => return Err(error),
        });
        Ok(())
    }

    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn send(&mut self, line: Numbered<'_>) -> io::Result<()> {
        let mut bytes = match self.form {
            Form::Journald => self.lines.journald(line),
            Form::Rfc3164 => self.lines.rfc3164(line),
            Form::Rfc5424 => self.lines.rfc5424(line),
        };
        match &mut self.socket {
            Some(LocalSocket::Datagram(socket)) => socket.send(&bytes).map(drop),
            Some(LocalSocket::Stream(socket)) => {
                bytes.push(0);
                io::Write::write_all(socket, &bytes)
            }
            None => Err(ErrorKind::NotConnected.into()),
        }
    }

    fn is_stream(&self) -> bool {
        matches!(self.socket, Some(LocalSocket::Stream(_)))
    }

    fn end(&mut self) -> io::Result<()> {
        match &self.socket {
            Some(LocalSocket::Stream(socket)) => socket.shutdown(Shutdown::Write),
            Some(LocalSocket::Datagram(_)) | None => Ok(()),
        }
    }

    fn has_ended(&mut self, within: Duration) -> io::Result<bool> {
        match &mut self.socket {
            Some(LocalSocket::Stream(socket)) => {
                socket.set_read_timeout(Some(within))?;
                is_end(socket.read(&mut [0; 4_096]))
            }
            Some(LocalSocket::Datagram(_)) | None => Ok(true),
        }
    }

    fn close(&mut self) {
        self.socket = None;
    }
}

/// RFC 5426.
struct Udp {
    addresses: Vec<SocketAddr>,
    next: usize,
    lines: Lines,
    socket: Option<UdpSocket>,
    /// The port refused the last datagram: the next ones are watched.
    refused: bool,
}

impl Carrier for Udp {
    fn connect(&mut self) -> io::Result<()> {
        let address = pick(&self.addresses, &mut self.next)?;
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        // Connected, so that the kernel reports a port where nobody listens.
        socket.connect(&address.into())?;
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

/// Whether a read has found the end of a connection; what a server says is of no interest.
pub(super) fn is_end(read: io::Result<usize>) -> io::Result<bool> {
    match read {
        Ok(bytes) => Ok(bytes == 0),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The next of several addresses: one that doesn't answer isn't tried twice in a row.
pub(super) fn pick(addresses: &[SocketAddr], next: &mut usize) -> io::Result<SocketAddr> {
    let index = next.checked_rem(addresses.len()).unwrap_or(0);
    *next = index.wrapping_add(1);
    let missing = || io::Error::new(ErrorKind::AddrNotAvailable, "no address");
    addresses.get(index).copied().ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    use super::super::line::Identity;
    use super::super::{Facility, Selection, Worker};
    use super::*;
    use crate::event::{Event, Severity};
    use crate::record::Record;

    /// What a server of the test's own reads of one line: its `sequenceId`, and how many lines
    /// it reports as lost.
    fn receive(server: &UdpSocket) -> (u64, u64) {
        let mut buffer = [0; 4_096];
        let bytes = server.recv(&mut buffer).unwrap();
        let line = std::str::from_utf8(&buffer[..bytes]).unwrap();
        let number = |before: &str| {
            let (_, rest) = line.split_once(before)?;
            rest.split('"').next()?.parse::<u64>().ok()
        };
        (number("sequenceId=\"").unwrap(), number(" lost=\"").unwrap_or(0))
    }

    /// Each line that is sent while nobody has the port is refused, which the sender sees.
    #[test]
    fn a_udp_server_that_was_away_gets_what_waited_and_the_number_of_what_was_lost() {
        const QUEUE: usize = 16;
        let server = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let address = server.local_addr().unwrap();
        let target = Target {
            name: "udp".into(),
            transport: Transport::Udp { addresses: vec![address] },
            min_severity: Severity::Info,
            selection: Selection::All,
            facility: Facility::Daemon,
            enterprise: 1,
            time_synced: false,
            queue_lines: QUEUE,
        };
        let identity = Identity { hostname: "gate-1".into(), half: "ot", process_id: 1 };
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let (down, told_down) = crossbeam_channel::unbounded();
        let (queue, worker) = Worker::new(&target, &identity, stopped, Box::new(|_| {}));
        let worker = std::thread::spawn(move || {
            let reported = crate::capture::watch(move |record| {
                if record.event == Event::LogTargetDown {
                    let _ = down.send(());
                }
            });
            tracing::subscriber::with_default(reported, || worker.run(Duration::from_secs(20)))
        });
        let offer = |count: usize| {
            for _ in 0..count {
                queue.offer(&Arc::new(Record::new(UNIX_EPOCH, Event::CommandRefused)));
            }
        };
        offer(10);
        let mut last = 0;
        for number in 1..=10 {
            assert_eq!(receive(&server), (number, 0));
        }
        drop(server);
        // One is refused, and stays the next to be sent; the queue takes its number of others.
        offer(1);
        told_down.recv().unwrap();
        offer(100);
        let server = UdpSocket::bind(address).unwrap();
        let (mut arrived, mut reported) = (10, 0);
        while reported == 0 {
            let (sequence, lost) = receive(&server);
            assert!(sequence > last, "in order, none twice");
            (last, reported, arrived) = (sequence, lost, arrived + 1);
        }
        assert_eq!((arrived, reported), (10 + 1 + QUEUE as u64 + 1, 100 - QUEUE as u64));
        assert_eq!(arrived + reported, last, "every number is there, or reported");
        drop(stop);
        assert_eq!(worker.join().unwrap(), super::super::Shortfall::default());
    }
}
