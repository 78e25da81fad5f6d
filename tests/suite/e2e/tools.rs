//! The subcommands for people: `check`, `journal cat`, `journal verify`.

use std::fs;
use std::process::Output;

use crate::metrics::{int, string, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig, Variation};

#[test]
fn check_says_what_would_be_subscribed_and_refuses_what_is_wrong() {
    let Some(rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let good = rig.relay.run(&["check", "ot.toml", "it.toml", "policies"]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let said = text(&good);
    assert!(said.contains("spBv1.0/Plant/") && said.contains("everything"), "{said}");

    rig.relay.write_policy("[[rule]]\nname = \"r\"\naction = \"forward\"\ntopics = \"x\"\n");
    let bad = rig.relay.run(&["check", "policies"]);
    assert_eq!(bad.status.code(), Some(78), "{bad:?}");
    let said = text(&bad);
    assert!(said.contains("policy.toml:4:1") && said.contains("topics"), "{said}");
}

#[test]
fn the_journal_can_be_read_and_verified_and_damage_is_found() {
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1), string("label", "needle in the journal")]).unwrap();
    for value in 2..=50 {
        edge.ndata(&[untyped(int("count", value))]).unwrap();
    }
    rig.wait_for_value("Plant/E", "count", 50);
    assert!(rig.relay.terminate(Half::Ot).success());

    let cat = rig.relay.run(&["journal", "cat", "journal"]);
    assert_eq!(cat.status.code(), Some(0), "{cat:?}");
    let said = text(&cat);
    let birth = |line: &str| {
        ["spBv1.0/Plant/NBIRTH/E", "label", "needle in the journal"]
            .iter()
            .all(|word| line.contains(word))
    };
    assert!(said.lines().any(birth), "{said}");
    let data = said.lines().filter(|line| line.contains("spBv1.0/Plant/NDATA/E"));
    assert_eq!(data.count(), 49, "{said}");

    let json = rig.relay.run(&["journal", "cat", "--json", "journal"]);
    assert_eq!(json.status.code(), Some(0), "{json:?}");
    let frames: Vec<serde_json::Value> = String::from_utf8(json.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(frames.len(), said.lines().count());

    let whole = rig.relay.run(&["journal", "verify", "journal"]);
    assert_eq!(whole.status.code(), Some(0), "{whole:?}");

    // One bit in the middle of the text of the birth.
    let needle = b"needle in the journal";
    let (path, mut bytes) = rig
        .relay
        .journal()
        .into_iter()
        .find(|(_, bytes)| bytes.windows(needle.len()).any(|window| window == needle))
        .unwrap();
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let damaged = rig.relay.run(&["journal", "verify", "journal"]);
    assert_eq!(damaged.status.code(), Some(65), "{damaged:?}");
    let segment = path.file_name().unwrap().to_str().unwrap();
    assert!(text(&damaged).contains(segment), "{damaged:?}");
}

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(all).unwrap()
}
