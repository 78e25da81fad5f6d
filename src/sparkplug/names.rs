//! Metric names with a meaning of their own (Sparkplug 3.0 §6.4.8, §6.4.19).

use super::{DataType, EntityTopic, Metric, Payload, Value};

/// Birth/death sequence number: in every NBIRTH and NDEATH.
pub const BD_SEQ: &str = "bdSeq";
/// Asks an edge node for its births; announced in every NBIRTH.
pub const REBIRTH: &str = "Node Control/Rebirth";
/// Metrics of an edge node that take commands.
pub const NODE_CONTROL_PREFIX: &str = "Node Control/";
/// Metrics of a device that take commands.
pub const DEVICE_CONTROL_PREFIX: &str = "Device Control/";
/// Property that carries the quality of a value (Sparkplug 3.0 §6.4.8).
pub const QUALITY: &str = "Quality";
/// The quality of a value that isn't one.
pub const QUALITY_BAD: u32 = 0;
/// `uuid` of a payload whose `body` is a compressed payload (a convention of several libraries,
/// not in the specification).
pub const COMPRESSED_UUID: &str = "SPBV1.0_COMPRESSED";
/// Metric beside a compressed body that names the algorithm: `DEFLATE` or `GZIP`.
pub const ALGORITHM: &str = "algorithm";
/// Some libraries name the definition `_types_/X` and refer to it as `X`.
pub const TYPES_PREFIX: &str = "_types_/";

/// The birth/death sequence number of an NBIRTH or NDEATH, or `None` where it has none.
///
/// Libraries type it Int64 or UInt64, or leave the datatype away, so every integer value is
/// taken; it counts modulo 256, so the low eight bits are its value.
pub fn bd_seq(payload: &Payload) -> Option<u8> {
    let metric = payload.metrics.iter().find(|metric| metric.name.as_deref() == Some(BD_SEQ))?;
    bd_seq_of(metric)
}

/// Whether `name` announces commands that a one-way relay can't carry: `Node Control/*` except
/// `Node Control/Rebirth`, and `Device Control/*`.
pub fn is_control(name: &str) -> bool {
    (name.starts_with(NODE_CONTROL_PREFIX) && name != REBIRTH)
        || name.starts_with(DEVICE_CONTROL_PREFIX)
}

/// Whether a metric belongs to the session of an edge node rather than to its data: `bdSeq` and
/// `Node Control/Rebirth` of births and deaths. A relay tells its own.
pub fn is_own(topic: EntityTopic<'_>, name: &str) -> bool {
    topic.entity.device.is_none()
        && !topic.message_type.is_data()
        && (name == BD_SEQ || name == REBIRTH)
}

/// The number in a `bdSeq` metric.
pub fn bd_seq_of(metric: &Metric) -> Option<u8> {
    let number = match metric.value.as_ref()? {
        Value::Int(value) => u64::from(*value),
        Value::Long(value) => *value,
        _ => return None,
    };
    let [low, ..] = number.to_le_bytes();
    Some(low)
}

/// A `bdSeq` metric as it crosses: only the number and its time; the low eight bits, as a number
/// modulo 256 has no more.
pub fn bd_seq_as_it_crosses(metric: &Metric) -> Option<Metric> {
    let number = bd_seq_of(metric)?;
    Some(Metric {
        name: Some(BD_SEQ.into()),
        timestamp: metric.timestamp,
        datatype: Some(DataType::Int64.code()),
        value: Some(Value::Long(u64::from(number))),
        ..Metric::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn death(value: Option<Value>) -> Payload {
        let metric = Metric { name: Some(BD_SEQ.into()), value, ..Metric::default() };
        Payload { metrics: vec![Metric::default(), metric], ..Payload::default() }
    }

    #[test]
    fn bd_seq_is_read_from_any_integer_and_counts_modulo_256() {
        assert_eq!(bd_seq(&death(Some(Value::Long(7)))), Some(7));
        assert_eq!(bd_seq(&death(Some(Value::Int(255)))), Some(255));
        assert_eq!(bd_seq(&death(Some(Value::Long(256)))), Some(0));
        assert_eq!(bd_seq(&death(Some(Value::Long(u64::MAX)))), Some(255));
        assert_eq!(bd_seq(&death(Some(Value::Boolean(true)))), None);
        assert_eq!(bd_seq(&death(None)), None);
        assert_eq!(bd_seq(&Payload::default()), None);
    }

    #[test]
    fn only_rebirth_survives_of_the_control_metrics() {
        assert!(!is_control(REBIRTH));
        assert!(is_control("Node Control/Reboot"));
        assert!(is_control("Device Control/Rebirth"));
        assert!(!is_control("Node Controls"));
    }
}
