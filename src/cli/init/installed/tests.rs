//! Appliances in every state that an operator or a package leaves them in, below a directory.

use std::cell::Cell;
use std::os::unix::fs::symlink;

use super::*;

const UNIT_TEXT: &str = include_str!("../../../../systemd/sparkdiode-ot.service");
const NET: &str = include_str!("../../../../systemd/ot.net");

fn arguments(directory: &Path) -> InitArgs {
    InitArgs {
        directory: directory.to_owned(),
        lab: false,
        appliance: true,
        two_boxes: false,
        name: None,
        group: "G".to_owned(),
        edge_node: "N".to_owned(),
        ot_broker: None,
        it_broker: None,
        ports: 0,
    }
}

/// A machine on which the package was just installed.
fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("usr/lib/systemd/system/sparkdiode-ot.service", UNIT_TEXT);
    put("etc/sparkdiode/ot.toml", OT);
    put("etc/sparkdiode/it.toml", IT);
    put("etc/sparkdiode/ot.net", NET);
    put("etc/sparkdiode/it.net", NET);
    for directory in ["policies", "credentials/ot", "credentials/it"] {
        fs::create_dir_all(root.path().join("etc/sparkdiode").join(directory)).unwrap();
    }
    root
}

fn run(root: &Path, arguments: &InitArgs, is_root: bool) -> String {
    let installed = Installed::find(root).unwrap();
    assert!(installed.reads(&arguments.directory));
    complete(&installed, arguments, is_root, || Ok(SetUp::default())).unwrap()
}

#[test]
fn units_that_read_something_else_are_none_of_ours() {
    let root = tempfile::tempdir().unwrap();
    assert!(Installed::find(root.path()).is_none());
    let units = root.path().join("etc/systemd/system");
    fs::create_dir_all(&units).unwrap();
    fs::write(units.join(UNIT), UNIT_TEXT.replace(READS, "--config /srv/ot.toml")).unwrap();
    assert!(Installed::find(root.path()).is_none());
    let root = machine();
    let installed = Installed::find(root.path()).unwrap();
    let own = root.path().join("etc/sparkdiode");
    for (directory, reads) in [
        (own.clone(), true),
        (own.join("policies/.."), true),
        (own.join("policies"), false),
        (root.path().join("nowhere"), false),
    ] {
        assert_eq!(installed.reads(&directory), reads, "{directory:?}");
    }
    let link = root.path().join("link");
    symlink(&own, &link).unwrap();
    assert!(installed.reads(&link));
}

#[test]
fn a_fresh_package_gets_a_first_policy_and_every_command_that_is_left() {
    let root = machine();
    let own = root.path().join("etc/sparkdiode");
    let mut arguments = arguments(&own);
    arguments.ot_broker = Some("10.1.2.3:8884".to_owned());
    arguments.name = Some("mine".to_owned());
    let said = run(root.path(), &arguments, true);
    let policy = fs::read_to_string(own.join("policies/first.toml")).unwrap();
    assert!(policy.contains("group = \"G\""), "{policy}");
    assert_eq!(fs::read_to_string(own.join("ot.toml")).unwrap(), OT);
    assert_eq!(fs::read_to_string(own.join("it.toml")).unwrap(), IT);
    for line in [
        "  /etc/sparkdiode/ot.toml   as it is shipped: its addresses are samples",
        "  /etc/sparkdiode/policies  no policy is in it",
        "nothing of it was changed; made:\n  /etc/sparkdiode/policies/first.toml",
        "  editor /etc/sparkdiode/it.net   # NIC, address and peers",
        "  editor /etc/sparkdiode/it.toml   # the address of its broker",
        "  install -m 0600 ca.pem client.pem client.key /etc/sparkdiode/credentials/ot   # yours of ot",
        "  sparkdiode doctor /etc/sparkdiode/ot.toml /etc/sparkdiode/it.toml",
        "  systemctl enable --now sparkdiode.target sparkdiode-ot sparkdiode-it",
    ] {
        assert!(said.contains(&format!("{line}\n")), "{line}: {said}");
    }
    // Its commands do what they say.
    for line in said.lines().filter(|line| line.trim_start().starts_with("sed ")) {
        let command = line.replace("/etc/sparkdiode", &own.to_string_lossy());
        assert!(
            std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success()
        );
    }
    let wanted = OT
        .replace("name = \"plant-a-relay\"", "name = \"mine\"")
        .replace("address = \"10.10.0.5:8883\"", "address = \"10.1.2.3:8884\"");
    assert_eq!(fs::read_to_string(own.join("ot.toml")).unwrap(), wanted);

    // Once more: what was done isn't asked for again.
    for side in ["ot", "it"] {
        fs::write(own.join(format!("{side}.net")), "INTERFACE=nic\n").unwrap();
        fs::write(own.join(format!("credentials/{side}/ca.pem")), "").unwrap();
    }
    arguments.name = Some("other".to_owned());
    let said = run(root.path(), &arguments, true);
    assert!(said.contains("nothing was made, and nothing changed"), "{said}");
    assert!(said.contains("policies  first.toml\n"), "{said}");
    assert!(said.contains("editor /etc/sparkdiode/ot.toml   # name = \"other\""), "{said}");
    for gone in ["sed ", ".net", "credentials", "# address ="] {
        assert!(!said.contains(gone), "{gone}: {said}");
    }
    assert_eq!(fs::read_to_string(own.join("ot.toml")).unwrap(), wanted);
    assert_eq!(fs::read_to_string(own.join("policies/first.toml")).unwrap(), policy);
}

#[test]
fn beside_what_an_operator_has_written_no_rule_is_added() {
    for (ot, file) in
        [(OT, Some("line4.toml")), ("# mine\n", Some("line4.toml")), ("# mine\n", None)]
    {
        let root = machine();
        let own = root.path().join("etc/sparkdiode");
        fs::write(own.join("ot.toml"), ot).unwrap();
        if let Some(file) = file {
            fs::write(own.join("policies").join(file), "").unwrap();
        }
        let said = run(root.path(), &arguments(&own), true);
        assert!(said.contains("nothing was made, and nothing changed"), "{said}");
        assert!(!own.join("policies/first.toml").exists());
        assert_eq!(fs::read_to_string(own.join("ot.toml")).unwrap(), ot);
    }
}

#[test]
fn what_was_deleted_is_made_again_with_what_is_given() {
    let root = machine();
    let own = root.path().join("etc/sparkdiode");
    fs::remove_file(own.join("it.toml")).unwrap();
    fs::remove_dir(own.join("policies")).unwrap();
    let mut arguments = arguments(&own);
    arguments.it_broker = Some("it.example:1".to_owned());
    let said = run(root.path(), &arguments, true);
    let it = fs::read_to_string(own.join("it.toml")).unwrap();
    assert!(it.contains("address = \"it.example:1\""), "{it}");
    assert!(!it.contains(&*root.path().to_string_lossy()), "{it}");
    assert!(own.join("policies/first.toml").exists());
    assert!(said.contains("/etc/sparkdiode/it.toml   missing\n"), "{said}");
    assert!(!said.contains("it.example"), "{said}");
}

#[test]
fn who_is_not_root_is_told_what_to_do_and_changes_nothing() {
    let root = machine();
    let own = root.path().join("etc/sparkdiode");
    let called = Cell::new(false);
    let installed = Installed::find(root.path()).unwrap();
    let said = complete(&installed, &arguments(&own), false, || {
        called.set(true);
        Ok(SetUp { made: Vec::new(), to_do: vec!["install -d /x".to_owned()] })
    });
    let said = said.unwrap();
    assert!(called.get() && !own.join("policies/first.toml").exists());
    let next = "\nNext, as root:\n  sparkdiode init --appliance /etc/sparkdiode   # what is missing\n  \
                install -d /x\n  editor /etc/sparkdiode/ot.net";
    assert!(said.contains(next), "{said}");
}
