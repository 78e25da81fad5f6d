//! Carrier to a daemon of this machine: journald, or what listens on `/dev/log`.

use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use super::carrier::{Carrier, WRITE_WITHIN, is_end};
use super::line::{Lines, Numbered};

/// A socket of this machine. Datagrams are either taken by the daemon's socket or refused at
/// once.
pub(super) struct Local {
    path: PathBuf,
    form: Form,
    lines: Lines,
    socket: Option<LocalSocket>,
}

#[derive(Clone, Copy)]
pub(super) enum Form {
    Journald,
    Rfc3164,
    Rfc5424,
}

enum LocalSocket {
    Datagram(UnixDatagram),
    /// Some daemons listen so; lines end with a zero byte then, as in every C library.
    Stream(UnixStream),
}

impl Local {
    pub(super) fn new(path: PathBuf, form: Form, lines: Lines) -> Local {
        Local { path, form, lines, socket: None }
    }
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
