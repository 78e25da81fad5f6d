//! Members of a template that one of two policies takes out and the other one doesn't.

use policy::EntityPlan;
use sparkplug::{DataType, Template, Value, steps};

/// Members of one instance that are looked at.
const MOST: usize = 4_096;

/// How the members that cross compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Members {
    Same,
    /// More of them would cross.
    More,
    Fewer,
    Others,
    /// No instance is known, or it has too many.
    Unknown,
}

impl Members {
    /// Of the metric `name`: under the policy in force, and under the one in shadow.
    pub(super) fn compare(
        plans: (&EntityPlan<'_>, &EntityPlan<'_>),
        name: &str,
        value: Option<&Value>,
    ) -> Members {
        let Some(Value::Template(template)) = value else { return Members::Unknown };
        let mut found = Found::default();
        found.walk(plans, &[name.to_owned()], template);
        let _ = (plans.0.take_member_denials(), plans.1.take_member_denials());
        steps::take(found.seen);
        match (found.is_cut, found.more, found.fewer) {
            (true, _, _) => Members::Unknown,
            (false, false, false) => Members::Same,
            (false, true, false) => Members::More,
            (false, false, true) => Members::Fewer,
            (false, true, true) => Members::Others,
        }
    }

    pub(super) fn words(self) -> Option<&'static str> {
        match self {
            Members::Same => None,
            Members::More => {
                Some("shows more: members of the template that are taken out in force")
            }
            Members::Fewer => {
                Some("shows less: without members of the template that cross in force")
            }
            Members::Others => Some("otherwise: other members of the template"),
            Members::Unknown => Some(
                "members of the template aren't compared: no instance was seen, or one with too many",
            ),
        }
    }
}

#[derive(Default)]
struct Found {
    more: bool,
    fewer: bool,
    seen: usize,
    is_cut: bool,
}

impl Found {
    /// Members are denied by the path of the metric and by that of its definition. Recursion is bounded by
    /// the depth that was decoded.
    fn walk(
        &mut self,
        plans: (&EntityPlan<'_>, &EntityPlan<'_>),
        above: &[String],
        template: &Template,
    ) {
        let definition = template.template_ref.as_ref();
        let above: Vec<&String> = above.iter().chain(definition).collect();
        for member in &template.metrics {
            if self.seen >= MOST {
                self.is_cut = true;
                return;
            }
            self.seen = self.seen.saturating_add(1);
            let name = member.name.as_deref().unwrap_or_default();
            let paths: Vec<String> = above.iter().map(|above| format!("{above}/{name}")).collect();
            let datatype = member.datatype.and_then(DataType::from_code);
            let stays = |plan: &EntityPlan<'_>| {
                paths.iter().any(|path| plan.denies_member(path, datatype).is_some())
            };
            match (stays(plans.0), stays(plans.1)) {
                (true, false) => self.more = true,
                (false, true) => self.fewer = true,
                // What is in it is gone with it.
                (true, true) => {}
                (false, false) => {
                    if let Some(Value::Template(inner)) = &member.value {
                        self.walk(plans, &paths, inner);
                    }
                }
            }
        }
    }
}
