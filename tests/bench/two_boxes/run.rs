//! One case from the first frame to the comparison of both journals.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use journal_read::compare;
use two_networks::{End, Files, Found, Network, Plant, Tail, Wire};

use super::cases::{Case, Event, Measured};

/// Between one burst and the next.
const BURST_EVERY: Duration = Duration::from_secs(1);
/// How long a cut cable stays cut, and then whole.
const CUT: Duration = Duration::from_millis(250);
/// Between one kill and the next.
const KILL_EVERY: Duration = Duration::from_millis(300);

/// Both ends, of which one may be away for a moment.
pub(super) struct Ends {
    send: Option<End>,
    receive: Option<End>,
    /// CPU of those that were killed.
    gone: (f64, f64),
}

impl Ends {
    pub(super) fn start(files: &Files, network: &Network) -> Ends {
        let receive = Some(files.start_receive(network));
        Ends { send: Some(files.start_send(network)), receive, gone: (0.0, 0.0) }
    }

    /// What a status says last is written as an end ends.
    pub(super) fn terminate(&mut self) {
        self.send.take().unwrap().terminate();
        self.receive.take().unwrap().terminate();
    }

    fn cpu_s(&self) -> (f64, f64) {
        let of = |end: &Option<End>| end.as_ref().map_or(0.0, End::cpu_s);
        (self.gone.0 + of(&self.send), self.gone.1 + of(&self.receive))
    }
}

pub(crate) fn run(case: &Case, binary: &Path) -> Measured {
    let paths = if matches!(case.event, Event::Cuts(_)) { 2 } else { 1 };
    let network = Arc::new(Network::lay(paths, matches!(case.event, Event::Wire(_))));
    let files = Files::new(binary, &network, paths, &case.options);
    if let Event::Loss(permille) = case.event {
        network.lose(permille);
    }
    let wire = match case.event {
        Event::Wire(faults) => Some(Wire::start(&network, 0, faults)),
        _ => None,
    };
    let mut plant = Plant::new(&files.path("journal"), case.frame_bytes);
    if case.frames_per_s.is_none() {
        plant.write(case.frames, None, |_| {});
    }
    let mut ends =
        Ends { receive: Some(files.start_receive(&network)), send: None, gone: (0.0, 0.0) };
    let tail = Tail::start(files.path("received"));
    let begin = Instant::now();
    ends.send = Some(files.start_send(&network));
    let is_over = AtomicBool::new(false);
    let mended = std::thread::scope(|scope| {
        let trouble = scope.spawn(|| happen(case.event, &network, &files, &mut ends, &is_over));
        if case.frames_per_s.is_some() {
            plant.write(case.frames, case.frames_per_s, |_| {});
        }
        is_over.store(true, Ordering::Relaxed);
        trouble.join().unwrap()
    });
    let written = Instant::now();
    // Numbers begin with 1; heads of segments have some too.
    let frames = plant.times.len() as u64 - 1;
    tail.wait_for(frames, case.complete_within);
    let (seconds, since_last) = (begin.elapsed().as_secs_f64(), written.elapsed().as_secs_f64());
    let (cpu_send_s, cpu_receive_s) = ends.cpu_s();
    ends.terminate();
    let found = tail.end();
    let comparison = compare(&files.path("journal"), &files.path("received")).unwrap();
    let number = |end, place| files.status(end, place).as_u64().unwrap_or(0);
    let source = number("send", "/send/source_bytes");
    let delays = delays_ms(&plant, &found);
    Measured {
        frames,
        lost: match comparison.range {
            Some(_) => comparison.missing_in_other.frames + comparison.newer,
            None => frames,
        },
        twice: found.twice,
        different: comparison.different.frames,
        late: found.late,
        overhead: number("send", "/send/repair_bytes") as f64 / source.max(1) as f64,
        seconds,
        complete_after_s: mended.map_or(since_last, |mended| filled_s(&plant, &found, mended)),
        cpu_send_s,
        cpu_receive_s,
        payload_bytes: frames * case.frame_bytes as u64,
        ms_p50: percentile(&delays, 0.5),
        ms_p99: percentile(&delays, 0.99),
        flipped: wire.map_or(0, |wire| wire.end().flipped),
        foreign: number("receive", "/receive/datagrams/foreign"),
        overflowed: number("receive", "/receive/overflowed"),
        came_back: network.came_back(),
        stopped: network.stopped(),
    }
}

/// What happens to the cable and to the ends while frames are written; when an outage was over.
pub(super) fn happen(
    event: Event,
    network: &Network,
    files: &Files,
    ends: &mut Ends,
    is_over: &AtomicBool,
) -> Option<Instant> {
    match event {
        Event::Nothing | Event::Loss(_) | Event::Wire(_) => {}
        Event::Bursts(ms) => {
            while !is_over.load(Ordering::Relaxed) {
                std::thread::sleep(BURST_EVERY);
                network.burst(Duration::from_millis(ms));
            }
        }
        Event::Outage(length) => {
            std::thread::sleep(Duration::from_secs(5));
            network.cable(0, false);
            std::thread::sleep(length);
            network.cable(0, true);
            return Some(Instant::now());
        }
        Event::Cuts(count) => {
            for cut in 0..count as usize {
                network.cable(cut % 2, false);
                std::thread::sleep(CUT);
                network.cable(cut % 2, true);
                std::thread::sleep(CUT);
            }
        }
        Event::Kills(count) => {
            for kill in 0..count {
                std::thread::sleep(KILL_EVERY);
                let (send, receive) = ends.cpu_s();
                if kill % 2 == 0 {
                    ends.send.take().unwrap().kill();
                    ends.gone.0 = send;
                    ends.send = Some(files.start_send(network));
                } else {
                    ends.receive.take().unwrap().kill();
                    ends.gone.1 = receive;
                    ends.receive = Some(files.start_receive(network));
                }
            }
        }
    }
    None
}

/// Until the last of the frames was there that were written before a moment, in seconds since then.
fn filled_s(plant: &Plant, found: &Found, moment: Instant) -> f64 {
    let both = plant.times.iter().zip(&found.times);
    let before = both.filter(|(sent, _)| sent.is_some_and(|sent| sent < moment));
    let last = before.filter_map(|(_, came)| *came).max();
    last.map_or(0.0, |last| last.saturating_duration_since(moment).as_secs_f64())
}

/// Of ascending values.
pub(super) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}

/// From one journal to the other, ascending.
fn delays_ms(plant: &Plant, found: &Found) -> Vec<f64> {
    let both = plant.times.iter().zip(&found.times);
    let mut delays: Vec<f64> = both
        .filter_map(|(sent, came)| Some((*came)?.duration_since((*sent)?).as_secs_f64() * 1e3))
        .collect();
    delays.sort_by(f64::total_cmp);
    delays
}
