//! Values without parts: numbers, times and truth values.

use super::{DataType, Value};

/// A value without parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// Int8..Int32, UInt8..UInt16, UInt32.
    Int(u32),
    /// Int64, UInt64, DateTime; UInt32 of some libraries.
    Long(u64),
    Float(f32),
    Double(f64),
    Boolean(bool),
}

impl Scalar {
    /// Whether it is a value of `datatype`, as [`value::fits`](super::value::fits).
    #[inline]
    pub fn fits(self, datatype: DataType) -> bool {
        match (datatype, self) {
            (DataType::Int8, Scalar::Int(bits)) => is_signed(bits, 8),
            (DataType::Int16, Scalar::Int(bits)) => is_signed(bits, 16),
            (DataType::Int32 | DataType::UInt32, Scalar::Int(_)) => true,
            (DataType::UInt8, Scalar::Int(bits)) => bits <= u32::from(u8::MAX),
            (DataType::UInt16, Scalar::Int(bits)) => bits <= u32::from(u16::MAX),
            (DataType::UInt32, Scalar::Long(bits)) => bits <= u64::from(u32::MAX),
            (DataType::Int64 | DataType::UInt64 | DataType::DateTime, Scalar::Long(_)) => true,
            (DataType::Float, Scalar::Float(_)) => true,
            (DataType::Double, Scalar::Double(_)) => true,
            (DataType::Boolean, Scalar::Boolean(_)) => true,
            _ => false,
        }
    }
}

impl From<Scalar> for Value {
    #[inline]
    fn from(scalar: Scalar) -> Value {
        match scalar {
            Scalar::Int(value) => Value::Int(value),
            Scalar::Long(value) => Value::Long(value),
            Scalar::Float(value) => Value::Float(value),
            Scalar::Double(value) => Value::Double(value),
            Scalar::Boolean(value) => Value::Boolean(value),
        }
    }
}

/// Whether they are the bits of a number of this width: masked to it, or sign-extended to 32.
fn is_signed(bits: u32, width: u32) -> bool {
    let bits = u64::from(bits);
    let extended = sign_extend(bits, width);
    bits >> width == 0 || (extended < 0 && extended == sign_extend(bits, 32))
}

/// The low `width` bits (1..=64) as a two's complement number.
pub(super) fn sign_extend(bits: u64, width: u32) -> i64 {
    let unused = 64_u32.saturating_sub(width);
    (bits << unused).cast_signed() >> unused
}
