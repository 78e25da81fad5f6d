//! One rule of a policy, as it was read and found valid.
//!
//! ```text
//!  Rule ─┬─ selectors: topics (filter), names of groups, edge nodes, devices (glob)
//!        ├─ metrics that it forwards, denies, redacts (glob), and their datatypes
//!        ├─ schedule: when it is in force
//!        └─ rate, priority, names, shapes: how what it forwards crosses
//! ```

mod describe;
pub mod filter;
pub mod glob;
pub mod moment;
pub(crate) mod schedule;
mod selectors;

use std::ops::Range;
use std::path::{Path, PathBuf};

use self::glob::Glob;
pub use self::schedule::Schedule;
pub use self::selectors::{DataTypes, Selectors, any_matches};
use crate::names::Prefixes;
use crate::shape::RuleShapes;

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
    /// Who has it: all together, or each.
    pub per: Per,
}

/// Who has a limit: all that a rule forwards together, or each edge node, device or metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Per {
    #[default]
    Rule,
    /// With its devices.
    EdgeNode,
    /// And the own metrics of each edge node.
    Device,
    Metric,
}

impl Per {
    pub const ALL: [Per; 4] = [Per::Rule, Per::EdgeNode, Per::Device, Per::Metric];

    /// As in a policy.
    pub const fn name(self) -> &'static str {
        match self {
            Per::Rule => "rule",
            Per::EdgeNode => "edge-node",
            Per::Device => "device",
            Per::Metric => "metric",
        }
    }

    /// Who has the limit, in words that stand behind it.
    pub const fn words(self) -> &'static str {
        match self {
            Per::Rule => "for all that this rule forwards together",
            Per::EdgeNode => "for each edge node with its devices",
            Per::Device => "for each device, and for the own metrics of each edge node",
            Per::Metric => "for each metric",
        }
    }
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

/// A rule of a policy.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) action: Action,
    pub(crate) selectors: Selectors,
    /// Forward rules: the metrics that may cross; `None` is all of them.
    pub(crate) allow: Option<Vec<Glob>>,
    /// What may not cross: in a deny rule `None` is everything, in a forward rule nothing.
    pub(crate) deny: Option<Vec<Glob>>,
    /// What is null in births: in a redact rule `None` is everything, in a forward rule nothing.
    pub(crate) redact: Option<Vec<Glob>>,
    pub(crate) datatypes: Option<DataTypes>,
    pub(crate) rate: Option<Rate>,
    pub(crate) priority: Priority,
    pub(crate) mode: Mode,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) prefixes: Option<Prefixes>,
    /// Whether its schedule lets it act; see [`crate::Policy::set_time`].
    pub(crate) open: bool,
    /// Where it stands in its file.
    pub(crate) header: Range<usize>,
    /// What of the forwarded values crosses.
    pub(crate) shapes: RuleShapes,
    pub(crate) path: PathBuf,
    pub(crate) line: usize,
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

    /// What it is about.
    pub fn selectors(&self) -> &Selectors {
        &self.selectors
    }

    /// The datatypes of the metrics that it is about; `None` is every one.
    pub fn datatypes(&self) -> Option<DataTypes> {
        self.datatypes
    }

    /// What of the values that it forwards crosses.
    pub fn shapes(&self) -> &RuleShapes {
        &self.shapes
    }

    /// Every glob over names of metrics that stands in it.
    pub fn metric_globs(&self) -> impl Iterator<Item = &Glob> {
        let lists = [&self.allow, &self.deny, &self.redact].into_iter().flatten().flatten();
        lists.chain(self.shapes.names())
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

    /// The globs of what it denies: `None` if it denies nothing, an empty slice if everything.
    pub fn denied(&self) -> Option<&[Glob]> {
        match (self.action, self.deny.as_deref()) {
            (_, Some(globs)) if globs.iter().any(Glob::matches_all) => Some(&[]),
            (_, Some(globs)) => Some(globs),
            (Action::Deny, None) => Some(&[]),
            (Action::Forward | Action::Redact, None) => None,
        }
    }

    /// The globs of what it redacts: `None` if nothing, an empty slice if everything.
    pub fn redacted(&self) -> Option<&[Glob]> {
        match (self.action, self.redact.as_deref()) {
            (_, Some(globs)) if globs.iter().any(Glob::matches_all) => Some(&[]),
            (_, Some(globs)) => Some(globs),
            (Action::Redact, None) => Some(&[]),
            (Action::Forward | Action::Deny, None) => None,
        }
    }

    /// The globs of what it forwards: `None` if nothing, an empty slice if everything.
    pub fn forwarded(&self) -> Option<&[Glob]> {
        match (self.action, self.allow.as_deref()) {
            (Action::Deny | Action::Redact, _) => None,
            (Action::Forward, Some(globs)) if globs.iter().any(Glob::matches_all) => Some(&[]),
            (Action::Forward, Some(globs)) => Some(globs),
            (Action::Forward, None) => Some(&[]),
        }
    }

    /// The datatypes to which its denial or redaction is limited. The datatypes of a forward rule
    /// limit what it forwards, not what its `deny-metrics` deny and its `redact-metrics` redact.
    pub fn denied_datatypes(&self) -> Option<DataTypes> {
        self.datatypes.filter(|_| self.action != Action::Forward)
    }

    /// Whether it denies everything of the entities it selects.
    pub(crate) fn denies_whole_entities(&self) -> bool {
        self.denied().is_some_and(<[Glob]>::is_empty) && self.denied_datatypes().is_none()
    }

    /// The same for rules that differ only in where they stand, in what their authors say about
    /// them, and in whether their window is open just now.
    pub fn fingerprint(&self) -> String {
        // What is added to a rule counts unless it is taken out here.
        let mut rule = self.clone();
        rule.description = None;
        rule.header = 0..0;
        rule.path = PathBuf::new();
        rule.line = 0;
        rule.open = true;
        format!("{rule:?}")
    }
}
