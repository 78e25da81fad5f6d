//! What brokers that are sold or rented take: limits as their makers tell them, as data. A figure
//! that nobody could be quoted for isn't here, and is none that is checked.

/// A figure, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    pub value: u64,
    /// Where it is written.
    pub source: &'static str,
}

/// What one kind of broker takes. Without a figure nothing is known, or there is no limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// As in `profile`.
    pub name: &'static str,
    /// For people.
    pub product: &'static str,
    /// Month in which the sources were looked at.
    pub seen: &'static str,
    /// MQTT sessions of all clients together.
    pub sessions: Option<Figure>,
    /// Bytes of a message's payload.
    pub payload_bytes: Option<Figure>,
    /// Levels of a topic.
    pub levels: Option<Figure>,
    pub topic_bytes: Option<Figure>,
    /// Publications per second of one connection.
    pub publishes_per_s: Option<Figure>,
    /// Bytes of a client identifier.
    pub identifier_bytes: Option<Figure>,
    /// Longest keep alive, in seconds.
    pub keep_alive_s: Option<Figure>,
    /// Filters of one SUBSCRIBE.
    pub filters: Option<Figure>,
    /// QoS of a publication.
    pub qos: Option<Figure>,
    /// Where it is written that nobody comes in without TLS.
    pub needs_tls: Option<&'static str>,
    /// What else is to be known.
    pub note: &'static str,
}

const DISTRIBUTOR: &str =
    "https://docs.chariot.io/pages/diffpages.action?originalId=260767756&pageId=260767757";
const AWS: &str =
    "https://docs.aws.amazon.com/general/latest/gr/iot-core.html#message-broker-limits";
const AWS_CLIENT: &str = "https://aws.github.io/aws-iot-device-sdk-js-v2/node/enums/mqtt5.ClientExtendedValidationAndFlowControl.html";
const AWS_GUIDE: &str = "https://docs.aws.amazon.com/iot/latest/developerguide/limits-iot.html";
const AZURE: &str = "https://learn.microsoft.com/en-us/azure/event-grid/quotas-limits";
const AZURE_MQTT: &str = "https://learn.microsoft.com/en-us/azure/event-grid/mqtt-support";
const AZURE_CHARIOT: &str = "https://docs.chariot.io/pages/diffpagesbyversion.action?originalVersion=4&pageId=181764099&revisedVersion=9";
const HIVEMQ: &str = "https://hivemq.atlassian.net/wiki/spaces/HCSP/pages/2550988855";
const EMQX: &str = "https://docs.emqx.com/en/cloud/latest/create/restriction.html";

const NONE: Profile = Profile {
    name: "",
    product: "",
    seen: "2026-11",
    sessions: None,
    payload_bytes: None,
    levels: None,
    topic_bytes: None,
    publishes_per_s: None,
    identifier_bytes: None,
    keep_alive_s: None,
    filters: None,
    qos: None,
    needs_tls: None,
    note: "",
};

/// All of them.
pub const PROFILES: &[Profile] = &[
    Profile {
        name: "distributor",
        product: "MQTT Distributor, standard licence",
        sessions: figure(50, DISTRIBUTOR),
        ..NONE
    },
    Profile {
        name: "distributor-plus",
        product: "MQTT Distributor Plus",
        sessions: figure(250, DISTRIBUTOR),
        ..NONE
    },
    Profile {
        name: "aws-iot-core",
        product: "AWS IoT Core",
        sessions: figure(500_000, AWS_GUIDE),
        payload_bytes: figure(131_072, AWS),
        levels: figure(8, AWS_CLIENT),
        topic_bytes: figure(256, AWS_CLIENT),
        publishes_per_s: figure(100, AWS_CLIENT),
        identifier_bytes: figure(128, AWS_CLIENT),
        filters: figure(8, AWS_CLIENT),
        note: "per connection it takes 512 KB/s, too; one CONNECT per second and identifier",
        ..NONE
    },
    Profile {
        name: "azure-event-grid",
        product: "Azure Event Grid, MQTT broker of a namespace",
        sessions: figure(10_000, AZURE),
        payload_bytes: figure(1_048_576, AZURE_CHARIOT),
        publishes_per_s: figure(1_000, AZURE),
        keep_alive_s: figure(1_160, AZURE_CHARIOT),
        qos: figure(1, AZURE_CHARIOT),
        needs_tls: Some(AZURE_MQTT),
        note: "sessions and messages are those of one throughput unit; it doesn't promise the order of messages",
        ..NONE
    },
    Profile {
        name: "hivemq-cloud",
        product: "HiveMQ Cloud, Serverless",
        sessions: figure(100, HIVEMQ),
        note: "larger plans have no such limit: then leave `profile` out",
        ..NONE
    },
    Profile {
        name: "emqx-cloud-serverless",
        product: "EMQX Cloud, Serverless",
        payload_bytes: figure(1_048_576, EMQX),
        publishes_per_s: figure(10, EMQX),
        identifier_bytes: figure(1_024, EMQX),
        filters: figure(10, EMQX),
        note: "all clients together send 1,000 messages a second",
        ..NONE
    },
];

const fn figure(value: u64, source: &'static str) -> Option<Figure> {
    Some(Figure { value, source })
}

impl Profile {
    /// The profile of this name.
    pub fn named(name: &str) -> Option<&'static Profile> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// What is known, each with its figure.
    pub fn figures(&self) -> impl Iterator<Item = (&'static str, Figure)> {
        let all = [
            ("sessions", self.sessions),
            ("bytes of a message", self.payload_bytes),
            ("levels of a topic", self.levels),
            ("bytes of a topic", self.topic_bytes),
            ("publications per second and connection", self.publishes_per_s),
            ("bytes of a client identifier", self.identifier_bytes),
            ("seconds of keep alive", self.keep_alive_s),
            ("filters of one SUBSCRIBE", self.filters),
            ("QoS", self.qos),
        ];
        all.into_iter().filter_map(|(what, figure)| Some((what, figure?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_a_name_of_its_own_and_figures_with_sources() {
        for (place, profile) in PROFILES.iter().enumerate() {
            assert!(PROFILES.iter().take(place).all(|other| other.name != profile.name));
            assert_eq!(Profile::named(profile.name), Some(profile));
            assert!(profile.figures().count() > 0, "{}", profile.name);
            for (what, figure) in profile.figures() {
                assert!(figure.value > 0 && figure.source.starts_with("https://"), "{what}");
            }
            assert_eq!(profile.seen.len(), 7);
        }
        assert_eq!(Profile::named(""), None);
        assert_eq!(Profile::named("distributor").unwrap().sessions.unwrap().value, 50);
    }
}
