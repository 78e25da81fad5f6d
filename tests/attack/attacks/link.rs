//! Ways to use the link between two boxes in the other direction: the sending end would receive, the
//! receiving end would send.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use sandbox::raw::call;

use super::{Attack, Ground, Who, attack};

const ERRORS: &str = "a filter is all there is within the process: what comes back so is what hosts and routers \
                      answer, and there is none on a fibre of one direction; on one machine the receiver's \
                      way out is closed by the firewall of its network";
const COUNTS: &str = "a filter is all there is within the process: how many datagrams came and were thrown \
                      away, and none comes on a fibre of one direction";
const GROUPS: &str = "a filter is all there is within the process; the kernel's own word for the network, which \
                      a firewall on the way out stops, and a fibre of one direction";

/// Bytes of one datagram, and more.
const BUFFER: usize = 64;

pub(super) fn attacks() -> Vec<Attack> {
    let mut all = vec![
        attack(Who::Send, "(control) send over the link", |ground| {
            with_message(ground, |message| {
                call(libc::SYS_sendmsg, &[&fd(ground), &message, &0]).map(drop)
            })
        })
        .control(),
        attack(Who::Receive, "(control) receive from the link", |ground| receive_many(fd(ground)))
            .control(),
    ];
    all.extend(receiving());
    all.extend(sending());
    all
}

/// What the sending end tries: a datagram was sent to its socket.
fn receiving() -> Vec<Attack> {
    vec![
        attack(Who::Send, "link: receive by recvfrom", |ground| receive(fd(ground))),
        attack(Who::Send, "link: receive by recvmsg", |ground| {
            with_message(ground, |message| {
                call(libc::SYS_recvmsg, &[&fd(ground), &message, &libc::MSG_DONTWAIT]).map(drop)
            })
        }),
        attack(Who::Send, "link: receive by recvmmsg", |ground| receive_many(fd(ground))),
        attack(Who::Send, "link: receive by read", |ground| read(fd(ground))),
        attack(Who::Send, "link: receive by readv", |ground| {
            let mut buffer = [0_u8; BUFFER];
            let mut vector =
                libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            call(libc::SYS_readv, &[&fd(ground), &&mut vector, &1]).map(drop)
        }),
        attack(Who::Send, "link: receive through a copy with a low number", |ground| {
            read(low_copy(ground)?)
        }),
        attack(Who::Send, "link: receive by splice", |ground| {
            let mut ends = [0_i32; 2];
            call(libc::SYS_pipe2, &[&&mut ends, &0])?;
            let flags = libc::SPLICE_F_NONBLOCK;
            // A datagram socket has none of it; then the copy of what is there is the attack.
            call(libc::SYS_splice, &[&fd(ground), &0, &ends[1], &0, &BUFFER, &flags])
                .or_else(|_| read(fd(ground)).map(|()| 0))
                .map(drop)
        }),
        attack(Who::Send, "link: take the filter off, and receive", |ground| {
            let detached = option(ground, libc::SO_DETACH_FILTER, &mut 0_i32);
            // Where there was none there is nothing to take off.
            match detached {
                Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
                _ => receive(fd(ground)),
            }
        }),
        attack(Who::Send, "link: put another filter on, and receive", |ground| {
            let code = (libc::BPF_RET | libc::BPF_K) as u16;
            let mut everything = [libc::sock_filter { code, jt: 0, jf: 0, k: u32::MAX }];
            let mut program = libc::sock_fprog { len: 1, filter: everything.as_mut_ptr() };
            option(ground, libc::SO_ATTACH_FILTER, &mut program)?;
            receive(fd(ground))
        }),
        attack(Who::Send, "link: ask how many datagrams came", |ground| {
            let (mut info, mut length) = ([0_u32; 9], 36_u32);
            let (level, name) = (libc::SOL_SOCKET, libc::SO_MEMINFO);
            let fd = fd(ground);
            call(libc::SYS_getsockopt, &[&fd, &level, &name, &&mut info, &&mut length]).map(drop)
        })
        .reason(COUNTS),
        attack(Who::Send, "link: ask for errors of the network", |ground| {
            let mut yes = 1_i32;
            let arguments: [&dyn sandbox::raw::Argument; 5] =
                [&fd(ground), &libc::IPPROTO_IP, &libc::IP_RECVERR, &&mut yes, &4];
            call(libc::SYS_setsockopt, &arguments).map(drop)
        })
        .reason(ERRORS),
        attack(Who::Send, "link: connect, and see what is refused", |ground| {
            connect(ground, closed_port())?;
            let sent = (0..100).find_map(|_| {
                std::thread::yield_now();
                ground.link.send(b"x").err()
            });
            match sent {
                Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
                Some(error) => Err(error),
                None => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
            }
        })
        .reason(ERRORS),
        attack(Who::Send, "link: a socket of its own that receives", |_| {
            UdpSocket::bind("0.0.0.0:0").map(drop)
        })
        .reason(COUNTS),
    ]
}

/// What the receiving end tries.
fn sending() -> Vec<Attack> {
    vec![
        attack(Who::Receive, "link: send by sendto", |ground| {
            ground.link.send_to(b"x", ground.peer).map(drop)
        }),
        attack(Who::Receive, "link: send by sendmsg", |ground| {
            with_message(ground, |message| {
                call(libc::SYS_sendmsg, &[&fd(ground), &message, &0]).map(drop)
            })
        }),
        attack(Who::Receive, "link: send by sendmmsg", |ground| {
            with_message(ground, |message| {
                let mut many = [libc::mmsghdr { msg_hdr: *message, msg_len: 0 }];
                call(libc::SYS_sendmmsg, &[&fd(ground), &&mut many, &1, &0]).map(drop)
            })
        }),
        attack(Who::Receive, "link: write to it", |ground| {
            // A socket without a peer takes nothing by `write`, whoever it is.
            connect(ground, ground.peer)?;
            Ok(rustix::io::write(&ground.link, b"x").map(drop)?)
        }),
        attack(Who::Receive, "link: writev to it", |ground| {
            connect(ground, ground.peer)?;
            let vector = [io::IoSlice::new(b"x")];
            Ok(rustix::io::writev(&ground.link, &vector).map(drop)?)
        }),
        attack(Who::Receive, "link: splice into it", |ground| {
            connect(ground, ground.peer)?;
            let mut ends = [0_i32; 2];
            call(libc::SYS_pipe2, &[&&mut ends, &0])?;
            call(libc::SYS_write, &[&ends[1], &b"x".as_slice(), &1])?;
            call(libc::SYS_splice, &[&ends[0], &0, &fd(ground), &0, &1, &0]).map(drop)
        }),
        attack(Who::Receive, "link: sendfile into it", |ground| {
            connect(ground, ground.peer)?;
            let segment = ground.segment.as_raw_fd();
            let mut offset = 0_i64;
            call(libc::SYS_sendfile, &[&fd(ground), &segment, &&mut offset, &1]).map(drop)
        }),
        attack(Who::Receive, "link: send through a copy with a low number", |ground| {
            let low = low_copy(ground)?;
            let mut address = inet(ground.peer);
            let size = size_of::<libc::sockaddr_in>();
            call(libc::SYS_sendto, &[&low, &b"x".as_slice(), &1, &0, &&mut address, &size])
                .map(drop)
        }),
        attack(Who::Receive, "link: open it for writing again, and send", |ground| {
            // AF_UNSPEC: whatever state it has.
            let nothing = [0_u8; 16];
            let _ = call(libc::SYS_connect, &[&fd(ground), &&nothing[..], &16]);
            ground.link.send_to(b"x", ground.peer).map(drop)
        }),
        attack(Who::Receive, "link: join a group, of which the kernel tells", |ground| {
            let mut group = libc::ip_mreq {
                imr_multiaddr: libc::in_addr { s_addr: u32::from_ne_bytes([224, 0, 0, 251]) },
                imr_interface: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
            };
            let size = size_of::<libc::ip_mreq>();
            let arguments: [&dyn sandbox::raw::Argument; 5] =
                [&fd(ground), &libc::IPPROTO_IP, &libc::IP_ADD_MEMBERSHIP, &&mut group, &size];
            call(libc::SYS_setsockopt, &arguments).map(drop)
        })
        .reason(GROUPS),
    ]
}

fn fd(ground: &Ground) -> RawFd {
    ground.link.as_raw_fd()
}

fn receive(fd: RawFd) -> io::Result<()> {
    let mut buffer = [0_u8; BUFFER];
    let wait = libc::MSG_DONTWAIT;
    call(libc::SYS_recvfrom, &[&fd, &&mut buffer, &BUFFER, &wait, &0, &0]).map(drop)
}

fn read(fd: RawFd) -> io::Result<()> {
    let mut buffer = [0_u8; BUFFER];
    call(libc::SYS_read, &[&fd, &&mut buffer, &BUFFER]).map(drop)
}

fn receive_many(fd: RawFd) -> io::Result<()> {
    let mut buffer = [0_u8; BUFFER];
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: BUFFER };
    let mut many = [libc::mmsghdr { msg_hdr: header(&mut vector), msg_len: 0 }];
    call(libc::SYS_recvmmsg, &[&fd, &&mut many, &1, &libc::MSG_DONTWAIT, &0]).map(drop)
}

fn header(vector: &mut libc::iovec) -> libc::msghdr {
    libc::msghdr {
        msg_name: std::ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: std::ptr::from_mut(vector),
        msg_iovlen: 1,
        msg_control: std::ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    }
}

/// A message to the other end, or room for one.
fn with_message(
    ground: &Ground,
    then: impl FnOnce(&mut libc::msghdr) -> io::Result<()>,
) -> io::Result<()> {
    let (mut buffer, mut address) = ([b'x'; BUFFER], inet(ground.peer));
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: BUFFER };
    let mut message = header(&mut vector);
    message.msg_name = std::ptr::from_mut(&mut address).cast();
    message.msg_namelen = u32::try_from(size_of::<libc::sockaddr_in>()).unwrap();
    then(&mut message)
}

fn option<T>(ground: &Ground, name: libc::c_int, value: &mut T) -> io::Result<()> {
    let size = size_of::<T>();
    call(libc::SYS_setsockopt, &[&fd(ground), &libc::SOL_SOCKET, &name, &value, &size]).map(drop)
}

fn connect(ground: &Ground, to: SocketAddr) -> io::Result<()> {
    ground.link.connect(to)
}

/// The same socket as one that isn't of the link.
fn low_copy(ground: &Ground) -> io::Result<RawFd> {
    let copy = call(libc::SYS_fcntl, &[&fd(ground), &libc::F_DUPFD, &0])?;
    Ok(i32::try_from(copy).unwrap())
}

fn inet(address: SocketAddr) -> libc::sockaddr_in {
    super::network::inet(address.port())
}

/// Of which this machine says that nobody listens there.
fn closed_port() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}
