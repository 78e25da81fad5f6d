//! What was heard of the other side: how its clock is beside ours, and who sends.

use std::collections::BTreeSet;

use doctor::Heard;
use sparkplug::{Caps, MessageType, Topic, decode};
use text::counted;

use super::finding::Finding;

/// More than that apart, and values look old, or from the future, to whoever reads them.
const ODD_MS: u64 = 5_000;
const BAD_MS: u64 = 60_000;
/// Messages whose time is looked at.
const MAX_STAMPS: usize = 1_000;
const MAX_NODES: usize = 1_000;

/// Times and nodes of what came.
#[derive(Debug, Default)]
pub(super) struct Ear {
    /// Publisher's time less ours, of data, in milliseconds.
    apart: Vec<i64>,
    /// Times of STATE that lie ahead of ours; a STATE that is kept may be as old as it likes.
    ahead: Vec<i64>,
    senders: BTreeSet<String>,
    messages: u64,
}

impl Ear {
    pub(super) fn hear(&mut self, heard: Heard<'_>, caps: &Caps, now_ms: u64) {
        let Some(topic) = heard.topic else { return };
        self.messages = self.messages.saturating_add(1);
        match Topic::parse(topic) {
            Ok(Topic::Entity(topic)) => {
                let data = [MessageType::NData, MessageType::DData].contains(&topic.message_type);
                if !data || heard.retain {
                    return;
                }
                if self.senders.len() < MAX_NODES {
                    let entity = topic.entity;
                    self.senders.insert(format!("{}/{}", entity.group, entity.edge_node));
                }
                let stamp = decode(heard.payload, caps).ok().and_then(|one| one.payload.timestamp);
                if let Some(stamp) = stamp.filter(|_| self.apart.len() < MAX_STAMPS) {
                    self.apart.push(difference(stamp, now_ms));
                }
            }
            _ => {
                let state: Option<serde_json::Value> = serde_json::from_slice(heard.payload).ok();
                let stamp = state.as_ref().and_then(|state| state.get("timestamp")?.as_u64());
                if let Some(stamp) = stamp.filter(|_| self.ahead.len() < MAX_STAMPS) {
                    self.ahead.push(difference(stamp, now_ms).max(0));
                }
            }
        }
    }

    /// What that says. `what` is who sends, such as `edge nodes`.
    pub(super) fn findings(mut self) -> Vec<Finding> {
        self.apart.sort_unstable();
        let middle = self.apart.get(self.apart.len() / 2).copied();
        let ahead = self.ahead.iter().max().copied();
        let mut findings = Vec::new();
        if !self.senders.is_empty() {
            let nodes = counted(self.senders.len(), "edge node");
            findings.push(Finding::good("traffic", format!("{nodes} sent data meanwhile")));
        }
        findings.push(match (middle, ahead) {
            (Some(apart), _) => judge(apart, self.apart.len()),
            (None, Some(ahead)) if ahead.unsigned_abs() >= ODD_MS => judge(ahead, 1),
            _ => Finding::odd(
                "clock",
                "nothing came by which it could be compared with the broker's side",
                "look at it yourself: timedatectl, chronyc tracking",
            ),
        });
        findings
    }
}

fn judge(apart_ms: i64, messages: usize) -> Finding {
    let distance = apart_ms.unsigned_abs();
    let span = text::span(std::time::Duration::from_millis(distance));
    let side = if apart_ms < 0 { "behind" } else { "ahead of" };
    let of = counted(messages, "message");
    let words = format!("the times of {of} from there are {span} {side} this machine's clock");
    let remedy =
        "timedatectl set-ntp true (or chrony) here, and look at the clock of the edge nodes";
    match distance {
        0..ODD_MS => Finding::good("clock", words),
        ODD_MS..BAD_MS => Finding::odd("clock", words, remedy),
        _ => Finding::bad("clock", words, remedy),
    }
}

/// How far the first is after the second; beyond what any clock shows is the largest number.
fn difference(left: u64, right: u64) -> i64 {
    let distance = i64::try_from(left.abs_diff(right)).unwrap_or(i64::MAX);
    if left < right { distance.saturating_neg() } else { distance }
}

#[cfg(test)]
mod tests {
    use sparkplug::Payload;

    use super::super::Verdict;
    use super::*;

    const NOW: u64 = 1_795_354_043_000;

    fn data(timestamp: u64) -> Vec<u8> {
        use prost::Message as _;
        Payload { timestamp: Some(timestamp), seq: Some(1), ..Payload::default() }.encode_to_vec()
    }

    fn judged(messages: &[(&str, Vec<u8>, bool)]) -> Finding {
        let mut ear = Ear::default();
        for (topic, payload, retain) in messages {
            let heard = Heard { topic: Some(topic), payload, retain: *retain };
            ear.hear(heard, &Caps::default(), NOW);
        }
        ear.findings().pop().unwrap()
    }

    #[test]
    fn the_middle_of_what_came_says_how_far_the_clocks_are_apart() {
        let topic = "spBv1.0/G/NDATA/N";
        let of = |stamps: &[u64]| {
            let messages: Vec<_> =
                stamps.iter().map(|stamp| (topic, data(*stamp), false)).collect();
            judged(&messages)
        };
        assert_eq!(of(&[NOW - 200, NOW, NOW + 3_600_000]).verdict, Verdict::Good);
        let late = of(&[NOW - 3_600_000]);
        assert_eq!(late.verdict, Verdict::Bad);
        assert!(late.words.contains("1 message from there are 1 h 0 min behind"), "{late:?}");
        assert_eq!(of(&[NOW + 7_000]).verdict, Verdict::Odd);
        // What the broker kept says nothing, nor does what nobody can read.
        assert_eq!(judged(&[(topic, data(0), true)]).verdict, Verdict::Odd);
        assert_eq!(judged(&[(topic, vec![0xff; 9], false)]).verdict, Verdict::Odd);
        assert_eq!(judged(&[]).verdict, Verdict::Odd);
    }

    #[test]
    fn a_state_from_the_future_is_told_and_an_old_one_is_not() {
        let state = |stamp: u64| {
            let text = format!("{{\"online\":true,\"timestamp\":{stamp}}}");
            judged(&[("spBv1.0/STATE/scada", text.into_bytes(), true)])
        };
        assert_eq!(state(NOW + 3_600_000).verdict, Verdict::Bad);
        assert_eq!(state(NOW - 3_600_000).verdict, Verdict::Odd);
        assert_eq!(difference(0, u64::MAX), -i64::MAX);
    }
}
