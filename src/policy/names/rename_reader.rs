//! Reads the `[rename.…]` tables and proves that no two things get the same name.

use std::collections::HashMap;
use std::ops::Range;

use diagnostic::{Diagnostic, Diagnostics, Placed, Section, SourceFile, inside};
use mistake::mistake;

use super::MAX_NAME_BYTES;
use super::rename::{Parent, Renames, fold};
use crate::rule::Rule;
use crate::rule::glob::Glob;

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
    exported: Placed<String>,
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
            for (key, exported) in table.pairs(problems) {
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
                if check_new_name(file, kind, &exported, problems) {
                    self.entries.push(Entry { file, kind, path, key: key.span, exported });
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
        let mut renames = Renames::default();
        renames.is_empty = self.entries.is_empty();
        let mut places: HashMap<(Parent<'_>, &str), &Entry<'_>> = HashMap::new();
        let mut folded: HashMap<(Parent<'_>, String), &Entry<'_>> = HashMap::new();
        for entry in &self.entries {
            let Some((parent, name)) = entry.parent_and_name() else {
                mistake!("a path of no level, or of more than three");
                continue;
            };
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
            let exported = entry.exported.value.as_str();
            if let Some(first) = folded.get(&(parent, fold(exported))) {
                let title = format!(
                    "two {}s would have the same name on IT: `{exported}`",
                    entry.kind.noun()
                );
                let mut problem =
                    Diagnostic::error("P033", entry.file, entry.exported.span.clone(), title)
                        .label(format!("`{}`", entry.path.join("/")))
                        .at(
                            first.file,
                            first.exported.span.clone(),
                            format!("`{}`", first.path.join("/")),
                        );
                if first.exported.value != exported {
                    problem = problem.help("names on IT must differ in more than capitals");
                }
                problems.push(problem);
                continue;
            }
            folded.insert((parent, fold(exported)), entry);
            let table = renames.table(parent);
            table.exported.insert(name.to_owned(), exported.to_owned());
            table.originals.insert(exported.to_owned(), name.to_owned());
            table.folded.insert(fold(exported));
        }
        if !folded.is_empty() {
            let mut by_new_name: HashMap<String, Vec<&Entry<'_>>> = HashMap::new();
            for ((_, name), entry) in folded {
                by_new_name.entry(name).or_default().push(entry);
            }
            for rule in rules {
                check_rule(rule, &by_new_name, &places, sources, problems);
            }
        }
        renames
    }
}

/// Reports the names that a rule spells out although they belong to something else: on IT they
/// would meet; and a rule that means the new name would select nothing. `by_new_name` has what is
/// renamed by its case-folded new name.
fn check_rule(
    rule: &Rule,
    by_new_name: &HashMap<String, Vec<&Entry<'_>>>,
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
        let met = by_new_name.get(&fold(&name)).into_iter().flatten().find(|entry| {
            let Some((parent, _)) = entry.parent_and_name() else {
                mistake!("a path of no level, or of more than three");
                return false;
            };
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
                    entry.exported.span.clone(),
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
    exported: &Placed<String>,
    problems: &mut Diagnostics,
) -> bool {
    let title = match bad_level(&exported.value) {
        Some(bad) => format!("{} can't contain {bad}", kind.name_of()),
        None if exported.value.is_empty() => format!("{} can't be empty", kind.name_of()),
        None if exported.value.len() > MAX_NAME_BYTES => {
            format!("{} can't be longer than {MAX_NAME_BYTES} bytes", kind.name_of())
        }
        None if kind == Kind::Group && exported.value == "STATE" => {
            "`STATE` is no name for a group: host applications use it".to_owned()
        }
        None => return true,
    };
    problems.push(Diagnostic::error("P032", file, exported.span.clone(), title));
    false
}
