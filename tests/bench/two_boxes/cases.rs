//! What happens to the cable, and what is promised then.

use std::time::Duration;

use two_networks::{Faults, Options};

/// A cable, what goes over it, and the promise.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) frames: u64,
    pub(crate) frame_bytes: usize,
    /// `None`: all of them are there before the ends start.
    pub(crate) frames_per_s: Option<u64>,
    pub(crate) options: Options,
    pub(crate) event: Event,
    /// How long the rest may take behind the last frame.
    pub(crate) complete_within: Duration,
    pub(crate) promise: Promise,
}

/// What happens meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Nothing,
    /// So many of a thousand datagrams are lost.
    Loss(u32),
    /// The cable is out for so many milliseconds, once in a second.
    Bursts(u64),
    Wire(Faults),
    /// The cable is out for so long, in the middle.
    Outage(Duration),
    /// One of two cables is cut, and comes back, so many times.
    Cuts(u32),
    /// The ends are killed in turn, so many times.
    Kills(u32),
}

/// What has to hold besides: nothing is lost for good, nothing is there twice, nothing comes back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Promise {
    /// Bytes of repair per byte of source.
    Overhead(f64),
    Flips,
    Late,
    Complete,
    /// Gb/s of payload, or CPU seconds of both per GB of it.
    Throughput(f64, f64),
    /// Milliseconds from one journal to the other: p50 and p99.
    Latency(f64, f64),
}

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) frames: u64,
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    pub(crate) different: u64,
    pub(crate) late: u64,
    pub(crate) overhead: f64,
    pub(crate) seconds: f64,
    pub(crate) complete_after_s: f64,
    pub(crate) cpu_send_s: f64,
    pub(crate) cpu_receive_s: f64,
    pub(crate) payload_bytes: u64,
    pub(crate) ms_p50: f64,
    pub(crate) ms_p99: f64,
    pub(crate) flipped: u64,
    pub(crate) foreign: u64,
    pub(crate) overflowed: u64,
    pub(crate) came_back: u64,
    /// What the receiving side's firewall had to stop: nothing, while the receiving end runs.
    pub(crate) stopped: u64,
}

impl Measured {
    fn gbit_per_s(&self) -> f64 {
        self.payload_bytes as f64 * 8.0 / self.seconds / 1e9
    }

    fn cpu_per_gb(&self) -> f64 {
        (self.cpu_send_s + self.cpu_receive_s) / (self.payload_bytes as f64 / 1e9)
    }
}

impl Case {
    pub(crate) fn is_kept(&self, measured: &Measured) -> bool {
        let Measured { lost, twice, different, came_back, stopped, .. } = measured;
        // Where nobody listens the kernel answers, and the firewall is what stops that.
        let is_away = matches!(self.event, Event::Kills(_));
        lost + twice + different + came_back == 0
            && (is_away || *stopped == 0)
            && match self.promise {
                Promise::Overhead(most) => measured.overhead <= most,
                Promise::Flips => measured.flipped > 0 && measured.foreign == measured.flipped,
                Promise::Late => measured.late > 0,
                Promise::Complete => true,
                Promise::Throughput(least, cpu) => {
                    measured.gbit_per_s() >= least || measured.cpu_per_gb() <= cpu
                }
                Promise::Latency(p50, p99) => measured.ms_p50 <= p50 && measured.ms_p99 <= p99,
            }
    }

    pub(crate) fn goal(&self) -> String {
        match self.promise {
            Promise::Overhead(most) => format!("0 lost at ≤ {:.0} %", most * 100.0),
            Promise::Flips => "0 lost, 0 twice, all flips counted".to_owned(),
            Promise::Late => format!("complete within {} s", self.complete_within.as_secs()),
            Promise::Complete => "0 lost, 0 twice".to_owned(),
            Promise::Throughput(least, cpu) => format!("≥ {least} Gb/s or ≤ {cpu} CPU s/GB"),
            Promise::Latency(p50, p99) => format!("p50 / p99 ≤ {p50} / {p99} ms"),
        }
    }

    pub(crate) fn told(&self, measured: &Measured) -> String {
        let Measured { lost, twice, late, flipped, foreign, .. } = measured;
        let counts = format!("{lost} lost, {twice} twice");
        match self.promise {
            Promise::Overhead(_) => format!("{counts} at {:.1} %", measured.overhead * 100.0),
            Promise::Flips => format!("{counts}, {foreign} of {flipped} flips counted"),
            Promise::Late => {
                format!("{counts}, {late} late, after {:.0} s", measured.complete_after_s)
            }
            Promise::Complete => {
                format!("{counts}, {late} late, {:.1} s", measured.complete_after_s)
            }
            Promise::Throughput(..) => format!(
                "{counts}, {:.2} Gb/s, {:.2} CPU s/GB (send {:.2}, receive {:.2})",
                measured.gbit_per_s(),
                measured.cpu_per_gb(),
                measured.cpu_send_s / (measured.payload_bytes as f64 / 1e9),
                measured.cpu_receive_s / (measured.payload_bytes as f64 / 1e9),
            ),
            Promise::Latency(..) => {
                format!("{counts}, {:.2} / {:.2} ms", measured.ms_p50, measured.ms_p99)
            }
        }
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let plain = |name, event, promise| Case {
        name,
        frames: 1_000_000,
        frame_bytes: 300,
        frames_per_s: Some(20_000),
        options: Options::default(),
        event,
        complete_within: Duration::from_secs(10),
        promise,
    };
    let mut cases = Vec::new();
    // The least that is enough: source datagrams aren't always full, those of repair are.
    for (name, lost, percent, most) in [
        ("loss of 1 %", 10, 3, 0.04),
        ("loss of 5 %", 50, 9, 0.1),
        ("loss of 20 %", 200, 36, 0.4),
        ("loss of 40 %", 400, 90, 1.0),
    ] {
        let mut case = plain(name, Event::Loss(lost), Promise::Overhead(most));
        case.options.overhead_percent = percent;
        cases.push(case);
    }
    for (name, ms) in [("bursts of 5 ms", 5), ("bursts of 20 ms", 20), ("bursts of 50 ms", 50)] {
        let mut case = plain(name, Event::Bursts(ms), Promise::Overhead(0.5));
        (case.frames, case.frames_per_s) = (300_000, Some(10_000));
        case.options.overhead_percent = 38;
        cases.push(case);
    }
    let faults = Faults { reorder: 100, doubled: 100, flipped: 10 };
    let name = "reorder by 100, 1 % twice, 0.1 % flipped";
    cases.push(plain(name, Event::Wire(faults), Promise::Flips));
    let mut outage =
        plain("cable out for 10 s", Event::Outage(Duration::from_secs(10)), Promise::Late);
    (outage.frames, outage.frames_per_s) = (30_000, Some(1_000));
    outage.options.share_percent = 20;
    outage.complete_within = Duration::from_secs(120);
    cases.push(outage);
    let mut cuts = plain("one of two paths cut 50 times", Event::Cuts(50), Promise::Complete);
    (cuts.frames, cuts.frames_per_s) = (30_000, Some(1_000));
    cases.push(cuts);
    let mut kills = plain("kill -9 of either end, 200 times", Event::Kills(200), Promise::Complete);
    (kills.frames, kills.frames_per_s) = (100_000, Some(1_000));
    kills.options.share_percent = 50;
    kills.options.send = &[("second-pass", "after-s = 2\nwindow-s = 60")];
    kills.complete_within = Duration::from_secs(120);
    cases.push(kills);
    // Nobody would hold the sending end back: a pace is for what the receiving end can take.
    for (name, mb_per_s) in [("3 kB frames at 100 MB/s", 100), ("3 kB frames at 400 MB/s", 400)] {
        let mut fast = plain(name, Event::Nothing, Promise::Throughput(2.0, 4.0));
        (fast.frames, fast.frame_bytes, fast.frames_per_s) = (400_000, 3_000, None);
        fast.options.bytes_per_s = mb_per_s * 1_000_000;
        fast.options.packets_per_s = mb_per_s * 1_000;
        fast.complete_within = Duration::from_secs(60);
        cases.push(fast);
    }
    let mut prompt = plain("1,000 frames/s", Event::Nothing, Promise::Latency(1.0, 5.0));
    (prompt.frames, prompt.frames_per_s) = (20_000, Some(1_000));
    cases.push(prompt);
    cases
}
