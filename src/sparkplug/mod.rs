//! Sparkplug B as this relay needs it: topics, payloads, datatypes, values. A leaf: no I/O, no
//! clock, no knowledge of policies or journals.

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
pub(crate) mod captures;
mod datatype;
mod decode;
mod entity;
pub mod names;
mod payload;
mod scan;
mod topic;
pub mod value;

pub use datatype::DataType;
pub use decode::{Caps, DecodeError, Decoded, decode};
pub use entity::Entity;
pub use payload::{
    Cell, CellValue, DataSet, MetaData, Metric, Parameter, ParameterValue, Payload, Property,
    PropertySet, PropertySetList, PropertyValue, Row, Template, Value,
};
pub use topic::{CERTIFICATES_PREFIX, EntityTopic, MessageType, NAMESPACE, Topic, TopicError};
