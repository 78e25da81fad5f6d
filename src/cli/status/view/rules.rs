//! What the rules of the policy decided: hits, windows, and what those that only observe would have done.

use telemetry::status::OtStatus;
use text::{format_utc_ms, grouped};

use super::{LINES, View, shown, span};

impl View {
    /// Rules with most hits, those without any, and windows; all of them are in `policy hits`.
    pub(super) fn hits(&mut self, ot: &OtStatus, written_ms: u64) {
        if ot.rules.is_empty() {
            return;
        }
        let since = format_utc_ms(ot.policy_since_ms);
        self.head(&format!("RULES  hits since {since}"));
        let mut rules: Vec<_> = ot.rules.iter().filter(|rule| !rule.observes).collect();
        let without = rules.iter().filter(|rule| rule.metrics == 0).count();
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.metrics));
        for rule in rules.iter().take(LINES).filter(|rule| rule.metrics > 0) {
            let last = rule.last_ms.map_or(String::new(), |last| {
                format!("last {} ago", span(written_ms.saturating_sub(last)))
            });
            self.line(&format!(
                " {:<8} {:<48} {:>13}  {last}",
                shown(&rule.action, 8),
                shown(&rule.rule, 48),
                grouped(rule.metrics)
            ));
        }
        if without > 0 {
            self.line(&format!(" {without} without a hit: sparkdiode policy hits --unused"));
        }
        for (rule, window) in ot.rules.iter().filter_map(|rule| Some((rule, rule.window.as_ref()?)))
        {
            let until = window
                .until_ms
                .map_or(String::new(), |until| format!(", may change at {}", format_utc_ms(until)));
            let open = if window.open { "open" } else { "closed" };
            self.line(&format!(" window   {:<40} {open}{until}", shown(&rule.rule, 40)));
        }
    }

    /// What rules that only observe would have done: what people want to know before they let
    /// them act.
    pub(super) fn observed(&mut self, ot: &OtStatus) {
        if ot.observed.is_empty() {
            return;
        }
        let since = format_utc_ms(ot.policy_since_ms);
        self.head(&format!("ONLY OBSERVED  since {since}"));
        self.line(&format!(" {:<20} {:<62} {:>13}", "would have", "rule", "metrics"));
        for one in ot.observed.iter().take(LINES) {
            let would = match one.action.as_str() {
                "forward" => "forwarded",
                "deny" => "denied",
                "redact" => "redacted",
                other => other,
            };
            self.line(&format!(
                " {:<20} {:<62} {:>13}",
                shown(would, 20),
                shown(&one.rule, 62),
                grouped(one.metrics)
            ));
        }
        let more = ot.observed.len().saturating_sub(LINES);
        if more > 0 {
            self.line(&format!(" and {more} more: --json"));
        }
    }

    /// A whole policy in shadow: what would be otherwise; `policy hits` has it by rule.
    pub(super) fn shadow(&mut self, ot: &OtStatus) {
        let Some(shadow) = &ot.shadow else { return };
        if let Some(refused) = &shadow.refused {
            self.head(&format!("POLICY IN SHADOW  refused at {}", format_utc_ms(refused.at_ms)));
            return;
        }
        let since = format_utc_ms(shadow.since_ms);
        self.head(&format!("POLICY IN SHADOW  compared since {since}: sparkdiode policy hits"));
        for (words, metrics) in [
            ("would newly cross", shadow.newly_crosses),
            ("would no longer cross", shadow.no_longer_crosses),
            ("would cross otherwise", shadow.otherwise),
            ("not compared", shadow.unknown),
            ("decided alike", shadow.same),
        ] {
            self.line(&format!(" {words:<82} {:>13}", grouped(metrics)));
        }
    }
}
