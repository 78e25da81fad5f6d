//! What every Cargo.toml says: one lint table, one version, dependencies declared once.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::source::{packages, root};

/// The one crate with a lint table of its own.
const OWN_LINTS: &str = "sparkdiode-sandbox";
/// The line in which it differs.
const OWN_LINT: (&str, &str) = ("unsafe_code", "deny");

fn manifest(path: &Path) -> Table {
    fs::read_to_string(path).unwrap().parse().unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn workspace() -> Table {
    manifest(&root().join("Cargo.toml"))
}

/// Manifests of all members, with their paths.
fn members() -> Vec<(PathBuf, Table)> {
    let path = |package: &serde_json::Value| package["manifest_path"].as_str().unwrap().into();
    packages().iter().map(path).map(|path: PathBuf| (path.clone(), manifest(&path))).collect()
}

#[test]
fn every_crate_has_the_lints_of_the_workspace_and_the_sandbox_all_but_one() {
    let workspace = workspace();
    let lints = &workspace["workspace"]["lints"];
    assert_eq!(lints["rust"][OWN_LINT.0].as_str(), Some("forbid"));
    let inherited: Value = "workspace = true".parse::<Table>().unwrap().into();
    let mut own = 0;
    for (path, manifest) in members() {
        let found = manifest.get("lints").unwrap_or_else(|| panic!("no lints: {path:?}"));
        if manifest["package"]["name"].as_str() == Some(OWN_LINTS) {
            let mut wanted = lints.clone();
            let (lint, level) = OWN_LINT;
            wanted["rust"].as_table_mut().unwrap().insert(lint.to_owned(), level.into());
            assert_eq!(found, &wanted, "{path:?}");
            own += 1;
        } else {
            assert_eq!(found, &inherited, "{path:?}");
        }
    }
    assert_eq!(own, 1);
}

#[test]
fn what_all_crates_share_is_said_once() {
    let workspace = workspace();
    let once: Value = "workspace = true".parse::<Table>().unwrap().into();
    for (path, manifest) in members() {
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            assert_eq!(manifest["package"][key], once, "{key} of {path:?}");
        }
        // The root package may have test tools that nobody else needs.
        let kinds: &[&str] = match path.parent() == Some(root()) {
            true => &["dependencies"],
            false => &["dependencies", "dev-dependencies"],
        };
        for kind in kinds {
            let none = Table::new();
            let dependencies = manifest.get(*kind).and_then(Value::as_table).unwrap_or(&none);
            for (name, dependency) in dependencies {
                let inherits = dependency.get("workspace").and_then(Value::as_bool);
                assert_eq!(inherits, Some(true), "{kind}: {name} of {path:?}");
            }
        }
        // What only tests may ask of a crate of ours.
        for (name, dependency) in manifest["dependencies"].as_table().unwrap() {
            let path = workspace["workspace"]["dependencies"][name].get("path");
            let features = dependency.get("features");
            assert!(path.is_none() || features.is_none(), "features of {name}, in {path:?}");
        }
        // Nothing but Cargo runs while these are built.
        assert!(manifest["package"].get("build").is_none(), "{path:?}");
        assert!(!path.with_file_name("build.rs").exists(), "{path:?}");
    }
}

#[test]
fn the_declared_minimum_of_rust_is_the_version_that_is_built() {
    let toolchain = manifest(&root().join("rust-toolchain.toml"));
    let pinned = toolchain["toolchain"]["channel"].as_str().unwrap();
    let workspace = workspace();
    let declared = workspace["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert_eq!(pinned, format!("{declared}.0"));
}

#[test]
fn a_release_checks_for_overflow_and_has_no_other_assertions() {
    let workspace = workspace();
    let release = &workspace["profile"]["release"];
    assert_eq!(release.get("overflow-checks"), Some(&Value::Boolean(true)));
    assert_eq!(release.get("debug-assertions"), None, "a mistake of ours would end a half");
    // A panic in one thread ends the half: nothing goes on with half a state.
    assert_eq!(release["panic"].as_str(), Some("abort"));
}
