//! For unit tests: which events a piece of code tells.

use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::event::{Event, TARGET};
use super::record::{EVENT_FIELD, Record};

/// Runs `run` and returns what it told on this thread, in order and unlimited.
pub(crate) fn capture(run: impl FnOnce()) -> Vec<Record> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let subscriber = tracing_subscriber::registry().with(Catch(Arc::clone(&seen)));
    tracing::subscriber::with_default(subscriber, run);
    std::mem::take(&mut *seen.lock().unwrap())
}

/// Asserts that this event is among them; the list of triggered events is read from these calls.
#[track_caller]
pub(crate) fn triggered(records: &[Record], event: Event) {
    assert!(records.iter().any(|record| record.event == event), "no {event:?} in {records:#?}");
}

struct Catch(Arc<Mutex<Vec<Record>>>);

impl<S: Subscriber> Layer<S> for Catch {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != TARGET {
            return;
        }
        let mut number = Number(None);
        event.record(&mut number);
        let kind = Event::ALL[usize::try_from(number.0.unwrap()).unwrap()];
        let mut record = Record::new(UNIX_EPOCH, kind);
        event.record(&mut record);
        self.0.lock().unwrap().push(record);
    }
}

struct Number(Option<u64>);

impl Visit for Number {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == EVENT_FIELD {
            self.0 = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
