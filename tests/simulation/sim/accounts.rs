//! Every value has one fate: it is in the journal, or the OT half dropped it and says so; what is in
//! the journal is on IT, or the IT half dropped it and says so.

use std::collections::{BTreeMap, BTreeSet};

use journal_format::Body;
use journal_read::{From, Item, Reader};
use prost::Message as _;
use sparkplug::Payload;

use super::plant::{Metric, Number, Sent, Shape, Way};
use super::world::{Violation, World};

/// Values that one message has at most, of those that the plant counts.
const MOST_VALUES: u64 = 6;

/// What the halves said that they dropped, over all their starts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dropped {
    pub messages: u64,
    pub metrics: u64,
    /// Frames whose values have no place on IT any more, or that were lost.
    pub frames: u64,
}

impl Dropped {
    pub fn add(&mut self, account: &account::Account) {
        for (_, messages, metrics) in account.drops() {
            self.messages += messages;
            self.metrics += metrics;
        }
    }

    /// Values that it may explain.
    fn explains(&self) -> u64 {
        self.metrics + (self.messages + self.frames) * MOST_VALUES
    }
}

/// Looks for values without a fate.
pub fn balance(world: &mut World) -> Result<(), Violation> {
    let (mut on_ot, mut on_it) = (world.dropped_on_ot, world.dropped_on_it);
    if let Some(half) = &world.ot {
        on_ot.add(half.pipeline().account());
    }
    if let Some(half) = &world.it {
        on_it.add(half.mirror().account());
        let tally = half.mirror().tally();
        on_it.frames += tally.unplaceable + tally.frames_lost;
    }
    let (living, journalled) = journal(world)?;
    let mut missing = Vec::new();
    for sent in world.plant.sent.iter().filter(|sent| matches!(sent.way, Way::Heard(_))) {
        let current = sent.values.iter().filter_map(|(_, number)| *number);
        let numbers = current.chain(sent.historical.iter().map(|(_, number)| *number));
        let is_missing = |number: &Number| !journalled.contains(number);
        missing.extend(numbers.filter(is_missing).map(|number| (number, sent)));
    }
    // What waited for a birth when a kill came is gone with the process, though its message crossed.
    let is_born = |number: Number, sent: &Sent| {
        let entity = world.plant.nodes[sent.node].entity(sent.device);
        let of = |metric: &Metric| metric.history.iter().any(|said| said.number == Some(number));
        entity.metrics.iter().find(|metric| of(metric)).is_none_or(|metric| metric.is_born)
    };
    missing.retain(|(number, sent)| !world.was_killed || is_born(*number, sent));
    // What a policy redacts is no drop.
    if world.was_redacted {
        missing.clear();
    }
    // A value may be repeated by a birth: then one of its messages may have been dropped.
    missing.dedup_by_key(|(number, _)| *number);
    if missing.len() as u64 > on_ot.explains() {
        return Err(format!(
            "{} values have no fate on OT, which dropped {on_ot:?}: {:?}",
            missing.len(),
            missing.last()
        ));
    }
    // What another policy hides has no place on IT any more, nor has what is dead.
    if !world.config.backfill || world.config.first_newest || world.was_reloaded {
        return Ok(());
    }
    let unseen: Vec<&Number> =
        living.iter().filter(|number| !world.host.seen.contains(number)).collect();
    if unseen.len() as u64 > on_it.explains() {
        return Err(format!(
            "{} values of the journal have no fate on IT, which dropped {on_it:?}: {unseen:?}",
            unseen.len()
        ));
    }
    Ok(())
}

/// The numbers that were said of what lives since its last birth, and all that the journal holds.
fn journal(world: &World) -> Result<(BTreeSet<Number>, BTreeSet<Number>), Violation> {
    let text = |error: journal_read::JournalError| format!("the journal can't be read: {error}");
    let mut reader = Reader::open(&world.journal_dir(), From::Oldest).map_err(text)?;
    let mut living: BTreeMap<String, BTreeSet<Number>> = BTreeMap::new();
    let mut all = BTreeSet::new();
    while let Some(item) = reader.next_settled().map_err(text)? {
        let frame = match item {
            Item::Frame(frame) => frame,
            Item::Lost(lost) => return Err(format!("the journal lost frames: {lost:?}")),
        };
        let (topic, bytes, is_relayed) = match frame.body {
            Some(Body::Relayed(relayed)) => (relayed.topic, relayed.payload, true),
            Some(Body::Keyframe(keyframe)) => (keyframe.topic, keyframe.payload, false),
            _ => continue,
        };
        let levels: Vec<&str> = topic.split('/').collect();
        let entity = levels[3..].join("/");
        if is_relayed {
            match levels[2] {
                // Devices end with their node.
                "NBIRTH" | "NDEATH" => {
                    living.retain(|known, _| known.split('/').next() != Some(levels[3]));
                }
                "DBIRTH" | "DDEATH" => drop(living.remove(&entity)),
                _ => {}
            }
        }
        let payload = Payload::decode(&bytes[..]).map_err(|error| error.to_string())?;
        let numbers = payload.metrics.iter().filter_map(|metric| metric.value.as_ref());
        // Below are bdSeq, and the values of definitions.
        let numbers = numbers.filter_map(Shape::number).filter(|number| *number > 1_000);
        for number in numbers {
            all.insert(number);
            if is_relayed {
                living.entry(entity.clone()).or_default().insert(number);
            }
        }
    }
    // What isn't born on IT waits for that.
    living.retain(|entity, _| {
        let (node, device) = entity.split_once('/').unwrap_or((entity, ""));
        let shown = world.host.nodes.get(node).filter(|node| node.is_online);
        shown.is_some_and(|shown| shown.entities.contains_key(device))
    });
    Ok((living.into_values().flatten().collect(), all))
}
