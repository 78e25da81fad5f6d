//! What is said of a node's numbers, and what never is: not of loss, reordering, copies or restarts.
#![expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

use proptest::prelude::*;

use super::*;
use crate::plant::Sequence;

/// One message as it was published.
#[derive(Clone, Copy, Debug)]
struct Sent {
    seq: Option<u8>,
    entity: u32,
    at_ms: u64,
    /// What is in it.
    content: u64,
}

/// A publisher that counts, of node and devices.
struct Publisher {
    seq: u8,
    content: u64,
}

impl Publisher {
    fn new(seq: u8, content: u64) -> Publisher {
        Publisher { seq, content: content << 32 }
    }

    fn send(&mut self, entity: u32, at_ms: u64) -> Sent {
        let seq = self.seq;
        self.seq = self.seq.wrapping_add(1);
        self.content += 1;
        Sent { seq: Some(seq), entity, at_ms, content: self.content }
    }
}

/// What is found first.
fn found(messages: impl IntoIterator<Item = Sent>) -> Option<Finding> {
    let (mut sequence, mut counting) = (Sequence::default(), Counting::default());
    sequence.restart(Some(0));
    let take = |message: Sent| {
        let Sent { seq, entity, at_ms, content } = message;
        let numbered = seq.map(|seq| Numbered { seq, entity, timestamp: Some(at_ms) });
        let numbered = numbered?;
        let repeats = sequence.comes_again(numbered.seq, content)?;
        let _ = sequence.place(Some(numbered.seq), content, false);
        counting.take(numbered, repeats, !sequence.counts())
    };
    messages.into_iter().find_map(take)
}

fn count(messages: usize) -> impl Iterator<Item = u64> {
    (0..messages as u64).map(|number| 1_000 + 10 * number)
}

#[test]
fn a_number_that_stands_still_is_found() {
    for seq in [0, 7, 255] {
        let sent = |at_ms| Sent { seq: Some(seq), entity: 0, at_ms, content: at_ms };
        assert_eq!(found(count(20).map(sent)), Some(Finding::StandsStill(seq)));
        assert_eq!(found(count(7).map(sent)), None, "too few to say");
    }
    // Without a number there is nothing to say.
    let unnumbered = |at_ms| Sent { seq: None, entity: 0, at_ms, content: at_ms };
    assert_eq!(found(count(100).map(unnumbered)), None);
}

#[test]
fn two_publishers_are_found_wherever_their_numbers_are() {
    for apart in [2_u8, 5, 16, 31, 100, 128, 200, 254] {
        let (mut one, mut other) =
            (Publisher::new(1, 1), Publisher::new(1_u8.wrapping_add(apart), 2));
        let messages = count(600).enumerate().map(|(number, at_ms)| match number % 3 {
            0 => one.send(0, at_ms),
            1 => other.send(0, at_ms),
            _ => one.send(7, at_ms),
        });
        let found = found(messages.collect::<Vec<_>>());
        assert!(matches!(found, Some(Finding::TwoSequences(..))), "{apart}: {found:?}");
    }
}

#[test]
fn a_second_publisher_that_sends_little_is_found_in_time() {
    let (mut one, mut other) = (Publisher::new(1, 1), Publisher::new(77, 2));
    let messages = count(600).enumerate().map(|(number, at_ms)| {
        if number % 20 == 0 { other.send(0, at_ms) } else { one.send(0, at_ms) }
    });
    let found = found(messages.collect::<Vec<_>>());
    assert!(matches!(found, Some(Finding::TwoSequences(..))), "{found:?}");
}

#[test]
fn numbers_that_come_in_pairs_may_be_either() {
    // Two publishers in step, one that counts every other message, devices that count each for itself.
    for entities in [[0, 0], [1, 2]] {
        let messages = count(100).enumerate().map(|(number, at_ms)| Sent {
            seq: Some((number / 2) as u8),
            entity: entities[number % 2],
            at_ms,
            content: at_ms,
        });
        assert_eq!(found(messages), Some(Finding::Repeats));
    }
}

#[test]
fn devices_that_count_each_for_itself_are_not_called_publishers() {
    for apart in [0, 3, 100] {
        let messages = count(200).enumerate().map(|(number, at_ms)| Sent {
            seq: Some((number / 2 + apart * (number % 2)) as u8),
            entity: (number % 2) as u32,
            at_ms,
            content: at_ms,
        });
        assert_eq!(found(messages), Some(Finding::Repeats), "{apart}");
    }
}

#[test]
fn a_second_way_with_late_copies_or_late_messages_is_nobody() {
    // Every message comes twice, the second time so much later that nobody remembers it.
    let mut publisher = Publisher::new(1, 1);
    let sent: Vec<Sent> = count(900).map(|at_ms| publisher.send(0, at_ms)).collect();
    let both = (0..800).flat_map(|number| [sent[number + 100], sent[number]]);
    assert_eq!(found(both), None);
    // What was held up comes between what is new.
    let held = (0..90).flat_map(|number| [sent[number + 100], sent[number]]);
    assert_eq!(found(held), None);
}

#[test]
fn a_publisher_that_starts_again_and_again_is_one() {
    let (mut sequence, mut counting) = (Sequence::default(), Counting::default());
    let mut content = 0;
    for session in 0..200_u64 {
        sequence.restart(Some(0));
        counting.birth();
        for seq in 1..=(session % 7) as u8 {
            content += 1;
            let numbered = Numbered { seq, entity: 0, timestamp: Some(content) };
            let repeats = sequence.comes_again(seq, content).unwrap();
            let _ = sequence.place(Some(seq), content, false);
            assert_eq!(counting.take(numbered, repeats, !sequence.counts()), None);
        }
    }
}

#[test]
fn bursts_of_which_the_end_is_lost_each_time_are_no_proof() {
    // A gateway that sends so many messages at once, of which the broker keeps the first ones.
    for cycle in [250_usize, 256, 260, 266, 306, 512] {
        for kept in [3, 5, 8, 20, 100] {
            let mut publisher = Publisher::new(1, 1);
            let sent: Vec<Sent> =
                count(cycle * 40).map(|at_ms| publisher.send(at_ms as u32 % 5, at_ms)).collect();
            let came = sent.chunks(cycle).flat_map(|burst| &burst[..kept]).copied();
            assert_eq!(found(came), None, "{kept} of {cycle}");
        }
    }
}

proptest! {
    /// One publisher that counts: whatever is lost, late, copied or delivered again of it, and however
    /// often it starts again, nothing is said.
    #[test]
    fn nothing_is_said_of_a_publisher_that_counts(
        steps in proptest::collection::vec((0_u8..20, 0_u8..40, 0_u32..4), 50..600),
        lost_of_20 in 0_u8..19,
        late_of_40 in 0_u8..20,
    ) {
        let mut publisher = Publisher::new(1, 1);
        let mut way: Vec<(usize, Sent)> = Vec::new();
        for (number, (loss, late, entity)) in steps.iter().enumerate() {
            let sent = publisher.send(*entity, 1_000 + number as u64);
            if *loss < lost_of_20 {
                continue;
            }
            let delay = if *late < late_of_40 { usize::from(*late) * 2 } else { 0 };
            way.push((number + delay, sent));
            if *loss == 19 {
                // A copy.
                way.push((number + delay + 3, sent));
            }
        }
        way.sort_by_key(|(at, _)| *at);
        prop_assert_eq!(found(way.into_iter().map(|(_, sent)| sent)), None);
    }
}
