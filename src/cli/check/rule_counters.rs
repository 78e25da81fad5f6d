//! What the rules of a policy decided while the OT half ran, for `check`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::policies;
use diagnostic::{Diagnostic, Diagnostics, SourceFile};
use ot::RuleCounts;
use policy::{Action, Mode, Policy};
use text::{counted, escape, format_utc_ms, span};

use super::lines::line;
use crate::cli::policy_source::read_policy;

/// A rule that decides nothing for less than this may just have nothing to decide about.
const WARN_AFTER: Duration = Duration::from_secs(3_600);

/// What the rules decided while the relay ran, as far as it counted by this policy.
pub(super) fn describe(
    text: &mut String,
    paths: &[PathBuf],
    state_dir: &Path,
    warnings: &mut Diagnostics,
) {
    let (Ok((policy, _)), Ok(sources)) = (read_policy(paths), policies::load_sources(paths)) else {
        return;
    };
    let counts = match RuleCounts::read(state_dir) {
        Ok(Some(counts)) => counts,
        Ok(None) => {
            return line(text, "  no counts of what the rules decided: it never ran");
        }
        Err(error) => {
            let why = escape(&error.to_string()).to_string();
            return line(text, &format!("  no counts of what the rules decided: {why}"));
        }
    };
    describe_counts(text, &policy, &sources, &counts, warnings);
}

/// The same of counts that were read.
fn describe_counts(
    text: &mut String,
    policy: &Policy,
    sources: &[SourceFile],
    counts: &RuleCounts,
    warnings: &mut Diagnostics,
) {
    let since = format_utc_ms(counts.since_ms);
    if counts.policy_digest != policy.digest() {
        let digest = escape(&counts.policy_digest).to_string();
        return line(
            text,
            &format!("  no counts of this policy: since {since} another one is in force, {digest}"),
        );
    }
    let until = format_utc_ms(counts.until_ms);
    let counted_for = Duration::from_millis(counts.until_ms.saturating_sub(counts.since_ms));
    let long_enough = counted_for >= WARN_AFTER;
    let time = span(counted_for);
    line(text, &format!("  decided from {since} to {until} ({time})"));
    for (rule, count) in policy.rules().iter().zip(&counts.rules) {
        let name = escape(rule.name());
        match (rule.mode(), rule.action()) {
            (Mode::Observe, Action::Forward) => line(
                text,
                &format!(
                    "    {name} would have forwarded {}",
                    counted(count.observed, "more metric")
                ),
            ),
            (Mode::Observe, Action::Deny) => {
                line(
                    text,
                    &format!("    {name} would have denied {}", counted(count.observed, "metric")),
                );
            }
            (Mode::Observe, Action::Redact) => {
                line(
                    text,
                    &format!(
                        "    {name} would have redacted {}",
                        counted(count.observed, "metric")
                    ),
                );
            }
            (Mode::Enforce, _) if count.metrics > 0 => {
                line(
                    text,
                    &format!("    {name} decided about {}", counted(count.metrics, "metric")),
                );
            }
            (Mode::Enforce, _) if count.known => line(
                text,
                &format!(
                    "    {name} decides about metrics that were born before, and none came since"
                ),
            ),
            (Mode::Enforce, _) if !long_enough => {
                line(text, &format!("    {name} decided nothing yet, in {time}"));
            }
            (Mode::Enforce, _) => {
                let Some(file) = sources.iter().find(|file| file.path == rule.path()) else {
                    continue;
                };
                let title = format!("rule `{}` decided nothing in {time}", rule.name());
                warnings.push(
                    Diagnostic::warning("P115", file, rule.place(), title)
                        .label(format!("no metric from {since} to {until}"))
                        .help(
                            "nothing like it was born or sent, or earlier rules decide about all \
                             of it: `sparkdiode policy explain` shows which",
                        ),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ot::RuleCount;

    use super::*;

    /// What is said of two rules, of which the first decided something, after so many seconds.
    fn said(seconds: u64) -> (String, String) {
        said_of(seconds, RuleCount::default())
    }

    fn said_of(seconds: u64, idle: RuleCount) -> (String, String) {
        let rule = |name: &str| {
            format!("[[rule]]\nname = \"{name}\"\naction = \"forward\"\ngroup = \"{name}\"\n")
        };
        let file = SourceFile::new("a.toml", rule("busy") + &rule("idle"));
        let sources = [file];
        let (policy, _) = Policy::parse(&sources).unwrap();
        let counts = RuleCounts {
            policy_digest: policy.digest().to_owned(),
            since_ms: 1_700_000_000_000,
            until_ms: seconds.saturating_mul(1_000).saturating_add(1_700_000_000_000),
            rules: vec![RuleCount { metrics: 7, ..RuleCount::default() }, idle],
        };
        let (mut text, mut warnings) = (String::new(), Diagnostics::new());
        describe_counts(&mut text, &policy, &sources, &counts, &mut warnings);
        (text, warnings.to_string())
    }

    #[test]
    fn a_rule_is_called_idle_only_after_an_hour_and_the_time_is_said() {
        for seconds in [0, 40, 3_599] {
            let (text, warnings) = said(seconds);
            assert!(text.contains("idle decided nothing yet, in "), "{text}");
            assert_eq!(warnings, "", "{seconds}");
        }
        assert!(said(40).0.contains("decided nothing yet, in 40 s"));
        let (text, warnings) = said(3 * 3_600);
        assert!(text.contains("busy decided about 7 metrics"), "{text}");
        assert!(warnings.contains("rule `idle` decided nothing in 3 h 0 min"), "{warnings}");
        assert!(warnings.contains("from 2023-11-14T22:13:20"), "{warnings}");
        let known = RuleCount { known: true, ..RuleCount::default() };
        let (text, warnings) = said_of(3 * 3_600, known);
        assert!(text.contains("idle decides about metrics that were born before"), "{text}");
        assert_eq!(warnings, "", "it is in use");
    }
}
