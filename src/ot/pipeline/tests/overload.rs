//! More data than the limits let through: who waits, who is dropped, and who loses nothing.

use std::collections::BTreeMap;

use account::Reason;
use journal_format::{Body, Relayed};
use sparkplug::{DataType, Metric, Payload, Topic, Value};

use super::bench::{Bench, aliased, bd_seq, by_alias, by_name, payload, relayed, typed, verbs};

/// Nodes with some metrics each, all of which are told or not.
struct Plant {
    bench: Bench,
    seq: BTreeMap<String, u64>,
    /// The values that were journalled as data, by node and metric.
    told: BTreeMap<(String, String), Vec<u32>>,
}

impl Plant {
    fn new(policy: &str, nodes: &[&str], metrics: &[&str]) -> Plant {
        let bench = Bench::new(policy);
        let mut plant = Plant { bench, seq: BTreeMap::new(), told: BTreeMap::new() };
        for node in nodes {
            let mut birth = vec![bd_seq(0)];
            for (alias, name) in (0_u64..).zip(metrics) {
                birth.push(aliased(name, alias, DataType::UInt32, Value::Int(0)));
            }
            plant.send("NBIRTH", node, birth);
        }
        // Whatever births took is there again.
        plant.bench.pass(3_600_000);
        plant.tick();
        plant.told.clear();
        plant
    }

    fn send(&mut self, verb: &str, node: &str, metrics: Vec<Metric>) -> Vec<Relayed> {
        let seq = self.seq.entry(node.to_owned()).or_default();
        let payload = Payload {
            timestamp: Some(self.bench.now.wall_ms),
            seq: Some(*seq),
            metrics,
            ..Payload::default()
        };
        *seq = (*seq + 1) % 256;
        let frames = self.bench.send(&format!("spBv1.0/G/{verb}/{node}"), &payload);
        self.note(&frames);
        frames
    }

    fn data(&mut self, node: &str, alias: u64, value: u32) -> Vec<Relayed> {
        self.send("NDATA", node, vec![by_alias(alias, Value::Int(value))])
    }

    fn tick(&mut self) -> Vec<Relayed> {
        let bodies: Vec<Body> = self.bench.tick();
        let frames = relayed(&bodies);
        self.note(&frames);
        frames
    }

    fn note(&mut self, frames: &[Relayed]) {
        for frame in frames {
            let Ok(Topic::Entity(topic)) = Topic::parse(&frame.topic) else { panic!() };
            if !topic.message_type.is_data() {
                continue;
            }
            for metric in payload(frame).metrics {
                let key = (topic.entity.edge_node.to_owned(), metric.name.unwrap());
                let Some(Value::Int(value)) = metric.value else { panic!() };
                self.told.entry(key).or_default().push(value);
            }
        }
    }

    fn told(&self, node: &str, metric: &str) -> Vec<u32> {
        self.told.get(&(node.to_owned(), metric.to_owned())).cloned().unwrap_or_default()
    }
}

const LINK: &str = r#"
    [[rule]]
    name = "all"
    action = "forward"
    group = "G"

    [limits.link]
    messages-per-s = 20
    burst-messages = 20
"#;

#[test]
fn one_node_at_a_hundred_times_its_rate_takes_nothing_from_the_others() {
    let names = ["flood", "a", "b", "c", "d", "e", "f", "g"];
    let mut plant = Plant::new(LINK, &names, &["x", "y"]);
    // The flood comes from four devices, so that four messages of it wait at any time.
    for device in 0..4 {
        let metric = typed("x", DataType::UInt32, Value::Int(0));
        plant.send("DBIRTH", &format!("flood/{device}"), vec![metric]);
    }
    let mut sent = 0;
    // A minute in steps of 10 ms: 100 messages/s of one node, 1 message/s of seven others, and
    // room for 20.
    for step in 0..6_000_u32 {
        sent += 1;
        let metric = Metric { name: Some("x".into()), ..by_alias(0, Value::Int(sent)) };
        plant.send("DDATA", &format!("flood/{}", step % 4), vec![metric]);
        let second = step / 100;
        if let Some(node) = names.get(1 + usize::try_from(step % 100 / 10).unwrap())
            && step % 10 == 7
        {
            plant.data(node, u64::from(second % 2), second);
        }
        plant.bench.pass(10);
        if step % 10 == 9 {
            plant.tick();
        }
    }
    let even: Vec<u32> = (0..60).step_by(2).collect();
    let odd: Vec<u32> = (1..60).step_by(2).collect();
    for node in &names[1..] {
        assert_eq!(plant.told(node, "x"), even, "{node}");
        assert_eq!(plant.told(node, "y"), odd, "{node}");
    }
    // The flood has the rest of the link, in order, and its newest value gets through.
    plant.bench.pass(1_000);
    plant.tick();
    let flood = plant.told("flood", "x");
    let last: Vec<u32> = flood.iter().rev().take(4).rev().copied().collect();
    assert!(last.contains(&sent) && last.iter().all(|value| *value > sent - 200), "{last:?}");
    let rest = 20 * 60 - 7 * 60;
    assert!((rest - 30..rest + 30).contains(&flood.len()), "{} values", flood.len());
    let account = plant.bench.pipeline.account();
    assert_eq!(account.waiting, 0);
    let conflated = u64::from(sent) - u64::try_from(flood.len()).unwrap();
    assert_eq!(plant.bench.dropped(Reason::Conflated), conflated);
    assert_eq!(account.dropped_total(), conflated);
}

#[test]
fn large_messages_of_one_node_give_way_to_small_ones_of_others() {
    let mut plant = Plant::new(
        r#"
        [[rule]]
        name = "all"
        action = "forward"
        group = "G"

        [limits.link]
        bytes-per-s = 20_000
    "#,
        &["small", "large"],
        &["x"],
    );
    let long = "l".repeat(5_000);
    let birth = (0..10)
        .map(|alias| aliased(&format!("{alias}{long}"), alias, DataType::UInt32, Value::Int(0)));
    plant.send("NBIRTH", "large", birth.collect());
    for second in 0..30 {
        for step in 0..10 {
            // 50 kB at once, 500 kB/s.
            let all = (0..10).map(|alias| by_alias(alias, Value::Int(second * 10 + step)));
            plant.send("NDATA", "large", all.collect());
            if step == 5 {
                plant.data("small", 0, second);
            }
            plant.bench.pass(100);
            plant.tick();
        }
    }
    assert_eq!(plant.told("small", "x"), (0..30).collect::<Vec<_>>());
    for alias in 0..10 {
        let told = plant.told("large", &format!("{alias}{long}")).len();
        assert!((10..=13).contains(&told), "{told} of metric {alias}");
    }
}

const ALARMS: &str = r#"
    [[rule]]
    name = "alarms"
    action = "forward"
    group = "G"
    allow-metrics = "Alarm/**"
    priority = "high"

    [[rule]]
    name = "rest"
    action = "forward"
    group = "G"

    [limits.link]
    messages-per-s = 2
    burst-messages = 2
"#;

#[test]
fn data_with_a_metric_of_high_priority_is_called_urgent_on_either_path() {
    let policy = ALARMS.split("[limits.link]").next().unwrap();
    for fast in [true, false] {
        let mut bench = Bench::new(policy);
        bench.pipeline.takes_fast_path = fast;
        let number = |name: &str| typed(name, DataType::Int32, Value::Int(1));
        let birth = bench.node("NBIRTH", vec![bd_seq(0), number("Alarm/1"), number("x")]);
        assert!(!birth[0].urgent);
        let data = |bench: &mut Bench, names: &[&str]| {
            let metrics = names.iter().map(|name| by_name(name, Value::Int(2)));
            bench.node("NDATA", metrics.collect())[0].urgent
        };
        assert!(!data(&mut bench, &["x"]));
        assert!(data(&mut bench, &["Alarm/1"]));
        assert!(data(&mut bench, &["x", "Alarm/1"]));
    }
}

#[test]
fn births_and_deaths_come_first_then_alarms_then_the_rest() {
    let mut plant = Plant::new(ALARMS, &["a", "b", "c"], &["Alarm/1", "x"]);
    // The link is full.
    plant.data("a", 1, 1);
    plant.data("a", 1, 2);
    for node in ["a", "b", "c"] {
        assert!(plant.data(node, 1, 3).is_empty());
    }
    assert!(plant.data("c", 0, 7).is_empty());
    assert!(plant.data("b", 0, 8).is_empty());
    // Births and deaths pass all the same, at once.
    assert_eq!(verbs(&plant.send("DBIRTH", "a/D", vec![])), "DBIRTH");
    assert_eq!(verbs(&plant.send("NDEATH", "a", vec![bd_seq(0)])), "NDEATH");
    let mut order = Vec::new();
    for _ in 0..40 {
        plant.bench.pass(100);
        for frame in plant.tick() {
            order.extend(payload(&frame).metrics.into_iter().filter_map(|metric| metric.name));
        }
    }
    assert_eq!(order, ["Alarm/1", "Alarm/1", "x", "x"]);
    assert_eq!(plant.bench.pipeline.account().waiting, 0);
}

#[test]
fn data_yields_while_alarms_wait_and_mixed_messages_are_split() {
    let mut plant = Plant::new(ALARMS, &["a", "b"], &["Alarm/1", "x"]);
    for value in 0..10 {
        plant.data("a", 0, value);
    }
    // Room for one message; an alarm waits for it.
    plant.bench.pass(500);
    assert!(plant.data("b", 1, 1).is_empty(), "data overtook an alarm");
    let told: Vec<_> = plant.tick().iter().map(|frame| frame.topic.clone()).collect();
    assert_eq!(told, ["spBv1.0/G/NDATA/a"]);
    plant.bench.pass(500);
    plant.tick();
    assert_eq!(plant.told("b", "x"), [1]);
    // One message of both kinds counts once where there is room for both.
    plant.bench.pass(10_000);
    plant.tick();
    for value in [5, 6] {
        let metrics = vec![by_alias(1, Value::Int(value)), by_alias(0, Value::Int(value))];
        assert_eq!(plant.send("NDATA", "a", metrics).len(), 1);
    }
    assert!(plant.data("a", 0, 9).is_empty());
}

#[test]
fn what_is_to_be_dropped_does_not_wait() {
    for (limit, reason) in [
        ("[rule.rate]", Reason::Rate),
        ("[limits.node]", Reason::NodeRate),
        ("[limits.link]", Reason::LinkRate),
    ] {
        let policy = format!(
            "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n{limit}\n\
             messages-per-s = 1\nburst-messages = 2\non-excess = \"drop\""
        );
        let mut plant = Plant::new(&policy, &["a"], &["x"]);
        for value in 0..5 {
            plant.data("a", 0, value);
        }
        assert_eq!(plant.bench.dropped(reason), 3, "{limit}");
        assert_eq!(plant.bench.dropped_metrics(reason), 3);
        plant.bench.pass(10_000);
        plant.tick();
        assert_eq!(plant.told("a", "x"), [0, 1], "{limit}");
        let rule = &plant.bench.pipeline.ledger().rules()[0];
        assert_eq!(rule.drops.messages(), 3, "no rule says so");
    }
}

#[test]
fn each_node_has_its_own_limit() {
    let mut plant = Plant::new(
        r#"
        [[rule]]
        name = "all"
        action = "forward"
        group = "G"

        [limits.node]
        messages-per-s = 1
        burst-messages = 2
    "#,
        &["a", "b"],
        &["x", "y"],
    );
    for value in 0..5 {
        plant.data("a", u64::from(value % 2), value);
    }
    assert_eq!((plant.told("a", "x"), plant.told("a", "y")), (vec![0], vec![1]));
    assert_eq!(plant.data("b", 0, 1).len(), 1);
    assert_eq!(plant.bench.pipeline.account().waiting, 2);
    plant.bench.pass(1_000);
    // Both values in one message.
    assert_eq!(plant.tick().len(), 1);
    assert_eq!((plant.told("a", "x"), plant.told("a", "y")), (vec![0, 4], vec![1, 3]));
    assert_eq!(plant.bench.dropped(Reason::Conflated), 1);
    assert_eq!(plant.bench.pipeline.account().waiting, 0);
}

#[test]
fn devices_of_a_node_take_turns() {
    let mut plant = Plant::new(
        r#"
        [[rule]]
        name = "all"
        action = "forward"
        group = "G"

        [limits.node]
        messages-per-s = 1
        burst-messages = 1
    "#,
        &["a"],
        &["x"],
    );
    for device in ["D1", "D2", "D3"] {
        let metric = typed("x", DataType::UInt32, Value::Int(0));
        plant.send("DBIRTH", &format!("a/{device}"), vec![metric]);
    }
    let mut order = Vec::new();
    for value in 0..8 {
        for entity in ["a", "a/D1", "a/D2", "a/D3"] {
            let verb = if entity == "a" { "NDATA" } else { "DDATA" };
            let metric = Metric {
                name: Some("x".into()),
                value: Some(Value::Int(value)),
                ..Metric::default()
            };
            plant.send(verb, entity, vec![metric]);
        }
        plant.bench.pass(1_000);
        order.extend(
            plant.tick().iter().map(|frame| frame.topic.rsplit('/').next().unwrap().to_owned()),
        );
    }
    assert_eq!(order, ["D1", "D2", "D3", "a", "D1", "D2", "D3", "a"]);
}

#[test]
fn a_message_is_forwarded_with_its_first_value_and_conflated_with_its_last() {
    let mut plant = Plant::new(
        r#"
        [[rule]]
        name = "x"
        action = "forward"
        group = "G"
        allow-metrics = "x"
        rate = { messages-per-s = 1, burst-messages = 1 }

        [[rule]]
        name = "y"
        action = "forward"
        group = "G"
        allow-metrics = "y"
        rate = { messages-per-s = 0.1, burst-messages = 1 }
    "#,
        &["a"],
        &["x", "y"],
    );
    let both = |value| vec![by_alias(0, Value::Int(value)), by_alias(1, Value::Int(value))];
    plant.send("NDATA", "a", both(1));
    plant.send("NDATA", "a", both(2));
    plant.send("NDATA", "a", both(3));
    let account = |plant: &Plant| {
        let account = plant.bench.pipeline.account();
        (account.forwarded, account.waiting, account.dropped(Reason::Conflated))
    };
    // The birth is one of those that were forwarded.
    assert_eq!(account(&plant), (2, 1, 1));
    plant.bench.pass(1_000);
    plant.tick();
    assert_eq!(account(&plant), (3, 0, 1));
    assert_eq!((plant.told("a", "x"), plant.told("a", "y")), (vec![1, 3], vec![1]));
    plant.bench.pass(10_000);
    plant.tick();
    assert_eq!(account(&plant), (3, 0, 1));
    assert_eq!(plant.told("a", "y"), [1, 3]);
    // A birth tells what waits; a death takes it along.
    plant.send("NDATA", "a", both(4));
    plant.send("NDATA", "a", both(5));
    assert_eq!(account(&plant).1, 1);
    plant.send("NDEATH", "a", vec![bd_seq(0)]);
    assert_eq!(account(&plant).1, 0);
}

#[test]
fn what_was_refused_unread_is_accounted_for() {
    let mut plant = Plant::new(LINK, &["a"], &["x"]);
    plant.bench.pipeline.shed("spBv1.0/G/NDATA/a", 3, "G/a 90 %");
    plant.bench.pipeline.shed("", 2, "");
    plant.tick();
    assert_eq!(plant.bench.dropped(Reason::Overload), 5);
    let node = plant.bench.pipeline.ledger().node(account::NodeSlot(0)).unwrap();
    assert_eq!(node.drops.messages(), 3);
    assert_eq!(plant.bench.pipeline.check_account(), Ok(()));
}

#[test]
fn what_was_too_large_is_accounted_for_and_its_node_is_doubted() {
    let mut plant = Plant::new(LINK, &["a"], &["x"]);
    plant.bench.pipeline.unread("spBv1.0/G/NDATA/a", true, Reason::TooLarge);
    plant.bench.pipeline.unread(
        "$sparkplug/certificates/spBv1.0/G/NBIRTH/a",
        true,
        Reason::TooLarge,
    );
    plant.bench.pipeline.unread("spBv1.0/G/NBIRTH/a", false, Reason::TooLarge);
    plant.bench.pipeline.unread("elsewhere", false, Reason::TooLarge);
    plant.tick();
    assert_eq!(plant.bench.dropped(Reason::TooLarge), 4);
    let node = plant.bench.pipeline.ledger().node(account::NodeSlot(0)).unwrap();
    assert_eq!(node.drops.messages(), 3);
    assert_eq!(plant.bench.pipeline.check_account(), Ok(()));
}

#[test]
fn a_rule_limits_all_that_it_forwards_together_or_each() {
    let names = ["a", "b", "c"];
    // Of three nodes with two metrics each, that send both of them 20 times in a second.
    for (per, most) in [("rule", 2), ("edge-node", 2 * 3), ("device", 2 * 3), ("metric", 6 * 2)] {
        let text = format!(
            "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n[rule.rate]\n\
             messages-per-s = 1\non-excess = \"drop\"\nper = \"{per}\"\n"
        );
        let mut plant = Plant::new(&text, &names, &["x", "y"]);
        for step in 0..20_u32 {
            for node in names {
                plant.data(node, 0, step);
                plant.data(node, 1, step);
            }
            plant.bench.pass(60);
            plant.tick();
        }
        let told: usize = names
            .iter()
            .map(|node| plant.told(node, "x").len() + plant.told(node, "y").len())
            .sum();
        assert_eq!(told, most, "{per}");
        let dropped = plant.bench.dropped(Reason::Rate);
        assert_eq!(dropped, 120 - most as u64, "{per}");
    }
}

#[test]
fn values_of_one_message_have_a_limit_each_and_wait_each_for_its_own_turn() {
    let text = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n[rule.rate]\n\
                messages-per-s = 1\nper = \"metric\"\n";
    let mut plant = Plant::new(text, &["a"], &["x", "y"]);
    let x = |value| by_alias(0, Value::Int(value));
    let y = |value| by_alias(1, Value::Int(value));
    plant.send("NDATA", "a", vec![x(1)]);
    plant.send("NDATA", "a", vec![x(2), y(2)]);
    assert_eq!((plant.told("a", "x"), plant.told("a", "y")), (vec![1], vec![2]));
    plant.bench.pass(1_001);
    plant.tick();
    assert_eq!((plant.told("a", "x"), plant.told("a", "y")), (vec![1, 2], vec![2]));
    assert_eq!(plant.bench.pipeline.account().waiting, 0);
}
