//! Sessions and their requests, without a network.

use rumqttc::AckMode;
use telemetry::Event;
use telemetry::capture::{capture, triggered};

use super::*;

#[test]
fn a_session_that_watches_leaves_nothing_at_the_broker() {
    let (session, _) = passing_session(&broker(), Vec::new());
    let options = &session.eventloop.mqtt_options;
    assert!(options.last_will().is_none());
    assert!(options.clean_session());
}

fn broker() -> BrokerSettings {
    BrokerSettings {
        host: "localhost".into(),
        port: 1883,
        addresses: Vec::new(),
        client_id: "relay".into(),
        credentials: None,
        keep_alive: Duration::from_secs(30),
        max_packet_bytes: 1 << 20,
        tls: None,
    }
}

#[test]
fn the_connect_packet_keeps_the_session_and_has_no_will() {
    let options = options(&broker(), &Mark::new());
    assert!(options.last_will().is_none());
    assert!(!options.clean_session());
    assert_eq!(options.ack_mode(), AckMode::Manual);
    assert_eq!(options.max_packet_size(), 1 << 20);
}

#[tokio::test]
async fn nothing_more_is_read_while_too_many_messages_wait_for_acknowledgement() {
    let unanswered = Cell::new(MAX_UNANSWERED);
    let mut wait = std::pin::pin!(answers(&unanswered));
    assert_eq!(at_once(wait.as_mut()).await, None);
    unanswered.set(MAX_UNANSWERED - 1);
    wait.await;
}

#[test]
fn refused_subscriptions_are_told_apart() {
    const OK: SubscribeReasonCode = SubscribeReasonCode::Success(QoS::AtLeastOnce);
    const NO: SubscribeReasonCode = SubscribeReasonCode::Failure;
    assert!(capture(|| report("b:1", &[OK, OK])).is_empty());
    triggered(&capture(|| report("b:1", &[OK, NO, OK])), Event::SubscriptionRefused);
    let told = capture(|| report("b:1", &[OK, NO]));
    triggered(&told, Event::StoredBirthsRefused);
    assert_eq!(told.len(), 1);
}
