//! What a line of the log looks like: an event with a value for each of its fields.

use telemetry::{Event, Halves, Record};

/// When the lines of examples happened.
const AT: &str = "2026-11-22T13:27:23.123Z";

/// The line of an event as stderr has it; `values` are those of some fields, and an empty one
/// leaves the field out.
pub(super) fn line(event: Event, values: &[(&str, &str)]) -> String {
    let entry = event.entry();
    let half = match entry.halves {
        Halves::It | Halves::Readers => "it",
        Halves::Ot | Halves::Both | Halves::All => "ot",
        Halves::Send | Halves::Ends => "send",
        Halves::Receive => "receive",
    };
    let mut record = Record::new(std::time::UNIX_EPOCH, event);
    for field in entry.fields {
        let own = values.iter().find(|(name, _)| *name == field.name).map(|(_, value)| *value);
        match own.unwrap_or_else(|| value_of(field.name)) {
            "" => {}
            value => record.add(field.name, value),
        }
    }
    format!("{AT} {:>5} {half}: {} {}", entry.severity.level(), entry.msgid, record.message())
}

/// A value that a field could have.
fn value_of(field: &str) -> &'static str {
    match field {
        "node" | "standing" | "gave_way" | "most" => "Plant1/Line4",
        "entity" => "Plant1/Line4/Oven1",
        "device" => "Oven1",
        "topic" | "birth" => "spBv1.0/Plant1/NDATA/Line4",
        "metric" => "Temperature/Oil",
        "broker" | "target" => "10.10.0.5:8883",
        "addresses" => "10.10.0.6:8883, 10.10.0.7:8883",
        "before" => "10.10.0.5:8883",
        "client_id" => "sparkdiode-ot-plant-a",
        "host" => "scada1",
        "error" | "why" => "connection refused (111)",
        "reason" => "no_rule",
        "reasons" => "OT broker not connected",
        "health" => "warning",
        "rule" | "rules" => "line4-temperatures",
        "per" => "rule",
        "open" | "retained" | "session_present" | "online" => "true",
        "action" => "forward",
        "limit" => "metrics",
        "key" => "metrics-per-payload",
        "problem" => "60000 of 50000",
        "certificate" | "file" | "files" => "/etc/sparkdiode/credentials/ot/client.pem",
        "kept" | "moved_to" => "/var/lib/sparkdiode/ot/set-aside.capture",
        "expires" | "until" | "first_at" | "last_at" => "2026-12-24T17:00:00Z",
        "days_left" => "9",
        "pause_ms" | "away_ms" | "behind_ms" => "2000",
        "version" => env!("CARGO_PKG_VERSION"),
        "policy" => "8f14e45fceea167a",
        "signers" => "alice, bob",
        "user" | "group" => "sparkdiode-ot",
        "waived" | "layer" => "landlock-tcp",
        "landlock" => "2",
        "level" => "dialled",
        "got" => "String",
        "wanted" => "Float",
        "filters" | "missing" => "spBv1.0/Plant1/+/Line4",
        "what" => "journal",
        "cause" => "the OT half is silent",
        "place" => "src/it/mirror/births.rs:120",
        "words" => "a node without a layout",
        "hint" => "sparkdiode check /etc/sparkdiode/ot.toml",
        "bd_seq" => "6",
        "seq" | "first" => "4711",
        "last" => "4720",
        "numbers" => "17, 203",
        "bytes" | "birth_bytes" | "largest" | "budget" => "812345",
        "exit" => "78",
        "dropped" => "no_rule=12/40",
        _ => "12",
    }
}
