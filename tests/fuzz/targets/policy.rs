//! Policies, as a person may write them. (`policy_text`: the crate is called `policy`.)

use std::collections::BTreeSet;

use diagnostic::SourceFile;
use policy::{Policy, Verdict};
use sparkplug::{DataType, Entity, EntityTopic};
use tools::lint::lint;

use crate::diagnostics;

/// 2023-11-14: when the rules with schedules are asked.
const NOW_MS: u64 = 1_700_000_000_000;
/// Names out of the text that are tried, of each kind.
const MAX_NAMES: usize = 5;
/// Denies everything.
const NOTHING: &str = "[[rule]]\nname = \"nothing\"\naction = \"deny\"\ngroup = \"*\"\n";

/// Reads any text as a policy.
///
/// - What is refused has an error, and every message names a place within the text.
/// - What a rule forwards, a subscription lets in, and the entity is in scope.
/// - With a rule that denies everything nothing crosses, whatever the others say.
/// - Reading twice gives the same, and so do two files of which one is empty.
pub fn policy_text(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let file = |path: &str, text: &str| SourceFile::new(path, text);
    let (mut policy, warnings) = match Policy::parse(&[file("a.toml", text)]) {
        Ok(parsed) => parsed,
        Err(problems) => {
            assert!(problems.has_errors());
            return diagnostics::check(&problems, &[text]);
        }
    };
    assert!(!warnings.has_errors());
    diagnostics::check(&warnings, &[text]);
    assert_eq!(policy.digest().len(), 64);
    let _ = policy.set_time(NOW_MS);
    assert!(policy.is_settled(NOW_MS));
    diagnostics::check(&lint(&policy, &[file("a.toml", text)], NOW_MS), &[text]);

    let (mut again, _) =
        Policy::parse(&[file("b.toml", ""), file("a.toml", text)]).expect("an empty file more");
    let _ = again.set_time(NOW_MS);
    let denied = Policy::parse(&[file("a.toml", text), file("b.toml", NOTHING)]);
    let mut denied = denied.ok().map(|(policy, _)| policy);
    if let Some(denied) = &mut denied {
        let _ = denied.set_time(NOW_MS);
    }
    let filters = policy.subscriptions();
    for filter in &filters {
        let kind = filter.split('/').nth(2).unwrap_or_default();
        assert!(filter.starts_with("spBv1.0/"), "{filter}");
        assert!(!matches!(kind, "NCMD" | "DCMD" | "STATE"), "{filter} lets in commands");
    }
    let names = Names::of(text);
    for group in some(&names.groups) {
        for edge_node in some(&names.edge_nodes) {
            let devices = some(&names.devices).map(|device| Some(device.as_str()));
            for device in devices.chain([None]) {
                let entity = Entity { group, edge_node, device };
                one(&policy, &again, denied.as_ref(), &filters, entity, &names.metrics);
            }
        }
    }
}

fn one(
    policy: &Policy,
    again: &Policy,
    denied: Option<&Policy>,
    filters: &[String],
    entity: Entity<'_>,
    metrics: &BTreeSet<String>,
) {
    let plan = policy.plan(entity);
    let types = [None, Some(DataType::Double), Some(DataType::String), Some(DataType::Template)];
    for name in some(metrics) {
        for datatype in types {
            let verdict = plan.judge(name, datatype);
            assert_eq!(again.judge(entity, name, datatype), verdict, "{entity} {name}");
            let Verdict::Forward { rule, .. } = verdict else { continue };
            let rule = policy.rule(rule).expect("the rule that it names");
            assert!(rule.acts() && rule.is_open(), "{entity} {name} by {}", rule.name());
            assert!(policy.node_in_scope(entity.group, entity.edge_node), "{entity}");
            let is_possible = |name: &str| !name.contains(['/', '+', '#', '\0']);
            let levels = [Some(entity.group), Some(entity.edge_node), entity.device];
            if levels.into_iter().flatten().all(is_possible) {
                let topic = EntityTopic::data(entity).to_string();
                assert!(
                    filters.iter().any(|filter| matches(filter, &topic)),
                    "nothing subscribes to {topic}: {filters:?}"
                );
            }
            if let Some(denied) = denied {
                assert!(
                    matches!(denied.judge(entity, name, datatype), Verdict::Drop { .. }),
                    "{entity} {name} crosses though everything is denied"
                );
                assert!(!denied.node_in_scope(entity.group, entity.edge_node), "{entity}");
            }
        }
    }
}

/// Names that the rules may mean, with letters for wildcards.
#[derive(Debug, Default)]
struct Names {
    groups: BTreeSet<String>,
    edge_nodes: BTreeSet<String>,
    devices: BTreeSet<String>,
    metrics: BTreeSet<String>,
}

impl Names {
    /// What stands in quotes behind the keys that name something.
    fn of(text: &str) -> Names {
        let mut names = Names::default();
        for line in text.lines() {
            let Some((key, values)) = line.split_once('=') else { continue };
            for word in values.split(['"', '\'']).skip(1).step_by(2) {
                let word = word.replace("**", "x/y").replace(['*', '?'], "x");
                match key.trim() {
                    "group" => names.groups.insert(word),
                    "edge-node" => names.edge_nodes.insert(word),
                    "device" => names.devices.insert(word),
                    "topic" => names.topic(&word),
                    _ => names.metrics.insert(word),
                };
            }
        }
        names.groups.insert("G".to_owned());
        names.edge_nodes.insert("E".to_owned());
        names.devices.insert("D".to_owned());
        names.metrics.insert("m".to_owned());
        names
    }

    fn topic(&mut self, topic: &str) -> bool {
        let levels: Vec<String> =
            topic.split('/').map(|level| level.replace(['+', '#'], "x")).collect();
        let sets = [&mut self.groups, &mut self.edge_nodes, &mut self.devices];
        for (set, at) in sets.into_iter().zip([1, 3, 4]) {
            set.extend(levels.get(at).cloned());
        }
        true
    }
}

/// A few from everywhere in the alphabet.
fn some(names: &BTreeSet<String>) -> impl Iterator<Item = &String> + Clone {
    let fits = |name: &&String| (1..=64).contains(&name.len());
    names.iter().filter(fits).step_by(names.len().div_ceil(MAX_NAMES).max(1))
}

/// MQTT 3.1.1 §4.7.
fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}
