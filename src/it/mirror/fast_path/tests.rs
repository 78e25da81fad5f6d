//! The fast path does what the long way does.

#![expect(clippy::arithmetic_side_effects, reason = "a test: an overflow is a failure")]

use std::time::Duration;

use diagnostic::SourceFile;
use journal_format::{Body, Frame, Heartbeat};
use journal_read::Item;
use policy::Policy;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use prost::Message;
use sparkplug::{DataType, Metric, Payload, PropertySet, Value};

use super::super::tests::settings;
use super::super::{Aliases, Mirror, MirrorSettings, NodeId, Notice, Now, Outgoing, SessionEvent};
use super::*;
use crate::place_teller::PlaceTeller;

const WALL: u64 = 1_700_000_000_000;
const NOW: Now = Now { mono: Duration::from_secs(1), wall_ms: WALL };

const POLICIES: [&str; 3] = [
    "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n",
    "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\ndeny-metrics = \"int\"\n\
     redact-metrics = \"switch\"\n",
    "[[rule]]\nname = \"some\"\naction = \"forward\"\ngroup = \"G\"\nallow-metrics = \"double\"\n\
     [rule.shape]\nmax = 500\nout-of-range = \"null\"\n\
     [[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n[rule.shape]\nmax-length = 2\n",
];

const BORN: [(&str, DataType); 4] = [
    ("int", DataType::Int8),
    ("double", DataType::Double),
    ("switch", DataType::Boolean),
    ("text", DataType::String),
];

#[derive(Clone, Debug)]
enum Step {
    Birth {
        device: bool,
    },
    Death {
        device: bool,
    },
    Data {
        device: bool,
        payload: Vec<u8>,
        loss: bool,
    },
    /// Sessions end, and others are ready.
    Break,
    Reload {
        policy: Option<usize>,
    },
}

fn metric() -> impl Strategy<Value = Metric> {
    let fitting = (0..BORN.len(), any::<u16>()).prop_map(|(number, bits)| {
        let value = match BORN[number].1 {
            DataType::Int8 => Value::Int(u32::from(bits) % 128),
            DataType::Double => Value::Double(f64::from(bits % 600)),
            DataType::Boolean => Value::Boolean(bits % 2 == 0),
            _ => Value::String(bits.to_string()),
        };
        (BORN[number].0, value)
    });
    let odd = prop_oneof![Just(("int", Value::Int(200))), Just(("unborn", Value::Int(1)))];
    let rare = || weighted(0.05, any::<bool>());
    let more = (weighted(0.03, any::<u64>()), weighted(0.03, 0..12_u32));
    let marks = (weighted(0.95, 0..100_000_u64), rare(), rare(), rare(), rare());
    (prop_oneof![14 => fitting, 1 => odd], more, marks).prop_map(|((name, value), more, marks)| {
        let (age, is_historical, is_transient, is_null, properties) = marks;
        Metric {
            name: Some(name.into()),
            alias: more.0,
            datatype: more.1,
            timestamp: age.map(|age| WALL - age),
            is_historical,
            is_transient,
            is_null,
            properties: properties.map(|_| Box::<PropertySet>::default()),
            value: Some(value),
            ..Metric::default()
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let cut = weighted(0.05, any::<prop::sample::Index>());
    let data = (any::<bool>(), vec(metric(), 0..5), cut, proptest::bool::weighted(0.04));
    let data = data.prop_map(|(device, metrics, mangled, loss)| {
        let payload = Payload { timestamp: Some(WALL), metrics, ..Payload::default() };
        let mut payload = payload.encode_to_vec();
        if let Some(at) = mangled {
            let at = at.index(payload.len());
            payload[at] ^= 0x80;
        }
        Step::Data { device, payload, loss }
    });
    prop_oneof![
        30 => data,
        2 => any::<bool>().prop_map(|device| Step::Birth { device }),
        1 => any::<bool>().prop_map(|device| Step::Death { device }),
        1 => Just(Step::Break),
        1 => proptest::option::of(0..POLICIES.len()).prop_map(|policy| Step::Reload { policy }),
    ]
}

/// A mirror, and all that came out of it.
struct Run {
    mirror: Mirror,
    seq: u64,
    out: Vec<Outgoing>,
    notices: Vec<Notice>,
    teller: Option<PlaceTeller>,
    /// Messages that were told by places.
    placed: usize,
}

impl Run {
    fn new((takes_fast_path, tells_places): (bool, bool), aliases: Aliases) -> Run {
        let rebirth_min_interval = Duration::ZERO;
        let settings = MirrorSettings { rebirth_min_interval, aliases, ..settings() };
        let mut mirror = Mirror::new(settings, None);
        mirror.takes_fast_path = takes_fast_path;
        mirror.caught_up();
        let teller = tells_places.then(PlaceTeller::default);
        let (out, notices) = (Vec::new(), Vec::new());
        let mut run = Run { mirror, seq: 0, out, notices, teller, placed: 0 };
        run.item(Body::Heartbeat(Heartbeat { ot_connected: true, ..Heartbeat::default() }));
        run.step(&Step::Birth { device: false });
        run.step(&Step::Birth { device: true });
        run
    }

    fn item(&mut self, body: Body) {
        self.seq += 1;
        let (seq, body) = (self.seq, Some(body));
        let frame = Frame { seq, epoch: 1, appended_ms: WALL, body, in_head: false, layout: None };
        let frame = match &mut self.teller {
            Some(teller) => teller.tell(frame),
            None => frame,
        };
        self.placed += usize::from(frame.layout.is_some());
        self.mirror.handle_item(NOW, Item::Frame(frame));
        self.collect();
    }

    /// Opens what is to be opened.
    fn collect(&mut self) {
        while let Some(outgoing) = self.mirror.poll_outgoing() {
            self.out.push(outgoing.clone());
            if let Outgoing::Open { node, .. } = outgoing {
                self.mirror.handle_session(NOW, node, SessionEvent::Ready);
            }
        }
        while let Some(notice) = self.mirror.poll_notice() {
            self.notices.push(notice);
        }
    }

    fn relayed(&mut self, verb: &str, device: bool, payload: Vec<u8>, loss_before: bool) {
        let topic = match device {
            true => format!("spBv1.0/G/D{verb}/E/D"),
            false => format!("spBv1.0/G/N{verb}/E"),
        };
        // Every other metric of births has an alias in the plant.
        let given_aliases = vec![0b0101_0101; 2];
        let relayed = Relayed { topic, payload, loss_before, given_aliases, ..Relayed::default() };
        self.item(Body::Relayed(relayed));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Birth { device } => {
                let metrics = BORN.map(|(name, datatype)| Metric {
                    name: Some(name.into()),
                    datatype: Some(datatype.code()),
                    timestamp: Some(WALL),
                    is_null: Some(true),
                    ..Metric::default()
                });
                let mut metrics = metrics.to_vec();
                // What is no metric of the layout has a place in the journal, too.
                let untyped = Metric { name: Some("untyped".into()), ..Metric::default() };
                let bd_seq = Metric { name: Some("bdSeq".into()), ..untyped.clone() };
                if *device {
                    metrics.insert(1, untyped)
                } else {
                    metrics.insert(0, bd_seq)
                }
                let payload = Payload { metrics, ..Payload::default() };
                self.relayed("BIRTH", *device, payload.encode_to_vec(), false);
            }
            Step::Death { device } => self.relayed("DEATH", *device, Vec::new(), false),
            Step::Data { device, payload, loss } => {
                self.relayed("DATA", *device, payload.clone(), *loss);
            }
            Step::Break => {
                let ids: Vec<NodeId> = self.mirror.nodes.iter().map(|node| node.id).collect();
                for id in ids {
                    let lost = SessionEvent::Lost { connect_sent: true };
                    self.mirror.handle_session(NOW, id, lost);
                }
                self.collect();
                self.mirror.handle_tick(Now { mono: Duration::from_secs(5), ..NOW });
                self.collect();
            }
            Step::Reload { policy } => {
                let policy = policy.map(|policy| Arc::new(parse(POLICIES[policy])));
                self.mirror.reload_policy(NOW, policy);
                self.collect();
            }
        }
    }

    fn record(&self) -> String {
        let (account, ledger) = (self.mirror.account(), self.mirror.ledger());
        format!("{:?} {:?} {account:?} {ledger:?}", self.out, self.notices)
    }
}

fn parse(text: &str) -> Policy {
    match Policy::parse(&[SourceFile::new("test.toml", text)]) {
        Ok((policy, _)) => policy,
        Err(problems) => panic!("{problems}"),
    }
}

proptest! {
    #[test]
    fn the_fast_path_does_what_the_long_way_does(
        steps in vec(step(), 0..60),
        aliases in prop_oneof![
            Just(Aliases::Never), Just(Aliases::AsPlant), Just(Aliases::Always)
        ],
    ) {
        let ways = [(false, false), (true, false), (false, true), (true, true)];
        let [long, fast, placed, fast_placed] = ways.map(|way| {
            let mut run = Run::new(way, aliases);
            steps.iter().for_each(|step| run.step(step));
            // Births with the values that are held.
            run.step(&Step::Data { device: false, payload: Vec::new(), loss: true });
            run.record()
        });
        prop_assert_eq!(&fast, &long);
        prop_assert_eq!(&placed, &long);
        prop_assert_eq!(&fast_placed, &long);
    }
}

#[test]
fn data_that_is_told_by_places_takes_the_fast_path_and_other_data_does_not() {
    for device in [false, true] {
        let mut run = Run::new((true, true), Aliases::Never);
        let send = |run: &mut Run, metrics: Vec<Metric>, published: usize| {
            let (placed, before) = (run.placed, run.out.len());
            let payload = Payload { timestamp: Some(WALL), metrics, ..Payload::default() };
            let payload = payload.encode_to_vec();
            run.step(&Step::Data { device, payload, loss: false });
            assert_eq!((run.placed, run.out.len()), (placed + 1, before + published));
        };
        let metric = |name: &str, value: Value| {
            let (name, value) = (Some(name.into()), Some(value));
            Metric { name, timestamp: Some(WALL - 5), value, ..Metric::default() }
        };
        send(&mut run, vec![metric("double", Value::Double(2.0))], 1);
        send(
            &mut run,
            vec![metric("switch", Value::Boolean(true)), metric("int", Value::Int(3))],
            1,
        );
        send(&mut run, vec![metric("text", Value::String("a".into()))], 1);
        // A place where the layout has nothing.
        send(&mut run, vec![metric(if device { "untyped" } else { "bdSeq" }, Value::Int(1))], 0);
        let layout = run.mirror.nodes.iter().next().unwrap().layout_of(device.then_some("D"));
        let layout = layout.unwrap();
        assert!(layout.bytes() >= layout.counted_bytes());
    }
}

#[test]
fn data_as_the_ot_half_writes_it_takes_the_fast_path_and_other_data_does_not() {
    let double = || Metric {
        name: Some("double".into()),
        timestamp: Some(WALL),
        value: Some(Value::Double(1.0)),
        ..Metric::default()
    };
    let takes = |run: &mut Run, metrics: Vec<Metric>, loss_before: bool| {
        let payload = Payload { timestamp: Some(WALL), metrics, ..Payload::default() };
        let payload = payload.encode_to_vec();
        let relayed = Relayed { payload, loss_before, ..Relayed::default() };
        let (mut step, nodes) = run.mirror.step(NOW);
        let node = nodes.find("G", "E").unwrap();
        let message = FastPath::of(&node, Some("D"), &relayed, &step.settings.caps);
        message.map(|message| step.take_fast_path(node.change(), Some("D"), 100, message)).is_ok()
    };
    let mut run = Run::new((true, false), Aliases::Never);
    assert!(takes(&mut run, vec![double(), double()], false));
    assert!(!takes(&mut run, vec![double()], true));
    assert!(!takes(&mut run, vec![], false));
    let others = [
        Metric { alias: Some(1), ..double() },
        Metric { datatype: Some(10), ..double() },
        Metric { timestamp: None, ..double() },
        Metric { is_null: Some(false), ..double() },
        Metric { is_historical: Some(true), ..double() },
        Metric { properties: Some(Box::default()), ..double() },
        Metric { value: Some(Value::Int(1)), ..double() },
        Metric { name: Some("unborn".into()), ..double() },
        Metric { name: None, ..double() },
    ];
    for other in others {
        assert!(!takes(&mut run, vec![double(), other.clone()], false), "{other:?}");
    }
    for (policy, goes) in [(0, true), (1, true), (2, false)] {
        run.step(&Step::Reload { policy: Some(policy) });
        assert_eq!(takes(&mut run, vec![double()], false), goes, "{}", POLICIES[policy]);
    }
    run.step(&Step::Reload { policy: None });
    run.step(&Step::Data { device: true, payload: Vec::new(), loss: true });
    assert!(
        !takes(&mut run, vec![double()], false),
        "stale values have to be published as good again"
    );
    run.step(&Step::Death { device: true });
    assert!(!takes(&mut run, vec![double()], false));
}
