//! `protocol` in `[broker]`, and the keys that MQTT 5 alone has.

use std::time::Duration;

use diagnostic::Section;

use super::code;
use super::reader::Reader;

/// `session-expiry-s`: a week, so that a relay which stands still over a long weekend misses nothing that the
/// broker can keep, and one that is gone for good is forgotten.
const DEFAULT_SESSION_EXPIRY_S: u64 = 7 * 24 * 3_600;
/// The longest time; the number above it means "for ever" (MQTT 5 §3.1.2.11.2).
const MAX_SESSION_EXPIRY_S: u64 = 0xffff_fffe;

/// Keys that say nothing to a broker of MQTT 3.1.1.
const OF_FIVE: &[&str] = &["session-expiry-s", "announce-packet-limit", "topic-aliases"];

/// Which MQTT is spoken (`protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT 3.1.1.
    Three,
    /// MQTT 5.
    Five,
}

/// What MQTT 5 alone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiveConfig {
    /// How long the OT broker is to keep the session of a relay that is away. 1 min to 136 years.
    pub session_expiry: Duration,
    /// The broker is told `max-packet-bytes`.
    pub announces_packet_limit: bool,
    /// On IT, where the broker offers them.
    pub topic_aliases: bool,
}

pub(super) fn read(reader: &mut Reader, section: &mut Section<'_, '_>) -> (Protocol, FiveConfig) {
    let known = [("3.1.1", Protocol::Three), ("5", Protocol::Five)];
    let protocol = reader.word(section, "protocol", &known, Protocol::Three);
    let session_expiry_s = reader.number(
        section,
        "session-expiry-s",
        60..=MAX_SESSION_EXPIRY_S,
        DEFAULT_SESSION_EXPIRY_S,
    );
    let five = FiveConfig {
        session_expiry: Duration::from_secs(session_expiry_s),
        announces_packet_limit: reader.boolean(section, "announce-packet-limit", false),
        topic_aliases: reader.boolean(section, "topic-aliases", true),
    };
    if protocol == Protocol::Three {
        let given = OF_FIVE.iter().filter_map(|key| Some((*key, section.key_span(key)?)));
        for (key, span) in given.collect::<Vec<_>>() {
            let problem = reader
                .error(code::COMBINATION, span, format!("`{key}` without `protocol = \"5\"`"))
                .label("MQTT 3.1.1 has nothing of that kind");
            reader.push(problem);
        }
    }
    (protocol, five)
}
