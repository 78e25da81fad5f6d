//! Subscriptions at the OT broker: what is asked for, one request at a time, and what the broker
//! makes of it. A request that was refused is repeated later, one that wasn't answered isn't. Sans-IO:
//! time comes in, requests are polled.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sparkplug::CERTIFICATES_PREFIX;

/// What was refused is asked for again after this; the pause doubles …
const FIRST_AGAIN: Duration = Duration::from_secs(15);
/// … up to this.
const LAST_AGAIN: Duration = Duration::from_secs(600);
/// So many connections in a row that ended at the request for the stored births, and it isn't made any
/// more: one may be chance.
const STORED_BIRTH_ENDS: u32 = 2;
/// Filters that are named where there are many.
const MAX_NAMED: usize = 8;

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Subscribe(Vec<String>),
    Unsubscribe(Vec<String>),
}

/// Something that people should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// These filters are refused, and weren't before.
    Refused(Vec<String>),
    /// These were refused, and aren't any more.
    Granted(Vec<String>),
    StoredBirthsRefused,
    /// The request for these filters has no answer for so long.
    Unanswered {
        filters: Vec<String>,
        waited: Duration,
    },
    /// So many connections in a row ended while the request for these filters had no answer.
    EndsSession {
        filters: Vec<String>,
        times: u32,
    },
    /// So many connections in a row ended while the request for the stored births had no answer;
    /// `given_up`: it isn't made any more.
    StoredBirthsEndSession {
        times: u32,
        given_up: bool,
    },
}

/// Why somebody should look, while it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Nothing comes.
    pub(crate) critical: bool,
    pub(crate) words: String,
}

/// What the broker has granted and refused, and why somebody should look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscribed {
    pub(crate) granted: Vec<String>,
    pub(crate) refused: Vec<String>,
    pub(crate) trouble: Option<Trouble>,
}

/// What becomes of the request for the stored births.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum StoredBirths {
    #[default]
    Wanted,
    Granted,
    /// Told once; asked for again like filters.
    Refused,
    /// The broker ends the connection at it.
    GivenUp,
}

/// A request that has no answer.
#[derive(Clone, Debug)]
struct Asked {
    /// Empty: for the stored births.
    filters: Vec<String>,
    since: Instant,
    /// Something came last.
    heard: Instant,
    told: bool,
}

#[derive(Debug)]
pub(super) struct Subscriptions {
    answer_within: Duration,
    wanted: BTreeSet<String>,
    /// Not wanted any more, and the broker may still have them.
    unwanted: BTreeSet<String>,
    granted: BTreeSet<String>,
    refused: BTreeSet<String>,
    stored_births: StoredBirths,
    connected: bool,
    /// To be asked for, and whether the stored births are.
    due: BTreeSet<String>,
    stored_births_due: bool,
    asked: Option<Asked>,
    /// When what was refused is asked for again, and the pause before the next time.
    again: Option<Instant>,
    pause: Duration,
    /// Connections in a row that ended at the request for filters.
    ends: u32,
    /// The same, for the stored births.
    stored_birth_ends: u32,
    /// The last request had no answer in time.
    unanswered: bool,
}

impl Subscriptions {
    pub(super) fn new(
        filters: impl IntoIterator<Item = String>,
        answer_within: Duration,
    ) -> Subscriptions {
        Subscriptions {
            answer_within,
            wanted: filters.into_iter().collect(),
            unwanted: BTreeSet::new(),
            granted: BTreeSet::new(),
            refused: BTreeSet::new(),
            stored_births: StoredBirths::default(),
            connected: false,
            due: BTreeSet::new(),
            stored_births_due: false,
            asked: None,
            again: None,
            pause: FIRST_AGAIN,
            ends: 0,
            stored_birth_ends: 0,
            unanswered: false,
        }
    }

    /// Other filters are wanted from now on. What was refused is asked for again at once.
    pub(super) fn refilter(&mut self, filters: impl IntoIterator<Item = String>) {
        let wanted: BTreeSet<String> = filters.into_iter().collect();
        self.unwanted.extend(self.wanted.difference(&wanted).cloned());
        self.unwanted.retain(|filter| !wanted.contains(filter));
        self.granted.retain(|filter| wanted.contains(filter));
        self.refused.retain(|filter| wanted.contains(filter));
        self.due = wanted.difference(&self.granted).cloned().collect();
        self.stored_births_due |= self.stored_births == StoredBirths::Refused;
        self.wanted = wanted;
        self.pause = FIRST_AGAIN;
    }

    /// There is a connection; `present`: the broker has kept the session.
    pub(super) fn connected(&mut self, present: bool) {
        self.connected = true;
        self.granted.clear();
        if !present {
            self.unwanted.clear();
        }
        self.due.clone_from(&self.wanted);
        self.stored_births_due =
            matches!(self.stored_births, StoredBirths::Wanted | StoredBirths::Granted);
    }

    /// The next thing to send.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Request> {
        if self.again.is_some_and(|again| again <= now) {
            self.again = None;
            self.due.extend(self.refused.iter().cloned());
            self.stored_births_due |= self.stored_births == StoredBirths::Refused;
        }
        if !self.connected || self.asked.is_some() {
            return None;
        }
        if !self.unwanted.is_empty() {
            // Where this is lost with the connection, the policy refuses what comes.
            let unwanted = std::mem::take(&mut self.unwanted);
            return Some(Request::Unsubscribe(unwanted.into_iter().collect()));
        }
        let filters: Vec<String> = std::mem::take(&mut self.due).into_iter().collect();
        if filters.is_empty() && !std::mem::take(&mut self.stored_births_due) {
            return None;
        }
        let asked = Asked { filters, since: now, heard: now, told: false };
        let request = Request::Subscribe(asked.names());
        self.asked = Some(asked);
        Some(request)
    }

    /// The broker answers: for each filter, whether it is granted.
    pub(super) fn answered(&mut self, now: Instant, granted: &[bool]) -> Vec<Said> {
        let Some(Asked { filters, .. }) = self.asked.take() else {
            mistake::mistake!("an answer to a request that wasn't made");
            return Vec::new();
        };
        self.unanswered = false;
        let mut said = Vec::new();
        if filters.is_empty() {
            self.stored_birth_ends = 0;
            let before = self.stored_births;
            self.stored_births = match granted {
                [true, ..] => StoredBirths::Granted,
                _ => StoredBirths::Refused,
            };
            if self.stored_births == StoredBirths::Refused && before != StoredBirths::Refused {
                said.push(Said::StoredBirthsRefused);
            }
        } else {
            self.ends = 0;
            let (mut newly, mut regained) = (Vec::new(), Vec::new());
            let answers = filters.into_iter().zip(granted);
            for (filter, granted) in answers.filter(|(filter, _)| self.wanted.contains(filter)) {
                if *granted {
                    self.due.remove(&filter);
                    if self.refused.remove(&filter) {
                        regained.push(filter.clone());
                    }
                    self.granted.insert(filter);
                } else if self.refused.insert(filter.clone()) {
                    newly.push(filter);
                }
            }
            said.extend((!newly.is_empty()).then_some(Said::Refused(newly)));
            said.extend((!regained.is_empty()).then_some(Said::Granted(regained)));
        }
        if self.refused.is_empty() && self.stored_births != StoredBirths::Refused {
            self.pause = FIRST_AGAIN;
        } else if self.again.is_none() {
            self.again = now.checked_add(self.pause);
            self.pause = self.pause.saturating_mul(2).min(LAST_AGAIN);
        }
        said
    }

    /// Messages came: the broker is there, and may be busy with them.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Some(asked) = &mut self.asked {
            asked.heard = now;
        }
    }

    /// When [`Subscriptions::overdue`] and [`Subscriptions::poll`] have something to look at.
    pub(super) fn next_look(&self) -> Option<Instant> {
        match &self.asked {
            Some(asked) => asked.until(self.answer_within),
            None => self.again.filter(|_| self.connected),
        }
    }

    /// What to say of a request that has no answer, and whether the connection is to be given up.
    pub(super) fn overdue(&mut self, now: Instant) -> (Option<Said>, bool) {
        let within = self.answer_within;
        let Some(asked) = &mut self.asked else { return (None, false) };
        let waited = now.saturating_duration_since(asked.since);
        if waited < within {
            return (None, false);
        }
        self.unanswered = true;
        let first = !std::mem::replace(&mut asked.told, true);
        let gives_up = now.saturating_duration_since(asked.heard) >= within;
        (first.then(|| Said::Unanswered { filters: asked.names(), waited }), gives_up)
    }

    /// The connection is over; `by_broker`: we didn't end it.
    pub(super) fn ended(&mut self, by_broker: bool) -> Option<Said> {
        self.connected = false;
        self.granted.clear();
        let asked = self.asked.take()?;
        if !by_broker {
            return None;
        }
        if asked.filters.is_empty() {
            self.stored_birth_ends = self.stored_birth_ends.saturating_add(1);
            let (times, given_up) =
                (self.stored_birth_ends, self.stored_birth_ends >= STORED_BIRTH_ENDS);
            if given_up {
                self.stored_births = StoredBirths::GivenUp;
            }
            return Some(Said::StoredBirthsEndSession { times, given_up });
        }
        self.ends = self.ends.saturating_add(1);
        Some(Said::EndsSession { filters: asked.names(), times: self.ends })
    }

    /// How it stands with the broker; `trouble`: why somebody should look besides.
    pub(super) fn stands(&self, trouble: impl FnOnce() -> Option<Trouble>) -> Subscribed {
        Subscribed {
            granted: self.granted.iter().cloned().collect(),
            refused: self.refused.iter().cloned().collect(),
            trouble: self.trouble().or_else(trouble),
        }
    }

    /// Why somebody should look, while it lasts.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let all = self.wanted.len();
        if self.ends > 1 {
            let words = format!(
                "the OT broker ended {} connections in a row at our subscription",
                self.ends
            );
            return Some(Trouble { critical: true, words });
        }
        if self.unanswered {
            let words = "the OT broker doesn't answer our subscription".to_owned();
            return Some(Trouble { critical: true, words });
        }
        if self.refused.is_empty() {
            return None;
        }
        let (count, names) = (self.refused.len(), list(self.refused.iter()));
        let words = format!("the OT broker refuses {count} of {all} subscriptions: {names}");
        Some(Trouble { critical: count >= all, words })
    }
}

impl Asked {
    /// The first look at a request without an answer, and the next ones.
    fn until(&self, within: Duration) -> Option<Instant> {
        let since = if self.told { self.heard } else { self.since };
        since.checked_add(within)
    }

    fn names(&self) -> Vec<String> {
        match self.filters.is_empty() {
            true => vec![format!("{CERTIFICATES_PREFIX}#")],
            false => self.filters.clone(),
        }
    }
}

/// The first ones by name, and how many more there are.
pub(super) fn list<'a>(filters: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = filters.len().saturating_sub(MAX_NAMED);
    let named: Vec<&str> = filters.take(MAX_NAMED).map(String::as_str).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

#[cfg(test)]
mod tests;
