//! Tests of `turn`: a journal over two real sockets.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use journal_read::From;
use link::{Rates, SenderOptions};

use super::{LOOK_MOST, Turn};
use crate::feed::Feed;
use crate::paths::{Path, Paths};
use crate::rig::{OtherEnd, journal, sender, write, writer};

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

#[test]
fn a_journal_arrives_over_both_paths() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let ends = [socket(), socket()];
    let mut paths = Vec::new();
    for end in &ends {
        end.set_nonblocking(true).unwrap();
        paths.push(Path::new(socket(), end.local_addr().unwrap()).unwrap());
    }
    let rates = Rates { bytes_per_s: 10_000_000, packets_per_s: 10_000 };
    let mut options = SenderOptions { rates, ..SenderOptions::default() };
    options.second_pass.share_percent = 0;
    let feed = Feed::open(dir.path(), From::Oldest, 1 << 20).unwrap();
    let mut turn = Turn::new(sender(options), feed, Paths::new(paths));
    let mut other = OtherEnd::new();
    let mut now = Duration::ZERO;
    let mut turns = 0;
    while now < Duration::from_secs(2) {
        if now < Duration::from_secs(1) && turns % 20 == 0 {
            write(&mut writer, 50);
        }
        turns += 1;
        let next = turn.take(now, 1_000).unwrap();
        assert!(next <= now + LOOK_MOST, "the journal is looked at");
        for (path, end) in ends.iter().enumerate() {
            let mut buffer = [0; 2_000];
            loop {
                match end.recv_from(&mut buffer) {
                    Ok((length, _)) => other.hear(now, path, &mut buffer[..length]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        // Neither spins, but for what is left of a turn.
        now = next.max(now + Duration::from_micros(10));
    }
    assert!(turns < 5_000, "{turns}");
    assert!(other.frames == journal(dir.path()));
    assert!(other.late.is_empty());
    let account = other.receiver().account();
    assert_eq!(account.taken, account.other_path);
    assert_eq!(account.datagrams(), 2 * turn.sender.datagrams());
    let sent: Vec<u64> = turn.paths.iter_mut().map(|path| path.counts().datagrams).collect();
    assert_eq!(sent, [turn.sender.datagrams(); 2]);
    assert!(account.heartbeats >= 15);
}
