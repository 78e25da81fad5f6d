//! What people are told of the session with the OT broker.

use std::time::Duration;

use broker::{BrokerSettings, ConnectFailure, FailureKind, Refused, Server};
use client::Error;
use telemetry::event;

use super::End;
use super::extras::Extra;
use super::subscriptions::{Said, list};

/// Says what became of a subscription. `why`: how its filters were refused, if that is known.
pub(super) fn tell(broker: &str, said: &Said, why: Option<&str>) {
    match said {
        Said::Refused(filters) => {
            let filters = list(filters.iter());
            event!(SubscriptionRefused, broker, filters, error = why);
        }
        Said::Granted(filters) => {
            let filters = list(filters.iter());
            event!(SubscriptionGranted, broker, filters);
        }
        Said::Weaker(filters) => {
            let filters = list(filters.iter());
            event!(SubscriptionWeaker, broker, filters);
        }
        Said::ExtraRefused(extra) => {
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            refused(*extra, broker, &format!("the subscription is refused{why}"));
        }
        Said::Unanswered { filters, waited } => {
            let (filters, seconds) = (list(filters.iter()), waited.as_secs());
            event!(
                SubscriptionUnanswered,
                broker,
                filters,
                seconds,
                key = "broker.answer-timeout-s"
            );
        }
        // Told with the end of the connection.
        Said::EndsSession { .. } | Said::ExtraEndsSession { .. } => {}
    }
}

/// The relay does without it.
fn refused(extra: Extra, broker: &str, error: &str) {
    match extra {
        Extra::StoredBirths => event!(StoredBirthsRefused, broker, error),
        Extra::HostStates => event!(HostStatesRefused, broker, error),
    }
}

/// Says why there is no session. `unheard`: the broker ended the connection, and had said nothing.
pub(super) fn tell_end(
    (settings, server): (&BrokerSettings, &Server),
    client_id: &str,
    (end, unheard): (&End, bool),
    said: Option<&Said>,
    pause: Duration,
) {
    let broker = &*server.address();
    let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    let ConnectFailure { kind, text: error } = match end {
        End::Failed(error) => failure(settings, client_id, error),
        // Nobody is told of the end of a session that we left.
        End::Left => return,
        End::Unanswered => {
            let seconds = settings.answer_within.as_secs();
            ConnectFailure::other(format!(
                "given up: the broker didn't answer our SUBSCRIBE within {seconds} s \
                 (`answer-timeout-s`)"
            ))
        }
    };
    let error = if unheard {
        broker::unanswered(&error, settings.protocol, server.tls.is_some())
    } else {
        error
    };
    match said {
        Some(Said::EndsSession { filters, times }) => {
            let filters = list(filters.iter());
            // Once may be chance.
            if *times > 1 {
                let error = format!(
                    "the broker ended {times} connections in a row at our SUBSCRIBE, as brokers do \
                     whose access list doesn't allow it: {error}"
                );
                event!(SubscriptionRefused, broker, filters, error, pause_ms);
            } else {
                let error = format!("{error}; our SUBSCRIBE of {filters} had no answer");
                event!(BrokerDown, broker, error, pause_ms);
            }
        }
        Some(Said::ExtraEndsSession { extra, given_up: true, times }) => {
            let error = format!(
                "the broker ended {times} connections in a row at our SUBSCRIBE of it: {error}"
            );
            refused(*extra, broker, &error);
        }
        Some(Said::ExtraEndsSession { extra, given_up: false, .. }) => {
            let what = match extra {
                Extra::StoredBirths => "the stored births",
                Extra::HostStates => "the STATE of hosts",
            };
            let error = format!("{error}; our SUBSCRIBE of {what} had no answer");
            event!(BrokerDown, broker, error, pause_ms);
        }
        _ => match kind {
            FailureKind::Tls => event!(TlsRefused, broker, error, pause_ms),
            FailureKind::Login | FailureKind::Identifier => {
                event!(LoginRefused, broker, error, client_id, pause_ms);
            }
            FailureKind::Later => event!(BrokerDownForNow, broker, error, client_id, pause_ms),
            FailureKind::Other => {
                event!(BrokerDown, broker, error, pause_ms);
            }
        },
    }
}

fn failure(settings: &BrokerSettings, client_id: &str, error: &Error) -> ConnectFailure {
    let user = settings.credentials.as_ref().map(|credentials| credentials.user.as_str());
    let BrokerSettings { keep_alive, protocol, .. } = *settings;
    error.failure(Refused { client_id, keep_alive, protocol, user })
}
