//! What rules say: which entities and metrics they are about, and which of them decides.

use account::{Reason, RuleId};
use sparkplug::{DataType, Entity};

use super::globs;
use super::shapes::{self, Word};
use crate::{Action, Verdict};

pub(crate) type Names = Option<Vec<String>>;

/// A rule as its author wrote it.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) action: Action,
    pub(crate) topics: Names,
    pub(crate) groups: Names,
    pub(crate) edge_nodes: Names,
    pub(crate) devices: Names,
    pub(crate) node_only: bool,
    pub(crate) allow: Names,
    pub(crate) deny: Names,
    pub(crate) redact: Names,
    pub(crate) datatypes: Option<Vec<DataType>>,
    pub(crate) shapes: shapes::Shapes,
    pub(crate) observes: bool,
    /// In seconds since the epoch.
    pub(crate) not_before: Option<u64>,
    pub(crate) not_after: Option<u64>,
}

impl Draft {
    pub(crate) fn acts(&self, now_s: u64) -> bool {
        !self.observes && self.is_open(now_s)
    }

    pub(crate) fn is_open(&self, now_s: u64) -> bool {
        self.not_before.is_none_or(|begin| begin <= now_s)
            && self.not_after.is_none_or(|end| now_s < end)
    }

    pub(crate) fn toml(&self, number: usize) -> String {
        let mut text = format!("[[rule]]\nname = \"r{number}\"\n");
        text.push_str(&format!("action = \"{}\"\n", self.action.name()));
        for (key, list) in [
            ("topic", &self.topics),
            ("group", &self.groups),
            ("edge-node", &self.edge_nodes),
            ("device", &self.devices),
            ("allow-metrics", &self.allow),
            ("deny-metrics", &self.deny),
            ("redact-metrics", &self.redact),
        ] {
            if let Some(list) = list {
                text.push_str(&format!("{key} = [{}]\n", quoted(list)));
            }
        }
        if let Some(datatypes) = &self.datatypes {
            let names: Vec<_> = datatypes.iter().map(|datatype| datatype.name().into()).collect();
            text.push_str(&format!("datatypes = [{}]\n", quoted(&names)));
        }
        text.push_str(&format!("node-only = {}\n", self.node_only));
        if self.observes {
            text.push_str("mode = \"observe\"\n");
        }
        for (key, moment) in [("not-before", self.not_before), ("not-after", self.not_after)] {
            if let Some(moment) = moment {
                text.push_str(&format!("{key} = 1970-01-01T00:00:{moment:02}Z\n"));
            }
        }
        text.push_str(&self.shapes.toml());
        text
    }

    pub(crate) fn selects(&self, entity: Entity<'_>) -> bool {
        let topic = match entity.device {
            None => format!("spBv1.0/{}/NDATA/{}", entity.group, entity.edge_node),
            Some(device) => {
                format!("spBv1.0/{}/DDATA/{}/{device}", entity.group, entity.edge_node)
            }
        };
        self.topics.iter().all(|topics| topics.iter().any(|filter| mqtt_matches(filter, &topic)))
            && listed(&self.groups, entity.group)
            && listed(&self.edge_nodes, entity.edge_node)
            && match entity.device {
                None => self.devices.is_none(),
                Some(device) => !self.node_only && listed(&self.devices, device),
            }
    }

    pub(crate) fn forwards_name(&self, entity: Entity<'_>, metric: &str) -> bool {
        self.action == Action::Forward && self.selects(entity) && listed(&self.allow, metric)
    }

    pub(crate) fn forwards(
        &self,
        entity: Entity<'_>,
        metric: &str,
        datatype: Option<DataType>,
    ) -> bool {
        self.forwards_name(entity, metric)
            && self.datatypes.iter().all(|list| datatype.is_some_and(|one| list.contains(&one)))
    }

    pub(crate) fn denies(
        &self,
        entity: Entity<'_>,
        metric: &str,
        datatype: Option<DataType>,
    ) -> bool {
        self.is_against(Action::Deny, &self.deny, metric, datatype) && self.selects(entity)
    }

    pub(crate) fn redacts(
        &self,
        entity: Entity<'_>,
        metric: &str,
        datatype: Option<DataType>,
    ) -> bool {
        self.is_against(Action::Redact, &self.redact, metric, datatype) && self.selects(entity)
    }

    pub(crate) fn is_against(
        &self,
        action: Action,
        names: &Names,
        metric: &str,
        datatype: Option<DataType>,
    ) -> bool {
        match self.action {
            own if own == action => {
                listed(names, metric)
                    && self
                        .datatypes
                        .iter()
                        .all(|list| datatype.is_none_or(|one| list.contains(&one)))
            }
            Action::Forward => names.is_some() && listed(names, metric),
            _ => false,
        }
    }
}

pub(crate) fn judge(
    rules: &[Draft],
    acts: &dyn Fn(&Draft) -> bool,
    entity: Entity<'_>,
    metric: &str,
    datatype: Option<DataType>,
) -> Verdict {
    let first = |decides: &dyn Fn(&Draft) -> bool| {
        rules
            .iter()
            .position(|rule| acts(rule) && decides(rule))
            .map(|number| RuleId(number as u32))
    };
    if let Some(rule) = first(&|rule| rule.denies(entity, metric, datatype)) {
        return Verdict::Drop { reason: Reason::Denied, rule: Some(rule) };
    }
    let Some(taken) = first(&|rule| rule.forwards(entity, metric, datatype)) else {
        return match first(&|rule| rule.forwards_name(entity, metric)) {
            Some(rule) => Verdict::Drop { reason: Reason::Datatype, rule: Some(rule) },
            None => Verdict::Drop { reason: Reason::NoRule, rule: None },
        };
    };
    if let Some(rule) = first(&|rule| rule.redacts(entity, metric, datatype)) {
        return Verdict::Redact { rule, forward: taken };
    }
    let text = datatype.unwrap_or(DataType::String);
    let opens = |rule: &Draft| {
        rule.forwards(entity, metric, datatype) && rule.shapes.word(metric, text) != Word::Opaque
    };
    match first(&opens) {
        None => Verdict::Drop { reason: Reason::Opaque, rule: Some(taken) },
        Some(rule) if rules[rule.index()].shapes.word(metric, text) == Word::Unshapeable => {
            Verdict::Drop { reason: Reason::Unshapeable, rule: Some(rule) }
        }
        Some(rule) => Verdict::Forward { rule },
    }
}

/// Why a member of a template doesn't cross.
pub(crate) fn judge_member(
    rules: &[Draft],
    acts: &dyn Fn(&Draft) -> bool,
    entity: Entity<'_>,
    path: &str,
    datatype: Option<DataType>,
) -> Option<(Reason, Option<RuleId>)> {
    let first = |decides: &dyn Fn(&Draft) -> bool| {
        let place = rules.iter().position(|rule| acts(rule) && decides(rule));
        place.map(|number| RuleId(number as u32))
    };
    let is_opaque = matches!(datatype, Some(DataType::Bytes | DataType::File | DataType::DataSet));
    let shapes = |rule: &Draft| {
        rule.action == Action::Forward && rule.selects(entity) && rule.shapes.shapes_member(path)
    };
    if let Some(rule) = first(&|rule| rule.denies(entity, path, datatype)) {
        Some((Reason::Denied, Some(rule)))
    } else if let Some(rule) = first(&|rule| rule.redacts(entity, path, datatype)) {
        Some((Reason::Redacted, Some(rule)))
    } else if is_opaque {
        Some((Reason::Opaque, None))
    } else {
        first(&shapes).map(|rule| (Reason::Unshapeable, Some(rule)))
    }
}

pub(crate) fn listed(globs: &Names, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    globs.iter().all(|globs| {
        globs.iter().any(|glob| globs::matches(&glob.chars().collect::<Vec<_>>(), &name, true))
    })
}

pub(crate) fn mqtt_matches(filter: &str, topic: &str) -> bool {
    match (filter.split_once('/'), topic.split_once('/')) {
        _ if filter == "#" => true,
        (Some((left, filter)), Some((right, topic))) => {
            (left == "+" || left == right) && mqtt_matches(filter, topic)
        }
        (None, None) => filter == "+" || filter == topic,
        (Some((left, "#")), None) => left == "+" || left == topic,
        _ => false,
    }
}

pub(crate) fn quoted(list: &[String]) -> String {
    let quoted: Vec<_> = list.iter().map(|item| format!("'{item}'")).collect();
    quoted.join(", ")
}
