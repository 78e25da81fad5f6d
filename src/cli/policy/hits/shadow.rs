//! The policy in shadow beside the one in force: what would be otherwise, by rule, and its own hits.

use std::fmt::Write;

use telemetry::status::{DecisionStatus, DifferenceStatus, ReloadRefused, ShadowStatus};
use text::{counted, counted_grouped, format_utc_ms, grouped};

use super::{ago, rules};

/// Titles of the kinds of difference, in their order.
const KINDS: [(&str, &str); 4] = [
    ("newly_crosses", "would newly cross"),
    ("no_longer_crosses", "would no longer cross"),
    ("otherwise", "would cross otherwise"),
    ("unknown", "may cross otherwise: not compared"),
];

/// What the status says of it, for people. The texts are clean.
pub(super) fn view(shadow: &ShadowStatus, in_force: &str, unused: bool, written_ms: u64) -> String {
    let mut text = String::new();
    let mut line = |words: &str| {
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "{}", words.trim_end());
    };
    line("");
    if let Some(ReloadRefused { at_ms, error }) = &shadow.refused {
        line(&format!(
            "POLICY IN SHADOW REFUSED at {}: nothing is compared, and the policy in force isn't concerned",
            format_utc_ms(*at_ms)
        ));
        error.lines().for_each(|problem| line(&format!("  {problem}")));
        return text;
    }
    let since = format_utc_ms(shadow.since_ms);
    let digest = shadow.policy.as_ref().map_or("", |policy| &policy.digest);
    let short: String = digest.chars().take(16).collect();
    line(&format!("IN SHADOW: policy {short}…, compared with the one in force since {since}"));
    if digest == in_force {
        line("  it is the policy in force: the same files");
    }
    let all = [
        (shadow.same, "decided alike"),
        (shadow.newly_crosses, "would newly cross"),
        (shadow.no_longer_crosses, "would no longer cross"),
        (shadow.otherwise, "would cross otherwise"),
        (shadow.unknown, "not compared"),
    ];
    let all: Vec<String> = all
        .iter()
        .filter(|(metrics, words)| *metrics > 0 || *words == "decided alike")
        .map(|(metrics, words)| format!("{} {words}", grouped(*metrics)))
        .collect();
    let compared = shadow.compared();
    let metrics = counted_grouped(compared, "metric");
    line(&format!("  {metrics} of births and data: {}", all.join(", ")));
    for (kind, title) in KINDS {
        let mut found = shadow.differences.iter().filter(|one| one.difference == kind).peekable();
        if found.peek().is_none() {
            continue;
        }
        line("");
        line(title);
        for one in found {
            difference(one, written_ms, &mut line);
        }
    }
    if shadow.more > 0 {
        line(&format!("and {} more", counted(shadow.more, "difference")));
    }
    let is_alike = compared == shadow.same && compared > 0;
    if is_alike {
        line("");
        line(&format!("no metric since {since} would have been decided otherwise"));
    }
    if shadow.limits_differ {
        line("the limits of edge nodes, link or births differ: what they hold back isn't compared");
    }
    if !shadow.unseen.is_empty() {
        line("not seen, as the half isn't subscribed to it:");
        shadow.unseen.iter().for_each(|filter| line(&format!("  {filter}")));
    }
    line("");
    line("what its rules would have decided");
    text.push_str(&rules(&shadow.rules, unused, written_ms));
    text
}

fn difference(one: &DifferenceStatus, written_ms: u64, line: &mut impl FnMut(&str)) {
    let DifferenceStatus { shadow, in_force, manner, example, metrics, first_ms, last_ms, .. } =
        one;
    line(&format!("{:>13}  {}", grouped(*metrics), decision(shadow)));
    line(&format!("{:>13}  in force {}", "", decision(in_force)));
    for words in manner {
        line(&format!("{:>13}  {words}", ""));
    }
    if !example.is_empty() {
        line(&format!("{:>13}  such as {example}", ""));
    }
    line(&format!(
        "{:>13}  first {}, last {}, {} ago",
        "",
        format_utc_ms(*first_ms),
        format_utc_ms(*last_ms),
        ago(written_ms.saturating_sub(*last_ms))
    ));
}

/// ``forwarded by `a` ``, ``dropped by `b` (denied)``, `dropped (no_rule)`.
fn decision(decision: &DecisionStatus) -> String {
    let DecisionStatus { crosses, reason, rule } = decision;
    let by = rule.as_ref().map_or(String::new(), |rule| format!(" by `{rule}`"));
    let reason = reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
    match crosses.as_str() {
        "values" => format!("forwarded{by}"),
        "name" => format!("in births without its value{by}"),
        _ => format!("dropped{by}{reason}"),
    }
}

#[cfg(test)]
mod tests {
    use telemetry::status::{PolicyStatus, RuleStatus};

    use super::*;

    fn forwarded(rule: &str) -> DecisionStatus {
        DecisionStatus { crosses: "values".into(), reason: None, rule: Some(rule.into()) }
    }

    fn dropped(reason: &str, rule: Option<&str>) -> DecisionStatus {
        DecisionStatus {
            crosses: "nothing".into(),
            reason: Some(reason.into()),
            rule: rule.map(str::to_owned),
        }
    }

    #[test]
    fn what_would_be_otherwise_is_told_by_rule_with_first_and_last() {
        let one = DifferenceStatus {
            difference: "newly_crosses".into(),
            shadow: forwarded("line5"),
            in_force: dropped("no_rule", None),
            example: "Plant1/Line5  Temperature".into(),
            metrics: 1_234,
            first_ms: 86_400_000,
            last_ms: 86_460_000,
            ..DifferenceStatus::default()
        };
        let other = DifferenceStatus {
            difference: "otherwise".into(),
            shadow: forwarded("b"),
            in_force: forwarded("a"),
            manner: vec!["shows less: numbers up to 5".into()],
            metrics: 1,
            ..one.clone()
        };
        let gone = DifferenceStatus {
            difference: "no_longer_crosses".into(),
            shadow: dropped("denied", Some("no-recipes")),
            in_force: forwarded("a"),
            metrics: 2,
            ..one.clone()
        };
        let shadow = ShadowStatus {
            policy: Some(PolicyStatus { digest: "b".repeat(64), rules: 1 }),
            newly_crosses: 1_234,
            no_longer_crosses: 2,
            otherwise: 1,
            differences: vec![one, gone, other],
            rules: vec![RuleStatus { rule: "line5".into(), metrics: 1_234, ..Default::default() }],
            limits_differ: true,
            unseen: vec!["spBv1.0/H/NDATA/+".into()],
            ..ShadowStatus::default()
        };
        let text = view(&shadow, "other", false, 86_463_000);
        for wanted in [
            "  1,237 metrics of births and data: 0 decided alike, 1,234 would newly cross, 2 would no \
             longer cross, 1 would cross otherwise\n",
            "\nwould newly cross\n        1,234  forwarded by `line5`\n               in force dropped (no_rule)\n",
            "such as Plant1/Line5  Temperature\n",
            "last 1970-01-02T00:01:00.000Z, 3.0 s ago\n",
            "            2  dropped by `no-recipes` (denied)\n               in force forwarded by `a`\n",
            "shows less: numbers up to 5\n",
            "isn't compared",
            "  spBv1.0/H/NDATA/+\n",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        assert!(!text.contains("would have been decided otherwise"), "{text}");
        let alike = ShadowStatus { same: 3, ..ShadowStatus::default() };
        let text = view(&alike, "", false, 0);
        assert!(text.contains(
            "no metric since 1970-01-01T00:00:00.000Z would have been decided otherwise"
        ));
        assert!(text.contains("the same files"), "{text}");
        let nothing = view(&ShadowStatus::default(), "x", false, 0);
        assert!(!nothing.contains("would have been decided otherwise"), "nothing came: {nothing}");
    }

    #[test]
    fn a_refused_one_is_told_with_what_is_wrong_and_no_figures() {
        let refused = ReloadRefused { at_ms: 0, error: "next/a.toml:1:1: unknown key".into() };
        let shadow = ShadowStatus { refused: Some(refused), ..ShadowStatus::default() };
        let text = view(&shadow, "x", false, 0);
        assert!(text.contains("REFUSED at 1970") && text.contains("next/a.toml:1:1"), "{text}");
        assert!(!text.contains("compared with"), "{text}");
    }
}
