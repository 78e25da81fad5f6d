//! Proof that the checker finds nothing in a good recording, and that each of its rules can
//! fail: one spoiled recording per rule at least.

use std::collections::BTreeSet;

use prost::Message;
use sparkplug::{Metric, ParameterValue, Payload, Property, Value};
use strict_host::{Level, RULES, level};

use super::script::{START_MS, Script, Sent, What, bd_seq, definition, int, step, table, template};
use super::{Excuse, check, errors};
use crate::broker::Broker;
use crate::packet::Packet;
use crate::pysparkplug::PysparkplugEdge;
use crate::waiting::wait_until;
use crate::wire::{Event, Proxy, Side};

#[test]
fn a_good_recording_has_no_findings() {
    let findings = check(&Script::good().records(), Excuse::default());
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn a_birth_may_be_compressed() {
    let mut script = Script::good();
    for (verb, nth) in [("NBIRTH", 0), ("DBIRTH", 0), ("NBIRTH", 1)] {
        let birth = script.nth(verb, nth);
        birth.compressed = birth.payload.seq;
    }
    let findings = check(&script.records(), Excuse::default());
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
    assert_eq!(level(&findings[0].rule), Some(Level::Warning));
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

#[test]
fn the_known_faults_of_a_real_library_are_found_and_no_others() {
    let Some(broker) = Broker::plain() else { return };
    let proxy = Proxy::start(broker.address);
    let Some(mut edge) = PysparkplugEdge::start(proxy.address, "G", "E") else { return };
    edge.data(3);
    edge.deregister("Valve");
    edge.register("Valve");
    edge.leave();
    wait_until("the connection is closed", || {
        proxy.count(|record| record.event == Event::Closed) > 0
    });
    let findings = errors(&proxy.records(), Excuse::default());
    let rules: BTreeSet<_> = findings.iter().map(|finding| finding.rule.as_str()).collect();
    // The will is sent at QoS 0, and it knows no rebirth.
    let always =
        BTreeSet::from(["payloads-ndeath-will-message-qos", "topics-nbirth-rebirth-metric"]);
    // It doesn't wait for the SUBACK, which may come in time nevertheless. Its NDEATH has the
    // bdSeq of the next session, but it may close the connection before that is sent.
    let races = BTreeSet::from(["message-flow-edge-node-ncmd-subscribe", "payloads-ndeath-bdseq"]);
    assert!(rules.is_superset(&always), "{findings:#?}");
    assert!(rules.is_subset(&always.union(&races).copied().collect()), "{findings:#?}");
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

    message!("relay-compressed-birth", "DBIRTH", 0, |m: &mut Sent| m.compressed = Some(77));
    message!("relay-compressed-birth", "NDATA", 0, |m: &mut Sent| m.compressed = m.payload.seq);

    // Data, rebirth.
    message!("topics-ndata-payload", "NDATA", 0, |m: &mut Sent| m.payload.metrics.clear());
    message!("topics-ndata-payload", "NDATA", 0, |m: &mut Sent| m.garbled = true);
    metric!("topics-ndata-payload", "NDATA", 0, "count", |m: &mut Metric| m.value = None);
    message!("topics-ddata-payload", "DDATA", 0, |m: &mut Sent| m.payload.metrics.clear());
    message!("topics-ddeath-payload", "DDEATH", 0, |m: &mut Sent| m.garbled = true);
    metric!("payloads-metric-datatype-not-req", "NDATA", 0, "count", |m: &mut Metric| {
        m.datatype = Some(3);
    });
    metric!("relay-datatype-of-birth", "NDATA", 0, "count", |m: &mut Metric| {
        m.datatype = Some(7);
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
