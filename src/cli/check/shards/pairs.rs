//! Which file of an IT half is of which relay: the one that reads what the receiving end of the relay's link
//! writes, or, without a link, the one in the same directory that reads the relay's journal, else one of both.
//! On several machines journals may have the same path.

use config::places::{Relation, relation};
use config::{Half, ItConfig, OtConfig};
use diagnostic::Diagnostic;

use super::{Relay, SHARDS};
use crate::cli::check::ends::{Closeness, Link, is_beside, is_read_by};
use crate::cli::check::{Checked, second};

/// The relays, and what is wrong with files that are of none, or missing.
pub(super) fn pairs<'a, 'p>(
    of_ot: &'a [Checked<'p, OtConfig>],
    of_it: &'a [Checked<'p, ItConfig>],
    links: &[Link<'_>],
) -> (Vec<Relay<'a, 'p>>, Vec<Diagnostic>) {
    let mut relays: Vec<Relay<'a, 'p>> = of_ot.iter().map(|ot| (Some(ot), None)).collect();
    let mut problems = Vec::new();
    for it in of_it {
        let mut matching: Vec<usize> = Vec::new();
        for closeness in [Closeness::Both, Closeness::Beside, Closeness::Reads] {
            let found = links.iter().enumerate();
            let found = found
                .filter(|(_, link)| is_read_by(link, (it.path, &it.config)) == Some(closeness));
            matching.extend(found.map(|(place, _)| place));
        }
        for is_of in [both, beside, reads] {
            if !matching.is_empty() {
                break;
            }
            let found = of_ot.iter().enumerate().filter(|(_, ot)| is_of(ot, it));
            matching = found.map(|(place, _)| place).collect();
        }
        let is_free = |place: &&usize| relays.get(**place).is_some_and(|(_, it)| it.is_none());
        let place = matching.iter().find(is_free).or(matching.first()).copied();
        let Some((_, taken)) = place.and_then(|place| relays.get_mut(place)) else {
            let journal = it.config.journal_path.display();
            let title = format!("which relay's IT half is this? It reads `{journal}`");
            let help =
                "it belongs beside its relay's `ot.toml`, or reads the journal of one of them";
            problems.push(Diagnostic::file_error(SHARDS, it.path, title).help(help));
            continue;
        };
        match taken {
            Some(first) => problems.push(second(Half::It, first.path, it.path)),
            None => *taken = Some(it),
        }
    }
    if !of_it.is_empty() {
        for (ot, _) in relays.iter().filter(|(_, it)| it.is_none()) {
            let Some(ot) = ot else { continue };
            let title = "no file of this relay's IT half, beside those of other relays";
            let help = "name those of all relays, or none";
            problems.push(Diagnostic::file_error(SHARDS, ot.path, title).help(help));
        }
    }
    (relays, problems)
}

fn both(ot: &Checked<'_, OtConfig>, it: &Checked<'_, ItConfig>) -> bool {
    beside(ot, it) && reads(ot, it)
}

fn beside(ot: &Checked<'_, OtConfig>, it: &Checked<'_, ItConfig>) -> bool {
    is_beside(ot.path, it.path)
}

fn reads(ot: &Checked<'_, OtConfig>, it: &Checked<'_, ItConfig>) -> bool {
    relation(&ot.config.journal.path, &it.config.journal_path) == Some(Relation::Same)
}
