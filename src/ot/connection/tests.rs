//! Sessions and their requests, without a network.

use super::*;
use telemetry::Event;
use telemetry::capture::{capture, triggered};

#[test]
fn pauses_double_with_jitter_up_to_half_a_minute() {
    for attempts in [0, 1, 5, 6, 7, 100, u32::MAX] {
        let longest = FIRST_PAUSE * 2_u32.pow(attempts.min(6));
        let longest = longest.min(LAST_PAUSE);
        for _ in 0..50 {
            let pause = pause(attempts);
            assert!(pause >= longest / 2 && pause <= longest, "{attempts}: {pause:?}");
        }
    }
}

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
    let options = options(&broker());
    assert!(options.last_will().is_none());
    assert!(!options.clean_session());
    assert_eq!(options.ack_mode(), AckMode::Manual);
    assert_eq!(options.max_packet_size(), 1 << 20);
}

#[test]
fn only_small_bursts_under_load_linger_and_none_that_the_broker_waits_for() {
    let load = Some(Duration::from_micros(400));
    let linger = |pause, messages, unanswered| {
        Pace::default().linger(pause, messages, unanswered) > Duration::ZERO
    };
    assert!(!linger(None, 1, 1), "what comes alone isn't delayed");
    assert!(!linger(Some(LOAD_WITHIN), 5, 0), "the load is over");
    assert!(linger(load, 5, 15));
    assert!(linger(load, 15, 0));
    assert!(!linger(load, 5, 16), "the broker waits for acknowledgements");
    assert!(!linger(load, 16, 0), "a large burst needs no gathering");
}

#[test]
fn a_linger_is_as_long_as_a_few_messages_take_to_come() {
    let mut pace = Pace::default();
    let micros = Duration::from_micros;
    // 50,000 messages/s.
    assert_eq!(pace.linger(Some(micros(200)), 10, 0), micros(60));
    // Slower from now on: the longest one is approached, and not exceeded.
    let mut last = micros(60);
    for _ in 0..50 {
        let next = pace.linger(Some(micros(900)), 1, 0);
        assert!(next > last || next == LONGEST_LINGER, "{last:?} {next:?}");
        last = next;
    }
    assert_eq!(last, LONGEST_LINGER);
    assert_eq!(pace.linger(None, 1, 0), Duration::ZERO);
    assert_eq!(pace.linger(Some(micros(100)), 10, 0), micros(30), "the past is forgotten");
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
