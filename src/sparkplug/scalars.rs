//! Data messages of numbers, times and truth values alone, as nearly all are: read metric by
//! metric without building a model. What is anything else, or isn't written as usual, is left to
//! the [reader](super::reader): whatever is accepted here reads the same there, which a property
//! test holds.

use prost::encoding::encoded_len_varint;

use super::wire::{Cursor, Fault};
use super::{Caps, Scalar};

/// A metric with a scalar value, which is news of that metric: not null, and not historical.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScalarMetric<'a> {
    /// Empty where it has none. Whether it is UTF-8 hasn't been looked at.
    pub name: &'a [u8],
    pub alias: Option<u64>,
    /// In milliseconds since the epoch (UTC).
    pub timestamp: Option<u64>,
    pub datatype: Option<u32>,
    /// `Some(false)` or `None`.
    pub is_historical: Option<bool>,
    pub is_transient: Option<bool>,
    /// `Some(false)` or `None`.
    pub is_null: Option<bool>,
    pub value: Scalar,
    /// The fields came in the order of their numbers, each of them once.
    pub in_order: bool,
}

impl ScalarMetric<'_> {
    /// Bytes of the metric as [`PayloadWriter`](super::PayloadWriter) writes it, with key and
    /// length; absent names aren't told from empty ones.
    pub fn encoded_len(&self) -> usize {
        let number = |number: u64| encoded_len_varint(number).saturating_add(1);
        let flag = |flag: Option<bool>| if flag.is_some() { 2 } else { 0 };
        let name = match self.name.len() {
            0 => 0,
            length => number(length as u64).saturating_add(length),
        };
        let value = match self.value {
            Scalar::Int(value) => number(value.into()),
            Scalar::Long(value) => number(value),
            Scalar::Float(_) => 5,
            Scalar::Double(_) => 9,
            Scalar::Boolean(_) => 2,
        };
        let parts = [
            name,
            self.alias.map_or(0, number),
            self.timestamp.map_or(0, number),
            self.datatype.map_or(0, |code| number(code.into())),
            flag(self.is_historical),
            flag(self.is_transient),
            flag(self.is_null),
            value,
        ];
        let length = parts.into_iter().fold(0, usize::saturating_add);
        number(length as u64).saturating_add(length)
    }
}

/// The payload is something else than scalars, or nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotScalars;

impl From<Fault> for NotScalars {
    fn from(_: Fault) -> NotScalars {
        NotScalars
    }
}

/// Reads a payload of scalars: timestamp, metrics and `seq`, in this order.
#[derive(Debug)]
pub struct Scalars<'a> {
    cursor: Cursor<'a>,
    /// Milliseconds since the epoch (UTC).
    timestamp: Option<u64>,
    seq: Option<u64>,
    /// From the first metric on.
    section: &'a [u8],
    name_bytes: usize,
    metrics_left: usize,
}

impl<'a> Scalars<'a> {
    pub fn new(bytes: &'a [u8], caps: &Caps) -> Result<Scalars<'a>, NotScalars> {
        if bytes.len() > caps.payload_bytes {
            return Err(NotScalars);
        }
        let mut cursor = Cursor::new(bytes);
        let timestamp = if bytes.first() == Some(&0x08) {
            cursor.byte()?;
            Some(cursor.varint()?)
        } else {
            None
        };
        Ok(Scalars {
            section: cursor.rest(),
            cursor,
            timestamp,
            seq: None,
            name_bytes: caps.name_bytes,
            metrics_left: caps.metrics,
        })
    }

    /// The next metric; `None` at the end of the payload.
    ///
    /// # Errors
    /// [`NotScalars`]: nothing of the payload may be used then, whatever came before.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator's errors would be items")]
    pub fn next(&mut self) -> Result<Option<ScalarMetric<'a>>, NotScalars> {
        if self.cursor.is_empty() {
            return Ok(None);
        }
        match self.cursor.byte()? {
            0x12 => {
                self.metrics_left = self.metrics_left.checked_sub(1).ok_or(NotScalars)?;
                let metric = self.cursor.bytes()?;
                self.metric(metric).map(Some)
            }
            0x18 => {
                let metrics = self.section.len().saturating_sub(self.cursor.rest().len());
                self.section = self.section.get(..metrics.saturating_sub(1)).unwrap_or_default();
                self.seq = Some(self.cursor.varint()?);
                if self.cursor.is_empty() { Ok(None) } else { Err(NotScalars) }
            }
            _ => Err(NotScalars),
        }
    }

    /// Of the payload, in milliseconds since the epoch (UTC).
    pub fn timestamp(&self) -> Option<u64> {
        self.timestamp
    }

    /// Of the payload; known at its end.
    pub fn seq(&self) -> Option<u64> {
        self.seq
    }

    /// The bytes of all metrics, with keys and lengths; known at the end of the payload.
    pub fn section(&self) -> &'a [u8] {
        self.section
    }

    #[inline]
    fn metric(&self, bytes: &'a [u8]) -> Result<ScalarMetric<'a>, NotScalars> {
        let mut metric = ScalarMetric {
            name: &[],
            alias: None,
            timestamp: None,
            datatype: None,
            is_historical: None,
            is_transient: None,
            is_null: None,
            value: Scalar::Boolean(false),
            in_order: true,
        };
        let mut has_value = false;
        let mut last = 0;
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            let key = cursor.byte()?;
            metric.in_order &= key > last;
            last = key;
            match key {
                0x0a => {
                    // Of two names the last one counts, but the first may be what makes the payload
                    // malformed: nobody looks it up, so nobody finds that it isn't UTF-8.
                    let is_second = !metric.name.is_empty();
                    metric.name = cursor.bytes()?;
                    if is_second || metric.name.len() > self.name_bytes {
                        return Err(NotScalars);
                    }
                }
                0x10 => metric.alias = Some(cursor.varint()?),
                0x18 => metric.timestamp = Some(cursor.varint()?),
                0x20 => metric.datatype = Some(narrow(cursor.varint()?)?),
                0x28 => metric.is_historical = Some(flag(cursor.byte()?)?),
                0x30 => metric.is_transient = Some(flag(cursor.byte()?)?),
                0x38 => metric.is_null = Some(flag(cursor.byte()?)?),
                0x50 => metric.value = Scalar::Int(narrow(cursor.varint()?)?),
                0x58 => metric.value = Scalar::Long(cursor.varint()?),
                0x65 => metric.value = Scalar::Float(f32::from_bits(cursor.fixed32()?)),
                0x69 => metric.value = Scalar::Double(f64::from_bits(cursor.fixed64()?)),
                0x70 => metric.value = Scalar::Boolean(flag(cursor.byte()?)?),
                // Text, and what is larger than a number.
                _ => return Err(NotScalars),
            }
            has_value |= key >= 0x50;
        }
        let is_news = metric.is_historical != Some(true) && metric.is_null != Some(true);
        if has_value && is_news { Ok(metric) } else { Err(NotScalars) }
    }
}

fn narrow(number: u64) -> Result<u32, NotScalars> {
    u32::try_from(number).map_err(|_| NotScalars)
}

fn flag(byte: u8) -> Result<bool, NotScalars> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(NotScalars),
    }
}

#[cfg(test)]
mod tests;
