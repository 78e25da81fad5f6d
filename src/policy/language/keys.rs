//! The keys of a rule: readers of other tables know them for hints about misplaced ones.

/// The keys of a rule, for hints about misplaced ones.
pub(crate) const RULE_KEYS: &[&str] = &[
    "name",
    "description",
    "action",
    "topic",
    "group",
    "edge-node",
    "device",
    "node-only",
    "allow-metrics",
    "deny-metrics",
    "redact-metrics",
    "datatypes",
    "rate",
    "shape",
    "metric",
    "priority",
    "mode",
    "not-before",
    "not-after",
    "weekly",
    "strip-prefix",
    "add-prefix",
];
