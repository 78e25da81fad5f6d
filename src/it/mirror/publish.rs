//! What goes out on the session of a node, in Sparkplug's order: its births, data and deaths.

use std::sync::Arc;
use std::time::Duration;

use sparkplug::Metric;

use super::encode;
use super::node::{Announced, Device, Node, Session};
use super::notice::Notice;
use super::step::StepContext;
use super::timers::Timer;

/// Births of all of a node are large: one set in this time, beside those of its plant.
const ANEW_EVERY: Duration = Duration::from_secs(1);

/// Two sets more may come at once: a loss and its keyframe, a device and its type.
const ANEW_AHEAD: Duration = Duration::from_secs(2);

impl StepContext<'_> {
    /// NBIRTH with `seq` 0, then the DBIRTH of every live device.
    pub(super) fn publish_births(&mut self, node: &mut Node) {
        let first = !node.is_born();
        node.session = Session::Born { since: self.now.mono };
        node.timers.stop(Timer::RebirthDue);
        node.timers.stop(Timer::MarksDue);
        // The births carry everything before this position; a birth that waited for its session
        // is published only now.
        let newest = self.position.saturating_sub(1);
        let oldest = node.take_held_births().unwrap_or(newest);
        node.close_missed(self.position);
        self.published(node, oldest, newest);
        let stamp = node.begin_births(self.now.wall_ms);
        let seq = node.next_seq();
        let aliases = self.settings.aliases;
        let alias = node.alias_numbers.begin(&mut node.layout, first, aliases);
        let birth = encode::node_birth(node.bd_seq, alias, &node.layout, stamp, seq);
        let birth = self.compress(birth, stamp, seq);
        node.note_birth(birth.len());
        self.publish(node.id, Arc::clone(&node.topics.birth), birth);
        self.breathe();
        let mut devices = std::mem::take(&mut node.devices);
        for device in devices.values_mut() {
            if node.withholds(&device.layout, self.settings.on_gap) {
                device.announced = Announced::Unborn;
            } else {
                self.publish_device_birth(node, device);
            }
        }
        node.devices = devices;
        if node.is_relay || !self.settings.backfill {
            node.ranges.clear();
        }
        node.set_range_timers();
        if first {
            node.hasten_confirmation(self.now.mono);
            let (devices, bd_seq) = (node.devices.len(), node.bd_seq);
            self.notify(Notice::NodeBorn { node: node.key(), devices, bd_seq });
        }
    }

    /// Publishes the births of a node anew for something that a single message of the plant said
    /// (it was born in another shape, or messages of it were lost): once in [`ANEW_EVERY`],
    /// or a plant could ask for all births with each message. `waits`: no data may
    /// go out until then.
    pub(super) fn publish_births_anew(&mut self, node: &mut Node, waits: bool) {
        let due = node.born_anew.saturating_sub(ANEW_AHEAD);
        if due <= self.now.mono {
            node.born_anew = node.born_anew.max(self.now.mono).saturating_add(ANEW_EVERY);
            self.publish_births(node);
        } else if waits {
            node.born_anew = node.born_anew.saturating_add(ANEW_EVERY);
            node.timers.set(Timer::RebirthDue, due);
        } else {
            node.timers.set(Timer::MarksDue, due);
        }
    }

    /// DBIRTH of a device of the node; it may be outside of the node's list for the moment.
    pub(super) fn publish_device_birth(&mut self, node: &mut Node, device: &mut Device) {
        device.announced = Announced::Born;
        node.alias_numbers.go_on(&mut device.layout);
        let stamp = node.data_stamp(self.now.wall_ms);
        let seq = node.next_seq();
        let payload = encode::device_birth(&device.layout, stamp, seq);
        let payload = self.compress(payload, stamp, seq);
        node.note_birth(payload.len());
        self.publish(node.id, Arc::clone(&device.topics.birth), payload);
        self.breathe();
    }

    /// A birth as it goes out: compressed where it is long, and shorter by that.
    fn compress(&mut self, birth: Vec<u8>, stamp: u64, seq: u8) -> Vec<u8> {
        if self.settings.compress_births_above.is_none_or(|most| birth.len() <= most) {
            return birth;
        }
        self.breathe();
        sparkplug::compress(&birth, stamp, seq.into()).unwrap_or(birth)
    }

    /// NDATA or DDATA of these metrics; nothing where IT doesn't know of the device.
    pub(super) fn publish_data(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        mut metrics: Vec<Metric>,
    ) {
        let Some(topic) = node.data_topic(device) else { return };
        if let Some(layout) = node.layout_of(device)
            && self.names_datatypes(layout.is_typed)
        {
            let named = metrics.iter_mut().map(|metric| {
                let name = metric.name.clone().unwrap_or_default();
                (name, metric)
            });
            named.for_each(|(name, metric)| layout.name_datatype(&name, metric));
        }
        let metrics = metrics.iter().map(|metric| (metric.name.as_deref(), metric));
        self.publish_metrics(node, topic, 0, metrics);
    }

    /// The same with the names beside the metrics. `room`: bytes that the payload takes, roughly.
    pub(super) fn publish_metrics<'m>(
        &mut self,
        node: &mut Node,
        topic: Arc<str>,
        room: usize,
        metrics: impl Iterator<Item = (Option<&'m str>, &'m Metric)>,
    ) {
        let stamp = node.data_stamp(self.now.wall_ms);
        let payload = encode::data(stamp, node.next_seq(), room, metrics);
        self.publish(node.id, topic, payload);
    }

    /// DDEATH on this topic.
    pub(super) fn publish_device_death(&mut self, node: &mut Node, topic: Arc<str>) {
        let stamp = node.data_stamp(self.now.wall_ms);
        let payload = encode::device_death(stamp, node.next_seq());
        self.publish(node.id, topic, payload);
    }
}
