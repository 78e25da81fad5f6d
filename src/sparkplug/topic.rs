//! Topics of the Sparkplug B namespace (Sparkplug 3.0 §4.1), and the spellings around it that
//! real brokers and libraries use. Classification is total and doesn't allocate.
//!
//! ```text
//! spBv1.0/group/NBIRTH|NDEATH|NDATA/edge_node             Entity
//! spBv1.0/group/DBIRTH|DDEATH|DDATA/edge_node/device      Entity
//! spBv1.0/group/NCMD/edge_node                            Command
//! spBv1.0/group/DCMD/edge_node/device                     Command
//! spBv1.0/group/anything-else/edge_node[/device]          UnknownType
//! spBv1.0/STATE/host                                      State (3.0)
//! STATE/host                                              State (2.x)
//! spBv1.0/group/STATE/host                                State (seen in the wild)
//! $sparkplug/certificates/ + a birth topic                StoredBirth (aware brokers)
//! ```

use core::fmt;

use super::Entity;

/// First level of every Sparkplug B topic.
pub const NAMESPACE: &str = "spBv1.0";
/// Where a Sparkplug-aware broker keeps the latest births, retained (Sparkplug 3.0 §10).
pub const CERTIFICATES_PREFIX: &str = "$sparkplug/certificates/";
const STATE: &str = "STATE";
/// MQTT topic filters of what hosts say of themselves: of 3.0 and of 2.x.
pub const STATE_FILTERS: [&str; 2] = ["spBv1.0/STATE/+", "STATE/+"];

/// The message types that describe an entity, in the specification's order (§4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MessageType {
    /// Birth of an edge node.
    NBirth,
    /// Death of an edge node and all its devices.
    NDeath,
    /// Birth of a device.
    DBirth,
    /// Death of a device.
    DDeath,
    /// Data of an edge node.
    NData,
    /// Data of a device.
    DData,
}

impl MessageType {
    /// Every message type, in the specification's order.
    pub const ALL: [MessageType; 6] = [
        MessageType::NBirth,
        MessageType::NDeath,
        MessageType::DBirth,
        MessageType::DDeath,
        MessageType::NData,
        MessageType::DData,
    ];

    /// The topic level, such as `NBIRTH`.
    pub const fn name(self) -> &'static str {
        match self {
            MessageType::NBirth => "NBIRTH",
            MessageType::NDeath => "NDEATH",
            MessageType::DBirth => "DBIRTH",
            MessageType::DDeath => "DDEATH",
            MessageType::NData => "NDATA",
            MessageType::DData => "DDATA",
        }
    }

    /// The message type with this name; names are case sensitive.
    pub fn from_name(name: &str) -> Option<MessageType> {
        MessageType::ALL.into_iter().find(|message_type| message_type.name() == name)
    }

    /// NBIRTH or DBIRTH.
    pub const fn is_birth(self) -> bool {
        matches!(self, MessageType::NBirth | MessageType::DBirth)
    }

    /// NDEATH or DDEATH.
    pub const fn is_death(self) -> bool {
        matches!(self, MessageType::NDeath | MessageType::DDeath)
    }

    /// NDATA or DDATA.
    pub const fn is_data(self) -> bool {
        matches!(self, MessageType::NData | MessageType::DData)
    }

    /// DBIRTH, DDEATH or DDATA: the topic has a device level.
    pub const fn is_device(self) -> bool {
        matches!(self, MessageType::DBirth | MessageType::DDeath | MessageType::DData)
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Topic of a birth, data or death message. It displays as the normal topic, also where it was
/// read from a certificates topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntityTopic<'a> {
    pub message_type: MessageType,
    /// Has a device exactly for the device message types.
    pub entity: Entity<'a>,
}

impl<'a> EntityTopic<'a> {
    /// The birth topic of `entity`.
    pub const fn birth(entity: Entity<'a>) -> Self {
        let message_type =
            if entity.device.is_some() { MessageType::DBirth } else { MessageType::NBirth };
        EntityTopic { message_type, entity }
    }

    /// The data topic of `entity`.
    pub const fn data(entity: Entity<'a>) -> Self {
        let message_type =
            if entity.device.is_some() { MessageType::DData } else { MessageType::NData };
        EntityTopic { message_type, entity }
    }

    /// The death topic of `entity`.
    pub const fn death(entity: Entity<'a>) -> Self {
        let message_type =
            if entity.device.is_some() { MessageType::DDeath } else { MessageType::NDeath };
        EntityTopic { message_type, entity }
    }
}

/// `spBv1.0/group/TYPE/edge_node[/device]`.
impl fmt::Display for EntityTopic<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entity { group, edge_node, device } = self.entity;
        write!(formatter, "{NAMESPACE}/{group}/{}/{edge_node}", self.message_type.name())?;
        match device {
            Some(device) => write!(formatter, "/{device}"),
            None => Ok(()),
        }
    }
}

/// What a topic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic<'a> {
    /// A birth, data or death message.
    Entity(EntityTopic<'a>),
    /// NCMD or DCMD: a write towards the plant.
    Command { entity: Entity<'a> },
    /// State of a host application, in any of its three spellings.
    State { host: &'a str },
    /// A birth that a Sparkplug-aware broker stored.
    StoredBirth(EntityTopic<'a>),
    /// In the namespace and well formed, with a message type of an extension or a later version
    /// (NRECORD, NMETA, …).
    UnknownType { message_type: &'a str },
    /// Outside the Sparkplug B namespace.
    NotSparkplug,
}

/// A topic that is inside the namespace and breaks its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TopicError {
    /// U+0000, which MQTT forbids.
    #[error("the topic contains U+0000")]
    Nul,
    /// `+` or `#`, which no published topic may contain.
    #[error("the topic contains a wildcard")]
    Wildcard,
    /// A group, edge node, device or host id (or the message type) of length 0.
    #[error("the topic has an empty level")]
    EmptyLevel,
    /// Too few or too many levels for the message type.
    #[error("the topic has the wrong number of levels for its message type")]
    Levels,
    /// Only births are stored under `$sparkplug/certificates/`.
    #[error("the certificates topic isn't that of a birth")]
    NotABirth,
}

impl<'a> Topic<'a> {
    /// Classifies a topic as a broker delivers it.
    ///
    /// # Errors
    /// [`TopicError`] where the topic is in the Sparkplug namespace and malformed.
    pub fn parse(topic: &'a str) -> Result<Topic<'a>, TopicError> {
        if let Some(stored) = topic.strip_prefix(CERTIFICATES_PREFIX) {
            return match parse_plain(stored)? {
                Topic::Entity(stored) if stored.message_type.is_birth() => {
                    Ok(Topic::StoredBirth(stored))
                }
                _ => Err(TopicError::NotABirth),
            };
        }
        parse_plain(topic)
    }
}

fn parse_plain(topic: &str) -> Result<Topic<'_>, TopicError> {
    let Some((first, rest)) = topic.split_once('/') else {
        return if topic == NAMESPACE { Err(TopicError::Levels) } else { Ok(Topic::NotSparkplug) };
    };
    // `STATE/a/b` is somebody else's tree: only two levels are the 2.x spelling.
    if first == STATE && !rest.contains('/') {
        check_characters(rest)?;
        return Ok(Topic::State { host: filled(rest)? });
    }
    if first != NAMESPACE {
        return Ok(Topic::NotSparkplug);
    }
    check_characters(rest)?;

    let mut levels = rest.split('/');
    let (Some(group), Some(second), third, fourth, None) =
        (levels.next(), levels.next(), levels.next(), levels.next(), levels.next())
    else {
        return Err(TopicError::Levels);
    };
    let group = filled(group)?;
    let second = filled(second)?;
    let Some(edge_node) = third else {
        // Three levels in all: only STATE has that few, and a group may be called STATE.
        return if group == STATE {
            Ok(Topic::State { host: second })
        } else {
            Err(TopicError::Levels)
        };
    };
    let edge_node = filled(edge_node)?;
    let device = fourth.map(filled).transpose()?;
    let entity = Entity { group, edge_node, device };

    if let Some(message_type) = MessageType::from_name(second) {
        if message_type.is_device() != device.is_some() {
            return Err(TopicError::Levels);
        }
        return Ok(Topic::Entity(EntityTopic { message_type, entity }));
    }
    match (second, device) {
        ("NCMD", None) | ("DCMD", Some(_)) => Ok(Topic::Command { entity }),
        (STATE, None) => Ok(Topic::State { host: edge_node }),
        ("NCMD" | "DCMD" | STATE, _) => Err(TopicError::Levels),
        (message_type, _) => Ok(Topic::UnknownType { message_type }),
    }
}

fn check_characters(levels: &str) -> Result<(), TopicError> {
    for byte in levels.bytes() {
        match byte {
            0 => return Err(TopicError::Nul),
            b'+' | b'#' => return Err(TopicError::Wildcard),
            _ => {}
        }
    }
    Ok(())
}

fn filled(level: &str) -> Result<&str, TopicError> {
    if level.is_empty() { Err(TopicError::EmptyLevel) } else { Ok(level) }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn every_entity_topic_parses_and_displays_as_it_was() {
        for message_type in MessageType::ALL {
            let entity = if message_type.is_device() {
                Entity::device("Fab 1", "Ä$.edge", "press/".trim_end_matches('/'))
            } else {
                Entity::node("STATE", "edge")
            };
            let topic = EntityTopic { message_type, entity };
            let text = topic.to_string();
            assert_eq!(Topic::parse(&text), Ok(Topic::Entity(topic)), "{text}");
        }
    }

    #[test]
    fn spellings_around_the_namespace_are_classified() {
        let cases = [
            ("spBv1.0/STATE/host1", Topic::State { host: "host1" }),
            ("spBv1.0/STATE/NBIRTH", Topic::State { host: "NBIRTH" }),
            ("STATE/host1", Topic::State { host: "host1" }),
            ("spBv1.0/G/STATE/host1", Topic::State { host: "host1" }),
            ("STATE/a/b", Topic::NotSparkplug),
            ("STATE", Topic::NotSparkplug),
            ("spBv1.0/G/NCMD/E", Topic::Command { entity: Entity::node("G", "E") }),
            ("spBv1.0/G/DCMD/E/D", Topic::Command { entity: Entity::device("G", "E", "D") }),
            ("spBv1.0/G/NRECORD/E", Topic::UnknownType { message_type: "NRECORD" }),
            ("spBv1.0/G/DMETA/E/D", Topic::UnknownType { message_type: "DMETA" }),
            ("spBv1.0/G/nbirth/E", Topic::UnknownType { message_type: "nbirth" }),
            ("spAv1.0/G/NBIRTH/E", Topic::NotSparkplug),
            ("SPBV1.0/G/NBIRTH/E", Topic::NotSparkplug),
            ("$sparkplug/other", Topic::NotSparkplug),
            ("", Topic::NotSparkplug),
        ];
        for (text, expected) in cases {
            assert_eq!(Topic::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn certificates_topics_hold_births_only() {
        let stored = Topic::parse("$sparkplug/certificates/spBv1.0/G/DBIRTH/E/D").unwrap();
        let Topic::StoredBirth(birth) = stored else { panic!("{stored:?}") };
        assert_eq!(birth.to_string(), "spBv1.0/G/DBIRTH/E/D");
        for rest in ["spBv1.0/G/NDATA/E", "spBv1.0/STATE/h", "spBv1.0/G/NCMD/E", "STATE/h", "x"] {
            let text = format!("{CERTIFICATES_PREFIX}{rest}");
            assert_eq!(Topic::parse(&text), Err(TopicError::NotABirth), "{text}");
        }
        // A certificates topic inside a certificates topic is none.
        let twice = format!("{CERTIFICATES_PREFIX}{CERTIFICATES_PREFIX}spBv1.0/G/NBIRTH/E");
        assert_eq!(Topic::parse(&twice), Err(TopicError::NotABirth));
    }

    #[test]
    fn topics_that_break_the_grammar_are_errors() {
        let cases = [
            ("spBv1.0", TopicError::Levels),
            ("spBv1.0/G", TopicError::Levels),
            ("spBv1.0/G/NBIRTH", TopicError::Levels),
            ("spBv1.0/G/NBIRTH/E/D", TopicError::Levels),
            ("spBv1.0/G/DBIRTH/E", TopicError::Levels),
            ("spBv1.0/G/NCMD/E/D", TopicError::Levels),
            ("spBv1.0/G/DCMD/E", TopicError::Levels),
            ("spBv1.0/G/DDATA/E/D/x", TopicError::Levels),
            ("spBv1.0/G/STATE/h/x", TopicError::Levels),
            ("spBv1.0//NBIRTH/E", TopicError::EmptyLevel),
            ("spBv1.0/G//E", TopicError::EmptyLevel),
            ("spBv1.0/G/NBIRTH/", TopicError::EmptyLevel),
            ("spBv1.0/G/DBIRTH/E/", TopicError::EmptyLevel),
            ("spBv1.0/STATE/", TopicError::EmptyLevel),
            ("STATE/", TopicError::EmptyLevel),
            ("spBv1.0/G/NBIRTH/E\0", TopicError::Nul),
            ("spBv1.0/+/NBIRTH/E", TopicError::Wildcard),
            ("spBv1.0/G/NBIRTH/#", TopicError::Wildcard),
        ];
        for (text, expected) in cases {
            assert_eq!(Topic::parse(text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_parses_as_an_entity_displays_as_the_same_topic(
            text in "(spBv1.0|STATE|G|NBIRTH|DDATA|NCMD|é|/|//|\\+){0,9}",
        ) {
            if let Ok(Topic::Entity(topic)) = Topic::parse(&text) {
                prop_assert_eq!(topic.to_string(), text);
            }
        }

        #[test]
        fn ids_survive(
            group in "[^/+#\\x00]{1,8}", edge_node in "[^/+#\\x00]{1,8}", device in "[^/+#\\x00]{1,8}",
        ) {
            let topic = EntityTopic::data(Entity::device(&group, &edge_node, &device));
            let text = topic.to_string();
            prop_assert_eq!(Topic::parse(&text), Ok(Topic::Entity(topic)));
        }
    }
}
