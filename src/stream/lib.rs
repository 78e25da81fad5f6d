//! The stream between a broker and an MQTT client: over all addresses of the broker, with TLS where
//! it is configured, no message larger than the client takes, and no time limit that something
//! which goes on slowly runs into. It knows MQTT's framing and nothing else of it, and no half.
//!
//! ```text
//!  broker ──> TCP ──> TLS ──> watched: framing ──> MQTT client
//!         <──     <──         outbox, pulse    <──
//! ```

mod budget;
mod dial;
mod framing;
mod outbox;
mod pulse;
mod traffic;
mod watched;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pub use budget::Budget;
use dial::CONNECT_KEY;
pub use dial::{Addresses, dial};
pub use framing::{Framing, FramingError, Mark, TooLarge};
pub use pulse::Patience;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
pub use traffic::Traffic;
pub use watched::Watched;

/// A stream to a broker, encrypted or not.
#[derive(Debug)]
pub enum Stream<S> {
    Plain(S),
    Tls(Box<TlsStream<S>>),
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
            let handshake = TlsConnector::from(config).connect(name, stream);
            let late = |_| {
                let seconds = patience.connack.as_secs();
                let text = format!("no TLS handshake within {seconds} s (`{CONNECT_KEY}`)");
                io::Error::new(io::ErrorKind::TimedOut, text)
            };
            let secured =
                timeout(patience.connack, handshake).await.map_err(late)?.map_err(in_handshake)?;
            Stream::Tls(Box::new(secured))
        }
    };
    Ok(Watched::new(stream, framing, patience, traffic))
}

/// An end of the connection in the handshake says by itself nothing of TLS.
fn in_handshake(error: io::Error) -> io::Error {
    let ended = matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    );
    if !ended {
        return error;
    }
    let text = "the connection was ended in the TLS handshake, without a word: there is no TLS at that \
                port (a plain broker answers so), or the broker, or something before it, was ended \
                or doesn't let us in";
    io::Error::new(io::ErrorKind::InvalidData, text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_in_the_handshake_is_told_as_that_and_what_tls_says_stays() {
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset] {
            let told = in_handshake(kind.into());
            assert_eq!(told.kind(), io::ErrorKind::InvalidData);
            assert!(told.to_string().contains("no TLS at that port"), "{told}");
        }
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA);
        let told = in_handshake(io::Error::new(io::ErrorKind::InvalidData, alert.clone()));
        assert_eq!(told.get_ref().and_then(|inner| inner.downcast_ref()), Some(&alert));
    }
}
