//! Datatypes of metrics, learnt from births and keyframes: data carry names and values only.

use std::collections::HashMap;

use journal_format::{Body, Frame};
use sparkplug::{Caps, DataType, DecodeError, Metric, Payload, Topic, decode};

/// Cap of the metrics that are remembered, over all nodes and devices: about 200 MB. Data of
/// further ones are shown without datatype.
const MAX_METRICS: usize = 1_000_000;

/// The decoded payload of a message or a keyframe, with the datatypes of its metrics.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) payload: Result<Payload, DecodeError>,
    types: Option<&'a HashMap<String, DataType>>,
}

impl Message<'_> {
    /// Leaves the metrics out whose name doesn't contain `wanted`; false if none is left.
    pub(super) fn keep_only(&mut self, wanted: &str) -> bool {
        let Ok(payload) = &mut self.payload else { return false };
        payload
            .metrics
            .retain(|metric| metric.name.as_ref().is_some_and(|name| name.contains(wanted)));
        !payload.metrics.is_empty()
    }

    /// The datatype that the metric has or its birth gave it.
    pub(super) fn datatype(&self, metric: &Metric) -> Option<DataType> {
        let own = metric.datatype.and_then(DataType::from_code);
        own.or_else(|| self.types?.get(metric.name.as_deref()?).copied())
    }
}

/// Metric datatypes by entity (`group/edge_node[/device]`, which no id can fake: ids contain no
/// slash).
#[derive(Debug, Default)]
pub(super) struct Layouts {
    entities: HashMap<String, HashMap<String, DataType>>,
    metrics: usize,
}

impl Layouts {
    /// Decodes the payload of a frame that has one, and remembers the datatypes of a birth.
    pub(super) fn learn(&mut self, frame: &Frame) -> Option<Message<'_>> {
        let (entity, payload) = entity_and_payload(frame)?;
        if let (Some((entity, true)), Ok(payload)) = (&entity, &payload) {
            self.remember(entity, &payload.metrics);
        }
        Some(self.with_types(entity, payload))
    }

    /// The same, which remembers nothing.
    pub(super) fn message(&self, frame: &Frame) -> Option<Message<'_>> {
        let (entity, payload) = entity_and_payload(frame)?;
        Some(self.with_types(entity, payload))
    }

    fn with_types(
        &self,
        entity: Option<(String, bool)>,
        payload: Result<Payload, DecodeError>,
    ) -> Message<'_> {
        let types = entity.and_then(|(entity, _)| self.entities.get(&entity));
        Message { payload, types }
    }

    fn remember(&mut self, entity: &str, metrics: &[Metric]) {
        let forgotten = self.entities.remove(entity).map_or(0, |types| types.len());
        self.metrics = self.metrics.saturating_sub(forgotten);
        if self.metrics.saturating_add(metrics.len()) > MAX_METRICS {
            return;
        }
        let typed = metrics.iter().filter_map(|metric| {
            let datatype = DataType::from_code(metric.datatype?)?;
            Some((metric.name.clone()?, datatype))
        });
        let types: HashMap<_, _> = typed.collect();
        self.metrics = self.metrics.saturating_add(types.len());
        self.entities.insert(entity.to_owned(), types);
    }
}

/// Whose message it is and whether it is a birth, as far as the topic says it, and its payload.
#[expect(clippy::type_complexity, reason = "two answers of one look")]
fn entity_and_payload(
    frame: &Frame,
) -> Option<(Option<(String, bool)>, Result<Payload, DecodeError>)> {
    let (topic, bytes) = match frame.body.as_ref()? {
        Body::Relayed(relayed) => (&relayed.topic, &relayed.payload),
        Body::Keyframe(keyframe) => (&keyframe.topic, &keyframe.payload),
        Body::Start(_) | Body::Heartbeat(_) | Body::Data(_) => return None,
    };
    let caps = Caps::of_payloads(Caps::MOST_BYTES).of_own_journal();
    let payload = decode(bytes, &caps).map(|decoded| decoded.payload);
    let Ok(Topic::Entity(topic)) = Topic::parse(topic) else { return Some((None, payload)) };
    let entity = (topic.entity.to_string(), topic.message_type.is_birth());
    Some((Some(entity), payload))
}
