//! Relays that share a plant: whether their configurations fit together, so that each edge node is
//! of exactly one of them, and none is in the way of another.

mod pairs;
#[cfg(test)]
mod tests;

use std::path::Path;

use ::policy::Policy;
use config::places::{Relation, relation};
use config::{ItConfig, OtConfig};
use diagnostic::{Diagnostic, Diagnostics};
use sparkplug::Shard;
use text::{counted, escape};

use self::pairs::pairs;
use super::Checked;
use super::ends::Link;
use super::lines::line;

/// Code of these problems.
const SHARDS: &str = "C116";
/// Shards that are named.
const MAX_NAMED: usize = 8;

/// The files of one relay.
pub(super) type Relay<'a, 'p> =
    (Option<&'a Checked<'p, OtConfig>>, Option<&'a Checked<'p, ItConfig>>);

/// Whether these are files of relays that share a plant, as far as one of them says so.
pub(super) fn are_shared(of_ot: &[Checked<'_, OtConfig>]) -> bool {
    of_ot.len() > 1 && of_ot.iter().any(|one| one.config.relay.shard.is_some())
}

/// Says whether the relays fit together, and which files are of one relay. `links`: that of each relay.
pub(super) fn describe<'a, 'p>(
    text: &mut String,
    of_ot: &'a [Checked<'p, OtConfig>],
    of_it: &'a [Checked<'p, ItConfig>],
    links: &[Link<'_>],
    (warnings, errors): (&mut Diagnostics, &mut Diagnostics),
) -> Vec<Relay<'a, 'p>> {
    let before = errors.len();
    shards(of_ot, errors);
    names(of_ot, errors);
    policies(of_ot, errors);
    brokers(of_ot, |one| (&one.broker.servers, "OT"), warnings);
    let places = |one: &'_ OtConfig| {
        vec![("journal", one.journal.path.clone()), ("state directory", one.state_dir.clone())]
    };
    directories(of_ot, places, warnings);
    let (pairs, unpaired) = pairs(of_ot, of_it, links);
    errors.extend(unpaired);
    brokers(of_it, |one| (&one.broker.servers, "IT"), warnings);
    directories(of_it, |one| vec![("state directory", one.state_dir.clone())], warnings);
    own_nodes(&pairs, errors);
    copies(of_it, errors);
    hosts(of_it, warnings);
    if errors.len() == before {
        let count = of_ot.len();
        line(text, &format!("\n{} that share a plant", counted(count, "relay")));
        for one in of_ot {
            if let Some(shard) = one.config.relay.shard {
                let (shard, file) = (shard.to_string(), one.path.display());
                line(text, &format!("  shard {shard:<7} `{}`, {file}", one.config.name));
            }
        }
        line(
            text,
            "  each edge node, with its devices, is of exactly one of them, by the hash of its name",
        );
        let has_link = |one: &Checked<'_, OtConfig>| {
            one.policy.as_ref().is_some_and(|policy| policy.limits().link.is_some())
        };
        if of_ot.iter().any(has_link) {
            line(
                text,
                &format!(
                    "  `[limits.link]` holds for each of them: together they may send {count} times as much"
                ),
            );
        }
    }
    pairs
}

/// The same number of shards in all files, and each of them once.
fn shards(of_ot: &[Checked<'_, OtConfig>], errors: &mut Diagnostics) {
    let mut taken: Vec<(Shard, &Path)> = Vec::new();
    for one in of_ot {
        let Some(shard) = one.config.relay.shard else {
            let title = "no `[relay] shard`, beside files of relays that share the plant";
            let help = "without the key it has all edge nodes: two sessions for each on IT, which is none that is valid";
            errors.push(Diagnostic::file_error(SHARDS, one.path, title).help(help));
            continue;
        };
        if let Some((first, path)) = taken.first()
            && first.count() != shard.count()
        {
            let title = format!(
                "`shard = \"{shard}\"`, and `{}` has `\"{first}\"`: of how many relays?",
                path.display()
            );
            let help = "behind the slash all have the same number; else edge nodes have several relays, or none";
            errors.push(Diagnostic::file_error(SHARDS, one.path, title).help(help));
            continue;
        }
        if let Some((_, path)) = taken.iter().find(|(known, _)| *known == shard) {
            let title = format!("shard {shard} is that of `{}` already", path.display());
            let help =
                "its edge nodes would have two sessions each on IT, which is none that is valid";
            errors.push(Diagnostic::file_error(SHARDS, one.path, title).help(help));
            continue;
        }
        taken.push((shard, one.path));
    }
    let Some((first, path)) = taken.first() else { return };
    let missing: Vec<String> = first
        .all()
        .filter(|shard| taken.iter().all(|(known, _)| known != shard))
        .map(|shard| shard.to_string())
        .collect();
    if !missing.is_empty() {
        let more = missing.len().saturating_sub(MAX_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = missing.get(..MAX_NAMED).unwrap_or(&missing).join(", ");
        let title = format!("no file has the shard {named}{more}");
        let help = "their edge nodes have no relay; name the files of all relays";
        errors.push(Diagnostic::file_error(SHARDS, path, title).help(help));
    }
}

/// Two files with one value of something that has to be another one in each: for both, in order.
fn alike<'a, 'p, C, T: PartialEq>(
    files: &'a [Checked<'p, C>],
    value: impl Fn(&'a C) -> Option<T>,
) -> Vec<(&'a Checked<'p, C>, &'a Checked<'p, C>)> {
    let mut found = Vec::new();
    for (place, one) in files.iter().enumerate() {
        let Some(wanted) = value(&one.config) else { continue };
        let earlier = files.iter().take(place);
        let first =
            earlier.into_iter().find(|other| value(&other.config).as_ref() == Some(&wanted));
        found.extend(first.map(|first| (first, one)));
    }
    found
}

/// Names and client identifiers.
fn names(of_ot: &[Checked<'_, OtConfig>], errors: &mut Diagnostics) {
    for (first, one) in alike(of_ot, |config| Some(&config.name)) {
        let title = format!("`{}` is called `{}`, too", first.path.display(), one.config.name);
        let help = "a relay's name is in its journal, and that of its own edge node on IT: give each its own";
        errors.push(Diagnostic::file_error(SHARDS, one.path, title).help(help));
    }
    for (first, one) in alike(of_ot, |config| Some(&config.client_id)) {
        let id = escape(&one.config.client_id);
        let title = format!("`{}` has the client identifier `{id}`, too", first.path.display());
        let help = "a broker ends the session of one when the other connects; without `client-id` it follows from the relay's name";
        errors.push(Diagnostic::file_error(SHARDS, one.path, title).help(help));
    }
}

/// One policy, and one key for its pseudonyms.
fn policies(of_ot: &[Checked<'_, OtConfig>], errors: &mut Diagnostics) {
    fn digest<'a>(one: &'a Checked<'_, OtConfig>) -> Option<&'a str> {
        one.policy.as_ref().map(Policy::digest)
    }
    let Some((first, others)) = of_ot.split_first() else { return };
    for one in others {
        if let (Some(wanted), Some(found)) = (digest(first), digest(one))
            && wanted != found
        {
            let title = format!("another policy than that of `{}`", first.path.display());
            let help = "what crosses of an edge node would depend on its name's hash: give all relays the same policy, and compare with `sparkdiode policy diff`";
            errors.push(Diagnostic::file_error(SHARDS, one.path, title).help(help));
        }
        let key = |one: &Checked<'_, OtConfig>| {
            let key = one.config.pseudonym_key.as_ref()?;
            key.read().ok().map(|secret| secret.expose().to_owned())
        };
        if let (Some(wanted), Some(found)) = (key(first), key(one))
            && wanted != found
        {
            let title = format!("another `pseudonym-key-file` than `{}`", first.path.display());
            let help = "one value would have several pseudonyms: give all relays the same key";
            errors.push(Diagnostic::file_error(SHARDS, one.path, title).help(help));
        }
    }
}

/// Several addresses on one side are those of one cluster, or a mistake.
fn brokers<C>(
    files: &[Checked<'_, C>],
    of: impl Fn(&C) -> (&config::ServersConfig, &'static str),
    warnings: &mut Diagnostics,
) {
    let Some((first, others)) = files.split_first() else { return };
    let (wanted, side) = of(&first.config);
    for one in others {
        let (found, _) = of(&one.config);
        if !found.addresses().eq(wanted.addresses()) {
            let title = format!(
                "another broker on {side} than `{}`: `{found}`, not `{wanted}`",
                first.path.display()
            );
            let help = "that is right where both are servers of one cluster; of two brokers each relay sees a part";
            warnings.push(Diagnostic::file_warning(SHARDS, one.path, title).help(help));
        }
    }
}

/// What two relays on one machine would both write.
fn directories<C>(
    files: &[Checked<'_, C>],
    places: impl Fn(&C) -> Vec<(&'static str, std::path::PathBuf)>,
    warnings: &mut Diagnostics,
) {
    for (place, one) in files.iter().enumerate() {
        for (what, path) in places(&one.config) {
            let is_shared = |other: &&Checked<'_, C>| {
                places(&other.config).iter().any(|(of, other)| {
                    *of == what && relation(&path, other) == Some(Relation::Same)
                })
            };
            let Some(first) = files.iter().take(place).find(is_shared) else { continue };
            let title =
                format!("the {what} of `{}`, too: `{}`", first.path.display(), path.display());
            let help = "right on two machines; on one, the second relay doesn't start";
            warnings.push(Diagnostic::file_warning(SHARDS, one.path, title).help(help));
        }
    }
}

/// The relays' own edge nodes on IT.
fn own_nodes(relays: &[Relay<'_, '_>], errors: &mut Diagnostics) {
    let name = |(ot, it): &Relay<'_, '_>| {
        let health = it.as_ref()?.config.health.as_ref()?;
        let edge_node = health.edge_node.clone().or(ot.map(|ot| ot.config.name.clone()))?;
        Some((health.group.clone(), edge_node))
    };
    for (place, relay) in relays.iter().enumerate() {
        let (Some(wanted), Some(it)) = (name(relay), relay.1) else { continue };
        let is_same = |other: &&Relay<'_, '_>| name(other).as_ref() == Some(&wanted);
        let Some((_, Some(first))) = relays.iter().take(place).find(is_same) else { continue };
        let own = escape(&format!("{}/{}", wanted.0, wanted.1)).to_string();
        let title = format!("the relay of `{}` shows itself as `{own}`, too", first.path.display());
        let help = "`[health] edge-node`: without the key it follows from the relay's name";
        errors.push(Diagnostic::file_error(SHARDS, it.path, title).help(help));
    }
}

/// The copies of the policy that IT halves have.
fn copies(of_it: &[Checked<'_, ItConfig>], errors: &mut Diagnostics) {
    let mut copies = of_it.iter().filter_map(|one| Some((one.path, one.policy.as_ref()?)));
    let Some((first, wanted)) = copies.next() else { return };
    for (path, _) in copies.filter(|(_, copy)| copy.digest() != wanted.digest()) {
        let title = format!("another copy of the policy than that of `{}`", first.display());
        let help = "give all IT halves the same, or none";
        errors.push(Diagnostic::file_error(SHARDS, path, title).help(help));
    }
}

/// Whom the sessions on IT wait for.
fn hosts(of_it: &[Checked<'_, ItConfig>], warnings: &mut Diagnostics) {
    let Some((first, others)) = of_it.split_first() else { return };
    let host = |one: &Checked<'_, ItConfig>| one.config.mirror.primary_host.clone();
    for one in others.iter().filter(|one| host(one) != host(first)) {
        let shown = |one| match host(one) {
            Some(host) => format!("for `{}`", escape(&host)),
            None => "for nobody".to_owned(),
        };
        let title = format!(
            "its edge nodes wait {}, and those of `{}` {}",
            shown(one),
            first.path.display(),
            shown(first)
        );
        let help = "`[mirror] primary-host`: hosts see edge nodes of one plant come and go apart";
        warnings.push(Diagnostic::file_warning(SHARDS, one.path, title).help(help));
    }
}
