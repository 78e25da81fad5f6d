//! Cases: examples of traffic in a policy file, each with what is expected to become of it. They
//! stand in the files of the policy, so that a bad one is a bad policy, and have no effect on what
//! crosses: `sparkdiode policy test` runs them.
//!
//! ```text
//!  policy files ── policy::Policy::parse_annotated ──> Policy
//!                        └─ reader ── value ──> [Case]
//! ```

#[cfg(test)]
mod bad_policies;
mod reader;
mod value;

use std::path::{Path, PathBuf};
use std::time::Duration;

use account::Reason;
use diagnostic::{Diagnostics, SourceFile};
use policy::Policy;
use policy::shape::Pattern;
use sparkplug::{DataType, MetaData, PropertySet, Value};

use self::reader::CasesReader;
pub use self::value::parse_value;

/// Reads a policy with the cases in its files; see [`Policy::parse`].
///
/// # Errors
/// Everything that is wrong in any of the files, and the warnings with it.
pub fn read(sources: &[SourceFile]) -> Result<(Policy, Vec<Case>, Diagnostics), Diagnostics> {
    let mut cases = CasesReader::default();
    let (policy, warnings) = Policy::parse_annotated(sources, &mut cases)?;
    Ok((policy, cases.cases, warnings))
}

/// The same for whoever has no use for the cases, but refuses a policy with a bad one.
///
/// # Errors
/// Everything that is wrong in any of the files, and the warnings with it.
pub fn read_policy(sources: &[SourceFile]) -> Result<(Policy, Diagnostics), Diagnostics> {
    let (policy, _, warnings) = read(sources)?;
    Ok((policy, warnings))
}

/// One `[[case]]`.
#[derive(Clone, Debug)]
pub struct Case {
    name: String,
    about: Vec<String>,
    at_ms: u64,
    steps: Vec<Step>,
    path: PathBuf,
    line: usize,
}

impl Given {
    /// A metric of which no more is known than its name, its datatype and its value.
    pub fn new(name: &str, datatype: DataType, value: Option<Value>) -> Given {
        Given {
            name: name.to_owned(),
            datatype,
            value,
            properties: None,
            metadata: None,
            age_ms: None,
            historical: false,
        }
    }
}

impl Case {
    /// A case of one message, which stands in no file and expects nothing in particular.
    pub fn of_message(topic: &str, metric: Option<Given>, at_ms: u64) -> Case {
        let expected = Expected::Forward { rule: None, arrives: Arrives::default() };
        let step = Step {
            after: Duration::ZERO,
            topic: topic.to_owned(),
            waits: false,
            retain: false,
            probes: vec![Probe { metric, expected, observed_by: None, line: 0 }],
            line: 0,
        };
        Case {
            name: String::new(),
            about: Vec::new(),
            at_ms,
            steps: vec![step],
            path: PathBuf::new(),
            line: 0,
        }
    }

    /// Its name, unique in the policy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The rules that it is about beside those that decide in it.
    pub fn about(&self) -> &[String] {
        &self.about
    }

    /// Wall clock at its start, in milliseconds since the epoch (UTC).
    pub fn at_ms(&self) -> u64 {
        self.at_ms
    }

    /// What happens, in order; at least one step.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The file that it stands in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line (from 1) at which it begins.
    pub fn line(&self) -> usize {
        self.line
    }
}

/// A message, or time that passes, and what is expected of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Time since the step before.
    pub after: Duration,
    /// The topic of the message; where nothing is sent, that of what is waited for.
    pub topic: String,
    /// Nothing is sent: only time passes.
    pub waits: bool,
    /// The broker had the message stored.
    pub retain: bool,
    pub probes: Vec<Probe>,
    /// The line (from 1) at which it begins.
    pub line: usize,
}

/// What is expected of one metric, or of the message as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// `None`: the expectation is about the message.
    pub metric: Option<Given>,
    pub expected: Expected,
    /// Which rule in `mode = "observe"` would decide about it; `Some(None)`: none would.
    pub observed_by: Option<Option<String>>,
    /// The line (from 1) at which it begins.
    pub line: usize,
}

/// One metric as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    pub name: String,
    pub datatype: DataType,
    /// `None` is null.
    pub value: Option<Value>,
    pub properties: Option<PropertySet>,
    pub metadata: Option<MetaData>,
    /// How old its timestamp is; negative: it is of the future. `None`: it has no timestamp of
    /// its own.
    pub age_ms: Option<i64>,
    /// Late data, which doesn't change the current value.
    pub historical: bool,
}

/// What is expected.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// It crosses; `rule`: by this rule.
    Forward { rule: Option<String>, arrives: Arrives },
    /// It waits: for its turn under a rate limit, or for the birth that has to tell it.
    Wait { rule: Option<String> },
    /// It doesn't cross; with the reason and the rule where they matter.
    Drop { reason: Option<Reason>, rule: Option<String> },
}

/// What arrives on the other side; what is `None` may be anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrives {
    pub value: Option<Value>,
    /// With a pseudonym in it, or without any.
    pub pseudonym: Option<bool>,
    /// A text that this matches.
    pub pattern: Option<Pattern>,
    /// As null, or not as null.
    pub null: Option<bool>,
    pub metric: Option<String>,
    pub topic: Option<String>,
    /// Exactly these properties, in any order.
    pub properties: Option<Vec<String>>,
    pub quality: Option<i64>,
}
