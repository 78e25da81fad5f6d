//! Names on IT are one to one, and what could make them meet is refused.

use diagnostic::SourceFile;
use sparkplug::Entity;

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
        assert_eq!(renames.exported(plant), Ok(it));
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
        assert_eq!(renames.exported(entity), Err(Collision), "{entity}");
        assert_ne!(renames.original(entity), Some(entity));
    }
    assert!(renames.exported(Entity::node("plant-b", "line-4")).is_ok());
}

#[test]
fn two_files_may_not_rename_the_same_thing_nor_give_one_name_twice() {
    let one = "[rename.group]\na = \"x\"\n";
    let error = read(&[("1.toml", one), ("2.toml", "[rename.group]\na = \"y\"\n")]).unwrap_err();
    assert!(error.contains("`a` is renamed twice"), "{error}");
    assert!(error.contains("1.toml:2:1") && error.contains("2.toml:2:1"), "{error}");
    let error = read(&[("1.toml", one), ("2.toml", "[rename.group]\nb = \"X\"\n")]).unwrap_err();
    assert!(error.contains("two groups would have the same name"), "{error}");
    assert!(error.contains("1.toml:2:5") && error.contains("2.toml:2:5"), "{error}");
    assert!(read(&[("1.toml", "[rename.edge-node]\n\"a/n\" = \"x\"\n\"b/n\" = \"x\"\n")]).is_ok());
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
