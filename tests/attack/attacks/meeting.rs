//! Both halves taken over, and a third process that both can reach: the intruder leaves a word there,
//! and its confederate, with the rights of the other half under the same layers, asks for it.
//!
//! All of these run with what `[[syslog]] to = "journald"` or `"local"` opens: sockets of the machine.

use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use sandbox::Need;
use sandbox::raw::call;

use super::{Attack, Ground, Who, attack};
use crate::bus;
use crate::third::{ASK, BUS, BUSY_LOG, LOG, PACKETS, STREAM};

/// How long a confederate waits for a word that the intruder has left already.
const WITHIN: Duration = Duration::from_secs(2);
/// How long a log daemon's queue is waited for: there is no other way to do without waiting under every
/// filter.
const AT_ONCE: Duration = Duration::from_millis(5);
const NEEDS: &[Need] = &[Need::UnixDatagrams];

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        attack(Who::All, "(control) log to a daemon of this machine", |ground| {
            leave_by_datagram(ground, LOG)
        })
        .control()
        .needs(NEEDS),
        attack(Who::All, "meeting at a third process: the message bus", |ground| {
            let mut bus = bus::Connection::open(&ground.place.third(BUS))?;
            bus.signal(&ground.place.word())
        })
        .confederate(|ground, listen| {
            let mut bus = bus::Connection::open(&ground.place.third(BUS))?;
            bus.subscribe()?;
            listen()?;
            bus.await_word(&ground.place.word(), WITHIN)
        })
        .needs(NEEDS)
        .missing_here("`dbus-daemon` may not be installed"),
        attack(Who::All, "meeting at a third process: a stream socket", |ground| {
            leave(ground, UnixStream::connect(ground.place.third(STREAM))?)
        })
        .confederate(|ground, listen| {
            let stream = UnixStream::connect(ground.place.third(STREAM))?;
            listen()?;
            ask(ground, stream)
        })
        .needs(NEEDS),
        attack(Who::All, "meeting at a third process: a socket of packets", |ground| {
            leave(ground, packets(ground)?)
        })
        .confederate(|ground, listen| {
            let packets = packets(ground)?;
            listen()?;
            ask(ground, packets)
        })
        .needs(NEEDS),
        attack(Who::All, "meeting at a third process: an abstract stream socket", |ground| {
            leave(ground, abstract_stream(ground)?)
        })
        .confederate(|ground, listen| {
            let stream = abstract_stream(ground)?;
            listen()?;
            ask(ground, stream)
        })
        .needs(NEEDS),
        attack(Who::All, "meeting at a log daemon that answers, by a named socket", |ground| {
            leave_by_datagram(ground, LOG)
        })
        .confederate(|ground, listen| {
            let socket = UnixDatagram::bind(ground.place.own("answers"))?;
            listen()?;
            ask_by_datagram(ground, &socket)
        })
        .needs(NEEDS),
        attack(Who::All, "meeting at a log daemon that answers, by a name of the kernel's", |ground| {
            leave_by_datagram(ground, LOG)
        })
        .confederate(|ground, listen| {
            // The kernel names a socket that wants credentials when it is connected.
            let socket = match sandbox::dial(sandbox::Peer::Local(&ground.place.third(LOG))) {
                Some(dialled) => dialled?.into(),
                None => UnixDatagram::unbound()?,
            };
            let fd = i64::from(std::os::fd::AsRawFd::as_raw_fd(&socket));
            let (yes, size) = (1_i32.to_ne_bytes(), 4);
            let option = [libc::SOL_SOCKET, libc::SO_PASSCRED];
            call(libc::SYS_setsockopt, &[&fd, &option[0], &option[1], &&yes[..], &size])?;
            listen()?;
            ask_by_datagram(ground, &socket)
        })
        .needs(NEEDS),
        attack(Who::All, "meeting at the queue of a busy log daemon", |ground| {
            // More than one, since the sender's own room may end before that of the queue.
            for _ in 0..8 {
                let socket = log_socket(ground, BUSY_LOG)?;
                socket.set_write_timeout(Some(AT_ONCE))?;
                // Ends: the queue has a length.
                while rustix::io::write(&socket, b"x").is_ok() {}
            }
            Ok(())
        })
        .confederate(|ground, listen| {
            let socket = log_socket(ground, BUSY_LOG)?;
            socket.set_write_timeout(Some(AT_ONCE))?;
            let send = || rustix::io::write(&socket, b"x");
            send()?;
            listen()?;
            // Full: somebody has said something.
            match send() {
                Err(Errno::AGAIN) => Ok(()),
                Err(error) => Err(error.into()),
                Ok(_) => Err(nothing()),
            }
        })
        .needs(NEEDS)
        .bounded_outside(
            "logs of a half's own: with local logs of both halves at one daemon each can see whether \
             its queue is full, which `cargo bench --bench reverse` measures; a log namespace for each \
             half, or logs over each side's network, take it away (hardening page)",
        ),
    ]
}

fn log_socket(ground: &Ground, name: &str) -> io::Result<UnixDatagram> {
    let path = ground.place.third(name);
    // As a half does: from the dialling process where it has one.
    if let Some(dialled) = sandbox::dial(sandbox::Peer::Local(&path)) {
        return Ok(dialled?.into());
    }
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(socket)
}

fn leave_by_datagram(ground: &Ground, name: &str) -> io::Result<()> {
    // As a log does.
    Ok(rustix::io::write(log_socket(ground, name)?, ground.place.word().as_bytes()).map(drop)?)
}

fn ask_by_datagram(ground: &Ground, socket: &UnixDatagram) -> io::Result<()> {
    socket.set_read_timeout(Some(WITHIN))?;
    socket.connect(ground.place.third(LOG))?;
    socket.send(ASK)?;
    let mut answer = [0; 256];
    let bytes = socket.recv(&mut answer)?;
    is_word(ground, &answer[..bytes])
}

fn packets(ground: &Ground) -> io::Result<UnixStream> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(ground.place.third(PACKETS))?)?;
    Ok(UnixStream::from(socket))
}

fn abstract_stream(ground: &Ground) -> io::Result<UnixStream> {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(&ground.place.third_abstract)?)
}

fn leave(ground: &Ground, mut stream: UnixStream) -> io::Result<()> {
    stream.write_all(ground.place.word().as_bytes())?;
    stream.read(&mut [0; 16]).map(drop)
}

fn ask(ground: &Ground, mut stream: UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(WITHIN))?;
    stream.write_all(ASK)?;
    let mut answer = [0; 256];
    let bytes = stream.read(&mut answer)?;
    is_word(ground, &answer[..bytes])
}

fn is_word(ground: &Ground, answer: &[u8]) -> io::Result<()> {
    if answer == ground.place.word().as_bytes() { Ok(()) } else { Err(nothing()) }
}

/// Nobody has left a word.
fn nothing() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}
