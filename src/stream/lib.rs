//! The stream between a broker and an MQTT client: over all addresses of the broker, with TLS where
//! it is configured, no message larger than the client takes, and no time limit that something
//! which goes on slowly runs into. It knows MQTT's framing and nothing else of it, and no half.
//!
//! ```text
//!  broker ──> TCP ──> TLS ──> watched: framing ──> MQTT client
//!         <──     <──         outbox, pulse    <──
//! ```

mod answers;
mod budget;
mod dial;
mod five;
mod framing;
mod mark;
mod message;
mod offers;
mod outbox;
mod overheard;
mod owed;
mod properties;
mod pulse;
mod returning;
mod silence;
mod traffic;
mod watched;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pub use answers::{Codes, Disconnect, NoSession};
pub use budget::Budget;
pub use dial::dial;
pub use framing::{Framing, FramingError};
pub use mark::{Fault, Mark, TooLarge, Unfit};
pub use offers::Offers;
use overheard::Overheard;
pub use owed::Odd;
pub use pulse::Patience;
pub use returning::watch_first;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use silence::CONNECT_KEY;
pub use silence::{Awaited, Silence};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
pub use traffic::Traffic;
pub use watched::Watched;

/// Said of a port that takes connections and never answers.
const NOT_A_BYTE: &str = ": not a byte came, so that may be no port for TLS";

/// A stream to a broker, encrypted or not.
#[derive(Debug)]
pub enum Stream<S> {
    Plain(S),
    Tls(Box<TlsStream<Overheard<S>>>),
}

/// Makes the TLS connection, if one is wanted, and watches the packets that come.
///
/// # Errors
/// The TLS handshake failed, or took too long.
pub async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tls: Option<(Arc<ClientConfig>, String)>,
    framing: Framing,
    patience: Patience,
    traffic: Arc<Traffic>,
) -> io::Result<Watched<Stream<S>>> {
    let stream = match tls {
        None => Stream::Plain(stream),
        Some((config, name)) => {
            let name = ServerName::try_from(name).map_err(io::Error::other)?;
            traffic.awaits(Awaited::Handshake);
            let overheard = Overheard::new(stream, Arc::clone(&traffic));
            let handshake = TlsConnector::from(config).connect(name, overheard);
            let late = |_| {
                let seconds = patience.connack.as_secs();
                let silent = if traffic.first().is_empty() { NOT_A_BYTE } else { "" };
                let text = format!("no TLS handshake within {seconds} s (`{CONNECT_KEY}`){silent}");
                io::Error::new(io::ErrorKind::TimedOut, text)
            };
            let secured = timeout(patience.connack, handshake)
                .await
                .map_err(late)?
                .map_err(|error| tls::in_handshake(error, traffic.first(), "the broker"))?;
            Stream::Tls(Box::new(secured))
        }
    };
    traffic.awaits(Awaited::Connack);
    Ok(Watched::new(stream, framing, patience, traffic))
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
