//! A status as a file for node_exporter's textfile collector: the classic text format of
//! Prometheus, which is what the collector reads (of OpenMetrics it loses types and help).
//!
//! The number of series is bounded: reasons are a closed list, rules are cut at a number, and
//! edge nodes aren't in it.

use std::fmt::Write;

use account::Reason;

use super::{AccountStatus, DropStatus, ItStatus, OtStatus, RuleStatus, Status};

/// Series by rule and reason.
const MAX_RULE_SERIES: usize = 200;

/// Type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
}

/// Metrics of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
}

macro_rules! families {
    ($all:ident: $doc:literal; $($constant:ident = $kind:ident $name:literal: $help:literal;)+) => {
        $(const $constant: Family = Family { name: $name, kind: Kind::$kind, help: $help };)+

        #[doc = $doc]
        pub const $all: &[Family] = &[$($constant,)+];
    };
}

mod ends;

pub use ends::END_FAMILIES;

families! {
    FAMILIES: "Every family that a textfile of either half can have.";
    BUILD = Gauge "sparkdiode_build_info": "Always 1; the version of sparkdiode is a label.";
    START = Gauge "sparkdiode_start_time_seconds": "When this half was started, in seconds since the epoch.";
    WRITTEN = Gauge "sparkdiode_status_time_seconds": "When these values were taken, in seconds since the epoch.";
    HEALTH = Gauge "sparkdiode_health_level": "0: ok, 1: somebody should look, 2: nothing crosses or something is lost.";
    POLICY = Gauge "sparkdiode_policy_info": "Always 1; the digest of the policy in force is a label.";
    RULES = Gauge "sparkdiode_policy_rules": "Rules of the policy in force.";
    RELOADED = Gauge "sparkdiode_policy_last_reload_successful": "0 if the policy was read again and refused and none was taken up since: the one in force is an earlier one, and a start with the files of then would fail.";
    CONNECTED = Gauge "sparkdiode_broker_connected": "1 if this half is connected to its broker.";
    SESSIONS = Gauge "sparkdiode_broker_sessions": "MQTT sessions with the broker that are up.";
    RECEIVED = Counter "sparkdiode_received_messages_total": "Messages received.";
    SHARD = Gauge "sparkdiode_shard_info": "Always 1; which part of the edge nodes this relay has is a label; only where several relays share a plant.";
    OF_OTHER_SHARDS = Counter "sparkdiode_other_shards_messages_total": "Messages of edge nodes that other relays have: not received by this one, neither dropped nor lost; only where several relays share a plant.";
    FORWARDED = Counter "sparkdiode_forwarded_messages_total": "Messages forwarded, with all or some of their metrics.";
    DROPPED = Counter "sparkdiode_dropped_messages_total": "Messages dropped as a whole, by reason.";
    DROPPED_METRICS = Counter "sparkdiode_dropped_metrics_total": "Metrics taken out of messages, by reason.";
    BY_RULE = Counter "sparkdiode_rule_dropped_messages_total": "Messages dropped by a rule of the policy.";
    METRICS_BY_RULE = Counter "sparkdiode_rule_dropped_metrics_total": "Metrics taken out of messages by a rule of the policy.";
    OBSERVED = Counter "sparkdiode_rule_observed_metrics_total": "Metrics that a rule which only observes would have forwarded, denied or redacted, since the policy is in force.";
    SHADOW_COMPARED = Counter "sparkdiode_shadow_metrics_total": "Metrics of births and data by what the policy in shadow would do otherwise than the one in force, since both are compared.";
    SHADOW_REFUSED = Gauge "sparkdiode_shadow_refused": "1 if the policy in shadow was read and refused; only where the configuration names one.";
    HITS = Counter "sparkdiode_rule_hits_total": "Metrics of births and data about which a rule decided, or would have decided if it only observes, since the policy is in force.";
    LAST_HIT = Gauge "sparkdiode_rule_last_hit_time_seconds": "When a rule decided about a metric last, in seconds since the epoch; 0: not since the policy is in force.";
    WINDOW = Gauge "sparkdiode_rule_window_open": "1 while the window of a rule with a schedule is open.";
    WINDOW_CHANGE = Gauge "sparkdiode_rule_window_change_time_seconds": "When a rule's window opens or closes next, in seconds since the epoch; absent where it doesn't.";
    WAITING = Gauge "sparkdiode_waiting_messages": "Messages received that are neither forwarded nor dropped yet.";
    BALANCED = Gauge "sparkdiode_account_balanced": "1 if received = forwarded + dropped + waiting, in total, by edge node and by rule.";
    NODES = Gauge "sparkdiode_edge_nodes_known": "Edge nodes that this half follows.";
    NODES_ALIVE = Gauge "sparkdiode_edge_nodes_alive": "Edge nodes that are alive and shown.";
    CERTIFICATE = Gauge "sparkdiode_certificate_expiry_time_seconds": "When the first of this half's certificates ends, in seconds since the epoch.";
    QUEUE_BYTES = Gauge "sparkdiode_queue_bytes": "Bytes between network and pipeline (OT half) or on their way to the broker (IT half).";
    QUEUE_LIMIT = Gauge "sparkdiode_queue_limit_bytes": "Bytes at which nothing more is taken into the queue.";
    GAPS = Counter "sparkdiode_sequence_gaps_total": "Times that messages of an edge node were lost before they reached the relay.";
    UNKNOWN_FIELDS = Counter "sparkdiode_unknown_fields_total": "Fields of no Sparkplug payload, which were left behind.";
    JOURNAL_BYTES = Gauge "sparkdiode_journal_bytes": "Bytes of the journal's segments.";
    JOURNAL_LIMIT = Gauge "sparkdiode_journal_limit_bytes": "Bytes above which the oldest segments are deleted.";
    JOURNAL_SEQ = Gauge "sparkdiode_journal_next_frame": "Number of the journal frame that is written (OT half) or read (IT half) next.";
    JOURNAL_REFUSES = Gauge "sparkdiode_journal_refuses": "1 while the journal can't be written; nothing is acknowledged meanwhile.";
    LINK = Gauge "sparkdiode_link_alive": "1 if the OT half gives signs of life.";
    LAG = Gauge "sparkdiode_link_lag_seconds": "Age of the journal frame that was read last, when it was read.";
    SILENCE = Gauge "sparkdiode_link_silence_seconds": "Time since the last fresh frame of the journal.";
    LOST = Counter "sparkdiode_frames_lost_total": "Journal frames that were lost on the way.";
    LATE = Counter "sparkdiode_late_frames_total": "Of the lost journal frames, those that came late over a link.";
    UNCONFIRMED = Gauge "sparkdiode_frames_unconfirmed": "Journal frames that were read and that the broker isn't known to hold.";
    BACKFILLED = Counter "sparkdiode_backfilled_messages_total": "Messages that were sent as historical after an outage.";
    UNPLACEABLE = Counter "sparkdiode_unplaceable_frames_total": "Missed frames with values that no birth of today has a place for.";
    HEALED = Counter "sparkdiode_healed_total": "Differences between mirror and keyframe that were set right.";
    REBIRTHS = Counter "sparkdiode_rebirths_answered_total": "Rebirth requests of hosts that the mirror answered.";
    COMMANDS = Counter "sparkdiode_commands_refused_total": "Commands of hosts that were refused.";
    OT_CONNECTED = Gauge "sparkdiode_ot_broker_connected": "1 if the OT half says that it is connected to its broker.";
    OT_REPORT = Gauge "sparkdiode_ot_report_time_seconds": "When the OT half said so last, in seconds since the epoch.";
}

/// The text of a status.
pub(super) fn render(status: &Status) -> String {
    let mut text =
        Text { text: String::with_capacity(8_192), half: &status.half, relay: &status.relay };
    text.with(BUILD, &[("version", &status.version)], 1);
    text.seconds(START, status.started_ms);
    text.seconds(WRITTEN, status.written_ms);
    text.one(HEALTH, status.health.level as u64);
    match (&status.send, &status.receive) {
        (None, None) => render_half(&mut text, status),
        (send, receive) => {
            send.iter().for_each(|send| ends::render_send(&mut text, send));
            receive.iter().for_each(|receive| ends::render_receive(&mut text, receive));
        }
    }
    text.text
}

fn render_half(text: &mut Text<'_>, status: &Status) {
    if let Some(policy) = &status.policy {
        text.with(POLICY, &[("digest", &policy.digest)], 1);
        text.one(RULES, policy.rules);
        text.one(RELOADED, status.reload_refused.is_none().into());
    }
    text.one(CONNECTED, status.broker.connected.into());
    text.one(SESSIONS, status.broker.sessions);
    let account = &status.account;
    text.one(RECEIVED, account.received);
    text.one(FORWARDED, account.forwarded);
    // Every reason, whether it occurred or not: a counter that appears with a value has no rate.
    for (family, count) in [
        (DROPPED, (|drops| drops.messages) as fn(&DropStatus) -> u64),
        (DROPPED_METRICS, |drops| drops.metrics),
    ] {
        text.head(family);
        for reason in Reason::ALL {
            let known = account.reasons.iter().find(|drops| drops.reason == reason.name());
            text.sample(family, &[("reason", reason.name())], known.map_or(0, count));
        }
    }
    for (family, count) in [
        (BY_RULE, (|drops| drops.messages) as fn(&DropStatus) -> u64),
        (METRICS_BY_RULE, |drops| drops.metrics),
    ] {
        let by_rule = account.drops.iter().filter(|drops| count(drops) > 0);
        let by_rule = by_rule.filter_map(|drops| Some((drops.rule.as_deref()?, drops)));
        for (at, (rule, drops)) in by_rule.take(MAX_RULE_SERIES).enumerate() {
            if at == 0 {
                text.head(family);
            }
            text.sample(family, &[("rule", rule), ("reason", &drops.reason)], count(drops));
        }
    }
    text.one(WAITING, account.waiting);
    text.one(BALANCED, account.balances.into());
    text.one(NODES, status.nodes.known);
    text.one(NODES_ALIVE, status.nodes.alive);
    if let Some(certificate) = &status.certificate {
        text.seconds(CERTIFICATE, certificate.not_after_ms);
    }
    if let Some(ot) = &status.ot {
        render_ot(text, ot, account);
    }
    if let Some(it) = &status.it {
        render_it(text, it);
    }
}

fn render_ot(text: &mut Text<'_>, ot: &OtStatus, account: &AccountStatus) {
    if let Some(shard) = &ot.shard {
        text.with(SHARD, &[("shard", shard)], 1);
        text.one(OF_OTHER_SHARDS, account.of_other_shards);
    }
    text.one(QUEUE_BYTES, ot.queue_bytes);
    text.one(QUEUE_LIMIT, ot.queue_limit_bytes);
    text.one(GAPS, ot.gaps);
    text.one(UNKNOWN_FIELDS, ot.unknown_fields);
    text.one(JOURNAL_BYTES, ot.journal_bytes);
    text.one(JOURNAL_LIMIT, ot.journal_limit_bytes);
    text.one(JOURNAL_SEQ, ot.journal_seq);
    text.one(JOURNAL_REFUSES, ot.journal_refuses.into());
    // With those that are at zero: a counter that appears with a value has no rate.
    for (at, one) in ot.observed.iter().take(MAX_RULE_SERIES).enumerate() {
        if at == 0 {
            text.head(OBSERVED);
        }
        text.sample(OBSERVED, &[("rule", &one.rule), ("action", &one.action)], one.metrics);
    }
    render_rules(text, &ot.rules);
    if let Some(shadow) = &ot.shadow {
        text.one(SHADOW_REFUSED, shadow.refused.is_some().into());
        text.head(SHADOW_COMPARED);
        for (difference, metrics) in [
            ("same", shadow.same),
            ("newly_crosses", shadow.newly_crosses),
            ("no_longer_crosses", shadow.no_longer_crosses),
            ("otherwise", shadow.otherwise),
            ("unknown", shadow.unknown),
        ] {
            text.sample(SHADOW_COMPARED, &[("difference", difference)], metrics);
        }
    }
}

/// What each rule decided, and the windows: the rules of a small policy, or the first of a large one.
fn render_rules(text: &mut Text<'_>, rules: &[RuleStatus]) {
    let rules = || rules.iter().take(MAX_RULE_SERIES);
    let mut family = |family: Family, samples: Vec<(&RuleStatus, u64)>| {
        for (at, (rule, value)) in samples.into_iter().enumerate() {
            if at == 0 {
                text.head(family);
            }
            text.sample(family, &[("rule", &rule.rule), ("action", &rule.action)], value);
        }
    };
    // With those that are at zero: a counter that appears with a value has no rate.
    family(HITS, rules().map(|rule| (rule, rule.metrics)).collect());
    let seconds = |ms: u64| ms / 1_000;
    let last = rules().map(|rule| (rule, seconds(rule.last_ms.unwrap_or(0))));
    family(LAST_HIT, last.collect());
    let windows = || rules().filter_map(|rule| Some((rule, rule.window.as_ref()?)));
    family(WINDOW, windows().map(|(rule, window)| (rule, window.open.into())).collect());
    let changes = windows().filter_map(|(rule, window)| Some((rule, seconds(window.until_ms?))));
    family(WINDOW_CHANGE, changes.collect());
}

fn render_it(text: &mut Text<'_>, it: &ItStatus) {
    text.one(QUEUE_BYTES, it.queue_bytes);
    text.one(QUEUE_LIMIT, it.queue_limit_bytes);
    text.one(GAPS, it.gaps);
    text.one(JOURNAL_SEQ, it.journal_seq);
    text.one(LINK, u64::from(it.link == super::LINK_ALIVE));
    text.seconds(LAG, it.lag_ms);
    text.seconds(SILENCE, it.silent_ms);
    text.one(LOST, it.frames_lost);
    text.one(LATE, it.late_frames);
    text.one(UNCONFIRMED, it.unconfirmed_frames);
    text.one(BACKFILLED, it.backfilled);
    text.one(UNPLACEABLE, it.unplaceable);
    text.one(HEALED, it.healed);
    text.one(REBIRTHS, it.rebirths_answered);
    text.one(COMMANDS, it.commands_refused);
    if let Some(ot) = &it.ot {
        text.one(OT_CONNECTED, ot.broker_connected.into());
        text.seconds(OT_REPORT, ot.at_ms);
    }
}

struct Text<'a> {
    text: String,
    half: &'a str,
    relay: &'a str,
}

impl Text<'_> {
    /// A family with one series.
    fn one(&mut self, family: Family, value: u64) {
        self.with(family, &[], value);
    }

    fn with(&mut self, family: Family, labels: &[(&str, &str)], value: u64) {
        self.head(family);
        self.sample(family, labels, value);
    }

    /// A family with one series, of milliseconds in seconds.
    fn seconds(&mut self, family: Family, ms: u64) {
        self.head(family);
        self.series(family, &[]);
        let (seconds, ms) = (ms / 1_000, ms % 1_000);
        let _ = writeln!(self.text, " {seconds}.{ms:03}");
    }

    /// The same of a span that may be below nothing.
    fn signed_seconds(&mut self, family: Family, ms: i64) {
        self.head(family);
        self.series(family, &[]);
        let (sign, ms) = (if ms < 0 { "-" } else { "" }, ms.unsigned_abs());
        let _ = writeln!(self.text, " {sign}{}.{:03}", ms / 1_000, ms % 1_000);
    }

    fn head(&mut self, family: Family) {
        let Family { name, kind, help } = family;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, family: Family, labels: &[(&str, &str)], value: u64) {
        self.series(family, labels);
        let _ = writeln!(self.text, " {value}");
    }

    fn series(&mut self, family: Family, labels: &[(&str, &str)]) {
        let always = [("half", self.half), ("relay", self.relay)];
        self.text.push_str(family.name);
        for (at, (label, value)) in always.iter().chain(labels).enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            for letter in value.chars() {
                match letter {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    letter => self.text.push(letter),
                }
            }
            self.text.push('"');
        }
        self.text.push('}');
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::status::{
        CertificateStatus, ObservedStatus, OtReport, PolicyStatus, STATUS_FILE, ShadowStatus,
        WindowStatus,
    };

    fn status() -> Status {
        let drops = vec![DropStatus {
            reason: "denied".to_owned(),
            rule: Some("no-\"x\"\\\n".to_owned()),
            messages: 3,
            metrics: 4,
        }];
        let reasons = vec![DropStatus { rule: None, ..drops[0].clone() }];
        Status {
            half: "ot".to_owned(),
            relay: "r".to_owned(),
            written_ms: 1_234_567,
            policy: Some(PolicyStatus::default()),
            account: AccountStatus { drops, reasons, ..AccountStatus::default() },
            certificate: Some(CertificateStatus::default()),
            ot: Some(OtStatus {
                observed: vec![ObservedStatus::default()],
                rules: vec![RuleStatus {
                    window: Some(WindowStatus { open: true, until_ms: Some(7_000) }),
                    ..RuleStatus::default()
                }],
                shadow: Some(ShadowStatus::default()),
                shard: Some("2/4".to_owned()),
                ..OtStatus::default()
            }),
            it: Some(ItStatus { ot: Some(OtReport::default()), ..ItStatus::default() }),
            ..Status::default()
        }
    }

    #[test]
    fn every_family_is_rendered_with_help_and_type_before_its_series() {
        let mut status = status();
        let it = status.it.take();
        let ot_text = render(&status);
        status.ot = None;
        status.it = it;
        let it_text = render(&status);
        let mut seen = BTreeSet::new();
        for text in [&ot_text, &it_text] {
            let mut family = "";
            let mut of_text = BTreeSet::new();
            for line in text.lines() {
                if let Some(help) = line.strip_prefix("# HELP ") {
                    family = help.split(' ').next().unwrap();
                    assert!(of_text.insert(family), "{family} twice");
                } else if !line.starts_with("# TYPE ") {
                    assert!(
                        line.starts_with(&format!("{family}{{half=\"ot\",relay=\"r\"")),
                        "{line}"
                    );
                }
            }
            seen.extend(of_text.into_iter().map(str::to_owned));
        }
        let all: BTreeSet<String> = FAMILIES.iter().map(|family| family.name.to_owned()).collect();
        assert_eq!(seen, all);
        assert!(
            ot_text.contains("sparkdiode_status_time_seconds{half=\"ot\",relay=\"r\"} 1234.567\n")
        );
        assert!(ot_text.contains(",reason=\"denied\"} 3\n"), "{ot_text}");
        assert!(ot_text.contains(r#",rule="no-\"x\"\\\n",reason="denied"} 4"#), "{ot_text}");
    }

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        for Family { name, kind, help } in FAMILIES {
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(name.starts_with("sparkdiode_"), "{name}");
            assert!(help.ends_with('.') && !help.contains(['\\', '\n']), "{name}: {help}");
        }
        assert_eq!(STATUS_FILE, "status.json");
    }

    #[test]
    fn the_number_of_series_is_bounded() {
        let mut status = status();
        let drops = (0..10_000).map(|rule| DropStatus {
            reason: "rate".to_owned(),
            rule: Some(format!("rule-{rule}")),
            messages: 1,
            metrics: 1,
        });
        status.account.drops = drops.collect();
        assert!(render(&status).lines().count() < 1_000);
    }
}
