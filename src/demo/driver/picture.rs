//! What the screen shows of this moment.

use std::collections::BTreeMap;
use std::time::Duration;

use account::Reason;
use journal_format::Heartbeat;
use text::{counted_grouped, grouped};

use super::Demo;
use super::between::Between;
use crate::host::NodeView;
use crate::plant::Treatment;
use crate::relay::Half;
use crate::view::{Cable, Drop as DropLine, HalfView, Row, Side, View, percentile};

/// Latencies of late that the screen shows.
const RECENT_LATENCIES: usize = 2_000;

impl Demo {
    pub(super) fn view(&mut self, now: Duration) -> View<'_> {
        let reports = self.plant.reports();
        let host = self.enterprise.host();
        let seen = host.nodes();
        let counts: Vec<u64> = self
            .plant
            .nodes()
            .iter()
            .flat_map(|spec| {
                let plant = reports.get(spec.name).map_or(0, |report| report.data);
                [plant, seen.get(spec.name).map_or(0, |node| node.data)]
            })
            .collect();
        let rates = self.history.rates(now, counts);
        let mut rates = rates.into_iter();
        let mut rows = Vec::new();
        for spec in self.plant.nodes() {
            let (plant_rate, it_rate) = (rates.next().unwrap_or(0.0), rates.next().unwrap_or(0.0));
            let report = reports.get(spec.name).cloned().unwrap_or_default();
            let born = report.born_at.is_some();
            let node = seen.get(spec.name);
            rows.push(Row {
                name: spec.name,
                plant: Side {
                    state: state(born, report.alive),
                    devices: spec.devices.len(),
                    metrics: spec.metrics(),
                    rate: plant_rate,
                    seq: born.then_some(report.seq),
                },
                it: Side {
                    state: state(node.is_some(), node.is_some_and(|node| node.alive)),
                    devices: node.map_or(0, NodeView::devices),
                    metrics: node.map_or(0, NodeView::metrics),
                    rate: it_rate,
                    seq: node.map(NodeView::seq),
                },
                note: note(spec.treatment, node, report.alive),
            });
        }
        let latencies = host.latencies_us(RECENT_LATENCIES);
        let (violations, first_violation) =
            (host.violation_count, host.violations.first().cloned());
        drop(host);
        let heartbeat = self.journal.heartbeat.clone().unwrap_or_default();
        let [ot_usage, it_usage] = self.usage;
        let half = |half: &Half, usage, note| HalfView {
            name: half.name,
            pid: half.pid(),
            usage,
            ended: None,
            note,
        };
        let read = match &self.between {
            None => self.journal.frames,
            Some(Between { received, .. }) => received.frames.saturating_add(received.late),
        };
        let mut halves = vec![
            half(
                &self.ot,
                ot_usage,
                format!(
                    "received {}, forwarded {}",
                    grouped(heartbeat.received),
                    grouped(heartbeat.forwarded)
                ),
            ),
            half(&self.it, it_usage, format!("journal: {}", counted_grouped(read, "frame"))),
        ];
        if let Some(Between { send, receive, received, usage, packets, .. }) = &self.between {
            let (sent, came_back) = *packets;
            let sent = format!(
                "{} sent, {} came back",
                counted_grouped(sent, "packet"),
                grouped(came_back)
            );
            let taken = format!(
                "{}, {} late",
                counted_grouped(received.frames, "frame"),
                grouped(received.late)
            );
            let ends = [half(send, usage[0], sent), half(receive, usage[1], taken)];
            halves.splice(1..1, ends);
        }
        let cable = self.between.as_ref().map(|between| Cable {
            cut_for: between.cut_for(now),
            missing: self.missing(),
            came_back: between.packets.1,
            has_key: self.keys.is_some(),
        });
        View {
            elapsed: now.saturating_sub(self.began),
            run_for: self.options.run_for,
            ot_broker: self.ot_broker.address(),
            it_broker: self.it_broker.address(),
            rows,
            halves,
            drops: drop_lines(&heartbeat),
            attempts: &self.attempts.all,
            latency: (percentile(&latencies, 50), percentile(&latencies, 99)),
            violations,
            first_violation,
            cable,
        }
    }
}

fn note(treatment: Treatment, node: Option<&NodeView>, alive: bool) -> String {
    match (treatment, node) {
        (Treatment::Denied, None) => "denied".into(),
        (Treatment::Denied, Some(_)) => "LEAKED".into(),
        (Treatment::Limited, _) => "rate-limited".into(),
        (Treatment::Forwarded, Some(node)) if node.rebirths > 0 => {
            counted_grouped(node.rebirths, "rebirth")
        }
        (Treatment::Forwarded, Some(node)) if node.deaths > 0 && alive => {
            format!("back, bdSeq {}", node.bd_seq().unwrap_or_default())
        }
        _ => String::new(),
    }
}

fn state(known: bool, alive: bool) -> &'static str {
    match (known, alive) {
        (false, _) => "–",
        (true, true) => "alive",
        (true, false) => "dead",
    }
}

/// The OT half's own account of what it dropped, most first.
pub(super) fn drop_lines(heartbeat: &Heartbeat) -> Vec<DropLine> {
    let meanings: BTreeMap<&str, &'static str> =
        Reason::ALL.iter().map(|reason| (reason.name(), reason.meaning())).collect();
    let mut lines: Vec<DropLine> = heartbeat
        .dropped
        .iter()
        .filter(|dropped| dropped.messages > 0 || dropped.metrics > 0)
        .map(|dropped| DropLine {
            reason: dropped.reason.clone(),
            messages: dropped.messages,
            metrics: dropped.metrics,
            meaning: meanings.get(dropped.reason.as_str()).copied().unwrap_or_default(),
        })
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse((line.messages, line.metrics)));
    lines
}
