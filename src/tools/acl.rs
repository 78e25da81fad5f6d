//! The broker's access list that follows from a policy: what each half reads and writes there, and
//! nothing else. It is a second lock beside the relay's own: a half that was taken over, or a policy
//! that is wider than what was agreed with the broker's people, gets no further than this.

use std::collections::BTreeSet;
use std::fmt::Write;

use policy::glob::Glob;
use policy::{Action, Mode, Policy, Rule};
use sparkplug::{CERTIFICATES_PREFIX, Entity, STATE_FILTERS, folded_device};

/// What may be done under a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    Read,
    Write,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    pub access: Access,
    /// A topic filter.
    pub topic: String,
}

/// What the OT half needs at its broker: it reads what the policy forwards, stored births and what hosts
/// of the plant say of themselves, and writes nothing.
pub fn of_ot(policy: &Policy) -> BTreeSet<Grant> {
    let filters = policy.subscriptions().into_iter();
    let filters = filters.chain([format!("{CERTIFICATES_PREFIX}#")]);
    let filters = filters.chain(STATE_FILTERS.map(str::to_owned));
    filters.map(|topic| Grant { access: Access::Read, topic }).collect()
}

/// What the IT half needs at its broker: it writes, under their names on IT, what the policy forwards,
/// and the relay's own edge node (`group`, and its name where that is known); it reads commands, which it
/// refuses or answers, and STATE of the primary host. `fold`: the edge node of which the nodes of a group
/// are devices.
pub fn of_it(
    policy: &Policy,
    own: Option<(&str, Option<&str>)>,
    primary_host: Option<&str>,
    fold: Option<&str>,
) -> BTreeSet<Grant> {
    let mut grants = BTreeSet::new();
    let mut grant = |access, topic: String| {
        grants.insert(Grant { access, topic });
    };
    for filter in policy.subscriptions() {
        let Some(Levels { kind, group, edge_node, device }) = Levels::of(policy, &filter) else {
            continue;
        };
        if let Some(fold) = fold {
            for topic in folded(&kind, &group, &edge_node, device.as_deref(), fold) {
                grant(Access::Write, topic);
            }
            read_commands(&group, fold, &mut grant);
            continue;
        }
        match device {
            Some(device) => {
                grant(Access::Write, format!("spBv1.0/{group}/{kind}/{edge_node}/{device}"));
            }
            None => grant(Access::Write, format!("spBv1.0/{group}/{kind}/{edge_node}")),
        }
        read_commands(&group, &edge_node, &mut grant);
    }
    if let Some((group, edge_node)) = own {
        let edge_node = edge_node.unwrap_or("+");
        for kind in ["NBIRTH", "NDATA", "NDEATH"] {
            grant(Access::Write, format!("spBv1.0/{group}/{kind}/{edge_node}"));
        }
        read_commands(group, edge_node, &mut grant);
    }
    if let Some(host) = primary_host {
        grant(Access::Read, format!("spBv1.0/STATE/{host}"));
    }
    grants
}

/// Where a folded edge node says what another one would say under these levels.
fn folded(
    kind: &str,
    group: &str,
    edge_node: &str,
    device: Option<&str>,
    fold: &str,
) -> Vec<String> {
    let device = match (edge_node, device) {
        ("+", _) | (_, Some("+")) => "+".to_owned(),
        (edge_node, device) => folded_device(edge_node, device),
    };
    let of_device = kind.replacen('N', "D", 1);
    let mut topics = vec![format!("spBv1.0/{group}/{of_device}/{fold}/{device}")];
    if kind == "NBIRTH" || kind == "NDEATH" {
        topics.push(format!("spBv1.0/{group}/{kind}/{fold}"));
    }
    topics
}

fn read_commands(group: &str, edge_node: &str, grant: &mut impl FnMut(Access, String)) {
    grant(Access::Read, format!("spBv1.0/{group}/NCMD/{edge_node}"));
    grant(Access::Read, format!("spBv1.0/{group}/DCMD/{edge_node}/+"));
}

/// The levels of a subscription, with the names on IT.
struct Levels {
    kind: String,
    group: String,
    edge_node: String,
    device: Option<String>,
}

impl Levels {
    /// `None`: nothing crosses under it.
    fn of(policy: &Policy, filter: &str) -> Option<Levels> {
        let mut levels = filter.split('/').skip(1);
        let (group, kind, edge_node) = (levels.next()?, levels.next()?, levels.next()?);
        let device = levels.next();
        let renames = policy.renames();
        // What is renamed depends on what it is in: where that may be anything, the name may be.
        let any = |parent: &str, name: &str| parent == "+" && name != "+" && !renames.is_empty();
        let edge_node = if any(group, edge_node) { "+" } else { edge_node };
        let device = device.map(|device| if any(edge_node, device) { "+" } else { device });
        let known = |name: &&str| *name != "+";
        let exported = renames.exported(Entity { group, edge_node, device }).ok()?;
        let of_device = device.filter(known).and(exported.device).or(device);
        Some(Levels {
            kind: kind.to_owned(),
            group: exported.group.to_owned(),
            edge_node: exported.edge_node.to_owned(),
            device: of_device.map(str::to_owned),
        })
    }
}

/// What the list lets through beside what the policy forwards, in sentences for its head: topics can say
/// no more. `now_ms`: in milliseconds since the epoch.
pub fn wider(policy: &Policy, now_ms: u64) -> Vec<String> {
    let forward = |rule: &&Rule| rule.action() == Action::Forward;
    let named = |rules: Vec<&Rule>| -> Option<String> {
        let names: Vec<String> = rules.iter().map(|rule| format!("`{}`", rule.name())).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let rules = || policy.rules().iter().filter(forward);
    let mut words = Vec::new();
    let observing = rules().filter(|rule| rule.mode() == Mode::Observe).collect();
    if let Some(names) = named(observing) {
        words.push(format!(
            "{names}: only observe, and have their lines for the day on which they act"
        ));
    }
    let turns =
        |rule: &Rule| rule.schedule().map(|schedule| schedule.next_turn_ms(now_ms).is_some());
    let closed = |rule: &&Rule| {
        rule.schedule().is_some_and(|schedule| !schedule.is_open(now_ms))
            && rule.mode() == Mode::Enforce
    };
    let over = rules().filter(closed).filter(|rule| turns(rule) == Some(false)).collect();
    if let Some(names) = named(over) {
        words.push(format!(
            "{names}: never in force again, and have their lines all the same; take them out"
        ));
    }
    let later = rules().filter(closed).filter(|rule| turns(rule) == Some(true)).collect();
    if let Some(names) = named(later) {
        words.push(format!("{names}: not in force at this time; a list knows no hours"));
    }
    let patterns = |globs: &Option<Vec<Glob>>| {
        globs.iter().flatten().any(|glob| glob.literal().is_none() && !glob.matches_all_names())
    };
    let by_pattern = rules()
        .filter(|rule| {
            let selectors = rule.selectors();
            patterns(&selectors.groups)
                || patterns(&selectors.edge_nodes)
                || patterns(&selectors.devices)
        })
        .collect();
    if let Some(names) = named(by_pattern) {
        words.push(format!(
            "{names}: select by patterns such as `Line*`, for which a list has every name (`+`)"
        ));
    }
    if policy.rules().iter().any(|rule| rule.action() != Action::Forward || rule.denied().is_some())
    {
        words.push(
            "what rules deny or redact isn't taken out: of edge nodes and devices within a wildcard, and of single metrics"
                .to_owned(),
        );
    }
    words
}

/// The list as mosquitto's `acl_file` takes it. `user`: whom the broker knows the half as; without one
/// the lines hold for whoever has no name.
pub fn mosquitto(grants: &BTreeSet<Grant>, user: Option<&str>, comments: &[String]) -> String {
    let mut text = String::new();
    for comment in comments {
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "# {comment}");
    }
    if let Some(user) = user {
        let _ = writeln!(text, "user {user}");
    }
    for Grant { access, topic } in grants {
        let access = match access {
            Access::Read => "read",
            Access::Write => "write",
        };
        let _ = writeln!(text, "topic {access} {topic}");
    }
    text
}

#[cfg(test)]
mod tests {
    use diagnostic::SourceFile;
    use proptest::prelude::*;
    use sparkplug::MessageType;

    use super::*;

    fn policy(text: &str) -> Policy {
        Policy::parse(&[SourceFile::new("p.toml", text)]).unwrap().0
    }

    fn rule(keys: &str) -> String {
        format!("[[rule]]\nname = \"r\"\naction = \"forward\"\n{keys}\n")
    }

    #[test]
    fn a_list_has_what_a_half_needs_and_nothing_else() {
        let policy = policy(&rule("group = \"G\"\nedge-node = \"Line4\"\ndevice = \"Oven\""));
        let ot = mosquitto(&of_ot(&policy), Some("relay-ot"), &["one".to_owned()]);
        let (head, rest) = ot.split_at("# one\nuser relay-ot\n".len());
        assert_eq!(head, "# one\nuser relay-ot\n");
        assert!(!rest.contains("write") && rest.contains("topic read $sparkplug/certificates/#\n"));
        assert!(rest.contains("topic read spBv1.0/G/DDATA/Line4/Oven\n"), "{rest}");
        assert_eq!(rest.lines().count(), 9, "{rest}");
        let it = of_it(&policy, Some(("sparkdiode", None)), Some("scada"), None);
        let it = mosquitto(&it, None, &[]);
        for line in [
            "topic write spBv1.0/G/DBIRTH/Line4/Oven",
            "topic write spBv1.0/G/NDEATH/Line4",
            "topic read spBv1.0/G/NCMD/Line4",
            "topic read spBv1.0/G/DCMD/Line4/+",
            "topic write spBv1.0/sparkdiode/NBIRTH/+",
            "topic read spBv1.0/STATE/scada",
        ] {
            assert!(it.lines().any(|one| one == line), "{line}\n{it}");
        }
        assert!(!it.lines().any(|line| line.starts_with("topic write") && line.contains("CMD")));
        assert!(!it.contains("user "));
    }

    #[test]
    fn a_list_for_folded_groups_has_their_devices() {
        let policy = policy(&rule("group = \"G\"\nedge-node = \"Line4\"\ndevice = \"Oven\""));
        let it = mosquitto(&of_it(&policy, None, None, Some("plant")), None, &[]);
        for line in [
            "topic write spBv1.0/G/NBIRTH/plant",
            "topic write spBv1.0/G/NDEATH/plant",
            "topic write spBv1.0/G/DBIRTH/plant/Line4",
            "topic write spBv1.0/G/DDEATH/plant/Line4",
            "topic write spBv1.0/G/DDATA/plant/Line4:Oven",
            "topic read spBv1.0/G/NCMD/plant",
        ] {
            assert!(it.lines().any(|one| one == line), "{line}\n{it}");
        }
        assert!(!it.contains("NDATA") && !it.contains("/Line4/"), "{it}");
        let all = super::folded("DDATA", "G", "+", Some("Oven"), "plant");
        assert_eq!(all, ["spBv1.0/G/DDATA/plant/+"]);
    }

    #[test]
    fn what_a_list_lets_through_beside_is_said() {
        let said = |text: String| wider(&policy(&text), 1_700_000_000_000).join("\n");
        assert_eq!(said(rule("group = \"G\"\nedge-node = [\"*\", \"L\"]")), "");
        for (keys, wanted) in [
            ("group = \"G\"\nmode = \"observe\"", "`r`: only observe"),
            ("group = \"G\"\nnot-after = 2020-01-01T00:00:00Z", "`r`: never in force again"),
            ("group = \"G\"\nnot-before = 2199-01-01T00:00:00Z", "`r`: not in force at this time"),
            ("group = \"G\"\nedge-node = \"L*\"", "`r`: select by patterns"),
            ("group = \"G\"\ndeny-metrics = \"a\"", "what rules deny"),
        ] {
            assert!(said(rule(keys)).starts_with(wanted), "{keys}");
        }
        let deny = "[[rule]]\nname = \"d\"\naction = \"deny\"\ngroup = \"G\"\nedge-node = \"L9\"\n";
        assert!(said(format!("{}{deny}", rule("group = \"G\""))).contains("what rules deny"));
    }

    /// Whether a topic is within one of the filters that may be written or read.
    fn allows(grants: &BTreeSet<Grant>, wanted: Access, topic: &str) -> bool {
        let matches = |filter: &str| {
            let (mut filter, mut levels) = (filter.split('/'), topic.split('/'));
            loop {
                match (filter.next(), levels.next()) {
                    (Some("#"), _) | (None, None) => return true,
                    (Some("+"), Some(_)) => {}
                    (Some(name), Some(level)) if name == level => {}
                    _ => return false,
                }
            }
        };
        grants.iter().any(|grant| grant.access == wanted && matches(&grant.topic))
    }

    const RENAMES: &str = "[rename.group]\n\"a\" = \"A1\"\n[rename.edge-node]\n\"a/n\" = \"N1\"\n\
                           [rename.device]\n\"a/n/d\" = \"D1\"\n\"b/n/d\" = \"D2\"\n";

    proptest! {
        /// Whatever crosses may be read on OT and written on IT, under its name there, and what no
        /// subscription is about may be neither.
        #[test]
        fn what_crosses_is_granted(
            group in prop::sample::select(vec!["a", "b", "*", "?"]),
            edge_node in prop::sample::select(vec!["", "n", "m", "*"]),
            device in prop::sample::select(vec!["", "d", "e", "*", "node-only"]),
            renamed in any::<bool>(),
        ) {
            let mut keys = format!("group = \"{group}\"\n");
            if !edge_node.is_empty() {
                keys.push_str(&format!("edge-node = \"{edge_node}\"\n"));
            }
            match device {
                "" => {}
                "node-only" => keys.push_str("node-only = true\n"),
                device => keys.push_str(&format!("device = \"{device}\"\n")),
            }
            let policy = policy(&(rule(&keys) + if renamed { RENAMES } else { "" }));
            let (ot, it) = (of_ot(&policy), of_it(&policy, None, None, None));
            prop_assert!(ot.iter().all(|grant| grant.access == Access::Read));
            for group in ["a", "b", "c"] {
                for edge_node in ["n", "m", "x"] {
                    for device in [None, Some("d"), Some("e")] {
                        let entity = Entity { group, edge_node, device };
                        let crosses = match device {
                            None => policy.node_in_scope(group, edge_node),
                            Some(_) => policy.device_in_scope(entity),
                        };
                        let Ok(exported) = policy.renames().exported(entity) else { continue };
                        let kind = if device.is_some() { MessageType::DData } else { MessageType::NData };
                        let topic = |entity: Entity<'_>| {
                            let device = entity.device.map(|device| format!("/{device}"));
                            let kind = if kind == MessageType::DData { "DDATA" } else { "NDATA" };
                            format!(
                                "spBv1.0/{}/{kind}/{}{}",
                                entity.group, entity.edge_node, device.unwrap_or_default()
                            )
                        };
                        if crosses {
                            prop_assert!(allows(&ot, Access::Read, &topic(entity)), "{entity}");
                            prop_assert!(allows(&it, Access::Write, &topic(exported)), "{exported}");
                        }
                        if group == "c" && !policy.subscriptions().iter().any(|one| one.contains("/+/")) {
                            prop_assert!(!allows(&it, Access::Write, &topic(exported)));
                        }
                    }
                }
            }
        }
    }
}
