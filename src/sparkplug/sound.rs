//! Properties as a host can read them (Sparkplug 3.0 §6.4.9): each of a type that properties can
//! have, with a value of it or null. Edge libraries leave types out, or write others.

use alloc::vec::Vec;

use super::names::{QUALITY, QUALITY_BAD};
use super::{DataType, Property, PropertySet, PropertyValue, Scalar, steps};

/// Gives properties the type that only one can be meant by, and takes out those that nobody could
/// read; how many. A quality that can't be read is bad: without it the value would look good.
pub fn make_sound(set: &mut PropertySet) -> usize {
    steps::take(set.keys.len());
    let mut removed = 0_usize;
    let mut bad = Vec::new();
    for (place, (key, value)) in set.keys.iter().zip(&mut set.values).enumerate() {
        let is_sound = match key == QUALITY {
            true => is_sound_quality(value),
            false => is_sound(value, &mut removed),
        };
        if !is_sound {
            removed = removed.saturating_add(1);
            if key == QUALITY {
                *value = quality(QUALITY_BAD);
            } else {
                bad.push(place);
            }
        }
    }
    if !bad.is_empty() {
        let is_bad = |place: usize| bad.binary_search(&place).is_ok();
        let mut places = 0..;
        set.keys.retain(|_| places.next().is_some_and(|place| !is_bad(place)));
        let mut places = 0..;
        set.values.retain(|_| places.next().is_some_and(|place| !is_bad(place)));
    }
    removed
}

/// `removed` becomes larger by what was taken out of the sets in it.
fn is_sound(value: &mut PropertyValue, removed: &mut usize) -> bool {
    let named = value.r#type.and_then(DataType::from_code).filter(|named| is_of_properties(*named));
    if value.is_null == Some(true) {
        value.value = None;
        return named.is_some();
    }
    let Some(content) = &mut value.value else {
        value.is_null = Some(true);
        return named.is_some();
    };
    match content {
        Property::Set(inner) => *removed = removed.saturating_add(make_sound(inner)),
        Property::SetList(list) => {
            for inner in &mut list.sets {
                *removed = removed.saturating_add(make_sound(inner));
            }
        }
        _ => {}
    }
    match named.or_else(|| evident(content)) {
        Some(datatype) if fits(datatype, content) => {
            value.r#type = Some(datatype.code());
            true
        }
        _ => false,
    }
}

fn is_sound_quality(value: &mut PropertyValue) -> bool {
    let read = match value.value {
        Some(Property::Int(quality)) => Some(quality),
        Some(Property::Long(quality)) => u32::try_from(quality).ok(),
        _ => None,
    };
    let Some(read) = read.filter(|_| value.is_null != Some(true)) else { return false };
    *value = quality(read);
    true
}

fn quality(number: u32) -> PropertyValue {
    PropertyValue {
        r#type: Some(DataType::Int32.code()),
        is_null: None,
        value: Some(Property::Int(number)),
    }
}

fn is_of_properties(datatype: DataType) -> bool {
    datatype <= DataType::Text
        || matches!(datatype, DataType::PropertySet | DataType::PropertySetList)
}

/// The type that a value must have where it isn't said: an integer's where it is the same number
/// with and without a sign.
fn evident(content: &Property) -> Option<DataType> {
    match content {
        Property::Int(number) => i32::try_from(*number).ok().map(|_| DataType::Int32),
        Property::Long(number) => i64::try_from(*number).ok().map(|_| DataType::Int64),
        Property::Float(_) => Some(DataType::Float),
        Property::Double(_) => Some(DataType::Double),
        Property::Boolean(_) => Some(DataType::Boolean),
        Property::String(_) => Some(DataType::String),
        Property::Set(_) => Some(DataType::PropertySet),
        Property::SetList(_) => Some(DataType::PropertySetList),
    }
}

fn fits(datatype: DataType, content: &Property) -> bool {
    let scalar = match content {
        Property::Int(number) => Scalar::Int(*number),
        Property::Long(number) => Scalar::Long(*number),
        Property::Float(number) => Scalar::Float(*number),
        Property::Double(number) => Scalar::Double(*number),
        Property::Boolean(truth) => Scalar::Boolean(*truth),
        Property::String(_) => return matches!(datatype, DataType::String | DataType::Text),
        Property::Set(_) => return datatype == DataType::PropertySet,
        Property::SetList(_) => return datatype == DataType::PropertySetList,
    };
    scalar.fits(datatype)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    fn property(datatype: Option<u32>, value: Option<Property>) -> PropertyValue {
        PropertyValue { r#type: datatype, is_null: None, value }
    }

    fn sound(key: &str, value: PropertyValue) -> (Option<PropertyValue>, usize) {
        let mut set = PropertySet {
            keys: vec!["before".into(), key.into(), "after".into()],
            values: vec![property(Some(11), Some(Property::Boolean(true))); 3],
        };
        set.values[1] = value;
        let removed = make_sound(&mut set);
        assert_eq!(set.keys.len(), set.values.len());
        assert_eq!(set.keys.last().map(String::as_str), Some("after"));
        let place = set.keys.iter().position(|known| known == key);
        (place.map(|place| set.values[place].clone()), removed)
    }

    #[test]
    fn a_type_that_is_left_out_is_the_one_that_must_be_meant() {
        for absent in [None, Some(0), Some(15), Some(99)] {
            for (value, code) in [
                (Property::Int(7), 3),
                (Property::Long(7), 4),
                (Property::Float(1.5), 9),
                (Property::Double(1.5), 10),
                (Property::Boolean(true), 11),
                (Property::String("x".into()), 12),
            ] {
                let wanted = property(Some(code), Some(value.clone()));
                assert_eq!(sound("k", property(absent, Some(value))), (Some(wanted), 0));
            }
            // A number that depends on its type.
            assert_eq!(sound("k", property(absent, Some(Property::Int(u32::MAX)))), (None, 1));
            assert_eq!(sound("k", property(absent, None)), (None, 1));
        }
    }

    #[test]
    fn a_value_of_another_type_is_left_out_and_null_stays() {
        assert_eq!(sound("k", property(Some(3), Some(Property::String("7".into())))), (None, 1));
        assert_eq!(sound("k", property(Some(5), Some(Property::Int(300)))), (None, 1));
        let null = PropertyValue { is_null: Some(true), ..property(Some(3), None) };
        assert_eq!(sound("k", null.clone()), (Some(null.clone()), 0));
        assert_eq!(sound("k", property(Some(3), None)), (Some(null), 0));
    }

    #[test]
    fn sets_are_looked_into() {
        let inner = PropertySet {
            keys: vec!["a".into(), "b".into()],
            values: vec![property(Some(3), None), property(None, Some(Property::Int(u32::MAX)))],
        };
        let (value, removed) = sound("k", property(None, Some(Property::Set(inner))));
        assert_eq!(removed, 1);
        let Some(PropertyValue { value: Some(Property::Set(inner)), .. }) = value else { panic!() };
        assert_eq!(inner.keys, ["a"]);
    }

    #[test]
    fn a_quality_that_nobody_can_read_is_bad() {
        let good = quality(192);
        assert_eq!(sound(QUALITY, property(None, Some(Property::Long(192)))), (Some(good), 0));
        for unreadable in [Some(Property::String("Good".into())), None] {
            let (value, removed) = sound(QUALITY, property(Some(12), unreadable));
            assert_eq!((value, removed), (Some(quality(QUALITY_BAD)), 1));
        }
    }
}
