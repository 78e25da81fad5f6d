//! What people can ask of the rules of a running relay: `policy hits`, `policy why`, and whether the
//! policy that was read again is in force.

use rustix::process::Signal;
use telemetry::status::Level;

use super::watched::status;
use crate::metrics::{int, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::relay::Half;
use crate::rig::{Rig, Variation};
use crate::waiting::wait_until;

const POLICY: &str = r#"
[[rule]]
name = "counter"
action = "forward"
group = "Plant"
allow-metrics = ["Counter"]

[[rule]]
name = "no-secrets"
action = "deny"
group = "Plant"
deny-metrics = ["Secret"]

[[rule]]
name = "never-met"
action = "forward"
group = "Other"
not-after = 2000-01-01T00:00:00Z
"#;

/// Whether the IT half has heard that the OT half refused its policy.
fn it_says(rig: &Rig) -> Option<bool> {
    Some(status(rig, Half::It)?.it?.ot?.policy_refused)
}

fn said(rig: &Rig, arguments: &[&str]) -> String {
    let output = rig.relay.run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn hits_reasons_and_a_refused_policy_can_be_asked_for_while_the_relay_runs() {
    let Some(mut rig) = Rig::prepare(POLICY, &Variation::default()) else { return };
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("Counter", 1), int("Secret", 7)]).unwrap();
    for value in 2..12 {
        edge.ndata(&[untyped(int("Counter", value)), untyped(int("Secret", value))]).unwrap();
    }
    rig.wait_for_value("Plant/E", "Counter", 11);
    let of_rule = |name: &str| {
        let rules = status(&rig, Half::Ot)?.ot?.rules;
        rules.into_iter().find(|rule| rule.rule == name)
    };
    let hits = |name: &str| of_rule(name).map_or(0, |rule| rule.metrics);
    wait_until("all hits are counted", || hits("counter") == 11 && hits("no-secrets") == 11);
    let counter = of_rule("counter").unwrap();
    assert!(counter.first_ms.unwrap() <= counter.last_ms.unwrap(), "{counter:?}");
    let text = said(&rig, &["policy", "hits", "ot.toml"]);
    for wanted in
        ["           11  counter", "           11  no-secrets", "            0  never-met"]
    {
        assert!(text.contains(wanted), "no `{wanted}`:\n{text}");
    }
    assert!(
        text.contains(": never-met\n") && text.contains("window of never-met: closed for good\n"),
        "{text}"
    );
    let unused = said(&rig, &["policy", "hits", "--unused", "--json", "ot-state"]);
    let unused: serde_json::Value = serde_json::from_str(&unused).unwrap();
    assert_eq!(unused["rules"].as_array().unwrap().len(), 1);

    let mut why = String::new();
    wait_until("what was dropped is remembered", || {
        why = said(&rig, &["policy", "why", "ot.toml", "spBv1.0/Plant/NDATA/E", "Secret"]);
        why.contains("dropped 11 times by `no-secrets`: denied (")
    });
    assert!(
        why.contains("the policy of the files, now: dropped by `no-secrets`: denied\n"),
        "{why}"
    );
    let why = said(&rig, &["policy", "why", "ot.toml", "spBv1.0/Plant/+/E", "Counter"]);
    assert!(
        why.contains("none is remembered")
            && why
                .contains("now: as any datatype but DataSet, Bytes, File forwarded by `counter`\n")
            && why.contains("now: as DataSet, Bytes, File dropped by `counter`: opaque\n"),
        "{why}"
    );

    // A refused policy stays visible on both sides, until one is taken up.
    rig.relay.write_policy("[[rule]]\nname = \"bad\"\n");
    rig.relay.signal(Half::Ot, Signal::HUP);
    wait_until("both say that it is refused", || {
        status(&rig, Half::Ot).is_some_and(|status| status.reload_refused.is_some())
            && it_says(&rig) == Some(true)
    });
    let refused = status(&rig, Half::Ot).unwrap();
    assert_eq!(refused.health.level, Level::Warning, "{:?}", refused.health);
    assert!(
        refused.health.reasons[0].contains("the next start would fail"),
        "{:?}",
        refused.health
    );
    assert!(said(&rig, &["status", "ot.toml"]).contains("RELOAD REFUSED"));
    rig.relay.write_policy(POLICY);
    rig.relay.signal(Half::Ot, Signal::HUP);
    wait_until("both say that it is mended", || {
        status(&rig, Half::Ot).is_some_and(|status| status.reload_refused.is_none())
            && it_says(&rig) == Some(false)
    });
}
