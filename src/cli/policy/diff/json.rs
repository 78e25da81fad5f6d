//! What `policy diff --json` prints.

use std::collections::BTreeMap;

use policy::{Contrast, Policy, Shows};
use serde_json::{Value as Json, json};
use sparkplug::DataType;
use tools::compare::{Comparison, Difference, Outcome, Room, Types, Witness};

use super::changed::Changed;
use super::view::View;
use crate::cli::policy::json as machine;

impl View<'_> {
    pub(super) fn json(
        &self,
        comparison: &Comparison,
        recorded: Option<&(u64, Vec<Changed>)>,
        differs: bool,
    ) -> Json {
        let list = |differences: &[Difference]| -> Vec<Json> {
            let one = |difference: &Difference| {
                json!({
                    "before": self.outcome_json(self.before, difference.before),
                    "after": self.outcome_json(self.after, difference.after),
                    "contrasts": difference.contrasts.iter().map(contrast_json).collect::<Vec<_>>(),
                    "times": difference.times,
                    "examples": difference.witnesses.iter().map(witness_json).collect::<Vec<_>>(),
                })
            };
            differences.iter().map(one).collect()
        };
        let births = comparison
            .births
            .iter()
            .map(|(newly, entity)| json!({ "entity": entity, "crosses": newly }));
        let members = comparison.members.iter().map(
            |member| json!({ "newly": member.newly, "rule": member.rule, "path": member.path }),
        );
        let whole = comparison.whole.iter().map(|whole| {
            json!({
                "before": whole.before,
                "after": whole.after,
                "shows": shows_json(whole.shows),
            })
        });
        // One that stands for all is no news.
        let times = comparison.times.get(1).and(Some(&comparison.times));
        let times = times
            .into_iter()
            .flatten()
            .map(|time| json!({ "from_ms": time.from_ms, "until_ms": time.until_ms }));
        let undecided: BTreeMap<&str, &str> =
            comparison.undecided.iter().map(|(rule, why)| (rule.as_str(), *why)).collect();
        let recorded = recorded.map(|(messages, changes)| {
            let changes = changes.iter().map(|changed| {
                json!({
                    "entity": changed.entity,
                    "metric": changed.metric,
                    "datatype": changed.datatype.map(DataType::name),
                    "sent": changed.sent,
                    "crossed_before": changed.crossed.0,
                    "crossed_after": changed.crossed.1,
                    "before": changed.why.0,
                    "after": changed.why.1,
                })
            });
            json!({ "messages": messages, "changed": changes.collect::<Vec<_>>() })
        });
        json!({
            "differs": differs,
            "proved": comparison.undecided.is_empty(),
            "shows_no_more": comparison.shows_no_more(),
            "newly_crosses": list(&comparison.newly),
            "no_longer_crosses": list(&comparison.no_longer),
            "crosses_in_another_manner": list(&comparison.otherwise),
            "births": births.collect::<Vec<_>>(),
            "members": members.collect::<Vec<_>>(),
            "for_all_rules": whole.collect::<Vec<_>>(),
            "observing_rules": comparison.observing,
            "leaves_room": comparison.room.iter().map(room_json).collect::<Vec<_>>(),
            "times": times.collect::<Vec<_>>(),
            "undecided": undecided,
            "recorded": recorded,
        })
    }

    fn outcome_json(&self, policy: &Policy, outcome: Outcome) -> Json {
        match outcome {
            Outcome::Forward(rule) => {
                json!({ "outcome": "forward", "rule": machine::name(policy, Some(rule)) })
            }
            Outcome::Redact { rule, forward } => json!({
                "outcome": "redact",
                "rule": machine::name(policy, Some(rule)),
                "forwarded_by": machine::name(policy, Some(forward)),
            }),
            Outcome::Drop(reason, rule) => json!({
                "outcome": "drop",
                "reason": reason.name(),
                "rule": machine::name(policy, rule),
            }),
        }
    }
}

fn witness_json(witness: &Witness) -> Json {
    let datatypes: Option<Vec<&str>> = match &witness.datatypes {
        Types::Every | Types::EveryPlain => None,
        Types::Unknown => Some(Vec::new()),
        Types::Some(types) => Some(types.iter().map(|datatype| datatype.name()).collect()),
    };
    json!({
        "group": witness.group,
        "edge_node": witness.edge_node,
        "device": witness.device,
        "metric": witness.metric,
        "datatypes": datatypes,
    })
}

fn contrast_json(contrast: &Contrast) -> Json {
    json!({
        "shows": shows_json(contrast.shows),
        "now": contrast.now,
        "before": contrast.before,
    })
}

fn shows_json(shows: Shows) -> &'static str {
    match shows {
        Shows::More => "more",
        Shows::Less => "less",
        Shows::Otherwise => "otherwise",
    }
}

fn room_json(room: &Room) -> Json {
    match room {
        Room::Limit(rule) => json!({ "of": "limit", "rule": rule }),
        Room::Limits => json!({ "of": "limits" }),
        Room::Names => json!({ "of": "names" }),
        Room::Members => json!({ "of": "members" }),
        Room::Held(rule) => json!({ "of": "held", "rule": rule }),
    }
}
