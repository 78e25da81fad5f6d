//! A stream whose packets are watched: what is read from it went through [`Framing`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::framing::{Framing, FramingError, Portion};

/// Read at once: a few hundred data messages.
const READ_BYTES: usize = 64 * 1024;

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
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, framing: Framing) -> Watched<S> {
        Watched {
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

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Reads into memory of our own; false at the end of the stream.
    fn read_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.read.resize(READ_BYTES, 0);
        let mut room = ReadBuf::new(&mut self.read);
        // Nothing of it is there before something is read.
        self.filled = 0..0;
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut room))?;
        self.filled = 0..room.filled().len();
        Poll::Ready(Ok(!self.filled.is_empty()))
    }

    /// Reads into the client's memory, where what came stays if all of it goes on, as nearly
    /// always; if not, it's moved to memory of our own, for as long as it takes.
    fn read_through(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        (self.read, self.filled) = (Vec::new(), 0..0);
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let came = buffer.filled().get(before..).unwrap_or_default();
        if came.is_empty() {
            return Poll::Ready(Ok(false));
        }
        match self.framing.next(came).map_err(no_mqtt)? {
            Portion::Pass(bytes) if bytes == came.len() => {}
            portion => {
                self.read = came.to_vec();
                self.filled = 0..came.len();
                self.begin(portion);
                buffer.set_filled(before);
            }
        }
        Poll::Ready(Ok(true))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let watched = self.get_mut();
        let before = buffer.filled().len();
        loop {
            watched.hand_on(buffer)?;
            if buffer.filled().len() > before || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let read = match watched.reads_ahead {
                true => ready!(watched.read_ahead(context))?,
                false => ready!(watched.read_through(context, buffer))?,
            };
            if !read {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::framing::Mark;

    #[tokio::test]
    async fn what_is_too_large_takes_no_memory_and_the_rest_comes_through() {
        let mark = Mark::new();
        let (ours, mut broker) = tokio::io::duplex(4096);
        let mut watched =
            Watched::new(ours, Framing::new(1024, mark.clone())).without_reading_ahead();
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
        let mut watched = Watched::new(ours, Framing::new(1024, Mark::new()));
        broker.write_all(b"HTTP/1.1 400 Bad Request\r\n").await.unwrap();
        let mut read = pin!(watched.read_u8());
        let error = read.as_mut().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("no MQTT packet (its first byte is 0x48)"), "{error}");
    }
}
