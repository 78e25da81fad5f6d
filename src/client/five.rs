//! MQTT 5, by rumqttc. Properties that it could end a session for don't get here: the stream leaves them out.

mod aliases;
mod kept;
mod words;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aliases::Aliases;
use kept::Kept;
use rumqttc_five::{
    AckMode, AsyncClient, Broker, ConnectProperties, EventLoop, LastWill, ManualAck, MqttOptions,
    NoticeFailureReason, Outgoing, Packet, PubAck, PubRec, Publish, PublishOptions,
    PublishProperties, QoS, SubscribeFilter, SubscribeReasonCode,
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::{Error, NotTaken};
use crate::event::{Ack, Event, Grant, Message, Sent};
use crate::options::{Acks, Attempt, Five, Login, Naming, Options, Qos, Will};

/// rumqttc has one limit for all that a connection takes; those of the stream, which know of progress, come
/// long before.
const BEYOND_ALL_LIMITS: Duration = Duration::from_secs(24 * 3_600);
/// Said to rumqttc, which connects to nothing by itself.
const NOWHERE: (&str, u16) = ("broker", 1883);
/// Publications at QoS 1 that are sent ahead of their acknowledgement, where the broker takes as many; as
/// with MQTT 3.1.1.
const IN_FLIGHT: u16 = 100;
/// A fixed header, at most.
const HEADER_BYTES: usize = 5;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    client: AsyncClient,
    aliases: Arc<Aliases>,
}

/// What happens.
pub(crate) struct Connection {
    eventloop: EventLoop,
    aliases: Arc<Aliases>,
    options: Five,
    /// Connections that were forgotten.
    forgotten: u64,
}

pub(crate) fn options<Connect, Fut, Stream>(
    options: &Options,
    attempt: Attempt,
    acks: Acks,
    connect: Connect,
) -> MqttOptions
where
    Connect: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<Stream>> + Send + 'static,
    Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static,
{
    let (host, port) = NOWHERE;
    let mut prepared = MqttOptions::new(attempt.client_id.clone(), Broker::tcp(host, port));
    prepared.set_ack_mode(match acks {
        Acks::ByHand => AckMode::Manual,
        Acks::AtOnce => AckMode::Automatic,
    });
    let bytes = options.max_incoming_bytes.saturating_add(HEADER_BYTES);
    let properties = ConnectProperties {
        receive_maximum: options.five.receive_maximum,
        max_packet_size: Some(u32::try_from(bytes).unwrap_or(u32::MAX)),
        ..ConnectProperties::new()
    };
    prepared.set_connect_properties(properties);
    if !options.five.announces_max_packet {
        // What is larger doesn't get here either: the stream sees to it, and tells of it.
        prepared.set_unlimited_incoming_packet_size();
    }
    prepared.set_outgoing_inflight_upper_limit(IN_FLIGHT);
    prepared.set_max_request_batch(options.request_batch);
    prepared.set_connect_timeout(BEYOND_ALL_LIMITS);
    prepared.set_socket_connector(move |_, _| connect());
    prepare(&mut prepared, attempt, &options.five);
    prepared
}

pub(crate) fn leave(options: &mut MqttOptions, will: Will) {
    let Will { topic, payload } = will;
    options.set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, false, None));
}

fn prepare(options: &mut MqttOptions, attempt: Attempt, five: &Five) {
    let Attempt { client_id, is_clean, keep_alive, login } = attempt;
    options.set_client_id(client_id);
    options.set_clean_start(is_clean);
    let seconds = if is_clean { 0 } else { five.session_expiry.as_secs() };
    options.set_session_expiry_interval(Some(seconds.try_into().unwrap_or(u32::MAX)));
    options.set_keep_alive(keep_alive.as_secs().try_into().unwrap_or(u16::MAX));
    options.set_session_store(Kept::of(options));
    match login {
        None => {}
        Some(Login::User(user)) => {
            options.set_username(user);
        }
        Some(Login::Password(user, password)) => {
            options.set_credentials(user, password);
        }
    }
}

pub(crate) fn build(options: MqttOptions, five: Five) -> (Requests, Connection) {
    // Unbounded: whoever asks bounds what waits.
    let (client, eventloop) = AsyncClient::builder(options).unbounded().build();
    let aliases = Arc::new(Aliases::new(five.has_topic_aliases));
    let requests = Requests { client, aliases: Arc::clone(&aliases) };
    (requests, Connection { eventloop, aliases, options: five, forgotten: 0 })
}

impl Requests {
    pub(crate) fn publish(
        &self,
        topic: &str,
        payload: Vec<u8>,
        qos: Qos,
        naming: Naming,
    ) -> Result<(), NotTaken> {
        let mut options = PublishOptions::new(quality(qos));
        let (topic, alias) = match naming {
            Naming::Full => (topic, None),
            Naming::Short => self.aliases.of(topic),
        };
        if alias.is_some() {
            options =
                options.properties(PublishProperties { topic_alias: alias, ..Default::default() });
        }
        self.client.try_publish(topic, payload, options).map_err(not_taken)
    }

    pub(crate) fn subscribe(&self, filters: Vec<String>, qos: Qos) -> Result<(), NotTaken> {
        let filters = filters.into_iter().map(|filter| SubscribeFilter::new(filter, quality(qos)));
        self.client.try_subscribe_many(filters.collect::<Vec<_>>()).map_err(not_taken)
    }

    pub(crate) fn unsubscribe(&self, filters: Vec<String>) -> Result<(), NotTaken> {
        self.client.try_unsubscribe_many(filters).map_err(not_taken)
    }

    pub(crate) fn acknowledge(&self, ack: Ack) -> Result<(), NotTaken> {
        let ack = match ack.is_exactly_once {
            true => ManualAck::PubRec(PubRec::new(ack.id, None)),
            false => ManualAck::PubAck(PubAck::new(ack.id, None)),
        };
        self.client.try_manual_ack(ack).map_err(not_taken)
    }

    /// Without a reason. An edge node has published its NDEATH before (Sparkplug 3.0,
    /// `operational-behavior-edge-node-intentional-disconnect-ndeath`); reason 0x04, which the same text
    /// has for MQTT 5, would have the broker publish the will as well: a second NDEATH, with the time at
    /// which the session began, which hosts take for an older one.
    pub(crate) fn disconnect(&self) -> Result<(), NotTaken> {
        self.client.try_disconnect().map_err(not_taken)
    }
}

fn quality(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn not_taken(error: rumqttc_five::ClientError) -> NotTaken {
    NotTaken(error.to_string())
}

impl Connection {
    pub(crate) async fn poll(&mut self) -> Result<Event, Error> {
        let event = self.eventloop.poll().await.map_err(words::error)?;
        Ok(match event {
            rumqttc_five::Event::Incoming(packet) => self.came(packet),
            rumqttc_five::Event::Outgoing(outgoing) => sent(&outgoing),
            rumqttc_five::Event::Auth(_) => Event::Other,
        })
    }

    fn came(&mut self, packet: Packet) -> Event {
        match packet {
            Packet::Publish(publish) => Event::Message(message(publish)),
            Packet::PubAck(_) => Event::Acknowledged,
            Packet::UnsubAck(_) => Event::Unsubscribed,
            Packet::SubAck(ack) => {
                let grants = ack.return_codes.iter().map(|code| match code {
                    SubscribeReasonCode::Success(QoS::AtMostOnce) => Grant::AtMostOnce,
                    SubscribeReasonCode::Success(_) => Grant::AtLeastOnce,
                    _ => Grant::Refused,
                });
                Event::Subscribed { id: ack.pkid, grants: grants.collect() }
            }
            Packet::ConnAck(ack) => {
                // From now on the pulse is taken by the stream.
                self.eventloop.options.set_keep_alive(0);
                // Nothing of this session is to be stored.
                self.eventloop.options.clear_session_store();
                let topics = ack.properties.and_then(|properties| properties.topic_alias_max);
                self.aliases.allow(topics.unwrap_or(0));
                Event::Connected { session_present: ack.session_present }
            }
            _ => Event::Other,
        }
    }

    pub(crate) fn prepare(&mut self, attempt: Attempt) {
        let options = &mut self.eventloop.options;
        // With another one nothing that rumqttc knows of the session before is taken over.
        options.set_session_store_scope(self.forgotten.to_string());
        prepare(options, attempt, &self.options);
    }

    pub(crate) fn forget(&mut self) {
        self.eventloop.clean();
        // rumqttc would repeat what wasn't answered.
        self.eventloop.drain_pending_as_failed(NoticeFailureReason::SessionReset);
        self.forgotten = self.forgotten.wrapping_add(1);
        self.aliases.allow(0);
    }

    #[cfg(test)]
    pub(crate) fn options(&self) -> &MqttOptions {
        &self.eventloop.options
    }
}

fn message(publish: Publish) -> Message {
    let Publish { dup, qos, retain, topic, pkid, payload, .. } = publish;
    let ack = match qos {
        QoS::AtMostOnce => None,
        QoS::AtLeastOnce => Some(Ack::at_least_once(pkid)),
        QoS::ExactlyOnce => Some(Ack { id: pkid, is_exactly_once: true }),
    };
    Message { topic, payload, retain, dup, ack }
}

fn sent(outgoing: &Outgoing) -> Event {
    Event::Sent(match outgoing {
        // QoS 0 has no packet identifier.
        Outgoing::Publish(id) => Sent::Publication { is_answered: *id != 0 },
        Outgoing::Subscribe(_) => Sent::Subscribe,
        Outgoing::Unsubscribe(_) => Sent::Unsubscribe,
        Outgoing::Disconnect => Sent::Disconnect,
        _ => return Event::Other,
    })
}
