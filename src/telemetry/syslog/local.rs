//! Carrier to a daemon of this machine: journald, or what listens on `/dev/log`. Datagrams alone: a
//! stream is a way for an answer, and both halves could meet at the process that gives it.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use sandbox::Peer;

use super::carrier::{Carrier, WRITE_WITHIN};
use super::line::{Lines, Numbered};

/// A socket of this machine. Datagrams are either taken by the daemon's socket or refused at
/// once.
pub(super) struct Local {
    path: PathBuf,
    form: Form,
    lines: Lines,
    socket: Option<UnixDatagram>,
}

#[derive(Clone, Copy)]
pub(super) enum Form {
    Journald,
    Rfc3164,
    Rfc5424,
}

impl Local {
    pub(super) fn new(path: PathBuf, form: Form, lines: Lines) -> Local {
        Local { path, form, lines, socket: None }
    }
}

impl Carrier for Local {
    fn connect(&mut self) -> io::Result<()> {
        self.socket = None;
        let socket = match sandbox::dial(Peer::Local(&self.path)) {
            Some(dialled) => UnixDatagram::from(dialled.map_err(of_another_type)?),
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(&self.path).map_err(of_another_type)?;
                socket
            }
        };
        socket.set_write_timeout(Some(WRITE_WITHIN))?;
        self.socket = Some(socket);
        Ok(())
    }

    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn send(&mut self, line: Numbered<'_>) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Err(ErrorKind::NotConnected.into()) };
        let bytes = match self.form {
            Form::Journald => self.lines.journald(line),
            Form::Rfc3164 => self.lines.rfc3164(line),
            Form::Rfc5424 => self.lines.rfc5424(line),
        };
        // A call that the ends of the link have too.
        Ok(rustix::io::write(socket, &bytes).map(drop)?)
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

/// Says what to do where the daemon listens on a stream socket.
fn of_another_type(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EPROTOTYPE) => io::Error::new(
            ErrorKind::Unsupported,
            "the daemon listens on a stream socket; wanted: datagrams (`unix-dgram`)",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::super::line::Identity;
    use super::super::{Facility, LocalFormat, Selection, Target, Transport};
    use super::*;
    use crate::event::Severity;

    #[test]
    fn a_daemon_that_listens_on_a_stream_is_not_connected_to_and_the_error_says_what_is_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let identity = Identity { hostname: "gate-1".into(), half: "ot", process_id: 1 };
        let target = Target {
            name: "local".into(),
            transport: Transport::Local { path: path.clone(), format: LocalFormat::Rfc3164 },
            min_severity: Severity::Info,
            selection: Selection::All,
            facility: Facility::Daemon,
            enterprise: 1,
            time_synced: false,
            queue_lines: 16,
        };
        let lines = Lines::new(&target, &identity);
        let error = Local::new(path, Form::Rfc3164, lines).connect().unwrap_err();
        assert!(error.to_string().ends_with("wanted: datagrams (`unix-dgram`)"), "{error}");
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}
