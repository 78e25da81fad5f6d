//! What is left to other relays that share the plant: their messages, and nodes that were this one's
//! before there were other shards.

use sparkplug::Shard;

use super::bench::{ALL, Bench, bd_seq, names_of, payload, typed, verbs};
use crate::plant::Life;
use sparkplug::{DataType, Value};

/// Of the vectors: `G/E` is of the fourth of four shards.
const OURS: &str = "4/4";
const ANOTHER: &str = "1/4";

fn running() -> Bench {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", vec![bd_seq(1), typed("temp", DataType::Double, Value::Double(20.0))]);
    bench.node("DBIRTH/D", vec![typed("x", DataType::Int8, Value::Int(1))]);
    bench
}

/// A restart with another shard, from what was stored before the last frames or behind them.
fn restarted(shard: &str, is_late: bool) -> (Bench, Vec<journal_format::Relayed>) {
    let mut bench = running();
    let (early, at) = (bench.pipeline.store(0), bench.journal.len());
    bench.node("NDATA", vec![typed("temp", DataType::Double, Value::Double(21.0))]);
    let (stored, at) = match is_late {
        true => (bench.pipeline.store(0), bench.journal.len()),
        false => (early, at),
    };
    bench.shard = Some(Shard::parse(shard).unwrap());
    let told = bench.restart(stored, at, ALL);
    (bench, told)
}

#[test]
fn messages_of_other_shards_are_counted_beside_the_account() {
    let mut bench = running();
    let before = bench.pipeline.account().clone();
    bench.pipeline.leave_to_other_shard();
    bench.pipeline.leave_to_other_shard();
    assert!(bench.tick().is_empty());
    let account = bench.pipeline.account();
    assert_eq!(account.of_other_shards, before.of_other_shards + 2);
    assert_eq!(account.received, before.received);
    assert_eq!(account.dropped_total(), before.dropped_total());
    assert_eq!(bench.pipeline.check_account(), Ok(()));
}

#[test]
fn a_node_that_another_relay_has_after_a_restart_is_dead_for_readers_and_forgotten() {
    for is_late in [true, false] {
        let (bench, told) = restarted(ANOTHER, is_late);
        assert_eq!(verbs(&told), "NDEATH", "{is_late}");
        assert_eq!(told[0].withdrawn, "other_shard");
        assert!(bench.pipeline.keyframes(bench.now).next().is_none());
        assert!(bench.pipeline.nodes().all(|node| !node.alive));
        assert!(bench.pipeline.plant.nodes().iter().all(|node| node.own.life == Life::Unknown));
        assert_eq!(bench.pipeline.account().dropped_total(), 0);
    }
}

#[test]
fn its_death_is_told_once_and_a_later_start_knows_nothing_of_it() {
    let (mut bench, _) = restarted(ANOTHER, true);
    let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
    assert!(bench.restart(stored, at, ALL).is_empty());
    // Also by what the journal says alone.
    let (mut bench, _) = restarted(ANOTHER, false);
    assert!(bench.restart(crate::plant::StoredPlant::default(), 0, ALL).is_empty());
    assert!(bench.pipeline.keyframes(bench.now).next().is_none());
}

#[test]
fn a_node_of_its_own_shard_lives_on_over_the_restart() {
    for is_late in [true, false] {
        let (mut bench, told) = restarted(OURS, is_late);
        assert!(told.is_empty(), "{is_late}");
        bench.pipeline.session(bench.now, true);
        let told = bench.node("NDATA", vec![typed("temp", DataType::Double, Value::Double(22.0))]);
        assert_eq!(names_of(&payload(&told[0])), ["temp"]);
    }
}
