//! Cases for a rule of a draft: a value that was seen, one out of range, and a stranger.

use std::collections::BTreeMap;

use account::Reason;
use mistake::mistake;
use policy::Verdict;
use policy::glob::Glob;
use sparkplug::{DataType, Entity, EntityTopic};

use super::{Block, Writer};
use crate::learn::group::{Class, Item};
use crate::learn::kind::is_number;
use crate::learn::observe::MetricSeen;
use crate::learn::range::Range;
use crate::learn::toml_text::{quoted, value_text};

impl Writer<'_> {
    /// A case that crosses, one that is out of range, one that stays.
    pub(super) fn cases(
        &mut self,
        block: &mut Block,
        (class, flagged): (&Class, bool),
        rule: &str,
        items: &[Item],
        meant: &BTreeMap<&str, &MetricSeen>,
        ranges: &[(Range, Vec<Item>)],
    ) {
        let Some(entity) = class.each().next() else { return mistake!("a class of no entity") };
        let topic = EntityTopic::data(entity).to_string();
        let datatype_of = |seen: &MetricSeen| seen.datatypes.iter().next().copied();
        let example = meant.iter().find_map(|(name, seen)| {
            let datatype = datatype_of(seen).filter(|_| seen.datatypes.len() == 1)?;
            let value = value_text(datatype, seen.sample.as_ref()?)?;
            (!flagged).then_some((*name, datatype, value))
        });
        let datatype = example.as_ref().map_or(DataType::Boolean, |(_, datatype, _)| *datatype);
        let stranger = self.stranger(entity, datatype, items);
        let mut write = |title: &str, lines: &[String]| {
            if !block.hidden {
                self.draft.cases = self.draft.cases.saturating_add(1);
            }
            block.line("");
            block.line("[[case]]");
            block.line(&format!("name = {}", quoted(&format!("{rule}: {title}"))));
            block.line(&format!("topic = {}", quoted(&topic)));
            lines.iter().for_each(|line| block.line(line));
        };
        let metric = |name: &str, datatype: DataType, value: &str| {
            [
                format!("metric = {}", quoted(name)),
                format!("datatype = {}", quoted(datatype.name())),
                format!("value = {value}"),
            ]
        };
        if let Some((name, datatype, value)) = &example {
            let mut lines = metric(name, *datatype, value).to_vec();
            lines.push("expect = \"forward\"".to_owned());
            lines.push(format!("rule = {}", quoted(rule)));
            write("a value that was seen crosses", &lines);
        }
        let outside = ranges.iter().find_map(|(range, items)| {
            let name = items.first()?.names.first()?;
            let datatype = datatype_of(meant.get(name.as_str())?)?;
            Some((name, datatype, above(datatype, range.max.as_deref()?)?))
        });
        if let Some((name, datatype, value)) = outside {
            let mut lines = metric(name, datatype, &value).to_vec();
            lines.push("expect = \"forward\"".to_owned());
            lines.push(format!("rule = {}", quoted(rule)));
            lines.push("arrives = { null = true, quality = 0 }".to_owned());
            write("a value out of range arrives as null", &lines);
        }
        if let Some(stranger) = stranger {
            let value = match datatype {
                DataType::Float | DataType::Double => "1.5",
                DataType::Boolean => "true",
                datatype if is_number(datatype) || datatype == DataType::DateTime => "1",
                _ => "\"text\"",
            };
            let mut lines = vec![format!("about = {}", quoted(rule))];
            lines.extend(metric(&stranger, datatype, value));
            lines.push("expect = \"drop\"".to_owned());
            lines.push("reason = \"no_rule\"".to_owned());
            write("what was never seen stays", &lines);
        }
    }

    /// A metric that no rule of anybody forwards.
    fn stranger(&self, entity: Entity<'_>, datatype: DataType, items: &[Item]) -> Option<String> {
        let candidates = ["Never/Seen", "Never seen", "x/Never/Seen/y"];
        let globs: Vec<Glob> =
            items.iter().filter_map(|item| Glob::parse(&item.pattern).ok()).collect();
        let is_strange = |name: &&str| {
            let by_policy = self.options.existing.is_none_or(|policy| {
                matches!(
                    policy.judge(entity, name, Some(datatype)),
                    Verdict::Drop { reason: Reason::NoRule, .. }
                )
            });
            by_policy && !globs.iter().any(|glob| glob.matches(name))
        };
        candidates.iter().find(|name| is_strange(name)).map(|name| (*name).to_owned())
    }
}

/// A value above `max` that its datatype can hold.
fn above(datatype: DataType, max: &str) -> Option<String> {
    if matches!(datatype, DataType::Float | DataType::Double) {
        let max: f64 = max.parse().ok()?;
        let above = max.abs() * 10.0 + 1_000.0;
        return Some(format!("{above:.1}"));
    }
    let above = max.parse::<i64>().ok()?.checked_add(1)?;
    let fits = match datatype {
        DataType::Int8 => i8::try_from(above).is_ok(),
        DataType::Int16 => i16::try_from(above).is_ok(),
        DataType::Int32 => i32::try_from(above).is_ok(),
        DataType::UInt8 => u8::try_from(above).is_ok(),
        DataType::UInt16 => u16::try_from(above).is_ok(),
        DataType::UInt32 => u32::try_from(above).is_ok(),
        DataType::Int64 | DataType::UInt64 => true,
        _ => false,
    };
    fits.then(|| above.to_string())
}
