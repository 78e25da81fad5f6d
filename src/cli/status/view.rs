//! A status for a terminal of 100 columns. Names in it come from the network: they were escaped when it
//! was parsed, and are cut here.

mod rules;

use std::fmt::Write;
use std::time::Duration;

use telemetry::status::{
    DropStatus, ItStatus, LINK_ALIVE, LastDropStatus, Level, OtStatus, Status,
};
use text::{Paint, Tone, format_utc_ms, grouped, rough_size};

use super::shown::Shown;

const COLUMNS: usize = 100;
/// Lines of talkers and of drops.
const LINES: usize = 8;
/// A status that is older than this many of its intervals is stale …
const STALE_INTERVALS: u64 = 5;
/// … or older than this, in milliseconds.
const STALE_MS: u64 = 10_000;

struct View {
    text: String,
    paint: Paint,
}

/// The status, as it looks at `now_ms`.
pub(super) fn render(status: &Shown, now_ms: u64, paint: Paint) -> String {
    let mut view = View { text: String::new(), paint };
    let age_ms = now_ms.saturating_sub(status.written_ms);
    let stale = age_ms > status.every_ms.saturating_mul(STALE_INTERVALS).max(STALE_MS);
    let left = format!(
        " {} HALF  {}  {}",
        shown(&status.half, 8).to_uppercase(),
        shown(&status.relay, 40),
        shown(&status.version, 16)
    );
    let up = span(status.written_ms.saturating_sub(status.started_ms));
    let right = format!("pid {}, up {up}, seen {} ago ", status.pid, span(age_ms));
    view.line(&format!(
        "{left}{right:>width$}",
        width = COLUMNS.saturating_sub(left.chars().count())
    ));
    view.line(&"─".repeat(COLUMNS));
    if stale {
        let since = format_utc_ms(status.written_ms);
        view.marked(
            Level::Critical,
            &format!(" STALE since {since}: the half doesn't run, or can't write here"),
        );
    }
    let health = &status.health;
    let word = health.level.name().to_uppercase();
    if health.reasons.is_empty() {
        view.marked(health.level, &format!(" {word}"));
    }
    for reason in &health.reasons {
        view.marked(health.level, &format!(" {word}: {}", shown(reason, 85)));
    }
    let broker = &status.broker;
    let since = broker.since_ms.map_or(String::new(), |since| {
        format!(" for {}", span(status.written_ms.saturating_sub(since)))
    });
    let state = if broker.connected { "connected" } else { "NOT CONNECTED" };
    let sessions = if status.it.is_some() {
        format!(", {} sessions", grouped(broker.sessions))
    } else {
        String::new()
    };
    view.item("broker", &format!("{}  {state}{since}{sessions}", shown(&broker.address, 50)));
    if let Some(policy) = &status.policy {
        let digest: String = policy.digest.chars().take(16).collect();
        let refused = if status.reload_refused.is_some() { "  RELOAD REFUSED" } else { "" };
        view.item("policy", &format!("{}…  {} rules{refused}", digest, grouped(policy.rules)));
    }
    if let Some(certificate) = &status.certificate {
        let days = certificate.days_left;
        view.item("certificate", &format!("{days} days left  {}", shown(&certificate.file, 60)));
    }
    let account = &status.account;
    let verdict = if account.balances { "balances" } else { "DOES NOT BALANCE" };
    view.item(
        "account",
        &format!(
            "{} received = {} forwarded + {} dropped + {} waiting  ({verdict})",
            grouped(account.received),
            grouped(account.forwarded),
            grouped(account.dropped),
            grouped(account.waiting)
        ),
    );
    let rates = account.rates;
    view.item(
        "rates",
        &format!(
            "{:.1}/s received, {:.1}/s forwarded, {:.1}/s dropped",
            rates.received_per_s, rates.forwarded_per_s, rates.dropped_per_s
        ),
    );
    if let Some(ot) = &status.ot {
        view.ot(ot);
    }
    if let Some(it) = &status.it {
        view.it(it, status.written_ms);
    }
    view.talkers(status);
    view.drops("DROPPED", &account.drops);
    view.last(&account.last, status.written_ms);
    if let Some(ot) = &status.ot {
        view.hits(ot, status.written_ms);
        view.observed(ot);
        view.shadow(ot);
    }
    view.line("");
    view.text
}

impl View {
    fn line(&mut self, line: &str) {
        // Writing to a `String` can't fail.
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    fn marked(&mut self, level: Level, line: &str) {
        let tone = match level {
            Level::Ok => Tone::Good,
            Level::Warning => Tone::Odd,
            Level::Critical => Tone::Bad,
        };
        self.line(&self.paint.paint(tone, line));
    }

    fn item(&mut self, name: &str, content: &str) {
        self.line(&format!(" {name:<12} {content}"));
    }

    fn head(&mut self, head: &str) {
        let rule = COLUMNS.saturating_sub(head.chars().count()).saturating_sub(5);
        self.line(&format!("── {head} {}─", "─".repeat(rule)));
    }

    fn ot(&mut self, ot: &OtStatus) {
        let refuses = if ot.journal_refuses { "  REFUSES FRAMES" } else { "" };
        self.item(
            "journal",
            &format!(
                "{} of {}{}, next frame {}{refuses}",
                rough_size(ot.journal_bytes),
                rough_size(ot.journal_limit_bytes),
                percent(ot.journal_bytes, ot.journal_limit_bytes),
                grouped(ot.journal_seq)
            ),
        );
        self.item(
            "queue",
            &format!(
                "{} of {}{}",
                rough_size(ot.queue_bytes),
                rough_size(ot.queue_limit_bytes),
                percent(ot.queue_bytes, ot.queue_limit_bytes)
            ),
        );
        self.item(
            "losses",
            &format!("{} times messages were lost before they reached the relay", grouped(ot.gaps)),
        );
        if !ot.hosts_offline.is_empty() {
            let named: Vec<String> =
                ot.hosts_offline.iter().take(LINES).map(|host| shown(host, 30)).collect();
            let more = ot.hosts_offline.len().saturating_sub(named.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            self.item(
                "hosts",
                &format!("offline on OT by their STATE: {}{more}", named.join(", ")),
            );
        }
    }

    fn it(&mut self, it: &ItStatus, written_ms: u64) {
        let link = if it.link == LINK_ALIVE {
            "alive".to_owned()
        } else {
            shown(&it.link, 20).to_uppercase()
        };
        self.item(
            "link",
            &format!(
                "{link}, lag {}, last fresh frame {} ago, next frame {}",
                span(it.lag_ms),
                span(it.silent_ms),
                grouped(it.journal_seq)
            ),
        );
        let last = it.last_loss.as_ref().map_or(String::new(), |loss| {
            format!(
                "; last {} to {} ({}) {} ago",
                grouped(loss.first),
                grouped(loss.last),
                shown(&loss.cause, 20),
                span(written_ms.saturating_sub(loss.at_ms))
            )
        });
        self.item("losses", &format!("{} frames{last}", grouped(it.frames_lost)));
        self.item(
            "backlog",
            &format!(
                "{} frames not confirmed by the broker, {} sent as historical, {} queued",
                grouped(it.unconfirmed_frames),
                grouped(it.backfilled),
                rough_size(it.queue_bytes)
            ),
        );
        self.item(
            "hosts",
            &format!(
                "{} rebirth requests answered, {} commands refused",
                grouped(it.rebirths_answered),
                grouped(it.commands_refused)
            ),
        );
        let Some(ot) = &it.ot else { return };
        let broker = if ot.broker_connected {
            "connected".to_owned()
        } else {
            format!("AWAY from its broker for {}", span(ot.broker_away_ms))
        };
        self.item(
            "OT half",
            &format!(
                "{broker}, {} nodes, {} received, {} forwarded, {} dropped",
                grouped(ot.nodes),
                grouped(ot.received),
                grouped(ot.forwarded),
                grouped(ot.dropped)
            ),
        );
    }

    fn talkers(&mut self, status: &Status) {
        let nodes = &status.nodes;
        self.head(&format!(
            "EDGE NODES  {} alive, {} known",
            grouped(nodes.alive),
            grouped(nodes.known)
        ));
        if nodes.talkers.is_empty() {
            return;
        }
        self.line(&format!(
            " {:<38} {:>9} {:>12} {:>12} {:>9}  {}",
            "node", "msg/s", "received", "forwarded", "dropped", "most for"
        ));
        for node in nodes.talkers.iter().take(LINES) {
            let alive = if node.alive { "" } else { " (not shown)" };
            let name = shown(&format!("{}{alive}", shown(&node.node, 60)), 38);
            self.line(&format!(
                " {name:<38} {:>9.1} {:>12} {:>12} {:>9}  {}",
                node.received_per_s,
                grouped(node.received),
                grouped(node.forwarded),
                grouped(node.dropped),
                shown(node.top_reason.as_deref().unwrap_or("–"), 13)
            ));
        }
    }

    fn drops(&mut self, head: &str, drops: &[DropStatus]) {
        self.head(head);
        if drops.is_empty() {
            self.line(" nothing");
            return;
        }
        self.line(&format!(
            " {:<20} {:<48} {:>13} {:>13}",
            "reason", "rule", "messages", "metrics"
        ));
        for one in drops.iter().take(LINES) {
            let rule = one.rule.as_deref().map_or("–".to_owned(), |rule| shown(rule, 60));
            self.line(&format!(
                " {:<20} {:<48} {:>13} {:>13}",
                shown(&one.reason, 20),
                shown(&rule, 48),
                grouped(one.messages),
                grouped(one.metrics)
            ));
        }
        let more = drops.len().saturating_sub(LINES);
        if more > 0 {
            self.line(&format!(" and {more} more: --json"));
        }
    }
}

impl View {
    /// The last drops: the last one of each reason and metric that there is room for.
    fn last(&mut self, last: &[LastDropStatus], written_ms: u64) {
        if last.is_empty() {
            return;
        }
        self.head("LAST DROPPED");
        for one in last.iter().take(LINES) {
            let age = span(written_ms.saturating_sub(one.at_ms));
            let what = match &one.metric {
                Some(metric) => format!("{} {metric}", one.topic),
                None => one.topic.clone(),
            };
            let reason = shown(&one.reason, 20);
            self.line(&format!(" {:>10} ago  {reason:<20} {}", shown(&age, 10), shown(&what, 62)));
            if let (Some(got), Some(wanted)) = (&one.got, &one.wanted) {
                let fault = format!("got {got}; wanted {wanted}");
                self.line(&format!("{:38}{}", "", shown(&fault, 62)));
            }
        }
        let more = last.len().saturating_sub(LINES);
        if more > 0 {
            self.line(&format!(" and {more} more: --json"));
        }
    }
}

/// Cut to a width.
fn shown(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A span of milliseconds.
fn span(ms: u64) -> String {
    text::span(Duration::from_millis(ms))
}

fn percent(part: u64, whole: u64) -> String {
    part.saturating_mul(100)
        .checked_div(whole)
        .map_or(String::new(), |percent| format!(" ({percent} %)"))
}

#[cfg(test)]
mod tests {
    use telemetry::status::{
        FORMAT, Health, LossStatus, NodeStatus, ObservedStatus, OtReport, PolicyStatus,
    };

    use super::*;

    fn full() -> Status {
        let mut status = Status {
            format: FORMAT,
            half: "it".into(),
            relay: "plant-a".into(),
            started_ms: 1_000,
            written_ms: 4_000_000,
            every_ms: 2_000,
            policy: Some(PolicyStatus { digest: "ab".repeat(32), rules: 12 }),
            ot: Some(OtStatus {
                journal_bytes: u64::MAX,
                journal_limit_bytes: 1,
                observed: vec![
                    ObservedStatus {
                        rule: "o\x1b".repeat(80),
                        action: "deny".into(),
                        metrics: 999_999_999_999,
                    };
                    9
                ],
                ..OtStatus::default()
            }),
            it: Some(ItStatus {
                link: "silent".into(),
                frames_lost: u64::MAX,
                last_loss: Some(LossStatus {
                    first: 1,
                    last: 9,
                    cause: "retention".into(),
                    at_ms: 3_000_000,
                }),
                ot: Some(OtReport { received: 123_456_789, ..OtReport::default() }),
                ..ItStatus::default()
            }),
            health: Health { level: Level::Critical, reasons: vec!["a\x1b[31m".repeat(40)] },
            ..Status::default()
        };
        status.nodes.talkers = vec![
            NodeStatus {
                node: "Grüße/\x1b]0;evil\x07\u{202e}".repeat(9),
                received: 12_345_678,
                top_reason: Some("data_before_birth".into()),
                ..NodeStatus::default()
            };
            30
        ];
        status.account.drops = vec![
            DropStatus {
                reason: "data_before_birth".into(),
                rule: Some("r".repeat(128)),
                messages: 1,
                metrics: 99_999_999,
            };
            30
        ];
        status.account.last = vec![
            LastDropStatus {
                at_ms: 3_990_000,
                topic: "spBv1.0/G/NDATA/\x1b]0;evil".repeat(9),
                metric: Some("m\u{202e}".repeat(90)),
                reason: "data_before_birth".into(),
                got: Some("g\x1b".repeat(90)),
                wanted: Some("Int32".into()),
                ..LastDropStatus::default()
            };
            9
        ];
        status
    }

    #[test]
    fn it_fits_into_100_columns_and_nothing_from_the_network_reaches_the_terminal() {
        let text = render(&Shown::from(&full()), 4_001_000, Paint::new(false));
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{}: {line}", line.chars().count());
            assert!(
                !line.chars().any(|letter| letter.is_control() || letter == '\u{202e}'),
                "{line:?}"
            );
        }
        assert!(text.contains("seen 1.0 s ago"), "{text}");
        assert!(text.contains("last 1 to 9 (retention) 16 min 40 s ago"), "{text}");
        assert!(!text.contains("STALE"), "{text}");
        assert!(text.contains("and 22 more: --json"), "{text}");
        assert!(text.contains(" 10 s ago  data_before_birth "), "{text}");
        assert!(
            text.contains("ONLY OBSERVED  since 1970") && text.contains("\n denied "),
            "{text}"
        );
    }

    #[test]
    fn an_old_status_is_called_stale() {
        let text = render(&Shown::from(&full()), 4_010_001, Paint::new(false));
        assert!(text.contains(" STALE since 1970-01-01T01:06:40.000Z"), "{text}");
        assert!(
            render(&Shown::from(&full()), 4_010_001, Paint::new(true)).contains("\x1b[31m STALE")
        );
        assert!(!render(&Shown::from(&full()), 4_010_000, Paint::new(false)).contains("STALE"));
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(span(1_250), "1.2 s");
        assert_eq!(span(90_061_000), "1 d 1 h");
        assert_eq!(rough_size(1_023), "1023 B");
        assert_eq!(rough_size(1_572_864), "1.5 MiB");
        assert_eq!(percent(1, 0), "");
    }
}
