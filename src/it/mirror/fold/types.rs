//! Template definitions of a folded edge node. Only an NBIRTH may have them (Sparkplug 3.0 §6.4.13), so
//! the folded one has those of all its members. What several members define alike stands there once;
//! a member whose definitions say something else under a name that is taken has all of its own under
//! names that begin with its own, and its instances refer to these.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sparkplug::{Metric, Payload, Template, Value, names};

use crate::mirror::layout::{Layout, is_definition, same_definition};

/// The definitions of an NBIRTH, by name.
#[derive(Debug, Default)]
pub(in crate::mirror) struct Definitions(BTreeMap<String, Metric>);

impl Definitions {
    /// Takes in the definitions of a member, which is called `device`; what they begin with, where
    /// they can't have the names that they have.
    pub(in crate::mirror) fn add(&mut self, layout: &Layout, device: &str) -> Option<String> {
        let mut prefix: Option<String> = None;
        // Each turn makes the prefix longer, and names of that length run out.
        while !self.takes(layout, prefix.as_deref()) {
            prefix = Some(match prefix {
                None => format!("{device}:"),
                Some(prefix) => format!("{prefix}:"),
            });
        }
        for metric in layout.definitions() {
            let told = told(metric, prefix.as_deref());
            let name = told.name.clone().unwrap_or_default();
            self.0.entry(name).or_insert_with(|| told.into_owned());
        }
        prefix
    }

    /// Whether these would stand beside those that are there.
    fn takes(&self, layout: &Layout, prefix: Option<&str>) -> bool {
        layout.definitions().all(|metric| {
            let told = told(metric, prefix);
            let known = self.0.get(told.name.as_deref().unwrap_or_default());
            known.is_none_or(|known| same_definition(known, &told))
        })
    }

    /// As the metrics of the folded edge node.
    pub(in crate::mirror) fn into_layout(self, wall_ms: u64) -> Layout {
        let metrics = self.0.into_values().collect();
        let birth = Payload { timestamp: Some(wall_ms), metrics, ..Payload::default() };
        let (layout, _) = Layout::from_birth(birth, wall_ms);
        layout
    }
}

impl Layout {
    /// The template definitions among the metrics.
    pub(in crate::mirror) fn definitions(&self) -> impl Iterator<Item = &Metric> {
        self.slots().map(|(metric, _)| metric).filter(|metric| is_definition(metric))
    }

    /// Whether this layout, of a folded edge node, has all definitions of a member's.
    pub(in crate::mirror) fn has_definitions_of(
        &self,
        member: &Layout,
        prefix: Option<&str>,
    ) -> bool {
        member.definitions().all(|metric| {
            let told = told(metric, prefix);
            let known = told.name.as_deref().and_then(|name| self.metric(name));
            known.is_some_and(|known| same_definition(known, &told))
        })
    }
}

/// A metric as the folded edge node tells it: definitions, and what refers to them, under names that
/// begin with `prefix`.
pub(in crate::mirror) fn told<'m>(metric: &'m Metric, prefix: Option<&str>) -> Cow<'m, Metric> {
    let (Some(prefix), Some(Value::Template(_))) = (prefix, &metric.value) else {
        return Cow::Borrowed(metric);
    };
    let mut told = metric.clone();
    if let (true, Some(name)) = (is_definition(&told), &mut told.name) {
        *name = prefixed(name, prefix);
    }
    if let Some(Value::Template(template)) = &mut told.value {
        refer(template, prefix);
    }
    Cow::Owned(told)
}

/// The same of metrics of data, with the names beside them.
pub(in crate::mirror) fn told_all<'m>(
    metrics: impl Iterator<Item = (Option<&'m str>, &'m Metric)>,
    prefix: &str,
) -> impl Iterator<Item = (Option<&'m str>, Cow<'m, Metric>)> {
    metrics.map(move |(name, metric)| (name, told(metric, Some(prefix))))
}

/// Recursion is bounded by the depth that was decoded.
fn refer(template: &mut Template, prefix: &str) {
    if let Some(reference) = &mut template.template_ref {
        *reference = prefixed(reference, prefix);
    }
    for member in &mut template.metrics {
        if let Some(Value::Template(inner)) = &mut member.value {
            refer(inner, prefix);
        }
    }
}

/// Some libraries name a definition `_types_/X` and refer to it as `X`: both find each other still.
fn prefixed(name: &str, prefix: &str) -> String {
    match name.strip_prefix(names::TYPES_PREFIX) {
        Some(bare) => format!("{}{prefix}{bare}", names::TYPES_PREFIX),
        None => format!("{prefix}{name}"),
    }
}
