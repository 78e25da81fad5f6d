//! What hosts published and the stream left only the topic of: too large, or what MQTT doesn't allow.

use stream::{Mark, TooLarge, Unfit};
use telemetry::event;

use super::MAX_INCOMING_BYTES;
use crate::mirror::SessionEvent;

/// What a publication is to the mirror, if nobody can read it.
pub(super) fn unread(
    mark: &Mark,
    broker: &str,
    (topic, payload): (&str, &[u8]),
    retained: bool,
    acknowledged: bool,
) -> Option<SessionEvent> {
    if let Some(TooLarge { bytes }) = mark.read(payload) {
        let limit = MAX_INCOMING_BYTES;
        event!(MessageTooLarge, topic, bytes, limit, retained, broker);
        return Some(SessionEvent::TooLarge { topic: topic.to_owned() });
    }
    let Unfit { fault, bytes, topic } = mark.read_unfit(payload)?;
    let (topic, problem) = (String::from_utf8_lossy(topic).into_owned(), fault.to_string());
    event!(MessageImpossible, problem, topic, bytes, retained, acknowledged, broker);
    Some(SessionEvent::Impossible { topic })
}
