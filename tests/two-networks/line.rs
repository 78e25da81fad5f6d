//! A plant's edge nodes, that say numbers which are known: who says what, and when. Every message has
//! the next number of its entity, so that it can be told what came of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peers::metrics::{int, metric, string, untyped};
use peers::raw_edge::RawEdge;
use peers::srad_edge::{COUNTER, SradEdge};
use sparkplug::{DataType, Metric, Value};

/// Group of all of them.
pub(crate) const GROUP: &str = "Plant";
/// The metric that says the number.
pub(crate) const COUNT: &str = "count";
const DEVICE: &str = "Press";
/// Doubles beside the number, which follow from it: a message is some 300 bytes.
const DOUBLES: u32 = 8;
const SRAD: &str = "Srad";
/// The crate's edge node says something once in so many messages of the others.
const SRAD_EVERY: u64 = 100;
/// So often the last of the edge nodes loses its connection, and comes back.
const LEAVES_EVERY: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(1);

/// An edge node or a device.
#[derive(Debug)]
pub(crate) struct Entity {
    /// When each number was said first.
    pub(crate) said: Vec<Instant>,
    pub(crate) is_alive: bool,
}

/// The edge nodes.
pub struct Line {
    edges: Vec<RawEdge>,
    srad: Option<SradEdge>,
    address: SocketAddr,
    /// By `group/edge node` and `group/edge node/device`.
    pub(crate) entities: BTreeMap<String, Entity>,
    left: Instant,
}

/// What an entity's metrics are at this number; those of a birth.
pub(crate) fn metrics_at(entity: &str, number: u32) -> Vec<Metric> {
    if entity.contains(SRAD) {
        return vec![
            int(COUNTER, number),
            string("Line/Label", "made by srad"),
            string("Recipe/Secret", "of srad"),
        ];
    }
    let mut metrics = data_at(number);
    metrics.push(string("label", "made by hand"));
    metrics
}

fn data_at(number: u32) -> Vec<Metric> {
    let double = |at: u32| {
        let value = Value::Double(f64::from(number) + f64::from(at) / 8.0);
        metric(&format!("zone{at}/temperature"), DataType::Double, value)
    };
    let mut metrics = vec![int(COUNT, number)];
    metrics.extend((0..DOUBLES).map(double));
    metrics
}

fn node_name(edge: &RawEdge) -> String {
    format!("{GROUP}/{}", edge.node)
}

fn device_name(edge: &RawEdge) -> String {
    format!("{GROUP}/{}/{DEVICE}", edge.node)
}

impl Line {
    /// So many edge nodes with a device each, connected; to be called where their broker is.
    pub(crate) fn connect(address: SocketAddr, count: usize) -> Line {
        let connect = |place| RawEdge::connect(address, GROUP, &format!("Line{place}"));
        let mut edges: Vec<RawEdge> = (0..count).map(connect).collect();
        // Whose connection is taken over has to know that the broker has what was said before.
        edges.iter_mut().last().unwrap().qos = 1;
        let entities = BTreeMap::new();
        Line { edges, srad: None, address, entities, left: Instant::now() }
    }

    /// All but the crate's are born, again if they are.
    pub(crate) fn be_born(&mut self) {
        for place in 0..self.edges.len() {
            self.bear(place);
        }
    }

    /// An edge node of the crate `srad` joins them, which is born once: somebody has to listen.
    pub(crate) fn join_srad(&mut self) {
        let srad = SradEdge::start(self.address, GROUP, SRAD);
        // It tries with 1 until it is born.
        for name in [format!("{GROUP}/{SRAD}"), format!("{GROUP}/{SRAD}/{DEVICE}")] {
            let said = vec![Instant::now(); 2];
            self.entities.insert(name, Entity { said, is_alive: true });
        }
        self.srad = Some(srad);
    }

    fn bear(&mut self, place: usize) {
        let edge = &mut self.edges[place];
        let (node, device) = (node_name(edge), device_name(edge));
        let mut number = |name: &str| {
            let entity = self
                .entities
                .entry(name.to_owned())
                .or_insert_with(|| Entity { said: vec![Instant::now()], is_alive: true });
            u32::try_from(entity.said.len() - 1).unwrap()
        };
        edge.nbirth(&metrics_at(&node, number(&node))).unwrap();
        edge.dbirth(DEVICE, &metrics_at(&device, number(&device))).unwrap();
    }

    /// They say so many messages, `per_s` a second. `restless`: one of them loses its connection now
    /// and then; one leaves for good in the middle.
    pub fn speak(&mut self, messages: u64, per_s: u64, restless: bool) {
        let (begin, mut done) = (Instant::now(), 0);
        while done < messages {
            let due = (begin.elapsed().as_secs_f64() * per_s as f64) as u64;
            while done < due.min(messages) {
                self.say(done);
                done += 1;
                if restless && done == messages / 2 && self.edges.len() > 2 {
                    self.one_leaves();
                }
            }
            if restless && self.left.elapsed() > LEAVES_EVERY {
                self.left = Instant::now();
                let last = self.edges.len() - 1;
                self.edges[last].reconnect().unwrap();
                self.bear(last);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn one_leaves(&mut self) {
        let edge = self.edges.remove(0);
        for name in [node_name(&edge), device_name(&edge)] {
            self.entities.get_mut(&name).unwrap().is_alive = false;
        }
        edge.leave();
    }

    fn say(&mut self, turn: u64) {
        if turn.is_multiple_of(SRAD_EVERY)
            && let Some(srad) = &self.srad
        {
            let mut number = 0;
            for name in [format!("{GROUP}/{SRAD}"), format!("{GROUP}/{SRAD}/{DEVICE}")] {
                number = next(&mut self.entities, &name);
            }
            srad.data(i32::try_from(number).unwrap());
            return;
        }
        let count = self.edges.len() as u64;
        let edge = &mut self.edges[usize::try_from(turn % count).unwrap()];
        // Every other round it is the device that speaks.
        let is_device = (turn / count).is_multiple_of(2);
        let name = if is_device { device_name(edge) } else { node_name(edge) };
        let number = next(&mut self.entities, &name);
        let metrics: Vec<Metric> = data_at(number).into_iter().map(untyped).collect();
        match is_device {
            true => edge.ddata(DEVICE, &metrics).unwrap(),
            false => edge.ndata(&metrics).unwrap(),
        }
    }

    /// Messages that were said so far, without births.
    pub(crate) fn messages(&self) -> u64 {
        self.entities.values().map(|entity| entity.said.len() as u64 - 1).sum()
    }
}

/// The number that this entity says next, from now on said.
fn next(entities: &mut BTreeMap<String, Entity>, name: &str) -> u32 {
    let said = &mut entities.get_mut(name).unwrap().said;
    said.push(Instant::now());
    u32::try_from(said.len() - 1).unwrap()
}
