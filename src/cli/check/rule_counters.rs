//! What the rules of a policy decided while the OT half ran, for `check`.

use std::path::{Path, PathBuf};

use config::policies;
use diagnostic::{Diagnostic, Diagnostics};
use ot::RuleCounts;
use policy::{Action, Mode};
use text::{escape, format_utc_ms};

use super::lines::line;
use crate::cli::policy_source::read_policy;

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
    let since = format_utc_ms(counts.since_ms);
    if counts.policy_digest != policy.digest() {
        let digest = escape(&counts.policy_digest).to_string();
        return line(
            text,
            &format!("  no counts of this policy: since {since} another one is in force, {digest}"),
        );
    }
    let until = format_utc_ms(counts.until_ms);
    line(text, &format!("  decided from {since} to {until}"));
    for (rule, count) in policy.rules().iter().zip(&counts.rules) {
        let name = escape(rule.name());
        match (rule.mode(), rule.action()) {
            (Mode::Observe, Action::Forward) => line(
                text,
                &format!("    {name} would have forwarded {} more metrics", count.observed),
            ),
            (Mode::Observe, Action::Deny) => {
                line(text, &format!("    {name} would have denied {} metrics", count.observed));
            }
            (Mode::Observe, Action::Redact) => {
                line(text, &format!("    {name} would have redacted {} metrics", count.observed));
            }
            (Mode::Enforce, _) if count.metrics > 0 => {
                line(text, &format!("    {name} decided about {} metrics", count.metrics));
            }
            (Mode::Enforce, _) => {
                let Some(file) = sources.iter().find(|file| file.path == rule.path()) else {
                    continue;
                };
                let title = format!("rule `{}` decided nothing", rule.name());
                warnings.push(
                    Diagnostic::warning("P115", file, rule.place(), title)
                        .label(format!("no metric since {since}"))
                        .help(
                            "nothing like it was born or sent, or earlier rules decide about all \
                             of it: `sparkdiode policy explain` shows which",
                        ),
                );
            }
        }
    }
}
