//! One JSON object per frame, with everything that is in it, for auditors' tools.

use journal_format::{Body, Frame};
use journal_read::Lost;
use serde_json::{Map, Value as Json, json};
use sparkplug::value::{self, Typed};
use sparkplug::{
    CellValue, DataSet, DataType, Metric, Parameter, ParameterValue, Payload, Property,
    PropertySet, PropertyValue, Template, Value,
};
use text::format_utc_ms;

use super::layout::Message;

/// `{"seq": …, "kind": "start" | "message" | "keyframe" | "heartbeat" | "unknown", …}`
pub(super) fn frame(frame: &Frame, message: Option<&Message<'_>>, is_late: bool) -> Json {
    let mut object = Map::new();
    object.insert("seq".into(), frame.seq.into());
    object.insert("epoch".into(), frame.epoch.into());
    object.insert("time".into(), format_utc_ms(frame.appended_ms).into());
    object.insert("appended_ms".into(), frame.appended_ms.into());
    object.insert("in_head".into(), frame.in_head.into());
    if is_late {
        object.insert("late".into(), true.into());
    }
    let (kind, body, bytes): (_, _, &[u8]) = match &frame.body {
        None => ("unknown", json!({}), &[]),
        Some(Body::Start(start)) => {
            let body = json!({
                "relay_name": start.relay_name,
                "start_epoch": start.epoch,
                "version": start.version,
                "policy_digest": start.policy_digest,
                "policy_version": start.policy_version,
                "policy_signers": start.policy_signers,
                "keyframe_every_s": start.keyframe_every_s,
            });
            ("start", body, &[])
        }
        Some(Body::Relayed(relayed)) => {
            let body = json!({
                "source": relayed.source,
                "topic": relayed.topic,
                "received_ms": relayed.received_ms,
                "loss_before": relayed.loss_before,
                "losses": relayed.losses,
                "synthetic": relayed.synthetic,
                "withdrawn": relayed.withdrawn,
            });
            ("message", body, &relayed.payload)
        }
        Some(Body::Keyframe(keyframe)) => {
            let body = json!({
                "source": keyframe.source,
                "topic": keyframe.topic,
                "uncertain": keyframe.uncertain,
                "losses": keyframe.losses,
                "devices": keyframe.devices,
            });
            ("keyframe", body, &keyframe.payload)
        }
        // The reader gives data by names.
        Some(Body::Data(data)) => ("data", json!({"layout": data.layout}), &[]),
        Some(Body::Heartbeat(heartbeat)) => {
            let dropped = heartbeat.dropped.iter().map(|line| {
                json!({"reason": line.reason, "messages": line.messages, "metrics": line.metrics})
            });
            let body = json!({
                "ot_connected": heartbeat.ot_connected,
                "ot_away_ms": heartbeat.ot_away_ms,
                "received": heartbeat.received,
                "forwarded": heartbeat.forwarded,
                "waiting": heartbeat.waiting,
                "nodes": heartbeat.nodes,
                "policy_digest": heartbeat.policy_digest,
                "dropped": dropped.collect::<Vec<_>>(),
            });
            ("heartbeat", body, &[])
        }
    };
    object.insert("kind".into(), kind.into());
    if let Json::Object(body) = body {
        object.extend(body);
    }
    match message.map(|message| (message, &message.payload)) {
        None => {}
        Some((_, Err(error))) => {
            object.insert("undecodable".into(), error.to_string().into());
            object.insert("payload".into(), hex(bytes).into());
        }
        Some((message, Ok(payload))) => {
            object.insert("payload".into(), payload_of(message, payload));
        }
    }
    Json::Object(object)
}

/// `{"kind": "lost", "first": …, "last": …, "cause": …}`
pub(super) fn lost(lost: &Lost) -> Json {
    json!({
        "kind": "lost",
        "first": lost.first,
        "last": lost.last,
        "frames": lost.frames(),
        "cause": lost.cause.name(),
    })
}

fn payload_of(message: &Message<'_>, payload: &Payload) -> Json {
    let metrics = payload.metrics.iter().map(|metric| metric_of(metric, message.datatype(metric)));
    let mut object = Map::new();
    put(&mut object, "timestamp", payload.timestamp);
    put(&mut object, "seq", payload.seq);
    put(&mut object, "uuid", payload.uuid.clone());
    put(&mut object, "body", payload.body.as_deref().map(hex));
    object.insert("metrics".into(), metrics.collect::<Vec<_>>().into());
    Json::Object(object)
}

/// Recursion (templates) is bounded by the depth that was decoded.
fn metric_of(metric: &Metric, datatype: Option<DataType>) -> Json {
    let mut object = Map::new();
    put(&mut object, "name", metric.name.clone());
    put(&mut object, "alias", metric.alias);
    put(&mut object, "timestamp", metric.timestamp);
    match datatype {
        Some(datatype) => put(&mut object, "datatype", Some(datatype.name())),
        None => put(&mut object, "datatype_code", metric.datatype),
    }
    put(&mut object, "is_historical", metric.is_historical);
    put(&mut object, "is_transient", metric.is_transient);
    put(&mut object, "is_null", metric.is_null);
    if let Some(metadata) = &metric.metadata {
        let mut fields = Map::new();
        put(&mut fields, "is_multi_part", metadata.is_multi_part);
        put(&mut fields, "content_type", metadata.content_type.clone());
        put(&mut fields, "size", metadata.size);
        put(&mut fields, "seq", metadata.seq);
        put(&mut fields, "file_name", metadata.file_name.clone());
        put(&mut fields, "file_type", metadata.file_type.clone());
        put(&mut fields, "md5", metadata.md5.clone());
        put(&mut fields, "description", metadata.description.clone());
        object.insert("metadata".into(), Json::Object(fields));
    }
    if let Some(properties) = &metric.properties {
        object.insert("properties".into(), property_set_of(properties));
    }
    if let Some(value) = &metric.value {
        let typed = datatype.and_then(|datatype| value::read(datatype, value));
        let shown = typed.map_or_else(|| raw_of(value), |typed| typed_of(&typed));
        object.insert("value".into(), shown);
    }
    Json::Object(object)
}

fn typed_of(typed: &Typed<'_>) -> Json {
    match typed {
        Typed::Signed(value) | Typed::DateTime(value) => (*value).into(),
        Typed::Unsigned(value) => (*value).into(),
        Typed::Float(value) => float_of(*value),
        Typed::Double(value) => double_of(*value),
        Typed::Boolean(value) => (*value).into(),
        Typed::String(value) => (*value).into(),
        Typed::DataSet(value) => data_set_of(value),
        Typed::Bytes(value) => hex(value).into(),
        Typed::Template(value) => template_of(value),
        Typed::SignedArray(values) | Typed::DateTimeArray(values) => values.clone().into(),
        Typed::UnsignedArray(values) => values.clone().into(),
        Typed::FloatArray(values) => values.iter().copied().map(float_of).collect(),
        Typed::DoubleArray(values) => values.iter().copied().map(double_of).collect(),
        Typed::BooleanArray(values) => values.clone().into(),
        Typed::StringArray(values) => values.clone().into(),
    }
}

/// A value whose datatype isn't known, or that doesn't fit it: the bits as they are.
fn raw_of(value: &Value) -> Json {
    match value {
        Value::Int(value) => (*value).into(),
        Value::Long(value) => (*value).into(),
        Value::Float(value) => float_of(*value),
        Value::Double(value) => double_of(*value),
        Value::Boolean(value) => (*value).into(),
        Value::String(value) => value.as_str().into(),
        Value::Bytes(value) => hex(value).into(),
        Value::DataSet(value) => data_set_of(value),
        Value::Template(value) => template_of(value),
    }
}

fn data_set_of(table: &DataSet) -> Json {
    let rows = table.rows.iter().map(|row| {
        let cells = row.elements.iter().map(|cell| match &cell.value {
            None => Json::Null,
            Some(CellValue::Int(value)) => (*value).into(),
            Some(CellValue::Long(value)) => (*value).into(),
            Some(CellValue::Float(value)) => float_of(*value),
            Some(CellValue::Double(value)) => double_of(*value),
            Some(CellValue::Boolean(value)) => (*value).into(),
            Some(CellValue::String(value)) => value.as_str().into(),
        });
        cells.collect::<Json>()
    });
    let types = table.types.iter().map(|code| datatype_name(Some(*code)));
    json!({
        "columns": table.columns,
        "types": types.collect::<Vec<_>>(),
        "rows": rows.collect::<Vec<_>>(),
    })
}

fn template_of(template: &Template) -> Json {
    let mut object = Map::new();
    put(&mut object, "version", template.version.clone());
    put(&mut object, "template_ref", template.template_ref.clone());
    put(&mut object, "is_definition", template.is_definition);
    let metrics = template
        .metrics
        .iter()
        .map(|metric| metric_of(metric, metric.datatype.and_then(DataType::from_code)));
    object.insert("metrics".into(), metrics.collect::<Vec<_>>().into());
    let parameters = template.parameters.iter().map(parameter_of);
    object.insert("parameters".into(), parameters.collect::<Vec<_>>().into());
    Json::Object(object)
}

fn parameter_of(parameter: &Parameter) -> Json {
    let value = match &parameter.value {
        None => Json::Null,
        Some(ParameterValue::Int(value)) => (*value).into(),
        Some(ParameterValue::Long(value)) => (*value).into(),
        Some(ParameterValue::Float(value)) => float_of(*value),
        Some(ParameterValue::Double(value)) => double_of(*value),
        Some(ParameterValue::Boolean(value)) => (*value).into(),
        Some(ParameterValue::String(value)) => value.as_str().into(),
    };
    json!({"name": parameter.name, "datatype": datatype_name(parameter.r#type), "value": value})
}

fn property_set_of(set: &PropertySet) -> Json {
    // Keys may repeat: a list of pairs keeps all of them.
    let pairs = set.keys.iter().zip(&set.values).map(|(key, property)| {
        json!({
            "key": key,
            "datatype": datatype_name(property.r#type),
            "value": property_of(property),
        })
    });
    pairs.collect()
}

fn property_of(property: &PropertyValue) -> Json {
    match &property.value {
        _ if property.is_null == Some(true) => Json::Null,
        None => Json::Null,
        Some(Property::Int(value)) => (*value).into(),
        Some(Property::Long(value)) => (*value).into(),
        Some(Property::Float(value)) => float_of(*value),
        Some(Property::Double(value)) => double_of(*value),
        Some(Property::Boolean(value)) => (*value).into(),
        Some(Property::String(value)) => value.as_str().into(),
        Some(Property::Set(set)) => property_set_of(set),
        Some(Property::SetList(list)) => list.sets.iter().map(property_set_of).collect(),
    }
}

/// The name of a datatype, or its code where it has none.
fn datatype_name(code: Option<u32>) -> Json {
    match code.map(|code| (code, DataType::from_code(code))) {
        None => Json::Null,
        Some((_, Some(datatype))) => datatype.name().into(),
        Some((code, None)) => code.into(),
    }
}

/// JSON has no NaN and no infinities: they become strings.
fn double_of(value: f64) -> Json {
    if value.is_finite() { value.into() } else { value.to_string().into() }
}

/// By its own shortest digits, not by those of the double that it equals.
fn float_of(value: f32) -> Json {
    let text = value.to_string();
    match text.parse() {
        Ok(double) if value.is_finite() => double_of(double),
        _ => text.into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn put(object: &mut Map<String, Json>, key: &str, value: Option<impl Into<Json>>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), value.into());
    }
}
