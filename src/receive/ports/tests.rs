//! Tests of `ports`.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use super::{Port, Ports, bound};

const ANY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);

/// A port, and a path to it, as both ends of a link have them.
fn pair(buffer_bytes: usize) -> (Ports, send::Paths, usize) {
    let (socket, granted) = bound(None, ANY, buffer_bytes).unwrap();
    let to = socket.local_addr().unwrap();
    let path = send::Path::new(send::bound(None, Some(Ipv4Addr::LOCALHOST), false).unwrap(), to);
    let ports = Ports::new(vec![Port::new(socket).unwrap()]);
    (ports, send::Paths::new(vec![path.unwrap()]), granted)
}

/// Everything that came. Over loopback a datagram is there when it was sent.
fn read(ports: &mut Ports) -> Vec<Vec<u8>> {
    let mut came = Vec::new();
    let mut is_more = true;
    while is_more {
        is_more = ports.read(64, |path, datagram| {
            assert_eq!(path, 0);
            came.push(datagram.to_vec());
        });
    }
    came
}

#[test]
fn what_goes_together_comes_apart_again_whatever_its_lengths() {
    let (mut ports, mut paths, _) = pair(4 << 20);
    let lengths = [1_400, 1_400, 1_400, 700, 1_400, 64, 64, 64, 1, 3, 1_400, 1_401, 1_402, 9];
    let mut sent = Vec::new();
    for length in lengths.into_iter().chain([1_472; 200]).chain([1, 1_472]) {
        let number = u8::try_from(sent.len() % 251).unwrap();
        sent.push(vec![number; length]);
    }
    for datagram in &sent {
        paths.send(datagram);
    }
    paths.flush();
    let came = read(&mut ports);
    let lengths = |all: &[Vec<u8>]| all.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(lengths(&came), lengths(&sent));
    assert!(came == sent);
    // An empty one is none of ours, and is one all the same.
    let address = ports.iter_mut().next().unwrap().socket.local_addr().unwrap();
    UdpSocket::bind(ANY).unwrap().send_to(&[], address).unwrap();
    assert_eq!(read(&mut ports), [Vec::<u8>::new()]);
    let counts = paths.iter_mut().next().unwrap().counts();
    assert_eq!(counts.datagrams, u64::try_from(sent.len()).unwrap());
    assert_eq!(counts.bytes, sent.iter().map(|one| one.len() as u64).sum::<u64>());
}

#[test]
fn a_full_buffer_is_told_with_what_it_dropped() {
    let (mut ports, mut paths, granted) = pair(8_192);
    assert_eq!(granted, 8_192);
    assert_eq!(ports.iter_mut().next().unwrap().dropped(), 0);
    for _ in 0..100 {
        paths.send(&[7; 1_000]);
        // Each by itself: what goes together is dropped together.
        paths.flush();
    }
    let came = read(&mut ports).len() as u64;
    let port = ports.iter_mut().next().unwrap();
    assert_eq!(port.dropped(), 100 - came);
    assert_eq!(port.dropped(), 100 - came, "the same again");
    assert!(came < 100, "{came}");
}

#[test]
fn a_sending_end_hears_nothing_and_a_receiving_end_says_nothing() {
    let sender = send::bound(None, Some(Ipv4Addr::LOCALHOST), false).unwrap();
    let (receiver, _) = bound(None, ANY, 65_536).unwrap();
    let other = UdpSocket::bind(ANY).unwrap();
    other.send_to(b"in", sender.local_addr().unwrap()).unwrap();
    sender.set_nonblocking(true).unwrap();
    assert!(sender.recv(&mut [0; 8]).is_err());
    assert!(receiver.send_to(b"out", other.local_addr().unwrap()).is_err());
}
