//! Random plants under random policies: whatever happens, readers of the journal can follow, the
//! account balances and nothing denied appears. The bench checks all of it at every step.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use sparkplug::{DataType, Metric, Payload, Template, Value};

use super::bench::{ALL, Bench, aliased, bd_seq, by_alias, typed};

pub(super) const POLICIES: [&str; 5] = [
    ALL,
    r#"
    [[rule]]
    name = "some"
    action = "forward"
    group = "G"
    allow-metrics = ["m0", "m1", "t*"]
    deny-metrics = ["m1", "t*/secret"]
    "#,
    r#"
    [[rule]]
    name = "device"
    action = "forward"
    device = "D1"
    [rule.rate]
    messages-per-s = 2
    burst-messages = 2
    "#,
    r#"
    [[rule]]
    name = "urgent"
    action = "forward"
    group = "G"
    allow-metrics = ["m1", "t4"]
    priority = "high"

    [[rule]]
    name = "rest"
    action = "forward"
    group = "G"
    rate = { messages-per-s = 3, on-excess = "drop" }

    [limits.node]
    messages-per-s = 4
    [limits.link]
    bytes-per-s = 500
    "#,
    "",
];

#[derive(Clone, Debug)]
pub(super) enum Step {
    Message { verb: usize, device: usize, metrics: Vec<(usize, u32, bool)>, skip: bool, dup: bool },
    Again,
    Stored { device: usize, timestamp: u64 },
    Pass { ms: u64 },
    Reload { policy: usize },
    Session { present: bool },
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let metrics = vec((0_usize..7, any::<u32>(), any::<bool>()), 0..4);
    let message = (0_usize..6, 0_usize..3, metrics, any::<bool>(), any::<bool>()).prop_map(
        |(verb, device, metrics, skip, dup)| Step::Message { verb, device, metrics, skip, dup },
    );
    prop_oneof![
        20 => message,
        1 => Just(Step::Again),
        1 => (0_usize..3, 0_u64..3).prop_map(|(device, timestamp)| Step::Stored { device, timestamp }),
        3 => (0_u64..3000).prop_map(|ms| Step::Pass { ms }),
        1 => (0..POLICIES.len()).prop_map(|policy| Step::Reload { policy }),
        1 => any::<bool>().prop_map(|present| Step::Session { present }),
    ]
}

/// A metric by number: 0..=3 plain, 4 and 5 template instances, 6 unknown to the births.
fn metric(number: usize, value: u32, named: bool, in_birth: bool) -> Metric {
    let alias = number as u64;
    let name = format!("m{number}");
    if (4..6).contains(&number) {
        let member = |name: &str| typed(name, DataType::Int32, Value::Int(value));
        let mut metrics = vec![member("a")];
        if value.is_multiple_of(2) {
            metrics.push(member("secret"));
        }
        let reference = if number == 4 { "Type" } else { "Other" };
        let template =
            Template { metrics, template_ref: Some(reference.into()), ..Template::default() };
        let name = format!("t{number}");
        let instance =
            aliased(&name, alias, DataType::Template, Value::Template(Box::new(template)));
        return if named || in_birth {
            instance
        } else {
            Metric { name: None, datatype: None, ..instance }
        };
    }
    match (in_birth, named) {
        (true, _) => aliased(&name, alias, DataType::Int32, Value::Int(value)),
        (false, true) => typed(&name, DataType::Int32, Value::Int(value)),
        (false, false) => by_alias(alias, Value::Int(value)),
    }
}

fn definition(name: &str) -> Metric {
    let metrics = ["a", "secret"].map(|name| typed(name, DataType::Int32, Value::Int(0))).to_vec();
    let template = Template { metrics, is_definition: Some(true), ..Template::default() };
    typed(name, DataType::Template, Value::Template(Box::new(template)))
}

pub(super) fn run(bench: &mut Bench, step: Step, last: &mut Option<(String, Payload)>) {
    match step {
        Step::Message { verb, device, metrics, skip, dup } => {
            let verb = ["NBIRTH", "NDEATH", "DBIRTH", "DDEATH", "NDATA", "DDATA"][verb];
            if skip && verb != "NBIRTH" {
                bench.lose();
            }
            if verb == "NBIRTH" {
                bench.seq = 0;
            }
            let is_birth = verb.ends_with("BIRTH");
            let mut metrics: Vec<Metric> = metrics
                .into_iter()
                .map(|(number, value, named)| metric(number, value, named, is_birth))
                .collect();
            if verb == "NBIRTH" {
                metrics.push(bd_seq(bench.seq));
                metrics.push(definition("Type"));
                metrics.push(definition("_types_/Other"));
            }
            let topic = if verb.starts_with('D') {
                format!("spBv1.0/G/{verb}/E/D{device}")
            } else {
                format!("spBv1.0/G/{verb}/E")
            };
            let payload = Payload {
                timestamp: Some(bench.now.wall_ms),
                seq: Some(bench.seq),
                metrics,
                ..Payload::default()
            };
            bench.seq = (bench.seq + 1) % 256;
            bench.deliver(&topic, &payload, false, dup);
            *last = Some((topic, payload));
        }
        Step::Again => {
            if let Some((topic, payload)) = last {
                bench.deliver(topic, payload, false, true);
            }
        }
        Step::Stored { device, timestamp } => {
            let topic = match device {
                0 => "$sparkplug/certificates/spBv1.0/G/NBIRTH/E".to_owned(),
                _ => format!("$sparkplug/certificates/spBv1.0/G/DBIRTH/E/D{device}"),
            };
            let mut metrics: Vec<Metric> =
                (0..6).map(|number| metric(number, 1, true, true)).collect();
            if device == 0 {
                metrics.extend([definition("Type"), definition("_types_/Other")]);
            }
            let payload = Payload { timestamp: Some(timestamp), metrics, ..Payload::default() };
            bench.deliver(&topic, &payload, true, false);
        }
        Step::Pass { ms } => {
            bench.pass(ms);
            bench.tick();
        }
        Step::Reload { policy } => {
            bench.reload(POLICIES[policy]);
        }
        Step::Session { present } => {
            bench.pipeline.disconnected(bench.now);
            bench.pipeline.session(bench.now, present);
        }
    }
}

proptest! {
    #[test]
    fn readers_can_follow_whatever_happens(
        first in 0..POLICIES.len(), steps in vec(step(), 0..120),
    ) {
        let mut bench = Bench::new(POLICIES[first]);
        let mut last = None;
        for step in steps {
            run(&mut bench, step, &mut last);
        }
        // What waited for its turn may wait for a birth.
        for _ in 0..2 {
            bench.pass(3000);
            bench.tick();
        }
        assert_eq!(bench.pipeline.account().waiting, 0);
    }

    #[test]
    fn denied_members_and_metrics_never_appear(steps in vec(step(), 0..120)) {
        let mut bench = Bench::new(POLICIES[1]);
        let mut last = None;
        for step in steps {
            if !matches!(step, Step::Reload { .. }) {
                run(&mut bench, step, &mut last);
            }
        }
        for denied in ["secret", "m1", "m2", "m3"] {
            assert!(!bench.leaks(denied), "{denied}");
        }
    }
}
