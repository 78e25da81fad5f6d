//! The plant: edge nodes that publish, and what is true of them.

mod speech;

use std::time::Duration;

use prost::Message as _;
use sparkplug::{DataType, Metric as Sparkplug, Payload, Template, Value};

use super::habits::{BdSeq, Counting, Habits, Naming};
use super::plan::Act;
use super::policies::in_plant;
use super::random::Random;
use speech::Fault;
pub use speech::bd_seq;

/// The caps of the relay here are small, so that a birth can be over them.
pub const MAX_METRICS: usize = 40;
pub const GROUP: &str = "G";
/// Name of the definition, and of its members.
const DEFINITION: &str = "Kind";
pub const MEMBERS: [&str; 2] = ["x", "y"];
/// The instance of an entity. Its first member is one metric here, and the second another one:
/// data may have either, or both.
const INSTANCE: &str = "instance";

/// Every value that is ever said has a number of its own, whatever its type.
pub type Number = u64;

/// Place of a message in [`Plant::sent`].
pub type MessageId = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    NBirth,
    NDeath,
    DBirth,
    DDeath,
    NData,
    DData,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::NBirth => "NBIRTH",
            Kind::NDeath => "NDEATH",
            Kind::DBirth => "DBIRTH",
            Kind::DDeath => "DDEATH",
            Kind::NData => "NDATA",
            Kind::DData => "DDATA",
        }
    }
}

/// What became of a message on its way to the OT half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The broker has it, or the half and its journal doesn't yet.
    Waiting,
    /// Nobody will ever hear of it.
    Lost(Duration),
    /// It was handled, and what comes of it is journalled.
    Heard(Duration),
}

/// A message that an edge node published.
#[derive(Clone, Debug)]
pub struct Sent {
    pub node: usize,
    pub device: Option<usize>,
    pub kind: Kind,
    /// Number of the node's session.
    pub session: u32,
    /// As it counts, whether the wire has it or not; `None`: it doesn't count.
    pub seq: Option<u8>,
    /// Its time, as its node's clock had it.
    pub wall_ms: u64,
    /// What it says: places of metrics, and numbers (`None`: null).
    pub values: Vec<(usize, Option<Number>)>,
    /// Values that were true before.
    pub historical: Vec<(usize, Number)>,
    /// The relay can't read all of it.
    pub is_bad: bool,
    pub way: Way,
    /// When the half took it last, as a place in the order of all that it took.
    pub taken: u64,
    /// When that was.
    pub taken_at: Duration,
    /// The half was killed before the birth was stored. Only one at QoS 0: the others come again.
    pub is_forgotten: bool,
}

/// What is handed to the OT broker.
#[derive(Clone, Debug)]
pub struct Published {
    pub topic: String,
    pub payload: Vec<u8>,
    pub is_assured: bool,
    /// The broker is to store it.
    pub is_stored: bool,
    /// `None`: none of an edge node's messages.
    pub id: Option<MessageId>,
}

#[derive(Debug)]
pub struct Plant {
    pub nodes: Vec<Node>,
    pub sent: Vec<Sent>,
    numbers: Number,
}

#[derive(Debug)]
pub struct Node {
    pub habits: Habits,
    pub name: String,
    pub is_online: bool,
    pub session: u32,
    seq: u8,
    bd_seq: u8,
    pub own: Entity,
    pub devices: Vec<Entity>,
    /// Aliases are moved by so much.
    shift: u64,
}

/// An edge node or a device.
#[derive(Debug)]
pub struct Entity {
    pub name: Option<String>,
    pub is_alive: bool,
    pub metrics: Vec<Metric>,
    /// Its last birth.
    pub born_by: Option<MessageId>,
    /// The message that ended it last.
    pub ended_by: Option<MessageId>,
}

#[derive(Debug)]
pub struct Metric {
    pub name: String,
    alias: u64,
    pub shape: Shape,
    /// A birth has it.
    pub is_born: bool,
    /// What was said of it, in order; `None`: null.
    pub history: Vec<Said>,
}

#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub number: Option<Number>,
    pub by: MessageId,
}

/// How a number is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Int64,
    Int32,
    /// As `long_value`, as most libraries have it.
    UInt32,
    Double,
    Text,
    DateTime,
    /// The member of the instance at this place.
    Member(usize),
}

const SHAPES: [Shape; 6] =
    [Shape::Int64, Shape::Int32, Shape::Double, Shape::Text, Shape::UInt32, Shape::DateTime];

impl Shape {
    fn datatype(self) -> DataType {
        match self {
            Shape::Int64 => DataType::Int64,
            Shape::Int32 => DataType::Int32,
            Shape::UInt32 => DataType::UInt32,
            Shape::Double => DataType::Double,
            Shape::Text => DataType::String,
            Shape::DateTime => DataType::DateTime,
            Shape::Member(_) => DataType::Template,
        }
    }

    fn value(self, number: Number) -> Value {
        match self {
            Shape::Int64 | Shape::UInt32 | Shape::DateTime => Value::Long(number),
            Shape::Int32 => Value::Int(number as u32),
            Shape::Double => Value::Double(number as f64),
            Shape::Text => Value::String(format!("v{number}")),
            Shape::Member(place) => {
                let member = Sparkplug {
                    name: Some(MEMBERS[place].into()),
                    datatype: Some(DataType::Int32.code()),
                    value: Some(Value::Int(number as u32)),
                    ..Sparkplug::default()
                };
                Value::Template(Box::new(Template {
                    metrics: vec![member],
                    template_ref: Some(DEFINITION.into()),
                    is_definition: Some(false),
                    ..Template::default()
                }))
            }
        }
    }

    /// Whether its values are parts of those of another metric, or others are of its own.
    pub fn is_member(self) -> bool {
        matches!(self, Shape::Member(_))
    }

    /// The numbers that a value says, as anybody reads it.
    pub fn numbers(value: &Value) -> Vec<Number> {
        match value {
            Value::Template(template) => {
                let values = template.metrics.iter().filter_map(|member| member.value.as_ref());
                values.flat_map(Shape::numbers).collect()
            }
            value => Shape::number(value).into_iter().collect(),
        }
    }

    /// The number that a value says that is no instance.
    pub fn number(value: &Value) -> Option<Number> {
        match value {
            Value::Long(number) => Some(*number),
            Value::Int(number) => Some((*number).into()),
            Value::Double(number) => Some(*number as u64),
            Value::String(text) => text.strip_prefix('v')?.parse().ok(),
            _ => None,
        }
    }
}

/// What the host calls a member of an instance.
pub fn member_name(instance: &str, member: &str) -> String {
    if member == MEMBERS[0] { instance.to_owned() } else { format!("{instance}.{member}") }
}

impl Entity {
    fn new(name: Option<String>, habits: &Habits, aliases: &mut u64) -> Entity {
        let mut metrics = Vec::new();
        let mut add = |name: String, shape, is_born| {
            *aliases += 1;
            metrics.push(Metric { name, alias: *aliases, shape, is_born, history: Vec::new() });
        };
        for place in 0..habits.metrics {
            add(format!("m{place}"), SHAPES[place % SHAPES.len()], true);
        }
        if habits.templates {
            for (place, member) in MEMBERS.iter().enumerate() {
                add(member_name(INSTANCE, member), Shape::Member(place), true);
            }
        }
        if habits.has_unborn {
            add("late".into(), Shape::Int64, false);
        }
        Entity { name, is_alive: false, metrics, born_by: None, ended_by: None }
    }
}

impl Node {
    pub fn entity(&self, device: Option<usize>) -> &Entity {
        match device {
            None => &self.own,
            Some(device) => &self.devices[device],
        }
    }

    pub fn entity_mut(&mut self, device: Option<usize>) -> &mut Entity {
        match device {
            None => &mut self.own,
            Some(device) => &mut self.devices[device],
        }
    }

    /// The node itself and its devices.
    pub fn places(&self) -> impl Iterator<Item = Option<usize>> + use<> {
        std::iter::once(None).chain((0..self.devices.len()).map(Some))
    }

    fn next_seq(&mut self) -> Option<u8> {
        if self.habits.counting == Counting::Never {
            return None;
        }
        self.seq = self.seq.wrapping_add(1);
        Some(self.seq)
    }
}

impl Plant {
    pub fn new(habits: &[Habits]) -> Plant {
        let node = |(place, habits): (usize, &Habits)| {
            let mut aliases = 0;
            Node {
                name: format!("N{place}"),
                is_online: false,
                session: 0,
                // So that the round of 256 comes soon where it matters.
                seq: if habits.counting == Counting::GoesOn { 240 } else { 0 },
                bd_seq: 0,
                own: Entity::new(None, habits, &mut aliases),
                devices: (0..habits.devices)
                    .map(|device| Entity::new(Some(format!("D{device}")), habits, &mut aliases))
                    .collect(),
                shift: 0,
                habits: habits.clone(),
            }
        };
        let nodes = habits.iter().enumerate().map(node).collect();
        Plant { nodes, sent: Vec::new(), numbers: 1_000 }
    }

    /// Where the edge node is that has this name on IT.
    pub fn find(&self, node: &str) -> Option<usize> {
        self.nodes.iter().position(|known| known.name == in_plant(node))
    }

    /// Carries out what a node does; what it publishes, in order.
    pub fn act(&mut self, node: usize, act: Act, roll: u64, wall_ms: u64) -> Vec<Published> {
        let mut random = Random::new(roll);
        let mut out = Vec::new();
        let is_online = self.nodes[node].is_online;
        let device = match self.nodes[node].devices.len() {
            0 => None,
            count => Some(random.below(count)),
        };
        match act {
            Act::Connect => self.connect(node, &mut random, wall_ms, &mut out),
            _ if !is_online => {}
            Act::Die => self.die(node, wall_ms, &mut out),
            Act::Rebirth => self.births(node, Fault::None, &mut random, wall_ms, &mut out),
            Act::BadBirth => {
                let fault = random.pick(&[Fault::BadText, Fault::TooMany]);
                self.births(node, fault, &mut random, wall_ms, &mut out);
            }
            Act::Data | Act::Null | Act::History | Act::BadData => {
                self.some_data(node, act, &mut random, wall_ms, &mut out);
            }
            Act::Burst => {
                for _ in 0..random.between(3, 30) {
                    self.some_data(node, Act::Data, &mut random, wall_ms, &mut out);
                }
            }
            Act::DeviceBirth | Act::DeviceDeath | Act::DeviceAnew => {
                let Some(device) = device else { return out };
                let is_alive = self.nodes[node].devices[device].is_alive;
                if act != Act::DeviceBirth && is_alive {
                    self.device_death(node, device, wall_ms, &mut out);
                }
                if act != Act::DeviceDeath {
                    let seq = self.nodes[node].next_seq();
                    let place = Some(device);
                    self.birth(node, place, seq, Fault::None, &mut random, wall_ms, &mut out);
                }
            }
        }
        out
    }

    /// Every node that is online sends data of everything that is alive, so that what was lost can
    /// be noticed.
    pub fn say_something(&mut self, node: usize, wall_ms: u64) -> Vec<Published> {
        let mut out = Vec::new();
        if !self.nodes[node].is_online {
            return out;
        }
        for device in self.nodes[node].places() {
            if self.nodes[node].entity(device).is_alive {
                self.data(node, device, &[0], Act::Data, Fault::None, wall_ms, &mut out);
            }
        }
        out
    }

    /// A node that is online is born anew.
    pub fn rebirth(&mut self, node: usize, wall_ms: u64) -> Vec<Published> {
        let mut out = Vec::new();
        if self.nodes[node].is_online {
            self.births(node, Fault::None, &mut Random::new(7), wall_ms, &mut out);
        }
        out
    }

    fn connect(
        &mut self,
        node: usize,
        random: &mut Random,
        wall_ms: u64,
        out: &mut Vec<Published>,
    ) {
        if self.nodes[node].is_online {
            self.die(node, wall_ms, out);
        }
        let known = &mut self.nodes[node];
        known.is_online = true;
        known.session += 1;
        if known.habits.bd_seq == BdSeq::Counts {
            known.bd_seq = known.bd_seq.wrapping_add(1);
        }
        for device in &mut known.devices {
            device.is_alive = random.chance(80);
        }
        self.births(node, Fault::None, random, wall_ms, out);
    }

    fn die(&mut self, node: usize, wall_ms: u64, out: &mut Vec<Published>) {
        let known = &mut self.nodes[node];
        known.is_online = false;
        let said = match known.habits.bd_seq {
            BdSeq::Counts => Some(known.bd_seq.into()),
            BdSeq::Constant | BdSeq::WillSaysZero => Some(0),
            BdSeq::Absent => None,
        };
        let metrics = said.map(bd_seq).into_iter().collect();
        let payload = Payload { timestamp: Some(wall_ms), metrics, ..Payload::default() };
        let is_assured = known.habits.assures_wills;
        let id = self.record(node, None, Kind::NDeath, None, Vec::new(), false, wall_ms);
        for device in self.nodes[node].places() {
            let entity = self.nodes[node].entity_mut(device);
            if entity.is_alive {
                entity.is_alive = false;
                entity.ended_by = Some(id);
            }
        }
        self.publish(id, payload.encode_to_vec(), is_assured, out);
    }
}
