//! What the broker of a session of MQTT 5 says of itself, and what it says of a publication: kept to, and told.

use stream::Traffic;
use telemetry::event;

use super::commands::Commands;

/// Said of a broker that offers QoS 0 alone (MQTT 5 §3.2.2.3.4).
pub(super) const NO_QOS_1: &str = "the IT broker takes no quality of service 1 (its Maximum QoS), which Sparkplug \
                                   has for NDEATH and for commands";

/// The broker takes what Sparkplug has at QoS 1; one that doesn't says so beforehand.
pub(super) fn has_qos_1(traffic: &Traffic) -> bool {
    traffic.offers().is_none_or(|offers| offers.has_qos_1)
}

/// What it says of itself, for people.
pub(super) fn words(traffic: &Traffic) -> String {
    traffic.offers().map(|offers| offers.words().join(", ")).unwrap_or_default()
}

/// Filters that the broker has said it doesn't take aren't asked for.
pub(super) fn leave_wildcards(traffic: &Traffic, broker: &str, commands: &mut Commands) {
    if traffic.offers().is_some_and(|offers| !offers.has_wildcards) {
        let filters = commands.leave_wildcards().join(", ");
        let error = "CONNACK: it takes no wildcards in topic filters";
        event!(SubscriptionRefused, broker, filters, error);
    }
}

/// Tells of publications that the broker has refused.
pub(super) fn tell_refusals(traffic: &Traffic, broker: &str, node: &str) {
    while let Some((code, text)) = traffic.take_refusal() {
        let error = format!("PUBACK {}", broker::reason_said(code, text.as_deref()));
        event!(PublicationRefused, broker, node, error);
    }
}
