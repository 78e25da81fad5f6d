//! Aliases on IT: the modules that say most about sessions hold with them as well.

use std::process::Command;

use sparkplug::{DataType, Metric, Value};

use crate::checker::Excuse;
use crate::metrics::{int, metric, untyped};
use crate::peers::observer::Observer;
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_host::SradHost;
use crate::relay::{ALIASES, Half};
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::waiting::wait_until;

fn rig(aliases: &str) -> Option<Rig> {
    let variation =
        Variation { mirror: format!("aliases = \"{aliases}\""), ..Variation::default() };
    let mut rig = Rig::prepare(EVERYTHING, &variation)?;
    rig.start_both();
    Some(rig)
}

/// The same tests in a process of their own, with aliases on IT in all of them.
#[test]
fn sessions_history_and_deaths_hold_with_aliases() {
    if std::env::var_os(ALIASES).is_some() {
        return;
    }
    const MODULES: &[&str] =
        &["e2e::flow", "e2e::history", "e2e::stale", "e2e::doubts", "e2e::commands", "e2e::moved"];
    for aliases in ["always", "as-plant"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(MODULES)
            .env(ALIASES, aliases)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{aliases}: {text}");
        assert!(!text.contains(" 0 passed"), "{aliases}: {text}");
    }
}

#[test]
fn a_strict_host_follows_aliases_over_births_restarts_and_rebirths() {
    let Some(mut rig) = rig("always") else { return };
    let host = SradHost::start(rig.it_address(), "enterprise");
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("a", 1), int("b", 1)]).unwrap();
    edge.dbirth("D", &[int("x", 1)]).unwrap();
    edge.ndata(&[untyped(int("b", 2))]).unwrap();
    edge.ddata("D", &[untyped(int("x", 2))]).unwrap();
    host.wait_for("Plant/E", "b", 2);
    host.wait_for("Plant/E/D", "x", 2);
    let birth = rig.it.payloads("spBv1.0/Plant/NBIRTH/E").remove(0);
    for metric in &birth.metrics {
        let is_session_control = metric.name() == "Node Control/Rebirth";
        assert_eq!(metric.alias.is_none(), is_session_control, "{metric:?}");
    }
    // Another layout: a metric comes before those that there were.
    edge.nbirth(&[int("0", 1), int("a", 3), int("b", 3)]).unwrap();
    edge.dbirth("D", &[int("x", 3)]).unwrap();
    edge.ndata(&[untyped(int("a", 4)), untyped(int("0", 5))]).unwrap();
    host.wait_for("Plant/E", "a", 4);
    host.wait_for("Plant/E", "0", 5);
    // A kill: the next session begins with births.
    rig.relay.kill(Half::It);
    edge.ndata(&[untyped(int("b", 6))]).unwrap();
    rig.relay.start(Half::It);
    host.wait_for("Plant/E", "b", 6);
    edge.ddata("D", &[untyped(int("x", 7))]).unwrap();
    host.wait_for("Plant/E/D", "x", 7);
    host.ask_rebirth("Plant", "E");
    edge.ndata(&[untyped(int("0", 8))]).unwrap();
    wait_until("the host has all", || host.live("Plant/E", "0").last() == Some(&8));
    assert_eq!(host.unknown(), Vec::<String>::new());
    rig.judge(Excuse { kills: true });
}

/// Bytes of the payloads of this topic.
fn bytes(observer: &Observer, topic: &str) -> usize {
    let arrivals = observer.arrivals();
    arrivals.iter().filter(|one| one.topic == topic).map(|one| one.payload.len()).sum()
}

/// Aliases on both sides take the same; for names, of which a plant's have 30 bytes and more, they
/// take half.
#[test]
fn data_by_alias_takes_no_more_than_the_plants_and_half_of_what_names_take() {
    const MESSAGES: u64 = 20;
    let Some(rig) = rig("always") else { return };
    let name = |at: u64| format!("Line4/Oven1/Zone{:02}/Temperature/PV", at % 100);
    for (by_alias, most) in [(true, 1.1), (false, 0.5)] {
        for count in [1, 10, 100] {
            let node = format!("{}{count}", if by_alias { "Alias" } else { "Name" });
            let mut edge = RawEdge::connect(rig.ot_address(), "Plant", &node);
            let born =
                |at: u64| Metric { alias: by_alias.then_some(at + 1), ..double(&name(at), 0) };
            edge.nbirth(&(0..count).map(born).collect::<Vec<_>>()).unwrap();
            let data = format!("spBv1.0/Plant/NDATA/{node}");
            for value in 1..=MESSAGES {
                let metric = |at: u64| Metric {
                    name: (!by_alias).then(|| name(at)),
                    ..untyped(Metric { alias: born(at).alias, ..double(&name(at), value) })
                };
                edge.ndata(&(0..count).map(metric).collect::<Vec<_>>()).unwrap();
            }
            rig.wait_for(&data, MESSAGES as usize);
            let (plant, it) = (bytes(&rig.ot, &data), bytes(&rig.it, &data));
            let ratio = it as f64 / plant as f64;
            assert!(ratio <= most, "{node}: {it} bytes on IT for {plant} of the plant");
            println!("{node}: {plant} bytes in the plant, {it} on IT: {ratio:.2}");
        }
    }
    rig.judge(Excuse::default());
}

fn double(name: &str, value: u64) -> Metric {
    metric(name, DataType::Double, Value::Double(value as f64))
}
