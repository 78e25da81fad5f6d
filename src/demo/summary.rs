//! The end of the demo: what was seen, in figures, and a list of checks that can fail.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::time::Duration;

use journal_format::Heartbeat;
use text::{counted_grouped, grouped};

use super::at_rest::AtRest;
use super::attempts::{Attempt, Kind};
use super::broker::Sent;
use super::downtime::Downtime;
use super::driver::LinkEnding;
use super::host::{Host, NodeView};
use super::plant::{CLIENT_PREFIX, MORTAL, NodeReport, NodeSpec, Reports, Treatment};
use super::relay::{JournalView, Usage};
use super::screen::milliseconds;
use super::view::{Drop, cut, percentile};

/// Both sides must show a death or a birth within this time.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);
/// Differences that are printed; all are counted.
const MAX_PRINTED: usize = 5;
const MAX_DETAIL: usize = 160;

/// Everything that is known at the end.
pub(super) struct Ending<'a> {
    pub(super) began: Duration,
    pub(super) elapsed: Duration,
    pub(super) nodes: &'a [NodeSpec],
    pub(super) reports: &'a Reports,
    pub(super) host: &'a Host,
    pub(super) at_rest: AtRest,
    pub(super) heartbeat: Option<&'a Heartbeat>,
    pub(super) drops: Vec<Drop>,
    pub(super) journal: &'a JournalView,
    pub(super) attempts: &'a [Attempt],
    pub(super) downtimes: &'a [Downtime],
    pub(super) ot_broker: BTreeMap<String, Sent>,
    pub(super) commands_arrived: u64,
    pub(super) usage: [Option<Usage>; 2],
    pub(super) statuses: [Option<ExitStatus>; 2],
    /// Between two boxes.
    pub(super) link: Option<LinkEnding>,
    /// How the halves were confined.
    pub(super) confinement: String,
    /// The last table.
    pub(super) table: Vec<String>,
}

/// The text and the verdict.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) text: String,
    pub(super) passed: bool,
    failed: usize,
    checks: usize,
}

impl Summary {
    pub(super) fn new(ending: &Ending) -> Summary {
        let mut summary = Summary::default();
        for line in &ending.table {
            summary.line(line.trim_end());
        }
        summary.line("");
        summary.line(&format!("Summary after {:.1} s", ending.elapsed.as_secs_f64()));
        summary.line("");
        summary.figures(ending);
        summary.line("");
        summary.line("Checks");
        summary.check_host(ending);
        summary.check_relay(ending);
        if let Some(link) = &ending.link {
            summary.check_link(link);
        }
        summary.check_attempts(ending);
        summary.line("");
        summary.passed = summary.failed == 0;
        summary.line(&match summary.failed {
            0 => format!("All {} checks hold.", summary.checks),
            1 => format!("1 of {} checks FAILED.", summary.checks),
            failed => format!("{failed} of {} checks FAILED.", summary.checks),
        });
        summary
    }

    /// The end of the log of a half.
    pub(super) fn add_log(&mut self, name: &str, lines: &[String]) {
        self.line("");
        self.line(&format!("The end of {name}.log:"));
        for line in lines {
            self.line(&format!("  {line}"));
        }
    }

    /// Where everything lies.
    pub(super) fn add_place(&mut self, place: &str) {
        self.line("");
        self.line(place);
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn figure(&mut self, name: &str, text: &str) {
        self.line(&format!("  {name:<16}{text}"));
    }

    fn check(&mut self, holds: bool, what: &str, measured: &str) {
        self.checks = self.checks.saturating_add(1);
        let word = if holds { "ok    " } else { "FAILED" };
        if !holds {
            self.failed = self.failed.saturating_add(1);
        }
        let separator = if measured.is_empty() { "" } else { ": " };
        self.line(&format!("  {word}  {what}{separator}{measured}"));
    }

    /// The first few of `count` details.
    fn details(&mut self, details: &[String], count: u64) {
        for detail in details.iter().take(MAX_PRINTED) {
            self.line(&format!("            {}", cut(detail, MAX_DETAIL)));
        }
        let more = count.saturating_sub(details.len().min(MAX_PRINTED) as u64);
        if more > 0 {
            self.line(&format!("            and {} more", grouped(more)));
        }
    }

    fn figures(&mut self, ending: &Ending) {
        let sum = |count: fn(&NodeReport) -> u64| {
            ending.reports.values().map(count).fold(0, u64::saturating_add)
        };
        let devices: usize = ending.nodes.iter().map(|node| node.devices.len()).sum();
        let defined: usize = ending.nodes.iter().map(NodeSpec::metrics).sum();
        self.figure(
            "the plant",
            &format!(
                "{} edge nodes, {devices} devices, {} metrics; {} messages, {} values",
                ending.nodes.len(),
                grouped(defined as u64),
                grouped(sum(|report| report.messages)),
                grouped(sum(|report| report.metrics)),
            ),
        );
        let seen = ending.host.nodes();
        let count =
            |count: fn(&NodeView) -> u64| seen.values().map(count).fold(0, u64::saturating_add);
        self.figure(
            "IT saw",
            &format!(
                "{}: {}, {}, {}, {}",
                counted_grouped(seen.len(), "edge node"),
                counted_grouped(count(|node| node.data), "data message"),
                counted_grouped(count(|node| node.births), "birth"),
                counted_grouped(count(|node| node.rebirths), "rebirth"),
                counted_grouped(count(|node| node.deaths), "death"),
            ),
        );
        let latencies = ending.host.latencies_us(usize::MAX);
        self.figure(
            "latency",
            &format!(
                "plant to host p50 {}, p99 {}, of {} without rate limit",
                milliseconds(percentile(&latencies, 50)),
                milliseconds(percentile(&latencies, 99)),
                counted_grouped(latencies.len(), "message"),
            ),
        );
        if let Some((us, topic, at)) = &ending.host.slowest {
            let at = at.saturating_sub(ending.began).as_secs_f64();
            self.figure("", &format!("largest {}: {topic}, {at:.1} s in", milliseconds(Some(*us))));
        }
        let halves = ["OT half", "IT half"].into_iter().zip(ending.usage);
        let ends =
            ending.link.iter().flat_map(|link| ["send", "receive"].into_iter().zip(link.usage));
        for (name, usage) in halves.chain(ends) {
            let Some(usage) = usage else { continue };
            let megabytes = usage.resident_bytes as f64 / 1e6;
            self.figure(name, &format!("{:.2} s of CPU, {megabytes:.0} MB of memory", usage.cpu_s));
        }
        self.figure("sealed", &ending.confinement);
        self.figure(
            "journal",
            &format!(
                "{}, of which {} and {}",
                counted_grouped(ending.journal.frames, "frame"),
                counted_grouped(ending.journal.relayed, "message"),
                counted_grouped(ending.journal.keyframes, "keyframe")
            ),
        );
        if let Some(link) = &ending.link {
            let out: Duration = link.cuts.iter().sum();
            self.figure(
                "the cable",
                &format!(
                    "cut {}, for {:.1} s in all; {} came late, {} as history",
                    counted_grouped(link.cuts.len(), "time"),
                    out.as_secs_f64(),
                    counted_grouped(link.late, "frame"),
                    counted_grouped(count(|node| node.historical), "message"),
                ),
            );
        }
    }

    fn check_host(&mut self, ending: &Ending) {
        let host = ending.host;
        self.check(
            host.violation_count == 0,
            "the strict host finds nothing against the specification",
            &counted_grouped(host.violation_count, "violation"),
        );
        self.details(&host.violations, host.violation_count);
        let denied: Vec<&str> = ending
            .nodes
            .iter()
            .filter(|node| node.treatment == Treatment::Denied)
            .map(|node| node.name)
            .filter(|name| host.nodes().contains_key(*name))
            .collect();
        self.check(denied.is_empty(), "the denied edge node was never seen", &denied.join(", "));
        let rest = &ending.at_rest;
        self.check(
            rest.births_wrong.is_empty(),
            "births are what the policy lets through, to the metric",
            &format!("{} edge nodes and devices", rest.births),
        );
        self.details(&rest.births_wrong, rest.births_wrong.len() as u64);
        let (published, seen) = rest.data;
        self.check(
            rest.lost == 0 && rest.repeated == 0 && seen > 0 && seen <= published,
            "no data message was lost, none came twice",
            &format!(
                "{} published, {} seen, {}{} in births",
                grouped(published),
                grouped(seen),
                match rest.made_up {
                    0 => String::new(),
                    made_up => format!("{} late, ", grouped(made_up)),
                },
                grouped(
                    published
                        .saturating_sub(seen)
                        .saturating_sub(rest.lost)
                        .saturating_sub(rest.made_up)
                )
            ),
        );
        let (published, seen) = rest.limited;
        self.check(
            seen < published && seen > 0,
            "the chatty edge node was slowed down",
            &format!("{} published, {} seen", grouped(published), grouped(seen)),
        );
        self.check(
            rest.values_wrong.is_empty() && rest.values > 0,
            "at rest IT shows the values of the plant",
            &format!("{} compared", grouped(rest.values as u64)),
        );
        self.details(&rest.values_wrong, rest.values_wrong.len() as u64);
        let downs = ending.downtimes.iter();
        let downs = downs.filter(|down| down.died_at.is_some() && !down.is_disturbed);
        self.check_shown("die", downs.clone().map(|down| down.death_seen_after));
        self.check_shown("come back", downs.map(|down| down.birth_seen_after));
        let alive: Vec<&str> = host
            .nodes()
            .iter()
            .filter(|(_, node)| node.alive)
            .map(|(name, _)| name.as_str())
            .collect();
        self.check(
            alive.is_empty(),
            "the IT half declared every edge node dead before it left",
            &alive.join(", "),
        );
    }

    /// That IT saw [`MORTAL`] do something in time, each time.
    fn check_shown(&mut self, what: &str, after: impl Iterator<Item = Option<Duration>>) {
        let after: Vec<Option<Duration>> = after.collect();
        // A demo that was ended early may not have come to it.
        if after.is_empty() {
            return;
        }
        let times = counted_grouped(after.len(), "time");
        let slowest = match after.iter().min().copied().flatten() {
            None => "not always".to_owned(),
            Some(_) => {
                let slowest = after.iter().flatten().max().copied().unwrap_or_default();
                format!("after at most {} ms", slowest.as_millis())
            }
        };
        self.check(
            after.iter().all(|after| after.is_some_and(|after| after <= SHOWN_WITHIN)),
            &format!("IT saw {MORTAL} {what} within 2 s"),
            &format!("{times}, {slowest}"),
        );
    }

    fn check_relay(&mut self, ending: &Ending) {
        let relay = ending.ot_broker.iter().filter(|(id, _)| !id.starts_with(CLIENT_PREFIX));
        let mut sent = Sent::default();
        let mut clients = 0_usize;
        for (_, client) in relay {
            clients = clients.saturating_add(1);
            sent.publishes = sent.publishes.saturating_add(client.publishes);
            sent.wills = sent.wills.saturating_add(client.wills);
            sent.acknowledgements = sent.acknowledgements.saturating_add(client.acknowledgements);
            sent.connects = sent.connects.saturating_add(client.connects);
            sent.subscribes = sent.subscribes.saturating_add(client.subscribes);
        }
        self.check(
            clients == 1 && sent.publishes == 0 && sent.wills == 0,
            "the relay published nothing on OT and left no will",
            &format!(
                "{} CONNECT, {} SUBSCRIBE, {} PUBACK",
                sent.connects,
                sent.subscribes,
                grouped(sent.acknowledgements)
            ),
        );
        self.check(
            ending.commands_arrived == 0,
            "no command arrived in the plant",
            &format!("{} arrived", ending.commands_arrived),
        );
        let beat = ending.heartbeat.cloned().unwrap_or_default();
        let dropped = ending.drops.iter().map(|drop| drop.messages).fold(0, u64::saturating_add);
        let balance = beat.forwarded.saturating_add(dropped).saturating_add(beat.waiting);
        self.check(
            beat.received == balance && beat.received > 0,
            "the OT half's account balances",
            &format!(
                "{} = {} forwarded + {} dropped + {} waiting",
                grouped(beat.received),
                grouped(beat.forwarded),
                grouped(dropped),
                grouped(beat.waiting)
            ),
        );
        let published = ending.reports.values().map(|report| report.messages);
        let published = published.fold(0, u64::saturating_add);
        // Every death of the demo is a broken connection, whose will the broker sends.
        let wills = ending.downtimes.iter().filter(|down| down.died_at.is_some()).count() as u64;
        self.check(
            beat.received == published.saturating_add(wills),
            "the OT half received what the plant published",
            &format!(
                "{} and {}",
                counted_grouped(published, "message"),
                counted_grouped(wills, "will")
            ),
        );
        self.check(
            ending.journal.lost == 0,
            "the journal is without a gap",
            &format!("{} lost", counted_grouped(ending.journal.lost, "frame")),
        );
        for (name, status) in ["OT", "IT"].into_iter().zip(ending.statuses) {
            let ended = status.map_or("had to be killed".to_owned(), |status| status.to_string());
            self.check(
                status.is_some_and(|status| status.success()),
                &format!("the {name} half ended in order"),
                &ended,
            );
        }
    }

    fn check_link(&mut self, link: &LinkEnding) {
        let (sent, came_back) = link.packets;
        self.check(
            came_back == 0 && sent > 0,
            "nothing came back over the cable",
            &format!(
                "{} one way, {} the other",
                counted_grouped(sent, "packet"),
                grouped(came_back)
            ),
        );
        self.check(
            link.difference.is_none() && link.equal > 0,
            "both boxes have the same journal, frame by frame",
            &link.difference.clone().unwrap_or_else(|| counted_grouped(link.equal, "frame")),
        );
        for (name, status) in &link.ended {
            let ended = status.map_or("had to be killed".to_owned(), |status| status.to_string());
            self.check(
                status.is_some_and(|status| status.success()),
                &format!("the {name} end ended in order"),
                &ended,
            );
        }
    }

    fn check_attempts(&mut self, ending: &Ending) {
        for attempt in ending.attempts {
            let what = match attempt.kind {
                Kind::Write => "a write never arrives in the plant",
                Kind::Rebirth => "a request for a rebirth never arrives in the plant",
                Kind::Retained => "a command left for an absent node never arrives",
            };
            // A demo that was ended early didn't come to all of them.
            if let Some(passed) = attempt.passed() {
                self.check(passed, what, &attempt.outcome());
            }
        }
    }
}
