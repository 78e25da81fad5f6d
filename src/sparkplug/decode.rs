//! Bounded decoding of payloads from an untrusted network.
//!
//! The [reader](super::reader) enforces [`Caps`] in the one pass in which it builds the model.
//! Compressed payloads are inflated under the same caps.

use alloc::string::String;
use alloc::vec::Vec;

use super::inflate::{Algorithm, InflateError, inflate};
use super::names::{ALGORITHM, COMPRESSED_UUID};
use super::reader::{NamedMetric, Outer, read};
use super::wire::Fault;
use super::{Caps, Payload, Value};

/// A payload without `uuid` and `body`, and what was left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    pub payload: Payload,
    /// Unknown fields and extensions that the payload had; none of them is in `payload`.
    pub unknown_fields: u64,
    /// The payload came compressed, and is not any more.
    pub was_compressed: bool,
}

/// The same with the metrics' names still in the bytes that it was decoded from: most of them
/// are only looked up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Borrowed<'a> {
    /// Time the message was published, in milliseconds since the epoch (UTC).
    pub timestamp: Option<u64>,
    pub metrics: Vec<NamedMetric<'a>>,
    /// 0..=255; one counter per edge node.
    pub seq: Option<u64>,
    /// [`Decoded::unknown_fields`].
    pub unknown_fields: u64,
    /// [`Decoded::was_compressed`].
    pub was_compressed: bool,
}

impl Borrowed<'_> {
    /// The payload with names of its own.
    pub fn into_payload(self) -> Payload {
        Payload {
            timestamp: self.timestamp,
            metrics: self.metrics.into_iter().map(NamedMetric::into_metric).collect(),
            seq: self.seq,
            uuid: None,
            body: None,
        }
    }
}

/// Why a payload can't be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It isn't a protobuf message, or not this one.
    #[error("malformed payload: {0}")]
    Malformed(String),
    /// One of the [`Caps`] was exceeded.
    #[error("payload over a cap: more than {cap} {what}")]
    OverCap { what: &'static str, cap: usize },
    /// A compressed body that can't be inflated.
    #[error("bad compressed payload: {0}")]
    BadCompression(&'static str),
}

/// Decodes a payload; `uuid` and `body` never survive.
///
/// # Errors
/// [`DecodeError`]; nothing of the payload may be used then.
pub fn decode(bytes: &[u8], caps: &Caps) -> Result<Decoded, DecodeError> {
    let mut inflated = Vec::new();
    let borrowed = decode_borrowed(bytes, &mut inflated, caps)?;
    let Borrowed { unknown_fields, was_compressed, .. } = borrowed;
    Ok(Decoded { payload: borrowed.into_payload(), unknown_fields, was_compressed })
}

/// Decodes a payload without copying the names of its metrics. `inflated` takes what a
/// compressed one holds.
///
/// # Errors
/// As [`decode`].
pub fn decode_borrowed<'a>(
    bytes: &'a [u8],
    inflated: &'a mut Vec<u8>,
    caps: &Caps,
) -> Result<Borrowed<'a>, DecodeError> {
    let outer = read(bytes, caps)?;
    if outer.uuid != Some(COMPRESSED_UUID) {
        return Ok(strip(outer));
    }
    let body = outer.body.ok_or(DecodeError::BadCompression("no body"))?;
    inflate(body, algorithm(&outer)?, caps.payload_bytes, inflated)?;
    let inner = read(inflated, caps)?;
    if inner.uuid == Some(COMPRESSED_UUID) {
        return Err(DecodeError::BadCompression("compressed twice"));
    }
    let mut decoded = strip(inner);
    // Some libraries leave `seq` and `timestamp` on the outer payload, some in the inner one.
    decoded.seq = decoded.seq.or(outer.seq);
    decoded.timestamp = decoded.timestamp.or(outer.timestamp);
    decoded.unknown_fields = decoded.unknown_fields.saturating_add(outer.unknown_fields);
    decoded.was_compressed = true;
    Ok(decoded)
}

impl From<InflateError> for DecodeError {
    fn from(error: InflateError) -> Self {
        DecodeError::BadCompression(match error {
            InflateError::Damaged => "the body can't be inflated",
            InflateError::OverCap => "the body inflates beyond the cap",
        })
    }
}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed { what, at } => {
                DecodeError::Malformed(format!("{what} at byte {at} of a message"))
            }
            Fault::OverCap { what, cap } => DecodeError::OverCap { what, cap },
        }
    }
}

fn strip(outer: Outer<'_>) -> Borrowed<'_> {
    let Outer { timestamp, metrics, seq, unknown_fields, .. } = outer;
    Borrowed { timestamp, metrics, seq, unknown_fields, was_compressed: false }
}

fn algorithm(outer: &Outer<'_>) -> Result<Algorithm, DecodeError> {
    let named = outer.metrics.iter().find(|metric| metric.name == Some(ALGORITHM));
    match named.map(|named| named.metric.value.as_ref()) {
        None => Ok(Algorithm::Deflate),
        Some(Some(Value::String(name))) if name.eq_ignore_ascii_case("DEFLATE") => {
            Ok(Algorithm::Deflate)
        }
        Some(Some(Value::String(name))) if name.eq_ignore_ascii_case("GZIP") => Ok(Algorithm::Gzip),
        Some(_) => Err(DecodeError::BadCompression("unknown algorithm")),
    }
}

#[cfg(test)]
mod tests;
