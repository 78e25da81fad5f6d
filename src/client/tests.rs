//! What a client asks for, without a network.

use std::io;
use std::time::Duration;

use broker::Protocol;

use crate::options::Acks;
use crate::{Attempt, Five, Login, Options, Will, five, three};

const FIVE: Five = Five {
    session_expiry: Duration::from_secs(3_600),
    receive_maximum: Some(16_384),
    announces_max_packet: false,
    has_topic_aliases: true,
};
const OPTIONS: Options = Options {
    protocol: Protocol::Three,
    max_incoming_bytes: 1 << 20,
    max_outgoing_bytes: 1 << 21,
    request_batch: 64,
    five: FIVE,
};

fn attempt(is_clean: bool) -> Attempt {
    let client_id = "relay".to_owned();
    Attempt { client_id, is_clean, keep_alive: Duration::from_secs(30), login: None }
}

async fn nowhere() -> io::Result<tokio::io::DuplexStream> {
    Err(io::ErrorKind::NotFound.into())
}

#[test]
fn who_only_subscribes_leaves_no_will_and_acknowledges_by_hand() {
    let options = three::options(&OPTIONS, attempt(false), Acks::ByHand, nowhere);
    assert!(options.last_will().is_none());
    assert!(!options.clean_session());
    assert_eq!(options.ack_mode(), rumqttc::AckMode::Manual);
    assert_eq!(options.max_packet_size(), 1 << 20);
    let options = five::options(&OPTIONS, attempt(false), Acks::ByHand, nowhere);
    assert!(options.last_will().is_none());
    assert!(!options.clean_start());
    assert_eq!(options.ack_mode(), rumqttc_five::AckMode::Manual);
}

#[test]
fn who_publishes_leaves_a_will_at_qos_1_that_is_not_retained() {
    let will = || Will { topic: "t".into(), payload: vec![1] };
    let mut options = three::options(&OPTIONS, attempt(true), Acks::AtOnce, nowhere);
    three::leave(&mut options, will());
    let left = options.last_will().unwrap();
    assert_eq!((left.qos, left.retain), (rumqttc::QoS::AtLeastOnce, false));
    assert!(options.clean_session());
    let mut options = five::options(&OPTIONS, attempt(true), Acks::AtOnce, nowhere);
    five::leave(&mut options, will());
    let left = options.last_will().unwrap();
    assert_eq!((left.qos, left.retain), (rumqttc_five::QoS::AtLeastOnce, false));
    assert!(options.clean_start());
}

#[test]
fn a_session_of_mqtt_5_is_kept_for_as_long_as_it_is_to_be_and_a_clean_one_not_at_all() {
    let kept = five::options(&OPTIONS, attempt(false), Acks::ByHand, nowhere);
    assert_eq!(kept.session_expiry_interval(), Some(3_600));
    assert_eq!(kept.receive_maximum(), Some(16_384));
    let clean = five::options(&OPTIONS, attempt(true), Acks::AtOnce, nowhere);
    assert_eq!(clean.session_expiry_interval(), Some(0));
}

#[test]
fn how_large_a_packet_may_be_is_announced_where_that_is_asked_for() {
    let silent = five::options(&OPTIONS, attempt(true), Acks::AtOnce, nowhere);
    assert_eq!(silent.max_packet_size(), None);
    let announcing = Five { announces_max_packet: true, ..FIVE };
    let options = Options { five: announcing, ..OPTIONS };
    let announced = five::options(&options, attempt(true), Acks::AtOnce, nowhere);
    assert_eq!(announced.max_packet_size(), Some((1 << 20) + 5), "with its fixed header");
}

#[test]
fn the_next_attempt_is_as_it_was_prepared_and_a_login_stays() {
    let login = Some(Login::Password("me".into(), "secret".into()));
    let first = || Attempt { login: login.clone(), ..attempt(false) };
    let next = || Attempt { client_id: "short".into(), ..attempt(true) };
    let options = three::options(&OPTIONS, first(), Acks::ByHand, nowhere);
    let (_requests, mut connection) = three::build(options);
    let auth = connection.options().auth().clone();
    connection.prepare(next());
    assert_eq!(connection.options().client_id(), "short");
    assert!(connection.options().clean_session());
    assert_eq!(connection.options().auth(), &auth);
    let options = five::options(&OPTIONS, first(), Acks::ByHand, nowhere);
    let (_requests, mut connection) = five::build(options, FIVE);
    let auth = connection.options().auth().clone();
    connection.prepare(next());
    assert_eq!(connection.options().client_id(), "short");
    assert!(connection.options().clean_start());
    assert_eq!(connection.options().session_expiry_interval(), Some(0));
    assert_eq!(connection.options().auth(), &auth);
}

#[test]
fn a_password_is_in_no_text() {
    let login = Login::Password("me".into(), "secret".into());
    let text = format!("{:?}", Attempt { login: Some(login), ..attempt(true) });
    assert!(text.contains("me") && !text.contains("secret"), "{text}");
}
