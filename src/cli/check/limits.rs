//! Whether the IT half takes what the OT half may write, by the limits of both.

use config::{ItConfig, OtConfig};

/// What is wrong, and what helps.
pub(super) struct Finding {
    pub(super) title: String,
    pub(super) help: String,
}

/// Compares the limits of both halves.
pub(super) fn compare(ot: &OtConfig, it: &ItConfig) -> Vec<Finding> {
    let (from, to) = (&ot.limits, &it.limits);
    let mut found = Vec::new();
    let (written, taken) = (from.relayed_bytes(), to.payload_bytes);
    if taken < written {
        found.push(Finding {
            title: format!(
                "the IT half takes smaller payloads than the OT half may write: \
                 `max-packet-bytes` is {taken}"
            ),
            help: format!(
                "with `max-packet-bytes = {}` in `ot.toml` it needs {written}: a birth grows when \
                 aliases become names",
                ot.broker.max_packet_bytes
            ),
        });
    }
    let pairs = [
        ("metrics-per-payload", from.metrics, to.metrics),
        ("members-per-template", from.members, to.members),
        ("properties-per-payload", from.properties, to.properties),
        ("properties-per-metric", from.metric_properties, to.metric_properties),
        ("cells-per-payload", from.cells, to.cells),
        ("name-bytes", from.name_bytes, to.name_bytes),
        ("text-bytes", from.text_bytes, to.text_bytes),
        ("nesting", from.depth, to.depth),
    ];
    for (key, written, taken) in pairs {
        if taken < written {
            found.push(Finding {
                title: format!(
                    "the IT half refuses what the OT half lets through: `[limits] {key}` is {taken}"
                ),
                help: format!("`ot.toml` has {written}: give `it.toml` as many"),
            });
        }
    }
    found
}
