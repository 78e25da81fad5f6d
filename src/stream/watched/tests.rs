//! A watched stream against a broker in memory, on virtual time.

use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::mark::Mark;

const PATIENCE: Patience =
    Patience { keep_alive: Duration::from_secs(10), connack: Duration::from_secs(30) };

fn watched<S>(stream: S, framing: Framing) -> Watched<S> {
    Watched::new(stream, framing, PATIENCE, Arc::default())
}

#[tokio::test]
async fn what_is_too_large_takes_no_memory_and_the_rest_comes_through() {
    let mark = Mark::new();
    let (ours, mut broker) = tokio::io::duplex(4096);
    let mut watched = watched(ours, Framing::new(1024, mark.clone())).without_reading_ahead();
    let send = async {
        broker.write_all(&[0x30, 0x04, 0, 1, b'a', b'!']).await.unwrap();
        // 10 MB at QoS 1.
        let mut large = vec![0x32, 0x80, 0x80, 0x80, 0x05, 0, 1, b'b', 0, 7];
        large.resize(5 + 0x00A0_0000, 0x30);
        broker.write_all(&large).await.unwrap();
        broker.write_all(&[0xd0, 0x00]).await.unwrap();
        drop(broker);
    };
    let mut came = Vec::new();
    let (read, ()) = tokio::join!(watched.read_to_end(&mut came), send);
    read.unwrap();
    assert!(watched.read.capacity() <= 4096);
    assert_eq!(came[..6], [0x30, 0x04, 0, 1, b'a', b'!']);
    assert_eq!(came[6..13], [0x32, 29, 0, 1, b'b', 0, 7]);
    assert_eq!(mark.read(&came[13..37]).unwrap().bytes, 0x00A0_0000);
    assert_eq!(came[37..], [0xd0, 0x00]);
}

#[tokio::test]
async fn what_is_no_mqtt_ends_the_stream_with_an_error() {
    let (ours, mut broker) = tokio::io::duplex(4096);
    let mut watched = watched(ours, Framing::new(1024, Mark::new()));
    broker.write_all(b"HTTP/1.1 400 Bad Request\r\n").await.unwrap();
    let mut read = pin!(watched.read_u8());
    let error = read.as_mut().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("no MQTT packet (its first byte is 0x48)"), "{error}");
}

#[tokio::test]
async fn what_speaks_there_is_named_however_it_is_read() {
    for (first, words) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], "but HTTP"),
        (b"<html><body>400</body></html>", "but HTTP"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "but SSH"),
        (&[0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46], "but TLS: that port wants `[broker.tls]`"),
        // By its first byte it could be a message.
        (b"220 mail.example ESMTP\r\n", "but SMTP"),
    ] {
        for reads_ahead in [true, false] {
            let (ours, mut broker) = tokio::io::duplex(4096);
            let mut watched = watched(ours, Framing::new(1024, Mark::new()));
            watched.reads_ahead = reads_ahead;
            broker.write_all(first).await.unwrap();
            let error = watched.read(&mut [0; 64]).await.unwrap_err().to_string();
            assert!(error.contains("no MQTT packet") && error.contains(words), "{error}");
        }
    }
    let (ours, mut broker) = tokio::io::duplex(4096);
    let mut watched = watched(ours, Framing::new(1024, Mark::new()));
    broker.write_all(&[0x20, 0x02, 0x00, 0x00]).await.unwrap();
    assert_eq!(watched.read_u32().await.unwrap(), 0x2002_0000);
}

/// A broker that takes `write` bytes a second of what is written to it, and sends `read`.
async fn broker(mut stream: tokio::io::DuplexStream, write: usize, read: &[u8], seconds: u64) {
    let mut seen = vec![0; write];
    for _ in 0..seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if write > 0 {
            let _ = tokio::time::timeout(Duration::ZERO, stream.read(&mut seen)).await;
        }
        if !read.is_empty() {
            stream.write_all(read).await.unwrap();
        }
    }
    std::future::pending::<()>().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_slowly_lets_the_client_read_on_and_ends_nothing() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let mut ours = watched(ours, Framing::new(1024, Mark::new()));
    let traffic = Arc::clone(ours.outbox.traffic());
    // 100 kB at 1 kB/s, with a keep alive of 10 s: the client's write is over at once.
    ours.write_all(&vec![0; 100_000]).await.unwrap();
    ours.flush().await.unwrap();
    assert!(traffic.waiting() > 90_000);
    let puback = [0x40, 0x02, 0x00, 0x01];
    let mut read = Vec::new();
    let reading = async {
        for _ in 0..95 {
            read.push(ours.read_u32().await.unwrap());
        }
    };
    tokio::select! {
        () = reading => {}
        () = broker(theirs, 1_000, &puback, 95) => {}
    }
    assert_eq!(read.len(), 95);
    assert!(traffic.waiting() < 10_000, "{}", traffic.waiting());
}

#[tokio::test(start_paused = true)]
async fn a_ping_follows_what_was_urgent_and_nothing_else() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let mut ours = watched(ours, Framing::new(1024, Mark::new()));
    let traffic = Arc::clone(ours.outbox.traffic());
    theirs.write_all(&[0x20, 0x02, 0x00, 0x00]).await.unwrap();
    assert_eq!(ours.read_u32().await.unwrap(), 0x2002_0000);
    let mut seen = [0; 64];
    let mut buffer = [0; 8];
    for urgent in [false, true] {
        let began = Instant::now();
        if urgent {
            traffic.hurry(true);
        }
        ours.write_all(b"data").await.unwrap();
        ours.flush().await.unwrap();
        if urgent {
            traffic.hurry(false);
        }
        assert_eq!(theirs.read(&mut seen).await.unwrap(), 4);
        tokio::select! {
            _ = ours.read(&mut buffer) => panic!("nothing was said"),
            bytes = theirs.read(&mut seen) => {
                assert_eq!(seen[..bytes.unwrap()], PINGREQ);
                theirs.write_all(&[0xd0, 0x00]).await.unwrap();
            }
        }
        let passed = began.elapsed();
        let (least, most) = if urgent { (50, 100) } else { (9_900, 10_100) };
        assert!((least..=most).contains(&passed.as_millis()), "{urgent}: {passed:?}");
        assert_eq!(ours.read_u16().await.unwrap(), 0xd000);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_never_taken_ends_the_stream_and_is_forgotten() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let all = Arc::<std::sync::atomic::AtomicUsize>::default();
    let traffic = Arc::new(Traffic::new(Arc::clone(&all), Arc::default()));
    let mut ours = Watched::new(ours, Framing::new(1024, Mark::new()), PATIENCE, traffic);
    ours.pulse.heard(Instant::now());
    ours.write_all(&[0; 5_000]).await.unwrap();
    let began = Instant::now();
    let error = tokio::select! {
        error = ours.read_u8() => error.unwrap_err(),
        () = broker(theirs, 0, &[], 0) => unreachable!(),
    };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(error.to_string().contains("took no byte"), "{error}");
    assert_eq!(began.elapsed().as_secs(), 10);
    assert!(all.load(std::sync::atomic::Ordering::Relaxed) > 3_000);
    drop(ours);
    assert_eq!(all.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_large_packet_that_comes_slowly_is_a_sign_of_life() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let mut ours = watched(ours, Framing::new(1 << 20, Mark::new()));
    // A message of 16,383 bytes, 100 bytes a second; a PINGREQ within it stays unanswered.
    let mut first = vec![0x30, 0xff, 0x7f, 0, 1, b't'];
    first.resize(100, 0);
    let (mut broker, mut seen) = (theirs, vec![0; 2]);
    let sending = async {
        broker.write_all(&first).await.unwrap();
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            broker.write_all(&[0; 100]).await.unwrap();
        }
        broker.read_exact(&mut seen).await.unwrap();
    };
    let mut read = vec![0; 10_000];
    let (_, ()) = tokio::join!(async { ours.read_exact(&mut read).await.unwrap() }, sending);
    assert_eq!(seen, PINGREQ);
}

#[tokio::test(start_paused = true)]
async fn a_connack_that_never_comes_ends_the_stream() {
    let (ours, _broker) = tokio::io::duplex(1024);
    let mut ours = watched(ours, Framing::new(1024, Mark::new()));
    let began = Instant::now();
    let error = ours.read_u8().await.unwrap_err();
    assert!(error.to_string().contains("no CONNACK within 30 s"), "{error}");
    assert_eq!(began.elapsed().as_secs(), 30);
}
