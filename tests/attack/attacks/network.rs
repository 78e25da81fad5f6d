//! Ways to the other side's network.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixStream};

use rustix::net::{AddressFamily, SendFlags, SocketType};
use sandbox::Peer;
use sandbox::raw::call;

use super::{Attack, Ground, Who, attack};

const DIALLED: &str = "only where Landlock is older is there one; it has the user of its half, may not be dumped, \
                       and what it can be made to do is bounded by the namespaces of the units";

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        attack(Who::All, "TCP to the other side's broker", |ground| {
            TcpStream::connect((Ipv4Addr::LOCALHOST, ground.place.their_port)).map(drop)
        }),
        attack(Who::All, "TCP through a mapped IPv6 address", |ground| {
            let address = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
            TcpStream::connect((address, ground.place.their_port)).map(drop)
        }),
        attack(Who::All, "TCP fast open, which needs no connect", |ground| {
            let socket = call(libc::SYS_socket, &[&libc::AF_INET, &libc::SOCK_STREAM, &0])?;
            let mut address = inet(ground.place.their_port);
            let size = size_of::<libc::sockaddr_in>();
            let data = b"x".as_slice();
            call(libc::SYS_sendto, &[&socket, &data, &1, &libc::MSG_FASTOPEN, &&mut address, &size])
                .map(drop)
        }),
        attack(Who::All, "multipath TCP, which isn't TCP to Landlock", |ground| {
            let socket = call(
                libc::SYS_socket,
                &[&libc::AF_INET, &libc::SOCK_STREAM, &libc::IPPROTO_MPTCP],
            )?;
            let mut address = inet(ground.place.their_port);
            call(libc::SYS_connect, &[&socket, &&mut address, &size_of::<libc::sockaddr_in>()])
                .map(drop)
        }),
        attack(Who::All, "UDP to the other side", |ground| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.send_to(b"x", (Ipv4Addr::LOCALHOST, ground.place.udp_port))?;
            // In a network of its own the datagram reaches nobody: then it is sent again and
            // the error of the first comes back.
            socket.connect((Ipv4Addr::LOCALHOST, ground.place.udp_port))?;
            socket.send(b"x")?;
            socket.send(b"x").map(drop)
        }),
        attack(Who::All, "a raw socket", |_| {
            call(libc::SYS_socket, &[&libc::AF_INET, &libc::SOCK_RAW, &libc::IPPROTO_ICMP])
                .map(drop)
        }),
        attack(Who::All, "a packet socket", |_| {
            call(libc::SYS_socket, &[&libc::AF_PACKET, &libc::SOCK_RAW, &0]).map(drop)
        }),
        attack(Who::All, "an abstract socket of the other side", |ground| {
            let socket = UnixDatagram::unbound()?;
            let address = UnixAddress::from_abstract_name(&ground.place.abstract_name)?;
            socket.connect_addr(&address)?;
            socket.send(b"x").map(drop)
        }),
        attack(Who::All, "a socket of the other side in a directory", |ground| {
            UnixStream::connect(ground.place.path_socket()).map(drop)
        }),
        attack(Who::All, "a socket to the hypervisor (vsock)", |_| {
            call(libc::SYS_socket, &[&libc::AF_VSOCK, &libc::SOCK_STREAM, &0]).map(drop)
        })
        .reason(
            "the kernel's own: no user needs a privilege for it, and a filter is all there is; \
                 RestrictAddressFamilies in the units is the second",
        ),
        attack(Who::All, "netlink: read the machine's routes", |_| {
            call(libc::SYS_socket, &[&libc::AF_NETLINK, &libc::SOCK_RAW, &libc::NETLINK_ROUTE])
                .map(drop)
        })
        .reason(
            "reading only: changing anything needs CAP_NET_ADMIN, which the user layer takes; \
                 RestrictAddressFamilies in the units is the second filter",
        ),
        attack(Who::All, "Bluetooth, CAN, IPX and other old families", |_| {
            let families =
                [libc::AF_BLUETOOTH, libc::AF_CAN, libc::AF_ALG, libc::AF_TIPC, libc::AF_RDS];
            let mut result = Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT));
            for family in families {
                result = result.or(call(libc::SYS_socket, &[&family, &libc::SOCK_SEQPACKET, &0]));
            }
            result.map(drop)
        })
        .missing_here("a kernel may have none of them")
        .reason("RestrictAddressFamilies in the units is the second filter"),
        attack(Who::All, "enter the other side's network namespace", |ground| {
            let namespace = File::open(ground.place.proc("ns/net"))?;
            let kind = rustix::thread::LinkNameSpaceType::Network;
            Ok(rustix::thread::move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&namespace),
                Some(kind),
            )?)
        }),
        attack(Who::All, "come to the other half, which listens", |ground| {
            tcp(meeting_port(ground))
        })
        .confederate(|ground, listen| {
            let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, meeting_port(ground)))?;
            listen()
        }),
        attack(Who::All, "come to the other half, which listens on every address", |ground| {
            tcp(meeting_port(ground))
        })
        .confederate(|ground, listen| {
            let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, meeting_port(ground)));
            let _listener = TcpListener::bind(everywhere)?;
            listen()
        }),
        attack(Who::All, "a pair of sockets to pass descriptors", |_| {
            let flags = rustix::net::SocketFlags::empty();
            Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
                .map(drop)?)
        })
        .reason(
            "harmless without somebody at the other end: whom to pass them to is what the rows \
                 above are about",
        ),
        attack(Who::All, "TCP to the other side's broker, as a half connects", |ground| {
            tcp(ground.place.their_port)
        }),
        attack(Who::All, "UDP to the other side, as a half logs", |ground| {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ground.place.udp_port));
            let socket = match sandbox::dial(Peer::Udp(address)) {
                None => {
                    let socket = UdpSocket::bind("127.0.0.1:0")?;
                    socket.connect(address)?;
                    socket
                }
                Some(dialled) => dialled?.into(),
            };
            // Where nobody listens the error of the first comes back with the second.
            socket.send(b"x")?;
            socket.send(b"x").map(drop)
        }),
        attack(Who::All, "the dialling process: requests that no half makes", odd_requests)
            .missing_here(DIALLED),
        attack(Who::All, "the dialling process: connect its socket elsewhere", |ground| {
            let own = SocketAddr::from((Ipv4Addr::LOCALHOST, ground.place.own_port));
            let socket = sandbox::dial(Peer::Tcp(own)).ok_or_else(nobody_to_ask)??;
            let nowhere = [0_u8; 16];
            let _ = call(libc::SYS_connect, &[&socket.as_raw_fd(), &&nowhere[..], &16]);
            let mut address = inet(ground.place.their_port);
            let size = size_of::<libc::sockaddr_in>();
            call(libc::SYS_connect, &[&socket.as_raw_fd(), &&mut address, &size]).map(drop)
        })
        .missing_here(DIALLED),
        attack(Who::All, "the dialling process: trace it", |_| {
            let process = sandbox::dialler_process().ok_or_else(nobody_to_ask)?;
            let seize = libc::PTRACE_SEIZE as i64;
            call(libc::SYS_ptrace, &[&seize, &process, &0, &0]).map(drop)
        })
        .missing_here(DIALLED),
        attack(Who::All, "the dialling process: write its memory", |_| {
            let process = sandbox::dialler_process().ok_or_else(nobody_to_ask)?;
            let memory = format!("/proc/{process}/mem");
            File::options().write(true).open(memory).map(drop)
        })
        .missing_here(DIALLED),
    ]
}

pub(super) fn inet(port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(Ipv4Addr::LOCALHOST).to_be() },
        sin_zero: [0; 8],
    }
}

/// What a half needs, and must be able to do under every layer but that of a network without
/// anything in it.
pub(super) fn own_broker(ground: &mut Ground) -> io::Result<()> {
    tcp(ground.place.own_port)
}

/// As a half connects: from the dialling process where it has one.
fn tcp(port: u16) -> io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match sandbox::dial(Peer::TcpWaiting(address)) {
        None => TcpStream::connect(address).map(drop),
        // An empty writing waits for the connection.
        Some(dialled) => Ok(rustix::net::send(dialled?, b"", SendFlags::empty()).map(drop)?),
    }
}

/// Where the halves of one attempt could meet: another port in each, below those that the system gives.
fn meeting_port(ground: &Ground) -> u16 {
    u16::try_from(ground.place.victim % 20_000).unwrap() + 10_000
}

fn nobody_to_ask() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}

/// Requests that no half makes. One that gets a socket is a way out.
fn odd_requests(ground: &mut Ground) -> io::Result<()> {
    let request = |kind: u8, which: u8, port: u16| {
        let mut request = [0_u8; 24];
        request[..2].copy_from_slice(&[kind, which]);
        request[2..4].copy_from_slice(&port.to_be_bytes());
        request[4..20].copy_from_slice(&Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets());
        request.to_vec()
    };
    let (own, theirs) = (ground.place.own_port, ground.place.their_port);
    let mut odd: Vec<Vec<u8>> = (0..=u8::MAX).map(|kind| request(kind, 0, theirs)).collect();
    odd.remove(3);
    odd.extend((4..=u8::MAX).map(|kind| request(kind, 0, own)));
    odd.extend((2..=u8::MAX).map(|which| request(3, which, 0)));
    odd.extend([1, 4, 23, 25, 64, 4_096].map(|length| {
        let mut odd = request(0, 0, own);
        odd.resize(length, 0);
        odd
    }));
    let mut last = nobody_to_ask();
    for odd in odd {
        match sandbox::ask_dialler(&odd) {
            Some(Err(error)) => last = error,
            Some(Ok(_)) => return Ok(()),
            None => break,
        }
    }
    Err(last)
}
