//! Who is born again with the same metrics keeps the number of its layout: data can be read by whoever
//! has lost the birth before it, and what was said before a death by whoever gets it after a birth.

use journal_format::{Body, Layouts, Relayed};
use sparkplug::{DataType, Metric, Value};

use super::bench::{ALL, Bench, bd_seq, by_name, payload, typed, value_of};

fn metrics(names: &[&str]) -> Vec<Metric> {
    names.iter().map(|name| typed(name, DataType::Int32, Value::Int(1))).collect()
}

/// An edge node and a device of it are born.
fn birth(bench: &mut Bench, session: u64, names: &[&str]) -> Vec<Relayed> {
    let mut own = vec![bd_seq(session)];
    own.extend(metrics(names));
    let mut births = bench.node("NBIRTH", own);
    births.extend(bench.node("DBIRTH/D", metrics(names)));
    births
}

/// The same; the numbers of their layouts.
fn born(bench: &mut Bench, session: u64, names: &[&str]) -> Vec<u64> {
    birth(bench, session, names).iter().map(|birth| birth.layout).collect()
}

fn dies(bench: &mut Bench, session: u64) {
    assert_eq!(bench.node("NDEATH", vec![bd_seq(session)]).len(), 1);
    bench.pass(1_000);
}

#[test]
fn the_same_metrics_have_the_same_number_in_the_next_session() {
    let mut bench = Bench::new(ALL);
    let first = born(&mut bench, 1, &["a", "b"]);
    assert!(first.len() == 2 && first.iter().all(|number| *number > 0), "{first:?}");
    dies(&mut bench, 1);
    assert_eq!(born(&mut bench, 2, &["a", "b"]), first);
    // Other ones, or the same in another order, are another layout.
    for (session, names) in [(2, &["a", "b", "c"][..]), (3, &["b", "a"])] {
        dies(&mut bench, session);
        let other = born(&mut bench, session + 1, names);
        assert!(other.iter().all(|number| !first.contains(number)), "{names:?}: {other:?}");
    }
}

#[test]
fn other_types_are_another_layout() {
    let mut bench = Bench::new(ALL);
    let mut own = |session: u64, datatype: DataType| {
        if session > 1 {
            dies(&mut bench, session - 1);
        }
        let metric = typed("a", datatype, Value::Int(1));
        bench.node("NBIRTH", vec![bd_seq(session), metric]).first().unwrap().layout
    };
    let first = own(1, DataType::Int32);
    assert_ne!(own(2, DataType::UInt32), first);
}

#[test]
fn data_is_read_where_death_and_birth_before_it_were_lost() {
    let mut bench = Bench::new(ALL);
    let births = birth(&mut bench, 1, &["a", "b"]);
    // What a reader knows that loses all between here and the data.
    let mut known = Layouts::new(usize::MAX);
    births.into_iter().for_each(|birth| known.learn(&Body::Relayed(birth)));
    dies(&mut bench, 1);
    born(&mut bench, 2, &["a", "b"]);
    bench.layouts = known;
    let data = bench.node("NDATA", vec![by_name("b", Value::Int(7))]);
    assert_eq!(data.len(), 1);
    assert_eq!(value_of(&payload(&data[0]), "b"), Some(Value::Int(7)));
}
