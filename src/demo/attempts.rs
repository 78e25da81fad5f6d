//! Three things that are tried from IT, and what became of each: a write to a setpoint (DCMD), a
//! request for a rebirth (NCMD), and a command left at the broker for an edge node that is away
//! (retained NCMD).

use std::time::Duration;

use prost::Message;
use sparkplug::{DataType, Metric, Payload, Value};

use super::enterprise::{Attack, Enterprise};
use super::plant::{GROUP, MORTAL, SETPOINT, TARGET};

/// The edge node that is asked for a rebirth.
const REBORN: &str = "Line2";
/// An answer to a rebirth request is due within this time (Sparkplug 3.0 gives a host 5 s of
/// patience).
const REBIRTH_WITHIN: Duration = Duration::from_secs(5);

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Write,
    Rebirth,
    Retained,
}

/// The attempts, in the order of [`Kind`].
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) all: [Attempt; 3],
}

/// One attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) kind: Kind,
    pub(super) title: String,
    topic: String,
    pub(super) state: State,
}

/// How far an attempt is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    NotYet,
    /// Waiting for what comes of it.
    Sent {
        at: Duration,
    },
    /// The relay's IT half says that it refused it, for this reason.
    Refused {
        reason: String,
    },
    /// A new NBIRTH came.
    Answered {
        after: Duration,
    },
    /// Something came of it that must not.
    Failed(String),
}

impl Attempts {
    pub(super) fn new() -> Attempts {
        let (node, device) = TARGET;
        let attempt =
            |kind, title: String, topic| Attempt { kind, title, topic, state: State::NotYet };
        Attempts {
            all: [
                attempt(
                    Kind::Write,
                    format!("DCMD           {node}/{device}: {SETPOINT} = 9999"),
                    format!("spBv1.0/{GROUP}/DCMD/{node}/{device}"),
                ),
                attempt(
                    Kind::Rebirth,
                    format!("NCMD           {REBORN}: Node Control/Rebirth"),
                    format!("spBv1.0/{GROUP}/NCMD/{REBORN}"),
                ),
                attempt(
                    Kind::Retained,
                    format!("retained NCMD  {MORTAL}, while it is away: Reboot"),
                    format!("spBv1.0/{GROUP}/NCMD/{MORTAL}"),
                ),
            ],
        }
    }

    /// Tries one of them now.
    pub(super) fn send(&mut self, kind: Kind, now: Duration, wall_us: u64, it: &Enterprise) {
        let Some(attempt) = self.all.iter_mut().find(|attempt| attempt.kind == kind) else {
            return;
        };
        let (name, datatype, value) = match kind {
            Kind::Write => (SETPOINT, DataType::Float, Value::Float(9999.0)),
            Kind::Rebirth => ("Node Control/Rebirth", DataType::Boolean, Value::Boolean(true)),
            Kind::Retained => ("Node Control/Reboot", DataType::Boolean, Value::Boolean(true)),
        };
        let timestamp = wall_us.checked_div(1_000);
        let payload = Payload {
            timestamp,
            metrics: vec![Metric {
                name: Some(name.into()),
                timestamp,
                datatype: Some(datatype.code()),
                value: Some(value),
                ..Metric::default()
            }],
            ..Payload::default()
        };
        it.attack(Attack {
            topic: attempt.topic.clone(),
            payload: payload.encode_to_vec(),
            retain: kind == Kind::Retained,
        });
        attempt.state = State::Sent { at: now };
    }

    /// Takes the retained command away again, as an empty retained message does.
    pub(super) fn clear_retained(&self, it: &Enterprise) {
        for attempt in self.all.iter().filter(|attempt| attempt.kind == Kind::Retained) {
            it.attack(Attack { topic: attempt.topic.clone(), payload: Vec::new(), retain: true });
        }
    }

    /// Looks at what came of them: the log of the IT half, the host's view, and the commands
    /// that arrived in the plant.
    pub(super) fn look(&mut self, now: Duration, log: &[String], it: &Enterprise, arrived: u64) {
        for attempt in &mut self.all {
            let State::Sent { at } = attempt.state else { continue };
            let after = now.saturating_sub(at);
            if arrived > 0 {
                attempt.state = State::Failed("a command arrived in the plant".into());
                continue;
            }
            match attempt.kind {
                Kind::Rebirth => {
                    let host = it.host();
                    let reborn = host.nodes().get(REBORN).and_then(|node| node.reborn_at);
                    if let Some(reborn) = reborn.filter(|reborn| *reborn >= at) {
                        attempt.state = State::Answered { after: reborn.saturating_sub(at) };
                    } else if after > REBIRTH_WITHIN {
                        attempt.state = State::Failed("no new NBIRTH within 5 s".into());
                    }
                }
                Kind::Write | Kind::Retained => {
                    let topic = format!("topic={}", attempt.topic);
                    let refusal = log.iter().find(|line| {
                        line.contains("command refused")
                            && line.split_whitespace().any(|word| word == topic)
                    });
                    if let Some(line) = refusal {
                        attempt.state = State::Refused { reason: reason(line) };
                    }
                }
            }
        }
    }

    /// Whether it is still to be tried.
    pub(super) fn untried(&self, kind: Kind) -> bool {
        self.all.iter().any(|attempt| attempt.kind == kind && attempt.state == State::NotYet)
    }

    /// Whether one waits for what comes of it.
    pub(super) fn pending(&self) -> bool {
        self.all.iter().any(|attempt| matches!(attempt.state, State::Sent { .. }))
    }
}

impl Attempt {
    /// Whether it came out as it must; `None` if it wasn't tried.
    pub(super) fn passed(&self) -> Option<bool> {
        match (&self.state, self.kind) {
            (State::NotYet, _) => None,
            (State::Answered { .. }, Kind::Rebirth)
            | (State::Refused { .. }, Kind::Write | Kind::Retained) => Some(true),
            _ => Some(false),
        }
    }

    /// What became of it, in a few words.
    pub(super) fn outcome(&self) -> String {
        match &self.state {
            State::NotYet => "not yet tried".into(),
            State::Sent { .. } => "sent …".into(),
            State::Refused { reason } if self.kind == Kind::Retained => {
                format!("refused on its return: {reason}")
            }
            State::Refused { reason } => format!("refused: {reason}"),
            State::Answered { after } => {
                format!("answered by the mirror in {:.1} ms", after.as_secs_f64() * 1e3)
            }
            State::Failed(why) => format!("FAILED: {why}"),
        }
    }
}

/// The value of `reason="…"`, or of `reason=word`, at the end of a log line.
fn reason(line: &str) -> String {
    let (_, reason) = line.rsplit_once("reason=").unwrap_or_default();
    reason.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_read_from_a_log_line() {
        let line = "2026-11-22T13:27:23.123Z  WARN it: command refused topic=spBv1.0/a/NCMD/b \
                    metrics=x reason=\"commands never cross\"";
        assert_eq!(reason(line), "commands never cross");
    }
}
