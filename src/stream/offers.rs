//! What a broker offers and asks for in its CONNACK (MQTT 5 §3.2.2.3).

use crate::answers::NoSession;
use crate::properties::Properties;

const SESSION_EXPIRY: u8 = 0x11;
const ASSIGNED_CLIENT_ID: u8 = 0x12;
const SERVER_KEEP_ALIVE: u8 = 0x13;
const RECEIVE_MAXIMUM: u8 = 0x21;
const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
const MAXIMUM_QOS: u8 = 0x24;
const RETAIN_AVAILABLE: u8 = 0x25;
const MAXIMUM_PACKET_SIZE: u8 = 0x27;
const WILDCARDS_AVAILABLE: u8 = 0x28;
const SHARED_AVAILABLE: u8 = 0x2a;

/// What a broker offers and asks for; where it says nothing, what MQTT has for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offers {
    /// Publications at QoS 1 that it takes without having answered one.
    pub receive_maximum: u16,
    /// Topics that may have an alias, per connection.
    pub topic_alias_maximum: u16,
    /// Largest packet that it takes, in bytes; `None`: as large as MQTT has them.
    pub maximum_packet_bytes: Option<u32>,
    /// It takes publications at QoS 1.
    pub has_qos_1: bool,
    /// It keeps retained messages.
    pub has_retain: bool,
    /// Topic filters may have wildcards.
    pub has_wildcards: bool,
    /// Subscriptions may be shared.
    pub has_shared: bool,
    /// Seconds that it keeps the session when the connection is over, where it is not as asked for.
    pub session_expiry_s: Option<u32>,
    /// The keep alive that it wants, in seconds, where it is not as we said.
    pub keep_alive_s: Option<u16>,
    /// The identifier that it gives us, where it doesn't take ours.
    pub client_id: Option<String>,
    /// In its own words.
    pub text: Option<String>,
}

impl Default for Offers {
    fn default() -> Offers {
        Offers {
            receive_maximum: u16::MAX,
            topic_alias_maximum: 0,
            maximum_packet_bytes: None,
            has_qos_1: true,
            has_retain: true,
            has_wildcards: true,
            has_shared: true,
            session_expiry_s: None,
            keep_alive_s: None,
            client_id: None,
            text: None,
        }
    }
}

impl Offers {
    /// # Errors
    /// It offers something with which there is no session.
    pub(crate) fn of(properties: &Properties<'_>) -> Result<Offers, NoSession> {
        let short = |id| properties.number(id).and_then(|number| u16::try_from(number).ok());
        let is = |id| properties.number(id) != Some(0);
        let offers = Offers {
            receive_maximum: short(RECEIVE_MAXIMUM).unwrap_or(u16::MAX),
            topic_alias_maximum: short(TOPIC_ALIAS_MAXIMUM).unwrap_or(0),
            maximum_packet_bytes: properties.number(MAXIMUM_PACKET_SIZE),
            has_qos_1: is(MAXIMUM_QOS),
            has_retain: is(RETAIN_AVAILABLE),
            has_wildcards: is(WILDCARDS_AVAILABLE),
            has_shared: is(SHARED_AVAILABLE),
            session_expiry_s: properties.number(SESSION_EXPIRY),
            keep_alive_s: short(SERVER_KEEP_ALIVE),
            client_id: properties.text(ASSIGNED_CLIENT_ID),
            text: properties.reason(),
        };
        match (offers.receive_maximum, offers.maximum_packet_bytes) {
            (0, _) => Err(NoSession::Offer("a Receive Maximum of 0")),
            (_, Some(0)) => Err(NoSession::Offer("a Maximum Packet Size of 0")),
            _ => Ok(offers),
        }
    }

    /// Properties of the CONNACK that the client gets: what it has to keep to by itself. The keep alive
    /// isn't among them: the stream takes the pulse.
    pub(crate) fn limits(&self) -> Vec<u8> {
        let mut limits = Vec::new();
        if self.receive_maximum < u16::MAX {
            limits.push(RECEIVE_MAXIMUM);
            limits.extend(self.receive_maximum.to_be_bytes());
        }
        if self.topic_alias_maximum > 0 {
            limits.push(TOPIC_ALIAS_MAXIMUM);
            limits.extend(self.topic_alias_maximum.to_be_bytes());
        }
        if let Some(bytes) = self.maximum_packet_bytes {
            limits.push(MAXIMUM_PACKET_SIZE);
            limits.extend(bytes.to_be_bytes());
        }
        limits
    }

    /// For people: what isn't as MQTT has it where a broker says nothing.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut say = |text: Option<String>| words.extend(text);
        say((self.receive_maximum < u16::MAX)
            .then(|| format!("{} publications without an answer", self.receive_maximum)));
        say(self.maximum_packet_bytes.map(|bytes| format!("packets of {bytes} bytes at most")));
        say((self.topic_alias_maximum > 0)
            .then(|| format!("{} topic aliases", self.topic_alias_maximum)));
        say(self.keep_alive_s.map(|seconds| format!("a keep alive of {seconds} s")));
        say(self.session_expiry_s.map(|seconds| format!("a session kept for {seconds} s")));
        say((!self.has_qos_1).then(|| "no quality of service 1".to_owned()));
        say((!self.has_retain).then(|| "no retained messages".to_owned()));
        say((!self.has_wildcards).then(|| "no wildcards in topic filters".to_owned()));
        say((!self.has_shared).then(|| "no shared subscriptions".to_owned()));
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(properties: &[u8]) -> Result<Offers, NoSession> {
        let bytes = [&[u8::try_from(properties.len()).unwrap()], properties].concat();
        Offers::of(&Properties::read(&bytes).unwrap())
    }

    #[test]
    fn a_broker_that_says_nothing_offers_what_mqtt_has() {
        let offers = of(&[]).unwrap();
        assert_eq!(offers, Offers::default());
        assert!(offers.words().is_empty() && offers.limits().is_empty());
    }

    #[test]
    fn each_limit_is_read_told_and_handed_on_if_the_client_has_to_keep_to_it() {
        let limits = [0x21, 0, 20, 0x22, 0, 10, 0x27, 0, 1, 0, 0];
        let rest = [0x11, 0, 0, 0x0e, 0x10, 0x13, 0, 30, 0x24, 0, 0x25, 0, 0x28, 0, 0x2a, 0];
        let texts = [0x12, 0, 1, b'x', 0x1f, 0, 2, b'h', b'i'];
        let offers = of(&[&limits[..], &rest, &texts].concat()).unwrap();
        assert_eq!(offers.limits(), limits);
        assert_eq!((offers.receive_maximum, offers.topic_alias_maximum), (20, 10));
        assert_eq!((offers.session_expiry_s, offers.keep_alive_s), (Some(3_600), Some(30)));
        assert!(!offers.has_qos_1 && !offers.has_retain);
        assert!(!offers.has_wildcards && !offers.has_shared);
        assert_eq!((offers.client_id.as_deref(), offers.text.as_deref()), (Some("x"), Some("hi")));
        let words = offers.words().join(", ");
        for said in [
            "20 publications without an answer",
            "packets of 65536 bytes at most",
            "10 topic aliases",
            "a keep alive of 30 s",
            "a session kept for 3600 s",
            "no quality of service 1",
            "no retained messages",
            "no wildcards in topic filters",
            "no shared subscriptions",
        ] {
            assert!(words.contains(said), "{said}: {words}");
        }
    }

    #[test]
    fn limits_of_nothing_make_no_session() {
        assert_eq!(of(&[0x21, 0, 0]), Err(NoSession::Offer("a Receive Maximum of 0")));
        assert_eq!(of(&[0x27, 0, 0, 0, 0]), Err(NoSession::Offer("a Maximum Packet Size of 0")));
    }
}
