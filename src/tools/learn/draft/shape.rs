//! The tables of a rule's shape: ranges, lengths and lists of what was seen.

use std::collections::{BTreeMap, BTreeSet};

use sparkplug::DataType;

use super::words::{MAX_LISTED, shown};
use super::{Block, Writer};
use crate::learn::group::{Item, literal};
use crate::learn::kind::Kind;
use crate::learn::observe::MetricSeen;
use crate::learn::range::{Doubt, NoRange, Range, doubt, range, round_up};
use crate::learn::toml_text::list;

/// A cap on texts and bytes is this many times the longest that was seen.
const LENGTH_FACTOR: usize = 2;

/// Metrics of one glob that may get ranges of their own.
const MAX_OWN_RANGES: usize = 12;
/// A range for all that is so many times as wide as the widest of its metrics is loose.
const LOOSE: f64 = 3.0;

impl Writer<'_> {
    /// The tables of the shape; the ranges by item.
    pub(super) fn shape(
        &self,
        block: &mut Block,
        (kind, flagged): (Kind, bool),
        datatypes: &BTreeSet<DataType>,
        items: &[Item],
        meant: &BTreeMap<&str, &MetricSeen>,
    ) -> Vec<(Range, Vec<Item>)> {
        if self.options.redacted {
            return Vec::new();
        }
        let all = || meant.values();
        match kind {
            Kind::States => {}
            Kind::Numbers => return ranges(block, items, meant),
            Kind::Texts => {
                let longest = all().map(|seen| seen.texts.longest).max().unwrap_or(0);
                block.line("[rule.shape]");
                block.line(&format!("max-length = {}", cap(longest)));
                for item in items {
                    let texts: BTreeSet<String> = item
                        .names
                        .iter()
                        .filter_map(|name| meant.get(name.as_str()))
                        .flat_map(|seen| seen.texts.distinct.iter().cloned())
                        .collect();
                    let many = item
                        .names
                        .iter()
                        .filter_map(|name| meant.get(name.as_str()))
                        .any(|seen| seen.texts.many);
                    if !flagged && !many && !texts.is_empty() {
                        block.line("[[rule.metric]]");
                        block.line(&format!("names = {}", list([item.pattern.clone()])));
                        block.line(&format!("allowed = {}", list(texts)));
                    }
                }
            }
            Kind::Opaque => {
                let longest = all().map(|seen| seen.longest_bytes).max().unwrap_or(0);
                let sized = |datatype: &DataType| {
                    matches!(datatype, DataType::Bytes | DataType::File)
                        || *datatype >= DataType::Int8Array
                };
                let texts = |of: fn(&MetricSeen) -> &BTreeSet<String>| -> BTreeSet<String> {
                    all().flat_map(|seen| of(seen).iter().cloned()).collect()
                };
                let mut lines = Vec::new();
                if datatypes.iter().any(sized) {
                    lines.push(format!("max-bytes = {}", cap(longest)));
                }
                let content_types = texts(|seen| &seen.content_types);
                if datatypes.contains(&DataType::File) && !content_types.is_empty() {
                    lines.push(format!("content-types = {}", list(content_types)));
                }
                let columns = texts(|seen| &seen.columns);
                if datatypes.contains(&DataType::DataSet) && !columns.is_empty() {
                    let columns = columns.iter().map(|column| literal(column));
                    lines.push(format!("columns = {}", list(columns)));
                }
                if !lines.is_empty() {
                    block.line("[rule.shape]");
                    lines.iter().for_each(|line| block.line(line));
                }
            }
        }
        Vec::new()
    }
}

/// Writes one table for every range, with all items that have it. Where a glob covers metrics
/// that differ much, each of them comes first with its own range, as the first table counts.
fn ranges(
    block: &mut Block,
    items: &[Item],
    meant: &BTreeMap<&str, &MetricSeen>,
) -> Vec<(Range, Vec<Item>)> {
    let mut by_range: Vec<(Ranged, Vec<Item>)> = Vec::new();
    let mut of_globs: Vec<(Ranged, Vec<Item>)> = Vec::new();
    let (mut few, mut odd) = (Vec::new(), Vec::new());
    let mut put = |item: &Item, to: &mut Vec<(Ranged, Vec<Item>)>, tell: bool| {
        let seen = || {
            let names = item.names.iter().map(String::as_str);
            names.filter_map(|name| Some((name, *meant.get(name)?)))
        };
        let doubt = doubt(seen());
        match range(seen().map(|(_, seen)| seen)).map(|range| (range, doubt)) {
            Ok(range) => match to.iter_mut().find(|(other, _)| *other == range) {
                Some((_, items)) => items.push(item.clone()),
                None => to.push((range, vec![item.clone()])),
            },
            Err(_) if !tell => {}
            Err(NoRange::FewValues) => few.push(shown(&item.pattern)),
            Err(NoRange::NotPlain) => odd.push(shown(&item.pattern)),
        }
    };
    for item in items {
        if differ(item, meant) {
            for name in &item.names {
                let own = Item { pattern: literal(name), names: vec![name.clone()] };
                put(&own, &mut by_range, false);
            }
            put(item, &mut of_globs, true);
        } else {
            put(item, &mut by_range, true);
        }
    }
    by_range.extend(of_globs);
    let hidden = block.hidden;
    for ((range, doubt), items) in &by_range {
        if let Some(doubt) = doubt {
            block.comment(doubt.words());
            block.hidden = true;
        }
        block.line("[[rule.metric]]");
        let names = items.iter().map(|item| item.pattern.clone());
        block.line(&format!("names = {}", list(names)));
        block.line(&format!("min = {}", range.min));
        if let Some(max) = &range.max {
            block.line(&format!("max = {max}"));
        }
        block.line("out-of-range = \"null\"");
        block.hidden = hidden;
    }
    for (items, why) in [
        (few, "too few values to guess a range"),
        (odd, "infinite, not a number, or beyond what is exact: no range"),
    ] {
        if !items.is_empty() {
            let more = items.len().saturating_sub(MAX_LISTED);
            let named = items.into_iter().take(MAX_LISTED).collect::<Vec<_>>().join(", ");
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            block.comment(&format!("{named}{more}: {why}"));
        }
    }
    // What is to be decided on is no promise.
    let decided = by_range.into_iter().filter(|((_, doubt), _)| doubt.is_none());
    decided.map(|((range, _), items)| (range, items)).collect()
}

/// A range, and why it has to be decided on, if it has to be.
type Ranged = (Range, Option<Doubt>);

/// Whether the metrics of an item are few, and one range for all of them would be loose.
fn differ(item: &Item, meant: &BTreeMap<&str, &MetricSeen>) -> bool {
    let numbers: Vec<_> = item
        .names
        .iter()
        .filter_map(|name| meant.get(name.as_str())?.numbers)
        .filter(|numbers| numbers.plain)
        .collect();
    let width = |low: f64, high: f64| high - low;
    let widest = numbers.iter().map(|one| width(one.min, one.max)).fold(0.0, f64::max);
    let low = numbers.iter().map(|one| one.min).fold(f64::INFINITY, f64::min);
    let high = numbers.iter().map(|one| one.max).fold(f64::NEG_INFINITY, f64::max);
    (2..=MAX_OWN_RANGES).contains(&numbers.len()) && width(low, high) > widest * LOOSE
}

fn cap(longest: usize) -> u64 {
    let doubled = longest.saturating_mul(LENGTH_FACTOR).max(1);
    round_up(u64::try_from(doubled).unwrap_or(u64::MAX))
}
