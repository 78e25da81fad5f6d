//! Datatype codes of metrics and properties (Sparkplug 3.0 §6.4.16).

use core::fmt;

macro_rules! datatypes {
    ($($(#[doc = $doc:literal])* $variant:ident = $code:literal,)+) => {
        /// Datatype of a metric, in the specification's order. Code 0 (Unknown) has no variant:
        /// a birth that uses it is malformed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum DataType { $($(#[doc = $doc])* $variant = $code,)+ }

        impl DataType {
            /// Every datatype, in the order of their codes.
            pub const ALL: &'static [DataType] = &[$(DataType::$variant,)+];

            /// The datatype with this code, or `None` for 0 and codes above 34.
            pub const fn from_code(code: u32) -> Option<DataType> {
                match code { $($code => Some(DataType::$variant),)+ _ => None }
            }

            /// The specification's name, such as `UInt16`; policies use the same.
            pub const fn name(self) -> &'static str {
                match self { $(DataType::$variant => stringify!($variant),)+ }
            }
        }
    };
}

datatypes! {
    Int8 = 1,
    Int16 = 2,
    Int32 = 3,
    Int64 = 4,
    UInt8 = 5,
    UInt16 = 6,
    UInt32 = 7,
    UInt64 = 8,
    Float = 9,
    Double = 10,
    Boolean = 11,
    String = 12,
    /// Milliseconds since the epoch (UTC).
    DateTime = 13,
    Text = 14,
    UUID = 15,
    DataSet = 16,
    Bytes = 17,
    File = 18,
    Template = 19,
    /// Type of a property only.
    PropertySet = 20,
    /// Type of a property only.
    PropertySetList = 21,
    Int8Array = 22,
    Int16Array = 23,
    Int32Array = 24,
    Int64Array = 25,
    UInt8Array = 26,
    UInt16Array = 27,
    UInt32Array = 28,
    UInt64Array = 29,
    FloatArray = 30,
    DoubleArray = 31,
    BooleanArray = 32,
    StringArray = 33,
    DateTimeArray = 34,
}

impl DataType {
    /// The code on the wire, 1..=34.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The datatypes that metrics can have: all but those of properties only.
    pub fn of_metrics() -> impl Iterator<Item = DataType> {
        let of_properties = [DataType::PropertySet, DataType::PropertySetList];
        DataType::ALL.iter().copied().filter(move |datatype| !of_properties.contains(datatype))
    }

    /// The datatype with this name, exactly as the specification spells it.
    pub fn from_name(name: &str) -> Option<DataType> {
        DataType::ALL.iter().copied().find(|datatype| datatype.name() == name)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_round_trip() {
        assert_eq!(DataType::ALL.len(), 34);
        for (index, datatype) in DataType::ALL.iter().enumerate() {
            assert_eq!(datatype.code() as usize, index + 1);
            assert_eq!(DataType::from_code(datatype.code()), Some(*datatype));
            assert_eq!(DataType::from_name(datatype.name()), Some(*datatype));
        }
        assert_eq!(DataType::from_code(0), None);
        assert_eq!(DataType::from_code(35), None);
        assert_eq!(DataType::from_name("float"), None);
    }
}
