//! Sockets of the link that carry data in one direction only, whoever has the process: what makes them so
//! can't be taken back, by root neither.
//!
//! ```text
//!  send      a filter that drops whatever comes, locked: nothing is ever there to be read
//!  receive   shut for writing: every way to send ends with EPIPE, connected or not
//! ```
//!
//! They get high numbers as descriptors, by which the filters of system calls know them: `read` and
//! `write` are for others, and what sends or receives is for these.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown};

/// Sockets of the link have descriptors from this number on, and a sealed end of the link has no
/// others there.
pub const LINK_DESCRIPTORS: u32 = 512;

/// Index of the datagrams that a full buffer dropped (`SK_MEMINFO_DROPS`), and the length of what the
/// kernel tells beside it.
const DROPS: usize = 8;
const MEMORY_INFO: usize = 9;

/// Makes a socket one that never has anything to read. What came before is thrown away.
///
/// # Errors
/// The kernel refuses; the process may have fewer than [`LINK_DESCRIPTORS`] files open.
pub fn only_sends(socket: UdpSocket) -> io::Result<UdpSocket> {
    let socket = high(OwnedFd::from(socket))?;
    let mut nothing = [libc::sock_filter {
        // Accept 0 bytes: drop.
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    }];
    let program = libc::sock_fprog { len: 1, filter: nothing.as_mut_ptr() };
    set(socket.as_fd(), libc::SO_ATTACH_FILTER, &program)?;
    set(socket.as_fd(), libc::SO_LOCK_FILTER, &1_i32)?;
    loop {
        match rustix::net::recv(&socket, &mut [0_u8; 1], RecvFlags::DONTWAIT) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(UdpSocket::from(socket)),
            // What a router said about something else.
            Err(error) if error == Errno::CONNREFUSED || error == Errno::HOSTUNREACH => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Makes a socket one that nothing can be sent with.
///
/// # Errors
/// The same.
pub fn only_receives(socket: UdpSocket) -> io::Result<UdpSocket> {
    let socket = high(OwnedFd::from(socket))?;
    match rustix::net::shutdown(&socket, Shutdown::Write) {
        // It is said of a socket without a peer, and done all the same.
        Ok(()) | Err(Errno::NOTCONN) => Ok(UdpSocket::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// Datagrams that this socket's full buffer has dropped so far; it begins anew at 2³².
///
/// # Errors
/// The kernel doesn't tell (before Linux 4.12).
pub fn dropped(socket: &UdpSocket) -> io::Result<u32> {
    let mut info = [0_u32; MEMORY_INFO];
    let mut length = libc::socklen_t::try_from(size_of_val(&info)).unwrap_or(0);
    // SAFETY: the kernel writes at most `length` bytes, which is what there is behind `info`, and the
    // length itself.
    #[expect(unsafe_code, reason = "no safe call asks for it")]
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let told = usize::try_from(length).unwrap_or(0).checked_div(size_of::<u32>()).unwrap_or(0);
    let drops = info.get(DROPS).filter(|_| told > DROPS);
    drops.copied().ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// The same socket under a number that its filter knows.
fn high(socket: OwnedFd) -> io::Result<OwnedFd> {
    let from = i32::try_from(LINK_DESCRIPTORS).unwrap_or(i32::MAX);
    rustix::io::fcntl_dupfd_cloexec(&socket, from).map_err(|error| match error {
        Errno::INVAL => io::Error::other(format!(
            "sockets of the link have numbers from {LINK_DESCRIPTORS} on, and fewer files may be open \
             here (`ulimit -n`, `LimitNOFILE=`)"
        )),
        error => error.into(),
    })
}

fn set<T>(socket: BorrowedFd<'_>, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    // SAFETY: the kernel reads `length` bytes of `value`, and what that refers to, which lives as long.
    #[expect(unsafe_code, reason = "no safe call locks a filter")]
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            std::ptr::from_ref(value).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pair() -> (UdpSocket, UdpSocket) {
        let (one, other) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        other.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (one, other)
    }

    #[test]
    fn a_sending_socket_has_nothing_to_read_neither_old_nor_new() {
        let (one, other) = pair();
        let address = one.local_addr().unwrap();
        other.send_to(b"before", address).unwrap();
        let one = only_sends(one).unwrap();
        assert!(one.as_raw_fd() >= i32::try_from(LINK_DESCRIPTORS).unwrap());
        other.send_to(b"after", address).unwrap();
        one.set_nonblocking(true).unwrap();
        assert_eq!(one.recv(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        // It was there, and it is gone.
        assert_eq!(dropped(&one).unwrap(), 1);
        assert_eq!(one.send_to(b"out", other.local_addr().unwrap()).unwrap(), 3);
        assert_eq!(other.recv(&mut [0; 8]).unwrap(), 3);
        let filter = libc::SO_DETACH_FILTER;
        let error = set(one.as_fd(), filter, &0_i32).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn a_receiving_socket_sends_nothing_connected_or_not() {
        let (one, other) = pair();
        let one = only_receives(one).unwrap();
        let to = other.local_addr().unwrap();
        assert_eq!(one.send_to(b"x", to).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        one.connect(to).unwrap();
        assert_eq!(one.send(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let written = rustix::io::write(&one, b"x").unwrap_err();
        assert_eq!(written, Errno::PIPE);
        other.send_to(b"in", one.local_addr().unwrap()).unwrap();
        assert_eq!(one.recv(&mut [0; 8]).unwrap(), 2);
    }

    #[test]
    fn what_a_full_buffer_drops_is_counted() {
        let (one, other) = pair();
        rustix::net::sockopt::set_socket_recv_buffer_size(&one, 4_096).unwrap();
        let one = only_receives(one).unwrap();
        assert_eq!(dropped(&one).unwrap(), 0);
        for _ in 0..64 {
            other.send_to(&[0; 1_400], one.local_addr().unwrap()).unwrap();
        }
        one.set_nonblocking(true).unwrap();
        let mut came = 0;
        while one.recv(&mut [0; 1_400]).is_ok() {
            came += 1;
        }
        assert!(came < 64, "{came}");
        assert_eq!(dropped(&one).unwrap(), 64 - came);
    }
}
