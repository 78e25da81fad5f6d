//! One simulated edge node: an MQTT session with its will, births, data by name or alias.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::Clock;
use mistake::mistake;
use prost::Message;
use rumqttc::{
    AsyncClient, Broker, Event, EventLoop, LastWill, MqttOptions, Packet, PublishOptions, QoS,
    SubscribeFilterInput,
};
use sparkplug::{DataType, Metric, Payload, Value};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::layout::{DIAGNOSTICS, GROUP, MORTAL, NodeSpec};
use super::signal::{MOTOR, Moment, Signal, motor_definition};
use super::{CLIENT_PREFIX, NodeReport, Phase, Reports, Values};

/// How often it is looked for something to publish.
const TICK: Duration = Duration::from_millis(5);
/// The edge node's own metrics are published this often.
const NODE_EVERY: Duration = Duration::from_secs(1);
/// Metrics that one data message looks at.
const METRICS_PER_DATA: usize = 12;
/// Shift between the edge nodes, so that they don't all speak at once.
const SHIFT: Duration = Duration::from_millis(13);
/// Between the last publication and the break of the connection, for the network to carry it.
const BEFORE_BREAK: Duration = Duration::from_millis(150);
/// Wait before a new attempt to connect.
const RECONNECT_AFTER: Duration = Duration::from_millis(300);
/// Largest MQTT packet, either way.
const MAX_PACKET_BYTES: usize = 4 * 1024 * 1024;

/// Where an edge node lives.
pub(super) struct Site {
    pub(super) address: SocketAddr,
    pub(super) clock: Clock,
    pub(super) phases: watch::Receiver<Phase>,
    pub(super) reports: Arc<Mutex<Reports>>,
}

/// What comes from the network.
enum Arrived {
    Connected,
    Subscribed,
    Command,
    Lost,
}

/// Lives until the process ends.
pub(super) async fn run(spec: NodeSpec, index: usize, mut site: Site) {
    let shift = SHIFT.saturating_mul(index.try_into().unwrap_or(0));
    sleep(shift).await;
    let mut node = EdgeNode::new(spec, &site);
    loop {
        while !node.may_live(*site.phases.borrow_and_update()) {
            if site.phases.changed().await.is_err() {
                return;
            }
        }
        node.session(&mut site).await;
        node.bd_seq = node.bd_seq.wrapping_add(1);
        sleep(RECONNECT_AFTER).await;
    }
}

struct EdgeNode {
    spec: NodeSpec,
    entities: Vec<Entity>,
    bd_seq: u8,
    seq: u8,
    clock: Clock,
    reports: Arc<Mutex<Reports>>,
}

/// The edge node itself or one of its devices.
struct Entity {
    device: Option<&'static str>,
    signals: Vec<Signal>,
    /// Alias of the first signal; the others follow.
    first_alias: u64,
    every: Duration,
    next: Duration,
    /// Where the next data message begins to look for changes.
    cursor: usize,
    published: Vec<Value>,
    /// Data messages so far, over all sessions.
    count: u64,
}

impl EdgeNode {
    fn new(spec: NodeSpec, site: &Site) -> EdgeNode {
        let mut first_alias = 1_u64;
        let mut entities = Vec::new();
        let own = (None, spec.signals.clone(), NODE_EVERY);
        let devices = spec
            .devices
            .iter()
            .map(|device| (Some(device.name), device.signals.clone(), device.every));
        for (device, signals, every) in std::iter::once(own).chain(devices) {
            let count = signals.len() as u64;
            let published = Vec::new();
            let next = Duration::ZERO;
            entities.push(Entity {
                device,
                signals,
                first_alias,
                every,
                next,
                cursor: 0,
                published,
                count: 0,
            });
            first_alias = first_alias.saturating_add(count);
        }
        let reports = Arc::clone(&site.reports);
        EdgeNode { spec, entities, bd_seq: 0, seq: 0, clock: site.clock, reports }
    }

    fn may_live(&self, phase: Phase) -> bool {
        phase != Phase::OneDead || self.spec.name != MORTAL
    }

    /// One MQTT session, until the connection breaks or the phase ends it.
    async fn session(&mut self, site: &mut Site) {
        let (client, eventloop) =
            AsyncClient::builder(self.options(site.address)).unbounded().build();
        let (arrivals, mut arrived) = mpsc::unbounded_channel();
        let network = tokio::spawn(poll(eventloop, arrivals));
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut born = false;
        loop {
            tokio::select! {
                arrival = arrived.recv() => match arrival {
                    Some(Arrived::Connected) => {
                        let own = format!("spBv1.0/{GROUP}/NCMD/{}", self.spec.name);
                        let devices = format!("spBv1.0/{GROUP}/DCMD/{}/+", self.spec.name);
                        let filters = [own, devices]
                            .map(|filter| SubscribeFilterInput::new(filter, QoS::AtLeastOnce));
                        let _ = client.try_subscribe_many(filters);
                    }
                    Some(Arrived::Subscribed) if !born => {
                        self.publish_births(&client);
                        born = true;
                        if *site.phases.borrow() == Phase::Quiet {
                            self.report_values();
                        }
                    }
                    Some(Arrived::Subscribed) => {}
                    Some(Arrived::Command) => {
                        self.report(|report| report.commands = report.commands.saturating_add(1));
                    }
                    Some(Arrived::Lost) | None => break,
                },
                changed = site.phases.changed() => {
                    let phase = *site.phases.borrow_and_update();
                    if changed.is_err() || !self.may_live(phase) {
                        sleep(BEFORE_BREAK).await;
                        break;
                    }
                    if phase == Phase::Quiet {
                        self.report_values();
                    }
                }
                _ = tick.tick(), if born => {
                    if *site.phases.borrow() != Phase::Quiet {
                        self.publish_due(&client);
                    }
                }
            }
        }
        // The connection breaks without DISCONNECT: the broker sends the will.
        network.abort();
        let now = self.clock.elapsed();
        self.report(|report| {
            report.alive = false;
            report.died_at = Some(now);
        });
    }

    fn options(&self, address: SocketAddr) -> MqttOptions {
        let client_id = format!("{CLIENT_PREFIX}{}", self.spec.name);
        let broker = Broker::tcp(address.ip().to_string(), address.port());
        let mut options = MqttOptions::new(client_id, broker);
        options.set_clean_session(true);
        options.set_keep_alive(30);
        options.set_max_packet_size(MAX_PACKET_BYTES, MAX_PACKET_BYTES);
        let will = Payload {
            timestamp: Some(self.wall_ms()),
            metrics: vec![self.bd_seq_metric()],
            ..Payload::default()
        };
        let topic = format!("spBv1.0/{GROUP}/NDEATH/{}", self.spec.name);
        options.set_last_will(LastWill::new(topic, will.encode_to_vec(), QoS::AtLeastOnce, false));
        options.set_socket_connector(move |_, _| async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        options
    }

    fn publish_births(&mut self, client: &AsyncClient) {
        self.seq = 0;
        let now = self.clock.elapsed();
        for index in 0..self.entities.len() {
            let wall_us = clock::wall_us();
            let control = index == 0;
            let mut metrics = if control { self.node_control() } else { Vec::new() };
            let Some(entity) = self.entities.get_mut(index) else {
                return mistake!("fewer entities than were counted");
            };
            metrics.extend(entity.birth(self.spec.aliases, now, wall_us));
            entity.next = now.saturating_add(entity.every);
            let device = entity.device;
            self.publish(client, if control { "NBIRTH" } else { "DBIRTH" }, device, metrics);
        }
        let bd_seq = self.bd_seq;
        self.report(|report| {
            report.alive = true;
            report.bd_seq = bd_seq;
            report.born_at = Some(now);
        });
    }

    fn publish_due(&mut self, client: &AsyncClient) {
        let now = self.clock.elapsed();
        for index in 0..self.entities.len() {
            let wall_us = clock::wall_us();
            let aliases = self.spec.aliases;
            let Some(entity) = self.entities.get_mut(index) else {
                return mistake!("fewer entities than were counted");
            };
            if now < entity.next {
                continue;
            }
            // Never more than one message behind: a plant doesn't catch up either.
            entity.next =
                entity.next.max(now.saturating_sub(entity.every)).saturating_add(entity.every);
            let metrics = entity.data(aliases, now, wall_us);
            let device = entity.device;
            self.publish(client, if device.is_none() { "NDATA" } else { "DDATA" }, device, metrics);
            self.report(|report| report.data = report.data.saturating_add(1));
        }
    }

    fn publish(
        &mut self,
        client: &AsyncClient,
        kind: &str,
        device: Option<&str>,
        metrics: Vec<Metric>,
    ) {
        let count = metrics.len() as u64;
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        let payload = Payload {
            timestamp: Some(self.wall_ms()),
            metrics,
            seq: Some(seq.into()),
            ..Payload::default()
        };
        let device = device.map(|device| format!("/{device}")).unwrap_or_default();
        let topic = format!("spBv1.0/{GROUP}/{kind}/{}{device}", self.spec.name);
        // The channel is unbounded and ends only with the connection.
        let _ = client.try_publish(
            topic,
            payload.encode_to_vec(),
            PublishOptions::new(QoS::AtMostOnce),
        );
        self.report(|report| {
            report.messages = report.messages.saturating_add(1);
            report.metrics = report.metrics.saturating_add(count);
            report.seq = seq;
        });
    }

    /// bdSeq, `Node Control/*` and the templates.
    fn node_control(&self) -> Vec<Metric> {
        let timestamp = Some(self.wall_ms());
        let switch = |name: &str| Metric {
            name: Some(name.into()),
            timestamp,
            datatype: Some(DataType::Boolean.code()),
            value: Some(Value::Boolean(false)),
            ..Metric::default()
        };
        let mut metrics = vec![
            self.bd_seq_metric(),
            switch("Node Control/Rebirth"),
            switch("Node Control/Reboot"),
        ];
        if self.spec.templates {
            metrics.push(Metric {
                name: Some(MOTOR.into()),
                timestamp,
                datatype: Some(DataType::Template.code()),
                value: Some(Value::Template(Box::new(motor_definition()))),
                ..Metric::default()
            });
        }
        metrics
    }

    fn bd_seq_metric(&self) -> Metric {
        Metric {
            name: Some("bdSeq".into()),
            timestamp: Some(self.wall_ms()),
            datatype: Some(DataType::Int64.code()),
            value: Some(Value::Long(self.bd_seq.into())),
            ..Metric::default()
        }
    }

    fn report_values(&self) {
        let mut values = Values::new();
        for entity in &self.entities {
            for (signal, value) in entity.signals.iter().zip(&entity.published) {
                values.insert((entity.device, signal.name.clone()), value.clone());
            }
        }
        self.report(|report| report.values = Some(Arc::new(values)));
    }

    fn report(&self, change: impl FnOnce(&mut NodeReport)) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        change(reports.entry(self.spec.name).or_default());
    }

    fn wall_ms(&self) -> u64 {
        clock::wall_ms()
    }
}

impl Entity {
    fn birth(&mut self, aliases: bool, now: Duration, wall_us: u64) -> Vec<Metric> {
        self.cursor = 0;
        let moment = Moment { at_s: now.as_secs_f64(), wall_us, count: self.count };
        self.published = self.signals.iter().map(|signal| signal.value(moment)).collect();
        let mut alias = self.first_alias;
        self.signals
            .iter()
            .zip(&self.published)
            .map(|(signal, value)| {
                let metric = Metric {
                    name: Some(signal.name.clone()),
                    alias: aliases.then_some(alias),
                    timestamp: wall_us.checked_div(1_000),
                    datatype: Some(signal.datatype().code()),
                    properties: signal.properties().map(Box::new),
                    value: Some(value.clone()),
                    ..Metric::default()
                };
                alias = alias.saturating_add(1);
                metric
            })
            .collect()
    }

    /// What has changed of the metrics whose turn it is, and the diagnostics.
    fn data(&mut self, aliases: bool, now: Duration, wall_us: u64) -> Vec<Metric> {
        self.count = self.count.saturating_add(1);
        let moment = Moment { at_s: now.as_secs_f64(), wall_us, count: self.count };
        let mut metrics = Vec::new();
        let rotating = self.signals.len().saturating_sub(DIAGNOSTICS);
        let turn: Vec<usize> = (0..rotating)
            .cycle()
            .skip(self.cursor)
            .take(METRICS_PER_DATA.min(rotating))
            .chain(rotating..self.signals.len())
            .collect();
        self.cursor =
            self.cursor.saturating_add(METRICS_PER_DATA).checked_rem(rotating).unwrap_or(0);
        for index in turn {
            let (Some(signal), Some(published)) =
                (self.signals.get(index), self.published.get_mut(index))
            else {
                continue;
            };
            let value = signal.value(moment);
            if value == *published {
                continue;
            }
            *published = value.clone();
            metrics.push(Metric {
                name: (!aliases).then(|| signal.name.clone()),
                alias: aliases.then(|| self.first_alias.saturating_add(index as u64)),
                timestamp: wall_us.checked_div(1_000),
                value: Some(value),
                ..Metric::default()
            });
        }
        metrics
    }
}

/// Drives the connection; ends with it.
async fn poll(mut eventloop: EventLoop, arrivals: mpsc::UnboundedSender<Arrived>) {
    loop {
        let arrival = match eventloop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => Arrived::Connected,
            Ok(Event::Incoming(Packet::SubAck(_))) => Arrived::Subscribed,
            Ok(Event::Incoming(Packet::Publish(_))) => Arrived::Command,
            Ok(_) => continue,
            Err(_) => {
                let _ = arrivals.send(Arrived::Lost);
                return;
            }
        };
        if arrivals.send(arrival).is_err() {
            return;
        }
    }
}
