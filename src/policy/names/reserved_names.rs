//! Names on IT that belong to somebody else, the relay's own edge node: how near a policy comes to
//! giving them to something of the plant. What is found here is reported before a half starts; while it
//! runs, whoever comes second under a name is refused.

use account::RuleId;
use sparkplug::Entity;

use crate::Policy;
use crate::plan::covers_node;
use crate::rule::glob::Glob;
use crate::rule::{Action, Mode, Rule};

/// How an edge node of the plant could cross under names that are reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReservedNameUse {
    /// `[rename]` gives the names to this edge node (`group/edge node` in the plant), and the rule
    /// forwards it.
    Renamed { node: String, rule: RuleId },
    /// The rule spells out both names.
    Spelled { rule: RuleId },
    /// The rule names the group, or the edge node, and the other one may be anything.
    Possible { rule: RuleId },
}

impl Policy {
    /// Whether an edge node of the plant could cross as `group/edge_node`; `None` for the latter
    /// where it isn't known yet. Rules that say nothing of groups and edge nodes (`group = "*"`)
    /// don't count: they name nobody.
    pub fn use_of_reserved_name(
        &self,
        group: &str,
        edge_node: Option<&str>,
    ) -> Option<ReservedNameUse> {
        let Some(edge_node) = edge_node else {
            let mut rules = (0..).map(RuleId).zip(&self.rules);
            return rules
                .find(|(_, rule)| forwards(rule) && spells(rule.selectors.literal_groups(), group))
                .map(|(rule, _)| ReservedNameUse::Possible { rule });
        };
        let exported = Entity::node(group, edge_node);
        // Where the policy gives the name to nobody, nothing crosses under it.
        let original = self.renames.original(exported)?;
        let (group, edge_node) = (original.group, original.edge_node);
        let mut rules: Vec<(RuleId, &Rule)> =
            self.index.candidates(&self.rules, group, edge_node).collect();
        let denied = |rule: &Rule| {
            rule.mode == Mode::Enforce
                && rule.schedule.is_none()
                && rule.denies_whole_entities()
                && covers_node(&rule.selectors, group, edge_node)
        };
        if rules.iter().any(|(_, rule)| denied(rule)) {
            return None;
        }
        rules.retain(|(_, rule)| forwards(rule) && rule.selectors.reach_node(group, edge_node));
        if original != exported {
            let (rule, _) = rules.first()?;
            return Some(ReservedNameUse::Renamed {
                node: format!("{group}/{edge_node}"),
                rule: *rule,
            });
        }
        let of_group = |rule: &Rule| spells(rule.selectors.literal_groups(), group);
        let of_node = |rule: &Rule| spells(rule.selectors.literal_edge_nodes(), edge_node);
        if let Some((rule, _)) = rules.iter().find(|(_, rule)| of_group(rule) && of_node(rule)) {
            return Some(ReservedNameUse::Spelled { rule: *rule });
        }
        // `spark*` means some groups, `*` all of them.
        let means = |globs: &Option<Vec<Glob>>| {
            globs.iter().flatten().any(|glob| !glob.matches_all_names())
        };
        let possible = rules.iter().find(|(_, rule)| {
            let selectors = &rule.selectors;
            of_group(rule)
                || of_node(rule)
                || means(&selectors.groups)
                || means(&selectors.edge_nodes)
        });
        possible.map(|(rule, _)| ReservedNameUse::Possible { rule: *rule })
    }
}

/// Whether it forwards, now or when its schedule opens.
fn forwards(rule: &Rule) -> bool {
    rule.action == Action::Forward && rule.mode == Mode::Enforce
}

fn spells(names: Option<Vec<&str>>, name: &str) -> bool {
    names.is_some_and(|names| names.contains(&name))
}

#[cfg(test)]
mod tests {
    use diagnostic::SourceFile;

    use super::*;

    fn used(text: &str, edge_node: Option<&str>) -> Option<ReservedNameUse> {
        let (policy, _) = Policy::parse(&[SourceFile::new("p.toml", text)]).unwrap();
        policy.use_of_reserved_name("sparkdiode", edge_node)
    }

    fn rule(name: &str, action: &str, keys: &str) -> String {
        format!("[[rule]]\nname = \"{name}\"\naction = \"{action}\"\n{keys}\n")
    }

    #[test]
    fn a_rule_counts_by_what_it_names() {
        let (spelled, possible) = (
            Some(ReservedNameUse::Spelled { rule: RuleId(0) }),
            Some(ReservedNameUse::Possible { rule: RuleId(0) }),
        );
        for (keys, expected) in [
            ("group = \"*\"", None),
            ("topic = \"spBv1.0/+/+/#\"", None),
            ("group = \"**\"\nedge-node = \"*\"", None),
            ("group = \"Plant\"", None),
            ("group = \"*\"\nedge-node = \"Line*\"", None),
            ("group = \"sparkdiode\"", possible.clone()),
            ("group = \"spark*\"", possible.clone()),
            ("group = \"*\"\nedge-node = \"relay\"", possible.clone()),
            ("topic = \"spBv1.0/sparkdiode/+/#\"", possible.clone()),
            ("group = \"sparkdiode\"\nedge-node = \"other\"", None),
            ("group = \"sparkdiode\"\nedge-node = [\"x\", \"relay\"]", spelled.clone()),
            ("topic = \"spBv1.0/sparkdiode/+/relay/#\"", spelled.clone()),
            ("group = \"sparkdiode\"\nedge-node = \"relay\"\ndevice = \"D\"", spelled),
        ] {
            assert_eq!(used(&rule("r", "forward", keys), Some("relay")), expected, "{keys}");
        }
        assert_eq!(used(&rule("r", "deny", "group = \"sparkdiode\""), Some("relay")), None);
        let observing = "group = \"sparkdiode\"\nmode = \"observe\"";
        assert_eq!(used(&rule("r", "forward", observing), Some("relay")), None);
        // Not known what the relay is called: any node of the group may be called like it.
        let of_group = rule("r", "forward", "group = \"sparkdiode\"\nedge-node = \"x\"");
        assert_eq!(used(&of_group, None), possible);
        assert_eq!(used(&rule("r", "forward", "group = \"*\""), None), None);
    }

    #[test]
    fn what_is_denied_as_a_whole_takes_no_name() {
        let forward = rule("r", "forward", "group = \"sparkdiode\"");
        let deny = |keys: &str| used(&(forward.clone() + &rule("d", "deny", keys)), Some("relay"));
        assert_eq!(deny("edge-node = \"relay\""), None);
        assert!(deny("edge-node = \"relay\"\nnode-only = true").is_some(), "its devices cross");
        assert!(deny("edge-node = \"relay\"\ndeny-metrics = \"a\"").is_some());
        let window = "edge-node = \"relay\"\nnot-before = 2100-01-01T00:00:00Z";
        assert!(deny(window).is_some(), "not always");
    }

    #[test]
    fn renames_count_by_what_they_make() {
        let rules = rule("r", "forward", "group = \"Plant\"");
        let renamed = "[rename.group]\nPlant = \"sparkdiode\"\n\
                       [rename.edge-node]\n\"Plant/Line4\" = \"relay\"\n";
        let renamed = used(&format!("{rules}{renamed}"), Some("relay"));
        assert_eq!(
            renamed,
            Some(ReservedNameUse::Renamed { node: "Plant/Line4".into(), rule: RuleId(0) })
        );
        // The plant's own `sparkdiode` crosses under another name.
        let rules = rule("r", "forward", "group = \"sparkdiode\"");
        let away = format!("{rules}[rename.group]\nsparkdiode = \"plant-7\"\n");
        assert_eq!(used(&away, Some("relay")), None);
    }
}
