//! A whole policy in shadow of a relay that runs: what it would decide otherwise is shown, what it says
//! changes nothing, and one that is no policy harms nothing.

use std::fs;

use rustix::process::Signal;
use telemetry::Event;
use telemetry::status::{Level, ShadowStatus};

use super::watched::status;
use crate::metrics::{int, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::relay::Half;
use crate::rig::{Rig, Variation};
use crate::waiting::wait_until;

const IN_FORCE: &str = r#"
[[rule]]
name = "counter"
action = "forward"
group = "Plant"
allow-metrics = ["Counter", "Old"]
"#;

const NEXT: &str = r#"
[[rule]]
name = "counters"
action = "forward"
group = ["Plant", "Other"]
allow-metrics = ["Counter"]
"#;

fn shadow(rig: &Rig) -> Option<ShadowStatus> {
    status(rig, Half::Ot)?.ot?.shadow
}

fn said(rig: &Rig, arguments: &[&str]) -> String {
    let output = rig.relay.run(arguments);
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
    String::from_utf8(text).unwrap()
}

#[test]
fn a_policy_in_shadow_is_compared_on_live_traffic_and_a_bad_one_harms_nothing() {
    let Some(mut rig) = Rig::prepare(IN_FORCE, &Variation::default()) else { return };
    let config = rig.relay.path("ot.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replacen("[policies]\n", "[policies]\nobserve = [\"next\"]\n", 1))
        .unwrap();
    fs::create_dir(rig.relay.path("next")).unwrap();
    let next = rig.relay.path("next/next.toml");
    fs::write(&next, "[[rule]]\nname = \"bad\"\n").unwrap();
    let checked = said(&rig, &["check", "ot.toml"]);
    assert!(
        checked.contains("the policy in shadow is refused") && checked.contains("missing key"),
        "{checked}"
    );

    // The relay starts with it, and says so.
    rig.start_both();
    rig.relay.wait_for_event(Half::Ot, Event::ShadowRefused, &["next.toml"]);
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("Counter", 1), int("Old", 7)]).unwrap();
    rig.wait_for_value("Plant/E", "Counter", 1);
    let health = || status(&rig, Half::Ot).map(|status| status.health).unwrap_or_default();
    wait_until("the status says that it is refused, and that all else is well", || {
        shadow(&rig).is_some_and(|shadow| shadow.refused.is_some())
            && health().level == Level::Warning
    });
    let health = health();
    assert!(health.reasons.iter().any(|reason| reason.contains("isn't concerned")), "{health:?}");
    let text = said(&rig, &["policy", "hits", "ot.toml"]);
    assert!(text.contains("POLICY IN SHADOW REFUSED") && text.contains("missing key"), "{text}");

    // Mended, it is taken up beside the same policy in force.
    fs::write(&next, NEXT).unwrap();
    // It needs more of the broker than the one in force.
    rig.relay.ask_for_rights();
    rig.relay.signal(Half::Ot, Signal::HUP);
    rig.relay.wait_for_event(Half::Ot, Event::ShadowLoaded, &["rules=1"]);
    wait_until("it is subscribed for", || {
        let granted = status(&rig, Half::Ot).and_then(|status| status.ot).unwrap_or_default();
        granted.subscriptions_granted.iter().any(|filter| filter == "spBv1.0/Other/NBIRTH/+")
    });
    let before = shadow(&rig).unwrap();
    let mut other = RawEdge::connect(rig.ot_address(), "Other", "F");
    other.nbirth(&[int("Counter", 1), int("Old", 7)]).unwrap();
    for value in 2..12 {
        edge.ndata(&[untyped(int("Counter", value)), untyped(int("Old", value))]).unwrap();
        other.ndata(&[untyped(int("Counter", value)), untyped(int("Old", value))]).unwrap();
    }
    rig.wait_for_value("Plant/E", "Counter", 11);
    let counted = || {
        let now = shadow(&rig)?;
        Some((
            now.same - before.same,
            now.newly_crosses - before.newly_crosses,
            now.no_longer_crosses - before.no_longer_crosses,
        ))
    };
    wait_until("all of it is compared", || counted() == Some((21, 11, 10)));
    let text = said(&rig, &["policy", "hits", "ot.toml"]);
    for wanted in [
        "\nwould newly cross\n           11  forwarded by `counters`\n",
        "in force dropped (no_rule)\n",
        "such as Other/F  Counter\n",
        "\nwould no longer cross\n",
        "in force forwarded by `counter`\n",
    ] {
        assert!(text.contains(wanted), "no `{wanted}`:\n{text}");
    }
    assert!(said(&rig, &["status", "ot.toml"]).contains("POLICY IN SHADOW  compared since"));
    let checked = said(&rig, &["check", "ot.toml"]);
    assert!(checked.contains("subscribes besides to\n    spBv1.0/Other/NBIRTH/+"), "{checked}");
    assert!(!checked.contains("doesn't need"), "{checked}");
    assert!(
        said(&rig, &["policy", "acl", "--mosquitto", "ot", "ot.toml"])
            .contains("spBv1.0/Other/NBIRTH/+")
    );

    // Nothing of it has left.
    let journal = rig.relay.journal();
    assert!(!journal.iter().any(|(_, bytes)| bytes.windows(5).any(|part| part == b"Other")));
    // A bad one again: the one in force goes on, and nothing is compared.
    fs::write(&next, "?").unwrap();
    rig.relay.signal(Half::Ot, Signal::HUP);
    wait_until("it is refused", || shadow(&rig).is_some_and(|shadow| shadow.refused.is_some()));
    assert!(status(&rig, Half::Ot).unwrap().reload_refused.is_none());
    edge.ndata(&[untyped(int("Counter", 99))]).unwrap();
    rig.wait_for_value("Plant/E", "Counter", 99);
}
