//! The policies that were in force at a running half: shown, compared with, put back.

use std::fs;

use rustix::process::Signal;

use crate::checker::Excuse;
use crate::metrics::int;
use crate::peers::raw_edge::RawEdge;
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig};

const NARROW: &str = r#"
[[rule]]
name = "everything"
action = "forward"
group = "Plant"
deny-metrics = "secret"
"#;

#[test]
fn a_policy_that_was_in_force_is_shown_compared_with_and_put_back() {
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    let run = |rig: &Rig, arguments: &[&str]| {
        let output = rig.relay.run(arguments);
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, shown) = run(&rig, &["policy", "history", "ot.toml"]);
    assert_eq!((code, shown.matches("since").count()), (Some(0), 1), "{shown}");
    assert!(shown.contains("in force\n    1 file, 1 rule"), "{shown}");

    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1), int("secret", 7)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    rig.relay.write_policy(NARROW);
    // What is in force is wider than what lies there.
    let (code, differs) = run(&rig, &["policy", "diff", "--in-force", "ot.toml", "policies"]);
    assert!(differs.contains("no longer crosses") && code == Some(1), "{differs}");
    rig.relay.signal(Half::Ot, Signal::HUP);
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 2);
    let (_, shown) = run(&rig, &["policy", "history", "ot.toml"]);
    assert_eq!(shown.matches("since").count(), 2, "{shown}");
    let (code, equal) = run(&rig, &["policy", "diff", "--in-force", "ot.toml", "policies"]);
    assert!(equal.contains("no difference") && code == Some(0), "{equal}");

    // Another look at it first, then back.
    let (code, said) = run(&rig, &["policy", "rollback", "ot.toml", "-o", "old"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read_to_string(rig.relay.path("old/policy.toml")).unwrap(), EVERYTHING);
    let (code, said) = run(&rig, &["policy", "rollback", "ot.toml"]);
    assert!(code == Some(0) && said.contains("send the half SIGHUP"), "{said}");
    let path = rig.relay.path("policies/policy.toml");
    assert_eq!(fs::read_to_string(path).unwrap(), EVERYTHING);
    rig.relay.ask_for_rights();
    rig.relay.signal(Half::Ot, Signal::HUP);
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 3);
    rig.judge(Excuse::default());
}
