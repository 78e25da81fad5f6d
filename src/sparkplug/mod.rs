//! Sparkplug B as this relay needs it: topics, payloads, datatypes, values. A leaf: no I/O, no
//! clock, no knowledge of policies or journals.

mod datatype;
mod entity;
mod payload;

pub use datatype::DataType;
pub use entity::Entity;
pub use payload::{
    Cell, CellValue, DataSet, MetaData, Metric, Parameter, ParameterValue, Payload, Property,
    PropertySet, PropertySetList, PropertyValue, Row, Template, Value,
};
