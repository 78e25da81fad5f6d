//! A stream whose packets are watched: what is read from it went through [`Framing`], what is written
//! to it waits in an [`Outbox`] where it has to, and its [`Pulse`] is taken.
//!
//! The MQTT client never waits to write. It writes whole packets, so that a PINGREQ of ours, which
//! is sent while nothing waits, is never within one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tls::Speaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::budget::Budget;
use crate::framing::{Framing, FramingError, Portion};
use crate::outbox::Outbox;
use crate::pulse::{Look, Patience, Pulse};
use crate::traffic::Traffic;

/// Read at once: a few hundred data messages.
const READ_BYTES: usize = 64 * 1024;
const PINGREQ: [u8; 2] = [0xc0, 0x00];

/// A stream to the broker, for an MQTT client.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    framing: Framing,
    read: Vec<u8>,
    /// What of `read` isn't handed on.
    filled: std::ops::Range<usize>,
    /// What of that goes on as it is.
    passing: usize,
    /// What of the framing's insert is handed on.
    inserted: usize,
    reads_ahead: bool,
    outbox: Outbox,
    pulse: Pulse,
    /// When the pulse is taken next.
    look: Pin<Box<Sleep>>,
}

impl<S> Watched<S> {
    pub(crate) fn new(
        stream: S,
        framing: Framing,
        patience: Patience,
        traffic: Arc<Traffic>,
    ) -> Watched<S> {
        let now = Instant::now();
        Watched {
            outbox: Outbox::new(traffic),
            pulse: Pulse::new(patience, now),
            look: Box::pin(sleep_until(now)),
            stream,
            framing,
            read: Vec::new(),
            filled: 0..0,
            passing: 0,
            inserted: 0,
            reads_ahead: true,
        }
    }

    /// Reads no more than the client has room for, into the client's memory: for one of many
    /// sessions, each of which hears little.
    #[must_use]
    pub fn without_reading_ahead(mut self) -> Watched<S> {
        self.reads_ahead = false;
        self
    }

    /// Writes no more than its share of `budget`.
    #[must_use]
    pub fn within(mut self, budget: Option<&Arc<Budget>>) -> Watched<S> {
        if let Some(budget) = budget {
            self.outbox.limit(budget.share());
        }
        self
    }

    /// Hands on what is there; false if more has to be read.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<bool> {
        loop {
            let insert = self.framing.insert();
            if !insert.is_empty() {
                let rest = insert.get(self.inserted..).unwrap_or_default();
                let taken = rest.len().min(buffer.remaining());
                buffer.put_slice(rest.get(..taken).unwrap_or_default());
                self.inserted = self.inserted.saturating_add(taken);
                if self.inserted < insert.len() {
                    return Ok(true);
                }
                insert.clear();
                self.inserted = 0;
                // Its memory is for one message in many thousand.
                insert.shrink_to_fit();
            }
            let rest = self.read.get(self.filled.clone()).unwrap_or_default();
            if self.passing > 0 {
                let taken = self.passing.min(buffer.remaining());
                buffer.put_slice(rest.get(..taken).unwrap_or_default());
                self.passing = self.passing.saturating_sub(taken);
                self.filled.start = self.filled.start.saturating_add(taken);
                if self.passing > 0 {
                    return Ok(true);
                }
                continue;
            }
            if rest.is_empty() || buffer.remaining() == 0 {
                return Ok(!buffer.filled().is_empty());
            }
            let portion = self.framing.next(rest).map_err(no_mqtt)?;
            self.begin(portion);
        }
    }

    /// What becomes of the next bytes of what was read.
    fn begin(&mut self, portion: Portion) {
        match portion {
            Portion::Pass(bytes) => self.passing = bytes,
            Portion::Drop(bytes) => self.filled.start = self.filled.start.saturating_add(bytes),
        }
    }
}

fn no_mqtt(error: FramingError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Fails where the first bytes of a connection are another protocol's.
fn check_first(first: &[u8]) -> io::Result<()> {
    let what = match tls::speaker(first) {
        None | Some(Speaker::Mqtt) => return Ok(()),
        Some(Speaker::Tls) => "TLS: that port wants `[broker.tls]`".to_owned(),
        Some(other) => format!("{other}: is that the broker's port?"),
    };
    let byte = first.first().copied().unwrap_or_default();
    let text = format!("what came is no MQTT packet (its first byte is {byte:#04x}) but {what}");
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Reads into memory of our own; how many bytes, 0 at the end of the stream.
    fn read_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.read.resize(READ_BYTES, 0);
        let mut room = ReadBuf::new(&mut self.read);
        // Nothing of it is there before something is read.
        self.filled = 0..0;
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut room))?;
        self.filled = 0..room.filled().len();
        if self.pulse.is_unheard() {
            check_first(self.read.get(self.filled.clone()).unwrap_or_default())?;
        }
        Poll::Ready(Ok(self.filled.len()))
    }

    /// Reads into the client's memory, where what came stays if all of it goes on, as nearly
    /// always; if not, it's moved to memory of our own, for as long as it takes.
    fn read_through(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        (self.read, self.filled) = (Vec::new(), 0..0);
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let came = buffer.filled().get(before..).unwrap_or_default();
        let bytes = came.len();
        if came.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.pulse.is_unheard() {
            check_first(came)?;
        }
        match self.framing.next(came).map_err(no_mqtt)? {
            Portion::Pass(passes) if passes == bytes => {}
            portion => {
                self.read = came.to_vec();
                self.filled = 0..came.len();
                self.begin(portion);
                buffer.set_filled(before);
            }
        }
        Poll::Ready(Ok(bytes))
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Hands on what waits to be written.
    fn release(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let (released, moved) = self.outbox.poll_release(&mut self.stream, context);
        // Who waits for a turn isn't waiting for the broker.
        self.note_writing(released.is_pending(), moved || self.outbox.is_starved());
        match released {
            Poll::Ready(released) => released,
            Poll::Pending => Ok(()),
        }
    }

    fn note_writing(&mut self, waits: bool, moved: bool) {
        let now = Instant::now();
        if waits {
            self.pulse.waits(now, moved);
        } else {
            self.pulse.sent(now);
        }
    }

    /// Takes the pulse where that is due, and sees to it that this is done again.
    fn take_pulse(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.look.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            match self.pulse.look(now) {
                Look::Wait(until) => self.look.as_mut().reset(until),
                Look::Dead(why) => return Err(io::Error::new(io::ErrorKind::TimedOut, why)),
                Look::Ping => {
                    self.outbox.put(&mut self.stream, context, &PINGREQ)?;
                    self.pulse.pinged(now);
                    self.pulse.sent(now);
                    self.release(context)?;
                }
            }
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let watched = self.get_mut();
        let before = buffer.filled().len();
        watched.release(context)?;
        watched.take_pulse(context)?;
        loop {
            watched.hand_on(buffer)?;
            if buffer.filled().len() > before || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let bytes = match watched.reads_ahead {
                true => ready!(watched.read_ahead(context))?,
                false => ready!(watched.read_through(context, buffer))?,
            };
            if bytes == 0 {
                return Poll::Ready(Ok(()));
            }
            let now = Instant::now();
            if watched.pulse.heard(now) {
                // From now on it is the keep alive that counts.
                watched.look.as_mut().reset(now);
            }
            watched.outbox.traffic().hear(bytes);
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let watched = self.get_mut();
        watched.outbox.put(&mut watched.stream, context, bytes)?;
        Poll::Ready(Ok(bytes.len()))
    }

    /// Doesn't wait: what the system doesn't take now goes on with the next reads.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_mut().release(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let watched = self.get_mut();
        ready!(watched.outbox.poll_release(&mut watched.stream, context).0)?;
        Pin::new(&mut watched.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::framing::Mark;

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
            (
                &[0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46],
                "but TLS: that port wants `[broker.tls]`",
            ),
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
        let mut first = vec![0x30, 0xff, 0x7f];
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
}
