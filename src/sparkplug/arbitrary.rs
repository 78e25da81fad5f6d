//! Random payloads for property tests: every field of the schema, present or not.
#![allow(clippy::indexing_slicing, reason = "for tests: a failure is a panic")]

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::Index;
use proptest::strategy::BoxedStrategy;

use super::{
    Cell, CellValue, DataSet, MetaData, Metric, Parameter, ParameterValue, Payload, Property,
    PropertySet, PropertySetList, PropertyValue, Row, Template, Value,
};

pub fn payload() -> impl Strategy<Value = Payload> {
    let fields = (of(any::<u64>()), vec(metric(), 0..5), of(any::<u64>()));
    fields.prop_map(|(timestamp, metrics, seq)| Payload {
        timestamp,
        metrics,
        seq,
        uuid: None,
        body: None,
    })
}

/// Some bytes changed, left out or put in, or the end cut off.
pub fn mutated(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), any::<u8>(), 0..4_u8);
    (bytes, vec(change, 1..5)).prop_map(|(mut bytes, changes)| {
        for (at, byte, change) in changes {
            let at = at.index(bytes.len().saturating_add(1));
            match change {
                0 => bytes.insert(at, byte),
                1 => bytes.truncate(at),
                2 if at < bytes.len() => {
                    bytes.remove(at);
                }
                _ if at < bytes.len() => bytes[at] = byte,
                _ => bytes.push(byte),
            }
        }
        bytes
    })
}

pub fn metric() -> BoxedStrategy<Metric> {
    let leaf = metric_of(plain_value().boxed());
    leaf.prop_recursive(3, 12, 3, |inner| {
        let template = template(inner);
        metric_of(
            prop_oneof![
                plain_value(),
                template.prop_map(|template| Value::Template(template.into()))
            ]
            .boxed(),
        )
    })
    .boxed()
}

fn metric_of(value: BoxedStrategy<Value>) -> BoxedStrategy<Metric> {
    let head = (of(text()), of(any::<u64>()), of(any::<u64>()), of(0_u32..40));
    let flags = (of(any::<bool>()), of(any::<bool>()), of(any::<bool>()));
    (head, flags, of(metadata()), of(properties()), of(value))
        .prop_map(|(head, flags, metadata, properties, value)| Metric {
            name: head.0,
            alias: head.1,
            timestamp: head.2,
            datatype: head.3,
            is_historical: flags.0,
            is_transient: flags.1,
            is_null: flags.2,
            metadata: metadata.map(Box::new),
            properties: properties.map(Box::new),
            value,
        })
        .boxed()
}

fn template(metric: BoxedStrategy<Metric>) -> impl Strategy<Value = Template> {
    (of(text()), vec(metric, 0..3), vec(parameter(), 0..2), of(text()), of(any::<bool>())).prop_map(
        |(version, metrics, parameters, template_ref, is_definition)| Template {
            version,
            metrics,
            parameters,
            template_ref,
            is_definition,
        },
    )
}

pub fn plain_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u32>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::Long),
        any::<u32>().prop_map(|bits| Value::Float(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Value::Double(f64::from_bits(bits))),
        any::<bool>().prop_map(Value::Boolean),
        text().prop_map(Value::String),
        vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
        data_set().prop_map(|table| Value::DataSet(table.into())),
    ]
}

fn text() -> impl Strategy<Value = String> {
    "[a-c/é\n]{0,6}"
}

fn metadata() -> impl Strategy<Value = MetaData> {
    let numbers = (of(any::<bool>()), of(any::<u64>()), of(any::<u64>()));
    let texts = (of(text()), of(text()), of(text()), of(text()), of(text()));
    (numbers, texts).prop_map(|(numbers, texts)| MetaData {
        is_multi_part: numbers.0,
        content_type: texts.0,
        size: numbers.1,
        seq: numbers.2,
        file_name: texts.1,
        file_type: texts.2,
        md5: texts.3,
        description: texts.4,
    })
}

fn properties() -> BoxedStrategy<PropertySet> {
    let leaf = prop_oneof![
        any::<u32>().prop_map(Property::Int),
        any::<u64>().prop_map(Property::Long),
        any::<f32>().prop_map(Property::Float),
        any::<f64>().prop_map(Property::Double),
        any::<bool>().prop_map(Property::Boolean),
        text().prop_map(Property::String),
    ]
    .boxed();
    let value = leaf.prop_recursive(3, 8, 2, |inner| {
        let set = property_set(inner.clone());
        let list = vec(property_set(inner), 0..2);
        prop_oneof![
            set.prop_map(Property::Set),
            list.prop_map(|sets| Property::SetList(PropertySetList { sets })),
        ]
    });
    property_set(value.boxed()).boxed()
}

fn property_set(value: BoxedStrategy<Property>) -> impl Strategy<Value = PropertySet> {
    let entry = (text(), of(0_u32..25), of(any::<bool>()), of(value));
    vec(entry, 0..3).prop_map(|entries| {
        let mut set = PropertySet::default();
        for (key, r#type, is_null, value) in entries {
            set.keys.push(key);
            set.values.push(PropertyValue { r#type, is_null, value });
        }
        set
    })
}

fn data_set() -> impl Strategy<Value = DataSet> {
    let cell = of(prop_oneof![
        any::<u32>().prop_map(CellValue::Int),
        any::<u64>().prop_map(CellValue::Long),
        any::<f32>().prop_map(CellValue::Float),
        any::<f64>().prop_map(CellValue::Double),
        any::<bool>().prop_map(CellValue::Boolean),
        text().prop_map(CellValue::String),
    ])
    .prop_map(|value| Cell { value });
    let row = vec(cell, 0..3).prop_map(|elements| Row { elements });
    (of(any::<u64>()), vec(text(), 0..3), vec(0_u32..20, 0..3), vec(row, 0..3)).prop_map(
        |(num_of_columns, columns, types, rows)| DataSet { num_of_columns, columns, types, rows },
    )
}

fn parameter() -> impl Strategy<Value = Parameter> {
    let value = prop_oneof![
        any::<u32>().prop_map(ParameterValue::Int),
        any::<u64>().prop_map(ParameterValue::Long),
        any::<f32>().prop_map(ParameterValue::Float),
        any::<f64>().prop_map(ParameterValue::Double),
        any::<bool>().prop_map(ParameterValue::Boolean),
        Just(ParameterValue::String("p".into())),
    ];
    (of(text()), of(0_u32..20), of(value)).prop_map(|(name, r#type, value)| Parameter {
        name,
        r#type,
        value,
    })
}
