//! Numbers at their bounds.

use super::*;

#[test]
fn numbers_are_accepted_up_to_their_bounds_and_no_further() {
    let cases = [
        ("[broker]", "keep-alive-s", 5_i64, 3_600_i64, true),
        ("[broker]", "max-packet-bytes", 16_384, 67_108_864, true),
        ("[journal]", "segment-bytes", 65_536, 2_684_354_560, true),
        ("[journal]", "retain-bytes", 268_435_456, 1 << 50, true),
        ("[journal]", "retain-age-h", 1, 87_600, true),
        ("[relay]", "keyframe-every-s", 5, 3_600, true),
        ("[relay]", "reorder-timeout-ms", 0, 60_000, true),
        ("[relay]", "doubt-after-s", 5, 604_800, true),
        ("[relay]", "gather-ms", 0, 100, true),
        ("[relay]", "max-nodes", 1, 100_000, true),
        ("[relay]", "max-devices-per-node", 1, 100_000, true),
        ("[limits]", "metrics-per-payload", 1_000, 2_000_000, true),
        ("[limits]", "members-per-template", 1, 2_000_000, true),
        ("[limits]", "properties-per-payload", 1_000, 20_000_000, true),
        ("[limits]", "properties-per-metric", 1, 10_000, true),
        ("[limits]", "cells-per-payload", 1_000, 20_000_000, true),
        ("[limits]", "name-bytes", 64, 65_535, true),
        ("[limits]", "text-bytes", 1_024, 67_108_864, true),
        ("[limits]", "nesting", 1, 32, true),
        ("[limits]", "inflated-bytes", 16_384, 67_108_864, true),
        ("[limits]", "metrics-per-payload", 1_000, 2_000_000, false),
        ("[limits]", "name-bytes", 64, 65_535, false),
        ("[mirror]", "stale-after-s", 3, 3_600, false),
        ("[mirror]", "rebirth-min-interval-ms", 100, 600_000, false),
        ("[mirror]", "confirm-every-ms", 100, 60_000, false),
        ("[mirror]", "gather-ms", 0, 1_000, false),
        ("[mirror]", "data-qos", 0, 1, false),
        ("[mirror]", "connects-per-s", 1, 10_000, false),
        ("[mirror]", "max-nodes", 1, 100_000, false),
        ("[mirror]", "max-devices-per-node", 1, 100_000, false),
        ("[backfill]", "messages-per-s", 1, 1_000_000, false),
    ];
    for (table, key, least, most, is_ot) in cases {
        let fits = |number: i64| {
            let text = if is_ot { OT } else { IT };
            let text = text.replacen(table, &format!("{table}\n{key} = {number}"), 1);
            if is_ot { ot(&text).is_ok() } else { it(&text).is_ok() }
        };
        assert!(fits(least) && fits(most), "{key}");
        assert!(!fits(least - 1) && !fits(most + 1) && !fits(i64::MIN), "{key}");
    }
}
