//! Bytes that a client has written and that the system hasn't taken: so that a client which writes
//! something large goes on reading. How many they may be is the client's affair; [`Traffic`] says
//! how many there are.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::budget::Share;
use crate::traffic::Traffic;

/// Memory that is kept while nothing waits.
const KEPT_BYTES: usize = 4 * 1024;

/// The bytes that wait.
#[derive(Debug)]
pub(crate) struct Outbox {
    bytes: VecDeque<u8>,
    /// What was taken last may lie in the buffers of the encryption.
    unflushed: bool,
    traffic: Arc<Traffic>,
    /// `None`: as much as the system takes.
    share: Option<Share>,
    /// It isn't the system that bytes wait for, but their turn.
    starved: bool,
}

impl Outbox {
    pub(crate) fn new(traffic: Arc<Traffic>) -> Outbox {
        Outbox { bytes: VecDeque::new(), unflushed: false, traffic, share: None, starved: false }
    }

    /// Sends no more than this.
    pub(crate) fn limit(&mut self, share: Share) {
        self.share = Some(share);
    }

    /// It isn't the system that bytes wait for, but their turn.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved
    }

    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Nothing waits, here or in the encryption.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.unflushed
    }

    /// Takes all of `bytes`; what `stream` takes at once doesn't wait here.
    pub(crate) fn put<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> io::Result<()> {
        self.traffic.accept(bytes.len());
        let mut rest = bytes;
        let taken = self.take_at_once(stream, context, &mut rest);
        // However that ended: what was accepted waits until it is taken, or until all of this is dropped.
        self.bytes.extend(rest);
        taken
    }

    fn take_at_once<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
        rest: &mut &[u8],
    ) -> io::Result<()> {
        while self.share.is_none()
            && self.bytes.is_empty()
            && !rest.is_empty()
            && let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(context, rest)
        {
            *rest = rest.get(self.taken(written)?..).unwrap_or_default();
        }
        Ok(())
    }

    /// Hands on what waits; ready when nothing does. The second value: some of it was taken.
    pub(crate) fn poll_release<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> (Poll<io::Result<()>>, bool) {
        let before = self.traffic.released();
        let released = self.poll_empty(stream, context);
        (released, self.traffic.released() > before)
    }

    fn poll_empty<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.bytes.is_empty() {
            let (front, _) = self.bytes.as_slices();
            let allowed = match &mut self.share {
                None => front.len(),
                Some(share) => {
                    self.starved = true;
                    let urgent = self.traffic.is_urgent();
                    let allowed = ready!(share.poll_take(context, front.len(), urgent));
                    self.starved = false;
                    allowed
                }
            };
            let front = front.get(..allowed).unwrap_or(front);
            let written = ready!(Pin::new(&mut *stream).poll_write(context, front));
            let written = self.taken(written)?;
            self.bytes.drain(..written);
            if let Some(share) = &mut self.share {
                share.spend(written);
            }
        }
        if let Some(share) = &mut self.share {
            share.rest();
        }
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = VecDeque::new();
        }
        if self.unflushed {
            ready!(Pin::new(stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn taken(&mut self, written: io::Result<usize>) -> io::Result<usize> {
        match written? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            written => {
                self.unflushed = true;
                self.traffic.release(written);
                Ok(written)
            }
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.traffic.forget(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use std::task::Waker;

    use super::*;

    /// A connection that the other end has reset.
    struct Broken;

    impl AsyncWrite for Broken {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// What all connections together have waiting would grow with each that breaks, until no more history
    /// follows it.
    #[test]
    fn of_a_connection_that_breaks_in_a_write_nothing_waits_for_ever() {
        let waiting = Arc::new(AtomicUsize::new(0));
        let traffic = Arc::new(Traffic::new(Arc::clone(&waiting), Arc::new(AtomicU64::new(0))));
        let mut outbox = Outbox::new(Arc::clone(&traffic));
        let mut context = Context::from_waker(Waker::noop());
        assert!(outbox.put(&mut Broken, &mut context, b"a message").is_err());
        drop(outbox);
        assert_eq!((waiting.load(Ordering::Relaxed), traffic.waiting()), (0, 0));
    }
}
