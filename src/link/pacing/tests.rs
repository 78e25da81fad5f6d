//! Tests of `pacing`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::time::Duration;

use proptest::prelude::proptest;

use super::{BURST, Pace, Rates};

const MS: Duration = Duration::from_millis(1);

/// Sends as much as the pace allows until `end`, and looks whenever it says.
fn sent(rates: Rates, bytes: usize, end: Duration) -> u64 {
    let mut pace = Pace::new(rates);
    let mut now = Duration::ZERO;
    let mut packets = 0;
    while now < end {
        now = now.max(pace.ready_at());
        pace.take(now, bytes);
        packets += 1;
    }
    packets
}

#[test]
fn the_smaller_rate_rules() {
    let rates = Rates { bytes_per_s: 1_000_000, packets_per_s: 100_000 };
    let by_bytes = sent(rates, 1_000, Duration::from_secs(10));
    assert!((10_000..=10_004).contains(&by_bytes), "{by_bytes}");
    let by_packets = sent(rates, 1, Duration::from_secs(1));
    assert!((100_000..=100_202).contains(&by_packets), "{by_packets}");
}

#[test]
fn a_pause_saves_no_more_than_a_burst() {
    let mut pace = Pace::new(Rates { bytes_per_s: 1_000_000, packets_per_s: 1_000_000 });
    let now = Duration::from_secs(3_600);
    let mut at_once = 0;
    while pace.ready_at() <= now {
        pace.take(now, 100);
        at_once += 100;
    }
    assert!((2_000..=2_100).contains(&at_once), "{at_once}");
    assert!(pace.ready_at() <= now + MS);
}

#[test]
fn a_datagram_above_the_burst_goes_all_the_same() {
    let mut pace = Pace::new(Rates { bytes_per_s: 1_000, packets_per_s: 1_000 });
    assert_eq!(pace.ready_at(), Duration::ZERO);
    pace.take(Duration::ZERO, 1_400);
    assert_eq!(pace.ready_at(), 1_400 * MS - BURST);
    // A rate of nothing isn't the end of the arithmetic.
    let mut pace = Pace::new(Rates { bytes_per_s: 0, packets_per_s: 0 });
    pace.take(Duration::MAX, usize::MAX);
    assert!(pace.ready_at() > Duration::ZERO);
}

proptest! {
    #[test]
    fn no_stretch_has_more_than_its_rate_and_a_burst(
        bytes_per_s in 10_000..10_000_000_u64,
        packets_per_s in 10..100_000_u64,
        sizes in proptest::collection::vec((1..1_500_usize, 0..3_000_u64), 1..300),
    ) {
        let rates = Rates { bytes_per_s, packets_per_s };
        let mut pace = Pace::new(rates);
        let mut now = Duration::ZERO;
        let mut sent: Vec<(Duration, usize)> = Vec::new();
        for (bytes, pause) in sizes {
            now = (now + Duration::from_micros(pause)).max(pace.ready_at());
            pace.take(now, bytes);
            sent.push((now, bytes));
        }
        for (at, (begin, _)) in sent.iter().enumerate().step_by(17) {
            let mut bytes = 0;
            for (count, (end, size)) in (1..).zip(&sent[at..]) {
                bytes += *size as u64;
                let stretch = (*end - *begin + BURST).as_secs_f64();
                assert!(bytes as f64 <= stretch * bytes_per_s as f64 + *size as f64 + 1.0);
                assert!(f64::from(count) <= stretch * packets_per_s as f64 + 1.0);
            }
        }
    }
}
