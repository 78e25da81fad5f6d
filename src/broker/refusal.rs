//! What a broker says when it refuses a session (CONNACK) or a filter (SUBACK), in words.

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
        0x80 => (FailureKind::Other, "without a reason".to_owned()),
        0x81 => (FailureKind::Other, "malformed, it says: it doesn't read our CONNECT".to_owned()),
        0x82 => (FailureKind::Other, "against the protocol, it says".to_owned()),
        0x83 => (FailureKind::Other, "for a reason of its own; its log may say more".to_owned()),
        0x8c => (FailureKind::Login, "it wants another way to log in (MQTT 5)".to_owned()),
        0x90 => (FailureKind::Login, "the topic of the will isn't allowed".to_owned()),
        0x95 => (FailureKind::Other, "our CONNECT is larger than it takes".to_owned()),
        0x99 => (FailureKind::Other, "the form of the will's payload is invalid".to_owned()),
        0x9a => (FailureKind::Other, "it keeps no retained messages".to_owned()),
        0x9b => (FailureKind::Other, "it doesn't take the will's quality of service".to_owned()),
        0x8a => (FailureKind::Login, format!("banned ({user}, client identifier `{client_id}`)")),
        0x97 => (FailureKind::Later, "quota exceeded: it allows no more sessions".to_owned()),
        0x9c | 0x9d => (FailureKind::Later, "use another server".to_owned()),
        0x9f => (FailureKind::Later, "connection rate exceeded".to_owned()),
        _ => (FailureKind::Other, "a code that MQTT doesn't have; its log may say more".to_owned()),
    };
    let number = if code < 0x80 { code.to_string() } else { format!("{code:#04x}") };
    ConnectFailure {
        kind,
        text: format!("the broker refuses the session (CONNACK {number}): {why}"),
    }
}

/// How a SUBACK with these codes refuses filters: the codes that MQTT 3.1.1 doesn't have, each once.
pub fn filter_refusal(codes: &[u8]) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    for code in codes.iter().filter(|code| **code > 2 && **code != 0x80) {
        let why = match code {
            0x83 => "for a reason of its own",
            0x87 => "not authorised",
            0x8f => "it doesn't take such a filter",
            0x91 => "the packet identifier is in use, it says",
            0x97 => "quota exceeded: it allows no more subscriptions",
            0x9e => "it has no shared subscriptions",
            0xa1 => "it has no subscription identifiers",
            0xa2 => "it takes no wildcards",
            _ => "a code that MQTT doesn't have",
        };
        let one = format!("SUBACK {code:#04x}: {why}");
        if !words.contains(&one) {
            words.push(one);
        }
    }
    (!words.is_empty()).then(|| words.join("; "))
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
            (6, FailureKind::Other, "CONNACK 6): a code that MQTT doesn't have"),
            (0x80, FailureKind::Other, "CONNACK 0x80): without a reason"),
            (0x8c, FailureKind::Login, "another way to log in"),
            (0x95, FailureKind::Other, "larger than it takes"),
            (0xff, FailureKind::Other, "a code that MQTT doesn't have"),
            (0x87, FailureKind::Login, "CONNACK 0x87): not authorised"),
            (0x97, FailureKind::Later, "quota"),
        ] {
            let failure = refusal(code, refused);
            assert_eq!(failure.kind, kind, "{code}");
            assert!(failure.text.contains(words), "{}", failure.text);
        }
    }
    #[test]
    fn codes_that_refuse_a_filter_are_said_in_words_each_once() {
        assert_eq!(filter_refusal(&[0, 1, 2, 0x80]), None);
        let said = filter_refusal(&[1, 0x87, 0x97, 0x87]).unwrap();
        assert_eq!(
            said,
            "SUBACK 0x87: not authorised; SUBACK 0x97: quota exceeded: it allows no more subscriptions"
        );
        assert!(filter_refusal(&[3]).unwrap().contains("MQTT doesn't have"));
    }
}
