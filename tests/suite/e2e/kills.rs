//! `kill -9` of either half and of either broker, with data flowing at QoS 1 on the OT side:
//! what was acknowledged to the plant is on IT at least once, and in order.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use prost::Message;
use sparkplug::{Metric, Payload};

use crate::broker::Options;
use crate::checker::Excuse;
use crate::metrics::{int, number, untyped};
use crate::packet::{Packet, Publish};
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_host::SradHost;
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::waiting::{now_ms, wait_until};
use crate::wire::{Event, Record};

const COUNT: &str = "count";
/// Between two values: keeps a round at some hundreds of values. Nothing waits for it.
const PACE: Duration = Duration::from_millis(1);

#[test]
fn kills_of_halves_and_brokers_lose_nothing_that_was_acknowledged() {
    const ROUNDS: usize = 3;
    let variation = Variation {
        ot_broker: Options { persistence: true, ..Options::default() },
        mirror: "stale-after-s = 5".into(),
        ..Variation::default()
    };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_both();
    let plant = Plant::start(RawEdge::connect(rig.ot_address(), "Plant", "E"));
    // Values that the OT broker may have lost when it was killed: first, last acknowledged.
    let mut excusable = Vec::new();
    for round in 0..ROUNDS {
        plant.flow(20 + 31 * round);
        rig.relay.kill(Half::Ot);
        plant.flow(50);
        rig.start_ot();

        plant.flow(25 + 17 * round);
        rig.relay.kill(Half::It);
        plant.flow(50);
        rig.relay.start(Half::It);

        plant.flow(15 + 29 * round);
        rig.it_broker.kill();
        plant.flow(50);
        rig.it_broker.restart();
        rig.it.reconnect().unwrap();

        plant.flow(10 + 23 * round);
        let settled = plant.last();
        wait_until("the relay has what was acknowledged", || {
            Delivered::of(&rig.ot_proxy.records()).acknowledged.contains(&settled)
        });
        rig.ot_broker.kill();
        let last = plant.last();
        rig.ot_broker.restart();
        plant.flow(30);
        excusable.push((settled, last));
    }
    let (acknowledged, _alive) = plant.stop();
    let delivered = Delivered::of(&rig.ot_proxy.records());
    let excused = |value: u64| {
        !delivered.acknowledged.contains(&value)
            && excusable.iter().any(|(settled, last)| (settled + 1..=last + 1).contains(&value))
    };
    let required: BTreeSet<u64> =
        acknowledged.iter().copied().filter(|value| !excused(*value)).collect();
    assert!(required.len() > ROUNDS * 200, "{} values", required.len());

    let missing = || -> Vec<u64> {
        let held = held_by_it(&rig.it_proxy.records());
        let seen = seen_on_it(&rig);
        let absent = |value: &&u64| !held.contains(value) && !seen.contains(value);
        required.iter().filter(absent).copied().collect()
    };
    if !crate::waiting::holds_within(crate::waiting::DEADLINE, || missing().is_empty()) {
        let missing = missing();
        panic!("{} of {} are missing: {}", missing.len(), required.len(), runs(&missing));
    }
    // The relay was still reconnecting when the flow ended.
    let delivered = Delivered::of(&rig.ot_proxy.records());
    in_order(&rig.it_proxy.records(), &delivered.order);
    for half in [Half::Ot, Half::It] {
        let log = rig.relay.log(half);
        assert!(!log.contains(": SET_ASIDE "), "a kill accuses nobody: {log}");
    }
    rig.judge(Excuse { kills: true });
}

#[test]
fn what_happened_during_an_it_outage_is_sent_as_history_with_its_own_timestamps() {
    const VALUES: u32 = 200;
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    let began_ms = now_ms();
    edge.nbirth(&[int(COUNT, 0)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    rig.it_broker.kill();
    for value in 1..=VALUES {
        edge.ndata(&[untyped(int(COUNT, value))]).unwrap();
    }
    let ended_ms = now_ms();
    let journal_has_all = || {
        let cat = rig.relay.run(&["journal", "verify", "journal"]);
        cat.status.success()
    };
    wait_until("the journal is whole", journal_has_all);
    rig.it_broker.restart();
    rig.it.reconnect().unwrap();
    let host = SradHost::start(rig.it_address(), "enterprise");
    host.wait_for("Plant/E", COUNT, u64::from(VALUES));

    let topic = "spBv1.0/Plant/NDATA/E";
    let historical = || -> Vec<Metric> {
        let payloads = rig.it.payloads(topic).into_iter();
        payloads.flat_map(|one| one.metrics).filter(Metric::is_historical).collect()
    };
    wait_until("the history is on IT", || {
        let values: BTreeSet<u64> = historical().iter().filter_map(number).collect();
        (1..u64::from(VALUES)).all(|value| values.contains(&value))
    });
    let history = historical();
    assert!(history.is_sorted_by_key(|metric| metric.timestamp), "{history:?}");
    for metric in &history {
        let stamp = metric.timestamp();
        assert!((began_ms..=ended_ms).contains(&stamp), "{metric:?}");
    }
    // History changes nothing that is current.
    assert_eq!(host.live("Plant/E", COUNT).last(), Some(&u64::from(VALUES)));
    assert_eq!(host.stale(), 0);
    // People are told how long the broker was away, and when the history is there.
    rig.relay.wait_for_event(Half::It, telemetry::Event::BrokerUp, &["lasted_s="]);
    rig.relay.wait_for_event(Half::It, telemetry::Event::BackfillDone, &["messages=", "seconds="]);
    rig.judge(Excuse { kills: true });
}

#[test]
fn values_of_a_node_that_died_during_an_it_outage_are_sent_when_it_lives_again() {
    const VALUES: u32 = 100;
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.qos = 1;
    edge.nbirth(&[int(COUNT, 0)]).unwrap();
    edge.dbirth("D", &[int(COUNT, 0)]).unwrap();
    rig.wait_for("spBv1.0/Plant/DBIRTH/E/D", 1);
    rig.it_broker.kill();
    for value in 1..=VALUES {
        edge.ddata("D", &[untyped(int(COUNT, value))]).unwrap();
    }
    edge.leave();
    rig.it_broker.restart();
    rig.it.reconnect().unwrap();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int(COUNT, VALUES + 1)]).unwrap();
    edge.dbirth("D", &[int(COUNT, VALUES + 1)]).unwrap();
    let all: BTreeSet<u64> = (1..=u64::from(VALUES) + 1).collect();
    wait_until("every value is on IT", || seen_on_it(&rig).is_superset(&all));
    rig.judge(Excuse { kills: true });
}

#[test]
fn a_connection_that_is_cut_again_and_again_loses_nothing() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let plant = Plant::start(RawEdge::connect(rig.ot_address(), "Plant", "E"));
    for round in 0..6 {
        plant.flow(30 + round);
        rig.ot_proxy.cut();
        plant.flow(30);
        rig.it_proxy.cut();
    }
    let (acknowledged, _alive) = plant.stop();
    let acknowledged: BTreeSet<u64> = acknowledged.into_iter().collect();
    wait_until("every value is on IT", || seen_on_it(&rig).is_superset(&acknowledged));
    let delivered = Delivered::of(&rig.ot_proxy.records());
    in_order(&rig.it_proxy.records(), &delivered.order);
    rig.judge(Excuse { kills: true });
}

/// An edge node with a device that publishes a counter at QoS 1 as fast as it is acknowledged,
/// and starts a new session when its broker goes away.
pub(super) struct Plant {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<u64>>>,
    thread: thread::JoinHandle<RawEdge>,
}

impl Plant {
    fn start(edge: RawEdge) -> Plant {
        Plant::start_when(edge, Arc::new(AtomicBool::new(true)))
    }

    /// The same, but it is born only while this is so.
    pub(super) fn start_when(mut edge: RawEdge, may_bear: Arc<AtomicBool>) -> Plant {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let (ended, counted) = (stop.clone(), acknowledged.clone());
        let thread = thread::spawn(move || {
            edge.qos = 1;
            let mut value = 0;
            let mut born = false;
            while !ended.load(Ordering::SeqCst) {
                thread::sleep(PACE);
                if !born && !may_bear.load(Ordering::SeqCst) {
                    continue;
                }
                if !born {
                    let birth = [int(COUNT, value)];
                    born = edge.nbirth(&birth).is_ok() && edge.dbirth("D", &birth).is_ok();
                    if !born {
                        // Its broker is away: again, until it is back.
                        let _ = edge.reconnect();
                    }
                    continue;
                }
                value += 1;
                match edge.ddata("D", &[untyped(int(COUNT, value))]) {
                    Ok(()) => counted.lock().unwrap().push(u64::from(value)),
                    Err(_) => born = false,
                }
            }
            edge
        });
        Plant { stop, acknowledged, thread }
    }

    /// Waits until this many more values are acknowledged.
    #[track_caller]
    pub(super) fn flow(&self, count: usize) {
        let wanted = self.acknowledged.lock().unwrap().len() + count;
        wait_until("data flows", || self.acknowledged.lock().unwrap().len() >= wanted);
    }

    fn last(&self) -> u64 {
        *self.acknowledged.lock().unwrap().last().unwrap()
    }

    /// Ends the flow. The edge node stays alive as long as it is held.
    pub(super) fn stop(self) -> (Vec<u64>, RawEdge) {
        self.stop.store(true, Ordering::SeqCst);
        let edge = self.thread.join().unwrap();
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        (acknowledged, edge)
    }
}

/// What happened to the values on the OT link.
pub(super) struct Delivered {
    /// The order of their delivery to the relay. Values that were delivered twice, since the
    /// broker lost the acknowledgement, have no place in it: the second time is as good as the
    /// first.
    pub(super) order: HashMap<u64, usize>,
    /// Those that the relay acknowledged.
    pub(super) acknowledged: BTreeSet<u64>,
}

impl Delivered {
    pub(super) fn of(records: &[Record]) -> Delivered {
        let mut order = HashMap::new();
        let mut again = BTreeSet::new();
        let mut acknowledged = BTreeSet::new();
        let mut waiting: HashMap<(usize, u16), Vec<u64>> = HashMap::new();
        for (place, record) in records.iter().enumerate() {
            if let Some(Packet::Publish(publish)) = record.received() {
                let values = counts(publish, |_| true);
                for value in &values {
                    if order.insert(*value, place).is_some() {
                        again.insert(*value);
                    }
                }
                if let Some(id) = publish.id {
                    waiting.insert((record.connection, id), values);
                }
            }
            if let Some(Packet::PubAck(id)) = record.sent() {
                acknowledged.extend(waiting.remove(&(record.connection, *id)).unwrap_or_default());
            }
        }
        order.retain(|value, _| !again.contains(value));
        Delivered { order, acknowledged }
    }
}

/// The values of the device's counter in a message that pass the filter.
pub(super) fn counts(publish: &Publish, filter: impl Fn(&Metric) -> bool) -> Vec<u64> {
    if !publish.topic.ends_with("/E/D") {
        return Vec::new();
    }
    let Ok(payload) = Payload::decode(&publish.payload[..]) else { return Vec::new() };
    let metrics = payload.metrics.iter().filter(|metric| metric.name() == COUNT);
    metrics.filter(|metric| filter(metric)).filter_map(number).collect()
}

/// Values that the IT broker is known to have: it answered something that was sent later over
/// the same connection.
pub(super) fn held_by_it(records: &[Record]) -> BTreeSet<u64> {
    let mut held = BTreeSet::new();
    // Per connection: values since the last answer, each with the count of requests before it.
    let mut waiting: HashMap<usize, Vec<u64>> = HashMap::new();
    let mut barriers: HashMap<usize, Vec<usize>> = HashMap::new();
    for record in records {
        let values = waiting.entry(record.connection).or_default();
        let barriers = barriers.entry(record.connection).or_default();
        match &record.event {
            Event::Packet(Packet::Publish(publish)) if record.sent().is_some() => {
                values.extend(counts(publish, |_| true));
                if publish.qos > 0 {
                    barriers.push(values.len());
                }
            }
            Event::Packet(
                Packet::PingReq | Packet::Subscribe { .. } | Packet::Unsubscribe { .. },
            ) => barriers.push(values.len()),
            Event::Packet(
                Packet::PingResp | Packet::SubAck { .. } | Packet::UnsubAck(_) | Packet::PubAck(_),
            ) if record.received().is_some() && !barriers.is_empty() => {
                // Brokers answer in order.
                let count = barriers.remove(0);
                held.extend(&values[..count]);
            }
            _ => {}
        }
    }
    held
}

/// Values that the observer on IT saw, in births, live or as history.
fn seen_on_it(rig: &Rig) -> BTreeSet<u64> {
    rig.it.arrivals().iter().flat_map(|publish| counts(publish, |_| true)).collect()
}

/// Asserts that the first occurrences of the values on the IT link, among the live ones and
/// among the historical ones, come in the order in which they were delivered on the OT link.
#[track_caller]
pub(super) fn in_order(records: &[Record], order: &HashMap<u64, usize>) {
    let mut seen = BTreeSet::new();
    // Live, historical.
    let mut all = [Vec::new(), Vec::new()];
    let mut last = [None, None];
    let mut late = Vec::new();
    for record in records {
        let Some(Packet::Publish(publish)) = record.sent() else { continue };
        for historical in [false, true] {
            for value in counts(publish, |metric| metric.is_historical() == historical) {
                let stream = usize::from(historical);
                all[stream].push(value);
                // A birth may carry a value that came with a birth only.
                let Some(place) = order.get(&value) else { continue };
                if seen.insert(value) {
                    if last[stream] > Some(*place) {
                        late.push(value);
                    }
                    last[stream] = Some(*place);
                }
            }
        }
    }
    let [live, historical] = all.map(|values| runs(&values));
    assert!(late.is_empty(), "late: {}; live {live}; historical {historical}", runs(&late));
}

/// Values as people read them: `1-20 25-30`.
pub(super) fn runs(values: &[u64]) -> String {
    let runs = values.chunk_by(|left, right| left + 1 == *right);
    let text = |run: &[u64]| match run {
        [first, .., last] => format!("{first}-{last}"),
        run => format!("{}", run[0]),
    };
    runs.map(text).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Side;

    fn publish(value: u32, id: Option<u16>, historical: bool) -> Packet {
        let mut metric = untyped(int(COUNT, value));
        metric.is_historical = historical.then_some(true);
        let payload = Payload { metrics: vec![metric], ..Payload::default() };
        Packet::Publish(Publish {
            topic: "spBv1.0/Plant/DDATA/E/D".into(),
            payload: payload.encode_to_vec(),
            qos: u8::from(id.is_some()),
            id,
            ..Publish::default()
        })
    }

    fn record(connection: usize, from: Side, packet: Packet) -> Record {
        Record { connection, from, at_ms: 0, event: Event::Packet(packet) }
    }

    #[test]
    fn only_what_a_later_answer_covers_is_held_by_the_broker() {
        let recording = [
            record(0, Side::Client, publish(1, None, false)),
            record(0, Side::Client, Packet::PingReq),
            record(0, Side::Client, publish(2, None, false)),
            record(1, Side::Client, publish(3, None, false)),
            record(0, Side::Broker, Packet::PingResp),
            record(0, Side::Broker, Packet::PingResp),
            record(1, Side::Client, publish(4, Some(7), false)),
            record(1, Side::Broker, Packet::PubAck(7)),
            record(1, Side::Client, publish(5, None, false)),
        ];
        assert_eq!(held_by_it(&recording), BTreeSet::from([1, 3, 4]));
    }

    #[test]
    fn a_delivery_counts_as_acknowledged_with_its_own_packet_identifier_only() {
        let recording = [
            record(0, Side::Broker, publish(5, Some(1), false)),
            record(0, Side::Broker, publish(6, Some(2), false)),
            record(0, Side::Client, Packet::PubAck(2)),
            record(1, Side::Broker, publish(5, Some(1), false)),
            record(2, Side::Client, Packet::PubAck(1)),
        ];
        let delivered = Delivered::of(&recording);
        assert_eq!(delivered.acknowledged, BTreeSet::from([6]));
        assert_eq!(delivered.order.into_keys().collect::<Vec<_>>(), [6], "5 came twice");
    }

    #[test]
    #[should_panic(expected = "late: 2; live 1 3 1-2; historical 1")]
    fn a_value_behind_its_successor_is_out_of_order() {
        let order = HashMap::from([(1, 0), (2, 1), (3, 2)]);
        let live = |value| record(0, Side::Client, publish(value, None, false));
        let history = record(0, Side::Client, publish(1, None, true));
        in_order(&[live(1), live(3), history, live(1), live(2)], &order);
    }
}
