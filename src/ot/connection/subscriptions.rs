//! Subscriptions at the OT broker: what is asked for, one request at a time, and what the broker
//! makes of it. A request that was refused is repeated later, one that wasn't answered isn't. Sans-IO:
//! time comes in, requests are polled.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use client::Grant;

use super::extras::{Extra, Extras, Standing};

/// What was refused is asked for again after this; the pause doubles …
const FIRST_AGAIN: Duration = Duration::from_secs(15);
/// … up to this.
const LAST_AGAIN: Duration = Duration::from_secs(600);
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
    /// At QoS 0, though QoS 1 was asked for.
    Weaker(Vec<String>),
    ExtraRefused(Extra),
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
    /// So many connections in a row ended while the request for something that the relay can do
    /// without had no answer; `given_up`: it isn't made any more.
    ExtraEndsSession {
        extra: Extra,
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

/// A request that has no answer.
#[derive(Clone, Debug)]
struct Asked {
    filters: Vec<String>,
    /// It isn't for what the policy wants.
    extra: Option<Extra>,
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
    /// Granted at QoS 0.
    weaker: BTreeSet<String>,
    extras: Extras,
    /// The broker has said that it takes no wildcards.
    without_wildcards: bool,
    connected: bool,
    /// To be asked for.
    due: BTreeSet<String>,
    asked: Option<Asked>,
    /// When what was refused is asked for again, and the pause before the next time.
    again: Option<Instant>,
    pause: Duration,
    /// Connections in a row that ended at the request for filters.
    ends: u32,
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
            weaker: BTreeSet::new(),
            extras: Extras::default(),
            without_wildcards: false,
            connected: false,
            due: BTreeSet::new(),
            asked: None,
            again: None,
            pause: FIRST_AGAIN,
            ends: 0,
            unanswered: false,
        }
    }

    /// What hosts of the plant say of themselves is wanted as well.
    pub(super) fn with_host_states(mut self) -> Subscriptions {
        self.extras.want(Extra::HostStates);
        self
    }

    /// Other filters are wanted from now on. What was refused is asked for again at once.
    pub(super) fn refilter(&mut self, filters: impl IntoIterator<Item = String>) {
        let wanted: BTreeSet<String> = filters.into_iter().collect();
        self.unwanted.extend(self.wanted.difference(&wanted).cloned());
        self.unwanted.retain(|filter| !wanted.contains(filter));
        self.granted.retain(|filter| wanted.contains(filter));
        self.refused.retain(|filter| wanted.contains(filter));
        self.weaker.retain(|filter| wanted.contains(filter));
        self.due = wanted.difference(&self.granted).cloned().collect();
        self.extras.ask_refused_again();
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
        self.extras.connected();
    }

    /// Whether the broker of this connection takes filters with wildcards (MQTT 5 §3.2.2.3.11); those that it
    /// doesn't take aren't asked for, and count as refused.
    pub(super) fn take_wildcards(&mut self, takes: bool) -> Option<Said> {
        self.without_wildcards = !takes;
        if takes {
            return None;
        }
        let all = self.wanted.iter().filter(|filter| has_wildcard(filter));
        let newly: Vec<String> =
            all.filter(|filter| !self.refused.contains(*filter)).cloned().collect();
        self.refused.extend(newly.iter().cloned());
        (!newly.is_empty()).then_some(Said::Refused(newly))
    }

    /// The next thing to send.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Request> {
        if self.again.is_some_and(|again| again <= now) {
            self.again = None;
            self.due.extend(self.refused.iter().cloned());
            self.extras.ask_refused_again();
        }
        if !self.connected || self.asked.is_some() {
            return None;
        }
        if !self.unwanted.is_empty() {
            // Where this is lost with the connection, the policy refuses what comes.
            let unwanted = std::mem::take(&mut self.unwanted);
            return Some(Request::Unsubscribe(unwanted.into_iter().collect()));
        }
        let mut filters: Vec<String> = std::mem::take(&mut self.due).into_iter().collect();
        let mut extra = None;
        if self.without_wildcards {
            filters.retain(|filter| !has_wildcard(filter));
            // What the relay can do without has some in each filter.
            if filters.is_empty() {
                return None;
            }
        }
        if filters.is_empty() {
            let next = self.extras.next()?;
            filters = next.filters();
            extra = Some(next);
        }
        let asked = Asked { filters, extra, since: now, heard: now, told: false };
        let request = Request::Subscribe(asked.filters.clone());
        self.asked = Some(asked);
        Some(request)
    }

    /// The broker answers: for each filter, how it is granted.
    pub(super) fn answered(&mut self, now: Instant, grants: &[Grant]) -> Vec<Said> {
        let Some(Asked { filters, extra, .. }) = self.asked.take() else {
            mistake::mistake!("an answer to a request that wasn't made");
            return Vec::new();
        };
        self.unanswered = false;
        let mut said = Vec::new();
        if let Some(extra) = extra {
            let granted = grants.iter().any(|grant| *grant != Grant::Refused);
            if self.extras.answered(extra, granted) {
                said.push(Said::ExtraRefused(extra));
            }
        } else {
            self.ends = 0;
            let (mut newly, mut regained, mut weaker) = (Vec::new(), Vec::new(), Vec::new());
            let answers = filters.into_iter().zip(grants);
            for (filter, grant) in answers.filter(|(filter, _)| self.wanted.contains(filter)) {
                if *grant == Grant::Refused {
                    self.weaker.remove(&filter);
                    if self.refused.insert(filter.clone()) {
                        newly.push(filter);
                    }
                    continue;
                }
                self.due.remove(&filter);
                if self.refused.remove(&filter) {
                    regained.push(filter.clone());
                }
                if *grant == Grant::AtLeastOnce {
                    self.weaker.remove(&filter);
                } else if self.weaker.insert(filter.clone()) {
                    weaker.push(filter.clone());
                }
                self.granted.insert(filter);
            }
            said.extend((!newly.is_empty()).then_some(Said::Refused(newly)));
            said.extend((!regained.is_empty()).then_some(Said::Granted(regained)));
            said.extend((!weaker.is_empty()).then_some(Said::Weaker(weaker)));
        }
        if self.refused.is_empty() && !self.extras.any(Standing::Refused) {
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
        (first.then(|| Said::Unanswered { filters: asked.filters.clone(), waited }), gives_up)
    }

    /// The connection is over; `by_broker`: we didn't end it.
    pub(super) fn ended(&mut self, by_broker: bool) -> Option<Said> {
        self.connected = false;
        self.granted.clear();
        let asked = self.asked.take()?;
        if !by_broker {
            return None;
        }
        if let Some(extra) = asked.extra {
            let (times, given_up) = self.extras.ended(extra);
            return Some(Said::ExtraEndsSession { extra, times, given_up });
        }
        self.ends = self.ends.saturating_add(1);
        Some(Said::EndsSession { filters: asked.filters, times: self.ends })
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
            let count = self.weaker.len();
            let words = || {
                format!(
                    "the OT broker grants {count} of {all} subscriptions at QoS 0 alone: what is sent \
                     while the relay is away is lost"
                )
            };
            return (count > 0).then(|| Trouble { critical: false, words: words() });
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
}

fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
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
