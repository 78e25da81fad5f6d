//! A stream whose packets are watched: what is read from it went through [`Framing`], what is written
//! to it waits in an [`Outbox`] where it has to, and its [`Pulse`] is taken.
//!
//! The MQTT client never waits to write. It writes whole packets, so that a PINGREQ of ours, which
//! is sent while nothing waits, is never within one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tls::Speaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::answers::NoSession;
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
    /// Something urgent waited to be written, or may have.
    hurries: bool,
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
            hurries: false,
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

    /// Steps over answers to nothing that the client has written. It writes whole packets.
    #[must_use]
    pub fn with_answers_counted(mut self) -> Watched<S> {
        self.framing.owed().watch();
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
        if let Some(codes) = self.framing.take_codes() {
            self.outbox.traffic().keep_codes(codes);
        }
        if let Some(offers) = self.framing.take_offers() {
            if let Some(seconds) = offers.keep_alive_s {
                self.pulse.keep_alive(Duration::from_secs(seconds.into()));
            }
            self.outbox.traffic().keep_offers(offers);
        }
        if let Some((code, text)) = self.framing.take_refusal() {
            self.outbox.traffic().keep_refusal(code, text);
        }
        if let Some(odd) = self.framing.take_odd() {
            self.outbox.traffic().keep_odd(odd);
        }
        match portion {
            Portion::Pass(bytes) => self.passing = bytes,
            Portion::Drop(bytes) => self.filled.start = self.filled.start.saturating_add(bytes),
        }
    }
}

fn no_mqtt(error: FramingError) -> io::Error {
    let kind = match error {
        // By the other end, as a socket that it closes.
        FramingError::Answer(NoSession::Disconnect(_)) => io::ErrorKind::ConnectionReset,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
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
    /// Looks whether something urgent has left.
    fn note_urgency(&mut self) {
        let urgent = self.outbox.traffic().is_urgent();
        if std::mem::replace(&mut self.hurries, urgent) && !urgent {
            let now = Instant::now();
            self.pulse.hurried(now);
            self.look.as_mut().reset(now);
        }
    }

    /// Hands on what waits to be written.
    fn release(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.note_urgency();
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
        watched.framing.owed().wrote(bytes);
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
mod tests;
