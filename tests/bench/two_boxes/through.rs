//! The whole relay over two boxes: edge nodes and a real broker in the plant's network, both ends of the link,
//! a real broker and hosts in the office's. Whatever happens to the cable or the ends, IT shows valid
//! sessions, at rest what the plant is, and what is missing for good is counted.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use two_networks::{Faults, Judged, Network, Options as LinkOptions, Outage, Through, Way, Wire};

use super::cases::Event;
use super::run::{Ends, happen, percentile};
use crate::options::{Options, output_dir};
use crate::table;

/// Edge nodes with a device each, beside the one of srad.
const EDGES: usize = 10;
/// The plant's messages.
const PER_S: u64 = 1_000;
/// How long all of it may take to be on IT, behind the last message.
const WITHIN: Duration = Duration::from_secs(120);
/// When the cable is back every entity is live again within so many seconds.
const LIVE_WITHIN_S: f64 = 2.0;
/// Stretches with the link and without, in turn.
const ROUNDS: usize = 3;
/// What the link may add, in milliseconds: p50 and p99.
const ADDED_MS: (f64, f64) = (1.0, 5.0);

struct Case {
    name: &'static str,
    event: Event,
    options: LinkOptions,
    seconds: u64,
}

impl Case {
    fn has_second_pass(&self) -> bool {
        self.options.share_percent > 0
    }
}

fn cases() -> Vec<Case> {
    let soon: &[_] = &[("second-pass", "after-s = 2\nwindow-s = 60")];
    let case = |name, event, overhead_percent, seconds| {
        let options = LinkOptions {
            overhead_percent,
            share_percent: 50,
            send: soon,
            ..LinkOptions::default()
        };
        Case { name, event, options, seconds }
    };
    let mut cases: Vec<Case> = [
        ("loss of 1 %", 10, 4),
        ("loss of 5 %", 50, 10),
        ("loss of 20 %", 200, 40),
        ("loss of 40 %", 400, 100),
    ]
    .into_iter()
    .map(|(name, lost, overhead)| case(name, Event::Loss(lost), overhead, 20))
    .collect();
    for (name, ms) in [("bursts of 5 ms", 5), ("bursts of 20 ms", 20), ("bursts of 50 ms", 50)] {
        cases.push(case(name, Event::Bursts(ms), 43, 20));
    }
    let faults = Faults { reorder: 100, doubled: 100, flipped: 10 };
    cases.push(case("reorder by 100, 1 % twice, 0.1 % flipped", Event::Wire(faults), 25, 20));
    let mut outage = case("cable out for 10 s", Event::Outage(Duration::from_secs(10)), 25, 30);
    (outage.options.share_percent, outage.options.send) = (20, &[]);
    cases.push(outage);
    cases.push(case("one of two paths cut 50 times", Event::Cuts(50), 25, 30));
    cases.push(case("kill -9 of either end, 200 times", Event::Kills(200), 25, 100));
    // Much is lost for good: keyframes heal it, and what nobody hears any more is counted.
    let mut alone = case("loss of 20 %, hardly any repair", Event::Loss(200), 4, 20);
    (alone.options.share_percent, alone.options.send) = (0, &[]);
    cases.push(alone);
    cases
}

/// What was measured.
struct Measured {
    judged: Judged,
    rest_s: Option<f64>,
    complete_s: Option<f64>,
    outage: Option<Outage>,
}

pub(super) fn run(options: &Options) -> Value {
    let mut rows = Vec::new();
    let mut results = Vec::new();
    for case in cases().into_iter().filter(|case| options.wants_case(case.name)) {
        let Some(measured) = measure(&case, &options.binary) else { return json!([]) };
        let faults = faults(&case, &measured);
        let Measured { judged, rest_s, complete_s, outage } = &measured;
        let came = told(&measured);
        println!("{}: {came}", case.name);
        faults.iter().for_each(|fault| println!("    {fault}"));
        let is_kept = if faults.is_empty() { "yes" } else { "no" };
        rows.push(vec![
            case.name.to_owned(),
            came,
            judged.came_back.to_string(),
            is_kept.to_owned(),
        ]);
        results.push(json!({
            "case": case.name, "said": judged.said, "late": judged.late, "twice": judged.twice, "again": judged.again,
            "missing": judged.missing, "lost_frames": judged.lost_frames,
            "told_frames": judged.told_frames,
            "dropped_on_it": judged.it_dropped, "waiting": judged.waiting, "rest_s": rest_s, "complete_s": complete_s,
            "of_outage": outage.map(|outage| outage.said),
            "of_outage_as_history": outage.map(|outage| outage.as_history),
            "live_after_s": outage.map(|outage| outage.live_after_s),
            "ms_p50": percentile(&judged.delays_ms, 0.5),
            "ms_p99": percentile(&judged.delays_ms, 0.99),
            "came_back": judged.came_back, "stopped": judged.stopped,
            "faults": faults, "violated": !faults.is_empty(),
        }));
    }
    if !rows.is_empty() {
        println!();
        let title = "from edge nodes to hosts over both boxes (packets of any kind that came back)";
        table::print(title, &["case", "on IT", "back", "kept"], &rows);
    }
    if options.wants_case(ADDED) {
        results.extend(added(&options.binary));
    }
    json!(results)
}

fn measure(case: &Case, binary: &Path) -> Option<Measured> {
    let paths = if matches!(case.event, Event::Cuts(_)) { 2 } else { 1 };
    let network = Arc::new(Network::lay(paths, matches!(case.event, Event::Wire(_))));
    if let Event::Loss(permille) = case.event {
        network.lose(permille);
    }
    let wire = match case.event {
        Event::Wire(faults) => Some(Wire::start(&network, 0, faults)),
        _ => None,
    };
    let (own, rig) = (Arc::clone(&network), (EDGES, true));
    let mut through = Through::start(binary, own, paths, &case.options, Way::Link, rig)?;
    let files = Arc::clone(&through.files);
    let mut ends = Ends::start(&files, &network);
    through.be_born();
    let is_over = AtomicBool::new(false);
    let mended = std::thread::scope(|scope| {
        let trouble = scope.spawn(|| happen(case.event, &network, &files, &mut ends, &is_over));
        through.speak(case.seconds * PER_S, PER_S, true);
        is_over.store(true, Ordering::Relaxed);
        trouble.join().unwrap()
    });
    let (rest_s, complete_s) = through.come_to_rest(WITHIN, case.has_second_pass());
    let outage = match (case.event, mended) {
        (Event::Outage(length), Some(mended)) => Some(through.outage(mended - length, mended)),
        _ => None,
    };
    ends.terminate();
    let judged = through.judge();
    // What all of them said is there afterwards, for whoever asks why.
    for end in ["ot", "send", "receive", "it"] {
        let log = output_dir().join(format!("through-{end}.log"));
        fs::write(log, format!("{}: {}", case.name, files.log(end))).unwrap();
    }
    if let Some(wire) = wire {
        wire.end();
    }
    Some(Measured { judged, rest_s, complete_s, outage })
}

/// What isn't as it is promised.
fn faults(case: &Case, measured: &Measured) -> Vec<String> {
    let Measured { judged, rest_s, complete_s, outage } = measured;
    let mut faults = Vec::new();
    let mut add = |is_fault: bool, what: String| {
        if is_fault {
            faults.push(what);
        }
    };
    let Judged { said, missing, twice, lost_frames, told_frames, came_back, .. } = judged;
    add(rest_s.is_none(), format!("not at rest: {:?}", judged.differences));
    add(!judged.differences.is_empty(), format!("at the end: {:?}", judged.differences));
    add(!judged.violations.is_empty(), format!("violations: {:?}", judged.violations));
    add(*twice > 0, format!("{twice} live twice"));
    let (uncounted, counted) = (judged.uncounted.len(), judged.it_dropped);
    let some = &judged.uncounted[..uncounted.min(5)];
    let is_silent = uncounted as u64 > counted;
    add(is_silent, format!("{uncounted} missing, {counted} of them counted: {some:?}"));
    add(lost_frames != told_frames, format!("{lost_frames} frames lost, {told_frames} told"));
    add(*came_back > 0, format!("{came_back} packets came back"));
    // Where nobody listens the kernel answers, and the firewall is what stops that.
    let is_away = matches!(case.event, Event::Kills(_));
    add(!is_away && judged.stopped > 0, format!("{} packets tried to leave", judged.stopped));
    match case.has_second_pass() {
        true => add(complete_s.is_none(), format!("{missing} of {said} missing")),
        false => add(*missing == 0, "nothing was lost: that proves nothing".to_owned()),
    }
    if let Some(Outage { said, as_history, live_after_s }) = outage {
        add(as_history != said, format!("of the outage only {as_history} of {said} as history"));
        add(*live_after_s > LIVE_WITHIN_S, format!("live after {live_after_s:.1} s"));
    }
    faults
}

fn told(measured: &Measured) -> String {
    let Measured { judged, rest_s, complete_s, outage } = measured;
    let seconds = |at: &Option<f64>| at.map_or("never".to_owned(), |at| format!("{at:.1} s"));
    let Judged { said, late, again, missing, lost_frames, .. } = judged;
    let mut text = format!(
        "{said} said, {late} as history, {again} again as such, equal after {}",
        seconds(rest_s)
    );
    text += &match (missing, lost_frames) {
        (0, 0) => format!(", all there after {}", seconds(complete_s)),
        _ => format!(
            ", {missing} missing ({lost_frames} frames lost, {} messages dropped on IT)",
            judged.it_dropped
        ),
    };
    if let Some(Outage { said, as_history, live_after_s }) = outage {
        text += &format!(
            "; of the outage {as_history} of {said} as history, live {live_after_s:.2} s after it"
        );
    }
    text
}

const ADDED: &str = "added latency at 1,000/s";

/// What the link adds, end to end: the same with a link and with one journal for both halves, in turn.
fn added(binary: &Path) -> Option<Value> {
    let mut rounds: [Vec<(f64, f64)>; 2] = Default::default();
    for _ in 0..ROUNDS {
        for (way, rounds) in [Way::Link, Way::Disk].into_iter().zip(&mut rounds) {
            let network = Arc::new(Network::lay(1, false));
            let (own, rig) = (Arc::clone(&network), (EDGES, false));
            let mut through = Through::start(binary, own, 1, &LinkOptions::default(), way, rig)?;
            let ends = (way == Way::Link).then(|| Ends::start(&through.files, &network));
            through.be_born();
            let begin = Instant::now();
            through.speak(10 * PER_S, PER_S, false);
            let took_s = begin.elapsed().as_secs_f64();
            through.come_to_rest(WITHIN, true);
            ends.into_iter().for_each(|mut ends| ends.terminate());
            let judged = through.judge();
            let delays = &judged.delays_ms;
            let figures = (percentile(delays, 0.5), percentile(delays, 0.99));
            println!(
                "{ADDED}, {way:?}: p50 / p99 {:.2} / {:.2} ms ({} messages in {took_s:.1} s)",
                figures.0, figures.1, judged.said
            );
            rounds.push(figures);
        }
    }
    let middle = |figures: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = figures.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let [(link_p50, link_p99), (disk_p50, disk_p99)] =
        rounds.map(|figures| (middle(&figures, |one| one.0), middle(&figures, |one| one.1)));
    let (p50, p99) = (link_p50 - disk_p50, link_p99 - disk_p99);
    println!(
        "{ADDED}, medians: over the link {link_p50:.2} / {link_p99:.2} ms, on one disk {disk_p50:.2} / \
         {disk_p99:.2} ms: {p50:.2} / {p99:.2} ms more"
    );
    Some(json!({
        "case": ADDED, "link_ms_p50": link_p50, "link_ms_p99": link_p99, "disk_ms_p50": disk_p50,
        "disk_ms_p99": disk_p99, "violated": p50 > ADDED_MS.0 || p99 > ADDED_MS.1,
    }))
}
