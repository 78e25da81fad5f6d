//! A reader of the OT half's journal that believes nothing, and finds nothing denied in it.

use journal_format::Body;
use ot::testing::Reader;
use prost::Message;
use sparkplug::{Metric, Payload, Template, Topic, Value};

/// What a reader knows.
#[derive(Debug, Default)]
pub struct Follower {
    reader: Reader,
    /// How many bodies the journal had before the last operation.
    pub bodies_before_last: usize,
}

impl Follower {
    /// Reads the next body.
    pub fn read(&mut self, body: &Body) {
        check_denied(body);
        self.reader.read(body);
    }

    /// Takes a keyframe for the state of its entity.
    pub fn believe(&mut self, body: &Body) {
        check_denied(body);
        if let Body::Keyframe(keyframe) = body {
            self.reader.believe(keyframe);
        }
    }
}

/// Nothing denied is in it.
fn check_denied(body: &Body) {
    let (topic, payload) = match body {
        Body::Relayed(relayed) => (&relayed.topic, &relayed.payload),
        Body::Keyframe(keyframe) => (&keyframe.topic, &keyframe.payload),
        Body::Heartbeat(_) | Body::Start(_) => return,
        Body::Data(_) => panic!("data that isn't told by names"),
    };
    let Ok(Topic::Entity(parsed)) = Topic::parse(topic) else { panic!("{topic}") };
    assert!(parsed.entity.device != Some("denied"), "{topic} is denied");
    for metric in Payload::decode(payload.as_slice()).expect("a payload").metrics {
        check_names(metric.name.as_deref().expect("a name"), &metric);
    }
}

/// Nothing denied, neither as a metric nor as a member of one.
fn check_names(name: &str, metric: &Metric) {
    fn members(name: &str, template: &Template) {
        for member in &template.metrics {
            let member_name = member.name.as_deref().expect("the name of a member");
            assert!(member_name != "denied", "{name}: its member is denied");
            if let Some(Value::Template(inner)) = &member.value {
                members(member_name, inner);
            }
        }
    }
    assert!(name.rsplit('/').next() != Some("denied"), "{name} is denied");
    if let Some(Value::Template(template)) = &metric.value {
        members(name, template);
    }
}
