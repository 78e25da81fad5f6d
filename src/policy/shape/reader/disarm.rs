//! Reads which properties, fields, columns and members may stand beside and inside of values.

use diagnostic::{Diagnostic, Section, closest};
use sparkplug::DataType;

use super::{Reader, quoted};
use crate::shape::disarm::{Fields, Names};

impl Reader<'_, '_> {
    pub(super) fn names(
        &mut self,
        section: &mut Section<'_, '_>,
        key: &'static str,
    ) -> Option<Names> {
        let names = section.strings_or_none(key, self.problems)?;
        match key {
            "columns" => self.usable(section, key, |datatype| datatype == DataType::DataSet),
            "members" | "parameters" => {
                self.usable(section, key, |datatype| datatype == DataType::Template);
            }
            _ => {}
        }
        Some(self.globs(&names).into())
    }

    pub(super) fn metadata(&mut self, section: &mut Section<'_, '_>) -> Option<Fields> {
        let names = section.strings_or_none("metadata", self.problems)?;
        let mut fields = Fields::default();
        for name in names {
            match fields.with(&name.value) {
                Some(more) => fields = more,
                None => {
                    let title = format!("unknown metadata field: `{}`", name.value);
                    let problem = Diagnostic::error("P040", self.file, name.span, title)
                        .label("not a field of Sparkplug's metadata");
                    let plain = name.value.replace('_', "-");
                    self.problems.push(match closest(&plain, Fields::NAMES) {
                        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                        None => problem.help(format!("the fields are {}", quoted(&Fields::NAMES))),
                    });
                }
            }
        }
        Some(fields)
    }
}
