//! Sparkplug B as this relay needs it: topics, payloads, datatypes, values. A leaf: no I/O, no
//! clock, no knowledge of policies or journals. It is built without the standard library, and so
//! can't have any of them.
#![no_std]

#[macro_use]
extern crate alloc;
#[cfg(any(test, feature = "testing"))]
extern crate std;

#[cfg(any(test, feature = "testing"))]
pub mod arbitrary;
#[cfg(any(test, feature = "testing"))]
pub mod bulky;
mod caps;
#[cfg(any(test, feature = "testing"))]
pub mod captures;
mod datatype;
mod decode;
mod deflate;
mod entity;
mod find;
mod folded_name;
pub mod footprint;
mod inflate;
mod name_index;
pub mod names;
mod part;
mod payload;
mod places;
mod reader;
mod scalar;
mod scalars;
mod shard;
mod sound;
pub mod steps;
mod topic;
pub mod value;
mod wire;
mod writer;

pub use caps::{Cap, Caps, Exceeded};
pub use datatype::DataType;
pub use decode::{Borrowed, DecodeError, Decoded, decode, decode_borrowed, decode_parts};
pub use deflate::{compress, unwrap};
pub use entity::Entity;
pub use find::{find_seq, find_timestamp};
pub use folded_name::{FOLD_SEPARATOR, folded_device, unfolded_device};
pub use footprint::{Budget, Room, Shortage};
pub use name_index::NameIndex;
pub use part::{BadPart, Part, PartFault};
pub use payload::{
    Cell, CellValue, DataSet, MetaData, Metric, Parameter, ParameterValue, Payload, Property,
    PropertySet, PropertySetList, PropertyValue, Row, Template, Value,
};
pub use places::{Places, TemplatePlaces};
pub use reader::NamedMetric;
pub use scalar::Scalar;
pub use scalars::{NotScalars, ScalarMetric, Scalars};
pub use shard::Shard;
pub use sound::make_sound;
pub use topic::{
    CERTIFICATES_PREFIX, EntityTopic, MessageType, NAMESPACE, STATE_FILTERS, Topic, TopicError,
};
pub use writer::{PayloadWriter, put_fields};
