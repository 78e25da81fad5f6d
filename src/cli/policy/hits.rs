//! `sparkdiode policy hits`: what each rule decided, live, from the status that the OT half writes.

mod shadow;

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use telemetry::status::{OtStatus, RuleStatus, Status, WindowStatus};
use text::{counted, escape_json, format_utc_ms, grouped};

use crate::cli::{Exit, Failure, report, status};

/// A status that is this many times as old as it should get isn't live.
const STALE_AFTER: u64 = 5;

/// Show how often each rule decided: hits, with the first and the last, and windows.
///
/// A hit is a metric of a birth or of data that came since the policy is in force, about which the rule decided:
/// it forwarded, denied or redacted it, or would have, if it only observes. What a rule forwards can
/// be dropped by its shapes and limits even so: `sparkdiode status` counts drops by reason and rule.
/// Where a whole policy is in shadow (`[policies] observe = ["next/"]` in `ot.toml`), then also what would
/// newly cross under it, what would no longer cross, and what would cross otherwise, by rule of both.
/// Reads the file `status.json` of the OT half, which is written every two seconds; nothing is asked
/// of the half. PATH is its `ot.toml` or state directory.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sparkdiode policy hits /etc/sparkdiode/ot.toml\n  \
                  sparkdiode policy hits --watch /etc/sparkdiode/ot.toml\n  \
                  sparkdiode policy hits --unused /var/lib/sparkdiode/ot\n  \
                  sparkdiode policy hits --json ot.toml | jq '.rules[] | select(.metrics == 0)'")]
pub(super) struct HitsArgs {
    /// Configuration file or state directory of the OT half.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Show them again every second, until it is ended by Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// Only the rules without a hit.
    #[arg(long)]
    unused: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &HitsArgs) -> Result<Exit, Failure> {
    status::repeated(arguments.watch, arguments.json, |_| {
        let status = status::read(&arguments.path)?;
        let Some(ot) = &status.ot else {
            let message = format!("not of an OT half: `{}`", arguments.path.display());
            return Err(Failure::new(Exit::Config, message)
                .hint("rules decide on OT: name its `ot.toml` or state directory"));
        };
        match arguments.json {
            true => json(&status, ot, arguments.unused),
            false => Ok(view(&status, ot, arguments.unused, clock::wall_ms())),
        }
    })
}

fn json(status: &Status, ot: &OtStatus, unused: bool) -> Result<String, Failure> {
    let rules: Vec<&RuleStatus> = shown(ot, unused).collect();
    let document = serde_json::json!({
        "policy": status.policy,
        "since_ms": ot.policy_since_ms,
        "written_ms": status.written_ms,
        "rules": rules,
        "shadow": ot.shadow,
    });
    let text = serde_json::to_string_pretty(&document)
        .map_err(|error| Failure::new(Exit::Data, error.to_string()))?;
    Ok(format!("{}\n", escape_json(&text)))
}

fn shown(ot: &OtStatus, unused: bool) -> impl Iterator<Item = &RuleStatus> {
    ot.rules.iter().filter(move |rule| !unused || rule.metrics == 0)
}

/// Columns of the whole table beside the names of rules, and without that of the first hit.
const FULL_COLUMNS: usize = 101;
const DATED_COLUMNS: usize = 75;

/// The hits for people. The texts of `status` are clean.
fn view(status: &Status, ot: &OtStatus, unused: bool, now_ms: u64) -> String {
    let mut text = String::new();
    let mut line = |words: &str| {
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "{}", words.trim_end());
    };
    let since = format_utc_ms(ot.policy_since_ms);
    let digest = status.policy.as_ref().map_or("", |policy| &policy.digest);
    let digest: String = digest.chars().take(16).collect();
    line(&format!("policy {digest}…, counted since {since}"));
    let age_ms = now_ms.saturating_sub(status.written_ms);
    if age_ms > status.every_ms.saturating_mul(STALE_AFTER) {
        line(&format!("THE HALF DOESN'T RUN, or writes no status: this is {} old", ago(age_ms)));
    }
    if let Some(refused) = &status.reload_refused {
        let at = format_utc_ms(refused.at_ms);
        line(&format!("the policy that was read at {at} is refused; these are the earlier one's"));
    }
    line("");
    line(&rules(&ot.rules, unused, now_ms.max(status.written_ms)));
    let all = status.policy.as_ref().map_or(0, |policy| policy.rules);
    let more = all.saturating_sub(u64::try_from(ot.rules.len()).unwrap_or(u64::MAX));
    if more > 0 {
        line(&format!("and {} more, which the status doesn't have", counted(more, "rule")));
    }
    let without: Vec<&str> =
        ot.rules.iter().filter(|rule| rule.metrics == 0).map(|rule| &*rule.rule).collect();
    let known: Vec<&str> = ot
        .rules
        .iter()
        .filter(|rule| rule.metrics == 0 && rule.known)
        .map(|rule| &*rule.rule)
        .collect();
    line("");
    match without.as_slice() {
        [] => line(&format!("every rule has had a hit since {since}")),
        rules => line(&format!("without a hit since {since}: {}", rules.join(", "))),
    }
    if !known.is_empty() {
        line(&format!("but about metrics that were born before: {}", known.join(", ")));
    }
    let windows = ot.rules.iter().filter_map(|rule| Some((rule, rule.window.as_ref()?)));
    for (rule, WindowStatus { open, until_ms }) in windows {
        let words = match (open, until_ms) {
            (true, Some(until)) => format!("open until {}", format_utc_ms(*until)),
            (true, None) => "open, and stays so".to_owned(),
            (false, Some(until)) => format!("closed, opens at {}", format_utc_ms(*until)),
            (false, None) => "closed for good".to_owned(),
        };
        line(&format!("window of {}: {words}", rule.rule));
    }
    if let Some(shadow) = &ot.shadow {
        let in_force = status.policy.as_ref().map_or("", |policy| &policy.digest);
        text.push_str(&shadow::view(shadow, in_force, unused, now_ms.max(status.written_ms)));
    }
    text
}

/// A table of rules with their hits, as wide as the terminal.
fn rules(rules: &[RuleStatus], unused: bool, now_ms: u64) -> String {
    table(rules, unused, now_ms, report::columns())
}

/// `columns`: of a terminal; on a narrow one the first hit has no column, then the last one no date.
fn table(rules: &[RuleStatus], unused: bool, now_ms: u64, columns: Option<usize>) -> String {
    let shown = || rules.iter().filter(move |rule| !unused || rule.metrics == 0);
    let width = shown().map(|rule| rule.rule.chars().count()).max().unwrap_or(0).max(4);
    let room = columns.unwrap_or(usize::MAX).saturating_sub(width);
    let (first, dated) = (room >= FULL_COLUMNS, room >= DATED_COLUMNS);
    let mut text = String::new();
    let mut line = |hits: &str, rule: &str, action: &str, first_hit: &str, last_hit: &str| {
        let first_hit = if first { format!("{first_hit:<24}  ") } else { String::new() };
        let words = format!("{hits:>13}  {rule:<width$}  {action:<16}  {first_hit}{last_hit}");
        let _ = writeln!(text, "{}", words.trim_end());
    };
    line("hits", "rule", "action", "first hit", "last hit");
    for rule in shown() {
        let time = |ms: Option<u64>| ms.map_or("–".to_owned(), format_utc_ms);
        let since = rule.last_ms.map(|last| format!("{} ago", ago(now_ms.saturating_sub(last))));
        let last = match (dated, since) {
            (true, Some(since)) => format!("{}  {since}", time(rule.last_ms)),
            (false, Some(since)) => since,
            (_, None) => time(None),
        };
        let action = match rule.observes {
            true => format!("would {}", rule.action),
            false => rule.action.clone(),
        };
        line(&grouped(rule.metrics), &rule.rule, &action, &time(rule.first_ms), &last);
    }
    text
}

fn ago(ms: u64) -> String {
    text::span(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use telemetry::status::{PolicyStatus, ReloadRefused};

    use super::*;

    fn status() -> Status {
        let rule = |rule: &str, action: &str, metrics: u64| RuleStatus {
            rule: rule.to_owned(),
            action: action.to_owned(),
            metrics,
            first_ms: (metrics > 0).then_some(86_400_000),
            last_ms: (metrics > 0).then_some(86_460_000),
            ..RuleStatus::default()
        };
        let window = |open, until_ms| Some(WindowStatus { open, until_ms });
        Status {
            policy: Some(PolicyStatus { digest: "a".repeat(64), rules: 5 }),
            every_ms: 2_000,
            written_ms: 86_463_000,
            ot: Some(OtStatus {
                policy_since_ms: 86_000_000,
                rules: vec![
                    rule("ovens", "forward", 12_345),
                    RuleStatus { known: true, ..rule("no-recipes", "deny", 0) },
                    RuleStatus { observes: true, ..rule("next", "deny", 7) },
                    RuleStatus {
                        window: window(true, Some(90_000_000)),
                        ..rule("vendor", "forward", 0)
                    },
                    RuleStatus { window: window(false, None), ..rule("over", "forward", 1) },
                ],
                ..OtStatus::default()
            }),
            ..Status::default()
        }
    }

    #[test]
    fn hits_are_shown_with_first_and_last_and_what_had_none() {
        let status = status();
        let ot = status.ot.as_ref().unwrap();
        let text = view(&status, ot, false, 86_465_000);
        for wanted in [
            "       12,345  ovens       forward           1970-01-02T00:00:00.000Z  1970-01-02T00:01:00.000Z  5.0 s ago\n",
            "            0  no-recipes  deny              –                         –\n",
            "            7  next        would deny ",
            "without a hit since 1970-01-01T23:53:20.000Z: no-recipes, vendor\n",
            "but about metrics that were born before: no-recipes\n",
            "window of vendor: open until 1970-01-02T01:00:00.000Z\n",
            "window of over: closed for good\n",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        assert!(!text.contains("RUN") && !text.contains("rules more"), "{text}");
        let text = view(&status, ot, true, 86_465_000);
        assert!(!text.contains("ovens"), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&json(&status, ot, true).unwrap()).unwrap();
        assert_eq!(json["rules"].as_array().unwrap().len(), 2);
        assert_eq!(json["rules"][0]["rule"], "no-recipes");
    }

    #[test]
    fn old_figures_and_refused_policies_are_told_as_such() {
        let mut status = status();
        status.reload_refused = Some(ReloadRefused::default());
        status.policy.as_mut().unwrap().rules = 9;
        let text = view(&status, status.ot.as_ref().unwrap(), false, 86_463_000 + 60_000);
        assert!(
            text.contains("THE HALF DOESN'T RUN, or writes no status: this is 1 min 0 s old"),
            "{text}"
        );
        assert!(text.contains("is refused; these are the earlier one's"), "{text}");
        assert!(text.contains("and 4 rules more"), "{text}");
    }

    #[test]
    fn a_narrow_terminal_has_fewer_columns_and_all_of_what_it_has() {
        let hit = RuleStatus {
            rule: "first-temperatures".to_owned(),
            action: "forward".to_owned(),
            metrics: 1_234,
            first_ms: Some(1_000),
            last_ms: Some(2_000),
            ..RuleStatus::default()
        };
        let none = RuleStatus { rule: "none".to_owned(), ..RuleStatus::default() };
        let of = |columns| table(&[hit.clone(), none.clone()], false, 60_000, columns);
        let words = ["1970-01-01T00:00:01.000Z", "1970-01-01T00:00:02.000Z", "58 s ago"];
        for (columns, wanted) in [
            (None, [true; 3]),
            (Some(200), [true; 3]),
            (Some(110), [false, true, true]),
            (Some(80), [false, false, true]),
        ] {
            let text = of(columns);
            assert_eq!(words.map(|word| text.contains(word)), wanted, "{text}");
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(columns.is_none_or(|columns| widest <= columns), "{columns:?}: {text}");
        }
    }
}
