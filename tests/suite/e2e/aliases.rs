//! Aliases on IT: the modules that say most about sessions hold with them as well.

use std::process::Command;

use sparkplug::{Caps, DataType, Metric, Value};

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
    rig.wait_for("spBv1.0/Plant/DBIRTH/E/D", 1);
    edge.ndata(&[untyped(int("b", 2))]).unwrap();
    edge.ddata("D", &[untyped(int("x", 2))]).unwrap();
    host.wait_for("Plant/E", "b", 2);
    host.wait_for("Plant/E/D", "x", 2);
    let birth = rig.it.payloads("spBv1.0/Plant/NBIRTH/E").remove(0);
    for metric in &birth.metrics {
        let is_session_control = metric.name() == "Node Control/Rebirth";
        assert_eq!(metric.alias.is_none(), is_session_control, "{metric:?}");
    }
    // Another order, of which this host hears nothing: it doesn't look at a second birth of a session.
    edge.nbirth(&[int("b", 3), int("a", 3)]).unwrap();
    edge.dbirth("D", &[int("z", 3), int("x", 3)]).unwrap();
    edge.ndata(&[untyped(int("a", 4)), untyped(int("b", 5))]).unwrap();
    edge.ddata("D", &[untyped(int("x", 4))]).unwrap();
    host.wait_for("Plant/E", "a", 4);
    host.wait_for("Plant/E/D", "x", 4);
    assert_eq!((host.live("Plant/E", "a"), host.live("Plant/E", "b")), (vec![1, 4], vec![1, 2, 5]));
    // A kill: the next session begins with births.
    rig.relay.kill(Half::It);
    edge.ndata(&[untyped(int("b", 6))]).unwrap();
    rig.relay.start(Half::It);
    host.wait_for("Plant/E", "b", 6);
    edge.ddata("D", &[untyped(int("x", 7))]).unwrap();
    host.wait_for("Plant/E/D", "x", 7);
    host.ask_rebirth("Plant", "E");
    edge.ndata(&[untyped(int("a", 8))]).unwrap();
    wait_until("the host has all", || host.live("Plant/E", "a").last() == Some(&8));
    assert_eq!(host.unknown(), Vec::<String>::new());
    rig.judge(Excuse { kills: true });
}

/// Large births in the wrapper of Tahu, small ones as they are.
#[test]
fn large_births_are_compressed_where_that_is_asked_for() {
    let mirror = "aliases = \"always\"\ncompress-births-above-bytes = 2000".to_owned();
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation { mirror, ..Variation::default() })
    else {
        return;
    };
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    let name = |at: u64| format!("Line4/Oven1/Zone{at:02}/Temperature/PV");
    let born: Vec<Metric> = (0..200).map(|at| double(&name(at), at)).collect();
    edge.nbirth(&born).unwrap();
    edge.dbirth("D", &[int("x", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/DBIRTH/E/D", 1);
    edge.ndata(&[untyped(double(&name(7), 8))]).unwrap();
    rig.wait_for("spBv1.0/Plant/NDATA/E", 1);
    let arrivals = rig.it.arrivals();
    let of = |topic: &str| arrivals.iter().find(|one| one.topic == topic).unwrap().payload.clone();
    let caps = Caps::default();
    let wrapped = of("spBv1.0/Plant/NBIRTH/E");
    let birth = sparkplug::unwrap(&wrapped, &caps).unwrap().expect("a wrapper");
    assert!(wrapped.len() * 4 < birth.len(), "{} of {}", wrapped.len(), birth.len());
    assert_eq!(rig.it.payloads("spBv1.0/Plant/NBIRTH/E")[0].metrics.len(), 202);
    for topic in ["spBv1.0/Plant/DBIRTH/E/D", "spBv1.0/Plant/NDATA/E"] {
        assert_eq!(sparkplug::unwrap(&of(topic), &caps), Ok(None), "{topic}");
    }
    let data = rig.it.last("spBv1.0/Plant/NDATA/E", &name(7)).unwrap();
    assert_eq!(data.value, Some(Value::Double(8.0)));
    rig.judge(Excuse::default());
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
            // What comes before is sent as history, which says so of each metric.
            rig.wait_for(&format!("spBv1.0/Plant/NBIRTH/{node}"), 1);
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
