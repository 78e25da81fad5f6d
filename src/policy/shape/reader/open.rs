//! Reads which datatypes cross although no check can look at them, and tells of those that the rule
//! names and its checks keep back.

use std::ops::Range as Span;

use diagnostic::{Diagnostic, Section};
use sparkplug::DataType;

use super::{Reader, listed};
use crate::language::read_datatype;
use crate::rule::DataTypes;
use crate::shape::Shape;

impl Reader<'_, '_> {
    pub(super) fn open(&mut self, section: &mut Section<'_, '_>) -> Option<DataTypes> {
        let names = section.strings("open-datatypes", self.problems)?;
        let mut open = DataTypes::default();
        for name in &names {
            let Some(datatype) = read_datatype(self.file, name, self.problems) else { continue };
            if self.datatypes.is_some_and(|datatypes| !datatypes.contains(datatype)) {
                let title = format!("`{}` is opened and isn't forwarded", datatype.name());
                self.error("P040", name.span.clone(), title, "not among the rule's `datatypes`");
            }
            open = open.with(datatype);
        }
        Some(open)
    }

    /// Warns of datatypes that the rule names and of which nothing crosses, since `shape` (with what
    /// the table says by itself) has checks and none of them looks at these.
    pub(super) fn crosses(
        &mut self,
        own: Option<&Shape>,
        shape: &Shape,
        header: Span<usize>,
        table: &str,
    ) {
        // With an error in it the table doesn't say what it is meant to.
        let Some(datatypes) = self.datatypes.filter(|_| !self.problems.has_errors()) else {
            return;
        };
        let is_lost =
            |datatype: &&DataType| datatypes.contains(**datatype) && !shape.fits(own, **datatype);
        let lost: Vec<&str> = DataType::ALL.iter().filter(is_lost).map(|one| one.name()).collect();
        // A table for some metrics is meant for those of their datatypes.
        let crosses = |datatype: &&DataType| datatypes.contains(**datatype) && !is_lost(datatype);
        if lost.is_empty() || (own.is_some() && DataType::ALL.iter().any(|one| crosses(&one))) {
            return;
        }
        let title = format!("nothing of {} crosses under this `{table}`", listed(&lost));
        let problem = Diagnostic::warning("P120", self.file, header, title)
            .label("none of its checks looks at values of that datatype (`unshapeable`)")
            .help(
                "`open-datatypes` lists those that may cross unlooked at; a `[[rule.metric]]` of \
                 their own with `inherit = false` takes metrics out",
            );
        self.problems.push(problem);
    }
}
