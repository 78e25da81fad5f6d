//! What a carrier is: how a line gets to a target. Every call has a limit in time; only workers
//! call them.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use super::line::Numbered;

/// Longest wait for a connection, and for each step of a TLS handshake.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Longest wait for room in a socket. A target that takes nothing for that long is given up and
/// tried anew; its queue takes what comes meanwhile.
pub(super) const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// What operators call the other end.
pub(super) const SERVER: &str = "the log server";

/// What a worker does with a target.
pub trait Carrier: Send {
    /// Opens what lines are sent through.
    ///
    /// # Errors
    /// The operating system's, or of TLS.
    fn connect(&mut self) -> io::Result<()>;

    /// Fails if the target is known to have gone.
    ///
    /// # Errors
    /// As above.
    fn check(&mut self) -> io::Result<()>;

    /// Sends one line. After an error it may have arrived all the same.
    ///
    /// # Errors
    /// As above; the connection is of no use any more.
    fn send(&mut self, line: Numbered<'_>) -> io::Result<()>;

    /// Whether lines that were sent can be lost when the connection breaks, so that they are
    /// sent again.
    fn is_stream(&self) -> bool;

    /// Says that nothing more comes. A server that has read everything answers by ending the
    /// connection too: the only word that syslog has for it.
    ///
    /// # Errors
    /// As above.
    fn end(&mut self) -> io::Result<()>;

    /// Whether the server has answered to [`Carrier::end`]: then it has read everything that was
    /// sent. Waits at most `within`, and may return before that.
    ///
    /// # Errors
    /// As above; what the server had not read is lost.
    fn has_ended(&mut self, within: Duration) -> io::Result<bool>;

    /// Gives the connection up.
    fn close(&mut self);
}

/// Whether a read has found the end of a connection; what a server says is of no interest.
pub(super) fn is_end(read: io::Result<usize>) -> io::Result<bool> {
    match read {
        Ok(bytes) => Ok(bytes == 0),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Why a target can't be reached, in words.
pub(super) fn explain(error: &io::Error) -> String {
    match tls::cause(error) {
        Some(error) => tls::explain(error, SERVER),
        None => error.to_string(),
    }
}

/// The next of several addresses: one that doesn't answer isn't tried twice in a row.
pub(super) fn pick(addresses: &[SocketAddr], next: &mut usize) -> io::Result<SocketAddr> {
    let index = next.checked_rem(addresses.len()).unwrap_or(0);
    *next = index.wrapping_add(1);
    let missing = || io::Error::new(ErrorKind::AddrNotAvailable, "no address");
    addresses.get(index).copied().ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, Error as TlsError};

    use super::*;

    #[test]
    fn what_tls_says_is_told_in_words() {
        let alert = TlsError::AlertReceived(AlertDescription::UnknownCA);
        let told = explain(&io::Error::other(alert));
        assert!(told.starts_with("the log server doesn't accept our certificate"), "{told}");
        let refused = io::Error::from(ErrorKind::ConnectionRefused);
        assert_eq!(explain(&refused), refused.to_string());
    }
}
