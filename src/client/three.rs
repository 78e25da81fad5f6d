//! MQTT 3.1.1, by rumqttc.

mod words;

use std::io;

use rumqttc::{
    AckMode, AsyncClient, Broker, EventLoop, LastWill, ManualAck, MqttOptions, Outgoing, Packet,
    PubAck, PubRec, Publish, PublishOptions, QoS, SubscribeFilterInput, SubscribeReasonCode,
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::{Error, NotTaken};
use crate::event::{Ack, Event, Grant, Message, Sent};
use crate::options::{Acks, Attempt, Login, Options, Qos, Will};

/// rumqttc has one limit for all that a connection takes, and for each write; those of the stream, which know
/// of progress, come long before.
const BEYOND_ALL_LIMITS_S: u64 = 24 * 3_600;
/// Said to rumqttc, which connects to nothing by itself.
const NOWHERE: (&str, u16) = ("broker", 1883);

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Requests(AsyncClient);

/// What happens.
pub(crate) struct Connection(EventLoop);

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
    prepared.set_max_packet_size(options.max_incoming_bytes, options.max_outgoing_bytes);
    prepared.set_max_request_batch(options.request_batch);
    prepared.set_socket_connector(move |_, _| connect());
    prepare(&mut prepared, attempt);
    prepared
}

pub(crate) fn leave(options: &mut MqttOptions, will: Will) {
    let Will { topic, payload } = will;
    options.set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, false));
}

fn prepare(options: &mut MqttOptions, attempt: Attempt) {
    options.set_client_id(attempt.client_id);
    options.set_clean_session(attempt.is_clean);
    options.set_keep_alive(attempt.keep_alive.as_secs().try_into().unwrap_or(u16::MAX));
    match attempt.login {
        None => {}
        Some(Login::User(user)) => {
            options.set_username(user);
        }
        Some(Login::Password(user, password)) => {
            options.set_credentials(user, password);
        }
    }
}

pub(crate) fn build(options: MqttOptions) -> (Requests, Connection) {
    // Unbounded: whoever asks bounds what waits.
    let (client, mut eventloop) = AsyncClient::builder(options).unbounded().build();
    eventloop.network_options.set_connection_timeout(BEYOND_ALL_LIMITS_S);
    (Requests(client), Connection(eventloop))
}

impl Requests {
    pub(crate) fn publish(&self, topic: &str, payload: Vec<u8>, qos: Qos) -> Result<(), NotTaken> {
        let options = PublishOptions::new(quality(qos));
        self.0.try_publish(topic, payload, options).map_err(not_taken)
    }

    pub(crate) fn subscribe(&self, filters: Vec<String>, qos: Qos) -> Result<(), NotTaken> {
        let filters =
            filters.into_iter().map(|filter| SubscribeFilterInput::new(filter, quality(qos)));
        self.0.try_subscribe_many(filters.collect::<Vec<_>>()).map_err(not_taken)
    }

    pub(crate) fn unsubscribe(&self, filters: Vec<String>) -> Result<(), NotTaken> {
        self.0.try_unsubscribe_many(filters).map_err(not_taken)
    }

    pub(crate) fn acknowledge(&self, ack: Ack) -> Result<(), NotTaken> {
        let ack = match ack.is_exactly_once {
            true => ManualAck::PubRec(PubRec::new(ack.id)),
            false => ManualAck::PubAck(PubAck::new(ack.id)),
        };
        self.0.try_manual_ack(ack).map_err(not_taken)
    }

    pub(crate) fn disconnect(&self) -> Result<(), NotTaken> {
        self.0.try_disconnect().map_err(not_taken)
    }
}

fn quality(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn not_taken(error: rumqttc::ClientError) -> NotTaken {
    NotTaken(error.to_string())
}

impl Connection {
    pub(crate) async fn poll(&mut self) -> Result<Event, Error> {
        let event = self.0.poll().await.map_err(words::error)?;
        Ok(match event {
            rumqttc::Event::Incoming(packet) => self.came(packet),
            rumqttc::Event::Outgoing(outgoing) => sent(&outgoing),
        })
    }

    fn came(&mut self, packet: Packet) -> Event {
        match packet {
            Packet::Publish(publish) => Event::Message(message(publish)),
            Packet::PubAck(_) => Event::Acknowledged,
            Packet::UnsubAck(_) => Event::Unsubscribed,
            Packet::SubAck(ack) => {
                let grants = ack.return_codes.iter().map(|code| match code {
                    SubscribeReasonCode::Failure => Grant::Refused,
                    SubscribeReasonCode::Success(QoS::AtMostOnce) => Grant::AtMostOnce,
                    SubscribeReasonCode::Success(_) => Grant::AtLeastOnce,
                });
                Event::Subscribed { id: ack.pkid, grants: grants.collect() }
            }
            Packet::ConnAck(ack) => {
                // From now on the pulse is taken by the stream.
                self.0.mqtt_options.set_keep_alive(0);
                Event::Connected { session_present: ack.session_present }
            }
            _ => Event::Other,
        }
    }

    pub(crate) fn prepare(&mut self, attempt: Attempt) {
        prepare(&mut self.0.mqtt_options, attempt);
    }

    pub(crate) fn forget(&mut self) {
        self.0.clean();
        // rumqttc would repeat what wasn't answered.
        self.0.reset_session_state();
    }

    #[cfg(test)]
    pub(crate) fn options(&self) -> &MqttOptions {
        &self.0.mqtt_options
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
