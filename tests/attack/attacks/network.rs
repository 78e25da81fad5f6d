//! Ways to the other side's network.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixStream};

use rustix::net::{AddressFamily, SocketType};
use sandbox::raw::call;

use super::{Attack, Ground, Who, attack};

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        attack(Who::Both, "TCP to the other side's broker", |ground| {
            TcpStream::connect((Ipv4Addr::LOCALHOST, ground.place.their_port)).map(drop)
        }),
        attack(Who::Both, "TCP through a mapped IPv6 address", |ground| {
            let address = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
            TcpStream::connect((address, ground.place.their_port)).map(drop)
        }),
        attack(Who::Both, "TCP fast open, which needs no connect", |ground| {
            let socket = call(libc::SYS_socket, &[&libc::AF_INET, &libc::SOCK_STREAM, &0])?;
            let mut address = inet(ground.place.their_port);
            let size = size_of::<libc::sockaddr_in>();
            let data = b"x".as_slice();
            call(libc::SYS_sendto, &[&socket, &data, &1, &libc::MSG_FASTOPEN, &&mut address, &size])
                .map(drop)
        }),
        attack(Who::Both, "multipath TCP, which isn't TCP to Landlock", |ground| {
            let socket = call(
                libc::SYS_socket,
                &[&libc::AF_INET, &libc::SOCK_STREAM, &libc::IPPROTO_MPTCP],
            )?;
            let mut address = inet(ground.place.their_port);
            call(libc::SYS_connect, &[&socket, &&mut address, &size_of::<libc::sockaddr_in>()])
                .map(drop)
        }),
        attack(Who::Both, "UDP to the other side", |ground| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.send_to(b"x", (Ipv4Addr::LOCALHOST, ground.place.udp_port))?;
            // In a network of its own the datagram reaches nobody: then it is sent again and
            // the error of the first comes back.
            socket.connect((Ipv4Addr::LOCALHOST, ground.place.udp_port))?;
            socket.send(b"x")?;
            socket.send(b"x").map(drop)
        }),
        attack(Who::Both, "a raw socket", |_| {
            call(libc::SYS_socket, &[&libc::AF_INET, &libc::SOCK_RAW, &libc::IPPROTO_ICMP])
                .map(drop)
        }),
        attack(Who::Both, "a packet socket", |_| {
            call(libc::SYS_socket, &[&libc::AF_PACKET, &libc::SOCK_RAW, &0]).map(drop)
        }),
        attack(Who::Both, "an abstract socket of the other side", |ground| {
            let socket = UnixDatagram::unbound()?;
            let address = UnixAddress::from_abstract_name(&ground.place.abstract_name)?;
            socket.connect_addr(&address)?;
            socket.send(b"x").map(drop)
        }),
        attack(Who::Both, "a socket of the other side in a directory", |ground| {
            UnixStream::connect(ground.place.path_socket()).map(drop)
        }),
        attack(Who::Both, "a socket to the hypervisor (vsock)", |_| {
            call(libc::SYS_socket, &[&libc::AF_VSOCK, &libc::SOCK_STREAM, &0]).map(drop)
        })
        .reason(
            "the kernel's own: no user needs a privilege for it, and a filter is all there is; \
                 RestrictAddressFamilies in the units is the second",
        ),
        attack(Who::Both, "netlink: read the machine's routes", |_| {
            call(libc::SYS_socket, &[&libc::AF_NETLINK, &libc::SOCK_RAW, &libc::NETLINK_ROUTE])
                .map(drop)
        })
        .reason(
            "reading only: changing anything needs CAP_NET_ADMIN, which the user layer takes; \
                 RestrictAddressFamilies in the units is the second filter",
        ),
        attack(Who::Both, "Bluetooth, CAN, IPX and other old families", |_| {
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
        attack(Who::Both, "enter the other side's network namespace", |ground| {
            let namespace = File::open(ground.place.proc("ns/net"))?;
            let kind = rustix::thread::LinkNameSpaceType::Network;
            Ok(rustix::thread::move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&namespace),
                Some(kind),
            )?)
        }),
        attack(Who::Both, "listen, and let the other side come", |_| {
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop)
        }),
        attack(Who::Both, "listen on every address", |_| {
            TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).map(drop)
        }),
        attack(Who::Both, "a pair of sockets to pass descriptors", |_| {
            let flags = rustix::net::SocketFlags::empty();
            Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
                .map(drop)?)
        })
        .reason(
            "harmless without somebody at the other end: whom to pass them to is what the rows \
                 above are about",
        ),
    ]
}

fn inet(port: u16) -> libc::sockaddr_in {
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
    TcpStream::connect((Ipv4Addr::LOCALHOST, ground.place.own_port)).map(drop)
}
