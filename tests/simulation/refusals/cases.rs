//! For every reason, messages that are refused for it.

use account::{Consequence, Reason, Refused};
use journal_format::Relayed;
use ot::testing::Delivery;
use sparkplug::{Budget, DataType, Metric, Payload, Value, names};

use super::rig::{MOST_METRICS, MOST_TEXT, Rig, Setup, bd_seq, delivery, int, text, topic, typed};
use super::special::{amplification, late, newer_take_its_place, set_aside, too_often};
use prost::Message as _;

/// One thing that is refused.
pub struct Case {
    pub refused: Refused,
    pub setup: Setup,
    /// Whose it is: `edge node` or `edge node/device`.
    pub of: &'static str,
    /// Whose value it is.
    pub metric: Option<&'static str>,
    pub before: Box<dyn Fn(&mut Rig)>,
    pub act: Box<dyn Fn(&mut Rig)>,
    /// Values that the case gives to the plant, and IT shows.
    pub now: &'static [(&'static str, &'static str, u64)],
    /// What follows, where the manual says it beside its table.
    pub follows: Option<Consequence>,
    /// It is dropped; a death that can't be read is believed.
    pub is_counted: bool,
    /// The OT half doesn't go on after it.
    pub is_brief: bool,
}

pub enum Told {
    Case(Case),
    Never(Refused, &'static str),
}

use Refused::{Birth, Data, Death, Value as OneValue};

/// A policy of one rule.
macro_rules! rule {
    ($rest:literal) => {
        concat!("[[rule]]\nname = \"r\"\naction = \"forward\"\ngroup = \"G\"\n", $rest)
    };
}

pub fn case(refused: Refused, of: &'static str, act: impl Fn(&mut Rig) + 'static) -> Case {
    Case {
        refused,
        setup: Setup::PLAIN,
        of,
        metric: None,
        before: Box::new(|_| {}),
        act: Box::new(act),
        now: &[],
        follows: None,
        is_counted: true,
        is_brief: false,
    }
}

impl Case {
    pub fn under(self, policy: &'static str) -> Case {
        Case { setup: Setup { policy, ..self.setup }, ..self }
    }

    pub fn with(self, setup: Setup) -> Case {
        Case { setup, ..self }
    }

    pub fn behind(self, before: impl Fn(&mut Rig) + 'static) -> Case {
        Case { before: Box::new(before), ..self }
    }

    pub fn told(self) -> Vec<Told> {
        vec![Told::Case(self)]
    }
}

/// A value of one metric that the policy leaves out.
fn left_out(policy: &'static str, metric: fn() -> Metric) -> Vec<Told> {
    case(OneValue, "E", move |rig| rig.say("NDATA", "E", vec![metric()])).under(policy).told()
}

/// Messages of each kind that are refused as a whole, of an edge node and of a device.
pub fn whole(send: impl Fn(&mut Rig, &str, &str) + Copy + 'static) -> Vec<Case> {
    let of = [
        (Birth, "NBIRTH", "E"),
        (Birth, "DBIRTH", "E/D"),
        (Data, "NDATA", "E"),
        (Data, "DDATA", "E/D"),
        (Death, "NDEATH", "E"),
        (Death, "DDEATH", "E/D"),
    ];
    of.map(|(refused, verb, who)| case(refused, who, move |rig| send(rig, verb, who))).into()
}

pub fn told(cases: Vec<Case>) -> Vec<Told> {
    cases.into_iter().map(Told::Case).collect()
}

/// The topic of an NDEATH says all, so that one that can't be read is believed.
fn but_deaths(mut cases: Vec<Case>) -> Vec<Case> {
    for case in &mut cases {
        case.is_counted = (case.refused, case.of) != (Death, "E");
    }
    cases
}

fn bad_value(
    of: &'static str,
    verb: &'static str,
    metric: &'static str,
    bad: fn() -> Value,
) -> Case {
    let act = move |rig: &mut Rig| {
        let metric = Metric { name: Some(metric.into()), value: Some(bad()), ..Metric::default() };
        let mut payload = rig.payload(verb, of, vec![metric]);
        // No UTF-8.
        if let Some(place) = payload.windows(2).position(|part| part == b"@@") {
            payload[place..][..2].copy_from_slice(b"\xfc\xfc");
        }
        rig.say_bytes(verb, of, payload);
    };
    Case { metric: Some(metric), ..case(OneValue, of, act) }
}

fn junk(topic: &'static str) -> Vec<Told> {
    case(Data, "E", move |rig| rig.deliver(delivery(topic, b"junk".to_vec()))).told()
}

/// A frame that the OT half doesn't write.
fn forged(refused: Refused, verb: &'static str, of: &'static str) -> Told {
    let act = move |rig: &mut Rig| {
        let topic = topic(verb, of);
        rig.forge(Relayed { topic, payload: vec![0xff; 7], ..Relayed::default() });
    };
    Told::Case(Case { is_brief: true, ..case(refused, of, act) })
}

const NEVER_PART: &str = "what is read is read as a whole, or not at all";
const NO_ROOM: Setup =
    Setup { ot: |settings| settings.budget = LITTLE, more: texts, ..Setup::PLAIN };
const NO_ROOM_ON_IT: Setup =
    Setup { it: |settings| settings.budget = LITTLE, more: texts, ..Setup::PLAIN };
const LITTLE: Budget = Budget { node_bytes: 32 * 1024, ..Budget::UNLIMITED };

/// Texts that are short in births.
fn texts() -> Vec<Metric> {
    (0..20).map(|number| text(&format!("t{number}"), "v1100")).collect()
}

fn long_texts() -> Vec<Metric> {
    let long = "x".repeat(MOST_TEXT);
    (0..20).map(|number| text(&format!("t{number}"), &long)).collect()
}

/// For this reason.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn cases(reason: Reason) -> Vec<Told> {
    match reason {
        Reason::NotSparkplug => junk("line4/temperature"),
        Reason::MalformedTopic => junk("spBv1.0/G/NDATA"),
        Reason::UnknownType => junk("spBv1.0/G/NRECORD/E"),
        Reason::Command => junk("spBv1.0/G/NCMD/E"),
        Reason::State => junk("spBv1.0/STATE/host"),
        Reason::StoredBirth => case(Birth, "E", |rig| {
            let payload = rig.payload("NBIRTH", "E", vec![int("a", 9), bd_seq(0)]);
            rig.deliver(Delivery { retain: true, ..delivery(&topic("NBIRTH", "E"), payload) });
        })
        .told(),
        Reason::MalformedPayload => {
            let garbage = |rig: &mut Rig, verb: &str, who: &str| {
                rig.lose("E");
                rig.say_bytes(verb, who, vec![0xff; 7]);
            };
            let mut cases = but_deaths(whole(garbage));
            let no_text = || Value::String("@@".into());
            cases.push(bad_value("E", "NDATA", "s", no_text));
            cases.push(bad_value("E/D", "DDATA", "t", no_text));
            told(cases)
        }
        Reason::TooLarge => {
            let large = |rig: &mut Rig, verb: &str, who: &str| {
                rig.lose("E");
                let empty = delivery(&topic(verb, who), Vec::new());
                rig.deliver(Delivery { is_too_large: true, ..empty });
            };
            let mut told = told(whole(large));
            told.push(Told::Never(OneValue, NEVER_PART));
            told
        }
        Reason::OverCap => {
            let too_many = |rig: &mut Rig, verb: &str, who: &str| {
                let metrics = (0..=MOST_METRICS).map(|number| int(&format!("m{number}"), 1));
                rig.say(verb, who, metrics.collect());
            };
            let mut cases = but_deaths(whole(too_many));
            let too_long = || Value::String("x".repeat(MOST_TEXT + 1));
            cases.push(bad_value("E", "NDATA", "s", too_long));
            cases.push(bad_value("E/D", "DDATA", "t", too_long));
            told(cases)
        }
        Reason::BadCompression => {
            let garbage = |rig: &mut Rig, verb: &str, who: &str| {
                rig.lose("E");
                let payload = Payload {
                    uuid: Some(names::COMPRESSED_UUID.into()),
                    body: Some(vec![0xff; 20]),
                    ..Payload::default()
                };
                rig.say_bytes(verb, who, payload.encode_to_vec());
            };
            let mut told = told(but_deaths(whole(garbage)));
            told.push(Told::Never(OneValue, NEVER_PART));
            told
        }
        Reason::Overload => {
            let shed = |rig: &mut Rig, verb: &str, who: &str| {
                rig.lose("E");
                rig.ot().shed(topic(verb, who).into_bytes().into(), None);
            };
            let mut told = told(whole(shed));
            told.push(Told::Never(OneValue, NEVER_PART));
            told
        }
        Reason::SetAside => set_aside(),
        Reason::OverMemory => {
            let born = |rig: &mut Rig| {
                let mut metrics = long_texts();
                metrics.push(bd_seq(0));
                rig.say("NBIRTH", "E", metrics);
            };
            let device = |rig: &mut Rig| rig.say("DBIRTH", "E/D", long_texts());
            let data = |rig: &mut Rig| rig.say("NDATA", "E", long_texts());
            let mut all = Vec::new();
            for (setup, is_on_it) in [(NO_ROOM, false), (NO_ROOM_ON_IT, true)] {
                // The keyframe that follows has all values, and is a birth without room for it.
                let data = |refused| Case { is_brief: is_on_it, ..case(refused, "E", data) };
                let births = [case(Birth, "E", born), case(Birth, "E/D", device)];
                let cases = births.into_iter().chain([data(Data), data(OneValue)]);
                all.extend(cases.map(|case| Told::Case(case.with(setup))));
            }
            all
        }
        Reason::BadFrame => vec![
            forged(Birth, "NBIRTH", "E"),
            forged(Birth, "DBIRTH", "E/D"),
            forged(Data, "NDATA", "E"),
            forged(Data, "DDATA", "E/D"),
            forged(Death, "NDEATH", "E"),
            forged(Death, "DDEATH", "E/D"),
        ],
        Reason::TypeMismatch => told(vec![
            bad_value("E", "NDATA", "a", || Value::Boolean(true)),
            bad_value("E/D", "DDATA", "t", || Value::Int(7)),
        ]),
        Reason::NoRule => {
            left_out(rule!("allow-metrics = [\"a\", \"c\", \"e\", \"t\", \"x\"]\n"), || {
                text("s", "v2001")
            })
        }
        Reason::Denied => left_out(rule!("deny-metrics = [\"s\"]\n"), || text("s", "v2001")),
        Reason::Datatype => left_out(rule!("datatypes = [\"Int32\"]\n"), || text("s", "v2001")),
        Reason::Redacted => left_out(rule!("redact-metrics = [\"s\"]\n"), || text("s", "v2001")),
        Reason::Opaque => {
            let bytes = || typed("raw", DataType::Bytes, Value::Bytes(vec![1, 2]));
            let setup = Setup {
                more: || vec![typed("raw", DataType::Bytes, Value::Bytes(vec![1]))],
                ..Setup::PLAIN
            };
            case(OneValue, "E", move |rig| rig.say("NDATA", "E", vec![bytes()])).with(setup).told()
        }
        Reason::Unshapeable => {
            left_out(rule!("[[rule.metric]]\nnames = [\"s\"]\nmin = 0\n"), || text("s", "v2001"))
        }
        Reason::TooOld => case(OneValue, "E", |rig| {
            let old = Some(rig.now.wall_ms - 3_600_000);
            rig.say("NDATA", "E", vec![Metric { timestamp: old, ..int("a", 2_001) }]);
        })
        .under(rule!("[rule.shape]\nmax-age-s = 60\n"))
        .told(),
        Reason::Future => case(OneValue, "E", |rig| {
            let future = Some(rig.now.wall_ms + 3_600_000);
            rig.say("NDATA", "E", vec![Metric { timestamp: future, ..int("a", 2_001) }]);
        })
        .under(rule!("[rule.shape]\nmax-future-s = 60\n"))
        .told(),
        Reason::OutOfRange => {
            left_out(rule!("[[rule.metric]]\nnames = [\"a\"]\nmax = 1500\n"), || int("a", 2_001))
        }
        Reason::TooLong => {
            left_out(rule!("[[rule.metric]]\nnames = [\"s\"]\nmax-length = 8\n"), || {
                text("s", "v2001 and more")
            })
        }
        Reason::NotAllowed => {
            left_out(rule!("[[rule.metric]]\nnames = [\"s\"]\nallowed = [\"v1002\"]\n"), || {
                text("s", "v2001")
            })
        }
        Reason::Deadband => {
            left_out(rule!("[[rule.metric]]\nnames = [\"a\"]\ndeadband = 10\n"), || int("a", 1_003))
        }
        Reason::Interval => newer_take_its_place(rule!(
            "[[rule.metric]]\nnames = [\"a\"]\nmin-interval-ms = 1000\n"
        )),
        Reason::Conflated => {
            newer_take_its_place(rule!("[rule.rate]\nmessages-per-s = 2\nburst-messages = 1\n"))
        }
        Reason::NameCollision => case(Birth, "Q", |rig| {
            rig.say("NBIRTH", "Q", vec![int("a", 9), bd_seq(0)]);
        })
        .under(rule!("[rename.edge-node]\n\"G/E9\" = \"Q\"\n"))
        .told(),
        Reason::Rate => too_often(rule!(
            "[rule.rate]\nmessages-per-s = 0.01\nburst-messages = 1\non-excess = \"drop\"\n"
        )),
        Reason::NodeRate => too_often(rule!(
            "[limits.node]\nmessages-per-s = 0.01\nburst-messages = 1\non-excess = \"drop\"\n"
        )),
        Reason::LinkRate => too_often(rule!(
            "[limits.link]\nmessages-per-s = 0.01\nburst-messages = 1\non-excess = \"drop\"\n"
        )),
        Reason::Amplification => amplification(),
        Reason::ControlMetric => {
            let reboot = || typed("Node Control/Reboot", DataType::Boolean, Value::Boolean(true));
            let setup = Setup {
                more: || {
                    vec![typed("Node Control/Reboot", DataType::Boolean, Value::Boolean(false))]
                },
                ..Setup::PLAIN
            };
            case(OneValue, "E", move |rig| rig.say("NDATA", "E", vec![reboot()])).with(setup).told()
        }
        Reason::DataBeforeBirth => told(vec![
            case(Data, "U", |rig| rig.say("NDATA", "U", vec![int("a", 9)])),
            case(Data, "E/D9", |rig| rig.say("DDATA", "E/D9", vec![int("a", 9)])),
            case(Death, "U", |rig| rig.say("NDEATH", "U", vec![bd_seq(0)])),
            case(Death, "E/D9", |rig| rig.say("DDEATH", "E/D9", Vec::new())),
        ]),
        Reason::UnknownMetric => case(OneValue, "E", |rig| {
            rig.say("NDATA", "E", vec![Metric { datatype: None, ..int("zz", 9) }]);
        })
        .told(),
        Reason::StaleDeath => told(vec![
            case(Death, "E", |rig| rig.say("NDEATH", "E", vec![bd_seq(0)])).behind(Rig::bear_anew),
            case(Death, "E/D", |rig| rig.say("DDEATH", "E/D", Vec::new()))
                .behind(|rig| rig.say("DDEATH", "E/D", Vec::new())),
        ]),
        Reason::Duplicate => told(vec![Case {
            now: &[("E", "a", 2_001)],
            ..case(Data, "E", |rig| {
                let payload = rig.payload("NDATA", "E", vec![int("a", 2_001)]);
                let first = delivery(&topic("NDATA", "E"), payload);
                let again = Delivery { dup: true, ..first.clone() };
                rig.deliver(first);
                rig.deliver(again);
            })
        }]),
        Reason::Late => late(),
        Reason::OverCapacity => {
            let few = |it: bool| Setup {
                ot: if it { |_| {} } else { |settings| settings.max_nodes = 2 },
                it: if it { |settings| settings.max_nodes = 2 } else { |_| {} },
                ..Setup::PLAIN
            };
            let few_devices =
                Setup { ot: |settings| settings.max_devices_per_node = 2, ..Setup::PLAIN };
            let born = |rig: &mut Rig| rig.say("NBIRTH", "E9", vec![int("a", 9), bd_seq(0)]);
            let device = |rig: &mut Rig| rig.say("DBIRTH", "E/D9", vec![int("a", 9)]);
            // Nodes that never said anything but their birth would give way to it.
            let heard = |rig: &mut Rig| {
                rig.say("NDATA", "E", vec![int("a", 2_001)]);
                rig.say("NDATA", "F", vec![int("x", 2_002)]);
                rig.pass(1_000);
            };
            told(vec![
                case(Birth, "E9", born).with(few(false)).behind(heard),
                case(Birth, "E9", born).with(few(true)),
                case(Birth, "E/D9", device).with(few_devices),
            ])
        }
        Reason::Recheck => {
            let copy = rule!("redact-metrics = [\"s\"]\n");
            let setup = Setup { copy: Some(copy), ..Setup::PLAIN };
            case(OneValue, "E", |rig| rig.say("NDATA", "E", vec![text("s", "v2001")]))
                .with(setup)
                .told()
        }
        Reason::NameTaken => case(Birth, "relay", |rig| {
            rig.say("NBIRTH", "relay", vec![int("a", 9), bd_seq(0)]);
        })
        .with(Setup { relay_node: Some("relay"), ..Setup::PLAIN })
        .told(),
    }
}
