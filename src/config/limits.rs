//! `[limits]` of both halves: how large the parts of one message may be.

use diagnostic::Section;
use sparkplug::Caps;

use super::reader::Reader;

/// The keys of both files, and one of `ot.toml`.
const KEYS: &[&str] = &[
    "metrics-per-payload",
    "members-per-template",
    "properties-per-payload",
    "properties-per-metric",
    "cells-per-payload",
    "name-bytes",
    "text-bytes",
    "nesting",
    "inflated-bytes",
];

/// Reads `[limits]`; `defaults` are those that follow from the largest packet. The OT half alone
/// `inflates`: nothing in a journal is compressed.
pub(super) fn read(
    reader: &mut Reader,
    top: &mut Section<'_, '_>,
    defaults: &Caps,
    inflates: bool,
) -> Caps {
    let section = &mut reader.table(top, "limits", if inflates { KEYS } else { but_last(KEYS) });
    let mut number = |key, range: std::ops::RangeInclusive<usize>, default: usize| {
        let range = *range.start() as u64..=*range.end() as u64;
        let number = reader.number(section, key, range, default as u64);
        // It was bounded above, far below any `usize`.
        usize::try_from(number).unwrap_or(usize::MAX)
    };
    let caps = Caps {
        payload_bytes: defaults.payload_bytes,
        metrics: number("metrics-per-payload", 1_000..=Caps::MOST_METRICS, defaults.metrics),
        members: number("members-per-template", 1..=Caps::MOST_METRICS, defaults.members),
        properties: number("properties-per-payload", 1_000..=20_000_000, defaults.properties),
        metric_properties: number("properties-per-metric", 1..=10_000, defaults.metric_properties),
        cells: number("cells-per-payload", 1_000..=20_000_000, defaults.cells),
        // MQTT's topics, with the names in them, have no more.
        name_bytes: number("name-bytes", 64..=65_535, defaults.name_bytes),
        text_bytes: number("text-bytes", 1_024..=Caps::MOST_BYTES, defaults.text_bytes),
        depth: number("nesting", 1..=Caps::MAX_DEPTH, defaults.depth),
        inflated_bytes: match inflates {
            true => number("inflated-bytes", 16_384..=Caps::MOST_BYTES, defaults.inflated_bytes),
            false => defaults.inflated_bytes,
        },
    };
    reader.close(section);
    caps
}

const fn but_last<T>(list: &'static [T]) -> &'static [T] {
    match list {
        [rest @ .., _] => rest,
        [] => list,
    }
}
