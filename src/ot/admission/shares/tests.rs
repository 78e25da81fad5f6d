//! Who is refused while the way to the worker is nearly full, and who isn't.
#![expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

use proptest::prelude::*;

use super::*;

/// Messages that the way of these tests has room for.
const PLACES: u64 = 8_000;

fn topic(node: &str, kind: &str) -> Bytes {
    format!("spBv1.0/G/{kind}/{node}").into()
}

/// The way to a worker, with room for so many messages.
struct Way {
    shares: Shares,
    queued: u64,
    taken: u64,
    assured: bool,
}

impl Way {
    fn new(born: &[&str]) -> Way {
        let hasher = RandomState::default();
        let names = born.iter().map(|node| name(&hasher, b"G", node.as_bytes())).collect();
        let mut shares = Shares::new(hasher);
        shares.set_born(Arc::new(names));
        Way { shares, queued: 0, taken: 0, assured: false }
    }

    fn send(&mut self, node: &str, kind: &str, bytes: usize) -> bool {
        let room = Room { taken: self.taken, messages: self.queued * 100 / PLACES, bytes: 0 };
        let topic = topic(node, kind);
        let wanting = Wanting { topic: &topic, bytes, assured: self.assured };
        let is_admitted = self.shares.admit(room, wanting);
        self.queued += u64::from(is_admitted);
        is_admitted
    }

    fn take(&mut self, messages: u64) {
        let messages = messages.min(self.queued);
        self.queued -= messages;
        self.taken += messages;
    }
}

/// A worker that takes so many messages in each step, of nodes that send so many each; what each
/// sent, and what of it was refused. Where the way is full the broker drops: `None`.
fn run(
    steps: usize,
    senders: &[(&str, u64)],
    takes: u64,
    assured: bool,
) -> Option<Vec<(u64, u64)>> {
    let born: Vec<&str> = senders.iter().map(|(node, _)| *node).collect();
    let mut way = Way::new(&born);
    way.assured = assured;
    let mut counts = vec![(0, 0); senders.len()];
    for _ in 0..steps {
        let most = senders.iter().map(|(_, rate)| *rate).max().unwrap_or(0);
        for turn in 0..most {
            for (place, (node, rate)) in senders.iter().enumerate() {
                if turn >= *rate {
                    continue;
                }
                counts[place].0 += 1;
                if !way.send(node, "NDATA", 1_000) {
                    counts[place].1 += 1;
                }
                if way.queued >= PLACES {
                    return None;
                }
            }
        }
        way.take(takes);
    }
    Some(counts)
}

#[test]
fn a_flood_of_one_node_takes_no_room_from_the_others() {
    for assured in [false, true] {
        let senders = [("flood", 100), ("a", 1), ("b", 1), ("c", 1)];
        let counts = run(1_000, &senders, 20, assured).unwrap();
        assert!(counts[0].1 > 70_000, "{counts:?}");
        assert_eq!(&counts[1..], [(1_000, 0); 3]);
    }
}

#[test]
fn many_that_flood_alike_take_no_room_from_one_that_does_not() {
    let floods: Vec<String> = (0..40).map(|number| format!("flood{number}")).collect();
    let mut senders: Vec<(&str, u64)> = floods.iter().map(|node| (&**node, 100)).collect();
    senders.push(("good", 20));
    let counts = run(40, &senders, 1_000, false).unwrap();
    assert_eq!(counts.last(), Some(&(800, 0)));
    assert!(counts[..40].iter().all(|(sent, refused)| *refused < *sent), "each gets its share");
    // At QoS 1 all of it can wait: the way gets full, and nothing is refused before.
    assert_eq!(run(40, &senders, 1_000, true), None);
}

#[test]
fn where_all_send_alike_the_way_gets_full_and_nothing_is_refused() {
    let names: Vec<String> = (0..40).map(|number| format!("node{number}")).collect();
    let mut senders: Vec<(&str, u64)> = names.iter().map(|node| (&**node, 100)).collect();
    senders[7].1 = 90;
    assert_eq!(run(40, &senders, 1_000, false), None);
    // One that sends less is protected from the others.
    senders[7].1 = 60;
    let counts = run(40, &senders, 3_800, false).unwrap();
    assert_eq!(counts[7], (40 * 60, 0));
    assert!(counts[8].1 > 0, "{counts:?}");
}

#[test]
fn what_was_sent_while_the_way_was_free_makes_nobody_a_flood_when_it_fills_again() {
    let names: Vec<String> = (0..50).map(|number| format!("node{number}")).collect();
    let born: Vec<&str> = names.iter().map(|node| &**node).collect();
    let mut way = Way::new(&born);
    for _ in 0..3 {
        // Nearly full, free for longer than that took, and nearly full again.
        for taken in [0, 50, 0] {
            for _ in 0..PLACES / 50 * 9 / 10 {
                for node in &born {
                    assert!(way.send(node, "NDATA", 3_000), "all send alike");
                }
                way.take(taken);
            }
            way.take(PLACES);
        }
    }
}

#[test]
fn few_that_begin_to_send_alike_are_none_of_them_a_flood() {
    let born = ["a", "b", "c", "d", "e"];
    let mut way = Way::new(&born);
    // One message fills as much of the way as many do elsewhere.
    way.queued = PLACES * 3 / 4 - 5 * 15;
    for _ in 0..PLACES / 25 {
        for node in &born {
            assert!(way.send(node, "NDATA", 3_000), "all send alike");
        }
    }
}

#[test]
fn who_has_sent_nothing_for_two_stretches_is_forgotten() {
    let mut way = Way::new(&["a", "gone"]);
    assert!(way.send("gone", "NDATA", 1));
    for _ in 0..2 * STRETCH {
        way.take(1);
        assert!(way.send("a", "NDATA", 1));
    }
    assert_eq!(way.shares.nodes.len(), 1);
}

#[test]
fn nodes_that_a_worker_can_follow_are_never_refused() {
    let counts = run(1_000, &[("a", 4), ("b", 6), ("c", 5)], 15, false).unwrap();
    assert!(counts.iter().all(|(_, refused)| *refused == 0), "{counts:?}");
}

#[test]
fn thousands_of_invented_nodes_take_nothing_from_a_real_one() {
    for bytes in [100, 4_000] {
        let mut way = Way::new(&["real"]);
        let (mut invented, mut refused) = (0, 0);
        for number in 0..20_000_u64 {
            invented += u64::from(way.send(&format!("invented{number}"), "NDATA", 1));
            if number % 300 == 0 && number / 300 < 60 {
                refused += u64::from(!way.send("real", "NDATA", bytes));
            }
            assert!(way.queued < PLACES, "the network would wait, and the broker drop");
        }
        assert_eq!(refused, 0);
        assert!(invented < PLACES, "{invented}");
        assert!(way.shares.most().contains("nodes without a birth"), "{}", way.shares.most());
    }
}

#[test]
fn a_small_floor_is_never_refused_even_among_thousands_that_were_born() {
    let names: Vec<String> = (0..7_000).map(|number| format!("born{number}")).collect();
    let mut born: Vec<&str> = names.iter().map(|node| &**node).collect();
    born.push("real");
    let mut way = Way::new(&born);
    for node in &names {
        assert!(way.send(node, "NDATA", 1));
    }
    for _ in 0..60 {
        assert!(way.send("real", "NDATA", 100));
    }
    // Beyond it a flood is refused all the same.
    let admitted = (0..10_000).filter(|_| way.send("born1", "NDATA", 100)).count();
    assert!(admitted < 200, "{admitted}");
}

#[test]
fn births_deaths_and_a_node_without_others_pass_in_any_case() {
    let mut way = Way::new(&["alone", "other"]);
    for _ in 0..7_000 {
        assert!(way.send("alone", "NDATA", 1));
    }
    assert!(way.send("other", "NDATA", 1));
    assert!(!way.send("alone", "NDATA", 1));
    assert_eq!(way.shares.most(), "G/alone 99 %, G/other 0 %");
    for kind in ["NBIRTH", "DBIRTH", "NDEATH", "DDEATH", "NCMD"] {
        assert!(way.send("alone", kind, 1));
        assert!(way.send("invented", kind, 1));
    }
    way.take(8_000);
    assert!(way.send("alone", "NDATA", 1));
    assert_eq!(way.shares.order.len(), 1);
}

proptest! {
    /// The level fills the room: who has less keeps all of it, and no higher level would fit.
    #[test]
    fn the_water_level_is_the_highest_that_fits(
        costs in proptest::collection::vec(1_u64..10_000, 1..50),
        room in 0_u64..200_000,
    ) {
        let cut = |level: u64| costs.iter().map(|cost| (*cost).min(level)).sum::<u64>();
        let (level, below, nodes) = water_level(costs.clone(), room);
        prop_assert_eq!((below, nodes), (cut(level), costs.len() as u64));
        if level == u64::MAX {
            prop_assert!(cut(level) <= room);
        } else {
            prop_assert!(cut(level) <= room);
            prop_assert!(cut(level + 1) > room);
        }
    }

    /// Whatever is sent: nobody is refused below the level, nor below the floor.
    #[test]
    fn nobody_below_the_level_is_refused(
        sends in proptest::collection::vec((0_usize..6, 1_usize..20_000, any::<bool>()), 1..600),
    ) {
        let nodes = ["a", "b", "c", "d", "e", "unborn"];
        let mut way = Way::new(&nodes[..5]);
        for (node, bytes, assured) in sends {
            // Looked for anew each time.
            way.shares.level = Level::default();
            let topic = topic(nodes[node], "NDATA");
            let (of_node, _) = way.shares.node_of(&topic);
            let own = way.shares.nodes.get(&of_node).map_or(Load::default(), |share| share.load);
            let wanted = own.plus(bytes as u64 + MESSAGE_BYTES);
            let filled = 80 + bytes as u64 % 20;
            let room = match assured {
                true => Room { taken: 0, messages: filled, bytes: 0 },
                false => Room { taken: 0, messages: 0, bytes: filled },
            };
            let of = room.scarce().0;
            let loads = way.shares.nodes.values().map(|share| share.load.of(of)).collect();
            let all = way.shares.load.of(of);
            let (level, ..) = water_level(loads, all * CROWDED_PERCENT / filled);
            if !way.shares.admit(room, Wanting { topic: &topic, bytes, assured }) {
                prop_assert!(wanted.of(of) > level, "{wanted:?} {level}");
                prop_assert!(wanted.bytes > NEVER_REFUSED || of_node == STRANGERS);
            }
        }
    }
}
