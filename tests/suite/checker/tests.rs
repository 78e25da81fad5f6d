//! Proof that the checker finds nothing in a good recording, and that each of its rules can
//! fail: one spoiled recording per rule at least.

use std::collections::BTreeSet;

use prost::Message;

use sparkdiode::sparkplug::{
    Cell, CellValue, DataSet, Metric, Parameter, ParameterValue, Payload, Property, PropertySet,
    PropertyValue, Row, Template, Value,
};

use super::rules::{Level, RULES};
use super::{Excuse, check, errors};
use crate::packet::{Connect, Packet, Publish, Will};
use crate::wire::{Event, Record, Side};

const START_MS: u64 = 1_700_000_000_000;
const STEP_MS: u64 = 10;

#[test]
fn a_good_recording_has_no_findings() {
    let findings = check(&Script::good().records(), Excuse::default());
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn every_rule_can_fail() {
    let mut proved = BTreeSet::new();
    for (rule, spoil) in spoiled() {
        let mut script = Script::good();
        spoil(&mut script);
        let findings = check(&script.records(), Excuse::default());
        assert!(findings.iter().any(|finding| finding.rule == rule), "{rule}: {findings:#?}");
        proved.insert(rule);
    }
    let all: BTreeSet<_> = RULES.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(all.len(), RULES.len(), "a rule stands twice in the table");
    assert_eq!(proved, all);
}

#[test]
fn warnings_are_not_errors() {
    let mut script = Script::good();
    script.nth("NDATA", 0).payload.metrics[0].datatype = Some(3);
    let findings = check(&script.records(), Excuse::default());
    assert_eq!(super::level(&findings[0].rule), Level::Warning);
    assert!(errors(&script.records(), Excuse::default()).is_empty());
}

#[test]
fn kills_excuse_a_skipped_bd_seq_but_not_a_repeated_one() {
    let mut script = Script::good();
    script.session(1, 2);
    let kills = Excuse { kills: true };
    assert!(!errors(&script.records(), Excuse::default()).is_empty());
    assert!(errors(&script.records(), kills).is_empty());
    let mut script = Script::good();
    script.session(1, 0);
    assert!(!errors(&script.records(), kills).is_empty());
}

type Spoil = Box<dyn Fn(&mut Script)>;

fn spoiled() -> Vec<(&'static str, Spoil)> {
    let mut all: Vec<(&'static str, Spoil)> = Vec::new();
    let mut add = |rule: &'static str, spoil: Spoil| all.push((rule, spoil));
    // A shorthand for spoiling one message, one payload or one metric.
    macro_rules! message {
        ($rule:literal, $verb:literal, $nth:literal, $spoil:expr) => {
            add($rule, Box::new(|script| $spoil(script.nth($verb, $nth))))
        };
    }
    macro_rules! metric {
        ($rule:literal, $verb:literal, $nth:literal, $name:literal, $spoil:expr) => {
            add($rule, Box::new(|script| $spoil(script.nth($verb, $nth).metric($name))))
        };
    }
    macro_rules! script {
        ($rule:literal, $spoil:expr) => {
            add($rule, Box::new($spoil))
        };
    }

    // Connect, subscribe, terminate.
    script!("relay-mqtt-311", |script: &mut Script| {
        script.insert("NDATA", 0, What::Event(Event::Garbage("level 5".into())));
    });
    script!("principles-persistence-clean-session-311", |script: &mut Script| {
        script.connect().clean_session = false;
    });
    script!("message-flow-edge-node-birth-publish-will-message", |script: &mut Script| {
        script.connect().will = None;
    });
    script!("message-flow-edge-node-birth-publish-will-message-topic", |script: &mut Script| {
        script.will().topic = "spBv1.0/G/NDATA/E".into();
    });
    script!("message-flow-edge-node-birth-publish-will-message-payload", |script: &mut Script| {
        let two = Payload { metrics: vec![bd_seq(0), bd_seq(0)], ..Payload::default() };
        script.will().payload = two.encode_to_vec();
    });
    script!("message-flow-edge-node-birth-publish-will-message-payload", |script: &mut Script| {
        script.will().payload = vec![0xff];
    });
    script!(
        "message-flow-edge-node-birth-publish-will-message-payload-bdSeq",
        |script: &mut Script| {
            let mut metric = bd_seq(0);
            metric.datatype = Some(8);
            let payload = Payload { metrics: vec![metric], ..Payload::default() };
            script.will().payload = payload.encode_to_vec();
        }
    );
    script!("topics-nbirth-bdseq-increment", |script: &mut Script| script.session(1, 2));
    script!("payloads-ndeath-seq", |script: &mut Script| {
        let payload = Payload { metrics: vec![bd_seq(0)], seq: Some(0), ..Payload::default() };
        script.will().payload = payload.encode_to_vec();
    });
    message!("payloads-ndeath-seq", "NDEATH", 0, |m: &mut Sent| m.payload.seq = Some(9));
    script!("payloads-ndeath-will-message-qos", |script: &mut Script| script.will().qos = 0);
    message!("payloads-ndeath-will-message-qos", "NDEATH", 0, |m: &mut Sent| m.qos = 0);
    script!("payloads-ndeath-will-message-retain", |s: &mut Script| s.will().retain = true);
    message!("payloads-ndeath-will-message-retain", "NDEATH", 0, |m: &mut Sent| m.retain = true);
    message!("message-flow-edge-node-birth-publish-connect", "NDATA", 0, |m: &mut Sent| {
        m.topic = "spBv1.0/G/NDATA/Other".into();
    });
    script!("message-flow-edge-node-ncmd-subscribe", |script: &mut Script| {
        script.replace("SUBACK", Packet::SubAck { id: 1, codes: vec![0, 0] });
    });
    script!("message-flow-edge-node-ncmd-subscribe", |script: &mut Script| {
        let filters = vec![("spBv1.0/G/NCMD/E".into(), 0)];
        script.replace("SUBSCRIBE", Packet::Subscribe { id: 1, filters });
    });
    script!("message-flow-edge-node-ncmd-subscribe", |script: &mut Script| {
        let (suback, birth) = (script.position("SUBACK", 0), script.position("NBIRTH", 0));
        script.0.swap(suback, birth);
    });
    script!("topic-structure-namespace-unique-edge-node-descriptor", |script: &mut Script| {
        // The second session opens while the first one is still there.
        script.0.retain(|step| !matches!(step.what, What::Event(Event::Closed)));
        script.last_connect().client_id = "another".into();
    });
    script!(
        "operational-behavior-edge-node-intentional-disconnect-ndeath",
        |script: &mut Script| script.remove("NDEATH", 0)
    );
    message!("payloads-ndeath-bdseq", "NDEATH", 0, |m: &mut Sent| {
        m.payload.metrics[0] = bd_seq(1);
    });
    message!("topics-ndeath-payload", "NDEATH", 0, |m: &mut Sent| {
        m.payload.metrics.push(bd_seq(0));
    });
    script!("relay-nothing-after-ndeath", |script: &mut Script| {
        let (death, data) = (script.position("NDEATH", 0), script.position("NDATA", 1));
        script.0.swap(death, data);
    });

    // Topics and identity.
    message!("topic-structure", "DDATA", 0, |m: &mut Sent| m.topic.push_str("/x"));
    message!("topic-structure-namespace-a", "NDATA", 0, |m: &mut Sent| {
        m.topic = "spAv1.0/G/NDATA/E".into();
    });
    message!(
        "topic-structure-namespace-device-id-associated-message-types",
        "DDATA",
        0,
        |m: &mut Sent| m.topic = "spBv1.0/G/DDATA/E".into()
    );
    message!(
        "topic-structure-namespace-device-id-non-associated-message-types",
        "NDATA",
        0,
        |m: &mut Sent| m.topic.push_str("/D")
    );
    message!("topic-structure-namespace-valid-group-id", "NDATA", 0, |m: &mut Sent| {
        m.topic = "spBv1.0//NDATA/E".into();
    });
    message!("topic-structure-namespace-valid-edge-node-id", "NDATA", 0, |m: &mut Sent| {
        m.topic.push('#');
    });
    message!("topic-structure-namespace-valid-device-id", "DDATA", 0, |m: &mut Sent| {
        m.topic.push('+');
    });
    script!("topic-structure-namespace-unique-device-id", |script: &mut Script| {
        script.remove("DDEATH", 0);
    });
    message!(
        "message-flow-device-birth-publish-dbirth-match-edge-node-topic",
        "DBIRTH",
        0,
        |m: &mut Sent| m.topic = "spBv1.0/Other/DBIRTH/E/D".into()
    );
    script!("case-sensitivity-sparkplug-ids", |script: &mut Script| {
        let mut second = script.nth("DBIRTH", 0).clone();
        second.topic = "spBv1.0/G/DBIRTH/E/d".into();
        script.insert("NDATA", 0, What::Sent(second));
    });
    message!("case-sensitivity-metric-names", "NBIRTH", 0, |m: &mut Sent| {
        m.payload.metrics.push(int("COUNT", 1));
    });
    message!("relay-no-commands", "NDATA", 0, |m: &mut Sent| {
        m.topic = "spBv1.0/G/NCMD/E".into();
    });
    message!("relay-no-commands", "NDATA", 0, |m: &mut Sent| m.topic = "spBv1.0/STATE/h/x".into());

    // QoS, retain, timestamps, seq.
    message!("topics-nbirth-mqtt", "NBIRTH", 0, |m: &mut Sent| m.retain = true);
    message!("topics-dbirth-mqtt", "DBIRTH", 0, |m: &mut Sent| m.qos = 1);
    message!("topics-ndata-mqtt", "NDATA", 0, |m: &mut Sent| m.qos = 1);
    message!("topics-ddata-mqtt", "DDATA", 0, |m: &mut Sent| m.retain = true);
    message!("topics-ddeath-mqtt", "DDEATH", 0, |m: &mut Sent| m.qos = 1);
    message!("payloads-nbirth-timestamp", "NBIRTH", 0, |m: &mut Sent| m.payload.timestamp = None);
    message!("payloads-dbirth-timestamp", "DBIRTH", 0, |m: &mut Sent| m.payload.timestamp = None);
    message!("payloads-ndata-timestamp", "NDATA", 0, |m: &mut Sent| m.payload.timestamp = None);
    message!("payloads-ddata-timestamp", "DDATA", 0, |m: &mut Sent| m.payload.timestamp = None);
    message!("payloads-ddeath-timestamp", "DDEATH", 0, |m: &mut Sent| m.payload.timestamp = None);
    message!("payloads-timestamp-in-UTC", "NDATA", 0, |m: &mut Sent| {
        m.payload.timestamp = Some(START_MS - 60_001);
    });
    message!("payloads-timestamp-in-UTC", "NDATA", 0, |m: &mut Sent| {
        m.payload.timestamp = Some(START_MS + 2_000);
    });
    message!("relay-birth-timestamp-increases", "NBIRTH", 1, |m: &mut Sent| {
        m.payload.timestamp = Some(START_MS);
    });
    metric!("payloads-name-birth-data-requirement", "DDATA", 0, "temp", |m: &mut Metric| {
        m.timestamp = None;
    });
    message!("payloads-nbirth-seq", "NBIRTH", 0, |m: &mut Sent| m.payload.seq = Some(1));
    message!("payloads-nbirth-seq", "NBIRTH", 0, |m: &mut Sent| m.payload.seq = None);
    message!("payloads-sequence-num-always-included", "DDEATH", 0, |m: &mut Sent| {
        m.payload.seq = None;
    });
    script!("payloads-sequence-num-incrementing", |script: &mut Script| script.remove("NDATA", 0));
    script!("payloads-dbirth-order", |script: &mut Script| script.remove("NBIRTH", 0));
    script!("payloads-ndata-order", |script: &mut Script| {
        let (birth, data) = (script.position("NBIRTH", 0), script.position("NDATA", 0));
        script.0.swap(birth, data);
    });
    script!("payloads-ddata-order", |script: &mut Script| script.remove("DBIRTH", 0));
    message!("operational-behavior-device-ddeath", "DDEATH", 0, |m: &mut Sent| {
        m.topic = "spBv1.0/G/DDEATH/E/Other".into();
    });

    // Births.
    message!("message-flow-edge-node-birth-publish-nbirth-payload", "NBIRTH", 0, |m: &mut Sent| {
        m.garbled = true;
    });
    message!("message-flow-device-birth-publish-dbirth-payload", "DBIRTH", 0, |m: &mut Sent| {
        m.garbled = true;
    });
    message!("topics-nbirth-bdseq-included", "NBIRTH", 0, |m: &mut Sent| m.drop_metric("bdSeq"));
    metric!("payloads-nbirth-bdseq", "NBIRTH", 0, "bdSeq", |m: &mut Metric| {
        m.datatype = Some(8);
    });
    metric!("topics-nbirth-bdseq-matching", "NBIRTH", 1, "bdSeq", |m: &mut Metric| {
        m.value = Some(Value::Long(1));
    });
    message!("topics-nbirth-rebirth-metric", "NBIRTH", 0, |m: &mut Sent| {
        m.drop_metric("Node Control/Rebirth");
    });
    metric!(
        "operational-behavior-data-commands-rebirth-datatype",
        "NBIRTH",
        0,
        "Node Control/Rebirth",
        |m: &mut Metric| m.datatype = Some(3)
    );
    metric!(
        "operational-behavior-data-commands-rebirth-value",
        "NBIRTH",
        0,
        "Node Control/Rebirth",
        |m: &mut Metric| m.value = Some(Value::Boolean(true))
    );
    metric!(
        "operational-behavior-data-commands-rebirth-name-aliases",
        "NBIRTH",
        0,
        "Node Control/Rebirth",
        |m: &mut Metric| m.alias = Some(1)
    );
    message!("relay-control-metrics", "DBIRTH", 0, |m: &mut Sent| {
        m.payload.metrics.push(int("Device Control/Reboot", 0));
    });
    metric!("topics-nbirth-metrics", "NBIRTH", 0, "count", |m: &mut Metric| m.name = None);
    metric!("topics-dbirth-metrics", "DBIRTH", 0, "temp", |m: &mut Metric| m.name = None);
    message!("relay-unique-metric-name", "DBIRTH", 0, |m: &mut Sent| {
        m.payload.metrics.push(int("temp", 0));
    });
    metric!("payloads-metric-datatype-req", "NBIRTH", 0, "count", |m: &mut Metric| {
        m.datatype = None;
    });
    metric!("payloads-metric-datatype-value", "NBIRTH", 0, "count", |m: &mut Metric| {
        m.datatype = Some(35);
    });
    metric!("payloads-metric-datatype-value", "NBIRTH", 0, "count", |m: &mut Metric| {
        m.datatype = Some(20);
    });
    metric!("payloads-metric-datatype-value-type", "NBIRTH", 0, "count", |m: &mut Metric| {
        m.value = Some(Value::Float(1.0));
    });
    metric!("payloads-metric-datatype-value-type", "NDATA", 0, "count", |m: &mut Metric| {
        m.value = Some(Value::Float(1.0));
    });
    metric!(
        "operational-behavior-data-publish-nbirth-values",
        "NBIRTH",
        0,
        "count",
        |m: &mut Metric| m.value = None
    );
    metric!(
        "operational-behavior-data-publish-dbirth-values",
        "DBIRTH",
        0,
        "temp",
        |m: &mut Metric| m.is_null = Some(true)
    );
    metric!("operational-behavior-data-publish-nbirth", "NDATA", 0, "count", |m: &mut Metric| {
        m.name = Some("unborn".into());
    });
    metric!("operational-behavior-data-publish-dbirth", "DDATA", 0, "temp", |m: &mut Metric| {
        m.name = Some("count".into());
    });
    message!("operational-behavior-data-publish-nbirth-order", "NDATA", 0, |m: &mut Sent| {
        let mut older = int("count", 99);
        older.timestamp = Some(START_MS - 1);
        m.payload.metrics.push(older);
    });
    message!("operational-behavior-data-publish-dbirth-order", "DDATA", 0, |m: &mut Sent| {
        let mut older = int("temp", 99);
        older.timestamp = Some(START_MS - 1);
        m.payload.metrics.push(older);
    });
    message!("payloads-alias-uniqueness", "DBIRTH", 0, |m: &mut Sent| {
        for name in ["twin", "other"] {
            let mut metric = int(name, 0);
            metric.alias = Some(7);
            m.payload.metrics.push(metric);
        }
    });
    message!("payloads-alias-birth-requirement", "NBIRTH", 0, |m: &mut Sent| {
        let mut metric = int("", 0);
        (metric.name, metric.alias) = (None, Some(7));
        m.payload.metrics.push(metric);
    });
    metric!("payloads-alias-data-cmd-requirement", "NBIRTH", 0, "count", |m: &mut Metric| {
        m.alias = Some(7);
    });
    metric!("payloads-name-requirement", "NDATA", 0, "count", |m: &mut Metric| m.name = None);

    // Data, rebirth.
    message!("topics-ndata-payload", "NDATA", 0, |m: &mut Sent| m.payload.metrics.clear());
    message!("topics-ndata-payload", "NDATA", 0, |m: &mut Sent| m.garbled = true);
    metric!("topics-ndata-payload", "NDATA", 0, "count", |m: &mut Metric| m.value = None);
    message!("topics-ddata-payload", "DDATA", 0, |m: &mut Sent| m.payload.metrics.clear());
    message!("topics-ddeath-payload", "DDEATH", 0, |m: &mut Sent| m.garbled = true);
    metric!("payloads-metric-datatype-not-req", "NDATA", 0, "count", |m: &mut Metric| {
        m.datatype = Some(3);
    });
    metric!("principles-rbe-recommended", "NDATA", 0, "count", |m: &mut Metric| {
        m.value = Some(Value::Int(1));
    });
    script!("operational-behavior-data-commands-rebirth-action-1", |script: &mut Script| {
        // Data a second after the request, and only then the birth.
        let command = script.position("NCMD", 0);
        script.0[command + 1].after_ms += 3_000;
        let mut late = script.nth("NDATA", 0).clone();
        late.payload.metrics[0].value = Some(Value::Int(50));
        script.0.insert(command + 2, step(0, Side::Client, What::Sent(late)));
    });
    script!("operational-behavior-data-commands-rebirth-action-1", |script: &mut Script| {
        let (birth, data) = (script.position("DBIRTH", 1), script.position("NDATA", 1));
        script.0.swap(birth, data);
    });
    script!("operational-behavior-data-commands-rebirth-action-2", |script: &mut Script| {
        let birth = script.position("NBIRTH", 1);
        script.0[birth].after_ms += 6_000;
    });

    // Complex values.
    metric!("payloads-propertyset-keys-array-size", "NBIRTH", 0, "count", |m: &mut Metric| {
        m.properties.as_mut().unwrap().keys.push("odd".into());
    });
    metric!("payloads-metric-propertyvalue-type-req", "NBIRTH", 0, "count", |m: &mut Metric| {
        m.properties.as_mut().unwrap().values[1].r#type = None;
    });
    metric!("payloads-metric-propertyvalue-type-value", "NBIRTH", 0, "count", |m: &mut Metric| {
        m.properties.as_mut().unwrap().values[1].r#type = Some(9);
    });
    metric!("payloads-propertyset-quality-value-type", "NBIRTH", 0, "count", |m: &mut Metric| {
        m.properties.as_mut().unwrap().values[0].r#type = Some(7);
    });
    metric!("payloads-propertyset-quality-value-value", "NBIRTH", 0, "count", |m: &mut Metric| {
        m.properties.as_mut().unwrap().values[0].value = Some(Property::Int(193));
    });
    metric!("payloads-dataset-column-size", "NBIRTH", 0, "table", |m: &mut Metric| {
        table(m).num_of_columns = None;
    });
    metric!("payloads-dataset-column-num-headers", "NBIRTH", 0, "table", |m: &mut Metric| {
        table(m).num_of_columns = Some(3);
    });
    metric!("payloads-dataset-types-num", "NBIRTH", 0, "table", |m: &mut Metric| {
        table(m).types.push(3);
    });
    metric!("payloads-dataset-types-value", "NBIRTH", 0, "table", |m: &mut Metric| {
        table(m).types[0] = 15;
    });
    metric!("payloads-template-dataset-value", "NBIRTH", 0, "table", |m: &mut Metric| {
        table(m).rows[0].elements[0].value = None;
    });
    message!("payloads-template-definition-nbirth-only", "DBIRTH", 0, |m: &mut Sent| {
        m.payload.metrics.push(definition("Local"));
    });
    metric!("payloads-template-definition-nbirth", "DBIRTH", 0, "pump 1", |m: &mut Metric| {
        template(m).template_ref = Some("Valve".into());
    });
    metric!("payloads-template-definition-ref", "NBIRTH", 0, "Pump", |m: &mut Metric| {
        template(m).template_ref = Some("Pump".into());
    });
    metric!("payloads-template-is-definition", "DBIRTH", 0, "pump 1", |m: &mut Metric| {
        template(m).is_definition = None;
    });
    metric!("payloads-template-instance-ref", "DBIRTH", 0, "pump 1", |m: &mut Metric| {
        template(m).template_ref = None;
    });
    metric!("payloads-template-instance-members", "DBIRTH", 0, "pump 1", |m: &mut Metric| {
        template(m).metrics.push(int("weight", 1));
    });
    metric!("payloads-template-instance-members-birth", "DBIRTH", 0, "pump 1", |m: &mut Metric| {
        template(m).metrics.pop();
    });
    metric!("payloads-template-instance-parameters", "DBIRTH", 0, "pump 1", |m: &mut Metric| {
        template(m).parameters[0].name = Some("colour".into());
    });
    metric!("payloads-template-parameter-name-required", "NBIRTH", 0, "Pump", |m: &mut Metric| {
        template(m).parameters[0].name = None;
    });
    metric!("payloads-template-parameter-value-type", "NBIRTH", 0, "Pump", |m: &mut Metric| {
        template(m).parameters[0].r#type = Some(17);
    });
    metric!("payloads-template-parameter-value", "NBIRTH", 0, "Pump", |m: &mut Metric| {
        template(m).parameters[0].value = Some(ParameterValue::Boolean(true));
    });
    all
}

/// A recording in a form that is easily spoiled.
struct Script(Vec<Step>);

struct Step {
    connection: usize,
    from: Side,
    after_ms: u64,
    what: What,
}

enum What {
    Event(Event),
    Sent(Sent),
}

#[derive(Clone)]
struct Sent {
    topic: String,
    payload: Payload,
    qos: u8,
    retain: bool,
    garbled: bool,
}

impl Sent {
    fn metric(&mut self, name: &str) -> &mut Metric {
        self.payload.metrics.iter_mut().find(|metric| metric.name() == name).unwrap()
    }

    fn drop_metric(&mut self, name: &str) {
        self.payload.metrics.retain(|metric| metric.name() != name);
    }
}

impl Script {
    /// Two sessions of one edge node with a device, a rebirth and the death of the device.
    fn good() -> Script {
        let mut script = Script(Vec::new());
        script.session(0, 0);
        script.session(1, 1);
        script
    }

    /// Replaces what there is from this session on.
    fn session(&mut self, connection: usize, bd_seq: u64) {
        self.0.retain(|step| step.connection < connection);
        let mut push = |from, what| self.0.push(step(connection, from, what));
        let packet = |packet| What::Event(Event::Packet(packet));
        let death = Payload { metrics: vec![self::bd_seq(bd_seq)], ..Payload::default() };
        let will = Will {
            topic: "spBv1.0/G/NDEATH/E".into(),
            payload: death.encode_to_vec(),
            qos: 1,
            retain: false,
        };
        push(Side::Client, What::Event(Event::Opened));
        push(
            Side::Client,
            packet(Packet::Connect(Connect {
                client_id: "relay-G-E".into(),
                clean_session: true,
                will: Some(will),
                ..Connect::default()
            })),
        );
        push(Side::Broker, packet(Packet::ConnAck { session_present: false, code: 0 }));
        let filters = vec![("spBv1.0/G/DCMD/E/+".into(), 1), ("spBv1.0/G/NCMD/E".into(), 1)];
        push(Side::Client, packet(Packet::Subscribe { id: 1, filters }));
        push(Side::Broker, packet(Packet::SubAck { id: 1, codes: vec![1, 1] }));

        let birth = node_birth(bd_seq);
        let mut historical = int("count", 5);
        historical.is_historical = Some(true);
        historical.timestamp = Some(START_MS - 500_000);
        let mut counts = vec![int("count", 2), historical];
        counts[0].datatype = None;
        counts[1].datatype = None;
        let mut temp = int("temp", 20);
        temp.datatype = None;
        let mut pump = instance(vec![int("speed", 9)]);
        pump.datatype = None;
        let mut again = int("count", 3);
        again.datatype = None;
        let mut seq = 0;
        let mut publish = |topic: &str, metrics: Vec<Metric>| {
            seq = if topic.contains("NBIRTH") { 0 } else { seq + 1 };
            let payload = Payload { metrics, seq: Some(seq), ..Payload::default() };
            let topic = topic.to_owned();
            What::Sent(Sent { topic, payload, qos: 0, retain: false, garbled: false })
        };
        push(Side::Client, publish("spBv1.0/G/NBIRTH/E", birth.clone()));
        push(Side::Client, publish("spBv1.0/G/DBIRTH/E/D", device_birth()));
        push(Side::Client, publish("spBv1.0/G/NDATA/E", counts));
        push(Side::Client, publish("spBv1.0/G/DDATA/E/D", vec![temp, pump]));
        let mut rebirth = int("Node Control/Rebirth", 0);
        (rebirth.datatype, rebirth.value) = (None, Some(Value::Boolean(true)));
        let payload = Payload { metrics: vec![rebirth], ..Payload::default() };
        let topic = "spBv1.0/G/NCMD/E".to_owned();
        let command = Sent { topic, payload, qos: 0, retain: false, garbled: false };
        push(Side::Broker, What::Sent(command));
        push(Side::Client, publish("spBv1.0/G/NBIRTH/E", birth));
        push(Side::Client, publish("spBv1.0/G/DBIRTH/E/D", device_birth()));
        push(Side::Client, publish("spBv1.0/G/NDATA/E", vec![again]));
        push(Side::Client, publish("spBv1.0/G/DDEATH/E/D", vec![]));
        push(Side::Client, publish("spBv1.0/G/DBIRTH/E/D", device_birth()));
        let topic = "spBv1.0/G/NDEATH/E".to_owned();
        let payload = death;
        let death = Sent { topic, payload, qos: 1, retain: false, garbled: false };
        push(Side::Client, What::Sent(death));
        push(Side::Client, packet(Packet::Disconnect));
        push(Side::Client, What::Event(Event::Closed));
        // Long enough after the birth for a request not to be coalesced with it.
        let command = self.position("NCMD", connection);
        self.0[command].after_ms = 3_000;
        // Payloads are stamped when they are sent.
        let mut at_ms = START_MS;
        for step in &mut self.0 {
            at_ms += step.after_ms;
            if let What::Sent(sent) = &mut step.what
                && !sent.topic.contains("NDEATH")
            {
                sent.payload.timestamp = Some(at_ms);
            }
        }
    }

    fn records(&self) -> Vec<Record> {
        let mut at_ms = START_MS;
        let mut record = |step: &Step| {
            at_ms += step.after_ms;
            let event = match &step.what {
                What::Event(event) => event.clone(),
                What::Sent(sent) => {
                    let mut payload = sent.payload.encode_to_vec();
                    if sent.garbled {
                        payload = vec![0xff; 3];
                    }
                    Event::Packet(Packet::Publish(Publish {
                        topic: sent.topic.clone(),
                        payload,
                        qos: sent.qos,
                        retain: sent.retain,
                        dup: false,
                        id: (sent.qos > 0).then_some(1),
                    }))
                }
            };
            Record { connection: step.connection, from: step.from, at_ms, event }
        };
        self.0.iter().map(&mut record).collect()
    }

    /// Where the `nth` message of this type, or packet of this name, is.
    fn position(&self, name: &str, nth: usize) -> usize {
        let is = |step: &&(usize, &Step)| match &step.1.what {
            What::Event(Event::Packet(packet)) => packet.name() == name,
            What::Sent(sent) => sent.topic.split('/').nth(2) == Some(name),
            What::Event(_) => false,
        };
        let steps: Vec<_> = self.0.iter().enumerate().collect();
        steps.iter().filter(is).nth(nth).unwrap().0
    }

    fn nth(&mut self, verb: &str, nth: usize) -> &mut Sent {
        let position = self.position(verb, nth);
        match &mut self.0[position].what {
            What::Sent(sent) => sent,
            What::Event(_) => panic!("`{verb}` isn't a message"),
        }
    }

    fn connect(&mut self) -> &mut Connect {
        let position = self.position("CONNECT", 0);
        self.connect_at(position)
    }

    fn last_connect(&mut self) -> &mut Connect {
        let position = self.position("CONNECT", 1);
        self.connect_at(position)
    }

    fn connect_at(&mut self, position: usize) -> &mut Connect {
        match &mut self.0[position].what {
            What::Event(Event::Packet(Packet::Connect(connect))) => connect,
            _ => panic!("not a CONNECT"),
        }
    }

    fn will(&mut self) -> &mut Will {
        self.connect().will.as_mut().unwrap()
    }

    fn remove(&mut self, name: &str, nth: usize) {
        let position = self.position(name, nth);
        self.0.remove(position);
    }

    fn replace(&mut self, name: &str, packet: Packet) {
        let position = self.position(name, 0);
        self.0[position].what = What::Event(Event::Packet(packet));
    }

    fn insert(&mut self, before: &str, nth: usize, what: What) {
        let position = self.position(before, nth);
        self.0.insert(position, step(0, Side::Client, what));
    }
}

fn step(connection: usize, from: Side, what: What) -> Step {
    Step { connection, from, after_ms: STEP_MS, what }
}

fn bd_seq(value: u64) -> Metric {
    Metric { datatype: Some(4), value: Some(Value::Long(value)), ..int("bdSeq", 0) }
}

fn int(name: &str, value: u32) -> Metric {
    Metric {
        name: Some(name.into()),
        timestamp: Some(START_MS),
        datatype: Some(3),
        value: Some(Value::Int(value)),
        ..Metric::default()
    }
}

fn node_birth(bd_seq: u64) -> Vec<Metric> {
    let mut rebirth = int("Node Control/Rebirth", 0);
    (rebirth.datatype, rebirth.value) = (Some(11), Some(Value::Boolean(false)));
    let mut count = int("count", 1);
    count.properties = Some(PropertySet {
        keys: vec!["Quality".into(), "unit".into()],
        values: vec![
            PropertyValue { r#type: Some(3), is_null: None, value: Some(Property::Int(192)) },
            PropertyValue {
                r#type: Some(12),
                is_null: None,
                value: Some(Property::String("pieces".into())),
            },
        ],
    });
    let cell = |value| Cell { value: Some(value) };
    let table = DataSet {
        num_of_columns: Some(2),
        columns: vec!["a".into(), "b".into()],
        types: vec![3, 12],
        rows: vec![Row {
            elements: vec![cell(CellValue::Int(1)), cell(CellValue::String("x".into()))],
        }],
    };
    let table =
        Metric { datatype: Some(16), value: Some(Value::DataSet(table)), ..int("table", 0) };
    let mut nothing = int("nothing", 0);
    (nothing.value, nothing.is_null) = (None, Some(true));
    vec![self::bd_seq(bd_seq), rebirth, count, table, nothing, definition("Pump")]
}

fn device_birth() -> Vec<Metric> {
    vec![int("temp", 19), instance(vec![int("speed", 1), int("power", 2)])]
}

fn definition(name: &str) -> Metric {
    let template = Template {
        metrics: vec![int("speed", 0), int("power", 0)],
        parameters: vec![parameter()],
        is_definition: Some(true),
        ..Template::default()
    };
    Metric { datatype: Some(19), value: Some(Value::Template(template)), ..int(name, 0) }
}

fn instance(members: Vec<Metric>) -> Metric {
    let template = Template {
        metrics: members,
        parameters: vec![parameter()],
        template_ref: Some("Pump".into()),
        is_definition: Some(false),
        ..Template::default()
    };
    Metric { datatype: Some(19), value: Some(Value::Template(template)), ..int("pump 1", 0) }
}

fn parameter() -> Parameter {
    let value = Some(ParameterValue::String("m3/h".into()));
    Parameter { name: Some("unit".into()), r#type: Some(12), value }
}

fn table(metric: &mut Metric) -> &mut DataSet {
    match &mut metric.value {
        Some(Value::DataSet(set)) => set,
        other => panic!("{other:?}"),
    }
}

fn template(metric: &mut Metric) -> &mut Template {
    match &mut metric.value {
        Some(Value::Template(template)) => template,
        other => panic!("{other:?}"),
    }
}
