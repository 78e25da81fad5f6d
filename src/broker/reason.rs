//! Reason codes of MQTT 5 (§2.4): what each says in the operator's words, and what there is to do about it.
//! Brokers that speak MQTT 5 give some of them to a client of MQTT 3.1.1 as well.

/// One reason code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    pub code: u8,
    /// Its name in the specification.
    pub name: &'static str,
    /// Behind "the broker …: ", whatever packet it is in.
    pub words: &'static str,
    /// What to do; empty where nothing is wrong.
    pub advice: &'static str,
}

const LOG: &str = "the broker's log says more";
const RIGHTS: &str =
    "look at the broker's access list: `sparkdiode policy acl` writes what this relay needs";
const OURS: &str =
    "the broker refuses how we speak: please report it, with the broker's name and version";
const LATER: &str = "nothing, if it passes; else the broker is too small for what it has to do";
const ELSEWHERE: &str =
    "have the address of the other server in the configuration: none is followed by itself";

/// All of them, in the specification's order.
pub const REASONS: &[Reason] = &[
    reason(0x00, "Success, Normal disconnection, Granted QoS 0", "without a reason", ""),
    reason(0x01, "Granted QoS 1", "granted with quality of service 1", ""),
    reason(0x02, "Granted QoS 2", "granted with quality of service 2", ""),
    reason(0x04, "Disconnect with Will Message", "the end is to publish the will", ""),
    reason(0x10, "No matching subscribers", "nobody has subscribed to it", ""),
    reason(0x11, "No subscription existed", "there was no such subscription", ""),
    reason(
        0x18,
        "Continue authentication",
        "it wants another step of a login that we don't have",
        "use a login by certificate, or by user and password",
    ),
    reason(
        0x19,
        "Re-authenticate",
        "it wants to be logged in to anew, in a way that we don't have",
        "use a login by certificate, or by user and password",
    ),
    reason(0x80, "Unspecified error", "without a reason", LOG),
    reason(0x81, "Malformed Packet", "malformed, it says: it doesn't read what we sent", OURS),
    reason(0x82, "Protocol Error", "against the protocol, it says", OURS),
    reason(0x83, "Implementation specific error", "for a reason of its own", LOG),
    reason(
        0x84,
        "Unsupported Protocol Version",
        "unacceptable protocol version",
        "give the other one as `protocol` in [broker]",
    ),
    reason(
        0x85,
        "Client Identifier not valid",
        "identifier rejected",
        "set `client-id`, or `client-id-form = \"short\"`, or have the broker allow it",
    ),
    reason(
        0x86,
        "Bad User Name or Password",
        "bad user name or password",
        "compare `user` and the password's file with what the broker knows",
    ),
    reason(0x87, "Not authorized", "not authorised", RIGHTS),
    reason(
        0x88,
        "Server unavailable",
        "server unavailable: it is overloaded, still starting, or a standby",
        "nothing, if it passes; several addresses of a cluster may stand in [broker]",
    ),
    reason(0x89, "Server busy", "server busy", LATER),
    reason(
        0x8a,
        "Banned",
        "banned",
        "ask whoever runs the broker why; it was done by hand or by its flood protection",
    ),
    reason(
        0x8b,
        "Server shutting down",
        "it is shutting down",
        "nothing: the relay connects again",
    ),
    reason(
        0x8c,
        "Bad authentication method",
        "it wants another way to log in",
        "use a login by certificate, or by user and password",
    ),
    reason(
        0x8d,
        "Keep Alive timeout",
        "it heard nothing within the keep alive (`keep-alive-s`)",
        "look at the network between us, and at the load of both machines",
    ),
    reason(
        0x8e,
        "Session taken over",
        "the session was taken over by another client with this identifier",
        "find the other client: each relay needs a `client-id` of its own",
    ),
    reason(0x8f, "Topic Filter invalid", "it doesn't take such a topic filter", RIGHTS),
    reason(0x90, "Topic Name invalid", "it doesn't take such a topic name", RIGHTS),
    reason(0x91, "Packet Identifier in use", "the packet identifier is in use, it says", OURS),
    reason(
        0x92,
        "Packet Identifier not found",
        "it doesn't know the packet identifier, it says",
        OURS,
    ),
    reason(
        0x93,
        "Receive Maximum exceeded",
        "more publications without an answer than it takes",
        OURS,
    ),
    reason(
        0x94,
        "Topic Alias invalid",
        "the topic alias is invalid, it says",
        "set `topic-aliases = false` in [broker], and please report it",
    ),
    reason(
        0x95,
        "Packet too large",
        "a packet of ours is larger than it takes",
        "raise the broker's limit for packets above the plant's largest birth",
    ),
    reason(
        0x96,
        "Message rate too high",
        "the rate of messages is too high",
        "raise the broker's limit, or set `max-publishes-per-s`",
    ),
    reason(
        0x97,
        "Quota exceeded",
        "quota exceeded: it allows no more",
        "raise the broker's limit for sessions, subscriptions, or stored messages",
    ),
    reason(
        0x98,
        "Administrative action",
        "ended by its administrator",
        "ask whoever runs the broker",
    ),
    reason(
        0x99,
        "Payload format invalid",
        "the form of a payload is invalid, it says",
        "Sparkplug is bytes and no text: switch off the broker's check of payloads",
    ),
    reason(0x9a, "Retain not supported", "it keeps no retained messages", OURS),
    reason(
        0x9b,
        "QoS not supported",
        "it doesn't take this quality of service",
        "Sparkplug needs quality of service 1: take a broker that has it",
    ),
    reason(0x9c, "Use another server", "use another server, for now", ELSEWHERE),
    reason(0x9d, "Server moved", "use another server, from now on", ELSEWHERE),
    reason(0x9e, "Shared Subscriptions not supported", "it has no shared subscriptions", OURS),
    reason(0x9f, "Connection rate exceeded", "connection rate exceeded", LATER),
    reason(
        0xa0,
        "Maximum connect time",
        "its longest time for a connection is over",
        "nothing: the relay connects again",
    ),
    reason(
        0xa1,
        "Subscription Identifiers not supported",
        "it has no subscription identifiers",
        OURS,
    ),
    reason(
        0xa2,
        "Wildcard Subscriptions not supported",
        "it takes no wildcards in topic filters",
        "name edge nodes and devices in the policy without wildcards, or take a broker that has them",
    ),
];

const fn reason(code: u8, name: &'static str, words: &'static str, advice: &'static str) -> Reason {
    Reason { code, name, words, advice }
}

/// The reason with this code; `None`: MQTT doesn't have it.
pub fn reason_of(code: u8) -> Option<&'static Reason> {
    REASONS.iter().find(|reason| reason.code == code)
}

/// In words, for a sentence about any packet.
pub fn words_of(code: u8) -> &'static str {
    reason_of(code).map_or("a code that MQTT doesn't have", |reason| reason.words)
}

/// `0x87: not authorised`, and what the broker says besides.
pub fn said(code: u8, text: Option<&str>) -> String {
    with(format!("{code:#04x}: {}", words_of(code)), text)
}

/// With what the broker says in words of its own (the Reason String), if it says any.
pub fn with(words: String, text: Option<&str>) -> String {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => format!("{words} (\"{text}\", it says)"),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MQTT 5 §2.4, table 2-6.
    const SPECIFIED: &str = "00 01 02 04 10 11 18 19 80 81 82 83 84 85 86 87 88 89 8a 8b 8c 8d 8e 8f 90 91 92 \
                             93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2";

    #[test]
    fn every_code_of_the_specification_has_its_words_and_no_other_has() {
        let known: Vec<String> =
            REASONS.iter().map(|reason| format!("{:02x}", reason.code)).collect();
        assert_eq!(known.join(" "), SPECIFIED);
        for code in 0..=u8::MAX {
            let Some(reason) = reason_of(code) else {
                assert_eq!(words_of(code), "a code that MQTT doesn't have");
                continue;
            };
            assert!(!reason.name.is_empty() && !reason.words.is_empty(), "{code:#04x}");
            assert!(!reason.words.ends_with('.') && !reason.advice.ends_with('.'), "{code:#04x}");
        }
    }

    #[test]
    fn whoever_meets_an_error_is_told_what_to_do() {
        for reason in REASONS {
            assert_eq!(reason.advice.is_empty(), reason.code < 0x18, "{:#04x}", reason.code);
        }
    }

    #[test]
    fn what_the_broker_says_in_its_own_words_stands_beside_ours() {
        assert_eq!(said(0x87, None), "0x87: not authorised");
        assert_eq!(said(0x87, Some(" ")), "0x87: not authorised");
        assert_eq!(
            said(0x97, Some("5 sessions")),
            "0x97: quota exceeded: it allows no more (\"5 sessions\", it says)"
        );
        assert!(said(0x77, None).contains("MQTT doesn't have"));
    }
}
