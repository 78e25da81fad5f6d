//! What IT shows of the plant, as a host application sees it: who lives, the value and the quality of
//! every metric, and which numbers came, live, as history or in a birth.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Instant;

use peers::client::{Arrival, Client};
use peers::metrics::number;
use prost::Message;
use sparkplug::{Metric, Payload, Property, Value, names};

use crate::line::{COUNT, GROUP, Line, metrics_at};

/// Sparkplug's word for a value that can be used.
const GOOD: u32 = 192;
/// The counters of both kinds of edge nodes.
const COUNTERS: [&str; 2] = [COUNT, peers::srad_edge::COUNTER];
/// Differences that are told.
const MOST_TOLD: usize = 5;

/// A host application.
pub(crate) struct Shown {
    client: Client,
    read: usize,
    entities: BTreeMap<String, EntityShown>,
    /// By node: the bdSeq of its birth, and what aliases stand for, by entity.
    bd_seqs: HashMap<String, Option<u64>>,
    aliases: HashMap<(String, u64), String>,
    /// What came of each number of each entity.
    heard: HashMap<String, Vec<Heard>>,
}

#[derive(Default)]
struct EntityShown {
    is_alive: bool,
    metrics: BTreeMap<String, Metric>,
}

/// What came of a number, and when first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) live: Option<Instant>,
    pub(crate) history: Option<Instant>,
    pub(crate) birth: Option<Instant>,
    /// In data: how often live, and as history.
    pub(crate) times_live: u32,
    pub(crate) times_history: u32,
}

impl Heard {
    pub(crate) fn first(&self) -> Option<Instant> {
        [self.live, self.history, self.birth].into_iter().flatten().min()
    }
}

impl Shown {
    /// Sees everything from now on; to be called where the broker is.
    pub(crate) fn start(broker: SocketAddr) -> Shown {
        let mut client = Client::plain(broker, "the-office");
        client.subscribe(&[(&format!("spBv1.0/{GROUP}/#"), 0)]);
        Shown {
            client,
            read: 0,
            entities: BTreeMap::new(),
            bd_seqs: HashMap::new(),
            aliases: HashMap::new(),
            heard: HashMap::new(),
        }
    }

    /// Takes what came since.
    pub(crate) fn look(&mut self) {
        let new = self.client.look(|arrivals| arrivals[self.read..].to_vec());
        self.read += new.len();
        new.iter().for_each(|arrival| self.take(arrival));
    }

    fn take(&mut self, arrival: &Arrival) {
        let levels: Vec<&str> = arrival.publish.topic.split('/').collect();
        let (node, entity, kind) = match levels[..] {
            [_, group, kind, node] => (format!("{group}/{node}"), format!("{group}/{node}"), kind),
            [_, group, kind, node, device] => {
                (format!("{group}/{node}"), format!("{group}/{node}/{device}"), kind)
            }
            _ => return,
        };
        let payload = Payload::decode(&arrival.publish.payload[..]).unwrap();
        let bd_seq = payload.metrics.iter().find(|metric| metric.name() == names::BD_SEQ);
        let bd_seq = bd_seq.and_then(number);
        match kind {
            "NDEATH" if self.bd_seqs.get(&node) == Some(&bd_seq) => {
                let below = format!("{node}/");
                for (name, shown) in &mut self.entities {
                    shown.is_alive &= *name != node && !name.starts_with(&below);
                }
            }
            "NDEATH" => {}
            "DDEATH" => self.entities.entry(entity).or_default().is_alive = false,
            "NBIRTH" | "DBIRTH" => {
                if kind == "NBIRTH" {
                    self.bd_seqs.insert(node, bd_seq);
                }
                self.born(&entity, payload, arrival.at);
            }
            _ => self.data(&entity, payload, arrival.at),
        }
    }

    fn born(&mut self, entity: &str, payload: Payload, at: Instant) {
        let shown = self.entities.entry(entity.to_owned()).or_default();
        *shown = EntityShown { is_alive: true, metrics: BTreeMap::new() };
        for metric in payload.metrics {
            let name = metric.name().to_owned();
            if name == names::BD_SEQ || name.starts_with("Node Control/") {
                continue;
            }
            if let Some(alias) = metric.alias {
                self.aliases.insert((entity.to_owned(), alias), name.clone());
            }
            if let Some(heard) = heard(&mut self.heard, entity, &name, &metric) {
                heard.birth.get_or_insert(at);
            }
            shown.metrics.insert(name, metric);
        }
    }

    fn data(&mut self, entity: &str, payload: Payload, at: Instant) {
        let shown = self.entities.entry(entity.to_owned()).or_default();
        for metric in payload.metrics {
            let by_alias =
                metric.alias.and_then(|alias| self.aliases.get(&(entity.to_owned(), alias)));
            let name = metric.name.clone().or_else(|| by_alias.cloned()).unwrap_or_default();
            if let Some(heard) = heard(&mut self.heard, entity, &name, &metric) {
                let (time, times) = match metric.is_historical() {
                    true => (&mut heard.history, &mut heard.times_history),
                    false => (&mut heard.live, &mut heard.times_live),
                };
                time.get_or_insert(at);
                *times += 1;
            }
            if !metric.is_historical() {
                shown.metrics.insert(name, metric);
            }
        }
    }

    pub(crate) fn heard(&self, entity: &str) -> &[Heard] {
        self.heard.get(entity).map_or(&[], Vec::as_slice)
    }

    /// Whether it shows all of these edge nodes as born.
    pub(crate) fn has_births(&self, line: &Line) -> bool {
        line.entities.keys().all(|name| self.entities.get(name).is_some_and(|shown| shown.is_alive))
    }

    /// What differs from the plant: who is dead and lives, or the other way round; values, and those that
    /// aren't good.
    pub(crate) fn differences(&self, line: &Line) -> Vec<String> {
        let mut found = Vec::new();
        for (name, entity) in &line.entities {
            let Some(shown) = self.entities.get(name) else {
                found.push(format!("{name}: not there"));
                continue;
            };
            if shown.is_alive != entity.is_alive {
                let word = |is_alive| if is_alive { "alive" } else { "dead" };
                let (here, there) = (word(shown.is_alive), word(entity.is_alive));
                found.push(format!("{name}: {here} on IT, {there} in the plant"));
            }
            if !entity.is_alive {
                continue;
            }
            let last = u32::try_from(entity.said.len() - 1).unwrap();
            let due = metrics_at(name, last);
            let due: BTreeMap<&str, &Metric> = due.iter().map(|one| (one.name(), one)).collect();
            let shows: Vec<&String> = shown.metrics.keys().collect();
            if !shows.iter().map(|name| name.as_str()).eq(due.keys().copied()) {
                found.push(format!("{name}: shows {shows:?}"));
            }
            for (metric, due) in due {
                let Some(shown) = shown.metrics.get(metric) else { continue };
                if shown.value != due.value {
                    let (here, there) = (&shown.value, &due.value);
                    found
                        .push(format!("{name} `{metric}`: {here:?} on IT, {there:?} in the plant"));
                } else if !is_good(shown) {
                    found.push(format!("{name} `{metric}`: not good"));
                }
            }
        }
        for name in self.entities.keys().filter(|name| !line.entities.contains_key(*name)) {
            found.push(format!("{name}: only on IT"));
        }
        let more = found.len().saturating_sub(MOST_TOLD);
        found.truncate(MOST_TOLD);
        if more > 0 {
            found.push(format!("and {more} more"));
        }
        found
    }
}

/// Where it is kept what came of the number that this metric says, if it says one.
fn heard<'a>(
    all: &'a mut HashMap<String, Vec<Heard>>,
    entity: &str,
    name: &str,
    metric: &Metric,
) -> Option<&'a mut Heard> {
    let number = COUNTERS.contains(&name).then(|| number_of(metric)).flatten()?;
    let of_entity = all.entry(entity.to_owned()).or_default();
    of_entity.resize(of_entity.len().max(number + 1), Heard::default());
    of_entity.get_mut(number)
}

/// The number that a metric says.
pub(crate) fn number_of(metric: &Metric) -> Option<usize> {
    usize::try_from(number(metric)?).ok()
}

fn is_good(metric: &Metric) -> bool {
    let quality = metric.properties.as_ref().and_then(|set| {
        let at = set.keys.iter().position(|key| key == names::QUALITY)?;
        set.values.get(at)?.value.clone()
    });
    let is_stated = matches!(quality, Some(Property::Int(code)) if code != GOOD);
    !is_stated && metric.is_null != Some(true) && metric.value.is_some()
}

/// The counter of a message of the plant, if it has one: its entity's next number.
pub(crate) fn counter_in(payload: &[u8]) -> Option<usize> {
    let payload = Payload::decode(payload).unwrap();
    let metric = payload.metrics.iter().find(|metric| COUNTERS.contains(&metric.name()))?;
    match metric.value {
        Some(Value::Int(_) | Value::Long(_)) => number_of(metric),
        _ => None,
    }
}
