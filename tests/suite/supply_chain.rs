//! What is published beside the program: the bill of materials, what it means for advisories, and
//! signed checksums.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn script(name: &str, arguments: &[&str]) -> Output {
    Command::new(Path::new(ROOT).join(".ci").join(name))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// `true`: the tool isn't there, and the test is skipped.
fn lacks(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
    if !found.status.success() {
        crate::broker::skipped(&format!("no {tool}"));
    }
    !found.status.success()
}

/// Python that reads TOML by itself.
fn lacks_python() -> bool {
    let found = Command::new("python3").args(["-c", "import tomllib"]).output();
    let there = found.is_ok_and(|output| output.status.success());
    if !there {
        crate::broker::skipped("no Python 3.11");
    }
    !there
}

fn bill_of_materials() -> Value {
    let made = script("sbom", &[]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let again = script("sbom", &[]);
    assert_eq!(made.stdout, again.stdout, "the same source, other bytes");
    serde_json::from_slice(&made.stdout).unwrap()
}

/// Name and version of what is locked, with its checksum.
fn locked() -> BTreeMap<(String, String), Option<String>> {
    let lock = fs::read_to_string(Path::new(ROOT).join("Cargo.lock")).unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    let text =
        |one: &toml::Value, key: &str| one.get(key).map(|text| text.as_str().unwrap().to_owned());
    let packages = lock["package"].as_array().unwrap().iter();
    packages
        .map(|one| {
            let name = (text(one, "name").unwrap(), text(one, "version").unwrap());
            (name, text(one, "checksum"))
        })
        .collect()
}

#[test]
fn the_bill_of_materials_has_what_is_linked_in_c_included_and_nothing_else() {
    if lacks_python() {
        return;
    }
    let bom = bill_of_materials();
    assert_eq!(bom["bomFormat"], "CycloneDX");
    let locked = locked();
    let mut names = BTreeSet::new();
    let mut linked = BTreeSet::new();
    for component in bom["components"].as_array().unwrap() {
        let name = component["name"].as_str().unwrap().to_owned();
        let version = component["version"].as_str().unwrap().to_owned();
        if component["purl"].as_str().unwrap().starts_with("pkg:cargo/") {
            let checksum = &locked[&(name.clone(), version)];
            let hash = component["hashes"][0]["content"].as_str();
            assert_eq!(hash, checksum.as_deref(), "{name}");
            assert!(hash.is_some() || name.starts_with("sparkdiode-"), "{name} has no checksum");
        }
        if component["scope"] == "required" {
            linked.insert(name.clone());
        }
        names.insert(name);
    }
    // What cargo says is linked.
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--no-default-features", "--prefix", "none"])
        .args(["--package", "sparkdiode", "--edges", "normal,no-proc-macro", "--format", "{p}"])
        .args(["--target", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH)])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let mut wanted: BTreeSet<String> =
        tree.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    wanted.remove("sparkdiode");
    wanted.extend(["AWS-LC".to_owned(), "Rust standard library".to_owned()]);
    assert_eq!(linked, wanted);
    for absent in ["srad", "rumqttd", "paste", "proptest", "demo"] {
        assert!(!names.contains(absent), "{absent}");
    }
    // The README says how many, for the processor that packages are built for.
    if cfg!(target_arch = "x86_64") {
        let crates = bom["components"].as_array().unwrap().iter();
        let crates = crates.filter(|one| one["purl"].as_str().unwrap().starts_with("pkg:cargo/"));
        let words = format!("\n{} crates linked in", crates.count());
        let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
        assert!(readme.contains(&words), "the README doesn't say `{words}`");
    }
    let aws_lc = bom["components"].as_array().unwrap().iter().find(|one| one["name"] == "AWS-LC");
    let cpe = aws_lc.unwrap()["cpe"].as_str().unwrap();
    let version = aws_lc.unwrap()["version"].as_str().unwrap();
    assert!(cpe.contains(version) && version.split('.').count() == 3, "{cpe}");
}

/// An advisory as the database has them.
fn advisory(database: &Path, name: &str, package: &str, patched: &str) {
    let directory = database.join("crates").join(package);
    fs::create_dir_all(&directory).unwrap();
    let text = format!(
        "```toml\n[advisory]\nid = \"{name}\"\npackage = \"{package}\"\n\n[versions]\n\
         patched = [{patched}]\n```\n\n# A title\n\nWords.\n"
    );
    fs::write(directory.join(format!("{name}.md")), text).unwrap();
}

#[test]
fn what_scanners_name_has_an_answer_that_is_true() {
    if lacks_python() {
        return;
    }
    let vex = fs::read_to_string(Path::new(ROOT).join(".github/vex.json")).unwrap();
    let vex: Value = serde_json::from_str(&vex).unwrap();
    let database = tempfile::tempdir().unwrap();
    let locked = locked();
    let mut answers = 0;
    for statement in vex["statements"].as_array().unwrap() {
        assert!(statement["impact_statement"].as_str().unwrap().len() > 10, "{statement}");
        let part = statement["products"][0]["subcomponents"][0]["@id"].as_str().unwrap();
        let (package, version) = part.strip_prefix("pkg:cargo/").unwrap().split_once('@').unwrap();
        assert!(locked.contains_key(&(package.to_owned(), version.to_owned())), "{part}");
        let name = statement["vulnerability"]["name"].as_str().unwrap();
        // Patched in whatever is above the version that is named.
        advisory(database.path(), name, package, &format!("\"> {version}\""));
        answers += 1;
    }
    let path = database.path().to_str().unwrap();
    let run = script("advisories", &[path]);
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(said.matches("answered  ").count(), answers, "{said}");
    // One that concerns the program, and three that don't.
    let (_, tokio) = locked.keys().find(|(name, _)| name == "tokio").unwrap();
    advisory(database.path(), "RUSTSEC-9999-0001", "tokio", &format!("\"> {tokio}\""));
    advisory(database.path(), "RUSTSEC-9999-0002", "tokio", &format!("\">= {tokio}\""));
    advisory(database.path(), "RUSTSEC-9999-0003", "tokio", "\">= 0.2, < 0.3\", \"^ 1.0.0\"");
    advisory(database.path(), "RUSTSEC-9999-0004", "no-such-crate", "");
    let run = script("advisories", &[path]);
    let said = String::from_utf8(run.stdout).unwrap();
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("NOT ANSWERED  RUSTSEC-9999-0001"), "{said}");
    assert_eq!(said.matches("RUSTSEC-9999").count(), 1, "{said}");
    // And an answer that nothing asks for.
    fs::remove_dir_all(database.path().join("crates/paste")).unwrap();
    let said = String::from_utf8(script("advisories", &[path]).stdout).unwrap();
    assert!(said.contains("NOT NEEDED    RUSTSEC-2024-0436"), "{said}");
}

/// The commands that the manual gives to whoever verifies.
fn verify(directory: &Path) -> bool {
    let page = fs::read_to_string(Path::new(ROOT).join("src/manual/installation.md")).unwrap();
    let (_, part) = page.split_once("\n## Verify what you got\n").unwrap();
    let block = part.split("```").nth(1).unwrap();
    let commands: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let [signature, sums, _install] = commands[..] else { panic!("{commands:?}") };
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    assert!(readme.contains(signature), "the README says it in the same way");
    [signature, sums].iter().all(|command| {
        let run = Command::new("sh").args(["-c", command]).current_dir(directory).output().unwrap();
        run.status.success()
    })
}

#[test]
fn signed_checksums_are_verified_as_the_manual_says() {
    if lacks("ssh-keygen") {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let published = work.path().join("published");
    fs::create_dir(&published).unwrap();
    let package = published.join("sparkdiode_0.1.0-1_amd64.deb");
    fs::write(&package, "a package").unwrap();
    fs::write(published.join("sparkdiode.cdx.json"), "{}").unwrap();
    let key = work.path().join("builder");
    for (name, comment) in [("builder", "builder"), ("other", "mallory")] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
            .arg(work.path().join(name))
            .status();
        assert!(made.unwrap().success());
    }
    let sign = |key: &Path| {
        let run = script("checksums", &[published.to_str().unwrap(), key.to_str().unwrap()]);
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        // As it is carried over: with the list of those who may sign.
        let public = fs::read_to_string(work.path().join("builder.pub")).unwrap();
        let line = format!("builder namespaces=\"sparkdiode\" {public}");
        fs::write(published.join("signers"), line).unwrap();
    };
    sign(&key);
    assert!(verify(&published));
    let sums = fs::read_to_string(published.join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), 2, "{sums}");

    fs::write(&package, "another package").unwrap();
    assert!(!verify(&published), "another package");
    // Whoever exchanges the checksums, too, lacks the key.
    let others = sums.lines().filter(|line| line.contains("cdx")).collect::<String>();
    fs::write(published.join("SHA256SUMS"), format!("{others}\n")).unwrap();
    assert!(!verify(&published), "other checksums");
    fs::remove_file(published.join("signers")).unwrap();
    sign(&work.path().join("other"));
    assert!(!verify(&published), "another key");
    fs::remove_file(published.join("signers")).unwrap();
    sign(&key);
    assert!(verify(&published));
    let unsigned = script("checksums", &[published.to_str().unwrap()]);
    assert!(unsigned.status.success());
    assert!(!verify(&published), "no signature");
}

/// A package with one file.
fn package(place: &Path, name: &str, mode: u32, text: &str) -> PathBuf {
    let root = place.join(name);
    let file = root.join("etc/thing");
    fs::create_dir_all(root.join("DEBIAN")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    let control = "Package: thing\nVersion: 1\nArchitecture: all\nMaintainer: m <m@x.invalid>\n\
                   Description: thing\n";
    fs::write(root.join("DEBIAN/control"), control).unwrap();
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    let deb = place.join(format!("{name}.deb"));
    let mut command = Command::new("dpkg-deb");
    command.env("SOURCE_DATE_EPOCH", "1").args(["--root-owner-group", "-b"]);
    assert!(command.args([&root, &deb]).output().unwrap().status.success());
    deb
}

#[test]
fn packages_that_are_not_the_same_are_told_apart_by_what_differs() {
    if lacks("dpkg-deb") || lacks("ar") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let one = package(place.path(), "one", 0o644, "a\nb\n");
    let compare = |other: &Path| {
        let script = Path::new(ROOT).join("tests/package/compare.sh");
        let run = Command::new(script).args([&one, other]).output().unwrap();
        let said = String::from_utf8([run.stdout, run.stderr].concat()).unwrap();
        (run.status.code(), said)
    };
    let (code, said) = compare(&package(place.path(), "same", 0o644, "a\nb\n"));
    assert_eq!(code, Some(0), "{said}");
    for (name, mode, text, words) in [
        ("mode", 0o600, "a\nb\n", "-rw-------"),
        ("text", 0o644, "a\nc\n", "etc/thing: 4 and 4 bytes, 1 differ"),
        ("line", 0o644, "a\nc\n", "> c"),
    ] {
        let (code, said) = compare(&package(place.path(), name, mode, text));
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(words), "{said}");
    }
    // Programs by their sections.
    let program = fs::read(std::env::current_exe().unwrap()).unwrap();
    let bytes = &program[..program.len().min(1 << 20)];
    for (name, last) in [("p", 0_u8), ("q", 1)] {
        let path = place.path().join(name);
        fs::write(&path, [bytes, &[last]].concat()).unwrap();
    }
    let script = Path::new(ROOT).join("tests/package/compare.sh");
    let run = Command::new(script).current_dir(place.path()).args(["p", "q"]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("bytes, 1 differ"), "{said}");
    let (code, said) = compare(&place.path().join("nowhere.deb"));
    assert_eq!(code, Some(66), "{said}");
}
