//! A good recording in a form that is easily spoiled.

use prost::Message;
use sparkplug::{
    Cell, CellValue, DataSet, Metric, Parameter, ParameterValue, Payload, Property, PropertySet,
    PropertyValue, Row, Template, Value,
};

use crate::packet::{Connect, Packet, Publish, Will};
use crate::wire::{Event, Record, Side};

pub(super) const START_MS: u64 = 1_700_000_000_000;
const STEP_MS: u64 = 10;

/// The steps of a recording, in order.
pub(super) struct Script(pub(super) Vec<Step>);

pub(super) struct Step {
    pub(super) connection: usize,
    pub(super) from: Side,
    pub(super) after_ms: u64,
    pub(super) what: What,
}

pub(super) enum What {
    Event(Event),
    Sent(Sent),
}

#[derive(Clone)]
pub(super) struct Sent {
    pub(super) topic: String,
    pub(super) payload: Payload,
    pub(super) qos: u8,
    pub(super) retain: bool,
    /// Bytes that aren't protobuf are sent in place of the payload.
    pub(super) garbled: bool,
    /// It is compressed, in a wrapper with this `seq`.
    pub(super) compressed: Option<u64>,
}

impl Sent {
    pub(super) fn metric(&mut self, name: &str) -> &mut Metric {
        self.payload.metrics.iter_mut().find(|metric| metric.name() == name).unwrap()
    }

    pub(super) fn drop_metric(&mut self, name: &str) {
        self.payload.metrics.retain(|metric| metric.name() != name);
    }
}

impl Script {
    /// Two sessions of one edge node with a device, a rebirth and the death of the device.
    pub(super) fn good() -> Script {
        let mut script = Script(Vec::new());
        script.session(0, 0);
        script.session(1, 1);
        script
    }

    /// Replaces what there is from this session on.
    pub(super) fn session(&mut self, connection: usize, bd_seq: u64) {
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
            What::Sent(Sent {
                topic,
                payload,
                qos: 0,
                retain: false,
                garbled: false,
                compressed: None,
            })
        };
        push(Side::Client, publish("spBv1.0/G/NBIRTH/E", birth.clone()));
        push(Side::Client, publish("spBv1.0/G/DBIRTH/E/D", device_birth()));
        push(Side::Client, publish("spBv1.0/G/NDATA/E", counts));
        push(Side::Client, publish("spBv1.0/G/DDATA/E/D", vec![temp, pump]));
        let mut rebirth = int("Node Control/Rebirth", 0);
        (rebirth.datatype, rebirth.value) = (None, Some(Value::Boolean(true)));
        let payload = Payload { metrics: vec![rebirth], ..Payload::default() };
        let topic = "spBv1.0/G/NCMD/E".to_owned();
        let command =
            Sent { topic, payload, qos: 0, retain: false, garbled: false, compressed: None };
        push(Side::Broker, What::Sent(command));
        push(Side::Client, publish("spBv1.0/G/NBIRTH/E", birth));
        push(Side::Client, publish("spBv1.0/G/DBIRTH/E/D", device_birth()));
        push(Side::Client, publish("spBv1.0/G/NDATA/E", vec![again]));
        push(Side::Client, publish("spBv1.0/G/DDEATH/E/D", vec![]));
        push(Side::Client, publish("spBv1.0/G/DBIRTH/E/D", device_birth()));
        let topic = "spBv1.0/G/NDEATH/E".to_owned();
        let payload = death;
        let death =
            Sent { topic, payload, qos: 1, retain: false, garbled: false, compressed: None };
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

    pub(super) fn records(&self) -> Vec<Record> {
        let mut at_ms = START_MS;
        let mut record = |step: &Step| {
            at_ms += step.after_ms;
            let event = match &step.what {
                What::Event(event) => event.clone(),
                What::Sent(sent) => {
                    let mut payload = sent.payload.encode_to_vec();
                    if let Some(seq) = sent.compressed {
                        // Enough of it to be worth it.
                        let long = Metric { is_transient: Some(true), ..int(&"n".repeat(900), 1) };
                        let mut long = Payload { metrics: vec![long], ..Payload::default() };
                        long.metrics.splice(0..0, sent.payload.metrics.clone());
                        (long.timestamp, long.seq) = (sent.payload.timestamp, sent.payload.seq);
                        let stamp = sent.payload.timestamp.unwrap();
                        payload = sparkplug::compress(&long.encode_to_vec(), stamp, seq).unwrap();
                    }
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
    pub(super) fn position(&self, name: &str, nth: usize) -> usize {
        let is = |step: &&(usize, &Step)| match &step.1.what {
            What::Event(Event::Packet(packet)) => packet.name() == name,
            What::Sent(sent) => sent.topic.split('/').nth(2) == Some(name),
            What::Event(_) => false,
        };
        let steps: Vec<_> = self.0.iter().enumerate().collect();
        steps.iter().filter(is).nth(nth).unwrap().0
    }

    pub(super) fn nth(&mut self, verb: &str, nth: usize) -> &mut Sent {
        let position = self.position(verb, nth);
        match &mut self.0[position].what {
            What::Sent(sent) => sent,
            What::Event(_) => panic!("`{verb}` isn't a message"),
        }
    }

    pub(super) fn connect(&mut self) -> &mut Connect {
        let position = self.position("CONNECT", 0);
        self.connect_at(position)
    }

    pub(super) fn last_connect(&mut self) -> &mut Connect {
        let position = self.position("CONNECT", 1);
        self.connect_at(position)
    }

    pub(super) fn connect_at(&mut self, position: usize) -> &mut Connect {
        match &mut self.0[position].what {
            What::Event(Event::Packet(Packet::Connect(connect))) => connect,
            _ => panic!("not a CONNECT"),
        }
    }

    pub(super) fn will(&mut self) -> &mut Will {
        self.connect().will.as_mut().unwrap()
    }

    pub(super) fn remove(&mut self, name: &str, nth: usize) {
        let position = self.position(name, nth);
        self.0.remove(position);
    }

    pub(super) fn replace(&mut self, name: &str, packet: Packet) {
        let position = self.position(name, 0);
        self.0[position].what = What::Event(Event::Packet(packet));
    }

    pub(super) fn insert(&mut self, before: &str, nth: usize, what: What) {
        let position = self.position(before, nth);
        self.0.insert(position, step(0, Side::Client, what));
    }
}

pub(super) fn step(connection: usize, from: Side, what: What) -> Step {
    Step { connection, from, after_ms: STEP_MS, what }
}

pub(super) fn bd_seq(value: u64) -> Metric {
    Metric { datatype: Some(4), value: Some(Value::Long(value)), ..int("bdSeq", 0) }
}

pub(super) fn int(name: &str, value: u32) -> Metric {
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
    count.properties = Some(Box::new(PropertySet {
        keys: vec!["Quality".into(), "unit".into()],
        values: vec![
            PropertyValue { r#type: Some(3), is_null: None, value: Some(Property::Int(192)) },
            PropertyValue {
                r#type: Some(12),
                is_null: None,
                value: Some(Property::String("pieces".into())),
            },
        ],
    }));
    let cell = |value| Cell { value: Some(value) };
    let table = DataSet {
        num_of_columns: Some(2),
        columns: vec!["a".into(), "b".into()],
        types: vec![3, 12],
        rows: vec![Row {
            elements: vec![cell(CellValue::Int(1)), cell(CellValue::String("x".into()))],
        }],
    };
    let table = Metric {
        datatype: Some(16),
        value: Some(Value::DataSet(Box::new(table))),
        ..int("table", 0)
    };
    let mut nothing = int("nothing", 0);
    (nothing.value, nothing.is_null) = (None, Some(true));
    vec![self::bd_seq(bd_seq), rebirth, count, table, nothing, definition("Pump")]
}

fn device_birth() -> Vec<Metric> {
    vec![int("temp", 19), instance(vec![int("speed", 1), int("power", 2)])]
}

pub(super) fn definition(name: &str) -> Metric {
    let template = Template {
        metrics: vec![int("speed", 0), int("power", 0)],
        parameters: vec![parameter()],
        is_definition: Some(true),
        ..Template::default()
    };
    Metric { datatype: Some(19), value: Some(Value::Template(Box::new(template))), ..int(name, 0) }
}

fn instance(members: Vec<Metric>) -> Metric {
    let template = Template {
        metrics: members,
        parameters: vec![parameter()],
        template_ref: Some("Pump".into()),
        is_definition: Some(false),
        ..Template::default()
    };
    Metric {
        datatype: Some(19),
        value: Some(Value::Template(Box::new(template))),
        ..int("pump 1", 0)
    }
}

fn parameter() -> Parameter {
    let value = Some(ParameterValue::String("m3/h".into()));
    Parameter { name: Some("unit".into()), r#type: Some(12), value }
}

pub(super) fn table(metric: &mut Metric) -> &mut DataSet {
    match &mut metric.value {
        Some(Value::DataSet(set)) => set,
        other => panic!("{other:?}"),
    }
}

pub(super) fn template(metric: &mut Metric) -> &mut Template {
    match &mut metric.value {
        Some(Value::Template(template)) => template,
        other => panic!("{other:?}"),
    }
}
