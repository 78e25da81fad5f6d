//! Scan of a payload's wire format that allocates nothing: it enforces the caps and counts
//! unknown fields before prost builds anything.
//!
//! A payload of 1 MiB can hold half a million empty metrics of two bytes each, which would
//! decode to some 150 MiB. So what would be allocated is counted first.

use super::Caps;

/// Why a scan stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// `at` counts from the start of the innermost message.
    Malformed {
        what: &'static str,
        at: usize,
    },
    OverCap {
        what: &'static str,
        cap: usize,
    },
}

/// Checks a whole payload and returns how many unknown fields (with extensions) it has.
pub(super) fn scan(bytes: &[u8], caps: &Caps) -> Result<u64, Fault> {
    if bytes.len() > caps.payload_bytes {
        return Err(Fault::OverCap { what: "bytes", cap: caps.payload_bytes });
    }
    let mut scan = Scan { caps, metrics: 0, cells: 0, properties: 0, unknown: 0 };
    scan.message(Kind::Payload, bytes, 0)?;
    Ok(scan.unknown)
}

/// The messages of the schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Payload,
    Metric,
    MetaData,
    PropertySet,
    PropertyValue,
    PropertySetList,
    DataSet,
    Row,
    Cell,
    Template,
    Parameter,
}

/// How a field is encoded.
#[derive(Clone, Copy)]
enum Field {
    Varint,
    /// Repeated varint, packed or not.
    Varints,
    Fixed32,
    Fixed64,
    String,
    Bytes,
    Message(Kind),
}

/// The schema: the same fields as in `payload.rs`. A test keeps the two together.
fn field(kind: Kind, number: u64) -> Option<Field> {
    let field = match (kind, number) {
        (Kind::Payload, 1 | 3) => Field::Varint,
        (Kind::Payload, 2) => Field::Message(Kind::Metric),
        (Kind::Payload, 4) => Field::String,
        (Kind::Payload, 5) => Field::Bytes,
        (Kind::Metric, 1 | 15) => Field::String,
        (Kind::Metric, 2..=7 | 10 | 11 | 14) => Field::Varint,
        (Kind::Metric, 8) => Field::Message(Kind::MetaData),
        (Kind::Metric, 9) => Field::Message(Kind::PropertySet),
        (Kind::Metric, 12) => Field::Fixed32,
        (Kind::Metric, 13) => Field::Fixed64,
        (Kind::Metric, 16) => Field::Bytes,
        (Kind::Metric, 17) => Field::Message(Kind::DataSet),
        (Kind::Metric, 18) => Field::Message(Kind::Template),
        (Kind::MetaData, 1 | 3 | 4) => Field::Varint,
        (Kind::MetaData, 2 | 5..=8) => Field::String,
        (Kind::PropertySet, 1) => Field::String,
        (Kind::PropertySet, 2) => Field::Message(Kind::PropertyValue),
        (Kind::PropertyValue, 1..=4 | 7) => Field::Varint,
        (Kind::PropertyValue, 5) => Field::Fixed32,
        (Kind::PropertyValue, 6) => Field::Fixed64,
        (Kind::PropertyValue, 8) => Field::String,
        (Kind::PropertyValue, 9) => Field::Message(Kind::PropertySet),
        (Kind::PropertyValue, 10) => Field::Message(Kind::PropertySetList),
        (Kind::PropertySetList, 1) => Field::Message(Kind::PropertySet),
        (Kind::DataSet, 1) => Field::Varint,
        (Kind::DataSet, 2) => Field::String,
        (Kind::DataSet, 3) => Field::Varints,
        (Kind::DataSet, 4) => Field::Message(Kind::Row),
        (Kind::Row, 1) => Field::Message(Kind::Cell),
        (Kind::Cell, 1 | 2 | 5) => Field::Varint,
        (Kind::Cell, 3) => Field::Fixed32,
        (Kind::Cell, 4) => Field::Fixed64,
        (Kind::Cell, 6) => Field::String,
        (Kind::Template, 1 | 4) => Field::String,
        (Kind::Template, 2) => Field::Message(Kind::Metric),
        (Kind::Template, 3) => Field::Message(Kind::Parameter),
        (Kind::Template, 5) => Field::Varint,
        (Kind::Parameter, 1 | 8) => Field::String,
        (Kind::Parameter, 2..=4 | 7) => Field::Varint,
        (Kind::Parameter, 5) => Field::Fixed32,
        (Kind::Parameter, 6) => Field::Fixed64,
        _ => return None,
    };
    Some(field)
}

/// Wire types of the protobuf encoding.
mod wire {
    pub(super) const VARINT: u64 = 0;
    pub(super) const FIXED64: u64 = 1;
    pub(super) const LENGTH: u64 = 2;
    pub(super) const GROUP_START: u64 = 3;
    pub(super) const GROUP_END: u64 = 4;
    pub(super) const FIXED32: u64 = 5;
}

/// Largest field number of protobuf.
const MAX_FIELD: u64 = (1 << 29) - 1;

struct Scan<'a> {
    caps: &'a Caps,
    metrics: usize,
    cells: usize,
    properties: usize,
    unknown: u64,
}

impl Scan<'_> {
    /// Recursion is bounded: only templates and property sets can contain themselves, and both
    /// count towards `depth`.
    fn message(&mut self, kind: Kind, bytes: &[u8], depth: usize) -> Result<(), Fault> {
        let mut cursor = Cursor { bytes, at: 0 };
        let (mut keys, mut values) = (0_usize, 0_usize);
        while !cursor.is_empty() {
            let (number, wire) = cursor.key()?;
            let Some(field) = field(kind, number) else {
                self.unknown = self.unknown.saturating_add(1);
                cursor.skip(number, wire)?;
                continue;
            };
            match (field, wire) {
                (Field::Varint | Field::Varints, wire::VARINT) => {
                    cursor.varint()?;
                }
                (Field::Fixed32, wire::FIXED32) => {
                    cursor.take(4)?;
                }
                (Field::Fixed64, wire::FIXED64) => {
                    cursor.take(8)?;
                }
                (Field::Varints | Field::Bytes, wire::LENGTH) => {
                    cursor.length_delimited()?;
                }
                (Field::String, wire::LENGTH) => {
                    let string = cursor.length_delimited()?;
                    if string.len() > self.caps.string_bytes {
                        let cap = self.caps.string_bytes;
                        return Err(Fault::OverCap { what: "bytes in a string", cap });
                    }
                    match kind {
                        Kind::PropertySet => {
                            keys = keys.saturating_add(1);
                            self.count_property()?;
                        }
                        Kind::DataSet => self.count_cell()?,
                        _ => {}
                    }
                }
                (Field::Message(inner), wire::LENGTH) => {
                    let bytes = cursor.length_delimited()?;
                    if inner == Kind::PropertyValue {
                        values = values.saturating_add(1);
                    }
                    let depth = self.enter(inner, depth)?;
                    self.message(inner, bytes, depth)?;
                }
                _ => return Err(cursor.fault("a field with the wrong wire type")),
            }
        }
        if kind == Kind::PropertySet && keys != values {
            return Err(cursor.fault("a property set with different numbers of keys and values"));
        }
        Ok(())
    }

    /// Counts one message of this kind, and returns its depth.
    fn enter(&mut self, kind: Kind, depth: usize) -> Result<usize, Fault> {
        match kind {
            Kind::Metric => count(&mut self.metrics, self.caps.metrics, "metrics")?,
            Kind::Row | Kind::Cell => self.count_cell()?,
            Kind::PropertySet | Kind::PropertySetList | Kind::PropertyValue | Kind::Parameter => {
                self.count_property()?;
            }
            Kind::Payload | Kind::MetaData | Kind::DataSet | Kind::Template => {}
        }
        if !matches!(kind, Kind::Template | Kind::PropertySet | Kind::PropertySetList) {
            return Ok(depth);
        }
        let cap = self.caps.depth.min(Caps::MAX_DEPTH);
        let depth = depth.saturating_add(1);
        if depth > cap { Err(Fault::OverCap { what: "levels of nesting", cap }) } else { Ok(depth) }
    }

    fn count_cell(&mut self) -> Result<(), Fault> {
        count(&mut self.cells, self.caps.cells, "data-set rows, cells and columns")
    }

    fn count_property(&mut self) -> Result<(), Fault> {
        count(&mut self.properties, self.caps.properties, "properties and parameters")
    }
}

fn count(counter: &mut usize, cap: usize, what: &'static str) -> Result<(), Fault> {
    *counter = counter.saturating_add(1);
    if *counter > cap { Err(Fault::OverCap { what, cap }) } else { Ok(()) }
}

/// The unread rest of one message.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn fault(&self, what: &'static str) -> Fault {
        Fault::Malformed { what, at: self.at }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) =
            self.bytes.split_at_checked(length).ok_or_else(|| self.fault("a field cut short"))?;
        self.bytes = rest;
        self.at = self.at.saturating_add(length);
        Ok(taken)
    }

    /// At most ten bytes; bits beyond the 64th are an error, as in prost.
    fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let &byte = self.take(1)?.first().ok_or_else(|| self.fault("a field cut short"))?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.fault("a varint of more than 64 bits"))
    }

    /// Field number and wire type.
    fn key(&mut self) -> Result<(u64, u64), Fault> {
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 || number > MAX_FIELD {
            return Err(self.fault("a field number out of range"));
        }
        Ok((number, key & 7))
    }

    fn length_delimited(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.varint()?;
        let length = usize::try_from(length).map_err(|_| self.fault("a field cut short"))?;
        self.take(length)
    }

    /// Steps over an unknown field. Groups can nest; their end is found without recursion by
    /// keeping the open field numbers in a small fixed stack.
    fn skip(&mut self, number: u64, wire: u64) -> Result<(), Fault> {
        const MAX_GROUPS: usize = 8;
        let mut open = [0_u64; MAX_GROUPS];
        let mut depth = 0_usize;
        let (mut number, mut wire) = (number, wire);
        loop {
            match wire {
                wire::VARINT => {
                    self.varint()?;
                }
                wire::FIXED64 => {
                    self.take(8)?;
                }
                wire::LENGTH => {
                    self.length_delimited()?;
                }
                wire::FIXED32 => {
                    self.take(4)?;
                }
                wire::GROUP_START => {
                    let slot = open
                        .get_mut(depth)
                        .ok_or(Fault::OverCap { what: "levels of groups", cap: MAX_GROUPS })?;
                    *slot = number;
                    depth = depth.saturating_add(1);
                }
                wire::GROUP_END => {
                    depth = depth
                        .checked_sub(1)
                        .filter(|&depth| open.get(depth) == Some(&number))
                        .ok_or_else(|| self.fault("a group end without its start"))?;
                }
                _ => return Err(self.fault("an unknown wire type")),
            }
            if depth == 0 {
                return Ok(());
            }
            (number, wire) = self.key()?;
        }
    }
}
