//! Imports between the files of a crate: no circle, but for those between a module and the
//! modules below it.
//!
//! An import counts as one of the file that has the thing: what a module only passes on is
//! followed to where it is defined. Cargo allows no circle between crates.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::source::{FILES, File};
use super::words::{Kind, Word};

/// Steps to where a name is defined; imports may go round in a circle themselves.
const MAX_STEPS: usize = 32;

/// The modules of a crate.
struct Crate<'a> {
    files: Vec<&'a File>,
    /// Every module, and the file that it is in.
    modules: HashMap<Vec<String>, usize>,
    /// What a module imports, by the name that it has there.
    names: HashMap<(Vec<String>, &'a str), &'a [String]>,
}

impl<'a> Crate<'a> {
    fn new(room: &str, all: &'a [File]) -> Crate<'a> {
        let files: Vec<&File> = all.iter().filter(|file| file.room == room && !file.test).collect();
        let mut modules = HashMap::new();
        let mut names = HashMap::new();
        for (number, file) in files.iter().enumerate() {
            modules.insert(file.module.clone(), number);
            for word in file.product() {
                let module = [&file.module[..], &word.inside].concat();
                if let Kind::Import { name } | Kind::Export { name } = &word.kind {
                    names.insert((module.clone(), name.as_str()), &word.path[..]);
                }
                modules.entry(module).or_insert(number);
            }
        }
        Crate { files, modules, names }
    }

    /// The file in which the path's thing is, seen from `module`; `None`: in no file of this
    /// crate.
    fn file_of(&self, module: &[String], path: &[String], steps: usize) -> Option<usize> {
        self.modules.get(&self.resolve(module, path, steps)?).copied()
    }

    /// The module that the path's thing is in.
    fn resolve(&self, module: &[String], path: &[String], steps: usize) -> Option<Vec<String>> {
        let steps = steps.checked_sub(1)?;
        let (first, mut rest) = path.split_first()?;
        let mut at = module.to_vec();
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop()?;
                while let Some(("super", more)) =
                    rest.split_first().map(|(first, more)| (first.as_str(), more))
                {
                    at.pop()?;
                    rest = more;
                }
            }
            // In the 2018 edition and later: a module or a name of this module, or another crate.
            _ => return self.descend(&at, path, steps),
        }
        if rest.is_empty() { Some(at) } else { self.descend_or_here(&at, rest, steps) }
    }

    /// From module `at` to what `path` begins with, if it begins with a name of that module.
    fn descend(&self, at: &[String], path: &[String], steps: usize) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let below = [at, std::slice::from_ref(first)].concat();
        if self.modules.contains_key(&below) {
            return match rest {
                [] => Some(below),
                _ => self.descend_or_here(&below, rest, steps),
            };
        }
        let import = self.names.get(&(at.to_vec(), first.as_str()))?;
        if *import == path {
            // `use text::escape;` names another crate, whatever this module calls so.
            return None;
        }
        let steps = steps.checked_sub(1)?;
        let found = self.resolve(at, import, steps)?;
        // An item has no modules inside, so the rest of the path is within it.
        match rest {
            [] => Some(found),
            _ => self.descend_or_here(&found, rest, steps),
        }
    }

    fn descend_or_here(&self, at: &[String], path: &[String], steps: usize) -> Option<Vec<String>> {
        let imported = path.first().is_some_and(|first| {
            let below = [at, std::slice::from_ref(first)].concat();
            self.modules.contains_key(&below)
                || self.names.contains_key(&(at.to_vec(), first.as_str()))
        });
        if imported { self.descend(at, path, steps) } else { Some(at.to_vec()) }
    }

    /// Which file imports from which, without those from a module to one that it is in, or the
    /// other way round.
    fn imports(&self) -> BTreeMap<usize, BTreeSet<usize>> {
        let mut imports: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (number, file) in self.files.iter().enumerate() {
            for word in file.product().filter(|word| names_something(word)) {
                let module = [&file.module[..], &word.inside].concat();
                let Some(other) = self.file_of(&module, &word.path, MAX_STEPS) else { continue };
                let (one, another) = (&file.module, &self.files[other].module);
                if !one.starts_with(another) && !another.starts_with(one) {
                    imports.entry(number).or_default().insert(other);
                }
            }
        }
        imports
    }

    /// Sets of files of which each reaches all others by imports, by their paths.
    fn circles(&self) -> BTreeSet<Vec<String>> {
        let imports = self.imports();
        let reach = |from: usize| {
            let mut reached = BTreeSet::new();
            let mut next: Vec<usize> = vec![from];
            while let Some(file) = next.pop() {
                let all = imports.get(&file).into_iter().flatten();
                next.extend(all.filter(|other| reached.insert(**other)));
            }
            reached
        };
        let reached: Vec<BTreeSet<usize>> = (0..self.files.len()).map(reach).collect();
        let mut circles = BTreeSet::new();
        for (number, from_here) in reached.iter().enumerate() {
            let circle: Vec<String> = from_here
                .iter()
                .filter(|other| reached[**other].contains(&number))
                .map(|other| self.files[*other].path.display().to_string())
                .collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles
    }
}

/// Paths; of single names only those that are imported, which count where they are.
fn names_something(word: &Word) -> bool {
    match word.kind {
        Kind::Import { .. } | Kind::Export { .. } => true,
        Kind::Path | Kind::Called | Kind::Made | Kind::Tokens => word.path.len() > 1,
        Kind::ExternCrate | Kind::Method | Kind::Name => false,
    }
}

#[test]
fn files_of_a_crate_import_each_other_in_no_circle() {
    let rooms: BTreeSet<&str> =
        FILES.iter().filter(|file| !file.test).map(|file| file.room.as_str()).collect();
    let mut found = Vec::new();
    for room in rooms {
        for circle in Crate::new(room, &FILES).circles() {
            found.push((room, circle));
        }
    }
    assert!(found.is_empty(), "files that import each other in a circle: {found:#?}");
}

#[test]
fn a_circle_is_found_through_what_a_parent_passes_on() {
    let file = |module: &[&str], text: &str| {
        let name = module.last().unwrap_or(&"lib");
        let module = module.iter().map(|name| (*name).to_owned()).collect();
        File::new("x", std::path::Path::new(name), module, false, text)
    };
    let root = "mod a; mod b; mod c; use self::b::Other; pub use c::Third;";
    let circles = |a: &str, b: &str, c: &str| {
        let files = [file(&[], root), file(&["a"], a), file(&["b"], b), file(&["c"], c)];
        Crate::new("x", &files).circles().into_iter().collect::<Vec<_>>()
    };
    let ab = [vec!["a".to_owned(), "b".to_owned()]];
    assert_eq!(circles("use super::Other;", "use crate::a::Thing;", ""), ab);
    assert_eq!(circles("use crate::{Other, Third};", "fn f() { super::a::g(); }", ""), ab);
    assert_eq!(circles("use super::{b}; fn f() { b::g() }", "fn f() { m!(crate::a::X); }", ""), ab);
    let in_tests = "#[cfg(test)] mod tests { use crate::a::Thing; }";
    assert!(circles("use super::Other;", in_tests, "").is_empty());
    // Over three files; and with the parent there is none.
    let all = circles("use crate::b::X;", "use super::c::Y;", "use super::a::Z;");
    assert_eq!(all, [vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]]);
    assert!(circles("use crate::X;", "use super::Third;", "use super::X;").is_empty());
}
