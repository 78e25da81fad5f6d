//! Why there is no session with the half's broker, by the last line that told of it: status says it too.

use std::sync::{Mutex, PoisonError};

use super::event::Event;
use super::record::Record;

/// Of this process, which has one broker.
static LAST: LastError = LastError(Mutex::new(None));

/// What was told last.
struct LastError(Mutex<Option<String>>);

/// Lines that tell why there is none.
const TROUBLES: [Event; 4] =
    [Event::BrokerDown, Event::BrokerDownForNow, Event::TlsRefused, Event::LoginRefused];

/// Takes notice of an event; `record` makes its record.
pub(super) fn notice(event: Event, record: impl FnOnce() -> Record) {
    LAST.notice(event, record);
}

/// What was told last, unless there was a session since.
pub(super) fn last() -> Option<String> {
    LAST.last()
}

impl LastError {
    fn notice(&self, event: Event, record: impl FnOnce() -> Record) {
        let error = if TROUBLES.contains(&event) {
            record().fields.into_iter().find(|(name, _)| *name == "error").map(|(_, error)| error)
        } else if event == Event::BrokerUp {
            None
        } else {
            return;
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn the_last_error_stays_until_there_is_a_session() {
        let record = |event, error: &str| {
            let mut record = Record::new(UNIX_EPOCH, event);
            record.add("broker", "b:1");
            record.add("error", error);
            record
        };
        let known = LastError(Mutex::new(None));
        known.notice(Event::TlsRefused, || record(Event::TlsRefused, "expired"));
        assert_eq!(known.last().as_deref(), Some("expired"));
        known.notice(Event::NodeDead, || panic!("not made for others"));
        assert_eq!(known.last().as_deref(), Some("expired"));
        known.notice(Event::BrokerUp, || panic!("not made for a session"));
        assert_eq!(known.last(), None);
    }
}
