//! A status as it may be shown: every text in it is escaped when it is parsed, so that nothing that is
//! made of it can forget to. A half that was taken over chooses all of them.

use std::ops::Deref;

use serde_json::Value;
use telemetry::status::Status;
use text::clean;

/// Bytes of a text that are kept; a table shows far less.
const MAX_TEXT_BYTES: usize = 1_024;

/// A status without a character that ends a line, moves a cursor or turns text around.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Shown(Status);

impl Shown {
    /// Reads the text of a status file.
    pub(super) fn parse(json: &str) -> Result<Shown, serde_json::Error> {
        Shown::of(serde_json::from_str(json)?)
    }

    fn of(mut value: Value) -> Result<Shown, serde_json::Error> {
        clean_texts(&mut value);
        serde_json::from_value(value).map(Shown)
    }
}

impl Deref for Shown {
    type Target = Status;

    fn deref(&self) -> &Status {
        &self.0
    }
}

#[cfg(test)]
impl From<&Status> for Shown {
    fn from(status: &Status) -> Shown {
        Shown::of(serde_json::to_value(status).unwrap()).unwrap()
    }
}

/// Goes as deep as the parser did, which has a limit.
fn clean_texts(value: &mut Value) {
    match value {
        Value::String(text) => *text = clean(text, MAX_TEXT_BYTES),
        Value::Array(values) => values.iter_mut().for_each(clean_texts),
        Value::Object(fields) => fields.values_mut().for_each(clean_texts),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
