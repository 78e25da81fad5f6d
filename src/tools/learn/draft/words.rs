//! What was seen, in the comments of a draft.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use policy::glob::Glob;
use text::{counted, escape_to, format_utc_ms};

use super::{Block, Writer};
use crate::learn::group::{Class, Item, literal, without_numbers};
use crate::learn::kind::{Kind, word_in};
use crate::learn::observe::{MetricSeen, Numbers};
use crate::learn::toml_text::quoted;

/// Characters of a name in a comment.
const MAX_SHOWN: usize = 60;
/// Names that a comment lists.
pub(super) const MAX_LISTED: usize = 4;

impl Writer<'_> {
    /// What was seen, and what is to be decided.
    pub(super) fn seen_in_words(
        &self,
        block: &mut Block,
        class: &Class,
        kind: Kind,
        flagged: bool,
        meant: &BTreeMap<&str, &MetricSeen>,
    ) {
        let values = meant.values().fold(0_u64, |sum, seen| sum.saturating_add(seen.values));
        let spans = meant.values().filter_map(|seen| seen.span);
        let span = spans.reduce(|left, right| (left.0.min(right.0), left.1.max(right.1)));
        let whose = match &class.devices {
            None => counted(class.edge_nodes.len(), "edge node"),
            Some(devices) => format!(
                "{} of {}",
                counted(devices.len(), "device"),
                counted(class.edge_nodes.len(), "edge node")
            ),
        };
        let mut words = format!(
            "{whose}, {}, {} in data",
            counted(meant.len(), "metric name"),
            counted(values, "value")
        );
        if let Some((first, last)) = span {
            let _ = write!(words, ", {} to {}", utc(first), utc(last));
        }
        block.comment(&words);
        block.comment(&format!(
            "{} with data, in the busiest second at most {}.",
            counted(class.data, "message"),
            class.peak_per_s
        ));
        self.wider(block, class);
        if flagged {
            let words: BTreeSet<&str> = meant.keys().filter_map(|name| word_in(name)).collect();
            let words = words.into_iter().collect::<Vec<_>>().join(", ");
            let why = match (words.as_str(), meant.values().any(|seen| seen.writable)) {
                ("", _) => "a property says that hosts may write them".to_owned(),
                (words, false) => format!("by their names: {words}"),
                (words, true) => format!("by their names ({words}) and by properties"),
            };
            block.comment(&format!("DECIDE: settings or secrets, {why}."));
            block.comment("Settings show how the plant is run, and IT can't write them anyway.");
        } else if kind == Kind::Texts {
            block.comment("DECIDE: a text can say anything. Is a list of allowed ones enough?");
        } else if kind == Kind::Opaque {
            block.comment(
                "DECIDE: nothing can look into these values; a cap limits how much leaves.",
            );
        }
    }

    /// A glob that would also take in what comes later, for whoever wants that.
    fn wider(&self, block: &mut Block, class: &Class) {
        let (Some(first), 3..) = (class.edge_nodes.first(), class.edge_nodes.len()) else { return };
        let pattern = without_numbers(first);
        let Ok(glob) = Glob::parse(&pattern) else { return };
        let others = self
            .seen
            .nodes
            .keys()
            .filter(|(group, node)| *group == class.group && !class.edge_nodes.contains(node));
        let all = class.edge_nodes.iter().all(|node| glob.matches(node));
        if pattern.contains('*') && all && !others.into_iter().any(|(_, node)| glob.matches(node)) {
            block.comment(&format!(
                "{} would select the same {}, and every later one of such a name.",
                shown(&pattern),
                counted(class.edge_nodes.len(), "edge node")
            ));
        }
    }

    /// Without any value where `flagged`: a draft is copied to where recipes don't belong.
    pub(super) fn item_in_words(
        &self,
        item: &Item,
        meant: &BTreeMap<&str, &MetricSeen>,
        flagged: bool,
    ) -> String {
        let seen = || item.names.iter().filter_map(|name| meant.get(name.as_str()));
        let mut words = Vec::new();
        if item.names.len() > 1
            || literal(item.names.first().map_or("", |name| name)) != item.pattern
        {
            let mut names: Vec<String> =
                item.names.iter().take(MAX_LISTED).map(|name| shown(name)).collect();
            if item.names.len() > MAX_LISTED {
                names.push("…".to_owned());
            }
            words.push(format!("{}: {}", counted(item.names.len(), "name"), names.join(", ")));
        }
        let values = seen().fold(0_u64, |sum, seen| sum.saturating_add(seen.values));
        words.push(match values {
            0 => "in births only".to_owned(),
            values => counted(values, "value"),
        });
        let nulls = seen().fold(0_u64, |sum, seen| sum.saturating_add(seen.nulls));
        if nulls > 0 {
            words.push(format!("{nulls} nulls"));
        }
        if self.options.redacted || flagged {
            return words.join("; ");
        }
        let numbers: Vec<_> = seen().filter_map(|seen| seen.numbers).collect();
        if let Some(numbers) = numbers.into_iter().reduce(|left, right| Numbers {
            min: left.min.min(right.min),
            max: left.max.max(right.max),
            ..left
        }) {
            let unit = seen().find_map(|seen| seen.unit.as_deref()).unwrap_or_default();
            let range = match numbers.min == numbers.max {
                true => format!("always {} {}", short(numbers.min), shown(unit)),
                false => {
                    format!("{} … {} {}", short(numbers.min), short(numbers.max), shown(unit))
                }
            };
            words.push(range.trim_end().to_owned());
        }
        let texts: BTreeSet<&str> =
            seen().flat_map(|seen| seen.texts.distinct.iter().map(String::as_str)).collect();
        if !texts.is_empty() && !seen().any(|seen| seen.texts.many) {
            let texts: Vec<String> =
                texts.iter().take(MAX_LISTED).map(|text| quoted(&shown(text))).collect();
            words.push(texts.join(", "));
        }
        words.join("; ")
    }
}

/// Five digits of a number.
fn short(number: f64) -> String {
    if number.fract() == 0.0 || number == 0.0 {
        return format!("{number}");
    }
    let digits = number.abs().log10().floor();
    // Of a number that has a fraction it is within ±400.
    let decimals = if digits.is_finite() { 4_i32.saturating_sub(digits as i32) } else { 0 };
    let text = format!("{number:.*}", usize::try_from(decimals.clamp(0, 12)).unwrap_or(0));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A name of the plant in a comment: on one line, and not too long.
pub(super) fn shown(text: &str) -> String {
    escape_to(text, MAX_SHOWN).to_string()
}

pub(super) fn utc(at_ms: u64) -> String {
    // To the second.
    format!("{}Z", format_utc_ms(at_ms).split('.').next().unwrap_or_default())
}
