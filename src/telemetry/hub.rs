//! Where every event comes together: a `tracing-subscriber` layer that takes events of the
//! catalogue into records, limits them, and hands each to every output. What else is logged goes
//! to stderr alone, as `--log` says.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mistake::mistake;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::broker_error;
use super::event::{Event, Limit, TARGET};
use super::flood::{Flood, Repeated};
use super::record::{BETWEEN, EVENT_FIELD, Record};
use super::recovery::{LASTED, Troubles};
use super::style::Style;
use super::syslog::{Queue, Target};

/// Wall clock, and time since any fixed start.
pub(super) type Clock = Box<dyn Fn() -> (SystemTime, Duration) + Send + Sync>;
/// Takes a line for people; must not wait.
pub(super) type ToStderr = Box<dyn Fn(String) + Send + Sync>;

/// A syslog target and the queue before it.
pub(super) struct Output {
    pub(super) target: Target,
    pub(super) queue: Queue,
}

/// A value that shows whether a receiver reads structured data well: what RFC 5424 escapes, what
/// we escape, and a letter beyond ASCII.
pub const TEST_VALUE: &str = "a \"test\" [ü] \\ \n";
/// Characters of a source's value by which sources are distinguished.
const MAX_SOURCE_CHARS: usize = 256;

/// What the layer and the clock of the log share.
pub(super) struct Hub {
    style: Style,
    clock: Clock,
    flood: Mutex<Flood>,
    troubles: Mutex<Troubles>,
    stderr: ToStderr,
    outputs: Vec<Output>,
    /// What stderr shows at most; for summaries, which come from no place that a filter knows.
    stderr_max: LevelFilter,
}

impl fmt::Debug for Hub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hub").field("style", &self.style).finish_non_exhaustive()
    }
}

impl Hub {
    pub(super) fn new(
        style: Style,
        clock: Clock,
        stderr: ToStderr,
        filter: &EnvFilter,
        outputs: Vec<Output>,
    ) -> Hub {
        let stderr_max = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
        let (flood, troubles) = (Mutex::default(), Mutex::default());
        Hub { style, clock, flood, troubles, stderr, outputs, stderr_max }
    }

    /// Emits the summaries of windows that are over; to be called about once a second.
    pub(super) fn tick(&self) {
        self.summarise(Flood::ended);
    }

    /// Emits what is still counted, before the half ends.
    pub(super) fn finish(&self) {
        self.summarise(Flood::finish);
    }

    fn summarise(&self, take: fn(&mut Flood, Duration, &mut Vec<Repeated>)) {
        let (at, now) = (self.clock)();
        let mut summaries = Vec::new();
        take(&mut self.flood(), now, &mut summaries);
        for repeated in &summaries {
            let shown = self.stderr_max >= repeated.event.level();
            self.emit(Record::repeated(at, repeated), shown);
        }
    }

    fn handle(&self, event: &tracing::Event<'_>, stderr: bool) {
        let mut key = Key::default();
        event.record(&mut key);
        let Some(kind) = key.event else {
            return mistake!("an event of the catalogue that is none of it");
        };
        let (at, now) = (self.clock)();
        broker_error::notice(kind, || {
            let mut record = Record::new(at, kind);
            event.record(&mut record);
            record
        });
        let lasted = self.troubles().notice(now, kind, &key.source);
        let mut summaries = Vec::new();
        let admitted = {
            let mut flood = self.flood();
            flood.ended_of(now, kind, &mut summaries);
            flood.admit(now, at, kind, &key.source)
        };
        for repeated in &summaries {
            self.emit(Record::repeated(at, repeated), stderr);
        }
        if admitted {
            let mut record = Record::new(at, kind);
            event.record(&mut record);
            if let Some(lasted) = lasted {
                record.add(LASTED, &lasted.as_secs().to_string());
            }
            self.emit(record, stderr);
        }
    }

    /// Sends every event of the catalogue to every target that wants it, as a test; returns how
    /// many.
    pub(super) fn send_catalogue(&self) -> u64 {
        for event in Event::ALL {
            let mut record = Record::new((self.clock)().0, *event);
            record.add("test", "1");
            for field in event.entry().fields {
                record.add(field.name, TEST_VALUE);
            }
            self.emit(record, false);
        }
        u64::try_from(Event::ALL.len()).unwrap_or(u64::MAX)
    }

    /// For what can't be sent anywhere else any more.
    pub(super) fn emit_to_stderr(&self, record: &Record) {
        (self.stderr)(self.style.record(record));
    }

    /// Emits what happened to target number `from`, to all outputs but that one.
    pub(super) fn emit_to_others(&self, from: usize, record: &Arc<Record>) {
        (self.stderr)(self.style.record(record));
        for (number, output) in self.outputs.iter().enumerate() {
            if number != from && output.target.wants(record.event) {
                output.queue.offer(record);
            }
        }
    }

    fn emit(&self, record: Record, stderr: bool) {
        if stderr {
            (self.stderr)(self.style.record(&record));
        }
        let record = Arc::new(record);
        for output in &self.outputs {
            if output.target.wants(record.event) {
                output.queue.offer(&record);
            }
        }
    }

    fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flood(&self) -> MutexGuard<'_, Flood> {
        // A thread that panicked in between left counters at worst one short.
        self.flood.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The layer.
pub(super) struct HubLayer {
    hub: Arc<Hub>,
    /// What goes to stderr.
    filter: EnvFilter,
}

impl HubLayer {
    pub(super) fn new(hub: Arc<Hub>, filter: EnvFilter) -> HubLayer {
        HubLayer { hub, filter }
    }

    fn to_stderr<S>(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        Layer::<S>::enabled(&self.filter, metadata, context.clone())
    }
}

impl<S> Layer<S> for HubLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // The filter must see every callsite that it is asked about later.
        let interest = Layer::<S>::register_callsite(&self.filter, metadata);
        if metadata.target() == TARGET { Interest::always() } else { interest }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        metadata.target() == TARGET || self.to_stderr(metadata, &context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Events of the catalogue go to syslog whatever stderr shows.
        let hint = Layer::<S>::max_level_hint(&self.filter)?;
        Some(hint.max(LevelFilter::INFO))
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let stderr = self.to_stderr(event.metadata(), &context);
        if event.metadata().target() == TARGET {
            self.hub.handle(event, stderr);
        } else if stderr {
            let (at, _) = (self.hub.clock)();
            (self.hub.stderr)(self.hub.style.plain(at, event));
        }
    }
}

/// Which event it is, and from which source: all that a suppressed event costs.
#[derive(Default)]
struct Key {
    event: Option<Event>,
    source: String,
}

impl Key {
    fn is_source(&self, field: &Field) -> bool {
        self.event.is_some_and(
            |event| matches!(event.entry().limit, Limit::PerSource(name) if name == field.name()),
        )
    }

    /// Takes the value if it belongs to the cause of what begins.
    fn take_part(&mut self, field: &Field, value: &str) {
        let Some(Limit::Begins(names)) = self.event.map(|event| event.entry().limit) else {
            return;
        };
        let Some(place) = names.iter().position(|name| *name == field.name()) else { return };
        // Fields come in the order in which the catalogue has them; one that isn't there is empty.
        let behind = self.source.matches(BETWEEN).count();
        self.source.extend(std::iter::repeat_n(BETWEEN, place.saturating_sub(behind)));
        let letters = value.chars().filter(|letter| *letter != BETWEEN);
        self.source.extend(letters.take(MAX_SOURCE_CHARS));
    }
}

impl Visit for Key {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == EVENT_FIELD {
            let index = usize::try_from(value).unwrap_or(usize::MAX);
            self.event = Event::ALL.get(index).copied();
        } else if self.is_source(field) {
            self.source = value.to_string();
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if self.is_source(field) {
            self.source.clear();
            self.source.extend(value.chars().take(MAX_SOURCE_CHARS));
        }
        self.take_part(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let begins =
            self.event.is_some_and(|event| matches!(event.entry().limit, Limit::Begins(_)));
        if begins || self.is_source(field) {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}
