//! One moment of the demo, as the screen and the summary show it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::Duration;

use super::attempts::Attempt;
use super::relay::Usage;

/// Rates are those of this time back.
const RATE_OVER: Duration = Duration::from_secs(2);

/// Everything that is shown.
pub(super) struct View<'a> {
    pub(super) elapsed: Duration,
    pub(super) run_for: Option<Duration>,
    pub(super) ot_broker: SocketAddr,
    pub(super) it_broker: SocketAddr,
    pub(super) rows: Vec<Row>,
    pub(super) halves: Vec<HalfView>,
    pub(super) drops: Vec<Drop>,
    pub(super) attempts: &'a [Attempt],
    /// Median and 99th percentile of late, in microseconds.
    pub(super) latency: (Option<u32>, Option<u32>),
    pub(super) violations: u64,
    pub(super) first_violation: Option<String>,
    /// Between two boxes.
    pub(super) cable: Option<Cable>,
}

/// The cable between two boxes.
pub(super) struct Cable {
    /// For how long it has been out.
    pub(super) cut_for: Option<Duration>,
    /// Frames that one box has and the other hasn't.
    pub(super) missing: u64,
    /// Packets that came back.
    pub(super) came_back: u64,
    /// Somebody can cut it.
    pub(super) has_key: bool,
}

/// One edge node on both sides.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) plant: Side,
    pub(super) it: Side,
    pub(super) note: String,
}

/// One edge node on one side.
pub(super) struct Side {
    /// `alive`, `dead`, or `–` where it was never seen.
    pub(super) state: &'static str,
    pub(super) devices: usize,
    pub(super) metrics: usize,
    /// Data messages per second.
    pub(super) rate: f64,
    pub(super) seq: Option<u8>,
}

/// One half of the relay.
pub(super) struct HalfView {
    pub(super) name: &'static str,
    pub(super) pid: u32,
    pub(super) usage: Option<Usage>,
    pub(super) ended: Option<ExitStatus>,
    pub(super) note: String,
}

/// One line of the OT half's account.
pub(super) struct Drop {
    pub(super) reason: String,
    pub(super) messages: u64,
    pub(super) metrics: u64,
    pub(super) meaning: &'static str,
}

impl View<'_> {
    /// Messages that were dropped, for whatever reason.
    pub(super) fn dropped_messages(&self) -> u64 {
        self.drops.iter().fold(0, |sum, drop| sum.saturating_add(drop.messages))
    }
}

/// Recent counts, to compute rates from.
#[derive(Debug, Default)]
pub(super) struct History {
    counts: VecDeque<(Duration, Vec<u64>)>,
    last: Vec<f64>,
    frozen: bool,
}

impl History {
    /// Takes the counts of now, in an order that is always the same, and returns their rates
    /// per second.
    pub(super) fn rates(&mut self, now: Duration, counts: Vec<u64>) -> Vec<f64> {
        if self.frozen {
            return self.last.clone();
        }
        while self.counts.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= RATE_OVER) {
            self.counts.pop_front();
        }
        let rates = match self.counts.front() {
            Some((at, earlier)) if now > *at => {
                let elapsed = now.saturating_sub(*at).as_secs_f64();
                let gained = |(now, earlier): (&u64, &u64)| now.saturating_sub(*earlier) as f64;
                counts.iter().zip(earlier).map(|pair| gained(pair) / elapsed).collect()
            }
            _ => vec![0.0; counts.len()],
        };
        self.counts.push_back((now, counts));
        self.last.clone_from(&rates);
        rates
    }

    /// From now on the rates stay as they are.
    pub(super) fn freeze(&mut self) {
        self.frozen = true;
    }
}

/// The value below which `percent` per cent of the sorted values are.
pub(super) fn percentile(sorted: &[u32], percent: usize) -> Option<u32> {
    let last = sorted.len().checked_sub(1)?;
    let place = last.saturating_mul(percent).div_ceil(100);
    sorted.get(place).copied()
}

/// The text, cut to `width` characters.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(percentile(&[7], 99), Some(7));
        let values: Vec<u32> = (0..=100).collect();
        assert_eq!(percentile(&values, 50), Some(50));
        assert_eq!(percentile(&values, 99), Some(99));
    }

    #[test]
    fn rates_look_back_two_seconds() {
        let mut history = History::default();
        assert_eq!(history.rates(Duration::from_secs(1), vec![5]), [0.0]);
        assert_eq!(history.rates(Duration::from_secs(2), vec![15]), [10.0]);
        history.rates(Duration::from_secs(3), vec![15]);
        history.rates(Duration::from_secs(4), vec![15]);
        assert_eq!(history.rates(Duration::from_secs(5), vec![15]), [0.0]);
    }
}
