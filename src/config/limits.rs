//! `[limits]` of both halves: how large the parts of one message may be.

use diagnostic::Section;
use sparkplug::{Cap, Caps};

use super::reader::Reader;

/// Those of `ot.toml`; `it.toml` has all but the last one.
const KEYS: [&str; 9] = {
    let [metrics, members, properties, of_metric, cells, name, text, depth] = Cap::OF_BOTH;
    [
        key(metrics),
        key(members),
        key(properties),
        key(of_metric),
        key(cells),
        key(name),
        key(text),
        key(depth),
        key(Cap::InflatedBytes),
    ]
};

/// What it is called in the table.
const fn key(cap: Cap) -> &'static str {
    match cap.key_in_limits() {
        Some(key) => key,
        None => "",
    }
}

/// Reads `[limits]`; `defaults` are those that follow from the largest packet. The OT half alone
/// `inflates`: nothing in a journal is compressed.
pub(super) fn read(
    reader: &mut Reader,
    top: &mut Section<'_, '_>,
    defaults: &Caps,
    inflates: bool,
) -> Caps {
    let [of_both @ .., _] = &KEYS;
    let section = &mut reader.table(top, "limits", if inflates { &KEYS } else { of_both });
    let mut number = |cap: Cap, range: std::ops::RangeInclusive<usize>| {
        let key = key(cap);
        let default = defaults.of(cap).unwrap_or_default();
        let range = *range.start() as u64..=*range.end() as u64;
        let number = reader.number(section, key, range, default as u64);
        // It was bounded above, far below any `usize`.
        usize::try_from(number).unwrap_or(usize::MAX)
    };
    let caps = Caps {
        payload_bytes: defaults.payload_bytes,
        metrics: number(Cap::Metrics, 1_000..=Caps::MOST_METRICS),
        members: number(Cap::Members, 1..=Caps::MOST_METRICS),
        properties: number(Cap::Properties, 1_000..=20_000_000),
        metric_properties: number(Cap::MetricProperties, 1..=10_000),
        cells: number(Cap::Cells, 1_000..=20_000_000),
        // MQTT's topics, with the names in them, have no more.
        name_bytes: number(Cap::NameBytes, 64..=65_535),
        text_bytes: number(Cap::TextBytes, 1_024..=Caps::MOST_BYTES),
        depth: number(Cap::Depth, 1..=Caps::MAX_DEPTH),
        inflated_bytes: match inflates {
            true => number(Cap::InflatedBytes, 16_384..=Caps::MOST_BYTES),
            false => defaults.inflated_bytes,
        },
    };
    reader.close(section);
    caps
}
