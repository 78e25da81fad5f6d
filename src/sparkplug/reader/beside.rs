//! What stands beside the value of a metric: properties and metadata. What of it can't be used is
//! left out, and the metric stays.

use alloc::vec::Vec;

use super::super::names::{QUALITY, QUALITY_BAD};
use super::super::wire::{Cursor, Fault};
use super::super::{
    DataType, MetaData, Metric, Property, PropertySet, PropertySetList, PropertyValue,
};
use super::Reader;

impl Reader<'_> {
    pub(super) fn read_metadata(&mut self, bytes: &[u8], metric: &mut Metric) -> Result<(), Fault> {
        match self.metadata(bytes, metric.metadata.get_or_insert_default()) {
            Err(fault) if !fault.is_of_payload() => {
                metric.metadata = None;
                self.leave_out(fault);
                Ok(())
            }
            read => read,
        }
    }

    pub(super) fn read_properties(
        &mut self,
        bytes: &[u8],
        metric: &mut Metric,
        depth: usize,
    ) -> Result<(), Fault> {
        let set = metric.properties.get_or_insert_default();
        let read = match self.enter_property(depth) {
            Ok(depth) => self.property_set(bytes, set, depth),
            Err(fault) => Err(fault),
        };
        match read {
            Err(fault) if !fault.is_of_payload() => {
                // Without its quality a bad value would look good.
                let tells_quality = set.keys.iter().any(|key| key == QUALITY);
                set.keys.clear();
                set.values.clear();
                if tells_quality {
                    set.keys.push(QUALITY.into());
                    set.values.push(bad_quality());
                } else {
                    metric.properties = None;
                }
                self.leave_out(fault);
                Ok(())
            }
            read => read,
        }
    }

    fn metadata(&mut self, bytes: &[u8], metadata: &mut MetaData) -> Result<(), Fault> {
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x08 => metadata.is_multi_part = Some(cursor.boolean()?),
                0x12 => metadata.content_type = Some(self.string(&mut cursor)?),
                0x18 => metadata.size = Some(cursor.varint()?),
                0x20 => metadata.seq = Some(cursor.varint()?),
                0x2a => metadata.file_name = Some(self.string(&mut cursor)?),
                0x32 => metadata.file_type = Some(self.string(&mut cursor)?),
                0x3a => metadata.md5 = Some(self.string(&mut cursor)?),
                0x42 => metadata.description = Some(self.string(&mut cursor)?),
                key => self.skip(&mut cursor, key, 8)?,
            }
        }
        Ok(())
    }

    fn property_set(
        &mut self,
        bytes: &[u8],
        set: &mut PropertySet,
        depth: usize,
    ) -> Result<(), Fault> {
        let (keys, values) = (set.keys.len(), set.values.len());
        let mut bad = Vec::new();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x0a => {
                    let key = self.owned_name(cursor.bytes()?);
                    self.count_property()?;
                    if let Err(fault) = key {
                        self.leave_out(fault);
                        bad.push(set.keys.len());
                    }
                    set.keys.push(key.unwrap_or_default());
                }
                0x12 => {
                    let bytes = cursor.bytes()?;
                    self.count_property()?;
                    set.values.push(match self.property_value(bytes, depth) {
                        Ok(value) => value,
                        Err(fault) if fault.is_of_payload() => return Err(fault),
                        Err(fault) => {
                            self.leave_out(fault);
                            bad.push(set.values.len());
                            PropertyValue::default()
                        }
                    });
                }
                key => self.skip(&mut cursor, key, 2)?,
            }
        }
        // Each time that it is given: merged, a key could get another's value.
        if set.keys.len().saturating_sub(keys) != set.values.len().saturating_sub(values) {
            return Err(cursor.fault("a property set with different numbers of keys and values"));
        }
        if !bad.is_empty() {
            remove(set, bad);
        }
        Ok(())
    }

    fn property_value(&mut self, bytes: &[u8], depth: usize) -> Result<PropertyValue, Fault> {
        let mut property = PropertyValue::default();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x08 => property.r#type = Some(cursor.varint32()?),
                0x10 => property.is_null = Some(cursor.boolean()?),
                0x18 => property.value = Some(Property::Int(cursor.varint32()?)),
                0x20 => property.value = Some(Property::Long(cursor.varint()?)),
                0x2d => property.value = Some(Property::Float(f32::from_bits(cursor.fixed32()?))),
                0x31 => property.value = Some(Property::Double(f64::from_bits(cursor.fixed64()?))),
                0x38 => property.value = Some(Property::Boolean(cursor.boolean()?)),
                0x42 => property.value = Some(Property::String(self.string(&mut cursor)?)),
                0x4a => {
                    let bytes = cursor.bytes()?;
                    let depth = self.enter_property(depth)?;
                    let mut set = match property.value.take() {
                        Some(Property::Set(set)) => set,
                        _ => PropertySet::default(),
                    };
                    self.property_set(bytes, &mut set, depth)?;
                    property.value = Some(Property::Set(set));
                }
                0x52 => {
                    let bytes = cursor.bytes()?;
                    let depth = self.enter_property(depth)?;
                    let mut list = match property.value.take() {
                        Some(Property::SetList(list)) => list,
                        _ => PropertySetList::default(),
                    };
                    self.property_set_list(bytes, &mut list, depth)?;
                    property.value = Some(Property::SetList(list));
                }
                key => self.skip(&mut cursor, key, 10)?,
            }
        }
        Ok(property)
    }

    fn property_set_list(
        &mut self,
        bytes: &[u8],
        list: &mut PropertySetList,
        depth: usize,
    ) -> Result<(), Fault> {
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x0a => {
                    let bytes = cursor.bytes()?;
                    let depth = self.enter_property(depth)?;
                    let mut set = PropertySet::default();
                    self.property_set(bytes, &mut set, depth)?;
                    list.sets.push(set);
                }
                key => self.skip(&mut cursor, key, 1)?,
            }
        }
        Ok(())
    }
}

/// Takes the properties at these places out. A quality is bad instead: without it the value would
/// look good.
#[cold]
fn remove(set: &mut PropertySet, mut places: Vec<usize>) {
    places.sort_unstable();
    let PropertySet { keys, values } = core::mem::take(set);
    let mut places = places.into_iter().peekable();
    for (place, (key, value)) in keys.into_iter().zip(values).enumerate() {
        let mut is_bad = false;
        while places.next_if_eq(&place).is_some() {
            is_bad = true;
        }
        match is_bad {
            true if key == QUALITY => set.values.push(bad_quality()),
            true => continue,
            false => set.values.push(value),
        }
        set.keys.push(key);
    }
}

fn bad_quality() -> PropertyValue {
    PropertyValue {
        r#type: Some(DataType::Int32.code()),
        is_null: None,
        value: Some(Property::Int(QUALITY_BAD)),
    }
}
