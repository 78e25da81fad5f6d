//! Tests of `paths`.

use std::net::UdpSocket;
use std::time::Duration;

use super::{Path, PathCounts, Paths};

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

#[test]
fn each_path_carries_the_same_and_one_that_is_refused_harms_no_other() {
    let (first, second) = (socket(), socket());
    let path = |to| Path::new(socket(), to).unwrap();
    // No socket of IPv4 sends to IPv6.
    let mut paths = Paths::new(vec![
        path(first.local_addr().unwrap()),
        path("[::1]:9".parse().unwrap()),
        path(second.local_addr().unwrap()),
    ]);
    for datagram in [&b"one"[..], b"other"] {
        paths.send(datagram);
        paths.flush();
        for socket in [&first, &second] {
            let mut buffer = [0; 16];
            let (length, _) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], datagram);
        }
    }
    let good = PathCounts { datagrams: 2, bytes: 8, refused: 0 };
    let counts: Vec<PathCounts> = paths.iter_mut().map(|path| path.counts()).collect();
    assert_eq!(counts, [good, PathCounts { datagrams: 0, bytes: 0, refused: 2 }, good]);
    let trouble: Vec<bool> = paths.iter_mut().map(|path| path.take_trouble().is_some()).collect();
    assert_eq!(trouble, [false, true, false]);
}

#[test]
fn a_port_where_nobody_listens_changes_nothing() {
    let gone = socket().local_addr().unwrap();
    let mut paths = Paths::new(vec![Path::new(socket(), gone).unwrap()]);
    for _ in 0..100 {
        paths.send(b"into the dark");
        paths.flush();
    }
    let path = paths.iter_mut().next().unwrap();
    assert_eq!((path.counts().datagrams, path.counts().refused), (100, 0));
}
