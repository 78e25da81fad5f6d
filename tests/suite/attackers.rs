//! Promise P9: whatever one publisher sends, every other edge node goes on as if it weren't there,
//! and the log names the guilty one. The table of attackers is `tests/attackers`; here each of them
//! goes through its steps beside the good node, which says a number in each.
//!
//! There is no clock in it: an attacker's step is over when its broker has acknowledged all of it,
//! and then the good node's number is. How long a number takes is measured by
//! `cargo bench --bench bench -- attackers`.

use std::collections::BTreeSet;
use std::time::Instant;

use attackers::{Address, Attacker, Hand, Kind, POLICY, Shot, Side, all, before};

use crate::checker::Excuse;
use crate::metrics::{int, untyped};
use crate::packet::Packet;
use crate::peers::raw_edge::RawEdge;
use crate::relay::Half;
use crate::rig::{Rig, Variation};
use crate::waiting::{DEADLINE, holds_within, wait_until};

const COUNT: &str = "count";
/// Small enough that inventing nodes and devices reaches them.
const LIMITS: &str = "[relay]\nmax-nodes = 200\nmax-devices-per-node = 500\n";

/// The rig with its good node, and another node.
struct Scene {
    rig: Rig,
    good: RawEdge,
    count: u32,
    _other: RawEdge,
}

impl Scene {
    /// `None` without a broker.
    fn start(attackers: &[Attacker]) -> Option<Scene> {
        let variation = Variation { ot_extra: LIMITS.into(), ..Variation::default() };
        let mut rig = Rig::prepare(POLICY, &variation)?;
        before(attackers, &rig.ot_address().into(), &rig.it_address().into());
        rig.start_both();
        let [good, other] = ["Good", "Other"].map(|name| {
            let mut edge = RawEdge::connect(rig.ot_address(), "Plant", name);
            edge.qos = 1;
            edge.nbirth(&[int(COUNT, 0)]).unwrap();
            rig.wait_for_value(&format!("Plant/{name}"), COUNT, 0);
            edge
        });
        Some(Scene { rig, good, count: 0, _other: other })
    }

    /// The good node says its next number.
    fn say(&mut self) {
        self.count += 1;
        self.good.ndata(&[untyped(int(COUNT, self.count))]).unwrap();
    }

    /// One attacker beside the good node.
    fn beside(&mut self, attacker: &Attacker) {
        let address: Address = match attacker.side {
            Side::Ot => self.rig.ot_address().into(),
            Side::It => self.rig.it_address().into(),
        };
        let begin = Instant::now();
        let mut hand = Hand::new(&address, &attacker.client_id());
        let mut edge = attacker.edge();
        for step in 0..attacker.steps {
            hand.fire((attacker.step)(&mut edge, step));
            self.say();
        }
        let count = self.count.into();
        wait_until(&format!("beside {attacker:?}: number {count} on IT"), || {
            self.rig.it.current("Plant/Good", COUNT) == Some(count)
        });
        for half in [Half::Ot, Half::It] {
            assert!(!self.rig.relay.has_ended(half), "{attacker:?} ended the {half:?} half");
        }
        println!("{attacker:?}: {} ms", begin.elapsed().as_millis());
    }

    /// Asserts that the logs have all lines that these attackers are named in.
    fn named(&self, attackers: &[Attacker]) {
        let missing = || -> Vec<String> {
            let (ot, it) = (self.rig.relay.log(Half::Ot), self.rig.relay.log(Half::It));
            let log = |side| if side == Side::Ot { &ot } else { &it };
            let all = attackers.iter().flat_map(|one| one.told.iter().map(move |told| (one, told)));
            let about = |side: Side, name: &str| {
                let lines = log(side).lines().filter(|line| line.contains(name));
                lines.take(3).map(|line| line.chars().take(300).collect()).collect::<Vec<String>>()
            };
            all.filter(|(attacker, told)| !told.is_in(log(told.half), attacker))
                .map(|(one, told)| {
                    let (event, words) = (told.event, told.words_of(one));
                    format!("{one:?}: {event} {words:?}, but {:?}", about(told.half, one.name))
                })
                .collect()
        };
        holds_within(DEADLINE, || missing().is_empty());
        assert_eq!(missing(), [""; 0], "not in the logs");
    }

    /// Publications of the relay under this topic on IT. What attackers publish there isn't
    /// among them.
    fn mirrored(&self, topic: &str) -> usize {
        self.rig.it_proxy.count(|record| {
            matches!(record.sent(), Some(Packet::Publish(publish)) if publish.topic == topic)
        })
    }

    /// Asserts that nothing happened to the good node, and ends.
    fn judge(mut self, births: std::ops::RangeInclusive<usize>) {
        // A birth that was asked for has the number that came with it, and what waited for that
        // birth comes behind it.
        let whole: BTreeSet<u64> = (0..=self.count.into()).collect();
        let heard = || -> BTreeSet<u64> {
            let of = |verb: &str| self.rig.it.numbers(&format!("spBv1.0/Plant/{verb}/Good"), COUNT);
            of("NDATA").into_iter().chain(of("NBIRTH")).collect()
        };
        holds_within(DEADLINE, || heard() == whole);
        assert_eq!(heard(), whole);
        let born = self.mirrored("spBv1.0/Plant/NBIRTH/Good");
        assert!(births.contains(&born), "{born} births, wanted {births:?}");
        assert_eq!(self.mirrored("spBv1.0/Plant/NDEATH/Good"), 0);
        let sessions = self.rig.it_proxy.count(|record| match record.sent() {
            Some(Packet::Connect(connect)) => {
                connect.will.as_ref().is_some_and(|will| will.topic == "spBv1.0/Plant/NDEATH/Good")
            }
            _ => false,
        });
        assert_eq!(sessions, 1, "sessions of its mirror");
        let sessions =
            self.rig.ot_proxy.count(|record| matches!(record.sent(), Some(Packet::Connect(_))));
        assert_eq!(sessions, 1, "sessions with the OT broker");
        for half in [Half::Ot, Half::It] {
            let kib = self.rig.relay.peak_memory_kib(half);
            println!("{half:?}: {} MiB at most", kib / 1024);
            assert!(self.rig.relay.terminate(half).success(), "{half:?}");
            let log = self.rig.relay.log(half);
            for event in ["MISTAKE", "ACCOUNT_IMBALANCE", "FAILED", "FRAME_REFUSED"] {
                let line = log.lines().find(|line| line.contains(&format!(": {event} ")));
                assert_eq!(line, None, "{half:?}");
            }
        }
        let unjudged: Vec<String> =
            all().into_iter().filter(|one| !one.is_judged).map(|one| one.name.to_owned()).collect();
        self.rig.judge_without(Excuse::default(), &unjudged);
    }
}

/// All attackers of this kind, one after the other.
fn beside_all(kind: Kind) {
    let attackers: Vec<Attacker> =
        all().into_iter().filter(|one| one.kind == kind && !one.asks_births).collect();
    assert!(attackers.len() >= 10, "{kind:?}");
    let Some(mut scene) = Scene::start(&attackers) else { return };
    for attacker in &attackers {
        scene.beside(attacker);
    }
    scene.named(&attackers);
    scene.judge(1..=1);
}

#[test]
fn sizes_harm_nobody_else() {
    beside_all(Kind::Sizes);
}

#[test]
fn counts_harm_nobody_else() {
    beside_all(Kind::Counts);
}

#[test]
fn nesting_harms_nobody_else() {
    beside_all(Kind::Nesting);
}

#[test]
fn texts_that_are_no_utf8_harm_nobody_else() {
    beside_all(Kind::Utf8);
}

#[test]
fn long_and_odd_texts_harm_nobody_else() {
    beside_all(Kind::Texts);
}

#[test]
fn types_that_lie_harm_nobody_else() {
    beside_all(Kind::Types);
}

#[test]
fn sequences_harm_nobody_else() {
    beside_all(Kind::Sequence);
}

#[test]
fn births_and_deaths_harm_nobody_else() {
    beside_all(Kind::Lives);
}

#[test]
fn crowds_harm_nobody_else() {
    beside_all(Kind::Crowds);
}

#[test]
fn floods_harm_nobody_else() {
    beside_all(Kind::Floods);
}

#[test]
fn topics_harm_nobody_else() {
    beside_all(Kind::Topics);
}

#[test]
fn clients_of_the_it_broker_harm_nobody() {
    beside_all(Kind::Commands);
}

/// Rebirths of the good node itself are what hosts may ask for; the answers are bounded.
#[test]
fn rebirths_that_are_asked_for_all_the_time_cost_the_node_nothing_but_them() {
    let attackers: Vec<Attacker> = all().into_iter().filter(|one| one.asks_births).collect();
    assert!(attackers.len() >= 2);
    let Some(mut scene) = Scene::start(&attackers) else { return };
    let begin = Instant::now();
    for attacker in &attackers {
        scene.beside(attacker);
    }
    scene.named(&attackers);
    // What is asked for too soon after the last birth is answered a moment later, and the numbers
    // didn't wait for it.
    wait_until("the birth that was asked for", || scene.mirrored("spBv1.0/Plant/NBIRTH/Good") >= 2);
    // One a second (`rebirth-min-interval-ms`), and the first birth.
    let seconds = begin.elapsed().as_secs();
    scene.judge(2..=usize::try_from(seconds).unwrap() + 3);
}

#[test]
fn a_client_that_takes_the_session_of_a_mirror_harms_that_mirror_alone() {
    let Some(mut scene) = Scene::start(&[]) else { return };
    let mirror = |scene: &Scene| {
        let records = scene.rig.it_proxy.records();
        let of_other = records.iter().rev().find_map(|record| match record.sent() {
            Some(Packet::Connect(connect)) => {
                let will = connect.will.as_ref()?;
                (will.topic == "spBv1.0/Plant/NDEATH/Other").then(|| connect.client_id.clone())
            }
            _ => None,
        });
        of_other.unwrap()
    };
    let client_id = mirror(&scene);
    let address = scene.rig.it_address().into();
    let mut hand = Hand::new(&address, "thief");
    for _ in 0..5 {
        let will = None;
        hand.fire(vec![Shot::Connect { client_id: client_id.clone(), will }]);
        scene.say();
        hand.fire(vec![Shot::Vanish { client_id: client_id.clone() }]);
        scene.say();
    }
    let count = u64::from(scene.count);
    scene.rig.wait_for_value("Plant/Good", COUNT, count);
    let words = ["SESSION_LOST", "node=Plant/Other"];
    scene.rig.relay.wait_for_log(Half::It, &words);
    // It comes back when nobody takes it any more.
    wait_until("the other node's mirror is back", || {
        let births = scene.mirrored("spBv1.0/Plant/NBIRTH/Other");
        births >= 2
    });
    scene.judge(1..=1);
}
