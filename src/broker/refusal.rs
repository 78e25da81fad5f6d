//! What a broker says when it refuses a session (CONNACK) or a filter (SUBACK), in words.

use std::time::Duration;

use crate::{ConnectFailure, FailureKind, Protocol, reason};

/// Whose session was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    pub client_id: &'a str,
    pub keep_alive: Duration,
    pub protocol: Protocol,
    /// MQTT user, if there is one.
    pub user: Option<&'a str>,
}

/// A CONNACK with this code; `text`: what the broker says in its own words. Codes from 0x80 on are those
/// of MQTT 5, which some brokers answer to a client of MQTT 3.1.1 as well.
pub fn refusal(code: u8, text: Option<&str>, refused: Refused<'_>) -> ConnectFailure {
    let Refused { client_id, keep_alive, protocol, user } = refused;
    let user = user.map_or_else(|| "no user".to_owned(), |user| format!("user `{user}`"));
    let seconds = keep_alive.as_secs();
    let (kind, why) = match code {
        1 | 0x84 => (
            FailureKind::Login,
            format!(
                "unacceptable protocol version: it doesn't speak {protocol} (`protocol = \"{}\"` is the other one)",
                protocol.other().key()
            ),
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
        0x81 => (FailureKind::Other, "malformed, it says: it doesn't read our CONNECT".to_owned()),
        0x83 => (FailureKind::Other, "for a reason of its own; its log may say more".to_owned()),
        0x8c => {
            (FailureKind::Login, "it wants another way to log in (MQTT 5 has several)".to_owned())
        }
        0x90 => (FailureKind::Login, "the topic of the will isn't allowed".to_owned()),
        0x95 => (FailureKind::Other, "our CONNECT is larger than it takes".to_owned()),
        0x99 => (FailureKind::Other, "the form of the will's payload is invalid".to_owned()),
        0x9b => (FailureKind::Other, "it doesn't take the will's quality of service".to_owned()),
        0x8a => (FailureKind::Login, format!("banned ({user}, client identifier `{client_id}`)")),
        0x97 => (FailureKind::Later, "quota exceeded: it allows no more sessions".to_owned()),
        0x89 | 0x8b | 0x9c | 0x9d | 0x9f => (FailureKind::Later, reason::words_of(code).to_owned()),
        0x80.. => (FailureKind::Other, reason::words_of(code).to_owned()),
        _ => (FailureKind::Other, "a code that MQTT doesn't have; its log may say more".to_owned()),
    };
    let number = if code < 0x80 { code.to_string() } else { format!("{code:#04x}") };
    let why = reason::with(why, text);
    ConnectFailure {
        kind,
        text: format!("the broker refuses the session (CONNACK {number}): {why}"),
    }
}

/// How a SUBACK with these codes refuses filters: the codes that MQTT 3.1.1 doesn't have, each once; `text`: what
/// the broker says in its own words.
pub fn filter_refusal(codes: &[u8], text: Option<&str>) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    for code in codes.iter().filter(|code| **code > 2 && **code != 0x80) {
        let why = match code {
            0x97 => "quota exceeded: it allows no more subscriptions",
            0x80.. => reason::words_of(*code),
            _ => "a code that MQTT doesn't have",
        };
        let one = format!("SUBACK {code:#04x}: {why}");
        if !words.contains(&one) {
            words.push(one);
        }
    }
    match (words.is_empty(), text) {
        (true, Some(text)) => Some(reason::with("SUBACK 0x80".to_owned(), Some(text))),
        (true, None) => None,
        (false, text) => Some(reason::with(words.join("; "), text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Refused<'_> = Refused {
        client_id: "relay",
        keep_alive: Duration::from_secs(30),
        protocol: Protocol::Three,
        user: Some("me"),
    };

    #[test]
    fn every_reason_of_the_specification_is_said_in_words_in_a_connack_and_in_a_suback() {
        for reason in reason::REASONS.iter().filter(|reason| reason.code >= 0x80) {
            let failure = refusal(reason.code, Some("as it says"), REFUSED);
            let text = &failure.text;
            assert!(!text.contains("MQTT doesn't have") && text.contains("as it says"), "{text}");
            let said = filter_refusal(&[1, reason.code], Some("as it says")).unwrap();
            assert!(said.contains("as it says") && !said.contains("MQTT doesn't have"), "{said}");
        }
        assert_eq!(filter_refusal(&[0x80], Some("no")).unwrap(), "SUBACK 0x80 (\"no\", it says)");
    }

    #[test]
    fn who_does_not_speak_it_is_told_with_the_other_one() {
        for (protocol, other) in [(Protocol::Three, "\"5\""), (Protocol::Five, "\"3.1.1\"")] {
            for code in [1, 0x84] {
                let text = refusal(code, None, Refused { protocol, ..REFUSED }).text;
                assert!(text.contains(&format!("doesn't speak {protocol} ")), "{text}");
                assert!(text.contains(&format!("`protocol = {other}`")), "{text}");
            }
        }
    }

    #[test]
    fn every_code_is_said_in_words_and_only_some_are_about_the_login() {
        let refused = REFUSED;
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
            let failure = refusal(code, None, refused);
            assert_eq!(failure.kind, kind, "{code}");
            assert!(failure.text.contains(words), "{}", failure.text);
        }
    }
    #[test]
    fn codes_that_refuse_a_filter_are_said_in_words_each_once() {
        assert_eq!(filter_refusal(&[0, 1, 2, 0x80], None), None);
        let said = filter_refusal(&[1, 0x87, 0x97, 0x87], None).unwrap();
        assert_eq!(
            said,
            "SUBACK 0x87: not authorised; SUBACK 0x97: quota exceeded: it allows no more subscriptions"
        );
        assert!(filter_refusal(&[3], None).unwrap().contains("MQTT doesn't have"));
    }
}
