//! Writes the draft: rules that people can read, with what was seen beside them.
//!
//! What a person has to decide on stands in the draft as well, each line behind a `#` without a
//! space: an editor takes them away. Comments have a space.

mod cases;
mod header;
mod shape;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use account::Reason;
use policy::{Policy, Verdict};
use sparkplug::{DataType, Entity};

use self::header::header;
use super::group::{Class, classes, items, literal};
use super::kind::Kind;
use super::observe::{MetricSeen, Observation};
use super::range::{is_short, round_up};
use super::toml_text::{one_or_more, quoted, slug};

/// Bytes of a rule's name that a group, a node or a device may take.
const MAX_PART: usize = 36;
/// A rate is this many times what the busiest second had, and a burst so much more.
const RATE_FACTOR: u64 = 2;
const BURST_FACTOR: u64 = 4;
/// What a draft depends on besides the recording.
#[derive(Debug, Default)]
pub struct Options<'a> {
    /// A policy that is there already: only what it doesn't deal with is proposed.
    pub existing: Option<&'a Policy>,
    /// Values were replaced in the recording: nothing is said about them.
    pub redacted: bool,
    /// Where the recording comes from, in words.
    pub source: String,
}

/// A draft, and what it promises.
#[derive(Debug, Default)]
pub struct Draft {
    pub text: String,
    /// Entity and metric of everything that is to cross.
    pub promised: BTreeSet<(String, String)>,
    pub rules: usize,
    pub cases: usize,
    /// Rules that stand behind `#`, and their metrics.
    pub undecided_rules: usize,
    pub undecided_metrics: usize,
    /// Metrics that the existing policy forwards, and that it denies.
    pub known: usize,
    pub denied: usize,
    pub unborn: Vec<String>,
}

/// Writes a draft for what was seen.
pub fn draft(seen: &Observation, options: &Options<'_>) -> Draft {
    let mut draft = Draft { unborn: seen.unborn(), ..Draft::default() };
    for (entity, name, metric) in seen.metrics() {
        match dealt_with(options, entity, name, metric) {
            Some(Known::Forwarded) => draft.known = draft.known.saturating_add(1),
            Some(Known::Denied) => draft.denied = draft.denied.saturating_add(1),
            None => {}
        }
    }
    let proposed = |entity: Entity<'_>, name: &str, metric: &MetricSeen| {
        dealt_with(options, entity, name, metric).is_none()
    };
    let mut writer = Writer { seen, options, draft, rule_names: BTreeSet::new() };
    for rule in options.existing.iter().flat_map(|policy| policy.rules()) {
        writer.rule_names.insert(rule.name().to_owned());
    }
    let mut body = String::new();
    for class in classes(seen, &proposed) {
        for kind in Kind::ALL {
            for (flagged, alarms) in [(false, true), (false, false), (true, false)] {
                let meant = class.of_kind(kind, flagged, alarms);
                if !meant.is_empty() {
                    let active = !flagged && matches!(kind, Kind::Numbers | Kind::States);
                    let sort = Sort { kind, flagged, alarms };
                    body.push_str(&writer.rule(&class, sort, active, &meant));
                }
            }
        }
    }
    let mut draft = writer.draft;
    draft.text = header(seen, options, &draft);
    draft.text.push_str(&body);
    draft
}

/// What an existing policy does with a metric.
enum Known {
    Forwarded,
    Denied,
}

fn dealt_with(
    options: &Options<'_>,
    entity: Entity<'_>,
    name: &str,
    metric: &MetricSeen,
) -> Option<Known> {
    let plan = options.existing?.plan(entity);
    let mut forwarded = true;
    for datatype in &metric.datatypes {
        match plan.judge(name, Some(*datatype)) {
            Verdict::Forward { .. } | Verdict::Redact { .. } => {}
            Verdict::Drop { reason: Reason::Denied, .. } => return Some(Known::Denied),
            Verdict::Drop { .. } => forwarded = false,
        }
    }
    forwarded.then_some(Known::Forwarded)
}

/// What a rule is about: which of the metrics of a class.
#[derive(Clone, Copy)]
struct Sort {
    kind: Kind,
    /// Somebody has to decide on them.
    flagged: bool,
    alarms: bool,
}

/// Writes one rule after the other.
struct Writer<'a> {
    seen: &'a Observation,
    options: &'a Options<'a>,
    draft: Draft,
    rule_names: BTreeSet<String>,
}

/// A rule that is being written.
struct Block {
    text: String,
    /// Stands behind `#`.
    hidden: bool,
}

impl Block {
    fn comment(&mut self, content: &str) {
        let _ = writeln!(self.text, "# {content}");
    }

    fn line(&mut self, content: &str) {
        let _ = writeln!(self.text, "{}{content}", if self.hidden { "#" } else { "" });
    }

    /// An element of a list, with a comment.
    fn element(&mut self, content: &str, comment: &str) {
        let indent = if self.hidden { "" } else { "    " };
        self.line(&format!("{indent}{content},  # {comment}"));
    }
}

impl Writer<'_> {
    fn rule(
        &mut self,
        class: &Class,
        sort: Sort,
        active: bool,
        meant: &BTreeMap<&str, &MetricSeen>,
    ) -> String {
        let Sort { kind, flagged, alarms } = sort;
        let datatypes: BTreeSet<DataType> =
            meant.values().flat_map(|seen| seen.datatypes.iter().copied()).collect();
        let items = items(meant, &class.all, &datatypes);
        let name = self.name(class, sort);
        let count = meant.len().saturating_mul(class.entities());
        if active {
            self.draft.rules = self.draft.rules.saturating_add(1);
            for entity in class.each() {
                let promised = meant.keys().map(|name| (entity.to_string(), (*name).to_owned()));
                self.draft.promised.extend(promised);
            }
        } else {
            self.draft.undecided_rules = self.draft.undecided_rules.saturating_add(1);
            self.draft.undecided_metrics = self.draft.undecided_metrics.saturating_add(count);
        }
        let mut block = Block { text: String::from("\n"), hidden: !active };
        self.seen_in_words(&mut block, class, kind, flagged, meant);
        block.line("[[rule]]");
        block.line(&format!("name = {}", quoted(&name)));
        let what = match (kind, flagged) {
            (_, true) => "to be decided",
            _ if alarms => "alarms, by their names",
            (Kind::Numbers, _) => "measurements and counts",
            (Kind::States, _) => "states and times",
            (Kind::Texts, _) => "texts",
            (Kind::Opaque, _) => "what no check looks into",
        };
        block.line(&format!("description = {}", quoted(&format!("Learnt: {what}"))));
        block.line("action = \"forward\"");
        block.line(&format!("group = {}", quoted(&literal(&class.group))));
        let globs = |names: &[String]| one_or_more(names.iter().map(|name| literal(name)));
        block.line(&format!("edge-node = {}", globs(&class.edge_nodes)));
        match &class.devices {
            Some(devices) => block.line(&format!("device = {}", globs(devices))),
            None => block.line("node-only = true"),
        }
        block.line("allow-metrics = [");
        for item in &items {
            block.element(&quoted(&item.pattern), &self.item_in_words(item, meant, flagged));
        }
        block.line("]");
        let names = datatypes.iter().map(|datatype| datatype.name().to_owned());
        block.line(&format!("datatypes = {}", one_or_more(names)));
        if alarms {
            block.line("priority = \"high\"");
        } else if class.peak_per_s > 0 {
            // Of a short recording nobody knows how busy the plant gets.
            let (hidden, short) = (block.hidden, is_short(self.seen.span));
            if short {
                block.comment("DECIDE: seen for less than an hour: busier ones may come");
                block.hidden = true;
            }
            let rate = |factor: u64| round_up(class.peak_per_s.saturating_mul(factor));
            block.line("[rule.rate]");
            block.line(&format!("messages-per-s = {}", rate(RATE_FACTOR)));
            block.line(&format!("burst-messages = {}", rate(BURST_FACTOR)));
            block.hidden = hidden;
        }
        let ranges = self.shape(&mut block, (kind, flagged), &datatypes, &items, meant);
        self.cases(&mut block, (class, flagged), &name, &items, meant, &ranges);
        block.text
    }

    /// A name that no rule has yet.
    fn name(&mut self, class: &Class, sort: Sort) -> String {
        let from_to = |names: &[String]| match names {
            [] => String::new(),
            [only] => slug(only, MAX_PART),
            [first, .., last] => {
                format!("{}-to-{}", slug(first, MAX_PART / 3), slug(last, MAX_PART / 3))
            }
        };
        let device = class.devices.as_deref().map_or_else(|| "node".to_owned(), from_to);
        let parts = [
            slug(&class.group, MAX_PART),
            from_to(&class.edge_nodes),
            device,
            sort.kind.name().to_owned(),
        ];
        let mut base = parts.join("-");
        if sort.flagged {
            base.push_str("-to-decide");
        }
        if sort.alarms {
            base.push_str("-alarms");
        }
        let mut name = base.clone();
        let mut number = 2_u64;
        // Ends: there are finitely many names, and each turn tries another one.
        while !self.rule_names.insert(name.clone()) {
            name = format!("{base}-{number}");
            number = number.saturating_add(1);
        }
        name
    }
}
