//! Socket of the session with the OT broker: few system calls, however many packets.
//!
//! rumqttc writes and flushes every acknowledgement by itself, and reads some 8 KiB at a time.
//! Here what is written gathers until somebody wants to read: rumqttc's event loop reads only
//! when it has nothing left to write, and never sleeps without having tried to read. So what
//! gathered leaves the process before the session waits for anything, in one piece.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Read at once: a few hundred data messages.
const READ_BYTES: usize = 64 * 1024;
/// More than this isn't gathered: 4,000 acknowledgements.
const GATHERED_BYTES: usize = 16 * 1024;

/// The socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    /// Written by rumqttc, and not yet by us.
    gathered: BytesMut,
    read: Box<[u8]>,
    /// What of `read` rumqttc hasn't taken.
    filled: std::ops::Range<usize>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Socket {
        let read = vec![0; READ_BYTES].into_boxed_slice();
        Socket { stream, gathered: BytesMut::new(), read, filled: 0..0 }
    }

    /// Writes what gathered.
    fn poll_release(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.gathered))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gathered.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Hands on what was read before; false if there is nothing.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let rest = self.read.get(self.filled.clone()).unwrap_or_default();
        let taken = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..taken).unwrap_or_default());
        self.filled.start = self.filled.start.saturating_add(taken);
        taken > 0
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = &mut *self;
        // A broker that doesn't take our bytes may still have some for us.
        if let Poll::Ready(released) = socket.poll_release(context) {
            released?;
        }
        if socket.hand_on(buffer) {
            return Poll::Ready(Ok(()));
        }
        if buffer.remaining() >= READ_BYTES {
            // There is room for as much: it needn't be copied.
            return Pin::new(&mut socket.stream).poll_read(context, buffer);
        }
        let mut room = ReadBuf::new(&mut socket.read);
        ready!(Pin::new(&mut socket.stream).poll_read(context, &mut room))?;
        socket.filled = 0..room.filled().len();
        socket.hand_on(buffer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= GATHERED_BYTES {
            ready!(self.poll_release(context))?;
        }
        self.gathered.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Does nothing: what gathered is written with the next read, or at the end.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// rumqttc drops the socket behind its DISCONNECT, without a read. What the system doesn't take
/// at once is lost: a broker that hasn't room for these few bytes takes nothing any more, and
/// finds out by the end of the connection.
impl Drop for Socket {
    fn drop(&mut self) {
        while let Ok(written) = self.stream.try_write(&self.gathered)
            && written > 0
        {
            self.gathered.advance(written);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        (Socket::new(ours.unwrap()), theirs.unwrap().0)
    }

    async fn read(stream: &mut (impl AsyncRead + Unpin), bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        stream.read_exact(&mut read).await.unwrap();
        read
    }

    #[tokio::test]
    async fn what_is_written_leaves_with_the_next_read_and_in_one_piece() {
        let (mut socket, mut broker) = pair().await;
        for number in 0..100_u8 {
            socket.write_all(&[number]).await.unwrap();
            socket.flush().await.unwrap();
        }
        assert_eq!(socket.gathered.len(), 100);
        broker.write_all(b"more").await.unwrap();
        assert_eq!(read(&mut socket, 4).await, b"more");
        assert_eq!(socket.gathered.len(), 0);
        assert_eq!(read(&mut broker, 100).await, (0..100).collect::<Vec<u8>>());
    }

    #[tokio::test]
    async fn who_has_room_for_as_much_is_read_into_without_a_copy() {
        let (mut socket, mut broker) = pair().await;
        let mut large = vec![0; READ_BYTES];
        broker.write_all(b"first").await.unwrap();
        assert_eq!(socket.read(&mut large).await.unwrap(), 5);
        assert!(large.starts_with(b"first"));
        assert_eq!(socket.filled, 0..0, "nothing went through our own memory");
        // What is left of a smaller read comes first.
        broker.write_all(b"second").await.unwrap();
        assert_eq!(read(&mut socket, 2).await, b"se");
        assert_eq!(socket.read(&mut large).await.unwrap(), 4);
        assert!(large.starts_with(b"cond"));
    }

    #[tokio::test]
    async fn a_read_that_has_to_wait_writes_first() {
        let (mut socket, mut broker) = pair().await;
        socket.write_all(b"ping").await.unwrap();
        let answer = async {
            assert_eq!(read(&mut broker, 4).await, b"ping");
            broker.write_all(b"pong").await.unwrap();
        };
        let (answered, ()) = tokio::join!(read(&mut socket, 4), answer);
        assert_eq!(answered, b"pong");
    }

    #[tokio::test]
    async fn what_was_written_last_leaves_before_the_connection_ends() {
        let (mut socket, mut broker) = pair().await;
        socket.write_all(b"goodbye").await.unwrap();
        drop(socket);
        let mut all = Vec::new();
        broker.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"goodbye");
    }

    #[tokio::test]
    async fn more_than_fits_comes_through_in_order_both_ways() {
        let (mut socket, mut broker) = pair().await;
        let sent: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
        let out = async {
            for part in sent.chunks(999) {
                socket.write_all(part).await.unwrap();
            }
            // Smaller and larger than the buffer.
            let mut back = read(&mut socket, 10).await;
            back.extend(read(&mut socket, sent.len() - 10).await);
            back
        };
        let echo = async {
            let came = read(&mut broker, sent.len()).await;
            broker.write_all(&came).await.unwrap();
        };
        let (back, ()) = tokio::join!(out, echo);
        assert!(back == sent);
    }
}
