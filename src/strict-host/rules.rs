//! The table of rules that can be found broken: assertions of the specification by id, without
//! `tck-id-`, and a few of the relay's own (`relay-…`). The suite proves that each of them can
//! fail. Where the specification says the same thing under several ids, one stands for them.

/// How binding a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error,
    /// A SHOULD of the specification.
    Warning,
}

use Level::{Error, Warning};

/// Every rule, in the order of a session.
pub const RULES: &[(&str, Level)] = &[
    // Connect, subscribe, terminate.
    ("relay-mqtt-311", Error),
    ("principles-persistence-clean-session-311", Error),
    ("message-flow-edge-node-birth-publish-will-message", Error),
    ("message-flow-edge-node-birth-publish-will-message-topic", Error),
    ("message-flow-edge-node-birth-publish-will-message-payload", Error),
    ("message-flow-edge-node-birth-publish-will-message-payload-bdSeq", Error),
    ("topics-nbirth-bdseq-increment", Error),
    ("payloads-ndeath-seq", Error),
    ("payloads-ndeath-will-message-qos", Error),
    ("payloads-ndeath-will-message-retain", Error),
    ("message-flow-edge-node-birth-publish-connect", Error),
    ("message-flow-edge-node-ncmd-subscribe", Error),
    ("topic-structure-namespace-unique-edge-node-descriptor", Error),
    ("operational-behavior-edge-node-intentional-disconnect-ndeath", Error),
    ("payloads-ndeath-bdseq", Error),
    ("topics-ndeath-payload", Error),
    ("relay-nothing-after-ndeath", Error),
    // Topics and identity.
    ("topic-structure", Error),
    ("topic-structure-namespace-a", Error),
    ("topic-structure-namespace-device-id-associated-message-types", Error),
    ("topic-structure-namespace-device-id-non-associated-message-types", Error),
    ("topic-structure-namespace-valid-group-id", Error),
    ("topic-structure-namespace-valid-edge-node-id", Error),
    ("topic-structure-namespace-valid-device-id", Error),
    ("topic-structure-namespace-unique-device-id", Error),
    ("message-flow-device-birth-publish-dbirth-match-edge-node-topic", Error),
    ("case-sensitivity-sparkplug-ids", Warning),
    ("case-sensitivity-metric-names", Warning),
    ("relay-no-commands", Error),
    // QoS, retain, timestamps, seq.
    ("topics-nbirth-mqtt", Error),
    ("topics-dbirth-mqtt", Error),
    ("topics-ndata-mqtt", Error),
    ("topics-ddata-mqtt", Error),
    ("topics-ddeath-mqtt", Error),
    ("payloads-nbirth-timestamp", Error),
    ("payloads-dbirth-timestamp", Error),
    ("payloads-ndata-timestamp", Error),
    ("payloads-ddata-timestamp", Error),
    ("payloads-ddeath-timestamp", Error),
    ("payloads-timestamp-in-UTC", Error),
    ("relay-birth-timestamp-increases", Error),
    ("payloads-name-birth-data-requirement", Error),
    ("payloads-nbirth-seq", Error),
    ("payloads-sequence-num-always-included", Error),
    ("payloads-sequence-num-incrementing", Error),
    ("payloads-dbirth-order", Error),
    ("payloads-ndata-order", Error),
    ("payloads-ddata-order", Error),
    ("operational-behavior-device-ddeath", Error),
    // Births.
    ("message-flow-edge-node-birth-publish-nbirth-payload", Error),
    ("message-flow-device-birth-publish-dbirth-payload", Error),
    ("topics-nbirth-bdseq-included", Error),
    ("payloads-nbirth-bdseq", Error),
    ("topics-nbirth-bdseq-matching", Error),
    ("topics-nbirth-rebirth-metric", Error),
    ("operational-behavior-data-commands-rebirth-datatype", Error),
    ("operational-behavior-data-commands-rebirth-value", Error),
    ("operational-behavior-data-commands-rebirth-name-aliases", Error),
    ("relay-control-metrics", Error),
    ("topics-nbirth-metrics", Error),
    ("topics-dbirth-metrics", Error),
    ("relay-unique-metric-name", Error),
    ("payloads-metric-datatype-req", Error),
    ("payloads-metric-datatype-value", Error),
    ("payloads-metric-datatype-value-type", Error),
    ("operational-behavior-data-publish-nbirth-values", Error),
    ("operational-behavior-data-publish-dbirth-values", Error),
    ("operational-behavior-data-publish-nbirth", Error),
    ("operational-behavior-data-publish-dbirth", Error),
    ("operational-behavior-data-publish-nbirth-order", Error),
    ("operational-behavior-data-publish-dbirth-order", Error),
    ("payloads-alias-uniqueness", Error),
    ("payloads-alias-birth-requirement", Error),
    ("payloads-alias-data-cmd-requirement", Error),
    ("payloads-name-requirement", Error),
    ("relay-compressed-birth", Error),
    // Data, rebirth.
    ("topics-ndata-payload", Error),
    ("topics-ddata-payload", Error),
    ("topics-ddeath-payload", Error),
    ("relay-datatype-of-birth", Error),
    ("payloads-metric-datatype-not-req", Warning),
    ("principles-rbe-recommended", Warning),
    ("operational-behavior-data-commands-rebirth-action-1", Error),
    ("operational-behavior-data-commands-rebirth-action-2", Error),
    // Complex values.
    ("payloads-propertyset-keys-array-size", Error),
    ("payloads-metric-propertyvalue-type-req", Error),
    ("payloads-metric-propertyvalue-type-value", Error),
    ("payloads-propertyset-quality-value-type", Error),
    ("payloads-propertyset-quality-value-value", Error),
    ("payloads-dataset-column-size", Error),
    ("payloads-dataset-column-num-headers", Error),
    ("payloads-dataset-types-num", Error),
    ("payloads-dataset-types-value", Error),
    ("payloads-template-dataset-value", Error),
    ("payloads-template-definition-nbirth-only", Error),
    ("payloads-template-definition-nbirth", Error),
    ("payloads-template-definition-ref", Error),
    ("payloads-template-is-definition", Error),
    ("payloads-template-instance-ref", Error),
    ("payloads-template-instance-members", Error),
    ("payloads-template-instance-members-birth", Error),
    ("payloads-template-instance-parameters", Error),
    ("payloads-template-parameter-name-required", Error),
    ("payloads-template-parameter-value-type", Error),
    ("payloads-template-parameter-value", Error),
];

/// How binding a rule of the table is.
pub fn level(rule: &str) -> Option<Level> {
    RULES.iter().find(|(known, _)| *known == rule).map(|(_, level)| *level)
}
