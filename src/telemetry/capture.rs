//! For unit tests: which events a piece of code emits, and what of it reaches a target.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "for tests, also of other crates: a failure is a panic"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::event::{Event, Severity, TARGET};
use super::hub::{Hub, HubLayer, Output};
use super::record::{EVENT_FIELD, Record};
use super::style::Style;
use super::syslog::{Facility, Queue, Selection, Target, Transport};

/// Runs `run` and returns what it emitted on this thread, in order and unlimited.
pub fn capture(run: impl FnOnce()) -> Vec<Record> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let of_subscriber = Arc::clone(&seen);
    let subscriber = watch(move |record| of_subscriber.lock().unwrap().push(record));
    tracing::subscriber::with_default(subscriber, run);
    std::mem::take(&mut *seen.lock().unwrap())
}

/// Hands every event to `see`, on threads on which this is the subscriber.
pub fn watch(see: impl Fn(Record) + Send + Sync + 'static) -> impl Subscriber + Send + Sync {
    tracing_subscriber::registry().with(Catch(Box::new(see)))
}

/// Asserts that this event is among them; the list of triggered events is read from these calls.
#[track_caller]
pub fn triggered(records: &[Record], event: Event) {
    assert!(records.iter().any(|record| record.event == event), "no {event:?} in {records:#?}");
}

/// The clock of [`capture_limited`]: milliseconds since 1970, and since its start.
#[derive(Clone, Debug)]
pub struct LogClock {
    ms: Arc<AtomicU64>,
    hub: Arc<Hub>,
}

impl LogClock {
    /// Lets time pass. The log looks at its windows once a second, as a half has it.
    pub fn pass(&self, ms: u64) {
        for _ in 0..ms {
            if (self.ms.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(1_000) {
                self.hub.tick();
            }
        }
    }
}

/// Runs `run` before the log of a half, limits and all, and returns what a target with a queue
/// of `queue_lines` that takes nothing meanwhile had got when the half ended, and how many lines
/// it lost.
pub fn capture_limited(queue_lines: usize, run: impl FnOnce(&LogClock)) -> (Vec<Arc<Record>>, u64) {
    let ms = Arc::new(AtomicU64::new(0));
    let of_hub = Arc::clone(&ms);
    let clock = move || {
        let since = Duration::from_millis(of_hub.load(Ordering::Relaxed));
        (UNIX_EPOCH + since, since)
    };
    let target = Target {
        name: "captured".into(),
        transport: Transport::Udp { addresses: Vec::new() },
        min_severity: Severity::Info,
        selection: Selection::All,
        facility: Facility::default(),
        enterprise: 1,
        time_synced: false,
        queue_lines,
    };
    let (queue, waiting) = Queue::bounded(queue_lines);
    let filter = EnvFilter::new("off");
    let hub = Arc::new(Hub::new(
        Style { half: "ot", ansi: false },
        Box::new(clock),
        Box::new(|line| panic!("for stderr: {line}")),
        &filter,
        vec![Output { target, queue }],
    ));
    let subscriber = tracing_subscriber::registry().with(HubLayer::new(Arc::clone(&hub), filter));
    let clock = LogClock { ms, hub };
    tracing::subscriber::with_default(subscriber, || run(&clock));
    clock.hub.finish();
    let lines = waiting.receiver.try_iter().map(|queued| queued.record).collect();
    (lines, waiting.lost_so_far())
}

struct Catch(Box<dyn Fn(Record) + Send + Sync>);

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
        (self.0)(record);
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
