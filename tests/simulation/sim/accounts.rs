//! Every value has one fate: it is in the journal, or the OT half dropped it and says so; what is in
//! the journal is on IT, or the IT half dropped it and says so.

use super::plant::{MEMBERS, Metric, Number, Sent, Way};
use super::world::{Violation, World};

/// Values that one message has at most, of those that the plant counts.
const MOST_VALUES: u64 = 7;

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

    /// Values that it may explain, where a metric has so many at most.
    fn explains(&self, of_a_metric: u64) -> u64 {
        self.metrics * of_a_metric + (self.messages + self.frames) * MOST_VALUES
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
    world.journal.read(&world.journal_dir());
    if !world.journal.is_whole() {
        // What was deleted between two looks nobody can compare with.
        return match world.config.retain_bytes {
            Some(_) => Ok(()),
            None => Err(format!("the journal is not whole: {:?}", world.journal.trouble)),
        };
    }
    let (living, journalled) = (world.journal.living(&world.host), &world.journal.all);
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
    // What a policy redacts is no drop, and values that wait end with a kill.
    if world.was_redacted || (world.was_slow && world.was_killed) {
        missing.clear();
    }
    // A value may be repeated by a birth: then one of its messages may have been dropped.
    missing.dedup_by_key(|(number, _)| *number);
    let templates = world.plant.nodes.iter().any(|node| node.habits.templates);
    let of_a_metric = if templates { MEMBERS.len() as u64 } else { 1 };
    if missing.len() as u64 > on_ot.explains(of_a_metric) {
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
    if unseen.len() as u64 > on_it.explains(of_a_metric) {
        return Err(format!(
            "{} values of the journal have no fate on IT, which dropped {on_it:?}: {unseen:?}",
            unseen.len()
        ));
    }
    Ok(())
}
