//! One rule of a policy, as it was read and found valid.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sparkplug::{DataType, Entity};

use super::filter::{Level, Reach, TopicFilter};
use super::glob::Glob;
use super::schedule::Schedule;
use super::shape::RuleShapes;

/// What a rule does with what it selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Forward,
    Deny,
    /// What is selected may be known to exist, but not its values.
    Redact,
}

impl Action {
    /// As in a policy: `forward`, `deny` or `redact`.
    pub const fn name(self) -> &'static str {
        match self {
            Action::Forward => "forward",
            Action::Deny => "deny",
            Action::Redact => "redact",
        }
    }
}

/// A token bucket: a rate and how much of it may come at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Messages or bytes per second.
    pub per_s: f64,
    /// Messages or bytes that may come at once after a pause.
    pub burst: u32,
}

/// Rate limits, of a forward rule, an edge node or the link; they apply to data, never to
/// births and deaths.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    pub messages: Option<Bucket>,
    pub bytes: Option<Bucket>,
    pub on_excess: OnExcess,
}

/// What happens to data beyond a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExcess {
    /// The newest value of each metric waits for its turn.
    #[default]
    Conflate,
    /// It is dropped.
    Drop,
}

/// Whether a rule acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Enforce,
    /// It only counts what it would decide.
    Observe,
}

/// Whose turn it is when limits leave room for a part of the data only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Alarms: before everything else but births and deaths.
    High,
    #[default]
    Normal,
}

/// What a forward rule does with the names of the metrics that it forwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// Taken off, where a name begins with it.
    pub strip: Option<String>,
    /// Put in front, after that.
    pub add: Option<String>,
}

impl Prefixes {
    /// The name under which a metric crosses.
    pub fn tell<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let rest = self.strip.as_deref().and_then(|strip| name.strip_prefix(strip)).unwrap_or(name);
        match &self.add {
            Some(add) => Cow::Owned(format!("{add}{rest}")),
            None => Cow::Borrowed(rest),
        }
    }
}

/// A set of datatypes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct DataTypes(u64);

/// Which edge nodes and devices a rule is about. All given selectors must match.
#[derive(Clone, Debug, Default)]
pub(super) struct Selectors {
    pub(super) topics: Option<Vec<TopicFilter>>,
    pub(super) groups: Option<Vec<Glob>>,
    pub(super) edge_nodes: Option<Vec<Glob>>,
    pub(super) devices: Option<Vec<Glob>>,
    pub(super) node_only: bool,
}

/// A rule of a policy.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) action: Action,
    pub(super) selectors: Selectors,
    /// Forward rules: the metrics that may cross; `None` is all of them.
    pub(super) allow: Option<Vec<Glob>>,
    /// What may not cross: in a deny rule `None` is everything, in a forward rule nothing.
    pub(super) deny: Option<Vec<Glob>>,
    /// What is null in births: in a redact rule `None` is everything, in a forward rule nothing.
    pub(super) redact: Option<Vec<Glob>>,
    pub(super) datatypes: Option<DataTypes>,
    pub(super) rate: Option<Rate>,
    pub(super) priority: Priority,
    pub(super) mode: Mode,
    pub(super) schedule: Option<Schedule>,
    pub(super) prefixes: Option<Prefixes>,
    /// Whether its schedule lets it act; see [`super::Policy::set_time`].
    pub(super) open: bool,
    /// Where it stands in its file.
    pub(super) header: Range<usize>,
    /// What of the forwarded values crosses.
    pub(super) shapes: RuleShapes,
    pub(super) path: PathBuf,
    pub(super) line: usize,
}

impl DataTypes {
    /// The set with `datatype` added.
    pub(super) fn with(self, datatype: DataType) -> DataTypes {
        // Codes are 1..=34.
        DataTypes(self.0 | 1_u64.wrapping_shl(datatype.code()))
    }

    pub(super) fn contains(self, datatype: DataType) -> bool {
        self.0 & 1_u64.wrapping_shl(datatype.code()) != 0
    }

    /// Whether `wider` has all of it.
    pub(super) fn is_subset_of(self, wider: DataTypes) -> bool {
        self.0 & !wider.0 == 0
    }

    fn names(self) -> Vec<&'static str> {
        let contained = |datatype: &&DataType| self.contains(**datatype);
        DataType::ALL.iter().filter(contained).map(|datatype| datatype.name()).collect()
    }
}

impl Rate {
    /// Such as `at most 10 messages/s (burst 20) of data; the newest values wait their turn`.
    pub fn describe(&self) -> String {
        let limits: Vec<String> = [(self.messages, "messages"), (self.bytes, "bytes")]
            .into_iter()
            .filter_map(|(bucket, unit)| {
                let Bucket { per_s, burst } = bucket?;
                Some(format!("{per_s} {unit}/s (burst {burst})"))
            })
            .collect();
        let excess = match self.on_excess {
            OnExcess::Conflate => "",
            OnExcess::Drop => ", what is more is dropped",
        };
        format!("at most {} of data{excess}", limits.join(" and "))
    }
}

impl Selectors {
    /// Whether they select the edge node itself or could select devices of it.
    pub(super) fn reach_node(&self, group: &str, edge_node: &str) -> bool {
        any_matches(self.groups.as_deref(), group)
            && any_matches(self.edge_nodes.as_deref(), edge_node)
            && self.topics.as_ref().is_none_or(|topics| {
                topics.iter().any(|topic| topic.matches_node(group, edge_node))
            })
    }

    /// The same for selectors that are written alike, different for all others.
    pub(super) fn key(&self) -> String {
        let Selectors { topics, groups, edge_nodes, devices, node_only } = self;
        let mut key = format!("{node_only}");
        for globs in [groups, edge_nodes, devices] {
            // No name has a NUL or a line feed that would be told apart from these.
            key.push('\n');
            for glob in globs.iter().flatten() {
                let source = glob.to_string();
                key.push_str(&format!("{}:{source}\0", source.len()));
            }
            key.push(if globs.is_some() { '+' } else { '-' });
        }
        for topic in topics.iter().flatten() {
            let source = topic.to_string();
            key.push_str(&format!("\n{}:{source}", source.len()));
        }
        key
    }

    /// Whether `topic` and the names can't agree on any entity.
    pub(super) fn contradict(&self) -> bool {
        // An empty list is one whose filters were all refused, which has been reported.
        let Some(topics) = self.topics.as_ref().filter(|topics| !topics.is_empty()) else {
            return false;
        };
        let allows = |globs: Option<&[Glob]>, level: &Level| {
            level.name().is_none_or(|name| any_matches(globs, name))
        };
        !topics.iter().any(|topic| {
            let by_reach = match &topic.reach {
                Reach::Node => self.devices.is_none(),
                Reach::Devices(level) => !self.node_only && allows(self.devices.as_deref(), level),
                Reach::All => true,
            };
            by_reach
                && allows(self.groups.as_deref(), &topic.group)
                && allows(self.edge_nodes.as_deref(), &topic.edge_node)
        })
    }

    /// Whether they select `entity`.
    pub(super) fn select(&self, entity: Entity<'_>) -> bool {
        let by_device = match (entity.device, &self.devices) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some(_), _) if self.node_only => false,
            (Some(device), devices) => any_matches(devices.as_deref(), device),
        };
        by_device
            && any_matches(self.groups.as_deref(), entity.group)
            && any_matches(self.edge_nodes.as_deref(), entity.edge_node)
            && self
                .topics
                .as_ref()
                .is_none_or(|topics| topics.iter().any(|topic| topic.matches(entity)))
    }
}

impl Rule {
    /// Its name, unique in the policy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does.
    pub fn action(&self) -> Action {
        self.action
    }

    /// What its author says about it.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Its rate limits, if it has any.
    pub fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// Whose turn its data is when there isn't room for all.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Whether it acts or only counts.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// When it is in force, if that isn't always.
    pub fn schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref()
    }

    /// What it does with the names of metrics.
    pub fn prefixes(&self) -> Option<&Prefixes> {
        self.prefixes.as_ref()
    }

    /// Whether its schedule lets it act now.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether it acts now: its schedule is open, and it doesn't only observe.
    pub fn acts(&self) -> bool {
        self.open && self.mode == Mode::Enforce
    }

    /// The file that it stands in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it begins in its file, in bytes.
    pub fn place(&self) -> Range<usize> {
        self.header.clone()
    }

    /// The line (from 1) at which it begins.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The selectors in words, such as ``edge nodes `Line*` in group `Plant1` with all
    /// devices``.
    pub fn selection(&self) -> String {
        let selectors = &self.selectors;
        let mut words = match (&selectors.devices, selectors.node_only) {
            (Some(devices), _) => format!("{} of ", names("device", Some(devices))),
            (None, true) => "the own metrics of ".to_owned(),
            (None, false) => String::new(),
        };
        words.push_str(&names("edge node", selectors.edge_nodes.as_deref()));
        if let Some(groups) = &selectors.groups {
            words.push_str(&format!(" in {}", names("group", Some(groups))));
        }
        if selectors.devices.is_none() && !selectors.node_only && selectors.topics.is_none() {
            words.push_str(" with all devices");
        }
        if let Some(topics) = &selectors.topics {
            words.push_str(&format!(" under {}", quoted(topics, "or")));
        }
        words
    }

    /// The whole rule in words, one line.
    pub fn describe(&self) -> String {
        let mut words = match self.action {
            Action::Forward => "forwards ".to_owned(),
            Action::Deny => "denies ".to_owned(),
            Action::Redact => "redacts (null in births, never in data) ".to_owned(),
        };
        let named = match self.action {
            Action::Forward => self.allow.as_deref(),
            Action::Deny => self.deny.as_deref(),
            Action::Redact => self.redact.as_deref(),
        };
        match named {
            Some(globs) => words.push_str(&format!("metrics {}", quoted(globs, "and"))),
            None if self.datatypes.is_some() => words.push_str("metrics"),
            None => words.push_str("everything"),
        }
        if let (Action::Forward, Some(globs)) = (self.action, &self.deny) {
            words.push_str(&format!(" except {}", quoted(globs, "and")));
        }
        if let (Action::Forward, Some(globs)) = (self.action, &self.redact) {
            words.push_str(&format!(", as null {}", quoted(globs, "and")));
        }
        if let Some(datatypes) = self.datatypes {
            words.push_str(&format!(" of type {}", listed(&datatypes.names(), "or")));
        }
        words.push_str(&format!(" of {}", self.selection()));
        if let Some(rate) = &self.rate {
            words.push_str(&format!(", {}", rate.describe()));
        }
        if self.priority == Priority::High {
            words.push_str(", before other data when limits are reached");
        }
        let Prefixes { strip, add } = self.prefixes.clone().unwrap_or_default();
        if let Some(strip) = strip {
            words.push_str(&format!(", with `{strip}` taken off their names"));
        }
        if let Some(add) = add {
            words.push_str(&format!(", with `{add}` in front of their names"));
        }
        if let Some(schedule) = &self.schedule {
            words.push_str(&format!("; in force {schedule}"));
        }
        match (self.mode, self.action) {
            (Mode::Enforce, _) => words,
            (Mode::Observe, Action::Forward) => {
                format!("only counts, and forwards nothing: it would be a rule that {words}")
            }
            (Mode::Observe, Action::Deny) => {
                format!("only counts, and denies nothing: it would be a rule that {words}")
            }
            (Mode::Observe, Action::Redact) => {
                format!("only counts, and redacts nothing: it would be a rule that {words}")
            }
        }
    }

    /// What becomes of the values that it forwards, a line for each of its tables.
    pub fn describe_shapes(&self) -> Vec<String> {
        self.shapes.describe()
    }

    /// The globs of what it denies: `None` if it denies nothing, an empty slice if everything.
    pub(super) fn denied(&self) -> Option<&[Glob]> {
        match (self.action, self.deny.as_deref()) {
            (_, Some(globs)) if globs.iter().any(Glob::matches_all) => Some(&[]),
            (_, Some(globs)) => Some(globs),
            (Action::Deny, None) => Some(&[]),
            (Action::Forward | Action::Redact, None) => None,
        }
    }

    /// The globs of what it redacts: `None` if nothing, an empty slice if everything.
    pub(super) fn redacted(&self) -> Option<&[Glob]> {
        match (self.action, self.redact.as_deref()) {
            (_, Some(globs)) if globs.iter().any(Glob::matches_all) => Some(&[]),
            (_, Some(globs)) => Some(globs),
            (Action::Redact, None) => Some(&[]),
            (Action::Forward | Action::Deny, None) => None,
        }
    }

    /// The globs of what it forwards: `None` if nothing, an empty slice if everything.
    pub(super) fn forwarded(&self) -> Option<&[Glob]> {
        match (self.action, self.allow.as_deref()) {
            (Action::Deny | Action::Redact, _) => None,
            (Action::Forward, Some(globs)) if globs.iter().any(Glob::matches_all) => Some(&[]),
            (Action::Forward, Some(globs)) => Some(globs),
            (Action::Forward, None) => Some(&[]),
        }
    }

    /// The datatypes to which its denial or redaction is limited. The datatypes of a forward rule
    /// limit what it forwards, not what its `deny-metrics` deny and its `redact-metrics` redact.
    pub(super) fn denied_datatypes(&self) -> Option<DataTypes> {
        self.datatypes.filter(|_| self.action != Action::Forward)
    }

    /// Whether it denies everything of the entities it selects.
    pub(super) fn denies_whole_entities(&self) -> bool {
        self.denied().is_some_and(<[Glob]>::is_empty) && self.denied_datatypes().is_none()
    }
}

/// Whether there is no list, or one of its globs matches.
pub(super) fn any_matches(globs: Option<&[Glob]>, name: &str) -> bool {
    globs.is_none_or(|globs| globs.iter().any(|glob| glob.matches(name)))
}

/// Such as ``edge node `Line1` ``, ``edge nodes `Line1` and `Line2` ``, `all edge nodes`.
fn names(noun: &str, globs: Option<&[Glob]>) -> String {
    match globs {
        Some([glob]) if glob.literal().is_some() => format!("{noun} `{glob}`"),
        Some(globs) if !globs.iter().any(Glob::matches_all_names) => {
            format!("{noun}s {}", quoted(globs, "and"))
        }
        _ => format!("all {noun}s"),
    }
}

fn quoted<T: ToString>(items: &[T], conjunction: &str) -> String {
    let items: Vec<String> = items.iter().map(|item| format!("`{}`", item.to_string())).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    listed(&items, conjunction)
}

/// `a`, `a and b`, `a, b and c`.
fn listed(items: &[&str], conjunction: &str) -> String {
    match items {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} {conjunction} {last}", first.join(", ")),
    }
}
