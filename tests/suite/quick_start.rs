//! The quick start of the README, as somebody pastes it into a terminal.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use crate::broker::skipped;
use crate::networks::Network;
use crate::relay::is_root;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const BINARY: &str = env!("CARGO_BIN_EXE_sparkdiode");
/// An ordinary user, where root runs the tests.
const NOBODY: &str = "65534";
/// Far more than it takes.
const WITHIN: Duration = Duration::from_secs(180);

/// The blocks behind the heading, without the one that installs and builds.
fn blocks() -> Vec<String> {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let (_, rest) = readme.split_once("\n## Quick start\n").unwrap();
    let (chapter, _) = rest.split_once("\n## ").unwrap();
    let fenced = chapter.split("\n```").skip(1).step_by(2);
    let blocks = fenced.filter_map(|block| block.strip_prefix("sh\n"));
    let blocks: Vec<String> = blocks
        .filter(|block| !block.contains("apt-get"))
        .map(|block| format!("{block}\n"))
        .collect();
    assert_eq!(blocks.len(), 3, "start, see, clean up");
    for block in &blocks {
        assert!(
            !block.lines().any(|line| line.starts_with("$ ")),
            "a prompt can't be pasted: {block}"
        );
    }
    blocks
}

/// A shell as an ordinary user, in a network of its own where root can make one.
fn shell(network: Option<&Network>, home: &Path) -> Command {
    let path =
        format!("{}:/usr/local/bin:/usr/bin:/bin", Path::new(BINARY).parent().unwrap().display());
    let mut command = match network {
        Some(network) => {
            let mut command = network.command("setpriv");
            command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "bash"]);
            command
        }
        None => Command::new("bash"),
    };
    command.env_clear().env("PATH", path).env("HOME", home).env("LANG", "C.UTF-8");
    command.current_dir(home);
    command
}

/// Waits for the shell, and ends it where it doesn't end.
fn outcome(mut child: Child) -> Output {
    let id = child.id();
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let guard = thread::spawn(move || {
        if ended.recv_timeout(WITHIN).is_err() {
            let pid = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    });
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    let _ = done.send(());
    guard.join().unwrap();
    output
}

#[test]
fn the_quick_start_works_as_it_is_pasted_by_an_ordinary_user() {
    for tool in ["/usr/sbin/mosquitto", "/usr/bin/mosquitto_sub", "/usr/bin/python3"] {
        if !Path::new(tool).exists() {
            return skipped(&format!("{tool} is not installed"));
        }
    }
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), Permissions::from_mode(0o777)).unwrap();
    let network = if is_root() { Network::make("quick") } else { None };
    // As the package of Debian leaves it: a broker on the usual port.
    let debians = network.as_ref().map(|network| {
        let mut command = network.command("/usr/sbin/mosquitto");
        command.args(["-p", "1883"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    });
    let mut child = shell(network.as_ref(), home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pasted = blocks();
    // What is looked at before it is gone.
    pasted
        .insert(2, "echo; cat ot.log it.log edge.log ot-broker.log it-broker.log >&2\n".to_owned());
    child.stdin.take().unwrap().write_all(pasted.concat().as_bytes()).unwrap();
    let output = outcome(child);
    if let Some(mut debians) = debians {
        debians.kill().unwrap();
        debians.wait().unwrap();
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let logged = String::from_utf8_lossy(&output.stderr);
    let both = format!("{said}\n--- stderr\n{logged}");
    assert!(output.status.success(), "{both}");
    let seen = said.lines().filter(|line| line.contains(" spBv1.0/") && line.ends_with(" bytes"));
    assert_eq!(seen.count(), 5, "{both}");
    assert!(said.contains(" spBv1.0/Plant1/NDATA/Line4 "), "{both}");
    assert!(said.contains("no problem found"), "check: {both}");
    assert!(!said.contains("FAULT") && said.contains("\nno fault"), "doctor: {both}");
    assert!(said.contains("message spBv1.0/Plant1/NBIRTH/Line4"), "{both}");
    let counts = said.lines().filter(|line| line.starts_with("journal/"));
    let counts: Vec<&str> = counts.collect();
    assert!(!counts.is_empty() && counts.iter().all(|line| line.ends_with(":0")), "{both}");
    assert!(said.contains("OT HALF  lab-relay") && said.contains("IT HALF  lab-relay"), "{both}");
    assert!(!both.contains("CRITICAL") && !both.contains("NOT CONNECTED"), "{both}");
    assert!(!logged.contains("No such process") && !logged.contains("Traceback"), "{both}");
    assert!(!home.path().join("lab").exists(), "{both}");
}

#[test]
fn what_init_writes_passes_the_check_and_its_policy_the_cases() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output =
            Command::new(BINARY).args(arguments).current_dir(home.path()).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), said)
    };
    let (code, said) = run(&["init", "--lab", "lab", "--ports", "28830"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["check", "lab/ot.toml", "lab/it.toml"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with("\nno problem found\n"), "{said}");
    let (code, said) = run(&["policy", "test", "--strict", "lab/policies"]);
    assert_eq!(code, Some(0), "{said}");
    for conf in ["lab/ot-broker.conf", "lab/it-broker.conf"] {
        let text = fs::read_to_string(home.path().join(conf)).unwrap();
        let mut files = 0;
        for (_, file) in text.lines().filter_map(|line| line.split_once(" certs/")) {
            assert!(home.path().join("lab/certs").join(file).exists(), "{file:?}");
            files += 1;
        }
        assert_eq!(files, 3, "{conf}");
    }
    let before = fs::read(home.path().join("lab/certs/ot-ca.pem")).unwrap();
    let (code, said) = run(&["init", "lab"]);
    assert_eq!(code, Some(74), "{said}");
    assert!(said.contains("file exists: `lab/ot.toml`"), "{said}");
    assert_eq!(fs::read(home.path().join("lab/certs/ot-ca.pem")).unwrap(), before);
    for (arguments, words) in [
        (&["init", "x", "--edge-node", "a/b"][..], "one level of a topic"),
        (&["init", "x", "--ot-broker", "b:1"], "--appliance"),
        (&["init", "x", "--appliance", "--ot-broker", "mqtts://b:1"], "without a scheme"),
    ] {
        let (code, said) = run(arguments);
        assert_eq!(code, Some(64), "{said}");
        assert!(said.contains(words), "{said}");
    }
    assert!(!home.path().join("x").exists());
}
