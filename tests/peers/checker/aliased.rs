//! What the checker makes of aliases: nothing where births give them and data uses them, and a fault of
//! each kind is found.

use super::script::{Script, What, int};
use super::{Excuse, check};

/// What is broken, with its rule.
fn broken(script: &Script) -> Vec<String> {
    check(&script.records(), Excuse::default())
        .into_iter()
        .map(|finding| format!("{}: {}", finding.rule, finding.text))
        .collect()
}

/// The good recording, with an alias of its own on every metric of each birth but the session's, and
/// none in data by name.
fn by_alias() -> Script {
    let mut script = Script::good();
    let mut known: Vec<(String, String)> = Vec::new();
    for step in &mut script.0 {
        let What::Sent(sent) = &mut step.what else { continue };
        let levels: Vec<String> = sent.topic.split('/').map(str::to_owned).collect();
        let entity = levels.get(4).cloned().unwrap_or_default();
        let (is_birth, is_data) = (levels[2].ends_with("BIRTH"), levels[2].ends_with("DATA"));
        if levels[2] == "NBIRTH" {
            known.clear();
        }
        for metric in &mut sent.payload.metrics {
            let owner = (entity.clone(), metric.name().to_owned());
            if is_birth && owner.1 != "Node Control/Rebirth" {
                known.push(owner);
                metric.alias = Some(known.len() as u64);
            } else if is_data {
                let place = known.iter().rposition(|known| *known == owner).unwrap();
                (metric.name, metric.alias) = (None, Some(place as u64 + 1));
            }
        }
    }
    script
}

#[test]
fn a_good_recording_by_alias_has_no_findings() {
    assert_eq!(broken(&by_alias()), Vec::<String>::new());
}

#[test]
fn every_fault_of_aliases_is_found() {
    type Spoil = fn(&mut Script);
    let faults: [(&str, &str, Spoil); 8] = [
        ("operational-behavior-data-publish-nbirth", "alias 99 isn't in the birth", |script| {
            script.nth("NDATA", 0).payload.metrics[0].alias = Some(99);
        }),
        // One of the node in data of its device.
        ("operational-behavior-data-publish-dbirth", "alias 2 isn't in the birth", |script| {
            script.nth("DDATA", 0).payload.metrics[0].alias = Some(2);
        }),
        // One of the births before the last ones.
        ("operational-behavior-data-publish-dbirth", "alias 6 isn't in the birth", |script| {
            let birth = script.nth("DBIRTH", 0);
            birth.payload.metrics[0].alias = Some(40);
        }),
        ("payloads-alias-uniqueness", "of `DBIRTH temp` and `pump 1`", |script| {
            let metrics = &mut script.nth("DBIRTH", 0).payload.metrics;
            metrics[1].alias = metrics[0].alias;
        }),
        ("payloads-alias-uniqueness", "1 of `NBIRTH bdSeq` and `temp`", |script| {
            script.nth("DBIRTH", 0).payload.metrics[0].alias = Some(1);
        }),
        (
            "payloads-alias-data-cmd-requirement",
            "alias 2 of `count` with the name `table`",
            |script| script.nth("NDATA", 0).payload.metrics[0].name = Some("table".into()),
        ),
        ("payloads-alias-data-cmd-requirement", "count", |script| {
            let metric = &mut script.nth("NDATA", 0).payload.metrics[0];
            (metric.name, metric.alias) = (Some("count".into()), None);
        }),
        ("payloads-alias-birth-requirement", "alias 77 without name", |script| {
            let mut metric = int("", 0);
            (metric.name, metric.alias) = (None, Some(77));
            script.nth("NBIRTH", 0).payload.metrics.push(metric);
        }),
    ];
    for (rule, text, spoil) in faults {
        let mut script = by_alias();
        spoil(&mut script);
        let broken = broken(&script);
        let is_told = |one: &String| one.starts_with(&format!("{rule}: ")) && one.contains(text);
        assert!(broken.iter().any(is_told), "{rule}, {text}: {broken:#?}");
    }
}
