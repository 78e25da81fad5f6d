//! What has to hold, written from what the manual promises and not from what the relay does.

use std::collections::BTreeMap;
use std::time::Duration;

use strict_host::REBIRTH;

use super::host::Shown;
use super::plant::{Entity, Kind, MessageId, Number, Sent, Way};
use super::policies::{self, Sight};
use super::waits;
use super::world::{Violation, World};

/// How long IT may show as good what the relay could know to be out of date: a wait for messages out
/// of order, a silence that becomes a death, a session that swallows, and what they add up to.
const LAG: Duration = Duration::from_secs(20);
/// Under a rate limit values wait for their turn.
const SLOW_LAG: Duration = Duration::from_secs(45);
/// A clock that was set makes times of that moment look wrong.
const SETTING: Duration = Duration::from_secs(70);

/// Holds at every step.
pub fn at_every_step(world: &mut World) -> Result<(), Violation> {
    accounts(world)?;
    waits::end(world)?;
    let since = world.set_at.map(|at| world.now.mono - at);
    for finding in world.host.findings() {
        let was_set = since.is_some_and(|since| since < SETTING);
        let is_excused = match finding.rule.as_str() {
            // That binds the answer to a host's request, and not what comes of the plant.
            "operational-behavior-data-commands-rebirth-action-1" => true,
            "relay-birth-timestamp-increases" => world.set_at.is_some(),
            rule => rule.contains("timestamp") && was_set,
        };
        if !is_excused {
            return Err(format!("IT sees what is no Sparkplug: {finding}"));
        }
    }
    Ok(())
}

/// Every message is accounted for once; what has to be dropped for one reason is.
fn accounts(world: &mut World) -> Result<(), Violation> {
    if let Some(half) = world.ot.as_ref().filter(|half| !half.stands()) {
        let pipeline = half.pipeline();
        if let Err(imbalance) = pipeline.check_account() {
            return Err(format!("OT account: {imbalance}"));
        }
        let account = pipeline.account();
        // What was shed is counted with the next tick.
        let uncounted = world.given.saturating_sub(account.received);
        if account.received > world.given || uncounted > world.shed {
            return Err(format!("OT received {} of {}", account.received, world.given));
        }
        let is_counted = uncounted == 0;
        if is_counted {
            world.shed = 0;
        }
        for (reason, wanted) in &world.to_drop {
            let found = account.drops().find(|(of, ..)| of.name() == *reason);
            let found = found.map_or(0, |(_, messages, _)| messages);
            if found < *wanted && is_counted {
                return Err(format!("dropped as {reason}: {found} of {wanted}"));
            }
        }
    }
    if let Some(half) = &world.it
        && let Err(imbalance) = half.mirror().check_account()
    {
        return Err(format!("IT account: {imbalance}"));
    }
    Ok(())
}

/// Nothing that IT shows as good is anything but the plant's last value, as far as the relay could
/// know for some time.
pub fn no_false_good(world: &World) -> Result<(), Violation> {
    let lag = if world.was_slow { SLOW_LAG } else { LAG };
    for (node_name, shown) in world.host.nodes.iter().filter(|(_, node)| node.is_online) {
        let Some(node) = world.plant.find(node_name) else {
            return Err(format!("IT shows {node_name}, which the plant never had"));
        };
        for (device_name, metrics) in &shown.entities {
            let entities = &world.plant.nodes[node].devices;
            let in_plant = Some(policies::in_plant(device_name));
            let device = entities.iter().position(|one| one.name == in_plant);
            if device.is_none() && !device_name.is_empty() {
                return Err(format!("IT shows {node_name}/{device_name}, which never was"));
            }
            for (metric, shown) in metrics {
                let entity = world.plant.nodes[node].entity(device);
                let at = format!("{node_name}/{device_name} {metric}");
                if let Err(why) = good(world, lag, node, entity, metric, *shown) {
                    return Err(format!("IT shows {at} = {shown:?}: {why}"));
                }
            }
        }
    }
    Ok(())
}

fn good(
    world: &World,
    lag: Duration,
    node: usize,
    entity: &Entity,
    name: &str,
    shown: Shown,
) -> Result<(), Violation> {
    if ["bdSeq", REBIRTH, "Kind"].contains(&name) || name.starts_with("filler") {
        return Ok(());
    }
    let Some(metric) = entity.metrics.iter().find(|metric| metric.name == name) else {
        return Err("the plant never had it".into());
    };
    let Some(number) = shown.number.filter(|_| shown.is_good) else { return Ok(()) };
    if is_overtaken(world, node) {
        return Ok(());
    }
    let known = |id: MessageId| {
        let at = known_at(world, id)?;
        (world.now.mono.saturating_sub(at) > lag).then_some(at)
    };
    if !entity.is_alive
        && let Some(end) = entity.ended_by
        && let Some(at) = known(end)
    {
        return Err(format!("it is dead, known since {at:?}: {:?}", world.plant.sent[end]));
    }
    let said = |said: &super::plant::Said| said.number == Some(number);
    let Some(last) = metric.history.iter().rposition(said) else {
        if misread(world, node) {
            return Ok(());
        }
        return Err("this metric never had this value".into());
    };
    // What can't be read and comes before the birth that it was sent behind says nothing of it.
    let birth = entity.born_by.map(|id| (id, &world.plant.sent[id]));
    let is_nobody = |id: MessageId| {
        let sent = &world.plant.sent[id];
        sent.is_bad && birth.is_some_and(|(birth, born)| birth < id && sent.taken < born.taken)
    };
    for newer in metric.history[last + 1..].iter().filter(|newer| !is_nobody(newer.by)) {
        if is_before_by_clock(world, newer.by) {
            continue;
        }
        if let Some(at) = known(newer.by) {
            let sent = &world.plant.sent[newer.by];
            return Err(format!("{newer:?} is newer, known since {at:?}: {sent:?}"));
        }
    }
    Ok(())
}

/// It came before an NBIRTH that was sent before it, or behind data of a session whose birth was lost, and
/// the clock of its node was set back between the two: for whoever goes by what they say it is older.
fn is_before_by_clock(world: &World, id: MessageId) -> bool {
    if world.set_at.is_none() {
        return false;
    }
    let sent = &world.plant.sent[id];
    let before = || world.plant.sent[..id].iter().filter(|one| one.node == sent.node);
    let is_later = |one: &Sent| one.taken > 0 && one.wall_ms > sent.wall_ms;
    let overtook = before().any(|birth| {
        birth.kind == Kind::NBirth
            && birth.session == sent.session
            && sent.taken > 0
            && birth.taken > sent.taken
            && is_later(birth)
    });
    let is_born = |session: u32| {
        let births = before().filter(|one| one.kind == Kind::NBirth);
        births.clone().any(|one| one.session == session && one.taken > 0)
    };
    let follows_stranger =
        before().any(|one| one.session < sent.session && is_later(one) && !is_born(one.session));
    overtook || follows_stranger
}

/// Since when the relay can know that a message says something else: it heard it, or it had to
/// notice that one was missing.
fn known_at(world: &World, id: MessageId) -> Option<Duration> {
    match world.plant.sent[id].way {
        Way::Waiting => None,
        Way::Heard(at) => Some(at),
        Way::Lost(at) => lost_known_at(world, id, at),
    }
}

/// Since when the relay can know that a message is missing: it was away, or there is a hole in the
/// order of its node.
fn lost_known_at(world: &World, lost: MessageId, lost_at: Duration) -> Option<Duration> {
    let sent = &world.plant.sent;
    let heard = |one: &&Sent| {
        one.node == sent[lost].node && one.seq.is_some() && matches!(one.way, Way::Heard(_))
    };
    let before = sent[..lost].iter().rev().find(heard);
    let is_of_node = |one: &&Sent| one.node == sent[lost].node && matches!(one.way, Way::Heard(_));
    let before_in_all = sent[..lost].iter().rev().find(is_of_node);
    let behind = sent[lost + 1..].iter().find(heard);
    let at = |one: &Sent| if let Way::Heard(at) = one.way { at } else { Duration::MAX };
    // Where the next message that is heard has the number that was due, nobody can tell: as many
    // were lost as go into a round, or as the births of a session that nobody saw begin.
    // One that the half took may be judged, though others wait.
    let taken = |one: &&Sent| {
        one.node == sent[lost].node
            && one.seq.is_some()
            && (matches!(one.way, Way::Heard(_)) || (one.way == Way::Waiting && one.taken > 0))
    };
    let next = sent[lost + 1..].iter().find(taken);
    // Nor where that was the number of one that was refused before anybody read it, or that a kill has
    // it forget: the relay knows the last one before those.
    let mut known_before = sent[..lost].iter().rev().filter(heard);
    let unread = known_before.clone().take_while(|one| one.is_bad || one.is_forgotten).count();
    let follows = next.is_some_and(|behind| {
        let is_due = |one: &Sent| one.seq.map(|seq| seq.wrapping_add(1)) == behind.seq;
        behind.kind != Kind::NBirth && known_before.by_ref().take(unread + 1).any(is_due)
    });
    let returned = world.returns.iter().find(|back| back.at > lost_at);
    let returned = returned.filter(|back| {
        // What was sent before and came after the return was in order.
        let was_next = before_in_all.is_none_or(|before| at(before) < back.at);
        was_next && !(back.is_kept && follows)
    });
    let noticed = match (before, behind) {
        (Some(_), Some(behind)) if sent[lost].seq.is_some() && !follows => Some(at(behind)),
        _ => None,
    };
    match (returned.map(|back| back.at), noticed) {
        (Some(returned), Some(noticed)) => Some(returned.min(noticed)),
        (returned, noticed) => returned.or(noticed),
    }
}

/// A birth that gave the aliases anew is lost: what they mean until the next one is no promise.
fn misread(world: &World, node: usize) -> bool {
    let known = &world.plant.nodes[node];
    known.habits.shifts_aliases
        && world.plant.sent.iter().any(|sent| {
            sent.node == node
                && matches!(sent.kind, Kind::NBirth | Kind::DBirth)
                && !matches!(sent.way, Way::Heard(_))
        })
}

/// After everything has come to rest: what lives, lives.
pub fn lives(world: &World) -> Result<(), Violation> {
    for (place, node) in world.plant.nodes.iter().enumerate() {
        let shown = world.shown(&node.name);
        let is_known = |entity: &Entity| {
            entity.is_alive
                && entity.born_by.is_some_and(|id| {
                    let sent = &world.plant.sent[id];
                    matches!(sent.way, Way::Heard(_)) && !sent.is_bad && !sent.is_forgotten
                })
        };
        let may_be_dead = world.config.dies_on_gap
            || is_confused(world, place)
            || is_overtaken(world, place)
            || is_ended_unread(world, place)
            || world.speechless.contains(&place);
        if !is_known(&node.own) || may_be_dead || !is_seen(world, &node.own) {
            continue;
        }
        let Some(shown) = shown else {
            return Err(format!("{} lives, and is dead on IT", node.name));
        };
        for device in node.devices.iter().filter(|device| is_known(device)) {
            let name = world.device_on_it(node, device);
            if is_seen(world, device) && !shown.entities.contains_key(&name) {
                return Err(format!("{}/{name} lives, and is dead on IT", node.name));
            }
        }
    }
    Ok(())
}

/// An old death or birth came behind a newer birth, and nothing in it says whose it is.
fn is_confused(world: &World, node: usize) -> bool {
    let sent = || world.plant.sent.iter().filter(|sent| sent.node == node && sent.taken > 0);
    let Some(birth) = sent().rfind(|sent| sent.kind == Kind::NBirth) else {
        return false;
    };
    sent().any(|old| {
        matches!(old.kind, Kind::NDeath | Kind::NBirth)
            && old.session < birth.session
            && old.taken > birth.taken
            && (old.kind == Kind::NBirth
                || world.plant.nodes[node].habits.bd_seq != super::habits::BdSeq::Counts)
    })
}

/// A death that nobody could read came behind the birth in force: it is dead until the next one.
fn is_ended_unread(world: &World, node: usize) -> bool {
    let of_node = || world.plant.sent.iter().filter(|sent| sent.node == node && sent.taken > 0);
    let births = of_node().filter(|sent| sent.kind == Kind::NBirth);
    let born = births.map(|sent| sent.taken).max();
    of_node().any(|sent| sent.is_bad && sent.kind == Kind::NDeath && Some(sent.taken) > born)
}

/// A message came later than the relay waits, behind one that was sent after it: for the relay it was
/// lost, and what it says is older than what is known. A death at QoS 0 has no number to wait by.
fn is_overtaken(world: &World, node: usize) -> bool {
    world.overtaken.contains(&node)
}

fn is_seen(world: &World, entity: &Entity) -> bool {
    let mut metrics = entity.metrics.iter().filter(|metric| metric.is_born);
    metrics.any(|metric| sight(world, &metric.name) != Sight::Nothing)
}

fn sight(world: &World, metric: &str) -> Sight {
    policies::sight(world.ot_policy, metric, since_first(world))
}

fn since_first(world: &World) -> i64 {
    world.now.wall_ms as i64 - world.first_wall_ms as i64
}

/// After births of everything that lives, all of which were heard: IT shows exactly the plant.
pub fn equal(world: &World) -> Result<(), Violation> {
    if world.ot_policy == 3 && policies::changes_soon(since_first(world)) {
        return Ok(());
    }
    for (place, node) in world.plant.nodes.iter().enumerate() {
        let shown = world.shown(&node.name);
        let is_again = |(name, shown): &(&String, &super::host::Node)| {
            shown.is_online
                && policies::in_plant(name) == node.name
                && **name != world.name_on_it(&node.name)
        };
        if let Some((name, _)) = world.host.nodes.iter().find(is_again) {
            return Err(format!("{} is shown as {name}", node.name));
        }
        if !node.is_online || !is_seen(world, &node.own) {
            if let Some(shown) = shown {
                // Where the death was lost there is no more than a doubt.
                let is_good = |shown: &Shown| shown.is_good && shown.number.is_some_and(is_ours);
                let is_doubted = !shown.entities.values().flat_map(BTreeMap::values).any(is_good);
                let end = node.own.ended_by.filter(|_| !node.is_online);
                let is_lost =
                    end.is_some_and(|end| !matches!(world.plant.sent[end].way, Way::Heard(_)));
                let may_know = end.is_some_and(|end| known_at(world, end).is_some());
                let is_excused = is_overtaken(world, place);
                if !is_excused && (!is_lost || (may_know && !is_doubted)) {
                    return Err(format!("{} is shown: {:?}", node.name, shown.entities));
                }
            }
            continue;
        }
        let Some(shown) = shown else {
            return Err(format!("{} was born, and is dead on IT", node.name));
        };
        let none = BTreeMap::new();
        for device in node.places() {
            let entity = node.entity(device);
            let name = world.device_on_it(node, entity);
            let metrics = shown.entities.get(&name);
            let is_shown = entity.is_alive && is_seen(world, entity);
            if is_shown != metrics.is_some() {
                let (name, node) = (name, &node.name);
                return Err(format!("{node}/{name} is shown: {}", metrics.is_some()));
            }
            for metric in entity.metrics.iter().filter(|_| is_shown) {
                let number = metric.history.last().and_then(|said| said.number);
                let shown = metrics.unwrap_or(&none).get(&metric.name).copied();
                if let Err(why) = equals(sight(world, &metric.name), metric.is_born, number, shown)
                {
                    let (node, metric) = (&node.name, &metric.name);
                    return Err(format!("{node}/{name} {metric} is {number:?}: {why}: {shown:?}"));
                }
            }
        }
    }
    Ok(())
}

/// A value of the plant, and not of bdSeq or a definition.
fn is_ours(number: Number) -> bool {
    number > 1_000
}

fn equals(
    sight: Sight,
    is_born: bool,
    number: Option<Number>,
    shown: Option<Shown>,
) -> Result<(), &'static str> {
    let sight = match sight {
        Sight::UpTo(most) if number.is_some_and(|number| number > most) => Sight::Name,
        Sight::UpTo(_) => Sight::Value,
        sight => sight,
    };
    match (sight, shown) {
        (Sight::Nothing, Some(_)) => Err("the policy hides it"),
        (Sight::Nothing, None) => Ok(()),
        (Sight::Name, Some(Shown { number: Some(_), .. })) => Err("the policy hides its value"),
        (_, None) if is_born => Err("it isn't shown"),
        (Sight::Value, Some(shown)) if is_born && !(shown.is_good && shown.number == number) => {
            Err("it isn't shown as it is")
        }
        _ => Ok(()),
    }
}
