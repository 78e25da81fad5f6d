//! How a node of the plant and its devices are called as devices of a folded edge node.
//!
//! | in the plant | on IT |
//! |---|---|
//! | edge node `N` | device `N` |
//! | device `D` of `N` | device `N:D` |
//!
//! The first `:` of a name ends the node's part: in that part `:` is written `%3A` and `%` is `%25`,
//! and the device's part stands as it is. So every name on IT is of one entity of the plant, whatever
//! they are called, and two that differ by more than case in the plant do so on IT: the escapes, and
//! what ends the node's part, have no other case that is a letter of a name.

use alloc::string::String;

/// What ends the node's part of a name. Hosts that restrict names take it in those of tags.
pub const FOLD_SEPARATOR: char = ':';
const ESCAPE: char = '%';

/// The device as which hosts see an edge node of the plant, or a device of it.
pub fn folded_device(edge_node: &str, device: Option<&str>) -> String {
    let room = edge_node.len().saturating_add(device.map_or(0, str::len)).saturating_add(1);
    let mut name = String::with_capacity(room);
    for letter in edge_node.chars() {
        match letter {
            FOLD_SEPARATOR => name.push_str("%3A"),
            ESCAPE => name.push_str("%25"),
            letter => name.push(letter),
        }
    }
    if let Some(device) = device {
        name.push(FOLD_SEPARATOR);
        name.push_str(device);
    }
    name
}

/// The edge node of the plant, and the device of it, that hosts see as this device; `None`: no name
/// of the plant becomes this one.
pub fn unfolded_device(name: &str) -> Option<(String, Option<&str>)> {
    let (node, device) = match name.split_once(FOLD_SEPARATOR) {
        Some((node, device)) => (node, Some(device)),
        None => (name, None),
    };
    let mut edge_node = String::with_capacity(node.len());
    let mut rest = node;
    while let Some((before, escaped)) = rest.split_once(ESCAPE) {
        edge_node.push_str(before);
        let (letter, after) = match (escaped.strip_prefix("3A"), escaped.strip_prefix("25")) {
            (Some(after), _) => (FOLD_SEPARATOR, after),
            (None, Some(after)) => (ESCAPE, after),
            (None, None) => return None,
        };
        edge_node.push(letter);
        rest = after;
    }
    edge_node.push_str(rest);
    Some((edge_node, device))
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::format;
    use alloc::vec::Vec;
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn names_are_what_the_manual_says() {
        assert_eq!(folded_device("Line4", None), "Line4");
        assert_eq!(folded_device("Line4", Some("Oven1")), "Line4:Oven1");
        assert_eq!(folded_device("a:b%", Some("c:d%")), "a%3Ab%25:c:d%");
        assert_eq!(unfolded_device("a%3Ab%25:c:d%"), Some(("a:b%".into(), Some("c:d%"))));
        assert_eq!(unfolded_device("a%b"), None);
    }

    /// Every name of up to four of the letters that matter, in both cases of one of them.
    fn all_names() -> Vec<String> {
        let letters = [':', '%', '3', 'A', 'a', '2', '5'];
        let mut names: Vec<String> = vec![String::new()];
        let mut from = 0;
        for _ in 0..3 {
            let upto = names.len();
            for at in from..upto {
                for letter in letters {
                    names.push(format!("{}{letter}", names[at]));
                }
            }
            from = upto;
        }
        names.remove(0);
        names
    }

    #[test]
    fn no_two_entities_have_one_name_and_every_name_is_found_back() {
        let names = all_names();
        let short: Vec<&String> = names.iter().filter(|name| name.len() < 3).collect();
        let mut seen: HashMap<String, (String, Option<String>)> = HashMap::new();
        let mut in_lower_case: HashMap<String, (String, Option<String>)> = HashMap::new();
        let lower = |name: &str| name.to_ascii_lowercase();
        for node in &names {
            let devices = short.iter().map(|device| Some(device.as_str())).chain([None]);
            for device in devices {
                let name = folded_device(node, device);
                assert_eq!(unfolded_device(&name), Some((node.clone(), device)), "{name}");
                let entity = (node.clone(), device.map(str::to_owned));
                let folded = (lower(node), device.map(lower));
                let other = seen.insert(name.clone(), entity);
                assert_eq!(other, None, "{name}");
                // What is one name but for case is one entity but for case.
                let known = in_lower_case.entry(lower(&name)).or_insert_with(|| folded.clone());
                assert_eq!(*known, folded, "{name}");
            }
        }
    }
}
