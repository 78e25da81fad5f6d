//! As much of D-Bus as two intruders need to speak to each other over a message bus.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

const BUS: &str = "org.freedesktop.DBus";
const INTERFACE: &str = "sparkdiode.Attack";
const METHOD_CALL: u8 = 1;
const SIGNAL: u8 = 4;
/// Longest wait for an answer of the bus.
const WITHIN: Duration = Duration::from_secs(5);

/// A connection that is known to the bus.
pub(crate) struct Connection {
    stream: UnixStream,
    serial: u32,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(path: &Path) -> io::Result<Connection> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(WITHIN))?;
        let user = rustix::process::geteuid().as_raw().to_string();
        let hex: String = user.bytes().map(|byte| format!("{byte:02x}")).collect();
        stream.write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let mut answer = [0; 256];
        let bytes = stream.read(&mut answer)?;
        if !answer[..bytes].starts_with(b"OK ") {
            return Err(io::Error::from_raw_os_error(libc::EACCES));
        }
        stream.write_all(b"BEGIN\r\n")?;
        let mut connection = Connection { stream, serial: 0, read: Vec::new() };
        connection.call("Hello", None)?;
        Ok(connection)
    }

    /// Says `word` to whoever has subscribed.
    pub(crate) fn signal(&mut self, word: &str) -> io::Result<()> {
        let fields = [(1, 'o', "/sparkdiode"), (2, 's', INTERFACE), (3, 's', "Word")];
        self.send(SIGNAL, &fields, Some(word))?;
        // The bus has taken it when it answers what comes after it.
        self.call("GetId", None)
    }

    pub(crate) fn subscribe(&mut self) -> io::Result<()> {
        self.call("AddMatch", Some(&format!("type='signal',interface='{INTERFACE}'")))
    }

    /// Waits until somebody has said `word`.
    pub(crate) fn await_word(&mut self, word: &str, within: Duration) -> io::Result<()> {
        self.await_bytes(word.as_bytes(), within)
    }

    /// Calls a method of the bus, and waits for the answer.
    fn call(&mut self, member: &str, argument: Option<&str>) -> io::Result<()> {
        let path = "/org/freedesktop/DBus";
        let fields = [(1, 'o', path), (2, 's', BUS), (3, 's', member), (6, 's', BUS)];
        let serial = self.send(METHOD_CALL, &fields, argument)?;
        // REPLY_SERIAL: the field's number, its type, padding, and the call's number.
        let mut reply = vec![5, 1, b'u', 0];
        reply.extend(serial.to_le_bytes());
        self.await_bytes(&reply, WITHIN)
    }

    fn await_bytes(&mut self, wanted: &[u8], within: Duration) -> io::Result<()> {
        let until = Instant::now() + within;
        let mut bytes = [0; 4_096];
        while !self.read.windows(wanted.len()).any(|window| window == wanted) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut bytes)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.read.extend_from_slice(&bytes[..count]),
            }
        }
        self.read.clear();
        Ok(())
    }

    /// A message, as the D-Bus specification lays it out, little endian; its number.
    fn send(
        &mut self,
        kind: u8,
        fields: &[(u8, char, &str)],
        argument: Option<&str>,
    ) -> io::Result<u32> {
        self.serial += 1;
        let body = argument.map_or_else(Vec::new, string);
        let mut array = Vec::new();
        for (number, kind, text) in fields {
            pad(&mut array);
            array.extend([*number, 1, *kind as u8, 0]);
            array.extend(string(text));
        }
        if argument.is_some() {
            pad(&mut array);
            // SIGNATURE: one string.
            array.extend([8, 1, b'g', 0, 1, b's', 0]);
        }
        let mut message = vec![b'l', kind, 0, 1];
        message.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        message.extend(self.serial.to_le_bytes());
        message.extend(u32::try_from(array.len()).unwrap().to_le_bytes());
        message.extend(array);
        pad(&mut message);
        message.extend(body);
        self.stream.write_all(&message)?;
        Ok(self.serial)
    }
}

/// Length, text, and a zero byte.
fn string(text: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(text.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes.push(0);
    bytes
}

/// To a multiple of eight.
fn pad(bytes: &mut Vec<u8>) {
    while !bytes.len().is_multiple_of(8) {
        bytes.push(0);
    }
}
