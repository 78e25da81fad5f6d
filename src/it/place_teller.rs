//! Data by places in a layout of the journal, as the OT half tells it; for tests that have it by names.

use std::collections::BTreeMap;
use std::sync::Arc;

use journal_format::compact::{CompactMetric, CompactValue, CompactWriter};
use journal_format::{Body, Data, Frame, Layout, Layouts, Relayed};
use prost::Message;
use sparkplug::{Metric, Payload, Value, put_fields};

/// Tells data by places wherever that says the same.
#[derive(Debug)]
pub struct PlaceTeller {
    layouts: Layouts,
    numbers: BTreeMap<String, u64>,
}

impl Default for PlaceTeller {
    fn default() -> PlaceTeller {
        PlaceTeller { layouts: Layouts::new(usize::MAX), numbers: BTreeMap::new() }
    }
}

impl PlaceTeller {
    /// The same frame, with its data by places, where the layout of a birth before it has all of them.
    pub fn tell(&mut self, mut frame: Frame) -> Frame {
        match &mut frame.body {
            Some(Body::Keyframe(keyframe)) => {
                keyframe.layout = self.number(&keyframe.topic, frame.seq, keyframe.layout);
            }
            Some(Body::Relayed(relayed)) => {
                if let Some((data, layout)) = self.by_places(relayed) {
                    frame.body = Some(Body::Data(data));
                    frame.layout = Some(layout);
                    return frame;
                }
                relayed.layout = self.number(&relayed.topic, frame.seq, relayed.layout);
            }
            _ => {}
        }
        if let Some(body) = &frame.body {
            self.layouts.learn(body);
        }
        frame
    }

    /// The layout that data under this topic can be told against, with its number.
    pub fn layout(&self, topic: &str) -> Option<(u64, Arc<Layout>)> {
        let number = *self.numbers.get(topic)?;
        let layout = self.layouts.of(&Data { layout: number, ..Data::default() })?;
        Some((number, Arc::clone(layout)))
    }

    /// The number that a birth gives: its own, or the one of its frame.
    fn number(&mut self, topic: &str, seq: u64, number: u64) -> u64 {
        if !topic.contains("BIRTH") {
            return 0;
        }
        let number = if number > 0 { number } else { seq.saturating_add(1) };
        self.numbers.insert(topic.replacen("BIRTH", "DATA", 1), number);
        number
    }

    fn by_places(&self, relayed: &Relayed) -> Option<(Data, Arc<Layout>)> {
        let (number, layout) = self.layout(&relayed.topic)?;
        let payload = Payload::decode(relayed.payload.as_slice()).ok()?;
        let timestamp = payload.timestamp?;
        let mut writer = CompactWriter::new(timestamp, 0);
        for metric in &payload.metrics {
            let name = metric.name.as_deref()?;
            let places = 0..u32::try_from(layout.places()).ok()?;
            let place = places.into_iter().find(|place| layout.name(*place) == Some(name))?;
            if let Some(metric) = compact(metric) {
                writer.metric(place, &metric);
            } else {
                let mut fields = Vec::new();
                put_fields(&mut fields, metric.alias, metric);
                writer.fields(place, &fields);
            }
        }
        let data = Data {
            layout: number,
            timestamp,
            received_after: relayed.received_ms.wrapping_sub(timestamp).cast_signed(),
            metrics: writer.finish(),
            loss_before: relayed.loss_before,
            synthetic: relayed.synthetic,
            losses: relayed.losses,
            typed: relayed.typed,
            urgent: relayed.urgent,
            outdated: relayed.outdated,
        };
        let named = layout.by_names(&data, usize::MAX)?;
        // They say something of births alone.
        let given_aliases = relayed.given_aliases.clone();
        (Relayed { given_aliases, ..named } == *relayed).then_some((data, layout))
    }
}

fn compact(metric: &Metric) -> Option<CompactMetric<'_>> {
    let has_more = metric.alias.is_some()
        || metric.datatype.is_some()
        || metric.metadata.is_some()
        || metric.properties.is_some();
    let value = match (&metric.value, metric.is_null) {
        (None, Some(true)) => CompactValue::Null,
        (Some(Value::Int(value)), None) => CompactValue::Int(*value),
        (Some(Value::Long(value)), None) => CompactValue::Long(*value),
        (Some(Value::Float(value)), None) => CompactValue::Float(*value),
        (Some(Value::Double(value)), None) => CompactValue::Double(*value),
        (Some(Value::Boolean(value)), None) => CompactValue::Boolean(*value),
        (Some(Value::String(text)), None) => CompactValue::Text(text.as_bytes()),
        _ => return None,
    };
    let timestamp = metric.timestamp.filter(|_| !has_more)?;
    let Metric { is_historical, is_transient, .. } = *metric;
    Some(CompactMetric { timestamp, is_historical, is_transient, value })
}
