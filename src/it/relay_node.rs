//! What the relay's own edge node says: the metrics of its birth, with units and descriptions, and
//! which of them have changed enough to be published.

use std::time::Duration;

use account::Reason;
use sparkplug::{DataType, Metric, Property, PropertySet, PropertyValue, Value};
use telemetry::event;
use telemetry::status::{DropStatus, EndsStatus, ItStatus, LINK_ALIVE, OtReport, Status};

use super::mirror::{Mirror, Now};

/// The relay's own edge node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    pub group: String,
    /// `None`: the relay's name, as the journal has it.
    pub edge_node: Option<String>,
    /// Values that have changed are published this often.
    pub every: Duration,
}

/// Keeps the own edge node up to date.
#[derive(Debug)]
pub(super) struct RelayNode {
    settings: HealthSettings,
    next: Duration,
    /// The name belongs to a node of the plant; people know of it.
    refused: bool,
}

/// A metric: name, unit, description, by how much it has to change, and where it comes from.
struct Measure {
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    /// A change of this much is published, at least.
    deadband: f64,
    value: fn(&View<'_>) -> Reading,
}

/// What measures look at.
struct View<'a> {
    status: &'a Status,
    it: &'a ItStatus,
    ot: Option<&'a OtReport>,
}

/// A value, or none of this type.
enum Reading {
    Count(Option<u64>),
    Signed(Option<i64>),
    Real(Option<f64>),
    Flag(Option<bool>),
    Text(Option<String>),
}

use Reading::{Count, Flag, Real, Signed, Text};

/// Bytes that are too few to be worth a message.
const MEBIBYTE: f64 = 1_048_576.0;

const MEASURES: &[Measure] = &[
    measure(
        "Health/Level",
        "",
        "0: ok, 1: somebody should look, 2: nothing crosses or something is lost",
        |view| Count(Some(view.status.health.level as u64)),
    ),
    measure("Health/Reasons", "", "Why somebody should look", |view| {
        Text(Some(view.status.health.reasons.join("; ")))
    }),
    measure("Relay/Name", "", "Name of the relay", |view| Text(Some(view.status.relay.clone()))),
    measure("Relay/IT Version", "", "Version of the IT half", |view| {
        Text(Some(view.status.version.clone()))
    }),
    measure("Relay/OT Version", "", "Version of the OT half", |view| {
        Text(view.ot.map(|ot| ot.version.clone()))
    }),
    measure("Policy/OT Digest", "", "SHA-256 of the policy in force on the OT half", |view| {
        Text(view.ot.map(|ot| ot.policy_digest.clone()))
    }),
    measure(
        "Policy/IT Digest",
        "",
        "SHA-256 of the IT half's copy of the policy, if it has one",
        |view| Text(view.status.policy.as_ref().map(|policy| policy.digest.clone())),
    ),
    measure("Link/Alive", "", "The OT half gives signs of life", |view| {
        Flag(Some(view.it.link == LINK_ALIVE))
    }),
    Measure {
        deadband: 0.5,
        ..measure("Link/Lag", "s", "Age of the journal frame read last, when it was read", |view| {
            Real(Some(seconds(view.it.lag_ms)))
        })
    },
    Measure {
        deadband: 2.0,
        ..measure("Link/Silence", "s", "Time since the last fresh frame of the journal", |view| {
            Real(Some(seconds(view.it.silent_ms)))
        })
    },
    measure("Link/Frames Lost", "frames", "Journal frames that were lost on the way", |view| {
        Count(Some(view.it.frames_lost))
    }),
    measure("Link/Last Loss", "", "The stretch of journal frames that was lost last", |view| {
        let loss = view.it.last_loss.as_ref();
        Text(loss.map(|loss| format!("{} to {}: {}", loss.first, loss.last, loss.cause)))
    }),
    Measure {
        deadband: 2.0,
        ..measure(
            "Link/Sender Silence",
            "s",
            "Two boxes: time since the last sign of life of the sending end, 0 while they come",
            |view| Real(ends(view).and_then(|ends| ends.silent_ms).map(seconds)),
        )
    },
    measure(
        "Link/Frames Missing",
        "frames",
        "Two boxes: frames that are missing and may still come by themselves",
        |view| Count(ends(view).map(|ends| ends.frames_missing)),
    ),
    measure(
        "Link/Frames Lost For Good",
        "frames",
        "Two boxes: frames that are missing and come no more, unless `sparkdiode resend` sends them again",
        |view| Count(ends(view).map(|ends| ends.frames_lost)),
    ),
    Measure {
        deadband: 100.0,
        ..measure(
            "Link/Frames Behind",
            "frames",
            "Two boxes: frames that the sending end has sent and that are above all that came",
            |view| Count(ends(view).map(|ends| ends.frames_behind)),
        )
    },
    measure(
        "Link/Paths Down",
        "",
        "Two boxes: names of paths that bring nothing while another one does",
        |view| {
            Text(ends(view).map(|ends| {
                let down = ends.paths.iter().filter(|path| path.down);
                down.map(|path| path.name.as_str()).collect::<Vec<_>>().join(", ")
            }))
        },
    ),
    Measure {
        deadband: 100.0,
        ..measure(
            "Link/Unconfirmed Frames",
            "frames",
            "Read, and not known to be held by the IT broker",
            |view| Count(Some(view.it.unconfirmed_frames)),
        )
    },
    measure("OT/Broker Connected", "", "The OT half is connected to its broker", |view| {
        Flag(view.ot.map(|ot| ot.broker_connected))
    }),
    measure("OT/Edge Nodes", "nodes", "Edge nodes that are alive and forwarded", |view| {
        Count(view.ot.map(|ot| ot.nodes))
    }),
    measure(
        "OT/Received",
        "messages",
        "Messages received since the start of the OT half",
        |view| Count(view.ot.map(|ot| ot.received)),
    ),
    measure("OT/Forwarded", "messages", "Messages forwarded into the journal", |view| {
        Count(view.ot.map(|ot| ot.forwarded))
    }),
    measure("OT/Waiting", "messages", "Messages neither forwarded nor dropped yet", |view| {
        Count(view.ot.map(|ot| ot.waiting))
    }),
    measure("OT/Dropped/Total", "messages", "Messages dropped as a whole", |view| {
        Count(view.ot.map(|ot| ot.dropped))
    }),
    measure(
        "OT/Sequence Gaps",
        "gaps",
        "Times that messages were lost before they reached the relay",
        |view| Count(view.ot.map(|ot| ot.gaps)),
    ),
    Measure {
        deadband: MEBIBYTE,
        ..measure("OT/Journal Size", "B", "Bytes of the journal's segments", |view| {
            Count(view.ot.map(|ot| ot.journal_bytes))
        })
    },
    measure("OT/Journal Limit", "B", "Bytes above which the oldest segments are deleted", |view| {
        Count(view.ot.map(|ot| ot.journal_limit_bytes))
    }),
    measure(
        "OT/Certificate Days Left",
        "d",
        "Days until the first of the OT half's certificates ends",
        |view| Signed(view.ot.and_then(|ot| ot.certificate_days_left)),
    ),
    measure("IT/Broker Sessions", "sessions", "MQTT sessions with the IT broker", |view| {
        Count(Some(view.status.broker.sessions))
    }),
    measure("IT/Edge Nodes Alive", "nodes", "Mirrored edge nodes that are alive", |view| {
        Count(Some(view.status.nodes.alive))
    }),
    measure("IT/Edge Nodes Known", "nodes", "Mirrored edge nodes", |view| {
        Count(Some(view.status.nodes.known))
    }),
    measure(
        "IT/Received",
        "messages",
        "Messages read from the journal since the start of the IT half",
        |view| Count(Some(view.status.account.received)),
    ),
    measure("IT/Forwarded", "messages", "Messages taken into the mirror", |view| {
        Count(Some(view.status.account.forwarded))
    }),
    measure("IT/Waiting", "messages", "Messages neither forwarded nor dropped yet", |view| {
        Count(Some(view.status.account.waiting))
    }),
    measure("IT/Dropped/Total", "messages", "Messages dropped as a whole", |view| {
        Count(Some(view.status.account.dropped))
    }),
    Measure {
        deadband: 1.0,
        ..measure("IT/Rate", "messages/s", "Messages read from the journal per second", |view| {
            Real(Some(view.status.account.rates.received_per_s))
        })
    },
    measure(
        "IT/Account Balances",
        "",
        "received = forwarded + dropped + waiting, in total, by edge node and by rule",
        |view| Flag(Some(view.status.account.balances)),
    ),
    Measure {
        deadband: MEBIBYTE,
        ..measure("IT/Queue", "B", "Bytes on their way to the IT broker", |view| {
            Count(Some(view.it.queue_bytes))
        })
    },
    measure("IT/Backfilled", "messages", "Messages sent as historical after an outage", |view| {
        Count(Some(view.it.backfilled))
    }),
    measure(
        "IT/Rebirths Answered",
        "requests",
        "Rebirth requests that the mirror answered",
        |view| Count(Some(view.it.rebirths_answered)),
    ),
    measure("IT/Commands Refused", "commands", "Commands of hosts that were refused", |view| {
        Count(Some(view.it.commands_refused))
    }),
    measure(
        "IT/Certificate Days Left",
        "d",
        "Days until the first of the IT half's certificates ends",
        |view| Signed(view.status.certificate.as_ref().map(|first| first.days_left)),
    ),
];

/// The link between two boxes, where there is one.
fn ends<'a>(view: &View<'a>) -> Option<&'a EndsStatus> {
    view.it.ends.as_ref()
}

const fn measure(
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    value: fn(&View<'_>) -> Reading,
) -> Measure {
    Measure { name, unit, description, deadband: 0.0, value }
}

impl RelayNode {
    pub(super) fn new(settings: HealthSettings, at: Duration) -> RelayNode {
        RelayNode { settings, next: at, refused: false }
    }

    /// Whether [`RelayNode::tick`] has something to do.
    pub(super) fn is_due(&self, now: Now) -> bool {
        self.next <= now.mono
    }

    /// Brings the node up as soon as its name is known, and publishes what has changed.
    pub(super) fn tick(&mut self, now: Now, mirror: &mut Mirror, status: &Status) {
        self.next = now.mono.saturating_add(self.settings.every);
        if mirror.has_relay_node() {
            let changed = readings(status)
                .filter(|(metric, deadband)| {
                    let name = metric.name.as_deref().unwrap_or_default();
                    mirror
                        .relay_node_value(name)
                        .is_none_or(|published| differs(published, metric, *deadband))
                })
                .map(|(metric, _)| Metric { properties: None, ..metric })
                .collect();
            mirror.update_relay_node(now, changed);
            return;
        }
        let name = self.settings.edge_node.as_deref().unwrap_or(&status.relay);
        if name.is_empty() || self.refused {
            // Not known yet: the head of every segment has it.
            self.next = now.mono;
            return;
        }
        let metrics = readings(status).map(|(metric, _)| metric).collect();
        if let Err(taken) = mirror.add_relay_node(now, &self.settings.group, name, metrics) {
            self.refused = true;
            event!(HealthNameTaken, node = taken.node);
        }
    }
}

/// All metrics as they are now, as in a birth, with their deadbands.
fn readings(status: &Status) -> impl Iterator<Item = (Metric, f64)> {
    let empty = ItStatus::default();
    let it = status.it.clone().unwrap_or(empty);
    let view = View { status, ot: it.ot.as_ref(), it: &it };
    let mut all: Vec<(Metric, f64)> = MEASURES
        .iter()
        .map(|measure| {
            let Measure { name, unit, description, deadband, value } = measure;
            (metric((*name).to_owned(), unit, description, value(&view)), *deadband)
        })
        .collect();
    for (half, drops) in
        [("OT", view.ot.map(|ot| &ot.drops)), ("IT", Some(&status.account.reasons))]
    {
        // Every reason, so that the birth needn't change when one occurs for the first time.
        for reason in Reason::ALL {
            let of_reason = |drops: &Vec<DropStatus>| {
                let known = drops.iter().find(|drops| drops.reason == reason.name());
                known.map_or(0, |drops| drops.messages)
            };
            let name = format!("{half}/Dropped/{reason}");
            all.push((
                metric(name, "messages", reason.meaning(), Count(drops.map(of_reason))),
                0.0,
            ));
        }
    }
    all.into_iter()
}

fn metric(name: String, unit: &str, description: &str, reading: Reading) -> Metric {
    let (datatype, value) = match reading {
        Count(count) => (DataType::UInt64, count.map(Value::Long)),
        // Two's complement, as Sparkplug 3.0 §6.4.16 has it.
        Signed(number) => {
            (DataType::Int64, number.map(|number| Value::Long(number.cast_unsigned())))
        }
        Real(number) => (DataType::Double, number.map(Value::Double)),
        Flag(flag) => (DataType::Boolean, flag.map(Value::Boolean)),
        Text(text) => (DataType::String, text.map(Value::String)),
    };
    let mut properties = PropertySet::default();
    for (key, text) in [("engUnit", unit), ("description", description)] {
        if !text.is_empty() {
            properties.keys.push(key.to_owned());
            properties.values.push(PropertyValue {
                r#type: Some(DataType::String.code()),
                is_null: None,
                value: Some(Property::String(text.to_owned())),
            });
        }
    }
    Metric {
        name: Some(name),
        datatype: Some(datatype.code()),
        is_null: value.is_none().then_some(true),
        value,
        properties: Some(Box::new(properties)),
        ..Metric::default()
    }
}

/// Whether a value has changed enough to be published. What is real also has to change by a twentieth.
fn differs(published: &Metric, now: &Metric, deadband: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "compared with a deadband")]
    match (&published.value, &now.value) {
        (Some(Value::Double(published)), Some(Value::Double(now))) => {
            (published - now).abs() > deadband.max(published.abs() / 20.0)
        }
        (Some(Value::Long(published)), Some(Value::Long(now))) => {
            published != now && published.abs_diff(*now) as f64 >= deadband
        }
        (published, now) => published != now,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a span of time for people")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use telemetry::status::PathEndStatus;

    use super::*;

    #[test]
    fn no_name_is_a_folder_as_well() {
        let names: Vec<String> =
            readings(&Status::default()).filter_map(|(metric, _)| metric.name).collect();
        let unique: BTreeSet<&String> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
        for name in &names {
            let folder = format!("{name}/");
            assert!(!names.iter().any(|other| other.starts_with(&folder)), "{name}");
        }
    }

    #[test]
    fn a_link_between_two_boxes_is_told_where_there_is_one() {
        let value = |status: &Status, wanted: &str| {
            let mut all = readings(status).map(|(metric, _)| metric);
            all.find(|metric| metric.name.as_deref() == Some(wanted)).unwrap().value
        };
        let names = [
            "Link/Sender Silence",
            "Link/Frames Missing",
            "Link/Frames Lost For Good",
            "Link/Frames Behind",
            "Link/Paths Down",
        ];
        let none = Status::default();
        assert!(names.iter().all(|name| value(&none, name).is_none()));
        let path = |name: &str, down| PathEndStatus { name: name.to_owned(), down };
        let ends = EndsStatus {
            silent_ms: Some(4_500),
            is_silent: true,
            frames_missing: 3,
            frames_lost: 7,
            frames_behind: 11,
            paths: vec![path("a", true), path("b", false), path("c", true)],
        };
        let it = ItStatus { ends: Some(ends), ..ItStatus::default() };
        let some = Status { it: Some(it), ..Status::default() };
        let values = names.map(|name| value(&some, name).unwrap());
        assert_eq!(
            values,
            [
                Value::Double(4.5),
                Value::Long(3),
                Value::Long(7),
                Value::Long(11),
                Value::String("a, c".to_owned())
            ]
        );
    }

    #[test]
    fn small_changes_are_not_published() {
        let real = |value| metric("x".to_owned(), "s", "", Real(Some(value)));
        assert!(!differs(&real(100.0), &real(104.0), 0.5));
        assert!(differs(&real(100.0), &real(106.0), 0.5));
        assert!(!differs(&real(0.1), &real(0.5), 0.5));
        let count = |value| metric("x".to_owned(), "B", "", Count(Some(value)));
        assert!(!differs(&count(5), &count(5), 0.0));
        assert!(differs(&count(5), &count(6), 0.0));
        assert!(!differs(&count(5), &count(6), MEBIBYTE));
        assert!(differs(&count(5), &metric("x".to_owned(), "B", "", Count(None)), MEBIBYTE));
    }
}
