//! Messages that nobody reads: those of other shards, and those of which the stream left only the
//! topic, since they are too large, or what MQTT doesn't allow.

use account::Reason;
use bytes::Bytes;
use telemetry::event;

use super::Session;

impl Session {
    /// Whether what comes under this topic is of an edge node that another relay has. Where the stream
    /// found the topic itself impossible, it names no edge node.
    pub(super) fn is_of_other_shard(&self, topic: &Bytes, payload: &Bytes) -> bool {
        let Some(shard) = self.shard else { return false };
        let topic = match self.mark.read_unfit(payload) {
            Some(unfit) if unfit.fault.has_topic() => unfit.topic,
            Some(_) => return false,
            None => topic,
        };
        std::str::from_utf8(topic).is_ok_and(|topic| shard.is_of_another(topic))
    }

    /// The topic under which a message was published, and why nobody reads it, if so.
    pub(super) fn unread(
        &self,
        topic: Bytes,
        payload: &Bytes,
        retained: bool,
        acknowledged: bool,
    ) -> (Bytes, Option<Reason>) {
        let broker = self.way.address();
        if let Some(too_large) = self.mark.read(payload) {
            let text = String::from_utf8_lossy(&topic);
            let (bytes, limit) = (too_large.bytes, self.broker.max_packet_bytes);
            let key = "broker.max-packet-bytes";
            event!(MessageTooLarge, topic = %text, bytes, limit, key, retained, broker);
            return (topic, Some(Reason::TooLarge));
        }
        let Some(unfit) = self.mark.read_unfit(payload) else { return (topic, None) };
        let (text, problem, bytes) =
            (String::from_utf8_lossy(unfit.topic), unfit.fault.to_string(), unfit.bytes);
        event!(
            MessageImpossible,
            problem,
            topic = %text,
            bytes,
            retained,
            acknowledged,
            broker
        );
        let reason = match unfit.fault.has_topic() {
            true => Reason::MalformedPayload,
            false => Reason::MalformedTopic,
        };
        (payload.slice_ref(unfit.topic), Some(reason))
    }
}
