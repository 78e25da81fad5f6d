//! What a client asks for, without a network.

use std::io;
use std::time::Duration;

use crate::three::{self, Acks};
use crate::{Attempt, Login, Options, Will};

const OPTIONS: Options =
    Options { max_incoming_bytes: 1 << 20, max_outgoing_bytes: 1 << 21, request_batch: 64 };

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
}

#[test]
fn who_publishes_leaves_a_will_at_qos_1_that_is_not_retained() {
    let mut options = three::options(&OPTIONS, attempt(true), Acks::AtOnce, nowhere);
    three::leave(&mut options, Will { topic: "t".into(), payload: vec![1] });
    let will = options.last_will().unwrap();
    assert_eq!((will.qos, will.retain), (rumqttc::QoS::AtLeastOnce, false));
    assert!(options.clean_session());
}

#[test]
fn the_next_attempt_is_as_it_was_prepared_and_a_login_stays() {
    let login = Some(Login::Password("me".into(), "secret".into()));
    let first = Attempt { login, ..attempt(false) };
    let options = three::options(&OPTIONS, first, Acks::ByHand, nowhere);
    let (_requests, mut connection) = three::build(options);
    let auth = connection.options().auth().clone();
    connection.prepare(Attempt { client_id: "short".into(), ..attempt(true) });
    assert_eq!(connection.options().client_id(), "short");
    assert!(connection.options().clean_session());
    assert_eq!(connection.options().auth(), &auth);
}

#[test]
fn a_password_is_in_no_text() {
    let login = Login::Password("me".into(), "secret".into());
    let text = format!("{:?}", Attempt { login: Some(login), ..attempt(true) });
    assert!(text.contains("me") && !text.contains("secret"), "{text}");
}
