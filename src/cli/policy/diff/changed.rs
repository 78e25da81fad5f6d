//! What becomes of a recording under two policies.

use std::path::Path;

use policy::Policy;
use sparkplug::DataType;
use tools::dry_run::tally::{MetricTally, Tally};

use crate::cli::Failure;
use crate::cli::policy::json as machine;
use crate::cli::policy::recording::{self, Event};

/// What became of one metric of a recording under both policies.
pub(super) struct Changed {
    pub(super) entity: String,
    pub(super) metric: String,
    pub(super) datatype: Option<DataType>,
    pub(super) sent: u64,
    /// Values that crossed, before and after.
    pub(super) crossed: (u64, u64),
    /// Why it didn't, or by which rule it did, before and after.
    pub(super) why: (String, String),
}

/// Runs a recording through both policies: the number of messages, and the metrics of which not
/// as many values cross.
pub(super) fn changes(
    before: &Policy,
    after: &Policy,
    path: &Path,
) -> Result<(u64, Vec<Changed>), Failure> {
    let tally = |policy: &Policy| -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        recording::run(policy, path, |event| {
            match event {
                Event::Late(passed) => tally.add_late(passed),
                Event::Message(_, topic, outcome) => tally.add(topic, outcome),
            }
            Ok(())
        })?;
        Ok(tally)
    };
    let (left, right) = (tally(before)?, tally(after)?);
    let mut changes = Vec::new();
    for (entity, was) in &left.entities {
        for (name, was) in &was.metrics {
            let is = right.entities.get(entity).and_then(|entity| entity.metrics.get(name));
            let Some(is) = is else { continue };
            // Equal counts with other values are a difference too.
            let same = was.crossed() == is.crossed()
                && was.altered == is.altered
                && was.told_as == is.told_as
                && was.last_arrived == is.last_arrived;
            if !same {
                changes.push(Changed {
                    entity: entity.clone(),
                    metric: name.clone(),
                    datatype: was.datatype.or(is.datatype),
                    sent: was.sent,
                    crossed: (was.crossed(), is.crossed()),
                    why: (why(before, was), why(after, is)),
                });
            }
        }
    }
    Ok((left.messages, changes))
}

/// By which rule a metric crossed, or why it didn't.
fn why(policy: &Policy, tally: &MetricTally) -> String {
    let forwarded = tally.forwarded.keys().filter_map(|rule| machine::name(policy, *rule));
    let mut words: Vec<String> = forwarded.map(str::to_owned).collect();
    words.extend(tally.dropped.keys().map(|cause| recording::cause(policy, *cause)));
    words.join(", ")
}
