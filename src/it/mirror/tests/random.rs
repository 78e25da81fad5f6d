//! Random lives against the strict host.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use sparkplug::Metric;

use super::world::{World, bd_seq, data, metric, rebirth, settings};
use crate::mirror::{Aliases, MirrorSettings};

/// One step of a random life.
#[derive(Debug, Clone)]
enum Step {
    Birth { node: u8, bd_seq: u8, metrics: u8, how: How },
    DeviceBirth { node: u8, device: u8, metrics: u8, how: How },
    Data { node: u8, device: Option<u8>, metric: u8, loss: bool },
    Death { node: u8 },
    DeviceDeath { node: u8, device: u8 },
    BrokerDown,
    BrokerUp,
    Break,
    Swallow { on: bool },
    Rebirth { node: u8 },
    Restart,
    Pass { ms: u16 },
}

/// In which order the metrics of a birth come, and which of them have an alias: a bit of each.
#[derive(Debug, Clone, Copy)]
struct How {
    is_reversed: bool,
    aliases: u8,
}

impl How {
    fn metrics(self, count: u8, value: u64) -> Vec<Metric> {
        let one = |at: u8| {
            let alias = (self.aliases >> at & 1 == 1).then_some(at.into());
            Metric { alias, ..metric(&format!("m{at}"), value) }
        };
        let mut metrics: Vec<Metric> = (0..count).map(one).collect();
        if self.is_reversed {
            metrics.reverse();
        }
        metrics
    }
}

fn how() -> impl Strategy<Value = How> {
    (any::<bool>(), prop_oneof![Just(0), Just(0b1111), 0..16_u8])
        .prop_map(|(is_reversed, aliases)| How { is_reversed, aliases })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..3u8, 0..3u8, 1..4u8, how())
            .prop_map(|(node, bd_seq, metrics, how)| Step::Birth { node, bd_seq, metrics, how }),
        3 => (0..3u8, 0..2u8, 1..4u8, how()).prop_map(|(node, device, metrics, how)| {
            Step::DeviceBirth { node, device, metrics, how }
        }),
        12 => (0..3u8, proptest::option::of(0..2u8), 0..4u8, proptest::bool::weighted(0.05))
            .prop_map(|(node, device, metric, loss)| Step::Data { node, device, metric, loss }),
        1 => (0..3u8).prop_map(|node| Step::Death { node }),
        1 => (0..3u8, 0..2u8).prop_map(|(node, device)| Step::DeviceDeath { node, device }),
        1 => Just(Step::BrokerDown),
        2 => Just(Step::BrokerUp),
        1 => Just(Step::Break),
        1 => any::<bool>().prop_map(|on| Step::Swallow { on }),
        2 => (0..3u8).prop_map(|node| Step::Rebirth { node }),
        1 => Just(Step::Restart),
        4 => (1..3_000u16).prop_map(|ms| Step::Pass { ms }),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever happens, the host never sees anything that it would refuse (the host panics),
    /// and once the broker is back, everything a live entity said since its birth is there.
    #[test]
    fn a_strict_host_is_never_given_reason_to_complain(
        steps in steps(),
        aliases in prop_oneof![
            Just(Aliases::Never), Just(Aliases::AsPlant), Just(Aliases::Always)
        ],
        folds in any::<bool>(),
    ) {
        let fold = folds.then(|| "F".into());
        let mut world = World::live(MirrorSettings { aliases, fold, ..settings() });
        let mut value = 10;
        let mut expected: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
        for step in steps {
            let entity = |node: u8, device: Option<u8>| match (device, folds) {
                (None, false) => (format!("g/{node}"), format!("g/{node}/:")),
                (Some(device), false) => (format!("g/{node}"), format!("g/{node}/d{device}:")),
                (None, true) => (format!("g/{node}"), format!("g/F/{node}:")),
                (Some(device), true) => (format!("g/{node}"), format!("g/F/{node}:d{device}:")),
            };
            match step {
                Step::Birth { node, bd_seq: bd, metrics, how } => {
                    value += 1;
                    let mut born = how.metrics(metrics, value);
                    born.push(bd_seq(bd.into()));
                    world.relayed(&format!("spBv1.0/g/NBIRTH/{node}"), born, false);
                    let (key, _) = entity(node, None);
                    expected.retain(|(owner, _), _| *owner != key);
                    for at in 0..metrics {
                        let id = format!("{}m{at}", entity(node, None).1);
                        expected.insert((key.clone(), id), vec![value]);
                    }
                }
                Step::DeviceBirth { node, device, metrics, how } => {
                    let (key, prefix) = entity(node, Some(device));
                    let alive = expected.keys().any(|(owner, _)| *owner == key);
                    value += 1;
                    let born = how.metrics(metrics, value);
                    world.relayed(&format!("spBv1.0/g/DBIRTH/{node}/d{device}"), born, false);
                    if alive {
                        expected.retain(|(owner, id), _| *owner != key || !id.starts_with(&prefix));
                        for at in 0..metrics {
                            expected.insert((key.clone(), format!("{prefix}m{at}")), vec![value]);
                        }
                    }
                }
                Step::Data { node, device, metric: at, loss } => {
                    let (key, prefix) = entity(node, device);
                    value += 1;
                    let topic = match device {
                        None => format!("spBv1.0/g/NDATA/{node}"),
                        Some(device) => format!("spBv1.0/g/DDATA/{node}/d{device}"),
                    };
                    world.relayed(&topic, data(vec![metric(&format!("m{at}"), value)]), loss);
                    if let Some(values) = expected.get_mut(&(key, format!("{prefix}m{at}"))) {
                        values.push(value);
                    }
                }
                Step::Death { node } => {
                    world.relayed(&format!("spBv1.0/g/NDEATH/{node}"), vec![], false);
                    let (key, _) = entity(node, None);
                    expected.retain(|(owner, _), _| *owner != key);
                }
                Step::DeviceDeath { node, device } => {
                    world.relayed(&format!("spBv1.0/g/DDEATH/{node}/d{device}"), vec![], false);
                    let (key, prefix) = entity(node, Some(device));
                    expected.retain(|(owner, id), _| *owner != key || !id.starts_with(&prefix));
                }
                Step::BrokerDown => { world.broker_up = false; world.break_sessions(); }
                Step::BrokerUp => world.broker_up = true,
                Step::Break => world.break_sessions(),
                // A connection that swallows is one that breaks, sooner or later.
                Step::Swallow { on } => {
                    if world.black_hole && !on { world.black_hole = false; world.break_sessions(); }
                    world.black_hole = on;
                }
                Step::Rebirth { node } => {
                    let key = if folds { "g/F".to_owned() } else { format!("g/{node}") };
                    if world.commands.contains_key(&key) {
                        world.command(&key, rebirth(), false);
                    }
                }
                Step::Restart => { world.restart(); }
                Step::Pass { ms } => world.pass_alive(Duration::from_millis(ms.into())),
            }
        }
        if world.black_hole { world.black_hole = false; world.break_sessions(); }
        world.broker_up = true;
        world.pass_alive(Duration::from_secs(40));
        for ((_, id), values) in &expected {
            for value in values {
                prop_assert!(world.host.seen(id, *value), "{} = {} never came", id, value);
            }
            // The newest value is the one that the host holds.
            let newest = values.last();
            prop_assert_eq!(world.host.live.get(id).and_then(|seen| seen.last()), newest);
        }
        prop_assert_eq!(world.mirror.check_account(), Ok(()));
        prop_assert_eq!(world.mirror.position().1, world.frames.len() as u64);
    }
}
