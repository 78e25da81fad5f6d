//! Metrics of data as they stand in a journal: the place of each in the layout of its edge node or
//! device, its time as a difference, and its value as it is.
//!
//! An entry begins with one byte, and has what that byte says, in this order:
//!
//! | bits of the first byte | meaning |
//! |---|---|
//! | 0 to 3 | what the value is, see below |
//! | 4 | a varint follows: the place, as the difference to the one after the place before, zigzag |
//! | 5 | a varint follows: the time, as the difference to the time before, zigzag |
//! | 6 | the value is historical |
//! | 7 | the value is transient |
//!
//! | value | what it is | bytes |
//! |---|---|---|
//! | 0 | fields of a Sparkplug metric, but for its name | varint of their length, and they |
//! | 1, 2 | `int_value`, `long_value` | varint |
//! | 3, 4 | `float_value`, `double_value` | 4, 8, little endian |
//! | 5, 6 | `boolean_value`: false, true | none |
//! | 7 | null | none |
//! | 8 | `string_value` | varint of the length, and the text |
//! | 15 | what the next byte says, with flags that may say no: its kind, then two bits each for historical and transient, 0 nothing, 1 no, 2 yes | one |
//!
//! The place before the first entry is -1, the time before it that of the message. The fields of
//! kind 0 have their time in them, and leave the time as it was.

use alloc::vec::Vec;

use prost::encoding::{decode_varint, encode_varint};

const FIELDS: u8 = 0;
const INT: u8 = 1;
const LONG: u8 = 2;
const FLOAT: u8 = 3;
const DOUBLE: u8 = 4;
const FALSE: u8 = 5;
const TRUE: u8 = 6;
const NULL: u8 = 7;
const TEXT: u8 = 8;
const FLAGGED: u8 = 15;
const KINDS: u8 = 0x0f;
const HAS_PLACE: u8 = 1 << 4;
const HAS_TIME: u8 = 1 << 5;
const HISTORICAL: u8 = 1 << 6;
const TRANSIENT: u8 = 1 << 7;

/// A value without parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CompactValue<'a> {
    Int(u32),
    Long(u64),
    Float(f32),
    Double(f64),
    Boolean(bool),
    Null,
    /// Whether it is UTF-8 hasn't been looked at.
    Text(&'a [u8]),
}

/// A metric with such a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactMetric<'a> {
    /// In milliseconds since the epoch (UTC).
    pub timestamp: u64,
    pub is_historical: Option<bool>,
    pub is_transient: Option<bool>,
    pub value: CompactValue<'a>,
}

/// One metric of a message, at its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entry<'a> {
    Metric(u32, CompactMetric<'a>),
    /// Any metric: the fields of its protobuf message, but for the name.
    Fields(u32, &'a [u8]),
}

/// The bytes aren't entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotCompact;

/// Metrics of one message under construction.
#[derive(Debug)]
pub struct CompactWriter {
    bytes: Vec<u8>,
    state: State,
}

/// What the next entry is told against.
#[derive(Clone, Copy, Debug)]
struct State {
    time: u64,
    /// The place after the one before.
    place: u32,
}

/// Where a writer stood.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    written: usize,
    state: State,
}

impl CompactWriter {
    /// No metrics yet; of a message with this timestamp (milliseconds since the epoch).
    pub fn new(timestamp: u64, capacity: usize) -> CompactWriter {
        let state = State { time: timestamp, place: 0 };
        CompactWriter { bytes: Vec::with_capacity(capacity), state }
    }

    /// Appends a metric with a value without parts.
    #[inline]
    pub fn metric(&mut self, place: u32, metric: &CompactMetric<'_>) {
        let CompactMetric { timestamp, is_historical, is_transient, value } = *metric;
        let mut head = match value {
            CompactValue::Int(_) => INT,
            CompactValue::Long(_) => LONG,
            CompactValue::Float(_) => FLOAT,
            CompactValue::Double(_) => DOUBLE,
            CompactValue::Boolean(false) => FALSE,
            CompactValue::Boolean(true) => TRUE,
            CompactValue::Null => NULL,
            CompactValue::Text(_) => TEXT,
        };
        let flagged = Flags(is_historical, is_transient).beside(&mut head);
        let later = timestamp.wrapping_sub(self.state.time);
        if later != 0 {
            head |= HAS_TIME;
        }
        self.head(head, place, flagged);
        if later != 0 {
            self.varint(zigzag(later.cast_signed()));
            self.state.time = timestamp;
        }
        match value {
            CompactValue::Int(value) => self.varint(value.into()),
            CompactValue::Long(value) => self.varint(value),
            CompactValue::Float(value) => self.bytes.extend_from_slice(&value.to_le_bytes()),
            CompactValue::Double(value) => self.bytes.extend_from_slice(&value.to_le_bytes()),
            CompactValue::Boolean(_) | CompactValue::Null => {}
            CompactValue::Text(text) => self.text(text),
        }
    }

    /// Appends any metric: the fields of its protobuf message, but for the name.
    pub fn fields(&mut self, place: u32, fields: &[u8]) {
        self.head(FIELDS, place, None);
        self.text(fields);
    }

    /// Where it stands, for [`CompactWriter::rewind`].
    pub fn mark(&self) -> Mark {
        Mark { written: self.bytes.len(), state: self.state }
    }

    /// Takes back what was appended since then.
    pub fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.written);
        self.state = mark.state;
    }

    /// The metrics, for [`Data::metrics`](crate::Data::metrics).
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    #[inline]
    fn head(&mut self, head: u8, place: u32, flagged: Option<u8>) {
        let is_next = place == self.state.place;
        self.bytes.push(if is_next { head } else { head | HAS_PLACE });
        self.bytes.extend(flagged);
        if !is_next {
            let later = i64::from(place).saturating_sub(self.state.place.into());
            self.varint(zigzag(later));
        }
        self.state.place = place.saturating_add(1);
    }

    #[inline]
    fn varint(&mut self, number: u64) {
        match u8::try_from(number) {
            Ok(byte @ 0..0x80) => self.bytes.push(byte),
            _ => encode_varint(number, &mut self.bytes),
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.varint(text.len() as u64);
        self.bytes.extend_from_slice(text);
    }
}

/// Whether a value is historical, and whether it is transient, where one of them says no. A byte of
/// it follows the first: the kind of the value, then two bits each: 0 nothing, 1 no, 2 yes.
#[derive(Clone, Copy, Debug)]
struct Flags(Option<bool>, Option<bool>);

impl Flags {
    /// Notes the flags in the first byte, where that has the bits for them; otherwise the byte that
    /// follows.
    #[inline]
    fn beside(self, head: &mut u8) -> Option<u8> {
        let Flags(is_historical, is_transient) = self;
        if is_historical == Some(false) || is_transient == Some(false) {
            let bits = |flag: Option<bool>| flag.map_or(0, |flag| u8::from(flag).saturating_add(1));
            let flagged = *head | bits(is_historical) << 4 | bits(is_transient) << 6;
            *head = FLAGGED;
            return Some(flagged);
        }
        if is_historical.is_some() {
            *head |= HISTORICAL;
        }
        if is_transient.is_some() {
            *head |= TRANSIENT;
        }
        None
    }

    fn of(flagged: u8) -> Result<Flags, NotCompact> {
        let flag = |bits: u8| match bits & 3 {
            0 => Ok(None),
            1 => Ok(Some(false)),
            2 => Ok(Some(true)),
            _ => Err(NotCompact),
        };
        Ok(Flags(flag(flagged >> 4)?, flag(flagged >> 6)?))
    }
}

/// The entries of one message. The journal is hostile input: none of it is believed.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
    state: State,
}

impl<'a> Entries<'a> {
    /// Those in `metrics`, of a message with this timestamp.
    pub fn new(timestamp: u64, metrics: &'a [u8]) -> Entries<'a> {
        Entries { rest: metrics, state: State { time: timestamp, place: 0 } }
    }

    /// The next one; `None` at the end.
    ///
    /// # Errors
    /// The bytes aren't entries. Nothing of the message may be used then, whatever came before.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator's errors would be items")]
    pub fn next(&mut self) -> Result<Option<Entry<'a>>, NotCompact> {
        let Some((head, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        let is_set = |flag: u8| (head & flag != 0).then_some(true);
        let mut flags = Flags(is_set(HISTORICAL), is_set(TRANSIENT));
        let mut kind = head & KINDS;
        if kind == FLAGGED {
            let [flagged] = self.array()?;
            if head & (HISTORICAL | TRANSIENT) != 0 {
                return Err(NotCompact);
            }
            (kind, flags) = (flagged & KINDS, Flags::of(flagged)?);
        }
        let mut place = self.state.place;
        if head & HAS_PLACE != 0 {
            let later = unzigzag(self.varint()?);
            let far = i64::from(place).checked_add(later).ok_or(NotCompact)?;
            place = u32::try_from(far).map_err(|_| NotCompact)?;
        }
        self.state.place = place.saturating_add(1);
        if kind == FIELDS {
            // They have time and flags of their own.
            if head & !HAS_PLACE != FIELDS {
                return Err(NotCompact);
            }
            return Ok(Some(Entry::Fields(place, self.text()?)));
        }
        if head & HAS_TIME != 0 {
            let later = unzigzag(self.varint()?);
            self.state.time = self.state.time.wrapping_add(later.cast_unsigned());
        }
        let value = match kind {
            INT => CompactValue::Int(u32::try_from(self.varint()?).map_err(|_| NotCompact)?),
            LONG => CompactValue::Long(self.varint()?),
            FLOAT => CompactValue::Float(f32::from_le_bytes(self.array()?)),
            DOUBLE => CompactValue::Double(f64::from_le_bytes(self.array()?)),
            FALSE => CompactValue::Boolean(false),
            TRUE => CompactValue::Boolean(true),
            NULL => CompactValue::Null,
            TEXT => CompactValue::Text(self.text()?),
            _ => return Err(NotCompact),
        };
        let metric = CompactMetric {
            timestamp: self.state.time,
            is_historical: flags.0,
            is_transient: flags.1,
            value,
        };
        Ok(Some(Entry::Metric(place, metric)))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, NotCompact> {
        match self.rest.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.rest = rest;
                Ok(byte.into())
            }
            _ => decode_varint(&mut self.rest).map_err(|_| NotCompact),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], NotCompact> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(NotCompact)?;
        self.rest = rest;
        Ok(*array)
    }

    fn text(&mut self) -> Result<&'a [u8], NotCompact> {
        let length = usize::try_from(self.varint()?).map_err(|_| NotCompact)?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(NotCompact)?;
        self.rest = rest;
        Ok(text)
    }
}

/// Small numbers for what is near, before or after.
#[inline]
fn zigzag(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

#[inline]
fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ (number & 1).cast_signed().wrapping_neg()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn metric(timestamp: u64, value: CompactValue<'_>) -> CompactMetric<'_> {
        CompactMetric { timestamp, is_historical: None, is_transient: None, value }
    }

    fn entries(timestamp: u64, bytes: &[u8]) -> Result<Vec<Entry<'_>>, NotCompact> {
        let mut entries = Entries::new(timestamp, bytes);
        let mut all = Vec::new();
        while let Some(entry) = entries.next()? {
            all.push(entry);
        }
        Ok(all)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let values = [
            CompactValue::Int(u32::MAX),
            CompactValue::Long(u64::MAX),
            CompactValue::Float(f32::MIN),
            CompactValue::Double(f64::MAX),
            CompactValue::Boolean(false),
            CompactValue::Boolean(true),
            CompactValue::Null,
            CompactValue::Text("Übertemperatur".as_bytes()),
        ];
        let times = [5, 0, u64::MAX, 1 << 63, (1 << 63) - 1, 5];
        let places = [0, 1, 7, 6, u32::MAX, 0, u32::MAX - 1];
        let mut wanted = Vec::new();
        for (turn, value) in values.into_iter().cycle().take(200).enumerate() {
            let timestamp = times[turn % times.len()];
            let flag = |turn: usize| [None, Some(true), Some(false), None][turn % 4];
            let (is_historical, is_transient) = (flag(turn), flag(turn / 4));
            let place = places[turn % places.len()];
            let metric = CompactMetric { timestamp, is_historical, is_transient, value };
            wanted.push(Entry::Metric(place, metric));
            if turn % 4 == 0 {
                wanted.push(Entry::Fields(place, &[0x18, 9, 0x38, 1]));
            }
        }
        let mut writer = CompactWriter::new(4, 0);
        for entry in &wanted {
            match entry {
                Entry::Metric(place, metric) => writer.metric(*place, metric),
                Entry::Fields(place, fields) => writer.fields(*place, fields),
            }
        }
        let bytes = writer.finish();
        assert_eq!(entries(4, &bytes).unwrap(), wanted);
        // What is cut short is no message, or one of whole entries.
        for end in 0..bytes.len() {
            if let Ok(read) = entries(4, &bytes[..end]) {
                assert!(wanted.starts_with(&read), "{end}");
            }
        }
    }

    #[test]
    fn a_double_at_its_turn_takes_nine_bytes() {
        let mut writer = CompactWriter::new(1_700_000_000_000, 0);
        writer.metric(0, &metric(1_700_000_000_000, CompactValue::Double(1.5)));
        assert_eq!(writer.mark().written, 9);
        writer.metric(1, &metric(1_700_000_000_010, CompactValue::Double(2.5)));
        assert_eq!(writer.mark().written, 19);
        let mark = writer.mark();
        writer.metric(9, &metric(1_700_000_000_000, CompactValue::Null));
        writer.rewind(mark);
        writer.metric(2, &metric(1_700_000_000_010, CompactValue::Boolean(true)));
        assert_eq!(writer.finish().len(), 20);
    }

    #[test]
    fn what_nobody_writes_is_refused() {
        for bytes in [
            // Kinds that don't exist.
            vec![9],
            vec![14],
            vec![15],
            // Flags twice, flags that are none, fields that have flags, a flagged one that is again.
            vec![FLAGGED | HISTORICAL, NULL],
            vec![FLAGGED, NULL | 0x30],
            vec![FLAGGED, FIELDS, 0],
            vec![FLAGGED, FLAGGED],
            // A place before the first, and one beyond the last.
            vec![NULL | HAS_PLACE, 1],
            vec![NULL | HAS_PLACE, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            // Flags and time of fields are in them.
            vec![FIELDS | HISTORICAL, 0],
            vec![FIELDS | HAS_TIME, 2, 0],
            // Cut short, longer than the message, wider than 32 bits.
            vec![DOUBLE, 0, 0, 0, 0, 0, 0, 0],
            vec![TEXT, 2, b'a'],
            vec![TEXT, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            vec![INT, 0x80, 0x80, 0x80, 0x80, 0x10],
        ] {
            assert_eq!(entries(0, &bytes), Err(NotCompact), "{bytes:?}");
        }
        assert_eq!(entries(0, &[]), Ok(Vec::new()));
    }
}
