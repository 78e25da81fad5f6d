//! What a TLS handshake that came to nothing is told as: the error of TLS within others, and what
//! speaks at the other end, by its first bytes, where it isn't what was wanted there.

use std::error::Error;
use std::io;

/// Bytes of whoever speaks at the other end by which it is known.
pub const FIRST_BYTES: usize = 16;

const HTTP: Speaker = Speaker::Other("HTTP, as web servers speak it");
const MAIL: Speaker = Speaker::Other("SMTP or FTP, as mail and file servers do");

/// How protocols begin that are found where another was wanted.
const BEGINNINGS: &[(&[u8], Speaker)] = &[
    (b"HTTP/", HTTP),
    (b"<html", HTTP),
    (b"<HTML", HTTP),
    (b"<!DOCTYPE", HTTP),
    (b"<!doctype", HTTP),
    (b"SSH-", Speaker::Other("SSH, as remote shells do")),
    // Alerts and handshakes of TLS, and of SSL 3.
    (&[0x15, 0x03], Speaker::Tls),
    (&[0x16, 0x03], Speaker::Tls),
    // CONNACK of MQTT 3, and of MQTT 5 without properties.
    (&[0x20, 0x02, 0x00], Speaker::Mqtt),
    (&[0x20, 0x02, 0x01], Speaker::Mqtt),
    (&[0x20, 0x03, 0x00], Speaker::Mqtt),
    (b"AMQP", Speaker::Other("AMQP, for which brokers have another port than for MQTT")),
    (b"220 ", MAIL),
    (b"220-", MAIL),
    (b"+OK", Speaker::Other("POP3, as mail servers do")),
    (b"* OK", Speaker::Other("IMAP, as mail servers do")),
    (b"RFB ", Speaker::Other("VNC, as remote desktops do")),
    (&[0xff, 0xfb], Speaker::Other("Telnet")),
    (&[0xff, 0xfd], Speaker::Other("Telnet")),
    (b"-ERR", Speaker::Other("Redis, as databases do")),
];

/// What speaks at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    Tls,
    Mqtt,
    /// In words.
    Other(&'static str),
}

impl std::fmt::Display for Speaker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Speaker::Tls => "TLS",
            Speaker::Mqtt => "MQTT without TLS",
            Speaker::Other(words) => words,
        })
    }
}

/// TLS was wanted, and something else speaks there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no TLS there: what came from {server}'s port is {speaks}")]
pub struct NotTls {
    server: &'static str,
    speaks: Speaker,
}

/// What speaks there, by its first bytes; `None`: nothing that is known.
pub fn speaker(first: &[u8]) -> Option<Speaker> {
    let (_, speaks) = BEGINNINGS.iter().find(|(beginning, _)| first.starts_with(beginning))?;
    Some(*speaks)
}

/// The error of TLS within `error`, however deep it is.
pub fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    within(error)
}

/// That something else than TLS speaks there, if that is what `error` comes from.
pub fn not_tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a NotTls> {
    within(error)
}

/// What is an `E`, of the sources of `error` and what is wrapped in them.
fn within<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut source = Some(error);
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref::<E>() {
            return Some(found);
        }
        // What an `io::Error` wraps isn't its source, only the source of that is.
        source = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => cause.source(),
        };
    }
    None
}

/// An error of the handshake with `server`, such as `the broker`, of which `first` came first. An end
/// of the connection says by itself nothing of TLS.
pub fn in_handshake(error: io::Error, first: &[u8], server: &'static str) -> io::Error {
    let ended = matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    );
    // Whoever speaks TLS may do so badly; that is said by its own error.
    if let Some(speaks) = speaker(first).filter(|speaks| *speaks != Speaker::Tls) {
        return io::Error::new(io::ErrorKind::InvalidData, NotTls { server, speaks });
    }
    if !ended {
        return error;
    }
    let text = if first.is_empty() {
        format!(
            "the connection was ended in the TLS handshake, without a word: there is no TLS at that \
             port (a plain {} answers so), or {server}, or something before it, was ended or \
             doesn't let us in",
            server.rsplit(' ').next().unwrap_or(server)
        )
    } else {
        format!(
            "the connection was ended within the TLS handshake, and no reason was given: {server}, \
             or something before it, was ended or doesn't let us in"
        )
    };
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use rustls::AlertDescription;

    use super::*;

    #[test]
    fn who_speaks_is_known_by_the_first_bytes_and_nobody_is_guessed() {
        for (first, words) in [
            (&b"HTTP/1.1 400 Bad Request"[..], "HTTP"),
            (b"<html><head>", "HTTP"),
            (b"SSH-2.0-OpenSSH_9.2p1", "SSH"),
            (&[0x15, 0x03, 0x01, 0, 2, 2, 70], "TLS"),
            (&[0x20, 0x02, 0x00, 0x00], "MQTT"),
            (b"220 mail.example ESMTP", "SMTP"),
        ] {
            assert!(speaker(first).unwrap().to_string().starts_with(words), "{first:?}");
        }
        // A message at QoS 1, of which as little came; nothing; what nobody knows.
        for first in [&[0x32, 0x32][..], b"", b"S", &[0x30, 0x04, 0, 1], &[0x17, 0x03, 0x03]] {
            assert_eq!(speaker(first), None, "{first:?}");
        }
    }

    #[test]
    fn an_end_in_the_handshake_is_told_as_that_and_what_tls_says_stays() {
        let alert = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
        let error = || io::Error::new(io::ErrorKind::InvalidData, alert.clone());
        let told = in_handshake(error(), &[0x15, 0x03, 0x03], "the broker");
        assert_eq!(cause(&told), Some(&alert));
        assert_eq!(not_tls(&told), None);
        let told = in_handshake(error(), b"SSH-2.0-", "the log server");
        let text = "no TLS there: what came from the log server's port is SSH, as remote shells do";
        assert_eq!(not_tls(&told).unwrap().to_string(), text);
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        let told = in_handshake(reset(), b"", "the broker").to_string();
        assert!(told.contains("no TLS at that port (a plain broker answers so)"), "{told}");
        let told = in_handshake(reset(), &[0x16, 0x03, 0x03], "the broker").to_string();
        assert!(!told.contains("no TLS at that port"), "it spoke TLS: {told}");
    }
}
