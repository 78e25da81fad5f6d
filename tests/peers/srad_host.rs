//! The host application of the crate `srad`: strict on sequence numbers, births and names.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use srad::app::generic_app::{ApplicationBuilder, MetricStore, RebirthConfig, StateUpdateError};
use srad::app::{AppClient, MetricBirthDetails, MetricDetails, SubscriptionConfig};
use srad::client_rumqtt::{EventLoop, MqttOptions};
use srad::types::MetricId;
use srad::types::payload::metric::Value;
use tokio::runtime::{Builder, Handle};

use crate::client::{Arrival, Client};
use crate::unfolded;
use crate::waiting::wait_until;

/// Births of a few thousand metrics; the MQTT client's own bound is 10 KiB.
const MAX_PACKET_BYTES: u32 = 16 * 1024 * 1024;

/// What the host made of what it received.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// The metrics of a birth; no value is null.
    Birth(Vec<(String, Option<Value>)>),
    Data {
        name: String,
        value: Option<Value>,
        historical: bool,
    },
    Stale,
    /// Data of a metric that no birth had.
    Unknown(String),
}

pub struct SradHost {
    log: Log,
    runtime: Handle,
    client: AppClient,
    thread: Option<thread::JoinHandle<()>>,
}

/// What was seen per entity (`group/edge_node` or `group/edge_node/device`), in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(String, Seen)>>>);

impl SradHost {
    /// Connects and subscribes to everything. The host publishes its STATE behind its
    /// subscription: when that has arrived, nothing is missed any more.
    pub fn start(broker: SocketAddr, host_id: &str) -> SradHost {
        let mut options = MqttOptions::new(host_id, broker.ip().to_string(), broker.port());
        options.set_max_packet_size(Some(MAX_PACKET_BYTES));
        let mut witness = Client::plain(broker, &format!("witness-of-{host_id}"));
        witness.subscribe(&[(&format!("spBv1.0/STATE/{host_id}"), 0)]);
        let log = Log::default();
        let (send, receive) = mpsc::channel();
        let (host_id, of_host) = (host_id.to_owned(), log.clone());
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (eventloop, client) = EventLoop::new(options, 64);
                let everything = SubscriptionConfig::AllGroups;
                let strict = RebirthConfig { invalid_payload: true, ..RebirthConfig::default() };
                let (host, client) =
                    ApplicationBuilder::new(host_id, eventloop, client, everything)
                        .with_rebirth_config(strict)
                        .on_node_created(move |node| {
                            let entity = format!("{}/{}", node.id().group, node.id().node);
                            node.register_metric_store(Store::new(&of_host, &entity));
                            let of_device = of_host.clone();
                            node.on_device_created(move |device| {
                                let entity = format!("{entity}/{}", device.name());
                                device.register_metric_store(Store::new(&of_device, &entity));
                            });
                        })
                        .build();
                send.send((Handle::current(), client)).unwrap();
                host.run().await;
            });
        });
        let (runtime, client) = receive.recv().unwrap();
        wait_until("the host is online", || {
            let online = |one: &Arrival| one.publish.payload.starts_with(b"{\"online\" : true");
            witness.look(|arrivals| arrivals.iter().any(online))
        });
        SradHost { log, runtime, client, thread: Some(thread) }
    }

    /// What was seen of this entity so far, in order.
    pub fn seen(&self, entity: &str) -> Vec<Seen> {
        let log = self.log.0.lock().unwrap();
        let also = unfolded::is_asked_for().then(|| unfolded::folded(entity));
        let is_it = |of: &str| of == entity || also.as_deref() == Some(of);
        log.iter().filter(|(of, _)| is_it(of)).map(|(_, seen)| seen.clone()).collect()
    }

    /// How often any entity went stale.
    pub fn stale(&self) -> usize {
        let log = self.log.0.lock().unwrap();
        log.iter().filter(|(_, seen)| *seen == Seen::Stale).count()
    }

    /// Metrics that no birth had.
    pub fn unknown(&self) -> Vec<String> {
        let log = self.log.0.lock().unwrap();
        let unknown = |(entity, seen): &(String, Seen)| match seen {
            Seen::Unknown(name) => Some(format!("{entity}: {name}")),
            _ => None,
        };
        log.iter().filter_map(unknown).collect()
    }

    /// The live values of this integer metric, births included, in order.
    pub fn live(&self, entity: &str, metric: &str) -> Vec<u64> {
        let mut numbers = Vec::new();
        for seen in self.seen(entity) {
            match seen {
                Seen::Birth(metrics) => {
                    let of_metric = metrics.into_iter().filter(|(name, _)| name == metric);
                    numbers.extend(of_metric.filter_map(|(_, value)| number(value.as_ref())));
                }
                Seen::Data { name, value, historical: false } if name == metric => {
                    numbers.extend(number(value.as_ref()));
                }
                _ => {}
            }
        }
        numbers
    }

    /// Waits until the last live value of this metric is `value`.
    #[track_caller]
    pub fn wait_for(&self, entity: &str, metric: &str, value: u64) {
        wait_until(&format!("the host sees {value} of `{metric}` of {entity}"), || {
            self.live(entity, metric).last() == Some(&value)
        });
    }

    /// How many births of this entity the host took. It ignores those of a rebirth that it
    /// doesn't need.
    pub fn births(&self, entity: &str) -> usize {
        self.seen(entity).iter().filter(|seen| matches!(seen, Seen::Birth(_))).count()
    }

    /// Asks for a rebirth.
    pub fn ask_rebirth(&self, group: &str, node: &str) {
        let seen =
            self.log.0.lock().unwrap().iter().any(|(of, _)| *of == format!("{group}/{node}"));
        let node = if unfolded::is_asked_for() && !seen { "plant" } else { node };
        let (client, group, node) = (self.client.clone(), group.to_owned(), node.to_owned());
        let (send, receive) = mpsc::channel();
        self.runtime.spawn(async move {
            send.send(client.publish_node_rebirth(&group, &node).await).unwrap();
        });
        receive.recv().unwrap().unwrap();
    }
}

impl Drop for SradHost {
    fn drop(&mut self) {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.cancel().await });
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Store {
    log: Log,
    entity: String,
    names: HashMap<MetricId, String>,
}

impl Store {
    fn new(log: &Log, entity: &str) -> Store {
        Store { log: log.clone(), entity: entity.to_owned(), names: HashMap::new() }
    }

    fn push(&self, seen: Seen) {
        self.log.0.lock().unwrap().push((self.entity.clone(), seen));
    }
}

impl MetricStore for Store {
    fn set_stale(&mut self) {
        self.push(Seen::Stale);
    }

    fn update_from_birth(
        &mut self,
        details: Vec<(MetricBirthDetails, MetricDetails)>,
    ) -> Result<(), StateUpdateError> {
        let id = |birth: &MetricBirthDetails| birth.get_metric_id();
        self.names = details.iter().map(|(birth, _)| (id(birth), birth.name.clone())).collect();
        let value = |details: MetricDetails| details.value.map(|value| value.0);
        let metrics = details.into_iter().map(|(birth, rest)| (birth.name, value(rest)));
        self.push(Seen::Birth(metrics.collect()));
        Ok(())
    }

    fn update_from_data(
        &mut self,
        details: Vec<(MetricId, MetricDetails)>,
    ) -> Result<(), StateUpdateError> {
        for (id, details) in details {
            let Some(name) = self.names.get(&id).cloned() else {
                self.push(Seen::Unknown(format!("{id:?}")));
                return Err(StateUpdateError::UnknownMetric);
            };
            let value = details.value.map(|value| value.0);
            self.push(Seen::Data { name, value, historical: details.is_historical });
        }
        Ok(())
    }
}

fn number(value: Option<&Value>) -> Option<u64> {
    match value {
        Some(Value::IntValue(value)) => Some(u64::from(*value)),
        Some(Value::LongValue(value)) => Some(*value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Broker;
    use crate::metrics::{int, untyped};
    use crate::observer::Observer;
    use crate::pysparkplug::PysparkplugEdge;
    use crate::raw_edge::RawEdge;
    use crate::srad_edge::{COUNTER, SradEdge};

    #[test]
    fn the_strict_host_follows_edges_of_three_libraries_without_a_relay() {
        let Some(broker) = Broker::plain() else { return };
        let host = SradHost::start(broker.address, "host");
        let observer = Observer::start(broker.address);

        let srad = SradEdge::start(broker.address, "G", "srad");
        srad.data(7);
        host.wait_for("G/srad", COUNTER, 7);
        host.wait_for("G/srad/Press", COUNTER, 7);

        let mut raw = RawEdge::connect(broker.address, "G", "raw");
        raw.nbirth(&[int("count", 1)]).unwrap();
        raw.dbirth("D", &[int("count", 1)]).unwrap();
        raw.ddata("D", &[untyped(int("count", 2))]).unwrap();
        host.wait_for("G/raw/D", "count", 2);
        raw.leave();
        wait_until("the host sees the death", || host.seen("G/raw").contains(&Seen::Stale));

        if let Some(mut edge) = PysparkplugEdge::start(broker.address, "G", "py") {
            edge.data(3);
            host.wait_for("G/py", COUNTER, 3);
            host.wait_for("G/py/Valve", COUNTER, 3);
            edge.deregister("Valve");
            wait_until("the device dies", || host.seen("G/py/Valve").contains(&Seen::Stale));
            edge.register("Valve");
            edge.die();
            wait_until("the node dies", || host.seen("G/py").contains(&Seen::Stale));
        }
        assert_eq!(host.unknown(), Vec::<String>::new());
        assert_eq!(observer.numbers("spBv1.0/G/DDATA/raw/D", "count"), [2]);
        host.ask_rebirth("G", "srad");
        wait_until("srad answers", || observer.count("spBv1.0/G/NBIRTH/srad") == 2);
        srad.leave();
    }

    #[test]
    fn a_sequence_gap_makes_the_host_stale() {
        let Some(broker) = Broker::plain() else { return };
        let host = SradHost::start(broker.address, "host");
        let mut raw = RawEdge::connect(broker.address, "G", "raw");
        raw.nbirth(&[int("count", 1)]).unwrap();
        raw.skip_seq();
        raw.ndata(&[untyped(int("count", 2))]).unwrap();
        wait_until("the host goes stale", || host.stale() == 1);
        assert_eq!(host.live("G/raw", "count"), [1]);
    }
}
