//! What a broker says when it refuses a session (CONNACK), in words.

use std::time::Duration;

use crate::{ConnectFailure, FailureKind};

/// Whose session was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    pub client_id: &'a str,
    pub keep_alive: Duration,
    /// MQTT user, if there is one.
    pub user: Option<&'a str>,
}

/// A CONNACK with this code. Codes from 0x80 on are those of MQTT 5, which some brokers answer to
/// a client of MQTT 3.1.1 as well.
pub fn refusal(code: u8, refused: Refused<'_>) -> ConnectFailure {
    let Refused { client_id, keep_alive, user } = refused;
    let user = user.map_or_else(|| "no user".to_owned(), |user| format!("user `{user}`"));
    let seconds = keep_alive.as_secs();
    let (kind, why) = match code {
        1 | 0x84 => (
            FailureKind::Login,
            "unacceptable protocol version: it doesn't speak MQTT 3.1.1".to_owned(),
        ),
        2 | 0x85 => (
            FailureKind::Identifier,
            format!(
                "identifier rejected: the client identifier `{client_id}` isn't allowed, or the \
                 keep alive of {seconds} s is more than it takes (`keep-alive-s`)"
            ),
        ),
        3 | 0x88 => (
            FailureKind::Later,
            "server unavailable: it is overloaded, still starting, or a standby".to_owned(),
        ),
        4 | 0x86 => (FailureKind::Login, format!("bad user name or password ({user})")),
        5 | 0x87 => (
            FailureKind::Login,
            format!("not authorised ({user}, client identifier `{client_id}`)"),
        ),
        0x89 => (FailureKind::Later, "server busy".to_owned()),
        0x8a => (FailureKind::Login, format!("banned ({user}, client identifier `{client_id}`)")),
        0x97 => (FailureKind::Later, "quota exceeded: it allows no more sessions".to_owned()),
        0x9c | 0x9d => (FailureKind::Later, "use another server".to_owned()),
        0x9f => (FailureKind::Later, "connection rate exceeded".to_owned()),
        _ => (FailureKind::Login, "a code that MQTT 3.1.1 doesn't have".to_owned()),
    };
    let number = if code < 0x80 { code.to_string() } else { format!("{code:#04x}") };
    ConnectFailure {
        kind,
        text: format!("the broker refuses the session (CONNACK {number}): {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_said_in_words_and_only_some_are_about_the_login() {
        let refused =
            Refused { client_id: "relay", keep_alive: Duration::from_secs(30), user: Some("me") };
        for (code, kind, words) in [
            (1, FailureKind::Login, "protocol version"),
            (
                2,
                FailureKind::Identifier,
                "identifier `relay` isn't allowed, or the keep alive of 30 s",
            ),
            (3, FailureKind::Later, "server unavailable"),
            (4, FailureKind::Login, "password (user `me`)"),
            (5, FailureKind::Login, "not authorised"),
            (6, FailureKind::Login, "CONNACK 6"),
            (0x87, FailureKind::Login, "CONNACK 0x87): not authorised"),
            (0x97, FailureKind::Later, "quota"),
        ] {
            let failure = refusal(code, refused);
            assert_eq!(failure.kind, kind, "{code}");
            assert!(failure.text.contains(words), "{}", failure.text);
        }
    }
}
