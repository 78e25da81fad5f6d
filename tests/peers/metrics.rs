//! Metrics and payloads for the peers of the tests, without ceremony.

use prost::Message;
use sparkplug::{DataType, Metric, Payload, Template, Value};

use crate::waiting::now_ms;

/// A metric with name, datatype, value and the present time: as in a birth.
pub fn metric(name: &str, datatype: DataType, value: Value) -> Metric {
    Metric {
        name: Some(name.into()),
        timestamp: Some(now_ms()),
        datatype: Some(datatype.code()),
        value: Some(value),
        ..Metric::default()
    }
}

pub fn int(name: &str, value: u32) -> Metric {
    metric(name, DataType::Int32, Value::Int(value))
}

pub fn string(name: &str, value: &str) -> Metric {
    metric(name, DataType::String, Value::String(value.into()))
}

pub fn template(name: &str, value: Template) -> Metric {
    metric(name, DataType::Template, Value::Template(Box::new(value)))
}

/// The metric as it is in data: without datatype.
pub fn untyped(mut metric: Metric) -> Metric {
    metric.datatype = None;
    metric
}

/// A command that asks for a rebirth.
pub fn rebirth_command() -> Vec<u8> {
    command("Node Control/Rebirth", Value::Boolean(true))
}

pub fn command(name: &str, value: Value) -> Vec<u8> {
    let metric = Metric {
        name: Some(name.into()),
        timestamp: Some(now_ms()),
        value: Some(value),
        ..Metric::default()
    };
    let payload =
        Payload { timestamp: Some(now_ms()), metrics: vec![metric], ..Payload::default() };
    payload.encode_to_vec()
}

/// The value of an integer metric.
pub fn number(metric: &Metric) -> Option<u64> {
    match metric.value {
        Some(Value::Int(value)) => Some(u64::from(value)),
        Some(Value::Long(value)) => Some(value),
        _ => None,
    }
}
