//! How a broker is asked for an answer behind everything that was published before, at QoS 0: by an
//! UNSUBSCRIBE of a filter to which no session subscribes, which needs no permission and leaves no trace
//! (MQTT 3.1.1 §3.10.4: it is answered). A broker that doesn't answer it (rumqttd 0.20) is asked by a
//! SUBSCRIBE to that filter instead, which all of them answer. The first session finds out.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use client::{Publisher, Qos};

use super::shared::{Asked, Shared};

/// Nothing is published there.
const FILTER: &str = "sparkdiode/barrier";
/// An answer that follows the SUBACK no sooner isn't given: the two requests went together. It is less
/// than any `answer-timeout-s`.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(4);

/// How the broker is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// By the first, as long as nothing is known; each session finds out.
    Unknown,
    Unsubscribe,
    Subscribe,
}

/// What is known of the broker; for all sessions.
#[derive(Debug, Default)]
pub(super) struct Barriers(AtomicU8);

impl Barriers {
    pub(super) fn by(&self) -> By {
        match self.0.load(Ordering::Relaxed) {
            1 => By::Unsubscribe,
            2 => By::Subscribe,
            _ => By::Unknown,
        }
    }

    /// It was found out; true: just now.
    pub(super) fn learn(&self, is_answered: bool) -> bool {
        let by = if is_answered { 1 } else { 2 };
        self.0.swap(by, Ordering::Relaxed) != by
    }

    /// Sends one on the session that this is shared of.
    pub(super) fn ask(&self, client: &Publisher, shared: &Shared) {
        // The client ends only with the task, whose end is reported.
        let _ = match self.by() {
            By::Unknown | By::Unsubscribe => client.unsubscribe(FILTER),
            By::Subscribe => {
                shared.subscribes(Asked::Barrier);
                client.subscribe(vec![FILTER.to_owned()], Qos::AtMostOnce)
            }
        };
    }
}
