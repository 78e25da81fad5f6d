//! Bounded decoding of payloads from an untrusted network.
//!
//! The [reader](super::reader) enforces [`Caps`] in the one pass in which it builds the model.
//! Compressed payloads are inflated under the same caps.
//!
//! What can't be used in one metric is left out of it by [`decode_parts`], which tells of it, and an
//! error for [`decode`], for readers of what only a relay writes.

use alloc::string::String;
use alloc::vec::Vec;

use super::inflate::{Algorithm, InflateError, inflate};
use super::names::{ALGORITHM, COMPRESSED_UUID};
use super::reader::{NamedMetric, Outer, read};
use super::wire::Fault;
use super::{BadPart, Cap, Caps, Exceeded, PartFault, Payload, Value};

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
    /// What was left out of metrics, in the order of these.
    pub bad: Vec<BadPart>,
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
    #[error("payload over a cap: {0}")]
    OverCap(Exceeded),
    /// A compressed body that can't be inflated.
    #[error("bad compressed payload: {0}")]
    BadCompression(&'static str),
    /// A compressed body that inflates beyond its cap.
    #[error("bad compressed payload: {0}")]
    Bomb(Exceeded),
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
    let decoded = decode_parts(bytes, inflated, caps)?;
    match decoded.bad.first() {
        None => Ok(decoded),
        Some(bad) => Err(bad.fault.into()),
    }
}

/// The same for what edge nodes send: a part that can't be used is left out, and the rest stays.
/// Values that can't be used are absent.
///
/// # Errors
/// The payload isn't one, has a name that can't be used, or is over a cap that isn't one of parts.
pub fn decode_parts<'a>(
    bytes: &'a [u8],
    inflated: &'a mut Vec<u8>,
    caps: &Caps,
) -> Result<Borrowed<'a>, DecodeError> {
    let outer = read(bytes, caps, caps.payload_bytes)?;
    if outer.uuid != Some(COMPRESSED_UUID) {
        return Ok(strip(outer));
    }
    unpack(&outer, inflated, caps)?;
    let inner = read(inflated, caps, caps.inflated_bytes)?;
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

/// What a compressed payload holds, into `inflated`; whether it is one.
pub(super) fn inflated(
    bytes: &[u8],
    inflated: &mut Vec<u8>,
    caps: &Caps,
) -> Result<bool, DecodeError> {
    let outer = read(bytes, caps, caps.payload_bytes)?;
    let is_one = outer.uuid == Some(COMPRESSED_UUID);
    if is_one {
        unpack(&outer, inflated, caps)?;
    }
    Ok(is_one)
}

fn unpack(outer: &Outer<'_>, inflated: &mut Vec<u8>, caps: &Caps) -> Result<(), DecodeError> {
    let body = outer.body.ok_or(DecodeError::BadCompression("no body"))?;
    let limit = caps.inflated_bytes;
    inflate(body, algorithm(outer)?, limit, inflated).map_err(|error| match error {
        InflateError::Damaged => DecodeError::BadCompression("the body can't be inflated"),
        InflateError::OverCap => DecodeError::Bomb(Cap::InflatedBytes.passed(limit)),
    })
}

impl From<PartFault> for DecodeError {
    fn from(fault: PartFault) -> Self {
        match fault {
            PartFault::Malformed(what) => DecodeError::Malformed(what.into()),
            PartFault::OverCap(exceeded) => DecodeError::OverCap(exceeded),
        }
    }
}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed { what, at } => {
                DecodeError::Malformed(format!("{what} at byte {at} of a message"))
            }
            Fault::OverCap(exceeded) => DecodeError::OverCap(exceeded),
        }
    }
}

fn strip(outer: Outer<'_>) -> Borrowed<'_> {
    let Outer { timestamp, metrics, seq, uuid, body, unknown_fields, bad } = outer;
    // An extension of which only the compressed one is read.
    let extension = u64::from(body.is_some() && uuid != Some(COMPRESSED_UUID));
    let unknown_fields = unknown_fields.saturating_add(extension);
    Borrowed { timestamp, metrics, seq, unknown_fields, was_compressed: false, bad }
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
