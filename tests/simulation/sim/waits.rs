//! What has to come to an end: messages that wait, and nodes of which nothing is heard.

use std::time::Duration;

use super::plant::{Sent, Way};
use super::world::{Violation, World};

/// Where holes fill, but slowly, a message waits for so many timeouts, and a little more.
const MOST_TIMEOUTS: u32 = 4;
const A_LITTLE: Duration = Duration::from_secs(4);
/// Until IT shows what the OT half says.
const LAG: Duration = Duration::from_secs(20);

/// Holds at every step.
pub fn end(world: &World) -> Result<(), Violation> {
    messages(world)?;
    unheard(world)
}

/// No message waits for those before it any longer than it may. (For a limit of its rate it may.)
fn messages(world: &World) -> Result<(), Violation> {
    if world.was_slow || world.ot.as_ref().is_none_or(|half| half.stands()) {
        return Ok(());
    }
    let Some((at, id)) = world.oldest_taken() else { return Ok(()) };
    let since = at.max(world.stood_at);
    if world.now.mono - since > world.config.reorder_timeout * MOST_TIMEOUTS + A_LITTLE {
        let sent = &world.plant.sent[id];
        return Err(format!("a message waits since {at:?}, and nothing comes of it: {sent:?}"));
    }
    Ok(())
}

/// A node of which nothing is heard since the relay was away is dead after `doubt-after-s`.
fn unheard(world: &World) -> Result<(), Violation> {
    let is_late = |at: Duration| world.now.mono - at > world.config.doubt_after + LAG;
    let Some(back) = world.returns.last().map(|back| back.at) else { return Ok(()) };
    if !is_late(back.max(world.stood_at)) || world.ot.is_none() {
        return Ok(());
    }
    for (place, node) in world.plant.nodes.iter().enumerate() {
        if node.is_online || world.shown(&node.name).is_none() {
            continue;
        }
        let is_unseen = node
            .own
            .ended_by
            .is_some_and(|end| matches!(world.plant.sent[end].way, Way::Lost(at) if at < back));
        let is_heard = |sent: &Sent| {
            sent.node == place
                && match sent.way {
                    Way::Heard(at) => at >= back,
                    Way::Waiting => true,
                    Way::Lost(_) => false,
                }
        };
        if is_unseen && !world.plant.sent.iter().any(is_heard) {
            let name = &node.name;
            return Err(format!("nothing is heard of {name} since {back:?}, and it lives"));
        }
    }
    Ok(())
}
