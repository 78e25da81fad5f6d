//! What goes out on the session of a node, in Sparkplug's order: its births, data and deaths.

use std::sync::Arc;
use std::time::Duration;

use sparkplug::Metric;

use super::encode;
use super::fold::told_all;
use super::layout::Layout;
use super::node::{Announced, Device, Node, Role, Session};
use super::notice::Notice;
use super::step::StepContext;
use super::timers::Timer;

/// Births of all of a node are large: one set in this time, beside those of its plant.
const ANEW_EVERY: Duration = Duration::from_secs(1);

/// Two sets more may come at once: a loss and its keyframe, a device and its type.
const ANEW_AHEAD: Duration = Duration::from_secs(2);

impl StepContext<'_> {
    /// NBIRTH with `seq` 0, then the DBIRTH of every live device. Of a member of a fold: its own
    /// DBIRTH in place of the NBIRTH; of a folded edge node: all that, once the step is over.
    pub(super) fn publish_births(&mut self, node: &mut Node) {
        let fold = match &node.role {
            Role::Folded(fold) => return self.folds.want_births(*fold),
            Role::Member(membership) => Some(membership.fold),
            Role::Plant | Role::Relay => None,
        };
        if fold.is_some_and(|fold| !self.may_bear(node, fold)) {
            return;
        }
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
        match fold {
            Some(_) => self.publish_member_birth(node),
            None => self.publish_node_birth(node, first),
        }
        let mut devices = std::mem::take(&mut node.devices);
        for device in devices.values_mut() {
            if node.withholds(&device.layout, self.settings.on_gap) {
                device.announced = Announced::Unborn;
            } else {
                self.publish_device_birth(node, device);
            }
        }
        node.devices = devices;
        if node.is_relay() || !self.settings.backfill {
            node.ranges.clear();
        }
        node.set_range_timers();
        if first {
            node.hasten_confirmation(self.now.mono);
            let (devices, bd_seq) = (node.devices.len(), node.bd_seq);
            self.notify(Notice::NodeBorn { node: node.key(), devices, bd_seq });
        }
    }

    /// NBIRTH of a node with a session of its own. `first`: of this session.
    pub(super) fn publish_node_birth(&mut self, node: &mut Node, first: bool) {
        let aliases = self.settings.aliases;
        let mut layout = std::mem::take(&mut node.layout);
        let line = self.folds.line(node);
        let stamp = line.begin_births(self.now.wall_ms);
        let seq = line.next_seq();
        let alias = line.alias_numbers.begin(&mut layout, first, aliases);
        node.layout = layout;
        let birth = encode::node_birth(node.bd_seq, alias, &node.layout, stamp, seq);
        let birth = self.compress(birth, stamp, seq);
        let id = node.id;
        self.folds.line(node).note_birth(id, birth.len());
        self.publish(node.via, Arc::clone(&node.topics.birth), birth);
        self.breathe();
    }

    /// The DBIRTH of a member of a fold, with its own metrics. One that hosts see, and all of its
    /// devices, die first: a second DBIRTH would be a violation.
    fn publish_member_birth(&mut self, node: &mut Node) {
        self.retract(node);
        let mut layout = std::mem::take(&mut node.layout);
        self.folds.line(node).alias_numbers.go_on(&mut layout);
        node.layout = layout;
        let (birth, death) = (Arc::clone(&node.topics.birth), Arc::clone(&node.topics.death));
        let layout = Arc::clone(&node.layout);
        self.publish_birth_of(node, &layout, birth, &death);
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
        self.folds.line(node).alias_numbers.go_on(&mut device.layout);
        let topics = &device.topics;
        self.publish_birth_of(node, &device.layout, Arc::clone(&topics.birth), &topics.death);
    }

    /// DBIRTH with this layout.
    fn publish_birth_of(
        &mut self,
        node: &mut Node,
        layout: &Layout,
        topic: Arc<str>,
        death: &Arc<str>,
    ) {
        let (stamp, seq) = self.next_of(node);
        let member = node.membership().map(|membership| membership.prefix.as_deref());
        let payload = encode::device_birth(layout, member, stamp, seq);
        let payload = self.compress(payload, stamp, seq);
        let id = node.id;
        self.folds.line(node).note_birth(id, payload.len());
        node.show(death);
        self.publish(node.via, topic, payload);
        self.breathe();
    }

    /// Timestamp and number of the next message on the session of a node.
    pub(super) fn next_of(&mut self, node: &mut Node) -> (u64, u8) {
        let line = self.folds.line(node);
        (line.data_stamp(self.now.wall_ms), line.next_seq())
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
        let (stamp, seq) = self.next_of(node);
        let prefix = node.membership().and_then(|membership| membership.prefix.as_deref());
        let payload = match prefix {
            None => encode::data(stamp, seq, room, metrics),
            Some(prefix) => encode::data(stamp, seq, room, told_all(metrics, prefix)),
        };
        self.publish(node.via, topic, payload);
    }

    /// DDEATH on this topic.
    pub(super) fn publish_device_death(&mut self, node: &mut Node, topic: Arc<str>) {
        if !node.hide(&topic) {
            return;
        }
        let (stamp, seq) = self.next_of(node);
        let payload = encode::device_death(stamp, seq);
        self.publish(node.via, topic, payload);
    }
}
