//! Frames of a journal into the IT half's mirror, and the fast path beside the long way.

use std::cmp::Ordering;

use crate::input::Input;
use crate::journal::{Journal, Told};

/// Carries out a list of operations on the mirror: frames of an honest OT half and of one that is
/// taken over, losses, sessions that break, commands of hosts, reloads, restarts.
///
/// - A strict host has nothing to refuse: births before data, `seq` without a gap, bdSeq as in the
///   will, known metrics, fitting values, nothing but what an edge node publishes.
/// - Every publication goes to a session that is open, and each session is of its own node.
/// - What a copy of the policy denies isn't shown.
/// - The account balances; what is published is bounded by what was read.
/// - In the end hosts see the nodes that the mirror has for born, and a stop leaves none.
pub fn mirror(input: &[u8]) {
    let mut input = Input::new(input);
    let mut journal = Journal::new(&mut input, true);
    journal.run(&mut input);
    journal.settle();
}

/// The same list on two mirrors, of which one has no fast path: what they publish and say, their
/// accounts and their snapshots are the same.
pub fn it_fast_path(input: &[u8]) {
    let [mut fast, mut long] = [true, false].map(|takes_fast_path| {
        let mut input = Input::new(input);
        let mut journal = Journal::new(&mut input, takes_fast_path);
        journal.run(&mut input);
        journal
    });
    for journal in [&mut fast, &mut long] {
        // The order is one per node.
        journal.told.sort_by(|one, other| {
            let place = |told: &Told| (told.operation, told.node);
            let of_notices =
                one.node.map_or_else(|| one.text.cmp(&other.text), |_| Ordering::Equal);
            place(one).cmp(&place(other)).then(of_notices)
        });
    }
    for (fast, long) in fast.told.iter().zip(&long.told) {
        assert_eq!(fast, long);
    }
    assert_eq!(fast.told.len(), long.told.len());
    let state = |journal: &mut Journal| {
        let mirror = &mut journal.mirror;
        let told = format!("{:?} {:?} {:?}", mirror.account(), mirror.ledger(), mirror.tally());
        (told, it::testing::snapshot(mirror))
    };
    assert_eq!(state(&mut fast), state(&mut long));
}
