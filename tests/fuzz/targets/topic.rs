//! Topics from both brokers.

use sparkplug::{CERTIFICATES_PREFIX, MessageType, NAMESPACE, Topic};

/// Classifies any text as a topic.
///
/// - The topic of an entity displays as it came, and that is the same topic again.
/// - What is let through as an entity, a plain splitting at the slashes has for one too.
/// - A command is never an entity.
pub fn topic(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let parsed = Topic::parse(text);
    let (plain, stored) = match text.strip_prefix(CERTIFICATES_PREFIX) {
        Some(plain) => (plain, true),
        None => (text, false),
    };
    let levels: Vec<&str> = plain.split('/').collect();
    let is_clean =
        !plain.contains(['\0', '+', '#']) && levels.iter().all(|level| !level.is_empty());
    let message_type = match levels[..] {
        [NAMESPACE, _, name, _] if name.starts_with('N') => MessageType::from_name(name),
        [NAMESPACE, _, name, _, _] if name.starts_with('D') => MessageType::from_name(name),
        _ => None,
    };
    let wanted = message_type.filter(|kind| is_clean && (!stored || kind.is_birth()));
    match parsed {
        Ok(Topic::Entity(topic) | Topic::StoredBirth(topic)) => {
            assert_eq!(matches!(parsed, Ok(Topic::StoredBirth(_))), stored);
            assert_eq!(wanted, Some(topic.message_type), "{text:?}");
            assert_eq!(topic.to_string(), plain);
            assert_eq!(Topic::parse(plain), Ok(Topic::Entity(topic)));
            let entity = topic.entity;
            assert_eq!((entity.group, entity.edge_node), (levels[1], levels[3]));
            assert_eq!(entity.device, levels.get(4).copied());
        }
        other => assert_eq!(wanted, None, "{text:?} is {other:?}"),
    }
    let is_command = matches!(levels[..], [NAMESPACE, _, "NCMD", _] | [NAMESPACE, _, "DCMD", _, _]);
    if is_clean && is_command && !stored {
        assert!(matches!(parsed, Ok(Topic::Command { .. })), "{text:?} is {parsed:?}");
    }
}
