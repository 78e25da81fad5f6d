//! The policies that were in force at a running half: shown, compared with, put back.

use std::fs;

use rustix::process::Signal;
use telemetry::Event;

use super::watched::status;
use crate::checker::Excuse;
use crate::metrics::{int, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig};
use crate::waiting::wait_until;

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

/// What an outage of IT missed before the policy became tighter stays, where the IT half has no copy of
/// the policy that could let it through.
#[test]
fn history_of_before_a_tighter_policy_stays_and_is_told() {
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1), int("secret", 7)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    rig.relay.terminate(Half::It);
    for value in 2..7 {
        edge.ndata(&[untyped(int("count", value)), untyped(int("secret", 600 + value))]).unwrap();
    }
    let forwarded = |rig: &Rig| status(rig, Half::Ot).map_or(0, |status| status.account.forwarded);
    wait_until("the outage is in the journal", || forwarded(&rig) == 6);
    rig.relay.write_policy(NARROW);
    let digest = |rig: &Rig| status(rig, Half::Ot)?.policy.map(|policy| policy.digest);
    let before = digest(&rig);
    rig.relay.signal(Half::Ot, Signal::HUP);
    wait_until("the tighter policy is in force", || digest(&rig) != before);
    rig.relay.start(Half::It);
    rig.relay.wait_for_event(Half::It, Event::HistoryWithheld, &["frames=5"]);
    wait_until("the status counts what stays", || {
        status(&rig, Half::It).and_then(|status| status.it).is_some_and(|it| it.withheld == 5)
    });
    edge.ndata(&[untyped(int("count", 9)), untyped(int("secret", 999))]).unwrap();
    rig.wait_for_value("Plant/E", "count", 9);
    // The values of the outage didn't leave, neither as history nor in a birth.
    rig.judge(Excuse::default());
}
