//! Sparkplug B as this relay needs it: topics, payloads, datatypes, values. A leaf: no I/O, no
//! clock, no knowledge of policies or journals.

mod payload;

pub use payload::{
    Cell, CellValue, DataSet, MetaData, Metric, Parameter, ParameterValue, Payload, Property,
    PropertySet, PropertySetList, PropertyValue, Row, Template, Value,
};
