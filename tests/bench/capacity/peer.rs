//! The broker's end of one connection, as much of it as a half needs: it answers what wants an
//! answer, and hands over what is published.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

use crate::mqtt::{self, Packet, Publish};

const READ_BYTES: usize = 64 * 1024;
/// Reads of one turn: others wait for theirs.
const READS: usize = 8;

pub(super) struct Peer {
    pub(super) stream: TcpStream,
    tls: Option<Box<ServerConnection>>,
    buffer: Vec<u8>,
    filled: usize,
    /// What isn't handed to the kernel, or to TLS, yet.
    pub(super) unsent: Vec<u8>,
}

impl Peer {
    pub(super) fn new(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Peer {
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        let tls = tls.map(|config| Box::new(ServerConnection::new(Arc::clone(config)).unwrap()));
        Peer { stream, tls, buffer: vec![0; READ_BYTES], filled: 0, unsent: Vec::new() }
    }

    /// Takes what is there; false: the other side has ended.
    pub(super) fn receive(&mut self, mut published: impl FnMut(Publish<'_>)) -> bool {
        for _ in 0..READS {
            if self.filled == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            let read = match self.read() {
                Ok(0) => return false,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            };
            self.filled += read;
            let mut at = 0;
            while let Some(packet) = Packet::first_of(&self.buffer[at..self.filled]) {
                at += packet.bytes;
                match packet.publish() {
                    Some(publish) => {
                        if let Some(id) = publish.id {
                            mqtt::puback(&mut self.unsent, id);
                        }
                        published(publish);
                    }
                    None => mqtt::answer(&mut self.unsent, &packet),
                }
            }
            self.buffer.copy_within(at..self.filled, 0);
            self.filled -= at;
            if read < READ_BYTES / 2 && self.tls.is_none() {
                return true;
            }
        }
        true
    }

    fn read(&mut self) -> std::io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.stream.read(&mut self.buffer[self.filled..]);
        };
        loop {
            match tls.reader().read(&mut self.buffer[self.filled..]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => return other,
            }
            if tls.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(std::io::Error::other)?;
            // Of the handshake.
            while tls.wants_write() && tls.write_tls(&mut self.stream).is_ok() {}
        }
    }

    /// Whether everything is handed to the kernel.
    pub(super) fn flush(&mut self) -> bool {
        let mut done = 0;
        let all = loop {
            let rest = &self.unsent[done..];
            let written = match &mut self.tls {
                None if rest.is_empty() => break true,
                None => self.stream.write(rest),
                Some(tls) => {
                    // It takes so much, and no more until that has left.
                    done += tls.writer().write(rest).unwrap_or(0);
                    if !tls.wants_write() {
                        break done == self.unsent.len();
                    }
                    tls.write_tls(&mut self.stream).map(|_| 0)
                }
            };
            match written {
                Ok(written) => done += written,
                // What has ended is noticed where it is read.
                Err(_) => break false,
            }
        };
        self.unsent.drain(..done);
        all
    }
}
