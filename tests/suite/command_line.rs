//! The binary as a person or a service manager meets it: exit code, stdout and stderr together.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(directory: &Path, arguments: &[&str]) -> Run {
    let output = command(directory, arguments).output().unwrap();
    done(output)
}

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sparkdiode"));
    command
        .args(arguments)
        .current_dir(directory)
        .env_remove("CREDENTIALS_DIRECTORY")
        .env_remove("SPARKDIODE_LOG")
        .stdin(Stdio::null());
    command
}

fn done(output: Output) -> Run {
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

const OT: &str = r#"name = "plant-a"
[broker]
address = "127.0.0.1:1883"
plaintext = true
[policies]
paths = ["policy.toml"]
[journal]
path = "journal"
[state]
path = "ot"
"#;

const IT: &str = r#"[broker]
address = "127.0.0.1:2883"
plaintext = true
[journal]
path = "journal"
[state]
path = "it"
[mirror]
"#;

const POLICY: &str = r#"[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
edge-node = "Line4"
"#;

fn lab() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("ot.toml", OT), ("it.toml", IT), ("policy.toml", POLICY)] {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

#[test]
fn help_and_version_are_results_and_usage_errors_exit_with_64() {
    let lab = tempfile::tempdir().unwrap();
    let version = run(lab.path(), &["--version"]);
    assert_eq!((version.code, version.stderr.as_str()), (0, ""));
    assert_eq!(version.stdout, concat!("sparkdiode ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = run(lab.path(), &["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    for subcommand in ["ot", "it", "check", "lab-certs"] {
        assert!(help.stdout.contains(&format!("\n  {subcommand} ")), "{}", help.stdout);
        let help = run(lab.path(), &[subcommand, "--help"]);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""));
        assert!(help.stdout.contains(&format!("sparkdiode {subcommand} ")), "{}", help.stdout);
    }
    for arguments in [&[][..], &["oat"], &["ot"], &["ot", "--config"], &["check"], &["it", "-x"]] {
        let wrong = run(lab.path(), arguments);
        assert_eq!((wrong.code, wrong.stdout.as_str()), (64, ""), "{arguments:?}");
        assert!(wrong.stderr.to_lowercase().contains("help"), "{}", wrong.stderr);
    }
}

#[test]
fn check_says_in_words_what_both_halves_and_the_policy_do() {
    let lab = lab();
    let checked = run(lab.path(), &["check", "ot.toml", "it.toml"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    for wanted in [
        "ot.toml: OT half `plant-a`",
        "127.0.0.1:1883, as client `sparkdiode-ot-plant-a`",
        "NONE: plain TCP",
        "at most 10 GiB or 168 hours old, in segments of 64 MiB",
        "    spBv1.0/Plant1/NBIRTH/Line4\n",
        "forwards everything of edge node `Line4` in group `Plant1` with all devices",
        "never crosses: commands, STATE",
        "it.toml: IT half",
        "one session per edge node, as clients `sparkdiode/…`",
        "usable, with 2 warnings",
    ] {
        assert!(checked.stdout.contains(wanted), "lacks {wanted:?}:\n{}", checked.stdout);
    }
    assert!(!checked.stdout.contains("NCMD") && !checked.stdout.contains("DCMD"));
    assert_eq!(checked.stderr.matches("warning[C101]").count(), 2, "{}", checked.stderr);
    let policy = run(lab.path(), &["check", "policy.toml"]);
    assert_eq!((policy.code, policy.stderr.as_str()), (0, ""));
    assert!(policy.stdout.ends_with("\nno problem found\n"), "{}", policy.stdout);
}

#[test]
fn every_problem_of_every_file_is_reported_in_one_run_with_exit_code_78() {
    let lab = lab();
    fs::write(lab.path().join("ot.toml"), OT.replace("address", "adress")).unwrap();
    fs::write(lab.path().join("bad.toml"), POLICY.replace("forward", "foward")).unwrap();
    let path = lab.path().join("it.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let checked = run(lab.path(), &["check", "ot.toml", "it.toml", "bad.toml", "missing.toml"]);
    assert_eq!((checked.code, checked.stdout.as_str()), (78, ""));
    for wanted in [
        "--> ot.toml:3:1\n",
        "hint: did you mean `address`?",
        "error[C002]: writable by everybody: `it.toml` has mode 0666",
        "--> bad.toml:3:10\n",
        "cannot open `missing.toml`: no such file or directory (2)",
        "\nsparkdiode: 4 errors, 1 warning\n",
    ] {
        assert!(checked.stderr.contains(wanted), "lacks {wanted:?}:\n{}", checked.stderr);
    }
    assert!(!checked.stderr.contains('\u{1b}'), "colours without a terminal");
}

#[test]
fn two_halves_that_do_not_belong_together_are_warned_about() {
    let lab = lab();
    let it =
        IT.replace("2883", "1883").replace("\"journal\"", "\"other\"").replace("\"it\"", "\"ot\"");
    fs::write(lab.path().join("it.toml"), it).unwrap();
    let checked = run(lab.path(), &["check", "ot.toml", "it.toml"]);
    assert_eq!(checked.code, 78, "{}", checked.stderr);
    for wanted in [
        "error[C110]: both halves use one broker",
        "reads another journal",
        "error[C111]: both halves name the same state directory",
    ] {
        assert!(checked.stderr.contains(wanted), "lacks {wanted:?}:\n{}", checked.stderr);
    }
    // A textfile beside the other half's, or in its state directory.
    for (ot, it) in [("m/ot.prom", "m/it.prom"), ("it/ot.prom", "n/it.prom")] {
        let metrics = |text: &str, file| format!("{text}[metrics]\ntextfile = \"{file}\"\n");
        fs::write(lab.path().join("ot.toml"), metrics(OT, ot)).unwrap();
        fs::write(lab.path().join("it.toml"), metrics(IT, it)).unwrap();
        let checked = run(lab.path(), &["check", "ot.toml", "it.toml"]);
        assert_eq!(checked.code, 78, "{}", checked.stderr);
        assert!(
            checked.stderr.contains("error[C111]: both halves write into"),
            "{}",
            checked.stderr
        );
    }
}

#[test]
fn a_policy_that_gives_away_the_name_of_the_relays_own_edge_node_is_found_before_the_start() {
    let lab = lab();
    let write = |name: &str, text: &str| fs::write(lab.path().join(name), text).unwrap();
    let rule = |keys: &str| {
        format!("[[rule]]\nname = \"own\"\naction = \"forward\"\ngroup = \"sparkdiode\"\n{keys}")
    };
    let name = OT.split('"').nth(1).unwrap();
    // Both halves: the OT half's policy, and the relay's name.
    write("policy.toml", &rule(&format!("edge-node = \"{name}\"\n")));
    let checked = run(lab.path(), &["check", "ot.toml", "it.toml"]);
    assert_eq!(checked.code, 78, "{}", checked.stderr);
    for wanted in [
        &format!(
            "error[C112]: rule `own` forwards the name of the relay's own edge node: `sparkdiode/{name}`"
        )[..],
        "policy.toml:1:1",
        "hint: give the relay's own edge node another name in `[health]` of `it.toml`",
    ] {
        assert!(checked.stderr.contains(wanted), "lacks {wanted:?}:\n{}", checked.stderr);
    }
    write("policy.toml", &rule(""));
    let checked = run(lab.path(), &["check", "ot.toml", "it.toml"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    let possible = "warning[C112]: rule `own` may forward the name of the relay's own edge node";
    assert!(checked.stderr.contains(possible), "{}", checked.stderr);
    let shows = "  shows       itself, as edge node `sparkdiode/NAME`, NAME being the relay's\n";
    assert!(checked.stdout.contains(shows), "{}", checked.stdout);
    write("it.toml", &format!("{IT}[health]\nenabled = false\n"));
    let checked = run(lab.path(), &["check", "ot.toml", "it.toml"]);
    assert!(!checked.stderr.contains("C112"), "{}", checked.stderr);
    // The IT half alone, with a copy.
    let copy = "[policies]\npaths = [\"policy.toml\"]\n[health]\nedge-node = \"own\"\n";
    write("it.toml", &format!("{IT}{copy}"));
    write("policy.toml", &rule("edge-node = \"own\"\n"));
    for arguments in [&["check", "it.toml"][..], &["it", "--config", "it.toml"]] {
        let ended = run(lab.path(), arguments);
        assert_eq!(ended.code, 78, "{}", ended.stderr);
        let wanted = "error[C112]: rule `own` forwards the name of the relay's own edge node";
        assert!(ended.stderr.contains(wanted), "{}", ended.stderr);
    }
}

#[test]
fn a_half_with_a_wrong_configuration_or_policy_does_not_start() {
    let lab = lab();
    fs::write(lab.path().join("policy.toml"), "[[rule]]\nname = \"x\"\n").unwrap();
    let started = run(lab.path(), &["ot", "--config", "ot.toml"]);
    assert_eq!((started.code, started.stdout.as_str()), (78, ""));
    assert!(started.stderr.contains("policy.toml:1:"), "{}", started.stderr);
    fs::write(lab.path().join("it.toml"), format!("bogus = 1\n{IT}")).unwrap();
    let started = run(lab.path(), &["it", "--config", "it.toml"]);
    assert_eq!((started.code, started.stdout.as_str()), (78, ""));
    assert!(started.stderr.contains("unknown key: `bogus`"), "{}", started.stderr);
    fs::write(lab.path().join("it.toml"), IT).unwrap();
    let started = run(lab.path(), &["it", "--config", "it.toml", "--log", "it=loud"]);
    assert_eq!((started.code, started.stdout.as_str()), (64, ""));
    assert!(started.stderr.contains("bad log filter `it=loud`"), "{}", started.stderr);
}

#[test]
fn laboratory_certificates_pass_the_check_and_are_made_once() {
    let lab = lab();
    let made = run(lab.path(), &["lab-certs", "certs"]);
    assert_eq!((made.code, made.stderr.as_str()), (0, ""));
    for wanted in ["0600  ot-server.key", "cafile ", "ca-file = \"", "localhost, 127.0.0.1, ::1"] {
        assert!(made.stdout.contains(wanted), "lacks {wanted:?}:\n{}", made.stdout);
    }
    let tls = "\n[broker.tls]\nca-file = \"certs/ot-ca.pem\"\n\
               certificate-file = \"certs/ot-client.pem\"\nkey-file = \"certs/ot-client.key\"";
    fs::write(lab.path().join("ot.toml"), OT.replace("\nplaintext = true", tls)).unwrap();
    let checked = run(lab.path(), &["check", "ot.toml"]);
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""));
    assert!(checked.stdout.contains("TLS; the broker must be `127.0.0.1`"), "{}", checked.stdout);
    let again = run(lab.path(), &["lab-certs", "certs"]);
    assert_eq!((again.code, again.stdout.as_str()), (74, ""));
    assert!(again.stderr.contains("file exists: "), "{}", again.stderr);
    let wrong = run(lab.path(), &["lab-certs", "other", "--host", "a b"]);
    assert_eq!(wrong.code, 64);
    assert!(!lab.path().join("other").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let lab = lab();
    let mut child = command(lab.path(), &["check", "policy.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
