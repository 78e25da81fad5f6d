//! Other names on IT: groups, edge nodes and devices by tables of the policy, metrics by the
//! prefixes of rules. Rules and everything else on the OT side name things as the plant does;
//! the journal has the new names only.
//!
//! Two things of the plant never share a name on IT, not even but for capitals. What the tables
//! and the rules spell out is proved when the policy is loaded. A name that only a glob lets in
//! can't be known then: where it is one that the tables give to something else, it is refused
//! when it appears ([`Collision`]), so that the map is injective over all that crosses and
//! [`Renames::original`] undoes it.

mod reserved;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use diagnostic::{Diagnostic, Diagnostics, Placed, Section, SourceFile, inside};
use sparkplug::{Entity, names};

pub use self::reserved::Taken;
use crate::rule::glob::Glob;
use crate::rule::{Prefixes, Rule};

/// Bytes of a new name, or of a prefix.
const MAX_NAME_BYTES: usize = 1024;

/// The thing has the name that the policy gives to something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collision;

/// The names of groups, edge nodes and devices on IT.
#[derive(Clone, Debug, Default)]
pub struct Renames {
    groups: Table,
    /// By group.
    nodes: HashMap<String, Table>,
    /// By group and edge node.
    devices: HashMap<String, HashMap<String, Table>>,
    is_empty: bool,
}

/// The new names of things that share their parent. Injective, also case-folded.
#[derive(Clone, Debug, Default)]
struct Table {
    told: HashMap<String, String>,
    originals: HashMap<String, String>,
    /// The new names, case-folded.
    taken: HashSet<String>,
}

impl Table {
    fn tell<'a>(&'a self, name: &'a str) -> Result<&'a str, Collision> {
        match self.told.get(name) {
            Some(told) => Ok(told),
            None if !self.taken.is_empty() && self.taken.contains(&fold(name)) => Err(Collision),
            None => Ok(name),
        }
    }

    fn original<'a>(&'a self, told: &'a str) -> Option<&'a str> {
        if let Some(original) = self.originals.get(told) {
            return Some(original);
        }
        // Nothing crosses under a name that is mapped away, or is somebody else's.
        (self.tell(told) == Ok(told)).then_some(told)
    }
}

impl Renames {
    /// Whether every name stays as it is.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The names under which `entity` crosses.
    ///
    /// # Errors
    /// The policy gives one of its names to something else.
    pub fn tell<'a>(&'a self, entity: Entity<'a>) -> Result<Entity<'a>, Collision> {
        if self.is_empty {
            return Ok(entity);
        }
        let Entity { group, edge_node, device } = entity;
        let nodes = self.nodes.get(group);
        let devices = self.devices.get(group).and_then(|nodes| nodes.get(edge_node));
        Ok(Entity {
            group: self.groups.tell(group)?,
            edge_node: nodes.map_or(Ok(edge_node), |table| table.tell(edge_node))?,
            device: match (device, devices) {
                (Some(device), Some(table)) => Some(table.tell(device)?),
                _ => device,
            },
        })
    }

    /// The thing of the plant that crosses under the names `told`; `None` if none does.
    pub fn original<'a>(&'a self, told: Entity<'a>) -> Option<Entity<'a>> {
        if self.is_empty {
            return Some(told);
        }
        let group = self.groups.original(told.group)?;
        let edge_node = match self.nodes.get(group) {
            Some(table) => table.original(told.edge_node)?,
            None => told.edge_node,
        };
        let devices = self.devices.get(group).and_then(|nodes| nodes.get(edge_node));
        let device = match (told.device, devices) {
            (Some(device), Some(table)) => Some(table.original(device)?),
            (device, _) => device,
        };
        Some(Entity { group, edge_node, device })
    }

    /// What is renamed, in words, sorted: ``group `a` is `b` on IT``.
    pub fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut list = |noun: &str, parent: &str, table: &Table| {
            for (name, told) in &table.told {
                lines.push(format!("{noun} `{parent}{name}` is `{told}` on IT"));
            }
        };
        list("group", "", &self.groups);
        for (group, table) in &self.nodes {
            list("edge node", &format!("{group}/"), table);
        }
        for (group, nodes) in &self.devices {
            for (edge_node, table) in nodes {
                list("device", &format!("{group}/{edge_node}/"), table);
            }
        }
        lines.sort();
        lines
    }

    fn table(&mut self, parent: Parent<'_>) -> &mut Table {
        match parent {
            Parent::Root => &mut self.groups,
            Parent::Group(group) => self.nodes.entry(group.to_owned()).or_default(),
            Parent::Node(group, edge_node) => {
                let nodes = self.devices.entry(group.to_owned()).or_default();
                nodes.entry(edge_node.to_owned()).or_default()
            }
        }
    }
}

/// What things have to be told apart in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Parent<'a> {
    Root,
    Group(&'a str),
    Node(&'a str, &'a str),
}

/// What a name on IT is compared by: capitals don't count, since databases and file systems
/// there may not tell them apart.
pub fn fold(name: &str) -> String {
    // Both ways, for letters with several small or capital forms: ß and SS, σ and ς.
    name.to_uppercase().to_lowercase()
}

/// Reads the `[rename.…]` tables of all files.
#[derive(Debug, Default)]
pub(crate) struct RenamesReader<'s> {
    entries: Vec<Entry<'s>>,
}

#[derive(Debug)]
struct Entry<'s> {
    file: &'s SourceFile,
    kind: Kind,
    /// Parents and name, as many as the kind has.
    path: Vec<String>,
    key: Range<usize>,
    told: Placed<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Group,
    EdgeNode,
    Device,
}

const KINDS: [(Kind, &str, &str, &str); 3] = [
    (Kind::Group, "group", "`[rename.group]`", "GROUP"),
    (Kind::EdgeNode, "edge-node", "`[rename.edge-node]`", "GROUP/NODE"),
    (Kind::Device, "device", "`[rename.device]`", "GROUP/NODE/DEVICE"),
];

impl<'s> RenamesReader<'s> {
    /// Reads those of `file`.
    pub(crate) fn read(
        &mut self,
        file: &'s SourceFile,
        document: &mut Section<'_, '_>,
        problems: &mut Diagnostics,
    ) {
        let Some(mut section) = document.table("rename", "`[rename]`", problems) else { return };
        for (levels, (kind, key, noun, shape)) in (1_usize..).zip(KINDS) {
            let Some(table) = section.table(key, noun, problems) else { continue };
            for (key, told) in table.pairs(problems) {
                let path: Vec<String> = key.value.split('/').map(str::to_owned).collect();
                if path.len() != levels || path.iter().any(String::is_empty) {
                    let title = format!("not the path of {}: `{}`", kind.with_article(), key.value);
                    problems.push(
                        Diagnostic::error("P032", file, key.span, title)
                            .label(format!("keys of {noun} read `{shape}`"))
                            .help("with the names that the plant uses"),
                    );
                    continue;
                }
                if let Some(bad) = path.iter().find_map(|name| bad_level(name)) {
                    let title = format!("{} can't contain {bad}", kind.name_of());
                    problems.push(
                        Diagnostic::error("P032", file, key.span, title).label("matches nothing"),
                    );
                    continue;
                }
                if let Some(offset) = key.value.find(['*', '?']) {
                    let span = inside(file, &key, &(offset..offset.saturating_add(1)));
                    problems.push(
                        Diagnostic::warning(
                            "P102",
                            file,
                            span,
                            "`*` and `?` are no wildcards here",
                        )
                        .label("taken literally")
                        .help("names are mapped one by one"),
                    );
                }
                if check_new_name(file, kind, &told, problems) {
                    self.entries.push(Entry { file, kind, path, key: key.span, told });
                }
            }
        }
        section.finish(
            |key| (key == "metric").then(|| "give a rule `strip-prefix` or `add-prefix`".into()),
            problems,
        );
    }

    /// The tables, if they are injective and give no name away that `rules` spell out for
    /// something else; otherwise what is wrong goes to `problems`.
    pub(crate) fn finish(
        self,
        rules: &[Rule],
        sources: &[&SourceFile],
        problems: &mut Diagnostics,
    ) -> Renames {
        let mut renames = Renames { is_empty: self.entries.is_empty(), ..Renames::default() };
        let mut places: HashMap<(Parent<'_>, &str), &Entry<'_>> = HashMap::new();
        let mut folded: HashMap<(Parent<'_>, String), &Entry<'_>> = HashMap::new();
        for entry in &self.entries {
            let Some((parent, name)) = entry.parent_and_name() else { continue };
            if let Some(first) = places.get(&(parent, name)) {
                let title = format!("`{}` is renamed twice", entry.path.join("/"));
                problems.push(
                    Diagnostic::error("P032", entry.file, entry.key.clone(), title)
                        .label("and here again")
                        .at(first.file, first.key.clone(), "renamed here"),
                );
                continue;
            }
            places.insert((parent, name), entry);
            let told = entry.told.value.as_str();
            if let Some(first) = folded.get(&(parent, fold(told))) {
                let title =
                    format!("two {}s would have the same name on IT: `{told}`", entry.kind.noun());
                let mut problem =
                    Diagnostic::error("P033", entry.file, entry.told.span.clone(), title)
                        .label(format!("`{}`", entry.path.join("/")))
                        .at(
                            first.file,
                            first.told.span.clone(),
                            format!("`{}`", first.path.join("/")),
                        );
                if first.told.value != told {
                    problem = problem.help("names on IT must differ in more than capitals");
                }
                problems.push(problem);
                continue;
            }
            folded.insert((parent, fold(told)), entry);
            let table = renames.table(parent);
            table.told.insert(name.to_owned(), told.to_owned());
            table.originals.insert(told.to_owned(), name.to_owned());
            table.taken.insert(fold(told));
        }
        if !folded.is_empty() {
            let mut taken: HashMap<String, Vec<&Entry<'_>>> = HashMap::new();
            for ((_, name), entry) in folded {
                taken.entry(name).or_default().push(entry);
            }
            for rule in rules {
                check_rule(rule, &taken, &places, sources, problems);
            }
        }
        renames
    }
}

/// Reports the names that a rule spells out although they belong to something else: on IT they
/// would meet; and a rule that means the new name would select nothing. `taken` has what is
/// renamed by its case-folded new name.
fn check_rule(
    rule: &Rule,
    taken: &HashMap<String, Vec<&Entry<'_>>>,
    mapped: &HashMap<(Parent<'_>, &str), &Entry<'_>>,
    sources: &[&SourceFile],
    problems: &mut Diagnostics,
) {
    let selectors = &rule.selectors;
    let topics = || selectors.topics.iter().flatten();
    let literals = |globs: &Option<Vec<Glob>>| -> Vec<String> {
        globs.iter().flatten().filter_map(Glob::literal).map(str::to_owned).collect()
    };
    let mut spelled: Vec<(Kind, String)> = Vec::new();
    let mut spell = |kind, names: Vec<String>| {
        spelled.extend(names.into_iter().map(|name| (kind, name)));
    };
    let owned = |name: Option<&str>| name.map(str::to_owned);
    spell(Kind::Group, literals(&selectors.groups));
    spell(Kind::Group, topics().filter_map(|topic| owned(topic.group.name())).collect());
    spell(Kind::EdgeNode, literals(&selectors.edge_nodes));
    spell(Kind::EdgeNode, topics().filter_map(|topic| owned(topic.edge_node.name())).collect());
    spell(Kind::Device, literals(&selectors.devices));
    spell(Kind::Device, topics().filter_map(|topic| owned(topic.device())).collect());
    for (kind, name) in spelled {
        let met = taken.get(&fold(&name)).into_iter().flatten().find(|entry| {
            let Some((parent, _)) = entry.parent_and_name() else { return false };
            let reaches = match parent {
                Parent::Root => true,
                Parent::Group(group) => selectors.reach_node(group, &name),
                Parent::Node(group, edge_node) => selectors.reach_node(group, edge_node),
            };
            entry.kind == kind && reaches && !mapped.contains_key(&(parent, name.as_str()))
        });
        let file = sources.iter().find(|file| file.path == rule.path);
        let (Some(entry), Some(file)) = (met, file) else { continue };
        let noun = kind.noun();
        let title =
            format!("rule `{}` names the {noun} `{name}`, which is a name on IT", rule.name);
        problems.push(
            Diagnostic::error("P033", file, rule.header.clone(), title)
                .label(format!("this {noun} would meet another one on IT"))
                .at(
                    entry.file,
                    entry.told.span.clone(),
                    format!("`{}` is renamed to it", entry.path.join("/")),
                )
                .help(format!(
                    "rules name things as the plant does: did you mean `{}`?",
                    entry.path.last().map_or("", String::as_str)
                )),
        );
    }
}

impl Entry<'_> {
    fn parent_and_name(&self) -> Option<(Parent<'_>, &str)> {
        match self.path.as_slice() {
            [group] => Some((Parent::Root, group)),
            [group, edge_node] => Some((Parent::Group(group), edge_node)),
            [group, edge_node, device] => Some((Parent::Node(group, edge_node), device)),
            _ => None,
        }
    }
}

impl Kind {
    const fn noun(self) -> &'static str {
        match self {
            Kind::Group => "group",
            Kind::EdgeNode => "edge node",
            Kind::Device => "device",
        }
    }

    const fn with_article(self) -> &'static str {
        match self {
            Kind::Group => "a group",
            Kind::EdgeNode => "an edge node",
            Kind::Device => "a device",
        }
    }

    fn name_of(self) -> String {
        format!("the name of {}", self.with_article())
    }
}

/// What a name may not contain as a level of a topic.
fn bad_level(name: &str) -> Option<&'static str> {
    name.chars().find_map(|character| match character {
        '/' => Some("`/`"),
        '+' => Some("`+`"),
        '#' => Some("`#`"),
        '\0' => Some("U+0000"),
        _ => None,
    })
}

fn check_new_name(
    file: &SourceFile,
    kind: Kind,
    told: &Placed<String>,
    problems: &mut Diagnostics,
) -> bool {
    let title = match bad_level(&told.value) {
        Some(bad) => format!("{} can't contain {bad}", kind.name_of()),
        None if told.value.is_empty() => format!("{} can't be empty", kind.name_of()),
        None if told.value.len() > MAX_NAME_BYTES => {
            format!("{} can't be longer than {MAX_NAME_BYTES} bytes", kind.name_of())
        }
        None if kind == Kind::Group && told.value == "STATE" => {
            "`STATE` is no name for a group: host applications use it".to_owned()
        }
        None => return true,
    };
    problems.push(Diagnostic::error("P032", file, told.span.clone(), title));
    false
}

/// Reads `strip-prefix` and `add-prefix` of a rule.
pub(crate) fn read_prefixes(
    file: &SourceFile,
    rule: &mut Section<'_, '_>,
    problems: &mut Diagnostics,
) -> Option<Prefixes> {
    let strip = rule.string("strip-prefix", problems);
    let add = rule.string("add-prefix", problems);
    for (key, prefix) in [("strip-prefix", &strip), ("add-prefix", &add)] {
        let Some(prefix) = prefix else { continue };
        let title = if prefix.value.is_empty() {
            format!("`{key}` is empty")
        } else if prefix.value.len() > MAX_NAME_BYTES {
            format!("`{key}` can't be longer than {MAX_NAME_BYTES} bytes")
        } else if let Some(offset) = prefix.value.find('\0') {
            let span = inside(file, prefix, &(offset..offset.saturating_add(1)));
            problems.push(Diagnostic::error("P032", file, span, "a name can't contain U+0000"));
            continue;
        } else if key == "add-prefix" && is_reserved(&prefix.value) {
            format!("no metric can cross under `{}`", prefix.value)
        } else {
            continue;
        };
        problems.push(Diagnostic::error("P032", file, prefix.span.clone(), title));
    }
    if strip.is_none() && add.is_none() {
        return None;
    }
    Some(Prefixes { strip: strip.map(|strip| strip.value), add: add.map(|add| add.value) })
}

/// Whether a metric can't have this name on IT: it would be taken for something of Sparkplug's
/// own.
pub fn is_reserved(name: &str) -> bool {
    name.is_empty()
        || name == names::BD_SEQ
        || name.starts_with(names::NODE_CONTROL_PREFIX)
        || name.starts_with(names::DEVICE_CONTROL_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    fn read(files: &[(&str, &str)]) -> Result<Renames, String> {
        let sources: Vec<SourceFile> =
            files.iter().map(|(path, text)| SourceFile::new(*path, *text)).collect();
        match Policy::parse(&sources) {
            Ok((policy, _)) => Ok(policy.renames().clone()),
            Err(problems) => Err(problems.to_string()),
        }
    }

    const RENAMES: &str = r#"
        [rename.group]
        "plant-a" = "emea-plant-7"
        "b" = "c"
        "c" = "b"
        [rename.edge-node]
        "plant-a/Line4" = "line-4"
        [rename.device]
        "plant-a/Line4/Press" = "press-1"
    "#;

    #[test]
    fn names_are_mapped_in_their_scope_and_back() {
        let renames = read(&[("a.toml", RENAMES)]).unwrap();
        let device = |group, edge_node, device| Entity::device(group, edge_node, device);
        for (plant, it) in [
            (device("plant-a", "Line4", "Press"), device("emea-plant-7", "line-4", "press-1")),
            (device("plant-a", "Line4", "Oven"), device("emea-plant-7", "line-4", "Oven")),
            (device("plant-a", "Line5", "Press"), device("emea-plant-7", "Line5", "Press")),
            (device("plant-b", "Line4", "Press"), device("plant-b", "Line4", "Press")),
            (Entity::node("b", "Line4"), Entity::node("c", "Line4")),
            (Entity::node("c", "Line4"), Entity::node("b", "Line4")),
        ] {
            assert_eq!(renames.tell(plant), Ok(it));
            assert_eq!(renames.original(it), Some(plant));
        }
        assert_eq!(renames.original(Entity::node("plant-a", "x")), None);
        assert_eq!(renames.original(Entity::node("emea-plant-7", "Line4")), None);
    }

    #[test]
    fn a_name_that_belongs_to_something_else_is_refused_whatever_its_capitals() {
        let renames = read(&[("a.toml", RENAMES)]).unwrap();
        for entity in [
            Entity::node("emea-plant-7", "x"),
            Entity::node("EMEA-Plant-7", "x"),
            Entity::node("plant-a", "LINE-4"),
            Entity::device("plant-a", "Line4", "Press-1"),
        ] {
            assert_eq!(renames.tell(entity), Err(Collision), "{entity}");
            assert_ne!(renames.original(entity), Some(entity));
        }
        assert!(renames.tell(Entity::node("plant-b", "line-4")).is_ok());
    }

    #[test]
    fn two_files_may_not_rename_the_same_thing_nor_give_one_name_twice() {
        let one = "[rename.group]\na = \"x\"\n";
        let error =
            read(&[("1.toml", one), ("2.toml", "[rename.group]\na = \"y\"\n")]).unwrap_err();
        assert!(error.contains("`a` is renamed twice"), "{error}");
        assert!(error.contains("1.toml:2:1") && error.contains("2.toml:2:1"), "{error}");
        let error =
            read(&[("1.toml", one), ("2.toml", "[rename.group]\nb = \"X\"\n")]).unwrap_err();
        assert!(error.contains("two groups would have the same name"), "{error}");
        assert!(error.contains("1.toml:2:5") && error.contains("2.toml:2:5"), "{error}");
        assert!(
            read(&[("1.toml", "[rename.edge-node]\n\"a/n\" = \"x\"\n\"b/n\" = \"x\"\n")]).is_ok()
        );
    }

    #[test]
    fn a_rule_that_spells_out_a_new_name_is_an_error() {
        let rule = |selector: &str| {
            format!("[[rule]]\nname = \"r\"\naction = \"deny\"\n{selector}\n{RENAMES}")
        };
        for (selector, ok) in [
            ("group = \"plant-a\"", true),
            ("group = \"emea-plant-7\"", false),
            ("group = \"b\"", true),
            ("topic = \"spBv1.0/Emea-Plant-7/+/x\"", false),
            ("group = \"plant-a\"\nedge-node = \"line-4\"", false),
            ("group = \"other\"\nedge-node = \"line-4\"", true),
            ("edge-node = [\"x\", \"line-4\"]", false),
            ("edge-node = \"Line*\"\ndevice = \"press-1\"", false),
            ("edge-node = \"Oven*\"\ndevice = \"press-1\"", true),
        ] {
            let result = read(&[("a.toml", &rule(selector))]);
            assert_eq!(result.is_ok(), ok, "{selector} {result:?}");
        }
    }
}
