//! How long a trouble lasted that is over: lines that tell of a recovery say it. Sans-IO.

use std::time::Duration;

use super::event::Event;

/// Which event tells that the trouble of another one is over, and whether it is that of one source.
const PAIRS: &[(Event, Event, bool)] = &[
    (Event::BrokerDown, Event::BrokerUp, false),
    (Event::TlsRefused, Event::BrokerUp, false),
    (Event::DiskError, Event::DiskOk, true),
    (Event::LinkSilent, Event::LinkBack, false),
    (Event::PathDown, Event::PathUp, true),
    (Event::PathRefused, Event::PathUp, true),
    (Event::LinkStale, Event::LinkAlive, false),
    (Event::LogTargetDown, Event::LogTargetUp, true),
    (Event::CertNotRenewed, Event::CertRenewed, false),
];
/// Troubles that are known at once; there are few of each kind.
const MAX_TROUBLES: usize = 64;

/// The field that says it.
pub(super) const LASTED: &str = "lasted_s";

/// Troubles that go on.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// By the event that will end it and its source.
    since: Vec<(Event, Box<str>, Duration)>,
}

impl Troubles {
    /// Takes notice of an event; of one that ends a trouble, how long that lasted.
    pub(super) fn notice(&mut self, now: Duration, event: Event, source: &str) -> Option<Duration> {
        let known = |since: &[(Event, Box<str>, Duration)], over: Event, source: &str| {
            since.iter().position(|(event, of, _)| *event == over && **of == *source)
        };
        if let Some((_, over, by_source)) = PAIRS.iter().find(|(trouble, ..)| *trouble == event) {
            let source = if *by_source { source } else { "" };
            if known(&self.since, *over, source).is_none() && self.since.len() < MAX_TROUBLES {
                self.since.push((*over, source.into(), now));
            }
            return None;
        }
        let (_, over, by_source) = PAIRS.iter().find(|(_, over, _)| *over == event)?;
        let source = if *by_source { source } else { "" };
        let place = known(&self.since, *over, source)?;
        let (_, _, since) = self.since.swap_remove(place);
        Some(now.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Limit;

    #[test]
    fn a_recovery_says_how_long_the_first_line_of_the_trouble_is_ago() {
        let mut troubles = Troubles::default();
        let mut at =
            |second, event, source| troubles.notice(Duration::from_secs(second), event, source);
        assert_eq!(at(1, Event::BrokerUp, ""), None, "the first connection ends no trouble");
        assert_eq!(at(10, Event::BrokerDown, ""), None);
        assert_eq!(at(20, Event::TlsRefused, ""), None);
        assert_eq!(at(30, Event::DiskError, "journal"), None);
        assert_eq!(at(40, Event::BrokerUp, ""), Some(Duration::from_secs(30)));
        assert_eq!(at(41, Event::BrokerUp, ""), None);
        assert_eq!(at(50, Event::DiskOk, "plant"), None);
        assert_eq!(at(50, Event::DiskOk, "journal"), Some(Duration::from_secs(20)));
    }

    #[test]
    fn events_of_one_source_say_which_and_recoveries_have_the_field() {
        for (trouble, over, by_source) in PAIRS {
            let named = |event: &Event| matches!(event.entry().limit, Limit::PerSource(_));
            assert!(!by_source || (named(trouble) && named(over)), "{}", trouble.msgid());
            let field = over.entry().fields.iter().find(|field| field.name == LASTED);
            assert!(field.is_some_and(|field| field.optional), "{}", over.msgid());
        }
    }
}
