//! Messages of the plant into the OT half's pipeline, and the fast path beside the long way.

use journal_format::Body;

use crate::input::Input;
use crate::plant::Plant;

/// Carries out a list of operations on the pipeline: messages, ticks, sessions, reloads, restarts.
///
/// - The account balances after every one of them.
/// - Readers of the journal can follow: births before data, known metrics, fitting values.
/// - Nothing that the policy denies is in the journal or in a keyframe.
/// - What is held of the plant is bounded by what it sent.
/// - In the end nothing waits.
pub fn pipeline(input: &[u8]) {
    let mut input = Input::new(input);
    let mut plant = Plant::new(&mut input, true);
    plant.run(&mut input);
    plant.settle();
}

/// The same list on two pipelines, of which one has no fast path: journal, account, counters and
/// what would be stored are the same.
pub fn ot_fast_path(input: &[u8]) {
    let [fast, long] = [true, false].map(|takes_fast_path| {
        let mut input = Input::new(input);
        let mut plant = Plant::new(&mut input, takes_fast_path);
        plant.run(&mut input);
        plant
    });
    for (at, (fast, long)) in fast.journal.iter().zip(&long.journal).enumerate() {
        // As bytes: NaN isn't itself.
        assert_eq!(bytes(fast), bytes(long), "body {at}: {fast:?} for {long:?}");
    }
    assert_eq!(fast.journal.len(), long.journal.len());
    let told = |plant: &Plant| {
        let pipeline = &plant.pipeline;
        let matches: Vec<_> = pipeline.rule_matches().1.collect();
        format!(
            "{:?} {:?} {matches:?} {:?}",
            pipeline.account(),
            pipeline.counters(),
            pipeline.ledger()
        )
    };
    assert_eq!(told(&fast), told(&long));
    assert_eq!(ot::testing::store(&fast.pipeline), ot::testing::store(&long.pipeline));
}

fn bytes(body: &Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    body.encode(&mut bytes);
    bytes
}
