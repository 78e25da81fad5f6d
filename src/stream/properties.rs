//! Properties of MQTT 5 (§2.2.2) that are looked at: those of short answers, all of them known by their
//! identifiers, none of them kept longer than the answer.

/// Longest text of a broker that is kept, in characters: it is for people.
const MAX_TEXT: usize = 200;

/// What a property has behind its identifier (MQTT 5 §2.2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Byte,
    TwoBytes,
    FourBytes,
    Varint,
    Text,
    Pair,
}

/// A property's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    Number(u32),
    Text(&'a [u8]),
    Pair,
}

/// Reason String (MQTT 5 §3.2.2.3.9).
const REASON_STRING: u8 = 0x1f;

/// The properties of one packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Properties<'a>(Vec<(u8, Value<'a>)>);

impl<'a> Properties<'a> {
    /// From their length on; nothing at all counts as none.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Properties<'a>> {
        if bytes.is_empty() {
            return Some(Properties::default());
        }
        Properties::split(bytes).map(|(properties, _)| properties)
    }

    /// From their length on, and what is behind them.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<(Properties<'a>, &'a [u8])> {
        let (length, rest) = number(bytes)?;
        let (mut own, behind) = rest.split_at_checked(length.try_into().ok()?)?;
        let mut properties = Vec::new();
        while let Some((id, rest)) = own.split_first() {
            let (value, rest) = value(shape(*id)?, rest)?;
            properties.push((*id, value));
            own = rest;
        }
        Some((Properties(properties), behind))
    }

    /// The number of this property; the first one, if there are more.
    pub(crate) fn number(&self, id: u8) -> Option<u32> {
        self.0.iter().find_map(|(known, value)| match value {
            Value::Number(number) if *known == id => Some(*number),
            _ => None,
        })
    }

    /// The text of this property, as people can read it.
    pub(crate) fn text(&self, id: u8) -> Option<String> {
        let bytes = self.0.iter().find_map(|(known, value)| match value {
            Value::Text(bytes) if *known == id => Some(*bytes),
            _ => None,
        })?;
        Some(String::from_utf8_lossy(bytes).chars().take(MAX_TEXT).collect())
    }

    /// What the broker says in its own words.
    pub(crate) fn reason(&self) -> Option<String> {
        self.text(REASON_STRING).filter(|text| !text.is_empty())
    }
}

/// `None`: MQTT 5 has no such property.
fn shape(id: u8) -> Option<Shape> {
    Some(match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => Shape::Byte,
        0x13 | 0x21 | 0x22 | 0x23 => Shape::TwoBytes,
        0x02 | 0x11 | 0x18 | 0x27 => Shape::FourBytes,
        0x0b => Shape::Varint,
        // Binary data have the same shape.
        0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => Shape::Text,
        0x26 => Shape::Pair,
        _ => return None,
    })
}

fn value(shape: Shape, bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    Some(match shape {
        Shape::Byte => {
            let (byte, rest) = bytes.split_first()?;
            (Value::Number((*byte).into()), rest)
        }
        Shape::TwoBytes => {
            let (two, rest) = bytes.split_first_chunk()?;
            (Value::Number(u16::from_be_bytes(*two).into()), rest)
        }
        Shape::FourBytes => {
            let (four, rest) = bytes.split_first_chunk()?;
            (Value::Number(u32::from_be_bytes(*four)), rest)
        }
        Shape::Varint => {
            let (number, rest) = number(bytes)?;
            (Value::Number(number), rest)
        }
        Shape::Text => {
            let (text, rest) = text(bytes)?;
            (Value::Text(text), rest)
        }
        Shape::Pair => (Value::Pair, text(text(bytes)?.1)?.1),
    })
}

/// A variable byte integer (MQTT 5 §1.5.5), and what is behind it.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut number = 0_u32;
    for (shift, (byte, place)) in [0, 7, 14, 21].into_iter().zip(bytes.iter().zip(1_usize..)) {
        number |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(place..).unwrap_or_default()));
        }
    }
    None
}

fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every property of MQTT 5 §2.2.2.2 with a value of its shape.
    fn every() -> Vec<(u8, Vec<u8>)> {
        let of = |shape| match shape {
            Shape::Byte => vec![1],
            Shape::TwoBytes => vec![1, 2],
            Shape::FourBytes => vec![0, 0, 1, 2],
            Shape::Varint => vec![0x80, 0x01],
            Shape::Text => vec![0, 2, b'o', b'k'],
            Shape::Pair => vec![0, 1, b'a', 0, 2, b'b', b'c'],
        };
        (0..=u8::MAX).filter_map(|id| Some((id, of(shape(id)?)))).collect()
    }

    #[test]
    fn each_of_the_27_properties_is_read_by_its_shape_and_found_by_its_identifier() {
        let every = every();
        assert_eq!(every.len(), 27);
        let mut bytes: Vec<u8> =
            every.iter().flat_map(|(id, value)| [&[*id], &**value].concat()).collect();
        bytes.insert(0, bytes.len().try_into().unwrap());
        bytes.extend(b"codes");
        let (properties, behind) = Properties::split(&bytes).unwrap();
        assert_eq!(behind, b"codes");
        assert_eq!(properties.number(0x21), Some(0x0102));
        assert_eq!(properties.number(0x27), Some(0x0102));
        assert_eq!(properties.number(0x28), Some(1));
        assert_eq!(properties.number(0x0b), Some(128));
        assert_eq!(properties.reason().as_deref(), Some("ok"));
        assert_eq!(properties.text(0x12).as_deref(), Some("ok"));
        assert_eq!((properties.number(0x1f), properties.text(0x21)), (None, None));
    }

    #[test]
    fn what_ends_early_or_is_no_property_is_not_read() {
        for (id, value) in every() {
            for length in 0..value.len() {
                let cut = [&[u8::try_from(length + 1).unwrap(), id], &value[..length]].concat();
                assert_eq!(Properties::split(&cut), None, "{id:#x}, cut after {length}");
            }
        }
        for bytes in
            [&[1, 0x00][..], &[1, 0x7f], &[5, 0x24, 1], &[0x80], &[0x80, 0x80, 0x80, 0x80, 1]]
        {
            assert_eq!(Properties::split(bytes), None, "{bytes:?}");
        }
        assert_eq!(Properties::split(&[]), None);
        assert_eq!(Properties::read(&[]), Some(Properties::default()));
        assert_eq!(Properties::split(&[0, 7]), Some((Properties::default(), &[7][..])));
    }

    #[test]
    fn a_long_text_is_cut_and_one_that_is_none_is_readable() {
        let long = "ä".repeat(1_000);
        let mut body = vec![REASON_STRING];
        body.extend(u16::try_from(long.len()).unwrap().to_be_bytes());
        body.extend(long.as_bytes());
        let bytes = [&crate::message::varint(body.len())[..], &body].concat();
        assert_eq!(Properties::read(&bytes).unwrap().reason().unwrap(), "ä".repeat(MAX_TEXT));
        let odd = [4, REASON_STRING, 0, 1, 0xff];
        assert_eq!(Properties::read(&odd).unwrap().reason().unwrap(), "\u{fffd}");
    }
}
