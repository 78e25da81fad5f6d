//! Messages for other relays that share the plant, on their way through the worker.

use super::*;

#[test]
fn messages_for_other_relays_are_acknowledged_in_their_turn_and_counted_beside_the_account() {
    let dir = tempfile::tempdir().unwrap();
    let (mut worker, _work, _receipts) = build(dir.path());
    let mut taken = Vec::new();
    let mut deliver = |worker: &mut Worker, messages: Vec<Delivered>| {
        let mut batch = [arrived(messages)].into();
        let (now, mut out) = (worker.clock.now(), Vec::new());
        assert!(worker.work_off(now, &mut batch, false, &mut out));
        worker.release_waiting();
        taken.extend(worker.unreleased.drain(..).map(|receipt| receipt.number()));
        taken.clone()
    };
    let others = |id| Delivered::of_other_shard(false, Some(Receipt::numbered(id)));
    let ours = |id, topic, seq, metrics| delivered(id, topic, seq, metrics);
    let first = vec![others(1), ours(2, "spBv1.0/G/NBIRTH/E", 0, birth()), others(3)];
    assert_eq!(deliver(&mut worker, first), [1, 2, 3]);
    // Behind one that waits for its turn theirs wait, too: a broker counts on the order.
    let early = vec![others(4), ours(5, "spBv1.0/G/NDATA/E", 2, data(2)), others(6)];
    assert_eq!(deliver(&mut worker, early), [1, 2, 3, 4]);
    let missing = vec![ours(7, "spBv1.0/G/NDATA/E", 1, data(1)), others(8)];
    assert_eq!(deliver(&mut worker, missing), [1, 2, 3, 4, 5, 6, 7, 8]);
    let unacknowledged = vec![Delivered::of_other_shard(false, None)];
    assert_eq!(deliver(&mut worker, unacknowledged).len(), 8);
    let account = worker.pipeline.account();
    assert_eq!((account.received, account.forwarded), (3, 3));
    assert_eq!((account.of_other_shards, account.dropped_total()), (6, 0));
    assert_eq!(worker.pipeline.check_account(), Ok(()));
}

#[test]
fn a_message_for_another_relay_is_never_marked_as_what_the_half_may_be_ended_by() {
    let dir = tempfile::tempdir().unwrap();
    let (mut worker, _work, _receipts) = build(dir.path());
    let marked = || std::fs::read(dir.path().join("state/in-work.state")).unwrap_or_default();
    let others = |id| Delivered::of_other_shard(true, Some(Receipt::numbered(id)));
    let messages = [others(1), delivered(2, "spBv1.0/G/NBIRTH/E", 0, birth()), others(3)];
    let names = worker.names(&messages);
    let before = marked();
    assert!(worker.begin(&names, &messages[0]));
    assert_eq!(marked(), before);
    assert!(worker.begin(&names[1..], &messages[1]));
    let with_ours = marked();
    assert_ne!(with_ours, before);
    assert!(worker.begin(&names[2..], &messages[2]));
    assert_eq!(marked(), with_ours);
}
