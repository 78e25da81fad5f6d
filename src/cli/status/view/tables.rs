//! Lists of a status: who sends most, and what was dropped.

use telemetry::status::{DropStatus, LastDropStatus, Status};
use text::grouped;

use super::{MAX_NAME, TALKERS_WITH_RECEIVED, View, shown, span};

impl View {
    pub(super) fn talkers(&mut self, status: &Status) {
        let nodes = &status.nodes;
        self.head(&format!(
            "EDGE NODES  {} alive, {} known",
            grouped(nodes.alive),
            grouped(nodes.known)
        ));
        if nodes.talkers.is_empty() || self.lines == 0 {
            return;
        }
        // What isn't in the totals above stays longest.
        let received = self.columns >= TALKERS_WITH_RECEIVED;
        let fixed = if received { 62 } else { 49 };
        let width = self.columns.saturating_sub(fixed).min(MAX_NAME);
        let column = |text: &str| if received { format!(" {text:>12}") } else { String::new() };
        self.line(&format!(
            " {:<width$} {:>9}{} {:>12} {:>9}  {}",
            "node",
            "msg/s",
            column("received"),
            "forwarded",
            "dropped",
            "most for"
        ));
        for node in nodes.talkers.iter().take(self.lines) {
            let alive = if node.alive { "" } else { " (not shown)" };
            let name = shown(&format!("{}{alive}", shown(&node.node, MAX_NAME)), width);
            self.line(&format!(
                " {name:<width$} {:>9.1}{} {:>12} {:>9}  {}",
                node.received_per_s,
                column(&grouped(node.received)),
                grouped(node.forwarded),
                grouped(node.dropped),
                shown(node.top_reason.as_deref().unwrap_or("–"), 13)
            ));
        }
    }

    pub(super) fn drops(&mut self, head: &str, drops: &[DropStatus]) {
        if self.lines == 0 {
            return;
        }
        self.head(head);
        if drops.is_empty() {
            self.line(" nothing");
            return;
        }
        let width = self.columns.saturating_sub(52).min(MAX_NAME);
        self.line(&format!(
            " {:<20} {:<width$} {:>13} {:>13}",
            "reason", "rule", "messages", "metrics"
        ));
        for one in drops.iter().take(self.lines) {
            let rule = one.rule.as_deref().unwrap_or("–");
            self.line(&format!(
                " {:<20} {:<width$} {:>13} {:>13}",
                shown(&one.reason, 20),
                shown(rule, width),
                grouped(one.messages),
                grouped(one.metrics)
            ));
        }
        let more = drops.len().saturating_sub(self.lines);
        if more > 0 {
            self.line(&format!(" and {more} more: --json"));
        }
    }

    /// The last drops: the last one of each reason and metric that there is room for.
    pub(super) fn last(&mut self, last: &[LastDropStatus], written_ms: u64) {
        if last.is_empty() || self.lines == 0 {
            return;
        }
        let width = self.columns.saturating_sub(38);
        self.head("LAST DROPPED");
        for one in last.iter().take(self.lines) {
            let age = span(written_ms.saturating_sub(one.at_ms));
            let what = match &one.metric {
                Some(metric) => format!("{} {metric}", one.topic),
                None => one.topic.clone(),
            };
            let reason = shown(&one.reason, 20);
            self.line(&format!(
                " {:>10} ago  {reason:<20} {}",
                shown(&age, 10),
                shown(&what, width)
            ));
            if let (Some(got), Some(wanted)) = (&one.got, &one.wanted) {
                let fault = format!("got {got}; wanted {wanted}");
                self.line(&format!("{:38}{}", "", shown(&fault, width)));
            }
        }
        let more = last.len().saturating_sub(self.lines);
        if more > 0 {
            self.line(&format!(" and {more} more: --json"));
        }
    }
}
