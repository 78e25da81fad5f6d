//! `sparkdiode demo`, as a person without a terminal meets it.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::relay::is_root;
use crate::waiting::wait_until;

fn demo(arguments: &[&str], temporary: &Path) -> (Option<i32>, String, String) {
    // As /tmp is: halves with users of their own have to get through it.
    fs::set_permissions(temporary, Permissions::from_mode(0o1777)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sparkdiode"))
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_demo_runs_unattended_and_its_checks_hold() {
    let temporary = tempfile::tempdir().unwrap();
    let (code, stdout, stderr) = demo(&["--for", "8s"], temporary.path());
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    assert!(!stdout.contains('\x1b'), "control sequences without a terminal: {stdout:?}");
    let (_, checks) = stdout.split_once("\nChecks\n").unwrap();
    for line in [
        "ok      the strict host finds nothing against the specification: 0 violations",
        "ok      the denied edge node was never seen",
        "ok      births are what the policy lets through, to the metric: 18 edge nodes and devices",
        "ok      no data message was lost, none came twice",
        "ok      the chatty edge node was slowed down",
        "ok      at rest IT shows the values of the plant",
        "ok      IT saw Warehouse die within 2 s",
        "ok      IT saw Warehouse come back within 2 s",
        "ok      the IT half declared every edge node dead before it left",
        "ok      the relay published nothing on OT and left no will",
        "ok      no command arrived in the plant: 0 arrived",
        "ok      the OT half's account balances",
        "ok      a write never arrives in the plant: refused: commands never cross",
        "ok      a request for a rebirth never arrives in the plant: answered by the mirror in",
        "ok      a command left for an absent node never arrives: refused on its return",
    ] {
        assert!(checks.contains(line), "no `{line}` in\n{stdout}");
    }
    assert!(checks.trim_end().ends_with("checks hold."), "{checks}");
    if is_root() {
        assert!(stdout.contains(
            "\n  sealed          both halves, as users 64001 and 64002; nothing waived\n"
        ));
    }
    // Where everything held, nothing is left behind.
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn everything_fits_into_a_hundred_columns() {
    let temporary = tempfile::tempdir().unwrap();
    let (_, stdout, stderr) = demo(&["--for", "5s"], temporary.path());
    let (table, summary) = stdout.split_once("\nSummary").expect(&stderr);
    let (_, table) = table.split_once(" sparkdiode demo").unwrap();
    for line in table.lines().skip(1).chain(summary.lines()) {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert!(table.contains("│ SEEN FROM IT"), "{table}");
}

/// Processes that work below a directory.
fn workers(directory: &Path) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let works = |process: &fs::DirEntry| {
        fs::read_link(process.path().join("cwd")).is_ok_and(|place| place.starts_with(directory))
    };
    let processes = processes.filter(works);
    processes.filter_map(|process| process.file_name().to_str()?.parse().ok()).collect()
}

/// What a demo with two boxes needs.
fn is_without_networks() -> bool {
    match two_networks::is_missing() {
        None => false,
        Some(why) => {
            crate::broker::skipped(&why);
            true
        }
    }
}

#[test]
fn two_boxes_are_shown_and_what_a_cut_cable_held_back_comes_later() {
    if is_without_networks() {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let (code, stdout, stderr) = demo(&["--two-boxes", "--for", "12s"], temporary.path());
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    assert!(stdout.contains("; the cable has been out for "), "{stdout}");
    let (figures, checks) = stdout.split_once("\nChecks\n").unwrap();
    assert!(
        figures.contains("\n  sealed          all four, as users 64001 to 64004; nothing waived; "),
        "{figures}"
    );
    let (_, cable) = figures.split_once("\n  the cable       cut 1 time, for ").unwrap();
    let (_, late) = cable.split_once(" s in all; ").unwrap();
    assert!(late.split(' ').next().unwrap().parse::<u64>().unwrap() > 0, "{cable}");
    for line in [
        "ok      no data message was lost, none came twice",
        "ok      at rest IT shows the values of the plant",
        "ok      nothing came back over the cable: ",
        "ok      both boxes have the same journal, frame by frame: ",
        "ok      the sending end ended in order",
        "ok      the receiving end ended in order",
    ] {
        assert!(checks.contains(line), "no `{line}` in\n{stdout}");
    }
    assert!(checks.trim_end().ends_with("checks hold."), "{checks}");
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn what_two_boxes_lack_is_said() {
    let binary = env!("CARGO_BIN_EXE_sparkdiode");
    let demo = |change: &dyn Fn(&mut Command)| {
        let temporary = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary);
        command.args(["demo", "--two-boxes", "--for", "5s"]).env("TMPDIR", temporary.path());
        change(&mut command);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(74), "{output:?}");
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
        String::from_utf8(output.stderr).unwrap()
    };
    if !is_root() {
        let said = demo(&|_| {});
        assert!(said.contains("two boxes can't be shown here: root makes networks"), "{said}");
        return;
    }
    let said = demo(&|command| {
        command.env("PATH", "/nonexistent");
    });
    assert!(said.contains("there is no `ip`; it is part of iproute2"), "{said}");
    // A program that is there, and can't do it.
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/false", directory.path().join("ip")).unwrap();
    let said = demo(&|command| {
        command.env("PATH", directory.path());
    });
    assert!(said.contains("`ip link set lo up` fails"), "{said}");
}

/// Networks that processes are in.
fn networks(processes: impl Iterator<Item = i32>) -> BTreeSet<PathBuf> {
    processes.filter_map(|pid| fs::read_link(format!("/proc/{pid}/ns/net")).ok()).collect()
}

fn all_processes() -> impl Iterator<Item = i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|process| process.file_name().to_str()?.parse().ok())
}

#[test]
fn two_boxes_that_are_killed_leave_nothing_behind() {
    if is_without_networks() {
        return;
    }
    let ours = networks(std::process::id().try_into().into_iter());
    let boxes = leave_nothing_behind(&["--two-boxes"], 4);
    assert!(boxes.len() == 2 && boxes.is_disjoint(&ours), "{boxes:?}");
    wait_until("no network is left", || networks(all_processes()).is_disjoint(&boxes));
}

#[test]
fn a_demo_that_is_killed_leaves_nothing_behind() {
    leave_nothing_behind(&[], 2);
}

/// Kills a demo with so many halves and ends; the networks they were in.
fn leave_nothing_behind(arguments: &[&str], count: usize) -> BTreeSet<PathBuf> {
    let temporary = tempfile::tempdir().unwrap();
    let place = fs::canonicalize(temporary.path()).unwrap();
    fs::set_permissions(&place, Permissions::from_mode(0o1777)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sparkdiode"))
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", &place)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // It says what it does from the first moment on.
    let first = lines.next().unwrap().unwrap();
    assert!(first.ends_with(" …"), "{first}");
    lines.by_ref().map_while(Result::ok).find(|line| line.contains("The plant begins")).unwrap();
    wait_until("all of it runs", || workers(&place).len() == count);
    let networks = networks(workers(&place).into_iter());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("no half is left", || workers(&place).is_empty());
    wait_until("nor a file", || fs::read_dir(&place).unwrap().count() == 0);
    networks
}

#[test]
fn the_demo_needs_time_for_its_script() {
    let temporary = tempfile::tempdir().unwrap();
    for wrong in ["1s", "20", "soon"] {
        let (code, stdout, stderr) = demo(&["--for", wrong], temporary.path());
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
        assert!(stderr.contains("wanted:"), "{stderr}");
    }
}

#[test]
fn the_demo_judges_the_relay_without_its_help() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let demo = ["host.rs", "enterprise.rs", "at_rest.rs", "summary.rs"]
        .map(|file| source.join("demo").join(file));
    let host = fs::read_dir(source.join("strict-host")).unwrap();
    let host: Vec<_> = host.map(|file| file.unwrap().path()).collect();
    assert!(host.len() > 5, "{host:?}");
    for file in demo.iter().chain(&host) {
        let text = fs::read_to_string(file).unwrap();
        for half in ["crate::it", "crate::ot", "crate::policy"] {
            assert!(!text.contains(half), "{} uses {half}", file.display());
        }
    }
    // Nor can they: Cargo holds it.
    for manifest in ["demo/Cargo.toml", "strict-host/Cargo.toml"] {
        let text = fs::read_to_string(source.join(manifest)).unwrap();
        for half in ["\nit.workspace", "\not.workspace", "\npolicy.workspace"] {
            assert!(!text.contains(half), "{manifest} depends on {half}");
        }
    }
}
