//! Which ends are of which of several relays that share a plant: a sending end is of the OT half whose
//! journal it reads, both ends have one link's name, and a receiving end writes what an IT half reads. Where
//! journals have one path on several machines, files in one directory are of one relay.

use std::path::Path;

use config::places::{Relation, relation};
use config::{Half, ItConfig, OtConfig};
use diagnostic::Diagnostic;

use super::beside::CODE;
use super::{Ends, Link};
use crate::cli::check::{Checked, second};

impl Ends {
    /// The link of each of these relays, and what is wrong with ends that are of none.
    pub(in crate::cli::check) fn of_relays<'a>(
        &'a self,
        of_ot: &[Checked<'_, OtConfig>],
    ) -> (Vec<Link<'a>>, Vec<Diagnostic>) {
        let mut links: Vec<Link<'a>> = of_ot.iter().map(|_| Link::default()).collect();
        let mut problems = Vec::new();
        for (path, config) in &self.send {
            let reads = |ot: &Checked<'_, OtConfig>| {
                relation(&ot.config.journal.path, &config.journal_path) == Some(Relation::Same)
            };
            let places = best(of_ot, reads, |ot| is_beside(ot.path, path));
            let is_free =
                |place: &&usize| links.get(**place).is_some_and(|link| link.send.is_none());
            let place = places.iter().find(is_free).or(places.first()).copied();
            let Some(link) = place.and_then(|place| links.get_mut(place)) else {
                let journal = config.journal_path.display();
                let title = format!("which relay's sending end is this? It reads `{journal}`");
                let help =
                    "it belongs beside its relay's `ot.toml`, or reads the journal of one of them";
                problems.push(Diagnostic::file_error(CODE, path, title).help(help));
                continue;
            };
            match link.send {
                Some((first, _)) => problems.push(second(Half::Send, first, path)),
                None => link.send = Some((path, config)),
            }
        }
        for (path, config) in &self.receive {
            let is_of =
                |link: &&mut Link<'_>| link.send.is_some_and(|(_, send)| send.link == config.link);
            let Some(link) = links.iter_mut().find(is_of) else { continue };
            match link.receive {
                Some((first, _)) => problems.push(second(Half::Receive, first, path)),
                None => link.receive = Some((path, config)),
            }
        }
        (links, problems)
    }

    /// Receiving ends whose link no sending end has: by the IT half that reads what they write. What is wrong
    /// with those that none reads.
    pub(in crate::cli::check) fn by_readers<'a>(
        &'a self,
        links: &mut [Link<'a>],
        its: &[Option<(&Path, &ItConfig)>],
    ) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        for (path, config) in &self.receive {
            if links.iter().any(|link| link.receive.is_some_and(|(known, _)| known == path)) {
                continue;
            }
            let reads = |it: &Option<(&Path, &ItConfig)>| {
                it.is_some_and(|(_, it)| {
                    relation(&config.journal.path, &it.journal_path) == Some(Relation::Same)
                })
            };
            let beside =
                |it: &Option<(&Path, &ItConfig)>| it.is_some_and(|(it, _)| is_beside(it, path));
            let places = best(its, reads, beside);
            let free = places
                .into_iter()
                .find(|place| links.get(*place).is_some_and(|link| link.receive.is_none()));
            match free.and_then(|place| links.get_mut(place)) {
                Some(link) => link.receive = Some((path, config)),
                None => {
                    let title = format!(
                        "which relay's receiving end is this? Its link is `{}`",
                        config.link
                    );
                    let help = "a sending end of the same link belongs to it, or an IT half that reads its journal";
                    problems.push(Diagnostic::file_error(CODE, path, title).help(help));
                }
            }
        }
        problems
    }
}

/// Places of those that fit in both ways; else of those beside, else of those by their journal.
fn best<T>(all: &[T], reads: impl Fn(&T) -> bool, beside: impl Fn(&T) -> bool) -> Vec<usize> {
    let places = |fits: &dyn Fn(&T) -> bool| -> Vec<usize> {
        all.iter().enumerate().filter(|(_, one)| fits(one)).map(|(place, _)| place).collect()
    };
    for fits in [&|one: &T| reads(one) && beside(one), &beside, &reads] as [&dyn Fn(&T) -> bool; 3]
    {
        let found = places(fits);
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

/// Whether an IT half reads what a receiving end writes, or lies beside it.
pub(in crate::cli::check) fn is_read_by(
    link: &Link<'_>,
    it: (&Path, &ItConfig),
) -> Option<Closeness> {
    let (path, receive) = link.receive?;
    let reads = relation(&receive.journal.path, &it.1.journal_path) == Some(Relation::Same);
    match (reads, is_beside(path, it.0)) {
        (true, true) => Some(Closeness::Both),
        (false, true) => Some(Closeness::Beside),
        (true, false) => Some(Closeness::Reads),
        (false, false) => None,
    }
}

/// Whether two files lie in one directory.
pub(in crate::cli::check) fn is_beside(one: &Path, other: &Path) -> bool {
    let directory = |path: &Path| std::path::absolute(path).ok()?.parent().map(Path::to_owned);
    directory(one) == directory(other)
}

/// How surely two files are of one relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::check) enum Closeness {
    Both,
    Beside,
    Reads,
}

#[cfg(test)]
mod tests;
