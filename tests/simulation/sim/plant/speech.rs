//! What an edge node says: births, data and deaths, in the words of its habits.

use prost::Message as _;
use sparkplug::{DataType, Metric as Sparkplug, Payload, Template, Value};

use super::{
    Act, Counting, DEFINITION, GROUP, INSTANCE, Kind, MAX_METRICS, MEMBERS, MessageId, Metric,
    Naming, Node, Number, Plant, Published, Random, Said, Sent, Shape, Way,
};
use crate::sim::habits::BdSeq;

/// What is wrong with a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// A metric whose name isn't text.
    BadText,
    /// More metrics than the relay takes.
    TooMany,
    /// No protobuf.
    Garbage,
    /// A value of another type than the birth gave it.
    OtherType,
}

impl Plant {
    pub(super) fn births(
        &mut self,
        node: usize,
        fault: Fault,
        random: &mut Random,
        wall_ms: u64,
        out: &mut Vec<Published>,
    ) {
        let known = &mut self.nodes[node];
        if known.habits.shifts_aliases {
            known.shift += 1;
        }
        let seq = match known.habits.counting {
            Counting::Full | Counting::LeavesOutZero => {
                known.seq = 0;
                Some(0)
            }
            Counting::GoesOn => known.next_seq(),
            Counting::Never => None,
        };
        self.birth(node, None, seq, fault, random, wall_ms, out);
        for device in 0..self.nodes[node].devices.len() {
            if self.nodes[node].devices[device].is_alive {
                let seq = self.nodes[node].next_seq();
                self.birth(node, Some(device), seq, Fault::None, random, wall_ms, out);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a birth is made of")]
    pub(super) fn birth(
        &mut self,
        node: usize,
        device: Option<usize>,
        seq: Option<u8>,
        fault: Fault,
        random: &mut Random,
        wall_ms: u64,
        out: &mut Vec<Published>,
    ) {
        let kind = if device.is_some() { Kind::DBirth } else { Kind::NBirth };
        let mut values = Vec::new();
        let mut metrics = Vec::new();
        let count = self.nodes[node].entity(device).metrics.len();
        for place in 0..count {
            let metric = &self.nodes[node].entity(device).metrics[place];
            if !metric.is_born {
                continue;
            }
            let last = metric.history.last().and_then(|said| said.number);
            let number = match last {
                Some(last) if random.chance(60) => last,
                _ => self.number(),
            };
            values.push((place, Some(number)));
            let known = &self.nodes[node];
            let metric = &known.entity(device).metrics[place];
            let said = Sparkplug {
                name: Some(metric.wire_name().into()),
                alias: known.alias(metric),
                timestamp: Some(wall_ms),
                datatype: Some(metric.shape.datatype().code()),
                value: Some(metric.shape.value(number)),
                ..Sparkplug::default()
            };
            say(&mut metrics, said, metric.shape.is_member());
        }
        let known = &self.nodes[node];
        if kind == Kind::NBirth {
            match known.habits.bd_seq {
                BdSeq::Counts => metrics.push(bd_seq(known.bd_seq.into())),
                BdSeq::Constant => metrics.push(bd_seq(0)),
                BdSeq::WillSaysZero => metrics.push(bd_seq(1)),
                BdSeq::Absent => {}
            }
            if known.habits.templates {
                metrics.push(definition());
            }
        }
        let is_assured = known.habits.assures_births;
        let id = self.record(node, device, kind, seq, values, fault != Fault::None, wall_ms);
        let payload = self.payload(node, seq, metrics, wall_ms, fault);
        let entity = self.nodes[node].entity_mut(device);
        entity.is_alive = true;
        entity.born_by = Some(id);
        if kind == Kind::NBirth {
            // Devices are dead until their own births.
            for device in &mut self.nodes[node].devices {
                if !device.is_alive {
                    device.ended_by = Some(id);
                }
            }
        }
        self.publish(id, payload, is_assured, out);
    }

    pub(super) fn device_death(
        &mut self,
        node: usize,
        device: usize,
        wall_ms: u64,
        out: &mut Vec<Published>,
    ) {
        let seq = self.nodes[node].next_seq();
        let id = self.record(node, Some(device), Kind::DDeath, seq, Vec::new(), false, wall_ms);
        let entity = &mut self.nodes[node].devices[device];
        entity.is_alive = false;
        entity.ended_by = Some(id);
        let payload = self.payload(node, seq, Vec::new(), wall_ms, Fault::None);
        let is_assured = self.nodes[node].habits.assures_births;
        self.publish(id, payload, is_assured, out);
    }

    pub(super) fn some_data(
        &mut self,
        node: usize,
        act: Act,
        random: &mut Random,
        wall_ms: u64,
        out: &mut Vec<Published>,
    ) {
        let known = &self.nodes[node];
        let alive: Vec<Option<usize>> =
            known.places().filter(|place| known.entity(*place).is_alive).collect();
        let device = random.pick(&alive);
        let count = known.entity(device).metrics.len();
        let mut places: Vec<usize> =
            (0..random.between(1, 3)).map(|_| random.below(count)).collect();
        let metrics = &known.entity(device).metrics;
        if act == Act::Null && places.iter().any(|place| metrics[*place].shape.is_member()) {
            // The whole instance is null.
            places.extend((0..count).filter(|place| metrics[*place].shape.is_member()));
        }
        places.sort_unstable();
        places.dedup();
        let fault = match act {
            Act::BadData => {
                random.pick(&[Fault::BadText, Fault::TooMany, Fault::Garbage, Fault::OtherType])
            }
            _ => Fault::None,
        };
        self.data(node, device, &places, act, fault, wall_ms, out);
    }

    #[expect(clippy::too_many_arguments, reason = "what data is made of")]
    pub(super) fn data(
        &mut self,
        node: usize,
        device: Option<usize>,
        places: &[usize],
        act: Act,
        fault: Fault,
        wall_ms: u64,
        out: &mut Vec<Published>,
    ) {
        let kind = if device.is_some() { Kind::DData } else { Kind::NData };
        let (mut values, mut historical, mut metrics) = (Vec::new(), Vec::new(), Vec::new());
        for place in places.iter().copied() {
            let number = self.number();
            match act {
                Act::History => historical.push((place, number)),
                Act::Null => values.push((place, None)),
                _ => values.push((place, Some(number))),
            }
            let known = &self.nodes[node];
            let metric = &known.entity(device).metrics[place];
            let by_alias = known.habits.naming == Naming::Aliases && metric.is_born;
            let types = known.habits.types_data || !metric.is_born;
            let value = match fault {
                Fault::OtherType => Value::Boolean(true),
                _ => metric.shape.value(number),
            };
            let said = Sparkplug {
                name: (!by_alias).then(|| metric.wire_name().into()),
                alias: known.alias(metric).filter(|_| metric.is_born),
                timestamp: Some(wall_ms - u64::from(act == Act::History) * 60_000),
                datatype: types.then(|| metric.shape.datatype().code()),
                is_historical: (act == Act::History).then_some(true),
                is_null: (act == Act::Null).then_some(true),
                value: (act != Act::Null).then_some(value),
                ..Sparkplug::default()
            };
            say(&mut metrics, said, metric.shape.is_member());
        }
        let seq = self.nodes[node].next_seq();
        let id = self.record(node, device, kind, seq, values, fault != Fault::None, wall_ms);
        self.sent[id].historical = historical;
        let payload = self.payload(node, seq, metrics, wall_ms, fault);
        let is_assured = self.nodes[node].habits.assures_data;
        self.publish(id, payload, is_assured, out);
    }

    fn number(&mut self) -> Number {
        self.numbers += 1;
        self.numbers
    }

    #[expect(clippy::too_many_arguments, reason = "what a message is")]
    pub(super) fn record(
        &mut self,
        node: usize,
        device: Option<usize>,
        kind: Kind,
        seq: Option<u8>,
        values: Vec<(usize, Option<Number>)>,
        is_bad: bool,
        wall_ms: u64,
    ) -> MessageId {
        let id = self.sent.len();
        let session = self.nodes[node].session;
        for (place, number) in &values {
            let metric = &mut self.nodes[node].entity_mut(device).metrics[*place];
            metric.history.push(Said { number: *number, by: id });
        }
        let (historical, way) = (Vec::new(), Way::Waiting);
        let taken = 0;
        self.sent.push(Sent {
            node,
            device,
            kind,
            session,
            seq,
            wall_ms,
            values,
            historical,
            is_bad,
            way,
            taken,
            taken_at: std::time::Duration::ZERO,
            is_forgotten: false,
        });
        id
    }

    fn payload(
        &self,
        node: usize,
        seq: Option<u8>,
        mut metrics: Vec<Sparkplug>,
        wall_ms: u64,
        fault: Fault,
    ) -> Vec<u8> {
        if fault == Fault::Garbage {
            return vec![0xff; 7];
        }
        let leaves_out = self.nodes[node].habits.counting == Counting::LeavesOutZero;
        let seq = seq.filter(|seq| *seq != 0 || !leaves_out).map(u64::from);
        if fault == Fault::TooMany {
            metrics.extend((0..MAX_METRICS).map(|number| Sparkplug {
                name: Some(format!("filler{number}")),
                timestamp: Some(wall_ms),
                datatype: Some(DataType::Boolean.code()),
                value: Some(Value::Boolean(true)),
                ..Sparkplug::default()
            }));
        }
        let payload = Payload { timestamp: Some(wall_ms), metrics, seq, ..Payload::default() };
        let mut bytes = payload.encode_to_vec();
        if fault == Fault::BadText {
            // A metric with a name of one byte that is no UTF-8.
            bytes.extend([0x12, 0x03, 0x0a, 0x01, 0xff]);
        }
        bytes
    }

    pub(super) fn publish(
        &self,
        id: MessageId,
        payload: Vec<u8>,
        is_assured: bool,
        out: &mut Vec<Published>,
    ) {
        let sent = &self.sent[id];
        let node = &self.nodes[sent.node];
        let kind = sent.kind.name();
        let topic = match node.entity(sent.device).name.as_deref() {
            None => format!("spBv1.0/{GROUP}/{kind}/{}", node.name),
            Some(device) => format!("spBv1.0/{GROUP}/{kind}/{}/{device}", node.name),
        };
        let is_stored = match sent.kind {
            Kind::NDeath => node.habits.stores_wills,
            Kind::NBirth | Kind::DBirth => node.habits.stores_births,
            _ => false,
        };
        out.push(Published { topic, payload, is_assured, is_stored, id: Some(id) });
    }
}

/// Adds a metric to a payload; a member of an instance joins the others that are in it.
fn say(metrics: &mut Vec<Sparkplug>, said: Sparkplug, is_member: bool) {
    let is_instance =
        |one: &&mut Sparkplug| one.datatype == said.datatype && one.alias == said.alias;
    let known = metrics.last_mut().filter(|_| is_member).filter(is_instance);
    let Some(known) = known.filter(|known| known.name == said.name) else {
        return metrics.push(said);
    };
    if let (Some(Value::Template(known)), Some(Value::Template(more))) =
        (&mut known.value, said.value)
    {
        known.metrics.extend(more.metrics);
    }
}

impl Metric {
    /// As messages have it.
    fn wire_name(&self) -> &str {
        if self.shape.is_member() { INSTANCE } else { &self.name }
    }
}

impl Node {
    /// Aliases are moved within the entity, so that each means another metric of it.
    fn alias(&self, metric: &Metric) -> Option<u64> {
        if self.habits.naming == Naming::Names {
            return None;
        }
        let entities = || std::iter::once(&self.own).chain(&self.devices);
        // Members have that of their instance.
        let is_first = |metric: &&Metric| !matches!(metric.shape, Shape::Member(1..));
        let all = entities().flat_map(|entity| entity.metrics.iter().filter(is_first));
        let born: Vec<u64> = all.map(|metric| metric.alias).collect();
        let own = match metric.shape {
            Shape::Member(place) => metric.alias - place as u64,
            _ => metric.alias,
        };
        let place = born.iter().position(|alias| *alias == own).unwrap_or(0);
        Some(born[(place + self.shift as usize) % born.len()])
    }
}

pub fn bd_seq(number: u64) -> Sparkplug {
    Sparkplug {
        name: Some("bdSeq".into()),
        datatype: Some(DataType::Int64.code()),
        value: Some(Value::Long(number)),
        ..Sparkplug::default()
    }
}

fn definition() -> Sparkplug {
    let member = |name: &&str| Sparkplug {
        name: Some((*name).into()),
        datatype: Some(DataType::Int32.code()),
        value: Some(Value::Int(0)),
        ..Sparkplug::default()
    };
    let metrics = MEMBERS.iter().map(member).collect();
    let template = Template { metrics, is_definition: Some(true), ..Template::default() };
    Sparkplug {
        name: Some(DEFINITION.into()),
        datatype: Some(DataType::Template.code()),
        value: Some(Value::Template(Box::new(template))),
        ..Sparkplug::default()
    }
}
