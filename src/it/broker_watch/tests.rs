//! What is concluded from the ends of sessions, with time by hand.

use telemetry::capture::{capture, triggered};
use telemetry::{Event, Record};

use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(1_000 + seconds)
}

fn failure(node: NodeId, kind: FailureKind, ended: Ended) -> SessionFailure {
    let failure = ConnectFailure { kind, text: "x".into() };
    let name = format!("G/E{}", node.0);
    let client_id = format!("relay/{name}").into();
    let beside = Some("y".to_owned());
    SessionFailure { node, client_id, name, failure, beside, ended }
}

fn watch() -> BrokerWatch {
    BrokerWatch::new("broker:8883".into())
}

fn of(events: &[Record], event: Event) -> usize {
    events.iter().filter(|record| record.event == event).count()
}

#[test]
fn a_broker_is_up_with_the_first_session_and_down_when_the_last_one_fails() {
    let (first, second) = (NodeId(1), NodeId(2));
    let mut watch = watch();
    let events = capture(|| {
        watch.ready(at(0), first);
        watch.ready(at(0), second);
    });
    triggered(&events, Event::BrokerUp);
    assert_eq!(events.len(), 1);
    let other = |node| failure(node, FailureKind::Other, Ended::Otherwise);
    let events = capture(|| watch.failed(at(0), &other(first)));
    assert!(events.is_empty(), "another stands");
    triggered(&capture(|| watch.failed(at(0), &other(second))), Event::BrokerDown);
    triggered(&capture(|| watch.ready(at(1), first)), Event::BrokerUp);
    for (kind, event) in [
        (FailureKind::Tls, Event::TlsRefused),
        (FailureKind::Login, Event::LoginRefused),
        (FailureKind::Identifier, Event::LoginRefused),
        (FailureKind::Later, Event::BrokerDownForNow),
    ] {
        let failed = failure(first, kind, Ended::BeforeSession);
        triggered(&capture(|| watch.failed(at(2), &failed)), event);
    }
    triggered(&capture(|| BrokerWatch::secret_unreadable("x")), Event::SecretUnreadable);
}

#[test]
fn what_a_broker_says_of_itself_is_told_when_it_is_up() {
    let mut watch = watch();
    watch.offered("10 topic aliases".into());
    let events = capture(|| watch.ready(at(0), NodeId(1)));
    assert_eq!(events[0].message(), "connected broker=broker:8883 offers=\"10 topic aliases\"");
    watch.server_changed("other:8883".into());
    let events = capture(|| watch.ready(at(1), NodeId(1)));
    assert_eq!(events[0].message(), "connected broker=other:8883");
}

#[test]
fn a_silent_broker_is_told_where_nothing_stands_and_is_up_when_it_answers() {
    let mut watch = watch();
    watch.ready(at(0), NodeId(1));
    assert!(capture(|| watch.silent("no answer")).is_empty(), "another stands");
    watch.ended(NodeId(1));
    let events = capture(|| watch.silent("no answer"));
    triggered(&events, Event::BrokerDown);
    assert!(events[0].message().contains("no answer"), "{}", events[0].message());
    triggered(&capture(|| watch.ready(at(1), NodeId(1))), Event::BrokerUp);
}

#[test]
fn a_refused_login_names_the_node_and_its_identifier() {
    let mut watch = watch();
    watch.ready(at(0), NodeId(1));
    let refused = failure(NodeId(5), FailureKind::Login, Ended::BeforeSession);
    let events = capture(|| watch.failed(at(0), &refused));
    let line = events[0].message();
    assert!(line.contains("client_id=relay/G/E5") && line.contains("node=G/E5"), "{line}");
}

#[test]
fn a_node_whose_session_is_taken_over_again_and_again_is_named() {
    let mut watch = watch();
    (0..10).for_each(|node| watch.ready(at(0), NodeId(node)));
    let node = NodeId(3);
    let mut told = 0;
    for round in 1..=4 {
        let ended = failure(node, FailureKind::Other, Ended::ByBroker);
        let events = capture(|| {
            watch.failed(at(round * 20), &ended);
            watch.ready(at(round * 20 + 1), node);
        });
        told += of(&events, Event::SessionTakenOver);
        assert_eq!(of(&events, Event::SessionsExclude), 0);
    }
    assert_eq!(told, 2, "from the third on");
    assert_eq!(watch.reasons(at(100)).len(), 1);
    assert!(watch.reasons(at(1_000)).is_empty());
}

#[test]
fn a_broker_that_was_away_is_no_takeover() {
    let mut watch = watch();
    let node = NodeId(3);
    for round in 1..=9 {
        let events = capture(|| {
            watch.failed(at(round * 20), &failure(node, FailureKind::Other, Ended::ByBroker));
            let away = failure(node, FailureKind::Other, Ended::BeforeSession);
            watch.failed(at(round * 20 + 1), &away);
            watch.ready(at(round * 20 + 2), node);
        });
        assert_eq!(of(&events, Event::SessionTakenOver), 0);
    }
}

#[test]
fn sessions_that_end_each_other_are_told_in_one_event() {
    let mut watch = watch();
    let nodes = 8;
    let mut events = Vec::new();
    for second in 0..60_u64 {
        let node = |second: u64| NodeId((second % nodes) as u32);
        events.extend(capture(|| {
            if second > 0 {
                let ended = failure(node(second - 1), FailureKind::Other, Ended::ByBroker);
                watch.failed(at(second), &ended);
            }
            watch.ready(at(second), node(second));
        }));
    }
    assert_eq!(of(&events, Event::SessionsExclude), 1);
    assert_eq!(of(&events, Event::SessionTakenOver), 0);
    assert_eq!(watch.reasons(at(60)).len(), 1);
}

#[test]
fn nodes_without_a_session_while_others_stand_are_told_in_one_event() {
    let mut watch = watch();
    let events = capture(|| {
        (0..31).for_each(|node| watch.ready(at(0), NodeId(node)));
        for second in 0..120 {
            let node = NodeId(31 + (second % 9) as u32);
            watch.failed(at(second), &failure(node, FailureKind::Other, Ended::BeforeSession));
            watch.tick(at(second), 9);
        }
    });
    assert_eq!(of(&events, Event::SessionsLimited), 1);
    let line = events.iter().find(|record| record.event == Event::SessionsLimited);
    let line = line.unwrap().message();
    assert!(line.contains("standing=31 missing=9"), "{line}");
    let mut refused = self::watch();
    let events = capture(|| {
        refused.ready(at(0), NodeId(0));
        for second in 0..60 {
            refused
                .failed(at(second), &failure(NodeId(1), FailureKind::Login, Ended::BeforeSession));
            refused.tick(at(second), 1);
        }
    });
    assert_eq!(of(&events, Event::SessionsLimited), 0, "it is that node's login");
}

#[test]
fn nodes_whose_commands_cannot_be_had_are_counted() {
    let mut watch = watch();
    watch.subscribed(NodeId(1), true);
    watch.subscribed(NodeId(2), true);
    watch.subscribed(NodeId(2), false);
    assert!(watch.reasons(at(0))[0].contains("of 1 node: "));
    watch.ended(NodeId(1));
    assert!(watch.reasons(at(0)).is_empty());
}

#[test]
fn two_relays_that_take_sessions_from_each_other_are_no_exclusion() {
    let mut watch = watch();
    let (mut events, nodes) = (Vec::new(), 10_u32);
    let ms = |ms: u64| Duration::from_millis(1_000_000 + ms);
    let ended = |node| failure(NodeId(node), FailureKind::Other, Ended::ByBroker);
    let mut now = 0;
    for round in 1..=6_u64 {
        events.extend(capture(|| {
            // All of them, in an instant, and the other relay takes them as fast: then the pauses grow.
            (0..nodes).for_each(|node| watch.ready(ms(now), NodeId(node)));
            (0..nodes).for_each(|node| watch.failed(ms(now + 400 * round), &ended(node)));
        }));
        now += 1_000 * round;
    }
    assert_eq!(of(&events, Event::SessionsExclude), 0);
    assert!(of(&events, Event::SessionTakenOver) >= 10, "{events:?}");
    let reasons = watch.reasons(ms(now));
    assert!(reasons[0].contains("as when another client has their identifiers"), "{reasons:?}");
    assert_eq!(reasons.len(), 1);
}

#[test]
fn a_node_that_is_refused_alone_is_named_and_nobody_asks_for_another_port() {
    let mut watch = watch();
    let events = capture(|| {
        (0..2).for_each(|node| watch.ready(at(0), NodeId(node)));
        for second in 0..60 {
            let refused = failure(NodeId(7), FailureKind::Other, Ended::BeforeSession);
            watch.failed(at(second), &refused);
            watch.tick(at(second), 1);
        }
    });
    assert_eq!(of(&events, Event::SessionsLimited), 1);
    let line = events.iter().find(|record| record.event == Event::SessionsLimited);
    let line = line.unwrap().message();
    assert!(line.contains("error=\"y; of all nodes it is this one alone\""), "{line}");
    assert!(line.contains("node=G/E7 client_id=relay/G/E7"), "{line}");
}

#[test]
fn a_session_that_ends_at_its_births_is_told_as_that_and_as_no_takeover() {
    let mut watch = watch();
    let node = NodeId(3);
    let events = capture(|| {
        for round in 1..=9_u32 {
            let second = u64::from(round) * 10;
            watch.ready(at(second), node);
            watch.failed(at(second), &failure(node, FailureKind::Other, Ended::ByBroker));
            watch.births_ended(at(second), "G/E3", round);
        }
    });
    assert_eq!(of(&events, Event::SessionTakenOver), 0);
    let reasons = watch.reasons(at(91));
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].contains("before their births are confirmed"), "{reasons:?}");
    assert!(watch.reasons(at(1_000)).is_empty());
}
