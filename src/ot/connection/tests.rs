//! Sessions and their requests, without a network.

use client::Ack;
use telemetry::Event;
use telemetry::capture::{capture, triggered};

use super::extras::Extra;
use super::*;

#[test]
fn a_session_that_watches_leaves_nothing_at_the_broker() {
    let (mut session, _) = passing_session(&broker(), Vec::new());
    session.prepare();
    assert!(session.attempt().is_clean);
}

fn broker() -> BrokerSettings {
    let server = broker::Server {
        host: "localhost".into(),
        port: 1883,
        addresses: std::sync::Arc::new(broker::Addresses::fixed(Vec::new())),
        tls: None,
    };
    BrokerSettings {
        servers: std::sync::Arc::new(broker::Servers::only(server)),
        client_id: "relay".into(),
        client_id_form: broker::ClientIdForm::Readable,
        credentials: None,
        keep_alive: Duration::from_secs(30),
        connect_within: Duration::from_secs(30),
        answer_within: Duration::from_secs(30),
        max_packet_bytes: 1 << 20,
        publishes_per_s: None,
        return_after: None,
        protocol: broker::Protocol::Three,
        five: broker::FiveSettings::default(),
    }
}

#[test]
fn the_connect_packet_keeps_the_session() {
    let (session, _) = session(&broker(), Vec::new(), None, None);
    assert!(!session.attempt().is_clean);
}

#[tokio::test]
async fn nothing_more_is_read_while_too_many_messages_wait_for_acknowledgement() {
    let unanswered = Cell::new(MAX_UNANSWERED);
    let mut wait = std::pin::pin!(answers(&unanswered));
    assert_eq!(at_once(wait.as_mut()).await, None);
    unanswered.set(MAX_UNANSWERED - 1);
    wait.await;
}

/// What is told when a connection ends with `error`.
fn told(said: Option<&subscriptions::Said>, error: Error) -> Vec<telemetry::Record> {
    let (end, broker) = (End::Failed(error), broker());
    let to = (&broker, &**broker.servers.first());
    capture(|| telling::tell_end(to, "relay", (&end, false), said, Duration::from_secs(1)))
}

fn ended() -> Error {
    Error::Ended
}

#[test]
fn every_end_of_a_connection_is_told_by_its_cause() {
    use subscriptions::Said;
    triggered(&told(None, ended()), Event::BrokerDown);
    for (code, event, words) in [
        (2, Event::LoginRefused, "identifier rejected"),
        (3, Event::BrokerDownForNow, "server unavailable"),
        (5, Event::LoginRefused, "not authorised"),
    ] {
        let told = told(None, Error::Refused { code, text: None });
        triggered(&told, event);
        assert!(told[0].message().contains(words), "{}", told[0].message());
        assert!(told[0].message().contains("client_id=relay"), "{}", told[0].message());
    }
    let filters = vec!["spBv1.0/A/#".to_owned()];
    let first = told(Some(&Said::EndsSession { filters: filters.clone(), times: 1 }), ended());
    triggered(&first, Event::BrokerDown);
    assert!(first[0].message().contains("our SUBSCRIBE of spBv1.0/A/# had no answer"));
    let second = told(Some(&Said::EndsSession { filters, times: 2 }), ended());
    triggered(&second, Event::SubscriptionRefused);
    assert!(second[0].message().contains("2 connections in a row"), "{}", second[0].message());
    for (extra, event) in [
        (Extra::StoredBirths, Event::StoredBirthsRefused),
        (Extra::HostStates, Event::HostStatesRefused),
    ] {
        let given_up = Said::ExtraEndsSession { extra, times: 2, given_up: true };
        triggered(&self::told(Some(&given_up), ended()), event);
    }
}

#[test]
fn what_becomes_of_a_subscription_is_told_with_its_filters() {
    use subscriptions::Said;
    let told = |said: Said| capture(|| telling::tell("b:1", &said, None));
    let filters = || vec!["spBv1.0/A/#".to_owned()];
    let refused = told(Said::Refused(filters()));
    triggered(&refused, Event::SubscriptionRefused);
    assert!(refused[0].message().contains("spBv1.0/A/#"));
    let why = Some("SUBACK 0x87: not authorised");
    let refused = capture(|| telling::tell("b:1", &Said::Refused(filters()), why));
    assert!(refused[0].message().contains("SUBACK 0x87: not authorised"), "{refused:?}");
    triggered(&told(Said::Granted(filters())), Event::SubscriptionGranted);
    triggered(&told(Said::Weaker(filters())), Event::SubscriptionWeaker);
    let waited = Duration::from_secs(30);
    let unanswered = told(Said::Unanswered { filters: filters(), waited });
    triggered(&unanswered, Event::SubscriptionUnanswered);
    assert!(unanswered[0].message().contains("answer-timeout-s"));
    triggered(&told(Said::ExtraRefused(Extra::StoredBirths)), Event::StoredBirthsRefused);
    triggered(&told(Said::ExtraRefused(Extra::HostStates)), Event::HostStatesRefused);
}

#[test]
fn of_a_message_for_another_relay_its_receipt_is_left() {
    let handed = |shard: Option<&str>, topic: &str, payload: Bytes| {
        let shard = shard.map(|shard| Shard::parse(shard).unwrap());
        let (session, _) = session(&broker(), Vec::new(), shard, None);
        let (topic, ack) = (Bytes::copy_from_slice(topic.as_bytes()), Ack::at_least_once(7));
        let message = Message { topic, payload, retain: false, dup: false, ack: Some(ack) };
        session.delivered(message)
    };
    // Of the vectors: `G/E` is of the fourth of four shards.
    let data = Bytes::from_static(b"data");
    for topic in ["spBv1.0/G/NDATA/E", "spBv1.0/G/DDATA/E/D", "spBv1.0/G/NCMD/E"] {
        for (shard, is_ours) in [(None, true), (Some("4/4"), true), (Some("3/4"), false)] {
            let delivered = handed(shard, topic, data.clone());
            assert_eq!(delivered.of_other_shard, !is_ours, "{topic} {shard:?}");
            assert_eq!(delivered.payload.is_empty(), !is_ours);
            assert_eq!(delivered.receipt.unwrap().number(), 7);
        }
    }
    for topic in ["spBv1.0/STATE/host", "spBv1.0/G/NDATA", "other"] {
        assert!(!handed(Some("3/4"), topic, data.clone()).of_other_shard, "{topic}");
    }
}
