//! Protobuf, field by field, right or wrong.

/// A protobuf message in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proto(Vec<u8>);

/// Wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

impl Proto {
    /// Without any field.
    pub fn new() -> Proto {
        Proto::default()
    }

    /// What was made.
    pub fn done(self) -> Vec<u8> {
        self.0
    }

    /// An integer.
    pub fn int(mut self, field: u64, value: u64) -> Proto {
        self.varint(field << 3 | VARINT);
        self.varint(value);
        self
    }

    /// Bytes or a text, whether UTF-8 or not.
    pub fn bytes(mut self, field: u64, bytes: impl AsRef<[u8]>) -> Proto {
        let bytes = bytes.as_ref();
        self.varint(field << 3 | BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// A message within.
    pub fn message(self, field: u64, message: Proto) -> Proto {
        self.bytes(field, message.0)
    }

    /// Messages within.
    pub fn messages(mut self, field: u64, messages: impl IntoIterator<Item = Proto>) -> Proto {
        for message in messages {
            self = self.message(field, message);
        }
        self
    }

    /// The same field, again and again; cheap for any number.
    pub fn repeated(mut self, field: u64, bytes: impl AsRef<[u8]>, count: usize) -> Proto {
        let one = Proto::new().bytes(field, bytes);
        self.0.reserve(one.0.len() * count);
        for _ in 0..count {
            self.0.extend_from_slice(&one.0);
        }
        self
    }

    /// Eight bytes.
    pub fn double(mut self, field: u64, value: f64) -> Proto {
        self.varint(field << 3 | FIXED64);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Four bytes.
    pub fn float(mut self, field: u64, value: f32) -> Proto {
        self.varint(field << 3 | FIXED32);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Any bytes.
    pub fn raw(mut self, bytes: &[u8]) -> Proto {
        self.0.extend_from_slice(bytes);
        self
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// The first field of this number in a message, if it is an integer.
pub(crate) fn int_in(message: &[u8], wanted: u64) -> Option<u64> {
    fields(message).find_map(|(field, value)| match value {
        Field::Int(value) if field == wanted => Some(value),
        _ => None,
    })
}

/// The fields of this number in a message that are bytes.
pub(crate) fn bytes_in(message: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).filter_map(move |(field, value)| match value {
        Field::Bytes(bytes) if field == wanted => Some(bytes),
        _ => None,
    })
}

enum Field<'a> {
    Int(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// The fields of a message, up to where it is none any more.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    std::iter::from_fn(move || {
        let key = take_varint(&mut rest)?;
        let value = match key & 7 {
            VARINT => Field::Int(take_varint(&mut rest)?),
            FIXED64 => take(&mut rest, 8).map(|_| Field::Fixed)?,
            FIXED32 => take(&mut rest, 4).map(|_| Field::Fixed)?,
            BYTES => {
                let length = usize::try_from(take_varint(&mut rest)?).ok()?;
                Field::Bytes(take(&mut rest, length)?)
            }
            _ => return None,
        };
        Some((key >> 3, value))
    })
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let inner = Proto::new().bytes(1, "name").int(10, 300);
        let message =
            Proto::new().int(1, u64::MAX).double(13, 0.5).float(12, 1.0).message(2, inner);
        let bytes = message.int(3, 7).done();
        assert_eq!(int_in(&bytes, 1), Some(u64::MAX));
        assert_eq!(int_in(&bytes, 3), Some(7));
        let inner = bytes_in(&bytes, 2).next().unwrap();
        assert_eq!(bytes_in(inner, 1).next(), Some(&b"name"[..]));
        assert_eq!(int_in(inner, 10), Some(300));
        assert_eq!(int_in(&bytes[..5], 3), None);
    }
}
