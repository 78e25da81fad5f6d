//! Writes the draft: rules that people can read, with what was seen beside them.
//!
//! What a person has to decide on stands in the draft as well, each line behind a `#` without a
//! space: an editor takes them away. Comments have a space.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use account::Reason;
use policy::glob::Glob;
use policy::{Policy, Verdict};
use sparkplug::{DataType, Entity, EntityTopic};
use text::escape_to;

use super::group::{Class, Item, classes, items, literal, without_numbers};
use super::kind::{Kind, is_number, word_in};
use super::observe::{MetricSeen, Observation};
use super::range::{NoRange, Range, range, round_up};
use super::toml_text::{list, one_or_more, quoted, slug, value_text};

/// Characters of a name in a comment.
const MAX_SHOWN: usize = 60;
/// Names that a comment lists.
const MAX_LISTED: usize = 4;
/// Bytes of a rule's name that a group, a node or a device may take.
const MAX_PART: usize = 36;
/// A rate is this many times what the busiest second had, and a burst so much more.
const RATE_FACTOR: u64 = 2;
const BURST_FACTOR: u64 = 4;
/// Lengths of texts and bytes, likewise.
const LENGTH_FACTOR: usize = 2;

/// Metrics of one glob that may get ranges of their own.
const MAX_OWN_RANGES: usize = 12;
/// A range for all that is so many times as wide as the widest of its metrics is loose.
const LOOSE: f64 = 3.0;

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
            for flagged in [false, true] {
                let meant = class.of_kind(kind, flagged);
                if !meant.is_empty() {
                    let active = !flagged && matches!(kind, Kind::Numbers | Kind::States);
                    body.push_str(&writer.rule(&class, kind, flagged, active, &meant));
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

fn header(seen: &Observation, options: &Options<'_>, draft: &Draft) -> String {
    let mut text = String::from(
        "# A draft of a policy, made by `sparkdiode policy learn` for people to go through.\n#\n",
    );
    let mut line = |name: &str, content: String| {
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "#   {name:<11} {content}");
    };
    line("learnt from", shown(&options.source));
    let devices = seen.nodes.values().flat_map(|node| node.entities.keys()).flatten().count();
    let (nodes, messages) = (seen.nodes.len(), seen.messages);
    line("", format!("{messages} messages of {nodes} edge nodes with {devices} devices"));
    if let Some((first, last)) = seen.span {
        line("", format!("{} to {}", utc(first), utc(last)));
    }
    line("proposed", format!("{} rules for {} metrics", draft.rules, draft.promised.len()));
    if draft.undecided_rules > 0 {
        let (rules, metrics) = (draft.undecided_rules, draft.undecided_metrics);
        line("to decide", format!("{rules} rules for {metrics} metrics, behind `#`"));
    }
    if options.existing.is_some() {
        line("left out", format!("{} metrics that cross already", draft.known));
        line("", format!("{} metrics that a rule denies", draft.denied));
    }
    if seen.unreadable > 0 {
        line("unreadable", format!("{} messages", seen.unreadable));
    }
    if seen.left_out > 0 {
        line("left out", format!("{} metrics: the plant has too many", seen.left_out));
    }
    for node in draft.unborn.iter().take(MAX_LISTED) {
        line("no birth", format!("{}: nothing of it is proposed", shown(node)));
    }
    if let more @ 1.. = draft.unborn.len().saturating_sub(MAX_LISTED) {
        line("", format!("and of {more} more edge nodes"));
    }
    text.push_str(
        "#\n\
         # Before it is in force:\n\
         # - Who needs this? Delete what nobody does; say who in `description`.\n\
         # - A line that begins with `#` and no space is a proposal to decide on: take the `#` away,\n\
         #   or delete the line. Setpoints, recipes, texts and files are never proposed otherwise.\n",
    );
    if options.redacted {
        text.push_str(
            "# - The recording was redacted: no range and no length could be learnt from it.\n",
        );
    } else {
        text.push_str(
            "# - Ranges are what was seen, and half as much again on each side. What is outside\n\
             #   arrives as null with Quality 0. Check them against what the process can do.\n",
        );
    }
    text.push_str(
        "# - Rates are twice the busiest second that was seen.\n\
         # - Edge nodes and devices are named; `*` stands in metric names only, and matched nothing\n\
         #   but what is listed beside it.\n\
         # Then: sparkdiode policy test --strict THIS-FILE\n",
    );
    text
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
        kind: Kind,
        flagged: bool,
        active: bool,
        meant: &BTreeMap<&str, &MetricSeen>,
    ) -> String {
        let datatypes: BTreeSet<DataType> =
            meant.values().flat_map(|seen| seen.datatypes.iter().copied()).collect();
        let items = items(meant, &class.all, &datatypes);
        let name = self.name(class, kind, flagged);
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
        if class.peak_per_s > 0 {
            let rate = |factor: u64| round_up(class.peak_per_s.saturating_mul(factor));
            block.line("[rule.rate]");
            block.line(&format!("messages-per-s = {}", rate(RATE_FACTOR)));
            block.line(&format!("burst-messages = {}", rate(BURST_FACTOR)));
        }
        let ranges = self.shape(&mut block, (kind, flagged), &datatypes, &items, meant);
        self.cases(&mut block, (class, flagged), &name, &items, meant, &ranges);
        block.text
    }

    /// What was seen, and what is to be decided.
    fn seen_in_words(
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
        let mut words =
            format!("{whose}, {}, {values} values in data", counted(meant.len(), "metric name"));
        if let Some((first, last)) = span {
            let _ = write!(words, ", {} to {}", utc(first), utc(last));
        }
        block.comment(&words);
        block.comment(&format!(
            "{} messages with data, in the busiest second at most {}.",
            class.data, class.peak_per_s
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
    fn item_in_words(
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
            words.push(format!("{} names: {}", item.names.len(), names.join(", ")));
        }
        let values = seen().fold(0_u64, |sum, seen| sum.saturating_add(seen.values));
        words.push(match values {
            0 => "in births only".to_owned(),
            values => format!("{values} values"),
        });
        let nulls = seen().fold(0_u64, |sum, seen| sum.saturating_add(seen.nulls));
        if nulls > 0 {
            words.push(format!("{nulls} nulls"));
        }
        if self.options.redacted || flagged {
            return words.join("; ");
        }
        let numbers: Vec<_> = seen().filter_map(|seen| seen.numbers).collect();
        if let Some(numbers) = numbers.into_iter().reduce(|left, right| super::observe::Numbers {
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

    /// The tables of the shape; the ranges by item.
    fn shape(
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

    /// A case that crosses, one that is out of range, one that stays.
    fn cases(
        &mut self,
        block: &mut Block,
        (class, flagged): (&Class, bool),
        rule: &str,
        items: &[Item],
        meant: &BTreeMap<&str, &MetricSeen>,
        ranges: &[(Range, Vec<Item>)],
    ) {
        let Some(entity) = class.each().next() else { return };
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

    /// A name that no rule has yet.
    fn name(&mut self, class: &Class, kind: Kind, flagged: bool) -> String {
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
            kind.name().to_owned(),
        ];
        let mut base = parts.join("-");
        if flagged {
            base.push_str("-to-decide");
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

/// Writes one table for every range, with all items that have it. Where a glob covers metrics
/// that differ much, each of them comes first with its own range, as the first table counts.
fn ranges(
    block: &mut Block,
    items: &[Item],
    meant: &BTreeMap<&str, &MetricSeen>,
) -> Vec<(Range, Vec<Item>)> {
    let mut by_range: Vec<(Range, Vec<Item>)> = Vec::new();
    let mut of_globs: Vec<(Range, Vec<Item>)> = Vec::new();
    let (mut few, mut odd) = (Vec::new(), Vec::new());
    let mut put = |item: &Item, to: &mut Vec<(Range, Vec<Item>)>, tell: bool| {
        let seen = item.names.iter().filter_map(|name| meant.get(name.as_str()).copied());
        match range(seen) {
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
    for (range, items) in &by_range {
        block.line("[[rule.metric]]");
        let names = items.iter().map(|item| item.pattern.clone());
        block.line(&format!("names = {}", list(names)));
        block.line(&format!("min = {}", range.min));
        if let Some(max) = &range.max {
            block.line(&format!("max = {max}"));
        }
        block.line("out-of-range = \"null\"");
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
    by_range
}

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

fn cap(longest: usize) -> u64 {
    let doubled = longest.saturating_mul(LENGTH_FACTOR).max(1);
    round_up(u64::try_from(doubled).unwrap_or(u64::MAX))
}

fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
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
fn shown(text: &str) -> String {
    escape_to(text, MAX_SHOWN).to_string()
}

fn utc(at_ms: u64) -> String {
    let at = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_millis(at_ms));
    let text = text::format_utc(at.unwrap_or(std::time::UNIX_EPOCH));
    // To the second.
    format!("{}Z", text.split('.').next().unwrap_or_default())
}
