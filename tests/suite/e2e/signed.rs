//! Signed policies: what isn't signed as required is never in force, at the start and on SIGHUP,
//! and the journal tells who signed what was.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Output;

use rustix::process::Signal;
use signature::SigningKey;

use crate::metrics::int;
use crate::peers::raw_edge::RawEdge;
use crate::relay::{Half, write_secret};
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::waiting::wait_until;

const SIGNERS: [&str; 2] = ["alice", "bob"];

/// A relay that takes what both signers have signed; their keys lie beside its configuration.
fn rig() -> Option<Rig> {
    let keys = SIGNERS.map(|_| SigningKey::generate().unwrap());
    let named = |at: usize| format!("\"{} {}\"", keys[at].public().unwrap(), SIGNERS[at]);
    let extra = format!(
        "[policies.require-signature]\nkeys = [{}, {}]\nthreshold = 2\n",
        named(0),
        named(1)
    );
    let rig = Rig::prepare(EVERYTHING, &Variation { ot_extra: extra, ..Variation::default() })?;
    for (key, name) in keys.iter().zip(SIGNERS) {
        write_secret(&rig.relay.path(&format!("{name}.key")), &key.to_pem().unwrap());
    }
    Some(rig)
}

fn sign(rig: &Rig, version: u32) {
    for name in SIGNERS {
        let (key, version) = (format!("{name}.key"), version.to_string());
        let arguments = ["policy", "sign", "--key", &key, "--version", &version, "policies"];
        let output = rig.relay.run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

fn said(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap()
}

#[test]
fn a_relay_starts_with_a_signed_policy_only_and_the_journal_names_its_signers() {
    let Some(mut rig) = rig() else { return };
    rig.relay.start(Half::Ot);
    assert_eq!(rig.relay.wait(Half::Ot).code(), Some(78));
    rig.relay.wait_for_log(Half::Ot, &["the policy isn't signed"]);
    assert!(!rig.relay.path("journal").read_dir().unwrap().any(|_| true));

    sign(&rig, 7);
    let check = rig.relay.run(&["check", "ot.toml"]);
    assert_eq!(check.status.code(), Some(0), "{check:?}");
    let text = said(&check);
    assert!(text.contains("signed as version 7 at "), "{text}");
    assert!(text.contains("by 2 of 2, 2 required:\n"), "{text}");
    assert!(text.contains("none was in force so far"), "{text}");

    rig.start_both();
    rig.relay.wait_for_log(Half::Ot, &["policy loaded", "version=7", " alice", " bob"]);
    let cat = rig.relay.run(&["journal", "cat", "journal"]);
    let text = said(&cat);
    let start = text.lines().find(|line| line.contains(" start ")).unwrap();
    assert!(start.contains(" policy-version=7 signer=\"ed25519:"), "{start}");
    assert!(start.contains(" alice\"") && start.contains(" bob\""), "{start}");

    // A wider policy that nobody signed: the old one stays in force.
    let wider = EVERYTHING.replace("\"Plant\"", "[\"Plant\", \"Other\"]");
    rig.relay.write_policy(&wider);
    rig.relay.signal(Half::Ot, Signal::HUP);
    rig.relay.wait_for_log(
        Half::Ot,
        &["policy not reloaded", "`policy.toml` was changed after it was signed"],
    );
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    rig.wait_for_value("Plant/E", "count", 1);

    // Signed, it is taken, and the journal says so.
    sign(&rig, 8);
    rig.relay.signal(Half::Ot, Signal::HUP);
    wait_until("the journal tells version 8", || {
        let cat = rig.relay.run(&["journal", "cat", "journal"]);
        said(&cat).contains(" policy-version=8 signer=")
    });
    let mut other = RawEdge::connect(rig.ot_address(), "Other", "E");
    other.nbirth(&[int("count", 2)]).unwrap();
    rig.wait_for_value("Other/E", "count", 2);

    // Back to version 7, with its own good signatures: refused by the one that runs …
    rig.relay.write_policy(EVERYTHING);
    fs::remove_file(rig.relay.path("policies/policy.sig")).unwrap();
    sign(&rig, 7);
    rig.relay.signal(Half::Ot, Signal::HUP);
    let rollback = "version 7 was signed before version 8";
    rig.relay.wait_for_log(Half::Ot, &["policy not reloaded", rollback]);
    // … by the next start, and by `check`.
    assert!(rig.relay.terminate(Half::Ot).success());
    rig.relay.start(Half::Ot);
    assert_eq!(rig.relay.wait(Half::Ot).code(), Some(78));
    let check = rig.relay.run(&["check", "ot.toml"]);
    assert_eq!(check.status.code(), Some(78), "{check:?}");
    assert!(said(&check).contains(rollback), "{check:?}");
}

#[test]
fn one_of_two_required_signers_is_not_enough() {
    let Some(mut rig) = rig() else { return };
    let arguments = ["policy", "sign", "--key", "alice.key", "--version", "1", "policies"];
    assert_eq!(rig.relay.run(&arguments).status.code(), Some(0));
    rig.relay.start(Half::Ot);
    assert_eq!(rig.relay.wait(Half::Ot).code(), Some(78));
    rig.relay.wait_for_log(Half::Ot, &["signed by 1 of the listed keys, 2 are required"]);
    // The second adds its own without naming the version again.
    let output = rig.relay.run(&["policy", "sign", "--key", "bob.key", "policies"]);
    assert!(said(&output).starts_with("added a signature to version 1: "), "{output:?}");
    rig.start_ot();
}

#[test]
fn keys_are_made_and_used_as_the_help_says() {
    let Some(rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let run = |arguments: &[&str]| rig.relay.run(arguments);
    let made = run(&["policy", "keygen", "-o", "carol.key", "--name", "carol"]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let public = fs::read_to_string(rig.relay.path("carol.key.pub")).unwrap();
    assert!(said(&made).contains(&format!("keys = [\"{}\"]", public.trim())), "{made:?}");
    let private = fs::read_to_string(rig.relay.path("carol.key")).unwrap();
    let again = run(&["policy", "keygen", "-o", "carol.key"]);
    assert_eq!(again.status.code(), Some(74), "{again:?}");
    assert_eq!(fs::read_to_string(rig.relay.path("carol.key")).unwrap(), private);

    let verify = ["policy", "verify", "--key", "carol.key.pub", "policies"];
    assert!(said(&run(&verify)).contains("the policy isn't signed"));
    let signed = run(&["policy", "sign", "--key", "carol.key", "--version", "1", "policies"]);
    assert_eq!(signed.status.code(), Some(0), "{signed:?}");
    let good = run(&verify);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    assert!(said(&good).starts_with("good: version 1 of 1 file with 1 rule"), "{good:?}");
    assert!(said(&good).contains(" carol\n"), "{good:?}");

    // What is given by mistake is never shown.
    let private_key = run(&["policy", "verify", "--key", "carol.key", "policies"]);
    assert_eq!(private_key.status.code(), Some(78), "{private_key:?}");
    let secret = private.lines().nth(1).unwrap();
    assert!(!said(&private_key).contains(&secret[20..40]), "{private_key:?}");

    // A key that others may read isn't one.
    let mut options = fs::File::options();
    let file = options.write(true).create(true).mode(0o644).open(rig.relay.path("open.key"));
    std::io::Write::write_all(&mut file.unwrap(), private.as_bytes()).unwrap();
    let open = run(&["policy", "sign", "--key", "open.key", "--version", "2", "policies"]);
    assert_eq!(open.status.code(), Some(78), "{open:?}");
    assert!(said(&open).contains("secret open to everybody"), "{open:?}");
}
