//! Values that have parts of their own: data sets and templates. One bad part makes the whole of
//! such a value bad: without it, it would be another one.

use super::super::wire::{Cursor, Fault};
use super::super::{Cap, Cell, CellValue, DataSet, Parameter, ParameterValue, Row, Template};
use super::Reader;

impl Reader<'_> {
    pub(super) fn data_set(&mut self, bytes: &[u8], table: &mut DataSet) -> Result<(), Fault> {
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x08 => table.num_of_columns = Some(cursor.varint()?),
                0x12 => {
                    let column = self.owned_name(cursor.bytes()?)?;
                    self.count_cell()?;
                    table.columns.push(column);
                }
                0x18 => table.types.push(cursor.varint32()?),
                0x1a => {
                    // Packed. At most four bytes of memory for each one of the payload.
                    let mut types = Cursor::new(cursor.bytes()?);
                    while !types.is_empty() {
                        table.types.push(types.varint32()?);
                    }
                }
                0x22 => {
                    let bytes = cursor.bytes()?;
                    self.count_cell()?;
                    table.rows.push(self.row(bytes)?);
                }
                key => self.skip(&mut cursor, key, 4)?,
            }
        }
        Ok(())
    }

    fn row(&mut self, bytes: &[u8]) -> Result<Row, Fault> {
        let mut row = Row::default();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x0a => {
                    let bytes = cursor.bytes()?;
                    self.count_cell()?;
                    row.elements.push(self.cell(bytes)?);
                }
                key => self.skip(&mut cursor, key, 1)?,
            }
        }
        Ok(row)
    }

    fn cell(&mut self, bytes: &[u8]) -> Result<Cell, Fault> {
        let mut cell = Cell::default();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            cell.value = Some(match cursor.key()? {
                0x08 => CellValue::Int(cursor.varint32()?),
                0x10 => CellValue::Long(cursor.varint()?),
                0x1d => CellValue::Float(f32::from_bits(cursor.fixed32()?)),
                0x21 => CellValue::Double(f64::from_bits(cursor.fixed64()?)),
                0x28 => CellValue::Boolean(cursor.boolean()?),
                0x32 => CellValue::String(self.string(&mut cursor)?),
                key => {
                    self.skip(&mut cursor, key, 6)?;
                    continue;
                }
            });
        }
        Ok(cell)
    }

    pub(super) fn template(
        &mut self,
        bytes: &[u8],
        template: &mut Template,
        depth: usize,
    ) -> Result<(), Fault> {
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x0a => template.version = Some(self.string(&mut cursor)?),
                0x12 => {
                    let bytes = cursor.bytes()?;
                    self.count_metric()?;
                    let limit = self.caps.members;
                    if template.metrics.len() >= limit {
                        return Err(Fault::OverCap(Cap::Members.passed(limit)));
                    }
                    // A template without the value of a member would be another one.
                    let mut bad_value = None;
                    let member = self.metric(bytes, depth, &mut bad_value)?;
                    if let Some(fault) = bad_value {
                        return Err(fault);
                    }
                    template.metrics.push(member.into_metric());
                }
                0x1a => {
                    let bytes = cursor.bytes()?;
                    self.count_property()?;
                    template.parameters.push(self.parameter(bytes)?);
                }
                0x22 => template.template_ref = Some(self.string(&mut cursor)?),
                0x28 => template.is_definition = Some(cursor.boolean()?),
                key => self.skip(&mut cursor, key, 5)?,
            }
        }
        Ok(())
    }

    fn parameter(&mut self, bytes: &[u8]) -> Result<Parameter, Fault> {
        let mut parameter = Parameter::default();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            match cursor.key()? {
                0x0a => parameter.name = Some(self.owned_name(cursor.bytes()?)?),
                0x10 => parameter.r#type = Some(cursor.varint32()?),
                0x18 => parameter.value = Some(ParameterValue::Int(cursor.varint32()?)),
                0x20 => parameter.value = Some(ParameterValue::Long(cursor.varint()?)),
                0x2d => {
                    parameter.value =
                        Some(ParameterValue::Float(f32::from_bits(cursor.fixed32()?)));
                }
                0x31 => {
                    parameter.value =
                        Some(ParameterValue::Double(f64::from_bits(cursor.fixed64()?)));
                }
                0x38 => parameter.value = Some(ParameterValue::Boolean(cursor.boolean()?)),
                0x42 => parameter.value = Some(ParameterValue::String(self.string(&mut cursor)?)),
                key => self.skip(&mut cursor, key, 8)?,
            }
        }
        Ok(parameter)
    }
}
